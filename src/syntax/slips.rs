//! Slips that people make who come from other languages: what they meant, and how it is written here.

use std::ops::Range;

use super::errors::{after_expression, is_reserved};
use super::layout::Bracket;
use super::lex::{self, TokenKind};
use super::parse::Rule;
use crate::diag::Diagnostic;
use crate::source::{FileId, Span};

/// What is told, and the change of the text that mends it, where that is certain.
pub struct Slip {
    help: String,
    edit: Option<(Range<usize>, String)>,
}

impl Slip {
    pub fn tell(self, diagnostic: Diagnostic, file: FileId) -> Diagnostic {
        let diagnostic = diagnostic.help(self.help);
        match self.edit {
            Some((range, new)) => diagnostic.edit(Span::new(file, range.start, range.end), new),
            None => diagnostic,
        }
    }
}

/// Where the grammar stopped: at `token` (empty at the end of a line).
pub struct Stop<'a> {
    pub text: &'a str,
    pub at: usize,
    pub token: &'a str,
    /// What could have come.
    pub rules: &'a [Rule],
    pub bracket: Option<Bracket>,
}

impl<'a> Stop<'a> {
    fn before(&self) -> &'a str {
        self.text[..self.at].trim_end()
    }

    fn after(&self) -> &'a str {
        self.text.get(self.at + self.token.len()..).unwrap_or("")
    }

    fn has(&self, rule: Rule) -> bool {
        self.rules.contains(&rule)
    }

    /// The token, which is `length` bytes long in the text.
    fn range(&self, length: usize) -> Range<usize> {
        self.at..self.at + length
    }

    pub fn slip(&self) -> Option<Slip> {
        let after_expression = after_expression(self.rules);
        let in_block = self.bracket.is_some_and(|b| b.is_block);
        let in_round = self.bracket.is_some_and(|b| b.symbol == '(');
        match self.token {
            "*" if self.before().ends_with('*') => {
                mend("a power is written '^': x^2", self.before().len() - 1..self.at + 1, "^")
            }
            "<-" | "←" => {
                tell("'<-' updates a state at the start of a statement; for 'less than minus' write 'a < -b'")
            }
            "=" if in_condition(self.before()) => mend("equality is '=='", self.range(1), "=="),
            "=" if after_expression && in_block => self.assignment(),
            "=" if after_expression => mend("equality is '=='", self.range(1), "=="),
            "&" => self.word("write 'and'", "and"),
            "|" => self.word("write 'or'; a pipe is '|>'", "or"),
            "!" => mend("write 'not'", self.range(1), "not "),
            ":" if after_expression && in_round => {
                let blanks = self.after().len() - self.after().trim_start_matches(' ').len();
                mend("an argument by name is 'name = value'", self.before().len()..self.at + 1 + blanks, " = ")
            }
            ":" if self.has(Rule::result) => tell("a result's type follows '->', a body stands in braces or after '='"),
            "." if self.after().starts_with(|c: char| c.is_ascii_digit()) => {
                mend("a number needs a digit before its point: '0.5'", self.at..self.at, "0")
            }
            "?" => tell("a choice is 'if c then a else b'"),
            "if" if after_expression => tell("a choice is 'if c then a else b'"),
            "minimize" | "report" | "observe" if self.has(Rule::kw_step) || self.has(Rule::step) => {
                tell("this belongs inside 'step(…) { … }'")
            }
            "->" | "=>" if self.bracket.is_some_and(|b| !b.is_block) => {
                tell("there are no functions without a name: define one with 'fn name(x) = …'")
            }
            "," if after_expression && in_block => {
                mend("a statement ends at the end of its line, or with ';'", self.range(1), ";")
            }
            _ => self.wider(after_expression, in_block),
        }
    }

    /// Slips that no single token tells.
    fn wider(&self, after_expression: bool, in_block: bool) -> Option<Slip> {
        let (before, token) = (self.before(), self.token);
        let first = lex::next_token(token, 0).map(|t| t.kind);
        if (self.has(Rule::group) || self.has(Rule::kw_with)) && in_statement(before, "minimize") {
            return tell("say how: 'minimize loss with AdamW(1e-3)'");
        }
        if before.ends_with("return") {
            let help = "a body's value is its last expression: there is no 'return'";
            return mend(help, before.len() - "return".len()..self.at, "");
        }
        if self.token.is_empty() && self.has(Rule::kw_else) && in_statement(before, "then") {
            return tell("an 'if' that gives a value says both: 'if c then a else b'");
        }
        if self.token == "[" && self.has(Rule::params) {
            return tell("hyper-parameters and inputs stand in parentheses: 'Name(hidden: int = 32)(x: float[N, D])'");
        }
        if in_block && before.ends_with("assert") {
            return self.assertion();
        }
        if before.ends_with("else") && self.has(Rule::block) {
            return tell("after 'if c { … }' the other branch stands in braces too");
        }
        if let Some(number) = without_suffix(token) {
            let help = "a number has no suffix: its type follows from its use (and from --float)";
            return mend(help, self.range(token.len()), number);
        }
        if first == Some(TokenKind::Number) && token.contains(|c: char| c.is_alphabetic()) {
            return tell("a name cannot begin with a digit; a product needs its '*'");
        }
        if after_expression && in_block && token.starts_with(char::is_uppercase) {
            return mend("a value is fed on with '|>', a call needs its brackets", self.at..self.at, "|> ");
        }
        if is_reserved(token) && self.has(Rule::ident) {
            return tell(&format!("'{token}' is a word of the language and cannot be a name"));
        }
        let begins = matches!(first, Some(TokenKind::Word | TokenKind::Number | TokenKind::String));
        if after_expression && begins && !is_reserved(token) && self.bracket.is_some_and(|b| !b.is_block) {
            return mend("what stands side by side is separated by ','", before.len()..before.len(), ",");
        }
        None
    }

    /// `x = e` at the start of a statement.
    fn assignment(&self) -> Option<Slip> {
        let help = "name a value with 'let x = …', update a state with 'x <- …'";
        let before = self.before();
        let start = before.rfind(['\n', ';', '{']).map_or(0, |at| at + 1);
        let start = start + before[start..].len() - before[start..].trim_start().len();
        let name = &before[start..];
        if name.is_empty() || !name.chars().all(lex::is_name_char) {
            return tell(help);
        }
        // Near enough to be of the same definition.
        const NEAR: usize = 4000;
        let near = &before[before.floor_char_boundary(start.saturating_sub(NEAR))..start];
        let words: Vec<&str> = near.split(|c: char| !lex::is_name_char(c)).filter(|w| !w.is_empty()).collect();
        let declared = words.windows(2).any(|w| matches!(w[0], "let" | "state") && w[1] == name);
        if declared { mend(help, self.range(1), "<-") } else { mend(help, start..start, "let ") }
    }

    /// `assert x > 0`, `assert close(a, b)`: the word of tests is `expect`.
    fn assertion(&self) -> Option<Slip> {
        let help = "a test says 'expect a == b', or 'expect a ~ b within 1e-6' of numbers that are nearly equal";
        let start = self.before().len() - "assert".len();
        let args = match self.token {
            "close" | "allclose" | "isclose" | "almost_equal" => arguments(self.after()),
            _ => None,
        };
        let Some((args, length)) = args else { return mend(help, start..start + "assert".len(), "expect") };
        let new = match args.as_slice() {
            [a, b] => format!("expect {a} ~ {b}"),
            [a, b, tolerance] => {
                let tolerance = tolerance.rsplit('=').next().unwrap_or(tolerance).trim();
                format!("expect {a} ~ {b} within {tolerance}")
            }
            _ => return tell(help),
        };
        mend(help, start..self.at + self.token.len() + length, &new)
    }

    /// `&`, `&&` or `|`, `||` as a word.
    fn word(&self, help: &str, word: &str) -> Option<Slip> {
        let length = if self.after().starts_with(self.token) { 2 } else { 1 };
        let blank = |c: Option<char>| c.is_some_and(char::is_whitespace);
        let before = if blank(self.text[..self.at].chars().next_back()) { "" } else { " " };
        let after = if blank(self.text[self.at + length..].chars().next()) { "" } else { " " };
        mend(help, self.range(length), &format!("{before}{word}{after}"))
    }
}

