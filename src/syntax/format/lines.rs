//! Statements and expressions as documents: where long ones break.

use super::doc::{
    Doc, assigned, blank, concat, fill_line, group, group_broken, hard, indent, line, nil, semicolon, soft, text,
    trailing,
};
use super::spaces::{self, LEVELS, Level};
use super::tokens::{Comment, Tok};
use super::tree::{Block, Element, Group, Node, Stmt};
use crate::syntax::lex::TokenKind;

/// A file: its statements, and the comments at its end.
pub fn file(stmts: &[Stmt], end: &Tok) -> Doc {
    concat(vec![statements(stmts, true), comments(&end.before, !stmts.is_empty())])
}

/// Comments on lines of their own. `blank_first`: the empty line before the first one is kept.
fn comments(list: &[Comment], blank_first: bool) -> Doc {
    let mut out = vec![];
    for (k, comment) in list.iter().enumerate() {
        if comment.blank_before && (k > 0 || blank_first) {
            out.push(blank());
        }
        out.extend([hard(), text(&comment.text), hard()]);
    }
    concat(out)
}

/// Statements, a line each, but those that the writer put on one line with `;`.
fn statements(stmts: &[Stmt], top: bool) -> Doc {
    let mut out = vec![];
    let mut at = 0;
    while at < stmts.len() {
        let count = 1 + stmts[at + 1..].iter().take_while(|s| s.same_line).count();
        let begins = &stmts[at];
        out.push(hard());
        out.push(comments(&begins.before, at > 0));
        if begins.first().blank && (at > 0 || !begins.before.is_empty()) {
            out.push(blank());
        }
        let mut parts = vec![];
        for (k, stmt) in stmts[at..at + count].iter().enumerate() {
            if k > 0 {
                parts.push(semicolon());
                parts.push(comments(&stmt.before, false));
            }
            parts.push(statement(&stmt.nodes, top));
            if k + 1 < count {
                parts.extend(behind(&stmt.after));
            }
        }
        out.push(group(concat(parts)));
        out.extend(behind(&stmts[at + count - 1].after));
        at += count;
    }
    concat(out)
}

fn behind(comment: &Option<Comment>) -> Option<Doc> {
    comment.as_ref().map(|c| trailing(&c.text, c.column))
}

fn statement(nodes: &[Node], top: bool) -> Doc {
    let word = match &nodes[0] {
        Node::Token(token) if token.kind == TokenKind::Word => token.text,
        _ => "",
    };
    match word {
        "compare" | "sweep" if top => clauses(nodes, |nodes, at| {
            nodes[at - 1].is("over") || nodes[at].is("by") || nodes[at].is("minimizing") || nodes[at].is("maximizing")
        }),
        "minimize" => {
            let over = nodes.iter().any(|n| n.is("over"));
            clauses(nodes, move |nodes, at| nodes[at].is("over") || !over && nodes[at].is("with"))
        }
        "expect" => clauses(nodes, |nodes, at| nodes[at - 1].is("~") || nodes[at].is("within")),
        "report" | "observe" => clauses(nodes, |_, _| false),
        // Its header has commas and `=`, like arguments.
        "scan" if nodes.iter().any(|n| matches!(n, Node::Block(_))) => expression(nodes, false),
        _ => assignment(nodes, false),
    }
}

/// A statement whose parts begin behind commas and where `begins` says so.
fn clauses(nodes: &[Node], begins: impl Fn(&[Node], usize) -> bool) -> Doc {
    let mut parts: Vec<&[Node]> = vec![];
    let mut start = 0;
    for at in 1..nodes.len() {
        if nodes[at - 1].is(",") || begins(nodes, at) {
            parts.push(&nodes[start..at]);
            start = at;
        }
    }
    parts.push(&nodes[start..]);
    let (first, rest) = parts.split_first().expect("there is a last part");
    if rest.is_empty() {
        return assignment(first, false);
    }
    let newline = rest.iter().any(|part| part[0].first().newline);
    let rest = rest.iter().flat_map(|part| [line(), assignment(part, false)]).collect();
    group_broken(concat(vec![assignment(first, false), indent(concat(rest))]), newline)
}

