//! Pooling: windows over the spatial axes of channels-last values.
//!
//! Tasks are images of the batch, so that no two add to one place, whatever windows overlap. A window goes over its
//! elements with some channels at a time, whose sums or maxima stay in registers. The largest elements of windows are not
//! kept for the derivative but found again: that reads the image once more and saves an index for each window.

use super::wide::wide;
use crate::ir::window::Grid;
use crate::ir::{DType, Graph, NodeId, PoolKind, Window};
use crate::runtime::pool::Pool;

/// A prepared pooling.
#[derive(Clone, Debug)]
pub struct Pooling {
    kind: PoolKind,
    dtype: DType,
    grid: Grid,
    /// For each axis and position of the window, its first element inside of the image, and how many there are.
    spans: [Vec<(usize, usize)>; 3],
    /// Images of a task.
    step: usize,
}

/// Elements of a task.
const TASK: usize = 1 << 15;
/// Channels that are worked on at a time.
const CHANNELS: usize = 16;

impl Pooling {
    pub fn new(graph: &Graph, id: NodeId, kind: PoolKind, window: &Window) -> Pooling {
        let node = graph.node(id);
        let operand = |k: usize| graph.ty(node.args[k]);
        let (image, result) = match kind {
            PoolKind::Sum | PoolKind::Max | PoolKind::Pick => (operand(0), &node.ty),
            PoolKind::Spread => (&node.ty, operand(0)),
            PoolKind::Scatter => (operand(0), operand(1)),
        };
        let grid = Grid::new(window, 1, image, result);
        let spans = [0, 1, 2].map(|axis| (0..grid.positions[axis]).map(|p| span(&grid, axis, p)).collect());
        let elements = (grid.image_elements() + grid.window_count()) * grid.channels;
        Pooling { kind, dtype: node.ty.dtype, spans, step: (TASK / elements.max(1)).max(1), grid }
    }

    /// # Safety
    /// See [`super::Call::run`].
    pub unsafe fn run(&self, pool: &Pool, args: &[*mut u8], out: *mut u8) {
        // SAFETY: the caller's promise; the pointers have the element type.
        unsafe {
            match self.dtype {
                DType::F64 => self.typed::<f64>(pool, args, out),
                _ => self.typed::<f32>(pool, args, out),
            }
        }
    }

    /// # Safety
    /// See [`super::Call::run`]; the elements are of type `T`.
    unsafe fn typed<T: Float>(&self, pool: &Pool, args: &[*mut u8], out: *mut u8) {
        let grid = &self.grid;
        let image = grid.image_elements() * grid.channels;
        let result = grid.window_count() * grid.channels;
        let (first, second, made) = match self.kind {
            PoolKind::Sum | PoolKind::Max => (image, 0, result),
            PoolKind::Spread => (result, 0, image),
            PoolKind::Pick => (image, image, result),
            PoolKind::Scatter => (image, result, image),
        };
        let (a, b, out) = (args[0] as usize, args.get(1).map_or(0, |p| *p as usize), out as usize);
        pool.run(grid.batch.div_ceil(self.step), &|task, _| {
            wide(
                #[inline(always)]
                || {
                    for n in task * self.step..((task + 1) * self.step).min(grid.batch) {
                        // SAFETY: each task reads and writes the parts of its images, inside the values.
                        unsafe {
                            let x = std::slice::from_raw_parts((a as *const T).add(n * first), first);
                            let y: &[T] = match second {
                                0 => &[],
                                _ => std::slice::from_raw_parts((b as *const T).add(n * second), second),
                            };
                            let out = std::slice::from_raw_parts_mut((out as *mut T).add(n * made), made);
                            self.image(x, y, out);
                        }
                    }
                },
            );
        });
    }

    /// One image of the batch.
    #[inline(always)]
    fn image<T: Float>(&self, x: &[T], y: &[T], out: &mut [T]) {
        let (grid, channels) = (&self.grid, self.grid.channels);
        if matches!(self.kind, PoolKind::Spread | PoolKind::Scatter) {
            out.fill(T::ZERO);
        }
        let mut at = 0;
        for (p0, n0) in &self.spans[0] {
            for (p1, n1) in &self.spans[1] {
                for (p2, n2) in &self.spans[2] {
                    let covered = Covered { grid, start: [*p0, *p1, *p2], count: [*n0, *n1, *n2] };
                    let mut channel = 0;
                    while channel + CHANNELS <= channels {
                        self.window::<T, CHANNELS>(&covered, at, channel, x, y, out);
                        channel += CHANNELS;
                    }
                    while channel < channels {
                        self.window::<T, 1>(&covered, at, channel, x, y, out);
                        channel += 1;
                    }
                    at += channels;
                }
            }
        }
    }

