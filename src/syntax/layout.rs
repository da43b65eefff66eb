//! The pass before the grammar: statements, items and brackets, seen as a reader sees them.
//!
//! A line end sometimes ends a statement and sometimes does not, which a context-free grammar says badly. So this pass
//! walks the text once and writes a *masked* copy of the same length, in which comments are blanks and each line end
//! that does not end a statement is a blank. Offsets in the copy are offsets in the file. On its way it
//!
//! * finds where the items begin, so that one broken item does not hide the errors of the next;
//! * matches brackets and reports those that do not match at the bracket that was opened;
//! * limits nesting, so that the recursive parser behind it cannot run out of stack.
//!
//! A line end ends a statement unless a `(` or `[` is open, the line ends in an operator, or the next line begins with
//! something that cannot begin a statement (`|>`, `then`, `else`, `+`, `.name`, `{`, …). A line that begins with `(`,
//! `[` or `-` never continues the one before; the one exception is the second list of a definition's header, where no
//! statement can begin.

use std::ops::Range;

use crate::diag::{self, Diagnostic};
use crate::source::{FileId, Span};

use super::lex::{Token, TokenKind, next_token, skip_trivia};

/// Brackets, `if`s and so on that may be open at once.
pub const MAX_NESTING: usize = 256;

/// Errors of brackets and characters that are recorded; more are never shown.
const MAX_ERRORS: usize = 100;

/// Words that begin an item when they stand where a statement begins, outside all brackets.
pub const ITEM_WORDS: [&str; 16] = [
    "use",
    "const",
    "fn",
    "init",
    "layer",
    "model",
    "loss",
    "metric",
    "schedule",
    "transform",
    "optimizer",
    "data",
    "train",
    "compare",
    "sweep",
    "test",
];

/// The stretch of text that should be one item.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    pub range: Range<usize>,
    /// Text of the `///` lines before it.
    pub doc: Option<String>,
    /// How many `}` are missing at its end; the parser adds them and goes on.
    pub missing_braces: usize,
    /// Its header has a bracket error, already reported: there is nothing to parse.
    pub broken: bool,
}

/// A matched (or, after an error, virtually closed) pair of brackets.
#[derive(Clone, Copy, Debug)]
pub struct Bracket {
    pub open: usize,
    pub close: usize,
    pub symbol: char,
    /// `{` of a block, whose lines are statements.
    pub is_block: bool,
}

#[derive(Debug, Default)]
pub struct Layout {
    pub masked: String,
    pub chunks: Vec<Chunk>,
    pub brackets: Vec<Bracket>,
    /// Places where a statement ends: offset, and offset of the block's `{` (`None` outside all blocks).
    pub ends: Vec<(usize, Option<usize>)>,
    pub errors: Vec<Diagnostic>,
    /// Offsets of errors inside blocks: the parser leaves out the statements around them.
    pub broken: Vec<usize>,
}

impl Layout {
    /// The innermost bracket around an offset.
    pub fn enclosing(&self, at: usize) -> Option<Bracket> {
        self.brackets.iter().filter(|b| b.open < at && at <= b.close).max_by_key(|b| b.open).copied()
    }

    /// The range of the statement around an offset: within the innermost block, between two statement ends.
    pub fn statement(&self, at: usize) -> Option<Range<usize>> {
        let block =
            self.brackets.iter().filter(|b| b.is_block && b.open < at && at <= b.close).max_by_key(|b| b.open)?;
        let mine = || self.ends.iter().filter(|(_, open)| *open == Some(block.open)).map(|(end, _)| *end);
        let start = mine().filter(|end| *end < at).max().unwrap_or(block.open) + 1;
        let end = mine().filter(|end| *end >= at).min().unwrap_or(block.close);
        Some(start..end.max(start))
    }
}

/// An open bracket.
struct Frame {
    open: usize,
    symbol: char,
    is_block: bool,
    /// `if`s of the current statement; each may be one more level of the tree.
    ifs: usize,
    /// Indentation of its line, in bytes.
    indent: usize,
}

/// The line being read: where its first token is, and how far it is indented.
#[derive(Clone, Copy, Default)]
struct Line {
    first: usize,
    indent: usize,
}

