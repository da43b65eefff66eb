//! Data sources and the steps on the way to a batch.
//!
//! A `data` item is evaluated by the checker to a [`spec::Pipeline`]. [`schema`] tells the checker the columns and the
//! number of rows; [`open`] reads the data for training. Both run the same code: a source makes a [`table::Table`],
//! the steps change it, and only the reading of large values is left out for a schema.
//!
//! | stage | where |
//! |---|---|
//! | files | [`csv`], [`idx`], [`npy`] |
//! | text as tokens | [`text`] |
//! | made inside the program | [`synthetic`] |
//! | choosing rows (`split`, `shuffle`, `take`) | [`rows`] |
//! | changing values (`standardize`, `one_hot`, …) | [`transform`], [`impute`] |
//!
//! Columns keep their compact form in memory (an image is bytes); [`Dataset::gather`] converts a batch to the element
//! type of the run. Problems are diagnostics `E0401` to `E0409`; see `docs/data.md`.

mod args;
mod arrays;
mod columns;
mod csv;
mod files;
mod idx;
mod impute;
mod npy;
mod random;
mod rows;
mod shelf;
pub mod spec;
mod synthetic;
mod table;
mod text;
mod transform;
pub mod zip;

#[cfg(test)]
mod tests;

use crate::diag::{Diagnostic, error, suggest};
use crate::runtime::Tensor;
use random::Random;
pub use shelf::Shelf;
use spec::{Pipeline, Schema};
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
    /// Allocates nothing. The same rows give the same bits on every platform.
    ///
    /// # Panics
    /// If `out` does not hold `rows.len()` values of the column, or a row is not below [`Dataset::rows`].
    pub fn gather(&self, split: Split, column: usize, rows: &[u32], out: &mut Tensor) {
        self.table.gather(split, column, rows, None, out);
    }

    /// As [`Dataset::gather`] for train rows, as they are drawn in an epoch.
    pub fn draw(&self, turn: Turn, column: usize, rows: &[u32], out: &mut Tensor) {
        self.table.gather(Split::Train, column, rows, Some(turn), out);
    }

    /// Whether the same row may differ from epoch to epoch.
    pub fn varies(&self) -> bool {
        self.table.columns.iter().any(|column| column.varies())
    }

    /// The tokens of a column of text: what its numbers mean.
    pub fn vocabulary(&self, column: &str) -> Option<&Arc<Vocabulary>> {
        self.stored(column)?.vocabulary.as_ref()
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

const SOURCES: &[&str] = &[
    "csv",
    "idx",
    "mnist",
    "npy",
    "npz",
    "synthetic.digits",
    "synthetic.linear",
    "synthetic.moons",
    "synthetic.spirals",
    "synthetic.tokens",
    "synthetic.text",
    "text",
];

const STEPS: &[&str] =
    &["split", "fold", "shuffle", "take", "standardize", "normalize", "impute", "one_hot", "flatten", "tokenize"];

fn run(pipeline: &Pipeline, context: &Context, read: Read) -> Result<Table, Vec<Diagnostic>> {
    let source = &pipeline.source;
    let mut table = match source.name.as_str() {
        "idx" => idx::load(source, context, read)?,
        "mnist" => idx::mnist(source, context, read)?,
        "npy" => npy::npy(source, context)?,
        "npz" => npy::npz(source, context)?,
        "csv" => csv::load(source, context)?,
        "synthetic.digits" => synthetic::digits(source, read)?,
        "synthetic.moons" => synthetic::moons(source, read)?,
        "synthetic.spirals" => synthetic::spirals(source, read)?,
        "synthetic.linear" => synthetic::linear(source, read)?,
        "synthetic.tokens" => synthetic::tokens(source, read)?,
        "synthetic.text" => text::synthetic(source)?,
        "text" => text::load(source, context)?,
        name => return Err(vec![unknown("data source", name, SOURCES).at(source.span, "not a data source")]),
    };
    if table.train.is_empty() {
        return Err(vec![
            error("E0409", format!("'{}' has no rows", pipeline.name)).at(source.span, "this source gives no rows"),
        ]);
    }
    for step in &pipeline.steps {
        match step.name.as_str() {
            "split" => rows::split(step, &mut table)?,
            "fold" => rows::fold(step, &mut table)?,
            "shuffle" => rows::shuffle(step, &mut table)?,
            "take" => rows::take(step, &mut table)?,
            "standardize" => transform::standardize(step, &mut table)?,
            "normalize" => transform::normalize(step, &mut table)?,
            "impute" => impute::impute(step, &mut table)?,
            "one_hot" => transform::one_hot(step, &mut table)?,
            "flatten" => transform::flatten(step, &mut table)?,
            "tokenize" => text::tokenize(step, &mut table)?,
            name => return Err(vec![unknown("data step", name, STEPS).at(step.span, "not a data step")]),
        }
    }
    let unfit = |column| impute::still_missing(column, source).or_else(|| text::still_text(column, source));
    let unfit: Vec<_> = table.columns.iter().filter_map(unfit).collect();
    if unfit.is_empty() { Ok(table) } else { Err(unfit) }
}

/// `E0407` for a name that does not exist, with the nearest one, or all of them.
fn unknown(what: &str, name: &str, known: &[&str]) -> Diagnostic {
    let help = suggest(name, known.iter().copied()).unwrap_or_else(|| format!("there are: {}", known.join(", ")));
    error("E0407", format!("unknown {what} '{name}'")).help(help)
}
