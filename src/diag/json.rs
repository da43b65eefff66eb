//! Diagnostics for programs: one JSON object each, with stable field names.

use serde_json::{Value, json};

use super::render::clamp;
use super::{Diagnostic, Label, Severity};
use crate::source::{SourceMap, Span};

/// Lines and columns count from 1, columns in characters; `start` and `end` are bytes from 0; ends are exclusive.
pub fn to_json(sources: &SourceMap, diagnostic: &Diagnostic) -> Value {
    let labels: Vec<Value> = diagnostic.labels.iter().enumerate().map(|(i, l)| label(sources, l, i == 0)).collect();
    json!({
        "severity": match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "code": diagnostic.code,
        "title": diagnostic.title,
        "labels": labels,
        "notes": diagnostic.notes,
        "help": diagnostic.help,
        "edit": diagnostic.edit.as_ref().map(|e| {
            let mut fields = place(sources, e.span);
            fields["replacement"] = e.replacement.as_str().into();
            fields["title"] = e.title(sources).into();
            fields
        }),
    })
}

fn label(sources: &SourceMap, label: &Label, primary: bool) -> Value {
    let mut fields = place(sources, label.span);
    fields["text"] = label.text.as_str().into();
    fields["primary"] = primary.into();
    fields
}

fn place(sources: &SourceMap, span: Span) -> Value {
    let range = clamp(sources, span);
    let file = span.file;
    let (line, column) = sources.line_col(Span::new(file, range.start, range.start));
    let (end_line, end_column) = sources.line_col(Span::new(file, range.end, range.end));
    json!({
        "file": sources.file(file).name,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
        "start": range.start,
        "end": range.end,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag;

    #[test]
    fn fields_are_stable() {
        let mut sources = SourceMap::new();
        let file = sources.add("net.opt", "θ = 1\nlet b = g(a)\n");
        let d = diag::error("E0201", "unknown name 'g'").at(Span::new(file, 15, 16), "not found").did_you_mean(
            Span::new(file, 15, 16),
            "g",
            ["G"],
        );
        insta::assert_snapshot!(serde_json::to_string_pretty(&to_json(&sources, &d)).unwrap());
    }
}
