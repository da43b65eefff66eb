//! The runs below a folder: what there is, and how to be rid of the old ones.

use super::load::{self, Run, subfolders};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A run, or an experiment of several that lie in one folder.
#[derive(Clone, Debug)]
pub struct Entry {
    pub path: PathBuf,
    pub program: String,
    pub runs: Vec<Run>,
    /// Several runs (or trials) that were made together.
    pub group: bool,
}

impl Entry {
    /// The state of its runs, if they agree: else how many have finished.
    pub fn state(&self) -> String {
        let finished = self.runs.iter().filter(|r| r.state() == "finished").count();
        match self.runs.first().map(Run::state) {
            None if self.path.join("lr_range.json").is_file() => "finished".into(),
            Some(state) if self.runs.iter().all(|r| r.state() == state) => state.to_string(),
            _ => format!("{finished} of {} finished", self.runs.len()),
        }
    }

    /// The folder's name, which begins with the time unless the user chose it.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// When something in it was written last.
    fn touched(&self) -> Option<SystemTime> {
        let folders = self.runs.iter().map(|r| r.folder.as_path()).chain([self.path.as_path()]);
        let files = folders.flat_map(|f| [f.join("metrics.jsonl"), f.join("config.json")]);
        files.filter_map(|f| fs::metadata(f).ok()?.modified().ok()).max()
    }

    /// It does not say how it ended, and was written to a moment ago.
    pub fn may_be_under_way(&self) -> bool {
        const MOMENT: Duration = Duration::from_secs(600);
        let open = self.runs.iter().any(|r| r.state() == "unfinished");
        open && self.touched().and_then(|t| t.elapsed().ok()).is_none_or(|age| age < MOMENT)
    }
}

/// Folders below a root are looked at so deep: `runs/NAME/TIME`, and one more for luck.
const DEPTH: usize = 3;

/// All runs and groups below a folder (or the one that it is), by path.
pub fn list(root: &Path) -> Vec<Entry> {
    let mut found = vec![];
    visit(root, DEPTH, &mut found);
    found
}

fn visit(folder: &Path, depth: usize, found: &mut Vec<Entry>) {
    if let Some(entry) = entry(folder) {
        found.push(entry);
        return;
    }
    if depth > 0 {
        for path in subfolders(folder).into_iter().filter(|p| !p.is_symlink()) {
            visit(&path, depth - 1, found);
        }
    }
}

/// What a folder is by itself. Runs that lie in one folder are a group if a page or the
/// configuration of an experiment lies with them.
pub fn entry(folder: &Path) -> Option<Entry> {
    if let Some(run) = Run::read(folder) {
        return Some(Entry { path: folder.into(), program: run.program().into(), runs: vec![run], group: false });
    }
    let config = load::json(&folder.join("config.json"));
    let kind = ["compare", "sweep", "lr_range"].iter().find_map(|kind| config[*kind].as_str());
    if kind.is_none() && !folder.join("report.html").is_file() {
        return None;
    }
    let runs = Run::read_all(folder);
    let program = kind.or(runs.first().map(Run::program))?.to_string();
    Some(Entry { path: folder.into(), program, runs, group: true })
}

/// The entry that a user names: a folder, or a program below `root`, which means its newest.
pub fn named(root: &Path, name: &str) -> Option<Entry> {
    let path = PathBuf::from(name);
    entry(&path).or_else(|| list(&path).pop()).or_else(|| list(&root.join(name)).pop())
}

/// All but the newest `keep` of each program; none that may be under way. Their names tell their time.
pub fn old(entries: Vec<Entry>, keep: usize) -> Vec<Entry> {
    let mut entries = entries;
    entries.sort_by(|a, b| (&a.program, b.name()).cmp(&(&b.program, a.name())));
    let mut out: Vec<Entry> = vec![];
    let (mut program, mut count) = (String::new(), 0);
    for entry in entries {
        if entry.program != program {
            (program, count) = (entry.program.clone(), 0);
        }
        count += 1;
        if count > keep && !entry.may_be_under_way() {
            out.push(entry);
        }
    }
    out
}

