//! Data sources and the steps on the way to a batch.
//!
//! A `data` item is evaluated by the checker to a [`spec::Pipeline`]. [`schema`] tells the checker the columns and the
//! number of rows; [`open`] reads the data for training. Both run the same code: a source makes a [`table::Table`],
//! the steps change it, and only the reading of large values is left out for a schema.
//!
//! | stage | where |
//! |---|---|
//! | files | [`tables`], [`idx`], [`npy`] ([`npy_format`]) |
//! | pictures, and what is done to them in training | [`images`] |
//! | text as tokens | [`text`] |
//! | made inside the program | [`synthetic`] |
//! | choosing rows (`split`, `shuffle`, `take`, `balance`) | [`mod@split`], [`rows`] |
//! | changing values (`standardize`, `one_hot`, `log`, …) | [`transform`], [`scale`], [`impute`] |
//! | time series | [`series`] |
//! | values that stay in a file until a batch wants them | [`disk`] |
//!
//! Columns keep their compact form in memory (an image is bytes); [`Dataset::gather`] converts a batch to the element
//! type of the run. Problems are diagnostics `E0401` to `E0414`; see `docs/data.md`.

mod args;
mod arrays;
mod columns;
mod disk;
mod element;
mod files;
mod idx;
mod images;
mod impute;
mod npy;
pub mod npy_format;
mod random;
mod rows;
mod scale;
mod series;
mod shelf;
pub mod spec;
mod split;
pub mod summary;
mod synthetic;
mod table;
mod tables;
mod text;
mod transform;
pub mod zip;

#[cfg(test)]
mod tests;

use crate::diag::{Diagnostic, error};
use crate::runtime::Tensor;
use crate::source::Span;
use random::Random;
pub use shelf::Shelf;
use spec::{Call, Pipeline, Schema};
use std::path::PathBuf;
use std::sync::Arc;
use table::{Read, Table};
pub use text::Vocabulary;

/// Where relative paths begin: `data_dir` if it is given, else `file_dir`, else the current directory.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// `--data DIR`
    pub data_dir: Option<PathBuf>,
    /// The folder of the `.opt` file.
    pub file_dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    Train,
    Test,
}

/// When a training batch is drawn. What is random about a row (its window of a text, its augmentation) is a function of
/// this and of the row alone: the same on any number of threads, and after a resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    pub seed: u64,
    /// From 1.
    pub epoch: u64,
}

impl Turn {
    /// The random numbers of one row in this epoch.
    fn of_row(self, row: usize) -> Random {
        const STREAM: u64 = 0x7475_726e;
        Random::new(self.seed ^ STREAM, self.epoch << 32 | row as u64)
    }
}

/// Data ready for training: columns of rows, in a train part and a test part.
#[derive(Debug)]
pub struct Dataset {
    schema: Schema,
    table: Table,
}

impl Dataset {
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Number of rows of a part.
    pub fn rows(&self, split: Split) -> usize {
        self.table.part(split).len()
    }

    /// Copies rows of one column (an index into the schema's columns) into a tensor, converted to its element type.
    ///
    /// The same rows give the same bits on every platform. Fails only if a file can no longer be read.
    ///
    /// # Panics
    /// If `out` does not hold `rows.len()` values of the column, or a row is not below [`Dataset::rows`].
    pub fn gather(&self, split: Split, column: usize, rows: &[u32], out: &mut Tensor) -> Result<(), Diagnostic> {
        self.table.gather(split, column, rows, None, out)
    }

    /// As [`Dataset::gather`] for train rows, as they are drawn in an epoch.
    pub fn draw(&self, turn: Turn, column: usize, rows: &[u32], out: &mut Tensor) -> Result<(), Diagnostic> {
        self.table.gather(Split::Train, column, rows, Some(turn), out)
    }

    /// Announces that the next batches take these train rows, in some order: what is in files is read in one go.
    pub fn warm(&self, rows: &[u32]) -> Result<(), Diagnostic> {
        self.table.warm(rows)
    }

    /// Rows of the buffer from which the order of an epoch is drawn, where it is not drawn from all rows.
    pub fn buffer(&self) -> Option<usize> {
        self.table.buffer
    }

    /// Whether the same row may differ from epoch to epoch.
    pub fn varies(&self) -> bool {
        self.table.columns.iter().any(|column| column.varies())
    }

    /// The tokens of a column of text: what its numbers mean.
    pub fn vocabulary(&self, column: &str) -> Option<&Arc<Vocabulary>> {
        self.stored(column)?.vocabulary.as_ref()
    }

    /// The names of a label's classes, where the source knows them.
    pub fn class_names(&self, column: &str) -> &[String] {
        self.stored(column).map_or(&[], |stored| &stored.class_names)
    }

    fn stored(&self, column: &str) -> Option<&table::Stored> {
        self.table.columns.iter().find(|stored| stored.column.name == column)
    }
}

/// The columns and row counts of a pipeline. Reads no more of the files than that needs, so that it agrees with
/// [`open`] but does not find what is wrong inside large files.
pub fn schema(pipeline: &Pipeline, context: &Context) -> Result<Schema, Vec<Diagnostic>> {
    Ok(run(pipeline, context, Read::Shapes)?.schema())
}

