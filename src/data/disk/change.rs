//! What steps do to values that stay on disk: done again to each row that is read.

use super::super::scale;
use super::super::table::Affine;

/// One step's change of a row.
#[derive(Clone, Debug)]
pub enum Change {
    Affine(Affine),
    Clip {
        low: f64,
        high: f64,
    },
    Log {
        plus_one: bool,
    },
    /// Takes the place of a missing value, for each element of a row.
    Fill(Vec<f64>),
    /// A row becomes the `length` rows that begin `lost` rows before it.
    Window {
        length: usize,
        lost: usize,
    },
}

impl Change {
    /// Changes a row's values in place; a window is made elsewhere.
    pub fn apply(&self, values: &mut [f64]) {
        match self {
            Change::Affine(affine) => {
                for ((v, shift), factor) in values.iter_mut().zip(&affine.shift).zip(&affine.factor) {
                    *v = (*v - shift) / factor;
                }
            }
            // A missing value stays one.
            Change::Clip { low, high } => {
                values.iter_mut().filter(|v| !v.is_nan()).for_each(|v| *v = v.clamp(*low, *high));
            }
            Change::Log { plus_one } => values.iter_mut().for_each(|v| *v = scale::logarithm(*v, *plus_one)),
            Change::Fill(centers) => {
                values.iter_mut().zip(centers).filter(|(v, _)| v.is_nan()).for_each(|(v, center)| *v = *center);
            }
            Change::Window { .. } => {}
        }
    }
}
