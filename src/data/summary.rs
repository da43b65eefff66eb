//! What `optc data` says about columns.

use super::args::Fallible;
use super::spec::Pipeline;
use super::table::{Read, Stored, Values};
use super::{Context, prepare};
use crate::diag::Diagnostic;

/// A pipeline's rows and columns.
#[derive(Clone, Debug)]
pub struct Summary {
    pub name: String,
    pub train_rows: usize,
    pub test_rows: usize,
    pub columns: Vec<ColumnSummary>,
}

#[derive(Clone, Debug)]
pub struct ColumnSummary {
    pub name: String,
    /// `float[4]`, `int`, `text`
    pub kind: String,
    /// Rows in which a value is missing.
    pub missing: usize,
    pub facts: Facts,
}

#[derive(Clone, Debug)]
pub enum Facts {
    /// Of all elements of all rows, train and test; nothing if no value is known.
    Numbers(Option<Numbers>),
    /// Names (or numbers) of the classes with their counts.
    Classes(Vec<(String, usize)>),
    /// The size of the vocabulary, and the most frequent tokens with their counts.
    Tokens(usize, Vec<(String, usize)>),
    /// Characters of the shortest and the longest text.
    Text { shortest: usize, longest: usize },
}

#[derive(Clone, Debug)]
pub struct Numbers {
    pub low: f64,
    pub high: f64,
    pub mean: f64,
    pub deviation: f64,
    /// Counts of [`BINS`] equal parts from `low` to `high`.
    pub histogram: Vec<usize>,
}

pub const BINS: usize = 16;

/// Reads the data. Unlike for a training, values may be missing and text may stay text.
pub fn summarize(pipeline: &Pipeline, context: &Context) -> Result<Summary, Vec<Diagnostic>> {
    let table = prepare(pipeline, context, Read::All)?;
    let rows: Vec<u32> = table.train.iter().chain(&table.test).copied().collect();
    let columns = table.columns.iter().map(|stored| column(stored, &rows)).collect::<Fallible<_>>()?;
    let (train_rows, test_rows) = (table.train.len(), table.test.len());
    Ok(Summary { name: pipeline.name.clone(), train_rows, test_rows, columns })
}

fn column(stored: &Stored, rows: &[u32]) -> Fallible<ColumnSummary> {
    let kind = if matches!(stored.values, Values::Text(_)) { "text".into() } else { super::columns::type_of(stored) };
    let mut missing = 0;
    let facts = match (&stored.values, stored.column.classes, &stored.vocabulary) {
        (Values::Text(texts), _, _) => {
            let (mut shortest, mut longest) = (usize::MAX, 0);
            for row in rows {
                let length = texts.get(*row as usize).map_err(|lost| vec![lost])?.chars().count();
                (shortest, longest) = (shortest.min(length), longest.max(length));
            }
            Facts::Text { shortest: shortest.min(longest), longest }
        }
        (_, Some(classes), vocabulary) => {
            let mut counts = vec![0; classes];
            each(stored, rows, |values| {
                missing += usize::from(values.iter().any(|v| *v < 0.0));
                for v in values {
                    if let Some(count) = counts.get_mut(*v as usize).filter(|_| *v >= 0.0) {
                        *count += 1;
                    }
                }
            })?;
            let name = |class: usize| match vocabulary {
                Some(vocabulary) => vocabulary.token(class as i32),
                None => stored.class_names.get(class).cloned().unwrap_or_else(|| class.to_string()),
            };
            let mut named: Vec<(String, usize)> =
                counts.into_iter().enumerate().map(|(class, count)| (name(class), count)).collect();
            if vocabulary.is_some() {
                named.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
                named.truncate(BINS);
                Facts::Tokens(classes, named)
            } else {
                Facts::Classes(named)
            }
        }
        _ => Facts::Numbers(numbers(stored, rows, &mut missing)?),
    };
    Ok(ColumnSummary { name: stored.column.name.clone(), kind, missing, facts })
}

fn each(stored: &Stored, rows: &[u32], f: impl FnMut(&[f64])) -> Fallible<()> {
    stored.each(rows.iter().map(|row| *row as usize), f)
}

fn numbers(stored: &Stored, rows: &[u32], missing: &mut usize) -> Fallible<Option<Numbers>> {
    let (mut low, mut high, mut sum, mut count) = (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0usize);
    each(stored, rows, |values| {
        *missing += usize::from(values.iter().any(|v| v.is_nan()));
        for v in values.iter().filter(|v| !v.is_nan()) {
            (low, high, sum, count) = (low.min(*v), high.max(*v), sum + v, count + 1);
        }
    })?;
    if count == 0 {
        return Ok(None);
    }
    let mean = sum / count as f64;
    let (mut squares, mut histogram) = (0.0, vec![0; BINS]);
    each(stored, rows, |values| {
        for v in values.iter().filter(|v| !v.is_nan()) {
            squares += (v - mean) * (v - mean);
            let part = if high > low { (v - low) / (high - low) } else { 0.0 };
            histogram[((part * BINS as f64) as usize).min(BINS - 1)] += 1;
        }
    })?;
    Ok(Some(Numbers { low, high, mean, deviation: (squares / count as f64).sqrt(), histogram }))
}
