//! Rules: states that nothing reads or updates, hyper-parameters and gradients that change nothing, constants that are zero
//! in 32 bits, divisions that can meet zero.

use crate::diag::{Diagnostic, warning};
use crate::source::Span;
use crate::syntax::ast::{Arg, BinOp, Block, Decl, Def, DefKind, Expr, ExprKind, Stmt, StmtKind};
use crate::syntax::visit::{Visitor, walk_expr, walk_index, walk_stmt};
use crate::syntax::walk::names;
use std::collections::{HashMap, HashSet};

/// Hints about one optimizer or transform.
pub fn hints(def: &Def) -> Vec<Diagnostic> {
    let mut rule = Rule::default();
    // The gradient is zero wherever nothing is to be learned.
    let gradient = if def.kind == DefKind::Optimizer { def.inputs.get(1) } else { def.inputs.first() };
    rule.zero.extend(gradient.map(|g| (g.name.name.as_str(), true)));
    rule.block(&def.body);
    rule.hints(def);
    rule.diags
}

/// What a rule's text says.
#[derive(Default)]
struct Rule<'a> {
    /// Names that expressions read; in updates of a name, other than in the value that it gets itself.
    read: HashSet<&'a str>,
    updated: HashSet<&'a str>,
    states: Vec<&'a Decl>,
    /// Whether what a name stands for at this place is zero where gradients always were.
    zero: HashMap<&'a str, bool>,
    numbers: Vec<(f64, Span)>,
    /// Names in the conditions around the expression under way.
    asked: Vec<&'a str>,
    /// The name whose new value is under way.
    target: Option<&'a str>,
    diags: Vec<Diagnostic>,
}

impl<'a> Rule<'a> {
    fn branches(&mut self, cond: &'a Expr, then: &'a Block, otherwise: Option<&'a Block>) {
        self.expr(cond);
        let before = self.asked.len();
        names(cond, &mut self.asked);
        let known = self.zero.clone();
        self.block(then);
        let taken = std::mem::replace(&mut self.zero, known);
        otherwise.iter().for_each(|b| self.block(b));
        self.zero.iter_mut().for_each(|(name, zero)| *zero |= taken.get(name) == Some(&true));
        self.asked.truncate(before);
    }

    fn call(&mut self, callee: &'a Expr, args: &'a [Arg]) {
        self.expr(callee);
        let before = self.asked.len();
        match (base_name(callee), args) {
            (Some("where"), [cond, ..]) => names(&cond.value, &mut self.asked),
            (Some("rsqrt"), [x]) => self.division(&x.value),
            _ => {}
        }
        // A rule that is called with its three inputs (theta, g, t) updates the first.
        if let ([theta, _, _], Some(callee)) = (args, base_name(callee))
            && callee != "where"
            && let Some(theta) = base_name(&theta.value)
        {
            self.updated.insert(theta);
        }
        args.iter().for_each(|a| self.expr(&a.value));
        self.asked.truncate(before);
    }

    fn division(&mut self, divisor: &'a Expr) {
        let mut named = vec![];
        names(divisor, &mut named);
        let guarded = named.iter().any(|n| self.asked.contains(n));
        if !guarded && self.can_be_zero(divisor) {
            let d = warning("W0704", "this division can meet zero").at(divisor.span, "zero where the gradient is");
            self.diags.push(
                d.help("add a small number (`… + eps`), take `maximum(…, eps)`, or choose with `where(x > 0, …, …)`"),
            );
        }
    }

    fn hints(&mut self, def: &'a Def) {
        for decl in self.states.clone() {
            let (name, at) = (decl.name.name.as_str(), decl.name.span);
            if !self.read.contains(name) {
                let what = format!("the state '{name}' is never read");
                let d = warning("W0701", what).at(at, "its values are kept for nothing");
                self.diags.push(d.help("use it in the update of the parameter, or leave it out"));
            } else if !self.updated.contains(name) && decl.value.as_ref().is_some_and(is_number) {
                let what = format!("the state '{name}' is never updated");
                let d = warning("W0701", what).at(at, "it stays at its first value");
                self.diags.push(d.help(format!("write `{name} <- …`, or use a `let`")));
            }
        }
        for hyper in &def.hypers {
            let name = hyper.name.name.as_str();
            if !self.read.contains(name) {
                let what = format!("the hyper-parameter '{name}' changes nothing");
                self.diags.push(warning("W0702", what).at(hyper.name.span, "the body does not use it"));
            }
            if let Some(Expr { kind: ExprKind::Float(v), span }) = &hyper.default {
                self.numbers.push((*v, *span));
            }
        }
        for (v, span) in std::mem::take(&mut self.numbers) {
            if v != 0.0 && v.abs() < f64::from(f32::MIN_POSITIVE) {
                let d = warning("W0703", format!("{v:e} is zero in 32 bits")).at(span, "too small");
                let least = f32::MIN_POSITIVE;
                self.diags.push(d.help(format!("the least number there is {least:e}; or run with --float f64")));
            }
        }
        let gradient = if def.kind == DefKind::Optimizer { def.inputs.get(1) } else { None };
        let known = gradient.map(|g| g.name.name.as_str());
        if def.kind == DefKind::Optimizer && known.is_none_or(|g| !self.read.contains(g)) {
            let what = format!("the rule '{}' ignores the gradient", def.name.name);
            let at = gradient.map_or(def.name.span, |g| g.name.span);
            self.diags.push(warning("W0705", what).at(at, "the body does not use it"));
        }
    }

