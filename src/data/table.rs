//! Columns of rows in their compact form, and the conversion of a batch to the run's element type.

use super::args::Fallible;
use super::disk::Disk;
use super::disk::change::Change;
use super::element::Element;
use super::images::augment::{self, Augment};
use super::spec::{Column, Schema};
use super::tables::Texts;
use super::text::{Vocabulary, windows::Windows};
use super::{Split, Turn};
use crate::diag::Diagnostic;
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
    /// The order of an epoch is drawn from a buffer of so many rows.
    pub buffer: Option<usize>,
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
    Text(Texts),
    /// Tokens of a long text.
    Windows(Windows),
    /// In a file, read when a batch wants them.
    Disk(Disk),
}

impl Values {
    /// Rows of so many elements; nothing for what has no values of its own.
    pub fn rows(&self, width: usize) -> Option<usize> {
        let width = width.max(1);
        match self {
            Values::Unread | Values::Text(_) | Values::Windows(_) => None,
            Values::Bytes { data, .. } => Some(data.len() / width),
            Values::F32(data) => Some(data.len() / width),
            Values::F64(data) => Some(data.len() / width),
            Values::I32(data) => Some(data.len() / width),
            Values::OneHot(labels) => Some(labels.len()),
            Values::Disk(disk) => Some(disk.rows()),
        }
    }
}

/// `(v - shift) / factor`, for each element of a row.
#[derive(Clone, Debug)]
pub struct Affine {
    pub shift: Vec<f64>,
    pub factor: Vec<f64>,
}

impl Table {
    /// A table whose first `train` rows are for training and whose next `test` rows are for testing.
    pub fn new(columns: Vec<Stored>, train: usize, test: usize) -> Table {
        let all = (train + test) as u32;
        let (train, test) = ((0..train as u32).collect(), (train as u32..all).collect());
        Table { columns, train, test, buffer: None }
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
    pub fn gather(
        &self,
        split: Split,
        column: usize,
        rows: &[u32],
        turn: Option<Turn>,
        out: &mut Tensor,
    ) -> Result<(), Diagnostic> {
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
                stored.gather(width, rows, turn, out.i32s_mut())?;
                out.i32s_mut().iter_mut().for_each(|v| *v = i32::from(*v != 0));
                Ok(())
            }
        }
    }

    /// Reads train rows one after another, before batches take them in another order.
    pub fn warm(&self, positions: &[u32]) -> Result<(), Diagnostic> {
        let mut rows = vec![];
        for stored in &self.columns {
            if let Values::Disk(disk) = &stored.values {
                if rows.is_empty() {
                    rows = positions.iter().map(|position| self.train[*position as usize] as usize).collect();
                    rows.sort_unstable();
                    rows.dedup();
                }
                disk.warm(&rows)?;
            }
        }
        Ok(())
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

    fn gather<T: Element>(
        &self,
        width: usize,
        rows: impl Iterator<Item = usize>,
        turn: Option<Turn>,
        out: &mut [T],
    ) -> Result<(), Diagnostic> {
        if width == 0 {
            return Ok(());
        }
        if let Values::Disk(disk) = &self.values {
            return disk.gather(width, &rows.collect::<Vec<_>>(), out);
        }
        let targets = rows.zip(out.chunks_exact_mut(width));
        match &self.values {
            Values::Text(_) => panic!("column '{}' is text, which opening refuses", self.column.name),
            Values::Unread | Values::Disk(_) => panic!("column '{}' was opened for its shape only", self.column.name),
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
        Ok(())
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
    fn draw<T>(&self, turn: Turn, index: &[u32], positions: &[u32], out: &mut [T]) -> Result<(), Diagnostic>
    where
        T: Element + From<f32> + Add<Output = T> + Mul<Output = T>,
    {
        let width = self.width();
        let zero = T::from(0.0);
        let mut scratch = vec![zero; if self.augment.is_some() { width } else { 0 }];
        let mut fetch = |positions: &[usize], out: &mut [T]| {
            self.gather(width, positions.iter().map(|position| index[*position] as usize), Some(turn), out)?;
            for (position, out) in positions.iter().zip(out.chunks_exact_mut(width.max(1))) {
                if let Some(augment) = &self.augment {
                    augment.apply(&mut turn.of_row(*position), out, &mut scratch);
                }
            }
            Ok(())
        };
        let positions: Vec<usize> = positions.iter().map(|position| *position as usize).collect();
        fetch(&positions, out)?;
        let Some(alpha) = self.mixup else { return Ok(()) };
        let partner = |position: &usize| {
            let mut random = Turn { seed: !turn.seed, ..turn }.of_row(*position);
            augment::partner(&mut random, alpha, index.len())
        };
        let (weights, partners): (Vec<f64>, Vec<usize>) = positions.iter().map(partner).unzip();
        let mut others = vec![zero; out.len()];
        fetch(&partners, &mut others)?;
        let pairs = out.chunks_exact_mut(width.max(1)).zip(others.chunks_exact(width.max(1)));
        for (weight, (out, other)) in weights.into_iter().zip(pairs) {
            let (own, rest) = (T::from(weight as f32), T::from((1.0 - weight) as f32));
            out.iter_mut().zip(other).for_each(|(out, v)| *out = *out * own + *v * rest);
        }
        Ok(())
    }

    /// The class of a row; -1 if it is missing.
    pub fn label(&self, row: usize) -> Fallible<i32> {
        let mut label = [0];
        self.gather(1, std::iter::once(row), None, &mut label).map_err(|lost| vec![lost])?;
        Ok(label[0])
    }

    /// All values, one row after another; nothing where only shapes are read, or where they are in a file.
    pub fn to_f64s(&self) -> Option<Vec<f64>> {
        let rows = self.values.rows(self.width())?;
        let mut out = vec![0.0; rows * self.width()];
        self.gather(self.width(), 0..rows, None, &mut out).ok()?;
        Some(out)
    }

    /// Gives `f` the values of each of the rows, in their order, as `f64`.
    pub fn each(&self, rows: impl Iterator<Item = usize>, mut f: impl FnMut(&[f64])) -> Fallible<()> {
        let width = self.width();
        let some = ((1 << 17) / width.max(1)).max(1);
        let (mut rows, mut picked, mut values) = (rows, vec![], vec![]);
        loop {
            picked.clear();
            picked.extend(rows.by_ref().take(some));
            if picked.is_empty() {
                return Ok(());
            }
            values.resize(picked.len() * width, 0.0);
            self.gather(width, picked.iter().copied(), None, &mut values).map_err(|lost| vec![lost])?;
            (0..picked.len()).for_each(|k| f(&values[k * width..][..width]));
        }
    }

    /// Leaves a change of values to the time when rows are read; false if they are in memory, where it is done at once.
    pub fn put_off(&mut self, change: impl FnOnce() -> Change) -> bool {
        match &mut self.values {
            Values::Disk(disk) => {
                disk.change(change());
                true
            }
            _ => false,
        }
    }
}
