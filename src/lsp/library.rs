//! The embedded library as files that an editor can open: written once for each version, read-only, to the user's cache folder.

use super::text;
use crate::stdlib;
use lsp_types::Uri;
use std::path::{Path, PathBuf};

/// The path of a library file; it is written if it is not there.
pub fn file(index: usize) -> Option<PathBuf> {
    let (module, text) = stdlib::MODULES.get(index)?;
    let path = folder()?.join(format!("{module}.opt"));
    if std::fs::read_to_string(&path).is_ok_and(|old| old == *text) {
        return Some(path);
    }
    write(&path, text).ok()?;
    Some(path)
}

/// Whether a text is one of these files.
pub fn holds(uri: &Uri) -> bool {
    text::path(uri).zip(folder()).is_some_and(|(path, folder)| path.starts_with(folder))
}

/// Beside the file and renamed: another server may write the same.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(path.parent().unwrap_or(path))?;
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    std::fs::write(&beside, text)?;
    let mut permissions = std::fs::metadata(&beside)?.permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&beside, permissions)?;
    std::fs::rename(&beside, path).inspect_err(|_| drop(std::fs::remove_file(&beside)))
}

/// `$XDG_CACHE_HOME/optc/VERSION/stdlib`, or what the system has in its place.
fn folder() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home =
        || variable("HOME").map(|home| home.join(if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" }));
    let cache = variable("XDG_CACHE_HOME").or_else(|| variable("LOCALAPPDATA")).or_else(home);
    let cache = cache.unwrap_or_else(std::env::temp_dir);
    Some(cache.join("optc").join(env!("CARGO_PKG_VERSION")).join("stdlib"))
}
