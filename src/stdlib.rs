//! The library: `.opt` files embedded in the binary. A module may be a folder of files (`stdlib/optimizers/adam.opt`), which
//! a program uses as one (`use optimizers.AdamW`). Reading is left to [`crate::sema::library`], definition by definition.

use crate::source::SourceFile;
use std::sync::OnceLock;

macro_rules! library {
    ($($module:literal),* $(,)?) => {
        &[$(($module, include_str!(concat!("../stdlib/", $module, ".opt")))),*]
    };
}

/// Module names and texts, in the order in which their definitions may use each other.
pub const MODULES: &[(&str, &str)] = library![
    "prelude",
    "init",
    "activations",
    "layers/dense",
    "layers/normalization",
    "layers/regularization",
    "layers/images",
    "layers/convolution",
    "layers/pooling",
    "layers/blocks",
    "layers/attention",
    "layers/positions",
    "layers/transformer",
    "layers/recurrent",
    "losses",
    "metrics",
    "schedules",
    "optimizers/sgd",
    "optimizers/sign",
    "optimizers/adaptive",
    "optimizers/adam",
    "optimizers/variance",
    "optimizers/bounded",
    "optimizers/mixed",
    "optimizers/trust_ratio",
    "optimizers/step_free",
    "optimizers/factored",
    "optimizers/matrix",
    "optimizers/preconditioners",
    "optimizers/low_rank",
    "optimizers/curvature",
    "optimizers/wrappers",
    "optimizers/transforms",
];

/// What a program writes after `use`: a file's name, or its folder's.
pub fn public_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = MODULES.iter().map(|(module, _)| public_name(module)).collect();
    names.dedup();
    names
}

/// The module, as a program names it, of a file.
pub fn public_name(module: &str) -> &str {
    module.split_once('/').map_or(module, |(folder, _)| folder)
}

/// A file of the library as a source text. These are the same in every session, so that a file is read once a process.
pub fn source(file: usize) -> &'static SourceFile {
    static SOURCES: OnceLock<Vec<OnceLock<SourceFile>>> = OnceLock::new();
    let sources = SOURCES.get_or_init(|| MODULES.iter().map(|_| OnceLock::new()).collect());
    let (module, text) = MODULES[file];
    sources[file].get_or_init(|| SourceFile::new(format!("stdlib/{module}.opt"), text.to_string()))
}
