//! `optc run FILE` of a file that compares: its runs, as many at a time as there are cores.

use super::progress::Several;
use super::run::Runner;
use super::{experiment, output, runs};
use crate::diag::{Diagnostic, error};
use crate::driver::{self, Job};
use crate::experiment::compare::{Comparison, Variant};
use crate::experiment::pool;
use crate::report;
use crate::report::load;
use crate::train::{Failure, Summary, TrainOptions, among_others, is_divergence, train};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// One run, ready to go.
struct One<'a> {
    job: &'a Job,
    /// `optimizer = Adam(), seed 1`
    label: String,
    out: PathBuf,
    options: TrainOptions,
}

/// How a run ended, if that is no reason to stop the others.
enum End {
    Done(Box<Summary>),
    Diverged(Box<Diagnostic>),
}

/// Makes all runs and tells how they compare. With one thread each or with several, one after another or at the same
/// time: the results have the same bits.
pub fn run(runner: &Runner<'_>, name: &str, jobs: &[Job]) -> Result<(), Failure> {
    let (args, root) = (runner.args, &runner.out);
    let objective = jobs.first().map(|j| j.program.settings.control.objective.clone()).unwrap_or_default();
    runner.describe("compare", name, Some(&objective))?;
    let all = plan(runner, jobs)?;
    let (workers, threads) = pool::share(runner.threads, all.len());
    let title = format!("{name}: {} runs, {workers} at a time; to {}", all.len(), root.display());
    let told = Several::new(args.quiet, args.json, all.len(), &title);
    let started = Instant::now();
    let work = |index: usize| {
        let One { job, label, out, options } = &all[index];
        let max_time = options.max_time.map(|limit| limit.saturating_sub(started.elapsed()));
        let options = TrainOptions { threads, max_time, ..options.clone() };
        let engine = driver::engine(args.engine.kind(), threads);
        let ended = train(&job.program, engine.as_ref(), job.dataset.as_ref(), &options, &mut told.one(index, label));
        runs::report_on(out, args.beside);
        match ended {
            Ok(summary) => Ok(End::Done(Box::new(summary))),
            // The other variants may do better.
            Err(Failure::Training(why)) if is_divergence(&why) => {
                told.failed(index, label, &why.title);
                Ok(End::Diverged(why))
            }
            Err(other) => Err(among_others(other, root)),
        }
    };
    let ended = pool::run(all.len(), workers, work);
    told.finish();
    let ended = ended?;
    if args.profile {
        // One after another, so that they do not disturb each other.
        for (one, _) in all.iter().zip(&ended).filter(|(_, end)| matches!(end, End::Done(_))) {
            report::profile::write(&one.out, one.job, runner.threads, &runner.session.sources)?;
            runs::report_on(&one.out, args.beside);
        }
    }
    let mut variants: Vec<Variant> = vec![];
    let mut problem = None;
    for (One { job, .. }, end) in all.iter().zip(ended) {
        if variants.last().is_none_or(|v| v.label != job.label) {
            variants.push(Variant { label: job.label.clone(), ..Variant::default() });
        }
        let variant = variants.last_mut().expect("pushed above");
        match end {
            End::Done(summary) => variant.runs.push(*summary),
            End::Diverged(why) => {
                output::diagnostics(&runner.session.sources, &[(*why).clone()]);
                variant.diverged += 1;
                problem = Some(why);
            }
        }
    }
    match problem.filter(|_| variants.iter().all(|v| v.runs.is_empty())) {
        Some(why) => Err(Failure::Training(why)),
        None => {
            let comparison = Comparison { name: name.to_string(), objective, variants };
            experiment::compared(&comparison, root, args.json);
            Ok(())
        }
    }
}

/// Labels, folders and options.
fn plan<'a>(runner: &Runner<'_>, jobs: &'a [Job]) -> Result<Vec<One<'a>>, Failure> {
    let first_seed = jobs.iter().filter_map(|j| j.seed).min().unwrap_or(0);
    let one = |(index, job): (usize, &'a Job)| {
        // --seed moves the whole range of seeds.
        let moved = |s: u64| runner.args.seed.map_or(s, |base| base.wrapping_add(s - first_seed));
        let seed = job.seed.map(moved).or(runner.args.seed);
        let slug = slug(&job.label);
        let out = runner.out.join(format!("{:02}-{}", index + 1, if slug.is_empty() { "run" } else { &slug }));
        let fold = job.fold.map(|f| format!("fold {}/{}", f.index + 1, f.of));
        let parts = [Some(job.label.clone()), seed.map(|s| format!("seed {s}")), fold];
        let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        let label = parts.join(", ");
        let options = runner.options(&label, seed, Some(out.clone()));
        if options.resume {
            same_run(&out, &label)?;
        }
        Ok(One { job, label, out, options })
    };
    jobs.iter().enumerate().map(one).collect()
}

/// A folder that is there already is of this run.
fn same_run(out: &Path, label: &str) -> Result<(), Diagnostic> {
    match load::json(&out.join("config.json"))["label"].as_str() {
        Some(was) if was != label => {
            let what = error("E0501", format!("'{}' is of another comparison", out.display()));
            let what = what.note(format!("it was of {was}; now it would be of {label}"));
            Err(what.help("resume with the file that began the comparison, or begin a new one with another --out"))
        }
        _ => Ok(()),
    }
}

/// A label as a file name.
fn slug(label: &str) -> String {
    let simple = label.chars().map(|c| if c.is_alphanumeric() || c == '.' { c } else { ' ' });
    let words: String = simple.take(60).collect();
    words.split_whitespace().collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    #[test]
    fn labels_become_file_names() {
        assert_eq!(super::slug("optimizer = SGD(0.01), β = 2"), "optimizer-SGD-0.01-β-2");
    }
}
