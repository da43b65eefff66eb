//! Emits one kernel as a Cranelift function: prologue, rows, passes. The loops inside a row are in `inner`, single
//! values in `value`.

use super::partials::{PartialLayout, partial_layout};
use super::plan::{Plan, plan};
use super::quad::{self, Quad};
use super::width::Width;
use crate::ir::{DType, ReduceKind};
use crate::kernel::{Affine, Effect, Kernel, Level, Space, ValueId, ValueKind};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, Function, InstBuilder, MemFlagsData, Signature, UserFuncName, Value, types};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};

/// A running reduction: one variable for each native vector of each accumulator.
#[derive(Clone, Debug)]
pub(super) struct Accumulators {
    pub kind: ReduceKind,
    pub dtype: DType,
    /// `chains[k]` are the vectors of accumulator `k`.
    pub chains: Vec<Vec<Variable>>,
}

/// Where the data of one access lies for the current row.
#[derive(Clone, Copy, Debug)]
pub(super) enum RowBase {
    /// The address of inner index 0.
    Address(Value),
    /// The value of an affine function at inner index 0.
    Number(Value),
}

/// What is known about one row of a group.
pub(super) struct RowContext {
    fixed: Vec<Option<Quad>>,
    value_base: Vec<Option<RowBase>>,
    effect_base: Vec<Option<RowBase>>,
}

/// Rows that a column reduction takes at a time, and the largest pass for which it does.
const GROUP: usize = 4;
const GROUP_WEIGHT: usize = 60;

pub(super) struct Emitter<'k, 'f> {
    pub kernel: &'k Kernel,
    pub width: Width,
    pub plan: Plan,
    pub layout: PartialLayout,
    pub b: FunctionBuilder<'f>,
    pub convention: CallConv,
    /// Base pointers of the parameters.
    pub params: Vec<Value>,
    pub partials: Value,
    pub scratch: Value,
    /// Memory through which lanes and halves of vectors go: see `access`.
    pub exchange: Value,
    /// Scalar values, and Row values of the current row.
    pub fixed: Vec<Option<Quad>>,
    /// For each value and each effect: see [`RowBase`]; renewed each row.
    pub value_base: Vec<Option<RowBase>>,
    pub effect_base: Vec<Option<RowBase>>,
    /// The first inner index of the current row, where that is not 0.
    pub row_first: Option<Value>,
    /// Total reductions by effect.
    pub totals: Vec<Option<Accumulators>>,
    /// The rows that are taken together; empty for a single row.
    pub group: Vec<RowContext>,
    /// By effect, the column results of the vector that a group works on.
    pub columns: Vec<Option<Quad>>,
    /// In a straight kernel, the Element values of each vector of the row.
    pub kept: Vec<Vec<Option<Quad>>>,
}

/// The signature of [`super::Entry`].
pub fn signature(convention: CallConv) -> Signature {
    let mut signature = Signature::new(convention);
    signature.params = vec![AbiParam::new(types::I64); 5];
    signature
}

