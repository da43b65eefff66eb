//! Convolutions and pooling in sizes that are cut into tiles, pieces and blocks, against the interpreter.

use crate::interp::eval;
use crate::ir::build::Builder;
use crate::ir::{ConvPart, DType, Graph, InputKind, OutputKind, PoolKind, Type, Window};
use crate::runtime::{Compiled, Executable, Options, Tensor};
use crate::source::Span;

/// Image, kernel sizes, channels out, groups; stride, low, high, dilation for all axes.
struct Case {
    image: &'static [usize],
    size: &'static [usize],
    outputs: usize,
    groups: usize,
    setting: [usize; 4],
}

const fn case(
    image: &'static [usize],
    size: &'static [usize],
    outputs: usize,
    groups: usize,
    setting: [usize; 4],
) -> Case {
    Case { image, size, outputs, groups, setting }
}

const CASES: [Case; 9] = [
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
];

fn windows(case: &Case) -> Window {
    let [stride, low, high, dilation] = case.setting.map(|n| vec![n; case.size.len()]);
    Window { size: case.size.to_vec(), stride, low, high, dilation }
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

#[test]
fn convolutions_of_all_forms() {
    for (number, case) in CASES.iter().enumerate() {
        for dtype in [DType::F32, DType::F64] {
            let window = windows(case);
            let channels = case.image[case.image.len() - 1];
            let mut kernel = case.size.to_vec();
            kernel.extend([channels / case.groups, case.outputs]);
            let result = window.result_shape(case.image, case.outputs).expect("it fits");
            let mut graph = Graph::new();
            let shapes = [("x", case.image.to_vec()), ("w", kernel), ("y", result)];
            let [x, w, y] = shapes
                .map(|(name, shape)| graph.add_input(name, Type::new(dtype, shape), InputKind::Arg, Span::default()));
            for part in ConvPart::ALL {
                let args = match part {
                    ConvPart::Result => [x, w],
                    ConvPart::Image => [y, w],
                    ConvPart::Kernel => [x, y],
                };
                let mut b = Builder::new(&mut graph, Span::default());
                let made = b.conv(*part, &window, case.groups, args, case.image);
                graph.add_output(part.name(), made, OutputKind::Value);
            }
            check(&graph, &format!("convolution {number} in {dtype}"));
        }
    }
}

#[test]
fn pooling_of_all_forms() {
    for (number, (image, size, setting)) in [
        (&[6, 9, 9, 40][..], &[2, 2][..], [2, 0, 0, 1]),
        (&[6, 9, 8, 35], &[3, 2], [2, 1, 1, 1]),
        (&[3, 30, 17], &[4], [1, 1, 2, 3]),
        (&[2, 4, 5, 6, 16], &[2, 3, 2], [2, 1, 0, 1]),
    ]
    .into_iter()
    .enumerate()
    {
        let window = windows(&Case { image: &[], size, outputs: 0, groups: 1, setting });
        let mut graph = Graph::new();
        let mut input = |name: &str, shape: Vec<usize>| {
            graph.add_input(name, Type::new(DType::F32, shape), InputKind::Arg, Span::default())
        };
        let result = window.result_shape(image, image[image.len() - 1]).expect("it fits");
        let [x, v, y] = [("x", image.to_vec()), ("v", image.to_vec()), ("y", result)].map(|(n, s)| input(n, s));
        // Few different numbers, so that there are ties.
        let mut b = Builder::new(&mut graph, Span::default());
        let two = b.full_like(2.0, x);
        let coarse = b.mul(x, two);
        let coarse = b.unary(crate::ir::Unary::Round, coarse);
        for kind in PoolKind::ALL {
            let args = match kind {
                PoolKind::Sum => vec![x],
                PoolKind::Max => vec![coarse],
                PoolKind::Spread => vec![y],
                PoolKind::Pick => vec![coarse, v],
                PoolKind::Scatter => vec![coarse, y],
            };
            let mut b = Builder::new(&mut graph, Span::default());
            let made = b.pool(*kind, &window, &args, image);
            graph.add_output(kind.name(), made, OutputKind::Value);
        }
        check(&graph, &format!("pooling {number}"));
    }
}
