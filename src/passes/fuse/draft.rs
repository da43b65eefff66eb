//! One kernel from its roots: pulls the values that the roots need at affine maps of the kernel's loops.

mod finish;

use super::chunks::Ragged;
use super::classify::{Class, Reduction, base_of, reduced_and_kept, wide_axes};
use super::map::{Lin, Map, decompose, linearise};
use crate::ir::types::strides;
use crate::ir::{Graph, NodeId, Op};
use crate::kernel::{Affine, Effect, Kernel, KernelParam, Level, Value, ValueId, ValueKind};
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
