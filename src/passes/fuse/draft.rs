//! One kernel from its roots: pulls the values that the roots need at affine maps of the kernel's loops.

use super::chunks::Ragged;
use super::classify::{Class, Reduction, base_of, reduced_and_kept, wide_axes};
use super::map::{Lin, Map, decompose, linearise};
use crate::ir::types::strides;
use crate::ir::{ArgKind, Compare, DType, Graph, NodeId, Op, ReduceKind};
use crate::kernel::{Affine, Effect, Kernel, KernelParam, Level, Space, Value, ValueId, ValueKind};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Loops of a kernel before axes are merged: extents without those of size 1, and how many of the last are inner
/// (`None`: any split will do, since nothing is reduced along part of them).
///
/// Ragged rows have two loops, over rows and over the flat index of all elements; in row `r` the second one runs from
/// `ragged[r]` to `ragged[r + 1]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loops {
    pub extents: Vec<usize>,
    pub inner: Option<usize>,
    pub ragged: Option<Arc<Vec<usize>>>,
}

impl Loops {
    fn ragged(offsets: &Arc<Vec<usize>>) -> Loops {
        let elements = offsets.last().copied().unwrap_or(0);
        Loops { extents: vec![offsets.len() - 1, elements], inner: Some(1), ragged: Some(offsets.clone()) }
    }

    /// Loops that serve both: equal ones, or one that is the rows of the other.
    pub fn join(&self, other: &Loops) -> Option<Loops> {
        let (long, short) = if self.extents.len() >= other.extents.len() { (self, other) } else { (other, self) };
        let k = short.extents.len();
        if long.extents[..k] != short.extents[..] {
            return None;
        }
        if k == long.extents.len() {
            if long.ragged != short.ragged {
                return None;
            }
            let inner = match (long.inner, short.inner) {
                (Some(a), Some(b)) if a != b => return None,
                (a, b) => a.or(b),
            };
            return Some(Loops { inner, ..long.clone() });
        }
        let rows = long.extents.len() - k;
        let fits = k > 0 && short.inner.is_none() && long.inner.is_none_or(|inner| inner == rows);
        fits.then(|| Loops { inner: Some(rows), ..long.clone() })
    }
}

/// Why roots do not make a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// This node must be stored first.
    Need(NodeId),
    /// These roots cannot be in one kernel.
    Conflict,
}

/// A finished kernel with the node behind each parameter.
#[derive(Clone, Debug)]
pub struct Draft {
    pub kernel: Kernel,
    /// The node that owns each parameter's bytes.
    pub params: Vec<NodeId>,
    /// Every node computed here.
    pub fused: Vec<NodeId>,
}

impl Draft {
    pub fn reads(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.params.iter().zip(&self.kernel.params).filter(|(_, p)| !p.written).map(|(n, _)| *n)
    }
}

/// What the builder asks about nodes.
pub struct Context<'a> {
    pub graph: &'a Graph,
    pub classes: &'a [Class],
    /// Nodes that own bytes.
    pub stored: &'a [bool],
    /// The rows of flat values of these lengths.
    pub ragged: &'a Ragged,
}

