//! NumPy's `.npy` format, for data and for weights. Sizes in a header are compared with the bytes that are there before
//! memory is taken for them.

/// An array: elements row by row, the lowest byte first.
pub struct Raw {
    /// `f4`, `u1`, …: one of NumPy's names, without the order of bytes.
    pub kind: String,
    pub shape: Vec<usize>,
    pub data: Vec<u8>,
}

/// What is wrong with a file.
pub struct Problem {
    pub code: &'static str,
    /// Goes on after the name of the file: "is truncated".
    pub what: String,
    pub label: String,
    pub note: Option<String>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "it {}: {}", self.what, self.label)
    }
}

/// What the header of a file says, checked against the file's size.
pub struct Layout {
    /// As in [`Raw`].
    pub kind: String,
    pub big_endian: bool,
    /// Column after column.
    pub fortran: bool,
    pub shape: Vec<usize>,
    /// Bytes of an element.
    pub size: usize,
    /// Where the elements begin.
    pub start: usize,
}

/// So many bytes at the beginning of a file hold the header of any array.
pub const MOST_HEADER: usize = 1 << 20;

/// Reads the header of a `.npy` file: `bytes` are its first ones, `total` is how many there are.
pub fn layout(bytes: &[u8], total: u64) -> Result<Layout, Problem> {
    let problem = |code, what: &str, label: String| Problem { code, what: what.into(), label, note: None };
    let (header, data) = header(bytes).map_err(|reason| problem("E0402", "is not a npy file", reason))?;
    let start = bytes.len() - data.len();
    let unsupported = || Problem {
        note: Some("supported: float32, float64, the integers to 64 bits, and bool".into()),
        ..problem("E0402", "has elements that optc does not read", format!("element type '{}'", header.kind))
    };
    let (order, kind) = header.kind.split_at_checked(1).ok_or_else(unsupported)?;
    let size: usize = match kind {
        "f4" | "i4" | "u4" => 4,
        "f8" | "i8" | "u8" => 8,
        "i2" | "u2" => 2,
        "i1" | "u1" | "b1" => 1,
        _ => return Err(unsupported()),
    };
    let shape = header.shape;
    let follow = total.saturating_sub(start as u64);
    let elements = shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d as u64));
    let declared = elements.and_then(|n| n.checked_mul(size as u64));
    if declared != Some(follow) {
        let short = declared.is_none_or(|declared| declared > follow);
        let note = format!("its header says shape {shape:?} of '{}'; {follow} bytes follow", header.kind);
        let what = if short { "is truncated" } else { "is too long" };
        return Err(Problem { note: Some(note), ..problem("E0403", what, "size and header disagree".into()) });
    }
    Ok(Layout {
        kind: kind.into(),
        big_endian: order == ">",
        fortran: header.fortran && shape.len() > 1,
        shape,
        size,
        start,
    })
}

/// Reads the bytes of a `.npy` file.
pub fn parse(bytes: &[u8]) -> Result<Raw, Problem> {
    let Layout { kind, big_endian, fortran, shape, size, start } = layout(bytes, bytes.len() as u64)?;
    let data = &bytes[start..];
    let mut data = if fortran { to_row_major(data, &shape, size) } else { data.to_vec() };
    if big_endian {
        data.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
    Ok(Raw { kind, shape, data })
}

impl Raw {
    /// Elements of `N` bytes, each made a number by `f`.
    pub fn each<const N: usize, T>(&self, f: impl Fn([u8; N]) -> T) -> impl Iterator<Item = T> {
        self.data.as_chunks::<N>().0.iter().map(move |bytes| f(*bytes))
    }

    /// The elements as floats; integers beyond 53 bits lose their end.
    pub fn to_f64s(&self) -> Vec<f64> {
        match self.kind.as_str() {
            "f4" => self.each(|b| f64::from(f32::from_le_bytes(b))).collect(),
            "f8" => self.each(f64::from_le_bytes).collect(),
            "i1" => self.each(|b| f64::from(i8::from_le_bytes(b))).collect(),
            "i2" => self.each(|b| f64::from(i16::from_le_bytes(b))).collect(),
            "u2" => self.each(|b| f64::from(u16::from_le_bytes(b))).collect(),
            "i4" => self.each(|b| f64::from(i32::from_le_bytes(b))).collect(),
            "u4" => self.each(|b| f64::from(u32::from_le_bytes(b))).collect(),
            "i8" => self.each(|b| i64::from_le_bytes(b) as f64).collect(),
            "u8" => self.each(|b| u64::from_le_bytes(b) as f64).collect(),
            _ => self.data.iter().map(|b| f64::from(*b)).collect(),
        }
    }
}

/// What a npy header says.
struct Header {
    /// `<f4`
    kind: String,
    fortran: bool,
    shape: Vec<usize>,
}

/// Turns column-major elements of `size` bytes into row-major ones.
fn to_row_major(data: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut index = vec![0; shape.len()];
    for _ in 0..data.len() / size {
        let offset = index.iter().zip(shape).rev().fold(0, |offset, (i, d)| offset * d + i);
        out.extend_from_slice(&data[offset * size..][..size]);
        for (i, d) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < *d {
                break;
            }
            *i = 0;
        }
    }
    out
}

/// Splits a npy file into its header and its data.
fn header(bytes: &[u8]) -> Result<(Header, &[u8]), String> {
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or("wrong magic number")?;
    let (length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (u16::from_le_bytes([*a, *b]) as usize, rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        [] | [_] => return Err("the header is incomplete".into()),
        [version, ..] => return Err(format!("unknown or incomplete version {version}")),
    };
    let (header, data) = rest.split_at_checked(length).ok_or("the header is incomplete")?;
    let text = std::str::from_utf8(header).map_err(|_| "the header is not text")?;
    let kind = field(text, "descr").and_then(|v| v.strip_prefix(['\'', '"'])?.split(['\'', '"']).next());
    let fortran = field(text, "fortran_order").and_then(|v| match v {
        v if v.starts_with("True") => Some(true),
        v if v.starts_with("False") => Some(false),
        _ => None,
    });
    let shape = field(text, "shape").and_then(|v| v.strip_prefix('(')?.split_once(')')).and_then(|(sizes, _)| {
        sizes
            .split(',')
            .map(str::trim)
            .filter(|s| !s.is_empty())
            .map(|s| s.trim_end_matches('L').parse().ok())
            .collect()
    });
    match (kind, fortran, shape) {
        (Some(kind), Some(fortran), Some(shape)) => Ok((Header { kind: kind.into(), fortran, shape }, data)),
        _ => Err("the header does not give 'descr', 'fortran_order' and 'shape'".into()),
    }
}

/// The text after `'name':` in a header.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let after = ['\'', '"'].iter().find_map(|quote| text.split_once(&format!("{quote}{name}{quote}")))?.1;
    Some(after.trim_start().strip_prefix(':')?.trim_start())
}
