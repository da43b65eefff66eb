//! Four lanes of any element type, and the operations of the kernel on them.
//!
//! A [`Quad`] of a 32-bit type is one native vector; of `f64` it is two. A boolean is a mask of either shape, whichever
//! its producer made; [`narrow_mask`] and [`wide_mask`] change the shape. Scalar and row values are quads with equal
//! lanes, so that one emitter serves all levels.
//!
//! In a kernel that is widened to 256 bits there are twice as many lanes, and all of this happens in each half: then what
//! passes between 32-bit and 64-bit lanes ([`convert`], [`narrow_mask`], [`wide_mask`]) serves values with equal lanes
//! only, and [`lane`] tells about the lower half. See [`super::width`].

mod arithmetic;
mod convert;
mod reduce;

pub use arithmetic::{binary, compare, unary};
pub use convert::{bits_to_unit, convert};
pub use reduce::{accumulate, identity, reduce_lanes};

use super::lanes::{Float, Lanes, bitcast, low_words, select};
use crate::ir::DType;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};
use cranelift_frontend::FunctionBuilder;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quad {
    Narrow(Value),
    Wide([Value; 2]),
}

impl Quad {
    pub fn parts(self) -> Vec<Value> {
        match self {
            Quad::Narrow(x) => vec![x],
            Quad::Wide(x) => x.to_vec(),
        }
    }

    pub fn from_parts(parts: &[Value]) -> Quad {
        match *parts {
            [x] => Quad::Narrow(x),
            [x, y] => Quad::Wide([x, y]),
            _ => unreachable!("a quad is one or two vectors"),
        }
    }

    /// The vector of a 32-bit type or narrow mask.
    pub fn one(self) -> Value {
        match self {
            Quad::Narrow(x) => x,
            Quad::Wide(_) => unreachable!("a 32-bit value is one vector"),
        }
    }

    /// The vectors of an f64 value or wide mask.
    pub fn two(self) -> [Value; 2] {
        match self {
            Quad::Wide(x) => x,
            Quad::Narrow(_) => unreachable!("an f64 value is two vectors"),
        }
    }
}

/// The type of one lane in memory.
pub fn lane_type(dtype: DType) -> Type {
    match dtype {
        DType::F32 => types::F32,
        DType::F64 => types::F64,
        DType::I32 | DType::Bool => types::I32,
    }
}

/// The native vectors of a quad; bools as narrow masks.
pub fn vector_type(dtype: DType) -> Type {
    match dtype {
        DType::F32 => types::F32X4,
        DType::F64 => types::F64X2,
        DType::I32 | DType::Bool => types::I32X4,
    }
}

pub fn vectors(dtype: DType) -> usize {
    if dtype == DType::F64 { 2 } else { 1 }
}

fn float_of(dtype: DType) -> Float {
    if dtype == DType::F64 { Float::F64 } else { Float::F32 }
}

type Builder<'f> = FunctionBuilder<'f>;

/// A scalar in all lanes.
pub fn splat(b: &mut Builder, dtype: DType, scalar: Value) -> Quad {
    let x = b.ins().splat(vector_type(dtype), scalar);
    if dtype == DType::F64 { Quad::Wide([x, x]) } else { Quad::Narrow(x) }
}

pub fn int_splat(b: &mut Builder, value: i64) -> Value {
    let lane = b.ins().iconst(types::I32, value & 0xffff_ffff);
    b.ins().splat(types::I32X4, lane)
}

/// A constant; ints are rounded towards zero, any number but 0 is true.
pub fn constant(b: &mut Builder, dtype: DType, value: f64) -> Quad {
    match dtype {
        DType::F32 | DType::F64 => {
            let f = float_of(dtype);
            let x = Lanes { b, f }.c(value);
            if dtype == DType::F64 { Quad::Wide([x, x]) } else { Quad::Narrow(x) }
        }
        DType::I32 => Quad::Narrow(int_splat(b, value as i32 as i64)),
        DType::Bool => Quad::Narrow(int_splat(b, if value != 0.0 { -1 } else { 0 })),
    }
}