/// The arguments of a call in one line, whose `(` comes first, and its length.
fn arguments(text: &str) -> Option<(Vec<&str>, usize)> {
    let mut args = vec![];
    let (mut depth, mut begin) = (0, 1);
    for (at, c) in text.split('\n').next()?.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 1 => {
                args.push(text[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
        if depth == 0 {
            args.push(text.get(begin..at)?.trim());
            return Some((args, at + 1));
        }
    }
    None
}

fn tell(help: &str) -> Option<Slip> {
    Some(Slip { help: help.to_string(), edit: None })
}

fn mend(help: &str, range: Range<usize>, new: &str) -> Option<Slip> {
    Some(Slip { help: help.to_string(), edit: Some((range, new.to_string())) })
}

/// A word of another language where an item begins: what it is called here. `rest` is what follows it.
pub fn item_word(word: &str, rest: &str, span: Span) -> Option<Slip> {
    let here = |new: &str| Some((span.start as usize..span.end as usize, new.to_string()));
    let (help, edit) = match word {
        "let" => ("outside of a body, a value is named with 'const name = …'".to_string(), here("const")),
        "param" | "state" => (format!("'{word}' stands inside a layer, model, metric or optimizer"), None),
        "minimize" | "report" | "observe" => (format!("'{word}' stands inside the 'step' of a 'train'"), None),
        "def" | "func" | "function" if rest.starts_with(char::is_uppercase) => (
            "a network is 'model Name(hyper-parameters)(inputs) { … }', a function 'fn name(inputs) = …'".into(),
            here("model"),
        ),
        "def" | "func" | "function" => ("a function is 'fn name(inputs) = …'".to_string(), here("fn")),
        "import" | "from" => {
            let named = rest.trim_start_matches(lex::is_name_char).starts_with('.');
            let edit = if word == "import" && named { here("use") } else { None };
            ("names come from other files with 'use layers.{Dense}'".to_string(), edit)
        }
        "class" | "module" | "network" => {
            ("a network is 'model Name(hyper-parameters)(inputs) { … }'".to_string(), here("model"))
        }
        _ => return None,
    };
    Some(Slip { help, edit })
}

/// The mend of a character that the language does not use, where `text[at]` stands.
pub fn character(found: &str, text: &str, at: usize) -> Option<Slip> {
    let here = at..at + found.len();
    match found {
        "×" | "·" | "⋅" | "∗" => mend("multiplication is '*', a matrix product '@'", here, "*"),
        "÷" | "∕" => mend("division is '/'", here, "/"),
        "−" | "–" | "—" => mend("a minus is '-'", here, "-"),
        "≤" | "⩽" => mend("write '<='", here, "<="),
        "≥" | "⩾" => mend("write '>='", here, ">="),
        "≠" => mend("write '!='", here, "!="),
        "²" => mend("a power is written '^2'", here, "^2"),
        "³" => mend("a power is written '^3'", here, "^3"),
        "√" => tell("write 'sqrt(…)'"),
        "∑" | "Σ" => tell("write 'sum(…)'"),
        "∞" => mend("write 'inf'", here, "inf"),
        "“" | "”" | "„" | "'" | "‘" | "’" | "`" => {
            let help = "texts stand in straight double quotes: \"…\"";
            let quotes = ['“', '”', '„', '\'', '‘', '’', '`'];
            let inside = text.get(here.end..)?.split('\n').next()?;
            match inside.char_indices().find(|(_, c)| quotes.contains(c) || *c == '"') {
                Some((end, close)) if close != '"' => {
                    let whole = at..here.end + end + close.len_utf8();
                    mend(help, whole, &format!("\"{}\"", &inside[..end]))
                }
                _ => tell(help),
            }
        }
        "#" => mend("a comment begins with '//'", here, "//"),
        "…" => mend("a range or the remaining axes are two dots: '..'", here, ".."),
        "\\" => tell("a statement goes on by itself after an operator or inside brackets"),
        _ => None,
    }
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

/// The number in `1e-3f`, `0.5f32`.
fn without_suffix(token: &str) -> Option<&str> {
    let number = ["f32", "f64", "f", "F", "d", "L", "u32", "i32", "i64"].iter().find_map(|s| token.strip_suffix(s));
    number.filter(|n| n.parse::<f64>().is_ok() && n.starts_with(|c: char| c.is_ascii_digit()))
}
