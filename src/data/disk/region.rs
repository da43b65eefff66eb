//! Rows at known places of a file, read when they are wanted.
//!
//! Positioned reads and no memory mapping: the system's cache of pages does what a mapping would, and a file that is cut
//! short or a disk that fails is an error that can be told, not a signal that ends the process.

use crate::diag::{Diagnostic, error};
use crate::source::Span;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;

/// Rows of equal length in a file.
#[derive(Clone, Debug)]
pub struct Region {
    pub file: Arc<File>,
    /// For messages: the file, or the member of an archive.
    pub place: String,
    /// The argument that asked for it.
    pub span: Span,
    /// Where the first row begins.
    pub start: u64,
    pub row_bytes: usize,
    pub rows: usize,
    pub groups: Option<Groups>,
}

/// Rows that share a file with other columns: they lie side by side in groups.
#[derive(Clone, Copy, Debug)]
pub struct Groups {
    /// Rows of a group.
    pub rows: usize,
    /// From the begin of a group to that of the next.
    pub bytes: u64,
}

impl Region {
    /// Reads consecutive rows.
    pub fn read(&self, rows: Range<usize>, out: &mut [u8]) -> Result<(), Diagnostic> {
        let mut rest = out;
        let mut from = rows.start;
        while from < rows.end {
            let (to, at) = match self.groups {
                None => (rows.end, self.start + from as u64 * self.row_bytes as u64),
                Some(groups) => {
                    let (group, inside) = (from / groups.rows, from % groups.rows);
                    let at = self.start + group as u64 * groups.bytes + (inside * self.row_bytes) as u64;
                    (rows.end.min((group + 1) * groups.rows), at)
                }
            };
            let (piece, more) = rest.split_at_mut((to - from) * self.row_bytes);
            read_at(&self.file, piece, at).map_err(|reason| self.lost(&reason))?;
            (rest, from) = (more, to);
        }
        Ok(())
    }

    fn lost(&self, reason: &io::Error) -> Diagnostic {
        let what = match reason.kind() {
            ErrorKind::UnexpectedEof => "it is shorter than when it was opened".to_string(),
            _ => reason.to_string(),
        };
        error("E0411", format!("'{}' can no longer be read", self.place)).at(self.span, what)
    }

    /// A value that was not there when the file was looked through.
    pub fn changed(&self, value: f64) -> Diagnostic {
        error("E0411", format!("'{}' has changed since it was opened", self.place))
            .at(self.span, format!("now has the value {value}"))
            .note("values were looked through when it was opened, and this one was not among them")
    }
}

/// Fills the buffer with the bytes at a place of a file.
#[cfg(unix)]
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Fills the buffer with the bytes at a place of a file.
#[cfg(windows)]
pub fn read_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, offset) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => (buffer, offset) = (&mut buffer[n..], offset + n as u64),
            Err(reason) if reason.kind() == ErrorKind::Interrupted => {}
            Err(reason) => return Err(reason),
        }
    }
    Ok(())
}
