//! Elementwise kernels of every type, size and stride.

use super::*;

#[test]
fn add_and_scale_every_size() {
    for n in 0..70 {
        let mut k = Build::flat(n);
        let (x, y, z) = (k.param(DType::F32, n, false), k.param(DType::F32, n, false), k.param(DType::F32, n, true));
        let (a, b) = (k.load(x, along(0, &[], 1)), k.load(y, along(0, &[], 1)));
        let half = k.c(DType::F32, 0.5);
        let sum = k.binary(Binary::Add, a, b);
        let r = k.binary(Binary::Mul, sum, half);
        k.store(z, along(0, &[], 1), r);
        let (p, q) = (noise(n, 1), noise(n, 2));
        let mut buffers = [tensor(DType::F32, &p), tensor(DType::F32, &q), zeros(DType::F32, n)];
        run(&k.kernel, &mut buffers);
        let expect: Vec<f32> = p.iter().zip(&q).map(|(a, b)| (*a as f32 + *b as f32) * 0.5).collect();
        assert_eq!(buffers[2].f32s(), expect, "size {n}");
    }
}

/// A remainder must not write past the end of its task.
#[test]
fn tasks_write_their_range_only() {
    let n = 100;
    let mut k = Build::flat(n);
    let z = k.param(DType::F64, n, true);
    let one = k.c(DType::F64, 1.0);
    k.store(z, along(0, &[], 1), one);
    let modules = [Widths::Narrow, Widths::Wide].map(|widths| compile_width(&k.kernel, widths));
    let cases = [(0, 0), (0, 1), (16, 19), (32, 53), (48, 100), (40, 63)];
    for (module, (start, end)) in modules.iter().flat_map(|m| cases.map(|case| (m, case))) {
        let mut scratch = Buffer::zeroed(scratch_bytes(&k.kernel));
        let mut z = zeros(DType::F64, n);
        let pointers = [z.as_mut_ptr()];
        // SAFETY: the range lies in the space and the kernel has no partial results.
        unsafe { (module.entry(0))(pointers.as_ptr(), start, end, std::ptr::null_mut(), scratch.as_mut_ptr()) };
        let expect: Vec<f64> = (0..n).map(|i| if (start..end).contains(&i) { 1.0 } else { 0.0 }).collect();
        assert_eq!(z.f64s(), expect);
    }
}

#[test]
fn float_operations_of_both_types() {
    type Case = (Unary, fn(f64) -> f64);
    let cases: [Case; 8] = [
        (Unary::Neg, |x| -x),
        (Unary::Abs, f64::abs),
        (Unary::Sign, |x| if x == 0.0 { 0.0 } else { x.signum() }),
        (Unary::Sqrt, f64::sqrt),
        (Unary::Floor, f64::floor),
        (Unary::Ceil, f64::ceil),
        (Unary::Round, f64::round_ties_even),
        (Unary::Exp, f64::exp),
    ];
    let data = [0.0, -0.5, 0.5, 1.5, 2.5, -2.5, 1e6, -7.25, 3.0, 0.1, 9.0];
    for dtype in [DType::F32, DType::F64] {
        for (op, f) in cases {
            let n = data.len();
            let mut k = Build::flat(n);
            let (x, z) = (k.param(dtype, n, false), k.param(dtype, n, true));
            let a = k.load(x, along(0, &[], 1));
            let r = k.unary(op, a);
            k.store(z, along(0, &[], 1), r);
            let mut buffers = [tensor(dtype, &data), zeros(dtype, n)];
            run(&k.kernel, &mut buffers);
            for (x, y) in data.iter().zip(buffers[1].to_f64s()) {
                let x = if dtype == DType::F32 { *x as f32 as f64 } else { *x };
                let expect = if dtype == DType::F32 { f(x) as f32 as f64 } else { f(x) };
                let same = y == expect || (y.is_nan() && expect.is_nan()) || (y - expect).abs() < 1e-6 * expect.abs();
                assert!(same, "{} of {x}: {y}, expected {expect}", op.name());
            }
        }
    }
}

