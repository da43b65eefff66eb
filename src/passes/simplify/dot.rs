//! Transposes around products become the product's own axis numbers.

use crate::ir::build::Builder;
use crate::ir::{Node, NodeId, Op};
use crate::passes::rewrite::Uses;

/// `dot(transpose(x), y)` reads `x` in its own order, where the free axes keep their order.
pub fn of_transposed(b: &mut Builder, node: &Node) -> Option<NodeId> {
    let Op::Dot { lhs_batch, rhs_batch, lhs_contract, rhs_contract } = &node.op else { return None };
    let mut args = node.args.clone();
    let mut axes = [[lhs_batch.clone(), lhs_contract.clone()], [rhs_batch.clone(), rhs_contract.clone()]];
    let mut changed = false;
    for side in 0..2 {
        let operand = b.graph.node(args[side]);
        let Op::Transpose { perm } = &operand.op else { continue };
        let free = (0..perm.len()).filter(|k| axes[side].iter().all(|list| !list.contains(k)));
        if !free.map(|k| perm[k]).is_sorted() {
            continue;
        }
        for axis in axes[side].iter_mut().flatten() {
            *axis = perm[*axis];
        }
        args[side] = operand.args[0];
        changed = true;
    }
    let [[lhs_batch, lhs_contract], [rhs_batch, rhs_contract]] = axes;
    let op = Op::Dot { lhs_batch, rhs_batch, lhs_contract, rhs_contract };
    changed.then(|| b.push(op, &args, Default::default()))
}

/// `transpose(dot(x, y))` that swaps the two blocks of free axes is `dot(y, x)`.
pub fn transposed(b: &mut Builder, node: &Node, perm: &[usize], uses: &Uses) -> Option<NodeId> {
    if !uses.once(node.args[0]) {
        return None;
    }
    let product = b.graph.node(node.args[0]);
    let Op::Dot { lhs_batch, rhs_batch, lhs_contract, rhs_contract } = &product.op else { return None };
    let batch = lhs_batch.len();
    let lhs_free = b.graph.shape(product.args[0]).len() - batch - lhs_contract.len();
    let swapped = (0..batch).chain(batch + lhs_free..perm.len()).chain(batch..batch + lhs_free);
    if !perm.iter().copied().eq(swapped) {
        return None;
    }
    let op = Op::Dot {
        lhs_batch: rhs_batch.clone(),
        rhs_batch: lhs_batch.clone(),
        lhs_contract: rhs_contract.clone(),
        rhs_contract: lhs_contract.clone(),
    };
    let args = [product.args[1], product.args[0]];
    Some(b.push(op, &args, Default::default()))
}
