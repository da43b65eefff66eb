//! What a name stands for at one place of a body, and which time index it has there.

use super::names::{Symbol, symbol};
use crate::syntax::ast::{BinOp, Block, Def, DefKind, Expr, ExprKind, StmtKind};
use crate::syntax::walk::{each_stmt, walk};
use std::collections::HashMap;

/// What a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The same in all steps.
    Constant,
    /// Carried from step to step: t - 1 before its first update, t after it.
    Carried,
    /// Made anew in each step.
    Made,
    /// `t` itself, or what is already a formula.
    Time,
}

#[derive(Clone, Debug)]
struct Name {
    symbol: Symbol,
    role: Role,
    updated: bool,
    tensor: bool,
    hyper: bool,
}

/// Names of a definition, at one place of its body.
#[derive(Clone, Debug)]
pub struct Scope {
    names: HashMap<String, Name>,
    taken: Vec<String>,
    /// Rules have time indices; layers and losses do not.
    pub timed: bool,
    /// Before the first step: carried values have the index 0, what is made the index 1.
    pub starting: bool,
    /// Inside `shape(theta)`: shapes are the same in all steps.
    pub bare: bool,
}

impl Scope {
    pub fn new(def: &Def) -> Scope {
        let timed = matches!(def.kind, DefKind::Optimizer | DefKind::Transform);
        let mut taken: Vec<String> = def.hypers.iter().chain(&def.inputs).map(|p| p.name.name.clone()).collect();
        declared(&def.body, &mut taken);
        let mut scope = Scope { names: HashMap::new(), taken, timed, starting: false, bare: false };
        for hyper in &def.hypers {
            scope.add(&hyper.name.name, Role::Constant, false);
            if let Some(name) = scope.names.get_mut(&hyper.name.name) {
                name.hyper = true;
            }
        }
        // An optimizer has (theta, g, t, loss), a transform (g, theta, t, loss).
        let roles: &[Role] = match def.kind {
            DefKind::Optimizer => &[Role::Carried, Role::Made, Role::Time, Role::Made],
            DefKind::Transform => &[Role::Made, Role::Carried, Role::Time, Role::Made],
            _ => &[],
        };
        for (k, input) in def.inputs.iter().enumerate() {
            let role = roles.get(k).copied().unwrap_or(Role::Constant);
            scope.add(&input.name.name, role, k < 2);
        }
        if timed && let Some(loss) = def.inputs.get(3) {
            // The loss is the value of what is minimized.
            let point = def.inputs.iter().find(|i| i.name.name.starts_with("th") || i.name.name == "θ");
            let symbol = point.map_or_else(|| Symbol::word("loss"), |_| symbol("f", &[]));
            if let Some(name) = scope.names.get_mut(&loss.name.name) {
                name.symbol = symbol;
            }
        }
        scope
    }

    fn add(&mut self, name: &str, role: Role, tensor: bool) {
        let taken: Vec<&str> = self.taken.iter().map(String::as_str).collect();
        let role = if self.timed || role == Role::Time { role } else { Role::Constant };
        let entry = Name { symbol: symbol(name, &taken), role, updated: false, tensor, hyper: false };
        self.names.insert(name.to_string(), entry);
    }

    /// The scope inside `shape(theta)`.
    pub fn without_time(&self) -> Scope {
        Scope { bare: true, ..self.clone() }
    }

    /// Whether the definition has this name anywhere.
    pub fn has(&self, name: &str) -> bool {
        self.taken.iter().any(|t| t == name)
    }

