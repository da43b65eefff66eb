//! A run's folder read back. Files may be cut short or absent (the run may be under way, or was killed): what can be
//! read counts.

use crate::train::is_rate;
use crate::train::metrics::{HYPERS, curve};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// One logged value over the steps, of one split.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub name: String,
    /// `train`, `test`, `step`, or [`HYPER`].
    pub split: String,
    /// Step and value.
    pub points: Vec<(f64, f64)>,
}

/// The split of hyper-parameters that change with the step: they are of no rows.
pub const HYPER: &str = "hyper";

/// The files of a run.
#[derive(Clone, Debug)]
pub struct Run {
    pub folder: PathBuf,
    pub config: Value,
    /// In the order of the log.
    pub series: Vec<Series>,
    /// How it ended; null while it runs, or if it was killed.
    pub result: Value,
    pub predictions: Value,
    pub profile: Value,
    /// What a generating model wrote; empty for others.
    pub sample: String,
    /// The last step and epoch of the log.
    pub last: (f64, f64),
}

/// Which values of a metric are the better ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    Low,
    High,
}

impl Run {
    /// The run of this very folder.
    pub fn read(folder: &Path) -> Option<Run> {
        let config = json(&folder.join("config.json"));
        // Other programs have a config.json, too.
        if !config["program"].is_string() || !config["versions"]["optc"].is_string() {
            return None;
        }
        let log = fs::read_to_string(folder.join("metrics.jsonl")).unwrap_or_default();
        let (series, last) = series(&log);
        Some(Run {
            folder: folder.to_path_buf(),
            config,
            series,
            result: json(&folder.join("result.json")),
            predictions: json(&folder.join("predictions.json")),
            profile: json(&folder.join("profile.json")),
            sample: fs::read_to_string(folder.join("sample.txt")).unwrap_or_default(),
            last,
        })
    }

    /// A configuration alone: of what is no training, or has not begun.
    pub fn without_log(folder: &Path, config: Value) -> Run {
        let nothing = || Value::Null;
        let (folder, sample, last) = (folder.to_path_buf(), String::new(), (0.0, 0.0));
        let (result, predictions, profile) = (nothing(), nothing(), nothing());
        Run { folder, config, series: vec![], result, predictions, profile, sample, last }
    }

    /// The runs in the folders of a folder, by name.
    pub fn read_all(folder: &Path) -> Vec<Run> {
        subfolders(folder).iter().filter_map(|path| Run::read(path)).collect()
    }

    pub fn program(&self) -> &str {
        self.config["program"].as_str().unwrap_or("")
    }