impl Context<'_> {
    /// The loops that a root asks for.
    pub fn loops(&self, root: NodeId) -> Loops {
        let graph = self.graph;
        let extents = |shape: &[usize], axes: &[usize]| axes.iter().map(|a| shape[*a]).collect::<Vec<_>>();
        let all = |shape: &[usize]| {
            let extents = extents(shape, &wide_axes(shape));
            match extents[..] {
                [elements] if let Some(offsets) = self.ragged.get(&elements) => Loops::ragged(offsets),
                _ => Loops { extents, ..Loops::default() },
            }
        };
        match self.classes[root.index()] {
            Class::Reduce(kind) => {
                let shape = graph.shape(graph.node(root).args[0]);
                let (reduced, kept) = reduced_and_kept(graph, root);
                match kind {
                    Reduction::Row => {
                        let mut rows = extents(shape, &kept);
                        rows.extend(extents(shape, &reduced));
                        Loops { extents: rows, inner: Some(reduced.len()), ragged: None }
                    }
                    Reduction::Segment => all(shape),
                    Reduction::Column => {
                        let extents = extents(shape, &wide_axes(shape));
                        Loops { extents, inner: Some(kept.len()), ragged: None }
                    }
                    Reduction::Total => all(shape),
                }
            }
            _ => all(graph.shape(root)),
        }
    }

    /// Builds the kernel of these roots (in topological order). `wanted` says which reductions others read.
    pub fn build(&self, roots: &[NodeId], loops: &Loops, wanted: &dyn Fn(NodeId) -> bool) -> Result<Draft, Blocked> {
        let mut builder = Builder {
            context: self,
            roots,
            extents: &loops.extents,
            ragged: loops.ragged.as_ref(),
            split: loops.inner.map_or(0, |inner| loops.extents.len() - inner),
            values: vec![],
            memo: FxHashMap::default(),
            params: vec![],
            effects: vec![],
            fused: vec![],
        };
        for root in roots {
            builder.root(*root, wanted)?;
        }
        builder.finish(loops)
    }
}

struct Builder<'a> {
    context: &'a Context<'a>,
    roots: &'a [NodeId],
    extents: &'a [usize],
    ragged: Option<&'a Arc<Vec<usize>>>,
    /// The first inner loop.
    split: usize,
    values: Vec<Value>,
    memo: FxHashMap<(NodeId, Map), ValueId>,
    params: Vec<(NodeId, KernelParam)>,
    /// With the number of loops of the root's own space: fewer than the kernel's for Row level.
    effects: Vec<(Effect, usize)>,
    fused: Vec<NodeId>,
}

