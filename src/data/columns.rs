//! The columns that a step names.

use super::args::{Fallible, bad, describe};
use super::spec::{Call, Value};
use super::table::{Stored, Table};
use super::unknown;
use crate::diag::{Diagnostic, error};
use crate::source::Span;

/// A column and the place where a step names it.
#[derive(Clone, Copy)]
pub struct Picked {
    pub index: usize,
    pub span: Span,
}

/// A step's columns (its arguments without a name) and its options, as two calls.
pub fn and_options(call: &Call) -> (Call, Call) {
    let (mut columns, mut options) = (call.clone(), call.clone());
    columns.args.retain(|arg| arg.name.is_none());
    options.args.retain(|arg| arg.name.is_some());
    (columns, options)
}

/// The columns that a step names, at least one.
pub fn named(call: &Call, table: &Table) -> Fallible<Vec<Picked>> {
    let names: Vec<&str> = table.columns.iter().map(|c| c.column.name.as_str()).collect();
    let mut found = vec![];
    let mut errors: Vec<Diagnostic> = vec![];
    for arg in &call.args {
        if let Some(name) = &arg.name {
            errors.push(bad(arg, format!("'{}' has no argument '{name}'", call.name), "not expected"));
            continue;
        }
        let (Value::Name(name) | Value::Str(name)) = &arg.value else {
            errors.push(bad(
                arg,
                format!("'{}' takes columns", call.name),
                format!("this is {}", describe(&arg.value)),
            ));
            continue;
        };
        match names.iter().position(|n| n == name) {
            Some(index) => found.push(Picked { index, span: arg.span }),
            None => errors.push(
                Diagnostic { code: "E0404", ..unknown("column", name, &names, arg.span) }
                    .at(arg.span, "the data has no such column"),
            ),
        }
    }
    if call.args.is_empty() {
        let title = format!("'{}' needs the name of a column", call.name);
        errors.push(
            error("E0407", title).at(call.span, "no column given").help(format!("columns: {}", names.join(", "))),
        );
    }
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

/// As [`named`], for a step that takes floats.
pub fn floats(call: &Call, table: &Table) -> Fallible<Vec<usize>> {
    let columns = named(call, table)?;
    for Picked { index, span } in &columns {
        let stored = &table.columns[*index];
        if !stored.column.is_float {
            return Err(vec![
                error("E0409", format!("'{}' is not a float column", stored.column.name))
                    .at(*span, format!("'{}' needs floats", call.name))
                    .note(format!("{}: {}", stored.column.name, type_of(stored))),
            ]);
        }
    }
    Ok(columns.into_iter().map(|picked| picked.index).collect())
}

/// As [`named`], for a step that takes class labels.
pub fn labels(call: &Call, table: &Table) -> Fallible<Vec<Picked>> {
    let picked = named(call, table)?;
    for Picked { index, span } in &picked {
        let stored = &table.columns[*index];
        let is_label = stored.column.shape.is_empty() && stored.column.classes.is_some() && !stored.column.is_float;
        if !is_label {
            return Err(vec![
                error("E0409", format!("'{}' is not a class label", stored.column.name))
                    .at(*span, format!("'{}' needs a column of class labels", call.name))
                    .note(format!("{}: {}", stored.column.name, type_of(stored))),
            ]);
        }
    }
    Ok(picked)
}

/// `float[4]`
pub fn type_of(stored: &Stored) -> String {
    let kind = if stored.column.is_float { "float" } else { "int" };
    if stored.column.shape.is_empty() { kind.into() } else { format!("{kind}{:?}", stored.column.shape) }
}
