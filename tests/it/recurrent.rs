//! The examples with recurrent networks, trained at a small size.

use crate::support::root;
use optc::driver::{self, EngineKind, Experiment, Request, Session};
use optc::train::{Silent, Summary, TrainOptions, train};

/// Trains an example whose text is changed first.
fn trained(name: &str, changes: &[(&str, &str)], sets: &[(&str, &str)], kind: EngineKind, epochs: usize) -> Summary {
    let folder = root().join("examples");
    let mut text = std::fs::read_to_string(folder.join(name)).expect("an example");
    for (from, to) in changes {
        assert!(text.contains(from), "{name} has '{from}'");
        text = text.replace(from, to);
    }
    let mut session = Session::new();
    let file = session.sources.add(name, text);
    session.show(file);
    let sets = sets.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let request = Request { data_dir: Some(folder), sets, ..Request::default() };
    let Ok(Experiment::Train(job)) = session.experiment(&request) else { panic!("{name} is one training") };
    let options = TrainOptions { threads: 1, epochs: Some(epochs), ..TrainOptions::default() };
    let engine = driver::engine(kind, 1);
    let summary = train(&job.program, engine.as_ref(), job.dataset.as_ref(), &options, &mut Silent);
    summary.unwrap_or_else(|failure| panic!("{name}: {:?}", failure.diagnostics()))
}

#[test]
fn char_lstm_learns_a_grammar() {
    let small = "synthetic.text(characters = 6000, context = 16)";
    let changes = [("text(\"tinyshakespeare/input.txt\", context = 64)", small), ("ROMEO:", "the ")];
    let sets = [("hidden", "32"), ("layers", "2"), ("lr", "0.01")];
    let summary = trained("char_lstm.opt", &changes, &sets, EngineKind::Jit, 9);
    // Guessing by frequency alone is at 2.8.
    let loss = summary.train.expect("a record").values[0].1;
    assert!(loss < 2.2, "loss {loss}");
}

#[test]
fn both_engines_train_a_forecast_alike() {
    let loss = |kind, epochs| -> f64 {
        let summary = trained("airline.opt", &[], &[("units", "6")], kind, epochs);
        summary.train.expect("a record").values[0].1
    };
    let (compiled, interpreted) = (loss(EngineKind::Jit, 12), loss(EngineKind::Interp, 12));
    assert!(compiled < loss(EngineKind::Jit, 1), "{compiled}");
    assert!((compiled - interpreted).abs() < 1e-4 * interpreted, "{compiled} and {interpreted}");
}
