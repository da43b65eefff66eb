//! Operations that only move elements, of any type.

use super::Axis;
use crate::ir::types::strides;
use crate::ir::{Graph, NodeId, Op};
use crate::runtime::pool::Pool;
use std::ptr::copy_nonoverlapping as copy;
use std::sync::Arc;

/// Sizes are in bytes where they say so, else in elements.
#[derive(Clone, Debug)]
pub enum Movement {
    Gather {
        outer: usize,
        size: usize,
        inner_bytes: usize,
        indices: usize,
    },
    /// Bytes of each operand for one step of the outer axes.
    Concat {
        outer: usize,
        parts: Vec<usize>,
    },
    Pad {
        shape: Vec<usize>,
        result_elements: usize,
        start: isize,
        steps: Vec<isize>,
        element: usize,
    },
    Repeat {
        offsets: Arc<Vec<usize>>,
        element: usize,
    },
}

impl Movement {
    /// `None` for an operation that computes.
    pub fn new(graph: &Graph, id: NodeId) -> Option<Movement> {
        let node = graph.node(id);
        let element = node.ty.dtype.size();
        let shape = |k: usize| graph.shape(node.args[k]).as_slice();
        Some(match &node.op {
            Op::Gather { axis } => {
                let at = Axis::of(shape(0), *axis);
                let indices = graph.ty(node.args[1]).elements();
                Movement::Gather { outer: at.outer, size: at.size, inner_bytes: at.inner * element, indices }
            }
            Op::Concat { axis } => {
                let outer = node.ty.shape[..*axis].iter().product();
                let part = |k: usize| shape(k)[*axis..].iter().product::<usize>() * element;
                Movement::Concat { outer, parts: (0..node.args.len()).map(part).collect() }
            }
            Op::Pad { low, interior, .. } => {
                let result = strides(&node.ty.shape);
                let start = low.iter().zip(&result).map(|(l, s)| (l * s) as isize).sum();
                let steps = interior.iter().zip(&result).map(|(i, s)| ((i + 1) * s) as isize).collect();
                Movement::Pad { shape: shape(0).to_vec(), result_elements: node.ty.elements(), start, steps, element }
            }
            Op::SegmentBroadcast { offsets } => Movement::Repeat { offsets: offsets.clone(), element },
            _ => return None,
        })
    }

    /// # Safety
    /// See [`super::Call::run`].
    pub unsafe fn run(&self, pool: &Pool, args: &[*mut u8], out: *mut u8) {
        // SAFETY: every position is inside the operand or the result by the shapes; indices are clamped.
        unsafe {
            match self {
                Movement::Gather { outer, size, inner_bytes, indices } => {
                    let index = args[1].cast::<i32>();
                    for o in 0..*outer {
                        for i in 0..*indices {
                            let row = clamped(*index.add(i), *size);
                            let from = args[0].add((o * size + row) * inner_bytes);
                            copy(from, out.add((o * indices + i) * inner_bytes), *inner_bytes);
                        }
                    }
                }
                Movement::Concat { outer, parts } => {
                    let mut to = out;
                    for o in 0..*outer {
                        for (arg, bytes) in args.iter().zip(parts) {
                            copy(arg.add(o * bytes), to, *bytes);
                            to = to.add(*bytes);
                        }
                    }
                }
                Movement::Pad { shape, result_elements, start, steps, element } => {
                    repeat(args[1], out, *result_elements, *element);
                    // Elements that stay neighbours move together: lines of the last axis, if nothing comes between them.
                    let (axes, line) = match (shape.split_last(), steps.last()) {
                        (Some((line, axes)), Some(1)) => (axes, *line),
                        _ => (shape.as_slice(), 1),
                    };
                    let lines: usize = if line == 0 { 0 } else { axes.iter().product() };
                    for k in 0..lines {
                        let (mut rest, mut at) = (k, *start);
                        for (size, step) in axes.iter().zip(steps).rev() {
                            at += (rest % size) as isize * step;
                            rest /= size;
                        }
                        let from = args[0].add(k * line * element);
                        copy(from, out.offset(at * *element as isize), line * element);
                    }
                }
                Movement::Repeat { offsets, element } => {
                    let (from, to) = (args[0] as usize, out as usize);
                    pool.run(offsets.len().saturating_sub(1), &|s, _| {
                        let (start, end) = (offsets[s], offsets[s + 1]);
                        repeat(
                            (from + s * element) as *const u8,
                            (to + start * element) as *mut u8,
                            end - start,
                            *element,
                        );
                    });
                }
            }
        }
    }
}

/// The place of an index along an axis of `size` elements: one outside is moved to the nearest end.
pub(super) fn clamped(index: i32, size: usize) -> usize {
    usize::try_from(index).unwrap_or(0).min(size - 1)
}

/// # Safety
/// `from` holds one element and `to` has room for `count`.
unsafe fn repeat(from: *const u8, to: *mut u8, count: usize, element: usize) {
    // SAFETY: the caller's promise; elements are of four or eight bytes and aligned.
    unsafe {
        if element == 8 {
            std::slice::from_raw_parts_mut(to.cast::<u64>(), count).fill(*from.cast::<u64>());
        } else {
            std::slice::from_raw_parts_mut(to.cast::<u32>(), count).fill(*from.cast::<u32>());
        }
    }
}
