//! Files and library modules of a program, and what each global name means in them.

use super::library;
use crate::diag::{Diagnostic, error};
use crate::source::{FileId, SourceMap, Span};
use crate::stdlib;
use crate::syntax::ast::{self, Const, Data, Def, Experiment, Ident, Item, ItemKind, Test, Train, Use};
use crate::syntax::{is_name_char, parse_file};
use indexmap::IndexMap;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A file that the user wrote, in the order of reading, or one of the library's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModuleId {
    User(usize),
    Library(usize),
}

/// A definition: its module and the item's index there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DefId {
    pub module: ModuleId,
    pub item: usize,
}

/// What a global name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Global {
    Def(DefId),
    Const(DefId),
}

/// A file that the user wrote.
#[derive(Debug)]
pub struct Module {
    pub name: String,
    pub file: FileId,
    pub items: Vec<Item>,
    /// Parts of the text that could not be read.
    left_out: Vec<Span>,
    /// The words in them: such a name may be defined there, so that it is not also reported as unknown.
    left_out_words: HashSet<String>,
    /// Names that the module's bodies may use: its own definitions, what it imports, the prelude.
    scope: Scope,
}

/// The library's names are not copied.
type Scope = HashMap<Cow<'static, str>, Global>;

/// All modules of a program: what the user wrote, and the [`library`] behind it. Immutable once loaded; shared by every
/// elaboration.
#[derive(Debug, Default)]
pub struct Modules {
    list: Vec<Module>,
    by_name: HashMap<String, usize>,
    main: usize,
}

/// Library modules whose names are in scope everywhere without a `use`.
pub const PRELUDE: &[&str] = &["prelude", "init", "activations"];

/// Reads the text of a file that a `use "file.opt"` names.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// Parses the file and the files it uses. Definitions of the library are parsed when they are looked up.
///
/// `open_library` puts every library module in scope of the main file (`optc eval`).
pub fn load(
    sources: &mut SourceMap,
    main: FileId,
    open_library: bool,
    read: ReadFile,
) -> (Arc<Modules>, Vec<Diagnostic>) {
    let mut loader = Loader { sources, read, modules: Modules::default(), diags: vec![] };
    let id = loader.module(main);
    loader.modules.main = id;
    if open_library {
        let scope = &mut loader.modules.list[id].scope;
        for (name, global) in library::all_files().flat_map(library::exports) {
            scope.entry(name.into()).or_insert(global);
        }
    }
    let Loader { modules, diags, .. } = loader;
    (Arc::new(modules), diags)
}

struct Loader<'a> {
    sources: &'a mut SourceMap,
    read: ReadFile<'a>,
    modules: Modules,
    diags: Vec<Diagnostic>,
}

