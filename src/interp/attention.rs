//! Attention, as its formula says: for each query the scores of all keys, their softmax, and the values weighed by it.

use super::value::Value;
use crate::ir::Type;
use crate::ir::attention::{Attention, Sizes};

/// Operands as numbers, and where each head's part of them is.
struct Operands {
    sizes: Sizes,
    of: Attention,
    q: Vec<f64>,
    k: Vec<f64>,
    v: Vec<f64>,
    mask: Option<(Vec<f64>, Vec<usize>)>,
}

/// One query of one head.
#[derive(Clone, Copy)]
struct Query {
    batch: usize,
    head: usize,
    t: usize,
}

impl Operands {
    fn new(of: &Attention, [q, k, v]: [&Value; 3], mask: Option<&&Value>) -> Operands {
        let types = [q.ty(), k.ty(), v.ty()];
        let mask_ty = mask.map(|m| m.ty());
        let sizes = of.sizes(&types[0], &types[1], &types[2], mask_ty.as_ref()).expect("operands are well-typed");
        let mask = mask.map(|m| (m.to_f64s(), m.ty().shape));
        Operands { sizes, of: *of, q: q.to_f64s(), k: k.to_f64s(), v: v.to_f64s(), mask }
    }

    fn queries(&self) -> impl Iterator<Item = Query> + use<> {
        let (batches, heads, times) = (self.sizes.batches(), self.sizes.heads, self.sizes.t);
        (0..batches * heads * times).map(move |i| Query {
            batch: i / (heads * times),
            head: i / times % heads,
            t: i % times,
        })
    }

    fn group(&self, at: Query) -> usize {
        at.head / (self.sizes.heads / self.sizes.groups)
    }

    fn q_at(&self, at: Query) -> usize {
        ((at.batch * self.sizes.t + at.t) * self.sizes.heads + at.head) * self.sizes.d
    }

    fn k_at(&self, at: Query, s: usize) -> usize {
        ((at.batch * self.sizes.s + s) * self.sizes.groups + self.group(at)) * self.sizes.d
    }

    fn v_at(&self, at: Query, s: usize) -> usize {
        ((at.batch * self.sizes.s + s) * self.sizes.groups + self.group(at)) * self.sizes.e
    }

    fn out_at(&self, at: Query) -> usize {
        ((at.batch * self.sizes.t + at.t) * self.sizes.heads + at.head) * self.sizes.e
    }

    fn masked(&self, at: Query, s: usize) -> f64 {
        let Some((values, shape)) = &self.mask else { return 0.0 };
        let mut batch = at.batch;
        let mut places: Vec<usize> = vec![s, at.t, at.head];
        for size in self.sizes.batch.iter().rev() {
            places.push(batch % size);
            batch /= size;
        }
        let place = |(i, size): (&usize, &usize)| if *size == 1 { 0 } else { *i };
        let index = places.iter().rev().zip(shape).fold(0, |index, at| index * at.1 + place(at));
        values[index]
    }

    /// Weights of the keys, and the logarithm of the sum of exponentials (infinite if there is no key to see).
    fn weights(&self, at: Query) -> (Vec<f64>, f64) {
        let (q, d) = (self.q_at(at), self.sizes.d);
        let score = |s: usize| {
            if self.of.causal && s > at.t {
                return f64::NEG_INFINITY;
            }
            let k = self.k_at(at, s);
            let product: f64 = (0..d).map(|i| self.q[q + i] * self.k[k + i]).sum();
            product * self.of.scale + self.masked(at, s)
        };
        let scores: Vec<f64> = (0..self.sizes.s).map(score).collect();
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if scores.iter().all(|s| *s == f64::NEG_INFINITY) {
            return (vec![0.0; scores.len()], f64::INFINITY);
        }
        let sum: f64 = scores.iter().map(|s| (s - top).exp()).sum();
        (scores.iter().map(|s| (s - top).exp() / sum).collect(), top + sum.ln())
    }
}

/// [`crate::ir::Op::Attention`].
pub fn forward(of: &Attention, args: &[&Value], ty: &Type) -> Value {
    let x = Operands::new(of, [args[0], args[1], args[2]], args.get(3));
    let e = x.sizes.e;
    let [elements, logs] = x.sizes.output();
    let mut out = vec![0.0; elements + logs];
    for (row, at) in x.queries().enumerate() {
        let (weights, log) = x.weights(at);
        for (s, weight) in weights.iter().enumerate() {
            for i in 0..e {
                out[x.out_at(at) + i] += weight * x.v[x.v_at(at, s) + i];
            }
        }
        out[elements + row] = log;
    }
    Value::from_f64s(ty, &out)
}

/// [`crate::ir::Op::AttentionGrad`]. It computes what the forward pass saved once more.
pub fn backward(of: &Attention, joint: bool, args: &[&Value], ty: &Type) -> Value {
    let x = Operands::new(of, [args[0], args[1], args[2]], args.get(5));
    let ct = args[4].to_f64s();
    let Sizes { d, e, .. } = x.sizes;
    let (mut dq, mut dk, mut dv) = (vec![0.0; x.q.len()], vec![0.0; x.k.len()], vec![0.0; x.v.len()]);
    for at in x.queries() {
        let (weights, _) = x.weights(at);
        let (q, o) = (x.q_at(at), x.out_at(at));
        let value_ct = |s: usize| -> f64 { (0..e).map(|i| ct[o + i] * x.v[x.v_at(at, s) + i]).sum() };
        let value_cts: Vec<f64> = (0..weights.len()).map(value_ct).collect();
        let mean: f64 = weights.iter().zip(&value_cts).map(|(w, c)| w * c).sum();
        for (s, (weight, value_ct)) in weights.iter().zip(&value_cts).enumerate() {
            let score_ct = weight * (value_ct - mean) * of.scale;
            let (k, v) = (x.k_at(at, s), x.v_at(at, s));
            for i in 0..d {
                dq[q + i] += score_ct * x.k[k + i];
                dk[k + i] += score_ct * x.q[q + i];
            }
            for i in 0..e {
                dv[v + i] += weight * ct[o + i];
            }
        }
    }
    let parts = [dq, dk, dv];
    if !joint {
        return Value::from_f64s(ty, &parts.concat());
    }
    let widths = x.sizes.widths();
    let row = |r: usize| parts.iter().zip(widths).flat_map(move |(part, w)| part[r * w..(r + 1) * w].iter().copied());
    let rows = x.sizes.batches() * x.sizes.t;
    Value::from_f64s(ty, &(0..rows).flat_map(row).collect::<Vec<f64>>())
}
