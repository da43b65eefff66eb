//! Pictures: `images`, a folder of PNG and JPEG files with one sub-folder for each class, and `cifar10`.
//!
//! * [`decode`]: a file's bytes to pixels; [`resize`]: to another size
//! * [`cifar`]: the binary files of CIFAR-10
//! * [`augment`]: what is done to the pictures of training batches

pub mod augment;
pub mod cifar;
mod decode;
mod resize;

use super::args::{Args, Fallible, wrong};
use super::spec::{Call, Value};
use super::table::{MOST_ROWS, Read, Stored, Table, Values};
use super::{Context, files};
use crate::diag::{Diagnostic, error};
use crate::source::Span;
use decode::Picture;
use std::path::{Path, PathBuf};

const PARAMS: [&str; 5] = ["folder", "size", "channels", "resize", "test"];

/// As many damaged files are reported at once.
const MOST_ERRORS: usize = 5;

/// What every picture is brought to, or must have.
#[derive(Clone, Copy, Debug)]
struct Format {
    height: usize,
    width: usize,
    channels: usize,
    resize: bool,
}

impl Format {
    fn bytes(&self) -> usize {
        self.height * self.width * self.channels
    }
}

/// A file and the number of its class.
struct Item {
    path: PathBuf,
    class: i32,
}

/// `images("folder", size = [32, 32], channels = 3, resize = false, test = "folder")`
pub fn load(call: &Call, context: &Context, read: Read) -> Fallible<Table> {
    let args = Args::new(call, &PARAMS)?;
    let span = args.span("folder");
    let root = context.resolve(args.required_str("folder")?);
    // `train` and `test` beside each other are the parts; else the folder's sub-folders are the classes.
    let inner = |name: &str| Some(root.join(name)).filter(|path| path.is_dir());
    let (train, test) = match args.str("test")? {
        Some(test) => (root, Some(context.resolve(test))),
        None => match (inner("train"), inner("test")) {
            (Some(train), Some(test)) => (train, Some(test)),
            _ => (root, None),
        },
    };
    let classes = folders(&train, span)?;
    let mut items = vec![];
    let mut counts = [0; 2];
    for (part, folder) in [Some(&train), test.as_ref()].into_iter().enumerate() {
        let Some(folder) = folder else { continue };
        if let Some(stranger) = folders(folder, span)?.iter().find(|name| !classes.contains(name)) {
            let title = format!("the class '{stranger}' has test pictures only");
            return Err(vec![error("E0408", title).at(args.span("test"), format!("in '{}'", folder.display()))]);
        }
        let before = items.len();
        for (class, name) in classes.iter().enumerate() {
            let files = pictures(&folder.join(name), span)?;
            items.extend(files.into_iter().map(|path| Item { path, class: class as i32 }));
        }
        counts[part] = items.len() - before;
        if counts[part] == 0 {
            let title = format!("'{}' holds no pictures", folder.display());
            let help = "one sub-folder for each class, with PNG or JPEG files";
            return Err(vec![error("E0409", title).at(span, "no .png, .jpg or .jpeg").help(help)]);
        }
    }
    if items.len() > MOST_ROWS {
        return Err(vec![error("E0409", format!("{} pictures are too many", items.len())).at(span, "in this folder")]);
    }
    let format = format(&args, &items[0])?;
    let pixels = match read {
        Read::Shapes => Values::Unread,
        Read::All => Values::Bytes { data: decode_all(&items, format, span)?, divisor: 255.0, affine: None },
    };
    let shape = vec![format.height, format.width, format.channels];
    let labels = Values::I32(items.iter().map(|item| item.class).collect());
    let label = Stored::new("label", false, vec![], Some(classes.len()), labels);
    let columns = vec![Stored::new("image", true, shape, None, pixels), Stored { class_names: classes, ..label }];
    Ok(Table::new(columns, counts[0], counts[1]))
}

