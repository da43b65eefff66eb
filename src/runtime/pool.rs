//! A small fork-join pool: workers spin for a moment after each job and then sleep.
//!
//! Kernels of a training step last tens of microseconds, so handing out a job must cost less than one. The work of a
//! job is numbered tasks; who runs which does not matter to the result.

use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long a worker without work keeps its core: the usual distance between two jobs of a step.
const SPIN: Duration = Duration::from_micros(60);
/// How long it then stays awake, offering its core to others. A worker that sleeps between steps is woken by a system
/// call each time, and on a busy machine often on the core of the thread that woke it, where it is of no use.
const AWAKE: Duration = Duration::from_millis(2);

/// One task of a job, by number, on a thread, by number. The data pointer is that of the caller's closure.
type Call = unsafe fn(*const (), usize, usize);

#[derive(Clone, Copy)]
struct Job {
    data: *const (),
    call: Call,
    tasks: usize,
}

struct Shared {
    /// Tasks that nobody has taken (lower half), and the number of the job (upper half).
    state: AtomicU64,
    job: UnsafeCell<Job>,
    finished: AtomicUsize,
    panicked: AtomicBool,
    sleepers: AtomicUsize,
    quit: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

// SAFETY: `job` is written only while no task is taken or untaken (see `Pool::run`), and read only by a thread that
// has taken a task of it.
unsafe impl Sync for Shared {}
// SAFETY: as above; the closure behind `data` is `Sync`.
unsafe impl Send for Shared {}

/// Threads that share jobs with their caller.
pub struct Pool {
    shared: Arc<Shared>,
    threads: usize,
    /// Held while a job runs.
    busy: Mutex<()>,
    handles: Vec<std::thread::JoinHandle<()>>,
}

unsafe fn nothing(_: *const (), _: usize, _: usize) {}

impl Pool {
    /// A pool of `threads` in all, the caller's included. One thread spawns none.
    pub fn new(threads: usize) -> Pool {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(Job { data: std::ptr::null(), call: nothing, tasks: 0 }),
            finished: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            sleepers: AtomicUsize::new(0),
            quit: AtomicBool::new(false),
            lock: Mutex::new(()),
            wake: Condvar::new(),
        });
        let mut handles = vec![];
        for k in 1..threads {
            let shared = shared.clone();
            let builder = std::thread::Builder::new().name(format!("optc-worker-{k}"));
            // A machine that refuses a thread still runs everything, on fewer.
            if let Ok(handle) = builder.spawn(move || work(&shared, k)) {
                handles.push(handle);
            }
        }
        Pool { shared, threads: handles.len() + 1, busy: Mutex::new(()), handles }
    }

    /// The pool that all programs with this number of threads share.
    pub fn shared(threads: usize) -> Arc<Pool> {
        static POOLS: OnceLock<Mutex<HashMap<usize, Arc<Pool>>>> = OnceLock::new();
        let pools = POOLS.get_or_init(Mutex::default);
        let mut pools = pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.entry(threads.max(1)).or_insert_with(|| Arc::new(Pool::new(threads.max(1)))).clone()
    }

    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `f(task, thread)` for tasks `0..tasks`, on any threads and in any order, and returns when all are done.
    /// No two tasks run on one thread (`0..threads`) at the same time.
    pub fn run<F: Fn(usize, usize) + Sync>(&self, tasks: usize, f: &F) {
        let free = if tasks > 1 && self.threads > 1 { self.busy.try_lock().ok() } else { None };
        let Some(_free) = free else {
            // One task, one thread, or another program is running: the same tasks, here.
            return (0..tasks).for_each(|task| f(task, 0));
        };
        unsafe fn call<F: Fn(usize, usize)>(data: *const (), task: usize, thread: usize) {
            // SAFETY: `data` is the closure of the job, which outlives it (`run` waits for every task).
            unsafe { (*data.cast::<F>())(task, thread) }
        }
        let shared = &*self.shared;
        // SAFETY: `busy` is held and all tasks of the last job are finished, so no thread reads the job.
        unsafe { *shared.job.get() = Job { data: std::ptr::from_ref(f).cast(), call: call::<F>, tasks } };
        shared.finished.store(0, Ordering::Relaxed);
        let number = (shared.state.load(Ordering::Relaxed) >> 32).wrapping_add(1);
        shared.state.store((number << 32) | tasks as u64, Ordering::SeqCst);
        if shared.sleepers.load(Ordering::SeqCst) > 0 {
            let _lock = shared.lock.lock().unwrap_or_else(PoisonError::into_inner);
            shared.wake.notify_all();
        }
        while take(shared, 0) {}
        let mut spins = 0u32;
        while shared.finished.load(Ordering::Acquire) < tasks {
            spins += 1;
            if spins.is_multiple_of(1 << 12) {
                std::thread::yield_now(); // The other thread may have lost its core.
            }
            std::hint::spin_loop();
        }
        if shared.panicked.swap(false, Ordering::Relaxed) {
            panic!("internal error: a task of a kernel panicked");
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.quit.store(true, Ordering::SeqCst);
        {
            let _lock = self.shared.lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.shared.wake.notify_all();
        }
        for handle in self.handles.drain(..) {
            let _ = handle.join();
        }
    }
}

