//! Why a loss or a state is not finite: copies of the state from time to time, and what is found from them.

use super::{Snapshot, Trainer, checkpoint, nan, replay, stopped};
use crate::diag::Diagnostic;
use crate::passes::checks::{Failed, What};
use crate::runtime::Tensor;
use crate::train::watch::Scene;
use crate::train::{Failure, failed};

/// Of a state with more bytes, one copy is kept; of one with more than the second number, none.
const LARGE: usize = 64 << 20;
const HUGE: usize = 1 << 30;

/// Steps between two snapshots, and how many are kept. Copies shall cost less than a hundredth of the steps, each of which
/// reads and writes the state at least once; and they shall not be what exhausts the memory.
pub fn snapshots(bytes: usize) -> (usize, usize) {
    match bytes {
        0..LARGE => ((bytes / 4096).clamp(25, 100), 2),
        LARGE..HUGE => (200, 1),
        _ => (usize::MAX, 0),
    }
}

impl Trainer<'_> {
    /// Keeps a copy of the state from time to time: what to save, and where to look for the reason, when something becomes NaN.
    pub(super) fn snapshot_if_due(&mut self) -> Result<(), Failure> {
        let due = self.snapshots.back().is_none_or(|s| self.state.step >= s.step + self.snapshot_every);
        if self.snapshot_every == usize::MAX || !due {
            return Ok(());
        }
        self.check_parameters()?;
        let mut values = match self.snapshots.len() {
            len if len >= self.most_snapshots => self.snapshots.pop_front().expect("there is one").values,
            _ => self.state.buffers().to_vec(),
        };
        for (to, from) in values.iter_mut().zip(self.state.buffers()) {
            crate::train::state::copy(from, to);
        }
        let (step, progress, gathered) = (self.state.step, self.progress(), self.gathered.clone());
        self.snapshots.push_back(Snapshot { step, progress, values, gathered });
        Ok(())
    }

    /// A loss may be finite all the same, where a `relu` or a `where` swallows a NaN: then training goes on without effect.
    pub(super) fn check_parameters(&mut self) -> Result<(), Failure> {
        let Some(bad) = nan::find_parameter(self.program, &self.state) else { return Ok(()) };
        let step = self.state.step;
        let diagnostic = match self.repeat()? {
            Some((from, wrong)) => {
                let bad = wrong.bad.as_ref().unwrap_or(&bad);
                nan::explain(self.engine, &wrong.scene, bad, wrong.step).note(replay::story(from, wrong.step))
            }
            None => nan::unexplained(&bad, step),
        };
        Err(Failure::Training(Box::new(diagnostic)))
    }

    /// Says what happened, and where it began; saves the newest state that is known to give a finite loss.
    pub(super) fn diverged(&mut self, before: Option<Vec<Tensor>>) -> Failure {
        let step = self.state.step;
        let epoch = step.div_ceil(self.plan.steps_per_epoch);
        let mut diagnostic = stopped::diverged(self.program, step, epoch, &self.last_losses);
        match self.save_last_good(step) {
            Ok(Some(note)) => diagnostic = diagnostic.note(note),
            Ok(None) => {}
            Err(problem) => diagnostic = diagnostic.note(problem.title),
        }
        Failure::Training(Box::new(self.with_reason(diagnostic, before)))
    }

    /// An index is out of range, or a matrix has no decomposition.
    pub(super) fn failed(&mut self, failed: &Failed, before: Option<Vec<Tensor>>) -> Failure {
        let step = self.state.step;
        let is_matrix = matches!(failed.check.what, What::Matrix(_));
        let scene = match before {
            Some(slots) => self.scene(slots).ok(),
            None if is_matrix => self.repeat().ok().flatten().map(|(_, wrong)| wrong.scene),
            None => None,
        };
        let told = failed::explain(self.engine, failed, scene.as_ref(), &format!(" in step {step}"));
        failed::failure(failed, told)
    }

    /// Adds the operation that made the first value that is not finite.
    fn with_reason(&mut self, diagnostic: Diagnostic, before: Option<Vec<Tensor>>) -> Diagnostic {
        let step = self.state.step;
        if let Some(slots) = before {
            let Ok(scene) = self.scene(slots) else { return diagnostic };
            return replay::tell(self.engine, &replay::Wrong { step, bad: None, scene }, diagnostic);
        }
        match self.repeat() {
            Ok(Some((from, wrong))) => {
                replay::tell(self.engine, &wrong, diagnostic).note(replay::story(from, wrong.step))
            }
            _ if self.snapshots.is_empty() => {
                diagnostic.note("the state is too large to keep copies of: --check-nan finds the first bad value")
            }
            _ => diagnostic,
        }
    }

    /// Repeats the steps since the last copy of the state; gives the step of the copy, and the first step that went wrong.
    fn repeat(&mut self) -> Result<Option<(usize, replay::Wrong)>, Failure> {
        let step = self.state.step;
        let Some(from) = self.snapshots.iter().rev().find(|s| s.step < step) else { return Ok(None) };
        let (program, data, layout, columns) = (self.program, self.data, &self.layout, self.columns.as_slice());
        let replay = replay::Replay { program, data, layout, columns };
        let ended = self.state.slots.clone();
        let stages = (&mut self.full, self.partial.as_mut());
        let wrong = replay.run(&mut self.state, stages, (from.step, &from.values), step);
        self.state.slots = ended;
        Ok(wrong?.map(|wrong| (from.step, wrong)))
    }

    fn save_last_good(&mut self, bad_step: usize) -> Result<Option<String>, Diagnostic> {
        let Some(folder) = &mut self.folder else { return Ok(None) };
        folder.flush()?;
        // A snapshot taken right before the bad step may already hold what made its loss bad.
        let good = self.snapshots.iter().rev().find(|s| s.step + 1 < bad_step);
        let Some(good) = good else { return Ok(None) };
        let path = folder.checkpoint("last-good");
        checkpoint::save(&path, &self.program.buffers, &good.values, &good.progress, &good.gathered.tensors())?;
        Ok(Some(format!("the state after step {} is in '{}'", good.step, path.display())))
    }

    /// Looks for values that are not finite after a step, and for the operation that made the first one.
    pub(super) fn check_nan(&mut self, before: Vec<Tensor>) -> Result<(), Failure> {
        let Some(bad) = nan::find(self.program, &self.state, &before) else { return Ok(()) };
        let scene = self.scene(before)?;
        Err(Failure::Training(Box::new(nan::explain(self.engine, &scene, &bad, self.state.step))))
    }

    /// The step just made, with the state from before it.
    fn scene(&self, before: Vec<Tensor>) -> Result<Scene, Failure> {
        let is_partial = self.rows_of(self.state.step) != self.full.rows;
        let stage = if is_partial { self.partial.as_ref().expect("it ran") } else { &self.full };
        Ok(nan::scene(self.program.graphs.step(stage.rows)?, stage, before))
    }
}
