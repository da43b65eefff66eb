//! Which hyper-parameter mattered: the share of the variance of the trials' ranks that one explains by itself.
//!
//! It is the correlation ratio η² (K. Pearson, 1905) of the ranks of the objective over the choices, or over up to four
//! equally filled ranges of a number: the main effects of a functional analysis of variance (F. Hutter et al., "An
//! Efficient Approach for Assessing Hyperparameter Importance", 2014), from the trials themselves instead of a model of
//! them. Ranks keep one diverged trial from deciding everything. Chance alone gives (k - 1)/(n - 1) for k groups of n
//! trials: that is taken off (T. L. Kelley, 1935).

use super::space::{Dimension, Kind};
use super::stats::ranks;

const RANGES: usize = 4;

/// A share for each dimension, from 0 to 1. `values` are the objectives, smaller better; trials without one are left out.
pub fn importance(space: &[Dimension], trials: &[(Vec<f64>, f64)]) -> Vec<f64> {
    let values: Vec<f64> = ranks(&trials.iter().map(|(_, v)| *v).collect::<Vec<_>>());
    let share = |(d, dimension): (usize, &Dimension)| {
        let places: Vec<f64> = trials.iter().map(|(p, _)| p[d]).collect();
        explained(&groups(dimension, &places), &values)
    };
    space.iter().enumerate().map(share).collect()
}

/// The number of the group of each trial.
fn groups(dimension: &Dimension, places: &[f64]) -> Vec<usize> {
    match &dimension.kind {
        Kind::Choice(items) => {
            places.iter().map(|p| ((p * items.len() as f64) as usize).min(items.len() - 1)).collect()
        }
        _ => {
            let ranges = RANGES.min(places.len() / 3).max(1);
            let n = places.len() as f64;
            ranks(places).into_iter().map(|r| (((r - 0.5) / n * ranges as f64) as usize).min(ranges - 1)).collect()
        }
    }
}

fn explained(groups: &[usize], values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let total: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    let mut sums = std::collections::BTreeMap::<usize, (f64, f64)>::new();
    for (group, value) in groups.iter().zip(values) {
        let entry = sums.entry(*group).or_default();
        *entry = (entry.0 + value, entry.1 + 1.0);
    }
    let k = sums.len() as f64;
    if total <= 0.0 || n <= k {
        return 0.0;
    }
    let between: f64 = sums.values().map(|(sum, count)| count * (sum / count - mean).powi(2)).sum();
    let ratio = between / total;
    (1.0 - (1.0 - ratio) * (n - 1.0) / (n - k)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::super::space::tests::dimension;
    use super::*;
    use crate::runtime::random::threefry2x32;

    #[test]
    fn what_decides_the_value_has_the_greatest_share() {
        let space = [("lr", "log(1e-5 .. 1.0)"), ("kind", "[a, b, c]"), ("noise", "0.0 .. 1.0")];
        let space: Vec<Dimension> = space.iter().map(|(n, t)| dimension(n, t).expect("values")).collect();
        let unit = |k: u32, s: u32| f64::from(threefry2x32([s, 0], [k, 0])[0]) / 2f64.powi(32);
        let trial = |k: u32| {
            let places = vec![unit(k, 1), unit(k, 2), unit(k, 3)];
            let value = 10.0 * (places[0] - 0.2).abs() + if places[1] < 1.0 / 3.0 { 2.0 } else { 0.0 };
            (places, value)
        };
        let shares = importance(&space, &(0..60).map(trial).collect::<Vec<_>>());
        assert!(shares[0] > 0.6 && shares[1] > shares[2] && shares[2] < 0.1, "{shares:?}");
        assert_eq!(importance(&space, &[(vec![0.0; 3], 1.0)]), [0.0; 3]);
    }
}
