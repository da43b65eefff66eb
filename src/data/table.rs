//! Columns of rows in their compact form, and the conversion of a batch to the run's element type.

use super::Split;
use super::spec::{Column, Schema};
use crate::ir::types::DType;
use crate::runtime::Tensor;

/// How much of a source is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Names, shapes and row counts: large values may be [`Values::Unread`].
    Shapes,
    All,
}

/// More rows than this (a gigabyte of row numbers) are refused.
pub const MOST_ROWS: usize = 1 << 28;

/// All rows of all columns, and which of them are train and test rows, in order. Choosing rows moves no values.
#[derive(Debug)]
pub struct Table {
    pub columns: Vec<Stored>,
    pub train: Vec<u32>,
    pub test: Vec<u32>,
}

/// One column: what the checker sees, and its values, row after row.
#[derive(Debug)]
pub struct Stored {
    pub column: Column,
    pub values: Values,
}

#[derive(Debug)]
pub enum Values {
    /// Left out because only the shapes are needed.
    Unread,
    /// Pixels: the value is `(byte / divisor - shift) / factor`, with one shift and factor for each element of a row.
    Bytes {
        data: Vec<u8>,
        divisor: f64,
        affine: Option<Affine>,
    },
    F32(Vec<f32>),
    F64(Vec<f64>),
    I32(Vec<i32>),
    /// Row vectors that are 1 at the label and 0 elsewhere.
    OneHot(Vec<i32>),
}

#[derive(Debug)]
pub struct Affine {
    pub shift: Vec<f64>,
    pub factor: Vec<f64>,
}

impl Table {
    /// A table whose first `train` rows are for training and whose next `test` rows are for testing.
    pub fn new(columns: Vec<Stored>, train: usize, test: usize) -> Table {
        let all = (train + test) as u32;
        Table { columns, train: (0..train as u32).collect(), test: (train as u32..all).collect() }
    }

    pub fn schema(&self) -> Schema {
        Schema {
            columns: self.columns.iter().map(|c| c.column.clone()).collect(),
            train_rows: self.train.len(),
            test_rows: self.test.len(),
        }
    }

    pub fn part(&self, split: Split) -> &[u32] {
        match split {
            Split::Train => &self.train,
            Split::Test => &self.test,
        }
    }

    pub fn gather(&self, split: Split, column: usize, rows: &[u32], out: &mut Tensor) {
        let index = self.part(split);
        let stored = &self.columns[column];
        let width = stored.width();
        assert_eq!(out.ty().elements(), rows.len() * width, "a batch of {} rows of {width}", rows.len());
        let rows = rows.iter().map(|row| index[*row as usize] as usize);
        match out.ty().dtype {
            DType::F32 => stored.gather(width, rows, out.f32s_mut()),
            DType::F64 => stored.gather(width, rows, out.f64s_mut()),
            DType::I32 => stored.gather(width, rows, out.i32s_mut()),
            DType::Bool => {
                stored.gather(width, rows, out.i32s_mut());
                out.i32s_mut().iter_mut().for_each(|v| *v = i32::from(*v != 0));
            }
        }
    }
}

impl Stored {
    pub fn new(name: &str, is_float: bool, shape: Vec<usize>, classes: Option<usize>, values: Values) -> Stored {
        Stored { column: Column { name: name.into(), is_float, shape, classes }, values }
    }

    /// Elements of one row.
    pub fn width(&self) -> usize {
        self.column.shape.iter().product()
    }

    fn gather<T: Element>(&self, width: usize, rows: impl Iterator<Item = usize>, out: &mut [T]) {
        if width == 0 {
            return;
        }
        let targets = rows.zip(out.chunks_exact_mut(width));
        match &self.values {
            Values::Unread => panic!("column '{}' was opened for its shape only", self.column.name),
            Values::Bytes { data, divisor, affine: None } => {
                targets.for_each(|(row, out)| T::divide_bytes(&data[row * width..][..width], *divisor, out));
            }
            Values::Bytes { data, divisor, affine: Some(affine) } => targets.for_each(|(row, out)| {
                let scales = affine.shift.iter().zip(&affine.factor);
                for ((out, byte), (shift, factor)) in out.iter_mut().zip(&data[row * width..][..width]).zip(scales) {
                    *out = T::from_f64((f64::from(*byte) / divisor - shift) / factor);
                }
            }),
            Values::F32(data) => targets.for_each(|(row, out)| {
                out.iter_mut().zip(&data[row * width..][..width]).for_each(|(out, v)| *out = T::from_f32(*v));
            }),
            Values::F64(data) => targets.for_each(|(row, out)| {
                out.iter_mut().zip(&data[row * width..][..width]).for_each(|(out, v)| *out = T::from_f64(*v));
            }),
            Values::I32(data) => targets.for_each(|(row, out)| {
                out.iter_mut().zip(&data[row * width..][..width]).for_each(|(out, v)| *out = T::from_i32(*v));
            }),
            Values::OneHot(labels) => targets.for_each(|(row, out)| {
                out.fill(T::from_i32(0));
                out[labels[row] as usize] = T::from_i32(1);
            }),
        }
    }

    /// The values of one row as `f64`, for statistics.
    pub fn row_f64(&self, row: usize, out: &mut [f64]) {
        self.gather(out.len(), std::iter::once(row), out);
    }
}

/// An element type of a batch.
trait Element: Copy {
    fn from_f64(v: f64) -> Self;
    fn from_f32(v: f32) -> Self;
    fn from_i32(v: i32) -> Self;

    /// Division, not a product with the reciprocal: it gives the rounded quotient in each type.
    fn divide_bytes(bytes: &[u8], divisor: f64, out: &mut [Self]) {
        out.iter_mut().zip(bytes).for_each(|(out, byte)| *out = Self::from_f64(f64::from(*byte) / divisor));
    }
}

impl Element for f32 {
    fn from_f64(v: f64) -> f32 {
        v as f32
    }
    fn from_f32(v: f32) -> f32 {
        v
    }
    fn from_i32(v: i32) -> f32 {
        v as f32
    }
    fn divide_bytes(bytes: &[u8], divisor: f64, out: &mut [f32]) {
        let divisor = divisor as f32;
        out.iter_mut().zip(bytes).for_each(|(out, byte)| *out = f32::from(*byte) / divisor);
    }
}

impl Element for f64 {
    fn from_f64(v: f64) -> f64 {
        v
    }
    fn from_f32(v: f32) -> f64 {
        f64::from(v)
    }
    fn from_i32(v: i32) -> f64 {
        f64::from(v)
    }
}

impl Element for i32 {
    fn from_f64(v: f64) -> i32 {
        v as i32
    }
    fn from_f32(v: f32) -> i32 {
        v as i32
    }
    fn from_i32(v: i32) -> i32 {
        v
    }
}
