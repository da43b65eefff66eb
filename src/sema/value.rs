//! What an expression means while a program is made concrete: compile-time values, and run-time tensors (graph nodes).

use super::builtins::Builtin;
use super::modules::DefId;
use crate::data::spec::Schema;
use crate::ir::NodeId;
use crate::source::Span;
use std::cell::RefCell;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub enum Value {
    Unit,
    Int(i64),
    Float(f64),
    Bool(bool),
    Str(Rc<str>),
    List(Rc<Vec<Value>>),
    Tuple(Rc<Vec<Value>>),
    Range(i64, i64),
    Axes(Axes),
    Tensor(Tensor),
    /// A definition whose hyper-parameters are not bound yet.
    Def(DefId),
    /// A definition with bound hyper-parameters: a layer to call, an optimizer to minimize with, a schedule, …
    Instance(Rc<Instance>),
    Builtin(Builtin),
    /// `transform |> optimizer`: applied from left to right.
    Chain(Rc<Vec<Value>>),
    /// `stack(n, layer)`: n copies with their own weights, applied one after another.
    Stack(usize, Rc<Instance>),
    /// `load("file.npz", "key")`: a starting value from a file.
    Load(Rc<str>, Option<Rc<str>>),
    /// A part of a layer by name, as `net.body` in `over net.body`: a prefix of parameter paths.
    Part(Rc<str>),
    /// The data of a train item, by name: `corpus.text.classes`.
    Data(Rc<Schema>),
    /// A column of the data, by its place in the schema.
    Column(Rc<Schema>, usize),
    /// `shape(theta)` where a rule runs once for all tensors: each one's own.
    OwnShape,
    /// The value of something that was reported wrong: silences follow-up errors.
    Poison,
}

/// Axis sets that do not depend on the rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axes {
    All,
    ButLast,
}

/// A run-time value.
#[derive(Clone, Copy, Debug)]
pub struct Tensor {
    pub node: NodeId,
    /// A scalar computed in f64 (hyper-parameters, schedules, `t`) that takes the element type of what it meets.
    pub weak: bool,
    pub layout: Layout,
}

impl Tensor {
    pub fn plain(node: NodeId) -> Tensor {
        Tensor { node, weak: false, layout: Layout::Plain }
    }

    pub fn weak(node: NodeId) -> Tensor {
        Tensor { node, weak: true, layout: Layout::Plain }
    }
}

/// How an optimizer's values lie when its rule runs once for all tensors of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layout {
    /// The node's shape is the value's shape.
    Plain,
    /// One scalar for each tensor of the group: a node of shape `[tensors]`.
    PerTensor,
    /// One value for each element of each tensor: a node of shape `[elements]`, tensors end to end.
    Flat,
}

/// A definition with its hyper-parameters bound.
#[derive(Debug)]
pub struct Instance {
    pub def: DefId,
    /// In the order of the definition.
    pub hypers: Vec<Value>,
    /// Stable path of its parameters and states, fixed when it is named by a `let` or first applied.
    pub path: RefCell<Option<String>>,
    pub span: Span,
}

impl Value {
    /// In the user's words, for messages.
    pub fn describe(&self) -> String {
        match self {
            Value::Unit => "nothing".into(),
            Value::Int(v) => format!("the integer {v}"),
            Value::Float(v) => format!("the number {v}"),
            Value::Bool(v) => format!("{v}"),
            Value::Str(_) => "a string".into(),
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Tuple(items) => format!("a tuple of {}", items.len()),
            Value::Range(a, b) => format!("the range {a}..{b}"),
            Value::Axes(Axes::All) => "'all'".into(),
            Value::Axes(Axes::ButLast) => "'but_last'".into(),
            Value::Tensor(_) => "a tensor".into(),
            Value::Def(_) | Value::Builtin(_) => "a function".into(),
            Value::Instance(_) => "a definition with its hyper-parameters bound".into(),
            Value::Chain(_) => "a chain of transforms".into(),
            Value::Stack(n, _) => format!("a stack of {n} layers"),
            Value::Load(file, _) => format!("a value loaded from '{file}'"),
            Value::Part(path) => format!("the part '{path}'"),
            Value::Data(_) => "data".into(),
            Value::Column(schema, index) => format!("the column '{}'", schema.columns[*index].name),
            Value::OwnShape => "a shape".into(),
            Value::Poison => "an erroneous value".into(),
        }
    }

    pub fn list(items: impl IntoIterator<Item = Value>) -> Value {
        Value::List(Rc::new(items.into_iter().collect()))
    }

    pub fn shape(shape: &[usize]) -> Value {
        Value::list(shape.iter().map(|n| Value::Int(*n as i64)))
    }

    /// Numbers, for compile-time arithmetic.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Int(v) => Some(*v as f64),
            Value::Float(v) => Some(*v),
            _ => None,
        }
    }
}
