//! Loops: their bodies are simplified like any graph, what nobody reads is left out of them, and products that need not wait for the
//! loop leave it.
//!
//! * A product of a slice with a constant is made for all steps at once, before the loop (the inputs of a recurrent
//!   layer); one that is only emitted, after it (the gradient of those inputs). J. Appleyard et al., "Optimizing
//!   Performance of Recurrent Neural Networks on GPUs" (2016), sections 3.1 and 3.2.
//! * A weight that the loop multiplies by from its other side is transposed once, before the loop.
//! * Operands that are the same at every step become constants, and those filled with one number become that number.

use super::cse::same_loop;
use super::rewrite::uniform;
use crate::ir::build::Builder;
use crate::ir::op::Hint;
use crate::ir::scan::{self, Scan};
use crate::ir::{Graph, InputKind, Node, NodeId, Op, OutputKind, Type};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Steps from which a weight is turned before the loop.
const TURNS: usize = 4;

pub fn run(graph: &mut Graph) -> bool {
    if !graph.nodes.iter().any(|n| matches!(n.op, Op::Scan(_))) {
        return false;
    }
    let used = used_results(graph);
    let old = std::mem::take(graph);
    let mut new = Graph {
        nodes: Vec::with_capacity(old.nodes.len()),
        inputs: old.inputs,
        outputs: old.outputs,
        ..Graph::default()
    };
    let mut places: Vec<NodeId> = Vec::with_capacity(old.nodes.len());
    let mut loops: FxHashMap<NodeId, (Arc<Scan>, Vec<Place>)> = FxHashMap::default();
    let mut changed = false;
    for (index, node) in old.nodes.into_iter().enumerate() {
        let args: Vec<NodeId> = node.args.iter().map(|a| places[a.index()]).collect();
        let mut b = Builder::new(&mut new, node.span);
        let place = match (&node.op, node.args.first().and_then(|a| loops.get(a))) {
            (Op::Scan(scan), _) => {
                let (made, results, differs) = Shrink::new(scan, &args, used.get(&NodeId(index as u32))).build(&mut b);
                changed |= differs;
                loops.insert(NodeId(index as u32), (scan.clone(), results));
                made
            }
            (Op::Slice { start, limit, .. }, Some((scan, results))) if used.contains_key(&node.args[0]) => {
                let k = holder(scan, start[0], limit[0]).expect("checked for every slice");
                let shift = scan.range(k).start;
                match results[k] {
                    Place::At(scan, start) => {
                        slice(&mut b, scan, start + start_of(&node) - shift, start + limit[0] - shift)
                    }
                    Place::Value(value) => {
                        let flat = b.reshape(value, &[scan.range(k).len()]);
                        b.slice(flat, vec![start[0] - shift], vec![limit[0] - shift], vec![1])
                    }
                    Place::Nowhere => unreachable!("a result that is read is kept"),
                }
            }
            _ => {
                b.graph.nodes.push(Node { args, ..node });
                NodeId(b.graph.nodes.len() as u32 - 1)
            }
        };
        places.push(place);
    }
    for output in &mut new.outputs {
        output.node = places[output.node.index()];
    }
    *graph = new;
    changed
}

fn start_of(node: &Node) -> usize {
    match &node.op {
        Op::Slice { start, .. } => start[0],
        _ => 0,
    }
}

fn slice(b: &mut Builder, scan: NodeId, start: usize, limit: usize) -> NodeId {
    b.slice(scan, vec![start], vec![limit], vec![1])
}

/// The result that holds these elements.
fn holder(scan: &Scan, start: usize, limit: usize) -> Option<usize> {
    scan.ranges().position(|range| range.start <= start && limit <= range.end && start < limit)
}

/// Which results of each loop are read. Loops that are not read result by result are left out: all of them stay where they are.
fn used_results(graph: &Graph) -> FxHashMap<NodeId, Vec<bool>> {
    let mut used: FxHashMap<NodeId, Vec<bool>> = FxHashMap::default();
    for id in graph.ids() {
        if let Op::Scan(scan) = &graph.node(id).op {
            used.insert(id, vec![false; scan.body.outputs.len()]);
        }
    }
    for node in &graph.nodes {
        for arg in &node.args {
            let (Op::Scan(scan), Some(results)) = (&graph.node(*arg).op, used.get_mut(arg)) else { continue };
            let held = match &node.op {
                Op::Slice { start, limit, stride } if stride[0] == 1 => holder(scan, start[0], limit[0]),
                _ => None,
            };
            match held {
                Some(k) => results[k] = true,
                None => {
                    used.remove(arg);
                }
            }
        }
    }
    for output in &graph.outputs {
        used.remove(&output.node);
    }
    // A loop that nobody reads any more is left to dce.
    used.retain(|_, results| results.contains(&true));
    used
}

