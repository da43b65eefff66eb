//! The training loop.
//!
//! Steps are made in segments: runs of steps of one compiled stage with nothing else to do between them. Segments end at
//! the end of an epoch, at checkpoints, and where a snapshot of the state is due.

use super::batches::{Block, ColumnType, Feed, Gatherer, Layout};
use super::checkpoint::{self, Progress};
use super::folder::{self, Folder};
use super::metrics::{Averages, Record, Split};
use super::stage::{Stage, column_types};
use super::state::{State, result_tensors, unbound};
use super::{Engine, Failure, Plan, Rows, Sink, Summary, TrainOptions, load, nan};
use crate::diag::{Diagnostic, error};
use crate::report;
use crate::runtime::Tensor;
use crate::sema::program::Program;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// More epochs than this are logged and evaluated at equal distances only.
const LOGGED_EPOCHS: usize = 1000;
/// How often an epoch's end also writes `last.safetensors`, so that a killed run can be resumed.
const AUTOSAVE: Duration = Duration::from_secs(30);

/// Trains a program. Everything that it writes goes into the folder of the options; what it does is told to the sink.
pub fn train(
    program: &Program,
    engine: &dyn Engine,
    data: &dyn Rows,
    options: &TrainOptions,
    sink: &mut dyn Sink,
) -> Result<Summary, Failure> {
    let mut trainer = Trainer::new(program, engine, data, options)?;
    sink.start(program, &trainer.plan);
    let layout = trainer.layout.clone();
    let (epoch, index) = (trainer.epoch(), trainer.state.step % trainer.plan.steps_per_epoch);
    let gatherer = Gatherer::new(data, layout.clone(), trainer.columns.clone(), epoch, index);
    let ended = std::thread::scope(|scope| {
        // Nothing to gather ahead where all steps share a batch, or where the user allows one thread.
        let inline = options.threads == 1 || layout.is_constant();
        let feed = if inline { Feed::inline(gatherer) } else { Feed::ahead(scope, gatherer) };
        trainer.run(feed, sink)
    });
    trainer.report(&ended);
    let summary = ended?;
    sink.finish(&summary);
    Ok(summary)
}

/// A state to fall back on, and the step after which it was taken.
struct Snapshot {
    step: usize,
    progress: Progress,
    values: Vec<Tensor>,
}

struct Trainer<'a> {
    program: &'a Program,
    engine: &'a dyn Engine,
    data: &'a dyn Rows,
    options: &'a TrainOptions,
    plan: Plan,
    layout: Layout,
    columns: Vec<ColumnType>,
    state: State,
    full: Stage,
    /// The stage of a last batch with fewer rows, once there was one.
    partial: Option<Stage>,
    averages: Averages,
    folder: Option<Folder>,
    /// The newest two, the older one first.
    snapshots: VecDeque<Snapshot>,
    snapshot_every: usize,
    evaluation: Option<Evaluation>,
    started: Instant,
    compile: Duration,
    first_step: Option<Duration>,
    last_train: Option<Record>,
    last_test: Option<Record>,
    last_losses: VecDeque<f64>,
}

impl<'a> Trainer<'a> {
    fn new(
        program: &'a Program,
        engine: &'a dyn Engine,
        data: &'a dyn Rows,
        options: &'a TrainOptions,
    ) -> Result<Trainer<'a>, Failure> {
        let started = Instant::now();
        let resumed = resume_point(options)?;
        let seed = match (&resumed, options.seed) {
            (Some((path, progress)), Some(seed)) if progress.seed != seed => {
                let why = format!("the run began with seed {}", progress.seed);
                let what = error("E0501", format!("cannot resume from '{}' with seed {seed}", path.display()));
                return Err(what.note(why).help("leave out --seed").into());
            }
            (Some((_, progress)), _) => progress.seed,
            (None, seed) => seed.unwrap_or(program.settings.seed),
        };
        let layout = layout_of(program, seed)?;
        let (steps_per_epoch, batch) = (layout.batches(), layout.batch);

        let clock = Instant::now();
        let mut state = State::init(program, engine, seed)?;
        let graph = program.graphs.step(batch)?;
        let columns = column_types(program, &graph, batch)?;
        let full = Stage::new(program, &graph, engine, &state, &columns, batch)?;
        let compile = clock.elapsed();
        load::apply(program, &options.search, &mut state)?;

