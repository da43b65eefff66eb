//! What runs compiled steps: buffers, threads, matrix products, random bits.

pub mod exec;
mod launch;
mod memory;
pub mod ops;
pub mod pool;
pub mod random;
mod scan;
mod subnormal;
pub mod tensor;

pub use exec::{Compiled, Engine, Options};
pub use tensor::{Buffer, Tensor};

/// A graph made runnable, by the interpreter or by the code generator.
pub trait Executable: Send {
    /// Runs the graph once. `inputs` are in the order of the graph's inputs; those named by an
    /// [`OutputKind::Update`](crate::ir::OutputKind::Update) output hold their new value afterwards.
    /// `results` gets the other outputs, in the graph's order; its tensors have the outputs' types.
    fn run(&mut self, inputs: &mut [&mut Tensor], results: &mut [Tensor]);
}

#[cfg(test)]
mod tests;
