//! What is under the pointer: its type and shape, its declaration, its documentation.

use super::analysis::{Analysis, Types};
use super::completion::SETTINGS;
use super::index::{Occurrence, Symbol};
use super::text;
use crate::doc;
use crate::sema::modules::DefId;
use crate::source::Span;
use crate::stdlib;
use crate::syntax::ast::{Item, ItemKind, Param};
use lsp_types as lsp;

pub fn hover(analysis: &Analysis, byte: usize) -> Option<lsp::Hover> {
    let (span, text) = match analysis.index.at(byte) {
        Some(occurrence) => (occurrence.span, of_name(analysis, occurrence)),
        None => {
            let types = analysis.types_around(byte)?;
            (types.span, shown("", &types))
        }
    };
    let range = Some(text::range(&analysis.sources, span));
    Some(lsp::Hover { contents: lsp::HoverContents::Markup(text::markdown(text)), range })
}

/// The types of an expression, or of a name.
fn shown(name: &str, types: &Types) -> String {
    if types.list.is_empty() {
        return String::new();
    }
    let prefix = if name.is_empty() { String::new() } else { format!("{name}: ") };
    // `units: int = units` says a thing twice.
    let own = format!(" = {name}");
    let lines: Vec<String> =
        types.list.iter().map(|ty| format!("{prefix}{}", ty.strip_suffix(&own).unwrap_or(ty))).collect();
    code(&lines.join("\n")) + if types.generic { "\n\n*as the header declares it*" } else { "" }
}

fn code(text: &str) -> String {
    format!("```opt\n{text}\n```")
}

fn of_name(analysis: &Analysis, occurrence: &Occurrence) -> String {
    let shapes = shown(&occurrence.name, &types(analysis, occurrence));
    let about = match &occurrence.symbol {
        Symbol::At(span) => declaration(analysis, *span),
        Symbol::Global(id) => return about_definition(analysis, *id, &shapes),
        Symbol::Builtin(builtin) => match doc::primitive(builtin.name()) {
            Some((group, about)) => format!("primitive ({group}): {about}"),
            None => format!("{}\n\nprimitive", code(builtin.name())),
        },
        Symbol::Word => "a word of the language".into(),
        Symbol::Setting => {
            let known = SETTINGS.iter().find(|(name, _)| *name == occurrence.name);
            known.map_or_else(String::new, |(name, about)| format!("setting `{name}`: {about}"))
        }
        Symbol::Module(name) => about_module(name),
        Symbol::File(name) => format!("file `{name}`"),
    };
    [shapes, about].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// The types at this place; of a declaration, those of its value or of its first use.
fn types(analysis: &Analysis, occurrence: &Occurrence) -> Types {
    let here = analysis.types(occurrence.span);
    if !here.list.is_empty() || !occurrence.declares {
        return here;
    }
    let value = analysis.index.lets.iter().find(|(name, _)| *name == occurrence.span);
    let value = value.map(|(_, value)| analysis.types(*value)).filter(|types| !types.list.is_empty());
    let uses = || {
        let uses = analysis.index.occurrences.iter().filter(|o| o.symbol == occurrence.symbol);
        uses.map(|o| analysis.types(o.span)).find(|types| !types.list.is_empty())
    };
    value.or_else(uses).unwrap_or(here)
}

/// `hyper-parameter lr: float = 1e-3`, on its line.
fn declaration(analysis: &Analysis, span: Span) -> String {
    match analysis.index.local(span) {
        Some(local) => {
            let line = local.text.lines().next().unwrap_or("");
            let rest = if local.text.lines().count() > 1 { " …" } else { "" };
            format!("{} `{line}{rest}`", local.kind.word())
        }
        // An argument of a definition elsewhere.
        None => {
            let file = analysis.sources.file(span.file);
            let from = &file.text[span.start as usize..];
            let end = argument_end(from);
            format!("argument `{}` ({})", from[..end].trim(), analysis.sources.place(span))
        }
    }
}

/// `units: int = 10`
pub fn parameter(analysis: &Analysis, param: &Param) -> String {
    let text = |span: Span| analysis.sources.text(span).split_whitespace().collect::<Vec<_>>().join(" ");
    let ty = param.ty.as_ref().map(|t| format!(": {}", text(t.span))).unwrap_or_default();
    let default = param.default.as_ref().map(|d| format!(" = {}", text(d.span))).unwrap_or_default();
    format!("{}{ty}{default}", param.name.name)
}

/// Up to the comma or bracket that ends an argument of a header.
fn argument_end(text: &str) -> usize {
    let mut open = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' => open += 1,
            ')' | ']' if open == 0 => return at,
            ')' | ']' => open -= 1,
            ',' | '\n' if open == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

fn about_definition(analysis: &Analysis, id: DefId, shapes: &str) -> String {
    let item = analysis.modules.item(id);
    let mut out = code(&header(analysis, item));
    // `layer Dense` says nothing that the header does not.
    if matches!(item.kind, ItemKind::Const(_)) && !shapes.is_empty() {
        out = format!("{shapes}\n\n{out}");
    }
    if let Some(text) = &item.doc {
        out += &format!("\n\n{}", markdown(text));
    }
    out + &format!("\n\n*{}*", analysis.sources.place(item.span))
}

/// The definition up to its body.
pub fn header(analysis: &Analysis, item: &Item) -> String {
    let whole = analysis.sources.text(item.span);
    let ItemKind::Def(def) = &item.kind else { return whole.to_string() };
    let length = def.body.span.start.saturating_sub(item.span.start) as usize;
    let head = whole.get(..length).unwrap_or(whole).trim_end();
    head.strip_suffix('=').unwrap_or(head).trim_end().to_string()
}

/// A doc comment, its equations as code.
pub fn markdown(doc: &str) -> String {
    let parts = doc::parts(doc).into_iter().map(|part| match part {
        doc::Part::Prose(text) => text.replace('<', "&lt;"),
        doc::Part::Equation(text) => format!("    {text}"),
    });
    parts.collect::<Vec<_>>().join("\n\n")
}

/// The comment at the head of its first file, and what it defines.
fn about_module(name: &str) -> String {
    let mut out = format!("library module `{name}`");
    for k in crate::sema::library::files(name) {
        let (file, text) = stdlib::MODULES[k];
        out += &format!("\n\n**{file}**: {}", doc::head(text));
    }
    out
}
