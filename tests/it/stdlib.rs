//! Every definition of the library is used here: it elaborates, its gradient is that of finite differences, and random
//! starting values have the moments that their formulas promise.

use crate::engine::{COMPILED, ENGINES, INTERPRETER};
use crate::language::{Scope, on_columns};
use crate::run::Run;
use optc::data::spec::Column;
use optc::ir::{DType, InputKind, Type};
use optc::runtime::Tensor;
use optc::runtime::random::random_bits;
use optc::source::SourceMap;
use optc::stdlib::{MODULES, public_name};
use optc::syntax::ast::{DefKind, ItemKind};
use optc::syntax::parse_file;
use std::collections::BTreeSet;

/// Sample uses with a gradient, by `module.name`; one of them for each differentiable definition at least.
const DIFFERENTIABLE: &[(&str, &str)] = &[
    ("prelude.mean", "mean(x, axis = 1)"),
    ("prelude.variance", "variance(x, axis = 0, correction = 1)"),
    ("prelude.std", "std(x)"),
    ("prelude.norm", "norm(x, axis = 1)"),
    ("prelude.p_norm", "p_norm(x, p = 3)"),
    ("prelude.rms", "rms(x, axis = 1, keep = true)"),
    ("prelude.standardized", "standardized(x)"),
    ("prelude.rms_normalized", "rms_normalized(x)"),
    ("prelude.cosine_similarity", "cosine_similarity(x, y)"),
    ("prelude.logsumexp", "logsumexp(x, axis = 0)"),
    ("prelude.pick", "pick(x, [2, 0, 1], axis = 1)"),
    ("prelude.broadcast_index", "broadcast_index(x[0], x, axis = 0) * x"),
    ("prelude.clamp", "clamp(x, -0.5, 1)"),
    ("prelude.square", "square(x)"),
    ("prelude.reciprocal", "reciprocal(p)"),
    ("prelude.tan", "tan(p)"),
    ("prelude.sinh", "sinh(x)"),
    ("prelude.cosh", "cosh(x)"),
    ("prelude.dot", "dot(x, y)"),
    ("prelude.tril", "tril(x, diagonal = 1)"),
    ("prelude.take_along", "take_along(x, [[0, 3], [1, 1], [2, 0]], axis = 1)"),
    ("prelude.scatter_along", "scatter_along(x, [[0, 2, 1, 1]], y[:1], axis = 0)"),
    ("prelude.sort", "sort(x, axis = 1) * y"),
    ("init.erf_inverse", "erf_inverse(x / 3)"),
    ("activations.relu", "relu(x)"),
    ("activations.relu6", "relu6(4 * x)"),
    ("activations.leaky_relu", "leaky_relu(x, slope = 0.1)"),
    ("activations.elu", "elu(x, alpha = 0.7)"),
    ("activations.celu", "celu(x, alpha = 0.7)"),
    ("activations.selu", "selu(x)"),
    ("activations.gelu", "gelu(x)"),
    ("activations.gelu_tanh", "gelu_tanh(x)"),
    ("activations.sigmoid", "sigmoid(x)"),
    ("activations.log_sigmoid", "log_sigmoid(x)"),
    ("activations.silu", "silu(x)"),
    ("activations.swish", "swish(x)"),
    ("activations.softplus", "softplus(x, beta = 2)"),
    ("activations.mish", "mish(x)"),
    ("activations.softsign", "softsign(x)"),
    ("activations.hard_sigmoid", "hard_sigmoid(3 * x)"),
    ("activations.hard_swish", "hard_swish(3 * x)"),
    ("activations.softmax", "softmax(x)"),
    ("activations.softmax", "softmax(x, axis = 0)"),
    ("activations.log_softmax", "log_softmax(x)"),
    ("activations.prelu", "prelu(x, y[0])"),
    ("activations.glu", "glu(x)"),
    ("activations.swiglu", "swiglu(x, y)"),
    ("losses.mse", "mse(x, y)"),
    ("losses.mae", "mae(x, y)"),
    ("losses.huber", "huber(x, y, delta = 0.5)"),
    ("losses.smooth_l1", "smooth_l1(x, y, beta = 0.5)"),
    ("losses.cross_entropy", "cross_entropy(x, [2, 0, 1])"),
    ("losses.cross_entropy", "cross_entropy(x, [2, 0, 1], smoothing = 0.1)"),
    ("losses.soft_cross_entropy", "soft_cross_entropy(x, softmax(y), smoothing = 0.1)"),
    ("losses.masked_cross_entropy", "masked_cross_entropy(x, [2, -100, 1])"),
    ("losses.weighted_cross_entropy", "weighted_cross_entropy(x, [2, 0, 1], [0.5, 1.0, 2.0, 1.0])"),
    ("losses.focal", "focal(x, [2, 0, 1], gamma = 1.5)"),
    ("losses.binary_focal", "binary_focal(x, float(y > 0))"),
    ("losses.nll", "nll(x, [2, 0, 1])"),
    ("losses.bce_with_logits", "bce_with_logits(x, p, positive_weight = 2)"),
    ("losses.binary_cross_entropy", "binary_cross_entropy(x, p)"),
    ("losses.bce", "bce(p, float(y > 0))"),
    ("losses.kl", "kl(log_softmax(x), softmax(y))"),
    ("losses.hinge", "hinge(x, sign(y))"),
    ("losses.squared_hinge", "squared_hinge(x, sign(y))"),
    ("losses.multi_class_hinge", "multi_class_hinge(x, [2, 0, 1])"),
    ("losses.triplet", "triplet(x, y, p)"),
    ("losses.cosine_embedding", "cosine_embedding(x, y, [1.0, -1.0, 1.0], margin = -0.9)"),
    ("losses.distillation", "distillation(x, stop_gradient(y), temperature = 2)"),
    ("optimizers.newton_schulz", "newton_schulz(x)"),
    ("optimizers.polar", "polar(x, steps = 4)"),
    ("layers.flatten", "flatten(reshape(x, [3, 2, 2])) * y"),
    ("layers.Flatten", "Flatten()(reshape(x, [3, 2, 2])) * y"),
    ("layers.Dense", "Dense(2)(x)"),
    ("layers.Dropout", "Dropout(0.5)(x)"),
    ("layers.attention", "attention(x, y, p, causal = false)"),
    ("layers.grouped_attention", "grouped_attention(x, y, p, heads = 2)"),
    ("layers.attention", "attention(x, y, p, causal = true)"),
    ("layers.split_heads", "split_heads(reshape(x, [1, 3, 4]), heads = 2)"),
    ("layers.join_heads", "join_heads(reshape(x, [1, 3, 2, 2]))"),
    ("layers.LayerNorm", "LayerNorm()(x)"),
    ("layers.RMSNorm", "RMSNorm()(x)"),
    ("layers.BatchNorm", "BatchNorm()(x)"),
    ("layers.GroupNorm", "GroupNorm(2)(x)"),
    ("layers.MultiHeadAttention", "MultiHeadAttention(2, causal = true)(reshape(x, [1, 3, 4]))"),
    ("layers.PReLU", "PReLU()(x)"),
    ("prelude.triu", "triu(x, diagonal = 1)"),
    ("prelude.masked_mean", "masked_mean(x, stop_gradient(y) > 0)"),
    ("prelude.masked_mean", "masked_mean(reshape(x, [3, 2, 2]), indices([3, 2], axis = 1) < indices([3, 2]))"),
    ("prelude.top_k", "top_k(x, 2)[0] * y[:, :2]"),
    ("prelude.top_k", "top_k(x, 2, axis = 0)[0] * y[:2]"),
    ("prelude.repeat", "repeat(x, 2, axis = 0)"),
    ("prelude.tile", "tile(x, 3)"),
    ("prelude.roll", "roll(x, 1) * y"),
    ("prelude.roll", "roll(x, -5, axis = 0) * y"),
    ("prelude.diagonal", "diagonal(x[:, :3])"),
    ("prelude.trace", "trace(x[:, 1:])"),
    ("prelude.outer", "outer(x[0], y[1])"),
    ("prelude.pairwise_distance", "pairwise_distance(x, y)"),
    ("prelude.pairwise_distance", "pairwise_distance(x, y[1:])"),
    ("builtin.einsum", "einsum(\"ij,kj->ik\", x, y)"),
    ("builtin.einsum", "einsum(\"ij,ik,jl->lk\", x, y, transpose(p))"),
    ("builtin.einsum", "einsum(\"ii,ij->j\", x[:, :3], y)"),
    ("builtin.einsum", "einsum(\"i,j\", x[0], y[:, 1])"),
    ("builtin.grad", "grad(sum(x^3 * y), x)"),
    ("builtin.grad", "sum(grad(sum(tanh(x) * y^2), [x, y])[1]^2)"),
    ("builtin.grad", "grad(sum(tanh(Conv2d(2, 2)(reshape(x, [1, 2, 3, 2])))), x)"),
    ("builtin.grad", "grad(sum(tanh(ConvTranspose2d(2, 2)(reshape(x, [1, 2, 3, 2])))), x)"),
    ("builtin.grad", "grad(sum(AvgPool2d(2)(reshape(x, [1, 2, 3, 2]))^3), x)"),
    ("builtin.grad", "grad(sum(MaxPool2d(2)(reshape(x, [1, 2, 3, 2]))^3), x)"),
    ("builtin.grad", "grad(sum(attention(x, y, p, causal = true)^2), x)"),
    ("builtin.grad", "grad(sum(standardized(x)^3), x)"),
    ("builtin.grad", "grad(cross_entropy(x, [2, 0, 1]), x)"),
    ("activations.geglu", "geglu(x, y)"),
    ("activations.reglu", "reglu(x, y)"),
    ("activations.hard_tanh", "hard_tanh(x)"),
    ("activations.tanh_shrink", "tanh_shrink(x)"),
    ("activations.soft_shrink", "soft_shrink(x)"),
    ("activations.hard_shrink", "hard_shrink(x)"),
    ("activations.threshold", "threshold(x, 0.3, -1)"),
    ("activations.square_plus", "square_plus(x)"),
    ("activations.sparse_plus", "sparse_plus(x)"),
    ("activations.sparse_sigmoid", "sparse_sigmoid(x)"),
    ("activations.softmin", "softmin(x, axis = 0)"),
    ("activations.softmax2d", "softmax2d(reshape(x, [1, 2, 2, 3]))"),
    ("activations.sparsemax", "sparsemax(x)"),
    ("activations.sparsemax", "sparsemax(x, axis = 0)"),
    ("activations.rrelu", "rrelu(x)"),
    ("activations.leaky_slope", "leaky_slope(x, p)"),
    ("activations.gumbel_softmax", "gumbel_softmax(x, temperature = 0.7)"),
    ("losses.log_cosh", "log_cosh(x, y)"),
    ("losses.mape", "mape(x, y)"),
    ("losses.msle", "msle(p, square(y))"),
    ("losses.poisson_nll", "poisson_nll(x, p)"),
    ("losses.poisson_nll", "poisson_nll(p, square(y), log_input = false)"),
    ("losses.gaussian_nll", "gaussian_nll(x, y, p)"),
    ("losses.soft_margin", "soft_margin(x, sign(y))"),
    ("losses.multi_label_soft_margin", "multi_label_soft_margin(x, p)"),
    ("losses.multi_label_margin", "multi_label_margin(x, float(y > 0))"),
    ("losses.hinge_embedding", "hinge_embedding(p, sign(y))"),
    ("losses.margin_ranking", "margin_ranking(x, y, sign(p - 0.5), margin = 0.1)"),
    ("losses.negative_cosine", "negative_cosine(x, y)"),
    ("losses.poly", "poly(x, [2, 0, 1])"),
    ("losses.generalized_cross_entropy", "generalized_cross_entropy(x, [2, 0, 1], q = 0.7)"),
    ("losses.dice", "dice(p, sigmoid(y))"),
    ("losses.tversky", "tversky(p, sigmoid(y), alpha = 0.3, beta = 0.7)"),
    ("losses.jaccard", "jaccard(p, sigmoid(y))"),
    ("losses.nt_xent", "nt_xent(x, y)"),
    ("losses.gaussian_kl", "gaussian_kl(x, y)"),
    ("layers.LayerNorm", "LayerNorm(axes = 2)(x) * y"),
    ("layers.InstanceNorm", "InstanceNorm()(reshape(x, [2, 3, 2]))"),
    ("layers.InstanceNorm", "InstanceNorm(affine = false)(reshape(x, [1, 2, 3, 2]))"),
    ("layers.UnitNorm", "UnitNorm()(x)"),
    ("layers.LocalResponseNorm", "LocalResponseNorm(size = 4, alpha = 0.5)(x)"),
    ("layers.shifted", "shifted(x, -2)"),
    ("layers.WeightNormDense", "WeightNormDense(2)(x)"),
    ("layers.SpectralNormDense", "SpectralNormDense(2)(x)"),
    ("layers.SpatialDropout", "SpatialDropout(0.3)(reshape(x, [2, 3, 2]))"),
    ("layers.AlphaDropout", "AlphaDropout(0.3)(x)"),
    ("layers.GaussianNoise", "GaussianNoise(0.3)(x)"),
    ("layers.GaussianDropout", "GaussianDropout(0.3)(x)"),
    ("layers.StochasticDepth", "StochasticDepth(Dense(4))(x)"),
    ("layers.TiedEmbedding", "TiedEmbedding(3, 4)(x)"),
    ("layers.Bilinear", "Bilinear(2)(x, y)"),
    ("layers.Identity", "Identity()(x)"),
    ("layers.Residual", "Residual(Dense(4))(x)"),
    ("layers.Highway", "Highway(Dense(4))(x)"),
    ("layers.Pad2d", "Pad2d(1, 1, mode = \"reflect\")(reshape(x, [1, 2, 3, 2]))"),
    ("layers.pad_axis", "pad_axis(x, axis = 1, low = 2, high = 1, mode = \"replicate\")"),
    ("layers.pad_axis", "pad_axis(x, axis = 1, low = 4, high = 1, mode = \"circular\")"),
    ("layers.pad_axis", "pad_axis(x, axis = 0, low = 2, high = 2, mode = \"reflect\")"),
    ("layers.pad_axis", "pad_axis(x, axis = 1, low = 1, high = 0, value = 2)"),
    ("layers.UpSample2d", "UpSample2d(2)(reshape(x, [1, 2, 3, 2]))"),
    ("layers.UpSample2d", "UpSample2d(3, mode = \"bilinear\")(reshape(x, [1, 2, 3, 2]))"),
    ("layers.interpolate", "interpolate(x, 2, axis = 1)"),
    ("layers.GlobalAvgPool", "GlobalAvgPool()(reshape(x, [1, 2, 3, 2]))"),
    ("layers.GlobalMaxPool", "GlobalMaxPool()(reshape(x, [1, 2, 3, 2]))"),
    ("layers.AdaptiveAvgPool2d", "AdaptiveAvgPool2d(2, 2)(reshape(x, [1, 4, 3, 1]))"),
    ("layers.box_means", "box_means(x, 3, axis = 1)"),
    ("layers.PixelShuffle", "PixelShuffle(2)(reshape(x, [1, 1, 3, 4])) * reshape(y, [1, 2, 6, 1])"),
    ("layers.ChannelShuffle", "ChannelShuffle(2)(x) * y"),
    ("layers.SqueezeExcitation", "SqueezeExcitation(2)(reshape(x, [1, 2, 3, 2]))"),
    ("layers.LearnedPositions", "LearnedPositions(5)(reshape(x, [1, 3, 4]))"),
    ("layers.SinusoidalPositions", "SinusoidalPositions()(reshape(x, [1, 3, 4]))"),
    ("layers.rotary", "rotary(reshape(x, [1, 1, 3, 4]), start = 2)"),
    ("layers.CrossAttention", "CrossAttention(2)(reshape(x, [1, 3, 4]), reshape(y, [1, 4, 3]))"),
    ("layers.SelfAttention", "SelfAttention(2, causal = true)(reshape(x, [1, 3, 4]))"),
    ("layers.GroupedQueryAttention", "GroupedQueryAttention(2, 1, rope = true)(reshape(x, [1, 3, 4]))"),
    ("layers.FeedForward", "FeedForward(2)(x)"),
    ("layers.SwiGLU", "SwiGLU(3)(x)"),
    ("layers.TransformerEncoderBlock", "TransformerEncoderBlock(2)(reshape(x, [1, 3, 4]))"),
    (
        "layers.TransformerEncoderBlock",
        "TransformerEncoderBlock(2, pre_norm = false, causal = true)(reshape(x, [1, 3, 4]), additive_mask(causal_mask(3)))",
    ),
    ("layers.TransformerDecoderBlock", "TransformerDecoderBlock(2)(reshape(x, [1, 3, 4]), reshape(y, [1, 2, 6]))"),
    (
        "layers.TransformerDecoderBlock",
        "TransformerDecoderBlock(2, pre_norm = false)(reshape(x, [1, 3, 4]), reshape(y, [1, 2, 6]))",
    ),
    ("layers.LlamaBlock", "LlamaBlock(2, 1)(reshape(x, [1, 3, 4]))"),
    ("layers.Conv1d", "Conv1d(3, 2, stride = 2, padding = 1)(reshape(x, [2, 3, 2]))"),
    ("layers.Conv1d", "Conv1d(3, 2, causal = true, dilation = 2)(reshape(x, [1, 6, 2]))"),
    ("layers.Conv2d", "Conv2d(3, 2)(reshape(x, [1, 2, 3, 2]))"),
    (
        "layers.Conv2d",
        "Conv2d(4, [3, 1], stride = [1, 2], padding = \"same\", groups = 2, bias = false)(reshape(x, [1, 2, 3, 2]))",
    ),
    ("layers.Conv3d", "Conv3d(2, [1, 2, 2])(reshape(x, [1, 2, 2, 3, 1]))"),
    ("layers.DepthwiseConv2d", "DepthwiseConv2d(2, multiplier = 2)(reshape(x, [1, 2, 3, 2]))"),
    ("layers.SeparableConv2d", "SeparableConv2d(3, 2)(reshape(x, [1, 2, 3, 2]))"),
    ("layers.ConvTranspose1d", "ConvTranspose1d(3, 2, stride = 2)(reshape(x, [2, 3, 2]))"),
    (
        "layers.ConvTranspose2d",
        "ConvTranspose2d(3, 3, stride = 2, padding = 1, output_padding = 1)(reshape(x, [1, 2, 3, 2]))",
    ),
    ("layers.MaxPool1d", "MaxPool1d(2)(reshape(x, [2, 3, 2]))"),
    ("layers.MaxPool2d", "MaxPool2d(2, stride = 1)(reshape(x, [1, 2, 3, 2]))"),
    ("layers.AvgPool1d", "AvgPool1d(2)(reshape(x, [1, 6, 2]))"),
    ("layers.AvgPool2d", "AvgPool2d([2, 3], stride = 1, padding = \"same\")(reshape(x, [1, 2, 3, 2]))"),
    ("layers.AvgPool2d", "AvgPool2d(2, padding = 1, count_padding = true)(reshape(x, [1, 2, 3, 2]))"),
    ("layers.window_mean", "window_mean(reshape(x, [1, 6, 2]), 2, 2, 0, count_padding = true)"),
    ("layers.ConvBlock", "ConvBlock(3, 2)(reshape(x, [1, 2, 3, 2]))"),
    ("layers.ResNetBlock", "ResNetBlock(2)(reshape(x, [1, 2, 3, 2]))"),
    ("layers.ResNetBlock", "ResNetBlock(3, stride = 2)(reshape(x, [1, 3, 4, 1]))"),
    ("layers.ResNetBottleneck", "ResNetBottleneck(2, stride = 2)(reshape(x, [1, 3, 4, 1]))"),
    ("layers.InvertedResidual", "InvertedResidual(2, squeeze = true)(reshape(x, [1, 2, 3, 2]))"),
    ("layers.InvertedResidual", "InvertedResidual(3, stride = 2, expansion = 1)(reshape(x, [1, 2, 3, 2]))"),
    ("layers.Fire", "Fire(2, 3)(reshape(x, [1, 2, 3, 2]))"),
    ("losses.ctc", "ctc(reshape(x, [1, 3, 4]), [[2, 1]])"),
    ("losses.ctc", "ctc(reshape(x, [1, 3, 4]), [[2, -1]], blank = 3)"),
    ("layers.rnn_cell", "rnn_cell(x, y[:, :2], transpose(p)[:, :2], y[:2, :2], x[0, :2])"),
    ("layers.lstm_gates", "lstm_gates(x, y[:, :1])[0]"),
    ("layers.lstm_cell", "lstm_cell(x[:, :2], y[:, :1], p[:, :1], y[:2], x[:1], p[0])[1]"),
    ("layers.gru_gates", "gru_gates(x[:, :3], y[:, :3], x[:, 3:], p[0, :1])"),
    ("layers.gru_cell", "gru_cell(x[:, :2], y[:, :1], y[:2, :3], x[:1, :3], p[1, :3], x[0, :1])"),
    ("layers.recurrent_mask", "recurrent_mask(x, rate = 0.5) * x"),
    ("layers.RNN", "RNN(2)(reshape(x, [1, 3, 4]))"),
    ("layers.LSTM", "LSTM(2, reverse = true)(reshape(x, [1, 3, 4]))"),
    ("layers.LSTM", "LSTM(2, sequence = false, dropout = 0.5)(reshape(x, [1, 3, 4]))"),
    ("layers.LSTMFrom", "LSTMFrom(1)(x[:, :, new], y[:, :1], p[:, :1])[2]"),
    ("layers.GRU", "GRU(2)(reshape(x, [1, 3, 4]))"),
    ("layers.Bidirectional", "Bidirectional(RNN(2), GRU(2, reverse = true))(reshape(x, [1, 3, 4]))"),
];

