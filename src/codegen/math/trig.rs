//! `sin`, `cos` and `atan`.

use crate::codegen::lanes::{Float, Lanes, demote, low_words, promote};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// pi / 2 in three parts.
const HALF_PI: [f64; 3] = [std::f64::consts::FRAC_PI_2, 6.123233995736766e-17, -1.4973849048591698e-33];

/// `(sin(r) - r) / r^3` and `(cos(r) - 1 + r^2 / 2) / r^4` in powers of `r^2`, for `|r| <= pi / 4`.
const SIN_F32: &[f64] = &[-0.16666666663832763, 0.008333331865959415, -0.00019840082012765537, 2.7249314054698804e-06];
const COS_F32: &[f64] = &[0.04166666464745738, -0.00138883006969039, 2.45474372101932e-05];
const SIN_F64: &[f64] = &[
    -0.16666666666666666,
    0.008333333333333331,
    -0.00019841269841265017,
    2.755731921930192e-06,
    -2.5052106219521895e-08,
    1.6058529572267877e-10,
    -7.586576588171073e-13,
];
const COS_F64: &[f64] = &[
    0.041666666666666664,
    -0.0013888888888888887,
    2.4801587301584618e-05,
    -2.7557319221382114e-07,
    2.087675578389404e-09,
    -1.1470459749675607e-11,
    4.745804889760674e-14,
];
/// `(atan(t) - t) / t^3` in powers of `t^2`, for `|t| <= tan(pi / 8)`.
const ATAN_F32: &[f64] = &[
    -0.33333333279030264,
    0.19999977181137085,
    -0.14284147012133833,
    0.11071287551546859,
    -0.0862409863998892,
    0.05046648875608924,
];
const ATAN_F64: &[f64] = &[
    -0.3333333333333333,
    0.19999999999999804,
    -0.14285714285659457,
    0.11111111105119366,
    -0.09090908751706075,
    0.07692296323157785,
    -0.06666423954373413,
    0.058789182929757273,
    -0.05230375457576669,
    0.04551233844829568,
    -0.03456132296826231,
    0.01627552168389342,
];

/// `x = q pi / 2 + r` with `|r| <= pi / 4`; `q` is in the low bits of an integer vector.
fn reduce(l: &mut Lanes, x: Value) -> (Value, Value) {
    match l.f {
        Float::F64 => reduce_f64(l, x),
        Float::F32 => {
            // In f64, where the reduction is exact enough for every argument that occurs.
            let reduced = promote(l.b, x).map(|half| {
                let mut wide = Lanes { b: &mut *l.b, f: Float::F64 };
                reduce_f64(&mut wide, half)
            });
            let r = demote(l.b, reduced.map(|(r, _)| r));
            let q = low_words(l.b, reduced.map(|(_, q)| q));
            (r, q)
        }
    }
}

fn reduce_f64(l: &mut Lanes, x: Value) -> (Value, Value) {
    let (n, q) = l.round_scaled(x, std::f64::consts::FRAC_2_PI);
    let mut r = x;
    for part in HALF_PI {
        let part = l.c(part);
        r = l.fnma(n, part, r);
    }
    // Huge arguments lose their digits, not their bounds.
    let limit = std::f64::consts::FRAC_PI_4 * 1.0001;
    (l.clamp(r, -limit, limit), q)
}

pub fn sin(l: &mut Lanes, x: Value) -> Value {
    let (r, q) = reduce(l, x);
    quadrant(l, r, q)
}

pub fn cos(l: &mut Lanes, x: Value) -> Value {
    let (r, q) = reduce(l, x);
    let one = l.ci(1);
    let q = l.iadd(q, one);
    quadrant(l, r, q)
}

/// `sin(r + q pi / 2)`.
fn quadrant(l: &mut Lanes, r: Value, q: Value) -> Value {
    let z = l.mul(r, r);
    let s = l.poly_of(z, SIN_F32, SIN_F64);
    let rz = l.mul(r, z);
    let s = l.fma(rz, s, r);

    let c = l.poly_of(z, COS_F32, COS_F64);
    let zz = l.mul(z, z);
    let c = l.mul(zz, c);
    let half = l.c(0.5);
    let one = l.c(1.0);
    let head = l.fnma(z, half, one);
    let c = l.add(head, c);

    let bit = l.ci(1);
    let odd = l.and(q, bit);
    let is_odd = l.b.ins().icmp(IntCC::Equal, odd, bit);
    let y = l.select(is_odd, c, s);
    // Bit 1 of the quadrant becomes the sign.
    let two = l.ci(2);
    let sign = l.and(q, two);
    let shift = if l.f == Float::F32 { 30 } else { 62 };
    let sign = l.shl(sign, shift);
    let bits = l.bits(y);
    let bits = l.xor(bits, sign);
    l.float(bits)
}

pub fn atan(l: &mut Lanes, x: Value) -> Value {
    let a = l.abs(x);
    let one = l.c(1.0);
    let minus_one = l.c(-1.0);
    let zero = l.c(0.0);
    // atan(a) = pi/2 - atan(1/a) above tan(3 pi/8), pi/4 + atan((a-1)/(a+1)) above tan(pi/8).
    let low = l.c(0.41421356237309503);
    let high = l.c(2.414213562373095);
    let is_mid = l.lt(low, a);
    let is_high = l.lt(high, a);
    let mid_top = l.sub(a, one);
    let mid_bottom = l.add(a, one);
    let top = l.select(is_mid, mid_top, a);
    let top = l.select(is_high, minus_one, top);
    let bottom = l.select(is_mid, mid_bottom, one);
    let bottom = l.select(is_high, a, bottom);
    let t = l.div(top, bottom);

    let quarter = l.c(std::f64::consts::FRAC_PI_4);
    let half = l.c(std::f64::consts::FRAC_PI_2);
    let base = l.select(is_mid, quarter, zero);
    let base = l.select(is_high, half, base);
    // What the rounded pi/4 and pi/2 lack.
    let (quarter_low, half_low) = match l.f {
        Float::F32 => (-2.1855694143368964e-08, -4.371138828673793e-08),
        Float::F64 => (3.061616997868383e-17, 6.123233995736766e-17),
    };
    let quarter_low = l.c(quarter_low);
    let half_low = l.c(half_low);
    let base_low = l.select(is_mid, quarter_low, zero);
    let base_low = l.select(is_high, half_low, base_low);

    let z = l.mul(t, t);
    let p = l.poly_of(z, ATAN_F32, ATAN_F64);
    let tz = l.mul(t, z);
    let tail = l.fma(tz, p, base_low);
    let y = l.add(t, tail);
    let y = l.add(base, y);
    l.with_sign_of(y, x)
}
