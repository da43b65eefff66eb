//! Checkpoints: every tensor of a program by its path, in one safetensors file.
//!
//! The file's metadata holds one entry, `optc`: a JSON object ([`Progress`]) with the step, the seed, the unfinished
//! epoch's sums and how the objective went. With it a run continues with the same bits as if it had never stopped: rows
//! and random bits are functions of seed and step.
//!
//! A file is written under a temporary name, brought to the disk, and renamed: it is whole or absent. One that is cut
//! short (by a copy, say) is told by its length and passed over.

use super::control::Tracker;
use crate::diag::{Diagnostic, error, suggest};
use crate::ir::{DType, Type};
use crate::runtime::Tensor;
use crate::sema::program::{BufferInfo, Program, Role};
use safetensors::{Dtype, SafeTensors, View};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The entry of the metadata.
const KEY: &str = "optc";
/// What the names of gathered rows begin with.
const PASS: &str = "pass/";

/// The form of [`Progress`] that this version writes; it reads all up to it.
pub const SCHEMA: u32 = 2;

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    #[serde(default)]
    pub schema: u32,
    pub program: String,
    pub step: usize,
    pub epoch: usize,
    pub seed: u64,
    /// Rows in a batch and in the training part: a step of a resumed run must mean the same rows.
    pub batch: usize,
    pub rows: usize,
    /// The order of rows is drawn from a buffer of so many.
    #[serde(default)]
    pub buffer: Option<usize>,
    /// Sums of the epoch so far: see [`Averages::to_bits`].
    pub sums: Vec<u64>,
    /// The columns of the data: `x: float[4]`.
    #[serde(default)]
    pub columns: Vec<String>,
    #[serde(default)]
    pub tracker: Tracker,
}

/// A named piece of a buffer.
pub struct Piece<'a> {
    pub path: Cow<'a, str>,
    pub buffer: usize,
    pub offset: usize,
    pub shape: &'a [usize],
}

/// All tensors of a program; a buffer without views is one piece by its own name.
pub fn pieces(buffers: &[BufferInfo]) -> Vec<Piece<'_>> {
    let mut all: Vec<Piece> = Vec::new();
    for (index, buffer) in buffers.iter().enumerate() {
        if buffer.views.is_empty() {
            let path = Cow::Borrowed(buffer.name.as_str());
            all.push(Piece { path, buffer: index, offset: 0, shape: &buffer.ty.shape });
        }
        for view in &buffer.views {
            let path = Cow::Borrowed(view.path.as_str());
            all.push(Piece { path, buffer: index, offset: view.offset, shape: &view.shape });
        }
    }
    // Paths are unique by construction; should two ever collide, neither may be lost.
    let mut seen = std::collections::HashSet::new();
    for piece in &mut all {
        if !seen.insert(piece.path.to_string()) {
            piece.path = Cow::Owned(format!("{}:{}", buffers[piece.buffer].name, piece.path));
        }
    }
    all
}

/// A piece on its way into a file.
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Stored {
    /// Rows of bools are kept as the integers that they are in memory.
    fn whole(tensor: &Tensor) -> Stored {
        let dtype = match tensor.ty().dtype {
            DType::Bool => Dtype::I32,
            other => stored_type(other),
        };
        Stored { dtype, shape: tensor.ty().shape.clone(), bytes: tensor.bytes().to_vec() }
    }
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

fn stored_type(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::I32 => Dtype::I32,
        DType::Bool => Dtype::BOOL,
    }
}

/// Writes the buffers under a temporary name, then renames: the file is whole or absent.
///
/// `rows` are those of the unfinished pass that its reports need ([`Gathered`](super::pass::Gathered)).
pub fn save(
    path: &Path,
    buffers: &[BufferInfo],
    values: &[Tensor],
    progress: &Progress,
    rows: &[(String, Tensor)],
) -> Result<(), Diagnostic> {
    let mut tensors: Vec<(String, Stored)> =
        rows.iter().map(|(name, tensor)| (format!("{PASS}{name}"), Stored::whole(tensor))).collect();
    for piece in pieces(buffers) {
        let tensor = &values[piece.buffer];
        let count: usize = piece.shape.iter().product();
        let size = tensor.ty().dtype.size();
        let bytes = &tensor.bytes()[piece.offset * size..(piece.offset + count) * size];
        let bytes = match tensor.ty().dtype {
            // One byte each in the file, the low one of four in memory.
            DType::Bool => bytes.chunks_exact(4).map(|word| u8::from(word != [0; 4])).collect(),
            _ => bytes.to_vec(),
        };
        let stored = Stored { dtype: stored_type(tensor.ty().dtype), shape: piece.shape.to_vec(), bytes };
        tensors.push((piece.path.into_owned(), stored));
    }
    let text = serde_json::to_string(progress).expect("plain data");
    write(path, tensors, Some(HashMap::from([(KEY.to_string(), text)])))
}

