//! Elementary functions as vector code: range reduction, a polynomial, and bit tricks; no tables and no calls.
//!
//! Coefficients are Chebyshev fits made with 60 digits. Worst errors over the sweeps in `tests::math`, in units in the
//! last place, f32 (against f64) and f64 (against the host's library, itself off by up to 1): exp 1.0 and 1, expm1 1.4
//! and 2, log 0.8 and 1, log1p 1.5 and 1, tanh 1.2 and 3, logistic 2.4 and 3, erf 1.1 and 2, sin and cos 1.6 and 1,
//! atan 1.8 and 2, pow 0.5 and 1, rsqrt 1.5 and 0.
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
