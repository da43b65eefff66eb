//! Sums over the steps of a loop, made after the loop.
//!
//! `sum_t f(x_t)` for a linear `f` is `f(sum_t x_t)`, `sum_t dot(x_t, y_t)` contracts the time axis of the two stacks as well, and
//! `sum_t reduce(x_t)` reduces it. All else is added up in a carried value.

use super::Rule;
use super::scan::{Joint, hint};
use crate::ir::build::Builder;
use crate::ir::scan::Scan;
use crate::ir::{Binary, NodeId, Op, ReduceKind, Unary};
use rustc_hash::FxHashMap;

/// How the sum over the steps of a node is made. Nodes are those of the joint graph.
pub enum Sum {
    /// A product or a sum over axes of stacked operands.
    Whole(NodeId),
    /// A linear operation on the sums of its operands; those without one are constants.
    Linear(NodeId, Vec<Option<Sum>>),
    Carried(NodeId),
}

/// Sums of sums, at most: longer chains are carried.
const DEEPEST: usize = 64;

/// Plans the sum of `id`; adds values that must be stacked and sums that must be carried to the lists.
pub fn sum_over_steps(joint: &Joint, id: NodeId, stacked: &mut Vec<NodeId>, carried: &mut Vec<NodeId>) -> Sum {
    let mut lists = (vec![], vec![]);
    let sum = plan(joint, id, &mut lists, 0);
    stacked.append(&mut lists.0);
    for id in lists.1 {
        if !carried.contains(&id) {
            carried.push(id);
        }
    }
    sum
}

fn plan(joint: &Joint, id: NodeId, lists: &mut (Vec<NodeId>, Vec<NodeId>), depth: usize) -> Sum {
    let node = joint.graph.node(id);
    let varies = |a: &NodeId| joint.varying[a.index()];
    let whole = match &node.op {
        Op::Dot { .. } | Op::Reduce { kind: ReduceKind::Sum, .. } => {
            node.args.iter().all(|a| varies(a) && joint.graph.dtype(*a) == joint.dtype)
        }
        _ => false,
    };
    if whole {
        lists.0.extend(&node.args);
        return Sum::Whole(id);
    }
    let linear = match &node.op {
        // The whole of a loop in the body is longer once that is differentiated again; what is read of it is not.
        Op::Slice { .. } if matches!(joint.graph.node(node.args[0]).op, Op::Scan(_)) => false,
        Op::Unary(Unary::Neg) | Op::Reshape | Op::Transpose { .. } | Op::Slice { .. } | Op::Reverse { .. } => true,
        Op::Convert | Op::Broadcast { .. } => joint.graph.dtype(node.args[0]).is_float(),
        Op::Binary(Binary::Add | Binary::Sub) | Op::Concat { .. } => true,
        Op::Reduce { kind: ReduceKind::Sum, .. } => true,
        Op::Pad { .. } => matches!(joint.graph.node(node.args[1]).op, Op::Const(0.0)),
        _ => false,
    };
    // The padding of a sum is its value once, not a sum.
    let summed = if matches!(node.op, Op::Pad { .. }) { &node.args[..1] } else { &node.args };
    if linear && depth < DEEPEST && summed.iter().all(varies) {
        let sums = (0..node.args.len()).map(|k| summed.get(k).map(|a| plan(joint, *a, lists, depth + 1))).collect();
        return Sum::Linear(id, sums);
    }
    lists.1.push(id);
    Sum::Carried(id)
}

/// Values outside the loop: stacks over its steps, and carried sums.
pub struct Stacks<'a> {
    joint: &'a Joint,
    pub of: FxHashMap<NodeId, NodeId>,
    pub sums: FxHashMap<NodeId, NodeId>,
}

impl<'a> Stacks<'a> {
    /// The stacked operands of the forward loop are stacks of its inputs.
    pub fn new(joint: &'a Joint, rule: &Rule, scan: &Scan) -> Stacks<'a> {
        let nodes = scan.input_nodes();
        let slices = scan.carries..scan.carries + scan.slices;
        let of = slices.filter_map(|k| nodes[k].map(|node| (node, rule.arg(k)))).collect();
        Stacks { joint, of, sums: FxHashMap::default() }
    }

    /// The sum over the steps as nodes outside the loop.
    pub fn build(&self, b: &mut Builder, sum: &Sum) -> NodeId {
        let graph = &self.joint.graph;
        match sum {
            Sum::Carried(id) => self.sums[id],
            Sum::Linear(id, sums) => {
                let node = graph.node(*id);
                let constant = |b: &mut Builder| b.constant(0.0, node.ty.dtype);
                let each = sums.iter().map(|sum| match sum {
                    Some(sum) => self.build(b, sum),
                    None => constant(b),
                });
                let args: Vec<NodeId> = each.collect();
                b.push(node.op.clone(), &args, hint(graph, *id))
            }
            Sum::Whole(id) => {
                let node = graph.node(*id);
                let args: Vec<NodeId> = node.args.iter().map(|a| self.of[a]).collect();
                let later = |axes: &[usize]| axes.iter().map(|a| a + 1).collect::<Vec<_>>();
                let with_time = |axes: &[usize]| [&[0], later(axes).as_slice()].concat();
                let op = match &node.op {
                    Op::Dot { lhs_batch, rhs_batch, lhs_contract, rhs_contract } => Op::Dot {
                        lhs_batch: later(lhs_batch),
                        rhs_batch: later(rhs_batch),
                        lhs_contract: with_time(lhs_contract),
                        rhs_contract: with_time(rhs_contract),
                    },
                    Op::Reduce { kind, axes } => Op::Reduce { kind: *kind, axes: with_time(axes) },
                    other => unreachable!("the sum of {}", other.name()),
                };
                b.push(op, &args, Default::default())
            }
        }
    }
}
