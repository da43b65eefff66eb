//! Whether a source leaves its values in the file.

use super::super::args::{Args, Fallible};
use crate::diag::{Diagnostic, error};
use crate::source::Span;

/// Larger files are not taken into memory, unless the program says so.
pub const LARGE: u64 = 256 << 20;

/// What `stream = …` says.
#[derive(Clone, Copy, Debug)]
pub enum Choice {
    /// By size.
    Auto,
    /// `stream = true`, written here.
    Asked(Span),
    /// `stream = false`
    Never,
}

impl Choice {
    pub fn new(args: &Args) -> Fallible<Choice> {
        Ok(match (args.get("stream"), args.bool("stream", false)?) {
            (None, _) => Choice::Auto,
            (Some(arg), true) => Choice::Asked(arg.span),
            (Some(_), false) => Choice::Never,
        })
    }

    /// For so many bytes.
    pub fn streams(self, bytes: u64) -> bool {
        match self {
            Choice::Auto => bytes > LARGE,
            Choice::Asked(_) => true,
            Choice::Never => false,
        }
    }

    /// What has no rows at known places goes into memory; it is an error if the program asked for something else.
    pub fn refuse(self, place: &str, why: &str, mend: &str) -> Result<(), Vec<Diagnostic>> {
        let Choice::Asked(span) = self else { return Ok(()) };
        Err(vec![
            error("E0413", format!("'{place}' cannot be read row by row"))
                .at(span, why)
                .help(format!("{mend}, or leave out 'stream = true': it is then taken into memory")),
        ])
    }
}
