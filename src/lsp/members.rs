//! What can stand behind a dot: parts of a model, columns of the data, what is known about a column, sources of data, reductions.

use super::analysis::Analysis;
use super::calls;
use crate::data::SOURCES;
use crate::sema::builtins::Builtin;
use crate::sema::elab::{COLUMN_FACTS, DATA_FACTS};
use crate::sema::modules::DefId;
use crate::source::Span;
use crate::syntax::ast::{DefKind, Expr, ExprKind, ItemKind, Stmt, StmtKind};
use crate::syntax::{is_name_char, walk};
use lsp_types::CompletionItemKind as Kind;

/// A name, what it is, and a word about it.
pub type Member = (String, Kind, String);

/// `before` ends in the dot.
pub fn members(analysis: &Analysis, before: &str) -> Vec<Member> {
    let chain = chain(before);
    let Some((base, rest)) = chain.split_first() else { return vec![] };
    if let ("all", []) = (*base, rest) {
        return Builtin::names_of_all().map(|n| (n.to_string(), Kind::FUNCTION, "over all tensors".into())).collect();
    }
    if rest.is_empty() {
        let sources = SOURCES.iter().filter_map(|source| source.strip_prefix(base)?.strip_prefix('.'));
        let sources: Vec<Member> = sources.map(|n| (n.into(), Kind::FUNCTION, "a source of data".into())).collect();
        if !sources.is_empty() {
            return sources;
        }
    }
    if analysis.modules.data(base).is_some() {
        return of_data(analysis, base, rest);
    }
    let byte = before.len();
    let value = value_of(analysis, base, byte).and_then(|value| made_by(analysis, value));
    let found = rest.iter().try_fold(value, |id, part| Some(made_by(analysis, part_of(analysis, id?, part)?)));
    found.flatten().map_or(vec![], |id| parts(analysis, id))
}

/// `["net", "body"]` for `… net.body.`
fn chain(before: &str) -> Vec<&str> {
    let mut out = vec![];
    let mut rest = before;
    while let Some(short) = rest.strip_suffix('.') {
        let start = short.trim_end_matches(is_name_char).len();
        if start == short.len() {
            return vec![];
        }
        out.push(&short[start..]);
        rest = &short[..start];
    }
    out.reverse();
    out
}

fn of_data(analysis: &Analysis, data: &str, rest: &[&str]) -> Vec<Member> {
    let about = |names: &[&str], what: &str| {
        names.iter().map(|n| (n.to_string(), Kind::PROPERTY, what.to_string())).collect::<Vec<_>>()
    };
    if !rest.is_empty() {
        return about(&COLUMN_FACTS[..if rest.len() == 1 { COLUMN_FACTS.len() } else { 0 }], "of the column");
    }
    let mut trains = analysis.modules.trains().filter(|t| matches!(&t.data.kind, ExprKind::Name(n) if n == data));
    let columns = trains.find_map(|t| Some(analysis.record.columns(t.name.span)).filter(|c| !c.is_empty()));
    let columns = columns.into_iter().flatten().map(|(name, ty)| (name.clone(), Kind::FIELD, format!("column: {ty}")));
    columns.chain(about(&DATA_FACTS, "of the data")).collect()
}

/// What a `let` gives to a name that is visible at a byte.
fn value_of<'a>(analysis: &'a Analysis, name: &str, byte: usize) -> Option<&'a Expr> {
    let declared = analysis.index.visible(byte).into_iter().find(|local| local.name == name)?.span;
    let mut found = None;
    for item in &analysis.modules.main().items {
        let mut look = |stmt: &'a Stmt| found = found.or(value_if(stmt, |span, _| span == declared));
        match &item.kind {
            ItemKind::Def(def) => walk::each_stmt(&def.body, &mut look),
            ItemKind::Test(test) => walk::each_stmt(&test.body, &mut look),
            ItemKind::Train(train) => {
                train.lets.iter().for_each(&mut look);
                train.step.iter().for_each(|step| walk::each_stmt(&step.body, &mut look));
            }
            _ => {}
        }
    }
    found
}

/// The value of a `let` of one name, if it is the one that is looked for.
fn value_if(stmt: &Stmt, wanted: impl Fn(Span, &str) -> bool) -> Option<&Expr> {
    match &stmt.kind {
        StmtKind::Let { names, value, .. } => match names.as_slice() {
            [name] if wanted(name.span, &name.name) => Some(value),
            _ => None,
        },
        _ => None,
    }
}

/// The layer or model that `Mlp(hidden)` makes.
fn made_by(analysis: &Analysis, value: &Expr) -> Option<DefId> {
    let callee = match &value.kind {
        ExprKind::Call(callee, _) => callee,
        _ => value,
    };
    let ExprKind::Name(name) = &callee.kind else { return None };
    let id = calls::definition(analysis, name)?;
    matches!(analysis.modules.def(id).kind, DefKind::Layer | DefKind::Model).then_some(id)
}

fn part_of<'a>(analysis: &'a Analysis, id: DefId, part: &str) -> Option<&'a Expr> {
    let mut found = None;
    walk::each_stmt(&analysis.modules.def(id).body, &mut |stmt| {
        found = found.or(value_if(stmt, |_, name| name == part));
    });
    found
}

/// The layers, parameters and states that a definition names.
fn parts(analysis: &Analysis, id: DefId) -> Vec<Member> {
    let mut out: Vec<Member> = vec![];
    walk::each_stmt(&analysis.modules.def(id).body, &mut |stmt| match &stmt.kind {
        StmtKind::Let { names, value, .. } if made_by(analysis, value).is_some() => {
            out.extend(names.iter().map(|n| (n.name.clone(), Kind::CLASS, "a layer".to_string())));
        }
        StmtKind::Param(decl) => out.push((decl.name.name.clone(), Kind::VARIABLE, "a parameter".into())),
        _ => {}
    });
    out
}
