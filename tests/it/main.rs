//! Integration tests: one binary, so that the library is linked once.

mod bad;
mod docs;
mod examples;
mod mutations;
mod support;
