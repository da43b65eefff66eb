//! Every example checks, and its graphs are well formed at every batch size it needs.

use crate::support::{check, check_with, needs_files, programs_in, root, shared_data};
use optc::data::Context;
use optc::diag::render::render;
use optc::driver::Session;

/// The names of all examples inside their folder, and their texts.
fn examples() -> Vec<(String, String)> {
    let tour = programs_in("examples/optimizers").into_iter().map(|(name, text)| (format!("optimizers/{name}"), text));
    programs_in("examples").into_iter().chain(tour).collect()
}

fn well_formed(name: &str, checked: &crate::support::Checked) {
    assert!(checked.diags.is_empty(), "{name}:\n{}", checked.report());
    assert!(!checked.programs.is_empty() || name.ends_with("_test.opt"), "{name} trains nothing");
    for program in &checked.programs {
        let batch = program.settings.batch.unwrap_or(program.schema.train_rows);
        for rows in [batch, 1] {
            let step = program.graphs.step(rows).expect("a step");
            optc::ir::verify::verify(&step).expect("a well-formed step");
            let eval = program.graphs.eval(rows).expect("an evaluation");
            optc::ir::verify::verify(&eval).expect("a well-formed evaluation");
        }
    }
}

#[test]
fn examples_check() {
    for (name, text) in examples() {
        if !needs_files(&text) {
            well_formed(&name, &check(&name, &text, &root().join("examples")));
        }
    }
}

#[test]
fn examples_on_real_files_check() {
    let Some(data) = shared_data() else { return };
    let context = Context { data_dir: Some(data), file_dir: None };
    for (name, text) in examples() {
        if needs_files(&text) {
            well_formed(&name, &check_with(&name, &text, &context));
        }
    }
}

#[test]
fn each_example_says_what_to_look_at() {
    for (name, text) in examples() {
        let header: String = text.lines().take_while(|l| l.starts_with("//")).collect();
        assert!(header.contains("Look at:") || header.contains("Look at "), "{name}");
    }
}

/// As `optc check` sees them, comparisons included.
#[test]
fn the_driver_finds_nothing_wrong() {
    for (name, text) in examples() {
        if needs_files(&text) {
            continue;
        }
        let mut session = Session::new();
        session.open(&root().join("examples").join(&name)).expect("a readable file");
        let found = session.check();
        assert!(found.is_empty(), "{name}:\n{}", render(&session.sources, &found, false));
    }
}
