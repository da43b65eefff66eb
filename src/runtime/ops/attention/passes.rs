//! The two passes over the blocks of a head.

use super::blocks::{clear, columns, dense, part_of, row_of};
use super::rows::Number;
use super::scratch::with_scratch;
use super::tiles::{COLUMNS, Part};
use super::{Attention, Backward, KEYS, QUERIES};
use crate::ir::attention::Sizes;
use std::ops::Range;

impl Attention {
    /// Blocks of queries of one head.
    ///
    /// # Safety
    /// As for [`Attention::run_as`].
    pub(super) unsafe fn forward<T: Number>(
        &self,
        args: &[usize],
        out: *mut u8,
        number: usize,
        head: usize,
        blocks: Range<usize>,
    ) {
        let Sizes { heads, groups, t, s, d, e, .. } = self.sizes;
        let batch = self.batch(number);
        let group = head / (heads / groups);
        // SAFETY: the caller's promise; every row is inside its operand by the sizes.
        unsafe {
            let q = part_of::<T>(args[0] as _, &self.q, &batch, head);
            let k = part_of::<T>(args[1] as _, &self.k, &batch, group);
            let v = part_of::<T>(args[2] as _, &self.v, &batch, group);
            let result = part_of::<T>(out, &self.out, &batch, head);
            let mask = self.mask.as_ref().map(|mask| part_of::<T>(args[3] as _, mask, &batch, head));
            let [elements, _] = self.sizes.output();
            let logs = out.cast::<T>().add(elements + (number * heads + head) * t);
            let blocks_of_keys = self.keys(t.min(blocks.end * QUERIES)).div_ceil(KEYS);
            let sizes = [QUERIES * KEYS, QUERIES, QUERIES, blocks_of_keys * d * KEYS, 0];
            with_scratch::<T, _>(sizes, |[score, tops, sums, turned, _]| {
                columns(turned, k, s, d);
                for block in blocks {
                    let i0 = block * QUERIES;
                    let m = QUERIES.min(t - i0);
                    let to = result.rows_from(i0);
                    tops[..m].fill(T::of(f64::NEG_INFINITY));
                    sums[..m].fill(T::of(0.0));
                    let seen = self.keys(i0 + m);
                    for j0 in (0..seen).step_by(KEYS) {
                        let n = KEYS.min(seen - j0);
                        let keys = dense(&mut turned[j0 * d..]);
                        self.scores(score, q, keys, mask, (i0, m), (j0, n));
                        self.hide(score, (i0, m), (j0, n), T::of(f64::NEG_INFINITY));
                        for i in 0..m {
                            let row = row_of(score, i, self.seen(i0 + i, (j0, n)));
                            let top = T::larger(tops[i], T::top(row));
                            let shift = T::exponentials(row, top);
                            // What was added up so far was relative to the old maximum.
                            let old = if j0 == 0 { T::of(0.0) } else { T::exp(tops[i] - T::finite(top)) };
                            sums[i] = sums[i] * old + shift;
                            tops[i] = top;
                            if j0 > 0 && old != T::of(1.0) {
                                let row = to.rows_from(i);
                                (0..e as isize).for_each(|c| {
                                    let at = row.at.offset(c * row.column);
                                    *at = *at * old;
                                });
                            }
                        }
                        let part = self.part(|shift| Part::Queries { shift }, i0, j0);
                        T::multiply([m, e, n], to, dense(score), v.rows_from(j0), j0 > 0, T::of(1.0), part);
                    }
                    for i in 0..m {
                        let row = to.rows_from(i);
                        let none = seen == 0 || sums[i] == T::of(0.0);
                        let factor = if none { T::of(0.0) } else { T::of(1.0) / sums[i] };
                        for c in 0..e as isize {
                            let at = row.at.offset(c * row.column);
                            *at = if none { T::of(0.0) } else { *at * factor };
                        }
                        // Infinite where nothing is seen: the backward pass then finds weights of 0.
                        let log = if none { T::of(f64::INFINITY) } else { tops[i] + T::ln(sums[i]) };
                        *logs.add(i0 + i) = log;
                    }
                }
            });
        }
    }

