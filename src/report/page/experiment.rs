//! The parts of the page about several runs: a comparison, a sweep.

use super::html::{Cell, badge, duration, grouped, table, tile};
use crate::report::charts::variants;
use crate::report::load::{Better, Run, better};
use crate::report::plot::scale::short;
use crate::report::plot::svg::escape;
use crate::report::trials::{Trials, setting, show};
use serde_json::Value;
use std::path::Path;

/// Rows of a sweep's table that are open at first.
const SHOWN: usize = 12;

pub fn head(runs: &[Run], trials: Option<&Trials>) -> String {
    let mut states: Vec<(&str, usize)> = vec![];
    let of_trials = trials.into_iter().flat_map(|t| t.all.iter().map(|t| t.status.as_str()));
    let all: Vec<&str> = if trials.is_some() { of_trials.collect() } else { runs.iter().map(Run::state).collect() };
    for state in &all {
        match states.iter_mut().find(|(s, _)| s == state) {
            Some((_, count)) => *count += 1,
            None => states.push((state, 1)),
        }
    }
    let badges: String = states.iter().map(|(s, n)| format!("{} × {n} ", badge(s))).collect();
    let what = if trials.is_some() { "trials" } else { "runs" };
    let mut tiles = tile(what, &grouped(all.len() as u64), &format!("{} variants", variants(runs).len()));
    if let Some(trials) = trials {
        if let Some(best) = trials.ranking().first() {
            let trial = &trials.all[*best];
            tiles = tile(what, &grouped(all.len() as u64), &format!("{} settings", trials.names().len()));
            let value = trial.value.map_or("-".into(), short);
            tiles += &tile(&format!("best {}", trials.metric), &value, &format!("trial {}", trial.number));
            for (name, value) in &trial.settings {
                tiles += &tile(name, &show(value), "of the best trial");
            }
        }
    } else if let Some((split, name)) = runs.first().and_then(|r| r.metrics().first().copied()) {
        // The first metric of the test part, by its mean over seeds.
        let rows = means(runs, split, name);
        if let Some((variant, mean)) = best_of(&rows, name) {
            let mean_of = if variants(runs).len() < runs.len() { "best mean" } else { "best" };
            tiles += &tile(&format!("{mean_of} {split} {name}"), &short(mean), &variant);
        }
    }
    let seconds: f64 = runs.iter().filter_map(|r| r.result["seconds"].as_f64()).sum();
    if seconds > 0.0 {
        tiles += &tile("training", &duration(seconds), "all runs together");
    }
    format!("<p class=\"line\">{badges}</p><div class=\"tiles\">{tiles}</div>")
}

/// For each variant the mean of what its runs reached; without those that diverged.
fn means(runs: &[Run], split: &str, name: &str) -> Vec<(String, f64)> {
    let of = |full: &str| {
        let own = runs.iter().filter(|r| r.variant() == full && r.state() != "failed");
        let values: Vec<f64> = own.filter_map(|r| r.value(split, name)).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    variants(runs).into_iter().map(|(full, shown)| (shown, of(&full))).collect()
}

fn best_of(rows: &[(String, f64)], name: &str) -> Option<(String, f64)> {
    let better = better(name)?;
    let finite = rows.iter().filter(|r| r.1.is_finite()).cloned();
    finite.reduce(|a, b| if (better == Better::Low) == (b.1 < a.1) { b } else { a })
}

/// What `compare.json` says about a variant's difference from the best.
fn p_value(compared: &Value, variant: &str) -> Option<f64> {
    let known = compared["variants"].as_array()?.iter().find(|v| v["label"] == variant)?;
    known["p"].as_f64()
}

/// Mean and spread of each variant, then every run.
pub fn results(folder: &Path, runs: &[Run], compared: &Value) -> String {
    let mut columns: Vec<(&str, &str)> = vec![];
    for column in runs.iter().flat_map(|r| r.metrics()) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns.sort_by_key(|(split, _)| *split == "train");
    columns.truncate(10);
    let mut out = String::new();
    let variants = variants(runs);
    let best: Vec<Option<(String, f64)>> =
        columns.iter().map(|(split, name)| best_of(&means(runs, split, name), name)).collect();
    let mut headers = vec!["variant".to_string(), ">runs".into()];
    headers.extend(columns.iter().map(|(split, name)| format!(">{split} {name}")));
    headers.push(">seconds".into());
    let tested = variants.iter().any(|(full, _)| p_value(compared, full).is_some());
    if tested {
        headers.push(">p".into());
    }
    let mut rows = vec![];
    for (full, shown) in &variants {
        let all: Vec<&Run> = runs.iter().filter(|r| r.variant() == *full).collect();
        let own: Vec<&Run> = all.iter().copied().filter(|r| r.state() != "failed").collect();
        let failed = all.len() - own.len();
        let failed = if failed > 0 { format!(" ({failed} failed)") } else { String::new() };
        let mut row = vec![Cell::Text(shown.clone()), Cell::Number(format!("{}{failed}", all.len()))];
        for ((split, name), best) in columns.iter().zip(&best) {
            let values: Vec<f64> = own.iter().filter_map(|r| r.value(split, name)).collect();
            let text = spread(&values);
            let is_best = variants.len() > 1 && best.as_ref().is_some_and(|(v, _)| v == shown);
            row.push(if is_best { Cell::Best(text) } else { Cell::Number(text) });
        }
        let seconds: Vec<f64> = own.iter().filter_map(|r| r.result["seconds"].as_f64()).collect();
        row.push(Cell::Number(if seconds.is_empty() {
            "-".into()
        } else {
            short(seconds.iter().sum::<f64>() / seconds.len() as f64)
        }));
        if tested {
            row.push(Cell::Number(p_value(compared, full).map_or(String::new(), |p| format!("{p:.4}"))));
        }
        rows.push(row);
    }
    if variants.len() < runs.len() || variants.len() <= SHOWN {
        out += &table(&headers, &rows);
    }
    if variants.len() < runs.len() || variants.len() > SHOWN {
        let mut headers = vec!["run".to_string(), "state".into(), ">steps".into()];
        headers.extend(columns.iter().map(|(split, name)| format!(">{split} {name}")));
        let each = runs.iter().map(|run| {
            // Pages move with their folders: only runs below this one can be linked to.
            let label = match run.folder.strip_prefix(folder) {
                Ok(below) => {
                    let page = below.join("report.html").display().to_string();
                    Cell::Html(format!("<a href=\"{}\">{}</a>", escape(&page), escape(&run.label())))
                }
                Err(_) => Cell::Text(run.label()),
            };
            let cells = [label, Cell::Html(badge(run.state())), Cell::Number(grouped(run.last.0 as u64))];
            let values =
                columns.iter().map(|(split, name)| Cell::Number(run.value(split, name).map_or("-".into(), short)));
            cells.into_iter().chain(values).collect::<Vec<Cell>>()
        });
        let made = table(&headers, &each.collect::<Vec<_>>());
        out += &format!("<details><summary>every run</summary>{made}</details>");
    }
    if variants.len() < runs.len() {
        out += "<p class=\"remark\">Mean ± standard deviation over the runs. The best mean is marked.";
        if tested {
            let objective = compared["objective"].as_str().unwrap_or("the objective");
            out += &format!(" p: {} against the best variant, Welch's t-test (two-sided).", escape(objective));
        }
        out += "</p>";
    }
    out
}

/// `0.123 ± 0.004`
fn spread(values: &[f64]) -> String {
    let count = values.len() as f64;
    match values {
        [] => "-".into(),
        [one] => short(*one),
        _ => {
            let mean = values.iter().sum::<f64>() / count;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0);
            let sd = variance.sqrt();
            let digits = if sd > 0.0 && sd < 10.0 { (1 - sd.log10().floor() as i32).clamp(0, 8) as usize } else { 3 };
            format!("{mean:.digits$} ± {sd:.digits$}")
        }
    }
}

