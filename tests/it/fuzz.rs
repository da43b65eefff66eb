//! Texts that the fuzzer found: what it asks of the compiler (`fuzz/src/targets.rs`) holds for each of its corpora.

#[path = "../../fuzz/src/mutate.rs"]
pub mod mutate;
#[path = "../../fuzz/src/targets.rs"]
mod targets;

use crate::support::root;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One JSON string a line.
fn corpus(name: &str) -> Vec<String> {
    let path = root().join("fuzz/corpus").join(format!("{name}.jsonl"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON string")).collect()
}

/// On a thread with as much room as the compiler's own.
fn try_all(texts: Vec<String>, target: fn(&str)) {
    let work = move || {
        assert!(!texts.is_empty());
        let broken: Vec<&String> =
            texts.iter().filter(|text| catch_unwind(AssertUnwindSafe(|| target(text))).is_err()).collect();
        assert!(broken.is_empty(), "{} of {} texts, the first: {:?}", broken.len(), texts.len(), broken[0]);
    };
    let thread = std::thread::Builder::new().stack_size(256 << 20).spawn(work).expect("a thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn corpus_of_the_parser() {
    try_all(corpus("parse"), targets::parse);
}

#[test]
fn corpus_of_the_checker() {
    try_all(corpus("check"), targets::check);
}

#[test]
fn corpus_of_the_formatter() {
    try_all(corpus("format"), targets::format);
}
