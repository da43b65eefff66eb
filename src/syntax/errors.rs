//! Syntax errors in the user's words.
//!
//! The grammar tells where it stopped and which rules could have gone on there. A reader wants to know what stands
//! there, what was expected in plain words, which bracket is open, and the likely slip.

use std::ops::Range;

use pest::Parser;
use pest::error::{Error, ErrorVariant, InputLocation};

use super::layout::{Bracket, ITEM_WORDS, Layout};
use super::lex::{self, TokenKind};
use super::parse::Rule;
use crate::diag::{self, Diagnostic};
use crate::source::{FileId, Span};

/// Where the grammar stopped, in the text that it was given.
pub fn offset(error: &Error<Rule>) -> usize {
    match error.location {
        InputLocation::Pos(at) => at,
        InputLocation::Span((at, _)) => at,
    }
}

/// What stands at an offset.
enum Found<'a> {
    Token(&'a str),
    LineEnd,
    End,
}

/// A failed parse as a diagnostic. `base` is the offset of the parsed text in the file, `end` where its item ends.
pub fn from_pest(
    error: &Error<Rule>,
    text: &str,
    layout: &Layout,
    base: usize,
    end: usize,
    file: FileId,
) -> Diagnostic {
    let at = (offset(error) + base).min(end).min(text.len());
    let at = skip_blanks(&layout.masked, at);
    let (found, span) = found(text, &layout.masked, at, end, file);
    let rules: &[Rule] = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives,
        ErrorVariant::CustomError { .. } => &[],
    };
    let bracket = layout.enclosing(at);
    let before = layout.masked.get(..at).unwrap_or("").trim_end();
    let expected = expected(rules, bracket, before);
    let shown = match found {
        Found::Token(token) => format!("'{token}'"),
        Found::LineEnd => "the end of the line".to_string(),
        Found::End => "the end of the text".to_string(),
    };
    let mut diagnostic =
        diag::error("E0101", format!("expected {expected}, found {shown}")).at(span, format!("expected {expected}"));
    if let Some(bracket) = bracket.filter(|b| !b.is_block && after_expression(rules)) {
        diagnostic = diagnostic.at(Span::new(file, bracket.open, bracket.open + 1), "inside this bracket");
    }
    let token = match found {
        Found::Token(token) => token,
        _ => "",
    };
    diagnostic.maybe_help(slip(text, at, token, rules, bracket))
}

/// A stretch of text at the top level that begins with no item's keyword.
pub fn not_an_item(text: &str, range: Range<usize>, file: FileId) -> Diagnostic {
    let token = lex::next_token(text, range.start);
    let end = token.map_or(range.end, |t| t.end);
    let word = &text[range.start..end];
    let error = diag::error("E0101", format!("expected an item, found '{}'", shorten(word)))
        .at(Span::new(file, range.start, end), "no item begins like this")
        .note("items: use, const, fn, init, layer, model, loss, metric, schedule, transform, optimizer, data, train, compare, sweep, test");
    let rest = text.get(end..range.end).unwrap_or("").trim_start();
    let help = match word {
        "let" => Some("outside of a body, a value is named with 'const name = …'".to_string()),
        "param" | "state" => Some(format!("'{word}' stands inside a layer, model, metric or optimizer")),
        "minimize" | "report" | "observe" => Some(format!("'{word}' stands inside the 'step' of a 'train'")),
        "def" | "func" | "function" if rest.starts_with(char::is_uppercase) => Some(
            "a network is 'model Name(hyper-parameters)(inputs) { … }', a function 'fn name(inputs) = …'".to_string(),
        ),
        "def" | "func" | "function" => Some("a function is 'fn name(inputs) = …'".to_string()),
        "import" | "from" => Some("names come from other files with 'use layers.{Dense}'".to_string()),
        "class" | "module" | "network" => Some("a network is 'model Name(hyper-parameters)(inputs) { … }'".to_string()),
        _ => diag::suggest(shorten(word), ITEM_WORDS)
            .or_else(|| rest.starts_with('=').then(|| format!("write 'const {} = …'", shorten(word)))),
    };
    error.maybe_help(help)
}

