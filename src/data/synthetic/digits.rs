//! `synthetic.digits`: images of handwritten-looking digits, drawn when the program starts.

use super::super::args::{Args, Fallible};
use super::super::random::Random;
use super::super::spec::Call;
use super::super::table::{Read, Stored, Table, Values};
use super::glyphs::{SIDE, draw};
use super::sizes;

/// `image: float[28, 28]` in 0 to 1, `label: int` in 0..10. The classes must be learnt: the digits are moved, turned,
/// slanted, stretched and written in several ways, so that a linear model stays clearly behind a small network.
pub fn digits(call: &Call, read: Read) -> Fallible<Table> {
    let args = Args::new(call, &["train", "test", "seed", "noise"])?;
    let noise = args.float("noise", 0.1, 0.0, 1.0)?;
    let seed = args.seed(1)?;
    let pixels = SIDE * SIDE;
    let (train, test) = sizes(&args, ("train", 10_000), 2_000, pixels)?;
    let (mut image, mut label) = (Values::Unread, Values::Unread);
    if read == Read::All {
        let rows = train + test;
        let (mut data, mut labels) = (vec![0; rows * pixels], vec![0; rows]);
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let share = rows.div_ceil(threads).max(256);
        // Each row has its own random stream, so the number of threads changes nothing.
        std::thread::scope(|scope| {
            let shares = data.chunks_mut(share * pixels).zip(labels.chunks_mut(share)).enumerate();
            for (i, (images, labels)) in shares {
                scope.spawn(move || {
                    for (j, (image, label)) in images.chunks_exact_mut(pixels).zip(labels).enumerate() {
                        let mut random = Random::new(seed, (i * share + j) as u64);
                        let digit = random.below(10);
                        *label = digit as i32;
                        draw(digit, noise, &mut random, image);
                    }
                });
            }
        });
        (image, label) = (Values::Bytes { data, divisor: 255.0, affine: None }, Values::I32(labels));
    }
    let image = Stored::new("image", true, vec![SIDE, SIDE], None, image);
    let label = Stored::new("label", false, vec![], Some(10), label);
    Ok(Table::new(vec![image, label], train, test))
}
