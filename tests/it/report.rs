//! What runs leave for people, read back as people and other programs read it: by `optc runs`, by the tensorboard package,
//! by a headless browser. The last two are installed by `.ci/run`; where they are absent, a test says so and passes.

use crate::support::root;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Names that would break a page, a picture or a script that did not escape them.
const HOSTILE: &str = r#"// </script><script>window.marked = 1</script> & "quotes" <b> {{style}} ${x}
use layers.{Dense, flatten}
use losses.cross_entropy
use metrics.accuracy
use optimizers.SGD

optimizer Watched(lr = 0.1)(theta, g, t) {
  observe lr, norm(g)
  theta <- theta - lr*g
}

data digits = synthetic.digits(train = 60, test = 40, seed = 1)

train digits_small(lr: float = 0.05) on digits {
  batch = 20; epochs = 4; seed = 1
  let top = Dense(10)
  step(image, label) {
    let logits = image |> flatten |> top
    minimize cross_entropy(logits, label) with Watched(lr)
    report accuracy(logits, label)
  }
}
"#;

const LINE: &str = r#"use losses.mse
use optimizers.{SGD, Adam}
data points = synthetic.linear(rows = 60, test = 30, seed = 1, noise = 0.1, weights = [3, 2])
model Plane()(x: float[N, 2]) -> float[N] {
  param w: float[2] = normal(std = 1)
  x @ w
}
train plane(optimizer = SGD(0.1), lr: float = 0.1) on points {
  batch = 20; epochs = 6; seed = 1
  let net = Plane()
  step(x, y) { minimize mse(net(x), y) with optimizer }
}
"#;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("optc-report-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a scratch folder");
        Scratch(path)
    }

    fn optc(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_optc"));
        command.current_dir(&self.0).args(args).output().expect("optc runs")
    }

    /// Runs the text and gives the run's folder.
    fn run(&self, text: &str, out: &str, more: &[&str]) -> PathBuf {
        std::fs::write(self.0.join("it.opt"), text).expect("a file");
        let args = [&["run", "it.opt", "--quiet", "--out", out], more].concat();
        let output = self.optc(&args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.0.join(out)
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.optc(args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("one object")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&read(path)).expect("JSON")
}

#[test]
fn a_run_leaves_a_page_and_pictures() {
    let scratch = Scratch::new("page");
    let out = scratch.run(HOSTILE, "out", &["--plots", "svg", "--profile"]);
    let result = json(&out.join("result.json"));
    assert_eq!((&result["state"], &result["steps"]), (&"finished".into(), &12.into()));
    // Every test row is in the matrix once, and what is right of it is the accuracy of the log.
    let predictions = json(&out.join("predictions.json"));
    let counts: Vec<Vec<u64>> = serde_json::from_value(predictions["confusion"].clone()).expect("counts");
    assert_eq!((counts.len(), counts.iter().flatten().sum::<u64>()), (10, 40));
    let right: u64 = (0..10).map(|k| counts[k][k]).sum();
    let log = read(&out.join("metrics.jsonl"));
    let last: Value = serde_json::from_str(log.lines().last().expect("lines")).expect("JSON");
    assert!((last["accuracy"].as_f64().expect("a number") - right as f64 / 40.0).abs() < 1e-6);

    let page = read(&out.join("report.html"));
    assert_eq!(page.matches("<script").count(), 2, "only the page's own scripts");
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(page.contains("&lt;/script&gt;&lt;script&gt;window.marked") && page.contains("{{style}} ${x}"));
    for external in ["http://", "https://", " src=", "<link", "@import"] {
        let own = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!own.contains(external), "the page reads {external}");
    }
    for part in ["curves", "observed", "predictions", "model", "timings", "configuration", "program"] {
        assert!(page.contains(&format!("<section id=\"{part}\">")), "no section {part}");
    }
    let mut plots: Vec<String> = std::fs::read_dir(out.join("plots"))
        .expect("pictures")
        .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    plots.sort();
    let expected = ["accuracy.svg", "confusion.svg", "loss.svg", "lr.svg", "norm-g--top.b.svg", "norm-g--top.w.svg"];
    assert_eq!(plots, expected);
}

