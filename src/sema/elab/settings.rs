//! The settings of a train item (`batch = 32`), and its objective (`minimizing test.loss`).

use super::{Elab, R};
use crate::data::spec::Schema;
use crate::diag::{Diagnostic, error};
use crate::sema::program::{Control, Objective, Report, Settings};
use crate::sema::value::{Axes, Value};
use crate::syntax::ast::{Expr, ExprKind, Train};

/// The objective is a value that the training reports.
pub fn known_objective(objective: &Objective, reports: &[Report], train: &Train) -> Result<(), Diagnostic> {
    let names = || reports.iter().filter(|r| !(objective.test && r.train_only)).map(|r| r.name.as_str());
    match &train.objective {
        Some((_, expr)) if !names().any(|n| n == objective.name) => {
            let what = error("E0307", format!("the training reports no '{}'", objective.name));
            let listed = names().collect::<Vec<_>>().join(", ");
            let what = what.at(expr.span, "not reported").note(format!("reported values: {listed}"));
            let ExprKind::Field(_, name) = &expr.kind else { return Err(what) };
            Err(what.help("add it to `report`").did_you_mean(name.span, &name.name, names()))
        }
        _ => Ok(()),
    }
}

/// `test.loss` or `train.accuracy`: whether it is of the test part, and the name.
pub fn objective_name(expr: &Expr) -> Result<(bool, &str), Diagnostic> {
    if let ExprKind::Field(base, name) = &expr.kind
        && let ExprKind::Name(split) = &base.kind
        && let "test" | "train" = split.as_str()
    {
        return Ok((split == "test", &name.name));
    }
    Err(error("E0307", "an objective names a part of the data and a reported value")
        .at(expr.span, "here")
        .help("for example `minimizing test.loss`, or `maximizing test.accuracy`"))
}

impl Elab<'_> {
    /// By default the loss: of the test rows, if there are some.
    fn judged_by(&mut self, train: &Train, schema: &Schema) -> R<Objective> {
        let Some((maximize, expr)) = &train.objective else {
            return Ok(Objective { test: schema.test_rows > 0, ..Objective::default() });
        };
        let (test, name) = objective_name(expr).map_err(|d| self.fail(d))?;
        if test && schema.test_rows == 0 {
            let d =
                error("E0307", "the data has no test part").at(expr.span, "judged by it").at(train.data.span, "here");
            return Err(self.fail(d.help("add a step such as `split(test = 0.2)`, or use `train.…`")));
        }
        Ok(Objective { maximize: *maximize, test, name: name.to_string() })
    }

    pub fn settings(&mut self, train: &Train, schema: &Schema) -> R<Settings> {
        const KNOWN: &[&str] = &[
            "batch",
            "epochs",
            "steps",
            "seed",
            "shuffle",
            "patience",
            "min_delta",
            "restore_best",
            "plateau",
            "keep_best",
            "keep_last",
        ];
        let control = Control { objective: self.judged_by(train, schema)?, ..Control::default() };
        let mut s = Settings { batch: Some(32), epochs: 1, steps: None, seed: 0, shuffle: true, control };
        let mut epochs_given = false;
        for (name, expr) in &train.settings {
            let value = self.expr(expr)?;
            let full = matches!((&value, name.name.as_str()), (Value::Axes(_), "batch"));
            match (name.name.as_str(), value) {
                ("batch", Value::Axes(Axes::All)) if full => s.batch = None,
                ("batch", Value::Int(n)) if n > 0 => {
                    if n as usize > schema.train_rows {
                        return Err(self.fail(
                            error("E0303", format!("a batch of {n} is larger than the data"))
                                .at(expr.span, format!("{n} rows"))
                                .at(train.data.span, format!("{} training rows", schema.train_rows))
                                .help("`batch = all` takes every row in each step")
                                .edit(expr.span, "all"),
                        ));
                    }
                    s.batch = Some(n as usize);
                }
                ("epochs", Value::Int(n)) if n >= 0 => (s.epochs, epochs_given) = (n as usize, true),
                ("steps", Value::Int(n)) if n >= 0 => s.steps = Some(n as usize),
                ("seed", Value::Int(n)) if n >= 0 => s.seed = n as u64,
                ("shuffle", Value::Bool(b)) => s.shuffle = b,
                ("patience", Value::Int(n)) if n > 0 => s.control.patience = Some(n as usize),
                ("plateau", Value::Int(n)) if n > 0 => s.control.plateau = n as usize,
                ("keep_last", Value::Int(n)) if n > 0 => s.control.keep_last = Some(n as usize),
                ("keep_best", Value::Bool(b)) => s.control.keep_best = b,
                ("restore_best", Value::Bool(b)) => s.control.restore_best = b,
                ("min_delta", Value::Int(n)) if n >= 0 => s.control.min_delta = n as f64,
                ("min_delta", Value::Float(d)) if d >= 0.0 && d.is_finite() => s.control.min_delta = d,
                (known, other) if KNOWN.contains(&known) => {
                    let wanted = match known {
                        "shuffle" | "keep_best" | "restore_best" => "true or false",
                        "patience" | "plateau" | "keep_last" => "a positive integer",
                        "min_delta" => "a number that is not negative",
                        "batch" => "a positive integer or 'all'",
                        _ => "an integer that is not negative",
                    };
                    let found = self.type_text(&other);
                    let d = error("E0204", format!("'{known}' takes {wanted}, not {found}")).at(expr.span, "here");
                    return Err(self.fail(match &other {
                        Value::Str(text) if text.parse::<u64>().is_ok() => {
                            d.help("a number stands without quotes").edit(expr.span, text.as_ref())
                        }
                        Value::Float(_) if known == "epochs" => d.help("`steps = …` stops within a pass"),
                        _ => d,
                    }));
                }
                (unknown, _) => {
                    let d = error("E0304", format!("unknown setting '{unknown}'"))
                        .at(name.span, "not a setting of a train item")
                        .did_you_mean(name.span, unknown, KNOWN.iter().copied())
                        .note(format!("settings: {}", KNOWN.join(", ")));
                    return Err(self.fail(d));
                }
            }
        }
        if let Some(steps) = s.steps
            && !epochs_given
        {
            let per_epoch = schema.train_rows.div_ceil(s.batch.unwrap_or(schema.train_rows).max(1)).max(1);
            s.epochs = steps.div_ceil(per_epoch);
        }
        Ok(s)
    }
}
