//! The recorded reference numbers: where they lie, how they are read, and how close is close.

use serde_json::Value;
use std::path::PathBuf;

/// The folder of reference data, which is not part of the repository; `None` (with a word on it) if it is absent.
pub fn folder(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")).join(name);
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: there is no folder ../shared/{name} beside the repository");
    None
}

pub fn read(path: &std::path::Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A number, or one of the strings that stand for the others.
pub fn number(value: &Value) -> f64 {
    match value {
        Value::Bool(b) => f64::from(u8::from(*b)),
        Value::String(s) => match s.as_str() {
            "NaN" => f64::NAN,
            "inf" => f64::INFINITY,
            "-inf" => f64::NEG_INFINITY,
            other => panic!("'{other}' is not a number"),
        },
        other => other.as_f64().unwrap_or_else(|| panic!("{other} is not a number")),
    }
}

/// All numbers of nested lists, row by row.
pub fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        other => vec![number(other)],
    }
}

/// The largest difference, relative to max(1, |expected|); infinite where one is NaN and the other is not, or the
/// lengths differ.
pub fn difference(found: &[f64], expected: &[f64]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let one = |(a, b): (&f64, &f64)| {
        if a == b || a.is_nan() && b.is_nan() {
            return 0.0;
        }
        let d = (a - b).abs() / b.abs().max(1.0);
        if d.is_nan() { f64::INFINITY } else { d }
    };
    found.iter().zip(expected).map(one).fold(0.0, f64::max)
}