/// Uses without a gradient, with their values where they are plain to see.
const VALUES: &[(&str, &str, Option<&[f64]>)] = &[
    ("prelude.one_hot", "one_hot([1, 0], classes = 3)", Some(&[0.0, 1.0, 0.0, 1.0, 0.0, 0.0])),
    ("prelude.count", "count([1.0, 2.0, 3.0] > 1.5)", Some(&[2.0])),
    ("prelude.flat_positions", "flat_positions([[5.0, 6.0], [7.0, 8.0]], [[1], [0]], axis = 1)", Some(&[1.0, 2.0])),
    ("prelude.eye", "eye(2)", Some(&[1.0, 0.0, 0.0, 1.0])),
    ("prelude.qr", "qr([[0.0, 2.0], [3.0, 4.0]] + 0.0)[0]", Some(&[0.0, 1.0, 1.0, 0.0])),
    ("prelude.qr", "qr([[0.0, 2.0], [3.0, 4.0]] + 0.0)[1]", Some(&[3.0, 4.0, 0.0, 2.0])),
    ("prelude.inverse", "inverse([[2.0, 0.0], [0.0, 4.0]] + 0.0)", Some(&[0.5, 0.0, 0.0, 0.25])),
    (
        "prelude.inverse_root",
        "inverse_root([[4.0, 0.0], [0.0, 16.0]] + 0.0, p = 2, eps = 0)",
        Some(&[0.5, 0.0, 0.0, 0.25]),
    ),
    ("optimizers.newton_schulz", "newton_schulz([[3.0, 0.0]] + 0.0, steps = 0)", None),
    ("init.fan_in", "fan_in([3, 3, 8, 16])", Some(&[72.0])),
    ("init.fan_in", "fan_in([784, 128])", Some(&[784.0])),
    ("init.fan_out", "fan_out([3, 3, 8, 16])", Some(&[144.0])),
    ("init.fan_out", "fan_out([784, 128])", Some(&[128.0])),
    ("init.fan_in", "fan_in([3, 3, 2, 16])", Some(&[18.0])),
    ("init.product", "product([2, 3, 4])", Some(&[24.0])),
    ("layers.lstm_bias", "lstm_bias([8])", Some(&[0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])),
    ("layers.Embedding", "Embedding(5, 2, init = ones)([4, 0])", Some(&[1.0, 1.0, 1.0, 1.0])),
    ("schedules.constant_rate", "constant_rate(0.5)(3)", Some(&[0.5])),
    ("schedules.step_decay", "step_decay(1.0, every = 2)(3)", Some(&[0.1])),
    ("schedules.multi_step", "multi_step(1.0, [2, 4], factor = 0.5)(5)", Some(&[0.25])),
    ("schedules.exponential", "exponential(1.0, rate = 0.5)(3)", Some(&[0.25])),
    ("schedules.linear", "linear(1.0, 0.0, total = 4)(3)", Some(&[0.5])),
    ("schedules.cosine", "cosine(1.0, total = 4)(3)", Some(&[0.5])),
    ("schedules.warmup_cosine", "warmup_cosine(1.0, 10, 110)(60)", Some(&[0.5])),
    ("schedules.warmup", "warmup(1.0, 4)(1)", Some(&[0.25])),
    ("schedules.inverse_time", "inverse_time(1.0, rate = 1.0)(2)", Some(&[0.5])),
    ("schedules.polynomial", "polynomial(1.0, total = 4, power = 2)(3)", Some(&[0.25])),
    ("schedules.cosine_restarts", "cosine_restarts(1.0, period = 4)(7)", Some(&[0.5])),
    ("schedules.one_cycle", "one_cycle(1.0, total = 100)(1)", Some(&[0.04])),
    ("prelude.causal_mask", "float(causal_mask(2))", Some(&[1.0, 0.0, 1.0, 1.0])),
    ("prelude.padding_mask", "float(padding_mask([2, 0], time = 3))", Some(&[1.0, 1.0, 0.0, 0.0, 0.0, 0.0])),
    ("prelude.additive_mask", "exp(additive_mask(causal_mask(2)))", Some(&[1.0, 0.0, 1.0, 1.0])),
    ("prelude.triu", "triu([[1.0, 2.0], [3.0, 4.0]] + 0.0)", Some(&[1.0, 2.0, 0.0, 4.0])),
    ("prelude.repeat", "repeat([1, 2], 2)", Some(&[1.0, 1.0, 2.0, 2.0])),
    ("prelude.tile", "tile([1, 2], 2)", Some(&[1.0, 2.0, 1.0, 2.0])),
    ("prelude.roll", "roll([1, 2, 3], 1)", Some(&[3.0, 1.0, 2.0])),
    ("prelude.roll", "roll([1, 2, 3], -4)", Some(&[2.0, 3.0, 1.0])),
    ("prelude.top_k", "top_k([[1.0, 5.0, 3.0]] + 0.0, 2)[1]", Some(&[1.0, 2.0])),
    ("prelude.pairwise_distance", "pairwise_distance([[0.0, 0.0], [3.0, 4.0]], [[0.0, 0.0]])", Some(&[0.0, 5.0])),
    ("builtin.einsum", "einsum(\"ii\", [[1.0, 2.0], [3.0, 4.0]])", Some(&[5.0])),
    ("builtin.einsum", "einsum(\"ij->ji\", [[1.0, 2.0], [3.0, 4.0]])", Some(&[1.0, 3.0, 2.0, 4.0])),
    ("builtin.einsum", "einsum(\"bi,bj->b\", [[1.0, 2.0]], [[3.0, 4.0]])", Some(&[21.0])),
    ("builtin.is_int", "float(is_int([1, 2]))", Some(&[1.0])),
    ("builtin.is_int", "float(is_int([1.5, 2.0]))", Some(&[0.0])),
    ("activations.hard_tanh", "hard_tanh([-2.0, 0.5, 2.0])", Some(&[-1.0, 0.5, 1.0])),
    ("activations.soft_shrink", "soft_shrink([-2.0, 0.25, 2.0])", Some(&[-1.5, 0.0, 1.5])),
    ("activations.hard_shrink", "hard_shrink([-2.0, 0.25, 2.0])", Some(&[-2.0, 0.0, 2.0])),
    ("activations.threshold", "threshold([-2.0, 0.5], 0.3, 7)", Some(&[7.0, 0.5])),
    ("activations.square_plus", "square_plus([0.0, 1.5])", Some(&[1.0, 2.0])),
    ("activations.sparse_plus", "sparse_plus([-2.0, 0.0, 3.0])", Some(&[0.0, 0.25, 3.0])),
    ("activations.sparse_sigmoid", "sparse_sigmoid([-2.0, 0.0, 3.0])", Some(&[0.0, 0.5, 1.0])),
    (
        "activations.sparsemax",
        "sparsemax([[0.5, 0.25, -1.0], [3.0, 0.0, 0.0]])",
        Some(&[0.625, 0.375, 0.0, 1.0, 0.0, 0.0]),
    ),
    ("activations.gumbel_softmax", "sum(gumbel_softmax([[1.0, 2.0, 3.0]], hard = true))", Some(&[1.0])),
    ("losses.mape", "mape([2.0, 3.0], [1.0, 4.0])", Some(&[62.5])),
    ("losses.dice", "dice([1.0, 0.0, 1.0], [1.0, 1.0, 0.0], smooth = 0)", Some(&[0.5])),
    ("losses.tversky", "tversky([1.0, 0.0, 1.0], [1.0, 1.0, 0.0], smooth = 0)", Some(&[0.5])),
    ("losses.jaccard", "jaccard([1.0, 1.0, 0.0, 1.0], [1.0, 1.0, 1.0, 0.0], smooth = 0)", Some(&[0.5])),
    ("losses.multi_label_margin", "multi_label_margin([[0.1, 0.2, 0.4, 0.8]], [[1.0, 0.0, 0.0, 1.0]])", Some(&[0.85])),
    ("losses.margin_ranking", "margin_ranking([1.0], [3.0], [1.0], margin = 0.5)", Some(&[2.5])),
    ("losses.hinge_embedding", "hinge_embedding([0.5, 0.25], [1.0, -1.0])", Some(&[0.625])),
    ("losses.gaussian_kl", "gaussian_kl([[1.0, 2.0]], [[0.0, 0.0]])", Some(&[2.5])),
    ("init.identity", "identity([2, 3], gain = 2)", Some(&[2.0, 0.0, 0.0, 0.0, 2.0, 0.0])),
    ("init.dirac", "dirac([3, 2, 1])", Some(&[0.0, 0.0, 1.0, 0.0, 0.0, 0.0])),
    ("init.dirac", "dirac([1, 3, 2, 2])", Some(&[0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0])),
    ("layers.last_axes", "last_axes(2)", None),
    ("layers.axis_numbers", "axis_numbers(3)", None),
    ("layers.per_axis", "per_axis(3, 2)", None),
    ("layers.per_axis", "per_axis([3, 2], 2)", None),
    (
        "layers.AvgPool2d",
        "AvgPool2d(2, padding = 1)(reshape([1.0, 2.0, 3.0, 4.0], [1, 2, 2, 1]))",
        Some(&[1.0, 2.0, 3.0, 4.0]),
    ),
    (
        "layers.Conv1d",
        "Conv1d(1, 2, causal = true, init = ones)(reshape([1.0, 2.0, 3.0], [1, 3, 1]))",
        Some(&[1.0, 3.0, 5.0]),
    ),
    (
        "layers.Conv2d",
        "Conv2d(1, 3, init = dirac, padding = \"same\")(reshape([1.0, 2.0, 3.0, 4.0], [1, 2, 2, 1]))",
        Some(&[1.0, 2.0, 3.0, 4.0]),
    ),
    ("layers.clamp_index", "clamp_index([-2, 1, 7], 3)", Some(&[0.0, 1.0, 2.0])),
    (
        "layers.pad_axis",
        "pad_axis([1.0, 2.0, 3.0], axis = 0, low = 2, high = 1, mode = \"reflect\")",
        Some(&[3.0, 2.0, 1.0, 2.0, 3.0, 2.0]),
    ),
    (
        "layers.pad_axis",
        "pad_axis([1.0, 2.0, 3.0], axis = 0, low = 2, high = 1, mode = \"circular\")",
        Some(&[2.0, 3.0, 1.0, 2.0, 3.0, 1.0]),
    ),
    (
        "layers.pad_axis",
        "pad_axis([1.0, 2.0], axis = 0, low = 1, high = 2, mode = \"replicate\")",
        Some(&[1.0, 1.0, 2.0, 2.0, 2.0]),
    ),
    (
        "layers.pad_axis",
        "pad_axis([1.0, 2.0], axis = 0, low = 1, high = 2, value = 7)",
        Some(&[7.0, 1.0, 2.0, 7.0, 7.0]),
    ),
    ("layers.interpolate", "interpolate([0.0, 4.0], 2, axis = 0)", Some(&[0.0, 1.0, 3.0, 4.0])),
    ("layers.box_means", "box_means([1.0, 2.0, 3.0, 4.0, 5.0], 2, axis = 0)", Some(&[2.0, 4.0])),
    (
        "layers.PixelShuffle",
        "PixelShuffle(2)(reshape([1.0, 2.0, 3.0, 4.0], [1, 1, 1, 4]))[0, :, :, 0]",
        Some(&[1.0, 2.0, 3.0, 4.0]),
    ),
    ("layers.ChannelShuffle", "ChannelShuffle(2)([1.0, 2.0, 3.0, 4.0])", Some(&[1.0, 3.0, 2.0, 4.0])),
    (
        "layers.LocalResponseNorm",
        "LocalResponseNorm(size = 3, alpha = 3, beta = 1)([1.0, 2.0, 3.0])",
        Some(&[1.0 / 6.0, 2.0 / 15.0, 3.0 / 14.0]),
    ),
    ("layers.TiedEmbedding", "TiedEmbedding(5, 2, init = ones)([4, 0])", Some(&[1.0, 1.0, 1.0, 1.0])),
    ("layers.sinusoids", "sinusoids(1, 4)", Some(&[0.0, 1.0, 0.0, 1.0])),
    ("layers.alibi", "alibi(2, 2)", Some(&[0.0, -0.0625, -0.0625, 0.0, 0.0, -0.00390625, -0.00390625, 0.0])),
];

