//! Hand-built kernels against plain Rust loops.

mod elementwise;
mod math;
mod random;
mod reductions;
mod rows;
mod speed;
mod widths;

use super::{Module, Widths, combine_partials, compile, compile_widths, partial_layout, scratch_bytes};
use crate::ir::{Binary, Compare, DType, ReduceKind, Type, Unary};
use crate::kernel::{Affine, Effect, Kernel, KernelParam, Level, Space, Value, ValueId, ValueKind};
use crate::runtime::{Buffer, Tensor};
use crate::source::Span;

/// Builds kernels; levels are the computed ones.
pub struct Build {
    pub kernel: Kernel,
}

pub fn along(offset: isize, outer: &[isize], inner: isize) -> Affine {
    Affine { offset, outer_strides: outer.to_vec(), inner_stride: inner }
}

impl Build {
    pub fn flat(elements: usize) -> Build {
        Build::new(Space::Flat { elements })
    }

    pub fn grid(outer: &[usize], inner: usize) -> Build {
        Build::new(Space::Grid { outer: outer.to_vec(), inner })
    }

    pub fn new(space: Space) -> Build {
        Build { kernel: Kernel { name: "test".into(), space, params: vec![], values: vec![], effects: vec![] } }
    }

    pub fn param(&mut self, dtype: DType, elements: usize, written: bool) -> usize {
        self.kernel.params.push(KernelParam { dtype, elements, written });
        self.kernel.params.len() - 1
    }

    pub fn value(&mut self, dtype: DType, kind: ValueKind) -> ValueId {
        self.kernel.values.push(Value { kind, dtype, level: Level::Scalar, span: Span::default() });
        let level = super::plan::computed_levels(&self.kernel).pop().expect("there is a value");
        self.kernel.values.last_mut().expect("there is a value").level = level;
        ValueId(self.kernel.values.len() as u32 - 1)
    }

    pub fn load(&mut self, param: usize, at: Affine) -> ValueId {
        let dtype = self.kernel.params[param].dtype;
        self.value(dtype, ValueKind::Load { param, at })
    }

    pub fn c(&mut self, dtype: DType, value: f64) -> ValueId {
        self.value(dtype, ValueKind::Const(value))
    }

    fn dtype(&self, v: ValueId) -> DType {
        self.kernel.values[v.0 as usize].dtype
    }

    pub fn unary(&mut self, op: Unary, x: ValueId) -> ValueId {
        let dtype = if op == Unary::IsFinite { DType::Bool } else { self.dtype(x) };
        self.value(dtype, ValueKind::Unary(op, x))
    }

    pub fn binary(&mut self, op: Binary, x: ValueId, y: ValueId) -> ValueId {
        self.value(self.dtype(x), ValueKind::Binary(op, x, y))
    }

    pub fn compare(&mut self, op: Compare, x: ValueId, y: ValueId) -> ValueId {
        self.value(DType::Bool, ValueKind::Compare(op, x, y))
    }

    pub fn select(&mut self, c: ValueId, x: ValueId, y: ValueId) -> ValueId {
        self.value(self.dtype(x), ValueKind::Select(c, x, y))
    }

    pub fn convert(&mut self, to: DType, x: ValueId) -> ValueId {
        self.value(to, ValueKind::Convert(x))
    }

    pub fn row_reduce(&mut self, kind: ReduceKind, x: ValueId) -> ValueId {
        self.value(self.dtype(x), ValueKind::RowReduce(kind, x))
    }

    pub fn store(&mut self, param: usize, at: Affine, value: ValueId) {
        self.kernel.effects.push(Effect::Store { param, at, value });
    }
}

pub fn compile_one(kernel: &Kernel) -> Module {
    match compile(std::slice::from_ref(kernel)) {
        Ok(module) => module,
        Err(error) => panic!("{error}"),
    }
}

