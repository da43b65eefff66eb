//! A train item to a [`Program`]: settings, data, the step's graph, arenas and starting values.

use super::settings::known_objective;
use super::{Elab, R, StateInit, StateOwner};
use crate::data::spec::{Pipeline, Schema};
use crate::diag::{Diagnostic, error, suggest};
use crate::ir::build::Builder;
use crate::ir::origin::Part;
use crate::ir::{DType, Graph, InputKind, NodeId, Op, OutputKind, Type};
use crate::sema::modules::Modules;
use crate::sema::program::{BufferInfo, GraphSource, Hyper, Program, Report, Role, Settings, View};
use crate::sema::record::Shared;
use crate::sema::value::{Layout, Value};
use crate::source::{SourceMap, Span};
use crate::syntax::ast::{Expr, Train};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// One `minimize` of the step.
pub struct Minimized {
    pub loss: NodeId,
    pub loss_span: Span,
    /// Without `over`: it trains all parameters that exist by then.
    pub everything: bool,
    pub groups: Vec<GroupSpec>,
}

/// Parameters that one rule trains.
#[derive(Clone)]
pub struct GroupSpec {
    /// Of the rule: prefix of its states and hyper-parameters.
    pub name: String,
    pub params: Vec<String>,
    pub rule: Value,
    pub span: Span,
}

impl GroupSpec {
    /// Name of the arena that holds the parameters.
    pub fn buffer(&self) -> String {
        format!("params.{}", self.name)
    }
}

/// The arena of parameters that nothing trains.
const FROZEN: &str = "params.frozen";

/// What a caller chooses for a run.
pub struct BuildOptions<'a> {
    pub float: DType,
    /// The data's columns and sizes (reads files' headers).
    pub schema: &'a dyn Fn(&Pipeline) -> Result<Schema, Vec<Diagnostic>>,
    /// `--set name=value`, and the axes of a comparison.
    pub overrides: Vec<(String, Expr)>,
}

/// Makes the program of a train item. All errors of the item come at once.
pub fn program(
    modules: &Arc<Modules>,
    sources: &Arc<SourceMap>,
    train: &Train,
    options: &BuildOptions,
) -> Result<(Program, Pipeline), Vec<Diagnostic>> {
    program_recorded(modules, sources, train, options, None)
}

/// The same, and the types of all expressions that were met.
pub fn program_recorded(
    modules: &Arc<Modules>,
    sources: &Arc<SourceMap>,
    train: &Train,
    options: &BuildOptions,
    record: Option<Shared>,
) -> Result<(Program, Pipeline), Vec<Diagnostic>> {
    let mut elab = Elab::new(modules, sources, options.float);
    elab.record = record;
    elab.training = true;
    let mut lookup = |pipeline: &Pipeline| (options.schema)(pipeline);
    let frame = elab.train_frame(format!("train {}", train.name.name));
    elab.frames.push(frame);
    let Ok(head) = elab.train_head(train, &options.overrides, &mut lookup) else { return Err(elab.diags) };
    let mut source = TrainSource {
        modules: modules.clone(),
        sources: sources.clone(),
        train: train.clone(),
        overrides: options.overrides.clone(),
        float: options.float,
        schema: head.schema.clone(),
        has_eval: false,
    };
    let rows = head.settings.batch.unwrap_or(head.schema.train_rows);
    let built = elab.train_body(train, &head.schema, rows, true);
    let Ok(step) = built else { return Err(elab.diags) };
    let schedules = elab.schedules_graph();
    let init = elab.init_graph(&step.buffers);
    let Ok(init) = init else { return Err(elab.diags) };
    if elab.has_eval {
        // What is wrong with the parameters for evaluation is known before anything runs.
        source.has_eval = true;
        source.build(rows, false)?;
    }
    if !elab.pass.columns.is_empty() {
        source.pass(rows)?;
    }
    let mut sample = None;
    if train.sample.is_some() {
        // What is wrong with it is known before anything runs.
        sample = source.elaborate(1, false, |elab, _| elab.sample.take())?.map(|(sample, _)| sample);
    }
    if elab.diags.iter().any(Diagnostic::is_error) {
        return Err(elab.diags);
    }
    let mut reports = vec![Report { name: "loss".into(), carried: false, train_only: false }];
    reports.extend(elab.reports.iter().map(|(r, _)| r.clone()));
    if let Err(unknown) = known_objective(&head.settings.control.objective, &reports, train) {
        return Err(vec![unknown]);
    }
    let columns = train.step.as_ref().map(|s| s.inputs.iter().map(|i| i.name.clone()).collect()).unwrap_or_default();
    let program = Program {
        name: train.name.name.clone(),
        settings: head.settings,
        schema: head.schema,
        columns,
        buffers: step.buffers,
        hypers: elab.hypers.iter().map(|(name, (value, _))| Hyper { name: name.clone(), value: *value }).collect(),
        schedules,
        reports,
        loads: elab.loads,
        layers: elab.layers,
        sample,
        init,
        graphs: Box::new(source),
        warnings: elab.diags,
    };
    Ok((program, head.pipeline))
}

