//! `all.rows(x)` in a metric: the rows of all batches of a pass, for what no running count can give exactly (ranks, and
//! so the area under a ROC curve).
//!
//! A step's graph gives the batch's rows as an output ([`OutputKind::Rows`]) and leaves out the reports that need all of
//! them. Those are the outputs of a graph of their own ([`GraphSource::pass`](crate::sema::program::GraphSource::pass)),
//! run once at the end of the pass, in 64 bits. Both come from the same text: there, the rows are an input.

use super::apply::Argument;
use super::{Elab, FrameKind, R};
use crate::diag::error;
use crate::ir::{Graph, InputKind, Node, NodeId, Op, OutputKind, Type};
use crate::sema::builtins::Builtin;
use crate::sema::value::{Tensor, Value};
use crate::source::Span;
use crate::syntax::ast::DefKind;

/// What is known about the pass that the step is a part of.
#[derive(Default)]
pub struct Context {
    /// Rows of the batch, and of the whole pass.
    pub batch: usize,
    pub rows: usize,
    pub columns: Vec<Column>,
}

/// One `all.rows(x)`.
pub struct Column {
    /// The batch's rows.
    pub batch: NodeId,
    /// What stands for all rows.
    pub all: NodeId,
    pub span: Span,
}

impl Elab<'_> {
    /// `all.rows(x)`
    pub fn all_rows(&mut self, args: Vec<Argument>, span: Span) -> R<Value> {
        let mut t = self.take(Builtin::AllRows, args, &["x"], span)?;
        let (x, at) = self.required_tensor(&mut t)?;
        // In `optc eval` and in tests there is one batch.
        if self.frames.first().is_some_and(|f| f.kind == FrameKind::Eval) {
            return Ok(Value::Tensor(x));
        }
        if !self.frames.iter().any(|f| f.kind == FrameKind::Def(DefKind::Metric)) {
            return Err(self.fail(
                error("E0212", "'all.rows' belongs in a metric")
                    .at(span, "there is no pass here whose end could be waited for"),
            ));
        }
        self.not_in_scan("'all.rows'", span)?;
        let shape = self.shape_of(x)?;
        if shape.first() != Some(&self.pass.batch) {
            let found = self.type_text(&Value::Tensor(x));
            return Err(self.fail(
                error("E0203", "'all.rows' takes a value for each row of the batch")
                    .at(at, format!("this is {found}"))
                    .note(format!("a batch has {} rows", self.pass.batch)),
            ));
        }
        let dtype = self.graph.dtype(x.node);
        let shape = [&[self.pass.rows], &shape[1..]].concat();
        let name = format!("rows.{:03}", self.pass.columns.len());
        let all = self.graph.add_input(name, Type::new(dtype, shape), InputKind::Arg, span);
        self.pass.columns.push(Column { batch: x.node, all, span });
        Ok(Value::Tensor(Tensor::plain(all)))
    }

    /// Whether a value is made of all rows of a pass.
    pub fn needs_the_pass(&self, node: NodeId) -> bool {
        !self.pass.columns.is_empty() && {
            let live = live(&self.graph, &[node]);
            self.pass.columns.iter().any(|c| live[c.all.index()])
        }
    }

    /// What is minimized or carried cannot wait for the end of the pass.
    pub fn check_pass(&mut self, losses: &[(NodeId, Span)]) -> R<()> {
        let states = self.states.values().map(|s| (s.current.node, s.span));
        let values: Vec<(NodeId, Span)> = losses.iter().copied().chain(states).collect();
        for (node, span) in values {
            if self.needs_the_pass(node) {
                let rows = self.pass.columns[0].span;
                return Err(self.fail(
                    error("E0217", "a value of all rows of the pass is known at its end only")
                        .at(span, "needed in each step")
                        .at(rows, "waits for the end")
                        .help("such a value can be reported, and nothing else"),
                ));
            }
        }
        Ok(())
    }

    /// The graph of the reports that need all rows.
    pub fn pass_graph(&mut self) -> R<Graph> {
        let wanted: Vec<(String, NodeId)> = self
            .reports
            .iter()
            .filter(|(_, node)| self.needs_the_pass(*node))
            .map(|(report, node)| (report.name.clone(), *node))
            .collect();
        let nodes: Vec<NodeId> = wanted.iter().map(|(_, node)| *node).collect();
        let live = live(&self.graph, &nodes);
        for (k, input) in self.graph.inputs.iter().enumerate() {
            let node = self.graph.nodes.iter().position(|n| n.op == Op::Input(k));
            let read = node.is_some_and(|at| live[at]);
            if read && !matches!(input.kind, InputKind::Arg | InputKind::Hyper) {
                let (name, span) = (input.name.clone(), self.pass.columns[0].span);
                return Err(self.fail(
                    error("E0217", format!("a value of all rows of the pass cannot use '{name}' as well"))
                        .at(span, "all rows, at the end of the pass")
                        .note(format!("'{name}' is known in each step"))
                        .help("take all of it through `all.rows(…)`"),
                ));
            }
        }
        let mut graph = without_dead(&self.graph, &live);
        let map = places(&live);
        for (name, node) in wanted {
            graph.add_output(name, map[node.index()], OutputKind::Report);
        }
        Ok(graph)
    }

    /// Takes what only reports of the whole pass need out of a step's graph.
    pub fn without_pass(&self, mut graph: Graph) -> Graph {
        if self.pass.columns.is_empty() {
            return graph;
        }
        let outputs = std::mem::take(&mut graph.outputs);
        let nodes: Vec<NodeId> = outputs.iter().map(|o| o.node).collect();
        let mut live = live(&graph, &nodes);
        // Parameters, batches and states are bound whether they are read or not.
        for (at, node) in graph.nodes.iter().enumerate() {
            if let Op::Input(k) = node.op {
                live[at] |= graph.inputs[k].kind != InputKind::Arg;
            }
        }
        let mut out = without_dead(&graph, &live);
        let map = places(&live);
        for output in outputs {
            let kind = match output.kind {
                // Updates name an input by its index.
                OutputKind::Update(k) => {
                    let name = &graph.inputs[k].name;
                    OutputKind::Update(out.inputs.iter().position(|i| i.name == *name).expect("inputs stay"))
                }
                other => other,
            };
            out.add_output(output.name, map[output.node.index()], kind);
        }
        out
    }
}

