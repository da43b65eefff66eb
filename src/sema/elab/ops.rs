//! Arithmetic on values: compile-time numbers, run-time tensors, and the one place where operands are brought to a
//! common element type, layout and shape.

use super::{Elab, Failed, R};
use crate::diag::error;
use crate::diag::shapes::{Align, Row, draw};
use crate::ir::op::Hint;
use crate::ir::{Binary, Compare, DType, NodeId, Op, Unary};
use crate::sema::value::{Layout, Tensor, Value};
use crate::source::Span;
use crate::syntax::ast::{BinOp, UnOp};

/// An operand and where it stands.
#[derive(Clone)]
pub struct Operand {
    pub value: Value,
    pub span: Span,
}

enum Kind {
    Arith(Binary),
    Compare(Compare),
}

fn kind(op: BinOp) -> Kind {
    match op {
        BinOp::Add => Kind::Arith(Binary::Add),
        BinOp::Sub => Kind::Arith(Binary::Sub),
        BinOp::Mul => Kind::Arith(Binary::Mul),
        BinOp::Div => Kind::Arith(Binary::Div),
        BinOp::Rem => Kind::Arith(Binary::Rem),
        BinOp::Pow => Kind::Arith(Binary::Pow),
        BinOp::And => Kind::Arith(Binary::And),
        BinOp::Or => Kind::Arith(Binary::Or),
        BinOp::Eq => Kind::Compare(Compare::Eq),
        BinOp::Ne => Kind::Compare(Compare::Ne),
        BinOp::Lt => Kind::Compare(Compare::Lt),
        BinOp::Le => Kind::Compare(Compare::Le),
        BinOp::Gt => Kind::Compare(Compare::Gt),
        BinOp::Ge => Kind::Compare(Compare::Ge),
        BinOp::MatMul => unreachable!("matrix products are not elementwise"),
    }
}

