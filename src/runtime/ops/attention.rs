//! Attention in tiles (T. Dao et al., "FlashAttention", 2022): scores of a block of queries and a block of keys live in a
//! thread's scratch memory; running maxima and sums make the softmax of a row from its blocks (M. Milakov and N. Gimelshein,
//! 2018). The backward pass computes the scores again from the saved logarithms of the rows' sums.
//!
//! Tasks are heads, or blocks of queries where heads are few: they depend on the shapes alone, so that any number of threads
//! gives the same bits.

mod rows;
mod scratch;
mod tiles;

use crate::ir::attention::{Attention as Of, Sizes};
use crate::ir::{DType, Graph, NodeId, Op};
use crate::passes::fuse::operands::strided;
use crate::runtime::pool::Pool;
use rows::Number;
use scratch::with_scratch;
use tiles::{COLUMNS, Part};

/// Queries of a block, and keys of a block.
const QUERIES: usize = 64;
const KEYS: usize = 128;
/// With fewer heads than this, each block of queries is a task of its own.
const FEW_HEADS: usize = 16;

/// Where an operand's elements are, in elements from its pointer.
#[derive(Clone, Debug)]
struct Place {
    offset: isize,
    /// One for each axis of the batch.
    batch: Vec<isize>,
    row: isize,
    column: isize,
    /// From one head to the next.
    head: isize,
}

impl Place {
    /// Of an operand [.., time, heads * width] with these strides.
    fn new(strides: &[usize], offset: usize, width: usize) -> Place {
        let at = |axis: usize| strides[axis] as isize;
        let n = strides.len() - 2;
        let column = at(n + 1);
        let batch = (0..n).map(at).collect();
        Place { offset: offset as isize, batch, row: at(n), column, head: width as isize * column }
    }

    fn of(&self, batch: &[usize], head: usize) -> isize {
        let steps: isize = batch.iter().zip(&self.batch).map(|(i, stride)| *i as isize * stride).sum();
        self.offset + steps + head as isize * self.head
    }
}

/// The strides of a mask [.., heads, T, S]; 0 along axes of one element.
#[derive(Clone, Debug)]
struct Mask {
    offset: isize,
    batch: Vec<isize>,
    head: isize,
    row: isize,
    column: isize,
}

#[derive(Clone, Debug)]
enum Pass {
    Forward,
    /// Where the cotangent of the output is, and where those of queries, keys and values go.
    Backward {
        ct: Place,
        saved: isize,
        results: [Place; 3],
    },
}

/// A prepared call of either primitive.
#[derive(Clone, Debug)]
pub struct Attention {
    dtype: DType,
    of: Of,
    sizes: Sizes,
    q: Place,
    k: Place,
    v: Place,
    out: Place,
    mask: Option<Mask>,
    pass: Pass,
}

/// A matrix in memory: where it starts and the steps to the next row and column.
#[derive(Clone, Copy)]
struct Matrix<T> {
    at: *mut T,
    row: isize,
    column: isize,
}

impl<T> Matrix<T> {
    /// # Safety
    /// `place` lies inside the value that `base` points to.
    unsafe fn new(base: *mut u8, place: &Place, batch: &[usize], head: usize) -> Matrix<T> {
        // SAFETY: the caller's promise.
        let at = unsafe { base.cast::<T>().offset(place.of(batch, head)) };
        Matrix { at, row: place.row, column: place.column }
    }

    /// # Safety
    /// The row lies inside the value.
    unsafe fn from_row(self, row: usize) -> Matrix<T> {
        // SAFETY: the caller's promise.
        Matrix { at: unsafe { self.at.offset(row as isize * self.row) }, ..self }
    }

    fn transposed(self) -> Matrix<T> {
        Matrix { row: self.column, column: self.row, ..self }
    }
}

