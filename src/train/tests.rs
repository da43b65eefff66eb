//! The loop on a hand-made program, linear regression by gradient descent, run by the interpreter.

use super::metrics::Record;
use super::*;
use crate::data::spec::{Column, Schema};
use crate::diag::Diagnostic;
use crate::interp::Interpreter;
use crate::ir::build::Builder;
use crate::ir::{DType, Graph, InputKind, NodeId, OutputKind, ReduceKind, Type};
use crate::sema::program::{BufferInfo, Control, GraphSource, Hyper, Load, Program, Report, Role, Settings, View};
use crate::source::Span;
use safetensors::SafeTensors;
use std::path::Path;

const F64: DType = DType::F64;

struct Interp;

impl Engine for Interp {
    fn compile(&self, graph: &Graph) -> Result<Box<dyn Executable>, Diagnostic> {
        Ok(Box::new(Interpreter::new(graph.clone())))
    }
}

/// y = 3 x1 + 2 x2 exactly, with x spread over [-1, 1].
struct Lines;

impl Rows for Lines {
    fn gather(&self, test: bool, column: &str, rows: &[u32], out: &mut Tensor) -> Result<(), Diagnostic> {
        for (index, row) in rows.iter().enumerate() {
            let row = row + if test { 1000 } else { 0 };
            let x = [1, 2].map(|stream| {
                f64::from(crate::runtime::random::threefry2x32([stream, 0], [row, 0])[0]) / 2f64.powi(31) - 1.0
            });
            match column {
                "x" => out.f64s_mut()[2 * index..][..2].copy_from_slice(&x),
                _ => out.f64s_mut()[index] = 3.0 * x[0] + 2.0 * x[1],
            }
        }
        Ok(())
    }
}

/// The graphs of the program: parameters `w` (two weights) and `b` in one arena, momentum in another, and a metric
/// that counts rows.
struct Linear;

struct Common {
    theta: NodeId,
    x: NodeId,
    error: NodeId,
}

impl Linear {
    fn forward(b: &mut Builder, rows: usize) -> Common {
        let span = b.span;
        let theta = b.graph.add_input("theta", Type::new(F64, [3]), InputKind::Param, span);
        let seen = b.graph.add_input("seen", Type::scalar(F64), InputKind::State, span);
        let x = b.graph.add_input("x", Type::new(F64, [rows, 2]), InputKind::Batch, span);
        let y = b.graph.add_input("y", Type::new(F64, [rows]), InputKind::Batch, span);
        let w = b.slice_axis(theta, 0, 0, 2);
        let w = b.reshape(w, &[2, 1]);
        let bias = b.slice_axis(theta, 0, 2, 3);
        let bias = b.broadcast(bias, &[rows], vec![0]);
        let product = b.matmul(x, w);
        let product = b.reshape(product, &[rows]);
        let guess = b.add(product, bias);
        let error = b.sub(guess, y);
        let square = b.mul(error, error);
        let total = b.reduce(ReduceKind::Sum, square, &[0]);
        let count = b.constant(rows as f64, F64);
        let loss = b.div(total, count);
        b.graph.add_output("loss", loss, OutputKind::Value);
        let seen_now = b.add(seen, count);
        b.graph.add_output("seen", seen_now, OutputKind::Report);
        b.graph.add_output("seen", seen_now, OutputKind::Update(1));
        Common { theta, x, error }
    }
}

