//! Native code for kernels, by Cranelift. The only place that knows Cranelift.
//!
//! `plan` decides what is computed where, `emit` (with `inner` and `value`) writes the function, `quad` and `lanes` the
//! vector instructions, `math` the elementary functions, `jit` compiles and owns the code. Every kernel is verified
//! first: see [`crate::kernel::verify`].

mod emit;
mod host;
mod inner;
mod jit;
mod lanes;
mod math;
mod partials;
pub(crate) mod plan;
mod quad;
mod value;

#[cfg(test)]
mod tests;

pub use jit::{CodegenError, CompiledKernel, Entry, Module, compile};
pub use partials::{PartialLayout, PartialSlot, combine_partials, partial_layout};

use crate::kernel::Kernel;

/// Bytes of scratch memory that each task of a kernel needs; 0 if none.
pub fn scratch_bytes(kernel: &Kernel) -> usize {
    plan::plan(kernel).scratch_bytes
}
