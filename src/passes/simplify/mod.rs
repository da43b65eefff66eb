//! Algebraic rules, by kind of operation. Each is exact in IEEE arithmetic, or one of these, which are not:
//!
//! * `x + 0`, `0 + x` and `0 - x` ignore the sign of a zero;
//! * `x ^ 0.5` is `sqrt(x)` and `x ^ -0.5` is `rsqrt(x)`: differs at -0 and -inf only;
//! * small integer powers are products (each rounded; `powf` rounds once);
//! * `(x * c) * d` is `x * (c d)` where c or d is a power of two: differs only where `x * c` over- or underflows;
//! * the sum of n equal numbers is n times the number (rounded once instead of n times).
//!
//! `0 * x` is not folded (x may be infinite or NaN), and conversions do not move across arithmetic: scalar
//! hyper-parameters are computed in double precision, then rounded.

mod arithmetic;
mod dot;
mod movement;

use super::rewrite::{Uses, rewrite};
use crate::ir::build::Builder;
use crate::ir::{Node, NodeId, Op};

pub fn run(graph: &mut crate::ir::Graph) -> bool {
    rewrite(graph, rule)
}

fn rule(b: &mut Builder, node: &Node, uses: &Uses) -> Option<NodeId> {
    let special = match &node.op {
        Op::Unary(u) => arithmetic::unary(b, node, *u),
        Op::Binary(op) => arithmetic::binary(b, node, *op),
        Op::Select => arithmetic::select(b, node),
        Op::Convert => arithmetic::convert(b, node),
        Op::StopGradient => Some(node.args[0]),
        Op::Broadcast { axes } => movement::broadcast(b, node, axes),
        Op::Reshape => movement::reshape(b, node),
        Op::Transpose { perm } => movement::transpose(b, node, perm).or_else(|| dot::transposed(b, node, perm, uses)),
        Op::Slice { start, limit, stride } => movement::slice(b, node, start, limit, stride),
        Op::Pad { low, high, interior } => movement::pad(node, low, high, interior),
        Op::Concat { axis } => movement::concat(b, node, *axis),
        Op::Reverse { axes } => movement::reverse(node, axes),
        Op::Reduce { kind, axes } => movement::reduce(b, node, *kind, axes),
        Op::Gather { axis: 0 } => movement::gather(b, node),
        Op::Dot { .. } => dot::of_transposed(b, node),
        _ => None,
    };
    if special.is_some() || !node.op.is_elementwise() {
        return special;
    }
    movement::before_broadcast(b, node)
}
