//! The syntax tree as indented text (`optc ir --stage ast`).
//!
//! One node a line, its place (`line:column`) at the end, what belongs to it two blanks further in. Expressions are
//! written as S-expressions on one line: `(+ x (* 2 y))`.

use std::fmt::Write;

use super::ast::*;
use crate::source::{SourceMap, Span};

/// Prints a file's tree. Places are byte offsets (`@start..end`), since the tree does not hold the text.
pub fn print(file: &File) -> String {
    Printer { places: Places::Bytes, out: String::new(), indent: 0 }.file(file)
}

/// Prints a file's tree with places as `line:column`.
pub fn print_with_places(sources: &SourceMap, file: &File) -> String {
    Printer { places: Places::Lines(sources), out: String::new(), indent: 0 }.file(file)
}

/// Prints a file's tree without places: two texts with the same outline mean the same.
pub fn outline(file: &File) -> String {
    Printer { places: Places::None, out: String::new(), indent: 0 }.file(file)
}

/// How places are written.
#[derive(Clone, Copy)]
enum Places<'a> {
    None,
    Bytes,
    Lines(&'a SourceMap),
}

struct Printer<'a> {
    places: Places<'a>,
    out: String,
    indent: usize,
}

impl Printer<'_> {
    fn file(mut self, file: &File) -> String {
        for item in &file.items {
            self.item(item);
        }
        self.out
    }

    fn line(&mut self, text: impl AsRef<str>, span: Span) {
        let place = match self.places {
            Places::Lines(sources) => {
                let (line, column) = sources.line_col(span);
                format!("  {line}:{column}")
            }
            Places::Bytes => format!("  @{}..{}", span.start, span.end),
            Places::None => String::new(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(self.out, "{:indent$}{}{place}", "", text.as_ref(), indent = self.indent);
    }

    fn inside(&mut self, body: impl FnOnce(&mut Self)) {
        self.indent += 2;
        body(self);
        self.indent -= 2;
    }

    fn item(&mut self, item: &Item) {
        for line in item.doc.iter().flat_map(|doc| doc.lines()) {
            let _ = writeln!(self.out, "{}", format!("/// {line}").trim_end());
        }
        match &item.kind {
            ItemKind::Use(u) => self.line(use_text(u), item.span),
            ItemKind::Const(c) => {
                let text = format!("const {}{} = {}", c.name.name, type_note(&c.ty), expr(&c.value));
                self.line(text, item.span);
            }
            ItemKind::Data(d) => self.line(format!("data {} = {}", d.name.name, expr(&d.value)), item.span),
            ItemKind::Def(d) => {
                let result = d.result.as_ref().map_or(String::new(), |ty| format!(" -> {}", type_text(ty)));
                let head = format!("{} {}{}{result}", d.kind.keyword(), d.name.name, params(&d.hypers, &d.inputs));
                self.line(head, item.span);
                self.block(&d.body);
            }
            ItemKind::Train(t) => self.train(t, item.span),
            ItemKind::Compare(e) => self.experiment("compare", e, item.span),
            ItemKind::Sweep(e) => self.experiment("sweep", e, item.span),
            ItemKind::Test(t) => {
                self.line(format!("test {:?}", t.name), item.span);
                self.block(&t.body);
            }
        }
    }

    fn train(&mut self, train: &Train, span: Span) {
        let hypers = if train.hypers.is_empty() { String::new() } else { param_list(&train.hypers) };
        self.line(format!("train {}{hypers} on {}", train.name.name, expr(&train.data)), span);
        self.inside(|p| {
            for (name, value) in &train.settings {
                p.line(format!("set {} = {}", name.name, expr(value)), name.span);
            }
            if let Some(objective) = &train.objective {
                p.objective(objective);
            }
            for stmt in &train.lets {
                p.stmt(stmt);
            }
            if let Some(step) = &train.step {
                let inputs: Vec<_> = step.inputs.iter().map(|i| i.name.as_str()).collect();
                p.line(format!("step({})", inputs.join(", ")), step.span);
                p.block(&step.body);
            }
            if let Some(sample) = &train.sample {
                p.line(format!("sample({})", arguments(&sample.args)), sample.span);
                p.block(&sample.body);
            }
        });
    }

    fn experiment(&mut self, kind: &str, e: &Experiment, span: Span) {
        self.line(format!("{kind} {}", e.train.name), span);
        self.inside(|p| {
            for (name, values) in &e.axes {
                p.line(format!("over {} in {}", name.name, expr(values)), name.span);
            }
            for (name, value) in &e.settings {
                p.line(format!("set {} = {}", name.name, expr(value)), name.span);
            }
            if let Some(strategy) = &e.strategy {
                p.line(format!("by {}", expr(strategy)), strategy.span);
            }
            if let Some(objective) = &e.objective {
                p.objective(objective);
            }
        });
    }

    fn objective(&mut self, (maximize, value): &(bool, Expr)) {
        let verb = if *maximize { "maximizing" } else { "minimizing" };
        self.line(format!("{verb} {}", expr(value)), value.span);
    }

    fn block(&mut self, block: &Block) {
        self.inside(|p| block.stmts.iter().for_each(|s| p.stmt(s)));
    }

    fn stmt(&mut self, stmt: &Stmt) {
        let span = stmt.span;
        match &stmt.kind {
            StmtKind::Let { names, ty, value } => {
                let names: Vec<_> = names.iter().map(|n| n.name.as_str()).collect();
                self.line(format!("let {}{} = {}", names.join(", "), type_note(ty), expr(value)), span);
            }
            StmtKind::Param(d) => self.line(format!("param {}", decl(d)), span),
            StmtKind::State(d) => {
                let whole = if d.whole { "all " } else { "" };
                self.line(format!("{whole}state {}", decl(d)), span)
            }
            StmtKind::Update { target, value } => self.line(format!("{} <- {}", expr(target), expr(value)), span),
            StmtKind::Eval { target, value } => self.line(format!("eval {} = {}", target.name, expr(value)), span),
            StmtKind::Expr(e) => self.line(expr(e), span),
            StmtKind::If { cond, then, otherwise } => {
                self.line(format!("if {}", expr(cond)), span);
                self.block(then);
                if let Some(otherwise) = otherwise {
                    self.line("else", otherwise.span);
                    self.block(otherwise);
                }
            }
            StmtKind::For { var, range, body } => {
                self.line(format!("for {} in {}", var.name, expr(range)), span);
                self.block(body);
            }
            StmtKind::Minimize(m) => {
                self.line(format!("minimize {}", expr(&m.loss)), span);
                self.inside(|p| m.groups.iter().for_each(|g| p.group(g)));
            }
            StmtKind::Report(list) => self.line(format!("report {}", exprs(list, ", ")), span),
            StmtKind::Observe(list) => self.line(format!("observe {}", exprs(list, ", ")), span),
            StmtKind::Expect { value, near, within } => {
                let near = near.as_ref().map_or(String::new(), |e| format!(" ~ {}", expr(e)));
                let within = within.as_ref().map_or(String::new(), |e| format!(" within {}", expr(e)));
                self.line(format!("expect {}{near}{within}", expr(value)), span);
            }
        }
    }

    fn group(&mut self, group: &Group) {
        let over = group.over.as_ref().map_or(String::new(), |e| format!("over {} ", expr(e)));
        let filter = group.filter.as_ref().map_or(String::new(), |e| format!("where {} ", expr(e)));
        self.line(format!("{over}{filter}with {}", expr(&group.optimizer)), group.optimizer.span);
    }
}

fn use_text(u: &Use) -> String {
    let module = if u.is_file { format!("{:?}", u.module.name) } else { u.module.name.clone() };
    match &u.names {
        None => format!("use {module}.*"),
        Some(names) => {
            let names: Vec<_> = names.iter().map(|n| n.name.as_str()).collect();
            format!("use {module}.{{{}}}", names.join(", "))
        }
    }
}

fn params(hypers: &[Param], inputs: &[Param]) -> String {
    format!("{}{}", param_list(hypers), param_list(inputs))
}

fn param_list(list: &[Param]) -> String {
    let param = |p: &Param| {
        let default = p.default.as_ref().map_or(String::new(), |e| format!(" = {}", expr(e)));
        format!("{}{}{default}", p.name.name, type_note(&p.ty))
    };
    format!("({})", list.iter().map(param).collect::<Vec<_>>().join(", "))
}

fn decl(d: &Decl) -> String {
    let value = d.value.as_ref().map_or(String::new(), |e| format!(" = {}", expr(e)));
    format!("{}{}{value}", d.name.name, type_note(&d.ty))
}

fn type_note(ty: &Option<TypeExpr>) -> String {
    ty.as_ref().map_or(String::new(), |ty| format!(": {}", type_text(ty)))
}

fn type_text(ty: &TypeExpr) -> String {
    let role = ty.role.as_ref().map_or(String::new(), |role| format!(" role {}", role.name));
    let Some(dims) = &ty.dims else { return format!("{}{role}", ty.base.name) };
    let dim = |d: &DimExpr| match d {
        DimExpr::Rest(_) => "..".to_string(),
        DimExpr::Size(e) => expr(e),
    };
    format!("{}[{}]{role}", ty.base.name, dims.iter().map(dim).collect::<Vec<_>>().join(", "))
}

fn exprs(list: &[Expr], between: &str) -> String {
    list.iter().map(expr).collect::<Vec<_>>().join(between)
}

fn arguments(args: &[Arg]) -> String {
    let arg = |a: &Arg| match &a.name {
        Some(name) => format!("{} = {}", name.name, expr(&a.value)),
        None => expr(&a.value),
    };
    args.iter().map(arg).collect::<Vec<_>>().join(", ")
}

/// An expression as an S-expression, with every grouping visible.
pub fn expr(e: &Expr) -> String {
    match &e.kind {
        ExprKind::Int(value) => value.to_string(),
        ExprKind::Float(value) => format!("{value:?}"),
        ExprKind::Str(value) => format!("{value:?}"),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Name(name) => name.clone(),
        ExprKind::List(items) => format!("[{}]", exprs(items, ", ")),
        ExprKind::Tuple(items) => format!("(tuple {})", exprs(items, " ")),
        ExprKind::Unary(UnOp::Neg, inner) => format!("(- {})", expr(inner)),
        ExprKind::Unary(UnOp::Not, inner) => format!("(not {})", expr(inner)),
        ExprKind::Binary(op, a, b) => format!("({} {} {})", op.symbol(), expr(a), expr(b)),
        ExprKind::Pipe(a, b) => format!("(|> {} {})", expr(a), expr(b)),
        ExprKind::Range(a, b) => format!("(.. {} {})", expr(a), expr(b)),
        ExprKind::Call(f, args) => {
            format!("{}({})", expr(f), arguments(args))
        }
        ExprKind::Index(base, items) => {
            format!("{}[{}]", expr(base), items.iter().map(index).collect::<Vec<_>>().join(", "))
        }
        ExprKind::Field(base, name) => format!("{}.{}", expr(base), name.name),
        ExprKind::Scan(scan) => {
            let item = |sign: &str| {
                let sign = sign.to_string();
                move |(name, value): &(Ident, Expr)| format!("{}{sign}{}", name.name, expr(value))
            };
            let items = scan.items.iter().map(item(" in ")).chain(scan.settings.iter().map(item(" = ")));
            format!("(scan {} {})", items.collect::<Vec<_>>().join(", "), inline(&scan.body))
        }
        ExprKind::If(cond, then, otherwise) => {
            let otherwise = otherwise.as_ref().map_or(String::new(), |b| format!(" {}", inline(b)));
            format!("(if {} {}{otherwise})", expr(cond), inline(then))
        }
    }
}

fn index(item: &IndexItem) -> String {
    let part = |e: &Option<Expr>| e.as_ref().map_or(String::new(), expr);
    match item {
        IndexItem::At(e) => expr(e),
        IndexItem::Slice { start, end, step: None, .. } => format!("{}:{}", part(start), part(end)),
        IndexItem::Slice { start, end, step, .. } => format!("{}:{}:{}", part(start), part(end), part(step)),
        IndexItem::Rest(_) => "..".to_string(),
        IndexItem::New(_) => "new".to_string(),
    }
}

/// A block inside an expression, on one line: only the value if there is nothing else.
fn inline(block: &Block) -> String {
    if let [Stmt { kind: StmtKind::Expr(e), .. }] = block.stmts.as_slice() {
        return expr(e);
    }
    let mut printer = Printer { places: Places::None, out: String::new(), indent: 0 };
    block.stmts.iter().for_each(|s| printer.stmt(s));
    let lines: Vec<_> = printer.out.lines().map(str::trim).collect();
    format!("{{ {} }}", lines.join("; "))
}
