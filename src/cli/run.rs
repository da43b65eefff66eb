//! `optc run FILE`

use super::runs::{self, Beside, RUNS};
use super::{DONE, Status, USAGE, WRONG, args, compare, experiment, output, progress, table};
use crate::diag::error;
use crate::driver::{self, Experiment, Job, Request, Session};
use crate::experiment::lr_range::{self, Range};
use crate::experiment::sweep::{Setup, State, Sweep};
use crate::ir::DType;
use crate::report;
use crate::sema::program::Objective;
use crate::train::metrics::number;
use crate::train::{Engine, Failure, Summary, TrainOptions, folder, train};
use serde_json::{Map, Value, json};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Args {
    /// The program: its `train`, `compare` or `sweep` is run
    pub file: PathBuf,
    #[command(flatten)]
    shape: args::Shape,
    /// Seed of initial values, shuffling and dropout
    #[arg(long)]
    pub seed: Option<u64>,
    /// Threads to use (default: all)
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// What runs the program
    #[arg(long, value_enum, default_value = "jit")]
    pub engine: args::Engine,
    /// Stop after this many steps
    #[arg(long)]
    steps: Option<usize>,
    /// Passes over the training rows
    #[arg(long)]
    epochs: Option<usize>,
    /// Where the run's files go (default: runs/NAME/TIME)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue a run from its newest checkpoint (default: the newest run)
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    pub resume: Option<Option<PathBuf>>,
    /// Begin with the weights in a file of an earlier run
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    weights: Option<PathBuf>,
    /// With --weights or --resume: take what fits of another model's file
    #[arg(long)]
    partial: bool,
    /// Write a checkpoint every so many steps
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    save_every: Option<u64>,
    /// Train while the learning rate grows, and show where the loss falls (default: 1e-7..10)
    #[arg(long, value_name = "LOW..HIGH", num_args = 0..=1, require_equals = true, value_parser = rates)]
    #[arg(conflicts_with = "resume")]
    lr_range: Option<Option<Range>>,
    /// After each step, look for values that are not finite
    #[arg(long)]
    check_nan: bool,
    /// Stop (with status 3) after this time
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    max_time: Option<Duration>,
    #[command(flatten)]
    pub beside: Beside,
    /// After the run, time the kernels of a step, by source line, for the report
    #[arg(long)]
    pub profile: bool,
    /// Only results and problems
    #[arg(long)]
    pub quiet: bool,
    /// Results as JSON: an object an epoch, and a last one
    #[arg(long)]
    pub json: bool,
}

/// The rates of `--lr-range`.
const RANGE: Range = Range { low: 1e-7, high: 10.0, steps: 100 };

fn rates(text: &str) -> Result<Range, String> {
    let ends = text.split_once("..").and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
    match ends {
        Some((low, high)) if 0.0 < low && low < high && high < f64::INFINITY => Ok(Range { low, high, ..RANGE }),
        _ => Err("expected two positive numbers, such as 1e-6..1".into()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let value: f64 =
        text.strip_suffix('s').unwrap_or(text).parse().map_err(|_| "expected a number of seconds".to_string())?;
    Duration::try_from_secs_f64(value).map_err(|e| e.to_string())
}

pub fn run(args: Args) -> Status {
    let mut session = Session::new();
    if let Err(problem) = session.open(&args.file) {
        output::remark(&format!("optc: {problem}"));
        return USAGE;
    }
    let mut request = args.shape.request();
    let out = match place(&mut session, &args, &request) {
        Ok(out) => out,
        Err(End::Usage(problem)) => {
            output::remark(&format!("optc: {problem}"));
            return USAGE;
        }
        Err(End::Failed(failure)) => {
            output::failure(&session.sources, failure.diagnostics(), args.json);
            return WRONG;
        }
    };
    if args.resume.is_some() {
        repeat(&mut request, &out);
    }
    if args.lr_range.is_some() && request.name.is_none() {
        // A range test is of the training, also in a file that compares.
        request.name = session.first_training().unwrap_or_default();
    }
    let experiment = match session.experiment(&request) {
        Ok(experiment) => experiment,
        Err(problems) => {
            output::failure(&session.sources, &problems, args.json);
            return WRONG;
        }
    };
    output::diagnostics(&session.sources, &session.warnings);
    let threads = args.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()), usize::from);
    let interrupt = Arc::new(AtomicBool::new(false));
    listen(&interrupt);
    let engine = driver::engine(args.engine.kind(), threads);
    let runner = Runner {
        engine,
        threads,
        session: &session,
        args: &args,
        sets: &request.sets,
        float: request.float,
        out,
        interrupt,
    };
    let several = !matches!(experiment, Experiment::Train(_));
    let ended = match experiment {
        Experiment::Train(job) => match args.lr_range {
            Some(range) => runner.range(&job, range.unwrap_or(RANGE)),
            None => runner.single(&job),
        },
        Experiment::Compare { name, jobs } => compare::run(&runner, &name, &jobs).map_err(End::Failed),
        Experiment::Sweep(sweep) => runner.sweep(&sweep),
    };
    if several {
        runs::report_on_all(&runner.out, args.beside);
    }
    match ended {
        Ok(()) => DONE,
        Err(End::Usage(problem)) => {
            output::remark(&format!("optc: {problem}"));
            USAGE
        }
        Err(End::Failed(failure)) => {
            output::failure(&session.sources, failure.diagnostics(), args.json);
            failure.exit_status()
        }
    }
}

