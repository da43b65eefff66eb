//! The formatter (`optc fmt`): one style, written in `docs/formatting.md`.
//!
//! It works on tokens and brackets ([`tokens`], [`tree`]) and not on the syntax tree: so it keeps every comment and parenthesis, and
//! knows any statement that the grammar will have. [`lines`] says where a statement may break, [`spaces`] what stands apart, and
//! [`doc`] breaks what is too long. What comes out is read again and must mean the same; otherwise nothing is changed.

mod doc;
mod lines;
mod spaces;
mod tokens;
mod tree;

use super::lex::TokenKind;
use super::{layout, parse_file, print};
use crate::diag::{Diagnostic, error};
use crate::source::{FileId, SourceMap, Span};

/// The text of a file in the standard style; what is wrong with it, if it is not a program.
pub fn format(sources: &SourceMap, file: FileId) -> Result<String, Vec<Diagnostic>> {
    let text = &sources.file(file).text;
    let (tree, problems) = parse_file(sources, file);
    if !problems.is_empty() {
        return Err(problems);
    }
    let Some(made) = layout_text(text, file) else {
        return Err(vec![damaged(file, "its brackets were not understood")]);
    };
    let mut again = SourceMap::new();
    let copy = again.add("formatted", made.as_str());
    let (new_tree, new_problems) = parse_file(&again, copy);
    if let Some(problem) = new_problems.first() {
        return Err(vec![damaged(file, &format!("the result does not parse: {}", problem.title))]);
    }
    if print::outline(&tree) != print::outline(&new_tree) {
        return Err(vec![damaged(file, "the result means something else")]);
    }
    let (old, new) = (tokens::tokens(text), tokens::tokens(&made));
    if !words(&old).eq(words(&new)) {
        return Err(vec![damaged(file, "the result has other words")]);
    }
    if !comments(&old).eq(comments(&new)) {
        return Err(vec![damaged(file, "a comment was lost")]);
    }
    Ok(made)
}

/// The formatter's own mistake: the file is left alone.
fn damaged(file: FileId, what: &str) -> Diagnostic {
    error("E0901", "internal error: the formatter would have damaged this file")
        .at(Span::new(file, 0, 0), what)
        .note("the file was left as it is")
        .help("please report this, with the file")
}

fn layout_text(text: &str, file: FileId) -> Option<String> {
    let layout = layout::layout(text, file, true);
    let mut ends: Vec<usize> = layout.ends.iter().map(|(end, _)| *end).collect();
    ends.sort_unstable();
    let (stmts, end) = tree::tree(tokens::tokens(text), &ends)?;
    let made = doc::print(&lines::file(&stmts, &end));
    Some(if made.trim().is_empty() { String::new() } else { made })
}

/// The words in order; a `;` may have become a line end.
fn words<'t>(list: &'t [tokens::Tok]) -> impl Iterator<Item = &'t str> {
    list.iter().filter(|t| t.kind != TokenKind::Semicolon).map(|t| t.text)
}

/// The comments in order.
fn comments<'t>(list: &'t [tokens::Tok]) -> impl Iterator<Item = &'t str> {
    list.iter().flat_map(|t| t.before.iter().chain(&t.after)).map(|c| c.text.as_str())
}

#[cfg(test)]
mod tests;
