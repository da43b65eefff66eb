//! Syntax errors in the user's words.
//!
//! The grammar tells where it stopped and which rules could have gone on there. A reader wants to know what stands
//! there, what was expected in plain words, which bracket is open, and the likely slip.

use std::ops::Range;

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
    let expected = expected(rules, bracket);
    let shown = match found {
        Found::Token(token) => format!("'{token}'"),
        Found::LineEnd => "the end of the line".to_string(),
        Found::End => "the end of the text".to_string(),
    };
    let mut diagnostic =
        diag::error("E0101", format!("expected {expected}, found {shown}")).at(span, format!("expected {expected}"));
    if let Some(bracket) = bracket.filter(|b| !b.is_block && only_goes_on(rules) && b.open < at) {
        diagnostic = diagnostic.at(Span::new(file, bracket.open, bracket.open + 1), "inside this bracket");
    }
    let token = match found {
        Found::Token(token) => token,
        _ => "",
    };
    diagnostic.maybe_help(slip(text, at, token, rules))
}

/// A stretch of text at the top level that begins with no item's keyword.
pub fn not_an_item(text: &str, range: Range<usize>, file: FileId) -> Diagnostic {
    let token = lex::next_token(text, range.start);
    let end = token.map_or(range.end, |t| t.end);
    let word = &text[range.start..end];
    let error = diag::error("E0101", format!("expected an item, found '{}'", shorten(word)))
        .at(Span::new(file, range.start, end), "no item begins like this")
        .note("items: use, const, fn, init, layer, model, loss, metric, schedule, transform, optimizer, data, train, compare, sweep, test");
    let rest = text[end..range.end].trim_start();
    let help = match word {
        "let" => Some("outside of a body, a value is named with 'const name = …'".to_string()),
        "param" | "state" => Some(format!("'{word}' stands inside a layer, model, metric or optimizer")),
        "minimize" | "report" | "observe" => Some(format!("'{word}' stands inside the 'step' of a 'train'")),
        "def" | "func" | "function" => Some("a function is 'fn name(inputs) = …'".to_string()),
        "import" | "from" => Some("names come from other files with 'use layers.{Dense}'".to_string()),
        "class" | "module" | "network" => Some("a network is 'model Name(hyper-parameters)(inputs) { … }'".to_string()),
        _ => diag::suggest(word, ITEM_WORDS)
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

/// All that could have come was more of an expression that is already whole.
fn only_goes_on(rules: &[Rule]) -> bool {
    rules.iter().all(|r| {
        matches!(
            r,
            Rule::infix
                | Rule::call
                | Rule::index
                | Rule::field
                | Rule::dot
                | Rule::comma
                | Rule::slice_tail
                | Rule::colon
                | Rule::EOI
        )
    })
}

/// What could have come, in words: the most telling one to three things.
fn expected(rules: &[Rule], bracket: Option<Bracket>) -> String {
    let has = |rule: Rule| rules.contains(&rule);
    let closing = match bracket {
        Some(Bracket { symbol: '(', .. }) => "',' or ')'",
        Some(Bracket { symbol: '[', .. }) => "',' or ']'",
        Some(Bracket { is_block: false, .. }) => "',' or '}'",
        _ => "the end of the statement",
    };
    let mut words: Vec<&str> = vec![];
    let whole_statement = has(Rule::let_stmt) || has(Rule::expr_stmt);
    if whole_statement {
        words.push("a statement");
    } else if has(Rule::setting) && has(Rule::step) {
        words.push("'step(…) { … }', 'let' or a setting such as 'batch = 128'");
    } else if rules.iter().any(|r| matches!(r, Rule::expr | Rule::number | Rule::if_expr | Rule::paren)) {
        words.push("an expression");
    }
    for rule in rules {
        let word = match rule {
            Rule::ident | Rule::word if words.is_empty() || !has(Rule::number) => "a name",
            Rule::type_expr => "a type",
            Rule::kw_then => "'then …'",
            Rule::block if !whole_statement => "'{'",
            Rule::train_body => "'{'",
            Rule::kw_else if !has(Rule::infix) || bracket.is_none_or(|b| !b.is_block) => "'else'",
            Rule::kw_in => "'in'",
            Rule::kw_on => "'on'",
            Rule::kw_over => "'over'",
            Rule::kw_with | Rule::group => "'with'",
            Rule::params | Rule::step_inputs => "'('",
            Rule::eq => "'='",
            Rule::result | Rule::to => "'->'",
            Rule::type_note if !has(Rule::eq) => "':'",
            Rule::dot if !has(Rule::infix) => "'.'",
            Rule::string if !has(Rule::number) => "a text in quotes",
            Rule::use_names => "'{'",
            Rule::use_all => "'*'",
            _ => continue,
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    if words.is_empty() || (only_goes_on(rules) && !whole_statement) {
        let goes_on = if has(Rule::infix) { "an operator, " } else { "" };
        return format!("{goes_on}{closing}").replace(", ','", ", ','");
    }
    match words.as_slice() {
        [one] => one.to_string(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
        [] => closing.to_string(),
    }
}

/// Slips that people make who come from other languages.
fn slip(text: &str, at: usize, token: &str, rules: &[Rule]) -> Option<String> {
    let before = text[..at].trim_end();
    let after = text.get(at + token.len()..).unwrap_or("");
    let help = match token {
        "*" if before.ends_with('*') => "a power is written '^': x^2",
        "<-" | "←" if !rules.contains(&Rule::update) => {
            "'<-' is an update, and stands after the name at the start of a statement; 'a < -b' needs the blank"
        }
        "=" if after.starts_with('=') => return None,
        "=" if rules.contains(&Rule::update) => "name a value with 'let x = …', update a state with 'x <- …'",
        "=" => "equality is '==', a name is given with 'let x = …'",
        "&" => "write 'and'",
        "|" => "write 'or'; a pipe is '|>'",
        "!" => "write 'not'",
        ":" if rules.contains(&Rule::block) => "a body stands in braces: '{ … }'",
        "." if after.starts_with(|c: char| c.is_ascii_digit()) => "a number needs a digit before its point: '0.5'",
        "?" => "a choice is 'if c then a else b'",
        "return" => "a body's value is its last expression: there is no 'return'",
        _ if lex_kind(token) == Some(TokenKind::Word) && before.ends_with("return") => {
            "a body's value is its last expression: there is no 'return'"
        }
        _ if is_reserved(token) && rules.contains(&Rule::ident) => {
            return Some(format!("'{token}' is a word of the language and cannot be a name"));
        }
        _ => return None,
    };
    Some(help.to_string())
}

fn lex_kind(token: &str) -> Option<TokenKind> {
    lex::next_token(token, 0).map(|t| t.kind)
}

fn is_reserved(token: &str) -> bool {
    use pest::Parser;
    super::parse::Grammar::parse(Rule::reserved, token).is_ok_and(|pairs| pairs.as_str() == token)
}
