//! Eigenvalues and eigenvectors of a symmetric matrix: Householder's reduction to three diagonals and the implicit QL
//! algorithm (H. Bowdler, R. Martin, C. Reinsch and J. Wilkinson, "The QR and QL algorithms for symmetric matrices", 1968).

/// Turns for one eigenvalue; a handful is usual.
const MOST_TURNS: usize = 100;

/// Row 0 of `out` [n + 1, n] gets the eigenvalues, ascending, the rows below it the matrix whose columns are the
/// eigenvectors, each with its largest component positive. Reads `a` as (A + Aᵀ) / 2. False if it does not converge.
pub fn eigh(n: usize, a: &[f64], out: &mut [f64]) -> bool {
    let mut v: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| 0.5 * (a[i * n + j] + a[j * n + i])).collect()).collect();
    let (mut d, mut e) = (vec![0.0; n], vec![0.0; n]);
    tridiagonal(n, &mut v, &mut d, &mut e);
    if !diagonal(n, &mut v, &mut d, &mut e) {
        return false;
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|i, j| d[*i].total_cmp(&d[*j]));
    for (to, from) in order.into_iter().enumerate() {
        out[to] = d[from];
        let largest = (0..n).map(|i| v[i][from]).fold(0.0, |m: f64, x| if x.abs() > m.abs() { x } else { m });
        let sign = if largest < 0.0 { -1.0 } else { 1.0 };
        for i in 0..n {
            out[(i + 1) * n + to] = sign * v[i][from];
        }
    }
    true
}

/// A = V T Vᵀ with three diagonals in T: `d`, and `e` beside it.
fn tridiagonal(n: usize, v: &mut [Vec<f64>], d: &mut [f64], e: &mut [f64]) {
    d.copy_from_slice(&v[n - 1]);
    for i in (1..n).rev() {
        let scale: f64 = d[..i].iter().map(|x| x.abs()).sum();
        let mut h = 0.0;
        if scale == 0.0 {
            e[i] = d[i - 1];
            for j in 0..i {
                d[j] = v[i - 1][j];
                v[i][j] = 0.0;
                v[j][i] = 0.0;
            }
        } else {
            for x in &mut d[..i] {
                *x /= scale;
                h += *x * *x;
            }
            let f = d[i - 1];
            let g = if f > 0.0 { -h.sqrt() } else { h.sqrt() };
            e[i] = scale * g;
            h -= f * g;
            d[i - 1] = f - g;
            e[..i].fill(0.0);
            for j in 0..i {
                let f = d[j];
                v[j][i] = f;
                let mut g = e[j] + v[j][j] * f;
                for k in j + 1..i {
                    g += v[k][j] * d[k];
                    e[k] += v[k][j] * f;
                }
                e[j] = g;
            }
            let mut f = 0.0;
            for j in 0..i {
                e[j] /= h;
                f += e[j] * d[j];
            }
            let half = f / (h + h);
            for j in 0..i {
                e[j] -= half * d[j];
            }
            for j in 0..i {
                let (f, g) = (d[j], e[j]);
                for k in j..i {
                    v[k][j] -= f * e[k] + g * d[k];
                }
                d[j] = v[i - 1][j];
                v[i][j] = 0.0;
            }
        }
        d[i] = h;
    }
    for i in 0..n - 1 {
        v[n - 1][i] = v[i][i];
        v[i][i] = 1.0;
        let h = d[i + 1];
        if h != 0.0 {
            for k in 0..=i {
                d[k] = v[k][i + 1] / h;
            }
            for j in 0..=i {
                let g: f64 = (0..=i).map(|k| v[k][i + 1] * v[k][j]).sum();
                for k in 0..=i {
                    v[k][j] -= g * d[k];
                }
            }
        }
        for row in &mut v[..=i] {
            row[i + 1] = 0.0;
        }
    }
    for j in 0..n {
        d[j] = std::mem::take(&mut v[n - 1][j]);
    }
    v[n - 1][n - 1] = 1.0;
    e[0] = 0.0;
}

/// The diagonal form of a matrix of three diagonals.
fn diagonal(n: usize, v: &mut [Vec<f64>], d: &mut [f64], e: &mut [f64]) -> bool {
    e.rotate_left(1);
    e[n - 1] = 0.0;
    let (mut shift, mut largest) = (0.0, 0.0f64);
    for l in 0..n {
        largest = largest.max(d[l].abs() + e[l].abs());
        let m = (l..n).find(|m| e[*m].abs() <= f64::EPSILON * largest).unwrap_or(n - 1);
        let mut turns = 0;
        while m > l && e[l].abs() > f64::EPSILON * largest {
            turns += 1;
            if turns > MOST_TURNS {
                return false;
            }
            let g = d[l];
            let mut p = (d[l + 1] - g) / (2.0 * e[l]);
            let r = if p < 0.0 { -p.hypot(1.0) } else { p.hypot(1.0) };
            d[l] = e[l] / (p + r);
            d[l + 1] = e[l] * (p + r);
            let next = d[l + 1];
            let h = g - d[l];
            for x in &mut d[l + 2..] {
                *x -= h;
            }
            shift += h;
            p = d[m];
            let (mut c, mut c2, mut c3) = (1.0, 1.0, 1.0);
            let below = e[l + 1];
            let (mut s, mut s2) = (0.0, 0.0);
            for i in (l..m).rev() {
                c3 = c2;
                c2 = c;
                s2 = s;
                let g = c * e[i];
                let h = c * p;
                let r = p.hypot(e[i]);
                e[i + 1] = s * r;
                s = e[i] / r;
                c = p / r;
                p = c * d[i] - s * g;
                d[i + 1] = h + s * (c * g + s * d[i]);
                for row in v.iter_mut() {
                    let h = row[i + 1];
                    row[i + 1] = s * row[i] + c * h;
                    row[i] = c * row[i] - s * h;
                }
            }
            p = -s * s2 * c3 * below * e[l] / next;
            e[l] = s * p;
            d[l] = c * p;
        }
        d[l] += shift;
        e[l] = 0.0;
    }
    true
}