/// Random starting values of shape [200, 100]: mean, standard deviation, and bounds.
const RANDOM: &[(&str, &str, f64, f64, f64, f64)] = &[
    ("init.uniform", "uniform([200, 100], low = -1, high = 3)", 1.0, 1.154700538, -1.0, 3.0),
    ("init.normal", "normal([200, 100], mean = 1, std = 2)", 1.0, 2.0, -20.0, 20.0),
    ("init.truncated_normal", "truncated_normal([200, 100], std = 1)", 0.0, 0.879625661, -2.0, 2.0),
    ("init.glorot_uniform", "glorot_uniform([200, 100])", 0.0, 0.081649658, -0.141421357, 0.141421357),
    ("init.xavier_uniform", "xavier_uniform([200, 100])", 0.0, 0.081649658, -0.141421357, 0.141421357),
    ("init.glorot_normal", "glorot_normal([200, 100])", 0.0, 0.081649658, -1.0, 1.0),
    ("init.xavier_normal", "xavier_normal([200, 100])", 0.0, 0.081649658, -1.0, 1.0),
    ("init.he_normal", "he_normal([200, 100])", 0.0, 0.1, -1.0, 1.0),
    ("init.kaiming_normal", "kaiming_normal([200, 100])", 0.0, 0.1, -1.0, 1.0),
    ("init.he_uniform", "he_uniform([200, 100])", 0.0, 0.1, -0.173205081, 0.173205081),
    ("init.kaiming_uniform", "kaiming_uniform([200, 100])", 0.0, 0.1, -0.173205081, 0.173205081),
    ("init.lecun_normal", "lecun_normal([200, 100])", 0.0, 0.070710678, -1.0, 1.0),
    ("init.lecun_uniform", "lecun_uniform([200, 100])", 0.0, 0.070710678, -0.122474488, 0.122474488),
    ("init.rademacher", "rademacher([200, 100])", 0.0, 1.0, -1.0, 1.0),
    ("init.zeros", "zeros([200, 100])", 0.0, 0.0, 0.0, 0.0),
    ("init.ones", "ones([200, 100])", 1.0, 0.0, 1.0, 1.0),
    ("init.constant", "constant([200, 100], value = 0.5)", 0.5, 0.0, 0.5, 0.5),
    (
        "init.variance_scaling",
        "variance_scaling([200, 100], scale = 2, distribution = \"normal\")",
        0.0,
        0.1,
        -1.0,
        1.0,
    ),
    ("init.variance_scaling", "variance_scaling([200, 100], mode = \"fan_out\")", 0.0, 0.1, -0.228, 0.228),
    (
        "init.variance_scaling",
        "variance_scaling([200, 100], mode = \"fan_avg\", distribution = \"uniform\")",
        0.0,
        0.081649658,
        -0.141421357,
        0.141421357,
    ),
    ("init.torch_uniform", "torch_uniform([200, 100])", 0.0, 0.040824829, -0.070710678, 0.070710678),
    ("init.orthogonal", "orthogonal([200, 100])", 0.0, 0.070710678, -1.0, 1.0),
    ("init.orthogonal", "orthogonal([2, 50, 200])", 0.0, 0.070710678, -1.0, 1.0),
    ("init.delta_orthogonal", "sqrt(200) * delta_orthogonal([1, 1, 100, 200])[0]", 0.0, 1.0, -14.2, 14.2),
    ("init.sparse", "sparse([200, 100], 0.75, std = 2)", 0.0, 1.0, -20.0, 20.0),
];

