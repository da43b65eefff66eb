//! Test support: gradients against central differences in double precision.

use super::gradients;
use crate::interp::eval;
use crate::ir::build::Builder;
use crate::ir::op::Hint;
use crate::ir::{DType, Graph, InputKind, NodeId, Op, OutputKind, Type, verify::verify};
use crate::runtime::Tensor;
use crate::source::Span;
use std::sync::Arc;

/// Numbers in (-2, 2) that look random and are the same every time.
pub fn numbers(seed: u32, count: usize) -> Vec<f64> {
    let bits = |i: usize| crate::runtime::random::random_bits([seed, 7], 0, i as u32, 0);
    (0..count).map(|i| f64::from(bits(i)) / f64::from(u32::MAX) * 4.0 - 2.0).collect()
}

/// Weighs each element of a function's result, so that the check sees all of them, and compares the gradient of the
/// sum in each input element with its central difference.
pub fn assert_gradients(name: &str, inputs: &[(&[usize], Vec<f64>)], f: impl Fn(&mut Builder, &[NodeId]) -> NodeId) {
    let mut graph = Graph::new();
    let mut ids = vec![];
    for (k, (shape, _)) in inputs.iter().enumerate() {
        let ty = Type::new(DType::F64, shape.to_vec());
        ids.push(graph.add_input(format!("x{k}"), ty, InputKind::Arg, Span::default()));
    }
    let output = f(&mut Builder::new(&mut graph, Span::default()), &ids);
    let ty = graph.ty(output).clone();
    let weights = numbers(99, ty.elements());
    let hint = Hint { dtype: Some(DType::F64), shape: Some(ty.shape.clone()) };
    let seed = graph.push(Op::Dense(Arc::new(weights.clone())), &[], hint, Span::default());
    let mut primal = graph.clone();
    primal.add_output("y", output, OutputKind::Value);

    let found = gradients(&mut graph, output, Some(seed), &ids).unwrap_or_else(|e| panic!("{name}: {}", e.title));
    for id in found {
        graph.add_output("g", id, OutputKind::Value);
    }
    verify(&graph).unwrap_or_else(|e| panic!("{name}: {e}"));

    let mut tensors: Vec<Tensor> =
        inputs.iter().map(|(shape, values)| Tensor::from_f64s(Type::new(DType::F64, shape.to_vec()), values)).collect();
    let analytic: Vec<Vec<f64>> =
        eval(&graph, &tensors.iter().collect::<Vec<_>>()).iter().map(Tensor::to_f64s).collect();
    let value = |tensors: &[Tensor]| -> f64 {
        let y = eval(&primal, &tensors.iter().collect::<Vec<_>>())[0].to_f64s();
        y.iter().zip(&weights).map(|(y, w)| y * w).sum()
    };
    for k in 0..tensors.len() {
        for (i, got) in analytic[k].iter().copied().enumerate() {
            let x = tensors[k].f64s()[i];
            let h = 1e-5 * x.abs().max(1.0);
            tensors[k].f64s_mut()[i] = x + h;
            let above = value(&tensors);
            tensors[k].f64s_mut()[i] = x - h;
            let below = value(&tensors);
            tensors[k].f64s_mut()[i] = x;
            let numeric = (above - below) / (2.0 * h);
            let close = (got - numeric).abs() <= 1e-6 * (1.0 + numeric.abs().max(got.abs()));
            assert!(close, "{name}: gradient of x{k}[{i}] at {x} is {got}, differences say {numeric}");
        }
    }
}
