//! One walk over all of a tree, in the order of the text. A [`Visitor`] says what it does at the nodes that it cares for and
//! leaves the others to the `walk_…` functions. (Who only looks for something: [`super::walk`].)

use super::ast::{Block, DimExpr, Expr, ExprKind, IndexItem, Stmt, StmtKind, TypeExpr};

pub trait Visitor<'a> {
    fn block(&mut self, block: &'a Block) {
        walk_block(self, block);
    }

    fn stmt(&mut self, stmt: &'a Stmt) {
        walk_stmt(self, stmt);
    }

    fn expr(&mut self, expr: &'a Expr) {
        walk_expr(self, expr);
    }

    fn ty(&mut self, ty: &'a TypeExpr) {
        walk_type(self, ty);
    }
}

pub fn walk_block<'a, V: Visitor<'a> + ?Sized>(v: &mut V, block: &'a Block) {
    block.stmts.iter().for_each(|stmt| v.stmt(stmt));
}

/// What stands in a statement. The target of an update is visited like a value.
pub fn walk_stmt<'a, V: Visitor<'a> + ?Sized>(v: &mut V, stmt: &'a Stmt) {
    match &stmt.kind {
        StmtKind::Let { ty, value, .. } => {
            ty.iter().for_each(|ty| v.ty(ty));
            v.expr(value);
        }
        StmtKind::Param(decl) | StmtKind::State(decl) => {
            decl.ty.iter().for_each(|ty| v.ty(ty));
            decl.value.iter().for_each(|e| v.expr(e));
        }
        StmtKind::Update { target, value } => {
            v.expr(target);
            v.expr(value);
        }
        StmtKind::Eval { value, .. } | StmtKind::Expr(value) => v.expr(value),
        StmtKind::If { cond, then, otherwise } => {
            v.expr(cond);
            v.block(then);
            otherwise.iter().for_each(|block| v.block(block));
        }
        StmtKind::For { range, body, .. } => {
            v.expr(range);
            v.block(body);
        }
        StmtKind::Minimize(m) => {
            v.expr(&m.loss);
            for group in &m.groups {
                group.over.iter().chain(&group.filter).for_each(|e| v.expr(e));
                v.expr(&group.optimizer);
            }
        }
        StmtKind::Report(items) | StmtKind::Observe(items) => items.iter().for_each(|e| v.expr(e)),
        StmtKind::Expect { value, near, within } => {
            std::iter::once(value).chain(near).chain(within).for_each(|e| v.expr(e));
        }
    }
}

/// The parts of an expression.
pub fn walk_expr<'a, V: Visitor<'a> + ?Sized>(v: &mut V, expr: &'a Expr) {
    match &expr.kind {
        ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Str(_) | ExprKind::Bool(_) | ExprKind::Name(_) => {}
        ExprKind::List(items) | ExprKind::Tuple(items) => items.iter().for_each(|e| v.expr(e)),
        ExprKind::Unary(_, x) | ExprKind::Field(x, _) => v.expr(x),
        ExprKind::Binary(_, a, b) | ExprKind::Pipe(a, b) | ExprKind::Range(a, b) => {
            v.expr(a);
            v.expr(b);
        }
        ExprKind::Call(callee, args) => {
            v.expr(callee);
            args.iter().for_each(|arg| v.expr(&arg.value));
        }
        ExprKind::Index(base, items) => {
            v.expr(base);
            items.iter().for_each(|item| walk_index(v, item));
        }
        ExprKind::If(cond, then, otherwise) => {
            v.expr(cond);
            v.block(then);
            otherwise.iter().for_each(|block| v.block(block));
        }
        ExprKind::Scan(scan) => {
            scan.items.iter().chain(&scan.settings).for_each(|(_, e)| v.expr(e));
            v.block(&scan.body);
        }
    }
}

pub fn walk_index<'a, V: Visitor<'a> + ?Sized>(v: &mut V, item: &'a IndexItem) {
    match item {
        IndexItem::At(e) => v.expr(e),
        IndexItem::Slice { start, end, step, .. } => start.iter().chain(end).chain(step).for_each(|e| v.expr(e)),
        IndexItem::Rest(_) | IndexItem::New(_) => {}
    }
}

/// The sizes of a type.
pub fn walk_type<'a, V: Visitor<'a> + ?Sized>(v: &mut V, ty: &'a TypeExpr) {
    for dim in ty.dims.iter().flatten() {
        if let DimExpr::Size(e) = dim {
            v.expr(e);
        }
    }
}
