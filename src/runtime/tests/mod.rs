//! Compiled programs against the interpreter of the IR.

mod attention;
mod models;
mod random_graphs;
mod windows;

use super::{Compiled, Engine, Executable, Options, Tensor};
use crate::interp::{self, Interpreter};
use crate::ir::{DType, Graph, OutputKind, arbitrary};
use crate::passes::fuse::{Fusion, Work};
use crate::passes::plan::memory;
use crate::passes::simplify;
use proptest::prelude::*;

/// Inputs and results after two steps.
fn trained(program: &mut dyn Executable, graph: &Graph) -> (Vec<Tensor>, Vec<Tensor>) {
    let mut inputs = models::inputs(graph);
    let results = graph.outputs.iter().filter(|o| !matches!(o.kind, OutputKind::Update(_)));
    let mut results: Vec<Tensor> = results.map(|o| Tensor::zeros(graph.ty(o.node).clone())).collect();
    for _ in 0..2 {
        let mut references: Vec<&mut Tensor> = inputs.iter_mut().collect();
        program.run(&mut references, &mut results);
    }
    (inputs, results)
}

fn close(a: &[Tensor], b: &[Tensor], tolerance: f64, what: &str) {
    for (k, (x, y)) in a.iter().zip(b).enumerate() {
        for (i, (u, v)) in x.to_f64s().iter().zip(y.to_f64s()).enumerate() {
            let near = *u == v || (u - v).abs() <= tolerance * (1.0 + v.abs()) || (u.is_nan() && v.is_nan());
            assert!(near, "{what}: value {k}, element {i}: {u} instead of {v}");
        }
    }
}

/// Fused, unfused, one thread and two against the interpreter.
fn check(graph: &Graph) -> Compiled {
    let (inputs, results) = trained(&mut Interpreter::new(graph.clone()), graph);
    let mut last = None;
    for (threads, fusion, engine) in [
        (1, Fusion::On, Engine::Interp),
        (1, Fusion::Off, Engine::Interp),
        (1, Fusion::Off, Engine::Jit),
        (2, Fusion::On, Engine::Jit),
        (1, Fusion::On, Engine::Jit),
    ] {
        let options = Options { threads, fusion, engine };
        let mut compiled = Compiled::new(graph, &options).expect("compiles");
        assert_eq!(memory::overlap(&compiled.plan().slots), None);
        let (compiled_inputs, compiled_results) = trained(&mut compiled, graph);
        let what = format!("{options:?}");
        close(&compiled_inputs, &inputs, 1e-4, &what);
        close(&compiled_results, &results, 1e-4, &what);
        last = Some(compiled);
    }
    last.expect("one option at least")
}

/// The text of all stages from the fused graph on.
fn stages(compiled: &Compiled) -> String {
    let sources = Default::default();
    format!("{}\n{}", compiled.print_fused(&sources), compiled.print_plan())
}

fn counts(compiled: &Compiled) -> (usize, usize, usize) {
    let count = |f: fn(&Work) -> bool| compiled.fused().units.iter().filter(|u| f(&u.work)).count();
    let copies = compiled.plan().steps.iter().filter(|s| matches!(s, crate::passes::plan::Step::Copy(_))).count();
    (count(|w| matches!(w, Work::Kernel(_))), count(|w| matches!(w, Work::Library)), copies)
}

#[test]
fn an_mlp_step_is_five_kernels_and_five_products() {
    let compiled = check(&models::mlp(8, 20, 12, 4));
    assert_eq!(counts(&compiled), (5, 5, 0), "{}", stages(&compiled));
    insta::assert_snapshot!(stages(&compiled));
}

#[test]
fn a_linear_regression_step() {
    let compiled = check(&models::linear_regression(16, 2));
    assert_eq!(counts(&compiled), (3, 2, 0), "{}", stages(&compiled));
}

#[test]
fn an_optimizer_is_one_kernel() {
    let compiled = check(&models::optimizer(1000));
    assert_eq!(counts(&compiled), (1, 0, 0), "{}", compiled.fused().print(&Default::default()));
}

#[test]
fn norms_of_equal_tensors_need_no_calls_and_no_copies() {
    for sizes in [vec![600], vec![150; 4]] {
        let compiled = check(&models::layerwise(&sizes));
        let (kernels, calls, copies) = counts(&compiled);
        assert!(kernels <= 3 && calls == 0 && copies == 0, "{}", stages(&compiled));
    }
    check(&models::layerwise(&[100, 7, 250, 1]));
}

#[test]
fn normalisations_over_any_axes() {
    let compiled = check(&models::normalisations([4, 6, 5]));
    let (kernels, calls, _) = counts(&compiled);
    assert!(kernels <= 10 && calls == 0, "{}", compiled.fused().print(&Default::default()));
}

