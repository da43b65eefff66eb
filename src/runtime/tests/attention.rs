//! Attention in tiles against the interpreter and against the formula it stands for; memory against the length of the context.

use crate::ad::gradients;
use crate::interp;
use crate::ir::attention::{Attention, output};
use crate::ir::build::Builder;
use crate::ir::op::Hint;
use crate::ir::{DType, Graph, InputKind, NodeId, Op, OutputKind, Type};
use crate::passes::simplify;
use crate::runtime::{Compiled, Executable, Options, Tensor, random::random_bits};
use crate::source::Span;
use proptest::prelude::*;
use std::sync::Arc;

#[derive(Debug)]
struct Case {
    name: &'static str,
    of: Attention,
    batch: Vec<usize>,
    t: usize,
    s: usize,
    d: usize,
    e: usize,
    /// Shape of the mask behind the batch: heads, T, S, each of that size or 1.
    mask: Option<Vec<usize>>,
    /// Queries, keys and values are parts of one value.
    joint: bool,
}

fn case(name: &'static str, heads: usize, groups: usize, causal: bool, sizes: [usize; 4]) -> Case {
    let [t, s, d, e] = sizes;
    let of = Attention { heads, groups, causal, scale: 1.0 / (d.max(1) as f64).sqrt() };
    Case { name, of, batch: vec![2], t, s, d, e, mask: None, joint: false }
}

fn cases() -> Vec<Case> {
    let joint = |case: Case| Case { joint: true, ..case };
    let masked = |case: Case, mask: &[usize]| Case { mask: Some(mask.to_vec()), ..case };
    vec![
        case("one head", 1, 1, false, [5, 5, 4, 4]),
        joint(case("causal, side by side", 4, 4, true, [64, 64, 4, 4])),
        joint(case("two groups, odd sizes", 6, 2, true, [70, 70, 5, 5])),
        case("keys of another length", 3, 1, false, [67, 131, 3, 7]),
        case("causal, fewer keys", 2, 2, true, [140, 70, 4, 4]),
        case("causal, more keys", 2, 2, true, [70, 140, 4, 4]),
        joint(case("several tiles", 2, 2, true, [150, 150, 8, 8])),
        joint(case("whole vectors, two blocks of keys", 2, 1, true, [150, 150, 16, 16])),
        case("an odd number of vectors", 1, 1, true, [70, 40, 3, 48]),
        masked(case("a mask for each head", 2, 2, false, [9, 8, 4, 4]), &[2, 9, 8]),
        masked(case("a mask of keys", 2, 1, true, [65, 65, 4, 4]), &[1, 1, 65]),
        Case { batch: vec![], ..case("no batch", 2, 2, true, [6, 6, 4, 4]) },
        Case { batch: vec![2, 3], ..masked(case("two axes of batch", 1, 1, false, [6, 5, 4, 4]), &[1, 6, 1]) },
    ]
}

/// Numbers in (-1, 1).
fn numbers(seed: u32, count: usize) -> Vec<f64> {
    (0..count).map(|i| f64::from(random_bits([seed, 9], 0, i as u32, 0)) / f64::from(u32::MAX) * 2.0 - 1.0).collect()
}

struct Made {
    graph: Graph,
    inputs: Vec<Tensor>,
}

/// The output and the cotangents of the operands, weighed by numbers; by the primitive, or by its formula.
fn graph(case: &Case, dtype: DType, formula: bool) -> Made {
    let (heads, groups) = (case.of.heads, case.of.groups);
    let widths = [heads * case.d, groups * case.d, groups * case.e];
    let shape = |tail: &[usize]| [&case.batch[..], tail].concat();
    let mut graph = Graph::new();
    let mut inputs = vec![];
    let mut input = |graph: &mut Graph, name: &str, shape: Vec<usize>, hide: bool| {
        let ty = Type::new(dtype, shape);
        let mut values = numbers(inputs.len() as u32, ty.elements());
        if hide {
            // Whole rows of the first head, and some more.
            let row = ty.shape[ty.rank() - 1];
            values.iter_mut().enumerate().for_each(|(i, v)| {
                if i < row || i % 5 == 0 {
                    *v = f64::NEG_INFINITY;
                }
            });
        }
        inputs.push(Tensor::from_f64s(ty.clone(), &values));
        graph.add_input(name, ty, InputKind::Arg, Span::default())
    };
    let (parts, leaves): (Vec<NodeId>, Vec<NodeId>) = if case.joint {
        let x = input(&mut graph, "x", shape(&[case.t, widths.iter().sum()]), false);
        let axis = case.batch.len() + 1;
        let mut b = Builder::new(&mut graph, Span::default());
        let (one, two) = (widths[0], widths[0] + widths[1]);
        let parts = [(0, one), (one, two), (two, two + widths[2])].map(|(from, to)| b.slice_axis(x, axis, from, to));
        (parts.to_vec(), vec![x])
    } else {
        let times = [case.t, case.s, case.s];
        let each = (0..3).map(|k| input(&mut graph, ["q", "k", "v"][k], shape(&[times[k], widths[k]]), false));
        let each: Vec<NodeId> = each.collect();
        (each.clone(), each)
    };
    let mask = case.mask.as_ref().map(|tail| {
        let batch = vec![1; case.batch.len()];
        input(&mut graph, "mask", [&batch[..], &tail[..]].concat(), true)
    });
    let mut b = Builder::new(&mut graph, Span::default());
    let y = if formula {
        case.of.formula(&mut b, parts[0], parts[1], parts[2], mask)
    } else {
        let args = [&parts[..], mask.as_slice()].concat();
        let node = b.push(Op::Attention(case.of), &args, Default::default());
        let sizes = case.of.sizes_of(b.graph, parts[0], parts[1], parts[2]);
        output(&mut b, node, &sizes)
    };
    let ty = b.graph.ty(y).clone();
    let weights = Arc::new(numbers(77, ty.elements()));
    let seed = b.push(Op::Dense(weights), &[], Hint { dtype: Some(dtype), shape: Some(ty.shape) });
    let found = gradients(&mut graph, y, Some(seed), &leaves).expect("floats");
    graph.add_output("y", y, OutputKind::Value);
    found.into_iter().for_each(|g| graph.add_output("g", g, OutputKind::Value));
    Made { graph: simplify(graph), inputs }
}

