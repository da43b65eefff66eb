//! Columns of rows in their compact form, and the conversion of a batch to the run's element type.

use super::images::augment::{self, Augment};
use super::spec::{Column, Schema};
use super::text::{Vocabulary, windows::Windows};
use super::{Split, Turn};
use crate::ir::types::DType;
use crate::runtime::Tensor;
use std::ops::{Add, Mul};
use std::sync::Arc;

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
    /// Some values are missing (NaN) until `impute` replaces them.
    pub missing: bool,
    /// Of tokens.
    pub vocabulary: Option<Arc<Vocabulary>>,
    /// Of labels, where the source names its classes.
    pub class_names: Vec<String>,
    /// What is done to the pictures of training batches.
    pub augment: Option<Augment>,
    /// Rows of training batches are mixed with others: the parameter of the weights' distribution.
    pub mixup: Option<f64>,
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
    /// For `tokenize`.
    Text(Vec<String>),
    /// Tokens of a long text.
    Windows(Windows),
}

impl Values {
    /// Rows of so many elements; nothing for what has no values of its own.
    fn rows(&self, width: usize) -> Option<usize> {
        let width = width.max(1);
        match self {
            Values::Unread | Values::Text(_) | Values::Windows(_) => None,
            Values::Bytes { data, .. } => Some(data.len() / width),
            Values::F32(data) => Some(data.len() / width),
            Values::F64(data) => Some(data.len() / width),
            Values::I32(data) => Some(data.len() / width),
            Values::OneHot(labels) => Some(labels.len()),
        }
    }
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

    /// `turn` is that of a training batch; without it, rows are as they are stored.
    pub fn gather(&self, split: Split, column: usize, rows: &[u32], turn: Option<Turn>, out: &mut Tensor) {
        let index = self.part(split);
        let stored = &self.columns[column];
        let width = stored.width();
        assert_eq!(out.ty().elements(), rows.len() * width, "a batch of {} rows of {width}", rows.len());
        if let Some(turn) = turn
            && (stored.augment.is_some() || stored.mixup.is_some())
        {
            return match out.ty().dtype {
                DType::F32 => stored.draw(turn, index, rows, out.f32s_mut()),
                DType::F64 => stored.draw(turn, index, rows, out.f64s_mut()),
                DType::I32 | DType::Bool => unreachable!("only floats are augmented"),
            };
        }
        let rows = rows.iter().map(|row| index[*row as usize] as usize);
        match out.ty().dtype {
            DType::F32 => stored.gather(width, rows, turn, out.f32s_mut()),
            DType::F64 => stored.gather(width, rows, turn, out.f64s_mut()),
            DType::I32 => stored.gather(width, rows, turn, out.i32s_mut()),
            DType::Bool => {
                stored.gather(width, rows, turn, out.i32s_mut());
                out.i32s_mut().iter_mut().for_each(|v| *v = i32::from(*v != 0));
            }
        }
    }
}

impl Stored {
    pub fn new(name: &str, is_float: bool, shape: Vec<usize>, classes: Option<usize>, values: Values) -> Stored {
        Stored {
            column: Column { name: name.into(), is_float, shape, classes },
            values,
            missing: false,
            vocabulary: None,
            class_names: vec![],
            augment: None,
            mixup: None,
        }
    }

    /// Elements of one row.
    pub fn width(&self) -> usize {
        self.column.shape.iter().product()
    }

    /// Whether a row differs from turn to turn.
    pub fn varies(&self) -> bool {
        let moves = matches!(&self.values, Values::Windows(windows) if windows.is_random());
        moves || self.augment.is_some() || self.mixup.is_some()
    }

