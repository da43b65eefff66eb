//! A definition that nothing calls, called once with sizes chosen for what its header leaves open: an editor shows the types of its
//! body, with the names of the header in place of the sizes.

use super::{Elab, FrameKind, R};
use crate::ir::{DType, InputKind, Type};
use crate::sema::library;
use crate::sema::modules::{DefId, Global, ModuleId, Modules};
use crate::sema::record::{Record, Shared};
use crate::sema::value::{Tensor, Value};
use crate::source::{FileId, SourceMap, Span};
use crate::syntax::ast::{Arg, BinOp, Def, DefKind, DimExpr, Expr, ExprKind, Ident, ItemKind, Param, TypeExpr};
use std::rc::Rc;

/// What the sizes of one header are made of. All are multiples of `UNIT`, so that halves, heads and groups come out even; they are
/// small, since loops over them are unrolled.
const UNIT: i64 = 16;
/// Of hyper-parameters, which also say how many layers there are.
const UNIT_OF_COUNTS: i64 = 4;
const FACTORS: [i64; 32] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
    113, 127, 131, 137,
];

/// Which sizes to take, and what else may differ between two looks at a definition.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// 0 or 1: other sizes, so that what is a size can be told from a number.
    pub sizes: usize,
    /// `training` in layers; tensors of two axes, instead of any number, for optimizers.
    pub second: bool,
}

pub struct Probe {
    pub record: Record,
    /// The names of the header (`..` too), with the sizes that stood for them.
    pub sizes: Vec<(String, i64)>,
}

/// Calls a definition of the main file. What is wrong with it there is not reported: the types up to there are right.
pub fn probe(modules: &Modules, sources: &SourceMap, id: DefId, look: Look) -> Probe {
    let record = Shared::default();
    let mut elab = Elab::new(modules, sources, DType::F32);
    elab.record = Some(record.clone());
    let mut caller = Caller { elab, look, sizes: vec![], span: Span { file: FileId::library(0), start: 0, end: 0 } };
    // Failed: it was a look, nothing more.
    let _ = caller.call(id);
    let Caller { elab, sizes, .. } = caller;
    drop(elab);
    Probe { record: Rc::try_unwrap(record).map(|cell| cell.into_inner()).unwrap_or_default(), sizes }
}

struct Caller<'a> {
    elab: Elab<'a>,
    look: Look,
    sizes: Vec<(String, i64)>,
    /// Of the call, which stands in no text.
    span: Span,
}

