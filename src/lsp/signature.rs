//! What the call around a place takes, and which of it is being written.

use super::analysis::Analysis;
use super::{calls, hover, text};
use crate::syntax::ast::Param;
use lsp_types as lsp;

pub fn help(analysis: &Analysis, byte: usize) -> Option<lsp::SignatureHelp> {
    let call = calls::around(&analysis.text().text[..byte])?;
    let (def, list) = calls::parameters(analysis, &call)?;
    let written = |p: &Param| hover::parameter(analysis, p);
    let parameters: Vec<lsp::ParameterInformation> = list
        .iter()
        .map(|p| lsp::ParameterInformation { label: lsp::ParameterLabel::Simple(written(p)), documentation: None })
        .collect();
    let other = if call.second && !def.hypers.is_empty() { "(…)" } else { "" };
    let label = format!("{}{other}({})", def.name.name, list.iter().map(written).collect::<Vec<_>>().join(", "));
    let active = match call.arguments.last().and_then(|a| a.name) {
        Some(name) => list.iter().position(|p| p.name.name == name),
        None => Some(call.arguments.len() - 1).filter(|k| *k < list.len()),
    };
    let documentation = calls::definition(analysis, call.name)
        .and_then(|id| analysis.modules.item(id).doc.as_ref())
        .map(|doc| lsp::Documentation::MarkupContent(text::markdown(hover::markdown(doc))));
    let signature = lsp::SignatureInformation {
        label,
        documentation,
        parameters: Some(parameters),
        active_parameter: active.map(|k| k as u32),
    };
    Some(lsp::SignatureHelp {
        signatures: vec![signature],
        active_signature: Some(0),
        active_parameter: active.map(|k| k as u32),
    })
}
