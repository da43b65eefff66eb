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
        let uri = format!("file://{}/examples/{name}.opt", root().display());
        Editor::start_at(name, uri, text)
    }

    /// The text need not be on disk.
    fn start_at(name: &str, uri: String, text: &str) -> Editor {
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
        let mut editor =
            Editor { process, input, output, uri, text: text.into(), version: 1, last_id: 0, seen: vec![] };
        let answer = editor.ask("initialize", json!({ "capabilities": {}, "processId": null, "rootUri": null }));
        assert_eq!(answer["capabilities"]["positionEncoding"], "utf-16");
        editor.tell("initialized", json!({}));
        editor.open(editor.uri.clone(), text);
        editor
    }

    /// Opens one more text, or goes back to one.
    fn open(&mut self, uri: String, text: &str) {
        let document = json!({ "uri": uri, "languageId": "opt", "version": 1, "text": text });
        self.tell("textDocument/didOpen", json!({ "textDocument": document }));
        (self.uri, self.text, self.version) = (uri, text.into(), 1);
        self.seen.clear();
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
            let newest = |n: &Notification| n.params["version"] == self.version && n.params["uri"] == self.uri;
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
    let params = editor.here("init = he", 8);
    let help = editor.ask("textDocument/signatureHelp", params);
    assert_eq!(help["activeParameter"], 1, "{help}");
    let label = help["signatures"][0]["label"].as_str().expect("a signature");
    assert!(label.starts_with("Dense(units: int, init: init = glorot_uniform"), "{label}");
    let params = editor.here("image |> flatten", 0);
    assert_eq!(editor.ask("textDocument/signatureHelp", params), Value::Null);

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
    for (mark, name, word) in [
        ("hidden: int)", "let", "cannot be a name"),
        ("Dense(10)", "x", "belongs to the library"),
        ("AdamW(lr)", "lr", "library"),
    ] {
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

/// What is offered where something is being written.
#[test]
fn half_typed_texts_are_completed() {
    let mut editor = Editor::start("half", NET);
    for (line, wanted, unwanted) in [
        ("    let z = Dense(", &["units =", "bias =", "hidden", "logits"][..], &[][..]),
        ("    let z = Dense(10, ", &["init =", "bias ="], &["units ="]),
        ("    let z = Dense(10, init = ", &["he_normal", "zeros"], &["bias =", "init ="]),
        ("    let z = logits |> ", &["Dense", "relu", "softmax", "Mlp"], &["if", "pi", "bias ="]),
        ("    let z = net.", &["h"], &["relu", "let"]),
        ("    let z = digits.", &["image", "label", "rows"], &["relu"]),
        ("    let z = digits.label.", &["classes", "shape"], &["rows"]),
        ("    let z = synthetic.", &["digits", "moons"], &["relu"]),
        ("    let z = cross_entropy(", &["smoothing ="], &["logits ="]),
        ("    let z = cross_entropy()(", &["logits =", "label ="], &["smoothing ="]),
    ] {
        let net = NET.replace("let h = image", "let h = Dense(3)\n  let k = image");
        for text in [
            // In the middle, and as the last words of a text that ends there.
            net.replace("    minimize", &format!("{line}\n    minimize")),
            format!("{}{line}", &net[..net.find("    minimize").expect("it is there")]),
        ] {
            editor.change(&text);
            let labels = editor.labels(line, line.len());
            for name in wanted {
                assert!(labels.contains(&name.to_string()), "no {name} behind {line}: {labels:?}\n{text}");
            }
            for name in unwanted {
                assert!(!labels.contains(&name.to_string()), "{name} behind {line}");
            }
        }
    }
    for (line, wanted) in
        [("data more = ", "csv"), ("data more = csv(\"a.csv\") |> ", "one_hot"), ("data more = synthetic.", "moons")]
    {
        editor.change(&format!("{NET}\n{line}"));
        let labels = editor.labels(line, line.len());
        assert!(labels.contains(&wanted.to_string()), "no {wanted} behind {line}: {labels:?}");
    }
    editor.finish();
}

#[test]
fn shapes_are_known_in_tests_and_in_definitions_that_nothing_calls() {
    let text = r#"use layers.Dense

/// Two layers.
layer Twice(units: int, heads: int = 4)(x: float[.., D]) -> float[.., units] {
  let hidden = x |> Dense(2 * units)
  let _parts = reshape(x, [-1, heads, D / heads])
  hidden |> Dense(units)
}

optimizer Mine(lr: schedule = 0.1)(theta, g, t) {
  state m = 0
  m <- 0.9*m + g
  theta <- theta - lr*m
}

test "it keeps the rows" {
  let z = zeros([2, 3]) @ ones([3, 5])
  expect mean(z) ~ 0
}
"#;
    let mut editor = Editor::start("alone", text);
    assert_eq!(editor.diagnostics(), Vec::<Value>::new());
    assert!(editor.hover("z = zeros", 0).contains("z: float[2, 5]"));
    assert!(editor.hover("mean(z)", 5).contains("z: float[2, 5]"));
    let generic = editor.hover("hidden = x", 0);
    assert!(generic.contains("hidden: float[.., 2*units]") && generic.contains("as the header declares"), "{generic}");
    assert!(editor.hover("_parts = ", 0).contains("_parts: float[.., 4, D/4]"));
    assert!(editor.hover("D / heads", 2).contains("int = D/4"));
    assert!(editor.hover("0.9*m", 3).contains("float[..]"), "{}", editor.hover("0.9*m", 3));
    let mut params = editor.document();
    params["range"] = json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 99, "character": 0 } });
    let hints = editor.ask("textDocument/inlayHint", params);
    let hints: Vec<&str> = hints.as_array().expect("a list").iter().filter_map(|h| h["label"].as_str()).collect();
    assert_eq!(hints, [": float[.., 2*units]", ": float[.., 4, D/4]", ": float[.., units]", ": float[2, 5]"]);

    // What a test does wrong is found without running it.
    editor.change(&text.replace("ones([3, 5])", "ones([4, 5])"));
    assert_eq!(editor.diagnostics()[0]["code"], "E0203");

    // A file of the library, as go-to-definition opens it.
    editor.change(text);
    let params = editor.here("Dense(units)", 0);
    let uri = editor.ask("textDocument/definition", params)["uri"].as_str().expect("a file").to_string();
    let library = std::fs::read_to_string(uri.strip_prefix("file://").expect("a path")).expect("it is there");
    editor.open(uri, &library);
    assert_eq!(editor.diagnostics(), Vec::<Value>::new());
    let found = editor.hover("x @ w", 2);
    assert!(found.contains("float[.., units]"), "{found}");
    let mut params = editor.here("Dense(", 0);
    params["newName"] = json!("Linear");
    let refused = editor.response("textDocument/rename", params).error.expect("a refusal");
    assert!(refused.message.contains("belongs to the library"), "{}", refused.message);
    editor.finish();
}

