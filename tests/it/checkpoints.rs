//! Checkpoints: runs that are killed, interrupted, damaged or changed, through the real binary.

use crate::support::root;
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Everything that a checkpoint has to carry: dropout, momentum, an average for evaluation, batch norm's state, a
/// metric that counts over the epoch, rows kept for the end of it, a schedule that waits for plateaus, a partial batch.
const RUN: &str = r#"
use layers.{Dense, Dropout, BatchNorm}
use losses.cross_entropy
use metrics.{f1, roc_auc}
use optimizers.{AdamW, EMA}

data points = synthetic.moons(train = 203, test = 40, noise = 0.3, seed = 1)

schedule steps_down(peak: float = 0.01)(t) = peak * 0.5^plateaus

train killed(width: int = 8, lr: float = 0.01) on points {
  batch = 16; epochs = 60; seed = 7; plateau = 2; keep_best = true; keep_last = 2
  minimizing test.loss
  let hidden = Dense(width)
  let top = Dense(2)
  step(x, label) {
    let logits = x |> hidden |> BatchNorm() |> tanh |> Dropout(0.1) |> top
    minimize cross_entropy(logits, label) with EMA(AdamW(steps_down(lr)), decay = 0.9)
    report f1(logits, label), roc_auc(logits[.., 1] - logits[.., 0], label)
  }
}
"#;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, text: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("optc-checkpoints-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder");
        std::fs::write(path.join("run.opt"), text).expect("a file");
        Folder(path)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_optc"));
        command.arg("run").arg("run.opt").args(args).current_dir(&self.0).env("NO_COLOR", "1");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary runs")
    }

    /// Runs, and expects this status; what was said on stderr.
    fn expect(&self, args: &[&str], status: i32) -> String {
        let out = self.run(args);
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(status), "{args:?}\n{text}");
        text
    }

    fn bytes(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.0.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    fn text(&self, path: &str) -> String {
        String::from_utf8(self.bytes(path)).expect("UTF-8 text")
    }

    fn checkpoints(&self, run: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(run).join("checkpoints")).expect("a folder");
        let mut names: Vec<String> =
            entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const FILES: [&str; 4] = [
    "checkpoints/final.safetensors",
    "checkpoints/weights.safetensors",
    "checkpoints/best.safetensors",
    "metrics.jsonl",
];

/// `OPTC_KILLS=100 cargo test --test it killed` for more kills than the usual ten.
#[test]
fn a_killed_run_ends_with_the_same_bits() {
    let folder = Folder::new("kill", RUN);
    let kills: usize = std::env::var("OPTC_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(10);
    let args = |out: &str, resume: bool| {
        let place = if resume { "--resume" } else { "--out" };
        folder.command(&[place, out, "--quiet", "--save-every", "5"])
    };
    let clock = Instant::now();
    assert!(args("whole", false).output().expect("runs").status.success());
    let whole = clock.elapsed();
    let mut random = 12345_u64;
    let mut made = 0;
    let mut series = 0;
    while made < kills {
        series += 1;
        let out = format!("run{series}");
        let mut resume = false;
        loop {
            let mut child = args(&out, resume).stderr(Stdio::piped()).spawn().expect("the binary runs");
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Late kills are rarer than early ones, so that a series ends.
            std::thread::sleep(whole.mul_f64((random >> 33) as f64 / (1_u64 << 31) as f64 * 1.2));
            let ended = child.try_wait().expect("a status").is_some();
            let _ = child.kill();
            let output = child.wait_with_output().expect("a status");
            if ended {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                break;
            }
            made += 1;
            // Killed before there was a folder: there is nothing to resume.
            resume = folder.0.join(&out).join("config.json").exists();
        }
        for file in FILES {
            let (a, b) = (folder.bytes(&format!("whole/{file}")), folder.bytes(&format!("{out}/{file}")));
            assert!(a == b, "{file} differs after {made} kills");
        }
        let _ = std::fs::remove_dir_all(folder.0.join(&out));
    }
    println!("{made} kills in {series} runs: 0 differing bits");
}

#[test]
fn ctrl_c_saves_and_says_how_to_resume() {
    let folder = Folder::new("interrupt", RUN);
    assert!(folder.run(&["--out", "whole", "--quiet", "--epochs", "400"]).status.success());
    let run = folder.command(&["--out", "a", "--quiet", "--epochs", "400"]).stderr(Stdio::piped()).spawn();
    let child = run.expect("the binary runs");
    let started = Instant::now();
    while !folder.0.join("a/config.json").exists() && started.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill is there");
    assert!(status.success());
    let out = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(3), "{text}");
    assert!(text.contains("E0605") && text.contains("--resume a"), "{text}");
    folder.expect(&["--resume", "a", "--quiet", "--epochs", "400"], 0);
    for file in FILES {
        assert!(folder.bytes(&format!("whole/{file}")) == folder.bytes(&format!("a/{file}")), "{file} differs");
    }
}

#[test]
fn a_time_limit_stops_with_status_3() {
    let folder = Folder::new("time", RUN);
    let text = folder.expect(&["--out", "a", "--quiet", "--epochs", "100000", "--max-time", "0.3"], 3);
    assert!(text.contains("E0602") && text.contains("--resume a"), "{text}");
    folder.expect(&["--resume", "a", "--quiet", "--steps", "20000", "--max-time", "0.2"], 3);
}

#[test]
fn old_checkpoints_go_and_the_best_stays() {
    let folder = Folder::new("keep", RUN);
    folder.expect(&["--out", "a", "--quiet", "--save-every", "10", "--epochs", "5"], 0);
    let names = folder.checkpoints("a");
    let expected = [
        "best.safetensors",
        "final.safetensors",
        "step-00000050.safetensors",
        "step-00000060.safetensors",
        "weights.safetensors",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let folder = Folder::new("damaged", RUN);
    folder.expect(&["--out", "whole", "--quiet", "--epochs", "6"], 0);
    folder.expect(&["--out", "a", "--quiet", "--epochs", "4", "--save-every", "20"], 0);
    let newest = folder.0.join("a/checkpoints/final.safetensors");
    let bytes = std::fs::read(&newest).expect("a checkpoint");
    for length in [0, 5, 100, bytes.len() - 1] {
        std::fs::write(&newest, &bytes[..length]).expect("a file");
        let text = folder.expect(&["--resume", "a", "--epochs", "6"], 0);
        assert!(text.contains("passed over: 'a/checkpoints/final.safetensors'"), "{text}");
        let same = |file: &str| folder.bytes(&format!("whole/{file}")) == folder.bytes(&format!("a/{file}"));
        assert!(same("checkpoints/final.safetensors"), "cut to {length}");
    }
    for name in folder.checkpoints("a") {
        std::fs::write(folder.0.join("a/checkpoints").join(name), "no checkpoint").expect("a file");
    }
    let text = folder.expect(&["--resume", "a"], 1);
    assert!(text.contains("E0502") && text.contains("damaged"), "{text}");
}

#[test]
fn another_model_is_refused_with_its_differences() {
    let folder = Folder::new("other", RUN);
    folder.expect(&["--out", "a", "--quiet", "--epochs", "1", "--set", "width=8"], 0);
    let text = folder.expect(&["--resume", "a", "--quiet", "--epochs", "2", "--set", "width=16"], 1);
    let weight = "'hidden.w' is f32[2, 16] here and f32[2, 8] in the file";
    assert!(text.contains("E0501") && text.contains(weight) && text.contains("--partial"), "{text}");
    let text = folder.expect(&["--resume", "a", "--epochs", "2", "--set", "width=16", "--partial"], 0);
    assert!(text.contains(&format!("not loaded: {weight}")), "{text}");
    // Weights of an earlier run begin a new one.
    let weights = ["--weights", "a/checkpoints/final.safetensors", "--steps", "0", "--quiet"];
    let with = |more: &[&'static str]| [&weights[..], more].concat();
    let text = folder.expect(&with(&["--out", "b", "--set", "width=4"]), 1);
    assert!(text.contains("E0501: cannot begin with"), "{text}");
    folder.expect(&with(&["--out", "c", "--set", "width=16"]), 0);
    let (old, new) = (folder.bytes("a/checkpoints/final.safetensors"), folder.bytes("c/checkpoints/final.safetensors"));
    let tensor =
        |bytes: &[u8], name: &str| SafeTensors::deserialize(bytes).unwrap().tensor(name).unwrap().data().to_vec();
    assert_eq!(tensor(&old, "hidden.w"), tensor(&new, "hidden.w"));
    assert_ne!(tensor(&old, "hidden.w"), tensor(&folder.bytes("c/checkpoints/final.safetensors"), "top.w"));
}

#[test]
fn hyper_parameters_of_the_beginning_are_kept() {
    let folder = Folder::new("sets", RUN);
    let sets = ["--quiet", "--set", "lr=0.003", "--set", "width=5", "--float", "f64"];
    let with = |more: &[&'static str]| [&sets[..], more].concat();
    folder.expect(&with(&["--out", "whole", "--epochs", "3"]), 0);
    folder.expect(&with(&["--out", "a", "--epochs", "2"]), 0);
    folder.expect(&["--resume", "a", "--quiet", "--epochs", "3"], 0);
    for file in FILES {
        assert!(folder.bytes(&format!("whole/{file}")) == folder.bytes(&format!("a/{file}")), "{file} differs");
    }
    let config: serde_json::Value = serde_json::from_str(&folder.text("a/config.json")).expect("JSON");
    assert_eq!(config["set"]["lr"], "0.003");
}

const TABLE: &str = r#"
use layers.Dense
use losses.mse
use optimizers.SGD
data houses = csv("houses.csv", x = except(["price"]), price = "price")
train prices() on houses {
  batch = 2; epochs = 3
  let net = Dense(1)
  step(x, price) { minimize mse(net(x)[.., 0], price) with SGD(0.01) }
}
"#;

#[test]
fn changed_data_is_told() {
    let folder = Folder::new("data", TABLE);
    let write = |text: &str| std::fs::write(folder.0.join("houses.csv"), text).expect("a file");
    write("rooms,age,price\n1,2,3\n4,5,6\n7,8,9\n1,1,1\n");
    folder.expect(&["--out", "a", "--quiet"], 0);
    let before = folder.text("a/metrics.jsonl");
    write("rooms,age,size,price\n1,2,9,3\n4,5,9,6\n7,8,9,9\n1,1,9,1\n");
    let text = folder.expect(&["--resume", "a", "--quiet", "--epochs", "5"], 1);
    assert!(text.contains("E0504") && text.contains("x: float[2]") && text.contains("x: float[3]"), "{text}");
    write("rooms,age,price\n1,2,3\n4,5,6\n7,8,9\n");
    let text = folder.expect(&["--resume", "a", "--quiet", "--epochs", "5"], 1);
    assert!(text.contains("E0504") && text.contains("3 training rows; the run began with 4"), "{text}");
    write("rooms,age,cost\n1,2,3\n4,5,6\n7,8,9\n1,1,1\n");
    let text = folder.expect(&["--resume", "a", "--quiet", "--epochs", "5"], 1);
    assert!(text.contains("price"), "{text}");
    assert_eq!(folder.text("a/metrics.jsonl"), before, "nothing is lost");
}

/// A limit on the size of files is as good as a full disk, and needs no privilege.
#[test]
fn a_full_disk_loses_nothing() {
    let folder = Folder::new("full", RUN);
    folder.expect(&["--out", "whole", "--quiet", "--epochs", "3", "--set", "width=200"], 0);
    folder.expect(&["--out", "a", "--quiet", "--epochs", "2", "--set", "width=200"], 0);
    let script = format!(
        "trap '' XFSZ; ulimit -f 8; exec {} run run.opt --resume a --quiet --epochs 3 --save-every 1",
        env!("CARGO_BIN_EXE_optc")
    );
    let out = Command::new("sh").args(["-c", &script]).current_dir(&folder.0).output().expect("a shell");
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("E0503") && text.contains("cannot write the checkpoint"), "{text}");
    assert!(!folder.checkpoints("a").iter().any(|name| name.contains("partial")), "{:?}", folder.checkpoints("a"));
    folder.expect(&["--resume", "a", "--quiet", "--epochs", "3"], 0);
    for file in FILES {
        assert!(folder.bytes(&format!("whole/{file}")) == folder.bytes(&format!("a/{file}")), "{file} differs");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    let folder = Folder::new("read-only", RUN);
    std::fs::write(folder.0.join("file"), "in the way").expect("a file");
    let text = folder.expect(&["--out", "file/run", "--quiet"], 1);
    assert!(text.contains("E0503") && text.contains("--out"), "{text}");
    let closed = folder.0.join("closed");
    std::fs::create_dir(&closed).expect("a folder");
    let mut permissions = std::fs::metadata(&closed).expect("a folder").permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&closed, permissions).expect("mine to close");
    if std::fs::write(closed.join("try"), "").is_ok() {
        println!("skipped in part: this user may write everywhere");
        return;
    }
    let text = folder.expect(&["--out", "closed/run", "--quiet"], 1);
    assert!(text.contains("E0503") && text.contains("ermission"), "{text}");
}

#[test]
fn a_newer_form_is_refused() {
    let folder = Folder::new("newer", RUN);
    folder.expect(&["--out", "a", "--quiet", "--epochs", "1"], 0);
    let path = folder.0.join("a/checkpoints/final.safetensors");
    let bytes = std::fs::read(&path).expect("a checkpoint");
    let (old, new) = (br#"\"schema\":2"#, br#"\"schema\":9"#);
    let at = bytes.windows(old.len()).position(|w| w == old).expect("the form is written");
    let mut changed = bytes.clone();
    changed[at..at + new.len()].copy_from_slice(new);
    std::fs::write(&path, changed).expect("a file");
    let text = folder.expect(&["--resume", "a"], 1);
    assert!(text.contains("E0502") && text.contains("newer optc"), "{text}");
}

/// The test loss of noisy labels soon rises again.
fn overfitting() -> String {
    let text = RUN.replace("noise = 0.3", "noise = 0.6").replace("keep_best = true; keep_last = 2", "patience = 4");
    text.replace("width: int = 8", "width: int = 64")
        .replace("epochs = 60", "epochs = 300")
        .replace("lr: float = 0.01", "lr: float = 0.05")
}

#[test]
fn early_stopping_ends_with_the_best_state() {
    let folder = Folder::new("early", &overfitting());
    let text = folder.expect(&["--out", "a", "--json"], 0);
    assert!(text.contains("stopped early: test.loss did not get better 4 times in a row"), "{text}");
    let log = folder.text("a/metrics.jsonl");
    let lines: Vec<serde_json::Value> = log.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let tests: Vec<(u64, f64)> = lines
        .iter()
        .filter(|l| l["split"] == "test")
        .map(|l| (l["step"].as_u64().unwrap(), l["loss"].as_f64().unwrap()))
        .collect();
    assert!(tests.len() < 300);
    let best = tests.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).expect("evaluations");
    assert_eq!(tests[tests.len() - 5], best, "four evaluations after the best one");
    let bytes = folder.bytes("a/checkpoints/final.safetensors");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a checkpoint");
    let progress = header.metadata().as_ref().expect("metadata")["optc"].clone();
    assert!(progress.contains(&format!("\"step\":{}", best.0)), "{progress}");
    // The log's last line repeats nothing, and going on stops again at once, with the same result.
    let text = folder.expect(&["--resume", "a"], 0);
    assert!(text.contains("stopped early"), "{text}");
    assert!(folder.bytes("a/checkpoints/final.safetensors") == bytes);
    assert_eq!(folder.text("a/metrics.jsonl"), log);
    // A run of exactly the best number of steps has that state.
    let plain = Folder::new("plain", &overfitting().replace("patience = 4", ""));
    plain.expect(&["--out", "b", "--quiet", "--steps", &best.0.to_string()], 0);
    let tensors = |bytes: &[u8]| -> Vec<(String, Vec<u8>)> {
        let file = SafeTensors::deserialize(bytes).expect("a checkpoint");
        let mut all: Vec<_> = file.tensors().into_iter().map(|(name, view)| (name, view.data().to_vec())).collect();
        all.sort();
        all
    };
    assert!(tensors(&bytes) == tensors(&plain.bytes("b/checkpoints/final.safetensors")));
}

#[test]
fn early_stopping_survives_an_interruption() {
    let folder = Folder::new("early-resumed", &overfitting());
    folder.expect(&["--out", "whole", "--quiet"], 0);
    for epochs in ["2", "9", "14"] {
        folder.expect(&["--out", epochs, "--quiet", "--epochs", epochs], 0);
        folder.expect(&["--resume", epochs, "--quiet", "--epochs", "300"], 0);
        for file in ["checkpoints/final.safetensors", "metrics.jsonl"] {
            let same = folder.bytes(&format!("whole/{file}")) == folder.bytes(&format!("{epochs}/{file}"));
            assert!(same, "{file} differs after {epochs} epochs");
        }
    }
}

/// The rate that a schedule makes of `plateaus`, read off the log.
#[test]
fn a_rate_falls_on_plateaus() {
    let text = overfitting()
        .replace("patience = 4", "plateau = 3")
        .replace("with EMA(AdamW(steps_down(lr)), decay = 0.9)", "with Watched(steps_down(lr))")
        .replace("train killed", "optimizer Watched(lr: schedule = 0.1)(theta, g, t) {\n  observe lr\n  theta <- theta - lr*g\n}\n\ntrain killed");
    let folder = Folder::new("plateau", &text);
    folder.expect(&["--out", "a", "--quiet", "--epochs", "60"], 0);
    let log = folder.text("a/metrics.jsonl");
    let (mut best, mut since, mut plateaus) = (f64::INFINITY, 0, 0);
    let mut fell = 0;
    for line in log.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON")) {
        if line["split"] == "train" {
            let rate = line["lr"].as_f64().expect("an observed rate");
            assert!((rate - 0.05 * 0.5_f64.powi(plateaus)).abs() < 1e-8, "{line}: {plateaus}");
            continue;
        }
        let loss = line["loss"].as_f64().expect("a loss");
        if loss < best {
            (best, since) = (loss, 0);
        } else {
            since += 1;
            if since == 3 {
                (since, plateaus, fell) = (0, plateaus + 1, fell + 1);
            }
        }
    }
    assert!(fell > 1, "the rate fell {fell} times");
}

/// What the page about experiments says exists.
#[test]
fn the_file_is_where_the_tests_look() {
    assert!(Path::new(&root()).join("docs/experiments.md").exists());
}
