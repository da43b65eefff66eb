//! Segments of equal length as rows: `[segments * length]` values become `[segments, length]` ones, so that reductions
//! over segments fuse with the work around them like any row reduction. One segment becomes a reduction of everything.
//!
//! Optimizers with a norm for each tensor (LAMB) work on one long value for all tensors; between tensors of equal size,
//! and for a single one, this makes them two passes over memory.

use crate::ir::{Graph, Node, NodeId, Op, Type};
use std::collections::HashMap;

/// Longer rows (in elements) do not stay in a core's cache from one pass to the next, and few of them leave cores without
/// work: they are cut like segments of unequal length.
const LONGEST: usize = 1 << 17;

/// Rows and their length, by the length of the flat value; with the offsets that say so.
type Rows = HashMap<usize, (usize, usize, Vec<usize>)>;

/// The same graph without reductions and broadcasts over equal segments; `None` if it has none.
pub fn as_rows(graph: &Graph) -> Option<Graph> {
    let mut rows = Rows::new();
    for node in &graph.nodes {
        if let Op::SegmentReduce { offsets, .. } | Op::SegmentBroadcast { offsets } = &node.op
            && let Some((count, length)) = equal(offsets)
            && (count == 1 || length <= LONGEST)
        {
            // Of two ways to cut one length the first wins; the other stays a library call.
            rows.entry(count * length).or_insert((count, length, offsets.to_vec()));
        }
    }
    if rows.is_empty() {
        return None;
    }
    let out = Graph { nodes: vec![], inputs: graph.inputs.clone(), outputs: vec![], ..Graph::default() };
    let mut cut = Cut { graph, out, rows, flat: vec![], grid: vec![] };
    for id in graph.ids() {
        cut.node(id);
    }
    for output in &graph.outputs {
        cut.out.add_output(output.name.clone(), cut.flat[output.node.index()], output.kind.clone());
    }
    Some(cut.out)
}

/// Number and length of segments that all have the same length.
fn equal(offsets: &[usize]) -> Option<(usize, usize)> {
    let length = offsets.get(1)? - offsets[0];
    let same = offsets.windows(2).all(|pair| pair[1] - pair[0] == length);
    (length > 0 && offsets[0] == 0 && same).then_some((offsets.len() - 1, length))
}

struct Cut<'a> {
    graph: &'a Graph,
    out: Graph,
    rows: Rows,
    /// The new node of each old one, with the old one's shape.
    flat: Vec<NodeId>,
    /// The same as rows, where it was computed as rows.
    grid: Vec<Option<NodeId>>,
}

impl Cut<'_> {
    fn node(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        let as_rows = self.in_rows(node);
        let flat = match (as_rows, &node.op) {
            (Some(rows), _) => self.push(Op::Reshape, &[rows], node, node.ty.clone()),
            (None, Op::SegmentReduce { kind, offsets }) if self.cuts(offsets) => {
                let (count, ..) = self.rows[&offsets[offsets.len() - 1]];
                let (x, axis) = match count {
                    1 => (self.flat[node.args[0].index()], 0),
                    _ => (self.rows_of(node.args[0]), 1),
                };
                let shape = if count == 1 { vec![] } else { vec![count] };
                let op = Op::Reduce { kind: *kind, axes: vec![axis] };
                let sums = self.push(op, &[x], node, Type::new(node.ty.dtype, shape));
                if count == 1 { self.push(Op::Reshape, &[sums], node, node.ty.clone()) } else { sums }
            }
            (None, Op::SegmentBroadcast { offsets }) if self.cuts(offsets) => {
                // One segment: several become rows.
                let scalar = Type::new(node.ty.dtype, vec![]);
                let x = self.push(Op::Reshape, &[self.flat[node.args[0].index()]], node, scalar);
                self.push(Op::Broadcast { axes: vec![] }, &[x], node, node.ty.clone())
            }
            _ => {
                let args: Vec<NodeId> = node.args.iter().map(|a| self.flat[a.index()]).collect();
                self.push(node.op.clone(), &args, node, node.ty.clone())
            }
        };
        self.flat.push(flat);
        self.grid.push(as_rows);
    }

    /// The node as rows, if it can be computed so.
    fn in_rows(&mut self, node: &Node) -> Option<NodeId> {
        let [elements] = node.ty.shape[..] else { return None };
        let (count, length, _) = *self.rows.get(&elements).filter(|(count, ..)| *count > 1)?;
        let ty = Type::new(node.ty.dtype, vec![count, length]);
        let same_shape = || node.args.iter().all(|a| *self.graph.shape(*a) == node.ty.shape);
        match &node.op {
            op if op.is_elementwise() && same_shape() => {
                let args: Vec<NodeId> = node.args.iter().map(|a| self.rows_of(*a)).collect();
                Some(self.push(node.op.clone(), &args, node, ty))
            }
            Op::Broadcast { axes } if axes.is_empty() => {
                let x = self.flat[node.args[0].index()];
                Some(self.push(node.op.clone(), &[x], node, ty))
            }
            Op::SegmentBroadcast { offsets } if self.cuts(offsets) => {
                let x = self.flat[node.args[0].index()];
                Some(self.push(Op::Broadcast { axes: vec![0] }, &[x], node, ty))
            }
            _ => None,
        }
    }

    fn cuts(&self, offsets: &[usize]) -> bool {
        offsets.last().and_then(|n| self.rows.get(n)).is_some_and(|(.., cut)| cut == offsets)
    }

    /// An old node of segmented length, as rows.
    fn rows_of(&mut self, id: NodeId) -> NodeId {
        if let Some(rows) = self.grid[id.index()] {
            return rows;
        }
        let node = self.graph.node(id);
        let (count, length, _) = self.rows[&node.ty.elements()];
        let ty = Type::new(node.ty.dtype, vec![count, length]);
        let rows = self.push(Op::Reshape, &[self.flat[id.index()]], node, ty);
        self.grid[id.index()] = Some(rows);
        rows
    }

    fn push(&mut self, op: Op, args: &[NodeId], like: &Node, ty: Type) -> NodeId {
        self.out.nodes.push(Node { op, args: args.to_vec(), ty, ..like.clone() });
        NodeId(self.out.nodes.len() as u32 - 1)
    }
}
