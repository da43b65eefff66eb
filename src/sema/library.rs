//! The embedded library, read only as far as it is used: each file is scanned for where its items begin, and an item is
//! parsed when somebody asks for it. What was read serves every later session of the process.
//!
//! So the time of a compilation depends on the definitions that a program uses, and not on the size of the library. The
//! library has no errors (a test parses all of it), which is why nothing here reports any.

use super::modules::{DefId, Global, ModuleId, PRELUDE};
use crate::source::FileId;
use crate::stdlib;
use crate::syntax::ast::{Item, ItemKind};
use crate::syntax::{ITEM_WORDS, is_name_char, parse_item};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

/// A file of the library, by its place in [`stdlib::MODULES`].
#[derive(Default)]
struct File {
    entries: OnceLock<Vec<Entry>>,
    scope: OnceLock<HashMap<&'static str, Global>>,
}

/// An item that may not have been parsed yet.
struct Entry {
    keyword: &'static str,
    name: &'static str,
    range: Range<usize>,
    item: OnceLock<Item>,
}

fn file(file: usize) -> &'static File {
    static FILES: OnceLock<Vec<File>> = OnceLock::new();
    &FILES.get_or_init(|| stdlib::MODULES.iter().map(|_| File::default()).collect())[file]
}

fn entries(k: usize) -> &'static [Entry] {
    file(k).entries.get_or_init(|| scan(stdlib::MODULES[k].1))
}

/// The files of a module as a program names it: one, or those of a folder; none if there is no such module.
pub fn files(public_name: &str) -> impl Iterator<Item = usize> {
    (0..stdlib::MODULES.len()).filter(move |k| stdlib::public_name(stdlib::MODULES[*k].0) == public_name)
}

/// All files.
pub fn all_files() -> Range<usize> {
    0..stdlib::MODULES.len()
}

/// The definitions and constants of a file.
pub fn exports(k: usize) -> impl Iterator<Item = (&'static str, Global)> {
    let global = move |(item, entry): (usize, &'static Entry)| {
        let def = DefId { module: ModuleId::Library(k), item };
        let global = match entry.keyword {
            "use" | "test" | "data" | "train" | "compare" | "sweep" => return None,
            "const" => Global::Const(def),
            _ => Global::Def(def),
        };
        Some((entry.name, global))
    };
    entries(k).iter().enumerate().filter_map(global)
}

/// The module, as a program names it, that defines `name`.
pub fn home(name: &str) -> Option<&'static str> {
    let file = all_files().find(|k| exports(*k).any(|(defined, _)| defined == name))?;
    Some(stdlib::public_name(stdlib::MODULES[file].0))
}

/// An item, parsed when it is first asked for.
pub fn item(k: usize, index: usize) -> &'static Item {
    let entry = &entries(k)[index];
    entry.item.get_or_init(|| {
        parse_item(stdlib::MODULES[k].1, entry.range.clone(), FileId::library(k))
            .unwrap_or_else(|| unreachable!("the library parses, as a test says: {}", entry.name))
    })
}

/// What a name means inside a file: its own definitions, what it imports, the prelude.
pub fn scope(k: usize) -> &'static HashMap<&'static str, Global> {
    file(k).scope.get_or_init(|| {
        let mut scope = HashMap::new();
        for prelude in PRELUDE.iter().flat_map(|name| files(name)).filter(|prelude| *prelude != k) {
            scope.extend(exports(prelude));
        }
        for (index, _) in entries(k).iter().enumerate().filter(|(_, entry)| entry.keyword == "use") {
            let ItemKind::Use(used) = &item(k, index).kind else { continue };
            let wanted = |name: &str| used.names.as_ref().is_none_or(|names| names.iter().any(|n| n.name == name));
            scope.extend(files(&used.module.name).flat_map(exports).filter(|(name, _)| wanted(name)));
        }
        scope.extend(exports(k));
        scope
    })
}

/// Items begin at the left margin with their keyword; comments before one belong to it.
fn scan(text: &'static str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = vec![];
    let mut start = 0;
    let mut begin = 0;
    for line in text.split_inclusive('\n') {
        let comment = line.starts_with('/');
        if let Some((keyword, name)) = item_of(line) {
            if let Some(last) = entries.last_mut() {
                last.range.end = begin;
            }
            entries.push(Entry { keyword, name, range: begin..text.len(), item: OnceLock::new() });
        }
        start += line.len();
        if !comment {
            begin = start;
        }
    }
    entries
}

/// The keyword and the name of the item that begins on a line.
fn item_of(line: &'static str) -> Option<(&'static str, &'static str)> {
    if !line.starts_with(|c: char| c.is_ascii_lowercase()) {
        return None;
    }
    let (keyword, rest) = line.split_once(' ')?;
    let rest = rest.trim_start_matches(' ');
    let name = &rest[..rest.find(|c| !is_name_char(c)).unwrap_or(rest.len())];
    ITEM_WORDS.contains(&keyword).then_some((keyword, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceMap;
    use crate::syntax::parse_file;

    #[test]
    fn items_read_one_by_one_are_those_of_the_whole_file() {
        let sources = SourceMap::new();
        for k in all_files() {
            let (whole, problems) = parse_file(&sources, FileId::library(k));
            assert!(problems.is_empty(), "{}: {}", stdlib::MODULES[k].0, problems[0].title);
            let apart: Vec<&Item> = (0..entries(k).len()).map(|index| item(k, index)).collect();
            assert_eq!(apart, whole.items.iter().collect::<Vec<_>>(), "{}", stdlib::MODULES[k].0);
        }
    }

    #[test]
    fn a_module_defines_a_name_once() {
        let mut homes: HashMap<(&str, &str), usize> = HashMap::new();
        for k in all_files() {
            let module = stdlib::public_name(stdlib::MODULES[k].0);
            for (name, _) in exports(k) {
                let other = homes.insert((module, name), k);
                assert_eq!(other, None, "{module}.{name} is defined in two files");
            }
        }
        assert_eq!(home("AdamW"), Some("optimizers"));
        assert_eq!(home("nothing"), None);
    }

    #[test]
    fn a_file_sees_itself_its_imports_and_the_prelude() {
        for k in all_files() {
            let scope = scope(k);
            assert!(exports(k).all(|(name, global)| scope[name] == global));
            assert!(scope.contains_key("mean"), "{}", stdlib::MODULES[k].0);
        }
    }
}