/// `target = value`, `x <- value`, or an expression.
fn assignment(nodes: &[Node], sliced: bool) -> Doc {
    let sign = nodes.iter().position(|n| n.is("=") || n.is("<-") || n.is("←"));
    let Some(at) = sign.filter(|at| *at > 0 && at + 1 < nodes.len()) else { return expression(nodes, sliced) };
    let (target, value) = (&nodes[..at], &nodes[at + 1..]);
    let head = concat(vec![expression(target, sliced), gap_before(nodes, at, sliced), node(&nodes[at])]);
    let value_doc = expression(value, sliced);
    let hugs = value.iter().any(|n| matches!(n, Node::Block(_))) || has_operator(value, Level::Pipe);
    if value[0].first().newline && !hugs {
        return concat(vec![head, indent(concat(vec![hard(), value_doc]))]);
    }
    if hugs {
        return concat(vec![head, text(" "), value_doc]);
    }
    if value[0].is("if") {
        let broken = value.iter().any(|n| n.is("else") && n.first().newline);
        return group_broken(concat(vec![head, indent(concat(vec![line(), value_doc]))]), broken);
    }
    concat(vec![head, assigned(value_doc)])
}

fn has_operator(nodes: &[Node], level: Level) -> bool {
    let end = nodes.iter().position(|n| n.is("if")).unwrap_or(nodes.len());
    (0..end).any(|at| spaces::operator(nodes, at) == Some(level))
}

/// Nodes outside all brackets. `sliced`: they stand between `[` and `]`, where `:` is part of a slice.
fn expression(nodes: &[Node], sliced: bool) -> Doc {
    if nodes.iter().any(|n| matches!(n, Node::Block(_))) {
        return with_blocks(nodes, sliced);
    }
    // An `if` reaches to the end: its operators are its own.
    let end = nodes.iter().position(|n| n.is("if")).unwrap_or(nodes.len());
    if end == 0 && !nodes.is_empty() {
        return choice(nodes, sliced);
    }
    for level in LEVELS {
        let breaks = |at: &usize| {
            spaces::operator(nodes, *at) == Some(level) && (level != Level::Product || spaces::is_spaced(nodes, *at))
        };
        let places: Vec<usize> = (0..end).filter(breaks).collect();
        if !places.is_empty() {
            return chain(nodes, &places, level, sliced);
        }
    }
    atoms(nodes, sliced)
}

/// Operands joined by operators of one level. A line can begin with `|>`, `and` and `or`; other operators end one, since a line
/// that begins with `-` is a new statement.
fn chain(nodes: &[Node], places: &[usize], level: Level, sliced: bool) -> Doc {
    let leads = matches!(level, Level::Pipe | Level::Or | Level::And);
    let newline = |at: &usize| nodes[*at].first().newline || nodes.get(at + 1).is_some_and(|n| n.first().newline);
    let broken = places.iter().any(newline);
    // Stages of a broken pipe that the writer put on one line stay together.
    let separator = |at: &usize| match (level, broken) {
        (Level::Pipe, true) if newline(at) => hard(),
        (Level::Pipe, true) => fill_line(),
        _ => line(),
    };
    let mut rest = vec![];
    for (k, at) in places.iter().enumerate() {
        let end = places.get(k + 1).copied().unwrap_or(nodes.len());
        let operand = expression(&nodes[at + 1..end], sliced);
        let parts = match leads {
            true => [separator(at), node(&nodes[*at]), text(" "), operand],
            false => [text(" "), node(&nodes[*at]), separator(at), operand],
        };
        rest.extend(parts);
    }
    let first = expression(&nodes[..places[0]], sliced);
    group_broken(concat(vec![first, indent(concat(rest))]), broken)
}

/// `if c then a else b`, without blocks.
fn choice(nodes: &[Node], sliced: bool) -> Doc {
    // The `then` and the `else` of this `if`, and not of one inside.
    let (mut then, mut otherwise, mut inner) = (None, None, 0);
    for (at, n) in nodes.iter().enumerate().skip(1) {
        if n.is("if") {
            inner += 1;
        } else if n.is("then") && then.is_none() {
            then = Some(at);
        } else if n.is("else") {
            if inner == 0 {
                otherwise = Some(at);
                break;
            }
            inner -= 1;
        }
    }
    let (Some(then), Some(otherwise)) = (then, otherwise) else { return atoms(nodes, sliced) };
    let newline = |at: usize| nodes[at].first().newline;
    let value = expression(&nodes[then + 1..otherwise], sliced);
    let first = group_broken(
        concat(vec![
            node(&nodes[0]),
            text(" "),
            expression(&nodes[1..then], sliced),
            indent(concat(vec![line(), node(&nodes[then]), text(" "), value])),
        ]),
        newline(then),
    );
    let rest = expression(&nodes[otherwise + 1..], sliced);
    let parts = vec![first, line(), node(&nodes[otherwise]), text(" "), rest];
    group_broken(concat(parts), newline(otherwise))
}

