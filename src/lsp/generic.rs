//! The types inside a definition that no training of the file uses, in the words of its header: `float[.., units]`.
//!
//! The definition is called twice with different sizes ([`probe`]); what is the same in both is a number, and what differs is an
//! expression of the header's names, if a simple one fits both times.

use crate::sema::Modules;
use crate::sema::elab::probe::{self, Look, Probe};
use crate::sema::modules::DefId;
use crate::sema::record::Record;
use crate::source::SourceMap;

/// More than this added to a size is no sum that anybody wrote.
const LARGEST_OFFSET: i64 = 16;
/// Nor is a larger factor.
const LARGEST_FACTOR: i64 = 64;

/// The types of a definition of the main file.
pub fn types(modules: &Modules, sources: &SourceMap, id: DefId) -> Record {
    let mut out = Record::default();
    for second in [false, true] {
        let [a, b] = [0, 1].map(|sizes| probe::probe(modules, sources, id, Look { sizes, second }));
        let names = Names::new(&a, &b);
        let mut found = Record::default();
        for (span, first) in a.record.all().filter(|(span, _)| out.types(*span).is_empty()) {
            let texts = first.iter().zip(b.record.types(span));
            texts.filter_map(|(a, b)| names.general(a, b)).for_each(|text| found.add(span, text));
        }
        out.extend(found);
    }
    out
}

/// The header's names with their sizes in both calls.
struct Names<'a>(Vec<(&'a str, i64, i64)>);

