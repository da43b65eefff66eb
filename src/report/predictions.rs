//! `predictions.json`: the trained model on the test rows, as counts of classes or as pairs of numbers.
//!
//! What is compared with what is known from the program: a loss or a metric is given a prediction and a target. An int
//! target names the class along the prediction's last axis; a float target of the same shape is a value to be met.

use crate::diag::Diagnostic;
use crate::ir::{DType, Graph, InputKind, Op};
use crate::runtime::{Executable, Tensor};
use crate::sema::program::Program;
use crate::train::batches::ColumnType;
use crate::train::metrics::number;
use crate::train::stage::column_types;
use crate::train::state::{State, result_tensors, unbound};
use crate::train::{Engine, Failure, Rows};
use serde_json::{Value, json};

/// A matrix of more classes is no picture.
const MOST_CLASSES: usize = 100;
/// So many pairs are kept for the scatter; its figures are of all.
const PAIRS: usize = 2000;

/// Runs the model over the test rows. `None` where there are none, or nothing that can be shown.
pub fn collect(
    program: &Program,
    engine: &dyn Engine,
    data: &dyn Rows,
    state: &State,
    batch: usize,
) -> Result<Option<Value>, Failure> {
    let rows = program.schema.test_rows;
    if rows == 0 {
        return Ok(None);
    }
    let batch = batch.clamp(1, rows);
    let Some(mut pass) = Pass::new(program, engine, state, batch)? else { return Ok(None) };
    let Some(mut found) = Found::new(&pass.results) else { return Ok(None) };
    let names = pass.target.as_ref().map_or(vec![], |column| data.class_names(column));
    let mut from = 0;
    while from < rows {
        let count = batch.min(rows - from);
        if count != pass.rows {
            match Pass::new(program, engine, state, count)? {
                Some(rest) => pass = rest,
                None => return Ok(None),
            }
        }
        let order: Vec<u32> = (from..from + count).map(|row| row as u32).collect();
        pass.run(data, &order)?;
        found.add(&pass.results);
        from += count;
    }
    Ok(found.finish(rows, &names))
}

/// The graph of the predictions, bound to copies of the state.
struct Pass {
    executable: Box<dyn Executable>,
    inputs: Vec<Tensor>,
    columns: Vec<ColumnType>,
    /// For each column, its input.
    places: Vec<usize>,
    results: Vec<Tensor>,
    /// The column that is predicted, if the target is one.
    target: Option<String>,
    rows: usize,
}

impl Pass {
    fn new(program: &Program, engine: &dyn Engine, state: &State, rows: usize) -> Result<Option<Pass>, Failure> {
        let Some(graph) = program.graphs.predictions(rows)? else { return Ok(None) };
        let columns = column_types(program, &graph, rows)?;
        let (mut inputs, mut places) = (vec![], vec![]);
        for (index, input) in graph.inputs.iter().enumerate() {
            if input.kind == InputKind::Batch {
                places.push(index);
                inputs.push(Tensor::zeros(input.ty.clone()));
                continue;
            }
            if input.kind == InputKind::Arg {
                // All rows of a pass, for metrics: no prediction reads them.
                inputs.push(Tensor::zeros(input.ty.clone()));
                continue;
            }
            let slot = state.slot(&input.kind, &input.name).ok_or_else(|| unbound(&graph, &input.name))?;
            inputs.push(state.slots[slot].clone());
        }
        let executable = engine.compile(&graph)?;
        let (results, target) = (result_tensors(&graph), target_column(&graph));
        Ok(Some(Pass { executable, inputs, columns, places, results, target, rows }))
    }

    fn run(&mut self, data: &dyn Rows, order: &[u32]) -> Result<(), Diagnostic> {
        for (column, place) in self.columns.iter().zip(&self.places) {
            data.gather(true, &column.name, order, &mut self.inputs[*place])?;
        }
        let mut refs: Vec<&mut Tensor> = self.inputs.iter_mut().collect();
        self.executable.run(&mut refs, &mut self.results);
        Ok(())
    }
}

/// The column that the target is, by itself or as another type or shape.
fn target_column(graph: &Graph) -> Option<String> {
    let mut node = graph.node(graph.outputs.iter().find(|o| o.name == "target")?.node);
    while let (Op::Convert | Op::Reshape, [whole]) = (&node.op, &node.args[..]) {
        node = graph.node(*whole);
    }
    match node.op {
        Op::Input(index) if graph.inputs[index].kind == InputKind::Batch => Some(graph.inputs[index].name.clone()),
        _ => None,
    }
}

/// What the rows so far gave.
#[derive(Debug)]
enum Found {
    Classes { counts: Vec<Vec<u64>> },
    Values { pairs: Vec<(f64, f64)> },
}

impl Found {
    fn new(results: &[Tensor]) -> Option<Found> {
        let [prediction, target] = results else { return None };
        if target.ty().dtype.is_float() {
            return Some(Found::Values { pairs: vec![] });
        }
        let classes = *prediction.ty().shape.last()?;
        let shown = (2..=MOST_CLASSES).contains(&classes) && target.ty().dtype == DType::I32;
        shown.then(|| Found::Classes { counts: vec![vec![0; classes]; classes] })
    }

    fn add(&mut self, results: &[Tensor]) {
        let (prediction, target) = (results[0].to_f64s(), results[1].to_f64s());
        match self {
            Found::Values { pairs } => pairs.extend(target.into_iter().zip(prediction)),
            Found::Classes { counts } => {
                for (logits, truth) in prediction.chunks(counts.len()).zip(target) {
                    // Padding (-100, say) is no class.
                    if truth >= 0.0 && (truth as usize) < counts.len() {
                        counts[truth as usize][largest(logits)] += 1;
                    }
                }
            }
        }
    }

