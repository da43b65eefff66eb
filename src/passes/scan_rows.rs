//! Loops whose rows do not meet: a batch of sequences is as many loops as it has rows.
//!
//! A row axis is followed through the body: from the first axis of carried values and slices to the first axis of every result. If
//! no operation mixes rows, the loop may run for a few rows at a time, each part on its own thread and from its first step to
//! its last, without ever waiting for the others.

use crate::ir::build::Builder;
use crate::ir::op::Hint;
use crate::ir::scan::Scan;
use crate::ir::{Graph, InputKind, Node, NodeId, Op};

/// The same loop for `rows` of its rows, and which of the operands have rows (their first axis, in a step). `None` if rows meet.
pub fn of_rows(scan: &Scan, rows: usize) -> Option<(Scan, Vec<bool>)> {
    let whole = row_count(scan)?;
    let mut split = Split { body: &scan.body, whole, rows, made: Graph::new(), places: vec![] };
    let varying = scan.carries + scan.slices;
    // Constants may have rows (a mask) or not (weights, even if they have as many rows): tell by their use, trying rows last.
    let candidates: Vec<usize> =
        (varying..scan.body.inputs.len()).filter(|k| scan.body.inputs[*k].ty.shape.first() == Some(&whole)).collect();
    let mut with_rows: Vec<bool> = (0..scan.body.inputs.len())
        .map(|k| k < varying && scan.body.inputs[k].ty.shape.first() == Some(&whole))
        .collect();
    if (0..scan.carries).any(|k| !with_rows[k]) {
        return None;
    }
    if !split.run(&with_rows) {
        candidates.iter().for_each(|k| with_rows[*k] = true);
        if candidates.is_empty() || !split.run(&with_rows) {
            return None;
        }
    }
    let mut body = split.made;
    for output in &scan.body.outputs {
        let (node, axis) = split.places[output.node.index()]?;
        if axis != Some(0) {
            return None;
        }
        body.add_output(output.name.clone(), node, output.kind.clone());
    }
    Some((Scan { body, ..scan.clone() }, with_rows))
}

/// The rows of a loop: the first axis of what it carries, or of what it emits.
pub fn row_count(scan: &Scan) -> Option<usize> {
    let first = scan.body.outputs.first()?;
    scan.body.shape(first.node).first().copied()
}

struct Split<'a> {
    body: &'a Graph,
    whole: usize,
    rows: usize,
    made: Graph,
    /// The new node of each, and its row axis.
    places: Vec<Option<(NodeId, Option<usize>)>>,
}

