//! Runs a graph again with every value watched, and finds the operation that made the first value that is not finite.
//!
//! The search goes backwards from the outputs that are not finite, through operands that are not finite either: a value
//! that a `where` leaves out is no reason. Infinities that the program writes down (a mask of `-inf`) are meant.

use super::Engine;
use super::state::result_tensors;
use crate::diag::Diagnostic;
use crate::ir::build::Builder;
use crate::ir::scan::Scan;
use crate::ir::{Binary, Compare, DType, Graph, Node, NodeId, Op, OutputKind, ReduceKind, Type, Unary};
use crate::runtime::Tensor;

/// A graph and what it read.
pub struct Scene {
    pub graph: Graph,
    /// In the order of the graph's inputs.
    pub inputs: Vec<Tensor>,
}

/// Where the first value that is not finite was made.
pub struct Found {
    pub node: Node,
    /// The name of the input, if it is one.
    pub input: Option<String>,
    pub operands: Vec<Values>,
    pub result: Values,
    /// In which turn of each loop around it, the outermost first; from 0.
    pub turns: Vec<usize>,
}

/// What a tensor holds, in short.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    pub ty: Type,
    pub nans: usize,
    pub infinities: usize,
    /// The least and the greatest of the others.
    pub range: Option<[f64; 2]>,
}

impl Values {
    fn of(tensor: &Tensor) -> Values {
        let values = tensor.to_f64s();
        let finite = values.iter().filter(|v| v.is_finite());
        let range = finite.fold(None, |range: Option<[f64; 2]>, v| {
            let [low, high] = range.unwrap_or([*v, *v]);
            Some([low.min(*v), high.max(*v)])
        });
        let nans = values.iter().filter(|v| v.is_nan()).count();
        let infinities = values.iter().filter(|v| v.is_infinite()).count();
        Values { ty: tensor.ty().clone(), nans, infinities, range }
    }
}

/// How many elements of a value are NaN, and infinite.
#[derive(Clone, Copy, Default)]
struct Counts {
    nans: i32,
    infinities: i32,
}

impl Counts {
    fn any(self) -> bool {
        self.nans > 0 || self.infinities > 0
    }
}

impl Scene {
    /// The operation that made the first NaN or infinity of those in the outputs. `None` if this run has none.
    pub fn first_bad(&self, engine: &dyn Engine) -> Result<Option<Found>, Diagnostic> {
        let counts = self.counts(engine)?;
        let meant = meant(&self.graph, &counts);
        let Some(id) = source(&self.graph, &counts, &meant) else { return Ok(None) };
        let node = self.graph.node(id).clone();
        if let Op::Scan(scan) = &node.op
            && let Some(mut found) = self.inside(engine, scan, &node)?
        {
            // What is constant in a loop's body is an input there: it is this graph's value that is told.
            found.turns.reverse();
            return Ok(Some(found));
        }
        let wanted: Vec<NodeId> = node.args.iter().copied().chain([id]).collect();
        let mut values: Vec<Values> = self.values(engine, &wanted)?.iter().map(Values::of).collect();
        let result = values.pop().expect("the node itself is wanted");
        let input = match node.op {
            Op::Input(index) => Some(self.graph.inputs[index].name.clone()),
            _ => None,
        };
        Ok(Some(Found { node, input, operands: values, result, turns: vec![] }))
    }

    /// The values of some nodes.
    pub fn values(&self, engine: &dyn Engine, wanted: &[NodeId]) -> Result<Vec<Tensor>, Diagnostic> {
        let mut graph = self.graph.clone();
        graph.outputs.clear();
        for id in wanted {
            graph.add_output(format!("%{}", id.index()), *id, OutputKind::Value);
        }
        self.run(engine, &graph)
    }

    /// Runs a graph with the same inputs.
    fn run(&self, engine: &dyn Engine, graph: &Graph) -> Result<Vec<Tensor>, Diagnostic> {
        let mut results = result_tensors(graph);
        let mut inputs = self.inputs.clone();
        engine.compile(graph)?.run(&mut inputs.iter_mut().collect::<Vec<_>>(), &mut results);
        Ok(results)
    }