impl Loader<'_> {
    fn module(&mut self, file: FileId) -> usize {
        let name = self.sources.file(file).name.clone();
        let (parsed, diags) = parse_file(self.sources, file);
        self.diags.extend(diags);
        let id = self.modules.list.len();
        let ast::File { items, left_out } = parsed;
        let left_out_words =
            left_out.iter().flat_map(|span| words(self.sources.text(*span))).map(str::to_string).collect();
        let scope = HashMap::new();
        self.modules.list.push(Module { name: name.clone(), file, items, left_out, left_out_words, scope });
        self.modules.by_name.insert(name, id);
        self.fill_scope(id);
        id
    }

    fn fill_scope(&mut self, id: usize) {
        let prelude = PRELUDE.iter().flat_map(|name| library::files(name)).flat_map(library::exports);
        let mut scope: Scope = prelude.map(|(name, global)| (name.into(), global)).collect();
        let mut explicit: HashMap<String, Span> = HashMap::new();
        let uses: Vec<Use> = self.modules.list[id]
            .items
            .iter()
            .filter_map(|item| match &item.kind {
                ItemKind::Use(u) => Some(u.clone()),
                _ => None,
            })
            .collect();
        for u in uses {
            if let Some(exports) = self.exports_of(id, &u) {
                let missing = self.import(&u, exports, &mut scope, &mut explicit);
                self.modules.list[id].left_out_words.extend(missing);
            } else {
                let names = u.names.iter().flatten().map(|n| n.name.clone());
                self.modules.list[id].left_out_words.extend(names);
            }
        }
        for (index, item) in self.modules.list[id].items.iter().enumerate() {
            let def = DefId { module: ModuleId::User(id), item: index };
            let (name, global) = match &item.kind {
                ItemKind::Def(d) => (&d.name, Global::Def(def)),
                ItemKind::Const(c) => (&c.name, Global::Const(def)),
                ItemKind::Data(Data { name, .. }) | ItemKind::Train(Train { name, .. }) => {
                    duplicate(&mut self.diags, &mut explicit, name);
                    continue;
                }
                _ => continue,
            };
            duplicate(&mut self.diags, &mut explicit, name);
            scope.insert(name.name.clone().into(), global);
        }
        self.modules.list[id].scope = scope;
    }

    /// What the module or file that `into` uses defines.
    fn exports_of(&mut self, into: usize, u: &Use) -> Option<IndexMap<Cow<'static, str>, Global>> {
        if u.is_file {
            let from = self.user_module(into, &u.module)?;
            return Some(self.exports(from));
        }
        let exports: IndexMap<_, _> =
            library::files(&u.module.name).flat_map(library::exports).map(|(name, g)| (name.into(), g)).collect();
        if exports.is_empty() {
            let known = stdlib::public_names();
            self.diags.push(
                error("E0216", format!("there is no library module '{}'", u.module.name))
                    .at(u.module.span, "unknown module")
                    .did_you_mean(u.module.span, &u.module.name, known.iter().copied())
                    .note(format!("library modules: {}", known.join(", "))),
            );
            return None;
        }
        Some(exports)
    }

    /// Puts the names that are used into the scope; gives those that are not there.
    fn import(
        &mut self,
        u: &Use,
        exports: IndexMap<Cow<'static, str>, Global>,
        scope: &mut Scope,
        explicit: &mut HashMap<String, Span>,
    ) -> Vec<String> {
        let mut missing = vec![];
        let Some(names) = &u.names else {
            scope.extend(exports);
            return missing;
        };
        for name in names {
            match exports.get(name.name.as_str()) {
                Some(global) => {
                    duplicate(&mut self.diags, explicit, name);
                    scope.insert(name.name.clone().into(), *global);
                }
                None => {
                    missing.push(name.name.clone());
                    if !self.left_out(u, &name.name) {
                        let d = error("E0201", format!("module '{}' has no '{}'", u.module.name, name.name))
                            .at(name.span, "not defined there")
                            .did_you_mean(name.span, &name.name, exports.keys().map(|known| &**known));
                        self.diags.push(d);
                    }
                }
            }
        }
        missing
    }

    /// Whether the used file may define a name in a part that could not be read.
    fn left_out(&self, u: &Use, name: &str) -> bool {
        let used = self.modules.by_name.get(&u.module.name).filter(|_| u.is_file);
        used.is_some_and(|id| self.modules.list[*id].left_out_words.contains(name))
    }

    /// A file beside the one that uses it.
    fn user_module(&mut self, into: usize, name: &Ident) -> Option<usize> {
        if let Some(id) = self.modules.by_name.get(&name.name) {
            if self.modules.list[*id].scope.is_empty() && *id == into {
                self.diags.push(error("E0214", "a file uses itself").at(name.span, "this file"));
                return None;
            }
            return Some(*id);
        }
        match (self.read)(&name.name) {
            Ok(text) => {
                let file = self.sources.add(name.name.clone(), text);
                Some(self.module(file))
            }
            Err(reason) => {
                self.diags.push(
                    error("E0401", format!("cannot read '{}'", name.name))
                        // Not the system's number of it.
                        .at(name.span, reason.split(" (os error").next().unwrap_or_default())
                        .help("the path is relative to the folder of the file that uses it"),
                );
                None
            }
        }
    }

    fn exports(&self, id: usize) -> IndexMap<Cow<'static, str>, Global> {
        let mut out = IndexMap::new();
        for (index, item) in self.modules.list[id].items.iter().enumerate() {
            let def = DefId { module: ModuleId::User(id), item: index };
            match &item.kind {
                ItemKind::Def(d) => out.insert(d.name.name.clone().into(), Global::Def(def)),
                ItemKind::Const(c) => out.insert(c.name.name.clone().into(), Global::Const(def)),
                _ => None,
            };
        }
        out
    }
}

fn duplicate(diags: &mut Vec<Diagnostic>, seen: &mut HashMap<String, Span>, name: &Ident) {
    if let Some(first) = seen.insert(name.name.clone(), name.span) {
        diags.push(
            error("E0206", format!("'{}' is defined twice", name.name))
                .at(name.span, "defined again here")
                .at(first, "first defined here"),
        );
    }
}

impl Modules {
    pub fn main(&self) -> &Module {
        &self.list[self.main]
    }

    pub fn main_id(&self) -> ModuleId {
        ModuleId::User(self.main)
    }

    /// Modules that the user wrote.
    pub fn user_modules(&self) -> impl Iterator<Item = (ModuleId, &Module)> {
        self.list.iter().enumerate().map(|(k, module)| (ModuleId::User(k), module))
    }

