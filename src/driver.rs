//! The one place that names every stage in order. Dumps and timings hang here; printing is left to the callers.
//!
//! ```text
//! text ─ sema::load ─▶ Modules ─ sema::program ─▶ Program ─ graphs.step ─▶ Graph ─ simplify ─ Compiled ─▶ Executable
//! ```

use crate::data::spec::Pipeline;
use crate::data::{self, Shelf};
use crate::diag::{Diagnostic, error};
pub use crate::experiment::Job;
use crate::experiment::Maker;
use crate::experiment::runs::{self, Runs, Variant};
use crate::experiment::sweep::{self, Sweep};
use crate::interp::Interpreter;
use crate::ir::{DType, Graph, Type, print};
use crate::passes::simplify;
use crate::runtime::exec::{Compiled, Options};
use crate::runtime::{Executable, Tensor};
pub use crate::sema::COTANGENT;
use crate::sema::program::{Program, Role};
use crate::sema::{self, Modules};
use crate::source::{FileId, SourceMap};
use crate::syntax::ast;
use crate::syntax::{self, parse_expr};
use crate::train::Engine;
use crate::train::failed::run_once;
use indexmap::IndexSet;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
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
    /// Which `train` or `compare` of the file; by default its first `compare`, else its first `train`.
    pub name: Option<String>,
}

impl Default for Request {
    fn default() -> Request {
        Request { sets: vec![], float: DType::F32, data_dir: None, name: None }
    }
}

/// What a file asks for.
pub enum Experiment {
    Train(Box<Job>),
    /// Runs of one label stand together.
    Compare {
        name: String,
        jobs: Vec<Job>,
    },
    Sweep(Box<Sweep>),
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
    /// Each kernel as Cranelift's intermediate form
    Clif,
    /// Each kernel as machine code
    Asm,
    /// The order of kernels and the memory plan
    Plan,
}

/// What `optc eval` computes. The graph's inputs of kind [`InputKind::Arg`](crate::ir::InputKind::Arg) are the `lets` and
/// [`COTANGENT`]; its outputs are the value and, in order, the gradients.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub expr: &'a str,
    /// `--let` names with the types of their values.
    pub lets: &'a [(String, Type)],
    /// Names of `lets` to differentiate by.
    pub grads: &'a [String],
    /// The type of `--cotangent`.
    pub cotangent: Option<&'a Type>,
    pub float: DType,
}

/// A text with more mistakes than this is something else than a program; showing them all would take seconds.
const MOST_DIAGNOSTICS: usize = 200;

/// One use of the compiler: its texts, its warnings, and how long each stage took.
#[derive(Default)]
pub struct Session {
    pub sources: SourceMap,
    pub warnings: Vec<Diagnostic>,
    pub timings: Vec<(&'static str, Duration)>,
    /// Of the trainings that were checked: which rule has which tensor, where there are several ([`rules_table`]).
    pub tables: Vec<(String, Vec<Vec<String>>)>,
    /// Where the types of the file's expressions are written down while it is checked, if they are.
    pub record: Option<sema::record::Shared>,
    /// What is read in place of these files.
    pub unsaved: Arc<Unsaved>,
    main: Option<FileId>,
    folder: Option<PathBuf>,
}

/// Texts by path: an editor's, which may differ from what is on disk.
pub type Unsaved = HashMap<PathBuf, Arc<str>>;

/// The path of a file that another one names, which stands in `folder`.
pub fn beside(folder: &Path, name: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in folder.join(name).components() {
        match part {
            Component::CurDir => {}
            // A file is the same whichever way it is reached.
            Component::ParentDir if matches!(path.components().next_back(), Some(Component::Normal(_))) => {
                path.pop();
            }
            part => path.push(part),
        }
    }
    path
}

impl Session {
    pub fn new() -> Session {
        Session::default()
    }

