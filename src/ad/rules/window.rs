//! Convolution and pooling: each part's derivatives are other parts ([`crate::ir::window`]).

use super::{Contributions, Rule};
use crate::ir::build::Builder;
use crate::ir::{ConvPart, NodeId, PoolKind, Window};

/// The three values of a convolution are the two operands and the cotangent; an operand's cotangent is that part of the
/// other two.
pub fn conv(b: &mut Builder, rule: &Rule, part: ConvPart, window: &Window, groups: usize) -> Contributions {
    let (first, second) = match part {
        ConvPart::Result => (ConvPart::Image, ConvPart::Kernel),
        ConvPart::Image => (ConvPart::Result, ConvPart::Kernel),
        ConvPart::Kernel => (ConvPart::Image, ConvPart::Result),
    };
    // In the order image, kernel, result.
    let (image, kernel, result) = match part {
        ConvPart::Result => (rule.arg(0), rule.arg(1), rule.ct),
        ConvPart::Image => (rule.ct, rule.arg(1), rule.arg(0)),
        ConvPart::Kernel => (rule.arg(0), rule.ct, rule.arg(1)),
    };
    let mut gradient = |wanted: ConvPart| {
        let shape = b.graph.shape(image).clone();
        let args = match wanted {
            ConvPart::Result => [image, kernel],
            ConvPart::Image => [result, kernel],
            ConvPart::Kernel => [image, result],
        };
        b.conv(wanted, window, groups, args, &shape)
    };
    vec![rule.needs[0].then(|| gradient(first)), rule.needs[1].then(|| gradient(second))]
}

pub fn pool(b: &mut Builder, rule: &Rule, kind: PoolKind, window: &Window) -> Contributions {
    let shape = b.graph.shape(rule.arg(0)).clone();
    let mut make = |kind: PoolKind, args: &[NodeId]| Some(b.pool(kind, window, args, &shape));
    let x = rule.arg(0);
    match kind {
        PoolKind::Sum => vec![make(PoolKind::Spread, &[rule.ct])],
        PoolKind::Spread => vec![make(PoolKind::Sum, &[rule.ct])],
        PoolKind::Max => vec![make(PoolKind::Scatter, &[x, rule.ct])],
        // Where the largest element is does not change.
        PoolKind::Pick => vec![None, rule.needs[1].then(|| make(PoolKind::Scatter, &[x, rule.ct])).flatten()],
        PoolKind::Scatter => vec![None, rule.needs[1].then(|| make(PoolKind::Pick, &[x, rule.ct])).flatten()],
    }
}
