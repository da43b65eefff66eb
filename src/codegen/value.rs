//! Emits single values, and their loads and stores.

use super::emit::{Emitter, RowBase, memory};
use super::host;
use super::inner::{Lanes, Position};
use super::math;
use super::quad::{self, Quad};
use super::width::{self, Width};
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
                self.index_splat(v, number)
            }
            ValueKind::Random { stream, keys, index } => {
                let number = self.b.ins().iconst(types::I64, index.offset as i64);
                let number = self.number_splat(number);
                self.random(*stream, *keys, number.one())
            }
            kind => match host::index_of(kind) {
                Some(function) if value.dtype.is_float() => self.host_call(function, value.dtype, kind),
                _ => self.uniform(v),
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
            (ValueKind::Index(_), Some(RowBase::Number(number))) => self.index_splat(v, number),
            (ValueKind::Random { stream, keys, .. }, Some(RowBase::Number(number))) => {
                let index = self.number_splat(number);
                self.random(*stream, *keys, index.one())
            }
            _ => self.uniform(v),
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

    /// An operation on values whose lanes are equal.
    fn uniform(&mut self, v: ValueId) -> Quad {
        let x = self.compute(v, &[]);
        if self.width == Width::W256 && width::mixes(self.kernel, v) { self.first_to_all(v, x) } else { x }
    }

    /// Lane 0 in all lanes: what passes between lanes of 32 and 64 bits has lost the upper half.
    fn first_to_all(&mut self, v: ValueId, x: Quad) -> Quad {
        let dtype = self.dtype(v);
        let lane = quad::first_lane(&mut self.b, dtype, x);
        // A lane of a bool is its mask.
        let ty = if dtype == DType::Bool { DType::I32 } else { dtype };
        quad::splat(&mut self.b, ty, lane)
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

    /// An I64 as a 32-bit integer in all lanes.
    fn number_splat(&mut self, number: Value) -> Quad {
        let lane = self.b.ins().ireduce(types::I32, number);
        quad::splat(&mut self.b, DType::I32, lane)
    }

    /// An I64 as value `v` in all lanes.
    fn index_splat(&mut self, v: ValueId, number: Value) -> Quad {
        let dtype = self.dtype(v);
        let x = self.number_splat(number);
        let x = quad::convert(&mut self.b, DType::I32, dtype, x);
        if self.width == Width::W256 && width::mixes(self.kernel, v) { self.first_to_all(v, x) } else { x }
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
            Lanes::All => iota,
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
}
