//! NumPy's `.npy` files, read so that no content can make the reader fail otherwise than by a message.

use super::load::Array;
use crate::ir::DType;

/// A whole `.npy` file.
pub fn parse(bytes: &[u8]) -> Result<Array, String> {
    let header = header(bytes).ok_or("not a .npy file")?;
    let text = std::str::from_utf8(header.text).map_err(|_| "the header of the .npy file is not text")?;
    let kind = field(text, "descr").and_then(quoted).ok_or("the .npy header names no element type")?;
    let fortran = field(text, "fortran_order").is_some_and(|v| v.starts_with("True"));
    let shape = field(text, "shape").and_then(shape).ok_or("the .npy header gives no shape")?;
    let count = shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size)).ok_or("the shape is too large")?;
    let (dtype, mut values) = decode(kind, header.data, count)?;
    if fortran && shape.len() > 1 {
        values = from_fortran(&values, &shape);
    }
    Ok(Array { shape, values, dtype })
}

struct Header<'a> {
    text: &'a [u8],
    data: &'a [u8],
}

fn header(bytes: &[u8]) -> Option<Header<'_>> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    let (version, rest) = rest.split_at_checked(2)?;
    let (length, rest) = if version[0] == 1 {
        let (length, rest) = rest.split_first_chunk::<2>()?;
        (usize::from(u16::from_le_bytes(*length)), rest)
    } else {
        let (length, rest) = rest.split_first_chunk::<4>()?;
        (u32::from_le_bytes(*length) as usize, rest)
    };
    let (text, data) = rest.split_at_checked(length)?;
    Some(Header { text, data })
}

/// The text after `'name':` in the header, a Python dictionary.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let at = text.find(&format!("'{name}'"))? + name.len() + 2;
    text[at..].trim_start().strip_prefix(':').map(str::trim_start)
}

fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('\'')?.split('\'').next()
}

fn shape(text: &str) -> Option<Vec<usize>> {
    let inside = text.strip_prefix('(')?.split(')').next()?;
    let sizes = inside.split(',').map(str::trim).filter(|s| !s.is_empty());
    sizes.map(|s| s.trim_end_matches('L').parse().ok()).collect()
}

fn decode(kind: &str, data: &[u8], count: usize) -> Result<(DType, Vec<f64>), String> {
    let (order, name) = kind.split_at_checked(1).ok_or("the element type is empty")?;
    let big = order == ">";
    macro_rules! numbers {
        ($type:ty, $dtype:expr) => {{
            const SIZE: usize = size_of::<$type>();
            if data.len() / SIZE < count {
                return Err(format!("the file ends after {} of {count} elements", data.len() / SIZE));
            }
            let read = |chunk: &[u8]| {
                let chunk = chunk.try_into().expect("chunks have that many bytes");
                (if big { <$type>::from_be_bytes(chunk) } else { <$type>::from_le_bytes(chunk) }) as f64
            };
            Ok(($dtype, data.chunks_exact(SIZE).take(count).map(read).collect()))
        }};
    }
    match name {
        "f4" => numbers!(f32, DType::F32),
        "f8" => numbers!(f64, DType::F64),
        "i1" => numbers!(i8, DType::I32),
        "i2" => numbers!(i16, DType::I32),
        "i4" => numbers!(i32, DType::I32),
        "i8" => numbers!(i64, DType::I32),
        "u1" => numbers!(u8, DType::I32),
        "u2" => numbers!(u16, DType::I32),
        "u4" => numbers!(u32, DType::I32),
        "b1" => numbers!(u8, DType::Bool),
        _ => Err(format!("elements of type '{kind}' are not supported")),
    }
}

/// Column-major values in row-major order.
fn from_fortran(values: &[f64], shape: &[usize]) -> Vec<f64> {
    let mut strides = vec![1; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let mut index = vec![0; shape.len()];
    let mut out = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        out.push(values[index.iter().zip(&strides).map(|(i, s)| i * s).sum::<usize>()]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
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
