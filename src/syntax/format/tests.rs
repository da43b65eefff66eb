//! The style, by example; and its laws, on every program of the repository and on texts shaken up.

use super::*;
use crate::source::SourceMap;
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn attempt(text: &str) -> Result<String, Vec<Diagnostic>> {
    let mut sources = SourceMap::new();
    let file = sources.add("test.opt", text);
    format(&sources, file)
}

fn formatted(text: &str) -> String {
    attempt(text).unwrap_or_else(|d| panic!("{d:?}\n{text}"))
}

/// Texts with mistakes have no style; every other one is printed, and the result stays as it is.
fn obeys_the_laws(name: &str, text: &str) {
    let made = match attempt(text) {
        Ok(made) => made,
        Err(problems) => {
            assert!(problems.iter().all(|d| d.code != "E0901"), "{name}: {problems:?}\n{text}");
            return;
        }
    };
    let again = formatted(&made);
    assert_eq!(made, again, "{name}: not idempotent");
}

/// All programs of the repository, and the code blocks of its pages.
fn programs() -> Vec<(String, String)> {
    fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match path.extension().and_then(|e| e.to_str()) {
                _ if path.is_dir() => walk(&path, out),
                Some("opt" | "md") => out.push(path),
                _ => {}
            }
        }
    }
    let mut files = vec![];
    for folder in ["stdlib", "examples", "tests", "docs", "src/diag/explain"] {
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    files.sort();
    let mut out = vec![];
    for path in files {
        let (name, text) = (path.display().to_string(), std::fs::read_to_string(&path).unwrap_or_default());
        if name.ends_with(".opt") {
            out.push((name, text));
            continue;
        }
        let blocks = text.split("\n```").enumerate().filter(|(k, _)| k % 2 == 1);
        for (k, block) in blocks.filter(|(_, b)| b.starts_with("opt")) {
            let body = block.split_once('\n').map_or("", |(_, body)| body);
            out.push((format!("{name}#{k}"), body.to_string()));
        }
    }
    assert!(out.len() > 100);
    out
}

#[test]
fn every_program_of_the_repository_obeys_the_laws() {
    programs().iter().for_each(|(name, text)| obeys_the_laws(name, text));
}

/// The same tokens with other blanks and, where one stood or a bracket is open, other line ends.
fn shaken(text: &str, dice: &mut impl FnMut(usize) -> usize) -> String {
    let mut out = String::new();
    let mut open = 0;
    for token in tokens::tokens(text) {
        let blanks = " ".repeat(dice(4));
        if token.newline {
            // Also where the line before ended in a comment.
            if dice(20) == 0 && !out.ends_with('\n') {
                out += &format!(
                    "{blanks}{}",
                    if out.rsplit('\n').next().is_some_and(|l| l.contains("//")) { "" } else { "// at the end" }
                );
            }
            out.push_str(&"\n".repeat(1 + dice(3)));
            if dice(12) == 0 {
                out += &format!("{blanks}// alone\n");
            }
            for comment in &token.before {
                out += &format!("{blanks}{}{}", comment.text, "\n".repeat(1 + dice(3)));
            }
            out.push_str(&text[text[..token.start].rfind('\n').map_or(0, |n| n + 1)..token.start]);
        } else if token.space && open > 0 && dice(6) == 0 {
            out += &format!("\n  {blanks}");
        } else if token.space && open > 0 && dice(9) == 0 {
            out += &format!(" // a remark {}\n  ", dice(100));
        } else if token.space {
            out += &format!(" {blanks}");
        }
        out.push_str(token.text);
        open += usize::from(matches!(token.text, "(" | "["));
        open -= usize::from(matches!(token.text, ")" | "]")).min(open);
        if token.text == "{" || token.text == "}" {
            open = 0;
        }
        if let Some(comment) = token.after {
            out += &format!("{blanks}{}", comment.text);
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20) })]

    #[test]
    fn shaken_programs_obey_the_laws(seed in any::<u64>()) {
        let mut state = seed | 1;
        let mut dice = move |n: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % n
        };
        let all = programs();
        for _ in 0..12 {
            let (name, text) = &all[dice(all.len())];
            obeys_the_laws(name, &shaken(text, &mut dice));
        }
    }

    #[test]
    fn any_text_is_answered(text in "([a-z]{1,3}|[ \n(){}\\[\\],;=+*/.:-]|let |if |then |else |// c\n|fn f|\"s\"){0,60}") {
        obeys_the_laws("random", &text);
        obeys_the_laws("random", &format!("fn f(x) {{\n{text}\n}}\n"));
        obeys_the_laws("random", &format!("fn f(x) = ({text})\n"));
    }
}

#[test]
fn the_style_by_example() {
    insta::glob!("../../../tests/format", "*.opt", |path| {
        insta::assert_snapshot!(formatted(&std::fs::read_to_string(path).expect("UTF-8 text")));
    });
}

#[test]
fn texts_with_mistakes_are_left_alone() {
    assert_eq!(attempt("fn f(x) = x +* 2").unwrap_err()[0].code, "E0101");
    assert_eq!(formatted(""), "");
    assert_eq!(formatted("\n\n// only this\n\n"), "// only this\n");
}

#[test]
fn line_ends_marks_and_tabs_are_of_one_kind() {
    assert_eq!(formatted("\u{feff}// head\r\nfn f(x) =\r\n\tx +\t1   \r\n"), "// head\nfn f(x) =\n  x + 1\n");
    assert_eq!(formatted("fn θ̂(m̂)=m̂^2 // größer 😀"), "fn θ̂(m̂) = m̂^2  // größer 😀\n");
}

/// Comments stay, and what stands before one does not break for it.
#[test]
fn comments_are_kept_in_every_position() {
    let text = "\
fn f(x // the input
) = if x > 0 // positive
  then x // itself
  // else
  else [ // a list
    1, // one
    // two
    2 // last
    // end
  ] // behind
layer L(x) { // open
  // first
  let y = x + // plus
    1
  let z = x
    // before a pipe
    |> relu // stage
  // last
} // close
// end of file
";
    let made = formatted(text);
    let expected = "\
fn f(
  x  // the input
) =
  if x > 0  // positive
    then x  // itself
  // else
  else [  // a list
    1,  // one
    // two
    2  // last
    // end
  ]  // behind
layer L(x) {  // open
  // first
  let y = x +  // plus
    1
  let z = x
    // before a pipe
    |> relu  // stage
  // last
}  // close
// end of file
";
    assert_eq!(made, expected);
    // Columns that the writer chose.
    let table = "fn f(x) {\n  let a = 1       // one\n  let bcd = 22    // two\n  a + bcd\n}\n";
    assert_eq!(formatted(table), table);
}

/// A long file, long lines and deep nesting take time in proportion to their length.
#[test]
fn size_is_no_trouble() {
    let sum = vec!["a_name * 2.5"; 3000].join(" + ");
    let nested = format!("{}x{}", "f(".repeat(60), ")".repeat(60));
    let chain = vec!["if x > 1 then 2 else "; 200].concat();
    let pipe = vec!["relu"; 2000].join(" |> ");
    let list = vec!["0.25"; 5000].join(", ");
    let clock = std::time::Instant::now();
    for body in [sum, nested, format!("{chain}3"), pipe, format!("[{list}]")] {
        obeys_the_laws("large", &format!("fn f(x) = {body}\n"));
    }
    obeys_the_laws("long", &"fn f(x) {\n  let y = x + 1 // c\n  y\n}\n".repeat(3000));
    assert!(clock.elapsed().as_secs() < 60, "{:?}", clock.elapsed());
}
