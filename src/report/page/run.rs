//! The parts of the page about one run.

use super::html::{Cell, badge, duration, grouped, table, tile};
use crate::report::highlight;
use crate::report::load::{Run, number};
use crate::report::plot::scale::short;
use crate::report::plot::svg::escape;
use serde_json::Value;
use std::fmt::Write;

/// The top of the page: what it was, how it ended, the numbers.
pub fn head(run: &Run) -> String {
    let mut line = format!("{} ", badge(run.state()));
    if let Some(label) = run.config["label"].as_str().filter(|l| !l.is_empty()) {
        let _ = write!(line, "<b>{}</b> · ", escape(label));
    }
    let (steps, epochs) = run.last;
    let _ = write!(line, "{} steps, {} epochs", grouped(steps as u64), grouped(epochs as u64));
    let _ = write!(line, " · seed {}", run.config["seed"].as_u64().unwrap_or(0));
    if let Some(time) = run.result["ended"].as_u64() {
        let _ = write!(line, " · <time data-time=\"{time}\">{}</time>", crate::train::folder::date(time));
    }
    let why = run.result["why"].as_str().map_or(String::new(), |why| {
        let notes = run.result["notes"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let notes: String = notes.map(|n| format!("<br>{}", escape(n))).collect();
        format!("<p class=\"card why\">{}{notes}</p>", escape(why))
    });
    format!("<p class=\"line\">{line}</p>{why}<div class=\"tiles\">{}</div>", tiles(run))
}

fn tiles(run: &Run) -> String {
    let mut out = String::new();
    let metrics = run.metrics();
    let split = if metrics.iter().any(|m| m.0 == "test") { "test" } else { "train" };
    for (_, name) in metrics.iter().filter(|m| m.0 == split) {
        let Some(series) = run.find(split, name) else { continue };
        let remark = series
            .best()
            .map_or(String::new(), |(step, value)| format!("best {} at step {}", short(value), grouped(step as u64)));
        // Of a name of the user's, nobody knows which values are better.
        let other = run.value("train", name).filter(|_| split == "test");
        let other = other.map_or(String::new(), |value| format!("train {}", short(value)));
        let remark = if remark.is_empty() { other } else { remark };
        out += &tile(&format!("{split} {name}"), &short(run.value(split, name).unwrap_or(f64::NAN)), &remark);
    }
    for (name, value) in run.constant_rates() {
        out += &tile("learning rate", &short(value), &format!("{name}, constant"));
    }
    let count: u64 = parameters(run).iter().filter_map(|p| p["count"].as_u64()).sum();
    if count > 0 {
        let layers = run.config["model"]["layers"].as_array().map_or(0, Vec::len);
        let tensors = parameters(run).len();
        let remark = format!("{}, {}", counted(tensors, "tensor"), counted(layers, "layer"));
        out += &tile("parameters", &grouped(count), &remark);
    }
    if let Some(seconds) = run.result["seconds"].as_f64() {
        // A run that was over when it was resumed made no step.
        let rate = run.result["steps_per_second"].as_f64().filter(|rate| *rate > 0.0);
        let rate = rate.map_or(String::new(), |rate| format!("{} steps/s", short(rate)));
        out += &tile("training", &duration(seconds), &rate);
    }
    out
}

fn parameters(run: &Run) -> &[Value] {
    run.config["model"]["parameters"].as_array().map_or(&[], |all| all.as_slice())
}

/// Confusion matrix or scatter.
pub fn predictions(run: &Run) -> String {
    let found = &run.predictions;
    let rows = found["rows"].as_u64().unwrap_or(0);
    let note = found["note"].as_str().map_or(String::new(), |n| format!("; {}", escape(n)));
    if let Some(matrix) = super::matrix(run) {
        let words = format!("{} of {} rows right{note}.", percent(matrix.correct()), grouped(rows));
        let side = per_class(&matrix.classes, &matrix.counts);
        let picture = format!("<figure class=\"card\">{}<figcaption>{words}</figcaption></figure>", matrix.to_svg());
        return format!("<div class=\"beside\">{picture}{side}</div>");
    }
    if let Some(scatter) = super::scatter(run) {
        let figure = |name: &str| number(&found[name]).map_or("-".into(), short);
        let shown = scatter.points.len() as u64;
        let some = if shown < rows { format!("; {} of them are shown", grouped(shown)) } else { String::new() };
        let words = format!("{} rows{some}{note}. On the dashed line, prediction and target agree.", grouped(rows));
        let rows = [("R²", "r2"), ("root mean squared error", "rmse"), ("mean absolute error", "mae")];
        let rows = rows.map(|(name, key)| vec![Cell::Text(name.into()), Cell::Number(figure(key))]);
        let side = table(&["over all rows".into(), ">".into()], &rows);
        let picture = format!("<figure class=\"card\">{}<figcaption>{words}</figcaption></figure>", scatter.to_svg());
        return format!("<div class=\"beside\">{picture}{side}</div>");
    }
    String::new()
}

/// What a model of text wrote at the end.
pub fn sample(run: &Run) -> String {
    if run.sample.is_empty() { String::new() } else { format!("<pre class=\"card\">{}</pre>", escape(&run.sample)) }
}

fn percent(part: f64) -> String {
    format!("{:.2} %", 100.0 * part)
}

/// Precision and recall of each class, and what it is most often taken for.
fn per_class(classes: &[String], counts: &[Vec<u64>]) -> String {
    let rows = classes.iter().enumerate().map(|(k, name)| {
        let (right, truth) = (counts[k][k], counts[k].iter().sum::<u64>());
        let guessed: u64 = counts.iter().map(|row| row[k]).sum();
        let share = |all: u64| if all == 0 { "-".to_string() } else { format!("{:.3}", right as f64 / all as f64) };
        let wrong = (0..classes.len()).filter(|j| *j != k && counts[k][*j] > 0).max_by_key(|j| counts[k][*j]);
        let taken = wrong.map_or(String::new(), |j| format!("{} ({}×)", classes[j], counts[k][j]));
        vec![
            Cell::Text(name.clone()),
            Cell::Number(grouped(truth)),
            Cell::Number(share(guessed)),
            Cell::Number(share(truth)),
            Cell::Text(taken),
        ]
    });
    let headers = ["class", ">rows", ">precision", ">recall", "most often taken for"].map(String::from);
    table(&headers, &rows.collect::<Vec<_>>())
}

/// `1 tensor`, `2 tensors`
fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// Layers, and the tensors with the rules that train them.
pub fn model(run: &Run) -> String {
    let model = &run.config["model"];
    let text = |v: &Value| v.as_str().unwrap_or("").to_string();
    let mut out = String::new();
    let layers = model["layers"].as_array().cloned().unwrap_or_default();
    if !layers.is_empty() {
        let rows = layers.iter().map(|l| {
            let count = l["parameters"].as_u64().unwrap_or(0);
            vec![
                Cell::Code(text(&l["path"])),
                Cell::Text(text(&l["layer"])),
                Cell::Code(text(&l["output"])),
                Cell::Number(if count > 0 { grouped(count) } else { String::new() }),
            ]
        });
        let headers = ["path", "layer", "output", ">own parameters"].map(String::from);
        out += &table(&headers, &rows.collect::<Vec<_>>());
    }
    let tensors = parameters(run);
    if !tensors.is_empty() {
        let mut rows: Vec<Vec<Cell>> = tensors
            .iter()
            .map(|t| {
                let count = t["count"].as_u64().unwrap_or(0);
                let cells =
                    [Cell::Code(text(&t["path"])), Cell::Code(shape(&t["shape"])), Cell::Text(text(&t["rule"]))];
                cells.into_iter().chain([Cell::Number(grouped(count))]).collect()
            })
            .collect();
        let total: u64 = tensors.iter().filter_map(|t| t["count"].as_u64()).sum();
        let last = [Cell::Html("<b>all</b>".into()), Cell::Text(String::new()), Cell::Text(String::new())];
        rows.push(last.into_iter().chain([Cell::Total(grouped(total))]).collect());
        let headers = ["parameter", "shape", "trained by", ">numbers"].map(String::from);
        let made = table(&headers, &rows);
        let open = if tensors.len() <= 12 { " open" } else { "" };
        let count = counted(tensors.len(), "tensor");
        let _ = write!(out, "<details{open}><summary>{count}</summary>{made}</details>");
    }
    out
}

fn shape(value: &Value) -> String {
    let axes: Vec<String> = value.as_array().into_iter().flatten().map(Value::to_string).collect();
    if axes.is_empty() { "scalar".into() } else { axes.join(" × ") }
}

/// Where the time of a step went (`--profile`).
pub fn timings(run: &Run) -> String {
    let Some(parts) = run.profile["parts"].as_array().filter(|p| !p.is_empty()) else { return String::new() };
    let seconds = |p: &Value| p["seconds"].as_f64().unwrap_or(0.0);
    let total: f64 = parts.iter().map(seconds).sum();
    let rows = parts.iter().map(|p| {
        let share = seconds(p) / total.max(1e-12);
        let bar = format!(
            "<div class=\"bar\"><i style=\"width:{:.1}%\"></i><span>{:.1} %</span></div>",
            share * 100.0,
            share * 100.0
        );
        let place = p["source"].as_str().unwrap_or("");
        let place = match own_line(run, place) {
            Some(line) => format!("<a href=\"#L{line}\"><code>line {line}</code></a>"),
            None => format!("<code>{}</code>", escape(place)),
        };
        let rate = |key: &str| p[key].as_f64().map_or(String::new(), |v| format!("{v:.1}"));
        vec![
            Cell::Html(bar),
            Cell::Html(place),
            Cell::Code(p["name"].as_str().unwrap_or("").to_string()),
            Cell::Number(format!("{:.1}", seconds(p) * 1e6)),
            Cell::Number(rate("gb_per_s")),
            Cell::Number(rate("gflop_per_s")),
        ]
    });
    let headers = ["share", "source", "what", ">µs a step", ">GB/s", ">GFLOP/s"].map(String::from);
    let made = table(&headers, &rows.collect::<Vec<_>>());
    format!("<p>{:.1} µs in the kernels of one step, measured after the run.</p>{made}", total * 1e6)
}

/// The line of the run's own file that a place names.
fn own_line(run: &Run, place: &str) -> Option<usize> {
    let (file, line) = place.rsplit_once(':')?;
    let own = run.config["file"]["path"].as_str()?;
    (file == own).then(|| line.parse().ok())?
}

/// Settings, hyper-parameters, versions, and the command that repeats it.
pub fn configuration(run: &Run, several: bool) -> String {
    let config = &run.config;
    let text = |v: &Value| match v {
        Value::String(s) => s.clone(),
        Value::Null => "-".into(),
        v => v.as_f64().filter(|_| v.is_f64()).map_or(v.to_string(), short),
    };
    let mut rows: Vec<(String, String)> = vec![];
    for key in
        ["seed", "batch", "epochs", "steps", "shuffle", "train_rows", "test_rows", "float", "engine", "threads", "data"]
    {
        // What differs between several runs stands in their table.
        let differs = several && matches!(key, "seed" | "epochs" | "steps");
        if !differs && !config[key].is_null() {
            rows.push((key.replace('_', " "), text(&config[key])));
        }
    }
    for (key, group) in [("--set", "set"), ("version of", "versions")] {
        let shown = config[group].as_object().filter(|_| !several || group == "versions");
        for (name, value) in shown.into_iter().flatten() {
            rows.push((format!("{key} {name}"), text(value)));
        }
    }
    let pairs = |rows: Vec<(String, String)>| -> Vec<Vec<Cell>> {
        rows.into_iter().map(|(k, v)| vec![Cell::Text(k), Cell::Number(v)]).collect()
    };
    let mut out = table(&["setting".into(), ">value".into()], &pairs(rows));
    let hypers = config["hypers"].as_object();
    let hypers: Vec<(String, String)> = hypers.into_iter().flatten().map(|(k, v)| (k.clone(), text(v))).collect();
    if !hypers.is_empty() && !several {
        out += &table(&["hyper-parameter".into(), ">value".into()], &pairs(hypers));
    }
    let columns = config["model"]["columns"].as_array().cloned().unwrap_or_default();
    if !columns.is_empty() {
        let rows: Vec<Vec<Cell>> = columns
            .iter()
            .map(|c| {
                let classes = c["classes"].as_u64().map_or(String::new(), |n| format!("{n} classes"));
                let cells =
                    [Cell::Code(text(&c["name"])), Cell::Text(text(&c["type"])), Cell::Code(shape(&c["shape"]))];
                cells.into_iter().chain([Cell::Text(classes)]).collect()
            })
            .collect();
        out += &table(&["column".into(), "type".into(), "shape of a row".into(), "".into()], &rows);
    }
    format!("<div class=\"tables\">{out}</div>{}", repeat(run))
}

fn repeat(run: &Run) -> String {
    let words: Vec<String> =
        run.config["command"].as_array().into_iter().flatten().filter_map(|w| w.as_str().map(quoted)).collect();
    if words.is_empty() {
        return String::new();
    }
    let path = run.config["file"]["path"].as_str().unwrap_or("the file");
    format!(
        "<h3>How to repeat it</h3><p>With the text below in <code>{}</code>:</p><pre class=\"card\"><code>{}</code></pre>",
        escape(path),
        escape(&words.join(" "))
    )
}

/// A word of a command as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// The program's text with the lines numbered, and the profile's heat beside them.
pub fn listing(run: &Run) -> String {
    let Some(text) = run.config["file"]["text"].as_str() else { return String::new() };
    let mut heat = vec![0.0; text.lines().count() + 1];
    let mut total = 0.0;
    for part in run.profile["parts"].as_array().into_iter().flatten() {
        let seconds = part["seconds"].as_f64().unwrap_or(0.0);
        total += seconds;
        let place = part["source"].as_str().unwrap_or("");
        if let Some(of_line) = own_line(run, place).and_then(|line| heat.get_mut(line)) {
            *of_line += seconds;
        }
    }
    let mut lines = String::new();
    for (k, line) in highlight::lines(text).iter().enumerate() {
        let share = if total > 0.0 { heat[k + 1] / total } else { 0.0 };
        let warm = if share > 0.005 {
            format!(" style=\"--heat:{share:.3}\" title=\"{:.1} % of a step\"", share * 100.0)
        } else {
            String::new()
        };
        let _ = write!(lines, "<li id=\"L{}\"{warm}><code>{line}</code></li>", k + 1);
    }
    let path = run.config["file"]["path"].as_str().unwrap_or("");
    format!("<p><code>{}</code></p><ol class=\"card listing\">{lines}</ol>", escape(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_survive_a_shell() {
        let made = ["optc", "--set", "lr=1e-3", "a b", "it's", "", "$HOME"].map(quoted);
        assert_eq!(made, ["optc", "--set", "lr=1e-3", "'a b'", "'it'\\''s'", "''", "'$HOME'"]);
    }
}
