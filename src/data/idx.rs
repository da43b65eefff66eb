//! `idx`: the format of MNIST, plain or gzipped. A magic number `0 0 type rank`, the sizes as big-endian 32-bit
//! numbers, then the values.

use super::args::{Args, Fallible};
use super::arrays::{self, Array, Options, Parts, assemble};
use super::disk::Disk;
use super::disk::encoding::{Encoding, Kind};
use super::disk::region::Region;
use super::spec::Call;
use super::table::{Read as Mode, Table, Values};
use super::{Context, files};
use crate::diag::{Diagnostic, error};
use crate::source::Span;
use std::path::{Path, PathBuf};

/// The four files of MNIST and of the sets that follow it: name of the argument and name of the file.
const STANDARD: [(&str, &str, bool); 4] = [
    ("image", "train-images-idx3-ubyte.gz", false),
    ("image", "t10k-images-idx3-ubyte.gz", true),
    ("label", "train-labels-idx1-ubyte.gz", false),
    ("label", "t10k-labels-idx1-ubyte.gz", true),
];

/// One file to read.
struct Job {
    column: String,
    is_test: bool,
    path: PathBuf,
    span: Span,
}

/// `idx(image = "…", label = "…", test_image = "…", test_label = "…")`
pub fn load(call: &Call, context: &Context, mode: Mode) -> Fallible<Table> {
    let args = Args::named_only(call, "column")?;
    let options = Options::new(&args)?;
    if args.others(&arrays::OPTIONS).next().is_none() {
        return read_all(standard(&context.resolve(""), call.span), options, mode);
    }
    let mut jobs = vec![];
    for column in arrays::wanted(&args, "idx", &arrays::OPTIONS)? {
        for (is_test, part) in [(false, Some(column.train)), (true, column.test)] {
            if let Some((file, span)) = part {
                jobs.push(Job { column: column.name.into(), is_test, path: context.resolve(file), span });
            }
        }
    }
    read_all(jobs, options, mode)
}

/// `mnist("folder")`: the folder has the four files under their usual names.
pub fn mnist(call: &Call, context: &Context, mode: Mode) -> Fallible<Table> {
    let args = Args::new(call, &["folder", "scale", "classes", "stream"])?;
    let folder = context.resolve(args.str("folder")?.unwrap_or("mnist"));
    read_all(standard(&folder, args.span("folder")), Options::new(&args)?, mode)
}

fn standard(folder: &Path, span: Span) -> Vec<Job> {
    let job = |(column, file, is_test): (&str, &str, bool)| {
        let zipped = folder.join(file);
        let plain = folder.join(file.trim_end_matches(".gz"));
        let path = if !zipped.exists() && plain.exists() { plain } else { zipped };
        Job { column: column.into(), is_test, path, span }
    };
    STANDARD.map(job).into()
}

