//! Scaled dot-product attention as a primitive: its attributes, the sizes of its operands, and the formula that it stands for.
//!
//! A. Vaswani et al., "Attention Is All You Need" (2017): softmax(scale · q kᵀ + mask) v, for each head. It is a primitive
//! because the formula's [T, S] scores need not exist: the runtime computes them in tiles with an online softmax (M. Milakov and
//! N. Gimelshein, "Online normalizer calculation for softmax", 2018; T. Dao et al., "FlashAttention", 2022).
//!
//! Operands: `q` [.., T, heads · D], `k` [.., S, groups · D], `v` [.., S, groups · E]: the heads lie side by side in the last axis,
//! as one product of a layer makes them; `heads / groups` consecutive heads share keys and values (J. Ainslie et al., "GQA", 2023).
//! An additive mask has one axis more, [.., heads, T, S], each of that size or 1. `causal` hides keys at later places than the
//! query's. A query that sees no key at all has result 0 and no gradient.
//!
//! The result of [`super::Op::Attention`] is one row of numbers: the output [.., T, heads · E], then for each head and query the
//! logarithm of the sum of exponentials, [.., heads, T], which only the backward pass reads (it has no cotangent).

use super::build::Builder;
use super::op::{Compare, Op, ReduceKind, Unary};
use super::types::Type;
use super::{DType, Graph, NodeId};

/// The attributes of both attention primitives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    pub heads: usize,
    /// Heads of keys and values.
    pub groups: usize,
    pub causal: bool,
    pub scale: f64,
}

/// The sizes that the operands have.
#[derive(Clone, Debug, PartialEq)]
pub struct Sizes {
    /// Axes before the time.
    pub batch: Vec<usize>,
    pub heads: usize,
    pub groups: usize,
    /// Places of queries, of keys.
    pub t: usize,
    pub s: usize,
    /// Width of a head's queries and keys, of its values.
    pub d: usize,
    pub e: usize,
}

impl Sizes {
    pub fn batches(&self) -> usize {
        self.batch.iter().product()
    }

    /// Elements of the output, and of the logarithms behind it.
    pub fn output(&self) -> [usize; 2] {
        let rows = self.batches() * self.t * self.heads;
        [rows * self.e, rows]
    }

    /// Shapes of the queries, keys, values and the output.
    pub fn shapes(&self) -> [Vec<usize>; 4] {
        let shape = |time: usize, width: usize| [&self.batch[..], &[time, width]].concat();
        [
            shape(self.t, self.heads * self.d),
            shape(self.s, self.groups * self.d),
            shape(self.s, self.groups * self.e),
            shape(self.t, self.heads * self.e),
        ]
    }

    /// Widths of queries, keys and values side by side.
    pub fn widths(&self) -> [usize; 3] {
        [self.heads * self.d, self.groups * self.d, self.groups * self.e]
    }

    /// Multiply-adds of one product with the scores.
    pub fn work(&self) -> usize {
        let factors = [self.batches(), self.heads, self.t, self.s, self.d.max(self.e)];
        factors.into_iter().fold(1, usize::saturating_mul)
    }
}

impl Attention {
    /// The sizes of the operands, or what does not fit.
    pub fn sizes(&self, q: &Type, k: &Type, v: &Type, mask: Option<&Type>) -> Result<Sizes, String> {
        let Attention { heads, groups, .. } = *self;
        if heads == 0 || groups == 0 || heads % groups != 0 {
            return Err(format!("{heads} heads cannot share {groups} heads of keys and values"));
        }
        if !q.dtype.is_float() || [k, v].iter().any(|x| x.dtype != q.dtype) {
            return Err(format!("attention of {q}, {k} and {v}"));
        }
        let rank = q.rank();
        if rank < 2 || k.rank() != rank || v.rank() != rank {
            return Err(format!("queries {q}, keys {k} and values {v} need equal axes before [time, width]"));
        }
        let (batch, [t, width]) = (&q.shape[..rank - 2], [q.shape[rank - 2], q.shape[rank - 1]]);
        let s = k.shape[rank - 2];
        if k.shape[..rank - 2] != *batch || v.shape[..rank - 2] != *batch || v.shape[rank - 2] != s {
            return Err(format!("queries {q}, keys {k} and values {v} need equal axes before [time, width]"));
        }
        for (name, width, heads) in
            [("queries", width, heads), ("keys", k.shape[rank - 1], groups), ("values", v.shape[rank - 1], groups)]
        {
            if width % heads != 0 {
                return Err(format!("{heads} heads do not divide the width {width} of the {name}"));
            }
        }
        let (d, e) = (width / heads, v.shape[rank - 1] / groups);
        if k.shape[rank - 1] / groups != d {
            return Err(format!("a head of the queries has width {d}, one of the keys {}", k.shape[rank - 1] / groups));
        }
        let sizes = Sizes { batch: batch.to_vec(), heads, groups, t, s, d, e };
        if !Type::new(q.dtype, [batch, &[t, heads, e + 1]].concat()).is_addressable() {
            return Err(format!("the output of {heads} heads of width {e} is too large for memory"));
        }
        if let Some(mask) = mask {
            let full = [batch, &[heads, t, s]].concat();
            let fits = mask.dtype == q.dtype
                && mask.rank() == full.len()
                && mask.shape.iter().zip(&full).all(|(m, n)| *m == 1 || m == n);
            if !fits {
                return Err(format!("the mask {mask} does not fit scores of the shape {full:?}"));
            }
        }
        Ok(sizes)
    }

