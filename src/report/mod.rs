//! What a run says about itself afterwards: one page, pictures for papers, event files for TensorBoard.
//!
//! Everything is made from the files of run folders, so that [`write`] gives the same page at a run's end and, by
//! `optc runs report`, years later.
//!
//! * [`load`]: a run's files read back; [`ended`]: `result.json`, how a run ended; [`describe`]: what `config.json` says
//!   about the model
//! * [`predictions`]: the model on the test rows, for the confusion matrix and the scatter
//! * [`profile`]: the time of a step by source line
//! * [`trials`]: the table of a sweep
//! * [`charts`]: curves out of one or more runs, [`thin`]ned; [`plot`]: pictures
//! * [`page`]: `report.html`, from the templates beside it; [`highlight`]: the file's text in colours
//! * [`tensorboard`]: event files; [`spark`]: curves of one line for the terminal
//! * [`folders`]: the runs below a folder: list, compare, clean

pub mod charts;
pub mod describe;
pub mod ended;
pub mod folders;
pub mod highlight;
pub mod load;
pub mod page;
pub mod plot;
pub mod predictions;
pub mod profile;
pub mod spark;
pub mod tensorboard;
pub mod thin;
pub mod trials;

use crate::diag::{Diagnostic, error};
use crate::train::checkpoint::write_whole;
use load::Run;
use std::path::Path;

/// What is written beside the page.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// `plots/*.svg`
    pub plots: bool,
    /// `events.out.tfevents.…`
    pub tensorboard: bool,
}

/// Writes the report of a folder: of its run, or of the runs in it (a comparison, a sweep).
pub fn write(folder: &Path, options: Options) -> Result<(), Diagnostic> {
    if let Some(run) = Run::read(folder) {
        if options.tensorboard {
            save(folder, &tensorboard::file_name(&run), &tensorboard::events(&run))?;
        }
        return write_page(folder, &[run], None, options);
    }
    if let Some(range) = page::range::read(folder) {
        if options.plots {
            save(&folder.join("plots"), "lr_range.svg", range.chart().to_svg().as_bytes())?;
        }
        return save(folder, "report.html", range.html().as_bytes());
    }
    let table = trials::read(folder);
    let mut runs = Run::read_all(folder);
    if let Some(table) = &table {
        // A sweep with more trials may have been in the folder before.
        runs.retain(|run| table.all.iter().any(|t| run.folder.ends_with(t.folder())));
    }
    if runs.is_empty() && table.is_none() {
        let what = error("E0505", format!("there is no run in '{}'", folder.display()));
        return Err(what.help("a run's folder holds config.json and metrics.jsonl; `optc runs` lists them"));
    }
    write_page(folder, &runs, table.as_ref(), options)
}

/// Writes one page over several runs into a folder, which may be none of theirs.
pub fn write_page(
    folder: &Path,
    runs: &[Run],
    trials: Option<&trials::Trials>,
    options: Options,
) -> Result<(), Diagnostic> {
    let page = page::Page::new(folder, runs, trials);
    save(folder, "report.html", page.html().as_bytes())?;
    if options.plots {
        for (name, picture) in page.pictures() {
            save(&folder.join("plots"), &format!("{name}.svg"), picture.as_bytes())?;
        }
    }
    Ok(())
}

fn save(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Diagnostic> {
    let written = std::fs::create_dir_all(folder).and_then(|()| write_whole(&folder.join(name), bytes));
    written.map_err(|problem| {
        error("E0503", format!("cannot write '{}'", folder.join(name).display())).note(problem.to_string())
    })
}
