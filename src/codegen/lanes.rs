//! Vector instructions for one float type: what the math functions are written with.
//!
//! Everything here works on *native* vectors of 128 bits: four `f32` or two `f64`, with masks and bit patterns in integer
//! vectors of the same shape. In a kernel that is widened, each stands for two halves that do the same.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{ConstantData, InstBuilder, MemFlagsData, Opcode, Type, Value, ValueDef, types};
use cranelift_frontend::FunctionBuilder;

/// A float type and the constants that bit tricks need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Float {
    F32,
    F64,
}

impl Float {
    pub fn vector(self) -> Type {
        match self {
            Float::F32 => types::F32X4,
            Float::F64 => types::F64X2,
        }
    }

    pub fn int_vector(self) -> Type {
        match self {
            Float::F32 => types::I32X4,
            Float::F64 => types::I64X2,
        }
    }

    pub fn int_lane(self) -> Type {
        match self {
            Float::F32 => types::I32,
            Float::F64 => types::I64,
        }
    }

    /// Bits of the fraction.
    pub fn fraction_bits(self) -> i64 {
        match self {
            Float::F32 => 23,
            Float::F64 => 52,
        }
    }

    pub fn exponent_bias(self) -> i64 {
        match self {
            Float::F32 => 127,
            Float::F64 => 1023,
        }
    }

    /// 1.5 times 2 to the number of fraction bits: adding it leaves a nearby integer in the low bits.
    pub fn magic(self) -> f64 {
        match self {
            Float::F32 => 12582912.0,
            Float::F64 => 6755399441055744.0,
        }
    }

    /// Bits of a constant of this type.
    pub fn bits(self, value: f64) -> i64 {
        match self {
            Float::F32 => (value as f32).to_bits() as i32 as i64,
            Float::F64 => value.to_bits() as i64,
        }
    }
}

/// Emits instructions on vectors of one float type.
pub struct Lanes<'a, 'f> {
    pub b: &'a mut FunctionBuilder<'f>,
    pub f: Float,
}

impl Lanes<'_, '_> {
    /// A float constant in every lane.
    pub fn c(&mut self, value: f64) -> Value {
        let ty = self.f.vector();
        let lane = match self.f {
            Float::F32 => self.b.ins().f32const(value as f32),
            Float::F64 => self.b.ins().f64const(value),
        };
        self.b.ins().splat(ty, lane)
    }

    /// An integer constant in every lane.
    pub fn ci(&mut self, value: i64) -> Value {
        let (ty, lane) = (self.f.int_vector(), self.f.int_lane());
        let value = if self.f == Float::F32 { value & 0xffff_ffff } else { value };
        let scalar = self.b.ins().iconst(lane, value);
        self.b.ins().splat(ty, scalar)
    }

    pub fn add(&mut self, x: Value, y: Value) -> Value {
        self.b.ins().fadd(x, y)
    }

    pub fn sub(&mut self, x: Value, y: Value) -> Value {
        self.b.ins().fsub(x, y)
    }

    pub fn mul(&mut self, x: Value, y: Value) -> Value {
        self.b.ins().fmul(x, y)
    }

    pub fn div(&mut self, x: Value, y: Value) -> Value {
        self.b.ins().fdiv(x, y)
    }

    /// `x * y + z` with one rounding.
    pub fn fma(&mut self, x: Value, y: Value, z: Value) -> Value {
        self.b.ins().fma(x, y, z)
    }

    /// `z - x * y` with one rounding.
    pub fn fnma(&mut self, x: Value, y: Value, z: Value) -> Value {
        let x = self.b.ins().fneg(x);
        self.b.ins().fma(x, y, z)
    }

    pub fn neg(&mut self, x: Value) -> Value {
        self.b.ins().fneg(x)
    }

    pub fn abs(&mut self, x: Value) -> Value {
        self.b.ins().fabs(x)
    }

    pub fn compare(&mut self, cc: FloatCC, x: Value, y: Value) -> Value {
        self.b.ins().fcmp(cc, x, y)
    }

    pub fn lt(&mut self, x: Value, y: Value) -> Value {
        self.compare(FloatCC::LessThan, x, y)
    }

    pub fn is_nan(&mut self, x: Value) -> Value {
        self.compare(FloatCC::Unordered, x, x)
    }

    pub fn select(&mut self, mask: Value, x: Value, y: Value) -> Value {
        select(self.b, mask, x, y)
    }

    /// The bits of a float vector as integers.
    pub fn bits(&mut self, x: Value) -> Value {
        let ty = self.f.int_vector();
        bitcast(self.b, ty, x)
    }

    /// The float vector with these bits.
    pub fn float(&mut self, x: Value) -> Value {
        let ty = self.f.vector();
        bitcast(self.b, ty, x)
    }

    pub fn shl(&mut self, x: Value, by: i64) -> Value {
        let by = self.b.ins().iconst(types::I32, by);
        self.b.ins().ishl(x, by)
    }

    /// Logical shift to the right.
    pub fn shr(&mut self, x: Value, by: i64) -> Value {
        let by = self.b.ins().iconst(types::I32, by);
        self.b.ins().ushr(x, by)
    }

    pub fn iadd(&mut self, x: Value, y: Value) -> Value {
        self.b.ins().iadd(x, y)
    }

    pub fn isub(&mut self, x: Value, y: Value) -> Value {
        self.b.ins().isub(x, y)
    }

    pub fn and(&mut self, x: Value, y: Value) -> Value {
        self.b.ins().band(x, y)
    }

