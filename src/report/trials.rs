//! The trials of a sweep: `trials.jsonl`, an object for each trial.
//!
//! ```json
//! {"trial": 0, "settings": {"lr": 0.01, "optimizer": "Adam()"}, "value": 0.12, "status": "done", "folder": "000"}
//! ```
//!
//! `status` is `done`, `stopped` (early) or `failed`; `value` is what the sweep minimizes (or maximizes: `"goal": "max"` in
//! the line), null where there is none. Of two lines of one trial the later one holds. `metric` may name the value.

use super::load::number;
use super::plot::parallel::{Column, Parallel};
use super::plot::scale::short;
use serde_json::Value;
use std::path::Path;

#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    pub number: u64,
    /// In the order of the file.
    pub settings: Vec<(String, Value)>,
    pub value: Option<f64>,
    pub status: String,
    pub folder: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Trials {
    pub all: Vec<Trial>,
    /// What `value` is.
    pub metric: String,
    pub maximize: bool,
}

/// The table in this folder, if there is one with a trial in it.
pub fn read(folder: &Path) -> Option<Trials> {
    parse(&std::fs::read_to_string(folder.join("trials.jsonl")).ok()?)
}

fn parse(text: &str) -> Option<Trials> {
    let mut trials = Trials { all: vec![], metric: "value".into(), maximize: false };
    for line in text.lines() {
        let Ok(object @ Value::Object(_)) = serde_json::from_str::<Value>(line) else { continue };
        let (Some(number_of), Some(settings)) = (object["trial"].as_u64(), object["settings"].as_object()) else {
            continue;
        };
        let trial = Trial {
            number: number_of,
            settings: settings.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            value: number(&object["value"]).filter(|v| v.is_finite()),
            status: object["status"].as_str().unwrap_or("done").to_string(),
            folder: object["folder"].as_str().unwrap_or("").to_string(),
        };
        if let Some(metric) = object["metric"].as_str() {
            trials.metric = metric.to_string();
        }
        trials.maximize |= object["goal"] == "max";
        match trials.all.iter_mut().find(|t| t.number == number_of) {
            Some(known) => *known = trial,
            None => trials.all.push(trial),
        }
    }
    trials.all.sort_by_key(|t| t.number);
    (!trials.all.is_empty()).then_some(trials)
}

/// How much a setting says about the value.
#[derive(Clone, Debug, PartialEq)]
pub struct Weight {
    pub name: String,
    /// From 0 to 1: the share of the values' (ranked) variance that the setting alone explains.
    pub share: f64,
    /// Of numbers: `larger is better`, `smaller is better`, or `best near 0.003`.
    pub hint: String,
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

    /// Trial numbers into `all`, the best first; those without a value are left out.
    pub fn ranking(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.all.len()).filter(|k| self.all[*k].value.is_some()).collect();
        let value = |k: &usize| self.all[*k].value.unwrap_or(f64::NAN);
        order.sort_by(|a, b| {
            let (a, b) = if self.maximize { (b, a) } else { (a, b) };
            value(a).total_cmp(&value(b))
        });
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

    /// Which settings mattered, the most important first. Too few trials say nothing.
    pub fn weights(&self) -> Vec<Weight> {
        let order = self.ranking();
        if order.len() < 5 {
            return vec![];
        }
        let ranks = self.ranks();
        let rank = |trial: usize| ranks[trial].unwrap_or(1.0);
        let mut weights: Vec<Weight> =
            self.names().iter().filter_map(|name| weigh(&self.column(name), &order, &rank)).collect();
        weights.sort_by(|a, b| b.share.total_cmp(&a.share));
        weights
    }
}

