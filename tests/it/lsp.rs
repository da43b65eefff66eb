//! The language server: a scripted client over pipes, as an editor would talk; and texts of all sorts, none of which may break it.

use crate::mutations::{Dice, mutate, seeds};
use crate::support::root;
use lsp_server::{Connection, Message, Notification, Request, RequestId, Response};
use serde_json::{Value, json};
use std::io::{BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const NET: &str = r#"use layers.{Dense, flatten}
use losses.cross_entropy
use optimizers.AdamW

data digits = synthetic.digits(train = 200, test = 50, seed = 1)

/// A small net.
model Mlp(hidden: int)(image: float[N, 28, 28]) -> float[N, 10] {
  let h = image |> flatten |> Dense(hidden, init = he_normal)   // 𝑥 is two units
  h |> relu |> Dense(10)
}

train small(lr: float = 1e-3, hidden: int = 16) on digits {
  batch = 20; epochs = 1
  let net = Mlp(hidden)
  step(image, label) {
    let logits = net(image)
    minimize cross_entropy(logits, label) with AdamW(lr)
  }
}
"#;

/// An editor with the server's process behind it.
struct Editor {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    uri: String,
    text: String,
    version: i32,
    last_id: i32,
    /// Notifications that came while something else was awaited.
    seen: Vec<Notification>,
}

impl Editor {
    fn start(name: &str, text: &str) -> Editor {
        let cache = std::env::temp_dir().join(format!("optc-lsp-{name}-{}", std::process::id()));
        let mut process = Command::new(env!("CARGO_BIN_EXE_optc"))
            .arg("lsp")
            .env("XDG_CACHE_HOME", &cache)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let input = process.stdin.take().expect("a pipe");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let uri = format!("file://{}/examples/{name}.opt", root().display());
        let mut editor =
            Editor { process, input, output, uri, text: text.into(), version: 1, last_id: 0, seen: vec![] };
        let answer = editor.ask("initialize", json!({ "capabilities": {}, "processId": null, "rootUri": null }));
        assert_eq!(answer["capabilities"]["positionEncoding"], "utf-16");
        editor.tell("initialized", json!({}));
        let document = json!({ "uri": editor.uri, "languageId": "opt", "version": 1, "text": text });
        editor.tell("textDocument/didOpen", json!({ "textDocument": document }));
        editor
    }

    fn send(&mut self, message: Message) {
        message.write(&mut self.input).expect("the server listens");
        self.input.flush().expect("the server listens");
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.send(Message::Notification(Notification::new(method.into(), params)));
    }

    fn response(&mut self, method: &str, params: Value) -> Response {
        self.last_id += 1;
        let id = RequestId::from(self.last_id);
        self.send(Message::Request(Request::new(id.clone(), method.into(), params)));
        loop {
            match Message::read(&mut self.output).expect("well-formed").expect("the server lives") {
                Message::Response(response) if response.id == id => return response,
                Message::Notification(notification) => self.seen.push(notification),
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        let response = self.response(method, params);
        assert!(response.error.is_none(), "{method}: {:?}", response.error);
        response.result.unwrap_or_default()
    }

    /// Where `mark` stands for the first time, plus some bytes.
    fn place(&self, mark: &str, more: usize) -> Value {
        let byte = self.text.find(mark).unwrap_or_else(|| panic!("no {mark}")) + more;
        let line = self.text[..byte].matches('\n').count();
        let start = self.text[..byte].rfind('\n').map_or(0, |n| n + 1);
        json!({ "line": line, "character": self.text[start..byte].encode_utf16().count() })
    }

    fn here(&self, mark: &str, more: usize) -> Value {
        json!({ "textDocument": { "uri": self.uri }, "position": self.place(mark, more) })
    }

    fn document(&self) -> Value {
        json!({ "textDocument": { "uri": self.uri } })
    }

    fn hover(&mut self, mark: &str, more: usize) -> String {
        let params = self.here(mark, more);
        self.ask("textDocument/hover", params)["contents"]["value"].as_str().unwrap_or("").to_string()
    }

    fn labels(&mut self, mark: &str, more: usize) -> Vec<String> {
        let params = self.here(mark, more);
        let mut items = self.ask("textDocument/completion", params).as_array().cloned().unwrap_or_default();
        items.sort_by_key(|i| i["sortText"].as_str().unwrap_or("").to_string());
        items.iter().map(|i| i["label"].as_str().expect("a label").to_string()).collect()
    }

    fn change(&mut self, text: &str) {
        self.version += 1;
        self.text = text.into();
        let document = json!({ "uri": self.uri, "version": self.version });
        self.tell("textDocument/didChange", json!({ "textDocument": document, "contentChanges": [{ "text": text }] }));
    }

    /// The diagnostics of the newest version.
    fn diagnostics(&mut self) -> Vec<Value> {
        loop {
            let newest = |n: &Notification| n.params["version"] == self.version;
            if let Some(found) = self.seen.iter().rev().find(|n| newest(n)) {
                return found.params["diagnostics"].as_array().cloned().expect("a list");
            }
            match Message::read(&mut self.output).expect("well-formed").expect("the server lives") {
                Message::Notification(notification) => self.seen.push(notification),
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    fn finish(mut self) {
        self.ask("shutdown", Value::Null);
        self.tell("exit", Value::Null);
        assert_eq!(self.process.wait().expect("it ends").code(), Some(0));
    }
}

#[test]
fn an_editor_is_answered() {
    let mut editor = Editor::start("net", NET);
    assert_eq!(editor.diagnostics(), Vec::<Value>::new());

    assert!(editor.hover("logits = net", 0).contains("logits: float[20, 10]"));
    assert!(editor.hover("h |> relu", 0).contains("h: float[20, 16]"));
    assert!(editor.hover("|> flatten", 0).contains("float[20, 784]"));
    assert!(editor.hover("N, 28", 0).contains("N: int = 20"));
    assert!(editor.hover("batch", 0).contains("rows in a step"));
    let about = editor.hover("Dense(10)", 2);
    assert!(about.contains("layer Dense(") && about.contains("units: int") && about.contains("y = x w + b"), "{about}");
    assert!(editor.hover("Mlp(hidden)\n", 0).contains("A small net."));
    assert!(editor.hover("init = he", 0).contains("init: init = glorot_uniform"));

    let params = editor.here("Mlp(hidden)\n", 1);
    let found = editor.ask("textDocument/definition", params);
    assert_eq!(found["range"]["start"], editor.place("Mlp", 0));
    let params = editor.here("AdamW(lr)", 0);
    let found = editor.ask("textDocument/definition", params);
    let path = found["uri"].as_str().and_then(|u| u.strip_prefix("file://")).expect("a file");
    let text = std::fs::read_to_string(path).expect("the library's file is there");
    let line = found["range"]["start"]["line"].as_u64().expect("a line") as usize;
    assert!(text.lines().nth(line).is_some_and(|l| l.starts_with("optimizer AdamW(")));

    assert!(editor.labels("image, label", 0).contains(&"image".to_string()));
    assert_eq!(editor.labels("image, label", 0).len(), 2);
    assert!(editor.labels("hidden, init", 0).contains(&"bias =".to_string()));
    let names = editor.labels("logits, label)", 0);
    for name in ["logits", "net", "lr", "cross_entropy", "relu", "exp", "BatchNorm"] {
        assert!(names.contains(&name.to_string()), "no {name}");
    }
    assert!(editor.labels("losses.cross", 0).contains(&"layers".to_string()));
    assert!(editor.labels("flatten}", 0).contains(&"LayerNorm".to_string()));
    assert!(editor.labels("𝑥", 0).is_empty());

    let params = editor.here("hidden: int)", 3);
    assert_eq!(editor.ask("textDocument/prepareRename", params.clone())["start"], editor.place("hidden: int)", 0));
    let mut rename = params;
    rename["newName"] = json!("units");
    let uri = editor.uri.clone();
    let edits = editor.ask("textDocument/rename", rename.clone())["changes"][uri].as_array().cloned().expect("edits");
    assert_eq!(edits.len(), 2, "{edits:?}");
    for (mark, name, word) in
        [("hidden: int)", "let", "cannot be a name"), ("Dense(10)", "x", "not defined in this file")]
    {
        let mut params = editor.here(mark, 0);
        params["newName"] = json!(name);
        let refused = editor.response("textDocument/rename", params).error.expect("a refusal");
        assert!(refused.message.contains(word), "{}", refused.message);
    }
    let mut params = editor.here("logits = net", 0);
    params["context"] = json!({ "includeDeclaration": true });
    assert_eq!(editor.ask("textDocument/references", params).as_array().map(Vec::len), Some(2));

    let mut params = editor.document();
    params["range"] = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 99, "character": 0 } });
    let hints = editor.ask("textDocument/inlayHint", params);
    let hints: Vec<&str> = hints.as_array().expect("a list").iter().filter_map(|h| h["label"].as_str()).collect();
    let expected = [": float[20, 784]", ": float[20, 16]", ": float[20, 16]", ": float[20, 10]", ": float[20, 10]"];
    assert_eq!(hints, expected);

    let params = editor.document();
    let symbols = editor.ask("textDocument/documentSymbol", params);
    let names: Vec<&str> = symbols.as_array().expect("a list").iter().filter_map(|s| s["name"].as_str()).collect();
    assert_eq!(names, ["digits", "Mlp", "small"]);

    let mut params = editor.document();
    params["options"] = json!({ "tabSize": 2, "insertSpaces": true });
    let edits = editor.ask("textDocument/formatting", params.clone());
    assert_eq!(edits, json!([]), "it is in the style");
    editor.change(&NET.replace("  h |> relu", "     h|>relu"));
    let edits = editor.ask("textDocument/formatting", params.clone());
    assert_eq!(edits[0]["newText"], NET);
    editor.change("layer f(");
    assert_eq!(editor.ask("textDocument/formatting", params), Value::Null);

    let unknown = editor.response("textDocument/codeLens", json!({})).error.expect("a refusal");
    assert_eq!(unknown.code, -32601);
    let malformed = editor.response("textDocument/hover", json!({ "nothing": 1 })).error.expect("a refusal");
    assert_eq!(malformed.code, -32602);
    editor.tell("$/cancelRequest", json!({ "id": 1 }));
    editor.tell("textDocument/didChange", json!([]));
    editor.finish();
}

#[test]
fn mistakes_are_shown_as_they_are_typed() {
    let mut editor = Editor::start("typed", NET);
    editor.change(&NET.replace("Dense(10)", "Dense(11)"));
    let found = editor.diagnostics();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["code"], "E0203");
    assert_eq!(found[0]["severity"], 1);
    let related = found[0]["relatedInformation"].as_array().expect("the other place");
    assert!(related[0]["message"].as_str().is_some_and(|m| m.contains("float[N, 10]")), "{related:?}");

    // What is being typed does not parse; the rest is still known.
    editor.change(&NET.replace("    minimize", "    let z = relu(\n    minimize"));
    let found = editor.diagnostics();
    assert!(found.iter().any(|d| d["code"] == "E0102"), "{found:?}");
    assert!(editor.hover("logits = net", 0).contains("float[20, 10]"));
    assert!(editor.labels("relu(\n", 5).contains(&"logits".to_string()));

    editor.change(&NET.replace("AdamW(lr)", "AdamV(lr)"));
    let found = editor.diagnostics();
    let message = found[0]["message"].as_str().expect("a message");
    assert!(message.contains("unknown name 'AdamV'") && message.contains("did you mean 'AdamW'?"), "{message}");
    let mut params = editor.document();
    params["range"] = json!({ "start": editor.place("AdamV", 0), "end": editor.place("AdamV", 0) });
    params["context"] = json!({ "diagnostics": [] });
    let uri = editor.uri.clone();
    let offered = editor.ask("textDocument/codeAction", params);
    assert_eq!(offered[0]["edit"]["changes"][uri][0]["newText"], "AdamW", "{offered}");
    // A mend that is not a name: the `use` that is missing.
    editor.change(&NET.replace("AdamW(lr)", "Lion(lr)"));
    assert_eq!(editor.diagnostics()[0]["code"], "E0201");
    let mut params = editor.document();
    params["range"] = json!({ "start": editor.place("Lion", 0), "end": editor.place("Lion", 0) });
    params["context"] = json!({ "diagnostics": [] });
    let uri = editor.uri.clone();
    let offered = editor.ask("textDocument/codeAction", params);
    assert_eq!(offered[0]["title"], "insert 'use optimizers.Lion'");
    assert_eq!(offered[0]["edit"]["changes"][uri][0]["newText"], "use optimizers.Lion\n", "{offered}");
    // Behind a character of two units.
    editor.change(&NET.replace("units\n", "units\n  let 𝑥 = yy\n"));
    let found = editor.diagnostics();
    let place = &found.iter().find(|d| d["code"] == "E0201").expect("an unknown name")["range"]["start"];
    assert_eq!(*place, editor.place("yy", 0));
    editor.tell("textDocument/didClose", editor.document());
    editor.finish();
}

/// Texts made from the examples by mutation, with every request at random places: no answer is an internal error.
fn storm(first: u64, limit: usize, time: Duration) -> usize {
    let (server, client) = Connection::memory();
    let work = std::thread::Builder::new().stack_size(256 << 20);
    let server = work.spawn(move || optc::lsp::serve(&server).expect("the client is polite")).expect("a thread");
    let send = |message: Message| client.sender.send(message).expect("the server lives");
    let mut last = 0;
    let mut ask = |method: &str, params: Value| -> Response {
        last += 1;
        send(Message::Request(Request::new(last.into(), method.into(), params)));
        loop {
            match client.receiver.recv().expect("the server lives") {
                Message::Response(response) => return response,
                Message::Notification(_) => {}
                Message::Request(request) => panic!("{request:?}"),
            }
        }
    };
    ask("initialize", json!({ "capabilities": {} }));
    send(Message::Notification(Notification::new("initialized".into(), json!({}))));
    let seeds = seeds();
    let uri = format!("file://{}/examples/mutant.opt", root().display());
    let clock = Instant::now();
    let mut tried = 0;
    while tried < limit && clock.elapsed() < time {
        let mut dice = Dice(first.wrapping_add(tried as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let seed = dice.below(seeds.len());
        let text = mutate(&seeds[seed], &mut dice);
        let document = json!({ "uri": uri, "languageId": "opt", "version": 1, "text": text });
        send(Message::Notification(Notification::new(
            "textDocument/didOpen".into(),
            json!({ "textDocument": document }),
        )));
        for _ in 0..6 {
            let line = dice.below(text.lines().count() + 2);
            let position = json!({ "line": line, "character": dice.below(60) });
            let range = json!({ "start": { "line": 0, "character": 0 }, "end": position });
            let mut params = json!({ "textDocument": { "uri": uri }, "position": position, "newName": "other" });
            params["range"] = range;
            params["context"] = json!({ "includeDeclaration": true, "diagnostics": [] });
            params["options"] = json!({ "tabSize": 2, "insertSpaces": true });
            for method in ["hover", "definition", "references", "completion", "prepareRename", "rename"] {
                let response = ask(&format!("textDocument/{method}"), params.clone());
                let internal = response.error.filter(|e| e.code == -32603);
                assert!(internal.is_none(), "{method} at {position}: {internal:?}\n{text}");
            }
            for method in ["inlayHint", "documentSymbol", "formatting", "codeAction"] {
                let response = ask(&format!("textDocument/{method}"), params.clone());
                assert!(response.error.is_none(), "{method}: {:?}\n{text}", response.error);
            }
        }
        tried += 1;
    }
    ask("shutdown", Value::Null);
    send(Message::Notification(Notification::new("exit".into(), Value::Null)));
    server.join().expect("the server does not panic");
    tried
}

#[test]
fn no_text_breaks_the_server() {
    assert!(storm(7, 300, Duration::from_secs(10)) > 0);
}

/// `OPTC_STORM=SECONDS`, as for the compiler.
#[test]
fn a_longer_storm_for_the_server_on_request() {
    let seconds = std::env::var("OPTC_STORM").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    if seconds > 0 {
        println!("{} texts", storm(5_000_000, usize::MAX, Duration::from_secs(seconds)));
    }
}
