//! `optc runs`: run folders listed, compared, reported on, and cleaned.

use super::{DONE, Status, USAGE, WRONG, output, table};
use crate::diag::Diagnostic;
use crate::report::folders::{self, Entry};
use crate::report::load::{Run, Series};
use crate::report::page;
use crate::report::plot::scale::short;
use crate::report::spark::spark;
use crate::report::{self, trials};
use crate::source::SourceMap;
use crate::train::metrics::number;
use serde_json::{Value, json};
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// The folder below which runs are kept.
pub const RUNS: &str = "runs";

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where to look
    #[arg(default_value = RUNS)]
    folder: PathBuf,
    /// One object on stdout
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// A table of several runs, and one page with their curves
    Compare {
        /// Folders of runs; or names of programs, for their newest
        #[arg(required = true, value_name = "RUN")]
        runs: Vec<String>,
        /// Where the page goes
        #[arg(long, value_name = "DIR", default_value = "runs/comparison")]
        out: PathBuf,
        #[command(flatten)]
        beside: Beside,
        /// One object on stdout
        #[arg(long)]
        json: bool,
    },
    /// Write the reports of run folders anew
    Report {
        /// The run folders
        #[arg(required = true, value_name = "DIR")]
        folders: Vec<PathBuf>,
        #[command(flatten)]
        beside: Beside,
    },
    /// Delete old runs
    Clean {
        /// Where to look
        #[arg(default_value = RUNS)]
        folder: PathBuf,
        /// How many of each program to keep, the newest
        #[arg(long, value_name = "N", default_value = "3")]
        keep: usize,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// One object on stdout
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Plots {
    /// Vector graphics, in the folder plots/
    Svg,
}

/// What a report writes beside its page: shared with `optc run`.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Beside {
    /// Also write the pictures as files
    #[arg(long, value_enum, value_name = "FORMAT")]
    plots: Option<Plots>,
    /// Also write event files for TensorBoard
    #[arg(long)]
    tensorboard: bool,
}

impl Beside {
    pub fn options(self) -> report::Options {
        report::Options { plots: self.plots.is_some(), tensorboard: self.tensorboard }
    }
}

pub fn run(args: Args) -> Status {
    match args.command {
        None => list(&args.folder, args.json),
        Some(Command::Compare { runs, out, beside, json }) => compare(&runs, &out, beside, json),
        Some(Command::Report { folders, beside }) => write(&folders, beside),
        Some(Command::Clean { folder, keep, yes, json }) => clean(&folder, keep, yes, json),
    }
}

fn wrong(problem: Diagnostic) -> Status {
    output::diagnostics(&SourceMap::new(), &[problem]);
    WRONG
}

fn list(folder: &Path, json: bool) -> Status {
    let entries = folders::list(folder);
    if json {
        let all: Vec<Value> = entries.iter().map(entry_json).collect();
        output::object(&json!({ "runs": all }));
        return DONE;
    }
    if entries.is_empty() {
        output::remark(&format!("there is no run below '{}'", folder.display()));
        return DONE;
    }
    let mut rows = vec![["run", "state", "steps", "loss", "best", "", "metrics"].map(String::from).to_vec()];
    for entry in &entries {
        // Of a group, the run with the best loss speaks for it.
        let best = entry.runs.iter().min_by(|a, b| loss_of(a).total_cmp(&loss_of(b)));
        let mut row = vec![entry.path.display().to_string(), entry.state()];
        row.push(best.map_or(String::new(), |r| format!("{}", r.last.0)));
        let loss = best.and_then(|r| r.find("test", "loss").or_else(|| r.find("train", "loss")));
        row.push(loss.map_or("-".into(), |s| short(s.last())));
        row.push(loss.and_then(Series::best).map_or("-".into(), |b| short(b.1)));
        row.push(loss.map_or(String::new(), |s| spark(&values(s), 12)));
        let others = best.map_or(vec![], |run| {
            let metrics = run.metrics();
            let split = metrics.first().map_or("test", |m| m.0).to_string();
            let own = metrics.into_iter().filter(|m| m.0 == split && m.1 != "loss").take(3);
            own.filter_map(|(split, name)| Some(format!("{name} {}", short(run.find(split, name)?.last())))).collect()
        });
        row.push(others.join("  "));
        rows.push(row);
    }
    output::line(table::render(&rows).trim_end());
    DONE
}