/// Headers, conditions and so on, with the blocks between them.
fn with_blocks(nodes: &[Node], sliced: bool) -> Doc {
    let mut out = vec![];
    let mut start = 0;
    let segment = |from: usize, to: usize, out: &mut Vec<Doc>| {
        if from == to {
            return;
        }
        if from > 0 {
            out.push(text(" "));
        }
        let keywords = nodes[from..to].iter().take_while(|n| n.is("else") || n.is("if")).count();
        for (k, word) in nodes[from..from + keywords].iter().enumerate() {
            out.extend((k > 0).then(|| text(" ")));
            out.push(node(word));
        }
        if from + keywords < to {
            out.extend((keywords > 0).then(|| text(" ")));
            out.push(expression(&nodes[from + keywords..to], sliced));
        }
    };
    for (at, n) in nodes.iter().enumerate() {
        if matches!(n, Node::Block(_)) {
            segment(start, at, &mut out);
            out.extend((at > 0).then(|| text(" ")));
            out.push(node(n));
            start = at + 1;
        }
    }
    segment(start, nodes.len(), &mut out);
    concat(out)
}

/// Neighbours on a line.
fn atoms(nodes: &[Node], sliced: bool) -> Doc {
    let mut out = vec![];
    for (at, n) in nodes.iter().enumerate() {
        out.push(gap_before(nodes, at, sliced));
        out.push(node(n));
    }
    concat(out)
}

fn gap_before(nodes: &[Node], at: usize, sliced: bool) -> Doc {
    if spaces::gap(nodes, at, sliced) { text(" ") } else { nil() }
}

fn node(node: &Node) -> Doc {
    match node {
        Node::Token(token) => tok(token),
        Node::Group(group) => brackets(group),
        Node::Block(block) => braces(block),
    }
}

fn tok(token: &Tok) -> Doc {
    let mut out = vec![comments(&token.before, false), text(token.text)];
    out.extend(behind(&token.after));
    concat(out)
}

/// The comments before a closing bracket, which belong to the inside; and what stands around the brackets' own document: the comment
/// behind them does not break them.
fn closing(close: &Tok) -> (Doc, impl Fn(Doc) -> Doc) {
    let after = |whole: Doc| concat(std::iter::once(whole).chain(behind(&close.after)).collect());
    (comments(&close.before, true), after)
}

/// All on a line; or the inside on a line of its own; or an element a line. A comma behind the last one asks for that, and so does
/// a line end that the writer put between two.
fn brackets(g: &Group) -> Doc {
    let (dangling, with_comment) = closing(&g.close);
    let close = text(g.close.text);
    if g.elements.is_empty() {
        return with_comment(group(concat(vec![tok(&g.open), indent(dangling), close])));
    }
    let sliced = g.open.is("[");
    let newline = |e: &Element| e.nodes.first().is_some_and(|n| n.first().newline);
    let fills = g.open.is("{") || g.elements.len() > 4 && g.elements.iter().all(is_plain_number);
    let several = g.elements.len() > 1;
    let apart = several && g.elements[1..].iter().all(newline) && !fills;
    let asked = several && g.elements.last().is_some_and(|e| e.comma.is_some());
    let opened = g.elements.iter().any(newline) && !fills;
    let mut inside = vec![];
    for (k, element) in g.elements.iter().enumerate() {
        if k > 0 {
            inside.push(if fills { fill_line() } else { line() });
        }
        inside.push(assignment(&element.nodes, sliced));
        inside.extend(element.comma.as_ref().map(tok));
    }
    let inside = group_broken(concat(inside), apart || asked);
    let open = concat(vec![tok(&g.open), indent(concat(vec![soft(), inside, dangling])), soft(), close]);
    with_comment(group_broken(open, apart || asked || opened))
}

fn is_plain_number(element: &Element) -> bool {
    let number = |n: &Node| matches!(n, Node::Token(t) if t.kind == TokenKind::Number || t.is("-"));
    element.nodes.iter().all(number)
}

/// On one line, if the writer put it there and it fits.
fn braces(block: &Block) -> Doc {
    let (dangling, with_comment) = closing(&block.close);
    let close = text(block.close.text);
    let stmts = &block.stmts;
    let Some(begins) = stmts.first() else {
        return with_comment(group(concat(vec![tok(&block.open), indent(dangling), close])));
    };
    let apart = begins.first().newline || block.close.newline;
    let bare = |s: &Stmt| s.before.is_empty() && s.after.is_none();
    if apart || !stmts.iter().all(bare) || !stmts[1..].iter().all(|s| s.same_line) {
        let inside = indent(concat(vec![hard(), statements(stmts, false), dangling]));
        return with_comment(concat(vec![tok(&block.open), inside, hard(), close]));
    }
    let mut inside = vec![line()];
    for (k, stmt) in stmts.iter().enumerate() {
        inside.extend((k > 0).then(semicolon));
        inside.push(statement(&stmt.nodes, false));
    }
    inside.push(dangling);
    with_comment(group(concat(vec![tok(&block.open), indent(concat(inside)), line(), close])))
}
