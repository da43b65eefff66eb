//! Starting values: each distinct formula is compiled once, whatever number of tensors begin with it.
//!
//! The initialisation graph is cut into tensors. Of each, the numbers of its random streams are taken out and become
//! inputs; what is left is equal for all tensors of one initializer and one shape (the hundred layers of a deep network).
//! A tensor that begins with one number everywhere needs no code at all, and zeros are there already.

use super::state::{State, internal, unbound};
use super::{Engine, Failure};
use crate::diag::Diagnostic;
use crate::ir::{DType, Graph, InputKind, Node, NodeId, Op, OutputKind, Type};
use crate::passes::cse::same_value;
use crate::runtime::{Executable, Tensor};
use crate::sema::program::Program;
use crate::source::Span;
use rustc_hash::FxHashMap;

/// Fewer formulas than this are compiled on one thread.
const PARALLEL_FROM: usize = 3;

/// A tensor to fill: a stretch of a buffer.
struct Piece {
    slot: usize,
    /// In elements.
    offset: usize,
    elements: usize,
    start: Start,
}

enum Start {
    Fill(f64),
    /// A formula, with the streams of its random numbers.
    Formula(usize, Vec<u32>),
}

/// Gives every buffer of `state` its starting value.
pub fn fill(program: &Program, engine: &dyn Engine, state: &mut State) -> Result<(), Failure> {
    let (pieces, formulas) = cut(program)?;
    let compiled = compile(&formulas, engine)?;
    let mut ready = vec![];
    for (graph, executable) in formulas.iter().zip(compiled) {
        ready.push(Ready::new(graph, executable, state)?);
    }
    for piece in &pieces {
        match &piece.start {
            // Buffers are made of zeros.
            Start::Fill(value) if value.to_bits() == 0 => {}
            Start::Fill(value) => repeat(*value, &mut state.slots[piece.slot], piece.offset, piece.elements),
            Start::Formula(k, streams) => {
                let result = ready[*k].run(streams, state);
                let buffer = &mut state.slots[piece.slot];
                if result.ty() == buffer.ty() {
                    std::mem::swap(result, buffer);
                } else {
                    copy_to(result, buffer, piece.offset);
                }
            }
        }
    }
    Ok(())
}

/// The tensors of all buffers, and the distinct formulas that they begin with.
fn cut(program: &Program) -> Result<(Vec<Piece>, Vec<Graph>), Failure> {
    let init = &program.init;
    let outputs: FxHashMap<&str, NodeId> = init.outputs.iter().map(|o| (o.name.as_str(), o.node)).collect();
    let mut pieces = vec![];
    let mut formulas: Vec<Graph> = vec![];
    for (slot, buffer) in program.buffers.iter().enumerate() {
        let node = outputs.get(buffer.name.as_str()).copied();
        let node = node.ok_or_else(|| internal(format!("'{}' has no starting value", buffer.name)))?;
        if *init.ty(node) != buffer.ty {
            return Err(internal(format!("'{}' starts as {}, not {}", buffer.name, init.ty(node), buffer.ty)));
        }
        let parts = match &init.node(node).op {
            Op::Concat { axis: 0 } if buffer.ty.rank() == 1 => init.node(node).args.clone(),
            _ => vec![node],
        };
        let mut offset = 0;
        for part in parts {
            let elements = init.ty(part).elements();
            let start = match constant(init, part) {
                Some(value) => Start::Fill(value),
                None => {
                    let (graph, streams) = formula(init, part);
                    let known = formulas.iter().position(|other| same_formula(other, &graph));
                    let k = known.unwrap_or_else(|| {
                        formulas.push(graph);
                        formulas.len() - 1
                    });
                    Start::Formula(k, streams)
                }
            };
            pieces.push(Piece { slot, offset, elements, start });
            offset += elements;
        }
    }
    Ok((pieces, formulas))
}

/// The number in every element, where the graph says so plainly.
fn constant(graph: &Graph, id: NodeId) -> Option<f64> {
    let node = graph.node(id);
    let value = match &node.op {
        Op::Const(value) => *value,
        Op::Broadcast { .. } | Op::Reshape | Op::Convert => constant(graph, node.args[0])?,
        _ => return None,
    };
    Some(match node.ty.dtype {
        DType::F32 => f64::from(value as f32),
        DType::F64 => value,
        DType::I32 => f64::from(value as i32),
        DType::Bool => f64::from(u8::from(value != 0.0)),
    })
}

