//! What can be written at a place: names in scope, arguments of the call around it, columns of the data, settings, modules.

use super::analysis::Analysis;
use super::hover;
use super::index::LocalKind;
use super::{calls, imports, members, text};
use crate::data::{SOURCES, STEPS};
use crate::sema::builtins::{Builtin, NAMED_CONSTANTS};
use crate::sema::modules::{Global, ModuleId};
use crate::sema::{library, modules::PRELUDE};
use crate::stdlib;
use crate::syntax::ast::{DefKind, ItemKind};
use crate::syntax::{ITEM_WORDS, is_name_char};
use lsp_types as lsp;
use std::collections::HashSet;

/// Words with which a statement begins.
const STATEMENTS: &[&str] = &[
    "let", "param", "state", "if", "for", "minimize", "report", "observe", "expect", "then", "else", "with", "over",
    "and", "or", "not", "true", "false",
];

/// Of a training.
pub const SETTINGS: &[(&str, &str)] = &[
    ("batch", "rows in a step, or `all`"),
    ("epochs", "passes over the training rows"),
    ("steps", "stop after so many steps"),
    ("seed", "of starting values, order and dropout"),
    ("shuffle", "a new order of the rows in each pass"),
];

pub fn complete(analysis: &Analysis, byte: usize) -> Vec<lsp::CompletionItem> {
    let before = &analysis.text().text[..byte];
    let word = before.trim_end_matches(is_name_char).len();
    let line = before[..word].rsplit('\n').next().unwrap_or("");
    let import = imports::under_way(&before[..word]);
    if in_comment_or_string(line) && !import.is_some_and(|rest| rest.starts_with('"')) {
        return vec![];
    }
    if let Some(rest) = import {
        return imports::complete(analysis, rest);
    }
    if before[..word].ends_with('.') {
        let found = members::members(analysis, &before[..word]);
        let entry =
            |(name, kind, about): members::Member| lsp::CompletionItem { detail: Some(about), ..item(name, kind) };
        return found.into_iter().map(entry).collect();
    }
    let mut list = List { analysis, out: vec![], seen: HashSet::new() };
    let piped = before[..word].trim_end().ends_with("|>");
    if step_inputs(&before[..word]) {
        list.columns(byte);
        return list.out;
    }
    if in_data(before) && calls::around(&before[..word]).is_none() {
        let names = if piped { STEPS } else { SOURCES };
        return names.iter().map(|n| item(*n, lsp::CompletionItemKind::FUNCTION)).collect();
    }
    if piped {
        list.called_on_a_value(byte);
        return list.out;
    }
    list.arguments(word);
    list.settings(byte, line);
    list.locals(byte);
    list.globals();
    list.words();
    list.rest_of_the_library();
    list.out
}

/// In an item that describes data. The text need not be complete: what counts is the last line that begins an item.
fn in_data(before: &str) -> bool {
    let begins = |line: &&str| ITEM_WORDS.iter().any(|word| line.split(' ').next() == Some(word));
    before.rsplit('\n').find(begins).is_some_and(|line| line.starts_with("data ") && line.contains('='))
}

/// Whether the end of a line's text is in one.
fn in_comment_or_string(line: &str) -> bool {
    let mut string = false;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if string => escaped = true,
            '"' => string = !string,
            '/' if !string && line[at..].starts_with("//") => return true,
            _ => {}
        }
    }
    string
}

pub fn item(label: impl Into<String>, kind: lsp::CompletionItemKind) -> lsp::CompletionItem {
    lsp::CompletionItem { label: label.into(), kind: Some(kind), ..lsp::CompletionItem::default() }
}

/// Inside the list of `step(`.
fn step_inputs(before: &str) -> bool {
    let open = before.rfind('(').unwrap_or(0);
    let list = before.get(open + 1..).unwrap_or("");
    before[..open].trim_end().ends_with("step") && !list.contains(')') && !list.contains('{')
}

