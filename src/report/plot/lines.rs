//! Curves: one picture for each logged value, a line for each run and split.

use super::scale::Axis;
use super::svg::{Anchor, COLOURS, FAINT, INK, Svg, at, cut, width};

/// One line of a picture.
#[derive(Clone, Debug)]
pub struct Line {
    /// In the legend; lines of one label share an entry.
    pub label: String,
    /// `train`, `test` or `step`; empty for what is of no rows.
    pub split: &'static str,
    /// Counted through [`COLOURS`].
    pub colour: usize,
    /// A colour of its own, where order matters more than names.
    pub shade: Option<String>,
    pub dashed: bool,
    /// Named in the legend.
    pub listed: bool,
    pub faint: bool,
    pub points: Vec<(f64, f64)>,
}

impl Line {
    fn stroke(&self) -> String {
        self.shade.clone().unwrap_or_else(|| COLOURS[self.colour % COLOURS.len()].to_string())
    }

    fn class(&self) -> String {
        match self.shade {
            Some(_) => "shade".into(),
            None => format!("c{}", self.colour % COLOURS.len()),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Chart {
    pub title: String,
    pub x_label: String,
    pub log: bool,
    /// The horizontal axis is logarithmic: it is no time.
    pub log_x: bool,
    /// Places on the horizontal axis that have a name.
    pub marks: Vec<(f64, String)>,
    pub lines: Vec<Line>,
}

impl Chart {
    /// Curves over time.
    pub fn over_steps(title: &str, x_label: String, log: bool, lines: Vec<Line>) -> Chart {
        Chart { title: title.into(), x_label, log, log_x: false, marks: vec![], lines }
    }
}

pub const WIDTH: f64 = 640.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 16.0;
/// Height of the part with the curves.
const PLOT: f64 = 250.0;
const BELOW: f64 = 46.0;
const ROW: f64 = 17.0;
/// More entries than these say nothing.
const ENTRIES: usize = 14;

impl Chart {
    pub fn to_svg(&self) -> String {
        let entries = self.legend();
        let rows = entries.last().map_or(0, |(row, ..)| row + 1);
        let top = 32.0 + ROW * rows as f64 + if rows > 0 { 6.0 } else { 0.0 };
        let bottom = top + PLOT;
        let mut svg = Svg::new(WIDTH, bottom + BELOW, &self.title);
        svg.text("title", 14.0, Anchor::Start, LEFT, 20.0, &cut(&self.title, 72));
        for (row, x, line) in &entries {
            let y = 38.0 + ROW * *row as f64;
            let dash = if line.dashed { r#" stroke-dasharray="5 3""# } else { "" };
            svg.raw(&format!(
                r#"<line class="line {}" x1="{}" y1="{}" x2="{}" y2="{}" stroke="{}" stroke-width="2"{dash}/>"#,
                line.class(),
                at(*x),
                at(y - 4.0),
                at(x + 18.0),
                at(y - 4.0),
                line.stroke()
            ));
            svg.text("legend", 11.5, Anchor::Start, x + 23.0, y, &cut(&line.label, 60));
        }
        let all = || self.lines.iter().flat_map(|l| &l.points);
        let x_axis = extent(all().map(|p| p.0), self.log_x);
        let y_axis = Axis::fit(all().map(|p| p.1), self.log);
        let place = |x: f64, y: f64| {
            (LEFT + x_axis.place(x) * (WIDTH - LEFT - RIGHT), bottom - y_axis.place(y) * (bottom - top))
        };
        for tick in y_axis.ticks(7) {
            let (_, y) = place(0.0, tick.value);
            svg.line("grid", FAINT, (LEFT, y), (WIDTH - RIGHT, y));
            svg.text("tick", 11.0, Anchor::End, LEFT - 7.0, y + 4.0, &tick.label);
        }
        for tick in if self.log_x { x_axis.ticks(8) } else { x_axis.whole_ticks(6) } {
            let (x, _) = place(tick.value, 1.0);
            svg.line("axis", INK, (x, bottom), (x, bottom + 4.0));
            svg.text("tick", 11.0, Anchor::Middle, x, bottom + 17.0, &tick.label);
        }
        svg.line("axis", INK, (LEFT, bottom), (WIDTH - RIGHT, bottom));
        svg.text("label", 12.0, Anchor::Middle, (LEFT + WIDTH - RIGHT) / 2.0, bottom + 37.0, &self.x_label);
        for (value, name) in &self.marks {
            let (x, _) = place(*value, 1.0);
            if (LEFT..=WIDTH - RIGHT).contains(&x) {
                svg.line("mark", INK, (x, top), (x, bottom));
                let (anchor, beside) = if x > WIDTH * 0.7 { (Anchor::End, -5.0) } else { (Anchor::Start, 5.0) };
                svg.text("label halo", 12.0, anchor, x + beside, top + 12.0, name);
            }
        }
        for line in &self.lines {
            draw(&mut svg, line, &place);
        }
        svg.finish()
    }

    /// Row, left edge and line of each entry.
    fn legend(&self) -> Vec<(usize, f64, &Line)> {
        let mut entries: Vec<(usize, f64, &Line)> = vec![];
        let (mut row, mut x) = (0, LEFT);
        for line in &self.lines {
            let known = entries.iter().any(|(_, _, l)| l.label == line.label);
            if !line.listed || line.label.is_empty() || known || entries.len() == ENTRIES {
                continue;
            }
            let wide = 23.0 + width(&cut(&line.label, 60), 11.5) + 18.0;
            if x > LEFT && x + wide > WIDTH {
                (row, x) = (row + 1, LEFT);
            }
            entries.push((row, x, line));
            x += wide;
        }
        entries
    }
}

/// All of the values, without air: time begins and ends at the edges.
fn extent(values: impl Iterator<Item = f64>, log: bool) -> Axis {
    let finite = values.filter(|v| v.is_finite() && (!log || *v > 0.0));
    let (min, max) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    if log {
        return if min < max { Axis { min, max, log } } else { Axis { min: 0.1, max: 1.0, log } };
    }
    if min > max { Axis::exact(0.0, 1.0) } else { Axis::exact(if min < 0.25 * max { 0.0 } else { min }, max) }
}

/// A path that breaks where a value has no place; a single point becomes a dot.
fn draw(svg: &mut Svg, line: &Line, place: &impl Fn(f64, f64) -> (f64, f64)) {
    let mut path = String::new();
    let mut dots = vec![];
    let mut length = 0;
    let mut last = (0.0, 0.0);
    for (x, y) in line.points.iter().map(|p| place(p.0, p.1)).chain([(f64::NAN, f64::NAN)]) {
        if x.is_finite() && y.is_finite() {
            path.push_str(if length == 0 { "M" } else { "L" });
            path.push_str(&format!("{} {}", at(x), at(y)));
            (length, last) = (length + 1, (x, y));
        } else {
            if length == 1 {
                dots.push(last);
            }
            length = 0;
        }
    }
    let (class, stroke) = (line.class(), line.stroke());
    let dash = if line.dashed { r#" stroke-dasharray="5 3""# } else { "" };
    let (thick, faint) = if line.faint { ("1", r#" opacity="0.45""#) } else { ("1.8", "") };
    svg.raw(&format!(
        r#"<path class="line {class}" d="{path}" fill="none" stroke="{stroke}" stroke-width="{thick}" stroke-linejoin="round"{dash}{faint}/>"#
    ));
    for (x, y) in dots {
        svg.raw(&format!(r#"<circle class="dot {class}" cx="{}" cy="{}" r="3" fill="{stroke}"/>"#, at(x), at(y)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(label: &str, points: &[(f64, f64)]) -> Line {
        Line {
            label: label.into(),
            split: "train",
            colour: 0,
            shade: None,
            dashed: false,
            listed: true,
            faint: false,
            points: points.to_vec(),
        }
    }

    #[test]
    fn a_small_chart() {
        let mut test = line("test", &[(1.0, 0.9), (2.0, 0.5), (3.0, 0.4)]);
        (test.colour, test.dashed) = (1, true);
        let train = line("train", &[(1.0, 1.0), (2.0, f64::NAN), (3.0, 0.25)]);
        let chart = Chart::over_steps("loss", "step".into(), false, vec![train, test]);
        insta::assert_snapshot!(chart.to_svg());
    }

    #[test]
    fn a_chart_of_nothing_is_a_picture() {
        for log in [false, true] {
            for points in [&[][..], &[(0.0, f64::NAN)], &[(5.0, 0.0)], &[(f64::INFINITY, 1.0)]] {
                let mut chart = Chart::over_steps("<x>", "step".into(), log, vec![line("a", points)]);
                for log_x in [false, true] {
                    (chart.log_x, chart.marks) = (log_x, vec![(0.0, "zero".into()), (5.0, "five".into())]);
                    let made = chart.to_svg();
                    assert!(!made.contains("NaN") && !made.contains("inf"), "{made}");
                }
            }
        }
    }

    #[test]
    fn a_legend_wraps_and_names_a_label_once() {
        let names: Vec<String> = (0..8).map(|k| format!("optimizer = Something({k})")).collect();
        let mut lines: Vec<Line> = names.iter().map(|n| line(n, &[(0.0, 1.0)])).collect();
        lines.extend(lines.clone());
        let chart = Chart::over_steps("t", "step".into(), false, lines);
        let entries = chart.legend();
        assert_eq!(entries.len(), 8);
        assert!(entries.last().is_some_and(|(row, ..)| *row >= 2));
        assert!(entries.iter().all(|(_, x, _)| *x < WIDTH));
    }
}
