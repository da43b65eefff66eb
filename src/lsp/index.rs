//! Which name stands where and what it means: declarations and uses of one file, for definition, rename, hover and completion.

use crate::sema::builtins::{Builtin, NAMED_CONSTANTS};
use crate::sema::modules::{DefId, Global, ModuleId, Modules};
use crate::source::{SourceMap, Span};
use crate::syntax::ast::{
    Arg, Block, Decl, Def, DimExpr, Experiment, Expr, ExprKind, Ident, IndexItem, Item, ItemKind, Param, Stmt,
    StmtKind, Train, TypeExpr, Use,
};
use crate::syntax::name_in;

#[derive(Clone, Debug, PartialEq)]
pub enum Symbol {
    /// Declared at this place: a local, a hyper-parameter, an input, a dimension, a data set, a training.
    At(Span),
    Global(DefId),
    Builtin(Builtin),
    /// A word that means something everywhere: `training`, `pi`.
    Word,
    Module(String),
    File(String),
    /// Of a training: `batch`.
    Setting,
}

#[derive(Clone, Debug)]
pub struct Occurrence {
    pub span: Span,
    pub name: String,
    pub symbol: Symbol,
    pub declares: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalKind {
    Hyper,
    Input,
    Dim,
    Let,
    Param,
    State,
    Column,
    Data,
    Train,
}

impl LocalKind {
    pub fn word(self) -> &'static str {
        match self {
            LocalKind::Hyper => "hyper-parameter",
            LocalKind::Input => "input",
            LocalKind::Dim => "dimension",
            LocalKind::Let => "let",
            LocalKind::Param => "param",
            LocalKind::State => "state",
            LocalKind::Column => "column",
            LocalKind::Data => "data",
            LocalKind::Train => "train",
        }
    }
}

/// A name with the part of the file where it can be used.
#[derive(Clone, Debug)]
pub struct Local {
    pub name: String,
    pub kind: LocalKind,
    pub span: Span,
    pub from: u32,
    pub until: u32,
    /// `w: float[D, units] = init`, as written.
    pub text: String,
}

#[derive(Debug, Default)]
pub struct Index {
    pub occurrences: Vec<Occurrence>,
    pub locals: Vec<Local>,
    /// Where each pipe's stage ends, with the span of the value there.
    pub pipes: Vec<Span>,
    /// The names behind a dot.
    pub fields: Vec<(String, Span)>,
    /// `let` names without a written type, with the span of their value.
    pub lets: Vec<(Span, Span)>,
}

impl Index {
    /// The name at a byte; also right behind it.
    pub fn at(&self, byte: usize) -> Option<&Occurrence> {
        let byte = byte as u32;
        let touching = || self.occurrences.iter().filter(|o| o.span.start <= byte && byte <= o.span.end);
        touching().find(|o| byte < o.span.end).or_else(|| touching().next())
    }

    pub fn local(&self, span: Span) -> Option<&Local> {
        self.locals.iter().find(|l| l.span == span)
    }

    /// Names that can be used at a byte, the nearest first.
    pub fn visible(&self, byte: usize) -> Vec<&Local> {
        let byte = byte as u32;
        let mut out: Vec<&Local> = self.locals.iter().filter(|l| l.from <= byte && byte <= l.until).collect();
        out.sort_by_key(|l| std::cmp::Reverse(l.from));
        out
    }
}

/// Reads the main file of `modules`.
pub fn index(modules: &Modules, sources: &SourceMap) -> Index {
    let module = modules.main();
    let end = sources.file(module.file).text.len() as u32;
    let mut walk =
        Walk { modules, sources, module: modules.main_id(), out: Index::default(), scopes: vec![(end, vec![])] };
    // Data sets and trainings are known in the whole file.
    for item in &module.items {
        match &item.kind {
            ItemKind::Data(data) => walk.declare(&data.name, LocalKind::Data, data.value.span, 0),
            ItemKind::Train(train) => walk.declare(&train.name, LocalKind::Train, train.name.span, 0),
            _ => {}
        }
    }
    for (k, item) in module.items.iter().enumerate() {
        walk.item(item, DefId { module: walk.module, item: k });
    }
    walk.out
}

