//! Loops: the body's interpreter, once for each step.

use super::Interpreter;
use super::movement as mv;
use super::value::{Value, map_any};
use crate::ir::Type;
use crate::ir::scan::Scan;

/// All results end to end.
pub fn scan(scan: &Scan, args: &[&Value], ty: &Type) -> Value {
    let body = Interpreter::new(scan.body.clone());
    let mut inputs: Vec<Value> = args.iter().map(|a| (*a).clone()).collect();
    let mut stacks: Vec<Vec<Option<Value>>> = vec![vec![None; scan.steps]; scan.emits()];
    for turn in 0..scan.steps {
        let at = if scan.reverse { scan.steps - 1 - turn } else { turn };
        for k in scan.carries..scan.carries + scan.slices {
            inputs[k] = slice(args[k], at, &scan.body.inputs[k].ty.shape);
        }
        for (k, value) in body.outputs_of(|input| inputs[input].clone()).into_iter().enumerate() {
            match k.checked_sub(scan.carries) {
                Some(emit) => stacks[emit][at] = Some(value),
                None => inputs[k] = value,
            }
        }
    }
    let stacked = stacks.iter().flatten().flatten();
    let values: Vec<f64> = inputs[..scan.carries].iter().chain(stacked).flat_map(Value::to_f64s).collect();
    Value::from_f64s(ty, &values)
}

/// Position `at` of the first axis.
fn slice(x: &Value, at: usize, shape: &[usize]) -> Value {
    let whole = x.ty().shape;
    let (mut start, mut limit, stride) = (vec![0; whole.len()], whole.clone(), vec![1; whole.len()]);
    (start[0], limit[0]) = (at, at + 1);
    map_any!(x, x => mv::reshape(&mv::slice(x, &start, &limit, &stride), shape))
}
