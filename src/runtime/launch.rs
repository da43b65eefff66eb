//! A compiled kernel made ready to run: its tiles, the blocks of its partial results, and its scratch memory.
//!
//! Tiles depend on the kernel alone, never on the number of threads, and partial results combine in the order of
//! tiles: one thread and many give the same bits.

use super::pool::Pool;
use crate::codegen::{Entry, PartialLayout, combine_partials, partial_layout, scratch_bytes};
use crate::ir::{Binary, Unary};
use crate::kernel::{Kernel, Level, Space, ValueKind};

/// A tile costs about this much: bytes moved and twice the simple operations. Some ten microseconds.
const TILE: usize = 1 << 17;
const MOST_TILES: usize = 64;
/// Flat tiles end at multiples of this many elements: whole cache lines, and whole vectors.
const FLAT_GRAIN: usize = 64;

/// Sizes of a kernel's launch; the entry and the memory are bound later.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Rows, or elements of a flat space.
    pub total: usize,
    /// Rows or elements of a tile.
    pub step: usize,
    pub tasks: usize,
    pub layout: PartialLayout,
    /// For each thread.
    pub scratch: usize,
}

impl Shape {
    pub fn new(kernel: &Kernel) -> Shape {
        let (total, inner) = match &kernel.space {
            Space::Flat { elements } => (*elements, 1),
            Space::Grid { outer, inner } => (outer.iter().product(), *inner),
            Space::Segments { offsets } => {
                let segments = offsets.len() - 1;
                (segments, offsets.last().map_or(1, |n| n.div_ceil(segments.max(1))))
            }
        };
        let tasks = (cost(kernel, total * inner) / TILE).clamp(1, MOST_TILES);
        let mut step = total.div_ceil(tasks).max(1);
        if matches!(kernel.space, Space::Flat { .. }) {
            step = step.next_multiple_of(FLAT_GRAIN);
        }
        let scratch = scratch_bytes(kernel).next_multiple_of(64);
        // An empty space still has its reductions' first values to write.
        Shape { total, step, tasks: total.div_ceil(step).max(1), layout: partial_layout(kernel), scratch }
    }

    /// Bytes for the partial results of all tiles.
    pub fn partial_bytes(&self) -> usize {
        self.layout.bytes * self.tasks
    }
}

/// Bytes moved and twice the simple operations of a whole kernel.
fn cost(kernel: &Kernel, elements: usize) -> usize {
    let bytes: usize = kernel.params.iter().map(|p| p.elements.min(elements) * p.dtype.size()).sum();
    let operations: usize = kernel.values.iter().filter(|v| v.level == Level::Element).map(|v| weight(&v.kind)).sum();
    bytes + 2 * operations * elements
}

fn weight(kind: &ValueKind) -> usize {
    match kind {
        ValueKind::Const(_) | ValueKind::Load { .. } | ValueKind::Index(_) => 0,
        ValueKind::Random { .. } => 30,
        ValueKind::Unary(Unary::Neg | Unary::Abs | Unary::Sign | Unary::Not | Unary::IsFinite, _) => 1,
        ValueKind::Unary(Unary::Sqrt | Unary::Rsqrt, _) => 3,
        ValueKind::Unary(..) => 8,
        ValueKind::Binary(Binary::Pow, ..) => 20,
        ValueKind::Binary(Binary::Div | Binary::Rem, ..) => 3,
        _ => 1,
    }
}

/// A kernel with its memory.
pub struct Launch {
    entry: Entry,
    shape: Shape,
    /// One block for each tile.
    partials: *mut u8,
    /// One block for each thread.
    scratch: *mut u8,
    /// For each reduction, its place in each tile's block.
    blocks: Vec<Vec<*const u8>>,
}

impl Launch {
    /// # Safety
    /// `partials` and `scratch` have room for [`Shape::partial_bytes`], and [`Shape::scratch`] for each thread, as long
    /// as the launch lives; so does the module of `entry`.
    pub unsafe fn new(entry: Entry, shape: Shape, partials: *mut u8, scratch: *mut u8) -> Launch {
        let block = |offset: usize, task: usize| {
            // SAFETY: inside the blocks by the caller's promise.
            unsafe { partials.add(task * shape.layout.bytes + offset).cast_const() }
        };
        let places = |offset: usize| (0..shape.tasks).map(|task| block(offset, task)).collect();
        let blocks = shape.layout.slots.iter().map(|slot| places(slot.offset)).collect();
        Launch { entry, shape, partials, scratch, blocks }
    }

    /// # Safety
    /// `params` are the kernel's parameters, each with as many elements as it says; written ones are nobody else's, or
    /// read by this kernel at the very places that it writes.
    pub unsafe fn run(&self, pool: &Pool, params: &[*mut u8]) {
        let shape = &self.shape;
        if shape.tasks == 1 {
            // SAFETY: the caller's promise.
            unsafe { (self.entry)(params.as_ptr(), 0, shape.total, self.partials, self.scratch) };
        } else {
            let (params, partials, scratch) = (params.as_ptr() as usize, self.partials as usize, self.scratch as usize);
            let entry = self.entry;
            pool.run(shape.tasks, &|task, thread| {
                let (start, end) = (task * shape.step, ((task + 1) * shape.step).min(shape.total));
                let partial = (partials + task * shape.layout.bytes) as *mut u8;
                let scratch = (scratch + thread * shape.scratch) as *mut u8;
                // SAFETY: the caller's promise; tiles write disjoint rows, their own block and their thread's scratch.
                unsafe { entry(params as *const *mut u8, start, end, partial, scratch) };
            });
        }
        for (slot, blocks) in shape.layout.slots.iter().zip(&self.blocks) {
            // SAFETY: the blocks were just written, and the parameter holds the reduction's elements.
            unsafe { combine_partials(slot.dtype, slot.kind, blocks, slot.elements, params[slot.param]) };
        }
    }
}
