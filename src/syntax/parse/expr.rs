//! Expressions. The grammar gives a flat list of operands and operators; here precedence makes a tree of it.
//!
//! | binds  | operators                  | groups                                   |
//! |--------|----------------------------|------------------------------------------|
//! | loosest| `\|>`                      | left                                     |
//! |        | `or`                       | left                                     |
//! |        | `and`                      | left                                     |
//! |        | `not`                      | prefix: `not a == b` is `not (a == b)`   |
//! |        | `== != < <= > >=`          | not at all: `a < b < c` is an error      |
//! |        | `..`                       | not at all                               |
//! |        | `+ -`                      | left                                     |
//! |        | `* / % @`                  | left                                     |
//! |        | `-`                        | prefix: `-x^2` is `-(x^2)`               |
//! |        | `^`                        | right: `a^b^c` is `a^(b^c)`; `2^-x` works|
//! | tightest| `f(…)`, `x[…]`, `x.name`  | left                                     |
//!
//! `if c then a else b` reaches as far to the right as it can.

use std::iter::Peekable;
use std::vec::IntoIter;

use pest::iterators::Pair;

use super::{Builder, Built, Parts, Rule};
use crate::diag;
use crate::source::Span;
use crate::syntax::ast::{Arg, BinOp, Block, Expr, ExprKind, IndexItem, Scan, Stmt, StmtKind, UnOp};

/// Greatest height of a tree. Whatever walks the tree by recursion may rely on it.
pub const MAX_DEPTH: usize = 500;

/// Levels of the table above.
mod level {
    pub const PIPE: u8 = 1;
    pub const OR: u8 = 2;
    pub const AND: u8 = 3;
    pub const NOT: u8 = 4;
    pub const COMPARE: u8 = 5;
    pub const RANGE: u8 = 6;
    pub const SUM: u8 = 7;
    pub const PRODUCT: u8 = 8;
    pub const MINUS: u8 = 9;
    pub const POWER: u8 = 10;
}

#[derive(Clone, Copy)]
enum Infix {
    Binary(BinOp),
    Pipe,
    Range,
}

fn infix(symbol: &str) -> Option<(Infix, u8)> {
    let (op, level) = match symbol {
        "|>" => return Some((Infix::Pipe, level::PIPE)),
        ".." => return Some((Infix::Range, level::RANGE)),
        "or" => (BinOp::Or, level::OR),
        "and" => (BinOp::And, level::AND),
        "==" => (BinOp::Eq, level::COMPARE),
        "!=" => (BinOp::Ne, level::COMPARE),
        "<" => (BinOp::Lt, level::COMPARE),
        "<=" => (BinOp::Le, level::COMPARE),
        ">" => (BinOp::Gt, level::COMPARE),
        ">=" => (BinOp::Ge, level::COMPARE),
        "+" => (BinOp::Add, level::SUM),
        "-" => (BinOp::Sub, level::SUM),
        "*" => (BinOp::Mul, level::PRODUCT),
        "/" => (BinOp::Div, level::PRODUCT),
        "%" => (BinOp::Rem, level::PRODUCT),
        "@" => (BinOp::MatMul, level::PRODUCT),
        "^" => (BinOp::Pow, level::POWER),
        _ => return None,
    };
    Some((Infix::Binary(op), level))
}

type Tokens<'a> = Peekable<IntoIter<Pair<'a, Rule>>>;

impl Builder {
    pub(super) fn expr(&mut self, pair: Pair<'_, Rule>) -> Built<Expr> {
        let span = self.span(&pair);
        let tokens: Vec<_> = pair.into_inner().collect();
        // A bound on how many levels this list can add: all its operators, and the longest chain of postfixes.
        let mut operators = 0;
        let (mut chain, mut longest) = (0, 0);
        for token in &tokens {
            match token.as_rule() {
                Rule::infix | Rule::prefix => {
                    operators += 1;
                    chain = 0;
                }
                _ => chain += 1,
            }
            longest = longest.max(chain);
        }
        self.deeper(operators + longest, span)?;
        let mut tokens = tokens.into_iter().peekable();
        let expr = self.climb(&mut tokens, 0, span)?;
        self.depth -= operators + longest;
        Ok(expr)
    }

    /// Adds levels to the tree being built, up to the limit.
    pub(super) fn deeper(&mut self, levels: usize, span: Span) -> Built<()> {
        self.depth += levels;
        if self.depth <= MAX_DEPTH {
            return Ok(());
        }
        Err(diag::error("E0105", "this expression is too long or nested too deeply")
            .at(span, format!("up to {} levels of operators, calls and blocks", self.depth))
            .note(format!("at most {MAX_DEPTH} are allowed"))
            .help("give parts of it names with 'let'"))
    }

