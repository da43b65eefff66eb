//! One workload, measured as the scripts of the other libraries measure it: the same command line, the same protocol,
//! the same line of JSON. See `README.md`.

use optc::bench::step::Step;
use optc::bench::{Noise, Stages, machine, median};
use optc::driver::{Experiment, Request, Session};
use optc::ir::DType;
use optc::sema::program::Program;
use optc::train::Rows;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Workload, its program, rows of a batch.
const TRAINED: [(&str, &str, usize); 8] = [
    ("linreg", concat!(env!("CARGO_MANIFEST_DIR"), "/benches/linreg.opt"), 16),
    ("mlp", concat!(env!("CARGO_MANIFEST_DIR"), "/benches/mlp.opt"), 128),
    ("mlp_wide", concat!(env!("CARGO_MANIFEST_DIR"), "/benches/mlp_wide.opt"), 256),
    ("gpt", concat!(env!("CARGO_MANIFEST_DIR"), "/benches/gpt.opt"), 32),
    ("lstm", concat!(env!("CARGO_MANIFEST_DIR"), "/benches/lstm.opt"), 32),
    ("cnn32", concat!(env!("CARGO_MANIFEST_DIR"), "/benches/cnn32.opt"), 32),
    ("cnn128", concat!(env!("CARGO_MANIFEST_DIR"), "/benches/cnn128.opt"), 128),
    ("resnet8", concat!(env!("CARGO_MANIFEST_DIR"), "/benches/resnet8.opt"), 64),
];

/// Rule, expression, least bytes a parameter: with one tensor, with many small ones (a second pass finds them in a cache).
const RULES: [(&str, &str, usize, usize); 6] = [
    ("sgd_momentum", "SGD(0.01, momentum = 0.9)", 20, 20),
    ("adam", "Adam(1e-3)", 28, 28),
    ("adamw", "AdamW(1e-3, weight_decay = 0.01)", 28, 28),
    ("lion", "Lion(1e-4, weight_decay = 0.01)", 20, 20),
    ("adabelief", "AdaBelief(1e-3)", 28, 28),
    ("lamb", "LAMB(1e-3)", 40, 28),
];

/// Name, number of tensors, elements of each.
const TENSORS: [(&str, usize, usize); 2] = [("1x10M", 1, 10_000_000), ("200x50k", 200, 50_000)];

struct Options {
    workload: String,
    threads: usize,
    /// Steps of a timed chunk; 0: as many as fill `chunk_s`.
    steps: usize,
    chunks: usize,
    chunk_s: f64,
    warmup_s: f64,
    pin: bool,
}

fn main() -> ExitCode {
    let main_started = Instant::now();
    match options().and_then(|options| measure(&options, main_started)) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("peer: {problem}");
            ExitCode::from(2)
        }
    }
}

fn options() -> Result<Options, String> {
    let mut options =
        Options { workload: String::new(), threads: 1, steps: 0, chunks: 7, chunk_s: 0.5, warmup_s: 1.0, pin: true };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        let wrong = |text: String| format!("{arg}: '{text}' is not a number");
        match arg.as_str() {
            "--threads" => options.threads = value().and_then(|v| v.parse().map_err(|_| wrong(v)))?,
            "--steps" => options.steps = value().and_then(|v| v.parse().map_err(|_| wrong(v)))?,
            "--chunks" => options.chunks = value().and_then(|v| v.parse().map_err(|_| wrong(v)))?,
            "--chunk-s" => options.chunk_s = value().and_then(|v| v.parse().map_err(|_| wrong(v)))?,
            "--warmup-s" => options.warmup_s = value().and_then(|v| v.parse().map_err(|_| wrong(v)))?,
            "--mode" if value()? == "jit" => {}
            "--mode" => return Err("the only mode is jit".into()),
            "--no-pin" => options.pin = false,
            // What `cargo bench` adds.
            "--json" | "--bench" => {}
            name if !name.starts_with('-') && options.workload.is_empty() => options.workload = arg,
            other => return Err(format!("unknown argument '{other}'")),
        }
    }
    if options.workload.is_empty() || options.threads == 0 || options.chunks == 0 {
        return Err(
            "usage: peer WORKLOAD [--threads N] [--chunks N] [--chunk-s S] [--warmup-s S] [--steps N] [--no-pin]"
                .into(),
        );
    }
    if options.pin {
        pin(options.threads)?;
    }
    Ok(options)
}