    /// The sizes for operands that are known to fit.
    pub fn sizes_of(&self, graph: &Graph, q: NodeId, k: NodeId, v: NodeId) -> Sizes {
        self.sizes(graph.ty(q), graph.ty(k), graph.ty(v), None)
            .expect("the operands were checked when the node was made")
    }

    /// The formula in other primitives: the output alone.
    pub fn formula(&self, b: &mut Builder, q: NodeId, k: NodeId, v: NodeId, mask: Option<NodeId>) -> NodeId {
        let sizes = self.sizes_of(b.graph, q, k, v);
        let Sizes { batch, heads, groups, t, s, d, e } = sizes.clone();
        let (n, shared) = (batch.len(), heads / groups);
        let shape = |tail: &[usize]| [&batch[..], tail].concat();
        let axes: Vec<usize> = (0..=n).collect();
        // Queries [.., groups, shared, T, D]; keys and values [.., groups, S, width].
        let q = b.reshape(q, &shape(&[t, groups, shared, d]));
        let q = b.transpose(q, [&axes[..n], &[n + 1, n + 2, n, n + 3]].concat());
        let side = |b: &mut Builder, x: NodeId, width: usize| {
            let x = b.reshape(x, &shape(&[s, groups, width]));
            b.transpose(x, [&axes[..n], &[n + 1, n, n + 2]].concat())
        };
        let (k, v) = (side(b, k, d), side(b, v, e));
        let dot = |lhs: usize, rhs: usize| Op::Dot {
            lhs_batch: axes.clone(),
            rhs_batch: axes.clone(),
            lhs_contract: vec![lhs],
            rhs_contract: vec![rhs],
        };
        let product = b.push(dot(n + 3, n + 2), &[q, k], Default::default());
        let full = shape(&[heads, t, s]);
        let product = b.reshape(product, &full);
        let scale = b.full_like(self.scale, product);
        let mut score = b.mul(product, scale);
        if let Some(mask) = mask {
            let mask = b.broadcast_to(mask, &full);
            score = b.add(score, mask);
        }
        let none = b.full_like(f64::NEG_INFINITY, score);
        if self.causal {
            let (query, key) = (b.iota(DType::I32, &full, n + 1), b.iota(DType::I32, &full, n + 2));
            let later = b.compare(Compare::Gt, key, query);
            score = b.select(later, none, score);
        }
        // A row of -inf has no largest score to subtract, and a sum of 0 to divide by.
        let top = b.reduce_keep(ReduceKind::Max, score, &[n + 2]);
        let top = b.push(Op::StopGradient, &[top], Default::default());
        let hidden = b.full_like(f64::NEG_INFINITY, top);
        let nothing = b.compare(Compare::Eq, top, hidden);
        let zero = b.full_like(0.0, top);
        let base = b.select(nothing, zero, top);
        let base = b.broadcast_to(base, &full);
        let difference = b.sub(score, base);
        let exponential = b.unary(Unary::Exp, difference);
        let total = b.reduce_keep(ReduceKind::Sum, exponential, &[n + 2]);
        let one = b.full_like(1.0, total);
        let total = b.select(nothing, one, total);
        let total = b.broadcast_to(total, &full);
        let weight = b.div(exponential, total);
        let weight = b.reshape(weight, &shape(&[groups, shared, t, s]));
        let out = b.push(dot(n + 3, n + 1), &[weight, v], Default::default());
        let out = b.transpose(out, [&axes[..n], &[n + 2, n, n + 1, n + 3]].concat());
        b.reshape(out, &shape(&[t, heads * e]))
    }
}

/// The output of an attention node, without the logarithms behind it.
pub fn output(b: &mut Builder, node: NodeId, sizes: &Sizes) -> NodeId {
    let [elements, _] = sizes.output();
    let out = b.slice_axis(node, 0, 0, elements);
    let [.., shape] = sizes.shapes();
    b.reshape(out, &shape)
}
