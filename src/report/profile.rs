//! `profile.json`: where the time of a training step goes, by source line (`optc run --profile`).

use crate::bench::profile::profile;
use crate::bench::step::Step;
use crate::driver::Job;
use crate::source::SourceMap;
use crate::train::Failure;
use crate::train::metrics::number;
use serde_json::{Value, json};
use std::path::Path;

/// About this long is measured.
const SECONDS: f64 = 0.5;

/// Compiles the step once more, runs it with a clock between its parts, and writes what they took.
pub fn write(folder: &Path, job: &Job, threads: usize, sources: &SourceMap) -> Result<(), Failure> {
    let mut step = Step::new(&job.program, job.dataset.as_ref(), threads, &mut vec![])?;
    let steps = step.steps_in(SECONDS);
    let parts = profile(&mut step, steps, sources);
    let parts: Vec<Value> = parts
        .iter()
        .map(|p| {
            json!({
                "name": p.name,
                "source": p.place,
                "count": p.count,
                "seconds": number(p.time.as_secs_f64()),
                "bytes": p.bytes,
                "gb_per_s": number(p.bytes_per_second() / 1e9),
                "gflop_per_s": (p.flops > 0.0).then(|| number(p.flops_per_second() / 1e9)),
            })
        })
        .collect();
    let text = format!("{}\n", json!({ "steps": steps, "threads": threads, "parts": parts }));
    Ok(super::save(folder, "profile.json", text.as_bytes())?)
}
