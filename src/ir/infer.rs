//! The type of a node from its operation and operands. The verifier and the builder share this definition.

use super::op::{Binary, Decomposition, Hint, Op, ReduceKind, Unary};
use super::types::{DType, Shape, Type};
use super::window::{ConvPart, PoolKind, Window, conv_shape};
use std::fmt;

/// Why an operation cannot be applied, in words for the internal error or the IR parser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InferError(pub String);

impl fmt::Display for InferError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fail<T>(text: impl Into<String>) -> Result<T, InferError> {
    Err(InferError(text.into()))
}

fn want(condition: bool, text: impl FnOnce() -> String) -> Result<(), InferError> {
    if condition { Ok(()) } else { Err(InferError(text())) }
}

fn operands<const N: usize>(args: &[&Type]) -> Result<[Type; N], InferError> {
    let owned: Vec<Type> = args.iter().map(|t| (*t).clone()).collect();
    let n = owned.len();
    owned.try_into().map_err(|_| InferError(format!("expected {N} operands, found {n}")))
}

fn axis_in(axis: usize, rank: usize) -> Result<(), InferError> {
    want(axis < rank, || format!("axis {axis} of a value of rank {rank}"))
}

fn increasing(axes: &[usize], rank: usize) -> Result<(), InferError> {
    want(axes.windows(2).all(|w| w[0] < w[1]), || format!("axes {axes:?} are not increasing"))?;
    axes.last().map_or(Ok(()), |a| axis_in(*a, rank))
}

/// Infers the result type of `op`. Types too large to address are errors.
pub fn infer(op: &Op, args: &[&Type], hint: &Hint) -> Result<Type, InferError> {
    let addressable = |ty: &Type| want(ty.is_addressable(), || format!("{ty} is too large for memory"));
    if let Some(shape) = &hint.shape {
        addressable(&Type::new(DType::F64, shape.clone()))?;
    }
    let ty = result_type(op, args, hint)?;
    addressable(&ty)?;
    Ok(ty)
}

