//! Rules for operations that move elements, and for what they meet.

use crate::ir::build::Builder;
use crate::ir::{Binary, DType, Node, NodeId, Op, ReduceKind};
use crate::passes::rewrite::uniform;

pub fn broadcast(b: &mut Builder, node: &Node, axes: &[usize]) -> Option<NodeId> {
    let x = node.args[0];
    if *b.graph.shape(x) == node.ty.shape {
        return Some(x);
    }
    let inner = b.graph.node(x);
    let from = inner.args.first().copied();
    match &inner.op {
        Op::Broadcast { axes: first } => {
            let axes = first.iter().map(|k| axes[*k]).collect();
            Some(b.broadcast(from?, &node.ty.shape, axes))
        }
        // A reshape that only adds axes of size 1.
        Op::Reshape => {
            let first = added_units(b.graph.shape(from?), &inner.ty.shape)?;
            let axes = first.iter().map(|k| axes[*k]).collect();
            Some(b.broadcast(from?, &node.ty.shape, axes))
        }
        _ => None,
    }
}

/// Where each axis of `from` is in `to`, if `to` is `from` with axes of size 1 added.
fn added_units(from: &[usize], to: &[usize]) -> Option<Vec<usize>> {
    let mut axes = vec![];
    for (axis, size) in to.iter().enumerate() {
        match from.get(axes.len()) {
            Some(next) if next == size => axes.push(axis),
            _ if *size == 1 => {}
            _ => return None,
        }
    }
    (axes.len() == from.len()).then_some(axes)
}

pub fn reshape(b: &mut Builder, node: &Node) -> Option<NodeId> {
    let x = node.args[0];
    if *b.graph.shape(x) == node.ty.shape {
        return Some(x);
    }
    let inner = b.graph.node(x);
    match inner.op {
        Op::Reshape => {
            let x = inner.args[0];
            Some(b.reshape(x, &node.ty.shape))
        }
        Op::Broadcast { .. } if b.graph.ty(inner.args[0]).elements() == 1 && node.ty.elements() != 1 => {
            let x = inner.args[0];
            let scalar = b.reshape(x, &[]);
            Some(b.broadcast(scalar, &node.ty.shape, vec![]))
        }
        _ => None,
    }
}

pub fn transpose(b: &mut Builder, node: &Node, perm: &[usize]) -> Option<NodeId> {
    let x = node.args[0];
    // In row-major order, axes of size 1 may stand anywhere.
    let shape = b.graph.shape(x);
    let long: Vec<usize> = perm.iter().copied().filter(|k| shape[*k] != 1).collect();
    if long.is_sorted() {
        return Some(b.reshape(x, &node.ty.shape));
    }
    let inner = b.graph.node(x);
    match &inner.op {
        Op::Transpose { perm: first } => {
            let (x, perm) = (inner.args[0], perm.iter().map(|k| first[*k]).collect());
            Some(b.transpose(x, perm))
        }
        Op::Broadcast { axes } => {
            // Transpose the operand, which is smaller.
            let x = inner.args[0];
            let place = |axis: usize| perm.iter().position(|p| *p == axis);
            let moved: Vec<usize> = axes.iter().map(|a| place(*a)).collect::<Option<_>>()?;
            let mut order: Vec<usize> = (0..moved.len()).collect();
            order.sort_unstable_by_key(|k| moved[*k]);
            let axes = order.iter().map(|k| moved[*k]).collect();
            let x = b.transpose(x, order);
            Some(b.broadcast(x, &node.ty.shape, axes))
        }
        _ => None,
    }
}

pub fn slice(b: &mut Builder, node: &Node, start: &[usize], limit: &[usize], stride: &[usize]) -> Option<NodeId> {
    let x = node.args[0];
    if *b.graph.shape(x) == node.ty.shape && stride.iter().all(|s| *s == 1) {
        return Some(x);
    }
    let inner = b.graph.node(x);
    match &inner.op {
        Op::Concat { axis } => {
            let (axis, parts) = (*axis, inner.args.clone());
            let mut at = 0;
            for part in parts {
                let end = at + b.graph.shape(part)[axis];
                if at <= start[axis] && limit[axis] <= end {
                    let (mut start, mut limit) = (start.to_vec(), limit.to_vec());
                    start[axis] -= at;
                    limit[axis] -= at;
                    return Some(b.slice(part, start, limit, stride.to_vec()));
                }
                at = end;
            }
            None
        }
        // All of it inside the padded operand, or all of it outside along some axis.
        Op::Pad { low, interior, .. } if interior.iter().all(|n| *n == 0) => {
            let (x, value, low) = (inner.args[0], inner.args[1], low.clone());
            let end: Vec<usize> = low.iter().zip(b.graph.shape(x)).map(|(low, size)| low + size).collect();
            let axes = 0..start.len();
            if axes.clone().any(|k| limit[k] <= low[k] || start[k] >= end[k]) {
                return Some(b.broadcast(value, &node.ty.shape, vec![]));
            }
            if axes.clone().all(|k| low[k] <= start[k] && limit[k] <= end[k]) {
                let start = start.iter().zip(&low).map(|(a, b)| a - b).collect();
                let limit = limit.iter().zip(&low).map(|(a, b)| a - b).collect();
                return Some(b.slice(x, start, limit, stride.to_vec()));
            }
            None
        }
        Op::Slice { start: first, stride: steps, .. } if steps.iter().all(|s| *s == 1) => {
            let x = inner.args[0];
            let start = start.iter().zip(first).map(|(a, b)| a + b).collect();
            let limit = limit.iter().zip(first).map(|(a, b)| a + b).collect();
            Some(b.slice(x, start, limit, stride.to_vec()))
        }
        _ => None,
    }
}

