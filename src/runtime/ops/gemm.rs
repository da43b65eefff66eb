//! One matrix product on one thread, by the `gemm` crate.

use std::ops::{Add, Mul};

/// What the crate multiplies.
pub trait Element: Copy + Default + Send + Sync + 'static + Mul<Output = Self> + Add<Output = Self> {
    const ONE: Self;
}

impl Element for f32 {
    const ONE: f32 = 1.0;
}

impl Element for f64 {
    const ONE: f64 = 1.0;
}

/// Elements `at + i * row + j * column`. Operands are only read.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<T> {
    pub at: *mut T,
    pub row: isize,
    pub column: isize,
}

impl<T> Matrix<T> {
    /// # Safety
    /// The row lies inside the value.
    pub unsafe fn rows_from(self, row: usize) -> Matrix<T> {
        // SAFETY: the caller's promise.
        Matrix { at: unsafe { self.at.offset(row as isize * self.row) }, ..self }
    }

    pub fn transposed(self) -> Matrix<T> {
        Matrix { row: self.column, column: self.row, ..self }
    }
}

/// `out = factor a b`, or `out += factor a b`, of sizes [m, n, k]: `a` is m x k, `b` is k x n.
///
/// # Safety
/// The matrices lie inside of values, and `out` overlaps neither of the others.
pub unsafe fn multiply<T: Element>(
    [m, n, k]: [usize; 3],
    out: Matrix<T>,
    a: Matrix<T>,
    b: Matrix<T>,
    add: bool,
    factor: T,
) {
    // SAFETY: the caller's promise.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.at,
            out.column,
            out.row,
            add,
            a.at.cast_const(),
            a.column,
            a.row,
            b.at.cast_const(),
            b.column,
            b.row,
            T::ONE,
            factor,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
