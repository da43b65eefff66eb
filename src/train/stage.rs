//! A compiled graph (training step or evaluation) for one number of rows, bound to the state's tensors.

use super::batches::ColumnType;
use super::metrics::{Observed, Table};
use super::pass::Gathered;
use super::state::{State, internal, result_tensors, unbound};
use super::{Engine, Failure};
use crate::ir::{DType, Graph, InputKind, OutputKind, Type};
use crate::passes::checks::{self, Check, Failed, first_failed};
use crate::runtime::{Executable, Tensor};
use crate::sema::program::Program;

pub struct Stage {
    executable: Box<dyn Executable>,
    /// For each input: a slot of the state, or (counted on from the slots) a tensor of the batch.
    inputs: Vec<usize>,
    /// The batch that the next run reads, a tensor for each of the program's columns.
    pub batch: Vec<Tensor>,
    results: Vec<Tensor>,
    /// The results that are logged: losses first.
    pub observed: Vec<Observed>,
    sources: Vec<usize>,
    /// Results that are more than a number: their names.
    tables: Vec<(usize, String)>,
    /// Results whose rows are kept until the end of the pass.
    gathers: Vec<(usize, String)>,
    checks: Checks,
    pub rows: usize,
}

/// What is looked at after each run: in the results from this one on.
struct Checks {
    all: Vec<Check>,
    from: usize,
}

impl Checks {
    fn failed(&self, results: &[Tensor]) -> Option<Failed> {
        first_failed(&results[self.from..], &self.all)
    }
}

impl Stage {
    pub fn new(
        program: &Program,
        graph: &Graph,
        engine: &dyn Engine,
        state: &State,
        columns: &[ColumnType],
        rows: usize,
    ) -> Result<Stage, Failure> {
        let mut inputs = Vec::new();
        for input in &graph.inputs {
            let place = match input.kind {
                InputKind::Batch => {
                    columns.iter().position(|c| c.name == input.name).map(|index| state.slots.len() + index)
                }
                _ => state.slot(&input.kind, &input.name),
            };
            let place = place.ok_or_else(|| unbound(graph, &input.name))?;
            if inputs.contains(&place) {
                return Err(internal(format!("two inputs are named '{}'", input.name)));
            }
            inputs.push(place);
        }
        let outputs = graph.outputs.iter().filter(|o| !matches!(o.kind, OutputKind::Update(_))).enumerate();
        let (mut logged, mut tables, mut gathers) = (Vec::new(), Vec::new(), Vec::new());
        for (index, output) in outputs {
            if output.kind == OutputKind::Rows {
                gathers.push((index, output.name.clone()));
                continue;
            }
            if !graph.shape(output.node).is_empty() {
                tables.push((index, output.name.clone()));
                continue;
            }
            let report = program.reports.iter().find(|r| r.name == output.name);
            let is_loss = output.kind == OutputKind::Value;
            let carried = report.is_some_and(|r| r.carried);
            logged.push((index, Observed { name: output.name.clone(), is_loss, carried }));
        }
        logged.sort_by_key(|(index, o)| (!o.is_loss, *index));
        let (sources, observed) = logged.into_iter().unzip();
        let batch = columns.iter().map(|c| c.tensor(rows)).collect();
        let plain = result_tensors(graph).len();
        let (graph, checks) = checked(program, graph);
        let executable = engine.compile(&graph)?;
        let results = result_tensors(&graph);
        let checks = Checks { all: checks, from: plain };
        Ok(Stage { executable, inputs, batch, results, observed, sources, tables, gathers, checks, rows })
    }

    /// Runs once on [`Stage::batch`].
    pub fn run(&mut self, state: &mut State) {
        self.run_many(state, |_, _| false);
    }

    /// Runs on [`Stage::batch`], and again as long as `next` says so. `next` sees the clock tensors and the batch
    /// through [`Between`] and may change them; between two runs nothing is looked up or allocated.
    pub fn run_many(&mut self, state: &mut State, mut next: impl FnMut(&mut Between, &Results) -> bool) {
        let (clocks, slots, columns) = (state.clocks(), state.slots.len(), self.batch.len());
        let refs = bind(&self.inputs, &mut state.slots, &mut self.batch);
        let find = |place: usize| self.inputs.iter().position(|p| *p == place);
        let batch = (slots..slots + columns).map(find).collect();
        let mut between = Between { refs, batch, clocks: clocks.map(find) };
        loop {
            self.executable.run(&mut between.refs, &mut self.results);
            let (sources, gathers) = (&self.sources, &self.gathers);
            let results = Results { tensors: &self.results, sources, gathers, checks: &self.checks };
            if !next(&mut between, &results) {
                return;
            }
        }
    }

    /// What went wrong with the values of the last run.
    pub fn failed(&self) -> Option<Failed> {
        self.checks.failed(&self.results)
    }

