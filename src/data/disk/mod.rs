//! Columns larger than memory: their values stay in a file, and rows are read when a batch wants them.
//!
//! * [`region`]: where rows lie in a file, and reading them; [`encoding`]: numbers as files have them
//! * [`change`]: what steps do to the values, done again to each row that is read
//! * [`select`]: medians and most frequent values, found by reading more than once
//! * [`temporary`]: files without a name, for columns that have no file of their own
//! * [`choice`]: whether a file is read this way
//!
//! The values have the same bits as those of a column in memory: both are computed in the same order and precision.

pub mod change;
pub mod choice;
pub mod encoding;
pub mod region;
pub mod select;
pub mod temporary;

use super::args::Fallible;
use super::element::Element;
use super::table::Affine;
use crate::diag::Diagnostic;
use crate::source::Span;
use change::Change;
use encoding::{Encoding, Kind};
use region::Region;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::sync::Arc;

/// Reading on over so many bytes that nobody wants is cheaper than a second read.
const MOST_GAP: usize = 4 << 10;
/// The most that is read at once, unless one row is larger.
const MOST_BYTES: usize = 4 << 20;

/// A column whose values are in files.
#[derive(Clone, Debug)]
pub struct Disk {
    /// The train part's file and that of the test part, whose rows go on counting.
    regions: Vec<Region>,
    encoding: Encoding,
    /// Elements of a row in the file.
    width: usize,
    changes: Vec<Change>,
    /// Integers were found to be in this range.
    integers: Option<Range<i64>>,
}

impl Disk {
    pub fn new(region: Region, encoding: Encoding, width: usize) -> Disk {
        Disk { regions: vec![region], encoding, width, changes: vec![], integers: None }
    }

    /// Rows of `width` integers below `most`, written to a temporary file.
    pub fn of_integers(
        rows: impl Iterator<Item = Fallible<Vec<i32>>>,
        width: usize,
        most: usize,
        span: Span,
    ) -> Fallible<Disk> {
        let full = |reason: io::Error| vec![temporary::no_room(&reason, span)];
        let mut file = BufWriter::with_capacity(1 << 18, temporary::file().map_err(full)?);
        let mut count = 0;
        for row in rows {
            row?.iter().try_for_each(|v| file.write_all(&v.to_le_bytes())).map_err(full)?;
            count += 1;
        }
        let file = Arc::new(file.into_inner().map_err(|failed| full(failed.into_error()))?);
        let place = "a temporary file".to_string();
        let region = Region { file, place, span, start: 0, row_bytes: 4 * width, rows: count, groups: None };
        let mut disk = Disk::new(region, Encoding { kind: Kind::I32, big_endian: false }, width);
        disk.integers = Some(0..most as i64);
        Ok(disk)
    }

    pub fn is_integer(&self) -> bool {
        self.encoding.is_integer()
    }

    pub fn rows(&self) -> usize {
        self.regions.iter().map(|region| region.rows).sum()
    }

    /// Whether the elements of both are written in the same way.
    pub fn is_like(&self, other: &Disk) -> bool {
        self.encoding == other.encoding && self.width == other.width
    }

    /// Puts the rows of another file behind.
    pub fn append(&mut self, other: Disk) {
        let pair = self.integers.as_ref().zip(other.integers.as_ref());
        self.integers = pair.map(|(a, b)| a.start.min(b.start)..a.end.max(b.end));
        self.regions.extend(other.regions);
    }

    /// One more change of every row; `width` is that of a row before it.
    pub fn change(&mut self, change: Change) {
        let is_pixels = matches!(self.encoding.kind, Kind::Pixel { .. });
        let merged = match (self.changes.as_slice(), &change) {
            // As for bytes in memory: ((v - a) / b - c) / d = (v - (a + b c)) / (b d).
            ([Change::Affine(first)], Change::Affine(second)) if is_pixels => Some(first.then(second)),
            _ => None,
        };
        match merged {
            Some(affine) => self.changes = vec![Change::Affine(affine)],
            None => self.changes.push(change),
        }
    }

    /// The smallest and the largest integer, which are then asked of every row that is read. Reads the whole file.
    pub fn look_through(&mut self) -> Result<(i64, i64), Diagnostic> {
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        let step = (MOST_BYTES / self.row_bytes().max(1)).max(1);
        let (mut raw, mut values) = (vec![], vec![]);
        for from in (0..self.rows()).step_by(step) {
            let rows = from..self.rows().min(from + step);
            self.read(rows.clone(), &mut raw)?;
            values.resize(rows.len() * self.width, 0.0f64);
            self.encoding.decode(&raw, &mut values);
            for v in &values {
                (low, high) = (low.min(*v as i64), high.max(*v as i64));
            }
        }
        self.integers = Some(low..high + 1);
        Ok((low, high))
    }

    fn row_bytes(&self) -> usize {
        self.width * self.encoding.size()
    }

