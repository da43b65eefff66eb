//! Why a run ended before its last step.

use super::control::Tracker;
use super::metrics::number;
use super::{Failure, Plan};
use crate::diag::{Diagnostic, error};
use crate::sema::program::{Control, Program};
use serde_json::Value;
use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

/// Early stopping, told to the user.
pub fn early(tracker: &Tracker, control: &Control) -> String {
    let best = tracker.best().map_or("no number".into(), |v| format!("{} at epoch {}", show(v), tracker.best_epoch));
    format!("stopped early: {} did not get better {} times in a row; best {best}", control.objective, tracker.waited)
}

/// Ctrl-C.
pub fn interrupted(plan: &Plan, step: usize) -> Failure {
    let what = error("E0605", format!("interrupted after step {step} of {}", plan.steps));
    Failure::Training(Box::new(what.maybe_help(resume_help(plan))))
}

/// `--max-time`
pub fn out_of_time(plan: &Plan, step: usize, limit: Duration) -> Failure {
    let what = format!("stopped by --max-time {} after step {step} of {}", limit.as_secs_f64(), plan.steps);
    Failure::Training(Box::new(error("E0602", what).maybe_help(resume_help(plan))))
}

/// A file of the data is gone, or the disk fails.
pub fn without_data(plan: &Plan, step: usize, lost: Diagnostic) -> Failure {
    let lost = lost.note(format!("training stopped after step {step} of {}", plan.steps));
    Failure::Training(Box::new(lost.maybe_help(resume_help(plan))))
}

fn resume_help(plan: &Plan) -> Option<String> {
    let out = plan.out.as_ref()?;
    Some(format!("everything is saved; --resume {} continues from there", out.display()))
}

/// Of several runs, one was stopped: it is all of them that are resumed.
pub fn among_others(failure: Failure, out: &Path) -> Failure {
    match failure {
        Failure::Training(why) if matches!(why.code, "E0602" | "E0605") => {
            let help = format!("what is over is kept; --resume {} goes on with the rest", out.display());
            Failure::Training(Box::new(why.help(help)))
        }
        other => other,
    }
}

/// The loss is not a number: what it was before, and what may help.
pub fn diverged(program: &Program, step: usize, epoch: usize, losses: &VecDeque<f64>) -> Diagnostic {
    let loss = losses.back().copied().unwrap_or(f64::NAN);
    let title = format!("training diverged: the loss is {} at step {step} (epoch {epoch})", show(loss));
    let mut diagnostic = error("E0601", title);
    let before: Vec<String> = losses.iter().rev().skip(1).rev().map(|l| show(*l)).collect();
    if !before.is_empty() {
        diagnostic = diagnostic.note(format!("losses of the steps before: {}", before.join(", ")));
    }
    let rates: Vec<_> = program.hypers.iter().filter(|h| is_rate(&h.name)).collect();
    for rate in &rates {
        diagnostic = diagnostic.note(format!("{} = {}", rate.name, readable(rate.value)));
    }
    let mend = match rates.first() {
        // A name with a dot is inside an optimizer, where --set does not reach.
        Some(rate) if rate.name.contains('.') => {
            format!("try a smaller learning rate, such as {}", readable(rate.value / 10.0))
        }
        Some(rate) => {
            format!("try a smaller learning rate, as in --set {}={}", rate.name, readable(rate.value / 10.0))
        }
        None => "try a smaller learning rate".into(),
    };
    diagnostic.help(format!("{mend}; or clip the gradients"))
}

/// Whether a training failed by its own numbers, where others of an experiment may do better; and was not stopped from outside.
pub fn is_divergence(why: &Diagnostic) -> bool {
    matches!(why.code, "E0601" | "E0603" | "E0607")
}

/// Whether a hyper-parameter of this name (`net.lr`) is a learning rate.
pub fn is_rate(name: &str) -> bool {
    let is_word = |word: &str| matches!(word, "lr" | "rate" | "learning_rate" | "eta" | "η" | "α");
    let mut words = name.rsplit('.');
    match (words.next().unwrap_or(name), words.next()) {
        // What a schedule begins with or rises to: `adam.lr.peak`. Its other numbers say how the rate changes.
        (own, Some(scheduled)) if is_word(scheduled) => matches!(own, "peak" | "start" | "value"),
        (own, _) => is_word(own),
    }
}

/// A rate as a user would write it: `0.001`, `1e-5`, `1e30`; rounded where a division left a tail.
fn readable(value: f64) -> String {
    let rounded: f64 = format!("{value:.6e}").parse().unwrap_or(value);
    let small = rounded != 0.0 && !(1e-4..1e6).contains(&rounded.abs());
    if small { format!("{rounded:e}") } else { format!("{rounded}") }
}

fn show(value: f64) -> String {
    match number(value) {
        Value::String(text) => text,
        _ => format!("{value:.4e}"),
    }
}
