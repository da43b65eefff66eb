//! What a run reports: averages over an epoch, and the objects that logs are made of.

use serde_json::{Map, Value, json};

/// A logged result of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    pub name: String,
    pub is_loss: bool,
    /// The metric carries state: its last value stands for the epoch. Other values are averaged, weighted by rows.
    pub carried: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Over the steps of an epoch.
    Train,
    /// Over the test part, at the end of an epoch.
    Test,
    /// One training step.
    Step,
}

impl Split {
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Test => "test",
            Split::Step => "step",
        }
    }
}

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Steps done so far.
    pub step: usize,
    pub epoch: usize,
    pub split: Split,
    /// `loss` first.
    pub values: Vec<(String, f64)>,
}

impl Record {
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(n, _)| n == name).map(|(_, v)| *v)
    }

    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("step".into(), json!(self.step));
        object.insert("epoch".into(), json!(self.epoch));
        object.insert("split".into(), json!(self.split.name()));
        for (name, value) in &self.values {
            object.insert(name.clone(), number(*value));
        }
        Value::Object(object)
    }

    /// Only the reported values.
    pub fn values_json(&self) -> Value {
        Value::Object(self.values.iter().map(|(n, v)| (n.clone(), number(*v))).collect())
    }
}

/// JSON has no NaN and no infinities: they are the strings `NaN`, `inf` and `-inf`.
pub fn number(value: f64) -> Value {
    if value.is_finite() {
        json!(value)
    } else if value.is_nan() {
        json!("NaN")
    } else {
        json!(if value > 0.0 { "inf" } else { "-inf" })
    }
}

/// Collects the values of an epoch or an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Averages {
    observed: Vec<Observed>,
    /// Sums of value times rows; of carried values the last one.
    sums: Vec<f64>,
    rows: f64,
}

impl Averages {
    pub fn new(observed: &[Observed]) -> Averages {
        Averages { observed: observed.to_vec(), sums: vec![0.0; observed.len()], rows: 0.0 }
    }

    pub fn clear(&mut self) {
        self.sums.fill(0.0);
        self.rows = 0.0;
    }

    /// Adds the values of a batch.
    pub fn add(&mut self, rows: usize, value: impl Fn(usize) -> f64) {
        self.rows += rows as f64;
        for (index, (sum, observed)) in self.sums.iter_mut().zip(&self.observed).enumerate() {
            if observed.carried {
                *sum = value(index);
            } else {
                *sum += value(index) * rows as f64;
            }
        }
    }

    pub fn record(&self, step: usize, epoch: usize, split: Split) -> Record {
        let mean = |(observed, sum): (&Observed, &f64)| {
            let value = if observed.carried { *sum } else { *sum / self.rows };
            (observed.name.clone(), value)
        };
        Record { step, epoch, split, values: self.observed.iter().zip(&self.sums).map(mean).collect() }
    }

    /// The exact bits, for a checkpoint in the middle of an epoch.
    pub fn to_bits(&self) -> Vec<u64> {
        self.sums.iter().chain([&self.rows]).map(|v| v.to_bits()).collect()
    }

    /// Takes back what [`Averages::to_bits`] gave; false if it came from other reports.
    pub fn set_bits(&mut self, bits: &[u64]) -> bool {
        let Some((rows, sums)) = bits.split_last() else { return false };
        if sums.len() != self.sums.len() {
            return false;
        }
        self.rows = f64::from_bits(*rows);
        self.sums = sums.iter().map(|b| f64::from_bits(*b)).collect();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_weighted_by_rows_and_carried_values_are_the_last() {
        let observed = [
            Observed { name: "loss".into(), is_loss: true, carried: false },
            Observed { name: "f1".into(), is_loss: false, carried: true },
        ];
        let mut averages = Averages::new(&observed);
        averages.add(3, |i| [1.0, 0.25][i]);
        averages.add(1, |i| [5.0, 0.5][i]);
        let record = averages.record(2, 1, Split::Train);
        assert_eq!(record.to_json().to_string(), r#"{"step":2,"epoch":1,"split":"train","loss":2.0,"f1":0.5}"#);
        let mut other = Averages::new(&observed);
        assert!(other.set_bits(&averages.to_bits()));
        assert_eq!(other, averages);
        assert!(!other.set_bits(&[1]));
    }

    #[test]
    fn numbers_that_json_lacks_are_strings() {
        let texts = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(|v| number(v).to_string());
        assert_eq!(texts, [r#""NaN""#, r#""inf""#, r#""-inf""#]);
    }
}
