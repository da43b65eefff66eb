//! Source texts and places in them. Every AST node, IR node and diagnostic carries a [`Span`].

use crate::stdlib;
use std::collections::HashMap;

/// Index of a text in a [`SourceMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FileId(pub u32);

/// Ids from here on are the files of the embedded library, in every map.
const LIBRARY: u32 = 1 << 31;

impl FileId {
    /// A file of the library, by its place in [`stdlib::MODULES`].
    pub fn library(file: usize) -> FileId {
        FileId(LIBRARY + file as u32)
    }

    pub fn is_library(self) -> bool {
        self.library_file().is_some()
    }

    /// Of a file of the library: its place in [`stdlib::MODULES`].
    pub fn library_file(self) -> Option<usize> {
        self.0.checked_sub(LIBRARY).map(|file| file as usize)
    }
}

/// A range of bytes in one source text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Span {
    pub file: FileId,
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn new(file: FileId, start: usize, end: usize) -> Span {
        Span { file, start: start as u32, end: end as u32 }
    }

    /// The smallest span that covers both; `self` if they are in different files.
    pub fn to(self, other: Span) -> Span {
        if self.file != other.file {
            return self;
        }
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// One text: a user's file, a file of the embedded library, or an expression from the command line.
#[derive(Clone, Debug)]
pub struct SourceFile {
    pub name: String,
    pub text: String,
    line_starts: Vec<u32>,
}

impl SourceFile {
    pub fn new(name: String, text: String) -> SourceFile {
        let mut line_starts = vec![0];
        line_starts.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i as u32 + 1));
        SourceFile { name, text, line_starts }
    }

    /// Index (from 0) of the line that holds a byte.
    pub fn line_of(&self, byte: usize) -> usize {
        self.line_starts.partition_point(|start| *start as usize <= byte).saturating_sub(1)
    }

    /// Bytes of a line (from 0), its line end included; `None` behind the last line.
    pub fn line_range(&self, line: usize) -> Option<std::ops::Range<usize>> {
        let start = *self.line_starts.get(line)? as usize;
        let end = self.line_starts.get(line + 1).map_or(self.text.len(), |next| *next as usize);
        Some(start..end)
    }
}

/// All texts of a session: what was added, and the library's.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
    by_name: HashMap<String, FileId>,
}

impl SourceMap {
    pub fn new() -> SourceMap {
        SourceMap::default()
    }

    /// Adds a text; a text of the same name is shadowed by the new one.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        let file = SourceFile::new(name.into(), text.into());
        let id = FileId(self.files.len() as u32);
        self.by_name.insert(file.name.clone(), id);
        self.files.push(file);
        id
    }

    pub fn file(&self, id: FileId) -> &SourceFile {
        match id.0.checked_sub(LIBRARY) {
            Some(file) => stdlib::source(file as usize),
            None => &self.files[id.0 as usize],
        }
    }

    pub fn find(&self, name: &str) -> Option<FileId> {
        self.by_name.get(name).copied()
    }

    pub fn text(&self, span: Span) -> &str {
        self.file(span.file).text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// 1-based line and column (in characters) of the start of a span.
    pub fn line_col(&self, span: Span) -> (usize, usize) {
        let file = self.file(span.file);
        let line = file.line_starts.partition_point(|start| *start <= span.start) - 1;
        let from = file.line_starts[line] as usize;
        let column = file.text.get(from..span.start as usize).map_or(0, |s| s.chars().count());
        (line + 1, column + 1)
    }

    /// `name:line:column`, as diagnostics and IR comments write a place.
    pub fn place(&self, span: Span) -> String {
        if self.files.is_empty() {
            return String::new();
        }
        let (line, column) = self.line_col(span);
        format!("{}:{line}:{column}", self.file(span.file).name)
    }
}
