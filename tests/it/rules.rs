//! Rules that users write: mistakes and their messages, hints, what evaluation uses, and how many passes a rule takes.

use crate::engine::ENGINES;
use crate::language::on_columns;
use crate::run::Run;
use optc::data::spec::{Column, Schema};
use optc::diag::{Diagnostic, render::render};
use optc::driver::Session;
use optc::ir::{DType, Type};
use optc::passes::simplify;
use optc::runtime::Tensor;
use optc::runtime::exec::{Compiled, Options};
use optc::sema::{self, BuildOptions};
use optc::source::SourceMap;
use std::sync::Arc;

/// A rule with one mistake each.
const MISTAKES: &[(&str, &str)] = &[
    (
        "a state of another shape",
        "optimizer R(lr = 0.1)(theta: float[A, B], g, t) {\n  state r: float[A] = 0\n  r <- sum(g^2, axis = 0)\n  theta <- theta - lr*g\n}",
    ),
    (
        "a row against a matrix",
        "optimizer R(lr = 0.1)(theta: float[A, B], g, t) {\n  state r: float[A] = 0\n  r <- r + sum(g^2, axis = 1)\n  theta <- theta - lr*g / (r + 1)\n}",
    ),
    (
        "a shape of unknown size",
        "optimizer R(lr = 0.1)(theta, g, t) {\n  state r: float[Rows] = 0\n  theta <- theta - lr*g + 0*sum(r)\n}",
    ),
    ("an unknown name", "optimizer R(lr = 0.1)(theta, g, t) {\n  theta <- theta - lr*gradient\n}"),
    (
        "a misspelt hyper-parameter",
        "optimizer R(learning_rate = 0.1)(theta, g, t) {\n  theta <- theta - learning_rat*g\n}",
    ),
    ("an update of nothing", "optimizer R(lr = 0.1)(theta, g, t) {\n  m <- 0.9*m + g\n  theta <- theta - lr*m\n}"),
    (
        "a state without a start",
        "optimizer R(lr = 0.1)(theta, g, t) {\n  state m\n  m <- m + g\n  theta <- theta - lr*m\n}",
    ),
    ("no update", "optimizer R(lr = 0.1)(theta, g, t) {\n  let step = theta - lr*g\n}"),
    (
        "a hyper-parameter that is a list",
        "optimizer R(lr: float = [0.1, 0.2])(theta, g, t) {\n  theta <- theta - lr*g\n}",
    ),
    (
        "a hyper-parameter that is a string",
        "optimizer R(lr: schedule = \"fast\")(theta, g, t) {\n  theta <- theta - lr*g\n}",
    ),
    ("a required hyper-parameter", "optimizer R(lr)(theta, g, t) {\n  theta <- theta - lr*g\n}"),
    ("a scalar for theta", "optimizer R(lr = 0.1)(theta: float[A, B], g, t) {\n  theta <- transpose(theta) - lr*g\n}"),
    (
        "one value for all, another for each",
        "optimizer R(lr = 0.1)(theta, g, t) {\n  all state n: float = 0\n  n <- norm(g)\n  theta <- theta - lr*g / (n + 1)\n}",
    ),
    (
        "one value for all, another for each shape",
        "optimizer R(lr = 0.1)(theta, g, t) {\n  all state n: float = 0\n  n <- sum(g[0])\n  theta <- theta - lr*g / (n + 1)\n}",
    ),
    (
        "a reduction that does not exist",
        "optimizer R(lr = 0.1)(theta, g, t) {\n  theta <- theta - lr*g / (all.std(g) + 1)\n}",
    ),
    ("a transform where a rule is wanted", "transform R()(g, theta, t) = 2*g"),
    (
        "a product of shapes that do not fit",
        "optimizer R(lr = 0.1)(theta: float[A, B], g, t) {\n  theta <- theta - lr*(g @ g)\n}",
    ),
    ("a rule for matrices on vectors", "optimizer R(lr = 0.1)(theta: float[A, B], g, t) {\n  theta <- theta - lr*g\n}"),
    (
        "a list of states without a length",
        "optimizer R(lr = 0.1)(theta, g, t) {\n  state h: list = 0\n  theta <- theta - lr*g\n}",
    ),
    (
        "outside a list of states",
        "optimizer R(lr = 0.1, k: int = 2)(theta, g, t) {\n  state h: list[k] = 0\n  h[k] <- g\n  theta <- theta - lr*h[0]\n}",
    ),
    (
        "a run-time place in a list",
        "optimizer R(lr = 0.1, k: int = 2)(theta, g, t) {\n  state h: list[k] = 0\n  h[t % k] <- g\n  theta <- theta - lr*h[0]\n}",
    ),
    (
        "an item of a tensor",
        "optimizer R(lr = 0.1)(theta, g, t) {\n  state h = 0\n  h[0] <- g\n  theta <- theta - lr*h\n}",
    ),
    (
        "eval of another name",
        "optimizer R(lr = 0.1)(theta, g, t) {\n  state m = 0\n  m <- m + g\n  theta <- theta - lr*m\n  eval m = theta\n}",
    ),
    (
        "eval in a run-time choice",
        "optimizer R(lr = 0.1)(theta, g, t) {\n  theta <- theta - lr*g\n  if t > 10 { eval theta = 2*theta }\n}",
    ),
    (
        "eval that needs a gradient",
        "optimizer R(lr = 0.1)(theta, g, t) {\n  theta <- theta - lr*g\n  eval theta = theta - lr*g\n}",
    ),
    (
        "eval in a transform",
        "transform Q()(g, theta, t) {\n  eval theta = g\n  2*g\n}\noptimizer R(lr = 0.1)(theta, g, t) {\n  theta <- theta - lr*Q()(g, theta, t)\n}",
    ),
    (
        "eval of another shape",
        "optimizer R(lr = 0.1)(theta: float[A, B], g, t) {\n  theta <- theta - lr*g\n  eval theta = transpose(theta)\n}",
    ),
    (
        "an inner rule that is none",
        "optimizer R(inner: optimizer)(theta, g, t) {\n  inner(theta, g, t)\n}\noptimizer S()(theta, g, t) {\n  R(0.1)(theta, g, t)\n}",
    ),
    (
        "too few inputs for an inner rule",
        "optimizer R(inner: optimizer = SGD(0.1))(theta, g, t) {\n  inner(theta, g)\n}",
    ),
    (
        "a direction of another shape",
        "optimizer R(lr = 0.1)(theta: float[A, B], g, t) {\n  theta <- theta - lr*hvp(transpose(g))\n}",
    ),
    ("a sum of true and false", "optimizer R(lr = 0.1)(theta, g, t) {\n  theta <- theta - lr*all.sum(g > 0)*g\n}"),
    ("a decomposition of a vector", "optimizer R(lr = 0.1)(theta, g, t) {\n  theta <- theta - lr*cholesky(g)\n}"),
    ("a loop of run-time length", "optimizer R(lr = 0.1)(theta, g, t) {\n  for i in 0..t { theta <- theta - lr*g }\n}"),
    ("observing a tensor", "optimizer R(lr = 0.1)(theta, g, t) {\n  observe g\n  theta <- theta - lr*g\n}"),
    ("a parameter in a rule", "optimizer R(lr = 0.1)(theta, g, t) {\n  param w: float = 0\n  theta <- theta - lr*g\n}"),
    ("a float where a count is wanted", "optimizer R(k: int = 2.5)(theta, g, t) {\n  theta <- theta - g/k\n}"),
];

