//! `test` blocks: `let`s and `expect`s, gathered as outputs of one graph.

use super::ops::Operand;
use super::{Elab, FrameKind, R};
use crate::diag::{Diagnostic, error};
use crate::ir::{Binary, Compare, DType, Graph, OutputKind, ReduceKind, Unary};
use crate::sema::modules::Modules;
use crate::sema::record::Shared;
use crate::sema::value::{Tensor, Value};
use crate::source::{SourceMap, Span};
use crate::syntax::ast::{Expr, Test};

/// Values that `expect a ~ b` lets differ by, when it does not say `within`.
const WITHIN: f64 = 1e-6;

/// One `expect`: places in the list of the graph's outputs.
#[derive(Clone, Debug)]
pub struct Expectation {
    pub span: Span,
    /// 1 if it holds, else 0.
    pub holds: usize,
    /// Both sides of `a ~ b`, for the message.
    pub sides: Option<(usize, usize)>,
}

/// A test block as a graph, without inputs but random keys.
pub fn test_graph(
    modules: &Modules,
    sources: &SourceMap,
    test: &Test,
    float: DType,
    record: Option<Shared>,
) -> Result<(Graph, Vec<Expectation>), Vec<Diagnostic>> {
    let mut elab = Elab::new(modules, sources, float);
    elab.record = record;
    elab.inline_params = true;
    let frame = elab.new_frame(modules.main_id(), FrameKind::Eval, format!("test \"{}\"", test.name), String::new());
    elab.frames.push(frame);
    let result = elab.statements(&test.body.stmts);
    match result {
        Ok(_) if !elab.diags.iter().any(Diagnostic::is_error) => Ok((elab.graph, elab.expectations)),
        _ => Err(elab.diags),
    }
}

impl Elab<'_> {
    /// `expect condition`, `expect a ~ b within tolerance`.
    pub fn expect(&mut self, value: &Expr, near: Option<&Expr>, within: Option<&Expr>, span: Span) -> R<Value> {
        if self.frame().kind != FrameKind::Eval {
            return Err(self.fail(error("E0212", "'expect' belongs in a test block").at(span, "here")));
        }
        let left = self.operand(value)?;
        let (holds, sides) = match near {
            None => (self.tensor_of_type(left.value, DType::Bool, left.span)?, None),
            Some(near) => {
                let right = self.operand(near)?;
                let tolerance = match within {
                    Some(e) => self.operand(e)?,
                    None => Operand { value: Value::Float(WITHIN), span },
                };
                self.near(left, right, tolerance, span)?
            }
        };
        // All elements: the least of ones and zeros.
        let mut build = self.build(span);
        let ones = build.convert(holds.node, DType::F32);
        let axes: Vec<usize> = (0..build.graph.shape(ones).len()).collect();
        let all = build.reduce(ReduceKind::Min, ones, &axes);
        let sides = sides.map(|(x, y)| (self.observed(x), self.observed(y)));
        let holds = self.observed(Tensor::plain(all));
        self.expectations.push(Expectation { span, holds, sides });
        Ok(Value::Unit)
    }

    /// |a - b| <= tolerance, element by element. NaN is near nothing.
    fn near(
        &mut self,
        a: Operand,
        b: Operand,
        tolerance: Operand,
        span: Span,
    ) -> R<(Tensor, Option<(Tensor, Tensor)>)> {
        let float = self.float;
        let float_side = |this: &mut Self, o: Operand| -> R<Operand> {
            let value = Value::Tensor(this.tensor_of_type(o.value, float, o.span)?);
            Ok(Operand { value, span: o.span })
        };
        let (a, b) = (float_side(self, a)?, float_side(self, b)?);
        let (x, y) = self.unify(a, b, span)?;
        let mut build = self.build(span);
        let difference = build.binary(Binary::Sub, x.node, y.node);
        let distance = build.unary(Unary::Abs, difference);
        let distance = Operand { value: Value::Tensor(Tensor::plain(distance)), span };
        let (d, t) = self.unify(distance, tolerance, span)?;
        let holds = self.build(span).compare(Compare::Le, d.node, t.node);
        Ok((Tensor::plain(holds), Some((x, y))))
    }

    /// Adds an output; gives its place in the list.
    fn observed(&mut self, t: Tensor) -> usize {
        let place = self.graph.outputs.len();
        self.graph.add_output(format!("value{place}"), t.node, OutputKind::Value);
        place
    }
}
