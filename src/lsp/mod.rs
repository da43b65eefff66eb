//! The language server (`optc lsp`), on stdin and stdout.
//!
//! It knows nothing that the compiler does not: a changed text is checked as `optc check` does it ([`analysis`]), with the types of
//! all expressions written down ([`crate::sema::record`]) and an index of its names ([`index`]). Each request is answered from the
//! newest text; diagnostics follow a moment after the last change.
//!
//! * [`server`]: requests, and when to check; [`workspace`]: the open texts and the files beside them
//! * [`hover`] (with [`generic`] for definitions that nothing calls), [`navigate`] (definition, symbols), [`rename`] (and references),
//!   [`completion`] (with [`members`] and [`imports`]), [`signature`] (with [`calls`]), [`inlay`], [`diagnostics`], [`actions`]
//! * [`text`]: places in UTF-16 units, paths and URIs; [`library`]: the library's files, for an editor to open

mod actions;
pub mod analysis;
mod calls;
mod completion;
mod diagnostics;
mod generic;
mod hover;
mod imports;
pub mod index;
mod inlay;
mod library;
mod members;
mod navigate;
mod rename;
mod server;
mod signature;
mod text;
mod workspace;

pub use completion::SETTINGS;
pub use server::serve;
