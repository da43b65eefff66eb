//! Float remainder with the sign of the divisor.

use crate::codegen::lanes::Lanes;
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// As Python's `%`. Exact where the quotient is below 2 to the number of fraction bits squared, which two steps of
/// division reach.
pub fn rem(l: &mut Lanes, x: Value, y: Value) -> Value {
    let zero = l.c(0.0);
    let infinity = l.c(f64::INFINITY);
    let size = l.abs(y);
    let mut r = x;
    for _ in 0..2 {
        let q = l.div(r, y);
        let q = l.b.ins().trunc(q);
        let next = l.fnma(q, y, r);
        // A quotient that was rounded up to a whole number leaves a remainder of the wrong sign.
        let product_sign = l.mul(next, x);
        let wrong = l.lt(product_sign, zero);
        let back = l.with_sign_of(size, x);
        let mended = l.add(next, back);
        r = l.select(wrong, mended, next);
    }
    // x % infinity is x, up to the sign.
    let y_infinite = l.compare(FloatCC::Equal, size, infinity);
    let x_size = l.abs(x);
    let x_finite = l.lt(x_size, infinity);
    let keep = l.and(y_infinite, x_finite);
    let r = l.select(keep, x, r);

    let r_negative = l.lt(r, zero);
    let y_negative = l.lt(y, zero);
    let differ = l.xor(r_negative, y_negative);
    let is_zero = l.compare(FloatCC::Equal, r, zero);
    let shift = l.b.ins().band_not(differ, is_zero);
    let shifted = l.add(r, y);
    l.select(shift, shifted, r)
}
