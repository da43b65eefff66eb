//! Reports that need all rows of a pass at once (`all.rows(x)` in a metric), such as the area under a ROC curve.
//!
//! Steps give the rows of their batch; they are collected in the order of the pass, and at its end a graph of its own,
//! compiled for their number, makes the reports of them.

use super::stage::checked;
use super::state::{State, internal};
use super::{Engine, Failure, failed};
use crate::ir::Type;
use crate::passes::checks::{Check, first_failed};
use crate::runtime::{Executable, Tensor};
use crate::sema::program::Program;

/// The rows of a pass so far, a column for each `all.rows`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gathered {
    columns: Vec<Column>,
}

#[derive(Clone, Debug, PartialEq)]
struct Column {
    name: String,
    /// Of one row.
    ty: Type,
    values: Vec<f64>,
}

impl Gathered {
    pub fn clear(&mut self) {
        self.columns.iter_mut().for_each(|c| c.values.clear());
    }

    pub fn is_empty(&self) -> bool {
        self.columns.iter().all(|c| c.values.is_empty())
    }

    /// Adds a batch's rows to the column of this number.
    pub fn push(&mut self, index: usize, name: &str, rows: &Tensor) {
        if self.columns.len() <= index {
            let ty = Type::new(rows.ty().dtype, &rows.ty().shape[1..]);
            self.columns.push(Column { name: name.to_string(), ty, values: vec![] });
        }
        self.columns[index].values.extend(rows.to_f64s());
    }

    fn rows(&self) -> usize {
        self.columns.first().map_or(0, |c| c.values.len() / c.ty.elements().max(1))
    }

    /// For a checkpoint in the middle of a pass.
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let rows = self.rows();
        let tensor = |c: &Column| (c.name.clone(), Tensor::from_f64s(batch_type(&c.ty, rows), &c.values));
        if self.is_empty() { vec![] } else { self.columns.iter().map(tensor).collect() }
    }

    /// Takes back what [`Gathered::tensors`] gave.
    pub fn set_tensors(&mut self, tensors: &[(String, Tensor)]) {
        self.columns.clear();
        for (index, (name, tensor)) in tensors.iter().enumerate() {
            self.push(index, name, tensor);
        }
    }
}

fn batch_type(row: &Type, rows: usize) -> Type {
    let mut shape = vec![rows];
    shape.extend(&row.shape);
    Type::new(row.dtype, shape)
}

/// A report with its shape; numbers have none.
pub struct Reported {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

/// The graph at the end of a pass, compiled for a number of rows.
#[derive(Default)]
pub struct Finish {
    compiled: Option<Compiled>,
}

struct Compiled {
    rows: usize,
    executable: Box<dyn Executable>,
    /// Where each input comes from.
    inputs: Vec<Source>,
    names: Vec<String>,
    results: Vec<Tensor>,
    checks: Vec<Check>,
}

enum Source {
    Column(usize, Type),
    Slot(usize),
}

impl Finish {
    /// The reports of the rows that were gathered.
    pub fn reports(
        &mut self,
        program: &Program,
        engine: &dyn Engine,
        gathered: &Gathered,
        state: &State,
    ) -> Result<Vec<Reported>, Failure> {
        if gathered.is_empty() {
            return Ok(vec![]);
        }
        let rows = gathered.rows();
        if self.compiled.as_ref().is_none_or(|c| c.rows != rows) {
            self.compiled = Some(Compiled::new(program, engine, gathered, state)?);
        }
        let compiled = self.compiled.as_mut().expect("made above");
        let mut inputs: Vec<Tensor> = compiled
            .inputs
            .iter()
            .map(|source| match source {
                Source::Column(index, ty) => Tensor::from_f64s(ty.clone(), &gathered.columns[*index].values),
                Source::Slot(slot) => state.slots[*slot].clone(),
            })
            .collect();
        compiled.executable.run(&mut inputs.iter_mut().collect::<Vec<_>>(), &mut compiled.results);
        let verdicts = &compiled.results[compiled.names.len()..];
        if let Some(failed) = first_failed(verdicts, &compiled.checks) {
            let when = format!(" in the reports of a whole pass, after step {}", state.step);
            return Err(failed::failure(&failed, failed::explain(engine, &failed, None, &when)));
        }
        let report = |(name, tensor): (&String, &Tensor)| Reported {
            name: name.clone(),
            shape: tensor.ty().shape.clone(),
            values: tensor.to_f64s(),
        };
        Ok(compiled.names.iter().zip(&compiled.results).map(report).collect())
    }
}

impl Compiled {
    fn new(program: &Program, engine: &dyn Engine, gathered: &Gathered, state: &State) -> Result<Compiled, Failure> {
        let rows = gathered.rows();
        let graph = program.graphs.pass(rows)?;
        let graph = graph.ok_or_else(|| internal("rows were gathered for nothing".into()))?;
        let mut inputs = vec![];
        for input in &graph.inputs {
            let column = gathered.columns.iter().position(|c| c.name == input.name);
            let slot = || state.slot(&input.kind, &input.name).map(Source::Slot);
            let source = column.map(|index| Source::Column(index, input.ty.clone())).or_else(slot);
            inputs.push(source.ok_or_else(|| super::state::unbound(&graph, &input.name))?);
        }
        let names = graph.outputs.iter().map(|o| o.name.clone()).collect();
        let (graph, checks) = checked(program, &graph);
        let results = super::state::result_tensors(&graph);
        Ok(Compiled { rows, executable: engine.compile(&graph)?, inputs, names, results, checks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::DType;

    #[test]
    fn rows_survive_a_checkpoint() {
        let mut gathered = Gathered::default();
        let batch = |values: &[f64]| Tensor::from_f64s(Type::new(DType::F32, vec![values.len()]), values);
        gathered.push(0, "rows.0", &batch(&[1.0, 2.0]));
        gathered.push(0, "rows.0", &batch(&[3.0]));
        assert_eq!(gathered.rows(), 3);
        let mut other = Gathered::default();
        other.set_tensors(&gathered.tensors());
        assert_eq!(other, gathered);
        other.clear();
        assert!(other.is_empty() && other.tensors().is_empty());
    }
}
