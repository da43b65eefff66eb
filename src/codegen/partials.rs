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
        match dtype {
            DType::F32 => typed::<f32>(blocks, elements, out, step(kind, |x, y| x + y, |x, y| x * y), identity(kind)),
            DType::F64 => typed::<f64>(blocks, elements, out, step(kind, |x, y| x + y, |x, y| x * y), identity(kind)),
            DType::I32 | DType::Bool => {
                let f = step(kind, i32::wrapping_add, i32::wrapping_mul);
                let start = match kind {
                    ReduceKind::Max => i32::MIN,
                    ReduceKind::Min => i32::MAX,
                    ReduceKind::Sum => 0,
                    ReduceKind::Prod => 1,
                };
                typed::<i32>(blocks, elements, out, f, start)
            }
        }
    }
}

fn identity<T: From<f32>>(kind: ReduceKind) -> T {
    T::from(super::quad::identity(kind, DType::F32) as f32)
}

/// One step of a reduction; `max` and `min` keep NaN.
fn step<T: Copy + PartialOrd>(kind: ReduceKind, sum: fn(T, T) -> T, product: fn(T, T) -> T) -> fn(T, T) -> T
where
{
    match kind {
        ReduceKind::Sum => sum,
        ReduceKind::Prod => product,
        ReduceKind::Max => |x, y| if is_nan(x) || y < x { x } else { y },
        ReduceKind::Min => |x, y| if is_nan(x) || x < y { x } else { y },
    }
}

fn is_nan<T: PartialOrd>(x: T) -> bool {
    x.partial_cmp(&x).is_none()
}

unsafe fn typed<T: Copy>(blocks: &[*const u8], elements: usize, out: *mut u8, f: fn(T, T) -> T, identity: T) {
    for i in 0..elements {
        // SAFETY: the caller vouches for `elements` numbers behind every pointer.
        unsafe {
            let mut numbers = blocks.iter().map(|block| *block.cast::<T>().add(i));
            let first = numbers.next().unwrap_or(identity);
            *out.cast::<T>().add(i) = numbers.fold(first, f);
        }
    }
}