/// Why a command stopped.
enum End {
    Usage(String),
    Failed(Failure),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> End {
        End::Failed(failure)
    }
}

/// What the runs of one command share.
pub(super) struct Runner<'a> {
    engine: Box<dyn Engine>,
    pub threads: usize,
    pub session: &'a Session,
    pub args: &'a Args,
    /// `--set`, and those of the run that is resumed.
    sets: &'a [(String, String)],
    float: DType,
    pub out: PathBuf,
    interrupt: Arc<AtomicBool>,
}

/// The run's folder.
fn place(session: &mut Session, args: &Args, request: &Request) -> Result<PathBuf, End> {
    if let Some(Some(resumed)) = &args.resume {
        return Ok(resumed.clone());
    }
    if let Some(out) = &args.out {
        return Ok(out.clone());
    }
    let name = session.subject(request).map_err(Failure::from)?;
    if args.resume.is_none() {
        return Ok(folder::fresh(Path::new(RUNS), &name));
    }
    folder::latest(Path::new(RUNS), &name)
        .ok_or_else(|| End::Usage(format!("--resume: there is no run in {RUNS}/{name}")))
}

/// A resumed run has the hyper-parameters of its beginning, unless the command line says otherwise.
fn repeat(request: &mut Request, out: &Path) {
    let Ok(text) = std::fs::read_to_string(out.join("config.json")) else { return };
    let Ok(config) = serde_json::from_str::<Value>(&text) else { return };
    let recorded = config["set"].as_object().into_iter().flatten();
    let known = recorded.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_string())));
    let mut sets: Vec<(String, String)> = known.collect();
    sets.retain(|(name, _)| !request.sets.iter().any(|(n, _)| n == name));
    sets.append(&mut request.sets);
    request.sets = sets;
    if let Some(float) = [DType::F32, DType::F64].into_iter().find(|f| config["float"] == f.name()) {
        request.float = float;
    }
}

/// The first Ctrl-C asks the training to stop after its step; a second one ends the process.
fn listen(flag: &Arc<AtomicBool>) {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The order matters: the shutdown looks at what the flag was before this signal. Without signals (some systems
        // forbid them) Ctrl-C ends the process, as ever.
        let _ = signal_hook::flag::register_conditional_shutdown(signal, 130, flag.clone());
        let _ = signal_hook::flag::register(signal, flag.clone());
    }
}

