//! The order of rows in an epoch: a permutation that is a function of seed and epoch alone.

use crate::runtime::random::threefry2x32;

/// Keeps these numbers apart from those that a program draws with the same key.
const STREAM: u32 = 0x5348_5546; // "SHUF"

/// The two 32-bit words of a seed, as the key of the counter-based generator.
pub fn key_of(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

/// Rows `0..n` in the order of this epoch.
pub fn permutation(n: usize, seed: u64, epoch: u64) -> Vec<u32> {
    let [key0, key1] = key_of(seed);
    let mut order: Vec<u32> = (0..n as u32).collect();
    // Fisher and Yates, from the end. 64 random bits make the bias of the product below smaller than n / 2^64.
    for last in (1..n).rev() {
        let [a, b] = threefry2x32([key0, key1 ^ STREAM], [last as u32, epoch as u32]);
        let bits = u128::from(u64::from(a) << 32 | u64::from(b));
        let pick = (bits * (last as u128 + 1)) >> 64;
        order.swap(last, pick as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_has_every_row_once_in_its_own_order() {
        let order = permutation(1000, 42, 3);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..1000));
        assert_eq!(order, permutation(1000, 42, 3));
        assert_ne!(order, permutation(1000, 42, 4));
        assert_ne!(order, permutation(1000, 43, 3));
        assert_ne!(order, permutation(1000, 42 | 1 << 40, 3));
        assert!(permutation(0, 1, 1).is_empty());
        assert_eq!(permutation(1, 1, 1), [0]);
    }

    #[test]
    fn all_orders_of_three_rows_are_equally_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for epoch in 0..6000 {
            *counts.entry(permutation(3, 7, epoch)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|c| (900..1100).contains(c)), "{counts:?}");
    }
}
