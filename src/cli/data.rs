//! `optc data FILE`

use super::{DONE, Status, USAGE, WRONG, output, table};
use crate::data::summary::{ColumnSummary, Facts, Numbers, Summary, summarize};
use crate::driver::{Request, Session};
use crate::train::metrics::number;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    /// A .opt file (all its data), or a data file: csv, tsv, parquet, npy, npz, idx, text, or a folder of pictures
    file: PathBuf,
    /// Where relative data paths are looked up (default: the file's folder)
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Change a hyper-parameter of the training (repeatable)
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = super::args::assignment)]
    sets: Vec<(String, String)>,
    /// One object on stdout
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Status {
    let mut session = Session::new();
    let is_program = args.file.extension().is_some_and(|e| e == "opt");
    let mut item = None;
    if is_program {
        if let Err(problem) = session.open(&args.file) {
            output::remark(&format!("optc: {problem}"));
            return USAGE;
        }
    } else {
        match program_for(&args.file) {
            Ok((text, shown)) => {
                let file = session.sources.add("data", text);
                session.show(file);
                item = Some(shown);
            }
            Err(problem) => {
                output::remark(&format!("optc: {problem}"));
                return USAGE;
            }
        }
    }
    let request = Request { data_dir: args.data.clone(), sets: args.sets.clone(), ..Request::default() };
    let summaries = session.pipelines(&request).and_then(|(pipelines, context)| {
        pipelines.iter().map(|pipeline| summarize(pipeline, &context)).collect::<Result<Vec<_>, _>>()
    });
    let summaries = match summaries {
        Ok(summaries) => summaries,
        Err(problems) => {
            output::failure(&session.sources, &problems, args.json);
            return WRONG;
        }
    };
    if summaries.is_empty() {
        output::remark(&format!("'{}' has no data", args.file.display()));
    }
    if args.json {
        output::object(&json!({ "data": summaries.iter().map(to_json).collect::<Vec<_>>() }));
        return DONE;
    }
    for (index, summary) in summaries.iter().enumerate() {
        let gap = if index == 0 { "" } else { "\n" };
        output::line(&format!("{gap}{}", render(summary)));
    }
    if let Some(item) = item {
        output::remark(&format!("\nin a program: {item}"));
    }
    DONE
}

