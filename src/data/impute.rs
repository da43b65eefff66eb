//! `impute`: statistics of the train rows in the place of missing values.

use super::args::{Args, Fallible};
use super::columns;
use super::spec::Call;
use super::table::{Stored, Table, Values};
use crate::diag::{Diagnostic, error};

#[derive(Clone, Copy)]
enum By {
    Mean,
    Median,
}

/// `impute(x, …, by = "mean" | "median")`
pub fn impute(call: &Call, table: &mut Table) -> Fallible<()> {
    let (named, options) = columns::and_options(call);
    let args = Args::new(&options, &["by"])?;
    let by = match args.str("by")?.unwrap_or("mean") {
        "mean" => By::Mean,
        "median" => By::Median,
        other => {
            let title = "'by' must be \"mean\" or \"median\"";
            return Err(vec![error("E0407", title).at(args.span("by"), format!("this is \"{other}\""))]);
        }
    };
    for index in columns::floats(&named, table)? {
        let stored = &mut table.columns[index];
        let width = stored.width();
        stored.missing = false;
        let Values::F64(values) = &mut stored.values else { continue };
        for element in 0..width {
            let known = table.train.iter().map(|row| values[*row as usize * width + element]).filter(|v| !v.is_nan());
            let Some(center) = center(known.collect(), by) else {
                let title = format!("'{}' has no value to impute from", stored.column.name);
                let label = format!("element {element} is missing in all train rows");
                return Err(vec![error("E0409", title).at(call.span, label)]);
            };
            values.iter_mut().skip(element).step_by(width).filter(|v| v.is_nan()).for_each(|v| *v = center);
        }
    }
    Ok(())
}

fn center(mut values: Vec<f64>, by: By) -> Option<f64> {
    let (count, middle) = (values.len(), values.len() / 2);
    if count == 0 {
        return None;
    }
    Some(match by {
        By::Mean => values.iter().sum::<f64>() / count as f64,
        By::Median => {
            values.sort_by(f64::total_cmp);
            if count % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
        }
    })
}

/// The error for a column whose missing values were kept and never replaced.
pub fn still_missing(stored: &Stored, call: &Call) -> Option<Diagnostic> {
    let name = &stored.column.name;
    stored.missing.then(|| {
        error("E0405", format!("missing values are left in '{name}'"))
            .at(call.span, "needs every value")
            .help(format!("add the step impute({name}), after 'split' and before steps that use '{name}'"))
    })
}
