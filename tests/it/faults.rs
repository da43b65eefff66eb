//! What goes wrong with the values of a run: NaN and infinities, indices out of range, matrices without a decomposition. Each
//! message names the line, the step, the layer and the values. Both engines tell the same.

use insta::assert_snapshot;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A folder that is removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("optc-faults-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn optc(&self, args: &[&str]) -> Output {
        let binary = env!("CARGO_BIN_EXE_optc");
        Command::new(binary).args(args).current_dir(&self.0).env("NO_COLOR", "1").output().expect("the binary runs")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const HEAD: &str = "use layers.{Dense, Embedding}\nuse losses.mse\nuse optimizers.{SGD, Adam}\n\n";

/// What `optc run` says on stderr, with its exit status. The interpreter must mark the same places.
fn told(name: &str, program: &str, options: &[&str]) -> String {
    let folder = Folder::new(name);
    std::fs::write(folder.0.join("it.opt"), format!("{HEAD}{}", program.trim_start())).expect("a file");
    let run = |engine: &str| {
        let args = [&["run", "it.opt", "--quiet", "--out", "out", "--engine", engine], options].concat();
        let out = folder.optc(&args);
        let status = out.status.code().map_or("killed".into(), |c| c.to_string());
        format!("{}status {status}\n", String::from_utf8_lossy(&out.stderr))
    };
    let (jit, interp) = (run("jit"), run("interp"));
    // Numbers may differ in their last digits.
    let places =
        |text: &str| text.lines().filter(|l| l.contains('│') || l.contains('┌')).collect::<Vec<_>>().join("\n");
    assert_eq!(places(&jit), places(&interp));
    jit
}

const FORWARD: &str = r#"
fn entropy(p) = -sum(p * log(p), axis = -1)

layer Sharp(width: int)(x: float[N, D]) -> float[N, width] {
  let scores = Dense(width)(x)
  entropy(relu(scores))[:, new] * scores
}
model Net()(x: float[N, D]) -> float[N] = (x |> Dense(4) |> Sharp(4) |> Dense(1))[.., 0]

train forward() on synthetic.linear(rows = 48, test = 16) {
  batch = 16; epochs = 3; seed = 0
  let net = Net()
  step(x, y) { minimize mse(net(x), y) with SGD(0.1) }
}
"#;

#[test]
fn a_nan_of_the_forward_pass() {
    assert_snapshot!(told("forward", FORWARD, &[]));
}

/// The loss stays 0, because relu gives 0 for NaN: the parameters tell.
#[test]
fn an_infinity_of_the_backward_pass() {
    let program = r#"
fn length(x) = sqrt(sum(x * x, axis = -1))

train backward() on synthetic.linear(rows = 48, test = 16) {
  batch = 16; epochs = 3; seed = 0
  let fc = Dense(4)
  step(x, y) {
    let h = relu(fc(x))
    minimize mean(length(h - h)) with Adam(0.1)
  }
}
"#;
    assert_snapshot!(told("backward", program, &[]));
    let checked = told("backward-checked", program, &["--check-nan"]);
    assert!(checked.contains("'fc.w' is no longer finite after step 1"), "{checked}");
}

#[test]
fn an_infinity_of_an_update() {
    let program = r#"
optimizer Wild(lr: schedule = 0.01)(theta, g, t) {
  state v = 0
  v <- 0.9*v + g*g
  theta <- theta - lr*g/((sqrt(v) + 1) * (t - 7))
}
train update() on synthetic.linear(rows = 48, test = 16) {
  batch = 16; epochs = 5; seed = 0
  let fc = Dense(1, init = 1)
  step(x, y) { minimize mse(fc(x)[.., 0], y) with Wild() }
}
"#;
    assert_snapshot!(told("update", program, &[]));
}

#[test]
fn an_infinity_inside_a_scan() {
    let program = r#"
layer Grow()(x: float[N, T]) -> float[N] {
  param w: float = 2
  let h = 1.0 + 0.0 * x[:, 0]
  scan v in x, axis = 1 { h <- exp(w * h) + 0.0 * v }
  h
}
train loop() on synthetic.linear(rows = 48, test = 16, weights = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]) {
  batch = 16; epochs = 5; seed = 0
  let net = Grow()
  step(x, y) { minimize mean(net(x)) with SGD(0.1) }
}
"#;
    assert_snapshot!(told("scan", program, &[]));
}

const INDEX: &str = r#"
layer Next(units: int)(at: int[N]) -> float[N, units] = Embedding(10, units)(at + 1)

train index() on synthetic.linear(rows = 48, test = 16) {
  batch = 16; epochs = 3; seed = 0
  let next = Next(4)
  let last = Dense(1)
  step(x, y) {
    let at = indices([16])
    minimize mse(last(next(AT))[.., 0], y) with SGD(0.1)
  }
}
"#;

