//! `grad(y, x)`: a gradient as a value of the program, which a loss can be made of (gradient penalties).

use super::apply::Argument;
use super::{Elab, R};
use crate::diag::error;
use crate::ir::NodeId;
use crate::sema::builtins::Builtin;
use crate::sema::value::{Layout, Tensor, Value};
use crate::source::Span;

impl Elab<'_> {
    /// The gradient of the scalar `y`, with the shape of `x`; for a list (`params(net)`) a list of them. It is computed by
    /// ordinary nodes, so that it has a gradient itself.
    pub fn grad(&mut self, args: Vec<Argument>, span: Span) -> R<Value> {
        let mut t = self.take(Builtin::Grad, args, &["y", "x"], span)?;
        let (y, y_at) = self.required_tensor(&mut t)?;
        let x = self.required(&mut t)?;
        let scalar = y.layout == Layout::Plain && self.graph.shape(y.node).is_empty();
        if !scalar || y.weak || !self.graph.dtype(y.node).is_float() {
            let found = self.type_text(&Value::Tensor(y));
            return Err(self.fail(
                error("E0215", format!("'grad' differentiates a scalar, not {found}"))
                    .at(y_at, format!("this is {found}"))
                    .help("`sum(…)` or `mean(…)` makes one number of it"),
            ));
        }
        let items: Vec<Value> = match &x.value {
            Value::List(items) => items.to_vec(),
            other => vec![other.clone()],
        };
        let mut wrt = vec![];
        for item in &items {
            wrt.push(self.differentiable(item, y.node, x.span, y_at)?);
        }
        let grads = match crate::ad::gradients(&mut self.graph, y.node, None, &wrt) {
            Ok(grads) => grads,
            Err(diagnostic) => return Err(self.fail(diagnostic)),
        };
        let mut grads = grads.into_iter().map(|node| Value::Tensor(Tensor::plain(node)));
        Ok(match x.value {
            Value::List(_) => Value::list(grads),
            _ => grads.next().expect("one gradient for each value"),
        })
    }

    /// The node of a value that `y` depends on smoothly.
    fn differentiable(&mut self, x: &Value, y: NodeId, at: Span, y_at: Span) -> R<NodeId> {
        let node = match x {
            Value::Tensor(t) if t.layout == Layout::Plain && !t.weak && self.graph.dtype(t.node).is_float() => t.node,
            other => {
                let found = self.type_text(other);
                return Err(self.fail(
                    error("E0215", format!("'grad' is with respect to float tensors, not {found}"))
                        .at(at, format!("this is {found}")),
                ));
            }
        };
        if !crate::ad::depends(&self.graph, y, &[node]) {
            return Err(self.fail(
                error("E0215", "no gradient reaches this value")
                    .at(at, "what is differentiated is not made of it")
                    .at(y_at, "this is what is differentiated")
                    .note("comparisons, argmax, rounding, ints and stop_gradient let no gradient through"),
            ));
        }
        self.gradient_in_scan(y, node, at)?;
        Ok(node)
    }
}
