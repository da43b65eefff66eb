//! The end of a draft: loops that every access walks as one are merged, and the kernel gets its space, levels and name.

use super::super::classify::{Class, Reduction, base_of};
use super::{Blocked, Builder, Draft, Loops, level_of};
use crate::ir::types::strides;
use crate::ir::{ArgKind, Compare, DType, ReduceKind};
use crate::kernel::{Affine, Effect, Kernel, Level, Space, Value, ValueId, ValueKind};
use std::ops::Range;

impl Builder<'_> {
    /// Merges loops, sets levels, and names the kernel.
    pub(super) fn finish(mut self, loops: &Loops) -> Result<Draft, Blocked> {
        let total = self.extents.len();
        let split = loops.inner.map_or(0, |inner| total - inner);
        let merged = self.merge(split);
        let inner_loops = merged.iter().filter(|r| r.start >= split).count();
        let space = match loops.inner {
            _ if let Some(offsets) = &loops.ragged => Space::Segments { offsets: offsets.clone() },
            Some(_) if inner_loops > 1 => return Err(self.unmerged()),
            None if merged.len() <= 1 => Space::Flat { elements: self.extents.iter().product() },
            _ => {
                let size = |r: &Range<usize>| self.extents[r.clone()].iter().product::<usize>();
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
    pub(super) fn raised(&mut self, value: ValueId, level: Level, index: &Affine) -> ValueId {
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
    fn merge(&self, split: usize) -> Vec<Range<usize>> {
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
        let mut runs: Vec<Range<usize>> = vec![];
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
