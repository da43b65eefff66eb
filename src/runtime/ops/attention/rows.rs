//! What attention does with a row of scores, and its small products.
//!
//! The loops are plain Rust over chunks of lanes, compiled for the vector units that the machine may have.

use super::super::gemm::{Element, Matrix, multiply};
use super::tiles::{Part, product};
use std::ops::{Div, Sub};

/// Elements that a loop works on at a time.
const LANES: usize = 16;

/// f32 and f64.
pub trait Number: Element + PartialOrd + Sub<Output = Self> + Div<Output = Self> {
    fn of(value: f64) -> Self;
    fn exp(self) -> Self;
    fn ln(self) -> Self;

    /// The larger; a NaN is passed over (it comes back with the exponentials).
    fn larger(a: Self, b: Self) -> Self {
        if b > a { b } else { a }
    }

    /// The number itself; 0 for -∞, of which nothing can be subtracted.
    fn finite(top: Self) -> Self {
        if top == Self::of(f64::NEG_INFINITY) { Self::of(0.0) } else { top }
    }

    /// The largest element; -∞ of none.
    fn top(row: &[Self]) -> Self;

    /// Replaces each element by exp(x - top), and gives their sum.
    fn exponentials(row: &mut [Self], top: Self) -> Self;

    /// Scores to weights exp(x - log), and the cotangents of the weights to those of the scores, weight (ct - mean) scale.
    fn score_cotangents(row: &mut [Self], cts: &mut [Self], log: Self, mean: Self, scale: Self);

    /// The product of two vectors.
    ///
    /// # Safety
    /// Both reach `n` elements at their strides.
    unsafe fn product(n: usize, a: *const Self, a_step: isize, b: *const Self, b_step: isize) -> Self {
        let mut lanes = [Self::of(0.0); LANES];
        for i in 0..n as isize {
            // SAFETY: the caller's promise.
            let term = unsafe { *a.offset(i * a_step) * *b.offset(i * b_step) };
            lanes[i as usize % LANES] = lanes[i as usize % LANES] + term;
        }
        lanes.into_iter().fold(Self::of(0.0), |sum, x| sum + x)
    }

    /// `out = factor a b`, or `out += factor a b`, for a of [m, k] and b of [k, n]; what `part` leaves out may be computed or not.
    ///
    /// # Safety
    /// The matrices have these sizes, and `out` overlaps neither operand.
    unsafe fn multiply(
        [m, n, k]: [usize; 3],
        out: Matrix<Self>,
        a: Matrix<Self>,
        b: Matrix<Self>,
        add: bool,
        factor: Self,
        part: Part,
    ) {
        // A library multiplies everything: what a part leaves out is zero, or not looked at.
        let _ = part;
        // SAFETY: the caller's promise.
        unsafe { multiply([m, n, k], out, a, b, add, factor) }
    }
}

/// Lanes to one, half by half, so that each half is one instruction.
#[inline(always)]
fn halved<T: Copy>(mut lanes: [T; LANES], combine: impl Fn(T, T) -> T) -> T {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] = combine(lanes[i], lanes[i + half]);
        }
    }
    lanes[0]
}

/// The largest of a row, in lanes.
#[inline(always)]
fn top<T: Number>(row: &[T]) -> T {
    let none = T::of(f64::NEG_INFINITY);
    let mut lanes = [none; LANES];
    let mut chunks = row.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = if *x > *lane { *x } else { *lane };
        }
    }
    let most = halved(lanes, |a, b| if b > a { b } else { a });
    chunks.remainder().iter().copied().fold(most, T::larger)
}

#[inline(always)]
fn exponentials<T: Number>(row: &mut [T], top: T, exp: impl Fn(T) -> T) -> T {
    let top = T::finite(top);
    let mut lanes = [T::of(0.0); LANES];
    let mut chunks = row.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *x = exp(*x - top);
            *lane = *lane + *x;
        }
    }
    let mut sum = halved(lanes, |a, b| a + b);
    for x in chunks.into_remainder() {
        *x = exp(*x - top);
        sum = sum + *x;
    }
    sum
}

#[inline(always)]
fn score_cotangents<T: Number>(row: &mut [T], cts: &mut [T], log: T, mean: T, scale: T, exp: impl Fn(T) -> T) {
    for (x, ct) in row.iter_mut().zip(cts) {
        *x = exp(*x - log);
        *ct = *x * (*ct - mean) * scale;
    }
}

/// exp by range reduction to |r| <= ln(2) / 2, a polynomial, and the power of two in the exponent's bits: at most 1.1 ULP in the
/// range that a softmax uses. 0 below -87.3; NaN stays.
#[inline(always)]
fn exp_of(x: f32, fused: impl Fn(f32, f32, f32) -> f32) -> f32 {
    /// Adding it leaves a whole number in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = fused(x, std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    let r = fused(whole, -0.693_359_4, x);
    let r = fused(whole, 2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4;
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5] {
        p = fused(p, r, c);
    }
    let p = fused(p * r, r, r) + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    let y = p * power;
    let y = if x < -87.3 { 0.0 } else { y };
    if x > 88.7 { f32::INFINITY } else { y }
}

