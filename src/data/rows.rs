//! Steps that choose and order rows: `split`, `fold`, `shuffle`, `take`. They move row numbers, never values.

use super::args::{Args, Fallible, bad};
use super::random::Random;
use super::spec::Call;
use super::table::Table;
use crate::diag::error;

/// `split(test = 0.2, seed = 0)`, `split(every = 5)` or `split(last = n)`: makes the test part.
pub fn split(call: &Call, table: &mut Table) -> Fallible<()> {
    let args = Args::new(call, &["test", "seed", "every", "last"])?;
    if !table.test.is_empty() {
        return Err(vec![
            error("E0409", "this data already has a test part")
                .at(call.span, "splits it again")
                .note(format!("{} train rows and {} test rows before this step", table.train.len(), table.test.len()))
                .help("leave out this step, or the test part of the source"),
        ]);
    }
    if table.columns.iter().any(|column| column.varies()) {
        return Err(vec![
            error("E0409", "windows that lie anywhere cannot be split")
                .at(call.span, "a train window may lie over a test window")
                .help("the source splits a text by position: text(…, test = 0.2)"),
        ]);
    }
    let ways: Vec<_> = ["test", "every", "last"].into_iter().filter_map(|name| args.get(name)).collect();
    if let [_, second, ..] = ways[..] {
        return Err(vec![bad(second, "'split' takes one of 'test', 'every' and 'last'", "a second way to split")]);
    }
    let total = table.train.len();
    let is_test: Vec<bool> = if args.get("every").is_some() {
        let every = args.count("every", 5, 2)?;
        (0..total).map(|i| i % every == every - 1).collect()
    } else if args.get("last").is_some() {
        let last = args.count("last", 0, 1)?;
        (0..total).map(|i| i + last >= total).collect()
    } else {
        let fraction = args.float("test", 0.2, 0.0, 1.0)?;
        let count = (fraction * total as f64).round() as usize;
        let mut order: Vec<usize> = (0..total).collect();
        Random::new(args.seed(0)?, 0).shuffle(&mut order);
        let mut is_test = vec![false; total];
        order[..count.min(total)].iter().for_each(|i| is_test[*i] = true);
        is_test
    };
    if args.get("seed").is_some() && (args.get("every").is_some() || args.get("last").is_some()) {
        return Err(vec![bad(
            args.get("seed").unwrap_or(&call.args[0]),
            "this way to split uses no seed",
            "has no effect",
        )]);
    }
    let all = std::mem::take(&mut table.train);
    let part = |test: bool| all.iter().zip(&is_test).filter(move |(_, t)| **t == test).map(|(row, _)| *row).collect();
    (table.train, table.test) = (part(false), part(true));
    for (name, rows) in [("train", &table.train), ("test", &table.test)] {
        if rows.is_empty() {
            return Err(vec![
                error("E0409", format!("no {name} rows are left after 'split'"))
                    .at(call.span, format!("{total} rows before this step")),
            ]);
        }
    }
    Ok(())
}

/// `fold(index, of, seed = 0)`: part `index` (from 0) of `of` equal random parts is the test part. A test part of the
/// source is set aside: the folds are of its training rows.
pub fn fold(call: &Call, table: &mut Table) -> Fallible<()> {
    let args = Args::new(call, &["index", "of", "seed"])?;
    let of = args.count("of", 5, 2)?;
    let index = args.count("index", 0, 0)?;
    let total = table.train.len();
    if of > total || index >= of {
        let what = error("E0409", format!("there is no fold {index} of {of} (from 0) in {total} rows"));
        return Err(vec![what.at(call.span, "this fold")]);
    }
    let mut order: Vec<usize> = (0..total).collect();
    Random::new(args.seed(0)?, 2).shuffle(&mut order);
    let mut is_test = vec![false; total];
    order.iter().skip(index).step_by(of).for_each(|i| is_test[*i] = true);
    let all = std::mem::take(&mut table.train);
    let part = |test: bool| all.iter().zip(&is_test).filter(move |(_, t)| **t == test).map(|(row, _)| *row).collect();
    (table.train, table.test) = (part(false), part(true));
    Ok(())
}

/// `shuffle(seed = 0)`: another order of the train rows, once (each epoch has its own order anyway).
pub fn shuffle(call: &Call, table: &mut Table) -> Fallible<()> {
    let args = Args::new(call, &["seed"])?;
    Random::new(args.seed(0)?, 1).shuffle(&mut table.train);
    Ok(())
}

/// `take(n, test = m)`: the first n train rows, and the first m test rows (all of them without `test`).
pub fn take(call: &Call, table: &mut Table) -> Fallible<()> {
    let args = Args::new(call, &["train", "test"])?;
    table.train.truncate(args.count("train", usize::MAX >> 1, 1)?);
    table.test.truncate(args.count("test", usize::MAX >> 1, 0)?);
    Ok(())
}
