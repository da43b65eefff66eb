//! Text to syntax tree.
//!
//! [`layout`] decides which line ends end a statement, finds where items begin and reports brackets that do not match;
//! [`parse`] runs the grammar (`grammar/opt.pest`) over one item at a time and builds the [`ast`]; [`errors`] puts a
//! failed parse into the user's words; [`print`] shows a tree (`optc ir --stage ast`); [`format`]
//! puts a text into the standard style.

use crate::source::{SourceMap, Span};

pub mod ast;
mod errors;
pub mod format;
mod layout;
pub mod lex;
pub mod parse;
pub mod print;
mod slips;
pub mod visit;
pub mod walk;

pub use errors::is_reserved;
pub use layout::ITEM_WORDS;
pub use lex::{is_name_char, is_name_start};
pub use parse::{parse_expr, parse_file, parse_item};

/// The name inside an expression that is only a name: its span may hold parentheses and comments too.
pub fn name_in(sources: &SourceMap, span: Span, name: &str) -> Span {
    let text = sources.text(span);
    if text == name {
        return span;
    }
    let mut at = 0;
    while let Some(token) = lex::next_token(text, lex::skip_trivia(text, at, &mut text.as_bytes().to_vec()).end) {
        if &text[token.start..token.end] == name {
            return Span::new(span.file, span.start as usize + token.start, span.start as usize + token.end);
        }
        at = token.end;
    }
    span
}

#[cfg(test)]
mod tests;
