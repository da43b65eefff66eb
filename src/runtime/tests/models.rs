//! Whole training steps as graphs, written by hand.

use crate::ir::build::Builder;
use crate::ir::{Binary, Compare, DType, Graph, InputKind, NodeId, OutputKind, ReduceKind, Type, Unary};
use crate::runtime::Tensor;
use crate::source::Span;

/// Deterministic numbers in about [-1, 1].
pub fn numbers(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Inputs of a graph: counts for indices, small numbers otherwise.
pub fn inputs(graph: &Graph) -> Vec<Tensor> {
    let tensor = |(k, input): (usize, &crate::ir::Input)| {
        let raw = numbers(input.ty.elements(), k as u64 + 1);
        let values: Vec<f64> = match (&input.kind, input.ty.dtype) {
            (InputKind::Hyper, _) => vec![0.01],
            (InputKind::Step, _) => vec![3.0],
            (InputKind::State, _) => raw.iter().map(|v| v.abs() * 0.1).collect(),
            (_, DType::I32) => raw.iter().map(|v| ((v + 1.0) * 1.4999).floor()).collect(),
            (_, DType::Bool) => raw.iter().map(|v| f64::from(*v > 0.0)).collect(),
            _ => raw,
        };
        Tensor::from_f64s(input.ty.clone(), &values)
    };
    graph.inputs.iter().enumerate().map(tensor).collect()
}

fn sum_rows(b: &mut Builder, x: NodeId) -> NodeId {
    b.reduce(ReduceKind::Sum, x, &[1])
}

/// Mean cross entropy of `logits [N, C]` with labels, its gradient, and the number of right guesses.
fn cross_entropy(b: &mut Builder, logits: NodeId, label: NodeId) -> (NodeId, NodeId, NodeId) {
    let shape = b.graph.shape(logits).clone();
    let n = shape[0] as f64;
    let dtype = b.graph.dtype(logits);
    let max = b.reduce_keep(ReduceKind::Max, logits, &[1]);
    let max = b.broadcast_to(max, &shape);
    let shifted = b.sub(logits, max);
    let e = b.unary(Unary::Exp, shifted);
    let total = sum_rows(b, e);
    let log_total = b.unary(Unary::Log, total);
    let columns = b.iota(DType::I32, &shape, 1);
    let labels = b.broadcast(label, &shape, vec![0]);
    let hit = b.compare(Compare::Eq, columns, labels);
    let zero = b.full_like(0.0, shifted);
    let picked = b.select(hit, shifted, zero);
    let picked = sum_rows(b, picked);
    let nll = b.sub(log_total, picked);
    let sum = b.reduce(ReduceKind::Sum, nll, &[0]);
    let scale = b.constant(1.0 / n, dtype);
    let loss = b.mul(sum, scale);
    let totals = b.broadcast(total, &shape, vec![0]);
    let p = b.div(e, totals);
    let one_hot = b.convert(hit, dtype);
    let d = b.sub(p, one_hot);
    let scale = b.full_like(1.0 / n, d);
    let d_logits = b.mul(d, scale);
    let guess =
        b.push(crate::ir::Op::ArgReduce { kind: crate::ir::ArgKind::Max, axis: 1 }, &[logits], Default::default());
    let right = b.compare(Compare::Eq, guess, label);
    let right = b.convert(right, DType::F32);
    let right = b.reduce(ReduceKind::Sum, right, &[0]);
    (loss, d_logits, right)
}

/// AdamW on flat values, with bias corrections in f64 as hyper-parameters are.
fn adamw(b: &mut Builder, theta: NodeId, g: NodeId, m: NodeId, v: NodeId, lr: NodeId, t: NodeId) -> [NodeId; 3] {
    let shape = b.graph.shape(theta).clone();
    let dtype = b.graph.dtype(theta);
    let wide = |b: &mut Builder, x: NodeId| {
        let x = b.convert(x, dtype);
        b.broadcast_to(x, &shape)
    };
    let blend = |b: &mut Builder, beta: f64, old: NodeId, new: NodeId| {
        let keep = b.full(beta, dtype, &shape);
        let take = b.full(1.0 - beta, dtype, &shape);
        let (old, new) = (b.mul(keep, old), b.mul(take, new));
        b.add(old, new)
    };
    let correction = |b: &mut Builder, beta: f64| {
        let beta = b.constant(beta, DType::F64);
        let power = b.binary(Binary::Pow, beta, t);
        let one = b.constant(1.0, DType::F64);
        let c = b.sub(one, power);
        wide(b, c)
    };
    let m_new = blend(b, 0.9, m, g);
    let g2 = b.mul(g, g);
    let v_new = blend(b, 0.999, v, g2);
    let (c1, c2) = (correction(b, 0.9), correction(b, 0.999));
    let m_hat = b.div(m_new, c1);
    let v_hat = b.div(v_new, c2);
    let root = b.unary(Unary::Sqrt, v_hat);
    let eps = b.full(1e-8, dtype, &shape);
    let root = b.add(root, eps);
    let u = b.div(m_hat, root);
    let decay = b.full(0.01, dtype, &shape);
    let decayed = b.mul(decay, theta);
    let u = b.add(u, decayed);
    let rate = wide(b, lr);
    let u = b.mul(rate, u);
    [b.sub(theta, u), m_new, v_new]
}

struct Training {
    theta: NodeId,
    m: NodeId,
    v: NodeId,
    lr: NodeId,
    t: NodeId,
}

fn training(g: &mut Graph, dtype: DType, count: usize) -> Training {
    let span = Span::default();
    let flat = Type::new(dtype, vec![count]);
    Training {
        theta: g.add_input("theta", flat.clone(), InputKind::Param, span),
        m: g.add_input("m", flat.clone(), InputKind::State, span),
        v: g.add_input("v", flat, InputKind::State, span),
        lr: g.add_input("lr", Type::scalar(DType::F64), InputKind::Hyper, span),
        t: g.add_input("t", Type::scalar(DType::F64), InputKind::Step, span),
    }
}

fn parameter(b: &mut Builder, theta: NodeId, at: &mut usize, shape: &[usize]) -> NodeId {
    let n: usize = shape.iter().product();
    let part = b.slice_axis(theta, 0, *at, *at + n);
    *at += n;
    b.reshape(part, shape)
}

fn update(b: &mut Builder, state: &Training, gradients: &[NodeId]) {
    let flat: Vec<NodeId> = gradients
        .iter()
        .map(|g| {
            let n = b.graph.ty(*g).elements();
            b.reshape(*g, &[n])
        })
        .collect();
    let g = b.concat(&flat, 0);
    let new = adamw(b, state.theta, g, state.m, state.v, state.lr, state.t);
    for ((name, node), input) in ["theta", "m", "v"].iter().zip(new).zip([state.theta, state.m, state.v]) {
        let crate::ir::Op::Input(k) = b.graph.node(input).op else { unreachable!("states are inputs") };
        b.graph.add_output(*name, node, OutputKind::Update(k));
    }
}

/// Two dense layers with relu between, cross entropy, accuracy, AdamW.
pub fn mlp(batch: usize, input: usize, hidden: usize, classes: usize) -> Graph {
    let mut graph = Graph::new();
    let span = Span::default();
    let dtype = DType::F32;
    let x = graph.add_input("x", Type::new(dtype, vec![batch, input]), InputKind::Batch, span);
    let label = graph.add_input("label", Type::new(DType::I32, vec![batch]), InputKind::Batch, span);
    let count = input * hidden + hidden + hidden * classes + classes;
    let state = training(&mut graph, dtype, count);
    let b = &mut Builder::new(&mut graph, span);
    let mut at = 0;
    let w1 = parameter(b, state.theta, &mut at, &[input, hidden]);
    let b1 = parameter(b, state.theta, &mut at, &[hidden]);
    let w2 = parameter(b, state.theta, &mut at, &[hidden, classes]);
    let b2 = parameter(b, state.theta, &mut at, &[classes]);
    let product = b.matmul(x, w1);
    let bias = b.broadcast_to(b1, &[batch, hidden]);
    let z = b.add(product, bias);
    let zero = b.full_like(0.0, z);
    let h = b.binary(Binary::Max, z, zero);
    let product = b.matmul(h, w2);
    let bias = b.broadcast_to(b2, &[batch, classes]);
    let logits = b.add(product, bias);
    let (loss, d_logits, right) = cross_entropy(b, logits, label);
    let h_t = b.transpose(h, vec![1, 0]);
    let d_w2 = b.matmul(h_t, d_logits);
    let d_b2 = b.reduce(ReduceKind::Sum, d_logits, &[0]);
    let w2_t = b.transpose(w2, vec![1, 0]);
    let d_h = b.matmul(d_logits, w2_t);
    let positive = b.compare(Compare::Gt, z, zero);
    let d_z = b.select(positive, d_h, zero);
    let x_t = b.transpose(x, vec![1, 0]);
    let d_w1 = b.matmul(x_t, d_z);
    let d_b1 = b.reduce(ReduceKind::Sum, d_z, &[0]);
    update(b, &state, &[d_w1, d_b1, d_w2, d_b2]);
    graph.add_output("loss", loss, OutputKind::Value);
    graph.add_output("right", right, OutputKind::Report);
    graph
}

/// y = x w + b with mean squared error and AdamW.
pub fn linear_regression(batch: usize, features: usize) -> Graph {
    let mut graph = Graph::new();
    let span = Span::default();
    let dtype = DType::F32;
    let x = graph.add_input("x", Type::new(dtype, vec![batch, features]), InputKind::Batch, span);
    let y = graph.add_input("y", Type::new(dtype, vec![batch, 1]), InputKind::Batch, span);
    let state = training(&mut graph, dtype, features + 1);
    let b = &mut Builder::new(&mut graph, span);
    let mut at = 0;
    let w = parameter(b, state.theta, &mut at, &[features, 1]);
    let bias = parameter(b, state.theta, &mut at, &[1]);
    let product = b.matmul(x, w);
    let wide = b.broadcast_to(bias, &[batch, 1]);
    let guess = b.add(product, wide);
    let error = b.sub(guess, y);
    let squared = b.mul(error, error);
    let sum = b.reduce(ReduceKind::Sum, squared, &[0, 1]);
    let scale = b.constant(1.0 / batch as f64, dtype);
    let loss = b.mul(sum, scale);
    let scale = b.full_like(2.0 / batch as f64, error);
    let d = b.mul(error, scale);
    let x_t = b.transpose(x, vec![1, 0]);
    let d_w = b.matmul(x_t, d);
    let d_b = b.reduce(ReduceKind::Sum, d, &[0]);
    update(b, &state, &[d_w, d_b]);
    graph.add_output("loss", loss, OutputKind::Value);
    graph
}

/// AdamW alone: the gradient is an input.
pub fn optimizer(count: usize) -> Graph {
    let mut graph = Graph::new();
    let span = Span::default();
    let state = training(&mut graph, DType::F32, count);
    let g = graph.add_input("g", Type::new(DType::F32, vec![count]), InputKind::Arg, span);
    update(&mut Builder::new(&mut graph, span), &state, &[g]);
    graph
}

/// Layer normalisation over the last of three axes, batch normalisation over the others, and their sums.
pub fn normalisations(shape: [usize; 3]) -> Graph {
    let mut graph = Graph::new();
    let x = graph.add_input("x", Type::new(DType::F32, shape), InputKind::Arg, Span::default());
    let b = &mut Builder::new(&mut graph, Span::default());
    let normal = |b: &mut Builder, axes: &[usize]| {
        let n: usize = axes.iter().map(|a| shape[*a]).product();
        let mean = |b: &mut Builder, x: NodeId| {
            let sum = b.reduce_keep(ReduceKind::Sum, x, axes);
            let scale = b.full_like(1.0 / n as f64, sum);
            let mean = b.mul(sum, scale);
            b.broadcast_to(mean, &shape)
        };
        let mu = mean(b, x);
        let centred = b.sub(x, mu);
        let squared = b.mul(centred, centred);
        let variance = mean(b, squared);
        let eps = b.full_like(1e-5, variance);
        let variance = b.add(variance, eps);
        let scale = b.unary(Unary::Rsqrt, variance);
        b.mul(centred, scale)
    };
    let layer = normal(b, &[2]);
    let batch = normal(b, &[0, 1]);
    let scattered = normal(b, &[0, 2]);
    let middle = normal(b, &[1]);
    let transposed = b.transpose(layer, vec![2, 0, 1]);
    let total = b.reduce(ReduceKind::Max, layer, &[0, 1, 2]);
    for (name, node) in [
        ("layer", layer),
        ("batch", batch),
        ("scattered", scattered),
        ("middle", middle),
        ("transposed", transposed),
        ("total", total),
    ] {
        graph.add_output(name, node, OutputKind::Value);
    }
    graph
}

/// LAMB on one long value that holds tensors of these sizes: a step scaled by the ratio of two norms of each tensor.
pub fn layerwise(sizes: &[usize]) -> Graph {
    let count: usize = sizes.iter().sum();
    let offsets: Vec<usize> = std::iter::once(0)
        .chain(sizes.iter().scan(0, |end, n| {
            *end += n;
            Some(*end)
        }))
        .collect();
    let offsets = std::sync::Arc::new(offsets);
    let mut graph = Graph::new();
    let span = Span::default();
    let state = training(&mut graph, DType::F32, count);
    let g = graph.add_input("g", Type::new(DType::F32, vec![count]), InputKind::Arg, span);
    let b = &mut Builder::new(&mut graph, span);
    let average = |b: &mut Builder, old: NodeId, new: NodeId, decay: f64| {
        let (keep, take) = (b.full_like(decay, old), b.full_like(1.0 - decay, new));
        let (kept, taken) = (b.mul(keep, old), b.mul(take, new));
        b.add(kept, taken)
    };
    let m = average(b, state.m, g, 0.9);
    let squared = b.mul(g, g);
    let v = average(b, state.v, squared, 0.999);
    let (root, eps) = (b.unary(Unary::Sqrt, v), b.full_like(1e-6, v));
    let divisor = b.add(root, eps);
    let decay = b.full_like(0.01, state.theta);
    let (direction, decayed) = (b.div(m, divisor), b.mul(decay, state.theta));
    let direction = b.add(direction, decayed);
    let norm = |b: &mut Builder, x: NodeId| {
        let squared = b.mul(x, x);
        let op = crate::ir::Op::SegmentReduce { kind: ReduceKind::Sum, offsets: offsets.clone() };
        let sums = b.push(op, &[squared], Default::default());
        b.unary(Unary::Sqrt, sums)
    };
    let (of_theta, of_direction) = (norm(b, state.theta), norm(b, direction));
    let ratio = b.div(of_theta, of_direction);
    let op = crate::ir::Op::SegmentBroadcast { offsets: offsets.clone() };
    let ratio = b.push(op, &[ratio], Default::default());
    let lr = b.convert(state.lr, DType::F32);
    let lr = b.broadcast(lr, &[count], vec![]);
    let step = b.mul(lr, ratio);
    let step = b.mul(step, direction);
    let theta = b.sub(state.theta, step);
    for (k, (name, node)) in [("theta", theta), ("m", m), ("v", v)].into_iter().enumerate() {
        graph.add_output(name, node, OutputKind::Update(k));
    }
    graph
}