/// Where a result went.
#[derive(Clone, Copy)]
enum Place {
    /// Elements of the new loop's value from here on.
    At(NodeId, usize),
    /// A value of the graph.
    Value(NodeId),
    Nowhere,
}

/// A loop on its way to a smaller one.
struct Shrink<'a> {
    old: &'a Scan,
    args: &'a [NodeId],
    used: Option<&'a Vec<bool>>,
    body: Graph,
    /// New operands and their inputs in the new body.
    carries: Vec<NodeId>,
    slices: Vec<NodeId>,
    constants: Vec<NodeId>,
}

/// An input of the new body: which list, and where in it. The indices of inputs follow when all are known.
enum Source {
    Carry,
    Slice(NodeId),
    Constant(NodeId),
    /// Filled with a number.
    Number(f64),
}

impl<'a> Shrink<'a> {
    fn new(old: &'a Scan, args: &'a [NodeId], used: Option<&'a Vec<bool>>) -> Shrink<'a> {
        let mut body = old.body.clone();
        super::rounds(&mut body);
        Shrink { old, args, used, body, carries: vec![], slices: vec![], constants: vec![] }
    }

    /// Outputs that are needed, and the nodes behind them.
    fn live(&self) -> (Vec<bool>, Vec<bool>) {
        let all = vec![true; self.body.outputs.len()];
        let mut outputs = self.used.cloned().unwrap_or(all);
        loop {
            let mut nodes = vec![false; self.body.nodes.len()];
            for (output, _) in self.body.outputs.iter().zip(&outputs).filter(|(_, live)| **live) {
                nodes[output.node.index()] = true;
            }
            for id in self.body.ids().rev() {
                if nodes[id.index()] {
                    self.body.node(id).args.iter().for_each(|a| nodes[a.index()] = true);
                }
            }
            let more = self.body.ids().find_map(|id| match self.body.node(id).op {
                Op::Input(k) if k < self.old.carries && nodes[id.index()] && !outputs[k] => Some(k),
                _ => None,
            });
            match more {
                Some(k) => outputs[k] = true,
                None => return (outputs, nodes),
            }
        }
    }

    /// The new loop (or the old one), where its results are, and whether anything is different.
    fn build(mut self, b: &mut Builder) -> (NodeId, Vec<Place>, bool) {
        let (outputs, nodes) = self.live();
        let old = self.old;
        let mut inner: Vec<Option<NodeId>> = vec![None; self.body.nodes.len()];
        let mut made = Graph::new();
        // Inputs first, in the order of the lists; products that leave the loop are inputs, too.
        let mut sources: Vec<(NodeId, Source, Type)> = vec![];
        let mut turned: Vec<(NodeId, NodeId)> = vec![];
        for id in self.body.ids().filter(|id| nodes[id.index()]) {
            let node = self.body.node(id);
            let source = match &node.op {
                Op::Input(k) if *k < old.carries => Source::Carry,
                Op::Input(k) => self.operand(b, *k, &node.ty),
                Op::Dot { .. } => match self.hoisted(b, node) {
                    Some(stack) => Source::Slice(stack),
                    None => {
                        turned.extend(self.turned(b, node).map(|operand| (id, operand)));
                        continue;
                    }
                },
                _ => continue,
            };
            sources.push((id, source, node.ty.clone()));
        }
        for k in (0..old.carries).filter(|k| outputs[*k]) {
            let input = &old.body.inputs[k];
            let of = self.body.ids().find(|id| matches!(self.body.node(*id).op, Op::Input(i) if i == k));
            let span = of.map_or(b.span, |id| self.body.node(id).span);
            let id = made.add_input(&input.name, input.ty.clone(), InputKind::Arg, span);
            self.carries.push(self.args[k]);
            if let Some(of) = of {
                inner[of.index()] = Some(id);
            }
        }
        for (id, source, ty) in &sources {
            if let Source::Slice(arg) = source {
                inner[id.index()] = Some(enter(&mut made, &mut self.slices, *arg, ty, self.body.node(*id), &old.body));
            }
        }
        for (id, source, ty) in &sources {
            let node = self.body.node(*id);
            inner[id.index()] = match source {
                Source::Constant(arg) => Some(enter(&mut made, &mut self.constants, *arg, ty, node, &old.body)),
                Source::Number(v) => Some(Builder::new(&mut made, node.span).full(*v, ty.dtype, &ty.shape)),
                _ => continue,
            };
        }
        let mut of_turned: FxHashMap<NodeId, NodeId> = FxHashMap::default();
        for (id, operand) in turned {
            let (ty, node) = (b.graph.ty(operand).clone(), self.body.node(id));
            of_turned.insert(id, enter(&mut made, &mut self.constants, operand, &ty, node, &old.body));
        }
        for id in self.body.ids().filter(|id| nodes[id.index()]) {
            if let Some(operand) = of_turned.get(&id) {
                let node = self.body.node(id);
                let (lhs, mut op) = (inner[node.args[0].index()].expect("operands come first"), node.op.clone());
                if let Op::Dot { rhs_contract, .. } = &mut op {
                    *rhs_contract = vec![0];
                }
                inner[id.index()] = Some(made.push(op, &[lhs, *operand], Hint::default(), node.span));
            }
            if inner[id.index()].is_none() {
                let node = self.body.node(id);
                let args = node.args.iter().map(|a| inner[a.index()].expect("operands come first")).collect();
                made.nodes.push(Node { args, ..node.clone() });
                inner[id.index()] = Some(NodeId(made.nodes.len() as u32 - 1));
            }
        }
        self.finish(b, made, &inner, &outputs)
    }

    /// What an operand becomes.
    fn operand(&self, b: &mut Builder, k: usize, ty: &Type) -> Source {
        let arg = self.args[k];
        if let Some(value) = uniform(b.graph, arg) {
            return Source::Number(value);
        }
        if k >= self.old.carries + self.old.slices {
            return Source::Constant(arg);
        }
        let node = b.graph.node(arg);
        match &node.op {
            // The same at every step.
            Op::Broadcast { axes } if !axes.contains(&0) => {
                let (from, axes) = (node.args[0], axes.iter().map(|a| a - 1).collect());
                Source::Constant(b.broadcast(from, &ty.shape, axes))
            }
            _ => Source::Slice(arg),
        }
    }

    /// The transposed weight of `v @ transpose(w)`: turned once and not, inside the product, at every step.
    fn turned(&self, b: &mut Builder, node: &Node) -> Option<NodeId> {
        let Op::Dot { lhs_batch, rhs_contract, .. } = &node.op else { return None };
        let constants = self.old.carries + self.old.slices;
        let Op::Input(k) = self.body.node(node.args[1]).op else { return None };
        let matrix = self.body.shape(node.args[1]).len() == 2 && rhs_contract[..] == [1] && lhs_batch.is_empty();
        let pays = matrix && k >= constants && self.old.steps >= TURNS;
        pays.then(|| b.transpose(self.args[k], vec![1, 0]))
    }

    /// `x_t @ w` for all steps at once.
    fn hoisted(&self, b: &mut Builder, node: &Node) -> Option<NodeId> {
        let Op::Dot { lhs_batch, lhs_contract, rhs_contract, .. } = &node.op else { return None };
        let constants = self.old.carries + self.old.slices;
        let input = |id: NodeId| match self.body.node(id).op {
            Op::Input(k) => Some(k),
            _ => None,
        };
        let (x, y) = (input(node.args[0])?, input(node.args[1])?);
        let sliced = |k: usize| (self.old.carries..constants).contains(&k);
        let later = |axes: &[usize]| axes.iter().map(|a| a + 1).collect::<Vec<_>>();
        if !lhs_batch.is_empty() {
            return None;
        }
        let side = match (sliced(x) && y >= constants, sliced(y) && x >= constants) {
            (true, _) => 0,
            (_, true) => 1,
            _ => return None,
        };
        let op = Op::Dot {
            lhs_batch: vec![],
            rhs_batch: vec![],
            lhs_contract: if side == 0 { later(lhs_contract) } else { lhs_contract.clone() },
            rhs_contract: if side == 1 { later(rhs_contract) } else { rhs_contract.clone() },
        };
        let whole = b.push(op, &[self.args[x], self.args[y]], Hint::default());
        // The time axis is the first free one of its side.
        let before = if side == 0 { 0 } else { self.body.shape(node.args[0]).len() - lhs_contract.len() };
        let rank = b.graph.shape(whole).len();
        Some(b.transpose(whole, [before].into_iter().chain(0..before).chain(before + 1..rank).collect()))
    }

    /// Adds outputs, the loop, and products that come after it.
    fn finish(
        self,
        b: &mut Builder,
        mut made: Graph,
        inner: &[Option<NodeId>],
        outputs: &[bool],
    ) -> (NodeId, Vec<Place>, bool) {
        let old = self.old;
        let place = |k: usize| inner[self.body.outputs[k].node.index()].expect("a live output");
        let mut count = 0;
        for k in (0..old.carries).filter(|k| outputs[*k]) {
            made.add_output(&self.body.outputs[k].name, place(k), OutputKind::Update(count));
            count += 1;
        }
        // A value is emitted once.
        let mut emitted: Vec<NodeId> = vec![];
        let mergeable = self.used.is_some();
        let known = |emitted: &[NodeId], node| emitted.iter().position(|e| *e == node).filter(|_| mergeable);
        let mut emit = |made: &mut Graph, node: NodeId, name: &str| match known(&emitted, node) {
            Some(at) => count + at,
            None => {
                emitted.push(node);
                made.add_output(name, node, OutputKind::Value);
                count + emitted.len() - 1
            }
        };
        let uses = made.use_counts();
        let mut results: Vec<(usize, usize, Option<NodeId>)> = vec![];
        for k in (old.carries..outputs.len()).filter(|k| outputs[*k]) {
            let (node, name) = (place(k), &self.body.outputs[k].name);
            let sunk =
                (self.used.is_some() && uses[node.index()] == 0).then(|| sinks(&made, node, old, &self)).flatten();
            let at = emit(&mut made, sunk.unwrap_or(node), name);
            results.push((k, at, sunk.map(|_| node)));
        }
        let (carries, slices) = (self.carries.len(), self.slices.len());
        let args = [self.carries, self.slices, self.constants.clone()].concat();
        let new = Scan { body: made, steps: old.steps, reverse: old.reverse, carries, slices };
        let differs = !same_loop(&new, old) || args != self.args;
        let id = scan::push(b, new.clone(), &args);
        let mut places = vec![Place::Nowhere; outputs.len()];
        for (at, k) in (0..old.carries).filter(|k| outputs[*k]).enumerate() {
            places[k] = Place::At(id, new.range(at).start);
        }
        for (k, at, product) in results {
            places[k] = match product {
                None => Place::At(id, new.range(at).start),
                Some(node) => {
                    let stack = scan::result(b, id, at);
                    let node = new.body.node(node);
                    let Op::Input(c) = new.body.node(node.args[1]).op else { unreachable!("checked by sinks") };
                    let Op::Dot { lhs_contract, rhs_contract, .. } = &node.op else { unreachable!("checked by sinks") };
                    let op = Op::Dot {
                        lhs_batch: vec![],
                        rhs_batch: vec![],
                        lhs_contract: lhs_contract.iter().map(|a| a + 1).collect(),
                        rhs_contract: rhs_contract.clone(),
                    };
                    Place::Value(b.push(op, &[stack, args[c]], Hint::default()))
                }
            };
        }
        (id, places, differs)
    }
}

/// The left operand of a product with a constant, which can be emitted in the product's place.
fn sinks(made: &Graph, node: NodeId, old: &Scan, shrink: &Shrink) -> Option<NodeId> {
    let node = made.node(node);
    let Op::Dot { lhs_batch, .. } = &node.op else { return None };
    let constant =
        matches!(made.node(node.args[1]).op, Op::Input(c) if c >= shrink.carries.len() + shrink.slices.len());
    let same = Some(made.dtype(node.args[0])) == old.dtype();
    (lhs_batch.is_empty() && constant && same).then_some(node.args[0])
}

/// The input of the new body for an operand; one for each.
fn enter(made: &mut Graph, list: &mut Vec<NodeId>, arg: NodeId, ty: &Type, node: &Node, old: &Graph) -> NodeId {
    let before = made.inputs.len() - list.len();
    if let Some(at) = list.iter().position(|a| *a == arg) {
        let known = made.ids().find(|id| matches!(made.node(*id).op, Op::Input(k) if k == before + at));
        return known.expect("every input has a node");
    }
    list.push(arg);
    let name = match node.op {
        Op::Input(k) => old.inputs[k].name.clone(),
        _ => "product".into(),
    };
    made.add_input(name, ty.clone(), InputKind::Arg, node.span)
}
