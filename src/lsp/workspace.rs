//! The texts that the editor has open, and the files beside them.

use super::analysis::Analysis;
use super::text;
use crate::driver::Unsaved;
use crate::source::SourceFile;
use lsp_server::ErrorCode;
use lsp_types::{self as lsp, Uri};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Files that a search for a name looks at; a larger folder is not one of programs.
const MOST_FILES: usize = 5000;

/// Why a request has no answer.
pub type Refusal = (ErrorCode, String);

struct Document {
    uri: Uri,
    version: i32,
    text: Arc<str>,
    /// Of the text as it is now, once somebody asked.
    analysis: Option<Analysis>,
    /// The files that it used when it was last read.
    uses: Vec<PathBuf>,
    /// When its diagnostics are to be sent.
    due: Option<Instant>,
}

pub struct Workspace {
    /// A handful, in the order of opening.
    documents: Vec<Document>,
    /// The folders that the editor shows.
    roots: Vec<PathBuf>,
}

pub fn not_open(uri: &Uri) -> Refusal {
    (ErrorCode::InvalidParams, format!("'{}' is not open", uri.as_str()))
}

impl Workspace {
    /// `params` are those of `initialize`, of which nothing is required.
    pub fn new(params: &Value) -> Workspace {
        let folders = params["workspaceFolders"].as_array().into_iter().flatten().map(|folder| &folder["uri"]);
        let uris = folders.chain([&params["rootUri"]]).filter_map(Value::as_str);
        let mut roots: Vec<PathBuf> = uris.filter_map(|uri| text::path(&uri.parse().ok()?)).collect();
        roots.dedup();
        Workspace { documents: vec![], roots }
    }

    fn find(&mut self, uri: &Uri) -> Option<&mut Document> {
        self.documents.iter_mut().find(|d| d.uri == *uri)
    }

    pub fn text(&self, uri: &Uri) -> Result<&str, Refusal> {
        self.documents.iter().find(|d| d.uri == *uri).map(|d| &*d.text).ok_or_else(|| not_open(uri))
    }

    pub fn open(&mut self, uri: Uri, version: i32, text: String) {
        self.documents.retain(|d| d.uri != uri);
        // The text need not be the file's.
        self.changed(&uri, Instant::now());
        let due = Some(Instant::now());
        self.documents.push(Document { uri, version, text: text.into(), analysis: None, uses: vec![], due });
    }

    pub fn change(&mut self, params: lsp::DidChangeTextDocumentParams, due: Instant) {
        let lsp::VersionedTextDocumentIdentifier { uri, version } = params.text_document;
        let Some(document) = self.find(&uri) else { return };
        let text = params.content_changes.into_iter().fold(document.text.to_string(), changed);
        *document = Document { version, text: text.into(), analysis: None, due: Some(due), uses: vec![], uri };
        let uri = document.uri.clone();
        self.changed(&uri, due);
    }

    pub fn close(&mut self, uri: &Uri) {
        self.documents.retain(|d| d.uri != *uri);
        self.changed(uri, Instant::now());
    }

    /// Those that use a changed file are checked again.
    fn changed(&mut self, uri: &Uri, due: Instant) {
        let Some(path) = text::path(uri) else { return };
        for document in self.documents.iter_mut().filter(|d| d.uses.contains(&path)) {
            document.analysis = None;
            document.due = Some(due);
        }
    }

    pub fn check_again(&mut self, due: Instant) {
        for document in &mut self.documents {
            document.analysis = None;
            document.due = Some(due);
        }
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.documents.iter().filter_map(|d| d.due).min()
    }

    pub fn due(&self, now: Instant) -> Vec<Uri> {
        self.documents.iter().filter(|d| d.due.is_some_and(|due| due <= now)).map(|d| d.uri.clone()).collect()
    }

    /// The version whose diagnostics were made.
    pub fn checked(&mut self, uri: &Uri) -> Option<i32> {
        let document = self.find(uri)?;
        document.due = None;
        Some(document.version)
    }

    pub fn analysed(&mut self, uri: &Uri) -> Result<&Analysis, Refusal> {
        let place = self.documents.iter().position(|d| d.uri == *uri).ok_or_else(|| not_open(uri))?;
        if self.documents[place].analysis.is_none() {
            let made = Analysis::new(uri, &self.documents[place].text, &self.unsaved());
            self.documents[place].uses = made.uses();
            self.documents[place].analysis = Some(made);
        }
        self.known(uri).ok_or_else(|| not_open(uri))
    }

    /// The analysis of a text that did not change since.
    pub fn known(&self, uri: &Uri) -> Option<&Analysis> {
        self.documents.iter().find(|d| d.uri == *uri)?.analysis.as_ref()
    }

    fn unsaved(&self) -> Arc<Unsaved> {
        let texts = self.documents.iter().filter_map(|d| Some((text::path(&d.uri)?, d.text.clone())));
        Arc::new(texts.collect())
    }

    /// The names of all files but `asked` that may mention what is declared in `file`: itself, and those that use it.
    pub fn mentioning(&self, file: &Uri, asked: &Uri) -> Vec<Analysis> {
        let Some(path) = text::path(file) else { return vec![] };
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else { return vec![] };
        let mut found = vec![];
        self.roots.iter().map(PathBuf::as_path).chain(path.parent()).for_each(|folder| programs(folder, &mut found));
        let open = self.documents.iter().filter_map(|d| text::path(&d.uri));
        found.extend(open);
        found.sort();
        found.dedup();
        let unsaved = self.unsaved();
        let mut out = vec![];
        for other in found {
            let Some(uri) = text::uri(&other).filter(|uri| uri != asked) else { continue };
            let text = match unsaved.get(&other) {
                Some(text) => text.clone(),
                None => std::fs::read_to_string(&other).unwrap_or_default().into(),
            };
            // Of most files, one look at their text is enough.
            if other != path && !(text.contains("use \"") && text.contains(name)) {
                continue;
            }
            let names = Analysis::names(&uri, &text, &unsaved);
            if other == path || names.uses().contains(&path) {
                out.push(names);
            }
        }
        out
    }
}

/// The `.opt` files of a folder and of those in it; not of hidden ones, nor of those that programs fill.
fn programs(folder: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or(".");
        if out.len() >= MOST_FILES || name.starts_with('.') || ["target", "node_modules", "runs"].contains(&name) {
            continue;
        }
        if path.is_dir() && !path.is_symlink() {
            programs(&path, out);
        } else if path.extension().is_some_and(|e| e == "opt") {
            out.push(path);
        }
    }
}

/// The text behind a change of a part of it, or of all.
fn changed(text: String, change: lsp::TextDocumentContentChangeEvent) -> String {
    let Some(range) = change.range else { return change.text };
    let file = SourceFile::new(String::new(), text);
    let (start, end) = (text::offset(&file, range.start), text::offset(&file, range.end));
    let mut new = file.text;
    new.replace_range(start.min(end)..end.max(start), &change.text);
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsp_types::Position;

    #[test]
    fn changes_are_applied_where_the_editor_says() {
        let change = |from: u32, to: u32, text: &str| lsp::TextDocumentContentChangeEvent {
            range: Some(lsp::Range::new(Position::new(0, from), Position::new(0, to))),
            range_length: None,
            text: text.into(),
        };
        let text = changed("let 𝑥 = β\n".into(), change(4, 6, "y"));
        assert_eq!(text, "let y = β\n");
        let text = changed(text, change(8, 9, ""));
        assert_eq!(changed(text, change(90, 3, "!")), "let!\n");
    }
}
