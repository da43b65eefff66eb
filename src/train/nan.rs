//! Values that are not finite: which one was the first, which operation of which line made it, and from what.

use super::Engine;
use super::stage::Stage;
use super::state::{State, has_bad};
use super::watch::{Found, Scene, Values, word};
use crate::diag::{Diagnostic, Label, error};
use crate::ir::origin::{Origin, Part};
use crate::ir::{Binary, Graph, Op, Unary};
use crate::runtime::Tensor;
use crate::sema::program::{BufferInfo, Program, Role};
use crate::source::Span;

/// A tensor of the state that holds NaN or an infinity.
pub struct Bad {
    pub path: String,
    /// Row-major place in the tensor.
    element: usize,
    span: Option<Span>,
}

/// Looks through all buffers for what a step made of finite values. (A state may start as infinity: a least value so far.)
pub fn find(program: &Program, state: &State, before: &[Tensor]) -> Option<Bad> {
    let bad = |index: usize| {
        let (now, then) = (state.buffers()[index].to_f64s(), before[index].to_f64s());
        now.iter().zip(&then).position(|(now, then)| !now.is_finite() && then.is_finite())
    };
    let suspects = (0..program.buffers.len()).filter(|index| has_bad(&state.buffers()[*index]));
    suspects.filter_map(|index| Some(named(&program.buffers[index], bad(index)?))).next()
}

/// Looks through the parameters: nothing can come of one that is not finite.
pub fn find_parameter(program: &Program, state: &State) -> Option<Bad> {
    let trained = program.buffers.iter().zip(state.buffers()).filter(|(buffer, _)| buffer.role == Role::Param);
    let (buffer, tensor) = trained.into_iter().find(|(_, tensor)| has_bad(tensor))?;
    let at = tensor.to_f64s().iter().position(|v| !v.is_finite());
    at.map(|at| named(buffer, at))
}

/// The tensor that lies at an element of a buffer.
fn named(buffer: &BufferInfo, at: usize) -> Bad {
    let inside = |offset: usize, shape: &[usize]| (offset..offset + shape.iter().product::<usize>()).contains(&at);
    match buffer.views.iter().find(|v| inside(v.offset, &v.shape)) {
        Some(view) => Bad { path: view.path.clone(), element: at - view.offset, span: Some(view.span) },
        None => Bad { path: buffer.name.clone(), element: at, span: None },
    }
}

/// What a step read, to be run again: the state's slots from before it, and the stage that holds its batch.
pub fn scene(graph: Graph, stage: &Stage, mut slots: Vec<Tensor>) -> Scene {
    let mut batch = stage.batch.clone();
    let inputs = stage.bind(&mut slots, &mut batch).into_iter().map(|tensor| tensor.clone()).collect();
    Scene { graph, inputs }
}

/// The report of `--check-nan`: a step left a parameter or a state that is not finite.
pub fn explain(engine: &dyn Engine, scene: &Scene, bad: &Bad, step: usize) -> Diagnostic {
    let title = format!("'{}' is no longer finite after step {step}", bad.path);
    let mut diagnostic = match scene.first_bad(engine) {
        Ok(Some(found)) => {
            let told = tell(error("E0603", title), &found);
            match bad.span {
                Some(span) if told.labels.iter().all(|l| l.span != span) => told.at(span, "ends up here"),
                _ => told,
            }
        }
        _ => unexplained(bad, step),
    };
    diagnostic.notes.push(format!("element {} of '{}' (row-major) is the first bad one there", bad.element, bad.path));
    diagnostic
}

/// The same where the step cannot be repeated.
pub fn unexplained(bad: &Bad, step: usize) -> Diagnostic {
    let title = match step {
        0 => format!("'{}' is not finite before the first step", bad.path),
        _ => format!("'{}' is no longer finite after step {step}", bad.path),
    };
    let plain = error("E0603", title);
    match bad.span {
        Some(span) => plain.at(span, "this tensor"),
        None => plain,
    }
}

/// Adds where the first bad value came from: the line, the part of the step, the layer, the values that went in and came out.
pub fn tell(mut diagnostic: Diagnostic, found: &Found) -> Diagnostic {
    let node = &found.node;
    let kind = if found.result.nans > 0 { "NaN" } else { "infinity" };
    let what = word(&node.op);
    let label = match (&found.input, node.origin.derivative_of()) {
        (Some(_), _) => format!("the first {kind} is in {what}"),
        (None, Some(of)) => format!("the derivative of '{of}' gives the first {kind}"),
        (None, None) => format!("{what} gives the first {kind}"),
    };
    place(&mut diagnostic, node.span, label, &node.origin);
    let mut notes = vec![];
    notes.push(match &found.input {
        Some(name) => format!("before any computation: '{name}' holds it already"),
        None => format!("in {}", situation(found)),
    });
    for (number, operand) in found.operands.iter().enumerate() {
        let which = match found.operands.len() {
            1 => "operand".to_string(),
            _ => format!("operand {}", number + 1),
        };
        notes.push(format!("{which}: {}", values(operand)));
    }
    notes.push(format!("result: {}", values(&found.result)));
    notes.append(&mut diagnostic.notes);
    diagnostic.notes = notes;
    // What is said already, about the learning rate, is the help against growth.
    diagnostic.help = match (mend(found), diagnostic.help.take()) {
        (Some(mend), Some(said)) if !grows(found) => Some(format!("{mend}; or {said}")),
        (mend, said) => said.or(mend),
    };
    diagnostic
}

