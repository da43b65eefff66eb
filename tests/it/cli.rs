//! The command line as scripts see it: output, streams and exit status.

use insta::assert_snapshot;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

const SMALL: &str = r#"
use layers.Dense
use losses.mse
use optimizers.AdamW

data points = synthetic.linear(rows = 48, test = 16, seed = 1)

train small(lr: float = 0.05, hidden: int = 4) on points {
  batch = 16; epochs = 3; seed = 7
  let first = Dense(hidden, init = he_normal)
  let last = Dense(1)
  step(x, y) {
    let p = (x |> first |> relu |> last)[.., 0]
    minimize mse(p, y) with AdamW(lr)
    report mse(p, y)
  }
}
"#;

fn optc(args: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_optc"))
        .args(args)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .output()
        .expect("the binary runs")
}

/// A transcript: what was typed, what came on both streams, and the status.
fn transcript(args: &[&str], folder: &Path) -> String {
    let out = optc(args, folder);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let status = out.status.code().map_or("killed".into(), |c| c.to_string());
    format!(
        "$ optc {}\n--- stdout\n{}--- stderr\n{}--- status {status}\n",
        args.join(" "),
        text(&out.stdout),
        text(&out.stderr)
    )
}

/// A folder with `small.opt` and others in it, removed when dropped.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("optc-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        std::fs::write(path.join("small.opt"), SMALL).expect("a file");
        std::fs::write(
            path.join("bad.opt"),
            "fn f(x: float[N]) = x + yy\nfn g(x) = x +* 2\nfn h(x) = f(x, 2) + g(x)\n",
        )
        .expect("a file");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn json_lines(out: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&out.stdout);
    text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e} in {l}"))).collect()
}

#[test]
fn eval_prints_values_and_gradients() {
    let folder = Folder::new("eval");
    let cases: &[&[&str]] = &[
        &["eval", "[1.0, 2.0] + [0.5, 0.5]"],
        &["eval", "x * x", "--let", "x=[1.0, -2.0]", "--grad", "x", "--json"],
        &[
            "eval",
            "x * x",
            "--let",
            "x=[1.0, -2.0]",
            "--grad",
            "x",
            "--cotangent",
            "[1.0, 10.0]",
            "--float",
            "f64",
            "--json",
        ],
        &["eval", "x / 0.0", "--let", "x=[1.0, -1.0, 0.0]", "--json", "--engine", "interp"],
        &["eval", "argmax(x, axis = 1)", "--let", "x=[[1.0, 3.0], [5.0, 2.0]]", "--json"],
        &["eval", "x > 1.0", "--let", "x=[1.0, 3.0]", "--json"],
        &["eval", "x + y", "--let", "x=[1.0, 2.0]", "--let", "y=[1.0, 2.0, 3.0]"],
        &["eval", "cross_entrpy(x, y)", "--let", "x=[1.0, 2.0]"],
        &["eval", "x", "--let", "x=[[1.0], [2.0, 3.0]]"],
        &["eval", "x * 2", "--let", "x=[1, 2]", "--grad", "x"],
    ];
    let all: Vec<String> = cases.iter().map(|args| transcript(args, &folder.0)).collect();
    assert_snapshot!(all.join("\n"));
}

#[test]
fn check_reports_every_error() {
    let folder = Folder::new("check");
    let cases: &[&[&str]] =
        &[&["check", "small.opt"], &["check", "bad.opt"], &["check", "bad.opt", "--json"], &["check", "missing.opt"]];
    let all: Vec<String> = cases.iter().map(|args| transcript(args, &folder.0)).collect();
    assert_snapshot!(all.join("\n"));
}

#[test]
fn every_stage_prints() {
    let folder = Folder::new("stages");
    for stage in ["ast", "typed", "graph", "grad", "fused", "kernels", "plan"] {
        let out = transcript(&["ir", "small.opt", "--stage", stage], &folder.0);
        assert_snapshot!(format!("stage_{stage}"), out);
    }
    // Machine code depends on the machine.
    for (stage, word) in [("clif", "block0"), ("asm", "ret")] {
        let out = optc(&["ir", "small.opt", "--stage", stage], &folder.0);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success() && text.contains(word), "{stage}: {text}");
    }
}

#[test]
fn a_run_leaves_its_folder_and_repeats_bit_for_bit() {
    let folder = Folder::new("run");
    let mut finals = vec![];
    for (name, threads) in [("a", "1"), ("b", "2"), ("c", "2")] {
        let args = ["run", "small.opt", "--out", name, "--threads", threads, "--json", "--quiet"];
        let out = optc(&args, &folder.0);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let lines = json_lines(&out);
        assert!(lines.iter().any(|l| l["split"] == "test" && l["loss"].is_number()), "{lines:?}");
        let run = folder.0.join(name);
        let log = std::fs::read_to_string(run.join("metrics.jsonl")).expect("a log");
        assert_eq!(log.lines().count(), 6, "{log}");
        assert!(run.join("config.json").exists());
        finals.push(std::fs::read(run.join("checkpoints/final.safetensors")).expect("a checkpoint"));
    }
    assert!(finals.windows(2).all(|w| w[0] == w[1]), "runs differ");
    let interp = optc(&["run", "small.opt", "--out", "i", "--engine", "interp", "--json", "--quiet"], &folder.0);
    let jit = optc(&["run", "small.opt", "--out", "j", "--json", "--quiet"], &folder.0);
    let loss = |out: &Output| json_lines(out).iter().rfind(|l| l["split"] == "test").unwrap()["loss"].as_f64().unwrap();
    assert!((loss(&interp) - loss(&jit)).abs() < 1e-4);
}