fn result_type(op: &Op, args: &[&Type], hint: &Hint) -> Result<Type, InferError> {
    let hinted_dtype = || hint.dtype.ok_or_else(|| InferError("needs an element type".into()));
    let hinted_shape = || hint.shape.clone().ok_or_else(|| InferError("needs a shape".into()));
    match op {
        Op::Input(_) => fail("inputs are added with Graph::add_input"),
        Op::Const(_) => {
            let [] = operands(args)?;
            Ok(Type::scalar(hinted_dtype()?))
        }
        Op::Dense(values) => {
            let [] = operands(args)?;
            let ty = Type::new(hinted_dtype()?, hinted_shape()?);
            want(ty.elements() == values.len(), || format!("{} values for {ty}", values.len()))?;
            Ok(ty)
        }
        Op::Iota { axis } => {
            let [] = operands(args)?;
            let ty = Type::new(hinted_dtype()?, hinted_shape()?);
            axis_in(*axis, ty.rank())?;
            want(ty.dtype != DType::Bool, || "iota of bool".into())?;
            Ok(ty)
        }
        Op::RandomBits { .. } => {
            let keys: [Type; 3] = operands(args)?;
            want(keys.iter().all(|k| *k == Type::scalar(DType::I32)), || "keys are scalar i32".into())?;
            Ok(Type::new(DType::I32, hinted_shape()?))
        }
        Op::Unary(u) => {
            let [x] = operands(args)?;
            match u {
                Unary::Not => want(x.dtype == DType::Bool, || format!("not of {x}"))?,
                Unary::Neg | Unary::Abs | Unary::Sign => {
                    want(x.dtype != DType::Bool, || format!("{} of {x}", u.name()))?
                }
                _ => want(x.dtype.is_float(), || format!("{} of {x}", u.name()))?,
            }
            Ok(if *u == Unary::IsFinite { Type::new(DType::Bool, x.shape) } else { x })
        }
        Op::Binary(b) => {
            let [x, y] = operands(args)?;
            want(x == y, || format!("{} of {x} and {y}", b.name()))?;
            match b {
                Binary::And | Binary::Or => {
                    want(matches!(x.dtype, DType::Bool | DType::I32), || format!("{} of {x}", b.name()))?
                }
                Binary::Pow => want(x.dtype.is_float(), || format!("pow of {x}"))?,
                _ => want(x.dtype != DType::Bool, || format!("{} of {x}", b.name()))?,
            }
            Ok(x)
        }
        Op::Compare(c) => {
            let [x, y] = operands(args)?;
            want(x == y, || format!("{} of {x} and {y}", c.name()))?;
            Ok(Type::new(DType::Bool, x.shape))
        }
        Op::Select => {
            let [c, x, y] = operands(args)?;
            want(c.dtype == DType::Bool && c.shape == x.shape && x == y, || format!("select of {c}, {x} and {y}"))?;
            Ok(x)
        }
        Op::Convert => {
            let [x] = operands(args)?;
            Ok(Type::new(hinted_dtype()?, x.shape))
        }
        Op::BitsToUnit => {
            let [x] = operands(args)?;
            let dtype = hinted_dtype()?;
            want(x.dtype == DType::I32 && dtype.is_float(), || format!("bits_to_unit of {x} to {dtype}"))?;
            Ok(Type::new(dtype, x.shape))
        }
        Op::StopGradient => {
            let [x] = operands(args)?;
            Ok(x)
        }
        Op::Broadcast { axes } => {
            let [x] = operands(args)?;
            let shape = hinted_shape()?;
            want(axes.len() == x.rank(), || format!("{} axes for {x}", axes.len()))?;
            increasing(axes, shape.len())?;
            for (from, to) in x.shape.iter().zip(axes) {
                want(*from == 1 || *from == shape[*to], || format!("broadcast of {x} to {shape:?} along {axes:?}"))?;
            }
            Ok(Type::new(x.dtype, shape))
        }
        Op::Reshape => {
            let [x] = operands(args)?;
            let ty = Type::new(x.dtype, hinted_shape()?);
            want(ty.elements() == x.elements(), || format!("reshape of {x} to {ty}"))?;
            Ok(ty)
        }
        Op::Transpose { perm } => {
            let [x] = operands(args)?;
            let mut sorted = perm.clone();
            sorted.sort_unstable();
            want(sorted.iter().copied().eq(0..x.rank()), || format!("permutation {perm:?} of {x}"))?;
            Ok(Type::new(x.dtype, perm.iter().map(|p| x.shape[*p]).collect::<Shape>()))
        }
        Op::Slice { start, limit, stride } => {
            let [x] = operands(args)?;
            let n = x.rank();
            want(start.len() == n && limit.len() == n && stride.len() == n, || format!("slice of {x}: rank"))?;
            let mut shape = vec![];
            for k in 0..n {
                want(start[k] <= limit[k] && limit[k] <= x.shape[k] && stride[k] >= 1, || {
                    format!("slice {}..{} by {} of axis {k} of {x}", start[k], limit[k], stride[k])
                })?;
                shape.push((limit[k] - start[k]).div_ceil(stride[k]));
            }
            Ok(Type::new(x.dtype, shape))
        }
        Op::Pad { low, high, interior } => {
            let [x, value] = operands(args)?;
            let n = x.rank();
            want(value == Type::scalar(x.dtype), || format!("pad of {x} with {value}"))?;
            want(low.len() == n && high.len() == n && interior.len() == n, || format!("pad of {x}: rank"))?;
            let size = |k: usize| {
                let inside = interior[k].saturating_mul(x.shape[k].saturating_sub(1)).saturating_add(x.shape[k]);
                low[k].saturating_add(high[k]).saturating_add(inside)
            };
            Ok(Type::new(x.dtype, (0..n).map(size).collect::<Shape>()))
        }
        Op::Concat { axis } => {
            let Some(first) = args.first() else { return fail("concat of nothing") };
            axis_in(*axis, first.rank())?;
            let mut ty = (*first).clone();
            for other in &args[1..] {
                let mut like = (*other).clone();
                want(like.rank() == ty.rank(), || format!("concat of {ty} and {other}"))?;
                like.shape[*axis] = ty.shape[*axis];
                want(like == ty, || format!("concat of {ty} and {other}"))?;
                ty.shape[*axis] += other.shape[*axis];
            }
            Ok(ty)
        }
        Op::Reverse { axes } => {
            let [x] = operands(args)?;
            increasing(axes, x.rank())?;
            Ok(x)
        }
        Op::Gather { axis } => {
            let [x, index] = operands(args)?;
            gathered(&x, &index, *axis)
        }
        Op::ScatterAdd { axis } => {
            let [base, index, updates] = operands(args)?;
            let ty = gathered(&base, &index, *axis)?;
            want(ty == updates, || format!("scatter_add of {updates}, expected {ty}"))?;
            want(base.dtype != DType::Bool, || "scatter_add of bool".into())?;
            Ok(base)
        }
        Op::Reduce { axes, .. } => {
            let [x] = operands(args)?;
            increasing(axes, x.rank())?;
            want(x.dtype != DType::Bool, || format!("reduction of {x}"))?;
            let keep = |k: &usize| !axes.contains(k);
            Ok(Type::new(x.dtype, (0..x.rank()).filter(keep).map(|k| x.shape[k]).collect::<Shape>()))
        }
        Op::ArgReduce { axis, .. } => {
            let [mut x] = operands(args)?;
            axis_in(*axis, x.rank())?;
            want(x.shape[*axis] > 0 && x.dtype != DType::Bool, || format!("arg-reduction of {x}"))?;
            x.shape.remove(*axis);
            Ok(Type::new(DType::I32, x.shape))
        }
        Op::Cumulative { axis, .. } => {
            let [x] = operands(args)?;
            axis_in(*axis, x.rank())?;
            want(x.dtype != DType::Bool, || format!("cumulative of {x}"))?;
            Ok(x)
        }
        Op::ArgSort { axis, .. } => {
            let [x] = operands(args)?;
            axis_in(*axis, x.rank())?;
            want(x.dtype != DType::Bool, || format!("sort of {x}"))?;
            Ok(Type::new(DType::I32, x.shape))
        }
        Op::Dot { lhs_batch, rhs_batch, lhs_contract, rhs_contract } => {
            let [x, y] = operands(args)?;
            let bad = || {
                format!(
                    "dot of {x} and {y}: batch {lhs_batch:?} {rhs_batch:?}, contract {lhs_contract:?} {rhs_contract:?}"
                )
            };
            want(x.dtype == y.dtype && x.dtype.is_float(), bad)?;
            want(lhs_batch.len() == rhs_batch.len() && lhs_contract.len() == rhs_contract.len(), bad)?;
            let distinct = |a: &[usize], b: &[usize], rank: usize| {
                let mut all: Vec<usize> = a.iter().chain(b).copied().collect();
                all.sort_unstable();
                all.windows(2).all(|w| w[0] < w[1]) && all.iter().all(|k| *k < rank)
            };
            want(distinct(lhs_batch, lhs_contract, x.rank()) && distinct(rhs_batch, rhs_contract, y.rank()), bad)?;
            let pairs = lhs_batch.iter().zip(rhs_batch).chain(lhs_contract.iter().zip(rhs_contract));
            for (a, b) in pairs {
                want(x.shape[*a] == y.shape[*b], bad)?;
            }
            let mut shape: Shape = lhs_batch.iter().map(|k| x.shape[*k]).collect();
            let free = |rank: usize, a: &[usize], b: &[usize]| {
                (0..rank).filter(|k| !a.contains(k) && !b.contains(k)).collect::<Vec<_>>()
            };
            shape.extend(free(x.rank(), lhs_batch, lhs_contract).iter().map(|k| x.shape[*k]));
            shape.extend(free(y.rank(), rhs_batch, rhs_contract).iter().map(|k| y.shape[*k]));
            Ok(Type::new(x.dtype, shape))
        }
        Op::Conv { part, window, groups } => convolved(*part, window, *groups, args, hint),
        Op::Pool { kind, window } => pooled(*kind, window, args, hint),
        Op::Attention(of) => {
            let (Some([q, k, v]), mask) = (args.first_chunk(), args.get(3)) else {
                return fail(format!("attention of {} operands", args.len()));
            };
            want(args.len() <= 4, || format!("attention of {} operands", args.len()))?;
            let sizes = of.sizes(q, k, v, mask.copied()).map_err(InferError)?;
            Ok(Type::new(q.dtype, vec![sizes.output().iter().sum()]))
        }
        Op::AttentionGrad { of, joint } => {
            let (Some([q, k, v, saved, ct]), mask) = (args.first_chunk(), args.get(5)) else {
                return fail(format!("attention_grad of {} operands", args.len()));
            };
            want(args.len() <= 6, || format!("attention_grad of {} operands", args.len()))?;
            let sizes = of.sizes(q, k, v, mask.copied()).map_err(InferError)?;
            let [.., out] = sizes.shapes();
            let fits = saved.shape[..] == [sizes.output().iter().sum::<usize>()] && saved.dtype == q.dtype;
            want(fits && **ct == Type::new(q.dtype, out), || format!("attention_grad of {saved} and {ct}"))?;
            want(!joint || sizes.t == sizes.s, || format!("{} queries beside {} keys", sizes.t, sizes.s))?;
            let whole = [&sizes.batch[..], &[sizes.t, sizes.widths().iter().sum()]].concat();
            let row = sizes.shapes()[..3].iter().map(|shape| shape.iter().product::<usize>()).sum();
            Ok(Type::new(q.dtype, if *joint { whole } else { vec![row] }))
        }
        Op::Decompose(kind) => decomposed(*kind, args),
        Op::Scan(scan) => scan.infer(args),
        Op::SegmentReduce { kind, offsets } => {
            let [x] = operands(args)?;
            segments(offsets, &x)?;
            want(x.dtype != DType::Bool, || format!("segment reduction of {x}"))?;
            let empty = offsets.windows(2).any(|w| w[0] == w[1]);
            want(!(empty && matches!(kind, ReduceKind::Max | ReduceKind::Min)), || "empty segment".into())?;
            Ok(Type::new(x.dtype, vec![offsets.len() - 1]))
        }
        Op::SegmentBroadcast { offsets } => {
            let [x] = operands(args)?;
            want(x.rank() == 1 && offsets.len() == x.shape[0] + 1, || format!("segment broadcast of {x}"))?;
            let ty = Type::new(x.dtype, vec![offsets.last().copied().unwrap_or(0)]);
            segments(offsets, &ty)?;
            Ok(ty)
        }
    }
}

