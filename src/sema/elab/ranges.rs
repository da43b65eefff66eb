//! Indices that the data says are too large: a column of 4,000 tokens that picks rows of a table of 1,000.
//!
//! Kernels clamp an index, so a wrong one would read a wrong row in silence. Columns have known ranges; what reaches an
//! index (or a comparison with positions, as in `pick`) unchanged from a column is compared with the axis it indexes.

use super::{Elab, R};
use crate::data::spec::{Column, Schema};
use crate::diag::error;
use crate::ir::op::Compare;
use crate::ir::{Graph, InputKind, NodeId, Op};
use crate::source::Span;
use crate::syntax::ast::Train;

/// A column that indexes an axis with fewer places than it has classes.
struct Excess {
    column: usize,
    size: usize,
    span: Span,
}

impl Elab<'_> {
    /// `E0410` for each column of the step that indexes past the end of an axis.
    pub fn check_indices(&mut self, train: &Train, schema: &Schema) -> R<()> {
        let mut found: Vec<Excess> = vec![];
        for id in self.graph.ids() {
            let Some((index, size)) = indexing(&self.graph, id) else { continue };
            let Some(column) = column_of(&self.graph, index, schema) else { continue };
            let classes = schema.columns[column].classes.unwrap_or(0);
            if classes > size && !found.iter().any(|e| (e.column, e.size) == (column, size)) {
                found.push(Excess { column, size, span: self.graph.node(id).span });
            }
        }
        let inputs = train.step.as_ref().map(|step| step.inputs.as_slice()).unwrap_or_default();
        let mut failed = None;
        for Excess { column, size, span } in found {
            let Column { name, classes, .. } = &schema.columns[column];
            let classes = classes.unwrap_or(0);
            let place = inputs.iter().find(|i| i.name == *name).map_or(train.data.span, |i| i.span);
            let largest = classes.saturating_sub(1);
            let mut d = error("E0410", format!("'{name}' goes up to {largest}, but indexes only {size} places"))
                .at(place, format!("0 to {largest}, says the data"));
            if span != place {
                d = d.at(span, format!("indexes an axis of {size}"));
            }
            let data = self.data_name(train);
            failed = Some(self.fail(d.help(format!("`{data}.{name}.classes` is the number of places that it needs"))));
        }
        failed.map_or(Ok(()), Err)
    }

    fn data_name(&self, train: &Train) -> String {
        match &train.data.kind {
            crate::syntax::ast::ExprKind::Name(name) => name.clone(),
            _ => "data".into(),
        }
    }
}

/// The indices of a node that picks by them, and the size of the axis.
fn indexing(graph: &Graph, id: NodeId) -> Option<(NodeId, usize)> {
    let node = graph.node(id);
    match &node.op {
        Op::Gather { axis } | Op::ScatterAdd { axis } => Some((node.args[1], graph.shape(node.args[0])[*axis])),
        // `where(indices(shape, axis) == label, x, 0)`: what no position equals is lost.
        Op::Select => {
            let condition = graph.node(node.args[0]);
            let Op::Compare(Compare::Eq) = condition.op else { return None };
            let [a, b] = [condition.args[0], condition.args[1]];
            positions(graph, a).map(|size| (b, size)).or_else(|| positions(graph, b).map(|size| (a, size)))
        }
        _ => None,
    }
}

/// The number of positions, if the value is `indices(…)`.
fn positions(graph: &Graph, id: NodeId) -> Option<usize> {
    let node = graph.node(id);
    match &node.op {
        Op::Iota { axis } => Some(node.ty.shape[*axis]),
        Op::Broadcast { .. } | Op::Reshape => positions(graph, node.args[0]),
        _ => None,
    }
}

/// The column that a value is, in whatever order and shape.
fn column_of(graph: &Graph, mut id: NodeId, schema: &Schema) -> Option<usize> {
    loop {
        let node = graph.node(id);
        match &node.op {
            Op::Input(index) => {
                let input = &graph.inputs[*index];
                let is_column = matches!(input.kind, InputKind::Batch);
                return schema.columns.iter().position(|c| is_column && c.name == input.name);
            }
            Op::Broadcast { .. }
            | Op::Reshape
            | Op::Transpose { .. }
            | Op::Slice { .. }
            | Op::Reverse { .. }
            | Op::StopGradient => id = node.args[0],
            _ => return None,
        }
    }
}
