//! L. N. Smith, "Cyclical Learning Rates for Training Neural Networks" (2017): the learning-rate range test.
//!
//! One short run in which the rate grows by the same factor in every step. Where the loss falls fastest is a good rate;
//! soon behind its minimum training diverges.

use crate::diag::error;
use crate::ir::InputKind;
use crate::sema::program::Program;
use crate::train::batches::Gatherer;
use crate::train::checkpoint::{self, Want};
use crate::train::metrics::Curve;
use crate::train::schedules::Schedules;
use crate::train::stage::{Stage, column_types};
use crate::train::state::State;
use crate::train::{Engine, Failure, Rows, TrainOptions, failed, is_rate, layout, load};
use std::sync::atomic::Ordering;

/// Of the loss that is smoothed, the part that stays from step to step.
const SMOOTHING: f64 = 0.9;
/// Training has diverged when the loss is so many times the best one.
const DIVERGED: f64 = 4.0;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub low: f64,
    pub high: f64,
    pub steps: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub rate: f64,
    pub loss: f64,
    /// Mean of the losses so far, new ones weighing more.
    pub smooth: f64,
}

/// What the curve says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Advice {
    /// Where the loss falls fastest with the logarithm of the rate.
    pub steepest: f64,
    /// Where it is smallest: too large to train with.
    pub lowest: f64,
}

/// Trains while the rates grow. Rates of several rules keep their ratios; the range is that of the first. Of the options,
/// those about the start hold: seed, weights and where files are looked for; Ctrl-C ends the test, and what it has counts.
pub fn run(
    program: &Program,
    engine: &dyn Engine,
    data: &dyn Rows,
    options: &TrainOptions,
    range: Range,
) -> Result<(String, Vec<Point>), Failure> {
    let seed = options.seed.unwrap_or(program.settings.seed);
    let rates: Vec<_> = program.hypers.iter().filter(|h| is_rate(&h.name)).collect();
    let Some(first) = rates.iter().find(|h| h.value > 0.0) else {
        let what = error("E0308", "there is no learning rate to vary");
        return Err(what
            .help("a rate is a hyper-parameter `lr` of the optimizer that is a number: `(lr = 1e-3)`")
            .into());
    };
    let rows = program.schema.train_rows;
    let layout = layout(program, data, seed)?;
    let batch = layout.batch;
    let mut state = State::init(program, engine, seed)?;
    load::apply(program, &options.search, &mut state)?;
    if let Some(path) = &options.weights {
        checkpoint::restore(path, program, state.buffers_mut(), Want::Model, options.partial)?;
    }
    let graph = program.graphs.step(batch)?;
    let schedules = Schedules::new(program, &state)?;
    let columns = column_types(program, &graph, batch)?;
    let mut stage = Stage::new(program, &graph, engine, &state, &columns, batch)?;
    let mut gatherer = Gatherer::new(data, layout, columns, 1, 0);
    let (mut block, mut next) = (None, 0);
    let mut points: Vec<Point> = vec![];
    let (mut mean, mut weight, mut best) = (0.0, 0.0, f64::INFINITY);
    for step in 1..=range.steps {
        // A smaller last batch is left out: its loss is of other noise.
        loop {
            let whole = block.as_ref().is_some_and(|b: &crate::train::batches::Block| next < b.filled);
            if !whole {
                (block, next) = (Some(gatherer.next(block.take())?), 0);
            }
            let block = block.as_mut().expect("filled above");
            next += 1;
            if block.rows == batch.min(rows) {
                std::mem::swap(&mut stage.batch, &mut block.batches[next - 1]);
                break;
            }
        }
        let way = (step - 1) as f64 / (range.steps - 1).max(1) as f64;
        let rate = range.low * (range.high / range.low).powf(way);
        state.step = step;
        state.set_clocks(step);
        let scheduled = schedules.as_ref().map_or(vec![], |s| s.now(&mut state));
        for hyper in &rates {
            if let Some(slot) = state.slot(&InputKind::Hyper, &hyper.name) {
                let set = &mut state.slots[slot].f64s_mut()[0];
                *set = hyper.value * (rate / first.value) / share(&scheduled, &hyper.name, *set);
            }
        }
        stage.run(&mut state);
        if let Some(failed) = stage.failed() {
            match failed::failure(&failed, failed::explain(engine, &failed, None, &format!(" in step {step}"))) {
                // A rate that is too large may leave a matrix without a decomposition: that is an end like others.
                Failure::Training(_) if points.len() > 1 => break,
                failure => return Err(failure),
            }
        }
        let loss = stage.value(0);
        mean = SMOOTHING * mean + (1.0 - SMOOTHING) * loss;
        weight = SMOOTHING * weight + (1.0 - SMOOTHING);
        let smooth = mean / weight;
        points.push(Point { rate, loss, smooth });
        best = best.min(smooth);
        let interrupted = options.interrupt.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed));
        if interrupted
            || !smooth.is_finite()
            || smooth > DIVERGED * best.max(f64::MIN_POSITIVE) && step > range.steps / 10
        {
            break;
        }
    }
    Ok((first.name.clone(), points))
}

/// How much of a rate its schedule leaves in this step, so that what is tried is the rate itself and not its part: in a
/// warm-up, say. 1 without a schedule, and where that leaves nothing.
fn share(scheduled: &[Curve], name: &str, value: f64) -> f64 {
    let own =
        scheduled.iter().find(|(path, _)| name.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('.')));
    let share = own.and_then(|(_, points)| points.last()).map_or(1.0, |(_, now)| now / value);
    if share.is_finite() && share > 0.0 { share } else { 1.0 }
}

/// Reads the curve; `None` if the loss never falls.
pub fn advice(points: &[Point]) -> Option<Advice> {
    let finite: Vec<&Point> = points.iter().filter(|p| p.smooth.is_finite()).collect();
    let lowest = (0..finite.len()).min_by(|a, b| finite[*a].smooth.total_cmp(&finite[*b].smooth))?;
    // Slopes over a few points: the first means are noise.
    const REACH: usize = 3;
    let slope = |k: usize| {
        let (a, b) = (finite[k - REACH], finite[k + REACH]);
        (b.smooth - a.smooth) / (b.rate.ln() - a.rate.ln())
    };
    let last = finite.len().saturating_sub(REACH + 1).min(lowest);
    let steepest = (2 * REACH..=last).min_by(|a, b| slope(*a).total_cmp(&slope(*b)))?;
    (slope(steepest) < 0.0).then(|| Advice { steepest: finite[steepest].rate, lowest: finite[lowest].rate })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steepest_descent_is_before_the_minimum() {
        let point = |k: usize| {
            let rate = 10f64.powf(k as f64 / 10.0 - 6.0);
            let x = rate.log10();
            // Falls around 10^-3, is least near 10^-2, and rises.
            let smooth = 1.0 - 1.0 / (1.0 + (-4.0 * (x + 3.0)).exp()) + (x + 1.0).max(0.0).powi(2);
            Point { rate, loss: smooth, smooth }
        };
        let found = advice(&(0..70).map(point).collect::<Vec<_>>()).expect("advice");
        assert!((found.steepest.log10() + 3.0).abs() < 0.15, "{found:?}");
        assert!(found.lowest > 0.01 && found.lowest < 0.2, "{found:?}");
        assert_eq!(advice(&[]), None);
        let rising = |k: usize| Point { rate: 1e-3 * (k + 1) as f64, loss: k as f64, smooth: k as f64 };
        assert_eq!(advice(&(0..40).map(rising).collect::<Vec<_>>()), None);
    }
}
