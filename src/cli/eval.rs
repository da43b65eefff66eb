//! `optc eval [FILE] EXPR`

use super::{DONE, Status, USAGE, WRONG, args, output, values};
use crate::driver::{self, COTANGENT, Question, Session};
use crate::ir::{DType, Graph, Input, InputKind, Type};
use crate::runtime::Tensor;
use crate::train::failed::run_once;
use serde_json::{Map, json};
use std::path::Path;

#[derive(clap::Args)]
pub struct Args {
    /// A file whose definitions the expression may use; without one, this is the expression
    #[arg(value_name = "FILE", allow_hyphen_values = true)]
    first: String,
    /// The expression
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    second: Option<String>,
    /// A value that the expression may use: JSON numbers, nested arrays, or @file.npy (repeatable)
    #[arg(long = "let", value_name = "NAME=VALUE", value_parser = args::assignment)]
    lets: Vec<(String, String)>,
    /// Also the gradient of the sum of the result by this value (repeatable)
    #[arg(long = "grad", value_name = "NAME")]
    grads: Vec<String>,
    /// Weights of the result's elements in that sum
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    cotangent: Option<String>,
    /// What `float` means
    #[arg(long, value_enum, default_value = "f32")]
    float: args::Float,
    /// What computes it
    #[arg(long, value_enum, default_value = "jit")]
    engine: args::Engine,
    /// One object on stdout
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Status {
    let float = args.float.dtype();
    let mut given: Vec<(String, Tensor)> = Vec::new();
    for (name, text) in &args.lets {
        match values::parse(text, float) {
            Ok(value) => given.push((name.clone(), value)),
            Err(problem) => return usage(&format!("--let {name}: {problem}")),
        }
    }
    if let Some(text) = &args.cotangent {
        match values::parse(text, float) {
            Ok(value) => given.push((COTANGENT.into(), as_float(value, float))),
            Err(problem) => return usage(&format!("--cotangent: {problem}")),
        }
    }
    let mut session = Session::new();
    if args.second.is_some()
        && let Err(problem) = session.open(Path::new(&args.first))
    {
        return usage(&problem);
    }
    let types = |cotangent: bool| given.iter().filter(move |(name, _)| (name == COTANGENT) == cotangent);
    let lets: Vec<(String, Type)> = types(false).map(|(name, value)| (name.clone(), value.ty().clone())).collect();
    let question = Question {
        expr: args.second.as_ref().unwrap_or(&args.first),
        lets: &lets,
        grads: &args.grads,
        cotangent: types(true).map(|(_, value)| value.ty()).next(),
        float,
    };
    let computed = session.value(&question).and_then(|graph| compute(&graph, &given, &args).map_err(|d| vec![d]));
    match computed {
        Ok(results) => {
            output::diagnostics(&session.sources, &session.warnings);
            print(&results, &args);
            DONE
        }
        Err(problems) => {
            output::failure(&session.sources, &problems, args.json);
            WRONG
        }
    }
}

fn usage(problem: &str) -> Status {
    output::remark(&format!("optc: {problem}"));
    USAGE
}

/// Weights written as ints are meant as numbers.
fn as_float(value: Tensor, float: DType) -> Tensor {
    if value.ty().dtype.is_float() {
        return value;
    }
    Tensor::from_f64s(Type::new(float, value.ty().shape.clone()), &value.to_f64s())
}

fn compute(graph: &Graph, given: &[(String, Tensor)], args: &Args) -> Result<Vec<Tensor>, crate::diag::Diagnostic> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let inputs: Vec<Tensor> = graph.inputs.iter().map(|input| bind(input, given)).collect();
    run_once(driver::engine(args.engine.kind(), threads).as_ref(), graph, inputs)
}

/// Arguments have the user's values; it is the first step of a run with seed 0.
fn bind(input: &Input, given: &[(String, Tensor)]) -> Tensor {
    let named = given.iter().find(|(name, _)| *name == input.name);
    match (&input.kind, named) {
        (InputKind::Arg, Some((_, value))) => value.clone(),
        (InputKind::Arg, None) => unreachable!("every argument of the expression is a `--let` or the cotangent"),
        (InputKind::Step, _) => Tensor::scalar(DType::F64, 1.0),
        _ => Tensor::zeros(input.ty.clone()),
    }
}

fn print(results: &[Tensor], args: &Args) {
    let value = &results[0];
    let gradients = args.grads.iter().zip(&results[1..]);
    if args.json {
        let grads: Map<_, _> = gradients.map(|(name, g)| (name.clone(), values::to_json(g))).collect();
        output::object(&json!({
            "value": values::to_json(value),
            "shape": value.ty().shape,
            "type": value.ty().dtype.name(),
            "grads": grads,
        }));
        return;
    }
    output::line(&format!("{}: {}", values::to_json(value), value.ty()));
    for (name, gradient) in gradients {
        output::line(&format!("d/d{name} {}: {}", values::to_json(gradient), gradient.ty()));
    }
}
