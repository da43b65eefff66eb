//! Drops the nodes that no output needs. Inputs stay: their indices are how the runtime binds them.

use crate::ir::{Graph, NodeId, Op};

pub fn run(graph: &mut Graph) -> bool {
    let mut live: Vec<bool> = graph.nodes.iter().map(|n| matches!(n.op, Op::Input(_))).collect();
    for output in &graph.outputs {
        live[output.node.index()] = true;
    }
    for index in (0..live.len()).rev() {
        if live[index] {
            for arg in &graph.nodes[index].args {
                live[arg.index()] = true;
            }
        }
    }
    if live.iter().all(|l| *l) {
        return false;
    }
    let mut places = vec![NodeId(0); live.len()];
    for (next, (place, _)) in places.iter_mut().zip(&live).filter(|(_, live)| **live).enumerate() {
        *place = NodeId(next as u32);
    }
    let mut keep = live.iter();
    graph.nodes.retain(|_| keep.next().copied().unwrap_or(false));
    for arg in graph.nodes.iter_mut().flat_map(|n| &mut n.args) {
        *arg = places[arg.index()];
    }
    for output in &mut graph.outputs {
        output.node = places[output.node.index()];
    }
    true
}