#[test]
fn files_of_a_workspace_know_each_other() {
    let folder = std::env::temp_dir().join(format!("optc-lsp-workspace-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("more")).expect("a folder");
    let nets = "use layers.Dense\n\nlayer Net(units: int)(x: float[N, D]) -> float[N, units] {\n  let fc = Dense(units)\n  fc(x)\n}\n\nconst size = 3\n";
    let user = "use \"nets.opt\".{Net, size}\n\ntest \"θ 😀\" {\n  let y = Net(units = size)(zeros([2, 4]))\n  expect mean(y) ~ 0\n}\n";
    let other = "use \"../nets.opt\".*\n\ntest \"b\" {\n  let net = Net(2)\n  expect mean(net(zeros([2, 4]))) ~ 0\n}\n";
    // On disk the first file defines something else: what the editor has counts.
    for (name, text) in [("nets.opt", "const old = 1\n"), ("user.opt", user), ("more/other.opt", other)] {
        std::fs::write(folder.join(name), text).expect("a file");
    }
    let uri = |name: &str| format!("file://{}", folder.join(name).display());
    let mut editor = Editor::start_at("workspace", uri("nets.opt"), nets);
    editor.diagnostics();
    editor.open(uri("user.opt"), user);
    assert_eq!(editor.diagnostics(), Vec::<Value>::new());

    let rename = |editor: &mut Editor, mark: &str, more: usize, new: &str| {
        let mut params = editor.here(mark, more);
        params["newName"] = json!(new);
        let response = editor.response("textDocument/rename", params);
        match response.error {
            Some(refused) => Err(refused.message),
            None => Ok(response.result.expect("edits")["changes"].clone()),
        }
    };
    let counts = |changes: &Value| -> Vec<usize> {
        ["nets.opt", "user.opt", "more/other.opt"]
            .map(|name| changes[uri(name)].as_array().map_or(0, Vec::len))
            .to_vec()
    };
    // From a use, from the declaration, an argument's name, a local.
    assert_eq!(rename(&mut editor, "Net(units", 0, "Mlp").map(|c| counts(&c)), Ok(vec![1, 2, 1]));
    assert_eq!(rename(&mut editor, "units = size", 0, "width").map(|c| counts(&c)), Ok(vec![3, 1, 0]));
    assert_eq!(rename(&mut editor, "y = Net", 0, "z").map(|c| counts(&c)), Ok(vec![0, 2, 0]));
    for (mark, new, why) in [
        ("Net(units", "size", "means something else already"),
        ("y = Net", "size", "means something else already"),
        ("zeros", "nulls", "belongs to the library"),
        ("expect", "a", "there is no name here"),
        ("Net(units", "1a", "cannot be a name"),
    ] {
        let refused = rename(&mut editor, mark, 0, new).expect_err(mark);
        assert!(refused.contains(why), "{mark}: {refused}");
    }
    let mut params = editor.here("Net(units", 0);
    params["context"] = json!({ "includeDeclaration": true });
    assert_eq!(editor.ask("textDocument/references", params.clone()).as_array().map(Vec::len), Some(4));
    params["context"] = json!({ "includeDeclaration": false });
    assert_eq!(editor.ask("textDocument/references", params).as_array().map(Vec::len), Some(3));

    editor.change("use \"");
    assert_eq!(editor.labels("\"", 1), ["nets.opt"]);
    editor.change("use \"nets.opt\".{\n  ");
    assert_eq!(editor.labels("{\n  ", 4), ["Net", "size"]);
    editor.change(user);
    assert_eq!(editor.diagnostics(), Vec::<Value>::new());

    // A change of one file is told in the other one.
    let changed = json!({ "uri": uri("nets.opt"), "version": 2 });
    let text = nets.replace("size = 3", "sice = 3");
    editor.seen.clear();
    editor.tell("textDocument/didChange", json!({ "textDocument": changed, "contentChanges": [{ "text": text }] }));
    let found = editor.diagnostics();
    assert!(found.iter().any(|d| d["code"] == "E0201"), "{found:?}");
    // A mistake inside the used file is shown where it is used.
    let broken = nets.replace("fc(x)", "fc(x) + ones([7])");
    let changed = json!({ "uri": uri("nets.opt"), "version": 3 });
    editor.seen.clear();
    editor.tell("textDocument/didChange", json!({ "textDocument": changed, "contentChanges": [{ "text": broken }] }));
    let found = editor.diagnostics();
    assert_eq!(found[0]["range"]["start"], editor.place("\"nets.opt\"", 0), "{found:?}");
    // What cannot be read could mention the name.
    let changed = json!({ "uri": uri("nets.opt"), "version": 4 });
    let text = nets.replace("const size = 3", "const size = 3\n\nlayer Half(x) = Net(");
    editor.tell("textDocument/didChange", json!({ "textDocument": changed, "contentChanges": [{ "text": text }] }));
    let refused = rename(&mut editor, "Net(units", 0, "Mlp").expect_err("not all is known");
    assert!(refused.contains("cannot be read (nets.opt, line 10)"), "{refused}");
    editor.finish();
    let _ = std::fs::remove_dir_all(folder);
}

/// A client in the same process.
struct Client {
    connection: Connection,
    server: std::thread::JoinHandle<()>,
    uri: String,
    last: i32,
}

impl Client {
    fn start() -> Client {
        let (server, connection) = Connection::memory();
        let work = std::thread::Builder::new().stack_size(256 << 20);
        let server = work.spawn(move || optc::lsp::serve(&server).expect("the client is polite")).expect("a thread");
        let uri = format!("file://{}/examples/mutant.opt", root().display());
        let mut client = Client { connection, server, uri, last: 0 };
        client.ask("initialize", json!({ "capabilities": {} }));
        client.tell("initialized", json!({}));
        client
    }

    fn tell(&self, method: &str, params: Value) {
        let message = Message::Notification(Notification::new(method.into(), params));
        self.connection.sender.send(message).expect("the server lives");
    }

    fn ask(&mut self, method: &str, params: Value) -> Response {
        self.last += 1;
        let message = Message::Request(Request::new(self.last.into(), method.into(), params));
        self.connection.sender.send(message).expect("the server lives");
        loop {
            match self.connection.receiver.recv().expect("the server lives") {
                Message::Response(response) => return response,
                Message::Notification(_) => {}
                Message::Request(request) => panic!("{request:?}"),
            }
        }
    }

    fn open(&self, text: &str) {
        let document = json!({ "uri": self.uri, "languageId": "opt", "version": 1, "text": text });
        self.tell("textDocument/didOpen", json!({ "textDocument": document }));
    }

    /// Every request there is, at a place: none may fail inside.
    fn ask_all(&mut self, line: usize, character: usize, text: &str) {
        let position = json!({ "line": line, "character": character });
        let range = json!({ "start": { "line": 0, "character": 0 }, "end": position });
        let mut params = json!({ "textDocument": { "uri": self.uri }, "position": position, "newName": "other" });
        params["range"] = range;
        params["context"] = json!({ "includeDeclaration": true, "diagnostics": [] });
        params["options"] = json!({ "tabSize": 2, "insertSpaces": true });
        for method in ["hover", "definition", "references", "completion", "signatureHelp", "prepareRename", "rename"] {
            let response = self.ask(&format!("textDocument/{method}"), params.clone());
            let internal = response.error.filter(|e| e.code == -32603);
            assert!(internal.is_none(), "{method} at {position}: {internal:?}\n{text}");
        }
        for method in ["inlayHint", "documentSymbol", "formatting", "codeAction"] {
            let response = self.ask(&format!("textDocument/{method}"), params.clone());
            assert!(response.error.is_none(), "{method}: {:?}\n{text}", response.error);
        }
    }

    fn finish(mut self) {
        self.ask("shutdown", Value::Null);
        self.tell("exit", Value::Null);
        self.server.join().expect("the server does not panic");
    }
}

/// Texts made from the examples by mutation, with every request at random places: no answer is an internal error.
fn storm(first: u64, limit: usize, time: Duration) -> usize {
    let mut client = Client::start();
    let seeds = seeds();
    let clock = Instant::now();
    let mut tried = 0;
    while tried < limit && clock.elapsed() < time {
        let mut dice = Dice(first.wrapping_add(tried as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let seed = dice.below(seeds.len());
        let text = mutate(&seeds[seed], &mut dice);
        client.open(&text);
        for _ in 0..6 {
            let line = dice.below(text.lines().count() + 2);
            client.ask_all(line, dice.below(60), &text);
        }
        tried += 1;
    }
    client.finish();
    tried
}

/// Programs cut off anywhere, with letters of one, two and four bytes where the cursor is: as they are while they are written.
/// The slowest answers are asked for too, where the program is compiled as users have it.
#[test]
fn programs_that_end_anywhere_are_answered() {
    let mut client = Client::start();
    let mut dice = Dice(11);
    let seeds = seeds();
    let (clock, mut times) = (Instant::now(), vec![]);
    while clock.elapsed() < Duration::from_secs(8) {
        let whole = &seeds[dice.below(seeds.len())];
        let cuts: Vec<usize> = whole.char_indices().map(|(at, _)| at).collect();
        let cut = cuts[dice.below(cuts.len())];
        let typed = ["", "θ", "😀", "m̂ = ", "|> ", "(", ".", "\"𝑥", "// é"][dice.below(9)];
        let rest = if dice.below(2) == 0 { "" } else { &whole[cut..] };
        let text = format!("{}{typed}{rest}", &whole[..cut]);
        client.open(&text);
        let before = &text[..cut + typed.len()];
        let line = before.matches('\n').count();
        let character = before[before.rfind('\n').map_or(0, |n| n + 1)..].encode_utf16().count();
        let place =
            json!({ "textDocument": { "uri": client.uri }, "position": { "line": line, "character": character } });
        for method in ["hover", "completion"] {
            let clock = Instant::now();
            client.ask(&format!("textDocument/{method}"), place.clone());
            times.push(clock.elapsed());
        }
        client.ask_all(line, character, &text);
    }
    client.finish();
    times.sort();
    let slow = times[times.len() * 99 / 100];
    println!("{} answers, the slowest of a hundred {slow:?}", times.len());
    assert!(cfg!(debug_assertions) || slow < Duration::from_millis(50), "{slow:?}");
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
