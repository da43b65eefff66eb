//! Types of definitions against values: dimension variables are solved and remember where they came from.

use super::{DimBinding, Elab, Failed, R, Rest};
use crate::diag::shapes::{Align, Row, draw};
use crate::diag::{Diagnostic, error};
use crate::ir::DType;
use crate::sema::value::{Layout, Tensor, Value};
use crate::source::Span;
use crate::syntax::ast::{BinOp, DimExpr, Expr, ExprKind, TypeExpr};

impl Elab<'_> {
    /// The element type that a type's name stands for, if it is a tensor type.
    pub fn dtype_named(&self, name: &str) -> Option<DType> {
        Some(match name {
            "float" => self.float,
            "f32" => DType::F32,
            "f64" => DType::F64,
            "int" => DType::I32,
            "bool" => DType::Bool,
            _ => return None,
        })
    }

    /// Checks a tensor argument against the declared type of an input, solving dimension variables of the frame.
    /// `at` is the argument's place in the call.
    pub fn match_input(&mut self, name: &str, ty: &TypeExpr, value: Value, at: Span) -> R<Value> {
        let Some(dtype) = self.dtype_named(&ty.base.name) else { return Ok(value) };
        let Some(dims) = &ty.dims else {
            // `float` without brackets is a scalar.
            return self.match_scalar(name, ty, dtype, value, at);
        };
        self.check_element_type(name, ty, dtype, &value, at)?;
        let tensor = self.tensor_of_type(value, dtype, at)?;
        // A value that stands for many tensors fits `float[..]` and nothing narrower.
        if tensor.layout != Layout::Plain && matches!(dims.as_slice(), [DimExpr::Rest(_)]) {
            return Ok(Value::Tensor(tensor));
        }
        let text = format!("{name}: {}", self.ir_type_text(&self.graph.ty(tensor.node).clone()));
        let shape = self.shape_of(tensor)?;
        self.solve_dims(dims, &shape, ty, &text, at)?;
        Ok(Value::Tensor(tensor))
    }

    /// The same refusal as in [`Elab::tensor_of_type`], in terms of the input that the value is for.
    fn check_element_type(&mut self, name: &str, ty: &TypeExpr, dtype: DType, value: &Value, at: Span) -> R<()> {
        let Value::Tensor(tensor) = value else { return Ok(()) };
        let found = self.graph.dtype(tensor.node);
        if found == dtype || tensor.weak && dtype.is_float() {
            return Ok(());
        }
        let (want, have) = (self.dtype_text(dtype), self.dtype_text(found));
        let code = if found == DType::I32 && dtype.is_float() { "E0208" } else { "E0204" };
        let given = self.sources.text(at).to_string();
        let d = error(code, format!("'{name}' takes {want} values, not {have} values"))
            .at(at, format!("this is {}", self.type_text(value)))
            .at(ty.span, format!("declared as {}", self.sources.text(ty.span)));
        Err(self.fail(match given.contains('\n') {
            true => d.help(format!("convert it: `{want}(…)`")),
            false => d.help(format!("convert it: `{want}({given})`")).edit(at, format!("{want}({given})")),
        }))
    }

    fn match_scalar(&mut self, name: &str, ty: &TypeExpr, dtype: DType, value: Value, at: Span) -> R<Value> {
        match &value {
            Value::Int(_) if dtype.is_float() || dtype == DType::I32 => Ok(value),
            Value::Float(_) if dtype.is_float() => Ok(value),
            Value::Bool(_) if dtype == DType::Bool => Ok(value),
            Value::Tensor(t) => {
                let found = self.graph.ty(t.node).clone();
                let fits = t.weak && dtype.is_float() || found.dtype == dtype;
                if t.layout == Layout::Plain && !found.shape.is_empty() || !fits {
                    let found = self.ir_type_text(&found);
                    return Err(self.fail(
                        error("E0204", format!("'{name}' takes a {}, not {found}", ty.base.name))
                            .at(at, format!("this is {found}"))
                            .at(ty.span, "declared here"),
                    ));
                }
                Ok(value)
            }
            Value::Poison => Err(Failed::Reported),
            other => {
                let found = other.describe();
                Err(self.fail(
                    error("E0204", format!("'{name}' takes a {}, not {found}", ty.base.name))
                        .at(at, format!("this is {found}"))
                        .at(ty.span, "declared here"),
                ))
            }
        }
    }

    /// The value as a tensor of this element type; numbers and lists become constants, nothing else is converted.
    pub fn tensor_of_type(&mut self, value: Value, dtype: DType, at: Span) -> R<Tensor> {
        if dtype == DType::Bool && value.number().is_some() {
            let found = value.describe();
            return Err(self.fail(
                error("E0204", format!("expected true or false, found {found}"))
                    .at(at, format!("this is {found}"))
                    .help("write a comparison, such as `x > 0`"),
            ));
        }
        let fraction = if dtype == DType::I32 { first_fraction(&value) } else { None };
        if let Some(v) = fraction {
            return Err(self.fail(
                error("E0208", format!("expected integers, found {v}")).at(at, format!("{v} is not a whole number")),
            ));
        }
        let tensor = self.to_tensor(value, Some(dtype), at)?;
        let found = self.graph.dtype(tensor.node);
        if found == dtype {
            return Ok(Tensor { weak: false, ..tensor });
        }
        if tensor.weak && dtype.is_float() {
            let node = self.build(at).convert(tensor.node, dtype);
            return Ok(Tensor { node, weak: false, ..tensor });
        }
        let want = self.dtype_text(dtype);
        let have = self.dtype_text(found);
        let code = if found == DType::I32 && dtype.is_float() { "E0208" } else { "E0204" };
        let d = error(code, format!("expected {want} values, found {have} values"))
            .at(at, format!("these are {have}"))
            .help(format!("convert it: `{want}(…)`"));
        let d = if dtype == DType::Bool { d } else { self.wrap(d, at, want) };
        Err(self.fail(d))
    }

    pub fn dtype_text(&self, dtype: DType) -> &'static str {
        match dtype {
            d if d == self.float => "float",
            DType::I32 => "int",
            d => d.name(),
        }
    }

    /// Solves `dims` against an actual shape.
    fn solve_dims(&mut self, dims: &[DimExpr], shape: &[usize], ty: &TypeExpr, text: &str, at: Span) -> R<()> {
        let rest = dims.iter().position(|d| matches!(d, DimExpr::Rest(_)));
        let fixed = dims.len() - usize::from(rest.is_some());
        let fits = if rest.is_some() { shape.len() >= fixed } else { shape.len() == fixed };
        if !fits {
            let least = if rest.is_some() { "at least " } else { "" };
            let (name, found) = text.split_once(": ").unwrap_or(("this", text));
            let (wanted, given) = (axes_text(fixed), axes_text(shape.len()));
            let d = error("E0203", format!("'{name}' takes a tensor of {least}{wanted}, not of {given}"))
                .at(at, format!("this is {found}"))
                .at(ty.span, format!("declared as {}", self.sources.text(ty.span)));
            let d = d.maybe_help(rank_help(fixed, rest.is_some(), shape));
            let spare = shape.len() == fixed + 1 && shape.last() == Some(&1);
            return Err(self.fail(if spare { self.drop_last_axis(d, at) } else { d }));
        }
        self.note_text(ty.span, text.split_once(": ").map_or(text, |(_, found)| found));
        // Plain variables first: they are what arithmetic in the other dimensions is made of.
        let after = rest.map_or(0, |r| shape.len() - (dims.len() - r - 1));
        let mut later = vec![];
        for (k, dim) in dims.iter().enumerate() {
            let axis = match rest {
                Some(r) if k > r => after + (k - r - 1),
                _ => k,
            };
            match dim {
                DimExpr::Rest(span) => {
                    let axes = shape[k..after].to_vec();
                    self.bind_rest(axes, *span, text, at)?;
                }
                DimExpr::Size(expr) => match &expr.kind {
                    ExprKind::Name(name) if is_dim_variable(name) => {
                        self.bind_dim(name, expr.span, shape[axis], text, at)?
                    }
                    _ => later.push((expr, axis)),
                },
            }
        }
        for (expr, axis) in later {
            self.solve_size(expr, axis, &Given { shape, ty, text, at })?;
        }
        Ok(())
    }

    fn bind_rest(&mut self, axes: Vec<usize>, span: Span, text: &str, at: Span) -> R<()> {
        match self.frame().rest.clone() {
            Some(known) if known.axes != axes => {
                let (a, b) = (&known.axes, &axes);
                let spare = |long: &[usize], short: &[usize]| long.strip_suffix(&[1]) == Some(short);
                let name = |text: &str| text.split_once(':').map_or("x".to_string(), |(name, _)| name.to_string());
                let drop = |name| format!("drop the axis of size 1 of '{name}': `[.., 0]`");
                let d = error("E0203", format!("shapes disagree: '..' is {a:?} and {b:?}"))
                    .at(at, text)
                    .at(known.span, &known.origin)
                    .at(span, "'..' must be the same axes in every input");
                Err(self.fail(if spare(b, a) {
                    self.drop_last_axis(d.help(drop(name(text))), at)
                } else if spare(a, b) {
                    self.drop_last_axis(d.help(drop(name(&known.origin))), known.span)
                } else {
                    d
                }))
            }
            _ => {
                self.frame().rest = Some(Rest { axes, span: at, origin: text.to_string() });
                Ok(())
            }
        }
    }

    /// The mend of a value whose last axis, of size 1, is one too many.
    pub fn drop_last_axis(&self, d: Diagnostic, at: Span) -> Diagnostic {
        let text = self.sources.text(at);
        match text.contains('\n') {
            true => d,
            false if is_primary(text) => d.edit(at, format!("{text}[.., 0]")),
            false => d.edit(at, format!("({text})[.., 0]")),
        }
    }

    /// The mend of a value that a function has to be applied to.
    pub fn wrap(&self, d: Diagnostic, at: Span, function: &str) -> Diagnostic {
        let text = self.sources.text(at);
        if text.contains('\n') { d } else { d.edit(at, format!("{function}({text})")) }
    }

    fn bind_dim(&mut self, name: &str, declared: Span, size: usize, text: &str, at: Span) -> R<()> {
        self.note(declared, &Value::Int(size as i64));
        if let Some(known) = self.frame().dims.get(name).cloned() {
            if known.size == size {
                return Ok(());
            }
            return Err(self.fail(
                error("E0203", format!("shapes disagree: {name} is {} and {size}", known.size))
                    .at(at, format!("{name} = {size} from {text}"))
                    .at(known.span, format!("{name} = {} from {}", known.size, known.origin))
                    .at(declared, format!("'{name}' must be one size in every input")),
            ));
        }
        let binding = DimBinding { size, span: at, origin: text.to_string() };
        self.frame().dims.insert(name.to_string(), binding);
        Ok(())
    }

    /// A dimension given by arithmetic: checked, or solved for its one unknown variable (linear).
    fn solve_size(&mut self, expr: &Expr, axis: usize, given: &Given<'_>) -> R<()> {
        let Given { shape, ty, text, at } = *given;
        let size = shape[axis];
        let mut unknown = vec![];
        self.unknown_dims(expr, &mut unknown);
        unknown.dedup();
        match unknown.as_slice() {
            [] => {
                let expected = self.dim_size(expr)?;
                if expected == size {
                    return Ok(());
                }
                let notes = self.dim_notes(expr);
                let mut d = error("E0203", format!("axis {axis} has size {size}, expected {expected}"))
                    .at(at, text)
                    .at(expr.span, format!("`{}` is {expected}", self.sources.text(expr.span)));
                d.notes.extend(notes);
                d.notes.extend(self.drawn_input(ty, shape));
                Err(self.fail(d))
            }
            [name] => {
                let at_value = |this: &Self, v: i64| this.eval_dim(expr, Some((name, v)));
                if let (Some(zero), Some(one)) = (at_value(self, 0), at_value(self, 1))
                    && one != zero
                    && (size as i64 - zero) % (one - zero) == 0
                {
                    let solved = (size as i64 - zero) / (one - zero);
                    if solved >= 0 && at_value(self, solved) == Some(size as i64) {
                        return self.bind_dim(name, expr.span, solved as usize, text, at);
                    }
                }
                Err(self.unsolved(expr, at, &format!("no '{name}' makes it {size}")))
            }
            _ => Err(self.unsolved(expr, at, "it has more than one unknown")),
        }
    }

    fn unsolved(&mut self, expr: &Expr, at: Span, why: &str) -> Failed {
        let text = self.sources.text(expr.span).to_string();
        self.fail(
            error("E0209", format!("cannot solve the dimension `{text}`: {why}"))
                .at(at, "for this argument")
                .at(expr.span, "declared here"),
        )
    }

    fn unknown_dims(&self, expr: &Expr, out: &mut Vec<String>) {
        match &expr.kind {
            ExprKind::Name(name) => {
                let known = self.frames.last().is_some_and(|f| f.dims.contains_key(name));
                if !known && is_dim_variable(name) && self.local(name).is_none() && !out.contains(name) {
                    out.push(name.clone());
                }
            }
            ExprKind::Unary(_, x) => self.unknown_dims(x, out),
            ExprKind::Binary(_, x, y) => {
                self.unknown_dims(x, out);
                self.unknown_dims(y, out);
            }
            _ => {}
        }
    }

    /// `D = 784 from x: float[128, 784]` for each variable of the expression.
    pub fn dim_notes(&self, expr: &Expr) -> Vec<String> {
        let mut names = vec![];
        collect_names(expr, &mut names);
        let frame = self.frames.last();
        let note = |name: String| frame?.dims.get(&name).map(|b| format!("{name} = {} from {}", b.size, b.origin));
        names.into_iter().filter_map(note).collect()
    }

    /// Dimension arithmetic on whole numbers: `/` rounds down.
    fn eval_dim(&self, expr: &Expr, assume: Option<(&str, i64)>) -> Option<i64> {
        match &expr.kind {
            ExprKind::Int(v) => Some(*v),
            ExprKind::Name(name) => {
                if let Some((assumed, value)) = assume
                    && assumed == name
                {
                    return Some(value);
                }
                match self.local(name) {
                    Some(Value::Int(v)) => Some(*v),
                    Some(Value::Float(v)) if v.fract() == 0.0 => Some(*v as i64),
                    Some(_) => None,
                    None => self.frames.last()?.dims.get(name).map(|b| b.size as i64),
                }
            }
            ExprKind::Unary(crate::syntax::ast::UnOp::Neg, x) => self.eval_dim(x, assume)?.checked_neg(),
            ExprKind::Binary(op, x, y) => {
                let (x, y) = (self.eval_dim(x, assume)?, self.eval_dim(y, assume)?);
                match op {
                    BinOp::Add => x.checked_add(y),
                    BinOp::Sub => x.checked_sub(y),
                    BinOp::Mul => x.checked_mul(y),
                    BinOp::Div => (y != 0).then(|| x.div_euclid(y)),
                    BinOp::Rem => (y != 0).then(|| x.rem_euclid(y)),
                    BinOp::Pow => u32::try_from(y).ok().and_then(|y| x.checked_pow(y)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The size that a dimension expression stands for.
    pub fn dim_size(&mut self, expr: &Expr) -> R<usize> {
        let value = match self.eval_dim(expr, None) {
            Some(v) => v,
            None => match self.expr(expr)? {
                Value::Int(v) => v,
                other => {
                    let found = self.type_text(&other);
                    return Err(self.fail(
                        error("E0211", "a dimension must be an integer known at compile time")
                            .at(expr.span, format!("this is {found}")),
                    ));
                }
            },
        };
        match usize::try_from(value) {
            Ok(size) if size <= MAX_SIZE => Ok(size),
            _ => {
                let notes = self.dim_notes(expr);
                let text = format!("`{}` is {value}", self.sources.text(expr.span));
                let mut d = error("E0203", format!("a dimension cannot be {value}")).at(expr.span, text);
                d.notes.extend(notes);
                Err(self.fail(d))
            }
        }
    }

    /// The sizes of a local list of sizes (`let sizes = shape(x)[1:]`), which stands for as many axes in a declaration.
    fn dim_list(&self, expr: &Expr) -> Option<Vec<usize>> {
        let ExprKind::Name(name) = &expr.kind else { return None };
        let Some(Value::List(items)) = self.local(name) else { return None };
        let size = |v: &Value| if let Value::Int(v) = v { usize::try_from(*v).ok() } else { None };
        items.iter().map(size).collect()
    }

    /// The shape that a declared type stands for, every dimension known (`param`, `state`, results).
    pub fn shape_named(&mut self, dims: &[DimExpr]) -> R<Vec<usize>> {
        let mut shape = vec![];
        for dim in dims {
            match dim {
                DimExpr::Rest(span) => match self.frame().rest.clone() {
                    Some(rest) => shape.extend(rest.axes),
                    None => {
                        return Err(self.fail(
                            error("E0209", "'..' is not known here").at(*span, "no input has an axis list '..'"),
                        ));
                    }
                },
                DimExpr::Size(expr) => match self.dim_list(expr) {
                    Some(sizes) => shape.extend(sizes),
                    None => shape.push(self.dim_size(expr)?),
                },
            }
        }
        let elements = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| *n <= MAX_SIZE);
        if elements.is_none() {
            let span = match dims.first() {
                Some(DimExpr::Rest(span)) => *span,
                Some(DimExpr::Size(e)) => e.span,
                None => Span::default(),
            };
            return Err(self.fail(error("E0203", format!("a tensor of shape {shape:?} is too large")).at(span, "here")));
        }
        Ok(shape)
    }

    /// Checks the value of a body against the declared result type.
    pub fn match_result(&mut self, ty: &TypeExpr, value: Value, title: &str, at: Span) -> R<Value> {
        let (Some(dtype), Value::Tensor(tensor)) = (self.dtype_named(&ty.base.name), &value) else {
            return Ok(value);
        };
        let tensor = *tensor;
        let found = self.graph.ty(tensor.node).clone();
        let any_shape = matches!(ty.dims.as_deref(), Some([DimExpr::Rest(_)]));
        if tensor.layout != Layout::Plain && any_shape && found.dtype == dtype {
            return Ok(value);
        }
        let shape = self.shape_of(tensor)?;
        let dims = ty.dims.clone().unwrap_or_default();
        let expected = self.shape_named(&dims)?;
        let fits = found.dtype == dtype || (tensor.weak && dtype.is_float());
        if shape == expected && fits {
            return Ok(value);
        }
        let found_text = self.ir_type_text(&found);
        let expected_text = self.ir_type_text(&crate::ir::Type::new(dtype, expected.clone()));
        let mut d = error("E0203", format!("{title} promises {expected_text} and gives {found_text}"))
            .at(at, format!("this is {found_text}"))
            .at(ty.span, format!("{} is {expected_text}", self.sources.text(ty.span)));
        for dim in &dims {
            if let DimExpr::Size(e) = dim {
                d.notes.extend(self.dim_notes(e));
            }
        }
        d.notes.dedup();
        let base = self.dtype_text(dtype);
        if shape.len() != expected.len() {
            return Err(self.fail(d.maybe_help(rank_help(expected.len(), false, &shape))));
        }
        let rows = [Row::new("promised", base, &expected), Row::new("given", self.dtype_text(found.dtype), &shape)];
        Err(self.fail(d.note(draw([&rows[0], &rows[1]], Align::First, |a, b| a != b))))
    }

    /// An input's declaration above what is given for it, if they have the same number of axes.
    fn drawn_input(&self, ty: &TypeExpr, shape: &[usize]) -> Option<String> {
        let dims = ty.dims.as_ref().filter(|d| d.len() == shape.len())?;
        let declared = dims.iter().map(|dim| match dim {
            DimExpr::Rest(_) => None,
            DimExpr::Size(e) => {
                Some(self.eval_dim(e, None).map_or(self.sources.text(e.span).into(), |v| v.to_string()))
            }
        });
        let declared = Row { what: "declared", base: &ty.base.name, dims: declared.collect::<Option<_>>()? };
        let given = Row::new("given", &ty.base.name, shape);
        let differ = |a: &str, b: &str| a.parse::<usize>().is_ok() && a != b;
        Some(draw([&declared, &given], Align::First, differ))
    }
}

/// What an input is declared as, and what is given for it.
struct Given<'a> {
    shape: &'a [usize],
    ty: &'a TypeExpr,
    /// `x: float[128, 784]`
    text: &'a str,
    at: Span,
}

/// `1 axis`, `2 axes`
pub fn axes_text(n: usize) -> String {
    if n == 1 { "1 axis".into() } else { format!("{n} axes") }
}

/// The likely mend when a tensor has more axes than are wanted, or fewer.
fn rank_help(wanted: usize, or_more: bool, shape: &[usize]) -> Option<String> {
    let extra = shape.len().checked_sub(wanted);
    match extra {
        Some(1) if shape.last() == Some(&1) => Some("drop the axis of size 1: `x[.., 0]`".into()),
        Some(1..) if !or_more && wanted == 2 => Some(
            "`flatten` makes one axis of all but the first; `reshape` and `mean(x, axis = …)` are other ways".into(),
        ),
        None if wanted == shape.len() + 1 => Some("`x[new, ..]` or `x[.., new]` adds an axis of size 1".into()),
        _ => None,
    }
}

/// Elements of the largest tensor: sizes beyond it are mistakes, and offsets must fit machine arithmetic.
pub const MAX_SIZE: usize = 1 << 40;

pub fn is_dim_variable(name: &str) -> bool {
    name.chars().next().is_some_and(char::is_uppercase)
}

/// Whether `[…]` may follow without parentheses: names, calls and places.
fn is_primary(text: &str) -> bool {
    let mut depth = 0;
    text.starts_with(crate::syntax::is_name_start)
        && text.chars().all(|c| {
            depth += i32::from(matches!(c, '(' | '[' | '{')) - i32::from(matches!(c, ')' | ']' | '}'));
            depth > 0 || matches!(c, ')' | ']' | '.') || crate::syntax::is_name_char(c)
        })
}

/// A number of a literal that no integer equals.
fn first_fraction(value: &Value) -> Option<f64> {
    match value {
        Value::Float(v) if v.fract() != 0.0 => Some(*v),
        Value::List(items) => items.iter().find_map(first_fraction),
        _ => None,
    }
}

fn collect_names(expr: &Expr, out: &mut Vec<String>) {
    match &expr.kind {
        ExprKind::Name(name) if !out.contains(name) => out.push(name.clone()),
        ExprKind::Unary(_, x) => collect_names(x, out),
        ExprKind::Binary(_, x, y) => {
            collect_names(x, out);
            collect_names(y, out);
        }
        _ => {}
    }
}
