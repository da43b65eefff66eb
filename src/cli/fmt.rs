//! `optc fmt FILE…`

use super::{DONE, Status, USAGE, WRONG, output};
use crate::source::SourceMap;
use crate::syntax::format;
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    /// Files, folders (their `.opt` files), or `-` for standard input, whose result goes to standard output
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Change nothing; name the files that are not in the standard style, with status 1
    #[arg(long)]
    check: bool,
}

pub fn run(args: Args) -> Status {
    let (mut status, mut changed) = (DONE, 0);
    let mut files = vec![];
    for path in &args.files {
        if let Err(problem) = add(path, &mut files) {
            output::remark(&format!("optc: cannot read '{}': {problem}", path.display()));
            return USAGE;
        }
    }
    for path in &files {
        let stdin = path.as_os_str() == "-";
        let text = match read(path, stdin) {
            Ok(text) => text,
            Err(problem) => {
                output::remark(&format!("optc: {problem}"));
                return USAGE;
            }
        };
        let mut sources = SourceMap::new();
        let file = sources.add(path.display().to_string(), text.as_str());
        let made = match format::format(&sources, file) {
            Ok(made) => made,
            Err(problems) => {
                output::diagnostics(&sources, &problems);
                status = WRONG;
                continue;
            }
        };
        if stdin && !args.check {
            output::text(&made);
            continue;
        }
        if made == text {
            continue;
        }
        changed += 1;
        if args.check {
            output::line(&path.display().to_string());
            status = WRONG;
        } else if let Err(problem) = replace(path, &made) {
            output::remark(&format!("optc: cannot write '{}': {problem}", path.display()));
            return USAGE;
        }
    }
    let verb = if args.check { "would change" } else { "changed" };
    if changed > 0 {
        output::remark(&format!("{changed} of {} {verb}", count(files.len())));
    }
    status
}

fn count(files: usize) -> String {
    if files == 1 { "1 file".into() } else { format!("{files} files") }
}

/// A file, or the `.opt` files of a folder and those in it, by name.
fn add(path: &Path, out: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        out.push(path.to_path_buf());
        return Ok(());
    }
    let mut inside = std::fs::read_dir(path)?.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?;
    inside.sort();
    for path in inside {
        if path.is_dir() || path.extension().is_some_and(|e| e == "opt") {
            add(&path, out)?;
        }
    }
    Ok(())
}

fn read(path: &Path, stdin: bool) -> Result<String, String> {
    let mut bytes = vec![];
    let read = match stdin {
        true => std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ()),
        false => std::fs::read(path).map(|read| bytes = read),
    };
    read.map_err(|e| format!("cannot read '{}': {e}", path.display()))?;
    String::from_utf8(bytes).map_err(|_| format!("'{}' is not UTF-8 text", path.display()))
}

/// Writes beside the file and renames, so that a reader never sees half of it.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    // A link stays a link.
    let path = path.canonicalize()?;
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(name);
    let written = std::fs::write(&beside, text)
        .and_then(|()| std::fs::set_permissions(&beside, std::fs::metadata(&path)?.permissions()))
        .and_then(|()| std::fs::rename(&beside, &path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}
