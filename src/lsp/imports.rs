//! What can be written after `use`: modules, files beside this one, and the names that they have.

use super::analysis::Analysis;
use super::completion::{definition, item};
use super::text;
use crate::sema::library;
use crate::source::SourceMap;
use crate::stdlib;
use crate::syntax::ast::ItemKind;
use crate::syntax::{is_name_char, parse_file};
use lsp_types::{CompletionItem, CompletionItemKind as Kind};

/// What stands between the `use` under way and the word at the end of `before`, if one is.
pub fn under_way(before: &str) -> Option<&str> {
    let from = if before.starts_with("use ") { Some(0) } else { None };
    let from = before.rfind("\nuse ").map(|at| at + 1).or(from)?;
    let rest = &before[from + "use ".len()..];
    // Inside the braces stand names; anything else belongs to what follows a `use` that is over.
    let names = |list: &str| list.chars().all(|c| is_name_char(c) || c.is_whitespace() || c == ',');
    let open = rest.split_once('{').is_some_and(|(head, list)| !head.contains('\n') && names(list));
    (open || !rest.contains('\n')).then_some(rest)
}

/// `use lay`, `use layers.De`, `use layers.{Dense, fl`, `use "fi`, `use "file.opt".{Ne`.
pub fn complete(analysis: &Analysis, rest: &str) -> Vec<CompletionItem> {
    if let Some(file) = rest.strip_prefix('"') {
        return match file.split_once('"') {
            None => files(analysis).into_iter().map(|name| item(name, Kind::FILE)).collect(),
            Some((name, _)) => of_file(analysis, name),
        };
    }
    match rest.split_once('.') {
        None => stdlib::public_names().into_iter().map(|name| item(name, Kind::MODULE)).collect(),
        Some((module, _)) => {
            let all = library::files(module.trim()).flat_map(library::exports);
            all.map(|(name, global)| definition(name, global)).collect()
        }
    }
}

/// The programs in the folder of this one.
fn files(analysis: &Analysis) -> Vec<String> {
    let path = text::path(&analysis.uri).unwrap_or_default();
    let entries = path.parent().and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let names = entries.filter(|e| e.path() != path).filter_map(|e| e.file_name().into_string().ok());
    let mut out: Vec<String> = names.filter(|name| name.ends_with(".opt")).collect();
    out.sort();
    out
}

/// What a file defines: as it was read for this one, as the editor has it, or as it is on disk.
fn of_file(analysis: &Analysis, name: &str) -> Vec<CompletionItem> {
    let known = analysis.modules.user_modules().find(|(_, module)| module.name == name);
    let text = match known {
        Some((_, module)) => analysis.sources.file(module.file).text.clone(),
        None => {
            let path = analysis.beside(name).and_then(|uri| text::path(&uri));
            let open = path.as_ref().and_then(|path| analysis.unsaved.get(path)).map(|text| text.to_string());
            open.or_else(|| std::fs::read_to_string(path?).ok()).unwrap_or_default()
        }
    };
    let mut sources = SourceMap::new();
    let file = sources.add(name, text);
    let items = parse_file(&sources, file).0.items;
    let names = items.iter().filter_map(|i| match &i.kind {
        ItemKind::Def(def) => Some((&def.name.name, Kind::FUNCTION)),
        ItemKind::Const(constant) => Some((&constant.name.name, Kind::CONSTANT)),
        _ => None,
    });
    names.map(|(name, kind)| item(name, kind)).collect()
}

#[cfg(test)]
mod tests {
    use super::under_way;

    #[test]
    fn a_use_goes_on_inside_its_braces() {
        assert_eq!(under_way("use lay"), Some("lay"));
        assert_eq!(under_way("// a\nuse layers.{\n  Dense,\n  "), Some("layers.{\n  Dense,\n  "));
        assert_eq!(under_way("use \"a.opt\".{"), Some("\"a.opt\".{"));
        for text in ["use layers.{Dense}\nlet x", "use layers.Dense\n", "reuse ", "use a.B\nlayer L(x) {\n  f("] {
            assert_eq!(under_way(text), None, "{text}");
        }
    }
}
