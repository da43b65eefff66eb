//! Reductions over scattered axes, such as the first and the last of three, as several over neighbouring axes.

use crate::ir::{Graph, NodeId, Op};

/// The same graph in which the axes of every reduction are neighbours (axes of size 1 do not count).
pub fn split_reductions(graph: &Graph) -> Graph {
    let mut out = Graph { nodes: vec![], inputs: graph.inputs.clone(), outputs: vec![], ..Graph::default() };
    let mut moved: Vec<NodeId> = vec![];
    for id in graph.ids() {
        let node = graph.node(id);
        let args: Vec<NodeId> = node.args.iter().map(|a| moved[a.index()]).collect();
        let runs = match &node.op {
            Op::Reduce { axes, .. } => runs(axes, graph.shape(node.args[0])),
            _ => vec![],
        };
        let new = match &node.op {
            Op::Reduce { kind, .. } if runs.len() > 1 => {
                // From the last run, so that the axes before keep their numbers.
                let mut value = args[0];
                for axes in runs.into_iter().rev() {
                    let op = Op::Reduce { kind: *kind, axes };
                    value = out.push(op, &[value], Default::default(), node.span);
                }
                value
            }
            _ => {
                let mut copy = node.clone();
                copy.args = args;
                out.nodes.push(copy);
                NodeId(out.nodes.len() as u32 - 1)
            }
        };
        moved.push(new);
    }
    for output in &graph.outputs {
        out.add_output(output.name.clone(), moved[output.node.index()], output.kind.clone());
    }
    out
}

/// Groups of axes without a kept axis of more than one element between them.
fn runs(axes: &[usize], shape: &[usize]) -> Vec<Vec<usize>> {
    let mut runs: Vec<Vec<usize>> = vec![];
    for axis in axes {
        match runs.last_mut() {
            Some(run) if (run[run.len() - 1] + 1..*axis).all(|a| shape[a] == 1) => run.push(*axis),
            _ => runs.push(vec![*axis]),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn axes_of_size_one_do_not_separate() {
        assert_eq!(runs(&[0, 2], &[4, 1, 5]), [[0, 2]]);
        assert_eq!(runs(&[0, 2], &[4, 3, 5]), [[0], [2]]);
    }
}
