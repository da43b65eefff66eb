//! Columns of numbers in a temporary file: groups of rows, and in a group one column behind the other.
//!
//! The file has no name: it vanishes with the process, however that ends.

use super::super::disk::region::{Groups, Region};
use super::super::disk::temporary;
use super::column::Builder;
use crate::source::Span;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

/// Bytes of a group: what waits in memory before it is written.
const GROUP_BYTES: usize = 8 << 20;
/// Rows of a group.
const GROUP_ROWS: std::ops::RangeInclusive<usize> = 64..=1 << 12;

pub struct Spill {
    file: BufWriter<File>,
    /// Elements of a row, for each column.
    widths: Vec<usize>,
    group: usize,
}

/// Bytes of a row of the columns that go to the file.
fn row_bytes(columns: &[Builder]) -> usize {
    columns.iter().filter(|c| c.is_spilled()).map(|c| 8 * c.width.unwrap_or(0)).sum()
}

impl Spill {
    pub fn new(columns: &[Builder]) -> io::Result<Spill> {
        let widths = columns.iter().filter(|c| c.is_spilled()).map(|c| c.width.unwrap_or(0)).collect();
        let file = BufWriter::with_capacity(1 << 18, temporary::file()?);
        Ok(Spill { file, widths, group: Spill::rows_of_a_group(columns) })
    }

    /// So many rows are written together.
    pub fn rows_of_a_group(columns: &[Builder]) -> usize {
        (GROUP_BYTES / row_bytes(columns).max(1)).clamp(*GROUP_ROWS.start(), *GROUP_ROWS.end())
    }

    /// Writes a group, the last one perhaps with fewer rows, and clears the columns.
    pub fn write(&mut self, columns: &mut [Builder], rows: usize) -> io::Result<()> {
        for column in columns.iter_mut().filter(|c| c.is_spilled()) {
            for value in column.numbers() {
                self.file.write_all(&value.to_le_bytes())?;
            }
            // Every group is as long as the first.
            for _ in rows * column.width.unwrap_or(0)..self.group * column.width.unwrap_or(0) {
                self.file.write_all(&[0; 8])?;
            }
            column.clear();
        }
        Ok(())
    }

    /// Where the columns lie.
    pub fn finish(self, rows: usize, place: &str, span: Span) -> Result<Vec<Region>, io::Error> {
        let Spill { file, widths, group } = self;
        let file = Arc::new(file.into_inner().map_err(|failed| failed.into_error())?);
        let bytes = (8 * group * widths.iter().sum::<usize>()) as u64;
        let mut start = 0;
        let mut regions = vec![];
        for width in widths {
            let groups = Some(Groups { rows: group, bytes });
            let place = format!("the temporary file of '{place}'");
            regions.push(Region { file: file.clone(), place, span, start, row_bytes: 8 * width, rows, groups });
            start += (8 * group * width) as u64;
        }
        Ok(regions)
    }
}
