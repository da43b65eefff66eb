//! `profile.json`: where the time of a training step goes, by source line (`optc run --profile`).

use crate::bench::profile::{Part, profile};
use crate::bench::step::Step;
use crate::driver::Job;
use crate::source::SourceMap;
use crate::train::Failure;
use serde_json::{Value, json};
use std::path::Path;

/// About this long is measured.
const SECONDS: f64 = 0.5;

/// Compiles the step once more, runs it with a clock between its parts, and writes what they took.
pub fn write(folder: &Path, job: &Job, threads: usize, sources: &SourceMap) -> Result<(), Failure> {
    let mut step = Step::new(&job.program, job.dataset.as_ref(), threads, &mut vec![])?;
    let steps = step.steps_in(SECONDS);
    let parts = profile(&mut step, steps, sources);
    let parts: Vec<Value> = parts.iter().map(Part::to_json).collect();
    let text = format!("{}\n", json!({ "steps": steps, "threads": threads, "parts": parts }));
    Ok(super::save(folder, "profile.json", text.as_bytes())?)
}
