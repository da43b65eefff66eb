//! `exp` and `expm1`: `x = n ln 2 + r`, a polynomial for `exp(r)`, and a scaling by `2^n`.

use super::{LN2_F32, LN2_F64};
use crate::codegen::lanes::{Float, Lanes};
use cranelift_codegen::ir::Value;

/// `(exp(r) - 1 - r) / r^2` for `|r| <= ln(2) / 2`.
const EXP_F32: &[f64] = &[
    0.5000000014286223,
    0.16666666682534356,
    0.04166645680967788,
    0.008333310024225292,
    0.0013934541928270264,
    0.0001989198131397769,
];
const EXP_F64: &[f64] = &[
    0.5,
    0.1666666666666667,
    0.04166666666666667,
    0.008333333333325544,
    0.0013888888888883327,
    0.00019841269876864356,
    2.4801587327007187e-05,
    2.755725283351691e-06,
    2.75572718102198e-07,
    2.5106274733573296e-08,
    2.0915442297780116e-09,
];

/// What [`reduce`] finds.
pub(super) struct Reduced {
    /// The multiple of `ln 2`, as float and in the low bits of an integer.
    pub n: Value,
    pub n_bits: Value,
    pub r: Value,
}

/// `x = n ln 2 + r`. `x` must be small enough for `n` to be an exponent.
pub(super) fn reduce(l: &mut Lanes, x: Value) -> Reduced {
    let (n, n_bits) = l.round_scaled(x, std::f64::consts::LOG2_E);
    let (high, low) = if l.f == Float::F32 { LN2_F32 } else { LN2_F64 };
    let high = l.c(high);
    let r = l.fnma(n, high, x);
    let low = l.c(low);
    let r = l.fnma(n, low, r);
    Reduced { n, n_bits, r }
}

/// `exp(r) - 1` for a reduced `r`.
pub(super) fn expm1_poly(l: &mut Lanes, r: Value) -> Value {
    let p = l.poly_of(r, EXP_F32, EXP_F64);
    let r2 = l.mul(r, r);
    l.fma(r2, p, r)
}

/// `2^n` from the low bits of `n`; `n + bias` must be an exponent of a normal number.
pub(super) fn power_of_two(l: &mut Lanes, n_bits: Value) -> Value {
    let (bias, shift) = (l.f.exponent_bias(), l.f.fraction_bits());
    let bias = l.ci(bias);
    let biased = l.iadd(n_bits, bias);
    let bits = l.shl(biased, shift);
    l.float(bits)
}

/// `y * 2^n` in two steps, so that overflow and denormal results round once and correctly.
pub(super) fn scale(l: &mut Lanes, y: Value, n: Value, n_bits: Value) -> Value {
    let (_, half_bits) = l.round_scaled(n, 0.5);
    // The magic constants in both bit patterns cancel.
    let rest = l.isub(n_bits, half_bits);
    let first = power_of_two(l, half_bits);
    let second = power_of_two(l, rest);
    let y = l.mul(y, first);
    l.mul(y, second)
}

/// The range outside which `exp` is infinite or zero.
pub(super) fn exp_limits(f: Float) -> (f64, f64) {
    match f {
        Float::F32 => (-104.0, 89.0),
        Float::F64 => (-746.0, 710.0),
    }
}

pub fn exp(l: &mut Lanes, x: Value) -> Value {
    let (low, high) = exp_limits(l.f);
    let x = l.clamp(x, low, high);
    let Reduced { n, n_bits, r } = reduce(l, x);
    let p = expm1_poly(l, r);
    let one = l.c(1.0);
    let y = l.add(p, one);
    scale(l, y, n, n_bits)
}

/// `exp` of arguments whose result is a normal number: no limits, one scaling step.
pub(super) fn exp_normal(l: &mut Lanes, x: Value) -> Value {
    let Reduced { n_bits, r, .. } = reduce(l, x);
    let p = expm1_poly(l, r);
    let one = l.c(1.0);
    let y = l.add(p, one);
    let s = power_of_two(l, n_bits);
    l.mul(y, s)
}

pub fn expm1(l: &mut Lanes, x: Value) -> Value {
    // Below the lower limit the result is -1.
    let (_, high) = exp_limits(l.f);
    let limited = l.clamp(x, -60.0, high);
    let Reduced { n_bits, r, .. } = reduce(l, limited);
    let p = expm1_poly(l, r);
    // 2^n p + 2^n - 1, computed at half size: 2^n itself may overflow where the result does not.
    let minus_one = l.ci(-1);
    let n_bits = l.iadd(n_bits, minus_one);
    let s = power_of_two(l, n_bits);
    let half = l.c(0.5);
    let rest = l.sub(s, half);
    let y = l.fma(s, p, rest);
    let y = l.add(y, y);
    // Keeps the sign of zero, and tiny arguments exact.
    let tiny = l.c(if l.f == Float::F32 { 1e-10 } else { 1e-20 });
    let size = l.abs(x);
    let is_tiny = l.lt(size, tiny);
    l.select(is_tiny, x, y)
}
