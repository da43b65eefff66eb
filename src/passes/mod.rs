//! Passes over the tensor IR, and from it to kernels and a plan.

pub mod fuse;
pub mod plan;
