//! Checks a kernel before code is made from it: this is what makes running the code sound.
//!
//! Invariants: operands are defined before their uses and have the types that their operation takes; no value claims
//! a level further outside than its operands and strides allow; every access of every index of the space lies inside
//! its buffer; every store names a written parameter of its type and gives each element its own place.

use super::{Affine, Effect, Kernel, Level, Space, ValueId, ValueKind};
use crate::codegen::plan::{computed_levels, effect_level, operands};
use crate::ir::{Binary, DType, Unary};

/// Why a kernel is not well-formed: an internal error of the compiler.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("kernel `{kernel}`: {reason}")]
pub struct VerifyError {
    pub kernel: String,
    pub reason: String,
}

pub fn verify(kernel: &Kernel) -> Result<(), VerifyError> {
    check(kernel).map_err(|reason| VerifyError { kernel: kernel.name.clone(), reason })
}

fn want(condition: bool, reason: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(reason()) }
}

fn check(kernel: &Kernel) -> Result<(), String> {
    check_space(&kernel.space)?;
    for (v, value) in kernel.values.iter().enumerate() {
        for x in operands(&value.kind) {
            want((x.0 as usize) < v, || format!("%{v} uses %{} before its definition", x.0))?;
        }
        check_types(kernel, v).map_err(|reason| format!("%{v}: {reason}"))?;
        check_places(kernel, v).map_err(|reason| format!("%{v}: {reason}"))?;
    }
    let least = computed_levels(kernel);
    let levels: Vec<Level> = kernel.values.iter().map(|value| value.level).collect();
    for (v, value) in kernel.values.iter().enumerate() {
        want(value.level >= least[v], || format!("%{v} is {:?}, declared {:?}", least[v], value.level))?;
        let reduces = matches!(value.kind, ValueKind::RowReduce(..) | ValueKind::RowArg(..));
        // Operands may lie further inside than their strides tell.
        for x in operands(&value.kind) {
            want(reduces || value.level >= levels[x.0 as usize], || format!("%{v} uses %{} of a deeper level", x.0))?;
        }
        want(!reduces || value.level == Level::Row, || format!("%{v} is a row reduction, not a row value"))?;
        check_level(kernel, &levels, v).map_err(|reason| format!("%{v}: {reason}"))?;
    }
    for (e, effect) in kernel.effects.iter().enumerate() {
        check_effect(kernel, &levels, effect).map_err(|reason| format!("effect {e}: {reason}"))?;
    }
    Ok(())
}

fn check_space(space: &Space) -> Result<(), String> {
    if let Space::Segments { offsets } = space {
        want(!offsets.is_empty(), || "segments without offsets".into())?;
        want(offsets.windows(2).all(|w| w[0] <= w[1]), || "segment offsets decrease".into())?;
    }
    Ok(())
}

fn check_types(kernel: &Kernel, v: usize) -> Result<(), String> {
    let value = &kernel.values[v];
    let of = |x: &ValueId| kernel.values[x.0 as usize].dtype;
    let same = |x: &ValueId| want(of(x) == value.dtype, || format!("{} operand of a {} value", of(x), value.dtype));
    match &value.kind {
        ValueKind::Const(_) => Ok(()),
        ValueKind::Load { param, .. } => {
            let param = kernel.params.get(*param).ok_or("loads a parameter that does not exist")?;
            want(param.dtype == value.dtype, || format!("loads {} from {}", value.dtype, param.dtype))
        }
        ValueKind::Index(_) => want(value.dtype != DType::Bool, || "index of type bool".into()),
        ValueKind::Random { keys, .. } => {
            want(keys.iter().all(|k| of(k) == DType::I32), || "keys are i32".into())?;
            want(value.dtype == DType::I32, || "random bits are i32".into())
        }
        ValueKind::Unary(op, x) => {
            let x_type = of(x);
            match op {
                Unary::Not => want(x_type == DType::Bool, || format!("not of {x_type}"))?,
                Unary::Neg | Unary::Abs | Unary::Sign => {
                    want(x_type != DType::Bool, || format!("{} of {x_type}", op.name()))?
                }
                _ => want(x_type.is_float(), || format!("{} of {x_type}", op.name()))?,
            }
            if *op == Unary::IsFinite {
                return want(value.dtype == DType::Bool, || "is_finite gives a bool".into());
            }
            same(x)
        }
        ValueKind::Binary(op, x, y) => {
            let ok = match op {
                Binary::And | Binary::Or => !value.dtype.is_float(),
                Binary::Pow => value.dtype.is_float(),
                _ => value.dtype != DType::Bool,
            };
            want(ok, || format!("{} of {}", op.name(), value.dtype))?;
            same(x)?;
            same(y)
        }
        ValueKind::Compare(_, x, y) => {
            want(of(x) == of(y), || format!("compares {} and {}", of(x), of(y)))?;
            want(value.dtype == DType::Bool, || "a comparison gives a bool".into())
        }
        ValueKind::Select(c, x, y) => {
            want(of(c) == DType::Bool, || format!("select by {}", of(c)))?;
            same(x)?;
            same(y)
        }
        ValueKind::Convert(_) => Ok(()),
        ValueKind::BitsToUnit(x) => {
            want(of(x) == DType::I32 && value.dtype.is_float(), || "bits_to_unit is i32 to float".into())
        }
        ValueKind::RowReduce(_, x) => {
            want(value.dtype != DType::Bool, || "reduction of bool".into())?;
            same(x)
        }
        ValueKind::RowArg(_, x) => {
            want(of(x) != DType::Bool && value.dtype == DType::I32, || "arg-reduction gives i32".into())
        }
    }
}