impl Builder<'_> {
    fn graph(&self) -> &Graph {
        self.context.graph
    }

    fn lin(&self, axis: usize) -> Lin {
        Lin::of(axis, self.extents.len())
    }

    /// Axes with a loop each, in the given order; the others have one element.
    fn map_of(&self, rank: usize, order: &[usize]) -> Map {
        let mut map = vec![Lin::zero(self.extents.len()); rank];
        for (k, axis) in order.iter().enumerate() {
            map[*axis] = self.lin(k);
        }
        map
    }

    /// The map of a whole value whose elements are the loops of its root.
    fn home(&self, shape: &[usize]) -> Map {
        let axes = wide_axes(shape);
        let mut map = self.map_of(shape.len(), &axes);
        if let ([axis], Some(_)) = (&axes[..], self.ragged)
            && shape[*axis] == self.extents[1]
        {
            map[*axis] = self.lin(1);
        }
        map
    }

    fn param(&mut self, node: NodeId, written: bool) -> usize {
        if let Some(k) = self.params.iter().position(|(n, p)| *n == node && p.written == written) {
            return k;
        }
        let ty = self.graph().ty(node);
        let param = KernelParam { dtype: ty.dtype, elements: ty.elements(), written };
        self.params.push((node, param));
        self.params.len() - 1
    }

    fn root(&mut self, root: NodeId, wanted: &dyn Fn(NodeId) -> bool) -> Result<(), Blocked> {
        let context = self.context;
        let node = context.graph.node(root);
        let loops = context.loops(root).extents.len();
        let home = match context.classes[root.index()] {
            Class::Reduce(kind @ (Reduction::Column | Reduction::Total)) => {
                let Op::Reduce { kind: reduce, .. } = &node.op else { return Err(Blocked::Conflict) };
                let operand = node.args[0];
                let shape = self.graph().shape(operand).clone();
                let map = self.home(&shape);
                let value = self.pull(operand, &map)?;
                let param = self.param(root, true);
                let effect = match kind {
                    Reduction::Column => Effect::ColReduce { kind: *reduce, value, param },
                    _ => Effect::TotalReduce { kind: *reduce, value, param },
                };
                self.effects.push((effect, loops));
                self.fused.push(root);
                return Ok(());
            }
            Class::Reduce(Reduction::Row | Reduction::Segment) => {
                let home = self.row_map(root);
                self.pull(root, &home)?;
                if !wanted(root) {
                    return Ok(());
                }
                home
            }
            _ => self.home(&node.ty.shape),
        };
        let value = self.pull(root, &home)?;
        let at = self.affine(&linearise(&home, &node.ty.shape, self.extents.len()));
        let param = self.param(root, true);
        let level = match context.classes[root.index()] {
            Class::Reduce(_) => wide_axes(&node.ty.shape).len(),
            _ => loops,
        };
        self.effects.push((Effect::Store { param, at, value }, level));
        Ok(())
    }

    /// The result axes of a row reduction: the outer loops.
    fn row_map(&self, id: NodeId) -> Map {
        let shape = self.graph().shape(id);
        self.map_of(shape.len(), &wide_axes(shape))
    }

    /// Strides of all loops; split into outer and inner in `finish`.
    fn affine(&self, lin: &Lin) -> Affine {
        Affine { offset: lin.offset, outer_strides: lin.coef.clone(), inner_stride: 0 }
    }

    fn push(&mut self, id: NodeId, kind: ValueKind) -> ValueId {
        let node = self.context.graph.node(id);
        let along = |at: &Affine| match at.outer_strides.iter().rposition(|s| *s != 0) {
            Some(last) if last >= self.split => Level::Element,
            Some(_) => Level::Row,
            None => Level::Scalar,
        };
        let level = level_of(&kind, &self.values, along);
        self.values.push(Value { kind, dtype: node.ty.dtype, level, span: node.span });
        ValueId(self.values.len() as u32 - 1)
    }

    /// The value of a node at a map.
    fn pull(&mut self, id: NodeId, map: &Map) -> Result<ValueId, Blocked> {
        let key = (id, map.clone());
        if let Some(value) = self.memo.get(&key) {
            return Ok(*value);
        }
        let value = self.compute(id, map)?;
        self.memo.insert(key, value);
        Ok(value)
    }

    fn compute(&mut self, id: NodeId, map: &Map) -> Result<ValueId, Blocked> {
        let context = self.context;
        let graph = context.graph;
        let node = graph.node(id);
        let loops = self.extents.len();
        let (base, offset) = base_of(graph, id);
        if context.stored[base.index()] && !self.roots.contains(&base) {
            let mut lin = linearise(map, &node.ty.shape, loops);
            lin.offset += offset as isize;
            let at = self.affine(&lin);
            let param = self.param(base, false);
            let same = |v: &Value| matches!(&v.kind, ValueKind::Load { param: p, at: a } if *p == param && *a == at);
            if let Some(k) = self.values.iter().position(same) {
                return Ok(ValueId(k as u32));
            }
            return Ok(self.push(id, ValueKind::Load { param, at }));
        }
        if let Class::Reduce(_) = context.classes[id.index()] {
            return self.row_reduction(id, map);
        }
        let arg = |k: usize| node.args[k];
        let kind = match &node.op {
            Op::Const(value) => ValueKind::Const(*value),
            Op::Iota { axis } => ValueKind::Index(self.affine(&map[*axis])),
            Op::RandomBits { stream } => {
                let mut keys = [ValueId(0); 3];
                for (key, arg) in keys.iter_mut().zip(&node.args) {
                    *key = self.pull(*arg, &vec![])?;
                }
                let index = self.affine(&linearise(map, &node.ty.shape, loops));
                ValueKind::Random { stream: *stream, keys, index }
            }
            Op::Unary(u) => ValueKind::Unary(*u, self.pull(arg(0), map)?),
            Op::Binary(b) => {
                let x = self.pull(arg(0), map)?;
                ValueKind::Binary(*b, x, self.pull(arg(1), map)?)
            }
            Op::Compare(c) => {
                let x = self.pull(arg(0), map)?;
                ValueKind::Compare(*c, x, self.pull(arg(1), map)?)
            }
            Op::Select => {
                let c = self.pull(arg(0), map)?;
                let x = self.pull(arg(1), map)?;
                ValueKind::Select(c, x, self.pull(arg(2), map)?)
            }
            Op::Convert => ValueKind::Convert(self.pull(arg(0), map)?),
            Op::BitsToUnit => ValueKind::BitsToUnit(self.pull(arg(0), map)?),
            // An arg-reduction over one element.
            Op::ArgReduce { .. } => ValueKind::Const(0.0),
            Op::StopGradient => return self.pull(arg(0), map),
            _ => {
                let operand = self.moved(id, map)?;
                return self.pull(arg(0), &operand);
            }
        };
        self.fused.push(id);
        Ok(self.push(id, kind))
    }

    /// The operand's map of an operation that only moves elements.
    fn moved(&self, id: NodeId, map: &Map) -> Result<Map, Blocked> {
        let graph = self.graph();
        let node = graph.node(id);
        let shape = graph.shape(node.args[0]);
        let loops = self.extents.len();
        Ok(match &node.op {
            Op::Broadcast { axes } => {
                let at = |k: usize| if shape[k] == 1 { Lin::zero(loops) } else { map[axes[k]].clone() };
                (0..shape.len()).map(at).collect()
            }
            Op::Transpose { perm } => {
                let mut operand = vec![Lin::zero(loops); shape.len()];
                for (k, axis) in perm.iter().enumerate() {
                    operand[*axis] = map[k].clone();
                }
                operand
            }
            Op::Slice { start, stride, .. } => {
                map.iter().zip(start.iter().zip(stride)).map(|(l, (o, s))| l.scaled(*s as isize, *o as isize)).collect()
            }
            Op::Reverse { axes } => {
                let flip = |(k, l): (usize, &Lin)| match axes.contains(&k) {
                    true => l.scaled(-1, shape[k] as isize - 1),
                    false => l.clone(),
                };
                map.iter().enumerate().map(flip).collect()
            }
            Op::SegmentBroadcast { offsets } => {
                if self.ragged != Some(offsets) || map[0] != self.lin(1) {
                    return Err(Blocked::Need(id));
                }
                vec![self.lin(0)]
            }
            // Reshapes, and reductions of axes of size 1.
            _ => {
                let position = linearise(map, &node.ty.shape, loops);
                match decompose(&position, shape, self.extents) {
                    Some(operand) => operand,
                    None => return Err(Blocked::Need(base_of(graph, id).0)),
                }
            }
        })
    }

    fn row_reduction(&mut self, id: NodeId, map: &Map) -> Result<ValueId, Blocked> {
        let context = self.context;
        let row = matches!(context.classes[id.index()], Class::Reduce(Reduction::Row | Reduction::Segment));
        let loops = context.loops(id);
        if !row || *map != self.row_map(id) || loops.extents != self.extents || loops.ragged.as_ref() != self.ragged {
            return Err(Blocked::Conflict);
        }
        let node = context.graph.node(id);
        let operand = node.args[0];
        let operand_map = match self.ragged {
            Some(_) => vec![self.lin(1)],
            None => {
                let (reduced, kept) = reduced_and_kept(context.graph, id);
                let order: Vec<usize> = kept.into_iter().chain(reduced).collect();
                self.map_of(context.graph.shape(operand).len(), &order)
            }
        };
        let value = self.pull(operand, &operand_map)?;
        let position: Vec<isize> = match self.ragged {
            Some(_) => vec![0, 1],
            None => strides(self.extents).iter().map(|s| *s as isize).collect(),
        };
        let value = self.raised(value, Level::Element, &Affine { offset: 0, outer_strides: position, inner_stride: 0 });
        let kind = match &node.op {
            Op::Reduce { kind, .. } | Op::SegmentReduce { kind, .. } => ValueKind::RowReduce(*kind, value),
            Op::ArgReduce { kind, .. } => ValueKind::RowArg(*kind, value),
            _ => return Err(Blocked::Conflict),
        };
        self.fused.push(id);
        Ok(self.push(id, kind))
    }

    /// Merges loops, sets levels, and names the kernel.
    fn finish(mut self, loops: &Loops) -> Result<Draft, Blocked> {
        let total = self.extents.len();
        let split = loops.inner.map_or(0, |inner| total - inner);
        let merged = self.merge(split);
        let inner_loops = merged.iter().filter(|r| r.start >= split).count();
        let space = match loops.inner {
            _ if let Some(offsets) = &loops.ragged => Space::Segments { offsets: offsets.clone() },
            Some(_) if inner_loops > 1 => return Err(self.unmerged()),
            None if merged.len() <= 1 => Space::Flat { elements: self.extents.iter().product() },
            _ => {
                let size = |r: &std::ops::Range<usize>| self.extents[r.clone()].iter().product::<usize>();
                let (inner, outer) = merged.split_last().expect("an inner loop");
                Space::Grid { outer: outer.iter().map(size).collect(), inner: size(inner) }
            }
        };
        let narrow = |at: &mut Affine| {
            // The stride of merged loops is that of the last of them.
            let mut strides: Vec<isize> = merged.iter().map(|r| at.outer_strides[r.end - 1]).collect();
            at.inner_stride = strides.pop().unwrap_or(0);
            at.outer_strides = strides;
        };
        for value in &mut self.values {
            match &mut value.kind {
                ValueKind::Load { at, .. } | ValueKind::Index(at) | ValueKind::Random { index: at, .. } => narrow(at),
                _ => {}
            }
        }
        for (effect, _) in &mut self.effects {
            if let Effect::Store { at, .. } = effect {
                narrow(at);
            }
        }
        if loops.inner.is_none() {
            // The inner loop has only now been chosen.
            set_levels(&mut self.values);
        }
        if !merged.is_empty() {
            self.raise_reduced(total, &space);
        }
        let name = name(&self.values, &self.effects);
        let (params, kernel_params) = self.params.into_iter().unzip();
        let effects = self.effects.into_iter().map(|(e, _)| e).collect();
        let kernel = Kernel { name, space, params: kernel_params, values: self.values, effects };
        Ok(Draft { kernel, params, fused: self.fused })
    }

    /// Reductions over a space count every point of it, even if the value is the same at many.
    fn raise_reduced(&mut self, total: usize, space: &Space) {
        let rows = match space {
            Space::Grid { outer, .. } => strides(outer).iter().map(|s| *s as isize).collect(),
            Space::Segments { .. } => vec![1],
            Space::Flat { .. } => vec![],
        };
        for k in 0..self.effects.len() {
            let (effect, loops) = &self.effects[k];
            let (Effect::ColReduce { value, .. } | Effect::TotalReduce { value, .. }) = *effect else { continue };
            let raised = if *loops < total {
                let row = Affine { offset: 0, outer_strides: rows.clone(), inner_stride: 0 };
                self.raised(value, Level::Row, &row)
            } else {
                let element = Affine { offset: 0, outer_strides: vec![0; rows.len()], inner_stride: 1 };
                self.raised(value, Level::Element, &element)
            };
            if let Effect::ColReduce { value, .. } | Effect::TotalReduce { value, .. } = &mut self.effects[k].0 {
                *value = raised;
            }
        }
    }

    /// The same value at a deeper level: chosen twice by a condition on an index of that level.
    fn raised(&mut self, value: ValueId, level: Level, index: &Affine) -> ValueId {
        let from = self.values[value.0 as usize].clone();
        if from.level >= level {
            return value;
        }
        let mut push = |kind, dtype, level| {
            self.values.push(Value { kind, dtype, level, span: from.span });
            ValueId(self.values.len() as u32 - 1)
        };
        let index = push(ValueKind::Index(index.clone()), DType::I32, level);
        let zero = push(ValueKind::Const(0.0), DType::I32, Level::Scalar);
        let condition = push(ValueKind::Compare(Compare::Ge, index, zero), DType::Bool, level);
        push(ValueKind::Select(condition, value, value), from.dtype, level)
    }

    /// Runs of neighbouring loops that every access walks as one.
    fn merge(&self, split: usize) -> Vec<std::ops::Range<usize>> {
        let mut accesses: Vec<&Affine> = vec![];
        for value in &self.values {
            if let ValueKind::Load { at, .. } | ValueKind::Index(at) | ValueKind::Random { index: at, .. } = &value.kind
            {
                accesses.push(at);
            }
        }
        for (effect, _) in &self.effects {
            if let Effect::Store { at, .. } = effect {
                accesses.push(at);
            }
        }
        let mut runs: Vec<std::ops::Range<usize>> = vec![];
        for k in 0..self.extents.len() {
            let size = self.extents[k] as isize;
            let joins =
                k != split && accesses.iter().all(|a| k > 0 && a.outer_strides[k - 1] == a.outer_strides[k] * size);
            match runs.last_mut() {
                Some(run) if joins => run.end = k + 1,
                _ => runs.push(k..k + 1),
            }
        }
        runs
    }

    /// The operand that must be dense before a reduction can walk it as one axis.
    fn unmerged(&self) -> Blocked {
        let context = self.context;
        for root in self.roots {
            if let Class::Reduce(Reduction::Row | Reduction::Column) = context.classes[root.index()] {
                let base = base_of(context.graph, context.graph.node(*root).args[0]).0;
                if context.classes[base.index()] == Class::Expr && !context.stored[base.index()] {
                    return Blocked::Need(base);
                }
            }
        }
        Blocked::Conflict
    }
}

