//! What a file asks for: one training, a comparison, or a sweep.

use super::maker::Fold;
use super::search::Strategy;
use super::space::Dimension;
use crate::diag::{Diagnostic, error, suggest};
use crate::sema::{Modules, objective_name};
use crate::source::{SourceMap, Span};
use crate::syntax;
use crate::syntax::ast::{self, Expr, ExprKind, Train};

/// The item to run, and what it is run with.
pub struct Runs {
    pub train: Train,
    pub kind: Kind,
}

pub enum Kind {
    Train,
    Compare { variants: Vec<Variant>, seeds: u64, folds: Option<usize> },
    Sweep(Plan),
}

/// One column of a comparison.
#[derive(Clone, Default)]
pub struct Variant {
    pub label: String,
    pub overrides: Vec<(String, Expr)>,
}

/// What a `sweep` item says.
pub struct Plan {
    pub space: Vec<Dimension>,
    pub strategy: Strategy,
    /// Of the trials at each stage, one in so many goes on.
    pub halving: Option<usize>,
    pub seed: u64,
    /// (maximize, of the test part, name); without one, the training's own.
    pub objective: Option<(bool, bool, String, Span)>,
}

type Found<T> = Result<T, Vec<Diagnostic>>;

impl Runs {
    /// The named item, or what the file is about: its first comparison or sweep, else its first training.
    pub fn choose(modules: &Modules, sources: &SourceMap, name: Option<&str>) -> Found<Runs> {
        if name.is_none()
            && let Some(item) = experiments(modules).next()
        {
            return Runs::of_experiment(modules, sources, item);
        }
        match name.or_else(|| modules.trains().next().map(|t| t.name.name.as_str())) {
            Some(name) => Runs::of_train(modules, name),
            None => Err(vec![
                error("E0301", "the file has no `train` item: there is nothing to run")
                    .help("`optc eval FILE EXPR` computes with its definitions"),
            ]),
        }
    }

    pub fn of_train(modules: &Modules, name: &str) -> Found<Runs> {
        match modules.trains().find(|t| t.name.name == name) {
            Some(train) => Ok(Runs { train: train.clone(), kind: Kind::Train }),
            None => {
                let near = suggest(name, modules.trains().map(|t| t.name.name.as_str()));
                Err(vec![error("E0201", format!("there is no training '{name}'")).maybe_help(near)])
            }
        }
    }

    pub fn of_experiment(modules: &Modules, sources: &SourceMap, item: Item<'_>) -> Found<Runs> {
        let experiment = item.experiment;
        let train = modules.trains().find(|t| t.name.name == experiment.train.name).ok_or_else(|| {
            let (name, at) = (&experiment.train.name, experiment.train.span);
            let what = error("E0201", format!("there is no training '{name}'")).at(at, "not defined in this file");
            vec![what.did_you_mean(at, name, modules.trains().map(|t| t.name.name.as_str()))]
        })?;
        let kind = if item.is_sweep { Kind::Sweep(plan(experiment, sources)?) } else { compare(experiment)? };
        Ok(Runs { train: train.clone(), kind })
    }
}

/// A `compare` or `sweep` of the file.
#[derive(Clone, Copy)]
pub struct Item<'a> {
    pub experiment: &'a ast::Experiment,
    pub is_sweep: bool,
}

/// In the order of the file.
pub fn experiments(modules: &Modules) -> impl Iterator<Item = Item<'_>> {
    modules.experiments().map(|(experiment, is_sweep)| Item { experiment, is_sweep })
}

