//! Numbers of a batch: how stored values become them, with the same bits on every platform.

/// An element type of a batch.
pub trait Element: Copy {
    fn from_f64(v: f64) -> Self;
    fn from_f32(v: f32) -> Self;
    fn from_i32(v: i32) -> Self;
    fn divider(divisor: f64) -> Divider<Self>;

    /// `byte * high + byte * low`
    fn scaled(byte: u8, high: Self, low: Self) -> Self;
}

/// Division of bytes by a number, rounded as division is, but at the speed of a product where that is possible.
pub enum Divider<T> {
    /// The reciprocal in two parts, the first with so few bits that its product with a byte is exact.
    Product {
        high: T,
        low: T,
    },
    Division(f64),
}

impl<T: Element> Divider<T> {
    pub fn apply(&self, bytes: &[u8], out: &mut [T]) {
        let pairs = out.iter_mut().zip(bytes);
        match *self {
            Divider::Product { high, low } => pairs.for_each(|(out, byte)| *out = T::scaled(*byte, high, low)),
            Divider::Division(divisor) => pairs.for_each(|(out, byte)| *out = T::from_f64(f64::from(*byte) / divisor)),
        }
    }
}

macro_rules! float_element {
    ($t:ty, $low_bits:expr) => {
        impl Element for $t {
            fn from_f64(v: f64) -> $t {
                v as $t
            }
            fn from_f32(v: f32) -> $t {
                v as $t
            }
            fn from_i32(v: i32) -> $t {
                v as $t
            }
            fn scaled(byte: u8, high: $t, low: $t) -> $t {
                <$t>::from(byte) * high + <$t>::from(byte) * low
            }
            fn divider(divisor: f64) -> Divider<$t> {
                let exact = |byte: u8| (f64::from(byte) / divisor) as $t;
                let reciprocal = (1.0 / divisor) as $t;
                let high = <$t>::from_bits(reciprocal.to_bits() >> $low_bits << $low_bits);
                // The rest of 1/divisor: high * divisor is near 1, so the difference has no rounding to speak of.
                let low = ((1.0 - f64::from(high) * divisor) / divisor) as $t;
                // Few enough bytes exist to try them all.
                if (0..=255).all(|byte| <$t>::scaled(byte, high, low).to_bits() == exact(byte).to_bits()) {
                    Divider::Product { high, low }
                } else {
                    Divider::Division(divisor)
                }
            }
        }
    };
}

// A byte times a number whose last 8 bits (here 9, for a margin) are zero is exact.
float_element!(f32, 9);
float_element!(f64, 9);

impl Element for i32 {
    fn from_f64(v: f64) -> i32 {
        v as i32
    }
    fn from_f32(v: f32) -> i32 {
        v as i32
    }
    fn from_i32(v: i32) -> i32 {
        v
    }
    fn divider(divisor: f64) -> Divider<i32> {
        Divider::Division(divisor)
    }
    fn scaled(byte: u8, high: i32, low: i32) -> i32 {
        i32::from(byte) * (high + low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_divided_exactly() {
        for divisor in [255.0, 1.0, 256.0, 127.5, 3.0, 0.1, -7.0] {
            let bytes: Vec<u8> = (0..=255).collect();
            let (mut single, mut double) = (vec![0f32; 256], vec![0f64; 256]);
            f32::divider(divisor).apply(&bytes, &mut single);
            f64::divider(divisor).apply(&bytes, &mut double);
            for byte in 0..256 {
                assert_eq!(double[byte], byte as f64 / divisor);
                assert_eq!(single[byte], (byte as f64 / divisor) as f32);
            }
        }
        // The case that matters takes the fast way.
        assert!(matches!(f32::divider(255.0), Divider::Product { .. }));
        assert!(matches!(f64::divider(255.0), Divider::Product { .. }));
    }
}
