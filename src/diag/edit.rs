//! Suggested edits: the change of the text that mends what a diagnostic is about, where it is certain.
//!
//! The terminal shows the line as it would be, `--json` and editors get the place and the text ([`Edit`]).

use super::Diagnostic;
use crate::source::{SourceMap, Span};

/// What stands at `span` is replaced. An empty span inserts, an empty replacement removes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    pub span: Span,
    pub replacement: String,
}

impl Edit {
    /// A line for a menu: `write 'batch'`.
    pub fn title(&self, sources: &SourceMap) -> String {
        let old = sources.text(self.span).trim();
        let new = self.replacement.trim();
        match (old, new) {
            ("", new) => format!("insert '{new}'"),
            (old, "") => format!("remove '{old}'"),
            (_, new) => format!("write '{new}'"),
        }
    }

    /// The whole text with the change made.
    pub fn apply(&self, sources: &SourceMap) -> String {
        let text = &sources.file(self.span.file).text;
        let range = super::render::clamp(sources, self.span);
        format!("{}{}{}", &text[..range.start], self.replacement, &text[range.end..])
    }

    /// The changed lines as they would be, with the new text marked:
    ///
    /// ```text
    /// 11 │   batch = 128; epochs = 1
    ///    │   ~~~~~
    /// ```
    ///
    /// `None` where that is too much to read.
    pub(super) fn shown(&self, sources: &SourceMap) -> Option<String> {
        const LONGEST: usize = 160;
        const MOST_LINES: usize = 3;
        let file = sources.file(self.span.file);
        let range = super::render::clamp(sources, self.span);
        let start = file.text[..range.start].rfind('\n').map_or(0, |at| at + 1);
        let end = file.text[range.end..].find('\n').map_or(file.text.len(), |at| range.end + at);
        if end - start > MOST_LINES * LONGEST {
            return None;
        }
        let (before, after) = (&file.text[start..range.start], &file.text[range.end..end]);
        // An inserted line is shown alone.
        let text = match self.replacement.strip_suffix('\n') {
            Some(line) if range.is_empty() => format!("{before}{line}"),
            _ => format!("{before}{}{after}", self.replacement),
        };
        let lines: Vec<&str> = text.split('\n').collect();
        if lines.len() > MOST_LINES || lines.iter().any(|line| line.len() > LONGEST) {
            return None;
        }
        let first = file.line_of(range.start) + 1;
        let new = before.len()..before.len() + self.replacement.trim_end_matches('\n').len();
        let width = (first + lines.len() - 1).to_string().len();
        let mut out = String::new();
        let mut at = 0;
        for (k, line) in lines.iter().enumerate() {
            out.push_str(&format!("\n{:>width$} │ {}", first + k, line.replace('\t', " ")));
            let from = new.start.clamp(at, at + line.len()) - at;
            let to = new.end.clamp(at, at + line.len()) - at;
            if from < to {
                let mark = if range.is_empty() { "+" } else { "~" };
                let (before, new) = (line[..from].chars().count(), line[from..to].chars().count());
                out.push_str(&format!("\n{:>width$} │ {}{}", "", " ".repeat(before), mark.repeat(new)));
            }
            at += line.len() + 1;
        }
        Some(out)
    }
}

impl Diagnostic {
    /// The mend, as a change of the text.
    pub fn edit(mut self, span: Span, replacement: impl Into<String>) -> Diagnostic {
        self.edit = Some(Edit { span, replacement: replacement.into() });
        self
    }

    /// What stands at `span` is a name of none; offers the nearest of these instead, if one is near.
    pub fn did_you_mean<'a>(self, span: Span, name: &str, known: impl IntoIterator<Item = &'a str>) -> Diagnostic {
        match super::nearest(name, known) {
            Some(near) => self.help(super::meant(near)).edit(span, near),
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, start: usize, end: usize, new: &str) -> (String, String, String) {
        let mut sources = SourceMap::new();
        let file = sources.add("net.opt", text);
        let edit = Edit { span: Span::new(file, start, end), replacement: new.into() };
        (edit.shown(&sources).unwrap_or_default(), edit.title(&sources), edit.apply(&sources))
    }

    #[test]
    fn a_replaced_name_is_marked() {
        let (lines, title, text) = shown("a\nlet b = g(a)\nc", 10, 11, "gelu");
        assert_eq!(lines, "\n2 │ let b = gelu(a)\n  │         ~~~~");
        assert_eq!((title.as_str(), text.as_str()), ("write 'gelu'", "a\nlet b = gelu(a)\nc"));
    }

    #[test]
    fn an_inserted_line_is_shown_alone() {
        let (lines, title, _) = shown("use a.b\nx", 0, 0, "use c.d\n");
        assert_eq!(lines, "\n1 │ use c.d\n  │ +++++++");
        assert_eq!(title, "insert 'use c.d'");
    }

    #[test]
    fn what_is_removed_leaves_no_mark() {
        let (lines, title, _) = shown("return é + 1", 0, 7, "");
        assert_eq!((lines.as_str(), title.as_str()), ("\n1 │ é + 1", "remove 'return'"));
    }

    #[test]
    fn long_lines_are_not_shown() {
        assert_eq!(shown(&"x ".repeat(200), 0, 1, "y").0, "");
    }
}
