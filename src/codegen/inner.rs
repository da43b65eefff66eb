//! The loops inside a row: whole vectors with unrolling, and the remainder.
//!
//! A remainder of fewer elements than lanes is one more vector whose surplus lanes repeat the last element: they load
//! what it loads, compute what it computes and store to the same place, so every element goes through the same
//! instructions and nothing outside the buffers is touched. Reductions replace surplus lanes by the identity.

use super::emit::{Accumulators, Emitter};
use super::plan::Step;
use super::quad::{self, Quad};
use super::width::Width;
use crate::ir::{ArgKind, DType, ReduceKind};
use crate::kernel::{Effect, ValueId, ValueKind};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use cranelift_frontend::Variable;

/// The inner indices of a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Range {
    Static(usize),
    Dynamic(Value, Value),
}

/// Which lanes of a vector stand for elements.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lanes {
    All,
    /// This many, at least one; the others repeat the last.
    First(u8),
    /// `count` (at least one) of them; lane `k` stands for element `offsets[k]` of the vector. Of the offsets, the
    /// first four or all eight are lanes.
    Clamped {
        offsets: [Value; 8],
        count: Value,
    },
}

/// A vector of neighbouring inner indices: four or, with 256 bits, eight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    /// The inner index is `base + constant`.
    pub base: Option<Value>,
    pub constant: i64,
    pub lanes: Lanes,
    /// Number of the vector in a straight row.
    pub slot: usize,
}

/// The running extreme and its index, lane by lane.
struct ArgState {
    id: ValueId,
    kind: ArgKind,
    best: Vec<Variable>,
    index: Variable,
}

struct RowState {
    reduces: Vec<(ValueId, Accumulators)>,
    args: Vec<ArgState>,
    /// Inner index at which the row starts.
    first: Option<Value>,
}

/// Lanes of a vector with `left` elements before the end of the row.
fn lanes_of(left: usize, lanes: usize) -> Lanes {
    if left >= lanes { Lanes::All } else { Lanes::First(left as u8) }
}

impl Emitter<'_, '_> {
    /// One pass over a row, and the row values that it completes.
    pub(super) fn pass(&mut self, p: usize, range: Range) {
        let unroll = match self.plan.passes[p].weight {
            _ if !self.group.is_empty() => 2,
            0..=40 => 4,
            41..=120 => 2,
            _ => 1,
        };
        let chains = match range {
            Range::Static(n) => n.div_ceil(self.width.lanes()).clamp(1, 4),
            Range::Dynamic(..) => 4,
        };
        let mut state = self.start_row(p, chains, range);
        match range {
            Range::Static(n) if self.plan.straight => self.straight(p, &mut state, n),
            Range::Static(n) => self.static_row(p, &mut state, n, unroll),
            Range::Dynamic(low, high) => self.dynamic_row(p, &mut state, low, high, unroll),
        }
        self.finish_row(state);
    }

    fn straight(&mut self, p: usize, state: &mut RowState, n: usize) {
        let width = self.width.lanes();
        for slot in 0..n.div_ceil(width) {
            let lanes = lanes_of(n - slot * width, width);
            self.vector(p, state, Position { base: None, constant: (slot * width) as i64, lanes, slot }, slot);
        }
    }

    fn static_row(&mut self, p: usize, state: &mut RowState, n: usize, unroll: usize) {
        let width = self.width.lanes();
        let vectors = n / width;
        let looped = if vectors / unroll >= 2 { vectors / unroll * unroll } else { 0 };
        if looped > 0 {
            let low = self.b.ins().iconst(types::I64, 0);
            let high = self.b.ins().iconst(types::I64, (looped * width) as i64);
            self.unrolled(p, state, low, high, unroll);
        }
        let base = Some(self.b.ins().iconst(types::I64, (looped * width) as i64));
        for k in looped..n.div_ceil(width) {
            let lanes = lanes_of(n - k * width, width);
            let constant = ((k - looped) * width) as i64;
            self.vector(p, state, Position { base, constant, lanes, slot: 0 }, k - looped);
        }
    }

