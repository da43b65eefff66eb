//! Several things minimized in one step, and gradients inside what is minimized, against formulas written by hand.

use crate::engine::ENGINES;
use crate::language::on_columns;
use crate::run::Run;
use optc::data::spec::Column;
use optc::ir::{DType, Type};
use optc::runtime::Tensor;

fn column() -> Column {
    Column { name: "x".into(), is_float: true, shape: vec![], classes: None }
}

fn rows(values: &[f64]) -> Tensor {
    Tensor::from_f64s(Type::new(DType::F64, vec![values.len()]), values)
}

fn near(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-10 * expected.abs().max(1.0), "{what}: {found}, not {expected}");
}

const X: [f64; 4] = [0.5, -1.0, 2.0, 0.25];

/// Both objectives see the parameters before the step; each moves its own part and nothing else.
#[test]
fn two_objectives_train_two_parts() {
    let text = "
        use optimizers.SGD
        model Scale(start: float)(x: float[N]) -> float[N] { param a: float = start; a * x }
        data given = synthetic.linear(rows = 4)
        train gan on given {
          batch = all
          let g = Scale(0.5)
          let d = Scale(2.0)
          step(x) {
            let fake = g(x)
            minimize mean((d(x) - 1)^2) + mean(d(stop_gradient(fake))^2) over d with SGD(0.1)
            minimize mean((d(fake) - 1)^2) over g with SGD(0.05)
          }
        }";
    for engine in ENGINES {
        let program = on_columns(text, DType::F64, &[column()], 4);
        let mut run = Run::new(&program, engine);
        let (mut a, mut b) = (0.5, 2.0);
        for step in 0..5 {
            let values = run.step(&[("x", &rows(&X))]);
            let mean = |f: &dyn Fn(f64) -> f64| X.iter().map(|x| f(*x)).sum::<f64>() / 4.0;
            near(values["loss"], mean(&|x| (b * x - 1.0).powi(2) + (b * a * x).powi(2)), "the first loss");
            near(values["loss_2"], mean(&|x| (b * a * x - 1.0).powi(2)), "the second loss");
            let db = mean(&|x| 2.0 * (b * x - 1.0) * x + 2.0 * b * a * a * x * x);
            let da = mean(&|x| 2.0 * (b * a * x - 1.0) * b * x);
            (a, b) = (a - 0.05 * da, b - 0.1 * db);
            near(run.get("g.a")[0], a, &format!("{} a after step {step}", engine.name));
            near(run.get("d.a")[0], b, &format!("{} b after step {step}", engine.name));
        }
    }
}

/// A penalty on d/dx of tanh(w x): its own derivative with respect to w is a second derivative.
#[test]
fn a_gradient_inside_a_loss_has_a_gradient() {
    let text = "
        use optimizers.SGD
        model Critic()(x: float[N]) -> float[N] { param w: float = 0.7; tanh(w * x) }
        data given = synthetic.linear(rows = 4)
        train penalty on given {
          batch = all
          let d = Critic()
          step(x) {
            let slope = grad(sum(d(x)), x)
            minimize mean(d(x)) + 10 * mean((abs(slope) - 1)^2) with SGD(0.01)
            report mean(slope)
          }
        }";
    // tanh(w x), d/dx = w s with s = 1 - tanh², d/dw (w s) = s - 2 w x tanh s.
    for engine in ENGINES {
        let program = on_columns(text, DType::F64, &[column()], 4);
        let mut run = Run::new(&program, engine);
        let mut w = 0.7_f64;
        for step in 0..5 {
            let values = run.step(&[("x", &rows(&X))]);
            let (mut slope, mut gradient) = (0.0, 0.0);
            for x in X {
                let t = (w * x).tanh();
                let s = 1.0 - t * t;
                slope += w * s / 4.0;
                gradient += (x * s + 10.0 * 2.0 * (w * s - 1.0) * (s - 2.0 * w * x * t * s)) / 4.0;
            }
            near(values["mean"], slope, "the slope");
            w -= 0.01 * gradient;
            near(run.get("d.w")[0], w, &format!("{} w after step {step}", engine.name));
        }
    }
}

/// Four batches of a quarter of the rows with `MultiSteps` end where one step with all rows does.
#[test]
fn accumulated_gradients_are_those_of_the_whole_batch() {
    let text = |rule: &str| {
        format!(
            "use optimizers.{{AdamW, MultiSteps}}
             model Net()(x: float[N]) -> float[N] {{ param w: float = 0.7; param b: float = 0.1; tanh(w * x + b) }}
             data given = synthetic.linear(rows = 4)
             train parts on given {{
               batch = 1
               let net = Net()
               step(x) {{ minimize mean((net(x) - 0.3)^2) with {rule} }}
             }}"
        )
    };
    for engine in ENGINES {
        let whole = on_columns(&text("AdamW(0.1)"), DType::F64, &[column()], 4);
        let parts = on_columns(&text("MultiSteps(AdamW(0.1), k = 4)"), DType::F64, &[column()], 4);
        let (mut one, mut four) = (Run::new(&whole, engine), Run::new(&parts, engine));
        for _ in 0..3 {
            one.step(&[("x", &rows(&X))]);
            for x in X {
                four.step(&[("x", &rows(&[x]))]);
            }
            for path in ["net.w", "net.b"] {
                near(four.get(path)[0], one.get(path)[0], path);
            }
        }
    }
}

/// Losses of several heads add up: the shared part gets the sum of their gradients.
#[test]
fn auxiliary_losses_add_up() {
    let text = "
        use optimizers.SGD
        model Scale(start: float)(x: float[N]) -> float[N] { param a: float = start; a * x }
        data given = synthetic.linear(rows = 4)
        train heads on given {
          batch = all
          let body = Scale(0.5)
          let main = Scale(2.0)
          let side = Scale(-1.0)
          step(x) {
            let h = body(x)
            minimize mean((main(h) - 1)^2) + 0.3 * mean((side(h) - x)^2) with SGD(0.1)
          }
        }";
    for engine in ENGINES {
        let program = on_columns(text, DType::F64, &[column()], 4);
        let mut run = Run::new(&program, engine);
        run.step(&[("x", &rows(&X))]);
        let (h, m, s) = (0.5, 2.0, -1.0);
        let gradient: f64 =
            X.iter().map(|x| 2.0 * (m * h * x - 1.0) * m * x + 0.3 * 2.0 * (s * h * x - x) * s * x).sum::<f64>() / 4.0;
        near(run.get("body.a")[0], h - 0.1 * gradient, engine.name);
    }
}
