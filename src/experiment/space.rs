//! The values that a sweep chooses from: `lr in log(1e-4 .. 1e-1), hidden in [64, 128, 256], width in 8 .. 64`.

use crate::diag::{Diagnostic, error};
use crate::source::{SourceMap, Span};
use crate::syntax::ast::{BinOp, Expr, ExprKind, Ident, UnOp};

/// One hyper-parameter of a sweep.
#[derive(Clone, Debug)]
pub struct Dimension {
    pub name: String,
    pub kind: Kind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Kind {
    /// From `low` to `high`, both included.
    Float {
        low: f64,
        high: f64,
        log: bool,
    },
    Int {
        low: i64,
        high: i64,
        log: bool,
    },
    /// One of a list: the expressions, and their texts.
    Choice(Vec<(String, Expr)>),
}

/// A value of a dimension: how the user would write it, and the expression.
#[derive(Clone, Debug)]
pub struct Point {
    pub text: String,
    pub expr: Expr,
}

impl Dimension {
    /// Reads `name in values`.
    pub fn parse(name: &Ident, values: &Expr, sources: &SourceMap) -> Result<Dimension, Diagnostic> {
        let kind = match &values.kind {
            ExprKind::List(items) if !items.is_empty() => {
                let text = |e: &Expr| sources.text(e.span).split_whitespace().collect::<Vec<_>>().join(" ");
                Kind::Choice(items.iter().map(|e| (text(e), e.clone())).collect())
            }
            ExprKind::Range(low, high) => range(low, high, false, values.span)?,
            ExprKind::Call(f, args) if matches!(&f.kind, ExprKind::Name(n) if n == "log") => match args.as_slice() {
                [arg] if arg.name.is_none() => match &arg.value.kind {
                    ExprKind::Range(low, high) => range(low, high, true, values.span)?,
                    _ => return Err(not_values(name, values.span)),
                },
                _ => return Err(not_values(name, values.span)),
            },
            _ => return Err(not_values(name, values.span)),
        };
        Ok(Dimension { name: name.name.clone(), kind, span: values.span })
    }

    /// How many values there are, if they can be counted.
    pub fn count(&self) -> Option<usize> {
        match &self.kind {
            Kind::Choice(items) => Some(items.len()),
            Kind::Int { low, high, .. } => usize::try_from(high - low + 1).ok(),
            Kind::Float { .. } => None,
        }
    }

    /// The value at a place between 0 and 1.
    pub fn at(&self, place: f64) -> Point {
        let place = place.clamp(0.0, 1.0);
        let between = |low: f64, high: f64, log: bool| {
            if log { (low.ln() + place * (high.ln() - low.ln())).exp() } else { low + place * (high - low) }
        };
        let point = |text: String, kind| Point { text, expr: Expr { kind, span: self.span } };
        match &self.kind {
            Kind::Float { low, high, log } => {
                // Three digits are more than a choice of this kind means, and can be typed again.
                let value: f64 = format!("{:.2e}", between(*low, *high, *log)).parse().unwrap_or(*low);
                let value = value.clamp(*low, *high);
                let small = value != 0.0 && !(1e-3..1e6).contains(&value.abs());
                let text = if small { format!("{value:e}") } else { format!("{value}") };
                point(text, ExprKind::Float(value))
            }
            Kind::Int { low, high, log } => {
                // Every integer has an equal part of the way.
                let value = if *log {
                    between(*low as f64 - 0.5, *high as f64 + 0.5, true).round() as i64
                } else {
                    low + ((high - low + 1) as f64 * place).floor() as i64
                };
                let value = value.clamp(*low, *high);
                point(value.to_string(), ExprKind::Int(value))
            }
            Kind::Choice(items) => {
                let index = ((items.len() as f64 * place) as usize).min(items.len() - 1);
                Point { text: items[index].0.clone(), expr: items[index].1.clone() }
            }
        }
    }

    /// The places of a grid: all values that can be counted, else so many at equal distances.
    pub fn grid(&self, points: usize) -> Vec<f64> {
        match (&self.kind, self.count()) {
            (Kind::Choice(items), _) => middles(items.len()),
            (Kind::Int { log: false, .. }, Some(count)) if count <= points => middles(count),
            (Kind::Int { log: false, .. }, _) => middles(points),
            _ if points == 1 => vec![0.5],
            _ => (0..points).map(|k| k as f64 / (points - 1) as f64).collect(),
        }
    }

