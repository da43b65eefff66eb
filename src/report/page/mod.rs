//! `report.html`: one page that needs no other file and no network.
//!
//! The template, the style sheet and the script stand beside this file. The page is readable without the script, which
//! replaces the pictures of curves by ones that can be explored.

mod experiment;
mod html;
pub mod range;
mod run;

use super::charts::{Curves, curves};
use super::load::{self, Run};
use super::plot::matrix::Matrix;
use super::plot::scatter::Scatter;
use super::plot::svg::escape;
use super::predictions::rounded;
use super::trials::Trials;
use html::section;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

pub struct Page<'a> {
    title: String,
    folder: PathBuf,
    runs: &'a [Run],
    trials: Option<&'a Trials>,
    curves: Vec<Curves>,
    /// `compare.json`, with the tests of difference.
    compared: Value,
}

impl Page<'_> {
    pub fn new<'a>(folder: &Path, runs: &'a [Run], trials: Option<&'a Trials>) -> Page<'a> {
        let mut programs: Vec<&str> = runs.iter().map(Run::program).collect();
        programs.dedup();
        let title = match programs[..] {
            [one] => one.to_string(),
            [] => folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            _ => "several programs".into(),
        };
        Page {
            title,
            folder: folder.into(),
            runs,
            trials,
            curves: curves(runs, trials.map(|t| t.places(runs)).as_deref()),
            compared: load::json(&folder.join("compare.json")),
        }
    }

    /// The whole page.
    pub fn html(&self) -> String {
        let mut parts: Vec<(&str, &str, String)> = vec![];
        if self.trials.is_some() {
            parts.push(("sweep", "Sweep", self.sweep()));
        }
        if self.runs.len() > 1 && self.trials.is_none() {
            parts.push(("results", "Results", experiment::results(&self.folder, self.runs, &self.compared)));
        }
        parts.push(("curves", "Curves", self.figures(false)));
        parts.push(("observed", "Learning rate and observed values", self.figures(true)));
        if let [run] = self.runs {
            parts.push(("predictions", "Predictions", run::predictions(run)));
            parts.push(("sample", "Written by the model", run::sample(run)));
        }
        if let Some(run) = self.runs.first() {
            parts.push(("model", "Model", run::model(run)));
            if self.runs.len() == 1 {
                parts.push(("timings", "Timings", run::timings(run)));
            }
            parts.push(("configuration", "Configuration", run::configuration(run, self.runs.len() > 1)));
            parts.push(("program", "Program", run::listing(run)));
        }
        let head = match self.runs {
            [run] => run::head(run),
            runs => experiment::head(runs, self.trials),
        };
        let per_epoch = self.runs.first().map_or(1.0, Run::steps_per_epoch);
        let same = self.runs.iter().all(|r| r.steps_per_epoch() == per_epoch);
        whole(&self.title, &head, parts, &data(&self.curves, same.then_some(per_epoch)))
    }

    /// The pictures by name, for papers.
    pub fn pictures(&self) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> =
            self.curves.iter().map(|c| (file_name(&c.name), c.chart.to_svg())).collect();
        if let [run] = self.runs {
            all.extend(matrix(run).map(|m| ("confusion".to_string(), m.to_svg())));
            all.extend(scatter(run).map(|s| ("scatter".to_string(), s.to_svg())));
        }
        all.extend(self.trials.map(|t| ("parallel".to_string(), t.parallel(&self.title).to_svg())));
        all
    }

    fn figures(&self, observed: bool) -> String {
        figures(&self.curves, |c| c.observed == observed)
    }

    fn sweep(&self) -> String {
        self.trials.map_or(String::new(), |trials| experiment::sweep(trials, &self.title))
    }
}

/// Puts the parts of a page together: id, name and content of each; those without content are left out.
fn whole(title: &str, head: &str, mut parts: Vec<(&str, &str, String)>, data: &Value) -> String {
    parts.retain(|(_, _, content)| !content.is_empty());
    let links: String = parts.iter().map(|(id, name, _)| format!("<a href=\"#{id}\">{name}</a>")).collect();
    let body: String = parts.iter().map(|(id, name, content)| section(id, name, content)).collect();
    fill(
        TEMPLATE,
        &[
            ("title", &escape(title)),
            ("style", STYLE),
            ("head", head),
            ("links", &links),
            ("body", &body),
            ("data", &in_script(data)),
            ("script", SCRIPT),
        ],
    )
}

