//! Four lanes of any element type, and the operations of the kernel on them.
//!
//! A [`Quad`] of a 32-bit type is one native vector; of `f64` it is two. A boolean is a mask of either shape, whichever
//! its producer made; [`narrow_mask`] and [`wide_mask`] change the shape. Scalar and row values are quads with equal
//! lanes, so that one emitter serves all levels.
//!
//! In a kernel that is widened to 256 bits there are twice as many lanes, and all of this happens in each half: then what
//! passes between 32-bit and 64-bit lanes ([`convert`], [`narrow_mask`], [`wide_mask`]) serves values with equal lanes
//! only, and [`lane`] tells about the lower half. See [`super::width`].

use super::lanes::{Float, Lanes, bitcast, demote, low_words, promote, select, shuffle32};
use super::math;
use crate::ir::{Binary, Compare, DType, ReduceKind, Unary};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use cranelift_frontend::FunctionBuilder;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quad {
    Narrow(Value),
    Wide([Value; 2]),
}

impl Quad {
    pub fn parts(self) -> Vec<Value> {
        match self {
            Quad::Narrow(x) => vec![x],
            Quad::Wide(x) => x.to_vec(),
        }
    }

    pub fn from_parts(parts: &[Value]) -> Quad {
        match *parts {
            [x] => Quad::Narrow(x),
            [x, y] => Quad::Wide([x, y]),
            _ => unreachable!("a quad is one or two vectors"),
        }
    }

    /// The vector of a 32-bit type or narrow mask.
    pub fn one(self) -> Value {
        match self {
            Quad::Narrow(x) => x,
            Quad::Wide(_) => unreachable!("a 32-bit value is one vector"),
        }
    }

    /// The vectors of an f64 value or wide mask.
    pub fn two(self) -> [Value; 2] {
        match self {
            Quad::Wide(x) => x,
            Quad::Narrow(_) => unreachable!("an f64 value is two vectors"),
        }
    }
}

/// The type of one lane in memory.
pub fn lane_type(dtype: DType) -> Type {
    match dtype {
        DType::F32 => types::F32,
        DType::F64 => types::F64,
        DType::I32 | DType::Bool => types::I32,
    }
}

/// The native vectors of a quad; bools as narrow masks.
pub fn vector_type(dtype: DType) -> Type {
    match dtype {
        DType::F32 => types::F32X4,
        DType::F64 => types::F64X2,
        DType::I32 | DType::Bool => types::I32X4,
    }
}

pub fn vectors(dtype: DType) -> usize {
    if dtype == DType::F64 { 2 } else { 1 }
}

fn float_of(dtype: DType) -> Float {
    if dtype == DType::F64 { Float::F64 } else { Float::F32 }
}

type Builder<'f> = FunctionBuilder<'f>;

/// A scalar in all lanes.
pub fn splat(b: &mut Builder, dtype: DType, scalar: Value) -> Quad {
    let x = b.ins().splat(vector_type(dtype), scalar);
    if dtype == DType::F64 { Quad::Wide([x, x]) } else { Quad::Narrow(x) }
}

pub fn int_splat(b: &mut Builder, value: i64) -> Value {
    let lane = b.ins().iconst(types::I32, value & 0xffff_ffff);
    b.ins().splat(types::I32X4, lane)
}

/// A constant; ints are rounded towards zero, any number but 0 is true.
pub fn constant(b: &mut Builder, dtype: DType, value: f64) -> Quad {
    match dtype {
        DType::F32 | DType::F64 => {
            let f = float_of(dtype);
            let x = Lanes { b, f }.c(value);
            if dtype == DType::F64 { Quad::Wide([x, x]) } else { Quad::Narrow(x) }
        }
        DType::I32 => Quad::Narrow(int_splat(b, value as i32 as i64)),
        DType::Bool => Quad::Narrow(int_splat(b, if value != 0.0 { -1 } else { 0 })),
    }
}

/// Lane 0 as a scalar; a bool as 0 or 1.
pub fn first_lane(b: &mut Builder, dtype: DType, x: Quad) -> Value {
    lane(b, dtype, x, 0)
}

