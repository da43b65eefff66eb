//! The primitives as the language names them. Everything else is written in `stdlib/*.opt`.

use crate::ir::op::Decomposition;
use crate::ir::{ArgKind, Binary, PoolKind, ReduceKind, Unary};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// `exp(x)`, …
    Unary(Unary),
    /// `maximum(a, b)`, `minimum(a, b)`
    Binary(Binary),
    /// `where(c, a, b)`
    Where,
    /// `sum(x, axis = all, keep = false)`, `prod`, `max`, `min`
    Reduce(ReduceKind),
    /// `all.sum(x)`: over every tensor of the group that an optimizer updates.
    GroupReduce(ReduceKind),
    GroupMean,
    GroupNorm,
    /// `all.rows(x)` in a metric: the rows of all batches of the pass.
    AllRows,
    /// `grad_at(theta + e)`: the gradient of what is minimized at another point.
    GradAt,
    /// `loss_at(theta - lr*g)`: the value of what is minimized at another point.
    LossAt,
    /// `hvp(u)`: the Hessian of what is minimized, times a direction.
    Hvp,
    /// `grad(y, x)`: the gradient of a scalar with respect to a value that it is made of.
    Grad,
    /// `einsum("ij,jk->ik", a, b)`
    Einsum,
    /// `eigh(a)` gives (values, vectors); `orthonormal(a)`, `cholesky(a)`, `solve(a, b)`
    Decompose(Decomposition),
    /// `scaled_attention(q, k, v, mask, heads = 1, groups = heads, scale, causal = false)`
    Attention,
    /// `argmax(x, axis)`
    Arg(ArgKind),
    /// `cumsum(x, axis, reverse = false)`, `cumprod`, `cummax`, `cummin`
    Cumulative(ReduceKind),
    /// `argsort(x, axis, descending = false)`
    ArgSort,
    /// `gather(x, index, axis = 0)`
    Gather,
    /// `scatter_add(base, index, updates, axis = 0)`
    ScatterAdd,
    /// `conv(x, w, stride = 1, padding = 0, dilation = 1, groups = 1)`, `conv_transpose` with `output_padding = 0`
    Conv {
        transposed: bool,
    },
    /// `window_sum(x, size, stride = size, padding = 0, dilation = 1)`, `window_max`
    Window(PoolKind),
    /// `reshape(x, [a, -1])`
    Reshape,
    /// `transpose(x, [1, 0])`; without a list the last two axes are swapped.
    Transpose,
    /// `broadcast(x, [a, b])`
    Broadcast,
    /// `concat([a, b], axis = 0)`
    Concat,
    /// `flip(x, axis)`
    Flip,
    /// `pad(x, low = [..], high = [..], value = 0)`
    Pad,
    /// `indices(shape, axis)`: each element's position along an axis, as ints.
    Indices,
    /// `shape(x)`, `rank(x)`, `size(x, axis = all)`
    Shape,
    Rank,
    Size,
    /// `is_int(x)`: whether the elements are ints, at compile time.
    IsInt,
    /// `random_unit(shape)`: uniform in [0, 1).
    RandomUnit,
    /// `float(x)`, `int(x)`, `bool(x)`
    ToFloat,
    ToInt,
    ToBool,
    StopGradient,
    /// `len(list)`
    Len,
    /// `params(part)`: the list of a model's parameters.
    Params,
    /// `stack(n, layer)`
    Stack,
    /// `load("file.npz", "key")`: an initializer that reads a file.
    Load,
    /// `assert(condition, "text")`: a compile-time check of hyper-parameters and shapes.
    Assert,
}

/// Numbers with names.
pub const NAMED_CONSTANTS: &[(&str, f64)] =
    &[("pi", std::f64::consts::PI), ("e", std::f64::consts::E), ("inf", f64::INFINITY), ("nan", f64::NAN)];

