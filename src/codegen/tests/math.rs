//! Error bounds of the elementary functions, over the whole range of their arguments.

use super::*;

fn evaluate(dtype: DType, op: Unary, x: &Tensor) -> Tensor {
    let n = x.ty().elements();
    let mut k = Build::flat(n);
    let (p, z) = (k.param(dtype, n, false), k.param(dtype, n, true));
    let a = k.load(p, along(0, &[], 1));
    let r = k.unary(op, a);
    k.store(z, along(0, &[], 1), r);
    let mut buffers = [x.clone(), zeros(dtype, n)];
    run(&k.kernel, &mut buffers);
    let [_, z] = buffers;
    z
}

/// Distance in units in the last place of f32; infinite where only one is NaN or infinite.
fn ulps_f32(got: f32, expect: f64) -> f64 {
    let rounded = expect as f32;
    if got.is_nan() && expect.is_nan() || got == rounded {
        return 0.0;
    }
    if !got.is_finite() || !rounded.is_finite() {
        // One step from the largest number to infinity.
        let near = got.abs().min(rounded.abs()) == f32::MAX;
        return if near { 1.0 } else { f64::INFINITY };
    }
    let spacing = (f32::from_bits(rounded.abs().to_bits() + 1) as f64) - rounded.abs() as f64;
    let spacing = if spacing.is_finite() { spacing } else { 2f64.powi(104) };
    (got as f64 - expect).abs() / spacing
}

fn ulps_f64(got: f64, expect: f64) -> f64 {
    if got.is_nan() && expect.is_nan() || got == expect {
        return 0.0;
    }
    if !got.is_finite() || !expect.is_finite() {
        let near = got.abs().min(expect.abs()) == f64::MAX;
        return if near { 1.0 } else { f64::INFINITY };
    }
    let spacing = f64::from_bits(expect.abs().to_bits() + 1) - expect.abs();
    (got - expect).abs() / spacing
}

/// A spread of all floats, the special ones, and many ordinary ones.
fn f32_arguments() -> Vec<f32> {
    let mut x: Vec<f32> = (0..u32::MAX / 8191).map(|k| f32::from_bits(k * 8191)).collect();
    x.extend([0.0, -0.0, 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, f32::MIN, 1e-45, -1e-45]);
    x.extend([0.625, 0.6249999, 0.99999994, 4.0, 88.72284, 88.72283, -87.33655, -103.97208, -103.9721]);
    x.extend((-120_000..120_000).map(|k| k as f32 * 0.000987));
    x
}

fn f64_arguments() -> Vec<f64> {
    let step = u64::MAX / 100_000;
    let mut x: Vec<f64> = (0..100_000).map(|k| f64::from_bits(k * step)).collect();
    x.extend([0.0, -0.0, 1.0, -1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::MAX, f64::MIN, 5e-324, -5e-324]);
    x.extend([709.782712893384, 709.8, -708.4, -745.13, -745.2, 1.0 - 1e-16, 1.0 + 2e-16]);
    x.extend((-120_000..120_000).map(|k| k as f64 * 0.0009871));
    x
}

/// The worst error of a function in f32 over the arguments that `keep` admits.
fn worst_f32(op: Unary, reference: impl Fn(f64) -> f64, keep: impl Fn(f32) -> bool) -> (f64, f32) {
    let x: Vec<f32> = f32_arguments().into_iter().filter(|x| keep(*x)).collect();
    let mut t = zeros(DType::F32, x.len());
    t.f32s_mut().copy_from_slice(&x);
    let y = evaluate(DType::F32, op, &t);
    x.iter()
        .zip(y.f32s())
        .map(|(x, y)| (ulps_f32(*y, reference(*x as f64)), *x))
        .fold((0.0, 0.0), |a, b| if b.0 > a.0 { b } else { a })
}

fn worst_f64(op: Unary, reference: impl Fn(f64) -> f64, keep: impl Fn(f64) -> bool) -> (f64, f64) {
    let x: Vec<f64> = f64_arguments().into_iter().filter(|x| keep(*x)).collect();
    let mut t = zeros(DType::F64, x.len());
    t.f64s_mut().copy_from_slice(&x);
    let y = evaluate(DType::F64, op, &t);
    x.iter()
        .zip(y.f64s())
        .map(|(x, y)| (ulps_f64(*y, reference(*x)), *x))
        .fold((0.0, 0.0), |a, b| if b.0 > a.0 { b } else { a })
}

