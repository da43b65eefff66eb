//! What each elementwise primitive does to one element: the interpreter's arithmetic, shared with constant folding.

use crate::ir::{Binary, Compare, Unary};

/// A number that arithmetic works on: `f32`, `f64` (each at its own precision) and `i32` (wrapping).
pub trait Number: Copy + PartialOrd + Send + Sync + 'static {
    const ZERO: Self;
    const ONE: Self;
    /// The maximum of nothing.
    const LOWEST: Self;
    /// The minimum of nothing.
    const HIGHEST: Self;

    /// `Unary::Not` and `Unary::IsFinite` change or need another type and are not handled here.
    fn unary(op: Unary, x: Self) -> Self;
    fn binary(op: Binary, x: Self, y: Self) -> Self;
    fn is_nan(self) -> bool;
}

pub fn compare<T: PartialOrd>(op: Compare, x: &T, y: &T) -> bool {
    match op {
        Compare::Eq => x == y,
        Compare::Ne => x != y,
        Compare::Lt => x < y,
        Compare::Le => x <= y,
        Compare::Gt => x > y,
        Compare::Ge => x >= y,
    }
}

/// `and` and `or` of booleans; infer admits no other binary operation on them.
pub fn bool_binary(op: Binary, x: bool, y: bool) -> bool {
    match op {
        Binary::And => x && y,
        Binary::Or => x || y,
        _ => unreachable!("{} of bool", op.name()),
    }
}

/// The upper 24 of 32 random bits as a number in [0, 1).
pub fn bits_to_unit(bits: i32) -> f64 {
    f64::from((bits as u32) >> 8) * (1.0 / 16_777_216.0)
}

macro_rules! float_number {
    ($type:ident, $erf:path) => {
        impl Number for $type {
            const ZERO: $type = 0.0;
            const ONE: $type = 1.0;
            const LOWEST: $type = $type::NEG_INFINITY;
            const HIGHEST: $type = $type::INFINITY;

            fn unary(op: Unary, x: $type) -> $type {
                match op {
                    Unary::Neg => -x,
                    Unary::Abs => x.abs(),
                    // Keeps NaN and the sign of zero.
                    Unary::Sign if x == 0.0 || x.is_nan() => x,
                    Unary::Sign => x.signum(),
                    Unary::Exp => x.exp(),
                    Unary::Expm1 => x.exp_m1(),
                    Unary::Log => x.ln(),
                    Unary::Log1p => x.ln_1p(),
                    Unary::Sqrt => x.sqrt(),
                    Unary::Rsqrt => 1.0 / x.sqrt(),
                    Unary::Sin => x.sin(),
                    Unary::Cos => x.cos(),
                    Unary::Atan => x.atan(),
                    Unary::Tanh => x.tanh(),
                    // Each half by the form whose exponential cannot overflow.
                    Unary::Logistic if x >= 0.0 => 1.0 / (1.0 + (-x).exp()),
                    Unary::Logistic => x.exp() / (1.0 + x.exp()),
                    Unary::Erf => $erf(x),
                    Unary::Floor => x.floor(),
                    Unary::Ceil => x.ceil(),
                    Unary::Round => x.round_ties_even(),
                    Unary::Not | Unary::IsFinite => unreachable!("{} gives a bool", op.name()),
                }
            }

            fn binary(op: Binary, x: $type, y: $type) -> $type {
                match op {
                    Binary::Add => x + y,
                    Binary::Sub => x - y,
                    Binary::Mul => x * y,
                    Binary::Div => x / y,
                    Binary::Pow => x.powf(y),
                    Binary::Max | Binary::Min if x.is_nan() || y.is_nan() => $type::NAN,
                    Binary::Max => x.max(y),
                    Binary::Min => x.min(y),
                    Binary::Rem => {
                        let rest = x % y;
                        if rest != 0.0 && (rest < 0.0) != (y < 0.0) { rest + y } else { rest }
                    }
                    Binary::And | Binary::Or => unreachable!("{} of a float", op.name()),
                }
            }

            fn is_nan(self) -> bool {
                $type::is_nan(self)
            }
        }
    };
}

