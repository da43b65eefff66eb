//! The library's optimizers against recorded trajectories, in f64 and f32, in every engine.

use crate::engine::{ENGINES, Engine};
use crate::language::{Scope, on_columns};
use crate::reference::{folder, number, numbers, read};
use crate::run::Run;
use optc::data::spec::Column;
use optc::ir::{DType, Type};
use optc::runtime::Tensor;
use optc::sema::program::Program;
use serde_json::Value;

/// The recorded file and the rule; `{…}` stands for the hyper-parameters of the problem.
const RULES: &[(&str, &str)] = &[
    ("sgd", "SGD({…})"),
    ("momentum", "Momentum({…})"),
    ("momentum", "SGD({…})"),
    ("nesterov", "Nesterov({…})"),
    ("nesterov", "SGD({…}, nesterov = true)"),
    ("adagrad", "Adagrad({…})"),
    ("adadelta", "Adadelta({…})"),
    ("rmsprop", "RMSprop({…})"),
    ("rmsprop_centered", "RMSprop({…}, centered = true)"),
    ("adam", "Adam({…})"),
    ("adamw", "AdamW({…})"),
    ("amsgrad", "AMSGrad({…})"),
    ("nadam", "NAdam({…})"),
    ("radam", "RAdam({…})"),
    ("adamax", "Adamax({…})"),
    ("lion", "Lion({…})"),
    ("amsgrad_optax", "AMSGradOptax({…})"),
    ("nadam_optax", "NAdamOptax({…})"),
    ("rmsprop_optax", "RMSpropOptax({…})"),
    ("adabelief", "AdaBelief({…})"),
    ("lamb", "LAMB({…})"),
    ("lars", "LARS({…})"),
    ("yogi", "Yogi({…})"),
    ("novograd", "NovoGrad({…})"),
    ("rprop", "Rprop({…})"),
    ("chain_clip_global_norm_adam", "clip_by_global_norm({max_norm}) |> Adam({lr})"),
    (
        "adamw_warmup_cosine",
        "AdamW(optax_warmup_cosine({init_value}, {peak_value}, {warmup_steps}, {decay_steps}, {end_value}), weight_decay = {weight_decay})",
    ),
];

/// Rules around rules, and rules for parts of the model: the recorded file, and what follows the loss in problem A and B.
const COMPOSED: &[(&str, [&str; 2])] = &[
    (
        "lookahead",
        [
            "with Lookahead(Momentum({lr}), k = {k}, alpha = {alpha})",
            "with Lookahead(Adam({lr}), k = {k}, alpha = {alpha})",
        ],
    ),
    ("multisteps_adam", ["with MultiSteps(Adam({lr}), k = {every_k})"; 2]),
    ("ema_adam", ["with EMA(Adam({lr}), decay = {decay})"; 2]),
    ("sam", ["with SAM(SGD({lr}), rho = {rho})", "with SAM(Adam({lr}), rho = {rho})"]),
    ("schedule_free_sgd", ["with ScheduleFreeSGD({…})"; 2]),
    ("schedule_free_adamw", ["with ScheduleFreeAdamW({…})"; 2]),
    ("chain_agc_sgd", ["with adaptive_clip({clipping}, {eps}) |> SGD({lr})"; 2]),
    (
        "adamw_decay_rank2_only",
        ["over net where rank >= 2 with AdamW({lr}, weight_decay = {weight_decay}), rest with Adam({lr})"; 2],
    ),
    ("param_groups_adam", ["over net where rank == 2 with Adam({lr_rank2}), rest with Adam({lr_rank1})"; 2]),
    ("adafactor", ["with Adafactor({…})"; 2]),
    ("adafactor_optax", ["with AdafactorOptax({…})"; 2]),
    ("muon", ["with MuonOptax({lr}, {beta}, {eps}, {weight_decay}, {nesterov}, {adam_lr})"; 2]),
    (
        "sophia_h",
        ["with SophiaH({lr}, {b1}, {b2}, {eps}, {gamma}, {clip_threshold}, {weight_decay}, {update_interval}, recorded())";
            2],
    ),
];