    fn dynamic_row(&mut self, p: usize, state: &mut RowState, low: Value, high: Value, unroll: usize) {
        let mut rest = self.unrolled(p, state, low, high, unroll);
        if self.width == Width::W256 && unroll > 1 {
            // A remainder costs more here: only what is left of one vector becomes one.
            rest = self.unrolled(p, state, rest, high, 1);
        }
        let width = self.width.lanes() as i64;
        let index = self.b.declare_var(types::I64);
        self.b.def_var(index, rest);
        let (header, body, exit) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.ins().jump(header, &[]);
        self.b.switch_to_block(header);
        let i = self.b.use_var(index);
        let more = self.b.ins().icmp(IntCC::SignedLessThan, i, high);
        self.b.ins().brif(more, body, &[], exit, &[]);
        self.b.switch_to_block(body);
        let left = self.b.ins().isub(high, i);
        let all = self.b.ins().iconst(types::I64, width);
        let count = self.b.ins().smin(left, all);
        let last = self.b.ins().iadd_imm_s(count, -1);
        let offsets = [0, 1, 2, 3, 4, 5, 6, 7].map(|k| {
            let k = self.b.ins().iconst(types::I64, k);
            self.b.ins().smin(k, last)
        });
        let lanes = Lanes::Clamped { offsets, count };
        self.vector(p, state, Position { base: Some(i), constant: 0, lanes, slot: 0 }, 0);
        let next = self.b.ins().iadd_imm_s(i, width);
        self.b.def_var(index, next);
        self.b.ins().jump(header, &[]);
        self.b.switch_to_block(exit);
    }

    /// A loop over as many groups of `unroll` whole vectors as fit; returns the first index that is left.
    fn unrolled(&mut self, p: usize, state: &mut RowState, low: Value, high: Value, unroll: usize) -> Value {
        let width = self.width.lanes();
        let step = (unroll * width) as i64;
        let index = self.b.declare_var(types::I64);
        self.b.def_var(index, low);
        let (header, body, exit) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let last = self.b.ins().iadd_imm_s(high, -step);
        self.b.ins().jump(header, &[]);
        self.b.switch_to_block(header);
        let i = self.b.use_var(index);
        let more = self.b.ins().icmp(IntCC::SignedLessThanOrEqual, i, last);
        self.b.ins().brif(more, body, &[], exit, &[]);
        self.b.switch_to_block(body);
        for k in 0..unroll {
            let position = Position { base: Some(i), constant: (k * width) as i64, lanes: Lanes::All, slot: 0 };
            self.vector(p, state, position, k);
        }
        let next = self.b.ins().iadd_imm_s(i, step);
        self.b.def_var(index, next);
        self.b.ins().jump(header, &[]);
        self.b.switch_to_block(exit);
        self.b.use_var(index)
    }

    /// Everything that pass `p` does with one vector of the row, or of each row of the group.
    fn vector(&mut self, p: usize, state: &mut RowState, at: Position, chain: usize) {
        if self.group.is_empty() {
            self.row_vector(p, state, at, chain);
            return;
        }
        for k in 0..self.group.len() {
            self.swap_row(k);
            self.row_vector(p, state, at, chain + k);
            self.swap_row(k);
        }
        for e in 0..self.kernel.effects.len() {
            if let Some(sum) = self.columns[e].take() {
                self.write_columns(e, sum, at);
            }
        }
    }

