//! `window`: rows of a time series become rows of past values, with the value that follows.

use super::args::{Args, Fallible};
use super::columns::{self, Picked};
use super::disk::change::Change;
use super::impute::still_missing;
use super::spec::Call;
use super::table::{Stored, Table, Values};
use crate::diag::error;

/// `window(x, …, length = 12, horizon = 1)`: `x` becomes the `length` values up to `horizon` rows before, and `next_x` is
/// the value of the row itself. Rows without enough past are left out; the pasts of test rows reach into the train rows.
pub fn window(call: &Call, table: &mut Table) -> Fallible<()> {
    let (named, options) = columns::and_options(call);
    let args = Args::new(&options, &["length", "horizon"])?;
    let length = args.int("length", 12, 1, 1 << 20)? as usize;
    let horizon = args.int("horizon", 1, 1, 1 << 20)? as usize;
    let picked = columns::floats(&named, table)?;
    let (train, test) = (&table.train, &table.test);
    let in_order = train.windows(2).all(|w| w[0] < w[1]) && test.windows(2).all(|w| w[0] < w[1]);
    if !in_order || train.last().is_some_and(|last| test.first().is_some_and(|first| last > first)) {
        return Err(vec![
            error("E0409", "'window' needs rows in the order of time")
                .at(call.span, "test rows lie between train rows, or rows were shuffled")
                .help("split the end off: split(last = 24) or split(last = 0.1)"),
        ]);
    }
    let lost = length + horizon - 1;
    for index in picked {
        let name = table.columns[index].column.name.clone();
        if let Some(diagnostic) = still_missing(&table.columns[index], call) {
            return Err(vec![diagnostic]);
        }
        if table.columns[index].varies() {
            let title = format!("'{name}' differs from epoch to epoch");
            return Err(vec![error("E0409", title).at(call.span, "needs fixed values").help("put 'window' before it")]);
        }
        let next = format!("next_{name}");
        if table.columns.iter().any(|stored| stored.column.name == next) {
            let title = format!("the data has a column '{next}' already");
            return Err(vec![error("E0409", title).at(call.span, "makes a column of this name")]);
        }
        let stored = &mut table.columns[index];
        let (width, shape) = (stored.width(), stored.column.shape.clone());
        if let Values::Disk(disk) = &mut stored.values {
            let present = Stored::new(&next, true, shape, None, Values::Disk(disk.clone()));
            disk.change(Change::Window { length, lost });
            stored.column.shape.insert(0, length);
            table.columns.push(present);
            continue;
        }
        let values = stored.to_f64s();
        stored.column.shape.insert(0, length);
        let mut windows = Vec::new();
        if let Some(values) = &values {
            let rows = values.len() / width.max(1);
            if windows.try_reserve_exact(rows.saturating_mul(length * width)).is_err() {
                return Err(vec![error("E0409", "the windows do not fit in memory").at(call.span, "too long")]);
            }
            for row in 0..rows {
                match row.checked_sub(lost) {
                    Some(from) => windows.extend_from_slice(&values[from * width..(from + length) * width]),
                    None => windows.resize(windows.len() + length * width, 0.0),
                }
            }
        }
        stored.values = if values.is_some() { Values::F64(windows) } else { Values::Unread };
        table.columns.push(Stored::new(&next, true, shape, None, values.map_or(Values::Unread, Values::F64)));
    }
    table.train.retain(|row| *row as usize >= lost);
    table.test.retain(|row| *row as usize >= lost);
    if table.train.is_empty() {
        let title = "no train row has enough past";
        return Err(vec![error("E0409", title).at(call.span, format!("each needs {lost} rows before it"))]);
    }
    Ok(())
}

/// `select(a, b)`: only these columns; `drop(a)`: all others.
pub fn select(call: &Call, table: &mut Table, keep: bool) -> Fallible<()> {
    let picked = columns::named(call, table)?;
    let mut index = 0;
    table.columns.retain(|_| {
        index += 1;
        picked.iter().any(|Picked { index: i, .. }| *i == index - 1) == keep
    });
    if table.columns.is_empty() {
        return Err(vec![error("E0409", "no column is left").at(call.span, "drops all of them")]);
    }
    Ok(())
}
