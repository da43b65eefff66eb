//! Native code for kernels, by Cranelift. The only place that knows Cranelift.
//!
//! `plan` decides what is computed where, `emit` (with `inner`, `value` and `access`) writes the function, `quad` and
//! `lanes` the vector instructions, `math` the elementary functions, `jit` compiles and owns the code. `width` says which
//! kernels are emitted for 256-bit vectors, and `widen` makes that of Cranelift's 128-bit code. Every kernel is verified
//! first: see [`crate::kernel::verify`].

mod access;
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
#[cfg(target_arch = "x86_64")]
mod widen;
pub(crate) mod width;

#[cfg(test)]
mod tests;

pub use jit::{CodegenError, CompiledKernel, Entry, Module, Widths, compile, compile_widths};
pub use partials::{PartialLayout, PartialSlot, combine_partials, partial_layout};

use crate::kernel::Kernel;
use width::Width;

/// Bytes of scratch memory that each task of a kernel needs; 0 if none.
pub fn scratch_bytes(kernel: &Kernel) -> usize {
    // Which width a kernel gets is known only when it is compiled.
    [Width::W128, Width::W256].map(|width| plan::plan(kernel, width).scratch_bytes).into_iter().max().unwrap_or(0)
}