/// The level of a value from its operands, or from the strides of its index.
fn level_of(kind: &ValueKind, values: &[Value], along: impl Fn(&Affine) -> Level) -> Level {
    let of = |id: &ValueId| values[id.0 as usize].level;
    match kind {
        ValueKind::Const(_) => Level::Scalar,
        ValueKind::Load { at, .. } | ValueKind::Index(at) => along(at),
        ValueKind::Random { index, .. } => along(index),
        ValueKind::Unary(_, x) | ValueKind::Convert(x) | ValueKind::BitsToUnit(x) => of(x),
        ValueKind::Binary(_, x, y) | ValueKind::Compare(_, x, y) => of(x).max(of(y)),
        ValueKind::Select(c, x, y) => of(c).max(of(x)).max(of(y)),
        ValueKind::RowReduce(..) | ValueKind::RowArg(..) => Level::Row,
    }
}

/// Levels once the inner loop is known.
fn set_levels(values: &mut [Value]) {
    for k in 0..values.len() {
        values[k].level = level_of(&values[k].kind, &values[..k], |at| {
            if at.inner_stride != 0 {
                Level::Element
            } else if at.outer_strides.iter().any(|s| *s != 0) {
                Level::Row
            } else {
                Level::Scalar
            }
        });
    }
}

