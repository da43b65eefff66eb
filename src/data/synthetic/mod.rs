//! Data made inside the program, so that every example runs on a fresh machine. The same on every platform.

mod digits;
mod glyphs;
mod linear;
mod plane;
mod sentences;
mod tokens;

pub use digits::digits;
pub use linear::linear;
pub use plane::{moons, spirals};
pub use sentences::sentences;
pub use tokens::tokens;

use super::args::{Args, Fallible, bad};
use super::table::MOST_ROWS;

/// Most values that a synthetic set may hold: a larger one is likely a slip, and would not fit in memory.
const MOST_VALUES: usize = 1 << 31;

/// Reads the row counts of the two parts, for rows of `width` values.
fn sizes(args: &Args, train: (&str, usize), test: usize, width: usize) -> Fallible<(usize, usize)> {
    let rows = args.count(train.0, train.1, 1)?;
    let test_rows = args.count("test", test, 0)?;
    let most = (MOST_VALUES / width.max(1)).min(MOST_ROWS / 2);
    for (name, count) in [(train.0, rows), ("test", test_rows)] {
        if count > most
            && let Some(arg) = args.get(name)
        {
            return Err(vec![bad(
                arg,
                format!("'{name}' is too large"),
                format!("at most {most} rows of {width} values"),
            )]);
        }
    }
    Ok((rows, test_rows))
}
