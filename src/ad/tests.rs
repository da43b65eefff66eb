//! Every differentiable primitive against finite differences, and the decisions at special points by hand.

use super::check::{assert_gradients, numbers};
use super::gradients;
use crate::interp::eval;
use crate::ir::attention::{Attention, output};
use crate::ir::build::Builder;
use crate::ir::scan::{self, Scan};
use crate::ir::{
    Binary, Compare, ConvPart, DType, Graph, InputKind, NodeId, Op, OutputKind, PoolKind, ReduceKind, Type, Unary,
};
use crate::ir::{arbitrary, verify::verify};
use crate::passes::simplify;
use crate::runtime::Tensor;
use crate::source::Span;
use proptest::prelude::*;
use std::sync::Arc;

fn positive(seed: u32, count: usize) -> Vec<f64> {
    numbers(seed, count).iter().map(|v| v.abs() + 0.3).collect()
}

#[test]
fn unary_functions() {
    for u in Unary::ALL.iter().copied() {
        if matches!(u, Unary::Not | Unary::IsFinite) {
            continue;
        }
        let values = match u {
            Unary::Log | Unary::Sqrt | Unary::Rsqrt | Unary::Log1p => positive(1, 6),
            _ => numbers(1, 6),
        };
        assert_gradients(u.name(), &[(&[2, 3], values)], |b, x| b.unary(u, x[0]));
    }
}

#[test]
fn binary_functions() {
    for binary in Binary::ALL.iter().copied() {
        if matches!(binary, Binary::And | Binary::Or) {
            continue;
        }
        let x = if binary == Binary::Pow { positive(3, 6) } else { numbers(3, 6) };
        assert_gradients(binary.name(), &[(&[6], x), (&[6], numbers(4, 6))], |b, x| b.binary(binary, x[0], x[1]));
    }
    for exponent in [0.0, 1.0, 2.0, 3.0, -1.0] {
        assert_gradients("pow const", &[(&[6], numbers(5, 6))], |b, x| {
            let exponent = b.full_like(exponent, x[0]);
            b.binary(Binary::Pow, x[0], exponent)
        });
    }
}

#[test]
fn movement() {
    let x = || numbers(6, 24);
    assert_gradients("select", &[(&[24], x()), (&[24], numbers(7, 24))], |b, x| {
        let zero = b.full_like(0.0, x[0]);
        let c = b.compare(Compare::Gt, x[0], zero);
        b.select(c, x[0], x[1])
    });
    assert_gradients("broadcast", &[(&[2, 1, 3], numbers(8, 6))], |b, x| {
        b.broadcast(x[0], &[2, 5, 4, 3], vec![0, 2, 3])
    });
    assert_gradients("reshape", &[(&[4, 6], x())], |b, x| b.reshape(x[0], &[2, 12]));
    assert_gradients("transpose", &[(&[2, 3, 4], x())], |b, x| b.transpose(x[0], vec![2, 0, 1]));
    assert_gradients("slice", &[(&[4, 6], x())], |b, x| b.slice(x[0], vec![1, 0], vec![3, 6], vec![1, 4]));
    assert_gradients("slice of nothing", &[(&[4, 6], x())], |b, x| b.slice(x[0], vec![1, 2], vec![1, 2], vec![1, 4]));
    assert_gradients("pad", &[(&[2, 3], numbers(9, 6)), (&[], vec![0.7])], |b, x| {
        let op = Op::Pad { low: vec![1, 0], high: vec![0, 2], interior: vec![2, 1] };
        b.push(op, &[x[0], x[1]], Default::default())
    });
    assert_gradients("concat", &[(&[2, 3], numbers(10, 6)), (&[2, 1], numbers(11, 2))], |b, x| {
        b.concat(&[x[0], x[1], x[0]], 1)
    });
    assert_gradients("reverse", &[(&[2, 3], numbers(12, 6))], |b, x| {
        b.push(Op::Reverse { axes: vec![1] }, &[x[0]], Default::default())
    });
    assert_gradients("split", &[(&[2, 9], numbers(12, 18))], |b, x| {
        let parts = [(0, 2), (3, 5), (5, 9)].map(|(from, to)| b.slice_axis(x[0], 1, from, to));
        let [p, q, r] = parts.map(|p| b.unary(Unary::Sin, p));
        b.concat(&[r, p, q], 1)
    });
}

