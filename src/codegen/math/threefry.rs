//! Threefry-2x32-20 (Salmon et al. 2011) on four counters at a time.

use cranelift_codegen::ir::{InstBuilder, Value, types};
use cranelift_frontend::FunctionBuilder;

const ROTATIONS: [[i64; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
const PARITY: i64 = 0x1BD1_1BDA;

/// Word 0 of the block of counter `(index, step)` under key `(key0, key1)`; all operands are I32X4.
pub fn threefry(b: &mut FunctionBuilder, key: [Value; 2], index: Value, step: Value) -> Value {
    let parity = splat(b, PARITY);
    let third = b.ins().bxor(key[0], key[1]);
    let third = b.ins().bxor(third, parity);
    let schedule = [key[0], key[1], third];
    let mut x0 = b.ins().iadd(index, schedule[0]);
    let mut x1 = b.ins().iadd(step, schedule[1]);
    for group in 0..5 {
        for rotation in ROTATIONS[group % 2] {
            x0 = b.ins().iadd(x0, x1);
            let left = b.ins().iconst(types::I32, rotation);
            let right = b.ins().iconst(types::I32, 32 - rotation);
            let high = b.ins().ishl(x1, left);
            let low = b.ins().ushr(x1, right);
            x1 = b.ins().bor(high, low);
            x1 = b.ins().bxor(x1, x0);
        }
        x0 = b.ins().iadd(x0, schedule[(group + 1) % 3]);
        x1 = b.ins().iadd(x1, schedule[(group + 2) % 3]);
        let injected = splat(b, group as i64 + 1);
        x1 = b.ins().iadd(x1, injected);
    }
    x0
}

fn splat(b: &mut FunctionBuilder, value: i64) -> Value {
    let lane = b.ins().iconst(types::I32, value);
    b.ins().splat(types::I32X4, lane)
}
