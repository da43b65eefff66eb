//! Text from a trained model: `sample` in a train item, and the example on Shakespeare at a small size.

use crate::support::{root, shared_data};
use optc::diag::Diagnostic;
use optc::driver::{self, EngineKind, Experiment, Job, Request, Session};
use optc::train::{Silent, Summary, TrainOptions, train};
use std::path::PathBuf;

fn job(text: &str, data_dir: Option<PathBuf>, overrides: &[(&str, &str)]) -> Result<Job, Vec<Diagnostic>> {
    let mut session = Session::new();
    let file = session.sources.add("test.opt", text);
    session.show(file);
    let sets = overrides.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    match session.experiment(&Request { data_dir, sets, ..Request::default() })? {
        Experiment::Train(job) => Ok(*job),
        _ => panic!("one training"),
    }
}

fn run(job: &Job, kind: EngineKind, options: &TrainOptions) -> Result<Summary, Vec<Diagnostic>> {
    let engine = driver::engine(kind, options.threads.max(1));
    train(&job.program, engine.as_ref(), job.dataset.as_ref(), options, &mut Silent)
        .map_err(|failure| failure.diagnostics().to_vec())
}

/// A bigram model: the next character by the present one.
fn bigram(sample: &str) -> String {
    format!(
        "use layers.Embedding
use losses.cross_entropy
use optimizers.Adam
data corpus = synthetic.text(characters = 4000, context = 8)
train bigram() on corpus {{
  batch = 32; epochs = 4; seed = 5
  let tokens = corpus.text.classes
  let table = Embedding(tokens, tokens)
  step(text, next) {{
    minimize cross_entropy(reshape(table(text), [-1, tokens]), reshape(next, [-1])) with Adam(0.1)
  }}
  {sample}
}}
"
    )
}

const SAMPLE: &str = "sample(text, prompt = \"the \", length = 40, temperature = 0.7, top_k = 5) { table(text) }";

#[test]
fn the_same_seed_writes_the_same_text() {
    let job = job(&bigram(SAMPLE), None, &[]).expect("a program");
    let folder = std::env::temp_dir().join(format!("optc-sample-{}", std::process::id()));
    let options = TrainOptions { threads: 1, out: Some(folder.clone()), ..TrainOptions::default() };
    let text = |kind, options: &TrainOptions| run(&job, kind, options).expect("it trains").sample.expect("a sample");
    let first = text(EngineKind::Jit, &options);
    assert!(first.starts_with("the ") && first.chars().count() == 44, "{first:?}");
    assert_eq!(std::fs::read_to_string(folder.join("sample.txt")).expect("the file"), first);
    std::fs::remove_dir_all(&folder).expect("the folder was made");
    let here = TrainOptions { threads: 2, ..TrainOptions::default() };
    assert_eq!(text(EngineKind::Jit, &here), first, "two threads");
    let other = TrainOptions { seed: Some(6), ..here.clone() };
    assert_ne!(text(EngineKind::Jit, &other), first, "another seed");
}

#[test]
fn the_likeliest_tokens_follow_the_table() {
    let greedy = "sample(text, prompt = \"th\", length = 30, temperature = 0) { table(text) }";
    let job = job(&bigram(greedy), None, &[]).expect("a program");
    let options = TrainOptions { threads: 1, ..TrainOptions::default() };
    let compiled = run(&job, EngineKind::Jit, &options).expect("it trains").sample.expect("a sample");
    let interpreted = run(&job, EngineKind::Interp, &options).expect("it trains").sample.expect("a sample");
    assert_eq!(compiled, interpreted);
    // A table of pairs has one likeliest successor for each character: the text repeats itself.
    let characters: Vec<char> = compiled.chars().collect();
    for (i, pair) in characters.windows(2).enumerate().skip(1) {
        for (j, other) in characters.windows(2).enumerate().skip(1) {
            assert!(pair[0] != other[0] || pair[1] == other[1], "{compiled:?} at {i} and {j}");
        }
    }
}

#[test]
fn wrong_samples_have_messages() {
    let codes = |sample: &str| -> Vec<&str> {
        match job(&bigram(sample), None, &[]) {
            Err(problems) => problems.iter().map(|d| d.code).collect(),
            Ok(job) => {
                let options = TrainOptions { threads: 1, steps: Some(1), ..TrainOptions::default() };
                run(&job, EngineKind::Jit, &options).expect_err("it is wrong").iter().map(|d| d.code).collect()
            }
        }
    };
    for (sample, code) in [
        ("sample(text) { argmax(table(text)) }", "E0309"),
        ("sample(text) { sum(table(text)) }", "E0309"),
        ("sample(text, prompt = \"漢\") { table(text) }", "E0309"),
        ("sample(words) { table(words) }", "E0302"),
        ("sample() { table(text) }", "E0202"),
        ("sample(text, heat = 2) { table(text) }", "E0304"),
        ("sample(text, temperature = -1) { table(text) }", "E0204"),
        ("sample(text, top_k = 0) { table(text) }", "E0204"),
        ("sample(text, prompt = 3) { table(text) }", "E0204"),
        ("sample(text) { missing(text) }", "E0201"),
    ] {
        assert_eq!(codes(sample), [code], "{sample}");
    }
}

/// The example with one layer and few steps: it learns the frequencies of letters and some of the pairs.
#[test]
fn the_transformer_learns_shakespeare() {
    let Some(data) = shared_data() else { return };
    let text = std::fs::read_to_string(root().join("examples/char_gpt.opt")).expect("the example");
    let small = [("layers", "1"), ("width", "32"), ("heads", "2"), ("lr", "3e-3")];
    let job = job(&text, Some(data), &small).expect("a program");
    let options = TrainOptions { threads: 2, steps: Some(120), ..TrainOptions::default() };
    let summary = run(&job, EngineKind::Jit, &options).expect("it trains");
    let loss = summary.test.expect("test rows").get("loss").expect("a loss");
    assert!(loss < 2.75, "{loss}");
    let sample = summary.sample.expect("a sample");
    assert!(sample.starts_with("ROMEO:") && sample.chars().count() == 306, "{sample:?}");
}
