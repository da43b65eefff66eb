//! The kernels and calls that grow, with what finds one of them without looking at all: who makes a value, who reads it,
//! and how deep a unit lies. A search for a path stops at depths that cannot lead to its end, so that it costs what lies
//! between two units and not the whole program.

use super::draft::{Draft, Loops};
use crate::ir::NodeId;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;

pub struct Growing {
    /// Nothing: another unit took them over.
    pub roots: Vec<NodeId>,
    pub loops: Loops,
    /// `None` for library calls.
    pub draft: Option<Draft>,
    pub reads: Vec<NodeId>,
}

impl Growing {
    fn nothing() -> Growing {
        Growing { roots: vec![], loops: Loops::default(), draft: None, reads: vec![] }
    }
}

#[derive(Default)]
pub struct Units {
    list: Vec<Growing>,
    owner: FxHashMap<NodeId, usize>,
    readers: FxHashMap<NodeId, BTreeSet<usize>>,
    /// Greater than the depth of every unit that this one needs.
    depth: Vec<usize>,
}

impl Units {
    pub fn get(&self, k: usize) -> &Growing {
        &self.list[k]
    }

    pub fn count(&self) -> usize {
        self.list.len()
    }

    pub fn into_list(self) -> Vec<Growing> {
        self.list
    }

    /// The unit that makes a node.
    pub fn owner(&self, node: NodeId) -> Option<usize> {
        self.owner.get(&node).copied()
    }

    pub fn depth(&self, k: usize) -> usize {
        self.depth[k]
    }

    /// Kernels that read a node, those that began last first.
    pub fn kernels_reading(&self, node: NodeId) -> impl Iterator<Item = usize> + '_ {
        let readers = self.readers.get(&node).into_iter().flat_map(|set| set.iter().rev().copied());
        readers.filter(|k| self.list[*k].draft.is_some())
    }

    /// All kernels, those that began last first.
    pub fn kernels(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.list.len()).rev().filter(|k| self.list[*k].draft.is_some())
    }

    pub fn push(&mut self, unit: Growing) {
        self.list.push(Growing::nothing());
        self.depth.push(0);
        self.replace(self.list.len() - 1, unit);
    }

    /// Gives a unit other contents.
    pub fn replace(&mut self, k: usize, unit: Growing) {
        for node in &self.list[k].reads {
            if let Some(readers) = self.readers.get_mut(node) {
                readers.remove(&k);
            }
        }
        for node in &unit.reads {
            self.readers.entry(*node).or_default().insert(k);
        }
        for root in &unit.roots {
            self.owner.insert(*root, k);
        }
        self.list[k] = unit;
        self.sink(k);
    }

    /// Unit `k` takes over what unit `j` made.
    pub fn absorb(&mut self, k: usize, j: usize, both: Growing) {
        self.replace(j, Growing::nothing());
        self.replace(k, both);
    }

    /// Units that a unit reads from.
    fn needs(&self, k: usize) -> impl Iterator<Item = usize> + '_ {
        self.list[k].reads.iter().filter_map(|node| self.owner(*node)).filter(move |u| *u != k)
    }

    /// Makes the unit, and then those that need it, deep enough.
    fn sink(&mut self, k: usize) {
        let mut least = self.needs(k).map(|u| self.depth[u] + 1).max().unwrap_or(0);
        least = least.max(self.depth[k]);
        let mut queue = vec![(k, least)];
        while let Some((unit, least)) = queue.pop() {
            // Units in a circle would sink forever; the plan reports them.
            if least > self.list.len() || (unit != k && self.depth[unit] >= least) {
                continue;
            }
            self.depth[unit] = least;
            for root in &self.list[unit].roots {
                let readers = self.readers.get(root).into_iter().flatten();
                queue.extend(readers.filter(|u| **u != unit && self.depth[**u] <= least).map(|u| (*u, least + 1)));
            }
        }
    }

    /// Whether unit `from` is `target` or needs it, directly or through others.
    pub fn reaches(&self, from: usize, target: usize) -> bool {
        let mut seen = FxHashSet::default();
        let mut stack = vec![from];
        while let Some(unit) = stack.pop() {
            if unit == target {
                return true;
            }
            if self.depth[unit] > self.depth[target] && seen.insert(unit) {
                stack.extend(self.needs(unit));
            }
        }
        false
    }

    /// Units that `k` needs through others, down to a depth.
    pub fn behind(&self, k: usize, depth: usize) -> FxHashSet<usize> {
        let mut found = FxHashSet::default();
        let mut stack: Vec<usize> = self.needs(k).collect();
        while let Some(unit) = stack.pop() {
            if self.depth[unit] > depth {
                stack.extend(self.needs(unit).filter(|u| found.insert(*u)));
            }
        }
        found
    }
}