/// The recorded probes as a transform: those of the tensor of this shape, in turn.
fn probes(json: &Value, problem: &str) -> String {
    let list = &json["data"][problem]["probes"];
    let Some(list) = list.as_array() else { return String::new() };
    let every = &json["hyperparameters"][problem]["update_interval"];
    let mut text = String::from("transform recorded()(g, theta, t) {\n  let z = 0*theta\n");
    for (k, probe) in list.iter().enumerate() {
        for values in probe.as_array().expect("a probe of each tensor") {
            let shape = match values[0].as_array() {
                Some(row) => format!("[{}, {}]", values.as_array().expect("rows").len(), row.len()),
                None => format!("[{}]", values.as_array().expect("values").len()),
            };
            text += &format!("  if shape(theta) == {shape} {{ if t == {k}*{every} + 1 {{ z <- 0*z + {values} }} }}\n");
        }
    }
    text + "  z\n}\n"
}

/// A recorded hyper-parameter as arguments of a rule of the library.
fn argument(name: &str, value: &Value) -> String {
    let two = |a: &str, b: &str| format!("{a} = {}, {b} = {}", value[0], value[1]);
    match name {
        "betas" => two("beta1", "beta2"),
        "eps" if value.is_array() => two("eps1", "eps2"),
        "etas" => two("shrink", "grow"),
        "step_sizes" => two("min_step", "max_step"),
        "b1" => format!("beta1 = {value}"),
        "b2" => format!("beta2 = {value}"),
        "initial_accumulator_value" => format!("initial_accumulator = {value}"),
        "decoupled_weight_decay" => format!("decoupled = {value}"),
        "trust_coefficient" => format!("coefficient = {value}"),
        // These name the rule itself, which the table does.
        "nesterov" | "amsgrad" | "centered" => String::new(),
        other => format!("{other} = {value}"),
    }
}

/// A rule with its hyper-parameters filled in.
fn rule_text(rule: &str, hyper: &Value) -> String {
    let hyper = hyper.as_object().expect("hyper-parameters");
    let all: Vec<String> = hyper.iter().map(|(k, v)| argument(k, v)).filter(|a| !a.is_empty()).collect();
    let mut text = rule.replace("{…}", &all.join(", "));
    for (name, value) in hyper {
        text = text.replace(&format!("{{{name}}}"), &value.to_string());
    }
    text
}

/// optax's schedule, whose steps count from 0.
const SCHEDULE: &str = "
schedule optax_warmup_cosine(init: float, peak: float, warmup: int, decay: int, end: float)(t) {
  let c = t - 1
  let a = end / peak
  let done = minimum((c - warmup) / (decay - warmup), 1)
  if c < warmup then init + (peak - init) * c / warmup
  else peak * ((1 - a) * 0.5 * (1 + cos(pi * done)) + a)
}
";

fn column(name: &str, shape: &[usize]) -> Column {
    Column { name: name.into(), is_float: true, shape: shape.to_vec(), classes: None }
}

/// Problem A or B with a rule.
fn problem_program(problem: &str, definitions: &str, rule: &str, float: DType) -> Program {
    let (model, columns, rows) = match problem {
        "A" => (
            "model Net()(x: float[N, 4]) -> float[N, 3] {
               param W: float[4, 3] = zeros
               param b: float[3] = zeros
               x @ W + b
             }",
            [column("x", &[4]), column("y", &[3])],
            8,
        ),
        _ => (
            "model Net()(x: float[N, 3]) -> float[N, 2] {
               param W1: float[3, 4] = zeros
               param b1: float[4] = zeros
               param W2: float[4, 2] = zeros
               param b2: float[2] = zeros
               tanh(x @ W1 + b1) @ W2 + b2
             }",
            [column("x", &[3]), column("y", &[2])],
            5,
        ),
    };
    let text = format!(
        "use losses.mse\nuse optimizers.*\n{SCHEDULE}\n{definitions}\n{model}
         data given = synthetic.linear(rows = {rows})
         train run on given {{
           batch = all
           let net = Net()
           step(x, y) {{ minimize mse(net(x), y) {rule} }}
         }}"
    );
    on_columns(&text, float, &columns, rows)
}

fn matrix(value: &Value, float: DType) -> Tensor {
    let rows = value.as_array().expect("rows");
    Tensor::from_f64s(Type::new(float, vec![rows.len(), numbers(&rows[0]).len()]), &numbers(value))
}

fn absolute(found: &[f64], expected: &[f64]) -> f64 {
    let d = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    if found.len() != expected.len() || found.iter().any(|v| v.is_nan()) { f64::INFINITY } else { d }
}