#[test]
fn indexing() {
    let index = |b: &mut Builder, values: &[f64], shape: &[usize]| {
        let hint = crate::ir::op::Hint { dtype: Some(DType::I32), shape: Some(shape.to_vec()) };
        b.push(Op::Dense(Arc::new(values.to_vec())), &[], hint)
    };
    assert_gradients("gather", &[(&[2, 4, 2], numbers(13, 16))], |b, x| {
        let i = index(b, &[3.0, 0.0, 3.0, 1.0, 9.0, -4.0], &[2, 3]);
        b.push(Op::Gather { axis: 1 }, &[x[0], i], Default::default())
    });
    assert_gradients("scatter_add", &[(&[2, 4], numbers(14, 8)), (&[2, 3], numbers(15, 6))], |b, x| {
        let i = index(b, &[3.0, 0.0, 3.0], &[3]);
        b.push(Op::ScatterAdd { axis: 1 }, &[x[0], i, x[1]], Default::default())
    });
}

/// Windows that overlap, leave gaps, and reach outside of the image.
fn windows() -> Vec<(crate::ir::Window, usize, Vec<usize>)> {
    let window =
        |size: &[usize], stride: &[usize], low: &[usize], high: &[usize], dilation: &[usize]| crate::ir::Window {
            size: size.to_vec(),
            stride: stride.to_vec(),
            low: low.to_vec(),
            high: high.to_vec(),
            dilation: dilation.to_vec(),
        };
    vec![
        (window(&[3], &[1], &[1], &[1], &[1]), 1, vec![2, 5, 2]),
        (window(&[2], &[3], &[0], &[1], &[2]), 2, vec![1, 8, 4]),
        (window(&[2, 3], &[1, 2], &[1, 0], &[0, 2], &[1, 1]), 1, vec![1, 3, 4, 2]),
        (window(&[2, 2], &[2, 1], &[0, 1], &[1, 1], &[1, 2]), 4, vec![2, 3, 3, 4]),
        (window(&[2, 1, 2], &[1, 1, 1], &[0, 0, 1], &[0, 0, 0], &[1, 1, 1]), 1, vec![1, 2, 2, 3, 1]),
    ]
}

#[test]
fn convolutions() {
    for (window, groups, image) in windows() {
        let channels = image[image.len() - 1];
        let mut kernel = window.size.clone();
        kernel.extend([channels / groups, 2 * groups]);
        let result = window.result_shape(&image, 2 * groups).expect("it fits");
        let data = |seed, shape: &[usize]| numbers(seed, shape.iter().product());
        let (x, w, y) = (data(51, &image), data(52, &kernel), data(53, &result));
        let parts = [
            (ConvPart::Result, [(&image[..], x.clone()), (&kernel[..], w.clone())]),
            (ConvPart::Image, [(&result[..], y.clone()), (&kernel[..], w.clone())]),
            (ConvPart::Kernel, [(&image[..], x.clone()), (&result[..], y.clone())]),
        ];
        for (part, inputs) in parts {
            assert_gradients(part.name(), &inputs, |b, a| b.conv(part, &window, groups, [a[0], a[1]], &image));
        }
    }
}

