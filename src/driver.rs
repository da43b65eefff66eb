//! The one place that names every stage in order. Dumps and timings hang here; printing is left to the callers.
//!
//! ```text
//! text ─ syntax::parse_file ─▶ tree ─ sema ─▶ Program ─ graphs.step ─▶ Graph ─ fuse, plan, codegen ─▶ Executable
//! ```

use crate::ad;
use crate::data::Dataset;
use crate::diag::{Diagnostic, error};
use crate::interp::Interpreter;
use crate::ir::{DType, Graph, InputKind, NodeId, OutputKind, Type, print};
use crate::runtime::Executable;
use crate::runtime::exec::{Compiled, Options};
use crate::sema::program::Program;
use crate::source::{FileId, SourceMap, Span};
use crate::syntax::{self, ast};
use crate::train::Engine;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What runs compiled graphs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    Jit,
    Interp,
}

/// What the command line says about a program.
#[derive(Clone, Debug)]
pub struct Request {
    /// `--set name=value`; the value is an expression.
    pub sets: Vec<(String, String)>,
    pub float: DType,
    pub data_dir: Option<PathBuf>,
}

/// A training run, ready to go.
pub struct Job {
    /// In a comparison: `optimizer = Adam()`.
    pub label: String,
    /// In a comparison over seeds: this run's.
    pub seed: Option<u64>,
    pub program: Program,
    pub dataset: Arc<Dataset>,
}

/// What a file's last `train` or `compare` asks for.
pub enum Experiment {
    Train(Box<Job>),
    /// Runs of one label stand together.
    Compare {
        name: String,
        jobs: Vec<Job>,
    },
}

/// A stage that can be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Stage {
    /// The syntax tree
    Ast,
    /// The program: columns, parameters and states with their types
    Typed,
    /// The evaluation graph: forward only
    Graph,
    /// The training step: forward, backward and update
    Grad,
    /// The step as fused kernels
    Fused,
    /// The kernels' loops
    Kernels,
    /// The order of kernels and the memory plan
    Plan,
}

/// What `optc eval` computes: inputs of kind [`InputKind::Arg`], outputs `value` and, in order, the gradients.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub expr: &'a str,
    /// `--let` names with the types of their values.
    pub lets: &'a [(String, Type)],
    /// Names of `lets` to differentiate by.
    pub grads: &'a [String],
    /// The type of `--cotangent`; its value is the input [`COTANGENT`].
    pub cotangent: Option<&'a Type>,
    pub float: DType,
}

/// Not a name that a program can use.
pub const COTANGENT: &str = "--cotangent";

/// One use of the compiler: its texts, its warnings, and how long each stage took.
#[derive(Default)]
pub struct Session {
    pub sources: SourceMap,
    pub warnings: Vec<Diagnostic>,
    pub timings: Vec<(&'static str, Duration)>,
    main: Option<FileId>,
    folder: Option<PathBuf>,
}

impl Session {
    pub fn new() -> Session {
        Session::default()
    }

    /// Reads the file that the following calls are about.
    pub fn open(&mut self, path: &Path) -> Result<(), String> {
        let bytes = std::fs::read(path).map_err(|e| format!("cannot read '{}': {e}", path.display()))?;
        let text = String::from_utf8(bytes).map_err(|_| format!("'{}' is not UTF-8 text", path.display()))?;
        self.main = Some(self.sources.add(path.display().to_string(), text));
        self.folder = path.parent().map(Path::to_path_buf);
        Ok(())
    }

    /// The text of the open file.
    pub fn text(&self) -> &str {
        self.main.map_or("", |file| &self.sources.file(file).text)
    }

    /// Where relative paths of the file begin.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    fn timed<T>(&mut self, stage: &'static str, work: impl FnOnce(&mut Session) -> T) -> T {
        let clock = Instant::now();
        let result = work(self);
        self.timings.push((stage, clock.elapsed()));
        result
    }

    /// The open file's syntax tree, if it has no errors.
    fn parse(&mut self) -> Result<ast::File, Vec<Diagnostic>> {
        let Some(file) = self.main else { return Ok(ast::File::default()) };
        let (tree, problems) = self.timed("parse", |s| syntax::parse_file(&s.sources, file));
        self.sift(problems).map(|()| tree)
    }

