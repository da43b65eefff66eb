//! A page of documentation in Markdown: a table for each file.

use super::{Entry, Part, head, in_file};
use crate::source::SourceMap;
use crate::stdlib;

/// The library's page, `docs/library.md`.
pub fn library() -> String {
    let mut page = String::from(
        "# The library\n\nMade from the doc comments of `stdlib/` by `OPTC_UPDATE_DOCS=1 cargo test --test it library`. Each definition \
         is a few\nlines in the file named: open it, copy it, change it. `prelude`, `init` and `activations` need no `use`.\n",
    );
    for (module, text) in stdlib::MODULES {
        let mut sources = SourceMap::new();
        let file = sources.add(format!("stdlib/{module}.opt"), *text);
        let entries = in_file(&sources, file, module).0;
        page += &format!("\n## [{module}](../stdlib/{module}.opt)\n\n{}\n\n{}", head(text), table(&entries));
    }
    page
}

/// The page of a file of one's own.
pub fn page(title: &str, text: &str, entries: &[Entry]) -> String {
    let about = head(text);
    let about = if about.is_empty() { about } else { format!("{about}\n\n") };
    format!("# {title}\n\n{about}{}", table(entries))
}

/// How each definition is called, and what its comment says.
fn table(entries: &[Entry]) -> String {
    let mut out = String::from("| | |\n|---|---|\n");
    for entry in entries {
        let parts = entry.parts().into_iter().map(|part| match part {
            Part::Prose(text) => text.replace('<', "&lt;"),
            Part::Equation(text) => format!("`{text}`"),
        });
        let doc = parts.collect::<Vec<_>>().join(" ").replace('|', "\\|");
        out += &format!("| `{}` | {doc} |\n", entry.call);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_ones_own_has_a_page() {
        let text = "// Of mine.\n\n/// The mean |x|.\nfn size(axis: axis = all)(x) = mean(abs(x), axis)\n";
        let mut sources = SourceMap::new();
        let file = sources.add("mine.opt", text);
        let entries = in_file(&sources, file, "mine.opt").0;
        let made = page("mine.opt", text, &entries);
        assert_eq!(made, "# mine.opt\n\nOf mine.\n\n| | |\n|---|---|\n| `size(axis = all)(x)` | The mean \\|x\\|. |\n");
    }
}
