//! The windows of a tile as rows of a matrix: copied from the image, and added back to it.

use super::super::gemm::{Element, Matrix};
use crate::ir::window::Grid;

/// Windows `start..start + rows` (of all images, in order) and the input channels of a group.
pub struct Patches<'a> {
    pub grid: &'a Grid,
    pub group: usize,
    pub start: usize,
    pub rows: usize,
}

/// Elements that are copied at a time, without regard to the end of the run: what is too much is written over by the next
/// run, or lies behind the last one.
pub const BLOCK: usize = 16;
/// As many, of short runs.
const SMALL: usize = 4;

/// # Safety
/// Both hold `N` elements, and do not overlap.
#[inline(always)]
unsafe fn copy<T: Copy, const N: usize>(from: *const T, to: *mut T) {
    // SAFETY: the caller's promise; arrays are aligned as their elements are.
    unsafe { *to.cast::<[T; N]>() = *from.cast::<[T; N]>() }
}

/// Elements that lie together in the image and in a patch.
struct Run {
    /// In the patch.
    to: usize,
    /// In the image; `None` for padding.
    from: Option<usize>,
    count: usize,
}

impl Patches<'_> {
    fn inner(&self) -> usize {
        self.grid.channels / self.grid.groups
    }

    pub fn depth(&self) -> usize {
        self.grid.window_elements() * self.inner()
    }

    /// The patches of an image: a part of it if windows have one element, else copied to `buffer`.
    ///
    /// # Safety
    /// `x` is the image, and `buffer` has room for `rows * depth + BLOCK` elements.
    #[inline(always)]
    pub unsafe fn of_image<T: Element>(&self, x: *const T, buffer: *mut T) -> Matrix<T> {
        let grid = self.grid;
        if grid.is_plain() {
            let channels = grid.channels;
            // SAFETY: with one window an element, the windows are the image's elements.
            let at = unsafe { x.add(self.start * channels + self.group * self.inner()).cast_mut() };
            return Matrix { at, row: channels as isize, column: 1 };
        }
        let elements = grid.batch * grid.image_elements() * grid.channels;
        self.runs(
            #[inline(always)]
            |run: Run| {
                // SAFETY: runs lie inside of the buffer and of the image; the last run has a block behind it.
                unsafe {
                    let to = buffer.add(run.to);
                    match run.from {
                        Some(from) if from + BLOCK.max(run.count.next_multiple_of(BLOCK)) > elements => {
                            std::ptr::copy_nonoverlapping(x.add(from), to, run.count);
                        }
                        Some(from) if run.count <= SMALL => copy::<T, SMALL>(x.add(from), to),
                        Some(from) => {
                            for k in (0..run.count).step_by(BLOCK) {
                                copy::<T, BLOCK>(x.add(from + k), to.add(k));
                            }
                        }
                        None => {
                            for k in (0..run.count).step_by(SMALL) {
                                *to.add(k).cast::<[T; SMALL]>() = [T::default(); SMALL];
                            }
                        }
                    }
                }
            },
        );
        Matrix { at: buffer, row: self.depth() as isize, column: 1 }
    }

    /// Adds each patch to the image where it came from.
    ///
    /// # Safety
    /// `x` is the image, and `buffer` holds `rows * depth` elements.
    #[inline(always)]
    pub unsafe fn add_to_image<T: Element>(&self, buffer: *const T, x: *mut T) {
        self.runs(
            #[inline(always)]
            |run: Run| {
                let Some(from) = run.from else { return };
                // SAFETY: runs lie inside of the buffer and of the image.
                unsafe {
                    let part = std::slice::from_raw_parts(buffer.add(run.to), run.count);
                    let pixels = std::slice::from_raw_parts_mut(x.add(from), run.count);
                    pixels.iter_mut().zip(part).for_each(|(x, p)| *x = *x + *p);
                }
            },
        );
    }

    /// Hands out the elements of all patches, in order, as the longest runs there are.
    #[inline(always)]
    fn runs(&self, mut each: impl FnMut(Run)) {
        let grid = self.grid;
        let (inner, count) = (self.inner(), grid.window_count());
        let line = grid.size[2] * inner;
        // Elements of a window lie together along its last axis.
        let joined = grid.dilation[2] == 1 && inner == grid.channels;
        let mut to = 0;
        let (mut image, mut at) = (self.start / count, Grid::split(self.start % count, grid.positions));
        for _ in 0..self.rows {
            let left = at[2] * grid.stride[2];
            // Elements of each line before and after the image.
            let before = grid.low[2].saturating_sub(left).min(grid.size[2]);
            let end = (grid.image[2] + grid.low[2]).saturating_sub(left).clamp(before, grid.size[2]);
            for k0 in 0..grid.size[0] {
                for k1 in 0..grid.size[1] {
                    let place = grid.place(0, at[0], k0).zip(grid.place(1, at[1], k1));
                    let Some((p0, p1)) = place else {
                        each(Run { to, from: None, count: line });
                        to += line;
                        continue;
                    };
                    let pixels = ((image * grid.image[0] + p0) * grid.image[1] + p1) * grid.image[2];
                    if !joined {
                        for k2 in 0..grid.size[2] {
                            let from =
                                grid.place(2, at[2], k2).map(|p| (pixels + p) * grid.channels + self.group * inner);
                            each(Run { to, from, count: inner });
                            to += inner;
                        }
                        continue;
                    }
                    if before > 0 {
                        each(Run { to, from: None, count: before * inner });
                    }
                    if end > before {
                        let from = (pixels + left + before - grid.low[2]) * inner;
                        each(Run { to: to + before * inner, from: Some(from), count: (end - before) * inner });
                    }
                    if end < grid.size[2] {
                        each(Run { to: to + end * inner, from: None, count: (grid.size[2] - end) * inner });
                    }
                    to += line;
                }
            }
            // The next window.
            at[2] += 1;
            for axis in [2, 1] {
                if at[axis] == grid.positions[axis] {
                    at[axis] = 0;
                    at[axis - 1] += 1;
                }
            }
            if at[0] == grid.positions[0] {
                at[0] = 0;
                image += 1;
            }
        }
    }
}
