//! Matrix products: strided operands, batch loops, and tiles that depend on nothing but the shape.

use super::gemm::{Element, Matrix, multiply};
use crate::ir::DType;
use crate::passes::fuse::operands::Strided;
use crate::runtime::pool::Pool;

/// A loop around a product: its extent and the step of each operand, in elements.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Loop {
    extent: usize,
    lhs: isize,
    rhs: isize,
    out: isize,
}

/// A prepared general dot product.
#[derive(Clone, Debug)]
pub struct Product {
    dtype: DType,
    m: usize,
    n: usize,
    k: usize,
    /// (row, column) strides, in elements.
    lhs: (isize, isize),
    rhs: (isize, isize),
    out: (isize, isize),
    /// Each combination is a product of its own.
    batch: Vec<Loop>,
    /// Further contracted axes: products that are added up.
    sums: Vec<Loop>,
    tiles: usize,
    split_rows: bool,
    lhs_offset: usize,
    rhs_offset: usize,
}

/// The numbers of a general dot product.
pub struct Axes<'a> {
    pub lhs_shape: &'a [usize],
    pub rhs_shape: &'a [usize],
    pub lhs_batch: &'a [usize],
    pub rhs_batch: &'a [usize],
    pub lhs_contract: &'a [usize],
    pub rhs_contract: &'a [usize],
}

/// Multiply-adds from which two cores are worth their handshake (some twenty microseconds of work).
const SHARED: usize = 1 << 20;
/// Multiply-adds of a tile of a large product.
const TILE: usize = 1 << 22;
const MOST_TILES: usize = 16;
/// Tiles cut columns if each gets this many: measured to be quicker than cutting rows, where operands are packed worse.
const COLUMNS: usize = 32;
/// Least rows of a tile of a product with a transposed left operand (a weight's gradient). Such tiles cut rows: columns would
/// make every tile read the whole transposed operand, at half the speed.
const ROWS: usize = 192;
/// Least columns of a tile of such a product with fewer rows: a tile packs the transposed operand once more.
const WIDE: usize = 96;
/// From this many rows on, a plain product's tiles cut rows, at least `ROWS` of them.
const TALL: usize = 1024;
/// Below this many multiply-adds a plain loop is quicker than the library's overhead.
const TINY: usize = 2048;

