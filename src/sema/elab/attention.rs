//! `scaled_attention`: the call of the attention primitive.

use super::apply::Argument;
use super::builtin::Taker;
use super::{Elab, R};
use crate::diag::error;
use crate::ir::attention::{Attention, output};
use crate::ir::{DType, NodeId, Op};
use crate::sema::builtins::Builtin;
use crate::sema::value::{Tensor, Value};
use crate::source::Span;

const NAMES: &[&str] = &["q", "k", "v", "mask", "heads", "groups", "scale", "causal"];

impl Elab<'_> {
    pub fn attention(&mut self, args: Vec<Argument>, span: Span) -> R<Value> {
        let mut t = self.take(Builtin::Attention, args, NAMES, span)?;
        let mut operands = vec![];
        for _ in 0..3 {
            let (x, at) = self.required_tensor(&mut t)?;
            let shape = self.shape_of(x)?;
            if shape.len() < 2 || !self.graph.dtype(x.node).is_float() {
                let found = self.type_text(&Value::Tensor(x));
                let title = "attention takes floats [.., time, width]";
                return Err(self.fail(error("E0203", title).at(at, format!("this is {found}"))));
            }
            operands.push(x.node);
        }
        let mask = self.optional(&mut t);
        let heads = self.count(&mut t)?.unwrap_or(1);
        let groups = self.count(&mut t)?.unwrap_or(heads);
        let width = *self.graph.shape(operands[0]).last().unwrap_or(&1) / heads.max(1);
        let scale = match self.optional(&mut t) {
            None => 1.0 / (width.max(1) as f64).sqrt(),
            Some(arg) => match arg.value.number() {
                Some(scale) => scale,
                None => {
                    let found = self.type_text(&arg.value);
                    let title = "the scale of attention is a number known at compile time";
                    return Err(self.fail(error("E0211", title).at(arg.span, format!("this is {found}"))));
                }
            },
        };
        let causal = self.flag(&mut t)?;
        let of = Attention { heads, groups, causal, scale };
        // What does not fit is reported by the primitive itself; a mask needs the sizes first.
        let types = [0, 1, 2].map(|k| self.graph.ty(operands[k]).clone());
        if let Some(mask) = mask
            && let Ok(sizes) = of.sizes(&types[0], &types[1], &types[2], None)
        {
            let scores = [&sizes.batch[..], &[heads, sizes.t, sizes.s]].concat();
            operands.extend(self.attention_mask(mask, &scores, heads, types[0].dtype)?);
        }
        let tensors: Vec<Tensor> = operands.into_iter().map(Tensor::plain).collect();
        let Value::Tensor(made) = self.push(Op::Attention(of), &tensors, span)? else { return Ok(Value::Poison) };
        let sizes = of.sizes_of(&self.graph, tensors[0].node, tensors[1].node, tensors[2].node);
        Ok(Value::Tensor(Tensor::plain(output(&mut self.build(span), made.node, &sizes))))
    }

    fn count(&mut self, t: &mut Taker) -> R<Option<usize>> {
        let Some(arg) = self.optional(t) else { return Ok(None) };
        match arg.value {
            Value::Int(n) if n > 0 => Ok(Some(n as usize)),
            other => {
                let found = self.type_text(&other);
                let title = "heads are counted by a positive integer known at compile time";
                Err(self.fail(error("E0211", title).at(arg.span, format!("this is {found}"))))
            }
        }
    }

    /// The mask as numbers to add to scores [.., heads, T, S]: bools say which keys are seen; 0 is no mask at all. With one head the
    /// mask may leave out that axis.
    fn attention_mask(&mut self, arg: Argument, scores: &[usize], heads: usize, dtype: DType) -> R<Option<NodeId>> {
        if arg.value.number() == Some(0.0) {
            return Ok(None);
        }
        let at = arg.span;
        let mask = self.to_tensor(arg.value, Some(dtype), at)?;
        let mut shape = self.shape_of(mask)?;
        let mut build = self.build(at);
        let mut node = mask.node;
        if build.graph.dtype(node) == DType::Bool {
            let (seen, hidden) = (build.full(0.0, dtype, &shape), build.full(f64::NEG_INFINITY, dtype, &shape));
            node = build.select(node, seen, hidden);
        }
        node = build.convert(node, dtype);
        let rank = scores.len();
        if heads == 1 && shape.len() == rank - 1 && shape.len() >= 2 {
            shape.insert(shape.len() - 2, 1);
        }
        while shape.len() < rank {
            shape.insert(0, 1);
        }
        let fits = shape.len() == rank && shape.iter().zip(scores).all(|(m, n)| *m == 1 || m == n);
        if !fits {
            let found = self.type_text(&Value::Tensor(mask));
            let title = format!("the mask does not fit scores of the shape {scores:?}");
            return Err(self.fail(error("E0203", title).at(at, format!("this is {found}")).note(
                "the axes of the scores are [.., heads, queries, keys]; each axis of a mask has that size, or 1",
            )));
        }
        Ok(Some(self.build(at).reshape(node, &shape)))
    }
}
