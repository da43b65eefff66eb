//! Parameters that nothing trains, though nobody said that they are to stay as they are.
//!
//! Frozen on purpose is what an `over` leaves out. What is told here: a rule has the parameter, and no gradient reaches
//! it; or the parameter was made after the `minimize` that trains all.

use super::Elab;
use super::train::Minimized;
use crate::diag::{Diagnostic, Label, Severity, warning};
use crate::source::Span;
use indexmap::IndexMap;
use std::collections::HashSet;

/// Why a parameter stays as it starts.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// What is minimized is not made of it.
    NoGradient { loss: Span },
    /// It did not exist yet.
    Later { loss: Span },
}

impl Elab<'_> {
    /// A warning for each call that made such parameters.
    pub fn warn_untrained(&mut self, untrained: Vec<(String, Why)>) {
        let mut calls: IndexMap<(Span, Why), Vec<String>> = IndexMap::new();
        for (path, why) in untrained {
            calls.entry((self.params[&path].called_at, why)).or_default().push(path);
        }
        for ((call, why), paths) in calls {
            let title = match paths.as_slice() {
                [one] => format!("nothing trains '{one}'"),
                [one, two] => format!("nothing trains '{one}' and '{two}'"),
                [first, others @ ..] => format!("nothing trains '{first}' and {} more parameters", others.len()),
                [] => continue,
            };
            let d = warning("W0710", title);
            self.warn(match why {
                Why::NoGradient { loss } => d
                    .at(call, "no gradient reaches what is made here")
                    .at(loss, "this does not depend on it in a differentiable way")
                    .note("comparisons, argmax, rounding, ints and stop_gradient let no gradient through")
                    .help("let the loss depend on it; or say what is trained: `minimize … over part with …`"),
                Why::Later { loss } => d
                    .at(call, "made after the `minimize`")
                    .at(loss, "trains the parameters that exist by now")
                    .help("put the call before the `minimize`; or say what is trained: `minimize … over part with …`"),
            });
        }
    }

    /// They are looked for before updates are added to the graph.
    pub fn untrained(&self, steps: &[Minimized]) -> Vec<(String, Why)> {
        let mut found = vec![];
        let used = |node| self.graph.nodes.iter().any(|n| n.args.contains(&node));
        for step in steps {
            let reached = crate::ad::reached(&self.graph, step.loss);
            let loss = step.loss_span;
            for path in step.groups.iter().flat_map(|g| &g.params) {
                let node = self.params[path].node;
                // What its own layer never reads has a hint of its own (W0707).
                if reached.get(node.index()) != Some(&true) && used(node) {
                    found.push((path.clone(), Why::NoGradient { loss }));
                }
            }
        }
        if let Some(all) = steps.iter().find(|s| s.everything) {
            let grouped: HashSet<&String> = steps.iter().flat_map(|s| &s.groups).flat_map(|g| &g.params).collect();
            let later = self.params.keys().filter(|path| !grouped.contains(path));
            found.extend(later.map(|path| (path.clone(), Why::Later { loss: all.loss_span })));
        }
        found
    }

    /// Records something that is allowed, but hardly wanted.
    fn warn(&mut self, mut diagnostic: Diagnostic) {
        debug_assert_eq!(diagnostic.severity, Severity::Warning);
        let unknown = |label: &Label| label.span == Span::default();
        diagnostic.labels.retain(|label| !unknown(label));
        self.diags.push(diagnostic);
    }
}
