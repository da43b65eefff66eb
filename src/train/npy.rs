//! NumPy's `.npy` files as weights: read by the reader of data files.

use super::load::Array;
use crate::data::npy_format;
use crate::ir::DType;

/// A whole `.npy` file.
pub fn parse(bytes: &[u8]) -> Result<Array, String> {
    let raw = npy_format::parse(bytes).map_err(|problem| problem.to_string())?;
    let dtype = match raw.kind.as_str() {
        "f4" => DType::F32,
        "f8" => DType::F64,
        "b1" => DType::Bool,
        _ => DType::I32,
    };
    Ok(Array { values: raw.to_f64s(), shape: raw.shape, dtype })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, ShapeBuilder, array};
    use ndarray_npy::WriteNpyExt;

    fn npy(array: &Array2<f32>) -> Vec<u8> {
        let mut bytes = Vec::new();
        array.write_npy(&mut bytes).expect("writes to memory");
        bytes
    }

    #[test]
    fn arrays_in_both_orders_are_read() {
        let rows = array![[1f32, 2., 3.], [4., 5., 6.]];
        let mut columns = Array2::zeros((2, 3).f());
        columns.assign(&rows);
        for array in [rows, columns] {
            let read = parse(&npy(&array)).expect("a .npy file");
            assert_eq!(read, Array { shape: vec![2, 3], values: vec![1., 2., 3., 4., 5., 6.], dtype: DType::F32 });
        }
    }

    #[test]
    fn cut_files_give_messages() {
        let whole = npy(&array![[1f32, 2.], [3., 4.]]);
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err(), "{length}");
        }
    }
}
