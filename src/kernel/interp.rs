//! Runs a kernel slowly and obviously: one value at a time, in 64-bit arithmetic rounded to each value's type.
//!
//! The oracle of generated code, and a way to run a program without it.

use super::{Affine, Effect, Kernel, Level, Space, ValueKind};
use crate::interp::scalar::{Number, compare};
use crate::ir::{ArgKind, Binary, DType, ReduceKind, Unary};

/// Reads and writes the elements of the kernel's parameters.
pub trait Memory {
    fn load(&self, param: usize, at: usize) -> f64;
    fn store(&mut self, param: usize, at: usize, value: f64);
    /// Word 0 of Threefry-2x32-20.
    fn random(&self, key: [u32; 2], counter: [u32; 2]) -> u32;
}

/// The value a reduction starts from.
pub fn identity(kind: ReduceKind, dtype: DType) -> f64 {
    match (kind, dtype) {
        (ReduceKind::Sum, _) => 0.0,
        (ReduceKind::Prod, _) => 1.0,
        (ReduceKind::Max, DType::I32) => i32::MIN as f64,
        (ReduceKind::Min, DType::I32) => i32::MAX as f64,
        (ReduceKind::Max, _) => f64::NEG_INFINITY,
        (ReduceKind::Min, _) => f64::INFINITY,
    }
}

/// One step of a reduction.
pub fn reduce(kind: ReduceKind, x: f64, y: f64, dtype: DType) -> f64 {
    let binary = match kind {
        ReduceKind::Sum => Binary::Add,
        ReduceKind::Prod => Binary::Mul,
        ReduceKind::Max => Binary::Max,
        ReduceKind::Min => Binary::Min,
    };
    binary_op(binary, x, y, dtype)
}

/// Rounds to the type.
pub fn rounded(value: f64, dtype: DType) -> f64 {
    match dtype {
        DType::F64 => value,
        DType::F32 => value as f32 as f64,
        DType::I32 => value,
        DType::Bool => f64::from(value != 0.0),
    }
}

/// Where the interpreter is: outer indices and the inner one.
struct Point<'a> {
    outer: &'a [usize],
    inner: usize,
}

impl Point<'_> {
    fn at(&self, affine: &Affine) -> isize {
        let outer: isize = affine.outer_strides.iter().zip(self.outer).map(|(s, i)| s * *i as isize).sum();
        affine.offset + outer + affine.inner_stride * self.inner as isize
    }
}

/// Runs all of a kernel's space. Results of reductions are written to their parameters.
pub fn run(kernel: &Kernel, memory: &mut dyn Memory) {
    let (outer, inner): (Vec<usize>, usize) = match &kernel.space {
        Space::Flat { elements } => (vec![], *elements),
        Space::Grid { outer, inner } => (outer.clone(), *inner),
        Space::Segments { offsets } => (vec![offsets.len() - 1], 0),
    };
    let rows: usize = outer.iter().product();
    let mut totals: Vec<Vec<f64>> = kernel
        .effects
        .iter()
        .map(|effect| match effect {
            Effect::ColReduce { kind, value, .. } => {
                vec![identity(*kind, kernel.values[value.0 as usize].dtype); inner]
            }
            Effect::TotalReduce { kind, value, .. } => vec![identity(*kind, kernel.values[value.0 as usize].dtype)],
            Effect::Store { .. } => vec![],
        })
        .collect();
    let mut index = vec![0; outer.len()];
    for row in 0..rows {
        let mut rest = row;
        for k in (0..outer.len()).rev() {
            index[k] = rest % outer[k];
            rest /= outer[k];
        }
        let columns = match &kernel.space {
            Space::Segments { offsets } => offsets[row]..offsets[row + 1],
            _ => 0..inner,
        };
        run_row(kernel, memory, &index, columns, &mut totals);
    }
    for (effect, totals) in kernel.effects.iter().zip(&totals) {
        if let Effect::ColReduce { param, .. } | Effect::TotalReduce { param, .. } = effect {
            for (k, total) in totals.iter().enumerate() {
                memory.store(*param, k, *total);
            }
        }
    }
}