impl<'a> Names<'a> {
    fn new(a: &'a Probe, b: &Probe) -> Names<'a> {
        let both = a.sizes.iter().zip(&b.sizes).filter(|((x, _), (y, _))| x == y);
        Names(both.map(|((name, a), (_, b))| (name.as_str(), *a, *b)).collect())
    }

    /// One type for those of both calls; a value that is not a size is left out.
    fn general(&self, a: &str, b: &str) -> Option<String> {
        if a == b {
            return Some(a.to_string());
        }
        if let (Some((ty, x)), Some((other, y))) = (a.split_once(" = "), b.split_once(" = ")) {
            let value = x.parse().ok().zip(y.parse().ok()).and_then(|(x, y)| self.expression(x, y));
            return (ty == other).then(|| value.map_or(ty.to_string(), |value| format!("{ty} = {value}")));
        }
        let (a, b) = (pieces(a), pieces(b));
        let one = |(a, b): (&Piece, &Piece)| match (a, b) {
            (Piece::Text(a), Piece::Text(b)) => (a == b).then(|| a.to_string()),
            (Piece::Number(a), Piece::Number(b)) if a == b => Some(a.to_string()),
            (Piece::Number(a), Piece::Number(b)) => Some(self.expression(*a, *b).unwrap_or_else(|| "?".into())),
            _ => None,
        };
        (a.len() == b.len()).then(|| a.iter().zip(&b).map(one).collect())?
    }

    /// What is `a` in one call and `b` in the other.
    fn expression(&self, a: i64, b: i64) -> Option<String> {
        // Of the sizes in a program; differences and products of them do not overflow.
        const LARGEST: i64 = 1 << 50;
        if ![a, b].iter().all(|size| (1..LARGEST).contains(size)) {
            return None;
        }
        let names = &self.0;
        let mut products: Vec<(String, i64, i64)> =
            names.iter().map(|(name, a, b)| (name.to_string(), *a, *b)).collect();
        // Products of two and three names: `N*T`, `H*W*C`.
        for length in [2, 3] {
            let shorter: Vec<_> =
                products.iter().filter(|(text, ..)| text.matches('*').count() == length - 2).cloned().collect();
            for (text, x, y) in shorter {
                let last = text.rsplit('*').next().unwrap_or_default().to_string();
                let from = names.iter().position(|(name, ..)| *name == last).unwrap_or(0);
                for (name, a, b) in &names[from..] {
                    if let (Some(x), Some(y)) = (x.checked_mul(*a), y.checked_mul(*b)) {
                        products.push((format!("{text}*{name}"), x, y));
                    }
                }
            }
        }
        let scaled = products.iter().find_map(|(text, x, y)| {
            let (over, under) = reduced(a, *x)?;
            (reduced(b, *y)? == (over, under)).then(|| match (over, under) {
                (1, 1) => text.clone(),
                (over, 1) => format!("{over}*{text}"),
                (1, under) => format!("{text}/{under}"),
                (over, under) => format!("{over}*{text}/{under}"),
            })
        });
        let moved = || {
            names.iter().find_map(|(name, x, y)| {
                let offset = a - x;
                (b - y == offset && offset.abs() <= LARGEST_OFFSET).then(|| match offset {
                    ..0 => format!("{name} - {}", -offset),
                    0.. => format!("{name} + {offset}"),
                })
            })
        };
        let sum = || {
            let pairs = names.iter().enumerate().flat_map(|(k, one)| names[k + 1..].iter().map(move |two| (one, two)));
            let mut pairs = pairs.filter(|(one, two)| one.1 + two.1 == a && one.2 + two.2 == b);
            pairs.next().map(|(one, two)| format!("{} + {}", one.0, two.0))
        };
        scaled.or_else(moved).or_else(sum)
    }
}

/// `a / b` in lowest terms, if they are small.
fn reduced(a: i64, b: i64) -> Option<(i64, i64)> {
    let (mut x, mut y) = (a.abs(), b.abs());
    while y != 0 {
        (x, y) = (y, x % y);
    }
    let (over, under) = (a.checked_div(x)?, b.checked_div(x)?);
    (0 < over && over <= LARGEST_FACTOR && under <= LARGEST_FACTOR).then_some((over, under))
}

#[derive(Debug, PartialEq)]
enum Piece<'t> {
    Text(&'t str),
    Number(i64),
}

/// Whole numbers, and what stands between them.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut out = vec![];
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let named = text.len() > rest.len() && text[..text.len() - rest.len()].ends_with(|c: char| c.is_alphanumeric());
        if digits > 0 && !named {
            out.push(rest[..digits].parse().map_or(Piece::Text(&rest[..digits]), Piece::Number));
            rest = &rest[digits..];
        } else {
            let end = digits + rest[digits..].find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len() - digits);
            out.push(Piece::Text(&rest[..end]));
            rest = &rest[end..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sema::load;

    #[test]
    fn sizes_become_names_again() {
        let names = Names(vec![("..", 192, 320), ("D", 448, 704), ("units", 832, 1088)]);
        for (a, b, expected) in [
            ("float[192, 832]", "float[320, 1088]", Some("float[.., units]")),
            ("float[192, 10]", "float[320, 10]", Some("float[.., 10]")),
            ("float[449, 224]", "float[705, 352]", Some("float[D + 1, D/2]")),
            ("float[372736, 1664]", "float[765952, 2176]", Some("float[D*units, 2*units]")),
            ("float[1280]", "float[1792]", Some("float[D + units]")),
            ("float[77]", "float[91]", Some("float[?]")),
            ("int = 448", "int = 704", Some("int = D")),
            ("float = 0.25", "float = 0.375", Some("float")),
            ("f32[192]", "f64[320]", None),
        ] {
            assert_eq!(names.general(a, b).as_deref(), expected, "{a} and {b}");
        }
    }

    /// The types of one definition, by the text of the expression.
    fn types_of(text: &str, of: &[&str]) -> Vec<String> {
        let mut sources = SourceMap::new();
        let file = sources.add("a.opt", text);
        let (modules, problems) = load(&mut sources, file, false, &|_| Err("no files".into()));
        assert!(problems.is_empty(), "{problems:?}");
        let record =
            types(&modules, &sources, DefId { module: modules.main_id(), item: modules.main().items.len() - 1 });
        let text_of = |wanted: &str| {
            let mut all: Vec<_> = record.all().filter(|(span, _)| sources.text(*span) == wanted).collect();
            all.sort_by_key(|(span, _)| span.start);
            all.first().map_or("nothing".into(), |(_, types)| types.join(" | "))
        };
        of.iter().map(|wanted| text_of(wanted)).collect()
    }

    #[test]
    fn a_layer_is_shown_in_the_words_of_its_header() {
        let text = "layer Mine(units: int, heads: int = 4)(x: float[.., D]) -> float[.., units] {\n  param w: float[D, units] = 0.1\n  let h = x @ w\n  let parts = reshape(x, [-1, heads, D / heads])\n  h + mean(parts)\n}\n";
        let found = types_of(text, &["x @ w", "D / heads", "reshape(x, [-1, heads, D / heads])", "heads"]);
        assert_eq!(found, ["float[.., units]", "int = D/4", "float[.., 4, D/4]", "int = 4"]);
    }

    #[test]
    fn rules_transforms_schedules_and_initializers_too() {
        let rule = "optimizer Mine(lr: schedule)(theta, g, t) {\n  state m = 0\n  m <- 0.9*m + g\n  theta <- theta - lr*m\n}\n";
        assert_eq!(types_of(rule, &["0.9*m + g"]), ["float[..], like the parameter"]);
        let matrix = "optimizer Mine(lr: schedule = 0.1)(theta: float[R, C], g, t) {\n  let s = g @ transpose(g)\n  let d = s @ g\n  theta <- theta - lr*d\n}\n";
        assert_eq!(types_of(matrix, &["g @ transpose(g)", "s @ g"]), ["float[R, R]", "float[R, C]"]);
        let transform = "transform halved()(g, theta, t) -> u = 0.5*g\n";
        assert_eq!(types_of(transform, &["0.5*g"]), ["float[..], like the parameter"]);
        let init = "init mine()(shape) = normal(shape, std = 2)\n";
        assert_eq!(types_of(init, &["normal(shape, std = 2)"]), ["float[in, out]"]);
        let loss =
            "loss mine()(z: float[N, C], y: int[N]) -> float = mean(logsumexp(z, axis = 1) - pick(z, y, axis = 1))\n";
        assert_eq!(types_of(loss, &["logsumexp(z, axis = 1)", "y"]), ["float[N]", "int[N]"]);
    }
}
