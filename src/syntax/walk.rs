//! Walks over the syntax tree, for those who look for something in it.

use super::ast::{Block, Expr, ExprKind, Stmt, StmtKind};

/// All statements of a block and of the blocks in it.
pub fn each_stmt<'a>(block: &'a Block, visit: &mut impl FnMut(&'a Stmt)) {
    for stmt in &block.stmts {
        visit(stmt);
        match &stmt.kind {
            StmtKind::If { then, otherwise, .. } => {
                each_stmt(then, visit);
                if let Some(block) = otherwise {
                    each_stmt(block, visit);
                }
            }
            StmtKind::For { body, .. } => each_stmt(body, visit),
            _ => {}
        }
    }
}

/// All expressions inside `e`, itself included, as far as `visit` wants to go on.
pub fn walk<'a>(e: &'a Expr, visit: &mut impl FnMut(&'a Expr) -> bool) {
    if !visit(e) {
        return;
    }
    match &e.kind {
        ExprKind::List(items) | ExprKind::Tuple(items) => items.iter().for_each(|i| walk(i, visit)),
        ExprKind::Unary(_, x) | ExprKind::Field(x, _) | ExprKind::Index(x, _) => walk(x, visit),
        ExprKind::Binary(_, a, b) | ExprKind::Pipe(a, b) | ExprKind::Range(a, b) => {
            walk(a, visit);
            walk(b, visit);
        }
        ExprKind::Call(f, args) => {
            walk(f, visit);
            args.iter().for_each(|a| walk(&a.value, visit));
        }
        ExprKind::If(c, then, otherwise) => {
            walk(c, visit);
            for block in std::iter::once(then).chain(otherwise.as_ref()) {
                for stmt in &block.stmts {
                    if let StmtKind::Expr(e) = &stmt.kind {
                        walk(e, visit);
                    }
                }
            }
        }
        ExprKind::Scan(scan) => {
            scan.items.iter().chain(&scan.settings).for_each(|(_, e)| walk(e, visit));
            for stmt in &scan.body.stmts {
                if let StmtKind::Expr(e) | StmtKind::Let { value: e, .. } | StmtKind::Update { value: e, .. } =
                    &stmt.kind
                {
                    walk(e, visit);
                }
            }
        }
        _ => {}
    }
}

/// The statements in which a block updates names from outside, in the blocks inside it, too.
pub fn updates<'a>(block: &'a Block, visit: &mut dyn FnMut(&'a str, &'a Stmt)) {
    let mut own: Vec<&str> = vec![];
    for stmt in &block.stmts {
        let visit = &mut |name: &'a str, stmt| {
            if !own.contains(&name) {
                visit(name, stmt);
            }
        };
        match &stmt.kind {
            StmtKind::Update { target, value } => {
                let name = match &target.kind {
                    ExprKind::Index(base, _) => &base.kind,
                    other => other,
                };
                if let ExprKind::Name(name) = name {
                    visit(name, stmt);
                }
                blocks(value, &mut |b| updates(b, visit));
            }
            StmtKind::Let { names, value, .. } => {
                blocks(value, &mut |b| updates(b, visit));
                own.extend(names.iter().map(|n| n.name.as_str()));
            }
            StmtKind::Expr(value) => blocks(value, &mut |b| updates(b, visit)),
            StmtKind::If { then, otherwise, .. } => {
                updates(then, visit);
                otherwise.iter().for_each(|b| updates(b, visit));
            }
            StmtKind::For { body, .. } => updates(body, visit),
            _ => {}
        }
    }
}

/// The blocks that stand directly in an expression.
fn blocks<'a>(e: &'a Expr, visit: &mut dyn FnMut(&'a Block)) {
    walk(e, &mut |e| match &e.kind {
        ExprKind::If(_, then, otherwise) => {
            visit(then);
            otherwise.iter().for_each(&mut *visit);
            false
        }
        ExprKind::Scan(scan) => {
            visit(&scan.body);
            false
        }
        _ => true,
    });
}

/// All names in an expression, but not those in the branches of an `if` inside it.
pub fn names<'a>(expr: &'a Expr, out: &mut Vec<&'a str>) {
    walk(expr, &mut |e| {
        if let ExprKind::Name(name) = &e.kind {
            out.push(name);
        }
        !matches!(e.kind, ExprKind::If(..) | ExprKind::Scan(_))
    });
}
