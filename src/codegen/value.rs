//! Emits single values, and their loads and stores.

use super::emit::{Emitter, RowBase, memory};
use super::host;
use super::inner::{Lanes, Position};
use super::math;
use super::quad::{self, Quad};
use crate::ir::DType;
use crate::kernel::{ValueId, ValueKind};
use cranelift_codegen::ir::{InstBuilder, Value, types};

impl Emitter<'_, '_> {
    /// A value of level Scalar, in the prologue.
    pub(super) fn scalar(&mut self, v: ValueId) -> Quad {
        let kernel = self.kernel;
        let value = &kernel.values[v.0 as usize];
        match &value.kind {
            ValueKind::Load { param, at } => {
                let offset = at.offset as i64 * value.dtype.size() as i64;
                let address = self.b.ins().iadd_imm_s(self.params[*param], offset);
                self.load_splat(value.dtype, address)
            }
            ValueKind::Index(at) => {
                let number = self.b.ins().iconst(types::I64, at.offset as i64);
                self.number_splat(value.dtype, number)
            }
            ValueKind::Random { stream, keys, index } => {
                let number = self.b.ins().iconst(types::I64, index.offset as i64);
                let number = self.number_splat(DType::I32, number);
                self.random(*stream, *keys, number.one())
            }
            kind => match host::index_of(kind) {
                Some(function) => self.host_call(function, value.dtype, kind),
                None => self.compute(v, &[]),
            },
        }
    }

    /// Calls a host function in f64.
    fn host_call(&mut self, function: usize, dtype: DType, kind: &ValueKind) -> Quad {
        let args: Vec<Value> = super::plan::operands(kind)
            .into_iter()
            .map(|x| {
                let lane = quad::first_lane(&mut self.b, dtype, self.fixed[x.0 as usize].expect("operands come first"));
                if dtype == DType::F32 { self.b.ins().fpromote(types::F64, lane) } else { lane }
            })
            .collect();
        let result = host::call(&mut self.b, self.convention, function, &args);
        let result = if dtype == DType::F32 { self.b.ins().fdemote(types::F32, result) } else { result };
        quad::splat(&mut self.b, dtype, result)
    }

    /// A value of level Row, for the current row.
    pub(super) fn row(&mut self, v: ValueId) -> Quad {
        let kernel = self.kernel;
        let value = &kernel.values[v.0 as usize];
        match (&value.kind, self.value_base[v.0 as usize]) {
            (ValueKind::Load { .. }, Some(RowBase::Address(address))) => self.load_splat(value.dtype, address),
            (ValueKind::Index(_), Some(RowBase::Number(number))) => self.number_splat(value.dtype, number),
            (ValueKind::Random { stream, keys, .. }, Some(RowBase::Number(number))) => {
                let index = self.number_splat(DType::I32, number);
                self.random(*stream, *keys, index.one())
            }
            _ => self.compute(v, &[]),
        }
    }

    /// A value of level Element at one vector; `values` holds the vector's earlier values.
    pub(super) fn element(&mut self, v: ValueId, at: Position, values: &[Option<Quad>]) -> Quad {
        let kernel = self.kernel;
        let value = &kernel.values[v.0 as usize];
        match (&value.kind, self.value_base[v.0 as usize]) {
            (ValueKind::Load { at: place, .. }, Some(RowBase::Address(base))) => {
                self.load_vector(value.dtype, base, place.inner_stride as i64, at)
            }
            (ValueKind::Index(place), Some(RowBase::Number(base))) => {
                let numbers = self.numbers(base, place.inner_stride as i64, at);
                quad::convert(&mut self.b, DType::I32, value.dtype, Quad::Narrow(numbers))
            }
            (ValueKind::Random { stream, keys, index }, Some(RowBase::Number(base))) => {
                let numbers = self.numbers(base, index.inner_stride as i64, at);
                self.random(*stream, *keys, numbers)
            }
            _ => self.compute(v, values),
        }
    }