/// Reads the data and applies the steps.
pub fn open(pipeline: &Pipeline, context: &Context) -> Result<Dataset, Vec<Diagnostic>> {
    let table = run(pipeline, context, Read::All)?;
    Ok(Dataset { schema: table.schema(), table })
}

/// What data can come from.
pub const SOURCES: &[&str] = &[
    "cifar10",
    "csv",
    "idx",
    "images",
    "mnist",
    "npy",
    "npz",
    "parquet",
    "synthetic.digits",
    "synthetic.linear",
    "synthetic.moons",
    "synthetic.spirals",
    "synthetic.tokens",
    "synthetic.text",
    "text",
];

/// What can be done to it on the way.
pub const STEPS: &[&str] = &[
    "split",
    "fold",
    "shuffle",
    "take",
    "balance",
    "select",
    "drop",
    "window",
    "standardize",
    "normalize",
    "clip",
    "log",
    "log1p",
    "impute",
    "one_hot",
    "flatten",
    "tokenize",
    "augment",
    "mixup",
];

/// The table that a training takes: no value is missing, and nothing is text.
fn run(pipeline: &Pipeline, context: &Context, read: Read) -> Result<Table, Vec<Diagnostic>> {
    let table = prepare(pipeline, context, read)?;
    let source = &pipeline.source;
    let unfit = |column| impute::still_missing(column, source).or_else(|| text::still_text(column, source));
    let unfit: Vec<_> = table.columns.iter().filter_map(unfit).collect();
    if unfit.is_empty() { Ok(table) } else { Err(unfit) }
}

fn prepare(pipeline: &Pipeline, context: &Context, read: Read) -> Result<Table, Vec<Diagnostic>> {
    let source = &pipeline.source;
    // The number of rows depends on values: shapes alone do not tell it.
    let needs_values = |step: &Call| step.name == "balance" || split::needs_values(step);
    let read = if pipeline.steps.iter().any(needs_values) { Read::All } else { read };
    let mut table = match source.name.as_str() {
        "cifar10" => images::cifar::load(source, context, read)?,
        "images" => images::load(source, context, read)?,
        "idx" => idx::load(source, context, read)?,
        "mnist" => idx::mnist(source, context, read)?,
        "npy" => npy::npy(source, context, read)?,
        "npz" => npy::npz(source, context, read)?,
        "csv" => tables::csv::load(source, context)?,
        "parquet" => tables::parquet::load(source, context)?,
        "synthetic.digits" => synthetic::digits(source, read)?,
        "synthetic.moons" => synthetic::moons(source, read)?,
        "synthetic.spirals" => synthetic::spirals(source, read)?,
        "synthetic.linear" => synthetic::linear(source, read)?,
        "synthetic.tokens" => synthetic::tokens(source, read)?,
        "synthetic.text" => text::synthetic(source)?,
        "text" => text::load(source, context)?,
        name => {
            return Err(vec![
                unknown("data source", name, SOURCES, named_at(source)).at(source.span, "not a data source"),
            ]);
        }
    };
    if table.train.is_empty() {
        return Err(vec![
            error("E0409", format!("'{}' has no rows", pipeline.name)).at(source.span, "this source gives no rows"),
        ]);
    }
    for step in &pipeline.steps {
        match step.name.as_str() {
            "split" => split::split(step, &mut table)?,
            "fold" => split::fold(step, &mut table)?,
            "shuffle" => rows::shuffle(step, &mut table)?,
            "take" => rows::take(step, &mut table)?,
            "balance" => rows::balance(step, &mut table)?,
            "select" => series::select(step, &mut table, true)?,
            "drop" => series::select(step, &mut table, false)?,
            "window" => series::window(step, &mut table)?,
            "clip" => scale::clip(step, &mut table)?,
            "log" => scale::log(step, &mut table, false)?,
            "log1p" => scale::log(step, &mut table, true)?,
            "standardize" => transform::standardize(step, &mut table)?,
            "normalize" => transform::normalize(step, &mut table)?,
            "impute" => impute::impute(step, &mut table)?,
            "one_hot" => transform::one_hot(step, &mut table)?,
            "flatten" => transform::flatten(step, &mut table)?,
            "augment" => images::augment::augment(step, &mut table)?,
            "mixup" => images::augment::mixup(step, &mut table)?,
            "tokenize" => text::tokenize(step, &mut table)?,
            name => {
                return Err(vec![unknown("data step", name, STEPS, named_at(step)).at(step.span, "not a data step")]);
            }
        }
    }
    Ok(table)
}

/// `E0407` for a name that does not exist, with the nearest one, or all of them. `at` is where the name stands.
fn unknown(what: &str, name: &str, known: &[&str], at: Span) -> Diagnostic {
    error("E0407", format!("unknown {what} '{name}'")).help(format!("there are: {}", known.join(", "))).did_you_mean(
        at,
        name,
        known.iter().copied(),
    )
}

/// A call begins with its name.
fn named_at(call: &Call) -> Span {
    Span { end: call.span.start + call.name.len() as u32, ..call.span }
}
