//! Blanks between two neighbours of a line, and what is an operator.

use super::tokens::Tok;
use super::tree::Node;
use crate::syntax::lex::TokenKind;

/// How tightly an operator binds; the loosest breaks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Pipe,
    Or,
    And,
    Compare,
    Sum,
    Product,
}

pub const LEVELS: [Level; 6] = [Level::Pipe, Level::Or, Level::And, Level::Compare, Level::Sum, Level::Product];

fn level_of(token: &Tok) -> Option<Level> {
    Some(match (token.kind, token.text) {
        (TokenKind::Operator, "|>") => Level::Pipe,
        (TokenKind::Word, "or") => Level::Or,
        (TokenKind::Word, "and") => Level::And,
        (TokenKind::Operator, "==" | "!=" | "<" | "<=" | ">" | ">=") => Level::Compare,
        (TokenKind::Operator, "+" | "-") => Level::Sum,
        (TokenKind::Operator, "*" | "/" | "%" | "@") => Level::Product,
        _ => return None,
    })
}

/// The level of the operator between two operands at `at`, if there is one.
pub fn operator(nodes: &[Node], at: usize) -> Option<Level> {
    let Node::Token(token) = &nodes[at] else { return None };
    level_of(token).filter(|_| ends_operand(nodes, at))
}

/// Products and ranges keep the blanks that the writer gave them: `2*x / n`.
pub fn is_spaced(nodes: &[Node], at: usize) -> bool {
    nodes[at].first().space || nodes.get(at + 1).is_some_and(|n| n.first().space && !n.first().newline)
}

/// Whether an operand ends before `at`: then what follows is an operator between two, or a call, or an index.
fn ends_operand(nodes: &[Node], at: usize) -> bool {
    let Some(before) = at.checked_sub(1) else { return false };
    match &nodes[before] {
        Node::Group(_) | Node::Block(_) => true,
        Node::Token(token) => match token.kind {
            TokenKind::Word => !is_keyword(nodes, before),
            TokenKind::Number | TokenKind::String | TokenKind::All => true,
            _ => false,
        },
    }
}

/// Words that no name can be, and those that are words of the language only here.
fn is_keyword(nodes: &[Node], at: usize) -> bool {
    let word = nodes[at].first();
    match word.text {
        "in" | "on" | "by" | "where" | "minimizing" | "maximizing" => ends_operand(nodes, at),
        text => crate::syntax::is_reserved(text) && !matches!(text, "true" | "false"),
    }
}

/// Whether a blank stands between the nodes at `at - 1` and `at`. `sliced`: they stand between `[` and `]`.
pub fn gap(nodes: &[Node], at: usize, sliced: bool) -> bool {
    let (Some(before), next) = (at.checked_sub(1), nodes[at].first()) else { return false };
    let previous = nodes[before].last();
    let operator = |t: &Tok| t.kind == TokenKind::Operator;
    let tight_product = |at: usize| {
        let product = operator_text(&nodes[at]).is_some_and(|op| matches!(op, "*" | "/" | "%" | "@" | ".."));
        product && !(ends_operand(nodes, at) && is_spaced(nodes, at))
    };
    if next.kind == TokenKind::Operator {
        match next.text {
            "," | "." | "^" => return false,
            ":" => return false,
            _ => {}
        }
    }
    if operator(previous) {
        match previous.text {
            "." | "^" => return false,
            ":" => return !sliced,
            "-" if !ends_operand(nodes, before) => return false,
            _ => {}
        }
    }
    if tight_product(before) || tight_product(at) {
        return false;
    }
    match next.kind {
        TokenKind::Open('(' | '[') => !ends_operand(nodes, at),
        // The names of a `use`.
        TokenKind::Open('{') => matches!(nodes[at], Node::Block(_)),
        TokenKind::All => false,
        _ => true,
    }
}

fn operator_text<'a>(node: &Node<'a>) -> Option<&'a str> {
    match node {
        Node::Token(token) if token.kind == TokenKind::Operator => Some(token.text),
        _ => None,
    }
}
