//! Row reductions and what depends on them: several passes over a row.

use super::*;
use crate::ir::ArgKind;

const SIZES: [usize; 12] = [1, 2, 3, 4, 5, 10, 16, 31, 33, 64, 70, 1000];

fn close(got: &[f32], expect: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), expect.len());
    for (i, (g, e)) in got.iter().zip(expect).enumerate() {
        assert!((*g as f64 - e).abs() <= tolerance * (1.0 + e.abs()), "{what}, element {i}: {g}, expected {e}");
    }
}

pub fn softmax(dtype: DType, rows: usize, n: usize) -> Kernel {
    let total = rows * n;
    let mut k = Build::grid(&[rows], n);
    let (x, z) = (k.param(dtype, total, false), k.param(dtype, total, true));
    let at = along(0, &[n as isize], 1);
    let v = k.load(x, at.clone());
    let max = k.row_reduce(ReduceKind::Max, v);
    let d = k.binary(Binary::Sub, v, max);
    let e = k.unary(Unary::Exp, d);
    let sum = k.row_reduce(ReduceKind::Sum, e);
    let y = k.binary(Binary::Div, e, sum);
    k.store(z, at, y);
    k.kernel
}

#[test]
fn softmax_rows() {
    for n in SIZES {
        let rows = 7;
        let data: Vec<f64> = noise(rows * n, 9).iter().map(|v| v * 20.0).collect();
        for dtype in [DType::F32, DType::F64] {
            let kernel = softmax(dtype, rows, n);
            let mut first = None;
            for tile in [1, 3, 100] {
                let mut buffers = [tensor(dtype, &data), zeros(dtype, rows * n)];
                run_tiles(&kernel, &mut buffers, tile);
                // The same bits for every partition into tasks.
                let got = bits(&buffers[1]);
                assert_eq!(*first.get_or_insert(got.clone()), got);
                let expect: Vec<f64> = data
                    .iter()
                    .map(|v| if dtype == DType::F32 { *v as f32 as f64 } else { *v })
                    .collect::<Vec<_>>()
                    .chunks(n)
                    .flat_map(|row| {
                        let max = row.iter().copied().fold(f64::MIN, f64::max);
                        let sum: f64 = row.iter().map(|v| (v - max).exp()).sum();
                        row.iter().map(move |v| (v - max).exp() / sum).collect::<Vec<_>>()
                    })
                    .collect();
                // The difference from the maximum is rounded before the exponential.
                let tolerance = if dtype == DType::F32 { 2e-5 } else { 1e-14 };
                for (g, e) in buffers[1].to_f64s().iter().zip(&expect) {
                    assert!((g - e).abs() <= tolerance * e, "softmax of {n}: {g}, expected {e}");
                }
            }
        }
    }
}

/// In place: the result overwrites the operand that later passes read.
#[test]
fn softmax_in_place() {
    for n in [10, 100] {
        let rows = 3;
        let data = noise(rows * n, 4);
        let mut apart = [tensor(DType::F32, &data), zeros(DType::F32, rows * n)];
        run(&softmax(DType::F32, rows, n), &mut apart);
        let kernel = softmax(DType::F32, rows, n);
        let module = compile_one(&kernel);
        let mut x = tensor(DType::F32, &data);
        let mut scratch = Buffer::zeroed(scratch_bytes(&kernel));
        let pointers = [x.as_mut_ptr(), x.as_mut_ptr()];
        // SAFETY: both parameters have the size and type of the tensor.
        unsafe { (module.entry(0))(pointers.as_ptr(), 0, rows, std::ptr::null_mut(), scratch.as_mut_ptr()) };
        assert_eq!(x.f32s(), apart[1].f32s());
    }
}

