//! Comparisons, cross-validation, sweeps and range tests, through the real binary.

use crate::support::root;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, text: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("optc-experiments-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder");
        std::fs::write(path.join("run.opt"), text).expect("a file");
        Folder(path)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_optc"));
        command.args(["run", "run.opt"]).args(args).current_dir(&self.0).env("NO_COLOR", "1");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        let out = self.command(args).output().expect("the binary runs");
        assert!(out.status.success(), "{args:?}\n{}", String::from_utf8_lossy(&out.stderr));
        out
    }

    fn json(&self, path: &str) -> Value {
        let text = std::fs::read_to_string(self.0.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        serde_json::from_str(&text).expect("JSON")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn program(experiment: &str) -> String {
    format!(
        r#"
use layers.Dense
use losses.cross_entropy
use metrics.accuracy
use optimizers.{{SGD, AdamW}}
data points = synthetic.moons(train = 120, test = 40, noise = 0.3, seed = 1) |> standardize(x)
train moons(lr: float = 0.02, width: int = 8, optimizer = AdamW(0.01)) on points {{
  batch = 20; epochs = 9; seed = 7
  let hidden = Dense(width)
  let top = Dense(2)
  step(x, label) {{
    let z = x |> hidden |> tanh |> top
    minimize cross_entropy(z, label) with AdamW(lr)
    report accuracy(z, label)
  }}
}}
{experiment}
"#
    )
}

const SWEEP: &str = "sweep moons over lr in log(1e-4 .. 1.0), width in [2, 8, 32]
  by bayesian(trials = 14, halving = 3, seed = 3) minimizing test.loss";

/// What a sweep found, without the times.
fn timeless(mut sweep: Value) -> Value {
    let strip = |trial: &mut Value| {
        trial.as_object_mut().expect("a trial").remove("seconds");
    };
    strip(&mut sweep["best"]);
    sweep["trials"].as_array_mut().expect("trials").iter_mut().for_each(strip);
    sweep
}

#[test]
fn a_sweep_is_the_same_on_any_threads_and_after_kills() {
    let folder = Folder::new("sweep", &program(SWEEP));
    folder.run(&["--out", "one", "--threads", "1", "--quiet"]);
    folder.run(&["--out", "two", "--threads", "2", "--quiet"]);
    let whole = timeless(folder.json("one/sweep.json"));
    assert_eq!(whole, timeless(folder.json("two/sweep.json")));
    let trials = whole["trials"].as_array().expect("trials");
    assert_eq!(trials.len(), 14);
    let state = |s: &str| trials.iter().filter(|t| t["state"] == s).count();
    assert!(state("stopped") > 2 && state("done") > 2, "{whole}");
    assert!(trials.iter().all(|t| t["state"] != "stopped" || t["epochs"].as_u64().unwrap() < 9), "{whole}");
    let space = whole["space"].as_array().expect("dimensions");
    assert!(space.iter().any(|d| d["importance"].as_f64() > Some(0.2)), "something decides: {whole}");
    // Killed twice, the second time while it is resumed.
    for args in [["--out", "cut"], ["--resume", "cut"]] {
        let mut child = folder.command(&args).args(["--quiet", "--threads", "2"]).spawn().expect("the binary runs");
        let log = folder.0.join("cut/trials.jsonl");
        let lines = || std::fs::read_to_string(&log).map_or(0, |text| text.lines().count());
        let before = lines();
        while lines() < before + 4 && child.try_wait().expect("a status").is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = child.kill();
        child.wait().expect("it ends");
    }
    let before = std::fs::read_to_string(folder.0.join("cut/trials.jsonl")).expect("a log");
    folder.run(&["--resume", "cut", "--quiet"]);
    assert_eq!(timeless(folder.json("cut/sweep.json")), whole);
    let log = std::fs::read_to_string(folder.0.join("cut/trials.jsonl")).expect("a log");
    let whole_lines: Vec<&str> = before.lines().filter(|l| serde_json::from_str::<Value>(l).is_ok()).collect();
    assert!(whole_lines.len() >= 8 && whole_lines.iter().all(|line| log.contains(line)), "no result is made again");
    // The folder of another sweep is not mistaken for this one.
    std::fs::write(folder.0.join("run.opt"), program(&SWEEP.replace("seed = 3", "seed = 4"))).expect("a file");
    let out = folder.command(&["--resume", "cut", "--quiet"]).output().expect("the binary runs");
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(1) && text.contains("of another sweep"), "{text}");
}

#[test]
fn the_best_setting_can_be_run() {
    let grid =
        "sweep moons over lr in log(0.001 .. 0.1), width in [4, 16] by grid(points = 3) maximizing test.accuracy";
    let folder = Folder::new("grid", &program(grid));
    let out = folder.run(&["--out", "g"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let sweep = folder.json("g/sweep.json");
    assert_eq!(sweep["trials"].as_array().map(Vec::len), Some(6));
    let line = text.lines().find(|l| l.starts_with("optc run")).unwrap_or_else(|| panic!("{text}"));
    let args: Vec<&str> = line.split_whitespace().skip(3).chain(["--out", "best", "--quiet", "--json"]).collect();
    let out = folder.run(&args);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let last: Value = serde_json::from_str(text.lines().last().expect("a result")).expect("JSON");
    assert_eq!(last["test"]["accuracy"], sweep["best"]["objective"], "{line}");
}

/// A sweep of 30 trials on the built-in digits finds a setting better than the defaults.
#[test]
fn the_example_sweep_beats_its_defaults() {
    let text = std::fs::read_to_string(root().join("examples/sweep_digits.opt")).expect("the example");
    // A third of the rows: the test is about the search.
    let folder = Folder::new("digits", &text.replace("3_000", "1_000").replace("1_000, seed", "500, seed"));
    folder.run(&["--out", "s", "--quiet"]);
    let sweep = folder.json("s/sweep.json");
    assert_eq!(sweep["trials"].as_array().map(Vec::len), Some(30));
    let out = folder.run(&["--train", "sweep_digits", "--out", "d", "--quiet", "--json"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let default: Value = serde_json::from_str(text.lines().last().expect("a result")).expect("JSON");
    let (best, default) = (sweep["best"]["objective"].as_f64().unwrap(), default["test"]["accuracy"].as_f64().unwrap());
    assert!(best > default + 0.005, "{best} against {default}");
    let shares: Vec<f64> =
        sweep["space"].as_array().unwrap().iter().map(|d| d["importance"].as_f64().unwrap()).collect();
    assert!(shares[0] > 0.2 && shares[0] >= shares[3], "the rate matters: {shares:?}");
}

#[test]
fn a_comparison_has_a_test_of_difference() {
    let text = program("compare moons over lr in [0.05, 1e-5, 1e38], seeds = 6");
    let folder = Folder::new("compare", &text.replace("with AdamW(lr)", "with SGD(lr)"));
    let out = folder.run(&["--out", "c", "--quiet", "--json"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let result: Value = serde_json::from_str(text.lines().last().expect("a result")).expect("JSON");
    let [good, bad, wild] = [0, 1, 2].map(|k| &result["variants"][k]);
    assert_eq!(result["best"], "lr = 0.05");
    assert!(good["p"].is_null() && bad["p"].as_f64().unwrap() < 0.05, "{result}");
    assert!(good["test"]["loss"]["deviation"].as_f64().unwrap() > 0.0);
    assert_eq!(wild["diverged"], 6, "{result}");
    let table = String::from_utf8_lossy(&folder.run(&["--out", "d", "--quiet"]).stdout).into_owned();
    assert!(table.contains("±") && table.contains("best") && table.contains("(6 diverged)"), "{table}");
    // Finished runs are not made again.
    folder.run(&["--resume", "c", "--quiet"]);
    assert_eq!(folder.json("c/compare.json")["variants"][0]["test"], good["test"]);
}

#[test]
fn a_comparison_is_the_same_on_any_threads_and_after_a_kill() {
    let text = program("compare moons over lr in [0.05, 0.01, 1e38], width in [4, 8], seeds = 3");
    let folder = Folder::new("side-by-side", &text.replace("with AdamW(lr)", "with SGD(lr)"));
    // What was found, whatever the folder is called.
    let found = |out: &str| -> Value {
        let text = std::fs::read_to_string(folder.0.join(out).join("compare.json")).expect("a result");
        serde_json::from_str(&text.replace(&format!("\"{out}/"), "\"")).expect("JSON")
    };
    let printed = |out: &Output| String::from_utf8_lossy(&out.stdout).into_owned();
    let one = folder.run(&["--out", "one", "--threads", "1", "--quiet", "--json"]);
    let two = folder.run(&["--out", "two", "--threads", "2", "--quiet", "--json"]);
    let whole = found("one");
    assert_eq!(whole, found("two"));
    assert_eq!(whole["variants"].as_array().map(Vec::len), Some(6));
    assert_eq!((&whole["variants"][4]["diverged"], &whole["variants"][0]["diverged"]), (&3.into(), &Value::Null));
    // The objects of the epochs come in the order of the runs, each with the name of its run.
    assert_eq!(printed(&one).replace("one/", ""), printed(&two).replace("two/", ""));
    let first: Value = serde_json::from_str(printed(&one).lines().next().expect("an object")).expect("JSON");
    assert_eq!(first["run"], "lr = 0.05, width = 4, seed 7");

    let mut child = folder.command(&["--out", "cut", "--quiet", "--threads", "2"]).spawn().expect("the binary runs");
    while !folder.0.join("cut/03-lr-0.05-width-4/result.json").exists() && child.try_wait().expect("a status").is_none()
    {
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    child.wait().expect("it ends");
    folder.run(&["--resume", "cut", "--quiet"]);
    assert_eq!(whole, found("cut"));
    for run in ["01-lr-0.05-width-4", "08-lr-0.01-width-4"] {
        let bytes = |out: &str| std::fs::read(folder.0.join(out).join(run).join("metrics.jsonl")).expect("a log");
        assert!(bytes("one") == bytes("two") && bytes("one") == bytes("cut"), "{run}");
    }
    // Another comparison is not mistaken for this one.
    std::fs::write(folder.0.join("run.opt"), text.replace("seeds = 3", "seeds = 2")).expect("a file");
    let out = folder.command(&["--resume", "cut", "--quiet"]).output().expect("the binary runs");
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(1), "{text}");
}

#[test]
fn a_new_sweep_does_not_go_on_with_an_old_ones_trials() {
    let grid = |values: &str| program(&format!("sweep moons over lr in [{values}] by grid() minimizing train.loss"));
    let folder = Folder::new("again", &grid("0.001, 0.002, 0.003"));
    folder.run(&["--out", "s", "--quiet"]);
    std::fs::write(folder.0.join("run.opt"), grid("0.05, 0.06")).expect("a file");
    folder.run(&["--out", "s", "--quiet"]);
    folder.run(&["--out", "fresh", "--quiet"]);
    assert_eq!(timeless(folder.json("s/sweep.json")), timeless(folder.json("fresh/sweep.json")));
    let page = std::fs::read_to_string(folder.0.join("s/report.html")).expect("a page");
    assert!(!page.contains("lr = 0.003"), "a trial of the sweep before is in the curves");
}

#[test]
fn a_sweep_whose_trials_all_diverge_says_so() {
    let text = program("sweep moons over lr in [1e37, 1e38] by grid() minimizing test.loss");
    let folder = Folder::new("wild", &text.replace("with AdamW(lr)", "with SGD(lr)"));
    let out = folder.command(&["--out", "w", "--quiet"]).output().expect("the binary runs");
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(3), "{told}");
    assert!(told.contains("diverged in all 2 trials"), "{told}");
    let printed = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(!printed.contains("best:") && folder.0.join("w/report.html").exists(), "{printed}");
}

#[test]
fn folds_cover_every_row_once() {
    let csv: String = (0..23).map(|k| format!("{k},{}\n", 3 * k)).collect();
    let text = r#"
use losses.mse
use optimizers.SGD
data table = csv("rows.csv", x = 0, y = 1) |> split(test = 0.3) |> standardize(x)
model Scale()(x: float[N]) -> float[N] {
  param w: float = zeros
  w * x
}
/// How many rows there are, and the sum of their targets.
metric rows()(y: float[N]) -> float { state n = 0; n <- n + size(y); n }
metric total()(y: float[N]) -> float { state s = 0; s <- s + sum(y); s }
metric middle()(x: float[N]) -> float = mean(all.rows(x))
train folded() on table {
  batch = 4; epochs = 1
  let net = Scale()
  step(x, y) {
    minimize mse(net(x), y) with SGD(1e-4)
    report rows(y), total(y), middle(x)
  }
}
compare folded over folds = 5
"#;
    let folder = Folder::new("folds", text);
    std::fs::write(folder.0.join("rows.csv"), csv).expect("a file");
    folder.run(&["--out", "f", "--quiet"]);
    let result = folder.json("f/compare.json");
    let variant = &result["variants"][0];
    assert_eq!(variant["runs"].as_array().map(Vec::len), Some(5), "{result}");
    let (tests, trains) = (&variant["test"], &variant["train"]);
    let mean = |v: &Value| v["mean"].as_f64().expect("a mean");
    assert!((mean(&tests["rows"]) - 23.0 / 5.0).abs() < 1e-9 && (mean(&trains["rows"]) - 23.0 * 0.8).abs() < 1e-9);
    let all: f64 = (0..23).map(|k| f64::from(3 * k)).sum();
    assert!((mean(&tests["total"]) - all / 5.0).abs() < 1e-6, "{result}");
    assert_eq!((tests["rows"]["min"].as_f64(), tests["rows"]["max"].as_f64()), (Some(4.0), Some(5.0)));
    // Standardized by the training rows of each fold.
    assert!(mean(&trains["middle"]).abs() < 1e-6 && trains["middle"]["max"].as_f64().unwrap().abs() < 1e-6, "{result}");
    assert!(tests["middle"]["max"].as_f64().unwrap() > 1e-3, "{result}");
}

#[test]
fn the_rate_of_steepest_descent_is_found() {
    let folder = Folder::new("range", &program(""));
    let out = folder.run(&["--lr-range=1e-6..100", "--steps", "120", "--out", "r"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(text.contains("falls fastest at"), "{text}");
    let range = folder.json("r/lr_range.json");
    let (suggestion, lowest) = (range["suggestion"].as_f64().unwrap(), range["lowest"].as_f64().unwrap());
    assert!(1e-3 < suggestion && suggestion < lowest && lowest < 10.0, "{suggestion} {lowest}");
    let points = range["points"].as_array().expect("points");
    assert!((points[0]["rate"].as_f64().unwrap() - 1e-6).abs() < 1e-12);
    let page = std::fs::read_to_string(folder.0.join("r/report.html")).expect("a page");
    assert!(page.contains("loss against adamw.lr") && page.contains("falls fastest"));
    // The rule is elaborated once; the rate is an input.
    assert!(points.len() > 40, "{}", points.len());

    // What is tried is the rate, not what a warm-up leaves of it.
    let warm = program("").replace("optimizers", "schedules.warmup\nuse optimizers");
    let warm = warm.replace("AdamW(lr)\n", "AdamW(warmup(peak = 0.02, warmup = 50))\n");
    let folder = Folder::new("warm_range", &warm);
    folder.run(&["--lr-range=1e-6..100", "--steps", "120", "--out", "r"]);
    let same = folder.json("r/lr_range.json");
    let close = |a: &Value, b: &Value| (a.as_f64().unwrap() / b.as_f64().unwrap() - 1.0).abs() < 1e-3;
    assert!(close(&same["suggestion"], &range["suggestion"]), "{same}");
    assert!(close(&same["points"][20]["loss"], &points[20]["loss"]), "{same}");
}

#[test]
fn the_three_optimizers_of_the_articles_fit_the_recorded_line() {
    let folder = Folder::new("articles", "");
    let file = root().join("examples/compare_linreg.opt");
    let out = Command::new(env!("CARGO_BIN_EXE_optc"))
        .args(["run", file.to_str().unwrap(), "--out", "c", "--quiet"])
        .current_dir(&folder.0)
        .output()
        .expect("the binary runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let result = folder.json("c/compare.json");
    // Least squares on these rows, as the data's page says.
    let expected = [("loss", 0.00884, 0.0015), ("w1", 3.00666, 0.03), ("w2", 2.00772, 0.03), ("b", 0.00548, 0.03)];
    for variant in result["variants"].as_array().expect("variants") {
        for (name, value, tolerance) in expected {
            let found = variant["train"][name]["mean"].as_f64().unwrap();
            assert!((found - value).abs() < tolerance, "{}: {name} is {found}", variant["label"]);
        }
    }
}
