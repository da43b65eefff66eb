//! `all.norm(x)`, `grad_at(x)`, `loss_at(x)`, `hvp(u)`: primitives about the whole group that a rule updates.

use super::apply::Argument;
use super::rule::Question;
use super::{Elab, R};
use crate::diag::error;
use crate::ir::{Binary, NodeId, ReduceKind, Unary};
use crate::sema::builtins::Builtin;
use crate::sema::value::{Layout, Tensor, Value};
use crate::source::Span;

impl Elab<'_> {
    fn only_in_rules(&mut self, b: Builtin, span: Span) -> R<()> {
        if self.in_update() {
            self.not_in_scan(&format!("'{}'", b.name()), span)?;
            return Ok(());
        }
        Err(self.fail(
            error("E0212", format!("'{}' belongs in an optimizer or transform", b.name()))
                .at(span, "there is no group of tensors here"),
        ))
    }

    /// Over every tensor of the group that the rule updates.
    pub fn group_reduce(&mut self, b: Builtin, args: Vec<Argument>, span: Span) -> R<Value> {
        let mut t = self.take(b, args, &["x"], span)?;
        let (mut x, at) = self.required_tensor(&mut t)?;
        self.only_in_rules(b, span)?;
        if x.weak {
            x = self.tensor_of_type(Value::Tensor(x), self.float, at)?;
        }
        let dtype = self.graph.dtype(x.node);
        if !dtype.is_float() {
            let found = self.dtype_text(dtype);
            return Err(self.fail(
                error("E0204", format!("'{}' of {found} values", b.name()))
                    .at(at, format!("these are {found}"))
                    .help("convert them: `float(…)`"),
            ));
        }
        let node = match self.flat.is_some() {
            true => self.reduce_arena(b, x, at, span)?,
            false => self.reduce_in_rounds(b, x, span)?,
        };
        Ok(Value::Tensor(Tensor::plain(node)))
    }

    fn reduce_arena(&mut self, b: Builtin, x: Tensor, at: Span, span: Span) -> R<NodeId> {
        let x = self.to_layout(x, x.layout.max(Layout::PerTensor), at)?;
        let count = self.graph.ty(x.node).elements();
        let mut build = self.build(span);
        let value = if b == Builtin::GroupNorm { build.mul(x.node, x.node) } else { x.node };
        let node = build.reduce(kind_of(b), value, &[0]);
        Ok(match b {
            Builtin::GroupNorm => build.unary(Unary::Sqrt, node),
            Builtin::GroupMean => {
                let n = build.full_like(count as f64, node);
                build.binary(Binary::Div, node, n)
            }
            _ => node,
        })
    }

    /// This tensor's part, to be put together with the others'.
    fn reduce_in_rounds(&mut self, b: Builtin, x: Tensor, span: Span) -> R<NodeId> {
        let shape = self.shape_of(x)?;
        let axes: Vec<usize> = (0..shape.len()).collect();
        let mut build = self.build(span);
        let value = if b == Builtin::GroupNorm { build.mul(x.node, x.node) } else { x.node };
        let own = build.reduce(kind_of(b), value, &axes);
        match b {
            Builtin::GroupNorm => self.ask(Question::Root, own, span),
            Builtin::GroupMean => {
                let sum = self.ask(Question::Reduce(ReduceKind::Sum), own, span);
                // Both are asked at once, so that they are known in one round.
                let size = self.build(span).full_like(shape.iter().product::<usize>() as f64, own);
                let count = self.ask(Question::Reduce(ReduceKind::Sum), size, span);
                let (sum, count) = (sum?, count?);
                Ok(self.build(span).binary(Binary::Div, sum, count))
            }
            _ => self.ask(Question::Reduce(kind_of(b)), own, span),
        }
    }

    /// `grad_at(point)`, `loss_at(point)` and `hvp(direction)`.
    pub fn second_order(&mut self, b: Builtin, args: Vec<Argument>, span: Span) -> R<Value> {
        let name: &'static [&'static str] = if b == Builtin::Hvp { &["direction"] } else { &["point"] };
        let mut t = self.take(b, args, name, span)?;
        let (x, at) = self.required_tensor(&mut t)?;
        self.only_in_rules(b, span)?;
        let question = match b {
            Builtin::GradAt => Question::GradientAt,
            Builtin::LossAt => Question::LossAt,
            _ => Question::Curvature,
        };
        let (shape, layout) = match (&self.flat, &self.update_shape) {
            (Some(group), _) => (vec![group.elements()], Layout::Flat),
            (None, shape) => (shape.clone().unwrap_or_default(), Layout::Plain),
        };
        let float = self.float;
        let like = Tensor { node: self.build(span).full(0.0, float, &shape), weak: false, layout };
        let own = self.fit_state(x, like, name[0], at)?;
        if self.evaluating && question == Question::LossAt {
            let zero = self.build(span).constant(0.0, float);
            return Ok(Value::Tensor(Tensor::plain(self.unknown(zero))));
        }
        if self.evaluating {
            let node = self.unknown(like.node);
            return Ok(Value::Tensor(Tensor { node, ..like }));
        }
        if self.flat.is_none() {
            let node = self.ask(question, own, span)?;
            return Ok(Value::Tensor(Tensor::plain(node)));
        }
        let shapes: Vec<Vec<usize>> = self.group_paths.iter().map(|p| self.params[p].ty.shape.clone()).collect();
        let parts = self.taken_apart(own, &shapes, span);
        if question == Question::LossAt {
            return Ok(Value::Tensor(Tensor::plain(self.loss_at(&parts, span)?)));
        }
        let answer = match question {
            Question::GradientAt => self.gradient_at(&parts, span)?,
            _ => self.curvature(&parts, span)?,
        };
        let node = self.end_to_end(&answer, span);
        Ok(Value::Tensor(Tensor { node, weak: false, layout: Layout::Flat }))
    }
}

fn kind_of(b: Builtin) -> ReduceKind {
    match b {
        Builtin::GroupReduce(kind) => kind,
        _ => ReduceKind::Sum,
    }
}
