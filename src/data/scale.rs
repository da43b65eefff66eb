//! Steps that change each number by itself: `clip`, `log`, `log1p`.

use super::args::{Args, Fallible};
use super::columns;
use super::disk::change::Change;
use super::impute::still_missing;
use super::spec::Call;
use super::table::{Stored, Table, Values};
use crate::diag::error;

/// `clip(x, …, low = 0, high = 1)`: values outside become the bound that they pass; one of the two may be left out.
pub fn clip(call: &Call, table: &mut Table) -> Fallible<()> {
    let (named, options) = columns::and_options(call);
    let args = Args::new(&options, &["low", "high"])?;
    if args.get("low").is_none() && args.get("high").is_none() {
        return Err(vec![error("E0407", "'clip' needs 'low' or 'high'").at(call.span, "no bound is given")]);
    }
    let low = args.float("low", f64::NEG_INFINITY, f64::NEG_INFINITY, f64::INFINITY)?;
    let high = args.float("high", f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY)?;
    if low > high {
        let title = format!("'low' is {low}, above 'high', which is {high}");
        return Err(vec![error("E0407", title).at(args.span("low"), "the larger one")]);
    }
    for index in columns::floats(&named, table)? {
        let stored = &mut table.columns[index];
        if stored.put_off(|| Change::Clip { low, high }) {
            continue;
        }
        if let Some(mut values) = stored.to_f64s() {
            // A missing value stays one.
            values.iter_mut().filter(|v| !v.is_nan()).for_each(|v| *v = v.clamp(low, high));
            stored.values = Values::F64(values);
        }
    }
    Ok(())
}

/// `log(x, …)`: the natural logarithm; `log1p(x, …)`: that of 1 + x. Values that have none are an error.
pub fn log(call: &Call, table: &mut Table, plus_one: bool) -> Fallible<()> {
    for index in columns::floats(call, table)? {
        if let Some(diagnostic) = still_missing(&table.columns[index], call) {
            return Err(vec![diagnostic]);
        }
        let stored = &mut table.columns[index];
        let least = if plus_one { -1.0 } else { 0.0 };
        if let Some((row, value)) = too_small(stored, least)? {
            let title = format!("'{}' has a value without a logarithm: {value}", stored.column.name);
            let note = format!("in row {row} of the data (counted from 0)");
            let help = if plus_one { "values must be above -1" } else { "values must be above 0; log1p takes 0 too" };
            return Err(vec![error("E0409", title).at(call.span, "takes the logarithm").note(note).help(help)]);
        }
        if stored.put_off(|| Change::Log { plus_one }) {
            continue;
        }
        let Some(mut values) = stored.to_f64s() else { continue };
        values.iter_mut().for_each(|v| *v = logarithm(*v, plus_one));
        stored.values = Values::F64(values);
    }
    Ok(())
}

/// The first row with a value that is not above the bound.
fn too_small(stored: &Stored, bound: f64) -> Fallible<Option<(usize, f64)>> {
    let (mut found, mut row) = (None, 0);
    let rows = stored.values.rows(stored.width()).unwrap_or(0);
    stored.each(0..rows, |values| {
        if let (None, Some(value)) = (found, values.iter().find(|v| **v <= bound)) {
            found = Some((row, *value));
        }
        row += 1;
    })?;
    Ok(found)
}

/// Our own logarithm, of x or of 1 + x: the same bits on every platform.
pub fn logarithm(x: f64, plus_one: bool) -> f64 {
    if plus_one { ln_1p(x) } else { super::random::ln(x) }
}

/// Kahan's: the rounding error of 1 + x corrects itself.
fn ln_1p(x: f64) -> f64 {
    let one_more = 1.0 + x;
    if one_more == 1.0 { x } else { super::random::ln(one_more) * x / (one_more - 1.0) }
}
