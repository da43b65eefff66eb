//! What a run reports: averages over an epoch, and the objects that logs are made of.

use super::pass::Reported;
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
    /// Reports that are more than one number, such as a confusion matrix.
    pub tables: Vec<Table>,
    /// Hyper-parameters that change with the step, such as `adamw.lr`: of this step, or of some steps of the epoch.
    pub hypers: Vec<Curve>,
}

/// A name, and values after steps.
pub type Curve = (String, Vec<(usize, f64)>);

/// A reported matrix (or vector, …), row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

impl Table {
    /// Nested lists.
    fn to_json(&self) -> Value {
        fn nested(shape: &[usize], values: &[f64]) -> Value {
            match shape {
                [] => number(values[0]),
                [_, inner @ ..] => {
                    let size = inner.iter().product::<usize>().max(1);
                    Value::Array(values.chunks(size).map(|part| nested(inner, part)).collect())
                }
            }
        }
        nested(&self.shape, &self.values)
    }

    fn of_json(name: &str, value: &Value) -> Option<Table> {
        fn collect(value: &Value, depth: usize, shape: &mut Vec<usize>, values: &mut Vec<f64>) -> Option<()> {
            let Value::Array(items) = value else {
                values.push(to_number(value)?);
                return Some(());
            };
            if shape.len() == depth {
                shape.push(items.len());
            }
            items.iter().try_for_each(|item| collect(item, depth + 1, shape, values))
        }
        let (mut shape, mut values) = (vec![], vec![]);
        collect(value, 0, &mut shape, &mut values)?;
        Some(Table { name: name.to_string(), shape, values })
    }
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
        for table in &self.tables {
            object.insert(table.name.clone(), table.to_json());
        }
        if !self.hypers.is_empty() {
            let points = |points: &[(usize, f64)]| points.iter().map(|(step, v)| json!([step, number(*v)])).collect();
            let curves = self.hypers.iter().map(|(name, of)| (name.clone(), Value::Array(points(of))));
            object.insert(HYPERS.into(), Value::Object(curves.collect()));
        }
        Value::Object(object)
    }

    /// Takes in reports that were made at the end of a pass.
    pub fn extend(&mut self, reports: Vec<Reported>) {
        for Reported { name, shape, values } in reports {
            match (shape.as_slice(), values.as_slice()) {
                ([], [value]) => self.values.push((name, *value)),
                _ => self.tables.push(Table { name, shape, values }),
            }
        }
    }

    /// A line of `metrics.jsonl`.
    pub fn parse(line: &str) -> Option<Record> {
        let Value::Object(object) = serde_json::from_str(line).ok()? else { return None };
        let count = |name: &str| Some(object.get(name)?.as_u64()? as usize);
        let split = [Split::Train, Split::Test, Split::Step].into_iter().find(|s| object["split"] == s.name())?;
        let (step, epoch) = (count("step")?, count("epoch")?);
        let mut record = Record { step, epoch, split, values: vec![], tables: vec![], hypers: vec![] };
        for (name, value) in object.iter().filter(|(name, _)| !matches!(name.as_str(), "step" | "epoch" | "split")) {
            match value {
                Value::Array(_) => record.tables.push(Table::of_json(name, value)?),
                Value::Object(hypers) if name == HYPERS => {
                    record.hypers = hypers.iter().map(|(name, points)| (name.clone(), curve(points))).collect();
                }
                _ => record.values.push((name.clone(), to_number(value)?)),
            }
        }
        Some(record)
    }

    /// Only the reported values.
    pub fn values_json(&self) -> Value {
        let tables = self.tables.iter().map(|t| (t.name.clone(), t.to_json()));
        let values = self.values.iter().map(|(n, v)| (n.clone(), number(*v)));
        Value::Object(values.chain(tables).collect())
    }
}

/// The entry of a log's line that holds hyper-parameters: `"hypers": {"adamw.lr": [[10, 0.001], [20, 0.002]]}`.
pub const HYPERS: &str = "hypers";

/// Pairs of step and value, as far as they are some.
pub fn curve(points: &Value) -> Vec<(usize, f64)> {
    let point = |pair: &Value| Some((pair.get(0)?.as_u64()? as usize, to_number(pair.get(1)?)?));
    points.as_array().into_iter().flatten().filter_map(point).collect()
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

/// What [`number`] wrote.
pub fn to_number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "inf" => Some(f64::INFINITY),
            "-inf" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        other => other.as_f64(),
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
        let values = self.observed.iter().zip(&self.sums).map(mean).collect();
        Record { step, epoch, split, values, tables: vec![], hypers: vec![] }
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
        let mut record = averages.record(2, 1, Split::Train);
        assert_eq!(record.to_json().to_string(), r#"{"step":2,"epoch":1,"split":"train","loss":2.0,"f1":0.5}"#);
        record.tables.push(Table { name: "table".into(), shape: vec![2, 2], values: vec![1.0, 2.0, f64::NAN, 4.0] });
        record.hypers = vec![("adam.lr".into(), vec![(1, 0.1), (2, f64::NAN)])];
        let line = record.to_json().to_string();
        assert!(
            line.ends_with(r#""table":[[1.0,2.0],["NaN",4.0]],"hypers":{"adam.lr":[[1,0.1],[2,"NaN"]]}}"#),
            "{line}"
        );
        let again = Record::parse(&line).expect("a record");
        assert_eq!((again.to_json().to_string(), &again.tables[0].shape), (line, &vec![2, 2]));
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
