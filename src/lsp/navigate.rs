//! Definition, references, rename, symbols.

use super::analysis::Analysis;
use super::index::{Occurrence, Symbol};
use super::{library, text};
use crate::sema::modules::{ModuleId, Modules};
use crate::source::{FileId, Span};
use crate::syntax::ast::{Item, ItemKind};
use crate::syntax::{is_name_char, is_name_start, is_reserved};
use lsp_types as lsp;
use std::collections::HashMap;

pub fn definition(analysis: &Analysis, byte: usize) -> Option<lsp::Location> {
    let occurrence = analysis.index.at(byte)?;
    match &occurrence.symbol {
        Symbol::At(span) => analysis.location(*span),
        Symbol::Global(id) => analysis.location(name_of(analysis.modules.item(*id))?),
        Symbol::Module(name) => {
            let file = crate::sema::library::files(name).next()?;
            Some(lsp::Location::new(text::uri(&library::file(file)?)?, lsp::Range::default()))
        }
        Symbol::File(name) => Some(lsp::Location::new(analysis.beside(name)?, lsp::Range::default())),
        Symbol::Builtin(_) | Symbol::Word | Symbol::Setting => None,
    }
}

/// The name that an item declares.
fn name_of(item: &Item) -> Option<Span> {
    match &item.kind {
        ItemKind::Def(def) => Some(def.name.span),
        ItemKind::Const(c) => Some(c.name.span),
        ItemKind::Data(d) => Some(d.name.span),
        ItemKind::Train(t) => Some(t.name.span),
        ItemKind::Use(_) | ItemKind::Compare(_) | ItemKind::Sweep(_) | ItemKind::Test(_) => None,
    }
}

fn same<'a>(analysis: &'a Analysis, of: &'a Occurrence) -> impl Iterator<Item = &'a Occurrence> {
    analysis.index.occurrences.iter().filter(move |o| o.symbol == of.symbol && o.name == of.name)
}

pub fn references(analysis: &Analysis, byte: usize) -> Option<Vec<lsp::Location>> {
    let occurrence = analysis.index.at(byte)?;
    Some(same(analysis, occurrence).filter_map(|o| analysis.location(o.span)).collect())
}

/// Whether the name is declared in this file, so that it can be renamed here.
fn is_own(analysis: &Analysis, symbol: &Symbol, modules: &Modules) -> bool {
    match symbol {
        Symbol::At(span) => span.file == analysis.file,
        Symbol::Global(id) => id.module == modules.main_id() && matches!(id.module, ModuleId::User(_)),
        _ => false,
    }
}

pub fn prepare_rename(analysis: &Analysis, byte: usize) -> Result<lsp::Range, String> {
    let occurrence = analysis.index.at(byte).ok_or("there is no name here")?;
    if !is_own(analysis, &occurrence.symbol, &analysis.modules) {
        return Err(format!("'{}' is not defined in this file", occurrence.name));
    }
    Ok(text::range(&analysis.sources, occurrence.span))
}

// An editor's answer has this type.
#[allow(clippy::mutable_key_type)]
pub fn rename(analysis: &Analysis, byte: usize, new: &str) -> Result<lsp::WorkspaceEdit, String> {
    prepare_rename(analysis, byte)?;
    let well_formed = new.starts_with(is_name_start) && new.chars().all(is_name_char);
    if !well_formed || is_reserved(new) {
        return Err(format!("'{new}' cannot be a name"));
    }
    let occurrence = analysis.index.at(byte).ok_or("there is no name here")?;
    if let Symbol::At(span) = &occurrence.symbol
        && analysis.index.local(*span).is_some_and(|l| matches!(l.kind, super::index::LocalKind::Column))
    {
        return Err(format!("'{}' is a column of the data, which keeps its name", occurrence.name));
    }
    let edits = same(analysis, occurrence).filter(|o| o.span.file == analysis.file);
    let mut edits: Vec<lsp::TextEdit> =
        edits.map(|o| lsp::TextEdit::new(text::range(&analysis.sources, o.span), new.to_string())).collect();
    edits.sort_by_key(|e| (e.range.start.line, e.range.start.character));
    edits.dedup();
    let changes = HashMap::from([(analysis.uri.clone(), edits)]);
    Ok(lsp::WorkspaceEdit { changes: Some(changes), ..lsp::WorkspaceEdit::default() })
}

/// The items of the file.
pub fn symbols(analysis: &Analysis) -> Vec<lsp::DocumentSymbol> {
    let symbol = |item: &Item| {
        let (name, kind, detail, place) = match &item.kind {
            ItemKind::Use(_) => return None,
            ItemKind::Const(c) => (c.name.name.clone(), lsp::SymbolKind::CONSTANT, "const", c.name.span),
            ItemKind::Def(d) => {
                use crate::syntax::ast::DefKind;
                let kind = match d.kind {
                    DefKind::Layer | DefKind::Model | DefKind::Optimizer => lsp::SymbolKind::CLASS,
                    DefKind::Fn
                    | DefKind::Init
                    | DefKind::Loss
                    | DefKind::Metric
                    | DefKind::Schedule
                    | DefKind::Transform => lsp::SymbolKind::FUNCTION,
                };
                (d.name.name.clone(), kind, d.kind.keyword(), d.name.span)
            }
            ItemKind::Data(d) => (d.name.name.clone(), lsp::SymbolKind::VARIABLE, "data", d.name.span),
            ItemKind::Train(t) => (t.name.name.clone(), lsp::SymbolKind::EVENT, "train", t.name.span),
            ItemKind::Compare(e) => (e.train.name.clone(), lsp::SymbolKind::EVENT, "compare", e.train.span),
            ItemKind::Sweep(e) => (e.train.name.clone(), lsp::SymbolKind::EVENT, "sweep", e.train.span),
            ItemKind::Test(t) => {
                let start = Span::new(analysis.file, item.span.start as usize, item.span.start as usize);
                (t.name.clone(), lsp::SymbolKind::METHOD, "test", start)
            }
        };
        #[allow(deprecated)] // the field must be given
        Some(lsp::DocumentSymbol {
            name: if name.is_empty() { detail.to_string() } else { name },
            detail: Some(detail.to_string()),
            kind,
            tags: None,
            deprecated: None,
            range: text::range(&analysis.sources, item.span),
            selection_range: text::range(&analysis.sources, place),
            children: None,
        })
    };
    let own = |item: &&Item| item.span.file == analysis.file && !FileId::is_library(item.span.file);
    analysis.modules.main().items.iter().filter(own).filter_map(symbol).collect()
}
