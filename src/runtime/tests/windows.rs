//! Convolutions and pooling in sizes that are cut into tiles, pieces and blocks, against the interpreter.

use crate::interp::eval;
use crate::ir::build::Builder;
use crate::ir::{Compare, ConvPart, DType, Graph, InputKind, OutputKind, PoolKind, Type, Unary, Window};
use crate::runtime::{Compiled, Executable, Options, Tensor};
use crate::source::Span;
use proptest::prelude::*;

/// An image and a window over it; a kernel for these channels out.
#[derive(Debug)]
struct Case {
    image: Vec<usize>,
    window: Window,
    outputs: usize,
    groups: usize,
}

/// The setting is stride, low, high and dilation, for all axes.
fn case(image: &[usize], size: &[usize], outputs: usize, groups: usize, setting: [usize; 4]) -> Case {
    let [stride, low, high, dilation] = setting.map(|n| vec![n; size.len()]);
    Case { image: image.to_vec(), window: Window { size: size.to_vec(), stride, low, high, dilation }, outputs, groups }
}

fn cases() -> [Case; 9] {
    [
        // Several tiles, pieces and images a task.
        case(&[17, 9, 9, 8], &[3, 3], 16, 1, [1, 1, 1, 1]),
        case(&[5, 17, 16, 3], &[5, 3], 20, 1, [2, 2, 1, 1]),
        case(&[2, 40, 24], &[4], 70, 1, [3, 0, 2, 2]),
        // Blocks of a large kernel.
        case(&[1, 4, 4, 60], &[3, 3], 260, 1, [1, 1, 1, 1]),
        // One element a window, at all places and at some.
        case(&[9, 8, 8, 24], &[1, 1], 40, 1, [1, 0, 0, 1]),
        case(&[9, 9, 8, 24], &[1, 1], 40, 1, [2, 0, 0, 1]),
        case(&[4, 12, 12, 24], &[3, 3], 36, 4, [1, 1, 1, 1]),
        // A kernel for each channel, and two.
        case(&[8, 16, 12, 20], &[3, 3], 20, 20, [1, 1, 1, 1]),
        case(&[3, 5, 8, 8, 6], &[2, 3, 3], 12, 6, [2, 1, 1, 1]),
    ]
}

/// Size, window, stride, padding before and behind, dilation.
type Axis = (usize, usize, usize, usize, usize, usize);

/// Anything that fits: windows beyond the image, steps over elements, no images at all.
fn any_case() -> impl Strategy<Value = Case> {
    let axis = (0usize..8, 1usize..5, 1usize..5, 0usize..5, 0usize..5, 1usize..4);
    let channels = (1usize..4, 1usize..6, 1usize..5);
    (0usize..4, prop::collection::vec(axis, 1..=3), channels).prop_filter_map("a window that fits", |made| {
        let (batch, axes, (groups, inner, outer)) = made;
        let each = |f: fn(&Axis) -> usize| axes.iter().map(f).collect::<Vec<_>>();
        let image = [&[batch], &each(|a| a.0)[..], &[groups * inner]].concat();
        let (size, stride) = (each(|a| a.1), each(|a| a.2));
        let window = Window { size, stride, low: each(|a| a.3), high: each(|a| a.4), dilation: each(|a| a.5) };
        window.result_shape(&image, 1).ok()?;
        Some(Case { image, window, outputs: groups * outer, groups })
    })
}

/// The results of a graph on 1, 2 and 3 threads, which are the same bits and close to the interpreter's.
fn check(graph: &Graph, name: &str) {
    let random = |(k, input): (usize, &crate::ir::Input)| {
        let numbers = super::models::numbers(input.ty.elements(), 31 + k as u64);
        Tensor::from_f64s(input.ty.clone(), &numbers)
    };
    let mut inputs: Vec<Tensor> = graph.inputs.iter().enumerate().map(random).collect();
    let expected = eval(graph, &inputs.iter().collect::<Vec<_>>());
    let mut bits = vec![];
    for threads in [1, 2, 3] {
        let mut compiled = Compiled::new(graph, &Options { threads, ..Options::default() }).expect("compiles");
        let mut results: Vec<Tensor> = compiled.result_types().iter().map(|ty| Tensor::zeros(ty.clone())).collect();
        compiled.run(&mut inputs.iter_mut().collect::<Vec<_>>(), &mut results);
        super::close(&results, &expected, 1e-3, &format!("{name}, {threads} threads"));
        bits.push(results.iter().map(|t| t.bytes().to_vec()).collect::<Vec<_>>());
    }
    assert!(bits[0] == bits[1] && bits[0] == bits[2], "{name}: threads change the result");
}

