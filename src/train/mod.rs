//! Training: from a concrete [`Program`](crate::sema::program::Program) and rows of data to trained weights.
//!
//! * [`Engine`] compiles graphs and [`Rows`] gathers batches: the two things that the loop is given
//! * [`shuffle`] and [`batches`]: which rows come when, gathered ahead on a second thread
//! * [`state`]: the buffers that steps read and update, and [`starts`], what is in them at first; [`stage`]: a compiled
//!   graph bound to them
//! * [`start`]: where a run begins: anew, or at a checkpoint; [`control`] and [`stopped`]: when it ends early, and why
//! * [`evaluate`]: the test part; [`pass`]: reports that need all rows of a pass
//! * [`metrics`]: what is averaged and how it is written; [`folder`]: the files that a run leaves
//! * [`checkpoint`] and [`load`]: values to and from files
//! * [`watch`]: a graph run again with every value watched; [`nan`]: what is said of the first that is not finite
//! * [`failed`]: indices out of range and matrices without a decomposition, told
//! * `sample`: text that a trained model writes; `schedules`: the curve of the learning rate
//! * [`run`]: the loop itself
//!
//! Results depend on the program, its data and the seed, never on time or on the number of threads: a run that is
//! interrupted and resumed ends with the same bits as one that was not.

pub mod batches;
pub mod checkpoint;
pub mod control;
mod evaluate;
pub mod failed;
pub mod folder;
pub mod load;
pub mod metrics;
pub mod nan;
pub mod npy;
pub mod pass;
mod replay;
pub mod run;
mod sample;
pub mod schedules;
pub mod shuffle;
pub mod stage;
mod start;
mod starts;
pub mod state;
mod stopped;
#[cfg(test)]
mod tests;
pub mod watch;

use crate::data::{self, Dataset, Turn, Vocabulary};
use crate::diag::Diagnostic;
use crate::ir::Graph;
use crate::runtime::{Executable, Tensor};
use crate::sema::program::Program;
use metrics::Record;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub use run::train;
pub use start::layout;
pub use stopped::{among_others, is_divergence, is_rate};

/// Makes graphs runnable: the code generator or the interpreter.
pub trait Engine: Sync {
    fn compile(&self, graph: &Graph) -> Result<Box<dyn Executable>, Diagnostic>;
}

/// The rows of a data set.
pub trait Rows: Sync {
    /// Writes a column's value of each of `rows` (of the test part if `test`, else of the training part) into `out`,
    /// whose first axis counts them.
    /// Fails if a file that is read on the way can no longer be read.
    fn gather(&self, test: bool, column: &str, rows: &[u32], out: &mut Tensor) -> Result<(), Diagnostic>;

    /// As `gather` for rows of the training part, in a training batch of an epoch: what is random about a row is drawn.
    fn draw(&self, _turn: Turn, column: &str, rows: &[u32], out: &mut Tensor) -> Result<(), Diagnostic> {
        self.gather(false, column, rows, out)
    }

    /// The next batches take these rows of the training part, in some order.
    fn warm(&self, _rows: &[u32]) -> Result<(), Diagnostic> {
        Ok(())
    }

    /// The order of an epoch is drawn from a buffer of so many rows, not from all of them.
    fn buffer(&self) -> Option<usize> {
        None
    }

    /// Whether a row may differ from epoch to epoch.
    fn varies(&self) -> bool {
        false
    }

    /// The tokens that a column's numbers stand for.
    fn vocabulary(&self, _column: &str) -> Option<Arc<Vocabulary>> {
        None
    }

    /// The names of a column's classes; none where they are numbers.
    fn class_names(&self, _column: &str) -> Vec<String> {
        vec![]
    }
}

impl Rows for Dataset {
    fn gather(&self, test: bool, column: &str, rows: &[u32], out: &mut Tensor) -> Result<(), Diagnostic> {
        let split = if test { data::Split::Test } else { data::Split::Train };
        Dataset::gather(self, split, column_of(self, column), rows, out)
    }

    fn draw(&self, turn: Turn, column: &str, rows: &[u32], out: &mut Tensor) -> Result<(), Diagnostic> {
        Dataset::draw(self, turn, column_of(self, column), rows, out)
    }

    fn warm(&self, rows: &[u32]) -> Result<(), Diagnostic> {
        Dataset::warm(self, rows)
    }

    fn buffer(&self) -> Option<usize> {
        Dataset::buffer(self)
    }

    fn varies(&self) -> bool {
        Dataset::varies(self)
    }

