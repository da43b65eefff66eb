//! Syntax errors in the user's words.
//!
//! The grammar tells where it stopped and which rules could have gone on there. A reader wants to know what stands
//! there, what was expected in plain words, which bracket is open, and the likely slip.

use std::ops::Range;

use pest::Parser;
use pest::error::{Error, ErrorVariant, InputLocation};

use super::layout::{Bracket, ITEM_WORDS, Layout};
use super::lex;
use super::parse::Rule;
use super::slips::{self, Stop};
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
    let stop = Stop { text, at, token, rules, bracket };
    match stop.slip() {
        Some(slip) => slip.tell(diagnostic, file),
        None => diagnostic,
    }
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
    let span = Span::new(file, range.start, end);
    match slips::item_word(word, rest, span) {
        Some(slip) => slip.tell(error, file),
        None if diag::nearest(shorten(word), ITEM_WORDS).is_some() => {
            error.did_you_mean(span, shorten(word), ITEM_WORDS)
        }
        None if rest.starts_with('=') => {
            error.help(format!("write 'const {} = …'", shorten(word))).edit(Span { end: span.start, ..span }, "const ")
        }
        None => error,
    }
}

/// A character that the language does not use.
pub fn unknown_character(text: &str, span: Span) -> Diagnostic {
    let found = text.get(span.start as usize..span.end as usize).unwrap_or("");
    let shown: String = found.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let error = diag::error("E0104", format!("the character '{shown}' has no meaning here"))
        .at(span, format!("U+{:04X}", found.chars().next().map_or(0, u32::from)));
    match slips::character(found, text, span.start as usize) {
        Some(slip) => slip.tell(error, span.file),
        None => error,
    }
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
pub(super) fn after_expression(rules: &[Rule]) -> bool {
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

/// Whether no name may be written so.
pub fn is_reserved(token: &str) -> bool {
    super::parse::Grammar::parse(Rule::reserved, token).is_ok_and(|pairs| pairs.as_str() == token)
}
