//! The columns of a table that names none: each field by itself, its kind told by what stands in it.

use super::Format;
use super::column::{ColumnSpec, Field, Kind};
use crate::source::Span;
use std::collections::BTreeSet;

/// More different texts than this in a field (or than a twentieth of the rows, if that is more) are no classes.
const MOST_CLASSES: usize = 20;

/// Whether the first row names the columns: none of its fields is a number or missing, and some field below is.
pub fn has_header(rows: &[::csv::StringRecord], format: &Format) -> bool {
    let plain = |row: &::csv::StringRecord| !row.iter().any(|field| is_number(field) || format.is_missing(field));
    let Some((first, rest)) = rows.split_first() else { return false };
    plain(first) && (rest.is_empty() || rest.iter().any(|row| !plain(row)) || differs(first, rest))
}

/// Text tables: a header repeats nothing of the rows.
fn differs(first: &::csv::StringRecord, rest: &[::csv::StringRecord]) -> bool {
    first.iter().enumerate().all(|(k, name)| rest.iter().all(|row| row.get(k) != Some(name)))
}

/// A float for a field of numbers, classes for few texts, else text.
pub fn columns(rows: &[::csv::StringRecord], format: &Format, span: Span) -> Vec<ColumnSpec> {
    let (header, rows) = if format.header { (rows.first(), rows.get(1..).unwrap_or_default()) } else { (None, rows) };
    let width = header.or(rows.first()).map_or(0, ::csv::StringRecord::len);
    let mut taken = BTreeSet::new();
    (0..width)
        .map(|k| {
            let values = || rows.iter().filter_map(|row| row.get(k)).filter(|text| !format.is_missing(text));
            let kind = if values().all(is_number) {
                Kind::Scalar
            } else {
                let distinct: BTreeSet<&str> = values().collect();
                if distinct.len() <= MOST_CLASSES.max(rows.len() / 20) { Kind::Label } else { Kind::Text }
            };
            let mut name = header.and_then(|h| h.get(k)).map_or(String::new(), identifier);
            if name.is_empty() {
                name = format!("field_{k}");
            }
            while !taken.insert(name.clone()) {
                name.push('_');
            }
            ColumnSpec { name, span, kind, fields: vec![Field::Index(k as i64)], classes: None }
        })
        .collect()
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// A name of the language: `Bill Length (mm)` becomes `bill_length_mm`.
fn identifier(text: &str) -> String {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let name = words.join("_");
    if name.starts_with(|c: char| c.is_numeric()) { format!("field_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    #[test]
    fn headers_become_names() {
        let names = ["Bill Length (mm)", "2nd", "größe", "--"].map(super::identifier);
        assert_eq!(names, ["bill_length_mm", "field_2nd", "größe", ""]);
    }
}
