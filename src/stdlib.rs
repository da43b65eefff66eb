//! The library: `.opt` files embedded in the binary. A module may be a folder of files (`stdlib/optimizers/adam.opt`), which
//! a program uses as one (`use optimizers.AdamW`): only the files that define a wanted name are read.

use crate::sema::modules::text_defines;

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
    "layers",
    "losses",
    "metrics",
    "schedules",
    "optimizers/sgd",
    "optimizers/sign",
    "optimizers/adaptive",
    "optimizers/adam",
    "optimizers/trust_ratio",
    "optimizers/bounded",
    "optimizers/variance",
    "optimizers/transforms",
    "optimizers/composed",
    "optimizers/factored",
    "optimizers/curvature",
    "optimizers/muon",
];

/// What a program writes after `use`: a file's name, or its folder's.
pub fn public_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = MODULES.iter().map(|(module, _)| public_name(module)).collect();
    names.dedup();
    names
}

fn public_name(module: &str) -> &str {
    module.split_once('/').map_or(module, |(folder, _)| folder)
}

/// The modules of a folder with their texts; none where the name is not a folder's.
pub fn in_folder(folder: &str) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    MODULES.iter().filter(move |(module, _)| module.split_once('/').is_some_and(|(f, _)| f == folder))
}

/// The module, as a program names it, that defines `name`.
pub fn home(name: &str) -> Option<&'static str> {
    MODULES.iter().find(|(_, text)| text_defines(text, name)).map(|(module, _)| public_name(module))
}