#[test]
fn pooling() {
    for (window, _, image) in windows() {
        let result = window.result_shape(&image, image[image.len() - 1]).expect("it fits");
        let data = |seed, shape: &[usize]| numbers(seed, shape.iter().product());
        let (x, v, y) = (data(54, &image), data(55, &image), data(56, &result));
        let cases = [
            (PoolKind::Sum, vec![(&image[..], x.clone())]),
            (PoolKind::Spread, vec![(&result[..], y.clone())]),
            (PoolKind::Max, vec![(&image[..], x.clone())]),
            (PoolKind::Pick, vec![(&image[..], x.clone()), (&image[..], v)]),
            (PoolKind::Scatter, vec![(&image[..], x), (&result[..], y)]),
        ];
        for (kind, inputs) in cases {
            assert_gradients(kind.name(), &inputs, |b, a| {
                let made = b.pool(kind, &window, a, &image);
                // A window outside of the image has -inf.
                let floor = b.full_like(-1e3, made);
                b.binary(Binary::Max, made, floor)
            });
        }
    }
}

#[test]
fn reductions() {
    let kinds = [ReduceKind::Sum, ReduceKind::Prod, ReduceKind::Max, ReduceKind::Min];
    for kind in kinds {
        let name = format!("{kind:?}");
        assert_gradients(&name, &[(&[2, 3, 4], numbers(16, 24))], |b, x| b.reduce(kind, x[0], &[0, 2]));
        assert_gradients(&name, &[(&[2, 3], numbers(16, 6))], |b, x| b.reduce(kind, x[0], &[0, 1]));
        let offsets = Arc::new(vec![0, 2, 3, 7]);
        assert_gradients(&name, &[(&[7], numbers(17, 7))], |b, x| {
            b.push(Op::SegmentReduce { kind, offsets: offsets.clone() }, &[x[0]], Default::default())
        });
    }
    assert_gradients("segment_broadcast", &[(&[3], numbers(18, 3))], |b, x| {
        b.push(Op::SegmentBroadcast { offsets: Arc::new(vec![0, 2, 2, 7]) }, &[x[0]], Default::default())
    });
}

#[test]
fn products_with_zeros() {
    for zeros in [&[][..], &[2], &[0], &[3], &[1, 3]] {
        let mut x = numbers(19, 4);
        zeros.iter().for_each(|z| x[*z] = 0.0);
        assert_gradients("prod", &[(&[4], x.clone())], |b, x| b.reduce(ReduceKind::Prod, x[0], &[0]));
        assert_gradients("segment_prod", &[(&[4], x.clone())], |b, x| {
            let op = Op::SegmentReduce { kind: ReduceKind::Prod, offsets: Arc::new(vec![0, 4]) };
            b.push(op, &[x[0]], Default::default())
        });
        for reverse in [false, true] {
            assert_gradients("cumprod", &[(&[4, 1], x.clone())], |b, x| {
                let op = Op::Cumulative { kind: ReduceKind::Prod, axis: 0, reverse };
                b.push(op, &[x[0]], Default::default())
            });
        }
    }
    for reverse in [false, true] {
        for kind in [ReduceKind::Sum, ReduceKind::Max, ReduceKind::Min] {
            assert_gradients("cumulative", &[(&[2, 5, 2], numbers(20, 20))], |b, x| {
                b.push(Op::Cumulative { kind, axis: 1, reverse }, &[x[0]], Default::default())
            });
        }
    }
}

#[test]
fn products() {
    let dot = |lhs: &'static [usize], rhs: &'static [usize], axes: [&'static [usize]; 4]| {
        let (n, m) = (lhs.iter().product(), rhs.iter().product());
        let name = format!("dot {lhs:?} {rhs:?} {axes:?}");
        assert_gradients(&name, &[(lhs, numbers(21, n)), (rhs, numbers(22, m))], |b, x| {
            let [lhs_batch, rhs_batch, lhs_contract, rhs_contract] = axes.map(<[usize]>::to_vec);
            b.push(Op::Dot { lhs_batch, rhs_batch, lhs_contract, rhs_contract }, x, Default::default())
        });
    };
    dot(&[2, 3], &[3, 4], [&[], &[], &[1], &[0]]);
    dot(&[3, 2], &[4, 3], [&[], &[], &[0], &[1]]);
    dot(&[2, 3, 4], &[2, 4, 5], [&[0], &[0], &[2], &[1]]);
    dot(&[3, 4, 2], &[5, 2, 4], [&[2], &[1], &[1], &[2]]);
    dot(&[2, 3, 4], &[4, 3, 2], [&[], &[], &[1, 2], &[1, 0]]);
    dot(&[2], &[3], [&[], &[], &[], &[]]);
    dot(&[3], &[3], [&[], &[], &[0], &[0]]);
}