const SCHEDULED: &str = r#"use losses.cross_entropy
use optimizers.AdamW
use schedules.warmup_cosine
use layers.Dense
data flowers = csv("flowers.csv", x = ["a", "b"], kind = label("kind")) |> split(every = 3)
train flowers_small(lr: float = 0.1) on flowers {
  batch = 4; epochs = 5; seed = 1
  let top = Dense(3)
  step(x, kind) {
    minimize cross_entropy(top(x), kind) with AdamW(warmup_cosine(lr, warmup = 5, total = 25))
  }
}
"#;

#[test]
fn the_learning_rate_has_a_curve_and_classes_have_names() {
    let scratch = Scratch::new("rate");
    let kinds = ["iris", "lily & <b>", "rose"];
    let rows: String = (0..30).map(|k| format!("{},{},{}\n", k % 3, k % 5, kinds[k % 3])).collect();
    std::fs::write(scratch.0.join("flowers.csv"), format!("a,b,kind\n{rows}")).expect("a table");
    let out = scratch.run(SCHEDULED, "out", &["--plots", "svg", "--save-every", "7"]);
    let log = read(&out.join("metrics.jsonl"));
    let mut steps = vec![];
    for line in log.lines().map(|l| serde_json::from_str::<Value>(l).expect("JSON")) {
        for point in line["hypers"]["adamw.lr"].as_array().into_iter().flatten() {
            let (t, rate) = (point[0].as_f64().expect("a step"), point[1].as_f64().expect("a rate"));
            let cosine = 0.05 * (1.0 + (std::f64::consts::PI * (t - 5.0) / 20.0).cos());
            let expected = if t < 5.0 { 0.1 * t / 5.0 } else { cosine };
            assert!((rate - expected).abs() < 1e-12, "{t}: {rate}, not {expected}");
            if line["split"] == "train" {
                steps.push(t as usize);
            }
        }
        assert_eq!(line["hypers"].is_null(), line["split"] == "test", "{line}");
    }
    // Every step of epochs as short as these.
    assert_eq!(steps, (1..=25).collect::<Vec<_>>());
    let page = read(&out.join("report.html"));
    assert!(page.contains("<section id=\"observed\">") && page.contains("\"adamw.lr\""), "no curve of the rate");
    assert!(!page.contains("constant</div>"));
    assert!(read(&out.join("plots/adamw.lr.svg")).contains("<path"));
    // Stopped and resumed, the log has the same lines.
    scratch.run(SCHEDULED, "cut", &["--save-every", "7", "--steps", "17"]);
    let resumed = scratch.optc(&["run", "it.opt", "--quiet", "--resume", "cut", "--save-every", "7"]);
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    assert_eq!(read(&scratch.0.join("cut/metrics.jsonl")), log);

    let predictions = json(&out.join("predictions.json"));
    assert_eq!(predictions["classes"], serde_json::json!(kinds));
    let picture = read(&out.join("plots/confusion.svg"));
    assert_eq!(picture.matches(">lily &amp; &lt;b&gt;</text>").count(), 2, "a name on each axis");

    // A rate that stays as it is is told in words.
    let constant = SCHEDULED.replace("warmup_cosine(lr, warmup = 5, total = 25)", "lr");
    let out = scratch.run(&constant, "constant", &[]);
    assert!(read(&out.join("report.html")).contains("adamw.lr, constant"));
    assert!(!read(&out.join("metrics.jsonl")).contains("hypers"));
}

