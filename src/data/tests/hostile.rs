//! Hostile and damaged files end in diagnostics.