fn run(made: &mut Made, threads: usize) -> Vec<Tensor> {
    let mut compiled = Compiled::new(&made.graph, &Options { threads, ..Options::default() }).expect("compiles");
    let mut results: Vec<Tensor> = compiled.result_types().iter().map(|ty| Tensor::zeros(ty.clone())).collect();
    let mut inputs: Vec<&mut Tensor> = made.inputs.iter_mut().collect();
    // Twice, so that what is left from the first time does no harm.
    compiled.run(&mut inputs, &mut results);
    compiled.run(&mut inputs, &mut results);
    results
}

fn check(case: &Case) {
    for (dtype, tolerance) in [(DType::F64, 1e-11), (DType::F32, 2e-5)] {
        let mut made = graph(case, dtype, false);
        let inputs: Vec<&Tensor> = made.inputs.iter().collect();
        let exact = interp::eval(&made.graph, &inputs);
        let formula = interp::eval(&graph(case, dtype, true).graph, &inputs);
        let one = run(&mut made, 1);
        let two = run(&mut made, 2);
        let what = format!("{}, {case:?} {dtype}", case.name);
        super::close(&formula, &exact, tolerance, &format!("{what}: formula"));
        super::close(&one, &exact, tolerance, &format!("{what}: tiles"));
        assert!(one.iter().zip(&two).all(|(a, b)| a.bytes() == b.bytes()), "{what}: bits of one and two threads");
        assert!(exact.iter().all(|t| t.to_f64s().iter().all(|v| v.is_finite())), "{what}: hidden rows give 0");
    }
}

#[test]
fn tiles_interpreter_and_formula_agree() {
    cases().iter().for_each(check);
}

/// Sizes around those of tiles, and none at all.
fn any_case() -> impl Strategy<Value = Case> {
    let heads = (1usize..3, 1usize..3);
    let time = || prop_oneof![0usize..4, 60usize..70, 120usize..140];
    let sizes = (time(), time(), prop_oneof![0usize..9, Just(16)], prop_oneof![0usize..9, Just(16)]);
    let batch = prop_oneof![Just(vec![]), Just(vec![0]), Just(vec![2]), Just(vec![2, 1])];
    let mask = prop::option::of(prop::collection::vec(any::<bool>(), 3));
    (heads, any::<bool>(), sizes, batch, mask).prop_map(|((groups, shared), causal, (t, s, d, e), batch, mask)| {
        let made = case("any", groups * shared, groups, causal, [t, s, d, e]);
        let full = [groups * shared, t, s];
        let mask = mask.map(|mask| (0..3).map(|k| if mask[k] { full[k] } else { 1 }).collect());
        Case { batch, mask, ..made }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn any_sizes_agree(case in any_case()) {
        check(&case);
    }
}

/// What a product makes in one piece is read where it is, and its cotangent is written in one piece.
#[test]
fn parts_of_one_value_are_not_copied() {
    let case = &cases()[1];
    assert!(case.joint);
    let made = graph(case, DType::F32, false);
    let compiled = Compiled::new(&made.graph, &Options::default()).expect("compiles");
    let (kernels, calls, copies) = super::counts(&compiled);
    assert!(kernels <= 1 && calls == 2 && copies <= 1, "{}", super::stages(&compiled));
}

#[test]
fn memory_grows_with_the_context_not_with_its_square() {
    let bytes = |t: usize| {
        let case = Case { batch: vec![1], joint: true, ..case("long", 2, 2, true, [t, t, 16, 16]) };
        Compiled::new(&graph(&case, DType::F32, false).graph, &Options::default()).expect("compiles").plan().arena_bytes
    };
    let (short, long) = (bytes(1024), bytes(2048));
    assert!(long as f64 <= 2.05 * short as f64, "{short} bytes for 1024, {long} for 2048");
    assert!(long < 2048 * 2048 * 4 / 4, "{long} bytes");
}
