//! Runs side by side on the cores: the trials of a sweep, the runs of a comparison.

use crate::diag::error;
use crate::train::Failure;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A run recurses as deeply as the main thread may.
const STACK_BYTES: usize = 256 << 20;

/// How many of `count` runs go on at the same time, and the threads that each of them has.
pub fn share(threads: usize, count: usize) -> (usize, usize) {
    let workers = threads.min(count).max(1);
    (workers, (threads / workers).max(1))
}

/// Does `work` for the numbers up to `count`, so many at a time, and gives the results in order. After an error (or
/// Ctrl-C) no further one begins; the error of the least number is given.
pub fn run<T: Send>(
    count: usize,
    workers: usize,
    work: impl Fn(usize) -> Result<T, Failure> + Sync,
) -> Result<Vec<T>, Failure> {
    let results: Vec<Mutex<Option<Result<T, Failure>>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let worker = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return;
            }
            let result = work(index);
            if result.is_err() {
                next.store(count, Ordering::Relaxed);
            }
            *results[index].lock().unwrap_or_else(|e| e.into_inner()) = Some(result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers.min(count) {
            let made = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, worker);
            if made.is_err() {
                break;
            }
        }
    });
    let mut done = vec![];
    let mut missing = false;
    for result in results {
        match result.into_inner().unwrap_or_else(|e| e.into_inner()) {
            Some(result) => done.push(result?),
            None => missing = true,
        }
    }
    match missing {
        true => Err(error("E0901", "internal error: no thread could be started").into()),
        false => Ok(done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order() {
        for workers in [1, 3, 50] {
            let done = run(20, workers, |k| Ok(k * k)).unwrap_or_else(|_| panic!("no error"));
            assert!(done.iter().enumerate().all(|(k, v)| *v == k * k) && done.len() == 20);
        }
        assert!(run(0, 2, |_| Ok(())).is_ok_and(|done| done.is_empty()));
    }

    #[test]
    fn an_error_ends_the_rest() {
        let begun = AtomicUsize::new(0);
        let work = |k| {
            begun.fetch_add(1, Ordering::Relaxed);
            if k == 3 { Err(error("E0605", "stopped").into()) } else { Ok(k) }
        };
        let failed = run(1000, 1, work).expect_err("the fourth fails");
        assert_eq!((failed.diagnostics()[0].code, begun.into_inner()), ("E0605", 4));
    }

    #[test]
    fn cores_are_shared_out() {
        assert_eq!([share(8, 3), share(2, 9), share(1, 5), share(4, 1)], [(3, 2), (2, 1), (1, 1), (1, 4)]);
    }
}