#[test]
fn maximum_and_minimum_keep_nan() {
    for dtype in [DType::F32, DType::F64] {
        let x = [1.0, 2.0, f64::NAN, 3.0, f64::NEG_INFINITY, f64::NAN];
        let y = [2.0, 1.0, 3.0, f64::NAN, 5.0, f64::NAN];
        for (op, expect) in [
            (Binary::Max, [2.0, 2.0, f64::NAN, f64::NAN, 5.0, f64::NAN]),
            (Binary::Min, [1.0, 1.0, f64::NAN, f64::NAN, f64::NEG_INFINITY, f64::NAN]),
        ] {
            let got = binary(dtype, op, &x, &y);
            for (g, e) in got.iter().zip(expect) {
                assert!(*g == e || (g.is_nan() && e.is_nan()), "{got:?}");
            }
        }
    }
}

fn binary(dtype: DType, op: Binary, x: &[f64], y: &[f64]) -> Vec<f64> {
    let n = x.len();
    let mut k = Build::flat(n);
    let (p, q, z) = (k.param(dtype, n, false), k.param(dtype, n, false), k.param(dtype, n, true));
    let (a, b) = (k.load(p, along(0, &[], 1)), k.load(q, along(0, &[], 1)));
    let r = k.binary(op, a, b);
    k.store(z, along(0, &[], 1), r);
    let mut buffers = [tensor(dtype, x), tensor(dtype, y), zeros(dtype, n)];
    run(&k.kernel, &mut buffers);
    buffers[2].to_f64s()
}

#[test]
fn integer_arithmetic() {
    let x: Vec<f64> = vec![7.0, -7.0, 7.0, -7.0, 5.0, -2147483648.0, 0.0, 2147483647.0, 9.0];
    let y: Vec<f64> = vec![2.0, 2.0, -2.0, -2.0, 0.0, -1.0, 3.0, 2147483646.0, 3.0];
    let i = |v: f64| v as i32;
    let expect =
        |f: &dyn Fn(i32, i32) -> i32| -> Vec<f64> { x.iter().zip(&y).map(|(x, y)| f(i(*x), i(*y)) as f64).collect() };
    assert_eq!(binary(DType::I32, Binary::Add, &x, &y), expect(&i32::wrapping_add));
    assert_eq!(binary(DType::I32, Binary::Mul, &x, &y), expect(&i32::wrapping_mul));
    assert_eq!(binary(DType::I32, Binary::Div, &x, &y), expect(&|x, y| if y == 0 { 0 } else { x.wrapping_div(y) }));
    let rem = |x: i32, y: i32| {
        if y == 0 {
            return 0;
        }
        let r = x.wrapping_rem(y);
        if r != 0 && (r < 0) != (y < 0) { r + y } else { r }
    };
    assert_eq!(binary(DType::I32, Binary::Rem, &x, &y), expect(&rem));
    assert_eq!(binary(DType::I32, Binary::Max, &x, &y), expect(&|x, y| x.max(y)));
    assert_eq!(binary(DType::I32, Binary::And, &x, &y), expect(&|x, y| x & y));
}

#[test]
fn float_remainder_has_the_divisors_sign() {
    let x = [5.5, -5.5, 5.5, -5.5, 1.0, -1.0, 0.3, 1e6, 6.0, 1.0];
    let y = [2.0, 2.0, -2.0, -2.0, f64::INFINITY, 4.0, 0.1, 0.7, 3.0, 0.0];
    for dtype in [DType::F32, DType::F64] {
        let cast = |v: f64| if dtype == DType::F32 { v as f32 as f64 } else { v };
        for ((x, y), got) in x.iter().zip(&y).zip(binary(dtype, Binary::Rem, &x, &y)) {
            let (x, y) = (cast(*x), cast(*y));
            let r = x % y;
            let expect = if r != 0.0 && (r < 0.0) != (y < 0.0) { r + y } else { r };
            assert!(got == cast(expect) || (got.is_nan() && expect.is_nan()), "{x} % {y}: {got}, expected {expect}");
        }
    }
}

