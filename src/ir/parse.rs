//! Reads the text that [`super::print`] writes: tests state graphs in it.
//!
//! Every node's type is checked against what its operation gives, so a graph that parses is well-typed. Comments
//! (`// …`) are ignored: places are not read back.

use super::attention::Attention;
use super::graph::{Graph, InputKind, NodeId, OutputKind};
use super::op::{ArgKind, Binary, Compare, Decomposition, Hint, Op, ReduceKind, Unary};
use super::print::kind_name;
use super::scan::Scan;
use super::types::{DType, Type};
use super::window::{ConvPart, PoolKind, Window};
use crate::source::Span;
use std::sync::Arc;

const INPUT_KINDS: [InputKind; 7] = [
    InputKind::Batch,
    InputKind::Param,
    InputKind::State,
    InputKind::Hyper,
    InputKind::Step,
    InputKind::Random,
    InputKind::Arg,
];

/// Parses a graph; the message of an error begins with the line number.
pub fn parse(text: &str) -> Result<Graph, String> {
    let mut lines = text.lines().enumerate();
    let graph = parse_lines(&mut lines, 0)?;
    super::verify::verify(&graph)?;
    Ok(graph)
}

type Lines<'l, 't> = &'l mut std::iter::Enumerate<std::str::Lines<'t>>;

/// Bodies of loops inside bodies of loops, at most.
const DEEPEST: usize = 16;

/// A graph to the end of the text, or to the brace that closes the body.
fn parse_lines(lines: Lines, depth: usize) -> Result<Graph, String> {
    let mut graph = Graph::new();
    while let Some((number, line)) = lines.next() {
        let mut line = Line { rest: line };
        if depth > 0 && line.accept("}") {
            return Ok(graph);
        }
        line.statement(&mut graph, lines, depth).map_err(|why| match why.starts_with("line ") {
            true => why,
            false => format!("line {}: {why}", number + 1),
        })?;
    }
    if depth > 0 { Err("a body has no '}'".into()) } else { Ok(graph) }
}

/// What is left of a line.
struct Line<'a> {
    rest: &'a str,
}

