//! What the three targets share. `tests/it/fuzz.rs` uses [`targets`] and [`mutate`] too.

pub mod bytes;
pub mod mutate;
pub mod targets;
