//! Expressions as LaTeX: fractions for quotients, roots, norms and brackets where the paper has them.

use super::scope::{Scope, is_about_shape};
use crate::syntax::ast::{Arg, BinOp, Block, Expr, ExprKind, Ident, IndexItem, StmtKind, UnOp};

/// How tightly a piece of LaTeX holds together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Binds {
    Choice,
    Or,
    And,
    Compare,
    Sum,
    Product,
    Prefix,
    Power,
    Atom,
}

struct Piece {
    text: String,
    binds: Binds,
}

fn piece(text: impl Into<String>, binds: Binds) -> Piece {
    Piece { text: text.into(), binds }
}

fn atom(text: impl Into<String>) -> Piece {
    piece(text, Binds::Atom)
}

/// Brackets that grow only around what is tall.
fn brackets(text: &str) -> String {
    let tall = ["\\frac", "\\sum", "\\begin", "\\left", "\\sqrt"];
    match tall.iter().any(|t| text.contains(t)) {
        true => format!("\\left({text}\\right)"),
        false => format!("({text})"),
    }
}

/// An expression, with names as the scope writes them.
pub fn latex(e: &Expr, scope: &Scope) -> String {
    of(e, scope).text
}

/// The expression, in brackets if it binds more loosely than `least`.
fn at_least(e: &Expr, least: Binds, scope: &Scope) -> String {
    let p = of(e, scope);
    if p.binds < least { brackets(&p.text) } else { p.text }
}

fn of(e: &Expr, scope: &Scope) -> Piece {
    if is_about_shape(e) && !scope.bare {
        return of(e, &scope.without_time());
    }
    match &e.kind {
        ExprKind::Int(n) => number(*n as f64),
        ExprKind::Float(x) => number(*x),
        ExprKind::Str(s) => atom(format!("\\text{{``{}''}}", escaped(s))),
        ExprKind::Bool(b) => atom(format!("\\mathrm{{{b}}}")),
        ExprKind::Name(name) => name_of(name, scope),
        ExprKind::List(items) => atom(format!("\\left[{}\\right]", list(items, scope))),
        ExprKind::Tuple(items) => atom(brackets(&list(items, scope))),
        ExprKind::Unary(UnOp::Neg, x) => piece(format!("-{}", at_least(x, Binds::Product, scope)), Binds::Sum),
        ExprKind::Unary(UnOp::Not, x) => piece(format!("\\neg {}", at_least(x, Binds::Power, scope)), Binds::Prefix),
        ExprKind::Binary(op, a, b) => binary(*op, a, b, e, scope),
        ExprKind::Pipe(x, f) => pipe(x, f, scope),
        ExprKind::Call(f, args) => call(f, args, scope),
        ExprKind::Index(x, items) => index(x, items, scope),
        ExprKind::Field(x, name) => atom(format!("{}.\\mathrm{{{}}}", latex(x, scope), escaped(&name.name))),
        ExprKind::If(cond, then, otherwise) => choice(cond, then, otherwise.as_ref(), scope),
        // What the body gives at each step.
        ExprKind::Scan(scan) => {
            let each =
                |(name, xs): &(Ident, Expr)| format!("{} \\in {}", name_of(&name.name, scope).text, latex(xs, scope));
            let items: Vec<String> = scan.items.iter().map(each).collect();
            let value = value(&scan.body).map_or_else(|| "\\cdots".into(), |e| latex(e, scope));
            atom(format!("\\left[{value}\\right]_{{{}}}", items.join(",\\, ")))
        }
        ExprKind::Range(a, b) => piece(format!("{}, \\dots, {} - 1", latex(a, scope), latex(b, scope)), Binds::Choice),
    }
}

fn name_of(name: &str, scope: &Scope) -> Piece {
    match name {
        "inf" => atom("\\infty"),
        "pi" => atom("\\pi"),
        "nan" => atom("\\mathrm{NaN}"),
        _ => {
            let (text, raised) = scope.written(name);
            piece(text, if raised { Binds::Power } else { Binds::Atom })
        }
    }
}

