//! `scan x in xs { … }`: a loop that runs, where `for` is unrolled.
//!
//! The body is elaborated once, in the same graph, on stand-ins for a slice of each operand and for every value that it updates.
//! Then its nodes are taken apart ([`super::scan_body`]): what depends on a stand-in becomes the body of an [`crate::ir::Op::Scan`], and the rest (weights
//! that layers in the body have made, products of them, random keys) stays outside and enters the body as constants.

use super::dims::axes_text;
use super::scan_body::Mark;
use super::{Elab, Failed, R};
use crate::diag::error;
use crate::ir::scan::{self, Scan};
use crate::ir::{DType, InputKind, NodeId, OutputKind, Type};
use crate::sema::value::{Layout, Tensor, Value};
use crate::source::Span;
use crate::syntax::ast;
use crate::syntax::walk;
use std::collections::HashMap;
use std::rc::Rc;

/// What a scan walks along, and what each step reads.
struct Walked {
    name: String,
    /// `[steps, ..]`
    stack: NodeId,
    slice: Type,
}

/// A name whose value goes from step to step: the tensors in it.
struct Carried {
    name: String,
    start: Value,
    first: Vec<Tensor>,
    /// The last statement that updates it.
    update: Span,
}

/// The settings of the header.
struct Header {
    walked: Vec<Walked>,
    steps: usize,
    axis: usize,
    reverse: bool,
}

/// A scan whose body is being elaborated.
#[derive(Clone, Debug)]
pub struct Around {
    mark: Mark,
    /// The number of the step.
    time: NodeId,
    /// What stands for carried values, and for slices with what they are slices of.
    carried: Vec<NodeId>,
    slices: Vec<(NodeId, NodeId)>,
}

