//! `augment` and `mixup`: what is done to the pictures of training batches, in each epoch anew.
//!
//! All that is random about a row comes from [`Turn::of_row`](super::super::Turn), so that batches are the same on any
//! number of threads and after a resume; two columns of one row (a picture and its mask) move alike.

use super::super::args::{Args, Fallible, bad};
use super::super::columns::{self, Picked, type_of};
use super::super::impute::still_missing;
use super::super::random::{Random, sin_cos};
use super::super::spec::{Call, Value};
use super::super::table::{Table, Values};
use crate::diag::error;
use std::ops::{Add, Mul};

const OPTIONS: [&str; 6] = ["flip", "crop", "rotate", "scale", "noise", "erase"];

/// How pictures of one column are changed.
#[derive(Clone, Debug)]
pub struct Augment {
    height: usize,
    width: usize,
    channels: usize,
    flip_across: bool,
    flip_down: bool,
    /// Moved by up to so many pixels; 0 comes in at the border.
    crop: usize,
    /// Turned by up to so many radians.
    rotate: f64,
    /// Made larger or smaller by up to this part.
    scale: f64,
    /// Deviation of the normal noise on each value.
    noise: f64,
    /// Side of the square that is set to 0.
    erase: usize,
}

/// `augment(image, flip = "horizontal", crop = 4, rotate = 15, scale = 0.1, noise = 0.02, erase = 8)`
pub fn augment(call: &Call, table: &mut Table) -> Fallible<()> {
    let (named, options) = columns::and_options(call);
    let args = Args::new(&options, &OPTIONS)?;
    if options.args.is_empty() {
        let title = "'augment' needs something to do";
        return Err(vec![
            error("E0407", title).at(call.span, "no option").help(format!("options: {}", OPTIONS.join(", "))),
        ]);
    }
    let (flip_across, flip_down) = match args.get("flip") {
        None => (false, false),
        Some(arg) => match &arg.value {
            Value::Str(text) if text == "horizontal" => (true, false),
            Value::Str(text) if text == "vertical" => (false, true),
            Value::Str(text) if text == "both" => (true, true),
            _ => {
                return Err(vec![bad(
                    arg,
                    "'flip' must be \"horizontal\", \"vertical\" or \"both\"",
                    "something else",
                )]);
            }
        },
    };
    let degrees = args.float("rotate", 0.0, 0.0, 180.0)?;
    for index in columns::floats(&named, table)? {
        let stored = &mut table.columns[index];
        if let Some(diagnostic) = still_missing(stored, call) {
            return Err(vec![diagnostic]);
        }
        let (height, width, channels) = match stored.column.shape[..] {
            [height, width] => (height, width, 1),
            [height, width, channels] => (height, width, channels),
            _ => {
                let title = format!("'{}' holds no pictures", stored.column.name);
                let found = format!("{}: {}", stored.column.name, type_of(stored));
                return Err(vec![
                    error("E0409", title)
                        .at(call.span, "needs [height, width] or [height, width, channels]")
                        .note(found),
                ]);
            }
        };
        if stored.augment.is_some() {
            let title = format!("'{}' is augmented twice", stored.column.name);
            return Err(vec![
                error("E0409", title).at(call.span, "the second time").help("write all options in one step"),
            ]);
        }
        let side = height.min(width) as i64;
        stored.augment = Some(Augment {
            height,
            width,
            channels,
            flip_across,
            flip_down,
            crop: args.int("crop", 0, 0, side)? as usize,
            rotate: degrees * std::f64::consts::PI / 180.0,
            scale: args.float("scale", 0.0, 0.0, 0.9)?,
            noise: args.float("noise", 0.0, 0.0, 1e6)?,
            erase: args.int("erase", 0, 0, side)? as usize,
        });
    }
    Ok(())
}

/// `mixup(image, label, alpha = 0.2)` (Zhang et al. 2018): each picture of a training batch is mixed with another, and so
/// are their labels, which become `float[classes]` for this.
pub fn mixup(call: &Call, table: &mut Table) -> Fallible<()> {
    let (named, options) = columns::and_options(call);
    let args = Args::new(&options, &["alpha"])?;
    let alpha = args.float("alpha", 0.2, 1e-3, 1e3)?;
    let mut has_label = false;
    for Picked { index, span } in columns::named(&named, table)? {
        let stored = &mut table.columns[index];
        if let Some(diagnostic) = still_missing(stored, call) {
            return Err(vec![diagnostic]);
        }
        if stored.mixup.is_some() {
            return Err(vec![
                error("E0409", format!("'{}' is mixed twice", stored.column.name)).at(span, "the second time"),
            ]);
        }
        if !stored.column.is_float {
            let Some(classes) = stored.column.classes.filter(|_| stored.column.shape.is_empty()) else {
                let title = format!("'{}' cannot be mixed", stored.column.name);
                return Err(vec![error("E0409", title).at(span, "neither floats nor class labels")]);
            };
            stored.make_one_hot(classes);
        }
        has_label |= matches!(stored.values, Values::OneHot(_));
        stored.mixup = Some(alpha);
    }
    if !has_label && named.args.len() < 2 {
        let title = "'mixup' mixes a picture and its label";
        return Err(vec![error("E0407", title).at(call.span, "one column only").help("write mixup(image, label)")]);
    }
    Ok(())
}

