//! Elementwise operations of the kernel, but for conversions.

use super::convert::{f64_to_int, int_to_f64};
use super::{Builder, Quad, float_of, int_splat, narrow_mask};
use crate::codegen::lanes::Lanes;
use crate::codegen::math;
use crate::ir::{Binary, Compare, DType, Unary};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value};

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
