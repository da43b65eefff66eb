//! One matrix product on one thread, by the `gemm` crate.

/// What the crate multiplies.
pub trait Element:
    Copy + Default + Send + Sync + 'static + std::ops::Mul<Output = Self> + std::ops::Add<Output = Self>
{
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

/// `out = a b`, or `out += a b`, of sizes [m, n, k]: `a` is m x k, `b` is k x n.
///
/// # Safety
/// The matrices lie inside of values, and `out` overlaps neither of the others.
pub unsafe fn multiply<T: Element>([m, n, k]: [usize; 3], out: Matrix<T>, add: bool, a: Matrix<T>, b: Matrix<T>) {
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
            T::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
