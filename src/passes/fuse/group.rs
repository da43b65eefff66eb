//! Which stored values are made together: kernels grow greedily, in an order that follows the data and not the
//! spelling of the program.

use super::classify::{Class, Reduction, base_of};
use super::draft::{Blocked, Context, Draft, Loops};
use crate::ir::{Graph, NodeId};

/// One entry of the program: a kernel, or a library call that makes one node.
#[derive(Clone, Debug)]
pub struct Unit {
    pub work: Work,
    /// Nodes whose bytes it writes.
    pub roots: Vec<NodeId>,
    /// Owners of the bytes it reads.
    pub reads: Vec<NodeId>,
}

#[derive(Clone, Debug)]
pub enum Work {
    Kernel(Box<Draft>),
    Library,
    /// Only names a buffer that others fill.
    Concat,
}

/// Growing kernels look at no more than this many earlier ones.
const CANDIDATES: usize = 12;

struct Growing {
    roots: Vec<NodeId>,
    loops: Loops,
    /// `None` for library calls.
    draft: Option<Draft>,
    reads: Vec<NodeId>,
}

/// Which nodes own bytes: `required` ones and all that only one place computes.
pub fn stored(graph: &Graph, classes: &[Class], required: &[bool]) -> Vec<bool> {
    graph.ids().map(|id| required[id.index()] || classes[id.index()] != Class::Expr).collect()
}

/// How many kernels and calls must finish before a node: the order in which kernels grow.
pub fn depths(graph: &Graph, classes: &[Class]) -> Vec<u32> {
    let mut depth = vec![0; graph.nodes.len()];
    for id in graph.ids() {
        let from = graph.node(id).args.iter().map(|a| depth[a.index()]).max().unwrap_or(0);
        depth[id.index()] = match classes[id.index()] {
            Class::Library | Class::Reduce(Reduction::Total | Reduction::Column) => from + 1,
            _ => from,
        };
    }
    depth
}

/// Groups all stored values. An error names a node that must be stored as well.
pub fn group(graph: &Graph, classes: &[Class], required: &[bool]) -> Result<Vec<Unit>, NodeId> {
    let stored = stored(graph, classes, required);
    let context = Context { graph, classes, stored: &stored };
    let depth = depths(graph, classes);
    let live = super::live(graph);
    let mut order: Vec<NodeId> = graph.ids().filter(|id| stored[id.index()] && live[id.index()]).collect();
    // A reduction grows with the kernel that makes its operand, so it counts as one of that depth.
    let start = |id: &NodeId| match classes[id.index()] {
        Class::Reduce(_) => graph.node(*id).args.iter().map(|a| depth[a.index()]).max().unwrap_or(0),
        _ => depth[id.index()],
    };
    order.sort_by_key(|id| (start(id), id.0));
    let mut growing: Vec<Growing> = vec![];
    let mut owner: Vec<Option<usize>> = vec![None; graph.nodes.len()];
    let all = |_: NodeId| true;
    for id in order {
        let reads_of_call = || {
            let mut reads: Vec<NodeId> = graph.node(id).args.iter().map(|a| base_of(graph, *a).0).collect();
            reads.dedup();
            reads
        };
        match classes[id.index()] {
            Class::Input | Class::Dense => continue,
            Class::Library | Class::Concat => {
                let loops = Loops { extents: vec![], inner: None };
                owner[id.index()] = Some(growing.len());
                let reads = super::operands::reads(graph, id).unwrap_or_else(reads_of_call);
                growing.push(Growing { roots: vec![id], loops, draft: None, reads });
            }
            Class::Expr | Class::Reduce(_) => {
                let loops = context.loops(id);
                let alone = context.build(&[id], &loops, &all).map_err(|b| needed(b, graph, id))?;
                let found = join(&context, &growing, &owner, id, &loops, &alone);
                let reads = |draft: &Draft| draft.reads().collect::<Vec<_>>();
                match found {
                    Some((k, loops, draft)) => {
                        owner[id.index()] = Some(k);
                        growing[k].roots.push(id);
                        growing[k].reads = reads(&draft);
                        growing[k].loops = loops;
                        growing[k].draft = Some(draft);
                    }
                    None => {
                        owner[id.index()] = Some(growing.len());
                        growing.push(Growing { roots: vec![id], loops, reads: reads(&alone), draft: Some(alone) });
                    }
                }
            }
        }
    }
    merge(&context, &mut growing, &mut owner);
    growing.retain(|g| !g.roots.is_empty());
    finish(graph, &context, growing)
}

