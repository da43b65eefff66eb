//! Segments of unequal length as rows of a ragged kernel.
//!
//! An optimizer with a norm for each tensor (LAMB) reduces one long value over segments as different as a weight and a
//! bias. A row for each segment would leave all cores but one waiting for the largest, so that segments are first cut into
//! *chunks* of bounded length: a reduction over segments becomes one over chunks, which fuses with the work around it,
//! and a short one over the chunks' results; a broadcast goes the same way back. Cuts depend on the segments alone.

use crate::ir::{Graph, Node, NodeId, Op, Type};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Longest chunk, in elements: with four arrays of f32 it stays in a core's own cache.
const LONGEST: usize = 1 << 14;

/// The ragged rows of each flat length.
pub type Ragged = FxHashMap<usize, Arc<Vec<usize>>>;

/// Where one flat length is cut.
struct Cut {
    segments: Arc<Vec<usize>>,
    chunks: Arc<Vec<usize>>,
    /// Segments as runs of chunks; `None` if every segment is one chunk.
    groups: Option<Arc<Vec<usize>>>,
}

impl Cut {
    /// `None` if rows would be as many as elements, so that the two could not be told apart.
    fn new(segments: &Arc<Vec<usize>>) -> Option<Cut> {
        let (mut chunks, mut groups) = (vec![0], vec![0]);
        for pair in segments.windows(2) {
            let pieces = (pair[1] - pair[0]).div_ceil(LONGEST).max(1);
            chunks.extend((1..=pieces).map(|k| pair[0] + (pair[1] - pair[0]) * k / pieces));
            groups.push(chunks.len() - 1);
        }
        let (rows, elements) = (chunks.len() - 1, *segments.last()?);
        let whole = rows == segments.len() - 1;
        let groups = (!whole).then(|| Arc::new(groups));
        (segments[0] == 0 && rows > 1 && rows < elements).then(|| Cut {
            segments: segments.clone(),
            chunks: Arc::new(chunks),
            groups,
        })
    }
}

/// The same graph with reductions and broadcasts over chunks, and the chunks of each flat length. `None` if there are none.
pub fn cut(graph: &Graph) -> Option<(Graph, Ragged)> {
    let mut cuts: FxHashMap<usize, Cut> = FxHashMap::default();
    for node in &graph.nodes {
        if let Op::SegmentReduce { offsets, .. } | Op::SegmentBroadcast { offsets } = &node.op
            && let Some(elements) = offsets.last()
            && !cuts.contains_key(elements)
            && let Some(cut) = Cut::new(offsets)
        {
            // Of two ways to cut one length the first wins; the other stays a library call.
            cuts.insert(*elements, cut);
        }
    }
    if cuts.is_empty() {
        return None;
    }
    let of =
        |offsets: &Arc<Vec<usize>>| offsets.last().and_then(|n| cuts.get(n)).filter(|cut| cut.segments == *offsets);
    let mut out = Graph { nodes: vec![], inputs: graph.inputs.clone(), outputs: vec![], ..Graph::default() };
    let mut new: Vec<NodeId> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let args: Vec<NodeId> = node.args.iter().map(|a| new[a.index()]).collect();
        let mut push = |op: Op, args: Vec<NodeId>, ty: Type| {
            out.nodes.push(Node { op, args, ty, ..node.clone() });
            NodeId(out.nodes.len() as u32 - 1)
        };
        let row = |cut: &Cut| Type::new(node.ty.dtype, vec![cut.chunks.len() - 1]);
        let id = match &node.op {
            Op::SegmentReduce { kind, offsets } if let Some(cut) = of(offsets) => {
                let parts = push(Op::SegmentReduce { kind: *kind, offsets: cut.chunks.clone() }, args, row(cut));
                match &cut.groups {
                    Some(groups) => {
                        let op = Op::SegmentReduce { kind: *kind, offsets: groups.clone() };
                        push(op, vec![parts], node.ty.clone())
                    }
                    None => parts,
                }
            }
            Op::SegmentBroadcast { offsets } if let Some(cut) = of(offsets) => {
                let parts = match &cut.groups {
                    Some(groups) => push(Op::SegmentBroadcast { offsets: groups.clone() }, args, row(cut)),
                    None => args[0],
                };
                push(Op::SegmentBroadcast { offsets: cut.chunks.clone() }, vec![parts], node.ty.clone())
            }
            op => push(op.clone(), args, node.ty.clone()),
        };
        new.push(id);
    }
    for output in &graph.outputs {
        out.add_output(output.name.clone(), new[output.node.index()], output.kind.clone());
    }
    let ragged = cuts.into_iter().map(|(elements, cut)| (elements, cut.chunks)).collect();
    Some((out, ragged))
}

/// Whether a node works on the ragged rows: then it is part of a kernel and no library call.
pub fn on_rows(ragged: &Ragged, node: &Node) -> bool {
    let (Op::SegmentReduce { offsets, .. } | Op::SegmentBroadcast { offsets }) = &node.op else { return false };
    offsets.last().and_then(|n| ragged.get(n)) == Some(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_never_cross_a_segment() {
        let segments = Arc::new(vec![0, 100_000, 100_003, 100_003, 140_000]);
        let cut = Cut::new(&segments).unwrap();
        assert!(segments.iter().all(|s| cut.chunks.contains(s)));
        assert!(cut.chunks.windows(2).all(|w| w[0] <= w[1] && w[1] - w[0] <= LONGEST));
        let groups = cut.groups.unwrap();
        let ends: Vec<usize> = groups.iter().map(|g| cut.chunks[*g]).collect();
        assert_eq!(ends, *segments);
    }
}
