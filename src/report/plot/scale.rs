//! An axis: its range, where a value lies on it, and ticks at round numbers.

/// A range of values, linear or logarithmic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    pub min: f64,
    pub max: f64,
    pub log: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    pub value: f64,
    pub label: String,
}

impl Axis {
    /// The range of the finite values (and, for a logarithmic axis, positive ones), with some air at both ends.
    pub fn fit(values: impl IntoIterator<Item = f64>, log: bool) -> Axis {
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            if value.is_finite() && (!log || value > 0.0) {
                min = min.min(value);
                max = max.max(value);
            }
        }
        if min > max {
            return if log { Axis { min: 0.1, max: 1.0, log } } else { Axis { min: 0.0, max: 1.0, log } };
        }
        if log {
            let air = ((max / min).log10() * 0.05).max(0.02);
            return Axis { min: min / 10f64.powf(air), max: max * 10f64.powf(air), log };
        }
        // What differs by rounding only is one value.
        let one = max - min <= 1e-9 * min.abs().max(max.abs());
        let air = if one { (min.abs() * 0.1).max(1e-9) } else { (max - min) * 0.05 };
        // Losses and accuracies do not go below zero, and neither shall their axis because of the air.
        let low = if min >= 0.0 { (min - air).max(0.0) } else { min - air };
        Axis { min: low, max: max + air, log }
    }

    /// From exactly `min` to `max`.
    pub fn exact(min: f64, max: f64) -> Axis {
        Axis { min, max: if max > min { max } else { min + 1.0 }, log: false }
    }

    /// 0 at the axis' beginning, 1 at its end. Not finite for what has no place on it.
    pub fn place(&self, value: f64) -> f64 {
        if self.log {
            (value.ln() - self.min.ln()) / (self.max.ln() - self.min.ln())
        } else {
            (value - self.min) / (self.max - self.min)
        }
    }

    /// About `count` ticks.
    pub fn ticks(&self, count: usize) -> Vec<Tick> {
        let decades = if self.log { (self.max / self.min).log10() } else { 0.0 };
        if self.log && decades >= 1.0 { self.powers(count, decades) } else { self.round_numbers(count, 0.0) }
    }

    /// About `count` ticks at whole numbers, for what is counted.
    pub fn whole_ticks(&self, count: usize) -> Vec<Tick> {
        self.round_numbers(count, 1.0)
    }

    /// No two ticks are nearer to each other than `least`.
    fn round_numbers(&self, count: usize, least: f64) -> Vec<Tick> {
        let rough = (self.max - self.min) / count.max(1) as f64;
        // Also where neighbouring numbers are further apart than ticks.
        let precision = 1e-12 * self.min.abs().max(self.max.abs());
        if rough.is_nan() || rough <= precision || !rough.is_finite() {
            return vec![];
        }
        let power = 10f64.powf(rough.log10().floor());
        let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|f| f * power >= rough * 0.999).unwrap_or(10.0);
        let step = (factor * power).max(least);
        let first = (self.min / step - 1e-9).ceil() as i64;
        let last = (self.max / step + 1e-9).floor() as i64;
        (first..=last.min(first + 100)).map(|k| k as f64 * step).map(|value| tick(value, step)).collect()
    }

    /// 1, 10, 100; between them 2 and 5 where there is room; every second or third power where there is none.
    fn powers(&self, count: usize, decades: f64) -> Vec<Tick> {
        let stride = (decades / count.max(1) as f64).ceil().max(1.0) as i32;
        let between: &[f64] = if decades < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let (first, last) = (self.min.log10().floor() as i32, self.max.log10().ceil() as i32);
        let powers = (first..=last).filter(|k| k.rem_euclid(stride) == 0);
        let values = powers.flat_map(|k| between.iter().map(move |f| (f * 10f64.powi(k), 10f64.powi(k))));
        let inside = |value: f64| value >= self.min * 0.999_999 && value <= self.max * 1.000_001;
        values.filter(|(value, _)| inside(*value)).map(|(value, step)| tick(value, step)).collect()
    }
}

