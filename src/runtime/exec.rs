//! A compiled graph: a flat list of instructions over one block of memory, run once a step without allocation.

mod build;
mod print;
mod timed;

use super::launch::Launch;
use super::memory::RawMemory;
use super::ops::Call;
use super::pool::Pool;
use super::scan::Loop;
use super::subnormal::Flushed;
use super::{Buffer, Executable, Tensor};
use crate::codegen::{self, Module};
use crate::diag::{self, Diagnostic};
use crate::ir::{Graph, OutputKind, Type};
use crate::kernel::{Kernel, interp};
use crate::passes::fuse::{Fused, Fusion, fuse};
use crate::passes::plan::{Base, Plan, plan};
use build::{Builder, launches};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};
pub use timed::Instruction;

/// What runs kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Engine {
    #[default]
    Jit,
    /// The slow interpreter of kernels, for tests.
    Interp,
}

#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub threads: usize,
    pub fusion: Fusion,
    pub engine: Engine,
}

impl Default for Options {
    fn default() -> Options {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        Options { threads, fusion: Fusion::On, engine: Engine::Jit }
    }
}

/// Time of each stage of compilation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    pub fuse: Duration,
    pub plan: Duration,
    pub codegen: Duration,
}

enum Instr {
    /// Parameters are `pointers[first..first + count]`.
    Kernel {
        kernel: usize,
        first: usize,
        count: usize,
    },
    /// Operands, then the result.
    Call {
        call: Box<Call>,
        first: usize,
        count: usize,
    },
    /// Operands, then the result.
    Loop {
        body: Box<RefCell<Loop>>,
        first: usize,
        count: usize,
    },
    Copy {
        first: usize,
        bytes: usize,
    },
}

/// A pointer that depends on the caller's tensors.
struct Patch {
    pointer: usize,
    base: Base,
    offset: usize,
}

/// A graph compiled to kernels, library calls and a plan.
pub struct Compiled {
    fused: Fused,
    plan: Plan,
    timings: Timings,
    kernels: Vec<Kernel>,
    /// One for each kernel; none if the interpreter runs them.
    launches: Vec<Launch>,
    instrs: Vec<Instr>,
    pointers: Vec<*mut u8>,
    patches: Vec<Patch>,
    input_types: Vec<Type>,
    result_types: Vec<Type>,
    pool: Arc<Pool>,
    // The blocks that `pointers` point into; never moved.
    _arena: Buffer,
    _constants: Buffer,
    workspace: Buffer,
    /// Shared by the parts of a loop.
    module: Option<Arc<Module>>,
}

// SAFETY: the pointers lead into the buffers that `Compiled` owns, or are replaced at each run.
unsafe impl Send for Compiled {}

impl Compiled {
    /// Fuses, plans and compiles a graph.
    pub fn new(graph: &Graph, options: &Options) -> Result<Compiled, Diagnostic> {
        let start = Instant::now();
        let fused = fuse(graph, options.fusion);
        let fuse_time = start.elapsed();
        let start = Instant::now();
        let plan = plan(&fused);
        let plan_time = start.elapsed();
        let mut compiled = Compiled::assemble(fused, plan, None, options)?;
        let total = start.elapsed();
        compiled.timings = Timings { fuse: fuse_time, plan: plan_time, codegen: total - plan_time };
        Ok(compiled)
    }

    /// The same code on memory of its own, so that both may run at once.
    pub(super) fn another(&self, options: &Options) -> Result<Compiled, Diagnostic> {
        Compiled::assemble(self.fused.clone(), self.plan.clone(), self.module.clone(), options)
    }

    /// Gives a plan its memory, and its kernels their code unless they have it.
    fn assemble(
        fused: Fused,
        plan: Plan,
        module: Option<Arc<Module>>,
        options: &Options,
    ) -> Result<Compiled, Diagnostic> {
        let mut builder = Builder::new(&fused, &plan);
        for step in &plan.steps {
            builder.step(step, options)?;
        }
        let Builder { kernels, instrs, pointers, patches, arena, constants, .. } = builder;
        let pool = Pool::shared(options.threads);
        let wanted = instrs.iter().map(|i| match i {
            Instr::Call { call, .. } => call.workspace(pool.threads()),
            _ => 0,
        });
        let calls = wanted.max().unwrap_or(0);
        let (module, launches, workspace) = match options.engine {
            Engine::Interp => (None, vec![], Buffer::zeroed(calls)),
            Engine::Jit => {
                let module = match module {
                    Some(module) => module,
                    None => Arc::new(codegen::compile(&kernels).map_err(failed)?),
                };
                let (launches, workspace) = launches(&kernels, &module, pool.threads(), calls);
                (Some(module), launches, workspace)
            }
        };
        let graph = &fused.graph;
        let results = graph.outputs.iter().filter(|o| !matches!(o.kind, OutputKind::Update(_)));
        Ok(Compiled {
            timings: Timings::default(),
            kernels,
            instrs,
            pointers,
            patches,
            input_types: graph.inputs.iter().map(|i| i.ty.clone()).collect(),
            result_types: results.map(|o| graph.ty(o.node).clone()).collect(),
            pool,
            launches,
            fused,
            plan,
            _arena: arena,
            _constants: constants,
            workspace,
            module,
        })
    }

