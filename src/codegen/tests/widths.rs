//! The same results at both widths: random kernels, and what is refused.

use super::*;
use crate::codegen::width::{gains, works_on_halves};
use crate::ir::ArgKind;

/// Marsaglia's xorshift.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % sides
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())].clone()
    }
}

/// A kernel of random operations on random types, with its buffers.
fn random_kernel(dice: &mut Dice) -> (Kernel, Vec<Tensor>) {
    let (rows, n) = (1 + dice.roll(6), 1 + dice.roll(100));
    let flat = dice.roll(3) == 0;
    let (mut k, elements) = if flat { (Build::flat(n), n) } else { (Build::grid(&[rows], n), rows * n) };
    let along_all = if flat { along(0, &[], 1) } else { along(0, &[n as isize], 1) };
    let constant = if flat { along(0, &[], 0) } else { along(0, &[0], 0) };
    let mut buffers = vec![];
    // One kind of lanes mostly: with both, 256 bits are not tried.
    let types: &[DType] = match dice.roll(4) {
        0 => &[DType::F64],
        1 => &[DType::F32, DType::F64, DType::I32, DType::Bool],
        _ => &[DType::F32, DType::F32, DType::I32, DType::Bool],
    };
    let mut values: Vec<ValueId> = vec![];
    for seed in 0..4 {
        let dtype = dice.pick(types);
        let (count, at) = match dice.roll(4) {
            0 => (1, constant.clone()),
            1 if !flat => (rows, along(0, &[1], 0)),
            _ => (elements, along_all.clone()),
        };
        let data: Vec<f64> = noise(count, seed + dice.roll(1000) as u32)
            .iter()
            .map(|x| match dtype {
                DType::F32 | DType::F64 => x * 4.0,
                DType::I32 => (x * 9.0).round(),
                DType::Bool => (*x > 0.0) as i32 as f64,
            })
            .collect();
        let param = k.param(dtype, count, false);
        buffers.push(tensor(dtype, &data));
        values.push(k.load(param, at));
    }
    for _ in 0..4 + dice.roll(16) {
        let x = dice.pick(&values);
        let dtype = k.kernel.values[x.0 as usize].dtype;
        let same: Vec<ValueId> =
            values.iter().copied().filter(|v| k.kernel.values[v.0 as usize].dtype == dtype).collect();
        let y = dice.pick(&same);
        let bools: Vec<ValueId> =
            values.iter().copied().filter(|v| k.kernel.values[v.0 as usize].dtype == DType::Bool).collect();
        let new = match (dice.roll(9), dtype) {
            (0 | 1, DType::Bool) => k.unary(Unary::Not, x),
            (0 | 1, DType::I32) => {
                let op = dice.pick(&[Unary::Neg, Unary::Abs, Unary::Sign]);
                k.unary(op, x)
            }
            (0 | 1, _) => {
                use Unary::*;
                let ops = [
                    Neg, Abs, Sign, Exp, Expm1, Log, Log1p, Sqrt, Rsqrt, Sin, Atan, Tanh, Logistic, Erf, Floor, Round,
                    IsFinite,
                ];
                let op = dice.pick(&ops);
                k.unary(op, x)
            }
            (2..=4, DType::Bool) => {
                let op = dice.pick(&[Binary::And, Binary::Or]);
                k.binary(op, x, y)
            }
            (2..=4, _) => {
                use Binary::*;
                let op = dice.pick(&[Add, Sub, Mul, Div, Max, Min, Rem]);
                k.binary(op, x, y)
            }
            (5, _) => {
                let op = dice.pick(&[Compare::Lt, Compare::Le, Compare::Eq, Compare::Ne]);
                k.compare(op, x, y)
            }
            (6, _) if !bools.is_empty() => {
                let c = dice.pick(&bools);
                k.select(c, x, y)
            }
            (7, _) => {
                let to = dice.pick(types);
                k.convert(to, x)
            }
            (8, DType::F32 | DType::F64 | DType::I32) if !flat => match dice.roll(3) {
                0 => k.value(DType::I32, ValueKind::RowArg(ArgKind::Max, x)),
                1 => k.row_reduce(ReduceKind::Max, x),
                _ => k.row_reduce(ReduceKind::Min, x),
            },
            _ => {
                let dtype = dice.pick(types);
                let dtype = if dtype == DType::Bool { DType::I32 } else { dtype };
                let at = Affine { offset: 3, ..along_all.clone() };
                k.value(dtype, ValueKind::Index(at))
            }
        };
        values.push(new);
    }
    for v in values.iter().rev().take(3) {
        let dtype = k.kernel.values[v.0 as usize].dtype;
        let z = k.param(dtype, elements, true);
        buffers.push(zeros(dtype, elements));
        k.store(z, along_all.clone(), *v);
    }
    let last = values[values.len() - 1];
    let dtype = k.kernel.values[last.0 as usize].dtype;
    if !flat && dtype != DType::Bool && dice.roll(2) == 0 {
        let sums = k.param(dtype, n, true);
        buffers.push(zeros(dtype, n));
        k.kernel.effects.push(Effect::ColReduce { kind: ReduceKind::Sum, value: last, param: sums });
    }
    (k.kernel, buffers)
}