    /// All heads that share one head of keys and values.
    ///
    /// # Safety
    /// As for [`Attention::run_as`].
    pub(super) unsafe fn backward<T: Number>(
        &self,
        args: &[usize],
        out: *mut u8,
        number: usize,
        group: usize,
        pass: &Backward,
    ) {
        let Sizes { heads, groups, t, s, d, e, .. } = self.sizes;
        let batch = self.batch(number);
        let shared = heads / groups;
        let scale = T::of(self.of.scale);
        let one = T::of(1.0);
        // SAFETY: as in `forward`.
        unsafe {
            let k = part_of::<T>(args[1] as _, &self.k, &batch, group);
            let v = part_of::<T>(args[2] as _, &self.v, &batch, group);
            let dk = part_of::<T>(out, &pass.results[1], &batch, group);
            let dv = part_of::<T>(out, &pass.results[2], &batch, group);
            clear(dk, s, d);
            clear(dv, s, e);
            for head in group * shared..(group + 1) * shared {
                let q = part_of::<T>(args[0] as _, &self.q, &batch, head);
                let dq = part_of::<T>(out, &pass.results[0], &batch, head);
                let ct = part_of::<T>(args[4] as _, &pass.ct, &batch, head);
                let result = part_of::<T>(args[3] as _, &self.out, &batch, head);
                let mask = self.mask.as_ref().map(|mask| part_of::<T>(args[5] as _, mask, &batch, head));
                let [elements, _] = self.sizes.output();
                let logs = (args[3] as *const T).offset(pass.saved).add(elements + (number * heads + head) * t);
                let turned = self.keys(t).div_ceil(KEYS) * KEYS;
                let sizes = [QUERIES * KEYS, QUERIES * KEYS, QUERIES, turned * d, turned * e];
                with_scratch::<T, _>(sizes, |[weight, score_ct, means, keys, values]| {
                    columns(keys, k, s, d);
                    columns(values, v, s, e);
                    for i0 in (0..t).step_by(QUERIES) {
                        let m = QUERIES.min(t - i0);
                        for (i, mean) in means[..m].iter_mut().enumerate() {
                            // The mean of the weights' cotangents is that of the output times the output.
                            let (a, b) = (ct.rows_from(i0 + i), result.rows_from(i0 + i));
                            *mean = T::product(e, a.at, a.column, b.at, b.column);
                        }
                        let seen = self.keys(i0 + m);
                        if seen == 0 {
                            clear(dq.rows_from(i0), m, d);
                        }
                        for j0 in (0..seen).step_by(KEYS) {
                            let n = KEYS.min(seen - j0);
                            self.scores(weight, q, dense(&mut keys[j0 * d..]), mask, (i0, m), (j0, n));
                            let ct = ct.rows_from(i0);
                            let part = self.part(|shift| Part::Scores { shift }, i0, j0);
                            let wide = [m, n.next_multiple_of(COLUMNS), e];
                            T::multiply(wide, dense(score_ct), ct, dense(&mut values[j0 * e..]), false, one, part);
                            self.hide(weight, (i0, m), (j0, n), T::of(f64::NEG_INFINITY));
                            self.hide(score_ct, (i0, m), (j0, n), T::of(0.0));
                            for (i, mean) in means[..m].iter().enumerate() {
                                let count = self.seen(i0 + i, (j0, n));
                                let (row, cts) = (row_of(weight, i, count), row_of(score_ct, i, count));
                                T::score_cotangents(row, cts, *logs.add(i0 + i), *mean, scale);
                            }
                            let (p, ds) = (dense(weight), dense(score_ct));
                            let part = self.part(|shift| Part::Keys { shift }, i0, j0);
                            T::multiply([n, e, m], dv.rows_from(j0), p.transposed(), ct, true, one, part);
                            T::multiply([n, d, m], dk.rows_from(j0), ds.transposed(), q.rows_from(i0), true, one, part);
                            let part = self.part(|shift| Part::Queries { shift }, i0, j0);
                            T::multiply([m, d, n], dq.rows_from(i0), ds, k.rows_from(j0), j0 > 0, one, part);
                        }
                    }
                });
            }
        }
    }
}