    pub fn knows(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// A state; one that nothing updates keeps its first value, and has no time index.
    pub fn declare_state(&mut self, name: &str, tensor: bool, changes: bool) {
        self.add(name, if changes { Role::Carried } else { Role::Constant }, tensor);
    }

    /// A local value: of this step if it is made from anything of the step.
    pub fn declare(&mut self, name: &str, value: Option<&Expr>) {
        let made = value.is_none_or(|e| self.changes(e));
        let tensor = value.is_some_and(|e| self.is_tensor(e));
        self.add(name, if made { Role::Made } else { Role::Constant }, tensor);
    }

    /// Whether a value differs from step to step.
    fn changes(&self, e: &Expr) -> bool {
        let mut found = false;
        walk(e, &mut |inner| {
            if let ExprKind::Name(name) = &inner.kind {
                found |= self.names.get(name).is_some_and(|n| n.role != Role::Constant);
            }
            !is_about_shape(inner)
        });
        found
    }

    /// Whether `name` has its value of this step already.
    pub fn is_updated(&self, name: &str) -> bool {
        self.names.get(name).is_some_and(|n| n.updated || n.role == Role::Made)
    }

    pub fn update(&mut self, name: &str) {
        if let Some(known) = self.names.get_mut(name) {
            known.updated = true;
        }
    }

    /// What either branch updated is updated after both.
    pub fn join(&mut self, branch: Scope) {
        for (name, found) in branch.names {
            let known = self.names.entry(name).or_insert_with(|| found.clone());
            known.updated |= found.updated;
        }
    }

    /// A name as the formula writes it here, and whether it has a superscript.
    pub fn written(&self, name: &str) -> (String, bool) {
        let Some(known) = self.names.get(name) else {
            let taken: Vec<&str> = self.taken.iter().map(String::as_str).collect();
            let symbol = symbol(name, &taken);
            return (symbol.at(None), symbol.has_superscript());
        };
        let time = match (known.role, self.starting) {
            _ if self.bare => None,
            (Role::Constant | Role::Time, _) => None,
            (Role::Carried, true) => Some("0"),
            (Role::Made, true) => Some("1"),
            (Role::Carried, false) if !known.updated => Some("t-1"),
            _ => Some("t"),
        };
        (known.symbol.at(time), known.symbol.has_superscript())
    }

    /// Whether a factor may stand before a fraction: a hyper-parameter by itself.
    pub fn is_hyper(&self, e: &Expr) -> bool {
        matches!(&e.kind, ExprKind::Name(name) if self.names.get(name).is_some_and(|n| n.hyper))
    }

    /// Whether a value has one element for each of the parameter's, as far as the text shows.
    pub fn is_tensor(&self, e: &Expr) -> bool {
        match &e.kind {
            ExprKind::Name(name) => self.names.get(name).is_some_and(|n| n.tensor),
            ExprKind::Unary(_, x) => self.is_tensor(x),
            ExprKind::Binary(BinOp::MatMul, ..) => true,
            ExprKind::Binary(_, a, b) => self.is_tensor(a) || self.is_tensor(b),
            ExprKind::If(_, then, _) => match then.stmts.last().map(|s| &s.kind) {
                Some(StmtKind::Expr(value)) => self.is_tensor(value),
                _ => false,
            },
            ExprKind::Index(x, _) => self.is_tensor(x),
            ExprKind::Call(f, args) => match &f.kind {
                // Reductions of a whole tensor are numbers.
                ExprKind::Name(n)
                    if [
                        "sum", "mean", "norm", "rms", "dot", "std", "variance", "size", "rank", "shape", "max", "min",
                    ]
                    .contains(&n.as_str()) =>
                {
                    args.iter().any(|a| a.name.as_ref().is_some_and(|n| n.name == "axis"))
                }
                ExprKind::Name(_) => args.iter().any(|a| self.is_tensor(&a.value)),
                _ => false,
            },
            _ => false,
        }
    }
}

/// Names that a block declares.
fn declared(block: &Block, out: &mut Vec<String>) {
    each_stmt(block, &mut |stmt| match &stmt.kind {
        StmtKind::Let { names, .. } => out.extend(names.iter().map(|n| n.name.clone())),
        StmtKind::State(decl) | StmtKind::Param(decl) => out.push(decl.name.name.clone()),
        StmtKind::For { var, .. } => out.push(var.name.clone()),
        _ => {}
    });
}

/// `rank(theta)`, `shape(theta)`, `size(theta)`: known before the first step.
pub fn is_about_shape(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Call(f, _) => matches!(&f.kind, ExprKind::Name(n) if ["rank", "shape", "size"].contains(&n.as_str())),
        _ => false,
    }
}