    /// Whether an expression is zero where gradients are, as far as its form tells.
    fn can_be_zero(&self, expr: &Expr) -> bool {
        let zero = |e: &Expr| self.can_be_zero(e);
        match &expr.kind {
            ExprKind::Int(v) => *v == 0,
            ExprKind::Float(v) => *v == 0.0,
            ExprKind::Name(name) => self.zero.get(name.as_str()) == Some(&true),
            ExprKind::Unary(_, x) => zero(x),
            ExprKind::Binary(op, a, b) => match op {
                BinOp::Add => zero(a) && zero(b),
                BinOp::Mul => zero(a) || zero(b),
                BinOp::Div | BinOp::Pow => zero(a),
                _ => false,
            },
            ExprKind::Call(callee, args) => {
                const KEEP: &[&str] = &["sqrt", "abs", "norm", "rms", "sum", "mean", "max", "min", "square", "p_norm"];
                let of_all = matches!(&callee.kind, ExprKind::Field(base, _) if base_name(base) == Some("all"));
                match (base_name(callee), args.as_slice()) {
                    (Some("maximum"), [a, b]) => zero(&a.value) && zero(&b.value),
                    (Some(name), [x, ..]) if KEEP.contains(&name) => zero(&x.value),
                    (None, [x]) if of_all => zero(&x.value),
                    _ => false,
                }
            }
            ExprKind::Index(base, _) => zero(base),
            _ => false,
        }
    }
}

impl<'a> Visitor<'a> for Rule<'a> {
    fn stmt(&mut self, stmt: &'a Stmt) {
        match &stmt.kind {
            StmtKind::Let { names, value, .. } => {
                walk_stmt(self, stmt);
                if let [name] = names.as_slice() {
                    self.zero.insert(&name.name, self.can_be_zero(value));
                }
            }
            StmtKind::State(decl) => {
                walk_stmt(self, stmt);
                self.zero.insert(&decl.name.name, decl.value.as_ref().is_some_and(|v| self.can_be_zero(v)));
                self.states.push(decl);
            }
            StmtKind::Update { target, value } => {
                let name = match &target.kind {
                    ExprKind::Index(base, items) => {
                        items.iter().for_each(|i| walk_index(self, i));
                        base_name(base)
                    }
                    _ => base_name(target),
                };
                self.updated.extend(name);
                self.target = name;
                self.expr(value);
                self.target = None;
                if let Some(name) = name.filter(|n| self.zero.contains_key(n)) {
                    // Of a list, the other items stay what they were.
                    let others = matches!(target.kind, ExprKind::Index(..)) && self.zero[name];
                    self.zero.insert(name, others || self.can_be_zero(value));
                }
            }
            StmtKind::If { cond, then, otherwise } => self.branches(cond, then, otherwise.as_ref()),
            _ => walk_stmt(self, stmt),
        }
    }

    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::Float(v) => self.numbers.push((*v, expr.span)),
            ExprKind::Name(name) if self.target != Some(name) => {
                self.read.insert(name);
            }
            ExprKind::Binary(BinOp::Div, _, b) => {
                self.division(b);
                walk_expr(self, expr);
            }
            ExprKind::Call(callee, args) => self.call(callee, args),
            ExprKind::If(cond, then, otherwise) => self.branches(cond, then, otherwise.as_ref()),
            _ => walk_expr(self, expr),
        }
    }
}

fn base_name(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Name(name) => Some(name),
        _ => None,
    }
}

fn is_number(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Unary(_, x) => is_number(x),
        kind => matches!(kind, ExprKind::Int(_) | ExprKind::Float(_)),
    }
}
