//! `optc lsp`

use super::{DONE, Status, WRONG, output};
use lsp_server::Connection;

#[derive(clap::Args)]
pub struct Args {
    /// The only way to talk there is; some editors say so
    #[arg(long)]
    stdio: bool,
}

pub fn run(_: Args) -> Status {
    let (connection, threads) = Connection::stdio();
    let ended = crate::lsp::serve(&connection);
    // The threads end when the connection is gone.
    drop(connection);
    match ended.and_then(|()| Ok(threads.join()?)) {
        Ok(()) => DONE,
        Err(problem) => {
            output::remark(&format!("optc lsp: {problem}"));
            WRONG
        }
    }
}