struct Scanner<'a> {
    text: &'a str,
    file: FileId,
    masked: Vec<u8>,
    out: Layout,
    stack: Vec<Frame>,
    /// `if`s of the current statement outside all brackets.
    top_ifs: usize,
    nesting: usize,
    previous: Option<Token>,
    /// The current item is a definition or a training whose body has not begun.
    in_header: bool,
    /// A `{` of the current item whose `}` stands further left than its line: probably it took another block's.
    suspect: Option<usize>,
    line: Line,
}

/// Prepares a text for the grammar. `items`: the text is a file, to be cut into items; otherwise it is one expression.
pub fn layout(text: &str, file: FileId, items: bool) -> Layout {
    let mut scanner = Scanner {
        text,
        file,
        masked: text.as_bytes().to_vec(),
        out: Layout::default(),
        stack: vec![],
        top_ifs: 0,
        nesting: 0,
        previous: None,
        in_header: false,
        suspect: None,
        line: Line::default(),
    };
    if !items {
        scanner.out.chunks.push(Chunk { range: 0..text.len(), ..Chunk::default() });
    }
    scanner.run(items);
    let mut out = scanner.out;
    // Only whole characters were overwritten, so this cannot fail; an empty text would merely parse as nothing.
    out.masked = String::from_utf8(scanner.masked).unwrap_or_default();
    out
}

