//! The library's numbers against recorded references and against finite differences, through the language, in every
//! engine. References lie outside the repository (`../shared`); where they are absent, a test says so and passes.

mod engine;
mod language;
mod ops;
mod ops_table;
mod optimizers;
mod reference;
mod run;
mod training;