fn kind(kind: DefKind) -> lsp::CompletionItemKind {
    match kind {
        DefKind::Layer | DefKind::Model | DefKind::Optimizer => lsp::CompletionItemKind::CLASS,
        DefKind::Fn | DefKind::Init | DefKind::Loss | DefKind::Metric | DefKind::Schedule | DefKind::Transform => {
            lsp::CompletionItemKind::FUNCTION
        }
    }
}

/// A definition of the library, with its documentation.
pub fn definition(name: &str, global: Global) -> lsp::CompletionItem {
    let (Global::Def(id) | Global::Const(id)) = global;
    let ModuleId::Library(file) = id.module else { return item(name, lsp::CompletionItemKind::FUNCTION) };
    let known = library::item(file, id.item);
    let mut out = item(name, lsp::CompletionItemKind::CONSTANT);
    if let ItemKind::Def(def) = &known.kind {
        out.kind = Some(kind(def.kind));
        out.detail = Some(def.kind.keyword().to_string());
    }
    out.documentation =
        known.doc.as_ref().map(|doc| lsp::Documentation::MarkupContent(text::markdown(hover::markdown(doc))));
    out
}

struct List<'a> {
    analysis: &'a Analysis,
    out: Vec<lsp::CompletionItem>,
    seen: HashSet<String>,
}

