//! Which text of the language stands for which recorded operation.

use serde_json::Value;

/// What a reference file is here.
pub enum Entry {
    /// The output's name and the expression for it.
    Expressions(Vec<(&'static str, String)>),
    /// Not in the language, with the reason.
    Missing(&'static str),
}

const NO_CONVOLUTION: &str = "the primitives have no convolution yet";
const NO_POOLING: &str = "the primitives have no window reduction yet";

/// The expression for a case of a file, over inputs of the case's names.
pub fn entry(op: &str, case: &str, attrs: &Value) -> Option<Entry> {
    let attr = |name: &str| attrs[name].as_f64().unwrap_or_else(|| panic!("{op}/{case}: attribute {name}"));
    let function = || attrs["function"].as_str().unwrap_or_default();
    // An axis as text: a number, a list, or all.
    let axis = || match &attrs["axis"] {
        Value::Null => "all".to_string(),
        other => other.to_string(),
    };
    let keep = || attrs["keepdim"].as_bool().unwrap_or(false);
    let sum = attrs["reduction"] == "sum";
    let y = |text: String| Some(Entry::Expressions(vec![("y", text)]));
    let text = |text: &str| y(text.to_string());
    match op {
        "conv1d" | "conv2d" | "conv_transpose2d" | "graph_cnn" => Some(Entry::Missing(NO_CONVOLUTION)),
        "avg_pool2d" | "max_pool1d" | "max_pool2d" | "adaptive_avg_pool2d" => Some(Entry::Missing(NO_POOLING)),
        "ctc" => text("ctc(transpose(logits, [1, 0, 2]), target)"),
        "graph_fan_out" => Some(Entry::Missing("the file does not record its formula")),

        // Elementwise
        "relu" | "relu6" | "selu" | "sigmoid" | "silu" | "log_sigmoid" | "mish" | "softsign" | "tanh" => {
            y(format!("{op}(x)"))
        }
        "hardsigmoid" => text("hard_sigmoid(x)"),
        "hardswish" => text("hard_swish(x)"),
        "elu" | "celu" => y(format!("{op}(x, alpha = {})", attr("alpha"))),
        "leaky_relu" => y(format!("leaky_relu(x, slope = {})", attr("negative_slope"))),
        "gelu" if attrs["approximate"] == "tanh" => text("gelu_tanh(x)"),
        "gelu" => text("gelu(x)"),
        "softplus" if case == "beta" => y(format!("softplus(x, beta = {})", attr("beta"))),
        "softplus" => text("softplus(x)"),
        "prelu" => text("prelu(x, a[:, new])"),
        "clamp" => y(format!("clamp(x, low = {}, high = {})", attr("min"), attr("max"))),
        "where" => text("where(c, a, b)"),
        "unary_math" => match function() {
            "neg" => text("-x"),
            name => y(format!("{name}(x)")),
        },
        "binary_broadcast" => match function() {
            "add" => text("a + b"),
            "sub" => text("a - b"),
            "mul" => text("a * b"),
            "div" => text("a / b"),
            "pow" => text("a ^ b"),
            name => y(format!("{name}(a, b)")),
        },

        // Reductions and running values
        "reduce" => y(format!("{}(x, axis = {}, keep = {})", function(), axis(), keep())),
        "std_var" => {
            let name = if function() == "var" { "variance" } else { "std" };
            y(format!("{name}(x, axis = {}, correction = {})", axis(), attr("correction")))
        }
        "norm" => match &attrs["p"] {
            Value::String(_) => y(format!("max(abs(x), axis = {})", axis())),
            p if p == 2 => y(format!("norm(x, axis = {})", axis())),
            p => y(format!("p_norm(x, p = {p}, axis = {})", axis())),
        },
        "logsumexp" => y(format!("logsumexp(x, axis = {}, keep = {})", axis(), keep())),
        "softmax" | "log_softmax" | "cumsum" | "cumprod" | "argmax" | "flip" => {
            y(format!("{op}(x, axis = {})", axis()))
        }
        "global_avg_pool" => text("mean(x, axis = [2, 3])"),
        "cosine_similarity" => y(format!("cosine_similarity(a, b, axis = {}, eps = {:e})", axis(), attr("eps"))),

        // Products
        "matmul" | "bmm" => text("a @ b"),
        "einsum" => text("a @ transpose(b)"),
        "linear" => text("linear(x, w, b)"),
        "swiglu" => text("swiglu(x @ transpose(w1), x @ transpose(w2))"),
        "attention" if case == "additive_mask" => text("attention(q, k, v, mask)"),
        "attention" => y(format!("attention(q, k, v, causal = {})", attrs["causal"])),
        "multi_head_attention" => text("mha(x, wqkv, bqkv, wo, bo, heads = 2)"),

        // Movement
        "reshape" => y(format!("reshape(x, {})", attrs["shape"])),
        "transpose" => y(format!("transpose(x, {})", attrs["axes"])),
        "slice" => text("x[:, 1:4:2]"),
        "concat" => text("concat([a, b, a], axis = 0)"),
        "stack" => text("[a, b]"),
        "repeat" => text("concat([x, x], axis = 0)"),
        "pad" if case == "reflect" => {
            text("concat([flip(x[.., 1:3], axis = 2), x, flip(x[.., -2:-1], axis = 2)], axis = 2)")
        }
        "pad" => text("pad(x, low = [0, 1], high = [1, 2], value = 0.5)"),
        "tril" => text("tril(x)"),
        "upsample2d" if case == "nearest" => {
            text("reshape(broadcast(x[:, :, :, new, :, new], [1, 2, 2, 2, 3, 2]), [1, 2, 4, 6])")
        }
        // Interpolation is linear along each axis: a product with the weights of the old places in the new ones.
        "upsample2d" => text(
            "transpose(transpose(x @ [[1, 0.75, 0.25, 0, 0, 0], [0, 0.25, 0.75, 0.75, 0.25, 0], [0, 0, 0, 0.25, 0.75, 1]]) \
             @ [[1, 0.75, 0.25, 0], [0, 0.25, 0.75, 1]])",
        ),
        "gather" => y(format!("take_along(x, i, axis = {})", axis())),
        "index_select" => y(format!("gather(x, i, axis = {})", axis())),
        "embedding" if case == "padding_idx" => {
            text("gather(where(indices(shape(w), axis = 0) == 1, stop_gradient(w), w), i)")
        }
        "embedding" => text("gather(w, i)"),
        "scatter_add" => y(format!("scatter_along(x, i, s, axis = {})", axis())),
        "sort" => {
            let attributes = format!("axis = {}, descending = {}", axis(), attrs["descending"]);
            let values = ("values", format!("sort(x, {attributes})"));
            Some(Entry::Expressions(vec![values, ("indices", format!("argsort(x, {attributes})"))]))
        }
        "topk" => {
            let index = "argsort(x, axis = 1, descending = true)[:, :2]";
            Some(Entry::Expressions(vec![
                ("values", format!("take_along(x, {index}, axis = 1)")),
                ("indices", index.into()),
            ]))
        }

        // Normalisation
        "batch_norm" => {
            let (axes, wide) = if case.ends_with("2d") { ("0", "") } else { ("[0, 2, 3]", "[:, new, new]") };
            if attrs["training"] == false {
                return y(format!(
                    "gamma{wide} * (x - running_mean{wide}) / sqrt(running_var{wide} + 1e-5) + beta{wide}"
                ));
            }
            Some(Entry::Expressions(vec![
                ("y", format!("gamma{wide} * standardized(x, axis = {axes}) + beta{wide}")),
                ("new_running_mean", format!("0.9 * running_mean + 0.1 * mean(x, axis = {axes})")),
                ("new_running_var", format!("0.9 * running_var + 0.1 * variance(x, axis = {axes}, correction = 1)")),
            ]))
        }
        "layer_norm" => match case {
            "no_affine" => text("standardized(x)"),
            "two_axes" => text("gamma * standardized(x, axis = [1, 2]) + beta"),
            _ => text("gamma * standardized(x) + beta"),
        },
        "rms_norm" => text("gamma * rms_normalized(x)"),
        "instance_norm" => text("standardized(x, axis = [2, 3])"),
        "group_norm" if case == "one_group" => text("gamma[:, new] * standardized(x, axis = [1, 2]) + beta[:, new]"),
        "group_norm" => {
            text("gamma[:, new, new] * reshape(standardized(reshape(x, [2, 2, -1])), shape(x)) + beta[:, new, new]")
        }
        "glu" => text("glu(x)"),

        // Losses
        "mse" if sum => text("sum((x - target)^2)"),
        "mae" if sum => text("sum(abs(x - target))"),
        "mse" | "mae" => y(format!("losses.{op}(x, target)").replace("losses.", "")),
        "huber" => y(format!("huber(x, target, delta = {})", attr("delta"))),
        "smooth_l1" => y(format!("smooth_l1(x, target, beta = {})", attr("beta"))),
        "bce" => text("bce(p, target)"),
        "bce_with_logits" if case == "pos_weight" => {
            text("bce_with_logits(logits, target, positive_weight = pos_weight)")
        }
        "bce_with_logits" => text("bce_with_logits(logits, target)"),
        "cross_entropy" => match case {
            "reduction_sum" => text("3 * cross_entropy(logits, target)"),
            "reduction_none" => text("logsumexp(logits, axis = 1) - pick(logits, target, axis = 1)"),
            "label_smoothing" => text("cross_entropy(logits, target, smoothing = 0.1)"),
            "ignore_index" => text("masked_cross_entropy(logits, target)"),
            "class_weights" => text("weighted_cross_entropy(logits, target, weight)"),
            "soft_targets" => text("soft_cross_entropy(logits, target)"),
            _ => text("cross_entropy(logits, target)"),
        },
        "nll" => text("nll(logp, target)"),
        "kl_divergence" if case == "distillation" => text("distillation(student, teacher, temperature = 3)"),
        "kl_divergence" => text("kl(logq, p)"),
        "hinge" => match case {
            "squared" => text("squared_hinge(x, target)"),
            "multi_class" => text("multi_class_hinge(x, target)"),
            _ => text("hinge(x, target)"),
        },
        "focal" if case == "binary" => text("binary_focal(logits, target)"),
        "focal" => text("focal(logits, target)"),
        "triplet" => text("triplet(anchor, positive, negative)"),
        "cosine_embedding_loss" => text("cosine_embedding(a, b, t, margin = 0.2)"),

        // Cells and whole networks
        "rnn_cell" => text("rnn_cell(x, h, transpose(w_ih), transpose(w_hh), b_ih + b_hh)"),
        "gru_cell" => text("gru_of_rows(x, h, w_ih, w_hh, b_ih, b_hh)"),
        "lstm_cell" => {
            let part = |k: usize| format!("lstm_of_rows(x, h, c, w_ih, w_hh, b_ih, b_hh, part = {k})");
            Some(Entry::Expressions(vec![("h_new", part(0)), ("c_new", part(1))]))
        }
        "lstm_sequence" => text("lstm_sequence(x, w_ih, w_hh, b_ih, b_hh)"),
        "graph_mlp" => text("cross_entropy(residual_mlp(x, w1, b1, w2, b2, w3, b3), target)"),
        "graph_stop_gradient" => text("sum(stop_gradient(x) * x) + stop_gradient(sum(x^2))"),
        "graph_transformer_block" => text("transformer_block(x, g1, c1, g2, c2, wqkv, bqkv, wo, bo, f1, e1, f2, e2)"),
        _ => None,
    }
}
