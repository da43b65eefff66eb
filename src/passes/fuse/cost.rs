//! Which values that several kernels use are worth storing once instead of computing again.

use super::classify::{Class, base_of, view_of};
use super::group::{Unit, Work, stored};
use crate::ir::{Binary, Graph, NodeId, Op, Unary};

/// Weight of loading one element of a full-size value, in simple operations.
const LOAD: f64 = 4.0;
/// A value is stored if computing it again weighs more than storing and loading it would, for each element.
const STORE_AND_LOAD: f64 = 10.0;
/// The same for scalars, which each task of a kernel computes anew.
const SCALAR: f64 = 150.0;

/// Marks values to store; whether there are any.
pub fn store_shared(graph: &Graph, classes: &[Class], units: &[Unit], required: &mut [bool]) -> bool {
    // Which kernels compute a node: none, one (its number), or several.
    const NONE: usize = usize::MAX;
    const SEVERAL: usize = usize::MAX - 1;
    let mut kernel = vec![NONE; graph.nodes.len()];
    for (k, unit) in units.iter().enumerate() {
        if let Work::Kernel(draft) = &unit.work {
            for id in &draft.fused {
                let entry = &mut kernel[id.index()];
                *entry = if *entry == NONE || *entry == k { k } else { SEVERAL };
            }
        }
    }
    let mut stored = stored(graph, classes, required);
    // Only the last values of the shared part: those that some node uses that not all of the kernels compute.
    let mut frontier = vec![false; graph.nodes.len()];
    for id in graph.ids() {
        if kernel[id.index()] == SEVERAL && classes[id.index()] == Class::Expr && !required[id.index()] {
            continue;
        }
        for arg in &graph.node(id).args {
            frontier[base_of(graph, *arg).0.index()] = true;
        }
    }
    let mut any = false;
    // In order, so that what builds on a value that will be stored costs no more than to load it.
    let mut weights: Vec<f64> = Vec::with_capacity(graph.nodes.len());
    for id in graph.ids() {
        weights.push(work(graph, id, &stored, &weights));
        let shared = kernel[id.index()] == SEVERAL && frontier[id.index()];
        if !shared || stored[id.index()] || view_of(graph, id).is_some() {
            continue;
        }
        let limit = if graph.ty(id).elements() == 1 { SCALAR } else { STORE_AND_LOAD };
        if weights[id.index()] > limit {
            required[id.index()] = true;
            stored[id.index()] = true;
            any = true;
        }
    }
    any
}

/// Work to compute one element of a node from stored values. An operand that is used twice is computed once.
fn work(graph: &Graph, id: NodeId, stored: &[bool], weights: &[f64]) -> f64 {
    let node = graph.node(id);
    let elements = node.ty.elements().max(1) as f64;
    let operands = node.args.iter().enumerate().filter(|(k, a)| !node.args[..*k].contains(a));
    let from: f64 = operands
        .map(|(_, a)| {
            // A smaller operand is computed or loaded once for many elements of this one.
            let share = (graph.ty(*a).elements() as f64 / elements).min(1.0);
            let base = base_of(graph, *a).0;
            share * if stored[base.index()] { LOAD } else { weights[a.index()] }
        })
        .sum();
    from + weight(&node.op)
}

fn weight(op: &Op) -> f64 {
    match op {
        Op::Unary(u) => match u {
            Unary::Neg | Unary::Abs | Unary::Sign | Unary::Not | Unary::IsFinite => 1.0,
            Unary::Floor | Unary::Ceil | Unary::Round => 1.0,
            Unary::Sqrt | Unary::Rsqrt => 3.0,
            _ => 8.0,
        },
        Op::Binary(Binary::Pow) => 20.0,
        Op::Binary(Binary::Div | Binary::Rem) => 3.0,
        Op::Binary(_) | Op::Compare(_) | Op::Select | Op::Convert | Op::BitsToUnit => 1.0,
        Op::RandomBits { .. } => 30.0,
        _ => 0.0,
    }
}

/// Multiplications, additions and the like of one node, for the plan's summary.
pub fn operations(graph: &Graph, id: NodeId) -> f64 {
    weight(&graph.node(id).op) * graph.ty(id).elements() as f64
}