/// What is known before the step is elaborated.
struct Head {
    settings: Settings,
    schema: Schema,
    pipeline: Pipeline,
}

struct Built {
    graph: Graph,
    groups: Vec<GroupSpec>,
    buffers: Vec<BufferInfo>,
}

/// Elaborates a train item anew for each batch size.
#[derive(Clone)]
pub struct TrainSource {
    modules: Arc<Modules>,
    sources: Arc<SourceMap>,
    train: Train,
    overrides: Vec<(String, Expr)>,
    float: DType,
    schema: Schema,
    /// Some rule has parameters of its own for evaluation.
    has_eval: bool,
}

impl TrainSource {
    fn build(&self, rows: usize, training: bool) -> Result<Graph, Vec<Diagnostic>> {
        self.elaborate(rows, training, |_, built| built.graph)
    }

    fn elaborate<T>(
        &self,
        rows: usize,
        training: bool,
        take: impl FnOnce(&mut Elab, Built) -> T,
    ) -> Result<T, Vec<Diagnostic>> {
        let mut elab = Elab::new(&self.modules, &self.sources, self.float);
        elab.training = training;
        elab.has_eval = self.has_eval;
        let frame = elab.train_frame(format!("train {}", self.train.name.name));
        elab.frames.push(frame);
        let mut known = |_: &Pipeline| Ok(self.schema.clone());
        let head = elab.train_head(&self.train, &self.overrides, &mut known);
        let built = head.and_then(|_| elab.train_body(&self.train, &self.schema, rows, training));
        match built {
            Ok(built) => Ok(take(&mut elab, built)),
            Err(_) => Err(elab.diags),
        }
    }
}

impl GraphSource for TrainSource {
    fn step(&self, rows: usize) -> Result<Graph, Vec<Diagnostic>> {
        self.build(rows, true)
    }

    fn eval(&self, rows: usize) -> Result<Graph, Vec<Diagnostic>> {
        self.build(rows, false)
    }

    fn predictions(&self, rows: usize) -> Result<Option<Graph>, Vec<Diagnostic>> {
        self.elaborate(rows, false, |elab, built| {
            let (prediction, target) = elab.compared?;
            elab.graph.outputs.clear();
            elab.graph.add_output("prediction", prediction, OutputKind::Value);
            elab.graph.add_output("target", target, OutputKind::Value);
            Some(elab.with_arenas(&built.groups))
        })
    }

    fn pass(&self, rows: usize) -> Result<Option<Graph>, Vec<Diagnostic>> {
        let mut elab = Elab::new(&self.modules, &self.sources, DType::F64);
        elab.pass.rows = rows;
        let frame = elab.train_frame(format!("train {}", self.train.name.name));
        elab.frames.push(frame);
        let mut known = |_: &Pipeline| Ok(self.schema.clone());
        let head = elab.train_head(&self.train, &self.overrides, &mut known);
        // The batch of the step matters as little as its float: what is reported depends on neither.
        let graph = head
            .and_then(|_| elab.step_body(&self.train, &self.schema, 1))
            .and_then(|()| if elab.pass.columns.is_empty() { Ok(None) } else { elab.pass_graph().map(Some) });
        graph.map_err(|_| elab.diags)
    }

