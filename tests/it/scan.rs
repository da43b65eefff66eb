//! Loops against the same loops unrolled: values, gradients and second derivatives, interpreted and compiled.

use crate::engine::{COMPILED, ENGINES, INTERPRETER};
use crate::language::{Scope, on_columns};
use crate::reference::difference;
use optc::data::spec::Column;
use optc::ir::build::Builder;
use optc::ir::scan::Scan;
use optc::ir::{DType, Graph, Op, OutputKind, ReduceKind, Type};
use optc::runtime::Tensor;
use optc::runtime::random::random_bits;
use optc::source::Span;

/// Each twice: as a loop and unrolled. Inputs: `x` [2, 4, 3], `w` [3, 2], `u` [2, 2].
const PAIRS: &[(&str, &str)] = &[
    // Products with weights, which leave the loop; the input's is inside.
    (
        "{ let h = zeros([2, 2])
           scan a in x, axis = 1 { h <- tanh(a @ w + h @ u); h } }",
        "{ let h = zeros([2, 2])
           let y = zeros([2, 1, 2])
           for t in 0..4 { h <- tanh(x[:, t] @ w + h @ u); y <- concat([y, h[:, new]], axis = 1) }
           y[:, 1:] }",
    ),
    // Backwards; only the last value is read.
    (
        "{ let h = zeros([2, 2])
           scan a in x, axis = 1, reverse = true { h <- sigmoid(a @ w + h @ u) * h + 1 }
           h }",
        "{ let h = zeros([2, 2])
           for t in 0..4 { h <- sigmoid(x[:, 3 - t] @ w + h @ u) * h + 1 }
           h }",
    ),
    // A weight that is used elementwise: its gradient is carried. A count, a first value that has a gradient, two results.
    (
        "{ let s = u
           let (a, b) = scan v in x, t in 0..2 { s <- s*sin(u) + sum(v[0, :2]*float(t)) - exp(w[:2]); (s, 2*s[0]) }
           sum(a) + sum(b*b) + s }",
        "{ let s = u
           let total = 0
           for t in 0..2 {
             s <- s*sin(u) + sum(x[t, 0, :2]*t) - exp(w[:2])
             total <- total + sum(s) + sum((2*s[0])^2)
           }
           total + s }",
    ),
    // Bias and gain: sums over steps of reductions, slices and transposes; two values that swap places.
    (
        "{ let a = u
           let b = 2*u
           let y = scan v in x, axis = 1 {
             let old = a
             a <- b*transpose(u)[0] + v @ w
             b <- old - w[2]
             b
           }
           sum(y, axis = 1) + a }",
        "{ let a = u
           let b = 2*u
           let y = 0
           for t in 0..4 {
             let old = a
             a <- b*transpose(u)[0] + x[:, t] @ w
             b <- old - w[2]
             y <- y + b
           }
           y + a }",
    ),
    // A loop in a loop.
    (
        "{ let s = zeros([3])
           scan row in x {
             let inner = s
             scan v in row { inner <- inner*0.5 + v*sum(w) }
             s <- s + inner
             s
           } }",
        "{ let s = zeros([3])
           let y = zeros([1, 3])
           for n in 0..2 {
             let inner = s
             for t in 0..4 { inner <- inner*0.5 + x[n, t]*sum(w) }
             s <- s + inner
             y <- concat([y, s[new]], axis = 0)
           }
           y[1:] }",
    ),
    // A loop in a loop whose steps are not linear, and another that does not depend on the outer one. A name that the body has, too.
    (
        "{ let s = u[0]
           let k = argmax(w, axis = 0)
           scan row in x {
             let k = s
             scan v in row { k <- tanh(k*v[:2] + u[1])*sum(v) }
             let c = w[0]
             scan i in 0..2 { c <- sin(c*float(i + 1) + w[1]) }
             s <- 0.5*s + k*c
             s
           } }",
        "{ let s = u[0]
           let y = zeros([1, 2])
           for n in 0..2 {
             let k = s
             for t in 0..4 { k <- tanh(k*x[n, t, :2] + u[1])*sum(x[n, t]) }
             let c = w[0]
             for i in 0..2 { c <- sin(c*(i + 1) + w[1]) }
             s <- 0.5*s + k*c
             y <- concat([y, s[new]], axis = 0)
           }
           y[1:] }",
    ),
    // A slice, a weight and a carried value without a gradient.
    (
        "{ let s = u[0]
           scan v in x, axis = 1 {
             s <- s*stop_gradient(w[0, :2]) + stop_gradient(v[0, :2])
             stop_gradient(s)
           } }",
        "{ let s = u[0]
           let y = zeros([2, 1])
           for t in 0..4 {
             s <- s*stop_gradient(w[0, :2]) + stop_gradient(x[0, t, :2])
             y <- concat([y, s[:, new]], axis = 1)
           }
           stop_gradient(y[:, 1:]) }",
    ),
    // Gradients inside the body, by a slice and by a weight.
    (
        "{ let s = u[0]
           scan v in x, axis = 1 {
             s <- tanh(s + grad(sum(tanh(stop_gradient(s)*(v @ w))^2), w)[0])
             grad(sum(tanh(v @ w)^2)*sum(s), v)
           } }",
        "{ let s = u[0]
           let y = zeros([2, 1, 3])
           for t in 0..4 {
             let v = x[:, t]
             s <- tanh(s + grad(sum(tanh(stop_gradient(s)*(v @ w))^2), w)[0])
             y <- concat([y, grad(sum(tanh(v @ w)^2)*sum(s), v)[:, new]], axis = 1)
           }
           y[:, 1:] }",
    ),
    // Values that are whole numbers inside, and a choice at run time.
    (
        "{ let best = zeros([2])
           scan v in x, axis = 1 {
             let k = argmax(v, axis = 1)
             best <- where(k == 1, best + pick(v, k, axis = 1), best*2)
             best
           } }",
        "{ let best = zeros([2])
           let y = zeros([2, 1])
           for t in 0..4 {
             let k = argmax(x[:, t], axis = 1)
             best <- where(k == 1, best + pick(x[:, t], k, axis = 1), best*2)
             y <- concat([y, best[:, new]], axis = 1)
           }
           y[:, 1:] }",
    ),
];