    /// The first `use` of a file of the user's: a further one may stand before it.
    pub fn first_use(&self, module: ModuleId) -> Option<Span> {
        let ModuleId::User(k) = module else { return None };
        let mut items = self.list[k].items.iter();
        items.find(|item| matches!(item.kind, ItemKind::Use(_)) && item.doc.is_none()).map(|item| item.span)
    }

    pub fn item(&self, id: DefId) -> &Item {
        match id.module {
            ModuleId::User(k) => &self.list[k].items[id.item],
            ModuleId::Library(k) => library::item(k, id.item),
        }
    }

    pub fn def(&self, id: DefId) -> &Def {
        match &self.item(id).kind {
            ItemKind::Def(def) => def,
            other => unreachable!("a DefId names a definition, not {other:?}"),
        }
    }

    pub fn constant(&self, id: DefId) -> &Const {
        match &self.item(id).kind {
            ItemKind::Const(constant) => constant,
            other => unreachable!("a constant's DefId names a constant, not {other:?}"),
        }
    }

    /// What a name means inside a module.
    pub fn lookup(&self, module: ModuleId, name: &str) -> Option<Global> {
        match module {
            ModuleId::User(k) => self.list[k].scope.get(name).copied(),
            ModuleId::Library(k) => library::scope(k).get(name).copied(),
        }
    }

    /// Whether a part of the module that could not be read mentions this name.
    pub fn is_left_out(&self, module: ModuleId, name: &str) -> bool {
        matches!(module, ModuleId::User(k) if self.list[k].left_out_words.contains(name))
    }

    /// Whether some statement of this stretch of text (an item) could not be read: what it means is not known.
    pub fn is_broken(&self, span: Span) -> bool {
        self.list
            .iter()
            .flat_map(|m| &m.left_out)
            .any(|part| part.file == span.file && span.start <= part.start && part.end <= span.end)
    }

    /// Whether a definition could not be read whole.
    pub fn is_broken_def(&self, id: DefId) -> bool {
        matches!(id.module, ModuleId::User(_)) && self.is_broken(self.item(id).span)
    }

    /// All names that mean something inside a module.
    pub fn names(&self, module: ModuleId) -> Box<dyn Iterator<Item = &str> + '_> {
        match module {
            ModuleId::User(k) => Box::new(self.list[k].scope.keys().map(|name| &**name)),
            ModuleId::Library(k) => Box::new(library::scope(k).keys().copied()),
        }
    }

    pub fn trains(&self) -> impl Iterator<Item = &Train> {
        self.main().items.iter().filter_map(|i| match &i.kind {
            ItemKind::Train(t) => Some(t),
            _ => None,
        })
    }

    /// Whether a part of the training could not be read.
    pub fn is_broken_train(&self, name: &str) -> bool {
        let item = self.main().items.iter().find(|i| matches!(&i.kind, ItemKind::Train(t) if t.name.name == name));
        item.is_some_and(|i| self.is_broken(i.span))
    }

    /// Comparisons and sweeps (then with `true`).
    pub fn experiments(&self) -> impl Iterator<Item = (&Experiment, bool)> {
        self.main().items.iter().filter_map(|i| match &i.kind {
            ItemKind::Compare(e) => Some((e, false)),
            ItemKind::Sweep(e) => Some((e, true)),
            _ => None,
        })
    }

    pub fn tests(&self) -> impl Iterator<Item = &Test> {
        self.main().items.iter().filter_map(|i| match &i.kind {
            ItemKind::Test(t) => Some(t),
            _ => None,
        })
    }

    pub fn data(&self, name: &str) -> Option<&Data> {
        self.main().items.iter().find_map(|i| match &i.kind {
            ItemKind::Data(d) if d.name.name == name => Some(d),
            _ => None,
        })
    }

    pub fn data_names(&self) -> impl Iterator<Item = &str> {
        self.main().items.iter().filter_map(|i| match &i.kind {
            ItemKind::Data(d) => Some(d.name.name.as_str()),
            _ => None,
        })
    }
}

/// The names that a text mentions.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !is_name_char(c)).filter(|w| !w.is_empty())
}

/// Whether an item of this name begins on a line of the text: found without parsing, which may have failed.
pub fn text_defines(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        let mut words = words(line);
        let kind = words.next().unwrap_or_default();
        !line.starts_with([' ', '/']) && is_def_keyword(kind) && words.next() == Some(name)
    })
}

fn is_def_keyword(word: &str) -> bool {
    matches!(
        word,
        "fn" | "init" | "layer" | "model" | "loss" | "metric" | "schedule" | "transform" | "optimizer" | "const"
    )
}
