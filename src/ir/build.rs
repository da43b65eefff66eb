//! Helpers that append well-typed nodes: what lowering, differentiation and passes write graphs with.

use super::graph::{Graph, NodeId};
use super::op::{Binary, Compare, Hint, Op, ReduceKind, Unary};
use super::types::{DType, Shape};
use super::window::{ConvPart, PoolKind, Window};
use crate::source::Span;

/// Appends nodes that all carry one span.
pub struct Builder<'g> {
    pub graph: &'g mut Graph,
    pub span: Span,
}

impl<'g> Builder<'g> {
    pub fn new(graph: &'g mut Graph, span: Span) -> Builder<'g> {
        Builder { graph, span }
    }

    pub fn push(&mut self, op: Op, args: &[NodeId], hint: Hint) -> NodeId {
        self.graph.push(op, args, hint, self.span)
    }

    pub fn constant(&mut self, value: f64, dtype: DType) -> NodeId {
        self.push(Op::Const(value), &[], Hint { dtype: Some(dtype), shape: None })
    }

    /// A constant of a whole shape.
    pub fn full(&mut self, value: f64, dtype: DType, shape: &[usize]) -> NodeId {
        let scalar = self.constant(value, dtype);
        self.broadcast_to(scalar, shape)
    }

    /// A constant of the type and shape of `like`.
    pub fn full_like(&mut self, value: f64, like: NodeId) -> NodeId {
        let ty = self.graph.ty(like).clone();
        self.full(value, ty.dtype, &ty.shape)
    }

    pub fn unary(&mut self, u: Unary, x: NodeId) -> NodeId {
        self.push(Op::Unary(u), &[x], Hint::default())
    }

    pub fn binary(&mut self, b: Binary, x: NodeId, y: NodeId) -> NodeId {
        self.push(Op::Binary(b), &[x, y], Hint::default())
    }

    pub fn add(&mut self, x: NodeId, y: NodeId) -> NodeId {
        self.binary(Binary::Add, x, y)
    }

    pub fn sub(&mut self, x: NodeId, y: NodeId) -> NodeId {
        self.binary(Binary::Sub, x, y)
    }

    pub fn mul(&mut self, x: NodeId, y: NodeId) -> NodeId {
        self.binary(Binary::Mul, x, y)
    }

    pub fn div(&mut self, x: NodeId, y: NodeId) -> NodeId {
        self.binary(Binary::Div, x, y)
    }

    pub fn neg(&mut self, x: NodeId) -> NodeId {
        self.unary(Unary::Neg, x)
    }

    pub fn compare(&mut self, c: Compare, x: NodeId, y: NodeId) -> NodeId {
        self.push(Op::Compare(c), &[x, y], Hint::default())
    }

    pub fn select(&mut self, c: NodeId, x: NodeId, y: NodeId) -> NodeId {
        self.push(Op::Select, &[c, x, y], Hint::default())
    }

    /// `x` itself if it already has this element type.
    pub fn convert(&mut self, x: NodeId, dtype: DType) -> NodeId {
        if self.graph.dtype(x) == dtype {
            return x;
        }
        self.push(Op::Convert, &[x], Hint { dtype: Some(dtype), shape: None })
    }

    pub fn iota(&mut self, dtype: DType, shape: &[usize], axis: usize) -> NodeId {
        self.push(Op::Iota { axis }, &[], Hint { dtype: Some(dtype), shape: Some(shape.to_vec()) })
    }

    /// Broadcast with explicit axes; `x` itself if nothing changes.
    pub fn broadcast(&mut self, x: NodeId, shape: &[usize], axes: Vec<usize>) -> NodeId {
        if self.graph.shape(x) == shape {
            return x;
        }
        self.push(Op::Broadcast { axes }, &[x], Hint { dtype: None, shape: Some(shape.to_vec()) })
    }

    /// Broadcast with trailing axes aligned (NumPy's rule).
    pub fn broadcast_to(&mut self, x: NodeId, shape: &[usize]) -> NodeId {
        let lead = shape.len() - self.graph.shape(x).len();
        self.broadcast(x, shape, (lead..shape.len()).collect())
    }

    pub fn reshape(&mut self, x: NodeId, shape: &[usize]) -> NodeId {
        if self.graph.shape(x) == shape {
            return x;
        }
        self.push(Op::Reshape, &[x], Hint { dtype: None, shape: Some(shape.to_vec()) })
    }

    pub fn transpose(&mut self, x: NodeId, perm: Vec<usize>) -> NodeId {
        if perm.iter().copied().eq(0..perm.len()) {
            return x;
        }
        self.push(Op::Transpose { perm }, &[x], Hint::default())
    }

    /// Reduction over `axes` (any order), dropped; `x` itself if there are none.
    pub fn reduce(&mut self, kind: ReduceKind, x: NodeId, axes: &[usize]) -> NodeId {
        if axes.is_empty() {
            return x;
        }
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        self.push(Op::Reduce { kind, axes }, &[x], Hint::default())
    }

    /// Reduction over `axes` that stay in the result with size 1.
    pub fn reduce_keep(&mut self, kind: ReduceKind, x: NodeId, axes: &[usize]) -> NodeId {
        let mut shape: Shape = self.graph.shape(x).clone();
        for axis in axes {
            shape[*axis] = 1;
        }
        let reduced = self.reduce(kind, x, axes);
        self.reshape(reduced, &shape)
    }

    /// Contiguous part of one axis.
    pub fn slice_axis(&mut self, x: NodeId, axis: usize, start: usize, limit: usize) -> NodeId {
        let shape = self.graph.shape(x).clone();
        let (mut starts, mut limits) = (vec![0; shape.len()], shape.clone());
        (starts[axis], limits[axis]) = (start, limit);
        self.slice(x, starts, limits, vec![1; shape.len()])
    }

    pub fn slice(&mut self, x: NodeId, start: Shape, limit: Shape, stride: Shape) -> NodeId {
        let whole = start.iter().all(|s| *s == 0) && stride.iter().all(|s| *s == 1) && limit == *self.graph.shape(x);
        if whole {
            return x;
        }
        self.push(Op::Slice { start, limit, stride }, &[x], Hint::default())
    }

    pub fn concat(&mut self, parts: &[NodeId], axis: usize) -> NodeId {
        match parts {
            [one] => *one,
            _ => self.push(Op::Concat { axis }, parts, Hint::default()),
        }
    }

    /// A part of a convolution; `shape` is the image's if that is what is computed.
    pub fn conv(
        &mut self,
        part: ConvPart,
        window: &Window,
        groups: usize,
        args: [NodeId; 2],
        shape: &[usize],
    ) -> NodeId {
        let hint = Hint { dtype: None, shape: (part == ConvPart::Image).then(|| shape.to_vec()) };
        self.push(Op::Conv { part, window: Box::new(window.clone()), groups }, &args, hint)
    }

    /// `shape` is the image's if that is what is computed.
    pub fn pool(&mut self, kind: PoolKind, window: &Window, args: &[NodeId], shape: &[usize]) -> NodeId {
        let hint = Hint { dtype: None, shape: (kind == PoolKind::Spread).then(|| shape.to_vec()) };
        self.push(Op::Pool { kind, window: Box::new(window.clone()) }, args, hint)
    }

    /// `x [.., K] @ y [K, ..]` for rank-2 operands.
    pub fn matmul(&mut self, x: NodeId, y: NodeId) -> NodeId {
        let op = Op::Dot { lhs_batch: vec![], rhs_batch: vec![], lhs_contract: vec![1], rhs_contract: vec![0] };
        self.push(op, &[x, y], Hint::default())
    }
}
