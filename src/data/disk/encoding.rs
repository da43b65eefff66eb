//! Numbers as files have them.

use super::super::element::Element;

/// How an element is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Encoding {
    pub kind: Kind,
    /// The highest byte comes first.
    pub big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A byte, divided by this.
    Pixel {
        divisor: f64,
    },
    Bool,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F32,
    F64,
}

/// Calls a macro with the reader of each number of several bytes.
macro_rules! each {
    ($self:ident, $bytes:ident, $out:ident, $($kind:ident $t:ty, $convert:expr;)*) => {
        match $self.kind {
            $(Kind::$kind => {
                let numbers = $bytes.as_chunks::<{ size_of::<$t>() }>().0.iter().zip($out);
                if $self.big_endian {
                    numbers.for_each(|(b, out)| *out = $convert(<$t>::from_be_bytes(*b)));
                } else {
                    numbers.for_each(|(b, out)| *out = $convert(<$t>::from_le_bytes(*b)));
                }
            })*
            Kind::Pixel { divisor } => T::divider(divisor).apply($bytes, $out),
            Kind::Bool => $bytes.iter().zip($out).for_each(|(b, out)| *out = T::from_i32(i32::from(*b != 0))),
        }
    };
}

impl Encoding {
    /// Bytes of an element.
    pub fn size(self) -> usize {
        match self.kind {
            Kind::Pixel { .. } | Kind::Bool | Kind::I8 => 1,
            Kind::U16 | Kind::I16 => 2,
            Kind::U32 | Kind::I32 | Kind::F32 => 4,
            Kind::U64 | Kind::I64 | Kind::F64 => 8,
        }
    }

    pub fn is_integer(self) -> bool {
        !matches!(self.kind, Kind::Pixel { .. } | Kind::F32 | Kind::F64)
    }

    /// Elements of a batch. Integers beyond 32 bits must have been refused.
    pub fn decode<T: Element>(self, bytes: &[u8], out: &mut [T]) {
        let through_f64 = |v: f64| T::from_f64(v);
        each!(self, bytes, out,
            U16 u16, |v| T::from_i32(i32::from(v));
            U32 u32, |v| through_f64(f64::from(v));
            U64 u64, |v| through_f64(v as f64);
            I8 i8, |v| T::from_i32(i32::from(v));
            I16 i16, |v| T::from_i32(i32::from(v));
            I32 i32, |v| T::from_i32(v);
            I64 i64, |v| through_f64(v as f64);
            F32 f32, |v| T::from_f32(v);
            F64 f64, through_f64;
        );
    }
}
