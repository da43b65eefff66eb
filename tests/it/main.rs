//! Integration tests: one binary, so that the library is linked once.
//!
//! The library's numbers are compared with recorded references and with finite differences, through the language, in
//! every engine. References lie outside the repository (`../shared`); where they are absent, a test says so and passes.

mod char_gpt;
mod check;
mod checkpoints;
mod cli;
mod cnn;
mod counts;
mod data;
mod docs;
mod engine;
mod examples;
mod examples_train;
mod experiments;
mod faults;
mod fmt;
mod fuzz;
mod gpt;
mod language;
mod library_rules;
mod lsp;
mod metrics;
mod mutations;
mod objectives;
mod ops;
mod ops_table;
mod optimizers;
mod recorded;
mod recurrent;
mod reference;
mod report;
mod rules;
mod run;
mod scan;
mod stdlib;
mod streaming;
mod support;
mod training;
