//! Names that are given a value and never used, and branches that are never taken.
//!
//! A name counts as used when any expression of its definition reads it; a name that begins with `_` is meant to be unused.

use crate::diag::{Diagnostic, warning};
use crate::syntax::ast::{
    Block, Decl, Def, DefKind, DimExpr, Expr, ExprKind, Ident, IndexItem, Stmt, StmtKind, Train, TypeExpr,
};
use std::collections::HashSet;

/// Unused names of a definition. States and hyper-parameters of rules have hints of their own ([`super::rule`]).
pub fn in_def(def: &Def) -> Vec<Diagnostic> {
    let mut text = Text::default();
    def.hypers.iter().chain(&def.inputs).filter_map(|p| p.default.as_ref()).for_each(|e| text.expr(e));
    def.hypers.iter().chain(&def.inputs).filter_map(|p| p.ty.as_ref()).for_each(|t| text.ty(t));
    def.result.iter().for_each(|t| text.ty(t));
    text.block(&def.body);
    let is_rule = matches!(def.kind, DefKind::Optimizer | DefKind::Transform);
    if !is_rule {
        for hyper in &def.hypers {
            text.unused_hyper(&hyper.name);
        }
        for decl in std::mem::take(&mut text.params) {
            text.unused_part(decl, "W0707", "parameter", "it would stay as it starts");
        }
        // A metric's counters may be read by its result only.
        for decl in std::mem::take(&mut text.states) {
            text.unused_part(decl, "W0701", "state", "its values are kept for nothing");
        }
    }
    text.finish()
}

/// Unused names of a training.
pub fn in_train(train: &Train) -> Vec<Diagnostic> {
    let mut text = Text::default();
    train.hypers.iter().filter_map(|p| p.default.as_ref()).for_each(|e| text.expr(e));
    text.expr(&train.data);
    train.settings.iter().for_each(|(_, e)| text.expr(e));
    train.lets.iter().for_each(|s| text.stmt(s));
    train.step.iter().for_each(|s| text.block(&s.body));
    if let Some(sample) = &train.sample {
        sample.args.iter().for_each(|arg| text.expr(&arg.value));
        text.block(&sample.body);
    }
    for hyper in &train.hypers {
        text.unused_hyper(&hyper.name);
    }
    text.finish()
}

pub fn in_block(block: &Block) -> Vec<Diagnostic> {
    let mut text = Text::default();
    text.block(block);
    text.finish()
}

/// What a definition's text declares and reads.
#[derive(Default)]
struct Text<'a> {
    read: HashSet<&'a str>,
    lets: Vec<(&'a Ident, &'a Expr)>,
    params: Vec<&'a Decl>,
    states: Vec<&'a Decl>,
    diags: Vec<Diagnostic>,
}

impl<'a> Text<'a> {
    fn is_unused(&self, name: &Ident) -> bool {
        !name.name.starts_with('_') && !self.read.contains(name.name.as_str())
    }

    fn unused_hyper(&mut self, name: &Ident) {
        if self.is_unused(name) {
            let what = format!("the hyper-parameter '{}' changes nothing", name.name);
            self.diags.push(warning("W0702", what).at(name.span, "the body does not use it"));
        }
    }

    fn unused_part(&mut self, decl: &Decl, code: &'static str, word: &str, why: &str) {
        if self.is_unused(&decl.name) {
            let what = format!("the {word} '{}' is never read", decl.name.name);
            self.diags.push(warning(code, what).at(decl.name.span, why).help("use it, or leave it out"));
        }
    }

    fn finish(mut self) -> Vec<Diagnostic> {
        for (name, value) in std::mem::take(&mut self.lets) {
            if self.is_unused(name) {
                let d = warning("W0706", format!("'{}' is never used", name.name)).at(name.span, "named here");
                self.diags.push(match &value.kind {
                    ExprKind::Call(..) => d
                        .help(format!("use it, leave it out, or call it `_{}`", name.name))
                        .edit(name.span, format!("_{}", name.name)),
                    _ => d,
                });
            }
        }
        self.diags
    }

    fn block(&mut self, block: &'a Block) {
        block.stmts.iter().for_each(|s| self.stmt(s));
    }

