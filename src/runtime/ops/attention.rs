//! Attention in tiles (T. Dao et al., "FlashAttention", 2022): scores of a block of queries and a block of keys live in a
//! thread's scratch memory; running maxima and sums make the softmax of a row from its blocks (M. Milakov and N. Gimelshein,
//! 2018). The backward pass computes the scores again from the saved logarithms of the rows' sums.
//!
//! Tasks are heads, or blocks of queries where heads are few: they depend on the shapes alone, so that any number of threads
//! gives the same bits.

mod blocks;
mod passes;
mod rows;
mod scratch;
mod tiles;

use crate::ir::attention::{Attention as Of, Sizes};
use crate::ir::{DType, Graph, NodeId, Op};
use crate::passes::fuse::operands::strided;
use crate::runtime::pool::Pool;
use rows::Number;

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

#[derive(Clone, Debug)]
enum Pass {
    Forward,
    Backward(Box<Backward>),
}

/// What the backward pass knows beside the operands.
#[derive(Clone, Debug)]
struct Backward {
    /// The cotangent of the output.
    ct: Place,
    /// Where the forward pass's result begins.
    saved: isize,
    /// Where the cotangents of queries, keys and values go.
    results: [Place; 3],
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
    /// Steps of 0 along axes of one element; the rows are queries, the columns keys.
    mask: Option<Place>,
    pass: Pass,
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
            Place { offset: operand.offset as isize, batch, head: stride(n), row: stride(n + 1), column: stride(n + 2) }
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
                let pass = Backward { ct: place(4, sizes.e), saved: saved as isize, results };
                (dense(&out_shape, saved, sizes.e), Pass::Backward(Box::new(pass)))
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
            Pass::Backward(pass) => {
                pool.run(batches * groups, &|task, _| {
                    // SAFETY: each task writes the rows of its own group of heads.
                    unsafe { self.backward::<T>(args, out as *mut u8, task / groups, task % groups, pass) }
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
}