    fn row_vector(&mut self, p: usize, state: &mut RowState, at: Position, chain: usize) {
        let count = self.kernel.values.len();
        // A group has one pass: nothing to keep for another.
        let keeps = self.plan.straight && self.group.is_empty();
        let mut values = if keeps {
            if self.kept.len() <= at.slot {
                self.kept.resize(at.slot + 1, vec![None; count]);
            }
            std::mem::take(&mut self.kept[at.slot])
        } else {
            vec![None; count]
        };
        let pass = self.plan.passes[p].clone();
        for step in &pass.steps {
            let (Step::Compute(v) | Step::ComputeAndSave(v) | Step::Reload(v)) = *step;
            let x = match step {
                Step::Reload(_) => self.reload(v, at),
                _ => self.element(v, at, &values),
            };
            if matches!(step, Step::ComputeAndSave(_)) {
                self.save(v, x, at);
            }
            values[v.0 as usize] = Some(x);
        }
        for e in &pass.effects {
            self.element_effect(*e, at, chain, &values);
        }
        for (v, accumulators) in &state.reduces {
            let ValueKind::RowReduce(kind, x) = self.kernel.values[v.0 as usize].kind else { continue };
            let dtype = self.dtype(x);
            let x = self.get(x, &values);
            let x = self.masked(kind, dtype, x, at);
            self.accumulate(accumulators, chain, kind, dtype, x);
        }
        for arg in &state.args {
            self.arg_step(arg, state.first, at, &values);
        }
        if keeps {
            self.kept[at.slot] = values;
        }
    }

    fn get(&self, v: ValueId, values: &[Option<Quad>]) -> Quad {
        values[v.0 as usize].unwrap_or_else(|| self.known(v))
    }

    fn element_effect(&mut self, e: usize, at: Position, chain: usize, values: &[Option<Quad>]) {
        match &self.kernel.effects[e] {
            Effect::Store { param, at: place, value } => {
                let dtype = self.kernel.params[*param].dtype;
                let x = self.get(*value, values);
                let base = self.base_address(e);
                self.store_vector(dtype, x, base, place.inner_stride as i64, at);
            }
            Effect::TotalReduce { kind, value, .. } => {
                let dtype = self.dtype(*value);
                let x = self.get(*value, values);
                let x = self.masked(*kind, dtype, x, at);
                let total = self.totals[e].clone().expect("totals are declared in the prologue");
                self.accumulate(&total, chain, *kind, dtype, x);
            }
            Effect::ColReduce { kind, value, .. } => {
                let dtype = self.dtype(*value);
                let x = self.get(*value, values);
                let before = match self.columns[e] {
                    Some(sum) => sum,
                    None => self.read_columns(e, dtype, at),
                };
                let sum = quad::accumulate(&mut self.b, *kind, dtype, before, x);
                if self.group.is_empty() {
                    self.write_columns(e, sum, at);
                } else {
                    self.columns[e] = Some(sum);
                }
            }
        }
    }

    /// The address of a vector of column results; the block has room for whole vectors.
    fn columns_at(&mut self, e: usize, at: Position) -> (Value, i32) {
        let slot = self.layout.slots.iter().find(|slot| slot.effect == e).expect("every reduction has a slot");
        let (offset, size) = (slot.offset as i64, slot.dtype.size() as i64);
        let base = self.b.ins().iadd_imm_s(self.partials, offset);
        self.place(base, size, at)
    }

    fn read_columns(&mut self, e: usize, dtype: DType, at: Position) -> Quad {
        let (address, offset) = self.columns_at(e, at);
        self.load_parts(dtype, address, offset)
    }

    fn write_columns(&mut self, e: usize, sum: Quad, at: Position) {
        let (address, offset) = self.columns_at(e, at);
        self.store_parts(sum, address, offset);
    }

    /// Surplus lanes replaced by the identity of the reduction.
    fn masked(&mut self, kind: ReduceKind, dtype: DType, x: Quad, at: Position) -> Quad {
        let Some(mask) = self.lane_mask(dtype, at) else { return x };
        let identity = quad::constant(&mut self.b, dtype, quad::identity(kind, dtype));
        quad::choose(&mut self.b, dtype, mask, x, identity)
    }

