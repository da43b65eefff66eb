//! Functions of the host that scalar arithmetic calls once a kernel call: hyper-parameters, bias corrections, schedules.

use crate::ir::{Binary, Unary};
use crate::kernel::ValueKind;
use cranelift_codegen::ir::{
    AbiParam, ExtFuncData, ExternalName, FuncRef, InstBuilder, Signature, UserExternalName, Value, types,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;

pub struct HostFunction {
    pub name: &'static str,
    pub address: *const u8,
    pub arity: usize,
}

extern "C" fn exp(x: f64) -> f64 {
    x.exp()
}
extern "C" fn expm1(x: f64) -> f64 {
    x.exp_m1()
}
extern "C" fn log(x: f64) -> f64 {
    x.ln()
}
extern "C" fn log1p(x: f64) -> f64 {
    x.ln_1p()
}
extern "C" fn sin(x: f64) -> f64 {
    x.sin()
}
extern "C" fn cos(x: f64) -> f64 {
    x.cos()
}
extern "C" fn atan(x: f64) -> f64 {
    x.atan()
}
extern "C" fn tanh(x: f64) -> f64 {
    x.tanh()
}
extern "C" fn pow(x: f64, y: f64) -> f64 {
    x.powf(y)
}
/// As Python's `%`.
extern "C" fn rem(x: f64, y: f64) -> f64 {
    let r = x % y;
    if r != 0.0 && (r < 0.0) != (y < 0.0) { r + y } else { r }
}

/// In the order of their indices in compiled code: the module declares them first.
pub fn table() -> Vec<HostFunction> {
    let one = |name, f: extern "C" fn(f64) -> f64| HostFunction { name, address: f as *const u8, arity: 1 };
    let two = |name, f: extern "C" fn(f64, f64) -> f64| HostFunction { name, address: f as *const u8, arity: 2 };
    vec![
        one("optc_exp", exp),
        one("optc_expm1", expm1),
        one("optc_log", log),
        one("optc_log1p", log1p),
        one("optc_sin", sin),
        one("optc_cos", cos),
        one("optc_atan", atan),
        one("optc_tanh", tanh),
        two("optc_pow", pow),
        two("optc_rem", rem),
    ]
}

/// The index in [`table`] of the function that computes this on scalars.
pub fn index_of(kind: &ValueKind) -> Option<usize> {
    let name = match kind {
        ValueKind::Unary(Unary::Exp, _) => "optc_exp",
        ValueKind::Unary(Unary::Expm1, _) => "optc_expm1",
        ValueKind::Unary(Unary::Log, _) => "optc_log",
        ValueKind::Unary(Unary::Log1p, _) => "optc_log1p",
        ValueKind::Unary(Unary::Sin, _) => "optc_sin",
        ValueKind::Unary(Unary::Cos, _) => "optc_cos",
        ValueKind::Unary(Unary::Atan, _) => "optc_atan",
        ValueKind::Unary(Unary::Tanh, _) => "optc_tanh",
        ValueKind::Binary(Binary::Pow, ..) => "optc_pow",
        ValueKind::Binary(Binary::Rem, ..) => "optc_rem",
        _ => return None,
    };
    table().iter().position(|f| f.name == name)
}

pub fn signature(arity: usize, convention: CallConv) -> Signature {
    let mut signature = Signature::new(convention);
    signature.params = vec![AbiParam::new(types::F64); arity];
    signature.returns = vec![AbiParam::new(types::F64)];
    signature
}

/// Calls function `index` of [`table`] on f64 scalars.
pub fn call(b: &mut FunctionBuilder, convention: CallConv, index: usize, args: &[Value]) -> Value {
    let signature = b.import_signature(signature(args.len(), convention));
    let name = b.func.declare_imported_user_function(UserExternalName { namespace: 0, index: index as u32 });
    let function: FuncRef = b.import_function(ExtFuncData {
        name: ExternalName::user(name),
        signature,
        colocated: false,
        patchable: false,
    });
    let call = b.ins().call(function, args);
    b.inst_results(call)[0]
}