/// Takes one task and runs it; whether there was one.
fn take(shared: &Shared, thread: usize) -> bool {
    let mut state = shared.state.load(Ordering::Acquire);
    loop {
        let left = state & 0xffff_ffff;
        if left == 0 {
            return false;
        }
        match shared.state.compare_exchange_weak(state, state - 1, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                // SAFETY: a task of this job is taken and not finished, so the job stays as it is.
                let job = unsafe { *shared.job.get() };
                // SAFETY: the closure lives until all tasks are finished.
                let run = || unsafe { (job.call)(job.data, job.tasks - left as usize, thread) };
                if std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err() {
                    shared.panicked.store(true, Ordering::Relaxed);
                }
                shared.finished.fetch_add(1, Ordering::AcqRel);
                return true;
            }
            Err(now) => state = now,
        }
    }
}

fn work(shared: &Shared, thread: usize) {
    // As on the thread that runs the program: results do not depend on who computes them.
    let _flushed = super::subnormal::Flushed::new();
    loop {
        let mut idle: Option<Instant> = None;
        let mut spins = 0u32;
        loop {
            if take(shared, thread) {
                idle = None;
                continue;
            }
            std::hint::spin_loop();
            spins += 1;
            if spins.is_multiple_of(64) {
                let idle = idle.get_or_insert_with(Instant::now).elapsed();
                if idle > AWAKE {
                    break;
                }
                if idle > SPIN {
                    std::thread::yield_now();
                }
            }
        }
        if shared.quit.load(Ordering::SeqCst) {
            return;
        }
        let lock = shared.lock.lock().unwrap_or_else(PoisonError::into_inner);
        shared.sleepers.fetch_add(1, Ordering::SeqCst);
        let nothing = shared.state.load(Ordering::SeqCst) & 0xffff_ffff == 0 && !shared.quit.load(Ordering::SeqCst);
        if nothing {
            drop(shared.wake.wait(lock));
        }
        shared.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once() {
        for threads in [1, 2, 3, 5] {
            let pool = Pool::new(threads);
            for tasks in [0, 1, 2, 7, 100] {
                let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                for _ in 0..50 {
                    pool.run(tasks, &|k, _| {
                        counts[k].fetch_add(1, Ordering::Relaxed);
                    });
                }
                assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 50), "{threads} threads, {tasks} tasks");
            }
        }
    }

    #[test]
    fn sleeping_workers_wake_and_nested_jobs_run_inline() {
        let pool = Pool::new(2);
        std::thread::sleep(2 * AWAKE);
        let sum = AtomicUsize::new(0);
        pool.run(4, &|k, _| {
            pool.run(3, &|j, _| {
                sum.fetch_add(k * j, Ordering::Relaxed);
            })
        });
        assert_eq!(sum.load(Ordering::Relaxed), 18);
    }
}
