//! `npy` and `npz`: NumPy's arrays. Our own small reader: sizes in a header are compared with the file before memory is
//! taken for them.

use super::args::{Args, Fallible};
use super::arrays::{self, Array, Options, Parts, assemble};
use super::spec::Call;
use super::table::{Table, Values};
use super::zip::Archive;
use super::{Context, files};
use crate::diag::error;
use crate::source::Span;

const NPZ_OPTIONS: [&str; 3] = ["file", "scale", "classes"];

/// `npy(x = "a.npy", y = "b.npy", test_x = …, test_y = …)`
pub fn npy(call: &Call, context: &Context) -> Fallible<Table> {
    let args = Args::named_only(call, "column")?;
    let options = Options::new(&args)?;
    let read = |(file, span): (&str, Span)| {
        let path = context.resolve(file);
        array(&files::read(&path, span)?, path.display().to_string(), span, options)
    };
    let mut columns = vec![];
    for column in arrays::wanted(&args, "npy", &arrays::OPTIONS)? {
        let test = column.test.map(read).transpose()?;
        columns.push(Parts { name: column.name.into(), train: read(column.train)?, test });
    }
    assemble(columns, options)
}

/// `npz("f.npz", x = "x_train", test_x = "x_test")`: members of one archive.
pub fn npz(call: &Call, context: &Context) -> Fallible<Table> {
    let args = Args::open(call, &NPZ_OPTIONS[..1])?;
    let options = Options::new(&args)?;
    let path = context.resolve(args.required_str("file")?);
    let bytes = files::read(&path, args.span("file"))?;
    let archive = Archive::open(&bytes).map_err(|reason| {
        let title = format!("'{}' is not a npz archive", path.display());
        vec![error("E0402", title).at(args.span("file"), reason)]
    })?;
    let read = |(member, span): (&str, Span)| {
        let place = format!("{}, array {member}", path.display());
        let found = archive.names().find(|name| name.strip_suffix(".npy").unwrap_or(name) == member);
        let Some(name) = found else {
            let names: Vec<&str> = archive.names().map(|name| name.strip_suffix(".npy").unwrap_or(name)).collect();
            let title = format!("there is no array '{member}' in '{}'", path.display());
            return Err(vec![
                error("E0404", title)
                    .at(span, "not in the archive")
                    .note(format!("arrays: {}", names.join(", ")))
                    .maybe_help(crate::diag::suggest(member, names)),
            ]);
        };
        let data = archive
            .read(name)
            .map_err(|reason| vec![error("E0403", format!("'{place}' is damaged")).at(span, reason)])?;
        array(&data, place, span, options)
    };
    let names: Vec<&str> = archive.names().map(|name| name.strip_suffix(".npy").unwrap_or(name)).collect();
    let wanted = if args.others(&NPZ_OPTIONS).next().is_none() {
        every_array(&names, args.span("file"))
    } else {
        arrays::wanted(&args, "npz", &NPZ_OPTIONS)?
    };
    let mut columns = vec![];
    for column in wanted {
        let test = column.test.map(read).transpose()?;
        columns.push(Parts { name: column.name.into(), train: read(column.train)?, test });
    }
    assemble(columns, options)
}

/// A column for each array; `test_x` is the test part of `x`, if every array has one.
fn every_array<'a>(names: &[&'a str], span: Span) -> Vec<arrays::Wanted<'a>> {
    let test_of = |name: &str| names.iter().find(|n| n.strip_prefix("test_") == Some(name)).map(|n| (*n, span));
    let own = || names.iter().filter(|name| !name.starts_with("test_"));
    let paired = own().all(|name| test_of(name).is_some()) && own().count() * 2 == names.len();
    let columns: Vec<&&str> = if paired { own().collect() } else { names.iter().collect() };
    let test = |name: &str| test_of(name).filter(|_| paired);
    columns.into_iter().map(|name| arrays::Wanted { name, train: (name, span), test: test(name) }).collect()
}

/// What a npy header says.
struct Header {
    /// `<f4`
    kind: String,
    fortran: bool,
    shape: Vec<usize>,
}

