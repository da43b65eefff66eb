//! Library calls: operations that are loops of their own and not part of a kernel.
//!
//! * [`product`]: general dot products on a GEMM crate; [`gemm`]: one product
//! * [`attention`]: softmax(q kᵀ) v in tiles, and its gradient
//! * [`matrix`]: decompositions of matrices
//! * [`movement`]: gather, pad, concatenate, repeat over segments: bytes that move
//! * [`conv`]: convolutions; [`pool`]: windows that are summed, and their maxima
//! * [`wide`]: wide vectors for loops of Rust
//! * [`arithmetic`]: scatter-add, cumulative and segmented reductions, sorting

pub mod arithmetic;
pub mod attention;
pub mod conv;
pub mod gemm;
pub mod matrix;
pub mod movement;
pub mod pool;
pub mod product;
pub mod wide;

use crate::ir::{Graph, NodeId, Op};
use crate::passes::fuse::operands::strided;
use crate::runtime::pool::Pool;

/// A prepared call.
#[derive(Clone, Debug)]
pub enum Call {
    Product(product::Product),
    Attention(Box<attention::Attention>),
    Matrix(matrix::Matrix),
    Conv(conv::Conv),
    Pool(pool::Pooling),
    Movement(movement::Movement),
    Arithmetic(arithmetic::Arithmetic),
}

impl Call {
    /// Prepares the call of a node.
    pub fn new(graph: &Graph, id: NodeId) -> Call {
        let node = graph.node(id);
        let shape = |k: usize| graph.shape(node.args[k]).as_slice();
        match &node.op {
            Op::Dot { lhs_batch, rhs_batch, lhs_contract, rhs_contract } => {
                let axes = product::Axes {
                    lhs_shape: shape(0),
                    rhs_shape: shape(1),
                    lhs_batch,
                    rhs_batch,
                    lhs_contract,
                    rhs_contract,
                };
                let (lhs, rhs) = (strided(graph, node.args[0]), strided(graph, node.args[1]));
                Call::Product(product::Product::new(node.ty.dtype, &axes, &lhs, &rhs))
            }
            Op::Attention(_) | Op::AttentionGrad { .. } => {
                Call::Attention(Box::new(attention::Attention::new(graph, id)))
            }
            Op::Decompose(kind) => Call::Matrix(matrix::Matrix::new(graph, id, *kind)),
            Op::Conv { part, window, groups } => Call::Conv(conv::Conv::new(graph, id, *part, window, *groups)),
            Op::Pool { kind, window } => Call::Pool(pool::Pooling::new(graph, id, *kind, window)),
            _ => match movement::Movement::new(graph, id) {
                Some(movement) => Call::Movement(movement),
                None => Call::Arithmetic(arithmetic::Arithmetic::new(graph, id)),
            },
        }
    }

    /// Bytes for intermediate values that [`Call::run`] wants.
    pub fn workspace(&self, threads: usize) -> usize {
        match self {
            Call::Conv(conv) => conv.workspace(threads),
            _ => 0,
        }
    }

    /// # Safety
    /// `args` are the operands' bytes (for a product: of the nodes that own them), `out` the result's; they hold as
    /// many elements as the graph says, and `out` overlaps no operand. `workspace` has the bytes that the call wants for
    /// the threads of the pool, aligned as a buffer.
    pub unsafe fn run(&self, pool: &Pool, args: &[*mut u8], out: *mut u8, workspace: *mut u8) {
        // SAFETY: the caller's promise, handed on.
        unsafe {
            match self {
                Call::Product(product) => product.run(pool, args[0], args[1], out),
                Call::Attention(attention) => attention.run(pool, args, out),
                Call::Matrix(matrix) => matrix.run(args, out),
                Call::Conv(conv) => conv.run(pool, args, out, workspace),
                Call::Pool(pooling) => pooling.run(pool, args, out),
                Call::Movement(movement) => movement.run(pool, args, out),
                Call::Arithmetic(arithmetic) => arithmetic.run(pool, args, out),
            }
        }
    }
}

/// An axis in the middle of a dense value: elements before it, along it, and after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub outer: usize,
    pub size: usize,
    pub inner: usize,
}

impl Axis {
    pub fn of(shape: &[usize], axis: usize) -> Axis {
        let product = |range: &[usize]| range.iter().product();
        Axis { outer: product(&shape[..axis]), size: shape[axis], inner: product(&shape[axis + 1..]) }
    }
}