/// Name of the input that holds the second word of the key, with the stream already in it.
fn stream_key(index: usize) -> String {
    format!("key1^{index}")
}

/// The part of a graph that makes one node, with streams as inputs; and the streams.
fn formula(graph: &Graph, root: NodeId) -> (Graph, Vec<u32>) {
    // A change of shape at the end does not change the bytes.
    let mut root = root;
    while matches!(graph.node(root).op, Op::Reshape) {
        root = graph.node(root).args[0];
    }
    let mut needed = vec![root];
    let mut next = 0;
    let mut places: FxHashMap<NodeId, NodeId> = FxHashMap::default();
    places.insert(root, root);
    while next < needed.len() {
        for arg in &graph.node(needed[next]).args {
            if places.insert(*arg, *arg).is_none() {
                needed.push(*arg);
            }
        }
        next += 1;
    }
    needed.sort_unstable();
    let mut new = Graph::new();
    let mut streams: Vec<u32> = vec![];
    for id in needed {
        let node = graph.node(id);
        let mut args: Vec<NodeId> = node.args.iter().map(|a| places[a]).collect();
        let mut op = node.op.clone();
        match &mut op {
            Op::Input(k) => {
                let input = &graph.inputs[*k];
                let place = new.add_input(&input.name, input.ty.clone(), input.kind.clone(), node.span);
                places.insert(id, place);
                continue;
            }
            Op::RandomBits { stream } if is_key(graph, node.args[1]) => {
                let known = streams.iter().position(|s| s == stream).unwrap_or(streams.len());
                if known == streams.len() {
                    streams.push(*stream);
                }
                *stream = 0;
                let name = stream_key(known);
                let input = new.inputs.iter().position(|i| i.name == name);
                let made = input.and_then(|k| new.nodes.iter().position(|n| n.op == Op::Input(k)));
                args[1] = match made {
                    Some(index) => NodeId(index as u32),
                    None => new.add_input(name, Type::scalar(DType::I32), InputKind::Arg, Span::default()),
                };
            }
            _ => {}
        }
        places.insert(id, NodeId(new.nodes.len() as u32));
        new.nodes.push(Node { op, args, ..node.clone() });
    }
    new.add_output("start", places[&root], OutputKind::Value);
    (new, streams)
}

fn is_key(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.node(id).op, Op::Input(k) if graph.inputs[k].name == "key1")
}

fn same_formula(a: &Graph, b: &Graph) -> bool {
    a.inputs == b.inputs
        && a.nodes.len() == b.nodes.len()
        && a.outputs[0].node == b.outputs[0].node
        && a.nodes.iter().zip(&b.nodes).all(|(x, y)| same_value(x, y))
}

type Compiled = Result<Box<dyn Executable>, Diagnostic>;

fn compile(formulas: &[Graph], engine: &dyn Engine) -> Result<Vec<Box<dyn Executable>>, Failure> {
    let all = |graphs: &[Graph]| graphs.iter().map(|graph| engine.compile(graph)).collect::<Vec<Compiled>>();
    let compiled = if formulas.len() < PARALLEL_FROM {
        all(formulas)
    } else {
        let (first, second) = formulas.split_at(formulas.len() / 2);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| all(second));
            let mut compiled = all(first);
            compiled.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            compiled
        })
    };
    Ok(compiled.into_iter().collect::<Result<_, _>>()?)
}

/// A compiled formula with its inputs.
struct Ready {
    executable: Box<dyn Executable>,
    inputs: Vec<Tensor>,
    /// For each stream, its input.
    keys: Vec<usize>,
    result: [Tensor; 1],
}

impl Ready {
    fn new(graph: &Graph, executable: Box<dyn Executable>, state: &State) -> Result<Ready, Failure> {
        let mut inputs = vec![];
        let mut keys = vec![];
        for (k, input) in graph.inputs.iter().enumerate() {
            if input.kind == InputKind::Arg {
                keys.push(k);
                inputs.push(Tensor::zeros(input.ty.clone()));
            } else {
                let slot = state.slot(&input.kind, &input.name).ok_or_else(|| unbound(graph, &input.name))?;
                inputs.push(state.slots[slot].clone());
            }
        }
        let result = [Tensor::zeros(graph.ty(graph.outputs[0].node).clone())];
        Ok(Ready { executable, inputs, keys, result })
    }