/// Writes tensors by name. Such a file holds no place to resume from.
pub fn save_values(path: &Path, values: Vec<(String, Tensor)>) -> Result<(), Diagnostic> {
    write(path, values.iter().map(|(name, tensor)| (name.clone(), Stored::whole(tensor))).collect(), None)
}

/// The rows of an unfinished pass in a checkpoint, column by column.
pub fn gathered(path: &Path) -> Result<Vec<(String, Tensor)>, Diagnostic> {
    let unusable = |why: String| error("E0502", format!("cannot resume from '{}'", path.display())).note(why);
    let bytes = std::fs::read(path).map_err(|e| unusable(e.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| unusable(e.to_string()))?;
    let mut names: Vec<&str> = file.names().into_iter().filter(|n| n.starts_with(PASS)).collect();
    names.sort_unstable();
    let mut columns = vec![];
    for name in names {
        let view = file.tensor(name).map_err(|e| unusable(e.to_string()))?;
        let dtype = match view.dtype() {
            Dtype::F32 => DType::F32,
            Dtype::F64 => DType::F64,
            _ => DType::I32,
        };
        let mut tensor = Tensor::zeros(Type::new(dtype, view.shape()));
        fill(&mut tensor, 0, view.data());
        columns.push((name[PASS.len()..].to_string(), tensor));
    }
    Ok(columns)
}

fn write(
    path: &Path,
    tensors: Vec<(String, Stored)>,
    metadata: Option<HashMap<String, String>>,
) -> Result<(), Diagnostic> {
    let fail = |why: String| error("E0503", format!("cannot write the checkpoint '{}'", path.display())).note(why);
    let bytes = safetensors::serialize(tensors, metadata).map_err(|e| fail(e.to_string()))?;
    write_whole(path, &bytes).map_err(|e| fail(e.to_string()))
}

/// What the name of a file ends in while it is being written.
const PARTIAL: &str = ".partial";

/// Writes a file so that no reader ever sees a part of it, not even after the machine lost its power.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(PARTIAL);
    let partial = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)?;
        // The new name is on the disk when its folder is; not every system lets a folder be synced.
        if let Some(folder) = path.parent().and_then(|p| File::open(p).ok()) {
            let _ = folder.sync_all();
        }
        Ok(())
    };
    write().inspect_err(|_| {
        // On a full disk what is left of the file only takes space.
        let _ = std::fs::remove_file(&partial);
    })
}

/// The whole checkpoint with the most steps in a run's folder, and those that are damaged.
pub struct Found {
    pub newest: Option<(PathBuf, Progress)>,
    pub damaged: Vec<PathBuf>,
}

/// Looks at all checkpoints of a run.
pub fn find(folder: &Path) -> Found {
    let mut found = Found { newest: None, damaged: vec![] };
    let Ok(entries) = std::fs::read_dir(folder.join("checkpoints")) else { return found };
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "safetensors"));
    paths.sort();
    for path in paths {
        match header(&path) {
            None => found.damaged.push(path),
            // Of two with equal steps any will do; the name makes the choice a fixed one.
            Some(Some(progress)) if found.newest.as_ref().is_none_or(|(_, p)| progress.step >= p.step) => {
                found.newest = Some((path, progress));
            }
            Some(_) => {}
        }
    }
    found
}

/// The checkpoint with the most steps in a run's folder.
pub fn newest(folder: &Path) -> Option<(PathBuf, Progress)> {
    find(folder).newest
}

/// What a checkpoint says about itself.
pub fn progress_of(path: &Path) -> Option<Progress> {
    header(path)?
}

/// Reads only the header of a file: `None` if the file is not whole, `Some(None)` if it holds weights alone.
fn header(path: &Path) -> Option<Option<Progress>> {
    let mut file = File::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    if length > size {
        return None;
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).ok()?;
    let header: serde_json::Value = serde_json::from_slice(&header).ok()?;
    let tensors = header.as_object()?.iter().filter(|(name, _)| *name != "__metadata__");
    let end = tensors.filter_map(|(_, t)| t.get("data_offsets")?.get(1)?.as_u64()).max().unwrap_or(0);
    if size != 8 + length + end {
        return None;
    }
    let text = header.get("__metadata__").and_then(|m| m.get(KEY)?.as_str());
    Some(text.and_then(|text| serde_json::from_str(text).ok()))
}