/// The nodes that these are made of.
fn live(graph: &Graph, nodes: &[NodeId]) -> Vec<bool> {
    let mut live = vec![false; graph.nodes.len()];
    nodes.iter().for_each(|n| live[n.index()] = true);
    for index in (0..live.len()).rev().filter(|_| !nodes.is_empty()) {
        if live[index] {
            graph.nodes[index].args.iter().for_each(|a| live[a.index()] = true);
        }
    }
    live
}

/// Where each live node lies when the others are gone.
fn places(live: &[bool]) -> Vec<NodeId> {
    let mut next = 0;
    let place = |live: &bool| {
        next += u32::from(*live);
        NodeId(next.saturating_sub(1))
    };
    live.iter().map(place).collect()
}

/// The live nodes and the inputs among them, without outputs.
fn without_dead(graph: &Graph, live: &[bool]) -> Graph {
    let map = places(live);
    let mut out = Graph::new();
    for (node, _) in graph.nodes.iter().zip(live).filter(|(_, live)| **live) {
        match node.op {
            Op::Input(k) => {
                let input = &graph.inputs[k];
                out.add_input(&input.name, input.ty.clone(), input.kind.clone(), node.span);
            }
            _ => {
                let args = node.args.iter().map(|a| map[a.index()]).collect();
                out.nodes.push(Node { args, ..node.clone() });
            }
        }
    }
    out
}
