//! What elaboration found out about the user's expressions, for the language server: types and shapes by place. Without a record
//! nothing is written down.

use super::elab::Elab;
use super::value::Value;
use crate::source::Span;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Different types of one expression that are kept: a definition's body has those of each of its calls.
const MOST_TYPES: usize = 4;

#[derive(Debug, Default)]
pub struct Record {
    types: HashMap<Span, Vec<String>>,
    /// The columns of a training's data (`image: float[28, 28]`), by the place of the training's name.
    columns: HashMap<Span, Vec<(String, String)>>,
}

/// Shared by the elaborations of a file.
pub type Shared = Rc<RefCell<Record>>;

impl Record {
    /// The types that the expression at exactly this place had.
    pub fn types(&self, span: Span) -> &[String] {
        self.types.get(&span).map_or(&[], Vec::as_slice)
    }

    /// The smallest expression around a byte of a file.
    pub fn around(&self, at: Span) -> Option<(Span, &[String])> {
        let holds = |s: &Span| s.file == at.file && s.start <= at.start && at.start < s.end;
        let inner = self.types.iter().filter(|(span, _)| holds(span));
        inner.min_by_key(|(span, _)| (span.end - span.start, span.start)).map(|(span, types)| (*span, types.as_slice()))
    }

    /// Name and type of each column of a training.
    pub fn columns(&self, train: Span) -> &[(String, String)] {
        self.columns.get(&train).map_or(&[], Vec::as_slice)
    }

    /// Every place with its types.
    pub fn all(&self) -> impl Iterator<Item = (Span, &[String])> {
        self.types.iter().map(|(span, types)| (*span, types.as_slice()))
    }

    /// Takes over what another record has at places where this one has nothing.
    pub fn extend(&mut self, other: Record) {
        for (span, types) in other.types {
            self.types.entry(span).or_insert(types);
        }
    }

    pub fn add(&mut self, span: Span, ty: String) {
        let types = self.types.entry(span).or_default();
        if types.len() < MOST_TYPES && !types.contains(&ty) {
            types.push(ty);
        }
    }

    pub fn add_columns(&mut self, train: Span, columns: Vec<(String, String)>) {
        self.columns.insert(train, columns);
    }
}

impl Elab<'_> {
    /// Writes down the type of an expression, if somebody wants to know.
    pub(super) fn note(&self, span: Span, value: &Value) {
        if self.wants(span) {
            self.note_text(span, &self.short_text(value));
        }
    }

    pub(super) fn note_text(&self, span: Span, ty: &str) {
        if let Some(record) = self.record.as_ref().filter(|_| self.wants(span)) {
            record.borrow_mut().add(span, ty.to_string());
        }
    }

    fn wants(&self, span: Span) -> bool {
        self.record.is_some() && !span.file.is_library()
    }

    /// A type, or a value that is known at compile time.
    fn short_text(&self, value: &Value) -> String {
        match value {
            Value::Int(v) => format!("int = {v}"),
            Value::Float(v) => format!("float = {v}"),
            Value::Bool(v) => format!("bool = {v}"),
            Value::Str(text) => format!("string = {text:?}"),
            Value::List(items) | Value::Tuple(items) if items.len() <= 6 => {
                let inner: Vec<String> = items.iter().map(|item| self.bare_text(item)).collect();
                format!("[{}]", inner.join(", "))
            }
            other => self.type_text(other),
        }
    }

    fn bare_text(&self, value: &Value) -> String {
        match value {
            Value::Int(v) => v.to_string(),
            Value::Float(v) => v.to_string(),
            other => self.short_text(other),
        }
    }
}
