//! `csv`: tables of text. Each named argument that is not an option makes a column.

use super::Context;
use super::args::{Args, Fallible, bad, describe};
use super::files;
use super::spec::{Arg, Call, Value};
use super::table::{Stored, Table, Values};
use crate::diag::{Diagnostic, error, suggest};
use crate::source::Span;
use indexmap::IndexMap;
use std::path::Path;

const OPTIONS: &[&str] = &["file", "header", "delimiter", "missing", "na", "test"];

/// As many wrong cells are reported at once.
const MOST_ERRORS: usize = 5;

pub fn load(call: &Call, context: &Context) -> Fallible<Table> {
    let args = Args::open(call, OPTIONS)?;
    let specs = args.others(OPTIONS).map(|(name, arg)| ColumnSpec::new(name, arg)).collect::<Fallible<Vec<_>>>()?;
    if specs.is_empty() {
        return Err(vec![
            error("E0407", "'csv' needs at least one column")
                .at(call.span, "no column is named")
                .help("name the columns, as in: csv(\"iris.csv\", x = [\"sepal_length\", \"sepal_width\"], species = label(\"species\"))"),
        ]);
    }
    let format = Format::new(&args, &specs)?;
    let mut columns: Vec<Builder> = specs.into_iter().map(Builder::new).collect();
    let path = context.resolve(args.required_str("file")?);
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
    missing: Missing,
    /// Texts that stand for a missing value.
    na: Vec<String>,
}

enum Missing {
    Error,
    Drop,
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
                Value::Int(v) => Missing::Fill(*v as f64),
                Value::Float(v) if v.is_finite() => Missing::Fill(*v),
                other => {
                    let label = format!("this is {}", describe(other));
                    return Err(vec![bad(arg, "'missing' must be \"error\", \"drop\" or a number", label)]);
                }
            },
        };
        // Columns named by text need a header; columns named by number alone suggest that there is none.
        let header =
            args.bool("header", specs.iter().any(|spec| spec.fields.iter().any(|f| matches!(f, Field::Name(_)))))?;
        let na = args.strings("na")?.unwrap_or_else(|| ["", "NA", "NaN", "nan"].map(String::from).to_vec());
        Ok(Format { header, delimiter, missing, na })
    }

    fn is_missing(&self, text: &str) -> bool {
        self.na.iter().any(|na| na == text)
    }
}

/// A field of a row, by header name or by position (from the end if negative).
#[derive(Clone)]
enum Field {
    Name(String),
    Index(i64),
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Scalar,
    Vector,
    /// A vector of all fields except those given.
    Except,
    Label,
}

/// What one column argument says.
struct ColumnSpec {
    name: String,
    span: Span,
    kind: Kind,
    fields: Vec<Field>,
    /// The classes of a label in their order, if given.
    classes: Option<Vec<String>>,
}

impl ColumnSpec {
    fn new(name: &str, arg: &Arg) -> Fallible<ColumnSpec> {
        let field = |value: &Value| match value {
            Value::Str(text) => Some(Field::Name(text.clone())),
            Value::Int(index) => Some(Field::Index(*index)),
            _ => None,
        };
        let list = |items: &[Value]| items.iter().map(field).collect::<Option<Vec<_>>>();
        let mut classes = None;
        let (kind, fields) = match &arg.value {
            Value::List(items) => (Kind::Vector, list(items).filter(|fields| !fields.is_empty())),
            Value::Call(call) if call.name == "except" => {
                let args = Args::new(call, &["columns"])?;
                let fields = match args.get("columns").map(|arg| &arg.value) {
                    Some(Value::List(items)) => list(items),
                    Some(one) => field(one).map(|f| vec![f]),
                    None => None,
                };
                (Kind::Except, fields)
            }
            Value::Call(call) if call.name == "label" => {
                let args = Args::new(call, &["column", "classes"])?;
                classes = args.strings("classes")?;
                (Kind::Label, args.get("column").and_then(|arg| field(&arg.value)).map(|f| vec![f]))
            }
            one => (Kind::Scalar, field(one).map(|f| vec![f])),
        };
        let Some(fields) = fields else {
            let diagnostic = bad(arg, format!("'{name}' does not say which fields it takes"), format!("this is {}", describe(&arg.value)))
                .help(format!(
                    "write {name} = \"a\" (a number), {name} = [\"a\", \"b\"] (a vector), {name} = except([\"a\"]) (all others) or {name} = label(\"a\") (classes)"
                ));
            return Err(vec![diagnostic.maybe_help(suggest(name, OPTIONS.iter().copied()))]);
        };
        Ok(ColumnSpec { name: name.into(), span: arg.span, kind, fields, classes })
    }

    /// Positions of the fields in a row of a file.
    fn resolve(&self, header: Option<&[String]>, width: usize, path: &Path) -> Fallible<Vec<usize>> {
        let positions = self.fields.iter().map(|field| self.position(field, header, width, path));
        let positions = positions.collect::<Fallible<Vec<_>>>()?;
        if self.kind != Kind::Except {
            return Ok(positions);
        }
        let rest: Vec<usize> = (0..width).filter(|i| !positions.contains(i)).collect();
        if rest.is_empty() {
            return Err(vec![
                error("E0404", format!("no field is left for '{}'", self.name))
                    .at(self.span, "all fields are excepted")
                    .note(format!("{} has {width} fields", path.display())),
            ]);
        }
        Ok(rest)
    }

