//! Steps that choose and order rows: `shuffle`, `take`, `balance`. They move row numbers, never values.

use super::args::{Args, Fallible, bad};
use super::columns;
use super::random::Random;
use super::spec::Call;
use super::table::Table;
use crate::diag::error;

/// `shuffle(seed = 0)`: another order of the train rows, once (each epoch has its own order anyway).
/// `shuffle(buffer = n)`: the order of an epoch is drawn from a buffer of n rows, so that files are read in long pieces.
pub fn shuffle(call: &Call, table: &mut Table) -> Fallible<()> {
    let args = Args::new(call, &["seed", "buffer"])?;
    if args.get("buffer").is_some() {
        if let Some(seed) = args.get("seed") {
            let help = "the order is drawn from the seed of the training";
            return Err(vec![bad(seed, "'shuffle' with a buffer takes no seed", "has no effect").help(help)]);
        }
        table.buffer = Some(args.count("buffer", 0, 2)?);
        return Ok(());
    }
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

/// `balance(label, by = "repeat", seed = 0)`: as many train rows of each class, by repeating rows of small classes or by
/// leaving out rows of large ones (`"drop"`). Test rows stay as they are.
pub fn balance(call: &Call, table: &mut Table) -> Fallible<()> {
    let (named, options) = columns::and_options(call);
    let args = Args::new(&options, &["by", "seed"])?;
    let repeat = match args.str("by")?.unwrap_or("repeat") {
        "repeat" => true,
        "drop" => false,
        other => {
            let title = "'by' must be \"repeat\" or \"drop\"";
            return Err(vec![error("E0407", title).at(args.span("by"), format!("this is \"{other}\""))]);
        }
    };
    let picked = columns::labels(&named, table)?;
    let [label] = picked[..] else {
        return Err(vec![error("E0407", "'balance' takes one column").at(call.span, "several are given")]);
    };
    let stored = &table.columns[label.index];
    let mut classes: Vec<Vec<u32>> = vec![vec![]; stored.column.classes.unwrap_or(0)];
    for row in &table.train {
        if let Some(rows) = usize::try_from(stored.label(*row as usize)?).ok().and_then(|class| classes.get_mut(class))
        {
            rows.push(*row);
        }
    }
    classes.retain(|rows| !rows.is_empty());
    let sizes = classes.iter().map(Vec::len);
    let size = if repeat { sizes.max() } else { sizes.min() }.unwrap_or(0);
    let mut random = Random::new(args.seed(0)?, 2);
    let mut kept = vec![];
    for rows in &mut classes {
        random.shuffle(rows);
        kept.extend(rows.iter().cycle().take(size));
    }
    if kept.len() > super::table::MOST_ROWS {
        return Err(vec![
            error("E0409", "balancing makes too many rows").at(call.span, format!("{} rows", kept.len())),
        ]);
    }
    // In the order of the rows: a step that follows may depend on it.
    kept.sort_unstable();
    table.train = kept;
    Ok(())
}
