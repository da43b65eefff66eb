//! Scatter-add, cumulative and segmented reductions, and sorting.

use super::Axis;
use super::movement::clamped;
use crate::ir::{DType, Graph, NodeId, Op, ReduceKind};
use crate::runtime::pool::Pool;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Arithmetic {
    dtype: DType,
    elements: usize,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    ScatterAdd { at: Axis, indices: usize },
    Cumulative { kind: ReduceKind, at: Axis, reverse: bool },
    Segments { kind: ReduceKind, offsets: Arc<Vec<usize>> },
    Sort { at: Axis, descending: bool },
}

impl Arithmetic {
    /// # Panics
    /// For an operation that is no library call: an internal error.
    pub fn new(graph: &Graph, id: NodeId) -> Arithmetic {
        let node = graph.node(id);
        let operand = graph.ty(node.args[0]);
        let at = |axis: usize| Axis::of(&operand.shape, axis);
        let what = match &node.op {
            Op::ScatterAdd { axis } => What::ScatterAdd { at: at(*axis), indices: graph.ty(node.args[1]).elements() },
            Op::Cumulative { kind, axis, reverse } => {
                What::Cumulative { kind: *kind, at: at(*axis), reverse: *reverse }
            }
            Op::SegmentReduce { kind, offsets } => What::Segments { kind: *kind, offsets: offsets.clone() },
            Op::ArgSort { axis, descending } => What::Sort { at: at(*axis), descending: *descending },
            other => panic!("internal error: `{}` is no library call", other.name()),
        };
        Arithmetic { dtype: operand.dtype, elements: operand.elements(), what }
    }

    /// # Safety
    /// See [`super::Call::run`].
    pub unsafe fn run(&self, pool: &Pool, args: &[*mut u8], out: *mut u8) {
        // SAFETY: the caller's promise; the pointers have the operand's element type.
        unsafe {
            match self.dtype {
                DType::F32 => self.typed::<f32>(pool, args, out),
                DType::F64 => self.typed::<f64>(pool, args, out),
                DType::I32 | DType::Bool => self.typed::<i32>(pool, args, out),
            }
        }
    }

    /// # Safety
    /// See [`super::Call::run`]; the operand's elements are of type `T`.
    unsafe fn typed<T: Number>(&self, pool: &Pool, args: &[*mut u8], out: *mut u8) {
        // SAFETY: lengths are those of the graph's shapes, and `out` overlaps no operand.
        unsafe {
            let x = std::slice::from_raw_parts(args[0].cast::<T>().cast_const(), self.elements);
            match &self.what {
                What::ScatterAdd { at, indices } => {
                    let out = std::slice::from_raw_parts_mut(out.cast::<T>(), self.elements);
                    let index = std::slice::from_raw_parts(args[1].cast::<i32>().cast_const(), *indices);
                    let count = at.outer * indices * at.inner;
                    let updates = std::slice::from_raw_parts(args[2].cast::<T>().cast_const(), count);
                    scatter_add(at, x, index, updates, out);
                }
                What::Cumulative { kind, at, reverse } => {
                    let out = std::slice::from_raw_parts_mut(out.cast::<T>(), self.elements);
                    cumulative(*kind, at, *reverse, x, out);
                }
                What::Segments { kind, offsets } => {
                    let out = out as usize;
                    pool.run(offsets.len() - 1, &|s, _| {
                        // Each task writes the result of its segment.
                        *(out as *mut T).add(s) = reduced(*kind, &x[offsets[s]..offsets[s + 1]]);
                    });
                }
                What::Sort { at, descending } => {
                    let out = std::slice::from_raw_parts_mut(out.cast::<i32>(), self.elements);
                    sort(at, *descending, x, out);
                }
            }
        }
    }
}

/// The element types, with the arithmetic of the IR.
trait Number: Copy + PartialOrd + Send + Sync {
    fn identity(kind: ReduceKind) -> Self;
    fn combine(kind: ReduceKind, x: Self, y: Self) -> Self;
}

macro_rules! floats {
    ($($t:ty),*) => {$(
        impl Number for $t {
            fn identity(kind: ReduceKind) -> $t {
                match kind {
                    ReduceKind::Sum => 0.0,
                    ReduceKind::Prod => 1.0,
                    ReduceKind::Max => <$t>::NEG_INFINITY,
                    ReduceKind::Min => <$t>::INFINITY,
                }
            }

            fn combine(kind: ReduceKind, x: $t, y: $t) -> $t {
                match kind {
                    ReduceKind::Sum => x + y,
                    ReduceKind::Prod => x * y,
                    _ if x.is_nan() || y.is_nan() => <$t>::NAN,
                    ReduceKind::Max => x.max(y),
                    ReduceKind::Min => x.min(y),
                }
            }
        }
    )*};
}
floats!(f32, f64);

