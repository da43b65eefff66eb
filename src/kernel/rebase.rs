//! Where a kernel begins to read is a matter of its pointers, not of its code: kernels that differ only in this (the
//! biases of the layers of a network, in one arena) then have the same code, which is compiled once.

use super::{Affine, Kernel, Space, ValueKind};

/// Makes each parameter that is only read begin where the kernel first reads it, and end where it last does. Returns by how
/// many elements each parameter's pointer must be moved.
pub fn rebase(kernel: &mut Kernel) -> Vec<usize> {
    let ranges: Vec<Option<(usize, usize)>> = (0..kernel.params.len()).map(|param| range(kernel, param)).collect();
    for value in &mut kernel.values {
        if let ValueKind::Load { param, at } = &mut value.kind
            && let Some((start, _)) = ranges[*param]
        {
            at.offset -= start as isize;
        }
    }
    for (param, range) in kernel.params.iter_mut().zip(&ranges) {
        if let Some((start, end)) = range {
            param.elements = end - start;
        }
    }
    ranges.into_iter().map(|range| range.map_or(0, |(start, _)| start)).collect()
}

/// The elements between the first and the last that the kernel reads; `None` if the parameter is to stay what it is.
fn range(kernel: &Kernel, param: usize) -> Option<(usize, usize)> {
    if kernel.params[param].written {
        return None;
    }
    let mut range: Option<(usize, usize)> = None;
    for value in &kernel.values {
        let ValueKind::Load { param: p, at } = &value.kind else { continue };
        if *p == param {
            let (start, end) = touched(&kernel.space, at)?;
            range = Some(range.map_or((start, end), |(s, e)| (s.min(start), e.max(end))));
        }
    }
    range
}

/// For accesses that walk forwards.
fn touched(space: &Space, at: &Affine) -> Option<(usize, usize)> {
    let last = |extent: usize, stride: isize| extent.checked_sub(1)?.checked_mul(usize::try_from(stride).ok()?);
    let start = usize::try_from(at.offset).ok()?;
    let mut end = start;
    match space {
        Space::Flat { elements } => end += last(*elements, at.inner_stride)?,
        Space::Grid { outer, inner } => {
            for (extent, stride) in outer.iter().zip(&at.outer_strides) {
                end += last(*extent, *stride)?;
            }
            end += last(*inner, at.inner_stride)?;
        }
        Space::Segments { .. } => return None,
    }
    Some((start, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::DType;
    use crate::kernel::verify::verify;
    use crate::kernel::{Effect, KernelParam, Level, Value, ValueId};
    use crate::source::Span;

    /// Adds a row that begins at `offset` to each row of a matrix.
    fn bias(offset: isize) -> Kernel {
        let load = |param, at, level| Value {
            kind: ValueKind::Load { param, at },
            dtype: DType::F32,
            level,
            span: Span::default(),
        };
        let whole = Affine { offset: 0, outer_strides: vec![4], inner_stride: 1 };
        let row = Affine { offset, outer_strides: vec![0], inner_stride: 1 };
        let sum = ValueKind::Binary(crate::ir::Binary::Add, ValueId(0), ValueId(1));
        let param = |elements, written| KernelParam { dtype: DType::F32, elements, written };
        Kernel {
            name: "add".into(),
            space: Space::Grid { outer: vec![3], inner: 4 },
            params: vec![param(12, false), param(100, false), param(12, true)],
            values: vec![
                load(0, whole.clone(), Level::Element),
                load(1, row, Level::Element),
                Value { kind: sum, dtype: DType::F32, level: Level::Element, span: Span::default() },
            ],
            effects: vec![Effect::Store { param: 2, at: whole, value: ValueId(2) }],
        }
    }

    #[test]
    fn equal_kernels_at_different_places_become_equal() {
        let (mut a, mut b) = (bias(8), bias(96));
        assert_eq!((rebase(&mut a), rebase(&mut b)), (vec![0, 8, 0], vec![0, 96, 0]));
        assert_eq!(a, b);
        assert_eq!(a.params[1].elements, 4);
        verify(&a).expect("a sound kernel");
    }

    #[test]
    fn what_walks_backwards_stays() {
        let mut kernel = bias(8);
        let ValueKind::Load { at, .. } = &mut kernel.values[1].kind else { unreachable!("a load") };
        at.inner_stride = -1;
        let before = kernel.clone();
        assert_eq!(rebase(&mut kernel), vec![0, 0, 0]);
        assert_eq!(kernel, before);
    }
}