impl Elab<'_> {
    pub fn binary(&mut self, op: BinOp, a: Operand, b: Operand, span: Span) -> R<Value> {
        if matches!(a.value, Value::Poison) || matches!(b.value, Value::Poison) {
            return Err(Failed::Reported);
        }
        if let Some(value) = self.static_binary(op, &a, &b, span)? {
            return Ok(value);
        }
        if op == BinOp::MatMul {
            return self.matmul(a, b, span);
        }
        if matches!(op, BinOp::And | BinOp::Or) {
            let (x, y) = (
                self.tensor_of_type(a.value, DType::Bool, a.span)?,
                self.tensor_of_type(b.value, DType::Bool, b.span)?,
            );
            let (x, y) = self.common_shape(x, y, a.span, b.span, span)?;
            let Kind::Arith(op) = kind(op) else { unreachable!("and, or are arithmetic") };
            let node = self.build(span).binary(op, x.node, y.node);
            return Ok(Value::Tensor(Tensor { node, weak: false, layout: x.layout }));
        }
        let (x, y) = self.unify(a, b, span)?;
        self.elementwise(op, x, y, span)
    }

    fn elementwise(&mut self, op: BinOp, x: Tensor, y: Tensor, span: Span) -> R<Value> {
        let dtype = self.graph.dtype(x.node);
        match kind(op) {
            Kind::Compare(c) => {
                let node = self.build(span).compare(c, x.node, y.node);
                Ok(Value::Tensor(Tensor { node, weak: false, layout: x.layout }))
            }
            Kind::Arith(b) => {
                if dtype == DType::Bool {
                    return Err(self.fail(
                        error("E0204", format!("'{}' of bool values", op.symbol()))
                            .at(span, "these are bools")
                            .help("convert them: `float(…)`; or use `and`, `or`, `not`"),
                    ));
                }
                if dtype == DType::I32 && matches!(b, Binary::Pow | Binary::Div) {
                    return Err(self.fail(
                        error("E0208", format!("'{}' of int values", op.symbol()))
                            .at(span, "these are ints")
                            .help("convert them: `float(…)`"),
                    ));
                }
                let node = self.build(span).binary(b, x.node, y.node);
                Ok(Value::Tensor(Tensor { node, weak: x.weak && y.weak, layout: x.layout }))
            }
        }
    }

    /// Two-operand primitives that are called by name (`maximum`).
    pub fn binary_primitive(&mut self, b: Binary, a: Operand, c: Operand, span: Span) -> R<Value> {
        if let (Some(x), Some(y)) = (a.value.number(), c.value.number()) {
            let pick_first = match b {
                Binary::Max => x >= y,
                _ => x <= y,
            };
            return Ok(if pick_first { a.value } else { c.value });
        }
        let (x, y) = self.unify(a, c, span)?;
        let node = self.build(span).binary(b, x.node, y.node);
        Ok(Value::Tensor(Tensor { node, weak: x.weak && y.weak, layout: x.layout }))
    }

    /// Both operands with one element type, layout and shape.
    pub fn unify(&mut self, a: Operand, b: Operand, span: Span) -> R<(Tensor, Tensor)> {
        let (sa, sb) = (a.span, b.span);
        let (x, y) = self.same_dtype(a, b)?;
        self.common_shape(x, y, sa, sb, span)
    }

    /// Both operands with one element type: a compile-time one takes that of the tensor it meets.
    fn same_dtype(&mut self, a: Operand, b: Operand) -> R<(Tensor, Tensor)> {
        let (sa, sb) = (a.span, b.span);
        let (x, y) = match (&a.value, &b.value) {
            (Value::Tensor(x), Value::Tensor(y)) => (*x, *y),
            (Value::Tensor(x), _) => {
                let x = *x;
                (x, self.constant_like(x, b)?)
            }
            (_, Value::Tensor(y)) => {
                let y = *y;
                (self.constant_like(y, a)?, y)
            }
            _ => self.constants(a, b)?,
        };
        self.common_dtype(x, y, sa, sb)
    }

    /// Two compile-time values, at least one of them a list: whole numbers become floats where they meet floats.
    fn constants(&mut self, a: Operand, b: Operand) -> R<(Tensor, Tensor)> {
        let made = |this: &mut Self, o: &Operand| this.to_tensor(o.value.clone(), None, o.span);
        let (x, y) = (made(self, &a)?, made(self, &b)?);
        let whole = |this: &Self, o: &Operand, t: Tensor| {
            matches!(o.value, Value::Int(_)) || this.graph.dtype(t.node) == DType::I32
        };
        let is_number = |this: &Self, t: Tensor| this.graph.dtype(t.node) != DType::Bool;
        let lists = matches!(a.value, Value::List(_)) || matches!(b.value, Value::List(_));
        if !(lists && is_number(self, x) && is_number(self, y)) {
            return Ok((x, y));
        }
        let dtype = if whole(self, &a, x) && whole(self, &b, y) { DType::I32 } else { self.float };
        Ok((self.to_tensor(a.value, Some(dtype), a.span)?, self.to_tensor(b.value, Some(dtype), b.span)?))
    }

    /// A compile-time operand as a constant of the element type that it meets.
    fn constant_like(&mut self, other: Tensor, operand: Operand) -> R<Tensor> {
        let dtype = self.graph.dtype(other.node);
        if let (DType::I32, Value::Float(v)) = (dtype, &operand.value)
            && v.fract() != 0.0
        {
            return Err(self.fail(
                error("E0208", format!("the number {v} meets int values"))
                    .at(operand.span, "not an integer")
                    .help("convert the ints: `float(…)`"),
            ));
        }
        let made = self.to_tensor(operand.value, Some(dtype), operand.span)?;
        Ok(Tensor { weak: other.weak && made.layout == Layout::Plain, ..made })
    }

    fn common_dtype(&mut self, x: Tensor, y: Tensor, sx: Span, sy: Span) -> R<(Tensor, Tensor)> {
        let (dx, dy) = (self.graph.dtype(x.node), self.graph.dtype(y.node));
        if x.weak == y.weak && dx == dy {
            return Ok((x, y));
        }
        if x.weak && dy.is_float() {
            let node = self.build(sx).convert(x.node, dy);
            return Ok((Tensor { node, weak: false, ..x }, y));
        }
        if y.weak && dx.is_float() {
            let node = self.build(sy).convert(y.node, dx);
            return Ok((x, Tensor { node, weak: false, ..y }));
        }
        let text = |t: Tensor, dtype| if t.weak { "float" } else { self.dtype_text(dtype) };
        let (tx, ty) = (text(x, dx), text(y, dy));
        let ints = (dx == DType::I32) != (dy == DType::I32) && dx != DType::Bool && dy != DType::Bool;
        let code = if ints { "E0208" } else { "E0204" };
        let d = error(code, format!("{tx} values meet {ty} values"))
            .at(sy, format!("this is {ty}"))
            .at(sx, format!("this is {tx}"));
        if !ints {
            return Err(self.fail(d.help("convert one of them: `float(…)`, `int(…)`")));
        }
        // Rounding the other one is seldom meant.
        let int = if dy == DType::I32 { sy } else { sx };
        let d = self.wrap(d.help("convert the ints: `float(…)`"), int, "float");
        Err(self.fail(d))
    }

    fn common_shape(&mut self, x: Tensor, y: Tensor, sx: Span, sy: Span, span: Span) -> R<(Tensor, Tensor)> {
        if x.layout != Layout::Plain || y.layout != Layout::Plain {
            let layout = x.layout.max(y.layout);
            return Ok((self.to_layout(x, layout, sx)?, self.to_layout(y, layout, sy)?));
        }
        let (a, b) = (self.graph.shape(x.node).clone(), self.graph.shape(y.node).clone());
        if a == b {
            return Ok((x, y));
        }
        let Some(shape) = broadcast_shape(&a, &b) else {
            let (ta, tb) = (self.type_text(&Value::Tensor(x)), self.type_text(&Value::Tensor(y)));
            let (ba, bb) = (self.dtype_text(self.graph.dtype(x.node)), self.dtype_text(self.graph.dtype(y.node)));
            let rows = [Row::new("left", ba, &a), Row::new("right", bb, &b)];
            let stretches = |x: &str, y: &str| x.is_empty() || y.is_empty() || x == "1" || y == "1" || x == y;
            return Err(self.fail(
                error("E0203", format!("shapes {a:?} and {b:?} do not fit together"))
                    .at(span, "in this operation")
                    .at(sx, ta)
                    .at(sy, tb)
                    .note(draw([&rows[0], &rows[1]], Align::Last, |x, y| !stretches(x, y))),
            ));
        };
        if let Some(axis) = silent_outer(&a, &b).or_else(|| silent_outer(&b, &a)) {
            let (ta, tb) = (self.type_text(&Value::Tensor(x)), self.type_text(&Value::Tensor(y)));
            let d = error("E0210", format!("{a:?} against {b:?} would silently become {shape:?}"))
                .at(span, format!("axis {axis} of size 1 would be stretched"))
                .at(sx, ta)
                .at(sy, tb);
            // `[N, 1]` against `[N]`: the values of N rows, one of them in a column.
            let column = |long: &[usize], short: &[usize]| long.strip_suffix(&[1]) == Some(short);
            return Err(self.fail(if column(&a, &b) || column(&b, &a) {
                let d = d.help(
                    "drop the axis of size 1: `x[.., 0]`; if a table is meant, write `x[.., new]` and `x[new, ..]`",
                );
                self.drop_last_axis(d, if column(&a, &b) { sx } else { sy })
            } else {
                d.help("write the new axis: `x[.., new]` or `x[new, ..]`; or drop one: `x[.., 0]`")
            }));
        }
        let nodes = {
            let mut build = self.build(span);
            (build.broadcast_to(x.node, &shape), build.broadcast_to(y.node, &shape))
        };
        Ok((Tensor { node: nodes.0, weak: false, ..x }, Tensor { node: nodes.1, weak: false, ..y }))
    }

    /// Repeats a value up to a coarser-to-finer layout of the group under update.
    pub fn to_layout(&mut self, t: Tensor, layout: Layout, span: Span) -> R<Tensor> {
        if t.layout == layout {
            return Ok(t);
        }
        let group = self.flat.clone().ok_or(Failed::NeedsShape)?;
        let node = match (t.layout, layout) {
            (Layout::Plain, Layout::PerTensor | Layout::Flat) => {
                if !self.graph.shape(t.node).is_empty() {
                    return Err(Failed::NeedsShape);
                }
                let size = if layout == Layout::Flat { group.elements() } else { group.tensors() };
                self.build(span).broadcast_to(t.node, &[size])
            }
            (Layout::PerTensor, Layout::Flat) => {
                let op = Op::SegmentBroadcast { offsets: group.offsets.clone() };
                self.build(span).push(op, &[t.node], Hint::default())
            }
            _ => unreachable!("layouts only become finer"),
        };
        Ok(Tensor { node, weak: false, layout })
    }

    pub fn unary(&mut self, op: UnOp, x: Operand, span: Span) -> R<Value> {
        match (op, x.value) {
            (_, Value::Poison) => Err(Failed::Reported),
            (UnOp::Neg, Value::Int(v)) => Ok(v.checked_neg().map_or(Value::Float(-(v as f64)), Value::Int)),
            (UnOp::Neg, Value::Float(v)) => Ok(Value::Float(-v)),
            (UnOp::Not, Value::Bool(v)) => Ok(Value::Bool(!v)),
            (UnOp::Neg, value) => self.unary_primitive(Unary::Neg, Operand { value, span: x.span }, span),
            (UnOp::Not, value) => {
                let t = self.tensor_of_type(value, DType::Bool, x.span)?;
                let node = self.build(span).unary(Unary::Not, t.node);
                Ok(Value::Tensor(Tensor { node, ..t }))
            }
        }
    }

    /// `exp(x)`, `abs(x)`, …: on numbers at compile time (in f64), on tensors as a node.
    pub fn unary_primitive(&mut self, u: Unary, x: Operand, span: Span) -> R<Value> {
        if let Some(v) = x.value.number() {
            if u == Unary::IsFinite {
                return Ok(Value::Bool(v.is_finite()));
            }
            let result = <f64 as crate::interp::scalar::Number>::unary(u, v);
            return Ok(match (&x.value, u) {
                (Value::Int(_), Unary::Abs | Unary::Sign | Unary::Neg) => Value::Int(result as i64),
                (_, Unary::Floor | Unary::Ceil | Unary::Round) if result.abs() < 9e15 => Value::Int(result as i64),
                _ => Value::Float(result),
            });
        }
        let t = self.to_tensor(x.value, None, x.span)?;
        let dtype = self.graph.dtype(t.node);
        let on_ints = matches!(u, Unary::Neg | Unary::Abs | Unary::Sign);
        if !(dtype.is_float() || on_ints && dtype == DType::I32) {
            let code = if dtype == DType::I32 { "E0208" } else { "E0204" };
            let found = self.dtype_text(dtype);
            let d = error(code, format!("'{}' takes float values, not {found}", u.name()))
                .at(x.span, format!("this is {found}"))
                .help("convert it: `float(…)`");
            let d = self.wrap(d, x.span, "float");
            return Err(self.fail(d));
        }
        let node = self.build(span).unary(u, t.node);
        Ok(Value::Tensor(Tensor { node, weak: t.weak && u != Unary::IsFinite, ..t }))
    }

    /// `where(c, a, b)` and run-time `if`.
    pub fn select(&mut self, c: Operand, a: Operand, b: Operand, span: Span) -> R<Value> {
        if let Value::Bool(c) = c.value {
            return Ok(if c { a.value } else { b.value });
        }
        let cond = self.tensor_of_type(c.value, DType::Bool, c.span)?;
        let (mut x, mut y) = self.unify(a.clone(), b.clone(), span)?;
        // Weak scalars chosen by many conditions are many values: they take the run's float type.
        let many = cond.layout != Layout::Plain || !self.graph.shape(cond.node).is_empty();
        if many && x.weak && y.weak {
            let float = self.float;
            let nodes = (self.build(span).convert(x.node, float), self.build(span).convert(y.node, float));
            (x, y) = (Tensor { node: nodes.0, weak: false, ..x }, Tensor { node: nodes.1, weak: false, ..y });
        }
        let (cond2, x2) = self.common_shape(cond, x, c.span, a.span, span)?;
        let (cond3, y2) = self.common_shape(cond2, y, c.span, b.span, span)?;
        let (cond3, x2) = self.common_shape(cond3, x2, c.span, a.span, span)?;
        let node = self.build(span).select(cond3.node, x2.node, y2.node);
        Ok(Value::Tensor(Tensor {
            node,
            weak: x.weak && y.weak && self.graph.shape(node).is_empty(),
            layout: x2.layout,
        }))
    }

    /// Any value as a tensor: numbers become scalars of `dtype` (or weak scalars), lists become tensors.
    pub fn to_tensor(&mut self, value: Value, dtype: Option<DType>, span: Span) -> R<Tensor> {
        match value {
            Value::Tensor(t) => Ok(t),
            Value::Int(_) | Value::Float(_) => {
                let number = value.number().unwrap_or(0.0);
                let node = self.build(span).constant(number, dtype.unwrap_or(DType::F64));
                Ok(Tensor { node, weak: dtype.is_none(), layout: Layout::Plain })
            }
            Value::Bool(v) => Ok(Tensor::plain(self.build(span).constant(f64::from(v), DType::Bool))),
            Value::List(_) => self.list_tensor(&value, dtype, span),
            Value::OwnShape => Err(Failed::NeedsShape),
            Value::Poison => Err(Failed::Reported),
            other => {
                let found = self.type_text(&other);
                let mut d = error("E0204", format!("expected a number or a tensor, found {found}"))
                    .at(span, format!("this is {found}"));
                if let Some(def) = self.definition_of(&other) {
                    let inputs: Vec<&str> = def.inputs.iter().map(|i| i.name.name.as_str()).collect();
                    let made = matches!(other, Value::Instance(_));
                    let name = format!("{}{}", def.name.name, if made { "(…)" } else { "" });
                    d = d.help(format!("apply it to its inputs: `{name}({})`", inputs.join(", ")));
                }
                Err(self.fail(d))
            }
        }
    }

    /// `[[1, 2], [3, 4]]` as a constant tensor; a list that holds tensors is stacked along a new first axis.
    fn list_tensor(&mut self, value: &Value, dtype: Option<DType>, span: Span) -> R<Tensor> {
        let (mut shape, mut flat, mut ints) = (vec![], vec![], true);
        if flatten_list(value, 0, &mut shape, &mut flat, &mut ints) {
            let dtype = dtype.unwrap_or(if ints { DType::I32 } else { self.float });
            let op = Op::Dense(std::sync::Arc::new(flat));
            let hint = Hint { dtype: Some(dtype), shape: Some(shape) };
            return Ok(Tensor::plain(self.build(span).push(op, &[], hint)));
        }
        let Value::List(items) = value else { unreachable!("called on lists") };
        let mut parts: Vec<NodeId> = vec![];
        let wanted = dtype.unwrap_or(self.float);
        for item in items.iter() {
            let t = self.tensor_of_type(item.clone(), wanted, span)?;
            let mut shape = self.shape_of(t)?;
            if let Some(first) = parts.first()
                && self.graph.shape(*first)[1..] != shape[..]
            {
                let first = self.graph.shape(*first)[1..].to_vec();
                return Err(self.fail(
                    error("E0203", format!("a list of tensors of different shapes: {first:?} and {shape:?}"))
                        .at(span, "in this list"),
                ));
            }
            shape.insert(0, 1);
            parts.push(self.build(span).reshape(t.node, &shape));
        }
        if parts.is_empty() {
            return Err(self.fail(error("E0204", "an empty list is not a tensor").at(span, "this list")));
        }
        Ok(Tensor::plain(self.build(span).concat(&parts, 0)))
    }

    /// Arithmetic that happens at compile time, if both sides are known.
    fn static_binary(&mut self, op: BinOp, a: &Operand, b: &Operand, span: Span) -> R<Option<Value>> {
        use Value::*;
        let value = match (&a.value, &b.value) {
            (Int(x), Int(y)) => match int_binary(op, *x, *y) {
                Some(value) => value,
                None => float_binary(op, *x as f64, *y as f64),
            },
            (Int(_) | Float(_), Int(_) | Float(_)) => {
                float_binary(op, a.value.number().unwrap_or(0.0), b.value.number().unwrap_or(0.0))
            }
            (Value::Bool(x), Value::Bool(y)) => match op {
                BinOp::And => Value::Bool(*x && *y),
                BinOp::Or => Value::Bool(*x || *y),
                BinOp::Eq => Value::Bool(x == y),
                BinOp::Ne => Value::Bool(x != y),
                _ => return Ok(None),
            },
            // A known side may decide before the other is looked at.
            (Value::Bool(false), _) | (_, Value::Bool(false)) if op == BinOp::And => Value::Bool(false),
            (Value::Bool(true), _) | (_, Value::Bool(true)) if op == BinOp::Or => Value::Bool(true),
            (Str(x), Str(y)) if matches!(op, BinOp::Eq | BinOp::Ne) => Value::Bool((x == y) == (op == BinOp::Eq)),
            (List(x), List(y)) => match (op, list_equal(x, y)) {
                (BinOp::Eq, Some(equal)) => Value::Bool(equal),
                (BinOp::Ne, Some(equal)) => Value::Bool(!equal),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        if let Poison = value {
            return Err(self.fail(
                error("E0211", format!("'{}' of these compile-time values has no result", op.symbol()))
                    .at(span, format!("{} and {}", a.value.describe(), b.value.describe())),
            ));
        }
        Ok(Some(value))
    }

    /// `x @ y`: [.., M, K] @ [K, N], [.., M, K] @ [K], [K] @ [K, N], [K] @ [K], and batched [B.., M, K] @ [B.., K, N].
    fn matmul(&mut self, a: Operand, b: Operand, span: Span) -> R<Value> {
        let (sa, sb) = (a.span, b.span);
        let known = |o: &Operand| !matches!(o.value, Value::Tensor(_));
        let (x, y) = if known(&a) && known(&b) {
            // Matrices written out are floats, whole numbers or not.
            let float = self.float;
            (self.to_tensor(a.value, Some(float), sa)?, self.to_tensor(b.value, Some(float), sb)?)
        } else {
            self.same_dtype(a, b)?
        };
        let (shape_x, shape_y) = (self.shape_of(x)?, self.shape_of(y)?);
        let (rx, ry) = (shape_x.len(), shape_y.len());
        let bad = |this: &mut Self, why: String| {
            let (tx, ty) = (this.type_text(&Value::Tensor(x)), this.type_text(&Value::Tensor(y)));
            Err(this.fail(
                error("E0203", format!("cannot multiply {shape_x:?} @ {shape_y:?}: {why}"))
                    .at(span, "in this product")
                    .at(sa, tx)
                    .at(sb, ty),
            ))
        };
        if !self.graph.dtype(x.node).is_float() {
            return bad(self, "matrix products take float values".into());
        }
        if rx == 0 || ry == 0 {
            return bad(self, "a scalar has no axis to contract (use `*`)".into());
        }
        let contract_y = ry.saturating_sub(2);
        if shape_x[rx - 1] != shape_y[contract_y] {
            let (k, l) = (shape_x[rx - 1], shape_y[contract_y]);
            return bad(self, format!("the left one's last axis is {k}, the right one's axis {contract_y} is {l}"));
        }
        let batch: Vec<usize> = (0..contract_y).collect();
        if ry > 2 {
            if rx != ry || shape_x[..contract_y] != shape_y[..contract_y] {
                return bad(self, "the batch axes must be equal".into());
            }
            let op = Op::Dot {
                lhs_batch: batch.clone(),
                rhs_batch: batch,
                lhs_contract: vec![rx - 1],
                rhs_contract: vec![contract_y],
            };
            let node = self.build(span).push(op, &[x.node, y.node], Hint::default());
            return Ok(Value::Tensor(Tensor::plain(node)));
        }
        let op = Op::Dot {
            lhs_batch: vec![],
            rhs_batch: vec![],
            lhs_contract: vec![rx - 1],
            rhs_contract: vec![contract_y],
        };
        let node = self.build(span).push(op, &[x.node, y.node], Hint::default());
        Ok(Value::Tensor(Tensor::plain(node)))
    }
}

/// NumPy's rule: trailing axes aligned, size 1 stretches.
pub fn broadcast_shape(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], k: usize| (k + s.len()).checked_sub(rank).map_or(1, |i| s[i]);
    let mut shape = vec![];
    for k in 0..rank {
        match (at(a, k), at(b, k)) {
            (x, y) if x == y => shape.push(x),
            (1, n) | (n, 1) => shape.push(n),
            _ => return None,
        }
    }
    Some(shape)
}

