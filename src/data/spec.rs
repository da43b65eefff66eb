//! What a `data` item says, evaluated to plain values: the interface between the checker and the data sources.

use crate::source::Span;

/// `name = source(args) |> step(args) |> …`
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    pub name: String,
    pub source: Call,
    pub steps: Vec<Call>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// `csv`, `synthetic.digits`, `split`, …
    pub name: String,
    pub args: Vec<Arg>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    pub name: Option<String>,
    pub value: Value,
    pub span: Span,
    /// Where its name stands.
    pub named_at: Option<Span>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Int(i64),
    Float(f64),
    Bool(bool),
    Str(String),
    /// A bare name, such as a column in `standardize(x)`.
    Name(String),
    List(Vec<Value>),
    Call(Box<Call>),
}

/// One column as the checker and the batches see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    /// Floats take the run's floating type; otherwise the column is int.
    pub is_float: bool,
    /// Shape of one row's value: `[28, 28]` for an image, `[]` for a label.
    pub shape: Vec<usize>,
    /// For int columns of class labels: values are 0..classes.
    pub classes: Option<usize>,
}

/// What the checker knows before training starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    pub columns: Vec<Column>,
    pub train_rows: usize,
    /// 0 when the data has no test part.
    pub test_rows: usize,
}