        let mut averages = Averages::new(&full.observed);
        if let Some((path, progress)) = &resumed {
            if (progress.batch, progress.rows) != (layout.batch, layout.rows) {
                let was = format!("it was written with batches of {} from {} rows", progress.batch, progress.rows);
                let is = format!("this run has batches of {} from {} rows", layout.batch, layout.rows);
                let what = error("E0501", format!("cannot resume from '{}'", path.display()));
                return Err(what.note(was).note(is).into());
            }
            state.step = checkpoint::restore(path, program, &mut state, &mut averages)?.step;
        }
        let (epochs, steps) = extent(program, options, steps_per_epoch);
        let plan = Plan { seed, batch, epochs, steps_per_epoch, steps, done: state.step, out: options.out.clone() };
        let folder = match &options.out {
            Some(path) => {
                report::ended::begin(path);
                let kept = folder::lines_until(path, state.step, steps_per_epoch);
                let kept = if resumed.is_some() { kept } else { vec![] };
                Some(Folder::open(path, &config(program, &plan, options), &kept)?)
            }
            None => None,
        };
        let bytes: usize = program.buffers.iter().map(|b| b.ty.bytes()).sum();
        Ok(Trainer {
            program,
            engine,
            data,
            options,
            plan,
            layout,
            columns,
            state,
            full,
            partial: None,
            averages,
            folder,
            snapshots: VecDeque::new(),
            snapshot_every: snapshot_distance(bytes),
            evaluation: None,
            started,
            compile,
            first_step: None,
            last_train: None,
            last_test: None,
            last_losses: VecDeque::new(),
        })
    }

    /// The epoch of the next step, from 1.
    fn epoch(&self) -> usize {
        self.state.step / self.plan.steps_per_epoch + 1
    }

    fn run(&mut self, mut feed: Feed, sink: &mut dyn Sink) -> Result<Summary, Failure> {
        let mut loop_time = Duration::ZERO;
        let mut supply = Supply::default();
        let mut epoch_started = Instant::now();
        let mut saved = Instant::now();
        while self.state.step < self.plan.steps {
            let per_epoch = self.plan.steps_per_epoch;
            if self.state.step.is_multiple_of(per_epoch) {
                self.state.reset_metrics();
                self.averages.clear();
            }
            self.snapshot_if_due();
            self.prepare_partial()?;
            let (clock, compiled) = (Instant::now(), self.compile);
            self.segment(&mut feed, &mut supply, sink)?;
            loop_time += clock.elapsed().saturating_sub(self.compile - compiled);

            let step = self.state.step;
            let last = step == self.plan.steps;
            let epoch = step.div_ceil(per_epoch);
            let marked = self.options.save_every.is_some_and(|n| step.is_multiple_of(n));
            if marked {
                self.log_step(epoch)?;
            }
            if last || (step.is_multiple_of(per_epoch) && self.logs_epoch(epoch)) {
                let record = self.averages.record(step, epoch, Split::Train);
                let test = self.evaluate(epoch)?;
                self.log(&record)?;
                if let Some(test) = &test {
                    self.log(test)?;
                }
                sink.epoch(&self.plan, &record, test.as_ref(), epoch_started.elapsed());
                epoch_started = Instant::now();
                (self.last_train, self.last_test) = (Some(record), test);
                if saved.elapsed() > AUTOSAVE && !last {
                    self.save("last")?;
                    saved = Instant::now();
                }
            }
            if marked {
                self.save(&format!("step-{step:08}"))?;
            }
            if let Some(limit) = self.options.max_time
                && self.started.elapsed() > limit
                && !last
            {
                self.save("last")?;
                return Err(self.out_of_time(limit));
            }
        }
        if self.last_test.is_none() {
            // Nothing was left to train (a finished run was resumed, or no step was asked for).
            self.last_test = self.evaluate(self.plan.epochs)?;
        }
        self.save("final")?;
        self.save_weights()?;
        Ok(self.summary(loop_time))
    }

    /// Makes steps until something else is to be done.
    fn segment(&mut self, feed: &mut Feed, supply: &mut Supply, sink: &mut dyn Sink) -> Result<(), Failure> {
        let count = self.segment_length();
        let first = self.state.step + 1;
        let epoch = self.epoch();
        let constant = self.layout.is_constant();
        let until = self.options.max_time.map(|limit| self.started + limit);
        self.state.set_clocks(first);
        let before = self.options.check_nan.then(|| self.state.slots.clone());
        let is_partial = self.rows_of(first) != self.full.rows;
        let stage = if is_partial { self.partial.as_mut().expect("prepared before") } else { &mut self.full };
        if !(constant && supply.bound) {
            std::mem::swap(&mut stage.batch, supply.next(feed));
            supply.bound = true;
        }
        let rows = stage.rows;
        let losses = stage.observed.iter().filter(|o| o.is_loss).count();
        let (averages, recent, first_step) = (&mut self.averages, &mut self.last_losses, &mut self.first_step);
        let (started, per_epoch) = (self.started, self.plan.steps_per_epoch);
        let mut step = first;
        let mut diverged = false;
        stage.run_many(&mut self.state, |between, results| {
            first_step.get_or_insert_with(|| started.elapsed());
            if per_epoch == 1 {
                // Several epochs of one step each may lie in a segment; the last one is reported.
                averages.clear();
            }
            averages.add(rows, |index| results.value(index));
            if recent.len() == 5 {
                recent.pop_front();
            }
            recent.push_back(results.value(0));
            diverged = (0..losses).any(|index| !results.value(index).is_finite());
            sink.progress(step, epoch);
            let done = step + 1 - first;
            if diverged || done == count || until.is_some_and(|end| Instant::now() > end) {
                return false;
            }
            step += 1;
            if !constant {
                between.swap_batch(supply.next(feed));
            }
            between.set_clocks(step);
            true
        });
        self.state.step = step;
        if diverged {
            return Err(self.diverged());
        }
        if let Some(before) = before {
            self.check_nan(before)?;
        }
        Ok(())
    }

    /// Rows of the batch of step number `step` (from 1).
    fn rows_of(&self, step: usize) -> usize {
        self.layout.rows_of((step - 1) % self.plan.steps_per_epoch)
    }

    /// How many steps can follow each other from here.
    fn segment_length(&self) -> usize {
        if self.options.check_nan {
            return 1;
        }
        let (step, per_epoch) = (self.state.step, self.plan.steps_per_epoch);
        let to_next = |n: usize| n - step % n;
        let mut count = (self.plan.steps - step).min(to_next(self.snapshot_every));
        if let Some(every) = self.options.save_every {
            count = count.min(to_next(every));
        }
        if per_epoch == 1 {
            let epochs = if self.state.has_metrics() { 1 } else { to_next(self.log_distance()) };
            return count.min(epochs);
        }
        count = count.min(to_next(per_epoch));
        let index = step % per_epoch;
        if self.layout.rows_of(index) == self.full.rows && self.layout.rows_of(per_epoch - 1) != self.full.rows {
            count = count.min(per_epoch - 1 - index);
        }
        count
    }

    fn log_distance(&self) -> usize {
        self.plan.epochs.div_ceil(LOGGED_EPOCHS).max(1)
    }

    fn logs_epoch(&self, epoch: usize) -> bool {
        epoch.is_multiple_of(self.log_distance())
    }

    /// Compiles the step for the last batch of an epoch, when its turn first comes.
    fn prepare_partial(&mut self) -> Result<(), Failure> {
        let rows = self.rows_of(self.state.step + 1);
        if rows == self.full.rows || self.partial.is_some() {
            return Ok(());
        }
        let clock = Instant::now();
        let graph = self.program.graphs.step(rows)?;
        self.partial = Some(Stage::new(self.program, &graph, self.engine, &self.state, &self.columns, rows)?);
        self.compile += clock.elapsed();
        Ok(())
    }

    fn evaluate(&mut self, epoch: usize) -> Result<Option<Record>, Failure> {
        if self.program.schema.test_rows == 0 {
            return Ok(None);
        }
        if self.evaluation.is_none() {
            let clock = Instant::now();
            self.evaluation = Some(Evaluation::new(self.program, self.engine, &self.state, self.plan.batch)?);
            self.compile += clock.elapsed();
        }
        let evaluation = self.evaluation.as_mut().expect("made above");
        // Parameters for evaluation may depend on the step (`eval theta = …`).
        self.state.set_clocks(self.state.step);
        let training = self.state.save_metrics();
        self.state.reset_metrics();
        let averages = evaluation.run(self.data, &mut self.state);
        self.state.restore_metrics(&training);
        Ok(Some(averages.record(self.state.step, epoch, Split::Test)))
    }

    fn log(&mut self, record: &Record) -> Result<(), Diagnostic> {
        self.folder.as_mut().map_or(Ok(()), |folder| folder.log(record))
    }

    /// Logs the values of the step just made.
    fn log_step(&mut self, epoch: usize) -> Result<(), Diagnostic> {
        let step = self.state.step;
        let is_partial = self.rows_of(step) != self.full.rows;
        let stage = if is_partial { self.partial.as_ref().expect("it ran") } else { &self.full };
        let values = stage.observed.iter().enumerate().map(|(i, o)| (o.name.clone(), stage.value(i))).collect();
        let record = Record { step, epoch, split: Split::Step, values };
        self.log(&record)
    }

    fn progress(&self) -> Progress {
        Progress {
            program: self.program.name.clone(),
            step: self.state.step,
            epoch: self.state.step.div_ceil(self.plan.steps_per_epoch),
            seed: self.plan.seed,
            batch: self.layout.batch,
            rows: self.layout.rows,
            sums: self.averages.to_bits(),
        }
    }

    fn save(&mut self, name: &str) -> Result<(), Diagnostic> {
        let progress = self.progress();
        let Some(folder) = &mut self.folder else { return Ok(()) };
        folder.flush()?;
        checkpoint::save(&folder.checkpoint(name), &self.program.buffers, self.state.buffers(), &progress)
    }

    /// Writes the parameters that evaluation uses, where they are not those of the checkpoint (`eval theta = …`).
    fn save_weights(&mut self) -> Result<(), Failure> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let path = folder.checkpoint("weights");
        let Some(graph) = self.program.graphs.weights()? else { return Ok(()) };
        self.state.set_clocks(self.state.step);
        let mut inputs = vec![];
        for input in &graph.inputs {
            let slot = self.state.slot(&input.kind, &input.name).ok_or_else(|| unbound(&graph, &input.name))?;
            inputs.push(self.state.slots[slot].clone());
        }
        let mut values = result_tensors(&graph);
        self.engine.compile(&graph)?.run(&mut inputs.iter_mut().collect::<Vec<_>>(), &mut values);
        let named = graph.outputs.iter().map(|o| o.name.clone()).zip(values).collect();
        Ok(checkpoint::save_values(&path, named)?)
    }

    /// Keeps a copy of the state from time to time, so that there is something to save when the loss becomes NaN.
    fn snapshot_if_due(&mut self) {
        let due = self.snapshots.back().is_none_or(|s| self.state.step >= s.step + self.snapshot_every);
        if self.folder.is_none() || self.snapshot_every == usize::MAX || !due {
            return;
        }
        let mut values = match self.snapshots.len() {
            2 => self.snapshots.pop_front().expect("there are two").values,
            _ => self.state.buffers().to_vec(),
        };
        for (to, from) in values.iter_mut().zip(self.state.buffers()) {
            super::state::copy(from, to);
        }
        self.snapshots.push_back(Snapshot { step: self.state.step, progress: self.progress(), values });
    }

    /// Saves the newest state that is known to give a finite loss, and says what happened.
    fn diverged(&mut self) -> Failure {
        let step = self.state.step;
        let loss = self.last_losses.back().copied().unwrap_or(f64::NAN);
        let title = format!("training diverged: the loss is {} at step {step} (epoch {})", show(loss), {
            step.div_ceil(self.plan.steps_per_epoch)
        });
        let mut diagnostic = error("E0601", title);
        let before: Vec<String> = self.last_losses.iter().rev().skip(1).rev().map(|l| show(*l)).collect();
        if !before.is_empty() {
            diagnostic = diagnostic.note(format!("losses of the steps before: {}", before.join(", ")));
        }
        let rates: Vec<_> = self.program.hypers.iter().filter(|h| is_rate(&h.name)).collect();
        for rate in &rates {
            diagnostic = diagnostic.note(format!("{} = {}", rate.name, readable(rate.value)));
        }
        match self.save_last_good(step) {
            Ok(Some(note)) => diagnostic = diagnostic.note(note),
            Ok(None) => {}
            Err(problem) => diagnostic = diagnostic.note(problem.title),
        }
        let mend = match rates.first() {
            // A name with a dot is inside an optimizer, where --set does not reach.
            Some(rate) if rate.name.contains('.') => {
                format!("try a smaller learning rate, such as {}", readable(rate.value / 10.0))
            }
            Some(rate) => {
                format!("try a smaller learning rate, as in --set {}={}", rate.name, readable(rate.value / 10.0))
            }
            None => "try a smaller learning rate".into(),
        };
        let rest = "clip the gradients, or look for the first NaN with --check-nan";
        Failure::Training(Box::new(diagnostic.help(format!("{mend}; or {rest}"))))
    }

    fn save_last_good(&mut self, bad_step: usize) -> Result<Option<String>, Diagnostic> {
        let Some(folder) = &mut self.folder else { return Ok(None) };
        folder.flush()?;
        // A snapshot taken right before the bad step already holds what made its loss bad.
        let good = self.snapshots.iter().rev().find(|s| s.step + 1 < bad_step);
        let Some(good) = good else { return Ok(None) };
        let path = folder.checkpoint("last-good");
        checkpoint::save(&path, &self.program.buffers, &good.values, &good.progress)?;
        Ok(Some(format!("the state after step {} is in '{}'", good.step, path.display())))
    }

    fn out_of_time(&self, limit: Duration) -> Failure {
        let (step, steps) = (self.state.step, self.plan.steps);
        let seconds = limit.as_secs_f64();
        let stopped = error("E0602", format!("stopped by --max-time {seconds} after step {step} of {steps}"));
        let stopped = match &self.plan.out {
            Some(out) => stopped.help(format!("--resume {} continues from there", out.display())),
            None => stopped,
        };
        Failure::Training(Box::new(stopped))
    }

    /// Looks for values that are not finite after a step, and for the operation that made the first one.
    fn check_nan(&mut self, before: Vec<Tensor>) -> Result<(), Failure> {
        let Some(bad) = nan::find(self.program, &self.state) else { return Ok(()) };
        let is_partial = self.rows_of(self.state.step) != self.full.rows;
        let stage = if is_partial { self.partial.as_ref().expect("it ran") } else { &self.full };
        let graph = self.program.graphs.step(stage.rows)?;
        let before = nan::Before { graph: &graph, stage, slots: before };
        Err(Failure::Training(Box::new(nan::explain(self.engine, before, &bad, self.state.step))))
    }

    /// Writes what the run's page needs beside the log. Nothing here may hide how the run itself ended.
    fn report(&mut self, ended: &Result<Summary, Failure>) {
        let Some(folder) = self.options.out.clone() else { return };
        if report::ended::has_a_model(ended) {
            self.state.set_clocks(self.state.step);
            let batch = self.layout.batch;
            let _ = report::predictions::write(&folder, self.program, self.engine, self.data, &self.state, batch);
        }
        report::ended::write(&folder, ended);
    }

    fn summary(&self, training: Duration) -> Summary {
        Summary {
            name: self.program.name.clone(),
            seed: self.plan.seed,
            steps: self.state.step,
            epochs: self.state.step.div_ceil(self.plan.steps_per_epoch),
            train: self.last_train.clone(),
            test: self.last_test.clone(),
            out: self.plan.out.clone(),
            first_step: self.first_step.unwrap_or_default(),
            compile: self.compile,
            training,
            steps_run: self.state.step - self.plan.done,
        }
    }
}

