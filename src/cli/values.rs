//! Tensors on the command line: JSON numbers, nested arrays, `@file.npy`; and back.

use crate::ir::{DType, Type};
use crate::runtime::Tensor;
use crate::train::load;
use crate::train::metrics::number;
use serde_json::{Value, json};
use std::path::Path;

/// Reads `1.5`, `[[1, 2], [3, 4]]`, `true` or `@file.npy`. Numbers without a point are ints, others of type `float`.
pub fn parse(text: &str, float: DType) -> Result<Tensor, String> {
    if let Some(file) = text.strip_prefix('@') {
        let array = load::read(Path::new(file), None).map_err(|d| {
            let notes: String = d.notes.iter().map(|n| format!(": {n}")).collect();
            format!("{}{notes}", d.title)
        })?;
        let dtype = if array.dtype.is_float() { float } else { array.dtype };
        return tensor(dtype, array.shape, &array.values);
    }
    let value: Value = serde_json::from_str(text).map_err(|e| format!("not a JSON value: {e}"))?;
    let mut flat = Flat::default();
    let mut shape = Vec::new();
    measure(&value, &mut shape);
    collect(&value, &shape, 0, &mut flat)?;
    let dtype = match (flat.numbers, flat.bools, flat.fraction) {
        (true, true, _) => return Err("numbers and booleans are mixed".into()),
        (false, true, _) => DType::Bool,
        (true, false, false) => DType::I32,
        // An empty array holds no number that could say otherwise.
        _ => float,
    };
    tensor(dtype, shape, &flat.values)
}

fn tensor(dtype: DType, shape: Vec<usize>, values: &[f64]) -> Result<Tensor, String> {
    if dtype == DType::I32
        && let Some(large) = values.iter().find(|v| **v != f64::from(**v as i32))
    {
        return Err(format!("{large} does not fit an int (32 bits)"));
    }
    Ok(Tensor::from_f64s(Type::new(dtype, shape), values))
}

#[derive(Default)]
struct Flat {
    values: Vec<f64>,
    numbers: bool,
    bools: bool,
    /// Some number is written as a float.
    fraction: bool,
}

/// The shape of the first element of each level.
fn measure(value: &Value, shape: &mut Vec<usize>) {
    if let Value::Array(items) = value {
        shape.push(items.len());
        if let Some(first) = items.first() {
            measure(first, shape);
        }
    }
}

fn collect(value: &Value, shape: &[usize], depth: usize, flat: &mut Flat) -> Result<(), String> {
    match value {
        Value::Array(items) if depth < shape.len() && items.len() == shape[depth] => {
            items.iter().try_for_each(|item| collect(item, shape, depth + 1, flat))
        }
        Value::Array(_) => Err("the arrays of one level do not have the same length".into()),
        _ if depth < shape.len() => Err("arrays and numbers are mixed in one level".into()),
        Value::Number(n) => {
            flat.numbers = true;
            flat.fraction |= n.is_f64();
            flat.values.push(n.as_f64().unwrap_or(f64::NAN));
            Ok(())
        }
        Value::Bool(b) => {
            flat.bools = true;
            flat.values.push(f64::from(*b));
            Ok(())
        }
        Value::String(text) => {
            let value = match text.as_str() {
                "NaN" => f64::NAN,
                "inf" => f64::INFINITY,
                "-inf" => f64::NEG_INFINITY,
                _ => return Err(format!("\"{text}\" is not a number")),
            };
            (flat.numbers, flat.fraction) = (true, true);
            flat.values.push(value);
            Ok(())
        }
        Value::Null | Value::Object(_) => Err("expected numbers, booleans and arrays".into()),
    }
}

/// Nested arrays of numbers; what JSON has no number for is a string.
pub fn to_json(tensor: &Tensor) -> Value {
    let scalars: Vec<Value> = match tensor.ty().dtype {
        DType::F32 => tensor.f32s().iter().map(|v| shortest(*v)).collect(),
        DType::F64 => tensor.f64s().iter().map(|v| number(*v)).collect(),
        DType::I32 => tensor.i32s().iter().map(|v| json!(v)).collect(),
        DType::Bool => tensor.i32s().iter().map(|v| json!(*v != 0)).collect(),
    };
    nest(&mut scalars.into_iter(), &tensor.ty().shape)
}

/// The fewest digits that give the same `f32`.
fn shortest(value: f32) -> Value {
    number(if value.is_finite() { value.to_string().parse().unwrap_or(value as f64) } else { value as f64 })
}

fn nest(scalars: &mut impl Iterator<Item = Value>, shape: &[usize]) -> Value {
    match shape {
        [] => scalars.next().unwrap_or(Value::Null),
        [size, rest @ ..] => Value::Array((0..*size).map(|_| nest(scalars, rest)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(text: &str) -> (String, String) {
        let tensor = parse(text, DType::F32).expect(text);
        (tensor.ty().to_string(), to_json(&tensor).to_string())
    }

    #[test]
    fn element_types_follow_the_spelling() {
        let cases = [
            ("3", "i32[]", "3"),
            ("0.1", "f32[]", "0.1"),
            ("[1, 2.0]", "f32[2]", "[1.0,2.0]"),
            ("[[1], [-2]]", "i32[2, 1]", "[[1],[-2]]"),
            ("[true, false]", "bool[2]", "[true,false]"),
            (r#"["NaN", "inf", "-inf"]"#, "f32[3]", r#"["NaN","inf","-inf"]"#),
            ("[[], []]", "f32[2, 0]", "[[],[]]"),
            ("1e-3", "f32[]", "0.001"),
        ];
        for (text, ty, json) in cases {
            assert_eq!(round_trip(text), (ty.to_string(), json.to_string()));
        }
    }

    #[test]
    fn ragged_and_foreign_values_are_refused() {
        for text in
            ["[[1], [2, 3]]", "[1, [2]]", "[[1], 2]", "{}", "null", "[1, true]", "x", "3000000000", "[\"a\"]", ""]
        {
            assert!(parse(text, DType::F32).is_err(), "{text}");
        }
        assert!(parse("@nowhere.npy", DType::F32).is_err());
    }
}
