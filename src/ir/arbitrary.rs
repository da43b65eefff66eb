//! Test support: random well-typed graphs, for property tests of everything that reads or changes graphs.

use super::attention::{self, Attention};
use super::build::Builder;
use super::op::Hint;
use super::scan::{self, Scan};
use super::{
    ArgKind, Binary, Compare, ConvPart, DType, Graph, InputKind, NodeId, Op, OutputKind, PoolKind, ReduceKind,
};
use super::{Type, Unary, Window};
use crate::runtime::{Tensor, random::random_bits};
use crate::source::Span;
use std::sync::Arc;

/// The shapes of the inputs of every random graph.
const INPUTS: [&[usize]; 4] = [&[2, 3], &[3], &[], &[3, 1, 2]];
/// Larger results are not made.
const MAX_ELEMENTS: usize = 150;

/// A graph with one node or a few for each choice, so that shrinking the list shrinks the graph. A `smooth` graph has a
/// derivative everywhere.
pub fn graph(choices: &[u32], float: DType, smooth: bool) -> Graph {
    let mut graph = Graph::new();
    let mut pool: Vec<NodeId> = vec![];
    for (k, shape) in INPUTS.iter().enumerate() {
        pool.push(graph.add_input(format!("x{k}"), Type::new(float, *shape), InputKind::Arg, Span::default()));
    }
    let mut b = Builder::new(&mut graph, Span::default());
    for choice in choices {
        let mut dice = Dice(*choice);
        if let Some(made) = grow(&mut b, &pool, &mut dice, smooth)
            && b.graph.ty(made).elements() <= MAX_ELEMENTS
        {
            pool.push(made);
        }
    }
    for (k, id) in pool.iter().rev().take(3).enumerate() {
        graph.add_output(format!("y{k}"), *id, OutputKind::Value);
    }
    graph
}

/// Values of the inputs in (-2, 2).
pub fn inputs(seed: u32, float: DType) -> Vec<Tensor> {
    let values = |k: usize, shape: &[usize]| {
        let unit = |i: usize| f64::from(random_bits([seed, k as u32], 0, i as u32, 0)) / f64::from(u32::MAX);
        let count = shape.iter().product();
        Tensor::from_f64s(Type::new(float, shape), &(0..count).map(|i| unit(i) * 4.0 - 2.0).collect::<Vec<_>>())
    };
    INPUTS.iter().enumerate().map(|(k, shape)| values(k, shape)).collect()
}

/// Successive small numbers out of one.
struct Dice(u32);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        let value = self.0 as usize % sides;
        self.0 = self.0.wrapping_mul(747_796_405).wrapping_add(2_891_336_453).rotate_left(13);
        value
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.roll(list.len())]
    }
}

const SMOOTH: [Unary; 9] = [
    Unary::Neg,
    Unary::Exp,
    Unary::Expm1,
    Unary::Sin,
    Unary::Cos,
    Unary::Atan,
    Unary::Tanh,
    Unary::Logistic,
    Unary::Erf,
];