    /// Writes the values of rows, in the order wanted; rows that lie near each other are read together.
    pub fn gather<T: Element>(&self, width: usize, rows: &[usize], out: &mut [T]) -> Result<(), Diagnostic> {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        if !rows.is_sorted() {
            order.sort_unstable_by_key(|position| rows[*position]);
        }
        let row_bytes = self.row_bytes();
        let mut raw = vec![];
        let mut values = vec![0.0; if self.changes.is_empty() { self.width } else { width }];
        let mut wanted = order.as_slice();
        while !wanted.is_empty() {
            let (run, count) = self.run(wanted.iter().map(|position| rows[*position]));
            self.read(run.clone(), &mut raw)?;
            for position in &wanted[..count] {
                let (row, out) = (rows[*position], &mut out[position * width..][..width]);
                let raw = Raw { bytes: &raw, first: run.start, row_bytes };
                if let Some(known) = &self.integers {
                    self.encoding.decode(raw.row(row), &mut values);
                    self.check(&values, row, known)?;
                }
                if self.changes.is_empty() {
                    self.encoding.decode(raw.row(row), out);
                } else {
                    self.row(&self.changes, raw, row, &mut values);
                    out.iter_mut().zip(&values).for_each(|(out, v)| *out = T::from_f64(*v));
                }
            }
            wanted = &wanted[count..];
        }
        Ok(())
    }

    /// What is read at once for the first of these rows, in the order of the file, and for how many it is enough.
    fn run(&self, mut rows: impl Iterator<Item = usize>) -> (Range<usize>, usize) {
        let Some(first) = rows.next() else { return (0..0, 0) };
        let (mut run, mut count) = (self.span(first), 1);
        for row in rows {
            let span = self.span(row);
            let gap = span.start.saturating_sub(run.end) * self.row_bytes();
            let end = run.end.max(span.end);
            if gap > MOST_GAP || (end - run.start) * self.row_bytes() > MOST_BYTES {
                break;
            }
            (run.end, count) = (end, count + 1);
        }
        (run, count)
    }

    /// The rows of the file that make a row.
    fn span(&self, row: usize) -> Range<usize> {
        let (mut from, mut to) = (row, row + 1);
        for change in &self.changes {
            if let Change::Window { length, lost } = change {
                from = from.saturating_sub(*lost);
                to = to.saturating_sub(lost + 1 - length);
            }
        }
        from..to.max(from)
    }

    /// A row after the first changes.
    fn row(&self, changes: &[Change], raw: Raw, row: usize, out: &mut [f64]) {
        let Some((last, before)) = changes.split_last() else { return self.encoding.decode(raw.row(row), out) };
        if let Change::Window { length, lost } = last {
            // Rows without enough past are left out by the step.
            let Some(from) = row.checked_sub(*lost) else { return out.fill(0.0) };
            let width = (out.len() / length).max(1);
            for (past, out) in out.chunks_exact_mut(width).enumerate() {
                self.row(before, raw, from + past, out);
            }
        } else {
            self.row(before, raw, row, out);
            last.apply(out);
        }
    }

    /// Refuses integers that are not what they were, before a program counts on them.
    fn check(&self, values: &[f64], row: usize, known: &Range<i64>) -> Result<(), Diagnostic> {
        match values.iter().find(|v| !known.contains(&(**v as i64))) {
            Some(value) => Err(self.region(row).0.changed(*value)),
            None => Ok(()),
        }
    }

    /// The file of a row, and the row's number in it.
    fn region(&self, row: usize) -> (&Region, usize) {
        let mut inside = row;
        for region in &self.regions {
            if inside < region.rows {
                return (region, inside);
            }
            inside -= region.rows;
        }
        panic!("row {row} of {}", self.rows())
    }

    /// The bytes of consecutive rows.
    fn read(&self, rows: Range<usize>, out: &mut Vec<u8>) -> Result<(), Diagnostic> {
        out.resize(rows.len() * self.row_bytes(), 0);
        let mut rest = out.as_mut_slice();
        let mut from = rows.start;
        while from < rows.end {
            let (region, inside) = self.region(from);
            let count = (rows.end - from).min(region.rows - inside);
            let (piece, more) = rest.split_at_mut(count * self.row_bytes());
            region.read(inside..inside + count, piece)?;
            (rest, from) = (more, from + count);
        }
        Ok(())
    }

    /// Reads rows, in the order of the file, and forgets them: they are then in the system's cache.
    pub fn warm(&self, rows: &[usize]) -> Result<(), Diagnostic> {
        let (mut raw, mut rest) = (vec![], rows);
        while !rest.is_empty() {
            let (run, count) = self.run(rest.iter().copied());
            self.read(run, &mut raw)?;
            rest = &rest[count..];
        }
        Ok(())
    }
}

/// Bytes of consecutive rows.
#[derive(Clone, Copy)]
struct Raw<'a> {
    bytes: &'a [u8],
    first: usize,
    row_bytes: usize,
}

impl<'a> Raw<'a> {
    fn row(self, row: usize) -> &'a [u8] {
        &self.bytes[(row - self.first) * self.row_bytes..][..self.row_bytes]
    }
}

impl Affine {
    /// Both, one after the other, as one.
    pub fn then(&self, second: &Affine) -> Affine {
        let pairs = || self.shift.iter().zip(&self.factor).zip(second.shift.iter().zip(&second.factor));
        Affine {
            shift: pairs().map(|((a, b), (c, _))| a + b * c).collect(),
            factor: pairs().map(|((_, b), (_, d))| b * d).collect(),
        }
    }
}
