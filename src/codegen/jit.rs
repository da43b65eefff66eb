//! Compiles functions, on two threads where there are many, and owns the memory of the code.

use super::width::{Width, gains, machine_has_wide, works_on_halves};
use super::{emit, host};
use crate::kernel::verify::{VerifyError, verify};
use crate::kernel::{Kernel, Space};
use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module as _, ModuleReloc};
use std::sync::{Mutex, OnceLock};

/// A compiled kernel: base pointers of the parameters, the task's range (elements of a flat space, otherwise rows), the
/// task's partial block ([`super::partial_layout`]) and its scratch ([`super::scratch_bytes`]); both aligned to 64.
///
/// Calling it is sound if every parameter points to a live buffer of the kernel's size and type, the range lies in the
/// space, blocks have their sizes, and no other thread writes what this range touches.
pub type Entry =
    unsafe extern "C" fn(params: *const *mut u8, start: usize, end: usize, partials: *mut u8, scratch: *mut u8);

/// Fewer kernels than this are compiled on the calling thread: starting one costs as much as compiling one.
const PARALLEL_FROM: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum CodegenError {
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error("this machine is not supported by the code generator: {0}")]
    Host(String),
    #[error("kernel `{kernel}`: {reason}")]
    Compile { kernel: String, reason: String },
    #[error("code memory: {0}")]
    Memory(String),
}

/// Which kernels are compiled for 256-bit vectors, where the machine has them and the code can be widened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Widths {
    /// Those that gain from it.
    Best,
    /// For tests: none, or every one that can be.
    Narrow,
    Wide,
}

impl Widths {
    fn of(self, kernel: &Kernel, isa: &OwnedTargetIsa) -> Width {
        let wanted = match self {
            Widths::Best => gains(kernel),
            Widths::Narrow => false,
            Widths::Wide => true,
        };
        // The callee of a System V call keeps no vector register: nothing saves halves of them.
        let possible = || isa.default_call_conv() == CallConv::SystemV && machine_has_wide() && works_on_halves(kernel);
        if wanted && possible() { Width::W256 } else { Width::W128 }
    }
}

/// One function of a [`Module`].
pub struct CompiledKernel {
    kernel: Kernel,
    entry: Entry,
    width: Width,
    /// Why 256-bit code was compiled and given up.
    refusal: Option<String>,
    code_bytes: usize,
}

impl CompiledKernel {
    pub fn entry(&self) -> Entry {
        self.entry
    }

    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    pub fn code_bytes(&self) -> usize {
        self.code_bytes
    }

    /// Bits of the vectors that the code computes with.
    pub fn vector_bits(&self) -> usize {
        self.width.bytes() * 8
    }

    /// Why the kernel has 128-bit code although 256 bits were tried.
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }
}

/// Compiled kernels and the memory of their code, which is freed with it.
pub struct Module {
    functions: Vec<CompiledKernel>,
    /// The function of each kernel given to [`compile`].
    index: Vec<usize>,
    /// Taken out when dropped. The mutex makes the module shareable; nothing locks it before.
    code: Mutex<Option<JITModule>>,
}

impl Module {
    pub fn kernel(&self, k: usize) -> &CompiledKernel {
        &self.functions[self.index[k]]
    }

    pub fn entry(&self, k: usize) -> Entry {
        self.kernel(k).entry
    }

    /// Distinct functions: identical kernels share one.
    pub fn functions(&self) -> usize {
        self.functions.len()
    }

    pub fn code_bytes(&self) -> usize {
        self.functions.iter().map(|f| f.code_bytes).sum()
    }