#[test]
fn random_graphs_agree_with_the_interpreter() {
    for seed in 1..150 {
        let graph = random_graphs::graph(seed, 12 + seed as usize % 40);
        let what = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&graph)));
        assert!(what.is_ok(), "seed {seed}");
    }
}

proptest! {
    /// Loops, attention and windows among them. What is beyond numbers may be so in another way.
    #[test]
    fn arbitrary_graphs_agree_with_the_interpreter(choices in prop::collection::vec(any::<u32>(), 1..30), seed in 0u32..1000) {
        let graph = simplify(arbitrary::graph(&choices, DType::F64, true));
        let mut inputs = arbitrary::inputs(seed, DType::F64);
        let expected = interp::eval(&graph, &inputs.iter().collect::<Vec<_>>());
        let mut compiled = Compiled::new(&graph, &Options::default()).expect("compiles");
        let mut results: Vec<Tensor> = compiled.result_types().iter().map(|ty| Tensor::zeros(ty.clone())).collect();
        compiled.run(&mut inputs.iter_mut().collect::<Vec<_>>(), &mut results);
        for (x, y) in results.iter().zip(&expected) {
            let (x, y) = (x.to_f64s(), y.to_f64s());
            let largest = y.iter().map(|v| v.abs()).fold(1.0, f64::max);
            for (x, y) in x.iter().zip(&y) {
                let close = (x - y).abs() <= 1e-9 * largest || (!x.is_finite() && !y.is_finite());
                prop_assert!(close, "{x} instead of {y}");
            }
        }
    }
}

#[test]
fn one_thread_and_two_give_the_same_bits() {
    for graph in [
        models::mlp(256, 300, 200, 10),
        models::optimizer(300_001),
        models::normalisations([64, 48, 96]),
        models::layerwise(&[40_000; 5]),
        models::layerwise(&[90_000, 3, 110_000]),
    ] {
        let mut bits = vec![];
        for threads in [1, 2, 3] {
            let options = Options { threads, ..Options::default() };
            let mut compiled = Compiled::new(&graph, &options).expect("compiles");
            let (inputs, results) = trained(&mut compiled, &graph);
            bits.push(inputs.iter().chain(&results).map(|t| t.bytes().to_vec()).collect::<Vec<_>>());
        }
        assert!(bits[0] == bits[1] && bits[0] == bits[2]);
    }
}

/// Two states of one shape, `a` and `b`.
fn two_states() -> (Graph, crate::ir::NodeId, crate::ir::NodeId) {
    let mut graph = Graph::new();
    let ty = crate::ir::Type::new(crate::ir::DType::F32, [4, 5]);
    let a = graph.add_input("a", ty.clone(), crate::ir::InputKind::State, Default::default());
    let b = graph.add_input("b", ty, crate::ir::InputKind::State, Default::default());
    (graph, a, b)
}

#[test]
fn updates_may_exchange_values() {
    let (mut graph, a, b) = two_states();
    graph.add_output("a", b, OutputKind::Update(0));
    graph.add_output("b", a, OutputKind::Update(1));
    graph.add_output("old", a, OutputKind::Value);
    check(&graph);
}

#[test]
fn an_update_waits_for_readers_of_the_old_value() {
    let (mut graph, a, b) = two_states();
    let builder = &mut crate::ir::build::Builder::new(&mut graph, Default::default());
    // The new value of `a` reads `b` transposed and the other way round: neither order works in place.
    let turn = |builder: &mut crate::ir::build::Builder, x| {
        let turned = builder.transpose(x, vec![1, 0]);
        let product = builder.matmul(x, turned);
        let row = builder.reduce(crate::ir::ReduceKind::Sum, product, &[1]);
        let row = builder.unary(crate::ir::Unary::Tanh, row);
        builder.broadcast(row, &[4, 5], vec![0])
    };
    let (from_a, from_b) = (turn(builder, a), turn(builder, b));
    let (new_a, new_b) = (builder.add(a, from_b), builder.mul(b, from_a));
    let flipped = builder.push(crate::ir::Op::Reverse { axes: vec![1] }, &[a], Default::default());
    graph.add_output("a", new_a, OutputKind::Update(0));
    graph.add_output("b", new_b, OutputKind::Update(1));
    graph.add_output("flipped", flipped, OutputKind::Value);
    check(&graph);
}

#[test]
fn one_value_for_two_updates_and_a_result() {
    let (mut graph, a, b) = two_states();
    let builder = &mut crate::ir::build::Builder::new(&mut graph, Default::default());
    let sum = builder.add(a, b);
    graph.add_output("a", sum, OutputKind::Update(0));
    graph.add_output("b", sum, OutputKind::Update(1));
    graph.add_output("sum", sum, OutputKind::Value);
    let compiled = check(&graph);
    assert_eq!(counts(&compiled).2, 2);
}
