//! Pieces of HTML. What users wrote goes through [`escape`](crate::report::plot::svg::escape) here and nowhere else twice.

use crate::report::plot::svg::escape;

pub fn section(id: &str, name: &str, content: &str) -> String {
    format!("<section id=\"{id}\"><h2>{name}</h2>\n{content}\n</section>\n")
}

/// A cell of a table.
pub enum Cell {
    Text(String),
    /// To the right, in figures of one width.
    Number(String),
    /// The best of its column.
    Best(String),
    /// The sum of its column.
    Total(String),
    /// Made of code: `net.fc.w`.
    Code(String),
    /// Already HTML.
    Html(String),
}

impl Cell {
    fn html(&self) -> String {
        match self {
            Cell::Text(text) => format!("<td>{}</td>", escape(text)),
            Cell::Number(text) => format!("<td class=\"num\">{}</td>", escape(text)),
            Cell::Best(text) => format!("<td class=\"num best\">{}</td>", escape(text)),
            Cell::Total(text) => format!("<td class=\"num total\">{}</td>", escape(text)),
            Cell::Code(text) => format!("<td><code>{}</code></td>", escape(text)),
            Cell::Html(text) => format!("<td>{text}</td>"),
        }
    }
}

/// A table; a header that begins with `>` stands over numbers.
pub fn table(headers: &[String], rows: &[Vec<Cell>]) -> String {
    let head: String = headers
        .iter()
        .map(|h| match h.strip_prefix('>') {
            Some(h) => format!("<th class=\"num\">{}</th>", escape(h)),
            None => format!("<th>{}</th>", escape(h)),
        })
        .collect();
    let body: String =
        rows.iter().map(|row| format!("<tr>{}</tr>\n", row.iter().map(Cell::html).collect::<String>())).collect();
    format!("<div class=\"card wide\"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>")
}

/// A small box with a number that matters.
pub fn tile(name: &str, value: &str, remark: &str) -> String {
    format!(
        "<div class=\"tile\"><div class=\"name\">{}</div><div class=\"value\">{}</div><div class=\"remark\">{}</div></div>",
        escape(name),
        escape(value),
        escape(remark)
    )
}

pub fn badge(state: &str) -> String {
    format!("<span class=\"badge {}\">{}</span>", escape(state), escape(state))
}

/// `1,234,567`
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (k, c) in digits.chars().enumerate() {
        if k > 0 && (digits.len() - k).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `1 h 02 min`, `3 min 20 s`, `1.23 s`, `45 ms`
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match seconds {
        s if !s.is_finite() => "-".into(),
        s if s >= 3600.0 => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
        s if s >= 60.0 => format!("{} min {:02} s", whole / 60, whole % 60),
        s if s >= 1.0 => format!("{s:.2} s"),
        s => format!("{:.0} ms", s * 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let shown = [0.0451, 1.234, 200.0, 3725.0, f64::NAN].map(duration);
        assert_eq!(shown, ["45 ms", "1.23 s", "3 min 20 s", "1 h 02 min", "-"]);
    }

    #[test]
    fn cells_are_escaped() {
        let made = table(&["<h>".into(), ">n".into()], &[vec![Cell::Text("<t>".into()), Cell::Code("<c>".into())]]);
        assert!(!made.contains("<h>") && !made.contains("<t>") && !made.contains("<c>"), "{made}");
        assert!(tile("<a>", "<b>", "\"").contains("&quot;"));
    }
}
