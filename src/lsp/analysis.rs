//! One text of the editor, taken through the front half of the compiler.

use super::index::{self, Index};
use super::{library, text};
use crate::diag::Diagnostic;
use crate::driver::Session;
use crate::sema::Modules;
use crate::sema::record::Record;
use crate::source::{FileId, SourceFile, SourceMap, Span};
use lsp_types::{Location, Uri};
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

pub struct Analysis {
    pub sources: SourceMap,
    /// The text itself.
    pub file: FileId,
    pub uri: Uri,
    pub modules: Arc<Modules>,
    pub diagnostics: Vec<Diagnostic>,
    pub record: Record,
    pub index: Index,
}

impl Analysis {
    pub fn new(uri: &Uri, content: &str) -> Analysis {
        let mut session = Session::new();
        let record = Rc::new(RefCell::new(Record::default()));
        session.record = Some(record.clone());
        let path = text::path(uri);
        let file = session.open_text(path.as_deref().unwrap_or(Path::new(uri.as_str())), content.to_string());
        let (modules, mut diagnostics) = session.check_all();
        diagnostics.extend(std::mem::take(&mut session.warnings));
        let index = index::index(&modules, &session.sources);
        let sources = std::mem::take(&mut session.sources);
        drop(session);
        let record = Rc::try_unwrap(record).map(RefCell::into_inner).unwrap_or_default();
        Analysis { sources, file, uri: uri.clone(), modules, diagnostics, record, index }
    }

    pub fn text(&self) -> &SourceFile {
        self.sources.file(self.file)
    }

    /// A place in this file, in another of the user's, or in the library.
    pub fn location(&self, span: Span) -> Option<Location> {
        let range = text::range(&self.sources, span);
        if span.file == self.file {
            return Some(Location::new(self.uri.clone(), range));
        }
        if let Some(file) = span.file.library_file() {
            return Some(Location::new(text::uri(&library::file(file)?)?, range));
        }
        self.beside(&self.sources.file(span.file).name).map(|uri| Location::new(uri, range))
    }

    /// The URI of a file that this one uses by its name.
    pub fn beside(&self, name: &str) -> Option<Uri> {
        text::uri(&text::path(&self.uri)?.parent()?.join(name))
    }
}