/// The main operations, for dumps and profiles.
fn name(values: &[Value], effects: &[(Effect, usize)]) -> String {
    let mut parts: Vec<&str> = vec![];
    let mut add = |part: &'static str| {
        if !parts.contains(&part) {
            parts.push(part);
        }
    };
    let reduce = |kind: &ReduceKind| match kind {
        ReduceKind::Sum => "sum",
        ReduceKind::Prod => "prod",
        ReduceKind::Max => "max",
        ReduceKind::Min => "min",
    };
    for value in values {
        match &value.kind {
            ValueKind::Unary(u, _) => add(u.name()),
            ValueKind::Binary(b, ..) => add(b.name()),
            ValueKind::Select(..) => add("select"),
            ValueKind::Random { .. } => add("random"),
            ValueKind::RowReduce(kind, _) => add(reduce(kind)),
            ValueKind::RowArg(ArgKind::Max, _) => add("argmax"),
            ValueKind::RowArg(ArgKind::Min, _) => add("argmin"),
            _ => {}
        }
    }
    for (effect, _) in effects {
        match effect {
            Effect::ColReduce { .. } => add("columns"),
            Effect::TotalReduce { .. } => add("total"),
            Effect::Store { .. } => {}
        }
    }
    if parts.is_empty() {
        return "copy".into();
    }
    parts.truncate(6);
    parts.join("_")
}