    /// What tells this run from others of its experiment; else the folder's name.
    pub fn label(&self) -> String {
        match self.config["label"].as_str() {
            Some(label) if !label.is_empty() => label.to_string(),
            _ => self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    /// The label without seed and fold: runs of one variant differ in nothing else.
    pub fn variant(&self) -> String {
        let label = self.label();
        let own = |part: &&str| {
            let seed = part.strip_prefix("seed ").is_some_and(|s| s.parse::<u64>().is_ok());
            let fold = part.strip_prefix("fold ").and_then(|f| f.split_once('/'));
            !(seed || fold.is_some_and(|(k, n)| k.parse::<u64>().is_ok() && n.parse::<u64>().is_ok()))
        };
        let parts: Vec<&str> = label.split(", ").filter(own).collect();
        if parts.is_empty() { self.program().to_string() } else { parts.join(", ") }
    }

    /// `finished`, `stopped`, `failed`, or `unfinished` where nothing says how it ended.
    pub fn state(&self) -> &str {
        self.result["state"].as_str().unwrap_or("unfinished")
    }

    pub fn steps_per_epoch(&self) -> f64 {
        let rows = self.config["train_rows"].as_f64().unwrap_or(0.0);
        let batch = self.config["batch"].as_f64().unwrap_or(rows);
        if rows > 0.0 && batch > 0.0 { (rows / batch).ceil() } else { 1.0 }
    }

    pub fn find(&self, split: &str, name: &str) -> Option<&Series> {
        self.series.iter().find(|s| s.split == split && s.name == name)
    }

    /// The value that counts at the end: of the result, which may be an earlier state than the last one, else the last one of
    /// the log.
    pub fn value(&self, split: &str, name: &str) -> Option<f64> {
        number(&self.result[split][name]).or_else(|| self.find(split, name).map(Series::last))
    }

    /// Whether the value is a hyper-parameter, or one that a rule observed: it is no metric of the model.
    pub fn is_observed(&self, name: &str) -> bool {
        self.find(HYPER, name).is_some()
            || self.config["model"]["observed"].as_array().into_iter().flatten().any(|n| n == name)
    }

    /// The learning rates that stay as they are, by name.
    pub fn constant_rates(&self) -> Vec<(&str, f64)> {
        let hypers = self.config["hypers"].as_object().into_iter().flatten();
        // What a schedule is made of (`adam.lr.peak`) is no rate by itself.
        let scheduled = |name: &str| {
            let mut whole = self.series.iter().filter(|s| s.split == HYPER).map(|s| s.name.as_str());
            whole.any(|of| name.strip_prefix(of).is_some_and(|rest| rest.starts_with('.')))
        };
        let rates = hypers.filter(|(name, _)| is_rate(name) && !scheduled(name));
        rates.filter_map(|(name, value)| Some((name.as_str(), number(value)?))).collect()
    }

    /// `test loss`, `train accuracy`, …: without what rules observed, and without single steps.
    pub fn metrics(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<(&str, &str)> = vec![];
        for split in ["test", "train"] {
            let own = self.series.iter().filter(|s| s.split == split && !self.is_observed(&s.name));
            all.extend(own.map(|s| (split, s.name.as_str())));
        }
        all
    }
}

impl Series {
    pub fn last(&self) -> f64 {
        self.points.last().map_or(f64::NAN, |p| p.1)
    }

    /// The best finite value and its step, where the name says which is better.
    pub fn best(&self) -> Option<(f64, f64)> {
        let better = better(&self.name)?;
        let finite = self.points.iter().copied().filter(|p| p.1.is_finite());
        finite.reduce(|a, b| {
            let wins = if better == Better::Low { b.1 < a.1 } else { b.1 > a.1 };
            if wins { b } else { a }
        })
    }
}

/// The direction of the values that the library reports; `None` for a name of the user's.
pub fn better(name: &str) -> Option<Better> {
    const LOW: [&str; 6] = ["loss", "error", "mse", "mae", "rmse", "perplexity"];
    const HIGH: [&str; 10] = ["accuracy", "acc", "precision", "recall", "f1", "auc", "r2", "top", "iou", "score"];
    let lower = name.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric());
    let is =
        |list: &[&str], word: &str| list.contains(&word) || list.contains(&word.trim_end_matches(char::is_numeric));
    words.find_map(|word| {
        if is(&LOW, word) {
            Some(Better::Low)
        } else if is(&HIGH, word) {
            Some(Better::High)
        } else {
            None
        }
    })
}

/// A number of the log, where NaN and infinities are strings.
pub fn number(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("inf") => Some(f64::INFINITY),
        Some("-inf") => Some(f64::NEG_INFINITY),
        Some(_) => None,
        None => value.as_f64(),
    }
}

pub fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return vec![] };
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_dir()).collect();
    paths.sort();
    paths
}

/// A file's content; null if it cannot be read.
pub fn json(path: &Path) -> Value {
    fs::read_to_string(path).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null)
}

fn series(log: &str) -> (Vec<Series>, (f64, f64)) {
    let mut all: Vec<Series> = vec![];
    let mut last = (0.0, 0.0);
    for line in log.lines() {
        // The last line of a killed run may be half a line.
        let Ok(Value::Object(record)) = serde_json::from_str(line) else { continue };
        let Some(step) = record.get("step").and_then(Value::as_f64) else { continue };
        let Some(split) = record.get("split").and_then(Value::as_str) else { continue };
        last = (step, record.get("epoch").and_then(Value::as_f64).unwrap_or(last.1));
        for (name, value) in record.iter().filter(|(k, _)| !matches!(k.as_str(), "step" | "epoch" | "split")) {
            match value {
                Value::Object(hypers) if name == HYPERS => {
                    for (name, points) in hypers {
                        curve(points)
                            .into_iter()
                            .for_each(|(step, value)| add(&mut all, HYPER, name, step as f64, value));
                    }
                }
                value => {
                    if let Some(value) = number(value) {
                        add(&mut all, split, name, step, value);
                    }
                }
            }
        }
    }
    (all, last)
}