    /// Keeps warnings; gives everything back if there is an error among it.
    fn sift(&mut self, found: Vec<Diagnostic>) -> Result<(), Vec<Diagnostic>> {
        if found.iter().any(Diagnostic::is_error) {
            return Err(found);
        }
        self.warnings.extend(found);
        Ok(())
    }

    /// All diagnostics of the open file.
    pub fn check(&mut self) -> Vec<Diagnostic> {
        self.parse().err().unwrap_or_default()
    }

    /// What the open file trains.
    pub fn experiment(&mut self, request: &Request) -> Result<Experiment, Vec<Diagnostic>> {
        self.parse()?;
        for (name, value) in &request.sets {
            let file = self.sources.add(format!("--set {name}"), value.as_str());
            syntax::parse_expr(&self.sources, file)?;
        }
        Err(unconnected())
    }

    /// The graph of an expression alone.
    fn expression(&mut self, question: &Question) -> Result<Graph, Vec<Diagnostic>> {
        self.parse()?;
        let file = self.sources.add("expression", question.expr);
        syntax::parse_expr(&self.sources, file)?;
        Err(unconnected())
    }

    /// The graph of an expression with its gradients.
    pub fn value(&mut self, question: &Question) -> Result<Graph, Vec<Diagnostic>> {
        let mut graph = self.expression(question)?;
        self.timed("grad", |_| add_gradients(&mut graph, question)).map_err(|d| vec![d])?;
        Ok(graph)
    }

    /// A stage of the open file's (first) training, as text.
    pub fn dump(&mut self, stage: Stage, request: &Request) -> Result<String, Vec<Diagnostic>> {
        if stage == Stage::Ast {
            let tree = self.parse()?;
            return Ok(syntax::print::print_with_places(&self.sources, &tree));
        }
        let job = match self.experiment(request)? {
            Experiment::Train(job) => *job,
            Experiment::Compare { jobs, .. } => jobs.into_iter().next().ok_or_else(Vec::new)?,
        };
        let program = &job.program;
        let rows = program.settings.batch.unwrap_or(program.schema.train_rows);
        if stage == Stage::Typed {
            return Ok(typed(program));
        }
        if stage == Stage::Graph {
            return Ok(print::print(&program.graphs.eval(rows)?, Some(&self.sources)));
        }
        let graph = self.timed("grad", |_| program.graphs.step(rows))?;
        if stage == Stage::Grad {
            return Ok(print::print(&graph, Some(&self.sources)));
        }
        let compiled = self.timed("compile", |_| Compiled::new(&graph, &Options::default())).map_err(|d| vec![d])?;
        Ok(match stage {
            Stage::Fused => compiled.fused().print(&self.sources),
            Stage::Kernels => compiled.kernels().iter().map(|k| format!("{k:#?}\n")).collect(),
            _ => compiled.plan().print(compiled.fused()),
        })
    }
}

/// Until the checker is part of the driver.
fn unconnected() -> Vec<Diagnostic> {
    vec![error("E0901", "internal error: the checker is not connected to the driver yet")]
}

/// Adds gradients of `value` to a graph, as outputs in the question's order.
fn add_gradients(graph: &mut Graph, question: &Question) -> Result<(), Diagnostic> {
    let Some(value) = graph.outputs.iter().find(|o| o.kind == OutputKind::Value).map(|o| o.node) else {
        return Err(error("E0901", "internal error: the expression has no value"));
    };
    if question.grads.is_empty() {
        return Ok(());
    }
    let span = graph.node(value).span;
    let seed = match question.cotangent {
        None => None,
        Some(ty) if ty == graph.ty(value) => {
            Some(graph.add_input(COTANGENT, ty.clone(), InputKind::Arg, Span::default()))
        }
        Some(ty) => {
            let title = format!("the cotangent is {ty}, but the value is {}", graph.ty(value));
            return Err(error("E0203", title).at(span, "this value"));
        }
    };
    let mut wrt = Vec::new();
    for name in question.grads {
        wrt.push(argument(graph, name, question)?);
    }
    let gradients = ad::gradients(graph, value, seed, &wrt)?;
    for (name, gradient) in question.grads.iter().zip(gradients) {
        graph.add_output(name, gradient, OutputKind::Report);
    }
    Ok(())
}

