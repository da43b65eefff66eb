//! What each instruction of a compiled graph is, and the time that it takes.

use super::{Compiled, Instr};
use crate::ir::{Graph, NodeId, Op};
use crate::passes::fuse::Work;
use crate::passes::plan::{Step, traffic};
use crate::runtime::Tensor;
use crate::runtime::ops::attention::Attention;
use crate::runtime::ops::conv::Conv;
use crate::runtime::subnormal::Flushed;
use crate::source::Span;
use std::time::{Duration, Instant};

/// What [`Compiled::instructions`] tells about one instruction.
#[derive(Clone, Debug)]
pub struct Instruction {
    pub name: String,
    pub span: Span,
    /// Of one run.
    pub bytes: usize,
    /// Multiplications and additions of one run, of products only.
    pub flops: f64,
    /// Runs in one run of the program: more than one inside loops.
    pub runs: usize,
}

impl Compiled {
    /// Runs once and adds the time of each instruction to `times`, in the order of [`Compiled::instructions`].
    ///
    /// # Panics
    /// As [`Executable::run`].
    pub fn run_timed(&mut self, inputs: &mut [&mut Tensor], results: &mut [Tensor], times: &mut [Duration]) {
        self.bind(inputs, results);
        let _flushed = Flushed::new();
        // SAFETY: as in `run`.
        unsafe { self.execute_timed(times) };
    }

    /// As [`Compiled::run_at`], with the time of each instruction.
    ///
    /// # Safety
    /// As there.
    pub(in crate::runtime) unsafe fn run_timed_at(
        &mut self,
        inputs: &[*mut u8],
        results: &[*mut u8],
        times: &mut [Duration],
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            self.patch(|k| inputs[k], |k| results[k]);
            self.execute_timed(times);
        }
    }

    /// # Safety
    /// As for [`Compiled::execute`].
    unsafe fn execute_timed(&self, times: &mut [Duration]) {
        let mut rest = times;
        for instr in &self.instrs {
            let own = match instr {
                Instr::Loop { body, .. } => body.borrow().body().count(),
                _ => 1,
            };
            let (here, after) = rest.split_at_mut(own);
            rest = after;
            // SAFETY: the caller's promise.
            unsafe {
                match instr {
                    Instr::Loop { body, first, count } => {
                        let args = &self.pointers[*first..first + count];
                        body.borrow_mut().run(&self.pool, args, self.pointers[first + count], Some(here));
                    }
                    _ => {
                        let start = Instant::now();
                        self.execute(instr);
                        here[0] += start.elapsed();
                    }
                }
            }
        }
    }

    /// Instructions, with those of loops in the place of the loops.
    fn count(&self) -> usize {
        let one = |instr: &Instr| match instr {
            Instr::Loop { body, .. } => body.borrow().body().count(),
            _ => 1,
        };
        self.instrs.iter().map(one).sum()
    }

    /// What each instruction is, those of a loop's body in the place of the loop.
    pub fn instructions(&self) -> Vec<Instruction> {
        let mut all = vec![];
        for (step, instr) in self.plan.steps.iter().filter(|s| self.is_instruction(s)).zip(&self.instrs) {
            match instr {
                Instr::Loop { body, .. } => {
                    let body = body.borrow();
                    let inside = body.body().instructions().into_iter();
                    all.extend(inside.map(|i| Instruction { runs: i.runs * body.runs(), ..i }));
                }
                _ => all.push(self.instruction(step)),
            }
        }
        all
    }

    /// Concatenations in place are no instructions.
    fn is_instruction(&self, step: &Step) -> bool {
        !matches!(step, Step::Unit(k) if matches!(self.fused.units[*k].work, Work::Concat))
    }

    fn instruction(&self, step: &Step) -> Instruction {
        let graph = &self.fused.graph;
        let (name, span, flops) = match step {
            Step::Unit(k) => {
                let unit = &self.fused.units[*k];
                let root = graph.node(unit.roots[0]);
                let flops = unit.roots.iter().map(|id| product_flops(graph, *id)).sum();
                match &unit.work {
                    Work::Kernel(draft) => (draft.kernel.name.clone(), root.span, 0.0),
                    _ => (root.op.name().to_string(), root.span, flops),
                }
            }
            Step::Copy(_) => ("copy".into(), Span::default(), 0.0),
        };
        Instruction { name, span, bytes: traffic::bytes(&self.fused, step), flops, runs: 1 }
    }
}

/// Multiplications and additions of a product.
fn product_flops(graph: &Graph, id: NodeId) -> f64 {
    let node = graph.node(id);
    let lhs_contract = match &node.op {
        Op::Dot { lhs_contract, .. } => lhs_contract,
        Op::Conv { part, window, groups } => return Conv::new(graph, id, *part, window, *groups).flops(),
        Op::Attention(_) | Op::AttentionGrad { .. } => return Attention::new(graph, id).flops(),
        _ => return 0.0,
    };
    let lhs = graph.shape(node.args[0]);
    let depth: usize = lhs_contract.iter().map(|axis| lhs[*axis]).product();
    2.0 * node.ty.elements() as f64 * depth as f64
}