impl Product {
    pub fn new(dtype: DType, axes: &Axes, lhs: &Strided, rhs: &Strided) -> Product {
        let free = |rank: usize, a: &[usize], b: &[usize]| -> Vec<usize> {
            (0..rank).filter(|x| !a.contains(x) && !b.contains(x)).collect()
        };
        let lhs_free = free(axes.lhs_shape.len(), axes.lhs_batch, axes.lhs_contract);
        let rhs_free = free(axes.rhs_shape.len(), axes.rhs_batch, axes.rhs_contract);
        let mut out_shape: Vec<usize> = axes.lhs_batch.iter().map(|a| axes.lhs_shape[*a]).collect();
        out_shape.extend(lhs_free.iter().map(|a| axes.lhs_shape[*a]));
        out_shape.extend(rhs_free.iter().map(|a| axes.rhs_shape[*a]));
        let out: Vec<isize> = crate::ir::types::strides(&out_shape).iter().map(|s| *s as isize).collect();
        let l = |a: usize| lhs.strides[a] as isize;
        let r = |a: usize| rhs.strides[a] as isize;
        let batches = axes.lhs_batch.len();
        let mut batch: Vec<Loop> = (0..batches)
            .map(|k| {
                let (a, b) = (axes.lhs_batch[k], axes.rhs_batch[k]);
                Loop { extent: axes.lhs_shape[a], lhs: l(a), rhs: r(b), out: out[k] }
            })
            .collect();
        let rows: Vec<Loop> = lhs_free
            .iter()
            .enumerate()
            .map(|(k, a)| Loop { extent: axes.lhs_shape[*a], lhs: l(*a), rhs: 0, out: out[batches + k] })
            .collect();
        let columns: Vec<Loop> = rhs_free
            .iter()
            .enumerate()
            .map(|(k, a)| Loop { extent: axes.rhs_shape[*a], lhs: 0, rhs: r(*a), out: out[batches + rows.len() + k] })
            .collect();
        let mut contracted: Vec<Loop> = axes
            .lhs_contract
            .iter()
            .zip(axes.rhs_contract)
            .map(|(a, b)| Loop { extent: axes.lhs_shape[*a], lhs: l(*a), rhs: r(*b), out: 0 })
            .collect();
        // The order of summed axes is free: the one that lets most of them merge.
        contracted.sort_by_key(|c| std::cmp::Reverse((c.lhs, c.rhs)));
        let (row, more_rows) = merged(rows);
        let (column, more_columns) = merged(columns);
        let (sum, sums) = merged(contracted);
        batch.extend(more_rows);
        batch.extend(more_columns);
        batch.retain(|l| l.extent != 1);
        let mut product = Product {
            dtype,
            m: row.extent,
            n: column.extent,
            k: sum.extent,
            lhs: (row.lhs, sum.lhs),
            rhs: (sum.rhs, column.rhs),
            out: (row.out, column.out),
            batch,
            sums,
            tiles: 1,
            split_rows: false,
            lhs_offset: lhs.offset,
            rhs_offset: rhs.offset,
        };
        let work = product.m.saturating_mul(product.n).saturating_mul(product.k);
        if work >= SHARED {
            // A power of two, so that two and four cores get equal shares.
            let mut tiles = (work / TILE).clamp(2, MOST_TILES);
            let transposed = product.lhs.0 == 1 && product.lhs.1 != 1;
            let (rows, columns) = (product.m, product.n);
            product.split_rows = if transposed && rows >= 2 * ROWS {
                tiles = tiles.min(rows / ROWS);
                true
            } else if transposed && columns >= 2 * WIDE {
                tiles = tiles.min(columns / WIDE);
                false
            } else if !transposed && rows >= TALL {
                tiles = tiles.min(rows / ROWS);
                true
            } else {
                columns >> tiles.ilog2() < COLUMNS
            };
            product.tiles = 1 << tiles.ilog2();
        }
        product
    }

    /// Multiply-adds of the whole product.
    pub fn work(&self) -> usize {
        let loops: usize = self.batch.iter().chain(&self.sums).map(|l| l.extent).product();
        self.m * self.n * self.k * loops
    }

    /// # Safety
    /// The pointers are those of values with the shapes that the product was made for, and `out` overlaps none of them.
    pub unsafe fn run(&self, pool: &Pool, lhs: *const u8, rhs: *const u8, out: *mut u8) {
        let batches: usize = self.batch.iter().map(|l| l.extent).product();
        let tasks = batches * self.tiles;
        if self.work() < SHARED {
            for task in 0..tasks {
                // SAFETY: the caller's promise.
                unsafe { self.task(task, lhs, rhs, out) };
            }
            return;
        }
        // Small products of a batch go together.
        let chunk = (SHARED / (self.m * self.n * self.k).max(1)).clamp(1, tasks.max(1));
        let pointers = (lhs as usize, rhs as usize, out as usize);
        pool.run(tasks.div_ceil(chunk), &|c, _| {
            for task in c * chunk..((c + 1) * chunk).min(tasks) {
                // SAFETY: the caller's promise; tasks write disjoint parts of `out`.
                unsafe { self.task(task, pointers.0 as _, pointers.1 as _, pointers.2 as _) };
            }
        });
    }

