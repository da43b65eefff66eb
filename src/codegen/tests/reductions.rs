//! Reductions over all rows: partial blocks and their combination.

use super::*;

#[test]
fn column_sums_beside_elementwise_work() {
    for n in [1, 3, 4, 10, 33, 128, 257] {
        let rows = 23;
        let mut k = Build::grid(&[rows], n);
        let x = k.param(DType::F32, rows * n, false);
        let (z, sums, tops) =
            (k.param(DType::F32, rows * n, true), k.param(DType::F32, n, true), k.param(DType::F32, n, true));
        let v = k.load(x, along(0, &[n as isize], 1));
        let two = k.c(DType::F32, 2.0);
        let y = k.binary(Binary::Mul, v, two);
        k.store(z, along(0, &[n as isize], 1), y);
        k.kernel.effects.push(Effect::ColReduce { kind: ReduceKind::Sum, value: y, param: sums });
        k.kernel.effects.push(Effect::ColReduce { kind: ReduceKind::Max, value: v, param: tops });
        let data = noise(rows * n, 3);
        for tile in [1, 6, 100] {
            let mut buffers =
                [tensor(DType::F32, &data), zeros(DType::F32, rows * n), zeros(DType::F32, n), zeros(DType::F32, n)];
            run_tiles(&k.kernel, &mut buffers, tile);
            for j in 0..n {
                let column = (0..rows).map(|r| data[r * n + j]);
                let sum: f64 = column.clone().sum::<f64>() * 2.0;
                assert!((buffers[2].f32s()[j] as f64 - sum).abs() < 1e-4, "{n} {tile}");
                assert_eq!(buffers[3].f32s()[j] as f64, column.fold(f64::MIN, f64::max));
            }
        }
    }
}

#[test]
fn totals_of_every_type_and_kind() {
    for dtype in [DType::F32, DType::F64, DType::I32] {
        for kind in [ReduceKind::Sum, ReduceKind::Prod, ReduceKind::Max, ReduceKind::Min] {
            for n in [0, 1, 2, 5, 15, 16, 17, 63, 200] {
                let mut k = Build::flat(n);
                let (x, z) = (k.param(dtype, n, false), k.param(dtype, 1, true));
                let v = k.load(x, along(0, &[], 1));
                k.kernel.effects.push(Effect::TotalReduce { kind, value: v, param: z });
                let data: Vec<f64> = noise(n, 3).iter().map(|v| (v * 8.0).round().abs() + 1.0).collect();
                let data: Vec<f64> =
                    if kind == ReduceKind::Prod { data.iter().map(|v| (v % 2.0) + 1.0).collect() } else { data };
                let data = if kind == ReduceKind::Prod && dtype != DType::F64 { vec![1.0; n] } else { data };
                let start = quad_identity(kind, dtype);
                let expect = data.iter().fold(start, |a, b| match kind {
                    ReduceKind::Sum => a + b,
                    ReduceKind::Prod => a * b,
                    ReduceKind::Max => a.max(*b),
                    ReduceKind::Min => a.min(*b),
                });
                for tile in [16, 64, 1000] {
                    let mut buffers = [tensor(dtype, &data), zeros(dtype, 1)];
                    run_tiles(&k.kernel, &mut buffers, tile);
                    assert_eq!(buffers[1].to_f64s()[0], expect, "{dtype} {kind:?} {n} {tile}");
                }
            }
        }
    }
}

fn quad_identity(kind: ReduceKind, dtype: DType) -> f64 {
    crate::codegen::quad::identity(kind, dtype)
}

