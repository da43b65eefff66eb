//! Trainings from raw files in a few lines, and what is drawn anew in each epoch.

use crate::support::{root, shared_data};
use optc::diag::render::render;
use optc::driver::{self, EngineKind, Experiment, Job, Request, Session};
use optc::train::{Silent, Summary, TrainOptions, train};
use std::path::{Path, PathBuf};

/// The training of a program's text.
fn job(text: &str, data_dir: Option<PathBuf>) -> Job {
    let mut session = Session::new();
    let file = session.sources.add("test.opt", text);
    session.show(file);
    let request = Request { data_dir, ..Request::default() };
    match session.experiment(&request) {
        Ok(Experiment::Train(job)) => *job,
        Ok(_) => panic!("one training"),
        Err(problems) => panic!("{}", render(&session.sources, &problems, false)),
    }
}

fn run(job: &Job, options: &TrainOptions) -> Summary {
    let engine = driver::engine(EngineKind::Jit, options.threads.max(1));
    train(&job.program, engine.as_ref(), job.dataset.as_ref(), options, &mut Silent)
        .unwrap_or_else(|failure| panic!("{:?}", failure.diagnostics()))
}

/// The test value of a report after a whole run with a seed.
fn reached(text: &str, report: &str, seed: u64) -> Option<f64> {
    let job = job(text, Some(shared_data()?));
    let summary = run(&job, &TrainOptions { seed: Some(seed), ..TrainOptions::default() });
    Some(summary.test.expect("there are test rows").get(report).expect("it is reported"))
}

fn example(name: &str) -> String {
    std::fs::read_to_string(root().join("examples").join(name)).expect("an example")
}

/// `../shared/reference/training/sms-text.json`: 0.9808 (0.9803 - 0.9811) over three seeds.
#[test]
fn spam_is_told_from_ham() {
    let accuracies: Vec<f64> =
        (0..3).filter_map(|seed| reached(&example("sms_spam.opt"), "binary_accuracy", seed)).collect();
    let mean = accuracies.iter().sum::<f64>() / 3.0;
    assert!(accuracies.is_empty() || (mean - 0.9808).abs() < 0.004, "{accuracies:?}");
}

#[test]
fn news_are_sorted_into_four_classes() {
    let Some(accuracy) = reached(&example("news.opt"), "accuracy", 1) else { return };
    assert!(accuracy > 0.83, "{accuracy}");
}

const WINDOWS: &str = "
use layers.{Dense, Embedding}
use losses.cross_entropy
use optimizers.Adam
data corpus = synthetic.text(characters = 4000, context = 16)
train bigram() on corpus {
  batch = 20; epochs = 6; seed = 3
  let vocabulary = corpus.text.classes
  let table = Embedding(vocabulary, 8)
  let top = Dense(vocabulary)
  step(text, next) {
    let logits = text |> table |> top
    minimize cross_entropy(reshape(logits, [-1, vocabulary]), reshape(next, [-1])) with Adam(1e-2)
  }
}
";

struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("optc-it-data-{}-{test}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The final weights of a run; `stop` makes two runs of it.
fn weights(text: &str, folder: &Path, threads: usize, stop: Option<usize>) -> Vec<u8> {
    let job = job(text, None);
    let options = TrainOptions { threads, out: Some(folder.to_path_buf()), ..TrainOptions::default() };
    if let Some(steps) = stop {
        run(&job, &TrainOptions { steps: Some(steps), ..options.clone() });
    }
    run(&job, &TrainOptions { resume: stop.is_some(), ..options });
    std::fs::read(folder.join("checkpoints/final.safetensors")).expect("the last checkpoint")
}

#[test]
fn what_is_drawn_does_not_depend_on_threads_or_a_resume() {
    let folder = Folder::new("drawn");
    let whole = weights(WINDOWS, &folder.0.join("whole"), 1, None);
    assert!(whole == weights(WINDOWS, &folder.0.join("threads"), 2, None), "two threads");
    assert!(whole == weights(WINDOWS, &folder.0.join("resumed"), 2, Some(17)), "stopped in the second epoch");
    let strided = WINDOWS.replace("context = 16)", "context = 16, stride = 16)");
    assert!(whole != weights(&strided, &folder.0.join("strided"), 1, None), "windows lie elsewhere");
}
