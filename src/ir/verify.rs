//! What must hold of every graph; run after each pass in debug builds.
//!
//! * operands come before their users, and each node's type is the one that [`super::infer`] derives;
//! * an integer or boolean constant holds a value of its type;
//! * every input has at most one node, of the input's type;
//! * outputs name existing nodes; an update has the type of its input, and an input has at most one update.

use super::graph::{Graph, Node, OutputKind};
use super::infer::infer;
use super::op::{Hint, Op};
use super::types::DType;

/// Checks all invariants; the message names the first node or output that breaks one.
pub fn verify(graph: &Graph) -> Result<(), String> {
    let mut seen = vec![false; graph.inputs.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        check_node(graph, index, node, &mut seen).map_err(|why| format!("%{index} ({}): {why}", node.op.name()))?;
    }
    let mut updated = vec![false; graph.inputs.len()];
    for output in &graph.outputs {
        check_output(graph, output, &mut updated).map_err(|why| format!("output '{}': {why}", output.name))?;
    }
    Ok(())
}

fn check_node(graph: &Graph, index: usize, node: &Node, seen: &mut [bool]) -> Result<(), String> {
    for arg in &node.args {
        if arg.index() >= index {
            return Err(format!("operand %{} is not an earlier node", arg.0));
        }
    }
    let expected = match &node.op {
        Op::Input(input) => {
            let Some(declared) = graph.inputs.get(*input) else { return Err(format!("there is no input {input}")) };
            if std::mem::replace(&mut seen[*input], true) {
                return Err(format!("input {input} has two nodes"));
            }
            if !node.args.is_empty() {
                return Err("an input has no operands".into());
            }
            declared.ty.clone()
        }
        op => {
            let types: Vec<_> = node.args.iter().map(|a| graph.ty(*a)).collect();
            let hint = Hint { dtype: Some(node.ty.dtype), shape: Some(node.ty.shape.clone()) };
            infer(op, &types, &hint).map_err(|e| e.to_string())?
        }
    };
    if expected != node.ty {
        return Err(format!("has type {}, its operation gives {expected}", node.ty));
    }
    match &node.op {
        Op::Const(value) => check_constant(*value, node.ty.dtype),
        Op::Dense(values) => values.iter().try_for_each(|v| check_constant(*v, node.ty.dtype)),
        Op::Scan(scan) => verify(&scan.body).map_err(|why| format!("in the body: {why}")),
        _ => Ok(()),
    }
}

fn check_constant(value: f64, dtype: DType) -> Result<(), String> {
    let fits = match dtype {
        DType::F32 | DType::F64 => true,
        DType::I32 => f64::from(value as i32) == value,
        DType::Bool => value == 0.0 || value == 1.0,
    };
    if fits { Ok(()) } else { Err(format!("{value:?} is not a value of {dtype}")) }
}

fn check_output(graph: &Graph, output: &super::graph::Output, updated: &mut [bool]) -> Result<(), String> {
    let Some(node) = graph.nodes.get(output.node.index()) else {
        return Err(format!("there is no node %{}", output.node.0));
    };
    let OutputKind::Update(index) = output.kind else { return Ok(()) };
    let Some(input) = graph.inputs.get(index) else { return Err(format!("there is no input {index}")) };
    if input.ty != node.ty {
        return Err(format!("updates '{}' of type {} with {}", input.name, input.ty, node.ty));
    }
    if std::mem::replace(&mut updated[index], true) {
        return Err(format!("'{}' is updated twice", input.name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::build::Builder;
    use crate::ir::{InputKind, NodeId, Type};
    use crate::source::Span;

    fn small() -> (Graph, NodeId, NodeId) {
        let mut graph = Graph::new();
        let x = graph.add_input("x", Type::new(DType::F32, [2]), InputKind::Param, Span::default());
        let mut b = Builder::new(&mut graph, Span::default());
        let y = b.add(x, x);
        graph.add_output("x", y, OutputKind::Update(0));
        (graph, x, y)
    }

    #[test]
    fn accepts_a_good_graph() {
        assert_eq!(verify(&small().0), Ok(()));
    }

    #[test]
    fn names_what_is_wrong() {
        let broken = |change: &dyn Fn(&mut Graph)| {
            let (mut graph, ..) = small();
            change(&mut graph);
            verify(&graph).unwrap_err()
        };
        assert_eq!(broken(&|g| g.nodes[1].args[0] = NodeId(1)), "%1 (add): operand %1 is not an earlier node");
        assert_eq!(
            broken(&|g| g.nodes[1].ty = Type::new(DType::F32, [3])),
            "%1 (add): has type f32[3], its operation gives f32[2]"
        );
        assert_eq!(broken(&|g| g.outputs.push(g.outputs[0].clone())), "output 'x': 'x' is updated twice");
        assert_eq!(
            broken(&|g| g.inputs[0].ty = Type::new(DType::F32, [4])),
            "%0 (input): has type f32[2], its operation gives f32[4]"
        );
        assert_eq!(broken(&|g| g.outputs[0].node = NodeId(9)), "output 'x': there is no node %9");
    }

    #[test]
    fn constants_fit_their_type() {
        let mut graph = Graph::new();
        Builder::new(&mut graph, Span::default()).constant(1.5, DType::I32);
        assert_eq!(verify(&graph).unwrap_err(), "%0 (const): 1.5 is not a value of i32");
    }
}
