//! Primitives that combine elements: reductions, scans, sorts, segments and products.

use super::movement::{broadcast, reshape, transpose};
use super::scalar::Number;
use super::value::shaped;
use crate::ir::{ArgKind, Binary, ReduceKind};
use ndarray::{ArrayD, Axis, Ix2, IxDyn, LinalgScalar};

/// The axes of a value of rank `rank` that are not in any of the lists, in order.
fn others(rank: usize, lists: &[&[usize]]) -> Vec<usize> {
    (0..rank).filter(|k| lists.iter().all(|list| !list.contains(k))).collect()
}

fn sizes(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    axes.iter().map(|k| shape[*k]).collect()
}

fn step<T: Number>(kind: ReduceKind, x: T, y: T) -> T {
    let op = match kind {
        ReduceKind::Sum => Binary::Add,
        ReduceKind::Prod => Binary::Mul,
        ReduceKind::Max => Binary::Max,
        ReduceKind::Min => Binary::Min,
    };
    T::binary(op, x, y)
}

/// All elements combined; sums by halves, so that the error grows with the logarithm of the length only.
fn combine<T: Number>(kind: ReduceKind, values: &[T]) -> T {
    if values.len() > 16 {
        let (low, high) = values.split_at(values.len() / 2);
        return step(kind, combine(kind, low), combine(kind, high));
    }
    let empty = match kind {
        ReduceKind::Sum => T::ZERO,
        ReduceKind::Prod => T::ONE,
        ReduceKind::Max => T::LOWEST,
        ReduceKind::Min => T::HIGHEST,
    };
    let Some((first, rest)) = values.split_first() else { return empty };
    rest.iter().fold(*first, |sum, v| step(kind, sum, *v))
}

pub fn reduce<T: Number>(x: &ArrayD<T>, kind: ReduceKind, axes: &[usize]) -> ArrayD<T> {
    let kept = others(x.ndim(), &[axes]);
    let perm = [&kept[..], axes].concat();
    let rows: usize = sizes(x.shape(), &kept).iter().product();
    let columns: usize = sizes(x.shape(), axes).iter().product();
    let rows = reshape(&transpose(x, &perm), &[rows, columns]);
    let results = rows.outer_iter().map(|row| combine(kind, row.as_slice().expect("rows are contiguous")));
    shaped(IxDyn(&sizes(x.shape(), &kept)), results)
}

/// The first extreme element along an axis, NaN being the most extreme.
pub fn arg_reduce<T: Number>(x: &ArrayD<T>, kind: ArgKind, axis: usize) -> ArrayD<i32> {
    let beats = |new: T, old: T| match kind {
        _ if old.is_nan() => false,
        _ if new.is_nan() => true,
        ArgKind::Max => new > old,
        ArgKind::Min => new < old,
    };
    x.map_axis(Axis(axis), |lane| {
        let best = (1..lane.len()).fold(0, |best, k| if beats(lane[k], lane[best]) { k } else { best });
        best as i32
    })
}

pub fn cumulative<T: Number>(x: &ArrayD<T>, kind: ReduceKind, axis: usize, reverse: bool) -> ArrayD<T> {
    let mut out = x.clone();
    for mut lane in out.lanes_mut(Axis(axis)) {
        if reverse {
            lane.invert_axis(Axis(0));
        }
        for k in 1..lane.len() {
            lane[k] = step(kind, lane[k - 1], lane[k]);
        }
    }
    out
}

/// The stable permutation that sorts each lane; NaN goes last either way.
pub fn arg_sort<T: Number>(x: &ArrayD<T>, axis: usize, descending: bool) -> ArrayD<i32> {
    let mut out = ArrayD::zeros(x.raw_dim());
    for (lane, mut places) in x.lanes(Axis(axis)).into_iter().zip(out.lanes_mut(Axis(axis))) {
        let mut order: Vec<usize> = (0..lane.len()).collect();
        order.sort_by(|a, b| {
            let (a, b) = (lane[*a], lane[*b]);
            let by_value = if descending { b.partial_cmp(&a) } else { a.partial_cmp(&b) };
            a.is_nan().cmp(&b.is_nan()).then(by_value.unwrap_or(std::cmp::Ordering::Equal))
        });
        places.iter_mut().zip(order).for_each(|(place, k)| *place = k as i32);
    }
    out
}

pub fn segment_reduce<T: Number>(x: &ArrayD<T>, kind: ReduceKind, offsets: &[usize]) -> ArrayD<T> {
    let values: Vec<T> = x.iter().copied().collect();
    let results = offsets.windows(2).map(|w| combine(kind, &values[w[0]..w[1]]));
    shaped(IxDyn(&[offsets.len() - 1]), results)
}

pub fn segment_broadcast<T: Clone>(x: &ArrayD<T>, offsets: &[usize]) -> ArrayD<T> {
    let repeat = |(s, w): (usize, &[usize])| std::iter::repeat_n(x[s].clone(), w[1] - w[0]);
    let length = offsets.last().copied().unwrap_or(0);
    shaped(IxDyn(&[length]), offsets.windows(2).enumerate().flat_map(repeat))
}

/// The paired axes of a general dot product.
pub struct DotAxes<'a> {
    pub lhs_batch: &'a [usize],
    pub rhs_batch: &'a [usize],
    pub lhs_contract: &'a [usize],
    pub rhs_contract: &'a [usize],
}

/// One matrix product for each batch index.
pub fn dot<T: LinalgScalar>(x: &ArrayD<T>, y: &ArrayD<T>, axes: &DotAxes) -> ArrayD<T> {
    let lhs_free = others(x.ndim(), &[axes.lhs_batch, axes.lhs_contract]);
    let rhs_free = others(y.ndim(), &[axes.rhs_batch, axes.rhs_contract]);
    let batch = sizes(x.shape(), axes.lhs_batch);
    let (free_x, free_y) = (sizes(x.shape(), &lhs_free), sizes(y.shape(), &rhs_free));
    let count = |sizes: &[usize]| sizes.iter().product::<usize>();
    let (b, m, n, k) = (count(&batch), count(&free_x), count(&free_y), count(&sizes(x.shape(), axes.lhs_contract)));
    let x = reshape(&transpose(x, &[axes.lhs_batch, &lhs_free, axes.lhs_contract].concat()), &[b, m, k]);
    let y = reshape(&transpose(y, &[axes.rhs_batch, axes.rhs_contract, &rhs_free].concat()), &[b, k, n]);
    let mut out = ArrayD::zeros(IxDyn(&[b, m, n]));
    for ((x, y), mut product) in x.outer_iter().zip(y.outer_iter()).zip(out.outer_iter_mut()) {
        let matrix = "a batch element is a matrix";
        let (x, y) = (x.into_dimensionality::<Ix2>().expect(matrix), y.into_dimensionality::<Ix2>().expect(matrix));
        product.assign(&x.dot(&y));
    }
    reshape(&out, &[batch, free_x, free_y].concat())
}

/// `0, 1, 2, …` along an axis.
pub fn iota(axis: usize, shape: &[usize]) -> ArrayD<i32> {
    let line = shaped(IxDyn(&[shape[axis]]), 0..shape[axis] as i32);
    broadcast(&line, &[axis], shape)
}
