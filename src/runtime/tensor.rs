//! Dense row-major tensors in buffers aligned for vector code.

use crate::ir::{DType, Type};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Alignment of every buffer: a cache line.
pub const ALIGN: usize = 64;

/// Buffers from this size on lie in huge pages where the system offers them: their first use costs one page fault for each
/// two megabytes instead of 512, and products that walk down columns need one address translation instead of hundreds.
const HUGE: usize = 4 << 20;
const HUGE_PAGE: usize = 2 << 20;

/// An owned, zero-initialised, cache-line-aligned block of bytes.
pub struct Buffer {
    /// The first aligned byte of `block`.
    ptr: *mut u8,
    block: *mut u8,
    layout: Layout,
}

// SAFETY: the buffer owns its bytes; sharing follows the usual borrow rules of `&Buffer` and `&mut Buffer`.
unsafe impl Send for Buffer {}
unsafe impl Sync for Buffer {}

impl Buffer {
    pub fn zeroed(bytes: usize) -> Buffer {
        // One spare line: vector code may then touch a whole last vector. Never of size zero.
        let size = bytes.next_multiple_of(ALIGN) + ALIGN;
        let align = if size >= HUGE { HUGE_PAGE } else { ALIGN };
        // Aligned here and not by the allocator, which would write zeros over fresh (zero) pages of the system: large
        // buffers would cost milliseconds before the first step, and memory that nobody touches.
        let shift = if size >= HUGE { stagger() } else { 0 };
        let layout =
            Layout::from_size_align(size + align + shift, align_of::<usize>()).expect("it fits the address space");
        // SAFETY: the layout's size is not zero.
        let block = unsafe { alloc_zeroed(layout) };
        if block.is_null() {
            handle_alloc_error(layout);
        }
        // SAFETY: the distance is less than the `align` bytes that were added, and `shift` bytes were added for the shift.
        let (pages, ptr) = unsafe {
            let pages = block.add(block.align_offset(align));
            (pages, pages.add(shift))
        };
        if size >= HUGE {
            // SAFETY: whole huge pages inside the block.
            unsafe { ask_for_huge_pages(pages, (size + shift) / HUGE_PAGE * HUGE_PAGE) };
        }
        Buffer { ptr, block, layout }
    }

    pub fn as_ptr(&self) -> *const u8 {
        self.ptr
    }

    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.ptr
    }
}

/// Bytes between the start of a huge page and that of a buffer's contents, another number for each of eight buffers. Without
/// it the same element of a parameter, its gradient and its moments would lie at the same place of their pages: in the same
/// set of each cache and the same bank of memory, at a third of the speed.
fn stagger() -> usize {
    static BUFFERS: AtomicUsize = AtomicUsize::new(0);
    (BUFFERS.fetch_add(1, Ordering::Relaxed) % 8) * (4096 + 4 * ALIGN)
}

/// Only a request: a system that refuses gives ordinary pages.
///
/// # Safety
/// The bytes belong to the caller, and both numbers are multiples of the page size.
#[cfg(target_os = "linux")]
unsafe fn ask_for_huge_pages(ptr: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise; the advice changes no contents.
    unsafe { libc::madvise(ptr.cast(), bytes, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
unsafe fn ask_for_huge_pages(_: *mut u8, _: usize) {}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: allocated in `zeroed` with this layout.
        unsafe { dealloc(self.block, self.layout) }
    }
}

/// A typed dense tensor. Bools are stored as 32-bit 0 or 1 (see [`DType`]).
pub struct Tensor {
    ty: Type,
    buffer: Buffer,
}

impl Tensor {
    pub fn zeros(ty: Type) -> Tensor {
        let buffer = Buffer::zeroed(ty.bytes());
        Tensor { ty, buffer }
    }

    /// Converts each value to the element type.
    ///
    /// # Panics
    /// If the number of values is not that of the type.
    pub fn from_f64s(ty: Type, values: &[f64]) -> Tensor {
        assert_eq!(ty.elements(), values.len(), "values for {ty}");
        let mut tensor = Tensor::zeros(ty);
        match tensor.ty.dtype {
            DType::F32 => tensor.f32s_mut().iter_mut().zip(values).for_each(|(t, v)| *t = *v as f32),
            DType::F64 => tensor.f64s_mut().copy_from_slice(values),
            DType::I32 => tensor.i32s_mut().iter_mut().zip(values).for_each(|(t, v)| *t = *v as i32),
            DType::Bool => tensor.i32s_mut().iter_mut().zip(values).for_each(|(t, v)| *t = i32::from(*v != 0.0)),
        }
        tensor
    }

    pub fn scalar(dtype: DType, value: f64) -> Tensor {
        Tensor::from_f64s(Type::scalar(dtype), &[value])
    }

    pub fn to_f64s(&self) -> Vec<f64> {
        match self.ty.dtype {
            DType::F32 => self.f32s().iter().map(|v| *v as f64).collect(),
            DType::F64 => self.f64s().to_vec(),
            DType::I32 | DType::Bool => self.i32s().iter().map(|v| *v as f64).collect(),
        }
    }

    pub fn ty(&self) -> &Type {
        &self.ty
    }

    pub fn as_ptr(&self) -> *const u8 {
        self.buffer.as_ptr()
    }

    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.buffer.as_mut_ptr()
    }

    /// The dense bytes, without the spare line.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the buffer holds at least `ty.bytes()` initialised bytes.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.ty.bytes()) }
    }

    pub fn f32s(&self) -> &[f32] {
        self.typed(&[DType::F32])
    }

    pub fn f32s_mut(&mut self) -> &mut [f32] {
        self.typed_mut(&[DType::F32])
    }

    pub fn f64s(&self) -> &[f64] {
        self.typed(&[DType::F64])
    }

    pub fn f64s_mut(&mut self) -> &mut [f64] {
        self.typed_mut(&[DType::F64])
    }

    /// Ints and bools.
    pub fn i32s(&self) -> &[i32] {
        self.typed(&[DType::I32, DType::Bool])
    }

    pub fn i32s_mut(&mut self) -> &mut [i32] {
        self.typed_mut(&[DType::I32, DType::Bool])
    }

    fn typed<T>(&self, allowed: &[DType]) -> &[T] {
        assert!(allowed.contains(&self.ty.dtype), "{} read as another element type", self.ty);
        // SAFETY: the buffer is aligned, initialised, and holds `elements` values of `T` (checked above: same size).
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), self.ty.elements()) }
    }

    fn typed_mut<T>(&mut self, allowed: &[DType]) -> &mut [T] {
        assert!(allowed.contains(&self.ty.dtype), "{} written as another element type", self.ty);
        // SAFETY: as in `typed`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr().cast(), self.ty.elements()) }
    }
}

impl Clone for Tensor {
    fn clone(&self) -> Tensor {
        let mut copy = Tensor::zeros(self.ty.clone());
        // SAFETY: both buffers hold `ty.bytes()` bytes and do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(self.as_ptr(), copy.as_mut_ptr(), self.ty.bytes()) };
        copy
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} {:?}", self.ty, self.to_f64s())
    }
}
