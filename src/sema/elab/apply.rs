//! Calls: binding hyper-parameters and inputs, and instantiating a definition's body.
//!
//! `Name(hyper-parameters)` gives an instance and `instance(inputs)` applies it. A call may give both at once, as
//! `cross_entropy(logits, label, smoothing = 0.1)`: positional arguments are inputs when one of them is a run-time
//! value (or a shape, for an initializer), or when the definition has no hyper-parameters.

use super::ops::Operand;
use super::{Elab, Failed, Frame, FrameKind, MAX_DEPTH, R};
use crate::diag::error;
use crate::ir::DType;
use crate::sema::builtins::Builtin;
use crate::sema::modules::DefId;
use crate::sema::program::LayerRow;
use crate::sema::value::{Instance, Value};
use crate::source::Span;
use crate::syntax::ast::{Arg, Block, Def, DefKind, Expr, ExprKind, Ident, Param, Stmt, StmtKind};
use crate::syntax::walk::names;
use std::cell::RefCell;
use std::rc::Rc;

/// An evaluated argument.
#[derive(Clone)]
pub struct Argument {
    pub name: Option<Ident>,
    pub value: Value,
    pub span: Span,
}

impl Elab<'_> {
    pub fn arguments(&mut self, args: &[Arg]) -> R<Vec<Argument>> {
        let all: Vec<R<Argument>> = args
            .iter()
            .map(|a| Ok(Argument { name: a.name.clone(), value: self.expr(&a.value)?, span: a.value.span }))
            .collect();
        all.into_iter().collect()
    }

    pub fn call(&mut self, callee: &Expr, args: &[Arg], span: Span) -> R<Value> {
        let function = self.expr(callee);
        let args = self.arguments(args);
        self.call_value(function?, args?, span)
    }

    pub fn call_value(&mut self, function: Value, args: Vec<Argument>, span: Span) -> R<Value> {
        match function {
            Value::Builtin(b) => self.builtin(b, args, span),
            Value::Def(def) => self.call_def(def, args, span),
            Value::Instance(instance) => self.apply(&instance, args, span),
            Value::Stack(n, layer) => self.apply_stack(n, &layer, args, span),
            Value::Chain(parts) => self.apply_chain(&parts, args, span),
            Value::Poison => Err(Failed::Reported),
            other => {
                let found = self.type_text(&other);
                let d = error("E0207", format!("{found} cannot be called")).at(span, "called here");
                Err(self.fail(d.help("a product is written `a * b`; an element is `x[i]`")))
            }
        }
    }

    /// `x |> f`, `x |> f(args)`; `transform |> optimizer` makes a chain. What is said of a call in a pipe points at its own
    /// part of the pipe.
    pub fn pipe(&mut self, x: &Expr, f: &Expr) -> R<Value> {
        let left = self.operand(x);
        if let Ok(Operand { value, .. }) = &left
            && self.is_update_rule(value)
        {
            let right = self.expr(f)?;
            if !self.is_update_rule(&right) {
                let found = self.type_text(&right);
                return Err(self.fail(
                    error("E0204", "a transform flows into a transform or an optimizer")
                        .at(f.span, format!("this is {found}")),
                ));
            }
            let mut parts = match value {
                Value::Chain(parts) => parts.to_vec(),
                one => vec![one.clone()],
            };
            parts.push(right);
            return Ok(Value::Chain(Rc::new(parts)));
        }
        let into = |left: Operand| Argument { name: None, value: left.value, span: left.span };
        if let ExprKind::Call(callee, args) = &f.kind {
            let function = self.expr(callee);
            let args = self.arguments(args);
            let (left, function, mut args) = (left?, function?, args?);
            let takes_value_first = match &function {
                // `x |> stack(n, layer)`: the stack is made, then applied.
                Value::Builtin(b) => *b != Builtin::Stack,
                Value::Def(def) => {
                    let d = self.modules.def(*def);
                    d.hypers.is_empty() && !args.is_empty() || self.is_application(d, &args)
                }
                _ => false,
            };
            if takes_value_first {
                args.insert(0, into(left));
                return self.call_value(function, args, f.span);
            }
            let instance = self.call_value(function, args, f.span)?;
            return self.call_value(instance, vec![into(left)], f.span);
        }
        let function = self.expr(f);
        let left = left?;
        self.apply_callee(function?, vec![into(left)], f.span)
    }

    /// Applies a callable to inputs: a bare definition has its default hyper-parameters.
    pub fn apply_callee(&mut self, function: Value, args: Vec<Argument>, span: Span) -> R<Value> {
        match function {
            Value::Def(def) => {
                let instance = self.instance(def, vec![], span)?;
                self.apply(&instance, args, span)
            }
            other => self.call_value(other, args, span),
        }
    }

    fn is_update_rule(&self, value: &Value) -> bool {
        let def = match value {
            Value::Def(def) => *def,
            Value::Instance(i) => i.def,
            Value::Chain(_) => return true,
            _ => return false,
        };
        matches!(self.modules.def(def).kind, DefKind::Transform | DefKind::Optimizer)
    }

    /// Whether a call of a definition gives its inputs (or only hyper-parameters).
    fn is_application(&self, def: &Def, args: &[Argument]) -> bool {
        if def.hypers.is_empty() {
            return !args.is_empty() || def.inputs.is_empty();
        }
        if def.inputs.is_empty() {
            return true;
        }
        let positional: Vec<&Argument> = args.iter().filter(|a| a.name.is_none()).collect();
        let names_input =
            args.iter().filter_map(|a| a.name.as_ref()).any(|n| def.inputs.iter().any(|i| i.name.name == n.name));
        // A list is a tensor, unless the hyper-parameter at its place takes lists (an axis, a shape).
        let takes_lists = |k: usize| {
            let ty = def.hypers.get(k).and_then(|h| h.ty.as_ref());
            ty.is_some_and(|t| matches!(t.base.name.as_str(), "axis" | "shape" | "any"))
        };
        let run_time = |(k, a): (usize, &&Argument)| match &a.value {
            Value::Tensor(_) | Value::OwnShape => true,
            // Axes and sizes are ints: `norm([3.0, 4.0])` is about a tensor.
            Value::List(items) => {
                def.kind == DefKind::Init || !takes_lists(k) || !items.iter().all(|v| matches!(v, Value::Int(_)))
            }
            _ => false,
        };
        names_input || positional.iter().enumerate().any(run_time) || positional.len() > def.hypers.len()
    }

    fn call_def(&mut self, id: DefId, args: Vec<Argument>, span: Span) -> R<Value> {
        let def = self.modules.def(id);
        if !self.is_application(def, &args) {
            return Ok(Value::Instance(self.instance(id, args, span)?));
        }
        let is_hyper = |a: &Argument| {
            a.name.as_ref().is_some_and(|n| {
                def.hypers.iter().any(|h| h.name.name == n.name) && !def.inputs.iter().any(|i| i.name.name == n.name)
            })
        };
        let (mut hypers, mut inputs): (Vec<_>, Vec<_>) = args.into_iter().partition(is_hyper);
        // `clamp(x, 0, 1)`: positional arguments after the inputs are hyper-parameters.
        let positional = |a: &Argument| a.name.is_none();
        while inputs.iter().filter(|a| positional(a)).count() > def.inputs.len() && !def.hypers.is_empty() {
            let last = inputs.iter().rposition(positional).expect("there is a positional argument");
            hypers.insert(0, inputs.remove(last));
        }
        let instance = self.instance(id, hypers, span)?;
        self.apply(&instance, inputs, span)
    }

    /// Binds hyper-parameters.
    pub fn instance(&mut self, id: DefId, args: Vec<Argument>, span: Span) -> R<Rc<Instance>> {
        let def = self.modules.def(id);
        let given = self.bind(&def.hypers, &def.inputs, args, &self.def_text(id), "hyper-parameter", def.name.span)?;
        let frame = self.new_frame(id.module, FrameKind::Def(def.kind), self.def_text(id), String::new());
        self.enter(frame, span)?;
        let hypers = self.hyper_values(def, given, span);
        self.frames.pop();
        Ok(Rc::new(Instance { def: id, hypers: hypers?, path: RefCell::new(None), span }))
    }

    fn hyper_values(&mut self, def: &Def, given: Vec<Option<Argument>>, span: Span) -> R<Vec<Value>> {
        let mut values = vec![];
        for (param, arg) in def.hypers.iter().zip(given) {
            let (value, at) = match (arg, &param.default) {
                (Some(arg), _) => (arg.value, arg.span),
                (None, Some(default)) => (self.expr(default)?, default.span),
                (None, None) => {
                    let owner = format!("{} {}", def.kind.keyword(), def.name.name);
                    return Err(self.fail(
                        error("E0202", format!("{owner} needs the hyper-parameter '{}'", param.name.name))
                            .at(span, format!("'{}' is not given", param.name.name))
                            .at(param.name.span, "declared here without a default"),
                    ));
                }
            };
            let value = self.check_hyper(param, value, at)?;
            self.define(&param.name.name, value.clone());
            values.push(value);
        }
        Ok(values)
    }

    /// Pairs arguments with parameters, by position and by name. The definition's other parameters are only suggested.
    fn bind(
        &mut self,
        params: &[Param],
        others: &[Param],
        args: Vec<Argument>,
        owner: &str,
        word: &str,
        declared: Span,
    ) -> R<Vec<Option<Argument>>> {
        let mut bound: Vec<Option<Argument>> = vec![None; params.len()];
        let mut position = 0;
        let mut failed = false;
        for arg in args {
            let index = match &arg.name {
                None => {
                    position += 1;
                    position - 1
                }
                Some(name) => match params.iter().position(|p| p.name.name == name.name) {
                    Some(index) => index,
                    None => {
                        let of = |list: &[Param]| list.iter().map(|p| p.name.name.clone()).collect::<Vec<_>>();
                        let (own, others) = (of(params), of(others));
                        let known = own.iter().chain(&others).map(String::as_str);
                        let mut d = error("E0205", format!("{owner} has no {word} '{}'", name.name))
                            .at(name.span, "unknown name")
                            .at(declared, "defined here")
                            .did_you_mean(name.span, &name.name, known);
                        let other_word = if word == "input" { "hyper-parameter" } else { "input" };
                        for (word, names) in [(word, own), (other_word, others)] {
                            if !names.is_empty() && (word != "input" || d.edit.is_none()) {
                                d = d.note(format!("{word}s: {}", names.join(", ")));
                            }
                        }
                        self.fail(d);
                        failed = true;
                        continue;
                    }
                },
            };
            if index >= params.len() {
                let takes = count(params.len(), word);
                self.fail(
                    error("E0202", format!("{owner} takes {takes}"))
                        .at(arg.span, "one argument too many")
                        .at(declared, "defined here"),
                );
                failed = true;
            } else if let Some(first) = &bound[index] {
                self.fail(
                    error("E0202", format!("'{}' is given twice", params[index].name.name))
                        .at(arg.span, "given again")
                        .at(first.span, "given first here"),
                );
                failed = true;
            } else {
                bound[index] = Some(arg);
            }
        }
        if failed { Err(Failed::Reported) } else { Ok(bound) }
    }

    /// The kind of a hyper-parameter against a value; integers become floats where a float is declared.
    pub fn check_hyper(&mut self, param: &Param, value: Value, at: Span) -> R<Value> {
        let declared = match (&param.ty, &param.default) {
            (Some(ty), _) => ty.base.name.clone(),
            // Without a type: a numeric default means any number.
            (None, Some(Expr { kind: ExprKind::Int(_) | ExprKind::Float(_), .. })) => "float".into(),
            (None, Some(Expr { kind: ExprKind::Unary(..), .. })) => "float".into(),
            _ => "any".into(),
        };
        if param.ty.as_ref().is_some_and(|t| t.dims.is_some()) {
            return Ok(value);
        }
        let kind_of = |this: &Self, v: &Value| match v {
            Value::Stack(..) => Some(DefKind::Layer),
            Value::Builtin(_) => Some(DefKind::Fn),
            other => this.definition_of(other).map(|def| def.kind),
        };
        let kind = kind_of(self, &value);
        let fits = match (declared.as_str(), &value) {
            (_, Value::Poison) => return Err(Failed::Reported),
            ("shape" | "any", Value::OwnShape) => true,
            (_, Value::OwnShape) => return Err(Failed::NeedsShape),
            ("float" | "f32" | "f64", Value::Int(v)) => return Ok(Value::Float(*v as f64)),
            ("float" | "f32" | "f64", Value::Float(_) | Value::Tensor(_)) => true,
            ("float", _) => kind == Some(DefKind::Schedule),
            ("int", Value::Int(_)) => true,
            ("int", Value::Float(v)) if v.fract() == 0.0 && v.abs() < 9e15 => return Ok(Value::Int(*v as i64)),
            ("bool", Value::Bool(_)) | ("string", Value::Str(_)) => true,
            ("init", Value::Int(_) | Value::Float(_) | Value::Tensor(_) | Value::List(_)) => true,
            ("init", Value::Load(..)) => true,
            ("init", _) => kind == Some(DefKind::Init),
            ("schedule", Value::Int(v)) => return Ok(Value::Float(*v as f64)),
            ("schedule", Value::Float(_) | Value::Tensor(_)) => true,
            ("schedule", _) => kind == Some(DefKind::Schedule),
            ("optimizer", _) => kind == Some(DefKind::Optimizer),
            ("transform", _) => kind == Some(DefKind::Transform),
            ("layer" | "model" | "fn" | "loss" | "metric", _) => {
                kind.is_some_and(|k| !matches!(k, DefKind::Optimizer | DefKind::Init | DefKind::Schedule))
            }
            ("axis", Value::Int(_) | Value::List(_) | Value::Axes(_)) => true,
            ("shape", Value::Int(_) | Value::List(_)) => true,
            ("any", _) => true,
            _ => false,
        };
        if fits {
            return Ok(value);
        }
        let found = self.type_text(&value);
        let mut d = error("E0204", format!("'{}' takes {}, not {found}", param.name.name, article(&declared)))
            .at(at, format!("this is {found}"))
            .at(param.name.span, "declared here");
        if declared == "int" && matches!(value, Value::Float(_)) {
            d = d.help("give a whole number");
        }
        if let (Value::Str(text), false) = (&value, matches!(declared.as_str(), "string" | "any")) {
            let known = self.modules.lookup(self.frame().module, text).is_some();
            if known || text.parse::<f64>().is_ok() {
                d = d.help(format!("without quotes: `{text}`")).edit(at, text.as_ref());
            }
        }
        Err(self.fail(d))
    }

    fn enter(&mut self, frame: Frame, span: Span) -> R<()> {
        if self.frames.len() >= MAX_DEPTH {
            let title = frame.title.clone();
            let itself = self.frames.iter().filter(|f| f.title == title).count() > 1;
            let what = if itself { "calls itself".into() } else { format!("is nested more than {MAX_DEPTH} deep") };
            return Err(self.fail(
                error("E0214", format!("{title} {what}"))
                    .at(span, "a call that does not end")
                    .note("a definition is instantiated where it is called, so it cannot call itself")
                    .help("repeat with `for i in 0..n { … }`, or make copies of a layer with `stack(n, layer)`"),
            ));
        }
        self.frames.push(frame);
        Ok(())
    }

    /// Applies an instance to its inputs.
    pub fn apply(&mut self, instance: &Rc<Instance>, args: Vec<Argument>, span: Span) -> R<Value> {
        if self.modules.is_broken_def(instance.def) {
            return Err(Failed::Reported);
        }
        let def = self.modules.def(instance.def);
        let title = self.def_text(instance.def);
        let bound = self.bind(&def.inputs, &def.hypers, args, &title, "input", def.name.span)?;
        if matches!(def.kind, DefKind::Loss | DefKind::Metric) {
            self.note_compared(&bound);
        }
        let path = self.path_of(instance);
        let mut frame = self.new_frame(instance.def.module, FrameKind::Def(def.kind), title.clone(), path.clone());
        frame.called_at = span;
        let statics = self.hyper_locals(def, instance, &path)?;
        frame.scopes[0].extend(statics);
        let caller_theta = bound.first().and_then(|a| a.as_ref()).map(|a| a.span);
        let outside = self.graph.origin.clone();
        let named = matches!(def.kind, DefKind::Layer | DefKind::Model | DefKind::Optimizer | DefKind::Transform);
        let inside = outside.call(&title, named.then(|| path.clone()), span);
        self.enter(frame, span)?;
        self.graph.origin = inside;
        let result = self.apply_body(def, bound, &title, span);
        self.graph.origin = outside;
        let theta = def.inputs.first().and_then(|i| self.local(&i.name.name).cloned());
        self.frames.pop();
        let value = result?;
        if matches!(def.kind, DefKind::Layer | DefKind::Model) {
            self.record_layer(&path, &def.name.name, &value);
        }
        // A rule's result is what its first input has become; applied inside another rule, it updates the caller's
        // variable.
        if def.kind == DefKind::Optimizer
            && let (Some(theta), Some(at)) = (theta, caller_theta)
        {
            let name = self.sources.text(at).trim().to_string();
            if let Some(old) = self.local(&name).cloned() {
                // Also a state: what it becomes is carried to the next step.
                let new = self.updated(&name, old, Operand { value: theta.clone(), span: at }, at)?;
                self.assign(&name, new);
            }
            return Ok(theta);
        }
        Ok(value)
    }

    /// Inputs are checked in order, so that the first solves dimensions for the next; then the body.
    fn apply_body(&mut self, def: &Def, bound: Vec<Option<Argument>>, title: &str, span: Span) -> R<Value> {
        self.check_order(def, &bound)?;
        for (param, arg) in def.inputs.iter().zip(bound) {
            let value = match (arg, &param.default) {
                (Some(arg), _) => match &param.ty {
                    Some(ty) => self.match_input(&param.name.name, ty, arg.value, arg.span)?,
                    None => arg.value,
                },
                (None, Some(default)) => self.expr(default)?,
                (None, None) => {
                    return Err(self.fail(
                        error("E0202", format!("{title} needs the input '{}'", param.name.name))
                            .at(span, format!("'{}' is not given", param.name.name))
                            .at(param.name.span, "declared here"),
                    ));
                }
            };
            self.define(&param.name.name, value);
        }
        if matches!(def.kind, DefKind::Optimizer | DefKind::Transform) {
            let input = |k: usize| def.inputs.get(k).map(|i| i.name.name.clone());
            let step = input(2).and_then(|name| self.local(&name).cloned());
            let theta = input(0).filter(|_| def.kind == DefKind::Optimizer);
            let frame = self.frame();
            (frame.step, frame.theta) = (step, theta);
        }
        let value = self.block(&def.body)?;
        match &def.result {
            Some(ty) => {
                let at = def.body.stmts.last().map_or(def.body.span, |s| s.span);
                self.match_result(ty, value, title, at)
            }
            None => Ok(value),
        }
    }

    /// Two inputs that are given the other way round, as their element types tell: `cross_entropy(label, logits)`.
    fn check_order(&mut self, def: &Def, bound: &[Option<Argument>]) -> R<()> {
        let ([p, q], [Some(a), Some(b)]) = (def.inputs.as_slice(), bound) else { return Ok(()) };
        let declared = |input: &Param| self.dtype_named(&input.ty.as_ref().filter(|t| t.dims.is_some())?.base.name);
        let given = |arg: &Argument| match &arg.value {
            Value::Tensor(t) if !t.weak => Some(self.graph.dtype(t.node)),
            _ => None,
        };
        let swapped = declared(p) != declared(q) && given(a) == declared(q) && given(b) == declared(p);
        if !swapped || given(a).is_none() || given(b).is_none() {
            return Ok(());
        }
        let (name, first, second) = (&def.name.name, &p.name.name, &q.name.name);
        let (ta, tb) = (self.type_text(&a.value), self.type_text(&b.value));
        let d = error("E0204", format!("{name} takes '{first}', then '{second}': here they are the other way round"))
            .at(a.span, format!("'{first}' is due here, this is {ta}"))
            .at(b.span, format!("'{second}' is due here, this is {tb}"))
            .at(p.name.span.to(q.name.span), "declared here");
        let (xa, xb) = (self.sources.text(a.span), self.sources.text(b.span));
        let between = self.sources.text(Span { start: a.span.end, end: b.span.start, ..a.span }).trim() == ",";
        let adjacent = a.span.file == b.span.file && between && a.name.is_none() && b.name.is_none();
        let d = if adjacent { d.help("swap them").edit(a.span.to(b.span), format!("{xb}, {xa}")) } else { d };
        Err(self.fail(d))
    }

    /// Hyper-parameters as the body sees them. In an update rule, numbers are run-time inputs (so that changing one
    /// compiles nothing), unless an `if` of the body asks for them at compile time; schedules are evaluated at `t`.
    fn hyper_locals(&mut self, def: &Def, instance: &Instance, path: &str) -> R<Vec<(String, Value)>> {
        let rule = matches!(def.kind, DefKind::Optimizer | DefKind::Transform);
        let run_time = self.in_update() && (rule || def.kind == DefKind::Schedule);
        let fixed = if run_time { static_hypers(def) } else { vec![] };
        let mut locals = vec![];
        for (param, value) in def.hypers.iter().zip(&instance.hypers) {
            let name = &param.name.name;
            let is_schedule = self.is_schedule(value);
            let takes_scalar = param.ty.as_ref().is_none_or(|t| matches!(t.base.name.as_str(), "float" | "schedule"));
            let value = match value {
                Value::Float(v) if run_time && takes_scalar && !fixed.contains(name) => {
                    Value::Tensor(self.hyper_input(&format!("{path}.{name}"), *v, param.name.span))
                }
                schedule if rule && is_schedule && takes_scalar => {
                    if let Value::Instance(i) = schedule {
                        i.path.borrow_mut().get_or_insert_with(|| format!("{path}.{name}"));
                    }
                    let t = self.step_counter(param.name.span);
                    let arg = Argument { name: None, value: Value::Tensor(t), span: param.name.span };
                    let now = self.apply_callee(schedule.clone(), vec![arg], param.name.span)?;
                    if let (Value::Tensor(value), false) = (&now, self.evaluating) {
                        self.schedules.insert(format!("{path}.{name}"), value.node);
                    }
                    now
                }
                other => other.clone(),
            };
            locals.push((name.clone(), value));
        }
        Ok(locals)
    }

    fn is_schedule(&self, value: &Value) -> bool {
        match value {
            Value::Def(def) => self.modules.def(*def).kind == DefKind::Schedule,
            Value::Instance(i) => self.modules.def(i.def).kind == DefKind::Schedule,
            _ => false,
        }
    }

    fn apply_stack(&mut self, n: usize, layer: &Rc<Instance>, args: Vec<Argument>, span: Span) -> R<Value> {
        let base = self.path_of(layer);
        let mut args = args;
        // No copies at all give back what they are given.
        let mut value = args.first().map_or(Value::Unit, |first| first.value.clone());
        for k in 0..n {
            let copy = Rc::new(Instance {
                def: layer.def,
                hypers: layer.hypers.clone(),
                path: RefCell::new(Some(format!("{base}.{k}"))),
                span: layer.span,
            });
            value = self.apply(&copy, args, span)?;
            args = vec![Argument { name: None, value: value.clone(), span }];
        }
        Ok(value)
    }

    /// The gradient through the transforms, each with `(g, theta, t)`; an optimizer at the end gets `(theta, g, t)`
    /// with the new gradient. A chain of transforms alone is one.
    fn apply_chain(&mut self, parts: &[Value], args: Vec<Argument>, span: Span) -> R<Value> {
        let (last, transforms) = parts.split_last().expect("a chain has two parts");
        let optimizes = self.definition_of(last).is_some_and(|def| def.kind == DefKind::Optimizer);
        let inputs = if optimizes { "(theta, g, t)" } else { "(g, theta, t)" };
        let [first, second, t] = <[Argument; 3]>::try_from(args).map_err(|_| {
            self.fail(error("E0202", format!("this chain of transforms takes {inputs}")).at(span, "in this call"))
        })?;
        let (theta, mut gradient) = if optimizes { (first, second) } else { (second, first) };
        for transform in transforms {
            let args = vec![gradient.clone(), theta.clone(), t.clone()];
            gradient.value = self.apply_rule(transform, args, span)?;
        }
        let args = if optimizes { vec![theta, gradient, t] } else { vec![gradient, theta, t] };
        self.apply_rule(last, args, span)
    }

    /// Applies a transform or an optimizer, which may have fewer inputs than it is offered.
    fn apply_rule(&mut self, rule: &Value, mut args: Vec<Argument>, span: Span) -> R<Value> {
        if let Some(def) = self.definition_of(rule) {
            args.truncate(def.inputs.len());
        }
        self.apply_callee(rule.clone(), args, span)
    }

    /// What is applied; of a chain the last part, which gives its result.
    pub fn definition_of(&self, value: &Value) -> Option<&Def> {
        match value {
            Value::Def(def) => Some(self.modules.def(*def)),
            Value::Instance(i) => Some(self.modules.def(i.def)),
            Value::Chain(parts) => self.definition_of(&parts[parts.len() - 1]),
            _ => None,
        }
    }

    /// Remembers a prediction and its target: floats of one shape, or ints that name a place on the prediction's last axis.
    /// Those of a scan's step are no values of the graph.
    fn note_compared(&mut self, bound: &[Option<Argument>]) {
        if !self.scans.is_empty() {
            return;
        }
        let node = |arg: &Option<Argument>| match arg.as_ref().map(|a| &a.value) {
            Some(Value::Tensor(t)) => Some(t.node),
            _ => None,
        };
        let [first, second, ..] = bound else { return };
        let (None, Some(prediction), Some(target)) = (self.compared, node(first), node(second)) else { return };
        let (p, t) = (self.graph.ty(prediction), self.graph.ty(target));
        let fits = if t.dtype.is_float() {
            p.shape == t.shape
        } else {
            t.dtype == DType::I32 && p.shape.split_last().is_some_and(|(_, rest)| rest == t.shape)
        };
        if fits && p.dtype.is_float() && !t.shape.is_empty() {
            self.compared = Some((prediction, target));
        }
    }

    fn record_layer(&mut self, path: &str, layer: &str, value: &Value) {
        if self.layers.iter().any(|row| row.path == path) {
            return;
        }
        let prefix = format!("{path}.");
        let own = |p: &&String| p.strip_prefix(&prefix).is_some_and(|rest| !rest.contains('.'));
        let params = self.params.iter().filter(|(p, _)| own(p)).map(|(_, s)| s.ty.elements()).sum();
        let output = self.type_text(value);
        self.layers.push(LayerRow { path: path.into(), layer: layer.into(), output, params });
    }
}

