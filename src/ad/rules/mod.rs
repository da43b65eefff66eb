//! Vector-Jacobian products: from the cotangent of a node to the cotangents of its operands.
//!
//! Derivatives at the points where a function has none are those written in [`crate::ir::op`]: ties of maxima and minima are split
//! evenly, `abs` has 0 at 0. `pow` has derivative 0 in the exponent where the base is not positive.

mod attention;
mod elementwise;
mod linear;
mod reduce;
mod scan;
mod scan_sums;
mod segment;
mod window;

use crate::diag::{self, Diagnostic};
use crate::ir::build::Builder;
use crate::ir::{DType, Node, NodeId, Op, ReduceKind};

/// The cotangents of the operands, for those that `needs` names.
pub type Contributions = Vec<Option<NodeId>>;

/// What a rule works on: the node, its value, its cotangent, and which operands want one.
pub struct Rule<'a> {
    pub id: NodeId,
    pub node: &'a Node,
    pub ct: NodeId,
    pub needs: &'a [bool],
}

impl Rule<'_> {
    pub fn arg(&self, k: usize) -> NodeId {
        self.node.args[k]
    }

    pub fn dtype(&self) -> DType {
        self.node.ty.dtype
    }

    pub fn shape(&self) -> &[usize] {
        &self.node.ty.shape
    }
}

/// Applies the rule of a node's primitive.
pub fn vjp(b: &mut Builder, id: NodeId, node: &Node, ct: NodeId, needs: &[bool]) -> Result<Contributions, Diagnostic> {
    let rule = Rule { id, node, ct, needs };
    let one = |value: NodeId| Ok(vec![Some(value)]);
    match &node.op {
        Op::Unary(u) => match elementwise::unary(b, &rule, *u) {
            Some(value) => one(value),
            None => missing(node),
        },
        Op::Binary(binary) => elementwise::binary(b, &rule, *binary).map_or_else(|| missing(node), Ok),
        Op::Select => Ok(elementwise::select(b, &rule)),
        Op::Convert => one(b.convert(ct, b.graph.dtype(rule.arg(0)))),

        Op::Broadcast { axes } => one(linear::broadcast(b, &rule, axes)),
        Op::Reshape => {
            let shape = b.graph.shape(rule.arg(0)).clone();
            one(b.reshape(ct, &shape))
        }
        Op::Transpose { perm } => one(linear::transpose(b, &rule, perm)),
        Op::Slice { start, stride, .. } => one(linear::slice(b, &rule, start, stride)),
        Op::Pad { low, high, interior } => Ok(linear::pad(b, &rule, low, high, interior)),
        Op::Concat { axis } => Ok(linear::concat(b, &rule, *axis)),
        Op::Reverse { .. } => one(b.push(node.op.clone(), &[ct], Default::default())),
        Op::Gather { axis } => Ok(linear::gather(b, &rule, *axis)),
        Op::ScatterAdd { axis } => Ok(linear::scatter_add(b, &rule, *axis)),
        Op::Dot { lhs_batch, rhs_batch, lhs_contract, rhs_contract } => {
            Ok(linear::dot(b, &rule, [lhs_batch, rhs_batch], [lhs_contract, rhs_contract]))
        }
        Op::Conv { part, window, groups } => Ok(window::conv(b, &rule, *part, window, *groups)),
        Op::Pool { kind, window } => Ok(window::pool(b, &rule, *kind, window)),

        Op::Attention(of) => attention::attention(b, &rule, *of),
        Op::AttentionGrad { of, joint } => attention::gradient(b, &rule, *of, *joint),

        Op::Reduce { kind, axes } => one(reduce::reduce(b, &rule, *kind, axes)),
        Op::Cumulative { kind: ReduceKind::Sum, axis, reverse } => {
            one(reduce::cumulate(b, ct, ReduceKind::Sum, *axis, !reverse))
        }
        Op::Cumulative { kind: ReduceKind::Prod, axis, reverse } => {
            one(reduce::cumulative_product(b, &rule, *axis, *reverse))
        }
        Op::Cumulative { kind: ReduceKind::Max | ReduceKind::Min, axis, reverse } => {
            one(reduce::cumulative_extreme(b, &rule, *axis, *reverse))
        }
        Op::SegmentReduce { kind, offsets } => one(segment::reduce(b, &rule, *kind, offsets)),
        Op::SegmentBroadcast { offsets } => {
            let op = Op::SegmentReduce { kind: ReduceKind::Sum, offsets: offsets.clone() };
            one(b.push(op, &[ct], Default::default()))
        }

        Op::Scan(scan) => scan::scan(b, &rule, scan),

        // Without float operands or results, or flat: the sweep never asks.
        Op::Input(_)
        | Op::Const(_)
        | Op::Dense(_)
        | Op::Iota { .. }
        | Op::RandomBits { .. }
        | Op::Compare(_)
        | Op::BitsToUnit
        | Op::StopGradient
        | Op::ArgReduce { .. }
        | Op::Decompose(_)
        | Op::ArgSort { .. } => missing(node),
    }
}

fn missing(node: &Node) -> Result<Contributions, Diagnostic> {
    let title = format!("'{}' cannot be differentiated", node.op.name());
    Err(diag::error("E0215", title)
        .at(node.span, "the gradient passes through this value")
        .help("wrap it in stop_gradient(...) if no gradient should flow through it"))
}