fn check_places(kernel: &Kernel, v: usize) -> Result<(), String> {
    let value = &kernel.values[v];
    match &value.kind {
        ValueKind::Load { param, at } => inside(&kernel.space, at, kernel.params[*param].elements),
        // An index is computed in 32 bits.
        ValueKind::Index(at) => match span_of(&kernel.space, at)? {
            Some((low, high)) => want(low >= i32::MIN as i128 && high <= i32::MAX as i128, || {
                format!("index {low}..={high} does not fit i32")
            }),
            None => Ok(()),
        },
        ValueKind::Random { index, .. } => span_of(&kernel.space, index).map(|_| ()),
        _ => Ok(()),
    }
}

fn check_level(kernel: &Kernel, levels: &[Level], v: usize) -> Result<(), String> {
    let flat = matches!(kernel.space, Space::Flat { .. });
    want(!(flat && levels[v] == Level::Row), || "a flat space has no rows".into())?;
    if let ValueKind::Random { keys, .. } = &kernel.values[v].kind {
        want(keys.iter().all(|k| levels[k.0 as usize] == Level::Scalar), || "keys are scalars".into())?;
    }
    Ok(())
}

fn check_effect(kernel: &Kernel, levels: &[Level], effect: &Effect) -> Result<(), String> {
    let (Effect::Store { param, value, .. }
    | Effect::ColReduce { param, value, .. }
    | Effect::TotalReduce { param, value, .. }) = effect;
    let value = kernel.values.get(value.0 as usize).ok_or("uses a value that does not exist")?;
    let param = kernel.params.get(*param).ok_or("writes a parameter that does not exist")?;
    want(param.written, || "the parameter is not marked as written".into())?;
    want(param.dtype == value.dtype, || format!("writes {} to {}", value.dtype, param.dtype))?;
    match effect {
        Effect::Store { at, .. } => {
            inside(&kernel.space, at, param.elements)?;
            let level = effect_level(effect, levels, &kernel.space);
            let longest = match &kernel.space {
                Space::Flat { elements } => *elements,
                Space::Grid { inner, .. } => *inner,
                Space::Segments { offsets } => offsets.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0),
            };
            want(level != Level::Element || at.inner_stride != 0 || longest <= 1, || {
                "elements of a row are stored to one place".into()
            })
        }
        Effect::ColReduce { .. } => {
            want(value.dtype != DType::Bool, || "reduction of bool".into())?;
            let Space::Grid { inner, .. } = kernel.space else { return Err("column reduction outside a grid".into()) };
            want(param.elements == inner, || format!("{} results for {inner} columns", param.elements))
        }
        Effect::TotalReduce { .. } => {
            want(value.dtype != DType::Bool, || "reduction of bool".into())?;
            want(param.elements == 1, || format!("{} places for one result", param.elements))
        }
    }
}

/// Checks an access against its buffer.
fn inside(space: &Space, at: &Affine, elements: usize) -> Result<(), String> {
    match span_of(space, at)? {
        Some((low, high)) => want(low >= 0 && high < elements as i128, || {
            format!("touches elements {low}..={high} of a buffer of {elements}")
        }),
        None => Ok(()),
    }
}

