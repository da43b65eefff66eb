//! Random well-typed graphs.

use super::models::numbers;
use crate::ir::build::Builder;
use crate::ir::op::Hint;
use crate::ir::{ArgKind, Binary, Compare, ConvPart, DType, Graph, InputKind, NodeId, Op, OutputKind, PoolKind};
use crate::ir::{ReduceKind, Type, Unary, Window};
use crate::source::Span;
use std::sync::Arc;

struct Dice(Vec<f64>, usize);

impl Dice {
    fn roll(&mut self, n: usize) -> usize {
        self.1 += 1;
        (((self.0[self.1 % self.0.len()] + 1.0) / 2.0 * n as f64) as usize).min(n - 1)
    }
}

/// A graph of `size` operations on a few small shapes, with a few outputs and an updated input.
pub fn graph(seed: u64, size: usize) -> Graph {
    let mut graph = Graph::new();
    let dice = &mut Dice(numbers(size * 16 + 97, seed), 0);
    let shapes: [&[usize]; 7] = [&[4, 6], &[24], &[2, 3, 4], &[6], &[], &[4, 1], &[3, 5, 2]];
    for (k, shape) in shapes.iter().enumerate() {
        let kind = if k == 1 { InputKind::Param } else { InputKind::Arg };
        graph.add_input(format!("x{k}"), Type::new(DType::F32, *shape), kind, Span::default());
    }
    let mut floats: Vec<NodeId> = graph.ids().collect();
    let index = graph.add_input("index", Type::new(DType::I32, [5]), InputKind::Arg, Span::default());
    let b = &mut Builder::new(&mut graph, Span::default());
    while floats.len() < size {
        let x = floats[dice.roll(floats.len())];
        let new = operation(b, dice, &floats, x, index);
        if b.graph.ty(new).elements() <= 600 && b.graph.shape(new).len() <= 4 {
            floats.push(new);
        }
    }
    for k in 0..4 {
        let node = floats[floats.len() - 1 - dice.roll(size / 2)];
        graph.add_output(format!("y{k}"), node, OutputKind::Value);
    }
    let flat = floats.iter().rev().find(|f| graph.shape(**f) == &[24]).copied().unwrap_or(floats[1]);
    graph.add_output("x1", flat, OutputKind::Update(1));
    graph
}

