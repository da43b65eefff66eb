//! `csv`: tables of text. Each named argument that is not an option makes a column.

use super::super::args::{Args, Fallible};
use super::super::spec::Call;
use super::super::table::Table;
use super::super::{Context, files};
use super::cell::{Cell, Reader};
use super::column::{ColumnSpec, Field};
use super::{Missing, Part, infer};
use crate::diag::{Diagnostic, error};
use crate::source::Span;
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

const OPTIONS: &[&str] = &["file", "header", "delimiter", "missing", "na", "quotes", "test", "stream"];

const MARK: &[u8] = b"\xef\xbb\xbf";

/// `csv("file.csv", x = ["a", "b"], y = label("c"))`
pub fn load(call: &Call, context: &Context) -> Fallible<Table> {
    let args = Args::open(call, OPTIONS)?;
    let column = |(name, arg)| ColumnSpec::new(name, arg, OPTIONS);
    let mut specs = args.others(OPTIONS).map(column).collect::<Fallible<Vec<_>>>()?;
    let mut format = Format::new(&args, &specs)?;
    let missing = Missing::new(&args)?;
    let train = Part { path: context.resolve(args.required_str("file")?), span: args.span("file") };
    let test = args.str("test")?.map(|test| Part { path: context.resolve(test), span: args.span("test") });
    let mut bytes = 0;
    for part in [Some(&train), test.as_ref()].into_iter().flatten() {
        bytes += files::plain(&part.path, part.span)?.1;
    }
    if specs.is_empty() {
        // What is wrong with a row is said when it is read in earnest.
        let plain = Format { header: false, ..format.clone() };
        let seen = infer::look(Text::open(&train, &plain)?)?;
        if args.get("header").is_none() {
            format.header = seen.has_header();
        }
        specs = seen.columns(format.header, train.span);
    }
    let streams = super::streams(&args, bytes)?;
    super::load(specs, (&train, test.as_ref()), missing, streams, |part| Text::open(part, &format))
}

/// How to read the text.
#[derive(Clone)]
struct Format {
    header: bool,
    delimiter: u8,
    /// A field may stand in quotes.
    quotes: bool,
    /// Texts that stand for a missing value.
    na: Vec<String>,
}

impl Format {
    fn new(args: &Args, specs: &[ColumnSpec]) -> Fallible<Format> {
        let delimiter = match args.str("delimiter")? {
            None => b',',
            Some("\\t") => b'\t',
            Some(text) if text.len() == 1 && text.is_ascii() && !matches!(text, "\n" | "\r" | "\"") => {
                text.as_bytes()[0]
            }
            Some(_) => {
                let arg = args.get("delimiter").map_or(args.span("file"), |arg| arg.span);
                return Err(vec![
                    error("E0407", "'delimiter' must be one ASCII character").at(arg, "not one character"),
                ]);
            }
        };
        // Columns named by text need a header; columns named by number alone suggest that there is none.
        let header =
            args.bool("header", specs.iter().any(|spec| spec.fields.iter().any(|f| matches!(f, Field::Name(_)))))?;
        let na = args.strings("na")?.unwrap_or_else(|| ["", "NA", "NaN", "nan"].map(String::from).to_vec());
        Ok(Format { header, delimiter, quotes: args.bool("quotes", true)?, na })
    }

    fn is_missing(&self, text: &str) -> bool {
        self.na.iter().any(|na| na == text)
    }
}

/// The rows of a file of text.
struct Text {
    rows: ::csv::Reader<File>,
    row: ::csv::StringRecord,
    format: Format,
    path: PathBuf,
    span: Span,
    /// Bytes before the text: a mark of its encoding.
    skipped: u64,
}

impl Text {
    fn open(part: &Part, format: &Format) -> Fallible<Text> {
        let Part { path, span } = part;
        // A file of its own: the place to read from is shared by all that have it.
        files::plain(path, *span)?;
        let start = || -> std::io::Result<(File, u64)> {
            let mut file = File::open(path)?;
            let mut first = vec![];
            (&mut file).take(MARK.len() as u64).read_to_end(&mut first)?;
            let skipped = if first == MARK { MARK.len() as u64 } else { 0 };
            file.seek(SeekFrom::Start(skipped))?;
            Ok((file, skipped))
        };
        let (file, skipped) = start().map_err(|reason| files::unreadable(path, *span, &reason))?;
        let rows = ::csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(format.delimiter)
            .quoting(format.quotes)
            .trim(::csv::Trim::All)
            .buffer_capacity(1 << 16)
            .from_reader(file);
        let row = ::csv::StringRecord::new();
        Ok(Text { rows, row, format: format.clone(), path: path.clone(), span: *span, skipped })
    }

    /// The 1-based line of the first text at or after the begin of this row.
    fn line(&self) -> std::io::Result<usize> {
        let from = self.row.position().map_or(0, ::csv::Position::byte) + self.skipped;
        let mut text = BufReader::new(File::open(&self.path)?);
        let (mut lines, mut at, mut buffer) = (1, 0, vec![]);
        while text.by_ref().take(1 << 16).read_until(b'\n', &mut buffer)? > 0 {
            let blank = buffer.iter().all(|b| matches!(b, b'\n' | b'\r'));
            at += buffer.len() as u64;
            if at > from && !blank {
                break;
            }
            lines += usize::from(buffer.ends_with(b"\n"));
            buffer.clear();
        }
        Ok(lines)
    }
}

impl Reader for Text {
    fn header(&mut self) -> Result<Option<Vec<String>>, Diagnostic> {
        if !self.format.header || !self.advance()? {
            return Ok(None);
        }
        Ok(Some(self.row.iter().map(String::from).collect()))
    }

    fn advance(&mut self) -> Result<bool, Diagnostic> {
        let start = self.rows.position().clone();
        let read = self.rows.read_record(&mut self.row);
        read.map_err(|reason| {
            self.row.set_position(Some(start));
            let wrong = |code, title, why: String| error(code, title).at(self.span, why).note(self.place());
            let path = self.path.display();
            match reason.kind() {
                ::csv::ErrorKind::Io(reason) => {
                    wrong("E0401", format!("data file '{path}' cannot be read"), reason.to_string())
                }
                ::csv::ErrorKind::Utf8 { .. } => {
                    wrong("E0402", format!("'{path}' is not a text table"), "not UTF-8 text".into())
                }
                _ => wrong("E0402", format!("'{path}' is not a text table"), reason.to_string()),
            }
        })
    }

    fn width(&self) -> usize {
        self.row.len()
    }

    fn cell(&self, field: usize) -> Cell<'_> {
        let text = self.row.get(field).unwrap_or("");
        if self.format.is_missing(text) { Cell::Missing } else { Cell::Text(Cow::Borrowed(text)) }
    }

    fn is_missing(&self, field: usize) -> bool {
        self.format.is_missing(self.row.get(field).unwrap_or(""))
    }

    fn text(&self, field: usize) -> Cow<'_, str> {
        Cow::Borrowed(self.row.get(field).unwrap_or(""))
    }

    fn place(&self) -> String {
        let line = self.line().map_or(String::new(), |line| format!(", line {line}"));
        format!("{}{line}", self.path.display())
    }
}
