//! A graph: pure nodes in topological order, with named inputs and outputs.

use super::infer::{InferError, infer};
use super::op::{Hint, Op};
use super::origin::Origin;
use super::types::{DType, Shape, Type};
use crate::source::Span;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

impl NodeId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One value. `args` are earlier nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub op: Op,
    pub args: Vec<NodeId>,
    pub ty: Type,
    /// The source that made it, kept through differentiation and fusion.
    pub span: Span,
    pub origin: Origin,
}

/// What an input holds; the runtime binds it by this.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum InputKind {
    /// A column of the batch, by name.
    Batch,
    /// Trained values: one arena (rank 1) of a group of parameters, or one parameter.
    Param,
    /// Carried values: optimizer moments, running statistics, metric counters.
    State,
    /// A hyper-parameter's run-time value (scalar F64). Changing it never recompiles.
    Hyper,
    /// The step counter `t`, from 1 (scalar F64).
    Step,
    /// Random key and counter: scalar I32 inputs named `key0`, `key1` and `step`.
    Random,
    /// A plain argument (`optc eval`, tests).
    Arg,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    pub name: String,
    pub ty: Type,
    pub kind: InputKind,
}

/// What an output is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OutputKind {
    /// The scalar that is minimized, or a plain result of `optc eval`.
    Value,
    /// A reported metric or observed value (scalar).
    Report,
    /// The rows of a batch that are kept until the end of the pass.
    Rows,
    /// A number that says whether something went wrong ([`crate::passes::checks`]).
    Check,
    /// The new value of the input of this index (same type), written in place when the step ends.
    Update(usize),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub name: String,
    pub node: NodeId,
    pub kind: OutputKind,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    pub nodes: Vec<Node>,
    pub inputs: Vec<Input>,
    pub outputs: Vec<Output>,
    /// Of nodes that are added.
    pub origin: Origin,
}

impl Graph {
    pub fn new() -> Graph {
        Graph::default()
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    pub fn ty(&self, id: NodeId) -> &Type {
        &self.nodes[id.index()].ty
    }

    pub fn shape(&self, id: NodeId) -> &Shape {
        &self.nodes[id.index()].ty.shape
    }

    pub fn dtype(&self, id: NodeId) -> DType {
        self.nodes[id.index()].ty.dtype
    }

    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// Appends a node; its type is inferred. `hint` gives what operands do not determine.
    pub fn try_push(&mut self, op: Op, args: &[NodeId], hint: Hint, span: Span) -> Result<NodeId, InferError> {
        let types: Vec<&Type> = args.iter().map(|a| self.ty(*a)).collect();
        let ty = match &op {
            Op::Input(index) => self.inputs[*index].ty.clone(),
            _ => infer(&op, &types, &hint)?,
        };
        let id = NodeId(self.nodes.len() as u32);
        let origin = self.origin.clone();
        self.nodes.push(Node { op, args: args.to_vec(), ty, span, origin });
        Ok(id)
    }

    /// As [`Graph::try_push`] for callers inside the compiler, whose operands are well-typed by construction.
    ///
    /// # Panics
    /// If they are not: an internal error, which names the operation.
    pub fn push(&mut self, op: Op, args: &[NodeId], hint: Hint, span: Span) -> NodeId {
        let name = op.name();
        match self.try_push(op, args, hint, span) {
            Ok(id) => id,
            Err(error) => panic!("internal error: ill-typed `{name}`: {error}"),
        }
    }

    pub fn add_input(&mut self, name: impl Into<String>, ty: Type, kind: InputKind, span: Span) -> NodeId {
        let index = self.inputs.len();
        self.inputs.push(Input { name: name.into(), ty, kind });
        self.push(Op::Input(index), &[], Hint::default(), span)
    }

    pub fn add_output(&mut self, name: impl Into<String>, node: NodeId, kind: OutputKind) {
        self.outputs.push(Output { name: name.into(), node, kind });
    }

    /// How often each node is used, outputs included.
    pub fn use_counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.nodes.len()];
        for node in &self.nodes {
            for arg in &node.args {
                counts[arg.index()] += 1;
            }
        }
        for output in &self.outputs {
            counts[output.node.index()] += 1;
        }
        counts
    }
}