/// What a training step uses: metrics, rules, and sums over parameters. Tested by the train items below.
const IN_STEPS: &[DefKind] = &[DefKind::Metric, DefKind::Optimizer, DefKind::Transform];

/// Parts of training steps: a sum over parameters, what a rule does to its update. The steps that use them are tested.
const PARTS: &[&str] =
    &["prelude.l1", "prelude.l2", "optimizers.without_radial_part", "metrics.hits", "metrics.averaged", "metrics.runs"];

/// Definitions of the library: kind, module, name.
fn definitions() -> Vec<(DefKind, &'static str, String)> {
    let mut out = vec![];
    for (module, text) in MODULES {
        let mut sources = SourceMap::new();
        let file = sources.add(*module, *text);
        let (file, diags) = parse_file(&sources, file);
        assert!(diags.is_empty(), "{module}: {}", diags[0].title);
        for item in file.items {
            if let ItemKind::Def(def) = item.kind {
                assert!(
                    item.doc.is_some() || !matches!(def.kind, DefKind::Optimizer | DefKind::Layer),
                    "{}",
                    def.name.name
                );
                out.push((def.kind, public_name(module), def.name.name));
            }
        }
    }
    out
}

#[test]
fn every_definition_is_tested() {
    let named = DIFFERENTIABLE.iter().map(|d| d.0).chain(VALUES.iter().map(|v| v.0)).chain(RANDOM.iter().map(|r| r.0));
    let tested: BTreeSet<&str> = named.collect();
    let mut missing = vec![];
    for (kind, module, name) in definitions() {
        let path = format!("{module}.{name}");
        if !IN_STEPS.contains(&kind) && !PARTS.contains(&path.as_str()) && !tested.contains(path.as_str()) {
            missing.push(path);
        }
    }
    assert!(missing.is_empty(), "library definitions without a test: {missing:?}");
}

