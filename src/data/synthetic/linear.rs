//! `synthetic.linear`: a linear function of standard normal inputs, with noise.

use super::super::args::{Args, Fallible};
use super::super::random::Random;
use super::super::spec::Call;
use super::super::table::{Read, Stored, Table, Values};
use super::sizes;

/// `x: float[k]`, `y: float` with `y = weights · x + bias + noise * normal`.
pub fn linear(call: &Call, read: Read) -> Fallible<Table> {
    let args = Args::new(call, &["rows", "seed", "noise", "weights", "bias", "test"])?;
    let weights = args.floats("weights", &[3.0, 2.0])?;
    let bias = args.float("bias", 0.0, f64::NEG_INFINITY, f64::INFINITY)?;
    let noise = args.float("noise", 0.1, 0.0, f64::INFINITY)?;
    let seed = args.seed(1)?;
    let k = weights.len();
    let (train, test) = sizes(&args, ("rows", 200), 0, k)?;
    let (mut x, mut y) = (Values::Unread, Values::Unread);
    if read == Read::All {
        let (mut xs, mut ys) = (Vec::with_capacity((train + test) * k), Vec::with_capacity(train + test));
        for row in 0..train + test {
            let mut random = Random::new(seed, row as u64);
            let mut sum = bias;
            for weight in &weights {
                let value = random.normal();
                sum += weight * value;
                xs.push(value);
            }
            ys.push(sum + noise * random.normal());
        }
        (x, y) = (Values::F64(xs), Values::F64(ys));
    }
    let columns = vec![Stored::new("x", true, vec![k], None, x), Stored::new("y", true, vec![], None, y)];
    Ok(Table::new(columns, train, test))
}
