//! What a column argument says, and the column while rows are read.

use super::super::args::{Args, Fallible, bad, describe};
use super::super::disk::Disk;
use super::super::disk::encoding::{Encoding, Kind as Written};
use super::super::disk::region::Region;
use super::super::disk::temporary;
use super::super::spec::{Arg, Value};
use super::super::table::{Stored, Values};
use super::Missing;
use super::cell::{Cell, Reader};
use super::texts::Texts;
use crate::diag::{error, nearest, suggest};
use crate::source::Span;
use indexmap::IndexMap;
use std::borrow::Cow;
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
    /// What the source's other arguments are called: a misspelt one looks like a column.
    pub options: &'static [&'static str],
}

impl ColumnSpec {
    pub fn new(name: &str, arg: &Arg, options: &'static [&'static str]) -> Fallible<ColumnSpec> {
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
            return Err(vec![diagnostic.did_you_mean(at, name, options.iter().copied())]);
        };
        Ok(ColumnSpec { name: name.into(), span: arg.span, kind, fields, classes, options })
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
                    None => d.maybe_help(suggest(&self.name, self.options.iter().copied())),
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
    streams: bool,
    numbers: Vec<f64>,
    /// Some number is missing.
    missing: bool,
    codes: Vec<i32>,
    texts: Texts,
    classes: IndexMap<String, i32>,
}

impl Builder {
    pub fn new(spec: ColumnSpec, streams: bool) -> Fallible<Builder> {
        let classes = spec.classes.iter().flatten().cloned().zip(0..).collect();
        let texts = Texts::new(streams && spec.kind == Kind::Text);
        let texts = texts.map_err(|reason| vec![temporary::no_room(&reason, spec.span)])?;
        let (numbers, codes) = (vec![], vec![]);
        Ok(Builder { spec, width: None, streams, numbers, missing: false, codes, texts, classes })
    }

    /// Numbers that do not stay in memory.
    pub fn is_spilled(&self) -> bool {
        self.streams && !matches!(self.spec.kind, Kind::Label | Kind::Text)
    }

    /// Those in memory.
    pub fn numbers(&self) -> &[f64] {
        &self.numbers
    }

    pub fn clear(&mut self) {
        self.numbers.clear();
    }

    /// Adds one row, whose fields for this column are at the given positions. The outer error is a full disk.
    pub fn push(&mut self, row: &impl Reader, fields: &[usize], missing: Missing) -> Fallible<Result<(), Problem>> {
        if self.spec.kind != Kind::Text {
            return Ok(fields.iter().try_for_each(|field| self.push_cell(row.cell(*field), *field, missing)));
        }
        // A text without words is no missing value.
        let pushed = match fields {
            [field] => self.texts.push(row.text(*field)),
            _ => self.texts.push(fields.iter().map(|field| row.text(*field)).collect::<Vec<_>>().join(" ").into()),
        };
        pushed.map_err(|reason| vec![temporary::no_room(&reason, self.spec.span)])?;
        Ok(Ok(()))
    }

    fn push_cell(&mut self, cell: Cell, field: usize, missing: Missing) -> Result<(), Problem> {
        let problem =
            |code, title: String, help: Option<&str>| Problem { code, title, field, help: help.map(String::from) };
        if self.spec.kind == Kind::Label {
            let text = match cell {
                Cell::Missing if matches!(missing, Missing::Keep) => {
                    self.codes.push(-1);
                    return Ok(());
                }
                Cell::Missing => return Err(problem("E0405", "a label is missing".into(), Some(DROP_LABEL))),
                Cell::Number(v) => Cow::Owned(v.to_string()),
                Cell::Text(text) => text,
            };
            let next = self.classes.len() as i32;
            let code = match self.classes.get(text.as_ref()) {
                Some(code) => *code,
                None if self.spec.classes.is_some() => {
                    let known: Vec<&str> = self.classes.keys().map(String::as_str).collect();
                    let help = format!("the classes given are: {}", shorten(&known.join(", ")));
                    let title = format!("\"{}\" is not one of the classes", shorten(&text));
                    return Err(problem("E0408", title, Some(&help)));
                }
                None => *self.classes.entry(text.into()).or_insert(next),
            };
            self.codes.push(code);
            return Ok(());
        }
        let not_a_number =
            |text: &str| problem("E0405", format!("\"{}\" is not a number", shorten(text)), Some(NUMBER));
        let value = match (cell, missing) {
            (Cell::Missing, Missing::Fill(value)) => value,
            (Cell::Missing, Missing::Keep) => {
                self.missing = true;
                f64::NAN
            }
            (Cell::Missing, _) => return Err(problem("E0405", "a value is missing".into(), Some(DROP))),
            (Cell::Number(value), _) if value.is_finite() => value,
            (Cell::Number(value), _) => return Err(not_a_number(&value.to_string())),
            (Cell::Text(text), _) => match text.parse::<f64>() {
                Ok(value) if value.is_finite() => value,
                _ => return Err(not_a_number(&text)),
            },
        };
        self.numbers.push(value);
        Ok(())
    }

    /// The column; `region` is where its numbers are, if they are not in memory.
    pub fn finish(mut self, region: Option<Region>) -> Fallible<Stored> {
        let name = &self.spec.name;
        if self.spec.kind == Kind::Text {
            self.texts.finish().map_err(|reason| vec![temporary::no_room(&reason, self.spec.span)])?;
            return Ok(Stored::new(name, false, vec![], None, Values::Text(self.texts)));
        }
        if self.spec.kind != Kind::Label {
            let width = self.width.unwrap_or(0);
            let shape = if self.spec.kind == Kind::Scalar { vec![] } else { vec![width] };
            let encoding = Encoding { kind: Written::F64, big_endian: false };
            let values = match region {
                Some(region) => Values::Disk(Disk::new(region, encoding, width)),
                None => Values::F64(self.numbers),
            };
            return Ok(Stored { missing: self.missing, ..Stored::new(name, true, shape, None, values) });
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
        Ok(Stored { missing, class_names, ..stored })
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
