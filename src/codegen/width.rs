//! The width for which a kernel is emitted: the native 128 bits, or twice as much where [`super::widen`] can follow.

use crate::ir::{Binary, DType, Unary};
use crate::kernel::{Effect, Kernel, Level, Space, Value, ValueId, ValueKind};

/// How long a vector of the emitted code is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    W128,
    /// 128-bit operations in Cranelift, with the counts and strides of 256 bits.
    W256,
}

impl Width {
    pub fn bytes(self) -> usize {
        match self {
            Width::W128 => 16,
            Width::W256 => 32,
        }
    }

    /// 32-bit lanes of a vector.
    pub fn lanes(self) -> usize {
        self.bytes() / 4
    }
}

/// Rows shorter than this are worth 256 bits only if whole vectors fill them: a remainder goes through memory.
const SHORT_ROW: usize = 96;

/// Whether this machine has 256-bit integer and float vectors.
pub fn machine_has_wide() -> bool {
    #[cfg(target_arch = "x86_64")]
    return cfg!(unix) && std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether the kernel gains from 256 bits: long rows, and neighbouring elements in memory.
pub fn gains(kernel: &Kernel) -> bool {
    let long = match &kernel.space {
        Space::Flat { elements } => *elements >= Width::W256.lanes(),
        Space::Grid { inner, .. } => *inner >= SHORT_ROW || (*inner > 0 && inner.is_multiple_of(Width::W256.lanes())),
        Space::Segments { offsets } => {
            offsets.last().is_some_and(|n| *n >= SHORT_ROW * offsets.len().saturating_sub(1).max(1))
        }
    };
    let contiguous = |stride: isize| matches!(stride, 0 | 1);
    let loads = kernel.values.iter().all(|value| match &value.kind {
        ValueKind::Load { at, .. } => contiguous(at.inner_stride),
        _ => true,
    });
    let stores = kernel.effects.iter().all(|effect| match effect {
        Effect::Store { at, .. } => contiguous(at.inner_stride),
        _ => true,
    });
    long && loads && stores
}

/// Whether the kernel can be written with operations that work on each half of a vector by itself. Not so where lanes
/// of 32 and of 64 bits meet: their vectors hold different elements.
pub fn works_on_halves(kernel: &Kernel) -> bool {
    let shapes = shapes(kernel);
    let shape = |v: ValueId| shapes[v.0 as usize];
    let values = kernel.values.iter().enumerate().all(|(v, value)| {
        let element = value.level == Level::Element;
        match value.kind {
            // Over the Element values of a row, whatever their own level.
            ValueKind::RowArg(_, x) => kernel.values[x.0 as usize].dtype != DType::F64,
            ValueKind::Select(..) => !element || operands_fit(kernel, value, shape),
            _ => !element || (!mixes(kernel, ValueId(v as u32)) && operands_fit(kernel, value, shape)),
        }
    });
    let effects = kernel.effects.iter().all(|effect| match effect {
        Effect::Store { value, .. } | Effect::ColReduce { value, .. } | Effect::TotalReduce { value, .. } => {
            kernel.values[value.0 as usize].dtype != DType::Bool || shape(*value) == Shape::One
        }
    });
    values && effects
}

/// Whether an operation passes between lanes of 32 and of 64 bits. With equal lanes it can be mended by copying lane 0
/// to all others.
pub fn mixes(kernel: &Kernel, v: ValueId) -> bool {
    let value = &kernel.values[v.0 as usize];
    let double = |x: &ValueId| kernel.values[x.0 as usize].dtype == DType::F64;
    let is_double = value.dtype == DType::F64;
    match &value.kind {
        ValueKind::Convert(x) => double(x) != is_double,
        ValueKind::BitsToUnit(_) | ValueKind::Index(_) => is_double,
        // These compute in f64.
        ValueKind::Unary(Unary::Sin | Unary::Cos, _) => value.dtype == DType::F32,
        ValueKind::Binary(Binary::Pow, ..) => value.dtype == DType::F32,
        ValueKind::Binary(Binary::Div | Binary::Rem, ..) => value.dtype == DType::I32,
        // The mask may be of 32-bit lanes.
        ValueKind::Select(..) => is_double,
        _ => false,
    }
}

/// Native vectors of a value: of a bool, those of the numbers whose comparison made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    One,
    Two,
}

fn shapes(kernel: &Kernel) -> Vec<Shape> {
    let mut shapes: Vec<Shape> = Vec::with_capacity(kernel.values.len());
    for value in &kernel.values {
        let of = |x: &ValueId| shapes[x.0 as usize];
        let shape = match (&value.kind, value.dtype) {
            (_, DType::F64) => Shape::Two,
            (_, DType::F32 | DType::I32) => Shape::One,
            (ValueKind::Compare(_, x, _) | ValueKind::Unary(_, x) | ValueKind::Convert(x), _) => of(x),
            (ValueKind::Binary(_, x, y), _) if of(x) == of(y) => of(x),
            _ => Shape::One,
        };
        shapes.push(shape);
    }
    shapes
}

/// Whether no operand's mask must change its shape.
fn operands_fit(kernel: &Kernel, value: &Value, shape: impl Fn(ValueId) -> Shape) -> bool {
    let bool_operand = |x: ValueId| kernel.values[x.0 as usize].dtype == DType::Bool;
    let own = if value.dtype == DType::F64 { Shape::Two } else { Shape::One };
    match value.kind {
        ValueKind::Select(c, x, y) if value.dtype == DType::Bool => [c, x, y].iter().all(|v| shape(*v) == Shape::One),
        ValueKind::Select(c, ..) => shape(c) == own,
        ValueKind::Convert(x) if bool_operand(x) && value.dtype != DType::Bool => shape(x) == own,
        ValueKind::Binary(_, x, y) | ValueKind::Compare(_, x, y) if bool_operand(x) => shape(x) == shape(y),
        _ => true,
    }
}
