//! An expression of `optc eval` as a graph.

use super::elab::{Elab, FrameKind};
use super::modules::Modules;
use super::value::{Tensor, Value};
use crate::diag::{Diagnostic, error};
use crate::ir::{DType, Graph, InputKind, OutputKind, Type};
use crate::source::SourceMap;
use crate::syntax::ast::Expr;

/// Name of the input that holds the cotangent; not a name that a program can use.
pub const COTANGENT: &str = "--cotangent";

/// The value is output `value`; gradients are outputs `grad.x`. Inputs of kind `Arg` are the `--let`s; [`COTANGENT`] is one
/// more if asked for.
pub struct EvalGraph {
    pub graph: Graph,
}

/// Elaborates `expr` with `lets` in scope. `grads` names the `let`s to differentiate by: the gradient of the sum of the
/// result, or of its product with the input [`COTANGENT`].
pub fn eval_graph(
    modules: &Modules,
    sources: &SourceMap,
    expr: &Expr,
    lets: &[(String, Type)],
    float: DType,
    grads: &[String],
    cotangent: bool,
) -> Result<EvalGraph, Vec<Diagnostic>> {
    let mut elab = Elab::new(modules, sources, float);
    elab.inline_params = true;
    let frame = elab.new_frame(modules.main_id(), FrameKind::Eval, "expression".into(), String::new());
    elab.frames.push(frame);
    let mut nodes = vec![];
    for (name, ty) in lets {
        let node = elab.graph.add_input(name, ty.clone(), InputKind::Arg, expr.span);
        elab.define(name, Value::Tensor(Tensor::plain(node)));
        nodes.push((name, node));
    }
    let result = elab.expr(expr).and_then(|value| {
        let dtype = matches!(value, Value::Float(_)).then_some(float);
        let dtype = if matches!(value, Value::Int(_)) { Some(DType::I32) } else { dtype };
        let t = elab.to_tensor(value, dtype, expr.span)?;
        Ok(if t.weak { elab.build(expr.span).convert(t.node, float) } else { t.node })
    });
    let Ok(value) = result else { return Err(elab.diags) };
    elab.graph.add_output("value", value, OutputKind::Value);
    let mut wrt = vec![];
    for name in grads {
        let Some((_, node)) = nodes.iter().find(|(n, _)| *n == name) else {
            elab.fail(
                error("E0201", format!("--grad {name}: there is no `--let {name}=…`"))
                    .at(expr.span, "in this expression"),
            );
            continue;
        };
        if !elab.graph.dtype(*node).is_float() {
            elab.fail(
                error("E0208", format!("--grad {name}: the gradient by int values is not defined"))
                    .at(expr.span, "in this expression")
                    .help("write the numbers with a decimal point: `[1.0, 2.0]`"),
            );
        }
        wrt.push((name, *node));
    }
    if !wrt.is_empty() && !elab.graph.dtype(value).is_float() {
        elab.fail(error("E0215", "the result is not a float value: it has no gradient").at(expr.span, "this"));
    }
    if elab.diags.iter().any(Diagnostic::is_error) {
        return Err(elab.diags);
    }
    if !wrt.is_empty() {
        let ty = elab.graph.ty(value).clone();
        let seed = cotangent.then(|| elab.graph.add_input(COTANGENT, ty, InputKind::Arg, expr.span));
        let ids: Vec<_> = wrt.iter().map(|(_, node)| *node).collect();
        let gradients = crate::ad::gradients(&mut elab.graph, value, seed, &ids).map_err(|d| vec![d])?;
        for ((name, _), node) in wrt.iter().zip(gradients) {
            elab.graph.add_output(format!("grad.{name}"), node, OutputKind::Value);
        }
    }
    Ok(EvalGraph { graph: elab.graph })
}
