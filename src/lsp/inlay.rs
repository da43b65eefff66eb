//! Shapes along a pipe, and of names that a `let` gives.

use super::analysis::Analysis;
use super::text;
use crate::source::Span;
use lsp_types as lsp;

pub fn hints(analysis: &Analysis, range: lsp::Range) -> Vec<lsp::InlayHint> {
    let mut out = vec![];
    for pipe in &analysis.index.pipes {
        out.extend(hint(analysis, *pipe, pipe.end));
    }
    for (name, value) in &analysis.index.lets {
        // A pipe shows its own last shape.
        if !analysis.index.pipes.contains(value) {
            out.extend(hint(analysis, *value, name.end));
        }
    }
    out.retain(|h: &lsp::InlayHint| h.position >= range.start && h.position <= range.end);
    out.sort_by_key(|h| (h.position.line, h.position.character));
    out
}

/// Of tensors only; several, if the body is used with several shapes.
fn hint(analysis: &Analysis, value: Span, at: u32) -> Option<lsp::InlayHint> {
    let types = analysis.record.types(value);
    let shapes: Vec<&str> =
        types.iter().map(String::as_str).filter(|ty| ty.contains('[') && !ty.starts_with('[')).collect();
    if shapes.is_empty() {
        return None;
    }
    Some(lsp::InlayHint {
        position: text::position(analysis.text(), at as usize),
        label: lsp::InlayHintLabel::String(format!(": {}", shapes.join(" | "))),
        kind: Some(lsp::InlayHintKind::TYPE),
        text_edits: None,
        tooltip: None,
        padding_left: None,
        padding_right: Some(false),
        data: None,
    })
}
