//! When a training stops early, and what it remembers for that.

use super::metrics::Record;
use crate::sema::program::Control;
use serde::{Deserialize, Serialize};

/// How the objective went so far. Part of every checkpoint, so that a resumed run stops where the whole one does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tracker {
    /// Bits of the best value: JSON has no infinities, and resuming is exact.
    best: Option<u64>,
    /// The step after which it was measured.
    pub best_step: usize,
    pub best_epoch: usize,
    /// Evaluations since the best value.
    pub waited: usize,
    /// Evaluations since the best value or the last plateau.
    since_plateau: usize,
    /// How often the objective stood still.
    pub plateaus: usize,
}

impl Tracker {
    pub fn best(&self) -> Option<f64> {
        self.best.map(f64::from_bits)
    }

    /// Takes in the objective's value after an evaluation; true if it is the best so far.
    pub fn judge(&mut self, control: &Control, value: f64, step: usize, epoch: usize) -> bool {
        let better = match self.best() {
            _ if value.is_nan() => false,
            None => true,
            Some(best) if control.objective.maximize => value > best + control.min_delta,
            Some(best) => value < best - control.min_delta,
        };
        if better {
            let plateaus = self.plateaus;
            let best = Some(value.to_bits());
            *self = Tracker { best, best_step: step, best_epoch: epoch, waited: 0, since_plateau: 0, plateaus };
        } else {
            self.waited += 1;
            self.since_plateau += 1;
            if self.since_plateau >= control.plateau {
                self.plateaus += 1;
                self.since_plateau = 0;
            }
        }
        better
    }

    /// Whether the patience is at its end.
    pub fn is_over(&self, control: &Control) -> bool {
        control.patience.is_some_and(|patience| self.waited >= patience)
    }
}

/// The objective's value in the records of an epoch.
pub fn objective(control: &Control, train: &Record, test: Option<&Record>) -> Option<f64> {
    let record = if control.objective.test { test? } else { train };
    record.get(&control.objective.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sema::program::Objective;

    #[test]
    fn patience_counts_from_the_best_value() {
        let control = Control { patience: Some(3), min_delta: 0.1, plateau: 2, ..Control::default() };
        let mut tracker = Tracker::default();
        let values = [1.0, 0.95, 0.5, 0.45, f64::NAN, 0.41];
        let better: Vec<bool> = values.iter().enumerate().map(|(i, v)| tracker.judge(&control, *v, i, i)).collect();
        assert_eq!(better, [true, false, true, false, false, false]);
        assert_eq!((tracker.best(), tracker.best_step, tracker.plateaus), (Some(0.5), 2, 1));
        assert!(tracker.is_over(&control));
        let text = serde_json::to_string(&tracker).expect("plain data");
        assert_eq!(serde_json::from_str::<Tracker>(&text).expect("the same"), tracker);
    }

    #[test]
    fn an_objective_may_be_to_grow() {
        let objective = Objective { maximize: true, ..Objective::default() };
        let control = Control { objective, patience: Some(1), ..Control::default() };
        let mut tracker = Tracker::default();
        assert!(tracker.judge(&control, 0.5, 1, 1) && tracker.judge(&control, 0.6, 2, 2));
        assert!(!tracker.judge(&control, 0.6, 3, 3) && tracker.is_over(&control));
    }
}
