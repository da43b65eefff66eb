//! Plain text tables: the first column to the left, the others to the right.

/// Lines of equal width, without trailing space. The first row is the header.
pub fn render(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            let gap = if index == 0 { "" } else { "  " };
            line.push_str(gap);
            line.push_str(&if index == 0 { format!("{cell}{pad}") } else { format!("{pad}{cell}") });
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_aligned() {
        let rows = [["", "loss"], ["train", "0.5"], ["β", "12.25"]].map(|r| r.map(str::to_string).to_vec());
        assert_eq!(super::render(&rows), "        loss\ntrain    0.5\nβ      12.25\n");
    }
}