#[test]
fn layer_norm_rows() {
    for n in SIZES {
        let (rows, total) = (5, 5 * n);
        let mut k = Build::grid(&[rows], n);
        let x = k.param(DType::F32, total, false);
        let (gain, bias) = (k.param(DType::F32, n, false), k.param(DType::F32, n, false));
        let (z, deviations) = (k.param(DType::F32, total, true), k.param(DType::F32, rows, true));
        let at = along(0, &[n as isize], 1);
        let v = k.load(x, at.clone());
        let size = k.c(DType::F32, n as f64);
        let sum = k.row_reduce(ReduceKind::Sum, v);
        let mean = k.binary(Binary::Div, sum, size);
        let d = k.binary(Binary::Sub, v, mean);
        let dd = k.binary(Binary::Mul, d, d);
        let squares = k.row_reduce(ReduceKind::Sum, dd);
        let variance = k.binary(Binary::Div, squares, size);
        let epsilon = k.c(DType::F32, 1e-5);
        let variance = k.binary(Binary::Add, variance, epsilon);
        let r = k.unary(Unary::Rsqrt, variance);
        let (g, b) = (k.load(gain, along(0, &[0], 1)), k.load(bias, along(0, &[0], 1)));
        let y = k.binary(Binary::Mul, d, r);
        let y = k.binary(Binary::Mul, y, g);
        let y = k.binary(Binary::Add, y, b);
        k.store(z, at, y);
        k.store(deviations, along(0, &[1], 0), r);
        let (data, gs, bs) = (noise(total, 1), noise(n, 2), noise(n, 3));
        let mut buffers = [
            tensor(DType::F32, &data),
            tensor(DType::F32, &gs),
            tensor(DType::F32, &bs),
            zeros(DType::F32, total),
            zeros(DType::F32, rows),
        ];
        run(&k.kernel, &mut buffers);
        let mut expect = vec![];
        let mut expect_deviations = vec![];
        for row in data.chunks(n) {
            let mean = row.iter().sum::<f64>() / n as f64;
            let variance = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n as f64;
            let r = 1.0 / (variance + 1e-5).sqrt();
            expect.extend(row.iter().enumerate().map(|(j, v)| (v - mean) * r * gs[j] + bs[j]));
            expect_deviations.push(r);
        }
        close(buffers[3].f32s(), &expect, 2e-5, &format!("layer norm of {n}"));
        close(buffers[4].f32s(), &expect_deviations, 2e-5, &format!("deviation of {n}"));
    }
}

#[test]
fn row_maximum_keeps_nan_and_infinity() {
    for n in SIZES {
        let mut data = noise(3 * n, 8);
        data[n + n / 2] = f64::NAN;
        data[2 * n..].fill(f64::NEG_INFINITY);
        for kind in [ReduceKind::Max, ReduceKind::Min] {
            let mut k = Build::grid(&[3], n);
            let (x, z) = (k.param(DType::F32, 3 * n, false), k.param(DType::F32, 3, true));
            let v = k.load(x, along(0, &[n as isize], 1));
            let r = k.row_reduce(kind, v);
            k.store(z, along(0, &[1], 0), r);
            let mut buffers = [tensor(DType::F32, &data), zeros(DType::F32, 3)];
            run(&k.kernel, &mut buffers);
            let got = buffers[1].f32s();
            let first = data[..n].iter().map(|v| *v as f32);
            let expect =
                if kind == ReduceKind::Max { first.fold(f32::MIN, f32::max) } else { first.fold(f32::MAX, f32::min) };
            assert_eq!(got[0], expect);
            assert!(got[1].is_nan() && got[2] == f32::NEG_INFINITY, "{n}: {got:?}");
        }
    }
}

#[test]
fn first_extreme_index() {
    for dtype in [DType::F32, DType::F64, DType::I32] {
        for n in SIZES {
            for kind in [ArgKind::Max, ArgKind::Min] {
                let rows = 9;
                // Few distinct numbers, so that there are ties; one row all equal to the identity.
                let mut data: Vec<f64> = noise(rows * n, 7).iter().map(|v| (v * 4.0).round()).collect();
                if dtype.is_float() {
                    data[..n].fill(if kind == ArgKind::Max { f64::NEG_INFINITY } else { f64::INFINITY });
                    if n > 2 {
                        data[n + n / 3] = f64::NAN;
                        data[n + n - 1] = f64::NAN;
                    }
                }
                let mut k = Build::grid(&[rows], n);
                let (x, z) = (k.param(dtype, rows * n, false), k.param(DType::I32, rows, true));
                let v = k.load(x, along(0, &[n as isize], 1));
                let r = k.value(DType::I32, ValueKind::RowArg(kind, v));
                k.store(z, along(0, &[1], 0), r);
                let mut buffers = [tensor(dtype, &data), zeros(DType::I32, rows)];
                run(&k.kernel, &mut buffers);
                for (row, got) in data.chunks(n).zip(buffers[1].i32s()) {
                    let mut best = 0;
                    for (j, v) in row.iter().enumerate() {
                        let beyond = if kind == ArgKind::Max { *v > row[best] } else { *v < row[best] };
                        if !row[best].is_nan() && (beyond || v.is_nan()) {
                            best = j;
                        }
                    }
                    assert_eq!(*got as usize, best, "{dtype} {n} {row:?}");
                }
            }
        }
    }
}

