//! Products of small matrices in registers: a few rows times two vectors of columns at a time. Libraries for large products
//! spend as much on arranging matrices of this size (64 x 64 x 32, say) as on multiplying them. What lies above the diagonal
//! of causal attention is left out in whole tiles.

use super::super::gemm::Matrix;

/// What of a product is wanted. `shift` is the first query's place minus the first key's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    Whole,
    /// Rows are queries and the result's columns keys: those that the query does not see are not wanted.
    Scores {
        shift: isize,
    },
    /// Rows are queries, summed over keys; `a` is 0 at those that the query does not see.
    Queries {
        shift: isize,
    },
    /// Rows are keys, summed over queries; `a` is 0 at those that do not see the key.
    Keys {
        shift: isize,
    },
}

impl Part {
    /// For rows `i..i + rows`: columns of the result, and the range of the sum.
    #[inline(always)]
    fn limits(self, i: usize, rows: usize, [n, k]: [usize; 2]) -> (usize, usize, usize) {
        let upto = |shift: isize, all: usize| ((i + rows) as isize + shift).clamp(0, all as isize) as usize;
        match self {
            Part::Whole => (n, 0, k),
            Part::Scores { shift } => (upto(shift, n), 0, k),
            Part::Queries { shift } => (n, 0, upto(shift, k)),
            Part::Keys { shift } => (n, (i as isize - shift).clamp(0, k as isize) as usize, k),
        }
    }
}

/// Columns of the result come in multiples of this.
pub const COLUMNS: usize = 16;

