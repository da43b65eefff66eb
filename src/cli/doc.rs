//! `optc doc [FILE] [NAME]`

use super::{DONE, Status, USAGE, WRONG, output};
use crate::data::{SOURCES, STEPS};
use crate::diag::{codes, suggest};
use crate::doc::{self, Entry, Part, latex, markdown};
use crate::lsp::SETTINGS;
use crate::source::SourceMap;
use crate::stdlib;
use serde_json::json;

/// Width of wrapped prose.
const WIDTH: usize = 96;
/// A definition's text is shown without being asked for, if it is no longer than this.
const SHORT: usize = 30;

#[derive(clap::Args)]
pub struct Args {
    /// A file whose definitions to look at; without one, this is the name
    #[arg(value_name = "FILE")]
    first: Option<String>,
    /// A definition of the file or of the library, a primitive, or a module; without one, the modules are shown
    #[arg(value_name = "NAME")]
    second: Option<String>,
    /// The definition as a formula in LaTeX, made from its text
    #[arg(long, conflicts_with_all = ["json", "markdown"])]
    latex: bool,
    /// The definition's text, however long
    #[arg(long)]
    source: bool,
    /// The file (or the library) as a page of Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// One object on stdout for each definition
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Status {
    let (file, name) = match (&args.first, &args.second) {
        (Some(file), Some(name)) => (Some(file), Some(name.as_str())),
        (Some(first), None) if first.ends_with(".opt") => (Some(first), None),
        (name, _) => (None, name.as_deref()),
    };
    let (text, own) = match file.map(|file| from_file(file)) {
        Some(Err(status)) => return status,
        Some(Ok(found)) => found,
        None => Default::default(),
    };
    let Some(name) = name else {
        match file {
            _ if args.latex => return refused("--latex needs the name of a definition"),
            Some(file) if args.markdown => output::text(&markdown::page(file, &text, &own)),
            None if args.markdown => output::text(&markdown::library()),
            Some(file) if own.is_empty() && !args.json => output::remark(&format!("optc: '{file}' defines nothing")),
            Some(_) => print_all(&own, &args),
            None if args.json => print_all(&doc::library(None), &args),
            None => print_modules(),
        }
        return DONE;
    };
    // `optimizers.AdamW` as a program has it.
    let (module, name) = name.split_once('.').map_or((None, name), |(module, name)| (Some(module), name));
    let names: Vec<String> = own.iter().map(|e| e.name().to_string()).collect();
    let mut found: Vec<Entry> = own.into_iter().filter(|e| e.name() == name && module.is_none()).collect();
    if found.is_empty() {
        found = doc::library(Some(name));
        found.retain(|e| module.is_none_or(|m| stdlib::public_name(&e.module) == m));
    }
    let Some((entry, others)) = found.split_first() else {
        return other_than_a_definition(module, name, names, &args);
    };
    if args.markdown {
        return refused("--markdown is for a whole file, or the library");
    }
    if args.json {
        output::object(&as_json(entry));
    } else if args.latex {
        output::line(&latex::definition(&entry.def));
    } else {
        print_one(entry, &args);
        for other in others {
            output::remark(&format!("also: {} {} ({})", doc::kind(&other.def), other.name(), other.place));
        }
    }
    DONE
}

fn refused(why: &str) -> Status {
    output::remark(&format!("optc: {why}"));
    USAGE
}

/// The text of a file and its definitions.
fn from_file(path: &str) -> Result<(String, Vec<Entry>), Status> {
    let text = std::fs::read_to_string(path).map_err(|problem| {
        output::remark(&format!("optc: cannot read '{path}': {problem}"));
        USAGE
    })?;
    let mut sources = SourceMap::new();
    let file = sources.add(path, text.as_str());
    let (entries, problems) = doc::in_file(&sources, file, path);
    if problems.iter().any(|d| d.is_error()) {
        output::diagnostics(&sources, &problems);
        return Err(WRONG);
    }
    Ok((text, entries))
}

/// A module, a primitive, or what a name means elsewhere; else the nearest name that there is.
fn other_than_a_definition(module: Option<&str>, name: &str, own: Vec<String>, args: &Args) -> Status {
    let whole = module.is_none();
    let mut all = doc::library(None);
    if whole && all.iter().any(|e| e.module == name || stdlib::public_name(&e.module) == name) {
        all.retain(|e| e.module == name || stdlib::public_name(&e.module) == name);
        print_all(&all, args);
        return DONE;
    }
    if let Some((group, about)) = doc::primitive(name).filter(|_| whole) {
        output::line(&format!("primitive {name}    {group}"));
        output::line("");
        wrapped(&about.replace('`', "")).iter().for_each(|line| output::line(line));
        return DONE;
    }
    if let Some((_, about)) = SETTINGS.iter().find(|(setting, _)| *setting == name).filter(|_| whole) {
        output::line(&format!("setting {name} of a training: {about}"));
        return DONE;
    }
    let data = |list: &[&str]| {
        list.iter().any(|known| *known == name || known.split_once('.').is_some_and(|(_, k)| k == name))
    };
    let elsewhere = match () {
        _ if codes::find(name).is_some() => Some(format!("'{name}' is a diagnostic: `optc explain {name}`")),
        _ if data(SOURCES) => Some(format!("'{name}' is a source of data: see docs/data.md")),
        _ if data(STEPS) => Some(format!("'{name}' is a step of data: see docs/data.md")),
        _ => None,
    };
    let near = || {
        let modules = stdlib::public_names();
        let names = own.iter().map(String::as_str).chain(all.iter().map(Entry::name)).chain(modules.iter().copied());
        suggest(name, names).map(|n| format!(": {n}")).unwrap_or_default()
    };
    let home = all.iter().find(|e| e.name() == name).map(|e| stdlib::public_name(&e.module));
    let elsewhere = elsewhere.or(home.map(|home| format!("'{name}' is defined in '{home}': `optc doc {home}.{name}`")));
    let of = module.map(|m| format!(" in '{m}'")).unwrap_or_default();
    refused(&elsewhere.unwrap_or_else(|| format!("no definition has the name '{name}'{of}{}", near())))
}

/// The names of each module.
fn print_modules() {
    let all = doc::library(None);
    for module in stdlib::public_names() {
        let names: Vec<&str> =
            all.iter().filter(|e| stdlib::public_name(&e.module) == module).map(Entry::name).collect();
        output::line(&format!("{module} ({})", names.len()));
        wrapped(&names.join(" ")).iter().for_each(|line| output::line(&format!("  {line}")));
        output::line("");
    }
    output::remark("optc doc MODULE lists a module; optc doc NAME explains a definition or a primitive");
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
    if args.source || entry.source.lines().count() <= SHORT {
        output::line(entry.source.trim_end());
        return;
    }
    let inputs: Vec<&str> = entry.def.inputs.iter().map(|i| i.name.name.as_str()).collect();
    match entry.hypers.is_empty() {
        true => output::line(&format!("{}({})", entry.name(), inputs.join(", "))),
        false => {
            output::line(&format!("{}(…)({})", entry.name(), inputs.join(", ")));
            entry.hypers.iter().for_each(|hyper| output::line(&format!("    {hyper}")));
        }
    }
    output::remark(&format!("optc doc {} --source shows its text", entry.name()));
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
