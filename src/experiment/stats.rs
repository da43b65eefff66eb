//! Whether two sets of runs differ.

/// Mean and unbiased variance.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0))
}

/// The standard deviation (of a sample: divided by n - 1); `None` of fewer than two values.
pub fn deviation(values: &[f64]) -> Option<f64> {
    (values.len() > 1).then(|| moments(values).1.sqrt())
}

/// B. L. Welch, "The generalization of 'Student's' problem when several different population variances are involved"
/// (1947): the two-sided probability of means that differ so much or more, if there is no difference. `None` if either
/// set has fewer than two values, or if nothing varies.
pub fn welch(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let ((mean_a, var_a), (mean_b, var_b)) = (moments(a), moments(b));
    let (ea, eb) = (var_a / a.len() as f64, var_b / b.len() as f64);
    let error = ea + eb;
    if !error.is_finite() || error <= 0.0 {
        return None;
    }
    let t = (mean_a - mean_b) / error.sqrt();
    let freedom = error.powi(2) / (ea.powi(2) / (a.len() as f64 - 1.0) + eb.powi(2) / (b.len() as f64 - 1.0));
    // P(|T| > t) = I_{ν/(ν + t²)}(ν/2, 1/2)
    Some(incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5))
}

/// The regularized incomplete beta function I_x(a, b), by the continued fraction of W. J. Lentz (1976).
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges fast on this side of the mean.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let front = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * x.ln() + b * (-x).ln_1p();
    let away = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let (mut c, mut d) = (1.0, 1.0 / away(1.0 - (a + b) * x / (a + 1.0)));
    let mut value = d;
    for m in 1..500 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut last = 0.0;
        for step in [even, odd] {
            d = 1.0 / away(1.0 + step * d);
            c = away(1.0 + step / c);
            last = c * d;
            value *= last;
        }
        if (last - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front.exp() * value / a
}

/// Ranks from 1; equal values share the mean of theirs. NaN counts as the greatest.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let same = |i: &usize| values[*i].total_cmp(&values[order[from]]).is_eq();
        let until = from + order[from..].iter().take_while(|i| same(i)).count();
        order[from..until].iter().for_each(|i| ranks[*i] = (from + until + 1) as f64 / 2.0);
        from = until;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of scipy.stats.ttest_ind(equal_var=False).
    #[test]
    fn probabilities_are_the_known_ones() {
        let near = |found: Option<f64>, expected: f64| {
            let found = found.expect("a probability");
            assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
        };
        // Equal variances and sizes: t = -sqrt(3/2), 4 degrees of freedom, whose distribution has a closed form.
        let t: f64 = 1.5_f64.sqrt();
        let x = t / (4.0 + t * t).sqrt();
        near(welch(&[1.0, 2.0, 3.0], &[2.0, 3.0, 4.0]), 1.0 - (1.5 * x - 0.5 * x.powi(3)));
        // One degree of freedom is the Cauchy distribution: P(|T| > 1) = 1/2.
        assert!((incomplete_beta(0.5, 0.5, 0.5) - 0.5).abs() < 1e-12);
        assert!((incomplete_beta(0.2, 2.0, 3.0) - 0.1808).abs() < 1e-12);
        assert!((incomplete_beta(0.8, 2.0, 3.0) - 0.9728).abs() < 1e-12);
        assert_eq!(welch(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(welch(&[1.0, 1.0], &[1.0, 1.0]), None);
        assert_eq!(deviation(&[1.0, 3.0]), Some(2.0_f64.sqrt()));
    }

    #[test]
    fn equal_values_share_a_rank() {
        assert_eq!(ranks(&[3.0, 1.0, f64::NAN, 1.0]), [3.0, 1.5, 4.0, 1.5]);
    }
}
