//! Broken programs, made from the examples by mutation: whatever the text, the compiler answers with diagnostics or a
//! program, in reasonable time, and never panics.

use crate::support::{check, programs_in, root};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Small, and the same on every machine (Knuth's multiplier, the high bits).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % n.max(1)
    }
}

/// Words, numbers, runs of blanks, and single other characters.
fn tokens(text: &str) -> Vec<&str> {
    let class = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' => 0,
        ' ' => 1,
        _ => 2,
    };
    let mut out = vec![];
    let mut start = 0;
    let mut last = None;
    for (at, c) in text.char_indices() {
        if at > start && (last != Some(class(c)) || class(c) == 2) {
            out.push(&text[start..at]);
            start = at;
        }
        last = Some(class(c));
    }
    out.push(&text[start..]);
    out
}

/// What tends to break compilers: odd sizes, wrong kinds, brackets, and words of the language.
const INSERTS: &[&str] = &[
    "0",
    "-1",
    "1e400",
    "9999999999",
    "0.5",
    "nan",
    "inf",
    "true",
    "\"text\"",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "..",
    "x",
    "all",
    "theta",
    "t",
    "g",
    "@",
    "^",
    "/",
    "|>",
    "<-",
    "==",
    "not",
    "and",
    "if",
    "then",
    "else",
    "let",
    "state",
    "param",
    "for",
    "minimize",
    "report",
    "observe",
    "over",
    "with",
    "rest",
    "new",
    "training",
    "Dense(3)",
    "relu",
    "mean",
    "sum",
    "reshape",
    "shape(x)",
    "params(net)",
    "stack(2, Dense(2))",
    "norm(g)",
    "all.norm(g)",
    "rank(theta)",
    "float",
    "int",
    "[N]",
    ", axis = 1",
    "random_unit([3])",
    "load(\"w.npz\")",
    "AdamW()",
    "cross_entropy",
    "zeros",
    "[1, 2]",
    "[0.5]",
    "[[1], [2, 3]]",
    "(1, 2)",
    "[relu]",
    "+",
    "*",
    "-",
    "%",
    ";",
    "\n",
    "β",
    "←",
    "\u{0}",
    "\"",
];

pub fn mutate(text: &str, dice: &mut Dice) -> String {
    let mut parts: Vec<&str> = tokens(text);
    for _ in 0..1 + dice.below(3) {
        if parts.len() < 2 {
            break;
        }
        let at = dice.below(parts.len());
        match dice.below(7) {
            0 => drop(parts.remove(at)),
            1 => parts.insert(at, parts[at]),
            2 => parts[at] = INSERTS[dice.below(INSERTS.len())],
            3 => parts.insert(at, INSERTS[dice.below(INSERTS.len())]),
            4 => parts[at] = parts[dice.below(parts.len())],
            5 => {
                let other = dice.below(parts.len());
                parts.swap(at, other);
            }
            _ => {
                let end = (at + 1 + dice.below(12)).min(parts.len());
                drop(parts.drain(at..end));
            }
        }
    }
    let text = parts.concat();
    if dice.below(20) > 0 {
        return text;
    }
    let end = dice.below(text.len() + 1);
    text.chars().take(end).collect()
}

/// Small data, so that time goes into the compiler; the header comment is not worth mutating.
pub fn seeds() -> Vec<String> {
    let mut texts: Vec<String> =
        programs_in("examples").into_iter().map(|(_, t)| t).filter(|t| !t.contains("on mnist(")).collect();
    texts.extend(programs_in("tests/check").into_iter().map(|(_, t)| t));
    texts.push(include_str!("../../stdlib/optimizers/adam.opt").lines().take(60).collect::<Vec<_>>().join("\n"));
    texts
        .iter()
        .map(|t| t.lines().skip_while(|l| l.starts_with("//")).collect::<Vec<_>>().join("\n"))
        .map(|t| t.replace("10_000", "200").replace("4_000", "200").replace("2_000", "50").replace("1_000", "50"))
        .collect()
}

/// Mutates for `time`, at most `limit` programs. Gives the programs that panicked or took long, with the reason.
fn storm(first: u64, limit: usize, time: Duration) -> (usize, Vec<(String, String)>) {
    let seeds = seeds();
    let folder = root().join("examples");
    let (mut tried, mut failures) = (0, vec![]);
    let clock = Instant::now();
    while tried < limit && clock.elapsed() < time {
        let mut dice = Dice(first.wrapping_add(tried as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let seed = dice.below(seeds.len());
        let text = mutate(&seeds[seed], &mut dice);
        let started = Instant::now();
        let run = catch_unwind(AssertUnwindSafe(|| {
            let checked = check("mutant.opt", &text, &folder);
            for program in &checked.programs {
                let _ = program.graphs.eval(3);
            }
            checked.report()
        }));
        let took = started.elapsed();
        match run {
            Err(panic) => {
                let said = panic.downcast_ref::<String>().cloned();
                let said = said.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()));
                failures.push((said.unwrap_or_else(|| "panic".into()), text));
            }
            // Far above what any of them needs, even on a busy machine.
            Ok(_) if took > Duration::from_secs(5) => failures.push((format!("took {took:?}"), text)),
            Ok(_) => {}
        }
        tried += 1;
    }
    (tried, failures)
}

fn run(first: u64, limit: usize, time: Duration) {
    // The compiler's own thread has as much room.
    let work = std::thread::Builder::new().stack_size(256 << 20).spawn(move || storm(first, limit, time));
    let (tried, failures) = work.expect("a thread").join().expect("the storm itself does not panic");
    println!("{tried} programs");
    for (why, text) in failures.iter().take(5) {
        println!("---- {why}\n{text}");
    }
    assert!(failures.is_empty(), "{} of {tried} programs broke the compiler", failures.len());
    assert!(tried > 0);
}

#[test]
fn no_text_breaks_the_compiler() {
    run(1, 3000, Duration::from_secs(10));
}

/// `OPTC_STORM=SECONDS cargo test --release --test it storm -- --nocapture`: other programs each time it is longer.
#[test]
fn a_longer_storm_on_request() {
    let seconds = std::env::var("OPTC_STORM").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    if seconds == 0 {
        println!("skipped: OPTC_STORM=SECONDS is not set");
        return;
    }
    run(1_000_000, usize::MAX, Duration::from_secs(seconds));
}