    fn gather<T: Element>(&self, width: usize, rows: impl Iterator<Item = usize>, turn: Option<Turn>, out: &mut [T]) {
        if width == 0 {
            return;
        }
        let targets = rows.zip(out.chunks_exact_mut(width));
        match &self.values {
            Values::Text(_) => panic!("column '{}' is text, which opening refuses", self.column.name),
            Values::Unread => panic!("column '{}' was opened for its shape only", self.column.name),
            Values::Bytes { data, divisor, affine: None } => {
                let divide = T::divider(*divisor);
                targets.for_each(|(row, out)| divide.apply(&data[row * width..][..width], out));
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
            Values::Windows(windows) => targets.for_each(|(row, out)| {
                out.iter_mut().zip(windows.row(row, turn)).for_each(|(out, v)| *out = T::from_i32(*v));
            }),
        }
    }

    /// Makes row vectors of class labels.
    pub fn make_one_hot(&mut self, classes: usize) {
        self.values = match std::mem::replace(&mut self.values, Values::Unread) {
            Values::I32(labels) => Values::OneHot(labels),
            Values::Bytes { data, .. } => Values::OneHot(data.into_iter().map(i32::from).collect()),
            other => other,
        };
        self.column.is_float = true;
        self.column.shape = vec![classes];
        self.column.classes = None;
    }

    /// Rows as they are drawn in a training batch; `index` are the train rows, `positions` those wanted among them.
    fn draw<T>(&self, turn: Turn, index: &[u32], positions: &[u32], out: &mut [T])
    where
        T: Element + From<f32> + Add<Output = T> + Mul<Output = T>,
    {
        let width = self.width();
        let zero = T::from(0.0);
        let mut scratch = vec![zero; if self.augment.is_some() { width } else { 0 }];
        let mut other = vec![zero; if self.mixup.is_some() { width } else { 0 }];
        let mut one = |position: usize, out: &mut [T]| {
            self.gather(width, std::iter::once(index[position] as usize), Some(turn), out);
            if let Some(augment) = &self.augment {
                augment.apply(&mut turn.of_row(position), out, &mut scratch);
            }
        };
        for (position, out) in positions.iter().zip(out.chunks_exact_mut(width.max(1))) {
            one(*position as usize, out);
            if let Some(alpha) = self.mixup {
                let mut random = Turn { seed: !turn.seed, ..turn }.of_row(*position as usize);
                let (weight, partner) = augment::partner(&mut random, alpha, index.len());
                one(partner, &mut other);
                let (own, rest) = (T::from(weight as f32), T::from((1.0 - weight) as f32));
                out.iter_mut().zip(&other).for_each(|(out, v)| *out = *out * own + *v * rest);
            }
        }
    }

    /// The class of a row; -1 if it is missing.
    pub fn label(&self, row: usize) -> i32 {
        let mut label = [0];
        self.gather(1, std::iter::once(row), None, &mut label);
        label[0]
    }

    /// All values, one row after another; nothing where only shapes are read.
    pub fn to_f64s(&self) -> Option<Vec<f64>> {
        let rows = self.values.rows(self.width())?;
        let mut out = vec![0.0; rows * self.width()];
        self.gather(self.width(), 0..rows, None, &mut out);
        Some(out)
    }

    /// The values of one row as `f64`, for statistics.
    pub fn row_f64(&self, row: usize, out: &mut [f64]) {
        self.gather(out.len(), std::iter::once(row), None, out);
    }
}

/// An element type of a batch.
trait Element: Copy {
    fn from_f64(v: f64) -> Self;
    fn from_f32(v: f32) -> Self;
    fn from_i32(v: i32) -> Self;
    fn divider(divisor: f64) -> Divider<Self>;

    /// `byte * high + byte * low`
    fn scaled(byte: u8, high: Self, low: Self) -> Self;
}

/// Division of bytes by a number, rounded as division is, but at the speed of a product where that is possible.
enum Divider<T> {
    /// The reciprocal in two parts, the first with so few bits that its product with a byte is exact.
    Product {
        high: T,
        low: T,
    },
    Division(f64),
}

impl<T: Element> Divider<T> {
    fn apply(&self, bytes: &[u8], out: &mut [T]) {
        let pairs = out.iter_mut().zip(bytes);
        match *self {
            Divider::Product { high, low } => pairs.for_each(|(out, byte)| *out = T::scaled(*byte, high, low)),
            Divider::Division(divisor) => pairs.for_each(|(out, byte)| *out = T::from_f64(f64::from(*byte) / divisor)),
        }
    }
}

macro_rules! float_element {
    ($t:ty, $low_bits:expr) => {
        impl Element for $t {
            fn from_f64(v: f64) -> $t {
                v as $t
            }
            fn from_f32(v: f32) -> $t {
                v as $t
            }
            fn from_i32(v: i32) -> $t {
                v as $t
            }
            fn scaled(byte: u8, high: $t, low: $t) -> $t {
                <$t>::from(byte) * high + <$t>::from(byte) * low
            }
            fn divider(divisor: f64) -> Divider<$t> {
                let exact = |byte: u8| (f64::from(byte) / divisor) as $t;
                let reciprocal = (1.0 / divisor) as $t;
                let high = <$t>::from_bits(reciprocal.to_bits() >> $low_bits << $low_bits);
                // The rest of 1/divisor: high * divisor is near 1, so the difference has no rounding to speak of.
                let low = ((1.0 - f64::from(high) * divisor) / divisor) as $t;
                // Few enough bytes exist to try them all.
                if (0..=255).all(|byte| <$t>::scaled(byte, high, low).to_bits() == exact(byte).to_bits()) {
                    Divider::Product { high, low }
                } else {
                    Divider::Division(divisor)
                }
            }
        }
    };
}

// A byte times a number whose last 8 bits (here 9, for a margin) are zero is exact.
float_element!(f32, 9);
float_element!(f64, 9);

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
    fn divider(divisor: f64) -> Divider<i32> {
        Divider::Division(divisor)
    }
    fn scaled(byte: u8, high: i32, low: i32) -> i32 {
        i32::from(byte) * (high + low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_divided_exactly() {
        for divisor in [255.0, 1.0, 256.0, 127.5, 3.0, 0.1, -7.0] {
            let bytes: Vec<u8> = (0..=255).collect();
            let (mut single, mut double) = (vec![0f32; 256], vec![0f64; 256]);
            f32::divider(divisor).apply(&bytes, &mut single);
            f64::divider(divisor).apply(&bytes, &mut double);
            for byte in 0..256 {
                assert_eq!(double[byte], byte as f64 / divisor);
                assert_eq!(single[byte], (byte as f64 / divisor) as f32);
            }
        }
        // The case that matters takes the fast way.
        assert!(matches!(f32::divider(255.0), Divider::Product { .. }));
        assert!(matches!(f64::divider(255.0), Divider::Product { .. }));
    }
}
