//! Order statistics of values that do not fit in memory: read several times instead of sorted.

use super::super::args::Fallible;
use super::super::table::Stored;
use crate::diag::error;
use crate::source::Span;
use std::collections::BTreeMap;

/// A key is looked at in digits of so many bits, the highest first.
const BITS: u32 = 11;
const DIGITS: u32 = u64::BITS.div_ceil(BITS);
/// More different values than this are not counted.
const MOST_VALUES: usize = 1 << 20;

/// A number whose order as an integer is that of the float.
fn key(v: f64) -> u64 {
    let bits = v.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

fn value(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key & !(1 << 63) } else { !key })
}

/// The median of each element over the rows, of those that are not missing.
pub fn medians(stored: &Stored, rows: &[u32]) -> Fallible<Vec<Option<f64>>> {
    let width = stored.width();
    let rows = || rows.iter().map(|row| *row as usize);
    let mut known = vec![0usize; width];
    stored.each(rows(), |values| known.iter_mut().zip(values).for_each(|(n, v)| *n += usize::from(!v.is_nan())))?;
    // The two values in the middle, which are one if their number is odd: how many lie before each of them, and the
    // digits that are known of them.
    let mut before: Vec<[usize; 2]> = known.iter().map(|n| [n.saturating_sub(1) / 2, n / 2]).collect();
    let mut found = vec![[0u64; 2]; width];
    for digit in (0..DIGITS).rev() {
        let shift = digit * BITS;
        let mut counts = vec![[0u32; 1 << BITS]; 2 * width];
        stored.each(rows(), |values| {
            for (element, v) in values.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
                let key = key(*v);
                let high = key.checked_shr(shift + BITS).unwrap_or(0);
                for which in (0..2).filter(|which| found[element][*which] == high) {
                    counts[2 * element + which][(key >> shift) as usize & ((1 << BITS) - 1)] += 1;
                }
            }
        })?;
        for (at, counts) in counts.iter().enumerate() {
            let (before, found) = (&mut before[at / 2][at % 2], &mut found[at / 2][at % 2]);
            let mut bucket = 0;
            while bucket + 1 < counts.len() && *before >= counts[bucket] as usize {
                *before -= counts[bucket] as usize;
                bucket += 1;
            }
            *found = *found << BITS | bucket as u64;
        }
    }
    let median = |(n, [a, b]): (&usize, &[u64; 2])| match n {
        0 => None,
        n if n % 2 == 1 => Some(value(*a)),
        _ => Some((value(*a) + value(*b)) / 2.0),
    };
    Ok(known.iter().zip(&found).map(median).collect())
}

/// The most frequent value of each element, of equally frequent ones the smallest by its bits.
pub fn most_frequent(stored: &Stored, rows: &[u32], span: Span) -> Fallible<Vec<Option<f64>>> {
    let mut counts: Vec<BTreeMap<u64, usize>> = vec![BTreeMap::new(); stored.width()];
    let mut too_many = false;
    stored.each(rows.iter().map(|row| *row as usize), |values| {
        for (counts, v) in counts.iter_mut().zip(values).filter(|(_, v)| !v.is_nan()) {
            if counts.len() < MOST_VALUES || counts.contains_key(&v.to_bits()) {
                *counts.entry(v.to_bits()).or_default() += 1;
            } else {
                too_many = true;
            }
        }
    })?;
    if too_many {
        let title = format!("'{}' has too many different values to find the most frequent one", stored.column.name);
        let label = format!("more than {MOST_VALUES} are not counted in a streamed column");
        return Err(vec![error("E0413", title).at(span, label).help("impute by \"median\" or \"mean\"")]);
    }
    let most = |counts: BTreeMap<u64, usize>| {
        let most = counts.into_iter().rev().max_by_key(|(_, count)| *count);
        most.map(|(bits, _)| f64::from_bits(bits))
    };
    Ok(counts.into_iter().map(most).collect())
}
