//! `optc completions SHELL`

use super::{DONE, Status, output};
use clap::CommandFactory;
use clap_complete::Shell;

#[derive(clap::Args)]
pub struct Args {
    /// For bash: `optc completions bash > ~/.local/share/bash-completion/completions/optc`
    shell: Shell,
}

pub fn run(args: Args) -> Status {
    let mut script = vec![];
    clap_complete::generate(args.shell, &mut super::Cli::command(), "optc", &mut script);
    output::text(&String::from_utf8_lossy(&script));
    DONE
}