const TABLE: &[(&str, Builtin)] = &[
    ("neg", Builtin::Unary(Unary::Neg)),
    ("abs", Builtin::Unary(Unary::Abs)),
    ("sign", Builtin::Unary(Unary::Sign)),
    ("exp", Builtin::Unary(Unary::Exp)),
    ("expm1", Builtin::Unary(Unary::Expm1)),
    ("log", Builtin::Unary(Unary::Log)),
    ("log1p", Builtin::Unary(Unary::Log1p)),
    ("sqrt", Builtin::Unary(Unary::Sqrt)),
    ("rsqrt", Builtin::Unary(Unary::Rsqrt)),
    ("sin", Builtin::Unary(Unary::Sin)),
    ("cos", Builtin::Unary(Unary::Cos)),
    ("atan", Builtin::Unary(Unary::Atan)),
    ("tanh", Builtin::Unary(Unary::Tanh)),
    ("logistic", Builtin::Unary(Unary::Logistic)),
    ("erf", Builtin::Unary(Unary::Erf)),
    ("floor", Builtin::Unary(Unary::Floor)),
    ("ceil", Builtin::Unary(Unary::Ceil)),
    ("round", Builtin::Unary(Unary::Round)),
    ("is_finite", Builtin::Unary(Unary::IsFinite)),
    ("maximum", Builtin::Binary(Binary::Max)),
    ("minimum", Builtin::Binary(Binary::Min)),
    ("where", Builtin::Where),
    ("sum", Builtin::Reduce(ReduceKind::Sum)),
    ("prod", Builtin::Reduce(ReduceKind::Prod)),
    ("max", Builtin::Reduce(ReduceKind::Max)),
    ("min", Builtin::Reduce(ReduceKind::Min)),
    ("all.sum", Builtin::GroupReduce(ReduceKind::Sum)),
    ("all.max", Builtin::GroupReduce(ReduceKind::Max)),
    ("all.min", Builtin::GroupReduce(ReduceKind::Min)),
    ("all.mean", Builtin::GroupMean),
    ("all.norm", Builtin::GroupNorm),
    ("all.rows", Builtin::AllRows),
    ("eigh", Builtin::Decompose(Decomposition::Eigh)),
    ("orthonormal", Builtin::Decompose(Decomposition::Orthonormal)),
    ("cholesky", Builtin::Decompose(Decomposition::Cholesky)),
    ("solve", Builtin::Decompose(Decomposition::Solve)),
    ("scaled_attention", Builtin::Attention),
    ("grad_at", Builtin::GradAt),
    ("loss_at", Builtin::LossAt),
    ("hvp", Builtin::Hvp),
    ("grad", Builtin::Grad),
    ("einsum", Builtin::Einsum),
    ("argmax", Builtin::Arg(ArgKind::Max)),
    ("argmin", Builtin::Arg(ArgKind::Min)),
    ("cumsum", Builtin::Cumulative(ReduceKind::Sum)),
    ("cumprod", Builtin::Cumulative(ReduceKind::Prod)),
    ("cummax", Builtin::Cumulative(ReduceKind::Max)),
    ("cummin", Builtin::Cumulative(ReduceKind::Min)),
    ("argsort", Builtin::ArgSort),
    ("gather", Builtin::Gather),
    ("scatter_add", Builtin::ScatterAdd),
    ("conv", Builtin::Conv { transposed: false }),
    ("conv_transpose", Builtin::Conv { transposed: true }),
    ("window_sum", Builtin::Window(PoolKind::Sum)),
    ("window_max", Builtin::Window(PoolKind::Max)),
    ("reshape", Builtin::Reshape),
    ("transpose", Builtin::Transpose),
    ("broadcast", Builtin::Broadcast),
    ("concat", Builtin::Concat),
    ("flip", Builtin::Flip),
    ("pad", Builtin::Pad),
    ("indices", Builtin::Indices),
    ("shape", Builtin::Shape),
    ("rank", Builtin::Rank),
    ("size", Builtin::Size),
    ("is_int", Builtin::IsInt),
    ("random_unit", Builtin::RandomUnit),
    ("float", Builtin::ToFloat),
    ("int", Builtin::ToInt),
    ("bool", Builtin::ToBool),
    ("stop_gradient", Builtin::StopGradient),
    ("len", Builtin::Len),
    ("params", Builtin::Params),
    ("stack", Builtin::Stack),
    ("load", Builtin::Load),
    ("assert", Builtin::Assert),
];

impl Builtin {
    pub fn from_name(name: &str) -> Option<Builtin> {
        TABLE.iter().find(|(n, _)| *n == name).map(|(_, b)| *b)
    }

    pub fn name(self) -> &'static str {
        TABLE.iter().find(|(_, b)| *b == self).map_or("?", |(n, _)| n)
    }

    /// Names that are called directly (not `all.…`).
    pub fn names() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|(n, _)| *n).filter(|n| !n.contains('.'))
    }

    /// `sum` of `all.sum`, and so on.
    pub fn names_of_all() -> impl Iterator<Item = &'static str> {
        TABLE.iter().filter_map(|(n, _)| n.strip_prefix("all."))
    }
}