impl List<'_> {
    /// Nearer things come first.
    fn add(&mut self, rank: char, mut item: lsp::CompletionItem) {
        if self.seen.insert(item.label.clone()) {
            item.sort_text = Some(format!("{rank}{}", item.label));
            self.out.push(item);
        }
    }

    /// Of the training around the place.
    fn columns(&mut self, byte: usize) {
        for train in self.analysis.modules.main().items.iter() {
            let ItemKind::Train(t) = &train.kind else { continue };
            if !(train.span.start as usize <= byte && byte <= train.span.end as usize) {
                continue;
            }
            for (name, ty) in self.analysis.record.columns(t.name.span) {
                let mut column = item(name, lsp::CompletionItemKind::FIELD);
                column.detail = Some(format!("column: {ty}"));
                self.add('0', column);
            }
        }
    }

    /// Behind `|>`: definitions first.
    fn called_on_a_value(&mut self, byte: usize) {
        self.globals();
        self.locals(byte);
        self.rest_of_the_library();
        self.out.retain(|entry| entry.kind != Some(lsp::CompletionItemKind::CONSTANT));
    }

    /// `name = ` for what the innermost call around the place takes and does not have yet, where an argument begins.
    fn arguments(&mut self, byte: usize) {
        let Some(call) = calls::around(&self.analysis.text().text[..byte]) else { return };
        let Some((def, parameters)) = calls::parameters(self.analysis, &call) else { return };
        if call.arguments.last().is_some_and(|a| a.tokens > 0) {
            return;
        }
        let by_place = call.arguments.len() - 1 - call.arguments.iter().filter(|a| a.name.is_some()).count();
        for param in parameters.iter().skip(by_place) {
            let name = param.name.name.as_str();
            if call.arguments.iter().any(|a| a.name == Some(name)) {
                continue;
            }
            let mut argument = item(format!("{name} ="), lsp::CompletionItemKind::PROPERTY);
            argument.insert_text = Some(format!("{name} = "));
            argument.filter_text = Some(name.to_string());
            let written = hover::parameter(self.analysis, param);
            argument.detail = Some(format!("{written}  ({} {})", def.kind.keyword(), def.name.name));
            self.add('0', argument);
        }
    }

    /// At the beginning of a line of a `train` body.
    fn settings(&mut self, byte: usize, line: &str) {
        if !line.trim_start().is_empty() && !line.trim_end().ends_with(';') {
            return;
        }
        let mut trains = self.analysis.modules.main().items.iter().filter_map(|item| match &item.kind {
            ItemKind::Train(t) => Some((item.span, t)),
            _ => None,
        });
        let inside = trains.any(|(span, t)| {
            let around = span.start as usize <= byte && byte <= span.end as usize;
            let step = t.step.as_ref().is_some_and(|s| s.span.start as usize <= byte && byte <= s.span.end as usize);
            around && !step
        });
        if inside {
            for (name, about) in SETTINGS {
                let mut setting = item(*name, lsp::CompletionItemKind::PROPERTY);
                setting.insert_text = Some(format!("{name} = "));
                setting.detail = Some(about.to_string());
                self.add('1', setting);
            }
        }
    }

    fn locals(&mut self, byte: usize) {
        for local in self.analysis.index.visible(byte) {
            let kind = match local.kind {
                LocalKind::Column => lsp::CompletionItemKind::FIELD,
                LocalKind::Dim => lsp::CompletionItemKind::TYPE_PARAMETER,
                LocalKind::Hyper
                | LocalKind::Input
                | LocalKind::Let
                | LocalKind::Param
                | LocalKind::State
                | LocalKind::Data
                | LocalKind::Train => lsp::CompletionItemKind::VARIABLE,
            };
            let mut entry = item(&local.name, kind);
            let line = local.text.lines().next().unwrap_or("");
            entry.detail = Some(format!("{} {line}", local.kind.word()));
            self.add('2', entry);
        }
    }

    /// What the file defines and uses, the prelude, primitives and words.
    fn globals(&mut self) {
        let modules = &self.analysis.modules;
        let mut names: Vec<&str> = modules.names(modules.main_id()).collect();
        names.sort_unstable();
        for name in names {
            let Some(global) = modules.lookup(modules.main_id(), name) else { continue };
            let (Global::Def(id) | Global::Const(id)) = global;
            let entry = match (id.module, global) {
                (ModuleId::Library(_), _) => definition(name, global),
                (ModuleId::User(_), Global::Def(_)) => {
                    let mut entry = item(name, kind(modules.def(id).kind));
                    entry.detail = Some(hover::header(self.analysis, modules.item(id)));
                    entry
                }
                (ModuleId::User(_), Global::Const(_)) => item(name, lsp::CompletionItemKind::CONSTANT),
            };
            self.add(if matches!(id.module, ModuleId::User(_)) { '3' } else { '4' }, entry);
        }
        for name in Builtin::names() {
            self.add(
                '5',
                lsp::CompletionItem {
                    detail: Some("primitive".into()),
                    ..item(name, lsp::CompletionItemKind::FUNCTION)
                },
            );
        }
        for name in NAMED_CONSTANTS.iter().map(|(name, _)| name).chain(super::index::WORDS) {
            self.add('5', item(*name, lsp::CompletionItemKind::CONSTANT));
        }
    }

    fn words(&mut self) {
        for word in STATEMENTS.iter().chain(&ITEM_WORDS) {
            self.add('6', item(*word, lsp::CompletionItemKind::KEYWORD));
        }
    }

    /// Definitions that the file does not use yet: choosing one adds the `use`.
    fn rest_of_the_library(&mut self) {
        let line = text::position(self.analysis.text(), self.last_use()).line;
        for file in library::all_files() {
            let module = stdlib::public_name(stdlib::MODULES[file].0);
            if PRELUDE.contains(&module) {
                continue;
            }
            for (name, global) in library::exports(file) {
                let mut entry = definition(name, global);
                let at = lsp::Position::new(line, 0);
                let edit = lsp::TextEdit::new(lsp::Range::new(at, at), format!("use {module}.{name}\n"));
                entry.additional_text_edits = Some(vec![edit]);
                entry.detail = Some(format!("use {module}.{name}"));
                self.add('7', entry);
            }
        }
    }

    /// Where the line behind the last `use` begins; without one, where the first item does.
    fn last_use(&self) -> usize {
        let text = &self.analysis.text().text;
        let items = &self.analysis.modules.main().items;
        let last = items.iter().rfind(|item| matches!(item.kind, ItemKind::Use(_)));
        match last {
            Some(item) => {
                text[item.span.end as usize..].find('\n').map_or(text.len(), |n| item.span.end as usize + n + 1)
            }
            None => 0,
        }
    }
}
