//! Values that are given where others are due, though shapes and types fit: probabilities to a loss that takes logits, and
//! makes the softmax itself.
//!
//! The library says what a value is (`-> float[..] role probabilities`) and what an input takes (`role logits`); where the two
//! differ, somebody is surprised later. Values without a role are given silently.

use crate::diag::{Diagnostic, warning};
use crate::sema::modules::{Global, ModuleId, Modules};
use crate::source::{SourceMap, Span};
use crate::syntax::ast::{Arg, Block, Def, Expr, ExprKind, Stmt, StmtKind, Train};
use crate::syntax::walk::{each_stmt, walk};
use std::collections::HashMap;

/// Calls in a block that get a value of another role than they take.
pub fn in_block(modules: &Modules, sources: &SourceMap, module: ModuleId, block: &Block) -> Vec<Diagnostic> {
    let mut finder = Finder::new(modules, sources, module);
    each_stmt(block, &mut |stmt| finder.stmt(stmt));
    finder.diags
}

/// The same of a training: its step uses the values named before it.
pub fn in_train(modules: &Modules, sources: &SourceMap, module: ModuleId, train: &Train) -> Vec<Diagnostic> {
    let mut finder = Finder::new(modules, sources, module);
    train.lets.iter().for_each(|stmt| finder.stmt(stmt));
    train.step.iter().for_each(|step| each_stmt(&step.body, &mut |stmt| finder.stmt(stmt)));
    finder.diags
}

struct Finder<'a> {
    modules: &'a Modules,
    sources: &'a SourceMap,
    module: ModuleId,
    lets: HashMap<&'a str, &'a Expr>,
    diags: Vec<Diagnostic>,
}

/// Where a value got its role.
struct Made<'a> {
    by: &'a Def,
    role: &'a str,
    /// The call, its function, and what it was applied to.
    call: &'a Expr,
    function: Span,
    of: Option<&'a Expr>,
}

impl<'a> Finder<'a> {
    fn new(modules: &'a Modules, sources: &'a SourceMap, module: ModuleId) -> Finder<'a> {
        Finder { modules, sources, module, lets: HashMap::new(), diags: vec![] }
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
            match &e.kind {
                ExprKind::Call(callee, args) => self.call(callee, args),
                ExprKind::Pipe(x, callee) => {
                    if let Some(def) = self.maker(callee) {
                        self.input(def, 0, x);
                    }
                }
                _ => {}
            }
            true
        });
    }

    fn call(&mut self, callee: &'a Expr, args: &'a [Arg]) {
        let Some(def) = self.maker(callee) else { return };
        let mut position = 0;
        for arg in args {
            let index = match &arg.name {
                Some(name) => def.inputs.iter().position(|i| i.name.name == name.name),
                None => {
                    position += 1;
                    Some(position - 1)
                }
            };
            if let Some(index) = index {
                self.input(def, index, &arg.value);
            }
        }
    }

    /// A value for an input of a definition.
    fn input(&mut self, def: &'a Def, index: usize, value: &'a Expr) {
        let Some(wanted) = takes(def, index) else { return };
        let Some(made) = self.made(value, 0).filter(|made| made.role != wanted) else { return };
        let (name, by) = (&def.name.name, &made.by.name.name);
        let words = |role: &str| role.replace('_', " ");
        let what = format!("{name} takes {}, and gets the {} that '{by}' makes", words(wanted), words(made.role));
        let mut d = warning("W0709", what).at(value.span, words(made.role));
        if made.call.span != value.span {
            d = d.at(made.function, format!("'{by}' here"));
        }
        if takes(made.by, 0) == Some(wanted) {
            d = d.help(format!("leave out '{by}': {name} takes the {} themselves", words(wanted)));
            let of = made.of.map(|e| self.sources.text(e.span)).filter(|text| !text.is_empty());
            d = of.map(|text| d.clone().edit(made.call.span, text)).unwrap_or(d);
        }
        self.diags.push(d);
    }

    /// The definition that a function names: `f`, `f(hyper-parameters)`, or an instance by its name.
    fn maker(&self, function: &'a Expr) -> Option<&'a Def> {
        let mut named = function;
        while let ExprKind::Call(inner, _) = &named.kind {
            named = inner;
        }
        let ExprKind::Name(name) = &named.kind else { return None };
        let name = match self.lets.get(name.as_str()).map(|value| &value.kind) {
            Some(ExprKind::Call(callee, _)) => match &callee.kind {
                ExprKind::Name(name) => name,
                _ => return None,
            },
            Some(_) => return None,
            None => name,
        };
        match self.modules.lookup(self.module, name)? {
            Global::Def(id) => Some(self.modules.def(id)),
            Global::Const(_) => None,
        }
    }

    /// What made this value last, if that says what its result is: the function itself, or the end of its body.
    fn made(&self, expr: &'a Expr, depth: usize) -> Option<Made<'a>> {
        const DEEPEST: usize = 10;
        if depth > DEEPEST {
            return None;
        }
        let (function, of) = match &expr.kind {
            ExprKind::Name(name) => return self.made(self.lets.get(name.as_str())?, depth + 1),
            ExprKind::Pipe(x, f) => (&**f, Some(&**x)),
            ExprKind::Call(f, args) => (&**f, args.first().filter(|_| args.len() == 1).map(|a| &a.value)),
            _ => return None,
        };
        let by = self.maker(function)?;
        if let Some(role) = by.result.as_ref().and_then(|ty| ty.role.as_ref()) {
            return Some(Made { by, role: &role.name, call: expr, function: function.span, of });
        }
        match by.body.stmts.last().map(|s| &s.kind) {
            Some(StmtKind::Expr(last)) => self.made(last, depth + 1),
            _ => None,
        }
    }
}

/// The role of an input.
fn takes(def: &Def, index: usize) -> Option<&str> {
    Some(&def.inputs.get(index)?.ty.as_ref()?.role.as_ref()?.name)
}
