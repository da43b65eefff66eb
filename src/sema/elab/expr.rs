//! Expressions.

use super::ops::Operand;
use super::{Elab, Failed, FrameKind, R};
use crate::diag::{Diagnostic, error};
use crate::sema::builtins::{Builtin, NAMED_CONSTANTS};
use crate::sema::library;
use crate::sema::modules::{Global, ModuleId, Modules};
use crate::sema::program::PLATEAUS;
use crate::sema::value::{Axes, Tensor, Value};
use crate::source::Span;
use crate::syntax::ast::{BinOp, Block, DefKind, Expr, ExprKind, Ident};
use std::rc::Rc;

/// For those who want a tensor's value where only its shape is known.
pub const KNOWN_EARLY: &str =
    "known then are numbers, hyper-parameters, `shape(x)` and `size(x, axis = 0)`, not what a tensor holds";

impl Elab<'_> {
    pub fn expr(&mut self, expr: &Expr) -> R<Value> {
        let value = self.value_of(expr);
        if let Ok(value) = &value {
            self.note(expr.span, value);
        }
        value
    }

    fn value_of(&mut self, expr: &Expr) -> R<Value> {
        match &expr.kind {
            ExprKind::Int(v) => Ok(Value::Int(*v)),
            ExprKind::Float(v) => Ok(Value::Float(*v)),
            ExprKind::Str(v) => Ok(Value::Str(v.as_str().into())),
            ExprKind::Bool(v) => Ok(Value::Bool(*v)),
            ExprKind::Name(name) => self.name(name, expr.span),
            ExprKind::List(items) => Ok(Value::list(self.exprs(items)?)),
            ExprKind::Tuple(items) => Ok(Value::Tuple(Rc::new(self.exprs(items)?))),
            ExprKind::Unary(op, x) => {
                let x = self.operand(x)?;
                self.unary(*op, x, expr.span)
            }
            ExprKind::Binary(op, a, b) => self.binary_expr(*op, a, b, expr.span),
            ExprKind::Pipe(x, f) => self.pipe(x, f),
            ExprKind::Call(callee, args) => self.call(callee, args, expr.span),
            ExprKind::Index(base, items) => {
                let base = self.operand(base)?;
                self.index(base, items, expr.span)
            }
            ExprKind::Field(base, name) => self.field(base, name, expr.span),
            ExprKind::If(cond, then, otherwise) => self.if_value(cond, then, otherwise.as_ref(), expr.span),
            ExprKind::Scan(scan) => self.scan(scan, expr.span),
            ExprKind::Range(a, b) => {
                let (from, to) = (self.static_int(a)?, self.static_int(b)?);
                if to.checked_sub(from).is_none() {
                    let title = format!("the range {from}..{to} has more numbers than can be counted");
                    return Err(self.fail(error("E0211", title).at(expr.span, "here")));
                }
                Ok(Value::Range(from, to))
            }
        }
    }

    /// All values, so that every erroneous one is reported.
    fn exprs(&mut self, items: &[Expr]) -> R<Vec<Value>> {
        let values: Vec<R<Value>> = items.iter().map(|e| self.expr(e)).collect();
        values.into_iter().collect()
    }

    pub fn operand(&mut self, expr: &Expr) -> R<Operand> {
        Ok(Operand { value: self.expr(expr)?, span: expr.span })
    }

    fn binary_expr(&mut self, op: BinOp, a: &Expr, b: &Expr, span: Span) -> R<Value> {
        // `rank(x) == 2 and shape(x)[1] > 3`: the right side may make no sense when the left is false.
        let left = self.operand(a);
        match (&left, op) {
            (Ok(Operand { value: Value::Bool(false), .. }), BinOp::And) => return Ok(Value::Bool(false)),
            (Ok(Operand { value: Value::Bool(true), .. }), BinOp::Or) => return Ok(Value::Bool(true)),
            _ => {}
        }
        let right = self.operand(b);
        self.binary(op, left?, right?, span)
    }

    fn name(&mut self, name: &str, span: Span) -> R<Value> {
        if let Some(value) = self.local(name) {
            return match value {
                Value::Poison => Err(Failed::Reported),
                value => Ok(value.clone()),
            };
        }
        if let Some(dim) = self.frame().dims.get(name) {
            return Ok(Value::Int(dim.size as i64));
        }
        match name {
            "training" => return Ok(Value::Bool(self.training)),
            "all" => return Ok(Value::Axes(Axes::All)),
            "but_last" => return Ok(Value::Axes(Axes::ButLast)),
            _ => {}
        }
        let module = self.frame().module;
        match self.modules.lookup(module, name) {
            Some(Global::Def(def)) => return Ok(Value::Def(def)),
            Some(Global::Const(def)) => return self.constant(def),
            None => {}
        }
        match name {
            // Weights are [in, out]; those of convolutions [height, width, in, out].
            "in" => return Ok(Value::Axes(Axes::ButLast)),
            "out" => return Ok(Value::Int(-1)),
            // How often the objective stood still; nothing has yet where a schedule is looked at by itself.
            "plateaus" if self.in_update() => {
                return Ok(Value::Tensor(self.hyper_input(PLATEAUS, 0.0, span)));
            }
            "plateaus" if self.frame().kind == FrameKind::Def(DefKind::Schedule) => return Ok(Value::Float(0.0)),
            "loss" if self.in_update() => {
                if let Some(objective) = &self.rule.objective {
                    return Ok(Value::Tensor(Tensor::plain(objective.loss)));
                }
            }
            _ => {}
        }
        if let Some((_, value)) = NAMED_CONSTANTS.iter().find(|(n, _)| *n == name) {
            return Ok(Value::Float(*value));
        }
        if let Some(builtin) = Builtin::from_name(name) {
            return Ok(Value::Builtin(builtin));
        }
        Err(self.unknown_name(name, span))
    }

    fn unknown_name(&mut self, name: &str, span: Span) -> Failed {
        let module = self.frame().module;
        if self.modules.is_left_out(module, name) {
            return Failed::Reported;
        }
        let unknown = error("E0201", format!("unknown name '{name}'")).at(span, "not defined here");
        let in_step = self.frames.last().is_some_and(|f| f.kind == FrameKind::Train);
        if in_step && self.columns.iter().any(|c| c == name) {
            let names: Vec<&str> = self.step_inputs.iter().map(|i| i.name.as_str()).chain([name]).collect();
            let help = format!("'{name}' is a column of the data: name it in `step({})`", names.join(", "));
            let d = unknown.help(help);
            let d = match self.step_inputs.last() {
                Some(last) => d.edit(Span { start: last.span.end, ..last.span }, format!(", {name}")),
                None => d,
            };
            self.frame().scopes[0].insert(name.to_string(), Value::Poison);
            return self.fail(d);
        }
        let frame = self.frames.last().expect("elaboration happens inside a frame");
        let locals = frame.scopes.iter().flat_map(|s| s.keys()).map(String::as_str);
        let dims = frame.dims.keys().map(String::as_str);
        let globals = self.modules.names(module);
        let known: Vec<&str> = locals.chain(dims).chain(globals).collect();
        let unknown = mend_name(unknown, self.modules, module, name, span, known.into_iter());
        // One message about a name is enough.
        self.frame().scopes[0].insert(name.to_string(), Value::Poison);
        self.fail(unknown)
    }

    /// A `const`, evaluated in its own module.
    fn constant(&mut self, def: crate::sema::modules::DefId) -> R<Value> {
        let constant = self.modules.constant(def);
        let title = format!("const {}", constant.name.name);
        if self.frames.len() > super::MAX_DEPTH {
            return Err(self.fail(
                error("E0214", format!("'{}' is defined by itself", constant.name.name)).at(constant.name.span, "here"),
            ));
        }
        let frame = self.new_frame(def.module, super::FrameKind::Eval, title, String::new());
        self.frames.push(frame);
        let value = self.expr(&constant.value);
        self.frames.pop();
        value
    }

    fn field(&mut self, base: &Expr, name: &Ident, span: Span) -> R<Value> {
        let value = self.expr(base)?;
        match value {
            Value::Axes(Axes::All) => match Builtin::from_name(&format!("all.{}", name.name)) {
                Some(builtin) => Ok(Value::Builtin(builtin)),
                None => Err(self.fail(
                    error("E0201", format!("there is no reduction 'all.{}'", name.name))
                        .at(name.span, "unknown")
                        .note("over all tensors: all.sum, all.mean, all.max, all.min, all.norm; in a metric: all.rows"),
                )),
            },
            Value::Instance(instance) => {
                let path = self.path_of(&instance);
                Ok(Value::Part(format!("{path}.{}", name.name).into()))
            }
            Value::Part(path) => Ok(Value::Part(format!("{path}.{}", name.name).into())),
            Value::Data(schema) => self.data_field(schema, name),
            Value::Column(schema, index) => self.column_field(&schema.columns[index], name),
            other => {
                let found = self.type_text(&other);
                let function = Builtin::from_name(&name.name).is_some()
                    || self.modules.lookup(self.frame().module, &name.name).is_some();
                let called = format!("{}({})", name.name, self.sources.text(base.span));
                let d = error("E0204", format!("{found} has no part '{}'", name.name)).at(span, "in this expression");
                Err(self.fail(match function {
                    true => d.help(format!("a function is called: `{called}`")).edit(span, called),
                    false => d,
                }))
            }
        }
    }

    fn if_value(&mut self, cond: &Expr, then: &Block, otherwise: Option<&Block>, span: Span) -> R<Value> {
        let Some(otherwise) = otherwise else {
            return Err(self.fail(error("E0212", "an 'if' that gives a value needs an 'else'").at(span, "here")));
        };
        let c = self.operand(cond)?;
        if let Value::Bool(c) = c.value {
            return self.block(if c { then } else { otherwise });
        }
        self.run_time_if(c, then, Some(otherwise), span)
    }

    /// The truth of a compile-time condition; `None` if it is a run-time value.
    pub fn static_bool(&mut self, c: &Operand) -> Option<bool> {
        match c.value {
            Value::Bool(b) => Some(b),
            _ => None,
        }
    }

    pub fn static_int(&mut self, expr: &Expr) -> R<i64> {
        match self.expr(expr)? {
            Value::Int(v) => Ok(v),
            Value::Poison => Err(Failed::Reported),
            other => {
                let found = self.type_text(&other);
                Err(self.fail(
                    error("E0211", "expected an integer known at compile time")
                        .at(expr.span, format!("this is {found}"))
                        .help(KNOWN_EARLY),
                ))
            }
        }
    }
}