    /// An operation on values that are known.
    fn compute(&mut self, v: ValueId, values: &[Option<Quad>]) -> Quad {
        let value = &self.kernel.values[v.0 as usize];
        let get = |x: &ValueId| {
            let x = x.0 as usize;
            values.get(x).copied().flatten().or(self.fixed[x]).expect("operands come first")
        };
        match &value.kind {
            ValueKind::Const(c) => quad::constant(&mut self.b, value.dtype, *c),
            ValueKind::Unary(op, x) => {
                let (from, x) = (self.dtype(*x), get(x));
                quad::unary(&mut self.b, *op, from, x)
            }
            ValueKind::Binary(op, x, y) => {
                let (x, y) = (get(x), get(y));
                quad::binary(&mut self.b, *op, value.dtype, x, y)
            }
            ValueKind::Compare(op, x, y) => {
                let (from, x, y) = (self.dtype(*x), get(x), get(y));
                quad::compare(&mut self.b, *op, from, x, y)
            }
            ValueKind::Select(c, x, y) => {
                let (c, x, y) = (get(c), get(x), get(y));
                quad::choose(&mut self.b, value.dtype, c, x, y)
            }
            ValueKind::Convert(x) => {
                let (from, x) = (self.dtype(*x), get(x));
                quad::convert(&mut self.b, from, value.dtype, x)
            }
            ValueKind::BitsToUnit(x) => {
                let x = get(x);
                quad::bits_to_unit(&mut self.b, value.dtype, x)
            }
            ValueKind::Load { .. }
            | ValueKind::Index(_)
            | ValueKind::Random { .. }
            | ValueKind::RowReduce(..)
            | ValueKind::RowArg(..) => unreachable!("emitted elsewhere"),
        }
    }

    fn random(&mut self, stream: u32, keys: [ValueId; 3], index: Value) -> Quad {
        let [key0, key1, step] = keys.map(|k| self.known(k).one());
        let stream = quad::int_splat(&mut self.b, stream as i64);
        let key1 = self.b.ins().bxor(key1, stream);
        Quad::Narrow(math::threefry(&mut self.b, [key0, key1], index, step))
    }

    fn load_splat(&mut self, dtype: DType, address: Value) -> Quad {
        let lane = self.b.ins().load(quad::lane_type(dtype), memory(), address, 0);
        let x = quad::splat(&mut self.b, dtype, lane);
        quad::from_memory(&mut self.b, dtype, x)
    }

    /// An I64 as a value of `dtype` in all lanes.
    fn number_splat(&mut self, dtype: DType, number: Value) -> Quad {
        let lane = self.b.ins().ireduce(types::I32, number);
        let x = quad::splat(&mut self.b, DType::I32, lane);
        quad::convert(&mut self.b, DType::I32, dtype, x)
    }

    /// `base + inner index * stride` of each lane.
    fn numbers(&mut self, base: Value, stride: i64, at: Position) -> Value {
        let mut number = base;
        if let Some(i) = at.base {
            let term = self.b.ins().imul_imm_s(i, stride);
            number = self.b.ins().iadd(number, term);
        }
        let number = self.b.ins().iadd_imm_s(number, at.constant * stride);
        self.lane_numbers(number, stride, at)
    }

    /// `number + stride * k` for the element of each lane.
    pub(super) fn lane_numbers(&mut self, number: Value, stride: i64, at: Position) -> Value {
        let number = self.b.ins().ireduce(types::I32, number);
        let start = self.b.ins().splat(types::I32X4, number);
        let iota = self.iota();
        let mut steps = match at.lanes {
            Lanes::First(4) => iota,
            Lanes::First(n) => {
                let last = quad::int_splat(&mut self.b, n as i64 - 1);
                self.b.ins().smin(iota, last)
            }
            Lanes::Clamped { count, .. } => {
                let last = self.b.ins().iadd_imm_s(count, -1);
                let last = self.b.ins().ireduce(types::I32, last);
                let last = self.b.ins().splat(types::I32X4, last);
                self.b.ins().smin(iota, last)
            }
        };
        if stride != 1 {
            let stride = quad::int_splat(&mut self.b, stride);
            steps = self.b.ins().imul(steps, stride);
        }
        self.b.ins().iadd(start, steps)
    }

    /// The address and offset of lane 0, `step` bytes an inner index.
    pub(super) fn place(&mut self, base: Value, step: i64, at: Position) -> (Value, i32) {
        let address = match at.base {
            None => base,
            Some(i) => {
                let distance = if step > 0 && step.count_ones() == 1 {
                    self.b.ins().ishl_imm_s(i, step.trailing_zeros() as i64)
                } else {
                    self.b.ins().imul_imm_s(i, step)
                };
                self.b.ins().iadd(base, distance)
            }
        };
        let offset = at.constant * step;
        match i32::try_from(offset + 3 * step) {
            Ok(_) if offset >= i32::MIN as i64 => (address, offset as i32),
            _ => (self.b.ins().iadd_imm_s(address, offset), 0),
        }
    }