fn lets() -> Vec<(String, Type)> {
    let of = |name: &str, shape: &[usize]| (name.to_string(), Type::new(DType::F64, shape.to_vec()));
    vec![of("x", &[2, 4, 3]), of("w", &[3, 2]), of("u", &[2, 2])]
}

fn spread(stream: u32, ty: &Type) -> Tensor {
    let unit = |i: usize| f64::from(random_bits([stream, 11], 0, i as u32, 0)) / f64::from(u32::MAX);
    Tensor::from_f64s(ty.clone(), &(0..ty.elements()).map(|i| 2.0 * unit(i) - 1.0).collect::<Vec<_>>())
}

/// The function of an expression, its gradients by x, w and u, and, if asked, those of a sum of the gradients.
fn graph(text: &str, second: bool) -> Graph {
    let mut scope = Scope::new(&format!("fn it(x: float[2, 4, 3], w: float[3, 2], u: float[2, 2]) {text}"));
    let wrt: Vec<String> = ["x", "w", "u"].map(String::from).into();
    let mut graph =
        scope.graph("it(x, w, u)", &lets(), DType::F64, &wrt, true).unwrap_or_else(|e| panic!("{e}\n{text}"));
    if second {
        let ids: Vec<_> = graph.ids().filter(|id| matches!(graph.node(*id).op, Op::Input(_))).collect();
        let firsts: Vec<_> = graph.outputs[1..].iter().map(|o| o.node).collect();
        let mut total = Builder::new(&mut graph, Span::default()).constant(0.0, DType::F64);
        for (k, id) in firsts.into_iter().enumerate() {
            let axes: Vec<usize> = (0..graph.shape(id).len()).collect();
            let mut b = Builder::new(&mut graph, Span::default());
            let (factor, cube) = (b.full_like(0.3 + k as f64, id), b.mul(id, id));
            let weighed = b.mul(cube, factor);
            let sum = b.reduce(ReduceKind::Sum, weighed, &axes);
            total = b.add(total, sum);
        }
        let again =
            optc::ad::gradients(&mut graph, total, None, &ids).unwrap_or_else(|e| panic!("{}\n{text}", e.title));
        again.into_iter().for_each(|id| graph.add_output("second", id, OutputKind::Value));
    }
    graph
}

fn inputs(graph: &Graph) -> Vec<Tensor> {
    // By name: the two forms make their inputs in different orders.
    let stream = |name: &str| name.bytes().fold(0, |h: u32, b| h.wrapping_mul(31).wrapping_add(u32::from(b)));
    graph.inputs.iter().map(|i| spread(stream(&i.name), &i.ty)).collect()
}

