//! The training loop.
//!
//! Steps are made in segments: runs of steps of one compiled stage with nothing else to do between them. Segments end at
//! the end of an epoch, at checkpoints, and where a snapshot of the state is due.

mod reason;

use super::batches::{Block, ColumnType, Feed, Gatherer, Layout};
use super::checkpoint::{self, Progress, Want};
use super::control::{self, Tracker};
use super::evaluate::Evaluation;
use super::folder::{self, Folder};
use super::metrics::{Averages, Record, Split};
use super::pass::{Finish, Gathered};
use super::sample::Sampler;
use super::schedules::Schedules;
use super::stage::{Stage, column_types};
use super::start::{self, Start};
use super::state::{State, result_tensors, unbound};
use super::stopped;
use super::{Engine, Failure, Plan, Rows, Sink, Summary, TrainOptions, load, nan, replay};
use crate::diag::Diagnostic;
use crate::ir::InputKind;
use crate::report;
use crate::runtime::Tensor;
use crate::sema::program::{PLATEAUS, Program};
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// More epochs than this are logged and evaluated at equal distances only.
const LOGGED_EPOCHS: usize = 1000;
/// How often an epoch's end also writes `last.safetensors`, so that a killed run can be resumed.
const AUTOSAVE: Duration = Duration::from_secs(30);
/// The name of the checkpoint of the best state.
const BEST: &str = "best";

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
    gathered: Gathered,
}

/// The state with the best value of the objective.
struct Best {
    snapshot: Snapshot,
    train: Option<Record>,
    test: Option<Record>,
    /// Its file is written.
    saved: bool,
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
    /// Rows of the epoch that reports of the whole epoch need.
    gathered: Gathered,
    finish: Finish,
    tracker: Tracker,
    best: Option<Best>,
    folder: Option<Folder>,
    /// The newest two, the older one first.
    snapshots: VecDeque<Snapshot>,
    snapshot_every: usize,
    most_snapshots: usize,
    evaluation: Option<Evaluation>,
    sampler: Option<Sampler>,
    schedules: Option<Schedules>,
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
        let Start { resumed, seed, mut remarks } = start::find(program, options)?;
        let layout = start::layout(program, data, seed)?;
        let (steps_per_epoch, batch) = (layout.batches(), layout.batch);

