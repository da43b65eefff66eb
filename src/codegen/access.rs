//! Loads and stores of vectors, and what goes through memory.
//!
//! The *exchange* is a small part of the scratch block. Values that all iterations of a loop share are settled by a store
//! and a load of it. At 256 bits, where an instruction works on each half of a vector by itself, lanes and halves are
//! taken apart and put together there.

use super::emit::{Emitter, memory};
use super::inner::{Lanes, Position};
use super::lanes::bitcast;
use super::quad::{self, Quad};
use super::width::Width;
use crate::ir::{DType, ReduceKind};
use crate::kernel::ValueId;
use cranelift_codegen::ir::{InstBuilder, Type, Value, types};

/// Numbers of lanes, for 256-bit code to load.
static IOTA: [i32; 8] = [0, 1, 2, 3, 4, 5, 6, 7];
static WIDE_IOTA: [i64; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

impl Emitter<'_, '_> {
    /// 0, 1, 2, 3 and so on.
    pub(super) fn iota(&mut self) -> Value {
        if self.width == Width::W256 {
            return self.table(types::I32X4, IOTA.as_ptr() as i64, 0);
        }
        let bytes: Vec<u8> = IOTA[..4].iter().flat_map(|k| k.to_le_bytes()).collect();
        let constant = self.b.func.dfg.constants.insert(bytes.into());
        self.b.ins().vconst(types::I32X4, constant)
    }

    /// The same in 64-bit lanes, at 256 bits.
    pub(super) fn wide_iota(&mut self) -> [Value; 2] {
        [0, 32].map(|offset| self.table(types::I64X2, WIDE_IOTA.as_ptr() as i64, offset))
    }

    fn table(&mut self, ty: Type, address: i64, offset: i32) -> Value {
        let address = self.b.ins().iconst(types::I64, address);
        self.b.ins().load(ty, memory().with_readonly().with_can_move(), address, offset)
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
        match i32::try_from(offset + 16 * step.abs()) {
            Ok(_) if offset >= i32::MIN as i64 => (address, offset as i32),
            _ => (self.b.ins().iadd_imm_s(address, offset), 0),
        }
    }

    /// The addresses of the lanes.
    fn lane_places(&mut self, base: Value, step: i64, at: Position) -> Vec<(Value, i32)> {
        let (address, offset) = self.place(base, step, at);
        let width = self.width.lanes();
        let fixed = |e: &mut Self, k: usize| {
            let distance = k as i64 * step;
            match i32::try_from(offset as i64 + distance) {
                Ok(offset) => (address, offset),
                Err(_) => (e.b.ins().iadd_imm_s(address, distance), offset),
            }
        };
        match at.lanes {
            Lanes::All => (0..width).map(|k| fixed(self, k)).collect(),
            Lanes::First(n) => (0..width).map(|k| fixed(self, k.min(n as usize - 1))).collect(),
            Lanes::Clamped { offsets, .. } => {
                let lane = |k: &Value| {
                    let distance = self.b.ins().imul_imm_s(*k, step);
                    (self.b.ins().iadd(address, distance), offset)
                };
                offsets[..width].iter().map(lane).collect()
            }
        }
    }

    /// The native vectors of a quad that lie one after another.
    pub(super) fn load_parts(&mut self, dtype: DType, address: Value, offset: i32) -> Quad {
        let step = self.width.bytes() as i32;
        let parts: Vec<Value> = (0..quad::vectors(dtype))
            .map(|k| self.b.ins().load(quad::vector_type(dtype), memory(), address, offset + step * k as i32))
            .collect();
        Quad::from_parts(&parts)
    }

    pub(super) fn store_parts(&mut self, x: Quad, address: Value, offset: i32) {
        let step = self.width.bytes() as i32;
        for (k, part) in x.parts().into_iter().enumerate() {
            self.b.ins().store(memory(), part, address, offset + step * k as i32);
        }
    }

    pub(super) fn load_vector(&mut self, dtype: DType, base: Value, stride: i64, at: Position) -> Quad {
        let size = dtype.size() as i64;
        let x = if stride == 1 && matches!(at.lanes, Lanes::All) {
            let (address, offset) = self.place(base, size, at);
            self.load_parts(dtype, address, offset)
        } else if stride == 0 {
            let lane = self.b.ins().load(quad::lane_type(dtype), memory(), base, 0);
            quad::splat(&mut self.b, if dtype == DType::Bool { DType::I32 } else { dtype }, lane)
        } else {
            let ty = quad::lane_type(dtype);
            let places = self.lane_places(base, stride * size, at);
            let lanes: Vec<Value> =
                places.into_iter().map(|(address, offset)| self.b.ins().load(ty, memory(), address, offset)).collect();
            self.joined_lanes(dtype, &lanes)
        };
        quad::from_memory(&mut self.b, dtype, x)
    }

    pub(super) fn store_vector(&mut self, dtype: DType, x: Quad, base: Value, stride: i64, at: Position) {
        let size = dtype.size() as i64;
        let x = quad::in_memory(&mut self.b, dtype, x);
        if stride == 1 && matches!(at.lanes, Lanes::All) {
            let (address, offset) = self.place(base, size, at);
            self.store_parts(x, address, offset);
            return;
        }
        // A bool is already 0 or 1.
        let stored = if dtype == DType::Bool { DType::I32 } else { dtype };
        let mut lanes = self.lanes(stored, x);
        if let Lanes::First(n) = at.lanes {
            lanes.truncate(n as usize);
        }
        let places = self.lane_places(base, stride * size, at);
        for ((address, offset), lane) in places.into_iter().zip(lanes) {
            self.b.ins().store(memory(), lane, address, offset);
        }
    }

    /// All lanes as scalars. Of a bool: all ones or zero.
    pub(super) fn lanes(&mut self, dtype: DType, x: Quad) -> Vec<Value> {
        if self.width == Width::W128 {
            return (0..4).map(|k| quad::lane(&mut self.b, dtype, x, k)).collect();
        }
        self.store_parts(x, self.exchange, 0);
        let size = dtype.size() as i32;
        (0..8).map(|k| self.b.ins().load(quad::lane_type(dtype), memory(), self.exchange, k * size)).collect()
    }

    /// Puts scalars together.
    fn joined_lanes(&mut self, dtype: DType, lanes: &[Value]) -> Quad {
        if let (Width::W128, [x, y, z, w]) = (self.width, lanes) {
            return quad::joined_lanes(&mut self.b, dtype, [*x, *y, *z, *w]);
        }
        let size = dtype.size() as i32;
        for (k, lane) in lanes.iter().enumerate() {
            self.b.ins().store(memory(), *lane, self.exchange, k as i32 * size);
        }
        self.load_parts(dtype, self.exchange, 0)
    }

    /// All lanes reduced to one value, in every lane.
    pub(super) fn reduce_lanes(&mut self, kind: ReduceKind, dtype: DType, x: Quad) -> Quad {
        let halves = quad::reduce_lanes(&mut self.b, kind, dtype, x);
        if self.width == Width::W128 {
            return halves;
        }
        // Each half has its own result in every lane.
        self.b.ins().store(memory(), halves.parts()[0], self.exchange, 0);
        let [low, high] = [0, 16].map(|offset| {
            let lane = self.b.ins().load(quad::lane_type(dtype), memory(), self.exchange, offset);
            quad::splat(&mut self.b, dtype, lane)
        });
        quad::accumulate(&mut self.b, kind, dtype, low, high)
    }

    /// A value with equal lanes, computed here and nowhere else.
    ///
    /// Cranelift computes what has no effects where it is used, and repeats it in the loops of the kernel: conversions of
    /// hyper-parameters, for instance, at every element. A load stays where it is.
    pub(super) fn settled(&mut self, x: Quad) -> Quad {
        let part = x.parts()[0];
        let ty = self.b.func.dfg.value_type(part);
        // Of another type: a load of the type that was stored is replaced by the stored value.
        let other = match ty {
            types::F32X4 => types::I32X4,
            types::F64X2 => types::I64X2,
            types::I64X2 => types::F64X2,
            _ => types::F32X4,
        };
        self.b.ins().store(memory(), part, self.exchange, 0);
        let loaded = self.b.ins().load(other, memory(), self.exchange, 0);
        let part = bitcast(&mut self.b, ty, loaded);
        match x {
            Quad::Narrow(_) => Quad::Narrow(part),
            Quad::Wide(_) => Quad::Wide([part, part]),
        }
    }

    /// Keeps a value for a later pass, in whole vectors.
    pub(super) fn save(&mut self, v: ValueId, x: Quad, at: Position) {
        let (dtype, base) = self.scratch_row(v);
        let x = if dtype == DType::Bool { Quad::Narrow(quad::narrow_mask(&mut self.b, x)) } else { x };
        let (address, offset) = self.place(base, dtype.size() as i64, at);
        self.store_parts(x, address, offset);
    }

    /// Reads back what [`Emitter::save`] kept.
    pub(super) fn reload(&mut self, v: ValueId, at: Position) -> Quad {
        let (dtype, base) = self.scratch_row(v);
        let (address, offset) = self.place(base, dtype.size() as i64, at);
        self.load_parts(dtype, address, offset)
    }

    fn scratch_row(&mut self, v: ValueId) -> (DType, Value) {
        let offset = self.plan.scratch[v.0 as usize].expect("saved values have a place");
        let dtype = self.dtype(v);
        let mut base = self.b.ins().iadd_imm_s(self.scratch, offset as i64);
        if let Some(first) = self.row_first {
            // Indices of segments go on from one to the next.
            let distance = self.b.ins().imul_imm_s(first, dtype.size() as i64);
            base = self.b.ins().isub(base, distance);
        }
        (dtype, base)
    }
}
