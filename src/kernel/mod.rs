//! Loop nests: the form between the fused graph and machine code.
//!
//! A [`Kernel`] walks an iteration space of *rows* and an *inner* axis. The inner axis is the one that is vectorised.
//! Values live at one of three levels: `Scalar` (once a call), `Row` (once a row), `Element` (each inner index).
//! A row reduction turns an Element value into a Row value and thereby ends a *pass* over the row: Element values that
//! depend on it are computed in the next pass. `fuse` builds kernels; `codegen` turns each into one native function
//! that processes a range of rows (or, for a flat space, a range of elements), so that the runtime can spread tiles
//! over threads. Tiles and the order in which their partial results combine never depend on the number of threads.

pub mod interp;
pub mod print;
pub mod rebase;
pub mod verify;

use crate::ir::{ArgKind, Binary, Compare, DType, ReduceKind, Unary};
use crate::source::Span;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    Scalar,
    Row,
    Element,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Space {
    /// One long row: elementwise work and reductions to a scalar over a contiguous index. A task is a range of it.
    Flat { elements: usize },
    /// `outer` axes (their product is the number of rows) around `inner`. A task is a range of rows.
    Grid { outer: Vec<usize>, inner: usize },
    /// Rows of different lengths that lie end to end: row `r` is `offsets[r]..offsets[r + 1]` of the flat index.
    Segments { offsets: Arc<Vec<usize>> },
}

/// A buffer that the kernel reads or writes; arguments of the native function, in this order.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelParam {
    pub dtype: DType,
    /// Elements that may be touched: every access is checked against it when the kernel is built.
    pub elements: usize,
    pub written: bool,
}

/// An affine function of the row's outer indices and the inner index:
/// `offset + sum(outer[k] * outer_strides[k]) + inner * inner_stride`, in elements.
/// In a `Segments` space `outer_strides` has one entry for the row number (Row-level data, `inner_stride` 0), or is
/// `[0]` with `inner_stride` 1 for data along the flat index.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    pub offset: isize,
    pub outer_strides: Vec<isize>,
    pub inner_stride: isize,
}

impl Affine {
    /// The level of data at this place: no stride is Scalar, no inner stride is Row.
    pub fn level(&self) -> Level {
        if self.inner_stride != 0 {
            Level::Element
        } else if self.outer_strides.iter().any(|stride| *stride != 0) {
            Level::Row
        } else {
            Level::Scalar
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum ValueKind {
    Const(f64),
    /// The level follows from the strides: no stride is Scalar, no inner stride is Row.
    Load {
        param: usize,
        at: Affine,
    },
    /// The affine function itself, converted to the value's type.
    Index(Affine),
    /// Word 0 of Threefry-2x32-20, key (key0, key1 ^ stream), counter (index, step); `keys` are three Scalar values
    /// (key0, key1, step) of type I32, and `index` is the row-major position in the random tensor.
    Random {
        stream: u32,
        keys: [ValueId; 3],
        index: Affine,
    },
    Unary(Unary, ValueId),
    Binary(Binary, ValueId, ValueId),
    Compare(Compare, ValueId, ValueId),
    Select(ValueId, ValueId, ValueId),
    /// To the value's dtype.
    Convert(ValueId),
    BitsToUnit(ValueId),
    /// Over the inner axis: Element to Row.
    RowReduce(ReduceKind, ValueId),
    /// Inner index (I32) of the first extreme element: Element to Row.
    RowArg(ArgKind, ValueId),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub kind: ValueKind,
    pub dtype: DType,
    pub level: Level,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Element values at each index, Row values once a row. Scalar values (scalar kernels: `Flat { elements: 1 }`).
    Store { param: usize, at: Affine, value: ValueId },
    /// Reduces an Element value over all rows: one result for each inner index. The native function writes the partial
    /// result of its task into the task's partial block at `slot` (in elements of the value's type, see
    /// [`Kernel::partials`]); the runtime combines blocks in task order and writes parameter `param`.
    ColReduce { kind: ReduceKind, value: ValueId, param: usize },
    /// Reduces an Element or Row value over the whole space to one number, in the same way.
    TotalReduce { kind: ReduceKind, value: ValueId, param: usize },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// For dumps and profiles: the main operations, such as `max_exp_sum_select`.
    pub name: String,
    pub space: Space,
    pub params: Vec<KernelParam>,
    /// In order of definition: operands come first.
    pub values: Vec<Value>,
    pub effects: Vec<Effect>,
}
