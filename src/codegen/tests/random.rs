//! Random bits against a scalar Threefry, itself checked by the published vectors.

use super::*;

fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let rotations = [13, 15, 26, 6, 17, 29, 16, 24];
    let schedule = [key[0], key[1], 0x1BD11BDA ^ key[0] ^ key[1]];
    let mut x = [counter[0].wrapping_add(key[0]), counter[1].wrapping_add(key[1])];
    for round in 0..20 {
        x[0] = x[0].wrapping_add(x[1]);
        x[1] = x[1].rotate_left(rotations[round % 8]) ^ x[0];
        if round % 4 == 3 {
            let s = round / 4 + 1;
            x[0] = x[0].wrapping_add(schedule[s % 3]);
            x[1] = x[1].wrapping_add(schedule[(s + 1) % 3]).wrapping_add(s as u32);
        }
    }
    x
}

#[test]
fn published_vectors() {
    // From the known-answer tests of Random123.
    assert_eq!(threefry([0, 0], [0, 0]), [0x6b200159, 0x99ba4efe]);
    assert_eq!(threefry([!0, !0], [!0, !0]), [0x1cb996fc, 0xbb002be7]);
    assert_eq!(threefry([0x13198a2e, 0x03707344], [0x243f6a88, 0x85a308d3]), [0xc4923a9c, 0x483df7a0]);
}

#[test]
fn same_bits_as_the_scalar_form() {
    let (rows, n, stream) = (3usize, 21usize, 77u32);
    let mut k = Build::grid(&[rows], n);
    let keys = k.param(DType::I32, 3, false);
    let (words, unit32, unit64) =
        (k.param(DType::I32, rows * n, true), k.param(DType::F32, rows * n, true), k.param(DType::F64, rows * n, true));
    let key = [0, 1, 2].map(|i| k.load(keys, along(i, &[0], 0)));
    let at = along(0, &[n as isize], 1);
    let bits = k.value(DType::I32, ValueKind::Random { stream, keys: key, index: at.clone() });
    let u32s = k.value(DType::F32, ValueKind::BitsToUnit(bits));
    let u64s = k.value(DType::F64, ValueKind::BitsToUnit(bits));
    k.store(words, at.clone(), bits);
    k.store(unit32, at.clone(), u32s);
    k.store(unit64, at, u64s);
    for tile in [1, 3] {
        let mut buffers = [
            tensor(DType::I32, &[-5.0, 123456.0, 42.0]),
            zeros(DType::I32, rows * n),
            zeros(DType::F32, rows * n),
            zeros(DType::F64, rows * n),
        ];
        run_tiles(&k.kernel, &mut buffers, tile);
        for i in 0..rows * n {
            let word = threefry([-5i32 as u32, 123456 ^ stream], [i as u32, 42])[0];
            assert_eq!(buffers[1].i32s()[i] as u32, word);
            let unit = (word >> 8) as f64 / 16777216.0;
            assert_eq!(buffers[2].f32s()[i] as f64, unit);
            assert_eq!(buffers[3].f64s()[i], unit);
        }
    }
}
