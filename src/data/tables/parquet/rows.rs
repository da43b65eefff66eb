//! The rows of a parquet file. A group of rows is read some at a time, and only the columns that are wanted.

use super::super::super::args::Fallible;
use super::super::super::files;
use super::super::Part;
use super::super::cell::{Cell, Reader};
use crate::diag::{Diagnostic, error};
use crate::source::Span;
use parquet::basic::{ConvertedType, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;
use std::borrow::Cow;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

/// So many rows are read at once.
const CHUNK: usize = 1024;

pub struct Rows {
    file: SerializedFileReader<File>,
    path: PathBuf,
    span: Span,
    fields: Vec<Field>,
    /// The next group of rows, and how many rows of this one are left.
    group: usize,
    left: usize,
    /// The row in the chunk, the rows of the chunk, and rows of the file before it.
    row: usize,
    rows: usize,
    before: usize,
}

struct Field {
    name: String,
    meaning: Meaning,
    wanted: bool,
    /// Of the group of rows that is being read.
    reader: Option<ColumnReader>,
    values: Values,
    /// For each row of the chunk, its place among the values.
    places: Vec<Option<usize>>,
    levels: Vec<i16>,
    most_level: i16,
}

/// What a field's values stand for.
#[derive(Clone, Copy)]
enum Meaning {
    Number {
        unsigned: bool,
        /// Decimals are whole numbers of so many digits behind the point.
        divisor: f64,
    },
    Text,
    /// Not read, and why.
    Other(&'static str),
}

enum Values {
    None,
    Bool(Vec<bool>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bytes(Vec<ByteArray>),
}

fn meaning(column: &ColumnDescriptor) -> Meaning {
    if column.max_rep_level() > 0 {
        return Meaning::Other("a list");
    }
    let decimal = column.converted_type() == ConvertedType::DECIMAL;
    match column.physical_type() {
        Type::BOOLEAN | Type::FLOAT | Type::DOUBLE => Meaning::Number { unsigned: false, divisor: 1.0 },
        Type::INT32 | Type::INT64 => Meaning::Number {
            unsigned: matches!(column.converted_type(), ConvertedType::UINT_32 | ConvertedType::UINT_64),
            divisor: if decimal { 10f64.powi(column.type_scale()) } else { 1.0 },
        },
        Type::BYTE_ARRAY if !decimal => Meaning::Text,
        Type::INT96 => Meaning::Other("a time of the old form (INT96)"),
        _ if decimal => Meaning::Other("a decimal of any length"),
        _ => Meaning::Other("bytes of fixed length"),
    }
}

impl Rows {
    pub fn open(part: &Part) -> Fallible<Rows> {
        let Part { path, span } = part;
        // Refuses folders and devices.
        files::plain(path, *span)?;
        let file = File::open(path).map_err(|reason| files::unreadable(path, *span, &reason))?;
        let opened = guarded(|| SerializedFileReader::new(file));
        let file = opened.map_err(|reason| {
            vec![error("E0402", format!("'{}' is not a parquet file", path.display())).at(*span, reason)]
        })?;
        let field = |column: &std::sync::Arc<ColumnDescriptor>| Field {
            name: column.path().string(),
            meaning: meaning(column),
            wanted: false,
            reader: None,
            values: Values::None,
            places: vec![],
            levels: vec![],
            most_level: column.max_def_level(),
        };
        let fields = file.metadata().file_metadata().schema_descr().columns().iter().map(field).collect();
        let (path, span) = (path.clone(), *span);
        Ok(Rows { file, path, span, fields, group: 0, left: 0, row: 0, rows: 0, before: 0 })
    }

    /// Of all values in memory, as far as the file tells.
    pub fn bytes(&self) -> u64 {
        let rows = u64::try_from(self.file.metadata().file_metadata().num_rows()).unwrap_or(0);
        rows.saturating_mul(8 * self.fields.len() as u64)
    }

    /// Reads the next rows of the group, or begins the next group.
    fn next_chunk(&mut self) -> Result<bool, String> {
        self.before += self.rows;
        (self.row, self.rows) = (0, 0);
        while self.left == 0 {
            if self.group == self.file.num_row_groups() {
                return Ok(false);
            }
            let group = guarded(|| self.file.get_row_group(self.group))?;
            let rows = group.metadata().num_rows();
            self.left = usize::try_from(rows).map_err(|_| format!("a group of {rows} rows"))?;
            for (index, field) in self.fields.iter_mut().enumerate().filter(|(_, field)| field.wanted) {
                field.reader = Some(guarded(|| group.get_column_reader(index))?);
            }
            self.group += 1;
        }
        let rows = self.left.min(CHUNK);
        for field in self.fields.iter_mut().filter(|field| field.wanted) {
            guarded(|| field.read(rows))?;
            if field.places.len() != rows {
                return Err(format!("'{}' has fewer rows than the file says", field.name));
            }
        }
        (self.rows, self.left) = (rows, self.left - rows);
        Ok(true)
    }
}

/// The library checks what it reads, but some damage may still make it panic.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(result) => result.map_err(|reason| reason.to_string()),
        Err(_) => Err("it is damaged".into()),
    }
}

impl Field {
    fn read(&mut self, rows: usize) -> Result<(), ParquetError> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        self.levels.clear();
        let levels = &mut self.levels;
        let (values, records) = match reader {
            ColumnReader::BoolColumnReader(reader) => some(reader, rows, levels).map(|(v, n)| (Values::Bool(v), n)),
            ColumnReader::Int32ColumnReader(reader) => some(reader, rows, levels).map(|(v, n)| (Values::I32(v), n)),
            ColumnReader::Int64ColumnReader(reader) => some(reader, rows, levels).map(|(v, n)| (Values::I64(v), n)),
            ColumnReader::FloatColumnReader(reader) => some(reader, rows, levels).map(|(v, n)| (Values::F32(v), n)),
            ColumnReader::DoubleColumnReader(reader) => some(reader, rows, levels).map(|(v, n)| (Values::F64(v), n)),
            ColumnReader::ByteArrayColumnReader(reader) => {
                some(reader, rows, levels).map(|(v, n)| (Values::Bytes(v), n))
            }
            _ => Ok((Values::None, 0)),
        }?;
        self.places.clear();
        if self.most_level == 0 {
            self.places.extend((0..records).map(Some));
        } else {
            let mut next = 0;
            let place = |level: &i16| {
                (*level == self.most_level).then(|| {
                    next += 1;
                    next - 1
                })
            };
            self.places.extend(self.levels.iter().map(place));
        }
        self.values = values;
        Ok(())
    }

    fn cell(&self, row: usize) -> Cell<'_> {
        let Some(Some(place)) = self.places.get(row).copied() else { return Cell::Missing };
        let (unsigned, divisor) = match self.meaning {
            Meaning::Number { unsigned, divisor } => (unsigned, divisor),
            _ => (false, 1.0),
        };
        let number = match &self.values {
            Values::None => None,
            Values::Bool(values) => values.get(place).map(|v| f64::from(u8::from(*v))),
            Values::I32(values) if unsigned => values.get(place).map(|v| f64::from(*v as u32)),
            Values::I32(values) => values.get(place).map(|v| f64::from(*v)),
            Values::I64(values) if unsigned => values.get(place).map(|v| *v as u64 as f64),
            Values::I64(values) => values.get(place).map(|v| *v as f64),
            Values::F32(values) => values.get(place).map(|v| f64::from(*v)),
            Values::F64(values) => values.get(place).copied(),
            Values::Bytes(values) => {
                let text = values.get(place).map(|bytes| String::from_utf8_lossy(bytes.data()));
                return text.map_or(Cell::Missing, Cell::Text);
            }
        };
        // Many writers store a missing float as NaN.
        number.filter(|v| !v.is_nan()).map_or(Cell::Missing, |v| Cell::Number(v / divisor))
    }
}

