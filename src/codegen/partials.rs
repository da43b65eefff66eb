//! Partial results of reductions over all rows: their layout in a task's block, and their combination.

use crate::ir::{DType, ReduceKind};
use crate::kernel::{Effect, Kernel, Space};

/// One reducing effect's place in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartialSlot {
    /// Index in [`Kernel::effects`].
    pub effect: usize,
    /// The parameter that receives the combined result.
    pub param: usize,
    pub kind: ReduceKind,
    pub dtype: DType,
    /// From the start of the block, in bytes; a multiple of 64.
    pub offset: usize,
    pub elements: usize,
}

/// The layout of one task's block of partial results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialLayout {
    /// A multiple of 64; 0 if the kernel reduces nothing over all rows.
    pub bytes: usize,
    pub slots: Vec<PartialSlot>,
}

pub fn partial_layout(kernel: &Kernel) -> PartialLayout {
    let mut layout = PartialLayout::default();
    for (effect, e) in kernel.effects.iter().enumerate() {
        let (kind, value, param, elements) = match e {
            Effect::Store { .. } => continue,
            Effect::TotalReduce { kind, value, param } => (*kind, *value, *param, 1),
            Effect::ColReduce { kind, value, param } => {
                let Space::Grid { inner, .. } = kernel.space else { continue };
                (*kind, *value, *param, inner)
            }
        };
        let dtype = kernel.values[value.0 as usize].dtype;
        layout.slots.push(PartialSlot { effect, param, kind, dtype, offset: layout.bytes, elements });
        // Whole lines: tasks do not share one, and vector code may touch a whole last vector.
        layout.bytes += (elements * dtype.size()).next_multiple_of(64);
    }
    layout
}

/// Combines the partial results of all tasks, in order, into `out`.
///
/// # Safety
/// `out` and each of `blocks` (already offset to the slot) must hold `elements` numbers of `dtype`, aligned for it;
/// `out` may be one of the blocks only if it is the first.
pub unsafe fn combine_partials(dtype: DType, kind: ReduceKind, blocks: &[*const u8], elements: usize, out: *mut u8) {
    // SAFETY: passed on from the caller; `typed` reads and writes elements below `elements` only.
    unsafe {
        match (dtype, kind) {
            (DType::F32, ReduceKind::Sum) => typed::<f32>(blocks, elements, out, 0.0, |x, y| x + y),
            (DType::F32, ReduceKind::Prod) => typed::<f32>(blocks, elements, out, 1.0, |x, y| x * y),
            (DType::F32, ReduceKind::Max) => typed::<f32>(blocks, elements, out, f32::NEG_INFINITY, larger),
            (DType::F32, ReduceKind::Min) => typed::<f32>(blocks, elements, out, f32::INFINITY, smaller),
            (DType::F64, ReduceKind::Sum) => typed::<f64>(blocks, elements, out, 0.0, |x, y| x + y),
            (DType::F64, ReduceKind::Prod) => typed::<f64>(blocks, elements, out, 1.0, |x, y| x * y),
            (DType::F64, ReduceKind::Max) => typed::<f64>(blocks, elements, out, f64::NEG_INFINITY, larger),
            (DType::F64, ReduceKind::Min) => typed::<f64>(blocks, elements, out, f64::INFINITY, smaller),
            (_, ReduceKind::Sum) => typed::<i32>(blocks, elements, out, 0, i32::wrapping_add),
            (_, ReduceKind::Prod) => typed::<i32>(blocks, elements, out, 1, i32::wrapping_mul),
            (_, ReduceKind::Max) => typed::<i32>(blocks, elements, out, i32::MIN, larger),
            (_, ReduceKind::Min) => typed::<i32>(blocks, elements, out, i32::MAX, smaller),
        }
    }
}

fn is_nan<T: PartialOrd>(x: T) -> bool {
    x.partial_cmp(&x).is_none()
}

fn larger<T: Copy + PartialOrd>(x: T, y: T) -> T {
    if is_nan(x) || y < x { x } else { y }
}

fn smaller<T: Copy + PartialOrd>(x: T, y: T) -> T {
    if is_nan(x) || x < y { x } else { y }
}

/// Block by block, so that each is read in one sweep.
unsafe fn typed<T: Copy>(blocks: &[*const u8], elements: usize, out: *mut u8, identity: T, f: impl Fn(T, T) -> T) {
    let out = out.cast::<T>();
    for i in 0..elements {
        // SAFETY: the caller vouches for `elements` numbers behind every pointer.
        unsafe { *out.add(i) = blocks.first().map_or(identity, |first| *first.cast::<T>().add(i)) };
    }
    for block in blocks.iter().skip(1) {
        let block = block.cast::<T>();
        for i in 0..elements {
            // SAFETY: as above.
            unsafe { *out.add(i) = f(*out.add(i), *block.add(i)) };
        }
    }
}
