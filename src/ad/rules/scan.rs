//! The pullback of a loop: a loop in the other direction over what the forward loop left.
//!
//! * The body is differentiated as any graph ([`Joint`]). Values of the forward body that the backward body needs are either saved
//!   by the forward loop (carried values, products, reductions and transcendental functions) or computed again from those.
//!   The forward node is extended in place: what it emits more comes after what it emitted before.
//! * The gradient of a value that every step uses is a sum over the steps. Where that sum is a product's or a reduction's
//!   ([`super::scan_sums`]), the loop emits the operands and one large product after it makes the gradient: for the weights
//!   of a recurrent layer `sum_t x_tᵀ d_t = Xᵀ D` (J. Appleyard et al., 2016, section 3.2.3). Any other sum is carried.

use super::scan_sums::{Stacks, Sum, sum_over_steps};
use super::{Contributions, Rule};
use crate::ad::{depends, pullback};
use crate::diag::Diagnostic;
use crate::ir::build::Builder;
use crate::ir::op::Hint;
use crate::ir::scan::{self, Scan};
use crate::ir::{DType, Graph, InputKind, NodeId, Op, OutputKind, Unary};
use std::sync::Arc;

pub fn scan(b: &mut Builder, rule: &Rule, scan: &Scan) -> Result<Contributions, Diagnostic> {
    let joint = Joint::new(rule, scan)?;
    if joint.is_still() {
        return Ok(vec![None; rule.node.args.len()]);
    }
    let plan = Plan::new(&joint, scan);
    extend(b, rule.id, scan, &joint, &plan);
    let backward = backward(b, rule, scan, &joint, &plan);
    Ok(contributions(b, rule, scan, &joint, &plan, backward))
}

/// The body with its gradients appended.
pub struct Joint {
    pub graph: Graph,
    /// Nodes before this one are the body's own.
    pub forward: usize,
    /// The node of each of the body's inputs.
    inputs: Vec<Option<NodeId>>,
    /// For each of the body's outputs, the input that holds its cotangent; `None` if no gradient flows through it.
    seeds: Vec<Option<NodeId>>,
    /// For each of the body's inputs, its cotangent.
    grads: Vec<Option<NodeId>>,
    /// Carried values whose cotangent is carried.
    active: Vec<bool>,
    /// Whether a value may differ from step to step.
    pub varying: Vec<bool>,
    /// The one type of all results.
    pub dtype: DType,
}

impl Joint {
    fn new(rule: &Rule, scan: &Scan) -> Result<Joint, Diagnostic> {
        let inputs = scan.input_nodes();
        let mut wanted = rule.needs.to_vec();
        let nodes = |wanted: &[bool]| -> Vec<NodeId> {
            inputs.iter().zip(wanted).filter_map(|(node, wanted)| node.filter(|_| *wanted)).collect()
        };
        // A value that is carried from an active one is active at the next step.
        loop {
            let wrt = nodes(&wanted);
            let next = |k: &usize| !wanted[*k] && depends(&scan.body, scan.body.outputs[*k].node, &wrt);
            let Some(k) = (0..scan.carries).find(next) else { break };
            wanted[k] = true;
        }
        let wrt = nodes(&wanted);
        let mut graph = scan.body.clone();
        let outputs = std::mem::take(&mut graph.outputs);
        let mut seeds = vec![];
        let mut pairs = vec![];
        for (k, output) in outputs.iter().enumerate() {
            let active = if k < scan.carries { wanted[k] } else { depends(&scan.body, output.node, &wrt) };
            seeds.push(active.then(|| {
                let (ty, span) = (graph.ty(output.node).clone(), graph.node(output.node).span);
                let seed = graph.add_input(format!("d {}", output.name), ty, InputKind::Arg, span);
                pairs.push((output.node, seed));
                seed
            }));
        }
        let found = pullback(&mut graph, &pairs, &wrt)?;
        let mut found = found.into_iter();
        let each = inputs.iter().zip(&wanted);
        let grads = each.map(|(node, wanted)| if *wanted && node.is_some() { found.next()? } else { None }).collect();
        let constant = |node: NodeId| matches!(graph.node(node).op, Op::Input(k) if (scan.carries + scan.slices..scan.body.inputs.len()).contains(&k));
        let mut varying = vec![false; graph.nodes.len()];
        for id in graph.ids() {
            let input = matches!(graph.node(id).op, Op::Input(_)) && !constant(id);
            varying[id.index()] = input || graph.node(id).args.iter().any(|a| varying[a.index()]);
        }
        let active = wanted[..scan.carries].to_vec();
        let dtype = rule.dtype();
        Ok(Joint { graph, forward: scan.body.nodes.len(), inputs, seeds, grads, active, varying, dtype })
    }

