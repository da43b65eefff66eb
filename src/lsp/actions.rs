//! Quick mends: a diagnostic that says `did you mean 'x'?` offers to write it.

use super::analysis::Analysis;
use super::text;
use lsp_types as lsp;
use std::collections::HashMap;

// An editor's answer has this type.
#[allow(clippy::mutable_key_type)]
pub fn actions(analysis: &Analysis, range: lsp::Range) -> Vec<lsp::CodeAction> {
    let mut out = vec![];
    for (d, shown) in analysis.diagnostics.iter().zip(super::diagnostics::all(analysis)) {
        let touches = shown.range.start <= range.end && range.start <= shown.range.end;
        let Some(meant) = d.help.as_deref().and_then(meant).filter(|_| touches) else { continue };
        let Some(span) = d.primary().filter(|span| span.file == analysis.file) else { continue };
        let edit = lsp::TextEdit::new(text::range(&analysis.sources, span), meant.to_string());
        out.push(lsp::CodeAction {
            title: format!("write '{meant}'"),
            kind: Some(lsp::CodeActionKind::QUICKFIX),
            diagnostics: Some(vec![shown]),
            edit: Some(lsp::WorkspaceEdit {
                changes: Some(HashMap::from([(analysis.uri.clone(), vec![edit])])),
                ..lsp::WorkspaceEdit::default()
            }),
            is_preferred: Some(true),
            ..lsp::CodeAction::default()
        });
    }
    out
}

/// The name in `did you mean 'x'?`, if that is all the help says.
fn meant(help: &str) -> Option<&str> {
    help.strip_prefix("did you mean '")?.strip_suffix("'?")
}