/// A character that the language does not use.
pub fn unknown_character(found: &str, span: Span) -> Diagnostic {
    let help = match found {
        "×" | "·" | "⋅" | "∗" => Some("multiplication is '*', a matrix product '@'"),
        "÷" | "∕" => Some("division is '/'"),
        "−" | "–" | "—" => Some("a minus is '-'"),
        "≤" | "⩽" => Some("write '<='"),
        "≥" | "⩾" => Some("write '>='"),
        "≠" => Some("write '!='"),
        "²" => Some("a power is written '^2'"),
        "³" => Some("a power is written '^3'"),
        "√" => Some("write 'sqrt(…)'"),
        "∑" | "Σ" => Some("write 'sum(…)'"),
        "∞" => Some("write 'inf'"),
        "“" | "”" | "„" | "'" | "‘" | "’" | "`" => Some("texts stand in straight double quotes: \"…\""),
        "#" => Some("a comment begins with '//'"),
        "…" => Some("a range or the remaining axes are two dots: '..'"),
        "\\" => Some("a statement goes on by itself after an operator or inside brackets"),
        _ => None,
    };
    let shown: String = found.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    diag::error("E0104", format!("the character '{shown}' has no meaning here"))
        .at(span, format!("U+{:04X}", found.chars().next().map_or(0, u32::from)))
        .maybe_help(help.map(String::from))
}

fn skip_blanks(masked: &str, at: usize) -> usize {
    let rest = masked.get(at..).unwrap_or("");
    at + rest.len() - rest.trim_start_matches([' ', '\t', '\r']).len()
}

fn found<'a>(text: &'a str, masked: &str, at: usize, end: usize, file: FileId) -> (Found<'a>, Span) {
    // At the end of a line or of the text, point behind the last thing written.
    let behind = |at: usize| {
        let before = masked.get(..at).unwrap_or("").trim_end().len();
        Span::new(file, before, before)
    };
    if at >= end {
        return (Found::End, behind(end));
    }
    if masked.as_bytes()[at] == b'\n' {
        return (Found::LineEnd, behind(at));
    }
    match lex::next_token(text, at) {
        Some(token) => (Found::Token(shorten(&text[token.start..token.end])), Span::new(file, token.start, token.end)),
        None => (Found::End, behind(end)),
    }
}

fn shorten(token: &str) -> &str {
    match token.char_indices().nth(40) {
        Some((at, _)) => &token[..at],
        None => token,
    }
}

/// An expression is whole here, and only an operator or the like could have made it longer.
fn after_expression(rules: &[Rule]) -> bool {
    rules.contains(&Rule::infix)
}

/// What could have come, in words: the most telling one to three things. `before` is the text up to the error.
fn expected(rules: &[Rule], bracket: Option<Bracket>, before: &str) -> String {
    let has = |rule: Rule| rules.contains(&rule);
    let mut words: Vec<&str> = vec![];
    let mut add = |word: &'static str, when: bool| {
        if when && !words.contains(&word) {
            words.push(word);
        }
    };
    let expression = [Rule::expr, Rule::number, Rule::if_expr, Rule::paren, Rule::arg, Rule::index_item];
    let statement = has(Rule::let_stmt) || has(Rule::expr_stmt) || has(Rule::kw_let);
    let optional_else = before.ends_with('}');
    if after_expression(rules) {
        let must_go_on =
            has(Rule::kw_then) || has(Rule::group) || has(Rule::kw_with) || has(Rule::kw_else) && !optional_else;
        add("'then'", has(Rule::kw_then));
        add("'{'", has(Rule::block) || has(Rule::train_body));
        add("'else'", has(Rule::kw_else));
        add("'with'", has(Rule::group) || has(Rule::kw_with));
        add("an operator", !must_go_on);
        if !must_go_on {
            closers(bracket).iter().for_each(|word| add(word, true));
        }
    } else if has(Rule::kw_step) || has(Rule::step) {
        add("'step(…) { … }', 'sample(…) { … }', 'let' or a setting such as 'batch = 128'", true);
    } else if statement {
        add("a statement", true);
    } else if before.ends_with([':', '→']) && bracket.is_none_or(|b| b.symbol != '[') || before.ends_with("->") {
        add("a type such as 'float[N]'", true);
    } else if rules.iter().any(|rule| expression.contains(rule)) {
        add("an expression", true);
    } else {
        for rule in rules {
            match rule {
                Rule::ident | Rule::word | Rule::param => add("a name", true),
                Rule::type_expr => add("a type", true),
                Rule::block | Rule::train_body | Rule::use_names => add("'{'", true),
                Rule::kw_else => add("'else'", true),
                Rule::kw_in => add("'in'", true),
                Rule::kw_on => add("'on'", true),
                Rule::kw_over => add("'over'", true),
                Rule::kw_with | Rule::group => add("'with'", true),
                Rule::params | Rule::step_inputs => add("'('", true),
                Rule::eq => add("'='", true),
                Rule::result | Rule::to => add("'->'", true),
                Rule::type_note => add("':'", true),
                Rule::dot => add("'.'", true),
                Rule::string => add("a text in quotes", true),
                Rule::use_all => add("'*'", true),
                _ => {}
            }
        }
        let in_list = bracket.is_some_and(|b| !b.is_block);
        if words.is_empty() || in_list && (has(Rule::comma) || has(Rule::type_note) || has(Rule::eq)) {
            words.extend(closers(bracket));
        }
    }
    match words.as_slice() {
        [one] => one.to_string(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
        [] => "the end of the statement".to_string(),
    }
}

