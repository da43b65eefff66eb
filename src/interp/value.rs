//! The interpreter's values: ndarray arrays of the four element types.

use crate::ir::{DType, Shape, Type};
use crate::runtime::Tensor;
use ndarray::{ArrayD, IxDyn};

#[derive(Clone, Debug)]
pub enum Value {
    F32(ArrayD<f32>),
    F64(ArrayD<f64>),
    I32(ArrayD<i32>),
    Bool(ArrayD<bool>),
}

/// Applies an expression to the array of any element type, giving a value of the same type.
macro_rules! map_any {
    ($value:expr, $x:ident => $body:expr) => {
        match $value {
            Value::F32($x) => Value::F32($body),
            Value::F64($x) => Value::F64($body),
            Value::I32($x) => Value::I32($body),
            Value::Bool($x) => Value::Bool($body),
        }
    };
}

/// As `map_any` for numbers: floats and ints.
macro_rules! map_number {
    ($value:expr, $x:ident => $body:expr) => {
        match $value {
            Value::F32($x) => Value::F32($body),
            Value::F64($x) => Value::F64($body),
            Value::I32($x) => Value::I32($body),
            Value::Bool(_) => unreachable!("arithmetic on bool"),
        }
    };
}

pub(super) use {map_any, map_number};

impl Value {
    /// Converts each number to the element type, exactly where it fits.
    pub fn from_f64s(ty: &Type, values: &[f64]) -> Value {
        let dim = IxDyn(&ty.shape);
        match ty.dtype {
            DType::F32 => Value::F32(shaped(dim, values.iter().map(|v| *v as f32))),
            DType::F64 => Value::F64(shaped(dim, values.iter().copied())),
            DType::I32 => Value::I32(shaped(dim, values.iter().map(|v| *v as i32))),
            DType::Bool => Value::Bool(shaped(dim, values.iter().map(|v| *v != 0.0))),
        }
    }

    pub fn to_f64s(&self) -> Vec<f64> {
        match self {
            Value::F32(x) => x.iter().map(|v| f64::from(*v)).collect(),
            Value::F64(x) => x.iter().copied().collect(),
            Value::I32(x) => x.iter().map(|v| f64::from(*v)).collect(),
            Value::Bool(x) => x.iter().map(|v| f64::from(u8::from(*v))).collect(),
        }
    }

    pub fn from_tensor(tensor: &Tensor) -> Value {
        let dim = IxDyn(&tensor.ty().shape);
        match tensor.ty().dtype {
            DType::F32 => Value::F32(shaped(dim, tensor.f32s().iter().copied())),
            DType::F64 => Value::F64(shaped(dim, tensor.f64s().iter().copied())),
            DType::I32 => Value::I32(shaped(dim, tensor.i32s().iter().copied())),
            DType::Bool => Value::Bool(shaped(dim, tensor.i32s().iter().map(|v| *v != 0))),
        }
    }

    /// Writes the elements into a tensor of the same type.
    pub fn write_to(&self, tensor: &mut Tensor) {
        assert_eq!(*tensor.ty(), self.ty(), "a result tensor has the type of its output");
        match self {
            Value::F32(x) => tensor.f32s_mut().iter_mut().zip(x).for_each(|(t, v)| *t = *v),
            Value::F64(x) => tensor.f64s_mut().iter_mut().zip(x).for_each(|(t, v)| *t = *v),
            Value::I32(x) => tensor.i32s_mut().iter_mut().zip(x).for_each(|(t, v)| *t = *v),
            Value::Bool(x) => tensor.i32s_mut().iter_mut().zip(x).for_each(|(t, v)| *t = i32::from(*v)),
        }
    }

    pub fn to_tensor(&self) -> Tensor {
        let mut tensor = Tensor::zeros(self.ty());
        self.write_to(&mut tensor);
        tensor
    }

    pub fn ty(&self) -> Type {
        let (dtype, shape): (DType, Shape) = match self {
            Value::F32(x) => (DType::F32, x.shape().to_vec()),
            Value::F64(x) => (DType::F64, x.shape().to_vec()),
            Value::I32(x) => (DType::I32, x.shape().to_vec()),
            Value::Bool(x) => (DType::Bool, x.shape().to_vec()),
        };
        Type::new(dtype, shape)
    }

    /// The array of an operand that infer guarantees to be I32.
    pub(super) fn ints(&self) -> &ArrayD<i32> {
        match self {
            Value::I32(x) => x,
            other => unreachable!("{} used as i32", other.ty()),
        }
    }

    /// The array of an operand that infer guarantees to be Bool.
    pub(super) fn bools(&self) -> &ArrayD<bool> {
        match self {
            Value::Bool(x) => x,
            other => unreachable!("{} used as bool", other.ty()),
        }
    }
}

/// An array of a shape from its elements in row-major order.
pub(super) fn shaped<T>(dim: IxDyn, values: impl Iterator<Item = T>) -> ArrayD<T> {
    ArrayD::from_shape_vec(dim, values.collect()).expect("as many values as the shape has elements")
}