fn add(all: &mut Vec<Series>, split: &str, name: &str, step: f64, value: f64) {
    match all.iter_mut().find(|s| s.split == split && s.name == *name) {
        // The line of an epoch tells again what those of its steps told.
        Some(series) if split == HYPER && series.points.last().is_some_and(|p| p.0 >= step) => {
            let place = series.points.partition_point(|p| p.0 < step);
            if series.points[place].0 > step {
                series.points.insert(place, (step, value));
            }
        }
        Some(series) => series.points.push((step, value)),
        None => all.push(Series { name: name.to_string(), split: split.to_string(), points: vec![(step, value)] }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_becomes_series() {
        let log = "{\"step\":1,\"epoch\":1,\"split\":\"train\",\"loss\":2.5,\"f1\":\"NaN\"}\n\
                   {\"step\":1,\"epoch\":1,\"split\":\"test\",\"loss\":\"inf\"}\nnot json\n\
                   {\"step\":2,\"epoch\":2,\"split\":\"train\",\"loss\":1.5,\"note\":\"text\"}\n{\"step\":3,\"spl";
        let (all, last) = series(log);
        let names: Vec<_> = all.iter().map(|s| (s.split.as_str(), s.name.as_str(), s.points.len())).collect();
        assert_eq!(names, [("train", "loss", 2), ("train", "f1", 1), ("test", "loss", 1)]);
        assert_eq!((all[0].best(), all[2].best(), last), (Some((2.0, 1.5)), None, (2.0, 2.0)));
    }

    #[test]
    fn hyper_parameters_have_one_curve() {
        let log = r#"{"step":2,"epoch":1,"split":"step","loss":1.0,"hypers":{"adam.lr":[[2,0.2]]}}
                     {"step":3,"epoch":1,"split":"train","loss":0.5,"hypers":{"adam.lr":[[1,0.1],[2,0.2],[3,0.3]]}}
                     {"step":2,"epoch":1,"split":"test","loss":0.5}"#;
        let (series, last) = series(log);
        let config = serde_json::json!({ "hypers": { "adam.lr.peak": 0.2, "adam.beta1": 0.9, "sgd.lr": 0.5 } });
        let run = Run { series, last, ..Run::without_log(Path::new("a"), config) };
        let curve = run.find(HYPER, "adam.lr").expect("a curve");
        assert_eq!(curve.points, [(1.0, 0.1), (2.0, 0.2), (3.0, 0.3)]);
        assert!(run.is_observed("adam.lr") && run.metrics() == [("test", "loss"), ("train", "loss")]);
        assert_eq!(run.constant_rates(), [("sgd.lr", 0.5)]);
    }

    #[test]
    fn names_tell_which_values_are_better() {
        let low = ["loss", "test loss", "val_mse", "loss_2", "perplexity"];
        let high = ["accuracy", "top5", "roc auc", "F1", "r2", "precision_macro"];
        assert!(low.iter().all(|n| better(n) == Some(Better::Low)));
        assert!(high.iter().all(|n| better(n) == Some(Better::High)));
        assert!(["w1", "b", "lr", "closs"].iter().all(|n| better(n).is_none()));
    }

    #[test]
    fn a_seed_is_no_part_of_the_variant() {
        let run = |label: &str| Run::without_log(Path::new("runs/a/b"), serde_json::json!({ "label": label }));
        assert_eq!(run("lr = 0.1, seed 3").variant(), "lr = 0.1");
        assert_eq!(run("lr = 0.1, seed 3, fold 2/5").variant(), "lr = 0.1");
        assert_eq!(run("lr = 0.1, seed x").variant(), "lr = 0.1, seed x");
        assert_eq!((run("").label(), run("").state()), ("b".into(), "unfinished"));
    }
}
