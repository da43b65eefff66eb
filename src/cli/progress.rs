//! What a run shows while it works: a bar on a terminal, a line an epoch elsewhere, objects for programs.

use super::{output, table};
use crate::driver::rules_table;
use crate::sema::program::Program;
use crate::train::metrics::Record;
use crate::train::{Plan, Sink, Summary};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// About as many epoch lines as a person reads.
const LINES: usize = 100;
/// Time between two moves of the bar.
const FRAME: Duration = Duration::from_millis(50);

/// Tells a run's story on stderr and, for `--json`, its epochs on stdout.
pub struct Progress {
    quiet: bool,
    json: bool,
    bar: Option<ProgressBar>,
    pace: Pace,
    epochs: usize,
}

/// Says when the bar is to move, without asking the clock in every step: a tiny step takes a few microseconds, and a look at
/// the clock a hundredth of that.
struct Pace {
    moved: Instant,
    /// Steps between two looks, and until the next one.
    stride: u32,
    left: u32,
}

impl Pace {
    fn new() -> Pace {
        Pace { moved: Instant::now(), stride: 1, left: 1 }
    }

    fn is_due(&mut self) -> bool {
        self.left -= 1;
        if self.left > 0 {
            return false;
        }
        let passed = self.moved.elapsed();
        // About eight looks a frame.
        if passed < FRAME / 8 {
            self.stride = (self.stride * 2).min(1 << 16);
        } else if passed > FRAME * 2 {
            self.stride = (self.stride / 4).max(1);
        }
        self.left = self.stride;
        let due = passed >= FRAME;
        if due {
            self.moved = Instant::now();
        }
        due
    }
}

impl Progress {
    pub fn new(quiet: bool, json: bool) -> Progress {
        Progress { quiet, json, bar: None, pace: Pace::new(), epochs: 0 }
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output::remark(text)),
            None => output::remark(text),
        }
    }
}

impl Sink for Progress {
    fn start(&mut self, program: &Program, plan: &Plan) {
        if self.quiet {
            return;
        }
        output::remark(&overview(program, plan));
        beginning(plan).iter().for_each(|remark| output::remark(remark));
        self.epochs = plan.epochs;
        self.bar = bar(plan.steps, plan.done, "{msg}  step {pos}/{len}  {per_sec}  {eta} left");
    }

    fn progress(&mut self, step: usize, epoch: usize, loss: f64) {
        if let Some(bar) = &self.bar
            && self.pace.is_due()
        {
            bar.set_message(format!("epoch {epoch}/{}  loss {}", self.epochs, short(loss)));
            bar.set_position(step as u64);
        }
    }

    fn epoch(&mut self, plan: &Plan, train: &Record, test: Option<&Record>, took: Duration) {
        if self.json {
            output::object(&train.to_json());
            if let Some(test) = test {
                output::object(&test.to_json());
            }
        }
        let stride = plan.epochs.div_ceil(LINES).max(1);
        if !self.quiet && (train.epoch.is_multiple_of(stride) || train.epoch == plan.epochs) {
            self.say(&epoch_line(plan, train, test, took));
        }
    }

