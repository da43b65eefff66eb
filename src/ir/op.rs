//! The primitives. The set is closed: layers, losses and optimizers are written in the language and never add one.
//!
//! Conventions (reference: the same names in StableHLO):
//! * operands of elementwise primitives have equal shapes: broadcasting is explicit ([`Op::Broadcast`]);
//! * reductions drop the axes they reduce;
//! * derivative at a tie: `max`/`min` of two equal operands gives half to each; a max/min reduction splits evenly
//!   among all the equal elements, a running one takes the latest of them; `abs` and `sign` have derivative 0 at 0.

use super::attention::Attention;
use super::types::{DType, Shape};
use super::window::{ConvPart, PoolKind, Window};

/// Elementwise functions of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unary {
    Neg,
    Abs,
    /// -1, 0 or 1; NaN stays NaN.
    Sign,
    Exp,
    Expm1,
    Log,
    Log1p,
    Sqrt,
    /// 1 / sqrt(x).
    Rsqrt,
    Sin,
    Cos,
    Atan,
    Tanh,
    /// 1 / (1 + exp(-x)).
    Logistic,
    Erf,
    Floor,
    Ceil,
    /// To the nearest integer, ties to even.
    Round,
    /// Boolean negation.
    Not,
    /// Float to bool: neither infinite nor NaN.
    IsFinite,
}

/// Elementwise functions of two operands of the same type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    /// Floats: IEEE division. Ints: truncating; division by zero gives 0.
    Div,
    /// Floats only.
    Pow,
    /// NaN if either operand is NaN.
    Max,
    Min,
    /// Remainder with the sign of the divisor (as Python's `%`); by zero: NaN, ints 0.
    Rem,
    And,
    Or,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReduceKind {
    Sum,
    Prod,
    Max,
    Min,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ArgKind {
    Max,
    Min,
}

/// What is made of a matrix, the last two axes of the operand; axes before them are a batch. Without a result (singular,
/// not finite), all elements are NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Decomposition {
    /// Of the symmetric part of [n, n]: a first row of eigenvalues, ascending, above the matrix whose columns are the
    /// eigenvectors: [n + 1, n].
    Eigh,
    /// Of [m, n]: orthonormal columns that span the same, Q of A = Q R with R's diagonal not negative: [m, min(m, n)].
    Orthonormal,
    /// L of A = L Lᵀ.
    Cholesky,
    /// X of A X = B.
    Solve,
}