    /// For each node, how much of it is not finite.
    fn counts(&self, engine: &dyn Engine) -> Result<Vec<Counts>, Diagnostic> {
        let mut probe = self.graph.clone();
        probe.outputs.clear();
        let live = crate::passes::fuse::live(&self.graph);
        let is_watched = |id: &NodeId| live[id.index()] && self.graph.dtype(*id).is_float();
        let watched: Vec<NodeId> = self.graph.ids().filter(is_watched).collect();
        for id in &watched {
            let mut b = Builder::new(&mut probe, self.graph.node(*id).span);
            let nan = b.compare(Compare::Ne, *id, *id);
            let finite = b.unary(Unary::IsFinite, *id);
            let bad = b.unary(Unary::Not, finite);
            for flag in [nan, bad] {
                let count = total(&mut b, flag);
                b.graph.add_output("count", count, OutputKind::Value);
            }
        }
        let results = self.run(engine, &probe)?;
        let mut counts = vec![Counts::default(); self.graph.nodes.len()];
        for (id, pair) in watched.iter().zip(results.chunks_exact(2)) {
            let (nans, bad) = (pair[0].i32s()[0], pair[1].i32s()[0]);
            counts[id.index()] = Counts { nans, infinities: bad - nans };
        }
        Ok(counts)
    }

    /// Repeats a loop turn by turn, until a turn makes a value that is not finite.
    fn inside(&self, engine: &dyn Engine, scan: &Scan, node: &Node) -> Result<Option<Found>, Diagnostic> {
        let operands = self.values(engine, &node.args)?;
        let mut inputs = operands.clone();
        let mut body = scan.body.clone();
        body.outputs.iter_mut().for_each(|o| o.kind = OutputKind::Value);
        for turn in 0..scan.steps {
            let at = if scan.reverse { scan.steps - 1 - turn } else { turn };
            for k in scan.carries..scan.carries + scan.slices {
                let ty = scan.body.inputs[k].ty.clone();
                let all = operands[k].to_f64s();
                inputs[k] = Tensor::from_f64s(ty.clone(), &all[at * ty.elements()..][..ty.elements()]);
            }
            let scene = Scene { graph: body.clone(), inputs: inputs.clone() };
            let outputs = scene.run(engine, &body)?;
            if outputs.iter().any(|o| o.to_f64s().iter().any(|v| !v.is_finite()))
                && let Some(mut found) = scene.first_bad(engine)?
            {
                found.turns.push(at);
                return Ok(Some(found));
            }
            for (input, output) in inputs.iter_mut().zip(outputs).take(scan.carries) {
                *input = output;
            }
        }
        Ok(None)
    }
}

/// How many elements are true.
fn total(b: &mut Builder, flag: NodeId) -> NodeId {
    let ones = b.convert(flag, DType::I32);
    let axes: Vec<usize> = (0..b.graph.shape(ones).len()).collect();
    b.reduce(ReduceKind::Sum, ones, &axes)
}

/// The nodes whose infinities the program wrote down.
fn meant(graph: &Graph, counts: &[Counts]) -> Vec<bool> {
    let mut meant = vec![false; graph.nodes.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        let count = counts[index];
        meant[index] = match &node.op {
            Op::Const(value) => value.is_infinite(),
            Op::Dense(values) => values.iter().any(|v| v.is_infinite()),
            // The logarithm of the weights of a query that sees nothing.
            Op::Attention(_) => count.nans == 0,
            _ => count.nans == 0 && count.infinities > 0 && node.args.iter().any(|a| meant[a.index()]),
        };
    }
    meant
}

/// The first node, of those that a bad output is made of, that is not finite while its operands are.
fn source(graph: &Graph, counts: &[Counts], meant: &[bool]) -> Option<NodeId> {
    let bad = |id: NodeId| counts[id.index()].any() && !meant[id.index()];
    let nan = |id: NodeId| counts[id.index()].nans > 0;
    let roots = |all: bool| {
        let asked = graph.outputs.iter().filter(|o| all || matches!(o.kind, OutputKind::Value | OutputKind::Update(_)));
        asked.map(|o| o.node).filter(|id| bad(*id)).collect::<Vec<_>>()
    };
    let mut open = roots(false);
    if open.is_empty() {
        open = roots(true);
    }
    let mut seen = vec![false; graph.nodes.len()];
    let mut first: Option<NodeId> = None;
    while let Some(id) = open.pop() {
        if std::mem::replace(&mut seen[id.index()], true) {
            continue;
        }
        let args = &graph.node(id).args;
        // A NaN comes from a NaN, if there is one; else from an infinity.
        let mut from: Vec<NodeId> = args.iter().copied().filter(|a| nan(id) && nan(*a)).collect();
        if from.is_empty() {
            from = args.iter().copied().filter(|a| bad(*a)).collect();
        }
        if from.is_empty() {
            first = Some(first.map_or(id, |known| known.min(id)));
        }
        open.extend(from);
    }
    first
}

