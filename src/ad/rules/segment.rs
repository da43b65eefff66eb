//! Derivatives of reductions over segments.

use super::Rule;
use crate::ir::build::Builder;
use crate::ir::{Binary, Compare, NodeId, Op, ReduceKind};
use std::sync::Arc;

pub fn reduce(b: &mut Builder, rule: &Rule, kind: ReduceKind, offsets: &Arc<Vec<usize>>) -> NodeId {
    let x = rule.arg(0);
    let spread = |b: &mut Builder, v: NodeId| {
        b.push(Op::SegmentBroadcast { offsets: offsets.clone() }, &[v], Default::default())
    };
    let total = |b: &mut Builder, kind: ReduceKind, v: NodeId| {
        b.push(Op::SegmentReduce { kind, offsets: offsets.clone() }, &[v], Default::default())
    };
    let zero = b.full_like(0.0, x);
    match kind {
        ReduceKind::Sum => spread(b, rule.ct),
        // The product of the others: without zeros by division; a single zero's is the product without it; else 0.
        ReduceKind::Prod => {
            let one = b.full_like(1.0, x);
            let is_zero = b.compare(Compare::Eq, x, zero);
            let ones = b.convert(is_zero, rule.dtype());
            let count = total(b, ReduceKind::Sum, ones);
            let safe = b.select(is_zero, one, x);
            let product = total(b, ReduceKind::Prod, safe);
            let weighted = b.mul(rule.ct, product);
            let (weighted, count) = (spread(b, weighted), spread(b, count));
            let quotient = b.div(weighted, safe);
            let no_zero = b.compare(Compare::Eq, count, zero);
            let one_zero = b.compare(Compare::Eq, count, one);
            let alone = b.binary(Binary::And, one_zero, is_zero);
            // At the single zero `safe` is 1, so the quotient is the product of the others there too.
            let counts = b.binary(Binary::Or, no_zero, alone);
            b.select(counts, quotient, zero)
        }
        ReduceKind::Max | ReduceKind::Min => {
            let out = spread(b, rule.id);
            let mask = b.compare(Compare::Eq, x, out);
            let ones = b.convert(mask, rule.dtype());
            let count = total(b, ReduceKind::Sum, ones);
            let share = b.div(rule.ct, count);
            let share = spread(b, share);
            b.select(mask, share, zero)
        }
    }
}
