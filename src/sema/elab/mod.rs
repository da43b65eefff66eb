//! Elaboration: walks the syntax tree with concrete hyper-parameters and shapes, checks every use of a definition, and
//! writes the tensor IR it stands for.
//!
//! Generic definitions are checked at each use with the dimensions solved there. An error is reported where it is
//! found; the value of the erroneous statement becomes [`Value::Poison`], which silences what follows from it, so that
//! all independent errors of a file appear in one run.

pub mod apply;
mod attention;
mod builtin;
mod choice;
mod data;
mod dims;
mod einsum;
mod evaluate;
mod expect;
mod expr;
mod gradient;
mod group;
mod index;
pub mod ops;
mod optimizer;
mod pass;
pub mod probe;
mod ranges;
mod rule;
mod sample;
mod scan;
mod scan_body;
mod settings;
mod state;
mod stmt;
mod train;
mod untrained;
mod update;
mod window;

use super::modules::{DefId, ModuleId, Modules};
use super::value::{Instance, Layout, Tensor, Value};
use crate::diag::{Diagnostic, Label};
use crate::ir::build::Builder;
use crate::ir::{DType, Graph, InputKind, NodeId, Type};
use crate::source::{SourceMap, Span};
use crate::syntax::ast::DefKind;
use indexmap::IndexMap;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

pub use data::{COLUMN_FACTS, DATA_FACTS, pipelines};
pub use expect::{Expectation, test_graph};
pub use expr::mend_name;
pub use settings::objective_name;
pub use train::{BuildOptions, TrainSource, program, program_recorded};
pub use update::{GRADIENT, update_program};

/// Why an expression has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// A diagnostic was emitted (or follows from one that was).
    Reported,
    /// The optimizer's rule is not elementwise: it needs the tensor's own shape, so it is instantiated per tensor.
    NeedsShape,
    /// A state of the rule turned out to hold one number for each tensor: the rule starts again, knowing that.
    Again,
    /// The rule waits for a value that is made of all tensors of the group ([`rule`]).
    Waits,
}

pub type R<T> = Result<T, Failed>;

/// A solved dimension variable and where its value came from.
#[derive(Clone, Debug)]
pub struct DimBinding {
    pub size: usize,
    pub span: Span,
    /// `x: float[128, 784]`
    pub origin: String,
}

/// What `..` stands for in one activation, and where that came from.
#[derive(Clone, Debug)]
pub struct Rest {
    pub axes: Vec<usize>,
    pub span: Span,
    /// `prediction: float[32]`
    pub origin: String,
}

/// The activation of one definition (or of the train item's body).
pub struct Frame {
    pub module: ModuleId,
    pub kind: FrameKind,
    /// For messages: `layer Dense`.
    pub title: String,
    /// The call that this is the activation of.
    pub called_at: Span,
    /// Prefix of the paths of parameters, states and layers made here.
    pub path: String,
    pub scopes: Vec<HashMap<String, Value>>,
    pub dims: HashMap<String, DimBinding>,
    /// The axes that `..` stands for, once solved.
    pub rest: Option<Rest>,
    /// Paths given to named layers and rules here, so that a second one of a name gets its own.
    pub used_paths: HashSet<String>,
    pub anonymous: HashMap<String, usize>,
    /// How many random tensors were drawn here so far: part of a tensor's stream number.
    pub randoms: u32,
    /// The name of what a rule updates: its first input.
    pub theta: Option<String>,
    /// A rule's own step counter: its third input.
    pub step: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    Def(DefKind),
    /// The body of a train item.
    Train,
    /// `optc eval` and `test` blocks.
    Eval,
}

/// A parameter of the model.
pub struct ParamSlot {
    pub node: NodeId,
    pub ty: Type,
    pub init: Value,
    pub span: Span,
    /// The call of the layer that made it.
    pub made_at: Span,
    /// The call in the user's text that it was made in.
    pub called_at: Span,
    /// The name of that layer: `Dense`.
    pub layer: String,
    /// What it is for, if the layer says so: `norm`.
    pub role: Option<String>,
}

/// Whose state it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateOwner {
    Model,
    Optimizer,
    Metric,
}

