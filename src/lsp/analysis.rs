//! One text of the editor, taken through the front half of the compiler.

use super::index::{self, Index, Occurrence, Symbol};
use super::{generic, library, text};
use crate::diag::Diagnostic;
use crate::driver::{Session, Unsaved};
use crate::sema::Modules;
use crate::sema::modules::{DefId, ModuleId};
use crate::sema::record::Record;
use crate::source::{FileId, SourceFile, SourceMap, Span};
use crate::syntax::ast::{Item, ItemKind};
use lsp_types::{Location, Uri};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
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
    /// What else the editor has open.
    pub unsaved: Arc<Unsaved>,
    /// The types inside definitions as their headers declare them, by item; made when somebody asks.
    generic: RefCell<HashMap<usize, Rc<Record>>>,
}

/// The types of an expression.
pub struct Types {
    pub span: Span,
    pub list: Vec<String>,
    /// They are in the words of the header of the definition around: nothing in the file calls it with sizes.
    pub generic: bool,
}

/// Where something is declared, the same for every analysis.
#[derive(Clone, Debug, PartialEq)]
pub struct Declaration {
    pub uri: Uri,
    pub start: u32,
    pub end: u32,
}

impl Analysis {
    /// Checks a text. `unsaved` are the other texts that the editor has open.
    pub fn new(uri: &Uri, content: &str, unsaved: &Arc<Unsaved>) -> Analysis {
        Analysis::made(uri, content, unsaved, true)
    }

    /// The names of a text and what they mean, without types and diagnostics.
    pub fn names(uri: &Uri, content: &str, unsaved: &Arc<Unsaved>) -> Analysis {
        Analysis::made(uri, content, unsaved, false)
    }

    fn made(uri: &Uri, content: &str, unsaved: &Arc<Unsaved>, check: bool) -> Analysis {
        let mut session = Session::new();
        session.unsaved = unsaved.clone();
        let record = Rc::new(RefCell::new(Record::default()));
        session.record = Some(record.clone());
        let path = text::path(uri);
        let file = session.open_text(path.as_deref().unwrap_or(Path::new(uri.as_str())), content.to_string());
        let (modules, mut diagnostics) = if check { session.check_all() } else { session.read_all() };
        diagnostics.append(&mut session.warnings);
        let index = index::index(&modules, &session.sources);
        let sources = std::mem::take(&mut session.sources);
        drop(session);
        let record = Rc::try_unwrap(record).map(RefCell::into_inner).unwrap_or_default();
        let (unsaved, generic) = (unsaved.clone(), RefCell::default());
        Analysis { sources, file, uri: uri.clone(), modules, diagnostics, record, index, unsaved, generic }
    }

    pub fn text(&self) -> &SourceFile {
        self.sources.file(self.file)
    }

    /// The types of the expression at exactly this place.
    pub fn types(&self, span: Span) -> Types {
        let list = self.record.types(span);
        if !list.is_empty() {
            return Types { span, list: list.to_vec(), generic: false };
        }
        let list = self.generic(span).map(|record| record.types(span).to_vec());
        Types { span, list: list.unwrap_or_default(), generic: true }
    }

    /// The smallest expression around a byte.
    pub fn types_around(&self, byte: usize) -> Option<Types> {
        let at = Span::new(self.file, byte, byte);
        let found = |record: &Record, generic| {
            let (span, list) = record.around(at)?;
            Some(Types { span, list: list.to_vec(), generic })
        };
        let concrete = found(&self.record, false);
        let generic = self.generic(at).and_then(|record| found(&record, true));
        // What a branch that no training takes is made of, rather than the whole `if`.
        concrete.into_iter().chain(generic).min_by_key(|types| types.span.end - types.span.start)
    }

    /// Of the definition around a place.
    fn generic(&self, span: Span) -> Option<Rc<Record>> {
        let around = |item: &Item| item.span.start <= span.start && span.end <= item.span.end;
        let definition = |item: &Item| matches!(item.kind, ItemKind::Def(_)) && around(item);
        let mut items = self.modules.main().items.iter().filter(|_| span.file == self.file);
        let item = items.position(definition)?;
        if let Some(known) = self.generic.borrow().get(&item) {
            return Some(known.clone());
        }
        let id = DefId { module: self.modules.main_id(), item };
        let made = Rc::new(generic::types(&self.modules, &self.sources, id));
        self.generic.borrow_mut().insert(item, made.clone());
        Some(made)
    }

    /// A place in this file, in another of the user's, or in the library.
    pub fn location(&self, span: Span) -> Option<Location> {
        Some(Location::new(self.uri_of(span.file)?, text::range(&self.sources, span)))
    }

    fn uri_of(&self, file: FileId) -> Option<Uri> {
        if file == self.file {
            return Some(self.uri.clone());
        }
        match file.library_file() {
            Some(index) => text::uri(&library::file(index)?),
            None => self.beside(&self.sources.file(file).name),
        }
    }

    /// The URI of a file that this one uses by its name.
    pub fn beside(&self, name: &str) -> Option<Uri> {
        text::uri(&crate::driver::beside(text::path(&self.uri)?.parent()?, name))
    }

    /// The files that this one uses, those that they use, and so on.
    pub fn uses(&self) -> Vec<PathBuf> {
        let others = self.modules.user_modules().filter(|(id, _)| *id != self.modules.main_id());
        others.filter_map(|(_, module)| text::path(&self.beside(&module.name)?)).collect()
    }

    /// Where what a name means is declared, if a file of the user does it.
    pub fn declared(&self, occurrence: &Occurrence) -> Option<Declaration> {
        let span = match &occurrence.symbol {
            Symbol::At(span) => *span,
            Symbol::Global(id) if matches!(id.module, ModuleId::User(_)) => name_of(self.modules.item(*id))?,
            _ => return None,
        };
        let user = !span.file.is_library();
        let uri = self.uri_of(span.file).filter(|_| user)?;
        Some(Declaration { uri, start: span.start, end: span.end })
    }
}

/// The name that an item declares.
pub fn name_of(item: &Item) -> Option<Span> {
    match &item.kind {
        ItemKind::Def(def) => Some(def.name.span),
        ItemKind::Const(c) => Some(c.name.span),
        ItemKind::Data(d) => Some(d.name.span),
        ItemKind::Train(t) => Some(t.name.span),
        ItemKind::Use(_) | ItemKind::Compare(_) | ItemKind::Sweep(_) | ItemKind::Test(_) => None,
    }
}
