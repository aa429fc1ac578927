//! Syntax tree to checked nodes: names, arities, patterns, and what can never be a boolean.

use std::collections::BTreeSet;

use super::error::ExpressionError;
use super::functions::{Function, Style, pattern_of};
use super::node::{Fold, Node, NodeKind, Scope};
use super::parser::{Ast, AstKind, Literal, MAX_COMPREHENSIONS, Operator};
use super::value::Val;

/// What can be told of a value's type without running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StaticType {
    Any,
    Null,
    Bool,
    Number,
    Text,
    List,
    Map,
    Optional,
}

impl StaticType {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Optional => "an optional",
        }
    }

    /// The error, with what to do where an optional stands for what may be in it.
    pub(super) fn refused(self, offset: usize, message: String) -> ExpressionError {
        let error = ExpressionError::at(offset, message);
        if self == Self::Optional { error.help("add `.orValue(…)` for where it is empty") } else { error }
    }
}

pub(super) struct Resolved {
    pub(super) node: Node,
    pub(super) kind: StaticType,
    pub(super) reads: BTreeSet<usize>,
}

pub(super) fn resolve(tree: &Ast, scope: &Scope) -> Result<Resolved, ExpressionError> {
    let mut resolver = Resolver { scope, locals: Vec::new(), reads: BTreeSet::new() };
    let (node, kind) = resolver.node(tree)?;
    Ok(Resolved { node, kind, reads: resolver.reads })
}

struct Resolver<'s> {
    scope: &'s Scope,
    /// Variables of the comprehensions around, outermost first.
    locals: Vec<String>,
    reads: BTreeSet<usize>,
}

type Typed = (Node, StaticType);

