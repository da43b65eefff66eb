//! `result.json`: how a run ended. It is written last, so a folder without it belongs to a run that is under way or was killed.

use super::load;
use crate::train::checkpoint::write_whole;
use crate::train::metrics::{Record, number};
use crate::train::{Failure, Summary};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Diagnostics of runs that were stopped on purpose: what they have is good.
const STOPPED: [&str; 2] = ["E0602", "E0605"];

/// Whether the parameters are those of a run that went well, as far as it went.
pub fn has_a_model(ended: &Result<Summary, Failure>) -> bool {
    match ended {
        Ok(_) => true,
        Err(failure) => failure.diagnostics().first().is_some_and(|d| STOPPED.contains(&d.code)),
    }
}

/// Takes away what an earlier part of the run said about its end, and gives the time that it took.
pub fn begin(folder: &Path) -> Duration {
    let path = folder.join("result.json");
    let seconds = load::json(&path)["seconds"].as_f64().unwrap_or(0.0);
    let _ = std::fs::remove_file(path);
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// Writes the file. A full disk must not hide how the run itself ended, so problems are left to the other files.
pub fn write(folder: &Path, ended: &Result<Summary, Failure>) {
    if !folder.join("config.json").is_file() {
        return;
    }
    let text = format!("{}\n", of(ended));
    let _ = write_whole(&folder.join("result.json"), text.as_bytes());
}

fn of(ended: &Result<Summary, Failure>) -> Value {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    match ended {
        Ok(summary) => json!({
            "state": "finished",
            "ended": time,
            "why": summary.stopped,
            "train": summary.train.as_ref().map(Record::values_json),
            "test": summary.test.as_ref().map(Record::values_json),
            "steps": summary.steps,
            "epochs": summary.epochs,
            "steps_run": summary.steps_run,
            "seconds": number((summary.earlier + summary.training).as_secs_f64()),
            "steps_per_second": number(summary.steps_per_second()),
            "compile_seconds": number(summary.compile.as_secs_f64()),
            "first_step_seconds": number(summary.first_step.as_secs_f64()),
        }),
        Err(failure) => {
            let why = failure.diagnostics().first();
            let stopped = why.is_some_and(|d| STOPPED.contains(&d.code));
            json!({
                "state": if stopped { "stopped" } else { "failed" },
                "ended": time,
                "code": why.map(|d| d.code),
                "why": why.map(|d| d.title.clone()),
                "notes": why.map(|d| d.notes.clone()),
            })
        }
    }
}