/// The smallest and largest value of an affine function; `None` if the space is empty.
fn span_of(space: &Space, at: &Affine) -> Result<Option<(i128, i128)>, String> {
    // The first and last index of each outer axis and of the inner one.
    let (outer, inner): (Vec<(usize, usize)>, (usize, usize)) = match space {
        Space::Flat { elements } => (vec![], (0, *elements)),
        Space::Grid { outer, inner } => (outer.iter().map(|n| (0, *n)).collect(), (0, *inner)),
        Space::Segments { offsets } => {
            (vec![(0, offsets.len() - 1)], (offsets[0], *offsets.last().expect("checked above")))
        }
    };
    let flat = matches!(space, Space::Flat { .. });
    want(at.outer_strides.len() == outer.len() || (flat && at.outer_strides.iter().all(|s| *s == 0)), || {
        format!("{} strides for {} outer axes", at.outer_strides.len(), outer.len())
    })?;
    let axes = outer.iter().zip(&at.outer_strides).map(|(range, stride)| (*range, *stride));
    let (mut low, mut high) = (at.offset as i128, at.offset as i128);
    for ((first, end), stride) in axes.chain([(inner, at.inner_stride)]) {
        if first >= end {
            return Ok(None);
        }
        let (x, y) = (first as i128 * stride as i128, (end - 1) as i128 * stride as i128);
        low += x.min(y);
        high += x.max(y);
    }
    Ok(Some((low, high)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{KernelParam, Value};

    fn at(outer: &[isize], inner: isize) -> Affine {
        Affine { offset: 0, outer_strides: outer.to_vec(), inner_stride: inner }
    }

    /// A copy of a [4, 5] matrix, changed before it is checked.
    fn reason(change: impl FnOnce(&mut Kernel)) -> String {
        let param = |written| KernelParam { dtype: DType::F32, elements: 20, written };
        let load = ValueKind::Load { param: 0, at: at(&[5], 1) };
        let mut kernel = Kernel {
            name: "copy".into(),
            space: Space::Grid { outer: vec![4], inner: 5 },
            params: vec![param(false), param(true)],
            values: vec![Value { kind: load, dtype: DType::F32, level: Level::Element, span: Default::default() }],
            effects: vec![Effect::Store { param: 1, at: at(&[5], 1), value: ValueId(0) }],
        };
        change(&mut kernel);
        verify(&kernel).err().map_or("fine".into(), |e| e.reason)
    }

    fn store(kernel: &mut Kernel) -> (&mut usize, &mut Affine, &mut ValueId) {
        match &mut kernel.effects[0] {
            Effect::Store { param, at, value } => (param, at, value),
            _ => unreachable!("the kernel stores"),
        }
    }

    #[test]
    fn names_what_is_wrong() {
        assert_eq!(reason(|_| ()), "fine");
        assert_eq!(reason(|k| store(k).1.offset = 1), "effect 0: touches elements 1..=20 of a buffer of 20");
        assert_eq!(reason(|k| store(k).1.inner_stride = -1), "effect 0: touches elements -4..=15 of a buffer of 20");
        assert_eq!(reason(|k| store(k).1.inner_stride = 0), "effect 0: elements of a row are stored to one place");
        assert_eq!(reason(|k| *store(k).0 = 0), "effect 0: the parameter is not marked as written");
        assert_eq!(reason(|k| *store(k).0 = 2), "effect 0: writes a parameter that does not exist");
        assert_eq!(reason(|k| *store(k).2 = ValueId(7)), "effect 0: uses a value that does not exist");
        assert_eq!(reason(|k| k.params[1].dtype = DType::I32), "effect 0: writes f32 to i32");
        assert_eq!(reason(|k| k.values[0].level = Level::Row), "%0 is Element, declared Row");
        assert_eq!(
            reason(|k| k.values[0].kind = ValueKind::Unary(Unary::Exp, ValueId(0))),
            "%0 uses %0 before its definition"
        );
        assert_eq!(reason(|k| store(k).1.outer_strides.push(0)), "effect 0: 2 strides for 1 outer axes");
        // An empty space touches nothing.
        assert_eq!(
            reason(|k| {
                k.space = Space::Grid { outer: vec![0], inner: 5 };
                k.params[0].elements = 0;
            }),
            "fine"
        );
    }
}