/// Restarts this process (its start time stays) on the first `threads` processors, as the other libraries' scripts do.
#[cfg(target_os = "linux")]
fn pin(threads: usize) -> Result<(), String> {
    use std::os::unix::process::CommandExt;
    let allowed = std::thread::available_parallelism().map_err(|e| e.to_string())?.get();
    if allowed <= threads {
        return Ok(());
    }
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    let processors = format!("0-{}", threads - 1);
    let problem = std::process::Command::new("taskset")
        .args(["--cpu-list", &processors])
        .arg(me)
        .args(std::env::args_os().skip(1))
        .exec();
    Err(format!("cannot run taskset ({problem}); use --no-pin"))
}

#[cfg(not(target_os = "linux"))]
fn pin(_threads: usize) -> Result<(), String> {
    Ok(())
}

struct Work {
    program: Program,
    data: Arc<dyn Rows>,
    /// Rows of a batch, or of parameters; and bytes a parameter if it is an optimizer alone.
    rows: usize,
    bytes: Option<usize>,
}

fn work(session: &mut Session, workload: &str) -> Result<Work, String> {
    if let Some((_, file, rows)) = TRAINED.iter().find(|(name, ..)| *name == workload) {
        session.open(Path::new(file))?;
        return match session.experiment(&Request::default()).map_err(|d| texts(&d))? {
            Experiment::Train(job) => Ok(Work { program: job.program, data: job.dataset, rows: *rows, bytes: None }),
            Experiment::Compare { .. } | Experiment::Sweep(_) => Err("the workload is not one training".into()),
        };
    }
    let unknown = || format!("unknown workload '{workload}'");
    let (rule, shape) = workload.strip_prefix("opt_").and_then(|w| w.rsplit_once('_')).ok_or_else(unknown)?;
    let (_, text, one, many) = RULES.iter().find(|(name, ..)| *name == rule).ok_or_else(unknown)?;
    let (_, count, length) = TENSORS.iter().find(|(name, ..)| *name == shape).ok_or_else(unknown)?;
    let program = session.update(text, &vec![vec![*length]; *count], DType::F32).map_err(|d| texts(&d))?;
    let bytes = if *count == 1 { one } else { many };
    Ok(Work { program, data: Arc::new(Noise), rows: count * length, bytes: Some(*bytes) })
}

fn texts(all: &[optc::diag::Diagnostic]) -> String {
    all.iter().map(|d| d.title.as_str()).collect::<Vec<_>>().join("; ")
}

fn measure(options: &Options, main_started: Instant) -> Result<serde_json::Value, String> {
    let mut session = Session::new();
    let work = work(&mut session, &options.workload)?;
    let mut stages: Stages = session.timings.clone();
    let made = Step::new(&work.program, work.data.as_ref(), options.threads, &mut stages);
    let mut step = made.map_err(|failure| texts(failure.diagnostics()))?;
    let loss1 = step.run(1);
    let since_main = main_started.elapsed().as_secs_f64();
    let first_step = machine::since_start().unwrap_or(since_main);
    let loss10 = step.run(9);
    let warm = Instant::now();
    while warm.elapsed().as_secs_f64() < options.warmup_s {
        step.run(3);
    }
    let count = if options.steps > 0 { options.steps } else { step.steps_in(options.chunk_s) };
    let mut rates = vec![];
    let mut last = loss10;
    for _ in 0..options.chunks {
        let clock = Instant::now();
        last = step.run(count);
        rates.push(count as f64 / clock.elapsed().as_secs_f64());
    }
    let rate = median(&rates);
    // Preparing values and data is not compiling.
    let compiling = stages.iter().filter(|(name, _)| !["data", "starting values", "batches"].contains(name));
    let compile: f64 = compiling.map(|(_, time)| time.as_secs_f64()).sum();
    let number = |value: f64| if value.is_finite() { json!(value) } else { json!(null) };
    let mut line = json!({
        "peer": "optc",
        "version": env!("CARGO_PKG_VERSION"),
        "mode": "jit",
        "workload": options.workload,
        "threads": options.threads,
        "first_step_s": number(first_step),
        "main_to_first_step_s": number(since_main),
        "compile_s": number(compile),
        "steps_per_s": number(rate),
        "steps_per_s_min": number(rates.iter().copied().fold(f64::INFINITY, f64::min)),
        "steps_per_s_max": number(rates.iter().copied().fold(0.0, f64::max)),
        "chunk_steps": count,
        "peak_rss_mb": machine::peak_memory().map(|bytes| (bytes as f64 / 1024.0 / 102.4).round() / 10.0),
        "loss_step1": number(loss1),
        "loss_step10": number(loss10),
        "final_loss": number(last),
    });
    match work.bytes {
        Some(bytes) => {
            line["bytes_per_param"] = json!(bytes);
            line["gbps"] = number(rate * (work.rows * bytes) as f64 / 1e9);
        }
        None => line["samples_per_s"] = number(rate * work.rows as f64),
    }
    Ok(line)
}