    /// The Cranelift text of a kernel, made again.
    pub fn clif(&self, k: usize) -> String {
        let function = self.kernel(k);
        match native_isa() {
            Ok(isa) => emit::build(&function.kernel, function.width, &*isa).display().to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// The machine code of a kernel as assembly, made again.
    pub fn asm(&self, k: usize) -> String {
        let function = self.kernel(k);
        let text = native_isa().and_then(|isa| match function.width {
            Width::W128 => narrow_asm(&function.kernel, &isa),
            Width::W256 => wide_asm(&function.kernel, &isa),
        });
        let text = text.unwrap_or_else(|error| error.to_string());
        let why = function.refusal().map(|why| format!(": {why}")).unwrap_or_default();
        format!("; {}-bit vectors{why}\n{text}", function.vector_bits())
    }
}

fn narrow_asm(kernel: &Kernel, isa: &OwnedTargetIsa) -> Result<String, CodegenError> {
    let mut context = Context::for_function(emit::build(kernel, Width::W128, &**isa));
    context.set_disasm(true);
    let code = context.compile(&**isa, &mut ControlPlane::default()).map_err(|e| compile_error(kernel, &e.inner))?;
    Ok(code.vcode.clone().unwrap_or_default())
}

#[cfg(target_arch = "x86_64")]
fn wide_asm(kernel: &Kernel, isa: &OwnedTargetIsa) -> Result<String, CodegenError> {
    let code = compile_width(kernel, Width::W256, FuncId::from_u32(0), isa)?;
    Ok(super::widen::widen(&code.bytes).map_or_else(|refusal| refusal.to_string(), |wide| wide.assembly()))
}

#[cfg(not(target_arch = "x86_64"))]
fn wide_asm(kernel: &Kernel, isa: &OwnedTargetIsa) -> Result<String, CodegenError> {
    narrow_asm(kernel, isa)
}

impl Drop for Module {
    fn drop(&mut self) {
        let code = match self.code.get_mut() {
            Ok(code) => code.take(),
            Err(poisoned) => poisoned.into_inner().take(),
        };
        if let Some(code) = code {
            // SAFETY: entries are used only while the module lives (the contract of `Entry`'s callers).
            unsafe { code.free_memory() };
        }
    }
}

/// What is known about this machine: found out once a process.
fn native_isa() -> Result<OwnedTargetIsa, CodegenError> {
    static ISA: OnceLock<Result<OwnedTargetIsa, String>> = OnceLock::new();
    ISA.get_or_init(detect_isa).clone().map_err(CodegenError::Host)
}

fn detect_isa() -> Result<OwnedTargetIsa, String> {
    let mut flags = settings::builder();
    let verifier = if cfg!(debug_assertions) { "true" } else { "false" };
    let wanted = [
        ("opt_level", "speed"),
        ("enable_verifier", verifier),
        ("use_colocated_libcalls", "false"),
        ("is_pic", "false"),
        ("unwind_info", "false"),
    ];
    for (name, value) in wanted {
        flags.set(name, value).map_err(|e| e.to_string())?;
    }
    cranelift_native::builder()?.finish(settings::Flags::new(flags)).map_err(|e| e.to_string())
}

fn compile_error(kernel: &Kernel, error: &dyn std::fmt::Debug) -> CodegenError {
    CodegenError::Compile { kernel: kernel.name.clone(), reason: format!("{error:?}") }
}

/// Machine code that is not yet in executable memory.
struct Code {
    bytes: Vec<u8>,
    alignment: u64,
    relocations: Vec<ModuleReloc>,
    width: Width,
    refusal: Option<String>,
}

/// The code of one kernel, for the width that suits it if that can be had.
fn compile_one(kernel: &Kernel, id: FuncId, isa: &OwnedTargetIsa, widths: Widths) -> Result<Code, CodegenError> {
    let mut refusal = None;
    if widths.of(kernel, isa) == Width::W256 {
        match widened(compile_width(kernel, Width::W256, id, isa)?) {
            Ok(code) => return Ok(code),
            Err(why) => refusal = Some(why),
        }
    }
    Ok(Code { refusal, ..compile_width(kernel, Width::W128, id, isa)? })
}

/// What Cranelift makes of a kernel that was emitted for some width.
fn compile_width(kernel: &Kernel, width: Width, id: FuncId, isa: &OwnedTargetIsa) -> Result<Code, CodegenError> {
    let mut context = Context::for_function(emit::build(kernel, width, &**isa));
    context.compile(&**isa, &mut ControlPlane::default()).map_err(|e| compile_error(kernel, &e.inner))?;
    let code = context.compiled_code().expect("it was compiled just now");
    let relocations = code.buffer.relocs().iter().map(|r| ModuleReloc::from_mach_reloc(r, &context.func, id)).collect();
    let (bytes, alignment) = (code.buffer.data().to_vec(), code.buffer.alignment as u64);
    Ok(Code { bytes, alignment, relocations, width, refusal: None })
}

/// Code for 256 bits from what Cranelift made, or why not.
#[cfg(target_arch = "x86_64")]
fn widened(mut code: Code) -> Result<Code, String> {
    use super::widen;
    let wide = widen::widen(&code.bytes).map_err(|refusal| refusal.to_string())?;
    for relocation in &mut code.relocations {
        if relocation.kind != cranelift_codegen::binemit::Reloc::Abs8 {
            return Err(widen::Refusal::Relocation.to_string());
        }
        relocation.offset = wide.address_offset(relocation.offset).map_err(|refusal| refusal.to_string())?;
    }
    code.alignment = code.alignment.max(widen::ALIGNMENT);
    Ok(Code { bytes: wide.bytes, ..code })
}

#[cfg(not(target_arch = "x86_64"))]
fn widened(_: Code) -> Result<Code, String> {
    Err("this processor's vectors have 128 bits".into())
}

/// Compiles kernels; identical ones once. Each is verified first.
pub fn compile(kernels: &[Kernel]) -> Result<Module, CodegenError> {
    compile_widths(kernels, Widths::Best)
}

/// As [`compile`], with a say in the width of vectors.
pub fn compile_widths(kernels: &[Kernel], widths: Widths) -> Result<Module, CodegenError> {
    let mut distinct: Vec<&Kernel> = vec![];
    let mut index = Vec::with_capacity(kernels.len());
    let mut seen: std::collections::HashMap<String, Vec<usize>> = std::collections::HashMap::new();
    for kernel in kernels {
        verify(kernel)?;
        let candidates = seen.entry(shape_key(kernel)).or_default();
        let found = candidates.iter().copied().find(|f| same_code(distinct[*f], kernel));
        index.push(found.unwrap_or_else(|| {
            candidates.push(distinct.len());
            distinct.push(kernel);
            distinct.len() - 1
        }));
    }
    // The module keeps its own copies: code may point into their segment tables.
    let distinct: Vec<Kernel> = distinct.into_iter().cloned().collect();

    let isa = native_isa()?;
    let mut builder = JITBuilder::with_isa(isa.clone(), cranelift_module::default_libcall_names());
    let hosts = host::table();
    for function in &hosts {
        builder.symbol(function.name, function.address);
    }
    let mut module = JITModule::new(builder);
    let convention = isa.default_call_conv();
    let memory = |e: cranelift_module::ModuleError| CodegenError::Memory(e.to_string());
    for (k, function) in hosts.iter().enumerate() {
        let signature = host::signature(function.arity, convention);
        let id = module.declare_function(function.name, Linkage::Import, &signature).map_err(memory)?;
        assert_eq!(id.as_u32() as usize, k, "host functions are declared first, in order");
    }
    let signature = emit::signature(convention);
    let ids = (0..distinct.len())
        .map(|k| module.declare_function(&format!("kernel{k}"), Linkage::Local, &signature).map_err(memory))
        .collect::<Result<Vec<FuncId>, _>>()?;

    let codes = compile_all(&distinct, &ids, &isa, widths)?;
    for (code, id) in codes.iter().zip(&ids) {
        module.define_function_bytes(*id, code.alignment, &code.bytes, &code.relocations).map_err(memory)?;
    }
    module.finalize_definitions().map_err(memory)?;
    let functions = distinct
        .into_iter()
        .zip(ids)
        .zip(codes)
        .map(|((kernel, id), code)| {
            let address = module.get_finalized_function(id);
            // SAFETY: the function was emitted with the signature of `Entry` and the host's calling convention.
            let entry = unsafe { std::mem::transmute::<*const u8, Entry>(address) };
            CompiledKernel { kernel, entry, width: code.width, refusal: code.refusal, code_bytes: code.bytes.len() }
        })
        .collect();
    Ok(Module { functions, index, code: Mutex::new(Some(module)) })
}

fn compile_all(
    kernels: &[Kernel],
    ids: &[FuncId],
    isa: &OwnedTargetIsa,
    widths: Widths,
) -> Result<Vec<Code>, CodegenError> {
    let run = |kernels: &[Kernel], ids: &[FuncId]| -> Result<Vec<Code>, CodegenError> {
        kernels.iter().zip(ids).map(|(kernel, id)| compile_one(kernel, *id, isa, widths)).collect()
    };
    if kernels.len() < PARALLEL_FROM {
        return run(kernels, ids);
    }
    let middle = kernels.len() / 2;
    std::thread::scope(|scope| {
        let second = scope.spawn(|| run(&kernels[middle..], &ids[middle..]));
        let mut codes = run(&kernels[..middle], &ids[..middle])?;
        let rest = second.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        codes.extend(rest);
        Ok(codes)
    })
}

/// Kernels with different keys differ: narrows the search for an identical one.
fn shape_key(kernel: &Kernel) -> String {
    let space = match &kernel.space {
        Space::Flat { .. } => "flat".to_string(),
        Space::Grid { outer, inner } => format!("{outer:?} {inner}"),
        Space::Segments { offsets } => format!("{}", offsets.len()),
    };
    format!("{} {space} {} {}", kernel.name, kernel.values.len(), kernel.effects.len())
}

/// Whether two kernels have the same code: names of places in the source do not matter, nor does the length of a flat
/// space.
fn same_code(x: &Kernel, y: &Kernel) -> bool {
    let spaces = match (&x.space, &y.space) {
        (Space::Flat { .. }, Space::Flat { .. }) => true,
        (x, y) => x == y,
    };
    let params = x.params.len() == y.params.len()
        && x.params.iter().zip(&y.params).all(|(x, y)| (x.dtype, x.written) == (y.dtype, y.written));
    // Buffers of one size may be one buffer, updated in place, which the code has to respect.
    let alike = |kernel: &Kernel, a: usize, b: usize| kernel.params[a].elements == kernel.params[b].elements;
    let pairs = |count: usize| (0..count).flat_map(move |a| (0..a).map(move |b| (a, b)));
    let params = params && pairs(x.params.len()).all(|(a, b)| alike(x, a, b) == alike(y, a, b));
    let values = x.values.iter().zip(&y.values).all(|(x, y)| same_value(&x.kind, &y.kind) && x.dtype == y.dtype);
    spaces && params && values && x.values.len() == y.values.len() && x.effects == y.effects
}

/// Equality by bits: a constant NaN is itself, 0 is not -0.
fn same_value(x: &crate::kernel::ValueKind, y: &crate::kernel::ValueKind) -> bool {
    use crate::kernel::ValueKind::Const;
    match (x, y) {
        (Const(x), Const(y)) => x.to_bits() == y.to_bits(),
        _ => x == y,
    }
}
