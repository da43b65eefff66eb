//! Examples of image and generative models, trained at small size: what they minimize goes down.

use crate::support::{root, shared_data};
use serde_json::Value;
use std::process::Command;

/// An example, what is put in the place of its full size, and the passes over the data.
struct Small {
    name: &'static str,
    changes: &'static [(&'static str, &'static str)],
    epochs: usize,
}

const DIGITS: (&str, &str) = ("train = 10_000, test = 2_000", "train = 64, test = 16");

const SMALL: &[Small] = &[
    Small {
        name: "autoencoder",
        changes: &[DIGITS, ("batch = 128", "batch = 16"), ("compare autoencoder over width in [1, 4, 16, 64]", "")],
        epochs: 4,
    },
    Small { name: "vae", changes: &[DIGITS, ("batch = 128", "batch = 16")], epochs: 4 },
    Small {
        name: "gan_digits",
        changes: &[("train = 10_000, test = 500", "train = 32, test = 8"), ("batch = 64", "batch = 8")],
        epochs: 4,
    },
    Small {
        name: "mobilenet_small",
        changes: &[DIGITS, ("batch = 64", "batch = 16"), ("warmup = 50", "warmup = 2")],
        epochs: 4,
    },
];

/// Those on real files, where there are any: a part of the rows.
const ON_FILES: &[Small] = &[
    Small {
        name: "mnist_cnn",
        changes: &[("on mnist(folder)", "on mnist(folder) |> take(64, test = 16)"), ("batch = 32", "batch = 16")],
        epochs: 4,
    },
    Small {
        name: "fashion_cnn",
        changes: &[
            ("on mnist(folder)", "on mnist(folder) |> take(64, test = 16)"),
            ("batch = 128", "batch = 16"),
            ("warmup = 100", "warmup = 2"),
        ],
        epochs: 4,
    },
    Small {
        name: "cifar_resnet",
        changes: &[
            ("on cifar10(folder)", "on cifar10(folder) |> take(64, test = 16)"),
            ("batch = 64", "batch = 16"),
            ("warmup = 50", "warmup = 2"),
        ],
        epochs: 3,
    },
];

/// The training loss after each epoch.
fn losses(small: &Small, data: Option<&str>) -> Vec<f64> {
    let file = root().join("examples").join(format!("{}.opt", small.name));
    let mut text = std::fs::read_to_string(file).expect("an example");
    for (from, to) in small.changes {
        assert!(text.contains(from), "{}: no '{from}'", small.name);
        text = text.replace(from, to);
    }
    let folder = std::env::temp_dir().join(format!("optc-example-{}-{}", small.name, std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("small.opt");
    std::fs::write(&file, text).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_optc"));
    command.arg("run").arg(&file).args(["--json", "--quiet", "--epochs", &small.epochs.to_string(), "--out"]);
    command.arg(folder.join("out"));
    if let Some(data) = data {
        command.args(["--data", data]);
    }
    let out = command.output().expect("the binary runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{}:\n{stdout}\n{stderr}", small.name);
    std::fs::remove_dir_all(&folder).expect("the folder is still there");
    let rows = stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("a JSON object a line"));
    rows.filter(|row| row["split"] == "train").filter_map(|row| row["loss"].as_f64()).collect()
}

fn trains(small: &Small, data: Option<&str>) {
    let losses = losses(small, data);
    assert!(losses.len() >= small.epochs, "{}: {losses:?}", small.name);
    assert!(losses.iter().all(|loss| loss.is_finite()), "{}: {losses:?}", small.name);
    // The critic's loss of a pair of networks that play against each other may rise.
    if small.name != "gan_digits" {
        assert!(losses[small.epochs - 1] < losses[0], "{}: {losses:?}", small.name);
    }
}

#[test]
fn examples_learn() {
    SMALL.iter().for_each(|small| trains(small, None));
}

#[test]
fn examples_on_real_files_learn() {
    let Some(data) = shared_data() else { return };
    let data = data.display().to_string();
    ON_FILES.iter().for_each(|small| trains(small, Some(&data)));
}
