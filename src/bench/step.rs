//! A training step with its buffers and a few batches, compiled stage by stage and ready to run.

use super::Stages;
use crate::driver;
use crate::ir::{Graph, InputKind, OutputKind};
use crate::passes::simplify;
use crate::runtime::exec::{Compiled, Options};
use crate::runtime::{Executable, Tensor};
use crate::sema::program::Program;
use crate::train::stage::{checked, column_types};
use crate::train::state::{State, result_tensors, unbound};
use crate::train::{Failure, Rows};
use std::time::{Duration, Instant};

/// So many different batches take turns.
const BATCHES: usize = 8;

pub struct Step {
    compiled: Compiled,
    /// The graph's inputs, in order; those of the batch are exchanged at each step.
    inputs: Vec<Tensor>,
    results: Vec<Tensor>,
    batches: Vec<Vec<Tensor>>,
    /// For each tensor of a batch, its input.
    columns: Vec<usize>,
    /// The inputs that count steps: `t`, and the one of random numbers.
    clock: Option<usize>,
    counter: Option<usize>,
    /// The result that is the loss.
    loss: Option<usize>,
    pub rows: usize,
    done: usize,
}

impl Step {
    /// Compiles the program's step for its batch size and starts it with the program's seed.
    pub fn new(program: &Program, data: &dyn Rows, threads: usize, stages: &mut Stages) -> Result<Step, Failure> {
        let mut watch = Stopwatch { since: Instant::now(), stages };
        let rows = program.settings.batch.unwrap_or(program.schema.train_rows);
        let (graph, _) = checked(program, &program.graphs.step(rows)?);
        watch.lap("step graph");
        let (types, columns) = (column_types(program, &graph, rows)?, batch_inputs(&graph));
        let simple = simplify(graph.clone());
        watch.lap("simplify");
        let compiled = Compiled::new(&simple, &Options { threads, ..Options::default() })?;
        let own = compiled.timings();
        watch.stages.extend([("fuse", own.fuse), ("plan", own.plan), ("codegen", own.codegen)]);
        watch.since = Instant::now();
        let engine = driver::engine(driver::EngineKind::Jit, threads);
        let mut state = State::init(program, engine.as_ref(), program.settings.seed)?;
        watch.lap("starting values");
        let count = (program.schema.train_rows / rows).clamp(1, BATCHES);
        let mut batches = vec![];
        for k in 0..count {
            let picked: Vec<u32> = (k * rows..(k + 1) * rows).map(|row| row as u32).collect();
            let mut batch: Vec<Tensor> = types.iter().map(|c| c.tensor(rows)).collect();
            for (column, tensor) in types.iter().zip(&mut batch) {
                data.gather(false, &column.name, &picked, tensor)?;
            }
            batches.push(batch);
        }
        watch.lap("batches");
        let mut inputs = vec![];
        for input in &graph.inputs {
            if input.kind == InputKind::Batch {
                inputs.push(Tensor::zeros(input.ty.clone()));
                continue;
            }
            let slot = state.slot(&input.kind, &input.name).ok_or_else(|| unbound(&graph, &input.name))?;
            let empty = Tensor::zeros(crate::ir::Type::scalar(input.ty.dtype));
            inputs.push(std::mem::replace(&mut state.slots[slot], empty));
        }
        let find =
            |wanted: &dyn Fn(&InputKind, &str) -> bool| graph.inputs.iter().position(|i| wanted(&i.kind, &i.name));
        let results = graph.outputs.iter().filter(|o| !matches!(o.kind, OutputKind::Update(_)));
        Ok(Step {
            compiled,
            clock: find(&|kind, _| *kind == InputKind::Step),
            counter: find(&|kind, name| *kind == InputKind::Random && name == "step"),
            loss: results.clone().position(|o| o.kind == OutputKind::Value),
            results: result_tensors(&graph),
            inputs,
            batches,
            columns,
            rows,
            done: 0,
        })
    }

    pub fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// Trains `steps` steps and gives the loss of the last one (NaN if the program has none).
    pub fn run(&mut self, steps: usize) -> f64 {
        self.each(steps, |compiled, inputs, results| compiled.run(inputs, results));
        self.loss()
    }

