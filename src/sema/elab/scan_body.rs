//! Takes the nodes of a loop's body out of the graph in which they were elaborated.
//!
//! What depends on a slice or a carried value is the body's. All else (parameters that layers in the body have made, inputs,
//! values computed from them) stays in the graph and enters the body as a constant operand; numbers and cheap movements of
//! constants are repeated inside.

use super::Elab;
use crate::ir::{Graph, InputKind, Node, NodeId, Op};
use crate::sema::value::Value;
use rustc_hash::FxHashMap;
use std::rc::Rc;

/// The graph before the body.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    nodes: usize,
    inputs: usize,
}

impl Mark {
    /// Whether a node is one of the body's that vary.
    pub fn is_varying(self, varying: &[bool], id: NodeId) -> bool {
        id.index().checked_sub(self.nodes).is_some_and(|k| varying[k])
    }
}

/// A body, the nodes in it that stand for the results, and its constant operands in the graph.
pub struct Parts {
    pub body: Graph,
    pub results: Vec<NodeId>,
    pub constants: Vec<NodeId>,
}

/// Movements of constants that are repeated in the body, one after another, at most.
const DEEPEST: usize = 8;

impl Elab<'_> {
    pub fn mark(&self) -> Mark {
        Mark { nodes: self.graph.nodes.len(), inputs: self.graph.inputs.len() }
    }

    /// For each node behind the mark, whether it depends on a stand-in.
    pub fn varying(&self, mark: Mark, stand_ins: &[NodeId]) -> Vec<bool> {
        let mut varying: Vec<bool> = vec![false; self.graph.nodes.len() - mark.nodes];
        for s in stand_ins {
            varying[s.index() - mark.nodes] = true;
        }
        for k in 0..varying.len() {
            let args = &self.graph.nodes[mark.nodes + k].args;
            varying[k] = varying[k] || args.iter().any(|a| mark.is_varying(&varying, *a));
        }
        varying
    }

    /// Cuts the graph at the mark.
    pub fn take_apart(&mut self, mark: Mark, varying: &[bool], stand_ins: &[NodeId], results: &[NodeId]) -> Parts {
        let tail = self.graph.nodes.split_off(mark.nodes);
        let inputs = self.graph.inputs.split_off(mark.inputs);
        let mut outer: Vec<NodeId> = vec![NodeId(0); tail.len()];
        for (k, node) in tail.iter().enumerate().filter(|(k, _)| !varying[*k]) {
            let mut node = node.clone();
            for arg in &mut node.args {
                *arg = moved(mark, &outer, *arg);
            }
            if let Op::Input(index) = &mut node.op {
                self.graph.inputs.push(inputs[*index - mark.inputs].clone());
                *index = self.graph.inputs.len() - 1;
            }
            self.graph.nodes.push(node);
            outer[k] = NodeId(self.graph.nodes.len() as u32 - 1);
        }
        self.move_nodes(mark, &outer);

        let mut body =
            Body { graph: &self.graph, body: Graph::new(), captured: FxHashMap::default(), constants: vec![] };
        let mut inner: Vec<Option<NodeId>> = vec![None; tail.len()];
        for s in stand_ins {
            let node = &tail[s.index() - mark.nodes];
            let Op::Input(index) = node.op else { continue };
            let input = &inputs[index - mark.inputs];
            inner[s.index() - mark.nodes] =
                Some(body.body.add_input(&input.name, input.ty.clone(), InputKind::Arg, node.span));
        }
        let place = |body: &mut Body, inner: &[Option<NodeId>], id: NodeId| match mark.is_varying(varying, id) {
            true => inner[id.index() - mark.nodes].expect("operands come first"),
            false => body.capture(moved(mark, &outer, id), 0),
        };
        for (k, node) in tail.iter().enumerate().filter(|(k, _)| varying[*k]) {
            if inner[k].is_none() {
                let args = node.args.iter().map(|a| place(&mut body, &inner, *a)).collect();
                inner[k] = Some(body.push(Node { args, ..node.clone() }));
            }
        }
        let results = results.iter().map(|id| place(&mut body, &inner, *id)).collect();
        let Body { body, constants, .. } = body;
        Parts { body, results, constants }
    }

    /// Everything that remembers a node behind the mark learns its new place.
    fn move_nodes(&mut self, mark: Mark, outer: &[NodeId]) {
        let to = |id: &mut NodeId| *id = moved(mark, outer, *id);
        self.params.values_mut().for_each(|p| to(&mut p.node));
        for slot in self.states.values_mut() {
            to(&mut slot.input);
            to(&mut slot.current.node);
            to(&mut slot.start.node);
        }
        self.hypers.values_mut().for_each(|(_, node)| to(node));
        self.schedules.values_mut().for_each(to);
        self.named_inputs.values_mut().for_each(to);
        self.rule.inputs.values_mut().for_each(to);
        for frame in &mut self.frames {
            let values = frame.scopes.iter_mut().flat_map(|s| s.values_mut()).chain(&mut frame.step);
            values.for_each(|value| move_value(value, mark, outer));
        }
    }
}

fn moved(mark: Mark, outer: &[NodeId], id: NodeId) -> NodeId {
    id.index().checked_sub(mark.nodes).map_or(id, |k| outer[k])
}

fn move_value(value: &mut Value, mark: Mark, outer: &[NodeId]) {
    match value {
        Value::Tensor(t) => t.node = moved(mark, outer, t.node),
        // Values made before the body are shared, and hold nothing of it.
        Value::List(items) | Value::Tuple(items) if items.iter().any(|v| holds(v, mark)) => {
            Rc::make_mut(items).iter_mut().for_each(|v| move_value(v, mark, outer));
        }
        _ => {}
    }
}

fn holds(value: &Value, mark: Mark) -> bool {
    match value {
        Value::Tensor(t) => t.node.index() >= mark.nodes,
        Value::List(items) | Value::Tuple(items) => items.iter().any(|v| holds(v, mark)),
        _ => false,
    }
}

/// A body that grows.
struct Body<'g> {
    graph: &'g Graph,
    body: Graph,
    /// Nodes of the graph that are in the body already.
    captured: FxHashMap<NodeId, NodeId>,
    constants: Vec<NodeId>,
}

impl Body<'_> {
    fn push(&mut self, node: Node) -> NodeId {
        self.body.nodes.push(node);
        NodeId(self.body.nodes.len() as u32 - 1)
    }

    /// What stands for a node of the graph in the body.
    fn capture(&mut self, id: NodeId, depth: usize) -> NodeId {
        if let Some(known) = self.captured.get(&id) {
            return *known;
        }
        let node = self.graph.node(id);
        let inside = match &node.op {
            Op::Const(_) | Op::Iota { .. } => Some(node.clone()),
            Op::Broadcast { .. } | Op::Reshape | Op::Transpose { .. } if depth < DEEPEST => {
                let args = vec![self.capture(node.args[0], depth + 1)];
                Some(Node { args, ..node.clone() })
            }
            _ => None,
        };
        let place = match inside {
            Some(node) => self.push(node),
            None => {
                self.constants.push(id);
                let name = format!("constant {}", self.constants.len());
                self.body.add_input(name, node.ty.clone(), InputKind::Arg, node.span)
            }
        };
        self.captured.insert(id, place);
        place
    }
}
