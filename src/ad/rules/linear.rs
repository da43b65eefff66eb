//! Transposes of linear primitives: movement, indexing and products.

use super::{Contributions, Rule};
use crate::ir::build::Builder;
use crate::ir::{NodeId, Op, ReduceKind};

/// Sums over the axes that the broadcast made or stretched.
pub fn broadcast(b: &mut Builder, rule: &Rule, axes: &[usize]) -> NodeId {
    let from = b.graph.shape(rule.arg(0)).clone();
    let to = rule.shape();
    let stretched = |axis: usize| match axes.iter().position(|a| *a == axis) {
        Some(k) => from[k] == 1 && to[axis] != 1,
        None => true,
    };
    let summed: Vec<usize> = (0..to.len()).filter(|axis| stretched(*axis)).collect();
    let sum = b.reduce(ReduceKind::Sum, rule.ct, &summed);
    b.reshape(sum, &from)
}

pub fn transpose(b: &mut Builder, rule: &Rule, perm: &[usize]) -> NodeId {
    b.transpose(rule.ct, inverse(perm))
}

fn inverse(perm: &[usize]) -> Vec<usize> {
    let mut out = vec![0; perm.len()];
    for (k, p) in perm.iter().enumerate() {
        out[*p] = k;
    }
    out
}

/// Zeros around and between the elements that were taken.
pub fn slice(b: &mut Builder, rule: &Rule, start: &[usize], stride: &[usize]) -> NodeId {
    let whole = b.graph.shape(rule.arg(0)).clone();
    let end = |k: usize| match rule.shape()[k] {
        0 => start[k],
        n => start[k] + (n - 1) * stride[k] + 1,
    };
    let high = (0..whole.len()).map(|k| whole[k] - end(k)).collect();
    let interior = stride.iter().map(|s| s - 1).collect();
    let zero = b.constant(0.0, rule.dtype());
    b.push(Op::Pad { low: start.to_vec(), high, interior }, &[rule.ct, zero], Default::default())
}

pub fn pad(b: &mut Builder, rule: &Rule, low: &[usize], high: &[usize], interior: &[usize]) -> Contributions {
    let from = b.graph.shape(rule.arg(0)).clone();
    let inner = rule.needs[0].then(|| {
        let limit = (0..low.len()).map(|k| rule.shape()[k] - high[k]).collect();
        let stride = interior.iter().map(|i| i + 1).collect();
        b.slice(rule.ct, low.to_vec(), limit, stride)
    });
    let value = rule.needs[1].then(|| {
        let (zeros, one) = (b.full(0.0, rule.dtype(), &from), b.constant(1.0, rule.dtype()));
        let mask = b.push(rule.node.op.clone(), &[zeros, one], Default::default());
        let outside = b.mul(rule.ct, mask);
        let all: Vec<usize> = (0..from.len()).collect();
        b.reduce(ReduceKind::Sum, outside, &all)
    });
    vec![inner, value]
}

pub fn concat(b: &mut Builder, rule: &Rule, axis: usize) -> Contributions {
    let mut at = 0;
    let mut out = vec![];
    for (arg, needed) in rule.node.args.iter().zip(rule.needs) {
        let size = b.graph.shape(*arg)[axis];
        out.push(needed.then(|| b.slice_axis(rule.ct, axis, at, at + size)));
        at += size;
    }
    out
}

pub fn gather(b: &mut Builder, rule: &Rule, axis: usize) -> Contributions {
    let zeros = b.full_like(0.0, rule.arg(0));
    vec![Some(b.push(Op::ScatterAdd { axis }, &[zeros, rule.arg(1), rule.ct], Default::default())), None]
}

pub fn scatter_add(b: &mut Builder, rule: &Rule, axis: usize) -> Contributions {
    let base = rule.needs[0].then_some(rule.ct);
    let updates = rule.needs[2].then(|| b.push(Op::Gather { axis }, &[rule.ct, rule.arg(1)], Default::default()));
    vec![base, None, updates]
}

/// Each operand's cotangent is the product of the result's cotangent with the other operand over the other's free axes.
pub fn dot(b: &mut Builder, rule: &Rule, batch: [&[usize]; 2], contract: [&[usize]; 2]) -> Contributions {
    let free: [Vec<usize>; 2] = [0, 1].map(|side| {
        let rank = b.graph.shape(rule.arg(side)).len();
        (0..rank).filter(|k| !batch[side].contains(k) && !contract[side].contains(k)).collect()
    });
    [0, 1].map(|side| rule.needs[side].then(|| dot_side(b, rule, side, batch, contract, &free))).into()
}

fn dot_side(
    b: &mut Builder,
    rule: &Rule,
    side: usize,
    batch: [&[usize]; 2],
    contract: [&[usize]; 2],
    free: &[Vec<usize>; 2],
) -> NodeId {
    let other = 1 - side;
    // The result's axes are: batch, free axes of the left, free axes of the right operand.
    let batches: Vec<usize> = (0..batch[0].len()).collect();
    let left_at = batches.len();
    let right_at = left_at + free[0].len();
    let places = [(left_at..right_at).collect::<Vec<_>>(), (right_at..rule.shape().len()).collect()];

    // The contracted axes of the other operand come out in increasing order; each is one of this operand's.
    let mut pairs: Vec<(usize, usize)> = contract[other].iter().copied().zip(contract[side].iter().copied()).collect();
    pairs.sort_unstable();
    let contracted: Vec<usize> = pairs.into_iter().map(|(_, mine)| mine).collect();

    let ct = (rule.ct, &batches[..], &places[other][..], &free[side][..]);
    let value = (rule.arg(other), batch[other], &free[other][..], &contracted[..]);
    // For each order of the two factors: the axes of this operand that the product's axes are.
    let order = |first: &[usize], second: &[usize]| [batch[side], first, second].concat();
    let (axes, lhs, rhs) = match order(ct.3, value.3) {
        axes if axes.is_sorted() => (axes, ct, value),
        axes => match order(value.3, ct.3) {
            swapped if swapped.is_sorted() => (swapped, value, ct),
            _ => (axes, ct, value),
        },
    };
    let op = Op::Dot {
        lhs_batch: lhs.1.to_vec(),
        rhs_batch: rhs.1.to_vec(),
        lhs_contract: lhs.2.to_vec(),
        rhs_contract: rhs.2.to_vec(),
    };
    let product = b.push(op, &[lhs.0, rhs.0], Default::default());
    b.transpose(product, inverse(&axes))
}
