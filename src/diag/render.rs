//! Diagnostics for people: the source lines with the places marked, then notes and the help line.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use codespan_reporting::diagnostic as codespan;
use codespan_reporting::files::{Error, Files};
use codespan_reporting::term::{self, Config, Styles, StylesWriter, termcolor::Ansi};

use super::{Diagnostic, Severity};
use crate::source::{FileId, SourceMap, Span};

/// Longer lines are not shown: a diagnostic is to be read.
const LONGEST_LINE: usize = 500;

/// Renders diagnostics one after the other, each followed by an empty line.
pub fn render(sources: &SourceMap, diagnostics: &[Diagnostic], colour: bool) -> String {
    let texts = Texts::new(sources, diagnostics);
    let config = Config { tab_width: 2, ..Config::default() };
    let mut out = String::new();
    for diagnostic in diagnostics {
        let shown = if texts.can_show(diagnostic) { emit(&texts, &config, diagnostic, colour) } else { None };
        out.push_str(&shown.unwrap_or_else(|| plain(sources, diagnostic)));
    }
    out
}

/// `2 errors`, `1 error and 3 warnings`; `None` if there are no diagnostics.
pub fn summary(diagnostics: &[Diagnostic]) -> Option<String> {
    let errors = diagnostics.iter().filter(|d| d.is_error()).count();
    let warnings = diagnostics.len() - errors;
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, 0) => None,
        (_, 0) => Some(count(errors, "error")),
        (0, _) => Some(count(warnings, "warning")),
        _ => Some(format!("{} and {}", count(errors, "error"), count(warnings, "warning"))),
    }
}

fn emit(texts: &Texts<'_>, config: &Config, diagnostic: &Diagnostic, colour: bool) -> Option<String> {
    let message = to_codespan(texts.sources, diagnostic);
    let mut bytes = vec![];
    let done = if colour {
        let styles = Styles::default();
        term::emit_to_write_style(&mut StylesWriter::new(Ansi::new(&mut bytes), &styles), config, texts, &message)
    } else {
        term::emit_to_io_write(&mut bytes, config, texts, &message)
    };
    done.ok().and_then(|()| String::from_utf8(bytes).ok())
}

fn to_codespan(sources: &SourceMap, diagnostic: &Diagnostic) -> codespan::Diagnostic<FileId> {
    let severity = match diagnostic.severity {
        Severity::Error => codespan::Severity::Error,
        Severity::Warning => codespan::Severity::Warning,
    };
    let labels = diagnostic.labels.iter().enumerate().map(|(i, label)| {
        let style = if i == 0 { codespan::LabelStyle::Primary } else { codespan::LabelStyle::Secondary };
        codespan::Label::new(style, label.span.file, clamp(sources, label.span)).with_message(clean(&label.text))
    });
    let edited = diagnostic.edit.as_ref().and_then(|edit| edit.shown(sources)).unwrap_or_default();
    let help = match &diagnostic.help {
        None if edited.is_empty() => None,
        help => Some(format!("help: {}{edited}", help.as_deref().unwrap_or("write"))),
    };
    let notes = diagnostic.notes.iter().cloned().chain(help).map(|note| clean(&note).into_owned());
    codespan::Diagnostic::new(severity)
        .with_code(diagnostic.code)
        .with_message(clean(&diagnostic.title))
        .with_labels(labels.collect())
        .with_notes(notes.collect())
}

/// Without source lines.
fn plain(sources: &SourceMap, diagnostic: &Diagnostic) -> String {
    let severity = if diagnostic.is_error() { "error" } else { "warning" };
    let mut out = format!("{severity}[{}]: {}\n", diagnostic.code, clean(&diagnostic.title));
    for label in &diagnostic.labels {
        out.push_str(&format!("  at {}: {}\n", sources.place(label.span), clean(&label.text)));
    }
    for note in &diagnostic.notes {
        out.push_str(&format!("  = {}\n", clean(note)));
    }
    if let Some(help) = &diagnostic.help {
        out.push_str(&format!("  = help: {}\n", clean(help)));
    }
    out.push('\n');
    out
}

/// The bytes of a span, moved to whole characters inside the text.
pub(super) fn clamp(sources: &SourceMap, span: Span) -> Range<usize> {
    let text = &sources.file(span.file).text;
    let start = text.floor_char_boundary(span.start as usize);
    let end = text.ceil_char_boundary(span.end as usize).max(start);
    start..end
}

/// Terminal control characters of a source text or a file name must not reach the terminal. Keeps the length in bytes.
fn clean(text: &str) -> Cow<'_, str> {
    let is_control = |c: char| c.is_ascii_control() && !matches!(c, '\n' | '\t' | '\r');
    if text.contains(is_control) { Cow::Owned(text.replace(is_control, "?")) } else { Cow::Borrowed(text) }
}