    /// Reads the file that the following calls are about.
    pub fn open(&mut self, path: &Path) -> Result<(), String> {
        let bytes = std::fs::read(path).map_err(|e| format!("cannot read '{}': {e}", path.display()))?;
        let text = String::from_utf8(bytes).map_err(|_| format!("'{}' is not UTF-8 text", path.display()))?;
        self.open_text(path, text);
        Ok(())
    }

    /// The same for a text that may differ from the file's, as in an editor.
    pub fn open_text(&mut self, path: &Path, text: String) -> FileId {
        let file = self.sources.add(path.display().to_string(), text);
        self.main = Some(file);
        self.folder = path.parent().map(Path::to_path_buf);
        file
    }

    /// Makes a text of [`Session::sources`] the one that the following calls are about.
    pub fn show(&mut self, file: FileId) {
        self.main = Some(file);
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

    /// The open file with everything that it uses, names resolved.
    fn load(&mut self, open_library: bool) -> Result<Arc<Modules>, Vec<Diagnostic>> {
        let (modules, mut found) = self.load_all(open_library);
        if !found.iter().any(Diagnostic::is_error) {
            found.extend(self.timed("resolve", |_| sema::resolve::resolve(&modules)));
        }
        self.sift(found).map(|()| modules)
    }

    /// What could be read of the open file and its modules.
    fn load_all(&mut self, open_library: bool) -> (Arc<Modules>, Vec<Diagnostic>) {
        let main = match self.main {
            Some(file) => file,
            None => self.sources.add("expression", ""),
        };
        let folder = self.folder.clone().unwrap_or_default();
        let unsaved = self.unsaved.clone();
        let read = move |name: &str| {
            if let Some(text) = unsaved.get(&beside(&folder, name)) {
                return Ok(text.to_string());
            }
            std::fs::read_to_string(folder.join(name)).map_err(|e| e.to_string())
        };
        self.timed("load", |s| sema::load(&mut s.sources, main, open_library, &read))
    }

    /// What could be read of the open file and its modules, and what is wrong with their texts.
    pub fn read_all(&mut self) -> (Arc<Modules>, Vec<Diagnostic>) {
        self.load_all(false)
    }

    /// All diagnostics of the open file, up to [`MOST_DIAGNOSTICS`].
    pub fn check(&mut self) -> Vec<Diagnostic> {
        self.check_all().1
    }

    /// The same, and what could be read.
    pub fn check_all(&mut self) -> (Arc<Modules>, Vec<Diagnostic>) {
        let (modules, mut found) = self.load_all(false);
        let request = Request::default();
        let names: IndexSet<String> = modules.trains().map(|t| t.name.name.clone()).collect();
        let shelf = self.shelf(&request);
        let mut checked = |s: &mut Session, runs: Result<Runs, Vec<Diagnostic>>| {
            let made = runs.and_then(|runs| s.first_programs(&modules, &runs, &request, &shelf));
            let mut made = made.map_err(|diags| found.extend(diags)).unwrap_or_default();
            found.extend(made.iter_mut().flat_map(|program| std::mem::take(&mut program.warnings)));
            made
        };
        for name in names {
            if modules.is_broken_train(&name) {
                // An editor asks for the shapes of what is right in it all the same.
                if let (Some(_), Ok(runs)) = (&self.record, Runs::of_train(&modules, &name)) {
                    let _ = self.first_programs(&modules, &runs, &request, &shelf);
                }
                continue;
            }
            let made = checked(self, Runs::of_train(&modules, &name));
            self.tables.extend(made.iter().filter_map(rules_table));
        }
        for item in runs::experiments(&modules) {
            let train = item.experiment.train.name.as_str();
            if modules.is_broken_train(train) || modules.is_left_out(modules.main_id(), train) {
                continue;
            }
            let runs = Runs::of_experiment(&modules, &self.sources, item);
            checked(self, runs);
        }
        for test in modules.tests() {
            let made =
                self.timed("elaborate", |s| sema::test_graph(&modules, &s.sources, test, DType::F64, s.record.clone()));
            if let (Err(problems), false) = (made, modules.is_broken(test.body.span)) {
                found.extend(problems);
            }
        }
        // After the programs, which say more about the same mistakes.
        found.extend(sema::resolve::resolve(&modules));
        // A rule that is wrong is not also unwise.
        if !found.iter().any(Diagnostic::is_error) {
            found.extend(sema::lint::lint(&modules, &self.sources));
        }
        let mut once: Vec<Diagnostic> = Vec::new();
        for diagnostic in found {
            let known = |d: &Diagnostic| d.code == diagnostic.code && d.primary() == diagnostic.primary();
            if diagnostic.primary().is_none() || !once.iter().any(known) {
                once.push(diagnostic);
            }
        }
        once.truncate(MOST_DIAGNOSTICS);
        once.sort_by_key(|d| d.primary().map(|s| (s.file, s.start)));
        (modules, once)
    }

    /// The name of what the open file trains: of its first comparison or sweep, else of its first training.
    pub fn subject(&mut self, request: &Request) -> Result<String, Vec<Diagnostic>> {
        if let Some(name) = &request.name {
            return Ok(name.clone());
        }
        let items = self.parse()?.items;
        let compared = items.iter().find_map(|item| match &item.kind {
            ast::ItemKind::Compare(e) | ast::ItemKind::Sweep(e) => Some(&e.train.name),
            _ => None,
        });
        // A file without either is told so when it is read whole.
        Ok(compared.or_else(|| first_train(&items)).cloned().unwrap_or_default())
    }

    /// The name of the open file's first training.
    pub fn first_training(&mut self) -> Result<Option<String>, Vec<Diagnostic>> {
        Ok(first_train(&self.parse()?.items).cloned())
    }

    /// What the open file trains.
    pub fn experiment(&mut self, request: &Request) -> Result<Experiment, Vec<Diagnostic>> {
        let modules = self.load(false)?;
        let runs = Runs::choose(&modules, &self.sources, request.name.as_deref())?;
        let shelf = self.shelf(request);
        let maker = self.maker(&modules, &runs, request, &shelf)?;
        let name = runs.train.name.name.clone();
        let (variants, seeds, folds) = match runs.kind {
            runs::Kind::Train => (vec![Variant::default()], None, None),
            runs::Kind::Compare { variants, seeds, folds } => (variants, Some(seeds), folds),
            runs::Kind::Sweep(plan) => {
                // What is wrong with the program is told before anything is tried.
                let sweep = self.timed("elaborate", |_| Sweep::new(maker, plan))?;
                return Ok(Experiment::Sweep(Box::new(sweep)));
            }
        };
        let mut jobs = Vec::new();
        for variant in variants {
            for index in 0..seeds.unwrap_or(1) {
                for fold in runs::folds(folds) {
                    let made = self.timed("elaborate", |_| maker.program(&variant.overrides, fold));
                    let (mut program, pipeline) = made?;
                    if jobs.is_empty() {
                        self.warnings.append(&mut program.warnings);
                    }
                    let dataset = self.timed("data", |_| maker.data(&pipeline))?;
                    let seed = seeds.map(|_| program.settings.seed.wrapping_add(index));
                    jobs.push(Job { label: variant.label.clone(), seed, fold, program, dataset });
                }
            }
        }
        match (seeds, jobs.pop()) {
            (None, Some(job)) => Ok(Experiment::Train(Box::new(job))),
            (Some(_), last) => Ok(Experiment::Compare { name, jobs: jobs.into_iter().chain(last).collect() }),
            (None, None) => Err(vec![error("E0901", "internal error: a training without a run")]),
        }
    }

    /// The data of the open file, and where its files are looked up.
    pub fn pipelines(&mut self, request: &Request) -> Result<(Vec<Pipeline>, data::Context), Vec<Diagnostic>> {
        let (modules, found) = self.load_all(false);
        self.sift(found)?;
        let sets = self.sets(request)?;
        let sources = self.sources.clone();
        let pipelines = sema::pipelines(&modules, &sources, &sets)?;
        Ok((pipelines, self.context(request)))
    }

    /// `--set name=value` as expressions.
    fn sets(&mut self, request: &Request) -> Result<Vec<(String, ast::Expr)>, Vec<Diagnostic>> {
        let mut sets = Vec::new();
        for (name, value) in &request.sets {
            let file = self.sources.add(format!("--set {name}"), value.as_str());
            sets.push((name.clone(), parse_expr(&self.sources, file)?));
        }
        Ok(sets)
    }

    fn context(&self, request: &Request) -> data::Context {
        data::Context { data_dir: request.data_dir.clone(), file_dir: self.folder.clone() }
    }

    /// Data that is read once.
    fn shelf(&self, request: &Request) -> Arc<Shelf> {
        Arc::new(Shelf::new(self.context(request)))
    }

    /// What makes the programs of these runs.
    fn maker(
        &mut self,
        modules: &Arc<Modules>,
        runs: &Runs,
        request: &Request,
        shelf: &Arc<Shelf>,
    ) -> Result<Maker, Vec<Diagnostic>> {
        let sets = self.sets(request)?;
        let sources = Arc::new(self.sources.clone());
        Ok(Maker::new(modules, &sources, &runs.train, request.float, shelf, sets))
    }

    /// The programs that show what is wrong with an experiment: one for each variant, and for the ends of each range.
    fn first_programs(
        &mut self,
        modules: &Arc<Modules>,
        runs: &Runs,
        request: &Request,
        shelf: &Arc<Shelf>,
    ) -> Result<Vec<Program>, Vec<Diagnostic>> {
        let maker = self.maker(modules, runs, request, shelf)?;
        let (choices, fold) = match &runs.kind {
            runs::Kind::Train => (vec![vec![]], None),
            runs::Kind::Compare { variants, folds, .. } => {
                (variants.iter().map(|v| v.overrides.clone()).collect(), runs::folds(*folds)[0])
            }
            runs::Kind::Sweep(plan) => (sweep::corners(&plan.space), None),
        };
        let made = choices.iter().map(|overrides| {
            let (program, _) = self.timed("elaborate", |s| maker.recorded(overrides, fold, s.record.clone()))?;
            if let runs::Kind::Sweep(plan) = &runs.kind {
                sweep::objective(plan, &program).map_err(|d| vec![d])?;
            }
            Ok(program)
        });
        made.collect()
    }

    /// The program that applies an optimizer (an expression; the library is in scope) to tensors of these shapes.
    pub fn update(&mut self, rule: &str, shapes: &[Vec<usize>], float: DType) -> Result<Program, Vec<Diagnostic>> {
        let modules = self.load(true)?;
        let file = self.sources.add("expression", rule);
        let expr = parse_expr(&self.sources, file)?;
        let sources = Arc::new(self.sources.clone());
        self.timed("elaborate", |_| sema::update_program(&modules, &sources, &expr, shapes, float))
    }

    /// The graph of an expression with its gradients.
    pub fn value(&mut self, question: &Question) -> Result<Graph, Vec<Diagnostic>> {
        let modules = self.load(true)?;
        let file = self.sources.add("expression", question.expr);
        let expr = parse_expr(&self.sources, file)?;
        let Question { lets, grads, cotangent, float, .. } = *question;
        let made = self.timed("elaborate", |s| {
            sema::eval_graph(&modules, &s.sources, &expr, lets, float, grads, cotangent.is_some())
        })?;
        let expected = made.graph.inputs.iter().find(|i| i.name == COTANGENT).map(|i| &i.ty);
        if let (Some(given), Some(expected)) = (cotangent, expected)
            && given != expected
        {
            let title = format!("the cotangent is {given}, but the value is {expected}");
            return Err(vec![error("E0203", title).at(expr.span, "this value")]);
        }
        Ok(made.graph)
    }

    /// Runs the open file's test blocks: their names, and what does not hold (or could not be compiled) in each.
    pub fn tests(
        &mut self,
        float: DType,
        engine: &dyn Engine,
    ) -> Result<Vec<(String, Vec<Diagnostic>)>, Vec<Diagnostic>> {
        let modules = self.load(true)?;
        let run = |test: &ast::Test| {
            let found = sema::test_graph(&modules, &self.sources, test, float, None)
                .and_then(|(graph, expectations)| failures(&graph, &expectations, engine).map_err(|d| vec![d]));
            (test.name.clone(), found.unwrap_or_else(|problems| problems))
        };
        Ok(modules.tests().map(run).collect())
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
            Experiment::Sweep(sweep) => sweep.first()?,
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
        let graph = self.timed("simplify", |_| simplify(graph));
        let compiled = self.timed("compile", |_| Compiled::new(&graph, &Options::default())).map_err(|d| vec![d])?;
        Ok(match stage {
            Stage::Fused => compiled.print_fused(&self.sources),
            Stage::Kernels => compiled.print_kernels(),
            Stage::Clif | Stage::Asm => compiled.print_code(stage == Stage::Asm),
            _ => compiled.plan().print(compiled.fused()),
        })
    }
}

fn first_train(items: &[ast::Item]) -> Option<&String> {
    items.iter().find_map(|item| match &item.kind {
        ast::ItemKind::Train(t) => Some(&t.name.name),
        _ => None,
    })
}

/// The expectations that do not hold.
fn failures(
    graph: &Graph,
    expectations: &[sema::Expectation],
    engine: &dyn Engine,
) -> Result<Vec<Diagnostic>, Diagnostic> {
    let inputs: Vec<Tensor> = graph.inputs.iter().map(|i| Tensor::zeros(i.ty.clone())).collect();
    let results = run_once(engine, graph, inputs)?;
    let failed = expectations.iter().filter(|e| results[e.holds].to_f64s() != [1.0]);
    Ok(failed
        .map(|e| {
            let d = error("E0604", "this does not hold").at(e.span, "expected here");
            match e.sides {
                Some((a, b)) => d.note(format!("left:  {:?}", results[a])).note(format!("right: {:?}", results[b])),
                None => d,
            }
        })
        .collect())
}

/// Which rule has which tensor, if not all have one: the training's name and the rows of a table.
pub fn rules_table(program: &Program) -> Option<(String, Vec<Vec<String>>)> {
    let arenas = || program.buffers.iter().filter(|b| matches!(b.role, Role::Param | Role::Frozen));
    if arenas().count() < 2 {
        return None;
    }
    let mut rows = vec![vec![String::new(), "shape".into(), "rule".into()]];
    for buffer in arenas() {
        let rule = match buffer.role {
            Role::Frozen => "frozen",
            _ => buffer.name.strip_prefix("params.").unwrap_or(&buffer.name),
        };
        rows.extend(buffer.views.iter().map(|v| vec![v.path.clone(), format!("{:?}", v.shape), rule.to_string()]));
    }
    Some((program.name.clone(), rows))
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
    for row in &program.layers {
        let _ = writeln!(out, "layer {}: {} -> {}, {} parameters", row.path, row.layer, row.output, row.params);
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
        Ok(Box::new(Compiled::new(&simplify(graph.clone()), &Options { threads: self.threads, ..Options::default() })?))
    }
}

/// The interpreter of graphs.
struct Oracle;

impl Engine for Oracle {
    fn compile(&self, graph: &Graph) -> Result<Box<dyn Executable>, Diagnostic> {
        Ok(Box::new(Interpreter::new(graph.clone())))
    }
}
