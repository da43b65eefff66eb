//! The `fused` stage as text.

use super::classify::Class;
use super::{Fused, Unit, Work};
use crate::ir::NodeId;
use crate::ir::print::node_text;
use crate::kernel::Space;
use crate::source::SourceMap;
use std::fmt::Write;

impl Fused {
    /// Kernels and calls, each with what it stores, what it reads, and the operations inside.
    pub fn print(&self, sources: &SourceMap) -> String {
        let mut out = String::new();
        let kernels = self.units.iter().filter(|u| matches!(u.work, Work::Kernel(_))).count();
        let calls = self.units.iter().filter(|u| matches!(u.work, Work::Library)).count();
        let _ = writeln!(out, "{kernels} kernels, {calls} library calls");
        for (k, unit) in self.units.iter().enumerate() {
            let _ = writeln!(out, "\n{}", self.head(k, unit));
            if let Work::Kernel(draft) = &unit.work {
                for id in &draft.fused {
                    let node = self.graph.node(*id);
                    let args: Vec<String> = node.args.iter().map(|a| self.label(*a)).collect();
                    let place = sources.place(node.span);
                    let comment = if place.is_empty() { String::new() } else { format!("  // {place}") };
                    // With attributes, and with the names of inputs for operands.
                    let text = node_text(node);
                    let operation = text.split(" %").next().unwrap_or_default();
                    let line = format!("  %{}: {operation} {}", id.0, args.join(", "));
                    let _ = writeln!(out, "{}{comment}", line.trim_end());
                }
            }
        }
        out
    }

    fn head(&self, k: usize, unit: &Unit) -> String {
        let list = |ids: &[NodeId]| {
            let mut labels: Vec<String> = ids.iter().map(|id| self.label(*id)).collect();
            labels.dedup();
            labels.join(", ")
        };
        let what = match &unit.work {
            Work::Kernel(draft) => {
                let space = match &draft.kernel.space {
                    Space::Flat { elements } => format!("flat {elements}"),
                    Space::Grid { outer, inner } => format!("grid {outer:?} x {inner}"),
                    Space::Segments { offsets } => format!("segments {}", offsets.len() - 1),
                };
                format!("kernel {} [{space}]", draft.kernel.name)
            }
            Work::Library => format!("call {}", self.graph.node(unit.roots[0]).op.name()),
            Work::Concat => "concat in place".to_string(),
        };
        format!("#{k} {what}: ({}) -> {}", list(&unit.reads), list(&unit.roots))
    }

    fn label(&self, id: NodeId) -> String {
        match (&self.classes[id.index()], &self.graph.node(id).op) {
            (Class::Input, crate::ir::Op::Input(k)) => self.graph.inputs[*k].name.clone(),
            _ => format!("%{}", id.0),
        }
    }
}
