//! Programs with one kind of mistake each, and the messages that a user reads. After a change of a message, look at the
//! difference, then accept it: `INSTA_UPDATE=always cargo test --test it bad`.

use optc::diag::render::render;
use optc::driver::Session;
use std::path::PathBuf;

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