/// The gradient of the sum of a function's result at given inputs.
fn gradient_at(inputs: &[f64], f: impl Fn(&mut Builder, &[NodeId]) -> NodeId) -> Vec<f64> {
    let mut graph = Graph::new();
    let scalar = Type::scalar(DType::F64);
    let ids: Vec<NodeId> =
        inputs.iter().map(|_| graph.add_input("x", scalar.clone(), InputKind::Arg, Span::default())).collect();
    let y = f(&mut Builder::new(&mut graph, Span::default()), &ids);
    for g in gradients(&mut graph, y, None, &ids).expect("differentiable") {
        graph.add_output("g", g, OutputKind::Value);
    }
    let tensors: Vec<Tensor> = inputs.iter().map(|v| Tensor::scalar(DType::F64, *v)).collect();
    eval(&graph, &tensors.iter().collect::<Vec<_>>()).iter().map(|t| t.to_f64s()[0]).collect()
}

#[test]
fn decisions_at_special_points() {
    assert_eq!(gradient_at(&[1.0, 1.0], |b, x| b.binary(Binary::Max, x[0], x[1])), [0.5, 0.5]);
    assert_eq!(gradient_at(&[1.0, 1.0], |b, x| b.binary(Binary::Min, x[0], x[1])), [0.5, 0.5]);
    assert_eq!(gradient_at(&[0.0], |b, x| b.unary(Unary::Abs, x[0])), [0.0]);
    let through_single = gradient_at(&[1.5], |b, x| {
        let single = b.convert(x[0], DType::F32);
        let square = b.mul(single, single);
        b.convert(square, DType::F64)
    });
    assert_eq!(through_single, [3.0]);
    let pow = |x: f64, y: f64| gradient_at(&[x, y], |b, x| b.binary(Binary::Pow, x[0], x[1]));
    assert_eq!(pow(0.0, 0.0), [0.0, 0.0]);
    assert_eq!(pow(0.0, 3.0), [0.0, 0.0]);
    assert_eq!(pow(0.0, 1.0), [1.0, 0.0]);
    assert_eq!(pow(-2.0, 2.0), [-4.0, 0.0]);
    let ties = gradient_at(&[2.0], |b, x| {
        let wide = b.broadcast(x[0], &[4], vec![]);
        let weights = b.iota(DType::F64, &[4], 0);
        let one = b.full_like(1.0, weights);
        let scaled = b.binary(Binary::Min, weights, one);
        let product = b.mul(wide, scaled);
        b.reduce(ReduceKind::Max, product, &[0])
    });
    assert_eq!(ties, [1.0]);
}

#[test]
fn what_does_not_depend_gets_zeros_and_no_nodes() {
    let mut graph = Graph::new();
    let ty = Type::new(DType::F32, [3]);
    let x = graph.add_input("x", ty.clone(), InputKind::Arg, Span::default());
    let y = graph.add_input("y", ty, InputKind::Arg, Span::default());
    let mut b = Builder::new(&mut graph, Span::default());
    let square = b.mul(x, x);
    let stopped = b.push(Op::StopGradient, &[y], Default::default());
    let both = b.mul(square, stopped);
    let sum = b.reduce(ReduceKind::Sum, both, &[0]);
    let found = gradients(&mut graph, sum, None, &[x, y]).expect("differentiable");
    graph.add_output("gx", found[0], OutputKind::Value);
    graph.add_output("gy", found[1], OutputKind::Value);
    let a = Tensor::from_f64s(Type::new(DType::F32, [3]), &[1.0, 2.0, 3.0]);
    let b = Tensor::from_f64s(Type::new(DType::F32, [3]), &[5.0, 6.0, 7.0]);
    let got: Vec<_> = eval(&graph, &[&a, &b]).iter().map(Tensor::to_f64s).collect();
    assert_eq!(got, [[10.0, 24.0, 42.0], [0.0, 0.0, 0.0]]);
}