/// All combinations of the axes' values, the first axis slowest.
fn compare(compare: &ast::Experiment) -> Found<Kind> {
    if let Some(misplaced) = compare.strategy.as_ref().or(compare.objective.as_ref().map(|(_, e)| e)) {
        let what = error("E0308", "a comparison tries every value of its lists");
        return Err(vec![what.at(misplaced.span, "belongs to a sweep").help("write `sweep` instead of `compare`")]);
    }
    let mut variants = vec![Variant::default()];
    for (name, axis) in &compare.axes {
        let ExprKind::List(values) = &axis.kind else {
            let what = error("E0304", format!("the values of '{}' are not a list", name.name));
            return Err(vec![what.at(axis.span, "expected a list such as `[SGD(0.01), Adam()]`")]);
        };
        let extend = |variant: &Variant, value: &Expr| {
            let text = format!("{} = {}", name.name, syntax::print::expr(value));
            let label = if variant.label.is_empty() { text } else { format!("{}, {text}", variant.label) };
            let mut overrides = variant.overrides.clone();
            overrides.push((name.name.clone(), value.clone()));
            Variant { label, overrides }
        };
        variants = variants.iter().flat_map(|v| values.iter().map(move |value| extend(v, value))).collect();
    }
    let (mut seeds, mut folds) = (1, None);
    for (name, value) in &compare.settings {
        match (name.name.as_str(), &value.kind) {
            ("seeds", ExprKind::Int(count)) if (1..=1000).contains(count) => seeds = *count as u64,
            ("folds", ExprKind::Int(count)) if (2..=1000).contains(count) => folds = Some(*count as usize),
            (setting @ ("seeds" | "folds"), _) => {
                let least = if setting == "seeds" { 1 } else { 2 };
                let what = error("E0304", format!("`{setting}` is not a count"));
                return Err(vec![what.at(value.span, format!("expected {least} to 1000"))]);
            }
            (other, _) => {
                let what = error("E0304", format!("a comparison has no setting '{other}'"));
                return Err(vec![what.at(name.span, "unknown").note("its settings are `seeds` and `folds`")]);
            }
        }
    }
    Ok(Kind::Compare { variants, seeds, folds })
}

/// The folds of a comparison; one run on the data as it is without them.
pub fn folds(count: Option<usize>) -> Vec<Option<Fold>> {
    count.map_or(vec![None], |of| (0..of).map(|index| Some(Fold { index, of })).collect())
}

fn plan(sweep: &ast::Experiment, sources: &SourceMap) -> Found<Plan> {
    let space: Result<Vec<_>, _> = sweep.axes.iter().map(|(name, e)| Dimension::parse(name, e, sources)).collect();
    let space = space.map_err(|d| vec![d])?;
    if space.is_empty() {
        return Err(vec![error("E0308", "a sweep needs values to search").at(sweep.train.span, "over nothing")]);
    }
    if let Some((name, _)) = sweep.settings.first() {
        let what = error("E0304", format!("a sweep has no setting '{}'", name.name));
        return Err(vec![what.at(name.span, "unknown").help("`by random(trials = 20, seed = 1)` holds its settings")]);
    }
    let wrong = |e: &Expr, text: &str| {
        let ways =
            "`grid(points = 5)`, `random(trials = 20)` or `bayesian(trials = 20)`, each with `seed` and `halving`";
        Err(vec![error("E0308", "this is no way to search").at(e.span, text).help(ways)])
    };
    let Some(strategy) = &sweep.strategy else {
        return wrong(&Expr { span: sweep.train.span, kind: ExprKind::Bool(true) }, "says not how: add `by …`");
    };
    let ExprKind::Call(callee, args) = &strategy.kind else { return wrong(strategy, "expected a call") };
    let ExprKind::Name(way) = &callee.kind else { return wrong(callee, "expected a name") };
    let (mut trials, mut points, mut seed, mut halving) = (None, 5, 0, None);
    for arg in args {
        let name = arg.name.as_ref().map_or(if way == "grid" { "points" } else { "trials" }, |n| n.name.as_str());
        match (name, &arg.value.kind) {
            ("trials", ExprKind::Int(n)) if (1..=100_000).contains(n) && way != "grid" => trials = Some(*n as usize),
            ("points", ExprKind::Int(n)) if (1..=1000).contains(n) && way == "grid" => points = *n as usize,
            ("seed", ExprKind::Int(n)) if *n >= 0 => seed = *n as u64,
            ("halving", ExprKind::Int(n)) if (2..=100).contains(n) => halving = Some(*n as usize),
            _ => return wrong(&arg.value, &format!("'{way}' does not take this as '{name}'")),
        }
    }
    let strategy = match (way.as_str(), trials) {
        ("grid", _) => Strategy::Grid { points },
        ("random", Some(trials)) => Strategy::Random { trials },
        ("bayesian", Some(trials)) => Strategy::Bayesian { trials },
        ("random" | "bayesian", None) => return wrong(strategy, "says not how many trials"),
        _ => return wrong(callee, "unknown"),
    };
    if strategy.trials(&space) > 100_000 {
        return wrong(callee, "this makes more than 100000 trials");
    }
    let objective = match &sweep.objective {
        Some((maximize, expr)) => {
            let (test, name) = objective_name(expr).map_err(|d| vec![d])?;
            Some((*maximize, test, name.to_string(), expr.span))
        }
        None => None,
    };
    Ok(Plan { space, strategy, halving, seed, objective })
}
