//! Triangular and orthogonal factors.

/// What elimination cannot divide by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pivot {
    /// From 0.
    pub place: usize,
    pub value: f64,
}

/// The first factor of A = Q R, [m, min(m, n)], by Householder's reflections; R's diagonal is not negative. Columns that
/// depend on earlier ones still become orthonormal.
pub fn orthonormal(m: usize, n: usize, a: &[f64], q: &mut [f64]) -> bool {
    let k = m.min(n);
    let mut r = a.to_vec();
    let mut mirrors: Vec<Vec<f64>> = vec![];
    let mut signs = vec![1.0; k];
    for j in 0..k {
        let mut v: Vec<f64> = (j..m).map(|i| r[i * n + j]).collect();
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let head = if v[0] < 0.0 { -norm } else { norm };
        // The reflection takes the column to -head.
        signs[j] = if head > 0.0 { -1.0 } else { 1.0 };
        v[0] += head;
        let square: f64 = v.iter().map(|x| x * x).sum();
        if square > 0.0 {
            v.iter_mut().for_each(|x| *x /= square.sqrt());
        } else {
            signs[j] = 1.0;
        }
        reflect(&v, j, &mut r, n);
        mirrors.push(v);
    }
    q.fill(0.0);
    for j in 0..k {
        q[j * k + j] = signs[j];
    }
    for (j, v) in mirrors.iter().enumerate().rev() {
        reflect(v, j, q, k);
    }
    true
}

/// (I - 2 v vᵀ) times the rows from `first` on of a matrix with `n` columns.
fn reflect(v: &[f64], first: usize, matrix: &mut [f64], n: usize) {
    for j in 0..n {
        let dot: f64 = v.iter().enumerate().map(|(i, x)| x * matrix[(first + i) * n + j]).sum();
        for (i, x) in v.iter().enumerate() {
            matrix[(first + i) * n + j] -= 2.0 * dot * x;
        }
    }
}

/// L of A = L Lᵀ. If A is not positive definite: the first pivot that is not positive.
pub fn cholesky(n: usize, a: &[f64], l: &mut [f64]) -> Result<(), Pivot> {
    l.fill(0.0);
    for i in 0..n {
        for j in 0..=i {
            let rest: f64 = (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum();
            let value = a[i * n + j] - rest;
            if i == j {
                if value.is_nan() || value <= 0.0 {
                    return Err(Pivot { place: i, value });
                }
                l[i * n + i] = value.sqrt();
            } else {
                l[i * n + j] = value / l[j * n + j];
            }
        }
    }
    Ok(())
}

/// X of A X = B, by elimination with partial pivoting. If A is singular: the column that has no pivot left.
pub fn solve(n: usize, a: &[f64], b: &[f64], x: &mut [f64]) -> Result<(), Pivot> {
    let columns = b.len() / n.max(1);
    let mut a = a.to_vec();
    x.copy_from_slice(b);
    for j in 0..n {
        let pivot = (j..n).max_by(|p, q| a[p * n + j].abs().total_cmp(&a[q * n + j].abs())).unwrap_or(j);
        if a[pivot * n + j] == 0.0 {
            return Err(Pivot { place: j, value: 0.0 });
        }
        for k in 0..n {
            a.swap(j * n + k, pivot * n + k);
        }
        for k in 0..columns {
            x.swap(j * columns + k, pivot * columns + k);
        }
        for i in j + 1..n {
            let factor = a[i * n + j] / a[j * n + j];
            for k in j..n {
                a[i * n + k] -= factor * a[j * n + k];
            }
            for k in 0..columns {
                x[i * columns + k] -= factor * x[j * columns + k];
            }
        }
    }
    for j in (0..n).rev() {
        for k in 0..columns {
            let rest: f64 = (j + 1..n).map(|i| a[j * n + i] * x[i * columns + k]).sum();
            x[j * columns + k] = (x[j * columns + k] - rest) / a[j * n + j];
        }
    }
    Ok(())
}
