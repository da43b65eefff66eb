//! Files and library modules of a program, and what each global name means in them.

use crate::diag::{Diagnostic, error, suggest};
use crate::source::{FileId, SourceMap, Span};
use crate::stdlib;
use crate::syntax::ast::{Const, Data, Def, Experiment, Ident, Item, ItemKind, Test, Train, Use};
use crate::syntax::parse_file;
use indexmap::IndexMap;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ModuleId(pub usize);

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

#[derive(Debug)]
pub struct Module {
    pub name: String,
    pub file: FileId,
    pub items: Vec<Item>,
    /// Names that the module's bodies may use: its own definitions, what it imports, the prelude.
    pub scope: HashMap<String, Global>,
    is_library: bool,
}

/// All modules of a program. Immutable once loaded; shared by every elaboration.
#[derive(Debug, Default)]
pub struct Modules {
    list: Vec<Module>,
    by_name: HashMap<String, ModuleId>,
    pub main: Option<ModuleId>,
}

/// Library modules whose names are in scope everywhere without a `use`.
const PRELUDE: &[&str] = &["prelude", "init", "activations"];

/// Reads the text of a file that a `use "file.opt"` names.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// Parses the file and everything it uses.
///
/// `open_library` puts every library module in scope of the main file (`optc eval`).
pub fn load(
    sources: &mut SourceMap,
    main: FileId,
    open_library: bool,
    read: ReadFile,
) -> (Arc<Modules>, Vec<Diagnostic>) {
    let mut loader = Loader { sources, read, modules: Modules::default(), diags: vec![] };
    for name in PRELUDE {
        loader.library(name);
    }
    if open_library {
        for (name, _) in stdlib::MODULES {
            loader.library(name);
        }
    }
    let id = loader.module(main, false);
    loader.modules.main = Some(id);
    if open_library {
        loader.open_library(id);
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
    /// The library module of this name, parsed on first use.
    fn library(&mut self, name: &str) -> Option<ModuleId> {
        if let Some(id) = self.modules.by_name.get(name) {
            return Some(*id);
        }
        let (_, text) = stdlib::MODULES.iter().find(|(module, _)| *module == name)?;
        let file = self.sources.add(format!("stdlib/{name}.opt"), *text);
        Some(self.module(file, true))
    }

    fn module(&mut self, file: FileId, is_library: bool) -> ModuleId {
        let name = self.sources.file(file).name.clone();
        let short = name.strip_prefix("stdlib/").and_then(|n| n.strip_suffix(".opt")).unwrap_or(&name).to_string();
        let (parsed, diags) = parse_file(self.sources, file);
        self.diags.extend(diags);
        let id = ModuleId(self.modules.list.len());
        self.modules.list.push(Module {
            name: short.clone(),
            file,
            items: parsed.items,
            scope: HashMap::new(),
            is_library,
        });
        self.modules.by_name.insert(short, id);
        self.fill_scope(id);
        id
    }

    fn fill_scope(&mut self, id: ModuleId) {
        let mut scope = HashMap::new();
        for name in PRELUDE {
            // While the prelude itself loads, later parts of it do not exist yet: they see each other through `use`.
            if let Some(prelude) = self.modules.by_name.get(*name).copied()
                && prelude != id
            {
                scope.extend(self.exports(prelude));
            }
        }
        let mut explicit: HashMap<String, Span> = HashMap::new();
        let uses: Vec<Use> = self.modules.list[id.0]
            .items
            .iter()
            .filter_map(|item| match &item.kind {
                ItemKind::Use(u) => Some(u.clone()),
                _ => None,
            })
            .collect();
        for u in uses {
            self.import(id, &u, &mut scope, &mut explicit);
        }
        for (index, item) in self.modules.list[id.0].items.iter().enumerate() {
            let def = DefId { module: id, item: index };
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
            scope.insert(name.name.clone(), global);
        }
        self.modules.list[id.0].scope = scope;
    }

    fn import(
        &mut self,
        into: ModuleId,
        u: &Use,
        scope: &mut HashMap<String, Global>,
        explicit: &mut HashMap<String, Span>,
    ) {
        if !u.is_file && stdlib::in_folder(&u.module.name).next().is_some() {
            return self.import_from_folder(u, scope, explicit);
        }
        let from = if u.is_file { self.user_module(into, &u.module) } else { self.library(&u.module.name) };
        let Some(from) = from else {
            if !u.is_file {
                let known = stdlib::public_names();
                self.diags.push(
                    error("E0216", format!("there is no library module '{}'", u.module.name))
                        .at(u.module.span, "unknown module")
                        .maybe_help(suggest(&u.module.name, known.iter().copied()))
                        .note(format!("library modules: {}", known.join(", "))),
                );
            }
            return;
        };
        let exports = self.exports(from);
        match &u.names {
            None => scope.extend(exports),
            Some(names) => {
                for name in names {
                    match exports.get(&name.name) {
                        Some(global) => {
                            duplicate(&mut self.diags, explicit, name);
                            scope.insert(name.name.clone(), *global);
                        }
                        None => self.diags.push(
                            error("E0201", format!("module '{}' has no '{}'", u.module.name, name.name))
                                .at(name.span, "not defined there")
                                .maybe_help(suggest(&name.name, exports.keys().map(String::as_str))),
                        ),
                    }
                }
            }
        }
    }

    /// Names from a module that is a folder of files: each is looked up in the texts, and only its file is read.
    fn import_from_folder(
        &mut self,
        u: &Use,
        scope: &mut HashMap<String, Global>,
        explicit: &mut HashMap<String, Span>,
    ) {
        let folder = &u.module.name;
        let Some(names) = &u.names else {
            for (module, _) in stdlib::in_folder(folder) {
                let Some(id) = self.library(module) else { continue };
                scope.extend(self.exports(id));
            }
            return;
        };
        for name in names {
            let home = stdlib::in_folder(folder).find(|(_, text)| text_defines(text, &name.name));
            let module = home.and_then(|(module, _)| self.library(module));
            match module.and_then(|id| self.exports(id).get(&name.name).copied()) {
                Some(global) => {
                    duplicate(&mut self.diags, explicit, name);
                    scope.insert(name.name.clone(), global);
                }
                None => self.diags.push(
                    error("E0201", format!("module '{folder}' has no '{}'", name.name))
                        .at(name.span, "not defined there")
                        .maybe_help(suggest(
                            &name.name,
                            stdlib::in_folder(folder).flat_map(|(_, text)| defined_names(text)),
                        )),
                ),
            }
        }
    }

    /// A file beside the one that uses it.
    fn user_module(&mut self, into: ModuleId, name: &Ident) -> Option<ModuleId> {
        if let Some(id) = self.modules.by_name.get(&name.name) {
            if self.modules.list[id.0].scope.is_empty() && *id == into {
                self.diags.push(error("E0214", "a file uses itself").at(name.span, "this file"));
                return None;
            }
            return Some(*id);
        }
        match (self.read)(&name.name) {
            Ok(text) => {
                let file = self.sources.add(name.name.clone(), text);
                Some(self.module(file, false))
            }
            Err(reason) => {
                self.diags.push(
                    error("E0401", format!("cannot read '{}'", name.name))
                        .at(name.span, reason)
                        .help("the path is relative to the folder of the file that uses it"),
                );
                None
            }
        }
    }

    fn exports(&self, id: ModuleId) -> IndexMap<String, Global> {
        let mut out = IndexMap::new();
        for (index, item) in self.modules.list[id.0].items.iter().enumerate() {
            let def = DefId { module: id, item: index };
            match &item.kind {
                ItemKind::Def(d) => out.insert(d.name.name.clone(), Global::Def(def)),
                ItemKind::Const(c) => out.insert(c.name.name.clone(), Global::Const(def)),
                _ => None,
            };
        }
        out
    }

    /// Puts every library definition in scope of `id`, below what the file itself defines.
    fn open_library(&mut self, id: ModuleId) {
        for (name, _) in stdlib::MODULES {
            let Some(module) = self.modules.by_name.get(*name).copied() else { continue };
            for (name, global) in self.exports(module) {
                self.modules.list[id.0].scope.entry(name).or_insert(global);
            }
        }
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
    pub fn module(&self, id: ModuleId) -> &Module {
        &self.list[id.0]
    }

    pub fn main(&self) -> &Module {
        &self.list[self.main.map_or(0, |m| m.0)]
    }

    pub fn main_id(&self) -> ModuleId {
        self.main.unwrap_or(ModuleId(0))
    }

    /// Modules that the user wrote.
    pub fn user_modules(&self) -> impl Iterator<Item = ModuleId> + '_ {
        (0..self.list.len()).filter(|m| !self.list[*m].is_library).map(ModuleId)
    }

    pub fn def(&self, id: DefId) -> &Def {
        match &self.list[id.module.0].items[id.item].kind {
            ItemKind::Def(def) => def,
            other => unreachable!("a DefId names a definition, not {other:?}"),
        }
    }

    pub fn constant(&self, id: DefId) -> &Const {
        match &self.list[id.module.0].items[id.item].kind {
            ItemKind::Const(constant) => constant,
            other => unreachable!("a constant's DefId names a constant, not {other:?}"),
        }
    }

    pub fn lookup(&self, module: ModuleId, name: &str) -> Option<Global> {
        self.list[module.0].scope.get(name).copied()
    }

    /// The library module that defines `name`, for "add `use …`" hints.
    pub fn library_home(name: &str) -> Option<&'static str> {
        stdlib::home(name)
    }

    pub fn trains(&self) -> impl Iterator<Item = &Train> {
        self.main().items.iter().filter_map(|i| match &i.kind {
            ItemKind::Train(t) => Some(t),
            _ => None,
        })
    }

    pub fn compares(&self) -> impl Iterator<Item = &Experiment> {
        self.main().items.iter().filter_map(|i| match &i.kind {
            ItemKind::Compare(e) => Some(e),
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

/// Whether an item of this name begins on a line of the text: found without parsing, which may have failed.
pub fn text_defines(text: &str, name: &str) -> bool {
    defined_names(text).any(|defined| defined == name)
}

/// The names of the items that begin on a line of the text.
fn defined_names(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| !w.is_empty());
        let kind = words.next().unwrap_or("");
        if line.starts_with([' ', '/']) || !is_def_keyword(kind) { None } else { words.next() }
    })
}

fn is_def_keyword(word: &str) -> bool {
    matches!(
        word,
        "fn" | "init" | "layer" | "model" | "loss" | "metric" | "schedule" | "transform" | "optimizer" | "const"
    )
}
