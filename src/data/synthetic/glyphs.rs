//! Drawing one digit: strokes from a table, bent, placed and thickened at random, then rasterised.

use super::super::random::{Random, sin_cos};

/// Pixels on a side.
pub const SIDE: usize = 28;

/// A line through points, or a part of an ellipse, in a unit box with y downwards. Angles are in turns: 0 is right,
/// 0.25 down, 0.5 left, 0.75 up.
enum Stroke {
    Line(&'static [(f64, f64)]),
    Arc { center: (f64, f64), radius: (f64, f64), from: f64, to: f64 },
}

const fn arc(center: (f64, f64), radius: (f64, f64), from: f64, to: f64) -> Stroke {
    Stroke::Arc { center, radius, from, to }
}

const fn ring(center: (f64, f64), radius: (f64, f64)) -> Stroke {
    arc(center, radius, 0.0, 1.0)
}

use Stroke::Line;

/// Ways to write each digit.
const STYLES: [&[&[Stroke]]; 10] = [
    &[&[ring((0.5, 0.5), (0.31, 0.45))], &[ring((0.5, 0.5), (0.22, 0.45))]],
    &[
        &[Line(&[(0.5, 0.05), (0.5, 0.95)])],
        &[Line(&[(0.28, 0.28), (0.52, 0.05), (0.52, 0.95)])],
        &[Line(&[(0.3, 0.24), (0.52, 0.05), (0.52, 0.95)]), Line(&[(0.3, 0.95), (0.74, 0.95)])],
    ],
    &[
        &[arc((0.49, 0.31), (0.28, 0.26), 0.52, 1.09), Line(&[(0.72, 0.45), (0.2, 0.94), (0.8, 0.94)])],
        &[
            arc((0.47, 0.3), (0.27, 0.25), 0.55, 1.12),
            Line(&[(0.67, 0.46), (0.34, 0.86)]),
            ring((0.31, 0.84), (0.1, 0.09)),
            Line(&[(0.36, 0.9), (0.8, 0.93)]),
        ],
    ],
    &[
        &[arc((0.46, 0.27), (0.27, 0.22), 0.55, 1.25), arc((0.46, 0.72), (0.31, 0.23), 0.75, 1.45)],
        &[Line(&[(0.22, 0.06), (0.75, 0.06), (0.44, 0.42)]), arc((0.44, 0.68), (0.3, 0.26), 0.75, 1.45)],
    ],
    &[
        &[Line(&[(0.62, 0.95), (0.62, 0.05), (0.18, 0.65), (0.85, 0.65)])],
        &[Line(&[(0.28, 0.06), (0.22, 0.55), (0.82, 0.55)]), Line(&[(0.68, 0.1), (0.66, 0.95)])],
    ],
    &[
        &[Line(&[(0.76, 0.06), (0.3, 0.06), (0.26, 0.48)]), arc((0.47, 0.67), (0.29, 0.27), 0.62, 1.4)],
        &[Line(&[(0.7, 0.08), (0.34, 0.08), (0.32, 0.42), (0.5, 0.4)]), arc((0.46, 0.66), (0.27, 0.26), 0.78, 1.42)],
    ],
    &[
        &[arc((0.62, 0.54), (0.4, 0.48), 0.84, 0.44), ring((0.49, 0.71), (0.27, 0.23))],
        &[Line(&[(0.58, 0.05), (0.34, 0.42), (0.24, 0.68)]), ring((0.48, 0.72), (0.24, 0.22))],
    ],
    &[
        &[Line(&[(0.2, 0.07), (0.8, 0.07), (0.42, 0.95)])],
        &[Line(&[(0.2, 0.07), (0.8, 0.07), (0.42, 0.95)]), Line(&[(0.36, 0.5), (0.72, 0.5)])],
    ],
    &[
        &[ring((0.5, 0.28), (0.22, 0.22)), ring((0.5, 0.72), (0.28, 0.23))],
        &[ring((0.5, 0.29), (0.25, 0.23)), ring((0.5, 0.73), (0.23, 0.21))],
    ],
    &[
        &[ring((0.5, 0.3), (0.26, 0.24)), Line(&[(0.76, 0.3), (0.68, 0.95)])],
        &[ring((0.51, 0.29), (0.26, 0.23)), arc((0.37, 0.46), (0.4, 0.48), 0.95, 1.32)],
    ],
];

/// How far a digit may be from the one in the table.
const SHIFT: f64 = 2.2;
const ROTATION: f64 = 0.26;
const SHEAR: f64 = 0.22;
const JITTER: f64 = 0.022;

/// Draws a digit, white on black, with pixel noise of the given deviation (1 is white).
pub fn draw(digit: usize, noise: f64, random: &mut Random, out: &mut [u8]) {
    let styles = STYLES[digit];
    let style = styles[random.below(styles.len())];
    let width = random.between(13.0, 19.5);
    let height = random.between(16.0, 22.0);
    let shear = random.between(-SHEAR, SHEAR);
    let (sin, cos) = sin_cos(random.between(-ROTATION, ROTATION));
    let middle = SIDE as f64 / 2.0;
    let (dx, dy) = (middle + random.between(-SHIFT, SHIFT), middle + random.between(-SHIFT, SHIFT));
    let pen = Pen { radius: random.between(0.6, 1.7) as f32, ink: random.between(170.0, 255.0) as f32 };
    // From the unit box to pixels: slanted and stretched, then turned, then moved.
    let place = |(x, y): (f64, f64)| {
        let (x, y) = (x - 0.5, y - 0.5);
        let (x, y) = (width * (x - shear * y), height * y);
        ((dx + cos * x - sin * y) as f32, (dy + sin * x + cos * y) as f32)
    };
    let mut canvas = [0f32; SIDE * SIDE];
    for stroke in style {
        let mut last = None;
        let mut to = |point| {
            if let Some(from) = last.replace(point) {
                pen.segment(&mut canvas, from, point);
            }
        };
        match stroke {
            Line(points) => points.iter().for_each(|point| to(place(bend(random, *point, JITTER)))),
            Stroke::Arc { center, radius, from, to: end } => {
                let center = bend(random, *center, JITTER);
                let radius = bend(random, *radius, 2.0 * JITTER);
                let pieces = ((end - from).abs() * 14.0).ceil();
                for i in 0..=pieces as usize {
                    let turn = from + (end - from) * i as f64 / pieces;
                    let (s, c) = sin_cos(turn * std::f64::consts::TAU);
                    to(place((center.0 + radius.0 * c, center.1 + radius.1 * s)));
                }
            }
        }
    }
    add_noise(&canvas, noise, random, out);
}

/// Moves a point a little, by cheap bell-shaped numbers in -1.5 to 1.5.
fn bend(random: &mut Random, (x, y): (f64, f64), size: f64) -> (f64, f64) {
    let mut wobble = || size * (random.unit() + random.unit() + random.unit() - 1.5);
    (x + wobble(), y + wobble())
}

struct Pen {
    radius: f32,
    /// Brightness of a covered pixel, to 255.
    ink: f32,
}

impl Pen {
    /// A line with round ends. A pixel's brightness follows the distance of its middle from the line.
    fn segment(&self, canvas: &mut [f32], (x0, y0): (f32, f32), (x1, y1): (f32, f32)) {
        let reach = self.radius + 0.5;
        let range = |a: f32, b: f32| {
            let low = (a.min(b) - reach - 0.5).max(0.0) as usize;
            let high = (a.max(b) + reach + 0.5).clamp(0.0, SIDE as f32) as usize;
            low..high
        };
        let (dx, dy) = (x1 - x0, y1 - y0);
        let scale = 1.0 / (dx * dx + dy * dy).max(1e-6);
        for y in range(y0, y1) {
            let py = y as f32 + 0.5 - y0;
            for x in range(x0, x1) {
                let px = x as f32 + 0.5 - x0;
                let along = ((px * dx + py * dy) * scale).clamp(0.0, 1.0);
                let (ex, ey) = (px - along * dx, py - along * dy);
                let square = ex * ex + ey * ey;
                if square < reach * reach {
                    let value = self.ink * (reach - square.sqrt()).min(1.0);
                    let pixel = &mut canvas[y * SIDE + x];
                    *pixel = pixel.max(value);
                }
            }
        }
    }
}

/// Adds to each pixel the sum of two random bytes (a triangular distribution) scaled to the deviation.
fn add_noise(canvas: &[f32], noise: f64, random: &mut Random, out: &mut [u8]) {
    // The sum of two bytes, less its mean, has deviation sqrt(2 (256^2 - 1) / 12) = 104.5.
    let scale = (noise * 255.0 / 104.5) as f32;
    for (out, pixels) in out.chunks_mut(4).zip(canvas.chunks(4)) {
        let bytes = random.bits().to_le_bytes();
        for ((out, pixel), pair) in out.iter_mut().zip(pixels).zip(bytes.chunks_exact(2)) {
            let sum = f32::from(pair[0]) + f32::from(pair[1]) - 255.0;
            *out = (pixel + scale * sum + 0.5).clamp(0.0, 255.0) as u8;
        }
    }
}
