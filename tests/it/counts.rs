//! What a training step of each example costs, before any clock runs: kernels, products, other library calls, copies,
//! the bytes that all of them move, and the memory of intermediate values.

use crate::support::{Checked, check, check_with, needs_files, programs_in, root, shared_data};
use optc::data::Context;
use optc::driver::Session;
use optc::ir::{DType, Op, print};
use optc::passes::fuse::{Fusion, Work, fuse};
use optc::passes::plan::memory::{lower_bound, without_reuse};
use optc::passes::plan::{Step, plan};
use optc::passes::simplify;
use optc::sema::program::Program;

/// One line of the table.
fn counts(name: &str, program: &Program) -> String {
    let rows = program.settings.batch.unwrap_or(program.schema.train_rows);
    let fused = fuse(&simplify(program.graphs.step(rows).expect("a step")), Fusion::On);
    let plan = plan(&fused);
    let calls = fused.units.iter().filter(|u| matches!(u.work, Work::Library));
    let (products, others): (Vec<_>, Vec<_>) =
        calls.partition(|u| matches!(fused.graph.node(u.roots[0]).op, Op::Dot { .. }));
    let kernels = fused.units.iter().filter(|u| matches!(u.work, Work::Kernel(_))).count();
    let copies = plan.steps.iter().filter(|s| matches!(s, Step::Copy(_))).count();
    let (least, peak, all) = (lower_bound(&plan.slots), plan.arena_bytes, without_reuse(&plan.slots));
    assert!(least <= peak && peak <= all, "{name}: {least} <= {peak} <= {all}");
    // Each product has one result, and writes it; each kernel writes something.
    let moved = plan.bytes_moved(&fused);
    assert!(moved > 0, "{name}");
    let label = format!("{name} {}", program.name);
    let (products, others) = (products.len(), others.len());
    format!("{label:42} {kernels:8} {products:9} {others:6} {copies:7} {moved:10} {peak:9} {least:9} {all:9}\n")
}

fn table(programs: impl Iterator<Item = (String, Checked)>) -> String {
    let mut table = format!(
        "{:42} {:>8} {:>9} {:>6} {:>7} {:>10} {:>9} {:>9} {:>9}\n",
        "step of", "kernels", "products", "calls", "copies", "moved", "peak", "least", "all"
    );
    for (name, checked) in programs {
        assert!(checked.diags.is_empty(), "{name}: {}", checked.report());
        table.extend(checked.programs.iter().map(|program| counts(&name, program)));
    }
    table
}

#[test]
fn steps_of_the_examples() {
    let folders = ["examples", "benches"];
    let files = folders.into_iter().flat_map(|folder| {
        let of = move |(name, text): (String, String)| (folder, name, text);
        programs_in(folder).into_iter().map(of)
    });
    let local = files.filter(|(_, _, text)| !needs_files(text));
    let checked = local.map(|(folder, name, text)| {
        let checked = check(&name, &text, &root().join(folder));
        (format!("{folder}/{name}"), checked)
    });
    insta::assert_snapshot!(table(checked));
}

/// Hyper-parameters are run-time values: another learning rate is the same graph, of which nothing is compiled again.
#[test]
fn a_changed_learning_rate_compiles_nothing() {
    for rule in ["SGD", "AdamW", "Lion", "LAMB"] {
        let of = |lr: &str| {
            let program = Session::new().update(&format!("{rule}({lr})"), &[vec![3], vec![2, 2]], DType::F32);
            let program = program.unwrap_or_else(|problems| panic!("{}", problems[0].title));
            (print::print(&program.graphs.step(7).expect("a step"), None), program.hypers)
        };
        let (slow, fast) = (of("0.125"), of("0.25"));
        assert_eq!(slow.0, fast.0, "{rule}");
        assert_ne!(slow.1, fast.1, "{rule}");
    }
}

#[test]
fn steps_of_the_examples_on_real_files() {
    let Some(data) = shared_data() else { return };
    let context = Context { data_dir: Some(data), file_dir: None };
    let files = programs_in("examples").into_iter().filter(|(_, text)| needs_files(text));
    let checked = files.map(|(name, text)| (format!("examples/{name}"), check_with(&name, &text, &context)));
    insta::assert_snapshot!(table(checked));
}
