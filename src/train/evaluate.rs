//! Loss and reports over the test part.

use super::batches::{ColumnType, Layout};
use super::metrics::{Averages, Record, Split, Table};
use super::pass::{Finish, Gathered};
use super::stage::{Stage, column_types};
use super::state::State;
use super::{Engine, Failure, Rows, failed, nan};
use crate::sema::program::Program;

/// The evaluation, compiled once for full batches and once for the rest.
pub struct Evaluation {
    layout: Layout,
    columns: Vec<ColumnType>,
    full: Stage,
    partial: Option<Stage>,
    /// A single batch stays in its stage.
    bound: bool,
    gathered: Gathered,
    finish: Finish,
}

impl Evaluation {
    pub fn new(program: &Program, engine: &dyn Engine, state: &State, batch: usize) -> Result<Evaluation, Failure> {
        let rows = program.schema.test_rows;
        let layout = Layout { rows, batch: batch.min(rows), seed: 0, shuffle: false, varies: false, buffer: None };
        let graph = program.graphs.eval(layout.batch)?;
        let columns = column_types(program, &graph, layout.batch)?;
        let full = Stage::new(program, &graph, engine, state, &columns, layout.batch)?;
        let rest = layout.rows_of(layout.batches() - 1);
        let partial = if rest == layout.batch {
            None
        } else {
            Some(Stage::new(program, &program.graphs.eval(rest)?, engine, state, &columns, rest)?)
        };
        let (gathered, finish) = (Gathered::default(), Finish::default());
        Ok(Evaluation { layout, columns, full, partial, bound: false, gathered, finish })
    }

    /// The values over the whole test part, after `state.step` steps.
    pub fn run(
        &mut self,
        program: &Program,
        engine: &dyn Engine,
        data: &dyn Rows,
        state: &mut State,
        epoch: usize,
    ) -> Result<Record, Failure> {
        let mut averages = Averages::new(&self.full.observed);
        self.gathered.clear();
        let order: Vec<u32> = self.layout.order(1);
        let mut tables: Vec<Table> = vec![];
        for index in 0..self.layout.batches() {
            let rows = self.layout.rows_of(index);
            let from = index * self.layout.batch;
            let partial = self.partial.as_mut().filter(|p| p.rows == rows);
            let stage = partial.unwrap_or(&mut self.full);
            if !self.bound {
                for (column, tensor) in self.columns.iter().zip(&mut stage.batch) {
                    data.gather(true, &column.name, &order[from..from + rows], tensor)?;
                }
            }
            stage.run(state);
            if let Some(failed) = stage.failed() {
                let scene = nan::scene(program.graphs.eval(rows)?, stage, state.slots.clone());
                let when = format!(" in the evaluation after step {}", state.step);
                return Err(failed::failure(&failed, failed::explain(engine, &failed, Some(&scene), &when)));
            }
            averages.add(rows, |i| stage.value(i));
            stage.gather(&mut self.gathered);
            if index + 1 == self.layout.batches() {
                tables = stage.tables();
            }
        }
        self.bound = self.layout.is_constant();
        let mut record = averages.record(state.step, epoch, Split::Test);
        record.tables = tables;
        record.extend(self.finish.reports(program, engine, &self.gathered, state)?);
        Ok(record)
    }
}
