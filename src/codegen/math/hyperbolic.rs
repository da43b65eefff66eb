//! `tanh` and the logistic function.

use super::exp::{exp, exp_normal, expm1};
use crate::codegen::lanes::{Float, Lanes};
use cranelift_codegen::ir::Value;

/// `(tanh(x) - x) / x^3` in powers of `x^2`, for `|x| < 0.625`.
const TANH_F32: &[f64] = &[
    -0.3333333317196775,
    0.13333303530739316,
    -0.0539592533789059,
    0.021768868214501753,
    -0.008343780370479862,
    0.0022925576991026523,
];

pub fn tanh(l: &mut Lanes, x: Value) -> Value {
    match l.f {
        Float::F32 => tanh_f32(l, x),
        Float::F64 => tanh_f64(l, x),
    }
}

fn tanh_f32(l: &mut Lanes, x: Value) -> Value {
    let z = l.mul(x, x);
    let p = l.poly(z, TANH_F32);
    let xz = l.mul(x, z);
    let small = l.fma(xz, p, x);

    // 1 - 2 / (exp(2 x) + 1); beyond 10 it is 1.
    let size = l.abs(x);
    let limited = l.clamp(size, 0.0, 10.0);
    let doubled = l.add(limited, limited);
    let e = exp_normal(l, doubled);
    let one = l.c(1.0);
    let two = l.c(2.0);
    let d = l.add(e, one);
    let q = l.div(two, d);
    let large = l.sub(one, q);
    let large = l.with_sign_of(large, x);

    let limit = l.c(0.625);
    let is_small = l.lt(size, limit);
    l.select(is_small, small, large)
}

fn tanh_f64(l: &mut Lanes, x: Value) -> Value {
    let size = l.abs(x);
    let limited = l.clamp(size, 0.0, 22.0);
    let doubled = l.add(limited, limited);
    let t = expm1(l, doubled);
    let two = l.c(2.0);
    let d = l.add(t, two);
    let y = l.div(t, d);
    l.with_sign_of(y, x)
}

/// `1 / (1 + exp(-x))`, with the exponential of the negative size so that small results keep their digits.
pub fn logistic(l: &mut Lanes, x: Value) -> Value {
    let size = l.abs(x);
    let negative = l.neg(size);
    let e = exp(l, negative);
    let one = l.c(1.0);
    let zero = l.c(0.0);
    let is_negative = l.lt(x, zero);
    let top = l.select(is_negative, e, one);
    let bottom = l.add(e, one);
    l.div(top, bottom)
}