impl GraphSource for Linear {
    fn step(&self, rows: usize) -> Result<Graph, Vec<Diagnostic>> {
        let mut graph = Graph::new();
        let mut b = Builder::new(&mut graph, Span::default());
        let Common { theta, x, error } = Linear::forward(&mut b, rows);
        let span = b.span;
        let m = b.graph.add_input("m", Type::new(F64, [3]), InputKind::State, span);
        let lr = b.graph.add_input("lr", Type::scalar(F64), InputKind::Hyper, span);
        let t = b.graph.add_input("t", Type::scalar(F64), InputKind::Step, span);
        let scaled = b.full(2.0 / rows as f64, F64, &[rows]);
        let scaled = b.mul(error, scaled);
        let row = b.reshape(scaled, &[1, rows]);
        let gw = b.matmul(row, x);
        let gw = b.reshape(gw, &[2]);
        let gb = b.reduce(ReduceKind::Sum, scaled, &[0]);
        let gb = b.reshape(gb, &[1]);
        let g = b.concat(&[gw, gb], 0);
        let half = b.full(0.5, F64, &[3]);
        let kept = b.mul(m, half);
        let m_new = b.add(kept, g);
        let lr = b.broadcast_to(lr, &[3]);
        let change = b.mul(m_new, lr);
        let theta_new = b.sub(theta, change);
        b.graph.add_output("t", t, OutputKind::Report);
        b.graph.add_output("theta", theta_new, OutputKind::Update(0));
        b.graph.add_output("m", m_new, OutputKind::Update(4));
        Ok(graph)
    }

    fn eval(&self, rows: usize) -> Result<Graph, Vec<Diagnostic>> {
        let mut graph = Graph::new();
        Linear::forward(&mut Builder::new(&mut graph, Span::default()), rows);
        Ok(graph)
    }
}

fn program(rows: usize, batch: Option<usize>, epochs: usize) -> Program {
    let mut init = Graph::new();
    let mut b = Builder::new(&mut init, Span::default());
    let key = b.graph.add_input("key0", Type::scalar(DType::I32), InputKind::Random, Span::default());
    let key1 = b.graph.add_input("key1", Type::scalar(DType::I32), InputKind::Random, Span::default());
    let step = b.graph.add_input("step", Type::scalar(DType::I32), InputKind::Random, Span::default());
    let hint = crate::ir::op::Hint { dtype: None, shape: Some(vec![3]) };
    let bits = b.push(crate::ir::Op::RandomBits { stream: 1 }, &[key, key1, step], hint);
    let hint = crate::ir::op::Hint { dtype: Some(F64), shape: None };
    let theta = b.push(crate::ir::Op::BitsToUnit, &[bits], hint);
    let m = b.full(0.0, F64, &[3]);
    let seen = b.constant(0.0, F64);
    for (name, node) in [("theta", theta), ("seen", seen), ("m", m)] {
        b.graph.add_output(name, node, OutputKind::Value);
    }
    let view = |path: &str, offset, shape: &[usize]| View {
        path: path.into(),
        offset,
        shape: shape.to_vec(),
        span: Span::default(),
    };
    let buffer = |name: &str, ty, role, views| BufferInfo { name: name.into(), ty, role, views };
    let column = |name: &str, shape: &[usize]| Column {
        name: name.into(),
        is_float: true,
        shape: shape.to_vec(),
        classes: None,
    };
    let report = |name: &str, carried, train_only| Report { name: name.into(), carried, train_only };
    Program {
        name: "linear".into(),
        settings: Settings { batch, epochs, steps: None, seed: 7, shuffle: true, control: Control::default() },
        schema: Schema { columns: vec![column("x", &[2]), column("y", &[])], train_rows: rows, test_rows: 5 },
        columns: vec!["x".into(), "y".into()],
        buffers: vec![
            buffer("theta", Type::new(F64, [3]), Role::Param, vec![view("net.w", 0, &[2, 1]), view("net.b", 2, &[1])]),
            buffer("seen", Type::scalar(F64), Role::MetricState, vec![]),
            buffer("m", Type::new(F64, [3]), Role::OptimizerState, vec![view("sgd.m/net", 0, &[3])]),
        ],
        hypers: vec![Hyper { name: "lr".into(), value: 0.1 }],
        schedules: None,
        reports: vec![report("seen", true, false), report("t", false, true)],
        loads: vec![],
        layers: vec![],
        sample: None,
        init,
        graphs: Box::new(Linear),
        warnings: vec![],
    }
}

