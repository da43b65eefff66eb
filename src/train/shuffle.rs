//! The order of rows in an epoch: a permutation that is a function of seed and epoch alone.

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

/// Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
pub fn threefry2x32(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let keys = [key[0], key[1], key[0] ^ key[1] ^ 0x1BD1_1BDA];
    let mut x = [counter[0].wrapping_add(keys[0]), counter[1].wrapping_add(keys[1])];
    for group in 0..5usize {
        for rotation in ROTATIONS[group % 2] {
            x[0] = x[0].wrapping_add(x[1]);
            x[1] = x[1].rotate_left(rotation) ^ x[0];
        }
        let next = group + 1;
        x[0] = x[0].wrapping_add(keys[next % 3]);
        x[1] = x[1].wrapping_add(keys[(next + 1) % 3]).wrapping_add(next as u32);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known-answer vectors that are published with the generator.
    #[test]
    fn threefry_agrees_with_the_published_vectors() {
        assert_eq!(threefry2x32([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(threefry2x32([!0, !0], [!0, !0]), [0x1cb9_96fc, 0xbb00_2be7]);
        assert_eq!(threefry2x32([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]), [0xc492_3a9c, 0x483d_f7a0]);
    }

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
