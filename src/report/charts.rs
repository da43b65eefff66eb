//! Curves out of the logs of one or more runs.

use super::load::{Better, HYPER, Run, better};
use super::plot::lines::{Chart, Line};
use super::plot::svg::{COLOURS, shade};
use super::thin::thin;

/// Points that a curve of the page has.
const POINTS: usize = 1000;
/// Points of all curves of one chart: with many runs, each has fewer.
const POINTS_OF_CHART: usize = 12_000;
/// Points of all curves of the page: with hundreds of them (a rule that observes each tensor), each has fewer.
const POINTS_OF_PAGE: usize = 100_000;
/// However many curves there are.
const LEAST_POINTS: usize = 60;

/// The curves of one logged value.
#[derive(Clone, Debug)]
pub struct Curves {
    /// As it is in the log.
    pub name: String,
    /// What a rule observed, and not a metric.
    pub observed: bool,
    pub chart: Chart,
}

/// A chart for each value that some run logged: metrics first, then what rules observed.
///
/// Where there are more variants than colours, brightness tells `places` (0 the best, 1 the worst), or the order of their losses.
pub fn curves(runs: &[Run], places: Option<&[f64]>) -> Vec<Curves> {
    let mut names: Vec<&str> = vec![];
    for series in runs.iter().flat_map(|r| &r.series) {
        if !names.contains(&series.name.as_str()) {
            names.push(&series.name);
        }
    }
    let observed = |name: &str| runs.iter().any(|r| r.is_observed(name));
    names.sort_by_key(|n| observed(n));
    let colours = Colours::of(runs, places);
    names.into_iter().map(|name| one(name, observed(name), runs, &colours)).collect()
}

fn one(name: &str, observed: bool, runs: &[Run], colours: &Colours) -> Curves {
    let has_test = runs.iter().any(|r| r.find("test", name).is_some());
    let all: usize = runs.iter().map(|r| r.series.len()).sum();
    let share = (POINTS_OF_CHART / runs.len().max(1)).min(POINTS_OF_PAGE / all.max(1));
    let most = share.clamp(LEAST_POINTS, POINTS);
    let mut lines = vec![];
    for (index, run) in runs.iter().enumerate() {
        if let Some(points) = hyper(run, name, runs) {
            let label = if runs.len() == 1 { name.to_string() } else { colours.labels[index].clone() };
            let (colour, shade, listed) = (colours.of[index], colours.shades[index].clone(), runs.len() > 1);
            let points = thin(&points, most);
            lines.push(Line { label, split: "", colour, shade, dashed: false, listed, faint: false, points });
        }
        for split in ["step", "train", "test"] {
            let Some(series) = run.find(split, name) else { continue };
            let points = thin(&series.points, most);
            let line = match runs.len() {
                1 => Line {
                    label: split.into(),
                    split,
                    colour: ["train", "test", "step"].iter().position(|s| *s == split).unwrap_or(0) % 3,
                    shade: None,
                    dashed: false,
                    listed: true,
                    faint: split == "step",
                    points,
                },
                _ => Line {
                    label: colours.labels[index].clone(),
                    split,
                    colour: colours.of[index],
                    shade: colours.shades[index].clone(),
                    dashed: split != "test" && has_test,
                    // Of many, only the best one: names of all would fill the page.
                    listed: colours.shades[index].as_ref().is_none_or(|s| *s == shade(1.0)),
                    faint: split == "step" || (split == "train" && has_test),
                    points,
                },
            };
            // Single steps of many runs would hide everything else.
            if split != "step" || runs.len() == 1 {
                lines.push(line);
            }
        }
    }
    let mut notes = vec![];
    if runs.len() > 1 && has_test {
        notes.push("solid: test, dashed: train");
    }
    if colours.shades.iter().any(Option::is_some) {
        notes.push("the brighter the better");
    }
    let x_label = if notes.is_empty() { "step".into() } else { format!("step ({})", notes.join("; ")) };
    let log = better(name) == Some(Better::Low) && wide(&lines);
    Curves { name: name.to_string(), observed, chart: Chart::over_steps(name, x_label, log, lines) }
}

/// The curve of a hyper-parameter: a flat one where it stays as it is in this run, and changes in another.
fn hyper(run: &Run, name: &str, runs: &[Run]) -> Option<Vec<(f64, f64)>> {
    if let Some(series) = run.find(HYPER, name) {
        return Some(series.points.clone());
    }
    let constant = run.constant_rates().into_iter().find(|(n, _)| *n == name)?.1;
    let changes = runs.iter().any(|r| r.find(HYPER, name).is_some());
    changes.then(|| vec![(1.0, constant), (run.last.0.max(1.0), constant)])
}

/// Positive values over two powers of ten.
fn wide(lines: &[Line]) -> bool {
    let values = || lines.iter().flat_map(|l| &l.points).map(|p| p.1).filter(|v| v.is_finite());
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    low > 0.0 && high / low > 100.0
}

