//! Convolutions.

use crate::ir::window::Grid;
use crate::ir::{ConvPart, DType, Graph, NodeId, Window};
use crate::runtime::pool::Pool;

/// A prepared part of a convolution.
#[derive(Clone, Debug)]
pub struct Conv {
    part: ConvPart,
    dtype: DType,
    grid: Grid,
}

impl Conv {
    pub fn new(graph: &Graph, id: NodeId, part: ConvPart, window: &Window, groups: usize) -> Conv {
        let node = graph.node(id);
        let operand = |k: usize| graph.ty(node.args[k]);
        let (image, result) = match part {
            ConvPart::Result => (operand(0), &node.ty),
            ConvPart::Image => (&node.ty, operand(0)),
            ConvPart::Kernel => (operand(0), operand(1)),
        };
        Conv { part, dtype: node.ty.dtype, grid: Grid::new(window, groups, image, result) }
    }

    /// # Safety
    /// See [`super::Call::run`].
    pub unsafe fn run(&self, _: &Pool, args: &[*mut u8], out: *mut u8) {
        // SAFETY: the caller's promise; the pointers have the element type.
        unsafe {
            match self.dtype {
                DType::F64 => self.typed::<f64>(args, out.cast()),
                _ => self.typed::<f32>(args, out.cast()),
            }
        }
    }

    /// # Safety
    /// See [`super::Call::run`]; the elements are of type `T`.
    unsafe fn typed<T>(&self, args: &[*mut u8], out: *mut T)
    where
        T: Copy + Default + std::ops::Mul<Output = T> + std::ops::AddAssign,
    {
        let grid = &self.grid;
        let (inner, outer) = (grid.channels / grid.groups, grid.outputs / grid.groups);
        let image = grid.batch * grid.image_elements() * grid.channels;
        let result = grid.batch * grid.window_count() * grid.outputs;
        let kernel = grid.window_elements() * inner * grid.outputs;
        let (a, b, c) = match self.part {
            ConvPart::Result => (image, kernel, result),
            ConvPart::Image => (result, kernel, image),
            ConvPart::Kernel => (image, result, kernel),
        };
        // SAFETY: the values have these numbers of elements, and the result overlaps no operand.
        let (a, b, out) = unsafe {
            (
                std::slice::from_raw_parts(args[0].cast::<T>().cast_const(), a),
                std::slice::from_raw_parts(args[1].cast::<T>().cast_const(), b),
                std::slice::from_raw_parts_mut(out, c),
            )
        };
        out.fill(T::default());
        for n in 0..grid.batch {
            for position in 0..grid.window_count() {
                for k in 0..grid.window_elements() {
                    let Some(pixel) = grid.pixel(position, k) else { continue };
                    for o in 0..grid.outputs {
                        let y = (n * grid.window_count() + position) * grid.outputs + o;
                        let x = (n * grid.image_elements() + pixel) * grid.channels + o / outer * inner;
                        for c in 0..inner {
                            let w = (k * inner + c) * grid.outputs + o;
                            match self.part {
                                ConvPart::Result => out[y] += a[x + c] * b[w],
                                ConvPart::Image => out[x + c] += a[y] * b[w],
                                ConvPart::Kernel => out[w] += a[x + c] * b[y],
                            }
                        }
                    }
                }
            }
        }
    }
}
