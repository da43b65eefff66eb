//! Convolutions as matrix products of tiles.
//!
//! A tile is some hundred windows, written out as the rows of a small matrix (their *patches*) in a buffer of the thread,
//! no larger than a part of its cache; all patches together never exist. With the kernel as a matrix `[size * C, O]`:
//!
//! * the result is `patches * kernel`; tiles are the tasks;
//! * the kernel's gradient is the sum over tiles of `patchesᵀ * y`; the tasks are some fixed pieces of the windows, whose
//!   sums are added in order at the end, or blocks of output channels if the kernel is large;
//! * the image's gradient is `y * kernelᵀ`, patches that are added to where they came from; the tasks are images, so that
//!   no two add to one place.
//!
//! Windows of one element need no patches: the image is the matrix. A kernel for each channel ([`depthwise`]) is no matrix
//! product and has loops of its own. Nothing depends on the number of threads.
//!
//! Source: im2col, Chellapilla, Puri, Simard 2006; in tiles as Dukhan 2019 ("The Indirect Convolution Algorithm") describes.

mod depthwise;
mod patches;

use super::gemm::{Element, Matrix, multiply};
use super::wide::wide;
use crate::ir::window::Grid;
use crate::ir::{ConvPart, DType, Graph, NodeId, Window};
use crate::runtime::pool::Pool;
use patches::Patches;

/// A prepared part of a convolution.
#[derive(Clone, Debug)]
pub struct Conv {
    part: ConvPart,
    dtype: DType,
    grid: Grid,
    /// Tasks, and what each of them covers: windows (Result, Kernel) or images (Image).
    tasks: usize,
    step: usize,
    /// Blocks of output channels of the kernel's gradient, and the channels of each.
    blocks: usize,
    block: usize,
    /// Windows of a tile.
    rows: usize,
}

/// Multiply-adds from which two cores are worth their handshake.
const SHARED: usize = 1 << 18;
/// Elements of a tile of patches: half a megabyte, less than a core's second-level cache.
const TILE: usize = 1 << 17;
/// Most windows of a tile.
const MOST_ROWS: usize = 1024;
/// Pieces of the windows whose sums of the kernel's gradient are computed apart.
const PIECES: usize = 8;
/// Most elements of all those sums together.
const SUMS: usize = 1 << 20;
/// Output channels of a block of a large kernel's gradient.
const BLOCK: usize = 64;
/// Most tasks of an image's gradient.
const IMAGES: usize = 16;

impl Conv {
    pub fn new(graph: &Graph, id: NodeId, part: ConvPart, window: &Window, groups: usize) -> Conv {
        let node = graph.node(id);
        let operand = |k: usize| graph.ty(node.args[k]);
        let (image, result) = match part {
            ConvPart::Result => (operand(0), &node.ty),
            ConvPart::Image => (&node.ty, operand(0)),
            ConvPart::Kernel => (operand(0), operand(1)),
        };
        let grid = Grid::new(window, groups, image, result);
        let windows = grid.batch * grid.window_count();
        let depth = grid.window_elements() * (grid.channels / groups);
        let shared = windows.saturating_mul(depth).saturating_mul(grid.outputs) >= SHARED;
        let (mut blocks, mut block) = (1, grid.outputs);
        let most_rows = (TILE / depth.max(1)).clamp(16, MOST_ROWS);
        let (tasks, step) = match part {
            ConvPart::Result => {
                // Four cores get equal shares.
                let tiles = windows.div_ceil(most_rows);
                let tiles = if shared { tiles.next_multiple_of(4) } else { tiles };
                pieces(windows, tiles)
            }
            ConvPart::Image => pieces(grid.batch, if shared { IMAGES } else { 1 }),
            ConvPart::Kernel if !shared => (1, windows),
            ConvPart::Kernel if PIECES * depth * grid.outputs <= SUMS || groups > 1 => pieces(windows, PIECES),
            ConvPart::Kernel => {
                (blocks, block) = pieces(grid.outputs, grid.outputs.div_ceil(BLOCK));
                (1, windows)
            }
        };
        let covered = if part == ConvPart::Image { step * grid.window_count() } else { step };
        let tiles = covered.div_ceil(most_rows).max(1);
        let rows = covered.div_ceil(tiles).max(1);
        Conv { part, dtype: node.ty.dtype, grid, tasks, step, blocks, block, rows }
    }

    /// One input channel and any number of outputs in each group.
    fn is_depthwise(&self) -> bool {
        self.grid.groups == self.grid.channels && self.grid.groups > 1
    }

    /// Input channels of a group.
    fn inner(&self) -> usize {
        self.grid.channels / self.grid.groups
    }

    /// Rows of the kernel as a matrix.
    fn depth(&self) -> usize {
        self.grid.window_elements() * self.inner()
    }

