//! Shapes along a pipe, and of names that a `let` gives.

use super::analysis::Analysis;
use super::text;
use crate::source::Span;
use lsp_types as lsp;
use std::collections::HashSet;

pub fn hints(analysis: &Analysis, range: lsp::Range) -> Vec<lsp::InlayHint> {
    let bytes = [range.start, range.end].map(|at| text::offset(analysis.text(), at) as u32);
    let stages: HashSet<Span> = analysis.index.pipes.iter().copied().collect();
    // A pipe shows its own last shape.
    let lets = analysis.index.lets.iter().filter(|(_, value)| !stages.contains(value));
    let lets = lets.map(|(name, value)| (*value, name.end));
    let all = analysis.index.pipes.iter().map(|pipe| (*pipe, pipe.end)).chain(lets);
    let seen = all.filter(|(_, at)| bytes[0] <= *at && *at <= bytes[1]);
    let mut out: Vec<lsp::InlayHint> = seen.filter_map(|(value, at)| hint(analysis, value, at)).collect();
    out.sort_by_key(|h| (h.position.line, h.position.character));
    out
}

/// Of tensors only; several, if the body is used with several shapes.
fn hint(analysis: &Analysis, value: Span, at: u32) -> Option<lsp::InlayHint> {
    let types = analysis.types(value);
    let shapes: Vec<&str> =
        types.list.iter().map(String::as_str).filter(|ty| ty.contains('[') && !ty.starts_with('[')).collect();
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
