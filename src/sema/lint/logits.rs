//! A softmax before a loss that takes logits: the loss takes the softmax itself, so that training becomes slow and odd.

use crate::diag::{Diagnostic, warning};
use crate::sema::modules::{Global, ModuleId, Modules};
use crate::source::Span;
use crate::syntax::ast::{Arg, Block, Def, DefKind, Expr, ExprKind, Stmt, StmtKind, Train};
use crate::syntax::walk::{each_stmt, walk};
use std::collections::HashMap;

/// The name of an input that takes values before the softmax (or before the sigmoid).
const INPUT: &str = "logits";

/// What makes probabilities of logits.
const PROBABILITIES: &[&str] = &["softmax", "log_softmax", "sigmoid", "log_sigmoid"];

/// Calls in a block that give probabilities for logits.
pub fn in_block(modules: &Modules, module: ModuleId, block: &Block) -> Vec<Diagnostic> {
    let mut finder = Finder::new(modules, module);
    each_stmt(block, &mut |stmt| finder.stmt(stmt));
    finder.diags
}

/// The same of a training: its step uses the values named before it.
pub fn in_train(modules: &Modules, module: ModuleId, train: &Train) -> Vec<Diagnostic> {
    let mut finder = Finder::new(modules, module);
    train.lets.iter().for_each(|stmt| finder.stmt(stmt));
    train.step.iter().for_each(|step| each_stmt(&step.body, &mut |stmt| finder.stmt(stmt)));
    finder.diags
}

struct Finder<'a> {
    modules: &'a Modules,
    module: ModuleId,
    lets: HashMap<&'a str, &'a Expr>,
    diags: Vec<Diagnostic>,
}

impl<'a> Finder<'a> {
    fn new(modules: &'a Modules, module: ModuleId) -> Finder<'a> {
        Finder { modules, module, lets: HashMap::new(), diags: vec![] }
    }

    fn stmt(&mut self, stmt: &'a Stmt) {
        match &stmt.kind {
            StmtKind::Let { names, value, .. } => {
                self.expr(value);
                if let [name] = names.as_slice() {
                    self.lets.insert(&name.name, value);
                }
            }
            StmtKind::Expr(value) => self.expr(value),
            StmtKind::Minimize(m) => self.expr(&m.loss),
            StmtKind::Report(items) | StmtKind::Observe(items) => items.iter().for_each(|e| self.expr(e)),
            _ => {}
        }
    }

    fn expr(&mut self, expr: &'a Expr) {
        walk(expr, &mut |e| {
            if let ExprKind::Call(callee, args) = &e.kind {
                self.call(callee, args);
            }
            true
        });
    }

    fn call(&mut self, callee: &'a Expr, args: &'a [Arg]) {
        let Some(def) = self.definition(callee) else { return };
        let Some(position) = def.inputs.iter().position(|i| i.name.name == INPUT) else { return };
        let named = args.iter().find(|a| a.name.as_ref().is_some_and(|n| n.name == INPUT));
        let Some(given) = named.or_else(|| args.iter().filter(|a| a.name.is_none()).nth(position)) else { return };
        let Some((name, made_at)) = self.probabilities(&given.value, 0) else { return };
        // Only losses lose by it: what accuracy counts is the same before and after.
        if def.kind != DefKind::Loss {
            return;
        }
        let what = format!("{} takes logits, and gets what '{name}' made of them", def.name.name);
        let mut d = warning("W0709", what).at(given.value.span, "probabilities");
        if made_at != given.value.span {
            d = d.at(made_at, format!("'{name}' here"));
        }
        self.diags.push(d.help(format!("leave out '{name}': the loss contains it")));
    }

    fn definition(&self, callee: &Expr) -> Option<&'a Def> {
        let ExprKind::Name(name) = &callee.kind else { return None };
        match self.modules.lookup(self.module, name)? {
            Global::Def(id) => Some(self.modules.def(id)),
            Global::Const(_) => None,
        }
    }

    /// The function that made probabilities of this value last, and where.
    fn probabilities(&self, expr: &'a Expr, depth: usize) -> Option<(&'a str, Span)> {
        const DEEPEST: usize = 10;
        if depth > DEEPEST {
            return None;
        }
        let (function, at) = match &expr.kind {
            ExprKind::Name(name) => return self.probabilities(self.lets.get(name.as_str())?, depth + 1),
            ExprKind::Pipe(_, f) => (&**f, f.span),
            ExprKind::Call(f, _) => (&**f, expr.span),
            _ => return None,
        };
        // `f(x)`, `f(hyper-parameters)(x)`, or the name of an instance.
        let mut named = function;
        while let ExprKind::Call(inner, _) = &named.kind {
            named = inner;
        }
        let ExprKind::Name(name) = &named.kind else { return None };
        if PROBABILITIES.contains(&name.as_str()) {
            return Some((name, at));
        }
        let maker = match self.lets.get(name.as_str()).map(|value| &value.kind) {
            Some(ExprKind::Call(callee, _)) => callee,
            Some(_) => return None,
            None => named,
        };
        match self.definition(maker)?.body.stmts.last().map(|s| &s.kind) {
            Some(StmtKind::Expr(last)) => self.probabilities(last, depth + 1),
            _ => None,
        }
    }
}
