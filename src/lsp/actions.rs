//! Quick mends: the suggested edits of diagnostics.

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
        let Some(mend) = d.edit.as_ref().filter(|edit| touches && edit.span.file == analysis.file) else { continue };
        let edit = lsp::TextEdit::new(text::range(&analysis.sources, mend.span), mend.replacement.clone());
        out.push(lsp::CodeAction {
            title: mend.title(&analysis.sources),
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
