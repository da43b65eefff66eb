//! One primitive applied to values: the meaning of every operation in [`crate::ir::op`].

use super::attention;
use super::movement as mv;
use super::reduce as red;
use super::scalar::{Number, bits_to_unit, bool_binary, compare};
use super::value::{Value, map_any, map_number, shaped};
use crate::ir::{Binary, Compare, DType, Op, Type, Unary};
use crate::runtime::random::random_bits;
use ndarray::{ArrayD, IxDyn, Zip};

/// Numbers of any type to an array of indices.
macro_rules! int_result {
    ($value:expr, $x:ident => $body:expr) => {
        Value::I32(match $value {
            Value::F32($x) => $body,
            Value::F64($x) => $body,
            Value::I32($x) => $body,
            Value::Bool(_) => unreachable!("order of bools"),
        })
    };
}

/// Pairs two values of one element type, whatever it is.
macro_rules! pair {
    ($x:expr, $y:expr, ($a:ident, $b:ident) => $body:expr) => {
        match ($x, $y) {
            (Value::F32($a), Value::F32($b)) => Value::F32($body),
            (Value::F64($a), Value::F64($b)) => Value::F64($body),
            (Value::I32($a), Value::I32($b)) => Value::I32($body),
            (Value::Bool($a), Value::Bool($b)) => Value::Bool($body),
            (x, y) => unreachable!("{} with {}", x.ty(), y.ty()),
        }
    };
}

