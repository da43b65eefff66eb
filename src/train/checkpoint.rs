//! Checkpoints: every tensor of a program by its path, in one safetensors file.
//!
//! The file's metadata holds one entry, `optc`: a JSON object with the step, the seed and the unfinished epoch's sums.
//! With it a run continues with the same bits as if it had never stopped.

use super::metrics::Averages;
use super::state::State;
use crate::diag::{Diagnostic, error, suggest};
use crate::ir::{DType, Type};
use crate::runtime::Tensor;
use crate::sema::program::{BufferInfo, Program};
use safetensors::{Dtype, SafeTensors, View};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The entry of the metadata.
const KEY: &str = "optc";

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Progress {
    pub program: String,
    pub step: usize,
    pub epoch: usize,
    pub seed: u64,
    /// Rows in a batch and in the training part: a step of a resumed run must mean the same rows.
    pub batch: usize,
    pub rows: usize,
    /// Sums of the epoch so far: see [`Averages::to_bits`].
    pub sums: Vec<u64>,
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
pub fn save(path: &Path, buffers: &[BufferInfo], values: &[Tensor], progress: &Progress) -> Result<(), Diagnostic> {
    let mut tensors = Vec::new();
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
    let stored = |tensor: &Tensor| Stored {
        dtype: stored_type(tensor.ty().dtype),
        shape: tensor.ty().shape.clone(),
        bytes: tensor.bytes().to_vec(),
    };
    write(path, values.iter().map(|(name, tensor)| (name.clone(), stored(tensor))).collect(), None)
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

/// Writes a file so that no reader ever sees a part of it.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    let partial = path.with_file_name(name);
    std::fs::write(&partial, bytes)?;
    std::fs::rename(&partial, path)
}

/// The checkpoint with the most steps in a run's folder.
pub fn newest(folder: &Path) -> Option<(PathBuf, Progress)> {
    let entries = std::fs::read_dir(folder.join("checkpoints")).ok()?;
    let paths = entries.filter_map(|e| Some(e.ok()?.path()));
    let checkpoints = paths.filter(|p| p.extension().is_some_and(|e| e == "safetensors"));
    checkpoints.filter_map(|p| progress_of(&p).map(|progress| (p, progress))).max_by_key(|(p, progress)| {
        // Of two with equal steps any will do; the name makes the choice a fixed one.
        (progress.step, p.clone())
    })
}

/// Reads only the header of a file.
fn progress_of(path: &Path) -> Option<Progress> {
    use std::io::Read;
    let mut file = std::fs::File::open(path).ok()?;
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
    serde_json::from_str(header.get("__metadata__")?.get(KEY)?.as_str()?).ok()
}

/// Fills the state from a checkpoint of the same program.
pub fn restore(
    path: &Path,
    program: &Program,
    state: &mut State,
    averages: &mut Averages,
) -> Result<Progress, Diagnostic> {
    let refuse = |code, why: &str| error(code, format!("cannot resume from '{}'", path.display())).note(why);
    let unusable = |why: &str| refuse("E0502", why);
    let bytes = std::fs::read(path).map_err(|e| unusable(&e.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| unusable(&format!("not a whole safetensors file: {e}")))?;
    let progress = progress_of(path).ok_or_else(|| unusable("it does not say at which step it was written"))?;
    let mut problems = Vec::new();
    let all = pieces(&program.buffers);
    for piece in &all {
        let buffer = &mut state.buffers_mut()[piece.buffer];
        let Ok(view) = file.tensor(&piece.path) else {
            let near = suggest(&piece.path, file.names().into_iter().filter(|n| !all.iter().any(|p| p.path == *n)));
            let near = near.map(|n| format!(" ({n})")).unwrap_or_default();
            problems.push(format!("'{}' is not in the file{near}", piece.path));
            continue;
        };
        let dtype = buffer.ty().dtype;
        if view.dtype() != stored_type(dtype) || view.shape() != piece.shape {
            let expected = Type::new(dtype, piece.shape);
            problems.push(format!(
                "'{}' is {expected} here and {} {:?} in the file",
                piece.path,
                view.dtype(),
                view.shape()
            ));
            continue;
        }
        fill(buffer, piece.offset, view.data());
    }
    for name in file.names() {
        if !all.iter().any(|p| p.path == name) {
            problems.push(format!("'{name}' is only in the file"));
        }
    }
    if !averages.set_bits(&progress.sums) {
        problems.push("the reported values are not the same".into());
    }
    if problems.is_empty() {
        return Ok(progress);
    }
    problems.sort();
    let mut diagnostic = refuse("E0501", "it was written by another program");
    diagnostic.notes.extend(problems.into_iter().take(12));
    Err(diagnostic.help("resume with the file and the hyper-parameters that began the run (config.json in its folder)"))
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