/// What ends an element inside a bracket, or a statement.
fn closers(bracket: Option<Bracket>) -> &'static [&'static str] {
    match bracket {
        Some(Bracket { symbol: '(', .. }) => &["','", "')'"],
        Some(Bracket { symbol: '[', .. }) => &["','", "']'"],
        Some(Bracket { is_block: false, .. }) => &["','", "'}'"],
        _ => &["the end of the statement"],
    }
}

/// Slips that people make who come from other languages.
fn slip(text: &str, at: usize, token: &str, rules: &[Rule], bracket: Option<Bracket>) -> Option<String> {
    let before = text[..at].trim_end();
    let after = text.get(at + token.len()..).unwrap_or("");
    let in_block = bracket.is_some_and(|b| b.is_block);
    let help = match token {
        "*" if before.ends_with('*') => "a power is written '^': x^2",
        "<-" | "←" => "'<-' updates a state at the start of a statement; for 'less than minus' write 'a < -b'",
        "=" if in_condition(before) => "equality is '=='",
        "=" if after_expression(rules) && in_block => "name a value with 'let x = …', update a state with 'x <- …'",
        "=" if after_expression(rules) => "equality is '=='",
        "&" => "write 'and'",
        "|" => "write 'or'; a pipe is '|>'",
        "!" => "write 'not'",
        ":" if after_expression(rules) && bracket.is_some_and(|b| b.symbol == '(') => {
            "an argument by name is 'name = value'"
        }
        ":" if rules.contains(&Rule::result) => "a result's type follows '->', a body stands in braces or after '='",
        "." if after.starts_with(|c: char| c.is_ascii_digit()) => "a number needs a digit before its point: '0.5'",
        "?" => "a choice is 'if c then a else b'",
        "if" if after_expression(rules) => "a choice is 'if c then a else b'",
        "minimize" | "report" | "observe" if rules.contains(&Rule::kw_step) || rules.contains(&Rule::step) => {
            "this belongs inside 'step(…) { … }'"
        }
        "->" | "=>" if bracket.is_some_and(|b| !b.is_block) => {
            "there are no functions without a name: define one with 'fn name(x) = …'"
        }
        "," if after_expression(rules) && in_block => "a statement ends at the end of its line, or with ';'",
        _ if (rules.contains(&Rule::group) || rules.contains(&Rule::kw_with)) && in_statement(before, "minimize") => {
            "say how: 'minimize loss with AdamW(1e-3)'"
        }
        _ if before.ends_with("return") => "a body's value is its last expression: there is no 'return'",
        _ if before.ends_with("else") && rules.contains(&Rule::block) => {
            "after 'if c { … }' the other branch stands in braces too"
        }
        _ if is_suffixed(token) => "a number has no suffix: its type follows from its use (and from --float)",
        _ if lex::next_token(token, 0).is_some_and(|t| t.kind == TokenKind::Number) && is_glued(token) => {
            "a name cannot begin with a digit; a product needs its '*'"
        }
        _ if after_expression(rules) && in_block && token.starts_with(char::is_uppercase) => {
            "a value is fed on with '|>', a call needs its brackets"
        }
        _ if is_reserved(token) && rules.contains(&Rule::ident) => {
            return Some(format!("'{token}' is a word of the language and cannot be a name"));
        }
        _ => return None,
    };
    Some(help.to_string())
}

/// The error stands in the condition of an `if`.
fn in_condition(before: &str) -> bool {
    in_statement(before, "if") && !in_statement(before, "then")
}

/// A word stands before the error, on its line.
fn in_statement(before: &str, word: &str) -> bool {
    let line = before.rsplit(['\n', ';', '{']).next().unwrap_or("");
    line.split(|c: char| !lex::is_name_char(c)).any(|w| w == word)
}

/// `1e-3f`, `0.5f32`
fn is_suffixed(token: &str) -> bool {
    let number = ["f32", "f64", "f", "F", "d", "L", "u32", "i32", "i64"].iter().find_map(|s| token.strip_suffix(s));
    number.is_some_and(|n| n.parse::<f64>().is_ok() && n.starts_with(|c: char| c.is_ascii_digit()))
}

/// `12abc`
fn is_glued(token: &str) -> bool {
    token.contains(|c: char| c.is_alphabetic())
}

/// Whether no name may be written so.
pub fn is_reserved(token: &str) -> bool {
    super::parse::Grammar::parse(Rule::reserved, token).is_ok_and(|pairs| pairs.as_str() == token)
}
