//! Derivatives of elementwise functions.

use super::{Contributions, Rule};
use crate::ir::build::Builder;
use crate::ir::{Binary, Compare, NodeId, Op, Unary};

/// The cotangent of the operand; `None` if the function has no derivative rule.
pub fn unary(b: &mut Builder, rule: &Rule, op: Unary) -> Option<NodeId> {
    let (x, out, ct) = (rule.arg(0), rule.id, rule.ct);
    Some(match op {
        Unary::Neg => b.neg(ct),
        Unary::Abs => {
            let sign = b.unary(Unary::Sign, x);
            b.mul(ct, sign)
        }
        Unary::Exp => b.mul(ct, out),
        Unary::Expm1 => {
            let exp = plus(b, out, 1.0);
            b.mul(ct, exp)
        }
        Unary::Log => b.div(ct, x),
        Unary::Log1p => {
            let below = plus(b, x, 1.0);
            b.div(ct, below)
        }
        Unary::Sqrt => {
            let half = times(b, ct, 0.5);
            b.div(half, out)
        }
        Unary::Rsqrt => {
            let square = b.mul(out, out);
            let cube = b.mul(square, out);
            let slope = times(b, cube, -0.5);
            b.mul(ct, slope)
        }
        Unary::Sin => {
            let cos = b.unary(Unary::Cos, x);
            b.mul(ct, cos)
        }
        Unary::Cos => {
            let sin = b.unary(Unary::Sin, x);
            let product = b.mul(ct, sin);
            b.neg(product)
        }
        Unary::Atan => {
            let square = b.mul(x, x);
            let below = plus(b, square, 1.0);
            b.div(ct, below)
        }
        Unary::Tanh => {
            let square = b.mul(out, out);
            let slope = from(b, 1.0, square);
            b.mul(ct, slope)
        }
        Unary::Logistic => {
            let rest = from(b, 1.0, out);
            let slope = b.mul(out, rest);
            b.mul(ct, slope)
        }
        Unary::Erf => {
            let square = b.mul(x, x);
            let negative = b.neg(square);
            let bell = b.unary(Unary::Exp, negative);
            let slope = times(b, bell, std::f64::consts::FRAC_2_SQRT_PI);
            b.mul(ct, slope)
        }
        // Flat functions and booleans: the sweep never asks for them.
        Unary::Sign | Unary::Floor | Unary::Ceil | Unary::Round | Unary::Not | Unary::IsFinite => return None,
    })
}

/// The cotangents of both operands; `None` for booleans' operations.
pub fn binary(b: &mut Builder, rule: &Rule, op: Binary) -> Option<Contributions> {
    let (x, y, out, ct) = (rule.arg(0), rule.arg(1), rule.id, rule.ct);
    let needs = [rule.needs[0], rule.needs[1]];
    let both = |b: &mut Builder, fx: &dyn Fn(&mut Builder) -> NodeId, fy: &dyn Fn(&mut Builder) -> NodeId| {
        vec![needs[0].then(|| fx(b)), needs[1].then(|| fy(b))]
    };
    Some(match op {
        Binary::Add => both(b, &|_| ct, &|_| ct),
        Binary::Sub => both(b, &|_| ct, &|b| b.neg(ct)),
        Binary::Mul => both(b, &|b| b.mul(ct, y), &|b| b.mul(ct, x)),
        Binary::Div => {
            let dx = b.div(ct, y);
            both(b, &|_| dx, &|b| {
                let product = b.mul(dx, out);
                b.neg(product)
            })
        }
        Binary::Pow => both(b, &|b| pow_base(b, x, y, ct), &|b| pow_exponent(b, x, out, ct)),
        Binary::Max => both(b, &|b| extreme(b, Compare::Gt, x, y, ct), &|b| extreme(b, Compare::Gt, y, x, ct)),
        Binary::Min => both(b, &|b| extreme(b, Compare::Lt, x, y, ct), &|b| extreme(b, Compare::Lt, y, x, ct)),
        Binary::Rem => both(b, &|_| ct, &|b| {
            let quotient = b.div(x, y);
            let whole = b.unary(Unary::Floor, quotient);
            let product = b.mul(ct, whole);
            b.neg(product)
        }),
        Binary::And | Binary::Or => return None,
    })
}

pub fn select(b: &mut Builder, rule: &Rule) -> Contributions {
    let zero = b.full_like(0.0, rule.ct);
    let condition = rule.arg(0);
    let then = rule.needs[1].then(|| b.select(condition, rule.ct, zero));
    let otherwise = rule.needs[2].then(|| b.select(condition, zero, rule.ct));
    vec![None, then, otherwise]
}

/// `ct` where `x` wins, half of it at a tie, else 0.
fn extreme(b: &mut Builder, wins: Compare, x: NodeId, y: NodeId, ct: NodeId) -> NodeId {
    let zero = b.full_like(0.0, ct);
    let half = times(b, ct, 0.5);
    let tie = b.compare(Compare::Eq, x, y);
    let win = b.compare(wins, x, y);
    let otherwise = b.select(tie, half, zero);
    b.select(win, ct, otherwise)
}

/// `ct * y * x^(y-1)`, and 0 where y is 0 (also at x = 0, where the power is infinite).
fn pow_base(b: &mut Builder, x: NodeId, y: NodeId, ct: NodeId) -> NodeId {
    if let Some(exponent) = constant(b, y) {
        if exponent == 0.0 {
            return b.full_like(0.0, ct);
        }
        let less = b.full_like(exponent - 1.0, y);
        let power = b.binary(Binary::Pow, x, less);
        let slope = b.mul(y, power);
        return b.mul(ct, slope);
    }
    let less = plus(b, y, -1.0);
    let power = b.binary(Binary::Pow, x, less);
    let slope = b.mul(y, power);
    let zero = b.full_like(0.0, y);
    let flat = b.compare(Compare::Eq, y, zero);
    let slope = b.select(flat, zero, slope);
    b.mul(ct, slope)
}

/// `ct * x^y * log(x)` where x is positive, else 0. The logarithm never sees a bad x: its own derivative stays finite.
fn pow_exponent(b: &mut Builder, x: NodeId, out: NodeId, ct: NodeId) -> NodeId {
    let (zero, one) = (b.full_like(0.0, x), b.full_like(1.0, x));
    let positive = b.compare(Compare::Gt, x, zero);
    let safe = b.select(positive, x, one);
    let log = b.unary(Unary::Log, safe);
    let slope = b.mul(out, log);
    let slope = b.select(positive, slope, zero);
    b.mul(ct, slope)
}

/// The number that fills `id`, if it is a constant or a broadcast of one.
fn constant(b: &Builder, id: NodeId) -> Option<f64> {
    let node = b.graph.node(id);
    match node.op {
        Op::Const(value) => Some(value),
        Op::Broadcast { .. } | Op::Reshape | Op::Convert => {
            constant(b, node.args[0]).filter(|_| node.op != Op::Convert || b.graph.dtype(node.args[0]).is_float())
        }
        _ => None,
    }
}

pub fn plus(b: &mut Builder, x: NodeId, c: f64) -> NodeId {
    let c = b.full_like(c, x);
    b.add(x, c)
}

pub fn times(b: &mut Builder, x: NodeId, c: f64) -> NodeId {
    let c = b.full_like(c, x);
    b.mul(x, c)
}

fn from(b: &mut Builder, c: f64, x: NodeId) -> NodeId {
    let c = b.full_like(c, x);
    b.sub(c, x)
}
