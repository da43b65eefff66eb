//! SVG elements as text.

/// The colours of Okabe and Ito, which people with any kind of colour vision tell apart; without yellow, which white
/// paper swallows, and black, which a dark page swallows.
pub const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#6a3d9a"];

/// Ink for axes and words, faint ink for the grid.
pub const INK: &str = "#333333";
pub const FAINT: &str = "#dddddd";
pub const PAPER: &str = "#ffffff";

/// Text inside an element or a quoted attribute. Control characters, which XML forbids, become spaces.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A coordinate: a tenth of a pixel is enough.
pub fn at(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_string()
}

/// From violet (0) over green to gold (1), after matplotlib's viridis: brightness alone tells the order. Both ends are seen
/// on white and on black.
pub fn shade(part: f64) -> String {
    const STOPS: [[f64; 3]; 6] = [
        [112.0, 78.0, 170.0],
        [72.0, 98.0, 168.0],
        [42.0, 130.0, 155.0],
        [34.0, 168.0, 132.0],
        [122.0, 200.0, 81.0],
        [225.0, 180.0, 0.0],
    ];
    let place = if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 } * (STOPS.len() - 1) as f64;
    let low = (place as usize).min(STOPS.len() - 2);
    let mix = |k: usize| STOPS[low][k] + (STOPS[low + 1][k] - STOPS[low][k]) * (place - low as f64);
    format!("#{:02x}{:02x}{:02x}", mix(0).round() as u8, mix(1).round() as u8, mix(2).round() as u8)
}

/// Where a text stands relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A picture under construction.
pub struct Svg {
    width: f64,
    height: f64,
    title: String,
    body: String,
}

impl Svg {
    pub fn new(width: f64, height: f64, title: &str) -> Svg {
        Svg { width, height, title: escape(title), body: String::new() }
    }

    pub fn raw(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }

    pub fn line(&mut self, class: &str, colour: &str, from: (f64, f64), to: (f64, f64)) {
        let (x1, y1, x2, y2) = (at(from.0), at(from.1), at(to.0), at(to.1));
        self.raw(&format!(r#"<line class="{class}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}"/>"#));
    }

    pub fn text(&mut self, class: &str, size: f64, anchor: Anchor, x: f64, y: f64, text: &str) {
        self.turned(class, size, anchor, x, y, None, text);
    }

    /// A text turned by so many degrees about its point.
    #[allow(clippy::too_many_arguments)]
    pub fn turned(&mut self, class: &str, size: f64, anchor: Anchor, x: f64, y: f64, turn: Option<f64>, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => r#" text-anchor="middle""#,
            Anchor::End => r#" text-anchor="end""#,
        };
        let (x, y, text) = (at(x), at(y), escape(text));
        let turn = turn.map_or(String::new(), |degrees| format!(r#" transform="rotate({degrees} {x} {y})""#));
        self.raw(&format!(
            r#"<text class="{class}" x="{x}" y="{y}" font-size="{size}"{anchor}{turn} fill="{INK}">{text}</text>"#
        ));
    }

    /// The finished picture.
    pub fn finish(self) -> String {
        let Svg { width, height, title, body } = self;
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" role="img" aria-label="{title}" font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif">
<title>{title}</title>
<rect class="paper" width="100%" height="100%" fill="{PAPER}"/>
{body}</svg>
"#,
            at(width),
            at(height)
        )
    }
}

/// About the width of a text in pixels.
pub fn width(text: &str, size: f64) -> f64 {
    text.chars().map(|c| if c.is_ascii_uppercase() || !c.is_ascii() { 0.68 } else { 0.55 }).sum::<f64>() * size
}

/// A text cut to about so many characters.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_string();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_element() {
        let text = "</text><script>alert(\"1\" & '2')</script>\u{0}\u{1b}";
        assert_eq!(escape(text), "&lt;/text&gt;&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;  ");
        let mut svg = Svg::new(10.0, 10.0, "<b>");
        svg.text("t", 10.0, Anchor::Middle, 1.0, 2.0, text);
        let made = svg.finish();
        assert!(!made.contains("<script") && !made.contains("<b>") && !made.contains('\u{0}'));
    }

    #[test]
    fn shades_are_colours_for_any_number() {
        assert_eq!((shade(0.0), shade(1.0)), ("#704eaa".into(), "#e1b400".into()));
        assert!([f64::NAN, -5.0, 7.0, f64::INFINITY].iter().all(|v| shade(*v).len() == 7));
    }

    #[test]
    fn long_labels_are_cut() {
        assert_eq!((cut("optimizer", 5), cut("βeta", 4)), ("opti…".into(), "βeta".into()));
    }
}