impl Attention {
    pub fn new(graph: &Graph, id: NodeId) -> Attention {
        let node = graph.node(id);
        let (of, pass) = match &node.op {
            Op::AttentionGrad { of, joint } => (*of, Some(*joint)),
            Op::Attention(of) => (*of, None),
            other => unreachable!("internal error: {} is not attention", other.name()),
        };
        let sizes = of.sizes_of(graph, node.args[0], node.args[1], node.args[2]);
        let place = |arg: usize, width: usize| {
            let operand = strided(graph, node.args[arg]);
            Place::new(&operand.strides, operand.offset, width)
        };
        let dense =
            |shape: &[usize], offset: usize, width: usize| Place::new(&crate::ir::types::strides(shape), offset, width);
        let [q_shape, k_shape, v_shape, out_shape] = sizes.shapes();
        let mask = node.args.get(if pass.is_some() { 5 } else { 3 }).map(|arg| {
            let operand = strided(graph, *arg);
            let shape = graph.shape(*arg);
            let stride = |axis: usize| if shape[axis] == 1 { 0 } else { operand.strides[axis] as isize };
            let n = shape.len() - 3;
            let batch = (0..n).map(stride).collect();
            Mask { offset: operand.offset as isize, batch, head: stride(n), row: stride(n + 1), column: stride(n + 2) }
        });
        let widths = [sizes.d, sizes.d, sizes.e];
        let (out, pass) = match pass {
            None => (dense(&out_shape, 0, sizes.e), Pass::Forward),
            Some(joint) => {
                let saved = strided(graph, node.args[3]).offset;
                let mut at = 0;
                let results = [q_shape, k_shape, v_shape].into_iter().zip(widths).zip(sizes.widths());
                let results: Vec<Place> = results
                    .map(|((shape, width), all)| {
                        let place = if joint { dense(&node.ty.shape, at, width) } else { dense(&shape, at, width) };
                        at += if joint { all } else { shape.iter().product() };
                        place
                    })
                    .collect();
                let results = results.try_into().expect("three results");
                let pass = Pass::Backward { ct: place(4, sizes.e), saved: saved as isize, results };
                (dense(&out_shape, saved, sizes.e), pass)
            }
        };
        let [q, k, v] = [0, 1, 2].map(|arg| place(arg, widths[arg]));
        Attention { dtype: node.ty.dtype, of, sizes, q, k, v, out, mask, pass }
    }

    /// Multiplications and additions of all products.
    pub fn flops(&self) -> f64 {
        let half = if self.of.causal { 0.5 } else { 1.0 };
        let products = if matches!(self.pass, Pass::Forward) { 2.0 } else { 5.0 };
        2.0 * products * half * self.sizes.work() as f64
    }

