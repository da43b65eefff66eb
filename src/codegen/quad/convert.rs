//! From one element type to another.

use super::{Builder, Quad, compare, constant, mask_bits, narrow_mask, vector_type, wide_mask};
use crate::codegen::lanes::{Float, Lanes, bitcast, demote, promote, shuffle32};
use crate::ir::{Compare, DType};
use cranelift_codegen::ir::{InstBuilder, Value, types};

/// I32X4 to two F64X2.
pub fn int_to_f64(b: &mut Builder, x: Value) -> [Value; 2] {
    let high = shuffle32(b, x, x, [2, 3, 2, 3]);
    [x, high].map(|part| {
        // This pair is recognised as one instruction.
        let wide = b.ins().swiden_low(part);
        b.ins().fcvt_from_sint(types::F64X2, wide)
    })
}

/// Two F64X2 to I32X4: towards zero, saturating, NaN to 0.
pub fn f64_to_int(b: &mut Builder, x: [Value; 2]) -> Value {
    let constant = b.func.dfg.constants.insert(vec![0u8; 16].into());
    let [low, high] = x.map(|part| {
        let wide = b.ins().fcvt_to_sint_sat(types::I64X2, part);
        let zero = b.ins().vconst(types::I64X2, constant);
        b.ins().snarrow(wide, zero)
    });
    shuffle32(b, low, high, [0, 1, 4, 5])
}

pub fn convert(b: &mut Builder, from: DType, to: DType, x: Quad) -> Quad {
    use DType::*;
    match (from, to) {
        (F32, F32) | (F64, F64) | (I32, I32) | (Bool, Bool) => x,
        (F32, F64) => Quad::Wide(promote(b, x.one())),
        (F64, F32) => Quad::Narrow(demote(b, x.two())),
        (I32, F32) => Quad::Narrow(b.ins().fcvt_from_sint(types::F32X4, x.one())),
        (I32, F64) => Quad::Wide(int_to_f64(b, x.one())),
        (F32, I32) => Quad::Narrow(b.ins().fcvt_to_sint_sat(types::I32X4, x.one())),
        (F64, I32) => Quad::Narrow(f64_to_int(b, x.two())),
        (F32 | F64 | I32, Bool) => {
            let zero = constant(b, from, 0.0);
            compare(b, Compare::Ne, from, x, zero)
        }
        (Bool, F32 | F64 | I32) => {
            // The bits of one where the mask is set.
            let one = constant(b, to, 1.0);
            let masks = if to == F64 { wide_mask(b, x).to_vec() } else { vec![narrow_mask(b, x)] };
            let parts: Vec<Value> = masks
                .into_iter()
                .zip(one.parts())
                .map(|(mask, one)| {
                    let one = mask_bits(b, one);
                    let bits = b.ins().band(mask, one);
                    bitcast(b, vector_type(to), bits)
                })
                .collect();
            Quad::from_parts(&parts)
        }
    }
}

/// The upper 24 bits of random words times 2^-24.
pub fn bits_to_unit(b: &mut Builder, to: DType, x: Quad) -> Quad {
    let eight = b.ins().iconst(types::I32, 8);
    let bits = b.ins().ushr(x.one(), eight);
    let number = b.ins().fcvt_from_sint(types::F32X4, bits);
    let mut l = Lanes { b: &mut *b, f: Float::F32 };
    let scale = l.c(2f64.powi(-24));
    let unit = l.mul(number, scale);
    convert(b, DType::F32, to, Quad::Narrow(unit))
}
