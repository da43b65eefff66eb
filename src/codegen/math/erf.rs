//! The error function: an odd polynomial below 1, one minus a scaled exponential above.

use super::exp::exp_normal;
use crate::codegen::lanes::{Float, Lanes};
use cranelift_codegen::ir::Value;

/// `erf(x) / x - 1` in powers of `x^2`, for `|x| < 1`.
const ERF_F32: &[f64] = &[
    0.12837916709467674,
    -0.3761263888963531,
    0.11283791308604582,
    -0.026866133235095593,
    0.005223783477189248,
    -0.0008542637997087229,
    0.0001195656256820733,
    -1.3909340021874599e-05,
    1.058938064107502e-06,
];
const ERF_F64: &[f64] = &[
    0.12837916709551256,
    -0.37612638903183754,
    0.11283791670955126,
    -0.026866170645131218,
    0.005223977625441674,
    -0.0008548327023403001,
    0.00012055332978879483,
    -1.4925650236967501e-05,
    1.6462110782018636e-06,
    -1.636576864883207e-07,
    1.4806027146128752e-08,
    -1.2277734486795524e-09,
    9.323723518153027e-11,
    -6.1967364287877e-12,
    2.8067128195611264e-13,
];

/// `log(erfc(x))` for `1 <= x <= 4`.
const LOG_ERFC_F32: &[f64] = &[
    0.00032013804967769883,
    -1.130233434841994,
    -0.631826051559163,
    -0.11008008294882024,
    0.026421136005663898,
    -0.004759596293266265,
    0.0005968056256607798,
    -4.605804268918978e-05,
    1.6371514145936436e-06,
];

/// `exp(x^2) erfc(x)` in powers of `(x - 3) / (x + 3)`, for `1 <= x <= 6.2`.
const SCALED_ERFC_F64: &[f64] = &[
    0.17900115118138996,
    -0.3262335600430372,
    0.24560380171233093,
    -0.15011593650077726,
    0.07166583719797145,
    -0.02439249931867255,
    0.004269136333240153,
    0.0007077464392856985,
    -0.0005970619602775473,
    4.525528053137227e-05,
    6.405673950101562e-05,
    -1.2860110134513904e-05,
    -7.979647035659353e-06,
    2.1157681547157666e-06,
    1.2578084487729758e-06,
    -2.707628349998315e-07,
    -2.3205622504651068e-07,
    -2.15603169797642e-08,
];

pub fn erf(l: &mut Lanes, x: Value) -> Value {
    let size = l.abs(x);
    let one = l.c(1.0);
    let z = l.mul(x, x);
    let p = l.poly_of(z, ERF_F32, ERF_F64);
    let small = l.fma(x, p, x);

    let complement = match l.f {
        Float::F32 => {
            let a = l.clamp(size, 0.0, 4.0);
            let q = l.poly(a, LOG_ERFC_F32);
            exp_normal(l, q)
        }
        Float::F64 => {
            let a = l.clamp(size, 0.0, 6.0);
            let three = l.c(3.0);
            let top = l.sub(a, three);
            let bottom = l.add(a, three);
            let t = l.div(top, bottom);
            let g = l.poly(t, SCALED_ERFC_F64);
            let negative = l.neg(a);
            let square = l.mul(negative, a);
            let e = exp_normal(l, square);
            l.mul(e, g)
        }
    };
    let large = l.sub(one, complement);
    let large = l.with_sign_of(large, x);
    let is_small = l.lt(size, one);
    l.select(is_small, small, large)
}
