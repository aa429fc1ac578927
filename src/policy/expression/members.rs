//! Members that a structure does not have, told without running: a misspelt `.?pidMod` is otherwise absent for ever,
//! and a check that reads it passes on every document.
//!
//! Knows no structure by itself. Says nothing where it cannot tell what a value is.

use super::functions::Function;
use super::node::{Expression, Fold, Node, NodeKind};
use super::value::Val;

/// What is known of a value before anything runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Nothing.
    Any,
    /// It has no members: a text, a number, a boolean.
    Scalar,
    /// A list of these.
    List(Box<Shape>),
    /// A map whose names are the user's own, to these.
    Map(Box<Shape>),
    /// A structure with known members.
    Structure(&'static str),
}

/// The structures there are.
pub trait Structures {
    /// What a member of a structure is. `None`: the structure has no such member.
    fn member(&self, structure: &'static str, member: &str) -> Option<Shape>;
}

/// A member that is read and that there is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownMember {
    /// Of which structure.
    pub structure: &'static str,
    /// Its name, as written.
    pub member: String,
    /// Where, in characters from 1.
    pub column: usize,
}

impl Expression {
    /// The members it reads that are not there, in the order in which they stand. `variables` are the shapes of its
    /// scope's variables, in order; what is missing there is [`Shape::Any`].
    #[must_use]
    pub fn unknown_members(&self, variables: &[Shape], structures: &dyn Structures) -> Vec<UnknownMember> {
        let mut walk = Walk { variables, structures, locals: Vec::new(), found: Vec::new() };
        walk.node(self.node());
        let mut found = walk.found;
        found.sort_by_key(|unknown| unknown.column);
        found
    }
}

struct Walk<'a> {
    variables: &'a [Shape],
    structures: &'a dyn Structures,
    locals: Vec<Shape>,
    found: Vec<UnknownMember>,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node) -> Shape {
        match &node.kind {
            NodeKind::Literal(Val::List(_) | Val::Map(_) | Val::Optional(_) | Val::Null) => Shape::Any,
            NodeKind::Literal(Val::Text(_) | Val::Bool(_) | Val::Int(_) | Val::UInt(_) | Val::Double(_)) => {
                Shape::Scalar
            }
            NodeKind::Variable { slot, .. } => self.variables.get(*slot).cloned().unwrap_or(Shape::Any),
            NodeKind::Local(level) => self.locals.get(*level).cloned().unwrap_or(Shape::Any),
            NodeKind::Select { of, field, .. } => {
                let of = self.node(of);
                self.select(&of, field, node.offset)
            }
            NodeKind::Has { of, field } => {
                let of = self.node(of);
                self.select(&of, field, node.offset);
                Shape::Scalar
            }
            NodeKind::Index { of, index, .. } => {
                let of = self.node(of);
                self.node(index);
                match (of, &index.kind) {
                    (Shape::List(element), _) => *element,
                    (of, NodeKind::Literal(Val::Text(name))) => self.select(&of, name, index.offset),
                    (Shape::Map(value), _) => *value,
                    (Shape::Any | Shape::Scalar | Shape::Structure(_), _) => Shape::Any,
                }
            }
            NodeKind::List(items) => {
                self.all(items);
                Shape::Any
            }
            NodeKind::Map(entries) => {
                for (key, value) in entries {
                    self.node(key);
                    self.node(value);
                }
                Shape::Any
            }
            NodeKind::Not(of) | NodeKind::Negate(of) | NodeKind::Matches { of, .. } => {
                self.node(of);
                Shape::Scalar
            }
            NodeKind::And(items) | NodeKind::Or(items) => {
                self.all(items);
                Shape::Scalar
            }
            NodeKind::Binary(_, left, right) => {
                self.node(left);
                self.node(right);
                Shape::Any
            }
            NodeKind::If(condition, then, otherwise) => {
                self.node(condition);
                let (then, otherwise) = (self.node(then), self.node(otherwise));
                if then == otherwise { then } else { Shape::Any }
            }
            NodeKind::Call { function, arguments } => self.call(*function, arguments),
            NodeKind::Fold { fold, range, filter, body } => {
                let range = self.node(range);
                let element = match &range {
                    Shape::List(element) => element.as_ref().clone(),
                    // Of a map, CEL goes over the keys.
                    Shape::Map(_) => Shape::Scalar,
                    Shape::Any | Shape::Scalar | Shape::Structure(_) => Shape::Any,
                };
                self.locals.push(element);
                if let Some(filter) = filter {
                    self.node(filter);
                }
                let body = self.node(body);
                self.locals.pop();
                match fold {
                    Fold::All | Fold::Exists | Fold::ExistsOne => Shape::Scalar,
                    Fold::Map => Shape::List(body.into()),
                    Fold::Filter => range,
                }
            }
        }
    }

    fn all(&mut self, items: &[Node]) {
        for item in items {
            self.node(item);
        }
    }

    /// An optional has the shape of what may be in it: only what hands it on keeps that.
    fn call(&mut self, function: Function, arguments: &[Node]) -> Shape {
        let shapes: Vec<Shape> = arguments.iter().map(|argument| self.node(argument)).collect();
        match function {
            Function::OptionalOf | Function::OrValue | Function::Or | Function::Value => {
                shapes.into_iter().next().unwrap_or(Shape::Any)
            }
            _ => Shape::Any,
        }
    }

    fn select(&mut self, of: &Shape, member: &str, offset: usize) -> Shape {
        match of {
            Shape::Structure(structure) => self.structures.member(structure, member).unwrap_or_else(|| {
                let member = member.chars().take(60).collect();
                self.found.push(UnknownMember { structure, member, column: offset + 1 });
                Shape::Any
            }),
            Shape::Map(value) => value.as_ref().clone(),
            Shape::Any | Shape::Scalar | Shape::List(_) => Shape::Any,
        }
    }
}
