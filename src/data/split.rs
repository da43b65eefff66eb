//! `split` and `fold`: which rows are for testing. Moves row numbers, never values.

use super::args::{Args, Fallible, bad};
use super::columns;
use super::random::Random;
use super::spec::{Call, Value};
use super::table::Table;
use crate::diag::error;

const WAYS: [&str; 3] = ["test", "every", "last"];

/// Whether the step needs the values of a column: row counts depend on them.
pub fn needs_values(call: &Call) -> bool {
    call.args.iter().any(|arg| arg.name.as_deref() == Some("stratify"))
}

/// Makes the test part: a random fraction, `split(test = 0.2, seed = 0)`, the same one of each class with
/// `stratify = label`; every k-th row, `split(every = 5)`; or the end, `split(last = 24)` or `split(last = 0.1)`.
pub fn split(call: &Call, table: &mut Table) -> Fallible<()> {
    let args = Args::new(call, &["test", "seed", "every", "last", "stratify"])?;
    refuse(call, table)?;
    let ways: Vec<_> = WAYS.into_iter().filter_map(|name| args.get(name)).collect();
    if let [_, second, ..] = ways[..] {
        return Err(vec![bad(second, format!("'split' takes one of {}", WAYS.join(", ")), "a second way to split")]);
    }
    let given = |name: &str| args.get(name).is_some();
    for option in ["seed", "stratify"] {
        if let Some(arg) = args.get(option).filter(|_| given("every") || given("last")) {
            return Err(vec![bad(arg, format!("this way to split uses no '{option}'"), "has no effect")]);
        }
    }
    let total = table.train.len();
    let is_test: Vec<bool> = if given("every") {
        let every = args.count("every", 5, 2)?;
        (0..total).map(|i| i % every == every - 1).collect()
    } else if given("last") {
        let last = match args.get("last").map(|arg| &arg.value) {
            Some(Value::Float(share)) if *share > 0.0 && *share < 1.0 => (share * total as f64).round() as usize,
            _ => args.count("last", 0, 1)?,
        };
        (0..total).map(|i| i + last >= total).collect()
    } else {
        let mut random = Random::new(args.seed(0)?, 0);
        let mut is_test = vec![false; total];
        for mut group in strata(&args, call, table)? {
            random.shuffle(&mut group);
            let fraction = args.float("test", 0.2, 0.0, 1.0)?;
            let count = (fraction * group.len() as f64).round() as usize;
            group[..count].iter().for_each(|i| is_test[*i] = true);
        }
        is_test
    };
    apart(table, &is_test);
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

/// `fold(index, of, seed = 0)`: part `index` (from 0) of `of` equal random parts is the test part; with `stratify = label`
/// each part has its share of each class. A test part of the source is set aside: the folds are of its training rows.
pub fn fold(call: &Call, table: &mut Table) -> Fallible<()> {
    let args = Args::new(call, &["index", "of", "seed", "stratify"])?;
    let of = args.count("of", 5, 2)?;
    let index = args.count("index", 0, 0)?;
    let total = table.train.len();
    if of > total || index >= of {
        let what = error("E0409", format!("there is no fold {index} of {of} (from 0) in {total} rows"));
        return Err(vec![what.at(call.span, "this fold")]);
    }
    let mut random = Random::new(args.seed(0)?, 2);
    let mut groups = strata(&args, call, table)?;
    groups.iter_mut().for_each(|group| random.shuffle(group));
    let mut is_test = vec![false; total];
    // One group after another: every `of`-th row takes its share of each.
    groups.iter().flatten().skip(index).step_by(of).for_each(|i| is_test[*i] = true);
    apart(table, &is_test);
    Ok(())
}

/// Makes the marked train rows the test part.
fn apart(table: &mut Table, is_test: &[bool]) {
    let all = std::mem::take(&mut table.train);
    let part = |test: bool| all.iter().zip(is_test).filter(move |(_, t)| **t == test).map(|(row, _)| *row).collect();
    (table.train, table.test) = (part(false), part(true));
}

fn refuse(call: &Call, table: &Table) -> Fallible<()> {
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
            error("E0409", "rows that differ from epoch to epoch cannot be split")
                .at(call.span, "a train row may lie over a test row")
                .help("split before 'augment'; a text is split by its source: text(…, test = 0.2)"),
        ]);
    }
    Ok(())
}

/// Positions of the rows in groups that are split alike: one of all rows, or one for each class.
fn strata(args: &Args, call: &Call, table: &Table) -> Fallible<Vec<Vec<usize>>> {
    let Some(arg) = args.get("stratify") else { return Ok(vec![(0..table.train.len()).collect()]) };
    let mut column = call.clone();
    column.args = vec![super::spec::Arg { name: None, ..arg.clone() }];
    let picked = columns::labels(&column, table)?[0];
    let stored = &table.columns[picked.index];
    let mut groups = vec![vec![]; stored.column.classes.unwrap_or(0) + 1];
    for (position, row) in table.train.iter().enumerate() {
        // A class that is missing is a group of its own.
        let class = usize::try_from(stored.label(*row as usize)?).unwrap_or(groups.len() - 1);
        groups[class].push(position);
    }
    Ok(groups)
}