impl Number for i32 {
    fn identity(kind: ReduceKind) -> i32 {
        match kind {
            ReduceKind::Sum => 0,
            ReduceKind::Prod => 1,
            ReduceKind::Max => i32::MIN,
            ReduceKind::Min => i32::MAX,
        }
    }

    fn combine(kind: ReduceKind, x: i32, y: i32) -> i32 {
        match kind {
            ReduceKind::Sum => x.wrapping_add(y),
            ReduceKind::Prod => x.wrapping_mul(y),
            ReduceKind::Max => x.max(y),
            ReduceKind::Min => x.min(y),
        }
    }
}

/// Eight running results, then their combination in a fixed order.
fn reduced<T: Number>(kind: ReduceKind, x: &[T]) -> T {
    let mut lanes = [T::identity(kind); 8];
    let mut chunks = x.chunks_exact(8);
    for chunk in &mut chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane = T::combine(kind, *lane, *v);
        }
    }
    for (lane, v) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane = T::combine(kind, *lane, *v);
    }
    lanes.into_iter().fold(T::identity(kind), |x, y| T::combine(kind, x, y))
}

/// In the order of the indices, so that the result does not depend on threads.
fn scatter_add<T: Number>(at: &Axis, base: &[T], index: &[i32], updates: &[T], out: &mut [T]) {
    out.copy_from_slice(base);
    for o in 0..at.outer {
        for (k, i) in index.iter().enumerate() {
            let row = o * at.size + clamped(*i, at.size);
            let from = &updates[(o * index.len() + k) * at.inner..][..at.inner];
            for (to, v) in out[row * at.inner..][..at.inner].iter_mut().zip(from) {
                *to = T::combine(ReduceKind::Sum, *to, *v);
            }
        }
    }
}

fn cumulative<T: Number>(kind: ReduceKind, at: &Axis, reverse: bool, x: &[T], out: &mut [T]) {
    for o in 0..at.outer {
        for step in 0..at.size {
            let k = if reverse { at.size - 1 - step } else { step };
            let row = (o * at.size + k) * at.inner;
            for j in 0..at.inner {
                let value = x[row + j];
                out[row + j] = if step == 0 {
                    value
                } else {
                    let before = if reverse { row + at.inner } else { row - at.inner };
                    T::combine(kind, out[before + j], value)
                };
            }
        }
    }
}

/// A permutation as a stable sort makes it, NaN last; sorted in place by a heap, so that nothing is allocated.
fn sort<T: Number>(at: &Axis, descending: bool, x: &[T], out: &mut [i32]) {
    for o in 0..at.outer {
        for j in 0..at.inner {
            let key = |i: i32| x[(o * at.size + i as usize) * at.inner + j];
            let place = |k: usize| (o * at.size + k) * at.inner + j;
            for k in 0..at.size {
                out[place(k)] = k as i32;
            }
            heap_sort(at.size, |a, b| before(key(a), key(b), a, b, descending), out, &place);
        }
    }
}

/// Whether element `a` (index `i`) sorts before `b` (index `j`). Ties go by index: the result is that of a stable sort.
fn before<T: Number>(a: T, b: T, i: i32, j: i32, descending: bool) -> bool {
    let nan = |v: &T| v.partial_cmp(v).is_none();
    match (nan(&a), nan(&b)) {
        (false, true) => true,
        (true, false) => false,
        (true, true) => i < j,
        (false, false) if a == b => i < j,
        (false, false) => (a < b) != descending,
    }
}

fn heap_sort(n: usize, less: impl Fn(i32, i32) -> bool, out: &mut [i32], place: &impl Fn(usize) -> usize) {
    let sift = |mut root: usize, end: usize, out: &mut [i32]| {
        loop {
            let mut child = 2 * root + 1;
            if child >= end {
                return;
            }
            if child + 1 < end && less(out[place(child)], out[place(child + 1)]) {
                child += 1;
            }
            if !less(out[place(root)], out[place(child)]) {
                return;
            }
            out.swap(place(root), place(child));
            root = child;
        }
    };
    for root in (0..n / 2).rev() {
        sift(root, n, out);
    }
    for end in (1..n).rev() {
        out.swap(place(0), place(end));
        sift(0, end, out);
    }
}