    fn kernel_elements(&self) -> usize {
        self.depth() * self.grid.outputs
    }

    /// Multiplications and additions.
    pub fn flops(&self) -> f64 {
        let windows = self.grid.batch * self.grid.window_count();
        2.0 * windows as f64 * self.kernel_elements() as f64
    }

    /// Bytes of patches, for one thread.
    fn patch_bytes(&self) -> usize {
        let elements = if self.is_depthwise() { 0 } else { self.rows * self.depth() + patches::BLOCK };
        (elements * self.dtype.size()).next_multiple_of(64)
    }

    /// Bytes of the sums of all pieces.
    fn sum_bytes(&self) -> usize {
        let many = self.part == ConvPart::Kernel && self.tasks > 1;
        if many { (self.tasks * self.kernel_elements() * self.dtype.size()).next_multiple_of(64) } else { 0 }
    }

    /// Bytes that [`Conv::run`] writes intermediate values to.
    pub fn workspace(&self, threads: usize) -> usize {
        self.sum_bytes() + threads * self.patch_bytes()
    }

    /// # Safety
    /// See [`super::Call::run`].
    pub unsafe fn run(&self, pool: &Pool, args: &[*mut u8], out: *mut u8, workspace: *mut u8) {
        // SAFETY: the caller's promise; the pointers have the element type.
        unsafe {
            match self.dtype {
                DType::F64 => self.typed::<f64>(pool, args, out, workspace),
                _ => self.typed::<f32>(pool, args, out, workspace),
            }
        }
    }

    /// # Safety
    /// See [`super::Call::run`]; the elements are of type `T`.
    unsafe fn typed<T: Element>(&self, pool: &Pool, args: &[*mut u8], out: *mut u8, workspace: *mut u8) {
        let (a, b, out, space) = (args[0] as usize, args[1] as usize, out as usize, workspace as usize);
        pool.run(self.tasks * self.blocks, &|task, thread| {
            let (piece, block) = (task % self.tasks, task / self.tasks);
            let (a, b) = (a as *const T, b as *const T);
            // SAFETY: each thread has its own patches, each piece its own sums, and tasks write disjoint parts of `out`.
            unsafe {
                let patches = (space + self.sum_bytes() + thread * self.patch_bytes()) as *mut T;
                let out = match self.part {
                    ConvPart::Kernel if self.tasks > 1 => (space as *mut T).add(piece * self.kernel_elements()),
                    _ => out as *mut T,
                };
                match self.part {
                    ConvPart::Result => self.result(piece, a, b, out, patches),
                    ConvPart::Image => self.image(piece, a, b, out, patches),
                    ConvPart::Kernel => self.kernel(piece, block, a, b, out, patches),
                }
            }
        });
        if self.part == ConvPart::Kernel && self.tasks > 1 {
            // SAFETY: the sums of all pieces were just written; the result has as many elements as each.
            unsafe { add_pieces(pool, space as *const T, self.tasks, self.kernel_elements(), out as *mut T) };
        }
    }

    /// The windows of a task.
    fn windows(&self, task: usize) -> std::ops::Range<usize> {
        let all = self.grid.batch * self.grid.window_count();
        (task * self.step).min(all)..((task + 1) * self.step).min(all)
    }

    /// # Safety
    /// `x`, `w` and `y` are the three values; `patches` has room for a tile.
    unsafe fn result<T: Element>(&self, task: usize, x: *const T, w: *const T, y: *mut T, patches: *mut T) {
        let windows = self.windows(task);
        if self.is_depthwise() {
            // SAFETY: the caller's promise.
            return wide(
                #[inline(always)]
                || unsafe { depthwise::result(&self.grid, windows, x, w, y) },
            );
        }
        let (depth, outputs) = (self.depth(), self.grid.outputs);
        let outer = outputs / self.grid.groups;
        for start in windows.clone().step_by(self.rows) {
            let rows = self.rows.min(windows.end - start);
            for group in 0..self.grid.groups {
                let tile = Patches { grid: &self.grid, group, start, rows };
                // SAFETY: the tile's windows and the group's channels lie inside the values.
                unsafe {
                    let left = wide(
                        #[inline(always)]
                        || tile.of_image(x, patches),
                    );
                    let right = Matrix { at: w.add(group * outer).cast_mut(), row: outputs as isize, column: 1 };
                    let out = Matrix { at: y.add(start * outputs + group * outer), row: outputs as isize, column: 1 };
                    multiply([rows, outer, depth], out, left, right, false, T::ONE);
                }
            }
        }
    }