/// erf by a series whose terms are all positive: good to about 1e-15.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a.is_nan() || a > 6.0 {
        return if a.is_nan() { x } else { x.signum() };
    }
    let (mut term, mut sum, mut k) = (a, a, 0.0);
    while term > sum * 1e-18 {
        k += 1.0;
        term *= 2.0 * a * a / (2.0 * k + 1.0);
        sum += term;
    }
    (std::f64::consts::FRAC_2_SQRT_PI * (-a * a).exp() * sum).copysign(x)
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

type Reference = fn(f64) -> f64;

#[test]
fn f32_functions_are_within_their_bounds() {
    let cases: [(Unary, Reference, f64); 12] = [
        (Unary::Exp, f64::exp, 1.0),
        (Unary::Expm1, f64::exp_m1, 2.0),
        (Unary::Log, f64::ln, 1.0),
        (Unary::Log1p, f64::ln_1p, 2.0),
        (Unary::Sqrt, f64::sqrt, 0.5001),
        (Unary::Rsqrt, |x| 1.0 / x.sqrt(), 1.6),
        (Unary::Atan, f64::atan, 2.0),
        (Unary::Tanh, f64::tanh, 2.0),
        (Unary::Logistic, logistic, 2.5),
        (Unary::Erf, erf, 2.0),
        (Unary::Sin, f64::sin, 2.0),
        (Unary::Cos, f64::cos, 2.0),
    ];
    let mut bad = vec![];
    for (op, reference, bound) in cases {
        // The largest arguments of sin and cos lose digits.
        let trig = matches!(op, Unary::Sin | Unary::Cos);
        let (worst, at) = worst_f32(op, reference, |x| !(trig && x.is_finite() && x.abs() > 1e9));
        println!("f32 {}: {worst:.3} at {at:e}", op.name());
        if worst > bound {
            bad.push(format!("{}: {worst} at {at:e}", op.name()));
        }
    }
    assert!(bad.is_empty(), "{bad:?}");
}

/// Against the host's functions, which are themselves off by up to one.
#[test]
fn f64_functions_are_within_their_bounds() {
    let cases: [(Unary, Reference, f64); 11] = [
        (Unary::Exp, f64::exp, 2.0),
        (Unary::Expm1, f64::exp_m1, 2.0),
        (Unary::Log, f64::ln, 2.0),
        (Unary::Log1p, f64::ln_1p, 2.0),
        (Unary::Sqrt, f64::sqrt, 0.0),
        (Unary::Rsqrt, |x| 1.0 / x.sqrt(), 0.0),
        (Unary::Atan, f64::atan, 2.0),
        (Unary::Tanh, f64::tanh, 3.0),
        (Unary::Logistic, logistic, 3.0),
        (Unary::Sin, f64::sin, 2.0),
        (Unary::Cos, f64::cos, 2.0),
    ];
    let mut bad = vec![];
    for (op, reference, bound) in cases {
        let trig = matches!(op, Unary::Sin | Unary::Cos);
        // The reference for the logistic function overflows first.
        let far = if op == Unary::Logistic { 700.0 } else { f64::INFINITY };
        let skip = |x: f64| x.is_finite() && (trig && x.abs() > 1e9 || x < -far);
        let (worst, at) = worst_f64(op, reference, |x| !skip(x));
        println!("f64 {}: {worst:.3} at {at:e}", op.name());
        if worst > bound {
            bad.push(format!("{}: {worst} at {at:e}", op.name()));
        }
    }
    assert!(bad.is_empty(), "{bad:?}");
}