impl Runner<'_> {
    fn single(&self, job: &Job) -> Result<(), End> {
        let summary = self.train(job, self.args.seed.or(job.seed), self.out.clone())?;
        if self.args.json {
            output::object(&summary_json(&summary));
        } else {
            output::line(table::render(&result_rows(&summary)).trim_end());
            if std::io::stdout().is_terminal()
                && let Some(curves) = summary.out.as_ref().and_then(|out| runs::sparklines(out))
            {
                output::line(&curves);
            }
            if let Some(sample) = &summary.sample {
                output::line(&format!("\n{sample}"));
            }
        }
        Ok(())
    }

    fn sweep(&self, sweep: &Sweep) -> Result<(), End> {
        self.describe("sweep", sweep.name(), Some(&sweep.objective))?;
        let engine = driver::engine(self.args.engine.kind(), 1);
        let setup = Setup {
            out: self.out.clone(),
            threads: self.threads,
            engine: engine.as_ref(),
            resume: self.args.resume.is_some(),
            started: Instant::now(),
            options: self.options("", None, None),
            seed: self.args.seed,
        };
        if !self.args.quiet {
            let (name, out) = (sweep.name(), self.out.display());
            output::remark(&format!("{name}: {} trials, {} at a time; to {out}", sweep.count(), self.threads));
        }
        let trials = sweep.run(&setup, &mut |trial, best| {
            if !self.args.quiet {
                output::remark(&experiment::trial_line(sweep, trial, best));
            }
        })?;
        experiment::swept(sweep, &trials, &self.out, &self.args.file, self.args.json);
        if trials.iter().all(|trial| trial.state == State::Diverged) {
            let what = error("E0601", format!("training diverged in all {} trials", trials.len()));
            let what = what.help("search smaller learning rates, or clip the gradients");
            return Err(Failure::Training(Box::new(what)).into());
        }
        Ok(())
    }

    fn range(&self, job: &Job, range: Range) -> Result<(), End> {
        self.describe("lr_range", &job.program.name, None)?;
        let options = self.options("", self.args.seed, None);
        let range = Range { steps: self.args.steps.unwrap_or(range.steps).max(2), ..range };
        let (name, points) = lr_range::run(&job.program, self.engine.as_ref(), job.dataset.as_ref(), &options, range)?;
        experiment::ranged(&name, &points, lr_range::advice(&points), &self.out, self.args.json);
        runs::report_on_all(&self.out, self.args.beside);
        Ok(())
    }

    /// The folder of several runs says how to repeat them, as that of one does.
    pub fn describe(&self, kind: &str, name: &str, objective: Option<&Objective>) -> Result<(), Failure> {
        let mut config = self.config("");
        config.insert(kind.into(), json!(name));
        if let Some(objective) = objective {
            config.insert("objective".into(), json!(objective.to_string()));
            config.insert("maximize".into(), json!(objective.maximize));
        }
        folder::describe(&self.out, &Value::Object(config))?;
        // What an earlier experiment found is not what this one will find.
        let _ = std::fs::remove_file(self.out.join(format!("{kind}.json")));
        Ok(())
    }

    fn train(&self, job: &Job, seed: Option<u64>, out: PathBuf) -> Result<Summary, Failure> {
        let options = self.options("", seed, Some(out.clone()));
        let mut progress = progress::Progress::new(self.args.quiet, self.args.json);
        let ended = train(&job.program, self.engine.as_ref(), job.dataset.as_ref(), &options, &mut progress);
        if self.args.profile && ended.is_ok() {
            report::profile::write(&out, job, self.threads, &self.session.sources)?;
        }
        runs::report_on(&out, self.args.beside);
        ended
    }

    pub fn options(&self, label: &str, seed: Option<u64>, out: Option<PathBuf>) -> TrainOptions {
        // Of several runs some may not have begun when the process ended.
        let begun = |out: &PathBuf| *out == self.out || out.join("config.json").exists();
        let resume = self.args.resume.is_some() && out.as_ref().is_some_and(begun);
        let mut search: Vec<PathBuf> = self.args.shape.data.iter().cloned().collect();
        search.extend(self.session.folder().map(Path::to_path_buf));
        TrainOptions {
            threads: self.threads,
            seed,
            steps: self.args.steps,
            epochs: self.args.epochs,
            out,
            save_every: self.args.save_every.map(|n| n as usize),
            check_nan: self.args.check_nan,
            max_time: self.args.max_time,
            resume,
            weights: self.args.weights.clone(),
            partial: self.args.partial,
            interrupt: Some(self.interrupt.clone()),
            search,
            config: self.config(label),
        }
    }

    /// What the run's `config.json` says beside the program's settings.
    fn config(&self, label: &str) -> Map<String, Value> {
        let sets: Map<String, Value> = self.sets.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let mut config = Map::new();
        if !label.is_empty() {
            config.insert("label".into(), json!(label));
        }
        config.insert("command".into(), json!(command()));
        config.insert("set".into(), Value::Object(sets));
        config.insert("float".into(), json!(self.float.name()));
        config.insert("data".into(), json!(self.args.shape.data));
        config.insert("file".into(), json!({ "path": self.args.file, "text": self.session.text() }));
        config
    }
}

/// The words of this process's command, with a program's name that works elsewhere.
fn command() -> Vec<String> {
    let given = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    std::iter::once("optc".to_string()).chain(given).collect()
}

fn result_rows(summary: &Summary) -> Vec<Vec<String>> {
    let records = [("train", &summary.train), ("test", &summary.test)];
    let present: Vec<_> = records.iter().filter_map(|(name, r)| r.as_ref().map(|r| (*name, r))).collect();
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in present.iter().flat_map(|(_, r)| &r.values) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut rows = vec![std::iter::once(String::new()).chain(names.iter().map(|n| n.to_string())).collect()];
    for (split, record) in present {
        let cell = |name: &&str| record.get(name).map_or("-".into(), progress::short);
        rows.push(std::iter::once(split.to_string()).chain(names.iter().map(cell)).collect());
    }
    rows
}

fn summary_json(summary: &Summary) -> Value {
    let values = |record: &Option<crate::train::metrics::Record>| record.as_ref().map(|r| r.values_json());
    json!({
        "name": summary.name,
        "seed": summary.seed,
        "steps": summary.steps,
        "epochs": summary.epochs,
        "train": values(&summary.train),
        "test": values(&summary.test),
        "out": summary.out,
        "stopped": summary.stopped,
        "seconds": number(summary.training.as_secs_f64()),
        "steps_per_second": number(summary.steps_per_second()),
        "compile_seconds": number(summary.compile.as_secs_f64()),
        "first_step_seconds": number(summary.first_step.as_secs_f64()),
        "sample": summary.sample,
    })
}