/// The node of an argument; added if the expression does not use it (its gradient is zero then).
fn argument(graph: &mut Graph, name: &str, question: &Question) -> Result<NodeId, Diagnostic> {
    let Some((_, ty)) = question.lets.iter().find(|(n, _)| n == name) else {
        return Err(error("E0201", format!("'{name}' is not given by --let"))
            .help(format!("add --let {name}=VALUE, or differentiate by another name")));
    };
    let used = graph.ids().find(|id| match graph.node(*id).op {
        crate::ir::Op::Input(index) => graph.inputs[index].name == name && graph.inputs[index].kind == InputKind::Arg,
        _ => false,
    });
    Ok(used.unwrap_or_else(|| graph.add_input(name, ty.clone(), InputKind::Arg, Span::default())))
}

/// The program's tensors, a line each.
fn typed(program: &Program) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    let schema = &program.schema;
    let _ = writeln!(out, "train {}: {} rows, {} test rows", program.name, schema.train_rows, schema.test_rows);
    for column in schema.columns.iter().filter(|c| program.columns.contains(&c.name)) {
        let element = if column.is_float { "float" } else { "int" };
        let _ = writeln!(out, "column {}: {element}{:?}", column.name, column.shape);
    }
    for hyper in &program.hypers {
        let _ = writeln!(out, "hyper {} = {}", hyper.name, hyper.value);
    }
    for buffer in &program.buffers {
        let _ = writeln!(out, "buffer {}: {} {:?}", buffer.name, buffer.ty, buffer.role);
        for view in &buffer.views {
            let _ = writeln!(out, "  {}: {}{:?} at {}", view.path, buffer.ty.dtype, view.shape, view.offset);
        }
    }
    for report in &program.reports {
        let _ = writeln!(out, "report {}", report.name);
    }
    out
}

/// The engine of this kind.
pub fn engine(kind: EngineKind, threads: usize) -> Box<dyn Engine> {
    match kind {
        EngineKind::Jit => Box::new(Jit { threads }),
        EngineKind::Interp => Box::new(Oracle),
    }
}

struct Jit {
    threads: usize,
}

impl Engine for Jit {
    fn compile(&self, graph: &Graph) -> Result<Box<dyn Executable>, Diagnostic> {
        Ok(Box::new(Compiled::new(graph, &Options { threads: self.threads, ..Options::default() })?))
    }
}

/// The interpreter of graphs.
struct Oracle;

impl Engine for Oracle {
    fn compile(&self, graph: &Graph) -> Result<Box<dyn Executable>, Diagnostic> {
        Ok(Box::new(Interpreter::new(graph.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::build::Builder;

    /// x * x at [2], and x's gradient.
    #[test]
    fn gradients_are_outputs() {
        let ty = Type::new(DType::F64, [2]);
        let lets = [("x".to_string(), ty.clone()), ("unused".to_string(), ty.clone())];
        let grads = ["x".to_string(), "unused".to_string()];
        let question = Question { expr: "x * x", lets: &lets, grads: &grads, cotangent: Some(&ty), float: DType::F64 };
        let mut graph = Graph::new();
        let mut b = Builder::new(&mut graph, Span::default());
        let x = b.graph.add_input("x", ty.clone(), InputKind::Arg, Span::default());
        let square = b.mul(x, x);
        graph.add_output("value", square, OutputKind::Value);
        add_gradients(&mut graph, &question).expect("differentiable");
        let values = |v: [f64; 2]| crate::runtime::Tensor::from_f64s(ty.clone(), &v);
        let (x, cotangent, unused) = (values([3.0, 4.0]), values([1.0, 10.0]), values([0.0, 0.0]));
        let results = crate::interp::eval(&graph, &[&x, &cotangent, &unused]);
        let results: Vec<Vec<f64>> = results.iter().map(|t| t.to_f64s()).collect();
        assert_eq!(results, [vec![9.0, 16.0], vec![6.0, 80.0], vec![0.0, 0.0]]);

        let wrong = Type::scalar(DType::F64);
        let mut other = graph.clone();
        let question = Question { cotangent: Some(&wrong), ..question };
        assert_eq!(add_gradients(&mut other, &question).err().map(|d| d.code), Some("E0203"));
    }
}