#[test]
fn random_kernels_give_the_same_bits() {
    let mut dice = Dice(88172645463325252);
    let mut wide = 0;
    for round in 0..300 {
        let (kernel, buffers) = random_kernel(&mut dice);
        let [narrow_module, wide_module] = [Widths::Narrow, Widths::Wide].map(|widths| compile_width(&kernel, widths));
        assert_eq!(wide_module.kernel(0).refusal(), None, "{}", wide_module.clif(0));
        wide += (wide_module.kernel(0).vector_bits() == 256) as usize;
        let tile = 1 + dice.roll(120);
        let (mut x, mut y) = (buffers.clone(), buffers);
        run_module(&narrow_module, &kernel, &mut x, tile);
        run_module(&wide_module, &kernel, &mut y, tile);
        for (x, y) in x.iter().zip(&y) {
            for (i, (x, y)) in x.to_f64s().into_iter().zip(y.to_f64s()).enumerate() {
                let same = x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan();
                assert!(same, "kernel {round}, element {i}: {x} at 128 bits, {y} at 256\n{:?}", kernel.space);
            }
        }
    }
    println!("{wide} of 300 at 256 bits");
    if crate::codegen::width::machine_has_wide() {
        assert!(wide > 100, "{wide} of 300");
    }
}

/// Lanes of 32 and of 64 bits in one kernel: such kernels stay at 128 bits, and still compute.
#[test]
fn mixed_lanes_stay_narrow() {
    let n = 40;
    let mut k = Build::flat(n);
    let (x, z) = (k.param(DType::F32, n, false), k.param(DType::F64, n, true));
    let v = k.load(x, along(0, &[], 1));
    let v = k.convert(DType::F64, v);
    k.store(z, along(0, &[], 1), v);
    assert!(!works_on_halves(&k.kernel));
    assert_eq!(compile_width(&k.kernel, Widths::Wide).kernel(0).vector_bits(), 128);
    let data = noise(n, 1);
    let mut buffers = [tensor(DType::F32, &data), zeros(DType::F64, n)];
    run(&k.kernel, &mut buffers);
    assert_eq!(buffers[1].f64s(), data);
}

/// Hyper-parameters are f64 numbers, converted once a call, with calls of the host between: the vectors around them
/// are spilled.
#[test]
fn hyper_parameters_and_calls() {
    let n = 53;
    let mut k = Build::flat(n);
    let (rate, step) = (k.param(DType::F64, 1, false), k.param(DType::I32, 1, false));
    let (x, z) = (k.param(DType::F32, n, false), k.param(DType::F32, n, true));
    let once = along(0, &[], 0);
    let (rate, step) = (k.load(rate, once.clone()), k.load(step, once));
    let step = k.convert(DType::F64, step);
    let power = k.binary(Binary::Pow, rate, step);
    let other = k.unary(Unary::Exp, power);
    let sum = k.binary(Binary::Add, other, rate);
    let factors = [rate, power, other, sum].map(|v| k.convert(DType::F32, v));
    let mut y = k.load(x, along(0, &[], 1));
    for factor in factors {
        y = k.binary(Binary::Mul, y, factor);
        y = k.binary(Binary::Add, y, factor);
    }
    k.store(z, along(0, &[], 1), y);
    let module = compile_width(&k.kernel, Widths::Wide);
    assert_eq!(module.kernel(0).refusal(), None);
    assert!(gains(&k.kernel));
    let mut buffers = [
        tensor(DType::F64, &[0.9]),
        tensor(DType::I32, &[3.0]),
        tensor(DType::F32, &noise(n, 1)),
        zeros(DType::F32, n),
    ];
    run(&k.kernel, &mut buffers);
    assert!(buffers[3].f32s().iter().all(|x| x.is_finite() && *x != 0.0));
}