#[test]
fn exit_statuses_tell_what_went_wrong() {
    let folder = Folder::new("status");
    let status = |args: &[&str]| optc(args, &folder.0).status.code();
    assert_eq!(status(&["run", "small.opt", "--quiet", "--epochs", "1"]), Some(0));
    assert_eq!(status(&["run", "bad.opt"]), Some(1));
    assert_eq!(status(&["run", "small.opt", "--set", "nothing=1"]), Some(1));
    assert_eq!(status(&["run", "small.opt", "--wrong"]), Some(2));
    assert_eq!(status(&["run", "nothing.opt"]), Some(2));
    let diverged =
        optc(&["run", "small.opt", "--set", "lr=1e30", "--quiet", "--epochs", "50", "--out", "d"], &folder.0);
    let text = String::from_utf8_lossy(&diverged.stderr).into_owned();
    assert_eq!(diverged.status.code(), Some(3), "{text}");
    // How many of the results are NaN and how many infinite depends on the order of sums.
    let told: Vec<&str> = text.lines().filter(|line| !line.starts_with("   = result")).collect();
    assert_snapshot!("diverged", told.join("\n"));
}

#[test]
fn the_quickstart_learns() {
    let folder = Folder::new("quickstart");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart.opt");
    let out = optc(&["run", file.to_str().unwrap(), "--json", "--quiet", "--out", "q"], &folder.0);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let lines = json_lines(&out);
    let last = lines.iter().rfind(|l| l["split"] == "test").expect("a test line");
    assert!(last["accuracy"].as_f64().unwrap() > 0.95, "{last}");
}

/// The band of `reference/training`: accuracy within 0.005 of the recorded mean, loss within 10 %.
#[test]
fn mnist_lands_in_the_recorded_band() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = root.join("../shared/data");
    if !data.join("mnist").exists() {
        println!("skipped: ../shared/data/mnist is not here");
        return;
    }
    let folder = Folder::new("mnist");
    let file = root.join("examples/mnist_mlp.opt");
    let args = ["run", file.to_str().unwrap(), "--data", data.to_str().unwrap(), "--json", "--quiet", "--out", "m"];
    let out = optc(&args, &folder.0);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let lines = json_lines(&out);
    let result = lines.last().expect("a result");
    for (k, (accuracy, loss)) in [(0.9242, 0.2697), (0.9785, 0.0717), (0.9790, 0.0717)].into_iter().enumerate() {
        let test = &result["variants"][k]["test"];
        let (a, l) = (test["accuracy"]["mean"].as_f64().unwrap(), test["loss"]["mean"].as_f64().unwrap());
        assert!(
            (a - accuracy).abs() < 0.005 && (l / loss - 1.0).abs() < 0.1,
            "{}: {a} {l}",
            result["variants"][k]["label"]
        );
    }
}

#[test]
fn test_blocks_run() {
    let folder = Folder::new("tests");
    let text = "test \"right\" {\n  expect exp(0.0) ~ 1\n}\n\ntest \"wrong\" {\n  let x = [1.0, 2.0]\n  expect x * 2 ~ [2.0, 5.0] within 0.5\n  expect x < 2\n}\n";
    std::fs::write(folder.0.join("blocks.opt"), text).expect("a file");
    assert_snapshot!(transcript(&["test", "blocks.opt"], &folder.0));
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/formulas_test.opt");
    let out = optc(&["test", own.to_str().unwrap()], &folder.0);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn doc_prints_text_equations_and_defaults() {
    let folder = Folder::new("doc");
    let own = "/// A. Someone (2031).\n///   θ = θ - η g\noptimizer Mine(η = 0.1)(θ, g, t) {\n  θ ← θ - η*g\n}\n";
    std::fs::write(folder.0.join("mine.opt"), own).expect("the folder is writable");
    let all = [
        transcript(&["doc", "AdamW"], &folder.0),
        transcript(&["doc", "clip_by_global_norm", "--source"], &folder.0),
        transcript(&["doc", "mine.opt", "Mine"], &folder.0),
        transcript(&["doc", "mine.opt", "Mine", "--latex"], &folder.0),
        transcript(&["doc", "mine.opt"], &folder.0),
        transcript(&["doc", "mse", "--latex"], &folder.0),
        transcript(&["doc", "AdamV"], &folder.0),
        transcript(&["doc", "sqrt"], &folder.0),
        transcript(&["doc", "optimizers.SGD", "--latex"], &folder.0),
        transcript(&["doc", "losses.SGD"], &folder.0),
        transcript(&["doc", "schedules"], &folder.0),
        transcript(&["doc", "mine.opt", "Min"], &folder.0),
        transcript(&["doc", "mine.opt", "--markdown"], &folder.0),
        transcript(&["doc", "batch"], &folder.0),
        transcript(&["doc", "mnist"], &folder.0),
        transcript(&["doc", "E0203"], &folder.0),
        transcript(&["doc"], &folder.0).lines().take(4).collect::<Vec<_>>().join("\n"),
    ];
    assert_snapshot!(all.join("\n"));
}
