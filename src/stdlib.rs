//! The library: `.opt` files embedded in the binary.

/// Module names and texts, in the order in which their definitions may use each other.
pub const MODULES: &[(&str, &str)] = &[
    ("prelude", include_str!("../stdlib/prelude.opt")),
    ("init", include_str!("../stdlib/init.opt")),
    ("activations", include_str!("../stdlib/activations.opt")),
    ("layers", include_str!("../stdlib/layers.opt")),
    ("losses", include_str!("../stdlib/losses.opt")),
    ("metrics", include_str!("../stdlib/metrics.opt")),
    ("schedules", include_str!("../stdlib/schedules.opt")),
    ("optimizers", include_str!("../stdlib/optimizers.opt")),
];