/// `out = factor a b`, or `out += factor a b`; false if this machine or these matrices need a library.
///
/// # Safety
/// As for [`super::rows::Number::multiply`].
pub unsafe fn product(
    sizes: [usize; 3],
    out: Matrix<f32>,
    a: Matrix<f32>,
    b: Matrix<f32>,
    add: bool,
    factor: f32,
    part: Part,
) -> bool {
    if !sizes[1].is_multiple_of(COLUMNS) || out.column != 1 || b.column != 1 {
        return false;
    }
    #[cfg(target_arch = "x86_64")]
    {
        if !(std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma")) {
            return false;
        }
        // SAFETY: the machine has the instructions; the rest is the caller's promise.
        unsafe {
            if std::is_x86_feature_detected!("avx512f") {
                wide::product(sizes, out, a, b, add, factor, part);
            } else {
                narrow::product(sizes, out, a, b, add, factor, part);
            }
        }
        true
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// A product with one kind of vectors: blocks of `$rows` rows, then single ones; pairs of vectors of columns, then single ones.
#[cfg(target_arch = "x86_64")]
macro_rules! kernel {
    ($name:ident, $features:literal, $lanes:literal, $rows:literal,
     $zero:ident, $set:ident, $load:ident, $store:ident, $fma:ident, $add:ident, $mul:ident) => {
        mod $name {
            use super::{Matrix, Part};
            use std::arch::x86_64::*;

            /// # Safety
            /// As for [`super::product`]; the machine has the instructions.
            #[target_feature(enable = $features)]
            pub unsafe fn product(
                [m, n, k]: [usize; 3],
                out: Matrix<f32>,
                a: Matrix<f32>,
                b: Matrix<f32>,
                add: bool,
                factor: f32,
                part: Part,
            ) {
                let mut i = 0;
                while i < m {
                    let rows = if i + $rows <= m { $rows } else { 1 };
                    let (columns, from, to) = part.limits(i, rows, [n, k]);
                    // SAFETY: rows, columns and the sum's range lie inside the matrices; columns are rounded up to whole vectors,
                    // of which `n` is a multiple.
                    unsafe {
                        let (a, out) = (a.rows_from(i), out.rows_from(i));
                        let sum =
                            (to.saturating_sub(from), a.at.offset(from as isize * a.column), b.rows_from(from).at);
                        let mut j = 0;
                        while j < columns {
                            let pair = j + 2 * $lanes <= n;
                            match (rows == $rows, pair) {
                                (true, true) => tile::<$rows, 2>(j, sum, a, b.row, out, add, factor),
                                (true, false) => tile::<$rows, 1>(j, sum, a, b.row, out, add, factor),
                                (false, true) => tile::<1, 2>(j, sum, a, b.row, out, add, factor),
                                (false, false) => tile::<1, 1>(j, sum, a, b.row, out, add, factor),
                            }
                            j += if pair { 2 * $lanes } else { $lanes };
                        }
                    }
                    i += rows;
                }
            }

            /// `R` rows and `V` vectors of columns from column `j` on; `sum` is the number of terms, and where `a` and `b` begin.
            ///
            /// # Safety
            /// As for [`product`].
            #[inline]
            #[target_feature(enable = $features)]
            #[allow(clippy::needless_range_loop)] // plain ranges, which the compiler unrolls: the sums stay in registers
            unsafe fn tile<const R: usize, const V: usize>(
                j: usize,
                (terms, from_a, from_b): (usize, *mut f32, *mut f32),
                a: Matrix<f32>,
                b_row: isize,
                out: Matrix<f32>,
                add: bool,
                factor: f32,
            ) {
                let mut sums = [[$zero(); V]; R];
                // SAFETY: the caller's promise.
                unsafe {
                    for p in 0..terms as isize {
                        let at = from_b.offset(p * b_row).add(j);
                        let mut b = [$zero(); V];
                        for v in 0..V {
                            b[v] = $load(at.add(v * $lanes));
                        }
                        for r in 0..R {
                            let x = $set(*from_a.offset(r as isize * a.row + p * a.column));
                            for v in 0..V {
                                sums[r][v] = $fma(x, b[v], sums[r][v]);
                            }
                        }
                    }
                    let factor = $set(factor);
                    for r in 0..R {
                        let to = out.at.offset(r as isize * out.row).add(j);
                        for v in 0..V {
                            let at = to.add(v * $lanes);
                            let value = $mul(factor, sums[r][v]);
                            $store(at, if add { $add($load(at), value) } else { value });
                        }
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernel!(
    wide,
    "avx512f,avx2,fma",
    16,
    8,
    _mm512_setzero_ps,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_fmadd_ps,
    _mm512_add_ps,
    _mm512_mul_ps
);
#[cfg(target_arch = "x86_64")]
kernel!(
    narrow,
    "avx2,fma",
    8,
    6,
    _mm256_setzero_ps,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_fmadd_ps,
    _mm256_add_ps,
    _mm256_mul_ps
);

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(values: &mut [f32], row: usize, column: usize) -> Matrix<f32> {
        Matrix { at: values.as_mut_ptr(), row: row as isize, column: column as isize }
    }

    /// Every part, with rows and vectors left over, against a plain sum.
    #[test]
    fn parts_are_those_of_the_whole_product() {
        let (m, n, k) = (19, 48, 21);
        let number = |i: usize| ((i * 37 % 29) as f32 - 14.0) / 8.0;
        let parts = |shift| [Part::Whole, Part::Scores { shift }, Part::Queries { shift }, Part::Keys { shift }];
        for part in [-3, 0, 5, 40].into_iter().flat_map(parts) {
            let mut a: Vec<f32> = (0..m * k).map(number).collect();
            for (i, row) in a.chunks_exact_mut(k).enumerate() {
                for (p, x) in row.iter_mut().enumerate() {
                    let (i, p) = (i as isize, p as isize);
                    let hidden = match part {
                        Part::Queries { shift } => p > i + shift,
                        Part::Keys { shift } => p < i - shift,
                        _ => false,
                    };
                    *x = if hidden { 0.0 } else { *x };
                }
            }
            let mut b: Vec<f32> = (0..k * n).map(number).collect();
            for add in [false, true] {
                let mut out = vec![1.0; m * n];
                let [to, x, y] = [matrix(&mut out, n, 1), matrix(&mut a, k, 1), matrix(&mut b, n, 1)];
                // SAFETY: the matrices have these sizes.
                if !unsafe { product([m, n, k], to, x, y, add, 2.0, part) } {
                    return; // A machine without these instructions.
                }
                for i in 0..m {
                    let wanted = match part {
                        Part::Scores { shift } => (i as isize + shift + 1).clamp(0, n as isize) as usize,
                        _ => n,
                    };
                    for j in 0..wanted {
                        let sum: f32 = (0..k).map(|p| a[i * k + p] * b[p * n + j]).sum();
                        let exact = if add { 1.0 + 2.0 * sum } else { 2.0 * sum };
                        assert!(
                            (out[i * n + j] - exact).abs() < 1e-3,
                            "{part:?} {add} [{i}, {j}]: {} {exact}",
                            out[i * n + j]
                        );
                    }
                }
            }
        }
    }
}
