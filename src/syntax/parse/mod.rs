//! Text to tree: runs the grammar over one item at a time, and goes on after an error.
//!
//! When an item does not parse, the error is reported, the statement around it is blanked out, and the item is parsed
//! again: so each broken statement gives one message. An error outside all blocks (in a header) gives up the item.

mod expr;
mod items;
mod stmts;

use std::ops::Range;

use pest::Parser;
use pest::iterators::{Pair, Pairs};
use pest_derive::Parser;

use super::layout::{self, Chunk, ITEM_WORDS, Layout};
use super::{ast, errors};
use crate::diag::{self, Diagnostic};
use crate::source::{FileId, SourceMap, Span};

#[derive(Parser)]
#[grammar = "../grammar/opt.pest"]
pub(super) struct Grammar;

/// Errors reported for one file; a text with more of them is not a program.
const MAX_ERRORS: usize = 50;
/// Bytes that may be parsed again after errors, for one file.
const RETRY_BUDGET: usize = 1 << 20;

/// Longest text that is read, so that any text is answered within a second. No program written by people comes near.
const MAX_BYTES: usize = 1 << 19;

fn too_large(length: usize, file: FileId) -> Diagnostic {
    diag::error("E0105", "this file is too large for a program")
        .at(Span::new(file, 0, 0), format!("{length} bytes"))
        .note(format!("at most {MAX_BYTES} bytes are read"))
        .help("data belongs into data files (csv, npy, idx)")
}

/// Parses a file. The tree holds all that could be read; it is complete if there are no diagnostics.
pub fn parse_file(sources: &SourceMap, file: FileId) -> (ast::File, Vec<Diagnostic>) {
    let text = &sources.file(file).text;
    if text.len() > MAX_BYTES {
        return (ast::File::default(), vec![too_large(text.len(), file)]);
    }
    let layout = layout::layout(text, file, true);
    let errors = layout.errors.clone();
    let mut parser = ItemParser { text, file, errors, layout, left_out: vec![], retry_budget: RETRY_BUDGET };
    let mut out = ast::File::default();
    let mut in_junk = false;
    let mut junk = 0;
    for chunk in &parser.layout.chunks.clone() {
        if parser.errors.len() >= MAX_ERRORS {
            parser.left_out.push(Span::new(file, chunk.range.start, text.len()));
            break;
        }
        let known = parser.begins_item(chunk);
        junk += usize::from(!known);
        if !known && !chunk.broken && junk <= MAX_ERRORS {
            let error = errors::not_an_item(text, chunk.range.clone(), file);
            // Of several such lines the first is reported, and those that a help line knows to mend.
            if !in_junk || error.help.is_some() {
                parser.errors.push(error);
            }
        }
        in_junk = !known;
        let item = if known && !chunk.broken { parser.item(chunk) } else { None };
        if item.is_none() {
            parser.left_out.push(Span::new(file, chunk.range.start, chunk.range.end));
        }
        out.items.extend(item);
    }
    out.left_out = parser.left_out;
    (out, tidy(parser.errors))
}

/// Parses the one item in a part of a file that is known to be good; `None` if it is not.
pub fn parse_item(text: &str, part: Range<usize>, file: FileId) -> Option<ast::Item> {
    let layout = layout::layout(&text[part.clone()], file, true);
    let [chunk] = layout.chunks.as_slice() else { return None };
    if !layout.errors.is_empty() {
        return None;
    }
    let pair = Grammar::parse(Rule::item_entry, &layout.masked[chunk.range.clone()]).ok()?;
    let pair = pair.into_iter().find(|p| p.as_rule() != Rule::EOI)?;
    Builder { file, base: part.start + chunk.range.start, depth: 0 }.item(pair, chunk.doc.clone()).ok()
}

/// Parses a text that is one expression (`optc eval`).
pub fn parse_expr(sources: &SourceMap, file: FileId) -> Result<ast::Expr, Vec<Diagnostic>> {
    let text = &sources.file(file).text;
    if text.len() > MAX_BYTES {
        return Err(vec![too_large(text.len(), file)]);
    }
    let layout = layout::layout(text, file, false);
    if !layout.errors.is_empty() {
        return Err(tidy(layout.errors));
    }
    let masked = layout.masked.as_str();
    match Grammar::parse(Rule::expr_entry, masked) {
        Ok(pairs) => {
            let expr = pairs.into_iter().find(|p| p.as_rule() == Rule::expr);
            let builder = Builder { file, base: 0, depth: 0 };
            match expr {
                Some(pair) => builder.clone().expr(pair).map_err(|e| vec![e]),
                None => Err(vec![builder.lost(0)]),
            }
        }
        Err(error) => Err(vec![errors::from_pest(&error, text, &layout, 0, text.len(), file)]),
    }
}

/// In the order of the text, without repetitions, not too many.
fn tidy(mut errors: Vec<Diagnostic>) -> Vec<Diagnostic> {
    errors.sort_by_key(|d| d.primary().map(|s| s.start));
    errors.dedup();
    errors.truncate(MAX_ERRORS);
    errors
}

