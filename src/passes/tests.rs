//! IR text in, IR text out; and that values stay what they were.

use super::simplify;
use crate::ad;
use crate::interp::eval;
use crate::ir::build::Builder;
use crate::ir::parse::parse;
use crate::ir::print::print;
use crate::ir::{Binary, DType, Graph, InputKind, OutputKind, ReduceKind, Type, arbitrary};
use crate::runtime::Tensor;
use crate::source::Span;
use proptest::prelude::*;

/// Simplifies a graph and compares its text without the input lines that both have.
fn assert_becomes(before: &str, after: &str) {
    let tidy = |text: &str| text.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("\n");
    let graph = parse(before).expect("the text before is a graph");
    let got = print(&simplify(graph), None);
    let got: String = got.lines().filter(|l| !l.starts_with("input ")).collect::<Vec<_>>().join("\n");
    assert_eq!(tidy(&got), tidy(after));
}

#[test]
fn constants_fold_and_scalars_stay_in_double() {
    assert_becomes(
        r#"input "lr": f64[] hyper
        %0: f64[] = input[0]
        %1: f64[] = const[2.0]
        %2: f64[] = const[0.5]
        %3: f64[] = mul %1, %2
        %4: f64[] = mul %0, %3
        %5: f64[] = sub %4, %2
        %6: f32[] = convert %5
        %7: f32[8] = broadcast %6
        output "y": %7 value"#,
        r#"%0: f64[] = input[0]
        %1: f64[] = const[0.5]
        %2: f64[] = sub %0, %1
        %3: f32[] = convert %2
        %4: f32[8] = broadcast %3
        output "y": %4 value"#,
    );
}

#[test]
fn an_element_of_a_count_is_its_place() {
    assert_becomes(
        r#"input "i": i32[3] arg
        %0: i32[3] = input[0]
        %1: i32[8] = iota[axis=0]
        %2: i32[3] = gather[axis=0] %1, %0
        output "y": %2 value"#,
        r#"%0: i32[3] = input[0]
        %1: i32[] = const[0.0]
        %2: i32[3] = broadcast %1
        %3: i32[] = const[7.0]
        %4: i32[3] = broadcast %3
        %5: i32[3] = maximum %0, %2
        %6: i32[3] = minimum %5, %4
        output "y": %6 value"#,
    );
}

#[test]
fn powers_and_divisions() {
    assert_becomes(
        r#"input "x": f32[8] arg
        %0: f32[8] = input[0]
        %1: f32[] = const[2.0]
        %2: f32[8] = broadcast %1
        %3: f32[8] = pow %0, %2
        %4: f32[8] = div %3, %2
        output "y": %4 value"#,
        r#"%0: f32[8] = input[0]
        %1: f32[8] = mul %0, %0
        %2: f32[] = const[0.5]
        %3: f32[8] = broadcast %2
        %4: f32[8] = mul %1, %3
        output "y": %4 value"#,
    );
}

#[test]
fn products_read_transposed_operands() {
    assert_becomes(
        r#"input "x": f32[4, 3] arg
        input "w": f32[5, 3] arg
        %0: f32[4, 3] = input[0]
        %1: f32[5, 3] = input[1]
        %2: f32[3, 5] = transpose[perm=[1, 0]] %1
        %3: f32[4, 5] = dot[lhs_contract=[1], rhs_contract=[0]] %0, %2
        %4: f32[5, 4] = transpose[perm=[1, 0]] %3
        output "y": %4 value"#,
        r#"%0: f32[4, 3] = input[0]
        %1: f32[5, 3] = input[1]
        %2: f32[5, 4] = dot[lhs_contract=[1], rhs_contract=[1]] %1, %0
        output "y": %2 value"#,
    );
}

#[test]
fn arithmetic_moves_before_broadcasts() {
    assert_becomes(
        r#"input "s": f32[4] arg
        %0: f32[4] = input[0]
        %1: f32[4, 1] = reshape %0
        %2: f32[4, 9] = broadcast[axes=[0, 1]] %1
        %3: f32[4, 9] = broadcast[axes=[0]] %0
        %4: f32[4, 9] = add %2, %3
        %5: f32[4] = reduce_sum[axes=[1]] %4
        output "y": %5 value"#,
        r#"%0: f32[4] = input[0]
        %1: f32[] = const[18.0]
        %2: f32[4] = broadcast %1
        %3: f32[4] = mul %0, %2
        output "y": %3 value"#,
    );
}

