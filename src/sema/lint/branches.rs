//! Branches that are never taken: conditions that are written out, and those that an `if` around them has decided.

use crate::diag::{Diagnostic, warning};
use crate::source::Span;
use crate::syntax::ast::{BinOp, Block, Expr, ExprKind, Ident, Stmt, StmtKind, UnOp};
use crate::syntax::print;
use crate::syntax::visit::{Visitor, walk_expr, walk_stmt};
use crate::syntax::walk::walk;
use std::collections::HashMap;

/// Hints about the body of a definition, training or test; `names` have a value where it begins.
pub fn never_taken<'a>(names: impl Iterator<Item = &'a Ident>, body: &'a Block) -> Vec<Diagnostic> {
    let mut bound = Bound::default();
    names.for_each(|name| bound.bind(&name.name, 1));
    bound.block(body);
    let mut branches = Branches { bound, known: vec![], diags: vec![] };
    branches.block(body);
    branches.diags
}

/// How often each name gets a value. One that gets several may mean something else further on.
#[derive(Default)]
struct Bound<'a>(HashMap<&'a str, usize>);

impl<'a> Bound<'a> {
    fn bind(&mut self, name: &'a str, times: usize) {
        *self.0.entry(name).or_insert(0) += times;
    }
}

impl<'a> Visitor<'a> for Bound<'a> {
    fn stmt(&mut self, stmt: &'a Stmt) {
        match &stmt.kind {
            StmtKind::Let { names, .. } => names.iter().for_each(|n| self.bind(&n.name, 1)),
            StmtKind::For { var, .. } => self.bind(&var.name, 2),
            StmtKind::Update { target, .. } => {
                walk(target, &mut |e| {
                    if let ExprKind::Name(name) = &e.kind {
                        self.bind(name, 2);
                    }
                    true
                });
            }
            _ => {}
        }
        walk_stmt(self, stmt);
    }

    fn expr(&mut self, expr: &'a Expr) {
        if let ExprKind::Scan(scan) = &expr.kind {
            scan.items.iter().for_each(|(name, _)| self.bind(&name.name, 2));
        }
        walk_expr(self, expr);
    }
}

struct Branches<'a> {
    bound: Bound<'a>,
    /// Conditions around the place under way, as text: what they are here, and where they stand.
    known: Vec<(String, bool, Span)>,
    diags: Vec<Diagnostic>,
}

impl<'a> Branches<'a> {
    fn choice(&mut self, cond: &'a Expr, then: &'a Block, otherwise: Option<&'a Block>) {
        let text = self.is_lasting(cond).then(|| print::expr(cond));
        let before = text.as_ref().and_then(|text| self.known.iter().find(|(known, ..)| known == text));
        let decided = decided(cond).map(|taken| (taken, None)).or(before.map(|(_, taken, at)| (*taken, Some(*at))));
        if let Some((taken, asked)) = decided {
            let what = format!("this condition is always {taken}{}", if asked.is_some() { " here" } else { "" });
            let mut d = warning("W0708", what).at(cond.span, "decided here");
            if let Some(asked) = asked {
                d.labels[0].text = format!("{taken} in this branch");
                d = d.at(asked, "asked before");
            }
            if let Some(block) = if taken { otherwise } else { Some(then) } {
                d = d.at(block.span, "never taken");
            }
            self.diags.push(d);
        }
        self.expr(cond);
        let depth = self.known.len();
        for (block, taken) in [(Some(then), true), (otherwise, false)] {
            self.known.extend(text.clone().map(|text| (text, taken, cond.span)));
            block.into_iter().for_each(|block| self.block(block));
            self.known.truncate(depth);
        }
    }

    /// Whether the condition is the same wherever it stands: made of names with one value each, and of facts about shapes.
    fn is_lasting(&self, cond: &Expr) -> bool {
        const FACTS: &[&str] = &["rank", "shape", "size", "len", "is_int"];
        let mut lasting = true;
        walk(cond, &mut |e| {
            lasting &= match &e.kind {
                ExprKind::Name(name) => self.bound.0.get(name.as_str()).is_none_or(|times| *times < 2),
                ExprKind::Call(f, _) => matches!(&f.kind, ExprKind::Name(f) if FACTS.contains(&f.as_str())),
                ExprKind::If(..) | ExprKind::Scan(_) | ExprKind::Pipe(..) => false,
                _ => true,
            };
            lasting
        });
        lasting
    }
}

impl<'a> Visitor<'a> for Branches<'a> {
    fn stmt(&mut self, stmt: &'a Stmt) {
        match &stmt.kind {
            StmtKind::If { cond, then, otherwise } => self.choice(cond, then, otherwise.as_ref()),
            _ => walk_stmt(self, stmt),
        }
    }

    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::If(cond, then, otherwise) => self.choice(cond, then, otherwise.as_ref()),
            _ => walk_expr(self, expr),
        }
    }
}

/// The truth of a condition that is written out.
fn decided(cond: &Expr) -> Option<bool> {
    match &cond.kind {
        ExprKind::Bool(b) => Some(*b),
        ExprKind::Unary(UnOp::Not, x) => decided(x).map(|b| !b),
        ExprKind::Binary(BinOp::And, a, b) => match (decided(a), decided(b)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        },
        ExprKind::Binary(BinOp::Or, a, b) => match (decided(a), decided(b)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        },
        ExprKind::Binary(op, a, b) => {
            let (a, b) = (number(a)?, number(b)?);
            match op {
                BinOp::Eq => Some(a == b),
                BinOp::Ne => Some(a != b),
                BinOp::Lt => Some(a < b),
                BinOp::Le => Some(a <= b),
                BinOp::Gt => Some(a > b),
                BinOp::Ge => Some(a >= b),
                _ => None,
            }
        }
        _ => None,
    }
}

fn number(e: &Expr) -> Option<f64> {
    match &e.kind {
        ExprKind::Int(v) => Some(*v as f64),
        ExprKind::Float(v) => Some(*v),
        ExprKind::Unary(UnOp::Neg, x) => number(x).map(|v| -v),
        _ => None,
    }
}