#[inline(always)]
fn plain(a: f32, b: f32, c: f32) -> f32 {
    a * b + c
}

/// The loops for one kind of vector units. They are written out here, where their instructions are known, and not as calls of
/// the general ones, which would be compiled for the plainest machine first.
#[cfg(target_arch = "x86_64")]
macro_rules! loops {
    ($name:ident, $features:literal) => {
        mod $name {
            use super::{LANES, exp_of, halved};

            #[target_feature(enable = $features)]
            pub fn top(row: &[f32]) -> f32 {
                let mut lanes = [f32::NEG_INFINITY; LANES];
                let chunks = row.chunks_exact(LANES);
                let rest = chunks.remainder();
                for chunk in chunks {
                    for i in 0..LANES {
                        lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
                    }
                }
                let most = halved(lanes, |a, b| if b > a { b } else { a });
                rest.iter().fold(most, |most, x| if *x > most { *x } else { most })
            }

            #[target_feature(enable = $features)]
            pub fn exponentials(row: &mut [f32], top: f32) -> f32 {
                let mut lanes = [0.0; LANES];
                let mut chunks = row.chunks_exact_mut(LANES);
                for chunk in &mut chunks {
                    for i in 0..LANES {
                        chunk[i] = exp_of(chunk[i] - top, f32::mul_add);
                        lanes[i] += chunk[i];
                    }
                }
                let mut sum = halved(lanes, |a, b| a + b);
                for x in chunks.into_remainder() {
                    *x = exp_of(*x - top, f32::mul_add);
                    sum += *x;
                }
                sum
            }

            #[target_feature(enable = $features)]
            pub fn score_cotangents(row: &mut [f32], cts: &mut [f32], log: f32, mean: f32, scale: f32) {
                for (x, ct) in row.iter_mut().zip(cts) {
                    *x = exp_of(*x - log, f32::mul_add);
                    *ct = *x * (*ct - mean) * scale;
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
loops!(wide, "avx512f,avx2,fma");
#[cfg(target_arch = "x86_64")]
loops!(narrow, "avx2,fma");

/// Calls the loop for the machine's vector units; other machines take the plain one.
macro_rules! by_machine {
    ($loop:ident($($arg:expr),*), $plain:expr) => {{
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            // SAFETY: the machine has these instructions.
            return unsafe {
                if std::is_x86_feature_detected!("avx512f") { wide::$loop($($arg),*) } else { narrow::$loop($($arg),*) }
            };
        }
        $plain
    }};
}

impl Number for f32 {
    unsafe fn multiply(
        sizes: [usize; 3],
        out: Matrix<f32>,
        a: Matrix<f32>,
        b: Matrix<f32>,
        add: bool,
        factor: f32,
        part: Part,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            if !product(sizes, out, a, b, add, factor, part) {
                multiply(sizes, out, a, b, add, factor);
            }
        }
    }
    fn of(value: f64) -> f32 {
        value as f32
    }
    fn exp(self) -> f32 {
        exp_of(self, plain)
    }
    fn ln(self) -> f32 {
        f32::ln(self)
    }
    fn top(row: &[f32]) -> f32 {
        by_machine!(top(row), top(row))
    }
    fn exponentials(row: &mut [f32], top: f32) -> f32 {
        let top = f32::finite(top);
        by_machine!(exponentials(row, top), exponentials(row, top, |x| exp_of(x, plain)))
    }
    fn score_cotangents(row: &mut [f32], cts: &mut [f32], log: f32, mean: f32, scale: f32) {
        by_machine!(
            score_cotangents(row, cts, log, mean, scale),
            score_cotangents(row, cts, log, mean, scale, |x| exp_of(x, plain))
        )
    }
}

impl Number for f64 {
    fn of(value: f64) -> f64 {
        value
    }
    fn exp(self) -> f64 {
        f64::exp(self)
    }
    fn ln(self) -> f64 {
        f64::ln(self)
    }
    fn top(row: &[f64]) -> f64 {
        top(row)
    }
    fn exponentials(row: &mut [f64], top: f64) -> f64 {
        exponentials(row, top, f64::exp)
    }
    fn score_cotangents(row: &mut [f64], cts: &mut [f64], log: f64, mean: f64, scale: f64) {
        score_cotangents(row, cts, log, mean, scale, f64::exp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_near_the_librarys() {
        let mut worst = 0.0f64;
        for i in 0..200_000 {
            let x = -87.0 + i as f32 * (175.0 / 200_000.0);
            for fused in [plain, f32::mul_add] {
                let (got, exact) = (f64::from(exp_of(x, fused)), f64::from(x).exp());
                worst = worst.max(((got - exact) / exact).abs());
            }
        }
        assert!(worst < 1.5e-7, "{worst:e}");
        let ends: Vec<f32> = [f32::NEG_INFINITY, -100.0, 0.0, 100.0].iter().map(|x| exp_of(*x, plain)).collect();
        assert_eq!(ends, [0.0, 0.0, 1.0, f32::INFINITY]);
        assert!(exp_of(f32::NAN, plain).is_nan());
    }
}
