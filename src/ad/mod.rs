//! Reverse-mode differentiation: extends a graph with the nodes that compute gradients.
//!
//! * [`rules`]: one vector-Jacobian product for each primitive
//! * this file: the sweep from the output to the inputs, which adds up the cotangents of values with several uses
//!
//! Gradients are ordinary nodes with the spans of the primals they belong to, so they are simplified and fused like any others,
//! and differentiating twice gives second derivatives.

mod accumulate;
#[cfg(test)]
mod check;
mod rules;

use crate::diag::{self, Diagnostic};
use crate::ir::build::Builder;
use crate::ir::{Graph, Node, NodeId, Op, Unary};

/// Gradients of `output` with respect to each of `wrt`, as new nodes of the types of `wrt`.
///
/// `seed` is the cotangent of the output (its type); by default ones. A value of `wrt` that the output does not depend on gets
/// zeros. Only nodes between `wrt` and the output are differentiated; values of `wrt` may depend on one another (each
/// gradient then holds every path).
///
/// Errors: `E0215` if a primitive on the way has no derivative rule, or an operand is not a float.
pub fn gradients(
    graph: &mut Graph,
    output: NodeId,
    seed: Option<NodeId>,
    wrt: &[NodeId],
) -> Result<Vec<NodeId>, Diagnostic> {
    for id in wrt.iter().chain([&output]) {
        let node = graph.node(*id);
        if !node.ty.dtype.is_float() {
            let title = format!("a value of type {} has no derivative", node.ty.dtype);
            return Err(diag::error("E0215", title).at(node.span, "this value is not a float"));
        }
    }
    let span = graph.node(output).span;
    let seed = seed.unwrap_or_else(|| Builder::new(graph, span).full_like(1.0, output));
    let found = pullback(graph, &[(output, seed)], wrt)?;
    let zeros = |graph: &mut Graph, id: NodeId| {
        let span = graph.node(id).span;
        Builder::new(graph, span).full_like(0.0, id)
    };
    Ok(wrt.iter().zip(found).map(|(id, found)| found.unwrap_or_else(|| zeros(graph, *id))).collect())
}

/// The cotangents of `wrt`, given those of several outputs; `None` where there is none. Outputs may come twice.
fn pullback(graph: &mut Graph, seeds: &[(NodeId, NodeId)], wrt: &[NodeId]) -> Result<Vec<Option<NodeId>>, Diagnostic> {
    let Some(last) = seeds.iter().map(|(output, _)| *output).max() else { return Ok(vec![None; wrt.len()]) };
    let active = active_nodes(graph, last, wrt);
    let mut cotangents: Vec<Vec<NodeId>> = vec![vec![]; last.index() + 1];
    for (output, seed) in seeds {
        cotangents[output.index()].push(*seed);
    }
    let mut found: Vec<Option<NodeId>> = vec![None; last.index() + 1];
    let outside = graph.origin.clone();
    for index in (0..=last.index()).rev() {
        let parts = std::mem::take(&mut cotangents[index]);
        if !active[index] || parts.is_empty() {
            continue;
        }
        let id = NodeId(index as u32);
        let primal = graph.node(id);
        graph.origin = primal.origin.derivative(primal.op.name());
        let mut builder = Builder { span: graph.node(id).span, graph };
        let cotangent = accumulate::sum(&mut builder, &parts);
        found[index] = Some(cotangent);
        let node = builder.graph.node(id).clone();
        let needs: Vec<bool> =
            node.args.iter().map(|a| active[a.index()] && carries(&node, builder.graph, *a)).collect();
        if !needs.contains(&true) {
            continue;
        }
        let contributions = rules::vjp(&mut builder, id, &node, cotangent, &needs)?;
        for (arg, contribution) in node.args.iter().zip(contributions) {
            if let Some(contribution) = contribution {
                debug_assert_eq!(builder.graph.ty(contribution), builder.graph.ty(*arg), "vjp of {}", node.op.name());
                cotangents[arg.index()].push(contribution);
            }
        }
    }
    graph.origin = outside;
    Ok(wrt.iter().map(|id| found.get(id.index()).copied().flatten()).collect())
}

/// Whether a derivative of `output` by any of `wrt` can differ from zero.
pub fn depends(graph: &Graph, output: NodeId, wrt: &[NodeId]) -> bool {
    active_nodes(graph, output, wrt)[output.index()]
}

/// For each node up to `output`: whether a derivative of `output` by it can differ from zero.
pub fn reached(graph: &Graph, output: NodeId) -> Vec<bool> {
    let mut reached = vec![false; output.index() + 1];
    reached[output.index()] = true;
    for index in (0..reached.len()).rev() {
        let node = &graph.nodes[index];
        if reached[index] {
            node.args.iter().filter(|a| carries(node, graph, **a)).for_each(|a| reached[a.index()] = true);
        }
    }
    reached
}

/// Whether each node up to `output` depends differentiably on `wrt`.
fn active_nodes(graph: &Graph, output: NodeId, wrt: &[NodeId]) -> Vec<bool> {
    let mut active = vec![false; output.index() + 1];
    for id in wrt {
        if let Some(flag) = active.get_mut(id.index()) {
            *flag = true;
        }
    }
    for index in 0..active.len() {
        let node = &graph.nodes[index];
        active[index] |= node.args.iter().any(|a| active[a.index()] && carries(node, graph, *a));
    }
    active
}

/// Whether a derivative can flow from `node` to its operand at all: both are floats, and the function is not flat.
fn carries(node: &Node, graph: &Graph, arg: NodeId) -> bool {
    let flat = matches!(node.op, Op::StopGradient | Op::Unary(Unary::Sign | Unary::Floor | Unary::Ceil | Unary::Round));
    !flat && node.ty.dtype.is_float() && graph.dtype(arg).is_float()
}

#[cfg(test)]
mod tests;
