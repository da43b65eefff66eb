//! The files that a run leaves: `config.json`, `metrics.jsonl`, `checkpoints/`, and `sample.txt` if the
//! trained model was asked to write.

use super::checkpoint::write_whole;
use super::metrics::{Record, Split};
use crate::diag::{Diagnostic, error};
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub struct Folder {
    pub path: PathBuf,
    metrics: BufWriter<File>,
    flushed: Instant,
}

impl Folder {
    /// Makes the folder and its files. `kept` lines of an earlier run's metrics stay.
    pub fn open(path: &Path, config: &Value, kept: &[String]) -> Result<Folder, Diagnostic> {
        let make = || -> std::io::Result<Folder> {
            fs::create_dir_all(path.join("checkpoints"))?;
            remove_halves(&path.join("checkpoints"));
            let text = serde_json::to_string_pretty(config).expect("plain data");
            write_whole(&path.join("config.json"), format!("{text}\n").as_bytes())?;
            let lines: String = kept.iter().map(|l| format!("{l}\n")).collect();
            write_whole(&path.join("metrics.jsonl"), lines.as_bytes())?;
            let file = OpenOptions::new().append(true).open(path.join("metrics.jsonl"))?;
            Ok(Folder { path: path.to_path_buf(), metrics: BufWriter::new(file), flushed: Instant::now() })
        };
        make().map_err(|e| unwritable(path, e))
    }

    pub fn log(&mut self, record: &Record) -> Result<(), Diagnostic> {
        let mut write = || -> std::io::Result<()> {
            writeln!(self.metrics, "{}", record.to_json())?;
            // Often enough for whoever watches the file, seldom enough for runs of thousands of epochs a second.
            if self.flushed.elapsed() > Duration::from_millis(500) {
                self.metrics.flush()?;
                self.flushed = Instant::now();
            }
            Ok(())
        };
        write().map_err(|e| unwritable(&self.path, e))
    }

    pub fn flush(&mut self) -> Result<(), Diagnostic> {
        let mut write = || self.metrics.flush().and_then(|()| self.metrics.get_ref().sync_data());
        write().map_err(|e| unwritable(&self.path, e))
    }

    /// A text of its own.
    pub fn write(&self, name: &str, text: &str) -> Result<(), Diagnostic> {
        write_whole(&self.path.join(name), text.as_bytes()).map_err(|e| unwritable(&self.path, e))
    }

    pub fn checkpoint(&self, name: &str) -> PathBuf {
        self.path.join("checkpoints").join(format!("{name}.safetensors"))
    }
}

/// Makes a folder with a `config.json`, for several runs together.
pub fn describe(path: &Path, config: &Value) -> Result<(), Diagnostic> {
    let text = serde_json::to_string_pretty(config).expect("plain data");
    let made = fs::create_dir_all(path);
    let made = made.and_then(|()| write_whole(&path.join("config.json"), format!("{text}\n").as_bytes()));
    made.map_err(|e| unwritable(path, e))
}

/// Removes what a killed run left half written.
fn remove_halves(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "partial")) {
        let _ = fs::remove_file(path);
    }
}

/// Removes the checkpoints of an earlier run, which a later `--resume` would take for those of the new one.
pub fn remove_checkpoints(path: &Path) {
    let entries = fs::read_dir(path.join("checkpoints")).into_iter().flatten().flatten();
    for path in entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "safetensors")) {
        let _ = fs::remove_file(path);
    }
}

/// Removes all but the newest `count` checkpoints of `--save-every`.
pub fn keep_last(path: &Path, count: usize) {
    let entries = fs::read_dir(path.join("checkpoints")).into_iter().flatten().flatten();
    let is_step = |p: &PathBuf| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("step-"));
    let mut steps: Vec<PathBuf> = entries.map(|e| e.path()).filter(is_step).collect();
    steps.sort();
    for old in &steps[..steps.len().saturating_sub(count)] {
        let _ = fs::remove_file(old);
    }
}

fn unwritable(path: &Path, why: std::io::Error) -> Diagnostic {
    error("E0503", format!("cannot write the run's folder '{}'", path.display()))
        .note(why.to_string())
        .help("choose another folder with --out")
}

/// The lines of an earlier run that hold at `step`: none of later steps, and no averages of an epoch cut short.
pub fn lines_until(path: &Path, step: usize, steps_per_epoch: usize) -> Vec<String> {
    let text = fs::read_to_string(path.join("metrics.jsonl")).unwrap_or_default();
    let holds = |line: &&str| {
        let Ok(value) = serde_json::from_str::<Value>(line) else { return false };
        let at = value["step"].as_u64().unwrap_or(u64::MAX) as usize;
        at <= step && (value["split"] == Split::Step.name() || at.is_multiple_of(steps_per_epoch))
    };
    text.lines().filter(holds).map(str::to_string).collect()
}

/// `runs/<name>/<time>`, not yet there.
pub fn fresh(root: &Path, name: &str) -> PathBuf {
    let base = root.join(name);
    let stamp = timestamp(SystemTime::now());
    let names = std::iter::once(stamp.clone()).chain((2..).map(|n| format!("{stamp}-{n}")));
    let mut paths = names.map(|n| base.join(n));
    paths.find(|p| !p.exists()).expect("there is always a next number")
}

/// The newest run of this name; a range test is none.
pub fn latest(root: &Path, name: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(root.join(name)).ok()?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    paths.into_iter().rev().find(|path| {
        let text = fs::read_to_string(path.join("config.json"));
        text.is_ok_and(|text| serde_json::from_str(&text).is_ok_and(|config: Value| config["lr_range"].is_null()))
    })
}

/// `2026-11-22 01:54 UTC`
pub fn date(seconds: u64) -> String {
    let stamp = timestamp(UNIX_EPOCH + Duration::from_secs(seconds));
    let (day, clock) = stamp.split_once('T').unwrap_or((&stamp, ""));
    format!("{day} {} UTC", clock.get(..5).unwrap_or("").replace('-', ":"))
}

/// `2026-11-22T01-54-07`, in UTC: sorts by time and is a file name everywhere.
fn timestamp(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, rest) = ((seconds / 86_400) as i64, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}")
}

/// Year, month and day of a number of days since 1970 (proleptic Gregorian; eras of 400 years that begin in March).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_of_the_calendar() {
        let at = |seconds| timestamp(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00-00-00");
        assert_eq!(at(951_782_400), "2000-02-29T00-00-00");
        assert_eq!(at(1_795_312_447), "2026-11-22T01-54-07");
        assert_eq!(date(1_795_312_447), "2026-11-22 01:54 UTC");
    }
}