/// Joins kernels that grew apart: what they share came only after both had begun (an optimizer's averages, and norms of
/// values that need them).
fn merge(context: &Context, growing: &mut [Growing], owner: &mut [Option<usize>]) {
    let wide = |n: &NodeId| context.graph.ty(*n).elements() > 1;
    for j in 1..growing.len() {
        let mut tries = 0;
        for k in (0..j).rev() {
            let (a, b) = (&growing[k], &growing[j]);
            if a.draft.is_none() || b.draft.is_none() || a.loops.extents.is_empty() {
                continue;
            }
            let related = b.reads.iter().any(|r| wide(r) && (a.roots.contains(r) || a.reads.contains(r)));
            let Some(loops) = a.loops.join(&b.loops).filter(|_| related) else { continue };
            let between = |r: &NodeId| owner[r.index()].filter(|u| *u != k && *u != j);
            let mut outside = a.reads.iter().chain(&b.reads).filter_map(between);
            if outside.any(|u| reaches(growing, owner, u, k) || reaches(growing, owner, u, j)) {
                continue;
            }
            let mut roots = [a.roots.as_slice(), &b.roots].concat();
            roots.sort_unstable();
            if let Ok(draft) = context.build(&roots, &loops, &|_| true) {
                for root in &growing[j].roots {
                    owner[root.index()] = Some(k);
                }
                growing[k] = Growing { roots, loops, reads: draft.reads().collect(), draft: Some(draft) };
                growing[j] = Growing {
                    roots: vec![],
                    loops: Loops { extents: vec![], inner: None },
                    draft: None,
                    reads: vec![],
                };
                break;
            }
            tries += 1;
            if tries == CANDIDATES {
                break;
            }
        }
    }
}

/// The node to store so that `id` can be built. A kernel of one root can only be blocked by a missing value.
fn needed(blocked: Blocked, graph: &Graph, id: NodeId) -> NodeId {
    match blocked {
        Blocked::Need(node) => node,
        Blocked::Conflict => base_of(graph, graph.node(id).args[0]).0,
    }
}

/// An earlier kernel that can also make `id`: same loops, related data, and no path from it to `id` through others.
fn join(
    context: &Context,
    growing: &[Growing],
    owner: &[Option<usize>],
    id: NodeId,
    loops: &Loops,
    alone: &Draft,
) -> Option<(usize, Loops, Draft)> {
    let wide = |n: &NodeId| context.graph.ty(*n).elements() > 1;
    let sources: Vec<NodeId> = alone.reads().collect();
    let scalar = loops.extents.is_empty();
    let related = |g: &Growing| {
        scalar
            || sources.iter().any(|s| g.roots.contains(s) || (wide(s) && g.reads.contains(s)))
            || g.draft.as_ref().is_some_and(|d| g.roots.iter().any(|r| alone.fused.contains(r) && d.fused.contains(r)))
    };
    let fitting = growing.iter().enumerate().rev().filter(|(_, g)| g.draft.is_some() && related(g));
    for (k, g) in fitting.take(CANDIDATES) {
        let Some(joined) = g.loops.join(loops) else { continue };
        let mut roots = g.roots.clone();
        roots.push(id);
        roots.sort_unstable();
        let Ok(draft) = context.build(&roots, &joined, &|_| true) else { continue };
        let cyclic = draft.reads().any(|r| owner[r.index()].is_some_and(|u| reaches(growing, owner, u, k)));
        if !cyclic {
            return Some((k, joined, draft));
        }
    }
    None
}

/// Whether unit `from` needs unit `target`, directly or through others.
fn reaches(growing: &[Growing], owner: &[Option<usize>], from: usize, target: usize) -> bool {
    let mut seen = vec![false; growing.len()];
    let mut stack = vec![from];
    while let Some(unit) = stack.pop() {
        if unit == target {
            return true;
        }
        if std::mem::replace(&mut seen[unit], true) {
            continue;
        }
        stack.extend(growing[unit].reads.iter().filter_map(|r| owner[r.index()]));
    }
    false
}

/// Rebuilds each kernel without the stores that nobody reads.
fn finish(graph: &Graph, context: &Context, growing: Vec<Growing>) -> Result<Vec<Unit>, NodeId> {
    let mut wanted = vec![false; graph.nodes.len()];
    for g in &growing {
        for r in &g.reads {
            wanted[r.index()] = true;
        }
    }
    for output in &graph.outputs {
        wanted[base_of(graph, output.node).0.index()] = true;
    }
    let mut units = vec![];
    for mut g in growing {
        let work = match g.draft {
            Some(_) => {
                g.roots.sort_unstable();
                let draft = context.build(&g.roots, &g.loops, &|id| wanted[id.index()]);
                let draft = draft.map_err(|b| needed(b, graph, g.roots[0]))?;
                g.roots.retain(|r| draft.params.contains(r));
                Work::Kernel(Box::new(draft))
            }
            None if context.classes[g.roots[0].index()] == Class::Concat => Work::Concat,
            None => Work::Library,
        };
        units.push(Unit { work, roots: g.roots, reads: g.reads });
    }
    Ok(units)
}