/// The source texts as codespan wants them.
struct Texts<'a> {
    sources: &'a SourceMap,
    /// Texts that had control characters, without them.
    cleaned: HashMap<FileId, String>,
}

impl<'a> Texts<'a> {
    fn new(sources: &'a SourceMap, diagnostics: &[Diagnostic]) -> Texts<'a> {
        let mut cleaned = HashMap::new();
        for label in diagnostics.iter().flat_map(|d| &d.labels) {
            let file = label.span.file;
            if let Cow::Owned(text) = clean(&sources.file(file).text) {
                cleaned.entry(file).or_insert(text);
            }
        }
        Texts { sources, cleaned }
    }

    /// All marked lines are short enough.
    fn can_show(&self, diagnostic: &Diagnostic) -> bool {
        diagnostic.labels.iter().all(|label| {
            let file = self.sources.file(label.span.file);
            let lines = [label.span.start, label.span.end].map(|at| file.line_of(at as usize));
            lines.iter().all(|line| file.line_range(*line).is_none_or(|r| r.len() <= LONGEST_LINE))
        })
    }

    fn line(&self, id: FileId, line: usize) -> Result<Range<usize>, Error> {
        let file = self.sources.file(id);
        file.line_range(line).ok_or(Error::LineTooLarge { given: line, max: file.line_of(file.text.len()) })
    }
}

impl<'a> Files<'a> for Texts<'_> {
    type FileId = FileId;
    type Name = &'a str;
    type Source = &'a str;

    fn name(&'a self, id: FileId) -> Result<&'a str, Error> {
        Ok(&self.sources.file(id).name)
    }

    fn source(&'a self, id: FileId) -> Result<&'a str, Error> {
        Ok(self.cleaned.get(&id).unwrap_or(&self.sources.file(id).text))
    }

    fn line_index(&'a self, id: FileId, byte_index: usize) -> Result<usize, Error> {
        Ok(self.sources.file(id).line_of(byte_index))
    }

    fn line_range(&'a self, id: FileId, line_index: usize) -> Result<Range<usize>, Error> {
        self.line(id, line_index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag;

    fn sources(text: &str) -> (SourceMap, FileId) {
        let mut sources = SourceMap::new();
        let file = sources.add("net.opt", text);
        (sources, file)
    }

    #[test]
    fn shows_both_places_notes_and_help() {
        let (sources, file) = sources("let a = f(x)\nlet b = g(a)\n");
        let d = diag::error("E0203", "shapes disagree")
            .at(Span::new(file, 21, 25), "float[3]")
            .at(Span::new(file, 8, 12), "float[4] from here")
            .note("D = 4 from x: float[4]")
            .help("did you mean 'h'?");
        insta::assert_snapshot!(render(&sources, &[d], false));
    }

    #[test]
    fn odd_spans_and_texts_are_shown_all_the_same() {
        let (sources, file) = sources("é\u{1b}[31m\n");
        let beyond = diag::error("E0901", "beyond").at(Span::new(file, 1, 90), "é and more");
        let nowhere = diag::warning("E0401", "no \u{7} text");
        let shown = render(&sources, &[beyond, nowhere], false);
        assert!(shown.contains("net.opt:1:1") && shown.contains("warning[E0401]: no ? text"), "{shown}");
        assert!(!shown.contains('\u{1b}'));
    }

    #[test]
    fn long_lines_are_named_and_not_shown() {
        let (sources, file) = sources(&"x ".repeat(10_000));
        let shown = render(&sources, &[diag::error("E0101", "t").at(Span::new(file, 400, 401), "here")], false);
        assert_eq!(shown, "error[E0101]: t\n  at net.opt:1:401: here\n\n");
    }

    #[test]
    fn colour_is_optional() {
        let (sources, file) = sources("x");
        let d = [diag::error("E0101", "t").at(Span::new(file, 0, 1), "here")];
        assert!(render(&sources, &d, true).contains("\u{1b}["));
        assert!(!render(&sources, &d, false).contains("\u{1b}["));
    }

    #[test]
    fn the_summary_counts() {
        let (e, w) = (diag::error("E0101", ""), diag::warning("E0101", ""));
        assert_eq!(summary(&[]), None);
        assert_eq!(summary(&[e.clone(), e.clone()]).as_deref(), Some("2 errors"));
        assert_eq!(summary(&[e, w.clone(), w]).as_deref(), Some("1 error and 2 warnings"));
    }
}
