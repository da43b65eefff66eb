//! What a column argument says, and the column while rows are read.

use super::super::args::{Args, Fallible, bad, describe};
use super::super::spec::{Arg, Value};
use super::super::table::{Stored, Values};
use super::{Format, Missing, OPTIONS};
use crate::diag::{error, nearest, suggest};
use crate::source::Span;
use indexmap::IndexMap;
use std::path::Path;

/// What is wrong with one cell.
pub struct Problem {
    pub code: &'static str,
    pub title: String,
    pub field: usize,
    pub help: Option<String>,
}

/// A field of a row, by header name or by position (from the end if negative).
#[derive(Clone)]
pub enum Field {
    Name(String),
    Index(i64),
}

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Scalar,
    Vector,
    /// A vector of all fields except those given.
    Except,
    Label,
    /// Fields kept as text, joined by a space.
    Text,
}

/// What one column argument says.
pub struct ColumnSpec {
    pub name: String,
    pub span: Span,
    pub kind: Kind,
    pub fields: Vec<Field>,
    /// The classes of a label in their order, if given.
    pub classes: Option<Vec<String>>,
}

impl ColumnSpec {
    pub fn new(name: &str, arg: &Arg) -> Fallible<ColumnSpec> {
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
                let given = classes.as_deref().unwrap_or_default();
                if let Some(twice) = (1..given.len()).find(|i| given[..*i].contains(&given[*i])) {
                    let title = format!("the class \"{}\" is given twice", given[twice]);
                    return Err(vec![error("E0407", title).at(args.span("classes"), "classes must differ")]);
                }
                (Kind::Label, args.get("column").and_then(|arg| field(&arg.value)).map(|f| vec![f]))
            }
            Value::Call(call) if call.name == "text" => {
                let args = Args::new(call, &["columns"])?;
                let fields = match args.get("columns").map(|arg| &arg.value) {
                    Some(Value::List(items)) => list(items).filter(|fields| !fields.is_empty()),
                    Some(one) => field(one).map(|f| vec![f]),
                    None => None,
                };
                (Kind::Text, fields)
            }
            one => (Kind::Scalar, field(one).map(|f| vec![f])),
        };
        let Some(fields) = fields else {
            let diagnostic = bad(arg, format!("'{name}' does not say which fields it takes"), format!("this is {}", describe(&arg.value)))
                .help(format!(
                    "write {name} = \"a\" (a number), {name} = [\"a\", \"b\"] (a vector), {name} = except([\"a\"]) (all others), {name} = label(\"a\") (classes) or {name} = text(\"a\") (text, for tokenize)"
                ));
            let at = arg.named_at.unwrap_or(arg.span);
            return Err(vec![diagnostic.did_you_mean(at, name, OPTIONS.iter().copied())]);
        };
        Ok(ColumnSpec { name: name.into(), span: arg.span, kind, fields, classes })
    }

    /// Positions of the fields in a row of a file.
    pub fn resolve(&self, header: Option<&[String]>, width: usize, path: &Path) -> Fallible<Vec<usize>> {
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
                let d = error("E0404", format!("there is no column \"{name}\" in '{}'", path.display()))
                    .at(self.span, "not in the header")
                    .note(format!("header: {}", shorten(&header.join(", "))));
                let near = nearest(name, header.iter().map(String::as_str)).filter(|_| name.len() > 1);
                vec![match near {
                    Some(near) if self.kind == Kind::Scalar => {
                        d.help(format!("did you mean '{near}'?")).edit(self.span, format!("\"{near}\""))
                    }
                    Some(near) => d.help(format!("did you mean '{near}'?")),
                    // A misspelt option looks like a column.
                    None => d.maybe_help(suggest(&self.name, OPTIONS.iter().copied())),
                }]
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
pub struct Builder {
    pub spec: ColumnSpec,
    pub width: Option<usize>,
    numbers: Vec<f64>,
    codes: Vec<i32>,
    texts: Vec<String>,
    classes: IndexMap<String, i32>,
}

impl Builder {
    pub fn new(spec: ColumnSpec) -> Builder {
        let classes = spec.classes.iter().flatten().cloned().zip(0..).collect();
        Builder { spec, width: None, numbers: vec![], codes: vec![], texts: vec![], classes }
    }

    /// Adds one row, whose fields for this column are at the given positions.
    pub fn push(&mut self, row: &::csv::StringRecord, fields: &[usize], format: &Format) -> Result<(), Problem> {
        if self.spec.kind == Kind::Text {
            // A text without words is no missing value.
            let texts: Vec<&str> = fields.iter().filter_map(|field| row.get(*field)).collect();
            self.texts.push(texts.join(" "));
            return Ok(());
        }
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
                if missing && !matches!(format.missing, Missing::Keep) {
                    return Err(problem("E0405", "a label is missing".into(), Some(DROP_LABEL)));
                }
                if missing {
                    self.codes.push(-1);
                    continue;
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
                    (Missing::Keep, true) => f64::NAN,
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

    pub fn finish(mut self) -> Stored {
        let name = &self.spec.name;
        if self.spec.kind == Kind::Text {
            return Stored::new(name, false, vec![], None, Values::Text(self.texts));
        }
        if self.spec.kind != Kind::Label {
            let shape = if self.spec.kind == Kind::Scalar { vec![] } else { vec![self.width.unwrap_or(0)] };
            let missing = self.numbers.iter().any(|v| v.is_nan());
            return Stored { missing, ..Stored::new(name, true, shape, None, Values::F64(self.numbers)) };
        }
        let mut class_names: Vec<String> = self.classes.keys().cloned().collect();
        if self.spec.classes.is_none() {
            let order = sorted(self.classes.keys().map(String::as_str));
            let mut rank = vec![0; order.len()];
            order.iter().enumerate().for_each(|(new, class)| rank[self.classes[*class] as usize] = new as i32);
            class_names = order.into_iter().map(String::from).collect();
            self.codes.iter_mut().filter(|code| **code >= 0).for_each(|code| *code = rank[*code as usize]);
        }
        let missing = self.codes.contains(&-1);
        let stored = Stored::new(name, false, vec![], Some(self.classes.len()), Values::I32(self.codes));
        Stored { missing, class_names, ..stored }
    }
}

const DROP: &str = "missing = \"drop\" leaves out such rows, and missing = 0 fills in a number";
const DROP_LABEL: &str =
    "missing = \"drop\" leaves out such rows; missing = \"keep\" is for impute(…, by = \"most_frequent\")";
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
