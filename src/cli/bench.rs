//! `optc bench FILE`: where the time of a training step goes.

use super::{DONE, Status, USAGE, WRONG, args, output, table};
use crate::bench::machine::{self, Bandwidth};
use crate::bench::profile::{Part, profile};
use crate::bench::step::Step;
use crate::bench::{Noise, Stages, median};
use crate::driver::{Experiment, Session};
use crate::passes::plan::memory::{lower_bound, without_reuse};
use crate::sema::program::Program;
use crate::train::metrics::number;
use crate::train::{Failure, Rows};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Args {
    /// The program; with --optimizer, a file whose definitions are in scope
    #[arg(required_unless_present = "optimizer")]
    file: Option<PathBuf>,
    #[command(flatten)]
    shape: args::Shape,
    /// Threads to use (default: all)
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// How long to measure
    #[arg(long, default_value = "3", value_parser = seconds)]
    seconds: f64,
    /// Measure an optimizer on its own, on given gradients
    #[arg(long, value_name = "EXPR")]
    optimizer: Option<String>,
    /// For --optimizer: COUNTxELEMENTS
    #[arg(long, value_name = "NxM", default_value = "1x10000000", value_parser = tensors, requires = "optimizer")]
    tensors: (usize, usize),
    /// One object on stdout
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.strip_suffix('s').unwrap_or(text).parse().map_err(|_| "expected a number of seconds")?;
    if (0.01..=3600.0).contains(&value) { Ok(value) } else { Err("expected 0.01 to 3600 seconds".into()) }
}

/// `200x50000`
fn tensors(text: &str) -> Result<(usize, usize), String> {
    const MOST: usize = 1 << 30;
    let parts = text.split_once('x').and_then(|(n, m)| Some((n.parse().ok()?, m.parse().ok()?)));
    match parts {
        Some((n, m)) if n > 0 && m > 0 && n <= MOST / m => Ok((n, m)),
        _ => Err(format!("expected the number of tensors and their length, such as 200x50000 (at most {MOST} in all)")),
    }
}

/// The timed part is cut into so many pieces; the median of their rates counts.
const CHUNKS: usize = 7;
/// Arrays of this many elements measure the bandwidth: 64 MB each, larger than any cache.
const STREAM: usize = 16 << 20;

pub fn run(args: Args) -> Status {
    let mut session = Session::new();
    if let Some(Err(problem)) = args.file.as_ref().map(|file| session.open(file)) {
        output::remark(&format!("optc: {problem}"));
        return USAGE;
    }
    match measure(&mut session, &args) {
        Ok(found) => {
            output::diagnostics(&session.sources, &session.warnings);
            if args.json {
                output::object(&found.to_json())
            } else {
                output::line(found.to_text().trim_end())
            }
            DONE
        }
        Err(failure) => {
            output::failure(&session.sources, failure.diagnostics(), args.json);
            WRONG
        }
    }
}

/// Everything that a measurement found.
struct Found {
    name: String,
    threads: usize,
    rows: usize,
    parameters: usize,
    steps_per_second: f64,
    parts: Vec<Part>,
    bandwidth: Bandwidth,
    stages: Stages,
    /// Until the end of the first step: from the start of the process, and from the start of this command.
    first_step: Option<f64>,
    first_step_here: Duration,
    peak: Option<usize>,
    /// Bytes of intermediate values: planned, without reuse, and the least that any plan needs.
    arena: [usize; 3],
    buffers: usize,
    load: Option<f64>,
}

fn measure(session: &mut Session, args: &Args) -> Result<Found, Failure> {
    let begin = Instant::now();
    let threads = args.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()), usize::from);
    let (program, data): (Program, Arc<dyn Rows>) = match &args.optimizer {
        Some(rule) => {
            let (count, length) = args.tensors;
            (session.update(rule, &vec![vec![length]; count], args.shape.float.dtype())?, Arc::new(Noise))
        }
        None => {
            // Of a comparison, the first variant.
            let job = match session.experiment(&args.shape.request())? {
                Experiment::Train(job) => Some(*job),
                Experiment::Compare { jobs, .. } => jobs.into_iter().next(),
                Experiment::Sweep(sweep) => Some(sweep.first()?),
            };
            let job = job.ok_or_else(|| Failure::Wrong(vec![]))?;
            (job.program, job.dataset)
        }
    };
    let mut stages = std::mem::take(&mut session.timings);
    let mut step = Step::new(&program, data.as_ref(), threads, &mut stages)?;
    step.run(1);
    let (first_step, first_step_here) = (machine::since_start(), begin.elapsed());
    let share = args.seconds / (CHUNKS + 2) as f64;
    let count = step.steps_in(share);
    let mut rates = vec![];
    for _ in 0..CHUNKS {
        let clock = Instant::now();
        step.run(count);
        rates.push(count as f64 / clock.elapsed().as_secs_f64());
    }
    let parts = profile(&mut step, count, &session.sources);
    let peak = machine::peak_memory();
    let plan = step.compiled().plan();
    let all_values = without_reuse(&plan.slots);
    Ok(Found {
        name: program.name.clone(),
        threads,
        rows: step.rows,
        parameters: program.buffers.iter().filter(|b| b.name.starts_with("params.")).map(|b| b.ty.elements()).sum(),
        steps_per_second: median(&rates),
        parts,
        arena: [plan.arena_bytes, all_values, lower_bound(&plan.slots)],
        buffers: program.buffers.iter().map(|b| b.ty.bytes()).sum(),
        stages,
        first_step,
        first_step_here,
        peak,
        bandwidth: machine::bandwidth(threads, STREAM, 5),
        load: machine::load(),
    })
}

