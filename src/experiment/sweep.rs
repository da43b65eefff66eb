//! The trials of a `sweep`: chosen in batches, run in parallel with one thread each, stopped early where it pays.
//!
//! With `halving = k`, trials run in stages of E/k², E/k and E epochs, and after each only those among the best 1/k of all
//! that came so far go on (K. Jamieson and A. Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
//! Optimization", 2016; promotion against all earlier trials as in L. Li et al., "A System for Massively Parallel
//! Hyperparameter Tuning", 2020). Which go on is decided when the whole batch has reached the stage, so that it does not
//! depend on which trial was faster.
//!
//! Each trial leaves its run folder, and each stage a line in `trials.jsonl`. A sweep that was killed makes the same
//! choices again, and takes the results of lines that are there instead of running them.

use super::maker::{Job, Maker};
use super::pool;
use super::runs::Plan;
use super::search::{BATCH, Tried};
use super::space::{Dimension, Point};
use crate::diag::{Diagnostic, error};
use crate::sema::program::{Objective, Program};
use crate::source::Span;
use crate::syntax::ast::Expr;
use crate::train::metrics::{number, to_number};
use crate::train::{Engine, Failure, Silent, Summary, TrainOptions, among_others, is_divergence, train};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

pub struct Sweep {
    maker: Maker,
    plan: Plan,
    pub objective: Objective,
    /// Epochs of a whole trial, and the seed of all of them.
    epochs: usize,
    seed: u64,
}

/// How trials are run.
pub struct Setup<'a> {
    pub out: PathBuf,
    /// Trials at the same time.
    pub threads: usize,
    /// An engine of one thread.
    pub engine: &'a dyn Engine,
    pub resume: bool,
    /// The time limit is the sweep's.
    pub started: Instant,
    /// For each trial: its place in the folder and its configuration are added.
    pub options: TrainOptions,
    pub seed: Option<u64>,
}

/// A trial and where it ended.
#[derive(Clone, Debug)]
pub struct Trial {
    pub number: usize,
    pub places: Vec<f64>,
    /// The hyper-parameters as the user would write them.
    pub set: Vec<(String, String)>,
    pub state: State,
    pub epochs: usize,
    /// Of the last stage; NaN if it diverged.
    pub value: f64,
    /// Of the first stage, which all trials have: comparable among all.
    pub first: f64,
    /// Stages that were run.
    stages: usize,
    pub seconds: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Done,
    /// Not among the best at its stage.
    Stopped,
    Diverged,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Done => "done",
            State::Stopped => "stopped",
            State::Diverged => "diverged",
        }
    }
}

/// What a stage of a trial gave.
#[derive(Clone, Debug)]
struct Outcome {
    value: f64,
    diverged: bool,
    epochs: usize,
    seconds: f64,
}

/// The corners of the space: what is wrong with a program shows there.
pub fn corners(space: &[Dimension]) -> Vec<Vec<(String, Expr)>> {
    let mut all: Vec<Vec<f64>> = vec![vec![0.0; space.len()]];
    for (d, dimension) in space.iter().enumerate() {
        let places = dimension.grid(2).into_iter().skip(1);
        all.extend(places.map(|place| (0..space.len()).map(|k| if k == d { place } else { 0.0 }).collect()));
    }
    all.iter().map(|places| overrides(space, places)).collect()
}

fn points(space: &[Dimension], places: &[f64]) -> Vec<Point> {
    space.iter().zip(places).map(|(d, p)| d.at(*p)).collect()
}

fn overrides(space: &[Dimension], places: &[f64]) -> Vec<(String, Expr)> {
    space.iter().zip(points(space, places)).map(|(d, point)| (d.name.clone(), point.expr)).collect()
}

/// What the sweep is judged by: its own objective, or the training's.
pub fn objective(plan: &Plan, program: &Program) -> Result<Objective, Diagnostic> {
    let Some((maximize, test, name, at)) = &plan.objective else {
        return Ok(program.settings.control.objective.clone());
    };
    let at = *at;
    if *test && program.schema.test_rows == 0 {
        let what = error("E0307", "the sweep is judged by the test part, and the data has none").at(at, "this sweep");
        return Err(what.help("add a step such as `split(test = 0.2)` to the data"));
    }
    let names = || program.reports.iter().filter(|r| !(*test && r.train_only)).map(|r| r.name.as_str());
    if !names().any(|n| n == name) {
        let what = error("E0307", format!("the training reports no '{name}'")).at(at, "not reported");
        let what = what.note(format!("reported values: {}", names().collect::<Vec<_>>().join(", ")));
        let named = Span { start: at.end - name.len() as u32, ..at };
        return Err(what.did_you_mean(named, name, names()));
    }
    Ok(Objective { maximize: *maximize, test: *test, name: name.clone() })
}

