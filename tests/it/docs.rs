//! The code blocks of README.md and docs/*.md.
//!
//! * `opt`: a file that checks, and whose train items compile
//! * `opt fails=E0210`: a file that gives this code
//! * `opt fragment`: items, or the statements of a body, that parse
//! * `eval`: lines `expression // value`

use crate::support::{check, eval, root};
use optc::source::SourceMap;
use optc::syntax::parse_file;

struct Block {
    place: String,
    kind: String,
    text: String,
}

/// The fenced blocks of all pages.
fn blocks() -> Vec<Block> {
    let mut pages = vec![root().join("README.md")];
    let docs = std::fs::read_dir(root().join("docs")).expect("the folder is part of the repository");
    pages
        .extend(docs.map(|e| e.expect("a readable entry").path()).filter(|p| p.extension().is_some_and(|e| e == "md")));
    pages.sort();
    let mut out = vec![];
    for page in pages {
        let text = std::fs::read_to_string(&page).expect("UTF-8 text");
        let name = page.file_name().expect("a file").to_string_lossy().into_owned();
        let mut open: Option<Block> = None;
        for (number, line) in text.lines().enumerate() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(_), Some(_)) => out.extend(open.take()),
                (Some(kind), None) => {
                    let place = format!("{name}:{}", number + 1);
                    open = Some(Block { place, kind: kind.into(), text: String::new() });
                }
                (None, Some(block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{name}: a block is not closed");
    }
    out
}

fn of_kind(kind: &str) -> impl Iterator<Item = Block> {
    blocks().into_iter().filter(move |b| b.kind.split(' ').next() == Some(kind))
}

#[test]
fn programs_do_what_the_page_says() {
    let mut count = 0;
    for block in of_kind("opt") {
        count += 1;
        match block.kind.split_once(' ').map(|(_, mode)| mode) {
            None => {
                let checked = check(&block.place, &block.text, &root().join("examples"));
                assert!(checked.diags.is_empty(), "{}\n{}", block.place, checked.report());
            }
            Some("fragment") => {
                let wrapped = format!("layer fragment()(x) {{\n{}}}\n", block.text);
                let parses = |text: &str| {
                    let mut sources = SourceMap::new();
                    let file = sources.add(&block.place, text);
                    parse_file(&sources, file).1.is_empty()
                };
                assert!(parses(&block.text) || parses(&wrapped), "{} does not parse:\n{}", block.place, block.text);
            }
            Some(mode) => {
                let code = mode.strip_prefix("fails=").expect("fragment, or fails=CODE");
                let checked = check(&block.place, &block.text, &root().join("examples"));
                assert!(checked.codes().contains(&code), "{}: not {code}\n{}", block.place, checked.report());
            }
        }
    }
    assert!(count > 5, "the pages have programs");
}

#[test]
fn values_are_what_the_page_says() {
    let numbers = |text: &str| -> Vec<f64> {
        let text = text.replace("true", "1").replace("false", "0");
        text.split(|c: char| !(c.is_ascii_digit() || ".-e".contains(c))).filter_map(|w| w.parse().ok()).collect()
    };
    for block in of_kind("eval") {
        for line in block.text.lines().filter(|l| !l.trim().is_empty()) {
            let (expr, value) = line.split_once("//").expect("expression // value");
            let found = eval(expr.trim()).unwrap_or_else(|e| panic!("{}: {expr}\n{e}", block.place));
            let wanted = numbers(value);
            let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-5 * b.abs().max(1.0);
            let same = found.len() == wanted.len() && found.iter().zip(&wanted).all(close);
            assert!(same, "{}: {expr} is {found:?}, not {value}", block.place);
        }
    }
}

#[test]
fn the_library_page_is_up_to_date() {
    let path = root().join("docs/library.md");
    let made = optc::doc::markdown::library();
    if std::env::var_os("OPTC_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &made).expect("docs/library.md can be written");
    }
    let page = std::fs::read_to_string(&path).expect("UTF-8 text");
    assert!(page == made, "docs/library.md is old: OPTC_UPDATE_DOCS=1 cargo test --test it library");
}

/// The page's links to files of the repository.
#[test]
fn links_lead_somewhere() {
    for page in [
        "README.md",
        "docs/language.md",
        "docs/library.md",
        "docs/optimizers.md",
        "docs/architecture.md",
        "docs/data.md",
        "docs/experiments.md",
        "docs/editor.md",
        "docs/formatting.md",
        "docs/mistakes.md",
    ] {
        let text = std::fs::read_to_string(root().join(page)).expect("UTF-8 text");
        let folder = root().join(page).parent().expect("a folder").to_path_buf();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or("");
            let outside = file.is_empty() || file.starts_with("http");
            assert!(outside || folder.join(file).exists(), "{page}: no {target}");
        }
    }
}
