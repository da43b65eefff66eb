//! The tensor IR: a closed set of pure primitives over values of known shape.
//!
//! * [`op`]: the primitives; [`types`]: element types and shapes
//! * [`graph`]: nodes in topological order, named inputs and outputs
//! * [`infer`]: the type of a node from its operation and operands: the one definition of what is well-typed
//! * [`attention`]: the sizes of attention, and its formula
//! * [`scan`]: the loop with a body
//! * [`origin`]: through which calls, and in which part of a step, a node was made
//! * [`build`]: helpers that append nodes (broadcasting, constants, common compositions)
//! * [`window`]: windows over images, of convolution and pooling
//! * [`verify`]: the checks that run after every pass
//! * [`print`] and [`parse`]: the text form

#[cfg(test)]
pub mod arbitrary;
pub mod attention;
pub mod build;
pub mod graph;
pub mod infer;
pub mod op;
pub mod origin;
pub mod parse;
pub mod print;
pub mod scan;
pub mod types;
pub mod verify;
pub mod window;

pub use graph::{Graph, Input, InputKind, Node, NodeId, Output, OutputKind};
pub use op::{ArgKind, Binary, Compare, Op, ReduceKind, Unary};
pub use types::{DType, Shape, Type};
pub use window::{ConvPart, PoolKind, Window};
