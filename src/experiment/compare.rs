//! Several runs side by side: mean and spread of each value over the seeds and folds of each variant, and whether the
//! best one differs from the others.

use super::stats::{deviation, welch};
use crate::sema::program::Objective;
use crate::train::Summary;
use crate::train::metrics::number;
use serde_json::{Map, Value, json};

/// The runs of one variant, such as `optimizer = Adam()`.
#[derive(Clone, Debug, Default)]
pub struct Variant {
    pub label: String,
    pub runs: Vec<Summary>,
    /// Runs whose loss became infinite or not a number.
    pub diverged: usize,
}

/// Mean and spread of one value over the runs of a variant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub mean: f64,
    pub min: f64,
    pub max: f64,
    /// Of a sample; none of a single run.
    pub deviation: Option<f64>,
}

impl Spread {
    pub fn of(values: &[f64]) -> Option<Spread> {
        let count = values.len();
        // NaN shall be seen, not skipped: a comparison with it keeps it.
        let fold = |pick: fn(f64, f64) -> bool| {
            values.iter().copied().reduce(|a, b| if a.is_nan() || pick(a, b) { a } else { b })
        };
        Some(Spread {
            mean: values.iter().sum::<f64>() / count as f64,
            min: fold(|a, b| a < b)?,
            max: fold(|a, b| a > b)?,
            deviation: deviation(values),
        })
    }
}

/// All variants of a `compare` item.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub name: String,
    pub objective: Objective,
    pub variants: Vec<Variant>,
}

impl Comparison {
    /// `train loss`, `test accuracy`, …: every value that some run reports.
    fn columns(&self) -> Vec<(&'static str, String)> {
        let mut columns: Vec<(&'static str, String)> = Vec::new();
        for run in self.variants.iter().flat_map(|v| &v.runs) {
            for (split, record) in [("train", &run.train), ("test", &run.test)] {
                for (name, _) in record.iter().flat_map(|r| &r.values) {
                    if !columns.iter().any(|(s, n)| *s == split && n == name) {
                        columns.push((split, name.clone()));
                    }
                }
            }
        }
        columns.sort_by_key(|(split, _)| *split == "test");
        columns
    }

    fn values(variant: &Variant, split: &str, name: &str) -> Vec<f64> {
        let value = |run: &Summary| if split == "train" { &run.train } else { &run.test }.as_ref()?.get(name);
        variant.runs.iter().filter_map(value).collect()
    }

    fn spread(variant: &Variant, split: &str, name: &str) -> Option<Spread> {
        Spread::of(&Self::values(variant, split, name))
    }

    fn judged(&self, variant: &Variant) -> Vec<f64> {
        Self::values(variant, if self.objective.test { "test" } else { "train" }, &self.objective.name)
    }

    /// The variant with the best mean of the objective; one with diverged runs only if all have them.
    pub fn best(&self) -> Option<usize> {
        let cost = |k: &usize| {
            let mean = Spread::of(&self.judged(&self.variants[*k])).map_or(f64::NAN, |s| s.mean);
            let cost = if self.objective.maximize { -mean } else { mean };
            if cost.is_nan() { f64::INFINITY } else { cost }
        };
        let order = |k: &usize| (self.variants[*k].diverged > 0, cost(k));
        (0..self.variants.len()).min_by(|a, b| order(a).0.cmp(&order(b).0).then(order(a).1.total_cmp(&order(b).1)))
    }

    /// The probability of a difference to the best variant that is as large by chance: Welch's t-test, two-sided.
    fn chance(&self, index: usize) -> Option<f64> {
        let best = self.best().filter(|best| *best != index)?;
        welch(&self.judged(&self.variants[best]), &self.judged(&self.variants[index]))
    }

    /// A header line and one line for each variant.
    pub fn table(&self) -> Vec<Vec<String>> {
        let columns = self.columns();
        let best = self.best();
        let tested = (0..self.variants.len()).any(|k| self.chance(k).is_some());
        let mut lines = vec![vec![String::new()]];
        lines[0].extend(columns.iter().map(|(split, name)| format!("{split} {name}")));
        lines[0].push("seconds".into());
        if tested {
            lines[0].push("p".into());
        }
        for (index, variant) in self.variants.iter().enumerate() {
            let mut line = vec![variant.label.clone()];
            for (split, name) in &columns {
                let text = |s: Spread| match s.deviation {
                    None => format!("{:.4}", s.mean),
                    Some(deviation) => format!("{:.4} ± {deviation:.4}", s.mean),
                };
                line.push(Self::spread(variant, split, name).map_or("-".into(), text));
            }
            let seconds: Vec<f64> = variant.runs.iter().map(|r| (r.earlier + r.training).as_secs_f64()).collect();
            line.push(Spread::of(&seconds).map_or("-".into(), |s| format!("{:.2}", s.mean)));
            if tested {
                line.push(match self.chance(index) {
                    _ if best == Some(index) => "best".into(),
                    Some(p) if p < 0.0001 => "<0.0001".into(),
                    Some(p) => format!("{p:.4}"),
                    None => "-".into(),
                });
            }
            if variant.diverged > 0 {
                line[0] += &format!(" ({} diverged)", variant.diverged);
            }
            lines.push(line);
        }
        lines
    }

    /// What the columns of the table mean.
    pub fn legend(&self) -> Option<String> {
        let tested = (0..self.variants.len()).any(|k| self.chance(k).is_some());
        let several = self.variants.iter().any(|v| v.runs.len() > 1);
        let p = format!("; p: {} against the best, Welch's t-test (two-sided)", self.objective);
        several.then(|| format!("mean ± standard deviation{}", if tested { &p } else { "" }))
    }

    pub fn to_json(&self) -> Value {
        let columns = self.columns();
        let variants = self.variants.iter().enumerate().map(|(index, variant)| {
            let mut splits = Map::new();
            for (split, name) in &columns {
                if let Some(s) = Self::spread(variant, split, name) {
                    let mut value = json!({ "mean": number(s.mean), "min": number(s.min), "max": number(s.max) });
                    if let Some(deviation) = s.deviation {
                        value["deviation"] = number(deviation);
                    }
                    let entry = splits.entry(*split).or_insert_with(|| json!({}));
                    entry[name] = value;
                }
            }
            let mut object = Map::new();
            object.insert("label".into(), json!(variant.label));
            object.insert("seeds".into(), json!(variant.runs.iter().map(|r| r.seed).collect::<Vec<_>>()));
            object.insert("runs".into(), json!(variant.runs.iter().map(|r| r.out.clone()).collect::<Vec<_>>()));
            if variant.diverged > 0 {
                object.insert("diverged".into(), json!(variant.diverged));
            }
            if let Some(p) = self.chance(index) {
                object.insert("p".into(), number(p));
            }
            object.extend(splits);
            Value::Object(object)
        });
        json!({
            "compare": self.name,
            "objective": self.objective.to_string(),
            "best": self.best().map(|k| self.variants[k].label.clone()),
            "variants": variants.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_shows_nan() {
        let spread = Spread::of(&[1.0, 3.0, 2.0]).expect("values");
        assert_eq!(spread, Spread { mean: 2.0, min: 1.0, max: 3.0, deviation: Some(1.0) });
        let spread = Spread::of(&[1.0, f64::NAN]).expect("values");
        assert!(spread.mean.is_nan());
        assert_eq!(Spread::of(&[]), None);
    }
}