    /// Trains `steps` steps and gives the time of each instruction, in the order of [`Compiled::instructions`]: its quickest,
    /// since what other programs take from the machine would otherwise fall on one or another.
    pub fn run_timed(&mut self, steps: usize) -> Vec<Duration> {
        let count = self.compiled.instructions().len();
        let mut quickest = vec![Duration::MAX; count];
        self.each(steps, |compiled, inputs, results| {
            let mut times = vec![Duration::ZERO; count];
            compiled.run_timed(inputs, results, &mut times);
            quickest.iter_mut().zip(times).for_each(|(best, time)| *best = time.min(*best));
        });
        quickest
    }

    /// The last step's loss.
    pub fn loss(&self) -> f64 {
        self.loss.map_or(f64::NAN, |k| self.results[k].to_f64s()[0])
    }

    /// How many steps take about this time.
    pub fn steps_in(&mut self, seconds: f64) -> usize {
        let mut count = 1;
        loop {
            let clock = Instant::now();
            self.run(count);
            let took = clock.elapsed().as_secs_f64();
            if took > 0.2 * seconds || took > 0.05 {
                return ((seconds / (took / count as f64)).round() as usize).max(1);
            }
            count = count.saturating_mul(4);
        }
    }

    fn each(&mut self, steps: usize, mut work: impl FnMut(&mut Compiled, &mut [&mut Tensor], &mut [Tensor])) {
        let mut refs: Vec<&mut Tensor> = self.inputs.iter_mut().collect();
        for _ in 0..steps {
            let which = self.done % self.batches.len();
            let batch = &mut self.batches[which];
            self.done += 1;
            for (input, tensor) in self.columns.iter().zip(&mut *batch) {
                std::mem::swap(refs[*input], tensor);
            }
            if let Some(t) = self.clock {
                refs[t].f64s_mut()[0] = self.done as f64;
            }
            if let Some(step) = self.counter {
                refs[step].i32s_mut()[0] = self.done as i32;
            }
            work(&mut self.compiled, &mut refs, &mut self.results);
            for (input, tensor) in self.columns.iter().zip(&mut *batch) {
                std::mem::swap(refs[*input], tensor);
            }
        }
    }
}

struct Stopwatch<'a> {
    since: Instant,
    stages: &'a mut Stages,
}

impl Stopwatch<'_> {
    fn lap(&mut self, stage: &'static str) {
        self.stages.push((stage, self.since.elapsed()));
        self.since = Instant::now();
    }
}

/// The inputs that are columns, in the order of [`column_types`].
fn batch_inputs(graph: &Graph) -> Vec<usize> {
    (0..graph.inputs.len()).filter(|k| graph.inputs[*k].kind == InputKind::Batch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Noise;
    use crate::driver::Session;
    use crate::ir::DType;

    #[test]
    fn an_optimizer_alone_does_its_update_in_one_kernel() {
        let mut session = Session::new();
        let program = session.update("SGD(0.5)", &[vec![2, 2], vec![3]], DType::F32).expect("a program");
        let mut step = Step::new(&program, &Noise, 1, &mut vec![]).expect("it compiles");
        step.run(1);
        let arena = program.buffers.iter().position(|b| b.ty.elements() == 7).expect("one arena");
        let mut gradient = Tensor::zeros(program.buffers[arena].ty.clone());
        Noise.gather(false, "", &[0, 1, 2, 3, 4, 5, 6], &mut gradient).unwrap();
        let graph = program.graphs.step(7).expect("a graph");
        let input = graph.inputs.iter().position(|i| i.kind == InputKind::Param).expect("the arena");
        for (theta, g) in step.inputs[input].f32s().iter().zip(gradient.f32s()) {
            assert!((theta - (1.0 - 0.5 * g)).abs() < 1e-6, "{theta} {g}");
        }
        assert_eq!(step.compiled().instructions().len(), 1);
    }

    #[test]
    fn a_rule_that_is_none_is_refused() {
        let problems = Session::new().update("relu", &[vec![2]], DType::F32).err().expect("not an optimizer");
        assert!(!problems.is_empty());
    }
}
