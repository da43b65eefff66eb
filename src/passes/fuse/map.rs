//! Where a value is read: each of its axes as an affine function of the loop indices of a kernel.
//!
//! Kernels are built by pulling values at such maps: shape operations become changes of the map and cost nothing.

use crate::ir::types::strides;

/// `offset + sum(coef[k] * loop[k])`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lin {
    pub offset: isize,
    pub coef: Vec<isize>,
}

/// One entry for each axis of the value.
pub type Map = Vec<Lin>;

impl Lin {
    pub fn zero(loops: usize) -> Lin {
        Lin { offset: 0, coef: vec![0; loops] }
    }

    /// The loop index itself.
    pub fn of(axis: usize, loops: usize) -> Lin {
        let mut lin = Lin::zero(loops);
        lin.coef[axis] = 1;
        lin
    }

    /// `self * factor + offset`.
    pub fn scaled(&self, factor: isize, offset: isize) -> Lin {
        Lin { offset: self.offset * factor + offset, coef: self.coef.iter().map(|c| c * factor).collect() }
    }

    pub fn add(&mut self, other: &Lin, factor: isize) {
        self.offset += other.offset * factor;
        for (c, o) in self.coef.iter_mut().zip(&other.coef) {
            *c += o * factor;
        }
    }

    /// Smallest and largest value over loops of these extents.
    pub fn range(&self, extents: &[usize]) -> (isize, isize) {
        let (mut low, mut high) = (self.offset, self.offset);
        for (c, n) in self.coef.iter().zip(extents) {
            let span = c * (*n as isize - 1).max(0);
            if span < 0 {
                low += span;
            } else {
                high += span;
            }
        }
        (low, high)
    }
}

/// The row-major position in a dense value of this shape.
pub fn linearise(map: &[Lin], shape: &[usize], loops: usize) -> Lin {
    let mut out = Lin::zero(loops);
    for (lin, stride) in map.iter().zip(strides(shape)) {
        out.add(lin, stride as isize);
    }
    out
}

/// The inverse of [`linearise`]: the axes of a dense value at an affine position, if each is affine.
pub fn decompose(position: &Lin, shape: &[usize], extents: &[usize]) -> Option<Map> {
    let loops = extents.len();
    let strides = strides(shape);
    let mut map = vec![Lin::zero(loops); shape.len()];
    let home = |c: isize, span: usize| {
        // The outermost axis whose stride divides the coefficient and that can hold the whole span.
        (0..shape.len()).find(|a| {
            let stride = strides[*a] as isize;
            shape[*a] > 1 && c % stride == 0 && (c.abs() / stride) * (span as isize - 1) < shape[*a] as isize
        })
    };
    for (k, c) in position.coef.iter().enumerate() {
        if *c != 0 && extents[k] > 1 {
            let axis = home(*c, extents[k])?;
            map[axis].coef[k] += c / strides[axis] as isize;
        }
    }
    let mut rest = position.offset;
    for (lin, stride) in map.iter_mut().zip(&strides) {
        let stride = (*stride as isize).max(1);
        lin.offset = rest.div_euclid(stride);
        rest -= lin.offset * stride;
    }
    // No carry from one axis into the next: then the parts are exact.
    let inside = map.iter().zip(shape).all(|(lin, size)| {
        let (low, high) = lin.range(extents);
        low >= 0 && (high < *size as isize || *size == 0)
    });
    inside.then_some(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_and_splitting_axes_are_inverse() {
        let extents = [4, 3, 5];
        let map: Map = (0..3).map(|k| Lin::of(k, 3)).collect();
        let position = linearise(&map, &[4, 3, 5], 3);
        let merged = decompose(&position, &[12, 5], &extents).unwrap();
        assert_eq!(merged[0].coef, [3, 1, 0]);
        assert_eq!(decompose(&linearise(&merged, &[12, 5], 3), &[4, 3, 5], &extents).unwrap(), map);
    }

    #[test]
    fn a_split_of_one_loop_is_refused() {
        let position = Lin::of(0, 1);
        assert_eq!(decompose(&position, &[4, 3], &[12]), None);
    }
}
