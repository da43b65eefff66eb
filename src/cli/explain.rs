//! `optc explain CODE`

use super::{DONE, Status, USAGE, output};
use crate::diag::{codes, suggest};

#[derive(clap::Args)]
pub struct Args {
    /// Such as E0203
    code: String,
}

pub fn run(args: Args) -> Status {
    match codes::find(&args.code) {
        Some(entry) => {
            output::line(entry.explanation.trim_end());
            DONE
        }
        None => {
            let near = suggest(&args.code, codes::CODES.iter().map(|e| e.code));
            let near = near.map(|n| format!(": {n}")).unwrap_or_default();
            output::remark(&format!("optc: there is no diagnostic '{}'{near}", args.code));
            USAGE
        }
    }
}
