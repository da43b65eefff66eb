//! Definition and symbols.

use super::analysis::{Analysis, name_of};
use super::index::Symbol;
use super::{library, text};
use crate::source::{FileId, Span};
use crate::syntax::ast::{Item, ItemKind};
use lsp_types as lsp;

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