/// Runs a kernel over its whole space in tasks of `tile` elements or rows, and combines partial results: at both
/// widths, which must agree. The buffers get what the wider code makes.
pub fn run_tiles(kernel: &Kernel, buffers: &mut [Tensor], tile: usize) {
    let mut narrow = buffers.to_vec();
    run_module(&compile_width(kernel, Widths::Narrow), kernel, &mut narrow, tile);
    let module = compile_width(kernel, Widths::Wide);
    assert_eq!(module.kernel(0).refusal(), None, "{}", module.clif(0));
    run_module(&module, kernel, buffers, tile);
    agree(kernel, &narrow, buffers);
}

pub fn compile_width(kernel: &Kernel, widths: Widths) -> Module {
    compile_widths(std::slice::from_ref(kernel), widths).unwrap_or_else(|error| panic!("{error}"))
}

/// The same bits at both widths, but for sums, whose order depends on it.
pub fn agree(kernel: &Kernel, narrow: &[Tensor], wide: &[Tensor]) {
    let sums = kernel.values.iter().any(|value| matches!(value.kind, ValueKind::RowReduce(..)))
        || kernel.effects.iter().any(|effect| matches!(effect, Effect::TotalReduce { .. }));
    for (narrow, wide) in narrow.iter().zip(wide) {
        if !sums {
            assert_eq!(bits(narrow), bits(wide), "{:?}\n{:?}", narrow.to_f64s(), wide.to_f64s());
        }
        for (x, y) in narrow.to_f64s().into_iter().zip(wide.to_f64s()) {
            let near = x == y || x.is_nan() && y.is_nan() || (x - y).abs() <= 1e-5 * (x.abs() + y.abs()) + 1e-6;
            assert!(near, "{x} at 128 bits, {y} at 256");
        }
    }
}

pub fn run_module(module: &Module, kernel: &Kernel, buffers: &mut [Tensor], tile: usize) {
    for (param, buffer) in kernel.params.iter().zip(buffers.iter()) {
        assert_eq!((param.dtype, param.elements), (buffer.ty().dtype, buffer.ty().elements()), "a test's buffers");
    }
    let pointers: Vec<*mut u8> = buffers.iter_mut().map(|b| b.as_mut_ptr()).collect();
    let total = match &kernel.space {
        Space::Flat { elements } => *elements,
        Space::Grid { outer, .. } => outer.iter().product(),
        Space::Segments { offsets } => offsets.len() - 1,
    };
    let layout = partial_layout(kernel);
    let mut scratch = Buffer::zeroed(scratch_bytes(kernel));
    let mut blocks: Vec<Buffer> = vec![];
    let mut start = 0;
    while start < total || blocks.is_empty() {
        let end = (start + tile).min(total);
        let mut block = Buffer::zeroed(layout.bytes);
        // SAFETY: the kernel was verified and the buffers have its types and sizes.
        unsafe {
            (module.entry(0))(pointers.as_ptr(), start, end, block.as_mut_ptr(), scratch.as_mut_ptr());
        }
        blocks.push(block);
        start = end;
    }
    for slot in &layout.slots {
        // SAFETY: the blocks have the layout's size, and the parameter the slot's type and size.
        unsafe {
            let parts: Vec<*const u8> = blocks.iter().map(|b| b.as_ptr().add(slot.offset)).collect();
            combine_partials(slot.dtype, slot.kind, &parts, slot.elements, pointers[slot.param]);
        }
    }
}

pub fn run(kernel: &Kernel, buffers: &mut [Tensor]) {
    run_tiles(kernel, buffers, usize::MAX / 2);
}

pub fn tensor(dtype: DType, values: &[f64]) -> Tensor {
    Tensor::from_f64s(Type::new(dtype, [values.len()]), values)
}

pub fn zeros(dtype: DType, n: usize) -> Tensor {
    Tensor::zeros(Type::new(dtype, [n]))
}

/// Numbers in -1..1 that look random.
pub fn noise(n: usize, seed: u32) -> Vec<f64> {
    let mut state = seed.wrapping_mul(2654435761).wrapping_add(12345);
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state as f64 / u32::MAX as f64) * 2.0 - 1.0
        })
        .map(|x| x as f32 as f64)
        .collect()
}

pub fn bits(t: &Tensor) -> Vec<u8> {
    t.bytes().to_vec()
}
