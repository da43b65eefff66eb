//! Likely mistakes (`optc check`): text that means something, but hardly what its writer wants.
//!
//! Each hint is about one definition or training of the user's, read as it stands; nothing is elaborated.
//!
//! * [`rule`]: optimizers and transforms
//! * [`unused`]: names that are given a value and never used
//! * [`branches`]: branches that are never taken
//! * [`roles`]: a softmax before a loss that takes logits

mod branches;
mod roles;
mod rule;
mod unused;

use super::modules::Modules;
use crate::diag::Diagnostic;
use crate::source::SourceMap;
use crate::syntax::ast::{DefKind, ItemKind};

/// Hints about everything that the user wrote.
pub fn lint(modules: &Modules, sources: &SourceMap) -> Vec<Diagnostic> {
    let mut diags = vec![];
    for (id, module) in modules.user_modules() {
        for item in &module.items {
            match &item.kind {
                ItemKind::Def(def) => {
                    if matches!(def.kind, DefKind::Optimizer | DefKind::Transform) {
                        diags.extend(rule::hints(def));
                    }
                    diags.extend(unused::in_def(def));
                    diags.extend(branches::never_taken(
                        def.hypers.iter().chain(&def.inputs).map(|p| &p.name),
                        &def.body,
                    ));
                    diags.extend(roles::in_block(modules, sources, id, &def.body));
                }
                ItemKind::Train(train) => {
                    diags.extend(unused::in_train(train));
                    if let Some(step) = &train.step {
                        let hypers = train.hypers.iter().map(|p| &p.name);
                        diags.extend(branches::never_taken(hypers.chain(&step.inputs), &step.body));
                    }
                    diags.extend(roles::in_train(modules, sources, id, train));
                }
                ItemKind::Test(test) => {
                    diags.extend(unused::in_block(&test.body));
                    diags.extend(branches::never_taken(std::iter::empty(), &test.body));
                }
                _ => {}
            }
        }
    }
    diags
}