impl Elab<'_> {
    pub fn scan(&mut self, scan: &ast::Scan, span: Span) -> R<Value> {
        let header = self.scan_header(scan, span)?;
        let carried = self.carried(scan)?;
        let float = self.scan_type(&carried);
        let before: HashMap<String, Tensor> = self.states.iter().map(|(path, s)| (path.clone(), s.current)).collect();
        let mark = self.mark();
        let mut stand_ins = vec![];
        for c in &carried {
            let mut values = vec![];
            for t in &c.first {
                let ty = Type::new(float, self.graph.shape(t.node).clone());
                let own = self.graph.dtype(t.node);
                let node = self.graph.add_input(&c.name, ty, InputKind::Arg, c.update);
                stand_ins.push(node);
                values.push(Tensor::plain(self.build(c.update).convert(node, own)));
            }
            let value = refilled(&c.start, &mut values.into_iter());
            self.assign(&c.name, value);
        }
        self.frame().scopes.push(HashMap::new());
        let (carries, mut slices) = (stand_ins.clone(), vec![]);
        for w in &header.walked {
            let node = self.graph.add_input(&w.name, w.slice.clone(), InputKind::Arg, span);
            stand_ins.push(node);
            slices.push((node, w.stack));
            self.define(&w.name, Value::Tensor(Tensor::plain(node)));
        }
        let time = self.graph.add_input("step of the scan", Type::scalar(DType::I32), InputKind::Arg, span);
        stand_ins.push(time);
        self.scans.push(Around { mark, time, carried: carries, slices });
        let value = self.statements(&scan.body.stmts);
        self.scans.pop();
        self.frame().scopes.pop();
        let after = value.and_then(|value| self.after_body(value, &carried, float, scan.body.span));
        for c in &carried {
            self.assign(&c.name, c.start.clone());
        }
        let varying = self.varying(mark, &stand_ins);
        let kept = self.states_kept(mark, &varying, &before, span);
        let results = after.as_ref().map_or(vec![], |(new, emitted, _)| [new.as_slice(), emitted].concat());
        let parts = self.take_apart(mark, &varying, &stand_ins, &results);
        let (new, _, value) = after?;
        kept?;
        if results.is_empty() {
            return Err(self.fail(
                error("E0219", "a scan that leaves nothing")
                    .at(span, "it updates no name from outside, and its last statement has no value")
                    .help("end the body with what each step gives, or update a name that was there before with `<-`"),
            ));
        }

        let mut args = vec![];
        for t in carried.iter().flat_map(|c| &c.first) {
            args.push(self.build(span).convert(t.node, float));
        }
        args.extend(header.walked.iter().map(|w| w.stack));
        args.push(self.build(span).iota(DType::I32, &[header.steps], 0));
        args.extend(parts.constants);
        let mut body = parts.body;
        let names = carried.iter().flat_map(|c| c.first.iter().map(|_| c.name.clone()));
        for (k, (node, name)) in parts.results.iter().zip(names.chain(std::iter::repeat("value".into()))).enumerate() {
            let kind = if k < new.len() { OutputKind::Update(k) } else { OutputKind::Value };
            body.add_output(name, *node, kind);
        }
        let slices = header.walked.len() + 1;
        let whole = Scan { body, steps: header.steps, reverse: header.reverse, carries: new.len(), slices };
        let node = scan::push(&mut self.build(span), whole, &args);
        self.scan_results(node, &carried, value, &header, span)
    }

    /// Gives carried names their last values, and stacks what the body gave.
    fn scan_results(
        &mut self,
        node: NodeId,
        carried: &[Carried],
        value: Value,
        header: &Header,
        span: Span,
    ) -> R<Value> {
        let mut k = 0;
        for c in carried {
            let mut values = vec![];
            for t in &c.first {
                let own = self.graph.dtype(t.node);
                let last = scan::result(&mut self.build(c.update), node, k);
                values.push(Tensor::plain(self.build(c.update).convert(last, own)));
                k += 1;
            }
            let value = refilled(&c.start, &mut values.into_iter());
            self.assign(&c.name, value);
        }
        let mut stacks = vec![];
        for _ in tensors_of(&value) {
            let stack = scan::result(&mut self.build(span), node, k);
            k += 1;
            let rank = self.graph.shape(stack).len();
            if header.axis >= rank {
                return Err(self.fail(
                    error("E0213", format!("the values of the steps have {} axes", rank - 1))
                        .at(span, format!("they cannot be stacked along axis {}", header.axis)),
                ));
            }
            // The time axis goes where it is in the operands.
            let perm = (1..=header.axis).chain([0]).chain(header.axis + 1..rank).collect();
            stacks.push(Tensor::plain(self.build(span).transpose(stack, perm)));
        }
        Ok(refilled(&value, &mut stacks.into_iter()))
    }

    fn scan_header(&mut self, scan: &ast::Scan, span: Span) -> R<Header> {
        let (mut axis, mut reverse) = (0, false);
        for (name, value) in &scan.settings {
            match name.name.as_str() {
                "axis" => axis = self.static_int(value)?,
                "reverse" => {
                    let flag = self.operand(value)?;
                    reverse = self.static_bool(&flag).ok_or_else(|| {
                        self.fail(error("E0211", "expected true or false at compile time").at(value.span, "here"))
                    })?;
                }
                other => {
                    return Err(self.fail(
                        error("E0205", format!("a scan has no setting '{other}'"))
                            .at(name.span, "unknown name")
                            .note("settings: axis, reverse"),
                    ));
                }
            }
        }
        let (mut walked, mut length): (Vec<Walked>, Option<(usize, Span)>) = (vec![], None);
        let mut place = usize::try_from(axis).unwrap_or(0);
        for (name, value) in &scan.items {
            let x = self.operand(value)?;
            let (stack, at) = match x.value {
                Value::Range(a, b) => (self.counted(a, b, value.span)?, 0),
                Value::Poison => return Err(Failed::Reported),
                other => {
                    let t = self.to_tensor(other, None, value.span)?;
                    let rank = self.shape_of(t)?.len() as i64;
                    let at = if axis < 0 { axis + rank } else { axis };
                    if at < 0 || at >= rank {
                        return Err(self.fail(
                            error("E0213", format!("axis {axis} of a tensor with {}", axes_text(rank as usize)))
                                .at(value.span, "the scan walks along this"),
                        ));
                    }
                    place = at as usize;
                    (t.node, at as usize)
                }
            };
            let mut shape = self.graph.shape(stack).clone();
            let steps = shape[at];
            match length {
                Some((first, there)) if first != steps => {
                    return Err(self.fail(
                        error("E0203", "a scan walks along axes of two lengths")
                            .at(value.span, format!("{steps} steps"))
                            .at(there, format!("{first} steps")),
                    ));
                }
                _ => length = Some((steps, value.span)),
            }
            let perm = [at].into_iter().chain(0..at).chain(at + 1..shape.len()).collect();
            let stack = self.build(value.span).transpose(stack, perm);
            shape.remove(at);
            walked.push(Walked { name: name.name.clone(), stack, slice: Type::new(self.graph.dtype(stack), shape) });
        }
        match length {
            Some((steps, _)) if steps > 0 => Ok(Header { walked, steps, axis: place, reverse }),
            _ => Err(self.fail(error("E0219", "a scan without steps").at(span, "there is nothing to walk along"))),
        }
    }

    /// `a..b` as ints.
    fn counted(&mut self, a: i64, b: i64, span: Span) -> R<NodeId> {
        let steps = usize::try_from(b - a).unwrap_or(0);
        let (Ok(_), Ok(_), true) = (i32::try_from(a), i32::try_from(b), steps <= super::dims::MAX_SIZE) else {
            return Err(self.fail(error("E0211", "steps are counted in 32 bits").at(span, "too large")));
        };
        let mut build = self.build(span);
        let count = build.iota(DType::I32, &[steps], 0);
        let first = build.full_like(a as f64, count);
        Ok(build.add(count, first))
    }

    /// The names from outside that the body updates.
    fn carried(&mut self, scan: &ast::Scan) -> R<Vec<Carried>> {
        let mut updates: Vec<(&str, Span)> = vec![];
        walk::updates(&scan.body, &mut |name, stmt| match updates.iter_mut().find(|(n, _)| *n == name) {
            Some((_, span)) => *span = stmt.span,
            None => updates.push((name, stmt.span)),
        });
        let mut carried = vec![];
        for (name, update) in updates {
            if scan.items.iter().any(|(item, _)| item.name == name) {
                continue;
            }
            let Some(start) = self.local(name).cloned() else { continue };
            let path = self.state_path(name);
            if self.states.contains_key(&path) {
                return Err(self.fail(
                    error("E0219", format!("the state '{name}' cannot be updated in a scan"))
                        .at(update, "updated at every step")
                        .help(format!(
                            "carry a local: `let next = {name}`, update it, and after the scan `{name} <- next`"
                        )),
                ));
            }
            let start = self.carried_value(start, name, update)?;
            let first = tensors_of(&start);
            carried.push(Carried { name: name.to_string(), start, first, update });
        }
        Ok(carried)
    }

    /// A value that can be carried: numbers become tensors, and scalars of 64 bits take the run's type.
    fn carried_value(&mut self, value: Value, name: &str, update: Span) -> R<Value> {
        let mut all = |items: &[Value]| -> R<Rc<Vec<Value>>> {
            let items: R<Vec<Value>> = items.iter().map(|v| self.carried_value(v.clone(), name, update)).collect();
            Ok(Rc::new(items?))
        };
        let tensor = match &value {
            Value::List(items) if !numbers(&value) => return Ok(Value::List(all(items)?)),
            Value::Tuple(items) => return Ok(Value::Tuple(all(items)?)),
            Value::Poison => return Err(Failed::Reported),
            Value::Tensor(t) if t.layout != Layout::Plain => return Err(Failed::NeedsShape),
            Value::Tensor(t) if self.graph.dtype(t.node).is_float() => *t,
            Value::Int(_) | Value::Float(_) | Value::List(_) => self.to_tensor(value, Some(self.float), update)?,
            other => {
                let found = self.type_text(other);
                return Err(self.fail(
                    error("E0219", format!("'{name}' cannot be carried by a scan: it is {found}"))
                        .at(update, "updated at every step")
                        .help("a scan carries floats; convert with `float(…)` before it and back after it"),
                ));
            }
        };
        let float = self.float;
        let node = if tensor.weak { self.build(update).convert(tensor.node, float) } else { tensor.node };
        Ok(Value::Tensor(Tensor::plain(node)))
    }

    /// The one type in which results are stored.
    fn scan_type(&self, carried: &[Carried]) -> DType {
        let wide = carried.iter().flat_map(|c| &c.first).any(|t| self.graph.dtype(t.node) == DType::F64);
        if wide { DType::F64 } else { self.float }
    }

    /// New carried values and the tensors of the body's value, in the type of results; and that value, whose tensors show
    /// where stacks go.
    #[allow(clippy::type_complexity)]
    fn after_body(
        &mut self,
        value: Value,
        carried: &[Carried],
        float: DType,
        at: Span,
    ) -> R<(Vec<NodeId>, Vec<NodeId>, Value)> {
        let mut new = vec![];
        for c in carried {
            let now = self.local(&c.name).cloned().unwrap_or(Value::Unit);
            let now = tensors_of(&self.carried_value(now, &c.name, c.update)?);
            for (k, first) in c.first.iter().enumerate() {
                let want = self.graph.shape(first.node).clone();
                let fits = |t: &&Tensor| {
                    let found = self.graph.shape(t.node);
                    now.len() == c.first.len() && (*found == want || found.is_empty())
                };
                let Some(t) = now.get(k).filter(fits) else {
                    return Err(self.other_shape(c, *first, now.get(k).copied()));
                };
                let mut build = self.build(c.update);
                let node = build.convert(t.node, float);
                new.push(build.broadcast_to(node, &want));
            }
        }
        let value = self.with_numbers(value, at)?;
        let mut emitted = vec![];
        for t in tensors_of(&value) {
            let dtype = self.graph.dtype(t.node);
            if t.layout != Layout::Plain {
                return Err(Failed::NeedsShape);
            }
            if !dtype.is_float() || (dtype == DType::F64 && float == DType::F32 && !t.weak) {
                let found = self.type_text(&Value::Tensor(t));
                return Err(self.fail(
                    error("E0219", format!("the steps of a scan give {found}"))
                        .at(at, "the value of this block is stacked")
                        .help(format!("a scan stacks {}: convert it with `float(…)`", self.dtype_text(float))),
                ));
            }
            emitted.push(self.build(at).convert(t.node, float));
        }
        Ok((new, emitted, value))
    }

    fn other_shape(&mut self, c: &Carried, first: Tensor, now: Option<Tensor>) -> Failed {
        let old = self.type_text(&Value::Tensor(first));
        let new = now.map_or("another number of values".into(), |t| self.type_text(&Value::Tensor(t)));
        let mut d = error("E0203", format!("'{}' begins a scan as {old} and becomes {new}", c.name))
            .at(c.update, format!("here it becomes {new}"));
        let start = self.graph.node(first.node).span;
        if start != Span::default() && start != c.update {
            d = d.at(start, format!("it begins as {old}"));
        }
        self.fail(
            d.help(format!("what is carried keeps its shape: begin '{}' with the shape that it has later", c.name)),
        )
    }

    /// Numbers in the body's value as tensors.
    fn with_numbers(&mut self, value: Value, at: Span) -> R<Value> {
        Ok(match value {
            _ if numbers(&value) => Value::Tensor(self.to_tensor(value, Some(self.float), at)?),
            Value::List(items) => {
                Value::List(Rc::new(items.iter().map(|v| self.with_numbers(v.clone(), at)).collect::<R<_>>()?))
            }
            Value::Tuple(items) => {
                Value::Tuple(Rc::new(items.iter().map(|v| self.with_numbers(v.clone(), at)).collect::<R<_>>()?))
            }
            Value::Tensor(_) | Value::Unit => value,
            Value::Poison => return Err(Failed::Reported),
            other => {
                let found = self.type_text(&other);
                return Err(
                    self.fail(error("E0219", format!("the steps of a scan give {found}")).at(at, "not a tensor"))
                );
            }
        })
    }

    /// States that a layer in the body updates have one value a step, and nothing carries them.
    fn states_kept(&mut self, mark: Mark, varying: &[bool], before: &HashMap<String, Tensor>, span: Span) -> R<()> {
        let mut changed = None;
        for (path, slot) in &mut self.states {
            if mark.is_varying(varying, slot.current.node) {
                changed = Some((path.clone(), slot.span));
                slot.current = before.get(path).copied().unwrap_or(Tensor { node: slot.input, ..slot.current });
                slot.start = slot.current;
            }
        }
        let Some((path, place)) = changed else { return Ok(()) };
        Err(self.fail(
            error("E0219", format!("the state '{path}' cannot be updated in a scan"))
                .at(span, "this body would update it at every step")
                .at(place, "declared here"),
        ))
    }

    /// Statements and primitives that are about the whole step.
    pub fn not_in_scan(&mut self, what: &str, span: Span) -> R<()> {
        if self.scans.is_empty() {
            return Ok(());
        }
        Err(self.fail(
            error("E0212", format!("{what} cannot stand in a scan")).at(span, "the body of the scan runs many times"),
        ))
    }

    /// A gradient in a body sees one step: by a value from outside it would miss the ways through the steps before, and
    /// through slices, without a word.
    pub fn gradient_in_scan(&mut self, y: NodeId, x: NodeId, at: Span) -> R<()> {
        let depends = |of: NodeId, on: NodeId| crate::ad::depends(&self.graph, of, &[on]);
        let hidden = |scan: &Around| {
            let slices = scan.slices.iter().map(|(s, _)| *s);
            let stand_ins: Vec<NodeId> = scan.carried.iter().copied().chain(slices).chain([scan.time]).collect();
            !scan.mark.is_varying(&self.varying(scan.mark, &stand_ins), x)
                && (scan.carried.iter().any(|s| depends(y, *s))
                    || scan.slices.iter().any(|(s, stack)| depends(y, *s) && depends(*stack, x)))
        };
        if !self.scans.iter().any(hidden) {
            return Ok(());
        }
        let title =
            "a gradient in a scan by a value from outside, which may be in what is carried or walked along, too";
        Err(self.fail(
            error("E0219", title)
                .at(at, "made before the scan: the gradient would not see the steps before")
                .help("take the gradient after the scan, or cut the other ways with `stop_gradient(…)`"),
        ))
    }

    /// A random key that differs from step to step of the scans around.
    pub fn key_of_step(&mut self, mut key: NodeId, span: Span) -> NodeId {
        const GOLDEN: i32 = 0x9e37_79b9_u32 as i32;
        let scans = self.scans.clone();
        let mut build = self.build(span);
        let mut factor = GOLDEN;
        for Around { time, .. } in scans {
            let (one, by) = (build.constant(1.0, DType::I32), build.constant(f64::from(factor), DType::I32));
            let next = build.add(time, one);
            let offset = build.mul(next, by);
            key = build.add(key, offset);
            // Another odd factor for each depth, so that no two steps share a key.
            factor = factor.wrapping_mul(GOLDEN);
        }
        key
    }
}

/// A number, or lists of nothing but numbers: a tensor, if one is needed.
fn numbers(value: &Value) -> bool {
    match value {
        Value::Int(_) | Value::Float(_) => true,
        Value::List(items) => !items.is_empty() && items.iter().all(numbers),
        _ => false,
    }
}

/// The tensors in a value, in order.
fn tensors_of(value: &Value) -> Vec<Tensor> {
    match value {
        Value::Tensor(t) => vec![*t],
        Value::List(items) | Value::Tuple(items) => items.iter().flat_map(tensors_of).collect(),
        _ => vec![],
    }
}

/// The value with other tensors in the places of its own.
fn refilled(value: &Value, with: &mut dyn Iterator<Item = Tensor>) -> Value {
    match value {
        Value::Tensor(t) => Value::Tensor(with.next().unwrap_or(*t)),
        Value::List(items) => Value::List(Rc::new(items.iter().map(|v| refilled(v, with)).collect())),
        Value::Tuple(items) => Value::Tuple(Rc::new(items.iter().map(|v| refilled(v, with)).collect())),
        other => other.clone(),
    }
}
