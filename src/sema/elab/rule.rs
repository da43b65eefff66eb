//! What a rule asks of its whole group: reductions over all tensors, gradients at another point, Hessian products.
//!
//! A rule that runs once over the arena has everything at hand. One that is instantiated for each tensor does not: its
//! first tensor cannot know the norm of the others' gradients. Such a rule runs in rounds. A tensor's run stops where it
//! asks for a value of the group that is not known yet and leaves its own part of it; when all tensors have stopped, the
//! value is put together, and the next round finds it. Runs have no effects but nodes in the graph, and those that a
//! later round adds again become one in the simplifier.

use super::{Elab, Failed, R};
use crate::diag::{Diagnostic, error};
use crate::ir::build::Builder;
use crate::ir::{Binary, Node, NodeId, ReduceKind, Unary};
use crate::source::Span;
use indexmap::IndexMap;
use std::collections::{HashMap, HashSet};

/// What is minimized, as a rule may ask about it.
#[derive(Clone)]
pub struct Objective {
    pub loss: NodeId,
    /// The parameters of the group, and the gradients by them.
    pub params: Vec<NodeId>,
    pub grads: Vec<NodeId>,
}

/// A value of the whole group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Question {
    /// Of one number from each tensor.
    Reduce(ReduceKind),
    /// The root of the sum.
    Root,
    /// The gradient at a point made of the tensors' own.
    GradientAt,
    /// The loss there.
    LossAt,
    /// The product of the Hessian with a direction made of the tensors' own.
    Curvature,
}

/// The place in the text, the instance whose body it is, and how often the run came by there before.
type Place = (Span, String, usize);

#[derive(Clone, Debug)]
struct Asked {
    question: Question,
    /// The tensors' parts, by their place in the group.
    parts: HashMap<usize, NodeId>,
    /// One value, or one for each tensor.
    answer: Option<Vec<NodeId>>,
}

/// The state of a rule under way.
#[derive(Default)]
pub struct Context {
    pub objective: Option<Objective>,
    /// The place in the group of the tensor whose turn it is.
    pub tensor: usize,
    /// States that turned out to hold one number for each tensor of the arena.
    pub per_tensor: HashSet<String>,
    /// Inputs that carry states, by path: rounds share them.
    pub inputs: HashMap<String, NodeId>,
    /// What `eval theta = …` gave last in this run.
    pub evaluated: Option<NodeId>,
    /// Placeholders in an evaluation: see [`super::evaluate`].
    pub unknown: HashSet<NodeId>,
    asked: IndexMap<Place, Asked>,
    passed: HashMap<(Span, String), usize>,
}

impl Context {
    /// A tensor's run begins.
    pub fn begin(&mut self, tensor: usize) {
        self.tensor = tensor;
        self.evaluated = None;
        self.passed.clear();
    }
}