impl Resolver<'_> {
    fn node(&mut self, tree: &Ast) -> Result<Typed, ExpressionError> {
        let (kind, static_type) = match &tree.kind {
            AstKind::Literal(literal) => constant(literal),
            AstKind::Name(name) => self.variable(name, tree.offset)?,
            AstKind::Select { of, field, optional } => {
                self.check_param(of, field, tree.offset)?;
                let (of, kind) = self.node(of)?;
                refuse(kind, &[StaticType::Any, StaticType::Map, StaticType::Optional], tree.offset, "has no members")?;
                let optional_result = *optional || kind == StaticType::Optional;
                let kind = NodeKind::Select { of: of.into(), field: field.clone(), optional: *optional };
                (kind, if optional_result { StaticType::Optional } else { StaticType::Any })
            }
            AstKind::Index { of, index, optional } => {
                let (of, kind) = self.node(of)?;
                let indexed = [StaticType::Any, StaticType::Map, StaticType::List, StaticType::Optional];
                refuse(kind, &indexed, tree.offset, "has no elements")?;
                let (index, _) = self.node(index)?;
                let optional_result = *optional || kind == StaticType::Optional;
                let kind = NodeKind::Index { of: of.into(), index: index.into(), optional: *optional };
                (kind, if optional_result { StaticType::Optional } else { StaticType::Any })
            }
            AstKind::List(items) => (list(self.all(items)?), StaticType::List),
            AstKind::Map(entries) => {
                let mut resolved = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    let (key_node, kind) = self.node(key)?;
                    refuse(kind, &[StaticType::Any, StaticType::Text], key.offset, "is no key; keys are strings")?;
                    resolved.push((key_node, self.node(value)?.0));
                }
                (NodeKind::Map(resolved), StaticType::Map)
            }
            AstKind::Not(of) => (NodeKind::Not(self.condition(of)?.into()), StaticType::Bool),
            AstKind::Negate(of) => {
                let (node, kind) = self.node(of)?;
                refuse(kind, &[StaticType::Any, StaticType::Number], of.offset, "has no negative")?;
                (NodeKind::Negate(node.into()), StaticType::Number)
            }
            AstKind::And(items) => (NodeKind::And(self.conditions(items)?), StaticType::Bool),
            AstKind::Or(items) => (NodeKind::Or(self.conditions(items)?), StaticType::Bool),
            AstKind::Binary(operator, left, right) => self.binary(*operator, left, right)?,
            AstKind::If(condition, then, otherwise) => {
                let condition = self.condition(condition)?;
                let (then, then_kind) = self.node(then)?;
                let (otherwise, otherwise_kind) = self.node(otherwise)?;
                let kind = if then_kind == otherwise_kind { then_kind } else { StaticType::Any };
                (NodeKind::If(condition.into(), then.into(), otherwise.into()), kind)
            }
            AstKind::Call { target, name, arguments } => self.call(target.as_deref(), name, arguments, tree.offset)?,
        };
        Ok((Node { kind, offset: tree.offset }, static_type))
    }

    fn all(&mut self, items: &[Ast]) -> Result<Vec<Node>, ExpressionError> {
        items.iter().map(|item| self.node(item).map(|(node, _)| node)).collect()
    }

    fn condition(&mut self, tree: &Ast) -> Result<Node, ExpressionError> {
        let (node, kind) = self.node(tree)?;
        refuse(kind, &[StaticType::Any, StaticType::Bool], tree.offset, "is never true or false")?;
        Ok(node)
    }

    fn conditions(&mut self, items: &[Ast]) -> Result<Vec<Node>, ExpressionError> {
        items.iter().map(|item| self.condition(item)).collect()
    }

    fn variable(&mut self, name: &str, offset: usize) -> Result<(NodeKind, StaticType), ExpressionError> {
        if let Some(level) = self.locals.iter().rposition(|local| local == name) {
            return Ok((NodeKind::Local(level), StaticType::Any));
        }
        if let Some(slot) = self.scope.slot(name) {
            self.reads.insert(slot);
            return Ok((NodeKind::Variable { slot, name: name.to_owned() }, StaticType::Any));
        }
        let known: Vec<&str> =
            self.scope.variables().iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
        let known = known.join("`, `");
        Err(ExpressionError::at(offset, format!("there is no variable `{}`", short(name)))
            .help(format!("here are `{known}`")))
    }

    fn check_param(&self, of: &Ast, field: &str, offset: usize) -> Result<(), ExpressionError> {
        let AstKind::Name(name) = &of.kind else { return Ok(()) };
        let Some(params) = self.scope.params().filter(|_| name == "params" && !self.locals.contains(name)) else {
            return Ok(());
        };
        if params.contains(field) {
            return Ok(());
        }
        let error = ExpressionError::at(offset, format!("the policy has no param `{}`", short(field)));
        Err(if params.is_empty() {
            error.help("declare it under `params`, with a default")
        } else {
            let known: Vec<&str> = params.iter().map(String::as_str).collect();
            error.help(format!("it has `{}`", known.join("`, `")))
        })
    }

    fn binary(
        &mut self,
        operator: Operator,
        left: &Ast,
        right: &Ast,
    ) -> Result<(NodeKind, StaticType), ExpressionError> {
        let (left_node, left_kind) = self.node(left)?;
        let (right_node, right_kind) = self.node(right)?;
        let known = |kind| kind != StaticType::Any && kind != StaticType::Null;
        let kind = match operator {
            Operator::Equal | Operator::NotEqual => {
                if known(left_kind) && known(right_kind) && left_kind != right_kind {
                    let message =
                        format!("`{}` compares {} with {}", operator.sign(), left_kind.name(), right_kind.name());
                    let optional = if left_kind == StaticType::Optional { left_kind } else { right_kind };
                    return Err(optional.refused(right.offset, message));
                }
                StaticType::Bool
            }
            Operator::In => {
                let containers = [StaticType::Any, StaticType::List, StaticType::Map];
                refuse(right_kind, &containers, right.offset, "contains nothing")?;
                StaticType::Bool
            }
            Operator::Less | Operator::LessEqual | Operator::Greater | Operator::GreaterEqual => {
                let ordered = [StaticType::Any, StaticType::Number, StaticType::Text, StaticType::Bool];
                refuse(left_kind, &ordered, left.offset, "has no order")?;
                refuse(right_kind, &ordered, right.offset, "has no order")?;
                StaticType::Bool
            }
            Operator::Add => {
                let added = [StaticType::Any, StaticType::Number, StaticType::Text, StaticType::List];
                refuse(left_kind, &added, left.offset, "cannot be added to")?;
                refuse(right_kind, &added, right.offset, "cannot be added")?;
                if left_kind == StaticType::Any { right_kind } else { left_kind }
            }
            Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Modulo => {
                let numbers = [StaticType::Any, StaticType::Number];
                refuse(left_kind, &numbers, left.offset, "is no number")?;
                refuse(right_kind, &numbers, right.offset, "is no number")?;
                StaticType::Number
            }
        };
        Ok((NodeKind::Binary(operator, left_node.into(), right_node.into()), kind))
    }

    fn call(
        &mut self,
        target: Option<&Ast>,
        name: &str,
        arguments: &[Ast],
        offset: usize,
    ) -> Result<(NodeKind, StaticType), ExpressionError> {
        match (target, name) {
            (None, "has") => return self.has(arguments, offset),
            (Some(target), "all") => return self.fold(Fold::All, target, arguments, offset),
            (Some(target), "exists") => return self.fold(Fold::Exists, target, arguments, offset),
            (Some(target), "exists_one" | "existsOne") => return self.fold(Fold::ExistsOne, target, arguments, offset),
            (Some(target), "map") => return self.fold(Fold::Map, target, arguments, offset),
            (Some(target), "filter") => return self.fold(Fold::Filter, target, arguments, offset),
            _ => {}
        }
        // `optional.of(x)` is a function with a dot in its name, unless there is a variable of that name.
        let namespaced = match target.map(|target| &target.kind) {
            Some(AstKind::Name(space)) if space == "optional" && self.scope.slot(space).is_none() => {
                Some(format!("optional.{name}"))
            }
            _ => None,
        };
        let (word, target) = namespaced.as_deref().map_or((name, target), |word| (word, None));
        let function = named(word, target.is_some(), offset)?;
        let given = arguments.len() + usize::from(target.is_some());
        let (least, most) = function.arity();
        if given < least || given > most {
            return Err(ExpressionError::at(offset, format!("`{word}` is given the wrong number of arguments"))
                .help(format!("it is written `{}`", function.usage())));
        }
        let mut nodes = Vec::with_capacity(given);
        if let Some(target) = target {
            nodes.push(self.node(target)?.0);
        }
        nodes.extend(self.all(arguments)?);
        if function == Function::Matches
            && let Some((pattern, offset)) = nodes.get(1).and_then(literal_text)
        {
            let pattern = pattern_of(pattern).map_err(|why| ExpressionError::at(offset, why))?;
            let of = nodes.swap_remove(0);
            return Ok((NodeKind::Matches { of: of.into(), pattern }, StaticType::Bool));
        }
        Ok((NodeKind::Call { function, arguments: nodes }, result_of(function)))
    }

    fn has(&mut self, arguments: &[Ast], offset: usize) -> Result<(NodeKind, StaticType), ExpressionError> {
        let [Ast { kind: AstKind::Select { of, field, optional: false }, .. }] = arguments else {
            return Err(ExpressionError::at(offset, "`has` takes a member, such as `has(container.user)`"));
        };
        self.check_param(of, field, offset)?;
        let (of, _) = self.node(of)?;
        Ok((NodeKind::Has { of: of.into(), field: field.clone() }, StaticType::Bool))
    }

    fn fold(
        &mut self,
        fold: Fold,
        range: &Ast,
        arguments: &[Ast],
        offset: usize,
    ) -> Result<(NodeKind, StaticType), ExpressionError> {
        let wrong = || {
            ExpressionError::at(offset, "this takes the name of a variable and an expression")
                .help("such as `list.all(x, x != '')`")
        };
        let (variable, filter, body) = match (fold, arguments) {
            (_, [variable, body]) => (variable, None, body),
            (Fold::Map, [variable, filter, body]) => (variable, Some(filter), body),
            _ => return Err(wrong()),
        };
        let AstKind::Name(variable) = &variable.kind else { return Err(wrong()) };
        let (range, kind) = self.node(range)?;
        refuse(kind, &[StaticType::Any, StaticType::List, StaticType::Map], offset, "has no elements")?;
        if self.locals.len() == MAX_COMPREHENSIONS {
            return Err(ExpressionError::at(
                offset,
                format!("comprehensions may nest {MAX_COMPREHENSIONS} deep, not deeper"),
            )
            .help("use `forEach` for the outer level"));
        }
        self.locals.push(variable.clone());
        let filter = filter.map(|filter| self.condition(filter)).transpose()?;
        let body = if fold == Fold::Map { self.node(body)?.0 } else { self.condition(body)? };
        self.locals.pop();
        let kind = if matches!(fold, Fold::Map | Fold::Filter) { StaticType::List } else { StaticType::Bool };
        Ok((NodeKind::Fold { fold, range: range.into(), filter: filter.map(Box::new), body: body.into() }, kind))
    }
}

