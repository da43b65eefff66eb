//! Items: what stands at the top level of a file.

use pest::iterators::Pair;

use super::{Builder, Built, Parts, Rule};
use crate::diag::error;
use crate::syntax::ast::{
    Block, Const, Data, Def, DefKind, DimExpr, Experiment, Ident, Item, ItemKind, Param, Sample, Step, Stmt, StmtKind,
    Test, Train, TypeExpr, Use,
};

impl Builder {
    pub(super) fn item(&mut self, pair: Pair<'_, Rule>, doc: Option<String>) -> Built<Item> {
        let span = self.span(&pair);
        let rule = pair.as_rule();
        let parts = Parts::of(pair);
        let kind = match rule {
            Rule::use_item => ItemKind::Use(self.use_item(&parts)?),
            Rule::const_item => ItemKind::Const(Const {
                name: self.first_ident(&parts, parts.start)?,
                ty: self.type_note(&parts)?,
                value: self.only_expr(&parts)?,
            }),
            Rule::data_item => {
                ItemKind::Data(Data { name: self.first_ident(&parts, parts.start)?, value: self.only_expr(&parts)? })
            }
            Rule::def => ItemKind::Def(self.def(&parts)?),
            Rule::train_item => ItemKind::Train(self.train(&parts)?),
            Rule::experiment => {
                let is_sweep = parts.find(Rule::kw_sweep).is_some();
                let experiment = self.experiment(&parts)?;
                if is_sweep { ItemKind::Sweep(experiment) } else { ItemKind::Compare(experiment) }
            }
            Rule::test_item => {
                let name = parts.find(Rule::string).ok_or_else(|| self.lost(parts.start))?;
                ItemKind::Test(Test { name: self.text(name)?, body: self.only_block(&parts)? })
            }
            _ => return Err(self.lost(parts.start)),
        };
        Ok(Item { doc, kind, span })
    }

    fn use_item(&self, parts: &Parts<'_>) -> Built<Use> {
        let mut idents = parts.all(Rule::ident).map(|p| self.ident(p));
        let file = parts.find(Rule::string);
        let module = match file {
            Some(string) => {
                let span = self.span(string);
                crate::syntax::ast::Ident { name: self.text(string)?, span }
            }
            None => idents.next().ok_or_else(|| self.lost(parts.start))?,
        };
        let names = match parts.find(Rule::use_names) {
            Some(list) => Some(self.idents(list)),
            None if parts.find(Rule::use_all).is_some() => None,
            None => Some(idents.collect()),
        };
        Ok(Use { module, is_file: file.is_some(), names })
    }

    fn def(&mut self, parts: &Parts<'_>) -> Built<Def> {
        let kind = match parts.find(Rule::def_kind).map(|p| p.as_str()) {
            Some("fn") => DefKind::Fn,
            Some("init") => DefKind::Init,
            Some("layer") => DefKind::Layer,
            Some("model") => DefKind::Model,
            Some("loss") => DefKind::Loss,
            Some("metric") => DefKind::Metric,
            Some("schedule") => DefKind::Schedule,
            Some("transform") => DefKind::Transform,
            Some("optimizer") => DefKind::Optimizer,
            _ => return Err(self.lost(parts.start)),
        };
        let mut lists = vec![];
        lists.extend(parts.all(Rule::params));
        // One list is the inputs; of two, the first is the hyper-parameters.
        let (hypers, inputs) = match lists.as_slice() {
            [hypers, inputs, ..] => (self.hypers(hypers)?, self.params(inputs)?),
            [inputs] => (vec![], self.params(inputs)?),
            [] => (vec![], vec![]),
        };
        let result = match parts.find(Rule::result) {
            Some(result) => self.type_in(&Parts::of(result.clone()))?,
            None => None,
        };
        let body = match parts.find(Rule::block) {
            Some(block) => self.block(block.clone())?,
            None => {
                let value = self.only_expr(parts)?;
                let span = value.span;
                Block { stmts: vec![Stmt { kind: StmtKind::Expr(value), span }], span }
            }
        };
        Ok(Def { kind, name: self.first_ident(parts, parts.start)?, hypers, inputs, result, body })
    }

    fn params(&mut self, list: &Pair<'_, Rule>) -> Built<Vec<Param>> {
        let mut params = vec![];
        for pair in list.clone().into_inner() {
            let parts = Parts::of(pair);
            params.push(Param {
                name: self.first_ident(&parts, parts.start)?,
                ty: self.type_note(&parts)?,
                default: self.maybe_expr(&parts)?,
            });
        }
        Ok(params)
    }

