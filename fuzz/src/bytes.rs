//! What libFuzzer calls for a changed text.

use crate::mutate::{Dice, text};

/// Now a change of words, now one of libFuzzer's own (`by_bytes`). Gives the new length in `data`.
pub fn changed(data: &mut [u8], size: usize, room: usize, seed: u32, by_bytes: fn(&mut [u8], usize, usize) -> usize) -> usize {
    let Ok(old) = std::str::from_utf8(&data[..size]) else { return by_bytes(data, size, room) };
    if seed % 3 == 0 || old.is_empty() {
        return by_bytes(data, size, room);
    }
    let mut new = text(old, &mut Dice(seed as u64));
    while new.len() > room {
        new.pop();
    }
    data[..new.len()].copy_from_slice(new.as_bytes());
    new.len()
}