    /// Whether nothing flows to any operand: the body has cut the gradient off, or uses the operand for a decision only.
    fn is_still(&self) -> bool {
        !self.active.contains(&true) && self.grads.iter().all(Option::is_none)
    }

    /// Saved by the forward loop if the backward loop needs it. Values of other types are always computed again.
    ///
    /// Of a loop in the body, the results that are read are saved and not the whole: it may have more of them when this loop
    /// is differentiated once more.
    fn saved(&self, id: NodeId, carries: usize) -> bool {
        let node = self.graph.node(id);
        let costly = match &node.op {
            Op::Slice { .. } if matches!(self.graph.node(node.args[0]).op, Op::Scan(_)) => true,
            Op::Scan(_) => false,
            Op::Input(k) => *k < carries,
            Op::Unary(u) => {
                !matches!(u, Unary::Neg | Unary::Abs | Unary::Sign | Unary::Floor | Unary::Ceil | Unary::Round)
            }
            Op::Binary(b) => *b == crate::ir::Binary::Pow,
            Op::Const(_) | Op::Dense(_) | Op::Iota { .. } | Op::RandomBits { .. } | Op::BitsToUnit => false,
            Op::Compare(_) | Op::Select | Op::Convert | Op::StopGradient | Op::Broadcast { .. } | Op::Reshape => false,
            Op::Transpose { .. } | Op::Slice { .. } | Op::Pad { .. } | Op::Concat { .. } | Op::Reverse { .. } => false,
            _ => true,
        };
        id.index() < self.forward && self.varying[id.index()] && costly && node.ty.dtype == self.dtype
    }
}

/// What the two loops exchange.
struct Plan {
    /// For each operand that is the same at every step: how its gradient is summed.
    sums: Vec<Option<Sum>>,
    /// Nodes of the joint graph whose sums are carried.
    carried: Vec<NodeId>,
    /// Values that the backward loop emits.
    emitted: Vec<NodeId>,
    /// Values that the forward loop emits.
    residuals: Vec<NodeId>,
    needed: Vec<bool>,
}

impl Plan {
    fn new(joint: &Joint, scan: &Scan) -> Plan {
        let (mut carried, mut stacked, mut emitted) = (vec![], vec![], vec![]);
        let constants = scan.carries + scan.slices;
        let sums: Vec<Option<Sum>> = joint.grads[constants..]
            .iter()
            .map(|grad| grad.map(|grad| sum_over_steps(joint, grad, &mut stacked, &mut carried)))
            .collect();
        let slices = joint.grads[scan.carries..constants].iter().flatten();
        emitted.extend(slices);
        let mut residuals = vec![];
        for leaf in stacked {
            let whole =
                matches!(joint.graph.node(leaf).op, Op::Input(k) if leaf.index() < joint.forward && k >= scan.carries);
            if joint.saved(leaf, scan.carries) {
                residuals.push(leaf);
            } else if !whole {
                emitted.push(leaf);
            }
        }
        emitted.sort_unstable();
        emitted.dedup();
        let mut needed = vec![false; joint.graph.nodes.len()];
        let grads = joint.grads[..scan.carries].iter().flatten();
        for id in grads.chain(&carried).chain(&emitted) {
            needed[id.index()] = true;
        }
        for id in joint.graph.ids().rev() {
            if !needed[id.index()] {
                continue;
            }
            if joint.saved(id, scan.carries) {
                residuals.push(id);
            } else {
                joint.graph.node(id).args.iter().for_each(|a| needed[a.index()] = true);
            }
        }
        residuals.sort_unstable();
        residuals.dedup();
        Plan { sums, carried, emitted, residuals, needed }
    }
}

