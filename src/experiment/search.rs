//! Which values are tried next. Places are in the unit cube; see [`space`](super::space).
//!
//! Every draw is a function of seed, trial and count, and of the results of earlier batches of trials: a sweep makes the
//! same trials on any number of threads, and again after it was killed.

use super::space::{Dimension, Kind};
use crate::runtime::random::threefry2x32;

/// How a sweep searches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Strategy {
    /// All combinations; of a range, so many points.
    Grid {
        points: usize,
    },
    Random {
        trials: usize,
    },
    /// J. Bergstra et al., "Algorithms for Hyper-Parameter Optimization" (2011): tree-structured Parzen estimators.
    Bayesian {
        trials: usize,
    },
}

/// Trials that are chosen together, knowing those before.
pub const BATCH: usize = 4;
/// Trials of a Bayesian search that are spread over the space before it starts to model.
const STARTUP: usize = 8;
/// Of n earlier trials, `GOOD` times the root of n count as good: few, so that the search comes down to a place.
const GOOD: f64 = 0.5;
/// Draws from the model of the good ones, of which the best is taken.
const CANDIDATES: usize = 24;

/// A trial that is over (or under way: then its value is not known).
#[derive(Clone, Debug)]
pub struct Tried {
    pub places: Vec<f64>,
    /// Smaller is better.
    pub value: Option<f64>,
}

impl Strategy {
    pub fn trials(self, space: &[Dimension]) -> usize {
        match self {
            Strategy::Grid { points } => {
                space.iter().map(|d| d.grid(points).len()).fold(1, |n: usize, k| n.saturating_mul(k))
            }
            Strategy::Random { trials } | Strategy::Bayesian { trials } => trials,
        }
    }

    /// The places of trial number `trial` (from 0).
    pub fn suggest(self, space: &[Dimension], trial: usize, tried: &[Tried], seed: u64) -> Vec<f64> {
        let mut draws = Draws { key: [seed as u32, (seed >> 32) as u32 ^ STREAM], trial: trial as u32, count: 0 };
        match self {
            Strategy::Grid { points } => {
                // The last dimension changes fastest.
                let mut rest = trial;
                let mut places: Vec<f64> = vec![];
                for dimension in space.iter().rev() {
                    let grid = dimension.grid(points);
                    places.push(grid[rest % grid.len()]);
                    rest /= grid.len();
                }
                places.reverse();
                places
            }
            Strategy::Bayesian { .. } if tried.iter().filter(|t| t.value.is_some()).count() >= STARTUP => {
                parzen(space, tried, &mut draws)
            }
            Strategy::Bayesian { .. } => {
                // M. D. McKay et al. (1979): of eight equal parts of each dimension, every trial has one of its own, so
                // that the model begins with the whole space.
                let part = |d: usize| {
                    let mut order: Vec<usize> = (0..STARTUP).collect();
                    let mut draws = Draws { trial: u32::MAX - d as u32, count: 0, ..draws };
                    (1..STARTUP).rev().for_each(|last| order.swap(last, (draws.unit() * (last + 1) as f64) as usize));
                    order[trial % STARTUP]
                };
                let parts: Vec<usize> = (0..space.len()).map(part).collect();
                parts.into_iter().map(|part| (part as f64 + draws.unit()) / STARTUP as f64).collect()
            }
            Strategy::Random { .. } => space.iter().map(|_| draws.unit()).collect(),
        }
    }
}

/// Keeps these numbers apart from those of a training with the same seed.
const STREAM: u32 = 0x5357_4550; // "SWEP"

/// Random numbers of one trial.
#[derive(Clone, Copy)]
struct Draws {
    key: [u32; 2],
    trial: u32,
    count: u32,
}