/// One lane as a scalar of [`lane_type`]. Of a bool: all ones or zero (see [`in_memory`]).
pub fn lane(b: &mut Builder, dtype: DType, x: Quad, lane: u8) -> Value {
    match (dtype, x) {
        (DType::Bool, x) => {
            let x = narrow_mask(b, x);
            b.ins().extractlane(x, lane)
        }
        (_, Quad::Narrow(x)) => b.ins().extractlane(x, lane),
        (_, Quad::Wide(x)) => b.ins().extractlane(x[lane as usize / 2], lane % 2),
    }
}

/// Puts four scalars together.
pub fn joined_lanes(b: &mut Builder, dtype: DType, lanes: [Value; 4]) -> Quad {
    let ty = vector_type(dtype);
    if dtype == DType::F64 {
        let half = |b: &mut Builder, x, y| {
            let v = b.ins().splat(ty, x);
            b.ins().insertlane(v, y, 1u8)
        };
        return Quad::Wide([half(b, lanes[0], lanes[1]), half(b, lanes[2], lanes[3])]);
    }
    let mut v = b.ins().splat(ty, lanes[0]);
    for k in 1..4u8 {
        v = b.ins().insertlane(v, lanes[k as usize], k);
    }
    Quad::Narrow(v)
}

/// What was loaded as lanes of memory: bools become masks.
pub fn from_memory(b: &mut Builder, dtype: DType, x: Quad) -> Quad {
    if dtype != DType::Bool {
        return x;
    }
    let zero = int_splat(b, 0);
    Quad::Narrow(b.ins().icmp(IntCC::NotEqual, x.one(), zero))
}

/// What to store: masks become 0 and 1.
pub fn in_memory(b: &mut Builder, dtype: DType, x: Quad) -> Quad {
    if dtype != DType::Bool {
        return x;
    }
    let mask = narrow_mask(b, x);
    let one = int_splat(b, 1);
    Quad::Narrow(b.ins().band(mask, one))
}

pub fn narrow_mask(b: &mut Builder, x: Quad) -> Value {
    match x {
        Quad::Narrow(x) => x,
        Quad::Wide(x) => low_words(b, x),
    }
}

pub fn wide_mask(b: &mut Builder, x: Quad) -> [Value; 2] {
    match x {
        Quad::Wide(x) => x,
        Quad::Narrow(x) => [b.ins().swiden_low(x), b.ins().swiden_high(x)],
    }
}

fn mask_bits(b: &mut Builder, x: Value) -> Value {
    let ty = b.func.dfg.value_type(x);
    match ty {
        types::F32X4 => bitcast(b, types::I32X4, x),
        types::F64X2 => bitcast(b, types::I64X2, x),
        _ => x,
    }
}

/// `mask ? x : y`.
pub fn choose(b: &mut Builder, dtype: DType, mask: Quad, x: Quad, y: Quad) -> Quad {
    match dtype {
        DType::F64 => {
            let (mask, x, y) = (wide_mask(b, mask), x.two(), y.two());
            Quad::Wide([select(b, mask[0], x[0], y[0]), select(b, mask[1], x[1], y[1])])
        }
        DType::Bool => {
            let (mask, x, y) = (narrow_mask(b, mask), narrow_mask(b, x), narrow_mask(b, y));
            Quad::Narrow(select(b, mask, x, y))
        }
        DType::F32 | DType::I32 => {
            let mask = narrow_mask(b, mask);
            Quad::Narrow(select(b, mask, x.one(), y.one()))
        }
    }
}

/// Applies a float function to each native vector.
fn map(b: &mut Builder, dtype: DType, x: Quad, f: impl Fn(&mut Lanes, Value) -> Value) -> Quad {
    let parts: Vec<Value> =
        x.parts().into_iter().map(|part| f(&mut Lanes { b: &mut *b, f: float_of(dtype) }, part)).collect();
    Quad::from_parts(&parts)
}

