#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(|text: &str| optc_fuzz::targets::check(text));

fuzz_mutator!(|data: &mut [u8], size: usize, room: usize, seed: u32| {
    optc_fuzz::bytes::changed(data, size, room, seed, libfuzzer_sys::fuzzer_mutate)
});