impl Sweep {
    /// Fails if the program is wrong at the corners of the space.
    pub fn new(maker: Maker, plan: Plan) -> Result<Sweep, Vec<Diagnostic>> {
        let mut first = None;
        for corner in corners(&plan.space) {
            let (program, _) = maker.program(&corner, None)?;
            first.get_or_insert(program);
        }
        let first = first.ok_or_else(|| vec![error("E0901", "internal error: a space without corners")])?;
        let objective = objective(&plan, &first).map_err(|d| vec![d])?;
        let settings = &first.settings;
        Ok(Sweep { maker, plan, objective, epochs: settings.epochs.max(1), seed: settings.seed })
    }

    pub fn name(&self) -> &str {
        self.maker.name()
    }

    pub fn space(&self) -> &[Dimension] {
        &self.plan.space
    }

    pub fn count(&self) -> usize {
        self.plan.strategy.trials(&self.plan.space)
    }

    /// The first trial's job, to look at.
    pub fn first(&self) -> Result<Job, Vec<Diagnostic>> {
        let places = self.plan.strategy.suggest(&self.plan.space, 0, &[], self.plan.seed);
        self.job(&places)
    }

    fn job(&self, places: &[f64]) -> Result<Job, Vec<Diagnostic>> {
        let (program, pipeline) = self.maker.program(&overrides(&self.plan.space, places), None)?;
        let dataset = self.maker.data(&pipeline)?;
        Ok(Job { label: String::new(), seed: None, fold: None, program, dataset })
    }

    /// Makes all trials; `told` hears of each that is over, with the best so far.
    pub fn run(&self, setup: &Setup<'_>, told: &mut dyn FnMut(&Trial, &Trial)) -> Result<Vec<Trial>, Failure> {
        let stages = self.stages(setup.options.epochs);
        let log = Log::open(&setup.out, setup.resume)?;
        let mut trials: Vec<Trial> = vec![];
        let mut tried: Vec<Tried> = vec![];
        let mut at_stage: Vec<Vec<f64>> = vec![vec![]; stages.len()];
        let total = self.count();
        while trials.len() < total {
            let first = trials.len();
            for number in first..(first + BATCH).min(total) {
                let places = self.plan.strategy.suggest(&self.plan.space, number, &tried, self.plan.seed);
                tried.push(Tried { places: places.clone(), value: None });
                let texts = points(&self.plan.space, &places).into_iter().map(|p| p.text);
                let set = self.plan.space.iter().map(|d| d.name.clone()).zip(texts).collect();
                trials.push(Trial {
                    number,
                    places,
                    set,
                    state: State::Done,
                    epochs: 0,
                    value: f64::NAN,
                    first: f64::NAN,
                    stages: 0,
                    seconds: 0.0,
                });
            }
            let batch = &mut trials[first..];
            let mut going: Vec<usize> = (0..batch.len()).collect();
            for (stage, epochs) in stages.iter().enumerate() {
                let outcomes = self.stage(setup, &log, batch, &going, stage, *epochs)?;
                for (index, outcome) in going.iter().zip(outcomes) {
                    let trial = &mut batch[*index];
                    (trial.value, trial.epochs) = (outcome.value, outcome.epochs);
                    if stage == 0 {
                        trial.first = outcome.value;
                    }
                    trial.stages = stage + 1;
                    trial.seconds += outcome.seconds;
                    if outcome.diverged {
                        trial.state = State::Diverged;
                    }
                    at_stage[stage].push(self.cost(outcome.value));
                }
                going.retain(|index| batch[*index].state == State::Done);
                if stage + 1 < stages.len() {
                    let limit = self.limit(&at_stage[stage]);
                    going.retain(|index| {
                        let goes_on = self.cost(batch[*index].value) <= limit;
                        if !goes_on {
                            batch[*index].state = State::Stopped;
                        }
                        goes_on
                    });
                }
            }
            for number in first..trials.len() {
                if let Some(best) = self.best(&trials[..=number]) {
                    told(&trials[number], best);
                }
            }
            // A trial that came further was better where the others stopped: values of one stage are compared with each
            // other, and stages by themselves. What diverged is worst, however far it came.
            let key = |t: &Trial| (t.state == State::Diverged, std::cmp::Reverse(t.stages));
            let mut order: Vec<&Trial> = trials.iter().collect();
            order.sort_by(|a, b| key(a).cmp(&key(b)).then(self.cost(a.value).total_cmp(&self.cost(b.value))));
            order.iter().enumerate().for_each(|(rank, trial)| tried[trial.number].value = Some(rank as f64));
        }
        Ok(trials)
    }