/// `1e-8` is 10^{-8}; `2.5e-7` a product.
fn number(x: f64) -> Piece {
    let plain = x.to_string();
    let size = x.abs();
    if size == 0.0 || (1e-3..1e6).contains(&size) {
        return piece(plain, if x < 0.0 { Binds::Sum } else { Binds::Atom });
    }
    let text = format!("{x:e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    match digits {
        "1" => piece(format!("10^{{{power}}}"), Binds::Power),
        _ => piece(format!("{digits} \\cdot 10^{{{power}}}"), Binds::Product),
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\backslash ").replace('_', "\\_").replace(['{', '}', '$', '%', '#', '&'], " ")
}

fn list(items: &[Expr], scope: &Scope) -> String {
    items.iter().map(|i| latex(i, scope)).collect::<Vec<_>>().join(", ")
}

fn binary(op: BinOp, a: &Expr, b: &Expr, whole: &Expr, scope: &Scope) -> Piece {
    let infix = |symbol: &str, left: Binds, right: Binds, binds: Binds| {
        piece(format!("{} {symbol} {}", at_least(a, left, scope), at_least(b, right, scope)), binds)
    };
    match op {
        BinOp::Add => infix("+", Binds::Sum, Binds::Product, Binds::Sum),
        BinOp::Sub => infix("-", Binds::Sum, Binds::Product, Binds::Sum),
        BinOp::Mul | BinOp::Div => quotient(whole, scope),
        BinOp::MatMul => infix("\\,", Binds::Product, Binds::Product, Binds::Product),
        BinOp::Rem => infix("\\bmod", Binds::Product, Binds::Prefix, Binds::Product),
        BinOp::Pow => power(a, b, scope),
        BinOp::Eq => infix("=", Binds::Sum, Binds::Sum, Binds::Compare),
        BinOp::Ne => infix("\\neq", Binds::Sum, Binds::Sum, Binds::Compare),
        BinOp::Lt => infix("<", Binds::Sum, Binds::Sum, Binds::Compare),
        BinOp::Le => infix("\\le", Binds::Sum, Binds::Sum, Binds::Compare),
        BinOp::Gt => infix(">", Binds::Sum, Binds::Sum, Binds::Compare),
        BinOp::Ge => infix("\\ge", Binds::Sum, Binds::Sum, Binds::Compare),
        BinOp::And => infix("\\wedge", Binds::And, Binds::Compare, Binds::And),
        BinOp::Or => infix("\\vee", Binds::Or, Binds::And, Binds::Or),
    }
}

fn power(base: &Expr, exponent: &Expr, scope: &Scope) -> Piece {
    if let ExprKind::Float(x) = exponent.kind
        && x == 0.5
    {
        return atom(format!("\\sqrt{{{}}}", latex(base, scope)));
    }
    let exponent = latex(exponent, scope);
    // A norm or sum in bars takes its power behind the bar.
    piece(format!("{}^{{{exponent}}}", at_least(base, Binds::Atom, scope)), Binds::Power)
}

/// A chain of products and quotients, read from left to right: one fraction, with leading hyper-parameters before it.
fn quotient(e: &Expr, scope: &Scope) -> Piece {
    let (mut over, mut under) = (vec![], vec![]);
    chain(e, &mut over, &mut under);
    if under.is_empty() {
        return piece(product(&over, scope), Binds::Product);
    }
    let leading = over.iter().take_while(|f| scope.is_hyper(f)).count().min(over.len() - 1);
    let (front, over) = over.split_at(leading);
    let top = if let [one] = over { latex(one, scope) } else { product(over, scope) };
    let bottom = if let [one] = under[..] { latex(one, scope) } else { product(&under, scope) };
    let fraction = format!("\\frac{{{top}}}{{{bottom}}}");
    match front {
        [] => atom_fraction(fraction),
        _ => piece(format!("{} {fraction}", product(front, scope)), Binds::Product),
    }
}

/// A fraction stands by itself in sums and products, but takes brackets under a power.
fn atom_fraction(text: String) -> Piece {
    piece(text, Binds::Prefix)
}

fn chain<'a>(e: &'a Expr, over: &mut Vec<&'a Expr>, under: &mut Vec<&'a Expr>) {
    match &e.kind {
        ExprKind::Binary(BinOp::Mul, a, b) => {
            chain(a, over, under);
            over.push(b);
        }
        ExprKind::Binary(BinOp::Div, a, b) => {
            chain(a, over, under);
            under.push(b);
        }
        _ => over.push(e),
    }
}

/// Factors side by side; a circle between two tensors, a dot before a digit.
fn product(factors: &[&Expr], scope: &Scope) -> String {
    let mut out = String::new();
    let mut tensor_before = false;
    for (k, factor) in factors.iter().enumerate() {
        let least = if k == 0 { Binds::Product } else { Binds::Prefix };
        let text = at_least(factor, least, scope);
        let is_tensor = scope.is_tensor(factor);
        if k > 0 {
            out += match text.starts_with(|c: char| c.is_ascii_digit()) {
                _ if is_tensor && tensor_before => " \\odot ",
                true => " \\cdot ",
                false => " \\, ",
            };
        }
        out += &text;
        tensor_before |= is_tensor;
    }
    out
}