    /// Whether a loss of the last run is not finite.
    pub fn is_diverged(&self) -> bool {
        self.observed.iter().enumerate().any(|(index, o)| o.is_loss && !self.value(index).is_finite())
    }

    /// The graph's inputs, in order, out of a state's slots and a batch.
    pub fn bind<'t>(&self, slots: &'t mut [Tensor], batch: &'t mut [Tensor]) -> Vec<&'t mut Tensor> {
        bind(&self.inputs, slots, batch)
    }

    /// Keeps the rows of the last run that a report of the whole pass needs.
    pub fn gather(&self, into: &mut Gathered) {
        let (sources, gathers) = (&self.sources, &self.gathers);
        Results { tensors: &self.results, sources, gathers, checks: &self.checks }.gather(into);
    }

    /// The reports of the last run that are more than a number.
    pub fn tables(&self) -> Vec<Table> {
        let table = |(index, name): &(usize, String)| {
            let tensor = &self.results[*index];
            Table { name: name.clone(), shape: tensor.ty().shape.clone(), values: tensor.to_f64s() }
        };
        self.tables.iter().map(table).collect()
    }

    /// The logged value of this index, after a run.
    pub fn value(&self, index: usize) -> f64 {
        scalar(&self.results[self.sources[index]])
    }
}

fn bind<'t>(inputs: &[usize], slots: &'t mut [Tensor], batch: &'t mut [Tensor]) -> Vec<&'t mut Tensor> {
    let mut all: Vec<Option<&mut Tensor>> = slots.iter_mut().chain(batch).map(Some).collect();
    inputs.iter().map(|place| all[*place].take().expect("inputs are bound to different tensors")).collect()
}

/// What may change between two runs of a stage.
pub struct Between<'a> {
    refs: Vec<&'a mut Tensor>,
    /// For each column, the input that reads it.
    batch: Vec<Option<usize>>,
    clocks: [Option<usize>; 2],
}

impl Between<'_> {
    /// Exchanges the batch for another one.
    pub fn swap_batch(&mut self, other: &mut [Tensor]) {
        for (input, tensor) in self.batch.iter().zip(other) {
            if let Some(input) = input {
                std::mem::swap(self.refs[*input], tensor);
            }
        }
    }

    pub fn set_clocks(&mut self, step: usize) {
        if let Some(t) = self.clocks[0] {
            self.refs[t].f64s_mut()[0] = step as f64;
        }
        if let Some(random) = self.clocks[1] {
            self.refs[random].i32s_mut()[0] = step as i32;
        }
    }
}

/// The logged values of the run just made.
pub struct Results<'a> {
    tensors: &'a [Tensor],
    sources: &'a [usize],
    gathers: &'a [(usize, String)],
    checks: &'a Checks,
}

impl Results<'_> {
    /// What went wrong with the values of the run.
    pub fn failed(&self) -> Option<Failed> {
        self.checks.failed(self.tensors)
    }

    /// Keeps the rows that a report of the whole pass needs.
    pub fn gather(&self, into: &mut Gathered) {
        for (column, (index, name)) in self.gathers.iter().enumerate() {
            into.push(column, name, &self.tensors[*index]);
        }
    }

    pub fn value(&self, index: usize) -> f64 {
        scalar(&self.tensors[self.sources[index]])
    }
}

fn scalar(tensor: &Tensor) -> f64 {
    match tensor.ty().dtype {
        DType::F32 => tensor.f32s()[0] as f64,
        DType::F64 => tensor.f64s()[0],
        DType::I32 | DType::Bool => tensor.i32s()[0] as f64,
    }
}

/// The graph with outputs that tell what went wrong with the values of a run.
pub fn checked(program: &Program, graph: &Graph) -> (Graph, Vec<Check>) {
    let known = |index: usize| {
        let input = &graph.inputs[index];
        let column = program.schema.columns.iter().find(|c| input.kind == InputKind::Batch && c.name == input.name)?;
        Some([0, column.classes? as i64 - 1])
    };
    let mut checked = graph.clone();
    let checks = checks::add(&mut checked, &known);
    (checked, checks)
}

/// The types of the program's columns, read off a graph that was made for `rows` rows.
pub fn column_types(program: &Program, graph: &Graph, rows: usize) -> Result<Vec<ColumnType>, Failure> {
    let mut columns = Vec::new();
    for input in graph.inputs.iter().filter(|i| i.kind == InputKind::Batch) {
        let known = program.columns.contains(&input.name) && input.ty.shape.first() == Some(&rows);
        if !known {
            return Err(internal(format!("the step reads '{}' as {}", input.name, input.ty)));
        }
        let row = Type::new(input.ty.dtype, &input.ty.shape[1..]);
        columns.push(ColumnType { name: input.name.clone(), row });
    }
    Ok(columns)
}
