//! Random numbers for synthetic data, splits and shuffles: the same on every platform.
//!
//! Only additions, products, divisions and square roots are used (each of them exactly rounded), never the platform's
//! mathematical library. Each row of a synthetic set has its own stream, so rows can be made in any order.

/// A splitmix64 sequence (Steele, Lea and Flood 2014), whose n-th number depends on nothing but the seed, the stream and n.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random {
    pub fn new(seed: u64, stream: u64) -> Random {
        Random { state: mix(mix(seed.wrapping_add(GOLDEN)) ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03)) }
    }

    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// Uniform in [0, 1), with 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in 0..n; the bias of the multiplication is below n / 2^64.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// Standard normal, by Marsaglia's polar method (which needs no trigonometry).
    pub fn normal(&mut self) -> f64 {
        loop {
            let (u, v) = (self.between(-1.0, 1.0), self.between(-1.0, 1.0));
            let s = u * u + v * v;
            if s > 0.0 && s < 1.0 {
                return u * (-2.0 * ln(s) / s).sqrt();
            }
        }
    }

    /// Fisher-Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// Natural logarithm of a positive normal number, to about 1e-15: `x = m 2^e`, `ln m = 2 atanh((m - 1) / (m + 1))`.
pub fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) as i64 - 1023) as f64;
    let mut m = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000);
    if m > std::f64::consts::SQRT_2 {
        m *= 0.5;
        exponent += 1.0;
    }
    let s = (m - 1.0) / (m + 1.0);
    let s2 = s * s;
    let series = (0..11).rev().fold(0.0, |sum, k| sum * s2 + 1.0 / f64::from(2 * k + 1));
    exponent * std::f64::consts::LN_2 + 2.0 * s * series
}

/// e^x for x from -700 to 0, to about 1e-15 of its size: `x = k ln 2 + r`, and a series for e^r.
pub fn exp(x: f64) -> f64 {
    if x < -700.0 {
        return 0.0;
    }
    let k = (x / std::f64::consts::LN_2 + 0.5).floor();
    let r = x - k * std::f64::consts::LN_2;
    let series = (1..16).rev().fold(1.0, |sum, n| 1.0 + r * sum / f64::from(n));
    series * f64::from_bits(((k as i64 + 1023) as u64) << 52)
}

/// Sine and cosine of an angle of moderate size (in radians), to about 1e-15.
pub fn sin_cos(angle: f64) -> (f64, f64) {
    use std::f64::consts::FRAC_PI_2;
    let quarters = (angle / FRAC_PI_2 + 0.5).floor();
    let r = angle - quarters * FRAC_PI_2;
    let r2 = r * r;
    // Taylor's series: |r| <= pi/4, so the term of degree 17 is below 1e-16.
    let sin = r * (0..9).rev().fold(0.0, |sum, k| 1.0 - r2 * next(sum, k == 8) / f64::from((2 * k + 2) * (2 * k + 3)));
    let cos = (0..9).rev().fold(0.0, |sum, k| 1.0 - r2 * next(sum, k == 8) / f64::from((2 * k + 1) * (2 * k + 2)));
    match quarters.rem_euclid(4.0) as u32 {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

/// The innermost bracket of a nested series is 1.
fn next(sum: f64, innermost: bool) -> f64 {
    if innermost { 1.0 } else { sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_near_the_platforms() {
        let mut random = Random::new(1, 2);
        for _ in 0..10_000 {
            let x = random.between(1e-9, 50.0);
            assert!((ln(x) - x.ln()).abs() <= 4e-15 * x.ln().abs().max(1.0), "ln {x}");
            let power = random.between(-600.0, 0.0);
            assert!((exp(power) - power.exp()).abs() <= 1e-13 * power.exp(), "exp {power}");
            let angle = random.between(-20.0, 20.0);
            let (sin, cos) = sin_cos(angle);
            assert!((sin - angle.sin()).abs() < 4e-15 && (cos - angle.cos()).abs() < 4e-15, "{angle}");
        }
    }

    #[test]
    fn normal_numbers_have_mean_0_and_deviation_1() {
        let mut random = Random::new(7, 0);
        let n = 100_000;
        let values: Vec<f64> = (0..n).map(|_| random.normal()).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        let var = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.01 && (var - 1.0).abs() < 0.02, "{mean} {var}");
    }

    #[test]
    fn the_sequence_never_changes() {
        // Pinned: synthetic data must not change between versions.
        let mut random = Random::new(1, 0);
        assert_eq!([random.bits(), random.bits()], [7_982_734_928_498_899_980, 7_851_527_857_629_710_090]);
    }
}