    fn finish(&mut self, summary: &Summary) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if !self.quiet {
            if let Some(stopped) = &summary.stopped {
                output::remark(stopped);
            }
            output::remark(&closing(summary));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // A run that failed leaves no half bar behind.
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// What the user should know about a run's start.
fn beginning(plan: &Plan) -> Vec<String> {
    let resumed = (plan.done > 0).then(|| format!("resumed after step {} of {}", plan.done, plan.steps));
    plan.remarks.iter().cloned().chain(resumed).collect()
}

/// A bar, if there is a terminal to draw it on.
fn bar(length: usize, done: usize, words: &str) -> Option<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::with_draw_target(Some(length as u64), ProgressDrawTarget::stderr());
    let colour = if output::colour() { ".cyan" } else { "" };
    if let Ok(style) = ProgressStyle::with_template(&format!("{{bar:24{colour}}} {words}")) {
        bar.set_style(style);
    }
    bar.set_position(done as u64);
    bar.reset_eta();
    Some(bar)
}

mod several;
pub use several::Several;

/// `epoch 3/10  loss 0.2145  accuracy 0.9366  | test loss 0.1900  accuracy 0.9433  0.42 s`
fn epoch_line(plan: &Plan, train: &Record, test: Option<&Record>, took: Duration) -> String {
    let values = |record: &Record| -> String {
        record.values.iter().map(|(name, value)| format!("{name} {}", short(*value))).collect::<Vec<_>>().join("  ")
    };
    let width = plan.epochs.to_string().len();
    let mut line = format!("epoch {:>width$}/{}  {}", train.epoch, plan.epochs, values(train));
    if let Some(test) = test {
        line.push_str(&format!("  | test {}", values(test)));
    }
    format!("{line}  {:.2} s", took.as_secs_f64())
}

/// Four significant digits for what people compare.
pub fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() || (1e-3..1e6).contains(&size) {
        let fraction = if (1000.0..1e6).contains(&size) { 1 } else { 4 };
        format!("{value:.fraction$}")
    } else {
        format!("{value:.3e}")
    }
}

/// The model's layers and the run's numbers.
fn overview(program: &Program, plan: &Plan) -> String {
    let mut out = String::new();
    if !program.layers.is_empty() {
        let mut rows = vec![["layer", "", "output", "parameters"].map(str::to_string).to_vec()];
        for layer in &program.layers {
            rows.push(vec![layer.path.clone(), layer.layer.clone(), layer.output.clone(), layer.params.to_string()]);
        }
        out.push_str(&table::render(&rows));
    }
    if let Some((_, rows)) = rules_table(program) {
        out.push_str(&table::render(&rows));
    }
    let (train, test) = (program.schema.train_rows, program.schema.test_rows);
    let rows = if test > 0 { format!("{train} rows, {test} for testing") } else { format!("{train} rows") };
    out.push_str(&format!(
        "{}: {rows}; {} steps in {} epochs of batches of {}; seed {}",
        program.name, plan.steps, plan.epochs, plan.batch, plan.seed
    ));
    if let Some(folder) = &plan.out {
        out.push_str(&format!("; to {}", folder.display()));
    }
    out
}

fn closing(summary: &Summary) -> String {
    let (seconds, compile) = (summary.training.as_secs_f64(), summary.compile.as_secs_f64());
    let first = summary.first_step.as_secs_f64();
    format!(
        "{} steps in {seconds:.2} s: {:.0} steps/s (compiled in {:.1} ms, first step after {:.1} ms)",
        summary.steps_run,
        summary.steps_per_second(),
        compile * 1e3,
        first * 1e3
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::metrics::Split;

    #[test]
    fn an_epoch_is_one_line() {
        let record = |split, loss: f64| Record {
            step: 30,
            epoch: 3,
            split,
            tables: vec![],
            hypers: vec![],
            values: vec![("loss".into(), loss), ("accuracy".into(), 0.93661)],
        };
        let plan = Plan {
            seed: 1,
            batch: 8,
            epochs: 10,
            steps_per_epoch: 10,
            steps: 100,
            done: 0,
            earlier: Duration::ZERO,
            out: None,
            remarks: vec![],
        };
        let (train, test) = (record(Split::Train, 0.21449), record(Split::Test, 12345.6));
        let line = epoch_line(&plan, &train, Some(&test), Duration::from_millis(420));
        let expected = "epoch  3/10  loss 0.2145  accuracy 0.9366  | test loss 12345.6  accuracy 0.9366  0.42 s";
        assert_eq!(line, expected);
        assert_eq!([0.0, 1e-5, 2e9, f64::NAN].map(short), ["0.0000", "1.000e-5", "2.000e9", "NaN"]);
    }
}