/// The value of a node of type `ty`. Operands are well-typed (see [`crate::ir::infer`]).
///
/// # Panics
/// On [`Op::Input`], whose value comes from outside, and on ill-typed operands.
pub fn apply(op: &Op, args: &[&Value], ty: &Type) -> Value {
    match op {
        Op::Input(_) => unreachable!("inputs are bound by the caller"),
        Op::Const(value) => Value::from_f64s(ty, &[*value]),
        Op::Dense(values) => Value::from_f64s(ty, values),
        Op::Iota { axis } => convert(&Value::I32(red::iota(*axis, &ty.shape)), ty.dtype),
        Op::RandomBits { stream } => {
            let [k0, k1, step] =
                [args[0], args[1], args[2]].map(|k| k.ints().iter().copied().next().unwrap_or(0) as u32);
            let bits = |i: usize| random_bits([k0, k1], *stream, i as u32, step) as i32;
            Value::I32(shaped(IxDyn(&ty.shape), (0..ty.elements()).map(bits)))
        }

        Op::Unary(Unary::Not) => Value::Bool(args[0].bools().mapv(|v| !v)),
        Op::Unary(Unary::IsFinite) => match args[0] {
            Value::F32(x) => Value::Bool(x.mapv(f32::is_finite)),
            Value::F64(x) => Value::Bool(x.mapv(f64::is_finite)),
            other => unreachable!("is_finite of {}", other.ty()),
        },
        Op::Unary(u) => map_number!(args[0], x => x.mapv(|v| Number::unary(*u, v))),
        Op::Binary(b) => binary(*b, args[0], args[1]),
        Op::Compare(c) => compare_all(*c, args[0], args[1]),
        Op::Select => select(args[0].bools(), args[1], args[2]),
        Op::Convert => convert(args[0], ty.dtype),
        Op::BitsToUnit => {
            let unit = args[0].ints().mapv(bits_to_unit);
            convert(&Value::F64(unit), ty.dtype)
        }
        Op::StopGradient => args[0].clone(),

        Op::Broadcast { axes } => map_any!(args[0], x => mv::broadcast(x, axes, &ty.shape)),
        Op::Reshape => map_any!(args[0], x => mv::reshape(x, &ty.shape)),
        Op::Transpose { perm } => map_any!(args[0], x => mv::transpose(x, perm)),
        Op::Slice { start, limit, stride } => map_any!(args[0], x => mv::slice(x, start, limit, stride)),
        Op::Pad { low, interior, .. } => pad(args[0], args[1], low, interior, &ty.shape),
        Op::Concat { axis } => concat(args, *axis),
        Op::Reverse { axes } => map_any!(args[0], x => mv::reverse(x, axes)),
        Op::Gather { axis } => map_any!(args[0], x => mv::gather(x, args[1].ints(), *axis, &ty.shape)),
        Op::ScatterAdd { axis } => scatter_add(args, *axis),

        Op::Reduce { kind, axes } => map_number!(args[0], x => red::reduce(x, *kind, axes)),
        Op::ArgReduce { kind, axis } => int_result!(args[0], x => red::arg_reduce(x, *kind, *axis)),
        Op::Cumulative { kind, axis, reverse } => {
            map_number!(args[0], x => red::cumulative(x, *kind, *axis, *reverse))
        }
        Op::ArgSort { axis, descending } => int_result!(args[0], x => red::arg_sort(x, *axis, *descending)),
        Op::Dot { lhs_batch, rhs_batch, lhs_contract, rhs_contract } => {
            let axes = red::DotAxes { lhs_batch, rhs_batch, lhs_contract, rhs_contract };
            match (args[0], args[1]) {
                (Value::F32(x), Value::F32(y)) => Value::F32(red::dot(x, y, &axes)),
                (Value::F64(x), Value::F64(y)) => Value::F64(red::dot(x, y, &axes)),
                (x, y) => unreachable!("dot of {} and {}", x.ty(), y.ty()),
            }
        }
        Op::Conv { part, window, groups } => super::window::conv(*part, window, *groups, args, ty),
        Op::Pool { kind, window } => super::window::pool(*kind, window, args, ty),
        Op::Attention(of) => attention::forward(of, args, ty),
        Op::AttentionGrad { of, joint } => attention::backward(of, *joint, args, ty),
        Op::Decompose(kind) => {
            let values: Vec<Vec<f64>> = args.iter().map(|a| a.to_f64s()).collect();
            let slices: Vec<&[f64]> = values.iter().map(Vec::as_slice).collect();
            let last_two = |a: &&Value| {
                let shape = a.ty().shape;
                [shape[shape.len() - 2], shape[shape.len() - 1]]
            };
            let shapes: Vec<[usize; 2]> = args.iter().map(last_two).collect();
            let mut out = vec![0.0; ty.elements()];
            crate::linalg::apply(*kind, &slices, &shapes, &mut out);
            Value::from_f64s(ty, &out)
        }
        Op::Scan(scan) => super::scan::scan(scan, args, ty),
        Op::SegmentReduce { kind, offsets } => map_number!(args[0], x => red::segment_reduce(x, *kind, offsets)),
        Op::SegmentBroadcast { offsets } => map_any!(args[0], x => red::segment_broadcast(x, offsets)),
    }
}

fn zipped<T: Copy, R>(x: &ArrayD<T>, y: &ArrayD<T>, f: impl Fn(T, T) -> R) -> ArrayD<R> {
    Zip::from(x).and(y).map_collect(|a, b| f(*a, *b))
}

fn binary(op: Binary, x: &Value, y: &Value) -> Value {
    match (x, y) {
        (Value::F32(x), Value::F32(y)) => Value::F32(zipped(x, y, |a, b| Number::binary(op, a, b))),
        (Value::F64(x), Value::F64(y)) => Value::F64(zipped(x, y, |a, b| Number::binary(op, a, b))),
        (Value::I32(x), Value::I32(y)) => Value::I32(zipped(x, y, |a, b| Number::binary(op, a, b))),
        (Value::Bool(x), Value::Bool(y)) => Value::Bool(zipped(x, y, |a, b| bool_binary(op, a, b))),
        (x, y) => unreachable!("{} of {} and {}", op.name(), x.ty(), y.ty()),
    }
}

