//! `pow`: `exp(y log |x|)`, with the logarithm in twice the digits. The f32 form computes in f64.

use super::LN2_F64;
use super::exp::{Reduced, exp, exp_limits, expm1_poly, reduce, scale};
use super::log::{log, split};
use crate::codegen::lanes::{Float, Lanes, demote, promote};
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// `2/3` as a sum of two numbers.
const TWO_THIRDS: (f64, f64) = (0.6666666666666666, 3.700743415417188e-17);

/// The series of `log((1 + s) / (1 - s))` after `2 s + 2/3 s^3`, divided by `s^5`, in powers of `s^2`.
const LOG_TAIL: &[f64] = &[
    0.4,
    0.28571428571429397,
    0.22222222221636845,
    0.18181818339697634,
    0.1538459450380989,
    0.13334829573906534,
    0.1170557189567721,
    0.1173010786189303,
];

pub fn pow(l: &mut Lanes, x: Value, y: Value) -> Value {
    match l.f {
        Float::F64 => pow_f64(l, x, y, exp_of_product),
        Float::F32 => {
            let (x, y) = (promote(l.b, x), promote(l.b, y));
            let halves = [0, 1].map(|k| {
                let mut wide = Lanes { b: &mut *l.b, f: Float::F64 };
                pow_f64(&mut wide, x[k], y[k], |l, size, y| {
                    let logarithm = log(l, size);
                    let product = l.mul(y, logarithm);
                    exp(l, product)
                })
            });
            demote(l.b, halves)
        }
    }
}

/// The cases around `power(|x|, y)`, which may return anything where `x` or `y` is special.
fn pow_f64(l: &mut Lanes, x: Value, y: Value, power: impl Fn(&mut Lanes, Value, Value) -> Value) -> Value {
    let zero = l.c(0.0);
    let half = l.c(0.5);
    let one = l.c(1.0);
    let infinity = l.c(f64::INFINITY);
    let nan = l.c(f64::NAN);
    let size = l.abs(x);
    let value = power(l, size, y);

    // A negative base: the sign follows odd exponents, and other than whole exponents have no value.
    let floor = l.b.ins().floor(y);
    let is_whole = l.compare(FloatCC::Equal, floor, y);
    let halved = l.mul(y, half);
    let halved_floor = l.b.ins().floor(halved);
    let is_not_even = l.compare(FloatCC::NotEqual, halved, halved_floor);
    let is_odd = l.and(is_whole, is_not_even);
    let odd = l.float(is_odd);
    let sign = l.neg(zero);
    let sign = l.bits(sign);
    let odd = l.bits(odd);
    let x_bits = l.bits(x);
    let sign = l.and(sign, x_bits);
    let sign = l.and(sign, odd);
    let bits = l.bits(value);
    let bits = l.or(bits, sign);
    let value = l.float(bits);
    let is_negative = l.lt(x, zero);
    let is_finite = l.lt(size, infinity);
    let no_value = l.and(is_negative, is_finite);
    let no_value = l.b.ins().band_not(no_value, is_whole);
    let value = l.select(no_value, nan, value);

    // x^0 = 1, 1^y = 1, and (-1)^infinity = 1.
    let y_zero = l.compare(FloatCC::Equal, y, zero);
    let x_one = l.compare(FloatCC::Equal, x, one);
    let size_one = l.compare(FloatCC::Equal, size, one);
    let y_size = l.abs(y);
    let y_infinite = l.compare(FloatCC::Equal, y_size, infinity);
    let still_one = l.and(size_one, y_infinite);
    let is_one = l.or(y_zero, x_one);
    let is_one = l.or(is_one, still_one);
    l.select(is_one, one, value)
}

/// `exp(y log(x))` for `x >= 0`, with a relative error of the product below 2^-64.
fn exp_of_product(l: &mut Lanes, x: Value, y: Value) -> Value {
    let (log_high, log_low) = log_twice(l, x);
    let high = l.mul(y, log_high);
    let error = l.neg(high);
    let error = l.fma(y, log_high, error);
    let low = l.fma(y, log_low, error);
    // Where the product overflows, its error is no number.
    let size = l.abs(high);
    let limit = l.c(800.0);
    let zero = l.c(0.0);
    let in_range = l.lt(size, limit);
    let low = l.select(in_range, low, zero);
    let (least, most) = exp_limits(l.f);
    let high = l.clamp(high, least, most);
    let Reduced { n, n_bits, r } = reduce(l, high);
    let r = l.add(r, low);
    let p = expm1_poly(l, r);
    let one = l.c(1.0);
    let value = l.add(p, one);
    scale(l, value, n, n_bits)
}

/// `log(x)` for `x >= 0` as a sum of two numbers.
fn log_twice(l: &mut Lanes, x: Value) -> (Value, Value) {
    let (k, m) = split(l, x);
    let one = l.c(1.0);
    let f = l.sub(m, one);
    // s = f / (m + 1), with what the sum and the quotient lose.
    let d = l.add(m, one);
    let back = l.sub(d, one);
    let d_low = l.sub(m, back);
    let s = l.div(f, d);
    let rest = l.fnma(s, d, f);
    let rest = l.fnma(s, d_low, rest);
    let s_low = l.div(rest, d);
    // z = s^2 and c = s^3.
    let z = l.mul(s, s);
    let z_error = l.neg(z);
    let z_error = l.fma(s, s, z_error);
    let twice = l.add(s, s);
    let z_low = l.fma(twice, s_low, z_error);
    let c = l.mul(s, z);
    let c_error = l.neg(c);
    let c_error = l.fma(s, z, c_error);
    let c_low = l.fma(s, z_low, c_error);
    let c_low = l.fma(s_low, z, c_low);
    // t = 2/3 c.
    let (a, a_low) = TWO_THIRDS;
    let (a, a_low) = (l.c(a), l.c(a_low));
    let t = l.mul(c, a);
    let t_error = l.neg(t);
    let t_error = l.fma(c, a, t_error);
    let t_low = l.fma(c, a_low, t_error);
    let t_low = l.fma(c_low, a, t_low);
    let tail = l.poly(z, LOG_TAIL);
    let cz = l.mul(c, z);
    let low = l.fma(cz, tail, t_low);
    let low = l.add(low, s_low);
    let low = l.add(low, s_low);
    // k ln 2 + 2 s + t, largest first.
    let (ln2, ln2_low) = LN2_F64;
    let (ln2, ln2_low) = (l.c(ln2), l.c(ln2_low));
    let whole = l.mul(k, ln2);
    let (sum, lost) = fast_two_sum(l, whole, twice);
    let low = l.add(low, lost);
    let (sum, lost) = fast_two_sum(l, sum, t);
    let low = l.add(low, lost);
    let low = l.fma(k, ln2_low, low);
    let (high, low) = fast_two_sum(l, sum, low);

    let zero = l.c(0.0);
    let infinity = l.c(f64::INFINITY);
    let minus_infinity = l.c(f64::NEG_INFINITY);
    let is_zero = l.compare(FloatCC::Equal, x, zero);
    let is_number = l.lt(x, infinity);
    // Infinity and NaN are their own logarithm.
    let high = l.select(is_number, high, x);
    let high = l.select(is_zero, minus_infinity, high);
    let low = l.select(is_number, low, zero);
    let low = l.select(is_zero, zero, low);
    (high, low)
}

/// `x + y` and its rounding error, where `x` is zero or not smaller than `y`.
fn fast_two_sum(l: &mut Lanes, x: Value, y: Value) -> (Value, Value) {
    let sum = l.add(x, y);
    let back = l.sub(sum, x);
    (sum, l.sub(y, back))
}
