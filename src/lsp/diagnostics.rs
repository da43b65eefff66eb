//! The compiler's diagnostics as an editor shows them.

use super::analysis::Analysis;
use super::{library, text};
use crate::diag::{Diagnostic, Severity};
use crate::source::Span;
use crate::syntax::ast::ItemKind;
use lsp_types as lsp;

/// None for the library's files, which nobody mends there.
pub fn all(analysis: &Analysis) -> Vec<lsp::Diagnostic> {
    if library::holds(&analysis.uri) {
        return vec![];
    }
    analysis.diagnostics.iter().map(|d| convert(analysis, d)).collect()
}

fn convert(analysis: &Analysis, d: &Diagnostic) -> lsp::Diagnostic {
    // The first place in the open file; a problem of a file that it uses is shown where it says so.
    let here = d.labels.iter().position(|l| l.span.file == analysis.file);
    let span = match here {
        Some(k) => d.labels[k].span,
        None => use_of(analysis, d).unwrap_or(Span { file: analysis.file, start: 0, end: 0 }),
    };
    let mut message = d.title.clone();
    if let Some(label) = here.map(|k| &d.labels[k].text).filter(|text| !text.is_empty()) {
        message += &format!("\n{label}");
    }
    d.notes.iter().for_each(|note| message += &format!("\nnote: {note}"));
    d.help.iter().for_each(|help| message += &format!("\nhelp: {help}"));
    let others = d.labels.iter().enumerate().filter(|(k, _)| Some(*k) != here);
    let related: Vec<lsp::DiagnosticRelatedInformation> = others
        .filter_map(|(_, label)| {
            let location = analysis.location(label.span)?;
            Some(lsp::DiagnosticRelatedInformation { location, message: label.text.clone() })
        })
        .collect();
    lsp::Diagnostic {
        range: text::range(&analysis.sources, span),
        severity: Some(match d.severity {
            Severity::Error => lsp::DiagnosticSeverity::ERROR,
            Severity::Warning => lsp::DiagnosticSeverity::WARNING,
        }),
        code: Some(lsp::NumberOrString::String(d.code.to_string())),
        source: Some("optc".into()),
        message,
        related_information: (!related.is_empty()).then_some(related),
        ..lsp::Diagnostic::default()
    }
}

/// The `use` that brings in the file of a diagnostic; of a file that another one uses, the first `use` of a file.
fn use_of(analysis: &Analysis, d: &Diagnostic) -> Option<Span> {
    let name = &analysis.sources.file(d.primary()?.file).name;
    let items = analysis.modules.main().items.iter();
    let files = items.filter_map(|item| match &item.kind {
        ItemKind::Use(used) if used.is_file => Some(&used.module),
        _ => None,
    });
    let files: Vec<_> = files.collect();
    files.iter().find(|module| module.name == *name).or(files.first()).map(|module| module.span)
}