    /// # Safety
    /// See [`super::Call::run`]; operands that are read through slices and transposes are given by the value that owns them.
    pub unsafe fn run(&self, pool: &Pool, args: &[*mut u8], out: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.dtype {
                DType::F64 => self.run_as::<f64>(pool, args, out),
                _ => self.run_as::<f32>(pool, args, out),
            }
        }
    }

    /// # Safety
    /// As for [`Attention::run`], with the operands' element type.
    unsafe fn run_as<T: Number>(&self, pool: &Pool, args: &[*mut u8], out: *mut u8) {
        let Sizes { heads, groups, t, .. } = self.sizes;
        let batches = self.sizes.batches();
        let pointers: Vec<usize> = args.iter().map(|p| *p as usize).collect();
        let (args, out) = (&pointers, out as usize);
        match &self.pass {
            Pass::Forward => {
                let all = t.div_ceil(QUERIES);
                let blocks = if batches * heads < FEW_HEADS { all } else { 1 };
                pool.run(batches * heads * blocks, &|task, _| {
                    let (head, block) = (task / blocks, task % blocks);
                    let range = if blocks == 1 { 0..all } else { block..block + 1 };
                    // SAFETY: each task writes its own queries' rows of its own head.
                    unsafe { self.forward::<T>(args, out as *mut u8, head / heads, head % heads, range) }
                });
            }
            Pass::Backward { ct, saved, results } => {
                pool.run(batches * groups, &|task, _| {
                    // SAFETY: each task writes the rows of its own group of heads.
                    unsafe {
                        self.backward::<T>(args, out as *mut u8, task / groups, task % groups, ct, *saved, results)
                    }
                });
            }
        }
    }

    /// The place of a batch along each axis.
    fn batch(&self, mut number: usize) -> Vec<usize> {
        let mut place = vec![0; self.sizes.batch.len()];
        for (at, size) in place.iter_mut().zip(&self.sizes.batch).rev() {
            (*at, number) = (number % size, number / size);
        }
        place
    }

    /// Keys that some query before `end` sees.
    fn keys(&self, end: usize) -> usize {
        if self.of.causal { end.min(self.sizes.s) } else { self.sizes.s }
    }

    /// Keys that query `i` sees among `n` from `j0`.
    fn seen(&self, i: usize, (j0, n): (usize, usize)) -> usize {
        if self.of.causal { (i + 1).saturating_sub(j0).min(n) } else { n }
    }

    /// Fills up the last vector of what each row sees, and the rest of the row with zeros. For all rows at once: a vector that is
    /// read right after single elements were written waits for them.
    fn hide<T: Number>(&self, block: &mut [T], (i0, m): (usize, usize), keys: (usize, usize), filling: T) {
        for i in 0..m {
            let count = self.seen(i0 + i, keys);
            let whole = count.next_multiple_of(COLUMNS);
            let row = &mut block[i * KEYS..(i + 1) * KEYS];
            row[count..whole].fill(filling);
            row[whole..keys.1.next_multiple_of(COLUMNS)].fill(T::of(0.0));
        }
    }

    /// What a product of queries from `i0` with keys from `j0` may leave out.
    fn part(&self, of: fn(isize) -> Part, i0: usize, j0: usize) -> Part {
        if self.of.causal { of(i0 as isize - j0 as isize) } else { Part::Whole }
    }

    /// The scores of `m` queries from `i0` and `n` keys from `j0`, row by row with `KEYS` elements each: scaled, and with the mask.
    /// Only those that [`Attention::seen`] counts have a meaning. `k` is the block of keys as [`columns`] leaves it.
    ///
    /// # Safety
    /// Queries, keys and the mask are those of one head, and the ranges lie inside them.
    #[allow(clippy::too_many_arguments)]
    unsafe fn scores<T: Number>(
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
            T::multiply(sizes, dense(score), q.from_row(i0), k, false, scale, part);
            if let Some(mask) = mask {
                for i in 0..m {
                    let row = mask.from_row(i0 + i);
                    for (j, to) in score[i * KEYS..i * KEYS + n].iter_mut().enumerate() {
                        *to = *to + *row.at.offset((j0 + j) as isize * row.column);
                    }
                }
            }
        }
    }

    /// # Safety
    /// As for [`Matrix::new`], for a mask.
    unsafe fn mask_of<T>(&self, base: Option<&usize>, batch: &[usize], head: usize) -> Option<Matrix<T>> {
        let (mask, base) = (self.mask.as_ref()?, *base?);
        let steps: isize = batch.iter().zip(&mask.batch).map(|(i, stride)| *i as isize * stride).sum();
        // SAFETY: the caller's promise.
        let at = unsafe { (base as *mut T).offset(mask.offset + steps + head as isize * mask.head) };
        Some(Matrix { at, row: mask.row, column: mask.column })
    }

    /// Blocks of queries of one head.
    ///
    /// # Safety
    /// As for [`Attention::run_as`].
    unsafe fn forward<T: Number>(
        &self,
        args: &[usize],
        out: *mut u8,
        number: usize,
        head: usize,
        blocks: std::ops::Range<usize>,
    ) {
        let Sizes { heads, groups, t, s, d, e, .. } = self.sizes;
        let batch = self.batch(number);
        let group = head / (heads / groups);
        // SAFETY: the caller's promise; every row is inside its operand by the sizes.
        unsafe {
            let q = Matrix::<T>::new(args[0] as _, &self.q, &batch, head);
            let k = Matrix::<T>::new(args[1] as _, &self.k, &batch, group);
            let v = Matrix::<T>::new(args[2] as _, &self.v, &batch, group);
            let result = Matrix::<T>::new(out, &self.out, &batch, head);
            let mask = self.mask_of::<T>(args.get(3), &batch, head);
            let [elements, _] = self.sizes.output();
            let logs = out.cast::<T>().add(elements + (number * heads + head) * t);
            let blocks_of_keys = self.keys(t.min(blocks.end * QUERIES)).div_ceil(KEYS);
            let sizes = [QUERIES * KEYS, QUERIES, QUERIES, blocks_of_keys * d * KEYS, 0];
            with_scratch::<T, _>(sizes, |[score, tops, sums, turned, _]| {
                columns(turned, k, s, d);
                for block in blocks {
                    let i0 = block * QUERIES;
                    let m = QUERIES.min(t - i0);
                    let to = result.from_row(i0);
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
                                let row = to.from_row(i);
                                (0..e as isize).for_each(|c| {
                                    let at = row.at.offset(c * row.column);
                                    *at = *at * old;
                                });
                            }
                        }
                        let part = self.part(|shift| Part::Queries { shift }, i0, j0);
                        T::multiply([m, e, n], to, dense(score), v.from_row(j0), j0 > 0, T::of(1.0), part);
                    }
                    for i in 0..m {
                        let row = to.from_row(i);
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
    #[allow(clippy::too_many_arguments)]
    unsafe fn backward<T: Number>(
        &self,
        args: &[usize],
        out: *mut u8,
        number: usize,
        group: usize,
        ct: &Place,
        saved: isize,
        results: &[Place; 3],
    ) {
        let Sizes { heads, groups, t, s, d, e, .. } = self.sizes;
        let batch = self.batch(number);
        let shared = heads / groups;
        let scale = T::of(self.of.scale);
        let one = T::of(1.0);
        // SAFETY: as in `forward`.
        unsafe {
            let k = Matrix::<T>::new(args[1] as _, &self.k, &batch, group);
            let v = Matrix::<T>::new(args[2] as _, &self.v, &batch, group);
            let dk = Matrix::<T>::new(out, &results[1], &batch, group);
            let dv = Matrix::<T>::new(out, &results[2], &batch, group);
            clear(dk, s, d);
            clear(dv, s, e);
            for head in group * shared..(group + 1) * shared {
                let q = Matrix::<T>::new(args[0] as _, &self.q, &batch, head);
                let dq = Matrix::<T>::new(out, &results[0], &batch, head);
                let ct = Matrix::<T>::new(args[4] as _, ct, &batch, head);
                let result = Matrix::<T>::new(args[3] as _, &self.out, &batch, head);
                let mask = self.mask_of::<T>(args.get(5), &batch, head);
                let [elements, _] = self.sizes.output();
                let logs = (args[3] as *const T).offset(saved).add(elements + (number * heads + head) * t);
                let turned = self.keys(t).div_ceil(KEYS) * KEYS;
                let sizes = [QUERIES * KEYS, QUERIES * KEYS, QUERIES, turned * d, turned * e];
                with_scratch::<T, _>(sizes, |[weight, score_ct, means, keys, values]| {
                    columns(keys, k, s, d);
                    columns(values, v, s, e);
                    for i0 in (0..t).step_by(QUERIES) {
                        let m = QUERIES.min(t - i0);
                        for (i, mean) in means[..m].iter_mut().enumerate() {
                            // The mean of the weights' cotangents is that of the output times the output.
                            let (a, b) = (ct.from_row(i0 + i), result.from_row(i0 + i));
                            *mean = T::product(e, a.at, a.column, b.at, b.column);
                        }
                        let seen = self.keys(i0 + m);
                        if seen == 0 {
                            clear(dq.from_row(i0), m, d);
                        }
                        for j0 in (0..seen).step_by(KEYS) {
                            let n = KEYS.min(seen - j0);
                            self.scores(weight, q, dense(&mut keys[j0 * d..]), mask, (i0, m), (j0, n));
                            let ct = ct.from_row(i0);
                            let part = self.part(|shift| Part::Scores { shift }, i0, j0);
                            let wide = [m, n.next_multiple_of(COLUMNS), e];
                            T::multiply(wide, dense(score_ct), ct, dense(&mut values[j0 * e..]), false, one, part);
                            self.hide(weight, (i0, m), (j0, n), T::of(f64::NEG_INFINITY));
                            self.hide(score_ct, (i0, m), (j0, n), T::of(0.0));
                            for i in 0..m {
                                let count = self.seen(i0 + i, (j0, n));
                                let (row, cts) = (row_of(weight, i, count), row_of(score_ct, i, count));
                                T::score_cotangents(row, cts, *logs.add(i0 + i), means[i], scale);
                            }
                            let (p, ds) = (dense(weight), dense(score_ct));
                            let part = self.part(|shift| Part::Keys { shift }, i0, j0);
                            T::multiply([n, e, m], dv.from_row(j0), p.transposed(), ct, true, one, part);
                            T::multiply([n, d, m], dk.from_row(j0), ds.transposed(), q.from_row(i0), true, one, part);
                            let part = self.part(|shift| Part::Queries { shift }, i0, j0);
                            T::multiply([m, d, n], dq.from_row(i0), ds, k.from_row(j0), j0 > 0, one, part);
                        }
                    }
                });
            }
        }
    }
}

/// # Safety
/// The matrix has that many rows and columns.
unsafe fn clear<T: Number>(x: Matrix<T>, rows: usize, columns: usize) {
    for i in 0..rows as isize {
        for j in 0..columns as isize {
            // SAFETY: the caller's promise.
            unsafe { *x.at.offset(i * x.row + j * x.column) = T::of(0.0) };
        }
    }
}

/// A block of scores in scratch memory, or a block of turned keys.
fn dense<T>(block: &mut [T]) -> Matrix<T> {
    Matrix { at: block.as_mut_ptr(), row: KEYS as isize, column: 1 }
}

/// The `count` elements of row `i` of a block that have a meaning, and those that fill the last vector.
fn row_of<T>(block: &mut [T], i: usize, count: usize) -> &mut [T] {
    &mut block[i * KEYS..i * KEYS + count.next_multiple_of(COLUMNS)]
}

/// Writes blocks of `KEYS` rows of a matrix as columns, [width, KEYS] each, as many as `to` holds; zeros after the last row.
///
/// # Safety
/// The matrix has that many rows and columns.
unsafe fn columns<T: Number>(to: &mut [T], x: Matrix<T>, rows: usize, width: usize) {
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