    /// # Safety
    /// As for [`Product::run`].
    unsafe fn task(&self, task: usize, lhs: *const u8, rhs: *const u8, out: *mut u8) {
        let tile = task % self.tiles;
        let mut rest = task / self.tiles;
        let (mut l, mut r, mut o) = (self.lhs_offset as isize, self.rhs_offset as isize, 0);
        for b in self.batch.iter().rev() {
            let i = (rest % b.extent) as isize;
            rest /= b.extent;
            (l, r, o) = (l + i * b.lhs, r + i * b.rhs, o + i * b.out);
        }
        let (mut m, mut n) = (self.m, self.n);
        if self.tiles > 1 {
            let size = if self.split_rows { m } else { n };
            let step = size.div_ceil(self.tiles).next_multiple_of(16);
            let start = (tile * step).min(size);
            let count = step.min(size - start);
            if self.split_rows {
                (l, o, m) = (l + start as isize * self.lhs.0, o + start as isize * self.out.0, count);
            } else {
                (r, o, n) = (r + start as isize * self.rhs.1, o + start as isize * self.out.1, count);
            }
        }
        if m == 0 || n == 0 {
            return;
        }
        let sums: usize = self.sums.iter().map(|s| s.extent).product();
        for s in 0..sums.max(1) {
            let (mut ls, mut rs, mut rest) = (l, r, s);
            for b in self.sums.iter().rev() {
                let i = (rest % b.extent.max(1)) as isize;
                rest /= b.extent.max(1);
                (ls, rs) = (ls + i * b.lhs, rs + i * b.rhs);
            }
            let k = if sums == 0 { 0 } else { self.k };
            // SAFETY: offsets stay inside the operands by construction of the loops.
            unsafe {
                match self.dtype {
                    DType::F64 => self.multiply::<f64>([m, n, k], out, o, lhs, ls, rhs, rs, s > 0),
                    _ => self.multiply::<f32>([m, n, k], out, o, lhs, ls, rhs, rs, s > 0),
                }
            }
        }
    }

    /// `out = lhs rhs`, or `out += lhs rhs`; each from an element of its value on.
    ///
    /// # Safety
    /// The values reach `m * k`, `k * n` and `m * n` elements from there at the product's strides.
    #[allow(clippy::too_many_arguments)]
    unsafe fn multiply<T: Element>(
        &self,
        [m, n, k]: [usize; 3],
        out: *mut u8,
        from_out: isize,
        lhs: *const u8,
        from_lhs: isize,
        rhs: *const u8,
        from_rhs: isize,
        add: bool,
    ) {
        let matrix = |at: *mut T, (row, column): (isize, isize)| Matrix { at, row, column };
        // SAFETY: the caller's promise.
        unsafe {
            let out = matrix(out.cast::<T>().offset(from_out), self.out);
            let a = matrix(lhs.cast_mut().cast::<T>().offset(from_lhs), self.lhs);
            let b = matrix(rhs.cast_mut().cast::<T>().offset(from_rhs), self.rhs);
            if m * n * k > TINY {
                return multiply([m, n, k], out, a, b, add, T::ONE);
            }
            for i in 0..m as isize {
                for j in 0..n as isize {
                    let at = out.at.offset(i * out.row + j * out.column);
                    let mut sum = if add { *at } else { T::default() };
                    for p in 0..k as isize {
                        sum = sum + *a.at.offset(i * a.row + p * a.column) * *b.at.offset(p * b.row + j * b.column);
                    }
                    *at = sum;
                }
            }
        }
    }
}

/// The innermost run of loops that steps as one, and the loops around it.
fn merged(loops: Vec<Loop>) -> (Loop, Vec<Loop>) {
    let mut rest: Vec<Loop> = loops.into_iter().filter(|l| l.extent != 1).collect();
    let Some(mut inner) = rest.pop() else { return (Loop { extent: 1, lhs: 1, rhs: 1, out: 1 }, vec![]) };
    while let Some(outer) = rest.last() {
        let n = inner.extent as isize;
        if outer.lhs != inner.lhs * n || outer.rhs != inner.rhs * n || outer.out != inner.out * n {
            break;
        }
        inner.extent *= outer.extent;
        rest.pop();
    }
    (inner, rest)
}
