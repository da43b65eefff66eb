//! `optc new NAME`

use super::{DONE, Status, USAGE, output};
use crate::syntax::{is_name_char, is_name_start, is_reserved};
use clap::ValueEnum;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    /// The file to write (`.opt` may be left out); its name is the training's
    #[arg(value_name = "NAME")]
    name: PathBuf,
    /// What it trains
    #[arg(long, value_enum, default_value = "classify")]
    template: Template,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Template {
    /// Images into classes
    Classify,
    /// Numbers to a number
    Regression,
    /// An optimizer of your own beside AdamW
    Optimizer,
}

impl Template {
    fn text(self) -> &'static str {
        match self {
            Template::Classify => include_str!("templates/classify.opt"),
            Template::Regression => include_str!("templates/regression.opt"),
            Template::Optimizer => include_str!("templates/optimizer.opt"),
        }
    }
}

pub fn run(args: Args) -> Status {
    let path = match args.name.extension() {
        Some(extension) if extension == "opt" => args.name.clone(),
        _ => PathBuf::from(format!("{}.opt", args.name.display())),
    };
    let Some(stem) = path.file_stem().and_then(|s| s.to_str()).filter(|s| !s.is_empty()) else {
        output::remark(&format!("optc: '{}' is no name for a file", args.name.display()));
        return USAGE;
    };
    // The training's name stands before the extension in the comments too.
    let text = args.template.text().replace("NAME.opt", &shown(&path)).replace("NAME", &identifier(stem));
    if let Err(problem) = create(&path, &text) {
        output::remark(&format!("optc: cannot write '{}': {problem}", path.display()));
        return USAGE;
    }
    output::remark(&format!("wrote {}; next: optc run {}", path.display(), shown(&path)));
    DONE
}

/// As a shell takes it.
fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    if text.contains(' ') { format!("'{text}'") } else { text }
}

/// Never over a file that is there.
fn create(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::create_new(path)?;
    file.write_all(text.as_bytes())
}

/// A name of the language: `my-net 2` becomes `my_net_2`.
fn identifier(stem: &str) -> String {
    let mut name: String = stem.chars().map(|c| if is_name_char(c) { c } else { '_' }).collect();
    if !name.starts_with(is_name_start) || is_reserved(&name) {
        name.insert_str(0, "run_");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::identifier;

    #[test]
    fn file_names_become_names() {
        for (stem, name) in
            [("digits", "digits"), ("my-net 2", "my_net_2"), ("2nd", "run_2nd"), ("if", "run_if"), ("θ", "θ")]
        {
            assert_eq!(identifier(stem), name);
        }
    }
}