impl<'a> Line<'a> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
        if self.rest.starts_with("//") {
            self.rest = "";
        }
    }

    fn accept(&mut self, token: &str) -> bool {
        self.space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.accept(token) { Ok(()) } else { Err(format!("expected '{token}' at '{}'", self.rest)) }
    }

    /// Letters, digits and what numbers are written with.
    fn word(&mut self) -> Result<&'a str, String> {
        self.space();
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && !"_.+-".contains(c)).unwrap_or(self.rest.len());
        if end == 0 {
            return Err(format!("expected a word at '{}'", self.rest));
        }
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(word)
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T, String> {
        let word = self.word()?;
        word.parse().map_err(|_| format!("'{word}' is not a number of the right kind"))
    }

    /// Items between brackets, separated by commas.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T, String>) -> Result<Vec<T>, String> {
        let mut out = vec![];
        self.expect("[")?;
        if self.accept("]") {
            return Ok(out);
        }
        loop {
            out.push(item(self)?);
            if self.accept("]") {
                return Ok(out);
            }
            self.expect(",")?;
        }
    }

    fn ty(&mut self) -> Result<Type, String> {
        let name = self.word()?;
        let dtype = DType::from_name(name).ok_or_else(|| format!("'{name}' is no element type"))?;
        Ok(Type::new(dtype, self.list(Line::number::<usize>)?))
    }

    fn id(&mut self) -> Result<NodeId, String> {
        self.expect("%")?;
        Ok(NodeId(self.number()?))
    }

    /// A string as `{:?}` writes it.
    fn string(&mut self) -> Result<String, String> {
        self.expect("\"")?;
        let mut out = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(out);
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some('0') => out.push('\0'),
                    Some('u') => {
                        let code: String = chars.by_ref().map(|(_, c)| c).skip(1).take_while(|c| *c != '}').collect();
                        let code = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
                        out.push(code.ok_or("bad escape in a string")?);
                    }
                    Some(c) => out.push(c),
                    None => break,
                },
                c => out.push(c),
            }
        }
        Err("a string without an end".into())
    }

    fn statement(&mut self, graph: &mut Graph, lines: Lines, depth: usize) -> Result<(), String> {
        self.space();
        if self.rest.is_empty() {
            return Ok(());
        }
        if self.accept("input ") {
            let name = self.string()?;
            self.expect(":")?;
            let (ty, word) = (self.ty()?, self.word()?);
            let kind = INPUT_KINDS.iter().find(|k| kind_name(k) == word);
            let kind = kind.ok_or_else(|| format!("'{word}' is no kind of input"))?.clone();
            graph.inputs.push(super::graph::Input { name, ty, kind });
        } else if self.accept("output ") {
            let name = self.string()?;
            self.expect(":")?;
            let (node, word) = (self.id()?, self.word()?);
            let kind = match word {
                "value" => OutputKind::Value,
                "report" => OutputKind::Report,
                "rows" => OutputKind::Rows,
                "check" => OutputKind::Check,
                "update" => OutputKind::Update(self.list(Line::number)?.first().copied().ok_or("an index")?),
                _ => return Err(format!("'{word}' is no kind of output")),
            };
            graph.add_output(name, node, kind);
        } else {
            self.node(graph, lines, depth)?;
        }
        self.space();
        if self.rest.is_empty() { Ok(()) } else { Err(format!("unexpected '{}'", self.rest)) }
    }

    fn node(&mut self, graph: &mut Graph, lines: Lines, depth: usize) -> Result<(), String> {
        let id = self.id()?;
        if id.index() != graph.nodes.len() {
            return Err(format!("expected node %{}, found %{}", graph.nodes.len(), id.0));
        }
        self.expect(":")?;
        let ty = self.ty()?;
        self.expect("=")?;
        let mut op = self.op()?;
        let mut args = vec![];
        self.space();
        while self.rest.starts_with('%') || self.accept(",") {
            args.push(self.id()?);
            self.space();
        }
        if let Some(late) = args.iter().find(|a| a.index() >= id.index()) {
            return Err(format!("operand %{} is not an earlier node", late.0));
        }
        if let Op::Input(index) = op
            && index >= graph.inputs.len()
        {
            return Err(format!("there is no input {index}"));
        }
        if let Op::Scan(scan) = &mut op {
            self.expect("{")?;
            if depth == DEEPEST {
                return Err("too many loops inside each other".into());
            }
            Arc::make_mut(scan).body = parse_lines(lines, depth + 1)?;
            super::verify::verify(&scan.body)?;
        }
        let hint = Hint { dtype: Some(ty.dtype), shape: Some(ty.shape.clone()) };
        let pushed = graph.try_push(op, &args, hint, Span::default()).map_err(|e| e.to_string())?;
        if *graph.ty(pushed) != ty {
            return Err(format!("%{} has type {}, not {ty}", id.0, graph.ty(pushed)));
        }
        Ok(())
    }

    fn op(&mut self) -> Result<Op, String> {
        let name = self.word()?;
        if let Some(op) = plain(name) {
            return Ok(op);
        }
        // Bare values, which three operations have.
        match name {
            "input" => return Ok(Op::Input(self.one()?)),
            "const" => return Ok(Op::Const(self.one()?)),
            "dense" => return Ok(Op::Dense(Arc::new(self.list(Line::number)?))),
            _ => {}
        }
        let mut given = Attributes::default();
        self.space();
        if self.rest.starts_with('[') {
            given.pairs = self.list(Line::attribute)?;
        }
        let op = with_attributes(name, &mut given)?;
        match given.pairs.first() {
            Some((key, _)) => Err(format!("{name} has no attribute '{key}'")),
            None => Ok(op),
        }
    }

    fn one<T: std::str::FromStr>(&mut self) -> Result<T, String> {
        let mut values = self.list(Line::number)?;
        values.pop().filter(|_| values.is_empty()).ok_or_else(|| "expected one value".into())
    }

    /// `key=number`, `key=true` or `key=[numbers]`, all as lists.
    fn attribute(&mut self) -> Result<(&'a str, Vec<usize>), String> {
        let key = self.word()?;
        self.expect("=")?;
        self.space();
        let value = match () {
            () if self.rest.starts_with('[') => self.list(Line::number)?,
            () if self.accept("true") => vec![1],
            () if self.accept("false") => vec![0],
            () => vec![self.number()?],
        };
        Ok((key, value))
    }
}

