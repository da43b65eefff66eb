//! Two shapes, one under the other, with the axes marked where they disagree.

/// A shape and what it is: `("declared", "float", &["N", "28"])`.
pub struct Row<'a> {
    pub what: &'a str,
    pub base: &'a str,
    pub dims: Vec<String>,
}

impl<'a> Row<'a> {
    pub fn new(what: &'a str, base: &'a str, dims: &[usize]) -> Row<'a> {
        Row { what, base, dims: dims.iter().map(usize::to_string).collect() }
    }
}

/// Which ends of the shapes lie under each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Axis 0 under axis 0.
    First,
    /// The last axes under each other, as operations on elements pair them.
    Last,
}

/// Both shapes and a line that marks `wrong`: pairs of axes, one of each shape (negative: none).
///
/// ```text
/// promised  float[128, 10]
/// given     float[128,  9]
///                      ^^
/// ```
pub fn draw(rows: [&Row<'_>; 2], align: Align, wrong: impl Fn(&str, &str) -> bool) -> String {
    let rank = rows[0].dims.len().max(rows[1].dims.len());
    let cell = |row: &Row<'_>, k: usize| -> String {
        let skipped = if align == Align::Last { rank - row.dims.len() } else { 0 };
        k.checked_sub(skipped).and_then(|k| row.dims.get(k)).cloned().unwrap_or_default()
    };
    let widths: Vec<usize> =
        (0..rank).map(|k| rows.iter().map(|r| cell(r, k).chars().count()).max().unwrap_or(0).max(1)).collect();
    let (label, base) = (longest(rows.map(|r| r.what)), longest(rows.map(|r| r.base)));
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = (0..rank).map(|k| format!("{:>w$}", cell(row, k), w = widths[k])).collect();
        out.push_str(&format!("{:<label$}  {:>base$}[{}]\n", row.what, row.base, join(&cells)));
    }
    let marks = (0..rank).map(|k| {
        let differs = wrong(&cell(rows[0], k), &cell(rows[1], k));
        (if differs { "^" } else { " " }).repeat(widths[k])
    });
    let marks: Vec<String> = marks.collect();
    out.push_str(&format!("{}{}", " ".repeat(label + 2 + base + 1), marks.join("  ")));
    out.trim_end().to_string()
}

/// Cells with commas between those that are there.
fn join(cells: &[String]) -> String {
    let mut out = String::new();
    for (k, cell) in cells.iter().enumerate() {
        out.push_str(cell);
        if k + 1 < cells.len() {
            let comma = !cell.trim().is_empty() && !cells[k + 1].trim().is_empty();
            out.push_str(if comma { ", " } else { "  " });
        }
    }
    out
}

fn longest(texts: [&str; 2]) -> usize {
    texts.map(|t| t.chars().count()).into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_the_axis_that_differs() {
        let (a, b) = (Row::new("promised", "float", &[128, 10]), Row::new("given", "float", &[128, 9]));
        let drawn = draw([&a, &b], Align::First, |x, y| x != y);
        assert_eq!(drawn, "promised  float[128, 10]\ngiven     float[128,  9]\n                     ^^");
    }

    #[test]
    fn elements_pair_from_the_last_axis() {
        let (a, b) = (Row::new("left", "float", &[4, 2, 3]), Row::new("right", "int", &[5, 3]));
        let drawn = draw([&a, &b], Align::Last, |x, y| !x.is_empty() && !y.is_empty() && x != y);
        assert_eq!(drawn, "left   float[4, 2, 3]\nright    int[   5, 3]\n                ^");
    }
}
