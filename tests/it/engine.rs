//! Every way to run a graph, so that each test runs in all of them.

use optc::interp::Interpreter;
use optc::ir::{Graph, OutputKind};
use optc::passes::simplify;
use optc::runtime::exec::{Compiled, Options};
use optc::runtime::{Executable, Tensor};

/// One way to run a graph.
pub struct Engine {
    pub name: &'static str,
    make: fn(&Graph) -> Box<dyn Executable>,
}

/// The oracle on the graph as it was elaborated, and the code generator on the simplified one.
pub const ENGINES: &[Engine] = &[INTERPRETER, COMPILED];

pub const INTERPRETER: Engine = Engine { name: "interp", make: |g| Box::new(Interpreter::new(g.clone())) };

pub const COMPILED: Engine = Engine {
    name: "compiled",
    make: |g| {
        let options = Options { threads: 1, ..Options::default() };
        match Compiled::new(&simplify(g.clone()), &options) {
            Ok(compiled) => Box::new(compiled),
            Err(diagnostic) => panic!("{}: {}", diagnostic.code, diagnostic.title),
        }
    },
};

impl Engine {
    pub fn prepare(&self, graph: &Graph) -> Box<dyn Executable> {
        optc::ir::verify::verify(graph).unwrap_or_else(|e| panic!("ill-formed graph: {e}"));
        (self.make)(graph)
    }

    /// Runs a graph once; the outputs that are no updates.
    pub fn run(&self, graph: &Graph, inputs: &mut [Tensor]) -> Vec<Tensor> {
        let mut results = results(graph);
        let mut inputs: Vec<&mut Tensor> = inputs.iter_mut().collect();
        self.prepare(graph).run(&mut inputs, &mut results);
        results
    }
}

/// Room for the outputs that are no updates.
pub fn results(graph: &Graph) -> Vec<Tensor> {
    let plain = graph.outputs.iter().filter(|o| !matches!(o.kind, OutputKind::Update(_)));
    plain.map(|o| Tensor::zeros(graph.ty(o.node).clone())).collect()
}
