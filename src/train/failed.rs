//! What went wrong with the values of a run, told: an index outside its axis, a matrix that has no decomposition.

use super::nan::{place, tell, whose};
use super::state::result_tensors;
use super::watch::Scene;
use super::{Engine, Failure};
use crate::diag::{Diagnostic, error};
use crate::ir::op::Decomposition;
use crate::ir::{Graph, Op};
use crate::linalg::{Problem, problem};
use crate::passes::checks::{self, Check, Failed, What};
use crate::runtime::Tensor;

/// `when` is something like ` in step 12`. The scene, if it is known, is what the run read: it shows the matrix.
pub fn explain(engine: &dyn Engine, failed: &Failed, scene: Option<&Scene>, when: &str) -> Diagnostic {
    match failed.check.what {
        What::Index { size } => index(&failed.check, failed.index, size, when),
        What::Matrix(kind) => matrix(engine, &failed.check, kind, scene, when),
    }
}

/// A matrix may be singular with one learning rate and not with another: the training failed. A wrong index is the program's.
pub fn failure(failed: &Failed, told: Diagnostic) -> Failure {
    match failed.check.what {
        What::Matrix(_) => Failure::Training(Box::new(told)),
        What::Index { .. } => Failure::Wrong(vec![told]),
    }
}

/// Runs a graph once on inputs in its order; gives the tensors of its results, or what went wrong with its values.
pub fn run_once(engine: &dyn Engine, graph: &Graph, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, Diagnostic> {
    let mut checked = graph.clone();
    let checks = checks::add(&mut checked, &|_| None);
    let mut results = result_tensors(&checked);
    let mut given = inputs.clone();
    engine.compile(&checked)?.run(&mut given.iter_mut().collect::<Vec<_>>(), &mut results);
    let verdicts = results.split_off(result_tensors(graph).len());
    match checks::first_failed(&verdicts, &checks) {
        Some(failed) => {
            let scene = Scene { graph: graph.clone(), inputs };
            Err(explain(engine, &failed, Some(&scene), ""))
        }
        None => Ok(results),
    }
}

fn index(check: &Check, index: i64, size: usize, when: &str) -> Diagnostic {
    let last = size.saturating_sub(1);
    let title = format!("index {index} is outside 0..{size}{when}");
    let mut d = error("E0606", title);
    place(&mut d, check.span, format!("picks from an axis of {size} places"), &check.origin);
    d = situated(d, check);
    if index < 0 {
        d = d.note("an index that is computed does not count from the end");
    }
    d.help(format!("keep it in range, as `minimum(maximum(i, 0), {last})` does, or make the axis longer"))
}

fn matrix(engine: &dyn Engine, check: &Check, kind: Decomposition, scene: Option<&Scene>, when: &str) -> Diagnostic {
    let operand = scene.and_then(|scene| {
        let Op::Decompose(_) = &scene.graph.node(check.node?).op else { return None };
        let arg = scene.graph.node(check.node?).args[0];
        scene.values(engine, &[arg]).ok()?.pop()
    });
    let told = operand.and_then(|tensor| {
        let shape = &tensor.ty().shape;
        let last: [usize; 2] = shape.last_chunk().copied()?;
        let (number, why) = problem(kind, &tensor.to_f64s(), last)?;
        let of_many =
            if shape.len() > 2 { format!(", at place {number} of those in {},", tensor.ty()) } else { String::new() };
        Some((format!("the {} x {} matrix{of_many}", last[0], last[1]), why))
    });
    let name = kind.name();
    let title = match &told {
        Some((_, Problem::NotFinite(_))) => format!("'{name}' of a matrix that is not finite{when}"),
        Some((_, Problem::Singular(_))) => format!("'{name}' with a singular matrix{when}"),
        Some((_, Problem::NotPositive(..))) => format!("'{name}' of a matrix that is not positive definite{when}"),
        _ => format!("'{name}' has no result{when}"),
    };
    let mut d = error("E0607", title);
    place(&mut d, check.span, "this has no result".into(), &check.origin);
    d = situated(d, check);
    match told {
        Some((matrix, Problem::NotFinite(count))) => {
            d = d.note(format!("{matrix} holds {count} values that are NaN or infinite"));
            if let Some(Ok(Some(found))) = scene.map(|scene| scene.first_bad(engine)) {
                return tell(d, &found);
            }
            return d;
        }
        Some((matrix, Problem::Singular(pivot))) => {
            let place = pivot.place + 1;
            d = d.note(format!("{matrix} is singular: elimination finds no pivot but 0 in column {place}"));
        }
        Some((matrix, Problem::NotPositive(pivot, range))) => {
            let (place, value) = (pivot.place + 1, pivot.value);
            d = d.note(format!("{matrix} is not positive definite: pivot {place} is {value:.3e}"));
            if let Some([low, high]) = range {
                d = d.note(format!("its eigenvalues lie between {low:.3e} and {high:.3e}"));
            }
        }
        Some((matrix, Problem::NoEnd)) => d = d.note(format!("the eigenvalues of {matrix} are not found")),
        None => {}
    }
    d.help("add a small multiple of the identity: `a + 1e-6*eye(n)`")
}

/// Adds the part of the step and the layer.
fn situated(d: Diagnostic, check: &Check) -> Diagnostic {
    if check.origin.calls().next().is_none() && check.origin.tensor().is_none() {
        return d;
    }
    d.note(format!("in {}{}", check.origin.part(), whose(&check.origin)))
}