impl Elab<'_> {
    /// Asks for a value of the group on behalf of the tensor whose run this is; `own` is its part.
    pub fn ask(&mut self, question: Question, own: NodeId, span: Span) -> R<NodeId> {
        let path = self.frame().path.clone();
        let tensor = self.rule.tensor;
        let count = self.rule.passed.entry((span, path.clone())).or_insert(0);
        *count += 1;
        let place = (span, path, *count);
        let asked =
            self.rule.asked.entry(place).or_insert_with(|| Asked { question, parts: HashMap::new(), answer: None });
        match &asked.answer {
            None => {
                asked.parts.insert(tensor, own);
                Err(Failed::Waits)
            }
            Some(_) if !asked.parts.contains_key(&tensor) => Err(self.fail(
                error("E0212", "the tensors of this group do not ask for it in one order")
                    .at(span, "some tensors come here only after others have the answer")
                    .help("put reductions over all tensors before the `if` that tells ranks apart"),
            )),
            Some(answer) => Ok(answer[if answer.len() == 1 { 0 } else { tensor }]),
        }
    }

    /// Puts together what the tensors of a round asked for.
    pub fn answer_round(&mut self) -> R<()> {
        let open: Vec<(Place, Asked)> =
            self.rule.asked.iter().filter(|(_, a)| a.answer.is_none()).map(|(p, a)| (p.clone(), a.clone())).collect();
        for (place, asked) in open {
            let mut tensors: Vec<usize> = asked.parts.keys().copied().collect();
            tensors.sort_unstable();
            let parts: Vec<NodeId> = tensors.iter().map(|t| asked.parts[t]).collect();
            let answer = match asked.question {
                Question::Reduce(kind) => vec![self.folded(kind, &parts, place.0)],
                Question::Root => {
                    let sum = self.folded(ReduceKind::Sum, &parts, place.0);
                    vec![self.build(place.0).unary(Unary::Sqrt, sum)]
                }
                Question::GradientAt => {
                    let mut point = self.objective(place.0)?.params;
                    tensors.iter().zip(&parts).for_each(|(t, part)| point[*t] = *part);
                    self.gradient_at(&point, place.0)?
                }
                Question::LossAt => {
                    let mut point = self.objective(place.0)?.params;
                    tensors.iter().zip(&parts).for_each(|(t, part)| point[*t] = *part);
                    vec![self.loss_at(&point, place.0)?]
                }
                Question::Curvature => {
                    let objective = self.objective(place.0)?;
                    let mut build = self.build(place.0);
                    let mut along: Vec<NodeId> = objective.params.iter().map(|p| build.full_like(0.0, *p)).collect();
                    tensors.iter().zip(&parts).for_each(|(t, part)| along[*t] = *part);
                    self.curvature(&along, place.0)?
                }
            };
            if let Some(asked) = self.rule.asked.get_mut(&place) {
                asked.answer = Some(answer);
            }
        }
        Ok(())
    }

    fn folded(&mut self, kind: ReduceKind, parts: &[NodeId], span: Span) -> NodeId {
        let op = match kind {
            ReduceKind::Sum => Binary::Add,
            ReduceKind::Prod => Binary::Mul,
            ReduceKind::Max => Binary::Max,
            ReduceKind::Min => Binary::Min,
        };
        let mut build = self.build(span);
        let mut parts = parts.iter().copied();
        let first = parts.next().expect("a question was asked by a tensor");
        parts.fold(first, |all, part| build.binary(op, all, part))
    }

    fn objective(&mut self, span: Span) -> R<Objective> {
        match self.rule.objective.clone() {
            Some(objective) => Ok(objective),
            None => Err(self.fail(
                error("E0212", "nothing is minimized here")
                    .at(span, "this asks about the loss")
                    .note("the rule runs on gradients that are given"),
            )),
        }
    }

    /// The gradients of the loss at another point: a second forward and backward pass in the same step.
    pub fn gradient_at(&mut self, point: &[NodeId], span: Span) -> R<Vec<NodeId>> {
        let objective = self.objective(span)?;
        // The point's own history is none of the derivative's business.
        let point: Vec<NodeId> = point.iter().map(|p| self.stopped(*p, span)).collect();
        let loss = self.moved(objective.loss, &objective.params, &point);
        crate::ad::gradients(&mut self.graph, loss, None, &point).map_err(|d| self.refused(d, span))
    }

    /// The loss at another point.
    pub fn loss_at(&mut self, point: &[NodeId], span: Span) -> R<NodeId> {
        let objective = self.objective(span)?;
        Ok(self.moved(objective.loss, &objective.params, point))
    }

    /// H u, as the gradient of the product of the gradient and u.
    pub fn curvature(&mut self, along: &[NodeId], span: Span) -> R<Vec<NodeId>> {
        let objective = self.objective(span)?;
        let mut total = None;
        for (g, u) in objective.grads.iter().zip(along) {
            let u = self.stopped(*u, span);
            let mut build = self.build(span);
            let product = build.mul(*g, u);
            let axes: Vec<usize> = (0..build.graph.shape(product).len()).collect();
            let sum = build.reduce(ReduceKind::Sum, product, &axes);
            total = Some(match total {
                Some(total) => build.add(total, sum),
                None => sum,
            });
        }
        let total = total.expect("a group has a tensor");
        crate::ad::gradients(&mut self.graph, total, None, &objective.params).map_err(|d| self.refused(d, span))
    }

    fn stopped(&mut self, node: NodeId, span: Span) -> NodeId {
        self.build(span).push(crate::ir::Op::StopGradient, &[node], Default::default())
    }

    fn refused(&mut self, diagnostic: Diagnostic, span: Span) -> Failed {
        self.fail(diagnostic.at(span, "asked for here"))
    }

    /// A copy of what leads from some values to a result, with others in their places.
    fn moved(&mut self, result: NodeId, from: &[NodeId], to: &[NodeId]) -> NodeId {
        let map = self.moved_all(result.index() + 1, from, to);
        map.get(&result).copied().unwrap_or(result)
    }

    /// Copies of those of the first `count` nodes that are made from some values, with others in their places.
    pub fn moved_all(&mut self, count: usize, from: &[NodeId], to: &[NodeId]) -> HashMap<NodeId, NodeId> {
        let mut map: HashMap<NodeId, NodeId> = from.iter().copied().zip(to.iter().copied()).collect();
        for index in 0..count {
            let id = NodeId(index as u32);
            let node = &self.graph.nodes[index];
            if map.contains_key(&id) || !node.args.iter().any(|a| map.contains_key(a)) {
                continue;
            }
            let args = node.args.iter().map(|a| map.get(a).copied().unwrap_or(*a)).collect();
            let copy = Node { args, ..node.clone() };
            map.insert(id, NodeId(self.graph.nodes.len() as u32));
            self.graph.nodes.push(copy);
        }
        map
    }

    /// Whether a value is made from the tensor whose turn it is in a way that does not pass through an answer of the
    /// whole group. (All tensors' answers are one node, and are passed over.)
    pub fn is_of_one_tensor(&self, node: NodeId) -> bool {
        let Some(objective) = self.rule.objective.as_ref().filter(|_| self.update_shape.is_some()) else {
            return false;
        };
        let whole: HashSet<NodeId> = self
            .rule
            .asked
            .values()
            .filter(|a| matches!(a.question, Question::Reduce(_) | Question::Root | Question::LossAt))
            .flat_map(|a| a.answer.iter().flatten().copied())
            .chain([objective.loss])
            .collect();
        let tensor = self.rule.tensor;
        let own = |id: NodeId| {
            objective.params.get(tensor) == Some(&id)
                || objective.grads.get(tensor) == Some(&id)
                || self.states.iter().any(|(path, s)| s.input == id && path.ends_with(&self.update_suffix))
        };
        let mut seen = HashSet::new();
        let mut open = vec![node];
        while let Some(id) = open.pop() {
            if whole.contains(&id) || !seen.insert(id) {
                continue;
            }
            if own(id) {
                return true;
            }
            open.extend(&self.graph.node(id).args);
        }
        false
    }

    /// One value for each tensor, end to end.
    pub fn end_to_end(&mut self, parts: &[NodeId], span: Span) -> NodeId {
        let mut build: Builder = self.build(span);
        let flat: Vec<NodeId> = parts
            .iter()
            .map(|part| {
                let n = build.graph.ty(*part).elements();
                build.reshape(*part, &[n])
            })
            .collect();
        build.concat(&flat, 0)
    }

    /// The tensors of a group out of a value end to end.
    pub fn taken_apart(&mut self, flat: NodeId, shapes: &[Vec<usize>], span: Span) -> Vec<NodeId> {
        let mut offset = 0;
        let mut parts = vec![];
        for shape in shapes {
            let n: usize = shape.iter().product();
            let mut build = self.build(span);
            let part = build.slice_axis(flat, 0, offset, offset + n);
            parts.push(build.reshape(part, shape));
            offset += n;
        }
        parts
    }
}