/// Which of the loop's results stacks a value of its body.
fn emitted_at(scan: &Scan, node: NodeId) -> Option<usize> {
    (scan.carries..scan.body.outputs.len()).find(|k| scan.body.outputs[*k].node == node)
}

/// Lets the forward loop emit the residuals. Places of its earlier results stay.
fn extend(b: &mut Builder, id: NodeId, scan: &Scan, joint: &Joint, plan: &Plan) {
    let mut longer = scan.clone();
    // The nodes of the joint graph: a loop inside the body may have been extended, too.
    longer.body.nodes = joint.graph.nodes[..joint.forward].to_vec();
    for node in &plan.residuals {
        if emitted_at(&longer, *node).is_none() {
            longer.body.add_output(format!("saved {}", node.0), *node, OutputKind::Value);
        }
    }
    let results = longer.ranges().last().map_or(0, |range| range.end);
    let node = &mut b.graph.nodes[id.index()];
    node.op = Op::Scan(Arc::new(longer));
    node.ty.shape = vec![results];
}

/// A result of the loop at `id` that stacks a value of its body.
fn stack_of(b: &mut Builder, id: NodeId, node: NodeId) -> NodeId {
    let Op::Scan(scan) = &b.graph.node(id).op else { unreachable!("a loop stays a loop") };
    let k = emitted_at(scan, node).expect("residuals are emitted");
    scan::result(b, id, k)
}

/// The cotangent of a result of the forward loop, out of that of all results.
fn cotangent(b: &mut Builder, rule: &Rule, scan: &Scan, k: usize) -> NodeId {
    let (range, ty) = (scan.range(k), scan.result_type(k));
    let part = b.slice(rule.ct, vec![range.start], vec![range.end], vec![1]);
    b.reshape(part, &ty.shape)
}

/// The operands of the backward loop while its body's inputs are made, in their order.
struct Body {
    graph: Graph,
    places: Vec<Option<NodeId>>,
    args: Vec<NodeId>,
}

impl Body {
    /// An input of the body that stands for `of`, if there is such a node, and its operand.
    fn input(&mut self, joint: &Joint, of: NodeId, arg: NodeId) {
        let node = joint.graph.node(of);
        let input = self.graph.add_input(format!("%{}", of.0), node.ty.clone(), InputKind::Arg, node.span);
        self.places[of.index()] = Some(input);
        self.args.push(arg);
    }
}

fn backward(b: &mut Builder, rule: &Rule, scan: &Scan, joint: &Joint, plan: &Plan) -> NodeId {
    let mut body = Body { graph: Graph::new(), places: vec![None; joint.graph.nodes.len()], args: vec![] };
    for k in (0..scan.carries).filter(|k| joint.active[*k]) {
        let first = cotangent(b, rule, scan, k);
        body.input(joint, joint.seeds[k].expect("active"), first);
    }
    let mut accumulators = vec![];
    for id in &plan.carried {
        let ty = crate::ir::Type::new(joint.dtype, joint.graph.shape(*id).clone());
        body.args.push(b.full(0.0, joint.dtype, &ty.shape));
        accumulators.push(body.graph.add_input(
            format!("sum {}", id.0),
            ty,
            InputKind::Arg,
            joint.graph.node(*id).span,
        ));
    }
    let carries = body.args.len();
    for k in scan.carries..scan.body.outputs.len() {
        if let Some(seed) = joint.seeds[k].filter(|s| plan.needed[s.index()]) {
            let stack = cotangent(b, rule, scan, k);
            body.input(joint, seed, stack);
        }
    }
    for id in plan.residuals.iter().filter(|id| plan.needed[id.index()]) {
        let stack = stack_of(b, rule.id, *id);
        body.input(joint, *id, stack);
    }
    let constants = scan.carries + scan.slices;
    let used = |k: &usize| joint.inputs[*k].is_some_and(|id| plan.needed[id.index()]);
    for k in (scan.carries..constants).filter(used) {
        body.input(joint, joint.inputs[k].expect("used"), rule.arg(k));
    }
    let slices = body.args.len() - carries;
    for k in (constants..rule.node.args.len()).filter(used) {
        body.input(joint, joint.inputs[k].expect("used"), rule.arg(k));
    }
    for id in joint.graph.ids() {
        if plan.needed[id.index()] && body.places[id.index()].is_none() {
            let mut node = joint.graph.node(id).clone();
            for arg in &mut node.args {
                *arg = body.places[arg.index()].expect("operands come first");
            }
            body.graph.nodes.push(node);
            body.places[id.index()] = Some(NodeId(body.graph.nodes.len() as u32 - 1));
        }
    }
    outputs(&mut body, scan, joint, plan, &accumulators);
    let Body { graph, args, .. } = body;
    scan::push(b, Scan { body: graph, steps: scan.steps, reverse: !scan.reverse, carries, slices }, &args)
}

