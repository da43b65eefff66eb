//! Operands of products: read through transposes and slices by strides, without a copy.

use super::classify::base_of;
use crate::ir::types::strides;
use crate::ir::{Graph, NodeId, Op};

/// A value as strides over a stored one, in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strided {
    pub base: NodeId,
    pub offset: usize,
    /// One for each axis of the operand.
    pub strides: Vec<usize>,
}

/// Looks through transposes and slices down to the node whose bytes are read.
pub fn strided(graph: &Graph, id: NodeId) -> Strided {
    let (base, offset) = base_of(graph, id);
    let node = graph.node(base);
    let shape = graph.shape(id);
    let through = base == id || graph.shape(base) == shape;
    match &node.op {
        Op::Transpose { perm } if through => {
            let inner = strided(graph, node.args[0]);
            let strides = perm.iter().map(|p| inner.strides[*p]).collect();
            Strided { base: inner.base, offset: inner.offset + offset, strides }
        }
        Op::Slice { start, stride, .. } if through => {
            let inner = strided(graph, node.args[0]);
            let begin: usize = start.iter().zip(&inner.strides).map(|(o, s)| o * s).sum();
            let strides = stride.iter().zip(&inner.strides).map(|(a, b)| a * b).collect();
            Strided { base: inner.base, offset: inner.offset + begin + offset, strides }
        }
        _ => Strided { base, offset, strides: strides(shape) },
    }
}

/// Whether an operation reads its operands by strides: products, and attention.
pub fn are_strided(op: &Op) -> bool {
    matches!(op, Op::Dot { .. } | Op::Attention(_) | Op::AttentionGrad { .. })
}

/// The stored nodes that a product (or attention) reads; `None` for other operations.
pub fn reads(graph: &Graph, id: NodeId) -> Option<Vec<NodeId>> {
    let node = graph.node(id);
    are_strided(&node.op).then(|| node.args.iter().map(|a| strided(graph, *a).base).collect())
}
