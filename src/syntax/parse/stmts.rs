//! Blocks and statements.

use pest::iterators::Pair;

use super::{Builder, Built, Parts, Rule};
use crate::syntax::ast::{Block, Decl, Expr, ExprKind, Group, Minimize, Stmt, StmtKind};

impl Builder {
    pub(super) fn block(&mut self, pair: Pair<'_, Rule>) -> Built<Block> {
        let span = self.span(&pair);
        self.deeper(1, span)?;
        let mut stmts = vec![];
        for stmt in pair.into_inner() {
            stmts.push(self.stmt(stmt)?);
        }
        self.depth -= 1;
        Ok(Block { stmts, span })
    }

    pub(super) fn only_block(&mut self, parts: &Parts<'_>) -> Built<Block> {
        match parts.find(Rule::block) {
            Some(block) => self.block(block.clone()),
            None => Err(self.lost(parts.start)),
        }
    }

    pub(super) fn only_expr(&mut self, parts: &Parts<'_>) -> Built<Expr> {
        self.maybe_expr(parts)?.ok_or_else(|| self.lost(parts.start))
    }

    pub(super) fn maybe_expr(&mut self, parts: &Parts<'_>) -> Built<Option<Expr>> {
        parts.find(Rule::expr).map(|pair| self.expr(pair.clone())).transpose()
    }

    pub(super) fn exprs(&mut self, parts: &Parts<'_>) -> Built<Vec<Expr>> {
        parts.all(Rule::expr).map(|pair| self.expr(pair.clone())).collect()
    }

    pub(super) fn stmt(&mut self, pair: Pair<'_, Rule>) -> Built<Stmt> {
        let span = self.span(&pair);
        let rule = pair.as_rule();
        let parts = Parts::of(pair);
        let kind = match rule {
            Rule::let_stmt => {
                let names = match parts.find(Rule::let_names) {
                    Some(list) => self.idents(list),
                    None => vec![self.first_ident(&parts, parts.start)?],
                };
                StmtKind::Let { names, ty: self.type_note(&parts)?, value: self.only_expr(&parts)? }
            }
            Rule::param_stmt => StmtKind::Param(self.decl(&parts)?),
            Rule::state_stmt => StmtKind::State(self.decl(&parts)?),
            Rule::eval_stmt => {
                StmtKind::Eval { target: self.first_ident(&parts, parts.start)?, value: self.only_expr(&parts)? }
            }
            Rule::for_stmt => StmtKind::For {
                var: self.first_ident(&parts, parts.start)?,
                range: self.only_expr(&parts)?,
                body: self.only_block(&parts)?,
            },
            Rule::minimize_stmt => {
                let loss = self.only_expr(&parts)?;
                let groups = parts.all(Rule::group).map(|g| self.group(g.clone())).collect::<Built<_>>()?;
                StmtKind::Minimize(Minimize { loss, groups })
            }
            Rule::report_stmt => StmtKind::Report(self.exprs(&parts)?),
            Rule::observe_stmt => StmtKind::Observe(self.exprs(&parts)?),
            Rule::expect_stmt => {
                let mut exprs = self.exprs(&parts)?.into_iter();
                let value = exprs.next().ok_or_else(|| self.lost(parts.start))?;
                StmtKind::Expect { value, near: exprs.next(), within: exprs.next() }
            }
            Rule::expr_stmt => self.expr_stmt(&parts)?,
            _ => return Err(self.lost(parts.start)),
        };
        Ok(Stmt { kind, span })
    }

    fn expr_stmt(&mut self, parts: &Parts<'_>) -> Built<StmtKind> {
        let mut exprs = self.exprs(parts)?.into_iter();
        let first = exprs.next().ok_or_else(|| self.lost(parts.start))?;
        Ok(match exprs.next() {
            Some(value) => StmtKind::Update { target: first, value },
            None if self.is_if_statement(parts) => match first.kind {
                ExprKind::If(cond, then, otherwise) => StmtKind::If { cond: *cond, then, otherwise },
                _ => return Err(self.lost(parts.start)),
            },
            None => StmtKind::Expr(first),
        })
    }

    /// The statement is one `if` with braces, and nothing else.
    fn is_if_statement(&self, parts: &Parts<'_>) -> bool {
        let [expr] = parts.pairs.as_slice() else { return false };
        let mut operands = expr.clone().into_inner();
        match (operands.next(), operands.next()) {
            (Some(only), None) if only.as_rule() == Rule::if_expr => {
                only.into_inner().any(|p| p.as_rule() == Rule::block)
            }
            _ => false,
        }
    }

    fn decl(&mut self, parts: &Parts<'_>) -> Built<Decl> {
        Ok(Decl {
            whole: parts.find(Rule::kw_all).is_some(),
            name: self.first_ident(parts, parts.start)?,
            ty: self.type_note(parts)?,
            value: self.maybe_expr(parts)?,
        })
    }

    fn group(&mut self, pair: Pair<'_, Rule>) -> Built<Group> {
        let parts = Parts::of(pair);
        let mut exprs = self.exprs(&parts)?;
        let optimizer = exprs.pop().ok_or_else(|| self.lost(parts.start))?;
        let over = match parts.find(Rule::kw_rest) {
            Some(rest) => Some(Expr { kind: ExprKind::Name("rest".to_string()), span: self.span(rest) }),
            None => exprs.pop(),
        };
        let filter = match parts.find(Rule::filter) {
            Some(filter) => Some(self.only_expr(&Parts::of(filter.clone()))?),
            None => None,
        };
        Ok(Group { over, filter, optimizer })
    }
}
