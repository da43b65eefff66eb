//! Which text of the language stands for which recorded operation.

use serde_json::Value;

/// The outputs' names and the expressions for them.
pub type Expressions = Vec<(&'static str, String)>;

/// `, name = value` for each attribute that a case has.
fn settings(attrs: &Value, names: &[&str]) -> String {
    let given = names.iter().filter(|n| !attrs[**n].is_null());
    given.map(|n| format!(", {n} = {}", attrs[*n])).collect()
}

/// The expression for a case of a file, over inputs of the case's names.
pub fn entry(op: &str, case: &str, attrs: &Value) -> Option<Expressions> {
    let attr = |name: &str| attrs[name].as_f64().unwrap_or_else(|| panic!("{op}/{case}: attribute {name}"));
    let function = || attrs["function"].as_str().unwrap_or_default();
    // An axis as text: a number, a list, or all.
    let axis = || match &attrs["axis"] {
        Value::Null => "all".to_string(),
        other => other.to_string(),
    };
    let keep = || attrs["keepdim"].as_bool().unwrap_or(false);
    let sum = attrs["reduction"] == "sum";
    let y = |text: String| Some(vec![("y", text)]);
    let text = |text: &str| y(text.to_string());
    let channels_last = |layer: String| y(format!("to_nchw({layer}(to_nhwc(x)))"));
    match op {
        "graph_cnn" => text("cross_entropy(small_cnn(x, w1, b1, gamma, beta, w2), target)"),
        // Their channels come second, and kernels are [out, in / groups, ..].
        "conv1d" => y(format!(
            "transpose(conv(transpose(x, [0, 2, 1]), transpose(w, [2, 1, 0]){}) + b, [0, 2, 1])",
            settings(attrs, &["stride", "padding", "dilation", "groups"])
        )),
        "conv2d" => y(format!(
            "to_nchw(conv(to_nhwc(x), transpose(w, [2, 3, 1, 0]){}) + b)",
            settings(attrs, &["stride", "padding", "dilation", "groups"])
        )),
        "conv_transpose2d" => y(format!(
            "to_nchw(conv_transpose(to_nhwc(x), transpose(w, [2, 3, 1, 0]){}) + b)",
            settings(attrs, &["stride", "padding", "output_padding", "dilation", "groups"])
        )),
        "avg_pool2d" | "max_pool1d" | "max_pool2d" => {
            let windows = format!("{}{}", attrs["kernel_size"], settings(attrs, &["stride", "padding"]));
            match op {
                "max_pool1d" => y(format!("transpose(window_max(transpose(x, [0, 2, 1]), {windows}), [0, 2, 1])")),
                "max_pool2d" => y(format!("to_nchw(window_max(to_nhwc(x), {windows}))")),
                _ if attrs["count_include_pad"] == false => y(format!(
                    "to_nchw(window_sum(to_nhwc(x), {windows}) / window_sum(broadcast(1.0, shape(to_nhwc(x))), {windows}))"
                )),
                _ => y(format!("to_nchw(window_sum(to_nhwc(x), {windows})) / {}", attr("kernel_size").powi(2))),
            }
        }
        "ctc" => text("ctc(transpose(logits, [1, 0, 2]), target)"),

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
        "einsum" => y(format!("einsum({}, a, b)", attrs["equation"])),
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
        "repeat" => text("tile(x, 2, axis = 0)"),
        "pad" if case == "reflect" => text("pad_axis(x, axis = 2, low = 2, high = 1, mode = \"reflect\")"),
        "pad" => text("pad(x, low = [0, 1], high = [1, 2], value = 0.5)"),
        "tril" => text("tril(x)"),
        // Images of the library are [batch, height, width, channels].
        "upsample2d" => channels_last(format!("UpSample2d(2, mode = \"{case}\")")),
        "adaptive_avg_pool2d" => {
            channels_last(format!("AdaptiveAvgPool2d({}, {})", attrs["output_size"], attrs["output_size"]))
        }
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
            Some(vec![values, ("indices", format!("argsort(x, {attributes})"))])
        }
        "topk" => {
            Some(vec![("values", "top_k(x, 2, axis = 1)[0]".into()), ("indices", "top_k(x, 2, axis = 1)[1]".into())])
        }

        // Normalisation
        "batch_norm" => {
            let (axes, wide) = if case.ends_with("2d") { ("0", "") } else { ("[0, 2, 3]", "[:, new, new]") };
            if attrs["training"] == false {
                return y(format!(
                    "gamma{wide} * (x - running_mean{wide}) / sqrt(running_var{wide} + 1e-5) + beta{wide}"
                ));
            }
            Some(vec![
                ("y", format!("gamma{wide} * standardized(x, axis = {axes}) + beta{wide}")),
                ("new_running_mean", format!("0.9 * running_mean + 0.1 * mean(x, axis = {axes})")),
                ("new_running_var", format!("0.9 * running_var + 0.1 * variance(x, axis = {axes}, correction = 1)")),
            ])
        }
        "layer_norm" => match case {
            "no_affine" => text("standardized(x)"),
            "two_axes" => text("gamma * standardized(x, axis = [1, 2]) + beta"),
            _ => text("gamma * standardized(x) + beta"),
        },
        "rms_norm" => text("gamma * rms_normalized(x)"),
        "instance_norm" => channels_last("InstanceNorm(affine = false)".into()),
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
            Some(vec![("h_new", part(0)), ("c_new", part(1))])
        }
        "lstm_sequence" => text("lstm_sequence(x, w_ih, w_hh, b_ih, b_hh)"),
        // The file says "x is used several times"; the formula is the one that gives its numbers.
        "graph_fan_out" => text("x * x + exp(x) - x * sum(x)"),
        "graph_mlp" => text("cross_entropy(residual_mlp(x, w1, b1, w2, b2, w3, b3), target)"),
        "graph_stop_gradient" => text("sum(stop_gradient(x) * x) + stop_gradient(sum(x^2))"),
        "graph_transformer_block" => text("transformer_block(x, g1, c1, g2, c2, wqkv, bqkv, wo, bo, f1, e1, f2, e2)"),
        _ => None,
    }
}
