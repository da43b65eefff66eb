//! `einsum("bij,bjk->bik", a, b)`: sums of products by the names of axes, as NumPy's. The text is read at compile time and
//! becomes reductions, dot products and a transpose.

use super::apply::Argument;
use super::{Elab, R};
use crate::diag::{Diagnostic, error};
use crate::ir::build::Builder;
use crate::ir::op::Hint;
use crate::ir::{Compare, DType, NodeId, Op, ReduceKind};
use crate::sema::value::{Tensor, Value};
use crate::source::Span;
use std::collections::HashMap;

/// A tensor whose axes have names.
#[derive(Clone)]
struct Term {
    node: NodeId,
    axes: Vec<char>,
}

impl Elab<'_> {
    pub fn einsum(&mut self, args: Vec<Argument>, span: Span) -> R<Value> {
        let mut args = args.into_iter();
        let Some(Argument { value: Value::Str(text), span: text_at, .. }) = args.next() else {
            return Err(self.fail(
                error("E0204", "'einsum' takes a text such as \"ij,jk->ik\", then the tensors")
                    .at(span, "the first argument is not a text"),
            ));
        };
        let mut operands = vec![];
        for arg in args {
            let value = self.tensor_of_type(arg.value, self.float, arg.span)?;
            self.shape_of(value)?;
            operands.push((value.node, arg.span));
        }
        let wrong = |why: String| error("E0203", format!("einsum \"{text}\": {why}"));
        let (inputs, output) = match read(&text, operands.len()) {
            Ok(read) => read,
            Err(why) => return Err(self.fail(wrong(why).at(text_at, "in this text"))),
        };
        let mut sizes: HashMap<char, (usize, Span)> = HashMap::new();
        let mut terms = vec![];
        for ((node, at), axes) in operands.into_iter().zip(inputs) {
            let shape = self.graph.shape(node).clone();
            if shape.len() != axes.len() {
                let d = wrong(format!("{} axes are named, the tensor has {}", axes.len(), shape.len()));
                return Err(self.fail(d.at(at, format!("its shape is {shape:?}")).at(text_at, "in this text")));
            }
            for (axis, size) in axes.iter().zip(&shape) {
                let (known, first) = *sizes.entry(*axis).or_insert((*size, at));
                if known != *size {
                    return Err(self.fail(disagree(wrong, *axis, (*size, at), (known, first))));
                }
            }
            terms.push(Term { node, axes });
        }
        let node = contract(&mut self.build(span), terms, &output);
        Ok(Value::Tensor(Tensor::plain(node)))
    }
}

fn disagree(
    wrong: impl Fn(String) -> Diagnostic,
    axis: char,
    (size, at): (usize, Span),
    (known, first): (usize, Span),
) -> Diagnostic {
    wrong(format!("'{axis}' is {known} and {size}"))
        .at(at, format!("'{axis}' is {size} here"))
        .at(first, format!("'{axis}' is {known} here"))
}

/// The names of the axes of each operand and of the result. Without an arrow, the result has the names that occur once, in
/// alphabetical order.
fn read(text: &str, operands: usize) -> Result<(Vec<Vec<char>>, Vec<char>), String> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match text.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (text.as_str(), None),
    };
    let inputs: Vec<Vec<char>> = left.split(',').map(|t| t.chars().collect()).collect();
    let all: Vec<char> = inputs.iter().flatten().copied().collect();
    if let Some(other) = text.replace("->", "").chars().find(|c| !c.is_ascii_alphabetic() && *c != ',') {
        return Err(format!("'{other}' is not the name of an axis: names are single letters"));
    }
    if inputs.len() != operands {
        return Err(format!("it names {} tensors, and there are {operands}", inputs.len()));
    }
    let output: Vec<char> = match right {
        Some(right) => right.chars().collect(),
        None => {
            let mut once: Vec<char> =
                all.iter().copied().filter(|c| all.iter().filter(|d| *d == c).count() == 1).collect();
            once.sort_unstable();
            once
        }
    };
    if let Some(unknown) = output.iter().find(|c| !all.contains(c)) {
        return Err(format!("'{unknown}' of the result is in no tensor"));
    }
    if let Some(twice) = output.iter().enumerate().find(|(k, c)| output[..*k].contains(c)) {
        return Err(format!("'{}' is in the result twice", twice.1));
    }
    Ok((inputs, output))
}

