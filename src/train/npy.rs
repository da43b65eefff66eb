//! NumPy's `.npy` and `.npz` files, read so that no content can make the reader fail otherwise than by a message.

use super::load::Array;
use crate::ir::DType;
use flate2::read::DeflateDecoder;
use std::io::Read;

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

/// An array in a `.npz` file (a ZIP archive).
pub struct Entry {
    pub name: String,
    deflated: bool,
    start: usize,
    packed: usize,
    size: usize,
}

impl Entry {
    /// The `.npy` file inside.
    pub fn bytes(&self, archive: &[u8]) -> Result<Vec<u8>, String> {
        let broken = || format!("the entry '{}' is damaged", self.name);
        // A local header: 30 bytes, then a name and extra fields that may differ from the directory's.
        let local = archive.get(self.start..).ok_or_else(broken)?;
        let skip = 30 + number(local, 26, 2).ok_or_else(broken)? + number(local, 28, 2).ok_or_else(broken)?;
        let packed = local.get(skip..).and_then(|d| d.get(..self.packed)).ok_or_else(broken)?;
        if !self.deflated {
            return Ok(packed.to_vec());
        }
        let mut out = Vec::new();
        // No more than the directory promised, whatever the stream holds.
        DeflateDecoder::new(packed).take(self.size as u64).read_to_end(&mut out).map_err(|_| broken())?;
        Ok(out)
    }
}

/// Little-endian bytes of an archive.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(size)?)?;
    Some(field.iter().rev().fold(0, |n, b| n << 8 | usize::from(*b)))
}

/// The archive's directory. Names lose their `.npy`, as NumPy does it.
pub fn entries(archive: &[u8]) -> Result<Vec<Entry>, String> {
    // The end record is 22 bytes and a comment of at most 65535.
    let from = archive.len().saturating_sub(22 + 65_535);
    let tail = &archive[from..];
    let end = tail.windows(4).rposition(|w| w == b"PK\x05\x06").ok_or("not a .npz file (no ZIP directory)")?;
    let broken = || "the ZIP directory is damaged".to_string();
    let count = number(tail, end + 10, 2).ok_or_else(broken)?;
    let mut at = number(tail, end + 16, 4).ok_or_else(broken)?;
    let mut found = Vec::new();
    for _ in 0..count {
        let record = archive.get(at..).filter(|r| r.starts_with(b"PK\x01\x02")).ok_or_else(broken)?;
        let get = |offset, size| number(record, offset, size).ok_or_else(broken);
        let (method, packed, size) = (get(10, 2)?, get(20, 4)?, get(24, 4)?);
        let (name, extra, comment) = (get(28, 2)?, get(30, 2)?, get(32, 2)?);
        let start = get(42, 4)?;
        if [packed, size, start].contains(&0xffff_ffff) {
            return Err("archives of 4 GiB and more are not supported".into());
        }
        if method != 0 && method != 8 {
            return Err(format!("compression method {method} is not supported"));
        }
        let text = record.get(46..46 + name).ok_or_else(broken)?;
        let text = String::from_utf8_lossy(text);
        let name_text = text.strip_suffix(".npy").unwrap_or(&text).to_string();
        found.push(Entry { name: name_text, deflated: method == 8, start, packed, size });
        at += 46 + name + extra + comment;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, ShapeBuilder, array};
    use ndarray_npy::{NpzWriter, WriteNpyExt};
    use std::io::Cursor;

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
    fn stored_archives_are_read() {
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = NpzWriter::new(&mut bytes);
        writer.add_array("a", &array![1i64, -2]).expect("writes");
        writer.add_array("b", &array![true, false]).expect("writes");
        writer.finish().expect("writes");
        let archive = bytes.into_inner();
        let entries = entries(&archive).expect("an archive");
        let read = |e: &Entry| parse(&e.bytes(&archive).expect("whole")).expect("a .npy file");
        assert_eq!(entries.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(read(&entries[0]), Array { shape: vec![2], values: vec![1., -2.], dtype: DType::I32 });
        assert_eq!(read(&entries[1]), Array { shape: vec![2], values: vec![1., 0.], dtype: DType::Bool });
    }

    /// `numpy.savez_compressed` deflates.
    #[test]
    fn deflated_archives_are_read() {
        let mut encoder = flate2::read::DeflateEncoder::new(Cursor::new(npy(&array![[7f32]])), Default::default());
        let mut packed = Vec::new();
        encoder.read_to_end(&mut packed).expect("packs");
        let size = npy(&array![[7f32]]).len() as u32;
        let mut archive = b"PK\x03\x04".to_vec();
        archive.extend([0; 22]);
        archive.extend([5, 0, 0, 0]);
        archive.extend(b"w.npy");
        archive.extend(&packed);
        let directory = archive.len() as u32;
        archive.extend(b"PK\x01\x02\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00");
        archive.extend((packed.len() as u32).to_le_bytes());
        archive.extend(size.to_le_bytes());
        archive.extend([5, 0]);
        archive.extend([0; 16]);
        archive.extend(b"w.npy");
        archive.extend(b"PK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00");
        archive.extend(directory.to_le_bytes());
        archive.extend([0, 0]);
        let entries = entries(&archive).expect("an archive");
        let inside = parse(&entries[0].bytes(&archive).expect("whole")).expect("a .npy file");
        assert_eq!((entries[0].name.as_str(), inside.values), ("w", vec![7.0]));
    }

    #[test]
    fn cut_files_give_messages() {
        let whole = npy(&array![[1f32, 2.], [3., 4.]]);
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err(), "{length}");
        }
        let mut archive = Cursor::new(Vec::new());
        let mut writer = NpzWriter::new(&mut archive);
        writer.add_array("a", &array![1f64]).expect("writes");
        writer.finish().expect("writes");
        let archive = archive.into_inner();
        for length in 0..archive.len() {
            if let Ok(entries) = entries(&archive[..length]) {
                assert!(entries.iter().all(|e| e.bytes(&archive[..length]).is_ok()), "{length}");
            }
        }
    }
}
