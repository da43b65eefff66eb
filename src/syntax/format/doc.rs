//! Documents: text with places where a line may break, and the printer that decides which of them do (after P. Wadler, "A
//! prettier printer", 2003). A group is printed on one line if it fits, and else breaks at all its own places.

/// Longest line that is not broken further.
pub const WIDTH: usize = 120;
/// Blanks for each level.
const INDENT: usize = 2;
/// Trailing comments keep their column up to here.
const LAST_COLUMN: usize = 100;

#[derive(Debug)]
pub struct Doc {
    kind: Kind,
    /// Contains a line break that is always there.
    broken: bool,
    /// Ends in a comment behind code: what stands before it may be on one line.
    trails: bool,
}

impl Doc {
    const fn new(kind: Kind, broken: bool) -> Doc {
        Doc { kind, broken, trails: false }
    }

    fn is_nil(&self) -> bool {
        matches!(&self.kind, Kind::Concat(parts) if parts.iter().all(Doc::is_nil))
    }
}

#[derive(Debug)]
enum Kind {
    Text(String),
    /// A blank, or a line end.
    Line,
    /// Nothing, or a line end.
    Soft,
    /// `; `, or a line end.
    Semicolon,
    /// A line end, if the line holds something.
    Hard,
    /// An empty line.
    Blank,
    /// A comment behind code, which stood in this column.
    Trailing(String, usize),
    Concat(Vec<Doc>),
    Indent(Box<Doc>),
    Group(Box<Doc>),
    /// A blank, or a line end if what follows it does not fit.
    FillLine,
    /// What follows `=`: on its line; or whole on the next; or else on its line, broken inside.
    Assigned(Box<Doc>),
}

pub fn text(text: impl Into<String>) -> Doc {
    Doc::new(Kind::Text(text.into()), false)
}

pub fn nil() -> Doc {
    concat(vec![])
}

pub fn line() -> Doc {
    Doc::new(Kind::Line, false)
}

pub fn soft() -> Doc {
    Doc::new(Kind::Soft, false)
}

pub fn semicolon() -> Doc {
    Doc::new(Kind::Semicolon, false)
}

pub fn hard() -> Doc {
    Doc::new(Kind::Hard, true)
}

pub fn blank() -> Doc {
    Doc::new(Kind::Blank, true)
}

pub fn trailing(comment: impl Into<String>, column: usize) -> Doc {
    Doc { trails: true, ..Doc::new(Kind::Trailing(comment.into(), column), false) }
}

pub fn concat(parts: Vec<Doc>) -> Doc {
    let last = parts.iter().rposition(|d| !d.is_nil()).unwrap_or(0);
    let broken = parts.iter().enumerate().any(|(k, d)| d.broken || d.trails && k < last);
    let trails = parts.get(last).is_some_and(|d| d.trails);
    Doc { kind: Kind::Concat(parts), broken, trails }
}

pub fn indent(doc: Doc) -> Doc {
    Doc { broken: doc.broken, trails: doc.trails, kind: Kind::Indent(Box::new(doc)) }
}

pub fn group(doc: Doc) -> Doc {
    group_broken(doc, false)
}

/// A group that breaks, whether it fits or not, if `broken`.
pub fn group_broken(doc: Doc, broken: bool) -> Doc {
    Doc { broken: doc.broken || broken, trails: doc.trails, kind: Kind::Group(Box::new(doc)) }
}

/// Between parts of which as many stand on a line as fit.
pub fn fill_line() -> Doc {
    Doc::new(Kind::FillLine, false)
}

pub fn assigned(doc: Doc) -> Doc {
    Doc { broken: doc.broken, trails: doc.trails, kind: Kind::Assigned(Box::new(doc)) }
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Flat,
    Break,
}

/// A document to be printed at an indentation.
type Todo<'d> = (usize, Mode, &'d Doc);

struct Printer {
    out: String,
    /// Characters of the line so far, its indentation included.
    column: usize,
    /// The line is empty; this will be its indentation.
    margin: Option<usize>,
    /// A comment was written: nothing else may stand on its line.
    closed: bool,
}