    /// Which lanes stand for elements; `None` if all do.
    fn lane_mask(&mut self, dtype: DType, at: Position) -> Option<Quad> {
        let count = match at.lanes {
            Lanes::All => return None,
            Lanes::First(n) => self.b.ins().iconst(types::I64, n as i64),
            Lanes::Clamped { count, .. } => count,
        };
        if dtype == DType::F64 && self.width == Width::W256 {
            // Halves of a mask of 32-bit lanes are not those of an f64 value.
            let count = self.b.ins().splat(types::I64X2, count);
            let numbers = self.wide_iota();
            return Some(Quad::Wide(numbers.map(|part| self.b.ins().icmp(IntCC::SignedLessThan, part, count))));
        }
        let count = self.b.ins().ireduce(types::I32, count);
        let count = self.b.ins().splat(types::I32X4, count);
        let iota = self.iota();
        Some(Quad::Narrow(self.b.ins().icmp(IntCC::SignedLessThan, iota, count)))
    }

    pub(super) fn accumulators(&mut self, kind: ReduceKind, dtype: DType, chains: usize) -> Accumulators {
        let start = quad::constant(&mut self.b, dtype, quad::identity(kind, dtype));
        let chains = (0..chains).map(|_| self.variables(start)).collect();
        Accumulators { kind, dtype, chains }
    }

    fn variables(&mut self, start: Quad) -> Vec<Variable> {
        let parts = start.parts();
        parts
            .into_iter()
            .map(|part| {
                let variable = self.b.declare_var(self.b.func.dfg.value_type(part));
                self.b.def_var(variable, part);
                variable
            })
            .collect()
    }

    fn read(&mut self, variables: &[Variable]) -> Quad {
        let parts: Vec<Value> = variables.iter().map(|v| self.b.use_var(*v)).collect();
        Quad::from_parts(&parts)
    }

    fn write(&mut self, variables: &[Variable], x: Quad) {
        for (variable, part) in variables.iter().zip(x.parts()) {
            self.b.def_var(*variable, part);
        }
    }

    pub(super) fn accumulate(&mut self, sum: &Accumulators, chain: usize, kind: ReduceKind, dtype: DType, x: Quad) {
        let chain = &sum.chains[chain % sum.chains.len()];
        let before = self.read(chain);
        let after = quad::accumulate(&mut self.b, kind, dtype, before, x);
        self.write(chain, after);
    }

    /// All accumulators in one, pairwise.
    pub(super) fn join(&mut self, sum: &Accumulators) -> Quad {
        let mut parts: Vec<Quad> = sum.chains.iter().map(|chain| self.read(chain)).collect();
        while parts.len() > 1 {
            parts = parts
                .chunks(2)
                .map(|pair| match *pair {
                    [x, y] => quad::accumulate(&mut self.b, sum.kind, sum.dtype, x, y),
                    _ => pair[0],
                })
                .collect();
        }
        parts[0]
    }

    fn start_row(&mut self, p: usize, chains: usize, range: Range) -> RowState {
        let first = match range {
            Range::Static(_) => None,
            Range::Dynamic(low, _) => Some(low),
        };
        let mut state = RowState { reduces: vec![], args: vec![], first };
        for v in self.plan.passes[p].reduces.clone() {
            match self.kernel.values[v.0 as usize].kind {
                ValueKind::RowReduce(kind, x) => {
                    let accumulators = self.accumulators(kind, self.dtype(x), chains);
                    state.reduces.push((v, accumulators));
                }
                ValueKind::RowArg(kind, x) => {
                    let dtype = self.dtype(x);
                    let worst = match kind {
                        ArgKind::Max => quad::identity(ReduceKind::Max, dtype),
                        ArgKind::Min => quad::identity(ReduceKind::Min, dtype),
                    };
                    let worst = quad::constant(&mut self.b, dtype, worst);
                    let best = self.variables(worst);
                    // If nothing is better than the identity, the answer is the first index.
                    let zero = quad::int_splat(&mut self.b, 0);
                    let index = self.variables(Quad::Narrow(zero))[0];
                    state.args.push(ArgState { id: v, kind, best, index });
                }
                _ => unreachable!("only reductions complete in a pass"),
            }
        }
        state
    }

