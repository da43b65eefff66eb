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
        _ => {}
    }
}

/// All names in an expression, but not those in the branches of an `if` inside it.
pub fn names<'a>(expr: &'a Expr, out: &mut Vec<&'a str>) {
    walk(expr, &mut |e| {
        if let ExprKind::Name(name) = &e.kind {
            out.push(name);
        }
        !matches!(e.kind, ExprKind::If(..))
    });
}
