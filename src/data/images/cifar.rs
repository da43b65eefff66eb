//! `cifar10`: records of a label byte and 3072 bytes of a 32 x 32 picture, all red ones first; plain or gzipped.

use super::super::args::{Args, Fallible};
use super::super::spec::Call;
use super::super::table::{Read, Stored, Table, Values};
use super::super::{Context, files};
use crate::diag::error;
use std::path::{Path, PathBuf};

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
const RECORD: usize = 1 + 3 * PLANE;

const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// `cifar10("folder")`: `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`, or `train.bin` and `test.bin`; each
/// may end in `.gz`.
pub fn load(call: &Call, context: &Context, read: Read) -> Fallible<Table> {
    let args = Args::new(call, &["folder"])?;
    let span = args.span("folder");
    let folder = context.resolve(args.str("folder")?.unwrap_or("cifar10"));
    let batches: Vec<PathBuf> = (1..=5).filter_map(|k| find(&folder, &format!("data_batch_{k}.bin"))).collect();
    let train = if batches.is_empty() { find(&folder, "train.bin").into_iter().collect() } else { batches };
    let test: Vec<PathBuf> = ["test_batch.bin", "test.bin"].iter().find_map(|n| find(&folder, n)).into_iter().collect();
    if train.is_empty() {
        let title = format!("'{}' has no pictures of CIFAR-10", folder.display());
        let help = "data_batch_1.bin and so on, or train.bin, with or without .gz";
        return Err(vec![error("E0401", title).at(span, "no such files").help(help)]);
    }
    let (mut pixels, mut labels, mut counts) = (vec![], vec![], [0; 2]);
    for (part, paths) in [train, test].iter().enumerate() {
        for path in paths {
            let bytes = files::whole(path, span)?;
            if bytes.len() % RECORD != 0 || bytes.is_empty() {
                let title = format!("'{}' is truncated or has another format", path.display());
                let label = format!("{} bytes are not a number of records of {RECORD}", bytes.len());
                return Err(vec![error("E0403", title).at(span, label)]);
            }
            for (row, record) in bytes.chunks_exact(RECORD).enumerate() {
                if usize::from(record[0]) >= CLASSES.len() {
                    let title = format!("label {} is not one of {} classes", record[0], CLASSES.len());
                    let note = format!("{}, row {row} (counted from 0)", path.display());
                    return Err(vec![error("E0408", title).at(span, "in this folder").note(note)]);
                }
                labels.push(i32::from(record[0]));
                if read == Read::All {
                    pixels.extend((0..PLANE).flat_map(|at| [0, 1, 2].map(|c| record[1 + c * PLANE + at])));
                }
            }
            counts[part] += bytes.len() / RECORD;
        }
    }
    let image = match read {
        Read::All => Values::Bytes { data: pixels, divisor: 255.0, affine: None },
        Read::Shapes => Values::Unread,
    };
    let label = Stored::new("label", false, vec![], Some(CLASSES.len()), Values::I32(labels));
    let columns = vec![
        Stored::new("image", true, vec![SIDE, SIDE, 3], None, image),
        Stored { class_names: CLASSES.map(String::from).to_vec(), ..label },
    ];
    Ok(Table::new(columns, counts[0], counts[1]))
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    [name.to_string(), format!("{name}.gz")].iter().map(|name| folder.join(name)).find(|path| path.is_file())
}