/// Access to buffers: never traps, since every access was checked against its buffer.
pub(super) fn memory() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// Builds the function of a verified kernel for vectors of `width`.
pub fn build(kernel: &Kernel, width: Width, isa: &dyn cranelift_codegen::isa::TargetIsa) -> Function {
    let convention = isa.default_call_conv();
    let mut function = Function::with_name_signature(UserFuncName::user(1, 0), signature(convention));
    let mut context = FunctionBuilderContext::new();
    let mut b = FunctionBuilder::new(&mut function, &mut context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let args: [Value; 5] = b.block_params(entry).try_into().expect("the signature has five parameters");
    let [table, start, end, partials, scratch] = args;
    let params = (0..kernel.params.len())
        .map(|p| b.ins().load(types::I64, memory().with_can_move(), table, p as i32 * 8))
        .collect();
    let plan = plan(kernel, width);
    let exchange = b.ins().iadd_imm_s(scratch, plan.exchange as i64);
    let emitter = Emitter {
        kernel,
        width,
        plan,
        layout: partial_layout(kernel),
        b,
        convention,
        params,
        partials,
        scratch,
        exchange,
        fixed: vec![None; kernel.values.len()],
        value_base: vec![None; kernel.values.len()],
        effect_base: vec![None; kernel.effects.len()],
        row_first: None,
        totals: vec![None; kernel.effects.len()],
        group: vec![],
        columns: vec![None; kernel.effects.len()],
        kept: vec![],
    };
    let mut b = emitter.emit(start, end);
    b.seal_all_blocks();
    b.finalize(isa.frontend_config());
    function
}

impl<'f> Emitter<'_, 'f> {
    fn emit(mut self, start: Value, end: Value) -> FunctionBuilder<'f> {
        let kernel = self.kernel;
        for v in self.plan.scalars.clone() {
            let mut value = self.scalar(v);
            if self.plan.used_in_loops[v.0 as usize] {
                value = self.settled(value);
            }
            self.fixed[v.0 as usize] = Some(value);
        }
        self.start_partials();
        match &kernel.space {
            Space::Flat { .. } => {
                self.row_bases(&[]);
                self.passes(super::inner::Range::Dynamic(start, end));
            }
            Space::Grid { outer, inner } => {
                let range = super::inner::Range::Static(*inner);
                self.rows(start, end, outer, |_, _| range);
            }
            Space::Segments { offsets } => {
                // The table outlives the code: the module keeps the kernel.
                let table = self.b.ins().iconst(types::I64, offsets.as_ptr() as i64);
                self.rows(start, end, &[offsets.len() - 1], |e, row| {
                    let at = e.b.ins().ishl_imm_s(row, 3);
                    let at = e.b.ins().iadd(table, at);
                    let low = e.b.ins().load(types::I64, memory(), at, 0);
                    let high = e.b.ins().load(types::I64, memory(), at, 8);
                    super::inner::Range::Dynamic(low, high)
                });
            }
        }
        for e in self.plan.scalar_effects.clone() {
            self.store_scalar(e);
        }
        self.finish_totals();
        self.b.ins().return_(&[]);
        self.b
    }

    /// A loop over rows `start..end`.
    fn rows(
        &mut self,
        start: Value,
        end: Value,
        outer: &[usize],
        range: impl Fn(&mut Self, Value) -> super::inner::Range,
    ) {
        let row = self.b.declare_var(types::I64);
        self.b.def_var(row, start);
        let counters = self.start_counters(start, outer);
        if self.takes_groups() {
            self.row_loop(row, end, &counters, outer, GROUP, &range);
        }
        self.row_loop(row, end, &counters, outer, 1, &range);
    }

    /// Rows are taken several at a time where columns are reduced: the sums of a column are then read and written once
    /// for all of them. The order of additions is the same.
    fn takes_groups(&self) -> bool {
        let [pass] = &self.plan.passes[..] else { return false };
        let columns = |e: &usize| matches!(self.kernel.effects[*e], Effect::ColReduce { .. });
        pass.reduces.is_empty() && pass.weight <= GROUP_WEIGHT && pass.effects.iter().any(columns)
    }

    /// A loop that takes `size` rows at a time while so many are left.
    fn row_loop(
        &mut self,
        row: Variable,
        end: Value,
        counters: &[Variable],
        outer: &[usize],
        size: usize,
        range: &impl Fn(&mut Self, Value) -> super::inner::Range,
    ) {
        let (header, body, exit) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.ins().jump(header, &[]);
        self.b.switch_to_block(header);
        let r = self.b.use_var(row);
        let last = self.b.ins().iadd_imm_s(r, size as i64);
        let more = self.b.ins().icmp(IntCC::UnsignedLessThanOrEqual, last, end);
        self.b.ins().brif(more, body, &[], exit, &[]);

        self.b.switch_to_block(body);
        let row_range = range(self, r);
        if size == 1 {
            self.start_row_at(r, counters, outer);
            self.passes(row_range);
            self.row_effects();
        } else {
            self.group_of_rows(r, counters, outer, size, row_range);
        }
        self.b.def_var(row, last);
        self.b.ins().jump(header, &[]);
        self.b.switch_to_block(exit);
    }

    fn group_of_rows(
        &mut self,
        r: Value,
        counters: &[Variable],
        outer: &[usize],
        size: usize,
        range: super::inner::Range,
    ) {
        let mut group = vec![];
        for k in 0..size {
            let r = self.b.ins().iadd_imm_s(r, k as i64);
            self.start_row_at(r, counters, outer);
            self.row_values(0);
            group.push(self.row_context());
        }
        self.group = group;
        self.pass(0, range);
        for k in 0..size {
            self.swap_row(k);
            self.row_effects();
            self.swap_row(k);
        }
        self.group.clear();
    }

    fn row_context(&self) -> RowContext {
        RowContext {
            fixed: self.fixed.clone(),
            value_base: self.value_base.clone(),
            effect_base: self.effect_base.clone(),
        }
    }

    /// Exchanges the current row's context with that of row `k` of the group.
    pub(super) fn swap_row(&mut self, k: usize) {
        let context = &mut self.group[k];
        std::mem::swap(&mut self.fixed, &mut context.fixed);
        std::mem::swap(&mut self.value_base, &mut context.value_base);
        std::mem::swap(&mut self.effect_base, &mut context.effect_base);
    }

    /// Bases of row `r`; the counters move on to the next.
    fn start_row_at(&mut self, r: Value, counters: &[Variable], outer: &[usize]) {
        let indices: Vec<Value> = match counters {
            [] => vec![r; outer.len()],
            counters => counters.iter().map(|c| self.b.use_var(*c)).collect(),
        };
        self.row_bases(&indices);
        self.next_counters(counters, outer);
    }

    fn row_effects(&mut self) {
        for e in self.plan.row_effects.clone() {
            self.row_effect(e);
        }
    }

    /// Variables for the outer indices of row `start`; none where the row number is the only index.
    fn start_counters(&mut self, start: Value, outer: &[usize]) -> Vec<Variable> {
        if outer.len() < 2 {
            return vec![];
        }
        let mut rest = start;
        let mut counters = vec![];
        for (axis, size) in outer.iter().enumerate().rev() {
            let variable = self.b.declare_var(types::I64);
            let index = if axis == 0 {
                rest
            } else {
                let size = self.b.ins().iconst(types::I64, (*size).max(1) as i64);
                let index = self.b.ins().urem(rest, size);
                rest = self.b.ins().udiv(rest, size);
                index
            };
            self.b.def_var(variable, index);
            counters.push(variable);
        }
        counters.reverse();
        counters
    }

    /// Counts to the next row, innermost axis first.
    fn next_counters(&mut self, counters: &[Variable], outer: &[usize]) {
        let mut carry = self.b.ins().iconst(types::I64, 1);
        for (axis, counter) in counters.iter().enumerate().rev() {
            let index = self.b.use_var(*counter);
            let index = self.b.ins().iadd(index, carry);
            if axis == 0 {
                self.b.def_var(*counter, index);
                return;
            }
            let full = self.b.ins().icmp_imm_s(IntCC::Equal, index, outer[axis] as i64);
            let zero = self.b.ins().iconst(types::I64, 0);
            let wrapped = self.b.ins().select(full, zero, index);
            self.b.def_var(*counter, wrapped);
            carry = self.b.ins().uextend(types::I64, full);
        }
    }

    /// Computes the base of every access of this row.
    fn row_bases(&mut self, indices: &[Value]) {
        let kernel = self.kernel;
        for (v, value) in kernel.values.iter().enumerate() {
            let scalar = self.plan.levels[v] == Level::Scalar;
            self.value_base[v] = match &value.kind {
                ValueKind::Load { param, at } if !scalar => Some(self.address(*param, at, indices)),
                ValueKind::Index(at) | ValueKind::Random { index: at, .. } if !scalar => {
                    Some(RowBase::Number(self.affine(at, indices)))
                }
                _ => None,
            };
        }
        for (e, effect) in kernel.effects.iter().enumerate() {
            if let Effect::Store { param, at, .. } = effect {
                self.effect_base[e] = Some(self.address(*param, at, indices));
            }
        }
    }

    fn address(&mut self, param: usize, at: &Affine, indices: &[Value]) -> RowBase {
        let index = self.affine(at, indices);
        let bytes = self.b.ins().imul_imm_s(index, self.kernel.params[param].dtype.size() as i64);
        RowBase::Address(self.b.ins().iadd(self.params[param], bytes))
    }

    /// The affine function at inner index 0.
    pub(super) fn affine(&mut self, at: &Affine, indices: &[Value]) -> Value {
        let mut sum = self.b.ins().iconst(types::I64, at.offset as i64);
        for (index, stride) in indices.iter().zip(&at.outer_strides) {
            if *stride != 0 {
                let term = self.b.ins().imul_imm_s(*index, *stride as i64);
                sum = self.b.ins().iadd(sum, term);
            }
        }
        sum
    }

    /// The passes over one row, with the row values between them.
    fn passes(&mut self, range: super::inner::Range) {
        self.kept.clear();
        self.row_first = match range {
            super::inner::Range::Static(_) => None,
            super::inner::Range::Dynamic(low, _) => Some(low),
        };
        for p in 0..self.plan.passes.len() {
            self.row_values(p);
            self.pass(p, range);
        }
        self.row_values(self.plan.passes.len());
    }

    fn row_values(&mut self, before: usize) {
        for v in self.plan.row_values[before].clone() {
            let value = self.row(v);
            self.fix_row(v, value);
        }
    }

    /// Sets the value of a row.
    pub(super) fn fix_row(&mut self, v: ValueId, value: Quad) {
        let in_loop = self.plan.used_in_loops[v.0 as usize] && !self.plan.straight;
        let value = if in_loop { self.settled(value) } else { value };
        self.fixed[v.0 as usize] = Some(value);
    }

    /// An effect on a Row value, once a row.
    fn row_effect(&mut self, e: usize) {
        match &self.kernel.effects[e] {
            Effect::Store { param, value, .. } => {
                let dtype = self.kernel.params[*param].dtype;
                let (x, address) = (self.known(*value), self.base_address(e));
                self.store_first(dtype, x, address);
            }
            Effect::TotalReduce { kind, value, .. } => {
                let (dtype, x) = (self.dtype(*value), self.known(*value));
                let total = self.totals[e].clone().expect("totals are declared in the prologue");
                self.accumulate(&total, 0, *kind, dtype, x);
            }
            Effect::ColReduce { .. } => unreachable!("column reductions are Element effects"),
        }
    }

    /// A store of a Scalar value: once a call (every task writes the same bits).
    fn store_scalar(&mut self, e: usize) {
        if let Effect::Store { param, at, value } = &self.kernel.effects[e] {
            let dtype = self.kernel.params[*param].dtype;
            let RowBase::Address(address) = self.address(*param, at, &[]) else { unreachable!() };
            let x = self.known(*value);
            self.store_first(dtype, x, address);
        }
    }

    fn store_first(&mut self, dtype: DType, x: Quad, address: Value) {
        let x = quad::in_memory(&mut self.b, dtype, x);
        let as_stored = if dtype == DType::Bool { DType::I32 } else { dtype };
        let lane = quad::first_lane(&mut self.b, as_stored, x);
        self.b.ins().store(memory(), lane, address, 0);
    }

    pub(super) fn base_address(&self, effect: usize) -> Value {
        match self.effect_base[effect] {
            Some(RowBase::Address(address)) => address,
            _ => unreachable!("a store has an address"),
        }
    }

    pub(super) fn dtype(&self, v: ValueId) -> DType {
        self.kernel.values[v.0 as usize].dtype
    }

    /// A Scalar value or a Row value of this row.
    pub(super) fn known(&self, v: ValueId) -> Quad {
        self.fixed[v.0 as usize].expect("values are computed before their uses")
    }

    /// Fills the block of column sums and declares the totals.
    fn start_partials(&mut self) {
        for slot in self.layout.slots.clone() {
            let start = quad::identity(slot.kind, slot.dtype);
            match &self.kernel.effects[slot.effect] {
                Effect::TotalReduce { .. } => {
                    let once_a_row = self.plan.row_effects.contains(&slot.effect);
                    let chains = if once_a_row { 1 } else { 4 };
                    self.totals[slot.effect] = Some(self.accumulators(slot.kind, slot.dtype, chains));
                }
                _ => self.fill(slot.offset, slot.dtype, start, slot.elements),
            }
        }
    }

    /// Fills part of the block with a constant, in whole vectors.
    fn fill(&mut self, offset: usize, dtype: DType, value: f64, elements: usize) {
        let x = quad::constant(&mut self.b, dtype, value).parts()[0];
        let step = self.width.bytes();
        let bytes = (elements * dtype.size()).next_multiple_of(step) as i64;
        let at = self.b.declare_var(types::I64);
        let first = self.b.ins().iadd_imm_s(self.partials, offset as i64);
        self.b.def_var(at, first);
        let end = self.b.ins().iadd_imm_s(first, bytes);
        let (body, exit) = (self.b.create_block(), self.b.create_block());
        let more = self.b.ins().icmp(IntCC::UnsignedLessThan, first, end);
        self.b.ins().brif(more, body, &[], exit, &[]);
        self.b.switch_to_block(body);
        let here = self.b.use_var(at);
        self.b.ins().store(memory(), x, here, 0);
        let next = self.b.ins().iadd_imm_s(here, step as i64);
        self.b.def_var(at, next);
        let more = self.b.ins().icmp(IntCC::UnsignedLessThan, next, end);
        self.b.ins().brif(more, body, &[], exit, &[]);
        self.b.switch_to_block(exit);
    }

    fn finish_totals(&mut self) {
        for slot in self.layout.slots.clone() {
            let Some(total) = self.totals[slot.effect].clone() else { continue };
            let mut x = self.join(&total);
            if !self.plan.row_effects.contains(&slot.effect) {
                x = self.reduce_lanes(slot.kind, slot.dtype, x);
            }
            let address = self.b.ins().iadd_imm_s(self.partials, slot.offset as i64);
            self.store_first(slot.dtype, x, address);
        }
    }
}