/// A primitive with its static attributes. Operands are in [`super::Node::args`].
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// The graph's input of this index. No operands.
    Input(usize),
    /// A scalar of the node's element type; ints and bools are stored exactly. No operands.
    Const(f64),
    /// A dense constant tensor, row-major. No operands.
    Dense(std::sync::Arc<Vec<f64>>),
    /// 0, 1, 2, … along `axis`, of the node's type (I32 or float). No operands.
    Iota {
        axis: usize,
    },
    /// 32 random bits an element, as I32. Operands: `key0`, `key1`, `step` (scalar I32 each).
    /// Element `i` (row-major index) is word 0 of Threefry-2x32-20 with key (key0, key1 ^ stream) and counter (i, step).
    RandomBits {
        stream: u32,
    },

    Unary(Unary),
    Binary(Binary),
    /// Result: Bool.
    Compare(Compare),
    /// Operands: condition (Bool), then, else; all of one shape.
    Select,
    /// To the node's element type. Float to int truncates towards zero (saturating, NaN to 0); bool to number is 0 or 1;
    /// number to bool is `!= 0`.
    Convert,
    /// I32 bits to a float in [0, 1) of the node's type: the upper 24 bits times 2^-24, for F32 and F64 alike.
    BitsToUnit,
    /// Identity with derivative zero.
    StopGradient,

    /// To the node's shape; operand axis `k` becomes result axis `axes[k]` (strictly increasing), where its size is
    /// either the result's or 1. Other result axes are new.
    Broadcast {
        axes: Vec<usize>,
    },
    Reshape,
    /// Result axis `k` is operand axis `perm[k]`.
    Transpose {
        perm: Vec<usize>,
    },
    /// Elements `start[k], start[k] + stride[k], … < limit[k]` of every axis. Strides are at least 1.
    Slice {
        start: Shape,
        limit: Shape,
        stride: Shape,
    },
    /// `low` and `high` elements of value operand 1 (scalar) around, `interior` between every two elements of each axis.
    Pad {
        low: Shape,
        high: Shape,
        interior: Shape,
    },
    /// One or more operands end to end.
    Concat {
        axis: usize,
    },
    /// Reverses the axes.
    Reverse {
        axes: Vec<usize>,
    },

    /// Operands: data [.., A, ..], index (I32, any shape I). Result: `data` with `axis` replaced by the axes of I.
    /// An index outside 0..A is clamped by construction of the data checks; kernels clamp it.
    Gather {
        axis: usize,
    },
    /// Operands: base, index (I32, shape I), updates (shape as Gather's result). Adds each update to a copy of `base`.
    ScatterAdd {
        axis: usize,
    },

    /// Drops `axes` (strictly increasing, at least one).
    Reduce {
        kind: ReduceKind,
        axes: Vec<usize>,
    },
    /// Index (I32) of the first extreme element along `axis`, which is dropped. A NaN counts as the extreme.
    ArgReduce {
        kind: ArgKind,
        axis: usize,
    },
    /// Running sum (Sum) or product (Prod), maximum or minimum along an axis.
    Cumulative {
        kind: ReduceKind,
        axis: usize,
        reverse: bool,
    },
    /// Stable sort along an axis; NaN last. Operands: keys. Result: the I32 permutation (gather along axis to sort).
    ArgSort {
        axis: usize,
        descending: bool,
    },
    /// General dot product. Result axes: batch, then free axes of the left, then free axes of the right operand.
    Dot {
        lhs_batch: Vec<usize>,
        rhs_batch: Vec<usize>,
        lhs_contract: Vec<usize>,
        rhs_contract: Vec<usize>,
    },
    /// One of the three values of a convolution from the other two ([`super::window`]).
    Conv {
        part: ConvPart,
        window: Box<Window>,
        groups: usize,
    },
    /// Of windows over an image: what is made of each, or the transpose of that.
    Pool {
        kind: PoolKind,
        window: Box<Window>,
    },
    /// Softmax of scaled products of queries and keys, times values; [`super::attention`] tells operands and result.
    Attention(Attention),
    /// The cotangents of queries, keys and values, one after the other in one row; `joint`: side by side in the last axis.
    /// Operands: those of [`Op::Attention`] (q, k, v), its result, the cotangent of its output, and the mask if there is one.
    AttentionGrad {
        of: Attention,
        joint: bool,
    },
    /// Of the operand, or of two for [`Decomposition::Solve`].
    Decompose(Decomposition),
    /// Reduction of a rank-1 operand over consecutive segments: result element `s` reduces
    /// `[offsets[s], offsets[s + 1])`. `offsets` has one entry more than there are segments.
    SegmentReduce {
        kind: ReduceKind,
        offsets: std::sync::Arc<Vec<usize>>,
    },
    /// The inverse shape: element `s` of a rank-1 operand repeated over its segment.
    SegmentBroadcast {
        offsets: std::sync::Arc<Vec<usize>>,
    },
    /// A loop with a body ([`super::scan`]).
    Scan(std::sync::Arc<super::scan::Scan>),
}

impl Op {
    /// Result element `i` depends on operand elements `i` alone.
    pub fn is_elementwise(&self) -> bool {
        matches!(
            self,
            Op::Unary(_)
                | Op::Binary(_)
                | Op::Compare(_)
                | Op::Select
                | Op::Convert
                | Op::BitsToUnit
                | Op::StopGradient
        )
    }