/// The classic accident: `[N, 1]` against `[N]` becomes `[N, N]`. True for the axis of the longer shape that the shorter
/// one would stretch, unless the shorter one has axes of size 1 too (then the author aligned them).
fn silent_outer(long: &[usize], short: &[usize]) -> Option<usize> {
    if short.is_empty() || short.len() >= long.len() || short.contains(&1) {
        return None;
    }
    let lead = long.len() - short.len();
    (0..short.len()).map(|k| k + lead).find(|k| long[*k] == 1)
}

fn int_binary(op: BinOp, x: i64, y: i64) -> Option<Value> {
    Some(match op {
        BinOp::Add => Value::Int(x.checked_add(y)?),
        BinOp::Sub => Value::Int(x.checked_sub(y)?),
        BinOp::Mul => Value::Int(x.checked_mul(y)?),
        // Exact quotients stay integers, so that `D / heads` is a size; `1 / 2` is 0.5, as in a formula.
        BinOp::Div if y != 0 && x.checked_rem(y) == Some(0) => Value::Int(x / y),
        BinOp::Rem if y != 0 => Value::Int(x.checked_rem(y)?.checked_add(y)?.checked_rem(y)?),
        BinOp::Pow => Value::Int(x.checked_pow(u32::try_from(y).ok()?)?),
        BinOp::Eq => Value::Bool(x == y),
        BinOp::Ne => Value::Bool(x != y),
        BinOp::Lt => Value::Bool(x < y),
        BinOp::Le => Value::Bool(x <= y),
        BinOp::Gt => Value::Bool(x > y),
        BinOp::Ge => Value::Bool(x >= y),
        _ => return None,
    })
}

