//! What all readers of tables give.

use crate::diag::Diagnostic;
use std::borrow::Cow;

/// A field of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    Missing,
    #[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "a file of text has texts only"))]
    Number(f64),
    Text(Cow<'a, str>),
}

/// The rows of one file, one after another.
pub trait Reader {
    /// The names of the fields, where the file gives them. Called once, before the first row.
    fn header(&mut self) -> Result<Option<Vec<String>>, Diagnostic>;

    /// Announces the fields that will be looked at, by their positions. Called once, before the first row, where they are
    /// known by then.
    fn want(&mut self, _fields: &[usize]) -> Result<(), Diagnostic> {
        Ok(())
    }

    /// Goes to the next row; false behind the last.
    fn advance(&mut self) -> Result<bool, Diagnostic>;

    /// Fields of this row.
    fn width(&self) -> usize;

    fn cell(&self, field: usize) -> Cell<'_>;

    fn is_missing(&self, field: usize) -> bool {
        self.cell(field) == Cell::Missing
    }

    /// A field as text, also where that means "missing".
    fn text(&self, field: usize) -> Cow<'_, str>;

    /// The file and the place of this row in it.
    fn place(&self) -> String;
}

/// Whether a text stands for a number.
pub fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}