/// Reads the files side by side: inflating them takes most of the time.
fn read_all(jobs: Vec<Job>, options: Options, mode: Mode) -> Fallible<Table> {
    let stays = stay(&jobs, options)?;
    let arrays: Vec<Fallible<Array>> = std::thread::scope(|scope| {
        let read = |(job, stays): (_, &bool)| {
            let stays = *stays;
            scope.spawn(move || read_one(job, options, mode, stays))
        };
        let threads: Vec<_> = jobs.iter().zip(&stays).map(read).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut columns: Vec<Parts> = vec![];
    let mut errors = vec![];
    for (job, array) in jobs.into_iter().zip(arrays) {
        match array {
            Err(more) => errors.extend(more),
            Ok(array) if job.is_test => {
                if let Some(column) = columns.iter_mut().find(|c| c.name == job.column) {
                    column.test = Some(array);
                }
            }
            Ok(train) => columns.push(Parts { name: job.column, train, test: None }),
        }
    }
    if errors.is_empty() { assemble(columns, options) } else { Err(errors) }
}

/// Which files are read row by row: both parts of a column, or none.
fn stay(jobs: &[Job], options: Options) -> Fallible<Vec<bool>> {
    let mut large = vec![];
    for job in jobs {
        let mut bytes = 0;
        for other in jobs.iter().filter(|other| other.column == job.column) {
            bytes += files::plain(&other.path, other.span)?.1;
        }
        large.push(options.stream.streams(bytes));
    }
    let mut zipped = vec![];
    for (job, _) in jobs.iter().zip(&large).filter(|(_, large)| **large) {
        if files::open(&job.path, job.span)?.is_zipped() {
            options.stream.refuse(&job.path.display().to_string(), "it is gzipped", "unpack it by gunzip")?;
            zipped.push(&job.column);
        }
    }
    Ok(jobs.iter().zip(large).map(|(job, large)| large && !zipped.contains(&&job.column)).collect())
}

fn read_one(job: &Job, options: Options, mode: Mode, stays: bool) -> Fallible<Array> {
    let mut file = files::open(&job.path, job.span)?;
    let place = job.path.display().to_string();
    let wrong = |code, title: String, label: &str| vec![error(code, title).at(job.span, label)];
    let mut magic = [0; 4];
    file.fill(&mut magic, &place, job.span)?;
    let [0, 0, kind, rank] = magic else { return Err(vec![wrong_magic(&magic, &place, job.span)]) };
    let size = match kind {
        0x08 | 0x09 => 1,
        0x0b => 2,
        0x0c | 0x0d => 4,
        0x0e => 8,
        _ => return Err(vec![wrong_magic(&magic, &place, job.span)]),
    };
    if rank == 0 {
        return Err(wrong("E0402", format!("'{place}' holds a single value"), "has no row axis"));
    }
    let mut shape = vec![];
    for _ in 0..rank {
        let mut dimension = [0; 4];
        file.fill(&mut dimension, &place, job.span)?;
        shape.push(u32::from_be_bytes(dimension) as usize);
    }
    let declared = shape.iter().try_fold(size as u64, |n, d| n.checked_mul(*d as u64)).unwrap_or(u64::MAX);
    if shape[1..].contains(&0) || shape[0] == 0 {
        return Err(vec![
            error("E0409", format!("'{place}' has no values")).at(job.span, format!("its shape is {shape:?}")),
        ]);
    }
    file.expect(declared, &format!("shape {shape:?}"), &place, job.span)?;
    // Bytes and other integers of rank 1 are labels, whose classes are part of the schema.
    let is_label = rank == 1 && matches!(kind, 0x08 | 0x09 | 0x0b | 0x0c);
    let is_float = matches!(kind, 0x08 | 0x0d | 0x0e) && !is_label;
    if stays && !is_label {
        let kind = match kind {
            0x08 => Kind::Pixel { divisor: options.divisor },
            0x09 => Kind::I8,
            0x0b => Kind::I16,
            0x0c => Kind::I32,
            0x0d => Kind::F32,
            _ => Kind::F64,
        };
        let encoding = Encoding { kind, big_endian: true };
        let width = shape[1..].iter().product();
        let region = Region {
            file: files::plain(&job.path, job.span)?.0,
            place: place.clone(),
            span: job.span,
            start: 4 + 4 * u64::from(rank),
            row_bytes: width * encoding.size(),
            rows: shape[0],
            groups: None,
        };
        return arrays::on_disk(Disk::new(region, encoding, width), shape, &place, job.span, mode);
    }
    let array =
        |values| Array { shape: shape.clone(), values, is_float, range: None, place: place.clone(), span: job.span };
    if mode == Mode::Shapes && is_float {
        return Ok(array(Values::Unread));
    }
    let bytes = file.take_all(declared, &place, job.span)?;
    let values = match kind {
        0x08 if is_label => Values::I32(bytes.into_iter().map(i32::from).collect()),
        0x08 => Values::Bytes { data: bytes, divisor: options.divisor, affine: None },
        0x09 => Values::I32(bytes.into_iter().map(|b| i32::from(b as i8)).collect()),
        0x0b => Values::I32(bytes.as_chunks().0.iter().map(|b| i32::from(i16::from_be_bytes(*b))).collect()),
        0x0c => Values::I32(bytes.as_chunks().0.iter().map(|b| i32::from_be_bytes(*b)).collect()),
        0x0d => Values::F32(bytes.as_chunks().0.iter().map(|b| f32::from_be_bytes(*b)).collect()),
        _ => Values::F64(bytes.as_chunks().0.iter().map(|b| f64::from_be_bytes(*b)).collect()),
    };
    Ok(array(values))
}

fn wrong_magic(magic: &[u8; 4], place: &str, span: Span) -> Diagnostic {
    error("E0402", format!("'{place}' is not an idx file")).at(span, "wrong magic number").note(format!(
        "it begins with {magic:02x?}; an idx file begins with 00 00, a type (08, 09, 0b, 0c, 0d or 0e) and a rank"
    ))
}