#[test]
fn second_derivatives() {
    let mut graph = Graph::new();
    let x = graph.add_input("x", Type::scalar(DType::F64), InputKind::Arg, Span::default());
    let y = Builder::new(&mut graph, Span::default()).unary(Unary::Tanh, x);
    let first = gradients(&mut graph, y, None, &[x]).expect("first")[0];
    let second = gradients(&mut graph, first, None, &[x]).expect("second")[0];
    graph.add_output("h", second, OutputKind::Value);
    let t = 0.7_f64.tanh();
    let got = eval(&graph, &[&Tensor::scalar(DType::F64, 0.7)])[0].to_f64s()[0];
    assert!((got - -2.0 * t * (1.0 - t * t)).abs() < 1e-14, "{got}");
}

#[test]
fn gradients_point_at_the_source_of_their_primal() {
    let place = Span { start: 5, end: 9, ..Span::default() };
    let mut graph = Graph::new();
    let x = graph.add_input("x", Type::new(DType::F32, [3]), InputKind::Arg, Span::default());
    let y = Builder::new(&mut graph, place).unary(Unary::Tanh, x);
    let primal = graph.nodes.len();
    gradients(&mut graph, y, None, &[x]).expect("differentiable");
    assert!(graph.nodes.len() > primal && graph.nodes[primal..].iter().all(|n| n.span == place));
}