fn convolved(part: ConvPart, window: &Window, groups: usize, args: &[&Type], hint: &Hint) -> Result<Type, InferError> {
    let [a, b] = operands(args)?;
    want(a.dtype == b.dtype && a.dtype.is_float(), || format!("convolution of {a} and {b}"))?;
    window.check().map_err(InferError)?;
    let shape_of = |image: &[usize], kernel: &[usize]| conv_shape(window, groups, image, kernel).map_err(InferError);
    let shape = match part {
        ConvPart::Result => shape_of(&a.shape, &b.shape)?,
        ConvPart::Image => {
            let Some(image) = hint.shape.clone() else { return fail("needs a shape") };
            want(shape_of(&image, &b.shape)? == a.shape, || format!("an image {image:?} of {a} and {b}"))?;
            image
        }
        ConvPart::Kernel => {
            let (Some(channels), Some(outputs)) = (a.shape.last(), b.shape.last()) else {
                return fail("a scalar has no channels");
            };
            want(groups > 0, || "0 groups".into())?;
            let mut kernel = window.size.clone();
            kernel.extend([channels / groups, *outputs]);
            want(shape_of(&a.shape, &kernel)? == b.shape, || format!("a kernel {kernel:?} of {a} and {b}"))?;
            kernel
        }
    };
    Ok(Type::new(a.dtype, shape))
}