/// Which tensors of a file are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Everything that the program has, to go on with a run.
    State,
    /// What the model is made of, to begin a new run with.
    Model,
}

/// Fills the state from a checkpoint of the same program; with `partial`, as far as names and shapes agree. Gives what
/// was left out.
pub fn restore(
    path: &Path,
    program: &Program,
    buffers: &mut [Tensor],
    want: Want,
    partial: bool,
) -> Result<Vec<String>, Diagnostic> {
    let verb = if want == Want::State { "resume from" } else { "begin with" };
    let refuse = |code, why: &str| error(code, format!("cannot {verb} '{}'", path.display())).note(why);
    let unusable = |why: &str| refuse("E0502", why);
    let bytes = std::fs::read(path).map_err(|e| unusable(&e.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| unusable(&format!("not a whole safetensors file: {e}")))?;
    let progress = progress_of(path);
    match &progress {
        Some(progress) if progress.schema > SCHEMA => {
            let what = format!("it was written by a newer optc (form {}; this one reads {SCHEMA})", progress.schema);
            return Err(unusable(&what));
        }
        None if want == Want::State => return Err(unusable("it does not say at which step it was written")),
        _ => {}
    }
    let mut problems = Vec::new();
    let mut all = pieces(&program.buffers);
    if want == Want::Model {
        all.retain(|p| matches!(program.buffers[p.buffer].role, Role::Param | Role::Frozen | Role::ModelState));
    }
    for piece in &all {
        let buffer = &mut buffers[piece.buffer];
        let Ok(view) = file.tensor(&piece.path) else {
            let near = suggest(&piece.path, file.names().into_iter().filter(|n| !all.iter().any(|p| p.path == *n)));
            let near = near.map(|n| format!(" ({n})")).unwrap_or_default();
            problems.push(format!("'{}' is not in the file{near}", piece.path));
            continue;
        };
        let dtype = buffer.ty().dtype;
        if view.dtype() != stored_type(dtype) || view.shape() != piece.shape {
            let (here, there) = (Type::new(dtype, piece.shape), format!("{:?}", view.dtype()).to_lowercase());
            problems.push(format!("'{}' is {here} here and {there}{:?} in the file", piece.path, view.shape()));
            continue;
        }
        fill(buffer, piece.offset, view.data());
    }
    // The file of a whole run also holds what belongs to its optimizer, which a new run has no use for.
    if want == Want::State || progress.is_none() {
        let left =
            file.names().into_iter().filter(|name| !name.starts_with(PASS) && !all.iter().any(|p| p.path == *name));
        let mut left: Vec<&str> = left.collect();
        left.sort_unstable();
        problems.extend(left.into_iter().map(|name| format!("'{name}' is only in the file")));
    }
    if problems.is_empty() || partial {
        return Ok(problems);
    }
    let (shown, more) = (problems.len().min(12), problems.len().saturating_sub(12));
    let mut diagnostic = refuse("E0501", "it was written by another program");
    diagnostic.notes.extend(problems.into_iter().take(shown));
    if more > 0 {
        diagnostic.notes.push(format!("… and {more} more"));
    }
    let same = "resume with the file and the hyper-parameters that began the run (config.json in its folder)";
    Err(diagnostic.help(match want {
        Want::State => format!("{same}, or take what fits with --partial"),
        Want::Model => "take what fits with --partial".into(),
    }))
}

/// Copies little-endian bytes of a safetensors file into a part of a buffer.
fn fill(buffer: &mut Tensor, offset: usize, bytes: &[u8]) {
    fn put<const N: usize, T>(to: &mut [T], bytes: &[u8], read: fn([u8; N]) -> T) {
        for (value, chunk) in to.iter_mut().zip(bytes.chunks_exact(N)) {
            *value = read(chunk.try_into().expect("chunks have N bytes"));
        }
    }
    match buffer.ty().dtype {
        DType::F32 => put(&mut buffer.f32s_mut()[offset..][..bytes.len() / 4], bytes, f32::from_le_bytes),
        DType::F64 => put(&mut buffer.f64s_mut()[offset..][..bytes.len() / 8], bytes, f64::from_le_bytes),
        DType::I32 => put(&mut buffer.i32s_mut()[offset..][..bytes.len() / 4], bytes, i32::from_le_bytes),
        DType::Bool => put(&mut buffer.i32s_mut()[offset..][..bytes.len()], bytes, |b: [u8; 1]| i32::from(b[0] != 0)),
    }
}
