//! The text of a program as HTML lines with a class for each kind of word: enough for a page, without a parser.

use super::plot::svg::escape;

const WORDS: [&str; 36] = [
    "use",
    "data",
    "model",
    "layer",
    "fn",
    "loss",
    "metric",
    "schedule",
    "optimizer",
    "transform",
    "init",
    "train",
    "compare",
    "sweep",
    "over",
    "by",
    "in",
    "on",
    "let",
    "param",
    "state",
    "step",
    "minimize",
    "maximize",
    "minimizing",
    "maximizing",
    "with",
    "report",
    "observe",
    "if",
    "then",
    "else",
    "for",
    "where",
    "test",
    "eval",
];
const TYPES: [&str; 6] = ["float", "int", "bool", "f32", "f64", "str"];

/// One HTML text for each line.
pub fn lines(text: &str) -> Vec<String> {
    text.lines().map(line).collect()
}

fn line(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = |keep: &dyn Fn(char) -> bool| rest.find(|c| !keep(c)).unwrap_or(rest.len());
        let (class, size) = if rest.starts_with("///") {
            ("d", rest.len())
        } else if rest.starts_with("//") {
            ("m", rest.len())
        } else if c == '"' {
            ("s", rest[1..].find('"').map_or(rest.len(), |at| at + 2))
        } else if c.is_ascii_digit() {
            ("n", number(rest))
        } else if c.is_alphabetic() || c == '_' {
            let size = length(&|c| c.is_alphanumeric() || c == '_');
            let word = &rest[..size];
            let class = match () {
                () if WORDS.contains(&word) => "k",
                () if TYPES.contains(&word) => "t",
                () if rest[size..].starts_with('(') => "f",
                () => "",
            };
            (class, size)
        } else {
            ("", length(&|c| !(c.is_alphanumeric() || matches!(c, '_' | '"' | '/'))).max(c.len_utf8()))
        };
        let (word, after) = rest.split_at(size);
        match class {
            "" => out.push_str(&escape(word)),
            class => out.push_str(&format!("<span class=\"{class}\">{}</span>", escape(word))),
        }
        rest = after;
    }
    out
}

/// `10_000`, `0.5`, `1e-3`; the two dots of a range are no part of it.
fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let (here, next) = (bytes[at], bytes.get(at + 1).copied().unwrap_or(b' '));
        let goes_on = match here {
            b'0'..=b'9' | b'_' => true,
            b'.' => next.is_ascii_digit(),
            b'e' | b'E' => {
                next.is_ascii_digit()
                    || (matches!(next, b'+' | b'-') && bytes.get(at + 2).is_some_and(u8::is_ascii_digit))
            }
            b'+' | b'-' => at > 0 && matches!(bytes[at - 1], b'e' | b'E'),
            _ => false,
        };
        if !goes_on {
            break;
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_classes_and_nothing_is_lost() {
        let text = "let z = Dense(1e-3..10_000) // <a> & \"b\"\n\"x//y\" <- θ*2";
        let made = lines(text);
        assert_eq!(
            made[0],
            "<span class=\"k\">let</span> z = <span class=\"f\">Dense</span>(<span class=\"n\">1e-3</span>..\
             <span class=\"n\">10_000</span>) <span class=\"m\">// &lt;a&gt; &amp; &quot;b&quot;</span>"
        );
        assert_eq!(made[1], "<span class=\"s\">&quot;x//y&quot;</span> &lt;- θ*<span class=\"n\">2</span>");
    }

    #[test]
    fn any_text_ends() {
        for text in ["\"open", "/", "a / b", "é\u{301}×÷ 1.", "1e", "💥\"💥", "..1..", ""] {
            let plain: String = lines(text).concat();
            assert!(!plain.contains("<script"), "{text}");
        }
    }
}
