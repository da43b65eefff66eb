//! Steps that change values: `standardize`, `normalize`, `one_hot`, `flatten`.

use super::args::Fallible;
use super::columns::{self, Picked};
use super::disk::change::Change;
use super::impute::still_missing;
use super::spec::Call;
use super::table::{Affine, Stored, Table, Values};

/// `standardize(x, …)`: subtracts the mean of the train rows and divides by their population deviation, for each
/// element of a row. Elements that are constant over the train rows stay as they are.
pub fn standardize(call: &Call, table: &mut Table) -> Fallible<()> {
    for column in columns::floats(call, table)? {
        if let Some(diagnostic) = still_missing(&table.columns[column], call) {
            return Err(vec![diagnostic]);
        }
        rescale(table, column, |count, rows| {
            let mut mean = rows.fold(|total, v| *total += v)?;
            mean.iter_mut().for_each(|m| *m /= count);
            let mut squares = rows.fold_with(&mean, |total, v, m| *total += (v - m) * (v - m))?;
            squares.iter_mut().for_each(|s| *s = (*s / count).sqrt());
            Ok(Affine { shift: mean, factor: squares })
        })?;
    }
    Ok(())
}

/// `normalize(x, …)`: maps the smallest and largest value of the train rows to 0 and 1, for each element of a row.
pub fn normalize(call: &Call, table: &mut Table) -> Fallible<()> {
    for column in columns::floats(call, table)? {
        if let Some(diagnostic) = still_missing(&table.columns[column], call) {
            return Err(vec![diagnostic]);
        }
        rescale(table, column, |_, rows| {
            let low = rows.fold_from(f64::INFINITY, |low, v| *low = low.min(v))?;
            let high = rows.fold_from(f64::NEG_INFINITY, |high, v| *high = high.max(v))?;
            let factor = high.iter().zip(&low).map(|(high, low)| high - low).collect();
            Ok(Affine { shift: low, factor })
        })?;
    }
    Ok(())
}

/// `one_hot(label, …)`: a class label becomes a float vector with a 1 at the class.
pub fn one_hot(call: &Call, table: &mut Table) -> Fallible<()> {
    for Picked { index, .. } in columns::labels(call, table)? {
        if let Some(diagnostic) = still_missing(&table.columns[index], call) {
            return Err(vec![diagnostic]);
        }
        let stored = &mut table.columns[index];
        let classes = stored.column.classes.unwrap_or(0);
        stored.make_one_hot(classes);
    }
    Ok(())
}

/// `flatten(image, …)`: one axis instead of several.
pub fn flatten(call: &Call, table: &mut Table) -> Fallible<()> {
    for Picked { index, .. } in columns::named(call, table)? {
        let stored = &mut table.columns[index];
        stored.column.shape = vec![stored.width()];
    }
    Ok(())
}

/// The train rows of one column, for statistics of each element.
struct TrainRows<'a> {
    stored: &'a Stored,
    rows: &'a [u32],
}

impl TrainRows<'_> {
    fn fold(&self, f: impl Fn(&mut f64, f64)) -> Fallible<Vec<f64>> {
        self.fold_from(0.0, f)
    }

    fn fold_from(&self, start: f64, f: impl Fn(&mut f64, f64)) -> Fallible<Vec<f64>> {
        let mut totals = vec![start; self.stored.width()];
        self.each(|values| totals.iter_mut().zip(values).for_each(|(total, v)| f(total, *v)))?;
        Ok(totals)
    }

    fn fold_with(&self, with: &[f64], f: impl Fn(&mut f64, f64, f64)) -> Fallible<Vec<f64>> {
        let mut totals = vec![0.0; self.stored.width()];
        self.each(|values| {
            totals.iter_mut().zip(values).zip(with).for_each(|((total, v), with)| f(total, *v, *with));
        })?;
        Ok(totals)
    }

    fn each(&self, f: impl FnMut(&[f64])) -> Fallible<()> {
        self.stored.each(self.rows.iter().map(|row| *row as usize), f)
    }
}

/// Applies `(v - shift) / factor` with statistics of the train rows; nothing to do when only shapes are read.
fn rescale(table: &mut Table, column: usize, statistics: impl Fn(f64, &TrainRows) -> Fallible<Affine>) -> Fallible<()> {
    let stored = &mut table.columns[column];
    if matches!(stored.values, Values::Unread) {
        return Ok(());
    }
    let rows = TrainRows { stored, rows: &table.train };
    let mut affine = statistics(rows.rows.len() as f64, &rows)?;
    for (shift, factor) in affine.shift.iter_mut().zip(&mut affine.factor) {
        // A constant element would become 0/0. Rounding in the mean can leave a tiny deviation; far below the mean's
        // own precision it is a constant too.
        if *factor <= shift.abs() * 1e-14 {
            (*shift, *factor) = (0.0, 1.0);
        }
    }
    apply(stored, affine);
    Ok(())
}

fn apply(stored: &mut Stored, affine: Affine) {
    let width = stored.width();
    if stored.put_off(|| Change::Affine(affine.clone())) {
        return;
    }
    if let Values::Bytes { affine: earlier, .. } = &mut stored.values {
        // Stay bytes: (( v - a) / b - c) / d = (v - (a + b c)) / (b d).
        *earlier = Some(match earlier.take() {
            None => affine,
            Some(first) => first.then(&affine),
        });
        return;
    }
    if width == 0 {
        return;
    }
    let mut values = match std::mem::replace(&mut stored.values, Values::Unread) {
        Values::F64(values) => values,
        Values::F32(values) => values.into_iter().map(f64::from).collect(),
        Values::I32(values) => values.into_iter().map(f64::from).collect(),
        Values::OneHot(labels) => {
            let mut values = vec![0.0; labels.len() * width];
            labels.iter().enumerate().for_each(|(row, label)| values[row * width + *label as usize] = 1.0);
            values
        }
        // Not floats: the steps that come here take those only.
        Values::Bytes { .. } | Values::Windows(_) | Values::Text(_) | Values::Disk(_) | Values::Unread => return,
    };
    for row in values.chunks_exact_mut(width) {
        for ((v, shift), factor) in row.iter_mut().zip(&affine.shift).zip(&affine.factor) {
            *v = (*v - shift) / factor;
        }
    }
    stored.values = Values::F64(values);
}
