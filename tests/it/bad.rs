//! Programs with one kind of mistake each, and the messages that a user reads. After a change of a message, look at the
//! difference, then accept it: `INSTA_UPDATE=always cargo test --test it bad`.

use crate::support::{check, root};

#[test]
fn each_mistake_has_its_message() {
    insta::glob!("../bad", "*.opt", |path| {
        let text = std::fs::read_to_string(path).expect("UTF-8 text");
        let name = path.file_name().expect("a file").to_string_lossy();
        let checked = check(&name, &text, path.parent().expect("a folder"));
        assert!(!checked.diags.is_empty(), "{name}: no mistake found");
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            // Messages about files name the whole path.
            let folder = format!("{}/", root().join("tests/bad").display());
            insta::assert_snapshot!(checked.report().replace(&folder, ""));
        });
    });
}