/// From left to right, two at a time; what neither the rest nor the result names is summed as early as possible.
fn contract(build: &mut Builder<'_>, terms: Vec<Term>, output: &[char]) -> NodeId {
    let mut rest: Vec<Term> = terms.into_iter().map(|t| without_repeats(build, t)).collect();
    let mut left = rest.remove(0);
    while !rest.is_empty() {
        let right = rest.remove(0);
        let wanted = |c: &char| output.contains(c) || rest.iter().any(|t| t.axes.contains(c));
        let shared = right.axes.clone();
        let a = summed(build, left.clone(), |c| wanted(c) || shared.contains(c));
        let b = summed(build, right, |c| wanted(c) || left.axes.contains(c));
        left = product(build, a, b, wanted);
    }
    let last = summed(build, left, |c| output.contains(c));
    let place = |c: &char| last.axes.iter().position(|d| d == c).expect("the result's names are the term's");
    let perm: Vec<usize> = output.iter().map(place).collect();
    build.transpose(last.node, perm)
}

/// Sums over the axes that are not kept.
fn summed(build: &mut Builder<'_>, term: Term, keep: impl Fn(&char) -> bool) -> Term {
    let gone: Vec<usize> = (0..term.axes.len()).filter(|k| !keep(&term.axes[*k])).collect();
    if gone.is_empty() {
        return term;
    }
    let node = build.reduce(ReduceKind::Sum, term.node, &gone);
    Term { node, axes: term.axes.into_iter().filter(|c| keep(c)).collect() }
}

/// A name twice in one tensor is its diagonal: the elements off it are left out of the sum over the second axis.
fn without_repeats(build: &mut Builder<'_>, mut term: Term) -> Term {
    while let Some((first, second)) = repeated(&term.axes) {
        let shape = build.graph.shape(term.node).clone();
        let dtype = build.graph.dtype(term.node);
        let place = |build: &mut Builder<'_>, axis| build.iota(DType::I32, &shape, axis);
        let (a, b) = (place(build, first), place(build, second));
        let on = build.compare(Compare::Eq, a, b);
        let zeros = build.full(0.0, dtype, &shape);
        let masked = build.select(on, term.node, zeros);
        term.node = build.reduce(ReduceKind::Sum, masked, &[second]);
        term.axes.remove(second);
    }
    term
}

fn repeated(axes: &[char]) -> Option<(usize, usize)> {
    (0..axes.len()).find_map(|k| axes[..k].iter().position(|c| *c == axes[k]).map(|first| (first, k)))
}

/// Names of both that are wanted become batch axes, the others of both are contracted.
fn product(build: &mut Builder<'_>, a: Term, b: Term, wanted: impl Fn(&char) -> bool) -> Term {
    let at = |term: &Term, names: &[char]| -> Vec<usize> {
        names.iter().map(|c| term.axes.iter().position(|d| d == c).expect("a name of both")).collect()
    };
    let both: Vec<char> = a.axes.iter().copied().filter(|c| b.axes.contains(c)).collect();
    let (batch, gone): (Vec<char>, Vec<char>) = both.iter().partition(|c| wanted(c));
    let free = |term: &Term| -> Vec<char> { term.axes.iter().copied().filter(|c| !both.contains(c)).collect() };
    let mut axes = batch.clone();
    axes.extend(free(&a));
    axes.extend(free(&b));
    let op = Op::Dot {
        lhs_batch: at(&a, &batch),
        rhs_batch: at(&b, &batch),
        lhs_contract: at(&a, &gone),
        rhs_contract: at(&b, &gone),
    };
    Term { node: build.push(op, &[a.node, b.node], Hint::default()), axes }
}
