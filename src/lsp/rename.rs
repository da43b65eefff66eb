//! Another name for something, wherever the files of the workspace mention it; or why it must keep the one it has.

use super::analysis::{Analysis, Declaration};
use super::index::{LocalKind, Occurrence, Symbol};
use super::{library, text};
use crate::source::Span;
use crate::syntax::{is_name_char, is_name_start, is_reserved};
use lsp_types as lsp;
use std::collections::HashMap;

/// The files of the workspace that may mention what is declared in this one.
pub type Others<'a> = &'a dyn Fn(&lsp::Uri) -> Vec<Analysis>;

/// Where the name stands, if it can be changed.
pub fn prepare(analysis: &Analysis, byte: usize) -> Result<lsp::Range, String> {
    let (occurrence, _) = renamed(analysis, byte)?;
    Ok(text::range(&analysis.sources, occurrence.span))
}

/// The name at a place and its declaration, if it is the user's to change.
fn renamed(analysis: &Analysis, byte: usize) -> Result<(&Occurrence, Declaration), String> {
    let occurrence = analysis.index.at(byte).ok_or("there is no name here")?;
    let name = &occurrence.name;
    let why = match &occurrence.symbol {
        Symbol::Builtin(_) => format!("'{name}' is a primitive of the language"),
        Symbol::Word => format!("'{name}' is a word of the language"),
        Symbol::Setting => format!("'{name}' is a setting of the language"),
        Symbol::Module(_) => format!("'{name}' is a module of the library"),
        Symbol::File(_) => format!("'{name}' is a file: its name is changed on disk"),
        Symbol::At(span) if is_column(analysis, *span) => {
            format!("'{name}' is a column of the data, which keeps its name")
        }
        Symbol::At(_) | Symbol::Global(_) => match analysis.declared(occurrence) {
            Some(declaration) if !library::holds(&declaration.uri) => return Ok((occurrence, declaration)),
            _ => format!("'{name}' belongs to the library, which keeps its names"),
        },
    };
    Err(why)
}

fn is_column(analysis: &Analysis, span: Span) -> bool {
    analysis.index.local(span).is_some_and(|l| l.kind == LocalKind::Column)
}

// An editor's answer has this type.
#[allow(clippy::mutable_key_type)]
pub fn rename(analysis: &Analysis, byte: usize, new: &str, others: Others) -> Result<lsp::WorkspaceEdit, String> {
    let (occurrence, declaration) = renamed(analysis, byte)?;
    if !new.starts_with(is_name_start) || !new.chars().all(is_name_char) || is_reserved(new) {
        return Err(format!("'{new}' cannot be a name"));
    }
    let old = occurrence.name.as_str();
    let mut changes = HashMap::new();
    if new == old {
        return Ok(lsp::WorkspaceEdit { changes: Some(changes), ..lsp::WorkspaceEdit::default() });
    }
    let others = if is_exported(analysis, occurrence) { others(&declaration.uri) } else { vec![] };
    for file in std::iter::once(analysis).chain(&others) {
        let found = mentions(file, &declaration, old);
        if found.is_empty() && file.uri != declaration.uri {
            continue;
        }
        if let Some(why) = clash(file, &found, &declaration, old, new) {
            return Err(why);
        }
        let mut edits: Vec<lsp::TextEdit> =
            found.iter().map(|o| lsp::TextEdit::new(text::range(&file.sources, o.span), new.to_string())).collect();
        edits.sort_by_key(|e| (e.range.start.line, e.range.start.character));
        edits.dedup();
        changes.insert(file.uri.clone(), edits);
    }
    Ok(lsp::WorkspaceEdit { changes: Some(changes), ..lsp::WorkspaceEdit::default() })
}

/// All places of what the name at a place means, in this file and the others of the workspace.
pub fn references(
    analysis: &Analysis,
    byte: usize,
    with_declaration: bool,
    others: Others,
) -> Option<Vec<lsp::Location>> {
    let occurrence = analysis.index.at(byte)?;
    let wanted = |o: &&Occurrence| with_declaration || !o.declares;
    let Some(declaration) = analysis.declared(occurrence) else {
        let same = analysis.index.occurrences.iter().filter(|o| o.symbol == occurrence.symbol);
        let same = same.filter(|o| o.name == occurrence.name).filter(wanted);
        return Some(same.filter_map(|o| analysis.location(o.span)).collect());
    };
    let others = if is_exported(analysis, occurrence) { others(&declaration.uri) } else { vec![] };
    let mut out = vec![];
    for file in std::iter::once(analysis).chain(&others) {
        let found = mentions(file, &declaration, &occurrence.name);
        out.extend(found.into_iter().filter(wanted).filter_map(|o| file.location(o.span)));
    }
    Some(out)
}

/// Whether other files can mention it: definitions and constants, and the names of their arguments.
fn is_exported(analysis: &Analysis, occurrence: &Occurrence) -> bool {
    match &occurrence.symbol {
        Symbol::Global(_) => true,
        Symbol::At(span) => {
            analysis.index.local(*span).is_none_or(|local| matches!(local.kind, LocalKind::Hyper | LocalKind::Input))
        }
        _ => false,
    }
}

fn mentions<'a>(file: &'a Analysis, declaration: &Declaration, name: &str) -> Vec<&'a Occurrence> {
    let same = |o: &&Occurrence| o.name == name && file.declared(o).as_ref() == Some(declaration);
    file.index.occurrences.iter().filter(|o| o.span.file == file.file).filter(same).collect()
}

/// Why the places of one file cannot get the new name.
fn clash(file: &Analysis, found: &[&Occurrence], declaration: &Declaration, old: &str, new: &str) -> Option<String> {
    let place = |span: Span| {
        let name = text::path(&file.uri).and_then(|p| Some(p.file_name()?.to_string_lossy().into_owned()));
        let line = file.text().line_of(span.start as usize) + 1;
        format!("{}, line {line}", name.as_deref().unwrap_or(file.uri.as_str()))
    };
    if file.modules.is_left_out(file.modules.main_id(), old) {
        let whole = Span { file: file.file, start: 0, end: 0 };
        let at = file.diagnostics.iter().filter_map(|d| d.primary()).find(|s| s.file == file.file).unwrap_or(whole);
        return Some(format!("a part of the text that mentions '{old}' cannot be read ({})", place(at)));
    }
    // A local is known in its item only.
    let local = found.iter().find_map(|o| match o.symbol {
        Symbol::At(span) if file.uri == declaration.uri => file.index.local(span),
        _ => None,
    });
    let item = local.and_then(|local| {
        let mut items = file.modules.main().items.iter().map(|item| item.span);
        items.find(|span| span.start <= local.span.start && local.span.end <= span.end)
    });
    let near = |span: Span| item.is_none_or(|item| item.start <= span.start && span.end <= item.end);
    let of_call = |o: &Occurrence| matches!(o.symbol, Symbol::At(span) if span.file != file.file);
    let taken = file.index.occurrences.iter().find(|o| o.name == new && near(o.span) && !of_call(o));
    if let Some(taken) = taken.filter(|_| !found.is_empty()) {
        return Some(format!("'{new}' means something else already ({})", place(taken.span)));
    }
    let part = local.is_some_and(|l| matches!(l.kind, LocalKind::Let | LocalKind::Param | LocalKind::State));
    let field = file.index.fields.iter().find(|(name, _)| part && name == old);
    field.map(|(_, span)| format!("'.{old}' names a part by it ({}): change both by hand", place(*span)))
}