fn grow(b: &mut Builder, pool: &[NodeId], dice: &mut Dice, smooth: bool) -> Option<NodeId> {
    let x = dice.pick(pool);
    let shape = b.graph.shape(x).clone();
    let dtype = b.graph.dtype(x);
    let rank = shape.len();
    let axis = dice.roll(rank.max(1));
    let kinds = [ReduceKind::Sum, ReduceKind::Prod, ReduceKind::Max, ReduceKind::Min];
    let kind = dice.pick(if smooth { &kinds[..2] } else { &kinds });
    let hint = Hint::default();
    Some(match dice.roll(22) {
        0 | 1 if smooth => b.unary(dice.pick(&SMOOTH), x),
        0 | 1 => {
            let op = dice.pick(&Unary::ALL[..Unary::ALL.len() - 2]);
            b.unary(op, x)
        }
        2..=4 => {
            let alike: Vec<NodeId> = pool.iter().copied().filter(|y| *b.graph.shape(*y) == shape).collect();
            let y = if dice.roll(3) == 0 { constant(b, x, dice) } else { dice.pick(&alike) };
            let ops = if smooth { &Binary::ALL[..3] } else { &Binary::ALL[..8] };
            b.binary(dice.pick(ops), x, y)
        }
        5 => {
            // A product that stays small however often it is repeated.
            let squashed = b.unary(Unary::Tanh, x);
            b.mul(squashed, squashed)
        }
        6 if !smooth => {
            let y = constant(b, x, dice);
            let condition = b.compare(dice.pick(Compare::ALL), x, y);
            b.select(condition, x, y)
        }
        7 => {
            let mut wide = shape.clone();
            wide.insert(axis, 1 + dice.roll(3));
            let axes = (0..=rank).filter(|k| *k != axis).collect();
            b.broadcast(x, &wide, axes)
        }
        8 => b.reshape(x, &[shape.iter().product()]),
        9 if rank > 0 => {
            let mut unit = shape.clone();
            unit.insert(axis, 1);
            b.reshape(x, &unit)
        }
        _ if rank == 0 => return None,
        10 => {
            let by = dice.roll(rank);
            b.transpose(x, (0..rank).map(|k| (k + by) % rank).collect())
        }
        11 => {
            let start = dice.roll(shape[axis]);
            let (mut starts, mut strides) = (vec![0; rank], vec![1; rank]);
            (starts[axis], strides[axis]) = (start, 1 + dice.roll(2));
            b.slice(x, starts, shape, strides)
        }
        12 => {
            let value = b.constant(0.0, dtype);
            let (mut low, mut high, mut interior) = (vec![0; rank], vec![0; rank], vec![0; rank]);
            (low[axis], high[axis], interior[axis]) = (dice.roll(2), dice.roll(3), dice.roll(2));
            b.push(Op::Pad { low, high, interior }, &[x, value], hint)
        }
        13 => {
            let other = b.push(Op::Reverse { axes: vec![axis] }, &[x], hint);
            b.concat(&[x, other], axis)
        }
        14 => b.reduce(kind, x, &[axis]),
        15 if matches!(kind, ReduceKind::Sum | ReduceKind::Prod) => {
            b.push(Op::Cumulative { kind, axis, reverse: dice.roll(2) == 0 }, &[x], hint)
        }
        15 => {
            let index = b.push(Op::ArgReduce { kind: ArgKind::Max, axis }, &[x], hint);
            b.convert(index, dtype)
        }
        16 => {
            let order = if smooth {
                let hint = Hint { dtype: Some(DType::I32), shape: Some(vec![3]) };
                let values = (0..3).map(|_| dice.roll(shape[axis]) as f64).collect();
                b.push(Op::Dense(Arc::new(values)), &[], hint)
            } else {
                let flat = b.reduce(ReduceKind::Sum, x, &(0..rank).filter(|k| *k != axis).collect::<Vec<_>>());
                b.push(Op::ArgSort { axis: 0, descending: dice.roll(2) == 0 }, &[flat], hint)
            };
            let taken = b.push(Op::Gather { axis }, &[x, order], Hint::default());
            b.push(Op::ScatterAdd { axis }, &[x, order, taken], Hint::default())
        }
        17 if rank == 1 => {
            let offsets = Arc::new(vec![0, shape[0].div_ceil(2), shape[0]]);
            if shape[0] < 2 {
                return None;
            }
            let reduced = b.push(Op::SegmentReduce { kind, offsets: offsets.clone() }, &[x], hint);
            b.push(Op::SegmentBroadcast { offsets }, &[reduced], Hint::default())
        }
        18 if rank == 3 => windows(b, x, dice, smooth),
        19 if rank > 1 => looped(b, x, pool, dice, smooth),
        20 if rank > 1 => attended(b, x, dice),
        _ => {
            let (lhs_contract, rhs_contract) = (vec![axis], vec![axis]);
            let batch = if rank > 2 { vec![(axis + 1) % rank] } else { vec![] };
            let op = Op::Dot { lhs_batch: batch.clone(), rhs_batch: batch, lhs_contract, rhs_contract };
            b.push(op, &[x, x], hint)
        }
    })
}

/// A convolution or pooling over the middle axis.
fn windows(b: &mut Builder, x: NodeId, dice: &mut Dice, smooth: bool) -> NodeId {
    let shape = b.graph.shape(x).clone();
    let size = 1 + dice.roll(shape[1]);
    let window = Window {
        size: vec![size],
        stride: vec![1 + dice.roll(2)],
        low: vec![dice.roll(size)],
        high: vec![dice.roll(3)],
        dilation: vec![1],
    };
    if dice.roll(2) == 0 {
        let turned = b.transpose(x, vec![1, 2, 0]);
        let kernel = b.slice_axis(turned, 0, 0, size);
        return b.conv(ConvPart::Result, &window, 1, [x, kernel], &[]);
    }
    let kind = if smooth || dice.roll(2) == 0 { PoolKind::Sum } else { PoolKind::Max };
    b.pool(kind, &window, &[x], &[])
}

