//! Decides, before any code is emitted, what is computed where: the level of each value, the passes over a row, and
//! which values a later pass keeps, computes again, or reads back from scratch memory.

use super::width::Width;
use crate::ir::{Binary, DType, Unary};
use crate::kernel::{Effect, Kernel, Level, Space, ValueId, ValueKind};

/// A row this short (in vectors, and in vectors times operations) is unrolled whole: its values stay in registers.
const STRAIGHT_VECTORS: usize = 8;
const STRAIGHT_WEIGHT: usize = 240;

/// What one pass does at each inner index.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    /// Element values in order of definition.
    pub steps: Vec<Step>,
    /// Row reductions that this pass completes.
    pub reduces: Vec<ValueId>,
    /// Effects on Element values.
    pub effects: Vec<usize>,
    /// Rough number of instructions, to choose the unrolling.
    pub weight: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Compute(ValueId),
    /// As `Compute`; a later pass reads the value back.
    ComputeAndSave(ValueId),
    /// From the scratch row.
    Reload(ValueId),
}

#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub levels: Vec<Level>,
    pub scalars: Vec<ValueId>,
    /// Row values to compute before pass `p`; the last entry is for after the last pass. Row reductions are not listed.
    pub row_values: Vec<Vec<ValueId>>,
    pub passes: Vec<Pass>,
    /// Effects on Row values, after the last pass; effects on Scalar values, once a call.
    pub row_effects: Vec<usize>,
    pub scalar_effects: Vec<usize>,
    /// The whole row is unrolled; Element values live from pass to pass.
    pub straight: bool,
    /// Byte offset of each saved value in the scratch block.
    pub scratch: Vec<Option<usize>>,
    pub scratch_bytes: usize,
    /// Byte offset of the exchange memory in the scratch block: see `access`.
    pub exchange: usize,
    /// Scalar and Row values, other than constants, that Element values or effects use.
    pub used_in_loops: Vec<bool>,
}

/// Room for the lanes of two f64 values.
const EXCHANGE_BYTES: usize = 128;

pub fn operands(kind: &ValueKind) -> Vec<ValueId> {
    match kind {
        ValueKind::Const(_) | ValueKind::Load { .. } | ValueKind::Index(_) => vec![],
        ValueKind::Random { keys, .. } => keys.to_vec(),
        ValueKind::Unary(_, x)
        | ValueKind::Convert(x)
        | ValueKind::BitsToUnit(x)
        | ValueKind::RowReduce(_, x)
        | ValueKind::RowArg(_, x) => vec![*x],
        ValueKind::Binary(_, x, y) | ValueKind::Compare(_, x, y) => vec![*x, *y],
        ValueKind::Select(c, x, y) => vec![*c, *x, *y],
    }
}

fn effect_value(effect: &Effect) -> ValueId {
    match effect {
        Effect::Store { value, .. } | Effect::ColReduce { value, .. } | Effect::TotalReduce { value, .. } => *value,
    }
}

/// A function made of many instructions.
pub fn is_transcendental(kind: &ValueKind) -> bool {
    use Unary::*;
    match kind {
        ValueKind::Unary(op, _) => {
            matches!(op, Exp | Expm1 | Log | Log1p | Sin | Cos | Atan | Tanh | Logistic | Erf)
        }
        ValueKind::Binary(Binary::Pow | Binary::Rem, ..) => true,
        _ => false,
    }
}

fn weight(kernel: &Kernel, v: ValueId) -> usize {
    let value = &kernel.values[v.0 as usize];
    let operand = operands(&value.kind).first().map_or(value.dtype, |x| kernel.values[x.0 as usize].dtype);
    let base = match &value.kind {
        ValueKind::Random { .. } => 110,
        ValueKind::Binary(Binary::Pow, ..) => 140,
        kind if is_transcendental(kind) => 25,
        ValueKind::Unary(Unary::Sqrt | Unary::Rsqrt, _) | ValueKind::Binary(Binary::Div, ..) => 3,
        ValueKind::Binary(Binary::Max | Binary::Min, ..) => 3,
        _ => 1,
    };
    if operand == DType::F64 || value.dtype == DType::F64 { base * 2 } else { base }
}

/// The level that follows from the operands and strides: a value's own level is this or further inside.
pub fn computed_levels(kernel: &Kernel) -> Vec<Level> {
    let mut levels: Vec<Level> = Vec::with_capacity(kernel.values.len());
    for value in &kernel.values {
        let level = match &value.kind {
            ValueKind::Load { at, .. } | ValueKind::Index(at) | ValueKind::Random { index: at, .. } => at.level(),
            ValueKind::RowReduce(..) | ValueKind::RowArg(..) => Level::Row,
            kind => operands(kind).iter().map(|x| levels[x.0 as usize]).max().unwrap_or(Level::Scalar),
        };
        levels.push(level);
    }
    levels
}