/// What a run or a group leaves in its folder.
fn is_ours(name: &str) -> bool {
    const FILES: [&str; 12] = [
        "config.json",
        "metrics.jsonl",
        "result.json",
        "predictions.json",
        "profile.json",
        "report.html",
        "trials.jsonl",
        "compare.json",
        "sweep.json",
        "lr_range.json",
        "sample.txt",
        "checkpoints",
    ];
    let whole = name.strip_suffix(".partial").unwrap_or(name);
    FILES.contains(&whole) || (whole.starts_with("events.out.tfevents.") && whole.ends_with(".optc"))
}

/// Deletes what runs have written, and folders that are empty then. Gives back what is left: files of someone else.
pub fn remove(entry: &Entry) -> std::io::Result<Vec<PathBuf>> {
    let mut left = vec![];
    if entry.group {
        for run in &entry.runs {
            clear(&run.folder, &mut left)?;
        }
    }
    clear(&entry.path, &mut left)?;
    Ok(left)
}

fn clear(folder: &Path, left: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if folder.is_symlink() {
        left.push(folder.into());
        return Ok(());
    }
    remove_files(
        &folder.join("checkpoints"),
        &|name| name.ends_with(".safetensors") || name.ends_with(".partial"),
        left,
    )?;
    remove_files(&folder.join("plots"), &|name| name.ends_with(".svg") || name.ends_with(".partial"), left)?;
    remove_files(folder, &is_ours, left)
}

fn remove_files(folder: &Path, ours: &dyn Fn(&str) -> bool, left: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !folder.is_dir() || folder.is_symlink() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let plain = path.symlink_metadata()?.is_file();
        if plain && ours(&name) {
            fs::remove_file(&path)?;
        } else if !path.is_dir() {
            left.push(path);
        }
    }
    // Fails where something is left, and then it shall stay.
    let _ = fs::remove_dir(folder);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("optc-folders-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    fn make(folder: &Path, state: Option<&str>) {
        fs::create_dir_all(folder.join("checkpoints")).expect("a folder");
        let config = r#"{"program":"p","versions":{"optc":"0"}}"#;
        fs::write(folder.join("config.json"), config).expect("a file");
        fs::write(folder.join("metrics.jsonl"), "").expect("a file");
        fs::write(folder.join("checkpoints/final.safetensors"), "x").expect("a file");
        if let Some(state) = state {
            fs::write(folder.join("result.json"), format!("{{\"state\":\"{state}\"}}")).expect("a file");
        }
    }

    #[test]
    fn the_newest_stay_and_so_does_what_is_not_ours() {
        let root = scratch("clean");
        for day in 1..=4 {
            make(&root.join(format!("p/2026-01-0{day}T00-00-00")), Some("finished"));
        }
        make(&root.join("p/2026-01-00T00-00-00"), None);
        make(&root.join("p/2025-12-31T00-00-00/01-a"), Some("failed"));
        fs::write(root.join("p/2025-12-31T00-00-00/report.html"), "page").expect("a file");
        fs::create_dir_all(root.join("mine")).expect("a folder");
        fs::write(root.join("mine/config.json"), "{}").expect("a file");
        fs::write(root.join("p/2026-01-01T00-00-00/notes.txt"), "mine").expect("a file");

        let all = list(&root);
        assert_eq!(all.len(), 6);
        assert_eq!(all.iter().filter(|e| e.group).count(), 1);
        let old = old(all, 2);
        let names: Vec<String> = old.iter().map(Entry::name).collect();
        // The one without a result was touched a moment ago.
        assert_eq!(names, ["2026-01-02T00-00-00", "2026-01-01T00-00-00", "2025-12-31T00-00-00"]);
        let left: Vec<PathBuf> = old.iter().flat_map(|e| remove(e).expect("removed")).collect();
        assert_eq!(left, [root.join("p/2026-01-01T00-00-00/notes.txt")]);
        assert!(!root.join("p/2026-01-02T00-00-00").exists() && !root.join("p/2025-12-31T00-00-00").exists());
        assert!(root.join("p/2026-01-03T00-00-00/config.json").exists() && root.join("mine/config.json").exists());
        assert_eq!(named(&root, "p").map(|e| e.name()), Some("2026-01-04T00-00-00".into()));
        fs::remove_dir_all(&root).expect("cleaned");
    }
}
