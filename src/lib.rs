//! optc: a declarative language and compiler for training neural networks.

pub mod ad;
pub mod bench;
pub mod cli;
pub mod codegen;
pub mod data;
pub mod diag;
pub mod driver;
pub mod interp;
pub mod ir;
pub mod kernel;
pub mod passes;
pub mod runtime;
pub mod sema;
pub mod source;
pub mod stdlib;
pub mod syntax;
pub mod train;