/// Batches for a stage, taken out of blocks one after another.
#[derive(Default)]
struct Supply {
    block: Option<Block>,
    next: usize,
    /// The stage holds a batch already.
    bound: bool,
}

impl Supply {
    /// The next batch; the caller swaps it for the one it has used.
    fn next(&mut self, feed: &mut Feed) -> &mut Vec<Tensor> {
        if self.block.as_ref().is_none_or(|b| b.filled == self.next) {
            let used = self.block.take();
            self.block = Some(feed.next(used));
            self.next = 0;
        }
        self.next += 1;
        &mut self.block.as_mut().expect("filled above").batches[self.next - 1]
    }
}

/// Loss and reports over the test part, compiled once for full batches and once for the rest.
struct Evaluation {
    layout: Layout,
    columns: Vec<ColumnType>,
    full: Stage,
    partial: Option<Stage>,
    /// A single batch stays in its stage.
    gathered: bool,
}

impl Evaluation {
    fn new(program: &Program, engine: &dyn Engine, state: &State, batch: usize) -> Result<Evaluation, Failure> {
        let rows = program.schema.test_rows;
        let layout = Layout { rows, batch: batch.min(rows), seed: 0, shuffle: false };
        let graph = program.graphs.eval(layout.batch)?;
        let columns = column_types(program, &graph, layout.batch)?;
        let full = Stage::new(program, &graph, engine, state, &columns, layout.batch)?;
        let rest = layout.rows_of(layout.batches() - 1);
        let partial = if rest == layout.batch {
            None
        } else {
            Some(Stage::new(program, &program.graphs.eval(rest)?, engine, state, &columns, rest)?)
        };
        Ok(Evaluation { layout, columns, full, partial, gathered: false })
    }

