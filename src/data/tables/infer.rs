//! The columns of a table that names none: each field by itself, its kind told by what stands in it.
//!
//! Rows are looked at one after another, and none is kept: a table may be larger than memory.

use super::super::args::Fallible;
use super::cell::{Cell, Reader, is_number};
use super::column::{ColumnSpec, Field, Kind};
use crate::source::Span;
use std::collections::{BTreeSet, HashSet};

/// More different texts than this in a field (or than a twentieth of the rows, if that is more) are no classes.
const MOST_CLASSES: usize = 20;
/// And more than this never are.
const MOST_COUNTED: usize = 1 << 12;

/// What was seen of a table's fields.
pub struct Seen {
    /// The names of the fields, by the file itself or by its first row.
    first: Vec<String>,
    /// The first row is data, if the file has no header.
    first_is_plain: bool,
    fields: Vec<Values>,
    /// Rows behind the first.
    rows: usize,
    /// Some row behind the first has a number or a missing value.
    any_value: bool,
}

/// The values of a field, the first row apart.
struct Values {
    numbers: bool,
    texts: HashSet<String>,
    /// A text of the first row comes again.
    repeats: bool,
    /// In the first row.
    first: Option<String>,
}

/// Looks at all rows, up to the first that cannot be read.
pub fn look(mut reader: impl Reader) -> Fallible<Seen> {
    let mut seen = Seen { first: vec![], first_is_plain: true, fields: vec![], rows: 0, any_value: false };
    let named = match reader.header() {
        Ok(Some(header)) => {
            seen.fields = header.iter().map(|_| Values::new(None)).collect();
            reader.want(&(0..header.len()).collect::<Vec<_>>()).map_err(|wrong| vec![wrong])?;
            seen.first = header;
            true
        }
        Ok(None) => false,
        Err(_) => return Ok(seen),
    };
    let mut is_first = !named;
    while let Ok(true) = reader.advance() {
        if std::mem::take(&mut is_first) {
            for field in 0..reader.width() {
                let cell = reader.cell(field);
                seen.first_is_plain &= !is_value(&cell);
                seen.first.push(reader.text(field).into_owned());
                seen.fields.push(Values::new(text_of(cell)));
            }
            continue;
        }
        seen.rows += 1;
        for (field, values) in seen.fields.iter_mut().enumerate().take(reader.width()) {
            let cell = reader.cell(field);
            values.repeats |= !named && !values.repeats && reader.text(field) == seen.first[field].as_str();
            seen.any_value |= !named && !seen.any_value && is_value(&cell);
            values.add(cell);
        }
    }
    Ok(seen)
}

/// A number or missing: no name of a field.
fn is_value(cell: &Cell) -> bool {
    match cell {
        Cell::Missing | Cell::Number(_) => true,
        Cell::Text(text) => is_number(text),
    }
}

fn text_of(cell: Cell) -> Option<String> {
    match cell {
        Cell::Missing => None,
        Cell::Number(v) => Some(v.to_string()),
        Cell::Text(text) => Some(text.into_owned()),
    }
}

impl Values {
    fn new(first: Option<String>) -> Values {
        Values { numbers: true, texts: HashSet::new(), repeats: false, first }
    }

    fn add(&mut self, cell: Cell) {
        match cell {
            Cell::Missing | Cell::Number(_) if self.numbers => {}
            Cell::Text(text) if self.texts.len() <= MOST_COUNTED => {
                self.numbers = self.numbers && is_number(&text);
                // Numbers count as texts where a text follows them.
                if !self.texts.contains(text.as_ref()) {
                    self.texts.insert(text.into_owned());
                }
            }
            Cell::Text(text) => self.numbers = self.numbers && is_number(&text),
            Cell::Missing | Cell::Number(_) => {}
        }
    }
}

impl Seen {
    /// Whether the first row names the columns: none of its fields is a number or missing, and some field below is, or it
    /// repeats nothing of the rows.
    pub fn has_header(&self) -> bool {
        let is_alone = self.rows == 0;
        let differs = || self.fields.iter().all(|values| !values.repeats);
        !self.first.is_empty() && self.first_is_plain && (is_alone || self.any_value || differs())
    }

    /// A float for a field of numbers, classes for few texts, else text.
    pub fn columns(mut self, header: bool, span: Span) -> Vec<ColumnSpec> {
        let mut taken = BTreeSet::new();
        let rows = if header { self.rows } else { self.rows + 1 };
        let fields = std::mem::take(&mut self.fields);
        let column = |(k, mut values): (usize, Values)| {
            if let Some(first) = values.first.take().filter(|_| !header) {
                values.add(Cell::Text(first.into()));
            }
            let few = values.texts.len() <= MOST_CLASSES.max(rows / 20).min(MOST_COUNTED);
            let kind = match (values.numbers, few) {
                (true, _) => Kind::Scalar,
                (false, true) => Kind::Label,
                (false, false) => Kind::Text,
            };
            let mut name = if header { identifier(&self.first[k]) } else { String::new() };
            if name.is_empty() {
                name = format!("field_{k}");
            }
            while !taken.insert(name.clone()) {
                name.push('_');
            }
            ColumnSpec { name, span, kind, fields: vec![Field::Index(k as i64)], classes: None, options: &[] }
        };
        fields.into_iter().enumerate().map(column).collect()
    }
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