/// The level at which an effect happens: that of its value or of its place, whichever is further inside.
pub fn effect_level(effect: &Effect, levels: &[Level], space: &Space) -> Level {
    let value = levels[effect_value(effect).0 as usize];
    match effect {
        Effect::Store { at, .. } => value.max(at.level()),
        Effect::ColReduce { .. } => Level::Element,
        Effect::TotalReduce { .. } => match (value, space) {
            (Level::Row, Space::Grid { .. } | Space::Segments { .. }) => Level::Row,
            _ => Level::Element,
        },
    }
}

/// The longest row whose length is known; `None` for rows of data-dependent length.
fn static_inner(kernel: &Kernel) -> Option<usize> {
    match &kernel.space {
        Space::Grid { inner, .. } => Some(*inner),
        _ => None,
    }
}

/// A row longer than this would leave the caches: to compute again is better than to write and read it.
const LONGEST_SAVED: usize = 1 << 17;

/// Work that is worth a store and a load: that of three or four divisions.
const WORTH_SAVING: usize = 12;

/// Elements of a scratch row, if values may be kept in one.
fn saved_row(kernel: &Kernel) -> Option<usize> {
    match &kernel.space {
        Space::Flat { .. } => None,
        Space::Grid { inner, .. } => Some(*inner),
        Space::Segments { offsets } => {
            let longest = offsets.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0);
            (longest <= LONGEST_SAVED).then_some(longest)
        }
    }
}

/// The work of computing an Element value from memory, each operation once.
fn work_of(kernel: &Kernel, levels: &[Level], id: ValueId) -> usize {
    let mut seen = vec![false; kernel.values.len()];
    let (mut work, mut sum) = (vec![id], 0);
    while let Some(id) = work.pop() {
        let v = id.0 as usize;
        let kind = &kernel.values[v].kind;
        if levels[v] != Level::Element || seen[v] || matches!(kind, ValueKind::Load { .. }) {
            continue;
        }
        seen[v] = true;
        sum += weight(kernel, id);
        work.extend(operands(kind));
    }
    sum
}

/// Makes the plan of a verified kernel.
pub fn plan(kernel: &Kernel, width: Width) -> Plan {
    let count = kernel.values.len();
    let levels: Vec<Level> = kernel.values.iter().map(|value| value.level).collect();
    let live = live_values(kernel);

    // The first pass in which a value can be computed; for row values, the pass before which it is known.
    let mut ready = vec![0usize; count];
    for (v, value) in kernel.values.iter().enumerate() {
        let before = operands(&value.kind).iter().map(|x| ready[x.0 as usize]).max().unwrap_or(0);
        let is_reduction = matches!(value.kind, ValueKind::RowReduce(..) | ValueKind::RowArg(..));
        ready[v] = if is_reduction { before + 1 } else { before };
    }

    let mut roots: Vec<(usize, ValueId)> = vec![];
    let mut reduces: Vec<(usize, ValueId)> = vec![];
    for (v, value) in kernel.values.iter().enumerate().filter(|(v, _)| live[*v]) {
        if let ValueKind::RowReduce(_, x) | ValueKind::RowArg(_, x) = value.kind {
            reduces.push((ready[v] - 1, ValueId(v as u32)));
            roots.push((ready[v] - 1, x));
        }
    }
    let last_reduce = reduces.iter().map(|(p, _)| p + 1).max().unwrap_or(0);
    let mut effects: Vec<(usize, usize)> = vec![];
    let mut plan = Plan { levels: levels.clone(), scratch: vec![None; count], ..Plan::default() };
    for (e, effect) in kernel.effects.iter().enumerate() {
        let value = effect_value(effect);
        match effect_level(effect, &levels, &kernel.space) {
            Level::Scalar => plan.scalar_effects.push(e),
            Level::Row => plan.row_effects.push(e),
            Level::Element => effects.push((ready[value.0 as usize], e)),
        }
    }
    let last_pass = effects.iter().map(|(p, _)| *p).max().unwrap_or(0).max(last_reduce.saturating_sub(1));
    for (p, e) in &mut effects {
        if let Effect::Store { param, .. } = kernel.effects[*e]
            && may_be_read_again(kernel, param)
        {
            *p = last_pass;
        }
        roots.push((*p, effect_value(&kernel.effects[*e])));
    }
    let passes = if reduces.is_empty() && effects.is_empty() { 0 } else { last_pass + 1 };

    let total: usize = (0..count).filter(|v| live[*v]).map(|v| weight(kernel, ValueId(v as u32))).sum();
    let vectors = static_inner(kernel).map(|n| n.div_ceil(width.lanes()));
    plan.straight = vectors.is_some_and(|n| n <= STRAIGHT_VECTORS && n * total <= STRAIGHT_WEIGHT);
    plan.passes = vec![Pass::default(); passes];
    for (p, v) in reduces {
        plan.passes[p].reduces.push(v);
    }
    for (p, e) in effects {
        plan.passes[p].effects.push(e);
    }
    place_steps(kernel, &mut plan, roots, &ready, width);
    plan.exchange = plan.scratch_bytes;
    plan.scratch_bytes += EXCHANGE_BYTES;
    plan.used_in_loops = used_in_loops(kernel, &plan, &live);

    plan.row_values = vec![vec![]; passes + 1];
    for (v, value) in kernel.values.iter().enumerate().filter(|(v, _)| live[*v]) {
        let id = ValueId(v as u32);
        match levels[v] {
            Level::Scalar => plan.scalars.push(id),
            Level::Row if !matches!(value.kind, ValueKind::RowReduce(..) | ValueKind::RowArg(..)) => {
                plan.row_values[ready[v]].push(id);
            }
            _ => {}
        }
    }
    plan
}