#[test]
fn an_index_out_of_range() {
    assert_snapshot!(told("index", &INDEX.replace("AT", "at % 10"), &[]));
    let held = told("held", &INDEX.replace("AT", "at % 9"), &[]);
    assert!(held.ends_with("status 0\n"), "{held}");
}

/// In a branch that is not taken, anything goes; with `where`, both sides are computed.
#[test]
fn a_branch_that_is_not_taken_does_not_fail() {
    let program = r#"
train branches(start: int = 3) on synthetic.linear(rows = 48, test = 16) {
  batch = 16; epochs = 3; seed = 0
  let fc = Dense(1)
  step(x, y) {
    let table = eye(4)
    let at = start + int(0.0 * sum(x))
    let more = if sum(x) > 1e9 { table[at[new] + 1] } else { table[at[new]] }
    let root = if sum(x) > 1e9 { cholesky(0.0 * table) } else { cholesky(table) }
    minimize mse(fc(x)[.., 0], y + 0.0 * (sum(more) + sum(root))) with SGD(0.1)
  }
}
"#;
    let fine = told("branches", program, &[]);
    assert!(fine.ends_with("status 0\n"), "{fine}");
    let taken = told("branches-taken", program, &["--set", "start=4"]);
    assert!(taken.contains("E0606") && taken.contains("index 4 is outside 0..4 in step 1"), "{taken}");
}

#[test]
fn an_index_out_of_range_inside_a_scan() {
    let program = r#"
layer Walk()(x: float[N, T]) -> float[N, 2] {
  param table: float[3, 2] = 0.5
  let at = 0.0 * x[:, 0]
  let h = table[int(at)]
  scan v in x, axis = 1 {
    at <- at + 1
    h <- 0.5 * h + table[int(at)] * v[:, new]
  }
  h
}
train walk() on synthetic.linear(rows = 48, test = 16, weights = [1.0, 1.0, 1.0, 1.0]) {
  batch = 16; epochs = 3; seed = 0
  let walk = Walk()
  step(x, y) { minimize mse(sum(walk(x), axis = 1), y) with SGD(0.1) }
}
"#;
    assert_snapshot!(told("scan-index", program, &[]));
}

#[test]
fn a_matrix_that_is_not_positive_definite() {
    let program = r#"
optimizer Whiten(lr: schedule = 0.1)(theta, g, t) {
  let m = reshape(g, [-1, 1])
  let r = cholesky(0.0 * (m @ transpose(m)) - (t - 3)*eye(shape(m)[0]))
  theta <- theta - lr*g*sum(r)
}
train whiten() on synthetic.linear(rows = 48, test = 16, weights = [1.0, 1.0, 1.0]) {
  batch = 16; epochs = 3; seed = 0
  let fc = Dense(1, bias = false)
  step(x, y) { minimize mse(fc(x)[.., 0], y) with Whiten() }
}
"#;
    assert_snapshot!(told("matrix", program, &[]));
}

/// A NaN that arrives in a decomposition is followed to where it was made.
#[test]
fn a_matrix_that_holds_nan() {
    let program = r#"
train spoilt() on synthetic.linear(rows = 48, test = 16) {
  batch = 16; epochs = 3; seed = 0
  let fc = Dense(1)
  step(x, y) {
    let a = log(0.0 * sum(x)) * eye(3)
    minimize mse(fc(x)[.., 0], y + stop_gradient(sum(cholesky(a)))) with SGD(0.1)
  }
}
"#;
    assert_snapshot!(told("spoilt", program, &[]));
}

#[test]
fn expressions_and_tests_tell_the_same() {
    let folder = Folder::new("eval");
    let text = "test \"solved\" {\n  let a = [[1.0, 2.0], [2.0, 4.0]]\n  expect sum(solve(a, [[1.0], [1.0]])) > 0\n}\n\ntest \"picked\" {\n  let at = argmax(eye(3), axis = 1)\n  expect sum(eye(3)[at + 1]) == 3\n}\n";
    std::fs::write(folder.0.join("blocks.opt"), text).expect("a file");
    for engine in ["jit", "interp"] {
        let told = |args: &[&str]| {
            let out = folder.optc(&[args, &["--engine", engine]].concat());
            assert_eq!(out.status.code(), Some(1));
            String::from_utf8_lossy(&out.stderr).into_owned()
        };
        let all = [
            told(&["test", "blocks.opt"]),
            told(&["eval", "x[i]", "--let", "x=[1.0, 2.0, 3.0]", "--let", "i=[0, -1]"]),
            told(&["eval", "take_along(x, i)", "--let", "x=[[1.0, 2.0], [3.0, 4.0]]", "--let", "i=[[0], [2]]"]),
            told(&["eval", "cholesky(a)", "--let", "a=[[[2.0, 0.0], [0.0, 1.0]], [[1.0, 3.0], [3.0, 1.0]]]"]),
        ];
        assert_snapshot!("expressions_and_tests", all.concat());
    }
}