/// Reads so many rows, or as many as there are.
fn some<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    levels: &mut Vec<i16>,
) -> Result<(Vec<T::T>, usize), ParquetError> {
    let (mut values, mut seen) = (vec![], 0);
    while seen < rows {
        let (records, _, _) = reader.read_records(rows - seen, Some(levels), None, &mut values)?;
        if records == 0 {
            break;
        }
        seen += records;
    }
    Ok((values, seen))
}

impl Reader for Rows {
    fn header(&mut self) -> Result<Option<Vec<String>>, Diagnostic> {
        Ok(Some(self.fields.iter().map(|field| field.name.clone()).collect()))
    }

    fn want(&mut self, fields: &[usize]) -> Result<(), Diagnostic> {
        for index in fields {
            let Some(field) = self.fields.get_mut(*index) else { continue };
            if let Meaning::Other(what) = field.meaning {
                let title = format!("the field \"{}\" of '{}' is {what}", field.name, self.path.display());
                let help = "name the fields to be read: x = [\"a\", \"b\"], y = label(\"c\"), t = text(\"d\")";
                return Err(error("E0402", title).at(self.span, "optc reads numbers and texts").help(help));
            }
            field.wanted = true;
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<bool, Diagnostic> {
        if self.row + 1 < self.rows {
            self.row += 1;
            return Ok(true);
        }
        self.next_chunk().map_err(|reason| {
            error("E0403", format!("'{}' is damaged", self.path.display())).at(self.span, reason).note(self.place())
        })
    }

    fn width(&self) -> usize {
        self.fields.len()
    }

    fn cell(&self, field: usize) -> Cell<'_> {
        self.fields.get(field).map_or(Cell::Missing, |field| field.cell(self.row))
    }

    fn text(&self, field: usize) -> Cow<'_, str> {
        match self.cell(field) {
            Cell::Missing => Cow::Borrowed(""),
            Cell::Number(v) => Cow::Owned(v.to_string()),
            Cell::Text(text) => text,
        }
    }

    fn place(&self) -> String {
        format!("{}, row {} (counted from 0)", self.path.display(), self.before + self.row)
    }
}
