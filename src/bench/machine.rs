//! What the operating system says about this process, and what memory gives to simple loops.

use std::time::Instant;

/// Seconds since this process was started, in steps of 10 ms; where the system tells.
pub fn since_start() -> Option<f64> {
    // Linux counts this file's times in hundredths of a second, whatever the kernel's own clock is.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, which may hold anything.
    let started: f64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let now: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Some((now - started / TICKS).max(0.0))
}

/// The most memory that this process held so far, in bytes.
pub fn peak_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: usize = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Processes that want to run, averaged over the last minute: 0 on an idle machine.
pub fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// Bytes a second that loops over arrays much larger than the caches read and write.
#[derive(Clone, Copy, Debug)]
pub struct Bandwidth {
    /// `a = b`, 8 bytes an element.
    pub copy: f64,
    /// `a = b + s*c`, 12 bytes an element.
    pub triad: f64,
    /// Three arrays updated in place by a fourth, 28 bytes an element: what AdamW does.
    pub update: f64,
}

impl Bandwidth {
    pub fn best(&self) -> f64 {
        self.copy.max(self.triad).max(self.update)
    }
}

/// Measures with plain loops on this many threads, `rounds` times, and keeps the best.
pub fn bandwidth(threads: usize, elements: usize, rounds: usize) -> Bandwidth {
    let mut arrays: [Vec<f32>; 4] = std::array::from_fn(|k| vec![k as f32; elements]);
    let mut best = Bandwidth { copy: 0.0, triad: 0.0, update: 0.0 };
    for _ in 0..rounds.max(1) {
        let mut gives = |bytes: usize, f: Loop| (bytes * elements) as f64 / on_threads(threads, &mut arrays, f);
        best.copy = best.copy.max(gives(8, |a, b, _, _| a.copy_from_slice(b)));
        best.triad = best.triad.max(gives(12, |a, b, c, _| {
            for ((a, b), c) in a.iter_mut().zip(&*b).zip(&*c) {
                *a = *b + 0.5 * *c;
            }
        }));
        best.update = best.update.max(gives(28, |a, b, c, d| {
            for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(&*d) {
                *b = 0.9 * *b + 0.1 * *d;
                *c = 0.9 * *c + 0.1 * *d;
                *a -= 0.01 * (*b + *c);
            }
        }));
    }
    best
}

type Loop = fn(&mut [f32], &mut [f32], &mut [f32], &mut [f32]);

/// Seconds for one pass over the arrays, each thread on its own part.
fn on_threads(threads: usize, arrays: &mut [Vec<f32>; 4], work: Loop) -> f64 {
    let part = arrays[0].len().div_ceil(threads.max(1)).max(1);
    let [a, b, c, d] = arrays;
    let clock = Instant::now();
    std::thread::scope(|scope| {
        let parts = a.chunks_mut(part).zip(b.chunks_mut(part)).zip(c.chunks_mut(part)).zip(d.chunks_mut(part));
        for (((a, b), c), d) in parts {
            scope.spawn(move || work(a, b, c, d));
        }
    });
    clock.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_move_bytes() {
        let found = bandwidth(2, 1000, 1);
        assert!(found.copy > 0.0 && found.triad > 0.0 && found.best() >= found.update);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_process_has_a_start_and_a_peak() {
        assert!(since_start().is_some_and(|s| s < 3600.0));
        assert!(peak_memory().is_some_and(|bytes| bytes > 100_000));
    }
}
