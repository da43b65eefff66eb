//! Tables: rows of fields, which column arguments take by name or position.
//!
//! * [`csv`] and [`parquet`] read rows; [`cell`] is what they have in common
//! * [`column`]: what a column argument says, and the column while it grows; [`infer`]: tables that name no column
//! * [`spill`]: columns that do not stay in memory
//!
//! Rows are read one after another; what is kept of them is their columns.

mod cell;
mod column;
pub mod csv;
mod infer;
pub mod parquet;
mod spill;
mod texts;

pub use texts::Texts;

use super::args::{Args, Fallible, bad, describe};
use super::disk::choice::Choice;
use super::disk::temporary;
use super::spec::Value;
use super::table::Table;
use crate::diag::{Diagnostic, error};
use crate::source::Span;
use cell::Reader;
use column::{Builder, ColumnSpec, Kind};
use spill::Spill;
use std::path::{Path, PathBuf};

/// As many wrong cells are reported at once.
const MOST_ERRORS: usize = 5;

/// What to do with missing values.
#[derive(Clone, Copy)]
enum Missing {
    Error,
    Drop,
    /// NaN, for `impute`.
    Keep,
    Fill(f64),
}

impl Missing {
    fn new(args: &Args) -> Fallible<Missing> {
        let Some(arg) = args.get("missing") else { return Ok(Missing::Error) };
        Ok(match &arg.value {
            Value::Str(text) if text == "error" => Missing::Error,
            Value::Str(text) if text == "drop" => Missing::Drop,
            Value::Str(text) if text == "keep" => Missing::Keep,
            Value::Int(v) => Missing::Fill(*v as f64),
            Value::Float(v) if v.is_finite() => Missing::Fill(*v),
            other => {
                let label = format!("this is {}", describe(other));
                return Err(vec![bad(arg, "'missing' must be \"error\", \"drop\", \"keep\" or a number", label)]);
            }
        })
    }
}

/// A file with rows of a table, and the argument that names it.
struct Part {
    path: PathBuf,
    span: Span,
}

/// The columns of a table while its files are read.
struct Growing {
    columns: Vec<Builder>,
    missing: Missing,
    /// Numbers and texts go into a temporary file.
    streams: bool,
    spill: Option<Spill>,
    /// Rows in memory.
    waiting: usize,
}

/// Reads the rows of the train file and of the test file into columns.
fn load<R: Reader>(
    specs: Vec<ColumnSpec>,
    (train, test): (&Part, Option<&Part>),
    missing: Missing,
    streams: bool,
    open: impl Fn(&Part) -> Fallible<R>,
) -> Fallible<Table> {
    let columns = specs.into_iter().map(|spec| Builder::new(spec, streams)).collect::<Fallible<Vec<_>>>()?;
    let mut growing = Growing { columns, missing, streams, spill: None, waiting: 0 };
    let train_rows = growing.read(open(train)?, train)?;
    let test_rows = test.map_or(Ok(0), |test| growing.read(open(test)?, test))?;
    if train_rows + test_rows > super::table::MOST_ROWS {
        return Err(vec![
            error("E0409", format!("'{}' has {} rows", train.path.display(), train_rows + test_rows))
                .at(train.span, format!("at most {} rows are possible", super::table::MOST_ROWS)),
        ]);
    }
    if growing.streams {
        growing.flush(train.span)?;
    }
    let Growing { columns, spill, .. } = growing;
    let place = train.path.display().to_string();
    let regions = spill.map(|spill| spill.finish(train_rows + test_rows, &place, train.span)).transpose();
    let mut regions =
        regions.map_err(|reason| vec![temporary::no_room(&reason, train.span)])?.unwrap_or_default().into_iter();
    let finish = |builder: Builder| {
        let region = if builder.is_spilled() { regions.next() } else { None };
        builder.finish(region)
    };
    Ok(Table::new(columns.into_iter().map(finish).collect::<Fallible<_>>()?, train_rows, test_rows))
}