impl Draws {
    /// In [0, 1).
    fn unit(&mut self) -> f64 {
        let [a, b] = threefry2x32(self.key, [self.count, self.trial]);
        self.count += 1;
        ((u64::from(a) << 32 | u64::from(b)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// G. E. P. Box and M. E. Muller (1958).
    fn normal(&mut self) -> f64 {
        let (u, v) = (1.0 - self.unit(), self.unit());
        (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
    }
}

/// Draws from a density of good places, and takes the draw where it exceeds that of the others most.
fn parzen(space: &[Dimension], tried: &[Tried], draws: &mut Draws) -> Vec<f64> {
    let mut known: Vec<&Tried> = tried.iter().filter(|t| t.value.is_some()).collect();
    known.sort_by(|a, b| a.value.unwrap_or(f64::NAN).total_cmp(&b.value.unwrap_or(f64::NAN)));
    let count = ((known.len() as f64).sqrt() * GOOD).ceil() as usize;
    let (good, rest) = known.split_at(count);
    // Trials under way count as bad: the next one shall look elsewhere.
    let bad: Vec<&Tried> = rest.iter().copied().chain(tried.iter().filter(|t| t.value.is_none())).collect();
    let column = |set: &[&Tried], d: usize| set.iter().map(|t| t.places[d]).collect::<Vec<f64>>();
    let models: Vec<(Density, Density)> = space
        .iter()
        .enumerate()
        .map(|(d, dim)| (Density::new(dim, column(good, d)), Density::new(dim, column(&bad, d))))
        .collect();
    let candidate = |draws: &mut Draws| {
        let places: Vec<f64> = models.iter().map(|(l, _)| l.draw(draws)).collect();
        let gain: f64 = models.iter().zip(&places).map(|((l, g), x)| l.at(*x).ln() - g.at(*x).ln()).sum();
        (gain, places)
    };
    let all: Vec<_> = (0..CANDIDATES).map(|_| candidate(draws)).collect();
    all.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, places)| places).unwrap_or_default()
}

/// A density on [0, 1]: a kernel on each place, and a uniform part that weighs as much as one of them.
enum Density {
    Kernels {
        places: Vec<f64>,
        width: f64,
    },
    /// Of choices: their probabilities.
    Table(Vec<f64>),
}

impl Density {
    fn new(dimension: &Dimension, places: Vec<f64>) -> Density {
        match &dimension.kind {
            Kind::Choice(items) => {
                let mut weights = vec![1.0; items.len()];
                places.iter().for_each(|p| weights[index(*p, items.len())] += 1.0);
                let total: f64 = weights.iter().sum();
                Density::Table(weights.into_iter().map(|w| w / total).collect())
            }
            _ => {
                // D. W. Scott (1992), for a spread that is not let down to nothing.
                let n = places.len().max(1) as f64;
                let mean = places.iter().sum::<f64>() / n;
                let spread = (places.iter().map(|p| (p - mean).powi(2)).sum::<f64>() / n).sqrt();
                let width = (1.06 * spread * n.powf(-0.2)).clamp(0.5 / (n + 1.0).min(20.0), 0.5);
                Density::Kernels { places, width }
            }
        }
    }

    fn at(&self, x: f64) -> f64 {
        match self {
            Density::Table(shares) => shares[index(x, shares.len())],
            Density::Kernels { places, width } => {
                let kernel = |p: &f64| {
                    // What lies outside the interval is given back to the inside.
                    let inside = cumulative((1.0 - p) / width) - cumulative(-p / width);
                    let z = (x - p) / width;
                    (-0.5 * z * z).exp() / (width * (2.0 * std::f64::consts::PI).sqrt() * inside)
                };
                (1.0 + places.iter().map(kernel).sum::<f64>()) / (places.len() as f64 + 1.0)
            }
        }
    }

    fn draw(&self, draws: &mut Draws) -> f64 {
        match self {
            Density::Table(shares) => {
                let mut left = draws.unit();
                let found = shares.iter().position(|share| {
                    left -= share;
                    left < 0.0
                });
                (found.unwrap_or(shares.len() - 1) as f64 + 0.5) / shares.len() as f64
            }
            Density::Kernels { places, width } => {
                let pick = (draws.unit() * (places.len() + 1) as f64) as usize;
                let Some(center) = places.get(pick) else { return draws.unit() };
                // A kernel at the edge is cut off there: draws outside are drawn again.
                let tries = std::iter::repeat_with(|| center + width * draws.normal()).take(64);
                tries.into_iter().find(|x| (0.0..=1.0).contains(x)).unwrap_or(*center)
            }
        }
    }
}

fn index(place: f64, count: usize) -> usize {
    ((place * count as f64) as usize).min(count - 1)
}

/// Of the normal distribution.
fn cumulative(z: f64) -> f64 {
    0.5 * (1.0 + libm::erf(z / std::f64::consts::SQRT_2))
}

#[cfg(test)]
mod tests {
    use super::super::space::tests::dimension;
    use super::*;

    fn space() -> Vec<Dimension> {
        let axes = [("lr", "log(1e-5 .. 1.0)"), ("width", "[8, 16, 32, 64]"), ("rate", "0.0 .. 0.9")];
        axes.iter().map(|(name, text)| dimension(name, text).expect("values")).collect()
    }

    /// Best at lr = 10^-3.5, width 32; the rate matters little.
    fn bowl(places: &[f64]) -> f64 {
        let width = [3.0, 1.0, 0.0, 1.5][index(places[1], 4)];
        40.0 * (places[0] - 0.3).powi(2) + width + 0.1 * places[2]
    }

    fn search(strategy: Strategy, trials: usize, seed: u64) -> Vec<Tried> {
        let space = space();
        let mut tried: Vec<Tried> = vec![];
        while tried.len() < trials {
            let done = tried.len();
            for trial in done..(done + BATCH).min(trials) {
                let places = strategy.suggest(&space, trial, &tried, seed);
                tried.push(Tried { places, value: None });
            }
            tried[done..].iter_mut().for_each(|t| t.value = Some(bowl(&t.places)));
        }
        tried
    }

    #[test]
    fn a_bayesian_search_beats_a_random_one() {
        let best = |strategy, seed| {
            let tried = search(strategy, 40, seed);
            tried.iter().filter_map(|t| t.value).fold(f64::INFINITY, f64::min)
        };
        let mean = |strategy| (0..20).map(|seed| best(strategy, seed)).sum::<f64>() / 20.0;
        let (bayesian, random) = (mean(Strategy::Bayesian { trials: 40 }), mean(Strategy::Random { trials: 40 }));
        assert!(bayesian < 0.7 * random, "{bayesian} against {random}");
    }

    #[test]
    fn a_search_repeats_itself() {
        let places = |seed| search(Strategy::Bayesian { trials: 30 }, 30, seed).into_iter().map(|t| t.places);
        assert!(places(3).eq(places(3)));
        assert!(!places(3).eq(places(4)));
    }

    #[test]
    fn a_grid_has_all_combinations() {
        let (space, strategy) = (space(), Strategy::Grid { points: 3 });
        assert_eq!(strategy.trials(&space), 36);
        let mut all: Vec<String> = (0..36)
            .map(|trial| {
                let places = strategy.suggest(&space, trial, &[], 0);
                space.iter().zip(places).map(|(d, p)| d.at(p).text).collect::<Vec<_>>().join(" ")
            })
            .collect();
        assert_eq!((all[0].as_str(), all[1].as_str()), ("1e-5 8 0", "1e-5 8 0.45"));
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 36);
    }

    #[test]
    fn densities_sum_to_one() {
        let dims = space();
        for (d, places) in [(0, vec![0.0, 0.1, 0.95]), (2, vec![0.5]), (0, vec![])] {
            let density = Density::new(&dims[d], places);
            let total: f64 = (0..10_000).map(|k| density.at((f64::from(k) + 0.5) / 10_000.0)).sum::<f64>() / 10_000.0;
            assert!((total - 1.0).abs() < 1e-3, "{total}");
        }
    }
}
