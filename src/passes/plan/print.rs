//! The `plan` stage as text.

use super::{Base, Place, Plan, Step, memory, traffic};
use crate::ir::Op;
use crate::passes::fuse::{Fused, Work};
use std::fmt::Write;

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.base {
            Base::Arena => write!(f, "arena+{}", self.offset),
            Base::Constants => write!(f, "constants+{}", self.offset),
            Base::Input(k) => write!(f, "input {k}+{}", self.offset),
            Base::Result(k) => write!(f, "result {k}+{}", self.offset),
        }
    }
}

impl Plan {
    /// Bytes that all steps read and write.
    pub fn bytes_moved(&self, fused: &Fused) -> usize {
        self.steps.iter().map(|step| traffic::bytes(fused, step)).sum()
    }

    pub fn print(&self, fused: &Fused) -> String {
        let mut text = String::new();
        let sum = memory::without_reuse(&self.slots);
        let kernels = fused.units.iter().filter(|u| matches!(u.work, Work::Kernel(_))).count();
        let calls = fused.units.iter().filter(|u| matches!(u.work, Work::Library)).count();
        let copies = self.steps.iter().filter(|s| matches!(s, Step::Copy(_))).count();
        let _ = writeln!(text, "kernels {kernels}, library calls {calls}, copies {copies}");
        let bound = memory::lower_bound(&self.slots);
        let _ = writeln!(text, "arena {} bytes; all values {sum}; lower bound {bound}", self.arena_bytes);
        let _ = writeln!(text, "constants {} bytes; moved by a step {}", self.constant_bytes, self.bytes_moved(fused));
        let _ = writeln!(text, "\nsteps");
        for (at, step) in self.steps.iter().enumerate() {
            let _ = match step {
                Step::Copy(c) => writeln!(text, "  {at:3}  copy {} bytes: {} -> {}", c.bytes, c.from, c.to),
                Step::Unit(k) => {
                    let unit = &fused.units[*k];
                    let name = match &unit.work {
                        Work::Kernel(draft) => draft.kernel.name.as_str(),
                        _ => fused.graph.node(unit.roots[0]).op.name(),
                    };
                    let stores: Vec<String> = unit
                        .roots
                        .iter()
                        .map(|r| format!("%{} {} at {}", r.0, fused.graph.ty(*r), self.place(fused, *r)))
                        .collect();
                    writeln!(text, "  {at:3}  #{k} {name}: {}", stores.join(", "))
                }
            };
        }
        let _ = writeln!(text, "\narena");
        let mut slots: Vec<&memory::Slot> = self.slots.iter().collect();
        slots.sort_by_key(|s| (s.offset, s.first));
        for slot in slots {
            let what = slot.node.map_or("temporary".to_string(), |n| format!("%{} {}", n.0, fused.graph.ty(n)));
            let _ = writeln!(
                text,
                "  {:8}..{:8}  units {}..={}  {what}",
                slot.offset,
                slot.offset + slot.bytes,
                slot.first,
                slot.last
            );
        }
        let _ = writeln!(text, "\ninputs");
        for node in &fused.graph.nodes {
            if let Op::Input(k) = node.op {
                let _ = writeln!(text, "  input {k}: {} {}", fused.graph.inputs[k].name, node.ty);
            }
        }
        text
    }
}