/// Rules that mean something, but hardly what is wanted.
const HINTS: &[&str] = &[
    "optimizer R(lr = 0.1)(theta, g, t) {\n  state m = 0\n  m <- 0.9*m + g\n  theta <- theta - lr*g\n}",
    "optimizer R(lr = 0.1)(theta, g, t) {\n  state m = 0\n  theta <- theta - lr*(g + m)\n}",
    "optimizer R(lr = 0.1, beta = 0.9)(theta, g, t) {\n  theta <- theta - lr*g\n}",
    "optimizer R(lr = 0.1, eps = 1e-45)(theta, g, t) {\n  theta <- theta - lr*g / (norm(g) + eps)\n}",
    "optimizer R(lr = 0.1)(theta, g, t) {\n  state v = 0\n  v <- 0.9*v + 0.1*g^2\n  theta <- theta - lr*g / sqrt(v)\n}",
    "optimizer R(lr = 0.1)(theta, g, t) {\n  let n = all.norm(g)\n  theta <- theta - lr*g / n\n}",
    "optimizer R(lr = 0.1)(theta, g, t) {\n  theta <- theta - lr*sign(theta)\n}",
    "optimizer R(lr = 0.1)(theta, g, t) {\n  state v = 0\n  theta <- theta - lr*g / (sqrt(v) + 1e-8)\n}",
];