fn map2(b: &mut Builder, dtype: DType, x: Quad, y: Quad, f: impl Fn(&mut Lanes, Value, Value) -> Value) -> Quad {
    let (x, y) = (x.parts(), y.parts());
    let parts: Vec<Value> =
        x.iter().zip(&y).map(|(x, y)| f(&mut Lanes { b: &mut *b, f: float_of(dtype) }, *x, *y)).collect();
    Quad::from_parts(&parts)
}

pub fn unary(b: &mut Builder, op: Unary, dtype: DType, x: Quad) -> Quad {
    if dtype == DType::Bool {
        // Only `not` takes bools.
        return Quad::from_parts(&x.parts().into_iter().map(|m| b.ins().bnot(m)).collect::<Vec<_>>());
    }
    if dtype == DType::I32 {
        return Quad::Narrow(int_unary(b, op, x.one()));
    }
    map(b, dtype, x, |l, x| match op {
        Unary::Neg => l.neg(x),
        Unary::Abs => l.abs(x),
        Unary::Sign => {
            // Zero and NaN are themselves.
            let (zero, one, minus_one) = (l.c(0.0), l.c(1.0), l.c(-1.0));
            let below = l.lt(x, zero);
            let above = l.lt(zero, x);
            let y = l.select(below, minus_one, x);
            l.select(above, one, y)
        }
        Unary::Exp => math::exp(l, x),
        Unary::Expm1 => math::expm1(l, x),
        Unary::Log => math::log(l, x),
        Unary::Log1p => math::log1p(l, x),
        Unary::Sqrt => l.b.ins().sqrt(x),
        Unary::Rsqrt => {
            let root = l.b.ins().sqrt(x);
            let one = l.c(1.0);
            l.div(one, root)
        }
        Unary::Sin => math::sin(l, x),
        Unary::Cos => math::cos(l, x),
        Unary::Atan => math::atan(l, x),
        Unary::Tanh => math::tanh(l, x),
        Unary::Logistic => math::logistic(l, x),
        Unary::Erf => math::erf(l, x),
        Unary::Floor => l.b.ins().floor(x),
        Unary::Ceil => l.b.ins().ceil(x),
        Unary::Round => l.b.ins().nearest(x),
        Unary::IsFinite => {
            let size = l.abs(x);
            let infinity = l.c(f64::INFINITY);
            l.lt(size, infinity)
        }
        Unary::Not => unreachable!("the verifier admits `not` of bools only"),
    })
}

fn int_unary(b: &mut Builder, op: Unary, x: Value) -> Value {
    match op {
        Unary::Neg => b.ins().ineg(x),
        Unary::Abs => b.ins().iabs(x),
        Unary::Sign => {
            // A comparison is -1 where it holds.
            let zero = int_splat(b, 0);
            let above = b.ins().icmp(IntCC::SignedGreaterThan, x, zero);
            let below = b.ins().icmp(IntCC::SignedGreaterThan, zero, x);
            b.ins().isub(below, above)
        }
        _ => unreachable!("the verifier admits no {} of ints", op.name()),
    }
}

pub fn binary(b: &mut Builder, op: Binary, dtype: DType, x: Quad, y: Quad) -> Quad {
    match dtype {
        DType::Bool => mask_binary(b, x, y, |b, x, y| match op {
            Binary::And => b.ins().band(x, y),
            _ => b.ins().bor(x, y),
        }),
        DType::I32 => Quad::Narrow(int_binary(b, op, x.one(), y.one())),
        DType::F32 | DType::F64 => map2(b, dtype, x, y, |l, x, y| match op {
            Binary::Add => l.add(x, y),
            Binary::Sub => l.sub(x, y),
            Binary::Mul => l.mul(x, y),
            Binary::Div => l.div(x, y),
            Binary::Pow => math::pow(l, x, y),
            Binary::Max => extreme(l, x, y, true),
            Binary::Min => extreme(l, x, y, false),
            Binary::Rem => math::rem(l, x, y),
            Binary::And | Binary::Or => unreachable!("the verifier admits no {} of floats", op.name()),
        }),
    }
}

