//! Arguments that several commands share.

use crate::driver::{EngineKind, Request};
use crate::ir::DType;
use clap::ValueEnum;
use std::path::PathBuf;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Float {
    F32,
    F64,
}

impl Float {
    pub fn dtype(self) -> DType {
        match self {
            Float::F32 => DType::F32,
            Float::F64 => DType::F64,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Engine {
    /// Native code
    Jit,
    /// The slow interpreter
    Interp,
}

impl Engine {
    pub fn kind(self) -> EngineKind {
        match self {
            Engine::Jit => EngineKind::Jit,
            Engine::Interp => EngineKind::Interp,
        }
    }
}

/// `name=value`
pub fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_string(), value.trim().to_string())),
        _ => Err("expected name=value".into()),
    }
}

/// Choices that shape a program: shared by `run` and `ir`.
#[derive(clap::Args, Debug)]
pub struct Shape {
    /// Change a hyper-parameter of the training (repeatable)
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    pub sets: Vec<(String, String)>,
    /// What `float` means
    #[arg(long, value_enum, default_value = "f32")]
    pub float: Float,
    /// Where relative data paths are looked up (default: the file's folder)
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Which training of the file (default: its comparison, else its first training)
    #[arg(long = "train", value_name = "NAME")]
    pub name: Option<String>,
}

impl Shape {
    pub fn request(&self) -> Request {
        let Shape { sets, float, data, name } = self;
        Request { sets: sets.clone(), float: float.dtype(), data_dir: data.clone(), name: name.clone() }
    }
}
