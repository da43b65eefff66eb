//! Decompositions of matrices: values to 64 bits, [`crate::linalg`], and back.

use crate::ir::op::Decomposition;
use crate::ir::{DType, Graph, NodeId};
use crate::linalg;

#[derive(Clone, Debug)]
pub struct Matrix {
    kind: Decomposition,
    dtype: DType,
    /// Elements and last two axes of each operand.
    operands: Vec<(usize, [usize; 2])>,
    result: usize,
}

impl Matrix {
    pub fn new(graph: &Graph, id: NodeId, kind: Decomposition) -> Matrix {
        let node = graph.node(id);
        let operand = |a: &NodeId| {
            let ty = graph.ty(*a);
            let rank = ty.rank();
            (ty.elements(), [ty.shape[rank - 2], ty.shape[rank - 1]])
        };
        let operands = node.args.iter().map(operand).collect();
        Matrix { kind, dtype: node.ty.dtype, operands, result: node.ty.elements() }
    }

    /// # Safety
    /// See [`super::Call::run`].
    pub unsafe fn run(&self, args: &[*mut u8], out: *mut u8) {
        let mut values: Vec<Vec<f64>> = vec![];
        for (pointer, (elements, _)) in args.iter().zip(&self.operands) {
            // SAFETY: the operand holds that many elements of the result's type.
            let value = unsafe {
                match self.dtype {
                    DType::F32 => std::slice::from_raw_parts(pointer.cast::<f32>(), *elements)
                        .iter()
                        .map(|v| f64::from(*v))
                        .collect(),
                    _ => std::slice::from_raw_parts(pointer.cast::<f64>(), *elements).to_vec(),
                }
            };
            values.push(value);
        }
        let slices: Vec<&[f64]> = values.iter().map(Vec::as_slice).collect();
        let shapes: Vec<[usize; 2]> = self.operands.iter().map(|(_, shape)| *shape).collect();
        let mut result = vec![0.0; self.result];
        linalg::apply(self.kind, &slices, &shapes, &mut result);
        // SAFETY: the result holds that many elements, and overlaps no operand.
        unsafe {
            match self.dtype {
                DType::F32 => {
                    let out = std::slice::from_raw_parts_mut(out.cast::<f32>(), self.result);
                    out.iter_mut().zip(&result).for_each(|(to, from)| *to = *from as f32);
                }
                _ => std::slice::from_raw_parts_mut(out.cast::<f64>(), self.result).copy_from_slice(&result),
            }
        }
    }
}
