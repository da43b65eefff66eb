//! Tokens, as coarse as the layout pass needs them: words, strings, brackets, operators, and what is none of these.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    Word,
    Number,
    String,
    UnclosedString,
    Open(char),
    Close(char),
    Semicolon,
    /// Includes `,`, `:`, `.` and `=`: a line that ends in one of them goes on.
    Operator,
    /// `*` of `use layers.*`: it ends its line like a name.
    All,
    /// A character that the language does not use.
    Unknown,
}

#[derive(Clone, Copy, Debug)]
pub struct Token {
    pub kind: TokenKind,
    pub start: usize,
    pub end: usize,
}

/// Longest first.
const OPERATORS: [&str; 29] = [
    "|>", "..", "==", "!=", "<=", ">=", "<-", "->", "←", "→", "=", "<", ">", "+", "-", "*", "/", "%", "@", "^", "~",
    ",", ":", ".", "|", "&", "!", "?", "$",
];

/// What lies between two tokens.
pub struct Trivia {
    pub end: usize,
    /// The first line end.
    pub newline: Option<usize>,
    /// Where the line of the next token begins, if there was a line end.
    pub last_line: usize,
    /// Texts of `///` lines.
    pub docs: Vec<String>,
}

/// Skips blanks, line ends and comments from `at` on, and overwrites them with spaces in `masked`.
pub fn skip_trivia(text: &str, at: usize, masked: &mut [u8]) -> Trivia {
    let bytes = text.as_bytes();
    let mut trivia = Trivia { end: at, newline: None, last_line: at, docs: vec![] };
    loop {
        let rest = &text[trivia.end..];
        let length = if rest.starts_with("//") {
            let line = rest.split('\n').next().unwrap_or(rest);
            if let Some(doc) = line.strip_prefix("///").filter(|d| !d.starts_with('/')) {
                trivia.docs.push(doc.strip_prefix(' ').unwrap_or(doc).trim_end().to_string());
            }
            line.len()
        } else {
            match rest.chars().next() {
                Some(c) if c.is_whitespace() || c == '\u{feff}' => c.len_utf8(),
                _ => return trivia,
            }
        };
        if bytes[trivia.end] == b'\n' {
            trivia.newline.get_or_insert(trivia.end);
            trivia.last_line = trivia.end + 1;
        }
        masked[trivia.end..trivia.end + length].fill(b' ');
        trivia.end += length;
    }
}

/// The token at `at`, where no trivia begins; `None` at the end of the text.
pub fn next_token(text: &str, at: usize) -> Option<Token> {
    let rest = &text[at..];
    let first = rest.chars().next()?;
    let (kind, length) = match first {
        '(' | '[' | '{' => (TokenKind::Open(first), 1),
        ')' | ']' | '}' => (TokenKind::Close(first), 1),
        ';' => (TokenKind::Semicolon, 1),
        '"' => string(rest),
        '0'..='9' => (TokenKind::Number, number(rest)),
        _ if is_name_start(first) => (TokenKind::Word, rest.find(|c| !is_name_char(c)).unwrap_or(rest.len())),
        '*' if at > 0 && text.as_bytes()[at - 1] == b'.' => (TokenKind::All, 1),
        _ => match OPERATORS.iter().find(|op| rest.starts_with(**op)) {
            Some(op) => (TokenKind::Operator, op.len()),
            None => (TokenKind::Unknown, first.len_utf8()),
        },
    };
    Some(Token { kind, start: at, end: at + length })
}

/// Letters of any script, `_`, `∇`, `∂`.
pub fn is_name_start(c: char) -> bool {
    // Not `is_alphabetic`: every start must also be a name character, or a token could be empty.
    pest::unicode::XID_START(c) || matches!(c, '_' | '∇' | '∂')
}

/// Also digits, combining marks (hats, bars, dots), subscripts and primes.
pub fn is_name_char(c: char) -> bool {
    use pest::unicode::XID_CONTINUE;
    XID_CONTINUE(c) || is_subscript(c) || matches!(c, '′' | '∇' | '∂')
}

fn is_subscript(c: char) -> bool {
    ('\u{2080}'..='\u{209c}').contains(&c)
}

fn string(rest: &str) -> (TokenKind, usize) {
    let mut escaped = false;
    for (i, c) in rest.char_indices().skip(1) {
        match c {
            '\n' => return (TokenKind::UnclosedString, i),
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return (TokenKind::String, i + 1),
            _ => {}
        }
    }
    (TokenKind::UnclosedString, rest.len())
}

/// Only as exact as needed: the sign of an exponent belongs to the number, `..` does not.
fn number(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut end = 0;
    while end < bytes.len() {
        let signed = matches!(bytes[end], b'+' | b'-') && matches!(bytes[end - 1], b'e' | b'E');
        let dot = bytes[end] == b'.' && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
        if !(bytes[end].is_ascii_alphanumeric() || bytes[end] == b'_' || signed || dot) {
            break;
        }
        end += 1;
    }
    end
}