#[test]
fn loops_are_what_they_are_unrolled() {
    for second in [false, true] {
        for (looped, unrolled) in PAIRS {
            let (looped, expected) = (graph(looped, second), graph(unrolled, second));
            assert!(scans(&looped).next().is_some(), "there is a loop");
            let want = INTERPRETER.run(&expected, &mut inputs(&expected));
            for engine in ENGINES {
                let found = engine.run(&looped, &mut inputs(&looped));
                for (k, (a, b)) in found.iter().zip(&want).enumerate() {
                    assert_eq!(a.ty(), b.ty());
                    let far = difference(&a.to_f64s(), &b.to_f64s());
                    assert!(
                        far < 1e-10,
                        "{}: output {k} differs by {far:e} (second derivatives: {second})",
                        engine.name
                    );
                }
            }
        }
    }
}

fn scans(graph: &Graph) -> impl Iterator<Item = &Scan> {
    graph.nodes.iter().filter_map(|n| match &n.op {
        Op::Scan(scan) => Some(&**scan),
        _ => None,
    })
}

fn products(graph: &Graph) -> usize {
    graph.nodes.iter().filter(|n| matches!(n.op, Op::Dot { .. })).count()
}

/// Each loop keeps only the product that waits for the last step; the others are made for all steps at once.
#[test]
fn products_leave_the_loops() {
    let simple = optc::passes::simplify(graph(PAIRS[0].0, false));
    let inside: Vec<usize> = scans(&simple).map(|s| products(&s.body)).collect();
    assert_eq!(inside, [1, 1]);
    // x w; the gradients of x, w and u.
    assert_eq!(products(&simple), 4);
    let backward = scans(&simple).nth(1).expect("the second loop goes back");
    assert!(backward.reverse && backward.carries == 1 && backward.emits() == 1, "weights' gradients are not carried");
}

#[test]
fn a_simplified_loop_is_read_back_from_its_text() {
    let simple = optc::passes::simplify(graph(PAIRS[4].0, false));
    let text = optc::ir::print::print(&simple, None);
    let again = optc::ir::parse::parse(&text).expect("the text is a graph");
    assert_eq!(optc::ir::print::print(&again, None), text);
}

#[test]
fn every_step_has_its_own_random_numbers() {
    let mut scope = Scope::new("fn draw(x: float[6]) = scan v in x { scan w in 0..3 { random_unit([4]) } + 0*v }");
    let lets = [("x".to_string(), Type::new(DType::F64, vec![6]))];
    let graph = scope.graph("draw(x)", &lets, DType::F64, &[], false).expect("a graph");
    let values = |seed: f64| -> Vec<Tensor> {
        let one = |i: &optc::ir::Input| match i.ty.dtype {
            DType::I32 => Tensor::scalar(DType::I32, seed),
            _ => Tensor::zeros(i.ty.clone()),
        };
        graph.inputs.iter().map(one).collect()
    };
    let draw = |seed: f64| COMPILED.run(&graph, &mut values(seed))[0].to_f64s();
    let mut numbers = draw(1.0);
    assert_eq!(numbers, INTERPRETER.run(&graph, &mut values(1.0))[0].to_f64s());
    assert_ne!(numbers, draw(2.0));
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    assert_eq!(numbers.len(), 6 * 3 * 4);
}

/// What a loss compares inside a loop is no value of the step: there are no predictions to report.
#[test]
fn a_loss_in_a_loop_has_no_predictions() {
    let text = "use losses.cross_entropy
        use optimizers.SGD
        data given = synthetic.linear(rows = 4)
        layer Scores()(x: float[N]) { param w: float[5] = 0.3; x[:, new]*w[new] }
        train walk on given {
          batch = all
          let scores = Scores()
          step(x, label) {
            let total = 0.0
            scan v in x, k in label, axis = 1 { total <- total + cross_entropy(scores(v), k) }
            minimize total with SGD(0.1)
          }
        }";
    let column = |name: &str, is_float: bool| Column { name: name.into(), is_float, shape: vec![3], classes: None };
    let program = on_columns(text, DType::F32, &[column("x", true), column("label", false)], 4);
    assert_eq!(program.graphs.predictions(4), Ok(None));
}

/// The same bits on one thread and two.
#[test]
fn threads_do_not_change_a_loop() {
    use optc::runtime::Executable;
    let simple = optc::passes::simplify(graph(PAIRS[0].0, false));
    let run = |threads: usize| -> Vec<Vec<f64>> {
        let options = optc::runtime::Options { threads, ..Default::default() };
        let mut compiled = optc::runtime::Compiled::new(&simple, &options).expect("compiles");
        let mut results = crate::engine::results(&simple);
        let mut inputs = inputs(&simple);
        compiled.run(&mut inputs.iter_mut().collect::<Vec<_>>(), &mut results);
        results.iter().map(Tensor::to_f64s).collect()
    };
    assert_eq!(run(1), run(2));
}
