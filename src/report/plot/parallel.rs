//! Parallel coordinates: an axis for each setting of a sweep and a last one for its value, a line for each trial.

use super::scale::{Axis, short};
use super::svg::{Anchor, INK, Svg, at, cut, escape, shade};

/// A column of the trials' table.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    Numbers {
        name: String,
        values: Vec<f64>,
        log: bool,
    },
    /// Each trial's index into the names.
    Names {
        name: String,
        names: Vec<String>,
        values: Vec<usize>,
    },
}

impl Column {
    pub fn name(&self) -> &str {
        match self {
            Column::Numbers { name, .. } | Column::Names { name, .. } => name,
        }
    }

    /// Where a trial stands on the axis, from 0 to 1.
    pub fn place(&self, trial: usize) -> f64 {
        match self {
            Column::Numbers { values, .. } => self.axis().map_or(0.5, |axis| {
                let value = values.get(trial).copied().unwrap_or(f64::NAN);
                axis.place(value)
            }),
            Column::Names { names, values, .. } => (values[trial] as f64 + 0.5) / names.len().max(1) as f64,
        }
    }

    fn axis(&self) -> Option<Axis> {
        match self {
            Column::Numbers { values, log, .. } => Some(Axis::fit(values.iter().copied(), *log)),
            Column::Names { .. } => None,
        }
    }

    /// Places and labels along the axis.
    pub fn marks(&self) -> Vec<(f64, String)> {
        match self {
            Column::Names { names, .. } => {
                let count = names.len().max(1) as f64;
                names.iter().enumerate().map(|(k, n)| ((k as f64 + 0.5) / count, cut(n, 22))).collect()
            }
            Column::Numbers { values, .. } => {
                let mut different: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
                different.sort_by(f64::total_cmp);
                different.dedup();
                let axis = self.axis().unwrap_or(Axis::exact(0.0, 1.0));
                if different.len() <= 6 {
                    // A grid's values themselves say more than round numbers between them.
                    return different.into_iter().map(|v| (axis.place(v), short(v))).collect();
                }
                axis.ticks(5).into_iter().map(|t| (axis.place(t.value), t.label)).collect()
            }
        }
    }
}

#[derive(Clone, Debug)]
pub struct Parallel {
    pub title: String,
    /// The settings, and last the value.
    pub columns: Vec<Column>,
    /// For each trial: 0 is the best, 1 the worst; `None` has no value.
    pub ranks: Vec<Option<f64>>,
    /// For each trial: what it is, when pointed at.
    pub tips: Vec<String>,
}

const TOP: f64 = 58.0;
const PLOT: f64 = 260.0;
const SIDE: f64 = 70.0;

impl Parallel {
    pub fn to_svg(&self) -> String {
        let gaps = self.columns.len().saturating_sub(1).max(1) as f64;
        let gap = (560.0 / gaps).clamp(130.0, 260.0);
        let mut svg = Svg::new(2.0 * SIDE + gap * gaps, TOP + PLOT + 24.0, &self.title);
        svg.text("title", 14.0, Anchor::Start, 16.0, 20.0, &self.title);
        let x = |k: usize| SIDE + gap * k as f64;
        let y = |part: f64| TOP + PLOT * (1.0 - part);
        // The best on top of the others.
        let mut order: Vec<usize> = (0..self.ranks.len()).collect();
        order.sort_by(|a, b| {
            let rank = |k: &usize| self.ranks[*k].unwrap_or(2.0);
            rank(b).total_cmp(&rank(a))
        });
        for trial in order {
            let places: Vec<(f64, f64)> =
                self.columns.iter().enumerate().map(|(k, c)| (x(k), y(c.place(trial)))).collect();
            let known: Vec<_> = places.into_iter().filter(|p| p.1.is_finite()).collect();
            let path: Vec<String> = known.iter().map(|p| format!("{} {}", at(p.0), at(p.1))).collect();
            let rank = self.ranks[trial];
            let (colour, thick, ink) = match rank {
                Some(r) => (shade(1.0 - r), if r == 0.0 { 3.0 } else { 1.6 }, 0.35 + 0.6 * (1.0 - r)),
                None => ("#999999".to_string(), 1.0, 0.5),
            };
            let dash = if rank.is_none() { r#" stroke-dasharray="3 3""# } else { "" };
            svg.raw(&format!(
                r#"<path class="trial" d="M{}" fill="none" stroke="{colour}" stroke-width="{thick}" stroke-opacity="{ink:.2}"{dash}><title>{}</title></path>"#,
                path.join("L"),
                escape(self.tips.get(trial).map_or("", String::as_str))
            ));
        }
        for (k, column) in self.columns.iter().enumerate() {
            svg.line("axis", INK, (x(k), TOP), (x(k), TOP + PLOT));
            svg.text("label", 12.0, Anchor::Middle, x(k), TOP - 14.0, &cut(column.name(), 24));
            for (place, label) in column.marks() {
                svg.line("axis", INK, (x(k) - 3.0, y(place)), (x(k) + 3.0, y(place)));
                svg.text("tick halo", 11.0, Anchor::Start, x(k) + 7.0, y(place) + 4.0, &label);
            }
        }
        svg.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_without_a_value_are_drawn_apart() {
        let lr = Column::Numbers { name: "lr".into(), values: vec![1e-3, 1e-2, 1e-1], log: true };
        let names = vec!["SGD()".into(), "Adam()".into()];
        let rule = Column::Names { name: "<rule>".into(), names, values: vec![0, 1, 1] };
        let value = Column::Numbers { name: "loss".into(), values: vec![0.5, 0.2, f64::NAN], log: false };
        assert!((lr.place(1) - 0.5).abs() < 1e-9);
        assert_eq!(rule.marks(), [(0.25, "SGD()".to_string()), (0.75, "Adam()".to_string())]);
        let tips = vec!["0".into(), "1".into(), "failed".into()];
        let ranks = vec![Some(1.0), Some(0.0), None];
        let made = Parallel { title: "sweep".into(), columns: vec![lr, rule, value], ranks, tips }.to_svg();
        assert_eq!(made.matches("class=\"trial\"").count(), 3);
        assert!(!made.contains("NaN") && made.contains("&lt;rule&gt;"));
        assert_eq!(made.matches("stroke-dasharray").count(), 1);
    }
}
