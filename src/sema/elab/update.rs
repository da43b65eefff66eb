//! A rule on its own: the update of some tensors whose gradients are given. What a training step does after the
//! backward pass, for benchmarks and tests of optimizers.

use super::train::GroupSpec;
use super::{Elab, ParamSlot, R};
use crate::data::spec::{Column, Schema};
use crate::diag::Diagnostic;
use crate::ir::{DType, Graph, InputKind, NodeId, OutputKind, Type};
use crate::sema::modules::Modules;
use crate::sema::program::{Control, GraphSource, Hyper, Program, Report, Settings};
use crate::sema::value::Value;
use crate::source::{SourceMap, Span};
use crate::syntax::ast::Expr;
use std::sync::Arc;

/// The column of gradients.
pub const GRADIENT: &str = "gradient";

/// The program whose step applies `rule` to tensors of these shapes. Its only column is [`GRADIENT`], the
/// gradients of all tensors end to end: a "row" is one element. All tensors start as ones.
pub fn update_program(
    modules: &Arc<Modules>,
    sources: &Arc<SourceMap>,
    rule: &Expr,
    shapes: &[Vec<usize>],
    float: DType,
) -> Result<Program, Vec<Diagnostic>> {
    let mut elab = Elab::new(modules, sources, float);
    elab.training = true;
    let frame = elab.train_frame("optimizer".into());
    elab.frames.push(frame);
    match elab.update_of(rule, shapes) {
        Ok(program) if !elab.diags.iter().any(Diagnostic::is_error) => Ok(program),
        _ => Err(elab.diags),
    }
}

/// There is one graph: the number of rows is the number of elements.
struct Fixed(Graph);

impl GraphSource for Fixed {
    fn step(&self, _rows: usize) -> Result<Graph, Vec<Diagnostic>> {
        Ok(self.0.clone())
    }

    fn eval(&self, _rows: usize) -> Result<Graph, Vec<Diagnostic>> {
        Ok(self.0.clone())
    }
}

impl Elab<'_> {
    pub(super) fn update_of(&mut self, rule: &Expr, shapes: &[Vec<usize>]) -> R<Program> {
        let span = rule.span;
        let value = self.expr(rule)?;
        self.check_rule(&value, span)?;
        let mut total = 0;
        for (k, shape) in shapes.iter().enumerate() {
            let (path, ty) = (format!("tensor{k}"), Type::new(self.float, shape.clone()));
            total += ty.elements();
            let node = self.graph.add_input(&path, ty.clone(), InputKind::Param, span);
            self.params.insert(
                path,
                ParamSlot {
                    node,
                    ty,
                    init: Value::Float(1.0),
                    span,
                    made_at: Span::default(),
                    called_at: Span::default(),
                    layer: String::new(),
                    role: None,
                },
            );
        }
        let name = self.name_rule(&value);
        let spec = GroupSpec { name, params: self.params.keys().cloned().collect(), rule: value, span };
        self.group_paths = spec.params.clone();
        let gradient = Type::new(self.float, vec![total]);
        let g = self.graph.add_input(GRADIENT, gradient, InputKind::Batch, span);
        let float = self.float;
        let loss = self.build(span).constant(0.0, float);
        let new = self.update_given(&spec, g, loss)?;
        for (report, node) in self.reports.clone() {
            self.graph.add_output(report.name, node, OutputKind::Report);
        }
        self.state_outputs(true);
        self.graph.add_output(spec.buffer(), new, OutputKind::Update(usize::MAX));
        let groups = [spec];
        let buffers = self.buffers(&groups);
        let graph = self.with_arenas(&groups);
        let init = self.init_graph(&buffers)?;
        let column = Column { name: GRADIENT.into(), is_float: true, shape: vec![], classes: None };
        let hypers = self.hypers.iter().map(|(name, (value, _))| Hyper { name: name.clone(), value: *value });
        Ok(Program {
            name: groups[0].name.clone(),
            settings: Settings {
                batch: None,
                epochs: 1,
                steps: None,
                seed: 0,
                shuffle: false,
                control: Control::default(),
            },
            schema: Schema { columns: vec![column], train_rows: total, test_rows: 0 },
            columns: vec![GRADIENT.into()],
            buffers,
            hypers: hypers.collect(),
            schedules: None,
            reports: self.reports.iter().map(|(r, _)| r.clone()).collect::<Vec<Report>>(),
            loads: vec![],
            layers: vec![],
            sample: None,
            init,
            graphs: Box::new(Fixed(graph)),
            warnings: vec![],
        })
    }

    /// The rule over the arena and a gradient of the same layout; tensor by tensor if it needs their shapes.
    fn update_given(&mut self, spec: &GroupSpec, g: NodeId, loss: NodeId) -> R<NodeId> {
        let shapes: Vec<Vec<usize>> = spec.params.iter().map(|p| self.params[p].ty.shape.clone()).collect();
        let parts = self.taken_apart(g, &shapes, spec.span);
        self.update_group(spec, &parts, Some(g), loss)
    }
}
