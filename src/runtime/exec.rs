//! A compiled graph: a flat list of instructions over one block of memory, run once a step without allocation.

use super::launch::{Launch, Shape};
use super::memory::RawMemory;
use super::ops::Call;
use super::ops::attention::Attention;
use super::ops::conv::Conv;
use super::pool::Pool;
use super::scan::Loop;
use super::subnormal::Flushed;
use super::{Buffer, Executable, Tensor};
use crate::codegen::{self, Module};
use crate::diag::{self, Diagnostic};
use crate::ir::{Graph, NodeId, Op, OutputKind, Type};
use crate::kernel::{Kernel, interp, print::print, rebase::rebase};
use crate::passes::fuse::{Fused, Fusion, Work, fuse, operands::are_strided, operands::strided};
use crate::passes::plan::{Base, Place, Plan, Step, plan, traffic};
use crate::source::{SourceMap, Span};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

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

    /// The `fused` stage: kernels and library calls with the operations inside and their places in the source.
    pub fn print_fused(&self, sources: &SourceMap) -> String {
        self.fused.print(sources) + &self.print_bodies(|body| body.print_fused(sources))
    }

    /// The `kernels` stage: loop nests.
    pub fn print_kernels(&self) -> String {
        let own = self.kernels.iter().map(print).collect::<Vec<_>>().join("\n");
        own + &self.print_bodies(Compiled::print_kernels)
    }

    /// The `plan` stage: steps, places and live ranges.
    pub fn print_plan(&self) -> String {
        self.plan.print(&self.fused) + &self.print_bodies(Compiled::print_plan)
    }

    /// A stage of the bodies of loops, each under a heading.
    fn print_bodies(&self, print: impl Fn(&Compiled) -> String) -> String {
        let one = |instr: &Instr| match instr {
            Instr::Loop { body, .. } => {
                let body = body.borrow();
                format!("\nbody of a scan, {} runs\n{}", body.runs(), print(body.body()))
            }
            _ => String::new(),
        };
        self.instrs.iter().map(one).collect()
    }

    /// The `clif` or `asm` stage: every kernel in turn. Empty if the interpreter runs them.
    pub fn print_code(&self, asm: bool) -> String {
        let Some(module) = &self.module else { return String::new() };
        let one = |k: usize| if asm { module.asm(k) } else { module.clif(k) };
        let own: String =
            (0..self.kernels.len()).map(|k| format!("; {}\n{}\n", self.kernels[k].name, one(k))).collect();
        own + &self.print_bodies(|body| body.print_code(asm))
    }

    pub fn timings(&self) -> Timings {
        self.timings
    }

    /// Types of the tensors that [`Executable::run`] fills.
    pub fn result_types(&self) -> &[Type] {
        &self.result_types
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

fn failed(error: codegen::CodegenError) -> Diagnostic {
    diag::error("E0901", format!("this step could not be compiled: {error}"))
        .help("this is a fault of the compiler; `--engine interp` runs the program without it")
}

/// Binds kernels to their code and to memory for partial results and scratch, which library calls use in their turn.
fn launches(kernels: &[Kernel], module: &Module, threads: usize, calls: usize) -> (Vec<Launch>, Buffer) {
    let shapes: Vec<Shape> = kernels.iter().map(Shape::new).collect();
    // Kernels run one after another, so that all of them share the memory.
    let partials = shapes.iter().map(Shape::partial_bytes).max().unwrap_or(0).next_multiple_of(super::tensor::ALIGN);
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
struct Builder<'a> {
    fused: &'a Fused,
    plan: &'a Plan,
    kernels: Vec<Kernel>,
    instrs: Vec<Instr>,
    pointers: Vec<*mut u8>,
    patches: Vec<Patch>,
    arena: Buffer,
    constants: Buffer,
}

impl<'a> Builder<'a> {
    fn new(fused: &'a Fused, plan: &'a Plan) -> Builder<'a> {
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

    fn step(&mut self, step: &Step, options: &Options) -> Result<(), Diagnostic> {
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
    pub(super) unsafe fn run_timed_at(&mut self, inputs: &[*mut u8], results: &[*mut u8], times: &mut [Duration]) {
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
