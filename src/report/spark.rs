//! Curves of one line of text, for the terminal.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// `width` characters, each the mean of its stretch of values; a stretch without a finite value is a cross.
pub fn spark(values: &[f64], width: usize) -> String {
    let width = width.min(values.len());
    let stretch = |k: usize| &values[k * values.len() / width..(k + 1) * values.len() / width];
    let mean = |k: usize| {
        let finite: Vec<f64> = stretch(k).iter().copied().filter(|v| v.is_finite()).collect();
        finite.iter().sum::<f64>() / finite.len() as f64
    };
    let means: Vec<f64> = (0..width).map(mean).collect();
    let finite = || means.iter().copied().filter(|v| v.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let bar = |value: &f64| match value {
        v if !v.is_finite() => '×',
        _ if high <= low => BARS[3],
        v => BARS[((v - low) / (high - low) * 7.0).round() as usize],
    };
    means.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::spark;

    #[test]
    fn bars_follow_the_values() {
        assert_eq!(spark(&[7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0], 8), "█▇▆▅▄▃▂▁");
        assert_eq!(spark(&[1.0, 1.0, 3.0, 3.0], 2), "▁█");
        assert_eq!(spark(&[1.0, f64::NAN, 1.0], 3), "▄×▄");
        assert_eq!(spark(&[], 5), "");
    }
}
