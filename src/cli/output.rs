//! Writing to the two streams.

use crate::diag::{Diagnostic, json, render};
use crate::source::SourceMap;
use serde_json::Value;
use std::io::{IsTerminal, Write};

/// A line of results. A reader that went away (`optc … | head`) ends the process quietly.
pub fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// A text of results, as it is.
pub fn text(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// One JSON object on a line of its own.
pub fn object(value: &Value) {
    line(&value.to_string());
}

/// A remark for the person at the terminal. Nothing is lost if nobody can read it.
pub fn remark(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Whether stderr wants colour: a terminal, and the user did not say no (<https://no-color.org>).
pub fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Diagnostics as text on stderr.
pub fn diagnostics(sources: &SourceMap, all: &[Diagnostic]) {
    if !all.is_empty() {
        let _ = write!(std::io::stderr(), "{}", render::render(sources, all, colour()));
    }
}

/// Diagnostics as text on stderr and, if the command's results are JSON, as an object on stdout too.
pub fn failure(sources: &SourceMap, all: &[Diagnostic], json: bool) {
    diagnostics(sources, all);
    if json {
        object(&serde_json::json!({ "diagnostics": diagnostics_json(sources, all) }));
    }
}

pub fn diagnostics_json(sources: &SourceMap, all: &[Diagnostic]) -> Vec<Value> {
    all.iter().map(|d| json::to_json(sources, d)).collect()
}
