//! The stages of a compiled graph as text, those of loops' bodies under headings.

use super::{Compiled, Instr};
use crate::kernel::print::print;
use crate::source::SourceMap;

impl Compiled {
    /// The `fused` stage: kernels and library calls with the operations inside and their places in the source.
    pub fn print_fused(&self, sources: &SourceMap) -> String {
        self.fused.print(sources) + &self.print_bodies(|body| body.print_fused(sources))
    }

    /// The `kernels` stage: loop nests.
    pub fn print_kernels(&self) -> String {
        let own = self.kernels.iter().map(print).collect::<Vec<_>>().join("\n");
        own + &self.print_bodies(Compiled::print_kernels)
    }

    /// The `plan` stage: steps, places and live ranges.
    pub fn print_plan(&self) -> String {
        self.plan.print(&self.fused) + &self.print_bodies(Compiled::print_plan)
    }

    /// A stage of the bodies of loops, each under a heading.
    fn print_bodies(&self, print: impl Fn(&Compiled) -> String) -> String {
        let one = |instr: &Instr| match instr {
            Instr::Loop { body, .. } => {
                let body = body.borrow();
                format!("\nbody of a scan, {} runs\n{}", body.runs(), print(body.body()))
            }
            _ => String::new(),
        };
        self.instrs.iter().map(one).collect()
    }

    /// The `clif` or `asm` stage: every kernel in turn. Empty if the interpreter runs them.
    pub fn print_code(&self, asm: bool) -> String {
        let Some(module) = &self.module else { return String::new() };
        let one = |k: usize| if asm { module.asm(k) } else { module.clif(k) };
        let own: String =
            (0..self.kernels.len()).map(|k| format!("; {}\n{}\n", self.kernels[k].name, one(k))).collect();
        own + &self.print_bodies(|body| body.print_code(asm))
    }
}
