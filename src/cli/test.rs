//! `optc test FILE…`

use super::{DONE, Status, USAGE, WRONG, args, output};
use crate::driver::{self, Session};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Files with `test "…" { … }` blocks
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What `float` means
    #[arg(long, value_enum, default_value = "f64")]
    float: args::Float,
    /// What runs the tests
    #[arg(long, value_enum, default_value = "jit")]
    engine: args::Engine,
}

/// Runs every test block; a line each on stdout, what does not hold on stderr.
pub fn run(args: Args) -> Status {
    let (mut passed, mut failed) = (0, 0);
    for file in &args.files {
        let mut session = Session::new();
        if let Err(problem) = session.open(file) {
            output::remark(&format!("optc: {problem}"));
            return USAGE;
        }
        let engine = driver::engine(args.engine.kind(), 1);
        match session.tests(args.float.dtype(), engine.as_ref()) {
            Ok(tests) => {
                for (name, problems) in tests {
                    let word = if problems.is_empty() { "ok" } else { "FAILED" };
                    output::line(&format!("{}: test \"{name}\" {word}", file.display()));
                    output::diagnostics(&session.sources, &problems);
                    if problems.is_empty() { passed += 1 } else { failed += 1 }
                }
            }
            Err(problems) => {
                output::diagnostics(&session.sources, &problems);
                failed += 1;
            }
        }
    }
    output::line(&format!("{passed} passed, {failed} failed"));
    if failed > 0 { WRONG } else { DONE }
}
