//! [`Op::Scan`]: a body graph that runs once for each position along a leading axis, carrying values from one to the next.
//!
//! The body's inputs are, in this order, the carried values, one slice of each stacked operand, and constants, which are
//! the same at every step; the node's operands are the first carried values, the stacked operands `[steps, ..]`, and the
//! constants. The body's outputs are the new carried values (each an update of its input, in their order) and
//! then emitted values, which are stacked along a new leading axis, position by position.
//!
//! A node has one value, so all results lie end to end in one rank-1 value: the last carried values, then the stacks.
//! [`Scan::range`] says where, and reading one is a slice and a reshape, which cost nothing. All results are therefore floats of
//! one type. Results are only ever added at the end, so that a differentiated scan keeps the places of what was there: whatever
//! reads a scan reads slices of it, never its whole, which may become longer.

use super::build::Builder;
use super::graph::{Graph, NodeId, OutputKind};
use super::infer::InferError;
use super::op::{Hint, Op};
use super::types::{DType, Type};
use std::ops::Range;
use std::sync::Arc;

/// The attributes of a loop.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scan {
    pub body: Graph,
    pub steps: usize,
    /// From the last position to the first.
    pub reverse: bool,
    pub carries: usize,
    pub slices: usize,
}

impl Scan {
    /// The body's emitted values.
    pub fn emits(&self) -> usize {
        self.body.outputs.len() - self.carries
    }

    /// The type of a result: those of carried values, then the stacks.
    pub fn result_type(&self, k: usize) -> Type {
        let ty = self.body.ty(self.body.outputs[k].node);
        if k < self.carries {
            return ty.clone();
        }
        Type::new(ty.dtype, [&[self.steps], ty.shape.as_slice()].concat())
    }

    /// Where each result lies among all, in elements.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut end = 0;
        (0..self.body.outputs.len()).map(move |k| {
            let start = end;
            end += self.result_type(k).elements();
            start..end
        })
    }

    pub fn range(&self, k: usize) -> Range<usize> {
        self.ranges().nth(k).unwrap_or_else(|| unreachable!("a loop has no result {k}"))
    }

    /// The element type of all results.
    pub fn dtype(&self) -> Option<DType> {
        self.body.outputs.first().map(|o| self.body.dtype(o.node))
    }

    /// The node of each of the body's inputs (`None` if nothing in the body uses it).
    pub fn input_nodes(&self) -> Vec<Option<NodeId>> {
        let mut nodes = vec![None; self.body.inputs.len()];
        for id in self.body.ids() {
            if let Op::Input(k) = self.body.node(id).op {
                nodes[k] = Some(id);
            }
        }
        nodes
    }

    /// The type of the node; an error says what does not fit.
    pub(super) fn infer(&self, args: &[&Type]) -> Result<Type, InferError> {
        let fail = |text: String| Err(InferError(text));
        let body = &self.body;
        if args.len() != body.inputs.len() || self.carries.saturating_add(self.slices) > args.len() {
            return fail(format!("{} operands for a body with {} inputs", args.len(), body.inputs.len()));
        }
        for (k, (arg, input)) in args.iter().zip(&body.inputs).enumerate() {
            let stacked = (self.carries..self.carries + self.slices).contains(&k);
            let expected = match stacked {
                true => Type::new(input.ty.dtype, [&[self.steps], input.ty.shape.as_slice()].concat()),
                false => input.ty.clone(),
            };
            if **arg != expected {
                return fail(format!("operand {k} is {arg}, the body's '{}' wants {expected}", input.name));
            }
        }
        let Some(dtype) = self.dtype().filter(|d| d.is_float()) else {
            return fail("a scan has results, which are floats".into());
        };
        if body.outputs.len() < self.carries {
            return fail(format!("{} outputs for {} carried values", body.outputs.len(), self.carries));
        }
        for (k, output) in body.outputs.iter().enumerate() {
            let ty = body.ty(output.node);
            let kind = if k < self.carries { OutputKind::Update(k) } else { OutputKind::Value };
            if ty.dtype != dtype || output.kind != kind {
                return fail(format!("output {k}, '{}', of the body is {ty}", output.name));
            }
            if k < self.carries && body.inputs[k].ty != *ty {
                return fail(format!("'{}' is carried as {} and becomes {ty}", output.name, body.inputs[k].ty));
            }
        }
        let sizes = (0..body.outputs.len()).map(|k| self.result_type(k));
        let total = sizes
            .into_iter()
            .try_fold(0usize, |sum, ty| if ty.is_addressable() { sum.checked_add(ty.elements()) } else { None });
        match total {
            Some(total) => Ok(Type::new(dtype, vec![total])),
            None => fail("the results are too large for memory".into()),
        }
    }
}

/// Reads a result of the scan `id`. The slice is always a node of its own, even of the whole: results may be added later.
pub fn result(b: &mut Builder, id: NodeId, k: usize) -> NodeId {
    let Op::Scan(scan) = &b.graph.node(id).op else { unreachable!("a result of {}", b.graph.node(id).op.name()) };
    let (range, ty) = (scan.range(k), scan.result_type(k));
    let op = Op::Slice { start: vec![range.start], limit: vec![range.end], stride: vec![1] };
    let flat = b.push(op, &[id], Hint::default());
    b.push(Op::Reshape, &[flat], Hint { dtype: None, shape: Some(ty.shape) })
}

/// Appends a scan.
pub fn push(b: &mut Builder, scan: Scan, args: &[NodeId]) -> NodeId {
    b.push(Op::Scan(Arc::new(scan)), args, Hint::default())
}
