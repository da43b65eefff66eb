//! Text to syntax tree.
//!
//! [`layout`] decides which line ends end a statement, finds where items begin and reports brackets that do not match;
//! [`parse`] runs the grammar (`grammar/opt.pest`) over one item at a time and builds the [`ast`]; [`errors`] puts a
//! failed parse into the user's words; [`print`] shows a tree (`optc ir --stage ast`); [`format`]
//! puts a text into the standard style.

pub mod ast;
mod errors;
pub mod format;
mod layout;
mod lex;
pub mod parse;
pub mod print;
pub mod walk;

pub use errors::is_reserved;
pub use layout::ITEM_WORDS;
pub use lex::is_name_char;
pub use parse::{parse_expr, parse_file, parse_item};

#[cfg(test)]
mod tests;
