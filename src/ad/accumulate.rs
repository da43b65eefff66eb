//! The sum of the cotangents of a value with several uses.

use crate::ir::build::Builder;
use crate::ir::{NodeId, Op};

/// Adds the parts. Parts that fill disjoint ranges of one axis (the cotangents of slices) are laid end to end instead
/// of padded and added: splitting an arena or a gate vector then costs one copy, not one pass for each piece.
pub fn sum(b: &mut Builder, parts: &[NodeId]) -> NodeId {
    if parts.len() > 1
        && let Some(joined) = join_slices(b, parts)
    {
        return joined;
    }
    let mut parts = parts.iter().copied();
    let first = parts.next().expect("a visited node has a cotangent");
    parts.fold(first, |sum, part| b.add(sum, part))
}

/// A range of one axis that a zero padding leaves to its operand.
struct Piece {
    axis: usize,
    start: usize,
    end: usize,
    value: NodeId,
}

fn join_slices(b: &mut Builder, parts: &[NodeId]) -> Option<NodeId> {
    let mut pieces: Vec<Piece> = parts.iter().map(|part| piece(b, *part)).collect::<Option<_>>()?;
    pieces.sort_by_key(|p| p.start);
    let axis = pieces[0].axis;
    let disjoint = pieces.windows(2).all(|w| w[0].end <= w[1].start && w[1].axis == axis);
    if !disjoint {
        return None;
    }
    let shape = b.graph.shape(parts[0]).clone();
    let dtype = b.graph.dtype(parts[0]);
    let (mut joined, mut at) = (vec![], 0);
    let gap = |b: &mut Builder, joined: &mut Vec<NodeId>, from: usize, to: usize| {
        if from < to {
            let mut hole = shape.clone();
            hole[axis] = to - from;
            joined.push(b.full(0.0, dtype, &hole));
        }
    };
    for piece in &pieces {
        gap(b, &mut joined, at, piece.start);
        joined.push(piece.value);
        at = piece.end;
    }
    gap(b, &mut joined, at, shape[axis]);
    Some(b.concat(&joined, axis))
}

fn piece(b: &Builder, part: NodeId) -> Option<Piece> {
    let node = b.graph.node(part);
    let Op::Pad { low, high, interior } = &node.op else { return None };
    let zero = matches!(b.graph.node(node.args[1]).op, Op::Const(0.0));
    let mut padded = (0..low.len()).filter(|k| low[*k] + high[*k] > 0);
    let axis = padded.next()?;
    let one_axis = padded.next().is_none() && interior.iter().all(|i| *i == 0);
    let (start, end) = (low[axis], node.ty.shape[axis] - high[axis]);
    (zero && one_axis).then_some(Piece { axis, start, end, value: node.args[0] })
}