/// What an operation is called in the language, where that differs from its name in the IR.
pub fn word(op: &Op) -> String {
    match op {
        Op::Binary(Binary::Add) => "the sum".into(),
        Op::Binary(Binary::Sub) => "the difference".into(),
        Op::Binary(Binary::Mul) => "the product".into(),
        Op::Binary(Binary::Div) => "the division".into(),
        Op::Binary(Binary::Pow) => "the power".into(),
        Op::Dot { .. } => "the matrix product".into(),
        Op::Reduce { kind: ReduceKind::Sum, .. } => "the sum over axes".into(),
        Op::Conv { .. } => "the convolution".into(),
        Op::Input(_) => "what the step reads".into(),
        other => format!("'{}'", other.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{EngineKind, engine};
    use crate::ir::InputKind;
    use crate::source::Span;

    const F32: DType = DType::F32;

    /// Both engines' answer for a graph of one input [4].
    fn blamed(make: impl Fn(&mut Builder, NodeId) -> NodeId, given: [f64; 4]) -> Option<Found> {
        let mut graph = Graph::new();
        let x = graph.add_input("x", Type::new(F32, [4]), InputKind::Arg, Span::default());
        let y = make(&mut Builder::new(&mut graph, Span::default()), x);
        graph.add_output("y", y, OutputKind::Value);
        let scene = Scene { graph, inputs: vec![Tensor::from_f64s(Type::new(F32, [4]), &given)] };
        let [a, b] = [EngineKind::Jit, EngineKind::Interp]
            .map(|kind| scene.first_bad(engine(kind, 1).as_ref()).expect("it runs"));
        assert_eq!(a.as_ref().map(|f| f.node.op.clone()), b.as_ref().map(|f| f.node.op.clone()));
        a
    }

    #[test]
    fn the_first_operation_is_found_with_what_it_read() {
        let entropy = |b: &mut Builder, x: NodeId| {
            let log = b.unary(Unary::Log, x);
            let product = b.mul(log, x);
            b.reduce(ReduceKind::Sum, product, &[0])
        };
        let found = blamed(entropy, [0.5, 0.0, 1.0, 0.0]).expect("0 log 0");
        assert_eq!(found.node.op, Op::Unary(Unary::Log));
        assert_eq!((found.operands[0].range, found.operands[0].nans), (Some([0.0, 1.0]), 0));
        assert_eq!((found.result.nans, found.result.infinities), (0, 2));
        assert!(blamed(entropy, [0.5, 0.25, 1.0, 2.0]).is_none());
        let given = blamed(entropy, [0.5, f64::NAN, 1.0, 2.0]).expect("the input is NaN");
        assert_eq!(given.input.as_deref(), Some("x"));
    }

    /// A mask of -inf is meant, and what a `where` leaves out is no reason.
    #[test]
    fn infinities_of_the_program_are_no_reason() {
        let masked = |b: &mut Builder, x: NodeId| {
            let zero = b.full_like(0.0, x);
            let hidden = b.full_like(f64::NEG_INFINITY, x);
            let positive = b.compare(Compare::Gt, x, zero);
            let scores = b.select(positive, x, hidden);
            let log = b.unary(Unary::Log, x);
            let chosen = b.select(positive, log, zero);
            let shares = b.unary(Unary::Exp, scores);
            let sum = b.add(shares, chosen);
            b.div(sum, zero)
        };
        let found = blamed(masked, [1.0, -1.0, 2.0, 0.0]).expect("a division by zero");
        assert_eq!(found.node.op, Op::Binary(Binary::Div));
    }
}
