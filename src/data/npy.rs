//! `npy` and `npz`: NumPy's arrays as columns.

use super::args::{Args, Fallible};
use super::arrays::{self, Array, Options, Parts, assemble};
use super::disk::Disk;
use super::disk::encoding::{Encoding, Kind};
use super::disk::region::{Region, read_at};
use super::npy_format::{self, Layout, MOST_HEADER, Problem, Raw};
use super::spec::Call;
use super::table::{Read, Table, Values};
use super::zip::Archive;
use super::{Context, files};
use crate::diag::error;
use crate::source::Span;
use std::fs::File;
use std::sync::Arc;

const NPZ_OPTIONS: [&str; 4] = ["file", "scale", "classes", "stream"];

/// An array that is not read yet.
struct Source<'a> {
    place: String,
    span: Span,
    /// Of the array with its header.
    bytes: u64,
    /// The file that has it as it is, and where it begins there.
    plain: Option<(Arc<File>, u64)>,
    whole: Box<dyn Fn() -> Fallible<Vec<u8>> + 'a>,
}

/// `npy(x = "a.npy", y = "b.npy", test_x = …, test_y = …)`
pub fn npy(call: &Call, context: &Context, mode: Read) -> Fallible<Table> {
    let args = Args::named_only(call, "column")?;
    let options = Options::new(&args)?;
    let source = |(file, span): (&str, Span)| -> Fallible<Source> {
        let path = context.resolve(file);
        let (opened, bytes) = files::plain(&path, span)?;
        let place = path.display().to_string();
        let whole = Box::new(move || files::read(&path, span));
        Ok(Source { place, span, bytes, plain: Some((opened, 0)), whole })
    };
    let mut columns = vec![];
    for column in arrays::wanted(&args, "npy", &arrays::OPTIONS)? {
        let (train, test) = (source(column.train)?, column.test.map(source).transpose()?);
        columns.push(parts(column.name, train, test, options, mode)?);
    }
    assemble(columns, options)
}

/// `npz("f.npz", x = "x_train", test_x = "x_test")`: members of one archive.
pub fn npz(call: &Call, context: &Context, mode: Read) -> Fallible<Table> {
    let args = Args::open(call, &NPZ_OPTIONS[..1])?;
    let options = Options::new(&args)?;
    let path = context.resolve(args.required_str("file")?);
    let (file, length) = files::plain(&path, args.span("file"))?;
    let archive = Archive::of_file(&file, length).map_err(|reason| {
        let title = format!("'{}' is not a npz archive", path.display());
        vec![error("E0402", title).at(args.span("file"), reason)]
    })?;
    let archive = &archive;
    let source = |(member, span): (&str, Span)| -> Fallible<Source> {
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
        let damaged = format!("'{place}' is damaged");
        let whole = Box::new(move || {
            archive.read(name).map_err(|reason| vec![error("E0403", damaged.clone()).at(span, reason)])
        });
        let plain = archive.stored_at(name).map(|at| (file.clone(), at));
        Ok(Source { place, span, bytes: archive.size(name).unwrap_or(0), plain, whole })
    };
    let names: Vec<&str> = archive.names().map(|name| name.strip_suffix(".npy").unwrap_or(name)).collect();
    let wanted = if args.others(&NPZ_OPTIONS).next().is_none() {
        every_array(&names, args.span("file"))
    } else {
        arrays::wanted(&args, "npz", &NPZ_OPTIONS)?
    };
    let mut columns = vec![];
    for column in wanted {
        let (train, test) = (source(column.train)?, column.test.map(source).transpose()?);
        columns.push(parts(column.name, train, test, options, mode)?);
    }
    assemble(columns, options)
}

