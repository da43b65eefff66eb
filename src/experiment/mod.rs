//! Several runs of one training: comparisons, cross-validation, sweeps, and the learning-rate range test.
//!
//! * [`runs`]: what the items of a file ask for; [`maker`]: a program for given hyper-parameters
//! * [`compare`]: tables over variants and seeds, with a test of difference from [`stats`]
//! * [`space`]: where the values of a sweep come from; [`search`]: which are tried next; [`sweep`]: the trials
//!   themselves, stopped early and resumable; [`importance`]: which hyper-parameter mattered
//! * [`pool`]: several runs at the same time
//! * [`lr_range`]: the loss while the learning rate grows
//!
//! As everywhere, results depend on the program, its data and the seeds, not on time or the number of threads.

pub mod compare;
pub mod importance;
pub mod lr_range;
pub mod maker;
pub mod pool;
pub mod runs;
pub mod search;
pub mod space;
pub mod stats;
pub mod sweep;

pub use maker::{Job, Maker};
