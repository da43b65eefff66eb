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
    let mut order: Vec<u32> = (0..n as u32).collect();
    shuffle(&mut order, seed, STREAM, epoch, 0);
    order
}

/// Keeps the numbers inside a buffer apart from those that order the blocks.
const BUFFER_STREAM: u32 = 0x4255_4646; // "BUFF"
/// A buffer is filled from so many places.
const BLOCKS: usize = 16;

/// Rows `0..n` in the order of this epoch, for a disk: blocks of consecutive rows come in random order, [`BLOCKS`] of them
/// fill a buffer of so many rows, and the rows of a full buffer are shuffled.
pub fn buffered(n: usize, buffer: usize, seed: u64, epoch: u64) -> Vec<u32> {
    if buffer >= n {
        return permutation(n, seed, epoch);
    }
    let block = (buffer / BLOCKS).max(1) as u32;
    let blocks = permutation(n.div_ceil(block as usize), seed, epoch);
    let rows = |index: u32| index * block..(n as u32).min((index + 1) * block);
    let mut order: Vec<u32> = blocks.into_iter().flat_map(rows).collect();
    for (index, rows) in order.chunks_mut(buffer.max(1)).enumerate() {
        shuffle(rows, seed, BUFFER_STREAM, epoch, index * buffer);
    }
    order
}

/// Fisher and Yates, from the end; `first` is the place of the first row in the epoch.
fn shuffle(rows: &mut [u32], seed: u64, stream: u32, epoch: u64, first: usize) {
    let [key0, key1] = key_of(seed);
    for last in (1..rows.len()).rev() {
        // 64 random bits make the bias of the product below smaller than n / 2^64.
        let [a, b] = threefry2x32([key0, key1 ^ stream], [(first + last) as u32, epoch as u32]);
        let bits = u128::from(u64::from(a) << 32 | u64::from(b));
        let pick = (bits * (last as u128 + 1)) >> 64;
        rows.swap(last, pick as usize);
    }
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
    fn a_buffer_is_filled_from_a_few_blocks() {
        let (n, buffer) = (10_007, 800);
        let order = buffered(n, buffer, 5, 1);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..n as u32));
        assert_eq!(order, buffered(n, buffer, 5, 1));
        assert_ne!(order, buffered(n, buffer, 5, 2));
        for rows in order.chunks(buffer) {
            let mut rows = rows.to_vec();
            assert!(!rows.is_sorted());
            rows.sort_unstable();
            // One more than the blocks of a buffer: one of them may be short, and shift the others by a part.
            let pieces = 1 + rows.windows(2).filter(|pair| pair[0] + 1 != pair[1]).count();
            assert!(pieces <= BLOCKS + 1, "{pieces} pieces");
        }
        // Early batches see all parts of the file, not only its beginning.
        let far = order[..100].iter().filter(|row| **row as usize > n / 2).count();
        assert!((20..80).contains(&far), "{far}");
        assert_eq!(buffered(50, 50, 5, 1), permutation(50, 5, 1));
        assert_eq!(buffered(5, 2, 5, 1).len(), 5);
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
