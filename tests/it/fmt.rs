//! `optc fmt`, `test`, `new`, `completions` and `--help` as scripts see them.

use crate::support::root;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("optc-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("a file");
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).expect("a file")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn optc(args: &[&str], folder: &Path) -> (Option<i32>, String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_optc")).args(args).current_dir(folder).env("NO_COLOR", "1").output();
    told(out.expect("the binary runs"))
}

fn told(out: Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.code(), text(&out.stdout), text(&out.stderr))
}

const MESSY: &str = "fn f( x ) =x+ 1\n\n\n\n// why\nfn g(x)=f( x )\n";
const TIDY: &str = "fn f(x) = x + 1\n\n// why\nfn g(x) = f(x)\n";

#[test]
fn files_are_formatted_in_place() {
    let folder = Folder::new("fmt");
    folder.write("messy.opt", MESSY);
    folder.write("tidy.opt", TIDY);
    folder.write("bad.opt", "fn f(x) = x +* 1\n");
    let before = std::fs::metadata(folder.0.join("tidy.opt")).and_then(|m| m.modified()).expect("a time");

    let (status, out, err) = optc(&["fmt", "--check", "messy.opt", "tidy.opt"], &folder.0);
    assert_eq!((status, out.as_str()), (Some(1), "messy.opt\n"), "{err}");
    assert_eq!(folder.read("messy.opt"), MESSY, "--check changes nothing");

    let (status, out, err) = optc(&["fmt", "."], &folder.0);
    assert_eq!((status, out.as_str()), (Some(1), ""), "bad.opt has a mistake");
    assert!(err.contains("E0101") && err.contains("1 of 3 files changed"), "{err}");
    assert_eq!(folder.read("messy.opt"), TIDY);
    assert_eq!(folder.read("bad.opt"), "fn f(x) = x +* 1\n", "a file with mistakes is left alone");
    let after = std::fs::metadata(folder.0.join("tidy.opt")).and_then(|m| m.modified()).expect("a time");
    assert_eq!(before, after, "an unchanged file is not written");
    assert_eq!(std::fs::read_dir(&folder.0).expect("the folder").count(), 3, "nothing else is left");

    assert_eq!(optc(&["fmt", "--check", "messy.opt", "tidy.opt"], &folder.0).0, Some(0));
    assert_eq!(optc(&["fmt", "missing.opt"], &folder.0).0, Some(2));
    assert_eq!(optc(&["fmt"], &folder.0).0, Some(2));
}

/// What a file may do and where it really is stays as it was.
#[cfg(unix)]
#[test]
fn links_and_permissions_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = Folder::new("fmt-links");
    folder.write("real.opt", MESSY);
    let path = folder.0.join("real.opt");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("it is ours");
    symlink("real.opt", folder.0.join("link.opt")).expect("a link");
    assert_eq!(optc(&["fmt", "link.opt"], &folder.0).0, Some(0));
    assert_eq!(folder.read("real.opt"), TIDY);
    assert!(folder.0.join("link.opt").is_symlink());
    assert_eq!(std::fs::metadata(&path).map(|m| m.permissions().mode() & 0o777).ok(), Some(0o640));
}

#[test]
fn standard_input_goes_to_standard_output() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_optc"));
    let child = command.args(["fmt", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("the binary runs");
    child.stdin.take().expect("a pipe").write_all(MESSY.as_bytes()).expect("it reads");
    let (status, out, _) = told(child.wait_with_output().expect("it ends"));
    assert_eq!((status, out.as_str()), (Some(0), TIDY));
}

/// `stdlib/tests`: the library's tests, in the language.
#[test]
fn the_library_tests_itself() {
    let mut files: Vec<String> = std::fs::read_dir(root().join("stdlib/tests"))
        .expect("the folder is part of the repository")
        .map(|entry| entry.expect("a readable entry").path().display().to_string())
        .collect();
    files.sort();
    let args: Vec<&str> = std::iter::once("test").chain(files.iter().map(String::as_str)).collect();
    for engine in ["jit", "interp"] {
        let (status, out, err) = optc(&[&args[..], &["--engine", engine]].concat(), &root());
        assert_eq!(status, Some(0), "{out}{err}");
        assert!(out.lines().count() > 15, "{out}");
    }
}

#[test]
fn a_new_file_runs_as_it_is() {
    let folder = Folder::new("new");
    for (name, template) in [("my-net", "classify"), ("line.opt", "regression"), ("rule", "optimizer")] {
        let (status, _, err) = optc(&["new", name, "--template", template], &folder.0);
        assert_eq!(status, Some(0), "{err}");
        let file = format!("{}.opt", name.trim_end_matches(".opt"));
        assert!(err.contains(&file), "{err}");
        let text = folder.read(&file);
        assert!(!text.contains("NAME"), "{text}");
        assert_eq!(optc(&["fmt", "--check", &file], &folder.0).0, Some(0), "{template} is in the style");
        let (status, _, err) = optc(&["check", &file], &folder.0);
        assert_eq!((status, err.trim()), (Some(0), "no problems found"), "{template}");
        let (status, _, err) = optc(&["run", &file, "--quiet", "--epochs", "1", "--out", "out"], &folder.0);
        assert_eq!(status, Some(0), "{template}: {err}");
        assert_eq!(optc(&["test", &file], &folder.0).0, Some(0));
    }
    let before = folder.read("rule.opt");
    let (status, _, err) = optc(&["new", "rule"], &folder.0);
    assert_eq!(status, Some(2), "a file is never overwritten");
    assert!(err.contains("rule.opt"), "{err}");
    assert_eq!(folder.read("rule.opt"), before);
}

#[test]
fn shells_are_told_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (status, out, _) = optc(&["completions", shell], &root());
        assert!(status == Some(0) && out.contains("explain"), "{shell}");
    }
    assert_eq!(optc(&["completions", "cmd"], &root()).0, Some(2));
}

#[test]
fn help_fits_a_screen_and_shows_examples() {
    let (status, out, _) = optc(&["--help"], &root());
    assert_eq!(status, Some(0));
    assert!((18..=24).contains(&out.lines().count()), "{out}");
    assert!(out.lines().all(|l| l.chars().count() <= 80), "{out}");
    assert!(out.contains("optc run digits.opt --set lr=3e-4"), "{out}");
}
