//! The values that live across steps: parameters and states, hyper-parameters, step counter and random key.

use super::shuffle::key_of;
use super::{Engine, Failure};
use crate::diag::error;
use crate::ir::{DType, Graph, InputKind, OutputKind, Type};
use crate::runtime::Tensor;
use crate::sema::program::{Program, Role};

/// One tensor for each thing that an input can name, apart from the batch.
pub struct State {
    /// In the order of [`Program::buffers`], then the hyper-parameters, then `t`, `key0`, `key1`, `step`.
    pub slots: Vec<Tensor>,
    names: Vec<(InputClass, String)>,
    buffers: usize,
    /// Where the step counter is, and the number of steps done.
    clock: usize,
    pub step: usize,
    /// Buffers of metrics, with their values at the start of a phase.
    metric_starts: Vec<(usize, Tensor)>,
}

/// Input kinds that share a name space.
#[derive(Clone, Copy, PartialEq, Debug)]
enum InputClass {
    Buffer,
    Hyper,
    Step,
    Random,
}

fn class_of(kind: &InputKind) -> Option<InputClass> {
    match kind {
        InputKind::Param | InputKind::State => Some(InputClass::Buffer),
        InputKind::Hyper => Some(InputClass::Hyper),
        InputKind::Step => Some(InputClass::Step),
        InputKind::Random => Some(InputClass::Random),
        InputKind::Batch | InputKind::Arg => None,
    }
}

impl State {
    /// Runs the program's initialisation with this seed.
    pub fn init(program: &Program, engine: &dyn Engine, seed: u64) -> Result<State, Failure> {
        let mut state = State::blank(program, seed);
        super::starts::fill(program, engine, &mut state)?;
        let metrics = program.buffers.iter().enumerate().filter(|(_, b)| b.role == Role::MetricState);
        state.metric_starts = metrics.map(|(i, _)| (i, state.slots[i].clone())).collect();
        Ok(state)
    }

    fn blank(program: &Program, seed: u64) -> State {
        let mut names: Vec<(InputClass, String)> = Vec::new();
        let mut slots = Vec::new();
        for buffer in &program.buffers {
            names.push((InputClass::Buffer, buffer.name.clone()));
            slots.push(Tensor::zeros(buffer.ty.clone()));
        }
        for hyper in &program.hypers {
            names.push((InputClass::Hyper, hyper.name.clone()));
            slots.push(Tensor::scalar(DType::F64, hyper.value));
        }
        let clock = slots.len();
        names.push((InputClass::Step, "t".into()));
        slots.push(Tensor::scalar(DType::F64, 0.0));
        let [key0, key1] = key_of(seed);
        for (name, value) in [("key0", key0), ("key1", key1), ("step", 0)] {
            names.push((InputClass::Random, name.into()));
            let mut tensor = Tensor::zeros(Type::scalar(DType::I32));
            tensor.i32s_mut()[0] = value as i32;
            slots.push(tensor);
        }
        State { slots, names, buffers: program.buffers.len(), clock, step: 0, metric_starts: vec![] }
    }

    /// The slot that an input of this kind and name reads.
    pub fn slot(&self, kind: &InputKind, name: &str) -> Option<usize> {
        let class = class_of(kind)?;
        // There is one step counter, whatever the graph calls it.
        self.names.iter().position(|(c, n)| *c == class && (class == InputClass::Step || n == name))
    }

    /// The second word of the random key.
    pub fn key1(&self) -> u32 {
        self.slots[self.clock + 2].i32s()[0] as u32
    }

    /// The slots of `t` and of the random `step`.
    pub fn clocks(&self) -> [usize; 2] {
        [self.clock, self.clock + 3]
    }

    /// Makes the clocks show that step number `step` (from 1) is being computed.
    pub fn set_clocks(&mut self, step: usize) {
        let [t, random] = self.clocks();
        self.slots[t].f64s_mut()[0] = step as f64;
        self.slots[random].i32s_mut()[0] = step as i32;
    }

    /// Sets the metrics back, at the start of an epoch or an evaluation.
    pub fn reset_metrics(&mut self) {
        for (slot, start) in &self.metric_starts {
            copy(start, &mut self.slots[*slot]);
        }
    }

    pub fn has_metrics(&self) -> bool {
        !self.metric_starts.is_empty()
    }

    /// The metrics' values, to be put back by [`State::restore_metrics`].
    pub fn save_metrics(&self) -> Vec<Tensor> {
        self.metric_starts.iter().map(|(slot, _)| self.slots[*slot].clone()).collect()
    }

    pub fn restore_metrics(&mut self, saved: &[Tensor]) {
        for ((slot, _), value) in self.metric_starts.iter().zip(saved) {
            copy(value, &mut self.slots[*slot]);
        }
    }

    pub fn buffers(&self) -> &[Tensor] {
        &self.slots[..self.buffers]
    }

    pub fn buffers_mut(&mut self) -> &mut [Tensor] {
        &mut self.slots[..self.buffers]
    }
}

/// Copies values between tensors of one type.
pub fn copy(from: &Tensor, to: &mut Tensor) {
    match from.ty().dtype {
        DType::F32 => to.f32s_mut().copy_from_slice(from.f32s()),
        DType::F64 => to.f64s_mut().copy_from_slice(from.f64s()),
        DType::I32 | DType::Bool => to.i32s_mut().copy_from_slice(from.i32s()),
    }
}

/// Whether an element is NaN or infinite.
pub fn has_bad(tensor: &Tensor) -> bool {
    // The exponent of NaN and infinities. Without a way out in the middle, this is a loop over vectors.
    const EXPONENT: u32 = 0x7f80_0000;
    match tensor.ty().dtype {
        DType::F32 => tensor.f32s().iter().fold(0, |most: u32, v| most.max(v.to_bits() & EXPONENT)) == EXPONENT,
        DType::F64 => tensor.f64s().iter().any(|v| !v.is_finite()),
        DType::I32 | DType::Bool => false,
    }
}

/// A tensor for each output that is not an update, in the graph's order.
pub fn result_tensors(graph: &Graph) -> Vec<Tensor> {
    let results = graph.outputs.iter().filter(|o| !matches!(o.kind, OutputKind::Update(_)));
    results.map(|o| Tensor::zeros(graph.ty(o.node).clone())).collect()
}

/// An input that nothing provides: a mistake of the compiler, not of its user.
pub fn unbound(graph: &Graph, name: &str) -> Failure {
    let kinds = graph.inputs.iter().filter(|i| i.name == name).map(|i| format!("{:?}", i.kind)).next();
    internal(format!("nothing provides the input '{name}' ({})", kinds.unwrap_or_default()))
}

pub fn internal(what: String) -> Failure {
    Failure::from(error("E0901", format!("internal error: {what}")).help("please report this, with the program"))
}
