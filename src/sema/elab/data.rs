//! `data` items to plain pipelines: the data module knows the sources and steps, not the syntax tree.

use super::{Elab, R};
use crate::data::spec::{Arg as SpecArg, Call, Column, Pipeline, Schema, Value as SpecValue};
use crate::diag::{Diagnostic, error};
use crate::ir::DType;
use crate::sema::modules::Modules;
use crate::sema::value::Value;
use crate::source::{SourceMap, Span};
use crate::syntax::ast::{Arg, Expr, ExprKind, Ident, Train, UnOp};
use std::rc::Rc;

impl Elab<'_> {
    /// The pipeline that a train item's `on` names, or spells out.
    pub fn train_data(&mut self, train: &Train) -> R<Pipeline> {
        let ExprKind::Name(name) = &train.data.kind else {
            return self.pipeline("data", &train.data);
        };
        let modules = self.modules;
        match modules.data(name) {
            Some(item) => self.pipeline(name, &item.value),
            None => {
                let known: Vec<&str> = modules.data_names().collect();
                Err(self.fail(
                    error("E0201", format!("unknown data '{name}'"))
                        .at(train.data.span, "no data item of this name")
                        .did_you_mean(train.data.span, name, known),
                ))
            }
        }
    }

    pub fn pipeline(&mut self, name: &str, expr: &Expr) -> R<Pipeline> {
        let mut steps = vec![];
        let mut source = expr;
        while let ExprKind::Pipe(left, right) = &source.kind {
            steps.push(self.data_call(right)?);
            source = left;
        }
        steps.reverse();
        Ok(Pipeline { name: name.into(), source: self.data_call(source)?, steps, span: expr.span })
    }

    fn data_call(&mut self, expr: &Expr) -> R<Call> {
        let (callee, args): (&Expr, &[Arg]) = match &expr.kind {
            ExprKind::Call(callee, args) => (callee, args),
            _ => (expr, &[]),
        };
        let Some(name) = dotted(callee) else {
            return Err(self.fail(
                error("E0407", "expected a data source or a step").at(expr.span, "for example `csv(\"file.csv\", …)`"),
            ));
        };
        let mut out = vec![];
        for arg in args {
            let value = self.data_value(&arg.value)?;
            out.push(SpecArg {
                name: arg.name.as_ref().map(|n| n.name.clone()),
                value,
                span: arg.value.span,
                named_at: arg.name.as_ref().map(|n| n.span),
            });
        }
        Ok(Call { name, args: out, span: expr.span })
    }

    /// Constants and hyper-parameters by value; other names stand for columns.
    fn data_value(&mut self, expr: &Expr) -> R<SpecValue> {
        Ok(match &expr.kind {
            ExprKind::Int(v) => SpecValue::Int(*v),
            ExprKind::Float(v) => SpecValue::Float(*v),
            ExprKind::Bool(v) => SpecValue::Bool(*v),
            ExprKind::Str(v) => SpecValue::Str(v.clone()),
            ExprKind::List(items) | ExprKind::Tuple(items) => {
                let items: R<Vec<SpecValue>> = items.iter().map(|e| self.data_value(e)).collect();
                SpecValue::List(items?)
            }
            ExprKind::Unary(UnOp::Neg, x) => match self.data_value(x)? {
                SpecValue::Int(v) => SpecValue::Int(-v),
                SpecValue::Float(v) => SpecValue::Float(-v),
                _ => return Err(self.not_data(expr.span)),
            },
            ExprKind::Name(name) => match self.local(name).cloned().or_else(|| self.data_constant(expr)) {
                Some(Value::Int(v)) => SpecValue::Int(v),
                Some(Value::Float(v)) => SpecValue::Float(v),
                Some(Value::Bool(v)) => SpecValue::Bool(v),
                Some(Value::Str(v)) => SpecValue::Str(v.to_string()),
                _ => SpecValue::Name(name.clone()),
            },
            ExprKind::Call(..) => SpecValue::Call(Box::new(self.data_call(expr)?)),
            ExprKind::Field(..) => match dotted(expr) {
                Some(name) => SpecValue::Name(name),
                None => return Err(self.not_data(expr.span)),
            },
            ExprKind::Binary(..) => match self.expr(expr)? {
                Value::Int(v) => SpecValue::Int(v),
                Value::Float(v) => SpecValue::Float(v),
                _ => return Err(self.not_data(expr.span)),
            },
            _ => return Err(self.not_data(expr.span)),
        })
    }

    fn data_constant(&mut self, expr: &Expr) -> Option<Value> {
        let ExprKind::Name(name) = &expr.kind else { return None };
        let module = self.frame().module;
        match self.modules.lookup(module, name)? {
            crate::sema::modules::Global::Const(_) => self.expr(expr).ok(),
            crate::sema::modules::Global::Def(_) => None,
        }
    }

    fn not_data(&mut self, at: Span) -> super::Failed {
        self.fail(
            error("E0407", "not a value for a data source")
                .at(at, "expected a number, a string, a list or a column's name"),
        )
    }
}