/// Lane 0 as a scalar; a bool as 0 or 1.
pub fn first_lane(b: &mut Builder, dtype: DType, x: Quad) -> Value {
    lane(b, dtype, x, 0)
}

/// One lane as a scalar of [`lane_type`]. Of a bool: all ones or zero (see [`in_memory`]).
pub fn lane(b: &mut Builder, dtype: DType, x: Quad, lane: u8) -> Value {
    match (dtype, x) {
        (DType::Bool, x) => {
            let x = narrow_mask(b, x);
            b.ins().extractlane(x, lane)
        }
        (_, Quad::Narrow(x)) => b.ins().extractlane(x, lane),
        (_, Quad::Wide(x)) => b.ins().extractlane(x[lane as usize / 2], lane % 2),
    }
}

/// Puts four scalars together.
pub fn joined_lanes(b: &mut Builder, dtype: DType, lanes: [Value; 4]) -> Quad {
    let ty = vector_type(dtype);
    if dtype == DType::F64 {
        let half = |b: &mut Builder, x, y| {
            let v = b.ins().splat(ty, x);
            b.ins().insertlane(v, y, 1u8)
        };
        return Quad::Wide([half(b, lanes[0], lanes[1]), half(b, lanes[2], lanes[3])]);
    }
    let mut v = b.ins().splat(ty, lanes[0]);
    for k in 1..4u8 {
        v = b.ins().insertlane(v, lanes[k as usize], k);
    }
    Quad::Narrow(v)
}

/// What was loaded as lanes of memory: bools become masks.
pub fn from_memory(b: &mut Builder, dtype: DType, x: Quad) -> Quad {
    if dtype != DType::Bool {
        return x;
    }
    let zero = int_splat(b, 0);
    Quad::Narrow(b.ins().icmp(IntCC::NotEqual, x.one(), zero))
}

/// What to store: masks become 0 and 1.
pub fn in_memory(b: &mut Builder, dtype: DType, x: Quad) -> Quad {
    if dtype != DType::Bool {
        return x;
    }
    let mask = narrow_mask(b, x);
    let one = int_splat(b, 1);
    Quad::Narrow(b.ins().band(mask, one))
}

pub fn narrow_mask(b: &mut Builder, x: Quad) -> Value {
    match x {
        Quad::Narrow(x) => x,
        Quad::Wide(x) => low_words(b, x),
    }
}

pub fn wide_mask(b: &mut Builder, x: Quad) -> [Value; 2] {
    match x {
        Quad::Wide(x) => x,
        Quad::Narrow(x) => [b.ins().swiden_low(x), b.ins().swiden_high(x)],
    }
}

fn mask_bits(b: &mut Builder, x: Value) -> Value {
    let ty = b.func.dfg.value_type(x);
    match ty {
        types::F32X4 => bitcast(b, types::I32X4, x),
        types::F64X2 => bitcast(b, types::I64X2, x),
        _ => x,
    }
}

/// `mask ? x : y`.
pub fn choose(b: &mut Builder, dtype: DType, mask: Quad, x: Quad, y: Quad) -> Quad {
    match dtype {
        DType::F64 => {
            let (mask, x, y) = (wide_mask(b, mask), x.two(), y.two());
            Quad::Wide([select(b, mask[0], x[0], y[0]), select(b, mask[1], x[1], y[1])])
        }
        DType::Bool => {
            let (mask, x, y) = (narrow_mask(b, mask), narrow_mask(b, x), narrow_mask(b, y));
            Quad::Narrow(select(b, mask, x, y))
        }
        DType::F32 | DType::I32 => {
            let mask = narrow_mask(b, mask);
            Quad::Narrow(select(b, mask, x.one(), y.one()))
        }
    }
}
