//! `npy` and `npz`: NumPy's arrays as columns.

use super::args::{Args, Fallible};
use super::arrays::{self, Array, Options, Parts, assemble};
use super::npy_format::{self, Raw};
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

/// The array of a npy file, for a column.
fn array(bytes: &[u8], place: String, span: Span, options: Options) -> Fallible<Array> {
    let wrong = |code, title: String, label: &str| vec![error(code, title).at(span, label)];
    let raw = npy_format::parse(bytes).map_err(|problem| {
        let found = error(problem.code, format!("'{place}' {}", problem.what)).at(span, problem.label);
        vec![problem.note.into_iter().fold(found, |found, note| found.note(note))]
    })?;
    if raw.shape.is_empty() {
        return Err(wrong("E0402", format!("'{place}' holds a single value"), "has no row axis"));
    }
    if raw.data.is_empty() {
        return Err(wrong("E0409", format!("'{place}' has no values"), &format!("its shape is {:?}", raw.shape)));
    }
    let pixels = raw.kind == "u1" && raw.shape.len() > 1;
    let is_float = pixels || raw.kind.starts_with('f');
    let shape = raw.shape.clone();
    let values = decode(raw, pixels, options).map_err(|out| {
        wrong("E0408", format!("'{place}' has a value beyond 32 bits: {out}"), "integers are kept in 32 bits")
    })?;
    Ok(Array { shape, values, is_float, place, span })
}

/// Numbers of the given kind. The error is an integer that does not fit in 32 bits.
fn decode(raw: Raw, pixels: bool, options: Options) -> Result<Values, i128> {
    fn narrow<T: Copy + TryInto<i32> + Into<i128>>(values: impl Iterator<Item = T>) -> Result<Values, i128> {
        values.map(|v| v.try_into().map_err(|_| v.into())).collect::<Result<Vec<i32>, _>>().map(Values::I32)
    }
    match raw.kind.as_str() {
        "u1" if pixels => Ok(Values::Bytes { data: raw.data, divisor: options.divisor, affine: None }),
        "f4" => Ok(Values::F32(raw.each(f32::from_le_bytes).collect())),
        "f8" => Ok(Values::F64(raw.each(f64::from_le_bytes).collect())),
        "i1" => narrow(raw.each(i8::from_le_bytes)),
        "i2" => narrow(raw.each(i16::from_le_bytes)),
        "u2" => narrow(raw.each(u16::from_le_bytes)),
        "i4" => narrow(raw.each(i32::from_le_bytes)),
        "u4" => narrow(raw.each(u32::from_le_bytes)),
        "i8" => narrow(raw.each(i64::from_le_bytes)),
        "u8" => narrow(raw.each(u64::from_le_bytes)),
        "b1" => narrow(raw.data.iter().map(|b| i32::from(*b != 0))),
        _ => narrow(raw.data.iter().copied()),
    }
}
