//! Broken programs, made from the examples by mutation: whatever the text, the compiler answers with diagnostics or a
//! program, in reasonable time, and never panics.

pub use crate::fuzz::mutate::{Dice, text as mutate};
use crate::support::{check, programs_in, root};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

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