fn named(word: &str, method: bool, offset: usize) -> Result<Function, ExpressionError> {
    let mut other_style = None;
    for function in Function::ALL.iter().copied().filter(|function| function.word() == word) {
        let fits = match function.style() {
            Style::Either => true,
            Style::Method => method,
            Style::Global => !method,
        };
        if fits {
            return Ok(function);
        }
        other_style = Some(function);
    }
    let error = ExpressionError::at(offset, format!("there is no function `{}`", short(word)));
    Err(match other_style {
        Some(function) => error.help(format!("it is written `{}`", function.usage())),
        None => {
            let words: Vec<&str> = Function::ALL.iter().map(|function| function.word()).collect();
            error.help(format!("there are has, all, exists, exists_one, filter, map, {}", words.join(", ")))
        }
    })
}

const fn result_of(function: Function) -> StaticType {
    match function {
        Function::Size | Function::ToInt | Function::ToDouble => StaticType::Number,
        Function::Contains
        | Function::StartsWith
        | Function::EndsWith
        | Function::Matches
        | Function::HasValue
        | Function::IsFargate => StaticType::Bool,
        Function::LowerAscii | Function::Join | Function::ToText | Function::RoleName => StaticType::Text,
        Function::Split => StaticType::List,
        Function::Image => StaticType::Map,
        Function::OptionalOf | Function::OptionalNone | Function::Or => StaticType::Optional,
        Function::OrValue | Function::Value => StaticType::Any,
    }
}

