//! The bytes that an instruction reads and writes, each counted once: of a large buffer, only the part that is touched.

use super::Step;
use crate::kernel::{Affine, Effect, Kernel, KernelParam, Space, ValueKind};
use crate::passes::fuse::{Fused, Work, base_of};

/// Bytes read and written by a step of the plan.
pub fn bytes(fused: &Fused, step: &Step) -> usize {
    let graph = &fused.graph;
    match step {
        Step::Copy(copy) => 2 * copy.bytes,
        Step::Unit(k) => match &fused.units[*k].work {
            Work::Kernel(draft) => of_kernel(&draft.kernel),
            _ => {
                // An operand that is repeated (a broadcast) is no larger than what it repeats.
                let operand = |id| graph.ty(id).bytes().min(graph.ty(base_of(graph, id).0).bytes());
                let roots = fused.units[*k].roots.iter();
                roots
                    .map(|root| {
                        let args = graph.node(*root).args.iter();
                        graph.ty(*root).bytes() + args.map(|arg| operand(*arg)).sum::<usize>()
                    })
                    .sum()
            }
        },
    }
}

/// Bytes that one run of a kernel reads and writes.
pub fn of_kernel(kernel: &Kernel) -> usize {
    // Elements of each parameter. Several places of one buffer may overlap: no more than the whole is counted.
    let mut elements = vec![0; kernel.params.len()];
    let mut seen: Vec<(usize, &Affine)> = vec![];
    for value in &kernel.values {
        if let ValueKind::Load { param, at } = &value.kind
            && !seen.contains(&(*param, at))
        {
            seen.push((*param, at));
            elements[*param] += touched(&kernel.space, at);
        }
    }
    for effect in &kernel.effects {
        match effect {
            Effect::Store { param, at, .. } => elements[*param] += touched(&kernel.space, at),
            Effect::ColReduce { param, .. } => elements[*param] += inner(&kernel.space),
            Effect::TotalReduce { param, .. } => elements[*param] += 1,
        }
    }
    let bytes = |(param, elements): (&KernelParam, usize)| elements.min(param.elements) * param.dtype.size();
    kernel.params.iter().zip(elements).map(bytes).sum()
}

fn inner(space: &Space) -> usize {
    match space {
        Space::Flat { .. } => 1,
        Space::Grid { inner, .. } => *inner,
        Space::Segments { .. } => 1,
    }
}

/// How many elements an access touches: the product of the axes along which it moves.
fn touched(space: &Space, at: &Affine) -> usize {
    let along = |stride: isize, extent: usize| if stride == 0 { 1 } else { extent };
    match space {
        Space::Flat { elements } => along(at.inner_stride, *elements),
        Space::Grid { outer, inner } => {
            let rows: usize = outer.iter().zip(&at.outer_strides).map(|(n, stride)| along(*stride, *n)).product();
            rows * along(at.inner_stride, *inner)
        }
        Space::Segments { offsets } => {
            let rows = offsets.len().saturating_sub(1);
            let elements = offsets.last().copied().unwrap_or(0);
            if at.inner_stride != 0 { elements } else { along(at.outer_strides.first().copied().unwrap_or(0), rows) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_moving_axes_count() {
        let space = Space::Grid { outer: vec![4, 5], inner: 6 };
        let at = |outer: [isize; 2], inner_stride| Affine { offset: 7, outer_strides: outer.to_vec(), inner_stride };
        assert_eq!(touched(&space, &at([30, 6], 1)), 120);
        assert_eq!(touched(&space, &at([0, 0], 1)), 6);
        assert_eq!(touched(&space, &at([1, 0], 0)), 4);
        assert_eq!(touched(&space, &at([0, 0], 0)), 1);
    }
}
