//! Every optimizer and transform of the library, with its defaults: checked, run on tensors of rank 1, 2 and 3, the same
//! interpreted and compiled, finite in both float types, and it lowers the loss of a small regression.

use crate::engine::{COMPILED, Engine, INTERPRETER};
use crate::language::on_columns;
use crate::run::Run;
use crate::support::root;
use insta::assert_snapshot;
use optc::data::spec::Column;
use optc::doc::{self, latex};
use optc::ir::{DType, Type};
use optc::runtime::Tensor;
use optc::runtime::random::random_bits;
use optc::sema::program::Program;
use optc::syntax::ast::DefKind;
use std::collections::HashSet;

/// Steps in which a rule must have lowered the loss.
const STEPS: usize = 30;

/// What does not lower the loss, and why.
const NO_DESCENT: &[(&str, &str)] =
    &[("random_signs", "its result is a probe for a Hessian product, not a direction of descent")];

/// What need not be the same to the last digits, and why.
const ILL_POSED: &[(&str, &str)] = &[(
    "SOAP",
    "after one gradient the eigenvectors of its null space are arbitrary, and small ε divides by what lies there",
)];

fn spread(stream: u32, count: usize, low: f64, high: f64) -> Vec<f64> {
    let unit = |i: usize| f64::from(random_bits([stream, 9], 0, i as u32, 0)) / f64::from(u32::MAX);
    (0..count).map(|i| low + (high - low) * unit(i)).collect()
}

/// All rules: the name, and how a program writes it.
fn rules() -> Vec<(String, String)> {
    let all = doc::library(None).into_iter();
    all.filter_map(|entry| match entry.def.kind {
        DefKind::Optimizer => Some((entry.name().to_string(), format!("{}()", entry.name()))),
        DefKind::Transform => Some((entry.name().to_string(), format!("{}() |> SGD(0.01)", entry.name()))),
        _ => None,
    })
    .collect()
}

/// A network whose parameters have ranks 2, 1 and 3.
fn program(rule: &str, float: DType) -> Program {
    let name = rule.split('(').next().unwrap_or("");
    let used = if name == "SGD" || !rule.contains("SGD") { name.to_string() } else { format!("{{{name}, SGD}}") };
    program_with(&format!("use optimizers.{used}"), rule, float)
}

fn program_with(items: &str, rule: &str, float: DType) -> Program {
    let items = if items.starts_with("use") { items.to_string() } else { format!("use optimizers.SGD\n{items}") };
    let text = format!(
        "use losses.mse
         {items}
         model Net()(x: float[N, 3]) -> float[N] {{
           param w: float[3, 4] = constant(0.3)
           param b: float[4] = constant(0.1)
           param c: float[2, 2, 1] = constant(0.2)
           tanh(x @ w + b) @ reshape(c, [4])
         }}
         data given = synthetic.linear(rows = 8)
         train run on given {{
           batch = all
           let net = Net()
           step(x, y) {{ minimize mse(net(x), y) + 1e-4 * (l2(net) + l1(net)) with {rule} }}
         }}"
    );
    let column = |name: &str, shape: Vec<usize>| Column { name: name.into(), is_float: true, shape, classes: None };
    on_columns(&text, float, &[column("x", vec![3]), column("y", vec![])], 8)
}

/// The losses of a run from starting values that are the same for all rules, and the parameters at its end.
fn losses(program: &Program, engine: &Engine, float: DType, steps: usize) -> (Vec<f64>, Vec<f64>) {
    let x = Tensor::from_f64s(Type::new(float, vec![8, 3]), &spread(1, 24, -1.0, 1.0));
    let y = Tensor::from_f64s(Type::new(float, vec![8]), &spread(2, 8, 1.0, 2.0));
    let mut run = Run::new(program, engine);
    for (k, (path, size)) in [("net.w", 12), ("net.b", 4), ("net.c", 4)].into_iter().enumerate() {
        run.set(path, &spread(10 + k as u32, size, -0.5, 0.5));
    }
    let all = (0..steps).map(|_| run.step(&[("x", &x), ("y", &y)])["loss"]).collect();
    let end = ["net.w", "net.b", "net.c"].into_iter().flat_map(|path| run.get(path)).collect();
    (all, end)
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f64::max)
}