impl Found {
    fn bytes(&self) -> usize {
        self.parts.iter().map(|p| p.bytes).sum()
    }

    fn flops(&self) -> f64 {
        self.parts.iter().map(|p| p.flops).sum()
    }

    fn to_text(&self) -> String {
        let micro = |d: Duration| format!("{:.1}", d.as_secs_f64() * 1e6);
        let mut out = format!(
            "{}: {} rows a step, {} parameters, {} threads\n\n",
            self.name, self.rows, self.parameters, self.threads
        );
        out += &format!(
            "{} steps/s ({:.1} us a step), {} a step at {:.1} GB/s",
            short(self.steps_per_second),
            1e6 / self.steps_per_second,
            bytes(self.bytes()),
            self.bytes() as f64 * self.steps_per_second / 1e9,
        );
        if self.flops() > 0.0 {
            out += &format!(", products {:.1} GFLOP/s over the step", self.flops() * self.steps_per_second / 1e9);
        }
        out += "\n\n";
        let header = ["instruction", "source", "count", "us", "share", "bytes", "GB/s", "of bound", "GFLOP/s"];
        let mut rows: Vec<Vec<String>> = vec![header.map(String::from).to_vec()];
        let total: f64 = self.parts.iter().map(|p| p.time.as_secs_f64()).sum();
        for p in &self.parts {
            rows.push(vec![
                p.name.clone(),
                p.place.clone(),
                p.count.to_string(),
                micro(p.time),
                format!("{:.1}%", 100.0 * p.time.as_secs_f64() / total.max(1e-12)),
                bytes(p.bytes),
                format!("{:.1}", p.bytes_per_second() / 1e9),
                format!("{:.2}", p.bytes_per_second() / self.bandwidth.best()),
                if p.flops > 0.0 { format!("{:.1}", p.flops_per_second() / 1e9) } else { String::new() },
            ]);
        }
        out += &table::render(&rows);
        let Bandwidth { copy, triad, update } = self.bandwidth;
        out += &format!(
            "\nbandwidth of this machine now, in GB/s: copy {:.1}, triad {:.1}, update in place {:.1}; the largest is the bound\n",
            copy / 1e9,
            triad / 1e9,
            update / 1e9
        );
        out += "(parts that stay in the caches pass it)\n\n";
        let mut rows = vec![vec!["compilation".to_string(), "ms".to_string()]];
        rows.extend(
            self.stages.iter().map(|(name, t)| vec![name.to_string(), format!("{:.2}", t.as_secs_f64() * 1e3)]),
        );
        rows.push(vec!["to the first step's end".into(), format!("{:.2}", self.first_step_here.as_secs_f64() * 1e3)]);
        if let Some(seconds) = self.first_step {
            rows.push(vec!["the same, from process start (±10)".into(), format!("{:.0}", seconds * 1e3)]);
        }
        out += &table::render(&rows);
        let [planned, all, least] = self.arena;
        out += &format!(
            "\nmemory: parameters and states {}, intermediate values {} (without reuse {}, lower bound {})",
            bytes(self.buffers),
            bytes(planned),
            bytes(all),
            bytes(least)
        );
        out += &self.peak.map_or(String::new(), |p| format!(", peak of the process {}", bytes(p)));
        out += &self.load.map_or(String::new(), |l| format!("\nload of the machine: {l}"));
        out + "\n"
    }

    fn to_json(&self) -> Value {
        let part = |p: &Part| {
            let mut value = p.to_json();
            value["of_bandwidth"] = json!(number(p.bytes_per_second() / self.bandwidth.best()));
            value
        };
        let mut stages: Map<String, Value> = Map::new();
        for (name, time) in &self.stages {
            stages.insert(name.to_string(), number(time.as_secs_f64()));
        }
        let [planned, all, least] = self.arena;
        let Bandwidth { copy, triad, update } = self.bandwidth;
        json!({
            "name": self.name,
            "threads": self.threads,
            "rows": self.rows,
            "parameters": self.parameters,
            "steps_per_s": number(self.steps_per_second),
            "bytes_per_step": self.bytes(),
            "flops_per_step": number(self.flops()),
            "parts": self.parts.iter().map(part).collect::<Vec<_>>(),
            "bandwidth_gb_per_s": {
                "copy": number(copy / 1e9), "triad": number(triad / 1e9), "update": number(update / 1e9),
            },
            "compile_s": stages,
            "first_step_s": self.first_step.map(number),
            "first_step_in_command_s": number(self.first_step_here.as_secs_f64()),
            "memory": {
                "buffers": self.buffers,
                "arena": planned,
                "all_values": all,
                "lower_bound": least,
                "peak": self.peak,
            },
            "load": self.load.map(number),
        })
    }
}

/// Three digits, or all before the point.
fn short(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn bytes(count: usize) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn tensors_are_counted() {
        assert_eq!(super::tensors("200x50000"), Ok((200, 50_000)));
        for wrong in ["", "200", "0x5", "5x0", "99999999999x99999999999", "x", "ax3"] {
            assert!(super::tensors(wrong).is_err(), "{wrong}");
        }
    }
}