    fn position(&self, field: &Field, header: Option<&[String]>, width: usize, path: &Path) -> Fallible<usize> {
        match (field, header) {
            (Field::Index(i), _) => {
                let from_start = if *i < 0 { i.checked_add(width as i64) } else { Some(*i) };
                from_start.and_then(|i| usize::try_from(i).ok()).filter(|i| *i < width).ok_or_else(|| {
                    vec![error("E0404", format!("there is no field {i}")).at(self.span, "outside the row").note(
                        format!(
                            "{}: rows have {width} fields, numbered from 0 to {}",
                            path.display(),
                            width.max(1) - 1
                        ),
                    )]
                })
            }
            (Field::Name(name), Some(header)) => header.iter().position(|h| h == name).ok_or_else(|| {
                // A misspelt option looks like a column.
                let option = suggest(&self.name, OPTIONS.iter().copied());
                vec![
                    error("E0404", format!("there is no column \"{name}\" in '{}'", path.display()))
                        .at(self.span, "not in the header")
                        .note(format!("header: {}", shorten(&header.join(", "))))
                        .maybe_help(
                            suggest(name, header.iter().map(String::as_str)).filter(|_| name.len() > 1).or(option),
                        ),
                ]
            }),
            (Field::Name(name), None) => Err(vec![
                error("E0404", format!("\"{name}\" is a name, but the file has no header"))
                    .at(self.span, "named by text")
                    .help("name columns by their position, counted from 0, or say header = true"),
            ]),
        }
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= 200 { text.into() } else { text.chars().take(200).chain("…".chars()).collect() }
}

/// A column while rows are read.
struct Builder {
    spec: ColumnSpec,
    width: Option<usize>,
    numbers: Vec<f64>,
    codes: Vec<i32>,
    classes: IndexMap<String, i32>,
}

impl Builder {
    fn new(spec: ColumnSpec) -> Builder {
        let classes = spec.classes.iter().flatten().cloned().zip(0..).collect();
        Builder { spec, width: None, numbers: vec![], codes: vec![], classes }
    }

    /// Adds one row. The error is a code, a title and the position of the field.
    fn push(&mut self, row: &::csv::StringRecord, fields: &[usize], format: &Format) -> Result<(), Problem> {
        for field in fields {
            let text = row.get(*field).unwrap_or("");
            let missing = format.is_missing(text);
            let problem = |code, title: String, help: Option<&str>| Problem {
                code,
                title,
                field: *field,
                help: help.map(String::from),
            };
            if self.spec.kind == Kind::Label {
                if missing {
                    return Err(problem("E0405", "a label is missing".into(), Some(DROP)));
                }
                let next = self.classes.len() as i32;
                let code = match self.classes.get(text) {
                    Some(code) => *code,
                    None if self.spec.classes.is_some() => {
                        let known: Vec<&str> = self.classes.keys().map(String::as_str).collect();
                        let help = format!("the classes given are: {}", shorten(&known.join(", ")));
                        return Err(problem(
                            "E0408",
                            format!("\"{}\" is not one of the classes", shorten(text)),
                            Some(&help),
                        ));
                    }
                    None => *self.classes.entry(text.into()).or_insert(next),
                };
                self.codes.push(code);
            } else {
                let value = match (&format.missing, missing) {
                    (Missing::Fill(value), true) => *value,
                    (_, true) => return Err(problem("E0405", "a value is missing".into(), Some(DROP))),
                    _ => match text.parse::<f64>() {
                        Ok(value) if value.is_finite() => value,
                        _ => {
                            let title = format!("\"{}\" is not a number", shorten(text));
                            return Err(problem("E0405", title, Some(NUMBER)));
                        }
                    },
                };
                self.numbers.push(value);
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Stored {
        let name = &self.spec.name;
        if self.spec.kind != Kind::Label {
            let shape = if self.spec.kind == Kind::Scalar { vec![] } else { vec![self.width.unwrap_or(0)] };
            return Stored::new(name, true, shape, None, Values::F64(self.numbers));
        }
        if self.spec.classes.is_none() {
            let order = sorted(self.classes.keys().map(String::as_str));
            let mut rank = vec![0; order.len()];
            order.iter().enumerate().for_each(|(new, class)| rank[self.classes[*class] as usize] = new as i32);
            self.codes.iter_mut().for_each(|code| *code = rank[*code as usize]);
        }
        Stored::new(name, false, vec![], Some(self.classes.len()), Values::I32(self.codes))
    }
}

const DROP: &str = "missing = \"drop\" leaves out such rows, and missing = 0 fills in a number";
const NUMBER: &str = "text becomes classes by label(\"…\"); other marks of missing values are listed by na = [\"?\"]";

/// Classes in their order: by value if all are numbers, else by the alphabet.
fn sorted<'a>(classes: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut classes: Vec<&str> = classes.collect();
    let value = |class: &str| class.parse::<f64>().ok().filter(|v| v.is_finite());
    classes.sort_unstable();
    if classes.iter().all(|class| value(class).is_some()) {
        classes.sort_by(|a, b| value(a).partial_cmp(&value(b)).unwrap_or(std::cmp::Ordering::Equal));
    }
    classes
}

/// What is wrong with one cell.
struct Problem {
    code: &'static str,
    title: String,
    field: usize,
    help: Option<String>,
}

/// Appends the rows of a file; returns their number.
fn read_into(columns: &mut [Builder], path: &Path, span: Span, format: &Format) -> Fallible<usize> {
    let bytes = files::read(path, span)?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(format.delimiter)
        .trim(::csv::Trim::All)
        .from_reader(text);
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
            let used = || fields.iter().flatten();
            if matches!(format.missing, Missing::Drop) && used().any(|i| format.is_missing(&row[*i])) {
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
