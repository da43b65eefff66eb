//! What `config.json` says about the model: layers, tensors, columns.

use crate::sema::program::{Program, Role};
use serde_json::{Value, json};

/// The entry `model` of a run's configuration.
pub fn model(program: &Program) -> Value {
    let layers = program
        .layers
        .iter()
        .map(|l| json!({ "path": l.path, "layer": l.layer, "output": l.output, "parameters": l.params }));
    let mut tensors = vec![];
    for buffer in program.buffers.iter().filter(|b| matches!(b.role, Role::Param | Role::Frozen)) {
        let rule = match buffer.role {
            Role::Frozen => "frozen",
            _ => buffer.name.strip_prefix("params.").unwrap_or(&buffer.name),
        };
        for view in &buffer.views {
            let count: usize = view.shape.iter().product();
            tensors.push(json!({ "path": view.path, "shape": view.shape, "count": count, "rule": rule }));
        }
    }
    let columns = program.schema.columns.iter().filter(|c| program.columns.contains(&c.name)).map(|c| {
        json!({
            "name": c.name,
            "type": if c.is_float { "float" } else { "int" },
            "shape": c.shape,
            "classes": c.classes,
        })
    });
    json!({
        "layers": layers.collect::<Vec<_>>(),
        "parameters": tensors,
        "observed": program.reports.iter().filter(|r| r.train_only).map(|r| &r.name).collect::<Vec<_>>(),
        "columns": columns.collect::<Vec<_>>(),
    })
}
