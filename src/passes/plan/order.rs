//! The order of units: data first, and updates in place after the last reader of the old value.

use super::destination::{Destination, Destinations};
use crate::ir::{NodeId, Op, OutputKind};
use crate::passes::fuse::{Fused, base_of};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Orders units; takes back destinations that no order allows.
pub fn order(fused: &Fused, destinations: &mut Destinations) -> Vec<usize> {
    let graph = &fused.graph;
    let mut owner: Vec<Option<usize>> = vec![None; graph.nodes.len()];
    for (k, unit) in fused.units.iter().enumerate() {
        for root in &unit.roots {
            owner[root.index()] = Some(k);
        }
    }
    // before[u]: units that must have run.
    let mut before: Vec<Vec<usize>> = fused
        .units
        .iter()
        .enumerate()
        .map(|(k, u)| u.reads.iter().filter_map(|r| owner[r.index()]).filter(|o| *o != k).collect())
        .collect();
    let input_of = |id: &NodeId| match graph.node(*id).op {
        Op::Input(k) => Some(k),
        _ => None,
    };
    for (k, output) in graph.outputs.iter().enumerate() {
        let OutputKind::Update(input) = output.kind else { continue };
        let base = base_of(graph, output.node).0;
        if destinations.get(base) != Some(Destination::Input(input)) {
            continue;
        }
        let Some(writer) = owner[base.index()] else { continue };
        let reads_input = |u: &usize| fused.units[*u].reads.iter().any(|r| input_of(r) == Some(input));
        let readers: Vec<usize> = (0..fused.units.len()).filter(|u| *u != writer && reads_input(u)).collect();
        // An output that is the old value is copied at the end.
        let copied = graph.outputs.iter().any(|o| input_of(&base_of(graph, o.node).0) == Some(input));
        if copied || readers.iter().any(|r| reaches(&before, *r, writer)) {
            destinations.copy_later(base, k);
        } else {
            before[writer].extend(readers);
        }
    }
    sort(fused, &before)
}

/// Whether `from` must run after `target`.
fn reaches(before: &[Vec<usize>], from: usize, target: usize) -> bool {
    let mut seen = vec![false; before.len()];
    let mut stack = vec![from];
    while let Some(unit) = stack.pop() {
        if unit == target {
            return true;
        }
        if !std::mem::replace(&mut seen[unit], true) {
            stack.extend(&before[unit]);
        }
    }
    false
}

/// Topological; among units that are ready, the one whose nodes come first in the graph.
fn sort(fused: &Fused, before: &[Vec<usize>]) -> Vec<usize> {
    let mut after: Vec<Vec<usize>> = vec![vec![]; before.len()];
    let mut waiting: Vec<usize> = vec![0; before.len()];
    for (unit, needs) in before.iter().enumerate() {
        let mut needs = needs.clone();
        needs.sort_unstable();
        needs.dedup();
        waiting[unit] = needs.len();
        for need in needs {
            after[need].push(unit);
        }
    }
    let key = |u: usize| Reverse((fused.units[u].roots.iter().min().map_or(0, |r| r.0), u));
    let mut ready: BinaryHeap<_> = (0..before.len()).filter(|u| waiting[*u] == 0).map(key).collect();
    let mut order = vec![];
    while let Some(Reverse((_, unit))) = ready.pop() {
        order.push(unit);
        for next in &after[unit] {
            waiting[*next] -= 1;
            if waiting[*next] == 0 {
                ready.push(key(*next));
            }
        }
    }
    assert_eq!(order.len(), before.len(), "internal error: kernels depend on each other in a circle");
    order
}
