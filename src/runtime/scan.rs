//! A loop of the program: its body, compiled once, and where each step reads and writes.
//!
//! Carried values live where the loop's results have them and are updated there; stacked results are written in place, so a step
//! copies and allocates nothing of its own.

use super::exec::{Compiled, Options};
use crate::diag::Diagnostic;
use crate::ir::scan::Scan;

pub struct Loop {
    body: Compiled,
    steps: usize,
    reverse: bool,
    /// Bytes of each carried value, of one slice of each stacked operand, and of one step of each emitted value.
    carries: Vec<usize>,
    slices: Vec<usize>,
    emits: Vec<usize>,
    // The pointers of a step, kept so that steps allocate nothing.
    inputs: Vec<*mut u8>,
    results: Vec<*mut u8>,
}

impl Loop {
    pub fn new(scan: &Scan, options: &Options) -> Result<Loop, Diagnostic> {
        let input = |k: usize| scan.body.inputs[k].ty.bytes();
        let output = |k: usize| scan.body.ty(scan.body.outputs[k].node).bytes();
        Ok(Loop {
            body: Compiled::new(&scan.body, options)?,
            steps: scan.steps,
            reverse: scan.reverse,
            carries: (0..scan.carries).map(input).collect(),
            slices: (scan.carries..scan.carries + scan.slices).map(input).collect(),
            emits: (scan.carries..scan.body.outputs.len()).map(output).collect(),
            inputs: vec![std::ptr::null_mut(); scan.body.inputs.len()],
            results: vec![std::ptr::null_mut(); scan.emits()],
        })
    }

    pub fn body(&self) -> &Compiled {
        &self.body
    }

    pub fn steps(&self) -> usize {
        self.steps
    }

    /// # Safety
    /// `args` are the bytes of the operands and `out` those of the result, with as many elements as the scan says; `out`
    /// overlaps no operand.
    pub unsafe fn run(&mut self, args: &[*mut u8], out: *mut u8) {
        // SAFETY: the offsets are those of whole values and slices of them.
        unsafe {
            self.inputs.copy_from_slice(args);
            let mut at = 0;
            for (input, bytes) in self.inputs.iter_mut().zip(&self.carries) {
                std::ptr::copy_nonoverlapping(*input, out.add(at), *bytes);
                *input = out.add(at);
                at += bytes;
            }
            for turn in 0..self.steps {
                let step = if self.reverse { self.steps - 1 - turn } else { turn };
                let first = self.carries.len();
                for (k, bytes) in self.slices.iter().enumerate() {
                    self.inputs[first + k] = args[first + k].add(step * bytes);
                }
                let mut stack = at;
                for (result, bytes) in self.results.iter_mut().zip(&self.emits) {
                    *result = out.add(stack + step * bytes);
                    stack += self.steps * bytes;
                }
                self.body.run_at(&self.inputs, &self.results);
            }
        }
    }
}
