//! The oracle: a slow, obvious interpreter of the IR on ndarray arrays, independent of the compiled code.
//!
//! * [`scalar`]: elementwise arithmetic, also used by constant folding
//! * [`value`]: arrays of the four element types
//! * [`movement`], [`reduce`], [`window`], [`attention`]: the other primitives; [`apply`]: all of them by [`crate::ir::Op`]

pub mod apply;
mod attention;
mod movement;
mod reduce;
pub mod scalar;
mod scan;
pub mod value;
mod window;

use crate::ir::{Graph, Op, OutputKind};
use crate::runtime::{Executable, Tensor};
use apply::apply;
use value::Value;

/// Runs a graph node by node.
pub struct Interpreter {
    graph: Graph,
    /// For each node, the operands whose last use it is.
    last_uses: Vec<Vec<usize>>,
}

impl Interpreter {
    pub fn new(graph: Graph) -> Interpreter {
        let mut last_use = vec![None; graph.nodes.len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            for arg in &node.args {
                last_use[arg.index()] = Some(index);
            }
        }
        for output in &graph.outputs {
            last_use[output.node.index()] = None;
        }
        let mut last_uses = vec![vec![]; graph.nodes.len()];
        for (value, user) in last_use.into_iter().enumerate() {
            if let Some(user) = user {
                last_uses[user].push(value);
            }
        }
        Interpreter { graph, last_uses }
    }

    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The values of all outputs, in order.
    fn outputs(&self, inputs: &[&Tensor]) -> Vec<Value> {
        assert_eq!(inputs.len(), self.graph.inputs.len(), "one tensor for each input");
        self.outputs_of(|input| {
            assert_eq!(*inputs[input].ty(), self.graph.inputs[input].ty, "input '{}'", self.graph.inputs[input].name);
            Value::from_tensor(inputs[input])
        })
    }

    /// As `outputs`, with the value of each input by its index.
    fn outputs_of(&self, input: impl Fn(usize) -> Value) -> Vec<Value> {
        let mut values: Vec<Option<Value>> = vec![None; self.graph.nodes.len()];
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let value = match &node.op {
                Op::Input(index) => input(*index),
                op => {
                    let arg = |a: &crate::ir::NodeId| values[a.index()].as_ref().expect("operands live until used");
                    let args: Vec<&Value> = node.args.iter().map(arg).collect();
                    apply(op, &args, &node.ty)
                }
            };
            debug_assert_eq!(value.ty(), node.ty, "%{index} ({})", node.op.name());
            values[index] = Some(value);
            for dead in &self.last_uses[index] {
                values[*dead] = None;
            }
        }
        let value = |o: &crate::ir::Output| values[o.node.index()].clone().expect("outputs live to the end");
        self.graph.outputs.iter().map(value).collect()
    }
}

impl Executable for Interpreter {
    fn run(&mut self, inputs: &mut [&mut Tensor], results: &mut [Tensor]) {
        let outputs = {
            let inputs: Vec<&Tensor> = inputs.iter().map(|t| &**t).collect();
            self.outputs(&inputs)
        };
        let mut results = results.iter_mut();
        for (output, value) in self.graph.outputs.iter().zip(outputs) {
            match output.kind {
                OutputKind::Update(input) => value.write_to(inputs[input]),
                _ => value.write_to(results.next().expect("one result tensor for each output that is no update")),
            }
        }
    }
}

/// The values of all outputs of a graph, updates included, in order.
pub fn eval(graph: &Graph, inputs: &[&Tensor]) -> Vec<Tensor> {
    Interpreter::new(graph.clone()).outputs(inputs).iter().map(Value::to_tensor).collect()
}

#[cfg(test)]
mod tests;
