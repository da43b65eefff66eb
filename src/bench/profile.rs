//! The time of each instruction of a step, and what it did in that time.

use super::step::Step;
use crate::source::{SourceMap, Span};
use crate::train::metrics::number;
use serde_json::{Value, json};
use std::time::Duration;

/// Instructions of one kind and one place in the source.
#[derive(Clone, Debug)]
pub struct Part {
    /// The kernel's operations, or the library call's.
    pub name: String,
    /// `file:line`; empty for what no single line asked for.
    pub place: String,
    /// How many instructions of a step these are.
    pub count: usize,
    /// In one step.
    pub time: Duration,
    pub bytes: usize,
    /// Of products only: multiplications and additions.
    pub flops: f64,
}

impl Part {
    pub fn bytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.time.as_secs_f64().max(1e-12)
    }

    pub fn flops_per_second(&self) -> f64 {
        self.flops / self.time.as_secs_f64().max(1e-12)
    }

    /// As `optc bench --json` and the profiles of run folders have it.
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "source": self.place,
            "count": self.count,
            "seconds": number(self.time.as_secs_f64()),
            "bytes": self.bytes,
            "gb_per_s": number(self.bytes_per_second() / 1e9),
            "gflop_per_s": (self.flops > 0.0).then(|| number(self.flops_per_second() / 1e9)),
        })
    }
}

/// Runs `steps` steps with a clock between instructions, and takes the quickest time of each. The slowest part comes first.
pub fn profile(step: &mut Step, steps: usize, sources: &SourceMap) -> Vec<Part> {
    let times = step.run_timed(steps);
    let compiled = step.compiled();
    let mut parts: Vec<Part> = vec![];
    for (instruction, time) in compiled.instructions().into_iter().zip(times) {
        let place = line(sources, instruction.span);
        let known = parts.iter().position(|p| p.name == instruction.name && p.place == place);
        let index = known.unwrap_or_else(|| {
            let empty = Part { name: instruction.name, place, count: 0, time: Duration::ZERO, bytes: 0, flops: 0.0 };
            parts.push(empty);
            parts.len() - 1
        });
        let part = &mut parts[index];
        part.count += instruction.runs;
        part.time += time;
        part.bytes += instruction.bytes * instruction.runs;
        part.flops += instruction.flops * instruction.runs as f64;
    }
    parts.sort_by_key(|p| std::cmp::Reverse(p.time));
    parts
}

/// `file:line`
fn line(sources: &SourceMap, span: Span) -> String {
    if span == Span::default() {
        return String::new();
    }
    let place = sources.place(span);
    place.rsplit_once(':').map_or(String::new(), |(line, _column)| line.to_string())
}
