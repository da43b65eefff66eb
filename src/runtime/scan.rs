//! A loop of the program: its body, compiled once, and where each step reads and writes.
//!
//! Carried values live where the loop's results have them and are updated there; stacked results are written in place, so a step
//! copies and allocates nothing of its own. A loop over a batch whose rows do not meet ([`scan_rows`]) runs in parts of some rows, each
//! from its first step to its last on one thread: threads meet once a loop, and not several times a step.

use super::exec::{Compiled, Options};
use super::pool::Pool;
use crate::diag::Diagnostic;
use crate::ir::scan::Scan;
use crate::passes::scan_rows;
use std::time::Duration;

/// Least rows of a part: fewer leave the weights too little to do.
const ROWS: usize = 16;
const MOST_PARTS: usize = 8;
/// Largest constants (weights) of a loop that runs in parts: each part reads all of them at every step, from its thread's cache.
const CACHED: usize = 3 << 19;

pub struct Loop {
    layout: Layout,
    /// One for all rows, or one for each part of them.
    parts: Vec<Part>,
}

/// Where the steps of each part find their values.
struct Layout {
    parts: usize,
    steps: usize,
    reverse: bool,
    carries: usize,
    slices: usize,
    /// Bytes of each of the body's inputs (for a stacked one: of one slice), and whether it has rows.
    inputs: Vec<(usize, bool)>,
    /// Bytes of one step of each emitted value.
    emits: Vec<usize>,
}

struct Part {
    body: Compiled,
    // The pointers of a step, kept so that steps allocate nothing.
    inputs: Vec<*mut u8>,
    results: Vec<*mut u8>,
}

/// In how many parts of how many rows a loop should run.
fn parts(scan: &Scan) -> Option<(usize, usize)> {
    let rows = scan_rows::row_count(scan)?;
    let constants = &scan.body.inputs[scan.carries + scan.slices..];
    let most = (rows / ROWS).min(MOST_PARTS);
    let pays = most > 1 && constants.iter().map(|i| i.ty.bytes()).sum::<usize>() <= CACHED;
    let parts = if pays { 1 << most.ilog2() } else { return None };
    rows.is_multiple_of(parts).then_some((parts, rows / parts))
}

impl Loop {
    pub fn new(scan: &Scan, options: &Options) -> Result<Loop, Diagnostic> {
        let output = |k: usize| scan.body.ty(scan.body.outputs[k].node).bytes();
        let split = parts(scan).and_then(|(parts, rows)| Some((parts, scan_rows::of_rows(scan, rows)?)));
        let (count, first, with_rows) = match split {
            Some((parts, (part, with_rows))) => (parts, Compiled::new(&part.body, options)?, with_rows),
            None => (1, Compiled::new(&scan.body, options)?, vec![false; scan.body.inputs.len()]),
        };
        let mut bodies = vec![];
        for _ in 1..count {
            bodies.push(first.another(options)?);
        }
        bodies.push(first);
        let part = |body| Part {
            body,
            inputs: vec![std::ptr::null_mut(); scan.body.inputs.len()],
            results: vec![std::ptr::null_mut(); scan.emits()],
        };
        let layout = Layout {
            parts: count,
            steps: scan.steps,
            reverse: scan.reverse,
            carries: scan.carries,
            slices: scan.slices,
            inputs: scan.body.inputs.iter().map(|i| i.ty.bytes()).zip(with_rows).collect(),
            emits: (scan.carries..scan.body.outputs.len()).map(output).collect(),
        };
        Ok(Loop { layout, parts: bodies.into_iter().map(part).collect() })
    }

    /// The body, for one part of the rows.
    pub fn body(&self) -> &Compiled {
        &self.parts[0].body
    }

    /// How often the body runs.
    pub fn runs(&self) -> usize {
        self.layout.steps * self.layout.parts
    }

    /// Adds the time of each of the body's instructions to `times`, if there are any; parts then run one after another.
    ///
    /// # Safety
    /// `args` are the bytes of the operands and `out` those of the result, with as many elements as the scan says; `out`
    /// overlaps no operand.
    pub unsafe fn run(&mut self, pool: &Pool, args: &[*mut u8], out: *mut u8, times: Option<&mut [Duration]>) {
        let layout = &self.layout;
        let mut at = 0;
        for (first, (bytes, _)) in args.iter().zip(&layout.inputs[..layout.carries]) {
            // SAFETY: the result begins with the carried values.
            unsafe { std::ptr::copy_nonoverlapping(*first, out.add(at), *bytes) };
            at += bytes;
        }
        if let Some(times) = times {
            for (k, part) in self.parts.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { layout.run(part, k, args, out, Some(&mut *times)) };
            }
            return;
        }
        let (parts, operands, count) = (self.parts.as_mut_ptr() as usize, args.as_ptr() as usize, args.len());
        let out = out as usize;
        pool.run(layout.parts, &|k, _| {
            // SAFETY: each task has a part of its own, and parts write rows of their own; the rest is the caller's promise.
            unsafe {
                let part = &mut *(parts as *mut Part).add(k);
                let args = std::slice::from_raw_parts(operands as *const *mut u8, count);
                layout.run(part, k, args, out as *mut u8, None);
            }
        });
    }
}

impl Layout {
    /// All steps of one part.
    ///
    /// # Safety
    /// As for [`Loop::run`]; the carried values are in their places.
    unsafe fn run(
        &self,
        part: &mut Part,
        number: usize,
        args: &[*mut u8],
        out: *mut u8,
        mut times: Option<&mut [Duration]>,
    ) {
        // Bytes before this part's rows.
        let before = |bytes: usize| number * (bytes / self.parts);
        let stacked = self.carries..self.carries + self.slices;
        // SAFETY: the offsets are those of whole values, slices of them, and rows of those.
        unsafe {
            let mut at = 0;
            for (k, (bytes, with_rows)) in self.inputs.iter().enumerate() {
                let rows = if *with_rows { before(*bytes) } else { 0 };
                if k < self.carries {
                    part.inputs[k] = out.add(at + before(*bytes));
                    at += bytes;
                } else {
                    part.inputs[k] = args[k].add(rows);
                }
            }
            for turn in 0..self.steps {
                let step = if self.reverse { self.steps - 1 - turn } else { turn };
                for k in stacked.clone() {
                    let (bytes, with_rows) = self.inputs[k];
                    let rows = if with_rows { before(bytes) } else { 0 };
                    part.inputs[k] = args[k].add(step * bytes + rows);
                }
                let mut stack = at;
                for (result, bytes) in part.results.iter_mut().zip(&self.emits) {
                    *result = out.add(stack + step * bytes + before(*bytes));
                    stack += self.steps * bytes;
                }
                match &mut times {
                    Some(times) => part.body.run_timed_at(&part.inputs, &part.results, times),
                    None => part.body.run_at(&part.inputs, &part.results),
                }
            }
        }
    }
}