/// Reads a column's arrays, or leaves both in their files.
fn parts(name: &str, train: Source, test: Option<Source>, options: Options, mode: Read) -> Fallible<Parts> {
    let bytes = train.bytes + test.as_ref().map_or(0, |test| test.bytes);
    let sources = || [Some(&train), test.as_ref()].into_iter().flatten();
    if options.stream.streams(bytes) {
        let layouts = sources().map(|source| source.layout(options)).collect::<Fallible<Vec<Option<Layout>>>>()?;
        if let Some(layouts) = layouts.into_iter().collect::<Option<Vec<Layout>>>() {
            let mut arrays = vec![];
            for (source, layout) in sources().zip(layouts) {
                arrays.push(on_disk(source, layout, options, mode)?);
            }
            let test = (arrays.len() == 2).then(|| arrays.pop()).flatten();
            return Ok(Parts { name: name.into(), train: arrays.remove(0), test });
        }
    }
    let read = |source: &Source| array(&(source.whole)()?, source.place.clone(), source.span, options);
    Ok(Parts { name: name.into(), train: read(&train)?, test: test.as_ref().map(read).transpose()? })
}

impl Source<'_> {
    /// Where the rows lie, if they lie at known places and are not labels, which memory has room for.
    fn layout(&self, options: Options) -> Fallible<Option<Layout>> {
        let Some((file, at)) = &self.plain else {
            options.stream.refuse(&self.place, "it is compressed", "save it by numpy.savez or as npy")?;
            return Ok(None);
        };
        let mut first = vec![0; self.bytes.min(MOST_HEADER as u64) as usize];
        read_at(file, &mut first, *at).map_err(|reason| {
            vec![error("E0401", format!("'{}' cannot be read", self.place)).at(self.span, reason.to_string())]
        })?;
        let layout =
            npy_format::layout(&first, self.bytes).map_err(|problem| wrong(problem, &self.place, self.span))?;
        if layout.fortran {
            let why = "its columns lie one after the other";
            options.stream.refuse(&self.place, why, "save numpy.ascontiguousarray(x)")?;
            return Ok(None);
        }
        let is_label = layout.shape.len() == 1 && !layout.kind.starts_with('f');
        Ok((!is_label && !layout.shape.is_empty() && !layout.shape.contains(&0)).then_some(layout))
    }
}

/// An array that stays where it is.
fn on_disk(source: &Source, layout: Layout, options: Options, mode: Read) -> Fallible<Array> {
    let Some((file, at)) = &source.plain else { return Err(vec![error("E0901", "internal error: no plain file")]) };
    let kind = match layout.kind.as_str() {
        "u1" => Kind::Pixel { divisor: options.divisor },
        "u2" => Kind::U16,
        "u4" => Kind::U32,
        "u8" => Kind::U64,
        "i1" => Kind::I8,
        "i2" => Kind::I16,
        "i4" => Kind::I32,
        "i8" => Kind::I64,
        "f4" => Kind::F32,
        "f8" => Kind::F64,
        _ => Kind::Bool,
    };
    let encoding = Encoding { kind, big_endian: layout.big_endian };
    let (rows, width) = (layout.shape[0], layout.shape[1..].iter().product::<usize>());
    let region = Region {
        file: file.clone(),
        place: source.place.clone(),
        span: source.span,
        start: at + layout.start as u64,
        row_bytes: width * layout.size,
        rows,
        groups: None,
    };
    arrays::on_disk(Disk::new(region, encoding, width), layout.shape, &source.place, source.span, mode)
}

fn wrong(problem: Problem, place: &str, span: Span) -> Vec<crate::diag::Diagnostic> {
    let found = error(problem.code, format!("'{place}' {}", problem.what)).at(span, problem.label);
    vec![problem.note.into_iter().fold(found, |found, note| found.note(note))]
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
    let refuse = |code, title: String, label: &str| vec![error(code, title).at(span, label)];
    let raw = npy_format::parse(bytes).map_err(|problem| wrong(problem, &place, span))?;
    if raw.shape.is_empty() {
        return Err(refuse("E0402", format!("'{place}' holds a single value"), "has no row axis"));
    }
    if raw.data.is_empty() {
        return Err(refuse("E0409", format!("'{place}' has no values"), &format!("its shape is {:?}", raw.shape)));
    }
    let pixels = raw.kind == "u1" && raw.shape.len() > 1;
    let is_float = pixels || raw.kind.starts_with('f');
    let shape = raw.shape.clone();
    let values = decode(raw, pixels, options).map_err(|out| {
        refuse("E0408", format!("'{place}' has a value beyond 32 bits: {out}"), "integers are kept in 32 bits")
    })?;
    Ok(Array { shape, values, is_float, range: None, place, span })
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
