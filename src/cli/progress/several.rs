//! The story of several runs at the same time: one bar for all, lines with the name of their run.

use super::{Pace, bar, beginning, closing, epoch_line, short};
use crate::cli::output;
use crate::sema::program::Program;
use crate::train::metrics::Record;
use crate::train::{Plan, Sink, Summary};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// About as many epoch lines of one run as a person reads.
const LINES: usize = 10;
/// The bar counts in these parts of a run: runs have different numbers of steps, and some have not begun.
const PARTS: usize = 1000;

pub struct Several {
    quiet: bool,
    json: bool,
    count: usize,
    over: AtomicUsize,
    bar: Option<ProgressBar>,
    /// Objects of runs that are over, until those before them are.
    waiting: Mutex<(usize, BTreeMap<usize, Vec<Value>>)>,
}

impl Several {
    pub fn new(quiet: bool, json: bool, count: usize, title: &str) -> Several {
        let bar = if quiet { None } else { bar(count * PARTS, 0, "{msg}  {eta} left") };
        let all = Several { quiet, json, count, over: AtomicUsize::new(0), bar, waiting: Mutex::default() };
        all.say(title);
        all
    }

    /// Listens to run number `index`.
    pub fn one<'s>(&'s self, index: usize, label: &'s str) -> One<'s> {
        One { several: self, index, label, pace: Pace::new(), plan: None, parts: 0, objects: vec![] }
    }

    /// A run whose end is no reason to stop the others.
    pub fn failed(&self, index: usize, label: &str, why: &str) {
        self.end(index, vec![]);
        self.say(&format!("{label}  {why}"));
    }

    /// No run is left.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn say(&self, text: &str) {
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) => bar.suspend(|| output::remark(text)),
            None => output::remark(text),
        }
    }

    /// Takes the objects of a run that is over; they are printed in the order of the runs.
    fn end(&self, index: usize, objects: Vec<Value>) {
        self.over.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.waiting.lock().unwrap_or_else(|e| e.into_inner());
        let (next, waiting) = &mut *waiting;
        waiting.insert(index, objects);
        while let Some(objects) = waiting.remove(next) {
            objects.iter().for_each(output::object);
            *next += 1;
        }
    }
}

/// One of several runs.
pub struct One<'s> {
    several: &'s Several,
    index: usize,
    label: &'s str,
    pace: Pace,
    plan: Option<Plan>,
    /// What the bar knows of it.
    parts: usize,
    objects: Vec<Value>,
}

impl One<'_> {
    fn advance(&mut self, parts: usize) {
        if let Some(bar) = &self.several.bar {
            bar.inc(parts.saturating_sub(self.parts) as u64);
            self.parts = self.parts.max(parts);
        }
    }
}

impl Sink for One<'_> {
    fn start(&mut self, _: &Program, plan: &Plan) {
        beginning(plan).iter().for_each(|remark| self.several.say(&format!("{}  {remark}", self.label)));
        self.plan = Some(plan.clone());
    }

    fn progress(&mut self, step: usize, epoch: usize, loss: f64) {
        if let (Some(bar), Some(plan)) = (&self.several.bar, &self.plan)
            && self.pace.is_due()
        {
            let (over, count) = (self.several.over.load(Ordering::Relaxed), self.several.count);
            let place = format!("epoch {epoch}/{}  loss {}", plan.epochs, short(loss));
            bar.set_message(format!("{over}/{count} runs  {}  {place}", self.label));
            let parts = step * PARTS / plan.steps.max(1);
            self.advance(parts);
        }
    }

    fn epoch(&mut self, plan: &Plan, train: &Record, test: Option<&Record>, took: Duration) {
        if self.several.json {
            for record in [Some(train), test].into_iter().flatten() {
                let mut object = record.to_json();
                object["run"] = json!(self.label);
                self.objects.push(object);
            }
        }
        let stride = plan.epochs.div_ceil(LINES).max(1);
        if train.epoch.is_multiple_of(stride) || train.epoch == plan.epochs {
            self.several.say(&format!("{}  {}", self.label, epoch_line(plan, train, test, took)));
        }
    }

    fn finish(&mut self, summary: &Summary) {
        self.advance(PARTS);
        if let Some(stopped) = &summary.stopped {
            self.several.say(&format!("{}  {stopped}", self.label));
        }
        self.several.end(self.index, std::mem::take(&mut self.objects));
        let over = self.several.over.load(Ordering::Relaxed);
        self.several.say(&format!("{}  {} ({over}/{})", self.label, closing(summary), self.several.count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_wait_for_those_of_earlier_runs() {
        let several = Several::new(true, false, 3, "");
        several.end(1, vec![]);
        several.end(2, vec![]);
        assert_eq!(several.waiting.lock().map(|w| (w.0, w.1.len())).ok(), Some((0, 2)));
        several.failed(0, "x", "y");
        assert_eq!(several.waiting.lock().map(|w| (w.0, w.1.len())).ok(), Some((3, 0)));
    }
}
