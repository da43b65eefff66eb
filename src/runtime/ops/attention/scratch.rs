//! A thread's scratch memory: grown at its first use, then kept.

use super::rows::Number;
use std::cell::RefCell;

thread_local! {
    static BYTES: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Five arrays of the given lengths; their contents are whatever was there.
pub fn with_scratch<T: Number, R>(lengths: [usize; 5], f: impl FnOnce([&mut [T]; 5]) -> R) -> R {
    BYTES.with_borrow_mut(|words| {
        let total: usize = lengths.iter().map(|n| n.next_multiple_of(16)).sum();
        let need = (total * size_of::<T>()).div_ceil(8);
        if words.len() < need {
            words.resize(need, 0);
        }
        // SAFETY: the words are initialised, aligned for both element types, and at least `total` elements; any bits are a
        // number.
        let mut rest = unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<T>(), total) };
        let parts = lengths.map(|n| {
            let (part, more) = std::mem::take(&mut rest).split_at_mut(n.next_multiple_of(16));
            rest = more;
            &mut part[..n]
        });
        f(parts)
    })
}