#[test]
fn slices_of_joined_parts_and_joined_slices() {
    assert_becomes(
        r#"input "a": f32[4] arg
        input "b": f32[6] arg
        %0: f32[4] = input[0]
        %1: f32[6] = input[1]
        %2: f32[10] = concat[axis=0] %0, %1
        %3: f32[2] = slice[start=[4], limit=[6], stride=[1]] %2
        %4: f32[4] = slice[start=[6], limit=[10], stride=[1]] %2
        %5: f32[6] = concat[axis=0] %3, %4
        %6: f32[6] = stop_gradient %5
        output "y": %6 value"#,
        r#"%0: f32[4] = input[0]
        %1: f32[6] = input[1]
        output "y": %1 value"#,
    );
}

#[test]
fn zero_times_a_value_stays() {
    let text = r#"%0: f32[8] = input[0]
%1: f32[] = const[0.0]
%2: f32[8] = broadcast %1
%3: f32[8] = mul %0, %2
output "y": %3 value"#;
    assert_becomes(&format!("input \"x\": f32[8] arg\n{text}"), text);
}

#[test]
fn small_known_tables_fold() {
    assert_becomes(
        r#"%0: i32[4] = iota[axis=0]
        %1: i32[] = const[3.0]
        %2: i32[4] = broadcast %1
        %3: i32[4] = mul %0, %2
        output "y": %3 value"#,
        r#"%0: i32[4] = dense[0.0, 3.0, 6.0, 9.0]
        output "y": %0 value"#,
    );
}

#[test]
fn equal_values_are_computed_once_but_zeros_keep_their_sign() {
    let text = r#"input "x": f32[2] arg
        %0: f32[2] = input[0]
        %1: f32[2] = exp %0
        %2: f32[2] = exp %0
        %3: f32[2] = add %1, %0
        %4: f32[2] = add %0, %2
        %5: f32[] = const[0.0]
        %6: f32[] = const[-0.0]
        output "a": %3 value
        output "b": %4 value
        output "c": %5 value
        output "d": %6 value"#;
    let graph = parse(text).expect("a graph");
    let small = simplify(graph.clone());
    assert_eq!(small.nodes.len(), 5);
    assert_eq!(small.outputs[0].node, small.outputs[1].node);
    let x = Tensor::from_f64s(graph.inputs[0].ty.clone(), &[1.0, -2.0]);
    let bits = |g| eval(g, &[&x]).iter().flat_map(|t| t.to_f64s()).map(f64::to_bits).collect::<Vec<_>>();
    assert_eq!(bits(&graph), bits(&small));
}

/// Equal up to rounding, or both out of range: rules may round differently, and products that are reordered may overflow.
fn assert_close(before: &[Tensor], after: &[Tensor]) {
    for (x, y) in before.iter().zip(after) {
        let (x, y) = (x.to_f64s(), y.to_f64s());
        let largest = x.iter().map(|v| v.abs()).fold(1.0, f64::max);
        for (x, y) in x.iter().zip(&y) {
            let close = (x - y).abs() <= 1e-9 * largest || (!x.is_finite() && !y.is_finite());
            assert!(close, "{x} became {y}");
        }
    }
}

proptest! {
    #[test]
    fn values_stay_what_they_were(choices in prop::collection::vec(any::<u32>(), 0..40), seed in 0u32..1000) {
        let graph = arbitrary::graph(&choices, DType::F64, true);
        let tensors = arbitrary::inputs(seed, DType::F64);
        let inputs: Vec<&Tensor> = tensors.iter().collect();
        assert_close(&eval(&graph, &inputs), &eval(&simplify(graph.clone()), &inputs));
    }

    #[test]
    fn any_graph_stays_valid(choices in prop::collection::vec(any::<u32>(), 0..60)) {
        let graph = arbitrary::graph(&choices, DType::F32, false);
        let small = simplify(graph.clone());
        prop_assert_eq!(&small.inputs, &graph.inputs);
        for (a, b) in graph.outputs.iter().zip(&small.outputs) {
            prop_assert_eq!(graph.ty(a.node), small.ty(b.node));
        }
        // A second run has nothing to do.
        prop_assert_eq!(print(&simplify(small.clone()), None), print(&small, None));
    }
}

