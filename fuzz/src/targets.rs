//! What must hold for any text whatever. The fuzzer tries texts of its own (`fuzz_targets`), and `tests/it/fuzz.rs` those that
//! it has found before.

use optc::diag::{Diagnostic, json, render};
use optc::driver::Session;
use optc::source::{FileId, SourceMap};
use optc::syntax;
use std::path::Path;

/// A text has a tree or diagnostics, which can be shown.
pub fn parse(text: &str) {
    let (sources, file) = one(text);
    let (tree, problems) = syntax::parse_file(&sources, file);
    show(&sources, &problems);
    let _ = syntax::print::outline(&tree);
}

/// The checker answers, and what it says can be shown.
pub fn check(text: &str) {
    let mut session = Session::new();
    session.open_text(Path::new("fuzzed.opt"), text.into());
    let found = session.check();
    show(&session.sources, &found);
    assert!(found.iter().all(|d| d.code != "E0901"), "an internal error was told");
}

/// What parses is put into the style; in the style it stays as it is.
pub fn format(text: &str) {
    let (sources, file) = one(text);
    match syntax::format::format(&sources, file) {
        Err(problems) => {
            assert!(problems.iter().all(|d| d.code != "E0901"), "the formatter would have damaged this text");
            show(&sources, &problems);
        }
        Ok(made) => {
            let (sources, file) = one(&made);
            let again = syntax::format::format(&sources, file).expect("what was formatted is a program");
            assert_eq!(made, again, "formatting twice changes more than formatting once");
        }
    }
}

fn one(text: &str) -> (SourceMap, FileId) {
    let mut sources = SourceMap::new();
    let file = sources.add("fuzzed.opt", text);
    (sources, file)
}

fn show(sources: &SourceMap, found: &[Diagnostic]) {
    let _ = render::render(sources, found, false);
    for diagnostic in found {
        let _ = json::to_json(sources, diagnostic);
    }
}
