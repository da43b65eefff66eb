//! Graph passes. [`simplify`] is the ordered list of those that run after differentiation, before fusion.
//!
//! * [`fold`]: values that are known when compiling
//! * [`simplify`](mod@simplify): algebraic rules
//! * [`cse`]: equal values are computed once
//! * [`dce`]: values that no output needs are dropped
//! * [`scan`]: the same in the bodies of loops, and what may leave them
//!
//! [`checks`] adds outputs that say what went wrong with the values of a run.
//! [`scan_rows`] tells loops whose rows may run apart. [`fuse`] then groups nodes into kernels, and [`plan`] orders them and lays out memory.

pub mod checks;
pub mod cse;
pub mod dce;
pub mod fold;
pub mod fuse;
pub mod plan;
mod rewrite;
pub mod scan;
pub mod scan_rows;
pub mod simplify;

use crate::ir::Graph;
use crate::ir::verify::verify;

/// A pass changes a graph in place and tells whether it changed anything.
pub type Pass = fn(&mut Graph) -> bool;

/// In the order in which a round runs them.
pub const SIMPLIFY: &[(&str, Pass)] =
    &[("dce", dce::run), ("fold", fold::run), ("simplify", simplify::run), ("cse", cse::run), ("scan", scan::run)];

/// Rounds stop when nothing changes. A sweep sees operands that are already simple, so two or three are the rule; the
/// limit only keeps compile time linear should rules ever feed each other.
const MAX_ROUNDS: usize = 12;

/// Simplifies a graph after differentiation (it removes `stop_gradient`). Inputs and outputs stay what they are, inputs
/// that nothing uses included: their indices are how the runtime binds them.
pub fn simplify(mut graph: Graph) -> Graph {
    check("lowering", &graph);
    rounds(&mut graph);
    dce::run(&mut graph);
    check("dce", &graph);
    graph
}

/// Runs the passes until nothing changes.
fn rounds(graph: &mut Graph) {
    for _ in 0..MAX_ROUNDS {
        let mut changed = false;
        for (name, pass) in SIMPLIFY {
            let this = pass(graph);
            if this {
                check(name, graph);
            }
            // What dce drops was made useless by the round before: no reason for another round.
            changed |= this && *name != "dce";
        }
        if !changed {
            break;
        }
    }
}

/// In debug builds: verifies the result of a pass.
///
/// # Panics
/// If the graph is broken: an internal error that names the pass.
pub fn check(pass: &str, graph: &Graph) {
    if cfg!(debug_assertions)
        && let Err(why) = verify(graph)
    {
        panic!("internal error: pass '{pass}' broke the graph: {why}");
    }
}

#[cfg(test)]
mod tests;
