//! Names that are given a value and never used.
//!
//! A name counts as used when any expression of its definition reads it; a name that begins with `_` is meant to be unused.

use crate::diag::{Diagnostic, warning};
use crate::syntax::ast::{Block, Decl, Def, DefKind, Expr, ExprKind, Ident, Stmt, StmtKind, Train};
use crate::syntax::visit::{Visitor, walk_expr, walk_index, walk_stmt};
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
}

impl<'a> Visitor<'a> for Text<'a> {
    fn stmt(&mut self, stmt: &'a Stmt) {
        match &stmt.kind {
            StmtKind::Let { names, value, .. } => {
                walk_stmt(self, stmt);
                // Of a tuple, parts may be left aside.
                if let [name] = names.as_slice() {
                    self.lets.push((name, value));
                }
            }
            StmtKind::Param(decl) => {
                walk_stmt(self, stmt);
                self.params.push(decl);
            }
            StmtKind::State(decl) => {
                walk_stmt(self, stmt);
                self.states.push(decl);
            }
            StmtKind::Update { target, value } => {
                // A value that is only made of its own old value is not used.
                if let ExprKind::Index(_, items) = &target.kind {
                    items.iter().for_each(|i| walk_index(self, i));
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
            _ => walk_stmt(self, stmt),
        }
    }

    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::Name(name) => {
                self.read.insert(name);
            }
            _ => walk_expr(self, expr),
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