/// One colour for each variant; for more variants than colours, shades in the order of their results.
struct Colours {
    of: Vec<usize>,
    shades: Vec<Option<String>>,
    labels: Vec<String>,
}

impl Colours {
    fn of(runs: &[Run], places: Option<&[f64]>) -> Colours {
        let names = variants(runs);
        let full: Vec<String> = runs.iter().map(Run::variant).collect();
        let index = |variant: &String| names.iter().position(|(full, _)| full == variant).unwrap_or(0);
        let of: Vec<usize> = full.iter().map(index).collect();
        let labels = of.iter().map(|k| names[*k].1.clone()).collect();
        let shades = if names.len() <= COLOURS.len() {
            vec![None; runs.len()]
        } else {
            let places = places.map_or_else(|| by_loss(runs), <[f64]>::to_vec);
            places.into_iter().map(|place| Some(shade(1.0 - place))).collect()
        };
        Colours { of, shades, labels }
    }
}

/// The variants of the runs in order, in full and without the beginning that all share (`optimizer = `).
pub fn variants(runs: &[Run]) -> Vec<(String, String)> {
    let mut names: Vec<String> = vec![];
    for name in runs.iter().map(Run::variant) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let start = names.first().and_then(|n| n.find(" = ")).map_or(0, |at| at + 3);
    let simple = |n: &String| n.matches(" = ").count() == 1 && n.get(..start) == names[0].get(..start);
    let common = names.len() > 1 && start > 0 && names.iter().all(simple);
    names.iter().map(|n| (n.clone(), if common { n[start..].to_string() } else { n.clone() })).collect()
}

/// For each run its place by the last loss: 0 the best, 1 the worst.
fn by_loss(runs: &[Run]) -> Vec<f64> {
    let loss = |run: &Run| {
        let series = run.find("test", "loss").or_else(|| run.find("train", "loss"));
        let value = series.map_or(f64::NAN, |s| s.last());
        if value.is_nan() { f64::INFINITY } else { value }
    };
    let mut order: Vec<usize> = (0..runs.len()).collect();
    order.sort_by(|a, b| loss(&runs[*a]).total_cmp(&loss(&runs[*b])));
    let mut places = vec![0.0; runs.len()];
    for (place, run) in order.iter().enumerate() {
        places[*run] = place as f64 / (runs.len() - 1).max(1) as f64;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::load::Series;
    use serde_json::json;
    use std::path::Path;

    fn run(label: &str, loss: f64) -> Run {
        let series = |split: &str, name: &str, value: f64| Series {
            name: name.into(),
            split: split.into(),
            points: vec![(1.0, value * 1000.0), (2.0, value)],
        };
        let series = vec![series("train", "lr", 0.1), series("train", "loss", loss), series("test", "loss", loss)];
        let config = json!({ "label": label, "model": { "observed": ["lr"] } });
        Run { series, last: (2.0, 2.0), ..Run::without_log(Path::new("x"), config) }
    }

    #[test]
    fn seeds_of_a_variant_share_a_colour() {
        let runs = ["rule = A(), seed 1", "rule = A(), seed 2", "rule = B(), seed 1"].map(|l| run(l, 0.5));
        let all = curves(&runs, None);
        assert_eq!(
            all.iter().map(|c| (c.name.as_str(), c.observed)).collect::<Vec<_>>(),
            [("loss", false), ("lr", true)]
        );
        let loss = &all[0].chart;
        assert!(loss.log && !all[1].chart.log);
        let shown: Vec<_> = loss.lines.iter().map(|l| (l.label.as_str(), l.colour, l.dashed)).collect();
        let expected = [
            ("A()", 0, true),
            ("A()", 0, false),
            ("A()", 0, true),
            ("A()", 0, false),
            ("B()", 1, true),
            ("B()", 1, false),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_page_of_many_long_curves_stays_small() {
        let mut long = run("a", 1.0);
        long.series = (0..500)
            .map(|k| Series {
                name: format!("norm/{k}"),
                split: "train".into(),
                points: (0..50_000).map(|step| (f64::from(step), f64::from(step % 97))).collect(),
            })
            .collect();
        let all = curves(&[long], None);
        let points: usize = all.iter().flat_map(|c| &c.chart.lines).map(|l| l.points.len()).sum();
        assert!(all.len() == 500 && points < 150_000, "{points}");
    }

    #[test]
    fn many_variants_are_shaded_by_result() {
        let runs: Vec<Run> = (0..9).map(|k| run(&format!("lr = {k}"), f64::from(9 - k))).collect();
        let ends = |places: Option<&[f64]>| {
            let chart = &curves(&runs, places)[0].chart;
            let shades: Vec<String> = chart.lines.iter().filter_map(|l| l.shade.clone()).collect();
            (shades[0].clone(), shades[17].clone())
        };
        assert_eq!(ends(None), (shade(0.0), shade(1.0)));
        assert_eq!(ends(Some(&[0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1.0])), (shade(1.0), shade(0.0)));
    }
}