/// Cross entropy: a row value reduced over all rows, and how often the prediction was right.
#[test]
fn totals_of_row_values() {
    let (rows, n) = (37, 10);
    let mut k = Build::grid(&[rows], n);
    let (x, labels) = (k.param(DType::F32, rows * n, false), k.param(DType::I32, rows, false));
    let (loss, hits) = (k.param(DType::F32, 1, true), k.param(DType::I32, 1, true));
    let v = k.load(x, along(0, &[n as isize], 1));
    let label = k.load(labels, along(0, &[1], 0));
    let e = k.unary(Unary::Exp, v);
    let sum = k.row_reduce(ReduceKind::Sum, e);
    let log = k.unary(Unary::Log, sum);
    let j = k.value(DType::I32, ValueKind::Index(along(0, &[0], 1)));
    let is_label = k.compare(Compare::Eq, j, label);
    let zero = k.c(DType::F32, 0.0);
    let picked = k.select(is_label, v, zero);
    let picked = k.row_reduce(ReduceKind::Sum, picked);
    let row_loss = k.binary(Binary::Sub, log, picked);
    k.kernel.effects.push(Effect::TotalReduce { kind: ReduceKind::Sum, value: row_loss, param: loss });
    let best = k.value(DType::I32, ValueKind::RowArg(crate::ir::ArgKind::Max, v));
    let hit = k.compare(Compare::Eq, best, label);
    let hit = k.convert(DType::I32, hit);
    k.kernel.effects.push(Effect::TotalReduce { kind: ReduceKind::Sum, value: hit, param: hits });
    let data = noise(rows * n, 11);
    let classes: Vec<f64> = (0..rows).map(|r| (r * 7 % n) as f64).collect();
    let mut buffers =
        [tensor(DType::F32, &data), tensor(DType::I32, &classes), zeros(DType::F32, 1), zeros(DType::I32, 1)];
    run_tiles(&k.kernel, &mut buffers, 8);
    let (mut expect, mut right) = (0.0, 0);
    for (row, class) in data.chunks(n).zip(&classes) {
        expect += row.iter().map(|v| v.exp()).sum::<f64>().ln() - row[*class as usize];
        let best = (0..n).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap_or(0);
        right += (best == *class as usize) as i32;
    }
    assert!((buffers[2].f32s()[0] as f64 - expect).abs() < 1e-3, "{} {expect}", buffers[2].f32s()[0]);
    assert_eq!(buffers[3].i32s()[0], right);
}

/// Rows taken together that have bases, row values, row effects and totals of their own.
#[test]
fn columns_of_a_grid_with_two_outer_axes() {
    let (a, b) = (3usize, 5usize);
    for n in [1, 6, 40] {
        let total = a * b * n;
        let mut k = Build::grid(&[a, b], n);
        let (x, scale) = (k.param(DType::F64, total, false), k.param(DType::F64, b, false));
        let (sums, all, rows) =
            (k.param(DType::F64, n, true), k.param(DType::F64, 1, true), k.param(DType::F64, 15, true));
        let once = k.param(DType::F64, 1, true);
        // x is stored with its outer axes exchanged.
        let v = k.load(x, along(0, &[n as isize, (a * n) as isize], 1));
        let s = k.load(scale, along(0, &[0, 1], 0));
        let y = k.binary(Binary::Mul, v, s);
        k.kernel.effects.push(Effect::ColReduce { kind: ReduceKind::Sum, value: y, param: sums });
        k.kernel.effects.push(Effect::TotalReduce { kind: ReduceKind::Sum, value: y, param: all });
        k.kernel.effects.push(Effect::TotalReduce { kind: ReduceKind::Sum, value: s, param: once });
        k.store(rows, along(0, &[b as isize, 1], 0), s);
        let (data, scales) = (noise(total, 3), noise(b, 4));
        for tile in [1, 7, 100] {
            let mut buffers = [
                tensor(DType::F64, &data),
                tensor(DType::F64, &scales),
                zeros(DType::F64, n),
                zeros(DType::F64, 1),
                zeros(DType::F64, 15),
                zeros(DType::F64, 1),
            ];
            run_tiles(&k.kernel, &mut buffers, tile);
            let at = |i: usize, j: usize, c: usize| data[j * a * n + i * n + c] * scales[j];
            let pairs = || (0..a).flat_map(|i| (0..b).map(move |j| (i, j)));
            for c in 0..n {
                let expect: f64 = pairs().map(|(i, j)| at(i, j, c)).sum();
                assert!((buffers[2].f64s()[c] - expect).abs() < 1e-13);
            }
            let expect: f64 = pairs().map(|(i, j)| (0..n).map(|c| at(i, j, c)).sum::<f64>()).sum();
            assert!((buffers[3].f64s()[0] - expect).abs() < 1e-12);
            for (i, j) in pairs() {
                assert_eq!(buffers[4].f64s()[i * b + j], scales[j]);
            }
            assert!((buffers[5].f64s()[0] - a as f64 * scales.iter().sum::<f64>()).abs() < 1e-13);
        }
    }
}
