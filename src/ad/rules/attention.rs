//! Attention: the backward primitive, which computes the scores again in tiles; where a gradient is wanted that it does not
//! give (of a mask, or a second derivative), the derivative of the formula.

use super::{Contributions, Rule};
use crate::ad::gradients;
use crate::diag::Diagnostic;
use crate::ir::attention::{Attention, Sizes};
use crate::ir::build::Builder;
use crate::ir::{Graph, NodeId, Op};

/// The cotangents of queries, keys, values and the mask of [`Op::Attention`].
pub fn attention(b: &mut Builder, rule: &Rule, of: Attention) -> Result<Contributions, Diagnostic> {
    let [q, k, v] = [0, 1, 2].map(|at| rule.arg(at));
    let mask = rule.node.args.get(3).copied();
    let sizes = of.sizes_of(b.graph, q, k, v);
    let ct = output_part(b, rule.ct, &sizes);
    if rule.needs.get(3) == Some(&true) {
        let args = rule.node.args.clone();
        return through(b, &args, rule.needs, ct, |b, x| Ok(of.formula(b, x[0], x[1], x[2], x.get(3).copied())));
    }
    let joint = side_by_side(b.graph, [q, k, v], &sizes);
    let args = [&[q, k, v, rule.id, ct][..], mask.as_slice()].concat();
    let all = b.push(Op::AttentionGrad { of, joint }, &args, Default::default());
    let shapes = sizes.shapes();
    let mut at = 0;
    let mut out: Contributions = vec![];
    for (part, shape) in shapes[..3].iter().enumerate() {
        let (axis, width) = match joint {
            true => (sizes.batch.len() + 1, sizes.widths()[part]),
            false => (0, shape.iter().product()),
        };
        let piece = b.slice_axis(all, axis, at, at + width);
        out.push(rule.needs[part].then(|| b.reshape(piece, shape)));
        at += width;
    }
    out.extend(mask.map(|_| None));
    Ok(out)
}

/// The second derivative: that of the formula's gradient. The saved result is a function of the other operands.
pub fn gradient(b: &mut Builder, rule: &Rule, of: Attention, joint: bool) -> Result<Contributions, Diagnostic> {
    let args = rule.node.args.clone();
    let mut operands = vec![args[0], args[1], args[2], args[4]];
    operands.extend(args.get(5));
    let mut needs = vec![rule.needs[0], rule.needs[1], rule.needs[2], rule.needs[4]];
    needs.extend(rule.needs.get(5));
    let (batch, ct) = (b.graph.shape(args[0]).len() - 2, rule.ct);
    let mut found = through(b, &operands, &needs, ct, |b, x| {
        let output = of.formula(b, x[0], x[1], x[2], x.get(4).copied());
        let parts = gradients(b.graph, output, Some(x[3]), &x[..3])?;
        if joint {
            return Ok(b.concat(&parts, batch + 1));
        }
        let rows: Vec<NodeId> = parts.iter().map(|part| flat(b, *part)).collect();
        Ok(b.concat(&rows, 0))
    })?;
    found.insert(3, None);
    Ok(found)
}

fn flat(b: &mut Builder, x: NodeId) -> NodeId {
    let elements = b.graph.ty(x).elements();
    b.reshape(x, &[elements])
}

/// The cotangents of `args` through a function of them that is written as new nodes. The function gets copies of the operands,
/// so that only paths inside it count, whatever the operands have to do with each other.
fn through(
    b: &mut Builder,
    args: &[NodeId],
    needs: &[bool],
    ct: NodeId,
    function: impl Fn(&mut Builder, &[NodeId]) -> Result<NodeId, Diagnostic>,
) -> Result<Contributions, Diagnostic> {
    let copy = |b: &mut Builder, x: &NodeId| {
        let shape = b.graph.shape(*x).clone();
        b.push(Op::Reshape, &[*x], crate::ir::op::Hint { dtype: None, shape: Some(shape) })
    };
    let copies: Vec<NodeId> = args.iter().map(|x| copy(b, x)).collect();
    let result = function(b, &copies)?;
    let wanted: Vec<NodeId> = copies.iter().zip(needs).filter(|(_, needed)| **needed).map(|(x, _)| *x).collect();
    let mut found = gradients(b.graph, result, Some(ct), &wanted)?.into_iter();
    Ok(needs.iter().map(|needed| if *needed { found.next() } else { None }).collect())
}

/// The cotangent of the output in that of the whole result, where it is padded with zeros for the logarithms.
fn output_part(b: &mut Builder, ct: NodeId, sizes: &Sizes) -> NodeId {
    let node = b.graph.node(ct);
    let [elements, _] = sizes.output();
    let part = match &node.op {
        Op::Pad { low, interior, .. }
            if low[..] == [0] && interior[..] == [0] && b.graph.shape(node.args[0])[..] == [elements] =>
        {
            node.args[0]
        }
        _ => b.slice_axis(ct, 0, 0, elements),
    };
    let [.., shape] = sizes.shapes();
    match &b.graph.node(part).op {
        Op::Reshape if *b.graph.shape(b.graph.node(part).args[0]) == shape => b.graph.node(part).args[0],
        _ => b.reshape(part, &shape),
    }
}

/// Whether the three are consecutive parts of one value's last axis, as one product makes them: then so are their cotangents.
fn side_by_side(graph: &Graph, parts: [NodeId; 3], sizes: &Sizes) -> bool {
    let axis = sizes.batch.len() + 1;
    let mut whole = None;
    let mut at = 0;
    let consecutive = parts.iter().all(|part| {
        let node = graph.node(*part);
        let Op::Slice { start, limit, stride } = &node.op else { return false };
        let shape = graph.shape(node.args[0]);
        let others = (0..axis).all(|a| start[a] == 0 && limit[a] == shape[a]);
        let follows = *whole.get_or_insert(node.args[0]) == node.args[0] && start[axis] == at;
        at = limit[axis];
        others && follows && stride.iter().all(|s| *s == 1)
    });
    consecutive && whole.is_some_and(|w| graph.shape(w)[axis] == at)
}
