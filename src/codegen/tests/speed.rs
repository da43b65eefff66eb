//! Kernels of a training step at a size where their speed can be read: set `OPTC_MEASURE` for the large sizes.

use super::*;
use std::time::Instant;

fn large() -> bool {
    std::env::var_os("OPTC_MEASURE").is_some()
}

/// The best of several runs at 128 and at 256 bits, in turn, in seconds; also the time that compiling took.
fn measure(kernel: &Kernel, buffers: &mut [Tensor], total: usize) -> [(f64, f64); 2] {
    let pointers: Vec<*mut u8> = buffers.iter_mut().map(|b| b.as_mut_ptr()).collect();
    let mut scratch = Buffer::zeroed(scratch_bytes(kernel));
    let mut block = Buffer::zeroed(partial_layout(kernel).bytes);
    let modules = [Widths::Narrow, Widths::Wide].map(|widths| {
        let start = Instant::now();
        (compile_width(kernel, widths), start.elapsed().as_secs_f64())
    });
    let mut best = [f64::INFINITY; 2];
    for _ in 0..if large() { 99 } else { 2 } {
        for (k, (module, _)) in modules.iter().enumerate() {
            let start = Instant::now();
            // SAFETY: the callers' buffers have the kernel's types and sizes.
            unsafe {
                (module.entry(0))(pointers.as_ptr(), 0, total, block.as_mut_ptr(), scratch.as_mut_ptr());
            }
            best[k] = best[k].min(start.elapsed().as_secs_f64());
        }
    }
    [0, 1].map(|k| (best[k], modules[k].1))
}

fn report(name: &str, bytes: usize, elements: usize, times: [(f64, f64); 2]) {
    for ((best, compiled), bits) in times.into_iter().zip([128, 256]) {
        let (rate, each) = (bytes as f64 / best / 1e9, best * 1e9 / elements as f64);
        println!(
            "{name}, {bits} bits: {:.3} ms, {rate:.1} GB/s, {each:.2} ns an element, compiled in {:.2} ms",
            best * 1e3,
            compiled * 1e3
        );
    }
    println!("  ratio {:.2}", times[0].0 / times[1].0);
}

fn adamw(n: usize) -> Kernel {
    let t = DType::F32;
    let mut k = Build::flat(n);
    let (w, g, m, v) = (k.param(t, n, true), k.param(t, n, false), k.param(t, n, true), k.param(t, n, true));
    let at = along(0, &[], 1);
    let [w0, g0, m0, v0] = [w, g, m, v].map(|p| k.load(p, at.clone()));
    let blend = |k: &mut Build, beta: f64, old, new| {
        let (b, c) = (k.c(t, beta), k.c(t, 1.0 - beta));
        let x = k.binary(Binary::Mul, b, old);
        let y = k.binary(Binary::Mul, c, new);
        k.binary(Binary::Add, x, y)
    };
    let m1 = blend(&mut k, 0.9, m0, g0);
    let gg = k.binary(Binary::Mul, g0, g0);
    let v1 = blend(&mut k, 0.999, v0, gg);
    let (c1, c2, eps, lr, decay) = (k.c(t, 0.1), k.c(t, 0.001), k.c(t, 1e-8), k.c(t, 1e-3), k.c(t, 0.99999));
    let mh = k.binary(Binary::Div, m1, c1);
    let vh = k.binary(Binary::Div, v1, c2);
    let root = k.unary(Unary::Sqrt, vh);
    let d = k.binary(Binary::Add, root, eps);
    let step = k.binary(Binary::Div, mh, d);
    let step = k.binary(Binary::Mul, lr, step);
    let w1 = k.binary(Binary::Mul, decay, w0);
    let w1 = k.binary(Binary::Sub, w1, step);
    k.store(w, at.clone(), w1);
    k.store(m, at.clone(), m1);
    k.store(v, at, v1);
    k.kernel
}