    fn run(&mut self, data: &dyn Rows, state: &mut State) -> Averages {
        let mut averages = Averages::new(&self.full.observed);
        let order: Vec<u32> = self.layout.order(1);
        for index in 0..self.layout.batches() {
            let rows = self.layout.rows_of(index);
            let from = index * self.layout.batch;
            let partial = self.partial.as_mut().filter(|p| p.rows == rows);
            let stage = partial.unwrap_or(&mut self.full);
            if !self.gathered {
                for (column, tensor) in self.columns.iter().zip(&mut stage.batch) {
                    data.gather(true, &column.name, &order[from..from + rows], tensor);
                }
            }
            stage.run(state);
            averages.add(rows, |i| stage.value(i));
        }
        self.gathered = self.layout.is_constant();
        averages
    }
}

fn layout_of(program: &Program, seed: u64) -> Result<Layout, Failure> {
    let rows = program.schema.train_rows;
    let shuffle = program.settings.shuffle;
    match program.settings.batch {
        _ if rows == 0 => Err(error("E0303", "there is no row to train on").into()),
        None => Ok(Layout { rows, batch: rows, seed, shuffle: false }),
        Some(batch) if batch > rows => {
            let what =
                error("E0303", format!("a batch of {batch} is larger than the {rows} rows of the training part"));
            Err(what.help(format!("use 'batch = {rows}' or less")).into())
        }
        Some(batch) => Ok(Layout { rows, batch: batch.max(1), seed, shuffle }),
    }
}

