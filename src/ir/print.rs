//! The text form of a graph: one line for each input, node and output, with types and places.
//!
//! ```text
//! input "x": f32[128, 784] batch
//! input "w": f32[784, 10] param
//! %0: f32[128, 784] = input[0]
//! %1: f32[784, 10] = input[1]
//! %2: f32[128, 10] = dot[lhs_contract=[1], rhs_contract=[0]] %0, %1  // mlp.opt:9:5
//! output "y": %2 value
//! ```
//! [`super::parse`] reads it back. Lists that are empty are left out. The body of a scan follows its line, between braces.

use super::attention::Attention;
use super::graph::{Graph, InputKind, Node, OutputKind};
use super::op::Op;
use super::window::Window;
use crate::source::{SourceMap, Span};
use std::fmt::Write;

/// Prints a graph; with `sources`, each node that has a place names it in a comment.
pub fn print(graph: &Graph, sources: Option<&SourceMap>) -> String {
    let mut out = String::new();
    for input in &graph.inputs {
        let _ = writeln!(out, "input {:?}: {} {}", input.name, input.ty, kind_name(&input.kind));
    }
    for (index, node) in graph.nodes.iter().enumerate() {
        let place = sources.filter(|_| node.span != Span::default()).map(|s| s.place(node.span)).unwrap_or_default();
        let comment = if place.is_empty() { String::new() } else { format!("  // {place}") };
        let _ = match &node.op {
            Op::Scan(scan) => {
                let body = print(&scan.body, sources);
                let body: String = body.lines().map(|line| format!("  {line}\n")).collect();
                writeln!(out, "%{index}: {} {{{comment}\n{body}}}", node_text(node))
            }
            _ => writeln!(out, "%{index}: {}{comment}", node_text(node)),
        };
    }
    for output in &graph.outputs {
        let kind = match output.kind {
            OutputKind::Value => "value".to_string(),
            OutputKind::Report => "report".to_string(),
            OutputKind::Rows => "rows".to_string(),
            OutputKind::Check => "check".to_string(),
            OutputKind::Update(input) => format!("update[{input}]"),
        };
        let _ = writeln!(out, "output {:?}: %{} {kind}", output.name, output.node.0);
    }
    out
}

/// `f32[2] = add %0, %1`: a node without its number and place.
pub fn node_text(node: &Node) -> String {
    let mut out = format!("{} = {}", node.ty, node.op.name());
    let attributes = attributes(&node.op);
    if !attributes.is_empty() {
        let _ = write!(out, "[{}]", attributes.join(", "));
    }
    for (k, arg) in node.args.iter().enumerate() {
        let _ = write!(out, "{} %{}", if k == 0 { "" } else { "," }, arg.0);
    }
    out
}

pub(super) fn kind_name(kind: &InputKind) -> &'static str {
    match kind {
        InputKind::Batch => "batch",
        InputKind::Param => "param",
        InputKind::State => "state",
        InputKind::Hyper => "hyper",
        InputKind::Step => "step",
        InputKind::Random => "random",
        InputKind::Arg => "arg",
    }
}

fn attributes(op: &Op) -> Vec<String> {
    let list = |name: &str, values: &[usize]| (!values.is_empty()).then(|| format!("{name}={values:?}"));
    let lists = |all: &[(&str, &[usize])]| all.iter().filter_map(|(name, values)| list(name, values)).collect();
    match op {
        Op::Input(index) => vec![index.to_string()],
        Op::Const(value) => vec![format!("{value:?}")],
        Op::Dense(values) => values.iter().map(|v| format!("{v:?}")).collect(),
        Op::RandomBits { stream } => vec![format!("stream={stream}")],
        Op::Iota { axis }
        | Op::Concat { axis }
        | Op::Gather { axis }
        | Op::ScatterAdd { axis }
        | Op::ArgReduce { axis, .. } => vec![format!("axis={axis}")],
        Op::Cumulative { axis, reverse, .. } => vec![format!("axis={axis}"), format!("reverse={reverse}")],
        Op::ArgSort { axis, descending } => vec![format!("axis={axis}"), format!("descending={descending}")],
        Op::Broadcast { axes } | Op::Reverse { axes } | Op::Reduce { axes, .. } => lists(&[("axes", axes)]),
        Op::Transpose { perm } => lists(&[("perm", perm)]),
        Op::Slice { start, limit, stride } => lists(&[("start", start), ("limit", limit), ("stride", stride)]),
        Op::Pad { low, high, interior } => lists(&[("low", low), ("high", high), ("interior", interior)]),
        Op::Dot { lhs_batch, rhs_batch, lhs_contract, rhs_contract } => lists(&[
            ("lhs_batch", lhs_batch),
            ("rhs_batch", rhs_batch),
            ("lhs_contract", lhs_contract),
            ("rhs_contract", rhs_contract),
        ]),
        Op::Conv { window, groups, .. } => {
            let mut out = lists(&window_lists(window));
            out.push(format!("groups={groups}"));
            out
        }
        Op::Pool { window, .. } => lists(&window_lists(window)),
        Op::SegmentReduce { offsets, .. } | Op::SegmentBroadcast { offsets } => lists(&[("offsets", offsets)]),
        Op::Scan(s) => {
            let sizes = [("steps", s.steps), ("carries", s.carries), ("slices", s.slices)];
            let sizes = sizes.iter().map(|(name, n)| format!("{name}={n}"));
            sizes.chain([format!("reverse={}", s.reverse)]).collect()
        }
        Op::Attention(of) => attention(of),
        Op::AttentionGrad { of, joint } => [attention(of), vec![format!("joint={joint}")]].concat(),
        Op::Unary(_)
        | Op::Binary(_)
        | Op::Compare(_)
        | Op::Select
        | Op::Decompose(_)
        | Op::Convert
        | Op::BitsToUnit
        | Op::StopGradient
        | Op::Reshape => vec![],
    }
}

fn window_lists(window: &Window) -> [(&'static str, &[usize]); 5] {
    [
        ("size", &window.size),
        ("stride", &window.stride),
        ("low", &window.low),
        ("high", &window.high),
        ("dilation", &window.dilation),
    ]
}

/// The scale by its bits, since attributes are whole numbers.
fn attention(of: &Attention) -> Vec<String> {
    let Attention { heads, groups, causal, scale } = of;
    vec![
        format!("heads={heads}"),
        format!("groups={groups}"),
        format!("causal={causal}"),
        format!("scale_bits={}", scale.to_bits()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::build::Builder;
    use crate::ir::{DType, Unary};

    #[test]
    fn places_follow_the_nodes_that_have_one() {
        let mut sources = SourceMap::new();
        let file = sources.add("mlp.opt", "let a = 1\nlet b = tanh(a)\n");
        let mut graph = Graph::new();
        let one = Builder::new(&mut graph, Span::default()).constant(1.0, DType::F32);
        let b = Builder::new(&mut graph, Span::new(file, 18, 25)).unary(Unary::Tanh, one);
        graph.add_output("b", b, OutputKind::Value);
        let text = "%0: f32[] = const[1.0]\n%1: f32[] = tanh %0  // mlp.opt:2:9\noutput \"b\": %1 value\n";
        assert_eq!(print(&graph, Some(&sources)), text);
        assert_eq!(super::super::parse::parse(text).map(|g| g.nodes.len()), Ok(2));
    }
}
