//! A train item made concrete: what the training loop needs, with nothing left to look up in the syntax tree.

use crate::data::spec::Schema;
use crate::diag::Diagnostic;
use crate::ir::{Graph, Type};
use crate::source::Span;

/// `batch = 128; epochs = 10; …` with defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Rows in a training batch; `None`: all rows (full batch).
    pub batch: Option<usize>,
    pub epochs: usize,
    /// Stop after this many steps, if that comes before the epochs.
    pub steps: Option<usize>,
    pub seed: u64,
    /// Draw a new order of the training rows each epoch.
    pub shuffle: bool,
    pub control: Control,
}

/// What a training is judged by: `minimizing test.loss`, `maximizing test.accuracy`.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    pub maximize: bool,
    /// Of the test part, or of the training rows.
    pub test: bool,
    /// `loss`, or a reported value.
    pub name: String,
}

impl Default for Objective {
    fn default() -> Objective {
        Objective { maximize: false, test: false, name: "loss".into() }
    }
}

impl std::fmt::Display for Objective {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", if self.test { "test" } else { "train" }, self.name)
    }
}

/// When a training stops before its last epoch, and which states it keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    pub objective: Objective,
    /// Stop after so many evaluations in a row without a better value of the objective.
    pub patience: Option<usize>,
    /// How much better a value must be to count.
    pub min_delta: f64,
    /// An early stop ends with the best state, not with the last one.
    pub restore_best: bool,
    /// Evaluations without a better value until `plateaus` grows by one.
    pub plateau: usize,
    /// Write the best state to a file of its own.
    pub keep_best: bool,
    /// How many of the checkpoints of `--save-every` stay; `None`: all.
    pub keep_last: Option<usize>,
}

impl Default for Control {
    fn default() -> Control {
        let objective = Objective::default();
        Control {
            objective,
            patience: None,
            min_delta: 0.0,
            restore_best: true,
            plateau: 10,
            keep_best: false,
            keep_last: None,
        }
    }
}

/// The run-time scalar that counts how often the objective stood still: an input of kind `Hyper`.
pub const PLATEAUS: &str = "plateaus";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Trained.
    Param,
    /// A parameter that no `minimize` trains.
    Frozen,
    /// Carried by the model (running statistics).
    ModelState,
    /// Carried by an optimizer (moments).
    OptimizerState,
    /// Carried by a metric: set back to its start before each epoch and each evaluation.
    MetricState,
}

/// One buffer: the value of all graph inputs of this name, in every graph of the program.
#[derive(Clone, Debug, PartialEq)]
pub struct BufferInfo {
    /// Equals the graph inputs' name.
    pub name: String,
    pub ty: Type,
    pub role: Role,
    /// The tensors that lie in it, by their stable paths (`net.fc.w`, `adam.m/net.fc.w`).
    pub views: Vec<View>,
}

/// A tensor inside a buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    pub path: String,
    /// In elements.
    pub offset: usize,
    pub shape: Vec<usize>,
    pub span: Span,
}

/// A run-time scalar: input of kind `Hyper`, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Hyper {
    pub name: String,
    pub value: f64,
}

/// A value reported by each step and evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The output's name: `loss`, `accuracy`, `observe.lr`.
    pub name: String,
    /// The metric carries state: its last value stands for the epoch. Otherwise values are averaged, weighted by rows.
    pub carried: bool,
    /// Only from training steps (`observe`).
    pub train_only: bool,
}

/// `init = load("weights.npz", "w")`: fills a view from a file after initialisation.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    pub path: String,
    pub file: String,
    pub key: Option<String>,
    pub span: Span,
}

/// A layer in the model's table.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerRow {
    pub path: String,
    pub layer: String,
    pub output: String,
    pub params: usize,
}

/// `sample(text, prompt = "…")`: text that the trained model goes on writing.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The column of tokens that the model reads, and the number of them in a row.
    pub column: String,
    pub context: usize,
    pub prompt: String,
    /// Tokens to draw.
    pub length: usize,
    /// Scores are divided by it; 0 takes the most likely token.
    pub temperature: f64,
    /// Only the most likely tokens are drawn from.
    pub top_k: Option<usize>,
    /// Of the prompt, or of the whole statement.
    pub span: Span,
}

/// Makes the graphs of a program for a batch size; a partial last batch is a second compilation of the same step.
pub trait GraphSource: Send + Sync {
    /// One training step: inputs Batch, Param, State, Hyper, Step, Random; outputs `loss` (Value), reports, updates.
    fn step(&self, rows: usize) -> Result<Graph, Vec<Diagnostic>>;
    /// Loss and reports without training (`training` is false): no parameter updates, but metric states carry.
    fn eval(&self, rows: usize) -> Result<Graph, Vec<Diagnostic>>;
    /// What the losses and metrics compare, without training: the outputs `prediction` and `target`, if there is such a pair.
    fn predictions(&self, _rows: usize) -> Result<Option<Graph>, Vec<Diagnostic>> {
        Ok(None)
    }
    /// What is reported of all `rows` rows of a pass together, if something is: inputs Arg (the gathered rows), Hyper.
    fn pass(&self, _rows: usize) -> Result<Option<Graph>, Vec<Diagnostic>> {
        Ok(None)
    }
    /// The scores of a [`Sample`]: input `column` of one row, output [1, context, tokens]. `None` without one.
    fn sample(&self) -> Result<Option<Graph>, Vec<Diagnostic>> {
        Ok(None)
    }
    /// The parameters that evaluation uses, if they are not those that are trained (`eval theta = …`): inputs Param,
    /// State, Hyper, Step; an output for each such parameter, by its path.
    fn weights(&self) -> Result<Option<Graph>, Vec<Diagnostic>> {
        Ok(None)
    }
}

/// Everything a run needs.
pub struct Program {
    pub name: String,
    pub settings: Settings,
    pub schema: Schema,
    /// Columns that the step binds, in its order; a subset of the schema's.
    pub columns: Vec<String>,
    pub buffers: Vec<BufferInfo>,
    pub hypers: Vec<Hyper>,
    /// Hyper-parameters that change with the step: an output for each by its name (`adamw.lr`); inputs Step, Hyper.
    pub schedules: Option<Graph>,
    pub reports: Vec<Report>,
    pub loads: Vec<Load>,
    pub layers: Vec<LayerRow>,
    pub sample: Option<Sample>,
    /// Inputs: Random (and Hyper). One `Value` output for each buffer, by its name: the starting values.
    pub init: Graph,
    pub graphs: Box<dyn GraphSource>,
    /// What is allowed, but hardly wanted.
    pub warnings: Vec<Diagnostic>,
}
