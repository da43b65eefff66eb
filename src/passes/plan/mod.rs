//! The order of a program's units and the place of every stored value: decided once, before the first step.
//!
//! * [`destination`]: values that are made directly where they are wanted (a part of a concatenation, an input that is
//!   updated, a result)
//! * [`order`]: a topological order in which updates come after the last reader of the old value
//! * [`memory`]: offsets in one block, by live ranges; and the check that no two live values overlap
//! * [`traffic`]: the bytes that a step moves

pub mod destination;
pub mod memory;
pub mod order;
mod print;
pub mod traffic;

use super::fuse::{Fused, Work, base_of};
use crate::ir::{NodeId, OutputKind};
use destination::Destination;
pub use memory::Slot;

/// A block of memory that a program uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Base {
    /// The block of intermediate values.
    Arena,
    /// Constant data.
    Constants,
    /// The caller's input of this index.
    Input(usize),
    /// The caller's result of this index (outputs that are not updates, in order).
    Result(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub base: Base,
    /// In bytes.
    pub offset: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy {
    pub from: Place,
    pub to: Place,
    pub bytes: usize,
}

/// One thing to do, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The unit of this index: a kernel or a call.
    Unit(usize),
    Copy(Copy),
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Of each node that owns bytes and is made or read.
    pub places: Vec<Option<Place>>,
    /// Values in the arena, with their live ranges.
    pub slots: Vec<Slot>,
    pub arena_bytes: usize,
    /// Constant nodes with their offsets, in bytes.
    pub constants: Vec<(NodeId, usize)>,
    pub constant_bytes: usize,
}

impl Plan {
    /// Where a node's bytes are; through views.
    pub fn place(&self, fused: &Fused, id: NodeId) -> Place {
        let (base, offset) = base_of(&fused.graph, id);
        let place = self.places[base.index()].expect("a stored value has a place");
        Place { base: place.base, offset: place.offset + offset * fused.graph.dtype(base).size() }
    }
}

/// Every value on its own cache lines.
pub(crate) const LINE: usize = 64;

/// Plans a fused graph.
pub fn plan(fused: &Fused) -> Plan {
    let mut destinations = destination::assign(fused);
    let order = order::order(fused, &mut destinations);
    let graph = &fused.graph;

    let mut constants = vec![];
    let mut constant_bytes = 0;
    let mut places: Vec<Option<Place>> = vec![None; graph.nodes.len()];
    for id in graph.ids() {
        match fused.classes[id.index()] {
            super::fuse::Class::Input => {
                if let crate::ir::Op::Input(k) = graph.node(id).op {
                    places[id.index()] = Some(Place { base: Base::Input(k), offset: 0 });
                }
            }
            super::fuse::Class::Dense => {
                constants.push((id, constant_bytes));
                places[id.index()] = Some(Place { base: Base::Constants, offset: constant_bytes });
                constant_bytes += graph.ty(id).bytes().next_multiple_of(LINE);
            }
            _ => {}
        }
    }

    let mut slots = memory::live_ranges(fused, &destinations, &order);
    let temporaries = destinations.temporaries(fused, order.len(), &mut slots);
    let arena_bytes = memory::assign(&mut slots);
    for slot in &slots {
        if let Some(node) = slot.node {
            places[node.index()] = Some(Place { base: Base::Arena, offset: slot.offset });
        }
    }
    for id in graph.ids() {
        if let Some((place, offset)) = destinations.fixed(id) {
            places[id.index()] = Some(match place {
                Destination::Input(k) => Place { base: Base::Input(k), offset },
                Destination::Result(k) => Place { base: Base::Result(k), offset },
                Destination::Inside(owner, _) => {
                    let owner = places[owner.index()].expect("the whole is placed");
                    Place { base: owner.base, offset: owner.offset + offset }
                }
            });
        }
    }

    let mut plan = Plan { steps: vec![], places, slots, arena_bytes, constants, constant_bytes };
    let mut steps = vec![];
    for unit in order {
        let root = fused.units[unit].roots.first().copied();
        match (&fused.units[unit].work, root) {
            (Work::Concat, Some(root)) => {
                for (operand, offset) in destinations.copies_into(root) {
                    let whole = plan.place(fused, root);
                    let to = Place { base: whole.base, offset: whole.offset + offset };
                    let from = plan.place(fused, operand);
                    steps.push(Step::Copy(Copy { from, to, bytes: graph.ty(operand).bytes() }));
                }
            }
            _ => steps.push(Step::Unit(unit)),
        }
    }
    // Old values that move are first set aside, so that two updates may exchange them.
    let mut late = vec![];
    for (k, end) in destinations.at_end.iter().enumerate() {
        let bytes = graph.ty(graph.outputs[end.output].node).bytes();
        let from = plan.place(fused, graph.outputs[end.output].node);
        match (&graph.outputs[end.output].kind, temporaries[k]) {
            (OutputKind::Update(input), Some(slot)) => {
                let aside = Place { base: Base::Arena, offset: plan.slots[slot].offset };
                steps.push(Step::Copy(Copy { from, to: aside, bytes }));
                late.push(Copy { from: aside, to: Place { base: Base::Input(*input), offset: 0 }, bytes });
            }
            (OutputKind::Update(input), None) => {
                late.push(Copy { from, to: Place { base: Base::Input(*input), offset: 0 }, bytes });
            }
            _ => steps.push(Step::Copy(Copy { from, to: Place { base: Base::Result(end.result), offset: 0 }, bytes })),
        }
    }
    steps.extend(late.into_iter().filter(|c| c.from != c.to).map(Step::Copy));
    plan.steps = steps;
    plan
}