#[test]
fn every_rule_runs_alike_and_lowers_the_loss() {
    let mut failures = vec![];
    for (name, rule) in rules() {
        let exact = program(&rule, DType::F64);
        let (interpreted, at) = losses(&exact, &INTERPRETER, DType::F64, 5);
        let (_, compiled_at) = losses(&exact, &COMPILED, DType::F64, 5);
        let d = apart(&at, &compiled_at);
        let most = if ILL_POSED.iter().any(|(n, _)| *n == name) { 1e-2 } else { 1e-9 };
        if d.is_nan() || d > most {
            failures.push(format!("{name}: after 5 steps the parameters differ by {d:.1e} between the engines"));
        }
        if interpreted.iter().chain(&at).any(|v| !v.is_finite()) {
            failures.push(format!("{name}: not finite: {interpreted:?}"));
        }
        let (all, _) = losses(&exact, &COMPILED, DType::F64, STEPS);
        let excused = NO_DESCENT.iter().any(|(n, _)| *n == name);
        if !excused && (all[STEPS - 1].is_nan() || all[STEPS - 1] >= all[0]) {
            failures.push(format!("{name}: the loss went from {} to {}", all[0], all[STEPS - 1]));
        }
        let single = program(&rule, DType::F32);
        let (short, _) = losses(&single, &COMPILED, DType::F32, 5);
        if short.iter().any(|v| !v.is_finite()) {
            failures.push(format!("{name}: not finite in f32: {short:?}"));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// A rule called with a state moves the state, and the next step finds it there.
#[test]
fn a_rule_called_with_a_state_updates_it() {
    let averaged = |step: &str| {
        let rule = format!(
            "optimizer Averaged()(theta, g, t) {{
               state z = theta
               state x = theta
               {step}
               x <- x + (z - x)/t
               theta <- 0.1*z + 0.9*x
             }}"
        );
        let program = program_with(&rule, "Averaged() ", DType::F64);
        losses(&program, &COMPILED, DType::F64, 5)
    };
    assert_eq!(averaged("z <- z - 0.1*g"), averaged("SGD(0.1)(z, g, t)"));
}

#[test]
fn the_library_is_large_and_each_rule_has_its_paper() {
    let all = doc::library(None);
    let rules: Vec<_> = all.iter().filter(|e| matches!(e.def.kind, DefKind::Optimizer | DefKind::Transform)).collect();
    assert!(rules.len() >= 130, "{} rules", rules.len());
    for entry in &rules {
        assert!(!entry.doc.is_empty(), "{} has no text", entry.name());
        let formula = latex::definition(&entry.def);
        assert!(formula.contains('&'), "{}: {formula}", entry.name());
        let missing =
            entry.def.kind == DefKind::Optimizer && !entry.parts().iter().any(|p| matches!(p, doc::Part::Equation(_)));
        assert!(!missing, "{} has no equation", entry.name());
    }
}

/// Each definition of the library, of any kind, has a form in LaTeX whose brackets match.
#[test]
fn latex_is_well_formed() {
    for entry in doc::library(None) {
        let formula = latex::definition(&entry.def);
        let count = |pattern: &str| formula.matches(pattern).count();
        let name = entry.name();
        assert_eq!(count("{"), count("}"), "{name}: {formula}");
        assert_eq!(count("\\left") - count("\\leftarrow"), count("\\right"), "{name}: {formula}");
        assert_eq!(count("\\begin{cases}"), count("\\end{cases}"), "{name}: {formula}");
        assert!(!formula.contains("_{}") && !formula.contains("^{}"), "{name}: {formula}");
    }
}

#[test]
fn formulas_read_like_the_papers() {
    for name in ["AdamW", "SGD", "NAdam", "Lion", "LAMB", "Adan", "Lookahead", "AdaBound", "SAM", "clip_by_global_norm"]
    {
        let entries = doc::library(Some(name));
        assert_snapshot!(format!("latex_{name}"), latex::definition(&entries[0].def));
    }
}

/// The page on published optimizers: what it says of the library is there, and its counts are those of its rows.
#[test]
fn the_page_of_published_optimizers_is_right() {
    let page = std::fs::read_to_string(root().join("docs/optimizers.md")).expect("UTF-8 text");
    let names: HashSet<String> = doc::library(None).iter().map(|e| e.name().to_string()).collect();
    let rows: Vec<&str> =
        page.lines().filter(|l| l.starts_with("| ") && l.contains(" | ") && !l.starts_with("| rule")).collect();
    let having = |mark: &str| rows.iter().filter(|row| row.contains(&format!("| {mark}: "))).count();
    assert_eq!(rows.len(), 224);
    let counts = ["library", "can be written", "not yet"].map(having);
    assert_eq!(counts.iter().sum::<usize>(), 224);
    for count in counts {
        assert!(page.contains(&format!("**{count}**")), "the page does not say {count}");
    }
    for row in rows.iter().filter(|row| row.contains("| library: ")) {
        let listed = row.rsplit("| library: ").next().unwrap_or("");
        for name in listed.split('`').skip(1).step_by(2) {
            assert!(names.contains(name), "{row}: the library has no {name}");
        }
    }
}
