//! Common subexpressions: nodes of the same operation, type and operands become one, the first.

use crate::ir::scan::Scan;
use crate::ir::{Binary, Graph, Node, NodeId, Op};
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::{Hash, Hasher};

pub fn run(graph: &mut Graph) -> bool {
    let old = std::mem::take(graph);
    let mut new = Graph {
        nodes: Vec::with_capacity(old.nodes.len()),
        inputs: old.inputs,
        outputs: old.outputs,
        ..Graph::default()
    };
    let mut places: Vec<NodeId> = Vec::with_capacity(old.nodes.len());
    let mut known: FxHashMap<u64, Vec<NodeId>> = FxHashMap::default();
    for mut node in old.nodes {
        for arg in &mut node.args {
            *arg = places[arg.index()];
        }
        let same_hash = known.entry(hash(&node)).or_default();
        let place = match same_hash.iter().find(|id| same_value(new.node(**id), &node)) {
            Some(id) => *id,
            None => {
                new.nodes.push(node);
                let id = NodeId(new.nodes.len() as u32 - 1);
                same_hash.push(id);
                id
            }
        };
        places.push(place);
    }
    let changed = new.nodes.len() < places.len();
    for output in &mut new.outputs {
        output.node = places[output.node.index()];
    }
    *graph = new;
    changed
}

/// Operands in an order that does not matter are compared sorted.
fn operands(node: &Node) -> Vec<NodeId> {
    let mut args = node.args.clone();
    if let Op::Binary(Binary::Add | Binary::Mul | Binary::Max | Binary::Min | Binary::And | Binary::Or) = node.op {
        args.sort_unstable();
    }
    args
}

/// Whether two nodes of graphs with equal operands have one value: their places in the source do not matter.
pub fn same_value(a: &Node, b: &Node) -> bool {
    a.ty == b.ty && operands(a) == operands(b) && same_op(&a.op, &b.op)
}

/// Constants by their bits: -0 is not 0, and a NaN is itself.
fn same_op(a: &Op, b: &Op) -> bool {
    match (a, b) {
        (Op::Const(x), Op::Const(y)) => x.to_bits() == y.to_bits(),
        (Op::Dense(x), Op::Dense(y)) => {
            x.len() == y.len() && x.iter().zip(y.iter()).all(|(x, y)| x.to_bits() == y.to_bits())
        }
        (Op::Scan(x), Op::Scan(y)) => same_loop(x, y),
        _ => a == b,
    }
}

/// Whether two loops do the same, whatever their inputs and outputs are called and wherever they were written.
pub fn same_loop(a: &Scan, b: &Scan) -> bool {
    let counts = |s: &Scan| (s.steps, s.reverse, s.carries, s.slices, s.body.inputs.len(), s.body.outputs.len());
    let (mut inputs, mut outputs) =
        (a.body.inputs.iter().zip(&b.body.inputs), a.body.outputs.iter().zip(&b.body.outputs));
    counts(a) == counts(b)
        && a.body.nodes.len() == b.body.nodes.len()
        && inputs.all(|(x, y)| x.ty == y.ty)
        && outputs.all(|(x, y)| x.node == y.node && x.kind == y.kind)
        && a.body.nodes.iter().zip(&b.body.nodes).all(|(x, y)| same_value(x, y))
}

/// Equal nodes have equal hashes; attributes that seldom distinguish nodes are left to `same_value`.
fn hash(node: &Node) -> u64 {
    let mut state = FxHasher::default();
    node.op.name().hash(&mut state);
    node.ty.hash(&mut state);
    operands(node).hash(&mut state);
    match &node.op {
        Op::Input(index) => index.hash(&mut state),
        Op::Const(value) => value.to_bits().hash(&mut state),
        Op::Dense(values) => values.iter().for_each(|v| v.to_bits().hash(&mut state)),
        Op::RandomBits { stream } => stream.hash(&mut state),
        Op::Slice { start, .. } => start.hash(&mut state),
        Op::Pad { low, .. } => low.hash(&mut state),
        _ => {}
    }
    state.finish()
}