/// Labels a place at run time as diagnostics of the checker do: the user's line first, the library's behind it, then the calls.
pub fn place(diagnostic: &mut Diagnostic, span: Span, text: String, origin: &Origin) {
    let mut calls = origin.calls().filter(|call| !call.at.file.is_library() && call.at != Span::default());
    if !span.file.is_library() {
        diagnostic.labels.insert(0, Label { span, text });
    } else if let Some(call) = calls.next() {
        diagnostic.labels.insert(0, Label { span: call.at, text: format!("in this call of {}", call.title) });
        diagnostic.labels.insert(1, Label { span, text });
    } else {
        diagnostic.labels.insert(0, Label { span, text });
        return;
    }
    const MOST: usize = 3;
    for call in calls.take(MOST) {
        if diagnostic.labels.iter().all(|label| label.span != call.at) {
            diagnostic.labels.push(Label { span: call.at, text: format!("{} is called here", call.title) });
        }
    }
}

/// `the backward pass, in the derivative of 'log', in layer 'net.fc'`
fn situation(found: &Found) -> String {
    let origin = &found.node.origin;
    let mut text = origin.part().to_string();
    if let Some(of) = origin.derivative_of() {
        text.push_str(&format!(": what is differentiated is '{of}'"));
    }
    text.push_str(&whose(origin));
    for turn in &found.turns {
        text.push_str(&format!(", in step {turn} of the scan"));
    }
    text
}

/// `, in 'net.fc'`: the layer or rule, and the parameter that it is about.
pub fn whose(origin: &Origin) -> String {
    let path = origin.path().map_or(String::new(), |path| format!(", in '{path}'"));
    let tensor = origin.tensor().map_or(String::new(), |path| format!(", for the parameter '{path}'"));
    path + &tensor
}

/// `float[32, 10], from -3.1 to 12.5; 2 of 320 NaN, 1 of 320 infinite`
pub fn values(values: &Values) -> String {
    let ty = &values.ty;
    let base = if ty.dtype.is_float() { "float" } else { "int" };
    let sizes: Vec<String> = ty.shape.iter().map(usize::to_string).collect();
    let mut text = if sizes.is_empty() { base.to_string() } else { format!("{base}[{}]", sizes.join(", ")) };
    match values.range {
        Some([low, high]) if low == high => text.push_str(&format!(", {}", show(low))),
        Some([low, high]) => text.push_str(&format!(", from {} to {}", show(low), show(high))),
        None => {}
    }
    let all = ty.elements();
    let counted = [(values.nans, "NaN"), (values.infinities, "infinite")];
    let bad: Vec<String> =
        counted.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} of {all} {what}")).collect();
    if bad.is_empty() { text } else { format!("{text}; {}", bad.join(", ")) }
}

fn show(value: f64) -> String {
    if value == 0.0 {
        "0".into()
    } else if (1e-3..1e5).contains(&value.abs()) {
        let text = format!("{value:.4}");
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        format!("{value:.3e}")
    }
}

/// Whether ordinary arithmetic left the range of floats.
fn grows(found: &Found) -> bool {
    found.result.nans == 0
        && matches!(found.node.op, Op::Dot { .. } | Op::Conv { .. } | Op::Reduce { .. } | Op::Binary(_))
}

/// What usually helps against what happened.
fn mend(found: &Found) -> Option<String> {
    let backward = found.node.origin.part() == Part::Backward;
    let of = found.node.origin.derivative_of().unwrap_or_else(|| found.node.op.name());
    let text = match of {
        "log" => "keep the operand away from zero: `log(maximum(x, 1e-12))`",
        "log1p" => "keep the operand above -1",
        "sqrt" | "rsqrt" if backward => "its derivative at 0 is infinite: `sqrt(x + 1e-12)`",
        "sqrt" | "rsqrt" => "keep the operand above zero: `sqrt(maximum(x, 1e-12))`",
        "pow" => "keep the base away from zero: `maximum(x, 1e-12)`",
        "exp" | "expm1" => "subtract the greatest value first, or bound the operand: `exp(minimum(x, 80))`",
        "input" => return None,
        _ => match found.node.op {
            Op::Binary(Binary::Div) => "add a small number to the divisor, or choose another value where it is zero",
            Op::Unary(Unary::Log | Unary::Sqrt | Unary::Rsqrt) => "keep the operand away from zero",
            _ if found.result.nans == 0 => {
                "the values grow without bound: a smaller learning rate, clipped gradients (`clip_by_global_norm`), or normalization"
            }
            _ => return None,
        },
    };
    Some(text.to_string())
}
