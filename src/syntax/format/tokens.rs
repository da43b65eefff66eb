//! The text as tokens that carry what stands around them: comments, line ends, blank lines, blanks.

use crate::syntax::lex::{TokenKind, next_token};

/// A `//` or `///` comment; it always reaches to the end of its line.
#[derive(Clone, Debug, PartialEq)]
pub struct Comment {
    pub text: String,
    /// An empty line stands before it.
    pub blank_before: bool,
    /// Where it began in its line, in characters from 0, if it was put there: behind more than two blanks.
    pub column: usize,
}

#[derive(Clone, Debug)]
pub struct Tok<'a> {
    pub kind: TokenKind,
    pub text: &'a str,
    pub start: usize,
    pub end: usize,
    /// Comments on lines of their own before the token.
    pub before: Vec<Comment>,
    /// The comment behind it on its line.
    pub after: Option<Comment>,
    /// A line end stands before it.
    pub newline: bool,
    /// An empty line stands right before it (behind its comments).
    pub blank: bool,
    /// A blank or a line end stands before it.
    pub space: bool,
}

impl Tok<'_> {
    pub fn is(&self, text: &str) -> bool {
        self.text == text && self.kind != TokenKind::String
    }

    pub fn closes(&self) -> bool {
        matches!(self.kind, TokenKind::Close(_))
    }
}

/// All tokens; the last one is empty and holds the comments at the end of the text.
pub fn tokens(text: &str) -> Vec<Tok<'_>> {
    let mut out: Vec<Tok> = vec![];
    let mut at = 0;
    loop {
        let gap = gap(text, at);
        let mut before = gap.comments;
        if gap.trailing && !before.is_empty() {
            match out.last_mut() {
                Some(last) => last.after = Some(before.remove(0)),
                None => before[0].blank_before = false,
            }
        }
        let (space, newline, blank) = (gap.end > at, gap.newline, gap.blank);
        let end_of_text = || Tok {
            kind: TokenKind::Unknown,
            text: "",
            start: text.len(),
            end: text.len(),
            before: vec![],
            after: None,
            newline,
            blank,
            space,
        };
        let Some(token) = next_token(text, gap.end) else {
            out.push(Tok { before, ..end_of_text() });
            return out;
        };
        let (start, end) = (token.start, token.end);
        out.push(Tok { kind: token.kind, text: &text[start..end], start, end, before, ..end_of_text() });
        at = token.end;
    }
}

/// What lies between two tokens.
struct Gap {
    end: usize,
    comments: Vec<Comment>,
    /// The first comment stands on the line of the token before.
    trailing: bool,
    newline: bool,
    /// The last lines before the next token are empty.
    blank: bool,
}

fn gap(text: &str, start: usize) -> Gap {
    let mut gap = Gap { end: start, comments: vec![], trailing: false, newline: false, blank: false };
    // Line ends since the last token or comment; a comment's own does not make an empty line.
    let mut ends = 0;
    loop {
        let rest = &text[gap.end..];
        if rest.starts_with("//") {
            let line = rest.split('\n').next().unwrap_or(rest);
            let begin = text[..gap.end].rfind('\n').map_or(0, |newline| newline + 1);
            if gap.comments.is_empty() {
                gap.trailing = !gap.newline;
            }
            let line_before = &text[begin..gap.end];
            let aligned = line_before.ends_with("   ") || line_before.ends_with('\t');
            let column = if aligned { line_before.chars().count() } else { 0 };
            gap.comments.push(Comment { text: line.trim_end().to_string(), blank_before: ends > 1, column });
            gap.end += line.len();
            ends = 0;
            continue;
        }
        match rest.chars().next() {
            Some('\n') => {
                ends += 1;
                gap.newline = true;
                gap.end += 1;
            }
            Some(c) if c.is_whitespace() || c == '\u{feff}' => gap.end += c.len_utf8(),
            _ => {
                gap.blank = ends > 1;
                return gap;
            }
        }
    }
}
