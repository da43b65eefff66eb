//! What comparisons, sweeps and range tests print, and the files that they leave beside those of their runs.

use super::output;
use super::progress::short;
use super::table;
use crate::experiment::compare::Comparison;
use crate::experiment::importance::importance;
use crate::experiment::lr_range::{Advice, Point};
use crate::experiment::sweep::{State, Sweep, Trial};
use crate::train::checkpoint::write_whole;
use crate::train::metrics::number;
use serde_json::{Value, json};
use std::path::Path;

/// Trials in the table at the end.
const SHOWN: usize = 10;

/// Writes a file of results; that it cannot be written is told and no reason to lose the rest.
fn leave(out: &Path, name: &str, value: &Value) {
    let text = format!("{value:#}\n");
    if let Err(problem) = write_whole(&out.join(name), text.as_bytes()) {
        output::remark(&format!("optc: cannot write '{}': {problem}", out.join(name).display()));
    }
}

pub fn compared(comparison: &Comparison, out: &Path, as_json: bool) {
    let value = comparison.to_json();
    leave(out, "compare.json", &value);
    if as_json {
        output::object(&value);
        return;
    }
    output::line(table::render(&comparison.table()).trim_end());
    if let Some(legend) = comparison.legend() {
        output::remark(&legend);
    }
}

/// `trial 12/30  lr = 0.0031, hidden = 128  test.loss 0.2145  done after 10 epochs  (best 0.1812)`
pub fn trial_line(sweep: &Sweep, trial: &Trial, best: &Trial) -> String {
    let total = sweep.count();
    let width = total.to_string().len();
    let epochs = if trial.epochs == 1 { "1 epoch".into() } else { format!("{} epochs", trial.epochs) };
    let (number, set) = (trial.number + 1, setting(trial));
    let state = if trial.state == State::Diverged { String::new() } else { format!(" after {epochs}") };
    format!(
        "trial {number:>width$}/{total}  {set}  {} {}  {}{state}  (best {})",
        sweep.objective,
        short(trial.value),
        trial.state.name(),
        short(best.value)
    )
}

fn setting(trial: &Trial) -> String {
    trial.set.iter().map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join(", ")
}

/// `--set lr=0.0031 --set 'optimizer=Adam(0.01)'`
fn flags(trial: &Trial) -> String {
    let simple = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c));
    let flag = |(name, value): &(String, String)| {
        if simple(name) && simple(value) { format!("--set {name}={value}") } else { format!("--set '{name}={value}'") }
    };
    trial.set.iter().map(flag).collect::<Vec<_>>().join(" ")
}

pub fn swept(sweep: &Sweep, trials: &[Trial], out: &Path, file: &Path, as_json: bool) {
    // Stopped trials were measured after fewer epochs: what all have is the value of the first stage.
    let measured: Vec<(Vec<f64>, f64)> = trials.iter().map(|t| (t.places.clone(), sweep.cost(t.first))).collect();
    let shares = importance(sweep.space(), &measured);
    let value = summary(sweep, trials, &shares);
    leave(out, "sweep.json", &value);
    if as_json {
        output::object(&value);
        return;
    }
    let mut order: Vec<&Trial> = trials.iter().collect();
    order.sort_by(|a, b| {
        let rank = |t: &Trial| (t.state != State::Done, sweep.cost(t.value));
        rank(a).0.cmp(&rank(b).0).then(rank(a).1.total_cmp(&rank(b).1))
    });
    let mut rows = vec![vec!["trial".to_string()]];
    rows[0].extend(sweep.space().iter().map(|d| d.name.clone()));
    rows[0].extend([sweep.objective.to_string(), "epochs".into(), String::new()]);
    for trial in order.iter().take(SHOWN) {
        let mut row = vec![(trial.number + 1).to_string()];
        row.extend(trial.set.iter().map(|(_, value)| value.clone()));
        row.extend([short(trial.value), trial.epochs.to_string(), trial.state.name().into()]);
        rows.push(row);
    }
    output::line(table::render(&rows).trim_end());
    let mut rows = vec![vec!["importance".to_string(), String::new(), "values".into()]];
    for (dimension, share) in sweep.space().iter().zip(&shares) {
        rows.push(vec![dimension.name.clone(), format!("{:.0} %", 100.0 * share), dimension.describe()]);
    }
    output::line(&format!("\n{}", table::render(&rows).trim_end()));
    if let Some(best) = sweep.best(trials).filter(|best| best.state != State::Diverged) {
        output::line(&format!("\nbest: {} {} with {}", sweep.objective, short(best.value), setting(best)));
        output::line(&format!("optc run {} --train {} {}", file.display(), sweep.name(), flags(best)));
    }
}

fn summary(sweep: &Sweep, trials: &[Trial], shares: &[f64]) -> Value {
    let trial = |t: &Trial| {
        let set: serde_json::Map<_, _> = t.set.iter().map(|(n, v)| (n.clone(), json!(v))).collect();
        json!({
            "trial": t.number + 1,
            "set": set,
            "state": t.state.name(),
            "objective": number(t.value),
            "epochs": t.epochs,
            "seconds": number(t.seconds),
        })
    };
    let space = sweep
        .space()
        .iter()
        .zip(shares)
        .map(|(d, share)| json!({ "name": d.name, "values": d.describe(), "importance": number(*share) }));
    json!({
        "sweep": sweep.name(),
        "objective": sweep.objective.to_string(),
        "maximize": sweep.objective.maximize,
        "space": space.collect::<Vec<_>>(),
        "best": sweep.best(trials).map(trial),
        "trials": trials.iter().map(trial).collect::<Vec<_>>(),
    })
}

/// The table of a range test.
pub fn ranged(name: &str, points: &[Point], advice: Option<Advice>, out: &Path, as_json: bool) {
    let point = |p: &Point| json!({ "rate": number(p.rate), "loss": number(p.loss), "smooth": number(p.smooth) });
    let value = json!({
        "range": name,
        "suggestion": advice.map(|a| number(a.steepest)),
        "lowest": advice.map(|a| number(a.lowest)),
        "points": points.iter().map(point).collect::<Vec<_>>(),
    });
    leave(out, "lr_range.json", &value);
    if as_json {
        output::object(&value);
        return;
    }
    let mut rows = vec![vec![name.to_string(), "loss".into(), "smoothed".into()]];
    let stride = points.len().div_ceil(20).max(1);
    let shown = points.iter().enumerate().filter(|(k, _)| k % stride == 0 || k + 1 == points.len());
    rows.extend(shown.map(|(_, p)| vec![format!("{:.2e}", p.rate), short(p.loss), short(p.smooth)]));
    output::line(table::render(&rows).trim_end());
    output::line(&match advice {
        Some(a) => format!("\nfalls fastest at {:.1e}; least at {:.1e}, soon before it diverges", a.steepest, a.lowest),
        None => "\nthe loss did not fall: try another range".into(),
    });
}