struct ItemParser<'a> {
    text: &'a str,
    file: FileId,
    layout: Layout,
    errors: Vec<Diagnostic>,
    /// See [`ast::File::left_out`].
    left_out: Vec<Span>,
    retry_budget: usize,
}

impl ItemParser<'_> {
    fn begins_item(&self, chunk: &Chunk) -> bool {
        let rest = &self.text[chunk.range.clone()];
        let word = rest.find(|c| !super::lex::is_name_char(c)).map_or(rest, |end| &rest[..end]);
        ITEM_WORDS.contains(&word)
    }

    fn item(&mut self, chunk: &Chunk) -> Option<ast::Item> {
        let base = chunk.range.start;
        let mut text = self.layout.masked[chunk.range.clone()].to_string();
        text.push_str(&"}".repeat(chunk.missing_braces));
        let broken: Vec<usize> = self.layout.broken.iter().copied().filter(|at| chunk.range.contains(at)).collect();
        for at in broken {
            self.blank(&mut text, chunk, at);
        }
        loop {
            let (error, at) = match Grammar::parse(Rule::item_entry, &text) {
                Ok(pairs) => match self.build(pairs, chunk) {
                    Ok(item) => return item,
                    Err(error) => {
                        let at = error.primary().map_or(base, |s| s.start as usize);
                        (error, at)
                    }
                },
                Err(error) => {
                    let at = errors::offset(&error) + base;
                    (errors::from_pest(&error, self.text, &self.layout, base, chunk.range.end, self.file), at)
                }
            };
            self.errors.push(error);
            let affordable = self.retry_budget.checked_sub(text.len());
            self.retry_budget = affordable.unwrap_or(0);
            let give_up = affordable.is_none() || self.errors.len() >= MAX_ERRORS;
            if give_up || !self.blank(&mut text, chunk, at) {
                return None;
            }
        }
    }

    fn build(&self, pairs: Pairs<'_, Rule>, chunk: &Chunk) -> Result<Option<ast::Item>, Diagnostic> {
        let mut builder = Builder { file: self.file, base: chunk.range.start, depth: 0 };
        let item = pairs.into_iter().find(|p| p.as_rule() != Rule::EOI);
        item.map(|pair| builder.item(pair, chunk.doc.clone())).transpose()
    }

    /// Blanks the statement around an offset of the file; false if there is nothing (left) to blank.
    fn blank(&mut self, text: &mut String, chunk: &Chunk, at: usize) -> bool {
        let Some(Range { start, end }) = self.layout.statement(at) else { return false };
        let base = chunk.range.start;
        if start < base || end > chunk.range.end || text[start - base..end - base].trim().is_empty() {
            return false;
        }
        text.replace_range(start - base..end - base, &" ".repeat(end - start));
        self.left_out.push(Span::new(self.file, start, end));
        true
    }
}

/// Turns pairs of the grammar into the tree. `base` is the offset of the parsed text in its file.
#[derive(Clone)]
struct Builder {
    file: FileId,
    base: usize,
    /// Bound on the height of the tree above the node being built.
    depth: usize,
}

type Built<T> = Result<T, Diagnostic>;

impl Builder {
    fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        let span = pair.as_span();
        // The grammar skips blanks before it finds that nothing follows: leave them out.
        let length = span.as_str().trim_end().len();
        Span::new(self.file, self.base + span.start(), self.base + span.start() + length)
    }

    fn ident(&self, pair: &Pair<'_, Rule>) -> ast::Ident {
        ast::Ident { name: pair.as_str().to_string(), span: self.span(pair) }
    }

    /// The names of a list.
    fn idents(&self, list: &Pair<'_, Rule>) -> Vec<ast::Ident> {
        list.clone().into_inner().filter(|p| p.as_rule() == Rule::ident).map(|p| self.ident(&p)).collect()
    }

    fn first_ident(&self, parts: &Parts<'_>, at: usize) -> Built<ast::Ident> {
        match parts.find(Rule::ident) {
            Some(pair) => Ok(self.ident(pair)),
            None => Err(self.lost(at)),
        }
    }

    /// The grammar gave a tree of another form than the builder expects: our mistake, not the user's.
    fn lost(&self, at: usize) -> Diagnostic {
        diag::error("E0901", "the parser lost its way here")
            .at(Span::new(self.file, self.base + at, self.base + at), "while building the syntax tree")
            .note("this is a mistake in optc; please report it with this file")
    }
}

/// The parts of a pair that carry meaning.
struct Parts<'a> {
    pairs: Vec<Pair<'a, Rule>>,
    start: usize,
}

impl<'a> Parts<'a> {
    fn of(pair: Pair<'a, Rule>) -> Parts<'a> {
        Parts { start: pair.as_span().start(), pairs: pair.into_inner().collect() }
    }

    fn find(&self, rule: Rule) -> Option<&Pair<'a, Rule>> {
        self.pairs.iter().find(|p| p.as_rule() == rule)
    }

    fn all(&self, rule: Rule) -> impl Iterator<Item = &Pair<'a, Rule>> {
        self.pairs.iter().filter(move |p| p.as_rule() == rule)
    }
}