fn used_in_loops(kernel: &Kernel, plan: &Plan, live: &[bool]) -> Vec<bool> {
    let mut used = vec![false; kernel.values.len()];
    let element = |v: usize| live[v] && plan.levels[v] == Level::Element;
    for (v, value) in kernel.values.iter().enumerate() {
        if element(v) {
            operands(&value.kind).iter().for_each(|x| used[x.0 as usize] = true);
        }
    }
    for e in plan.passes.iter().flat_map(|pass| &pass.effects) {
        used[effect_value(&kernel.effects[*e]).0 as usize] = true;
    }
    for (v, value) in kernel.values.iter().enumerate() {
        used[v] &= plan.levels[v] != Level::Element && !matches!(value.kind, ValueKind::Const(_));
    }
    used
}

fn live_values(kernel: &Kernel) -> Vec<bool> {
    let mut live = vec![false; kernel.values.len()];
    for effect in &kernel.effects {
        live[effect_value(effect).0 as usize] = true;
    }
    for v in (0..kernel.values.len()).rev() {
        if live[v] {
            for x in operands(&kernel.values[v].kind) {
                live[x.0 as usize] = true;
            }
        }
    }
    live
}

/// Whether a pass might load what a store of `param` has overwritten: from the parameter itself, or from one of the
/// same size that may be the same memory (updates in place).
fn may_be_read_again(kernel: &Kernel, param: usize) -> bool {
    let stored = &kernel.params[param];
    kernel.values.iter().any(|value| match &value.kind {
        ValueKind::Load { param: p, .. } => {
            let loaded = &kernel.params[*p];
            *p == param || (loaded.dtype.size() == stored.dtype.size() && loaded.elements == stored.elements)
        }
        _ => false,
    })
}

/// Assigns Element values to passes, from the last pass backwards, since saving a value makes work in an earlier one.
fn place_steps(kernel: &Kernel, plan: &mut Plan, mut roots: Vec<(usize, ValueId)>, ready: &[usize], width: Width) {
    let count = kernel.values.len();
    let passes = plan.passes.len();
    let row = saved_row(kernel);
    let mut computed = vec![false; count];
    let mut needed = vec![vec![false; count]; passes];
    let mut reload = vec![vec![false; count]; passes];
    let order: Vec<usize> = if plan.straight { (0..passes).collect() } else { (0..passes).rev().collect() };
    for p in order {
        let mut work: Vec<ValueId> = roots.iter().filter(|(q, _)| *q == p).map(|(_, v)| *v).collect();
        while let Some(id) = work.pop() {
            let v = id.0 as usize;
            if plan.levels[v] != Level::Element || needed[p][v] || (plan.straight && computed[v]) {
                continue;
            }
            needed[p][v] = true;
            computed[v] = true;
            let kind = &kernel.values[v].kind;
            let expensive = || {
                is_transcendental(kind)
                    || matches!(kind, ValueKind::Random { .. })
                    || work_of(kernel, &plan.levels, id) >= WORTH_SAVING
            };
            if !plan.straight && ready[v] < p && row.is_some() && expensive() {
                reload[p][v] = true;
                roots.push((ready[v], id));
                continue;
            }
            work.extend(operands(kind));
        }
    }
    let row = row.unwrap_or(0).next_multiple_of(width.lanes());
    for v in 0..count {
        if reload.iter().any(|pass| pass[v]) {
            plan.scratch[v] = Some(plan.scratch_bytes);
            plan.scratch_bytes += (row * kernel.values[v].dtype.size()).next_multiple_of(64);
        }
    }
    for (p, pass) in plan.passes.iter_mut().enumerate() {
        for v in 0..count {
            if !needed[p][v] {
                continue;
            }
            let id = ValueId(v as u32);
            let step = if reload[p][v] {
                Step::Reload(id)
            } else if plan.scratch[v].is_some() {
                Step::ComputeAndSave(id)
            } else {
                Step::Compute(id)
            };
            pass.weight += if reload[p][v] { 1 } else { weight(kernel, id) };
            pass.steps.push(step);
        }
        pass.weight += pass.effects.len() + 2 * pass.reduces.len();
    }
}
