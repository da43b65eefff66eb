//! Programs with one kind of mistake each, and the messages that a user reads. After a change of a message, look at the
//! difference, then accept it: `INSTA_UPDATE=always cargo test --test it bad`.

use optc::diag::{Diagnostic, render::render};
use optc::driver::Session;
use std::path::{Path, PathBuf};

/// Checks each file of a folder of `tests/check`.
fn messages(folder: &str) {
    insta::glob!("../check", &format!("{folder}*.opt"), |path| {
        // Relative to the repository, where tests run: messages show it.
        let name = PathBuf::from("tests/check").join(folder).join(path.file_name().expect("a file"));
        let mut session = Session::new();
        session.open(&name).expect("a readable file");
        let found = session.check();
        assert!(!found.is_empty(), "{}: no mistake found", name.display());
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(render(&session.sources, &found, false));
        });
    });
}

#[test]
fn each_mistake_has_its_message() {
    messages("");
}

#[test]
fn newcomers_are_told_what_where_and_how() {
    messages("newcomer/");
}

/// The programs of all folders of `tests/check`.
fn programs() -> Vec<PathBuf> {
    let folders = ["tests/check", "tests/check/newcomer", "tests/check/syntax"];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).expect("a folder of programs"));
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a readable entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "opt"));
    paths.sort();
    paths
}

fn check(path: &Path, text: &str) -> (Session, Vec<Diagnostic>) {
    let mut session = Session::new();
    session.open_text(path, text.to_string());
    let found = session.check();
    (session, found)
}

/// A suggested edit is a promise: the text that has it does not have the mistake.
#[test]
fn suggested_edits_mend_what_they_are_for() {
    let mut edits = 0;
    let mut broken = String::new();
    for path in programs() {
        let text = std::fs::read_to_string(&path).expect("UTF-8 text");
        let (session, found) = check(&path, &text);
        for d in found.iter().filter(|d| d.edit.is_some()) {
            let edit = d.edit.as_ref().expect("an edit");
            edits += 1;
            let mended = edit.apply(&session.sources);
            let (after, left) = check(&path, &mended);
            let alike = |all: &[Diagnostic]| all.iter().filter(|o| o.code == d.code && o.title == d.title).count();
            let errors = |all: &[Diagnostic]| all.iter().filter(|o| o.is_error()).count();
            // The first mistake of an item may hide others behind it: only the one that is mended must go.
            let hid_nothing = d.code.starts_with('E') && !d.code.starts_with("E01");
            if alike(&left) >= alike(&found) || hid_nothing && errors(&left) > errors(&found) {
                broken += &format!("{}\n{}", render(&session.sources, std::slice::from_ref(d), false), mended);
                broken += &format!("\nwhich leaves\n{}\n", render(&after.sources, &left, false));
            }
        }
    }
    assert!(broken.is_empty(), "{broken}");
    assert!(edits >= 80, "only {edits} edits");
}

/// `docs/mistakes.md`: what newcomers type, and what they are told. `OPTC_UPDATE_DOCS=1` writes it anew.
#[test]
fn the_page_of_mistakes_is_right() {
    let mut page = String::from(
        "# Mistakes that newcomers make\n\n\
         What people type who come from another language or library, and what the compiler says. Where the mend is certain, the message shows the line as it\n\
         would be, `--json` has it as `edit`, and an editor offers to make it (**edit** in the table). The programs stand in\n\
         [tests/check/newcomer](../tests/check/newcomer), the whole messages in [tests/it/snapshots](../tests/it/snapshots); a test keeps this page.\n\n\
         | the mistake | the message | the mend |\n|---|---|---|\n",
    );
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    for path in programs().iter().filter(|path| path.parent().is_some_and(|p| p.ends_with("newcomer"))) {
        let text = std::fs::read_to_string(path).expect("UTF-8 text");
        let mistake = text.lines().next().unwrap_or_default().trim_start_matches("//").trim().trim_end_matches('.');
        let name = path.file_name().expect("a file").to_string_lossy();
        let (session, found) = check(path, &text);
        let d = &found[0];
        let help = d.help.as_deref().unwrap_or_default();
        let edit = d.edit.as_ref().map(|edit| format!("**edit**: {}", edit.title(&session.sources)));
        let mend = [Some(help.to_string()).filter(|h| !h.is_empty()), edit].into_iter().flatten().collect::<Vec<_>>();
        page += &format!(
            "| [{}](../tests/check/newcomer/{name}) | {}: {} | {} |\n",
            cell(mistake),
            d.code,
            cell(&d.title),
            cell(&mend.join("; "))
        );
    }
    let kept = crate::support::root().join("docs/mistakes.md");
    if std::env::var_os("OPTC_UPDATE_DOCS").is_some() {
        std::fs::write(&kept, &page).expect("the page can be written");
    }
    assert_eq!(std::fs::read_to_string(&kept).unwrap_or_default(), page, "OPTC_UPDATE_DOCS=1 writes it anew");
}

/// Pages whose examples need files that are not there, or show themselves only when they run.
const NOT_SEEN_BY_CHECK: &[&str] = &["E0402", "E0404", "E0410", "E0601", "E0603", "E0606", "E0607"];

/// The page of each code: its wrong program has the mistake, the right one has none.
#[test]
fn pages_of_codes_show_what_they_are_about() {
    let mut wrong = String::new();
    for entry in optc::diag::codes::CODES.iter().filter(|e| !NOT_SEEN_BY_CHECK.contains(&e.code)) {
        let blocks = entry.explanation.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
        for (kind, program) in blocks.filter(|(kind, _)| kind.starts_with("opt")) {
            let (session, found) = check(Path::new("page.opt"), program);
            let shows = found.iter().any(|d| d.code == entry.code);
            let fine = !shows && !found.iter().any(|d| d.is_error());
            if (kind == "opt,wrong" && !shows) || (kind == "opt" && !fine) {
                wrong += &format!("{} {kind}\n{program}\n{}\n", entry.code, render(&session.sources, &found, false));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
