//! The call around a place of a text, which need not be complete: found in its tokens.

use super::analysis::Analysis;
use crate::sema::modules::{DefId, Global};
use crate::syntax::ITEM_WORDS;
use crate::syntax::ast::{Def, Param};
use crate::syntax::lex::{TokenKind, next_token, skip_trivia};

/// How far back a call may begin.
const FARTHEST: usize = 4000;

#[derive(Debug, PartialEq)]
pub struct OpenCall<'t> {
    /// What is called: `Dense` in `Dense(10)(x`.
    pub name: &'t str,
    /// Whether the list of arguments follows another one.
    pub second: bool,
    /// The arguments before the place, the last one unfinished: its name, if it has one, and whether something of it stands there.
    pub arguments: Vec<Argument<'t>>,
}

#[derive(Debug, Default, PartialEq)]
pub struct Argument<'t> {
    pub name: Option<&'t str>,
    /// How many words, numbers, brackets and so on it has so far.
    pub tokens: usize,
}

struct Token<'t> {
    kind: TokenKind,
    text: &'t str,
}

/// The call whose list of arguments is open at the end of a text; not the header of a definition.
pub fn around(before: &str) -> Option<OpenCall<'_>> {
    let from = before.len().saturating_sub(FARTHEST);
    // Neither strings nor comments go over a line's end.
    let from = before.bytes().skip(from).position(|b| b == b'\n').filter(|_| from > 0).map_or(0, |n| from + n + 1);
    let tokens = tokens(&before[from..]);
    // Where the brackets that are still open stand, and where those that are closed began.
    let (mut open, mut began) = (vec![], vec![None; tokens.len()]);
    for (k, token) in tokens.iter().enumerate() {
        match token.kind {
            TokenKind::Open(_) => open.push(k),
            TokenKind::Close(_) => began[k] = open.pop(),
            _ => {}
        }
    }
    let list = open.pop().filter(|k| tokens[*k].text == "(")?;
    let first = match list.checked_sub(1).map(|k| (k, tokens[k].kind))? {
        (k, TokenKind::Close(')')) => began[k]?,
        _ => list,
    };
    let name = first.checked_sub(1)?;
    let declared = name.checked_sub(1).is_some_and(|k| ITEM_WORDS.contains(&tokens[k].text));
    if tokens[name].kind != TokenKind::Word || declared {
        return None;
    }
    let mut arguments = vec![Argument::default()];
    let mut inside = 0;
    for (k, token) in tokens.iter().enumerate().skip(list + 1) {
        match token.kind {
            TokenKind::Open(_) => inside += 1,
            TokenKind::Close(_) => inside -= 1,
            TokenKind::Operator if inside == 0 && token.text == "," => {
                arguments.push(Argument::default());
                continue;
            }
            _ => {}
        }
        let last = arguments.last_mut()?;
        last.tokens += 1;
        if inside == 0 && token.text == "=" && last.tokens == 2 {
            last.name = Some(tokens[k - 1].text);
        }
    }
    Some(OpenCall { name: tokens[name].text, second: first != list, arguments })
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut out = vec![];
    let mut masked = text.as_bytes().to_vec();
    let mut at = 0;
    loop {
        at = skip_trivia(text, at, &mut masked).end;
        let Some(token) = next_token(text, at) else { return out };
        out.push(Token { kind: token.kind, text: &text[token.start..token.end] });
        at = token.end;
    }
}

/// The definition that a call names, with those of its parameters that the open list is for.
pub fn parameters<'a>(analysis: &'a Analysis, call: &OpenCall) -> Option<(&'a Def, &'a [Param])> {
    let id = definition(analysis, call.name)?;
    let def = analysis.modules.def(id);
    let list = if call.second || def.hypers.is_empty() { &def.inputs } else { &def.hypers };
    Some((def, list))
}

/// What a name of the file stands for, if it is a definition.
pub fn definition(analysis: &Analysis, name: &str) -> Option<DefId> {
    match analysis.modules.lookup(analysis.modules.main_id(), name) {
        Some(Global::Def(id)) => Some(id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_call_is_found() {
        let found = |text| {
            around(text).map(|c| {
                let names: Vec<_> = c.arguments.iter().map(|a| (a.name.unwrap_or(""), a.tokens)).collect();
                (c.name, c.second, names)
            })
        };
        assert_eq!(found("let y = Dense("), Some(("Dense", false, vec![("", 0)])));
        assert_eq!(found("x |> Dense(10, init = he"), Some(("Dense", false, vec![("", 1), ("init", 3)])));
        assert_eq!(found("Dense(f(1, 2), un"), Some(("Dense", false, vec![("", 6), ("", 1)])));
        assert_eq!(found("Dense(10)(relu(x), "), Some(("Dense", true, vec![("", 4), ("", 0)])));
        assert_eq!(found("f(\n  // (a remark\n  \"(\", "), Some(("f", false, vec![("", 1), ("", 0)])));
        for text in ["layer Dense(", "f(x)", "f([1, ", "(a, ", "", ")))", "f(x) {", "use layers.{Dense, "] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