    /// Epochs of the stages.
    fn stages(&self, epochs: Option<usize>) -> Vec<usize> {
        let whole = epochs.unwrap_or(self.epochs).max(1);
        let mut stages = vec![whole];
        if let Some(k) = self.plan.halving {
            stages = vec![(whole / (k * k)).max(1), (whole / k).max(1), whole];
            stages.dedup();
        }
        stages
    }

    /// Smaller is better; what diverged is worst.
    pub fn cost(&self, value: f64) -> f64 {
        match value {
            v if v.is_nan() => f64::INFINITY,
            v if self.objective.maximize => -v,
            v => v,
        }
    }

    /// The value that a trial must reach to go on.
    fn limit(&self, costs: &[f64]) -> f64 {
        let mut sorted = costs.to_vec();
        sorted.sort_by(f64::total_cmp);
        let keep = sorted.len().div_ceil(self.plan.halving.unwrap_or(1)).max(1);
        sorted.get(keep - 1).copied().unwrap_or(f64::INFINITY)
    }

    /// The best trial that ran to its end; of stopped ones if there is none.
    pub fn best<'t>(&self, trials: &'t [Trial]) -> Option<&'t Trial> {
        let order = |t: &&Trial| (t.state != State::Done, self.cost(t.value));
        trials.iter().min_by(|a, b| order(a).0.cmp(&order(b).0).then(order(a).1.total_cmp(&order(b).1)))
    }

    /// Runs one stage of these trials, in parallel.
    fn stage(
        &self,
        setup: &Setup<'_>,
        log: &Log,
        batch: &[Trial],
        going: &[usize],
        stage: usize,
        epochs: usize,
    ) -> Result<Vec<Outcome>, Failure> {
        let trial = |k: usize| self.trial(setup, log, &batch[going[k]], stage, epochs);
        pool::run(going.len(), setup.threads, trial)
    }

    /// Runs a trial until so many epochs, or takes what the log says of it.
    fn trial(
        &self,
        setup: &Setup<'_>,
        log: &Log,
        trial: &Trial,
        stage: usize,
        epochs: usize,
    ) -> Result<Outcome, Failure> {
        if let Some(known) = log.known(trial, stage)? {
            return Ok(known);
        }
        let job = self.job(&trial.places)?;
        let out = setup.out.join(format!("trial-{:03}", trial.number + 1));
        let resume = stage > 0 || setup.resume && out.join("config.json").exists();
        if setup.resume {
            same_trial(&out, trial)?;
        }
        let mut options = TrainOptions {
            threads: 1,
            seed: setup.seed.or(Some(self.seed)),
            epochs: Some(epochs),
            // Also a trial that was killed in this stage goes on; a folder that another sweep left does not.
            resume,
            out: Some(out),
            max_time: setup.options.max_time.map(|limit| limit.saturating_sub(setup.started.elapsed())),
            ..setup.options.clone()
        };
        let label: Vec<String> = trial.set.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        options.config.insert("label".into(), json!(label.join(", ")));
        let sets = options.config.entry("set").or_insert_with(|| json!({}));
        trial.set.iter().for_each(|(name, value)| sets[name] = json!(value));
        let ended = train(&job.program, setup.engine, job.dataset.as_ref(), &options, &mut Silent);
        let (outcome, summary) = match ended {
            Ok(summary) => {
                let record = if self.objective.test { &summary.test } else { &summary.train };
                let value = record.as_ref().and_then(|r| r.get(&self.objective.name)).unwrap_or(f64::NAN);
                let seconds = summary.training.as_secs_f64() + summary.compile.as_secs_f64();
                (Outcome { value, diverged: false, epochs: summary.epochs, seconds }, Some(summary))
            }
            Err(Failure::Training(why)) if is_divergence(&why) => {
                (Outcome { value: f64::NAN, diverged: true, epochs, seconds: 0.0 }, None)
            }
            Err(other) => return Err(among_others(other, &setup.out)),
        };
        log.add(trial, stage, &outcome, summary.as_ref())?;
        Ok(outcome)
    }
}