/// A folder of its own for each test, empty at its start.
fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("optc-train-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

#[derive(Debug, Default)]
struct Records(Vec<(Record, Option<Record>)>);

impl Sink for Records {
    fn epoch(&mut self, _: &Plan, train: &Record, test: Option<&Record>, _: Duration) {
        self.0.push((train.clone(), test.cloned()));
    }
}

fn run(program: &Program, options: &TrainOptions) -> Result<(Summary, Records), Failure> {
    let mut records = Records::default();
    let summary = train(program, &Interp, &Lines, options, &mut records)?;
    Ok((summary, records))
}

fn bytes(folder: &Path, checkpoint: &str) -> Vec<u8> {
    std::fs::read(folder.join("checkpoints").join(format!("{checkpoint}.safetensors"))).expect("a checkpoint")
}

fn lines(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("metrics.jsonl")).expect("metrics")
}

#[test]
fn the_loss_falls_and_every_row_counts() {
    let (summary, records) = run(&program(22, Some(8), 30), &TrainOptions::default()).expect("trains");
    assert_eq!((summary.steps, summary.epochs, records.0.len()), (90, 30, 30));
    let losses: Vec<f64> = records.0.iter().map(|(train, _)| train.get("loss").expect("a loss")).collect();
    assert!(losses[29] < 1e-3 * losses[0], "{losses:?}");
    for (index, (train, test)) in records.0.iter().enumerate() {
        assert_eq!(train.step, 3 * (index + 1));
        assert_eq!(train.get("seen"), Some(22.0), "a partial batch of 6 is part of the epoch");
        assert_eq!(test.as_ref().and_then(|t| t.get("seen")), Some(5.0));
    }
    // Steps 1, 2 and 3 with 8, 8 and 6 rows.
    assert_eq!(records.0[0].0.get("t"), Some((8.0 + 16.0 + 18.0) / 22.0));
}

#[test]
fn threads_and_time_do_not_change_a_bit() {
    let (one, two) = (folder("one"), folder("two"));
    let program = program(50, Some(4), 5);
    for (out, threads) in [(&one, 1), (&two, 2)] {
        run(&program, &TrainOptions { threads, out: Some(out.clone()), ..Default::default() }).expect("trains");
    }
    assert_eq!(bytes(&one, "final"), bytes(&two, "final"));
    assert_eq!(lines(&one), lines(&two));
}

#[test]
fn a_resumed_run_ends_with_the_same_bits() {
    let program = program(50, Some(8), 6);
    let whole = folder("whole");
    run(&program, &TrainOptions { out: Some(whole.clone()), save_every: Some(5), ..Default::default() })
        .expect("trains");
    // Interrupted in the middle of an epoch, at its end, and right before the end.
    for stop in [5, 10, 21, 41] {
        let parts = folder(&format!("parts{stop}"));
        let options = TrainOptions { out: Some(parts.clone()), save_every: Some(5), ..Default::default() };
        run(&program, &TrainOptions { steps: Some(stop), ..options.clone() }).expect("trains");
        let (summary, _) = run(&program, &TrainOptions { resume: true, ..options }).expect("resumes");
        assert_eq!((summary.steps, summary.steps_run), (42, 42 - stop));
        assert_eq!(bytes(&whole, "final"), bytes(&parts, "final"), "stopped after {stop}");
        assert_eq!(lines(&whole), lines(&parts), "stopped after {stop}");
    }
    let other = run(&program, &TrainOptions { out: Some(whole), resume: true, seed: Some(9), ..Default::default() });
    assert_eq!(other.expect_err("another seed").diagnostics()[0].code, "E0501");
}

#[test]
fn a_run_leaves_its_files() {
    let out = folder("files");
    let options = TrainOptions { out: Some(out.clone()), save_every: Some(2), ..Default::default() };
    run(&program(4, None, 2), &options).expect("trains");
    let text = lines(&out);
    let parsed: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let heads: Vec<_> = parsed.iter().map(|l| (l["step"].as_u64(), l["epoch"].as_u64(), l["split"].as_str())).collect();
    let head = |step, epoch, split| (Some(step), Some(epoch), Some(split));
    let expected =
        [head(1, 1, "train"), head(1, 1, "test"), head(2, 2, "step"), head(2, 2, "train"), head(2, 2, "test")];
    assert_eq!(heads, expected);
    assert!(parsed[0]["loss"].is_f64() && parsed[0]["seen"] == 4.0, "{text}");
    let file = bytes(&out, "step-00000002");
    let tensors = SafeTensors::deserialize(&file).expect("safetensors");
    let mut names: Vec<_> = tensors.iter().map(|(n, t)| (n.to_string(), t.shape().to_vec())).collect();
    names.sort();
    let expected = [("net.b", vec![1]), ("net.w", vec![2, 1]), ("seen", vec![]), ("sgd.m/net", vec![3])];
    assert_eq!(names, expected.map(|(n, s)| (n.to_string(), s)));
    let config = std::fs::read_to_string(out.join("config.json")).expect("config");
    let config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    assert_eq!((config["seed"].as_u64(), config["hypers"]["lr"].as_f64()), (Some(7), Some(0.1)));
}