    pub fn or(&mut self, x: Value, y: Value) -> Value {
        self.b.ins().bor(x, y)
    }

    pub fn xor(&mut self, x: Value, y: Value) -> Value {
        self.b.ins().bxor(x, y)
    }

    /// `coefficients[0] + coefficients[1] * x + …` by Horner's rule with fma.
    pub fn poly(&mut self, x: Value, coefficients: &[f64]) -> Value {
        let (last, rest) = coefficients.split_last().expect("a polynomial has a coefficient");
        let mut sum = self.c(*last);
        for coefficient in rest.iter().rev() {
            let c = self.c(*coefficient);
            sum = self.fma(sum, x, c);
        }
        sum
    }

    /// The coefficients for this type.
    pub fn poly_of(&mut self, x: Value, f32: &[f64], f64: &[f64]) -> Value {
        match self.f {
            Float::F32 => self.poly(x, f32),
            Float::F64 => self.poly(x, f64),
        }
    }

    /// Rounds `x * scale` to an integer by adding a large constant; returns it as float, and the bits whose low part
    /// is that integer. Right for results below 2^22 (f32) or 2^51 (f64).
    pub fn round_scaled(&mut self, x: Value, scale: f64) -> (Value, Value) {
        let (scale, magic) = (self.c(scale), self.f.magic());
        let magic = self.c(magic);
        let shifted = self.fma(x, scale, magic);
        let n = self.sub(shifted, magic);
        (n, self.bits(shifted))
    }

    /// `x` with the sign of `sign` (its sign bit must be clear).
    pub fn with_sign_of(&mut self, x: Value, sign: Value) -> Value {
        let sign_bit = self.ci(match self.f {
            Float::F32 => i32::MIN as i64,
            Float::F64 => i64::MIN,
        });
        let s = self.bits(sign);
        let s = self.and(s, sign_bit);
        let x = self.bits(x);
        let r = self.or(x, s);
        self.float(r)
    }

    /// Limits `x` to `low..=high`; NaN stays NaN.
    pub fn clamp(&mut self, x: Value, low: f64, high: f64) -> Value {
        let (low, high) = (self.c(low), self.c(high));
        // The limit is the first operand of the comparison's select: an unordered comparison keeps x.
        let below = self.lt(high, x);
        let x = self.select(below, high, x);
        let above = self.lt(x, low);
        self.select(above, low, x)
    }
}

/// Reinterprets the bits of a 128-bit vector.
pub fn bitcast(b: &mut FunctionBuilder, ty: Type, x: Value) -> Value {
    if b.func.dfg.value_type(x) == ty {
        return x;
    }
    let flags = MemFlagsData::new().with_endianness(cranelift_codegen::ir::Endianness::Little);
    b.ins().bitcast(ty, flags, x)
}

/// `mask ? x : y` in each lane, in the form that becomes one blend (or one max or min) instruction.
pub fn select(b: &mut FunctionBuilder, mask: Value, x: Value, y: Value) -> Value {
    let ty = b.func.dfg.value_type(x);
    let mask_ty = b.func.dfg.value_type(mask);
    let from_float_compare = match b.func.dfg.value_def(mask) {
        ValueDef::Result(inst, _) => b.func.dfg.insts[inst].opcode() == Opcode::Fcmp,
        _ => false,
    };
    if from_float_compare || mask_ty == ty {
        let mask = bitcast(b, ty, mask);
        return b.ins().bitselect(mask, x, y);
    }
    // Integer comparisons are recognised only when they are the condition themselves: select the bits.
    let (x, y) = (bitcast(b, mask_ty, x), bitcast(b, mask_ty, y));
    let picked = b.ins().bitselect(mask, x, y);
    bitcast(b, ty, picked)
}

/// Lanes of two 32-bit vectors: index 0..4 picks from `x`, 4..8 from `y`.
pub fn shuffle32(b: &mut FunctionBuilder, x: Value, y: Value, lanes: [u8; 4]) -> Value {
    let ty = b.func.dfg.value_type(x);
    let bytes: Vec<u8> = lanes.iter().flat_map(|lane| (0..4).map(move |k| lane * 4 + k)).collect();
    let mask = b.func.dfg.immediates.push(ConstantData::from(bytes));
    let (x, y) = (bitcast(b, types::I8X16, x), bitcast(b, types::I8X16, y));
    let shuffled = b.ins().shuffle(x, y, mask);
    bitcast(b, ty, shuffled)
}

/// The two 64-bit lanes exchanged.
pub fn swap64(b: &mut FunctionBuilder, x: Value) -> Value {
    shuffle32(b, x, x, [2, 3, 0, 1])
}

/// Four `f32` lanes as two vectors of `f64`.
pub fn promote(b: &mut FunctionBuilder, x: Value) -> [Value; 2] {
    let high = shuffle32(b, x, x, [2, 3, 2, 3]);
    [b.ins().fvpromote_low(x), b.ins().fvpromote_low(high)]
}

/// The inverse of [`promote`], rounding to nearest.
pub fn demote(b: &mut FunctionBuilder, x: [Value; 2]) -> Value {
    let [low, high] = x.map(|half| b.ins().fvdemote(half));
    shuffle32(b, low, high, [0, 1, 4, 5])
}

/// The low 32 bits of four 64-bit lanes.
pub fn low_words(b: &mut FunctionBuilder, x: [Value; 2]) -> Value {
    let [low, high] = x.map(|half| bitcast(b, types::I32X4, half));
    shuffle32(b, low, high, [0, 2, 4, 6])
}
