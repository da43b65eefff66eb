//! Types of IR values: an element type and a shape whose sizes are all known.
//!
//! Everything is concrete when it is compiled (see `docs/architecture.md`), so a shape is a list of numbers.

use std::fmt;

/// Element type of a tensor. `Bool` and `I32` occupy four bytes in buffers (a bool is 0 or 1), so that they have
/// as many lanes as `f32` in vector code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    F32,
    F64,
    I32,
    Bool,
}

impl DType {
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64)
    }

    /// Bytes an element takes in a buffer.
    pub fn size(self) -> usize {
        match self {
            DType::F64 => 8,
            DType::F32 | DType::I32 | DType::Bool => 4,
        }
    }

    /// The name in IR text and in `--json` output.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::I32 => "i32",
            DType::Bool => "bool",
        }
    }

    pub fn from_name(name: &str) -> Option<DType> {
        Some(match name {
            "f32" => DType::F32,
            "f64" => DType::F64,
            "i32" => DType::I32,
            "bool" => DType::Bool,
            _ => return None,
        })
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Sizes of the axes, outermost first; row-major. The empty shape is a scalar.
pub type Shape = Vec<usize>;

/// Type of one IR value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    pub dtype: DType,
    pub shape: Shape,
}

impl Type {
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Type {
        Type { dtype, shape: shape.into() }
    }

    pub fn scalar(dtype: DType) -> Type {
        Type { dtype, shape: vec![] }
    }

    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether a buffer of it can exist at all: its size in bytes is a number that the machine can address. Axes without
    /// elements count as one, so that the product of any of the axes is a number, too.
    pub fn is_addressable(&self) -> bool {
        let bytes = self.shape.iter().try_fold(self.dtype.size(), |bytes, size| bytes.checked_mul(*size.max(&1)));
        bytes.is_some_and(|bytes| bytes <= isize::MAX as usize / 2)
    }

    /// Bytes in a dense buffer.
    pub fn bytes(&self) -> usize {
        self.elements() * self.dtype.size()
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.shape)
    }
}

/// Row-major strides, in elements.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    let mut out = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        out[axis - 1] = out[axis] * shape[axis];
    }
    out
}
