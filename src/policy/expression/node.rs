//! The checked form of an expression, and the way in.

use std::collections::BTreeSet;

use regex::Regex;

use super::error::{EvalError, ExpressionError};
use super::functions::Function;
use super::parser::{Operator, parse};
use super::resolve::{StaticType, resolve};
use super::run::{Budget, Roots, Run};
use super::value::Val;

/// What an expression may name.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    variables: Vec<String>,
    params: Option<BTreeSet<String>>,
}

impl Scope {
    /// Of these variables, in the order in which [`Roots`] will give their values.
    pub fn of<S: Into<String>>(variables: impl IntoIterator<Item = S>) -> Self {
        Self { variables: variables.into_iter().map(Into::into).collect(), params: None }
    }

    /// With more variables after those: the names that `as` binds.
    #[must_use]
    pub fn with<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.variables.extend(names.into_iter().map(Into::into));
        self
    }

    /// Where `params` has these members and no others.
    #[must_use]
    pub fn with_params<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.params = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// The variables, in order.
    #[must_use]
    pub fn variables(&self) -> &[String] {
        &self.variables
    }

    pub(super) fn slot(&self, name: &str) -> Option<usize> {
        // The last one wins: a bound name hides a variable of the same name.
        self.variables.iter().rposition(|variable| variable == name)
    }

    pub(super) const fn params(&self) -> Option<&BTreeSet<String>> {
        self.params.as_ref()
    }
}

/// A checked expression, ready to run on any thread.
#[derive(Debug)]
pub struct Expression {
    source: String,
    node: Node,
    reads: BTreeSet<usize>,
}

impl Expression {
    /// Reads an expression that must give true or false.
    ///
    /// # Errors
    /// Where it is too long or too deep, does not parse, names a variable, param or function that does not exist,
    /// gives a function the wrong number of arguments, or can never be a boolean.
    pub fn condition(source: &str, scope: &Scope) -> Result<Self, ExpressionError> {
        let (expression, kind, offset) = Self::read(source, scope)?;
        match kind {
            StaticType::Bool | StaticType::Any => Ok(expression),
            other => Err(other.refused(offset, format!("this is {}, never true or false", other.name()))),
        }
    }

    /// Reads an expression that may give any value, as in an edit or a message.
    ///
    /// # Errors
    /// As [`Expression::condition`], but for the type.
    pub fn value(source: &str, scope: &Scope) -> Result<Self, ExpressionError> {
        Self::read(source, scope).map(|(expression, ..)| expression)
    }

    fn read(source: &str, scope: &Scope) -> Result<(Self, StaticType, usize), ExpressionError> {
        let tree = parse(source)?;
        let offset = tree.offset;
        let resolved = resolve(&tree, scope)?;
        let expression = Self { source: source.to_owned(), node: resolved.node, reads: resolved.reads };
        Ok((expression, resolved.kind, offset))
    }

    pub(super) const fn node(&self) -> &Node {
        &self.node
    }

    /// As it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it reads the variable in this place of its [`Scope`].
    #[must_use]
    pub fn reads(&self, slot: usize) -> bool {
        self.reads.contains(&slot)
    }

    /// Its value, borrowed from the documents where it can be.
    ///
    /// # Errors
    /// Where it reads what was not observed or is not there, where types do not fit, or where the budget is used up.
    pub fn run<'a>(&'a self, roots: Roots<'a>, budget: &Budget) -> Result<Val<'a>, EvalError> {
        Run::new(roots, budget).value(&self.node)
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// As [`Expression::run`], and where the value is no boolean.
    pub fn holds(&self, roots: Roots<'_>, budget: &Budget) -> Result<bool, EvalError> {
        Run::new(roots, budget).holds(&self.node)
    }
}

/// A node with its place in the source, in characters.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    pub(super) offset: usize,
}

#[derive(Debug)]
pub(super) enum NodeKind {
    Literal(Val<'static>),
    /// A variable of the scope.
    Variable {
        slot: usize,
        name: String,
    },
    /// A variable of the comprehension that is so many levels in.
    Local(usize),
    Select {
        of: Box<Node>,
        field: String,
        optional: bool,
    },
    Has {
        of: Box<Node>,
        field: String,
    },
    Index {
        of: Box<Node>,
        index: Box<Node>,
        optional: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    If(Box<Node>, Box<Node>, Box<Node>),
    Call {
        function: Function,
        arguments: Vec<Node>,
    },
    Matches {
        of: Box<Node>,
        pattern: Regex,
    },
    Fold {
        fold: Fold,
        range: Box<Node>,
        filter: Option<Box<Node>>,
        body: Box<Node>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}
