//! `synthetic.moons` and `synthetic.spirals`: classes of points in the plane that no straight line separates.

use super::super::args::{Args, Fallible};
use super::super::random::{Random, sin_cos};
use super::super::spec::Call;
use super::super::table::{Read, Stored, Table, Values};
use super::sizes;
use std::f64::consts::{PI, TAU};

/// Two half circles that reach into each other. `x: float[2]`, `label: int` in 0..2.
pub fn moons(call: &Call, read: Read) -> Fallible<Table> {
    let args = Args::new(call, &["train", "test", "noise", "seed"])?;
    let noise = args.float("noise", 0.1, 0.0, f64::INFINITY)?;
    points(&args, (1000, 200), 2, read, |class, random| {
        let (sin, cos) = sin_cos(PI * random.unit());
        let [x, y] = if class == 0 { [cos, sin] } else { [1.0 - cos, 0.5 - sin] };
        [x + noise * random.normal(), y + noise * random.normal()]
    })
}

/// Arms that wind around the origin, one for each class. `x: float[2]`, `label: int` in 0..classes.
pub fn spirals(call: &Call, read: Read) -> Fallible<Table> {
    let args = Args::new(call, &["classes", "train", "test", "noise", "turns", "seed"])?;
    let classes = args.int("classes", 3, 1, 1_000_000)? as usize;
    let noise = args.float("noise", 0.2, 0.0, 1000.0)?;
    let turns = args.float("turns", 0.75, -1000.0, 1000.0)?;
    points(&args, (1500, 300), classes, read, |class, random| {
        let radius = random.between(0.05, 1.0);
        let start = TAU * class as f64 / classes as f64;
        // The noise turns a point along its circle, so the arms stay apart near the origin too.
        let (sin, cos) = sin_cos(start + TAU * turns * radius + noise * random.normal());
        [radius * cos, radius * sin]
    })
}

/// Rows of a class chosen at random and a point of that class.
fn points(
    args: &Args,
    default: (usize, usize),
    classes: usize,
    read: Read,
    point: impl Fn(usize, &mut Random) -> [f64; 2],
) -> Fallible<Table> {
    let seed = args.seed(1)?;
    let (train, test) = sizes(args, ("train", default.0), default.1, 2)?;
    let (mut x, mut label) = (Values::Unread, Values::Unread);
    if read == Read::All {
        let (mut xs, mut labels) = (Vec::with_capacity(2 * (train + test)), Vec::with_capacity(train + test));
        for row in 0..train + test {
            let mut random = Random::new(seed, row as u64);
            let class = random.below(classes);
            xs.extend(point(class, &mut random));
            labels.push(class as i32);
        }
        (x, label) = (Values::F64(xs), Values::I32(labels));
    }
    let x = Stored::new("x", true, vec![2], None, x);
    let label = Stored::new("label", false, vec![], Some(classes), label);
    Ok(Table::new(vec![x, label], train, test))
}
