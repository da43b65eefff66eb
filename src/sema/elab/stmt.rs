//! Statements and blocks.

use super::apply::Argument;
use super::ops::Operand;
use super::{Elab, Failed, FrameKind, ParamSlot, R};
use crate::diag::error;
use crate::ir::{DType, InputKind, Type, Unary};
use crate::sema::modules::ModuleId;
use crate::sema::program::Load;
use crate::sema::value::{Layout, Tensor, Value};
use crate::source::Span;
use crate::syntax::ast::{Block, Decl, DefKind, Expr, Ident, Stmt, StmtKind};
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
                // What follows a failed assertion of the library only says the same again.
                Err(Failed::Reported) if matches!(self.frame().module, ModuleId::Library(_)) => return value,
                Err(Failed::Reported) => failed = true,
                // The rule starts again: nothing that follows matters.
                Err(_) => return value,
                Ok(_) => {}
            }
        }
        if failed { Err(Failed::Reported) } else { value }
    }

    fn statement(&mut self, stmt: &Stmt) -> R<Value> {
        match &stmt.kind {
            StmtKind::Let { names, ty, value } => {
                let result = self.expr(value);
                if matches!(&result, Err(failed) if *failed != Failed::Reported) {
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
            StmtKind::Minimize(m) => {
                self.not_in_scan("'minimize'", stmt.span)?;
                self.minimize(m, stmt.span)
            }
            StmtKind::Report(items) => {
                self.not_in_scan("'report'", stmt.span)?;
                self.report(items)
            }
            StmtKind::Observe(items) => {
                self.not_in_scan("'observe'", stmt.span)?;
                self.observe(items)
            }
            StmtKind::Expect { .. } if !self.scans.is_empty() => {
                self.not_in_scan("'expect'", stmt.span).map(|()| Value::Unit)
            }
            StmtKind::Expect { value, near, within } => self.expect(value, near.as_ref(), within.as_ref(), stmt.span),
            StmtKind::Eval { target, value } => {
                self.not_in_scan("'eval'", stmt.span)?;
                self.eval_statement(target, value, stmt.span)
            }
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
            (names, Ok(Value::Tuple(items) | Value::List(items))) if items.len() == names.len() => {
                for (name, item) in names.iter().zip(items.iter()) {
                    self.define(&name.name, item.clone());
                }
                Ok(Value::Unit)
            }
            (_, Ok(Value::OwnShape)) => Err(Failed::NeedsShape),
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
        let role = ty.role.as_ref().map(|role| role.name.clone());
        let node = self.param_node(&path, Type::new(dtype, shape), init, span)?;
        if let Some(slot) = self.params.get_mut(&path) {
            slot.role = role;
        }
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
        let (made_at, layer) = self.frames.last().map_or((span, String::new()), |f| {
            (f.called_at, f.title.rsplit(' ').next().unwrap_or_default().to_string())
        });
        let called_at = self.users_call().unwrap_or(span);
        self.params.insert(path.to_string(), ParamSlot { node, ty, init, span, made_at, called_at, layer, role: None });
        Ok(node)
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
        let many =
            cond.layout == Layout::Flat || cond.layout == Layout::Plain && !self.graph.shape(cond.node).is_empty();
        if many {
            let found = self.type_text(&Value::Tensor(cond));
            return Err(self.fail(
                error("E0211", "an 'if' decides once, not for each element")
                    .at(c.span, format!("this is {found}"))
                    .help("choose element by element with `where(condition, a, b)`, or ask about all: `max(x) > 0`"),
            ));
        }
        let before_scopes = self.frame().scopes.clone();
        let before: HashMap<String, Tensor> = self.current_states();
        self.choices.push(cond.node);
        let first = self.block(then);
        self.choices.pop();
        if matches!(&first, Err(failed) if *failed != Failed::Reported) {
            return first;
        }
        let first_scopes = std::mem::replace(&mut self.frame().scopes, before_scopes);
        let first_states = self.current_states();
        for (path, slot) in &mut self.states {
            // A state that the branch declared has its stored value in the other one.
            slot.current = before.get(path).copied().unwrap_or(Tensor { node: slot.input, ..slot.current });
        }
        let second = match otherwise {
            Some(block) => {
                let other = self.build(c.span).unary(Unary::Not, cond.node);
                self.choices.push(other);
                let second = self.block(block);
                self.choices.pop();
                second
            }
            None => Ok(Value::Unit),
        };
        let (first, second) = (first?, second?);
        let cond = Operand { value: Value::Tensor(cond), span: c.span };
        for (depth, scope) in first_scopes.iter().enumerate() {
            for (name, a) in scope {
                let Some(b) = self.frame().scopes[depth].get(name).cloned() else { continue };
                let merged = self.chosen(&cond, a, &b, span)?;
                self.frame().scopes[depth].insert(name.clone(), merged);
            }
        }
        let paths: Vec<String> = self.states.keys().cloned().collect();
        for path in paths {
            let b = self.states[&path].current;
            let stored = Tensor { node: self.states[&path].input, ..b };
            let a = first_states.get(&path).copied().unwrap_or(stored);
            if let Value::Tensor(merged) = self.chosen(&cond, &Value::Tensor(a), &Value::Tensor(b), span)? {
                self.states[&path].current = Tensor { node: merged.node, ..b };
            }
        }
        match (first, second) {
            (Value::Unit, _) | (_, Value::Unit) => Ok(Value::Unit),
            (a, b) => self.chosen(&cond, &a, &b, span),
        }
    }

    fn current_states(&self) -> HashMap<String, Tensor> {
        self.states.iter().map(|(path, slot)| (path.clone(), slot.current)).collect()
    }

    /// What a name stands for after an `if` whose branches left `a` and `b` in it.
    fn chosen(&mut self, cond: &Operand, a: &Value, b: &Value, span: Span) -> R<Value> {
        if same(a, b) {
            return Ok(a.clone());
        }
        if let (Value::List(x), Value::List(y)) = (a, b)
            && x.len() == y.len()
        {
            let items: R<Vec<Value>> = x.iter().zip(y.iter()).map(|(a, b)| self.chosen(cond, a, b, span)).collect();
            return Ok(Value::list(items?));
        }
        let side = |value: &Value| Operand { value: value.clone(), span };
        self.select(cond.clone(), side(a), side(b), span)
    }

    fn for_loop(&mut self, var: &Ident, range: &Expr, body: &Block) -> R<Value> {
        let items: Vec<Value> = match self.expr(range)? {
            Value::Range(a, b) if b - a <= MAX_UNROLL => (a..b).map(Value::Int).collect(),
            Value::List(items) => items.to_vec(),
            Value::OwnShape => return Err(Failed::NeedsShape),
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
        // A starting value is not one of the steps'.
        let scans = std::mem::take(&mut self.scans);
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
        self.scans = scans;
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
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b)),
        // Anything else cannot be chosen at run time, and is not changed by an update.
        (Value::Tensor(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_), _) => false,
        (_, Value::Tensor(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_)) => false,
        _ => true,
    }
}
