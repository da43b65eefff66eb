//! What the hyper-parameters that change with the step are: the learning rate's curve.
//!
//! A schedule is a small graph of its own beside the step's, so its values cost the steps nothing: the interpreter
//! computes them where something is logged, at once for the steps since the log's line before. What is logged depends on
//! the step alone, not on where a run is to end or was interrupted.

use super::Failure;
use super::metrics::Curve;
use super::state::{State, unbound};
use crate::interp;
use crate::ir::{Graph, Input};
use crate::runtime::Tensor;
use crate::sema::program::Program;

/// Points of the first epochs, whose curve would have no shape otherwise; later ones have fewer.
const POINTS: usize = 20;
/// Epochs beyond this have one point.
const EPOCHS: usize = 200;

pub struct Schedules {
    graph: Graph,
    /// For each input, its slot in the state.
    inputs: Vec<usize>,
}

impl Schedules {
    /// `None` where nothing changes.
    pub fn new(program: &Program, state: &State) -> Result<Option<Schedules>, Failure> {
        let Some(graph) = program.schedules.clone() else { return Ok(None) };
        let slot = |input: &Input| state.slot(&input.kind, &input.name).ok_or_else(|| unbound(&graph, &input.name));
        let inputs = graph.inputs.iter().map(slot).collect::<Result<_, _>>()?;
        Ok(Some(Schedules { graph, inputs }))
    }

    /// The values of the step just made.
    pub fn now(&self, state: &mut State) -> Vec<Curve> {
        let step = state.step;
        self.at(state, [step])
    }

    /// The values over the steps of an epoch, as far as it came. Nothing that they depend on has changed since it began.
    pub fn over(&self, state: &mut State, epoch: usize, steps_per_epoch: usize) -> Vec<Curve> {
        let (before, last) = ((epoch - 1) * steps_per_epoch, state.step);
        let stride = steps_per_epoch.div_ceil((EPOCHS / epoch).clamp(1, POINTS));
        let steps = (before + 1..last).filter(|step| (step - before).is_multiple_of(stride));
        self.at(state, steps.chain([last]))
    }

    fn at(&self, state: &mut State, steps: impl IntoIterator<Item = usize>) -> Vec<Curve> {
        let mut curves: Vec<Curve> = self.graph.outputs.iter().map(|o| (o.name.clone(), vec![])).collect();
        for step in steps {
            state.set_clocks(step);
            let inputs: Vec<&Tensor> = self.inputs.iter().map(|slot| &state.slots[*slot]).collect();
            let values = interp::eval(&self.graph, &inputs);
            curves.iter_mut().zip(&values).for_each(|((_, points), value)| points.push((step, value.to_f64s()[0])));
        }
        state.set_clocks(state.step);
        curves
    }
}