    fn train(&mut self, parts: &Parts<'_>) -> Built<Train> {
        let hypers = match parts.find(Rule::params) {
            Some(list) => self.hypers(list)?,
            None => vec![],
        };
        let mut train = Train {
            name: self.first_ident(parts, parts.start)?,
            hypers,
            data: self.only_expr(parts)?,
            settings: vec![],
            objective: None,
            lets: vec![],
            step: None,
            sample: None,
        };
        let body = parts.find(Rule::train_body).ok_or_else(|| self.lost(parts.start))?;
        for entry in body.clone().into_inner() {
            match entry.as_rule() {
                Rule::setting => train.settings.push(self.setting(entry)?),
                Rule::objective => {
                    let objective = self.objective(entry)?;
                    if let Some((_, first)) = &train.objective {
                        return Err(error("E0101", "a training has one objective")
                            .at(objective.1.span, "this is a second one")
                            .at(first.span, "the first is here"));
                    }
                    train.objective = Some(objective);
                }
                Rule::let_stmt => train.lets.push(self.stmt(entry)?),
                Rule::step => {
                    let step = self.step(entry)?;
                    if let Some(first) = &train.step {
                        return Err(error("E0101", "a training has one 'step'")
                            .at(step.span, "this is a second one")
                            .at(first.span, "the first is here"));
                    }
                    train.step = Some(step);
                }
                Rule::sample => {
                    let sample = self.sample(entry)?;
                    if let Some(first) = &train.sample {
                        return Err(error("E0101", "a training has one 'sample'")
                            .at(sample.span, "this is a second one")
                            .at(first.span, "the first is here"));
                    }
                    train.sample = Some(sample);
                }
                _ => return Err(self.lost(parts.start)),
            }
        }
        Ok(train)
    }

    fn step(&mut self, pair: Pair<'_, Rule>) -> Built<Step> {
        let span = self.span(&pair);
        let parts = Parts::of(pair);
        let inputs = match parts.find(Rule::step_inputs) {
            Some(list) => self.idents(list),
            None => vec![],
        };
        Ok(Step { inputs, body: self.only_block(&parts)?, span })
    }

    fn sample(&mut self, pair: Pair<'_, Rule>) -> Built<Sample> {
        let span = self.span(&pair);
        let parts = Parts::of(pair);
        let args = match parts.find(Rule::call) {
            Some(call) => self.args(call.clone())?,
            None => vec![],
        };
        Ok(Sample { args, body: self.only_block(&parts)?, span })
    }

    fn setting(&mut self, pair: Pair<'_, Rule>) -> Built<(crate::syntax::ast::Ident, crate::syntax::ast::Expr)> {
        let parts = Parts::of(pair);
        Ok((self.first_ident(&parts, parts.start)?, self.only_expr(&parts)?))
    }

    fn experiment(&mut self, parts: &Parts<'_>) -> Built<Experiment> {
        let mut experiment = Experiment {
            train: self.first_ident(parts, parts.start)?,
            axes: vec![],
            settings: vec![],
            strategy: None,
            objective: None,
        };
        for pair in &parts.pairs {
            let rule = pair.as_rule();
            match rule {
                Rule::axis => experiment.axes.push(self.setting(pair.clone())?),
                Rule::setting => experiment.settings.push(self.setting(pair.clone())?),
                Rule::strategy => experiment.strategy = Some(self.only_expr(&Parts::of(pair.clone()))?),
                Rule::objective => experiment.objective = Some(self.objective(pair.clone())?),
                _ => {}
            }
        }
        Ok(experiment)
    }

    /// `minimizing test.loss`: whether it is to grow, and what.
    fn objective(&mut self, pair: Pair<'_, Rule>) -> Built<(bool, crate::syntax::ast::Expr)> {
        let parts = Parts::of(pair);
        Ok((parts.find(Rule::kw_maximizing).is_some(), self.only_expr(&parts)?))
    }

    /// The type of `name: type`, if one is written.
    pub(super) fn type_note(&mut self, parts: &Parts<'_>) -> Built<Option<TypeExpr>> {
        match parts.find(Rule::type_note) {
            Some(note) => {
                let role = self.role(parts)?;
                Ok(self.type_in(&Parts::of(note.clone()))?.map(|ty| TypeExpr { role, ..ty }))
            }
            None => Ok(None),
        }
    }

    /// `role norm`, which stands beside a type.
    fn role(&mut self, parts: &Parts<'_>) -> Built<Option<Ident>> {
        let Some(pair) = parts.find(Rule::role) else { return Ok(None) };
        let inner = Parts::of(pair.clone());
        self.first_ident(&inner, inner.start).map(Some)
    }

    /// Hyper-parameters have no roles: they are not values of the model.
    fn hypers(&mut self, list: &Pair<'_, Rule>) -> Built<Vec<Param>> {
        let hypers = self.params(list)?;
        match hypers.iter().find_map(|h| h.ty.as_ref()?.role.as_ref()) {
            Some(role) => Err(error("E0101", "a role belongs to a parameter, an input or a result")
                .at(role.span, "this is of a hyper-parameter")),
            None => Ok(hypers),
        }
    }

    fn type_in(&mut self, parts: &Parts<'_>) -> Built<Option<TypeExpr>> {
        let Some(pair) = parts.find(Rule::type_expr) else { return Ok(None) };
        let span = self.span(pair);
        let inner = Parts::of(pair.clone());
        let base = self.first_ident(&inner, inner.start)?;
        let dims = match inner.find(Rule::dims) {
            Some(list) => {
                let mut dims = vec![];
                for dim in list.clone().into_inner() {
                    dims.push(match dim.as_rule() {
                        Rule::rest_axes => DimExpr::Rest(self.span(&dim)),
                        _ => DimExpr::Size(self.expr(dim)?),
                    });
                }
                Some(dims)
            }
            None => None,
        };
        Ok(Some(TypeExpr { role: self.role(parts)?, base, dims, span }))
    }
}
