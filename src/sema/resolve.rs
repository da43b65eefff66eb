//! Names in every definition, used or not: what elaboration would only find where a definition is called.
//!
//! Reports unknown names, unknown named arguments of definitions that are called directly, and second declarations of a
//! hyper-parameter or input.

use super::builtins::{Builtin, NAMED_CONSTANTS};
use super::elab::mend_name;
use super::modules::{Global, ModuleId, Modules};
use crate::diag::{Diagnostic, error};
use crate::source::Span;
use crate::syntax::ast::{
    Arg, Block, Def, DimExpr, Expr, ExprKind, Ident, ItemKind, Param, Stmt, StmtKind, Train, TypeExpr,
};
use crate::syntax::visit::{Visitor, walk_expr, walk_stmt};
use std::collections::HashSet;

/// Names that mean something everywhere.
const WORDS: &[&str] = &["training", "all", "but_last", "loss", "in", "out", "plateaus"];

/// Errors after which the rest of a text is not looked at: nobody reads more, and hostile texts end soon.
const MOST_ERRORS: usize = 50;

/// Unknown names that get a guess: each is compared with every name in scope.
const MOST_GUESSES: usize = 10;

/// Checks every definition and train item that the user wrote.
pub fn resolve(modules: &Modules) -> Vec<Diagnostic> {
    let mut diags: Vec<Diagnostic> = vec![];
    for (id, module) in modules.user_modules() {
        for item in &module.items {
            if diags.len() >= MOST_ERRORS {
                return diags;
            }
            let before = diags.len();
            let mut walk = Walk { modules, module: id, scopes: vec![HashSet::new()], diags: vec![], before };
            match &item.kind {
                ItemKind::Def(def) => walk.def(def),
                ItemKind::Const(c) => walk.expr(&c.value),
                ItemKind::Train(train) => walk.train(train),
                ItemKind::Test(test) => walk.block(&test.body),
                _ => {}
            }
            diags.append(&mut walk.diags);
        }
    }
    diags
}

struct Walk<'a> {
    modules: &'a Modules,
    module: ModuleId,
    scopes: Vec<HashSet<String>>,
    diags: Vec<Diagnostic>,
    /// Errors of the items before.
    before: usize,
}

impl Walk<'_> {
    fn define(&mut self, name: &str) {
        self.scopes.last_mut().expect("a scope is open").insert(name.to_string());
    }

    fn params(&mut self, params: &[Param]) {
        for param in params {
            if let Some(default) = &param.default {
                self.expr(default);
            }
            if self.scopes.iter().any(|s| s.contains(&param.name.name)) {
                let d = error("E0206", format!("'{}' is declared twice", param.name.name));
                self.diags.push(d.at(param.name.span, "declared again here"));
            }
            self.define(&param.name.name);
        }
    }

    fn def(&mut self, def: &Def) {
        self.params(&def.hypers);
        self.params(&def.inputs);
        // Dimension variables of the inputs are in scope in the body.
        for param in &def.inputs {
            if let Some(ty) = &param.ty {
                self.dimension_names(ty);
            }
        }
        self.block(&def.body);
        if let Some(result) = &def.result {
            self.ty(result);
        }
    }

    fn train(&mut self, train: &Train) {
        self.params(&train.hypers);
        // Settings, `let`s and the step may ask what is known about the data.
        self.define(if let ExprKind::Name(name) = &train.data.kind { name } else { "data" });
        for (_, value) in &train.settings {
            self.expr(value);
        }
        self.stmts(&train.lets);
        if let Some(step) = &train.step {
            for input in &step.inputs {
                self.define(&input.name);
            }
            self.block(&step.body);
        }
        if let Some(sample) = &train.sample {
            for arg in &sample.args {
                match (&arg.name, &arg.value.kind) {
                    (None, ExprKind::Name(column)) => self.define(column),
                    _ => self.expr(&arg.value),
                }
            }
            self.block(&sample.body);
        }
    }

    /// `D` of `float[.., D]`: every capitalised name is solved from the argument.
    fn dimension_names(&mut self, ty: &TypeExpr) {
        let mut names = vec![];
        for dim in ty.dims.iter().flatten() {
            if let DimExpr::Size(e) = dim {
                capitalised(e, &mut names);
            }
        }
        for name in names {
            self.define(&name);
        }
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        stmts.iter().for_each(|stmt| self.stmt(stmt));
    }

    /// Statements that see these names, too.
    fn scope<'n>(&mut self, names: impl Iterator<Item = &'n Ident>, stmts: &[Stmt]) {
        self.scopes.push(names.map(|n| n.name.clone()).collect());
        self.stmts(stmts);
        self.scopes.pop();
    }

    /// What is updated was declared before.
    fn target(&mut self, target: &Expr) {
        let ExprKind::Name(name) = &target.kind else { return self.expr(target) };
        let known = self.is_local(name) || self.modules.is_left_out(self.module, name);
        if known || self.before + self.diags.len() >= MOST_ERRORS {
            return;
        }
        let locals: Vec<&str> = self.scopes.iter().flatten().map(String::as_str).collect();
        let d = error("E0201", format!("unknown name '{name}'"))
            .at(target.span, "nothing of this name to update")
            .help(format!("declare it first: `state {name} = 0`"))
            .did_you_mean(target.span, name, locals);
        self.diags.push(d);
        // One message about it is enough.
        self.define(name);
    }

    fn call(&mut self, callee: &Expr, args: &[Arg]) {
        self.expr(callee);
        args.iter().for_each(|a| self.expr(&a.value));
        let ExprKind::Name(name) = &callee.kind else { return };
        if self.is_local(name) {
            return;
        }
        let Some(Global::Def(id)) = self.modules.lookup(self.module, name) else { return };
        let def = self.modules.def(id);
        let positional = args.iter().filter(|a| a.name.is_none());
        if let Some(extra) = positional.clone().nth(def.hypers.len() + def.inputs.len()) {
            let takes = def.hypers.len() + def.inputs.len();
            self.diags.push(
                error(
                    "E0202",
                    format!("{} {name} takes {takes} arguments, not {}", def.kind.keyword(), positional.count()),
                )
                .at(extra.value.span, "one argument too many")
                .at(def.name.span, "defined here"),
            );
        }
        let known: Vec<&str> = def.hypers.iter().chain(&def.inputs).map(|p| p.name.name.as_str()).collect();
        for given in args.iter().filter_map(|a| a.name.as_ref()) {
            if !known.contains(&given.name.as_str()) {
                self.unknown_argument(def, given, &known);
            }
        }
    }

    fn unknown_argument(&mut self, def: &Def, given: &Ident, known: &[&str]) {
        let word = if def.hypers.is_empty() { "input" } else { "hyper-parameter" };
        let listed: Vec<&str> = if def.hypers.is_empty() { &def.inputs } else { &def.hypers }
            .iter()
            .map(|p| p.name.name.as_str())
            .collect();
        let mut d = error("E0205", format!("{} {} has no {word} '{}'", def.kind.keyword(), def.name.name, given.name))
            .at(given.span, "unknown name")
            .at(def.name.span, "defined here")
            .did_you_mean(given.span, &given.name, known.iter().copied());
        if !listed.is_empty() {
            d = d.note(format!("{word}s: {}", listed.join(", ")));
        }
        self.diags.push(d);
    }

    fn is_local(&self, name: &str) -> bool {
        self.scopes.iter().any(|s| s.contains(name))
    }

    fn name(&mut self, name: &str, span: Span) {
        let known = self.is_local(name)
            || self.modules.lookup(self.module, name).is_some()
            || WORDS.contains(&name)
            || NAMED_CONSTANTS.iter().any(|(n, _)| *n == name)
            || Builtin::from_name(name).is_some()
            || self.modules.is_left_out(self.module, name);
        let errors = self.before + self.diags.len();
        if known || errors >= MOST_ERRORS {
            return;
        }
        let unknown = error("E0201", format!("unknown name '{name}'")).at(span, "not defined here");
        self.diags.push(if errors < MOST_GUESSES {
            let locals = self.scopes.iter().flatten().map(String::as_str);
            let names = locals.chain(self.modules.names(self.module));
            mend_name(unknown, self.modules, self.module, name, span, names)
        } else {
            unknown
        });
        // One message about a name is enough.
        self.scopes.first_mut().expect("a scope is open").insert(name.to_string());
    }
}

