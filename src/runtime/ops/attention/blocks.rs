//! Blocks of scores: some queries and some keys of one head in scratch memory, and what of them is seen.

use super::super::gemm::Matrix;
use super::rows::Number;
use super::tiles::{COLUMNS, Part};
use super::{Attention, KEYS, Place};

impl Attention {
    /// Keys that some query before `end` sees.
    pub(super) fn keys(&self, end: usize) -> usize {
        if self.of.causal { end.min(self.sizes.s) } else { self.sizes.s }
    }

    /// Keys that query `i` sees among `n` from `j0`.
    pub(super) fn seen(&self, i: usize, (j0, n): (usize, usize)) -> usize {
        if self.of.causal { (i + 1).saturating_sub(j0).min(n) } else { n }
    }

    /// Fills up the last vector of what each row sees, and the rest of the row with zeros. For all rows at once: a vector that is
    /// read right after single elements were written waits for them.
    pub(super) fn hide<T: Number>(&self, block: &mut [T], (i0, m): (usize, usize), keys: (usize, usize), filling: T) {
        for i in 0..m {
            let count = self.seen(i0 + i, keys);
            let whole = count.next_multiple_of(COLUMNS);
            let row = &mut block[i * KEYS..(i + 1) * KEYS];
            row[count..whole].fill(filling);
            row[whole..keys.1.next_multiple_of(COLUMNS)].fill(T::of(0.0));
        }
    }

    /// What a product of queries from `i0` with keys from `j0` may leave out.
    pub(super) fn part(&self, of: fn(isize) -> Part, i0: usize, j0: usize) -> Part {
        if self.of.causal { of(i0 as isize - j0 as isize) } else { Part::Whole }
    }

    /// The scores of `m` queries from `i0` and `n` keys from `j0`, row by row with `KEYS` elements each: scaled, and with the mask.
    /// Only those that [`Attention::seen`] counts have a meaning. `k` is the block of keys as [`columns`] leaves it.
    ///
    /// # Safety
    /// Queries, keys and the mask are those of one head, and the ranges lie inside them.
    #[allow(clippy::too_many_arguments)]
    pub(super) unsafe fn scores<T: Number>(
        &self,
        score: &mut [T],
        q: Matrix<T>,
        k: Matrix<T>,
        mask: Option<Matrix<T>>,
        (i0, m): (usize, usize),
        (j0, n): (usize, usize),
    ) {
        let part = self.part(|shift| Part::Scores { shift }, i0, j0);
        let scale = T::of(self.of.scale);
        // SAFETY: the caller's promise; blocks of keys are filled up to a whole number of vectors.
        unsafe {
            let sizes = [m, n.next_multiple_of(COLUMNS), self.sizes.d];
            T::multiply(sizes, dense(score), q.rows_from(i0), k, false, scale, part);
            if let Some(mask) = mask {
                for i in 0..m {
                    let row = mask.rows_from(i0 + i);
                    for (j, to) in score[i * KEYS..i * KEYS + n].iter_mut().enumerate() {
                        *to = *to + *row.at.offset((j0 + j) as isize * row.column);
                    }
                }
            }
        }
    }
}

/// The part of a value that belongs to one head.
///
/// # Safety
/// `place` lies inside the value that `base` points to.
pub unsafe fn part_of<T>(base: *mut u8, place: &Place, batch: &[usize], head: usize) -> Matrix<T> {
    // SAFETY: the caller's promise.
    let at = unsafe { base.cast::<T>().offset(place.of(batch, head)) };
    Matrix { at, row: place.row, column: place.column }
}

/// # Safety
/// The matrix has that many rows and columns.
pub unsafe fn clear<T: Number>(x: Matrix<T>, rows: usize, columns: usize) {
    for i in 0..rows as isize {
        for j in 0..columns as isize {
            // SAFETY: the caller's promise.
            unsafe { *x.at.offset(i * x.row + j * x.column) = T::of(0.0) };
        }
    }
}

/// A block of scores in scratch memory, or a block of turned keys.
pub fn dense<T>(block: &mut [T]) -> Matrix<T> {
    Matrix { at: block.as_mut_ptr(), row: KEYS as isize, column: 1 }
}

/// The `count` elements of row `i` of a block that have a meaning, and those that fill the last vector.
pub fn row_of<T>(block: &mut [T], i: usize, count: usize) -> &mut [T] {
    &mut block[i * KEYS..i * KEYS + count.next_multiple_of(COLUMNS)]
}

/// Writes blocks of `KEYS` rows of a matrix as columns, [width, KEYS] each, as many as `to` holds; zeros after the last row.
///
/// # Safety
/// The matrix has that many rows and columns.
pub unsafe fn columns<T: Number>(to: &mut [T], x: Matrix<T>, rows: usize, width: usize) {
    for (block, to) in to.chunks_exact_mut((width * KEYS).max(1)).enumerate() {
        let count = KEYS.min(rows.saturating_sub(block * KEYS));
        for c in 0..width {
            let row = &mut to[c * KEYS..(c + 1) * KEYS];
            for (r, to) in row[..count].iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                *to = unsafe { *x.at.offset((block * KEYS + r) as isize * x.row + c as isize * x.column) };
            }
            row[count..].fill(T::of(0.0));
        }
    }
}
