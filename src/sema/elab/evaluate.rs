//! `eval theta = e`: the parameters that evaluation uses in place of those that are trained.
//!
//! They are computed where they are used, in the graph of an evaluation, from what the last step left: the rule runs
//! once more there, with stored states, without updates, and with a gradient that nothing may depend on. The forward
//! pass is then copied with the new parameters. Before the first step, they are the trained ones.

use super::train::{GroupSpec, Minimized};
use super::{Elab, FrameKind, R, StateOwner};
use crate::diag::error;
use crate::ir::{Compare, DType, Graph, InputKind, Node, NodeId, Op, OutputKind};
use crate::sema::value::Value;
use crate::source::Span;
use crate::syntax::ast::{DefKind, Expr, Ident};
use std::collections::HashSet;

impl Elab<'_> {
    pub fn eval_statement(&mut self, target: &Ident, value: &Expr, span: Span) -> R<Value> {
        let in_rule = self.frame().kind == FrameKind::Def(DefKind::Optimizer);
        let theta = self.frame().theta.clone();
        if !in_rule || theta.as_deref() != Some(target.name.as_str()) {
            let mut d = error("E0212", "'eval' gives an optimizer's parameters for evaluation");
            d = match theta.filter(|_| in_rule) {
                Some(theta) => d.at(target.span, format!("the rule updates '{theta}'")),
                None => d.at(span, "this is no optimizer"),
            };
            return Err(self.fail(d.help("write `eval theta = …` in the rule that updates theta")));
        }
        if !self.choices.is_empty() {
            return Err(self.fail(
                error("E0212", "'eval' cannot stand in a run-time 'if'")
                    .at(span, "whether it holds is not known at compile time")
                    .help("choose the value: `eval theta = if … then … else …`"),
            ));
        }
        let new = self.operand(value)?;
        let new_tensor = self.to_tensor(new.value, None, new.span)?;
        if let Some(Value::Tensor(theta)) = self.local(&target.name).cloned() {
            let node = self.fit_state(new_tensor, theta, &target.name, new.span)?;
            self.rule.evaluated = Some(node);
        }
        self.has_eval = true;
        Ok(Value::Unit)
    }

    /// Puts the parameters for evaluation in the places of the trained ones.
    pub fn evaluation_parameters(&mut self, steps: &mut [Minimized]) -> R<()> {
        let forward = self.graph.nodes.len();
        let (mut from, mut to) = (vec![], vec![]);
        self.evaluating = true;
        for step in steps.iter() {
            for group in &step.groups {
                if let Some(parts) = self.evaluated_group(group)? {
                    from.extend(group.params.iter().map(|p| self.params[p].node));
                    to.extend(&parts);
                    self.evaluation.extend(group.params.iter().cloned().zip(parts));
                }
            }
        }
        self.evaluating = false;
        if from.is_empty() {
            return Ok(());
        }
        let map = self.moved_all(forward, &from, &to);
        let moved = |node: &mut NodeId| {
            if let Some(new) = map.get(node) {
                *node = *new;
            }
        };
        steps.iter_mut().for_each(|step| moved(&mut step.loss));
        self.sample.iter_mut().for_each(|(_, node)| moved(node));
        self.reports.iter_mut().for_each(|(_, node)| moved(node));
        self.pass.columns.iter_mut().for_each(|column| moved(&mut column.batch));
        for slot in self.states.values_mut().filter(|s| s.owner != StateOwner::Optimizer) {
            moved(&mut slot.current.node);
        }
        Ok(())
    }

    /// The group's tensors for evaluation, if its rule has others than those that it trains.
    fn evaluated_group(&mut self, group: &GroupSpec) -> R<Option<Vec<NodeId>>> {
        let saved = (self.graph.clone(), self.states.len(), self.hypers.clone(), self.reports.len());
        let named = self.named_inputs.clone();
        self.group_paths = group.params.clone();
        self.has_eval = false;
        let float = self.float;
        let zero = self.build(group.span).constant(0.0, float);
        let loss = self.unknown(zero);
        let mut grads = vec![];
        for path in &group.params {
            let ty = self.params[path].ty.clone();
            let zeros = self.build(group.span).full(0.0, ty.dtype, &ty.shape);
            grads.push(self.unknown(zeros));
        }
        let new = self.update_group(group, &grads, None, loss);
        self.reports.truncate(saved.3);
        if !self.has_eval {
            (self.graph, self.hypers, self.named_inputs) = (saved.0, saved.2, named);
            self.states.truncate(saved.1);
            return Ok(None);
        }
        let new = new?;
        self.check_known(new, group.span)?;
        let shapes: Vec<Vec<usize>> = group.params.iter().map(|p| self.params[p].ty.shape.clone()).collect();
        let parts = self.taken_apart(new, &shapes, group.span);
        let t = self.step_counter(group.span);
        let mut chosen = vec![];
        for (path, part) in group.params.iter().zip(parts) {
            let trained = self.params[path].node;
            let mut build = self.build(group.span);
            let one = build.constant(1.0, DType::F64);
            let before = build.compare(Compare::Lt, t.node, one);
            let shape = build.graph.shape(trained).clone();
            let before = build.broadcast_to(before, &shape);
            chosen.push(build.select(before, trained, part));
        }
        Ok(Some(chosen))
    }

    /// A graph that computes the parameters for evaluation and nothing else.
    pub fn weights_graph(&mut self, groups: &[GroupSpec]) -> Graph {
        self.graph.outputs.clear();
        for (path, node) in self.evaluation.clone() {
            self.graph.add_output(path, node, OutputKind::Value);
        }
        only_live(&self.with_arenas(groups))
    }

    /// A graph that computes the hyper-parameters that change with the step, if there are some.
    pub fn schedules_graph(&self) -> Option<Graph> {
        if self.schedules.is_empty() {
            return None;
        }
        let mut graph = self.graph.clone();
        graph.outputs.clear();
        for (name, node) in &self.schedules {
            graph.add_output(name, *node, OutputKind::Value);
        }
        let graph = only_live(&graph);
        // A schedule knows nothing but the step and numbers.
        let known = graph.inputs.iter().all(|i| matches!(i.kind, InputKind::Step | InputKind::Hyper));
        (known && !graph.outputs.is_empty()).then_some(graph)
    }

    /// Stands for what only a training step knows: its gradient, its loss.
    pub fn unknown(&mut self, like: NodeId) -> NodeId {
        let span = self.graph.node(like).span;
        let node = self.build(span).push(Op::StopGradient, &[like], Default::default());
        self.rule.unknown.insert(node);
        node
    }

    fn check_known(&mut self, value: NodeId, span: Span) -> R<()> {
        let mut seen = HashSet::new();
        let mut open = vec![value];
        while let Some(id) = open.pop() {
            if self.rule.unknown.contains(&id) {
                let at = self.graph.node(value).span;
                return Err(self.fail(
                    error("E0217", "the parameters for evaluation depend on a step's gradient or loss")
                        .at(span, "in this rule")
                        .at(at, "it is not known at evaluation")
                        .help("keep what they are made of in a `state`"),
                ));
            }
            if seen.insert(id) {
                open.extend(&self.graph.node(id).args);
            }
        }
        Ok(())
    }
}

/// The graph without nodes and inputs that no output needs.
pub(super) fn only_live(graph: &Graph) -> Graph {
    let live = crate::passes::fuse::live(graph);
    let mut new = Graph::new();
    let mut map: Vec<NodeId> = vec![];
    for node in &graph.nodes {
        let id = match node.op {
            _ if !live[map.len()] => NodeId(u32::MAX),
            Op::Input(index) => {
                let input = &graph.inputs[index];
                new.add_input(&input.name, input.ty.clone(), input.kind.clone(), node.span)
            }
            _ => {
                let args = node.args.iter().map(|a| map[a.index()]).collect();
                new.nodes.push(Node { args, ..node.clone() });
                NodeId(new.nodes.len() as u32 - 1)
            }
        };
        map.push(id);
    }
    for output in &graph.outputs {
        new.add_output(&output.name, map[output.node.index()], output.kind.clone());
    }
    new
}