    fn sample(&self) -> Result<Option<Graph>, Vec<Diagnostic>> {
        if self.train.sample.is_none() {
            return Ok(None);
        }
        self.elaborate(1, false, |elab, built| elab.sample_graph(&built.groups))
    }

    fn weights(&self) -> Result<Option<Graph>, Vec<Diagnostic>> {
        if !self.has_eval {
            return Ok(None);
        }
        self.elaborate(1, false, |elab, built| Some(elab.weights_graph(&built.groups)))
    }
}

impl Elab<'_> {
    /// Hyper-parameters, data, settings and the `let`s before the step.
    fn train_head(
        &mut self,
        train: &Train,
        overrides: &[(String, Expr)],
        schema: &mut dyn FnMut(&Pipeline) -> Result<Schema, Vec<Diagnostic>>,
    ) -> R<Head> {
        self.train_hypers(train, overrides);
        let pipeline = self.train_data(train)?;
        let schema = match schema(&pipeline) {
            Ok(schema) => schema,
            Err(diags) => {
                self.diags.extend(diags);
                return Err(super::Failed::Reported);
            }
        };
        if self.local(&pipeline.name).is_none() {
            self.define(&pipeline.name, Value::Data(Rc::new(schema.clone())));
        }
        self.note_columns(train, &schema);
        let settings = self.settings(train, &schema)?;
        for stmt in &train.lets {
            // A failed `let` poisons its name; the step is still checked.
            let _ = self.statements(std::slice::from_ref(stmt));
        }
        Ok(Head { settings, schema, pipeline })
    }

    /// Defines the hyper-parameters of a train item: as set, else by their defaults.
    pub fn train_hypers(&mut self, train: &Train, overrides: &[(String, Expr)]) {
        for (name, value) in overrides {
            if !train.hypers.iter().any(|h| h.name.name == *name) {
                let known: Vec<&str> = train.hypers.iter().map(|h| h.name.name.as_str()).collect();
                let mut d = error("E0305", format!("train '{}' has no hyper-parameter '{name}'", train.name.name))
                    .at(value.span, "set here")
                    .at(train.name.span, "defined here")
                    .maybe_help(suggest(name, known.iter().copied()));
                if !known.is_empty() {
                    d = d.note(format!("hyper-parameters: {}", known.join(", ")));
                }
                self.fail(d);
            }
        }
        for param in &train.hypers {
            let given = overrides.iter().rev().find(|(name, _)| *name == param.name.name).map(|(_, e)| e);
            let value = match given.or(param.default.as_ref()) {
                Some(e) => self.expr(e).and_then(|v| self.check_hyper(param, v, e.span)),
                None => Err(self.fail(
                    error("E0202", format!("the hyper-parameter '{}' has no value", param.name.name))
                        .at(param.name.span, "no default")
                        .help(format!("give one here, or run with `--set {}=…`", param.name.name)),
                )),
            };
            self.define(&param.name.name, value.unwrap_or(Value::Poison));
        }
    }

    fn note_columns(&self, train: &Train, schema: &Schema) {
        let Some(record) = &self.record else { return };
        let columns = schema.columns.iter().map(|c| {
            let ty = Type::new(if c.is_float { self.float } else { DType::I32 }, c.shape.clone());
            (c.name.clone(), self.ir_type_text(&ty))
        });
        record.borrow_mut().add_columns(train.name.span, columns.collect());
    }

    /// The step's graph for a number of rows, with arenas in place of single parameters.
    fn train_body(&mut self, train: &Train, schema: &Schema, rows: usize, training: bool) -> R<Built> {
        // Without a test part no such pass is made; its graph is checked all the same, and means nothing of no rows.
        let pass = if training { schema.train_rows } else { schema.test_rows };
        self.pass.rows = if pass == 0 { rows } else { pass };
        self.step_body(train, schema, rows)?;
        self.check_indices(train, schema)?;
        if let (Some(sample), false, 1) = (&train.sample, training, rows) {
            self.sample = Some(self.sample(sample, schema, &train.data)?);
        }
        self.finish_step(training)
    }

    /// The step's statements for a number of rows.
    fn step_body(&mut self, train: &Train, schema: &Schema, rows: usize) -> R<()> {
        self.pass.batch = rows;
        let Some(step) = &train.step else {
            return Err(self.fail(
                error("E0301", format!("train '{}' has no step", train.name.name))
                    .at(train.name.span, "nothing to do")
                    .help("add `step(columns) { …; minimize … with … }`"),
            ));
        };
        self.columns = schema.columns.iter().map(|c| c.name.clone()).collect();
        self.step_inputs = step.inputs.clone();
        let mut failed = false;
        for input in &step.inputs {
            let Some(column) = schema.columns.iter().find(|c| c.name == input.name) else {
                let known: Vec<&str> = schema.columns.iter().map(|c| c.name.as_str()).collect();
                self.fail(
                    error("E0302", format!("the data has no column '{}'", input.name))
                        .at(input.span, "not a column")
                        .at(train.data.span, format!("columns: {}", known.join(", ")))
                        .did_you_mean(input.span, &input.name, known.iter().copied()),
                );
                self.define(&input.name, Value::Poison);
                failed = true;
                continue;
            };
            let mut shape = vec![rows];
            shape.extend(&column.shape);
            let ty = Type::new(if column.is_float { self.float } else { DType::I32 }, shape);
            let node = self.graph.add_input(&column.name, ty, InputKind::Batch, input.span);
            self.define(&input.name, Value::Tensor(super::Tensor::plain(node)));
        }
        let body = self.statements(&step.body.stmts);
        if self.steps.is_empty() && body.is_ok() {
            return Err(self.fail(
                error("E0306", "the step trains nothing")
                    .at(step.span, "no `minimize`")
                    .help("add `minimize loss with optimizer`"),
            ));
        }
        body?;
        if failed { Err(super::Failed::Reported) } else { Ok(()) }
    }

    /// Gradients, updates and outputs; then arenas.
    fn finish_step(&mut self, training: bool) -> R<Built> {
        let mut steps = std::mem::take(&mut self.steps);
        if !training && self.has_eval {
            self.evaluation_parameters(&mut steps)?;
        }
        let losses: Vec<_> = steps.iter().map(|s| (s.loss, s.loss_span)).collect();
        self.check_pass(&losses)?;
        let groups: Vec<GroupSpec> = steps.iter().flat_map(|s| s.groups.clone()).collect();
        let mut arenas = vec![];
        if training {
            let untrained = self.untrained(&steps);
            for step in &steps {
                arenas.extend(self.train_step(step)?);
            }
            self.warn_untrained(untrained);
        }
        for (k, step) in steps.iter().enumerate() {
            let (name, kind) = match k {
                0 => ("loss".to_string(), OutputKind::Value),
                k => (format!("loss_{}", k + 1), OutputKind::Report),
            };
            self.graph.add_output(name, step.loss, kind);
        }
        for (report, node) in self.reports.clone() {
            if (training || !report.train_only) && !self.needs_the_pass(node) {
                self.graph.add_output(report.name, node, OutputKind::Report);
            }
        }
        for k in 0..self.pass.columns.len() {
            let (batch, name) = (self.pass.columns[k].batch, format!("rows.{k:03}"));
            self.graph.add_output(name, batch, OutputKind::Rows);
        }
        self.state_outputs(training);
        for (spec, new) in arenas {
            // The arena may not be an input yet (rules that work tensor by tensor): the outputs are fixed up below.
            self.graph.add_output(spec.buffer(), new, OutputKind::Update(usize::MAX));
        }
        let buffers = self.buffers(&groups);
        let graph = self.without_pass(self.with_arenas(&groups));
        Ok(Built { graph, groups, buffers })
    }

    /// New values of the states.
    pub fn state_outputs(&mut self, training: bool) {
        for slot in self.states.values() {
            let carried = training || slot.owner == StateOwner::Metric;
            if carried && slot.current.node != slot.input {
                let Op::Input(index) = self.graph.node(slot.input).op else { unreachable!("a state is an input") };
                let name = self.graph.inputs[index].name.clone();
                self.graph.add_output(name, slot.current.node, OutputKind::Update(index));
            }
        }
    }

    /// A group that no gradient reaches would stand still (or only decay) for the whole run.
    fn check_gradient(&mut self, step: &Minimized, group: &GroupSpec) -> R<()> {
        let nodes: Vec<NodeId> = group.params.iter().map(|p| self.params[p].node).collect();
        if crate::ad::depends(&self.graph, step.loss, &nodes) {
            return Ok(());
        }
        let named = group.params.iter().take(4).map(|p| format!("'{p}'")).collect::<Vec<_>>().join(", ");
        let more = if group.params.len() > 4 { ", …" } else { "" };
        Err(self.fail(
            error("E0215", "no gradient reaches the parameters")
                .at(step.loss_span, "what is minimized does not depend on them in a differentiable way")
                .at(group.span, format!("this rule trains {named}{more}"))
                .note("comparisons, argmax, rounding, ints and stop_gradient let no gradient through"),
        ))
    }

    fn train_step(&mut self, step: &Minimized) -> R<Vec<(GroupSpec, NodeId)>> {
        for group in &step.groups {
            self.check_gradient(step, group)?;
        }
        let wrt: Vec<NodeId> = step.groups.iter().flat_map(|g| g.params.iter().map(|p| self.params[p].node)).collect();
        let grads = match crate::ad::gradients(&mut self.graph, step.loss, None, &wrt) {
            Ok(grads) => grads,
            Err(diagnostic) => return Err(self.fail(diagnostic)),
        };
        let mut grads = grads.into_iter();
        let mut out = vec![];
        let outside = self.graph.origin.clone();
        self.graph.origin = outside.part_of(Part::Update);
        for spec in &step.groups {
            let own: Vec<NodeId> = grads.by_ref().take(spec.params.len()).collect();
            self.group_paths = spec.params.clone();
            out.push((spec.clone(), self.update_group(spec, &own, None, step.loss)?));
        }
        self.graph.origin = outside;
        Ok(out)
    }

    /// Arenas: each group's, then what is frozen.
    fn arena_layout(&self, groups: &[GroupSpec]) -> Vec<(String, Vec<String>)> {
        let mut arenas: Vec<(String, Vec<String>)> = groups.iter().map(|g| (g.buffer(), g.params.clone())).collect();
        let frozen: Vec<String> =
            self.params.keys().filter(|p| !groups.iter().any(|g| g.params.contains(p))).cloned().collect();
        if !frozen.is_empty() {
            arenas.push((FROZEN.into(), frozen));
        }
        arenas
    }

    /// The buffers of the program: arenas of parameters, and every state.
    pub fn buffers(&self, groups: &[GroupSpec]) -> Vec<BufferInfo> {
        let mut out = vec![];
        for (name, paths) in self.arena_layout(groups) {
            let views = self.views(&paths, "");
            let total = views.iter().map(|v| v.shape.iter().product::<usize>()).sum();
            let role = if name == FROZEN { Role::Frozen } else { Role::Param };
            out.push(BufferInfo { name, ty: Type::new(self.float, vec![total]), role, views });
        }
        for (path, slot) in &self.states {
            let ty = self.graph.ty(slot.input).clone();
            let role = match slot.owner {
                StateOwner::Model => Role::ModelState,
                StateOwner::Optimizer => Role::OptimizerState,
                StateOwner::Metric => Role::MetricState,
            };
            let owner = groups.iter().find(|g| path.starts_with(&format!("{}.", g.name)));
            let views = match (slot.current.layout, owner) {
                (Layout::Flat, Some(group)) => self.views(&group.params, &format!("{path}/")),
                _ => vec![View { path: path.clone(), offset: 0, shape: ty.shape.clone(), span: slot.span }],
            };
            out.push(BufferInfo { name: path.clone(), ty, role, views });
        }
        out
    }

    fn views(&self, paths: &[String], prefix: &str) -> Vec<View> {
        let mut offset = 0;
        let mut views = vec![];
        for path in paths {
            let slot = &self.params[path];
            let view = View { path: format!("{prefix}{path}"), offset, shape: slot.ty.shape.clone(), span: slot.span };
            offset += slot.ty.elements();
            views.push(view);
        }
        views
    }

    /// Rewrites the graph: each parameter becomes a view of its group's arena, and arenas become the inputs.
    pub fn with_arenas(&self, groups: &[GroupSpec]) -> Graph {
        let old = &self.graph;
        let mut new = Graph::new();
        let mut input_map: HashMap<String, NodeId> = HashMap::new();
        for (name, paths) in self.arena_layout(groups) {
            let span = self.params[&paths[0]].span;
            let total = paths.iter().map(|p| self.params[p].ty.elements()).sum();
            let arena = new.add_input(&name, Type::new(self.float, vec![total]), InputKind::Param, span);
            input_map.insert(name, arena);
            let mut offset = 0;
            for path in paths {
                let slot = &self.params[&path];
                let mut build = Builder::new(&mut new, slot.span);
                let flat = build.slice_axis(arena, 0, offset, offset + slot.ty.elements());
                let view = build.reshape(flat, &slot.ty.shape);
                offset += slot.ty.elements();
                input_map.insert(path, view);
            }
        }
        let mut map: Vec<NodeId> = vec![];
        for node in &old.nodes {
            let id = match node.op {
                Op::Input(index) => {
                    let input = &old.inputs[index];
                    match (input_map.get(&input.name), &input.kind) {
                        (Some(known), InputKind::Param) => *known,
                        _ => new.add_input(&input.name, input.ty.clone(), input.kind.clone(), node.span),
                    }
                }
                _ => {
                    let args: Vec<NodeId> = node.args.iter().map(|a| map[a.index()]).collect();
                    let id = NodeId(new.nodes.len() as u32);
                    new.nodes.push(crate::ir::Node { args, ..node.clone() });
                    id
                }
            };
            map.push(id);
        }
        for output in &old.outputs {
            let kind = match &output.kind {
                OutputKind::Update(_) => {
                    let index = new.inputs.iter().position(|i| i.name == output.name);
                    OutputKind::Update(index.expect("an updated buffer is an input"))
                }
                other => other.clone(),
            };
            new.add_output(&output.name, map[output.node.index()], kind);
        }
        new
    }

    /// Starting values of all buffers, in a graph of its own.
    pub fn init_graph(&mut self, buffers: &[BufferInfo]) -> R<Graph> {
        let mut init = Elab::new(self.modules, self.sources, self.float);
        let mut failed = false;
        for buffer in buffers {
            let value = match buffer.role {
                Role::Param | Role::Frozen => {
                    let mut parts = vec![];
                    for view in &buffer.views {
                        let slot = &self.params[&view.path];
                        match init.initial_value(&slot.init.clone(), &slot.ty, &view.path, slot.span) {
                            Ok(t) => {
                                let n = slot.ty.elements();
                                parts.push(init.build(slot.span).reshape(t.node, &[n]));
                            }
                            Err(_) => failed = true,
                        }
                    }
                    if failed {
                        continue;
                    }
                    init.build(buffer.views[0].span).concat(&parts, 0)
                }
                _ => {
                    let slot = &self.states[&buffer.name];
                    let value = match &slot.init {
                        StateInit::Fill(v) => Value::Float(*v),
                        StateInit::Init(value) => value.clone(),
                    };
                    match init.initial_value(&value, &buffer.ty, &buffer.name, slot.span) {
                        Ok(t) => t.node,
                        Err(_) => {
                            failed = true;
                            continue;
                        }
                    }
                }
            };
            init.graph.add_output(&buffer.name, value, OutputKind::Value);
        }
        self.diags.append(&mut init.diags);
        if failed { Err(super::Failed::Reported) } else { Ok(init.graph) }
    }
}
