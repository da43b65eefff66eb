//! `--check-nan`: which value is the first that is not finite, and which line of the program made it.

use super::Engine;
use super::stage::Stage;
use super::state::{State, first_not_finite};
use crate::diag::{Diagnostic, error};
use crate::ir::build::Builder;
use crate::ir::{Graph, NodeId, OutputKind, ReduceKind, Unary};
use crate::runtime::Tensor;
use crate::sema::program::Program;
use crate::source::Span;

/// A tensor of the state that holds NaN or an infinity.
pub struct Bad {
    path: String,
    /// Row-major place in the tensor.
    element: usize,
    span: Option<Span>,
}

/// Looks through all buffers.
pub fn find(program: &Program, state: &State) -> Option<Bad> {
    let (index, at) = first_not_finite(&program.buffers, state.buffers())?;
    let buffer = &program.buffers[index];
    let inside = |offset: usize, shape: &[usize]| (offset..offset + shape.iter().product::<usize>()).contains(&at);
    let view = buffer.views.iter().find(|v| inside(v.offset, &v.shape));
    Some(match view {
        Some(view) => Bad { path: view.path.clone(), element: at - view.offset, span: Some(view.span) },
        None => Bad { path: buffer.name.clone(), element: at, span: None },
    })
}

/// What a step read: the state's slots from before it, and the stage that holds its batch.
pub struct Before<'a> {
    pub graph: &'a Graph,
    pub stage: &'a Stage,
    pub slots: Vec<Tensor>,
}

/// Repeats the step with every value watched, and points at the first operation whose result is not finite.
pub fn explain(engine: &dyn Engine, before: Before, bad: &Bad, step: usize) -> Diagnostic {
    let graph = before.graph;
    let title = format!("'{}' is no longer finite after step {step}", bad.path);
    let mut diagnostic = error("E0603", title);
    match first_bad_node(engine, before) {
        Some(id) => {
            let node = graph.node(id);
            let text = format!("this gives the first NaN or infinity ({} of {})", node.op.name(), node.ty);
            diagnostic = diagnostic.at(node.span, text);
            if let Some(span) = bad.span {
                diagnostic = diagnostic.at(span, "ends up here");
            }
        }
        None => {
            if let Some(span) = bad.span {
                diagnostic = diagnostic.at(span, "this tensor");
            }
        }
    }
    diagnostic.note(format!("its element {} (row-major) is the first one found", bad.element))
}

/// The earliest node of which an element is not finite, while all its operands are finite.
fn first_bad_node(engine: &dyn Engine, before: Before) -> Option<NodeId> {
    let Before { graph, stage, mut slots } = before;
    let mut probe = graph.clone();
    probe.outputs.clear();
    let mut watched = Vec::new();
    for id in graph.ids().filter(|id| graph.dtype(*id).is_float()) {
        let mut builder = Builder::new(&mut probe, graph.node(id).span);
        let finite = builder.unary(Unary::IsFinite, id);
        let count = builder.convert(finite, crate::ir::DType::I32);
        let axes: Vec<usize> = (0..graph.shape(id).len()).collect();
        let all = builder.reduce(ReduceKind::Min, count, &axes);
        probe.add_output(format!("%{}", id.index()), all, OutputKind::Value);
        watched.push(id);
    }
    let mut results = super::state::result_tensors(&probe);
    let mut batch = stage.batch.clone();
    let mut inputs = stage.bind(&mut slots, &mut batch);
    engine.compile(&probe).ok()?.run(&mut inputs, &mut results);
    let finite = |id: &NodeId| watched.iter().position(|w| w == id).is_none_or(|at| results[at].i32s()[0] != 0);
    let first = watched.iter().find(|id| !finite(id) && graph.node(**id).args.iter().all(finite));
    first.copied()
}
