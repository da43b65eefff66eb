//! Where a run begins: anew, or at the newest checkpoint of its folder.

use super::batches::Layout;
use super::checkpoint::{self, Found, Progress};
use super::metrics::{Averages, number};
use super::{Failure, Plan, Rows, TrainOptions};
use crate::diag::{Diagnostic, error};
use crate::sema::program::Program;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub struct Start {
    pub resumed: Option<(PathBuf, Progress)>,
    pub seed: u64,
    /// What the user should know.
    pub remarks: Vec<String>,
}

/// The checkpoint to go on from, if the run is resumed, and the seed. A run that was killed before its first checkpoint
/// begins again: that gives the same bits.
pub fn find(program: &Program, options: &TrainOptions) -> Result<Start, Failure> {
    let given = options.seed.unwrap_or(program.settings.seed);
    if !options.resume {
        return Ok(Start { resumed: None, seed: given, remarks: vec![] });
    }
    let folder = options.out.clone().unwrap_or_default();
    let Found { newest, damaged } = checkpoint::find(&folder);
    let mut remarks: Vec<String> =
        damaged.iter().map(|path| format!("passed over: '{}' is cut short or damaged", path.display())).collect();
    let Some((path, progress)) = newest else {
        if !folder.join("config.json").exists() || !damaged.is_empty() {
            let mut what = error("E0502", format!("there is no checkpoint to resume from in '{}'", folder.display()));
            what.notes.extend(remarks);
            return Err(what.into());
        }
        remarks.push("nothing was saved yet: the run begins again".into());
        return Ok(Start { resumed: None, seed: given, remarks });
    };
    same_data(&path, &progress, program)?;
    if let Some(seed) = options.seed.filter(|seed| *seed != progress.seed) {
        let why = format!("the run began with seed {}", progress.seed);
        let what = error("E0501", format!("cannot resume from '{}' with seed {seed}", path.display()));
        return Err(what.note(why).help("leave out --seed").into());
    }
    Ok(Start { seed: progress.seed, resumed: Some((path, progress)), remarks })
}

/// `x: float[4]`, `label: int, 10 classes`: the columns that the step reads.
pub fn columns(program: &Program) -> Vec<String> {
    let column = |name: &String| {
        let column = program.schema.columns.iter().find(|c| c.name == *name)?;
        let base = if column.is_float { "float" } else { "int" };
        let shape: Vec<String> = column.shape.iter().map(usize::to_string).collect();
        let shape = if shape.is_empty() { String::new() } else { format!("[{}]", shape.join(", ")) };
        let classes = column.classes.map(|n| format!(", {n} classes")).unwrap_or_default();
        Some(format!("{name}: {base}{shape}{classes}"))
    };
    program.columns.iter().filter_map(column).collect()
}

fn same_data(path: &Path, progress: &Progress, program: &Program) -> Result<(), Diagnostic> {
    let refuse = || error("E0504", format!("cannot resume from '{}' with other data", path.display()));
    let (was, is) = (&progress.columns, columns(program));
    // Files of the first form say nothing about columns.
    if progress.schema > 1 && *was != is {
        let gone = was.iter().filter(|c| !is.contains(c)).map(|c| format!("the run began with {c}"));
        let new = is.iter().filter(|c| !was.contains(c)).map(|c| format!("the data now has {c}"));
        let mut what = refuse();
        what.notes.extend(gone.chain(new));
        return Err(what.help("resume with the data that the run began with, or begin a new run with --weights"));
    }
    if progress.rows != program.schema.train_rows {
        let rows = format!("it has {} training rows; the run began with {}", program.schema.train_rows, progress.rows);
        return Err(refuse().note(rows));
    }
    Ok(())
}

/// A step of the resumed run means the same rows.
pub fn same_batches(path: &Path, progress: &Progress, layout: &Layout) -> Result<(), Diagnostic> {
    if (progress.batch, progress.rows, progress.buffer) == (layout.batch, layout.rows, layout.buffer) {
        return Ok(());
    }
    let tell = |batch, rows, buffer: Option<usize>| {
        let order = buffer.map_or(String::new(), |buffer| format!(", shuffled in a buffer of {buffer}"));
        format!("batches of {batch} from {rows} rows{order}")
    };
    let was = format!("it was written with {}", tell(progress.batch, progress.rows, progress.buffer));
    let is = format!("this run has {}", tell(layout.batch, layout.rows, layout.buffer));
    Err(error("E0501", format!("cannot resume from '{}'", path.display())).note(was).note(is))
}

/// Takes back the sums of the unfinished epoch; false if they are of other reports and shall begin anew.
pub fn same_reports(
    path: &Path,
    progress: &Progress,
    averages: &mut Averages,
    partial: bool,
) -> Result<bool, Diagnostic> {
    let same = averages.set_bits(&progress.sums);
    if same || partial {
        return Ok(same);
    }
    let what = error("E0501", format!("cannot resume from '{}'", path.display()));
    Err(what.note("the step reports other values than it did").help("--partial begins their averages anew"))
}

/// How the rows of an epoch are cut into batches.
pub fn layout(program: &Program, data: &dyn Rows, seed: u64) -> Result<Layout, Failure> {
    let rows = program.schema.train_rows;
    let (shuffle, varies, buffer) = (program.settings.shuffle, data.varies(), data.buffer());
    match program.settings.batch {
        _ if rows == 0 => Err(error("E0303", "there is no row to train on").into()),
        None => Ok(Layout { rows, batch: rows, seed, shuffle: false, varies, buffer: None }),
        Some(batch) if batch > rows => {
            let what =
                error("E0303", format!("a batch of {batch} is larger than the {rows} rows of the training part"));
            Err(what.help(format!("use 'batch = {rows}' or less")).into())
        }
        Some(batch) => {
            Ok(Layout { rows, batch: batch.max(1), seed, shuffle, varies, buffer: buffer.filter(|_| shuffle) })
        }
    }
}

/// Epochs and steps of the whole run.
pub fn extent(program: &Program, options: &TrainOptions, per_epoch: usize) -> (usize, usize) {
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

/// Everything that is needed to repeat the run.
pub fn config(program: &Program, plan: &Plan, options: &TrainOptions) -> Value {
    let hypers: serde_json::Map<_, _> = program.hypers.iter().map(|h| (h.name.clone(), number(h.value))).collect();
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
        "model": crate::report::describe::model(program),
    });
    for (key, value) in &options.config {
        config[key] = value.clone();
    }
    config
}