    /// Reads operands joined by operators of at least the given level.
    fn climb(&mut self, tokens: &mut Tokens<'_>, least: u8, all: Span) -> Built<Expr> {
        let mut left = self.operand(tokens, least, all)?;
        let mut ungrouped: Option<(u8, Span)> = None;
        while let Some(token) = tokens.peek() {
            let Some((op, level)) = infix(token.as_str()).filter(|_| token.as_rule() == Rule::infix) else { break };
            if level < least {
                break;
            }
            let place = self.span(token);
            if let Some((_, first)) = ungrouped.filter(|(before, _)| *before == level) {
                return Err(chained(level, place, first));
            }
            ungrouped = matches!(level, level::COMPARE | level::RANGE).then_some((level, place));
            tokens.next();
            // Right-grouping takes its own level again; the others only tighter ones.
            let right = self.climb(tokens, if level == level::POWER { level::MINUS } else { level + 1 }, all)?;
            let span = left.span.to(right.span);
            let (a, b) = (Box::new(left), Box::new(right));
            let kind = match op {
                Infix::Binary(op) => ExprKind::Binary(op, a, b),
                Infix::Pipe => ExprKind::Pipe(a, b),
                Infix::Range => ExprKind::Range(a, b),
            };
            left = Expr { kind, span };
        }
        Ok(left)
    }

    fn operand(&mut self, tokens: &mut Tokens<'_>, least: u8, all: Span) -> Built<Expr> {
        let Some(token) = tokens.next() else { return Err(self.lost(all.start as usize - self.base)) };
        let span = self.span(&token);
        if token.as_rule() != Rule::prefix {
            let first = self.primary(token)?;
            return self.postfixes(first, tokens);
        }
        let (op, level) = if token.as_str() == "-" { (UnOp::Neg, level::MINUS) } else { (UnOp::Not, level::NOT) };
        if op == UnOp::Not && least > level::NOT {
            return Err(diag::error("E0101", "'not' binds too loosely to stand here")
                .at(span, "needs parentheses")
                .help("write '(not …)'"));
        }
        let inner = self.climb(tokens, level, all)?;
        let span = span.to(inner.span);
        Ok(Expr { kind: ExprKind::Unary(op, Box::new(inner)), span })
    }

    fn postfixes(&mut self, first: Expr, tokens: &mut Tokens<'_>) -> Built<Expr> {
        let mut expr = first;
        while let Some(token) = tokens.next_if(|t| matches!(t.as_rule(), Rule::call | Rule::index | Rule::field)) {
            let span = expr.span.to(self.span(&token));
            let base = Box::new(expr);
            let kind = match token.as_rule() {
                Rule::call => ExprKind::Call(base, self.args(token)?),
                Rule::index => ExprKind::Index(base, self.index(token)?),
                _ => {
                    let parts = Parts::of(token);
                    let word = parts.find(Rule::word).ok_or_else(|| self.lost(parts.start))?;
                    ExprKind::Field(base, self.ident(word))
                }
            };
            expr = Expr { kind, span };
        }
        Ok(expr)
    }

