//! Derivatives of reductions and running sums and products.

use super::Rule;
use crate::ir::build::Builder;
use crate::ir::types::strides;
use crate::ir::{Binary, Compare, DType, NodeId, Op, ReduceKind};

pub fn reduce(b: &mut Builder, rule: &Rule, kind: ReduceKind, axes: &[usize]) -> NodeId {
    let x = rule.arg(0);
    let shape = b.graph.shape(x).clone();
    let kept: Vec<usize> = (0..shape.len()).filter(|k| !axes.contains(k)).collect();
    match kind {
        ReduceKind::Sum => b.broadcast(rule.ct, &shape, kept),
        ReduceKind::Prod => {
            let others = product_of_others(b, x, axes);
            let ct = b.broadcast(rule.ct, &shape, kept);
            b.mul(ct, others)
        }
        ReduceKind::Max | ReduceKind::Min => {
            let out = b.broadcast(rule.id, &shape, kept.clone());
            let mask = b.compare(Compare::Eq, x, out);
            let ones = b.convert(mask, rule.dtype());
            let count = b.reduce(ReduceKind::Sum, ones, axes);
            let share = b.div(rule.ct, count);
            let share = b.broadcast(share, &shape, kept);
            let zero = b.full(0.0, rule.dtype(), &shape);
            b.select(mask, share, zero)
        }
    }
}

/// For each element the product of all the others that it is reduced with: what lies before times what lies after, so
/// that zeros need no division.
fn product_of_others(b: &mut Builder, x: NodeId, axes: &[usize]) -> NodeId {
    let shape = b.graph.shape(x).clone();
    let kept: Vec<usize> = (0..shape.len()).filter(|k| !axes.contains(k)).collect();
    let perm = [&kept[..], axes].concat();
    let moved = b.transpose(x, perm.clone());
    let moved_shape = b.graph.shape(moved).clone();
    let columns: usize = axes.iter().map(|k| shape[*k]).product();
    let rows: usize = kept.iter().map(|k| shape[*k]).product();
    if columns == 0 {
        return b.full_like(1.0, x);
    }
    let flat = b.reshape(moved, &[rows, columns]);
    let before = product_of_neighbours(b, flat, columns, false);
    let after = product_of_neighbours(b, flat, columns, true);
    let product = b.mul(before, after);
    let product = b.reshape(product, &moved_shape);
    let mut back = vec![0; perm.len()];
    perm.iter().enumerate().for_each(|(k, p)| back[*p] = k);
    b.transpose(product, back)
}

/// The running product that leaves out the element itself, along axis 1.
fn product_of_neighbours(b: &mut Builder, x: NodeId, columns: usize, reverse: bool) -> NodeId {
    let (from, to, low, high) = if reverse { (1, columns, 0, 1) } else { (0, columns - 1, 1, 0) };
    let part = b.slice_axis(x, 1, from, to);
    let one = b.constant(1.0, b.graph.dtype(x));
    let op = Op::Pad { low: vec![0, low], high: vec![0, high], interior: vec![0, 0] };
    let shifted = b.push(op, &[part, one], Default::default());
    cumulate(b, shifted, ReduceKind::Prod, 1, reverse)
}

pub fn cumulate(b: &mut Builder, x: NodeId, kind: ReduceKind, axis: usize, reverse: bool) -> NodeId {
    b.push(Op::Cumulative { kind, axis, reverse }, &[x], Default::default())
}

/// With out_j the product of x_i for i <= j, dx_i is the sum of ct_j out_j / x_i over j >= i. Before the first zero of a
/// lane that can be computed so; at the first zero the zero is left out of the products; after it everything is 0.
pub fn cumulative_product(b: &mut Builder, rule: &Rule, axis: usize, reverse: bool) -> NodeId {
    let x = rule.arg(0);
    let (zero, one) = (b.full_like(0.0, x), b.full_like(1.0, x));
    let is_zero = b.compare(Compare::Eq, x, zero);
    let as_int = b.convert(is_zero, DType::I32);
    let zeros_so_far = cumulate(b, as_int, ReduceKind::Sum, axis, reverse);
    let (none, first) = (b.full_like(0.0, zeros_so_far), b.full_like(1.0, zeros_so_far));
    let before = b.compare(Compare::Eq, zeros_so_far, none);
    let one_so_far = b.compare(Compare::Eq, zeros_so_far, first);
    let at_first = b.binary(Binary::And, is_zero, one_so_far);

    let weighted = b.mul(rule.ct, rule.id);
    let tail = cumulate(b, weighted, ReduceKind::Sum, axis, !reverse);
    let divisor = b.select(is_zero, one, x);
    let regular = b.div(tail, divisor);

    let without = b.select(at_first, one, x);
    let products = cumulate(b, without, ReduceKind::Prod, axis, reverse);
    let weighted = b.mul(rule.ct, products);
    let special = cumulate(b, weighted, ReduceKind::Sum, axis, !reverse);

    let rest = b.select(at_first, special, zero);
    b.select(before, regular, rest)
}

/// Each cotangent goes to the element that the running extreme had come to: the one nearest among equals.
pub fn cumulative_extreme(b: &mut Builder, rule: &Rule, axis: usize, reverse: bool) -> NodeId {
    let x = rule.arg(0);
    let shape = b.graph.shape(x).clone();
    let count: usize = shape.iter().product();
    if count == 0 {
        return rule.ct;
    }
    // The place of the latest element that equals the running extreme; the first element of a lane always does.
    let place = b.iota(DType::I32, &shape, axis);
    let attains = b.compare(Compare::Eq, x, rule.id);
    let (kind, start) = if reverse { (ReduceKind::Min, shape[axis] - 1) } else { (ReduceKind::Max, 0) };
    let start = b.full_like(start as f64, place);
    let own = b.select(attains, place, start);
    let source = cumulate(b, own, kind, axis, reverse);

    // The same as an index into all elements.
    let line = b.iota(DType::I32, &[count], 0);
    let line = b.reshape(line, &shape);
    let stride = b.full_like(strides(&shape)[axis] as f64, place);
    let distance = b.sub(source, place);
    let distance = b.mul(distance, stride);
    let index = b.add(line, distance);

    let zeros = b.full(0.0, rule.dtype(), &[count]);
    let (index, ct) = (b.reshape(index, &[count]), b.reshape(rule.ct, &[count]));
    let sum = b.push(Op::ScatterAdd { axis: 0 }, &[zeros, index, ct], Default::default());
    b.reshape(sum, &shape)
}
