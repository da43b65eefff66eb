//! `optc doc [FILE] [NAME]`

use super::{DONE, Status, USAGE, WRONG, output};
use crate::diag::suggest;
use crate::doc::{self, Entry, Part, latex};
use crate::sema::builtins::Builtin;
use crate::source::SourceMap;
use serde_json::json;

/// Width of wrapped prose.
const WIDTH: usize = 96;

#[derive(clap::Args)]
pub struct Args {
    /// A file whose definitions to look at; without one, this is the name
    #[arg(value_name = "FILE")]
    first: Option<String>,
    /// A definition of the file or of the library; without one, all are listed
    #[arg(value_name = "NAME")]
    second: Option<String>,
    /// The definition as a formula in LaTeX, made from its text
    #[arg(long)]
    latex: bool,
    /// Also the definition's text
    #[arg(long)]
    source: bool,
    /// One object on stdout for each definition
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Status {
    let (file, name) = match (&args.first, &args.second) {
        (Some(file), Some(name)) => (Some(file), Some(name)),
        (Some(first), None) if first.ends_with(".opt") => (Some(first), None),
        (name, _) => (None, name.as_ref()),
    };
    let own = match file.map(|file| from_file(file)) {
        Some(Err(status)) => return status,
        Some(Ok(entries)) => entries,
        None => vec![],
    };
    let Some(name) = name else {
        let all = if file.is_some() { own } else { doc::library(None) };
        print_all(&all, &args);
        return DONE;
    };
    let mut found: Vec<Entry> = own.into_iter().filter(|e| e.name() == name).collect();
    if found.is_empty() {
        found = doc::library(Some(name));
    }
    let Some(entry) = found.first() else { return unknown(name) };
    if args.json {
        output::object(&as_json(entry));
    } else if args.latex {
        output::line(&latex::definition(&entry.def));
    } else {
        print_one(entry, &args);
    }
    DONE
}

fn from_file(path: &str) -> Result<Vec<Entry>, Status> {
    let text = std::fs::read_to_string(path).map_err(|problem| {
        output::remark(&format!("optc: cannot read '{path}': {problem}"));
        USAGE
    })?;
    let mut sources = SourceMap::new();
    let file = sources.add(path, text);
    let (entries, problems) = doc::in_file(&sources, file, path);
    if problems.iter().any(|d| d.is_error()) {
        output::diagnostics(&sources, &problems);
        return Err(WRONG);
    }
    Ok(entries)
}

fn unknown(name: &str) -> Status {
    if Builtin::from_name(name).is_some() {
        output::remark(&format!("optc: '{name}' is a primitive: the language reference has a table of them"));
        return USAGE;
    }
    let all = doc::library(None);
    let near = suggest(name, all.iter().map(Entry::name));
    let near = near.map(|n| format!(": {n}")).unwrap_or_default();
    output::remark(&format!("optc: no definition has the name '{name}'{near}"));
    USAGE
}

/// One line for each definition, by module.
fn print_all(all: &[Entry], args: &Args) {
    if args.json {
        all.iter().for_each(|entry| output::object(&as_json(entry)));
        return;
    }
    let mut module = "";
    for entry in all {
        if entry.module != module {
            if !module.is_empty() {
                output::line("");
            }
            module = &entry.module;
            output::line(module);
        }
        let summary = shortened(&entry.summary(), WIDTH - 28);
        output::line(format!("  {:<24} {summary}", entry.name()).trim_end());
    }
}

fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_string();
    }
    let cut: String = text.chars().take(width - 1).collect();
    let end = cut.rfind(' ').unwrap_or(cut.len());
    format!("{}…", &cut[..end])
}

fn print_one(entry: &Entry, args: &Args) {
    output::line(&format!("{} {}    {}", doc::kind(&entry.def), entry.name(), entry.place));
    if let Some(text) = entry.how_to_use() {
        output::line(&text);
    }
    for part in entry.parts() {
        match part {
            Part::Prose(text) => {
                output::line("");
                wrapped(&text).iter().for_each(|line| output::line(line));
            }
            Part::Equation(text) => output::line(&format!("    {text}")),
        }
    }
    output::line("");
    let inputs: Vec<&str> = entry.def.inputs.iter().map(|i| i.name.name.as_str()).collect();
    match entry.hypers.is_empty() {
        true => output::line(&format!("{}({})", entry.name(), inputs.join(", "))),
        false => {
            output::line(&format!("{}(…)({})", entry.name(), inputs.join(", ")));
            entry.hypers.iter().for_each(|hyper| output::line(&format!("    {hyper}")));
        }
    }
    if args.source {
        output::line("");
        output::line(entry.source.trim_end());
    }
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is a first line");
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(word.to_string());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

fn as_json(entry: &Entry) -> serde_json::Value {
    let equations: Vec<String> = entry
        .parts()
        .into_iter()
        .filter_map(|part| match part {
            Part::Equation(text) => Some(text),
            Part::Prose(_) => None,
        })
        .collect();
    json!({
        "kind": entry.def.kind.keyword(),
        "name": entry.name(),
        "module": entry.module,
        "place": entry.place,
        "text": entry.doc,
        "equations": equations,
        "hyper_parameters": entry.hypers,
        "latex": latex::definition(&entry.def),
    })
}
