//! `minimize`: what is trained by which rule, and the rule's instantiation.
//!
//! A rule made of elementwise formulas and whole-tensor reductions runs once for all tensors of its group, which lie end
//! to end in one arena ([`Layout::Flat`]): one pass over memory, whatever the number of tensors. A rule that asks for a
//! tensor's own shape is instantiated for each tensor.

use super::apply::Argument;
use super::builtin::under;
use super::rule::{Context, Objective};
use super::train::{GroupSpec, Minimized};
use super::{Elab, Failed, FlatGroup, Frame, FrameKind, R, StateOwner};
use crate::diag::error;
use crate::ir::origin::Part;
use crate::ir::{InputKind, NodeId, Type};
use crate::sema::program::Report;
use crate::sema::value::{Instance, Layout, Tensor, Value};
use crate::source::Span;
use crate::syntax::ast::{DefKind, Expr, ExprKind, Minimize};
use indexmap::IndexSet;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// What a parameter is for, as `over … where role == …` may ask: the words that mean something in every model. A layer
/// may declare others.
pub const ROLES: &[&str] = &["weight", "bias", "norm", "embedding"];

/// What a parameter is for that says nothing about it.
fn usual_role(rank: usize) -> &'static str {
    if rank < 2 { "bias" } else { "weight" }
}

