//! A small character transformer built from the library's layers, against the recorded run, step by step.

use crate::engine::{COMPILED, Engine, INTERPRETER};
use crate::language::on_columns;
use crate::reference::{folder, number, numbers, read};
use crate::run::Run;
use crate::training::{Check, generated, transposed};
use optc::data::spec::Column;
use optc::ir::{DType, Type};
use optc::runtime::Tensor;
use optc::sema::program::Program;
use serde_json::Value;

const MODEL: &str = "
use layers.{Dense, Embedding, LayerNorm, LearnedPositions, TransformerEncoderBlock}
use losses.cross_entropy
use optimizers.{SGD, AdamW}

model Gpt()(token: int[N, T]) -> float[N, T, 65] {
  let tokens = Embedding(65, 32)
  let positions = LearnedPositions(16)
  let blocks = stack(2, TransformerEncoderBlock(4, causal = true))
  let ln = LayerNorm()
  let head = Dense(65)
  head(ln(blocks(positions(tokens(token)))))
}
";

fn program(rule: &str, float: DType) -> Program {
    let text = format!(
        "{MODEL}
         data given = synthetic.linear(rows = 4)
         train gpt on given {{
           batch = all
           let net = Gpt()
           step(token, next) {{
             minimize cross_entropy(reshape(net(token), [-1, 65]), reshape(next, [-1])) with {rule}
           }}
         }}"
    );
    let column = |name: &str| Column { name: name.into(), is_float: false, shape: vec![16], classes: None };
    on_columns(&text, float, &[column("token"), column("next")], 4)
}

/// The recorded names beside ours, with the starting values; dense weights of the reference are [out, in].
fn start() -> Vec<(String, String, Vec<f64>)> {
    let mut k = 0;
    let mut weights = |rows: usize, columns: usize, limit: f64, dense: bool| {
        k += 1;
        let values = generated(k, rows * columns, limit);
        if dense { transposed(&values, rows, columns) } else { values }
    };
    let limit = (6.0_f64 / 32.0).sqrt();
    let mut out = vec![
        ("te".into(), "net.tokens.w".into(), weights(65, 32, 0.1, false)),
        ("pe".into(), "net.positions.w".into(), weights(16, 32, 0.1, false)),
    ];
    for b in 0..2 {
        let mut add = |theirs: &str, ours: &str, values| {
            out.push((format!("block{b}.{theirs}"), format!("net.blocks.{b}.{ours}"), values));
        };
        add("wq", "self_attention.qkv.w", weights(96, 32, limit / 2.0, true));
        add("wo", "self_attention.out.w", weights(32, 32, limit / 2.0, true));
        add("w1", "feed_forward.up.w", weights(128, 32, limit / 2.0, true));
        add("w2", "feed_forward.down.w", weights(32, 128, limit / 4.0, true));
        for (theirs, ours, size, value) in [
            ("g1", "norm1.gain", 32, 1.0),
            ("c1", "norm1.bias", 32, 0.0),
            ("g2", "norm2.gain", 32, 1.0),
            ("c2", "norm2.bias", 32, 0.0),
            ("bq", "self_attention.qkv.b", 96, 0.0),
            ("bo", "self_attention.out.b", 32, 0.0),
            ("b1", "feed_forward.up.b", 128, 0.0),
            ("b2", "feed_forward.down.b", 32, 0.0),
        ] {
            add(theirs, ours, vec![value; size]);
        }
    }
    out.push(("wh".into(), "net.head.w".into(), weights(65, 32, limit / 2.0, true)));
    out.push(("bh".into(), "net.head.b".into(), vec![0.0; 65]));
    out.push(("g".into(), "net.ln.gain".into(), vec![1.0; 32]));
    out.push(("c".into(), "net.ln.bias".into(), vec![0.0; 32]));
    out
}

/// The four windows of a step, and what follows each character.
fn windows(codes: &[usize], step: usize) -> [Tensor; 2] {
    [0, 1].map(|shift| {
        let at = |i: usize| codes[16 * (4 * step + i / 16) + i % 16 + shift] as f64;
        Tensor::from_f64s(Type::new(DType::I32, vec![4, 16]), &(0..64).map(at).collect::<Vec<_>>())
    })
}

fn train(recorded: &Value, codes: &[usize], engine: &Engine, steps: usize) {
    let (float, tolerance) = if recorded["dtype"] == "float64" { (DType::F64, 1e-8) } else { (DType::F32, 1e-5) };
    let mut check = Check::new(format!("gpt {} {float}", engine.name), tolerance);
    let start = start();
    // Plain SGD at rate 1 changes each tensor by its gradient.
    let sgd = program("SGD(1.0)", float);
    let mut state = Run::new(&sgd, engine);
    start.iter().for_each(|(_, path, values)| state.set(path, values));
    let [token, next] = windows(codes, 0);
    state.step(&[("token", &token), ("next", &next)]);
    for (name, path, before) in &start {
        let change: f64 = state.get(path).iter().zip(before).map(|(a, b)| (a - b).powi(2)).sum();
        check.near(format!("gradient norm of {path}"), change.sqrt(), number(&recorded["first_gradient_norms"][name]));
    }
    assert_eq!(start.len(), recorded["first_gradient_norms"].as_object().expect("norms").len());

    let adamw = program("AdamW(0.001, weight_decay = 0.01)", float);
    let mut state = Run::new(&adamw, engine);
    start.iter().for_each(|(_, path, values)| state.set(path, values));
    for (s, expected) in numbers(&recorded["train_loss_per_step"]).iter().take(steps).enumerate() {
        if float == DType::F32 && s == 10 {
            check.tolerance = 1e-4;
        }
        let [token, next] = windows(codes, s);
        let loss = state.step(&[("token", &token), ("next", &next)])["loss"];
        check.near(format!("loss of step {s}"), loss, *expected);
    }
    check.done();
}

#[test]
fn character_transformer_agrees_at_every_step() {
    let (Some(recorded), Some(data)) = (folder("reference/training"), folder("data/tinyshakespeare")) else { return };
    let text = std::fs::read_to_string(data.join("input.txt")).expect("the text");
    let mut alphabet: Vec<char> = text.chars().collect();
    alphabet.sort_unstable();
    alphabet.dedup();
    assert_eq!(alphabet.len(), 65);
    let code = |c: char| alphabet.binary_search(&c).expect("a character of the text");
    let codes: Vec<usize> = text.chars().take(16 * 4 * 40 + 1).map(code).collect();
    let json = read(&recorded.join("gpt-deterministic.json"));
    for run in json["runs"].as_array().expect("runs") {
        train(run, &codes, &COMPILED, 40);
    }
    train(&json["runs"][0], &codes, &INTERPRETER, 3);
}