/// One more value made from `x` and others. Values stay in a moderate range.
fn operation(b: &mut Builder, dice: &mut Dice, floats: &[NodeId], x: NodeId, index: NodeId) -> NodeId {
    let shape = b.graph.shape(x).clone();
    let rank = shape.len();
    let same: Vec<NodeId> = floats.iter().copied().filter(|f| *b.graph.shape(*f) == shape).collect();
    let y = same[dice.roll(same.len())];
    let axes = |dice: &mut Dice| -> Vec<usize> { (0..rank).filter(|_| dice.roll(2) == 0).collect() };
    match dice.roll(24) {
        0 => b.unary(Unary::Tanh, x),
        1 => b.unary(Unary::Abs, x),
        2 | 3 => {
            let sum = b.add(x, y);
            let half = b.full_like(0.5, sum);
            b.mul(sum, half)
        }
        4 => b.binary(Binary::Max, x, y),
        5 => {
            let c = b.compare(Compare::Lt, x, y);
            let z = same[dice.roll(same.len())];
            b.select(c, z, y)
        }
        6 | 7 if rank > 0 => {
            let kind = [ReduceKind::Sum, ReduceKind::Max, ReduceKind::Min][dice.roll(3)];
            let axes = axes(dice);
            let reduced = b.reduce(kind, x, &axes);
            b.unary(Unary::Tanh, reduced)
        }
        8 | 9 if rank > 0 => {
            let axes = axes(dice);
            let kept = b.reduce_keep(ReduceKind::Sum, x, &axes);
            let wide = b.broadcast_to(kept, &shape);
            let difference = b.sub(x, wide);
            b.unary(Unary::Tanh, difference)
        }
        10 if rank > 1 => b.transpose(x, (0..rank).rev().collect()),
        11 => {
            let n = b.graph.ty(x).elements();
            let other = [vec![n], vec![n / 2, 2], vec![2, n / 4, 2]][dice.roll(3)].clone();
            if other.iter().product::<usize>() == n { b.reshape(x, &other) } else { x }
        }
        12 if rank > 0 => {
            let axis = dice.roll(rank);
            let start = dice.roll(shape[axis]);
            b.slice_axis(x, axis, start, shape[axis])
        }
        13 if rank > 0 => b.push(Op::Reverse { axes: axes(dice) }, &[x], Hint::default()),
        14 if rank > 0 => b.concat(&[x, y], dice.roll(rank)),
        15 if rank > 0 && shape.iter().all(|n| *n > 0) => {
            let axis = dice.roll(rank);
            let guess = b.push(Op::ArgReduce { kind: ArgKind::Max, axis }, &[x], Hint::default());
            let guess = b.convert(guess, DType::F32);
            let scale = b.full_like(0.1, guess);
            b.mul(guess, scale)
        }
        16 if rank > 0 => {
            let mut wide = vec![2];
            wide.extend(&shape);
            b.broadcast_to(x, &wide)
        }
        17 if rank == 2 => {
            let op = Op::Dot { lhs_batch: vec![], rhs_batch: vec![], lhs_contract: vec![1], rhs_contract: vec![1] };
            let product = b.push(op, &[x, y], Hint::default());
            b.unary(Unary::Tanh, product)
        }
        18 if rank == 3 => {
            let op = Op::Dot { lhs_batch: vec![0], rhs_batch: vec![0], lhs_contract: vec![2], rhs_contract: vec![2] };
            let product = b.push(op, &[x, y], Hint::default());
            b.unary(Unary::Tanh, product)
        }
        19 if rank > 0 => {
            let op = Op::Cumulative { kind: ReduceKind::Sum, axis: dice.roll(rank), reverse: dice.roll(2) == 0 };
            let sums = b.push(op, &[x], Hint::default());
            b.unary(Unary::Tanh, sums)
        }
        20 if rank > 0 => {
            let axis = dice.roll(rank);
            let taken = b.push(Op::Gather { axis }, &[x, index], Hint::default());
            if dice.roll(2) == 0 { taken } else { b.push(Op::ScatterAdd { axis }, &[y, index, taken], Hint::default()) }
        }
        21 if shape == [24] => {
            let offsets = Arc::new(vec![0, 5, 16, 24]);
            let op = Op::SegmentReduce { kind: ReduceKind::Sum, offsets: offsets.clone() };
            let sums = b.push(op, &[x], Hint::default());
            let wide = b.push(Op::SegmentBroadcast { offsets }, &[sums], Hint::default());
            let sum = b.sub(x, wide);
            b.unary(Unary::Tanh, sum)
        }
        22 | 23 if rank == 3 || rank == 4 => {
            let made = windows(b, dice, x);
            b.unary(Unary::Tanh, made)
        }
        _ => {
            let positions = if rank > 0 { b.iota(DType::F32, &shape, dice.roll(rank)) } else { x };
            let scale = b.full_like(0.01, x);
            let positions = b.mul(positions, scale);
            b.add(x, positions)
        }
    }
}

/// A part of a convolution, or a pooling, over the axes between the first and the last.
fn windows(b: &mut Builder, dice: &mut Dice, x: NodeId) -> NodeId {
    let shape = b.graph.shape(x).clone();
    let axes = shape.len() - 2;
    let sizes: Vec<usize> = (0..axes).map(|k| 1 + dice.roll(shape[k + 1])).collect();
    let mut each = |most: usize| (0..axes).map(|_| dice.roll(most)).collect::<Vec<_>>();
    let (low, high, stride) = (each(2), each(3), each(2).iter().map(|s| s + 1).collect());
    let window = Window { size: sizes.clone(), stride, low, high, dilation: vec![1; axes] };
    if dice.roll(2) == 0 {
        let kinds = [PoolKind::Sum, PoolKind::Max, PoolKind::Pick];
        let kind = kinds[dice.roll(3)];
        let args = if kind == PoolKind::Pick { vec![x, x] } else { vec![x] };
        let made = b.pool(kind, &window, &args, &[]);
        let transposed = if kind == PoolKind::Sum { PoolKind::Spread } else { PoolKind::Scatter };
        return match (dice.roll(2), transposed) {
            (0, _) => made,
            (_, PoolKind::Spread) => b.pool(transposed, &window, &[made], &shape),
            _ => b.pool(transposed, &window, &[x, made], &shape),
        };
    }
    // The first axis becomes the channels out.
    let mut turn: Vec<usize> = (1..shape.len()).collect();
    turn.push(0);
    let turned = b.transpose(x, turn);
    let mut limit = sizes;
    limit.extend([shape[axes + 1], shape[0]]);
    let kernel = b.slice(turned, vec![0; shape.len()], limit, vec![1; shape.len()]);
    let made = b.conv(ConvPart::Result, &window, 1, [x, kernel], &[]);
    match dice.roll(3) {
        0 => made,
        1 => b.conv(ConvPart::Image, &window, 1, [made, kernel], &shape),
        _ => b.conv(ConvPart::Kernel, &window, 1, [x, made], &[]),
    }
}