    /// The name in IR text; attributes follow it in brackets.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input(_) => "input",
            Op::Const(_) => "const",
            Op::Dense(_) => "dense",
            Op::Iota { .. } => "iota",
            Op::RandomBits { .. } => "random_bits",
            Op::Unary(u) => u.name(),
            Op::Binary(b) => b.name(),
            Op::Compare(c) => c.name(),
            Op::Select => "select",
            Op::Convert => "convert",
            Op::BitsToUnit => "bits_to_unit",
            Op::StopGradient => "stop_gradient",
            Op::Broadcast { .. } => "broadcast",
            Op::Reshape => "reshape",
            Op::Transpose { .. } => "transpose",
            Op::Slice { .. } => "slice",
            Op::Pad { .. } => "pad",
            Op::Concat { .. } => "concat",
            Op::Reverse { .. } => "reverse",
            Op::Gather { .. } => "gather",
            Op::ScatterAdd { .. } => "scatter_add",
            Op::Reduce { kind, .. } => match kind {
                ReduceKind::Sum => "reduce_sum",
                ReduceKind::Prod => "reduce_prod",
                ReduceKind::Max => "reduce_max",
                ReduceKind::Min => "reduce_min",
            },
            Op::ArgReduce { kind: ArgKind::Max, .. } => "argmax",
            Op::ArgReduce { kind: ArgKind::Min, .. } => "argmin",
            Op::Cumulative { kind, .. } => match kind {
                ReduceKind::Sum => "cumsum",
                ReduceKind::Prod => "cumprod",
                ReduceKind::Max => "cummax",
                ReduceKind::Min => "cummin",
            },
            Op::ArgSort { .. } => "argsort",
            Op::Dot { .. } => "dot",
            Op::Conv { part, .. } => part.name(),
            Op::Pool { kind, .. } => kind.name(),
            Op::Attention(_) => "attention",
            Op::AttentionGrad { .. } => "attention_grad",
            Op::Decompose(d) => d.name(),
            Op::SegmentReduce { kind, .. } => match kind {
                ReduceKind::Sum => "segment_sum",
                ReduceKind::Prod => "segment_prod",
                ReduceKind::Max => "segment_max",
                ReduceKind::Min => "segment_min",
            },
            Op::SegmentBroadcast { .. } => "segment_broadcast",
            Op::Scan(_) => "scan",
        }
    }
}

/// Declares `ALL`, `name` and `from_name` of an enum of plain variants: one table, used by printer, parser and checker.
macro_rules! names {
    ($type:ident { $($variant:ident = $name:literal),* $(,)? }) => {
        impl $type {
            pub const ALL: &'static [$type] = &[$($type::$variant),*];

            pub fn name(self) -> &'static str {
                match self { $($type::$variant => $name),* }
            }

            pub fn from_name(name: &str) -> Option<$type> {
                match name { $($name => Some($type::$variant),)* _ => None }
            }
        }
    };
}

names!(Unary {
    Neg = "neg", Abs = "abs", Sign = "sign", Exp = "exp", Expm1 = "expm1", Log = "log", Log1p = "log1p", Sqrt = "sqrt",
    Rsqrt = "rsqrt", Sin = "sin", Cos = "cos", Atan = "atan", Tanh = "tanh", Logistic = "logistic", Erf = "erf",
    Floor = "floor", Ceil = "ceil", Round = "round", Not = "not", IsFinite = "is_finite",
});
names!(Binary {
    Add = "add", Sub = "sub", Mul = "mul", Div = "div", Pow = "pow", Max = "maximum", Min = "minimum", Rem = "rem",
    And = "and", Or = "or",
});
names!(Decomposition { Eigh = "eigh", Orthonormal = "orthonormal", Cholesky = "cholesky", Solve = "solve" });
names!(ConvPart { Result = "conv", Image = "conv_image", Kernel = "conv_kernel" });
names!(PoolKind {
    Sum = "window_sum", Spread = "window_spread", Max = "window_max", Pick = "window_pick", Scatter = "window_scatter",
});
names!(Compare { Eq = "eq", Ne = "ne", Lt = "lt", Le = "le", Gt = "gt", Ge = "ge" });

/// The element type that an attribute-only op must be told (constants, iota, conversions): whether the printer states it.
pub fn takes_type_from_node(op: &Op) -> bool {
    matches!(op, Op::Const(_) | Op::Dense(_) | Op::Iota { .. } | Op::Convert | Op::BitsToUnit)
}

/// What [`super::infer`] cannot derive from the operands and therefore receives from the builder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hint {
    pub dtype: Option<DType>,
    pub shape: Option<Shape>,
}
