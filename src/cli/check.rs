//! `optc check FILE…`

use super::{DONE, Status, USAGE, WRONG, output, table};
use crate::diag::render;
use crate::driver::Session;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// The programs to check
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// One object with all diagnostics on stdout
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Status {
    let mut session = Session::new();
    let mut all = Vec::new();
    for file in &args.files {
        if let Err(problem) = session.open(file) {
            output::remark(&format!("optc: {problem}"));
            return USAGE;
        }
        all.extend(session.check());
    }
    if args.json {
        let files: Vec<String> = args.files.iter().map(|f| f.display().to_string()).collect();
        let found = output::diagnostics_json(&session.sources, &all);
        output::object(&serde_json::json!({ "files": files, "diagnostics": found }));
    } else {
        output::diagnostics(&session.sources, &all);
        match render::summary(&all) {
            Some(summary) => output::remark(&summary),
            None => output::remark("no problems found"),
        }
        for (name, rows) in &session.tables {
            output::remark(&format!("\ntrain {name}\n{}", table::render(rows).trim_end()));
        }
    }
    if all.iter().any(|d| d.is_error()) { WRONG } else { DONE }
}
