//! Decompositions of small dense matrices, in 64 bits: what rules such as Shampoo and SOAP ask for now and then.
//!
//! The interpreter and compiled programs share them. They are plain loops without threads, so that their results depend on
//! nothing but their operands. Matrices are row-major. Nothing here panics on numbers: what has no result (a matrix with
//! a NaN, a singular system) gives NaN in every element.

mod eigen;
mod factor;

use crate::ir::op::Decomposition;

pub use eigen::eigh;
pub use factor::{Pivot, cholesky, orthonormal, solve};

/// Applies a decomposition to a stack of matrices. `shapes` are the operands' last two axes.
pub fn apply(kind: Decomposition, args: &[&[f64]], shapes: &[[usize; 2]], out: &mut [f64]) {
    let [m, n] = shapes[0];
    let matrices = args[0].len().checked_div(m * n).unwrap_or(0);
    if matrices == 0 {
        return;
    }
    let each = out.len() / matrices;
    for (k, (a, out)) in args[0].chunks_exact(m * n).zip(out.chunks_exact_mut(each.max(1))).enumerate() {
        let finite = a.iter().all(|v| v.is_finite());
        let done = finite
            && match kind {
                Decomposition::Eigh => eigh(n, a, out),
                Decomposition::Orthonormal => orthonormal(m, n, a, out),
                Decomposition::Cholesky => cholesky(n, a, out).is_ok(),
                Decomposition::Solve => {
                    let size = n * shapes[1][1];
                    solve(n, a, &args[1][k * size..(k + 1) * size], out).is_ok()
                }
            };
        if !done {
            out.fill(f64::NAN);
        }
    }
}

/// Why a matrix has no result.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// So many elements are NaN or infinite.
    NotFinite(usize),
    Singular(Pivot),
    /// And the least and the greatest eigenvalue of its symmetric part.
    NotPositive(Pivot, Option<[f64; 2]>),
    /// The iteration for eigenvalues does not end.
    NoEnd,
}

