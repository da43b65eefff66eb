//! A kernel's parameters as the kernel interpreter sees them.

use crate::ir::DType;
use crate::kernel::KernelParam;
use crate::kernel::interp::Memory;
use crate::runtime::random;

/// Raw parameters, checked against their sizes at each access.
pub struct RawMemory<'a> {
    params: &'a [KernelParam],
    pointers: &'a [*mut u8],
}

impl<'a> RawMemory<'a> {
    /// # Safety
    /// Each pointer holds as many elements as its parameter says, and nobody else uses them meanwhile.
    pub unsafe fn new(params: &'a [KernelParam], pointers: &'a [*mut u8]) -> RawMemory<'a> {
        RawMemory { params, pointers }
    }
}

impl Memory for RawMemory<'_> {
    fn load(&self, param: usize, at: usize) -> f64 {
        let (p, pointer) = (&self.params[param], self.pointers[param]);
        assert!(at < p.elements, "internal error: a kernel reads element {at} of {}", p.elements);
        // SAFETY: checked above, and the promise of `new`.
        unsafe {
            match p.dtype {
                DType::F32 => *pointer.cast::<f32>().add(at) as f64,
                DType::F64 => *pointer.cast::<f64>().add(at),
                DType::I32 | DType::Bool => *pointer.cast::<i32>().add(at) as f64,
            }
        }
    }

    fn store(&mut self, param: usize, at: usize, value: f64) {
        let (p, pointer) = (&self.params[param], self.pointers[param]);
        assert!(p.written && at < p.elements, "internal error: a kernel writes element {at} of {}", p.elements);
        // SAFETY: checked above, and the promise of `new`.
        unsafe {
            match p.dtype {
                DType::F32 => *pointer.cast::<f32>().add(at) = value as f32,
                DType::F64 => *pointer.cast::<f64>().add(at) = value,
                DType::I32 | DType::Bool => *pointer.cast::<i32>().add(at) = value as i32,
            }
        }
    }

    fn random(&self, key: [u32; 2], counter: [u32; 2]) -> u32 {
        random::threefry2x32(key, counter)[0]
    }
}
