//! `sample(text, prompt = "…", length = 300, temperature = 0.8, top_k = 20) { net(text) }` in a train item: what the trained model
//! is asked to write. The block gives a score of every token for each place of a row of the column.

use super::evaluate::only_live;
use super::train::GroupSpec;
use super::{Elab, R};
use crate::data::spec::{Column, Schema};
use crate::diag::error;
use crate::ir::{DType, Graph, InputKind, NodeId, Op, OutputKind, Type};
use crate::sema::program::Sample;
use crate::sema::value::{Tensor, Value};
use crate::source::Span;
use crate::syntax::ast::{self, Expr, ExprKind};
use std::collections::HashMap;

const SETTINGS: [&str; 4] = ["prompt", "length", "temperature", "top_k"];
/// Most tokens of one sample.
const LONGEST: i64 = 1_000_000;

impl Elab<'_> {
    /// The sample's settings, and the node of its scores.
    pub fn sample(&mut self, item: &ast::Sample, schema: &Schema, data: &Expr) -> R<(Sample, NodeId)> {
        let column = self.sample_column(item, schema, data)?.clone();
        let context = column.shape.first().copied().unwrap_or(1);
        let mut sample = Sample {
            column: column.name.clone(),
            context,
            prompt: String::new(),
            length: 300,
            temperature: 1.0,
            top_k: None,
            span: item.span,
        };
        for arg in &item.args {
            let Some(name) = &arg.name else { continue };
            let (value, at) = (self.expr(&arg.value)?, arg.value.span);
            match (name.name.as_str(), &value) {
                ("prompt", Value::Str(text)) => (sample.prompt, sample.span) = (text.to_string(), at),
                ("length", Value::Int(n)) if (1..=LONGEST).contains(n) => sample.length = *n as usize,
                ("temperature", other) if other.number().is_some_and(|t| t >= 0.0 && t.is_finite()) => {
                    sample.temperature = other.number().unwrap_or(1.0);
                }
                ("top_k", Value::Int(n)) if *n > 0 => sample.top_k = Some(*n as usize),
                ("prompt", _) => return self.wrong_setting("prompt", "a text", &value, at),
                ("length", _) => return self.wrong_setting("length", "an integer from 1 to 1000000", &value, at),
                ("temperature", _) => return self.wrong_setting("temperature", "a number, 0 or more", &value, at),
                ("top_k", _) => return self.wrong_setting("top_k", "a positive integer", &value, at),
                (unknown, _) => {
                    let d = error("E0304", format!("unknown setting '{unknown}'"))
                        .at(name.span, "not a setting of a sample")
                        .did_you_mean(name.span, unknown, SETTINGS.iter().copied())
                        .note(format!("settings: {}", SETTINGS.join(", ")));
                    return Err(self.fail(d));
                }
            }
        }
        let ty = Type::new(DType::I32, vec![1, context]);
        // The step reads the column, too, as a rule.
        let known = self.graph.nodes.iter().position(|node| match node.op {
            Op::Input(index) => self.graph.inputs[index].name == column.name && node.ty == ty,
            _ => false,
        });
        let input = match known {
            Some(index) => NodeId(index as u32),
            None => self.graph.add_input(&column.name, ty, InputKind::Batch, item.span),
        };
        self.frame().scopes.push(HashMap::new());
        self.define(&column.name, Value::Tensor(Tensor::plain(input)));
        let value = self.statements(&item.body.stmts);
        self.frame().scopes.pop();
        let value = value?;
        let tokens = column.classes.unwrap_or(0);
        let Value::Tensor(scores) = value else {
            let found = self.type_text(&value);
            return Err(self.no_scores(item, &found, context, tokens));
        };
        if self.shape_of(scores)? != [1, context, tokens] || !self.graph.dtype(scores.node).is_float() {
            let found = self.type_text(&Value::Tensor(scores));
            return Err(self.no_scores(item, &found, context, tokens));
        }
        Ok((sample, scores.node))
    }

    fn no_scores(&mut self, item: &ast::Sample, found: &str, context: usize, tokens: usize) -> super::Failed {
        let at = item.body.stmts.last().map_or(item.span, |s| s.span);
        self.fail(
            error("E0309", "a sample needs a score of every token for each place of a row")
                .at(at, format!("this is {found}"))
                .help(format!("the block's value is float[1, {context}, {tokens}], such as `net(text)`")),
        )
    }

    fn wrong_setting<T>(&mut self, name: &str, wanted: &str, value: &Value, at: Span) -> R<T> {
        let found = self.type_text(value);
        Err(self.fail(error("E0204", format!("'{name}' takes {wanted}, not {found}")).at(at, "here")))
    }

    /// The first argument: a column of tokens.
    fn sample_column<'s>(&mut self, item: &ast::Sample, schema: &'s Schema, data: &Expr) -> R<&'s Column> {
        let mut columns = item.args.iter().filter(|arg| arg.name.is_none());
        let known = || schema.columns.iter().map(|c| c.name.as_str());
        let (Some(first), None) = (columns.next(), columns.next()) else {
            return Err(self.fail(
                error("E0202", "a sample reads one column")
                    .at(item.span, "here")
                    .help("write `sample(text, prompt = \"…\") { net(text) }`"),
            ));
        };
        let at = first.value.span;
        let name = match &first.value.kind {
            ExprKind::Name(name) => name.as_str(),
            _ => "",
        };
        let Some(column) = schema.columns.iter().find(|c| c.name == name) else {
            return Err(self.fail(
                error("E0302", format!("the data has no column '{name}'"))
                    .at(at, "not a column")
                    .at(data.span, format!("columns: {}", known().collect::<Vec<_>>().join(", ")))
                    .did_you_mean(at, name, known()),
            ));
        };
        if column.is_float || column.shape.len() != 1 || column.classes.is_none() {
            return Err(self.fail(
                error("E0309", format!("'{name}' is no column of tokens"))
                    .at(at, "a sample goes on writing a row of tokens")
                    .help("such columns come from `text(…)` and `synthetic.text(…)`"),
            ));
        }
        Ok(column)
    }

    /// A graph that computes the scores and nothing else.
    pub fn sample_graph(&mut self, groups: &[GroupSpec]) -> Option<Graph> {
        let (_, scores) = self.sample.take()?;
        self.graph.outputs.clear();
        self.graph.add_output("scores", scores, OutputKind::Value);
        Some(only_live(&self.with_arenas(groups)))
    }
}