/// The share of the ranks' variance between groups of trials that are alike in this setting (eta squared, lessened by what
/// chance alone would give, as in Kelley's epsilon squared).
fn weigh(column: &Column, order: &[usize], rank: &dyn Fn(usize) -> f64) -> Option<Weight> {
    let mut groups: Vec<Vec<usize>> = match column {
        Column::Names { names, values, .. } => {
            (0..names.len()).map(|n| order.iter().copied().filter(|k| values[*k] == n).collect()).collect()
        }
        Column::Numbers { values, .. } => {
            let mut sorted: Vec<usize> = order.iter().copied().filter(|k| values[*k].is_finite()).collect();
            sorted.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
            let different = sorted.windows(2).filter(|w| values[w[0]] != values[w[1]]).count() + 1;
            let bins = different.min(4.max(sorted.len() / 8)).max(1);
            let mut groups: Vec<Vec<usize>> = vec![vec![]; bins];
            if different <= bins {
                let mut group = 0;
                for (k, trial) in sorted.iter().enumerate() {
                    group += usize::from(k > 0 && values[sorted[k - 1]] != values[*trial]);
                    groups[group].push(*trial);
                }
            } else {
                sorted.iter().enumerate().for_each(|(k, trial)| groups[k * bins / sorted.len()].push(*trial));
            }
            groups
        }
    };
    groups.retain(|g| !g.is_empty());
    let count: usize = groups.iter().map(Vec::len).sum();
    if groups.len() < 2 || count <= groups.len() {
        return None;
    }
    let mean_of = |trials: &[usize]| trials.iter().map(|k| rank(*k)).sum::<f64>() / trials.len() as f64;
    let all: Vec<usize> = groups.iter().flatten().copied().collect();
    let mean = mean_of(&all);
    let total: f64 = all.iter().map(|k| (rank(*k) - mean).powi(2)).sum();
    let within: f64 = groups.iter().map(|g| g.iter().map(|k| (rank(*k) - mean_of(g)).powi(2)).sum::<f64>()).sum();
    let error = within / (count - groups.len()) as f64;
    let between = total - within - (groups.len() - 1) as f64 * error;
    let share = if total > 0.0 { (between / total).max(0.0) } else { 0.0 };
    let best = groups.iter().min_by(|a, b| mean_of(a).total_cmp(&mean_of(b)))?;
    let hint = match column {
        Column::Names { names, values, .. } => format!("best: {}", names[values[best[0]]]),
        Column::Numbers { values, .. } => {
            let of = |pick: fn(f64, f64) -> f64| best.iter().map(|k| values[*k]).reduce(pick).unwrap_or(f64::NAN);
            let (low, high) = (of(f64::min), of(f64::max));
            if low == high {
                format!("best: {}", short(low))
            } else {
                format!("best: {} to {}", short(low), short(high))
            }
        }
    };
    Some(Weight { name: column.name().to_string(), share, hint })
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

    fn table() -> Trials {
        let mut text = String::new();
        for k in 0..24 {
            let (lr, width) = (10f64.powf(-(k as f64) / 6.0), [32, 64, 128][k % 3]);
            // The rate decides; the width does nothing.
            let value = (lr.log10() + 2.0).powi(2) + 0.001 * ((k * 7) % 5) as f64;
            text += &format!(
                "{{\"trial\":{k},\"settings\":{{\"lr\":{lr},\"width\":{width}}},\"value\":{value},\"status\":\"done\",\"folder\":\"{k:03}\"}}\n"
            );
        }
        text +=
            "{\"trial\":24,\"settings\":{\"lr\":5,\"width\":64},\"value\":\"NaN\",\"status\":\"failed\"}\nhalf a li";
        parse(&text).expect("a table")
    }

    #[test]
    fn what_matters_is_found() {
        let trials = table();
        assert_eq!((trials.all.len(), trials.names()), (25, vec!["lr", "width"]));
        assert_eq!(trials.ranking().len(), 24);
        assert_eq!(trials.all[trials.ranking()[0]].number, 12);
        let weights = trials.weights();
        assert_eq!(weights[0].name, "lr");
        assert!(weights[0].share > 0.6 && weights[1].share < 0.2, "{weights:?}");
    }

    #[test]
    fn the_later_line_of_a_trial_holds() {
        let line = |status: &str, value: &str| {
            format!(
                "{{\"trial\":0,\"settings\":{{\"rule\":\"A()\"}},\"value\":{value},\"status\":\"{status}\",\"goal\":\"max\"}}\n"
            )
        };
        let trials = parse(&(line("running", "null") + &line("done", "0.5"))).expect("a table");
        assert_eq!((trials.all.len(), trials.all[0].value, trials.maximize), (1, Some(0.5), true));
        assert!(trials.weights().is_empty());
        assert!(parse("").is_none());
        assert!(trials.parallel("t").to_svg().contains("A()"));
    }
}