#[test]
fn slices_of_an_arena_join_without_padding() {
    let mut graph = Graph::new();
    let arena = graph.add_input("arena", Type::new(DType::F32, [10]), InputKind::Param, Span::default());
    let mut b = Builder::new(&mut graph, Span::default());
    let parts = [(0, 4), (6, 10)].map(|(from, to)| b.slice_axis(arena, 0, from, to));
    let sum = b.add(parts[0], parts[1]);
    let total = b.reduce(ReduceKind::Sum, sum, &[0]);
    let found = gradients(&mut graph, total, None, &[arena]).expect("differentiable")[0];
    assert_eq!(graph.node(found).op, Op::Concat { axis: 0 });
    graph.add_output("g", found, OutputKind::Value);
    let got = eval(&graph, &[&Tensor::zeros(Type::new(DType::F32, [10]))])[0].to_f64s();
    assert_eq!(got, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
}

#[test]
fn integers_have_no_derivative() {
    let mut graph = Graph::new();
    let x = graph.add_input("x", Type::new(DType::I32, [3]), InputKind::Arg, Span::default());
    let error = gradients(&mut graph, x, None, &[x]).unwrap_err();
    assert_eq!((error.code, error.title.as_str()), ("E0215", "a value of type i32 has no derivative"));
}

/// A bounded function of all values: the sum of their hyperbolic tangents.
fn bounded_sum(graph: &mut Graph, values: &[NodeId]) -> NodeId {
    let mut b = Builder::new(graph, Span::default());
    let mut total = b.constant(0.0, DType::F64);
    for y in values {
        let y = b.unary(Unary::Tanh, *y);
        let all: Vec<usize> = (0..b.graph.shape(y).len()).collect();
        let y = b.reduce(ReduceKind::Sum, y, &all);
        total = b.add(total, y);
    }
    total
}

/// The derivative of `total` along a random direction against a central difference, and simplified gradients against plain
/// ones. Gives the gradients.
fn check_direction(graph: &mut Graph, total: NodeId, seed: u32) -> Result<Vec<NodeId>, TestCaseError> {
    let at = arbitrary::inputs(seed, DType::F64);
    let direction = arbitrary::inputs(seed + 5000, DType::F64);
    let ids: Vec<NodeId> = (0..graph.inputs.len() as u32).map(NodeId).collect();
    let mut values = graph.clone();
    values.add_output("sum", total, OutputKind::Value);
    let found = gradients(graph, total, None, &ids).expect("smooth primitives have rules");
    let mut whole = graph.clone();
    found.iter().for_each(|g| whole.add_output("g", *g, OutputKind::Value));
    prop_assert_eq!(verify(&whole), Ok(()));

    let point = |h: f64| -> Vec<Tensor> {
        let move_by = |(x, d): (&Tensor, &Tensor)| {
            let moved: Vec<f64> = x.f64s().iter().zip(d.f64s()).map(|(x, d)| x + h * d).collect();
            Tensor::from_f64s(x.ty().clone(), &moved)
        };
        at.iter().zip(&direction).map(move_by).collect()
    };
    let value = |h: f64| eval(&values, &point(h).iter().collect::<Vec<_>>())[0].f64s()[0];
    let inputs: Vec<&Tensor> = at.iter().collect();
    let plain = eval(&whole, &inputs);
    let simple = eval(&simplify(whole), &inputs);
    let along = |g: &[Tensor]| -> f64 {
        let dot = |(g, d): (&Tensor, &Tensor)| g.f64s().iter().zip(d.f64s()).map(|(g, d)| g * d).sum::<f64>();
        g.iter().zip(&direction).map(dot).sum()
    };
    let (plain, simple) = (along(&plain), along(&simple));
    // Exponentials of exponentials are beyond finite differences: their slopes at nearby points must agree first.
    let differences = |h: f64| (value(h) - value(-h)) / (2.0 * h);
    let (wide, narrow) = (differences(2e-5), differences(1e-5));
    let scale = 1.0 + narrow.abs();
    prop_assume!(plain.is_finite() && (wide - narrow).abs() <= 1e-7 * scale);
    prop_assert!((plain - narrow).abs() <= 1e-5 * scale, "gradient {plain}, differences {narrow}");
    prop_assert!((plain - simple).abs() <= 1e-9 * (1.0 + plain.abs()), "{plain} simplified to {simple}");
    Ok(found)
}

proptest! {
    #[test]
    fn random_graphs(choices in prop::collection::vec(any::<u32>(), 1..25), seed in 0u32..1000) {
        let mut graph = arbitrary::graph(&choices, DType::F64, true);
        let outputs: Vec<NodeId> = graph.outputs.drain(..).map(|o| o.node).collect();
        let total = bounded_sum(&mut graph, &outputs);
        check_direction(&mut graph, total, seed)?;
    }

    #[test]
    fn second_derivatives_of_random_graphs(choices in prop::collection::vec(any::<u32>(), 1..10), seed in 0u32..1000) {
        let mut graph = arbitrary::graph(&choices, DType::F64, true);
        let outputs: Vec<NodeId> = graph.outputs.drain(..).map(|o| o.node).collect();
        let total = bounded_sum(&mut graph, &outputs);
        let first = check_direction(&mut graph, total, seed)?;
        let total = bounded_sum(&mut graph, &first);
        check_direction(&mut graph, total, seed)?;
    }
}

/// A loop over two steps with one carried number, `y` of them emitted.
fn small_loop(b: &mut Builder, constant: NodeId, f: impl Fn(&mut Builder, [NodeId; 3]) -> NodeId) -> NodeId {
    let scalar = Type::scalar(DType::F64);
    let mut body = Graph::new();
    let inputs = ["carry", "slice", "constant"]
        .map(|name| body.add_input(name, scalar.clone(), InputKind::Arg, Span::default()));
    let next = f(&mut Builder::new(&mut body, Span::default()), inputs);
    body.add_output("carry", next, OutputKind::Update(0));
    let (first, slices) = (b.constant(0.5, DType::F64), b.full(0.25, DType::F64, &[2]));
    let node =
        scan::push(b, Scan { body, steps: 2, carries: 1, slices: 1, ..Scan::default() }, &[first, slices, constant]);
    scan::result(b, node, 0)
}

/// No gradient reaches the operand that one is wanted of.
#[test]
fn a_loop_that_stops_all_gradients() {
    let found = gradient_at(&[0.7], |b, x| {
        small_loop(b, x[0], |b, [carry, slice, constant]| {
            let stopped = b.push(Op::StopGradient, &[constant], Default::default());
            let product = b.mul(carry, stopped);
            b.add(product, slice)
        })
    });
    assert_eq!(found, [0.0]);
}

/// The inner loop's values for the first derivative are kept by the outer one; the second derivative adds to them.
#[test]
fn second_derivatives_of_loops_in_loops() {
    assert_gradients("loops in loops", &[(&[], vec![0.7])], |b, x| {
        let y = small_loop(b, x[0], |b, [carry, slice, constant]| {
            let inner = small_loop(b, constant, |b, [carry, _, constant]| {
                let (tanh, square) = (b.unary(Unary::Tanh, carry), b.mul(constant, carry));
                let product = b.mul(tanh, constant);
                let sine = b.unary(Unary::Sin, square);
                b.add(product, sine)
            });
            let product = b.mul(carry, inner);
            let sine = b.unary(Unary::Sin, product);
            b.add(sine, slice)
        });
        gradients(b.graph, y, None, x).expect("floats")[0]
    });
}

/// Queries, keys, values and a mask of two heads that share keys and values.
fn attention(b: &mut Builder, x: &[NodeId], causal: bool) -> NodeId {
    let of = Attention { heads: 2, groups: 1, causal, scale: 0.7 };
    let node = b.push(Op::Attention(of), x, Default::default());
    let sizes = of.sizes_of(b.graph, x[0], x[1], x[2]);
    output(b, node, &sizes)
}

fn attention_operands() -> Vec<(&'static [usize], Vec<f64>)> {
    vec![
        (&[3, 4], numbers(31, 12)),
        (&[4, 2], numbers(32, 8)),
        (&[4, 3], numbers(33, 12)),
        (&[2, 1, 4], numbers(34, 8)),
    ]
}

#[test]
fn attention_and_its_mask() {
    for causal in [false, true] {
        let operands = attention_operands();
        assert_gradients("attention", &operands[..3], |b, x| attention(b, x, causal));
        assert_gradients("masked attention", &operands, |b, x| attention(b, x, causal));
    }
    let one = [(&[3, 12][..], numbers(35, 36))];
    assert_gradients("parts of one value", &one, |b, x| {
        let parts = [(0, 4), (4, 8), (8, 12)].map(|(from, to)| b.slice_axis(x[0], 1, from, to));
        let of = Attention { heads: 2, groups: 2, causal: true, scale: 0.5 };
        let node = b.push(Op::Attention(of), &parts, Default::default());
        let sizes = of.sizes_of(b.graph, parts[0], parts[1], parts[2]);
        output(b, node, &sizes)
    });
    // Every operand is the same value.
    assert_gradients("attention of one value", &[(&[3, 4], numbers(36, 12))], |b, x| {
        let of = Attention { heads: 1, groups: 1, causal: false, scale: 0.5 };
        let node = b.push(Op::Attention(of), &[x[0], x[0], x[0]], Default::default());
        let sizes = of.sizes_of(b.graph, x[0], x[0], x[0]);
        output(b, node, &sizes)
    });
}

#[test]
fn second_derivatives_of_attention() {
    let operands = attention_operands();
    assert_gradients("gradient of attention", &operands[..3], |b, x| {
        let y = attention(b, x, true);
        let parts = gradients(b.graph, y, None, x).expect("floats");
        let rows: Vec<NodeId> = parts
            .iter()
            .map(|part| {
                let elements = b.graph.ty(*part).elements();
                b.reshape(*part, &[elements])
            })
            .collect();
        b.concat(&rows, 0)
    });
}
