//! A training run by hand: the buffers of a program, and steps on data that the test gives.

use crate::engine::{Engine, results};
use optc::interp;
use optc::ir::{DType, Graph, InputKind, OutputKind};
use optc::runtime::{Executable, Tensor};
use optc::sema::program::Program;
use std::collections::HashMap;

/// A program under way.
pub struct Run<'a> {
    pub program: &'a Program,
    engine: &'a Engine,
    buffers: HashMap<String, Tensor>,
    /// Steps made.
    t: usize,
    prepared: HashMap<(bool, usize), Prepared>,
}

struct Prepared {
    graph: Graph,
    code: Box<dyn Executable>,
    /// The results' names, in order.
    names: Vec<String>,
}

impl<'a> Run<'a> {
    /// Buffers get their starting values.
    pub fn new(program: &'a Program, engine: &'a Engine) -> Run<'a> {
        let init = &program.init;
        let inputs: Vec<Tensor> = init.inputs.iter().map(|i| Tensor::zeros(i.ty.clone())).collect();
        let values = interp::eval(init, &inputs.iter().collect::<Vec<_>>());
        let buffers = init.outputs.iter().map(|o| o.name.clone()).zip(values).collect();
        Run { program, engine, buffers, t: 0, prepared: HashMap::new() }
    }

    /// The name, offset and size of a tensor's place.
    fn place(&self, path: &str) -> (&str, usize, usize) {
        let found = self.program.buffers.iter().find_map(|b| {
            let view = b.views.iter().find(|v| v.path == path)?;
            Some((b.name.as_str(), view.offset, view.shape.iter().product()))
        });
        found.unwrap_or_else(|| {
            let known = self.program.buffers.iter().flat_map(|b| b.views.iter().map(|v| &v.path));
            panic!("no tensor {path}; there are: {:?}", known.collect::<Vec<_>>())
        })
    }

    pub fn get(&self, path: &str) -> Vec<f64> {
        let (name, offset, size) = self.place(path);
        self.buffers[name].to_f64s()[offset..offset + size].to_vec()
    }

    pub fn set(&mut self, path: &str, values: &[f64]) {
        let (name, offset, size) = self.place(path);
        assert_eq!(values.len(), size, "values for {path}");
        let name = name.to_string();
        let buffer = self.buffers.get_mut(&name).expect("every buffer has a value");
        let mut all = buffer.to_f64s();
        all[offset..offset + size].copy_from_slice(values);
        *buffer = Tensor::from_f64s(buffer.ty().clone(), &all);
    }

    /// One training step; the results by name (`loss`, reports).
    pub fn step(&mut self, batch: &[(&str, &Tensor)]) -> HashMap<String, f64> {
        self.t += 1;
        self.run(true, batch)
    }

    /// The parameters that evaluation uses, by path, of a rule with `eval theta = …`.
    pub fn weights(&self) -> HashMap<String, Vec<f64>> {
        let graph = self.program.graphs.weights().unwrap_or_else(|d| panic!("{d:?}"));
        let graph = graph.expect("the rule has parameters for evaluation");
        let input = |i: &optc::ir::Input| match i.kind {
            InputKind::Param | InputKind::State => self.buffers[&i.name].clone(),
            InputKind::Hyper => {
                let hyper = self.program.hypers.iter().find(|h| h.name == i.name).expect("a value for each hyper");
                Tensor::scalar(i.ty.dtype, hyper.value)
            }
            _ => Tensor::scalar(DType::F64, self.t as f64),
        };
        let mut inputs: Vec<Tensor> = graph.inputs.iter().map(input).collect();
        let values = self.engine.run(&graph, &mut inputs);
        graph.outputs.iter().map(|o| o.name.clone()).zip(values.iter().map(|v| v.to_f64s())).collect()
    }

    /// Loss and reports without training.
    pub fn eval(&mut self, batch: &[(&str, &Tensor)]) -> HashMap<String, f64> {
        self.run(false, batch)
    }

    fn run(&mut self, training: bool, batch: &[(&str, &Tensor)]) -> HashMap<String, f64> {
        let rows = batch.first().map_or(0, |(_, t)| t.ty().shape[0]);
        let (program, engine) = (self.program, self.engine);
        let prepared = self.prepared.entry((training, rows)).or_insert_with(|| {
            let made = if training { program.graphs.step(rows) } else { program.graphs.eval(rows) };
            let graph = made.unwrap_or_else(|d| panic!("{d:?}"));
            let code = engine.prepare(&graph);
            let plain = graph.outputs.iter().filter(|o| !matches!(o.kind, OutputKind::Update(_)));
            let names = plain.map(|o| o.name.clone()).collect();
            Prepared { graph, code, names }
        });
        let mut inputs: Vec<Tensor> = vec![];
        for input in &prepared.graph.inputs {
            inputs.push(match input.kind {
                InputKind::Batch => {
                    let (_, column) = batch.iter().find(|(n, _)| *n == input.name).expect("a column for each input");
                    (*column).clone()
                }
                InputKind::Param | InputKind::State => {
                    self.buffers.remove(&input.name).unwrap_or_else(|| panic!("no buffer {}", input.name))
                }
                InputKind::Hyper => {
                    let hyper = program.hypers.iter().find(|h| h.name == input.name).expect("a value for each hyper");
                    Tensor::scalar(input.ty.dtype, hyper.value)
                }
                InputKind::Step => Tensor::scalar(DType::F64, self.t as f64),
                InputKind::Random => Tensor::scalar(DType::I32, self.t as f64),
                InputKind::Arg => panic!("a step has no plain arguments"),
            });
        }
        let mut values = results(&prepared.graph);
        prepared.code.run(&mut inputs.iter_mut().collect::<Vec<_>>(), &mut values);
        for (input, tensor) in prepared.graph.inputs.iter().zip(inputs) {
            if matches!(input.kind, InputKind::Param | InputKind::State) {
                self.buffers.insert(input.name.clone(), tensor);
            }
        }
        prepared.names.iter().cloned().zip(values.iter().map(|v| v.to_f64s()[0])).collect()
    }
}