/// Size and channels: as given, or those of the first picture.
fn format(args: &Args, first: &Item) -> Fallible<Format> {
    let resize = args.bool("resize", false)?;
    let channels = match args.int("channels", 3, 1, 3)? {
        2 => {
            return Err(vec![error("E0407", "'channels' must be 1 or 3").at(args.span("channels"), "grey, or colour")]);
        }
        channels => channels as usize,
    };
    let side = |value: &Value| match value {
        Value::Int(n) if (1..=4096).contains(n) => Some(*n as usize),
        _ => None,
    };
    let (height, width) = match args.get("size") {
        None => {
            let picture = decode_file(&first.path, args.span("folder"))?;
            (picture.height, picture.width)
        }
        Some(arg) => {
            let sides = match &arg.value {
                Value::List(items) if items.len() == 2 => side(&items[0]).zip(side(&items[1])),
                one => side(one).map(|n| (n, n)),
            };
            sides.ok_or_else(|| wrong(arg, "size", "[height, width], each from 1 to 4096"))?
        }
    };
    Ok(Format { height, width, channels, resize })
}

/// Names of the sub-folders, sorted.
fn folders(path: &Path, span: Span) -> Fallible<Vec<String>> {
    let mut names: Vec<String> = files::entries(path, span)?
        .into_iter()
        .filter(|entry| entry.is_dir())
        .filter_map(|entry| Some(entry.file_name()?.to_string_lossy().into_owned()))
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    if names.is_empty() {
        let title = format!("'{}' has no sub-folders", path.display());
        return Err(vec![error("E0409", title).at(span, "each sub-folder is a class")]);
    }
    Ok(names)
}

/// The PNG and JPEG files of a folder, by name; none if the folder is missing.
fn pictures(path: &Path, span: Span) -> Fallible<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![]);
    }
    let is_picture = |path: &PathBuf| {
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        !hidden && matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg"))
    };
    let mut found: Vec<PathBuf> = files::entries(path, span)?.into_iter().filter(is_picture).collect();
    found.sort();
    Ok(found)
}

fn decode_file(path: &Path, span: Span) -> Fallible<Picture> {
    let bytes = files::read(path, span)?;
    decode::decode(&bytes).map_err(|problem| {
        let what = if problem.unknown { "neither a PNG nor a JPEG picture" } else { "damaged" };
        let code = if problem.unknown { "E0402" } else { "E0403" };
        vec![error(code, format!("'{}' is {what}", path.display())).at(span, "in this folder").note(problem.reason)]
    })
}

/// One file in the wanted format.
fn picture(path: &Path, format: Format, span: Span) -> Fallible<Vec<u8>> {
    let picture = decode_file(path, span)?.with_channels(format.channels);
    if (picture.height, picture.width) == (format.height, format.width) {
        return Ok(picture.pixels);
    }
    if format.resize {
        return Ok(resize::resize(&picture, format.height, format.width));
    }
    let (height, width) = (picture.height, picture.width);
    let title = format!("'{}' is {height} x {width}, not {} x {}", path.display(), format.height, format.width);
    Err(vec![error("E0403", title).at(span, "pictures of one size").help("resize = true brings all to one size")])
}

/// All pictures one after another, decoded side by side.
fn decode_all(items: &[Item], format: Format, span: Span) -> Fallible<Vec<u8>> {
    let mut data = vec![];
    let total = items.len().checked_mul(format.bytes());
    if total.is_none_or(|total| data.try_reserve_exact(total).is_err()) {
        let title = format!("{} pictures of {} bytes do not fit in memory", items.len(), format.bytes());
        return Err(vec![error("E0403", title).at(span, "too much").help("choose a smaller size with resize = true")]);
    }
    data.resize(total.unwrap_or(0), 0u8);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let share = items.len().div_ceil(threads).max(1);
    let errors: Vec<Diagnostic> = std::thread::scope(|scope| {
        let parts = items.chunks(share).zip(data.chunks_mut(share * format.bytes()));
        let workers: Vec<_> = parts
            .map(|(items, out)| {
                scope.spawn(move || {
                    let mut errors = vec![];
                    for (item, out) in items.iter().zip(out.chunks_exact_mut(format.bytes())) {
                        match picture(&item.path, format, span) {
                            Ok(pixels) => out.copy_from_slice(&pixels),
                            Err(more) => errors.extend(more),
                        }
                        if errors.len() >= MOST_ERRORS {
                            break;
                        }
                    }
                    errors
                })
            })
            .collect();
        let results = workers.into_iter().map(|w| w.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        results.flatten().take(MOST_ERRORS).collect()
    });
    if errors.is_empty() { Ok(data) } else { Err(errors) }
}
