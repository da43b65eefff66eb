//! Diagnostics: one model, rendered for people ([`render`]) and for programs ([`json`]).
//!
//! A diagnostic has a code, a primary label on the exact span, secondary labels for the other places involved, notes
//! with the values that the checker solved, a help line when there is a likely mend, and the mend itself as a change of
//! the text ([`edit`]) when it is certain. Use [`error`] and the builder methods; every code is registered in [`codes`]
//! with the rule behind it.

pub mod codes;
pub mod edit;
pub mod json;
pub mod render;
pub mod shapes;

use crate::source::Span;
pub use edit::Edit;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Warning,
    Error,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// `E0203`
    pub code: &'static str,
    /// One line, in the user's words.
    pub title: String,
    /// The first is the primary one. Empty for problems outside any text (a data file, a checkpoint).
    pub labels: Vec<Label>,
    pub notes: Vec<String>,
    pub help: Option<String>,
    /// What the help says, as a change of the text.
    pub edit: Option<Edit>,
}

/// Starts an error. The first [`Diagnostic::at`] is the primary label.
pub fn error(code: &'static str, title: impl Into<String>) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        code,
        title: title.into(),
        labels: vec![],
        notes: vec![],
        help: None,
        edit: None,
    }
}

/// Starts a warning.
pub fn warning(code: &'static str, title: impl Into<String>) -> Diagnostic {
    Diagnostic { severity: Severity::Warning, ..error(code, title) }
}

impl Diagnostic {
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    pub fn note(mut self, text: impl Into<String>) -> Diagnostic {
        self.notes.push(text.into());
        self
    }

    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help = Some(text.into());
        self
    }

    pub fn maybe_help(self, text: Option<String>) -> Diagnostic {
        match text {
            Some(text) => self.help(text),
            None => self,
        }
    }

    pub fn primary(&self) -> Option<Span> {
        self.labels.first().map(|l| l.span)
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// `did you mean 'weight_decay'?` for the nearest candidate, if one is near enough, or else for one that begins like the
/// name (`batch` for `batch_size`).
pub fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, candidates).map(meant)
}

fn meant(name: &str) -> String {
    format!("did you mean '{name}'?")
}

/// The candidate that [`suggest`] names.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let all: Vec<&str> = candidates.into_iter().collect();
    // Of equally near ones, one that begins in the same way.
    let best = all.iter().map(|c| (distance(name, c), c.chars().next() != name.chars().next(), *c)).min()?;
    // One letter resembles any other: only its case may be wrong.
    let limit = match name.chars().count() {
        1 => 0,
        n => (n / 3).max(1),
    };
    let begins = |a: &str, b: &str| b.chars().count() > 3 && a.to_lowercase().starts_with(&b.to_lowercase());
    let near = (best.0 <= limit).then_some(best.2);
    near.or_else(|| all.into_iter().filter(|c| begins(name, c)).max_by_key(|c| c.len()))
}

/// Edit distance (insertions, deletions, substitutions, swaps of neighbours), ignoring case.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let substitute = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = substitute.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(rows[i - 2][j - 2] + 1);
            }
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