/// Epochs and steps of the whole run.
fn extent(program: &Program, options: &TrainOptions, per_epoch: usize) -> (usize, usize) {
    let settings = &program.settings;
    let steps = match (options.steps, options.epochs) {
        (Some(steps), Some(epochs)) => steps.min(epochs.saturating_mul(per_epoch)),
        (Some(steps), None) => steps,
        (None, Some(epochs)) => epochs.saturating_mul(per_epoch),
        (None, None) => {
            let all = settings.epochs.saturating_mul(per_epoch);
            settings.steps.map_or(all, |steps| steps.min(all))
        }
    };
    (steps.div_ceil(per_epoch), steps)
}

fn resume_point(options: &TrainOptions) -> Result<Option<(PathBuf, Progress)>, Failure> {
    if !options.resume {
        return Ok(None);
    }
    let folder = options.out.clone().unwrap_or_default();
    let found = checkpoint::newest(&folder);
    let nothing = || error("E0502", format!("there is no checkpoint to resume from in '{}'", folder.display()));
    found.map(Some).ok_or_else(|| nothing().into())
}

/// Everything that is needed to repeat the run.
fn config(program: &Program, plan: &Plan, options: &TrainOptions) -> Value {
    let hypers: serde_json::Map<_, _> =
        program.hypers.iter().map(|h| (h.name.clone(), super::metrics::number(h.value))).collect();
    let mut config = json!({
        "program": program.name,
        "seed": plan.seed,
        "batch": plan.batch,
        "epochs": plan.epochs,
        "steps": plan.steps,
        "shuffle": program.settings.shuffle,
        "train_rows": program.schema.train_rows,
        "test_rows": program.schema.test_rows,
        "hypers": hypers,
        "versions": { "optc": env!("CARGO_PKG_VERSION") },
        "model": report::describe::model(program),
    });
    for (key, value) in &options.config {
        config[key] = value.clone();
    }
    config
}

/// Steps between two snapshots: copies shall cost less than a hundredth of the steps, and no large memory.
fn snapshot_distance(bytes: usize) -> usize {
    if bytes > 64 << 20 { usize::MAX } else { (bytes / 4096).clamp(25, 100) }
}

fn is_rate(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    matches!(last, "lr" | "rate" | "learning_rate" | "eta" | "η" | "α" | "peak")
}

/// A rate as a user would write it: `0.001`, `1e-5`, `1e30`; rounded where a division left a tail.
fn readable(value: f64) -> String {
    let rounded: f64 = format!("{value:.6e}").parse().unwrap_or(value);
    let small = rounded != 0.0 && !(1e-4..1e6).contains(&rounded.abs());
    if small { format!("{rounded:e}") } else { format!("{rounded}") }
}

fn show(value: f64) -> String {
    match super::metrics::number(value) {
        Value::String(text) => text,
        _ => format!("{value:.4e}"),
    }
}
