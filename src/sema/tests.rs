use super::{BuildOptions, eval_graph, load, program};
use crate::data;
use crate::diag::render::render;
use crate::ir::{DType, Type};
use crate::runtime::Tensor;
use crate::source::SourceMap;
use crate::syntax::parse_expr;
use std::sync::Arc;

/// The value and gradients of an expression, through the interpreter in f64.
pub fn eval(text: &str, lets: &[(&str, Vec<usize>, Vec<f64>)], grads: &[&str]) -> Result<Vec<Vec<f64>>, String> {
    let mut sources = SourceMap::new();
    let file = sources.add("test.opt", "");
    let (modules, diags) = load(&mut sources, file, true, &|_| Err("no files".into()));
    if !diags.is_empty() {
        return Err(render(&sources, &diags, false));
    }
    let id = sources.add("expression", text);
    let expr = parse_expr(&sources, id).map_err(|d| render(&sources, &d, false))?;
    let types: Vec<(String, Type)> =
        lets.iter().map(|(n, s, _)| (n.to_string(), Type::new(DType::F64, s.clone()))).collect();
    let grads: Vec<String> = grads.iter().map(|g| g.to_string()).collect();
    let made = eval_graph(&modules, &sources, &expr, &types, DType::F64, &grads, false)
        .map_err(|d| render(&sources, &d, false))?;
    crate::ir::verify::verify(&made.graph)?;
    let tensors: Vec<Tensor> = made
        .graph
        .inputs
        .iter()
        .map(|i| match lets.iter().find(|(n, _, _)| *n == i.name) {
            Some((_, _, v)) => Tensor::from_f64s(i.ty.clone(), v),
            None => Tensor::zeros(i.ty.clone()),
        })
        .collect();
    let refs: Vec<&Tensor> = tensors.iter().collect();
    Ok(crate::interp::eval(&made.graph, &refs).iter().map(Tensor::to_f64s).collect())
}

#[test]
fn expressions_have_values_and_gradients() {
    let x = ("x", vec![3], vec![1.0, -2.0, 0.5]);
    for text in ["gelu(x)", "mean(x)", "softmax(x)", "x |> leaky_relu(0.1)", "norm(x)", "huber(x, [0.0, 0.0, 0.0])"] {
        let out = eval(text, &[x.clone()], &["x"]);
        assert!(out.is_ok(), "{text}: {}", out.unwrap_err());
    }
    let z = ("z", vec![2, 3], vec![1.0, -2.0, 0.5, 0.3, 0.2, 0.1]);
    for text in [
        "cross_entropy(z, [1, 2])",
        "accuracy(z, [0, 2])",
        "tril(z)",
        "Dense(2)(z)",
        "he_normal([3, 2])",
        "truncated_normal([4])",
        "warmup_cosine(1.0, 10, 100)(5)",
        "z[0, 1:] + 1",
        "one_hot([0, 1], classes = 3)",
    ] {
        let out = eval(text, &[z.clone()], &[]);
        assert!(out.is_ok(), "{text}: {}", out.unwrap_err());
    }
}

#[test]
fn a_train_item_becomes_a_program() {
    let text = r#"
use layers.{Dense, Dropout, flatten}
use losses.{cross_entropy, mse}
use metrics.accuracy
use optimizers.{AdamW, LAMB}
data points = synthetic.linear(rows = 64, seed = 1)
model Mlp(hidden: int = 8)(x: float[N, 2]) -> float[N, 1] {
  x |> Dense(hidden, init = he_normal) |> relu |> Dropout(0.2) |> Dense(1)
}
train demo(lr: float = 1e-3) on points {
  batch = 16; epochs = 2
  let net = Mlp(8)
  step(x, y) {
    let p = net(x)[.., 0]
    minimize mse(p, y) with LAMB(lr, weight_decay = 0.01)
    report mse(p, y)
  }
}
"#;
    let mut sources = SourceMap::new();
    let file = sources.add("demo.opt", text);
    let (modules, diags) = load(&mut sources, file, false, &|_| Err("no files".into()));
    assert!(diags.is_empty(), "{}", render(&sources, &diags, false));
    let sources = Arc::new(sources);
    let context = data::Context { data_dir: None, file_dir: None };
    let schema = |p: &data::spec::Pipeline| data::schema(p, &context);
    let options = BuildOptions { float: DType::F32, schema: &schema, overrides: vec![] };
    let train = modules.trains().next().unwrap();
    let (program, _) = program(&modules, &sources, train, &options)
        .map_err(|d| println!("{}", render(&sources, &d, false)))
        .expect("a program");
    let graph = program.graphs.step(16).expect("a step");
    crate::ir::verify::verify(&graph).unwrap();
    // The rule with norms runs once over the arena: its states lie end to end as the parameters do.
    let names: Vec<&str> = program.buffers.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(names, ["params.lamb", "lamb.m", "lamb.v"]);
    let paths: Vec<&str> = program.buffers[0].views.iter().map(|v| v.path.as_str()).collect();
    assert_eq!(paths, ["net.dense1.w", "net.dense1.b", "net.dense2.w", "net.dense2.b"]);
    assert_eq!(program.hypers.len(), 5);
    crate::ir::verify::verify(&program.init).unwrap();
}

#[test]
fn constants_of_different_types_meet_without_an_internal_error() {
    let x = ("x", vec![2], vec![1.0, 2.0]);
    let value = |text: &str| eval(text, std::slice::from_ref(&x), &[]).map(|v| v[0].clone());
    assert_eq!(value("2 * [1, 2] + 0 * [1, 0]"), Ok(vec![2.0, 4.0]));
    assert_eq!(value("0.5 * [1, 2]"), Ok(vec![0.5, 1.0]));
    assert_eq!(value("[1, 2] * [0.5, 1.0]"), Ok(vec![0.5, 2.0]));
    for wrong in ["x + true", "true * [1, 2]", "where(x > 0, true, 1.0)", "where(x > 1, [true, false], x)"] {
        assert!(value(wrong).is_err_and(|e| e.contains("E02")), "{wrong}");
    }
}
