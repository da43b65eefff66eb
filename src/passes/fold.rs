//! Constant folding: values that are known when compiling, computed by the interpreter's own functions.
//!
//! A value filled with one number is always a scalar constant under a broadcast, whatever its size; other known values
//! become dense constants while they are small.

use super::rewrite::{Uses, rewrite, uniform};
use crate::interp::apply::apply;
use crate::interp::value::Value;
use crate::ir::build::Builder;
use crate::ir::op::Hint;
use crate::ir::{Node, NodeId, Op, Type};
use std::sync::Arc;

/// Larger values stay computations: a dense constant is memory that kernels must read.
const MAX_ELEMENTS: usize = 64;

pub fn run(graph: &mut crate::ir::Graph) -> bool {
    rewrite(graph, fold)
}

fn fold(b: &mut Builder, node: &Node, _: &Uses) -> Option<NodeId> {
    fold_filled(b, node).or_else(|| fold_small(b, node))
}

/// Operations on values that are filled with one number each.
fn fold_filled(b: &mut Builder, node: &Node) -> Option<NodeId> {
    let moves = matches!(
        node.op,
        Op::Reshape | Op::Transpose { .. } | Op::Slice { .. } | Op::Reverse { .. } | Op::Gather { .. }
    );
    match &node.op {
        Op::Dense(values) => {
            let first = *values.first()?;
            values.iter().all(|v| v.to_bits() == first.to_bits()).then(|| b.full(first, node.ty.dtype, &node.ty.shape))
        }
        _ if moves => uniform(b.graph, node.args[0]).map(|v| b.full(v, node.ty.dtype, &node.ty.shape)),
        // Only the scalar under a chain of broadcasts is worth a node.
        Op::Broadcast { .. } if !matches!(b.graph.node(node.args[0]).op, Op::Const(_)) => {
            uniform(b.graph, node.args[0]).map(|v| b.full(v, node.ty.dtype, &node.ty.shape))
        }
        op if op.is_elementwise() => {
            let mut args = vec![];
            for arg in &node.args {
                let value = uniform(b.graph, *arg)?;
                args.push(Value::from_f64s(&Type::scalar(b.graph.dtype(*arg)), &[value]));
            }
            let result = apply(op, &args.iter().collect::<Vec<_>>(), &Type::scalar(node.ty.dtype));
            Some(b.full(result.to_f64s()[0], node.ty.dtype, &node.ty.shape))
        }
        _ => None,
    }
}

/// Any operation on small known operands with a small result.
fn fold_small(b: &mut Builder, node: &Node) -> Option<NodeId> {
    let skip = matches!(node.op, Op::Input(_) | Op::Const(_) | Op::Dense(_) | Op::Broadcast { .. });
    if skip || node.args.is_empty() || node.ty.elements() > MAX_ELEMENTS {
        return None;
    }
    let mut args = vec![];
    for arg in &node.args {
        args.push(known(b, *arg)?);
    }
    let values = apply(&node.op, &args.iter().collect::<Vec<_>>(), &node.ty).to_f64s();
    Some(constant(b, &node.ty, values))
}

fn known(b: &Builder, id: NodeId) -> Option<Value> {
    let node = b.graph.node(id);
    if node.ty.elements() > MAX_ELEMENTS {
        return None;
    }
    match &node.op {
        Op::Dense(values) => Some(Value::from_f64s(&node.ty, values)),
        Op::Iota { .. } => Some(apply(&node.op, &[], &node.ty)),
        _ => uniform(b.graph, id).map(|v| Value::from_f64s(&node.ty, &vec![v; node.ty.elements()])),
    }
}

fn constant(b: &mut Builder, ty: &Type, values: Vec<f64>) -> NodeId {
    match values[..] {
        [value] => b.full(value, ty.dtype, &ty.shape),
        _ => {
            let hint = Hint { dtype: Some(ty.dtype), shape: Some(ty.shape.clone()) };
            b.push(Op::Dense(Arc::new(values)), &[], hint)
        }
    }
}
