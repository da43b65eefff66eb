//! The library's documentation: what is known about a definition, for the terminal and for LaTeX.
//!
//! A doc comment is prose; its lines that begin with two blanks are equations, as the paper has them.

pub mod latex;
pub mod markdown;

use crate::diag::Diagnostic;
use crate::source::{FileId, SourceMap};
use crate::stdlib;
use crate::syntax::ast::{Def, DefKind, Item, ItemKind};
use crate::syntax::{is_name_char, parse_file};

/// A definition with its doc comment.
pub struct Entry {
    /// `optimizers/adam`, or the user's file.
    pub module: String,
    pub doc: String,
    pub def: Def,
    /// The definition's own text.
    pub source: String,
    pub place: String,
    /// How it is called: `mean(axis = all, keep = false)(x)`.
    pub call: String,
    /// The texts of the hyper-parameters: `lr: schedule = 1e-3`.
    pub hypers: Vec<String>,
}

/// A part of a doc comment.
#[derive(Debug, PartialEq)]
pub enum Part {
    Prose(String),
    Equation(String),
}

impl Entry {
    fn new(sources: &SourceMap, module: &str, item: Item) -> Option<Entry> {
        let ItemKind::Def(def) = item.kind else { return None };
        let hypers = def.hypers.iter().map(|h| {
            let ty = h.ty.as_ref().map(|ty| format!(": {}", sources.text(ty.span))).unwrap_or_default();
            let default = h.default.as_ref().map(|d| format!(" = {}", sources.text(d.span))).unwrap_or_default();
            format!("{}{ty}{default}", h.name.name)
        });
        let short = def.hypers.iter().map(|h| match &h.default {
            Some(default) => format!("{} = {}", h.name.name, sources.text(default.span)),
            None => h.name.name.clone(),
        });
        let short = short.collect::<Vec<_>>().join(", ");
        let first = if short.is_empty() { short } else { format!("({short})") };
        let inputs: Vec<&str> = def.inputs.iter().map(|i| i.name.name.as_str()).collect();
        Some(Entry {
            module: module.to_string(),
            call: format!("{}{first}({})", def.name.name, inputs.join(", ")),
            doc: item.doc.unwrap_or_default(),
            hypers: hypers.collect(),
            source: sources.text(item.span).to_string(),
            place: sources.place(def.name.span),
            def,
        })
    }

    pub fn name(&self) -> &str {
        &self.def.name.name
    }

    /// Prose and equations, in order.
    pub fn parts(&self) -> Vec<Part> {
        parts(&self.doc)
    }

    /// The first sentence or so, for lists.
    pub fn summary(&self) -> String {
        match self.parts().into_iter().next() {
            Some(Part::Prose(text) | Part::Equation(text)) => text,
            None => String::new(),
        }
    }

    /// `use optimizers.AdamW`, for what a program must ask for.
    pub fn how_to_use(&self) -> Option<String> {
        let module = crate::sema::library::home(self.name())?;
        (!["prelude", "init", "activations"].contains(&module)).then(|| format!("use {module}.{}", self.name()))
    }
}

/// The comment at the head of a file, on one line.
pub fn head(text: &str) -> String {
    let lines = text.lines().take_while(|l| l.starts_with("//") && !l.starts_with("///"));
    lines.map(|l| l.trim_start_matches('/').trim()).collect::<Vec<_>>().join(" ")
}

/// What the language reference says about a primitive: the group that it stands in, and its line there.
pub fn primitive(name: &str) -> Option<(&'static str, &'static str)> {
    const REFERENCE: &str = include_str!("../../docs/language.md");
    let table = REFERENCE.split("## Primitives").nth(1)?;
    let rows = table.lines().skip_while(|l| !l.starts_with("|---")).skip(1).take_while(|l| l.starts_with('|'));
    let mut cells = rows.filter_map(|row| row.trim_matches(['|', ' ']).split_once(" | "));
    let names = |text: &str| text.split(|c: char| !is_name_char(c)).any(|word| word == name);
    // Between backticks stands what is called; arguments have names too, but of other primitives they are not.
    let code =
        |cell: &'static str| cell.split('`').skip(1).step_by(2).any(|code| names(code.split('(').next().unwrap_or("")));
    cells.find(|(_, cell)| code(cell))
}

/// Prose is joined to one paragraph; each equation line stands by itself.
pub fn parts(doc: &str) -> Vec<Part> {
    let mut out: Vec<Part> = vec![];
    for line in doc.lines() {
        if line.starts_with("  ") {
            out.push(Part::Equation(line.trim().to_string()));
        } else if let Some(Part::Prose(text)) = out.last_mut() {
            text.push(' ');
            text.push_str(line.trim());
        } else {
            out.push(Part::Prose(line.trim().to_string()));
        }
    }
    out
}

/// All definitions of the library, or of those modules that define `name`.
pub fn library(name: Option<&str>) -> Vec<Entry> {
    let wanted = |text: &str| name.is_none_or(|n| crate::sema::modules::text_defines(text, n));
    let mut out = vec![];
    for (module, text) in stdlib::MODULES.iter().filter(|(_, text)| wanted(text)) {
        let mut sources = SourceMap::new();
        let file = sources.add(format!("stdlib/{module}.opt"), *text);
        out.extend(in_file(&sources, file, module).0);
    }
    out.retain(|e| name.is_none_or(|n| e.name() == n));
    out
}

/// The definitions of a file, and what is wrong with its text.
pub fn in_file(sources: &SourceMap, file: FileId, module: &str) -> (Vec<Entry>, Vec<Diagnostic>) {
    let (parsed, problems) = parse_file(sources, file);
    (parsed.items.into_iter().filter_map(|item| Entry::new(sources, module, item)).collect(), problems)
}

/// The keyword, for headings.
pub fn kind(def: &Def) -> &'static str {
    match def.kind {
        DefKind::Fn => "function",
        DefKind::Init => "initializer",
        other => other.keyword(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sema::builtins::Builtin;

    #[test]
    fn indented_lines_are_equations() {
        let found = parts("A paper,\nof two lines.\n  m = g\n  v = g^2\nMore.");
        let expected = [
            Part::Prose("A paper, of two lines.".into()),
            Part::Equation("m = g".into()),
            Part::Equation("v = g^2".into()),
            Part::Prose("More.".into()),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn every_primitive_is_in_the_reference() {
        let missing: Vec<&str> = Builtin::names().filter(|name| primitive(name).is_none()).collect();
        assert_eq!(missing, Vec::<&str>::new());
        assert_eq!(primitive("exp").map(|(group, _)| group), Some("elementwise"));
        assert!(primitive("gather").is_some_and(|(_, about)| about.starts_with("`gather(x, index")));
        assert_eq!(primitive("axis"), None);
    }

    #[test]
    fn the_library_has_adamw() {
        let found = library(Some("AdamW"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].how_to_use().as_deref(), Some("use optimizers.AdamW"));
        assert_eq!(found[0].hypers[0], "lr: schedule = 1e-3");
    }
}