/// Of a stack of square matrices, the first that has no result: its place in the stack, and why.
pub fn problem(kind: Decomposition, a: &[f64], shape: [usize; 2]) -> Option<(usize, Problem)> {
    let [m, n] = shape;
    let why = |a: &[f64]| {
        let bad = a.iter().filter(|v| !v.is_finite()).count();
        if bad > 0 {
            return Some(Problem::NotFinite(bad));
        }
        match kind {
            Decomposition::Orthonormal => None,
            Decomposition::Eigh => (!eigh(n, a, &mut vec![0.0; (n + 1) * n])).then_some(Problem::NoEnd),
            Decomposition::Solve => solve(n, a, &vec![0.0; n], &mut vec![0.0; n]).err().map(Problem::Singular),
            Decomposition::Cholesky => {
                let pivot = cholesky(n, a, &mut vec![0.0; n * n]).err()?;
                let mut values = vec![0.0; (n + 1) * n];
                let range = eigh(n, a, &mut values).then(|| [values[0], values[n - 1]]);
                Some(Problem::NotPositive(pivot, range))
            }
        }
    };
    a.chunks_exact((m * n).max(1)).enumerate().find_map(|(k, a)| Some((k, why(a)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(n: usize, m: usize, seed: u32) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / f64::from(1 << 24) - 0.5
        };
        (0..n * m).map(|_| next()).collect()
    }

    /// `a` [m, k] times `b` [k, n].
    fn product(a: &[f64], b: &[f64], [m, k, n]: [usize; 3]) -> Vec<f64> {
        let at = |i: usize, j: usize| (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
        (0..m * n).map(|p| at(p / n, p % n)).collect()
    }

    fn transposed(a: &[f64], m: usize, n: usize) -> Vec<f64> {
        (0..m * n).map(|p| a[(p % m) * n + p / m]).collect()
    }

    fn gap(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
    }

    fn identity(n: usize) -> Vec<f64> {
        (0..n * n).map(|p| f64::from(u8::from(p / n == p % n))).collect()
    }

    #[test]
    fn eigenvectors_put_a_symmetric_matrix_together() {
        for n in [1, 2, 3, 10, 40] {
            let b = matrix(n, n, 7);
            let a = product(&b, &transposed(&b, n, n), [n, n, n]);
            let mut out = vec![0.0; (n + 1) * n];
            apply(Decomposition::Eigh, &[&a], &[[n, n]], &mut out);
            let (values, v) = out.split_at(n);
            assert!(values.windows(2).all(|w| w[0] <= w[1]));
            let scaled: Vec<f64> = v.iter().enumerate().map(|(p, x)| x * values[p % n]).collect();
            assert!(gap(&product(&scaled, &transposed(v, n, n), [n, n, n]), &a) < 1e-12, "n = {n}");
            assert!(gap(&product(&transposed(v, n, n), v, [n, n, n]), &identity(n)) < 1e-12);
        }
    }

    #[test]
    fn columns_become_orthonormal_and_span_the_same() {
        for (m, n) in [(5, 3), (4, 4), (3, 5), (1, 1)] {
            let k = m.min(n);
            let a = matrix(m, n, 3);
            let mut q = vec![0.0; m * k];
            apply(Decomposition::Orthonormal, &[&a], &[[m, n]], &mut q);
            let qt = transposed(&q, m, k);
            assert!(gap(&product(&qt, &q, [k, m, k]), &identity(k)) < 1e-13);
            let r = product(&qt, &a, [k, m, n]);
            assert!(gap(&product(&q, &r, [m, k, n]), &a) < 1e-13);
            assert!((0..k).all(|i| r[i * n + i] >= 0.0));
        }
    }

    #[test]
    fn factors_and_solutions_fit() {
        let n = 8;
        let b = matrix(n, n, 5);
        let mut a = product(&b, &transposed(&b, n, n), [n, n, n]);
        let mut l = vec![0.0; n * n];
        apply(Decomposition::Cholesky, &[&a], &[[n, n]], &mut l);
        assert!(gap(&product(&l, &transposed(&l, n, n), [n, n, n]), &a) < 1e-14);
        a[0] = 0.0;
        let y = matrix(n, 2, 9);
        let mut x = vec![0.0; n * 2];
        apply(Decomposition::Solve, &[&a, &y], &[[n, n], [n, 2]], &mut x);
        assert!(gap(&product(&a, &x, [n, n, 2]), &y) < 1e-9);
    }

    #[test]
    fn the_reason_is_told() {
        let why = |kind, a: &[f64]| problem(kind, a, [2, 2]);
        let singular = Problem::Singular(Pivot { place: 1, value: 0.0 });
        let both = [1.0, 0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 4.0];
        assert_eq!(why(Decomposition::Solve, &both), Some((1, singular)));
        let Some((0, Problem::NotPositive(pivot, Some([low, high])))) =
            why(Decomposition::Cholesky, &[1.0, 2.0, 2.0, 1.0])
        else {
            panic!("not positive definite");
        };
        assert_eq!((pivot.place, pivot.value), (1, -3.0));
        assert!((low + 1.0).abs() < 1e-12 && (high - 3.0).abs() < 1e-12);
        assert_eq!(why(Decomposition::Eigh, &[1.0, f64::NAN, 0.0, 1.0]), Some((0, Problem::NotFinite(1))));
        assert_eq!(why(Decomposition::Cholesky, &[2.0, 1.0, 1.0, 2.0]), None);
    }

    #[test]
    fn what_has_no_result_is_nan() {
        let nan = |kind, a: &[f64], size| {
            let mut out = vec![0.0; size];
            apply(kind, &[a, &[1.0, 1.0]], &[[2, 2], [2, 1]], &mut out);
            out.iter().all(|v| v.is_nan())
        };
        assert!(nan(Decomposition::Eigh, &[1.0, f64::NAN, 0.0, 1.0], 6));
        assert!(nan(Decomposition::Cholesky, &[1.0, 2.0, 2.0, 1.0], 4));
        assert!(nan(Decomposition::Solve, &[1.0, 2.0, 2.0, 4.0], 2));
        assert!(!nan(Decomposition::Orthonormal, &[0.0, 0.0, 0.0, 0.0], 4));
        assert!(!nan(Decomposition::Eigh, &[0.0, 0.0, 0.0, 0.0], 6));
    }
}
