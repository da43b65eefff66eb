//! Files without a name, for columns that have no file of their own: they vanish with the process, however that ends.

use crate::diag::{Diagnostic, error};
use crate::source::Span;
use std::fs::File;
use std::io;

/// A new one, in the system's folder for such files (`TMPDIR`).
pub fn file() -> io::Result<File> {
    tempfile::tempfile()
}

/// `E0412`: the disk is full, or no file can be made.
pub fn no_room(reason: &io::Error, span: Span) -> Diagnostic {
    let folder = std::env::temp_dir();
    error("E0412", format!("the columns cannot be written to a temporary file in '{}'", folder.display()))
        .at(span, reason.to_string())
        .note("a table that is streamed takes about 8 bytes for each number there")
        .help("name another folder in the variable TMPDIR, or say stream = false to keep the columns in memory")
}
