//! Measuring: a training step with its batches ready, what it costs, and what the machine can do.
//!
//! * [`step`]: a compiled step bound to its buffers, run as often as one likes
//! * [`machine`]: this process's start and memory, and the bandwidth that simple loops reach
//! * [`profile`]: the time of each instruction, by its place in the source

pub mod machine;
pub mod profile;
pub mod step;

use crate::diag::Diagnostic;
use crate::runtime::Tensor;
use crate::train::Rows;
use std::time::Duration;

/// Stages of compilation with their times, in order.
pub type Stages = Vec<(&'static str, Duration)>;

/// Small pseudo-random values in every column: the gradients of an optimizer that is measured on its own.
pub struct Noise;

impl Rows for Noise {
    fn gather(&self, _test: bool, _column: &str, rows: &[u32], out: &mut Tensor) -> Result<(), Diagnostic> {
        let value = |row: u32| f64::from(row.wrapping_mul(0x9e37_79b9) >> 8) / f64::from(1 << 24) - 0.5;
        match out.ty().dtype {
            crate::ir::DType::F32 => {
                out.f32s_mut().iter_mut().zip(rows).for_each(|(to, row)| *to = 0.02 * value(*row) as f32);
            }
            crate::ir::DType::F64 => out.f64s_mut().iter_mut().zip(rows).for_each(|(to, row)| *to = 0.02 * value(*row)),
            _ => out.i32s_mut().fill(0),
        }
        Ok(())
    }
}

/// The middle value (the mean of the middle two).
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn medians() {
        assert_eq!(super::median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(super::median(&[4.0, 1.0]), 2.5);
        assert!(super::median(&[]).is_nan());
    }
}