impl Growing {
    /// Appends the rows of a file; returns their number.
    fn read<R: Reader>(&mut self, mut reader: R, Part { path, span }: &Part) -> Fallible<usize> {
        let mut errors: Vec<Diagnostic> = vec![];
        let mut count = 0;
        let header = reader.header().map_err(|wrong| vec![wrong])?;
        // Positions of each column's fields, known from the first row on.
        let mut fields: Option<(usize, Vec<Vec<usize>>)> = None;
        if let Some(header) = &header {
            let resolved = self.resolve(Some(header), header.len(), path, *span)?;
            reader.want(&resolved.concat()).map_err(|wrong| vec![wrong])?;
            fields = Some((header.len(), resolved));
        }
        loop {
            match reader.advance() {
                Ok(true) => {}
                Ok(false) => break,
                Err(wrong) => {
                    errors.push(wrong);
                    break;
                }
            }
            if fields.is_none() {
                fields = Some((reader.width(), self.resolve(None, reader.width(), path, *span)?));
            }
            let Some((width, fields)) = &fields else { break };
            if reader.width() != *width {
                let title = format!("a row of '{}' has {} fields instead of {width}", path.display(), reader.width());
                errors.push(error("E0406", title).at(*span, "ragged row").note(reader.place()));
            } else {
                let lacks = |(column, fields): (&Builder, &Vec<usize>)| {
                    column.spec.kind != Kind::Text && fields.iter().any(|field| reader.is_missing(*field))
                };
                if matches!(self.missing, Missing::Drop) && self.columns.iter().zip(fields).any(lacks) {
                    continue;
                }
                for (column, fields) in self.columns.iter_mut().zip(fields) {
                    if let Err(problem) = column.push(&reader, fields, self.missing)? {
                        let name = header.as_ref().and_then(|h| h.get(problem.field));
                        let name = name.map_or(String::new(), |name| format!(" (\"{name}\")"));
                        errors.push(
                            error(problem.code, problem.title)
                                .at(*span, "in this file")
                                .at(column.spec.span, format!("read for column '{}'", column.spec.name))
                                .note(format!("{}, field {}{name}", reader.place(), problem.field))
                                .maybe_help(problem.help),
                        );
                    }
                }
                (count, self.waiting) = (count + 1, self.waiting + 1);
            }
            if errors.len() >= MOST_ERRORS {
                break;
            }
            if errors.is_empty() && self.streams && self.waiting >= Spill::rows_of_a_group(&self.columns) {
                self.flush(*span)?;
            }
        }
        if count == 0 && errors.is_empty() {
            errors
                .push(error("E0409", format!("'{}' has no rows of data", path.display())).at(*span, "an empty table"));
        }
        if errors.is_empty() { Ok(count) } else { Err(errors) }
    }

    /// The positions of each column's fields in a row of this file.
    fn resolve(
        &mut self,
        header: Option<&[String]>,
        width: usize,
        path: &Path,
        span: Span,
    ) -> Fallible<Vec<Vec<usize>>> {
        let resolve = |c: &Builder| c.spec.resolve(header, width, path);
        let resolved = self.columns.iter().map(resolve).collect::<Fallible<Vec<_>>>()?;
        for (column, fields) in self.columns.iter_mut().zip(&resolved) {
            let width = *column.width.get_or_insert(fields.len());
            if width != fields.len() {
                let title = format!("'{}' has {} fields in '{}'", column.spec.name, fields.len(), path.display());
                return Err(vec![error("E0403", title).at(span, format!("it has {width} in the first file"))]);
            }
        }
        Ok(resolved)
    }

    /// Brings the rows in memory to the temporary file.
    fn flush(&mut self, span: Span) -> Fallible<()> {
        if self.waiting == 0 || !self.columns.iter().any(Builder::is_spilled) {
            self.waiting = 0;
            return Ok(());
        }
        if self.spill.is_none() {
            self.spill = Some(Spill::new(&self.columns).map_err(|reason| vec![temporary::no_room(&reason, span)])?);
        }
        if let Some(spill) = &mut self.spill {
            spill.write(&mut self.columns, self.waiting).map_err(|reason| vec![temporary::no_room(&reason, span)])?;
        }
        self.waiting = 0;
        Ok(())
    }
}

/// What the arguments say about where the values go.
fn streams(args: &Args, bytes: u64) -> Fallible<bool> {
    Ok(Choice::new(args)?.streams(bytes))
}