fn compare_all(op: Compare, x: &Value, y: &Value) -> Value {
    Value::Bool(match (x, y) {
        (Value::F32(x), Value::F32(y)) => zipped(x, y, |a, b| compare(op, &a, &b)),
        (Value::F64(x), Value::F64(y)) => zipped(x, y, |a, b| compare(op, &a, &b)),
        (Value::I32(x), Value::I32(y)) => zipped(x, y, |a, b| compare(op, &a, &b)),
        (Value::Bool(x), Value::Bool(y)) => zipped(x, y, |a, b| compare(op, &a, &b)),
        (x, y) => unreachable!("{} of {} and {}", op.name(), x.ty(), y.ty()),
    })
}

fn select(condition: &ArrayD<bool>, x: &Value, y: &Value) -> Value {
    pair!(x, y, (a, b) => Zip::from(condition).and(a).and(b).map_collect(|c, a, b| if *c { *a } else { *b }))
}

fn convert(x: &Value, to: DType) -> Value {
    match (x, to) {
        (Value::F32(x), DType::F32) => Value::F32(x.clone()),
        (Value::F32(x), DType::F64) => Value::F64(x.mapv(f64::from)),
        (Value::F32(x), DType::I32) => Value::I32(x.mapv(|v| v as i32)),
        (Value::F32(x), DType::Bool) => Value::Bool(x.mapv(|v| v != 0.0)),
        (Value::F64(x), DType::F32) => Value::F32(x.mapv(|v| v as f32)),
        (Value::F64(x), DType::F64) => Value::F64(x.clone()),
        (Value::F64(x), DType::I32) => Value::I32(x.mapv(|v| v as i32)),
        (Value::F64(x), DType::Bool) => Value::Bool(x.mapv(|v| v != 0.0)),
        (Value::I32(x), DType::F32) => Value::F32(x.mapv(|v| v as f32)),
        (Value::I32(x), DType::F64) => Value::F64(x.mapv(f64::from)),
        (Value::I32(x), DType::I32) => Value::I32(x.clone()),
        (Value::I32(x), DType::Bool) => Value::Bool(x.mapv(|v| v != 0)),
        (Value::Bool(x), DType::F32) => Value::F32(x.mapv(|v| f32::from(u8::from(v)))),
        (Value::Bool(x), DType::F64) => Value::F64(x.mapv(|v| f64::from(u8::from(v)))),
        (Value::Bool(x), DType::I32) => Value::I32(x.mapv(i32::from)),
        (Value::Bool(x), DType::Bool) => Value::Bool(x.clone()),
    }
}

fn pad(x: &Value, value: &Value, low: &[usize], interior: &[usize], shape: &[usize]) -> Value {
    let scalar = IxDyn(&[]);
    pair!(x, value, (x, v) => mv::pad(x, &v[&scalar], low, interior, shape))
}

fn concat(args: &[&Value], axis: usize) -> Value {
    /// The arrays of one element type, which infer guarantees.
    macro_rules! parts {
        ($variant:ident) => {{
            let arrays: Vec<_> = args
                .iter()
                .map(|v| match v {
                    Value::$variant(x) => x,
                    other => unreachable!("concat with {}", other.ty()),
                })
                .collect();
            Value::$variant(mv::concat(&arrays, axis))
        }};
    }
    match args[0] {
        Value::F32(_) => parts!(F32),
        Value::F64(_) => parts!(F64),
        Value::I32(_) => parts!(I32),
        Value::Bool(_) => parts!(Bool),
    }
}

fn scatter_add(args: &[&Value], axis: usize) -> Value {
    let index = args[1].ints();
    match (args[0], args[2]) {
        (Value::F32(x), Value::F32(u)) => Value::F32(mv::scatter_add(x, index, u, axis, |a, b| a + b)),
        (Value::F64(x), Value::F64(u)) => Value::F64(mv::scatter_add(x, index, u, axis, |a, b| a + b)),
        (Value::I32(x), Value::I32(u)) => Value::I32(mv::scatter_add(x, index, u, axis, i32::wrapping_add)),
        (x, u) => unreachable!("scatter_add of {} to {}", u.ty(), x.ty()),
    }
}
