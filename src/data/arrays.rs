//! Binary arrays on their way to columns: what `idx`, `npy` and `npz` have in common.
//!
//! The first axis counts rows. Integers of rank 1 are class labels; bytes of a higher rank are pixels; other integers
//! stay integers (token ids, for example); floats stay floats.

use super::args::{Args, Fallible, bad, number, wrong};
use super::disk::Disk;
use super::disk::choice::Choice;
use super::spec::Arg;
use super::table::{MOST_ROWS, Read, Stored, Table, Values};
use crate::diag::{Diagnostic, error};
use crate::source::Span;

/// One array as read.
pub struct Array {
    /// With the row axis.
    pub shape: Vec<usize>,
    pub values: Values,
    pub is_float: bool,
    /// Smallest and largest integer, where the values are not in memory.
    pub range: Option<(i32, i32)>,
    /// For messages: the file, or the member of an archive.
    pub place: String,
    /// The argument that asked for it.
    pub span: Span,
}

/// A column's arrays: the train part and, if there is one, the test part.
pub struct Parts {
    pub name: String,
    pub train: Array,
    pub test: Option<Array>,
}

/// What a column argument asks for: `x = "…"` with its `test_x = "…"`.
pub struct Wanted<'a> {
    pub name: &'a str,
    pub train: (&'a str, Span),
    pub test: Option<(&'a str, Span)>,
}

/// Options that every source of arrays has.
pub const OPTIONS: [&str; 3] = ["scale", "classes", "stream"];

#[derive(Clone, Copy)]
pub struct Options {
    /// Pixels are divided by this.
    pub divisor: f64,
    /// The number of classes, if given.
    pub classes: Option<usize>,
    /// Whether values stay in their files.
    pub stream: Choice,
}

impl Options {
    pub fn new(args: &Args) -> Fallible<Options> {
        let mut divisor = 255.0;
        if let Some(arg) = args.get("scale") {
            let scale = number(&arg.value).ok_or_else(|| wrong(arg, "scale", "a number"))?;
            if !(scale.is_normal() && (1.0 / scale).is_normal()) {
                return Err(vec![bad(arg, "'scale' must be a number other than 0", format!("this is {scale}"))]);
            }
            // 1/255 is not a floating number, 255 is: dividing by it gives exactly rounded pixels.
            divisor = 1.0 / scale;
            if (divisor - divisor.round()).abs() < 1e-9 * divisor.abs() {
                divisor = divisor.round();
            }
        }
        let classes = args.get("classes").map(|_| args.count("classes", 0, 1)).transpose()?;
        Ok(Options { divisor, classes, stream: Choice::new(args)? })
    }
}

/// The columns asked for by the arguments that are not options, in the order written.
pub fn wanted<'a>(args: &Args<'a>, source: &str, options: &'a [&'a str]) -> Fallible<Vec<Wanted<'a>>> {
    let mut columns: Vec<Wanted<'a>> = vec![];
    let mut tests: Vec<(&'a str, &'a Arg)> = vec![];
    let mut errors = vec![];
    for (name, arg) in args.others(options) {
        let text = match args.str(name) {
            Ok(text) => text.unwrap_or_default(),
            Err(wrong) => {
                let help = crate::diag::suggest(name, options.iter().copied());
                errors.extend(wrong.into_iter().map(|d| d.maybe_help(help.clone())));
                continue;
            }
        };
        match name.strip_prefix("test_") {
            Some(column) => tests.push((column, arg)),
            None => columns.push(Wanted { name, train: (text, arg.span), test: None }),
        }
    }
    for (column, arg) in &tests {
        match (columns.iter_mut().find(|c| c.name == *column), &arg.value) {
            (Some(found), super::spec::Value::Str(text)) => found.test = Some((text, arg.span)),
            _ => errors.push(
                bad(arg, format!("there is no column '{column}' to test"), "the test part of nothing")
                    .help(format!("name the train part too: {column} = \"…\"")),
            ),
        }
    }
    if !tests.is_empty() {
        for column in columns.iter().filter(|c| c.test.is_none()) {
            let title = format!("'{}' has no test part, but other columns have one", column.name);
            errors.push(error("E0407", title).at(column.train.1, format!("add test_{} = \"…\"", column.name)));
        }
    }
    if columns.is_empty() && errors.is_empty() {
        let help = format!("name the columns, as in: {source}(…, x = \"…\", y = \"…\")");
        errors.push(
            error("E0407", format!("'{source}' needs at least one column"))
                .at(args.call_span(), "no column is named")
                .help(help),
        );
    }
    if errors.is_empty() { Ok(columns) } else { Err(errors) }
}

/// An array that stays in its file. Integers are looked through: their classes belong to the schema.
pub fn on_disk(mut disk: Disk, shape: Vec<usize>, place: &str, span: Span, mode: Read) -> Fallible<Array> {
    let is_float = !disk.is_integer();
    let mut range = None;
    if !is_float {
        let (low, high) = disk.look_through().map_err(|lost| vec![lost])?;
        let fits = |v: i64| i32::try_from(v).map_err(|_| v);
        let narrow = fits(low).and_then(|low| Ok((low, fits(high)?)));
        range = Some(narrow.map_err(|out| {
            let title = format!("'{place}' has a value beyond 32 bits: {out}");
            vec![error("E0408", title).at(span, "integers are kept in 32 bits")]
        })?);
    }
    let values = if is_float && mode == Read::Shapes { Values::Unread } else { Values::Disk(disk) };
    Ok(Array { shape, values, is_float, range, place: place.into(), span })
}

