//! Finding and reading data files.

use super::Context;
use super::args::Fallible;
use crate::diag::{Diagnostic, error};
use crate::source::Span;
use std::path::{Path, PathBuf};

impl Context {
    /// The file that a path in the program means.
    pub fn resolve(&self, path: &str) -> PathBuf {
        match self.data_dir.as_ref().or(self.file_dir.as_ref()) {
            Some(dir) => dir.join(path),
            None => PathBuf::from(path),
        }
    }
}

/// `E0401`: a file cannot be opened or read.
pub fn unreadable(path: &Path, span: Span, reason: &std::io::Error) -> Diagnostic {
    let missing = reason.kind() == std::io::ErrorKind::NotFound;
    let title = if missing {
        format!("data file '{}' does not exist", path.display())
    } else {
        format!("data file '{}' cannot be read", path.display())
    };
    let label = if missing { "no such file".to_string() } else { reason.to_string() };
    let help = "paths begin at the folder given by --data, or else at the folder of the .opt file";
    error("E0401", title).at(span, label).help(help)
}

/// The whole file.
pub fn read(path: &Path, span: Span) -> Fallible<Vec<u8>> {
    std::fs::read(path).map_err(|reason| vec![unreadable(path, span, &reason)])
}
