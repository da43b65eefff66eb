//! The loop on a hand-made program.