/// Numbers in (low, high) that are the same every time.
fn spread(stream: u32, count: usize, low: f64, high: f64) -> Vec<f64> {
    let unit = |i: usize| f64::from(random_bits([stream, 5], 0, i as u32, 0)) / f64::from(u32::MAX);
    (0..count).map(|i| low + (high - low) * unit(i)).collect()
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let mut scope = Scope::new("");
    let names = ["x", "y", "p"];
    let ty = Type::new(DType::F64, vec![3, 4]);
    let lets: Vec<(String, Type)> = names.iter().map(|n| (n.to_string(), ty.clone())).collect();
    let mut failures = vec![];
    for (k, (path, text)) in DIFFERENTIABLE.iter().enumerate() {
        let seed = 3 * k as u32;
        let values = [spread(seed, 12, -2.0, 2.0), spread(seed + 1, 12, -2.0, 2.0), spread(seed + 2, 12, 0.1, 0.9)];
        let used: Vec<usize> =
            (0..3).filter(|i| text.split(|c: char| !c.is_alphanumeric()).any(|w| w == names[*i])).collect();
        let wrt: Vec<String> = used.iter().map(|i| names[*i].to_string()).collect();
        let graph = match scope.graph(text, &lets, DType::F64, &wrt, true) {
            Ok(graph) => graph,
            Err(message) => {
                failures.push(format!("{path}: {text}\n{message}"));
                continue;
            }
        };
        let size = graph.ty(graph.outputs[0].node).elements();
        let weights = spread(1000 + seed, size, -1.0, 1.0);
        let inputs = |at: &[Vec<f64>; 3]| -> Vec<Tensor> {
            let value = |i: &optc::ir::Input| match (names.iter().position(|n| *n == i.name), &i.kind) {
                (Some(n), _) => Tensor::from_f64s(i.ty.clone(), &at[n]),
                (None, InputKind::Random) => Tensor::scalar(DType::I32, 1.0),
                (None, InputKind::Step) => Tensor::scalar(DType::F64, 1.0),
                (None, InputKind::State) => Tensor::from_f64s(i.ty.clone(), &vec![1.0; i.ty.elements()]),
                _ => Tensor::from_f64s(i.ty.clone(), &weights),
            };
            graph.inputs.iter().map(value).collect()
        };
        let mut code: Vec<_> = ENGINES.iter().map(|e| (e.name, e.run(&graph, &mut inputs(&values)))).collect();
        let mut interpreter = INTERPRETER.prepare(&graph);
        let mut results = crate::engine::results(&graph);
        let mut weighed = |at: &[Vec<f64>; 3]| -> f64 {
            let mut inputs = inputs(at);
            interpreter.run(&mut inputs.iter_mut().collect::<Vec<_>>(), &mut results);
            results[0].to_f64s().iter().zip(&weights).map(|(y, w)| y * w).sum()
        };
        for (g, input) in used.iter().enumerate() {
            // A gradient that the expression stops is zero, whatever the differences say.
            let stopped = text.contains(&format!("stop_gradient({})", names[*input]))
                || text.contains(&format!("({} > 0)", names[*input]));
            for element in 0..12 {
                let x = values[*input][element];
                let mut at = values.clone();
                let h = 1e-5;
                at[*input][element] = x + h;
                let above = weighed(&at);
                at[*input][element] = x - h;
                let numeric = if stopped { 0.0 } else { (above - weighed(&at)) / (2.0 * h) };
                for (engine, results) in &mut code {
                    let found = results[1 + g].to_f64s()[element];
                    let close = (found - numeric).abs() <= 1e-6 * (1.0 + numeric.abs());
                    if !close {
                        let name = names[*input];
                        failures.push(format!(
                            "{path} {engine}: {text}: d {name}[{element}] at {x} is {found}, differences say {numeric}"
                        ));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn definitions_without_gradient_have_their_values() {
    let mut scope = Scope::new("");
    for (path, text, expected) in VALUES {
        let graph = scope.graph(text, &[], DType::F64, &[], false).unwrap_or_else(|e| panic!("{path}: {e}"));
        for engine in ENGINES {
            let mut inputs: Vec<Tensor> = graph.inputs.iter().map(|i| Tensor::zeros(i.ty.clone())).collect();
            let found = engine.run(&graph, &mut inputs)[0].to_f64s();
            if let Some(expected) = expected {
                let same =
                    found.len() == expected.len() && found.iter().zip(*expected).all(|(a, b)| (a - b).abs() < 1e-12);
                assert!(same, "{path} {}: {text} is {found:?}, not {expected:?}", engine.name);
            }
        }
    }
}

#[test]
fn random_starting_values_have_their_moments() {
    let mut scope = Scope::new("");
    for (path, text, mean, std, low, high) in RANDOM {
        for float in [DType::F32, DType::F64] {
            let graph = scope.graph(text, &[], float, &[], false).unwrap_or_else(|e| panic!("{path}: {e}"));
            for engine in ENGINES {
                for key in [1.0, 77.0] {
                    let mut inputs: Vec<Tensor> =
                        graph.inputs.iter().map(|i| Tensor::scalar(i.ty.dtype, key)).collect();
                    let values = engine.run(&graph, &mut inputs)[0].to_f64s();
                    let n = values.len() as f64;
                    let found_mean = values.iter().sum::<f64>() / n;
                    let found_std = (values.iter().map(|v| (v - found_mean).powi(2)).sum::<f64>() / n).sqrt();
                    let place = format!("{path} {} {float}", engine.name);
                    // Four standard errors; of a deviation it is at most that of a Gaussian's.
                    assert!(
                        (found_mean - mean).abs() <= 4.0 * std / n.sqrt() + 1e-7,
                        "{place}: mean {found_mean}, not {mean}"
                    );
                    assert!(
                        (found_std - std).abs() <= 4.0 * std / (2.0 * n).sqrt() + 1e-7,
                        "{place}: deviation {found_std}, not {std}"
                    );
                    let slack = 1e-7 * (1.0 + high.abs());
                    assert!(
                        values.iter().all(|v| *v >= low - slack && *v <= high + slack),
                        "{place}: outside {low}..{high}"
                    );
                }
            }
        }
    }
}

/// Two batches through every metric: those with states count over both, the others see the last one.
#[test]
fn metrics_have_their_values() {
    // Guesses: 1 0 1 1 | 0 1; labels: 1 0 0 1 | 1 1; so over both: tp 3, fp 1, fn 1, tn 1.
    let batches: [(&[f64], &[f64]); 2] = [(&[1.0, 0.0, 1.0, 1.0], &[1.0, 0.0, 0.0, 1.0]), (&[0.0, 1.0], &[1.0, 1.0])];
    let (p, t): ([&[f64]; 2], [&[f64]; 2]) =
        ([&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0]], [&[1.0, 2.0, 3.0, 2.0], &[5.0, 9.0]]);
    // Residuals: 0 0 0 2 0 -3: squares 13 over 6 rows; targets have mean 22/6 and squares 124.
    let expected = [
        ("accuracy", 0.5),
        ("binary_accuracy", 0.5),
        ("mse", 4.5),
        ("rmse", (13.0_f64 / 6.0).sqrt()),
        ("mae", 1.5),
        ("r2", 1.0 - 13.0 / (124.0 - 22.0 * 22.0 / 6.0)),
        ("precision", 0.75),
        ("recall", 0.75),
        ("f1", 0.75),
        ("confusion", 1.0),
    ];
    // Those of all rows of a pass at once, and tables, have their values in `metrics.rs`.
    const ELSEWHERE: &[&str] =
        &["confusion_matrix", "top_k_accuracy", "perplexity", "roc_auc", "roc_auc_ovr", "pr_auc"];
    let metrics =
        definitions().into_iter().filter(|(k, _, n)| *k == DefKind::Metric && !ELSEWHERE.contains(&n.as_str()));
    let missing: Vec<String> = metrics.map(|(_, _, n)| n).filter(|m| expected.iter().all(|(n, _)| n != m)).collect();
    assert!(missing.is_empty(), "metrics without a value: {missing:?}");
    let text = "
        use metrics.*
        use optimizers.SGD
        model Net()(x: float[N, 2]) -> float { param w: float = zeros; w * mean(x) }
        data given = synthetic.linear(rows = 4)
        train run on given {
          batch = all
          let net = Net()
          step(logits, label, p, t) {
            minimize net(logits) with SGD(0.1)
            report accuracy(logits, label), precision(logits, label), recall(logits, label), f1(logits, label)
            report confusion(logits, label, actual = 0, guessed = 1), binary_accuracy(logits[:, 1] - 0.5, float(label))
            report mse(p, t), rmse(p, t), mae(p, t), r2(p, t)
          }
        }";
    let column = |name: &str, is_float, shape: Vec<usize>| Column { name: name.into(), is_float, shape, classes: None };
    let columns = [
        column("logits", true, vec![2]),
        column("label", false, vec![]),
        column("p", true, vec![]),
        column("t", true, vec![]),
    ];
    for engine in &[INTERPRETER, COMPILED] {
        let program = on_columns(text, DType::F64, &columns, 4);
        let mut run = Run::new(&program, engine);
        let mut last = Default::default();
        for (b, (guess, label)) in batches.iter().enumerate() {
            let n = guess.len();
            let logits: Vec<f64> = guess.iter().flat_map(|g| [1.0 - g, *g]).collect();
            let logits = Tensor::from_f64s(Type::new(DType::F64, vec![n, 2]), &logits);
            let label = Tensor::from_f64s(Type::new(DType::I32, vec![n]), label);
            let [p, t] = [p[b], t[b]].map(|v| Tensor::from_f64s(Type::new(DType::F64, vec![n]), v));
            last = run.eval(&[("logits", &logits), ("label", &label), ("p", &p), ("t", &t)]);
        }
        for (name, value) in expected {
            let found = last[name];
            assert!((found - value).abs() < 1e-9, "{name} {}: {found}, not {value}", engine.name);
        }
    }
}
