//! A softmax before a loss that takes logits: the loss takes the softmax itself, so that training becomes slow and odd.

use crate::diag::{Diagnostic, warning};
use crate::sema::modules::{Global, ModuleId, Modules};
use crate::source::Span;
use crate::syntax::ast::{Arg, Block, Def, Expr, ExprKind, StmtKind};
use crate::syntax::walk::{each_stmt, walk};
use std::collections::HashMap;

/// The name of an input that takes values before the softmax (or before the sigmoid).
const INPUT: &str = "logits";

/// What makes probabilities of logits.
const PROBABILITIES: &[&str] = &["softmax", "log_softmax", "sigmoid", "log_sigmoid"];

/// Calls in a block that give probabilities for logits.
pub fn in_block(modules: &Modules, module: ModuleId, block: &Block) -> Vec<Diagnostic> {
    let mut finder = Finder { modules, module, lets: HashMap::new(), diags: vec![] };
    each_stmt(block, &mut |stmt| match &stmt.kind {
        StmtKind::Let { names, value, .. } => {
            finder.expr(value);
            if let [name] = names.as_slice() {
                finder.lets.insert(&name.name, value);
            }
        }
        StmtKind::Expr(value) => finder.expr(value),
        StmtKind::Minimize(m) => finder.expr(&m.loss),
        StmtKind::Report(items) | StmtKind::Observe(items) => items.iter().for_each(|e| finder.expr(e)),
        _ => {}
    });
    finder.diags
}

struct Finder<'a> {
    modules: &'a Modules,
    module: ModuleId,
    lets: HashMap<&'a str, &'a Expr>,
    diags: Vec<Diagnostic>,
}

impl<'a> Finder<'a> {
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
        if def.kind != crate::syntax::ast::DefKind::Loss {
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
        let made_by = |f: &'a Expr| match &f.kind {
            ExprKind::Name(name) => Some(name.as_str()),
            ExprKind::Call(callee, _) => match &callee.kind {
                ExprKind::Name(name) => Some(name.as_str()),
                _ => None,
            },
            _ => None,
        };
        match &expr.kind {
            ExprKind::Name(name) if depth < DEEPEST => self.probabilities(self.lets.get(name.as_str())?, depth + 1),
            ExprKind::Pipe(_, f) => self.known(made_by(f), f.span).or_else(|| self.model_end(f, depth)),
            ExprKind::Call(f, _) => self.known(made_by(f), expr.span).or_else(|| self.model_end(f, depth)),
            _ => None,
        }
    }

    fn known(&self, name: Option<&'a str>, span: Span) -> Option<(&'a str, Span)> {
        name.filter(|n| PROBABILITIES.contains(n)).map(|n| (n, span))
    }

    /// A model of the user's whose last operation makes probabilities.
    fn model_end(&self, callee: &'a Expr, depth: usize) -> Option<(&'a str, Span)> {
        let name = match &callee.kind {
            ExprKind::Name(name) if depth < 10 => match self.lets.get(name.as_str()) {
                Some(value) => return self.model_end(value, depth + 1),
                None => callee,
            },
            ExprKind::Call(inner, _) => inner,
            _ => return None,
        };
        let def = self.definition(name)?;
        let last = def.body.stmts.last()?;
        match &last.kind {
            StmtKind::Expr(e) if depth < 10 && matches!(e.kind, ExprKind::Pipe(..) | ExprKind::Call(..)) => {
                self.probabilities(e, depth + 5)
            }
            _ => None,
        }
    }
}
