//! Kernels as readable loop nests, for `optc ir --stage kernels`.

use super::{Affine, Effect, Kernel, Level, Space, Value, ValueId, ValueKind};
use crate::codegen::plan::{Plan, Step, plan};
use crate::codegen::width::Width;
use crate::ir::{ArgKind, ReduceKind};
use crate::passes::plan::traffic::of_kernel;
use std::fmt::Write;

/// The text of a verified kernel: its parameters, then what happens once a call, once a row, and at each element.
pub fn print(kernel: &Kernel) -> String {
    let mut out = String::new();
    let params: Vec<String> = kernel
        .params
        .iter()
        .enumerate()
        .map(|(p, param)| {
            let access = if param.written { "mut " } else { "" };
            format!("p{p}: {access}{}[{}]", param.dtype, param.elements)
        })
        .collect();
    let plan = plan(kernel, Width::W128);
    let _ = writeln!(out, "// {}", summary(kernel, &plan));
    let _ = writeln!(out, "kernel {}({}) {{", kernel.name, params.join(", "));
    Printer { kernel, plan, out: &mut out }.body();
    out.push_str("}\n");
    out
}

/// What an element costs: for an optimizer's kernel, what a parameter costs.
///
/// A reduction takes one operation for each element; a value that a later pass reloads counts once, as do bytes that a
/// second pass reads again, since a row stays in the cache.
fn summary(kernel: &Kernel, plan: &Plan) -> String {
    let elements = match &kernel.space {
        Space::Flat { elements } => *elements,
        Space::Grid { outer, inner } => outer.iter().product::<usize>() * inner,
        Space::Segments { offsets } => offsets.last().copied().unwrap_or(0),
    };
    let works = |v: &&Value| match v.kind {
        ValueKind::Const(_) | ValueKind::Load { .. } | ValueKind::Index(_) => false,
        ValueKind::RowReduce(..) | ValueKind::RowArg(..) => true,
        _ => v.level == Level::Element,
    };
    let sums = kernel.effects.iter().filter(|e| !matches!(e, Effect::Store { .. })).count();
    let operations = kernel.values.iter().filter(works).count() + sums;
    let bytes = of_kernel(kernel);
    let passes = plan.passes.len();
    format!(
        "{passes} {} over {elements} elements: {:.1} bytes and {operations} operations for each, {:.2} for each byte",
        if passes == 1 { "pass" } else { "passes" },
        bytes as f64 / elements.max(1) as f64,
        (operations * elements) as f64 / bytes.max(1) as f64,
    )
}

struct Printer<'a> {
    kernel: &'a Kernel,
    plan: Plan,
    out: &'a mut String,
}

impl Printer<'_> {
    fn line(&mut self, depth: usize, text: &str) {
        let _ = writeln!(self.out, "{:width$}{text}", "", width = depth * 2);
    }

    fn body(&mut self) {
        for v in self.plan.scalars.clone() {
            self.value(1, v);
        }
        let flat = matches!(self.kernel.space, Space::Flat { .. });
        let depth = if flat { 1 } else { 2 };
        match &self.kernel.space {
            Space::Flat { .. } => {}
            Space::Grid { outer, .. } => {
                let axes: Vec<String> = outer.iter().enumerate().map(|(k, n)| format!("i{k} in 0..{n}")).collect();
                self.line(1, &format!("for {} {{", axes.join(", ")));
            }
            Space::Segments { offsets } => self.line(1, &format!("for i0 in 0..{} {{", offsets.len() - 1)),
        }
        let inner = match &self.kernel.space {
            Space::Flat { elements } => format!("0..{elements}"),
            Space::Grid { inner, .. } => format!("0..{inner}"),
            Space::Segments { .. } => "offsets[i0]..offsets[i0 + 1]".into(),
        };
        for p in 0..self.plan.passes.len() {
            for v in self.plan.row_values[p].clone() {
                self.value(depth, v);
            }
            self.pass(p, depth, &inner);
        }
        for v in self.plan.row_values[self.plan.passes.len()].clone() {
            self.value(depth, v);
        }
        for e in self.plan.row_effects.clone() {
            self.effect(depth, e);
        }
        if !flat {
            self.line(1, "}");
        }
        for e in self.plan.scalar_effects.clone() {
            self.effect(1, e);
        }
    }

    fn pass(&mut self, p: usize, depth: usize, inner: &str) {
        let pass = self.plan.passes[p].clone();
        self.line(depth, &format!("for j in {inner} {{"));
        for step in pass.steps {
            match step {
                Step::Compute(v) => self.value(depth + 1, v),
                Step::ComputeAndSave(v) => {
                    self.value(depth + 1, v);
                    self.line(depth + 1, &format!("scratch[j] = {}", name(v)));
                }
                Step::Reload(v) => self.line(depth + 1, &format!("{} = scratch[j]", name(v))),
            }
        }
        for e in pass.effects {
            self.effect(depth + 1, e);
        }
        for v in pass.reduces {
            self.value(depth + 1, v);
        }
        self.line(depth, "}");
    }

    fn value(&mut self, depth: usize, v: ValueId) {
        let value = &self.kernel.values[v.0 as usize];
        let text = match &value.kind {
            ValueKind::Const(c) => format!("{c}"),
            ValueKind::Load { param, at } => format!("p{param}[{}]", affine(at)),
            ValueKind::Index(at) => format!("index {}", affine(at)),
            ValueKind::Random { stream, keys: [k0, k1, step], index } => {
                let (k0, k1, step) = (name(*k0), name(*k1), name(*step));
                format!("random[{stream}] {k0}, {k1}, {step}, {}", affine(index))
            }
            ValueKind::Unary(op, x) => format!("{} {}", op.name(), name(*x)),
            ValueKind::Binary(op, x, y) => format!("{} {}, {}", op.name(), name(*x), name(*y)),
            ValueKind::Compare(op, x, y) => format!("{} {}, {}", op.name(), name(*x), name(*y)),
            ValueKind::Select(c, x, y) => format!("select {}, {}, {}", name(*c), name(*x), name(*y)),
            ValueKind::Convert(x) => format!("convert {}", name(*x)),
            ValueKind::BitsToUnit(x) => format!("bits_to_unit {}", name(*x)),
            ValueKind::RowReduce(kind, x) => format!("row_{} {}", reduction(*kind), name(*x)),
            ValueKind::RowArg(ArgKind::Max, x) => format!("row_argmax {}", name(*x)),
            ValueKind::RowArg(ArgKind::Min, x) => format!("row_argmin {}", name(*x)),
        };
        let level = match self.plan.levels[v.0 as usize] {
            Level::Scalar => "scalar ",
            Level::Row => "row ",
            Level::Element => "",
        };
        self.line(depth, &format!("{}: {level}{} = {text}", name(v), value.dtype));
    }

    fn effect(&mut self, depth: usize, e: usize) {
        let text = match &self.kernel.effects[e] {
            Effect::Store { param, at, value } => format!("p{param}[{}] = {}", affine(at), name(*value)),
            Effect::ColReduce { kind, value, param } => format!("p{param}[j] {}= {}", reduction(*kind), name(*value)),
            Effect::TotalReduce { kind, value, param } => format!("p{param}[0] {}= {}", reduction(*kind), name(*value)),
        };
        self.line(depth, &text);
    }
}