/// `Poison` where the operation has no meaning for numbers.
fn float_binary(op: BinOp, x: f64, y: f64) -> Value {
    match op {
        BinOp::Add => Value::Float(x + y),
        BinOp::Sub => Value::Float(x - y),
        BinOp::Mul => Value::Float(x * y),
        BinOp::Div => Value::Float(x / y),
        BinOp::Rem => Value::Float(x - y * (x / y).floor()),
        BinOp::Pow => Value::Float(x.powf(y)),
        BinOp::Eq => Value::Bool(x == y),
        BinOp::Ne => Value::Bool(x != y),
        BinOp::Lt => Value::Bool(x < y),
        BinOp::Le => Value::Bool(x <= y),
        BinOp::Gt => Value::Bool(x > y),
        BinOp::Ge => Value::Bool(x >= y),
        BinOp::MatMul | BinOp::And | BinOp::Or => Value::Poison,
    }
}

fn list_equal(x: &[Value], y: &[Value]) -> Option<bool> {
    if x.len() != y.len() {
        return Some(false);
    }
    let mut equal = true;
    for (a, b) in x.iter().zip(y) {
        equal &= a.number()? == b.number()?;
    }
    Some(equal)
}

/// Nested lists of numbers, row-major; false if they are ragged or hold anything else.
fn flatten_list(value: &Value, depth: usize, shape: &mut Vec<usize>, out: &mut Vec<f64>, ints: &mut bool) -> bool {
    match value {
        Value::List(items) if !items.is_empty() => {
            if shape.len() == depth {
                if !out.is_empty() {
                    return false;
                }
                shape.push(items.len());
            }
            shape[depth] == items.len() && items.iter().all(|i| flatten_list(i, depth + 1, shape, out, ints))
        }
        Value::Int(v) if shape.len() == depth => {
            out.push(*v as f64);
            true
        }
        Value::Float(v) if shape.len() == depth => {
            *ints = false;
            out.push(*v);
            true
        }
        _ => false,
    }
}