impl Caller<'_> {
    fn call(&mut self, id: DefId) -> Option<()> {
        let modules = self.elab.modules;
        let def = modules.def(id);
        let rule = matches!(def.kind, DefKind::Optimizer | DefKind::Transform);
        let kind = if rule { FrameKind::Train } else { FrameKind::Eval };
        let frame = self.elab.new_frame(modules.main_id(), kind, String::new(), String::new());
        self.elab.frames.push(frame);
        self.elab.training = rule || self.look.second;
        self.elab.inline_params = !rule;
        let mut callee = self.name(&def.name.name, Value::Def(id));
        let required: Vec<&Param> = def.hypers.iter().filter(|h| h.default.is_none()).collect();
        let mut given = vec![];
        for param in required {
            let value = self.hyper(param)?;
            let name = Ident { name: param.name.name.clone(), span: self.span };
            given.push(Arg { name: Some(name), value: self.name(&param.name.name, value) });
        }
        if !def.hypers.is_empty() {
            callee = self.expression(ExprKind::Call(Box::new(callee), given));
        }
        if rule {
            return self.update(def, &callee).ok();
        }
        let mut inputs = vec![];
        for param in &def.inputs {
            inputs.push(Arg { name: None, value: self.input(def, param)? });
        }
        let call = self.expression(ExprKind::Call(Box::new(callee), inputs));
        self.elab.expr(&call).ok().map(drop)
    }

    fn expression(&self, kind: ExprKind) -> Expr {
        Expr { kind, span: self.span }
    }

    /// A name that no program can write, for a value.
    fn name(&mut self, name: &str, value: Value) -> Expr {
        let name = format!("the {name}");
        self.elab.define(&name, value);
        self.expression(ExprKind::Name(name))
    }

    fn size(&mut self, name: &str) -> Option<i64> {
        self.multiple_of(UNIT, name)
    }

    fn multiple_of(&mut self, unit: i64, name: &str) -> Option<i64> {
        if let Some((_, size)) = self.sizes.iter().find(|(known, _)| known == name) {
            return Some(*size);
        }
        let size = unit * FACTORS.get(2 * self.sizes.len() + self.look.sizes)?;
        self.sizes.push((name.to_string(), size));
        Some(size)
    }

    /// A value for a hyper-parameter that has none.
    fn hyper(&mut self, param: &Param) -> Option<Value> {
        let number = Value::Float(0.25 + 0.125 * self.look.sizes as f64);
        match param.ty.as_ref().map(|ty| ty.base.name.as_str()) {
            None | Some("float" | "f32" | "f64" | "schedule") => Some(number),
            Some("int") => Some(Value::Int(self.multiple_of(UNIT_OF_COUNTS, &param.name.name)?)),
            Some("transform") => Some(Value::Def(self.plain_definition(DefKind::Transform)?)),
            Some("optimizer") => Some(Value::Def(self.plain_definition(DefKind::Optimizer)?)),
            Some(_) => None,
        }
    }

    fn input(&mut self, def: &Def, param: &Param) -> Option<Expr> {
        if def.kind == DefKind::Init {
            let shape = [self.size("in")?, self.size("out")?].map(Value::Int).to_vec();
            return Some(self.name(&param.name.name, Value::list(shape)));
        }
        let (dtype, shape) = match &param.ty {
            None if def.kind == DefKind::Schedule => (DType::F32, vec![]),
            None => (DType::F32, vec![self.size("..")? as usize]),
            Some(ty) => (dtype(&ty.base.name)?, self.shape(def, ty)?),
        };
        let node = self.elab.graph.add_input(&param.name.name, Type::new(dtype, shape), InputKind::Arg, self.span);
        Some(self.name(&param.name.name, Value::Tensor(Tensor::plain(node))))
    }

    fn shape(&mut self, def: &Def, ty: &TypeExpr) -> Option<Vec<usize>> {
        let mut shape = vec![];
        for dim in ty.dims.iter().flatten() {
            let size = match dim {
                DimExpr::Rest(_) => self.size("..")?,
                DimExpr::Size(e) => self.dim(def, e)?,
            };
            shape.push(usize::try_from(size).ok()?);
        }
        Some(shape)
    }

    fn dim(&mut self, def: &Def, e: &Expr) -> Option<i64> {
        match &e.kind {
            ExprKind::Int(n) => Some(*n),
            ExprKind::Name(name) => match def.hypers.iter().find(|h| h.name.name == *name).map(|h| &h.default) {
                Some(Some(Expr { kind: ExprKind::Int(n), .. })) => Some(*n),
                Some(Some(_)) => None,
                Some(None) | None => self.size(name),
            },
            ExprKind::Binary(op, a, b) => {
                let (a, b) = (self.dim(def, a)?, self.dim(def, b)?);
                match op {
                    BinOp::Add => a.checked_add(b),
                    BinOp::Sub => a.checked_sub(b),
                    BinOp::Mul => a.checked_mul(b),
                    BinOp::Div => a.checked_div(b),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The rule over one tensor of the shape that it declares; a transform stands before some rule.
    fn update(&mut self, def: &Def, rule: &Expr) -> R<()> {
        let theta = def.inputs.first().filter(|_| def.kind == DefKind::Optimizer).and_then(|p| p.ty.as_ref());
        let declared = theta.filter(|ty| ty.dims.is_some()).and_then(|ty| self.shape(def, ty));
        let any: &[&str] = if self.look.second { &["in", "out"] } else { &[".."] };
        let shape = match declared {
            Some(shape) => shape,
            None => any.iter().filter_map(|name| self.size(name)).map(|size| size as usize).collect(),
        };
        let mut rule = rule.clone();
        if def.kind == DefKind::Transform {
            let Some(last) = self.plain_definition(DefKind::Optimizer) else { return Ok(()) };
            let first = self.elab.expr(&rule)?;
            rule = self.name("chain", Value::Chain(Rc::new(vec![first, Value::Def(last)])));
        }
        self.elab.update_of(&rule, &[shape]).map(drop)
    }

    /// Some definition of the library that takes nothing but what has a value.
    fn plain_definition(&self, kind: DefKind) -> Option<DefId> {
        let all = library::all_files().flat_map(library::exports);
        let mut defs = all.filter_map(|(_, global)| if let Global::Def(id) = global { Some(id) } else { None });
        defs.find(|id| {
            let ModuleId::Library(file) = id.module else { return false };
            let ItemKind::Def(def) = &library::item(file, id.item).kind else { return false };
            def.kind == kind && def.hypers.iter().all(|h| h.default.is_some())
        })
    }
}

fn dtype(name: &str) -> Option<DType> {
    match name {
        "float" | "f32" => Some(DType::F32),
        "f64" => Some(DType::F64),
        "int" => Some(DType::I32),
        "bool" => Some(DType::Bool),
        _ => None,
    }
}