fn pooled(kind: PoolKind, window: &Window, args: &[&Type], hint: &Hint) -> Result<Type, InferError> {
    let Some(x) = args.first() else { return fail("windows over nothing") };
    want(x.dtype.is_float() && x.rank() > 0, || format!("{} of {x}", kind.name()))?;
    let over = |image: &[usize]| -> Result<Type, InferError> {
        let channels = image.last().copied().unwrap_or(0);
        Ok(Type::new(x.dtype, window.result_shape(image, channels).map_err(InferError)?))
    };
    match kind {
        PoolKind::Sum | PoolKind::Max => {
            let [x] = operands(args)?;
            over(&x.shape)
        }
        PoolKind::Spread => {
            let [y] = operands(args)?;
            let Some(image) = &hint.shape else { return fail("needs a shape") };
            want(over(image)? == y, || format!("{y} for each window over {image:?}"))?;
            Ok(Type::new(y.dtype, image.clone()))
        }
        PoolKind::Pick => {
            let [x, v] = operands(args)?;
            want(x == v, || format!("{} of {x} and {v}", kind.name()))?;
            over(&x.shape)
        }
        PoolKind::Scatter => {
            let [x, y] = operands(args)?;
            want(over(&x.shape)? == y, || format!("{y} for each window over {x}"))?;
            Ok(x)
        }
    }
}

