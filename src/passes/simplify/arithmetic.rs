//! Rules for elementwise operations.

use crate::ir::build::Builder;
use crate::ir::{Binary, Compare, DType, Node, NodeId, Op, Unary};
use crate::passes::rewrite::uniform;

pub fn unary(b: &mut Builder, node: &Node, op: Unary) -> Option<NodeId> {
    let x = node.args[0];
    let inner = b.graph.node(x);
    match (op, &inner.op) {
        (Unary::Neg, Op::Unary(Unary::Neg)) | (Unary::Not, Op::Unary(Unary::Not)) => Some(inner.args[0]),
        (Unary::Abs, Op::Unary(Unary::Abs)) => Some(x),
        (Unary::Abs, Op::Unary(Unary::Neg)) => {
            let x = inner.args[0];
            Some(b.unary(Unary::Abs, x))
        }
        (Unary::Neg, Op::Binary(Binary::Sub)) if inner.ty.dtype == DType::I32 => {
            let (x, y) = (inner.args[0], inner.args[1]);
            Some(b.sub(y, x))
        }
        (Unary::Not, Op::Compare(c @ (Compare::Eq | Compare::Ne))) => {
            let (x, y) = (inner.args[0], inner.args[1]);
            Some(b.compare(if *c == Compare::Eq { Compare::Ne } else { Compare::Eq }, x, y))
        }
        _ => None,
    }
}

pub fn binary(b: &mut Builder, node: &Node, op: Binary) -> Option<NodeId> {
    let (x, y) = (node.args[0], node.args[1]);
    let (cx, cy) = (uniform(b.graph, x), uniform(b.graph, y));
    match op {
        Binary::Add => match (cx, cy) {
            (_, Some(0.0)) => Some(x),
            (Some(0.0), _) => Some(y),
            _ if x == y && node.ty.dtype.is_float() => {
                let two = b.full_like(2.0, x);
                Some(b.mul(x, two))
            }
            _ => match (negated(b, x), negated(b, y)) {
                (_, Some(y)) => Some(b.sub(x, y)),
                (Some(x), None) => Some(b.sub(y, x)),
                _ => None,
            },
        },
        Binary::Sub => match (cx, cy) {
            (_, Some(0.0)) => Some(x),
            (Some(0.0), _) => Some(b.neg(y)),
            _ => negated(b, y).map(|y| b.add(x, y)),
        },
        Binary::Mul => multiply(b, (x, cx), (y, cy)),
        Binary::Div => divide(b, (x, cx), (y, cy)),
        Binary::Pow => power(b, x, cy?),
        Binary::Max | Binary::Min => (x == y).then_some(x),
        Binary::And | Binary::Or if x == y => Some(x),
        Binary::And | Binary::Or if node.ty.dtype == DType::Bool => {
            let neutral = if op == Binary::And { 1.0 } else { 0.0 };
            match (cx, cy) {
                (Some(c), _) => Some(if c == neutral { y } else { x }),
                (_, Some(c)) => Some(if c == neutral { x } else { y }),
                _ => None,
            }
        }
        Binary::And | Binary::Or | Binary::Rem => None,
    }
}

/// `v` if `id` is `-v`.
fn negated(b: &Builder, id: NodeId) -> Option<NodeId> {
    let node = b.graph.node(id);
    (node.op == Op::Unary(Unary::Neg)).then(|| node.args[0])
}

type Operand = (NodeId, Option<f64>);

fn multiply(b: &mut Builder, (x, cx): Operand, (y, cy): Operand) -> Option<NodeId> {
    match (cx, cy) {
        (_, Some(1.0)) => return Some(x),
        (Some(1.0), _) => return Some(y),
        (_, Some(-1.0)) => return Some(b.neg(x)),
        (Some(-1.0), _) => return Some(b.neg(y)),
        _ => {}
    }
    if let Some(merged) = merge_factors(b, (x, cx), (y, cy)) {
        return Some(merged);
    }
    // The negative of the least int is no int.
    let float = b.graph.dtype(x).is_float();
    match (negated(b, x), negated(b, y), cx, cy) {
        (Some(x), Some(y), ..) => Some(b.mul(x, y)),
        (Some(x), _, _, Some(c)) if float => {
            let c = b.full_like(-c, y);
            Some(b.mul(x, c))
        }
        (_, Some(y), Some(c), _) if float => {
            let c = b.full_like(-c, x);
            Some(b.mul(c, y))
        }
        _ => None,
    }
}