/// All values of one row, value by value, so that reductions need no passes.
fn run_row(
    kernel: &Kernel,
    memory: &mut dyn Memory,
    outer: &[usize],
    columns: std::ops::Range<usize>,
    totals: &mut [Vec<f64>],
) {
    let width = columns.len();
    let first = columns.start;
    let mut values: Vec<Vec<f64>> = vec![];
    for value in &kernel.values {
        let n = if value.level == Level::Element { width } else { 1 };
        let of = |id: &super::ValueId, k: usize| {
            let v: &Vec<f64> = &values[id.0 as usize];
            if v.len() == 1 { v[0] } else { v[k] }
        };
        let operand_type = |id: &super::ValueId| kernel.values[id.0 as usize].dtype;
        let mut result = Vec::with_capacity(n);
        for k in 0..n {
            let point = Point { outer, inner: first + k };
            let raw = match &value.kind {
                ValueKind::Const(c) => *c,
                ValueKind::Load { param, at } => memory.load(*param, point.at(at) as usize),
                ValueKind::Index(at) => point.at(at) as f64,
                ValueKind::Random { stream, keys, index } => {
                    let word = |k: usize| of(&keys[k], 0) as i64 as u32;
                    let bits = memory.random([word(0), word(1) ^ stream], [point.at(index) as u32, word(2)]);
                    bits as i32 as f64
                }
                ValueKind::Unary(u, x) => unary_op(*u, of(x, k), value.dtype),
                ValueKind::Binary(b, x, y) => binary_op(*b, of(x, k), of(y, k), value.dtype),
                ValueKind::Compare(c, x, y) => f64::from(compare(*c, &of(x, k), &of(y, k))),
                ValueKind::Select(c, x, y) => {
                    if of(c, k) != 0.0 {
                        of(x, k)
                    } else {
                        of(y, k)
                    }
                }
                ValueKind::Convert(x) => convert(of(x, k), operand_type(x), value.dtype),
                ValueKind::BitsToUnit(x) => ((of(x, k) as i64 as u32) >> 8) as f64 / (1u32 << 24) as f64,
                ValueKind::RowReduce(kind, x) => {
                    (0..width).fold(identity(*kind, value.dtype), |acc, j| reduce(*kind, acc, of(x, j), value.dtype))
                }
                ValueKind::RowArg(kind, x) => first_extreme(*kind, (0..width).map(|j| of(x, j))) as f64,
            };
            result.push(rounded(raw, value.dtype));
        }
        values.push(result);
    }
    for (effect, totals) in kernel.effects.iter().zip(totals) {
        let (Effect::Store { value, .. } | Effect::ColReduce { value, .. } | Effect::TotalReduce { value, .. }) =
            effect;
        let dtype = kernel.values[value.0 as usize].dtype;
        let values = &values[value.0 as usize];
        let points = match effect {
            Effect::Store { at, .. } if at.inner_stride != 0 => width,
            _ => values.len(),
        };
        for k in 0..points {
            let v = if values.len() == 1 { &values[0] } else { &values[k] };
            match effect {
                Effect::Store { param, at, .. } => {
                    memory.store(*param, Point { outer, inner: first + k }.at(at) as usize, *v)
                }
                Effect::ColReduce { kind, .. } => totals[k] = reduce(*kind, totals[k], *v, dtype),
                Effect::TotalReduce { kind, .. } => totals[0] = reduce(*kind, totals[0], *v, dtype),
            }
        }
    }
}

fn first_extreme(kind: ArgKind, values: impl Iterator<Item = f64>) -> usize {
    let mut best: Option<(usize, f64)> = None;
    for (k, v) in values.enumerate() {
        let better = match best {
            None => true,
            Some((_, b)) if b.is_nan() => false,
            Some((_, b)) => v.is_nan() || if kind == ArgKind::Max { v > b } else { v < b },
        };
        if better {
            best = Some((k, v));
        }
    }
    best.map_or(0, |(k, _)| k)
}

fn convert(x: f64, from: DType, to: DType) -> f64 {
    match to {
        DType::I32 if from.is_float() => x as i32 as f64,
        DType::Bool => f64::from(x != 0.0),
        _ => x,
    }
}

/// One elementwise function, in the arithmetic of the operand's type (f32 values are computed in f64 and rounded when
/// stored).
fn unary_op(u: Unary, x: f64, dtype: DType) -> f64 {
    match (u, dtype) {
        (Unary::Not, _) => f64::from(x == 0.0),
        (Unary::IsFinite, _) => f64::from(x.is_finite()),
        (_, DType::I32) => f64::from(i32::unary(u, x as i32)),
        _ => f64::unary(u, x),
    }
}

/// One elementwise function of two operands, in the arithmetic of the result's type.
fn binary_op(b: Binary, x: f64, y: f64, dtype: DType) -> f64 {
    match dtype {
        DType::I32 | DType::Bool => f64::from(i32::binary(b, x as i32, y as i32)),
        _ => f64::binary(b, x, y),
    }
}
