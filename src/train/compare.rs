//! Several runs side by side: mean, least and greatest value of each metric over the seeds of each variant.

use super::Summary;
use super::metrics::number;
use serde_json::{Map, Value, json};

/// The runs of one variant, such as `optimizer = Adam()`.
#[derive(Clone, Debug)]
pub struct Variant {
    pub label: String,
    pub runs: Vec<Summary>,
}

/// Mean and range of one value over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub mean: f64,
    pub min: f64,
    pub max: f64,
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
        })
    }
}

/// All variants of a `compare` item.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub name: String,
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

    fn spread(variant: &Variant, split: &str, name: &str) -> Option<Spread> {
        let value = |run: &Summary| if split == "train" { &run.train } else { &run.test }.as_ref()?.get(name);
        Spread::of(&variant.runs.iter().filter_map(value).collect::<Vec<f64>>())
    }

    /// A header line and one line for each variant.
    pub fn table(&self) -> Vec<Vec<String>> {
        let columns = self.columns();
        let mut lines = vec![vec![String::new()]];
        lines[0].extend(columns.iter().map(|(split, name)| format!("{split} {name}")));
        lines[0].push("seconds".into());
        for variant in &self.variants {
            let mut line = vec![variant.label.clone()];
            for (split, name) in &columns {
                let text = |s: Spread| {
                    if variant.runs.len() == 1 {
                        format!("{:.4}", s.mean)
                    } else {
                        format!("{:.4} ({:.4} - {:.4})", s.mean, s.min, s.max)
                    }
                };
                line.push(Self::spread(variant, split, name).map_or("-".into(), text));
            }
            let seconds: Vec<f64> = variant.runs.iter().map(|r| r.training.as_secs_f64()).collect();
            line.push(Spread::of(&seconds).map_or("-".into(), |s| format!("{:.2}", s.mean)));
            lines.push(line);
        }
        lines
    }

    pub fn to_json(&self) -> Value {
        let columns = self.columns();
        let variants = self.variants.iter().map(|variant| {
            let mut splits = Map::new();
            for (split, name) in &columns {
                if let Some(s) = Self::spread(variant, split, name) {
                    let value = json!({ "mean": number(s.mean), "min": number(s.min), "max": number(s.max) });
                    let entry = splits.entry(*split).or_insert_with(|| json!({}));
                    entry[name] = value;
                }
            }
            let mut object = Map::new();
            object.insert("label".into(), json!(variant.label));
            object.insert("seeds".into(), json!(variant.runs.iter().map(|r| r.seed).collect::<Vec<_>>()));
            object.extend(splits);
            Value::Object(object)
        });
        json!({ "compare": self.name, "variants": variants.collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_shows_nan() {
        let spread = Spread::of(&[1.0, 3.0, 2.0]).expect("values");
        assert_eq!(spread, Spread { mean: 2.0, min: 1.0, max: 3.0 });
        let spread = Spread::of(&[1.0, f64::NAN]).expect("values");
        assert!(spread.mean.is_nan());
        assert_eq!(Spread::of(&[]), None);
    }
}
