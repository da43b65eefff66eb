//! Convolutions with a group for each input channel: `O / C` outputs of each, next to each other.
//!
//! All loops go over windows, their elements, and then all channels at once.

use super::super::gemm::Element;
use crate::ir::window::Grid;
use std::ops::Range;

/// `y[o] += x[o / times] * w[o]`, for whichever of the three is written.
macro_rules! channels {
    ($grid:expr, |$c:ident, $o:ident| $body:expr) => {
        match $grid.outputs / $grid.channels {
            1 => {
                for $o in 0..$grid.outputs {
                    let $c = $o;
                    $body
                }
            }
            times => {
                for $c in 0..$grid.channels {
                    for $o in $c * times..($c + 1) * times {
                        $body
                    }
                }
            }
        }
    };
}

/// Calls `each(window, element, pixel)` for all elements of windows that lie in the image; the window and the pixel
/// count over all images.
#[inline(always)]
fn triples(grid: &Grid, windows: Range<usize>, mut each: impl FnMut(usize, usize, usize)) {
    for window in windows {
        let (image, position) = (window / grid.window_count(), window % grid.window_count());
        for k in 0..grid.window_elements() {
            if let Some(pixel) = grid.pixel(position, k) {
                each(window, k, image * grid.image_elements() + pixel);
            }
        }
    }
}

/// # Safety
/// The pointers are those of the three values.
#[inline(always)]
pub unsafe fn result<T: Element>(grid: &Grid, windows: Range<usize>, x: *const T, w: *const T, y: *mut T) {
    // SAFETY: the caller's promise; windows, elements and pixels lie inside of the values.
    unsafe {
        let all = y.add(windows.start * grid.outputs);
        std::slice::from_raw_parts_mut(all, windows.len() * grid.outputs).fill(T::default());
        triples(grid, windows, |window, k, pixel| {
            let x = std::slice::from_raw_parts(x.add(pixel * grid.channels), grid.channels);
            let w = std::slice::from_raw_parts(w.add(k * grid.outputs), grid.outputs);
            let y = std::slice::from_raw_parts_mut(y.add(window * grid.outputs), grid.outputs);
            channels!(grid, |c, o| y[o] = y[o] + x[c] * w[o]);
        });
    }
}

/// Adds to `x`.
///
/// # Safety
/// As [`result`].
#[inline(always)]
pub unsafe fn image<T: Element>(grid: &Grid, windows: Range<usize>, y: *const T, w: *const T, x: *mut T) {
    // SAFETY: as in `result`.
    unsafe {
        triples(grid, windows, |window, k, pixel| {
            let x = std::slice::from_raw_parts_mut(x.add(pixel * grid.channels), grid.channels);
            let w = std::slice::from_raw_parts(w.add(k * grid.outputs), grid.outputs);
            let y = std::slice::from_raw_parts(y.add(window * grid.outputs), grid.outputs);
            channels!(grid, |c, o| x[c] = x[c] + y[o] * w[o]);
        });
    }
}

/// # Safety
/// As [`result`].
#[inline(always)]
pub unsafe fn kernel<T: Element>(grid: &Grid, windows: Range<usize>, x: *const T, y: *const T, w: *mut T) {
    // SAFETY: as in `result`.
    unsafe {
        std::slice::from_raw_parts_mut(w, grid.window_elements() * grid.outputs).fill(T::default());
        triples(grid, windows, |window, k, pixel| {
            let x = std::slice::from_raw_parts(x.add(pixel * grid.channels), grid.channels);
            let w = std::slice::from_raw_parts_mut(w.add(k * grid.outputs), grid.outputs);
            let y = std::slice::from_raw_parts(y.add(window * grid.outputs), grid.outputs);
            channels!(grid, |c, o| w[o] = w[o] + x[c] * y[o]);
        });
    }
}