/// The larger or smaller; NaN if either is NaN. One max instruction gives `y` if either is NaN, a blend mends `x`.
fn extreme(l: &mut Lanes, x: Value, y: Value, larger: bool) -> Value {
    let picks_x = if larger { l.lt(y, x) } else { l.lt(x, y) };
    let picked = l.select(picks_x, x, y);
    let x_nan = l.is_nan(x);
    l.select(x_nan, x, picked)
}

fn mask_binary(b: &mut Builder, x: Quad, y: Quad, f: impl Fn(&mut Builder, Value, Value) -> Value) -> Quad {
    match (x, y) {
        (Quad::Wide(x), Quad::Wide(y)) => Quad::Wide([f(b, x[0], y[0]), f(b, x[1], y[1])]),
        _ => {
            let (x, y) = (narrow_mask(b, x), narrow_mask(b, y));
            Quad::Narrow(f(b, x, y))
        }
    }
}

fn int_binary(b: &mut Builder, op: Binary, x: Value, y: Value) -> Value {
    match op {
        Binary::Add => b.ins().iadd(x, y),
        Binary::Sub => b.ins().isub(x, y),
        Binary::Mul => b.ins().imul(x, y),
        Binary::And => b.ins().band(x, y),
        Binary::Or => b.ins().bor(x, y),
        Binary::Max => b.ins().smax(x, y),
        Binary::Min => b.ins().smin(x, y),
        Binary::Div => int_div(b, x, y),
        Binary::Rem => {
            let q = int_div(b, x, y);
            let product = b.ins().imul(q, y);
            let r = b.ins().isub(x, product);
            // A remainder of the other sign moves to the divisor's.
            let zero = int_splat(b, 0);
            let signs = b.ins().bxor(r, y);
            let differ = b.ins().icmp(IntCC::SignedLessThan, signs, zero);
            let nonzero = b.ins().icmp(IntCC::NotEqual, r, zero);
            let shift = b.ins().band(differ, nonzero);
            let shift = b.ins().band(shift, y);
            let r = b.ins().iadd(r, shift);
            let by_zero = b.ins().icmp(IntCC::Equal, y, zero);
            b.ins().band_not(r, by_zero)
        }
        Binary::Pow => unreachable!("the verifier admits no pow of ints"),
    }
}

/// Truncating division through f64, whose quotient of two 32-bit ints never rounds across a whole number.
/// By zero: 0; the one overflow wraps.
fn int_div(b: &mut Builder, x: Value, y: Value) -> Value {
    let (xs, ys) = (int_to_f64(b, x), int_to_f64(b, y));
    let halves = [0, 1].map(|k| b.ins().fdiv(xs[k], ys[k]));
    let q = f64_to_int(b, halves);
    let minus_one = int_splat(b, -1);
    let by_minus_one = b.ins().icmp(IntCC::Equal, y, minus_one);
    let negated = b.ins().ineg(x);
    let q = b.ins().bitselect(by_minus_one, negated, q);
    let zero = int_splat(b, 0);
    let by_zero = b.ins().icmp(IntCC::Equal, y, zero);
    b.ins().band_not(q, by_zero)
}