/// The weight of a row in its mixture, and the position of the other row among `rows`.
pub fn partner(random: &mut Random, alpha: f64, rows: usize) -> (f64, usize) {
    // Beta(alpha, alpha) by Jöhnk's method (1964); for large alpha it rarely accepts, and the middle is near enough.
    let power = |u: f64, random_exponent: f64| super::super::random::exp(super::super::random::ln(u) * random_exponent);
    let mut weight = 0.5;
    for _ in 0..64 {
        let [a, b] = [0; 2].map(|_| power(random.unit().max(1e-300), 1.0 / alpha));
        if a + b <= 1.0 && a + b > 0.0 {
            weight = a / (a + b);
            break;
        }
    }
    (weight, random.below(rows))
}

impl Augment {
    /// Changes a picture in place. `scratch` has its size.
    pub fn apply<T>(&self, random: &mut Random, picture: &mut [T], scratch: &mut [T])
    where
        T: Copy + From<f32> + Add<Output = T> + Mul<Output = T>,
    {
        // All numbers are drawn whatever the options are, so that one option does not change what another does.
        let [turn, size] = [0; 2].map(|_| random.between(-1.0, 1.0));
        let moved = [0; 2].map(|_| random.below(2 * self.crop + 1) as isize - self.crop as isize);
        let flips = [self.flip_across, self.flip_down].map(|on| random.unit() < 0.5 && on);
        let hole = [self.height, self.width].map(|side| random.below(side + 1) as isize - (self.erase / 2) as isize);
        if self.rotate > 0.0 || self.scale > 0.0 {
            scratch.copy_from_slice(picture);
            self.turn(turn * self.rotate, 1.0 + size * self.scale, scratch, picture);
        }
        if moved != [0, 0] || flips != [false, false] {
            scratch.copy_from_slice(picture);
            self.shift(moved, flips, scratch, picture);
        }
        if self.erase > 0 {
            self.blank(hole, picture);
        }
        if self.noise > 0.0 {
            let noise = |v: &mut T| *v = *v + T::from((random.normal() * self.noise) as f32);
            picture.iter_mut().for_each(noise);
        }
    }

    /// Turns and scales around the middle; between four pixels it interpolates, outside there is 0.
    fn turn<T>(&self, angle: f64, scale: f64, from: &[T], to: &mut [T])
    where
        T: Copy + From<f32> + Add<Output = T> + Mul<Output = T>,
    {
        let (sin, cos) = sin_cos(angle);
        let (sin, cos) = ((sin / scale) as f32, (cos / scale) as f32);
        let middle = [self.height, self.width].map(|side| (side as f32 - 1.0) / 2.0);
        let c = self.channels;
        for (at, out) in to.chunks_exact_mut(c).enumerate() {
            let (y, x) = ((at / self.width) as f32 - middle[0], (at % self.width) as f32 - middle[1]);
            let (y, x) = (cos * y + sin * x + middle[0], cos * x - sin * y + middle[1]);
            let (top, left) = (y.floor(), x.floor());
            let (down, right) = (y - top, x - left);
            out.fill(T::from(0.0));
            for (dy, dx) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let (row, column) = (top as isize + dy, left as isize + dx);
                let inside = row >= 0 && column >= 0 && row < self.height as isize && column < self.width as isize;
                let weight = (if dy == 1 { down } else { 1.0 - down }) * (if dx == 1 { right } else { 1.0 - right });
                if inside && weight > 0.0 {
                    let pixel = &from[(row as usize * self.width + column as usize) * c..][..c];
                    out.iter_mut().zip(pixel).for_each(|(out, v)| *out = *out + *v * T::from(weight));
                }
            }
        }
    }

    /// Moves by whole pixels, then mirrors.
    fn shift<T: Copy + From<f32>>(&self, moved: [isize; 2], flips: [bool; 2], from: &[T], to: &mut [T]) {
        let c = self.channels;
        for (at, out) in to.chunks_exact_mut(c).enumerate() {
            let (y, x) = (at / self.width, at % self.width);
            let y = if flips[1] { self.height - 1 - y } else { y } as isize + moved[0];
            let x = if flips[0] { self.width - 1 - x } else { x } as isize + moved[1];
            if y >= 0 && x >= 0 && y < self.height as isize && x < self.width as isize {
                out.copy_from_slice(&from[(y as usize * self.width + x as usize) * c..][..c]);
            } else {
                out.fill(T::from(0.0));
            }
        }
    }

    /// Cutout (DeVries and Taylor 2017): a square around any pixel, cut by the border.
    fn blank<T: Copy + From<f32>>(&self, hole: [isize; 2], picture: &mut [T]) {
        let range = |start: isize, side: usize| {
            let inside = |at: isize| at.clamp(0, side as isize) as usize;
            inside(start)..inside(start + self.erase as isize)
        };
        for y in range(hole[0], self.height) {
            let columns = range(hole[1], self.width);
            let row = &mut picture[y * self.width * self.channels..][..self.width * self.channels];
            row[columns.start * self.channels..columns.end * self.channels].fill(T::from(0.0));
        }
    }
}