/// The pictures of some curves; the script finds each by its number.
fn figures(curves: &[Curves], shown: impl Fn(&Curves) -> bool) -> String {
    let shown = curves.iter().enumerate().filter(|(_, c)| shown(c));
    let figures: String = shown
        .map(|(k, c)| format!("<figure class=\"card chart\" data-chart=\"{k}\">{}</figure>\n", c.chart.to_svg()))
        .collect();
    if figures.is_empty() { figures } else { format!("<div class=\"figures\">{figures}</div>") }
}

/// What the script draws: the same curves as the pictures. With the steps of an epoch, time can be shown in those.
fn data(curves: &[Curves], per_epoch: Option<f64>) -> Value {
    let charts = curves.iter().map(|Curves { chart, .. }| {
        let lines = chart.lines.iter().map(|l| {
            let x = |x: f64| if chart.log_x { rounded(x) } else { json!(x) };
            let points: Vec<Value> = l.points.iter().map(|p| json!([x(p.0), rounded(p.1)])).collect();
            json!({
                "label": l.label, "split": l.split, "colour": l.colour, "shade": l.shade, "dashed": l.dashed, "listed": l.listed, "faint": l.faint,
                "points": points,
            })
        });
        let lines: Vec<Value> = lines.collect();
        // Only time has a choice of units.
        let x = chart.log_x.then_some(&chart.x_label);
        let (note, marks) = (note(&chart.x_label), &chart.marks);
        json!({ "title": chart.title, "log": chart.log, "note": note, "x": x, "marks": marks, "lines": lines })
    });
    json!({ "per_epoch": per_epoch, "charts": charts.collect::<Vec<_>>() })
}

/// What stands in parentheses behind the axis' name.
fn note(label: &str) -> &str {
    label.strip_prefix("step").unwrap_or("").trim()
}

fn matrix(run: &Run) -> Option<Matrix> {
    let found = &run.predictions;
    if found["kind"] != "classes" {
        return None;
    }
    let classes: Vec<String> = serde_json::from_value(found["classes"].clone()).ok()?;
    let counts: Vec<Vec<u64>> = serde_json::from_value(found["confusion"].clone()).ok()?;
    let square = counts.len() == classes.len() && counts.iter().all(|row| row.len() == classes.len());
    let title = format!("confusion matrix, {} rows", found["split"].as_str().unwrap_or("test"));
    (square && !counts.is_empty()).then_some(Matrix { title, classes, counts })
}

fn scatter(run: &Run) -> Option<Scatter> {
    let found = &run.predictions;
    if found["kind"] != "values" {
        return None;
    }
    let number = super::load::number;
    let pairs = found["pairs"].as_array()?.iter().filter_map(|p| Some((number(&p[0])?, number(&p[1])?)));
    let title = format!("prediction against target, {} rows", found["split"].as_str().unwrap_or("test"));
    Some(Scatter { title, labels: ["target".into(), "prediction".into()], points: pairs.collect() })
}

/// `{{name}}` replaced in one pass, so that no text of a user's is taken for a place in the template.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        out.push_str(values.iter().find(|(n, _)| *n == name).map_or("", |(_, value)| value));
        rest = after;
    }
    out + rest
}

/// JSON that cannot end the script element that it stands in.
fn in_script(value: &Value) -> String {
    let text = value.to_string();
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// A logged name as a file name.
fn file_name(name: &str) -> String {
    let simple: String = name
        .chars()
        .map(|c| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' })
        .take(80)
        .collect();
    let trimmed = simple.trim_matches(['-', '.']);
    if trimmed.is_empty() { "value".into() } else { trimmed.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_once() {
        assert_eq!(fill("a{{x}}b{{y}}c{{z}}", &[("x", "{{y}}"), ("y", "2")]), "a{{y}}b2c");
    }

    #[test]
    fn data_stays_in_its_script() {
        let text = in_script(&json!({ "label": "</script><script>alert(1)</script><!--" }));
        assert!(!text.contains('<') && !text.contains('>'));
        let back: Value = serde_json::from_str(&text).expect("still JSON");
        assert_eq!(back["label"], "</script><script>alert(1)</script><!--");
    }

    #[test]
    fn names_become_file_names() {
        let made = ["loss", "observe.norm(u)/net.w", "../../etc", "θ̂", ""].map(file_name);
        assert_eq!(made[..3], ["loss", "observe.norm-u--net.w", "etc"].map(str::to_string));
        assert!(made.iter().all(|n| !n.is_empty() && !n.contains('/')));
    }
}
