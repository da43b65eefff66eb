//! Tokens as a tree of brackets, blocks and statements. Nothing is known here about kinds of statements, so that nothing can be
//! forgotten when the grammar grows.

use super::tokens::{Comment, Tok};
use crate::syntax::lex::TokenKind;

#[derive(Debug)]
pub enum Node<'a> {
    Token(Tok<'a>),
    Group(Group<'a>),
    Block(Block<'a>),
}

/// `( … )`, `[ … ]`, or the names of a `use`.
#[derive(Debug)]
pub struct Group<'a> {
    pub open: Tok<'a>,
    pub elements: Vec<Element<'a>>,
    pub close: Tok<'a>,
}

#[derive(Debug)]
pub struct Element<'a> {
    pub nodes: Vec<Node<'a>>,
    pub comma: Option<Tok<'a>>,
}

/// `{ … }` of statements.
#[derive(Debug)]
pub struct Block<'a> {
    pub open: Tok<'a>,
    pub stmts: Vec<Stmt<'a>>,
    pub close: Tok<'a>,
}

#[derive(Debug)]
pub struct Stmt<'a> {
    /// Never empty.
    pub nodes: Vec<Node<'a>>,
    /// Comments on the lines before, and behind it; its tokens no longer hold them.
    pub before: Vec<Comment>,
    pub after: Option<Comment>,
    /// It stands behind a `;`, on the line of the statement before.
    pub same_line: bool,
}

impl<'a> Stmt<'a> {
    fn new(mut nodes: Vec<Node<'a>>, same_line: bool) -> Stmt<'a> {
        let before = nodes.first_mut().map(|n| std::mem::take(&mut n.first_mut().before)).unwrap_or_default();
        let after = nodes.last_mut().and_then(|n| n.last_mut().after.take());
        Stmt { nodes, before, after, same_line }
    }

    pub fn first(&self) -> &Tok<'a> {
        self.nodes[0].first()
    }
}

impl<'a> Node<'a> {
    pub fn first(&self) -> &Tok<'a> {
        match self {
            Node::Token(token) => token,
            Node::Group(group) => &group.open,
            Node::Block(block) => &block.open,
        }
    }

    pub fn first_mut(&mut self) -> &mut Tok<'a> {
        match self {
            Node::Token(token) => token,
            Node::Group(group) => &mut group.open,
            Node::Block(block) => &mut block.open,
        }
    }

    pub fn last(&self) -> &Tok<'a> {
        match self {
            Node::Token(token) => token,
            Node::Group(group) => &group.close,
            Node::Block(block) => &block.close,
        }
    }

    pub fn last_mut(&mut self) -> &mut Tok<'a> {
        match self {
            Node::Token(token) => token,
            Node::Group(group) => &mut group.close,
            Node::Block(block) => &mut block.close,
        }
    }

    /// The token, if it is a bare one of this text.
    pub fn is(&self, text: &str) -> bool {
        matches!(self, Node::Token(token) if token.is(text))
    }
}

/// The statements of a text and the token at its end. `ends` are the offsets where statements end, in order, as the layout pass
/// found them. `None` if the brackets do not match.
pub fn tree<'a>(tokens: Vec<Tok<'a>>, ends: &[usize]) -> Option<(Vec<Stmt<'a>>, Tok<'a>)> {
    let mut reader = Reader { tokens: tokens.into_iter().peekable(), ends, last_end: 0, after_dot: false };
    let stmts = reader.stmts();
    let last = reader.tokens.next()?;
    reader.tokens.next().is_none().then_some((stmts?, last))
}

struct Reader<'a, 'e> {
    tokens: std::iter::Peekable<std::vec::IntoIter<Tok<'a>>>,
    ends: &'e [usize],
    /// Where the token before ended.
    last_end: usize,
    /// It was a `.`.
    after_dot: bool,
}

impl<'a> Reader<'a, '_> {
    fn next(&mut self) -> Option<Tok<'a>> {
        let token = self.tokens.next()?;
        self.last_end = token.end;
        self.after_dot = token.is(".");
        Some(token)
    }

    /// Whether a statement ends between the token before and one that starts here.
    fn ends_before(&self, start: usize) -> bool {
        let first = self.ends.partition_point(|end| *end < self.last_end);
        self.ends.get(first).is_some_and(|end| *end < start)
    }

    /// Up to a closing bracket or the end of the text, which stays.
    fn stmts(&mut self) -> Option<Vec<Stmt<'a>>> {
        let mut out: Vec<Stmt> = vec![];
        let mut nodes: Vec<Node> = vec![];
        let mut same_line = false;
        // Comments of a `;` that is dropped.
        let mut held: Vec<Comment> = vec![];
        loop {
            let next = self.tokens.peek()?;
            let (start, stop) = (next.start, next.closes() || next.text.is_empty());
            let separates = next.kind == TokenKind::Semicolon;
            if stop || !nodes.is_empty() && !separates && self.ends_before(start) {
                if !nodes.is_empty() {
                    out.push(Stmt::new(std::mem::take(&mut nodes), same_line));
                }
                same_line = false;
            }
            let next = self.tokens.peek_mut()?;
            if !held.is_empty() && next.kind != TokenKind::Semicolon {
                next.before.splice(0..0, held.drain(..));
            }
            if stop {
                return Some(out);
            }
            if next.kind == TokenKind::Semicolon {
                let semicolon = self.next()?;
                held.extend(semicolon.before);
                if !nodes.is_empty() {
                    out.push(Stmt::new(std::mem::take(&mut nodes), same_line));
                }
                match (out.last_mut(), semicolon.after) {
                    (Some(last), Some(comment)) if last.after.is_none() && held.is_empty() => {
                        last.after = Some(comment)
                    }
                    (_, comment) => held.extend(comment),
                }
                same_line = self.tokens.peek().is_some_and(|t| !t.newline) && held.is_empty() && !out.is_empty();
                continue;
            }
            let node = self.node()?;
            nodes.push(node);
        }
    }

    fn node(&mut self) -> Option<Node<'a>> {
        let after_dot = self.after_dot;
        let open = self.next()?;
        let TokenKind::Open(symbol) = open.kind else { return Some(Node::Token(open)) };
        if symbol == '{' && !after_dot {
            let stmts = self.stmts()?;
            let close = self.next()?;
            return close.is("}").then_some(Node::Block(Block { open, stmts, close }));
        }
        let closer = match symbol {
            '(' => ")",
            '[' => "]",
            _ => "}",
        };
        let elements = self.elements()?;
        let close = self.next()?;
        close.is(closer).then_some(Node::Group(Group { open, elements, close }))
    }

    fn elements(&mut self) -> Option<Vec<Element<'a>>> {
        let mut out = vec![];
        let mut nodes = vec![];
        loop {
            let next = self.tokens.peek()?;
            if next.text.is_empty() || next.closes() {
                if !nodes.is_empty() {
                    out.push(Element { nodes, comma: None });
                }
                return Some(out);
            }
            if next.is(",") {
                let comma = self.next();
                out.push(Element { nodes: std::mem::take(&mut nodes), comma });
                continue;
            }
            nodes.push(self.node()?);
        }
    }
}
