//! The language server (`optc lsp`), on stdin and stdout.
//!
//! It knows nothing that the compiler does not: a changed text is checked as `optc check` does it ([`analysis`]), with the types of
//! all expressions written down ([`crate::sema::record`]) and an index of its names ([`index`]). Each request is answered from the
//! newest text; diagnostics follow a moment after the last change.
//!
//! * [`server`]: documents, requests, and when to check
//! * [`hover`], [`navigate`] (definition, references, rename, symbols), [`completion`], [`inlay`], [`diagnostics`], [`actions`]
//! * [`text`]: places in UTF-16 units, paths and URIs; [`library`]: the library's files, for an editor to open

mod actions;
pub mod analysis;
mod completion;
mod diagnostics;
mod hover;
pub mod index;
mod inlay;
mod library;
mod navigate;
mod server;
mod text;

pub use server::serve;