    /// `L` channels from `channel` on of the window whose result is at `at`.
    #[inline(always)]
    fn window<T: Float, const L: usize>(
        &self,
        covered: &Covered,
        at: usize,
        channel: usize,
        x: &[T],
        y: &[T],
        out: &mut [T],
    ) {
        let mine = at + channel;
        let place = |pixel: usize| pixel * self.grid.channels + channel;
        match self.kind {
            PoolKind::Sum => {
                let mut sum = [T::ZERO; L];
                covered.pixels(
                    #[inline(always)]
                    |pixel| add(&mut sum, part(x, place(pixel))),
                );
                *part_mut(out, mine) = sum;
            }
            PoolKind::Spread => {
                let value: &[T; L] = part(x, mine);
                covered.pixels(
                    #[inline(always)]
                    |pixel| add(part_mut(out, place(pixel)), value),
                );
            }
            PoolKind::Max => *part_mut(out, mine) = largest::<T, L>(covered, x, &place),
            PoolKind::Pick => {
                let best: [T; L] = largest(covered, x, &place);
                let (mut picked, mut open) = ([T::ZERO; L], [T::LOWEST; L]);
                covered.pixels(
                    #[inline(always)]
                    |pixel| {
                        let (x, y): (&[T; L], &[T; L]) = (part(x, place(pixel)), part(y, place(pixel)));
                        for c in 0..L {
                            let hit = x[c].equals(best[c]);
                            picked[c] = if hit & (open[c] < T::ZERO) { y[c] } else { picked[c] };
                            open[c] = if hit { T::ZERO } else { open[c] };
                        }
                    },
                );
                *part_mut(out, mine) = picked;
            }
            PoolKind::Scatter => {
                let best: [T; L] = largest(covered, x, &place);
                // Each channel's value goes to the first element that equals its maximum; then there is none left.
                let mut left: [T; L] = *part(y, mine);
                covered.pixels(
                    #[inline(always)]
                    |pixel| {
                        // All is read before anything is written: the compiler then sees vectors.
                        let x: [T; L] = *part(x, place(pixel));
                        let mut sum: [T; L] = *part(out, place(pixel));
                        for c in 0..L {
                            let hit = x[c].equals(best[c]);
                            sum[c] = sum[c] + if hit { left[c] } else { T::ZERO };
                            left[c] = if hit { T::ZERO } else { left[c] };
                        }
                        *part_mut(out, place(pixel)) = sum;
                    },
                );
            }
        }
    }
}

/// The largest element of each channel.
#[inline(always)]
fn largest<T: Float, const L: usize>(covered: &Covered, x: &[T], place: &impl Fn(usize) -> usize) -> [T; L] {
    let mut best = [T::LOWEST; L];
    covered.pixels(
        #[inline(always)]
        |pixel| {
            let x: &[T; L] = part(x, place(pixel));
            for c in 0..L {
                best[c] = if x[c].beats(best[c]) { x[c] } else { best[c] };
            }
        },
    );
    best
}

#[inline(always)]
fn part<T, const L: usize>(x: &[T], at: usize) -> &[T; L] {
    x[at..].first_chunk().expect("windows lie in the image")
}

#[inline(always)]
fn part_mut<T, const L: usize>(x: &mut [T], at: usize) -> &mut [T; L] {
    x[at..].first_chunk_mut().expect("windows lie in the image")
}

#[inline(always)]
fn add<T: Float, const L: usize>(to: &mut [T; L], from: &[T; L]) {
    for c in 0..L {
        to[c] = to[c] + from[c];
    }
}

/// The first element of a window along an axis that lies in the image (as a place there), and their number.
fn span(grid: &Grid, axis: usize, position: usize) -> (usize, usize) {
    let start = position * grid.stride[axis];
    let skipped = grid.low[axis].saturating_sub(start).div_ceil(grid.dilation[axis]).min(grid.size[axis]);
    let first = (start + skipped * grid.dilation[axis]).saturating_sub(grid.low[axis]);
    let left = grid.image[axis].saturating_sub(first).div_ceil(grid.dilation[axis]);
    (first, left.min(grid.size[axis] - skipped))
}

/// The elements of a window that lie in the image.
struct Covered<'a> {
    grid: &'a Grid,
    start: [usize; 3],
    count: [usize; 3],
}

impl Covered<'_> {
    /// Calls `each(pixel)`, in order.
    #[inline(always)]
    fn pixels(&self, mut each: impl FnMut(usize)) {
        let (image, step) = (self.grid.image, self.grid.dilation);
        for k0 in 0..self.count[0] {
            let plane = (self.start[0] + k0 * step[0]) * image[1];
            for k1 in 0..self.count[1] {
                let line = (plane + self.start[1] + k1 * step[1]) * image[2] + self.start[2];
                for k2 in 0..self.count[2] {
                    each(line + k2 * step[2]);
                }
            }
        }
    }
}

/// The element types.
trait Float: Copy + PartialOrd + Send + Sync + std::ops::Add<Output = Self> {
    const ZERO: Self;
    const LOWEST: Self;

    /// Whether it is the larger one; a NaN is larger than all but a NaN before it.
    fn beats(self, best: Self) -> bool;
    /// Whether it is the largest one: a NaN equals a NaN.
    fn equals(self, best: Self) -> bool;
}

macro_rules! floats {
    ($($t:ident),*) => {$(
        impl Float for $t {
            const ZERO: $t = 0.0;
            const LOWEST: $t = $t::NEG_INFINITY;

            // Two comparisons that vectors have: not `<=` (also true of NaN), and the best one is no NaN.
            #[allow(clippy::neg_cmp_op_on_partial_ord, clippy::eq_op)]
            #[inline(always)]
            fn beats(self, best: $t) -> bool {
                !(self <= best) & (best == best)
            }

            #[allow(clippy::eq_op)]
            #[inline(always)]
            fn equals(self, best: $t) -> bool {
                (self == best) | (self != self)
            }
        }
    )*};
}
floats!(f32, f64);