/// A folder that is there already is of this trial.
fn same_trial(out: &Path, trial: &Trial) -> Result<(), Diagnostic> {
    let text = std::fs::read_to_string(out.join("config.json")).unwrap_or_default();
    let Ok(config) = serde_json::from_str::<Value>(&text) else { return Ok(()) };
    match trial.set.iter().find(|(name, value)| config["set"][name] != json!(value)) {
        None => Ok(()),
        Some((name, value)) => {
            let what = error("E0501", format!("'{}' is of another sweep", out.display()));
            let what = what.note(format!("its {name} was {}; now it would be {value}", config["set"][name]));
            Err(what.help(OTHER_SWEEP))
        }
    }
}

const OTHER_SWEEP: &str = "resume with the file that began the sweep, or begin a new one with another --out";

/// `trials.jsonl`: a line for each stage of each trial.
struct Log {
    path: PathBuf,
    file: Mutex<std::fs::File>,
    known: HashMap<(usize, usize), (Value, Outcome)>,
}

impl Log {
    fn open(out: &Path, resume: bool) -> Result<Log, Diagnostic> {
        let path = out.join("trials.jsonl");
        let unwritable = |why: std::io::Error| {
            let what = error("E0503", format!("cannot write the sweep's folder '{}'", out.display()));
            what.note(why.to_string()).help("choose another folder with --out")
        };
        let text = if resume { std::fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
        let mut known = HashMap::new();
        let mut whole = String::new();
        for line in text.lines() {
            // A line that was cut short is of a trial that will be run again.
            let Some((key, set, outcome)) = parse(line) else { continue };
            known.insert(key, (set, outcome));
            whole += &format!("{line}\n");
        }
        let open = || -> std::io::Result<std::fs::File> {
            std::fs::create_dir_all(out)?;
            crate::train::checkpoint::write_whole(&path, whole.as_bytes())?;
            OpenOptions::new().append(true).open(&path)
        };
        let file = Mutex::new(open().map_err(unwritable)?);
        Ok(Log { path, file, known })
    }

    /// What an earlier process found; an error if that was another trial.
    fn known(&self, trial: &Trial, stage: usize) -> Result<Option<Outcome>, Diagnostic> {
        let Some((set, outcome)) = self.known.get(&(trial.number, stage)) else { return Ok(None) };
        if *set == set_json(trial) {
            return Ok(Some(outcome.clone()));
        }
        let what = error("E0501", format!("'{}' is of another sweep", self.path.display()));
        let what = what.note(format!("trial {} was {set}; now it would be {}", trial.number + 1, set_json(trial)));
        Err(what.help(OTHER_SWEEP))
    }

    fn add(&self, trial: &Trial, stage: usize, outcome: &Outcome, summary: Option<&Summary>) -> Result<(), Diagnostic> {
        let values = |record: Option<&crate::train::metrics::Record>| record.map(|r| r.values_json());
        let line = json!({
            "trial": trial.number + 1,
            "stage": stage + 1,
            "set": set_json(trial),
            "state": if outcome.diverged { "diverged" } else { "done" },
            "objective": number(outcome.value),
            "epochs": outcome.epochs,
            "seconds": number(outcome.seconds),
            "train": values(summary.and_then(|s| s.train.as_ref())),
            "test": values(summary.and_then(|s| s.test.as_ref())),
        });
        let mut file = self.file.lock().unwrap_or_else(|e| e.into_inner());
        let written = file.write_all(format!("{line}\n").as_bytes()).and_then(|()| file.sync_data());
        written.map_err(|e| error("E0503", format!("cannot write '{}'", self.path.display())).note(e.to_string()))
    }
}

fn set_json(trial: &Trial) -> Value {
    Value::Object(trial.set.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<_, _>>())
}

fn parse(line: &str) -> Option<((usize, usize), Value, Outcome)> {
    let value: Value = serde_json::from_str(line).ok()?;
    let count = |name: &str| Some(value.get(name)?.as_u64()? as usize);
    let key = (count("trial")?.checked_sub(1)?, count("stage")?.checked_sub(1)?);
    let outcome = Outcome {
        value: to_number(value.get("objective")?)?,
        diverged: value.get("state")? == "diverged",
        epochs: count("epochs")?,
        seconds: value.get("seconds")?.as_f64()?,
    };
    Some((key, value.get("set")?.clone(), outcome))
}
