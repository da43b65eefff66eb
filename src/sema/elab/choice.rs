//! Both branches of a run-time `if` are computed. What can fail gets harmless operands in the branch that is not taken: index 0,
//! the identity matrix. So an `if` that keeps an index in range, or asks for a decomposition every tenth step, does what it says.

use super::{Elab, Layout, Tensor};
use crate::ir::{Compare, DType};
use crate::source::Span;

impl Elab<'_> {
    pub fn index_if_chosen(&mut self, index: Tensor, span: Span) -> Tensor {
        self.if_chosen(index, span, |build, like| build.full_like(0.0, like))
    }

    pub fn matrix_if_chosen(&mut self, matrix: Tensor, span: Span) -> Tensor {
        self.if_chosen(matrix, span, |build, like| {
            let ty = build.graph.ty(like).clone();
            let rank = ty.shape.len();
            if rank < 2 {
                return like;
            }
            let [row, column] = [rank - 2, rank - 1].map(|axis| build.iota(DType::I32, &ty.shape, axis));
            let diagonal = build.compare(Compare::Eq, row, column);
            build.convert(diagonal, ty.dtype)
        })
    }

    fn if_chosen(
        &mut self,
        value: Tensor,
        span: Span,
        harmless: impl Fn(&mut crate::ir::build::Builder, crate::ir::NodeId) -> crate::ir::NodeId,
    ) -> Tensor {
        let conditions = self.choices.clone();
        if value.layout != Layout::Plain {
            return value;
        }
        let mut node = value.node;
        // A condition for each tensor of a group is one condition where the rule runs tensor by tensor, as it does here.
        let scalar = conditions.into_iter().filter(|c| self.graph.shape(*c).is_empty()).collect::<Vec<_>>();
        for condition in scalar {
            let mut build = self.build(span);
            let shape = build.graph.shape(node).clone();
            let other = harmless(&mut build, node);
            let chosen = build.broadcast_to(condition, &shape);
            node = build.select(chosen, node, other);
        }
        Tensor { node, ..value }
    }
}