/// Attention of parts of one value, which are its own keys and values; with a mask at times.
fn attended(b: &mut Builder, x: NodeId, dice: &mut Dice) -> NodeId {
    let shape = b.graph.shape(x).clone();
    let rank = shape.len();
    let (time, width) = (shape[rank - 2], shape[rank - 1]);
    let heads = if width.is_multiple_of(2) { 1 + dice.roll(2) } else { 1 };
    let of = Attention { heads, groups: heads, causal: dice.roll(2) == 0, scale: 0.5 };
    let keys = b.slice_axis(x, rank - 2, dice.roll(time.max(1)), time);
    let seen = b.graph.shape(keys)[rank - 2];
    let mut args = vec![x, keys, keys];
    if dice.roll(2) == 0 {
        let row = [&vec![1; rank][..], &[seen]].concat();
        let mask = b.iota(b.graph.dtype(x), &row, rank);
        args.push(mask);
    }
    let node = b.push(Op::Attention(of), &args, Hint::default());
    let sizes = of.sizes_of(b.graph, x, keys, keys);
    attention::output(b, node, &sizes)
}

/// A loop over the first axis whose body is a small random graph of a carried value, a slice, and values from outside.
fn looped(b: &mut Builder, x: NodeId, pool: &[NodeId], dice: &mut Dice, smooth: bool) -> NodeId {
    let (dtype, shape) = (b.graph.dtype(x), b.graph.shape(x).clone());
    let slice = Type::new(dtype, &shape[1..]);
    let constants: Vec<NodeId> = (0..dice.roll(3)).map(|_| dice.pick(pool)).collect();
    let mut body = Graph::new();
    let mut inside: Vec<NodeId> = vec![];
    for (name, ty) in [("carry", &slice), ("slice", &slice)] {
        inside.push(body.add_input(name, ty.clone(), InputKind::Arg, Span::default()));
    }
    for id in &constants {
        inside.push(body.add_input("constant", b.graph.ty(*id).clone(), InputKind::Arg, Span::default()));
    }
    let mut inner = Builder::new(&mut body, Span::default());
    for _ in 0..1 + dice.roll(6) {
        if let Some(made) = grow(&mut inner, &inside, dice, smooth)
            && inner.graph.ty(made).elements() <= MAX_ELEMENTS / 4
        {
            inside.push(made);
        }
    }
    // Usually bounded, at times the value itself.
    let last = *inside.iter().rfind(|id| *inner.graph.ty(**id) == slice).unwrap_or(&inside[0]);
    let last = if dice.roll(4) == 0 { last } else { inner.unary(Unary::Tanh, last) };
    body.add_output("carry", last, OutputKind::Update(0));
    let emits = dice.roll(3);
    for id in inside.iter().rev().take(emits) {
        body.add_output("value", *id, OutputKind::Value);
    }
    let first = b.reduce(ReduceKind::Sum, x, &[0]);
    let whole = Scan { body, steps: shape[0], reverse: dice.roll(2) == 0, carries: 1, slices: 1 };
    let node = scan::push(b, whole, &[&[first, x], &constants[..]].concat());
    scan::result(b, node, dice.roll(emits + 1))
}

/// A loop over three steps and a batch of four rows, with weights and masks of which some have as many rows. Bodies that mix rows
/// are among them.
pub fn batch_loop(choices: &[u32]) -> Scan {
    let mut body = Graph::new();
    let mut inside: Vec<NodeId> = vec![];
    for shape in [&[4, 3][..], &[4, 3], &[4, 2], &[3, 3], &[4], &[4, 4], &[3]] {
        inside.push(body.add_input("x", Type::new(DType::F64, shape), InputKind::Arg, Span::default()));
    }
    let mut inner = Builder::new(&mut body, Span::default());
    for choice in choices {
        if let Some(made) = grow(&mut inner, &inside, &mut Dice(*choice), true)
            && inner.graph.ty(made).elements() <= MAX_ELEMENTS
        {
            inside.push(made);
        }
    }
    let last = *inside.iter().rfind(|id| *inner.graph.shape(**id) == [4, 3]).unwrap_or(&inside[0]);
    let last = inner.unary(Unary::Tanh, last);
    body.add_output("carry", last, OutputKind::Update(0));
    if let Some(id) = inside.iter().rfind(|id| body.shape(**id).first() == Some(&4)) {
        body.add_output("value", *id, OutputKind::Value);
    }
    Scan { body, steps: 3, carries: 1, slices: 2, reverse: false }
}

/// One of the numbers that simplification knows, in the shape of `like`.
fn constant(b: &mut Builder, like: NodeId, dice: &mut Dice) -> NodeId {
    let value = dice.pick(&[0.0, 1.0, -1.0, 2.0, 0.5, 3.0, -2.0]);
    b.full_like(value, like)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{parse::parse, print::print, verify::verify};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_reads_back(choices in prop::collection::vec(any::<u32>(), 0..40)) {
            let graph = graph(&choices, DType::F32, false);
            prop_assert_eq!(verify(&graph), Ok(()));
            let again = parse(&print(&graph, None));
            prop_assert_eq!(again.as_ref(), Ok(&graph));
        }
    }
}