/// A program that reads a data file, and its data item as a user would begin with it.
fn program_for(path: &Path) -> Result<(String, String), String> {
    let whole = std::path::absolute(path).map_err(|e| format!("'{}': {e}", path.display()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let stem = name.split('.').next().unwrap_or_default();
    let stem: String = stem.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    let item = if stem.starts_with(|c: char| c.is_alphabetic()) { stem } else { format!("data_{stem}") };
    let call = |path: &str| -> Option<(String, String)> {
        let path = path.replace('\\', "\\\\").replace('"', "\\\"");
        let same = |text: String| Some((text.clone(), text));
        if whole.is_dir() {
            let source = if whole.join("train-images-idx3-ubyte.gz").exists()
                || whole.join("train-images-idx3-ubyte").exists()
            {
                "mnist"
            } else if ["data_batch_1.bin", "train.bin", "train.bin.gz"].iter().any(|f| whole.join(f).exists()) {
                "cifar10"
            } else {
                "images"
            };
            return same(format!("{source}(\"{path}\")"));
        }
        match name.trim_end_matches(".gz").rsplit('.').next() {
            Some("csv") => Some((
                format!("csv(\"{path}\", missing = \"keep\", na = [\"\", \"NA\", \"NaN\", \"nan\", \"?\"])"),
                format!("csv(\"{path}\")"),
            )),
            Some("tsv" | "tab") => Some((
                format!(
                    "csv(\"{path}\", delimiter = \"\\t\", missing = \"keep\", na = [\"\", \"NA\", \"NaN\", \"nan\", \"?\"])"
                ),
                format!("csv(\"{path}\", delimiter = \"\\t\")"),
            )),
            Some("parquet") => {
                Some((format!("parquet(\"{path}\", missing = \"keep\")"), format!("parquet(\"{path}\")")))
            }
            Some("npz") => same(format!("npz(\"{path}\")")),
            Some("npy") => same(format!("npy(x = \"{path}\")")),
            Some("txt") => same(format!("text(\"{path}\", context = 64)")),
            _ if name.contains("idx") || name.contains("ubyte") => same(format!("idx(x = \"{path}\")")),
            _ => None,
        }
    };
    let (text, shown) = call(&whole.to_string_lossy())
        .zip(call(&path.to_string_lossy()))
        .map(|((text, _), (_, shown))| (text, shown))
        .ok_or_else(|| format!("'{}' is neither a .opt file nor data that optc knows by its name", path.display()))?;
    Ok((format!("data {item} = {text}\n"), format!("data {item} = {shown}")))
}

fn render(summary: &Summary) -> String {
    let mut rows =
        vec![["column", "type", "missing", "from", "to", "mean", "deviation", ""].map(String::from).to_vec()];
    let mut below = String::new();
    for column in &summary.columns {
        let mut row = vec![column.name.clone(), column.kind.clone(), column.missing.to_string()];
        match &column.facts {
            Facts::Numbers(Some(n)) => {
                row.extend([n.low, n.high, n.mean, n.deviation].map(short));
                row.push(blocks(&n.histogram));
            }
            Facts::Numbers(None) => {}
            Facts::Classes(classes) => {
                row.extend(["".into(), "".into(), "".into(), format!("{} classes", classes.len())]);
                row.push(blocks(&classes.iter().take(32).map(|(_, count)| *count).collect::<Vec<_>>()));
                below.push_str(&listed(&column.name, classes, 20));
            }
            Facts::Tokens(size, frequent) => {
                row.extend(["".into(), "".into(), "".into(), format!("{size} tokens")]);
                let shown: Vec<_> = frequent.iter().map(|(token, count)| (format!("{token:?}"), *count)).collect();
                below.push_str(&listed(&column.name, &shown, 10));
            }
            Facts::Text { shortest, longest } => {
                row.extend([shortest.to_string(), longest.to_string(), "".into(), "characters".into()]);
            }
        }
        row.resize(8, String::new());
        rows.push(row);
    }
    let (train, test) = (summary.train_rows, summary.test_rows);
    let head = format!("{}: {} rows, {train} to train on and {test} to test", summary.name, train + test);
    let text = format!("{head}\n{}{below}", table::render(&rows));
    text.trim_end().to_string()
}

/// Names with their counts, on lines of their own.
fn listed(column: &str, names: &[(String, usize)], most: usize) -> String {
    let shown: Vec<String> = names.iter().take(most).map(|(name, count)| format!("{name} {count}")).collect();
    let more = if names.len() > most { format!(", … {} more", names.len() - most) } else { String::new() };
    format!("{column}: {}{more}\n", shown.join(", "))
}

/// A small histogram.
fn blocks(counts: &[usize]) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    counts.iter().map(|count| if *count == 0 { ' ' } else { LEVELS[count * 7 / most] }).collect()
}

fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".into()
    } else if !(1e-3..1e6).contains(&size) {
        format!("{value:.3e}")
    } else {
        let digits = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
        let text = format!("{value:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
    }
}

fn to_json(summary: &Summary) -> Value {
    let columns: Vec<Value> = summary.columns.iter().map(column_json).collect();
    json!({
        "name": summary.name,
        "train_rows": summary.train_rows,
        "test_rows": summary.test_rows,
        "columns": columns,
    })
}

fn column_json(column: &ColumnSummary) -> Value {
    let mut object = json!({ "name": column.name, "type": column.kind, "missing": column.missing });
    let counts = |names: &[(String, usize)]| -> Value {
        names.iter().map(|(name, count)| json!({ "name": name, "count": count })).collect()
    };
    match &column.facts {
        Facts::Numbers(Some(Numbers { low, high, mean, deviation, histogram })) => {
            for (key, value) in [("low", low), ("high", high), ("mean", mean), ("deviation", deviation)] {
                object[key] = number(*value);
            }
            object["histogram"] = json!(histogram);
        }
        Facts::Numbers(None) => {}
        Facts::Classes(classes) => object["classes"] = counts(classes),
        Facts::Tokens(size, frequent) => {
            object["vocabulary"] = json!(size);
            object["frequent"] = counts(frequent);
        }
        Facts::Text { shortest, longest } => {
            object["shortest"] = json!(shortest);
            object["longest"] = json!(longest);
        }
    }
    object
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_and_histograms_are_short() {
        let shown = [0.0, 1.0, -12.5, 0.123456, 123456.7, 1e9, 2e-5].map(super::short);
        assert_eq!(shown, ["0", "1", "-12.5", "0.1235", "123457", "1.000e9", "2.000e-5"]);
        assert_eq!(super::blocks(&[0, 1, 50, 100]), " ▁▄█");
    }
}
