//! Windows that slide over the spatial axes of a channels-last value `[N, spatial.., C]`: convolution and pooling.
//!
//! A convolution ties three values together: the image `x [N, spatial.., C]`, the kernel `w [size.., C / groups, O]` and
//! the result `y [N, positions.., O]`. The sum over all triples of elements that meet, of `x * w * y`, is linear in each
//! of the three; its derivative by one of them is a [`ConvPart`]. So the derivatives of each part are the other two, to
//! any order, and the part by the image is the transposed convolution.
//!
//! Maxima are alike: what is taken from the first largest element of a window ([`PoolKind::Pick`]) and what is added to
//! it ([`PoolKind::Scatter`]) are each other's transposes, as are the sum of a window and its spreading.

use super::types::{Shape, Type};

/// Which of the three values of a convolution is computed from the other two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConvPart {
    /// The convolution (as in all of deep learning, no kernel is flipped). Operands: image, kernel.
    Result,
    /// The transposed convolution; the shape of the image is the node's. Operands: result, kernel.
    Image,
    /// The gradient by the kernel. Operands: image, result.
    Kernel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// The sum of each window; outside of the image are zeros.
    Sum,
    /// Of a value for each window: each element of the image gets the sum of the windows that it lies in. The shape of
    /// the image is the node's.
    Spread,
    /// The largest element of each window (NaN if it has one); outside of the image is -inf.
    Max,
    /// Operands: x, v of one shape. Each window's value is that of v where x has its first largest element.
    Pick,
    /// Operands: x, and a value for each window. Zeros of the shape of x, with each window's value added where x has the
    /// window's first largest element.
    Scatter,
}

/// A window over one to three spatial axes; the lists have an entry for each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    pub size: Shape,
    /// The step from one window to the next.
    pub stride: Shape,
    /// Elements outside of the image, before and after it, that windows may cover.
    pub low: Shape,
    pub high: Shape,
    /// The step from one element of a window to the next.
    pub dilation: Shape,
}

/// More spatial axes than a volume has are not supported.
pub const MOST_AXES: usize = 3;

impl Window {
    pub fn axes(&self) -> usize {
        self.size.len()
    }

    /// How far a window reaches from its first to past its last element.
    pub fn reach(&self, axis: usize) -> usize {
        self.dilation[axis].saturating_mul(self.size[axis].saturating_sub(1)).saturating_add(1)
    }

    /// Places of the window along an axis of `n` elements; `None` if it fits nowhere, or if the padding is no number that
    /// places can be counted with.
    pub fn positions(&self, axis: usize, n: usize) -> Option<usize> {
        let padded = n.checked_add(self.low[axis])?.checked_add(self.high[axis])?;
        let room = padded.checked_sub(self.reach(axis)).filter(|_| padded <= isize::MAX as usize)?;
        Some(room / self.stride[axis] + 1)
    }

    /// Whether the numbers make sense together.
    pub fn check(&self) -> Result<(), String> {
        let n = self.axes();
        let lists = [&self.stride, &self.low, &self.high, &self.dilation];
        if n == 0 || n > MOST_AXES || lists.iter().any(|l| l.len() != n) {
            return Err(format!("a window {:?} over 1 to {MOST_AXES} axes", self.size));
        }
        if [&self.size, &self.stride, &self.dilation].iter().any(|l| l.contains(&0)) {
            return Err("a window with size, stride or dilation 0".into());
        }
        if self.size.iter().try_fold(1usize, |n, size| n.checked_mul(*size)).is_none() {
            return Err(format!("a window of {:?} elements", self.size));
        }
        Ok(())
    }

    /// The shape of one value for each window over an image of shape `[N, spatial.., C]`, with `channels` of its own.
    pub fn result_shape(&self, image: &[usize], channels: usize) -> Result<Shape, String> {
        self.check()?;
        if image.len() != self.axes() + 2 {
            return Err(format!("a window over {} axes of {image:?}", self.axes()));
        }
        let mut shape = vec![image[0]];
        for axis in 0..self.axes() {
            let n = image[axis + 1];
            let count = self.positions(axis, n);
            shape.push(count.ok_or_else(|| format!("a window of {} over {n} elements", self.reach(axis)))?);
        }
        shape.push(channels);
        Ok(shape)
    }
}