#[test]
fn adamw_step() {
    for n in if large() { vec![4096, 10_000_000] } else { vec![4096] } {
        let kernel = adamw(n);
        let mut buffers = [noise(n, 1), noise(n, 2), noise(n, 3), vec![0.0; n]].map(|x| tensor(DType::F32, &x));
        let time = measure(&kernel, &mut buffers, n);
        report(&format!("adamw, {n} parameters"), 28 * n, n, time);
        // What this machine's memory gives at the moment: the same bytes copied.
        let [from, to, ..] = &mut buffers;
        let start = Instant::now();
        to.f32s_mut().copy_from_slice(from.f32s());
        println!("  copying: {:.1} GB/s", (8 * n) as f64 / start.elapsed().as_secs_f64() / 1e9);
        assert!(buffers[0].f32s().iter().all(|x| x.is_finite()));
    }
}

#[test]
fn softmax_and_functions() {
    for (rows, n) in if large() { vec![(128, 10), (256, 256), (1024, 1024)] } else { vec![(128, 10)] } {
        let kernel = rows::softmax(DType::F32, rows, n);
        let mut buffers = [tensor(DType::F32, &noise(rows * n, 1)), zeros(DType::F32, rows * n)];
        let time = measure(&kernel, &mut buffers, rows);
        report(&format!("softmax [{rows}, {n}]"), 8 * rows * n, rows * n, time);
    }
    let n = 4096;
    for op in [Unary::Exp, Unary::Log, Unary::Tanh, Unary::Erf, Unary::Logistic, Unary::Sin] {
        let mut k = Build::flat(n);
        let (x, z) = (k.param(DType::F32, n, false), k.param(DType::F32, n, true));
        let v = k.load(x, along(0, &[], 1));
        let r = k.unary(op, v);
        k.store(z, along(0, &[], 1), r);
        let data: Vec<f64> = noise(n, 1).iter().map(|v| v.abs() * 3.0 + 0.01).collect();
        let mut buffers = [tensor(DType::F32, &data), zeros(DType::F32, n)];
        let time = measure(&k.kernel, &mut buffers, n);
        report(op.name(), 8 * n, n, time);
    }
}

#[test]
fn sums() {
    for (rows, n) in if large() { vec![(1024, 1024), (4096, 4096), (128, 128)] } else { vec![(128, 128)] } {
        for columns in [false, true] {
            let mut k = Build::grid(&[rows], n);
            let x = k.param(DType::F32, rows * n, false);
            let v = k.load(x, along(0, &[n as isize], 1));
            if columns {
                let z = k.param(DType::F32, n, true);
                k.kernel.effects.push(Effect::ColReduce { kind: ReduceKind::Sum, value: v, param: z });
            } else {
                let z = k.param(DType::F32, rows, true);
                let r = k.row_reduce(ReduceKind::Sum, v);
                k.store(z, along(0, &[1], 0), r);
            }
            let results = if columns { n } else { rows };
            let mut buffers = [tensor(DType::F32, &noise(rows * n, 1)), zeros(DType::F32, results)];
            let time = measure(&k.kernel, &mut buffers, rows);
            report(
                &format!("{} sums [{rows}, {n}]", if columns { "column" } else { "row" }),
                4 * rows * n,
                rows * n,
                time,
            );
        }
    }
}

/// Kernels compile in well under a millisecond each, on two threads.
#[test]
fn many_kernels() {
    let count = if large() { 128 } else { 16 };
    let kernels: Vec<Kernel> = (0..count)
        .map(|k| {
            let mut kernel = adamw(4096);
            if let ValueKind::Const(c) = &mut kernel.values[4].kind {
                *c = k as f64 / count as f64;
            }
            kernel
        })
        .collect();
    let start = Instant::now();
    let module = compile(&kernels).unwrap_or_else(|e| panic!("{e}"));
    let each = start.elapsed().as_secs_f64() * 1e3 / count as f64;
    assert_eq!(module.functions(), count);
    println!("{count} kernels: {each:.2} ms and {} bytes each", module.code_bytes() / count);
}