#[test]
fn a_regression_has_its_pairs() {
    let scratch = Scratch::new("pairs");
    let out = scratch.run(LINE, "out", &["--float", "f64"]);
    let found = json(&out.join("predictions.json"));
    let pairs = found["pairs"].as_array().expect("pairs");
    assert_eq!((&found["kind"], pairs.len()), (&"values".into(), 30));
    // The loss of the log is the square of the error of the pairs.
    let log = read(&out.join("metrics.jsonl"));
    let last: Value = serde_json::from_str(log.lines().last().expect("lines")).expect("JSON");
    let (loss, rmse) = (last["loss"].as_f64().expect("a number"), found["rmse"].as_f64().expect("a number"));
    assert!((loss - rmse * rmse).abs() < 1e-12 * loss.max(1.0), "{loss} {rmse}");
    assert!(read(&out.join("report.html")).contains("over all rows"));
}

#[test]
fn runs_are_listed_compared_and_cleaned() {
    let scratch = Scratch::new("runs");
    for day in 1..=3 {
        scratch.run(LINE, &format!("runs/plane/2026-01-0{day}T00-00-00"), &["--set", &format!("lr=0.{day}")]);
    }
    let diverging = LINE.replace("SGD(0.1)", "SGD(1e30)");
    std::fs::write(scratch.0.join("it.opt"), diverging).expect("a file");
    let failed = scratch.optc(&["run", "it.opt", "--quiet", "--out", "runs/plane/2025-12-31T00-00-00"]);
    assert_eq!(failed.status.code(), Some(3));
    let both = format!("{LINE}\ncompare plane over optimizer in [SGD(0.1), Adam(0.1)], seeds = 2\n");
    let group = scratch.run(&both, "runs/plane/2026-01-04T00-00-00", &[]);
    assert!(read(&group.join("report.html")).contains("<section id=\"results\">"));

    let listed = scratch.json(&["runs", "--json"]);
    let runs = listed["runs"].as_array().expect("runs");
    let states: Vec<&str> = runs.iter().filter_map(|r| r["state"].as_str()).collect();
    assert_eq!(states, ["failed", "finished", "finished", "finished", "finished"]);
    assert_eq!(runs[4]["runs"].as_array().map(Vec::len), Some(4));
    let text = String::from_utf8(scratch.optc(&["runs"]).stdout).expect("text");
    assert_eq!(text.lines().count(), 6, "{text}");

    let (a, b) = ("runs/plane/2026-01-01T00-00-00", "runs/plane/2026-01-02T00-00-00");
    let compared = scratch.json(&["runs", "compare", a, b, "--json", "--out", "both"]);
    assert_eq!(compared["runs"].as_array().map(Vec::len), Some(2));
    assert!(read(&scratch.0.join("both/report.html")).contains("plane 2026-01-01T00-00-00"));
    assert_eq!(scratch.optc(&["runs", "compare", "nowhere"]).status.code(), Some(2));
    assert_eq!(scratch.optc(&["runs", "report", "both"]).status.code(), Some(1));

    // Without a terminal nobody can be asked.
    assert_eq!(scratch.optc(&["runs", "clean", "--keep", "2"]).status.code(), Some(2));
    let cleaned = scratch.json(&["runs", "clean", "--keep", "2", "--yes", "--json"]);
    assert_eq!(cleaned["removed"].as_array().map(Vec::len), Some(3));
    assert!(!scratch.0.join(a).exists() && group.join("report.html").exists());
}

#[test]
fn a_stopped_run_has_a_page_too() {
    let scratch = Scratch::new("stopped");
    std::fs::write(scratch.0.join("it.opt"), LINE).expect("a file");
    let args = ["run", "it.opt", "--quiet", "--out", "out", "--epochs", "100000000", "--max-time", "0.2"];
    assert_eq!(scratch.optc(&args).status.code(), Some(3));
    let out = scratch.0.join("out");
    let result = json(&out.join("result.json"));
    assert_eq!((&result["state"], &result["code"]), (&"stopped".into(), &"E0602".into()));
    assert!(read(&out.join("report.html")).contains("stopped by --max-time"));
    assert!(out.join("predictions.json").exists());
}

