//! Statements and blocks.

use super::apply::Argument;
use super::ops::Operand;
use super::{Elab, Failed, FrameKind, ParamSlot, R, StateInit, StateOwner, StateSlot};
use crate::diag::error;
use crate::ir::{Compare, DType, InputKind, Type};
use crate::sema::program::Load;
use crate::sema::value::{Layout, Tensor, Value};
use crate::source::Span;
use crate::syntax::ast::{Block, Decl, DefKind, Expr, ExprKind, Ident, Stmt, StmtKind};
use std::collections::HashMap;

/// Longest `for` that is unrolled.
const MAX_UNROLL: i64 = 10_000;

impl Elab<'_> {
    /// Runs the statements in a scope of their own; the value of the last one is the block's.
    pub fn block(&mut self, block: &Block) -> R<Value> {
        self.frame().scopes.push(HashMap::new());
        let value = self.statements(&block.stmts);
        self.frame().scopes.pop();
        value
    }

    pub fn statements(&mut self, stmts: &[Stmt]) -> R<Value> {
        let mut value = Ok(Value::Unit);
        let mut failed = false;
        for stmt in stmts {
            value = self.statement(stmt);
            match value {
                Err(Failed::NeedsShape) => return value,
                Err(Failed::Reported) => failed = true,
                Ok(_) => {}
            }
        }
        if failed { Err(Failed::Reported) } else { value }
    }

    fn statement(&mut self, stmt: &Stmt) -> R<Value> {
        match &stmt.kind {
            StmtKind::Let { names, ty, value } => {
                let result = self.expr(value);
                if matches!(result, Err(Failed::NeedsShape)) {
                    return result;
                }
                let bound = match (result, ty) {
                    (Ok(v), Some(ty)) => self.match_input(&names[0].name, ty, v, value.span),
                    (r, _) => r,
                };
                self.bind_let(names, bound, value.span)
            }
            StmtKind::Param(decl) => {
                let made = self.param(decl, stmt.span);
                self.poison_failed(decl, made)
            }
            StmtKind::State(decl) => {
                let made = self.state(decl, stmt.span);
                self.poison_failed(decl, made)
            }
            StmtKind::Update { target, value } => self.update(target, value, stmt.span),
            StmtKind::Expr(e) => self.expr(e),
            StmtKind::If { cond, then, otherwise } => self.if_statement(cond, then, otherwise.as_ref(), stmt.span),
            StmtKind::For { var, range, body } => self.for_loop(var, range, body),
            StmtKind::Minimize(m) => self.minimize(m, stmt.span),
            StmtKind::Report(items) => self.report(items),
            StmtKind::Observe(items) => self.observe(items),
            StmtKind::Expect { value, near, within } => self.expect(value, near.as_ref(), within.as_ref(), stmt.span),
            StmtKind::Eval { .. } => Err(self.fail(
                error("E0212", "'eval … = …' is not supported yet").at(stmt.span, "separate weights for evaluation"),
            )),
        }
    }

    /// Uses of a declaration that was reported wrong are not wrong again.
    fn poison_failed(&mut self, decl: &Decl, made: R<Value>) -> R<Value> {
        if matches!(made, Err(Failed::Reported)) {
            self.define(&decl.name.name, Value::Poison);
        }
        made
    }

    fn bind_let(&mut self, names: &[Ident], value: R<Value>, span: Span) -> R<Value> {
        match (names, value) {
            (names, Err(failed)) => {
                for name in names {
                    self.define(&name.name, Value::Poison);
                }
                Err(failed)
            }
            ([name], Ok(value)) => {
                match &value {
                    Value::Instance(i) | Value::Stack(_, i) => self.name_instance(&i.clone(), &name.name),
                    _ => {}
                }
                self.define(&name.name, value);
                Ok(Value::Unit)
            }
            (names, Ok(Value::Tuple(items))) if items.len() == names.len() => {
                for (name, item) in names.iter().zip(items.iter()) {
                    self.define(&name.name, item.clone());
                }
                Ok(Value::Unit)
            }
            (names, Ok(other)) => {
                let found = self.type_text(&other);
                for name in names {
                    self.define(&name.name, Value::Poison);
                }
                Err(self.fail(
                    error("E0204", format!("expected a tuple of {}, found {found}", names.len()))
                        .at(span, format!("this is {found}")),
                ))
            }
        }
    }

    /// `param w: float[D, units] = init`
    fn param(&mut self, decl: &Decl, span: Span) -> R<Value> {
        let allowed = matches!(self.frame().kind, FrameKind::Def(DefKind::Layer | DefKind::Model));
        if !allowed {
            return Err(self.fail(
                error("E0217", "'param' belongs in a layer or a model").at(span, "no parameters are trained here"),
            ));
        }
        let Some(ty) = &decl.ty else {
            return Err(self.fail(
                error("E0217", format!("parameter '{}' needs a type", decl.name.name))
                    .at(decl.name.span, "its shape is not known")
                    .help(format!("write `param {}: float[…] = …`", decl.name.name)),
            ));
        };
        let Some(dtype) = self.dtype_named(&ty.base.name).filter(|d| d.is_float()) else {
            return Err(self.fail(error("E0204", "a parameter is a float tensor").at(ty.span, "not a float type")));
        };
        let Some(init) = &decl.value else {
            return Err(self.fail(
                error("E0217", format!("parameter '{}' needs a starting value", decl.name.name))
                    .at(decl.name.span, "no initializer")
                    .help("for example `= zeros` or `= glorot_uniform`"),
            ));
        };
        let shape = self.shape_named(ty.dims.as_deref().unwrap_or(&[]))?;
        let init = self.expr(init)?;
        let path = Self::join(&self.frame().path.clone(), &decl.name.name);
        let ty = Type::new(dtype, shape);
        let node = self.param_node(&path, ty, init, span)?;
        self.define(&decl.name.name, Value::Tensor(Tensor::plain(node)));
        Ok(Value::Unit)
    }

    fn param_node(&mut self, path: &str, ty: Type, init: Value, span: Span) -> R<crate::ir::NodeId> {
        if let Some(known) = self.params.get(path) {
            if known.ty == ty {
                return Ok(known.node);
            }
            let (old, new) = (self.ir_type_text(&known.ty.clone()), self.ir_type_text(&ty));
            let (first, call) = (known.made_at, self.frame().called_at);
            return Err(self.fail(
                error("E0203", format!("the shared parameter '{path}' is {old} in one call and {new} in another"))
                    .at(call, format!("here it would be {new}"))
                    .at(first, format!("made here as {old}"))
                    .at(span, "declared here")
                    .help("a layer that is called twice shares its weights; make a second layer for another shape"),
            ));
        }
        let init = match init {
            Value::Load(file, key) => {
                let key = key.map(|k| k.to_string());
                self.loads.push(Load { path: path.to_string(), file: file.to_string(), key, span });
                Value::Float(0.0)
            }
            other => other,
        };
        let node = if self.inline_params {
            let t = self.initial_value(&init, &ty, path, span)?;
            t.node
        } else {
            self.graph.add_input(path, ty.clone(), InputKind::Param, span)
        };
        self.params.insert(
            path.to_string(),
            ParamSlot { node, ty, init, span, made_at: self.frames.last().map_or(span, |f| f.called_at) },
        );
        Ok(node)
    }

    /// `state m = 0`, `state r: float[R] = 0`
    fn state(&mut self, decl: &Decl, span: Span) -> R<Value> {
        let owner = match self.frame().kind {
            FrameKind::Def(DefKind::Optimizer | DefKind::Transform) => StateOwner::Optimizer,
            FrameKind::Def(DefKind::Metric) => StateOwner::Metric,
            FrameKind::Def(DefKind::Layer | DefKind::Model) => StateOwner::Model,
            _ => {
                return Err(self.fail(
                    error("E0217", "'state' belongs in a layer, metric, transform or optimizer")
                        .at(span, "nothing carries it here"),
                ));
            }
        };
        let path = self.state_path(&decl.name.name);
        if let Some(known) = self.states.get(&path) {
            let current = known.current;
            self.define(&decl.name.name, Value::Tensor(current));
            return Ok(Value::Unit);
        }
        let Some(value) = &decl.value else {
            return Err(self.fail(
                error("E0217", format!("state '{}' needs a starting value", decl.name.name))
                    .at(decl.name.span, "for example `= 0`"),
            ));
        };
        let start = self.operand(value)?;
        let slot = self.state_slot(decl, owner, start, &path, span)?;
        self.define(&decl.name.name, Value::Tensor(slot.current));
        self.states.insert(path, slot);
        Ok(Value::Unit)
    }

    pub fn state_path(&mut self, name: &str) -> String {
        let path = Self::join(&self.frame().path.clone(), name);
        format!("{path}{}", self.update_suffix)
    }

    fn state_slot(&mut self, decl: &Decl, owner: StateOwner, start: Operand, path: &str, span: Span) -> R<StateSlot> {
        let (ty, layout) = match &decl.ty {
            Some(ty) => {
                let Some(dtype) = self.dtype_named(&ty.base.name) else {
                    return Err(self.fail(error("E0204", "a state is a tensor").at(ty.span, "not a tensor type")));
                };
                let dims = ty.dims.clone().unwrap_or_default();
                if dims.is_empty() && dtype == self.float {
                    (Type::scalar(DType::F64), Layout::Plain)
                } else if self.flat.is_some() && !dims.is_empty() {
                    return Err(Failed::NeedsShape);
                } else {
                    (Type::new(dtype, self.shape_named(&dims)?), Layout::Plain)
                }
            }
            None => self.untyped_state(owner, &start, decl.name.span)?,
        };
        let weak = ty == Type::scalar(DType::F64) && layout == Layout::Plain;
        let input = self.graph.add_input(path, ty.clone(), InputKind::State, span);
        let stored = Tensor { node: input, weak, layout };
        let (init, current) = match start.value {
            Value::Int(_) | Value::Float(_) => (StateInit::Fill(start.value.number().unwrap_or(0.0)), stored),
            Value::Tensor(first) => {
                // "Starts from an expression": at the first step the state reads as that expression.
                let first = self.fit_state(first, stored, path, start.span)?;
                let t = self.step_counter(span);
                let mut build = self.build(span);
                let one = build.constant(1.0, DType::F64);
                let is_first = build.compare(Compare::Eq, t.node, one);
                let cond = build.broadcast_to(is_first, &ty.shape);
                let node = build.select(cond, first, input);
                (StateInit::Fill(0.0), Tensor { node, ..stored })
            }
            init => (StateInit::Init(init), stored),
        };
        Ok(StateSlot { input, current, init, owner, span })
    }

    /// The type of a state without one: the parameter's in a rule, a scalar elsewhere, or that of its first value.
    fn untyped_state(&mut self, owner: StateOwner, start: &Operand, at: Span) -> R<(Type, Layout)> {
        match &start.value {
            Value::Tensor(t) => Ok((self.graph.ty(t.node).clone(), t.layout)),
            _ if owner == StateOwner::Optimizer => match (&self.flat, &self.update_shape) {
                (Some(group), _) => Ok((Type::new(self.float, vec![group.elements()]), Layout::Flat)),
                (None, Some(shape)) => Ok((Type::new(self.float, shape.clone()), Layout::Plain)),
                (None, None) => Err(self.fail(
                    error("E0217", "the shape of this state is not known outside an update").at(at, "give it a type"),
                )),
            },
            Value::Int(_) | Value::Float(_) => Ok((Type::scalar(DType::F64), Layout::Plain)),
            _ => Err(self.fail(
                error("E0217", "the shape of this state is not known")
                    .at(at, "give it a type: `state x: float[…] = …`"),
            )),
        }
    }

    /// A value as a state's node: its element type, layout and shape, scalars repeated.
    fn fit_state(&mut self, value: Tensor, state: Tensor, path: &str, at: Span) -> R<crate::ir::NodeId> {
        let ty = self.graph.ty(state.node).clone();
        let found = self.graph.ty(value.node).clone();
        if found.dtype != ty.dtype && !(found.dtype.is_float() && ty.dtype.is_float()) {
            let (old, new) = (self.ir_type_text(&ty), self.ir_type_text(&found));
            return Err(self.fail(
                error("E0204", format!("'{path}' holds {old} and cannot become {new}"))
                    .at(at, format!("this is {new}")),
            ));
        }
        if value.layout > state.layout {
            return Err(Failed::NeedsShape);
        }
        let mut node = self.build(at).convert(value.node, ty.dtype);
        if value.layout != state.layout {
            let t = self.to_layout(Tensor { node, ..value }, state.layout, at)?;
            node = t.node;
        }
        let shape = self.graph.shape(node).clone();
        if shape != ty.shape {
            if !shape.is_empty() {
                let (old, new) = (self.ir_type_text(&ty), self.ir_type_text(&found));
                return Err(self.fail(
                    error("E0203", format!("'{path}' has shape {:?} and cannot become {shape:?}", ty.shape))
                        .at(at, format!("this is {new}"))
                        .note(format!("'{path}' is {old}")),
                ));
            }
            node = self.build(at).broadcast_to(node, &ty.shape);
        }
        Ok(node)
    }

    /// `x <- e`: a state, or a local of an update rule or function.
    fn update(&mut self, target: &Expr, value: &Expr, span: Span) -> R<Value> {
        let ExprKind::Name(name) = &target.kind else {
            return Err(
                self.fail(error("E0212", "only a name can be updated").at(target.span, "not a state or variable"))
            );
        };
        let new = self.operand(value);
        let Some(old) = self.local(name).cloned() else {
            let help = super::expr::unknown_name_help(name, std::iter::empty());
            return Err(self.fail(
                error("E0201", format!("unknown name '{name}'"))
                    .at(target.span, "nothing of this name to update")
                    .maybe_help(help),
            ));
        };
        let new = match new {
            Ok(new) => new,
            Err(failed) => {
                if failed == Failed::Reported {
                    self.assign(name, Value::Poison);
                }
                return Err(failed);
            }
        };
        let path = self.state_path(name);
        if let Some(slot) = self.states.get(&path) {
            let stored = Tensor { node: slot.input, ..slot.current };
            let given = self.to_tensor(new.value, None, new.span)?;
            let node = self.fit_state(given, stored, name, new.span)?;
            let current = Tensor { node, ..stored };
            self.states[&path].current = current;
            self.assign(name, Value::Tensor(current));
            return Ok(Value::Unit);
        }
        let param_path = Self::join(&self.frame().path.clone(), name);
        if self.params.contains_key(&param_path) {
            return Err(self.fail(
                error("E0217", format!("the parameter '{name}' is trained, not updated by hand"))
                    .at(span, "updated here")
                    .help("use `state` for values that the layer updates itself"),
            ));
        }
        // A local keeps its type: the value that `theta` ends with is stored in the parameter.
        let value = match (old, new.value) {
            (Value::Tensor(old), given) if self.in_update() => {
                let given = self.to_tensor(given, None, new.span)?;
                let node = self.fit_state(given, old, name, new.span)?;
                Value::Tensor(Tensor { node, ..old })
            }
            (_, given) => given,
        };
        self.assign(name, value);
        Ok(Value::Unit)
    }

    fn if_statement(&mut self, cond: &Expr, then: &Block, otherwise: Option<&Block>, span: Span) -> R<Value> {
        let c = self.operand(cond)?;
        match (self.static_bool(&c), otherwise) {
            // Declarations in the chosen branch belong to the enclosing block: `if bias { param b … }`.
            (Some(true), _) => self.statements(&then.stmts),
            (Some(false), Some(otherwise)) => self.statements(&otherwise.stmts),
            (Some(false), None) => Ok(Value::Unit),
            (None, _) => self.run_time_if(c, then, otherwise, span),
        }
    }

    /// Both branches are computed; what they update is chosen by the condition.
    pub fn run_time_if(&mut self, c: Operand, then: &Block, otherwise: Option<&Block>, span: Span) -> R<Value> {
        let cond = self.tensor_of_type(c.value, DType::Bool, c.span)?;
        let before_scopes = self.frame().scopes.clone();
        let before_states: HashMap<String, Tensor> =
            self.states.iter().map(|(path, slot)| (path.clone(), slot.current)).collect();
        let first = self.block(then);
        let first_scopes = std::mem::replace(&mut self.frame().scopes, before_scopes.clone());
        let first_states: HashMap<String, Tensor> =
            self.states.iter().map(|(path, slot)| (path.clone(), slot.current)).collect();
        for (path, slot) in &mut self.states {
            if let Some(before) = before_states.get(path) {
                slot.current = *before;
            }
        }
        let second = match otherwise {
            Some(block) => self.block(block),
            None => Ok(Value::Unit),
        };
        let (first, second) = (first?, second?);
        let choose = |this: &mut Self, a: Value, b: Value| {
            let cond = Operand { value: Value::Tensor(cond), span: c.span };
            this.select(cond, Operand { value: a, span }, Operand { value: b, span }, span)
        };
        for (depth, scope) in first_scopes.iter().enumerate() {
            for (name, a) in scope {
                let Some(b) = self.frame().scopes[depth].get(name).cloned() else { continue };
                if !same(a, &b) {
                    let merged = choose(self, a.clone(), b)?;
                    self.frame().scopes[depth].insert(name.clone(), merged);
                }
            }
        }
        let paths: Vec<String> = self.states.keys().cloned().collect();
        for path in paths {
            let b = self.states[&path].current;
            let stored = Tensor { node: self.states[&path].input, ..b };
            let a = first_states.get(&path).copied().unwrap_or(stored);
            if a.node != b.node {
                let Value::Tensor(merged) = choose(self, Value::Tensor(a), Value::Tensor(b))? else { continue };
                self.states[&path].current = Tensor { node: merged.node, ..b };
            }
        }
        match (first, second) {
            (Value::Unit, _) | (_, Value::Unit) => Ok(Value::Unit),
            (a, b) if same(&a, &b) => Ok(a),
            (a, b) => choose(self, a, b),
        }
    }

    fn for_loop(&mut self, var: &Ident, range: &Expr, body: &Block) -> R<Value> {
        let items: Vec<Value> = match self.expr(range)? {
            Value::Range(a, b) if b - a <= MAX_UNROLL => (a..b).map(Value::Int).collect(),
            Value::List(items) => items.to_vec(),
            Value::Range(a, b) => {
                return Err(self.fail(
                    error("E0211", format!("a loop of {} turns is too long to unroll", b - a))
                        .at(range.span, format!("at most {MAX_UNROLL}")),
                ));
            }
            other => {
                let found = self.type_text(&other);
                return Err(self.fail(
                    error("E0211", "'for' walks a range or a list known at compile time")
                        .at(range.span, format!("this is {found}"))
                        .help("for example `for i in 0..n { … }`"),
                ));
            }
        };
        for item in items {
            self.frame().scopes.push(HashMap::new());
            self.define(&var.name, item);
            let result = self.statements(&body.stmts);
            self.frame().scopes.pop();
            result?;
        }
        Ok(Value::Unit)
    }

    /// A starting value: an initializer applied to a shape, or a number in every element.
    pub fn initial_value(&mut self, init: &Value, ty: &Type, path: &str, span: Span) -> R<Tensor> {
        let module = self.modules.main_id();
        let frame = self.new_frame(module, FrameKind::Eval, format!("the start of '{path}'"), path.to_string());
        self.frames.push(frame);
        let value = match init {
            Value::Def(_) | Value::Instance(_) => {
                let arg = Argument { name: None, value: Value::shape(&ty.shape), span };
                self.apply_callee(init.clone(), vec![arg], span)
            }
            other => Ok(other.clone()),
        };
        let result = value.and_then(|value| {
            let t = self.to_tensor(value, Some(ty.dtype), span)?;
            let like = Tensor::plain(self.build(span).full(0.0, ty.dtype, &ty.shape));
            let node = self.fit_state(t, like, path, span)?;
            Ok(Tensor::plain(node))
        });
        self.frames.pop();
        result
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Tensor(a), Value::Tensor(b)) => a.node == b.node,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b || a.is_nan() && b.is_nan(),
        (Value::Bool(a), Value::Bool(b)) => a == b,
        // Anything else cannot be chosen at run time, and is not changed by an update.
        (Value::Tensor(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_), _) => false,
        (_, Value::Tensor(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_)) => false,
        _ => true,
    }
}
