//! Finding and reading data files, without trust in the sizes that they declare.

use super::Context;
use super::args::Fallible;
use crate::diag::{Diagnostic, error};
use crate::source::Span;
use flate2::read::GzDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
pub fn unreadable(path: &Path, span: Span, reason: &std::io::Error) -> Vec<Diagnostic> {
    let missing = reason.kind() == std::io::ErrorKind::NotFound;
    let title = if missing {
        format!("data file '{}' does not exist", path.display())
    } else {
        format!("data file '{}' cannot be read", path.display())
    };
    let label = if missing { "no such file".to_string() } else { reason.to_string() };
    let help = "paths begin at the folder given by --data, or else at the folder of the .opt file";
    vec![error("E0401", title).at(span, label).help(help)]
}

/// The whole file.
pub fn read(path: &Path, span: Span) -> Fallible<Vec<u8>> {
    regular(path).and_then(|_| std::fs::read(path)).map_err(|reason| unreadable(path, span, &reason))
}

/// A regular file to be read at any place, and its length.
pub fn plain(path: &Path, span: Span) -> Fallible<(Arc<File>, u64)> {
    let opened = regular(path).and_then(|length| Ok((Arc::new(File::open(path)?), length)));
    opened.map_err(|reason| unreadable(path, span, &reason))
}

/// The whole file, inflated if it is gzipped.
pub fn whole(path: &Path, span: Span) -> Fallible<Vec<u8>> {
    let mut source = open(path, span)?;
    let mut bytes = vec![];
    let read = source.reader.read_to_end(&mut bytes);
    let place = path.display().to_string();
    read.map_err(|reason| vec![source.damaged(&reason, "its end is damaged", &place, span)])?;
    Ok(bytes)
}

/// What lies in a folder.
pub fn entries(path: &Path, span: Span) -> Fallible<Vec<PathBuf>> {
    let listed = std::fs::read_dir(path).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    listed.map_err(|reason| unreadable(path, span, &reason))
}

/// The length of a regular file; a folder or a device (which may never end) is an error.
fn regular(path: &Path) -> std::io::Result<u64> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_file() { Ok(metadata.len()) } else { Err(std::io::Error::other("not a regular file")) }
}

/// Deflate makes of one byte at most this many.
pub const MOST_INFLATION: u64 = 1032;

/// A file read from its beginning, inflated if it is gzipped.
pub struct Source {
    reader: Box<dyn Read>,
    /// No more bytes than this can come.
    most: u64,
    zipped: bool,
}

/// Opens a file, plain or gzipped (told by its first bytes, whatever its name).
pub fn open(path: &Path, span: Span) -> Fallible<Source> {
    let start = || -> std::io::Result<Source> {
        let length = regular(path)?;
        let mut file = File::open(path)?;
        let mut first = vec![];
        (&mut file).take(2).read_to_end(&mut first)?;
        let zipped = first == [0x1f, 0x8b];
        let whole = std::io::Cursor::new(first).chain(BufReader::with_capacity(1 << 16, file));
        if zipped {
            let most = length.saturating_mul(MOST_INFLATION);
            return Ok(Source { reader: Box::new(GzDecoder::new(whole)), most, zipped });
        }
        Ok(Source { reader: Box::new(whole), most: length, zipped })
    };
    start().map_err(|reason| unreadable(path, span, &reason))
}

impl Source {
    /// Whether what comes is inflated.
    pub fn is_zipped(&self) -> bool {
        self.zipped
    }

    /// Reads exactly as many bytes as the buffer has.
    pub fn fill(&mut self, buffer: &mut [u8], place: &str, span: Span) -> Fallible<()> {
        self.most = self.most.saturating_sub(buffer.len() as u64);
        self.reader
            .read_exact(buffer)
            .map_err(|reason| vec![self.damaged(&reason, "its header is incomplete", place, span)])
    }

    /// Refuses a declared number of bytes that cannot be there, before memory is taken for them.
    pub fn expect(&self, declared: u64, why: &str, place: &str, span: Span) -> Fallible<()> {
        if declared > self.most || (!self.zipped && declared < self.most) {
            let kind = if declared > self.most { "truncated" } else { "too long" };
            return Err(vec![
                error("E0403", format!("'{place}' is {kind}"))
                    .at(span, if declared > self.most { "values are missing" } else { "bytes are left over" })
                    .note(self.counts(declared, why)),
            ]);
        }
        Ok(())
    }

    fn counts(&self, declared: u64, why: &str) -> String {
        let has = if self.zipped { "can have at most" } else { "has" };
        format!("its header says {why}: {declared} bytes; the file {has} {} after the header", self.most)
    }

    /// Reads all the bytes that are left, which must be as many as declared (checked by [`Source::expect`]).
    pub fn take_all(mut self, declared: u64, place: &str, span: Span) -> Fallible<Vec<u8>> {
        let mut bytes = vec![];
        let too_large = || {
            vec![
                error("E0403", format!("'{place}' does not fit in memory"))
                    .at(span, format!("it declares {declared} bytes")),
            ]
        };
        bytes.try_reserve_exact(usize::try_from(declared).map_err(|_| too_large())?).map_err(|_| too_large())?;
        let read = (&mut self.reader).take(declared).read_to_end(&mut bytes);
        read.map_err(|reason| vec![self.damaged(&reason, "its values are incomplete", place, span)])?;
        if (bytes.len() as u64) < declared {
            return Err(vec![
                error("E0403", format!("'{place}' is truncated")).at(span, "values are missing").note(format!(
                    "its header declares {declared} bytes of values, but only {} are there",
                    bytes.len()
                )),
            ]);
        }
        // Reading on finds left-over bytes, and checks the sum at the end of a gzip file.
        match self.reader.read(&mut [0]) {
            Ok(0) => Ok(bytes),
            Ok(_) => Err(vec![
                error("E0403", format!("'{place}' is too long"))
                    .at(span, "bytes are left over")
                    .note(format!("its header declares {declared} bytes of values")),
            ]),
            Err(reason) => Err(vec![self.damaged(&reason, "its end is damaged", place, span)]),
        }
    }

    fn damaged(&self, reason: &std::io::Error, what: &str, place: &str, span: Span) -> Diagnostic {
        let title = format!("'{place}' is {}", if self.zipped { "damaged or truncated" } else { "truncated" });
        error("E0403", title).at(span, what).note(reason.to_string())
    }
}
