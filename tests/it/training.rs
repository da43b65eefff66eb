//! Recorded training runs without a random number: data from files, batches in file order, every number compared.

use crate::engine::{COMPILED, ENGINES, Engine, INTERPRETER};
use crate::language::train_program;
use crate::reference::{folder, number, numbers, read};
use crate::run::Run;
use optc::data::{self, Context, Dataset, Split};
use optc::ir::{DType, Type};
use optc::runtime::Tensor;
use optc::sema::program::Program;
use serde_json::Value;

/// A train item on files below `../shared/data`.
pub fn on_files(text: &str, float: DType) -> (Program, Dataset) {
    let context = Context { data_dir: folder("data"), file_dir: None };
    let (program, pipeline) = train_program(text, float, &|p| data::schema(p, &context));
    let dataset = data::open(&pipeline, &context).unwrap_or_else(|d| panic!("{d:?}"));
    (program, dataset)
}

/// Some rows of all columns that the step binds.
pub fn batch(
    program: &Program,
    data: &Dataset,
    split: Split,
    rows: std::ops::Range<usize>,
    float: DType,
) -> Vec<(String, Tensor)> {
    let rows: Vec<u32> = rows.map(|r| r as u32).collect();
    let column = |name: &String| {
        let index = data.schema().columns.iter().position(|c| c.name == *name).expect("a column of the data");
        let column = &data.schema().columns[index];
        let mut shape = vec![rows.len()];
        shape.extend(&column.shape);
        let mut out = Tensor::zeros(Type::new(if column.is_float { float } else { DType::I32 }, shape));
        data.gather(split, index, &rows, &mut out).unwrap();
        (name.clone(), out)
    };
    program.columns.iter().map(column).collect()
}

pub fn refs(batch: &[(String, Tensor)]) -> Vec<(&str, &Tensor)> {
    batch.iter().map(|(n, t)| (n.as_str(), t)).collect()
}

/// Collects what differs by more than a relative tolerance (to max(1, |expected|)).
pub struct Check {
    place: String,
    pub tolerance: f64,
    wrong: Vec<String>,
}

impl Check {
    pub fn new(place: String, tolerance: f64) -> Check {
        Check { place, tolerance, wrong: vec![] }
    }

    pub fn near(&mut self, what: impl std::fmt::Display, found: f64, expected: f64) {
        let d = (found - expected).abs() / expected.abs().max(1.0);
        if d.is_nan() || d > self.tolerance {
            self.wrong.push(format!("{}: {what} is {found}, not {expected} ({d:.1e})", self.place));
        }
    }

    pub fn done(self) {
        assert!(self.wrong.is_empty(), "{} differences:\n{}", self.wrong.len(), self.wrong.join("\n"));
    }
}

/// The rule of the library for a recorded run.
pub fn rule(optimizer: &str, hyper: &Value) -> String {
    let lr = &hyper["lr"];
    match optimizer {
        "sgd" | "gd" => format!("SGD({lr})"),
        "sgd_momentum" => format!("SGD({lr}, momentum = {})", hyper["momentum"]),
        "adam" => format!("Adam({lr})"),
        "adamw" => format!("AdamW({lr}, weight_decay = {})", hyper["weight_decay"]),
        other => panic!("no rule for {other}"),
    }
}

#[test]
fn linear_regression_agrees_at_every_epoch() {
    let Some(folder) = folder("reference/training") else { return };
    let json = read(&folder.join("linreg.json"));
    for run in json["runs"].as_array().expect("runs") {
        let size = if run["mode"] == "full batch" { 200 } else { 20 };
        let rule = rule(run["optimizer"].as_str().expect("a name"), &run["hyper"]);
        let text = format!(
            r#"use losses.mse
               use optimizers.{{SGD, Adam, AdamW}}
               data points = csv("linreg-synthetic/linreg.csv", x = ["x1", "x2"], y = "y")
               model Line()(x: float[N, 2]) -> float[N] {{
                 param w: float[2] = zeros
                 param b: float = zeros
                 x @ w + b
               }}
               train linreg on points {{
                 batch = {size}; shuffle = false
                 let net = Line()
                 step(x, y) {{ minimize mse(net(x), y) with {rule} }}
               }}"#
        );
        for engine in ENGINES {
            for (float, tolerance) in [(DType::F64, 1e-9), (DType::F32, 1e-4)] {
                let (program, data) = on_files(&text, float);
                let mut check = Check::new(format!("{} {rule} {} {float}", run["mode"], engine.name), tolerance);
                let mut state = Run::new(&program, engine);
                let whole = batch(&program, &data, Split::Train, 0..200, float);
                let batches: Vec<_> = (0..200)
                    .step_by(size)
                    .map(|first| batch(&program, &data, Split::Train, first..first + size, float))
                    .collect();
                let mut epoch = 0;
                for after in run["after_epoch"].as_array().expect("epochs") {
                    while epoch < number(&after["epoch"]) as usize {
                        epoch += 1;
                        for rows in &batches {
                            state.step(&refs(rows));
                        }
                    }
                    let mse = state.eval(&refs(&whole))["loss"];
                    check.near(format!("mse after epoch {epoch}"), mse, number(&after["mse_all_rows"]));
                    for (found, expected) in state.get("net.w").iter().zip(numbers(&after["w"])) {
                        check.near(format!("w after epoch {epoch}"), *found, expected);
                    }
                    check.near(format!("b after epoch {epoch}"), state.get("net.b")[0], number(&after["b"]));
                }
                check.done();
            }
        }
    }
}