float_number!(f32, libm::erff);
float_number!(f64, libm::erf);

impl Number for i32 {
    const ZERO: i32 = 0;
    const ONE: i32 = 1;
    const LOWEST: i32 = i32::MIN;
    const HIGHEST: i32 = i32::MAX;

    fn unary(op: Unary, x: i32) -> i32 {
        match op {
            Unary::Neg => x.wrapping_neg(),
            Unary::Abs => x.wrapping_abs(),
            Unary::Sign => x.signum(),
            _ => unreachable!("{} of i32", op.name()),
        }
    }

    fn binary(op: Binary, x: i32, y: i32) -> i32 {
        match op {
            Binary::Add => x.wrapping_add(y),
            Binary::Sub => x.wrapping_sub(y),
            Binary::Mul => x.wrapping_mul(y),
            Binary::Div | Binary::Rem if y == 0 => 0,
            Binary::Div => x.wrapping_div(y),
            Binary::Rem => {
                let rest = x.wrapping_rem(y);
                if rest != 0 && (rest < 0) != (y < 0) { rest + y } else { rest }
            }
            Binary::Max => x.max(y),
            Binary::Min => x.min(y),
            Binary::And => x & y,
            Binary::Or => x | y,
            Binary::Pow => unreachable!("pow of i32"),
        }
    }

    fn is_nan(self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders_have_the_sign_of_the_divisor() {
        let rem = |x: f64, y: f64| f64::binary(Binary::Rem, x, y);
        assert_eq!([rem(7.0, 3.0), rem(-7.0, 3.0), rem(7.0, -3.0), rem(-7.0, -3.0)], [1.0, 2.0, -2.0, -1.0]);
        assert!(rem(1.0, 0.0).is_nan());
        let rem = |x: i32, y: i32| i32::binary(Binary::Rem, x, y);
        assert_eq!([rem(-7, 3), rem(7, -3), rem(7, 0), rem(i32::MIN, -1)], [2, -2, 0, 0]);
        assert_eq!(i32::binary(Binary::Div, -7, 2), -3);
        assert_eq!(i32::binary(Binary::Div, 7, 0), 0);
    }

    #[test]
    fn extremes_propagate_nan() {
        assert!(f32::binary(Binary::Max, f32::NAN, 1.0).is_nan());
        assert!(f32::binary(Binary::Min, 1.0, f32::NAN).is_nan());
        assert_eq!(f32::binary(Binary::Max, 2.0, 1.0), 2.0);
    }

    #[test]
    fn functions_at_hard_points() {
        let f = |op: Unary, x: f64| f64::unary(op, x);
        assert_eq!(f(Unary::Logistic, -800.0), 0.0);
        assert_eq!(f(Unary::Logistic, 800.0), 1.0);
        assert_eq!(f(Unary::Logistic, 0.0), 0.5);
        assert!((f(Unary::Erf, 0.5) - 0.5204998778130465).abs() < 1e-16);
        assert_eq!(f(Unary::Expm1, 1e-20), 1e-20);
        assert_eq!(f(Unary::Log1p, 1e-20), 1e-20);
        assert_eq!([f(Unary::Round, 0.5), f(Unary::Round, 1.5), f(Unary::Round, -2.5)], [0.0, 2.0, -2.0]);
        assert_eq!([f(Unary::Sign, -3.0), f(Unary::Sign, 0.0), f(Unary::Sign, 9.0)], [-1.0, 0.0, 1.0]);
        assert_eq!(f(Unary::Rsqrt, 4.0), 0.5);
    }

    #[test]
    fn units_are_in_range() {
        assert_eq!(bits_to_unit(0), 0.0);
        assert_eq!(bits_to_unit(i32::MIN), 0.5);
        assert_eq!(bits_to_unit(-1), 1.0 - 1.0 / 16_777_216.0);
    }
}