/// The shape of a convolution's result, if the three fit.
pub fn conv_shape(window: &Window, groups: usize, image: &[usize], kernel: &[usize]) -> Result<Shape, String> {
    let axes = window.axes();
    if image.len() != axes + 2 || kernel.len() != axes + 2 || kernel[..axes] != window.size {
        return Err(format!("convolution of {image:?} with {kernel:?}"));
    }
    let (channels, inner, outputs) = (image[axes + 1], kernel[axes], kernel[axes + 1]);
    if groups == 0 || inner.checked_mul(groups) != Some(channels) || !outputs.is_multiple_of(groups) {
        return Err(format!("{channels} channels to {outputs} in {groups} groups of {inner}"));
    }
    window.result_shape(image, outputs)
}

/// A window over a value, as numbers of three axes: missing ones come first and have one element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    pub batch: usize,
    pub channels: usize,
    /// Channels of the result: for pooling, those of the image.
    pub outputs: usize,
    pub groups: usize,
    pub image: [usize; 3],
    pub positions: [usize; 3],
    pub size: [usize; 3],
    pub stride: [usize; 3],
    pub low: [usize; 3],
    pub dilation: [usize; 3],
}

impl Grid {
    /// Of well-typed values: the image and the result, which has a value for each window.
    pub fn new(window: &Window, groups: usize, image: &Type, result: &Type) -> Grid {
        let axes = window.axes();
        let wide = |list: &[usize], missing: usize| {
            let mut out = [missing; 3];
            out[MOST_AXES - axes..].copy_from_slice(list);
            out
        };
        Grid {
            batch: image.shape[0],
            channels: image.shape[axes + 1],
            outputs: result.shape[axes + 1],
            groups,
            image: wide(&image.shape[1..=axes], 1),
            positions: wide(&result.shape[1..=axes], 1),
            size: wide(&window.size, 1),
            stride: wide(&window.stride, 1),
            low: wide(&window.low, 0),
            dilation: wide(&window.dilation, 1),
        }
    }

    /// Elements of a window along all axes.
    pub fn window_elements(&self) -> usize {
        self.size.iter().product()
    }

    pub fn window_count(&self) -> usize {
        self.positions.iter().product()
    }

    pub fn image_elements(&self) -> usize {
        self.image.iter().product()
    }

    /// Whether the windows are the elements of the image, in order.
    pub fn is_plain(&self) -> bool {
        self.size == [1; 3] && self.positions == self.image && self.low == [0; 3] && self.stride == [1; 3]
    }

    /// Where element `k` of the window at `position` lies along an axis; `None` outside of the image.
    pub fn place(&self, axis: usize, position: usize, k: usize) -> Option<usize> {
        let place = (position * self.stride[axis] + k * self.dilation[axis]).checked_sub(self.low[axis])?;
        (place < self.image[axis]).then_some(place)
    }

    /// The three numbers of place `index`, of `sizes` in row-major order.
    pub fn split(index: usize, sizes: [usize; 3]) -> [usize; 3] {
        [index / (sizes[1] * sizes[2]), index / sizes[2] % sizes[1], index % sizes[2]]
    }

    /// The place in the image (row-major) of element `k` (row-major) of the window at `position` (row-major).
    pub fn pixel(&self, position: usize, k: usize) -> Option<usize> {
        let (at, k) = (Grid::split(position, self.positions), Grid::split(k, self.size));
        let mut pixel = 0;
        for axis in 0..3 {
            pixel = pixel * self.image[axis] + self.place(axis, at[axis], k[axis])?;
        }
        Some(pixel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(size: usize, stride: usize, low: usize, high: usize, dilation: usize) -> Window {
        let one = |n| vec![n];
        Window { size: one(size), stride: one(stride), low: one(low), high: one(high), dilation: one(dilation) }
    }

    #[test]
    fn positions_are_counted() {
        assert_eq!(window(3, 1, 1, 1, 1).positions(0, 5), Some(5));
        assert_eq!(window(3, 2, 0, 1, 1).positions(0, 6), Some(3));
        assert_eq!(window(3, 1, 0, 0, 2).positions(0, 5), Some(1));
        assert_eq!(window(3, 1, 0, 0, 2).positions(0, 4), None);
        assert_eq!(window(usize::MAX, 1, 0, 0, usize::MAX).positions(0, 4), None);
        assert_eq!(window(1 << 40, 1, usize::MAX / 2, usize::MAX / 2, 1 << 40).positions(0, 4), None);
    }

    #[test]
    fn pixels_outside_are_none() {
        let grid = Grid::new(
            &window(3, 2, 1, 0, 1),
            1,
            &Type::new(crate::ir::DType::F32, [1, 5, 2]),
            &Type::new(crate::ir::DType::F32, [1, 2, 4]),
        );
        let places = |position| [0, 1, 2].map(|k| grid.pixel(position, k));
        assert_eq!(places(0), [None, Some(0), Some(1)]);
        assert_eq!(places(1), [Some(1), Some(2), Some(3)]);
    }
}