fn values(series: &Series) -> Vec<f64> {
    series.points.iter().map(|p| p.1).collect()
}

/// The last loss, of the test part where there is one; infinity for a run that has none.
fn loss_of(run: &Run) -> f64 {
    let series = run.find("test", "loss").or_else(|| run.find("train", "loss"));
    series.map(Series::last).filter(|v| !v.is_nan()).unwrap_or(f64::INFINITY)
}

fn run_json(run: &Run) -> Value {
    let mut metrics = serde_json::Map::new();
    for (split, name) in run.metrics() {
        let Some(series) = run.find(split, name) else { continue };
        let best = series.best();
        metrics.entry(split).or_insert_with(|| json!({}))[name] = json!({
            "last": number(series.last()),
            "best": best.map(|b| number(b.1)),
            "best_step": best.map(|b| b.0),
        });
    }
    json!({
        "folder": run.folder,
        "program": run.program(),
        "label": run.config["label"],
        "state": run.state(),
        "ended": run.result["ended"],
        "seconds": run.result["seconds"],
        "seed": run.config["seed"],
        "steps": run.last.0,
        "epochs": run.last.1,
        "metrics": metrics,
    })
}

fn entry_json(entry: &Entry) -> Value {
    if !entry.group {
        return entry.runs.first().map_or(Value::Null, run_json);
    }
    let runs: Vec<Value> = entry.runs.iter().map(run_json).collect();
    json!({ "folder": entry.path, "program": entry.program, "state": entry.state(), "runs": runs })
}

fn compare(names: &[String], out: &Path, beside: Beside, json: bool) -> Status {
    let mut runs: Vec<Run> = vec![];
    for name in names {
        let Some(entry) = folders::named(Path::new(RUNS), name) else {
            output::remark(&format!(
                "optc: there is no run in '{name}', and none of a program of that name below {RUNS}/"
            ));
            return USAGE;
        };
        for mut run in entry.runs {
            if runs.iter().any(|known| known.folder == run.folder) {
                continue;
            }
            if run.config["label"].is_null() {
                // Folders of one program differ in their time, those of several in their names.
                run.config["label"] = json!(format!("{} {}", run.program(), run.label()));
            }
            runs.push(run);
        }
    }
    if json {
        output::object(
            &json!({ "runs": runs.iter().map(run_json).collect::<Vec<_>>(), "report": out.join("report.html") }),
        );
    } else {
        output::line(table::render(&compare_rows(&runs)).trim_end());
    }
    if let Err(problem) = report::write_page(out, &runs, None, beside.options()) {
        return wrong(problem);
    }
    output::remark(&format!("the page is {}", out.join("report.html").display()));
    DONE
}

fn compare_rows(runs: &[Run]) -> Vec<Vec<String>> {
    let mut columns: Vec<(&str, &str)> = vec![];
    for column in runs.iter().flat_map(|r| r.metrics()) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns.sort_by_key(|(split, _)| *split == "train");
    let mut header = vec![String::new(), "state".into(), "steps".into()];
    header.extend(columns.iter().map(|(split, name)| format!("{split} {name}")));
    let mut rows = vec![header];
    for run in runs {
        let mut row = vec![run.label(), run.state().to_string(), format!("{}", run.last.0)];
        row.extend(columns.iter().map(|(split, name)| run.find(split, name).map_or("-".into(), |s| short(s.last()))));
        rows.push(row);
    }
    rows
}