fn decomposed(kind: Decomposition, args: &[&Type]) -> Result<Type, InferError> {
    let Some(x) = args.first() else { return fail("a decomposition of nothing") };
    let rank = x.rank();
    want(x.dtype.is_float() && rank >= 2, || format!("{} takes matrices of floats, not {x}", kind.name()))?;
    let (m, n) = (x.shape[rank - 2], x.shape[rank - 1]);
    let square = || want(m == n, || format!("{} takes square matrices, not {x}", kind.name()));
    let mut shape = x.shape.clone();
    match kind {
        Decomposition::Solve => {
            let [_, b] = operands(args)?;
            square()?;
            let fits = b.dtype == x.dtype && b.rank() == rank && b.shape[..rank - 1] == x.shape[..rank - 1];
            want(fits, || format!("solve of {x} with {b}"))?;
            return Ok(b);
        }
        Decomposition::Eigh => {
            square()?;
            shape[rank - 2] = n + 1;
        }
        Decomposition::Cholesky => square()?,
        Decomposition::Orthonormal => shape[rank - 1] = m.min(n),
    }
    let [x] = operands(args)?;
    Ok(Type::new(x.dtype, shape))
}

/// `offsets` start at 0, do not decrease, and end at the size of the rank-1 type.
fn segments(offsets: &[usize], ty: &Type) -> Result<(), InferError> {
    let ok = ty.rank() == 1
        && offsets.first() == Some(&0)
        && offsets.last() == Some(&ty.shape[0])
        && offsets.windows(2).all(|w| w[0] <= w[1]);
    want(ok, || format!("segments {offsets:?} of {ty}"))
}

fn gathered(x: &Type, index: &Type, axis: usize) -> Result<Type, InferError> {
    axis_in(axis, x.rank())?;
    want(index.dtype == DType::I32 && x.shape[axis] > 0, || format!("gather from {x} by {index}"))?;
    let mut shape = x.shape[..axis].to_vec();
    shape.extend(&index.shape);
    shape.extend(&x.shape[axis + 1..]);
    Ok(Type::new(x.dtype, shape))
}
