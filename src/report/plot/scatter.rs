//! Predictions against targets: a good regression lies on the diagonal.

use super::scale::Axis;
use super::svg::{Anchor, COLOURS, FAINT, INK, Svg, at};

#[derive(Clone, Debug)]
pub struct Scatter {
    pub title: String,
    /// The axes' names: target, prediction.
    pub labels: [String; 2],
    /// Target and prediction of each row.
    pub points: Vec<(f64, f64)>,
}

const SIDE: f64 = 380.0;
const LEFT: f64 = 66.0;
const TOP: f64 = 34.0;

impl Scatter {
    pub fn to_svg(&self) -> String {
        let axis = Axis::fit(self.points.iter().flat_map(|p| [p.0, p.1]), false);
        let mut svg = Svg::new(LEFT + SIDE + 20.0, TOP + SIDE + 50.0, &self.title);
        let place = |x: f64, y: f64| (LEFT + axis.place(x) * SIDE, TOP + SIDE - axis.place(y) * SIDE);
        svg.text("title", 14.0, Anchor::Start, LEFT, 20.0, &self.title);
        for tick in axis.ticks(5) {
            let (x, y) = place(tick.value, tick.value);
            svg.line("grid", FAINT, (LEFT, y), (LEFT + SIDE, y));
            svg.line("grid", FAINT, (x, TOP), (x, TOP + SIDE));
            svg.text("tick", 11.0, Anchor::End, LEFT - 7.0, y + 4.0, &tick.label);
            svg.text("tick", 11.0, Anchor::Middle, x, TOP + SIDE + 17.0, &tick.label);
        }
        let (low, high) = (place(axis.min, axis.min), place(axis.max, axis.max));
        svg.raw(&format!(
            r#"<line class="ideal" x1="{}" y1="{}" x2="{}" y2="{}" stroke="{INK}" stroke-dasharray="4 4"/>"#,
            at(low.0),
            at(low.1),
            at(high.0),
            at(high.1)
        ));
        svg.text("label", 12.0, Anchor::Middle, LEFT + SIDE / 2.0, TOP + SIDE + 38.0, &self.labels[0]);
        svg.turned("label", 12.0, Anchor::Middle, 15.0, TOP + SIDE / 2.0, Some(-90.0), &self.labels[1]);
        let ink = if self.points.len() > 400 { "0.35" } else { "0.65" };
        for (x, y) in self.points.iter().map(|p| place(p.0, p.1)).filter(|p| p.0.is_finite() && p.1.is_finite()) {
            svg.raw(&format!(
                r#"<circle class="dot c0" cx="{}" cy="{}" r="2.6" fill="{}" fill-opacity="{ink}"/>"#,
                at(x),
                at(y),
                COLOURS[0]
            ));
        }
        svg.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_without_a_place_are_left_out() {
        let points = vec![(1.0, 1.1), (2.0, f64::NAN), (f64::INFINITY, 0.0), (3.0, 2.9)];
        let labels = ["target <y>".to_string(), "prediction".into()];
        let made = Scatter { title: "y".into(), labels, points }.to_svg();
        assert_eq!(made.matches("<circle").count(), 2);
        assert!(made.contains("target &lt;y&gt;") && !made.contains("NaN"));
    }
}
