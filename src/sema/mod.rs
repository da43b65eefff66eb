//! From syntax tree to concrete programs: names, types, shapes, and the graphs they stand for.
//!
//! * [`modules`]: files and library modules, and what each global name means; [`library`]: definitions read when they are used
//! * [`resolve`]: names, arities and named arguments in every definition, used or not
//! * [`elab`]: definitions instantiated with concrete hyper-parameters and shapes, checked and lowered to the IR
//! * [`program`]: the result for a train item; [`eval`]: for an expression of `optc eval`
//! * [`record`]: types and shapes by place, for the language server

pub mod builtins;
pub mod elab;
pub mod eval;
pub mod library;
pub mod lint;
pub mod modules;
pub mod program;
pub mod record;
pub mod resolve;
pub mod value;

pub use elab::{
    BuildOptions, Expectation, GRADIENT, objective_name, pipelines, program, program_recorded, test_graph,
    update_program,
};
pub use eval::{COTANGENT, EvalGraph, eval_graph};
pub use modules::{Modules, load};

#[cfg(test)]
mod tests;