impl Split<'_> {
    fn run(&mut self, with_rows: &[bool]) -> bool {
        self.made = Graph::new();
        self.places = vec![None; self.body.nodes.len()];
        // Inputs keep their indices, used or not.
        for (k, input) in self.body.inputs.iter().enumerate() {
            let mut ty = input.ty.clone();
            if with_rows[k] {
                ty.shape[0] = self.rows;
            }
            let of = self.body.ids().find(|id| matches!(self.body.node(*id).op, Op::Input(i) if i == k));
            let span = of.map_or_else(Default::default, |id| self.body.node(id).span);
            let node = self.made.add_input(&input.name, ty, InputKind::Arg, span);
            if let Some(of) = of {
                self.places[of.index()] = Some((node, with_rows[k].then_some(0)));
            }
        }
        self.body.ids().all(|id| {
            if self.places[id.index()].is_none() {
                self.places[id.index()] = self.node(self.body.node(id));
            }
            self.places[id.index()].is_some()
        })
    }

    fn arg(&self, id: NodeId) -> Option<(NodeId, Option<usize>)> {
        self.places[id.index()]
    }

    /// The operand with a row axis: a value that is the same in all rows is repeated fewer times.
    fn with_axis(&mut self, id: NodeId, axis: usize) -> Option<NodeId> {
        let (node, has) = self.arg(id)?;
        match has {
            Some(has) => (has == axis).then_some(node),
            None => {
                let Op::Broadcast { axes } = &self.body.node(id).op else { return None };
                let mut shape = self.body.shape(id).clone();
                let from = self.made.node(node).args[0];
                let repeated = match axes.iter().position(|a| *a == axis) {
                    Some(k) => self.made.shape(from)[k] == 1,
                    None => true,
                };
                shape[axis] = self.rows;
                let span = self.body.node(id).span;
                repeated.then(|| Builder::new(&mut self.made, span).broadcast(from, &shape, axes.clone()))
            }
        }
    }

    /// The node for fewer rows; `None` if it mixes them, or if nothing is known about it.
    fn node(&mut self, node: &Node) -> Option<(NodeId, Option<usize>)> {
        let axes: Vec<Option<usize>> =
            node.args.iter().map(|a| self.arg(*a).map(|(_, axis)| axis)).collect::<Option<_>>()?;
        let Some(first) = axes.iter().flatten().next().copied() else {
            let args: Vec<NodeId> = node.args.iter().map(|a| self.arg(*a).map(|(id, _)| id)).collect::<Option<_>>()?;
            let hint = Hint { dtype: Some(node.ty.dtype), shape: Some(node.ty.shape.clone()) };
            return Some((self.made.push(node.op.clone(), &args, hint, node.span), None));
        };
        let shape_of = |k: usize| self.body.shape(node.args[k]);
        let (op, axis) = match &node.op {
            op if op.is_elementwise() => (op.clone(), first),
            Op::Broadcast { axes } => (node.op.clone(), axes[first]),
            Op::Transpose { perm } => (node.op.clone(), perm.iter().position(|p| *p == first)?),
            Op::Reshape => {
                let inside = first == 0 && node.ty.shape.first() == Some(&self.whole);
                (node.op.clone(), if inside { 0 } else { return None })
            }
            Op::Slice { start, limit, stride } => {
                let all = start[first] == 0 && limit[first] == self.whole && stride[first] == 1;
                let mut limit = limit.clone();
                limit[first] = self.rows;
                (
                    Op::Slice { start: start.clone(), limit, stride: stride.clone() },
                    if all { first } else { return None },
                )
            }
            Op::Pad { low, high, interior } => {
                let all = low[first] == 0 && high[first] == 0 && interior[first] == 0;
                (node.op.clone(), if all { first } else { return None })
            }
            Op::Concat { axis } if *axis != first => (node.op.clone(), first),
            Op::Reverse { axes } if !axes.contains(&first) => (node.op.clone(), first),
            Op::Reduce { axes, .. } if !axes.contains(&first) => {
                (node.op.clone(), first - axes.iter().filter(|a| **a < first).count())
            }
            Op::ArgReduce { axis, .. } if *axis != first => (node.op.clone(), first - usize::from(*axis < first)),
            Op::Cumulative { axis, .. } | Op::ArgSort { axis, .. } if *axis != first => (node.op.clone(), first),
            Op::Dot { lhs_batch, lhs_contract, rhs_batch, rhs_contract } if lhs_batch.is_empty() => {
                let left = axes[0].is_some();
                if left == axes[1].is_some() {
                    return None;
                }
                let contracted = if left { lhs_contract } else { rhs_contract };
                if contracted.contains(&first) || !rhs_batch.is_empty() {
                    return None;
                }
                let free = first - contracted.iter().filter(|a| **a < first).count();
                let before = if left { 0 } else { shape_of(0).len() - lhs_contract.len() };
                (node.op.clone(), before + free)
            }
            _ => return None,
        };
        let alike = op.is_elementwise() || matches!(op, Op::Concat { .. });
        let mut args = vec![];
        for arg in &node.args {
            args.push(if alike { self.with_axis(*arg, first)? } else { self.arg(*arg)?.0 });
        }
        let mut shape = node.ty.shape.clone();
        shape[axis] = self.rows;
        let hint = Hint { dtype: Some(node.ty.dtype), shape: Some(shape) };
        Some((self.made.push(op, &args, hint, node.span), Some(axis)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interp::eval;
    use crate::ir::scan;
    use crate::ir::{OutputKind, Type, arbitrary};
    use crate::runtime::Tensor;
    use proptest::prelude::*;

    /// The whole value of a loop.
    fn value(scan: &Scan, operands: &[Tensor]) -> Vec<f64> {
        let mut graph = Graph::new();
        let input = |t: &Tensor| graph.add_input("x", t.ty().clone(), InputKind::Arg, Default::default());
        let args: Vec<NodeId> = operands.iter().map(input).collect();
        let node = scan::push(&mut Builder::new(&mut graph, Default::default()), scan.clone(), &args);
        graph.add_output("y", node, OutputKind::Value);
        eval(&graph, &operands.iter().collect::<Vec<_>>())[0].to_f64s()
    }

    /// Rows `from..to` of an axis.
    fn rows(x: &[f64], shape: &[usize], axis: usize, from: usize, to: usize) -> Vec<f64> {
        let inner: usize = shape[axis + 1..].iter().product();
        x.chunks(shape[axis] * inner).flat_map(|c| c[from * inner..to * inner].to_vec()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        /// A loop that may be split gives, part by part, what it gives for all rows.
        #[test]
        fn parts_are_rows_of_the_whole(choices in prop::collection::vec(any::<u32>(), 0..8)) {
            let whole = arbitrary::batch_loop(&choices);
            let Some((part, with_rows)) = of_rows(&whole, 2) else { return Ok(()) };
            let stacked = whole.carries..whole.carries + whole.slices;
            let axis = |k: usize| usize::from(stacked.contains(&k));
            let operands: Vec<Tensor> = (0..whole.body.inputs.len()).map(|k| {
                let mut shape = whole.body.inputs[k].ty.shape.clone();
                if stacked.contains(&k) {
                    shape.insert(0, whole.steps);
                }
                let ty = Type::new(whole.body.inputs[k].ty.dtype, shape);
                let wave = |i: usize| ((i * 7 + k * 3) as f64).sin();
                Tensor::from_f64s(ty.clone(), &(0..ty.elements()).map(wave).collect::<Vec<_>>())
            }).collect();
            let all = value(&whole, &operands);
            for start in [0, 2] {
                let few: Vec<Tensor> = operands.iter().enumerate().map(|(k, x)| {
                    let mut ty = x.ty().clone();
                    if !with_rows[k] {
                        return Tensor::from_f64s(ty, &x.to_f64s());
                    }
                    let values = rows(&x.to_f64s(), &ty.shape, axis(k), start, start + 2);
                    ty.shape[axis(k)] = 2;
                    Tensor::from_f64s(ty, &values)
                }).collect();
                let found = value(&part, &few);
                for k in 0..whole.body.outputs.len() {
                    let ty = whole.result_type(k);
                    let expected = rows(&all[whole.range(k)], &ty.shape, usize::from(k >= whole.carries), start, start + 2);
                    for (a, b) in found[part.range(k)].iter().zip(&expected) {
                        prop_assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()) || !b.is_finite(), "{a} instead of {b}");
                    }
                }
            }
        }
    }
}