fn refuse(kind: StaticType, allowed: &[StaticType], offset: usize, problem: &str) -> Result<(), ExpressionError> {
    if allowed.contains(&kind) {
        return Ok(());
    }
    Err(kind.refused(offset, format!("this is {}, which {problem}", kind.name())))
}

fn constant(literal: &Literal) -> (NodeKind, StaticType) {
    let (value, kind) = match literal {
        Literal::Null => (Val::Null, StaticType::Null),
        Literal::Bool(value) => (Val::Bool(*value), StaticType::Bool),
        Literal::Int(value) => (Val::Int(*value), StaticType::Number),
        Literal::UInt(value) => (Val::UInt(*value), StaticType::Number),
        Literal::Double(value) => (Val::Double(*value), StaticType::Number),
        Literal::Text(value) => (Val::text(value.clone()), StaticType::Text),
    };
    (NodeKind::Literal(value), kind)
}

/// A list of literals is made once, on reading.
fn list(items: Vec<Node>) -> NodeKind {
    let literals: Option<Vec<Val<'static>>> = items
        .iter()
        .map(|item| match &item.kind {
            NodeKind::Literal(value) => Some(value.clone()),
            _ => None,
        })
        .collect();
    literals.map_or(NodeKind::List(items), |literals| NodeKind::Literal(Val::list(literals)))
}

fn literal_text(node: &Node) -> Option<(&str, usize)> {
    match &node.kind {
        NodeKind::Literal(Val::Text(text)) => Some((text, node.offset)),
        _ => None,
    }
}

/// User input in messages stays short.
fn short(name: &str) -> String {
    name.chars().take(60).collect()
}
