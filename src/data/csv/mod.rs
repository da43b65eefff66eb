//! `csv`: tables of text. Each named argument that is not an option makes a column.

mod column;
mod infer;

use super::args::{Args, Fallible, bad, describe};
use super::spec::{Call, Value};
use super::table::Table;
use super::{Context, files};
use crate::diag::{Diagnostic, error};
use crate::source::Span;
use column::{Builder, ColumnSpec, Field, Kind};
use std::path::Path;

const OPTIONS: &[&str] = &["file", "header", "delimiter", "missing", "na", "quotes", "test"];

/// As many wrong cells are reported at once.
const MOST_ERRORS: usize = 5;

pub fn load(call: &Call, context: &Context) -> Fallible<Table> {
    let args = Args::open(call, OPTIONS)?;
    let mut specs = args.others(OPTIONS).map(|(name, arg)| ColumnSpec::new(name, arg)).collect::<Fallible<Vec<_>>>()?;
    let mut format = Format::new(&args, &specs)?;
    let path = context.resolve(args.required_str("file")?);
    if specs.is_empty() {
        let rows = all_rows(&files::read(&path, args.span("file"))?, &format);
        if args.get("header").is_none() {
            format.header = infer::has_header(&rows, &format);
        }
        specs = infer::columns(&rows, &format, args.span("file"));
    }
    let mut columns: Vec<Builder> = specs.into_iter().map(Builder::new).collect();
    let train = read_into(&mut columns, &path, args.span("file"), &format)?;
    let test = match args.str("test")? {
        Some(test) => read_into(&mut columns, &context.resolve(test), args.span("test"), &format)?,
        None => 0,
    };
    let columns = columns.into_iter().map(Builder::finish).collect();
    Ok(Table::new(columns, train, test))
}

/// How to read the text.
struct Format {
    header: bool,
    delimiter: u8,
    /// A field may stand in quotes.
    quotes: bool,
    missing: Missing,
    /// Texts that stand for a missing value.
    na: Vec<String>,
}

enum Missing {
    Error,
    Drop,
    /// NaN, for `impute`.
    Keep,
    Fill(f64),
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
        let missing = match args.get("missing") {
            None => Missing::Error,
            Some(arg) => match &arg.value {
                Value::Str(text) if text == "error" => Missing::Error,
                Value::Str(text) if text == "drop" => Missing::Drop,
                Value::Str(text) if text == "keep" => Missing::Keep,
                Value::Int(v) => Missing::Fill(*v as f64),
                Value::Float(v) if v.is_finite() => Missing::Fill(*v),
                other => {
                    let label = format!("this is {}", describe(other));
                    return Err(vec![bad(arg, "'missing' must be \"error\", \"drop\", \"keep\" or a number", label)]);
                }
            },
        };
        // Columns named by text need a header; columns named by number alone suggest that there is none.
        let header =
            args.bool("header", specs.iter().any(|spec| spec.fields.iter().any(|f| matches!(f, Field::Name(_)))))?;
        let na = args.strings("na")?.unwrap_or_else(|| ["", "NA", "NaN", "nan"].map(String::from).to_vec());
        Ok(Format { header, delimiter, quotes: args.bool("quotes", true)?, missing, na })
    }

    fn is_missing(&self, text: &str) -> bool {
        self.na.iter().any(|na| na == text)
    }
}

fn reader<'a>(text: &'a [u8], format: &Format) -> ::csv::Reader<&'a [u8]> {
    ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(format.delimiter)
        .quoting(format.quotes)
        .trim(::csv::Trim::All)
        .from_reader(text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text))
}

/// The rows up to the first that cannot be read: what is wrong is said when they are read in earnest.
fn all_rows(text: &[u8], format: &Format) -> Vec<::csv::StringRecord> {
    reader(text, format).into_records().map_while(Result::ok).collect()
}

/// Appends the rows of a file; returns their number.
fn read_into(columns: &mut [Builder], path: &Path, span: Span, format: &Format) -> Fallible<usize> {
    let bytes = files::read(path, span)?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut reader = reader(text, format);
    let mut errors: Vec<Diagnostic> = vec![];
    let mut row = ::csv::StringRecord::new();
    let mut header: Option<Vec<String>> = None;
    // Positions of each column's fields, known from the first row on.
    let mut fields: Option<(usize, Vec<Vec<usize>>)> = None;
    let mut count = 0;
    loop {
        let start = reader.position().byte() as usize;
        let place = |field: Option<usize>, header: &Option<Vec<String>>| {
            let line = format!("{}, line {}", path.display(), line_at(text, start));
            let name = |i: usize| {
                header.as_ref().and_then(|h| h.get(i)).map_or(String::new(), |name| format!(" (\"{name}\")"))
            };
            field.map_or(line.clone(), |i| format!("{line}, field {i}{}", name(i)))
        };
        match reader.read_record(&mut row) {
            Ok(true) => {}
            Ok(false) => break,
            Err(reason) => {
                let title = format!("'{}' is not a text table", path.display());
                let reason = if matches!(reason.kind(), ::csv::ErrorKind::Utf8 { .. }) {
                    "not UTF-8 text".into()
                } else {
                    reason.to_string()
                };
                errors.push(error("E0402", title).at(span, reason).note(place(None, &header)));
                break;
            }
        }
        if fields.is_none() {
            if format.header && header.is_none() {
                header = Some(row.iter().map(String::from).collect());
            }
            let resolved = columns
                .iter()
                .map(|c| c.spec.resolve(header.as_deref(), row.len(), path))
                .collect::<Fallible<Vec<_>>>()?;
            for (column, fields) in columns.iter_mut().zip(&resolved) {
                let width = *column.width.get_or_insert(fields.len());
                if width != fields.len() {
                    let title = format!("'{}' has {} fields in '{}'", column.spec.name, fields.len(), path.display());
                    return Err(vec![error("E0403", title).at(span, format!("it has {width} in the first file"))]);
                }
            }
            fields = Some((row.len(), resolved));
            if format.header {
                continue;
            }
        }
        let Some((width, fields)) = &fields else { break };
        if row.len() != *width {
            let title = format!("a row of '{}' has {} fields instead of {width}", path.display(), row.len());
            errors.push(error("E0406", title).at(span, "ragged row").note(place(None, &header)));
        } else {
            let missing = |fields: &[usize]| fields.iter().any(|i| format.is_missing(&row[*i]));
            let lacks = |(column, fields): (&Builder, &Vec<usize>)| column.spec.kind != Kind::Text && missing(fields);
            if matches!(format.missing, Missing::Drop) && columns.iter().zip(fields).any(lacks) {
                continue;
            }
            for (column, fields) in columns.iter_mut().zip(fields) {
                if let Err(problem) = column.push(&row, fields, format) {
                    let label = format!("read for column '{}'", column.spec.name);
                    errors.push(
                        error(problem.code, problem.title)
                            .at(span, "in this file")
                            .at(column.spec.span, label)
                            .note(place(Some(problem.field), &header))
                            .maybe_help(problem.help),
                    );
                }
            }
            count += 1;
        }
        if errors.len() >= MOST_ERRORS {
            break;
        }
    }
    if count == 0 && errors.is_empty() {
        errors.push(error("E0409", format!("'{}' has no rows of data", path.display())).at(span, "an empty table"));
    }
    if errors.is_empty() { Ok(count) } else { Err(errors) }
}

/// The 1-based line of the first text at or after a position.
fn line_at(text: &[u8], position: usize) -> usize {
    let from = position.min(text.len());
    let blank = text[from..].iter().take_while(|b| matches!(b, b'\n' | b'\r')).count();
    text[..(from + blank).min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}