fn name(v: ValueId) -> String {
    format!("%{}", v.0)
}

fn reduction(kind: ReduceKind) -> &'static str {
    match kind {
        ReduceKind::Sum => "sum",
        ReduceKind::Prod => "prod",
        ReduceKind::Max => "max",
        ReduceKind::Min => "min",
    }
}

/// Such as `64 + 10*i0 + j`.
fn affine(at: &Affine) -> String {
    let mut terms = vec![];
    if at.offset != 0 {
        terms.push(at.offset.to_string());
    }
    let outer = at.outer_strides.iter().enumerate().map(|(k, stride)| (format!("i{k}"), *stride));
    for (index, stride) in outer.chain([("j".to_string(), at.inner_stride)]) {
        match stride {
            0 => {}
            1 => terms.push(index),
            _ => terms.push(format!("{stride}*{index}")),
        }
    }
    if terms.is_empty() { "0".into() } else { terms.join(" + ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Binary, DType, Unary};
    use crate::kernel::{KernelParam, Value};

    #[test]
    fn softmax_reads_as_three_passes() {
        let at = Affine { offset: 0, outer_strides: vec![1000], inner_stride: 1 };
        let value = |kind, level| Value { kind, dtype: DType::F32, level, span: Default::default() };
        let v = ValueId;
        let kernel = Kernel {
            name: "softmax".into(),
            space: Space::Grid { outer: vec![8], inner: 1000 },
            params: vec![
                KernelParam { dtype: DType::F32, elements: 8000, written: false },
                KernelParam { dtype: DType::F32, elements: 8000, written: true },
            ],
            values: vec![
                value(ValueKind::Load { param: 0, at: at.clone() }, Level::Element),
                value(ValueKind::RowReduce(ReduceKind::Max, v(0)), Level::Row),
                value(ValueKind::Binary(Binary::Sub, v(0), v(1)), Level::Element),
                value(ValueKind::Unary(Unary::Exp, v(2)), Level::Element),
                value(ValueKind::RowReduce(ReduceKind::Sum, v(3)), Level::Row),
                value(ValueKind::Binary(Binary::Div, v(3), v(4)), Level::Element),
            ],
            effects: vec![Effect::Store { param: 1, at, value: v(5) }],
        };
        let expect = "\
// 3 passes over 8000 elements: 8.0 bytes and 5 operations for each, 0.62 for each byte
kernel softmax(p0: f32[8000], p1: mut f32[8000]) {
  for i0 in 0..8 {
    for j in 0..1000 {
      %0: f32 = p0[1000*i0 + j]
      %1: row f32 = row_max %0
    }
    for j in 0..1000 {
      %0: f32 = p0[1000*i0 + j]
      %2: f32 = sub %0, %1
      %3: f32 = exp %2
      scratch[j] = %3
      %4: row f32 = row_sum %3
    }
    for j in 0..1000 {
      %3 = scratch[j]
      %5: f32 = div %3, %4
      p1[1000*i0 + j] = %5
    }
  }
}
";
        assert_eq!(print(&kernel), expect);
    }
}