/// Rows of different lengths, with a value of each row used at its elements.
#[test]
fn segments_scaled_by_their_norm() {
    let offsets = vec![0usize, 0, 3, 20, 21, 100, 164];
    let (n, rows) = (164, offsets.len() - 1);
    let space = Space::Segments { offsets: std::sync::Arc::new(offsets.clone()) };
    let mut k = Build::new(space);
    let (x, scale) = (k.param(DType::F64, n, false), k.param(DType::F64, rows, false));
    let (z, norms) = (k.param(DType::F64, n, true), k.param(DType::F64, rows, true));
    let v = k.load(x, along(0, &[0], 1));
    let s = k.load(scale, along(0, &[1], 0));
    let vv = k.binary(Binary::Mul, v, v);
    let sum = k.row_reduce(ReduceKind::Sum, vv);
    let norm = k.unary(Unary::Sqrt, sum);
    let y = k.binary(Binary::Div, v, norm);
    let y = k.binary(Binary::Mul, y, s);
    k.store(z, along(0, &[0], 1), y);
    k.store(norms, along(0, &[1], 0), norm);
    let (data, scales) = (noise(n, 5), noise(rows, 6));
    let mut all: Option<Vec<u8>> = None;
    for tile in [1, 2, 10] {
        let mut buffers =
            [tensor(DType::F64, &data), tensor(DType::F64, &scales), zeros(DType::F64, n), zeros(DType::F64, rows)];
        run_tiles(&k.kernel, &mut buffers, tile);
        for r in 0..rows {
            let row = offsets[r]..offsets[r + 1];
            let norm = data[row.clone()].iter().map(|v| v * v).sum::<f64>().sqrt();
            assert!((buffers[3].f64s()[r] - norm).abs() < 1e-14);
            for i in row {
                assert!((buffers[2].f64s()[i] - data[i] / norm * scales[r]).abs() < 1e-14);
            }
        }
        let got = bits(&buffers[2]);
        assert_eq!(*all.get_or_insert(got.clone()), got);
    }
}

/// LAMB's form: a costly value that a norm and the update use is computed once and kept, at its place in the segment.
#[test]
fn segments_keep_costly_values() {
    let offsets = vec![0usize, 3, 3, 40, 41, 120, 128];
    let (rows, n) = (offsets.len() - 1, 128);
    let mut k = Build::new(Space::Segments { offsets: std::sync::Arc::new(offsets.clone()) });
    let (x, y) = (k.param(DType::F32, n, false), k.param(DType::F32, n, false));
    let (z, norms) = (k.param(DType::F32, n, true), k.param(DType::F32, rows, true));
    let (a, b) = (k.load(x, along(0, &[0], 1)), k.load(y, along(0, &[0], 1)));
    let one = k.c(DType::F32, 1.0);
    let squares = [a, b].map(|v| k.binary(Binary::Mul, v, v));
    let [p, q] = squares.map(|v| {
        let v = k.binary(Binary::Add, v, one);
        k.binary(Binary::Div, a, v)
    });
    let p = k.binary(Binary::Div, p, q);
    let root = k.unary(Unary::Sqrt, squares[0]);
    let r = k.binary(Binary::Add, p, root);
    let rr = k.binary(Binary::Mul, r, r);
    let sum = k.row_reduce(ReduceKind::Sum, rr);
    let norm = k.unary(Unary::Sqrt, sum);
    let out = k.binary(Binary::Div, r, norm);
    k.store(z, along(0, &[0], 1), out);
    k.store(norms, along(0, &[1], 0), norm);
    let plan = crate::codegen::plan::plan(&k.kernel, crate::codegen::width::Width::W128);
    assert!(plan.scratch[r.0 as usize].is_some());
    let data = [noise(n, 1), noise(n, 2)].map(|d| d.iter().map(|v| v.abs() + 0.1).collect::<Vec<f64>>());
    for tile in [1, 2, 10] {
        let mut buffers =
            [tensor(DType::F32, &data[0]), tensor(DType::F32, &data[1]), zeros(DType::F32, n), zeros(DType::F32, rows)];
        run_tiles(&k.kernel, &mut buffers, tile);
        for s in 0..rows {
            let value = |i: usize| {
                let (a, b) = (data[0][i], data[1][i]);
                (a / (a * a + 1.0)) / (a / (b * b + 1.0)) + a
            };
            let row = offsets[s]..offsets[s + 1];
            let norm = row.clone().map(|i| value(i) * value(i)).sum::<f64>().sqrt();
            assert!((buffers[3].f32s()[s] as f64 - norm).abs() < 1e-4);
            for i in row {
                assert!((buffers[2].f32s()[i] as f64 - value(i) / norm).abs() < 1e-5, "{i}");
            }
        }
    }
}