        let clock = Instant::now();
        let mut state = State::init(program, engine, seed)?;
        let graph = program.graphs.step(batch)?;
        let columns = column_types(program, &graph, batch)?;
        let full = Stage::new(program, &graph, engine, &state, &columns, batch)?;
        let compile = clock.elapsed();
        load::apply(program, &options.search, &mut state)?;
        if let (Some(path), None) = (&options.weights, &resumed) {
            let left = checkpoint::restore(path, program, state.buffers_mut(), Want::Model, options.partial)?;
            remarks.extend(left.into_iter().map(|what| format!("not loaded: {what}")));
        }
        let sampler = Sampler::new(program, engine, data, &state)?;
        let mut averages = Averages::new(&full.observed);
        let (mut gathered, mut tracker) = (Gathered::default(), Tracker::default());
        if let Some((path, progress)) = &resumed {
            start::same_batches(path, progress, &layout)?;
            let left = checkpoint::restore(path, program, state.buffers_mut(), Want::State, options.partial)?;
            let same = start::same_reports(path, progress, &mut averages, options.partial)? && left.is_empty();
            remarks.extend(left.into_iter().map(|what| format!("not loaded: {what}")));
            state.step = progress.step;
            // What another model reached is no measure for this one.
            if same {
                gathered.set_tensors(&checkpoint::gathered(path)?);
                tracker = progress.tracker.clone();
            }
        }
        let (epochs, steps) = start::extent(program, options, steps_per_epoch);
        let schedules = Schedules::new(program, &state)?;
        let done = state.step;
        let earlier =
            options.out.as_deref().map(report::ended::begin).filter(|_| resumed.is_some()).unwrap_or_default();
        let plan =
            Plan { seed, batch, epochs, steps_per_epoch, steps, done, earlier, out: options.out.clone(), remarks };
        let mut kept = vec![];
        let folder = match &options.out {
            Some(path) => {
                match resumed {
                    Some(_) => kept = folder::lines_until(path, state.step, steps_per_epoch),
                    None => folder::remove_checkpoints(path),
                }
                Some(Folder::open(path, &start::config(program, &plan, options), &kept)?)
            }
            None => None,
        };
        let bytes: usize = program.buffers.iter().map(|b| b.ty.bytes()).sum();
        let (snapshot_every, most_snapshots) = reason::snapshots(bytes);
        let mut trainer = Trainer {
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
            gathered,
            finish: Finish::default(),
            tracker,
            best: None,
            folder,
            snapshots: VecDeque::new(),
            snapshot_every,
            most_snapshots,
            evaluation: None,
            sampler,
            schedules,
            started,
            compile,
            first_step: None,
            last_train: None,
            last_test: None,
            last_losses: VecDeque::new(),
        };
        trainer.set_plateaus();
        trainer.remember(&kept)?;
        Ok(trainer)
    }

    /// What the log and the file of the best state know of the part of the run that is over.
    fn remember(&mut self, kept: &[String]) -> Result<(), Diagnostic> {
        let last = |split: Split, until: usize| {
            kept.iter().rev().filter_map(|l| Record::parse(l)).find(|r| r.split == split && r.step <= until)
        };
        let (step, best_step) = (self.state.step, self.tracker.best_step);
        (self.last_train, self.last_test) = (last(Split::Train, step), last(Split::Test, step));
        let Some(folder) = self.folder.as_ref().filter(|_| self.keeps_best() && self.tracker.best().is_some()) else {
            return Ok(());
        };
        let path = folder.checkpoint(BEST);
        // A file of a later step is of the part of the run that was lost: it comes again.
        if let Some(progress) = checkpoint::progress_of(&path).filter(|p| p.step == best_step) {
            let mut values = self.state.buffers().to_vec();
            checkpoint::restore(&path, self.program, &mut values, Want::State, false)?;
            let snapshot = Snapshot { step: best_step, progress, values, gathered: Gathered::default() };
            let (train, test) = (last(Split::Train, best_step), last(Split::Test, best_step));
            self.best = Some(Best { snapshot, train, test, saved: true });
        }
        Ok(())
    }

    fn keeps_best(&self) -> bool {
        let control = &self.program.settings.control;
        control.keep_best || control.patience.is_some() && control.restore_best
    }

    /// Shows the count of plateaus to the schedules that read it.
    fn set_plateaus(&mut self) {
        if let Some(slot) = self.state.slot(&InputKind::Hyper, PLATEAUS) {
            self.state.slots[slot].f64s_mut()[0] = self.tracker.plateaus as f64;
        }
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
        while self.state.step < self.plan.steps && !self.tracker.is_over(&self.program.settings.control) {
            let per_epoch = self.plan.steps_per_epoch;
            if self.state.step.is_multiple_of(per_epoch) {
                self.state.reset_metrics();
                self.averages.clear();
                self.gathered.clear();
            }
            self.snapshot_if_due()?;
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
                self.end_epoch(epoch, epoch_started.elapsed(), sink)?;
                epoch_started = Instant::now();
                if saved.elapsed() > AUTOSAVE && !last {
                    self.save("last")?;
                    saved = Instant::now();
                }
            }
            if marked {
                self.save(&format!("step-{step:08}"))?;
                if let (Some(count), Some(out)) = (self.program.settings.control.keep_last, &self.plan.out) {
                    folder::keep_last(out, count);
                }
            }
            if !last && let Some(reason) = self.reason_to_stop() {
                self.save("last")?;
                return Err(reason);
            }
        }
        self.check_parameters()?;
        if self.last_test.is_none() {
            // Nothing was left to train (a finished run was resumed, or no step was asked for).
            self.last_test = self.evaluate(self.plan.epochs)?;
        }
        let made = self.state.step;
        let stopped = self.finish_early()?;
        self.save("final")?;
        self.save_weights()?;
        let sample = self.write_sample()?;
        Ok(Summary { sample, ..self.summary(loop_time, made, stopped) })
    }

    /// Logs the averages of an epoch, evaluates, and judges the outcome.
    fn end_epoch(&mut self, epoch: usize, took: Duration, sink: &mut dyn Sink) -> Result<(), Failure> {
        let step = self.state.step;
        let mut record = self.averages.record(step, epoch, Split::Train);
        let is_partial = self.rows_of(step) != self.full.rows;
        let stage = if is_partial { self.partial.as_ref().expect("it ran") } else { &self.full };
        record.tables = stage.tables();
        if let Some(schedules) = &self.schedules {
            record.hypers = schedules.over(&mut self.state, epoch, self.plan.steps_per_epoch);
        }
        record.extend(self.finish.reports(self.program, self.engine, &self.gathered, &self.state)?);
        let test = self.evaluate(epoch);
        self.log(&record)?;
        let test = match test {
            Err(Failure::Wrong(all)) if all.iter().any(|d| d.code == "E0411") => {
                return Err(all.into_iter().next().map_or(Failure::Wrong(vec![]), |lost| self.lost(lost)));
            }
            other => other?,
        };
        if let Some(test) = &test {
            self.log(test)?;
        }
        sink.epoch(&self.plan, &record, test.as_ref(), took);
        let control = &self.program.settings.control;
        if let Some(value) = control::objective(control, &record, test.as_ref()) {
            let better = self.tracker.judge(control, value, step, epoch);
            self.set_plateaus();
            if better && self.keeps_best() {
                self.keep_as_best(&record, test.as_ref());
            }
        }
        (self.last_train, self.last_test) = (Some(record), test);
        Ok(())
    }

    /// Ctrl-C, or the clock.
    fn reason_to_stop(&self) -> Option<Failure> {
        if self.interrupted() {
            return Some(stopped::interrupted(&self.plan, self.state.step));
        }
        let limit = self.options.max_time.filter(|limit| self.started.elapsed() > *limit)?;
        Some(stopped::out_of_time(&self.plan, self.state.step, limit))
    }

    /// The data can no longer be read: what was reached is saved.
    fn lost(&mut self, lost: Diagnostic) -> Failure {
        match self.save("last") {
            Ok(()) => stopped::without_data(&self.plan, self.state.step, lost),
            Err(problem) => Failure::Wrong(vec![lost, problem]),
        }
    }

    fn interrupted(&self) -> bool {
        self.options.interrupt.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    fn keep_as_best(&mut self, train: &Record, test: Option<&Record>) {
        let progress = self.progress();
        let mut values = match self.best.take() {
            Some(best) => best.snapshot.values,
            None => self.state.buffers().to_vec(),
        };
        for (to, from) in values.iter_mut().zip(self.state.buffers()) {
            super::state::copy(from, to);
        }
        let snapshot = Snapshot { step: self.state.step, progress, values, gathered: Gathered::default() };
        self.best = Some(Best { snapshot, train: Some(train.clone()), test: test.cloned(), saved: false });
    }

    /// With `patience`, the last state is saved to be resumed, and the best one becomes the run's result.
    fn finish_early(&mut self) -> Result<Option<String>, Failure> {
        let control = &self.program.settings.control;
        let mut story = self.tracker.is_over(control).then(|| stopped::early(&self.tracker, control));
        let restore = control.patience.is_some() && control.restore_best;
        if restore && self.best.as_ref().is_some_and(|best| best.snapshot.step != self.state.step) {
            self.save("last")?;
            let best = self.best.take().expect("looked at just now");
            for (to, from) in self.state.buffers_mut().iter_mut().zip(&best.snapshot.values) {
                super::state::copy(from, to);
            }
            self.state.step = best.snapshot.step;
            self.tracker = best.snapshot.progress.tracker.clone();
            self.gathered.clear();
            (self.last_train, self.last_test) = (best.train, best.test);
            let epoch = self.tracker.best_epoch;
            story = Some(match story {
                Some(story) => format!("{story}, whose state is the result"),
                None => format!("the result is the state of epoch {epoch}: {} was best there", control.objective),
            });
        }
        Ok(story)
    }

    /// Makes steps until something else is to be done.
    fn segment(&mut self, feed: &mut Feed, supply: &mut Supply, sink: &mut dyn Sink) -> Result<(), Failure> {
        let count = self.segment_length();
        let first = self.state.step + 1;
        let epoch = self.epoch();
        let constant = self.layout.is_constant();
        let until = self.options.max_time.map(|limit| self.started + limit);
        let interrupt = self.options.interrupt.clone();
        let fresh = if constant && supply.bound { None } else { Some(supply.next(feed)) };
        let fresh = fresh.transpose().map_err(|lost| self.lost(lost))?;
        self.state.set_clocks(first);
        let before = self.options.check_nan.then(|| self.state.slots.clone());
        let is_partial = self.rows_of(first) != self.full.rows;
        let stage = if is_partial { self.partial.as_mut().expect("prepared before") } else { &mut self.full };
        if let Some(batch) = fresh {
            std::mem::swap(&mut stage.batch, batch);
            supply.bound = true;
        }
        let rows = stage.rows;
        let losses = stage.observed.iter().filter(|o| o.is_loss).count();
        let (averages, recent, first_step) = (&mut self.averages, &mut self.last_losses, &mut self.first_step);
        let gathered = &mut self.gathered;
        let (started, per_epoch) = (self.started, self.plan.steps_per_epoch);
        let mut step = first;
        let (mut diverged, mut failed) = (false, None);
        stage.run_many(&mut self.state, |between, results| {
            first_step.get_or_insert_with(|| started.elapsed());
            if per_epoch == 1 {
                // Several epochs of one step each may lie in a segment; the last one is reported.
                averages.clear();
                gathered.clear();
            }
            averages.add(rows, |index| results.value(index));
            results.gather(gathered);
            if recent.len() == 5 {
                recent.pop_front();
            }
            recent.push_back(results.value(0));
            diverged = (0..losses).any(|index| !results.value(index).is_finite());
            failed = results.failed();
            sink.progress(step, epoch, results.value(0));
            let done = step + 1 - first;
            let interrupted = interrupt.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed));
            if diverged
                || failed.is_some()
                || done == count
                || interrupted
                || until.is_some_and(|end| Instant::now() > end)
            {
                return false;
            }
            if !constant {
                // What went wrong is told when the next segment asks again.
                let Ok(batch) = supply.next(feed) else { return false };
                between.swap_batch(batch);
            }
            step += 1;
            between.set_clocks(step);
            true
        });
        self.state.step = step;
        if let Some(failed) = failed {
            return Err(self.failed(&failed, before));
        }
        if diverged {
            return Err(self.diverged(before));
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
        let record = evaluation.run(self.program, self.engine, self.data, &mut self.state, epoch)?;
        self.state.restore_metrics(&training);
        Ok(Some(record))
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
        let hypers = self.schedules.as_ref().map_or(vec![], |schedules| schedules.now(&mut self.state));
        self.log(&Record { step, epoch, split: Split::Step, values, tables: vec![], hypers })
    }

    fn progress(&self) -> Progress {
        Progress {
            schema: checkpoint::SCHEMA,
            program: self.program.name.clone(),
            step: self.state.step,
            epoch: self.state.step.div_ceil(self.plan.steps_per_epoch),
            seed: self.plan.seed,
            batch: self.layout.batch,
            rows: self.layout.rows,
            buffer: self.layout.buffer,
            sums: self.averages.to_bits(),
            columns: start::columns(self.program),
            tracker: self.tracker.clone(),
        }
    }

    fn save(&mut self, name: &str) -> Result<(), Diagnostic> {
        let progress = self.progress();
        let Some(folder) = &mut self.folder else { return Ok(()) };
        folder.flush()?;
        let buffers = &self.program.buffers;
        // The best state goes first: every checkpoint can count on it.
        if let Some(best) = self.best.as_mut().filter(|best| !best.saved) {
            checkpoint::save(&folder.checkpoint(BEST), buffers, &best.snapshot.values, &best.snapshot.progress, &[])?;
            best.saved = true;
        }
        let in_epoch = !self.state.step.is_multiple_of(self.plan.steps_per_epoch);
        let rows = if in_epoch { self.gathered.tensors() } else { vec![] };
        checkpoint::save(&folder.checkpoint(name), buffers, self.state.buffers(), &progress, &rows)
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

    /// What the trained model writes, in `sample.txt` too.
    fn write_sample(&mut self) -> Result<Option<String>, Failure> {
        let Some(sampler) = &mut self.sampler else { return Ok(None) };
        let text = sampler.write(&mut self.state, self.plan.seed)?;
        if let Some(folder) = &self.folder {
            folder.write("sample.txt", &text)?;
        }
        Ok(Some(text))
    }

    fn summary(&self, training: Duration, made: usize, stopped: Option<String>) -> Summary {
        Summary {
            name: self.program.name.clone(),
            seed: self.plan.seed,
            steps: made,
            epochs: made.div_ceil(self.plan.steps_per_epoch),
            train: self.last_train.clone(),
            test: self.last_test.clone(),
            out: self.plan.out.clone(),
            first_step: self.first_step.unwrap_or_default(),
            compile: self.compile,
            training,
            earlier: self.plan.earlier,
            steps_run: made - self.plan.done,
            stopped,
            sample: None,
        }
    }
}

/// Batches for a stage, taken out of blocks one after another.
#[derive(Default)]
pub(super) struct Supply {
    block: Option<Block>,
    next: usize,
    /// The stage holds a batch already.
    bound: bool,
    /// Why no more batches come.
    lost: Option<Diagnostic>,
}

impl Supply {
    /// The next batch; the caller swaps it for the one it has used.
    pub fn next(&mut self, feed: &mut Feed) -> Result<&mut Vec<Tensor>, Diagnostic> {
        if let Some(lost) = &self.lost {
            return Err(lost.clone());
        }
        if self.block.as_ref().is_none_or(|b| b.filled == self.next) {
            let used = self.block.take();
            self.block = Some(feed.next(used).inspect_err(|lost| self.lost = Some(lost.clone()))?);
            self.next = 0;
        }
        self.next += 1;
        Ok(&mut self.block.as_mut().expect("filled above").batches[self.next - 1])
    }
}
