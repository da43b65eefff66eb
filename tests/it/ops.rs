//! Every recorded operation: value and gradients, in f64 and f32, in every engine.

use crate::engine::{ENGINES, Engine};
use crate::language::Scope;
use crate::ops_table::entry;
use crate::reference::{difference, folder, numbers, read};
use optc::ir::{DType, Type};
use optc::runtime::Tensor;
use optc::sema::COTANGENT;
use serde_json::Value;

/// An input or output of a case.
fn tensor(value: &Value, float: DType) -> Tensor {
    let dtype = match value["dtype"].as_str() {
        Some("i64") => DType::I32,
        Some("bool") => DType::Bool,
        _ => float,
    };
    Tensor::from_f64s(Type::new(dtype, shape(value)), &numbers(&value["data"]))
}

fn shape(value: &Value) -> Vec<usize> {
    numbers(&value["shape"]).iter().map(|n| *n as usize).collect()
}

/// The largest differences from a case: of each output and each gradient, by name.
fn compare(
    scope: &mut Scope,
    engine: &Engine,
    case: &Value,
    expressions: &[(&str, String)],
    float: DType,
) -> Result<Vec<(String, f64)>, String> {
    let inputs: Vec<(String, Tensor)> =
        case["inputs"].as_object().expect("inputs").iter().map(|(k, v)| (k.clone(), tensor(v, float))).collect();
    let lets: Vec<(String, Type)> = inputs.iter().map(|(n, t)| (n.clone(), t.ty().clone())).collect();
    let grads: Vec<String> = case["grads"].as_object().map(|g| g.keys().cloned().collect()).unwrap_or_default();
    let mut totals: Vec<Vec<f64>> = grads.iter().map(|g| vec![0.0; numbers(&case["grads"][g]["data"]).len()]).collect();
    let mut out = vec![];
    for (output, text) in expressions {
        let cotangent = case["cotangents"].get(*output);
        let wrt: &[String] = if cotangent.is_some() { &grads } else { &[] };
        let graph = scope.graph(text, &lets, float, wrt, cotangent.is_some())?;
        let mut values: Vec<Tensor> = graph
            .inputs
            .iter()
            .map(|i| match inputs.iter().find(|(n, _)| *n == i.name) {
                Some((_, t)) => t.clone(),
                None => {
                    assert_eq!(i.name, COTANGENT);
                    tensor(cotangent.expect("asked for only if there is one"), float)
                }
            })
            .collect();
        let results = engine.run(&graph, &mut values);
        let expected = &case["outputs"][*output];
        if results[0].ty().shape != shape(expected) {
            return Err(format!("{output} has shape {:?}, not {:?}", results[0].ty().shape, shape(expected)));
        }
        out.push((output.to_string(), difference(&results[0].to_f64s(), &numbers(&expected["data"]))));
        for (total, part) in totals.iter_mut().zip(&results[1..]) {
            total.iter_mut().zip(part.to_f64s()).for_each(|(t, p)| *t += p);
        }
    }
    for (name, total) in grads.iter().zip(totals) {
        out.push((format!("d {name}"), difference(&total, &numbers(&case["grads"][name]["data"]))));
    }
    Ok(out)
}

/// Relative to max(1, |reference|); the README beside the files says why.
fn tolerance(op: &str, case: &Value, float: DType) -> f64 {
    let large = case["inputs"]
        .as_object()
        .into_iter()
        .flatten()
        .any(|(_, v)| v["dtype"] == "f64" && numbers(&v["data"]).iter().any(|x| x.is_finite() && x.abs() > 10.0));
    match float {
        // The reference's own gradient multiplies by 1/6 and 1/alpha that are rounded to f32.
        DType::F64 if matches!(op, "hardsigmoid" | "celu") => 1e-8,
        DType::F64 => 1e-9,
        _ if op.starts_with("graph_") || large => 2e-4,
        _ => 2e-5,
    }
}

#[test]
fn operations_agree_with_recorded_values_and_gradients() {
    let Some(folder) = folder("reference/ops") else { return };
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).expect("a folder").map(|f| f.expect("an entry").path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "json"));
    files.sort();
    assert!(files.len() >= 91, "only {} files", files.len());
    let mut scope = Scope::new(include_str!("ops.opt"));
    let (mut failures, mut checks) = (vec![], 0);
    for file in &files {
        let json = read(file);
        let op = json["op"].as_str().expect("op");
        for case in json["cases"].as_array().expect("cases") {
            let name = case["name"].as_str().expect("name");
            let Some(expressions) = entry(op, name, &case["attrs"]) else {
                failures.push(format!("{op}/{name}: not covered"));
                continue;
            };
            let outputs = case["outputs"].as_object().expect("outputs");
            assert!(
                outputs.keys().all(|k| expressions.iter().any(|(n, _)| n == k)),
                "{op}/{name}: an output is left out"
            );
            for engine in ENGINES {
                for float in [DType::F64, DType::F32] {
                    let place = format!("{op}/{name} {} {float}", engine.name);
                    match compare(&mut scope, engine, case, &expressions, float) {
                        Err(why) => failures.push(format!("{place}: {why}")),
                        Ok(differences) => {
                            let limit = tolerance(op, case, float);
                            let wrong = differences.iter().filter(|(_, d)| *d > limit);
                            failures.extend(
                                wrong.map(|(what, d)| format!("{place}: {what} differs by {d:.1e} > {limit:.0e}")),
                            );
                            checks += differences.len();
                        }
                    }
                }
            }
        }
    }
    println!("{} files, {checks} comparisons", files.len());
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