    /// For a report: `log 0.0001 to 0.1`.
    pub fn describe(&self) -> String {
        let scale = |log: bool| if log { "log " } else { "" };
        match &self.kind {
            Kind::Float { low, high, log } => format!("{}{low} to {high}", scale(*log)),
            Kind::Int { low, high, log } => format!("{}{low} to {high}, whole", scale(*log)),
            Kind::Choice(items) => items.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(", "),
        }
    }
}

/// The middles of so many equal parts.
fn middles(count: usize) -> Vec<f64> {
    (0..count).map(|k| (k as f64 + 0.5) / count as f64).collect()
}

fn not_values(name: &Ident, at: Span) -> Diagnostic {
    error("E0308", format!("these are no values for '{}'", name.name))
        .at(at, "expected a list, a range, or log of a range")
        .help("for example `[64, 128]`, `8 .. 64`, `0.0 .. 0.5` or `log(1e-4 .. 1e-1)`")
}

fn range(low: &Expr, high: &Expr, log: bool, at: Span) -> Result<Kind, Diagnostic> {
    let wrong = |text: &str| error("E0308", "the range is wrong").at(at, text);
    let number = |e: &Expr| constant(e).ok_or_else(|| wrong("its ends must be numbers"));
    let (a, b) = (number(low)?, number(high)?);
    if !(a < b && a.is_finite() && b.is_finite()) {
        return Err(wrong("the first end must be less than the second"));
    }
    if log && a <= 0.0 {
        return Err(wrong("a range inside log must be positive"));
    }
    let whole = |e: &Expr| matches!(&e.kind, ExprKind::Int(_));
    let negative_whole = |e: &Expr| matches!(&e.kind, ExprKind::Unary(UnOp::Neg, x) if whole(x));
    let is_int = |e: &Expr| whole(e) || negative_whole(e);
    if is_int(low) && is_int(high) && a.abs().max(b.abs()) > 2f64.powi(53) {
        return Err(wrong("its ends must be at most 2^53"));
    }
    Ok(match is_int(low) && is_int(high) {
        true => Kind::Int { low: a as i64, high: b as i64, log },
        false => Kind::Float { low: a, high: b, log },
    })
}

/// The value of a number, or of arithmetic on numbers.
fn constant(e: &Expr) -> Option<f64> {
    match &e.kind {
        ExprKind::Int(v) => Some(*v as f64),
        ExprKind::Float(v) => Some(*v),
        ExprKind::Unary(UnOp::Neg, x) => Some(-constant(x)?),
        ExprKind::Binary(op, a, b) => {
            let (a, b) = (constant(a)?, constant(b)?);
            match op {
                BinOp::Add => Some(a + b),
                BinOp::Sub => Some(a - b),
                BinOp::Mul => Some(a * b),
                BinOp::Div => Some(a / b),
                BinOp::Pow => Some(a.powf(b)),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::syntax::parse_expr;

    pub fn dimension(name: &str, text: &str) -> Result<Dimension, Diagnostic> {
        let mut sources = SourceMap::new();
        let file = sources.add("values", text);
        let expr = parse_expr(&sources, file).expect("an expression");
        Dimension::parse(&Ident { name: name.into(), span: expr.span }, &expr, &sources)
    }

    fn texts(values: &str, places: &[f64]) -> Vec<String> {
        let dimension = dimension("x", values).expect("values");
        places.iter().map(|p| dimension.at(*p).text).collect()
    }

    #[test]
    fn places_become_values() {
        assert_eq!(texts("log(1e-4 .. 1e-1)", &[0.0, 0.5, 1.0]), ["1e-4", "0.00316", "0.1"]);
        assert_eq!(texts("0.0 .. 0.5", &[0.0, 0.123456, 1.0]), ["0", "0.0617", "0.5"]);
        assert_eq!(texts("1 .. 3", &[0.0, 0.32, 0.34, 0.99, 1.0]), ["1", "1", "2", "3", "3"]);
        assert_eq!(texts("log(8 .. 512)", &[0.0, 0.5, 1.0]), ["8", "62", "512"]);
        assert_eq!(texts("[SGD(0.1),  Adam()]", &[0.0, 0.5, 1.0]), ["SGD(0.1)", "Adam()", "Adam()"]);
        assert_eq!(texts("-2^2 .. 2^-1", &[0.0, 1.0]), ["-4", "0.5"]);
    }

    #[test]
    fn wrong_values_are_refused() {
        for wrong in
            ["3", "log(3)", "log(0.0 .. 1.0)", "2 .. 1", "[]", "a .. b", "log(1 .. 2, 3)", "0 .. 9223372036854775807"]
        {
            let found = dimension("x", wrong).expect_err(wrong);
            assert_eq!(found.code, "E0308", "{wrong}");
        }
    }

    #[test]
    fn a_grid_has_every_value_or_equal_distances() {
        let grid = |text: &str, points| {
            let dimension = dimension("x", text).expect("values");
            dimension.grid(points).into_iter().map(|p| dimension.at(p).text).collect::<Vec<_>>()
        };
        assert_eq!(grid("[a, b, c]", 2), ["a", "b", "c"]);
        assert_eq!(grid("1 .. 4", 9), ["1", "2", "3", "4"]);
        assert_eq!(grid("log(0.01 .. 1.0)", 3), ["0.01", "0.1", "1"]);
    }
}