    fn primary(&mut self, pair: Pair<'_, Rule>) -> Built<Expr> {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::name => ExprKind::Name(pair.as_str().to_string()),
            Rule::boolean => ExprKind::Bool(pair.as_str() == "true"),
            Rule::number => self.number(&pair)?,
            Rule::string => ExprKind::Str(self.text(&pair)?),
            Rule::list => ExprKind::List(self.exprs(&Parts::of(pair))?),
            Rule::paren => {
                let parts = Parts::of(pair);
                let mut exprs = self.exprs(&parts)?;
                match exprs.pop() {
                    // The span keeps the parentheses: a message then shows what was written.
                    Some(only) if parts.find(Rule::comma).is_none() => return Ok(Expr { span, ..only }),
                    Some(last) => {
                        exprs.push(last);
                        ExprKind::Tuple(exprs)
                    }
                    None => return Err(self.lost(parts.start)),
                }
            }
            Rule::if_expr => self.if_expr(pair)?,
            Rule::scan_expr => self.scan_expr(pair)?,
            _ => return Err(self.lost(pair.as_span().start())),
        };
        Ok(Expr { kind, span })
    }

    fn if_expr(&mut self, pair: Pair<'_, Rule>) -> Built<ExprKind> {
        let span = self.span(&pair);
        self.deeper(1, span)?;
        let mut cond = None;
        let mut arms = vec![];
        let start = pair.as_span().start();
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::block => arms.push(self.block(part)?),
                Rule::expr if cond.is_none() => cond = Some(self.expr(part)?),
                Rule::expr => {
                    let value = self.expr(part)?;
                    let span = value.span;
                    arms.push(single(StmtKind::Expr(value), span));
                }
                Rule::if_expr => {
                    let span = self.span(&part);
                    let kind = match self.if_expr(part)? {
                        ExprKind::If(cond, then, otherwise) => StmtKind::If { cond: *cond, then, otherwise },
                        other => StmtKind::Expr(Expr { kind: other, span }),
                    };
                    arms.push(single(kind, span));
                }
                _ => {}
            }
        }
        self.depth -= 1;
        let mut arms = arms.into_iter();
        match (cond, arms.next()) {
            (Some(cond), Some(then)) => Ok(ExprKind::If(Box::new(cond), then, arms.next())),
            _ => Err(self.lost(start)),
        }
    }

    fn scan_expr(&mut self, pair: Pair<'_, Rule>) -> Built<ExprKind> {
        let span = self.span(&pair);
        self.deeper(1, span)?;
        let parts = Parts::of(pair);
        let mut clauses = |rule| -> Built<Vec<_>> {
            let one = |clause: &Pair<'_, Rule>| {
                let clause = Parts::of(clause.clone());
                Ok((self.first_ident(&clause, clause.start)?, self.only_expr(&clause)?))
            };
            parts.all(rule).map(one).collect()
        };
        let (items, settings) = (clauses(Rule::axis)?, clauses(Rule::setting)?);
        let body = self.only_block(&parts)?;
        self.depth -= 1;
        Ok(ExprKind::Scan(Box::new(Scan { items, settings, body })))
    }

    pub(super) fn args(&mut self, pair: Pair<'_, Rule>) -> Built<Vec<Arg>> {
        let mut args = vec![];
        for arg in pair.into_inner() {
            let parts = Parts::of(arg);
            let name = parts.find(Rule::ident).map(|p| self.ident(p));
            args.push(Arg { name, value: self.only_expr(&parts)? });
        }
        Ok(args)
    }

    fn index(&mut self, pair: Pair<'_, Rule>) -> Built<Vec<IndexItem>> {
        let mut items = vec![];
        for item in pair.into_inner() {
            let span = self.span(&item);
            let parts = Parts::of(item);
            items.push(match parts.pairs.first().map(|p| p.as_rule()) {
                Some(Rule::rest_axes) => IndexItem::Rest(span),
                Some(Rule::new_axis) => IndexItem::New(span),
                _ => {
                    let start = self.maybe_expr(&parts)?;
                    match parts.find(Rule::slice_tail) {
                        Some(tail) => self.slice(start, tail.clone(), span)?,
                        None => IndexItem::At(start.ok_or_else(|| self.lost(parts.start))?),
                    }
                }
            });
        }
        Ok(items)
    }

    fn slice(&mut self, start: Option<Expr>, tail: Pair<'_, Rule>, span: Span) -> Built<IndexItem> {
        let (mut end, mut step) = (None, None);
        let mut colons = 0;
        for part in tail.into_inner() {
            match part.as_rule() {
                Rule::colon => colons += 1,
                _ if colons == 1 => end = Some(self.expr(part)?),
                _ => step = Some(self.expr(part)?),
            }
        }
        Ok(IndexItem::Slice { start, end, step, span })
    }

    fn number(&self, pair: &Pair<'_, Rule>) -> Built<ExprKind> {
        let digits = pair.as_str().replace('_', "");
        if digits.bytes().all(|b| b.is_ascii_digit())
            && let Ok(value) = digits.parse()
        {
            return Ok(ExprKind::Int(value));
        }
        match digits.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(ExprKind::Float(value)),
            _ => Err(diag::error("E0104", "this number is too large")
                .at(self.span(pair), "beyond the largest 64-bit float, 1.8e308")),
        }
    }

    /// The contents of a string literal.
    pub(super) fn text(&self, pair: &Pair<'_, Rule>) -> Built<String> {
        let quoted = pair.as_str();
        let inside = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or("");
        let mut out = String::with_capacity(inside.len());
        let mut chars = inside.char_indices();
        while let Some((at, c)) = chars.next() {
            if c != '\\' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, 't')) => out.push('\t'),
                Some((_, c @ ('"' | '\\'))) => out.push(c),
                _ => {
                    let at = self.span(pair).start as usize + 1 + at;
                    return Err(diag::error("E0103", "unknown escape in a text")
                        .at(Span::new(self.file, at, at + 1), "after this backslash")
                        .help("only \\n, \\t, \\\" and \\\\ mean something; a plain backslash is \\\\"));
                }
            }
        }
        Ok(out)
    }
}

fn single(kind: StmtKind, span: Span) -> Block {
    Block { stmts: vec![Stmt { kind, span }], span }
}

fn chained(level: u8, second: Span, first: Span) -> diag::Diagnostic {
    let (title, help) = match level {
        level::COMPARE => ("comparisons cannot be chained", "write 'a < b and b < c'"),
        _ => ("ranges cannot be chained", "a range is 'start .. end'"),
    };
    diag::error("E0101", title).at(second, "second operator").at(first, "first operator").help(help)
}