/// Comparisons, masks in memory, selection and conversions between all pairs of types.
#[test]
fn conversions_between_all_types() {
    let data = [0.0, 1.0, -3.0, 5.0, 100.0, -100.0, 7.0, 0.0, 2.0, 1.0, 3.0];
    let types = [DType::F32, DType::F64, DType::I32, DType::Bool];
    for from in types {
        for to in types {
            let n = data.len();
            let mut k = Build::flat(n);
            let (x, z) = (k.param(from, n, false), k.param(to, n, true));
            let a = k.load(x, along(0, &[], 1));
            let r = k.convert(to, a);
            k.store(z, along(0, &[], 1), r);
            let source: Vec<f64> =
                data.iter().map(|v| if from == DType::Bool { (*v != 0.0) as i32 as f64 } else { *v }).collect();
            let mut buffers = [tensor(from, &source), zeros(to, n)];
            run(&k.kernel, &mut buffers);
            let expect: Vec<f64> =
                source.iter().map(|v| if to == DType::Bool { (*v != 0.0) as i32 as f64 } else { *v }).collect();
            assert_eq!(buffers[1].to_f64s(), expect, "{from} to {to}");
        }
    }
}

#[test]
fn float_to_int_truncates_and_saturates() {
    let data = [1.9, -1.9, 1e20, -1e20, f64::NAN, 0.5, 2147483520.0];
    for dtype in [DType::F32, DType::F64] {
        let mut k = Build::flat(7);
        let (x, z) = (k.param(dtype, 7, false), k.param(DType::I32, 7, true));
        let a = k.load(x, along(0, &[], 1));
        let r = k.convert(DType::I32, a);
        k.store(z, along(0, &[], 1), r);
        let mut buffers = [tensor(dtype, &data), zeros(DType::I32, 7)];
        run(&k.kernel, &mut buffers);
        assert_eq!(buffers[1].i32s(), data.map(|v| v as i32));
    }
}

#[test]
fn masks_of_mixed_widths() {
    let n = 23;
    let (p, q) = (noise(n, 3), noise(n, 4));
    let mut k = Build::flat(n);
    let (x, y) = (k.param(DType::F64, n, false), k.param(DType::F32, n, false));
    let (flags, z) = (k.param(DType::Bool, n, true), k.param(DType::F64, n, true));
    let (a, b) = (k.load(x, along(0, &[], 1)), k.load(y, along(0, &[], 1)));
    let (zero64, zero32) = (k.c(DType::F64, 0.0), k.c(DType::F32, 0.0));
    let wide = k.compare(Compare::Gt, a, zero64);
    let narrow = k.compare(Compare::Lt, b, zero32);
    let both = k.binary(Binary::And, wide, narrow);
    let not = k.unary(Unary::Not, both);
    let chosen = k.select(not, a, zero64);
    k.store(flags, along(0, &[], 1), both);
    k.store(z, along(0, &[], 1), chosen);
    let mut buffers = [tensor(DType::F64, &p), tensor(DType::F32, &q), zeros(DType::Bool, n), zeros(DType::F64, n)];
    run(&k.kernel, &mut buffers);
    for i in 0..n {
        let both = p[i] > 0.0 && q[i] < 0.0;
        assert_eq!(buffers[2].i32s()[i], both as i32);
        assert_eq!(buffers[3].f64s()[i], if both { 0.0 } else { p[i] });
    }
}

/// A transposed, reversed, broadcast read of a grid with three outer axes.
#[test]
fn strides_of_every_kind() {
    let (a, b, c, n) = (2usize, 3, 4, 5);
    let total = a * b * c * n;
    let mut k = Build::grid(&[a, b, c], n);
    let (x, row, one) =
        (k.param(DType::F32, total, false), k.param(DType::F32, b, false), k.param(DType::F32, 1, false));
    let z = k.param(DType::F32, total, true);
    // x is stored as [n, c, b, a], read backwards along the inner axis.
    let strides = [1, a as isize, (a * b) as isize];
    let inner = (a * b * c) as isize;
    let v = k.load(x, along(inner * (n as isize - 1), &strides, -inner));
    let r = k.load(row, along(0, &[0, 1, 0], 0));
    let s = k.load(one, along(0, &[0, 0, 0], 0));
    let i = k.value(DType::F32, ValueKind::Index(along(7, &[100, 10, 1], 1000)));
    let t = k.binary(Binary::Mul, v, r);
    let t = k.binary(Binary::Add, t, s);
    let t = k.binary(Binary::Add, t, i);
    let out = [(b * c * n) as isize, (c * n) as isize, n as isize];
    k.store(z, along(0, &out, 1), t);
    let (p, q) = (noise(total, 5), noise(b, 6));
    for tile in [1, 5, 100] {
        let mut buffers =
            [tensor(DType::F32, &p), tensor(DType::F32, &q), tensor(DType::F32, &[0.25]), zeros(DType::F32, total)];
        run_tiles(&k.kernel, &mut buffers, tile);
        for (at, got) in buffers[3].f32s().iter().enumerate() {
            let (i0, i1, i2, j) = (at / (b * c * n), at / (c * n) % b, at / n % c, at % n);
            let x = p[i0 + i1 * a + i2 * a * b + (n - 1 - j) * a * b * c] as f32;
            let index = (7 + 100 * i0 + 10 * i1 + i2 + 1000 * j) as f32;
            assert_eq!(*got, x * q[i1] as f32 + 0.25 + index, "element {at}");
        }
    }
}

