//! Fewer points for the eye: a curve of a million steps has no more than a page can show.

/// At most about `most` points. Each stretch keeps its first, least, greatest and last point, so that spikes stay, and
/// a point that is not finite keeps its place as a gap.
pub fn thin(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    if points.len() <= most {
        return points.to_vec();
    }
    let size = points.len().div_ceil((most / 4).max(1));
    let mut out = Vec::with_capacity(most + 4);
    for stretch in points.chunks(size) {
        let finite = || stretch.iter().enumerate().filter(|(_, p)| p.1.is_finite());
        let least = finite().min_by(|a, b| a.1.1.total_cmp(&b.1.1)).map(|(k, _)| k);
        let greatest = finite().max_by(|a, b| a.1.1.total_cmp(&b.1.1)).map(|(k, _)| k);
        let gap = stretch.iter().position(|p| !p.1.is_finite());
        let mut kept: Vec<usize> =
            [Some(0), least, greatest, gap, Some(stretch.len() - 1)].into_iter().flatten().collect();
        kept.sort_unstable();
        kept.dedup();
        out.extend(kept.into_iter().map(|k| stretch[k]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_and_ends_stay() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|k| (k as f64, (k as f64 * 0.01).sin())).collect();
        points[54_321].1 = 99.0;
        points[77_777].1 = -99.0;
        points[88_888].1 = f64::NAN;
        let thinned = thin(&points, 1000);
        assert!(thinned.len() <= 1250, "{}", thinned.len());
        assert!(thinned.windows(2).all(|w| w[0].0 < w[1].0));
        let has = |value: f64| thinned.iter().any(|p| p.1 == value);
        assert!(has(99.0) && has(-99.0) && thinned.iter().any(|p| p.1.is_nan()));
        assert_eq!((thinned[0], *thinned.last().expect("points")), (points[0], points[99_999]));
    }

    #[test]
    fn few_points_are_left_alone() {
        let points = [(0.0, 1.0), (1.0, f64::NAN)];
        assert_eq!(thin(&points, 10).len(), 2);
        assert!(thin(&[], 0).is_empty());
        assert_eq!(thin(&[(0.0, 1.0), (1.0, 2.0)], 0), [(0.0, 1.0), (1.0, 2.0)]);
    }
}