/// A carried value: its input in this graph, and what it has become so far.
pub struct StateSlot {
    pub input: NodeId,
    pub current: Tensor,
    /// Its value where a step begins.
    pub start: Tensor,
    pub init: StateInit,
    pub owner: StateOwner,
    pub span: Span,
    /// `all state`: one for all tensors of a rule.
    pub whole: bool,
    /// The tensor whose turn last declared it.
    pub run: usize,
}

#[derive(Clone, Debug)]
pub enum StateInit {
    /// A number in every element.
    Fill(f64),
    /// An initializer, applied to the state's shape.
    Init(Value),
}

/// One group of parameters that a rule updates at once, tensors end to end.
#[derive(Clone, Debug)]
pub struct FlatGroup {
    pub offsets: Arc<Vec<usize>>,
}

impl FlatGroup {
    pub fn elements(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0)
    }

    pub fn tensors(&self) -> usize {
        self.offsets.len() - 1
    }
}

pub struct Elab<'a> {
    pub modules: &'a Modules,
    pub sources: &'a SourceMap,
    pub graph: Graph,
    /// What `float` means in this run.
    pub float: DType,
    pub training: bool,
    pub diags: Vec<Diagnostic>,
    pub frames: Vec<Frame>,
    pub params: IndexMap<String, ParamSlot>,
    pub states: IndexMap<String, StateSlot>,
    /// Values of run-time hyper-parameters, by input name.
    pub hypers: IndexMap<String, (f64, NodeId)>,
    /// What hyper-parameters are in the step, where they are schedules: by name (`adamw.lr`).
    pub schedules: IndexMap<String, NodeId>,
    pub loads: Vec<super::program::Load>,
    pub layers: Vec<super::program::LayerRow>,
    pub reports: Vec<(super::program::Report, NodeId)>,
    /// What metrics keep until the end of the pass.
    pub pass: pass::Context,
    /// Set while an optimizer's rule runs once for a whole group.
    pub flat: Option<FlatGroup>,
    /// Set while a rule runs for one tensor: its shape, and what tells its states apart (`/net.fc.w`).
    pub update_shape: Option<Vec<usize>>,
    pub update_suffix: String,
    /// Paths of the tensors of the group under update.
    pub group_paths: Vec<String>,
    /// What the rule under way asks of its group.
    pub rule: rule::Context,
    /// Rules run to learn the parameters that evaluation uses: nothing is updated.
    pub evaluating: bool,
    /// The parameters for evaluation, by path.
    pub evaluation: Vec<(String, NodeId)>,
    /// Some rule says `eval theta = …`.
    pub has_eval: bool,
    /// The train item's sample: its settings and its scores.
    pub sample: Option<(crate::sema::program::Sample, NodeId)>,
    /// The conditions of the run-time `if`s around the statement under way, the outermost first.
    pub choices: Vec<NodeId>,
    /// `optc eval`: parameters take their starting values in the same graph.
    pub inline_params: bool,
    /// Of a training: the columns of its data, and those that its step names.
    pub columns: Vec<String>,
    pub step_inputs: Vec<crate::syntax::ast::Ident>,
    named_inputs: HashMap<String, NodeId>,
    /// What the first loss or metric compares: prediction and target.
    pub compared: Option<(NodeId, NodeId)>,
    pub steps: Vec<train::Minimized>,
    /// The scans around, the outermost first.
    pub scans: Vec<scan::Around>,
    /// The `expect`s of a test block.
    pub expectations: Vec<Expectation>,
    /// Where the types of expressions are written down, if they are.
    pub record: Option<super::record::Shared>,
}

/// Calls deeper than this are a recursion that does not end: definitions are instantiated, not called.
const MAX_DEPTH: usize = 64;