    /// The addresses of the four lanes.
    fn lane_places(&mut self, base: Value, step: i64, at: Position) -> [(Value, i32); 4] {
        let (address, offset) = self.place(base, step, at);
        match at.lanes {
            Lanes::First(n) => [0, 1, 2, 3].map(|k: i64| {
                let distance = k.min(n as i64 - 1) * step;
                match i32::try_from(offset as i64 + distance) {
                    Ok(offset) => (address, offset),
                    Err(_) => (self.b.ins().iadd_imm_s(address, distance), offset),
                }
            }),
            Lanes::Clamped { offsets, .. } => offsets.map(|k| {
                let distance = self.b.ins().imul_imm_s(k, step);
                (self.b.ins().iadd(address, distance), offset)
            }),
        }
    }

    fn load_vector(&mut self, dtype: DType, base: Value, stride: i64, at: Position) -> Quad {
        let size = dtype.size() as i64;
        let x = if stride == 1 && matches!(at.lanes, Lanes::First(4)) {
            let (address, offset) = self.place(base, size, at);
            let parts: Vec<Value> = (0..quad::vectors(dtype))
                .map(|k| self.b.ins().load(quad::vector_type(dtype), memory(), address, offset + 16 * k as i32))
                .collect();
            Quad::from_parts(&parts)
        } else {
            let ty = quad::lane_type(dtype);
            let places = self.lane_places(base, stride * size, at);
            let lanes = places.map(|(address, offset)| self.b.ins().load(ty, memory(), address, offset));
            quad::from_lanes(&mut self.b, dtype, lanes)
        };
        quad::from_memory(&mut self.b, dtype, x)
    }

    pub(super) fn store_vector(&mut self, dtype: DType, x: Quad, base: Value, stride: i64, at: Position) {
        let size = dtype.size() as i64;
        let x = quad::in_memory(&mut self.b, dtype, x);
        if stride == 1 && matches!(at.lanes, Lanes::First(4)) {
            let (address, offset) = self.place(base, size, at);
            for (k, part) in x.parts().into_iter().enumerate() {
                self.b.ins().store(memory(), part, address, offset + 16 * k as i32);
            }
            return;
        }
        // A bool is already 0 or 1.
        let stored = if dtype == DType::Bool { DType::I32 } else { dtype };
        let lanes = match at.lanes {
            Lanes::First(n) => n,
            Lanes::Clamped { .. } => 4,
        };
        let places = self.lane_places(base, stride * size, at);
        for (k, (address, offset)) in places.into_iter().enumerate().take(lanes as usize) {
            let lane = quad::lane(&mut self.b, stored, x, k as u8);
            self.b.ins().store(memory(), lane, address, offset);
        }
    }

    /// Keeps a value for a later pass, in whole vectors.
    pub(super) fn save(&mut self, v: ValueId, x: Quad, at: Position) {
        let (dtype, base) = self.scratch_row(v);
        let x = if dtype == DType::Bool { Quad::Narrow(quad::narrow_mask(&mut self.b, x)) } else { x };
        let (address, offset) = self.place(base, dtype.size() as i64, at);
        for (k, part) in x.parts().into_iter().enumerate() {
            self.b.ins().store(memory(), part, address, offset + 16 * k as i32);
        }
    }

    /// Reads back what [`Emitter::save`] kept.
    pub(super) fn reload(&mut self, v: ValueId, at: Position) -> Quad {
        let (dtype, base) = self.scratch_row(v);
        let (address, offset) = self.place(base, dtype.size() as i64, at);
        let parts: Vec<Value> = (0..quad::vectors(dtype))
            .map(|k| self.b.ins().load(quad::vector_type(dtype), memory(), address, offset + 16 * k as i32))
            .collect();
        Quad::from_parts(&parts)
    }

    fn scratch_row(&mut self, v: ValueId) -> (DType, Value) {
        let offset = self.plan.scratch[v.0 as usize].expect("saved values have a place");
        (self.dtype(v), self.b.ins().iadd_imm_s(self.scratch, offset as i64))
    }
}
