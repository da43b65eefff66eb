//! A definition as the box of a paper, in LaTeX, made from its tree: what runs, not what the comment says.
//!
//! [`names`] writes names, [`scope`] knows which time index each has, [`expr`] writes expressions; here statements become
//! rows. A carried value has the index t - 1 before its first update and t after it; a second update of the same value in a
//! step is written with an arrow, as PyTorch's documentation does.

mod expr;
mod names;
mod scope;

use crate::syntax::ast::{Block, Decl, Def, DefKind, DimExpr, Expr, ExprKind, Param, Stmt, StmtKind, TypeExpr};
use crate::syntax::walk::each_stmt;
use expr::latex;
use scope::Scope;
use std::collections::HashSet;

/// The definition as an `aligned` block, for use in a display.
pub fn definition(def: &Def) -> String {
    let mut writer = Writer { scope: Scope::new(def), rows: vec![], depth: 0, changed: changed(&def.body), def };
    writer.first_values();
    writer.block(&def.body, true);
    let indented = writer.rows.iter().any(|r| r.is_block);
    let rows: Vec<String> = writer.rows.iter().map(|r| r.text(indented)).collect();
    format!("\\begin{{aligned}}\n{}\n\\end{{aligned}}", rows.join(" \\\\\n"))
}

/// One row: an equation in two halves, or a line of control.
struct Row {
    depth: usize,
    left: String,
    right: String,
    is_block: bool,
}

impl Row {
    /// Rows with blocks between them stand at the left, as in an algorithm; others are aligned at the equals sign.
    fn text(&self, indented: bool) -> String {
        match indented {
            true => format!("& {}{} {}", "\\quad ".repeat(self.depth), self.left, self.right).trim_end().to_string(),
            false if self.right.is_empty() => format!("& {}", self.left),
            false => format!("{} &{}", self.left, self.right),
        }
    }
}

struct Writer<'a> {
    scope: Scope,
    rows: Vec<Row>,
    depth: usize,
    /// Names that some statement updates.
    changed: HashSet<String>,
    def: &'a Def,
}

/// Names that are updated somewhere in a body: by `<-`, or by a rule that is called with the parameter.
fn changed(body: &Block) -> HashSet<String> {
    let mut out = HashSet::new();
    each_stmt(body, &mut |stmt| {
        if let StmtKind::Update { target, .. } = &stmt.kind {
            out.extend(base_name(target).map(str::to_string));
        }
    });
    out
}

/// `m` of `m`, `b` of `b[i]`.
fn base_name(target: &Expr) -> Option<&str> {
    match &target.kind {
        ExprKind::Name(name) => Some(name),
        ExprKind::Index(x, _) => base_name(x),
        _ => None,
    }
}

