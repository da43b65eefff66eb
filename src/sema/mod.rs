//! From syntax tree to concrete programs: names, types, shapes, and the graphs they stand for.
pub mod program;