    fn finish_row(&mut self, state: RowState) {
        for (v, accumulators) in state.reduces {
            let x = self.join(&accumulators);
            let x = self.reduce_lanes(accumulators.kind, accumulators.dtype, x);
            self.fix_row(v, x);
        }
        for arg in state.args {
            let index = self.arg_result(&arg);
            self.fix_row(arg.id, index);
        }
    }

    fn arg_step(&mut self, arg: &ArgState, first: Option<Value>, at: Position, values: &[Option<Quad>]) {
        let ValueKind::RowArg(_, operand) = self.kernel.values[arg.id.0 as usize].kind else { return };
        let dtype = self.dtype(operand);
        // Surplus lanes repeat an element and its index: they change nothing.
        let x = self.get(operand, values);
        let number = match (at.base, first) {
            (Some(base), Some(first)) => {
                let number = self.b.ins().isub(base, first);
                self.b.ins().iadd_imm_s(number, at.constant)
            }
            (Some(base), None) => self.b.ins().iadd_imm_s(base, at.constant),
            (None, _) => self.b.ins().iconst(types::I64, at.constant),
        };
        let index = self.lane_numbers(number, 1, at);
        let best = self.read(&arg.best);
        let best_index = self.b.use_var(arg.index);
        let better = self.is_better(arg.kind, dtype, x, best);
        let best = quad::choose(&mut self.b, dtype, better, x, best);
        let best_index = quad::choose(&mut self.b, DType::I32, better, Quad::Narrow(index), Quad::Narrow(best_index));
        self.write(&arg.best, best);
        self.b.def_var(arg.index, best_index.one());
    }

    /// Strictly better, where NaN is better than any number.
    fn is_better(&mut self, kind: ArgKind, dtype: DType, x: Quad, best: Quad) -> Quad {
        use crate::ir::{Binary, Compare, Unary};
        let b = &mut self.b;
        let op = if kind == ArgKind::Max { Compare::Gt } else { Compare::Lt };
        let beyond = quad::compare(b, op, dtype, x, best);
        if !dtype.is_float() {
            return beyond;
        }
        let x_nan = quad::compare(b, Compare::Ne, dtype, x, x);
        let best_nan = quad::compare(b, Compare::Ne, dtype, best, best);
        let best_number = quad::unary(b, Unary::Not, DType::Bool, best_nan);
        let new_nan = quad::binary(b, Binary::And, DType::Bool, x_nan, best_number);
        quad::binary(b, Binary::Or, DType::Bool, beyond, new_nan)
    }

    /// The best lane's index: of equally good lanes, the smallest.
    fn arg_result(&mut self, arg: &ArgState) -> Quad {
        use crate::ir::{Binary, Compare, Unary};
        let ValueKind::RowArg(_, operand) = self.kernel.values[arg.id.0 as usize].kind else {
            unreachable!("only arg-reductions get here")
        };
        let dtype = self.dtype(operand);
        let (mut best, mut index) = (self.read(&arg.best), Quad::Narrow(self.b.use_var(arg.index)));
        // Lane by lane against the first one.
        let best_lanes = self.lanes(dtype, best);
        let index_lanes = self.lanes(DType::I32, index);
        let lanes: Vec<(Quad, Quad)> = best_lanes
            .into_iter()
            .zip(index_lanes)
            .map(|(x, i)| (quad::splat(&mut self.b, dtype, x), quad::splat(&mut self.b, DType::I32, i)))
            .collect();
        (best, index) = lanes[0];
        for (x, i) in &lanes[1..] {
            let better = self.is_better(arg.kind, dtype, *x, best);
            let worse = self.is_better(arg.kind, dtype, best, *x);
            let b = &mut self.b;
            let not_worse = quad::unary(b, Unary::Not, DType::Bool, worse);
            let earlier = quad::compare(b, Compare::Lt, DType::I32, *i, index);
            let tie = quad::binary(b, Binary::And, DType::Bool, not_worse, earlier);
            let take = quad::binary(b, Binary::Or, DType::Bool, better, tie);
            best = quad::choose(b, dtype, take, *x, best);
            index = quad::choose(b, DType::I32, take, *i, index);
        }
        index
    }
}