#[derive(Default)]
struct Attributes<'a> {
    pairs: Vec<(&'a str, Vec<usize>)>,
}

impl Attributes<'_> {
    /// The values of a key; none if it is not there.
    fn list(&mut self, key: &str) -> Vec<usize> {
        let found = self.pairs.iter().position(|(k, _)| *k == key);
        found.map(|at| self.pairs.remove(at).1).unwrap_or_default()
    }

    fn one(&mut self, key: &str) -> Result<usize, String> {
        match self.list(key)[..] {
            [value] => Ok(value),
            _ => Err(format!("expected '{key}=' with one value")),
        }
    }
}

/// Operations without attributes.
fn plain(name: &str) -> Option<Op> {
    let unary = Unary::from_name(name).map(Op::Unary);
    let binary = || Binary::from_name(name).map(Op::Binary);
    let compare = || Compare::from_name(name).map(Op::Compare);
    let rest = || match name {
        "select" => Some(Op::Select),
        "convert" => Some(Op::Convert),
        "bits_to_unit" => Some(Op::BitsToUnit),
        "stop_gradient" => Some(Op::StopGradient),
        "reshape" => Some(Op::Reshape),
        _ => None,
    };
    unary.or_else(binary).or_else(compare).or_else(rest)
}

fn with_attributes(name: &str, given: &mut Attributes) -> Result<Op, String> {
    let family = |prefix: &str| match name.strip_prefix(prefix) {
        Some("sum") => Some(ReduceKind::Sum),
        Some("prod") => Some(ReduceKind::Prod),
        Some("max") => Some(ReduceKind::Max),
        Some("min") => Some(ReduceKind::Min),
        _ => None,
    };
    if let Some(kind) = Decomposition::from_name(name) {
        return Ok(Op::Decompose(kind));
    }
    if let Some(part) = ConvPart::from_name(name) {
        return Ok(Op::Conv { part, window: window(given), groups: given.one("groups")? });
    }
    if let Some(kind) = PoolKind::from_name(name) {
        return Ok(Op::Pool { kind, window: window(given) });
    }
    if let Some(kind) = family("reduce_") {
        return Ok(Op::Reduce { kind, axes: given.list("axes") });
    }
    if let Some(kind) = family("segment_") {
        return Ok(Op::SegmentReduce { kind, offsets: Arc::new(given.list("offsets")) });
    }
    if let Some(kind) = family("cum") {
        return Ok(Op::Cumulative { kind, axis: given.one("axis")?, reverse: given.one("reverse")? == 1 });
    }
    Ok(match name {
        "iota" => Op::Iota { axis: given.one("axis")? },
        "random_bits" => {
            Op::RandomBits { stream: given.one("stream")?.try_into().map_err(|_| "a stream has 32 bits")? }
        }
        "broadcast" => Op::Broadcast { axes: given.list("axes") },
        "transpose" => Op::Transpose { perm: given.list("perm") },
        "slice" => Op::Slice { start: given.list("start"), limit: given.list("limit"), stride: given.list("stride") },
        "pad" => Op::Pad { low: given.list("low"), high: given.list("high"), interior: given.list("interior") },
        "concat" => Op::Concat { axis: given.one("axis")? },
        "reverse" => Op::Reverse { axes: given.list("axes") },
        "gather" => Op::Gather { axis: given.one("axis")? },
        "scatter_add" => Op::ScatterAdd { axis: given.one("axis")? },
        "argmax" => Op::ArgReduce { kind: ArgKind::Max, axis: given.one("axis")? },
        "argmin" => Op::ArgReduce { kind: ArgKind::Min, axis: given.one("axis")? },
        "argsort" => Op::ArgSort { axis: given.one("axis")?, descending: given.one("descending")? == 1 },
        "dot" => Op::Dot {
            lhs_batch: given.list("lhs_batch"),
            rhs_batch: given.list("rhs_batch"),
            lhs_contract: given.list("lhs_contract"),
            rhs_contract: given.list("rhs_contract"),
        },
        "scan" => Op::Scan(Arc::new(Scan {
            body: Graph::new(),
            steps: given.one("steps")?,
            reverse: given.one("reverse")? == 1,
            carries: given.one("carries")?,
            slices: given.one("slices")?,
        })),
        "attention" => Op::Attention(attention(given)?),
        "attention_grad" => Op::AttentionGrad { of: attention(given)?, joint: given.one("joint")? == 1 },
        "segment_broadcast" => Op::SegmentBroadcast { offsets: Arc::new(given.list("offsets")) },
        _ => return Err(format!("there is no operation '{name}'")),
    })
}

