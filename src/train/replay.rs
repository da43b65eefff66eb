//! Repeats steps from a kept state, to see the first one that makes a value that is not finite.
//!
//! When a loss is found to be NaN, the update has been made with it already, and its cause may lie a step further back: the
//! state from before is gone. A run keeps a copy of its state now and then anyway; since the same state and the same batches
//! give the same bits, the steps behind the copy can be made once more, watched.

use super::batches::{ColumnType, Feed, Gatherer, Layout};
use super::nan::{self, Bad};
use super::run::Supply;
use super::stage::Stage;
use super::state::{State, copy};
use super::{Engine, Failure, Rows};
use crate::runtime::Tensor;
use crate::sema::program::Program;

/// Where the steps come from.
pub struct Replay<'a> {
    pub program: &'a Program,
    pub data: &'a dyn Rows,
    pub layout: &'a Layout,
    pub columns: &'a [ColumnType],
}

/// The first step that went wrong.
pub struct Wrong {
    pub step: usize,
    /// It left this behind; otherwise only its loss is not finite.
    pub bad: Option<Bad>,
    /// What it read.
    pub scene: super::watch::Scene,
}

impl Replay<'_> {
    /// Makes the steps behind `step` with these values of the buffers, up to `until` at most. The state is spoilt.
    pub fn run(
        &self,
        state: &mut State,
        stages: (&mut Stage, Option<&mut Stage>),
        (step, values): (usize, &[Tensor]),
        until: usize,
    ) -> Result<Option<Wrong>, Failure> {
        for (to, from) in state.buffers_mut().iter_mut().zip(values) {
            copy(from, to);
        }
        let (full, mut partial) = stages;
        let per_epoch = self.layout.batches();
        let (epoch, index) = (step / per_epoch + 1, step % per_epoch);
        let gatherer = Gatherer::new(self.data, self.layout.clone(), self.columns.to_vec(), epoch, index);
        let (mut feed, mut supply) = (Feed::inline(gatherer), Supply::default());
        let mut before = state.slots.clone();
        for done in step..until {
            if done.is_multiple_of(per_epoch) {
                state.reset_metrics();
            }
            let rows = self.layout.rows_of(done % per_epoch);
            let stage = match &mut partial {
                Some(partial) if partial.rows == rows => partial,
                _ => &mut *full,
            };
            if !self.layout.is_constant() {
                std::mem::swap(&mut stage.batch, supply.next(&mut feed)?);
            }
            state.set_clocks(done + 1);
            for (to, from) in before.iter_mut().zip(&state.slots) {
                copy(from, to);
            }
            stage.run(state);
            let bad = nan::find(self.program, state, &before);
            if bad.is_some() || stage.is_diverged() || stage.failed().is_some() {
                let graph = self.program.graphs.step(rows)?;
                let scene = nan::scene(graph, stage, before);
                return Ok(Some(Wrong { step: done + 1, bad, scene }));
            }
        }
        Ok(None)
    }
}

/// How a report calls the steps that were repeated.
pub fn story(from: usize, until: usize) -> String {
    match until - from {
        1 => format!("step {until} was repeated to find this"),
        _ => format!("steps {} to {until} were repeated to find this", from + 1),
    }
}

/// Adds what is known of the first wrong value.
pub fn tell(engine: &dyn Engine, wrong: &Wrong, diagnostic: crate::diag::Diagnostic) -> crate::diag::Diagnostic {
    match wrong.scene.first_bad(engine) {
        Ok(Some(found)) => {
            let told = nan::tell(diagnostic, &found);
            let left = wrong.bad.as_ref().map_or(String::new(), |bad| format!(", which left it in '{}'", bad.path));
            let first = format!("the first value that is not finite appeared in step {}{left}", wrong.step);
            let mut notes = vec![first];
            notes.extend(told.notes);
            crate::diag::Diagnostic { notes, ..told }
        }
        _ => diagnostic,
    }
}
