//! `x[0]`, `x[1:3, .., new]`, and lists by position.

use super::dims::axes_text;
use super::ops::Operand;
use super::{Elab, R};
use crate::diag::error;
use crate::ir::{DType, Op};
use crate::sema::value::{Tensor, Value};
use crate::source::Span;
use crate::syntax::ast::{Expr, IndexItem};

impl Elab<'_> {
    pub fn index(&mut self, base: Operand, items: &[IndexItem], span: Span) -> R<Value> {
        match &base.value {
            Value::List(list) => self.list_index(list.as_slice(), items, span),
            Value::Tuple(list) => self.list_index(list.as_slice(), items, span),
            _ => {
                let t = self.to_tensor(base.value, None, base.span)?;
                self.tensor_index(t, items, span)
            }
        }
    }

    fn list_index(&mut self, list: &[Value], items: &[IndexItem], span: Span) -> R<Value> {
        match items {
            [IndexItem::At(e)] => {
                let i = self.static_int(e)?;
                let at = self.in_range(i, list.len(), e.span)?;
                Ok(list[at].clone())
            }
            [IndexItem::Slice { start, end, step: None, .. }] => {
                let (a, b) = self.bounds(start.as_ref(), end.as_ref(), list.len())?;
                Ok(Value::list(list[a..b].iter().cloned()))
            }
            _ => Err(self.fail(error("E0212", "a list has one index").at(span, "here"))),
        }
    }

    pub fn in_range(&mut self, i: i64, size: usize, at: Span) -> R<usize> {
        let index = if i < 0 { i + size as i64 } else { i };
        if index < 0 || index >= size as i64 {
            return Err(self.fail(
                error("E0213", format!("index {i} is outside 0..{size}")).at(at, format!("the size is {size}")),
            ));
        }
        Ok(index as usize)
    }

    /// Clamped like Python's slices; negative positions count from the end.
    fn bounds(&mut self, start: Option<&Expr>, end: Option<&Expr>, size: usize) -> R<(usize, usize)> {
        let place = |i: i64| (if i < 0 { i + size as i64 } else { i }).clamp(0, size as i64) as usize;
        let a = match start {
            Some(e) => place(self.static_int(e)?),
            None => 0,
        };
        let b = match end {
            Some(e) => place(self.static_int(e)?),
            None => size,
        };
        Ok((a, b.max(a)))
    }

    fn tensor_index(&mut self, t: Tensor, items: &[IndexItem], span: Span) -> R<Value> {
        let shape = self.shape_of(t)?;
        let named = items.iter().filter(|i| matches!(i, IndexItem::At(_) | IndexItem::Slice { .. })).count();
        if named > shape.len() {
            return Err(self.fail(
                error("E0213", format!("{named} indices for a tensor with {}", axes_text(shape.len())))
                    .at(span, format!("its shape is {shape:?}")),
            ));
        }
        let (mut start, mut limit, mut stride) = (vec![0; shape.len()], shape.clone(), vec![1; shape.len()]);
        let mut result: Vec<usize> = vec![];
        let mut dropped = vec![];
        let mut gathers: Vec<(usize, Tensor)> = vec![];
        let mut axis = 0;
        for item in items {
            match item {
                IndexItem::New(_) => result.push(1),
                IndexItem::Rest(at) => {
                    let rest = shape.len() - named;
                    if items.iter().filter(|i| matches!(i, IndexItem::Rest(_))).count() > 1 {
                        return Err(self.fail(error("E0212", "'..' can stand once in an index").at(*at, "again")));
                    }
                    result.extend(&shape[axis..axis + rest]);
                    axis += rest;
                }
                IndexItem::At(e) => {
                    match self.expr(e)? {
                        Value::Int(i) => {
                            let at = self.in_range(i, shape[axis], e.span)?;
                            (start[axis], limit[axis]) = (at, at + 1);
                            dropped.push(axis);
                        }
                        other => {
                            let index = self.tensor_of_type(other, DType::I32, e.span)?;
                            gathers.push((axis, index));
                            result.push(shape[axis]);
                        }
                    }
                    axis += 1;
                }
                IndexItem::Slice { start: a, end: b, step, span: at } => {
                    let (a, b) = self.bounds(a.as_ref(), b.as_ref(), shape[axis])?;
                    let step = match step {
                        Some(e) => self.static_int(e)?,
                        None => 1,
                    };
                    if step < 1 {
                        return Err(self.fail(
                            error("E0213", format!("a slice's step must be at least 1, not {step}"))
                                .at(*at, "here")
                                .help("reverse with `flip(x, axis)`"),
                        ));
                    }
                    (start[axis], limit[axis], stride[axis]) = (a, b, step as usize);
                    result.push((b - a).div_ceil(step as usize));
                    axis += 1;
                }
            }
        }
        result.extend(&shape[axis..]);
        for (_, index) in &mut gathers {
            *index = self.index_if_chosen(*index, span);
        }
        let mut build = self.build(span);
        let sliced = build.slice(t.node, start, limit, stride);
        let node = build.reshape(sliced, &result);
        match gathers.as_slice() {
            [] => {}
            [(axis, index)] if dropped.is_empty() && result.len() == shape.len() => {
                return self.push(Op::Gather { axis: *axis }, &[Tensor { node, ..t }, *index], span);
            }
            _ => {
                return Err(self
                    .fail(error("E0212", "one index tensor at a time, without dropped or new axes").at(span, "here")));
            }
        }
        Ok(Value::Tensor(Tensor { node, ..t }))
    }
}