const TABLES: &[(&str, &str)] = &[
    ("iris", r#"csv("iris/iris.data", x = [0, 1, 2, 3], kind = label(4))"#),
    ("wine", r#"csv("wine/wine.csv", x = except([13]), kind = label(13))"#),
    ("breast-cancer", r#"csv("breast-cancer/wdbc.data", x = except([0, 1]), kind = label(1, classes = ["B", "M"]))"#),
    (
        "penguins",
        r#"csv("penguins/penguins.csv", missing = "drop", kind = label("species"),
               x = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"])"#,
    ),
];

#[test]
fn softmax_regression_on_tables_agrees() {
    let Some(folder) = folder("reference/training") else { return };
    let json = read(&folder.join("tables-deterministic.json"));
    for (name, source) in TABLES {
        let tasks = json["tasks"].as_object().expect("tasks");
        let (_, task) = tasks.iter().find(|(k, _)| k.starts_with(name)).expect("the task is recorded");
        let runs = task["runs"].as_object().expect("runs");
        for (optimizer, run) in runs {
            let text = format!(
                r#"use losses.cross_entropy
                   use metrics.accuracy
                   use layers.Dense
                   use optimizers.{{SGD, Adam}}
                   data table = {source} |> split(every = 5) |> standardize(x)
                   model Softmax()(x: float[N, D]) -> float[N, {classes}] = x |> Dense({classes}, init = zeros)
                   train softmax on table {{
                     batch = all; shuffle = false
                     let net = Softmax()
                     step(x, kind) {{
                       let logits = net(x)
                       minimize cross_entropy(logits, kind) with {rule}
                       report accuracy(logits, kind)
                     }}
                   }}"#,
                classes = task["classes"],
                rule = rule(optimizer, &run["hyper"]),
            );
            // The interpreter follows for a part of the way.
            for (engine, last) in [(&COMPILED, 500), (&INTERPRETER, 50)] {
                let (program, data) = on_files(&text, DType::F64);
                // The classes of iris are balanced, so that the first gradient of the bias is nothing but rounding, which
                // Adam scales up by 1 / eps; and all weights have one size after its first step, so that logits tie.
                let rounding_shows = *name == "iris" && optimizer == "adam";
                let tolerance = if rounding_shows { 1e-8 } else { 1e-9 };
                let mut check = Check::new(format!("{name} {optimizer} {}", engine.name), tolerance);
                let parts = [(Split::Train, "train"), (Split::Test, "test")].map(|(split, part)| {
                    let rows = data.rows(split);
                    check.near(format!("{part} rows"), rows as f64, number(&task[format!("{part}_rows")]));
                    (part, batch(&program, &data, split, 0..rows, DType::F64))
                });
                let mut state = Run::new(&program, engine);
                let mut steps = 0;
                for after in run["after_step"].as_array().expect("steps") {
                    let target = number(&after["step"]) as usize;
                    if target > last {
                        break;
                    }
                    while steps < target {
                        state.step(&refs(&parts[0].1));
                        steps += 1;
                    }
                    for (part, rows) in &parts {
                        let values = state.eval(&refs(rows));
                        check.near(
                            format!("{part} loss after {steps}"),
                            values["loss"],
                            number(&after[format!("{part}_loss")]),
                        );
                        if !(rounding_shows && steps == 1) {
                            let correct = values["accuracy"] * rows[0].1.ty().shape[0] as f64;
                            let expected = number(&after[format!("{part}_correct")]);
                            check.near(format!("{part} correct after {steps}"), correct, expected);
                        }
                    }
                }
                check.done();
            }
        }
    }
}

/// Least squares: at the recorded optimum the errors are those recorded, and a step changes nothing.
#[test]
fn diabetes_is_at_rest_at_the_recorded_least_squares_point() {
    let Some(folder) = folder("reference/training") else { return };
    let task = &read(&folder.join("tables-deterministic.json"))["tasks"]["diabetes"];
    let text = r#"
        use losses.mse
        use metrics.r2
        use layers.Dense
        use optimizers.SGD
        data table = csv("diabetes/diabetes.tab.txt", delimiter = "\t", x = except(["Y"]), y = "Y")
                     |> split(every = 5) |> standardize(x)
        model Linear()(x: float[N, D]) -> float[N] {
          let out = Dense(1, init = zeros)
          out(x)[:, 0]
        }
        train ols on table {
          batch = all; shuffle = false
          let net = Linear()
          step(x, y) {
            minimize mse(net(x), y) with SGD(0.1)
            report r2(net(x), y)
          }
        }"#;
    let coefficients = numbers(&task["coef"]);
    for engine in ENGINES {
        let (program, data) = on_files(text, DType::F64);
        let mut check = Check::new(format!("diabetes {}", engine.name), 1e-9);
        let [train, test] = [Split::Train, Split::Test].map(|s| batch(&program, &data, s, 0..data.rows(s), DType::F64));
        let mut state = Run::new(&program, engine);
        state.set("net.out.w", &coefficients[..10]);
        state.set("net.out.b", &coefficients[10..]);
        check.near("test R2", state.eval(&refs(&test))["r2"], number(&task["test_r2"]));
        check.near("test mse", state.eval(&refs(&test))["loss"], number(&task["test_mse"]));
        check.near("train mse", state.step(&refs(&train))["loss"], number(&task["train_mse"]));
        // The coefficients have ten digits.
        check.tolerance = 1e-7;
        for (found, expected) in state.get("net.out.w").iter().chain(&state.get("net.out.b")).zip(&coefficients) {
            check.near("a coefficient after one more step", *found, *expected);
        }
        check.done();
    }
}

/// Weights by the generator of the reference: tensor number k, [out, in] row by row.
pub fn generated(k: u32, count: usize, limit: f64) -> Vec<f64> {
    let mut s = k;
    let next = |_| {
        s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (2.0 * f64::from(s) / 4_294_967_296.0 - 1.0) * limit
    };
    (0..count).map(next).collect()
}

pub fn transposed(values: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect()
}

/// 784-32-10 on MNIST in file order.
fn mlp(recorded: &Value, engine: &Engine, steps: usize) {
    let (float, tolerance) = if recorded["dtype"] == "float64" { (DType::F64, 1e-8) } else { (DType::F32, 1e-5) };
    let optimizer = recorded["optimizer"].as_str().expect("a name");
    let text = format!(
        r#"use losses.cross_entropy
           use metrics.accuracy
           use layers.{{Dense, flatten}}
           use optimizers.{{SGD, Adam, AdamW}}
           data digits = mnist("mnist")
           model Mlp()(image: float[N, 28, 28]) -> float[N, 10] {{
             let first = Dense(32, init = zeros)
             let second = Dense(10, init = zeros)
             image |> flatten |> first |> relu |> second
           }}
           train mlp on digits {{
             batch = 128; shuffle = false
             let net = Mlp()
             step(image, label) {{
               let logits = net(image)
               minimize cross_entropy(logits, label) with {}
               report accuracy(logits, label)
             }}
           }}"#,
        rule(optimizer, &recorded["hyper"])
    );
    let (program, data) = on_files(&text, float);
    let mut check = Check::new(format!("mlp {optimizer} {} {float}", engine.name), tolerance);
    let mut state = Run::new(&program, engine);
    let limit = |fan_in: f64| (6.0 / fan_in).sqrt();
    let start = [
        ("W1", "net.first.w", transposed(&generated(1, 32 * 784, limit(784.0)), 32, 784)),
        ("b1", "net.first.b", vec![0.0; 32]),
        ("W2", "net.second.w", transposed(&generated(2, 10 * 32, limit(32.0)), 10, 32)),
        ("b2", "net.second.b", vec![0.0; 10]),
    ];
    for (_, path, values) in &start {
        state.set(path, values);
    }
    for (s, expected) in numbers(&recorded["train_loss_per_step"]).iter().take(steps).enumerate() {
        if float == DType::F32 && s == 10 {
            check.tolerance = 1e-4;
        }
        let rows = batch(&program, &data, Split::Train, 128 * s..128 * (s + 1), float);
        check.near(format!("loss of step {s}"), state.step(&refs(&rows))["loss"], *expected);
        if s == 0 && optimizer == "sgd" && float == DType::F64 {
            // The first change of plain SGD tells the gradient.
            for (name, path, before) in &start {
                let change: f64 = state.get(path).iter().zip(before).map(|(a, b)| (a - b).powi(2)).sum();
                let norm = change.sqrt() / number(&recorded["hyper"]["lr"]);
                check.near(format!("gradient norm of {name}"), norm, number(&recorded["first_gradient_norms"][*name]));
            }
        }
    }
    if steps == 100 {
        let rows = batch(&program, &data, Split::Test, 0..data.rows(Split::Test), float);
        let values = state.eval(&refs(&rows));
        check.near("test loss", values["loss"], number(&recorded["test_loss_after_100"]));
        let correct = number(&recorded["test_correct_of_10000"]);
        check.near("test accuracy", values["accuracy"], correct / 10_000.0);
    }
    check.done();
}

#[test]
fn mlp_on_mnist_agrees_at_every_step() {
    let Some(folder) = folder("reference/training") else { return };
    let json = read(&folder.join("mlp-deterministic.json"));
    for run in json["runs"].as_array().expect("runs") {
        mlp(run, &COMPILED, 100);
    }
    mlp(&json["runs"][0], &INTERPRETER, 3);
    mlp(&json["runs"][3], &INTERPRETER, 3);
}
