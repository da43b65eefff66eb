//! Counter-based random bits: Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as
//! 1, 2, 3", 2011). The same key and counter give the same bits on any machine and any number of threads.

const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
const PARITY: u32 = 0x1BD1_1BDA;

/// Two random words for a key and a counter.
pub fn threefry2x32(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let keys = [key[0], key[1], key[0] ^ key[1] ^ PARITY];
    let [mut x, mut y] = [counter[0].wrapping_add(keys[0]), counter[1].wrapping_add(keys[1])];
    for group in 0..5 {
        for rotation in ROTATIONS[group % 2] {
            x = x.wrapping_add(y);
            y = y.rotate_left(rotation) ^ x;
        }
        x = x.wrapping_add(keys[(group + 1) % 3]);
        y = y.wrapping_add(keys[(group + 2) % 3]).wrapping_add(group as u32 + 1);
    }
    [x, y]
}

/// Element `index` of [`Op::RandomBits`](crate::ir::Op::RandomBits).
pub fn random_bits(key: [u32; 2], stream: u32, index: u32, step: u32) -> u32 {
    threefry2x32([key[0], key[1] ^ stream], [index, step])[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known-answer vectors of Random123 for threefry2x32 with 20 rounds.
    #[test]
    fn gives_the_published_vectors() {
        const F: u32 = 0xFFFF_FFFF;
        assert_eq!(threefry2x32([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(threefry2x32([F, F], [F, F]), [0x1cb9_96fc, 0xbb00_2be7]);
        let pi = threefry2x32([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]);
        assert_eq!(pi, [0xc492_3a9c, 0x483d_f7a0]);
    }

    #[test]
    fn streams_differ() {
        assert_ne!(random_bits([1, 2], 0, 5, 9), random_bits([1, 2], 1, 5, 9));
    }
}
