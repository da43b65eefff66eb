//! `impute`: statistics of the train rows in the place of missing values.

use super::args::{Args, Fallible, number, wrong};
use super::columns::{self, Picked, type_of};
use super::disk::change::Change;
use super::disk::select;
use super::spec::{Call, Value};
use super::table::{Stored, Table, Values};
use crate::diag::{Diagnostic, error};
use std::collections::BTreeMap;

#[derive(Clone, Copy, PartialEq)]
enum By {
    Mean,
    Median,
    MostFrequent,
    Number(f64),
}

/// `impute(x, …, by = "mean" | "median" | "most_frequent" | 0)`; labels take the most frequent class.
pub fn impute(call: &Call, table: &mut Table) -> Fallible<()> {
    let (named, options) = columns::and_options(call);
    let args = Args::new(&options, &["by"])?;
    let by = match args.get("by") {
        None => None,
        Some(arg) => Some(match &arg.value {
            Value::Str(text) if text == "mean" => By::Mean,
            Value::Str(text) if text == "median" => By::Median,
            Value::Str(text) if text == "most_frequent" => By::MostFrequent,
            other => match number(other) {
                Some(value) if value.is_finite() => By::Number(value),
                _ => return Err(wrong(arg, "by", "\"mean\", \"median\", \"most_frequent\" or a number")),
            },
        }),
    };
    for Picked { index, span } in columns::named(&named, table)? {
        let (stored, train) = (&mut table.columns[index], &table.train);
        let is_label = stored.column.classes.is_some() && stored.column.shape.is_empty();
        if !stored.column.is_float && !is_label {
            return Err(vec![
                error("E0409", format!("'{}' has no missing values to replace", stored.column.name))
                    .at(span, "'impute' needs floats or labels")
                    .note(format!("{}: {}", stored.column.name, type_of(stored))),
            ]);
        }
        if is_label && by.is_some_and(|by| by != By::MostFrequent) {
            let title = format!("'{}' is a label: it has no mean", stored.column.name);
            let help = "classes take by = \"most_frequent\"";
            return Err(vec![error("E0407", title).at(args.span("by"), "for numbers only").help(help)]);
        }
        stored.missing = false;
        if matches!(stored.values, Values::Disk(_)) {
            let centers = centers(stored, train, by.unwrap_or(By::Mean), call)?;
            stored.put_off(|| Change::Fill(centers));
            continue;
        }
        let width = stored.width();
        match &mut stored.values {
            Values::I32(labels) if is_label => {
                let known = train.iter().map(|row| labels[*row as usize]).filter(|label| *label >= 0);
                let Some(most) = most_frequent(known) else { return Err(nothing(stored, 0, call)) };
                labels.iter_mut().filter(|label| **label < 0).for_each(|label| *label = most);
            }
            Values::F64(values) => {
                for element in 0..width {
                    let all = train.iter().map(|row| values[*row as usize * width + element]);
                    let known = all.filter(|v| !v.is_nan()).collect();
                    let Some(center) = center(known, by.unwrap_or(By::Mean)) else {
                        return Err(nothing(stored, element, call));
                    };
                    let own = values.iter_mut().skip(element).step_by(width);
                    own.filter(|v| v.is_nan()).for_each(|v| *v = center);
                }
            }
            // Nothing is missing in files of arrays.
            _ => {}
        }
    }
    Ok(())
}

/// What takes the place of missing values, for each element of a column that is not in memory.
fn centers(stored: &Stored, train: &[u32], by: By, call: &Call) -> Fallible<Vec<f64>> {
    let found = match by {
        By::Number(value) => return Ok(vec![value; stored.width()]),
        By::Median => select::medians(stored, train)?,
        By::MostFrequent => select::most_frequent(stored, train, call.span)?,
        By::Mean => {
            let mut sums = vec![(0.0, 0usize); stored.width()];
            stored.each(train.iter().map(|row| *row as usize), |values| {
                for ((sum, count), v) in sums.iter_mut().zip(values).filter(|(_, v)| !v.is_nan()) {
                    (*sum, *count) = (*sum + v, *count + 1);
                }
            })?;
            sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / count as f64)).collect()
        }
    };
    let center = |(element, center): (usize, Option<f64>)| center.ok_or_else(|| nothing(stored, element, call));
    found.into_iter().enumerate().map(center).collect()
}

fn nothing(stored: &Stored, element: usize, call: &Call) -> Vec<Diagnostic> {
    let title = format!("'{}' has no value to impute from", stored.column.name);
    vec![error("E0409", title).at(call.span, format!("element {element} is missing in all train rows"))]
}

fn center(mut values: Vec<f64>, by: By) -> Option<f64> {
    let (count, middle) = (values.len(), values.len() / 2);
    if let By::Number(value) = by {
        return Some(value);
    }
    if count == 0 {
        return None;
    }
    Some(match by {
        By::MostFrequent => return most_frequent(values.into_iter().map(f64::to_bits)).map(f64::from_bits),
        By::Median => {
            values.sort_by(f64::total_cmp);
            if count % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
        }
        _ => values.iter().sum::<f64>() / count as f64,
    })
}

/// Of equally frequent ones the smallest.
fn most_frequent<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map(|(value, _)| value)
}

/// The error for a column whose missing values were kept and never replaced.
pub fn still_missing(stored: &Stored, call: &Call) -> Option<Diagnostic> {
    let name = &stored.column.name;
    stored.missing.then(|| {
        error("E0405", format!("missing values are left in '{name}'"))
            .at(call.span, "needs every value")
            .help(format!("add the step impute({name}), after 'split' and before steps that use '{name}'"))
    })
}