/// A label with the digits that tell neighbours apart.
fn tick(value: f64, step: f64) -> Tick {
    let size = value.abs();
    let label = if size < step * 1e-6 {
        "0".into()
    } else if !(1e-4..1e6).contains(&size) {
        let digits = (size.log10().floor() - step.log10().floor()).clamp(0.0, 6.0) as usize;
        let text = format!("{value:.digits$e}");
        text
    } else {
        let digits = (-(step * 1.000_001).log10().floor()).clamp(0.0, 8.0) as usize;
        format!("{value:.digits$}")
    };
    Tick { value, label }
}

/// A value as a person reads it: four significant digits.
pub fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".into();
    }
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN".into()
        } else if value > 0.0 {
            "∞".into()
        } else {
            "-∞".into()
        };
    }
    if !(1e-4..1e6).contains(&size) {
        let text = format!("{value:.3e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{}e{power}", trimmed(digits));
    }
    let digits = (3 - size.log10().floor() as i32).clamp(0, 7) as usize;
    trimmed(&format!("{value:.digits$}")).to_string()
}

/// Without zeros at the end of a fraction.
fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: Axis, count: usize) -> Vec<String> {
        axis.ticks(count).into_iter().map(|t| t.label).collect()
    }

    #[test]
    fn ticks_are_round_numbers_inside_the_range() {
        let linear = |min, max| Axis { min, max, log: false };
        assert_eq!(
            labels(linear(0.0, 1.0), 5),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"].map(|l| if l == "0.0" { "0" } else { l })
        );
        assert_eq!(labels(linear(0.93, 0.987), 5), ["0.94", "0.96", "0.98"]);
        assert_eq!(labels(linear(-3.0, 11.0), 5), ["0", "5", "10"]);
        assert_eq!(labels(linear(0.0, 4e6), 4), ["0", "1e6", "2e6", "3e6", "4e6"]);
        assert_eq!(labels(linear(0.0, 25_000.0), 5), ["0", "5000", "10000", "15000", "20000", "25000"]);
        let steps: Vec<String> = linear(1.0, 3.0).whole_ticks(6).into_iter().map(|t| t.label).collect();
        assert_eq!(steps, ["1", "2", "3"]);
        assert_eq!(labels(linear(f64::NAN, 1.0), 5), [""; 0]);
        assert_eq!(labels(linear(2.0, 2.0), 5), [""; 0]);
    }

    #[test]
    fn logarithmic_ticks_are_powers() {
        let log = |min, max| Axis { min, max, log: true };
        assert_eq!(labels(log(0.5, 30.0), 5), ["0.5", "1", "2", "5", "10", "20"]);
        assert_eq!(
            labels(log(1e-8, 1.0), 4),
            ["1e-8", "1e-6", "1e-4", "0.01", "1"].map(|l| if l == "1e-4" { "0.0001" } else { l })
        );
        assert_eq!(labels(log(2.0, 4.0), 4), ["2.0", "2.5", "3.0", "3.5", "4.0"].map(|l| l));
    }

    #[test]
    fn an_axis_leaves_out_what_has_no_place() {
        let axis = Axis::fit([f64::NAN, 0.0, -1.0, 10.0, 1000.0, f64::INFINITY], true);
        assert!(axis.min > 5.0 && axis.max < 2000.0);
        assert!((Axis { min: 1.0, max: 100.0, log: true }.place(10.0) - 0.5).abs() < 1e-12);
        assert!(!axis.place(0.0).is_finite());
        let constant = Axis::fit([0.5, 0.5], false);
        assert!(constant.min < 0.5 && constant.max > 0.5);
        let rounded = Axis::fit([0.05, 0.05000000000000001], false);
        assert!(rounded.max - rounded.min > 0.009);
        assert!(Axis { min: 1.0, max: 1.0000000000000002, log: false }.ticks(5).is_empty());
        assert_eq!(Axis::fit([], false), Axis { min: 0.0, max: 1.0, log: false });
    }

    #[test]
    fn values_have_four_digits() {
        let shown = [0.0, 0.95661, 1.0, 12.25, 1234.56, 1e-7, 2.5e9, f64::NAN].map(short);
        assert_eq!(shown, ["0", "0.9566", "1", "12.25", "1235", "1e-7", "2.5e9", "NaN"]);
    }
}
