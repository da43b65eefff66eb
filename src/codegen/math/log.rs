//! `log` and `log1p`: `x = 2^k m` with `m` around 1, and a series in `s = (m - 1) / (m + 1)`.

use super::{LN2_F32, LN2_F64};
use crate::codegen::lanes::{Float, Lanes};
use cranelift_codegen::ir::Value;
use cranelift_codegen::ir::condcodes::FloatCC;

/// `(log((1 + s) / (1 - s)) - 2 s) / s^3` in powers of `s^2`.
const LOG_F32: &[f64] = &[0.666666665519636, 0.40000123906130036, 0.2855058703764105, 0.23336811005171268];
const LOG_F64: &[f64] = &[
    0.6666666666666666,
    0.4000000000000091,
    0.2857142857078221,
    0.22222222396552982,
    0.18181795124476754,
    0.15386267672882226,
    0.1326802614042874,
    0.13094416666525344,
];

/// `x = 2^k m` with `m` in `[sqrt(1/2), sqrt(2))`, for positive finite `x`. Returns `(k, m)`, `k` as float.
pub(super) fn split(l: &mut Lanes, x: Value) -> (Value, Value) {
    let (min_normal, up, up_exponent) = match l.f {
        Float::F32 => (f32::MIN_POSITIVE as f64, 2f64.powi(24), 24.0),
        Float::F64 => (f64::MIN_POSITIVE, 2f64.powi(54), 54.0),
    };
    let fraction = l.f.fraction_bits();
    // Room that keeps the shifted exponent positive.
    let room = if l.f == Float::F32 { 200 } else { 1100 };

    let min_normal = l.c(min_normal);
    let is_small = l.lt(x, min_normal);
    let up = l.c(up);
    let scaled = l.mul(x, up);
    let x = l.select(is_small, scaled, x);

    let sqrt_half = l.f.bits(std::f64::consts::FRAC_1_SQRT_2);
    let offset = l.ci((room << fraction) - sqrt_half);
    let bits = l.bits(x);
    let u = l.iadd(bits, offset);
    let k = l.shr(u, fraction);
    // To float: the integer becomes the low bits of 2^fraction.
    let base = 2f64.powi(fraction as i32);
    let base_bits = l.ci(l.f.bits(base));
    let k = l.or(k, base_bits);
    let k = l.float(k);
    let bias = l.c(base + room as f64);
    let bias_small = l.c(base + room as f64 + up_exponent);
    let bias = l.select(is_small, bias_small, bias);
    let k = l.sub(k, bias);

    let mask = l.ci((1 << fraction) - 1);
    let m = l.and(u, mask);
    let sqrt_half = l.ci(sqrt_half);
    let m = l.iadd(m, sqrt_half);
    (k, l.float(m))
}

pub fn log(l: &mut Lanes, x: Value) -> Value {
    let (k, m) = split(l, x);
    let one = l.c(1.0);
    let two = l.c(2.0);
    let half = l.c(0.5);
    let f = l.sub(m, one);
    let d = l.add(f, two);
    let s = l.div(f, d);
    let z = l.mul(s, s);
    let p = l.poly_of(z, LOG_F32, LOG_F64);
    let r = l.mul(z, p);
    // f - (f^2 / 2 - s (f^2 / 2 + r)): the large part of the sum is exact.
    let ff = l.mul(f, f);
    let hfsq = l.mul(ff, half);
    let t = l.add(hfsq, r);
    let (high, low) = if l.f == Float::F32 { LN2_F32 } else { LN2_F64 };
    let low = l.c(low);
    let klow = l.mul(k, low);
    let t = l.fma(s, t, klow);
    let t = l.sub(hfsq, t);
    let t = l.sub(t, f);
    let t = l.neg(t);
    let high = l.c(high);
    let y = l.fma(k, high, t);

    let zero = l.c(0.0);
    let infinity = l.c(f64::INFINITY);
    let minus_infinity = l.c(f64::NEG_INFINITY);
    let nan = l.c(f64::NAN);
    let is_positive = l.lt(zero, x);
    let y = l.select(is_positive, y, nan);
    let is_zero = l.compare(FloatCC::Equal, x, zero);
    let y = l.select(is_zero, minus_infinity, y);
    let is_infinite = l.compare(FloatCC::Equal, x, infinity);
    l.select(is_infinite, x, y)
}

pub fn log1p(l: &mut Lanes, x: Value) -> Value {
    let one = l.c(1.0);
    let u = l.add(x, one);
    let y = log(l, u);
    // What `u` lost in rounding is a correction of `lost / u`.
    let back = l.sub(u, one);
    let lost_small = l.sub(x, back);
    let back = l.sub(u, x);
    let lost_large = l.sub(one, back);
    let is_small = l.lt(x, one);
    let lost = l.select(is_small, lost_small, lost_large);
    let correction = l.div(lost, u);
    let corrected = l.add(y, correction);
    let minus_one = l.c(-1.0);
    let infinity = l.c(f64::INFINITY);
    let above = l.lt(minus_one, x);
    let y = l.select(above, corrected, y);
    let finite = l.lt(x, infinity);
    let y = l.select(finite, y, u);
    // Keeps NaN, the sign of zero, and tiny arguments exact.
    let nothing_added = l.compare(FloatCC::Equal, u, one);
    l.select(nothing_added, x, y)
}
