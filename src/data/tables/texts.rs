//! A column of texts, in memory or in a temporary file.

use super::super::disk::region::read_at;
use super::super::disk::temporary;
use crate::diag::{Diagnostic, error};
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};

#[derive(Debug)]
pub enum Texts {
    Memory(Vec<String>),
    /// One behind the other in a file without a name; where each ends.
    Disk {
        file: BufWriter<File>,
        ends: Vec<u64>,
    },
}

impl Texts {
    pub fn new(streams: bool) -> io::Result<Texts> {
        if !streams {
            return Ok(Texts::Memory(vec![]));
        }
        Ok(Texts::Disk { file: BufWriter::with_capacity(1 << 16, temporary::file()?), ends: vec![] })
    }

    pub fn push(&mut self, text: Cow<str>) -> io::Result<()> {
        match self {
            Texts::Memory(texts) => texts.push(text.into_owned()),
            Texts::Disk { file, ends } => {
                file.write_all(text.as_bytes())?;
                ends.push(ends.last().unwrap_or(&0) + text.len() as u64);
            }
        }
        Ok(())
    }

    /// Before texts are read.
    pub fn finish(&mut self) -> io::Result<()> {
        if let Texts::Disk { file, .. } = self { file.flush() } else { Ok(()) }
    }

    pub fn is_on_disk(&self) -> bool {
        matches!(self, Texts::Disk { .. })
    }

    pub fn len(&self) -> usize {
        match self {
            Texts::Memory(texts) => texts.len(),
            Texts::Disk { ends, .. } => ends.len(),
        }
    }

    /// The text of a row.
    pub fn get(&self, row: usize) -> Result<Cow<'_, str>, Diagnostic> {
        match self {
            Texts::Memory(texts) => Ok(Cow::Borrowed(&texts[row])),
            Texts::Disk { file, ends } => {
                let from = row.checked_sub(1).map_or(0, |before| ends[before]);
                let mut bytes = vec![0; (ends[row] - from) as usize];
                let read = read_at(file.get_ref(), &mut bytes, from);
                read.map_err(|reason| {
                    error("E0411", "a temporary file can no longer be read").note(reason.to_string())
                })?;
                Ok(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()))
            }
        }
    }
}
