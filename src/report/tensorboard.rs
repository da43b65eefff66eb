//! Event files for TensorBoard, written by hand: a few fields of two messages, in frames of a length and two checksums.
//!
//! * frames: TFRecord (<https://www.tensorflow.org/tutorials/load_data/tfrecord>), checksums CRC-32C (RFC 3720), masked
//! * messages: `Event` and `Summary` of tensorflow's `event.proto` and `summary.proto`, as protobuf

use super::load::Run;

/// A name that TensorBoard recognises; one run, one file, however often it is written.
pub fn file_name(run: &Run) -> String {
    format!("events.out.tfevents.{:010}.optc", started(run))
}

/// All curves of a run: a scalar for each logged value, tagged `train/loss`, `test/accuracy`, …
pub fn events(run: &Run) -> Vec<u8> {
    let begin = started(run) as f64;
    let seconds = run.result["seconds"].as_f64().unwrap_or(0.0);
    let steps = run.last.0.max(1.0);
    // The log has no times; steps are as good as equally long.
    let time = |step: f64| begin + seconds * step / steps;
    let mut out = record(&event(begin, 0, &bytes(3, b"brain.Event:2")));
    let mut scalars: Vec<(f64, String, f64)> = vec![];
    for series in &run.series {
        let tag = format!("{}/{}", series.split, series.name);
        scalars.extend(series.points.iter().map(|(step, value)| (*step, tag.clone(), *value)));
    }
    scalars.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (step, tag, value) in scalars {
        // Summary { value: Value { tag: 1, simple_value: 2 } }
        let mut scalar = bytes(1, tag.as_bytes());
        scalar.extend(key(2, FIXED32));
        scalar.extend((value as f32).to_le_bytes());
        out.extend(record(&event(time(step), step as u64, &bytes(5, &bytes(1, &scalar)))));
    }
    out
}

/// When the run began, in seconds since 1970; 0 if it did not say how it ended.
fn started(run: &Run) -> u64 {
    let ended = run.result["ended"].as_u64().unwrap_or(0);
    ended.saturating_sub(run.result["seconds"].as_f64().unwrap_or(0.0) as u64)
}

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// `Event { wall_time: 1, step: 2, … }`
fn event(time: f64, step: u64, what: &[u8]) -> Vec<u8> {
    let mut out = key(1, FIXED64);
    out.extend(time.to_le_bytes());
    out.extend(key(2, VARINT));
    out.extend(varint(step));
    out.extend(what);
    out
}

fn key(field: u64, kind: u64) -> Vec<u8> {
    varint(field << 3 | kind)
}

fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    let mut out = key(field, LENGTH);
    out.extend(varint(content.len() as u64));
    out.extend(content);
    out
}

/// Seven bits a byte, the low ones first; the high bit says that more follow.
fn varint(mut value: u64) -> Vec<u8> {
    let mut out = vec![];
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// Length, its checksum, content, its checksum.
fn record(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    let mut out = length.to_vec();
    out.extend(masked(crc32c(&length)).to_le_bytes());
    out.extend(content);
    out.extend(masked(crc32c(content)).to_le_bytes());
    out
}

/// A checksum of data that contains checksums is weak; TFRecord rotates and shifts it.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C: the polynomial 0x1EDC6F41, reflected.
fn crc32c(data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut n = 0;
        while n < 256 {
            let mut crc = n as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
                bit += 1;
            }
            table[n] = crc;
            n += 1;
        }
        table
    };
    !data.iter().fold(!0, |crc, byte| TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, appendix B.4, and the check value of the CRC catalogue.
    #[test]
    fn checksums_are_those_of_the_standard() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&rising), 0x46dd_794e);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn numbers_have_seven_bits_a_byte() {
        assert_eq!(varint(0), [0]);
        assert_eq!(varint(300), [0xac, 0x02]);
        assert_eq!(varint(u64::MAX).len(), 10);
        assert_eq!(key(5, LENGTH), [0x2a]);
    }

    #[test]
    fn a_frame_tells_its_length_twice() {
        let made = record(b"abc");
        assert_eq!(
            (made.len(), &made[..8], &made[12..15]),
            (8 + 4 + 3 + 4, &[3, 0, 0, 0, 0, 0, 0, 0][..], &b"abc"[..])
        );
        assert_eq!(made[8..12], masked(crc32c(&made[..8])).to_le_bytes());
    }
}