/// All parts of a convolution.
fn check_convolution(case: &Case, dtype: DType) {
    let Case { image, window, outputs, groups } = case;
    let mut kernel = window.size.clone();
    kernel.extend([image[image.len() - 1] / groups, *outputs]);
    let result = window.result_shape(image, *outputs).expect("it fits");
    let mut graph = Graph::new();
    let [x, w, y] = [("x", image.clone()), ("w", kernel), ("y", result)]
        .map(|(name, shape)| graph.add_input(name, Type::new(dtype, shape), InputKind::Arg, Span::default()));
    for part in ConvPart::ALL {
        let args = match part {
            ConvPart::Result => [x, w],
            ConvPart::Image => [y, w],
            ConvPart::Kernel => [x, y],
        };
        let mut b = Builder::new(&mut graph, Span::default());
        let made = b.conv(*part, window, *groups, args, image);
        graph.add_output(part.name(), made, OutputKind::Value);
    }
    check(&graph, &format!("convolution {case:?} in {dtype}"));
}

/// Pooling of all kinds. Few different numbers, so that there are ties; some are NaN, and some none at all.
fn check_pooling(case: &Case, dtype: DType) {
    let Case { image, window, .. } = case;
    let mut graph = Graph::new();
    let mut input =
        |name: &str, shape: &[usize]| graph.add_input(name, Type::new(dtype, shape), InputKind::Arg, Span::default());
    let result = window.result_shape(image, image[image.len() - 1]).expect("it fits");
    let [x, v, y] = [("x", image), ("v", image), ("y", &result)].map(|(n, s)| input(n, s));
    let mut b = Builder::new(&mut graph, Span::default());
    let (two, odd) = (b.full_like(2.0, x), b.full_like(0.9, x));
    let (coarse, nan, lowest) = (b.mul(x, two), b.full_like(f64::NAN, x), b.full_like(f64::NEG_INFINITY, x));
    let coarse = b.unary(Unary::Round, coarse);
    let few = b.compare(Compare::Gt, v, odd);
    let coarse = b.select(few, nan, coarse);
    let odd = b.neg(odd);
    let few = b.compare(Compare::Lt, v, odd);
    let coarse = b.select(few, lowest, coarse);
    for kind in PoolKind::ALL {
        let args = match kind {
            PoolKind::Sum => vec![x],
            PoolKind::Max => vec![coarse],
            PoolKind::Spread => vec![y],
            PoolKind::Pick => vec![coarse, v],
            PoolKind::Scatter => vec![coarse, y],
        };
        let mut b = Builder::new(&mut graph, Span::default());
        let made = b.pool(*kind, window, &args, image);
        graph.add_output(kind.name(), made, OutputKind::Value);
    }
    check(&graph, &format!("pooling {case:?} in {dtype}"));
}

#[test]
fn convolutions_of_all_forms() {
    for case in cases() {
        for dtype in [DType::F32, DType::F64] {
            check_convolution(&case, dtype);
        }
    }
}

#[test]
fn pooling_of_all_forms() {
    for (image, size, setting) in [
        (&[6, 9, 9, 40][..], &[2, 2][..], [2, 0, 0, 1]),
        (&[6, 9, 8, 35], &[3, 2], [2, 1, 1, 1]),
        (&[3, 30, 17], &[4], [1, 1, 2, 3]),
        (&[2, 4, 5, 6, 16], &[2, 3, 2], [2, 1, 0, 1]),
    ] {
        for dtype in [DType::F32, DType::F64] {
            check_pooling(&case(image, size, 1, 1, setting), dtype);
        }
    }
}

proptest! {
    #[test]
    fn any_convolution(case in any_case(), double in any::<bool>()) {
        check_convolution(&case, if double { DType::F64 } else { DType::F32 });
    }

    #[test]
    fn any_pooling(case in any_case(), double in any::<bool>()) {
        check_pooling(&case, if double { DType::F64 } else { DType::F32 });
    }
}
