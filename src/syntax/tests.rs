use super::*;
use crate::source::SourceMap;

#[test]
fn quick() {
    for name in ["digits", "definitions", "experiments", "statements"] {
        let path = format!("{}/tests/programs/{name}.opt", env!("CARGO_MANIFEST_DIR"));
        let mut sources = SourceMap::new();
        let file = sources.add(name, std::fs::read_to_string(path).unwrap());
        let (tree, errors) = parse_file(&sources, file);
        println!("{name}: {} items", tree.items.len());
        for e in &errors {
            println!("  {} {} {:?}", sources.place(e.primary().unwrap()), e.title, e.help);
        }
        assert!(errors.is_empty());
    }
}
