//! Data sources and the steps on the way to a batch.
pub mod spec;
