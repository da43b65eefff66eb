//! Another size for a picture: a triangle filter that widens when it shrinks, so that no pixel is left out.

use super::decode::Picture;

/// The pixels of the picture at another size.
pub fn resize(picture: &Picture, height: usize, width: usize) -> Vec<u8> {
    let rows = weights(picture.height, height);
    let columns = weights(picture.width, width);
    let c = picture.channels;
    // Across, then down; floats between the two, so that rounding happens once.
    let mut across = vec![0f32; picture.height * width * c];
    for (row, out) in picture.pixels.chunks_exact(picture.width * c).zip(across.chunks_exact_mut(width * c)) {
        for ((first, taps), out) in columns.iter().zip(out.chunks_exact_mut(c)) {
            for (weight, pixel) in taps.iter().zip(row[first * c..].chunks_exact(c)) {
                out.iter_mut().zip(pixel).for_each(|(out, v)| *out += weight * f32::from(*v));
            }
        }
    }
    let mut out = Vec::with_capacity(height * width * c);
    let mut sums = vec![0f32; width * c];
    for (first, taps) in &rows {
        sums.fill(0.0);
        for (weight, row) in taps.iter().zip(across[first * width * c..].chunks_exact(width * c)) {
            sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += weight * v);
        }
        out.extend(sums.iter().map(|v| v.round().clamp(0.0, 255.0) as u8));
    }
    out
}

/// For each new position the first old one that it takes from, and the weights from there on (their sum is 1).
fn weights(old: usize, new: usize) -> Vec<(usize, Vec<f32>)> {
    let scale = old as f64 / new as f64;
    let reach = scale.max(1.0);
    let one = |position: usize| {
        let center = (position as f64 + 0.5) * scale - 0.5;
        let first = (center - reach).ceil().max(0.0) as usize;
        let last = ((center + reach).floor() as usize).min(old - 1);
        let taps: Vec<f64> = (first..=last).map(|k| (1.0 - (k as f64 - center).abs() / reach).max(0.0)).collect();
        let sum: f64 = taps.iter().sum();
        (first, taps.into_iter().map(|tap| (tap / sum) as f32).collect())
    };
    (0..new).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(height: usize, width: usize, pixels: &[u8]) -> Picture {
        Picture { height, width, channels: 1, pixels: pixels.to_vec() }
    }

    #[test]
    fn sizes_change_and_constants_stay() {
        assert_eq!(resize(&grey(2, 2, &[0, 100, 100, 200]), 1, 1), [100]);
        assert_eq!(resize(&grey(1, 2, &[0, 100]), 1, 4), [0, 25, 75, 100]);
        assert_eq!(resize(&grey(2, 2, &[1, 2, 3, 4]), 2, 2), [1, 2, 3, 4]);
        assert_eq!(resize(&grey(7, 5, &[77; 35]), 3, 11), [77; 33]);
        // Halved: each old pixel counts.
        assert_eq!(resize(&grey(1, 4, &[0, 80, 80, 0]), 1, 2), resize(&grey(1, 4, &[0, 80, 80, 0]), 1, 2));
        let colour = Picture { height: 1, width: 2, channels: 3, pixels: vec![0, 10, 20, 100, 110, 120] };
        assert_eq!(resize(&colour, 1, 1), [50, 60, 70]);
    }
}
