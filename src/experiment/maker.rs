//! A program and its data for given hyper-parameters.

use crate::data::spec::{Call, Pipeline, Value};
use crate::data::{self, Dataset, Shelf};
use crate::diag::Diagnostic;
use crate::ir::DType;
use crate::sema::program::Program;
use crate::sema::record::Shared;
use crate::sema::{self, BuildOptions, Modules};
use crate::source::SourceMap;
use crate::syntax::ast::{Expr, Train};
use std::sync::Arc;

/// A training run, ready to go.
pub struct Job {
    /// In a comparison: `optimizer = Adam()`.
    pub label: String,
    /// In a comparison over seeds: this run's.
    pub seed: Option<u64>,
    /// In a cross-validation: the part that is the test part, and how many there are.
    pub fold: Option<Fold>,
    pub program: Program,
    pub dataset: Arc<Dataset>,
}

/// Part `index` of `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    pub index: usize,
    pub of: usize,
}

impl Fold {
    /// The data with this part for testing. The step takes the place of the data's own `split`, so that what comes behind
    /// it (`standardize`) sees the training rows of the fold only.
    pub fn of(self, pipeline: &Pipeline) -> Pipeline {
        let mut pipeline = pipeline.clone();
        let arg = |name: &str, value: usize| data::spec::Arg {
            name: Some(name.into()),
            value: Value::Int(value as i64),
            span: pipeline.span,
            named_at: None,
        };
        let args = vec![arg("index", self.index), arg("of", self.of)];
        let fold = Call { name: "fold".into(), args, span: pipeline.span };
        match pipeline.steps.iter().position(|s| s.name == "split") {
            Some(at) => pipeline.steps[at] = Call { span: pipeline.steps[at].span, ..fold },
            None => pipeline.steps.insert(0, fold),
        }
        pipeline
    }
}

/// Makes the programs of one training. May be shared by threads; data is read once.
pub struct Maker {
    modules: Arc<Modules>,
    sources: Arc<SourceMap>,
    train: Train,
    float: DType,
    shelf: Arc<Shelf>,
    /// `--set`: below what an experiment chooses.
    sets: Vec<(String, Expr)>,
}

impl Maker {
    pub fn new(
        modules: &Arc<Modules>,
        sources: &Arc<SourceMap>,
        train: &Train,
        float: DType,
        shelf: &Arc<Shelf>,
        sets: Vec<(String, Expr)>,
    ) -> Maker {
        let (modules, sources, train) = (modules.clone(), sources.clone(), train.clone());
        Maker { modules, sources, train, float, shelf: shelf.clone(), sets }
    }

    pub fn name(&self) -> &str {
        &self.train.name.name
    }

    /// The program with these hyper-parameters, and where its data comes from.
    pub fn program(
        &self,
        overrides: &[(String, Expr)],
        fold: Option<Fold>,
    ) -> Result<(Program, Pipeline), Vec<Diagnostic>> {
        self.recorded(overrides, fold, None)
    }

    /// The same, noting the types of expressions on the way (for an editor).
    pub fn recorded(
        &self,
        overrides: &[(String, Expr)],
        fold: Option<Fold>,
        record: Option<Shared>,
    ) -> Result<(Program, Pipeline), Vec<Diagnostic>> {
        let folded = |pipeline: &Pipeline| fold.map_or_else(|| pipeline.clone(), |fold| fold.of(pipeline));
        let schema = |pipeline: &Pipeline| self.shelf.schema(&folded(pipeline));
        let overrides = self.sets.iter().chain(overrides).cloned().collect();
        let options = BuildOptions { float: self.float, schema: &schema, overrides };
        let (program, pipeline) = sema::program_recorded(&self.modules, &self.sources, &self.train, &options, record)?;
        Ok((program, folded(&pipeline)))
    }

    /// The data of a program.
    pub fn data(&self, pipeline: &Pipeline) -> Result<Arc<Dataset>, Vec<Diagnostic>> {
        self.shelf.open(pipeline)
    }
}