impl Writer<'_> {
    fn row(&mut self, left: impl Into<String>, right: impl Into<String>, is_block: bool) {
        self.rows.push(Row { depth: self.depth, left: left.into(), right: right.into(), is_block });
    }

    /// Declares all states, and writes what they start from in one row.
    fn first_values(&mut self) {
        let mut decls: Vec<&Decl> = vec![];
        each_stmt(&self.def.body, &mut |stmt| {
            if let StmtKind::State(decl) = &stmt.kind {
                decls.push(decl);
            }
        });
        let mut seen = HashSet::new();
        decls.retain(|d| seen.insert(d.name.name.clone()));
        for decl in &decls {
            // A state with a type of no dimensions is one number.
            let tensor = !decl.whole && decl.ty.as_ref().is_none_or(|ty| ty.dims.is_some());
            self.scope.declare_state(&decl.name.name, tensor, self.changed.contains(&decl.name.name));
        }
        let starts: Vec<String> = decls
            .iter()
            .filter_map(|decl| {
                let mut scope = self.scope.clone();
                scope.starting = true;
                // A value that is made in the step is written out where it is made.
                let value = latex(decl.value.as_ref()?, &scope);
                let name = scope.written(&decl.name.name).0;
                // `state theta0 = theta` only says what the name says.
                (name != value).then(|| format!("{name} = {value}"))
            })
            .collect();
        if !starts.is_empty() {
            let text = starts.join(", \\quad ");
            self.row(text, "", false);
        }
    }

    fn block(&mut self, block: &Block, outermost: bool) {
        for (k, stmt) in block.stmts.iter().enumerate() {
            let last = outermost && k + 1 == block.stmts.len();
            self.stmt(stmt, last);
        }
    }

    fn inside(&mut self, block: &Block) -> Scope {
        let before = self.scope.clone();
        self.depth += 1;
        self.block(block, false);
        self.depth -= 1;
        std::mem::replace(&mut self.scope, before)
    }

    fn stmt(&mut self, stmt: &Stmt, last: bool) {
        match &stmt.kind {
            StmtKind::State(_) | StmtKind::Observe(_) | StmtKind::Expect { .. } => {}
            StmtKind::Param(decl) => {
                self.scope.declare(&decl.name.name, decl.value.as_ref());
                let space = decl.ty.as_ref().map(|ty| self.space(ty)).unwrap_or_default();
                let name = self.scope.written(&decl.name.name).0;
                self.row(name, format!("\\in {space}"), false);
            }
            StmtKind::Let { names, value, .. } => self.local(names.iter().map(|n| n.name.as_str()).collect(), value),
            StmtKind::Update { target, value } => self.update(target, value),
            StmtKind::Eval { value, .. } => {
                let value = latex(value, &self.scope);
                self.row(format!("\\text{{evaluate at }} {value}"), "", false);
            }
            StmtKind::Expr(e) => self.expression(e, last),
            StmtKind::If { cond, then, otherwise } => {
                let cond = latex(cond, &self.scope);
                self.row(format!("\\textbf{{if }} {cond}"), "", true);
                let first = self.inside(then);
                let second = otherwise.as_ref().map(|block| {
                    self.row("\\textbf{else}", "", true);
                    self.inside(block)
                });
                self.scope.join(first);
                if let Some(second) = second {
                    self.scope.join(second);
                }
            }
            StmtKind::For { var, range, body } => {
                let range = latex(range, &self.scope);
                self.scope.declare(&var.name, Some(&NOTHING));
                let var = self.scope.written(&var.name).0;
                self.row(format!("\\textbf{{for }} {var} = {range}"), "", true);
                let after = self.inside(body);
                self.scope.join(after);
            }
            StmtKind::Minimize(_) | StmtKind::Report(_) => {}
        }
    }

    fn local(&mut self, names: Vec<&str>, value: &Expr) {
        // A pair of values is a pair of rows.
        if let ExprKind::Tuple(items) = &value.kind
            && items.len() == names.len()
        {
            names.into_iter().zip(items).for_each(|(name, item)| self.local(vec![name], item));
            return;
        }
        let text = latex(value, &self.scope);
        names.iter().for_each(|name| self.scope.declare(name, Some(value)));
        let left: Vec<String> = names.iter().map(|name| self.scope.written(name).0).collect();
        let left = if let [one] = &left[..] { one.clone() } else { format!("({})", left.join(", ")) };
        self.row(left, format!("= {text}"), false);
    }

    fn update(&mut self, target: &Expr, value: &Expr) {
        let text = latex(value, &self.scope);
        let name = base_name(target).unwrap_or("");
        let sign = if self.scope.is_updated(name) || !self.scope.timed { "\\leftarrow" } else { "=" };
        self.scope.update(name);
        let left = latex(target, &self.scope);
        self.row(left, format!("{sign} {text}"), false);
    }

    /// The value of the definition, or a rule that is called for its effect.
    fn expression(&mut self, e: &Expr, last: bool) {
        if let ExprKind::Call(f, _) = &e.kind
            && matches!(&f.kind, ExprKind::Name(n) if n == "assert")
        {
            // A check of shapes is no part of the formula.
            return;
        }
        let text = latex(e, &self.scope);
        if let ExprKind::Call(_, args) = &e.kind
            && self.def.kind == DefKind::Optimizer
            && let Some(name) = args.first().and_then(|a| base_name(&a.value))
        {
            let name = name.to_string();
            let sign = if self.scope.is_updated(&name) { "\\leftarrow" } else { "=" };
            self.scope.update(&name);
            let left = self.scope.written(&name).0;
            return self.row(left, format!("{sign} {text}"), false);
        }
        if self.def.kind == DefKind::Optimizer {
            return self.row(text, "", false);
        }
        let left = match (last, self.def.kind) {
            (true, DefKind::Transform) if self.scope.has("u") => "u'_t".to_string(),
            (true, DefKind::Transform) => "u_t".to_string(),
            (true, _) => self.head(),
            (false, _) => "\\text{result}".to_string(),
        };
        self.row(left, format!("= {text}"), false);
    }

    /// `\operatorname{mse}(x, y)`
    fn head(&self) -> String {
        let inputs: Vec<String> = self.def.inputs.iter().map(|i: &Param| self.scope.written(&i.name.name).0).collect();
        let name = self.def.name.name.replace('_', "\\_");
        format!("\\operatorname{{{name}}}({})", inputs.join(", "))
    }

    /// `\mathbb{R}^{D \times 10}`
    fn space(&self, ty: &TypeExpr) -> String {
        let dims: Vec<String> = ty
            .dims
            .iter()
            .flatten()
            .map(|d| match d {
                DimExpr::Rest(_) => "\\cdots".to_string(),
                DimExpr::Size(e) => latex(e, &self.scope),
            })
            .collect();
        match dims.is_empty() {
            true => "\\mathbb{R}".to_string(),
            false => format!("\\mathbb{{R}}^{{{}}}", dims.join(" \\times ")),
        }
    }
}

/// What a loop's variable is made from: nothing of the step.
const NOTHING: Expr =
    Expr { kind: ExprKind::Int(0), span: crate::source::Span { file: crate::source::FileId(0), start: 0, end: 0 } };
