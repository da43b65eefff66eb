//! Which stored values are made together: kernels grow greedily, in an order that follows the data and not the
//! spelling of the program.

use super::chunks::Ragged;
use super::classify::{Class, Reduction, base_of};
use super::draft::{Blocked, Context, Draft, Loops};
use super::units::{Growing, Units};
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

/// Readers of one value that kernels which grew apart are compared with: those that began last.
const RELATIVES: usize = 64;

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
pub fn group(graph: &Graph, classes: &[Class], ragged: &Ragged, required: &[bool]) -> Result<Vec<Unit>, NodeId> {
    let stored = stored(graph, classes, required);
    let context = Context { graph, classes, stored: &stored, ragged };
    let depth = depths(graph, classes);
    let live = super::live(graph);
    let mut order: Vec<NodeId> = graph.ids().filter(|id| stored[id.index()] && live[id.index()]).collect();
    // A reduction grows with the kernel that makes its operand, so it counts as one of that depth.
    let start = |id: &NodeId| match classes[id.index()] {
        Class::Reduce(_) => graph.node(*id).args.iter().map(|a| depth[a.index()]).max().unwrap_or(0),
        _ => depth[id.index()],
    };
    order.sort_by_key(|id| (start(id), id.0));
    let mut units = Units::default();
    for id in order {
        let reads_of_call = || {
            let mut reads: Vec<NodeId> = graph.node(id).args.iter().map(|a| base_of(graph, *a).0).collect();
            reads.dedup();
            reads
        };
        match classes[id.index()] {
            Class::Input | Class::Dense => continue,
            Class::Library | Class::Concat => {
                let loops = Loops::default();
                let reads = super::operands::reads(graph, id).unwrap_or_else(reads_of_call);
                units.push(Growing { roots: vec![id], loops, draft: None, reads });
            }
            Class::Expr | Class::Reduce(_) => {
                let loops = context.loops(id);
                let alone = context.build(&[id], &loops, &|_| true).map_err(|b| needed(b, graph, id))?;
                match join(&context, &units, id, &loops, &alone) {
                    Some((k, unit)) => units.replace(k, unit),
                    None => units.push(kernel(vec![id], loops, alone)),
                }
            }
        }
    }
    merge(&context, &mut units);
    let mut growing = units.into_list();
    growing.retain(|g| !g.roots.is_empty());
    finish(graph, &context, growing)
}

fn kernel(roots: Vec<NodeId>, loops: Loops, draft: Draft) -> Growing {
    Growing { roots, loops, reads: draft.reads().collect(), draft: Some(draft) }
}

/// Joins kernels that grew apart: what they share came only after both had begun (an optimizer's averages, and norms of
/// values that need them).
fn merge(context: &Context, units: &mut Units) {
    for j in 1..units.count() {
        if units.get(j).draft.is_none() {
            continue;
        }
        let candidates = relatives(context, units, j);
        let highest = candidates.iter().map(|k| units.depth(*k)).min().unwrap_or(0);
        let behind = units.behind(j, highest);
        let mut tries = 0;
        for k in candidates {
            let (a, b) = (units.get(k), units.get(j));
            let Some(loops) = a.loops.join(&b.loops) else { continue };
            let between = |r: &NodeId| units.owner(*r).filter(|u| *u != k && *u != j);
            if behind.contains(&k) || a.reads.iter().filter_map(between).any(|u| units.reaches(u, j)) {
                continue;
            }
            let mut roots = [a.roots.as_slice(), &b.roots].concat();
            roots.sort_unstable();
            if let Ok(draft) = context.build(&roots, &loops, &|_| true) {
                units.absorb(k, j, kernel(roots, loops, draft));
                break;
            }
            tries += 1;
            if tries == CANDIDATES {
                break;
            }
        }
    }
}

/// Earlier kernels with loops that make or read a large value which kernel `j` reads, the last first.
fn relatives(context: &Context, units: &Units, j: usize) -> Vec<usize> {
    let reads = units.get(j).reads.iter().filter(|n| context.graph.ty(**n).elements() > 1);
    let fits = |k: &usize| *k < j && units.get(*k).draft.is_some() && !units.get(*k).loops.extents.is_empty();
    let mut found: Vec<usize> = vec![];
    for read in reads {
        found.extend(units.owner(*read).filter(fits));
        found.extend(units.kernels_reading(*read).filter(fits).take(RELATIVES));
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.dedup();
    found
}

/// The node to store so that `id` can be built. A kernel of one root can only be blocked by a missing value.
fn needed(blocked: Blocked, graph: &Graph, id: NodeId) -> NodeId {
    match blocked {
        Blocked::Need(node) => node,
        Blocked::Conflict => base_of(graph, graph.node(id).args[0]).0,
    }
}

/// An earlier kernel that can also make `id`, with `id` in it: same loops, related data, and no path from it to `id`
/// through others.
fn join(context: &Context, units: &Units, id: NodeId, loops: &Loops, alone: &Draft) -> Option<(usize, Growing)> {
    for k in related(context, units, loops, alone) {
        let unit = units.get(k);
        let Some(joined) = unit.loops.join(loops) else { continue };
        // What the node reads from others it will read in any kernel.
        let mut others = alone.reads().filter_map(|r| units.owner(r)).filter(|u| *u != k);
        if others.any(|u| units.reaches(u, k)) {
            continue;
        }
        let mut roots = unit.roots.clone();
        roots.push(id);
        roots.sort_unstable();
        let Ok(draft) = context.build(&roots, &joined, &|_| true) else { continue };
        let cyclic = draft.reads().any(|r| units.owner(r).is_some_and(|u| units.reaches(u, k)));
        if !cyclic {
            return Some((k, kernel(roots, joined, draft)));
        }
    }
    None
}

/// The last kernels that make or read what `alone` reads, or compute what it computes; for a scalar, the last of all.
fn related(context: &Context, units: &Units, loops: &Loops, alone: &Draft) -> Vec<usize> {
    if loops.extents.is_empty() {
        return units.kernels().take(CANDIDATES).collect();
    }
    let makes = |node: NodeId| units.owner(node).filter(|k| units.get(*k).draft.is_some());
    let wide = |n: &NodeId| context.graph.ty(*n).elements() > 1;
    let mut found: Vec<usize> = vec![];
    for read in alone.reads() {
        found.extend(makes(read));
        if wide(&read) {
            found.extend(units.kernels_reading(read).take(CANDIDATES));
        }
    }
    let again = |root: &NodeId| {
        makes(*root).filter(|k| units.get(*k).draft.as_ref().is_some_and(|draft| draft.fused.contains(root)))
    };
    found.extend(alone.fused.iter().filter_map(again));
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.dedup();
    found.truncate(CANDIDATES);
    found
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
