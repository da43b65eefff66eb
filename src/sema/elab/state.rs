//! `state` and `<-`: what layers, metrics and rules carry from step to step.
//!
//! In a rule a state without a type is like the parameter. Its first value may be any expression: the state reads as
//! that expression at the rule's first step. Scalars belong to each tensor, except in `all state`, which is one value
//! for everything that the rule trains; `list[k]` makes k states of the parameter's shape.

use super::ops::Operand;
use super::{Elab, Failed, FrameKind, R, StateInit, StateOwner, StateSlot};
use crate::diag::error;
use crate::ir::{DType, InputKind, NodeId, Type};
use crate::sema::value::{Layout, Tensor, Value};
use crate::source::Span;
use crate::syntax::ast::{BinOp, Decl, DefKind, DimExpr, Expr, ExprKind, IndexItem, TypeExpr};

/// Longest `list[k]`.
const MAX_LIST: usize = 1000;

impl Elab<'_> {
    /// `state m = 0`, `state r: float[R] = 0`, `state h: list[k] = 0`, `all state d: float = 1`
    pub fn state(&mut self, decl: &Decl, span: Span) -> R<Value> {
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
        if decl.whole && owner != StateOwner::Optimizer {
            return Err(self.fail(
                error("E0217", "'all state' belongs in an optimizer or transform")
                    .at(span, "there is no group of tensors here")
                    .help("write `state …`"),
            ));
        }
        let name = &decl.name.name;
        if let Some(count) = self.list_length(decl)? {
            let mut items = vec![];
            for k in 0..count {
                items.push(Value::Tensor(self.declared(decl, owner, &format!("{name}.{k}"), span)?));
            }
            self.define(name, Value::list(items));
            return Ok(Value::Unit);
        }
        let current = self.declared(decl, owner, name, span)?;
        self.define(name, Value::Tensor(current));
        Ok(Value::Unit)
    }

    /// The k of `list[k]`.
    fn list_length(&mut self, decl: &Decl) -> R<Option<usize>> {
        let Some(ty) = decl.ty.as_ref().filter(|ty| ty.base.name == "list") else { return Ok(None) };
        let Some([DimExpr::Size(length)]) = ty.dims.as_deref() else {
            return Err(self.fail(
                error("E0217", "a list of states has one length")
                    .at(ty.span, "here")
                    .help("for example `state h: list[4] = 0`"),
            ));
        };
        let count = self.dim_size(length)?;
        if count > MAX_LIST {
            return Err(self.fail(
                error("E0217", format!("a list of {count} states is too long"))
                    .at(ty.span, format!("at most {MAX_LIST}")),
            ));
        }
        Ok(Some(count))
    }

    /// The value of one state where it is declared; makes its slot at the first time.
    fn declared(&mut self, decl: &Decl, owner: StateOwner, name: &str, span: Span) -> R<Tensor> {
        let path = if decl.whole { self.whole_path(name) } else { self.state_path(name) };
        let run = self.rule.tensor;
        if let Some(known) = self.states.get_mut(&path) {
            // The next tensor's turn begins with the value that all turns begin with.
            if known.whole && known.run != run {
                (known.run, known.current) = (run, known.start);
            }
            return Ok(known.current);
        }
        let Some(value) = &decl.value else {
            return Err(self.fail(
                error("E0217", format!("state '{name}' needs a starting value"))
                    .at(decl.name.span, "for example `= 0`"),
            ));
        };
        let start = self.operand(value)?;
        let slot = self.state_slot(decl, owner, start, &path, span)?;
        let current = slot.current;
        self.states.insert(path, slot);
        Ok(current)
    }

    /// Where a state of this name lies: in the frame, and with the tensor that a rule works on.
    pub fn state_path(&mut self, name: &str) -> String {
        format!("{}{}", self.whole_path(name), self.update_suffix)
    }

    fn whole_path(&mut self, name: &str) -> String {
        Self::join(&self.frame().path.clone(), name)
    }

    fn state_slot(&mut self, decl: &Decl, owner: StateOwner, start: Operand, path: &str, span: Span) -> R<StateSlot> {
        let like_parameter = |ty: &TypeExpr| match ty.dims.as_deref() {
            _ if ty.base.name == "list" => true,
            Some([DimExpr::Rest(_)]) => owner == StateOwner::Optimizer,
            _ => false,
        };
        let (ty, layout) = match &decl.ty {
            Some(ty) if like_parameter(ty) && (ty.base.name == "list" || self.frame().rest.is_none()) => {
                self.parameter_type(decl.name.span)?
            }
            Some(ty) => self.typed_state(ty, decl.whole, path)?,
            None if decl.whole => self.untyped_whole(&start),
            None => self.untyped_state(owner, &start, decl.name.span)?,
        };
        let weak = ty == Type::scalar(DType::F64) && layout == Layout::Plain;
        let input = self.state_input(path, &ty, span);
        let stored = Tensor { node: input, weak, layout };
        let (init, current) = match start.value {
            Value::Int(_) | Value::Float(_) => (StateInit::Fill(start.value.number().unwrap_or(0.0)), stored),
            Value::Tensor(first) => (StateInit::Fill(0.0), self.first_value(first, stored, path, start.span, span)?),
            init => (StateInit::Init(init), stored),
        };
        let run = self.rule.tensor;
        Ok(StateSlot { input, current, start: current, init, owner, span, whole: decl.whole, run })
    }

    /// The input that carries a state; one, however often the rule starts again.
    fn state_input(&mut self, path: &str, ty: &Type, span: Span) -> NodeId {
        if let Some(node) = self.rule.inputs.get(path)
            && self.graph.ty(*node) == ty
        {
            return *node;
        }
        let node = self.graph.add_input(path, ty.clone(), InputKind::State, span);
        if self.update_shape.is_some() {
            self.rule.inputs.insert(path.to_string(), node);
        }
        node
    }

    /// "Starts from an expression": at the rule's first step the state reads as that expression.
    fn first_value(&mut self, first: Tensor, stored: Tensor, path: &str, at: Span, span: Span) -> R<Tensor> {
        let first = self.fit_state(first, stored, path, at)?;
        if self.evaluating {
            return Ok(stored);
        }
        let t = match self.frame().step.clone() {
            Some(t) => t,
            None => Value::Tensor(self.step_counter(span)),
        };
        let (t, one) = (Operand { value: t, span }, Operand { value: Value::Int(1), span });
        let is_first = self.binary(BinOp::Eq, t, one, span)?;
        let side = |node| Operand { value: Value::Tensor(Tensor { node, ..stored }), span };
        match self.select(Operand { value: is_first, span }, side(first), side(stored.node), span)? {
            Value::Tensor(chosen) => Ok(Tensor { node: self.fit_state(chosen, stored, path, at)?, ..stored }),
            _ => Ok(stored),
        }
    }

    /// A state like the parameter that the rule updates.
    fn parameter_type(&mut self, at: Span) -> R<(Type, Layout)> {
        match (&self.flat, &self.update_shape) {
            (Some(group), _) => Ok((Type::new(self.float, vec![group.elements()]), Layout::Flat)),
            (None, Some(shape)) => Ok((Type::new(self.float, shape.clone()), Layout::Plain)),
            (None, None) => Err(self.fail(
                error("E0217", "the shape of this state is not known outside an update").at(at, "give it a type"),
            )),
        }
    }

    fn typed_state(&mut self, ty: &TypeExpr, whole: bool, path: &str) -> R<(Type, Layout)> {
        let Some(dtype) = self.dtype_named(&ty.base.name) else {
            return Err(self.fail(error("E0204", "a state is a tensor").at(ty.span, "not a tensor type")));
        };
        let dims = ty.dims.clone().unwrap_or_default();
        if dims.is_empty() && dtype == self.float {
            return Ok(match &self.flat {
                Some(group) if !whole && self.rule.per_tensor.contains(path) => {
                    (Type::new(dtype, vec![group.tensors()]), Layout::PerTensor)
                }
                _ => (Type::scalar(DType::F64), Layout::Plain),
            });
        }
        if self.flat.is_some() && !whole && !dims.is_empty() {
            return Err(Failed::NeedsShape);
        }
        Ok((Type::new(dtype, self.shape_named(&dims)?), Layout::Plain))
    }

    /// `all state d = e`: a number, unless the value has a shape.
    fn untyped_whole(&self, start: &Operand) -> (Type, Layout) {
        match &start.value {
            Value::Tensor(t) if t.layout == Layout::Plain && !t.weak && !self.graph.shape(t.node).is_empty() => {
                (self.graph.ty(t.node).clone(), Layout::Plain)
            }
            _ => (Type::scalar(DType::F64), Layout::Plain),
        }
    }

    /// The type of a state without one: the parameter's in a rule, a scalar elsewhere, or that of its first value.
    fn untyped_state(&mut self, owner: StateOwner, start: &Operand, at: Span) -> R<(Type, Layout)> {
        match &start.value {
            // Numbers and hyper-parameters fill the parameter's shape.
            Value::Tensor(t) if !(t.weak && owner == StateOwner::Optimizer) => {
                Ok((self.graph.ty(t.node).clone(), t.layout))
            }
            _ if owner == StateOwner::Optimizer => self.parameter_type(at),
            Value::Int(_) | Value::Float(_) => Ok((Type::scalar(DType::F64), Layout::Plain)),
            _ => Err(self.fail(
                error("E0217", "the shape of this state is not known")
                    .at(at, "give it a type: `state x: float[…] = …`"),
            )),
        }
    }

    /// A value as a state's node: its element type, layout and shape, scalars repeated.
    pub fn fit_state(&mut self, value: Tensor, state: Tensor, path: &str, at: Span) -> R<NodeId> {
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

    /// `x <- e`: a state, an element of a list of states, or a local of an update rule or function.
    pub fn update(&mut self, target: &Expr, value: &Expr, span: Span) -> R<Value> {
        let (name, item) = match &target.kind {
            ExprKind::Name(name) => (name, None),
            ExprKind::Index(base, items) => match (&base.kind, items.as_slice()) {
                (ExprKind::Name(name), [IndexItem::At(index)]) => (name, Some(index)),
                _ => return Err(self.not_a_target(target)),
            },
            _ => return Err(self.not_a_target(target)),
        };
        if self.local(name).is_none() {
            if self.modules.is_left_out(self.frames.last().expect("a statement runs in a frame").module, name) {
                return Err(Failed::Reported);
            }
            let frame = self.frames.last().expect("a statement runs in a frame");
            let known: Vec<&str> = frame.scopes.iter().flat_map(|s| s.keys()).map(String::as_str).collect();
            let d = error("E0201", format!("unknown name '{name}'"))
                .at(target.span, "nothing of this name to update")
                .help(format!("declare it first: `state {name} = 0`"))
                .did_you_mean(target.span, name, known);
            self.frame().scopes[0].insert(name.clone(), Value::Poison);
            return Err(self.fail(d));
        }
        let new = self.operand(value);
        let Some(old) = self.local(name).cloned() else { return Err(Failed::Reported) };
        let new = match new {
            Ok(new) => new,
            Err(failed) => {
                if failed == Failed::Reported {
                    self.assign(name, Value::Poison);
                }
                return Err(failed);
            }
        };
        let value = match item {
            Some(index) => self.updated_item(name, old, index, new, target)?,
            None => self.updated(name, old, new, span)?,
        };
        self.assign(name, value);
        Ok(Value::Unit)
    }

    fn not_a_target(&mut self, target: &Expr) -> Failed {
        self.fail(error("E0212", "only a name, or an item of a list of states, can be updated").at(target.span, "here"))
    }

    /// The list after `h[i] <- e`.
    fn updated_item(&mut self, name: &str, old: Value, index: &Expr, new: Operand, target: &Expr) -> R<Value> {
        let Value::List(items) = old else {
            if matches!(old, Value::Poison) {
                return Err(Failed::Reported);
            }
            let found = self.type_text(&old);
            return Err(self.fail(
                error("E0212", format!("an item of '{name}' cannot be updated"))
                    .at(target.span, format!("'{name}' is {found}"))
                    .help("a list of states is declared `state h: list[4] = 0`; else update the whole value"),
            ));
        };
        let at = self.static_int(index)?;
        let at = self.in_range(at, items.len(), index.span)?;
        let mut items = items.to_vec();
        items[at] = self.updated(&format!("{name}.{at}"), items[at].clone(), new, target.span)?;
        Ok(Value::list(items))
    }

    /// What a name stands for after it was updated; a state's slot learns it too.
    pub fn updated(&mut self, name: &str, old: Value, new: Operand, span: Span) -> R<Value> {
        let mut path = self.state_path(name);
        if !self.states.contains_key(&path) {
            path = self.whole_path(name);
        }
        if let Some(slot) = self.states.get(&path) {
            let (stored, whole) = (Tensor { node: slot.input, ..slot.current }, slot.whole);
            let given = self.to_tensor(new.value, None, new.span)?;
            if whole && given.layout != Layout::Plain {
                return Err(self.many_for_one(name, new.span));
            }
            if given.layout == Layout::PerTensor && stored.layout == Layout::Plain && stored.weak {
                self.rule.per_tensor.insert(path);
                return Err(Failed::Again);
            }
            let node = self.fit_state(given, stored, name, new.span)?;
            if whole && self.is_of_one_tensor(node) {
                return Err(self.many_for_one(name, new.span));
            }
            if self.evaluating {
                return Ok(old);
            }
            let current = Tensor { node, ..stored };
            self.states[&path].current = current;
            return Ok(Value::Tensor(current));
        }
        let param_path = Self::join(&self.frame().path.clone(), name);
        if self.params.contains_key(&param_path) {
            return Err(self.fail(
                error("E0217", format!("the parameter '{name}' is trained, not updated by hand"))
                    .at(span, "updated here")
                    .help("use `state` for values that the layer updates itself"),
            ));
        }
        // What a rule leaves in its first input is stored in the parameter, whose type it keeps.
        let is_theta = self.frame().theta.as_deref() == Some(name);
        match (old, new.value) {
            (Value::Tensor(old), given) if is_theta => {
                let given = self.to_tensor(given, None, new.span)?;
                let node = self.fit_state(given, old, name, new.span)?;
                Ok(Value::Tensor(if self.evaluating { old } else { Tensor { node, ..old } }))
            }
            (_, given) => Ok(given),
        }
    }

    fn many_for_one(&mut self, name: &str, at: Span) -> Failed {
        self.fail(
            error("E0217", format!("'{name}' is one value for all tensors and cannot become another one for each"))
                .at(at, "this differs from tensor to tensor")
                .help("reduce it over all tensors: `all.sum(…)`, `all.norm(…)`, …"),
        )
    }
}