/// Right rules, about which there is nothing to say.
const QUIET: &[&str] = &[
    "optimizer R(lr = 0.1, eps = 1e-8)(theta, g, t) {\n  state v = 0\n  v <- 0.9*v + 0.1*g^2\n  theta <- theta - lr*g / (sqrt(v / (1 - 0.9^t)) + eps)\n}",
    "optimizer R(lr = 0.1)(theta, g, t) {\n  let n = all.norm(g)\n  let s = if n > 0 then lr / n else 0\n  theta <- theta - s*g\n}",
    "optimizer R(inner: optimizer = SGD(0.1))(theta, g, t) {\n  state start = theta\n  inner(theta, g, t)\n  theta <- theta + 0.01*(start - theta)\n}",
    "transform R()(g, theta, t) = rademacher(shape(theta))",
    // Adamax: what a state has become is not what it began as.
    "optimizer R(lr = 0.1, eps = 1e-8)(theta, g, t) {\n  state u = 0\n  u <- maximum(0.9*u, abs(g) + eps)\n  theta <- theta - lr*g/u\n}",
    "optimizer R(lr = 0.1)(theta, g, t) {\n  state v = 0\n  if t == 1 { v <- g^2 + 1 } else { v <- 0.9*v + 0.1*maximum(g^2, 1e-8) }\n  theta <- theta - lr*g/v\n}",
];

/// What the checker says about a file with this rule, and about a training with it.
fn found(rule: &str) -> (SourceMap, Vec<Diagnostic>) {
    let name = if rule.contains("optimizer S(") {
        "S()"
    } else if rule.contains("inner") {
        "R(SGD(0.1))"
    } else {
        "R()"
    };
    let text = format!(
        "use layers.Dense\nuse optimizers.*\n{rule}\ndata points = synthetic.linear(rows = 64)\n\
         train run() on points {{\n  let net = Dense(2)\n  \
         step(x, y) {{ minimize mean((net(x)[.., 0] - y)^2) with {name} }}\n}}"
    );
    let mut sources = SourceMap::new();
    let file = sources.add("rule.opt", text);
    let (modules, mut diags) = sema::load(&mut sources, file, false, &|_| Err("no files".into()));
    diags.extend(sema::resolve::resolve(&modules));
    let column = |name: &str, shape: &[usize]| Column {
        name: name.into(),
        is_float: true,
        shape: shape.to_vec(),
        classes: None,
    };
    let schema = Schema { columns: vec![column("x", &[3]), column("y", &[])], train_rows: 64, test_rows: 0 };
    let options = BuildOptions { float: DType::F32, schema: &|_| Ok(schema.clone()), overrides: vec![] };
    let shared = Arc::new(sources.clone());
    for train in modules.trains() {
        if let Err(more) = sema::program(&modules, &shared, train, &options) {
            for d in more {
                if !diags.iter().any(|known| known.code == d.code && known.primary() == d.primary()) {
                    diags.push(d);
                }
            }
        }
    }
    if !diags.iter().any(Diagnostic::is_error) {
        diags.extend(sema::lint::lint(&modules, &sources));
    }
    (sources, diags)
}

