//! `optc ir FILE --stage …`

use super::{DONE, Status, USAGE, WRONG, args, output};
use crate::driver::{Session, Stage};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// The program
    file: PathBuf,
    /// What to print
    #[arg(long, value_enum, default_value = "graph")]
    stage: Stage,
    #[command(flatten)]
    shape: args::Shape,
}

pub fn run(args: Args) -> Status {
    let mut session = Session::new();
    if let Err(problem) = session.open(&args.file) {
        output::remark(&format!("optc: {problem}"));
        return USAGE;
    }
    match session.dump(args.stage, &args.shape.request()) {
        Ok(text) => {
            output::diagnostics(&session.sources, &session.warnings);
            output::line(text.trim_end());
            DONE
        }
        Err(problems) => {
            output::diagnostics(&session.sources, &problems);
            WRONG
        }
    }
}