/// The backward body's outputs: cotangents of carried values, sums, and what it emits.
fn outputs(body: &mut Body, scan: &Scan, joint: &Joint, plan: &Plan, accumulators: &[NodeId]) {
    let mut carries = 0;
    for k in (0..scan.carries).filter(|k| joint.active[*k]) {
        let name = &scan.body.outputs[k].name;
        let node = match joint.grads[k] {
            Some(grad) => body.places[grad.index()].expect("needed"),
            None => {
                let ty = joint.graph.ty(joint.seeds[k].expect("active")).clone();
                let span = joint.graph.node(scan.body.outputs[k].node).span;
                Builder::new(&mut body.graph, span).full(0.0, ty.dtype, &ty.shape)
            }
        };
        body.graph.add_output(format!("d {name}"), node, OutputKind::Update(carries));
        carries += 1;
    }
    for (id, sum) in plan.carried.iter().zip(accumulators) {
        let value = body.places[id.index()].expect("needed");
        let mut b = Builder::new(&mut body.graph, joint.graph.node(*id).span);
        let value = b.convert(value, joint.dtype);
        let sum = b.add(*sum, value);
        body.graph.add_output(format!("sum {}", id.0), sum, OutputKind::Update(carries));
        carries += 1;
    }
    for id in &plan.emitted {
        let value = body.places[id.index()].expect("needed");
        let value = Builder::new(&mut body.graph, joint.graph.node(*id).span).convert(value, joint.dtype);
        body.graph.add_output(format!("emit {}", id.0), value, OutputKind::Value);
    }
}

/// Reads the operands' cotangents from the backward loop's results.
fn contributions(
    b: &mut Builder,
    rule: &Rule,
    scan: &Scan,
    joint: &Joint,
    plan: &Plan,
    backward: NodeId,
) -> Contributions {
    let active: Vec<usize> = (0..scan.carries).filter(|k| joint.active[*k]).collect();
    let carried = active.len();
    let emits = carried + plan.carried.len();
    let typed = |b: &mut Builder, value: NodeId, of: NodeId| b.convert(value, joint.graph.dtype(of));
    let mut stacks = Stacks::new(joint, rule, scan);
    for (k, id) in plan.emitted.iter().enumerate() {
        let stack = scan::result(b, backward, emits + k);
        stacks.of.insert(*id, stack);
    }
    for id in &plan.residuals {
        let stack = stack_of(b, rule.id, *id);
        stacks.of.insert(*id, stack);
    }
    for (k, id) in plan.carried.iter().enumerate() {
        let sum = scan::result(b, backward, carried + k);
        let sum = typed(b, sum, *id);
        stacks.sums.insert(*id, sum);
    }
    let constants = scan.carries + scan.slices;
    let one = |k: usize| {
        if !rule.needs[k] {
            return None;
        }
        if k < scan.carries {
            let at = active.iter().position(|a| *a == k)?;
            return Some(scan::result(b, backward, at));
        }
        let grad = joint.grads[k]?;
        if k < constants {
            let stack = stacks.of[&grad];
            return Some(typed(b, stack, grad));
        }
        plan.sums[k - constants].as_ref().map(|sum| stacks.build(b, sum))
    };
    (0..rule.node.args.len()).map(one).collect()
}

/// The shape hint of a node.
pub fn hint(graph: &Graph, id: NodeId) -> Hint {
    let ty = graph.ty(id);
    Hint { dtype: Some(ty.dtype), shape: Some(ty.shape.clone()) }
}