impl Elab<'_> {
    pub fn in_update(&self) -> bool {
        self.flat.is_some() || self.update_shape.is_some()
    }

    pub fn minimize(&mut self, m: &Minimize, span: Span) -> R<Value> {
        if self.frame().kind != FrameKind::Train {
            return Err(self.fail(error("E0212", "'minimize' belongs in the step of a train item").at(span, "here")));
        }
        let loss = self.operand(&m.loss)?;
        let float = self.float;
        let loss = self.tensor_of_type(loss.value, float, m.loss.span)?;
        let shape = self.shape_of(loss)?;
        if !shape.is_empty() {
            let found = self.type_text(&Value::Tensor(loss));
            let d = error("E0203", "what is minimized must be one number")
                .at(m.loss.span, format!("this is {found}"))
                .help("reduce it: `mean(…)` or `sum(…)`");
            let d = match &m.loss.kind {
                ExprKind::List(_) | ExprKind::Tuple(_) => {
                    d.help("several losses are one sum: `minimize a + 0.5 * b …`")
                }
                _ => self.wrap(d, m.loss.span, "mean"),
            };
            return Err(self.fail(d));
        }
        let mut specs: Vec<GroupSpec> = vec![];
        for group in &m.groups {
            let rule = self.expr(&group.optimizer)?;
            self.check_rule(&rule, group.optimizer.span)?;
            let params = self.group_params(group.over.as_ref(), group.filter.as_ref(), &specs, span)?;
            self.check_overlap(&params, &specs, group.optimizer.span)?;
            let rule = self.for_group(rule, &specs);
            let name = self.name_rule(&rule);
            specs.push(GroupSpec { name, params, rule, span: group.optimizer.span });
        }
        self.check_gaps(m, &specs)?;
        let everything = m.groups.iter().any(|g| g.over.is_none());
        self.steps.push(Minimized { loss: loss.node, loss_span: m.loss.span, everything, groups: specs });
        Ok(Value::Unit)
    }

    /// A rule that trains another group already (`let r = AdamW()`, then `over a with r, rest with r`): the same numbers,
    /// but states of its own, since states belong to the tensors of a group.
    fn for_group(&self, rule: Value, specs: &[GroupSpec]) -> Value {
        let groups = self.steps.iter().flat_map(|s| s.groups.iter()).chain(specs);
        let mut used = vec![];
        groups.for_each(|g| instances(&g.rule, &mut used));
        let mut here = vec![];
        instances(&rule, &mut here);
        let again = here.iter().any(|i| used.iter().any(|u| Rc::ptr_eq(u, i)));
        if again { without_names(&rule) } else { rule }
    }

    pub fn check_rule(&mut self, rule: &Value, at: Span) -> R<()> {
        if self.definition_of(rule).is_some_and(|def| def.kind == DefKind::Optimizer) {
            return Ok(());
        }
        let found = self.type_text(rule);
        Err(self.fail(
            error("E0204", format!("'with' takes an optimizer, not {found}"))
                .at(at, format!("this is {found}"))
                .help("for example `with AdamW(1e-3)`, after `use optimizers.AdamW`"),
        ))
    }

    /// The buffers of a rule are called after it: `adamw`, and `adamw2` for a second one.
    pub fn name_rule(&mut self, rule: &Value) -> String {
        let (def, instance) = match rule {
            Value::Def(def) => (*def, None),
            Value::Instance(i) => (i.def, Some(i.clone())),
            Value::Chain(parts) => return self.name_rule(&parts[parts.len() - 1].clone()),
            _ => unreachable!("rules were checked"),
        };
        if let Some(path) = instance.as_ref().and_then(|i| i.path.borrow().clone()) {
            return path;
        }
        let base = self.modules.def(def).name.name.to_lowercase();
        let frame = self.frame();
        let mut name = base.clone();
        let mut number = 2;
        while !frame.used_paths.insert(name.clone()) {
            name = format!("{base}{number}");
            number += 1;
        }
        if let Some(i) = instance {
            *i.path.borrow_mut() = Some(name.clone());
        }
        name
    }

    /// Paths of the parameters of one `over` clause.
    fn group_params(
        &mut self,
        over: Option<&Expr>,
        filter: Option<&Expr>,
        before: &[GroupSpec],
        span: Span,
    ) -> R<Vec<String>> {
        let taken = |p: &String| before.iter().any(|g| g.params.contains(p));
        let mut paths: Vec<String> = match over {
            None => self.params.keys().cloned().collect(),
            Some(Expr { kind: ExprKind::Name(name), .. }) if name == "rest" && self.local("rest").is_none() => {
                self.params.keys().filter(|p| !taken(p)).cloned().collect()
            }
            Some(target) => {
                let part = match self.expr(target)? {
                    Value::Instance(i) => self.path_of(&i),
                    Value::Part(path) => path.to_string(),
                    other => {
                        let found = self.type_text(&other);
                        return Err(self.fail(
                            error("E0204", format!("'over' takes a model or a part of one, not {found}"))
                                .at(target.span, format!("this is {found}")),
                        ));
                    }
                };
                let known: Vec<String> = self.params.keys().filter(|p| under(p, &part)).cloned().collect();
                if known.is_empty() {
                    let all: Vec<&str> = self.params.keys().map(String::as_str).collect();
                    let note = format!("parameters: {}", all.join(", "));
                    return Err(self.fail(
                        error("E0306", format!("'{part}' has no parameters"))
                            .at(target.span, "nothing is trained")
                            .note(note),
                    ));
                }
                known
            }
        };
        if let Some(filter) = filter {
            let mut kept = vec![];
            for path in &paths {
                if self.group_filter(filter, path)? {
                    kept.push(path.clone());
                }
            }
            if kept.is_empty() && !paths.is_empty() {
                let shown = |p: &String| format!("{p}: {}", self.ir_type_text(&self.params[p].ty));
                let among: Vec<String> = paths.iter().take(8).map(shown).collect();
                let d = error("E0306", "no parameter is like this").at(filter.span, "true of none of them");
                return Err(self.fail(d.note(format!("parameters: {}", among.join(", ")))));
            }
            paths = kept;
        }
        if paths.is_empty() {
            let at = over.map_or(span, |e| e.span);
            return Err(self.fail(
                error("E0306", "there is nothing to train here")
                    .at(at, "no parameter belongs to this group")
                    .help("call a layer that has parameters before `minimize`"),
            ));
        }
        Ok(paths)
    }

    /// `where rank >= 2 and name != "b"`: a compile-time condition on each parameter.
    fn group_filter(&mut self, filter: &Expr, path: &str) -> R<bool> {
        let shape = self.params[path].ty.shape.clone();
        self.frame().scopes.push(Default::default());
        self.define("rank", Value::Int(shape.len() as i64));
        self.define("shape", Value::shape(&shape));
        self.define("name", Value::Str(path.rsplit('.').next().unwrap_or(path).into()));
        self.define("path", Value::Str(path.into()));
        let slot = &self.params[path];
        let role = slot.role.clone().unwrap_or_else(|| usual_role(shape.len()).into());
        let layer = slot.layer.clone();
        self.define("layer", Value::Str(layer.into()));
        self.define("role", Value::Str(role.into()));
        // Each word once: a model has many parameters and few roles.
        let declared = self.params.values().filter_map(|p| p.role.as_deref());
        let words: IndexSet<&str> = declared.chain(ROLES.iter().copied()).collect();
        let words: Vec<String> = words.into_iter().map(String::from).collect();
        for word in words {
            self.define(&word, Value::Str(word.as_str().into()));
        }
        let value = self.expr(filter);
        self.frame().scopes.pop();
        match value? {
            Value::Bool(b) => Ok(b),
            other => {
                let found = self.type_text(&other);
                Err(self.fail(
                    error("E0211", "'where' chooses parameters at compile time, by rank, shape, name or path")
                        .at(filter.span, format!("this is {found}")),
                ))
            }
        }
    }

    /// Rules for parts that are chosen by a condition leave none of the whole out.
    fn check_gaps(&mut self, m: &Minimize, specs: &[GroupSpec]) -> R<()> {
        for group in &m.groups {
            let (Some(over), Some(filter)) = (&group.over, &group.filter) else { continue };
            let all = self.group_params(Some(over), None, &[], filter.span)?;
            let groups: Vec<&GroupSpec> = specs.iter().chain(self.steps.iter().flat_map(|s| &s.groups)).collect();
            let left: Vec<String> = all.into_iter().filter(|p| !groups.iter().any(|g| g.params.contains(p))).collect();
            if let Some(first) = left.first() {
                let more = if left.len() > 1 { format!(" and {} more", left.len() - 1) } else { String::new() };
                return Err(self.fail(
                    error("E0306", format!("no rule trains '{first}'{more}"))
                        .at(filter.span, "this condition leaves it out")
                        .help("name a rule for what is left: `…, rest with …`"),
                ));
            }
        }
        Ok(())
    }

    fn check_overlap(&mut self, params: &[String], specs: &[GroupSpec], at: Span) -> R<()> {
        let others = self.steps.iter().flat_map(|s| s.groups.iter()).chain(specs);
        let clash = others.flat_map(|g| g.params.iter().map(move |p| (p, g.span))).find(|(p, _)| params.contains(p));
        let Some((path, first)) = clash else { return Ok(()) };
        let path = path.clone();
        Err(self.fail(
            error("E0306", format!("'{path}' is trained by two rules"))
                .at(at, "the second one")
                .at(first, "the first one")
                .help("say which part each rule trains: `over net.body with …, rest with …`"),
        ))
    }

    /// Applies a rule to its group: adds states and updates. Gives the arena's new value. `flat` is the gradients end to
    /// end, if they come like that.
    pub fn update_group(
        &mut self,
        spec: &GroupSpec,
        grads: &[NodeId],
        flat: Option<NodeId>,
        loss: NodeId,
    ) -> R<NodeId> {
        let saved = (self.graph.clone(), self.states.len(), self.hypers.clone(), self.reports.len());
        let (named, schedules) = (self.named_inputs.clone(), self.schedules.clone());
        let params = spec.params.iter().map(|p| self.params[p].node).collect();
        let unknown = std::mem::take(&mut self.rule.unknown);
        let objective = Objective { loss, params, grads: grads.to_vec() };
        self.rule = Context::default();
        self.rule.objective = Some(objective);
        loop {
            self.rule.unknown = unknown.clone();
            self.rule.begin(0);
            let done = self.update_flat(spec, grads, flat, loss);
            self.flat = None;
            self.frames.truncate(1);
            if !matches!(done, Err(Failed::NeedsShape | Failed::Again)) {
                return done;
            }
            self.graph = saved.0.clone();
            self.states.truncate(saved.1);
            self.hypers = saved.2.clone();
            self.reports.truncate(saved.3);
            (self.named_inputs, self.schedules) = (named.clone(), schedules.clone());
            if done == Err(Failed::NeedsShape) {
                self.rule.unknown = unknown;
                return self.update_each(spec, grads, loss);
            }
        }
    }

    fn update_flat(&mut self, spec: &GroupSpec, grads: &[NodeId], flat: Option<NodeId>, loss: NodeId) -> R<NodeId> {
        let mut offsets = vec![0];
        for path in &spec.params {
            offsets.push(offsets[offsets.len() - 1] + self.params[path].ty.elements());
        }
        let group = FlatGroup { offsets: Arc::new(offsets) };
        let total = group.elements();
        let theta = self.arena_input(spec, total);
        let g = flat.unwrap_or_else(|| self.end_to_end(grads, spec.span));
        self.flat = Some(group);
        let lay = |node| Tensor { node, weak: false, layout: Layout::Flat };
        let new = self.run_rule(spec, lay(theta), lay(g), loss)?;
        let new = self.to_layout(new, Layout::Flat, spec.span)?;
        Ok(new.node)
    }

    /// The arena of the group's parameters, as an input of the graph.
    fn arena_input(&mut self, spec: &GroupSpec, total: usize) -> NodeId {
        let ty = Type::new(self.float, vec![total]);
        self.graph.add_input(spec.buffer(), ty, InputKind::Param, spec.span)
    }

    /// Tensor by tensor, in as many rounds as the rule has questions about the whole group.
    fn update_each(&mut self, spec: &GroupSpec, grads: &[NodeId], loss: NodeId) -> R<NodeId> {
        let (states, reports) = (self.states.len(), self.reports.len());
        loop {
            self.states.truncate(states);
            self.reports.truncate(reports);
            match self.update_round(spec, grads, loss) {
                Err(Failed::Waits) => self.answer_round()?,
                parts => return Ok(self.end_to_end(&parts?, spec.span)),
            }
        }
    }

    fn update_round(&mut self, spec: &GroupSpec, grads: &[NodeId], loss: NodeId) -> R<Vec<NodeId>> {
        let mut parts = vec![];
        let mut waits = false;
        for (index, (path, g)) in spec.params.iter().zip(grads).enumerate() {
            let (node, shape) = (self.params[path].node, self.params[path].ty.shape.clone());
            self.rule.begin(index);
            self.update_shape = Some(shape);
            self.update_suffix = format!("/{path}");
            let outside = self.graph.origin.clone();
            self.graph.origin = outside.tensor_of(path);
            let new = self.run_rule(spec, Tensor::plain(node), Tensor::plain(*g), loss);
            self.graph.origin = outside;
            self.update_shape = None;
            self.update_suffix.clear();
            self.frames.truncate(1);
            match new {
                Ok(new) => parts.push(new.node),
                Err(Failed::Waits) => waits = true,
                Err(failed) => {
                    self.tell_which_tensor(path, spec.span);
                    return Err(failed);
                }
            }
        }
        if waits { Err(Failed::Waits) } else { Ok(parts) }
    }

    fn run_rule(&mut self, spec: &GroupSpec, theta: Tensor, g: Tensor, loss: NodeId) -> R<Tensor> {
        let t = self.step_counter(spec.span);
        let span = spec.span;
        let arg = |value| Argument { name: None, value: Value::Tensor(value), span };
        let mut args = vec![arg(theta), arg(g), arg(t)];
        let inputs = match &spec.rule {
            Value::Def(def) => self.modules.def(*def).inputs.len(),
            Value::Instance(i) => self.modules.def(i.def).inputs.len(),
            _ => 3,
        };
        // A rule may ask for the loss as its fourth input, or for fewer than three.
        args.push(arg(Tensor::plain(loss)));
        args.truncate(inputs);
        let rule = match &spec.rule {
            // A bare name: its instance carries the group's name.
            Value::Def(def) => {
                let instance = self.instance(*def, vec![], span)?;
                *instance.path.borrow_mut() = Some(spec.name.clone());
                Value::Instance(instance)
            }
            other => other.clone(),
        };
        match self.apply_callee(rule, args, span)? {
            Value::Tensor(t) if t.node == theta.node && !self.evaluating => Err(self.unchanged(spec)),
            Value::Tensor(t) if self.evaluating => Ok(Tensor { node: self.rule.evaluated.unwrap_or(t.node), ..t }),
            Value::Tensor(t) => Ok(t),
            other => {
                let found = self.type_text(&other);
                Err(self
                    .fail(error("E0204", format!("the rule leaves {found} in the parameter")).at(span, "this rule")))
            }
        }
    }

    /// A rule that does not take a tensor's shape: which one, and how to keep it away from the rule.
    fn tell_which_tensor(&mut self, path: &str, rule: Span) {
        if let Some(d) = self.diags.last_mut()
            && d.code == "E0203"
            && d.primary() == Some(rule)
            && d.help.is_none()
        {
            d.notes.push(format!("it is '{path}'"));
            d.help =
                Some("give a rule the tensors that it is for: `over net where rank == 2 with …, rest with …`".into());
        }
    }

    /// A rule that leaves the parameter as it is.
    fn unchanged(&mut self, spec: &GroupSpec) -> super::Failed {
        let Some(input) = self.definition_of(&spec.rule).and_then(|d| d.inputs.first()).cloned() else {
            return self.fail(error("E0218", "the rule has no input to update").at(spec.span, "this rule"));
        };
        let name = input.name.name.clone();
        let mut d = error("E0218", format!("the rule never updates '{name}'"))
            .at(input.name.span, "it ends as it began")
            .at(spec.span, "used here")
            .help(format!("write `{name} <- {name} - …`"));
        if let (Some(path), Some(shape)) = (self.group_paths.get(self.rule.tensor), &self.update_shape) {
            d = d.note(format!("for '{path}', whose shape is {shape:?}"));
        }
        self.fail(d)
    }

    pub fn report(&mut self, items: &[Expr]) -> R<Value> {
        if self.frame().kind != FrameKind::Train {
            let at = items.first().map_or(Span::default(), |e| e.span);
            return Err(self.fail(
                error("E0212", "'report' belongs in the step of a train item")
                    .at(at, "here")
                    .help("in an optimizer, `observe` adds columns to the run's log"),
            ));
        }
        let mut failed = false;
        for item in items {
            match self.reported_value(item) {
                Ok(node) => {
                    let carried = self.reads_metric_state(node) || self.needs_the_pass(node);
                    if !carried && !self.graph.shape(node).is_empty() {
                        let found = self.type_text(&Value::Tensor(Tensor::plain(node)));
                        let d = error("E0203", "a reported value must be one number")
                            .at(item.span, format!("this is {found}"))
                            .note("a metric may report a table that it counts in a state")
                            .help("reduce it: `mean(…)`");
                        let d = self.wrap(d, item.span, "mean");
                        self.fail(d);
                        failed = true;
                        continue;
                    }
                    let name = self.report_name(item, "");
                    self.reports.push((Report { name, carried, train_only: false }, node));
                }
                Err(_) => failed = true,
            }
        }
        if failed { Err(Failed::Reported) } else { Ok(Value::Unit) }
    }

    /// Whether a value is made from what a metric counts: then its last value stands for a pass, not its mean.
    fn reads_metric_state(&self, node: NodeId) -> bool {
        let counters: Vec<NodeId> =
            self.states.values().filter(|s| s.owner == StateOwner::Metric).map(|s| s.input).collect();
        let mut seen = vec![false; node.index() + 1];
        let mut open = vec![node];
        while let Some(id) = open.pop() {
            if counters.contains(&id) {
                return true;
            }
            if !std::mem::replace(&mut seen[id.index()], true) {
                open.extend(&self.graph.node(id).args);
            }
        }
        false
    }

    fn reported_value(&mut self, item: &Expr) -> R<NodeId> {
        let outside = self.graph.origin.clone();
        self.graph.origin = outside.part_of(Part::Report);
        let made = self.expr(item).and_then(|value| self.to_tensor(value, Some(self.float), item.span));
        self.graph.origin = outside;
        let t = made?;
        self.shape_of(t)?;
        Ok(t.node)
    }

    /// `observe lr, norm(u)` in a rule: columns of training steps; a value for each tensor gives a column for each.
    pub fn observe(&mut self, items: &[Expr]) -> R<Value> {
        for item in items {
            let value = self.expr(item)?;
            let t = self.to_tensor(value, Some(self.float), item.span)?;
            let suffix = self.update_suffix.clone();
            if t.layout == Layout::PerTensor {
                let paths = self.group_paths.clone();
                for (k, path) in paths.iter().enumerate() {
                    let mut build = self.build(item.span);
                    let one = build.slice_axis(t.node, 0, k, k + 1);
                    let node = build.reshape(one, &[]);
                    let name = self.report_name(item, &format!("/{path}"));
                    self.reports.push((Report { name, carried: false, train_only: true }, node));
                }
                continue;
            }
            if t.layout == Layout::Flat || !self.shape_of(t)?.is_empty() {
                return Err(self.fail(
                    error("E0203", "an observed value must be one number (for each tensor)")
                        .at(item.span, "this has many")
                        .help("reduce it: `norm(…)`, `mean(…)`"),
                ));
            }
            let name = self.report_name(item, &suffix);
            self.reports.push((Report { name, carried: false, train_only: true }, t.node));
        }
        Ok(Value::Unit)
    }

    /// The metric's name, or the expression's text; numbered if it is there already.
    fn report_name(&mut self, item: &Expr, suffix: &str) -> String {
        let text = match &item.kind {
            ExprKind::Call(f, _) => match &f.kind {
                ExprKind::Name(name) if self.frame().kind == FrameKind::Train => name.clone(),
                _ => self.sources.text(item.span).to_string(),
            },
            _ => self.sources.text(item.span).to_string(),
        };
        let base = format!("{}{suffix}", text.split_whitespace().collect::<Vec<_>>().join(" "));
        let mut name = base.clone();
        let mut number = 2;
        while name == "loss" || self.reports.iter().any(|(r, _)| r.name == name) {
            name = format!("{base}_{number}");
            number += 1;
        }
        name
    }

    /// The frame of a train item's body.
    pub fn train_frame(&self, title: String) -> Frame {
        self.new_frame(self.modules.main_id(), FrameKind::Train, title, String::new())
    }
}

/// A rule's definitions with hyper-parameters, and those of the rules and transforms that it takes.
fn instances(value: &Value, found: &mut Vec<Rc<Instance>>) {
    match value {
        Value::Instance(i) => {
            found.push(i.clone());
            i.hypers.iter().for_each(|h| instances(h, found));
        }
        Value::Chain(parts) => parts.iter().for_each(|part| instances(part, found)),
        _ => {}
    }
}

/// The same rule, whose states are named anew.
fn without_names(value: &Value) -> Value {
    match value {
        Value::Instance(i) => {
            let hypers = i.hypers.iter().map(without_names).collect();
            Value::Instance(Rc::new(Instance { path: RefCell::new(None), hypers, ..**i }))
        }
        Value::Chain(parts) => Value::Chain(Rc::new(parts.iter().map(without_names).collect())),
        other => other.clone(),
    }
}