/// Values computed with 40 digits.
const ERF: &[(f64, f64)] = &[
    (1e-300, 1.1283791670955126e-300),
    (1e-08, 1.1283791670955126e-08),
    (0.001, 0.0011283787909692365),
    (0.1, 0.1124629160182849),
    (0.25, 0.27632639016823696),
    (0.5, 0.5204998778130465),
    (0.7, 0.6778011938374184),
    (0.84375, 0.7672256612323416),
    (0.9, 0.7969082124228322),
    (0.99, 0.8385080695553698),
    (0.9999999, 0.842700751438961),
    (1.0, 0.8427007929497149),
    (1.0001, 0.8427422995485203),
    (1.1, 0.8802050695740817),
    (1.25, 0.9229001282564583),
    (1.5, 0.9661051464753108),
    (1.75, 0.9866716712191824),
    (2.0, 0.9953222650189527),
    (2.3, 0.9988568234026434),
    (2.5, 0.999593047982555),
    (2.857, 0.9999466417399131),
    (3.0, 0.9999779095030014),
    (3.5, 0.9999992569016276),
    (4.0, 0.9999999845827421),
    (4.5, 0.9999999998033839),
    (5.0, 0.9999999999984626),
    (5.5, 0.9999999999999927),
    (5.9, 0.9999999999999999),
    (6.5, 1.0),
    (30.0, 1.0),
];

#[test]
fn f64_erf() {
    let n = ERF.len();
    let x: Vec<f64> = ERF.iter().flat_map(|(x, _)| [*x, -*x]).chain([f64::INFINITY, f64::NAN]).collect();
    let y = evaluate(DType::F64, Unary::Erf, &tensor(DType::F64, &x));
    for (k, (x, expect)) in ERF.iter().enumerate() {
        let got = y.f64s()[2 * k];
        assert!(ulps_f64(got, *expect) <= 2.0, "erf({x}) = {got:e}, expected {expect:e}");
        assert_eq!(y.f64s()[2 * k + 1], -got);
    }
    assert!(y.f64s()[2 * n] == 1.0 && y.f64s()[2 * n + 1].is_nan());
}

#[test]
fn sin_and_cos_of_huge_arguments_stay_in_range() {
    for dtype in [DType::F32, DType::F64] {
        let x = [1e12, 1e20, -1e30, 3e38, f64::INFINITY, f64::NAN];
        for op in [Unary::Sin, Unary::Cos] {
            let y = evaluate(dtype, op, &tensor(dtype, &x)).to_f64s();
            assert!(y[..4].iter().all(|v| v.abs() <= 1.0) && y[4].is_nan() && y[5].is_nan(), "{y:?}");
        }
    }
}

#[test]
fn powers() {
    let special = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.0, 3.0, -3.0, 0.3, 1e-300, 1e300, f64::INFINITY];
    let mut x = vec![];
    let mut y = vec![];
    for a in special.iter().chain(&[f64::NEG_INFINITY, f64::NAN, -0.5]) {
        for b in special.iter().chain(&[f64::NEG_INFINITY, f64::NAN, -2.5, 101.0, 1e16]) {
            x.push(*a);
            y.push(*b);
        }
    }
    let n = 40_000;
    let (p, q) = (noise(n, 21), noise(n, 22));
    x.extend(p.iter().map(|v| (v * 80.0).exp()));
    y.extend(q.iter().map(|v| v * 9.0));
    x.extend(p.iter().map(|v| 1.0 + v * 1e-3));
    y.extend(q.iter().map(|v| v * 70_000.0));
    for (dtype, bound) in [(DType::F32, 1.0), (DType::F64, 2.0)] {
        let n = x.len();
        let mut k = Build::flat(n);
        let (a, b, z) = (k.param(dtype, n, false), k.param(dtype, n, false), k.param(dtype, n, true));
        let (v, w) = (k.load(a, along(0, &[], 1)), k.load(b, along(0, &[], 1)));
        let r = k.binary(Binary::Pow, v, w);
        k.store(z, along(0, &[], 1), r);
        let mut buffers = [tensor(dtype, &x), tensor(dtype, &y), zeros(dtype, n)];
        run(&k.kernel, &mut buffers);
        let (xs, ys, zs) = (buffers[0].to_f64s(), buffers[1].to_f64s(), buffers[2].to_f64s());
        let mut worst = 0.0f64;
        for i in 0..n {
            let expect = xs[i].powf(ys[i]);
            let error = if dtype == DType::F32 { ulps_f32(zs[i] as f32, expect) } else { ulps_f64(zs[i], expect) };
            worst = worst.max(error);
            assert!(error <= bound, "{dtype}: pow({:e}, {:e}) = {:e}, expected {expect:e}", xs[i], ys[i], zs[i]);
        }
        println!("{dtype} pow: {worst:.3}");
    }
}
