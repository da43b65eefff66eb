//! From a graph to kernels and library calls.
//!
//! Every node becomes part of a kernel, a view of other bytes, or a library call. Values are stored only where someone
//! needs their bytes (a product's operand, an output) or where computing them again would cost more; all the rest is
//! computed in the registers of each kernel that uses it.
//!
//! * [`map`]: where a value is read, as affine functions of loop indices; shape operations only change maps
//! * [`classify`]: what becomes of each node, and which bytes a view shows
//! * [`draft`]: builds one kernel from the values it must store
//! * [`group`]: decides which stored values share a kernel; [`units`]: the kernels that grow
//! * [`operands`]: strided operands of products
//! * [`cost`]: which shared values are worth storing
//! * [`segments`]: equal segments of one long value become rows; [`chunks`]: unequal ones become ragged rows
//! * [`prepare`]: reductions over scattered axes become several

pub mod chunks;
pub mod classify;
pub mod cost;
pub mod draft;
pub mod group;
pub mod map;
pub mod operands;
pub mod prepare;
mod print;
pub mod segments;
pub mod units;

pub use classify::{Class, base_of};
pub use group::{Unit, Work};

use crate::ir::{Graph, NodeId, Op};
use chunks::Ragged;
use classify::Reduction;

/// A graph grouped into kernels and library calls, in no particular order.
#[derive(Clone, Debug)]
pub struct Fused {
    pub graph: Graph,
    pub classes: Vec<Class>,
    /// Nodes that own bytes.
    pub stored: Vec<bool>,
    pub units: Vec<Unit>,
}

/// How far to go: `Off` stores every value, which is what the fused form is tested against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fusion {
    #[default]
    On,
    Off,
}

/// Chains of expressions longer than this are cut by a stored value, which bounds the depth of recursion.
const LONGEST_CHAIN: u32 = 200;

/// Groups a graph. Nodes that no output needs are left out.
pub fn fuse(graph: &Graph, fusion: Fusion) -> Fused {
    let rows = segments::as_rows(graph);
    let graph = prepare::split_reductions(rows.as_ref().unwrap_or(graph));
    let (graph, ragged) = chunks::cut(&graph).unwrap_or_else(|| (graph, Ragged::default()));
    let class = |id: NodeId| match &graph.node(id).op {
        Op::SegmentReduce { .. } if chunks::on_rows(&ragged, graph.node(id)) => Class::Reduce(Reduction::Segment),
        Op::SegmentBroadcast { .. } if chunks::on_rows(&ragged, graph.node(id)) => Class::Expr,
        _ => classify::classify(&graph, id),
    };
    let classes: Vec<Class> = graph.ids().map(class).collect();
    let mut required = required(&graph, &classes, fusion);
    let mut weighed = fusion == Fusion::Off;
    let units = loop {
        match group::group(&graph, &classes, &ragged, &required) {
            Ok(units) if weighed => break units,
            Ok(units) => {
                weighed = true;
                if !cost::store_shared(&graph, &classes, &units, &mut required) {
                    break units;
                }
            }
            // Each round stores one node more, so this ends.
            Err(node) => {
                assert!(!required[node.index()], "internal error: cannot build a kernel for %{}", node.0);
                required[node.index()] = true;
            }
        }
    };
    let stored = group::stored(&graph, &classes, &required);
    Fused { graph, classes, stored, units }
}

/// Nodes that an output needs.
pub fn live(graph: &Graph) -> Vec<bool> {
    let mut live = vec![false; graph.nodes.len()];
    for output in &graph.outputs {
        live[output.node.index()] = true;
    }
    for id in graph.ids().rev() {
        if live[id.index()] {
            for arg in &graph.node(id).args {
                live[arg.index()] = true;
            }
        }
    }
    live
}

/// Nodes whose bytes someone needs: operands of calls, outputs, and cuts of very long chains.
fn required(graph: &Graph, classes: &[Class], fusion: Fusion) -> Vec<bool> {
    let mut required = vec![false; graph.nodes.len()];
    let mut chain = vec![0; graph.nodes.len()];
    for id in graph.ids() {
        let node = graph.node(id);
        match classes[id.index()] {
            Class::Library | Class::Concat => {
                for arg in &node.args {
                    let base = match node.op {
                        ref op if operands::are_strided(op) => operands::strided(graph, *arg).base,
                        _ => base_of(graph, *arg).0,
                    };
                    required[base.index()] = true;
                }
            }
            Class::Expr => {
                let longest = node.args.iter().map(|a| chain[a.index()]).max().unwrap_or(0);
                chain[id.index()] = longest + 1;
                let cut = longest >= LONGEST_CHAIN || fusion == Fusion::Off;
                if cut && classify::view_of(graph, id).is_none() {
                    required[id.index()] = true;
                    chain[id.index()] = 0;
                }
            }
            Class::Reduce(_) => chain[id.index()] = node.args.iter().map(|a| chain[a.index()]).max().unwrap_or(0) + 1,
            _ => {}
        }
    }
    for output in &graph.outputs {
        required[base_of(graph, output.node).0.index()] = true;
    }
    required
}

/// Nodes that a node's bytes belong to, with the offset in elements.
pub fn owner(fused: &Fused, id: NodeId) -> (NodeId, usize) {
    base_of(&fused.graph, id)
}