    /// # Safety
    /// As [`Conv::result`]: from `y` and `w` to `x`.
    unsafe fn image<T: Element>(&self, task: usize, y: *const T, w: *const T, x: *mut T, patches: *mut T) {
        let grid = &self.grid;
        let (first, last) = (task * self.step, ((task + 1) * self.step).min(grid.batch));
        let pixels = grid.image_elements() * grid.channels;
        let plain = grid.is_plain() && grid.groups == 1;
        if !plain {
            // SAFETY: the images of this task.
            unsafe { std::ptr::write_bytes(x.add(first * pixels), 0, (last.max(first) - first) * pixels) };
        }
        let windows = first * grid.window_count()..last.max(first) * grid.window_count();
        if self.is_depthwise() {
            // SAFETY: the caller's promise.
            return wide(
                #[inline(always)]
                || unsafe { depthwise::image(grid, windows, y, w, x) },
            );
        }
        let (depth, outputs) = (self.depth(), grid.outputs);
        let outer = outputs / grid.groups;
        for start in windows.clone().step_by(self.rows) {
            let rows = self.rows.min(windows.end - start);
            for group in 0..grid.groups {
                let tile = Patches { grid, group, start, rows };
                // SAFETY: as in `result`.
                unsafe {
                    let left = Matrix {
                        at: y.add(start * outputs + group * outer).cast_mut(),
                        row: outputs as isize,
                        column: 1,
                    };
                    let right = Matrix { at: w.add(group * outer).cast_mut(), row: 1, column: outputs as isize };
                    let at = if plain { x.add(start * depth) } else { patches };
                    let out = Matrix { at, row: depth as isize, column: 1 };
                    multiply([rows, depth, outer], out, left, right, false, T::ONE);
                    if !plain {
                        wide(
                            #[inline(always)]
                            || tile.add_to_image(patches, x),
                        );
                    }
                }
            }
        }
    }

    /// # Safety
    /// As [`Conv::result`]: from `x` and `y` to `w`, which is this piece's.
    unsafe fn kernel<T: Element>(
        &self,
        task: usize,
        block: usize,
        x: *const T,
        y: *const T,
        w: *mut T,
        patches: *mut T,
    ) {
        let windows = self.windows(task);
        let (depth, outputs) = (self.depth(), self.grid.outputs);
        if self.is_depthwise() {
            // SAFETY: the caller's promise.
            return wide(
                #[inline(always)]
                || unsafe { depthwise::kernel(&self.grid, windows, x, y, w) },
            );
        }
        if windows.is_empty() {
            // SAFETY: without windows there is one block.
            return unsafe { std::ptr::write_bytes(w, 0, depth * outputs) };
        }
        let outer = outputs / self.grid.groups;
        for start in windows.clone().step_by(self.rows) {
            let rows = self.rows.min(windows.end - start);
            for group in 0..self.grid.groups {
                let tile = Patches { grid: &self.grid, group, start, rows };
                let from = group * outer + block * self.block;
                let columns = self.block.min(outputs - block * self.block).min(outer);
                // SAFETY: as in `result`; the block's channels are this task's.
                unsafe {
                    let left = wide(
                        #[inline(always)]
                        || tile.of_image(x, patches),
                    );
                    let right =
                        Matrix { at: y.add(start * outputs + from).cast_mut(), row: outputs as isize, column: 1 };
                    let out = Matrix { at: w.add(from), row: outputs as isize, column: 1 };
                    multiply([depth, columns, rows], out, left.transposed(), right, start > windows.start, T::ONE);
                }
            }
        }
    }
}

/// `count` things in at most `pieces` equal shares: how many, and the size of each. Nothing is one empty share.
fn pieces(count: usize, pieces: usize) -> (usize, usize) {
    let step = count.div_ceil(pieces.max(1)).max(1);
    (count.div_ceil(step).max(1), step)
}

/// Adds the pieces' sums, element by element, in the order of the pieces.
///
/// # Safety
/// `sums` holds `pieces * elements` elements, `out` as many as one piece.
unsafe fn add_pieces<T: Element>(pool: &Pool, sums: *const T, pieces: usize, elements: usize, out: *mut T) {
    const SHARE: usize = 1 << 14;
    let (sums, out) = (sums as usize, out as usize);
    pool.run(elements.div_ceil(SHARE), &|task, _| {
        let (start, end) = (task * SHARE, ((task + 1) * SHARE).min(elements));
        let (sums, out) = (sums as *const T, out as *mut T);
        // SAFETY: the caller's promise; tasks write disjoint ranges.
        unsafe {
            let total = std::slice::from_raw_parts_mut(out.add(start), end - start);
            total.copy_from_slice(std::slice::from_raw_parts(sums.add(start), end - start));
            for piece in 1..pieces {
                let part = std::slice::from_raw_parts(sums.add(piece * elements + start), end - start);
                total.iter_mut().zip(part).for_each(|(t, p)| *t = *t + *p);
            }
        }
    });
}
