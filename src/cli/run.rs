//! `optc run FILE`

use super::runs::{self, Beside, RUNS};
use super::{DONE, Status, USAGE, WRONG, args, output, progress, table};
use crate::driver::{self, Experiment, Job, Session};
use crate::report;
use crate::train::compare::{Comparison, Variant};
use crate::train::metrics::number;
use crate::train::{Engine, Failure, Summary, TrainOptions, folder, train};
use serde_json::{Map, Value, json};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(clap::Args)]
pub struct Args {
    file: PathBuf,
    #[command(flatten)]
    shape: args::Shape,
    /// Seed of initial values, shuffling and dropout
    #[arg(long)]
    seed: Option<u64>,
    /// Threads to use (default: all)
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    #[arg(long, value_enum, default_value = "jit")]
    engine: args::Engine,
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
    resume: Option<Option<PathBuf>>,
    /// Write a checkpoint every so many steps
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    save_every: Option<u64>,
    /// After each step, look for values that are not finite
    #[arg(long)]
    check_nan: bool,
    /// Stop (with status 3) after this time
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    max_time: Option<Duration>,
    #[command(flatten)]
    beside: Beside,
    /// After the run, time the kernels of a step, by source line, for the report
    #[arg(long)]
    profile: bool,
    /// Only results and problems
    #[arg(long)]
    quiet: bool,
    /// Results as JSON: an object an epoch, and a last one
    #[arg(long)]
    json: bool,
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
    let experiment = match session.experiment(&args.shape.request()) {
        Ok(experiment) => experiment,
        Err(problems) => {
            output::failure(&session.sources, &problems, args.json);
            return WRONG;
        }
    };
    output::diagnostics(&session.sources, &session.warnings);
    let threads = args.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()), usize::from);
    let runner =
        Runner { engine: driver::engine(args.engine.kind(), threads), threads, session: &session, args: &args };
    let ended = match experiment {
        Experiment::Train(job) => runner.single(&job),
        Experiment::Compare { name, jobs } => runner.compare(&name, &jobs),
    };
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

struct Runner<'a> {
    engine: Box<dyn Engine>,
    threads: usize,
    session: &'a Session,
    args: &'a Args,
}

impl Runner<'_> {
    fn single(&self, job: &Job) -> Result<(), End> {
        let name = &job.program.name;
        let out = match (&self.args.resume, &self.args.out) {
            (Some(Some(resumed)), _) => resumed.clone(),
            (Some(None), Some(out)) => out.clone(),
            (Some(None), None) => folder::latest(Path::new(RUNS), name)
                .ok_or_else(|| End::Usage(format!("--resume: there is no run with a checkpoint in {RUNS}/{name}")))?,
            (None, Some(out)) => out.clone(),
            (None, None) => folder::fresh(Path::new(RUNS), name),
        };
        let summary = self.train(job, "", self.args.seed.or(job.seed), out)?;
        if self.args.json {
            output::object(&summary_json(&summary));
        } else {
            output::line(table::render(&result_rows(&summary)).trim_end());
            if std::io::stdout().is_terminal()
                && let Some(curves) = summary.out.as_ref().and_then(|out| runs::sparklines(out))
            {
                output::line(&curves);
            }
        }
        Ok(())
    }

    fn compare(&self, name: &str, jobs: &[Job]) -> Result<(), End> {
        if self.args.resume.is_some() {
            return Err(End::Usage("--resume continues a single training; this file compares several".into()));
        }
        let root = self.args.out.clone().unwrap_or_else(|| folder::fresh(Path::new(RUNS), name));
        let first_seed = jobs.iter().filter_map(|j| j.seed).min().unwrap_or(0);
        let mut variants: Vec<Variant> = Vec::new();
        for (index, job) in jobs.iter().enumerate() {
            // --seed moves the whole range of seeds.
            let moved = |s: u64| self.args.seed.map_or(s, |base| base.wrapping_add(s - first_seed));
            let seed = job.seed.map(moved).or(self.args.seed);
            let out = root.join(format!("{:02}-{}", index + 1, slug(&job.label)));
            let label = seed.map_or(job.label.clone(), |s| format!("{}, seed {s}", job.label));
            let summary = self.train(job, &label, seed, out)?;
            match variants.last_mut().filter(|v| v.label == job.label) {
                Some(variant) => variant.runs.push(summary),
                None => variants.push(Variant { label: job.label.clone(), runs: vec![summary] }),
            }
        }
        runs::report_on(&root, self.args.beside);
        let comparison = Comparison { name: name.to_string(), variants };
        if self.args.json {
            output::object(&comparison.to_json());
        } else {
            output::line(table::render(&comparison.table()).trim_end());
        }
        Ok(())
    }

    fn train(&self, job: &Job, label: &str, seed: Option<u64>, out: PathBuf) -> Result<Summary, Failure> {
        let mut search: Vec<PathBuf> = self.args.shape.data.iter().cloned().collect();
        search.extend(self.session.folder().map(Path::to_path_buf));
        let options = TrainOptions {
            threads: self.threads,
            seed,
            steps: self.args.steps,
            epochs: self.args.epochs,
            out: Some(out.clone()),
            save_every: self.args.save_every.map(|n| n as usize),
            check_nan: self.args.check_nan,
            max_time: self.args.max_time,
            resume: self.args.resume.is_some(),
            search,
            config: self.config(label),
        };
        let mut progress = progress::Progress::new(self.args.quiet, self.args.json, label);
        let ended = train(&job.program, self.engine.as_ref(), job.dataset.as_ref(), &options, &mut progress);
        if self.args.profile && ended.is_ok() {
            report::profile::write(&out, job, self.threads, &self.session.sources)?;
        }
        runs::report_on(&out, self.args.beside);
        ended
    }

    /// What the run's `config.json` says beside the program's settings.
    fn config(&self, label: &str) -> Map<String, Value> {
        let sets: Map<String, Value> =
            self.args.shape.sets.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let mut config = Map::new();
        if !label.is_empty() {
            config.insert("label".into(), json!(label));
        }
        config.insert("command".into(), json!(command()));
        config.insert("set".into(), Value::Object(sets));
        config.insert("float".into(), json!(self.args.shape.float.dtype().name()));
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

/// A label as a file name.
fn slug(label: &str) -> String {
    let simple = label.chars().map(|c| if c.is_alphanumeric() || c == '.' { c } else { ' ' });
    let words: String = simple.take(60).collect();
    words.split_whitespace().collect::<Vec<_>>().join("-")
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
        "seconds": number(summary.training.as_secs_f64()),
        "steps_per_second": number(summary.steps_per_second()),
        "compile_seconds": number(summary.compile.as_secs_f64()),
        "first_step_seconds": number(summary.first_step.as_secs_f64()),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn labels_become_file_names() {
        assert_eq!(super::slug("optimizer = SGD(0.01), β = 2"), "optimizer-SGD-0.01-β-2");
    }
}
