//! Values that are made directly where they are wanted.

use super::memory::Slot;
use crate::ir::{NodeId, Op, OutputKind};
use crate::kernel::{Effect, ValueKind};
use crate::passes::fuse::{Class, Fused, Work, base_of};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Part of a concatenation, at this offset in bytes.
    Inside(NodeId, usize),
    /// The buffer of the input that it updates.
    Input(usize),
    /// The caller's result.
    Result(usize),
}

/// An output that must be copied when everything else is done.
#[derive(Clone, Copy, Debug)]
pub struct AtEnd {
    pub output: usize,
    /// Index among the results, if it is one.
    pub result: usize,
}

pub struct Destinations {
    of: Vec<Option<Destination>>,
    /// Operands of concatenations that must be copied: (whole, operand, offset in bytes).
    copies: Vec<(NodeId, NodeId, usize)>,
    pub at_end: Vec<AtEnd>,
}

impl Destinations {
    pub fn get(&self, id: NodeId) -> Option<Destination> {
        self.of[id.index()]
    }

    /// The value whose bytes hold this one: itself, or the outermost concatenation around it.
    pub fn outermost(&self, id: NodeId) -> NodeId {
        match self.of[id.index()] {
            Some(Destination::Inside(whole, _)) => self.outermost(whole),
            _ => id,
        }
    }

    /// A place outside the arena or inside another value, with the offset in bytes from the outermost value.
    pub fn fixed(&self, id: NodeId) -> Option<(Destination, usize)> {
        match self.of[id.index()]? {
            Destination::Inside(whole, offset) => Some(match self.fixed(whole) {
                Some((outer, more)) => (outer, offset + more),
                None => (Destination::Inside(whole, 0), offset),
            }),
            other => Some((other, 0)),
        }
    }

    pub fn copies_into(&self, whole: NodeId) -> impl Iterator<Item = (NodeId, usize)> + '_ {
        self.copies.iter().filter(move |(w, ..)| *w == whole).map(|(_, operand, offset)| (*operand, *offset))
    }

    /// Gives up updating in place: the value gets its own bytes and is copied at the end.
    pub fn copy_later(&mut self, id: NodeId, output: usize) {
        self.of[id.index()] = None;
        self.at_end.push(AtEnd { output, result: 0 });
    }

    /// Slots for old input values that other inputs receive; an entry for each of `at_end`.
    pub fn temporaries(&self, fused: &Fused, end: usize, slots: &mut Vec<Slot>) -> Vec<Option<usize>> {
        let graph = &fused.graph;
        let slot = |entry: &AtEnd| {
            let output = &graph.outputs[entry.output];
            let base = base_of(graph, output.node).0;
            let moves = matches!(output.kind, OutputKind::Update(_)) && fused.classes[base.index()] == Class::Input;
            moves.then(|| {
                slots.push(Slot { node: None, bytes: graph.ty(output.node).bytes(), first: end, last: end, offset: 0 });
                slots.len() - 1
            })
        };
        self.at_end.iter().map(slot).collect()
    }
}

/// Gives destinations to operands of concatenations, results and updates. Updates are candidates: [`super::order`]
/// takes back those that would overwrite a value too early.
pub fn assign(fused: &Fused) -> Destinations {
    let graph = &fused.graph;
    let mut out = Destinations { of: vec![None; graph.nodes.len()], copies: vec![], at_end: vec![] };
    let movable = |id: NodeId| !matches!(fused.classes[id.index()], Class::Input | Class::Dense);
    for unit in &fused.units {
        let (Work::Concat, Some(whole)) = (&unit.work, unit.roots.first().copied()) else { continue };
        let mut offset = 0;
        for operand in &graph.node(whole).args {
            let (base, shift) = base_of(graph, *operand);
            let all = shift == 0 && graph.ty(base).elements() == graph.ty(*operand).elements();
            if all && movable(base) && out.of[base.index()].is_none() {
                out.of[base.index()] = Some(Destination::Inside(whole, offset));
            } else {
                out.copies.push((whole, *operand, offset));
            }
            offset += graph.ty(*operand).bytes();
        }
    }
    let mut results = 0;
    for (k, output) in graph.outputs.iter().enumerate() {
        let result = results;
        let to = match output.kind {
            OutputKind::Update(input) => Destination::Input(input),
            OutputKind::Value | OutputKind::Report | OutputKind::Rows | OutputKind::Check => {
                results += 1;
                Destination::Result(result)
            }
        };
        let (base, shift) = base_of(graph, output.node);
        let all = shift == 0 && graph.ty(base).elements() == graph.ty(output.node).elements();
        let safe = match to {
            Destination::Input(input) => in_unit_safe(fused, base, input),
            _ => true,
        };
        if all && safe && movable(base) && out.of[base.index()].is_none() {
            out.of[base.index()] = Some(to);
        } else {
            out.at_end.push(AtEnd { output: k, result });
        }
    }
    out
}

/// Whether the unit that makes `id` may write it over `input`: it reads each element of the input, if at all, only in
/// the moment in which it writes the same element, or in an earlier pass over the same row (a task owns whole rows, and
/// writes over anything that it may have read come in the last pass).
///
/// The parts of a concatenation are written by many units at many times, before others have read the old value: never.
fn in_unit_safe(fused: &Fused, id: NodeId, input: usize) -> bool {
    if fused.classes[id.index()] == Class::Concat {
        return false;
    }
    let Some(unit) = fused.units.iter().find(|u| u.roots.contains(&id)) else { return false };
    let is_input = |n: &NodeId| matches!(fused.graph.node(*n).op, Op::Input(k) if k == input);
    if !unit.reads.iter().any(is_input) {
        return true;
    }
    let Work::Kernel(draft) = &unit.work else { return false };
    let kernel = &draft.kernel;
    let stores = kernel.effects.iter().find_map(|e| match e {
        Effect::Store { param, at, .. } if draft.params[*param] == id => Some(at),
        _ => None,
    });
    let Some(store) = stores else { return false };
    kernel.values.iter().all(|v| match &v.kind {
        ValueKind::Load { param, at } => !is_input(&draft.params[*param]) || at == store,
        _ => true,
    })
}
