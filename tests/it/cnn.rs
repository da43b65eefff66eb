//! A small convolutional network on MNIST, built from the library's layers, against the recorded run, step by step.

use crate::engine::{COMPILED, Engine, INTERPRETER};
use crate::reference::{folder, number, numbers, read};
use crate::run::Run;
use crate::training::{Check, batch, generated, on_files, refs, rule, transposed};
use optc::data::Split;
use optc::ir::DType;
use serde_json::Value;

fn text(rule: &str) -> String {
    format!(
        r#"use layers.{{Conv2d, Dense, MaxPool2d, flatten}}
           use losses.cross_entropy
           use optimizers.{{SGD, AdamW}}
           data digits = mnist("mnist")
           model Cnn()(image: float[N, 28, 28]) -> float[N, 10] {{
             let conv1 = Conv2d(32, 3)
             let conv2 = Conv2d(64, 3)
             let conv3 = Conv2d(64, 3)
             let hidden = Dense(64)
             let top = Dense(10)
             image[.., new] |> conv1 |> relu |> MaxPool2d(2) |> conv2 |> relu |> MaxPool2d(2) |> conv3 |> relu
               |> flatten |> hidden |> relu |> top
           }}
           train cnn on digits {{
             batch = 16; shuffle = false
             let net = Cnn()
             step(image, label) {{ minimize cross_entropy(net(image), label) with {rule} }}
           }}"#
    )
}

/// [out, in, height, width] to [height, width, in, out].
fn kernel(values: &[f64], outs: usize, ins: usize) -> Vec<f64> {
    let mut out = vec![];
    for place in 0..9 {
        for i in 0..ins {
            out.extend((0..outs).map(|o| values[(o * ins + i) * 9 + place]));
        }
    }
    out
}

/// Rows of a dense layer behind `flatten`: theirs are in the order channel, place; ours place, channel.
fn flattened(rows: &[f64], units: usize, channels: usize) -> Vec<f64> {
    let places = rows.len() / units / channels;
    let row = |place: usize, channel: usize| {
        let first = (channel * places + place) * units;
        rows[first..first + units].iter().copied()
    };
    (0..places).flat_map(|p| (0..channels).flat_map(move |c| row(p, c))).collect()
}

/// Our paths and starting values, in the order of the recorded tensors.
fn start() -> Vec<(&'static str, Vec<f64>)> {
    let weights = |k, outs: usize, ins: usize| generated(k, outs * ins, (6.0 / ins as f64).sqrt());
    vec![
        ("net.conv1.w", kernel(&weights(1, 32, 9), 32, 1)),
        ("net.conv1.b", vec![0.0; 32]),
        ("net.conv2.w", kernel(&weights(2, 64, 288), 64, 32)),
        ("net.conv2.b", vec![0.0; 64]),
        ("net.conv3.w", kernel(&weights(3, 64, 576), 64, 64)),
        ("net.conv3.b", vec![0.0; 64]),
        ("net.hidden.w", flattened(&transposed(&weights(4, 64, 576), 64, 576), 64, 64)),
        ("net.hidden.b", vec![0.0; 64]),
        ("net.top.w", transposed(&weights(5, 10, 64), 10, 64)),
        ("net.top.b", vec![0.0; 10]),
    ]
}

fn train(recorded: &Value, engine: &Engine, steps: usize) {
    let (float, tolerance) = if recorded["dtype"] == "float64" { (DType::F64, 1e-8) } else { (DType::F32, 1e-5) };
    let optimizer = recorded["optimizer"].as_str().expect("a name");
    let (program, data) = on_files(&text(&rule(optimizer, &recorded["hyper"])), float);
    let mut check = Check::new(format!("cnn {optimizer} {} {float}", engine.name), tolerance);
    let mut state = Run::new(&program, engine);
    let start = start();
    for (path, values) in &start {
        state.set(path, values);
    }
    let norms = numbers(&recorded["first_gradient_norms"]);
    for (s, expected) in numbers(&recorded["train_loss_per_step"]).iter().take(steps).enumerate() {
        if float == DType::F32 && s == 10 {
            check.tolerance = 1e-4;
        }
        let rows = batch(&program, &data, Split::Train, 16 * s..16 * (s + 1), float);
        check.near(format!("loss of step {s}"), state.step(&refs(&rows))["loss"], *expected);
        if s == 0 && optimizer == "sgd" {
            // The first change of plain SGD tells the gradient.
            for ((path, before), expected) in start.iter().zip(&norms) {
                let change: f64 = state.get(path).iter().zip(before).map(|(a, b)| (a - b).powi(2)).sum();
                check.near(
                    format!("gradient norm of {path}"),
                    change.sqrt() / number(&recorded["hyper"]["lr"]),
                    *expected,
                );
            }
        }
    }
    check.done();
}

#[test]
fn convolutions_on_mnist_agree_at_every_step() {
    let Some(folder) = folder("reference/training") else { return };
    let json = read(&folder.join("cnn-deterministic.json"));
    let runs = json["runs"].as_array().expect("runs");
    for run in runs {
        train(run, &COMPILED, 20);
    }
    train(&runs[1], &INTERPRETER, 1);
}