#[test]
fn each_mistake_in_a_rule_has_its_message() {
    let mut all = String::new();
    for (what, rule) in MISTAKES {
        let (sources, diags) = found(rule);
        assert!(diags.iter().any(Diagnostic::is_error), "{what}: no mistake found");
        all += &format!("--- {what}\n{}\n", render(&sources, &diags, false));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn likely_mistakes_are_hinted_at() {
    let mut all = String::new();
    for rule in HINTS {
        let (sources, diags) = found(rule);
        assert!(!diags.is_empty() && !diags.iter().any(Diagnostic::is_error), "{rule}");
        all += &format!("{}\n", render(&sources, &diags, false));
    }
    for rule in QUIET.iter().filter(|r| r.starts_with("optimizer")) {
        let (sources, diags) = found(rule);
        assert!(diags.is_empty(), "{}", render(&sources, &diags, false));
    }
    insta::assert_snapshot!(all);
}

/// Kernels and library calls of a rule's update of these tensors.
fn passes(rule: &str, shapes: &[Vec<usize>]) -> usize {
    let mut session = Session::new();
    let program = session.update(rule, shapes, DType::F32);
    let program = program.unwrap_or_else(|d| panic!("{rule}: {}", render(&session.sources, &d, false)));
    let graph = program.graphs.step(1).expect("a step");
    let options = Options { threads: 1, ..Options::default() };
    let Ok(compiled) = Compiled::new(&simplify(graph), &options) else { panic!("{rule} does not compile") };
    compiled.instructions().len()
}

/// Elementwise rules are one pass over memory whatever the number of tensors; those with a number from all tensors
/// take one or two more.
#[test]
fn the_number_of_passes_does_not_grow_with_the_number_of_tensors() {
    let few = vec![vec![64, 32], vec![32]];
    let many: Vec<Vec<usize>> = (1..20).map(|k| vec![k, 16]).collect();
    for (rule, most) in [
        ("AdamW()", 1),
        ("Lion()", 1),
        ("Lookahead(Adam())", 1),
        ("MultiSteps(Adam())", 1),
        ("ScheduleFreeAdamW()", 2),
        ("clip_by_global_norm(1.0) |> AdamW()", 2),
        ("EMA(clip_by_global_norm(1.0) |> Adam())", 2),
    ] {
        let (a, b) = (passes(rule, &few), passes(rule, &many));
        assert!(a <= most && b <= most, "{rule}: {a} and {b} passes, expected at most {most}");
    }
}

#[test]
fn evaluation_uses_its_own_parameters() {
    let text = "use optimizers.SGD
        optimizer Twice(inner: optimizer)(theta, g, t) {
          inner(theta, g, t)
          eval theta = 2*theta
        }
        model Net()(x: float[N]) -> float {
          param w: float[1] = ones
          mean(x*w[0])
        }
        data given = synthetic.linear(rows = 2)
        train run on given {
          batch = all
          let net = Net()
          step(x) { minimize net(x) with Twice(SGD(0.5)) }
        }";
    let column = Column { name: "x".into(), is_float: true, shape: vec![], classes: None };
    let program = on_columns(text, DType::F64, &[column], 2);
    for engine in ENGINES {
        let mut run = Run::new(&program, engine);
        let x = Tensor::from_f64s(Type::new(DType::F64, vec![2]), &[1.0, 3.0]);
        // Before the first step they are those that are trained.
        assert_eq!(run.eval(&[("x", &x)])["loss"], 2.0);
        run.step(&[("x", &x)]);
        assert_eq!(run.get("net.w"), [0.0]);
        run.step(&[("x", &x)]);
        assert_eq!(run.get("net.w"), [-1.0]);
        assert_eq!(run.eval(&[("x", &x)])["loss"], -4.0);
        assert_eq!(run.weights()["net.w"], [-2.0]);
    }
}

/// Whole-group values in rules that work tensor by tensor are those of the rules over the arena.
#[test]
fn rounds_and_the_arena_agree() {
    let flat = "optimizer R()(theta, g, t) {
        all state far: float = 0
        state start = theta
        far <- maximum(far, all.norm(theta - start)) + 0.1
        let e = 0.1*g / (all.norm(g) + 1e-12)
        let d = loss_at(theta - e)/loss*grad_at(theta + e) + 0.01*hvp(g) + all.mean(g)*g + all.max(abs(g))*g
        theta <- theta - 0.1*far*d
      }";
    // Asking for the rank makes it a rule of each tensor's own.
    let each = flat.replace("state start = theta", "state start = theta*rank(theta) / rank(theta)");
    let mut results: Vec<Vec<f64>> = vec![];
    for rule in [flat.to_string(), each] {
        let text = format!(
            "{rule}
             model Net()(x: float[N, D]) -> float[N] {{
               param a: float[D, 4] = ones
               param b: float[4] = ones
               sum(tanh(x @ a + b), axis = 1)
             }}
             data given = synthetic.linear(rows = 4)
             train run on given {{
               batch = all
               let net = Net()
               step(x) {{ minimize mean(net(x)^2) with R() }}
             }}"
        );
        let column = Column { name: "x".into(), is_float: true, shape: vec![3], classes: None };
        let program = on_columns(&text, DType::F64, &[column], 4);
        for engine in ENGINES {
            let mut run = Run::new(&program, engine);
            let values: Vec<f64> = (0..12).map(|k| f64::from(k * 7 % 5) / 5.0 - 0.4).collect();
            let x = Tensor::from_f64s(Type::new(DType::F64, vec![4, 3]), &values);
            for _ in 0..3 {
                run.step(&[("x", &x)]);
            }
            results.push([run.get("net.a"), run.get("net.b")].concat());
        }
    }
    for other in &results[1..] {
        let gap = other.iter().zip(&results[0]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(gap < 1e-12, "{gap}");
    }
}

/// Each hyper-parameter may be a schedule; the table of `optc check` says which rule has which tensor.
#[test]
fn groups_have_a_table_and_schedules() {
    let text = "use layers.{Dense, LayerNorm}
        use optimizers.{Lion, Muon, AdamW}
        use schedules.cosine
        data given = synthetic.linear(rows = 4)
        train run on given {
          batch = all
          let body = Dense(8)
          let scale = LayerNorm()
          let valve = Valve()
          let head = Dense(1)
          step(x, y) {
            let p = (x |> body |> scale |> valve |> head)[.., 0]
            minimize mean((p - y)^2)
              over body where role == weight with Muon(),
              over scale where role == norm with AdamW(1e-3, beta1 = cosine(0.9, total = 10), weight_decay = cosine(0.1, total = 10)),
              over valve where role == gate with Lion(1e-4),
              rest with AdamW(cosine(1e-2, total = 10))
          }
        }
        layer Valve()(x: float[N, D]) -> float[N, D] {
          param open: float[D] role gate = ones
          x * open
        }";
    let column = |name: &str, shape: &[usize]| Column {
        name: name.into(),
        is_float: true,
        shape: shape.to_vec(),
        classes: None,
    };
    let program = on_columns(text, DType::F32, &[column("x", &[3]), column("y", &[])], 4);
    let Some((_, rows)) = optc::driver::rules_table(&program) else { panic!("there are three rules") };
    let rule = |path: &str| rows.iter().find(|r| r[0] == path).map(|r| r[2].as_str());
    assert_eq!(rule("body.w"), Some("muon"));
    assert_eq!(rule("scale.gain"), Some("adamw"));
    assert_eq!(rule("valve.open"), Some("lion"));
    assert_eq!(rule("head.w"), Some("adamw2"));
    assert_eq!(rule("body.b"), Some("adamw2"));
    assert!(program.hypers.iter().all(|h| h.name != "adamw.weight_decay"), "a schedule is no number");
}

/// One rule of one name for several groups: the numbers are shared, the states are not.
#[test]
fn a_rule_that_trains_two_groups_has_states_for_each() {
    for rule in ["AdamW(1e-3)", "Lookahead(AdamW(1e-3))"] {
        let text = format!(
            "use layers.Dense
            use optimizers.{{AdamW, Lookahead}}
            data given = synthetic.linear(rows = 4)
            train run on given {{
              batch = all
              let body = Dense(8)
              let head = Dense(1)
              let rule = {rule}
              step(x, y) {{
                let p = (x |> body |> head)[.., 0]
                minimize mean((p - y)^2) over body with rule, rest with rule
              }}
            }}"
        );
        let column = |name: &str, shape: &[usize]| Column {
            name: name.into(),
            is_float: true,
            shape: shape.to_vec(),
            classes: None,
        };
        let program = on_columns(&text, DType::F32, &[column("x", &[3]), column("y", &[])], 4);
        let states = |elements: usize| program.buffers.iter().filter(|s| s.ty.elements() == elements).count();
        assert!(states(32) >= 2 && states(9) >= 2, "{rule}: m and v of both groups");
    }
}
