//! Calls of primitives.

use super::apply::Argument;
use super::dims::MAX_SIZE;
use super::dims::axes_text;
use super::expr::KNOWN_EARLY;
use super::ops::Operand;
use super::{Elab, Failed, R};
use crate::diag::error;
use crate::ir::op::{Decomposition, Hint};
use crate::ir::{ArgKind, DType, InputKind, Op, ReduceKind};
use crate::sema::builtins::Builtin;
use crate::sema::value::{Axes, Layout, Tensor, Value};
use crate::source::Span;

/// Arguments of a primitive, taken one after another by position or name.
pub struct Taker {
    builtin: Builtin,
    args: Vec<Option<Argument>>,
    names: &'static [&'static str],
    next: usize,
    span: Span,
}

impl Taker {
    /// The name of the argument that is taken next.
    pub(super) fn next_name(&self) -> &'static str {
        self.names[self.next]
    }
}

impl Elab<'_> {
    /// Pairs the arguments with the primitive's parameter names.
    pub fn take(
        &mut self,
        builtin: Builtin,
        args: Vec<Argument>,
        names: &'static [&'static str],
        span: Span,
    ) -> R<Taker> {
        let mut bound: Vec<Option<Argument>> = names.iter().map(|_| None).collect();
        let mut position = 0;
        for arg in args {
            let index = match &arg.name {
                None => {
                    position += 1;
                    position - 1
                }
                Some(name) => match names.iter().position(|n| *n == name.name) {
                    Some(index) => index,
                    None => {
                        return Err(self.fail(
                            error("E0205", format!("'{}' has no argument '{}'", builtin.name(), name.name))
                                .at(name.span, "unknown name")
                                .did_you_mean(name.span, &name.name, names.iter().copied())
                                .note(format!("arguments: {}", names.join(", "))),
                        ));
                    }
                },
            };
            if index >= names.len() || bound[index].is_some() {
                return Err(self.fail(
                    error("E0202", format!("'{}' takes ({})", builtin.name(), names.join(", ")))
                        .at(arg.span, "one argument too many"),
                ));
            }
            bound[index] = Some(arg);
        }
        Ok(Taker { builtin, args: bound, names, next: 0, span })
    }

    pub fn optional(&mut self, taker: &mut Taker) -> Option<Argument> {
        taker.next += 1;
        taker.args[taker.next - 1].take()
    }

    pub fn required(&mut self, taker: &mut Taker) -> R<Operand> {
        match self.optional(taker) {
            Some(Argument { value: Value::Poison, .. }) => Err(Failed::Reported),
            Some(arg) => Ok(Operand { value: arg.value, span: arg.span }),
            None => {
                let name = taker.names[taker.next - 1];
                Err(self.fail(
                    error("E0202", format!("'{}' needs the argument '{name}'", taker.builtin.name()))
                        .at(taker.span, format!("takes ({})", taker.names.join(", "))),
                ))
            }
        }
    }

    pub fn required_tensor(&mut self, taker: &mut Taker) -> R<(Tensor, Span)> {
        let x = self.required(taker)?;
        // A plain number is a tensor of the run's float type here: `sum(2.0)`.
        let dtype = matches!(x.value, Value::Float(_)).then_some(self.float);
        Ok((self.to_tensor(x.value, dtype, x.span)?, x.span))
    }

    pub fn required_ints(&mut self, taker: &mut Taker) -> R<(Vec<i64>, Span)> {
        let x = self.required(taker)?;
        let ints = self.int_list(&x)?;
        Ok((ints, x.span))
    }

    pub(super) fn int_list(&mut self, x: &Operand) -> R<Vec<i64>> {
        let one = |v: &Value| match v {
            Value::Int(v) => Some(*v),
            Value::Float(v) if v.fract() == 0.0 && v.abs() < 9e15 => Some(*v as i64),
            _ => None,
        };
        if matches!(x.value, Value::OwnShape) {
            return Err(Failed::NeedsShape);
        }
        let list = match &x.value {
            Value::List(items) => items.iter().map(one).collect(),
            other => one(other).map(|v| vec![v]),
        };
        list.ok_or_else(|| {
            let found = self.type_text(&x.value);
            let d = error("E0211", "expected integers known at compile time").at(x.span, format!("this is {found}"));
            self.fail(d.help(KNOWN_EARLY))
        })
    }

    fn shape_argument(&mut self, taker: &mut Taker) -> R<Vec<usize>> {
        let (ints, at) = self.required_ints(taker)?;
        self.checked_shape(&ints, at)
    }

    fn checked_shape(&mut self, ints: &[i64], at: Span) -> R<Vec<usize>> {
        let sizes: Option<Vec<usize>> = ints.iter().map(|v| usize::try_from(*v).ok()).collect();
        let fits = |s: &Vec<usize>| s.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).is_some_and(|n| n <= MAX_SIZE);
        sizes.filter(fits).ok_or_else(|| self.fail(error("E0203", format!("{ints:?} is not a shape")).at(at, "here")))
    }

    pub fn flag(&mut self, taker: &mut Taker) -> R<bool> {
        match self.optional(taker) {
            None => Ok(false),
            Some(Argument { value: Value::Bool(b), .. }) => Ok(b),
            Some(arg) => {
                let found = self.type_text(&arg.value);
                Err(self.fail(
                    error("E0211", "expected true or false at compile time").at(arg.span, format!("this is {found}")),
                ))
            }
        }
    }

    /// Axis numbers from an argument: `all`, `but_last`, an int (negative from the end), or a list of ints.
    fn axes(&mut self, arg: Option<Argument>, rank: usize, default: Option<Axes>, span: Span) -> R<Vec<usize>> {
        let (value, at) = match (arg, default) {
            (Some(arg), _) => (arg.value, arg.span),
            (None, Some(axes)) => (Value::Axes(axes), span),
            (None, None) => {
                return Err(self.fail(error("E0202", "the argument 'axis' is missing").at(span, "along which axis?")));
            }
        };
        if let Value::Axes(axes) = value {
            let end = if axes == Axes::All { rank } else { rank.saturating_sub(1) };
            return Ok((0..end).collect());
        }
        let ints = self.int_list(&Operand { value, span: at })?;
        let mut out = vec![];
        for i in ints {
            let axis = if i < 0 { i + rank as i64 } else { i };
            if axis < 0 || axis >= rank as i64 {
                return Err(self.fail(
                    error("E0213", format!("axis {i} of a tensor with {}", axes_text(rank)))
                        .at(at, format!("axes are 0..{rank}, or -{rank}..-1 from the end")),
                ));
            }
            if out.contains(&(axis as usize)) {
                return Err(self.fail(error("E0213", format!("axis {i} is named twice")).at(at, "here")));
            }
            out.push(axis as usize);
        }
        out.sort_unstable();
        Ok(out)
    }

    fn one_axis(&mut self, arg: Option<Argument>, rank: usize, default: Option<i64>, span: Span) -> R<usize> {
        let arg = arg.or_else(|| default.map(|d| Argument { name: None, value: Value::Int(d), span }));
        let at = arg.as_ref().map_or(span, |a| a.span);
        match self.axes(arg, rank, None, span)?.as_slice() {
            [axis] => Ok(*axis),
            axes => Err(self.fail(error("E0213", format!("expected one axis, found {}", axes.len())).at(at, "here"))),
        }
    }

    /// The elements of all tensors together, if the next argument is each one's own shape.
    fn own_shape(&mut self, taker: &mut Taker) -> Option<usize> {
        let own = matches!(taker.args[taker.next], Some(Argument { value: Value::OwnShape, .. }));
        let group = self.flat.as_ref().filter(|_| own)?;
        taker.next += 1;
        Some(group.elements())
    }

    pub fn builtin(&mut self, b: Builtin, args: Vec<Argument>, span: Span) -> R<Value> {
        match b {
            Builtin::Unary(u) => {
                let mut t = self.take(b, args, &["x"], span)?;
                let x = self.required(&mut t)?;
                self.unary_primitive(u, x, span)
            }
            Builtin::Binary(op) => {
                let mut t = self.take(b, args, &["a", "b"], span)?;
                let (x, y) = (self.required(&mut t)?, self.required(&mut t)?);
                self.binary_primitive(op, x, y, span)
            }
            Builtin::Where => {
                let mut t = self.take(b, args, &["condition", "then", "otherwise"], span)?;
                let (c, x, y) = (self.required(&mut t)?, self.required(&mut t)?, self.required(&mut t)?);
                self.select(c, x, y, span)
            }
            Builtin::Reduce(kind) => self.reduce(b, kind, args, span),
            Builtin::AllRows => self.all_rows(args, span),
            Builtin::GroupReduce(_) | Builtin::GroupMean | Builtin::GroupNorm => self.group_reduce(b, args, span),
            Builtin::GradAt | Builtin::LossAt | Builtin::Hvp => self.second_order(b, args, span),
            Builtin::Grad => self.grad(args, span),
            Builtin::Einsum => self.einsum(args, span),
            Builtin::Decompose(kind) => self.decompose(b, kind, args, span),
            Builtin::Attention => self.attention(args, span),
            Builtin::Arg(kind) => self.arg_reduce(b, kind, args, span),
            Builtin::Cumulative(kind) => {
                let mut t = self.take(b, args, &["x", "axis", "reverse"], span)?;
                let (x, _) = self.required_tensor(&mut t)?;
                let rank = self.shape_of(x)?.len();
                let axis = self.optional(&mut t);
                let axis = self.one_axis(axis, rank, None, span)?;
                let reverse = self.flag(&mut t)?;
                self.push(Op::Cumulative { kind, axis, reverse }, &[x], span)
            }
            Builtin::ArgSort => {
                let mut t = self.take(b, args, &["x", "axis", "descending"], span)?;
                let (x, _) = self.required_tensor(&mut t)?;
                let rank = self.shape_of(x)?.len();
                let axis = self.optional(&mut t);
                let axis = self.one_axis(axis, rank, Some(-1), span)?;
                let descending = self.flag(&mut t)?;
                self.push(Op::ArgSort { axis, descending }, &[x], span)
            }
            Builtin::Gather => {
                let mut t = self.take(b, args, &["x", "index", "axis"], span)?;
                let (x, _) = self.required_tensor(&mut t)?;
                let index = self.index_tensor(&mut t)?;
                let rank = self.shape_of(x)?.len();
                let axis = self.optional(&mut t);
                let axis = self.one_axis(axis, rank, Some(0), span)?;
                let index = self.index_if_chosen(index, span);
                self.push(Op::Gather { axis }, &[x, index], span)
            }
            Builtin::ScatterAdd => {
                let mut t = self.take(b, args, &["base", "index", "updates", "axis"], span)?;
                let (x, _) = self.required_tensor(&mut t)?;
                let index = self.index_tensor(&mut t)?;
                let (u, _) = self.required_tensor(&mut t)?;
                let rank = self.shape_of(x)?.len();
                let axis = self.optional(&mut t);
                let axis = self.one_axis(axis, rank, Some(0), span)?;
                let index = self.index_if_chosen(index, span);
                self.push(Op::ScatterAdd { axis }, &[x, index, u], span)
            }
            Builtin::Conv { transposed } => self.conv(b, transposed, args, span),
            Builtin::Window(kind) => self.window(b, kind, args, span),
            Builtin::Reshape => self.reshape(args, span),
            Builtin::Transpose => self.transpose(args, span),
            Builtin::Broadcast => {
                let mut t = self.take(b, args, &["x", "shape"], span)?;
                let x = self.required(&mut t)?;
                // A number written out becomes a tensor of its own kind.
                let dtype = match x.value {
                    Value::Int(_) => Some(DType::I32),
                    Value::Float(_) => Some(self.float),
                    _ => None,
                };
                let (at, x) = (x.span, self.to_tensor(x.value, dtype, x.span)?);
                if x.layout == Layout::Plain
                    && let Some(elements) = self.own_shape(&mut t)
                {
                    let wide = self.to_layout(x, Layout::Flat, at)?;
                    debug_assert_eq!(self.graph.ty(wide.node).elements(), elements);
                    return Ok(Value::Tensor(wide));
                }
                let shape = self.shape_argument(&mut t)?;
                let from = self.shape_of(x)?;
                if super::ops::broadcast_shape(&from, &shape).as_ref() != Some(&shape) {
                    return Err(self.fail(
                        error("E0203", format!("{from:?} cannot be broadcast to {shape:?}")).at(at, "this tensor"),
                    ));
                }
                let node = self.build(span).broadcast_to(x.node, &shape);
                Ok(Value::Tensor(Tensor { node, weak: false, ..x }))
            }
            Builtin::Concat => self.concat(args, span),
            Builtin::Flip => {
                let mut t = self.take(b, args, &["x", "axis"], span)?;
                let (x, _) = self.required_tensor(&mut t)?;
                let rank = self.shape_of(x)?.len();
                let axis = self.optional(&mut t);
                let axes = self.axes(axis, rank, Some(Axes::All), span)?;
                self.push(Op::Reverse { axes }, &[x], span)
            }
            Builtin::Pad => self.pad(args, span),
            Builtin::Indices => {
                let mut t = self.take(b, args, &["shape", "axis"], span)?;
                let shape = self.shape_argument(&mut t)?;
                let axis = self.optional(&mut t);
                let axis = self.one_axis(axis, shape.len(), Some(0), span)?;
                Ok(Value::Tensor(Tensor::plain(self.build(span).iota(DType::I32, &shape, axis))))
            }
            Builtin::Shape | Builtin::Rank => {
                let mut t = self.take(b, args, &["x"], span)?;
                let (x, _) = self.required_tensor(&mut t)?;
                if b == Builtin::Shape && x.layout == Layout::Flat {
                    return Ok(Value::OwnShape);
                }
                let shape = self.shape_of(x)?;
                Ok(if b == Builtin::Rank { Value::Int(shape.len() as i64) } else { Value::shape(&shape) })
            }
            Builtin::Size => self.size(args, span),
            Builtin::IsInt => {
                let mut t = self.take(b, args, &["x"], span)?;
                let (x, _) = self.required_tensor(&mut t)?;
                Ok(Value::Bool(self.graph.dtype(x.node) == DType::I32))
            }
            Builtin::RandomUnit => {
                let mut t = self.take(b, args, &["shape"], span)?;
                let (shape, layout) = match self.own_shape(&mut t) {
                    Some(elements) => (vec![elements], Layout::Flat),
                    None => (self.shape_argument(&mut t)?, Layout::Plain),
                };
                let stream = self.random_stream();
                let mut key = |name| self.shared_input(name, DType::I32, InputKind::Random, span);
                let mut keys = [key("key0"), key("key1"), key("step")];
                keys[0] = self.key_of_step(keys[0], span);
                let float = self.float;
                let mut build = self.build(span);
                let hint = Hint { dtype: None, shape: Some(shape) };
                let bits = build.push(Op::RandomBits { stream }, &keys, hint);
                let unit = build.push(Op::BitsToUnit, &[bits], Hint { dtype: Some(float), shape: None });
                Ok(Value::Tensor(Tensor { node: unit, weak: false, layout }))
            }
            Builtin::ToFloat | Builtin::ToInt | Builtin::ToBool => self.conversion(b, args, span),
            Builtin::StopGradient => {
                let mut t = self.take(b, args, &["x"], span)?;
                let (x, _) = self.required_tensor(&mut t)?;
                self.push(Op::StopGradient, &[x], span)
            }
            Builtin::Len => {
                let mut t = self.take(b, args, &["list"], span)?;
                let x = self.required(&mut t)?;
                match &x.value {
                    Value::List(items) => Ok(Value::Int(items.len() as i64)),
                    Value::OwnShape => Err(Failed::NeedsShape),
                    other => {
                        let found = self.type_text(other);
                        Err(self.fail(error("E0204", format!("{found} has no length")).at(x.span, "not a list")))
                    }
                }
            }
            Builtin::Params => self.params_of(args, span),
            Builtin::Stack => {
                let mut t = self.take(b, args, &["n", "layer"], span)?;
                let (n, at) = self.required_ints(&mut t)?;
                let layer = self.required(&mut t)?;
                let n = self.checked_shape(&n, at)?.iter().product();
                let instance = match layer.value {
                    Value::Instance(i) => i,
                    Value::Def(def) => self.instance(def, vec![], span)?,
                    other => {
                        let found = self.type_text(&other);
                        return Err(self.fail(
                            error("E0204", format!("'stack' takes a layer, not {found}")).at(layer.span, "not a layer"),
                        ));
                    }
                };
                Ok(Value::Stack(n, instance))
            }
            Builtin::Load => {
                let mut t = self.take(b, args, &["file", "key"], span)?;
                let file = self.required(&mut t)?;
                let key = self.optional(&mut t).map(|a| (a.value, a.span));
                match (file.value, key) {
                    (Value::Str(file), None) => Ok(Value::Load(file, None)),
                    (Value::Str(file), Some((Value::Str(key), _))) => Ok(Value::Load(file, Some(key))),
                    _ => Err(self.fail(
                        error("E0204", "'load' takes the name of a file and of an array in it").at(span, "strings"),
                    )),
                }
            }
            Builtin::Assert => {
                let mut t = self.take(b, args, &["condition", "text"], span)?;
                let c = self.required(&mut t)?;
                let text = match self.optional(&mut t).map(|a| a.value) {
                    Some(Value::Str(text)) => text.to_string(),
                    _ => "an assertion of the definition does not hold".into(),
                };
                match self.static_bool(&c) {
                    Some(true) => Ok(Value::Unit),
                    Some(false) => Err(self.fail(error("E0211", text).at(span, "this does not hold"))),
                    None => Err(self.fail(
                        error("E0211", "an assertion is about values known at compile time").at(c.span, "not known"),
                    )),
                }
            }
        }
    }

    pub fn push(&mut self, op: Op, args: &[Tensor], span: Span) -> R<Value> {
        let nodes: Vec<_> = args.iter().map(|t| t.node).collect();
        let name = op.name();
        match self.graph.try_push(op, &nodes, Hint::default(), span) {
            Ok(node) => Ok(Value::Tensor(Tensor { node, ..args[0] })),
            Err(reason) => {
                let reason = self.in_users_types(&reason.to_string());
                Err(self.fail(error("E0203", format!("'{name}' does not fit: {reason}")).at(span, "here")))
            }
        }
    }

    fn index_tensor(&mut self, taker: &mut Taker) -> R<Tensor> {
        let x = self.required(taker)?;
        self.tensor_of_type(x.value, DType::I32, x.span)
    }

    fn reduce(&mut self, b: Builtin, kind: ReduceKind, args: Vec<Argument>, span: Span) -> R<Value> {
        let mut t = self.take(b, args, &["x", "axis", "keep"], span)?;
        let (mut x, at) = self.required_tensor(&mut t)?;
        let axis = self.optional(&mut t);
        let keep = self.flag(&mut t)?;
        if self.graph.dtype(x.node) == DType::Bool {
            return Err(self.fail(
                error("E0204", format!("'{}' of bools", b.name()))
                    .at(at, "these are bools")
                    .help("`count(…)` counts the true ones; `float(…)` converts"),
            ));
        }
        if x.layout != Layout::Plain {
            let whole = matches!(axis, None | Some(Argument { value: Value::Axes(Axes::All), .. }));
            if !whole || keep {
                return Err(Failed::NeedsShape);
            }
            if x.layout == Layout::PerTensor {
                return Ok(Value::Tensor(x));
            }
            let group = self.flat.clone().ok_or(Failed::NeedsShape)?;
            let op = Op::SegmentReduce { kind, offsets: group.offsets };
            let node = self.build(span).push(op, &[x.node], Hint::default());
            return Ok(Value::Tensor(Tensor { node, weak: false, layout: Layout::PerTensor }));
        }
        let shape = self.shape_of(x)?;
        let axes = self.axes(axis, shape.len(), Some(Axes::All), span)?;
        if matches!(kind, ReduceKind::Max | ReduceKind::Min) && axes.iter().any(|a| shape[*a] == 0) {
            return Err(self.fail(error("E0203", format!("'{}' of no values", b.name())).at(at, "an empty axis")));
        }
        let mut build = self.build(span);
        x.node = if keep { build.reduce_keep(kind, x.node, &axes) } else { build.reduce(kind, x.node, &axes) };
        Ok(Value::Tensor(x))
    }

    /// Of the last two axes. `eigh` gives a tuple of values and vectors.
    fn decompose(&mut self, b: Builtin, kind: Decomposition, args: Vec<Argument>, span: Span) -> R<Value> {
        let names: &'static [&'static str] = if kind == Decomposition::Solve { &["a", "b"] } else { &["a"] };
        let mut t = self.take(b, args, names, span)?;
        let mut operands = vec![];
        for _ in names {
            let x = self.required(&mut t)?;
            operands.push(self.tensor_of_type(x.value, self.float, x.span)?);
            self.shape_of(operands[operands.len() - 1])?;
        }
        operands[0] = self.matrix_if_chosen(operands[0], span);
        let made = self.push(Op::Decompose(kind), &operands, span)?;
        let (Value::Tensor(all), Decomposition::Eigh) = (&made, kind) else { return Ok(made) };
        let shape = self.shape_of(*all)?;
        let axis = shape.len() - 2;
        let mut build = self.build(span);
        let values = build.slice_axis(all.node, axis, 0, 1);
        let mut flat = shape.clone();
        flat.remove(axis);
        let values = build.reshape(values, &flat);
        let vectors = build.slice_axis(all.node, axis, 1, shape[axis]);
        let pair = [values, vectors].map(|node| Value::Tensor(Tensor::plain(node)));
        Ok(Value::Tuple(std::rc::Rc::new(pair.to_vec())))
    }

    fn arg_reduce(&mut self, b: Builtin, kind: ArgKind, args: Vec<Argument>, span: Span) -> R<Value> {
        let mut t = self.take(b, args, &["x", "axis"], span)?;
        let (x, at) = self.required_tensor(&mut t)?;
        let shape = self.shape_of(x)?;
        let axis = self.optional(&mut t);
        let axis = self.one_axis(axis, shape.len(), Some(-1), span)?;
        if shape[axis] == 0 {
            return Err(self.fail(error("E0203", format!("'{}' of no values", b.name())).at(at, "an empty axis")));
        }
        match self.push(Op::ArgReduce { kind, axis }, &[x], span)? {
            Value::Tensor(t) => Ok(Value::Tensor(Tensor::plain(t.node))),
            other => Ok(other),
        }
    }

    fn reshape(&mut self, args: Vec<Argument>, span: Span) -> R<Value> {
        let mut t = self.take(Builtin::Reshape, args, &["x", "shape"], span)?;
        let (x, at) = self.required_tensor(&mut t)?;
        let (mut sizes, shape_at) = self.required_ints(&mut t)?;
        let from = self.shape_of(x)?;
        let total: usize = from.iter().product();
        if sizes.iter().filter(|s| **s == -1).count() == 1 {
            let known: i64 = sizes.iter().filter(|s| **s != -1).product();
            let missing = if known > 0 && total as i64 % known == 0 { total as i64 / known } else { -1 };
            sizes.iter_mut().filter(|s| **s == -1).for_each(|s| *s = missing);
        }
        let fits = sizes.iter().all(|s| *s >= 0)
            && sizes.iter().try_fold(1i64, |n, s| n.checked_mul(*s)) == Some(total as i64);
        if !fits {
            return Err(self.fail(
                error("E0203", format!("{from:?} cannot be reshaped to {sizes:?}"))
                    .at(shape_at, "the new shape")
                    .at(at, format!("{total} elements")),
            ));
        }
        let shape = self.checked_shape(&sizes, shape_at)?;
        let node = self.build(span).reshape(x.node, &shape);
        Ok(Value::Tensor(Tensor { node, weak: false, ..x }))
    }

    fn transpose(&mut self, args: Vec<Argument>, span: Span) -> R<Value> {
        let mut t = self.take(Builtin::Transpose, args, &["x", "axes"], span)?;
        let (x, at) = self.required_tensor(&mut t)?;
        let rank = self.shape_of(x)?.len();
        let perm: Vec<usize> = match self.optional(&mut t) {
            None if rank < 2 => {
                return Err(self.fail(
                    error("E0213", format!("a tensor with {} has none to swap", axes_text(rank))).at(at, "this tensor"),
                ));
            }
            None => {
                let mut perm: Vec<usize> = (0..rank).collect();
                perm.swap(rank - 1, rank - 2);
                perm
            }
            Some(arg) => {
                let ints = self.int_list(&Operand { value: arg.value, span: arg.span })?;
                let perm: Vec<usize> =
                    ints.iter().map(|i| (if *i < 0 { i + rank as i64 } else { *i }) as usize).collect();
                let mut sorted = perm.clone();
                sorted.sort_unstable();
                if !sorted.iter().copied().eq(0..rank) {
                    return Err(self.fail(
                        error("E0213", format!("{ints:?} is not an order of {rank} axes")).at(arg.span, "here"),
                    ));
                }
                perm
            }
        };
        let node = self.build(span).transpose(x.node, perm);
        Ok(Value::Tensor(Tensor { node, ..x }))
    }

    fn concat(&mut self, args: Vec<Argument>, span: Span) -> R<Value> {
        let mut t = self.take(Builtin::Concat, args, &["parts", "axis"], span)?;
        let parts = self.required(&mut t)?;
        let Value::List(items) = &parts.value else {
            let found = self.type_text(&parts.value);
            return Err(self.fail(
                error("E0204", format!("'concat' takes a list of tensors, not {found}")).at(parts.span, "not a list"),
            ));
        };
        if let Some(joined) = joined_shapes(items) {
            return Ok(joined);
        }
        let mut tensors = vec![];
        for item in items.iter() {
            tensors.push(self.to_tensor(item.clone(), None, parts.span)?);
        }
        let Some(first) = tensors.first() else {
            return Err(self.fail(error("E0204", "'concat' of nothing").at(parts.span, "an empty list")));
        };
        let rank = self.shape_of(*first)?.len();
        let axis = self.optional(&mut t);
        let axis = self.one_axis(axis, rank, Some(0), span)?;
        self.push(Op::Concat { axis }, &tensors, span)
    }

    fn pad(&mut self, args: Vec<Argument>, span: Span) -> R<Value> {
        let mut t = self.take(Builtin::Pad, args, &["x", "low", "high", "value"], span)?;
        let (x, _) = self.required_tensor(&mut t)?;
        let rank = self.shape_of(x)?.len();
        let (low, high) = (self.shape_argument(&mut t)?, self.shape_argument(&mut t)?);
        if low.len() != rank || high.len() != rank {
            return Err(self.fail(
                error("E0213", format!("'pad' needs {rank} sizes before and after")).at(span, "one for each axis"),
            ));
        }
        let dtype = self.graph.dtype(x.node);
        let value = match self.optional(&mut t) {
            Some(arg) => self.to_tensor(arg.value, Some(dtype), arg.span)?,
            None => Tensor::plain(self.build(span).constant(0.0, dtype)),
        };
        self.push(Op::Pad { low, high, interior: vec![0; rank] }, &[x, value], span)
    }

    /// Number of elements, along some axes or all.
    fn size(&mut self, args: Vec<Argument>, span: Span) -> R<Value> {
        let mut t = self.take(Builtin::Size, args, &["x", "axis"], span)?;
        let (x, _) = self.required_tensor(&mut t)?;
        let axis = self.optional(&mut t);
        if x.layout == Layout::Flat {
            let group = self.flat.clone().ok_or(Failed::NeedsShape)?;
            let sizes: Vec<f64> = group.offsets.windows(2).map(|w| (w[1] - w[0]) as f64).collect();
            let hint = Hint { dtype: Some(self.float), shape: Some(vec![sizes.len()]) };
            let node = self.build(span).push(Op::Dense(std::sync::Arc::new(sizes)), &[], hint);
            return Ok(Value::Tensor(Tensor { node, weak: false, layout: Layout::PerTensor }));
        }
        let shape = self.shape_of(x)?;
        let axes = self.axes(axis, shape.len(), Some(Axes::All), span)?;
        Ok(Value::Int(axes.iter().map(|a| shape[*a]).product::<usize>() as i64))
    }

    fn conversion(&mut self, b: Builtin, args: Vec<Argument>, span: Span) -> R<Value> {
        let mut t = self.take(b, args, &["x"], span)?;
        let x = self.required(&mut t)?;
        match (b, &x.value) {
            (Builtin::ToFloat, Value::Int(v)) => return Ok(Value::Float(*v as f64)),
            (Builtin::ToFloat, Value::Float(_)) | (Builtin::ToInt, Value::Int(_)) => return Ok(x.value),
            (Builtin::ToInt, Value::Float(v)) if v.is_finite() => return Ok(Value::Int(*v as i64)),
            (Builtin::ToFloat, Value::Bool(v)) => return Ok(Value::Float(f64::from(*v))),
            (Builtin::ToInt, Value::Bool(v)) => return Ok(Value::Int(i64::from(*v))),
            (Builtin::ToBool, Value::Bool(_)) => return Ok(x.value),
            _ => {}
        }
        let t = self.to_tensor(x.value, None, x.span)?;
        let dtype = match b {
            // A weak scalar stays one: it is a float already.
            Builtin::ToFloat if t.weak => return Ok(Value::Tensor(t)),
            Builtin::ToFloat => self.float,
            Builtin::ToInt => DType::I32,
            _ => DType::Bool,
        };
        let node = self.build(span).convert(t.node, dtype);
        Ok(Value::Tensor(Tensor { node, weak: false, ..t }))
    }

    /// The parameters below a layer that has been called.
    fn params_of(&mut self, args: Vec<Argument>, span: Span) -> R<Value> {
        let mut t = self.take(Builtin::Params, args, &["part"], span)?;
        let part = self.required(&mut t)?;
        let path = match &part.value {
            Value::Instance(i) => self.path_of(&i.clone()),
            Value::Part(path) => path.to_string(),
            other => {
                let found = self.type_text(other);
                return Err(self.fail(
                    error("E0204", format!("'params' takes a layer or a model, not {found}")).at(part.span, "here"),
                ));
            }
        };
        let nodes: Vec<Value> = self
            .params
            .iter()
            .filter(|(p, _)| under(p, &path))
            .map(|(_, slot)| Value::Tensor(Tensor::plain(slot.node)))
            .collect();
        if nodes.is_empty() {
            return Err(self.fail(
                error("E0217", format!("'{path}' has no parameters yet"))
                    .at(part.span, "call it before asking for its parameters"),
            ));
        }
        Ok(Value::list(nodes))
    }
}

/// Lists of integers end to end are a longer list: how shapes are put together.
fn joined_shapes(items: &[Value]) -> Option<Value> {
    let mut joined = vec![];
    for item in items {
        let Value::List(part) = item else { return None };
        if !part.iter().all(|v| matches!(v, Value::Int(_))) {
            return None;
        }
        joined.extend(part.iter().cloned());
    }
    (!items.is_empty()).then(|| Value::list(joined))
}

/// Whether a parameter's path lies in the part.
pub fn under(path: &str, part: &str) -> bool {
    path == part || path.strip_prefix(part).is_some_and(|rest| rest.starts_with('.'))
}