fn pipe(x: &Expr, f: &Expr, scope: &Scope) -> Piece {
    match &f.kind {
        ExprKind::Name(name) => function(name, &[x], &[], scope),
        ExprKind::Call(callee, args) => match &callee.kind {
            ExprKind::Name(name) => {
                let (named, plain): (Vec<&Arg>, Vec<&Arg>) = args.iter().partition(|a| a.name.is_some());
                let mut inputs = vec![x];
                inputs.extend(plain.iter().map(|a| &a.value));
                function(name, &inputs, &named, scope)
            }
            _ => atom(format!("{}{}", latex(f, scope), brackets(&latex(x, scope)))),
        },
        _ => atom(format!("{}{}", latex(f, scope), brackets(&latex(x, scope)))),
    }
}

fn call(f: &Expr, args: &[Arg], scope: &Scope) -> Piece {
    let (named, plain): (Vec<&Arg>, Vec<&Arg>) = args.iter().partition(|a| a.name.is_some());
    let inputs: Vec<&Expr> = plain.iter().map(|a| &a.value).collect();
    match &f.kind {
        ExprKind::Name(name) => function(name, &inputs, &named, scope),
        // `all.norm(g)`: over all tensors of the group.
        ExprKind::Field(group, name) if matches!(&group.kind, ExprKind::Name(n) if n == "all") => {
            over_all(&name.name, &inputs, scope)
        }
        _ => atom(format!("{}{}", latex(f, scope), brackets(&arguments(&inputs, scope)))),
    }
}

fn arguments(inputs: &[&Expr], scope: &Scope) -> String {
    inputs.iter().map(|i| latex(i, scope)).collect::<Vec<_>>().join(", ")
}

fn over_all(name: &str, inputs: &[&Expr], scope: &Scope) -> Piece {
    let inside = arguments(inputs, scope);
    match (name, inputs) {
        ("norm", _) => atom(format!("\\left\\lVert {inside} \\right\\rVert_{{\\mathrm{{all}}}}")),
        ("sum", [x]) => {
            piece(format!("\\sum_{{\\mathrm{{all}}}} {}", at_least(x, Binds::Product, scope)), Binds::Product)
        }
        _ => atom(format!("\\operatorname{{{name}}}_{{\\mathrm{{all}}}}{}", brackets(&inside))),
    }
}

fn function(name: &str, inputs: &[&Expr], named: &[&Arg], scope: &Scope) -> Piece {
    let inside = || arguments(inputs, scope);
    let axis = named.iter().find(|a| a.name.as_ref().is_some_and(|n| n.name == "axis")).map(|a| latex(&a.value, scope));
    let subscript = axis.as_ref().map(|a| format!("_{{{a}}}")).unwrap_or_default();
    let bars = |bar: &str, x: &Expr| atom(format!("\\left\\l{bar} {} \\right\\r{bar}{subscript}", latex(x, scope)));
    match (name, inputs) {
        ("sqrt", [x]) => atom(format!("\\sqrt{{{}}}", latex(x, scope))),
        ("rsqrt", [x]) => atom_fraction(format!("\\frac{{1}}{{\\sqrt{{{}}}}}", latex(x, scope))),
        ("square", [x]) => piece(format!("{}^{{2}}", at_least(x, Binds::Atom, scope)), Binds::Power),
        ("abs", [x]) => bars("vert", x),
        ("norm", [x]) => bars("Vert", x),
        ("exp", [x]) => piece(format!("e^{{{}}}", latex(x, scope)), Binds::Power),
        ("sum", [x]) => piece(format!("\\sum{subscript} {}", at_least(x, Binds::Product, scope)), Binds::Product),
        ("dot", [x, y]) => atom(format!("\\left\\langle {}, {} \\right\\rangle", latex(x, scope), latex(y, scope))),
        ("transpose", [x]) => piece(format!("{}^{{\\top}}", at_least(x, Binds::Atom, scope)), Binds::Power),
        ("floor" | "ceil", [x]) => atom(format!("\\left\\l{name} {} \\right\\r{name}", latex(x, scope))),
        ("logistic" | "sigmoid", [x]) => atom(format!("\\sigma{}", brackets(&latex(x, scope)))),
        ("atan", [x]) => atom(format!("\\arctan{}", brackets(&latex(x, scope)))),
        ("log" | "tanh" | "sin" | "cos", [x]) => atom(format!("\\{name}{}", brackets(&latex(x, scope)))),
        ("minimum", [Expr { kind: ExprKind::Call(f, args), .. }, high])
            if matches!(&f.kind, ExprKind::Name(n) if n == "maximum") && args.len() == 2 =>
        {
            let (x, low) = (&args[0].value, &args[1].value);
            atom(format!("\\operatorname{{clip}}{}", brackets(&arguments(&[x, low, high], scope))))
        }
        ("clamp", _) => atom(format!("\\operatorname{{clip}}{}", brackets(&with_named(inputs, named, scope)))),
        ("maximum" | "max", _) => atom(format!("\\max{subscript}{}", brackets(&inside()))),
        ("minimum" | "min", _) => atom(format!("\\min{subscript}{}", brackets(&inside()))),
        ("where", [c, a, b]) => chosen(c, a, b, scope),
        ("float", [x]) if is_condition(x) => atom(format!("\\mathbb{{1}}\\left[{}\\right]", latex(x, scope))),
        ("float" | "stop_gradient", [x]) => of(x, scope),
        // Shapes are what the symbols have already; formulas do not show how numbers lie.
        ("reshape" | "broadcast", [x, _]) => of(x, scope),
        ("grad_at", [x]) => atom(format!("\\nabla f{}", brackets(&latex(x, scope)))),
        ("hvp", [x]) => {
            let point = scope.written("theta").0;
            piece(format!("\\nabla^2 f({point}) \\, {}", at_least(x, Binds::Prefix, scope)), Binds::Product)
        }
        _ => {
            let head = match scope.knows(name) {
                true => scope.written(name).0,
                false => format!("\\operatorname{{{}}}", escaped(name)),
            };
            let keep: Vec<&Arg> = named
                .iter()
                .copied()
                .filter(|a| a.name.as_ref().is_none_or(|n| n.name != "axis" && n.name != "keep"))
                .collect();
            atom(format!("{head}{subscript}{}", brackets(&with_named(inputs, &keep, scope))))
        }
    }
}