fn count(n: usize, word: &str) -> String {
    match n {
        0 => format!("no {word}s"),
        1 => format!("one {word}"),
        n => format!("{n} {word}s"),
    }
}

fn article(kind: &str) -> String {
    let an = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if an { "an" } else { "a" })
}

/// Hyper-parameters that the condition of an `if` names together with nothing but other hyper-parameters: the body
/// is chosen by them at compile time.
fn static_hypers(def: &Def) -> Vec<String> {
    let mut out = vec![];
    block_conditions(&def.body, &mut |cond| {
        let mut found = vec![];
        names(cond, &mut found);
        let hyper = |n: &&str| def.hypers.iter().any(|h| h.name.name == **n);
        if found.iter().all(hyper) {
            out.extend(found.into_iter().map(str::to_string));
        }
    });
    out
}

fn block_conditions(block: &Block, visit: &mut impl FnMut(&Expr)) {
    for Stmt { kind, .. } in &block.stmts {
        match kind {
            StmtKind::If { cond, then, otherwise } => {
                visit(cond);
                block_conditions(then, visit);
                if let Some(otherwise) = otherwise {
                    block_conditions(otherwise, visit);
                }
            }
            StmtKind::For { body, .. } => block_conditions(body, visit),
            StmtKind::Let { value, .. }
            | StmtKind::Update { value, .. }
            | StmtKind::Eval { value, .. }
            | StmtKind::Expr(value) => expr_conditions(value, visit),
            _ => {}
        }
    }
}

fn expr_conditions(expr: &Expr, visit: &mut impl FnMut(&Expr)) {
    match &expr.kind {
        ExprKind::If(cond, then, otherwise) => {
            visit(cond);
            block_conditions(then, visit);
            if let Some(otherwise) = otherwise {
                block_conditions(otherwise, visit);
            }
        }
        ExprKind::Unary(_, x) => expr_conditions(x, visit),
        ExprKind::Binary(_, a, b) | ExprKind::Pipe(a, b) => {
            expr_conditions(a, visit);
            expr_conditions(b, visit);
        }
        ExprKind::Call(f, args) => {
            expr_conditions(f, visit);
            args.iter().for_each(|a| expr_conditions(&a.value, visit));
        }
        _ => {}
    }
}