/// Checks that the arrays fit together, and makes the table.
pub fn assemble(columns: Vec<Parts>, options: Options) -> Fallible<Table> {
    let mut stored = vec![];
    let mut errors = vec![];
    let rows = |array: &Array| array.shape[0];
    let (train, test) = match columns.first() {
        Some(first) => (rows(&first.train), first.test.as_ref().map_or(0, rows)),
        None => (0, 0),
    };
    if let Some(first) = columns.first()
        && train + test > MOST_ROWS
    {
        return Err(vec![
            error("E0409", format!("'{}' has {} rows", first.train.place, train + test))
                .at(first.train.span, format!("at most {MOST_ROWS} rows are possible")),
        ]);
    }
    let first_places = columns.first().map(|c| (c.train.place.clone(), c.test.as_ref().map(|t| t.place.clone())));
    let first_places = first_places.unwrap_or_default();
    for mut column in columns {
        errors.extend(rows_differ(&column.train, train, &first_places.0));
        if let Some(array) = &column.test {
            errors.extend(rows_differ(array, test, first_places.1.as_deref().unwrap_or_default()));
            if array.shape[1..] != column.train.shape[1..] || array.is_float != column.train.is_float {
                let title = format!("the test part of '{}' differs in type from its train part", column.name);
                errors.push(
                    error("E0403", title)
                        .at(array.span, format!("rows here: {}", type_of(array)))
                        .at(column.train.span, format!("rows here: {}", type_of(&column.train))),
                );
            }
        }
        let mut classes = None;
        if !column.train.is_float {
            let parts = [Some(&column.train), column.test.as_ref()];
            match count_classes(&parts.map(|p| p.filter(|_| errors.is_empty())), options.classes) {
                Ok(found) => classes = found,
                Err(diagnostic) => errors.push(*diagnostic),
            }
        }
        if let Some(test) = column.test.take()
            && let Err(diagnostic) = append(&mut column.train, test)
        {
            errors.push(*diagnostic);
        }
        let Array { shape, values, is_float, .. } = column.train;
        stored.push(Stored::new(&column.name, is_float, shape[1..].to_vec(), classes, values));
    }
    if errors.is_empty() { Ok(Table::new(stored, train, test)) } else { Err(errors) }
}

fn type_of(array: &Array) -> String {
    format!("{}{:?}", if array.is_float { "float" } else { "int" }, &array.shape[1..])
}

fn rows_differ(array: &Array, expected: usize, other: &str) -> Option<Diagnostic> {
    (array.shape[0] != expected).then(|| {
        error("E0403", format!("'{}' has {} rows, but '{other}' has {expected}", array.place, array.shape[0]))
            .at(array.span, "not as many rows as the other columns")
    })
}

/// Classes of an integer column: as given, or one more than the largest value; none if values are negative. Labels
/// (rank 1) must be below a given number.
fn count_classes(parts: &[Option<&Array>], given: Option<usize>) -> Result<Option<usize>, Box<Diagnostic>> {
    let (mut low, mut high) = (0, 0);
    for array in parts.iter().flatten() {
        let Values::I32(values) = &array.values else {
            (low, high) = array.range.map_or((low, high), |(l, h)| (low.min(l), high.max(h)));
            continue;
        };
        low = values.iter().copied().fold(low, i32::min);
        high = values.iter().copied().fold(high, i32::max);
        if array.shape.len() > 1 {
            continue;
        }
        let allowed = given.unwrap_or(i32::MAX as usize + 1);
        let is_label = |v: i32| usize::try_from(v).is_ok_and(|v| v < allowed);
        if let Some(row) = values.iter().position(|v| !is_label(*v)).filter(|_| given.is_some()) {
            return Err(Box::new(
                error("E0408", format!("label {} is not one of {allowed} classes", values[row]))
                    .at(array.span, "in this file")
                    .note(format!("{}, row {row} (counted from 0)", array.place))
                    .help("labels are 0, 1, …, classes - 1"),
            ));
        }
    }
    let rank_1 = parts.iter().flatten().all(|array| array.shape.len() == 1);
    let classes = (low >= 0).then(|| high as usize + 1);
    Ok(given.filter(|_| rank_1).or(classes))
}

/// Puts the test rows after the train rows.
fn append(train: &mut Array, test: Array) -> Result<(), Box<Diagnostic>> {
    match (&mut train.values, test.values) {
        (Values::Bytes { data, .. }, Values::Bytes { data: more, .. }) => data.extend_from_slice(&more),
        (Values::F32(data), Values::F32(more)) => data.extend_from_slice(&more),
        (Values::F64(data), Values::F64(more)) => data.extend_from_slice(&more),
        (Values::I32(data), Values::I32(more)) => data.extend_from_slice(&more),
        (Values::Unread, Values::Unread) => {}
        (Values::Disk(data), Values::Disk(more)) if data.is_like(&more) => data.append(more),
        _ => {
            return Err(Box::new(
                error("E0403", format!("'{}' and '{}' have different element types", train.place, test.place))
                    .at(test.span, "the test part")
                    .at(train.span, "the train part"),
            ));
        }
    }
    Ok(())
}