#[test]
fn strided_store() {
    let (rows, n) = (3usize, 9usize);
    let mut k = Build::grid(&[rows], n);
    let (x, z) = (k.param(DType::I32, rows * n, false), k.param(DType::I32, rows * n, true));
    let v = k.load(x, along(0, &[n as isize], 1));
    k.store(z, along(0, &[1], rows as isize), v);
    let data: Vec<f64> = (0..rows * n).map(|v| v as f64).collect();
    let mut buffers = [tensor(DType::I32, &data), zeros(DType::I32, rows * n)];
    run(&k.kernel, &mut buffers);
    for r in 0..rows {
        for j in 0..n {
            assert_eq!(buffers[1].i32s()[j * rows + r], (r * n + j) as i32);
        }
    }
}

/// Hyper-parameter arithmetic once a call, stored to scalars and used by all elements.
#[test]
fn scalar_kernels_and_scalar_operands() {
    let mut k = Build::flat(1);
    let (step, out) = (k.param(DType::F64, 1, true), k.param(DType::F64, 1, true));
    let t = k.load(step, along(0, &[], 0));
    let one = k.c(DType::F64, 1.0);
    let beta = k.c(DType::F64, 0.999);
    let next = k.binary(Binary::Add, t, one);
    let power = k.binary(Binary::Pow, beta, next);
    let correction = k.binary(Binary::Sub, one, power);
    let log = k.unary(Unary::Log, correction);
    k.store(step, along(0, &[], 0), next);
    k.store(out, along(0, &[], 0), log);
    let mut buffers = [tensor(DType::F64, &[4.0]), zeros(DType::F64, 1)];
    run(&k.kernel, &mut buffers);
    assert_eq!(buffers[0].f64s(), [5.0]);
    assert_eq!(buffers[1].f64s(), [(1.0 - 0.999f64.powf(5.0)).ln()]);
}

#[test]
fn identical_kernels_share_code() {
    let make = |n: usize, c: f64| {
        let mut k = Build::flat(n);
        let z = k.param(DType::F32, n, true);
        let v = k.c(DType::F32, c);
        k.store(z, along(0, &[], 1), v);
        k.kernel
    };
    let kernels: Vec<Kernel> = vec![make(10, 1.0), make(20, 1.0), make(10, 2.0), make(10, 1.0)];
    let module = compile(&kernels).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(module.functions(), 2);
    assert!(
        module.entry(0) as usize == module.entry(1) as usize && module.entry(2) as usize != module.entry(0) as usize
    );
    assert!(module.clif(0).contains("function") && module.asm(2).contains("ret"), "{}", module.asm(2));
}

#[test]
fn bad_kernels_are_refused() {
    let mut k = Build::flat(10);
    let (x, z) = (k.param(DType::F32, 9, false), k.param(DType::F32, 10, true));
    let v = k.load(x, along(0, &[], 1));
    k.store(z, along(0, &[], 1), v);
    let error = compile(&[k.kernel]).err().map(|e| e.to_string());
    assert_eq!(error.as_deref(), Some("kernel `test`: %0: touches elements 0..=9 of a buffer of 9"));
}
