//! A confusion matrix: a row for each true class, a column for each predicted one.

use super::svg::{Anchor, COLOURS, INK, Svg, at, cut};

#[derive(Clone, Debug)]
pub struct Matrix {
    pub title: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// `counts[truth][prediction]`
    pub counts: Vec<Vec<u64>>,
}

/// With more classes, cells hold no numbers.
const NUMBERS: usize = 20;

impl Matrix {
    /// The part of all rows that lie on the diagonal.
    pub fn correct(&self) -> f64 {
        let right: u64 = self.counts.iter().enumerate().map(|(k, row)| row.get(k).copied().unwrap_or(0)).sum();
        let all: u64 = self.counts.iter().flatten().sum();
        right as f64 / all.max(1) as f64
    }

    pub fn to_svg(&self) -> String {
        let count = self.classes.len().max(1);
        let cell = (420.0 / count as f64).clamp(5.0, 64.0);
        let longest = self.classes.iter().map(|c| c.chars().count().min(14)).max().unwrap_or(1) as f64;
        let (left, top) = (44.0 + 6.5 * longest, 52.0);
        let below = if longest > 3.0 { 30.0 + 6.0 * longest } else { 26.0 };
        let side = cell * count as f64;
        let mut svg = Svg::new((left + side + 20.0).max(260.0), top + side + below, &self.title);
        svg.text("title", 14.0, Anchor::Start, 12.0, 20.0, &self.title);
        svg.text("label", 12.0, Anchor::Start, left, top - 10.0, "row: truth, column: prediction");
        // Labels of many classes would lie on each other.
        let stride = (12.0 / cell).ceil().max(1.0) as usize;
        for (k, row) in self.counts.iter().enumerate() {
            let total = row.iter().sum::<u64>().max(1) as f64;
            let y = top + cell * k as f64;
            let name = cut(self.classes.get(k).map_or("", String::as_str), 14);
            if k % stride == 0 {
                svg.text("tick", 11.0, Anchor::End, left - 6.0, y + cell / 2.0 + 4.0, &name);
                let x = left + cell * (k as f64 + 0.5);
                if longest > 3.0 {
                    svg.turned("tick", 11.0, Anchor::End, x + 4.0, top + side + 12.0, Some(-60.0), &name);
                } else {
                    svg.text("tick", 11.0, Anchor::Middle, x, top + side + 16.0, &name);
                }
            }
            for (j, value) in row.iter().enumerate() {
                let (x, part) = (left + cell * j as f64, *value as f64 / total);
                let class = if j == k { "right" } else { "wrong" };
                let colour = COLOURS[usize::from(j != k)];
                // Rare mistakes shall be seen: their ink grows faster at first.
                let ink = if *value == 0 { 0.03 } else { 0.12 + 0.83 * part.sqrt() };
                let size = at(cell - 1.0);
                let tip =
                    format!("true {}, predicted {}: {value}", name, self.classes.get(j).map_or("", |c| c.as_str()));
                svg.raw(&format!(
                    r#"<rect class="cell {class}" x="{}" y="{}" width="{size}" height="{size}" fill="{colour}" fill-opacity="{ink:.2}"><title>{}</title></rect>"#,
                    at(x),
                    at(y),
                    super::svg::escape(&tip)
                ));
                if count <= NUMBERS && *value > 0 {
                    let (class, colour) = if ink > 0.6 { ("on", "#ffffff") } else { ("count", INK) };
                    svg.raw(&format!(
                        r#"<text class="{class}" x="{}" y="{}" font-size="{}" text-anchor="middle" fill="{colour}" pointer-events="none">{value}</text>"#,
                        at(x + cell / 2.0 - 0.5),
                        at(y + cell / 2.0 + 4.0),
                        if cell < 30.0 { 9 } else { 12 }
                    ));
                }
            }
        }
        svg.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_counts_what_is_right() {
        let classes = vec!["<a>".to_string(), "b".into()];
        let matrix = Matrix { title: "confusion".into(), classes, counts: vec![vec![8, 2], vec![0, 10]] };
        assert_eq!(matrix.correct(), 0.9);
        let made = matrix.to_svg();
        assert_eq!(made.matches("<rect class=\"cell").count(), 4);
        assert!(made.contains("true &lt;a&gt;, predicted b: 2") && !made.contains("<a>"));
        let empty = Matrix { title: String::new(), classes: vec![], counts: vec![] };
        assert_eq!(empty.correct(), 0.0);
        assert!(empty.to_svg().contains("</svg>"));
    }
}