fn with_named(inputs: &[&Expr], named: &[&Arg], scope: &Scope) -> String {
    let mut all: Vec<String> = inputs.iter().map(|i| latex(i, scope)).collect();
    for arg in named {
        let name = arg.name.as_ref().map_or("", |n| &n.name);
        all.push(format!("{} = {}", super::names::symbol(name, &[]).at(None), latex(&arg.value, scope)));
    }
    all.join(", ")
}

fn is_condition(e: &Expr) -> bool {
    use BinOp::{And, Eq, Ge, Gt, Le, Lt, Ne, Or};
    matches!(&e.kind, ExprKind::Binary(Eq | Ne | Lt | Le | Gt | Ge | And | Or, ..))
}

fn index(x: &Expr, items: &[IndexItem], scope: &Scope) -> Piece {
    let at: Vec<String> = items
        .iter()
        .filter_map(|item| match item {
            IndexItem::At(e) => Some(latex(e, scope)),
            IndexItem::Slice { start, end, .. } => {
                let part = |e: &Option<Expr>| e.as_ref().map(|e| latex(e, scope)).unwrap_or_default();
                Some(format!("{}:{}", part(start), part(end)))
            }
            IndexItem::Rest(_) | IndexItem::New(_) => None,
        })
        .collect();
    let inside = at_least(x, Binds::Atom, scope);
    match at.is_empty() {
        true => atom(inside),
        false => atom(format!("{inside}\\left[{}\\right]", at.join(", "))),
    }
}

/// The value of a block that is one expression.
fn value(block: &Block) -> Option<&Expr> {
    match block.stmts.last().map(|s| &s.kind) {
        Some(StmtKind::Expr(e)) => Some(e),
        _ => None,
    }
}

fn choice(cond: &Expr, then: &Block, otherwise: Option<&Block>, scope: &Scope) -> Piece {
    let text = |block: &Block| value(block).map_or_else(|| "\\cdots".into(), |e| latex(e, scope));
    let mut rows = vec![(text(then), latex(cond, scope))];
    let mut rest = otherwise;
    while let Some(block) = rest {
        // `else if` is one more row.
        match value(block).map(|e| &e.kind) {
            Some(ExprKind::If(cond, then, otherwise)) => {
                rows.push((text(then), latex(cond, scope)));
                rest = otherwise.as_ref();
            }
            _ => return cases(&rows, &text(block)),
        }
    }
    cases(&rows, "\\cdots")
}

/// `where(c, a, where(d, b, x))` is one list of cases.
fn chosen(c: &Expr, a: &Expr, b: &Expr, scope: &Scope) -> Piece {
    let mut rows = vec![(latex(a, scope), latex(c, scope))];
    let mut rest = b;
    while let ExprKind::Call(f, args) = &rest.kind
        && matches!(&f.kind, ExprKind::Name(n) if n == "where")
        && let [c, a, b] = &args[..]
    {
        rows.push((latex(&a.value, scope), latex(&c.value, scope)));
        rest = &b.value;
    }
    cases(&rows, &latex(rest, scope))
}

fn cases(rows: &[(String, String)], otherwise: &str) -> Piece {
    let mut text = String::from("\\begin{cases} ");
    for (value, cond) in rows {
        text += &format!("{value} & \\text{{if }} {cond} \\\\ ");
    }
    text += &format!("{otherwise} & \\text{{otherwise}} \\end{{cases}}");
    atom(text)
}
