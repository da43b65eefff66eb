//! Primitives that move elements without computing: the same for every element type.

use ndarray::{ArrayD, Axis, IxDyn, Slice};

/// Operand axis `k` becomes result axis `axes[k]`; the other axes repeat.
pub fn broadcast<T: Clone>(x: &ArrayD<T>, axes: &[usize], shape: &[usize]) -> ArrayD<T> {
    let mut aligned = vec![1; shape.len()];
    for (size, axis) in x.shape().iter().zip(axes) {
        aligned[*axis] = *size;
    }
    let aligned = reshape(x, &aligned);
    aligned.broadcast(IxDyn(shape)).expect("infer checked the broadcast").to_owned()
}

pub fn reshape<T: Clone>(x: &ArrayD<T>, shape: &[usize]) -> ArrayD<T> {
    x.to_shape(IxDyn(shape)).expect("infer checked the reshape").into_owned()
}

pub fn transpose<T: Clone>(x: &ArrayD<T>, perm: &[usize]) -> ArrayD<T> {
    x.view().permuted_axes(IxDyn(perm)).as_standard_layout().into_owned()
}

pub fn slice<T: Clone>(x: &ArrayD<T>, start: &[usize], limit: &[usize], stride: &[usize]) -> ArrayD<T> {
    let part = x.slice_each_axis(|a| {
        let k = a.axis.index();
        Slice::new(start[k] as isize, Some(limit[k] as isize), stride[k] as isize)
    });
    part.as_standard_layout().into_owned()
}

/// `low` elements of `value` before, and `interior` between every two elements, in a result of `shape`.
pub fn pad<T: Clone>(x: &ArrayD<T>, value: &T, low: &[usize], interior: &[usize], shape: &[usize]) -> ArrayD<T> {
    let mut out = ArrayD::from_elem(IxDyn(shape), value.clone());
    if x.is_empty() {
        return out;
    }
    let mut inside = out.slice_each_axis_mut(|a| {
        let k = a.axis.index();
        let step = interior[k] + 1;
        let end = low[k] + (x.shape()[k] - 1) * step + 1;
        Slice::new(low[k] as isize, Some(end as isize), step as isize)
    });
    inside.assign(x);
    out
}

pub fn concat<T: Clone>(parts: &[&ArrayD<T>], axis: usize) -> ArrayD<T> {
    let views: Vec<_> = parts.iter().map(|p| p.view()).collect();
    let joined = ndarray::concatenate(Axis(axis), &views).expect("infer checked the shapes");
    joined.as_standard_layout().into_owned()
}

pub fn reverse<T: Clone>(x: &ArrayD<T>, axes: &[usize]) -> ArrayD<T> {
    let mut view = x.view();
    for axis in axes {
        view.invert_axis(Axis(*axis));
    }
    view.as_standard_layout().into_owned()
}

/// Indices outside the axis are clamped to it.
pub fn gather<T: Clone>(x: &ArrayD<T>, index: &ArrayD<i32>, axis: usize, shape: &[usize]) -> ArrayD<T> {
    let picked = x.select(Axis(axis), &clamped(index, x.shape()[axis]));
    reshape(&picked, shape)
}

/// Adds each update to a copy of `base`, in the order of the indices.
pub fn scatter_add<T>(
    base: &ArrayD<T>,
    index: &ArrayD<i32>,
    updates: &ArrayD<T>,
    axis: usize,
    add: fn(T, T) -> T,
) -> ArrayD<T>
where
    T: Copy,
{
    let mut out = base.clone();
    let mut flat = base.shape().to_vec();
    flat[axis] = index.len();
    let updates = reshape(updates, &flat);
    for (k, at) in clamped(index, base.shape()[axis]).into_iter().enumerate() {
        out.index_axis_mut(Axis(axis), at).zip_mut_with(&updates.index_axis(Axis(axis), k), |o, u| *o = add(*o, *u));
    }
    out
}

fn clamped(index: &ArrayD<i32>, size: usize) -> Vec<usize> {
    index.iter().map(|i| usize::try_from(*i).unwrap_or(0).min(size - 1)).collect()
}