impl<'a> Elab<'a> {
    pub fn new(modules: &'a Modules, sources: &'a SourceMap, float: DType) -> Elab<'a> {
        Elab {
            modules,
            sources,
            graph: Graph::new(),
            float,
            training: false,
            diags: vec![],
            frames: vec![],
            params: IndexMap::new(),
            states: IndexMap::new(),
            hypers: IndexMap::new(),
            schedules: IndexMap::new(),
            loads: vec![],
            layers: vec![],
            reports: vec![],
            pass: pass::Context::default(),
            flat: None,
            update_shape: None,
            update_suffix: String::new(),
            group_paths: vec![],
            rule: rule::Context::default(),
            evaluating: false,
            evaluation: vec![],
            has_eval: false,
            sample: None,
            choices: vec![],
            inline_params: false,
            columns: vec![],
            step_inputs: vec![],
            named_inputs: HashMap::new(),
            compared: None,
            steps: vec![],
            scans: vec![],
            expectations: vec![],
            record: None,
        }
    }

    /// Records a diagnostic (once) and gives the token that says so.
    pub fn fail(&mut self, diagnostic: Diagnostic) -> Failed {
        let diagnostic = self.with_calls(self.in_users_text(diagnostic));
        let known = |d: &Diagnostic| d.code == diagnostic.code && d.primary() == diagnostic.primary();
        if !self.diags.iter().any(known) {
            self.diags.push(diagnostic);
        }
        Failed::Reported
    }

    /// A mistake that is found inside the library is (nearly always) one of the call: that place comes first.
    fn in_users_text(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        if diagnostic.labels.is_empty() || diagnostic.labels.iter().any(|l| self.is_users(l.span)) {
            return diagnostic;
        }
        if let Some(frame) = self.users_calls().next() {
            let text = format!("in this call of {}", frame.title);
            diagnostic.labels.insert(0, Label { span: frame.called_at, text });
        }
        diagnostic
    }

    /// A place in a text of the user's, not in the library.
    fn is_users(&self, span: Span) -> bool {
        self.modules.user_modules().any(|(_, m)| m.file == span.file)
    }

    /// The activations whose calls stand in the user's text, the innermost first.
    fn users_calls(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().rev().filter(|f| f.called_at != Span::default() && self.is_users(f.called_at))
    }

    /// The innermost call in the user's text.
    pub fn users_call(&self) -> Option<Span> {
        self.users_calls().next().map(|frame| frame.called_at)
    }

    /// Through which calls the walk came to this place, if there are several: shapes come from them.
    fn with_calls(&self, mut diagnostic: Diagnostic) -> Diagnostic {
        const MOST: usize = 4;
        let calls: Vec<&Frame> = self.users_calls().collect();
        if calls.len() < 2 {
            return diagnostic;
        }
        let unmarked = calls.iter().filter(|f| diagnostic.labels.iter().all(|l| l.span != f.called_at));
        let told = unmarked.map(|f| format!("in {}, called at {}", f.title, self.sources.place(f.called_at)));
        diagnostic.notes.extend(told.take(MOST).collect::<Vec<_>>());
        diagnostic
    }

    pub fn build(&mut self, span: Span) -> Builder<'_> {
        Builder::new(&mut self.graph, span)
    }

    pub fn frame(&mut self) -> &mut Frame {
        self.frames.last_mut().expect("elaboration happens inside a frame")
    }

    pub fn new_frame(&self, module: ModuleId, kind: FrameKind, title: String, path: String) -> Frame {
        Frame {
            module,
            kind,
            title,
            called_at: Span::default(),
            path,
            scopes: vec![HashMap::new()],
            dims: HashMap::new(),
            rest: None,
            used_paths: HashSet::new(),
            anonymous: HashMap::new(),
            randoms: 0,
            theta: None,
            step: None,
        }
    }

    pub fn define(&mut self, name: &str, value: Value) {
        let frame = self.frame();
        frame.scopes.last_mut().expect("a frame has a scope").insert(name.to_string(), value);
    }

    /// A local of the current frame.
    pub fn local(&self, name: &str) -> Option<&Value> {
        self.frames.last()?.scopes.iter().rev().find_map(|scope| scope.get(name))
    }

    /// Gives an existing local a new value, in the scope that holds it.
    pub fn assign(&mut self, name: &str, value: Value) {
        for scope in self.frame().scopes.iter_mut().rev() {
            if let Some(slot) = scope.get_mut(name) {
                *slot = value;
                return;
            }
        }
    }

    /// A scalar run-time input that exists once in a graph: `t`, the random keys.
    pub fn shared_input(&mut self, name: &str, dtype: DType, kind: InputKind, span: Span) -> NodeId {
        if let Some(node) = self.named_inputs.get(name) {
            return *node;
        }
        let node = self.graph.add_input(name, Type::scalar(dtype), kind, span);
        self.named_inputs.insert(name.to_string(), node);
        node
    }

    /// The step counter as a weak scalar, from 1.
    pub fn step_counter(&mut self, span: Span) -> Tensor {
        Tensor::weak(self.shared_input("t", DType::F64, InputKind::Step, span))
    }

    /// A run-time hyper-parameter: changing its value compiles nothing.
    pub fn hyper_input(&mut self, name: &str, value: f64, span: Span) -> Tensor {
        if let Some((_, node)) = self.hypers.get(name) {
            return Tensor::weak(*node);
        }
        let node = self.graph.add_input(name, Type::scalar(DType::F64), InputKind::Hyper, span);
        self.hypers.insert(name.to_string(), (value, node));
        Tensor::weak(node)
    }

    /// The tensor's shape in the user's view. Values that stand for many tensors at once have none.
    pub fn shape_of(&self, tensor: Tensor) -> R<Vec<usize>> {
        match tensor.layout {
            Layout::Plain => Ok(self.graph.shape(tensor.node).clone()),
            _ => Err(Failed::NeedsShape),
        }
    }

    /// `float[128, 784]`
    pub fn type_text(&self, value: &Value) -> String {
        match value {
            Value::Tensor(t) if t.weak => "float".into(),
            Value::Tensor(t) if t.layout == Layout::Flat => {
                let base = self.ir_type_text(&Type::scalar(self.graph.dtype(t.node)));
                format!("{base}[..], like the parameter")
            }
            Value::Tensor(t) if t.layout == Layout::PerTensor => {
                self.ir_type_text(&Type::scalar(self.graph.dtype(t.node)))
            }
            Value::Tensor(t) => self.ir_type_text(self.graph.ty(t.node)),
            Value::Instance(instance) => self.instance_text(instance),
            Value::Def(def) => self.def_text(*def),
            other => other.describe(),
        }
    }

    pub fn ir_type_text(&self, ty: &Type) -> String {
        let base = match ty.dtype {
            d if d == self.float => "float",
            DType::I32 => "int",
            d => d.name(),
        };
        let dims: Vec<String> = ty.shape.iter().map(usize::to_string).collect();
        if dims.is_empty() { base.into() } else { format!("{base}[{}]", dims.join(", ")) }
    }

    /// What the IR says of its types, with the names that the user knows.
    pub fn in_users_types(&self, text: &str) -> String {
        text.replace(&format!("{}[", self.float.name()), "float[").replace("i32[", "int[")
    }

    pub fn def_text(&self, def: DefId) -> String {
        let def = self.modules.def(def);
        format!("{} {}", def.kind.keyword(), def.name.name)
    }

    pub fn instance_text(&self, instance: &Instance) -> String {
        format!("{}(…)", self.def_text(instance.def))
    }

    /// `a.b`, or `b` under an empty prefix.
    pub fn join(prefix: &str, name: &str) -> String {
        if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") }
    }

    /// The path of a layer that has no name yet: by its kind and number, in order of first application.
    pub fn path_of(&mut self, instance: &Rc<Instance>) -> String {
        if let Some(path) = instance.path.borrow().as_ref() {
            return path.clone();
        }
        let name = self.modules.def(instance.def).name.name.to_lowercase();
        let frame = self.frame();
        let count = frame.anonymous.entry(name.clone()).or_insert(0);
        *count += 1;
        let path = Self::join(&frame.path.clone(), &format!("{name}{count}"));
        *instance.path.borrow_mut() = Some(path.clone());
        path
    }

    /// Names an instance by the `let` that holds it; a second instance of the same name gets a number.
    pub fn name_instance(&mut self, instance: &Instance, name: &str) {
        if instance.path.borrow().is_some() {
            return;
        }
        let frame = self.frame();
        let mut path = Self::join(&frame.path.clone(), name);
        let base = path.clone();
        let mut number = 2;
        while !frame.used_paths.insert(path.clone()) {
            path = format!("{base}_{number}");
            number += 1;
        }
        *instance.path.borrow_mut() = Some(path);
    }

    /// A stream number for random bits: fixed by the place in the model, not by the order of evaluation.
    pub fn random_stream(&mut self) -> u32 {
        let suffix = self.update_suffix.clone();
        let frame = self.frame();
        frame.randoms += 1;
        let text = format!("{}#{}{suffix}", frame.path, frame.randoms);
        // FNV-1a, 32 bits.
        text.bytes().fold(0x811c_9dc5, |h: u32, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
    }
}
