//! Time from text to the first step, by stage: optimizers alone on one tensor and on 200, and networks of 100, 200 and 400
//! layers. Each measurement is a process of its own, since a process reads the library only once.
//!
//! `cargo bench --bench compile` prints medians in milliseconds; `--runs 9` for more of them.

use optc::bench::step::Step;
use optc::bench::{Noise, median};
use optc::driver::{Experiment, Request, Session};
use optc::ir::DType;
use optc::train::{Failure, Rows};
use serde_json::{Map, Value, json};
use std::process::{Command, ExitCode};

const RULES: [&str; 4] = ["SGD(0.01, momentum = 0.9)", "AdamW()", "Lion()", "LAMB()"];
/// Few elements: what is measured is the compiler, not the memory.
const TENSORS: [(usize, usize); 2] = [(1, 1000), (200, 1000)];
const LAYERS: [usize; 3] = [100, 200, 400];
/// Columns of the table, with the stages that each adds up.
const COLUMNS: [(&str, &[&str]); 7] = [
    ("read", &["load", "resolve"]),
    ("elaborate", &["elaborate", "step graph"]),
    ("simplify", &["simplify"]),
    ("fuse", &["fuse"]),
    ("plan", &["plan"]),
    ("codegen", &["codegen"]),
    ("starts", &["starting values"]),
];

/// A network of dense layers.
fn deep(layers: usize) -> String {
    let mut text = String::from(
        "use layers.{Dense, flatten}\nuse losses.cross_entropy\nuse optimizers.AdamW\n\
         data digits = synthetic.digits(train = 64, test = 0, seed = 1)\n\
         model Deep()(image: float[N, 28, 28]) -> float[N, 10] {\n  let h0 = flatten(image)\n",
    );
    for k in 1..layers {
        text += &format!("  let h{k} = h{} |> Dense(64) |> relu\n", k - 1);
    }
    text + &format!("  Dense(10)(h{})\n}}\n", layers - 1)
        + "train deep() on digits {\n  batch = 32; epochs = 1; seed = 1\n  let net = Deep()\n\
           step(image, label) { minimize cross_entropy(net(image), label) with AdamW(1e-3) }\n}\n"
}

/// Compiles once and gives the time of each stage.
fn once(case: &Value) -> Result<Map<String, Value>, Failure> {
    let mut session = Session::new();
    let (program, data): (_, Box<dyn Rows>) = match case["rule"].as_str() {
        Some(rule) => {
            let number = |key: &str| case[key].as_u64().unwrap_or(1) as usize;
            let shapes = vec![vec![number("elements")]; number("tensors")];
            (session.update(rule, &shapes, DType::F32)?, Box::new(Noise))
        }
        None => {
            let file = session.sources.add("deep.opt", deep(case["layers"].as_u64().unwrap_or(1) as usize));
            session.show(file);
            match session.experiment(&Request::default())? {
                Experiment::Train(job) => (job.program, Box::new(Noise)),
                Experiment::Compare { .. } | Experiment::Sweep(_) => return Err(Failure::Wrong(vec![])),
            }
        }
    };
    let mut stages = std::mem::take(&mut session.timings);
    let mut step = Step::new(&program, data.as_ref(), 2, &mut stages)?;
    step.run(1);
    let mut times = Map::new();
    for (stage, time) in stages {
        let sum = times.get(stage).and_then(Value::as_f64).unwrap_or(0.0) + 1e3 * time.as_secs_f64();
        times.insert(stage.into(), json!(sum));
    }
    Ok(times)
}

/// Medians of the columns over fresh processes.
fn measure(case: &Value, runs: usize) -> Result<Vec<f64>, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut columns = vec![vec![]; COLUMNS.len()];
    for _ in 0..runs {
        let child = Command::new(&program).args(["--case", &case.to_string()]).output().map_err(|e| e.to_string())?;
        let times: Value = serde_json::from_slice(&child.stdout)
            .map_err(|e| format!("{case}: {e}; {}", String::from_utf8_lossy(&child.stderr)))?;
        for (column, (_, stages)) in columns.iter_mut().zip(COLUMNS) {
            column.push(stages.iter().filter_map(|s| times[*s].as_f64()).sum());
        }
    }
    Ok(columns.iter().map(|values| median(values)).collect())
}

fn table(runs: usize) -> Result<(), String> {
    let print = |name: &str, cells: Vec<String>| {
        println!("{name:34}{}", cells.iter().map(|c| format!("{c:>11}")).collect::<String>());
    };
    print("ms", COLUMNS.iter().map(|(name, _)| name.to_string()).chain(["compile".into()]).collect());
    let rules = RULES.iter().flat_map(|rule| TENSORS.iter().map(move |(n, m)| (rule, n, m)));
    let rules =
        rules.map(|(rule, n, m)| (format!("{rule} {n}x{m}"), json!({ "rule": rule, "tensors": n, "elements": m })));
    let deep = LAYERS.iter().map(|n| (format!("{n} layers"), json!({ "layers": n })));
    for (name, case) in rules.chain(deep) {
        let times = measure(&case, runs)?;
        let compile: f64 = times[..times.len() - 1].iter().sum();
        print(&name, times.into_iter().chain([compile]).map(|ms| format!("{ms:.2}")).collect());
    }
    Ok(())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let after = |flag: &str| args.iter().position(|a| a == flag).and_then(|k| args.get(k + 1));
    let done = match after("--case").map(|text| serde_json::from_str(text)) {
        Some(case) => match case.map(|case| once(&case)) {
            Ok(Ok(times)) => {
                println!("{}", Value::Object(times));
                Ok(())
            }
            Ok(Err(failure)) => Err(failure.diagnostics().iter().map(|d| d.title.clone()).collect()),
            Err(problem) => Err(problem.to_string()),
        },
        None => table(after("--runs").and_then(|n| n.parse().ok()).unwrap_or(5)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("compile: {problem}");
            ExitCode::from(2)
        }
    }
}
