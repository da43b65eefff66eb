//! The sweep that rule passes share, and what rules ask about operands.

use crate::ir::build::Builder;
use crate::ir::{Graph, Node, NodeId, Op};

/// A rule sees a node whose operands are in the new graph, and may give a value to use in its stead.
pub type Rule = fn(&mut Builder, &Node, &Uses) -> Option<NodeId>;

/// How often the values of the new graph are used, as far as the old graph tells.
pub struct Uses(Vec<u32>);

impl Uses {
    fn add(&mut self, id: NodeId, count: u32) {
        if self.0.len() <= id.index() {
            self.0.resize(id.index() + 1, 0);
        }
        self.0[id.index()] += count;
    }

    /// Whether nothing but the node at hand uses the value, so that it can be replaced without computing it twice.
    pub fn once(&self, id: NodeId) -> bool {
        self.0.get(id.index()) == Some(&1)
    }
}

/// Rebuilds the graph in order, replacing nodes by what the rule gives. Returns whether it gave anything.
pub fn rewrite(graph: &mut Graph, rule: Rule) -> bool {
    let counts = graph.use_counts();
    let mut uses = Uses(Vec::with_capacity(counts.len()));
    let old = std::mem::take(graph);
    let mut new = Graph {
        nodes: Vec::with_capacity(old.nodes.len()),
        inputs: old.inputs,
        outputs: old.outputs,
        ..Graph::default()
    };
    let mut places: Vec<NodeId> = Vec::with_capacity(old.nodes.len());
    let mut changed = false;
    for (mut node, count) in old.nodes.into_iter().zip(counts) {
        for arg in &mut node.args {
            *arg = places[arg.index()];
        }
        let replacement = rule(&mut Builder::new(&mut new, node.span), &node, &uses);
        changed |= replacement.is_some();
        let place = match replacement {
            Some(id) => {
                debug_assert_eq!(*new.ty(id), node.ty, "rewriting {}", node.op.name());
                id
            }
            None => {
                new.nodes.push(node);
                NodeId(new.nodes.len() as u32 - 1)
            }
        };
        uses.add(place, count);
        places.push(place);
    }
    for output in &mut new.outputs {
        output.node = places[output.node.index()];
    }
    *graph = new;
    changed
}

/// The number that fills a value: a constant, or a broadcast or reshape of one.
pub fn uniform(graph: &Graph, id: NodeId) -> Option<f64> {
    let node = graph.node(id);
    match &node.op {
        Op::Const(value) => Some(*value),
        Op::Broadcast { .. } | Op::Reshape => uniform(graph, node.args[0]),
        _ => None,
    }
}
