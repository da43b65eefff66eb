//! The trials of a sweep: `sweep.json`, which a sweep leaves at its end, else `trials.jsonl`, its log.
//!
//! Both are written by [`sweep`](crate::experiment::sweep) and `cli::experiment`. A line of the log is a stage of a trial:
//!
//! ```json
//! {"trial": 3, "stage": 1, "set": {"lr": "0.01", "optimizer": "Adam()"}, "state": "done", "objective": 0.12, "epochs": 4}
//! ```
//!
//! `objective` is what the sweep minimizes or maximizes. Of several stages of one trial the last one holds.

use super::load::{Run, json, number};
use super::plot::parallel::{Column, Parallel};
use super::plot::scale::short;
use serde_json::Value;
use std::path::Path;

#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    pub number: u64,
    /// In the order of the file; numbers where the text is one.
    pub settings: Vec<(String, Value)>,
    pub value: Option<f64>,
    pub status: String,
    pub epochs: u64,
}

impl Trial {
    /// Its run's folder in that of the sweep.
    pub fn folder(&self) -> String {
        format!("trial-{:03}", self.number)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Trials {
    pub all: Vec<Trial>,
    /// What `value` is.
    pub metric: String,
    pub maximize: bool,
    /// What the sweep says each setting explains, by name.
    pub importance: Vec<(String, f64)>,
}

/// The table in this folder, if there is one with a trial in it.
pub fn read(folder: &Path) -> Option<Trials> {
    let summary = json(&folder.join("sweep.json"));
    if summary["trials"].is_array() {
        return of_summary(&summary);
    }
    let config = json(&folder.join("config.json"));
    of_log(&std::fs::read_to_string(folder.join("trials.jsonl")).ok()?, &config)
}

fn of_summary(summary: &Value) -> Option<Trials> {
    let weigh = |d: &Value| Some((d["name"].as_str()?.to_string(), number(&d["importance"])?));
    let trials = Trials {
        all: summary["trials"].as_array()?.iter().filter_map(trial).collect(),
        metric: summary["objective"].as_str().unwrap_or("objective").to_string(),
        maximize: summary["maximize"] == true,
        importance: summary["space"].as_array().into_iter().flatten().filter_map(weigh).collect(),
    };
    (!trials.all.is_empty()).then_some(trials)
}

/// A sweep under way, or one that was killed: its log, and what the configuration says that the numbers are.
fn of_log(text: &str, config: &Value) -> Option<Trials> {
    let metric = config["objective"].as_str().unwrap_or("objective").to_string();
    let mut trials = Trials { all: vec![], metric, maximize: config["maximize"] == true, importance: vec![] };
    for line in text.lines() {
        let Some(trial) = serde_json::from_str(line).ok().as_ref().and_then(trial) else { continue };
        match trials.all.iter_mut().find(|t| t.number == trial.number) {
            Some(known) => *known = trial,
            None => trials.all.push(trial),
        }
    }
    trials.all.sort_by_key(|t| t.number);
    (!trials.all.is_empty()).then_some(trials)
}

fn trial(object: &Value) -> Option<Trial> {
    let plain = |text: &Value| match text.as_str().and_then(|t| t.parse::<f64>().ok()).filter(|v| v.is_finite()) {
        Some(number) => Value::from(number),
        None => text.clone(),
    };
    Some(Trial {
        number: object["trial"].as_u64()?,
        settings: object["set"].as_object()?.iter().map(|(k, v)| (k.clone(), plain(v))).collect(),
        value: number(&object["objective"]).filter(|v| v.is_finite()),
        status: object["state"].as_str().unwrap_or("done").to_string(),
        epochs: object["epochs"].as_u64().unwrap_or(0),
    })
}

/// How much a setting says about the value.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    pub name: String,
    /// The share of the ranks' variance that the setting alone explains.
    pub share: f64,
    /// What the best quarter of the trials has.
    pub best: String,
}

impl Trials {
    /// Names of the settings, in order of appearance.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = vec![];
        for (name, _) in self.all.iter().flat_map(|t| &t.settings) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    /// Trial numbers into `all`, the best first, trials that were stopped early behind the others; those without a value
    /// are left out.
    pub fn ranking(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.all.len()).filter(|k| self.all[*k].value.is_some()).collect();
        let cost = |k: &usize| self.all[*k].value.map_or(f64::NAN, |v| if self.maximize { -v } else { v });
        let stopped = |k: &usize| self.all[*k].status != "done";
        order.sort_by(|a, b| stopped(a).cmp(&stopped(b)).then(cost(a).total_cmp(&cost(b))));
        order
    }

    /// For each trial 0 (best) to 1 (worst).
    pub fn ranks(&self) -> Vec<Option<f64>> {
        let order = self.ranking();
        let mut ranks = vec![None; self.all.len()];
        for (place, trial) in order.iter().enumerate() {
            ranks[*trial] = Some(place as f64 / (order.len() - 1).max(1) as f64);
        }
        ranks
    }

    /// For each run 0 (the best trial) to 1 (the worst).
    pub fn places(&self, runs: &[Run]) -> Vec<f64> {
        let ranks = self.ranks();
        let of = |run: &Run| self.all.iter().position(|t| run.folder.ends_with(t.folder()));
        runs.iter().map(|run| of(run).and_then(|k| ranks[k]).unwrap_or(1.0)).collect()
    }