fn window(given: &mut Attributes) -> Box<Window> {
    let mut list = |name| given.list(name);
    Box::new(Window {
        size: list("size"),
        stride: list("stride"),
        low: list("low"),
        high: list("high"),
        dilation: list("dilation"),
    })
}

fn attention(given: &mut Attributes) -> Result<Attention, String> {
    Ok(Attention {
        heads: given.one("heads")?,
        groups: given.one("groups")?,
        causal: given.one("causal")? == 1,
        scale: f64::from_bits(given.one("scale_bits")? as u64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::print::print;
    use proptest::prelude::*;

    /// A line for each form of attribute.
    const ALL: &str = r#"input "x \"1\"\n": f32[2, 3] batch
input "key": i32[] random
input "ü": f64[] hyper
%0: f32[2, 3] = input[0]
%1: i32[] = input[1]
%2: f64[] = input[2]
%3: f32[] = const[-0.1]
%4: f32[] = const[NaN]
%5: f64[] = const[-inf]
%6: f32[] = const[1e-8]
%7: i32[2] = dense[1.0, -2.0]
%8: i32[2, 3] = iota[axis=1]
%9: i32[4] = random_bits[stream=4294967295] %1, %1, %1
%10: f32[4] = bits_to_unit %9
%11: f32[2, 3] = tanh %0
%12: f32[2, 3] = maximum %11, %0
%13: bool[2, 3] = lt %11, %0
%14: f32[2, 3] = select %13, %11, %0
%15: f64[2, 3] = convert %14
%16: f32[2, 3] = stop_gradient %14
%17: f32[2, 3] = broadcast %3
%18: f32[2, 5, 3] = broadcast[axes=[0, 2]] %0
%19: f32[3, 2] = reshape %0
%20: f32[3, 2] = transpose[perm=[1, 0]] %0
%21: f32[1, 2] = slice[start=[0, 0], limit=[1, 3], stride=[1, 2]] %0
%22: f32[3, 7] = pad[low=[1, 0], high=[0, 2], interior=[0, 1]] %0, %3
%23: f32[4, 3] = concat[axis=0] %0, %11
%24: f32[2, 3] = reverse[axes=[0, 1]] %0
%25: f32[2, 3] = gather[axis=0] %0, %7
%26: f32[2, 3] = scatter_add[axis=0] %0, %7, %25
%27: f32[] = reduce_sum[axes=[0, 1]] %0
%28: i32[2] = argmax[axis=1] %0
%29: f32[2, 3] = cumprod[axis=1, reverse=true] %0
%30: i32[2, 3] = argsort[axis=1, descending=false] %0
%31: f32[2, 2] = dot[lhs_contract=[1], rhs_contract=[0]] %0, %19
%32: f32[2] = segment_max[offsets=[0, 1, 4]] %10
%33: f32[4] = segment_broadcast[offsets=[0, 1, 4]] %32
%34: f32[1, 2, 3] = reshape %0
%35: f32[2, 3, 1] = reshape %0
%36: f32[1, 2, 1] = conv[size=[2], stride=[1], low=[1], high=[0], dilation=[1], groups=1] %34, %35
%37: f32[1, 2, 3] = conv_image[size=[2], stride=[1], low=[1], high=[0], dilation=[1], groups=1] %36, %35
%38: f32[2, 3, 1] = conv_kernel[size=[2], stride=[1], low=[1], high=[0], dilation=[1], groups=1] %34, %36
%39: f32[1, 1, 3] = window_max[size=[2], stride=[2], low=[0], high=[0], dilation=[1]] %34
%40: f32[1, 2, 3] = window_scatter[size=[2], stride=[2], low=[0], high=[0], dilation=[1]] %34, %39
%41: f32[6] = scan[steps=2, carries=1, slices=1, reverse=true] %32, %0 {
  input "h": f32[2] arg
  input "x": f32[3] arg
  %0: f32[2] = input[0]
  output "h": %0 update[0]
  output "y": %0 value
}
%42: f32[8] = attention[heads=1, groups=1, causal=true, scale_bits=4602678819172646912] %0, %11, %12
%43: f32[2, 9] = attention_grad[heads=1, groups=1, causal=true, scale_bits=4602678819172646912, joint=true] %0, %11, %12, %42, %0
output "y": %33 value
output "m": %27 report
output "x": %12 update[0]
"#;

    #[test]
    fn reads_what_is_printed() {
        let graph = parse(ALL).expect("the text is a graph");
        assert_eq!(print(&graph, None), ALL);
    }

    proptest! {
        /// Broken texts are errors, never panics: one place of a good text is replaced.
        #[test]
        fn broken_text_never_panics(at in 0..ALL.len(), drop in 0usize..12, put in "[-0-9a-z%=,\\[\\]\" :]{0,6}") {
            let (mut from, mut to) = (at, (at + drop).min(ALL.len()));
            while !ALL.is_char_boundary(from) {
                from -= 1;
            }
            while !ALL.is_char_boundary(to) {
                to += 1;
            }
            let _ = parse(&format!("{}{put}{}", &ALL[..from], &ALL[to..]));
        }
    }

    #[test]
    fn sizes_beyond_memory_are_errors() {
        let text = "%0: f32[] = const[1.0]\n%1: f32[10000000000, 10000000000] = broadcast %0";
        let error = parse(text).unwrap_err();
        assert_eq!(error, "line 2: f64[10000000000, 10000000000] is too large for memory");
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |text: &str| parse(text).unwrap_err();
        assert_eq!(error("%0: f32[2] = input[0]"), "line 1: there is no input 0");
        assert_eq!(error("%0: f32[] = const[1.0]\n%1: f32[] = sinn %0"), "line 2: there is no operation 'sinn'");
        assert_eq!(error("%0: f32[2] = const[1.0]"), "line 1: %0 has type f32[], not f32[2]");
        assert_eq!(error("%0: f32[] = const[1.0]\n%1: f32[] = tanh %1"), "line 2: operand %1 is not an earlier node");
        assert_eq!(error("%0: i32[3] = iota[axis=0, by=2]"), "line 1: iota has no attribute 'by'");
        assert_eq!(error("%1: f32[] = const[1.0]"), "line 1: expected node %0, found %1");
        assert_eq!(error("%0: f32[] = const[1.0] x"), "line 1: unexpected 'x'");
        assert_eq!(error("output \"a: %0 value"), "line 1: a string without an end");
    }
}