impl Scanner<'_> {
    fn run(&mut self, items: bool) {
        let mut at = 0;
        let mut docs: Vec<String> = vec![];
        loop {
            let trivia = skip_trivia(self.text, at, &mut self.masked);
            if self.stack.is_empty() {
                docs.extend(trivia.docs);
            }
            at = trivia.end;
            let Some(token) = next_token(self.text, at) else { break };
            let mut begins = self.previous.is_none();
            if let Some(newline) = trivia.newline {
                self.line = Line { first: token.start, indent: token.start - trivia.last_line };
                begins |= self.line_begins(newline, &token);
            }
            begins |= self.previous.as_ref().is_some_and(|p| p.kind == TokenKind::Semicolon);
            if items && begins && self.stack.is_empty() && token.kind != TokenKind::Semicolon {
                self.begin_chunk(&token, std::mem::take(&mut docs));
            }
            if !self.token(&token) {
                self.finish_chunk(self.text.len());
                return;
            }
            at = token.end;
            self.previous = Some(token);
        }
        self.close_all(self.text.len());
        self.finish_chunk(self.text.len());
    }

    fn word(&self, token: &Token) -> &str {
        &self.text[token.start..token.end]
    }

    /// Decides about the line end before `token`; true if a statement begins with `token`.
    fn line_begins(&mut self, newline: usize, token: &Token) -> bool {
        let column_0 = token.start == 0 || self.text.as_bytes()[token.start - 1] == b'\n';
        if column_0 && self.looks_like_item(token) {
            self.close_all(newline);
            self.end_statement(newline);
            return true;
        }
        if self.stack.last().is_some_and(|f| !f.is_block) {
            // A statement's first word inside `(`: the bracket was never closed.
            let in_block = self.stack.iter().any(|f| f.is_block);
            if !in_block || token.kind != TokenKind::Word || !begins_statement(self.word(token)) {
                return false;
            }
            while self.stack.last().is_some_and(|f| !f.is_block) {
                self.unclosed(newline);
            }
            self.end_statement(newline);
            return true;
        }
        if self.continues(token) {
            return false;
        }
        self.end_statement(newline);
        true
    }

    fn end_statement(&mut self, newline: usize) {
        self.masked[newline] = b'\n';
        self.separate(newline);
    }

    fn separate(&mut self, at: usize) {
        let open = self.stack.last().map(|f| f.open);
        self.out.ends.push((at, open));
        self.forget_ifs();
    }

    fn forget_ifs(&mut self) {
        let ifs = self.stack.last_mut().map_or(&mut self.top_ifs, |f| &mut f.ifs);
        self.nesting -= std::mem::take(ifs);
    }

    /// Whether the statement goes on with `token`, the first of its line.
    fn continues(&self, token: &Token) -> bool {
        let Some(previous) = &self.previous else { return false };
        if token.kind == TokenKind::Word && begins_statement(self.word(token)) {
            return false;
        }
        let top = self.stack.is_empty();
        let ends_open = match previous.kind {
            TokenKind::Operator => true,
            TokenKind::Word => match self.word(previous) {
                "and" | "or" | "not" | "then" | "else" | "with" | "over" | "within" => true,
                "in" | "by" | "on" | "minimizing" | "maximizing" => top,
                _ => false,
            },
            _ => false,
        };
        let next_char = self.text[token.end..].chars().next();
        ends_open
            || match token.kind {
                TokenKind::Operator => self.word(token) != "-",
                TokenKind::Open('{') => true,
                TokenKind::Open('(') => self.in_header && previous.kind == TokenKind::Close(')'),
                TokenKind::Word => match self.word(token) {
                    "then" | "else" | "and" | "or" | "with" | "over" | "within" => true,
                    "where" => next_char != Some('('),
                    "in" | "by" | "on" | "minimizing" | "maximizing" => top,
                    _ => false,
                },
                _ => false,
            }
    }

    /// An item's keyword at the left margin, followed by a name: an item, even if brackets are still open.
    fn looks_like_item(&self, token: &Token) -> bool {
        if token.kind != TokenKind::Word || !ITEM_WORDS.contains(&self.word(token)) {
            return false;
        }
        let rest = self.text[token.end..].trim_start_matches([' ', '\t']);
        if rest.len() == self.text.len() - token.end {
            return false;
        }
        let next = rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or("");
        rest.starts_with('"')
            || rest.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && !matches!(next, "and" | "or" | "then" | "else" | "with" | "over" | "within" | "in")
    }

    /// Handles one token; false when the text is nested too deeply to go on.
    fn token(&mut self, token: &Token) -> bool {
        match token.kind {
            TokenKind::Open(symbol) => {
                let after_dot = self.previous.as_ref().is_some_and(|p| &self.text[p.start..p.end] == ".");
                let is_block = symbol == '{' && !after_dot;
                if self.stack.is_empty() && is_block {
                    self.in_header = false;
                }
                self.stack.push(Frame { open: token.start, symbol, is_block, ifs: 0, indent: self.line.indent });
                self.nesting += 1;
            }
            TokenKind::Close(symbol) => self.close(token.start, symbol),
            TokenKind::Semicolon if self.stack.last().is_none_or(|f| f.is_block) => self.separate(token.start),
            TokenKind::Operator if self.word(token) == "," => self.forget_ifs(),
            TokenKind::Operator if self.word(token) == "=" && self.stack.is_empty() => self.in_header = false,
            TokenKind::Word if self.word(token) == "if" => {
                *self.stack.last_mut().map_or(&mut self.top_ifs, |f| &mut f.ifs) += 1;
                self.nesting += 1;
            }
            TokenKind::UnclosedString => self.unclosed_string(token),
            TokenKind::Unknown => {
                let error = super::errors::unknown_character(self.text, self.span(token));
                self.report(error, token.start);
            }
            _ => {}
        }
        if self.nesting > MAX_NESTING {
            let error = diag::error("E0105", "this is nested too deeply")
                .at(self.span(token), format!("level {} of brackets and 'if's", MAX_NESTING + 1))
                .note(format!("at most {MAX_NESTING} may be open at once"))
                .help("give inner parts names with 'let', or move them to a definition of their own");
            self.out.errors.push(error);
            self.break_chunk();
            return false;
        }
        true
    }

    /// A text without closing quote has probably swallowed the closing brackets of its line, or the `{` at its end:
    /// one message is enough.
    fn unclosed_string(&mut self, token: &Token) {
        let error = diag::error("E0103", "this text has no closing quote")
            .at(self.span(token), "it begins here and must end on the same line");
        self.report(error, token.start);
        let line = self.text[..token.start].rfind('\n').map_or(0, |newline| newline + 1);
        while self.stack.last().is_some_and(|f| !f.is_block && f.open >= line) {
            self.pop(token.end);
        }
        if self.word(token).trim_end().ends_with('{') {
            let open = token.start + self.word(token).trim_end().len() - 1;
            self.stack.push(Frame { open, symbol: '{', is_block: true, ifs: 0, indent: self.line.indent });
            self.nesting += 1;
        }
    }

    fn close(&mut self, at: usize, symbol: char) {
        let open = match symbol {
            ')' => '(',
            ']' => '[',
            _ => '{',
        };
        let Some(top) = self.stack.last() else { return self.stray(at, symbol) };
        if top.symbol == open {
            return self.pop(at);
        }
        // `}` ends a block whatever is open inside it; `)` and `]` never reach out of a block.
        let matching =
            self.stack.iter().rev().take_while(|f| symbol == '}' || !f.is_block).position(|f| f.symbol == open);
        match matching {
            Some(inner) => {
                for _ in 0..inner {
                    self.unclosed(at);
                }
                self.pop(at);
            }
            None if symbol == '}' || top.is_block => self.stray(at, symbol),
            None => {
                let (opened, expected) = (top.open, closer(top.symbol));
                let error = diag::error("E0102", format!("expected '{expected}', found '{symbol}'"))
                    .at(Span::new(self.file, at, at + 1), format!("should be '{expected}'"))
                    .at(Span::new(self.file, opened, opened + 1), "to close this one")
                    .help(format!("write '{expected}'"))
                    .edit(Span::new(self.file, at, at + 1), expected);
                self.report(error, at);
                self.pop(at);
            }
        }
    }

    fn pop(&mut self, close: usize) {
        if let Some(frame) = self.stack.pop() {
            self.nesting -= 1 + frame.ifs;
            if frame.is_block && self.suspect.is_none() && self.line.first == close && self.line.indent < frame.indent {
                self.suspect = Some(frame.open);
            }
            self.out.brackets.push(Bracket { open: frame.open, close, symbol: frame.symbol, is_block: frame.is_block });
        }
    }

    /// Reports the innermost open bracket as never closed, and closes it.
    fn unclosed(&mut self, at: usize) {
        let Some(frame) = self.stack.last() else { return };
        let (open, symbol, is_block) = (frame.open, frame.symbol, frame.is_block);
        let error = diag::error("E0102", format!("this '{symbol}' is never closed"))
            .at(Span::new(self.file, open, open + 1), format!("a '{}' is missing", closer(symbol)));
        if is_block {
            self.out.errors.push(error);
            if let Some(chunk) = self.out.chunks.last_mut() {
                chunk.missing_braces += 1;
            }
        } else {
            self.report(error, open);
        }
        self.pop(at);
    }

    /// Closes what is open at the end of an item or of the file. One message is enough for a chain of blocks.
    fn close_all(&mut self, at: usize) {
        let reported = self.out.errors.len();
        let mut first_block = None;
        while let Some(frame) = self.stack.last() {
            let is_block = frame.is_block;
            self.unclosed(at);
            if is_block {
                first_block = self.out.errors.pop();
            }
        }
        if self.out.errors.len() == reported
            && let Some(mut error) = first_block
        {
            // The outermost block misses its brace because an inner one took it; indentation may tell which.
            if let (Some(open), Some(label)) = (self.suspect, error.labels.first_mut()) {
                label.span = Span::new(self.file, open, open + 1);
            }
            self.out.errors.push(error);
        }
    }

    fn stray(&mut self, at: usize, symbol: char) {
        let error = diag::error("E0102", format!("this '{symbol}' closes nothing"))
            .at(Span::new(self.file, at, at + 1), "no bracket is open here");
        self.masked[at] = b' ';
        self.report(error, at);
    }

    /// Records an error and takes the statement around it (or the whole item) out of the text to be parsed.
    fn report(&mut self, error: Diagnostic, at: usize) {
        if self.out.errors.len() >= MAX_ERRORS {
            return;
        }
        self.out.errors.push(error);
        if self.stack.iter().any(|f| f.is_block && f.open < at) {
            self.out.broken.push(at);
        } else {
            self.break_chunk();
        }
    }

    fn break_chunk(&mut self) {
        if let Some(chunk) = self.out.chunks.last_mut() {
            chunk.broken = true;
        }
    }

    fn begin_chunk(&mut self, token: &Token, docs: Vec<String>) {
        self.finish_chunk(token.start);
        self.suspect = None;
        self.in_header = token.kind == TokenKind::Word && ITEM_WORDS.contains(&self.word(token));
        let doc = (!docs.is_empty()).then(|| docs.join("\n"));
        self.out.chunks.push(Chunk { range: token.start..self.text.len(), doc, ..Chunk::default() });
    }

    fn finish_chunk(&mut self, end: usize) {
        if let Some(chunk) = self.out.chunks.last_mut() {
            chunk.range.end = end;
        }
    }

    fn span(&self, token: &Token) -> Span {
        Span::new(self.file, token.start, token.end)
    }
}

/// Reserved words with which only a statement can begin.
fn begins_statement(word: &str) -> bool {
    matches!(word, "let" | "param" | "state" | "minimize" | "report" | "observe" | "expect" | "for")
}

fn closer(open: char) -> char {
    match open {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}
