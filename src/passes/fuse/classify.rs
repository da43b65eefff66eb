//! What becomes of each node: part of a kernel, a reduction of a kernel, or a library call; and which node holds the
//! bytes of a view.

use crate::ir::{Graph, NodeId, Op};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Over inner axes: one result for each row.
    Row,
    /// Over ragged rows ([`super::chunks`]): one result for each.
    Segment,
    /// Over outer axes: one result for each inner index.
    Column,
    /// Over everything.
    Total,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The caller's buffer.
    Input,
    /// Constant data, uploaded when the graph is compiled.
    Dense,
    /// Computed inside any kernel that wants it; stored only if someone needs its bytes.
    Expr,
    /// Computed by exactly one kernel.
    Reduce(Reduction),
    /// Operands end to end in one buffer: they are written there by whoever makes them.
    Concat,
    /// A loop or a product of the runtime.
    Library,
}

/// Axes of more than one element (a size of 1 never needs a loop).
pub fn wide_axes(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).filter(|a| shape[*a] != 1).collect()
}

/// The reduced axes that need a loop, and the kept ones.
pub fn reduced_and_kept(graph: &Graph, id: NodeId) -> (Vec<usize>, Vec<usize>) {
    let node = graph.node(id);
    let axes = match &node.op {
        Op::Reduce { axes, .. } => axes.clone(),
        Op::ArgReduce { axis, .. } => vec![*axis],
        _ => vec![],
    };
    wide_axes(graph.shape(node.args[0])).into_iter().partition(|a| axes.contains(a))
}

/// The class of a node by its operation and shape.
pub fn classify(graph: &Graph, id: NodeId) -> Class {
    let node = graph.node(id);
    match &node.op {
        Op::Input(_) => Class::Input,
        Op::Dense(_) => Class::Dense,
        Op::Const(_) | Op::Iota { .. } | Op::RandomBits { .. } => Class::Expr,
        Op::Broadcast { .. } | Op::Reshape | Op::Transpose { .. } | Op::Slice { .. } | Op::Reverse { .. } => {
            Class::Expr
        }
        op if op.is_elementwise() => Class::Expr,
        Op::Reduce { .. } | Op::ArgReduce { .. } => {
            let (reduced, kept) = reduced_and_kept(graph, id);
            if reduced.is_empty() {
                Class::Expr // Nothing to reduce: a reshape (or index 0).
            } else if matches!(node.op, Op::ArgReduce { .. }) {
                Class::Reduce(Reduction::Row)
            } else if kept.is_empty() {
                Class::Reduce(Reduction::Total)
            } else if reduced.last() < kept.first() {
                Class::Reduce(Reduction::Column)
            } else {
                Class::Reduce(Reduction::Row)
            }
        }
        Op::Concat { axis } => {
            let contiguous = node.ty.shape[..*axis].iter().all(|n| *n == 1);
            if contiguous { Class::Concat } else { Class::Library }
        }
        _ => Class::Library,
    }
}

/// The operand and offset (in elements) if this node is the same bytes, or a contiguous part of them.
pub fn view_of(graph: &Graph, id: NodeId) -> Option<(NodeId, usize)> {
    let node = graph.node(id);
    match &node.op {
        Op::Reshape => Some((node.args[0], 0)),
        Op::Reduce { .. } if classify(graph, id) == Class::Expr => Some((node.args[0], 0)),
        // Only unit axes are added or dropped.
        Op::Broadcast { .. } if graph.ty(node.args[0]).elements() == node.ty.elements() => Some((node.args[0], 0)),
        Op::Transpose { perm } => {
            let wide: Vec<usize> = perm.iter().copied().filter(|p| graph.shape(node.args[0])[*p] != 1).collect();
            wide.windows(2).all(|w| w[0] < w[1]).then_some((node.args[0], 0))
        }
        Op::Slice { start, stride, .. } => {
            let shape = graph.shape(node.args[0]);
            let result = &node.ty.shape;
            // Axes after the first partial one must be whole, those before it of one element.
            let partial = (0..shape.len()).find(|a| result[*a] != 1).unwrap_or(shape.len());
            let whole = (partial + 1..shape.len()).all(|a| result[a] == shape[a]);
            let dense = partial == shape.len() || stride[partial] == 1;
            let offset: usize = crate::ir::types::strides(shape).iter().zip(start).map(|(s, o)| s * o).sum();
            (whole && dense && node.ty.elements() > 0).then_some((node.args[0], offset))
        }
        _ => None,
    }
}

/// The node whose bytes a chain of views shows, and the offset in elements.
pub fn base_of(graph: &Graph, id: NodeId) -> (NodeId, usize) {
    let (mut base, mut offset) = (id, 0);
    while let Some((operand, more)) = view_of(graph, base) {
        base = operand;
        offset += more;
    }
    (base, offset)
}
