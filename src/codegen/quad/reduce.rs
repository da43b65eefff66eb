//! Reductions of lanes.

use super::{Builder, Quad, binary};
use crate::codegen::lanes::{shuffle32, swap64};
use crate::ir::{Binary, DType, ReduceKind};

/// The value that a reduction starts from.
pub fn identity(kind: ReduceKind, dtype: DType) -> f64 {
    let ints = dtype == DType::I32;
    match kind {
        ReduceKind::Sum => 0.0,
        ReduceKind::Prod => 1.0,
        ReduceKind::Max if ints => i32::MIN as f64,
        ReduceKind::Min if ints => i32::MAX as f64,
        ReduceKind::Max => f64::NEG_INFINITY,
        ReduceKind::Min => f64::INFINITY,
    }
}

/// One step of a reduction.
pub fn accumulate(b: &mut Builder, kind: ReduceKind, dtype: DType, sum: Quad, x: Quad) -> Quad {
    let op = match kind {
        ReduceKind::Sum => Binary::Add,
        ReduceKind::Prod => Binary::Mul,
        ReduceKind::Max => Binary::Max,
        ReduceKind::Min => Binary::Min,
    };
    binary(b, op, dtype, sum, x)
}

/// All four lanes reduced to one value, in every lane.
pub fn reduce_lanes(b: &mut Builder, kind: ReduceKind, dtype: DType, x: Quad) -> Quad {
    match x {
        Quad::Wide([x, y]) => {
            let (first, second) = (Quad::Wide([x, x]), Quad::Wide([y, y]));
            let halves = accumulate(b, kind, dtype, first, second).two()[0];
            let swapped = swap64(b, halves);
            accumulate(b, kind, dtype, Quad::Wide([halves, halves]), Quad::Wide([swapped, swapped]))
        }
        Quad::Narrow(x) => {
            let swapped = shuffle32(b, x, x, [2, 3, 0, 1]);
            let halves = accumulate(b, kind, dtype, Quad::Narrow(x), Quad::Narrow(swapped)).one();
            let swapped = shuffle32(b, halves, halves, [1, 0, 3, 2]);
            accumulate(b, kind, dtype, Quad::Narrow(halves), Quad::Narrow(swapped))
        }
    }
}