/// The mend of a name that is unknown: the nearest name in scope, or the `use` that brings the name in.
pub fn mend_name<'a>(
    unknown: Diagnostic,
    modules: &Modules,
    module: ModuleId,
    name: &str,
    span: Span,
    in_scope: impl Iterator<Item = &'a str>,
) -> Diagnostic {
    match name {
        "True" | "TRUE" => return unknown.help("write `true`").edit(span, "true"),
        "False" | "FALSE" => return unknown.help("write `false`").edit(span, "false"),
        "close" | "allclose" | "isclose" => {
            return unknown.help("of numbers that are nearly equal, a test says `expect a ~ b within 1e-6`");
        }
        "self" => return unknown.help("parameters and states are named as they are declared, without `self`"),
        _ => {}
    }
    if let Some(home) = library::home(name) {
        let unknown = unknown.help(format!("the library has it: add `use {home}.{name}`"));
        return match modules.first_use(module) {
            Some(at) => unknown.edit(Span { end: at.start, ..at }, format!("use {home}.{name}\n")),
            None => unknown,
        };
    }
    if super::dims::is_dim_variable(name) && name.chars().count() <= 2 {
        return unknown.help(
            "a dimension is solved from the type of an input; elsewhere a size is a number or a hyper-parameter",
        );
    }
    let mut names: Vec<&'a str> = in_scope.collect();
    names.extend(Builtin::names().map(|n| -> &'a str { n }));
    names.push("training");
    names.sort_unstable();
    unknown.did_you_mean(span, name, names)
}