    fn vocabulary(&self, column: &str) -> Option<Arc<Vocabulary>> {
        Dataset::vocabulary(self, column).cloned()
    }

    fn class_names(&self, column: &str) -> Vec<String> {
        Dataset::class_names(self, column).to_vec()
    }
}

fn column_of(data: &Dataset, name: &str) -> usize {
    let index = data.schema().columns.iter().position(|c| c.name == name);
    index.expect("the checker binds columns of the schema only")
}

/// What the command line may change about a run.
#[derive(Clone, Debug, Default)]
pub struct TrainOptions {
    /// With 1, batches are gathered between the steps instead of on a second thread.
    pub threads: usize,
    pub seed: Option<u64>,
    pub steps: Option<usize>,
    pub epochs: Option<usize>,
    /// The run's folder; without one, nothing is written.
    pub out: Option<PathBuf>,
    /// Write a checkpoint (and the step's values) after every so many steps.
    pub save_every: Option<usize>,
    /// Look for NaN in every buffer after every step.
    pub check_nan: bool,
    pub max_time: Option<Duration>,
    /// Continue from the newest checkpoint of `out`.
    pub resume: bool,
    /// Begin with the model in this file.
    pub weights: Option<PathBuf>,
    /// Of a checkpoint of another model, take what fits.
    pub partial: bool,
    /// Set by Ctrl-C: the step under way is finished, and the state saved.
    pub interrupt: Option<Arc<AtomicBool>>,
    /// Relative paths of `init = load(…)` are looked up here, in order.
    pub search: Vec<PathBuf>,
    /// What `config.json` repeats beside the settings: file text and command line values.
    pub config: serde_json::Map<String, serde_json::Value>,
}

/// What a finished run says about itself.
#[derive(Clone, Debug)]
pub struct Summary {
    pub name: String,
    pub seed: u64,
    pub steps: usize,
    pub epochs: usize,
    pub train: Option<Record>,
    pub test: Option<Record>,
    pub out: Option<PathBuf>,
    /// From the call of [`train`] to the end of the first step.
    pub first_step: Duration,
    pub compile: Duration,
    /// In the loop, without compilation; steps made in it (fewer than `steps` after a resume).
    pub training: Duration,
    /// In the loop, before the run was resumed; nothing if it was killed there.
    pub earlier: Duration,
    pub steps_run: usize,
    /// Why the run ended before its last epoch, though nothing went wrong.
    pub stopped: Option<String>,
    /// What the trained model wrote, if it was asked to.
    pub sample: Option<String>,
}

impl Summary {
    pub fn steps_per_second(&self) -> f64 {
        let seconds = self.training.as_secs_f64();
        if seconds > 0.0 { self.steps_run as f64 / seconds } else { 0.0 }
    }
}

/// Why there is no summary.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The program or its data is wrong (exit status 1).
    Wrong(Vec<Diagnostic>),
    /// Training itself failed: diverged, or stopped by the clock (exit status 3).
    Training(Box<Diagnostic>),
}

impl Failure {
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Failure::Wrong(all) => all,
            Failure::Training(one) => std::slice::from_ref(one),
        }
    }

    pub fn exit_status(&self) -> u8 {
        match self {
            Failure::Wrong(_) => 1,
            Failure::Training(_) => 3,
        }
    }
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Failure {
        Failure::Wrong(vec![diagnostic])
    }
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(diagnostics: Vec<Diagnostic>) -> Failure {
        Failure::Wrong(diagnostics)
    }
}

/// What a run is about to do.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub batch: usize,
    pub epochs: usize,
    pub steps_per_epoch: usize,
    /// Steps of the whole run, and those already done by the run that this one resumes.
    pub steps: usize,
    pub done: usize,
    /// The time that those took.
    pub earlier: Duration,
    pub out: Option<PathBuf>,
    /// What the user should know about the start: damaged checkpoints, tensors that were not loaded.
    pub remarks: Vec<String>,
}

/// Listens to a run: progress bars, logs. Has no influence on it.
pub trait Sink {
    fn start(&mut self, _program: &Program, _plan: &Plan) {}
    /// `step` steps are done.
    fn progress(&mut self, _step: usize, _epoch: usize, _loss: f64) {}
    fn epoch(&mut self, _plan: &Plan, _train: &Record, _test: Option<&Record>, _took: Duration) {}
    fn finish(&mut self, _summary: &Summary) {}
}

/// Listens to nothing.
pub struct Silent;

impl Sink for Silent {}
