//! What can go wrong only with the values of a run: an index outside its axis, a matrix that has no decomposition.
//!
//! Kernels clamp an index and fill with NaN, so that nothing worse happens. Whoever runs a graph adds outputs to it that say
//! whether that was needed ([`add`]), reads them after the run ([`first_failed`]), and tells. An index that is in range
//! whatever the values are ([`bounds`]) is not looked at, nor what a derivative repeats.

use crate::ir::build::Builder;
use crate::ir::op::Decomposition;
use crate::ir::origin::Origin;
use crate::ir::scan::{self, Scan};
use crate::ir::{Binary, Compare, DType, Graph, NodeId, Op, OutputKind, ReduceKind, Unary};
use crate::runtime::Tensor;
use crate::source::Span;
use std::sync::Arc;

/// The least and the greatest value of an input, if something vouches for it.
type Known<'a> = &'a dyn Fn(usize) -> Option<Bounds>;

/// The least and the greatest value that an int can have.
pub type Bounds = [i64; 2];

/// Something that is looked at after each run.
#[derive(Clone, Debug)]
pub struct Check {
    pub what: What,
    pub span: Span,
    pub origin: Origin,
    /// The node, if it is not in a loop.
    pub node: Option<NodeId>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum What {
    /// Two numbers: how far the indices go below 0 (negative), and beyond the last place of an axis of this size.
    Index { size: usize },
    /// One number: not 0 if some matrix has no result.
    Matrix(Decomposition),
}

/// A check that did not hold.
#[derive(Clone, Debug)]
pub struct Failed {
    pub check: Check,
    /// The index that is out of range.
    pub index: i64,
}

/// Adds the outputs (of kind [`OutputKind::Check`]) that the checks of a graph read. `known` tells in which
/// range an input's values are. Nodes keep their ids.
pub fn add(graph: &mut Graph, known: Known) -> Vec<Check> {
    let found = collect(graph, known);
    let mut checks = vec![];
    for Part { check, value } in found {
        let mut b = Builder::new(graph, check.span);
        let axes: Vec<usize> = (0..b.graph.shape(value).len()).collect();
        let kinds: &[ReduceKind] = match check.what {
            What::Index { .. } => &[ReduceKind::Min, ReduceKind::Max],
            What::Matrix(_) => &[ReduceKind::Max],
        };
        for kind in kinds {
            let number = b.reduce(*kind, value, &axes);
            b.graph.add_output("check", number, OutputKind::Check);
        }
        checks.push(check);
    }
    checks
}

/// The first check that did not hold in a run. `results` are those of the graph, in order.
pub fn first_failed(graph_results: &[Tensor], checks: &[Check]) -> Option<Failed> {
    let mut numbers = graph_results.iter().map(|t| t.to_f64s()[0]);
    for check in checks {
        let index = match check.what {
            What::Index { size } => {
                let (low, high) = (numbers.next()?, numbers.next()?);
                match (low < 0.0, high > 0.0) {
                    (_, true) => Some(size as i64 - 1 + high as i64),
                    (true, _) => Some(low as i64),
                    _ => None,
                }
            }
            What::Matrix(_) => (numbers.next()? != 0.0).then_some(0),
        };
        if let Some(index) = index {
            return Some(Failed { check: check.clone(), index });
        }
    }
    None
}

/// A check with the tensor that it is read off.
struct Part {
    check: Check,
    value: NodeId,
}

fn collect(graph: &mut Graph, known: Known) -> Vec<Part> {
    let live = super::fuse::live(graph);
    let ranges = bounds(graph, known);
    let mut parts: Vec<Part> = vec![];
    let mut indexed: Vec<(NodeId, usize)> = vec![];
    for id in graph.ids().filter(|id| live[id.index()]) {
        let node = graph.node(id);
        if node.origin.derivative_of().is_some() {
            continue;
        }
        let (span, origin) = (node.span, node.origin.clone());
        let check = |what: What| Check { what, span, origin: origin.clone(), node: Some(id) };
        match node.op.clone() {
            Op::Gather { axis } | Op::ScatterAdd { axis } => {
                let (index, size) = (node.args[1], graph.shape(node.args[0])[axis]);
                let safe = ranges[index.index()].is_some_and(|[low, high]| low >= 0 && high < size as i64);
                if safe || graph.ty(index).elements() == 0 || indexed.contains(&(index, size)) {
                    continue;
                }
                indexed.push((index, size));
                let value = excess(&mut Builder::new(graph, span), index, size);
                parts.push(Part { check: check(What::Index { size }), value });
            }
            Op::Decompose(kind) if node.ty.elements() > 0 => {
                let args = node.args.clone();
                let value = without_result(&mut Builder::new(graph, span), id, &args);
                parts.push(Part { check: check(What::Matrix(kind)), value });
            }
            Op::Scan(scan) => {
                let operands: Vec<Option<Bounds>> = node.args.iter().map(|a| ranges[a.index()]).collect();
                parts.extend(inside(graph, id, &scan, &operands));
            }
            _ => {}
        }
    }
    parts
}

/// How far each index lies outside: below 0, 0 where it is in range, or above.
fn excess(b: &mut Builder, index: NodeId, size: usize) -> NodeId {
    let zero = b.full_like(0.0, index);
    let last = b.full_like(size as f64 - 1.0, index);
    let below = b.binary(Binary::Min, index, zero);
    let held = b.binary(Binary::Max, index, last);
    let above = b.sub(held, last);
    b.add(below, above)
}

/// 1 for each matrix whose result is NaN although the right-hand side is finite.
fn without_result(b: &mut Builder, id: NodeId, args: &[NodeId]) -> NodeId {
    let shape = b.graph.shape(id).clone();
    let rank = shape.len();
    let mut limit = shape.clone();
    (limit[rank - 2], limit[rank - 1]) = (1, 1);
    let first = b.slice(id, vec![0; rank], limit, vec![1; rank]);
    let first = b.reshape(first, &shape[..rank - 2]);
    let nan = b.compare(Compare::Ne, first, first);
    let nan = b.convert(nan, DType::I32);
    let Some(rhs) = args.get(1) else { return nan };
    let finite = b.unary(Unary::IsFinite, *rhs);
    let finite = b.convert(finite, DType::I32);
    let sound = b.reduce(ReduceKind::Min, finite, &[rank - 2, rank - 1]);
    b.mul(nan, sound)
}

/// The checks of a loop's body: the loop gives what they read, step by step.
fn inside(graph: &mut Graph, id: NodeId, scan: &Scan, operands: &[Option<Bounds>]) -> Vec<Part> {
    let mut longer = scan.clone();
    // A carried value changes from step to step.
    let found = collect(&mut longer.body, &|k| operands[k].filter(|_| k >= scan.carries));
    let Some(dtype) = scan.dtype().filter(|_| !found.is_empty()) else { return vec![] };
    let first = longer.body.outputs.len();
    for Part { check, value } in &found {
        let value = Builder::new(&mut longer.body, check.span).convert(*value, dtype);
        longer.body.add_output("check", value, OutputKind::Value);
    }
    let elements = (0..longer.body.outputs.len()).map(|k| longer.result_type(k).elements()).sum();
    let node = &mut graph.nodes[id.index()];
    node.op = Op::Scan(Arc::new(longer));
    node.ty.shape = vec![elements];
    let mut parts = vec![];
    for (k, Part { check, .. }) in found.into_iter().enumerate() {
        let value = scan::result(&mut Builder::new(graph, check.span), id, first + k);
        parts.push(Part { check: Check { node: None, ..check }, value });
    }
    parts
}

/// For each node, the least and the greatest value that it can have, as far as the graph tells.
fn bounds(graph: &Graph, known: Known) -> Vec<Option<Bounds>> {
    let mut all: Vec<Option<Bounds>> = vec![];
    for id in graph.ids() {
        let found = if graph.dtype(id) == DType::I32 { bounds_of(graph, id, &all, known) } else { None };
        all.push(found);
    }
    all
}

fn bounds_of(graph: &Graph, id: NodeId, all: &[Option<Bounds>], known: Known) -> Option<Bounds> {
    let node = graph.node(id);
    let of = |k: usize| all[node.args[k].index()];
    // Arithmetic that may wrap around tells nothing.
    let whole = |[low, high]: Bounds| (low >= MIN && high <= MAX).then_some([low, high]);
    const MIN: i64 = i32::MIN as i64;
    const MAX: i64 = i32::MAX as i64;
    match &node.op {
        Op::Input(index) => known(*index),
        Op::Const(value) => Some([*value as i64; 2]),
        Op::Dense(values) => {
            let ints = || values.iter().map(|v| *v as i64);
            Some([ints().min()?, ints().max()?])
        }
        Op::Iota { axis } | Op::ArgSort { axis, .. } => Some([0, node.ty.shape[*axis] as i64 - 1]),
        Op::ArgReduce { axis, .. } => Some([0, graph.shape(node.args[0])[*axis] as i64 - 1]),
        Op::Broadcast { .. }
        | Op::Reshape
        | Op::Transpose { .. }
        | Op::Slice { .. }
        | Op::Reverse { .. }
        | Op::StopGradient
        | Op::Gather { .. }
        | Op::Reduce { kind: ReduceKind::Min | ReduceKind::Max, .. } => of(0),
        Op::Convert if graph.dtype(node.args[0]) == DType::Bool => Some([0, 1]),
        Op::Concat { .. } => {
            let parts: Option<Vec<Bounds>> = (0..node.args.len()).map(of).collect();
            parts?.into_iter().reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])])
        }
        Op::Select => {
            let (a, b) = (of(1)?, of(2)?);
            Some([a[0].min(b[0]), a[1].max(b[1])])
        }
        Op::Binary(Binary::Add) => {
            let (a, b) = (of(0)?, of(1)?);
            whole([a[0] + b[0], a[1] + b[1]])
        }
        Op::Binary(Binary::Sub) => {
            let (a, b) = (of(0)?, of(1)?);
            whole([a[0] - b[1], a[1] - b[0]])
        }
        Op::Binary(Binary::Mul) => {
            let (a, b) = (of(0)?, of(1)?);
            let ends = [a[0] * b[0], a[0] * b[1], a[1] * b[0], a[1] * b[1]];
            whole([*ends.iter().min()?, *ends.iter().max()?])
        }
        // The sign of a remainder is the divisor's; by zero it is 0.
        Op::Binary(Binary::Rem) => of(1).filter(|d| d[0] >= 0).map(|d| [0, (d[1] - 1).max(0)]),
        Op::Binary(op @ (Binary::Min | Binary::Max)) => {
            let (a, b) = (of(0).unwrap_or([MIN, MAX]), of(1).unwrap_or([MIN, MAX]));
            Some(match op {
                Binary::Min => [a[0].min(b[0]), a[1].min(b[1])],
                _ => [a[0].max(b[0]), a[1].max(b[1])],
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{EngineKind, engine};
    use crate::ir::InputKind;
    use crate::ir::build::Builder;
    use crate::ir::op::Hint;
    use crate::ir::{ArgKind, Type};
    use crate::train::state::result_tensors;

    /// A table of five rows, and what makes the index out of an int input [3].
    fn gathered(index: impl Fn(&mut Builder, NodeId) -> NodeId) -> Graph {
        let mut graph = Graph::new();
        let span = Span::default();
        let table = graph.add_input("table", Type::new(DType::F32, [5, 2]), InputKind::Arg, span);
        let given = graph.add_input("given", Type::new(DType::I32, [3]), InputKind::Arg, span);
        let mut b = Builder::new(&mut graph, span);
        let index = index(&mut b, given);
        let rows = b.push(Op::Gather { axis: 0 }, &[table, index], Hint::default());
        graph.add_output("rows", rows, OutputKind::Value);
        graph
    }

    fn failed(graph: &Graph, given: &[f64]) -> Option<i64> {
        let mut checked = graph.clone();
        let checks = add(&mut checked, &|_| None);
        assert!(!checks.is_empty());
        let found = [EngineKind::Jit, EngineKind::Interp].map(|kind| {
            let mut table = Tensor::zeros(Type::new(DType::F32, [5, 2]));
            let mut given = Tensor::from_f64s(Type::new(DType::I32, [3]), given);
            let mut results = result_tensors(&checked);
            let mut executable = engine(kind, 1).compile(&checked).expect("compiles");
            executable.run(&mut [&mut table, &mut given], &mut results);
            first_failed(&results[1..], &checks).map(|f| f.index)
        });
        assert_eq!(found[0], found[1]);
        found[0]
    }

    #[test]
    fn an_index_out_of_range_is_seen() {
        let graph = gathered(|_, index| index);
        assert_eq!(failed(&graph, &[0.0, 4.0, 2.0]), None);
        assert_eq!(failed(&graph, &[0.0, 5.0, 9.0]), Some(9));
        assert_eq!(failed(&graph, &[-3.0, 4.0, -1.0]), Some(-3));
        assert_eq!(failed(&graph, &[0.0, f64::from(i32::MAX), 1.0]), Some(i64::from(i32::MAX)));
        assert_eq!(failed(&graph, &[0.0, f64::from(i32::MIN), 1.0]), Some(i64::from(i32::MIN)));
    }

    /// Nothing is added where the values do not matter.
    #[test]
    fn an_index_that_is_in_range_by_construction_is_not_looked_at() {
        let count = |make: &dyn Fn(&mut Builder, NodeId) -> NodeId, known: Known| add(&mut gathered(make), known).len();
        let none: Known = &|_| None;
        let held = |b: &mut Builder, x: NodeId, top: f64| {
            let (zero, last) = (b.full_like(0.0, x), b.full_like(top, x));
            let x = b.binary(Binary::Max, x, zero);
            b.binary(Binary::Min, x, last)
        };
        assert_eq!(count(&|b, x| held(b, x, 4.0), none), 0);
        assert_eq!(count(&|b, x| held(b, x, 5.0), none), 1);
        let rest = |b: &mut Builder, x: NodeId, n: f64| {
            let n = b.full_like(n, x);
            b.binary(Binary::Rem, x, n)
        };
        assert_eq!(count(&|b, x| rest(b, x, 5.0), none), 0);
        assert_eq!(count(&|b, x| rest(b, x, 6.0), none), 1);
        assert_eq!(count(&|b, _| b.iota(DType::I32, &[5, 2], 0), none), 0);
        let largest = |b: &mut Builder, _: NodeId| {
            let scores = b.full(0.0, DType::F32, &[3, 5]);
            b.push(Op::ArgReduce { kind: ArgKind::Max, axis: 1 }, &[scores], Hint::default())
        };
        assert_eq!(count(&largest, none), 0);
        assert_eq!(count(&|_, x| x, &|_| Some([0, 4])), 0);
        let next = |b: &mut Builder, x: NodeId| {
            let one = b.full_like(1.0, x);
            b.add(x, one)
        };
        assert_eq!(count(&next, &|_| Some([0, 4])), 1);
        assert_eq!(count(&next, &|_| Some([0, 3])), 0);
    }
}