/// Parallel coordinates, what mattered, and the table of trials.
pub fn sweep(trials: &Trials, title: &str) -> String {
    let picture = trials.parallel(&format!("{title}: settings and {}", trials.metric)).to_svg();
    let mut out = format!(
        "<figure class=\"card parallel\">{picture}<figcaption>A line for each trial: bright lines are the better ones, the \
         thick one is the best; dashed ones failed. Point at a line to read it.</figcaption></figure>"
    );
    let weights = trials.weights();
    if !weights.is_empty() {
        let rows = weights.iter().map(|w| {
            let percent = w.share * 100.0;
            let bar =
                format!("<div class=\"bar\"><i style=\"width:{percent:.1}%\"></i><span>{percent:.0} %</span></div>");
            vec![Cell::Code(w.name.clone()), Cell::Html(bar), Cell::Text(w.best.clone())]
        });
        let headers =
            ["setting", "share of the ranking that it explains", "in the best quarter of the trials"].map(String::from);
        out += &format!("<h3>What mattered</h3>{}", table(&headers, &rows.collect::<Vec<_>>()));
    }
    let mut headers = vec!["trial".to_string()];
    headers.extend(trials.names().iter().map(|n| format!(">{n}")));
    headers.extend([format!(">{}", trials.metric), ">epochs".into(), "state".into()]);
    let ranking = trials.ranking();
    let rest = (0..trials.all.len()).filter(|k| !ranking.contains(k));
    let rows: Vec<Vec<Cell>> = ranking
        .iter()
        .copied()
        .chain(rest)
        .map(|k| {
            let trial = &trials.all[k];
            let number = Cell::Html(format!("<a href=\"{}/report.html\">{}</a>", trial.folder(), trial.number));
            let mut row = vec![number];
            row.extend(trials.names().iter().map(|n| Cell::Number(setting(trial, n).map_or("-".into(), show))));
            let value = trial.value.map_or("-".into(), short);
            row.push(if ranking.first() == Some(&k) { Cell::Best(value) } else { Cell::Number(value) });
            row.push(Cell::Number(trial.epochs.to_string()));
            row.push(Cell::Html(badge(&trial.status)));
            row
        })
        .collect();
    let open = if rows.len() <= SHOWN { " open" } else { "" };
    let made = table(&headers, &rows);
    out + &format!("<details{open}><summary>all {} trials, the best first</summary>{made}</details>", trials.all.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_digits_that_count() {
        assert_eq!(spread(&[]), "-");
        assert_eq!(spread(&[0.123456]), "0.1235");
        assert_eq!(spread(&[0.95, 0.96, 0.97]), "0.960 ± 0.010");
        assert_eq!(spread(&[1.0, 1.0]), "1.000 ± 0.000");
    }

    #[test]
    fn the_best_depends_on_the_metric() {
        let rows = [("a".to_string(), 1.0), ("b".into(), 2.0), ("c".into(), f64::NAN)];
        assert_eq!(best_of(&rows, "loss").map(|b| b.0), Some("a".into()));
        assert_eq!(best_of(&rows, "accuracy").map(|b| b.0), Some("b".into()));
        assert_eq!(best_of(&rows, "w1"), None);
    }
}