#[test]
fn a_diverged_run_says_where_and_keeps_the_last_good_state() {
    let out = folder("diverged");
    let mut wild = program(64, Some(16), 500);
    wild.hypers[0].value = 1e3;
    let options = TrainOptions { out: Some(out.clone()), ..Default::default() };
    let failure = run(&wild, &options).expect_err("diverges");
    assert_eq!(failure.exit_status(), 3);
    let diagnostic = &failure.diagnostics()[0];
    assert_eq!(diagnostic.code, "E0601");
    assert!(diagnostic.title.contains("step"), "{diagnostic:?}");
    assert!(diagnostic.help.as_ref().is_some_and(|h| h.contains("--set lr=100")), "{diagnostic:?}");
    let (path, progress) = checkpoint::newest(&out).expect("the last good state");
    assert!(path.ends_with("last-good.safetensors") && progress.step > 0);
}

#[test]
fn the_first_nan_is_found() {
    let mut wild = program(64, Some(16), 500);
    wild.hypers[0].value = 1e300;
    let failure = run(&wild, &TrainOptions { check_nan: true, ..Default::default() }).expect_err("overflows");
    let diagnostic = &failure.diagnostics()[0];
    assert!(["E0601", "E0603"].contains(&diagnostic.code), "{diagnostic:?}");
    assert!(diagnostic.labels[0].text.contains("gives the first"), "{diagnostic:?}");
}

#[test]
fn starting_values_are_loaded() {
    let out = folder("load");
    let saved = run(&program(22, Some(8), 3), &TrainOptions { out: Some(out.clone()), ..Default::default() });
    saved.expect("trains");
    let load = |path: &str, key: &str| Load {
        path: path.into(),
        file: "checkpoints/final.safetensors".into(),
        key: Some(key.into()),
        span: Span::default(),
    };
    let options = TrainOptions { search: vec![out.clone()], steps: Some(0), ..Default::default() };
    let mut loaded = program(22, Some(8), 3);
    loaded.loads = vec![load("net.w", "net.w"), load("net.b", "net.b")];
    let (again, _) = run(&loaded, &options).expect("loads");
    let (whole, _) = run(&program(22, Some(8), 3), &TrainOptions::default()).expect("trains");
    let loss = |s: &Summary| s.test.as_ref().and_then(|t| t.get("loss"));
    assert_eq!(loss(&again), loss(&whole));
    for (load, code) in [(load("net.w", "net.b"), "E0501"), (load("net.w", "net.v"), "E0502")] {
        loaded.loads = vec![load];
        assert_eq!(run(&loaded, &options).expect_err("does not fit").diagnostics()[0].code, code);
    }
}

#[test]
fn a_batch_larger_than_the_data_is_refused() {
    let failure = run(&program(4, Some(5), 1), &TrainOptions::default()).expect_err("too large");
    assert_eq!((failure.diagnostics()[0].code, failure.exit_status()), ("E0303", 1));
}

#[test]
fn a_time_limit_stops_with_a_state_to_resume() {
    let out = folder("time");
    let options = TrainOptions { out: Some(out.clone()), max_time: Some(Duration::ZERO), ..Default::default() };
    let failure = run(&program(64, Some(16), 500), &options).expect_err("no time");
    assert_eq!((failure.diagnostics()[0].code, failure.exit_status()), ("E0602", 3));
    assert!(checkpoint::newest(&out).is_some());
}