/// `(v * c) * d` is `v * (c d)` where c or d is a power of two: scaling by it rounds nothing.
fn merge_factors(b: &mut Builder, (x, cx): Operand, (y, cy): Operand) -> Option<NodeId> {
    let (inner, d) = match (cx, cy) {
        (None, Some(d)) => (x, d),
        (Some(d), None) => (y, d),
        _ => return None,
    };
    let dtype = b.graph.dtype(inner);
    let node = b.graph.node(inner);
    if node.op != Op::Binary(Binary::Mul) || !dtype.is_float() {
        return None;
    }
    let (p, q) = (node.args[0], node.args[1]);
    let (v, c) = match (uniform(b.graph, p), uniform(b.graph, q)) {
        (None, Some(c)) => (p, c),
        (Some(c), None) => (q, c),
        _ => return None,
    };
    let scales = exact_inverse(c, dtype).is_some() || exact_inverse(d, dtype).is_some();
    let factor = c * d;
    // A subnormal or infinite factor would round after all.
    let smallest = if dtype == DType::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
    if !scales || !(smallest..=1.0 / smallest).contains(&factor.abs()) {
        return None;
    }
    let factor = b.full_like(factor, v);
    Some(b.mul(v, factor))
}

fn divide(b: &mut Builder, (x, cx): Operand, (y, cy): Operand) -> Option<NodeId> {
    let dtype = b.graph.dtype(x);
    if cy == Some(1.0) {
        return Some(x);
    }
    if !dtype.is_float() {
        return None;
    }
    if cy == Some(-1.0) {
        return Some(b.neg(x));
    }
    if let Some(inverse) = cy.and_then(|c| exact_inverse(c, dtype)) {
        let inverse = b.full_like(inverse, y);
        return Some(b.mul(x, inverse));
    }
    // By the definition of rsqrt.
    let below = b.graph.node(y);
    if cx == Some(1.0) && below.op == Op::Unary(Unary::Sqrt) {
        let x = below.args[0];
        return Some(b.unary(Unary::Rsqrt, x));
    }
    None
}

/// 1/c for a power of two whose inverse is a normal number of the type.
fn exact_inverse(c: f64, dtype: DType) -> Option<f64> {
    let mantissa = c.to_bits() & ((1 << 52) - 1);
    let limit = if dtype == DType::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
    let normal = |v: f64| v.abs() >= limit && v.abs() <= 1.0 / limit;
    (mantissa == 0 && normal(c) && normal(1.0 / c)).then(|| 1.0 / c)
}

fn power(b: &mut Builder, x: NodeId, exponent: f64) -> Option<NodeId> {
    let square = |b: &mut Builder| b.mul(x, x);
    Some(match exponent {
        // Also for NaN and infinity: pow(x, 0) is 1.
        0.0 => b.full_like(1.0, x),
        1.0 => x,
        2.0 => square(b),
        3.0 => {
            let square = square(b);
            b.mul(square, x)
        }
        4.0 => {
            let square = square(b);
            b.mul(square, square)
        }
        0.5 => b.unary(Unary::Sqrt, x),
        -0.5 => b.unary(Unary::Rsqrt, x),
        -1.0 => {
            let one = b.full_like(1.0, x);
            b.div(one, x)
        }
        -2.0 => {
            let (one, square) = (b.full_like(1.0, x), square(b));
            b.div(one, square)
        }
        _ => return None,
    })
}

pub fn select(b: &mut Builder, node: &Node) -> Option<NodeId> {
    let (condition, x, y) = (node.args[0], node.args[1], node.args[2]);
    if x == y {
        return Some(x);
    }
    if let Some(c) = uniform(b.graph, condition) {
        return Some(if c != 0.0 { x } else { y });
    }
    let inner = b.graph.node(condition);
    if inner.op == Op::Unary(Unary::Not) {
        let condition = inner.args[0];
        return Some(b.select(condition, y, x));
    }
    None
}

pub fn convert(b: &mut Builder, node: &Node) -> Option<NodeId> {
    let x = node.args[0];
    let from = b.graph.dtype(x);
    if from == node.ty.dtype {
        return Some(x);
    }
    let inner = b.graph.node(x);
    if inner.op != Op::Convert {
        return None;
    }
    // A first conversion that loses nothing can be skipped.
    let origin = inner.args[0];
    let exact = match (b.graph.dtype(origin), from) {
        (DType::Bool, _) | (DType::I32 | DType::F32, DType::F64) => true,
        (a, b) => a == b,
    };
    exact.then(|| b.convert(origin, node.ty.dtype))
}