    fn stmt(&mut self, stmt: &'a Stmt) {
        match &stmt.kind {
            StmtKind::Let { names, ty, value } => {
                self.expr(value);
                ty.iter().for_each(|t| self.ty(t));
                // Of a tuple, parts may be left aside.
                if let [name] = names.as_slice() {
                    self.lets.push((name, value));
                }
            }
            StmtKind::Param(decl) | StmtKind::State(decl) => {
                decl.ty.iter().for_each(|t| self.ty(t));
                decl.value.iter().for_each(|e| self.expr(e));
                let list = if matches!(stmt.kind, StmtKind::Param(_)) { &mut self.params } else { &mut self.states };
                list.push(decl);
            }
            StmtKind::Update { target, value } => {
                // A value that is only made of its own old value is not used.
                if let ExprKind::Index(_, items) = &target.kind {
                    items.iter().for_each(|i| self.index(i));
                }
                let name = target_name(target);
                let known = name.is_some_and(|n| self.read.contains(n));
                self.expr(value);
                if let Some(name) = name.filter(|_| !known) {
                    self.read.remove(name);
                }
            }
            StmtKind::Eval { target, value } => {
                self.read.insert(&target.name);
                self.expr(value);
            }
            StmtKind::Expr(value) => self.expr(value),
            StmtKind::If { cond, then, otherwise } => self.branches(cond, then, otherwise.as_ref()),
            StmtKind::For { range, body, .. } => {
                self.expr(range);
                self.block(body);
            }
            StmtKind::Minimize(m) => {
                self.expr(&m.loss);
                for group in &m.groups {
                    group.over.iter().chain(&group.filter).for_each(|e| self.expr(e));
                    self.expr(&group.optimizer);
                }
            }
            StmtKind::Report(items) | StmtKind::Observe(items) => items.iter().for_each(|e| self.expr(e)),
            StmtKind::Expect { value, near, within } => {
                std::iter::once(value).chain(near).chain(within).for_each(|e| self.expr(e));
            }
        }
    }

    fn branches(&mut self, cond: &'a Expr, then: &'a Block, otherwise: Option<&'a Block>) {
        if let ExprKind::Bool(taken) = cond.kind {
            let never = if taken { otherwise } else { Some(then) };
            let d = warning("W0708", format!("this condition is always {taken}")).at(cond.span, "decided here");
            self.diags.push(match never {
                Some(block) => d.at(block.span, "never taken"),
                None => d,
            });
        }
        self.expr(cond);
        self.block(then);
        otherwise.iter().for_each(|b| self.block(b));
    }

    fn ty(&mut self, ty: &'a TypeExpr) {
        for dim in ty.dims.iter().flatten() {
            if let DimExpr::Size(e) = dim {
                self.expr(e);
            }
        }
    }

    fn index(&mut self, item: &'a IndexItem) {
        match item {
            IndexItem::At(e) => self.expr(e),
            IndexItem::Slice { start, end, step, .. } => {
                start.iter().chain(end).chain(step).for_each(|e| self.expr(e));
            }
            IndexItem::Rest(_) | IndexItem::New(_) => {}
        }
    }

    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Str(_) | ExprKind::Bool(_) => {}
            ExprKind::Name(name) => {
                self.read.insert(name);
            }
            ExprKind::List(items) | ExprKind::Tuple(items) => items.iter().for_each(|e| self.expr(e)),
            ExprKind::Unary(_, x) | ExprKind::Field(x, _) => self.expr(x),
            ExprKind::Binary(_, a, b) | ExprKind::Pipe(a, b) | ExprKind::Range(a, b) => {
                self.expr(a);
                self.expr(b);
            }
            ExprKind::Call(callee, args) => {
                self.expr(callee);
                args.iter().for_each(|a| self.expr(&a.value));
            }
            ExprKind::Index(base, items) => {
                self.expr(base);
                items.iter().for_each(|i| self.index(i));
            }
            ExprKind::If(cond, then, otherwise) => self.branches(cond, then, otherwise.as_ref()),
            ExprKind::Scan(scan) => {
                scan.items.iter().chain(&scan.settings).for_each(|(_, e)| self.expr(e));
                self.block(&scan.body);
            }
        }
    }
}

fn target_name(target: &Expr) -> Option<&str> {
    match &target.kind {
        ExprKind::Name(name) => Some(name),
        ExprKind::Index(base, _) => target_name(base),
        _ => None,
    }
}
