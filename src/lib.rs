//! optc: a declarative language and compiler for training neural networks.
//!
//! ```text
//! .opt text ─ syntax ─▶ tree ─ sema ─▶ tensor IR ─ ad ─▶ IR (forward + backward + update)
//!           ─ passes ─▶ fused, planned IR ─ kernel ─▶ loop nests ─ codegen ─▶ native code ─ runtime, train ─▶ trained weights
//!                                    └──────── interp: the oracle that every stage is compared with
//! ```
//!
//! [`driver`] names the stages in order; `optc ir FILE --stage …` prints each.
//!
//! * [`syntax`]: text to [`syntax::ast`]; [`source`] and [`diag`]: places and messages
//! * [`sema`]: names, types and shapes; elaborates definitions at each use into [`ir`]. The library it reads is [`stdlib`]
//! * [`ad`]: reverse mode, one rule for each primitive
//! * [`passes`]: simplification, fusion to [`kernel`]s, the memory plan
//! * [`codegen`]: Cranelift; [`runtime`]: buffers, threads, products, random bits. All `unsafe` code is in these two
//! * [`linalg`]: decompositions of matrices, for both
//! * [`interp`]: the slow, obvious interpreter of the IR
//! * [`data`], [`train`]: sources and steps of data, the training loop and what it writes
//! * [`report`]: what a run leaves for people: pages, pictures, event files
//! * [`experiment`]: several runs of one training: comparisons, sweeps
//! * [`doc`]: what the library says about a definition, and its formula in LaTeX
//! * [`cli`]: all printing; [`lsp`]: the language server; [`bench`]: measurements

pub mod ad;
pub mod bench;
pub mod cli;
pub mod codegen;
pub mod data;
pub mod diag;
pub mod doc;
pub mod driver;
pub mod experiment;
pub mod interp;
pub mod ir;
pub mod kernel;
pub mod linalg;
pub mod lsp;
pub mod passes;
pub mod report;
pub mod runtime;
pub mod sema;
pub mod source;
pub mod stdlib;
pub mod syntax;
pub mod train;