#[test]
fn tensorboard_reads_the_events() {
    let python = root().join("target/tensorboard/bin/python");
    if !python.exists() {
        println!("skipped: the tensorboard package is not in target/tensorboard (.ci/run installs it)");
        return;
    }
    let scratch = Scratch::new("events");
    let out = scratch.run(LINE, "out", &["--tensorboard"]);
    const SCRIPT: &str = "
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1])
events.Reload()
print(json.dumps({tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()['scalars']}))
";
    let output = Command::new(python).args(["-c", SCRIPT]).arg(&out).output().expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut count = 0;
    for line in read(&out.join("metrics.jsonl")).lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let tag = format!("{}/loss", line["split"].as_str().expect("a split"));
        let events = found[&tag].as_array().unwrap_or_else(|| panic!("no {tag} in {found}"));
        let event = events.iter().find(|e| e[0] == line["step"]).expect("an event for each step");
        let (logged, read) = (line["loss"].as_f64().expect("a number"), event[1].as_f64().expect("a number"));
        assert!((logged - read).abs() <= 1e-6 * logged.abs(), "{logged} {read}");
        count += 1;
    }
    assert_eq!(count, 12);
}

#[test]
fn a_browser_opens_the_pages() {
    let script = root().join("tests/browser/open.mjs");
    if !root().join("tests/browser/node_modules").exists() {
        println!("skipped: there is no tests/browser/node_modules (.ci/run installs a browser there)");
        return;
    }
    let scratch = Scratch::new("browser");
    let single = scratch.run(HOSTILE, "single", &["--profile"]);
    let pairs = scratch.run(LINE, "pairs", &[]);
    let both = format!("{LINE}\ncompare plane over optimizer in [SGD(0.1), Adam(0.1)], seeds = 2\n");
    let compared = scratch.run(&both, "compared", &[]);
    let sweep = "sweep plane over optimizer in [SGD(0.1), Adam(0.1)], lr in log(1e-4 .. 1.0)\n  \
                 by random(trials = 9, seed = 1) minimizing test.loss\n";
    let swept = scratch.run(&format!("{LINE}\n{sweep}"), "swept", &[]);
    let ranged = scratch.run(LINE, "ranged", &["--lr-range"]);
    let pages = [&single, &pairs, &compared, &swept, &ranged].map(|folder| folder.join("report.html"));
    let output = Command::new("node").arg(script).arg(&scratch.0).args(&pages).output().expect("node runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(seen.len(), 5);
    for page in &seen {
        let none = serde_json::json!([]);
        assert_eq!((&page["errors"], &page["requests"]), (&none, &none), "{page}");
        assert_eq!(
            (&page["wide"], &page["marks"], &page["changed"]),
            (&false.into(), &true.into(), &true.into()),
            "{page}"
        );
        assert!(page["curves"].as_u64() > Some(0) && page["still"].as_u64() > Some(0), "{page}");
        let axis = if page["file"].as_str().is_some_and(|f| f.contains("ranged")) { "sgd.lr" } else { "step" };
        assert!(page["tip"].as_str().is_some_and(|tip| tip.starts_with(axis)), "{page}");
        assert_ne!(page["light"], page["dark"], "{page}");
    }
    let curves: Vec<u64> = seen.iter().filter_map(|p| p["curves"].as_u64()).collect();
    // Loss and accuracy of two splits and three observed values; one loss; of four runs; of nine trials; of a range test.
    assert_eq!(curves[..4], [7, 2, 8, 18]);
    assert!(curves[4] >= 2, "each step and smoothed");
    assert!(seen[3]["sections"].as_array().is_some_and(|s| s.contains(&"sweep".into())));
    for name in ["0-light.png", "0-dark.png", "3-hover.png"] {
        assert!(scratch.0.join(name).metadata().is_ok_and(|m| m.len() > 10_000), "{name}");
    }
}
