//! `init = load("weights.npz", "w")`: starting values from files.

use super::Failure;
use super::checkpoint::pieces;
use super::state::State;
use crate::data::zip::Archive;
use crate::diag::{Diagnostic, error, suggest};
use crate::ir::DType;
use crate::sema::program::{Load, Program};
use safetensors::{Dtype, SafeTensors};
use std::path::{Path, PathBuf};

/// A dense array out of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
    /// The nearest element type of the language; wider integers and halves count as their kind.
    pub dtype: DType,
}

/// Fills the views that the program's `load` initialisers name.
pub fn apply(program: &Program, search: &[PathBuf], state: &mut State) -> Result<(), Failure> {
    let mut problems = Vec::new();
    for load in &program.loads {
        if let Err(problem) = apply_one(program, load, search, state) {
            problems.push(problem.at(load.span, "loaded here"));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
}

fn apply_one(program: &Program, load: &Load, search: &[PathBuf], state: &mut State) -> Result<(), Diagnostic> {
    let path = locate(&load.file, search);
    let array = read(&path, load.key.as_deref())?;
    let pieces = pieces(&program.buffers);
    let piece = pieces.iter().find(|p| p.path == load.path);
    let piece = piece.ok_or_else(|| error("E0901", format!("internal error: no tensor '{}' to load", load.path)))?;
    if array.shape != piece.shape {
        let title = format!("'{}' has shape {:?}, but the file holds {:?}", load.path, piece.shape, array.shape);
        return Err(error("E0501", title).note(format!("read from '{}'", path.display())));
    }
    let buffer = &mut state.buffers_mut()[piece.buffer];
    let at = piece.offset..piece.offset + array.values.len();
    match buffer.ty().dtype {
        DType::F32 => buffer.f32s_mut()[at].iter_mut().zip(&array.values).for_each(|(t, v)| *t = *v as f32),
        DType::F64 => buffer.f64s_mut()[at].copy_from_slice(&array.values),
        DType::I32 => buffer.i32s_mut()[at].iter_mut().zip(&array.values).for_each(|(t, v)| *t = *v as i32),
        DType::Bool => buffer.i32s_mut()[at].iter_mut().zip(&array.values).for_each(|(t, v)| *t = i32::from(*v != 0.0)),
    }
    Ok(())
}

/// The first place where the file is; the name as it stands if it is nowhere.
fn locate(file: &str, search: &[PathBuf]) -> PathBuf {
    let candidates = search.iter().map(|folder| folder.join(file));
    candidates.into_iter().find(|p| p.exists()).unwrap_or_else(|| PathBuf::from(file))
}

/// Reads an array from a `.npy`, `.npz` or `.safetensors` file. The key may be left out where there is only one array.
pub fn read(path: &Path, key: Option<&str>) -> Result<Array, Diagnostic> {
    let fail = |why: String| error("E0502", format!("cannot load '{}'", path.display())).note(why);
    let bytes = std::fs::read(path).map_err(|e| fail(e.to_string()))?;
    match path.extension().and_then(|e| e.to_str()) {
        Some("npy") => super::npy::parse(&bytes).map_err(fail),
        Some("npz") => {
            let archive = Archive::open(&bytes).map_err(fail)?;
            let members: Vec<&str> = archive.names().collect();
            // Names lose their `.npy`, as NumPy does it.
            let names: Vec<&str> = members.iter().map(|m| m.strip_suffix(".npy").unwrap_or(m)).collect();
            let at = choose(&names, key).map_err(fail)?;
            super::npy::parse(&archive.read(members[at]).map_err(fail)?).map_err(fail)
        }
        Some("safetensors") => {
            let file = SafeTensors::deserialize(&bytes).map_err(|e| fail(e.to_string()))?;
            let mut names: Vec<&str> = file.names();
            names.sort_unstable();
            let at = choose(&names, key).map_err(fail)?;
            let view = file.tensor(names[at]).map_err(|e| fail(e.to_string()))?;
            let (dtype, values) = decode(view.dtype(), view.data())
                .ok_or_else(|| fail(format!("elements of type {} are not supported", view.dtype())))?;
            Ok(Array { shape: view.shape().to_vec(), values, dtype })
        }
        _ => Err(fail("its name does not end in .npy, .npz or .safetensors".into())),
    }
}

/// Which of the named arrays is meant.
fn choose(names: &[&str], key: Option<&str>) -> Result<usize, String> {
    let listed = || names.iter().take(8).map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", ");
    match key {
        None if names.len() == 1 => Ok(0),
        None => Err(format!("it holds {} arrays ({}): say which", names.len(), listed())),
        Some(key) => names.iter().position(|n| *n == key).ok_or_else(|| {
            let near = suggest(key, names.iter().copied()).map(|s| format!("; {s}")).unwrap_or_default();
            format!("it has no array '{key}'; it has {}{near}", listed())
        }),
    }
}

fn decode(dtype: Dtype, bytes: &[u8]) -> Option<(DType, Vec<f64>)> {
    fn each<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        bytes.chunks_exact(N).map(|c| read(c.try_into().expect("chunks have N bytes"))).collect()
    }
    Some(match dtype {
        Dtype::F32 => (DType::F32, each(bytes, |b| f32::from_le_bytes(b) as f64)),
        Dtype::F64 => (DType::F64, each(bytes, f64::from_le_bytes)),
        Dtype::BF16 => (DType::F32, each(bytes, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16) as f64)),
        Dtype::I32 => (DType::I32, each(bytes, |b| i32::from_le_bytes(b) as f64)),
        Dtype::I64 => (DType::I32, each(bytes, |b| i64::from_le_bytes(b) as f64)),
        Dtype::I16 => (DType::I32, each(bytes, |b| i16::from_le_bytes(b) as f64)),
        Dtype::I8 => (DType::I32, each(bytes, |b| i8::from_le_bytes(b) as f64)),
        Dtype::U8 => (DType::I32, each(bytes, |b: [u8; 1]| b[0] as f64)),
        Dtype::BOOL => (DType::Bool, each(bytes, |b: [u8; 1]| f64::from(b[0] != 0))),
        _ => return None,
    })
}
