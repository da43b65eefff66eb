//! The page of a learning-rate range test: `lr_range.json` as a picture.

use super::html::{Cell, table, tile};
use super::{data, figures, run, whole};
use crate::report::charts::Curves;
use crate::report::load::{self, Run, number};
use crate::report::plot::lines::{Chart, Line};
use crate::report::plot::scale::short;
use crate::report::thin::thin;
use serde_json::Value;
use std::path::Path;

/// Rows of the table.
const ROWS: usize = 20;
const POINTS: usize = 1000;

/// What `lr_range.json` says.
pub struct Range {
    /// The rate that was varied: `adamw.lr`.
    name: String,
    /// Rate, loss, and the mean of the losses so far.
    points: Vec<[f64; 3]>,
    suggestion: Option<f64>,
    lowest: Option<f64>,
    /// The test's configuration, and no log.
    run: Run,
}

/// The test in this folder, if there is one with a point in it.
pub fn read(folder: &Path) -> Option<Range> {
    let found = load::json(&folder.join("lr_range.json"));
    let point = |p: &Value| Some([number(&p["rate"])?, number(&p["loss"])?, number(&p["smooth"])?]);
    let range = Range {
        name: found["range"].as_str()?.to_string(),
        points: found["points"].as_array()?.iter().filter_map(point).collect(),
        suggestion: number(&found["suggestion"]),
        lowest: number(&found["lowest"]),
        run: Run::without_log(folder, load::json(&folder.join("config.json"))),
    };
    (!range.points.is_empty()).then_some(range)
}

impl Range {
    fn title(&self) -> &str {
        self.run.config["lr_range"].as_str().unwrap_or("learning-rate range test")
    }

    /// The loss against the rate, with the rates that it says something about.
    pub fn chart(&self) -> Chart {
        let line = |label: &str, of: usize, faint| Line {
            label: label.into(),
            split: "",
            colour: 0,
            shade: None,
            dashed: false,
            listed: true,
            faint,
            points: thin(&self.points.iter().map(|p| (p[0], p[of])).collect::<Vec<_>>(), POINTS),
        };
        let mark = |rate: Option<f64>, name: &str| rate.map(|rate| (rate, format!("{name} {}", short(rate))));
        let marks = [mark(self.suggestion, "falls fastest:"), mark(self.lowest, "least:")];
        let lines = vec![line("each step", 1, true), line("smoothed", 2, false)];
        let title = format!("loss against {}", self.name);
        let marks = marks.into_iter().flatten().collect();
        Chart { title, x_label: self.name.clone(), log: false, log_x: true, marks, lines }
    }

    pub fn html(&self) -> String {
        let chart = Curves { name: "lr_range".into(), observed: false, chart: self.chart() };
        let curves = [chart];
        let rate = |rate: Option<f64>| rate.map_or("-".into(), short);
        let tiles = [
            tile("suggested rate", &rate(self.suggestion), "where the loss falls fastest"),
            tile("least loss at", &rate(self.lowest), "soon behind it, training diverges"),
            tile("steps", &self.points.len().to_string(), &self.name),
        ];
        let head = format!(
            "<p class=\"line\">learning-rate range test (L. N. Smith, 2017)</p><div class=\"tiles\">{}</div>",
            tiles.concat()
        );
        let stride = self.points.len().div_ceil(ROWS).max(1);
        let cells = |p: &[f64; 3]| p.iter().map(|v| Cell::Number(short(*v))).collect::<Vec<Cell>>();
        let rows: Vec<Vec<Cell>> = self.points.iter().step_by(stride).map(cells).collect();
        let headers = [format!(">{}", self.name), ">loss".into(), ">smoothed".into()];
        let parts = vec![
            ("curves", "Curve", figures(&curves, |_| true)),
            ("values", "Values", table(&headers, &rows)),
            ("configuration", "Configuration", run::configuration(&self.run, false)),
            ("program", "Program", run::listing(&self.run)),
        ];
        whole(self.title(), &head, parts, &data(&curves, None))
    }
}
