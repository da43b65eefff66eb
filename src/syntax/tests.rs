//! Trees of whole programs, messages of bad ones, and hostile texts.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::diag::{Diagnostic, render::render};
use crate::source::SourceMap;

fn parse(text: &str) -> (ast::File, Vec<Diagnostic>) {
    let mut sources = SourceMap::new();
    let file = sources.add("test.opt", text);
    parse_file(&sources, file)
}

fn messages(text: &str) -> String {
    let mut sources = SourceMap::new();
    let file = sources.add("bad.opt", text);
    let (_, diagnostics) = parse_file(&sources, file);
    render(&sources, &diagnostics, false)
}

#[test]
fn programs_have_these_trees() {
    insta::glob!("../../tests/programs", "*.opt", |path| {
        let mut sources = SourceMap::new();
        let file = sources.add("program.opt", std::fs::read_to_string(path).unwrap());
        let (tree, diagnostics) = parse_file(&sources, file);
        assert_eq!(render(&sources, &diagnostics, false), "");
        insta::assert_snapshot!(print::print_with_places(&sources, &tree));
    });
}

#[test]
fn bad_programs_have_these_messages() {
    insta::glob!("../../tests/check/syntax", "*.opt", |path| {
        insta::assert_snapshot!(messages(&std::fs::read_to_string(path).unwrap()));
    });
}

/// An expression as its S-expression, or the titles of its errors.
fn shape(text: &str) -> String {
    let mut sources = SourceMap::new();
    let file = sources.add("expr", text);
    match parse_expr(&sources, file) {
        Ok(e) => print::expr(&e),
        Err(errors) => errors.iter().map(|d| d.title.as_str()).collect::<Vec<_>>().join("; "),
    }
}

#[test]
fn precedence() {
    for (text, tree) in [
        ("a + b * c", "(+ a (* b c))"),
        ("a - b - c", "(- (- a b) c)"),
        ("a * b @ c / d", "(/ (@ (* a b) c) d)"),
        ("-x^2", "(- (^ x 2))"),
        ("-x*y", "(* (- x) y)"),
        ("2^-x^y", "(^ 2 (- (^ x y)))"),
        ("a^b^c", "(^ a (^ b c))"),
        ("not a == b and c or d", "(or (and (not (== a b)) c) d)"),
        ("a < b + 1 and c", "(and (< a (+ b 1)) c)"),
        ("x |> f(1) |> g or h", "(|> (|> x f(1)) (or g h))"),
        ("0..n + 1", "(.. 0 (+ n 1))"),
        ("1e-4 .. 1e-1", "(.. 0.0001 0.1)"),
        ("if c then a else b + 1", "(if c a (+ b 1))"),
        ("1 + if c then a else b", "(+ 1 (if c a b))"),
        ("if c { a } else if d { b } else { e }", "(if c a { if d; b; else; e })"),
        ("f(x)(y)[0].w", "f(x)(y)[0].w"),
        ("x[1:3, .., new, :, ::2, i]", "x[1:3, .., new, :, ::2, i]"),
        ("(a, b)", "(tuple a b)"),
        ("(a,)", "(tuple a)"),
        ("f(a, n = -1)", "f(a, n = (- 1))"),
        ("60_000 + 9223372036854775808", "(+ 60000 9.223372036854776e18)"),
        ("a - -b", "(- a (- b))"),
        ("a < -b", "(< a (- b))"),
        ("m̂ / (1 - β₁^t) + ∇f′", "(+ (/ m̂ (- 1 (^ β₁ t))) ∇f′)"),
    ] {
        assert_eq!(shape(text), tree, "{text}");
    }
}

#[test]
fn what_does_not_group_is_an_error() {
    assert_eq!(shape("a < b < c"), "comparisons cannot be chained");
    assert_eq!(shape("a .. b .. c"), "ranges cannot be chained");
    assert_eq!(shape("a * not b"), "'not' binds too loosely to stand here");
}

#[test]
fn lines_end_statements() {
    let body = |text: &str| {
        let (tree, errors) = parse(&format!("fn f() {{\n{text}\n}}"));
        assert_eq!(errors, [], "{text}");
        let ast::ItemKind::Def(def) = &tree.items[0].kind else { panic!() };
        def.body.stmts.len()
    };
    assert_eq!(body("a\n-b"), 2);
    assert_eq!(body("a\n(b)"), 2);
    assert_eq!(body("a\n[b]"), 2);
    assert_eq!(body("a -\nb"), 1);
    assert_eq!(body("a // why\n\n  // and\n + b"), 1);
    assert_eq!(body("f(a\n-b\n(c))"), 1);
    assert_eq!(body("a; b;; c;"), 3);
    assert_eq!(body("let a =\n b\na\n|> f\n|> g"), 2);
    assert_eq!(body("if a\nthen b\nelse c"), 1);
    assert_eq!(body("if a\n{ b }\nelse\n{ c }"), 1);
    assert_eq!(body("a\nwhere(b, c, d)"), 2);
    assert_eq!(body("x\r\ny\r\n"), 2);
}