/// The element of 0, 1, 2, … at an index is the index, held in range.
pub fn gather(b: &mut Builder, node: &Node) -> Option<NodeId> {
    let (table, index) = (b.graph.node(node.args[0]), node.args[1]);
    let counts = table.op == Op::Iota { axis: 0 } && table.ty.shape.len() == 1 && table.ty.dtype == DType::I32;
    let last = table.ty.shape.first()?.checked_sub(1)?;
    if !counts {
        return None;
    }
    let (zero, last) = (b.full_like(0.0, index), b.full_like(last as f64, index));
    let held = b.binary(Binary::Max, index, zero);
    Some(b.binary(Binary::Min, held, last))
}

pub fn pad(node: &Node, low: &[usize], high: &[usize], interior: &[usize]) -> Option<NodeId> {
    let nothing = [low, high, interior].iter().all(|list| list.iter().all(|n| *n == 0));
    nothing.then(|| node.args[0])
}

pub fn reverse(node: &Node, axes: &[usize]) -> Option<NodeId> {
    axes.iter().all(|k| node.ty.shape[*k] <= 1).then(|| node.args[0])
}

pub fn concat(b: &mut Builder, node: &Node, axis: usize) -> Option<NodeId> {
    let parts: Vec<NodeId> = node.args.iter().copied().filter(|p| b.graph.shape(*p)[axis] > 0).collect();
    if parts.len() == 1 {
        return Some(parts[0]);
    }
    if let Some(whole) = pieces_of_one(b, node, &parts, axis) {
        return Some(whole);
    }
    (!parts.is_empty() && parts.len() < node.args.len()).then(|| b.concat(&parts, axis))
}

/// The value that the parts are consecutive slices of.
fn pieces_of_one(b: &Builder, node: &Node, parts: &[NodeId], axis: usize) -> Option<NodeId> {
    let mut at = 0;
    let mut whole = None;
    for part in parts {
        let piece = b.graph.node(*part);
        let Op::Slice { start, limit, stride } = &piece.op else { return None };
        if *whole.get_or_insert(piece.args[0]) != piece.args[0] || start[axis] != at || stride.iter().any(|s| *s != 1) {
            return None;
        }
        at = limit[axis];
    }
    whole.filter(|w| *b.graph.ty(*w) == node.ty)
}

pub fn reduce(b: &mut Builder, node: &Node, kind: ReduceKind, axes: &[usize]) -> Option<NodeId> {
    let x = node.args[0];
    let inner = b.graph.node(x);
    if axes.iter().all(|k| inner.ty.shape[*k] == 1) {
        return Some(b.reshape(x, &node.ty.shape));
    }
    let Op::Broadcast { axes: made } = &inner.op else { return None };
    let (source, shape) = (inner.args[0], inner.ty.shape.clone());
    let from = b.graph.shape(source).clone();
    let made = made.clone();
    // Every reduced axis repeats one element.
    let repeats = |axis: usize| made.iter().position(|m| *m == axis).is_none_or(|k| from[k] == 1);
    let count: usize = axes.iter().map(|k| shape[*k]).product();
    if count == 0 || kind == ReduceKind::Prod || !axes.iter().all(|k| repeats(*k)) {
        return None;
    }
    let kept: Vec<usize> = (0..made.len()).filter(|k| !axes.contains(&made[*k])).collect();
    let small = b.reshape(source, &kept.iter().map(|k| from[*k]).collect::<Vec<_>>());
    let place = |axis: usize| axis - axes.iter().filter(|a| **a < axis).count();
    let value = if kind == ReduceKind::Sum {
        let count = b.full_like(count as f64, small);
        b.mul(small, count)
    } else {
        small
    };
    Some(b.broadcast(value, &node.ty.shape, kept.iter().map(|k| place(made[*k])).collect()))
}

/// An elementwise operation whose operands are all broadcast in the same way (or filled with a number): computed
/// before the broadcast, on fewer elements.
pub fn before_broadcast(b: &mut Builder, node: &Node) -> Option<NodeId> {
    let mut common: Option<(Vec<usize>, Vec<usize>)> = None;
    for arg in &node.args {
        if uniform(b.graph, *arg).is_some() {
            continue;
        }
        let arg = b.graph.node(*arg);
        let Op::Broadcast { axes } = &arg.op else { return None };
        let this = (axes.clone(), b.graph.shape(arg.args[0]).clone());
        if *common.get_or_insert_with(|| this.clone()) != this {
            return None;
        }
    }
    let (axes, shape) = common?;
    let mut small = vec![];
    for arg in &node.args {
        small.push(match uniform(b.graph, *arg) {
            Some(value) => b.full(value, b.graph.dtype(*arg), &shape),
            None => b.graph.node(*arg).args[0],
        });
    }
    let hint = crate::ir::op::Hint { dtype: Some(node.ty.dtype), shape: Some(shape) };
    let value = b.push(node.op.clone(), &small, hint);
    Some(b.broadcast(value, &node.ty.shape, axes))
}