pub fn compare(b: &mut Builder, op: Compare, dtype: DType, x: Quad, y: Quad) -> Quad {
    match dtype {
        DType::F32 | DType::F64 => {
            let cc = match op {
                Compare::Eq => FloatCC::Equal,
                Compare::Ne => FloatCC::NotEqual,
                Compare::Lt => FloatCC::LessThan,
                Compare::Le => FloatCC::LessThanOrEqual,
                Compare::Gt => FloatCC::GreaterThan,
                Compare::Ge => FloatCC::GreaterThanOrEqual,
            };
            map2(b, dtype, x, y, |l, x, y| l.compare(cc, x, y))
        }
        DType::I32 => {
            let cc = match op {
                Compare::Eq => IntCC::Equal,
                Compare::Ne => IntCC::NotEqual,
                Compare::Lt => IntCC::SignedLessThan,
                Compare::Le => IntCC::SignedLessThanOrEqual,
                Compare::Gt => IntCC::SignedGreaterThan,
                Compare::Ge => IntCC::SignedGreaterThanOrEqual,
            };
            Quad::Narrow(b.ins().icmp(cc, x.one(), y.one()))
        }
        // false < true; masks are all ones or zero.
        DType::Bool => mask_binary(b, x, y, |b, x, y| match op {
            Compare::Ne => b.ins().bxor(x, y),
            Compare::Eq => {
                let differ = b.ins().bxor(x, y);
                b.ins().bnot(differ)
            }
            Compare::Lt => b.ins().band_not(y, x),
            Compare::Gt => b.ins().band_not(x, y),
            Compare::Le => b.ins().bor_not(y, x),
            Compare::Ge => b.ins().bor_not(x, y),
        }),
    }
}

/// I32X4 to two F64X2.
pub fn int_to_f64(b: &mut Builder, x: Value) -> [Value; 2] {
    let high = shuffle32(b, x, x, [2, 3, 2, 3]);
    [x, high].map(|part| {
        // This pair is recognised as one instruction.
        let wide = b.ins().swiden_low(part);
        b.ins().fcvt_from_sint(types::F64X2, wide)
    })
}

/// Two F64X2 to I32X4: towards zero, saturating, NaN to 0.
fn f64_to_int(b: &mut Builder, x: [Value; 2]) -> Value {
    let constant = b.func.dfg.constants.insert(vec![0u8; 16].into());
    let [low, high] = x.map(|part| {
        let wide = b.ins().fcvt_to_sint_sat(types::I64X2, part);
        let zero = b.ins().vconst(types::I64X2, constant);
        b.ins().snarrow(wide, zero)
    });
    shuffle32(b, low, high, [0, 1, 4, 5])
}

pub fn convert(b: &mut Builder, from: DType, to: DType, x: Quad) -> Quad {
    use DType::*;
    match (from, to) {
        (F32, F32) | (F64, F64) | (I32, I32) | (Bool, Bool) => x,
        (F32, F64) => Quad::Wide(promote(b, x.one())),
        (F64, F32) => Quad::Narrow(demote(b, x.two())),
        (I32, F32) => Quad::Narrow(b.ins().fcvt_from_sint(types::F32X4, x.one())),
        (I32, F64) => Quad::Wide(int_to_f64(b, x.one())),
        (F32, I32) => Quad::Narrow(b.ins().fcvt_to_sint_sat(types::I32X4, x.one())),
        (F64, I32) => Quad::Narrow(f64_to_int(b, x.two())),
        (F32 | F64 | I32, Bool) => {
            let zero = constant(b, from, 0.0);
            compare(b, Compare::Ne, from, x, zero)
        }
        (Bool, F32 | F64 | I32) => {
            // The bits of one where the mask is set.
            let one = constant(b, to, 1.0);
            let masks = if to == F64 { wide_mask(b, x).to_vec() } else { vec![narrow_mask(b, x)] };
            let parts: Vec<Value> = masks
                .into_iter()
                .zip(one.parts())
                .map(|(mask, one)| {
                    let one = mask_bits(b, one);
                    let bits = b.ins().band(mask, one);
                    bitcast(b, vector_type(to), bits)
                })
                .collect();
            Quad::from_parts(&parts)
        }
    }
}

/// The upper 24 bits of random words times 2^-24.
pub fn bits_to_unit(b: &mut Builder, to: DType, x: Quad) -> Quad {
    let eight = b.ins().iconst(types::I32, 8);
    let bits = b.ins().ushr(x.one(), eight);
    let number = b.ins().fcvt_from_sint(types::F32X4, bits);
    let mut l = Lanes { b: &mut *b, f: Float::F32 };
    let scale = l.c(2f64.powi(-24));
    let unit = l.mul(number, scale);
    convert(b, DType::F32, to, Quad::Narrow(unit))
}

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
            let swapped = super::lanes::swap64(b, halves);
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
