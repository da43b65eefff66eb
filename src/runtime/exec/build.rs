//! From the steps of a plan to instructions with their pointers.

use super::{Instr, Options, Patch};
use crate::codegen::Module;
use crate::diag::Diagnostic;
use crate::ir::{NodeId, Op};
use crate::kernel::{Kernel, rebase::rebase};
use crate::passes::fuse::{Fused, Work, operands::are_strided, operands::strided};
use crate::passes::plan::{Base, Place, Plan, Step};
use crate::runtime::launch::{Launch, Shape};
use crate::runtime::ops::Call;
use crate::runtime::scan::Loop;
use crate::runtime::tensor::ALIGN;
use crate::runtime::{Buffer, Tensor};
use std::cell::RefCell;

/// Binds kernels to their code and to memory for partial results and scratch, which library calls use in their turn.
pub fn launches(kernels: &[Kernel], module: &Module, threads: usize, calls: usize) -> (Vec<Launch>, Buffer) {
    let shapes: Vec<Shape> = kernels.iter().map(Shape::new).collect();
    // Kernels run one after another, so that all of them share the memory.
    let partials = shapes.iter().map(Shape::partial_bytes).max().unwrap_or(0).next_multiple_of(ALIGN);
    let scratch = shapes.iter().map(|s| s.scratch * threads).max().unwrap_or(0);
    let mut workspace = Buffer::zeroed(calls.max(partials + scratch));
    let block = workspace.as_mut_ptr();
    let bind = |(k, shape)| {
        // SAFETY: the blocks are as large as the largest need, and live as long as the launches do: in `Compiled`.
        unsafe { Launch::new(module.entry(k), shape, block, block.add(partials)) }
    };
    (shapes.into_iter().enumerate().map(bind).collect(), workspace)
}

/// Turns steps into instructions with their pointers.
pub struct Builder<'a> {
    fused: &'a Fused,
    plan: &'a Plan,
    pub kernels: Vec<Kernel>,
    pub instrs: Vec<Instr>,
    pub pointers: Vec<*mut u8>,
    pub patches: Vec<Patch>,
    pub arena: Buffer,
    pub constants: Buffer,
}

impl<'a> Builder<'a> {
    pub fn new(fused: &'a Fused, plan: &'a Plan) -> Builder<'a> {
        let mut constants = Buffer::zeroed(plan.constant_bytes);
        for (id, offset) in &plan.constants {
            if let Op::Dense(values) = &fused.graph.node(*id).op {
                let data = Tensor::from_f64s(fused.graph.ty(*id).clone(), values);
                // SAFETY: the plan gave the constant that many bytes at this offset.
                unsafe {
                    let to = constants.as_mut_ptr().add(*offset);
                    std::ptr::copy_nonoverlapping(data.as_ptr(), to, data.ty().bytes());
                }
            }
        }
        Builder {
            fused,
            plan,
            kernels: vec![],
            instrs: vec![],
            pointers: vec![],
            patches: vec![],
            arena: Buffer::zeroed(plan.arena_bytes),
            constants,
        }
    }

    fn pointer(&mut self, place: Place) {
        let block = match place.base {
            Base::Arena => self.arena.as_mut_ptr(),
            Base::Constants => self.constants.as_mut_ptr(),
            base => {
                self.patches.push(Patch { pointer: self.pointers.len(), base, offset: place.offset });
                self.pointers.push(std::ptr::null_mut());
                return;
            }
        };
        // SAFETY: the plan's offsets lie inside its blocks.
        self.pointers.push(unsafe { block.add(place.offset) });
    }

    fn of_node(&mut self, id: NodeId) {
        let place = self.plan.place(self.fused, id);
        self.pointer(place);
    }

    pub fn step(&mut self, step: &Step, options: &Options) -> Result<(), Diagnostic> {
        let first = self.pointers.len();
        match step {
            Step::Copy(copy) => {
                self.pointer(copy.from);
                self.pointer(copy.to);
                self.instrs.push(Instr::Copy { first, bytes: copy.bytes });
            }
            Step::Unit(k) => {
                let unit = &self.fused.units[*k];
                match &unit.work {
                    Work::Kernel(draft) => {
                        let mut kernel = draft.kernel.clone();
                        let starts = rebase(&mut kernel);
                        for ((id, start), param) in draft.params.iter().zip(starts).zip(&kernel.params) {
                            let place = self.plan.place(self.fused, *id);
                            self.pointer(Place { offset: place.offset + start * param.dtype.size(), ..place });
                        }
                        self.kernels.push(kernel);
                        let kernel = self.kernels.len() - 1;
                        self.instrs.push(Instr::Kernel { kernel, first, count: draft.params.len() });
                    }
                    Work::Library => {
                        let id = unit.roots[0];
                        let graph = &self.fused.graph;
                        let node = graph.node(id);
                        for arg in &node.args {
                            match node.op {
                                ref op if are_strided(op) => self.of_node(strided(graph, *arg).base),
                                _ => self.of_node(*arg),
                            }
                        }
                        self.of_node(id);
                        let count = node.args.len();
                        self.instrs.push(match &node.op {
                            Op::Scan(scan) => {
                                let body = Box::new(RefCell::new(Loop::new(scan, options)?));
                                Instr::Loop { body, first, count }
                            }
                            _ => Instr::Call { call: Box::new(Call::new(graph, id)), first, count },
                        });
                    }
                    Work::Concat => {}
                }
            }
        }
        Ok(())
    }
}