    fn run(&mut self, streams: &[u32], state: &State) -> &mut Tensor {
        let key = state.key1();
        for (input, stream) in self.keys.iter().zip(streams) {
            self.inputs[*input].i32s_mut()[0] = (key ^ stream) as i32;
        }
        let mut inputs: Vec<&mut Tensor> = self.inputs.iter_mut().collect();
        self.executable.run(&mut inputs, &mut self.result);
        &mut self.result[0]
    }
}

fn repeat(value: f64, to: &mut Tensor, offset: usize, elements: usize) {
    let range = offset..offset + elements;
    match to.ty().dtype {
        DType::F32 => to.f32s_mut()[range].fill(value as f32),
        DType::F64 => to.f64s_mut()[range].fill(value),
        DType::I32 | DType::Bool => to.i32s_mut()[range].fill(value as i32),
    }
}

fn copy_to(from: &Tensor, to: &mut Tensor, offset: usize) {
    let range = offset..offset + from.ty().elements();
    match from.ty().dtype {
        DType::F32 => to.f32s_mut()[range].copy_from_slice(from.f32s()),
        DType::F64 => to.f64s_mut()[range].copy_from_slice(from.f64s()),
        DType::I32 | DType::Bool => to.i32s_mut()[range].copy_from_slice(from.i32s()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{EngineKind, Experiment, Request, Session, engine};

    fn program(text: &str) -> Program {
        let mut session = Session::new();
        let file = session.sources.add("deep.opt", text);
        session.show(file);
        match session.experiment(&Request::default()) {
            Ok(Experiment::Train(job)) => job.program,
            Ok(_) => panic!("a comparison"),
            Err(problems) => panic!("{}", problems[0].title),
        }
    }

    const DEEP: &str = "
        use layers.Dense
        use losses.mse
        use optimizers.Adam
        data given = synthetic.linear(rows = 4, weights = [3, 2])
        model Net()(x: float[N, 2]) =
          x |> Dense(8) |> tanh |> Dense(8) |> tanh |> Dense(8) |> tanh |> Dense(8, bias_init = constant(0.5)) |> Dense(1)
        train run on given {
          epochs = 1; seed = 7
          let net = Net()
          step(x, y) { minimize mse(net(x)[:, 0], y) with Adam() }
        }";

    #[test]
    fn equal_initializers_of_one_shape_are_one_formula() {
        let program = program(DEEP);
        let (pieces, formulas) = cut(&program).expect("pieces");
        assert_eq!(formulas.len(), 3, "one for each shape of weights: [2, 8], [8, 8], [8, 1]");
        let of = |wanted: fn(&Start) -> bool| pieces.iter().filter(|p| wanted(&p.start)).count();
        assert_eq!(of(|s| matches!(s, Start::Formula(..))), 5);
        assert_eq!(of(|s| matches!(s, Start::Fill(v) if *v == 0.5)), 1);
    }

    #[test]
    fn values_are_those_of_the_whole_graph() {
        let program = program(DEEP);
        for kind in [EngineKind::Jit, EngineKind::Interp] {
            let engine = engine(kind, 2);
            let state = State::init(&program, engine.as_ref(), 7).expect("starting values");
            let mut results = super::super::state::result_tensors(&program.init);
            let mut inputs: Vec<Tensor> = vec![];
            for input in &program.init.inputs {
                inputs.push(state.slots[state.slot(&input.kind, &input.name).expect("bound")].clone());
            }
            let mut refs: Vec<&mut Tensor> = inputs.iter_mut().collect();
            engine.compile(&program.init).expect("it compiles").run(&mut refs, &mut results);
            for (buffer, found) in program.buffers.iter().zip(state.buffers()) {
                let at = program.init.outputs.iter().position(|o| o.name == buffer.name).expect("an output");
                assert!(found.bytes() == results[at].bytes(), "{kind:?}: {}", buffer.name);
            }
        }
    }
}
