//! PNG and JPEG to bytes, told by the content of the file.

use std::io::Cursor;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Rows of pixels from the top, `channels` bytes each.
pub struct Picture {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub pixels: Vec<u8>,
}

pub struct Problem {
    /// The content is of another kind than both.
    pub unknown: bool,
    pub reason: String,
}

/// No side of a picture is longer.
const MOST_PIXELS: usize = 1 << 14;

pub fn decode(bytes: &[u8]) -> Result<Picture, Problem> {
    let damaged = |reason: String| Problem { unknown: false, reason };
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        png(bytes).map_err(damaged)
    } else if bytes.starts_with(b"\xff\xd8\xff") {
        jpeg(bytes).map_err(damaged)
    } else {
        Err(Problem { unknown: true, reason: "the first bytes are of neither".into() })
    }
}

fn png(bytes: &[u8]) -> Result<Picture, String> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
    let (height, width) = (reader.info().height as usize, reader.info().width as usize);
    small(height, width)?;
    let size = reader.output_buffer_size().ok_or("its size does not fit in memory")?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(|e| e.to_string())?;
    pixels.truncate(frame.buffer_size());
    let channels = frame.color_type.samples();
    if pixels.len() != height * width * channels {
        return Err("its pixels do not fit its header".into());
    }
    Ok(Picture { height, width, channels, pixels })
}

fn jpeg(bytes: &[u8]) -> Result<Picture, String> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_height(MOST_PIXELS)
        .set_max_width(MOST_PIXELS)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    let pixels = decoder.decode().map_err(|e| e.to_string())?;
    let info = decoder.info().ok_or("it has no header")?;
    let (height, width) = (usize::from(info.height), usize::from(info.width));
    if pixels.len() != height * width * 3 {
        return Err("its pixels do not fit its header".into());
    }
    Ok(Picture { height, width, channels: 3, pixels })
}

fn small(height: usize, width: usize) -> Result<(), String> {
    if height > MOST_PIXELS || width > MOST_PIXELS {
        return Err(format!("it is {height} x {width}; no side may be longer than {MOST_PIXELS}"));
    }
    Ok(())
}

impl Picture {
    /// Grey (1) or red, green and blue (3). Transparency is left out.
    pub fn with_channels(self, wanted: usize) -> Picture {
        // Grey, grey and alpha, colour, colour and alpha.
        let colours = if self.channels < 3 { 1 } else { 3 };
        if self.channels == wanted {
            return self;
        }
        let own = self.pixels.chunks_exact(self.channels).map(|pixel| &pixel[..colours]);
        let pixels = match (colours, wanted) {
            (1, 3) => own.flat_map(|grey| [grey[0]; 3]).collect(),
            (3, 1) => own.map(luma).collect(),
            _ => own.flatten().copied().collect(),
        };
        Picture { channels: wanted, pixels, ..self }
    }
}

/// ITU-R BT.601, rounded.
fn luma(rgb: &[u8]) -> u8 {
    let [r, g, b] = [0, 1, 2].map(|k| u32::from(rgb[k]));
    ((299 * r + 587 * g + 114 * b + 500) / 1000) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_added_and_taken_away() {
        let pixels = vec![10, 20, 30, 255, 200, 100, 50, 0];
        let picture = |channels| Picture { height: 1, width: 8 / channels, channels, pixels: pixels.clone() };
        assert_eq!(picture(4).with_channels(3).pixels, [10, 20, 30, 200, 100, 50]);
        assert_eq!(picture(4).with_channels(1).pixels, [18, 124]);
        assert_eq!(picture(2).with_channels(1).pixels, [10, 30, 200, 50]);
        assert_eq!(picture(2).with_channels(3).pixels[..6], [10, 10, 10, 30, 30, 30]);
        assert_eq!(picture(1).with_channels(1).pixels, pixels);
    }
}
