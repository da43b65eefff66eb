//! Elementary functions as vector code: range reduction, a polynomial, and bit tricks; no tables and no calls.
//!
//! Coefficients are Chebyshev fits made with 60 digits. Worst errors over the tested sweeps (see `tests`), in units in the
//! last place: exp 1, expm1 2, log 1, log1p 2, tanh 2, logistic 2, erf 2, sin and cos 2, atan 2, pow 1 (f32), 2 (f64).
//! Denormal arguments and results are kept; NaN goes through; overflow gives infinity. `sin` and `cos` reduce the
//! argument with 159 bits of pi / 2 in f64 for both types: right up to 1e9, and within [-1, 1] beyond.

mod erf;
mod exp;
mod hyperbolic;
mod log;
mod pow;
mod rem;
mod threefry;
mod trig;

pub use erf::erf;
pub use exp::{exp, expm1};
pub use hyperbolic::{logistic, tanh};
pub use log::{log, log1p};
pub use pow::pow;
pub use rem::rem;
pub use threefry::threefry;
pub use trig::{atan, cos, sin};

/// `ln 2` as a short number, whose products with exponents are exact, and the rest.
const LN2_F32: (f64, f64) = (0.693145751953125, 1.428606765330187e-06);
const LN2_F64: (f64, f64) = (0.6931471804855391, 7.440617110012397e-11);