/// A step of an MLP of `layers` layers: mean squared error, gradients, and plain gradient descent.
fn mlp_step(layers: usize, batch: usize, width: usize) -> Graph {
    let span = Span::default();
    let mut graph = Graph::new();
    let matrix = |rows: usize, columns: usize| Type::new(DType::F32, [rows, columns]);
    let x = graph.add_input("x", matrix(batch, width), InputKind::Batch, span);
    let target = graph.add_input("target", matrix(batch, width), InputKind::Batch, span);
    let lr = graph.add_input("lr", Type::scalar(DType::F64), InputKind::Hyper, span);
    let mut weights = vec![];
    for k in 0..layers {
        weights.push(graph.add_input(format!("w{k}"), matrix(width, width), InputKind::Param, span));
        weights.push(graph.add_input(format!("b{k}"), Type::new(DType::F32, [width]), InputKind::Param, span));
    }
    let mut b = Builder::new(&mut graph, span);
    let mut h = x;
    for layer in weights.chunks(2) {
        let product = b.matmul(h, layer[0]);
        let bias = b.broadcast_to(layer[1], &[batch, width]);
        let sum = b.add(product, bias);
        let zero = b.full_like(0.0, sum);
        h = b.binary(Binary::Max, sum, zero);
    }
    let difference = b.sub(h, target);
    let square = b.mul(difference, difference);
    let sum = b.reduce(ReduceKind::Sum, square, &[0, 1]);
    let scale = b.full_like(1.0 / (batch * width) as f64, sum);
    let loss = b.mul(sum, scale);
    let gradients = ad::gradients(b.graph, loss, None, &weights).expect("an MLP is differentiable");
    let mut b = Builder::new(&mut graph, span);
    let mut updates = vec![];
    for (w, g) in weights.iter().zip(gradients) {
        let shape = b.graph.shape(*w).clone();
        let lr = b.convert(lr, DType::F32);
        let lr = b.broadcast(lr, &shape, vec![]);
        let step = b.mul(lr, g);
        updates.push(b.sub(*w, step));
    }
    graph.add_output("loss", loss, OutputKind::Value);
    for (k, update) in updates.into_iter().enumerate() {
        graph.add_output("w", update, OutputKind::Update(3 + k));
    }
    graph
}

/// Exact in any case, not only by the clock: a layer takes a fixed number of nodes, before and after.
#[test]
fn deep_networks_stay_linear() {
    let sizes = |layers: usize| {
        let before = mlp_step(layers, 4, 8);
        let after = simplify(before.clone());
        [before.nodes.len(), after.nodes.len()]
    };
    let [few, more, most] = [sizes(10), sizes(20), sizes(30)];
    for k in 0..2 {
        assert_eq!(most[k] - more[k], more[k] - few[k]);
    }
    // Input and two operands, bias, relu; and going back: its derivative, two products, the bias's sum, two updates.
    assert!(more[1] - few[1] <= 200, "{few:?} {more:?}");
}

#[test]
fn simplified_steps_compute_the_same() {
    let graph = mlp_step(2, 5, 7);
    let mut tensors = vec![];
    for (k, input) in graph.inputs.iter().enumerate() {
        let wave = |i: usize| ((i * 7 + k * 3) as f64).sin() * 0.5;
        tensors.push(Tensor::from_f64s(input.ty.clone(), &(0..input.ty.elements()).map(wave).collect::<Vec<_>>()));
    }
    let inputs: Vec<&Tensor> = tensors.iter().collect();
    let (plain, simple) = (eval(&graph, &inputs), eval(&simplify(graph.clone()), &inputs));
    for (a, b) in plain.iter().zip(&simple) {
        for (a, b) in a.to_f64s().iter().zip(b.to_f64s()) {
            assert!((a - b).abs() <= 1e-6 * (1.0 + a.abs()), "{a} became {b}");
        }
    }
}
