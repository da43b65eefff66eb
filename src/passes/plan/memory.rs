//! Offsets in one block by live ranges.

use super::LINE;
use super::destination::{Destination, Destinations};
use crate::ir::NodeId;
use crate::passes::fuse::{Class, Fused, base_of};

/// A value in the arena, live from its first writer to its last reader (positions in the order of units).
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// `None` for a temporary of the closing copies.
    pub node: Option<NodeId>,
    pub bytes: usize,
    pub first: usize,
    pub last: usize,
    pub offset: usize,
}

impl Slot {
    fn size(&self) -> usize {
        // A spare line: vector code may touch a whole last vector.
        (self.bytes + LINE).next_multiple_of(LINE)
    }

    fn lives_with(&self, other: &Slot) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// The values that need bytes in the arena.
pub fn live_ranges(fused: &Fused, destinations: &Destinations, order: &[usize]) -> Vec<Slot> {
    let graph = &fused.graph;
    let mut ranges: Vec<Option<(usize, usize)>> = vec![None; graph.nodes.len()];
    let mut touch = |id: NodeId, at: usize| {
        let whole = destinations.outermost(id);
        let fixed = matches!(destinations.get(whole), Some(Destination::Input(_) | Destination::Result(_)));
        if !fixed && !matches!(fused.classes[whole.index()], Class::Input | Class::Dense) {
            let range = ranges[whole.index()].get_or_insert((at, at));
            *range = (range.0.min(at), range.1.max(at));
        }
    };
    for (at, unit) in order.iter().enumerate() {
        for id in fused.units[*unit].roots.iter().chain(&fused.units[*unit].reads) {
            touch(*id, at);
        }
    }
    for end in &destinations.at_end {
        touch(base_of(graph, graph.outputs[end.output].node).0, order.len());
    }
    let slot = |id: NodeId| {
        let (first, last) = ranges[id.index()]?;
        Some(Slot { node: Some(id), bytes: graph.ty(id).bytes(), first, last, offset: 0 })
    };
    graph.ids().filter_map(slot).collect()
}

/// Gives offsets, the largest first, each at the lowest place that is free during its life. Returns the block's size.
pub fn assign(slots: &mut [Slot]) -> usize {
    let mut by_size: Vec<usize> = (0..slots.len()).collect();
    by_size.sort_by_key(|k| (std::cmp::Reverse(slots[*k].bytes), slots[*k].first, *k));
    // By offset.
    let mut placed: Vec<Slot> = vec![];
    let mut end = 0;
    for k in by_size {
        let slot = &mut slots[k];
        let mut offset = 0;
        for other in placed.iter().filter(|p| p.lives_with(slot)) {
            if other.offset >= offset + slot.size() {
                break;
            }
            offset = offset.max(other.offset + other.size());
        }
        slot.offset = offset;
        end = end.max(offset + slot.size());
        placed.insert(placed.partition_point(|p| p.offset <= offset), slot.clone());
    }
    end
}

/// Two values that overlap while both are live, if there are any.
pub fn overlap(slots: &[Slot]) -> Option<(usize, usize)> {
    for (a, x) in slots.iter().enumerate() {
        for (b, y) in slots.iter().enumerate().skip(a + 1) {
            let apart = x.offset + x.size() <= y.offset || y.offset + y.size() <= x.offset;
            if x.lives_with(y) && !apart {
                return Some((a, b));
            }
        }
    }
    None
}

/// The memory of a plan in which no two values share a place.
pub fn without_reuse(slots: &[Slot]) -> usize {
    slots.iter().map(Slot::size).sum()
}

/// The least memory any plan needs: the most bytes that are live at one time.
pub fn lower_bound(slots: &[Slot]) -> usize {
    let end = slots.iter().map(|s| s.last + 1).max().unwrap_or(0);
    let (mut begins, mut ends) = (vec![0; end], vec![0; end]);
    for slot in slots {
        begins[slot.first] += slot.size();
        ends[slot.last] += slot.size();
    }
    let (mut live, mut most) = (0, 0);
    for at in 0..end {
        live += begins[at];
        most = most.max(live);
        live -= ends[at];
    }
    most
}