    /// `names` are those of the classes; without them they are numbers.
    fn finish(self, rows: usize, names: &[String]) -> Option<Value> {
        match self {
            Found::Classes { counts } => Some(classes(rows, &counts, names, None)),
            Found::Values { pairs } => {
                if pairs.iter().all(|p| p.0 == 0.0 || p.0 == 1.0) && !pairs.is_empty() {
                    return Some(two_classes(rows, &pairs, names));
                }
                Some(values(rows, &pairs))
            }
        }
    }
}

/// The first of the largest, as `argmax` has it.
fn largest(values: &[f64]) -> usize {
    (1..values.len()).fold(0, |best, k| if values[k] > values[best] { k } else { best })
}

fn classes(rows: usize, counts: &[Vec<u64>], names: &[String], note: Option<&str>) -> Value {
    let numbers = || (0..counts.len()).map(|k| k.to_string()).collect();
    // A model may have more outputs than there are classes.
    let names: Vec<String> = if names.len() == counts.len() { names.to_vec() } else { numbers() };
    json!({ "kind": "classes", "split": "test", "rows": rows, "classes": names, "confusion": counts, "note": note })
}

/// Targets 0 and 1 with one number for each: a probability if all lie in [0, 1], else a logit.
fn two_classes(rows: usize, pairs: &[(f64, f64)], names: &[String]) -> Value {
    let probabilities = pairs.iter().all(|p| (0.0..=1.0).contains(&p.1));
    let (limit, above) = if probabilities { (0.5, "is above 0.5") } else { (0.0, "(a logit) is above 0") };
    let second = if let [_, name] = names { name } else { "1" };
    let note = format!("class {second} where the prediction {above}");
    let mut counts = vec![vec![0; 2]; 2];
    for (target, prediction) in pairs {
        counts[usize::from(*target > 0.5)][usize::from(*prediction > limit)] += 1;
    }
    classes(rows, &counts, names, Some(&note))
}

fn values(rows: usize, pairs: &[(f64, f64)]) -> Value {
    let count = pairs.len().max(1) as f64;
    let mean = pairs.iter().map(|p| p.0).sum::<f64>() / count;
    let residual: f64 = pairs.iter().map(|p| (p.1 - p.0).powi(2)).sum();
    let total: f64 = pairs.iter().map(|p| (p.0 - mean).powi(2)).sum();
    let stride = pairs.len().div_ceil(PAIRS).max(1);
    let kept: Vec<Value> = pairs.iter().step_by(stride).map(|p| json!([rounded(p.0), rounded(p.1)])).collect();
    json!({
        "kind": "values",
        "split": "test",
        "rows": rows,
        "rmse": number((residual / count).sqrt()),
        "mae": number(pairs.iter().map(|p| (p.1 - p.0).abs()).sum::<f64>() / count),
        "r2": number(1.0 - residual / total),
        "pairs": kept,
    })
}

/// Six digits: more than a picture shows.
pub fn rounded(value: f64) -> Value {
    let short: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    number(short)
}

/// Runs [`collect`] and writes what it found. Problems are the caller's to tell.
pub fn write(
    folder: &std::path::Path,
    program: &Program,
    engine: &dyn Engine,
    data: &dyn Rows,
    state: &State,
    batch: usize,
) -> Result<(), Failure> {
    if let Some(found) = collect(program, engine, data, state, batch)? {
        super::save(folder, "predictions.json", format!("{found}\n").as_bytes())
            .map_err(|d: Diagnostic| Failure::from(d))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::Type;

    fn floats(shape: &[usize], values: &[f64]) -> Tensor {
        Tensor::from_f64s(Type::new(DType::F32, shape), values)
    }

    #[test]
    fn classes_are_counted_and_padding_is_not() {
        let label = Tensor::from_f64s(Type::new(DType::I32, [4]), &[0.0, 1.0, 1.0, -100.0]);
        let logits = floats(&[4, 2], &[2.0, 1.0, 0.0, 5.0, 3.0, 3.0, 9.0, 0.0]);
        let results = [logits, label];
        let mut found = Found::new(&results).expect("classes");
        found.add(&results);
        let named = ["no".to_string(), "yes".into()];
        let value = found.finish(4, &named).expect("a matrix");
        assert_eq!(value["confusion"], json!([[1, 0], [1, 1]]));
        assert_eq!(value["classes"], json!(["no", "yes"]));
        assert_eq!(classes(4, &[vec![1]], &named, None)["classes"], json!(["0"]));
    }

    #[test]
    fn numbers_have_figures_and_two_numbers_are_classes() {
        let value = values(4, &[(-1.0, -1.0), (1.0, 1.0), (-1.0, 0.0), (1.0, 0.0)]);
        assert_eq!(
            (value["rmse"].as_f64(), value["mae"].as_f64(), value["r2"].as_f64()),
            (Some(0.5f64.sqrt()), Some(0.5), Some(0.5))
        );
        let logits = two_classes(3, &[(1.0, 2.5), (0.0, -1.0), (0.0, 0.5)], &[]);
        assert_eq!(logits["confusion"], json!([[1, 1], [0, 1]]));
        let probabilities = two_classes(2, &[(1.0, 0.4), (0.0, 0.3)], &[]);
        assert_eq!(probabilities["confusion"], json!([[1, 0], [1, 0]]));
        let nothing = Found::Values { pairs: vec![] }.finish(0, &[]).expect("an empty scatter");
        assert_eq!(nothing["kind"], "values");
    }
}