struct Walk<'a> {
    modules: &'a Modules,
    sources: &'a SourceMap,
    module: ModuleId,
    out: Index,
    /// Where each scope ends, and its names with their declarations.
    scopes: Vec<(u32, Vec<(String, Span)>)>,
}

impl Walk<'_> {
    fn item(&mut self, item: &Item, id: DefId) {
        match &item.kind {
            ItemKind::Use(used) => self.use_item(used),
            ItemKind::Const(c) => {
                self.occurs(&c.name, Symbol::Global(id), true);
                self.type_of(&c.ty);
                self.expr(&c.value);
            }
            ItemKind::Def(def) => {
                self.occurs(&def.name, Symbol::Global(id), true);
                self.within(item.span, |w| w.def(def));
            }
            // Sources and steps are no definitions, and their names are columns.
            ItemKind::Data(_) => {}
            ItemKind::Train(train) => self.within(item.span, |w| w.train(train)),
            ItemKind::Compare(experiment) | ItemKind::Sweep(experiment) => self.experiment(experiment),
            ItemKind::Test(test) => self.block(&test.body),
        }
    }

    fn use_item(&mut self, used: &Use) {
        let module = &used.module;
        let symbol = if used.is_file { Symbol::File(module.name.clone()) } else { Symbol::Module(module.name.clone()) };
        self.occurs(module, symbol, false);
        for name in used.names.iter().flatten() {
            if let Some(Global::Def(id) | Global::Const(id)) = self.modules.lookup(self.module, &name.name) {
                self.occurs(name, Symbol::Global(id), false);
            }
        }
    }

    fn def(&mut self, def: &Def) {
        self.params(&def.hypers, LocalKind::Hyper);
        self.params(&def.inputs, LocalKind::Input);
        self.type_of(&def.result);
        self.block(&def.body);
    }

    fn train(&mut self, train: &Train) {
        let Train { name: _, hypers, data, settings, objective, lets, step, sample } = train;
        self.params(hypers, LocalKind::Hyper);
        self.expr(data);
        for (name, value) in settings {
            self.occurs(name, Symbol::Setting, false);
            self.expr(value);
        }
        objective.iter().for_each(|(_, e)| self.expr(e));
        lets.iter().for_each(|s| self.stmt(s));
        if let Some(step) = step {
            self.within(step.span, |w| {
                for input in &step.inputs {
                    w.declare(input, LocalKind::Column, input.span, input.span.end);
                }
                w.block(&step.body);
            });
        }
        if let Some(sample) = sample {
            // Its first argument is a column, under the column's name in the body.
            self.within(sample.span, |w| {
                for arg in &sample.args {
                    match &arg.value.kind {
                        ExprKind::Name(column) if arg.name.is_none() && w.find(column).is_none() => {
                            let span = name_in(w.sources, arg.value.span, column);
                            w.declare(&Ident { name: column.clone(), span }, LocalKind::Column, span, span.end);
                        }
                        _ => w.expr(&arg.value),
                    }
                }
                w.block(&sample.body);
            });
        }
    }

    fn experiment(&mut self, experiment: &Experiment) {
        let Experiment { train, axes, settings, strategy, objective } = experiment;
        self.name(&train.name, train.span);
        let hyper = |name: &str| {
            let train = self.modules.trains().find(|t| t.name.name == train.name)?;
            train.hypers.iter().find(|h| h.name.name == name).map(|h| h.name.span)
        };
        let known: Vec<(&Ident, Option<Span>)> = axes.iter().map(|(name, _)| (name, hyper(&name.name))).collect();
        for (name, span) in known {
            if let Some(span) = span {
                self.occurs(name, Symbol::At(span), false);
            }
        }
        axes.iter().chain(settings).for_each(|(_, value)| self.expr(value));
        strategy.iter().for_each(|e| self.expr(e));
        objective.iter().for_each(|(_, e)| self.expr(e));
    }

    fn params(&mut self, params: &[Param], kind: LocalKind) {
        for Param { name, ty, default } in params {
            self.type_of(ty);
            default.iter().for_each(|e| self.expr(e));
            let end = default.as_ref().map(|e| e.span).or(ty.as_ref().map(|t| t.span)).unwrap_or(name.span);
            self.declare(name, kind, end, end.end);
        }
    }

    /// The capitalised names of a type are dimensions: declared where they stand first.
    fn type_of(&mut self, ty: &Option<TypeExpr>) {
        for dim in ty.iter().flat_map(|t| t.dims.iter().flatten()) {
            match dim {
                DimExpr::Rest(_) => {}
                DimExpr::Size(e) => {
                    self.dims(e);
                    self.expr(e);
                }
            }
        }
    }

    fn dims(&mut self, e: &Expr) {
        match &e.kind {
            ExprKind::Name(name)
                if name.chars().next().is_some_and(char::is_uppercase) && self.find(name).is_none() =>
            {
                let span = name_in(self.sources, e.span, name);
                let ident = Ident { name: name.clone(), span };
                self.define(&ident, LocalKind::Dim, span, span.end);
            }
            ExprKind::Unary(_, x) => self.dims(x),
            ExprKind::Binary(_, a, b) => {
                self.dims(a);
                self.dims(b);
            }
            _ => {}
        }
    }

    fn block(&mut self, block: &Block) {
        self.within(block.span, |w| block.stmts.iter().for_each(|s| w.stmt(s)));
    }

    fn within(&mut self, span: Span, body: impl FnOnce(&mut Self)) {
        self.scopes.push((span.end, vec![]));
        body(self);
        self.scopes.pop();
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Let { names, ty, value } => {
                self.expr(value);
                self.type_of(ty);
                if let ([name], None) = (names.as_slice(), ty) {
                    self.out.lets.push((name.span, value.span));
                }
                names.iter().for_each(|n| self.declare(n, LocalKind::Let, value.span, stmt.span.end));
            }
            StmtKind::Param(decl) => self.decl(decl, LocalKind::Param, stmt.span),
            StmtKind::State(decl) => self.decl(decl, LocalKind::State, stmt.span),
            StmtKind::Update { target, value } => {
                self.expr(target);
                self.expr(value);
            }
            StmtKind::Eval { target, value } => {
                self.name(&target.name, target.span);
                self.expr(value);
            }
            StmtKind::Expr(e) => self.expr(e),
            StmtKind::If { cond, then, otherwise } => {
                self.expr(cond);
                // What a branch declares can be used behind it, if the choice is made at compile time.
                then.stmts.iter().chain(otherwise.iter().flat_map(|b| &b.stmts)).for_each(|s| self.stmt(s));
            }
            StmtKind::For { var, range, body } => {
                self.expr(range);
                self.within(body.span, |w| {
                    w.declare(var, LocalKind::Let, range.span, body.span.start);
                    body.stmts.iter().for_each(|s| w.stmt(s));
                });
            }
            StmtKind::Minimize(m) => {
                self.expr(&m.loss);
                for group in &m.groups {
                    // The words of a filter (`rank`, `role`, …) are not names of the program.
                    group.over.iter().for_each(|e| self.expr(e));
                    self.expr(&group.optimizer);
                }
            }
            StmtKind::Report(items) | StmtKind::Observe(items) => items.iter().for_each(|e| self.expr(e)),
            StmtKind::Expect { value, near, within } => {
                self.expr(value);
                near.iter().chain(within).for_each(|e| self.expr(e));
            }
        }
    }

    fn decl(&mut self, decl: &Decl, kind: LocalKind, span: Span) {
        let Decl { whole: _, name, ty, value } = decl;
        self.type_of(ty);
        value.iter().for_each(|e| self.expr(e));
        self.declare(name, kind, span, span.end);
    }

    fn expr(&mut self, e: &Expr) {
        match &e.kind {
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Str(_) | ExprKind::Bool(_) => {}
            ExprKind::Name(name) => self.name(name, name_in(self.sources, e.span, name)),
            ExprKind::List(items) | ExprKind::Tuple(items) => items.iter().for_each(|e| self.expr(e)),
            ExprKind::Unary(_, x) => self.expr(x),
            ExprKind::Binary(_, a, b) | ExprKind::Range(a, b) => {
                self.expr(a);
                self.expr(b);
            }
            ExprKind::Pipe(a, b) => {
                self.expr(a);
                self.expr(b);
                self.out.pipes.push(Span { end: b.span.end, ..e.span });
            }
            ExprKind::Call(callee, args) => self.call(callee, args),
            ExprKind::Index(base, items) => {
                self.expr(base);
                for item in items {
                    match item {
                        IndexItem::At(e) => self.expr(e),
                        IndexItem::Slice { start, end, step, span: _ } => {
                            start.iter().chain(end).chain(step).for_each(|e| self.expr(e));
                        }
                        IndexItem::Rest(_) | IndexItem::New(_) => {}
                    }
                }
            }
            ExprKind::Scan(scan) => {
                scan.items.iter().chain(&scan.settings).for_each(|(_, value)| self.expr(value));
                self.within(scan.body.span, |w| {
                    for (name, over) in &scan.items {
                        w.declare(name, LocalKind::Let, over.span, scan.body.span.start);
                    }
                    scan.body.stmts.iter().for_each(|s| w.stmt(s));
                });
            }
            ExprKind::Field(base, name) => {
                self.expr(base);
                self.out.fields.push((name.name.clone(), name.span));
            }
            ExprKind::If(cond, then, otherwise) => {
                self.expr(cond);
                self.block(then);
                otherwise.iter().for_each(|b| self.block(b));
            }
        }
    }

    fn call(&mut self, callee: &Expr, args: &[Arg]) {
        self.expr(callee);
        args.iter().for_each(|a| self.expr(&a.value));
        let ExprKind::Name(name) = &callee.kind else { return };
        let local = self.find(name).is_some();
        let Some(Global::Def(def)) = self.modules.lookup(self.module, name).filter(|_| !local) else { return };
        let definition = self.modules.def(def);
        for given in args.iter().filter_map(|a| a.name.as_ref()) {
            let param = definition.hypers.iter().chain(&definition.inputs).find(|p| p.name.name == given.name);
            if let Some(param) = param {
                self.occurs(given, Symbol::At(param.name.span), false);
            }
        }
    }

    fn find(&self, name: &str) -> Option<Span> {
        self.scopes
            .iter()
            .rev()
            .find_map(|(_, names)| names.iter().rev().find(|(n, _)| n == name).map(|(_, span)| *span))
    }

    fn name(&mut self, name: &str, span: Span) {
        let symbol = if let Some(declared) = self.find(name) {
            Symbol::At(declared)
        } else if let Some(Global::Def(id) | Global::Const(id)) = self.modules.lookup(self.module, name) {
            Symbol::Global(id)
        } else if let Some(builtin) = Builtin::from_name(name) {
            Symbol::Builtin(builtin)
        } else if NAMED_CONSTANTS.iter().any(|(n, _)| *n == name) || WORDS.contains(&name) {
            Symbol::Word
        } else {
            return;
        };
        self.out.occurrences.push(Occurrence { span, name: name.to_string(), symbol, declares: false });
    }

    fn occurs(&mut self, name: &Ident, symbol: Symbol, declares: bool) {
        self.out.occurrences.push(Occurrence { span: name.span, name: name.name.clone(), symbol, declares });
    }

    /// A declaration that goes on to the end of `whole`, usable from byte `from` on.
    fn declare(&mut self, name: &Ident, kind: LocalKind, whole: Span, from: u32) {
        self.define(name, kind, whole, from);
        self.occurs(name, Symbol::At(name.span), true);
    }

    fn define(&mut self, name: &Ident, kind: LocalKind, whole: Span, from: u32) {
        let start = whole.start.min(name.span.start);
        let text = self.sources.text(Span { start, ..whole }).to_string();
        let (until, names) = self.scopes.last_mut().expect("the file's scope is always there");
        names.push((name.name.clone(), name.span));
        let local = Local { name: name.name.clone(), kind, span: name.span, from, until: *until, text };
        self.out.locals.push(local);
    }
}

/// Words that mean something everywhere.
pub const WORDS: &[&str] = &["training", "all", "but_last"];