/// Reads the bytes of a npy file.
fn array(bytes: &[u8], place: String, span: Span, options: Options) -> Fallible<Array> {
    let wrong = |code, title: String, label: String| vec![error(code, title).at(span, label)];
    let (header, data) =
        header(bytes).map_err(|reason| wrong("E0402", format!("'{place}' is not a npy file"), reason))?;
    let unsupported = || {
        let label = format!("element type '{}'", header.kind);
        let help = "supported: float32, float64, the integers to 64 bits, and bool";
        vec![error("E0402", format!("'{place}' has elements that optc does not read")).at(span, label).help(help)]
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
    let elements = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    let declared = elements.and_then(|n| n.checked_mul(size));
    if declared != Some(data.len()) {
        let short = declared.is_none_or(|declared| declared > data.len());
        let title = format!("'{place}' is {}", if short { "truncated" } else { "too long" });
        let note = format!("its header says shape {shape:?} of '{}'; {} bytes follow", header.kind, data.len());
        return Err(vec![error("E0403", title).at(span, "size and header disagree").note(note)]);
    }
    if shape.is_empty() {
        return Err(wrong("E0402", format!("'{place}' holds a single value"), "has no row axis".into()));
    }
    if data.is_empty() {
        return Err(wrong("E0409", format!("'{place}' has no values"), format!("its shape is {shape:?}")));
    }
    let row_major = if header.fortran && shape.len() > 1 { to_row_major(data, &shape, size) } else { data.to_vec() };
    let pixels = kind == "u1" && shape.len() > 1;
    let values = decode(row_major, kind, order == ">", pixels, options).map_err(|out| {
        wrong("E0408", format!("'{place}' has a value beyond 32 bits: {out}"), "integers are kept in 32 bits".into())
    })?;
    Ok(Array { shape, values, is_float: pixels || kind.starts_with('f'), place, span })
}

/// Numbers of the given kind. The error is an integer that does not fit in 32 bits.
fn decode(data: Vec<u8>, kind: &str, big: bool, pixels: bool, options: Options) -> Result<Values, i128> {
    /// Values of `N` bytes, given to `f` with the lowest byte first.
    fn each<const N: usize, T>(data: &[u8], big: bool, f: impl Fn([u8; N]) -> T) -> impl Iterator<Item = T> {
        data.as_chunks::<N>().0.iter().map(move |bytes| {
            let mut bytes = *bytes;
            if big {
                bytes.reverse();
            }
            f(bytes)
        })
    }
    fn narrow<T: Copy + TryInto<i32> + Into<i128>>(values: impl Iterator<Item = T>) -> Result<Values, i128> {
        values.map(|v| v.try_into().map_err(|_| v.into())).collect::<Result<Vec<i32>, _>>().map(Values::I32)
    }
    match kind {
        "u1" if pixels => Ok(Values::Bytes { data, divisor: options.divisor, affine: None }),
        "f4" => Ok(Values::F32(each(&data, big, f32::from_le_bytes).collect())),
        "f8" => Ok(Values::F64(each(&data, big, f64::from_le_bytes).collect())),
        "i1" => Ok(Values::I32(data.into_iter().map(|b| i32::from(b as i8)).collect())),
        "i2" => Ok(Values::I32(each(&data, big, |b| i32::from(i16::from_le_bytes(b))).collect())),
        "u2" => Ok(Values::I32(each(&data, big, |b| i32::from(u16::from_le_bytes(b))).collect())),
        "i4" => Ok(Values::I32(each(&data, big, i32::from_le_bytes).collect())),
        "u4" => narrow(each(&data, big, u32::from_le_bytes)),
        "i8" => narrow(each(&data, big, i64::from_le_bytes)),
        "u8" => narrow(each(&data, big, u64::from_le_bytes)),
        "b1" => Ok(Values::I32(data.into_iter().map(|b| i32::from(b != 0)).collect())),
        _ => Ok(Values::I32(data.into_iter().map(i32::from).collect())),
    }
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