/// The data of a file: its data items, and what its train items spell out themselves.
pub fn pipelines(
    modules: &Modules,
    sources: &SourceMap,
    overrides: &[(String, Expr)],
) -> Result<Vec<Pipeline>, Vec<Diagnostic>> {
    let mut elab = Elab::new(modules, sources, DType::F32);
    let mut found = vec![];
    // A data item may take hyper-parameters of the training that names it.
    let trains: Vec<&Train> = modules.trains().collect();
    for name in modules.data_names() {
        let user = trains.iter().find(|train| matches!(&train.data.kind, ExprKind::Name(n) if n == name));
        let frame = elab.train_frame(format!("data {name}"));
        elab.frames.push(frame);
        if let Some(train) = user {
            elab.train_hypers(train, overrides);
        }
        if let Some(item) = modules.data(name) {
            found.extend(elab.pipeline(name, &item.value));
        }
        elab.frames.pop();
    }
    for train in trains.iter().filter(|train| !matches!(train.data.kind, ExprKind::Name(_))) {
        let frame = elab.train_frame(format!("train {}", train.name.name));
        elab.frames.push(frame);
        elab.train_hypers(train, overrides);
        found.extend(elab.pipeline(&train.name.name, &train.data));
        elab.frames.pop();
    }
    if elab.diags.iter().any(Diagnostic::is_error) { Err(elab.diags) } else { Ok(found) }
}

/// What a train item may ask about its data, beside the columns.
pub const DATA_FACTS: [&str; 2] = ["rows", "test_rows"];
/// What it may ask about a column.
pub const COLUMN_FACTS: [&str; 2] = ["classes", "shape"];

impl Elab<'_> {
    /// `corpus.text`, `corpus.rows`: columns first.
    pub fn data_field(&mut self, schema: Rc<Schema>, name: &Ident) -> R<Value> {
        if let Some(index) = schema.columns.iter().position(|c| c.name == name.name) {
            return Ok(Value::Column(schema, index));
        }
        match name.name.as_str() {
            "rows" => Ok(Value::Int(schema.train_rows as i64)),
            "test_rows" => Ok(Value::Int(schema.test_rows as i64)),
            other => {
                let known: Vec<&str> = schema.columns.iter().map(|c| c.name.as_str()).chain(DATA_FACTS).collect();
                Err(self.fail(
                    error("E0302", format!("the data has no column '{other}'"))
                        .at(name.span, "not a column")
                        .did_you_mean(name.span, other, known.iter().copied())
                        .note(format!("known here: {}", known.join(", "))),
                ))
            }
        }
    }

    /// `corpus.text.classes`: a number that is known when the program is compiled.
    pub fn column_field(&mut self, column: &Column, name: &Ident) -> R<Value> {
        match (name.name.as_str(), column.classes) {
            ("classes", Some(classes)) => Ok(Value::Int(classes as i64)),
            ("classes", None) => {
                let title = format!("the column '{}' has no classes", column.name);
                Err(self.fail(error("E0302", title).at(name.span, "only labels and tokens have classes")))
            }
            ("shape", _) => Ok(Value::shape(&column.shape)),
            (other, _) => Err(self.fail(
                error("E0302", format!("a column has no '{other}'"))
                    .at(name.span, "not known about a column")
                    .did_you_mean(name.span, other, COLUMN_FACTS)
                    .note(format!("known about a column: {}", COLUMN_FACTS.join(", "))),
            )),
        }
    }
}

/// `synthetic.digits` as one name.
fn dotted(expr: &Expr) -> Option<String> {
    match &expr.kind {
        ExprKind::Name(name) => Some(name.clone()),
        ExprKind::Field(base, name) => Some(format!("{}.{}", dotted(base)?, name.name)),
        _ => None,
    }
}