/// The text of a document, with a line end at its end.
pub fn print(doc: &Doc) -> String {
    let mut printer = Printer { out: String::new(), column: 0, margin: Some(0), closed: false };
    let mut todo: Vec<Todo> = vec![(0, Mode::Break, doc)];
    while let Some((margin, mode, doc)) = todo.pop() {
        match &doc.kind {
            Kind::Text(text) => printer.text(text, margin),
            Kind::Line if mode == Mode::Flat => printer.text(" ", margin),
            Kind::Soft if mode == Mode::Flat => {}
            Kind::Semicolon if mode == Mode::Flat => printer.text("; ", margin),
            Kind::Line | Kind::Soft | Kind::Semicolon | Kind::Hard => printer.newline(margin),
            Kind::Blank => printer.blank(margin),
            Kind::Trailing(comment, column) => printer.trailing(comment, *column),
            Kind::Concat(parts) => todo.extend(parts.iter().rev().map(|d| (margin, mode, d))),
            Kind::Indent(inner) => todo.push((margin + INDENT, mode, inner)),
            Kind::Group(inner) => {
                let flat = mode == Mode::Flat || !doc.broken && printer.fits(0, inner, &todo);
                todo.push((margin, if flat { Mode::Flat } else { Mode::Break }, inner));
            }
            Kind::FillLine => {
                let fits = || match todo.split_last() {
                    Some(((_, _, next), rest)) => printer.fits(1, next, rest),
                    None => true,
                };
                if mode == Mode::Flat || fits() { printer.text(" ", margin) } else { printer.newline(margin) }
            }
            Kind::Assigned(inner) => {
                let here = mode == Mode::Flat || printer.fits(1, inner, &todo);
                let next_line = || {
                    let at_margin =
                        Printer { out: String::new(), column: margin + INDENT, margin: None, closed: false };
                    !inner.broken && at_margin.fits(0, inner, &todo)
                };
                if !here && next_line() {
                    printer.newline(margin + INDENT);
                    todo.push((margin + INDENT, Mode::Flat, inner));
                } else {
                    printer.text(" ", margin);
                    todo.push((margin, if here { Mode::Flat } else { Mode::Break }, inner));
                }
            }
        }
    }
    printer.newline(0);
    printer.out
}

impl Printer {
    fn text(&mut self, text: &str, margin: usize) {
        if text.is_empty() {
            return;
        }
        if self.closed {
            self.newline(margin);
        }
        if let Some(margin) = self.margin.take() {
            // A line never begins with the blank between two words.
            let text = text.trim_start_matches(' ');
            self.out.extend(std::iter::repeat_n(' ', margin));
            self.out.push_str(text);
            self.column = margin + text.chars().count();
            return;
        }
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn newline(&mut self, margin: usize) {
        if self.margin.is_none() {
            let line = self.out.trim_end_matches(' ').len();
            self.out.truncate(line);
            self.out.push('\n');
        }
        (self.margin, self.column, self.closed) = (Some(margin), margin, false);
    }

    fn blank(&mut self, margin: usize) {
        self.newline(margin);
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    fn trailing(&mut self, comment: &str, column: usize) {
        if self.margin.is_some() || self.closed {
            let margin = self.margin.unwrap_or(0);
            self.text(comment, margin);
        } else {
            let column = if column <= LAST_COLUMN { column } else { 0 };
            let blanks = column.saturating_sub(self.column).max(2);
            self.text(&" ".repeat(blanks), 0);
            self.text(comment, 0);
        }
        self.closed = true;
    }

    /// Whether `extra` characters and then a document without line breaks fit on the line, with all that stands behind it up to
    /// the next place where the line may break.
    fn fits(&self, extra: usize, doc: &Doc, rest: &[Todo]) -> bool {
        if doc.broken {
            return false;
        }
        let Some(mut room) = WIDTH.checked_sub(self.column + extra) else { return false };
        let mut rest = rest.iter().rev();
        let mut todo: Vec<(Mode, &Doc)> = vec![(Mode::Flat, doc)];
        loop {
            let Some((mode, doc)) = todo.pop() else {
                match rest.next() {
                    Some((_, mode, doc)) => todo.push((*mode, doc)),
                    None => return true,
                }
                continue;
            };
            let width = match &doc.kind {
                Kind::Text(text) => text.chars().count(),
                Kind::Line | Kind::FillLine if mode == Mode::Flat => 1,
                Kind::Semicolon if mode == Mode::Flat => 2,
                Kind::Soft if mode == Mode::Flat => 0,
                Kind::Line | Kind::FillLine | Kind::Semicolon | Kind::Soft | Kind::Hard | Kind::Blank => return true,
                Kind::Trailing(..) => return true,
                Kind::Concat(parts) => {
                    todo.extend(parts.iter().rev().map(|d| (mode, d)));
                    0
                }
                Kind::Indent(inner) => {
                    todo.push((mode, inner));
                    0
                }
                // The first of two neighbours breaks first: `Dense(…)(x)`.
                Kind::Group(inner) => {
                    todo.push((if doc.broken { mode } else { Mode::Flat }, inner));
                    0
                }
                Kind::Assigned(_) if mode == Mode::Break => return true,
                Kind::Assigned(inner) => {
                    todo.push((mode, inner));
                    1
                }
            };
            match room.checked_sub(width) {
                Some(left) => room = left,
                None => return false,
            }
        }
    }
}