/// What is wrong with a trajectory.
fn trajectory(json: &Value, problem: &str, rule: &str, engine: &Engine, float: DType) -> Vec<String> {
    let text = rule_text(rule, &json["hyperparameters"][problem]);
    let program = problem_program(problem, &probes(json, problem), &text, float);
    let mut run = Run::new(&program, engine);
    let initial = json["initial"][problem].as_object().expect("initial");
    for (name, values) in initial {
        run.set(&format!("net.{name}"), &numbers(values));
    }
    let data = &json["data"][problem];
    let (x, y) = (matrix(&data["X"], float), matrix(&data["Y"], float));
    let verified = &json["verification"][problem];
    // Where the library itself computes in f32, the file says so, and what to expect.
    let least = if json["quirks"].to_string().contains("even under x64") { 1e-7 } else { 1e-9 };
    let limit = |step: usize| match float {
        DType::F64 => f64::max(least, 10.0 * number(&verified["numpy_float64_max_abs_diff"])),
        _ => {
            // Ten times the drift recorded at the next checkpoint.
            let at = [1, 2, 5, 10, 50].into_iter().find(|c| *c >= step).unwrap_or(50);
            10.0 * number(&verified["numpy_float32_max_abs_diff"][at.to_string()])
        }
    };
    let losses = numbers(&json["losses"][problem]);
    let mut wrong = vec![];
    for (step, expected) in losses.iter().enumerate() {
        // The loss that step + 1 reports is that after `step` steps.
        let loss = run.step(&[("x", &x), ("y", &y)])["loss"];
        let d = (loss - expected).abs();
        // Losses have no recorded drift: they are sums of squares, of the size of the parameters or more.
        if d.is_nan() || d > limit(step.max(1)).max(1e-6 * expected.abs()) {
            wrong.push(format!("loss after {step} steps is {loss}, not {expected}"));
            break;
        }
        let checkpoint = &json["trajectory"][problem][(step + 1).to_string()];
        for (name, values) in checkpoint.as_object().into_iter().flatten() {
            let Some(path) = initial.contains_key(name).then(|| format!("net.{name}")) else { continue };
            let d = absolute(&run.get(&path), &numbers(values));
            if d > limit(step + 1) {
                wrong.push(format!("{name} after {} steps differs by {d:.1e} > {:.0e}", step + 1, limit(step + 1)));
            }
        }
        // Parameters for evaluation, where the rule has them.
        let recorded = ["eval", "ema"].iter().filter_map(|key| checkpoint.get(key)?.as_object());
        for (name, values) in recorded.flatten() {
            let d = absolute(&run.weights()[&format!("net.{name}")], &numbers(values));
            if d > limit(step + 1) {
                wrong.push(format!("{name} for evaluation after {} steps differs by {d:.1e}", step + 1));
            }
        }
    }
    wrong
}