    fn column(&self, name: &str) -> Column {
        let values: Vec<Value> = self.all.iter().map(|t| setting(t, name).cloned().unwrap_or(Value::Null)).collect();
        if values.iter().all(|v| v.is_number() || v.is_null()) {
            let values: Vec<f64> = values.iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect();
            return Column::Numbers { name: name.into(), log: spans_decades(&values), values };
        }
        let texts: Vec<String> = values.iter().map(show).collect();
        let mut names = texts.clone();
        names.sort();
        names.dedup();
        let values = texts.iter().map(|t| names.binary_search(t).unwrap_or(0)).collect();
        Column::Names { name: name.into(), names, values }
    }

    pub fn parallel(&self, title: &str) -> Parallel {
        let mut columns: Vec<Column> = self.names().iter().map(|n| self.column(n)).collect();
        let values: Vec<f64> = self.all.iter().map(|t| t.value.unwrap_or(f64::NAN)).collect();
        columns.push(Column::Numbers { name: self.metric.clone(), log: spans_decades(&values), values });
        let tip = |t: &Trial| {
            let settings: Vec<String> = t.settings.iter().map(|(k, v)| format!("{k} = {}", show(v))).collect();
            let value = t.value.map_or(t.status.clone(), short);
            format!("trial {}: {} → {value}", t.number, settings.join(", "))
        };
        Parallel { title: title.into(), columns, ranks: self.ranks(), tips: self.all.iter().map(tip).collect() }
    }

    /// Which settings mattered, the most important first.
    pub fn weights(&self) -> Vec<Weight> {
        let ranking = self.ranking();
        let quarter = &ranking[..ranking.len().div_ceil(4)];
        let weigh = |(name, share): &(String, f64)| {
            let values: Vec<&Value> = quarter.iter().filter_map(|k| setting(&self.all[*k], name)).collect();
            Weight { name: name.clone(), share: *share, best: span(&values) }
        };
        let mut weights: Vec<Weight> = self.importance.iter().map(weigh).collect();
        weights.sort_by(|a, b| b.share.total_cmp(&a.share));
        weights
    }
}

/// `0.002 to 0.01` of numbers, else the different values, the most frequent first.
fn span(values: &[&Value]) -> String {
    let numbers: Vec<f64> = values.iter().filter_map(|v| v.as_f64()).collect();
    if numbers.len() == values.len() && !numbers.is_empty() {
        let (low, high) = (
            numbers.iter().copied().fold(f64::INFINITY, f64::min),
            numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        );
        return if low == high { short(low) } else { format!("{} to {}", short(low), short(high)) };
    }
    let mut counts: Vec<(String, usize)> = vec![];
    for text in values.iter().map(|v| show(v)) {
        match counts.iter_mut().find(|(t, _)| *t == text) {
            Some((_, count)) => *count += 1,
            None => counts.push((text, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.iter().map(|(text, count)| format!("{text} ({count}×)")).collect::<Vec<_>>().join(", ")
}

/// The value of a trial's setting.
pub fn setting<'a>(trial: &'a Trial, name: &str) -> Option<&'a Value> {
    trial.settings.iter().find(|(k, _)| k == name).map(|(_, v)| v)
}

/// A setting as a person reads it.
pub fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(n) => n.as_f64().map_or(n.to_string(), |v| if n.is_f64() { short(v) } else { n.to_string() }),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

/// Positive numbers over more than one and a half powers of ten.
fn spans_decades(values: &[f64]) -> bool {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(0.0, f64::max));
    low > 0.0 && high / low > 30.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_stage_of_a_trial_holds() {
        let line = |trial: u64, stage: u64, value: Value| {
            let set = json!({ "lr": format!("1e-{trial}"), "rule": "A(<b>)" });
            json!({ "trial": trial, "stage": stage, "set": set, "state": "done", "objective": value, "epochs": stage })
                .to_string()
        };
        let lines = [line(2, 1, json!(0.9)), line(1, 1, json!("NaN")), line(2, 2, json!(0.5)), "half a li".into()];
        let trials = of_log(&lines.join("\n"), &json!({ "objective": "test.loss" })).expect("a table");
        let found: Vec<_> = trials.all.iter().map(|t| (t.number, t.value, t.epochs, t.folder())).collect();
        assert_eq!(found, [(1, None, 1, "trial-001".to_string()), (2, Some(0.5), 2, "trial-002".into())]);
        assert_eq!((trials.names(), trials.ranking()), (vec!["lr", "rule"], vec![1]));
        assert_eq!(trials.all[0].settings[0].1, json!(0.1));
        assert!(of_log("", &Value::Null).is_none());
        let picture = trials.parallel("t").to_svg();
        assert!(picture.contains("A(&lt;b&gt;)") && !picture.contains("<b>"));
    }

    #[test]
    fn a_summary_knows_what_mattered() {
        let trial = |k: u64| {
            let set = json!({ "lr": format!("{}", k as f64 / 100.0), "rule": if k.is_multiple_of(2) { "A()" } else { "B()" } });
            json!({ "trial": k, "set": set, "state": "done", "objective": k as f64 / 10.0, "epochs": 3 })
        };
        let trials = of_summary(&json!({
            "objective": "test.accuracy",
            "maximize": true,
            "space": [{ "name": "rule", "importance": 0.1 }, { "name": "lr", "importance": 0.8 }],
            "trials": (1..=8).map(trial).collect::<Vec<_>>(),
        }))
        .expect("a table");
        assert_eq!((trials.ranking()[0], trials.metric.as_str()), (7, "test.accuracy"));
        assert_eq!(trials.ranks()[7], Some(0.0));
        let weights = trials.weights();
        assert_eq!((weights[0].name.as_str(), weights[0].best.as_str()), ("lr", "0.07 to 0.08"));
        assert_eq!(weights[1].best, "A() (1×), B() (1×)");
    }
}