fn write(folders: &[PathBuf], beside: Beside) -> Status {
    for folder in folders {
        if let Some(problem) = write_one(folder, beside).err() {
            return wrong(problem);
        }
        output::line(&folder.join("report.html").display().to_string());
    }
    DONE
}

/// Of a group, also the pages of its runs.
fn write_one(folder: &Path, beside: Beside) -> Result<(), Diagnostic> {
    if Run::read(folder).is_none() {
        for run in Run::read_all(folder) {
            report::write(&run.folder, beside.options())?;
        }
    }
    report::write(folder, beside.options())
}

fn clean(folder: &Path, keep: usize, yes: bool, json: bool) -> Status {
    let old = folders::old(folders::list(folder), keep);
    if old.is_empty() {
        if json {
            output::object(&json!({ "removed": [], "left": [] }));
        } else {
            output::remark(&format!("nothing to delete below '{}'", folder.display()));
        }
        return DONE;
    }
    if !yes {
        for entry in &old {
            output::remark(&format!("  {}  ({})", entry.path.display(), entry.state()));
        }
        if !std::io::stdin().is_terminal() {
            output::remark(&format!("optc: {} folders would be deleted; say so with --yes", old.len()));
            return USAGE;
        }
        if !confirmed(&format!("delete these {} folders?", old.len())) {
            return DONE;
        }
    }
    let mut left: Vec<PathBuf> = vec![];
    for entry in &old {
        match folders::remove(entry) {
            Ok(kept) => left.extend(kept),
            Err(problem) => {
                let what = format!("cannot delete '{}'", entry.path.display());
                return wrong(crate::diag::error("E0503", what).note(problem.to_string()));
            }
        }
    }
    if json {
        output::object(&json!({ "removed": old.iter().map(|e| &e.path).collect::<Vec<_>>(), "left": left }));
        return DONE;
    }
    output::line(&format!("deleted {} folders", old.len()));
    for path in left {
        output::remark(&format!("not ours, and left alone: {}", path.display()));
    }
    DONE
}

fn confirmed(question: &str) -> bool {
    let _ = write!(std::io::stderr(), "{question} [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// The curves of a run as lines of text, for the end of `optc run` on a terminal.
pub fn sparklines(folder: &Path) -> Option<String> {
    let run = Run::read(folder)?;
    let mut rows = vec![];
    for (split, name) in run.metrics().into_iter().rev() {
        let series = run.find(split, name)?;
        let first = series.points.first().map_or(f64::NAN, |p| p.1);
        let best = series.best().map_or(String::new(), |(step, value)| format!("best {} at step {step}", short(value)));
        rows.push(vec![
            format!("{split} {name}"),
            spark(&values(series), 32),
            format!("{} → {}", short(first), short(series.last())),
            best,
        ]);
    }
    let several = run.series.iter().any(|s| s.points.len() > 1);
    (several && !rows.is_empty()).then(|| table::render(&rows).trim_end().to_string())
}

/// Writes the report of an experiment of several runs, and of those that have none of their own.
pub fn report_on_all(folder: &Path, beside: Beside) {
    for run in Run::read_all(folder) {
        let age = |name: &str| std::fs::metadata(run.folder.join(name)).and_then(|m| m.modified()).ok();
        if age("report.html") < age("result.json").max(age("metrics.jsonl")) {
            report_on(&run.folder, beside);
        }
    }
    report_on(folder, beside);
}

/// Writes a report after a run. It is no reason for a good run to fail.
pub fn report_on(folder: &Path, beside: Beside) {
    let of_several = || trials::read(folder).is_some() || page::range::read(folder).is_some();
    let known = Run::read(folder).is_some() || of_several() || !Run::read_all(folder).is_empty();
    if known && let Err(problem) = report::write(folder, beside.options()) {
        output::diagnostics(&SourceMap::new(), &[problem]);
    }
}