#[test]
fn optimizers_follow_recorded_trajectories() {
    let Some(folder) = folder("reference/optimizers") else { return };
    let mut failures = vec![];
    let plain = RULES.iter().map(|(file, rule)| (*file, [format!("with {rule}"), format!("with {rule}")]));
    let composed = COMPOSED.iter().map(|(file, rules)| (*file, rules.map(str::to_string)));
    for (file, rules) in plain.chain(composed) {
        let json = read(&folder.join(format!("{file}.json")));
        for (problem, rule) in ["A", "B"].into_iter().zip(&rules) {
            for engine in ENGINES {
                for float in [DType::F64, DType::F32] {
                    let wrong = trajectory(&json, problem, rule, engine, float);
                    failures.extend(wrong.iter().map(|w| format!("{file} {problem} {} {float}: {w}", engine.name)));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn optimizers_take_recorded_steps_on_given_gradients() {
    let Some(folder) = folder("reference/optimizer-steps") else { return };
    let json = read(&folder.join("steps.json"));
    let mut failures = vec![];
    for run in json["runs"].as_array().expect("runs") {
        let mut hyper = run["hyper"].clone();
        let amsgrad = hyper["amsgrad"] == true;
        let (nesterov, centered) = (hyper["nesterov"] == true, hyper["centered"] == true);
        // In the file, flags are hyper-parameters; zero ones say nothing.
        hyper.as_object_mut().expect("an object").retain(|_, v| *v != 0 && *v != false);
        let name = match run["optimizer"].as_str().expect("a name") {
            "Adam" if amsgrad => "AMSGrad",
            name => name,
        };
        let flags = if nesterov {
            ", nesterov = true"
        } else if centered {
            ", centered = true"
        } else {
            ""
        };
        let rule = rule_text(&format!("{name}({{…}}{flags})"), &hyper);
        // The gradient of sum(p * gp) by p is gp.
        let text = format!(
            "use optimizers.*
             model Net()(gp: float[N, 2, 2], gq: float[N, 3]) -> float {{
               param p: float[2, 2] = zeros
               param q: float[3] = zeros
               sum(p * gp[0]) + sum(q * gq[0])
             }}
             data given = synthetic.linear(rows = 1)
             train run on given {{
               batch = all
               let net = Net()
               step(gp, gq) {{ minimize net(gp, gq) with {rule} }}
             }}"
        );
        for engine in ENGINES {
            for (float, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-6)] {
                let program = on_columns(&text, float, &[column("gp", &[2, 2]), column("gq", &[3])], 1);
                let mut state = Run::new(&program, engine);
                for name in ["p", "q"] {
                    state.set(&format!("net.{name}"), &numbers(&json["start"][name]["data"]));
                }
                let steps = run["after_step"].as_array().expect("steps");
                for (t, (given, after)) in
                    json["gradients"].as_array().expect("gradients").iter().zip(steps).enumerate()
                {
                    let gp = Tensor::from_f64s(Type::new(float, vec![1, 2, 2]), &numbers(&given["p"]));
                    let gq = Tensor::from_f64s(Type::new(float, vec![1, 3]), &numbers(&given["q"]));
                    state.step(&[("gp", &gp), ("gq", &gq)]);
                    for tensor in ["p", "q"] {
                        let d = absolute(&state.get(&format!("net.{tensor}")), &numbers(&after[tensor]));
                        let limit = if name == "NAdam" && float == DType::F64 { 1e-7 } else { tolerance };
                        if d > limit {
                            let place = format!("{rule} {} {float}", engine.name);
                            failures.push(format!("{place}: {tensor} after step {} differs by {d:.1e}", t + 1));
                        }
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// Our schedules count steps from 1.
#[test]
fn schedules_give_recorded_rates() {
    let Some(folder) = folder("reference/optimizer-steps") else { return };
    let json = read(&folder.join("steps.json"));
    let schedules: &[(&str, &str, usize)] = &[
        ("StepLR", "step_decay(0.1, every = 4, factor = 0.5)(t)", 15),
        ("MultiStepLR", "multi_step(0.1, [3, 8], factor = 0.1)(t)", 15),
        ("ExponentialLR", "exponential(0.1, rate = 0.9)(t)", 15),
        // After its last step PyTorch's goes up again; ours stays.
        ("CosineAnnealingLR", "cosine(0.1, total = 12, end = 0.01)(t)", 13),
        ("CosineAnnealingWarmRestarts", "cosine_restarts(0.1, period = 4, growth = 2)(t)", 15),
        ("LinearLR", "linear(0.01, 0.1, total = 5)(t)", 15),
        ("PolynomialLR", "polynomial(0.1, total = 10, power = 2)(t)", 15),
        ("OneCycleLR", "one_cycle(0.5, total = 15)(t)", 15),
        // The file's stays at the peak for one step more, and then follows ours one step late.
        ("warmup_cosine", "warmup_cosine(1e-3, warmup = 5, total = 20, end = 1e-4)(t - float(t > 5))", 23),
    ];
    let mut scope = Scope::new("");
    let mut failures = vec![];
    for (name, text, steps) in schedules {
        let all = json["schedules"].as_array().expect("schedules");
        let entry = all.iter().find(|s| s["schedule"] == *name).expect("the schedule is recorded");
        let key = if entry["lr_at_each_step"].is_array() { "lr_at_each_step" } else { "lr_at_step_0_to_14" };
        let lets = [("t".to_string(), Type::scalar(DType::F64))];
        let graph = scope.graph(text, &lets, DType::F64, &[], false).unwrap_or_else(|e| panic!("{e}"));
        for engine in ENGINES {
            for (step, expected) in numbers(&entry[key]).iter().take(*steps).enumerate() {
                let found = engine.run(&graph, &mut [Tensor::scalar(DType::F64, step as f64 + 1.0)])[0].to_f64s()[0];
                let d = (found - expected).abs();
                if d.is_nan() || d > 1e-12 {
                    failures.push(format!("{name} {}: step {} has {found}, not {expected}", engine.name, step + 1));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