impl Visitor<'_> for Walk<'_> {
    fn block(&mut self, block: &Block) {
        self.scope(std::iter::empty(), &block.stmts);
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Let { names, ty, value } => {
                self.expr(value);
                ty.iter().for_each(|ty| self.dimension_names(ty));
                names.iter().for_each(|n| self.define(&n.name));
            }
            StmtKind::Param(decl) | StmtKind::State(decl) => {
                walk_stmt(self, stmt);
                self.define(&decl.name.name);
            }
            StmtKind::Update { target, value } => {
                self.target(target);
                self.expr(value);
            }
            StmtKind::Eval { target, value } => {
                self.name(&target.name, target.span);
                self.expr(value);
            }
            StmtKind::If { cond, then, otherwise } => {
                self.expr(cond);
                // Declarations of a branch that is chosen at compile time belong to the enclosing block.
                self.stmts(&then.stmts);
                otherwise.iter().for_each(|block| self.stmts(&block.stmts));
            }
            StmtKind::For { var, range, body } => {
                self.expr(range);
                self.scope(std::iter::once(var), &body.stmts);
            }
            StmtKind::Minimize(m) => {
                self.expr(&m.loss);
                for group in &m.groups {
                    let rest = matches!(&group.over, Some(Expr { kind: ExprKind::Name(n), .. }) if n == "rest");
                    if let (Some(over), false) = (&group.over, rest) {
                        self.expr(over);
                    }
                    // The words of a filter are those of the model's parameters: elaboration knows them.
                    self.expr(&group.optimizer);
                }
            }
            _ => walk_stmt(self, stmt),
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Name(name) => self.name(name, expr.span),
            ExprKind::Call(callee, args) => self.call(callee, args),
            ExprKind::Scan(scan) => {
                scan.items.iter().chain(&scan.settings).for_each(|(_, e)| self.expr(e));
                self.scope(scan.items.iter().map(|(name, _)| name), &scan.body.stmts);
            }
            _ => walk_expr(self, expr),
        }
    }
}

fn capitalised(expr: &Expr, out: &mut Vec<String>) {
    match &expr.kind {
        ExprKind::Name(name) if name.chars().next().is_some_and(char::is_uppercase) => out.push(name.clone()),
        ExprKind::Unary(_, x) => capitalised(x, out),
        ExprKind::Binary(_, a, b) => {
            capitalised(a, out);
            capitalised(b, out);
        }
        _ => {}
    }
}