#[test]
fn broken_items_do_not_hide_the_next() {
    let (tree, errors) = parse("fn a( = 1\n\nfn b() = 2\n\nfn c() {\n  let = 3\n  x y\n  4\n}\nconst d = 5\n");
    let places: Vec<_> = errors.iter().map(|d| d.primary().unwrap().start).collect();
    assert_eq!(errors.len(), 3, "{places:?}");
    assert_eq!(tree.items.len(), 3);
}

/// What must end in diagnostics (or success) at once.
fn survives(text: &str) {
    let start = Instant::now();
    let (tree, errors) = parse(text);
    print::print(&tree);
    let mut sources = SourceMap::new();
    let file = sources.add("hostile", text);
    let _ = parse_expr(&sources, file);
    render(&sources, &errors, false);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?} for {:.60}", text);
}

#[test]
fn hostile_texts_end_at_once() {
    let long = 1 << 17;
    survives(&"(".repeat(1 << 20));
    for unit in [
        "(",
        "[",
        "{",
        ")",
        "}",
        "((((((]",
        "fn f(",
        "fn f() {",
        "fn f() { ",
        "if a then ",
        "if a { b } else ",
        "x[",
        "- ",
        "not ",
        "a+",
        "a^",
        "a |> ",
        "f(",
        "\"",
        "\\",
        "use\n",
        "use a\n",
        "x\n",
        "\n",
        ";",
        "//\n",
        "///\n",
        "a.b",
        "é",
        "\u{0}",
        "let ",
        "else ",
        "fn f() { let }\n",
        "0",
        "1_",
        "@",
        "const a = \n",
        "test \"",
    ] {
        survives(&unit.repeat(long / unit.len()));
        survives(&format!("fn f() {{ {}", unit.repeat(long / unit.len())));
        survives(&format!("fn f() {{ x = {} }}", unit.repeat(long / 4 / unit.len())));
    }
}

#[test]
fn nesting_up_to_the_limit_is_fine_and_beyond_is_an_error() {
    let nested = |n: usize| format!("const a = {}1{}", "(".repeat(n), ")".repeat(n));
    assert_eq!(parse(&nested(250)).1, []);
    assert_eq!(parse(&nested(257)).1[0].code, "E0105");
    let chain = |n: usize| format!("const a = 1{}", " + 1".repeat(n));
    assert_eq!(parse(&chain(490)).1, []);
    assert_eq!(parse(&chain(510)).1[0].code, "E0105");
    let ifs = |n: usize| format!("fn f() {{ {} x }}", "if a { b } else ".repeat(n) + "{ c }");
    assert_eq!(parse(&ifs(100)).1.len(), 1);
    let ifs = |n: usize| format!("const a = {} 1", "if a then b else ".repeat(n));
    assert_eq!(parse(&ifs(200)).1, []);
    assert_eq!(parse(&ifs(300)).1[0].code, "E0105");
    let blocks = |n: usize| format!("fn f() {{ {} x {} }}", "if a { ".repeat(n), "}".repeat(n));
    assert_eq!(parse(&blocks(120)).1, []);
    assert_eq!(parse(&blocks(300)).1[0].code, "E0105");
}

/// Alphabetic for Unicode, but no part of a name: once read as an empty token, for ever.
#[test]
fn circled_letters_are_refused() {
    assert_eq!(parse("fn f(x) = \u{24b6}").1[0].code, "E0104");
}

#[test]
fn truncated_programs_end_in_diagnostics() {
    for name in ["digits", "definitions", "statements"] {
        let path = format!("{}/tests/programs/{name}.opt", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        for (end, _) in text.char_indices() {
            messages(&text[..end]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        messages(&text);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        messages(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_words_are_read_or_refused(words in prop::collection::vec(prop::sample::select(vec![
        "fn", "layer", "train", "use", "const", "data", "test", "let", "param", "state", "if", "then", "else", "for", "in",
        "minimize", "over", "with", "where", "rest", "report", "expect", "within", "step", "x", "f", "β₁", "1", "0.5",
        "\"t\"", "(", ")", "[", "]", "{", "}", ",", ":", "=", "<-", "->", "|>", "..", "+", "-", "*", "^", "==", "and", "not",
        ".", "~", ";", "\n", "\n", "// c\n", "/// d\n", "new", "²",
    ]), 0..60)) {
        messages(&words.join(" "));
    }
}
