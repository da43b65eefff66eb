//! The language server's answers on the examples and the library, through its own protocol: a change of the text until its diagnostics
//! are there (without the pause in which typing is awaited), a hover that has to check the changed text first, and one that has not;
//! then all shapes along the file's pipes, and what can be written at a place.
//!
//! `cargo bench --bench lsp` prints medians in milliseconds, the slowest program first; `--json` an object a line.

use lsp_server::{Connection, Message, Notification, Request, Response};
use optc::bench::median;
use optc::lsp::analysis::Analysis;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

const RUNS: usize = 15;

fn examples(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            examples(&path, out);
        } else if path.extension().is_some_and(|e| e == "opt") {
            out.push(path);
        }
    }
}

fn milliseconds(work: impl FnOnce()) -> f64 {
    let clock = Instant::now();
    work();
    clock.elapsed().as_secs_f64() * 1e3
}

struct Client {
    connection: Connection,
    last: i32,
}

impl Client {
    fn tell(&self, method: &str, params: Value) {
        let message = Message::Notification(Notification::new(method.into(), params));
        self.connection.sender.send(message).expect("the server lives");
    }

    fn ask(&mut self, method: &str, params: Value) -> Response {
        self.last += 1;
        let message = Message::Request(Request::new(self.last.into(), method.into(), params));
        self.connection.sender.send(message).expect("the server lives");
        loop {
            if let Message::Response(response) = self.connection.receiver.recv().expect("the server lives") {
                return response;
            }
        }
    }
}

/// Name, lines, and the times.
type Row = (String, usize, [f64; 5]);

fn measure(client: &mut Client, path: &Path) -> Row {
    let text = std::fs::read_to_string(path).expect("UTF-8 text");
    let uri = format!("file://{}", path.display());
    let document = json!({ "uri": uri, "languageId": "opt", "version": 1, "text": text });
    client.tell("textDocument/didOpen", json!({ "textDocument": document }));
    // In the middle of the training's step, where shapes are asked for.
    let line = text.lines().position(|l| l.contains("minimize")).unwrap_or(0);
    let place = json!({ "textDocument": { "uri": uri }, "position": { "line": line, "character": 14 } });
    client.ask("textDocument/hover", place.clone());
    let parsed = uri.parse().expect("a URI");
    let (mut check, mut changed, mut still, mut hints, mut names) = (vec![], vec![], vec![], vec![], vec![]);
    let mut whole = place.clone();
    whole["range"] = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 100_000, "character": 0 } });
    for k in 0..RUNS {
        check.push(milliseconds(|| drop(Analysis::new(&parsed, &text, &Default::default()))));
        let change = json!({ "textDocument": { "uri": uri, "version": k + 2 }, "contentChanges": [{ "text": text }] });
        client.tell("textDocument/didChange", change);
        changed.push(milliseconds(|| drop(client.ask("textDocument/hover", place.clone()))));
        still.push(milliseconds(|| drop(client.ask("textDocument/hover", place.clone()))));
        hints.push(milliseconds(|| drop(client.ask("textDocument/inlayHint", whole.clone()))));
        names.push(milliseconds(|| drop(client.ask("textDocument/completion", place.clone()))));
    }
    client.tell("textDocument/didClose", json!({ "textDocument": { "uri": uri } }));
    let name = path.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned());
    (name, text.lines().count(), [check, changed, still, hints, names].map(|times| median(&times)))
}

fn run() {
    let (server, connection) = Connection::memory();
    let work = std::thread::Builder::new().stack_size(256 << 20);
    let server = work.spawn(move || optc::lsp::serve(&server).is_ok()).expect("a thread");
    let mut client = Client { connection, last: 0 };
    client.ask("initialize", json!({ "capabilities": {} }));
    client.tell("initialized", json!({}));
    let mut files = vec![];
    for folder in ["examples", "stdlib"] {
        examples(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    let mut rows: Vec<Row> = files.iter().map(|path| measure(&mut client, path)).collect();
    rows.sort_by(|a, b| b.2[1].total_cmp(&a.2[1]));
    let as_json = std::env::args().any(|a| a == "--json");
    if !as_json {
        println!(
            "{:<28} {:>6} {:>12} {:>16} {:>8} {:>8} {:>12}",
            "program", "lines", "diagnostics", "hover, changed", "hover", "hints", "completion"
        );
    }
    for (name, lines, [check, changed, still, hints, names]) in rows {
        if as_json {
            let times = json!({
                "diagnostics_ms": check, "hover_changed_ms": changed, "hover_ms": still, "hints_ms": hints, "completion_ms": names,
            });
            println!("{}", json!({ "example": name, "lines": lines, "times": times }));
        } else {
            println!("{name:<28} {lines:>6} {check:>12.2} {changed:>16.2} {still:>8.3} {hints:>8.2} {names:>12.2}");
        }
    }
    client.ask("shutdown", Value::Null);
    client.tell("exit", Value::Null);
    assert!(server.join().is_ok_and(|ended| ended));
}

fn main() {
    // The checker recurses as deep as programs are nested.
    let work = std::thread::Builder::new().stack_size(256 << 20).spawn(run).expect("a thread");
    work.join().expect("the measurement ends");
}