    pub fn fused(&self) -> &Fused {
        &self.fused
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }

    /// The compiled code of [`Compiled::kernels`], for dumps; `None` if the interpreter runs them.
    pub fn module(&self) -> Option<&Module> {
        self.module.as_deref()
    }

    pub fn timings(&self) -> Timings {
        self.timings
    }

    /// Types of the tensors that [`Executable::run`] fills.
    pub fn result_types(&self) -> &[Type] {
        &self.result_types
    }
}

fn failed(error: codegen::CodegenError) -> Diagnostic {
    diag::error("E0901", format!("this step could not be compiled: {error}"))
        .help("this is a fault of the compiler; `--engine interp` runs the program without it")
}

impl Executable for Compiled {
    /// # Panics
    /// If the tensors' types are not those of the graph's inputs and results.
    fn run(&mut self, inputs: &mut [&mut Tensor], results: &mut [Tensor]) {
        self.bind(inputs, results);
        let _flushed = Flushed::new();
        for instr in &self.instrs {
            // SAFETY: the plan gives every value its own bytes while it lives, and `bind` checked the types.
            unsafe { self.execute(instr) };
        }
    }
}

impl Compiled {
    /// Checks types and points the instructions at this run's tensors.
    fn bind(&mut self, inputs: &mut [&mut Tensor], results: &mut [Tensor]) {
        assert_eq!(inputs.len(), self.input_types.len(), "inputs of the compiled graph");
        assert_eq!(results.len(), self.result_types.len(), "results of the compiled graph");
        for (tensor, ty) in inputs.iter().zip(&self.input_types) {
            assert_eq!(tensor.ty(), ty, "an input of the compiled graph");
        }
        for (tensor, ty) in results.iter().zip(&self.result_types) {
            assert_eq!(tensor.ty(), ty, "a result of the compiled graph");
        }
        // SAFETY: the types were checked, so the plan's offsets lie inside the tensors.
        unsafe { self.patch(|k| inputs[k].as_mut_ptr(), |k| results[k].as_mut_ptr()) };
    }

    /// Runs once on memory that somebody else owns: what the body of a loop does.
    ///
    /// # Safety
    /// The pointers are those of values of the types of the graph's inputs and results, and no two of them overlap unless
    /// both are only read.
    pub(super) unsafe fn run_at(&mut self, inputs: &[*mut u8], results: &[*mut u8]) {
        // SAFETY: the caller's promise.
        unsafe {
            self.patch(|k| inputs[k], |k| results[k]);
            self.instrs.iter().for_each(|instr| self.execute(instr));
        }
    }

    /// # Safety
    /// The blocks are as large as the graph's inputs and results.
    unsafe fn patch(&mut self, mut input: impl FnMut(usize) -> *mut u8, mut result: impl FnMut(usize) -> *mut u8) {
        for patch in &self.patches {
            let block = match patch.base {
                Base::Input(k) => input(k),
                Base::Result(k) => result(k),
                Base::Arena | Base::Constants => continue,
            };
            // SAFETY: the caller's promise; the plan's offsets lie inside its blocks.
            self.pointers[patch.pointer] = unsafe { block.add(patch.offset) };
        }
    }

    /// # Safety
    /// The pointers are patched for the tensors of this run.
    unsafe fn execute(&self, instr: &Instr) {
        match instr {
            Instr::Kernel { kernel, first, count } => {
                let launch = self.launches.get(*kernel);
                let kernel = &self.kernels[*kernel];
                let pointers = &self.pointers[*first..first + count];
                // SAFETY: the caller's promise.
                unsafe {
                    match launch {
                        Some(launch) => launch.run(&self.pool, pointers),
                        None => interp::run(kernel, &mut RawMemory::new(&kernel.params, pointers)),
                    }
                }
            }
            Instr::Call { call, first, count } => {
                let args = &self.pointers[*first..first + count];
                // SAFETY: the caller's promise; the plan never lets a call's result overlap its operands.
                unsafe { call.run(&self.pool, args, self.pointers[first + count], self.workspace.as_ptr().cast_mut()) };
            }
            Instr::Loop { body, first, count } => {
                let args = &self.pointers[*first..first + count];
                // SAFETY: as for a call.
                unsafe { body.borrow_mut().run(&self.pool, args, self.pointers[first + count], None) };
            }
            Instr::Copy { first, bytes } => {
                let (from, to) = (self.pointers[*first], self.pointers[first + 1]);
                // SAFETY: the caller's promise; the places are different values.
                unsafe { std::ptr::copy_nonoverlapping(from, to, *bytes) };
            }
        }
    }
}
