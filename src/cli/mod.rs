//! The command line: clap types and one file for each command. All printing happens here.
//!
//! Results go to stdout, progress and diagnostics to stderr. Exit status: 0 done, 1 the program or its data is wrong,
//! 2 the command line is wrong, 3 training failed.

mod args;
mod bench;
mod check;
mod compare;
mod completions;
mod data;
mod doc;
mod eval;
mod experiment;
mod explain;
mod fmt;
mod ir;
mod lsp;
mod new;
mod output;
mod progress;
mod run;
mod runs;
mod table;
mod test;
mod values;

use crate::diag::error;
use clap::{Parser, Subcommand};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

/// Deep programs recurse deeply; the syntax limits nesting, and this leaves room for what it allows.
const STACK_BYTES: usize = 256 << 20;

/// `optc --help`: a screen of 80 by 24, with examples.
const HELP: &str = "\
{about}. More about each: optc COMMAND --help

Commands:
{subcommands}

Examples:
  optc new digits && optc run digits.opt     a file to start from, and its run
  optc run digits.opt --set lr=3e-4          another value, the same file
  optc eval 'softmax([1.0, 2.0])'            a formula's value
  optc doc AdamW --source                    what the library has, and its text
";

#[derive(Parser)]
#[command(
    name = "optc",
    version,
    about = "A compiler for training neural networks",
    disable_help_subcommand = true,
    help_template = HELP
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compile and run the file's training
    Run(run::Args),
    /// List, compare, report on and clean the folders of runs
    Runs(runs::Args),
    /// Parse and check files, and print every diagnostic
    Check(check::Args),
    /// Print what is in data: types, ranges, missing values, classes
    Data(data::Args),
    /// Print the value of an expression, and its gradients
    Eval(eval::Args),
    /// Print a stage of the compilation
    Ir(ir::Args),
    /// Put files into the standard style
    Fmt(fmt::Args),
    /// Run the test blocks of files
    Test(test::Args),
    /// Time a training step and its parts
    Bench(bench::Args),
    /// Print the rule behind a diagnostic, with an example
    Explain(explain::Args),
    /// Print what the library (or a file) says about a definition
    Doc(doc::Args),
    /// Write a commented starting file
    New(new::Args),
    /// The language server, on stdin and stdout
    Lsp(lsp::Args),
    /// Print a shell's completions
    Completions(completions::Args),
}

/// How a command ended: the exit status.
type Status = u8;
const DONE: Status = 0;
const WRONG: Status = 1;
const USAGE: Status = 2;

/// Runs the command of the process's arguments. Whatever happens, the status is one of those in the module's page.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(problem) => {
            // Also `--help` and `--version`, with status 0.
            let _ = problem.print();
            return ExitCode::from(problem.exit_code() as u8);
        }
    };
    let panicked = Arc::new(Mutex::new(None));
    let first = panicked.clone();
    std::panic::set_hook(Box::new(move |info| {
        // The first message is the cause; others follow from it on other threads.
        first.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert_with(|| info.to_string());
    }));
    let work = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || dispatch(cli.command));
    let ended = match work {
        Ok(thread) => thread.join(),
        Err(problem) => {
            eprintln!("optc: cannot start a thread: {problem}");
            return ExitCode::from(WRONG);
        }
    };
    match ended {
        Ok(status) => ExitCode::from(status),
        Err(_) => {
            let message = panicked.lock().unwrap_or_else(|e| e.into_inner()).take().unwrap_or_default();
            let report = error("E0901", "internal error: the compiler made a mistake")
                .note(message.replace('\n', " "))
                .help("please report this, with the program and the command");
            output::diagnostics(&crate::source::SourceMap::new(), &[report]);
            ExitCode::from(WRONG)
        }
    }
}

fn dispatch(command: Command) -> Status {
    match command {
        Command::Run(args) => run::run(args),
        Command::Runs(args) => runs::run(args),
        Command::Check(args) => check::run(args),
        Command::Data(args) => data::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Ir(args) => ir::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Fmt(args) => fmt::run(args),
        Command::Test(args) => test::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Doc(args) => doc::run(args),
        Command::New(args) => new::run(args),
        Command::Lsp(args) => lsp::run(args),
        Command::Completions(args) => completions::run(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_fits_a_screen() {
        let help = Cli::command().render_help().to_string();
        assert!(help.lines().count() <= 24, "{} lines\n{help}", help.lines().count());
        let widest = help.lines().map(|l| l.chars().count()).max();
        assert!(widest <= Some(80), "{widest:?} characters\n{help}");
    }

    #[test]
    fn every_argument_says_what_it_is() {
        fn visit(path: &str, command: &clap::Command) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path} says nothing");
            for argument in command.get_arguments() {
                let help = argument.get_help().or(argument.get_long_help()).map(ToString::to_string);
                assert!(help.is_some_and(|h| !h.is_empty()), "{path}: '{}' says nothing", argument.get_id());
            }
            command.get_subcommands().for_each(|inner| visit(&path, inner));
        }
        let mut all = Cli::command();
        all.build();
        visit("", &all);
    }

    #[test]
    fn an_expression_may_begin_with_a_minus() {
        for line in [
            &["optc", "eval", "-x", "--let", "x=-1", "--json"][..],
            &["optc", "eval", "--let", "x=-1", "a.opt", "-x"],
            &["optc", "eval", "x", "--grad", "x", "--cotangent", "-1"],
        ] {
            let cli = Cli::try_parse_from(line);
            assert!(matches!(cli.as_ref().map(|c| &c.command), Ok(Command::Eval(_))), "{:?}", cli.err());
        }
    }

    #[test]
    fn wrong_flags_are_usage_errors() {
        for line in [&["optc", "run"][..], &["optc", "run", "a.opt", "--save-every", "0"], &["optc", "frobnicate"]] {
            assert_eq!(Cli::try_parse_from(line).err().map(|e| e.exit_code()), Some(2), "{line:?}");
        }
    }
}
