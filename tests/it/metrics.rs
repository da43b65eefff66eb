//! Metrics over a whole split, in batches, against brute force.

use crate::support::{check, eval, root};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROWS: usize = 157;
const CLASSES: usize = 4;

/// Logits on a coarse grid, so that scores tie, and labels that follow them a little.
fn table() -> Vec<([f64; CLASSES], usize)> {
    let mut random = 2024_u64;
    let mut next = |n: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % n
    };
    let row = |_| {
        let label = next(10).min(CLASSES as u64 - 1) as usize;
        let mut logits = [0.0; CLASSES].map(|_: f64| next(9) as f64 / 4.0 - 1.0);
        logits[label] += next(4) as f64 / 4.0;
        // No two classes of a row tie for the first place: argmax would depend on the order.
        logits.iter_mut().enumerate().for_each(|(c, l)| *l += c as f64 / 64.0);
        (logits, label)
    };
    (0..ROWS).map(row).collect()
}

/// The values of the last epoch, train and test: the model is the table itself.
fn reported(name: &str, batch: usize, engine: &str) -> [Value; 2] {
    let folder: PathBuf = std::env::temp_dir().join(format!("optc-metrics-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut csv = String::from("a,b,c,d,label\n");
    for (logits, label) in table() {
        let fields: Vec<String> = logits.iter().map(f64::to_string).collect();
        csv += &format!("{},{label}\n", fields.join(","));
    }
    std::fs::write(folder.join("table.csv"), csv).expect("a file");
    let program = format!(
        r#"
use losses.cross_entropy
use metrics.*
use optimizers.SGD
data table = csv("table.csv", test = "table.csv", z = ["a", "b", "c", "d"], label = label("label"))
model Itself()(z: float[N, 4]) -> float[N, 4] {{
  param none: float = zeros
  z + none
}}
train known() on table {{
  batch = {batch}; epochs = 2
  let net = Itself()
  step(z, label) {{
    let logits = net(z)
    minimize cross_entropy(logits, label) with SGD(0.0)
    let score = logits[:, 1] - logits[:, 0]
    let one = int(label == 1)
    report accuracy(logits, label), precision(logits, label, class = 2), recall(logits, label, class = 2), f1(logits, label, class = 2)
    report precision(logits, label, average = "macro"), recall(logits, label, average = "macro"), f1(logits, label, average = "macro")
    report precision(logits, label, average = "weighted"), recall(logits, label, average = "weighted"), f1(logits, label, average = "weighted")
    report f1(logits, label, average = "micro"), top_k_accuracy(logits, label, k = 2), perplexity(logits, label)
    report roc_auc(score, one), pr_auc(score, one), roc_auc_ovr(logits, label)
    report mae(score, float(one)), rmse(score, float(one)), r2(score, float(one))
    report confusion_matrix(logits, label), confusion(logits, label, actual = 1, guessed = 3)
  }}
}}
"#
    );
    std::fs::write(folder.join("known.opt"), program).expect("a file");
    let out = Command::new(env!("CARGO_BIN_EXE_optc"))
        .args(["run", "known.opt", "--quiet", "--out", "run", "--engine", engine])
        .current_dir(&folder)
        .output()
        .expect("the binary runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let log = std::fs::read_to_string(Path::new(&folder).join("run/metrics.jsonl")).expect("a log");
    let _ = std::fs::remove_dir_all(&folder);
    let lines: Vec<Value> = log.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    ["train", "test"].map(|split| lines.iter().rfind(|l| l["split"] == split).expect("a line").clone())
}

fn argmax(logits: &[f64]) -> usize {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).expect("classes")
}

/// Each pair of a positive and a negative row.
fn pairs(rows: &[(f64, bool)]) -> f64 {
    let (mut right, mut all) = (0.0, 0.0);
    for (positive, _) in rows.iter().filter(|r| r.1) {
        for (negative, _) in rows.iter().filter(|r| !r.1) {
            all += 1.0;
            right += if positive > negative {
                1.0
            } else if positive == negative {
                0.5
            } else {
                0.0
            };
        }
    }
    right / all
}

/// Σ (R_n - R_{n-1}) P_n over the thresholds, from the highest.
fn average_precision(rows: &[(f64, bool)]) -> f64 {
    let mut thresholds: Vec<f64> = rows.iter().map(|r| r.0).collect();
    thresholds.sort_by(|a, b| b.total_cmp(a));
    thresholds.dedup();
    let positives = rows.iter().filter(|r| r.1).count() as f64;
    let (mut area, mut recall_before) = (0.0, 0.0);
    for threshold in thresholds {
        let taken: Vec<bool> = rows.iter().filter(|r| r.0 >= threshold).map(|r| r.1).collect();
        let hits = taken.iter().filter(|t| **t).count() as f64;
        area += (hits / positives - recall_before) * hits / taken.len() as f64;
        recall_before = hits / positives;
    }
    area
}

fn expected() -> Vec<(&'static str, f64)> {
    let table = table();
    let n = ROWS as f64;
    let count = |p: &dyn Fn(usize, usize) -> bool| table.iter().filter(|(z, l)| p(argmax(z), *l)).count() as f64;
    let counts: Vec<[f64; 3]> =
        (0..CLASSES).map(|c| [count(&|g, l| g == c && l == c), count(&|g, _| g == c), count(&|_, l| l == c)]).collect();
    let ratio = |top: f64, bottom: f64| if bottom > 0.0 { top / bottom } else { 0.0 };
    let p: Vec<f64> = counts.iter().map(|[tp, g, _]| ratio(*tp, *g)).collect();
    let r: Vec<f64> = counts.iter().map(|[tp, _, a]| ratio(*tp, *a)).collect();
    let f: Vec<f64> = counts.iter().map(|[tp, g, a]| ratio(2.0 * tp, g + a)).collect();
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let weighted = |v: &[f64]| v.iter().zip(&counts).map(|(v, c)| v * c[2]).sum::<f64>() / n;
    let accuracy = counts.iter().map(|c| c[0]).sum::<f64>() / n;
    let top2 = table.iter().filter(|(z, l)| z.iter().filter(|v| **v > z[*l]).count() < 2).count() as f64 / n;
    let soft = |z: &[f64; CLASSES]| {
        let total: f64 = z.iter().map(|v| v.exp()).sum();
        z.map(|v| v.exp() / total)
    };
    let nll: f64 = table.iter().map(|(z, l)| -soft(z)[*l].ln()).sum::<f64>() / n;
    let scored: Vec<(f64, bool)> = table.iter().map(|(z, l)| (z[1] - z[0], *l == 1)).collect();
    let ovr = |c: usize| pairs(&table.iter().map(|(z, l)| (soft(z)[c], *l == c)).collect::<Vec<_>>());
    let target = |hit: bool| f64::from(u8::from(hit));
    let errors: Vec<f64> = scored.iter().map(|(s, hit)| s - target(*hit)).collect();
    let squares: f64 = errors.iter().map(|e| e * e).sum();
    let middle = mean(&scored.iter().map(|(_, hit)| target(*hit)).collect::<Vec<_>>());
    let total: f64 = scored.iter().map(|(_, hit)| (target(*hit) - middle).powi(2)).sum();
    vec![
        ("accuracy", accuracy),
        ("precision", p[2]),
        ("recall", r[2]),
        ("f1", f[2]),
        ("precision_2", mean(&p)),
        ("recall_2", mean(&r)),
        ("f1_2", mean(&f)),
        ("precision_3", weighted(&p)),
        ("recall_3", weighted(&r)),
        ("f1_3", weighted(&f)),
        ("f1_4", accuracy),
        ("top_k_accuracy", top2),
        ("perplexity", nll.exp()),
        ("roc_auc", pairs(&scored)),
        ("pr_auc", average_precision(&scored)),
        ("roc_auc_ovr", (0..CLASSES).map(ovr).sum::<f64>() / CLASSES as f64),
        ("mae", mean(&errors.iter().map(|e| e.abs()).collect::<Vec<_>>())),
        ("rmse", (squares / n).sqrt()),
        ("r2", 1.0 - squares / total),
        ("confusion", count(&|g, l| g == 3 && l == 1)),
    ]
}

#[test]
fn metrics_of_a_split_are_those_of_all_its_rows() {
    for (name, batch, engine) in [("small", 16, "jit"), ("all", ROWS, "jit"), ("interp", 50, "interp")] {
        for line in reported(name, batch, engine) {
            for (metric, value) in expected() {
                let found = line[metric].as_f64().unwrap_or_else(|| panic!("{metric} in {line}"));
                assert!(
                    (found - value).abs() < 2e-6,
                    "{metric} in batches of {batch} ({engine}): {found}, not {value}"
                );
            }
            let cells = line["confusion_matrix"].as_array().expect("rows");
            for (actual, row) in cells.iter().enumerate() {
                for (guessed, cell) in row.as_array().expect("cells").iter().enumerate() {
                    let count = table().iter().filter(|(z, l)| argmax(z) == guessed && *l == actual).count();
                    assert_eq!(cell.as_f64(), Some(count as f64), "{actual} as {guessed} in {line}");
                }
            }
        }
    }
}

/// scikit-learn's documentation: `roc_auc_score` and `average_precision_score`.
#[test]
fn areas_of_small_cases_are_the_known_ones() {
    let value = |text: &str| eval(text).expect("a value")[0];
    assert!((value("roc_auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])") - 0.75).abs() < 1e-6);
    assert!((value("pr_auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])") - 0.833_333).abs() < 1e-5);
    assert!((value("roc_auc([0.5, 0.5, 0.5], [0, 1, 1])") - 0.5).abs() < 1e-6);
    assert!(value("roc_auc([0.5, 0.1], [1, 1])").is_nan());
}

/// Its evaluation has a graph all the same, which is about no rows.
#[test]
fn metrics_of_all_rows_need_no_test_part() {
    let text = r#"
use layers.Dense
use losses.cross_entropy
use metrics.{pr_auc, roc_auc}
use optimizers.SGD
data points = synthetic.moons(train = 50, test = 0)
train moons() on points {
  batch = 20; epochs = 1
  let net = Dense(2)
  step(x, label) {
    let z = net(x)
    minimize cross_entropy(z, label) with SGD(0.1)
    report roc_auc(z[:, 1] - z[:, 0], label), pr_auc(z[:, 1] - z[:, 0], label)
  }
}
"#;
    let checked = check("moons.opt", text, &root());
    assert!(checked.diags.is_empty(), "{}", checked.report());
    for rows in [20, 10] {
        checked.programs[0].graphs.eval(rows).expect("an evaluation");
    }
    let empty = eval("zeros([0])[[0]]");
    assert!(empty.is_err(), "{empty:?}");
}
