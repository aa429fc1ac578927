//! Running an expression: a walk over its nodes that counts its steps.

use std::borrow::Cow;
use std::cell::Cell;

use serde_json::Value;

use super::access::{at, elements, error, has, known, mismatch, no_members, overflow, select};
use super::error::{EvalError, EvalErrorKind};
use super::functions::{Function, call, is_remembered};
use super::node::{Fold, Node, NodeKind};
use super::parser::Operator;
use super::value::{Entries, List, Mismatch, Val};

/// What one policy may take on one resource. A step is a node, an element, or 64 bytes of text; a thousand containers
/// with a hundred variables each, looked at once, are 300,000. At some 20 ns a step this is some 20 milliseconds. What
/// is made of a failure (its finding, its edits) is paid for too: that bounds memory.
pub const POLICY_STEPS: u64 = 1_000_000;

/// The longest text an expression may make. ECS takes 64 KiB for a whole task definition.
const MAX_TEXT: usize = 64 * 1024;

/// Steps left.
#[derive(Debug)]
pub struct Budget(Cell<u64>);

impl Budget {
    /// So many steps.
    #[must_use]
    pub const fn of(steps: u64) -> Self {
        Self(Cell::new(steps))
    }

    /// How many are left.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.0.get()
    }

    /// Takes steps; false when they are used up, and ever after.
    pub fn take(&self, steps: u64) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(steps));
        left >= steps
    }
}

/// The values of a scope's variables, in its order.
#[derive(Debug, Clone, Copy)]
pub struct Roots<'a> {
    /// The first variables; `None` where not observed.
    pub fixed: &'a [Option<&'a Value>],
    /// The others: what `as` binds.
    pub bound: &'a [&'a Value],
}

impl<'a> Roots<'a> {
    fn get(self, slot: usize) -> Option<&'a Value> {
        match self.fixed.get(slot) {
            Some(value) => *value,
            None => self.bound.get(slot - self.fixed.len()).copied(),
        }
    }
}

pub(super) struct Run<'a, 'b> {
    roots: Roots<'a>,
    budget: &'b Budget,
    locals: Vec<Val<'a>>,
}

type Answer<'a> = Result<Val<'a>, EvalError>;

impl<'a, 'b> Run<'a, 'b> {
    pub(super) const fn new(roots: Roots<'a>, budget: &'b Budget) -> Self {
        Self { roots, budget, locals: Vec::new() }
    }

    fn take(&self, steps: u64, node: &Node) -> Result<(), EvalError> {
        if self.budget.take(steps) {
            return Ok(());
        }
        Err(error(node, EvalErrorKind::Budget, "this takes too many steps on this document"))
    }

    pub(super) fn holds(&mut self, node: &'a Node) -> Result<bool, EvalError> {
        match self.value(node)? {
            Val::Bool(holds) => Ok(holds),
            other => {
                Err(error(node, EvalErrorKind::Type, format!("this is {}, neither true nor false", other.type_name())))
            }
        }
    }

    pub(super) fn value(&mut self, node: &'a Node) -> Answer<'a> {
        self.take(1, node)?;
        match &node.kind {
            NodeKind::Literal(Val::Text(text)) => Ok(Val::Text(Cow::Borrowed(text))),
            NodeKind::Literal(value) => Ok(value.clone()),
            NodeKind::Variable { slot, name } => match self.roots.get(*slot) {
                Some(value) => known(Val::of(value), node, name),
                None => Err(error(node, EvalErrorKind::NotObserved, format!("`{name}` is not known here"))),
            },
            NodeKind::Local(level) => match self.locals.get(*level) {
                Some(value) => Ok(value.clone()),
                None => Err(error(node, EvalErrorKind::Type, "this variable has no value")),
            },
            NodeKind::Select { of, field, optional } => {
                let of = self.value(of)?;
                select(of, field, *optional, node)
            }
            NodeKind::Has { of, field } => match self.value(of)? {
                Val::Map(entries) => has(&entries, field, node),
                Val::Optional(None) => Ok(Val::Bool(false)),
                Val::Optional(Some(value)) => match value.as_ref() {
                    Val::Map(entries) => has(entries, field, node),
                    other => Err(no_members(other, field, node)),
                },
                other => Err(no_members(&other, field, node)),
            },
            NodeKind::Index { of, index, optional } => {
                let of = self.value(of)?;
                let index = self.value(index)?;
                at(of, &index, *optional, node)
            }
            NodeKind::List(items) => {
                let items = items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?;
                Ok(Val::list(items))
            }
            NodeKind::Map(entries) => self.map_literal(entries),
            NodeKind::Not(of) => Ok(Val::Bool(!self.holds(of)?)),
            NodeKind::Negate(of) => match self.value(of)? {
                Val::Int(value) => value.checked_neg().map(Val::Int).ok_or_else(|| overflow(node)),
                Val::Double(value) => Ok(Val::Double(-value)),
                other => Err(error(node, EvalErrorKind::Type, format!("{} has no negative", other.type_name()))),
            },
            NodeKind::And(items) => self.connect(items, false),
            NodeKind::Or(items) => self.connect(items, true),
            NodeKind::Binary(operator, left, right) => self.binary(*operator, left, right, node),
            NodeKind::If(condition, then, otherwise) => {
                if self.holds(condition)? {
                    self.value(then)
                } else {
                    self.value(otherwise)
                }
            }
            NodeKind::Call { function, arguments } => self.call(*function, arguments, node),
            NodeKind::Matches { of, pattern } => match self.value(of)? {
                Val::Text(text) => {
                    self.take(text.len() as u64 / 16, node)?;
                    Ok(Val::Bool(pattern.is_match(&text)))
                }
                other => {
                    Err(error(node, EvalErrorKind::Type, format!("`matches` does not take {}", other.type_name())))
                }
            },
            NodeKind::Fold { fold, range, filter, body } => self.fold(*fold, range, filter.as_deref(), body, node),
        }
    }

    fn map_literal(&mut self, entries: &'a [(Node, Node)]) -> Answer<'a> {
        let mut made: Vec<(Cow<'a, str>, Val<'a>)> = Vec::with_capacity(entries.len());
        for (key_node, value) in entries {
            let key = match self.value(key_node)? {
                Val::Text(key) => key,
                other => {
                    let message = format!("{} is no key; keys are strings", other.type_name());
                    return Err(error(key_node, EvalErrorKind::Type, message));
                }
            };
            if made.iter().any(|(found, _)| *found == key) {
                return Err(error(key_node, EvalErrorKind::Type, "this key is there twice"));
            }
            made.push((key, self.value(value)?));
        }
        Ok(Val::Map(Entries::Made(made.into())))
    }

    /// `&&` and `||`. As in CEL, one operand that decides makes up for an error in another, on either side.
    fn connect(&mut self, items: &'a [Node], decisive: bool) -> Answer<'a> {
        let mut pending = None;
        for item in items {
            match self.holds(item) {
                Ok(value) if value == decisive => return Ok(Val::Bool(decisive)),
                Ok(_) => {}
                Err(why) if why.kind == EvalErrorKind::Budget => return Err(why),
                Err(why) => pending = pending.or(Some(why)),
            }
        }
        pending.map_or(Ok(Val::Bool(!decisive)), Err)
    }

    fn binary(&mut self, operator: Operator, left: &'a Node, right: &'a Node, node: &Node) -> Answer<'a> {
        let left = self.value(left)?;
        let right = self.value(right)?;
        match operator {
            Operator::Equal => self.equals(&left, &right, node).map(Val::Bool),
            Operator::NotEqual => self.equals(&left, &right, node).map(|equal| Val::Bool(!equal)),
            Operator::In => self.contains(&right, &left, node).map(Val::Bool),
            Operator::Less | Operator::LessEqual | Operator::Greater | Operator::GreaterEqual => {
                let order = left.order(&right).map_err(|why| mismatch(&why, operator, node))?;
                Ok(Val::Bool(order.is_some_and(|order| match operator {
                    Operator::Less => order.is_lt(),
                    Operator::LessEqual => order.is_le(),
                    Operator::Greater => order.is_gt(),
                    _ => order.is_ge(),
                })))
            }
            _ => self.arithmetic(operator, left, right, node),
        }
    }

    fn equals(&self, left: &Val<'a>, right: &Val<'a>, node: &Node) -> Result<bool, EvalError> {
        let mut work = 0;
        let equal = left.equals(right, &mut work);
        self.take(work, node)?;
        equal.map_err(|why| mismatch(&why, Operator::Equal, node))
    }

    fn contains(&self, container: &Val<'a>, wanted: &Val<'a>, node: &Node) -> Result<bool, EvalError> {
        match container {
            Val::List(list) => {
                let mut pending = None;
                for index in 0..list.len() {
                    let equal = match list {
                        List::Made(items) => items.get(index).map_or(Ok(false), |item| self.equals(item, wanted, node)),
                        List::Json(_) => known(list.get(index), node, "an element")
                            .and_then(|element| self.equals(&element, wanted, node)),
                    };
                    match equal {
                        Ok(true) => return Ok(true),
                        Ok(false) => {}
                        Err(why) if why.kind == EvalErrorKind::Budget => return Err(why),
                        Err(why) => pending = Some(why),
                    }
                }
                pending.map_or(Ok(false), Err)
            }
            Val::Map(entries) => match wanted {
                Val::Text(key) => Ok(entries.get(key).is_some()),
                other => Err(error(node, EvalErrorKind::Type, format!("{} is never a key", other.type_name()))),
            },
            other => Err(error(node, EvalErrorKind::Type, format!("{} contains nothing", other.type_name()))),
        }
    }

    fn arithmetic(&self, operator: Operator, left: Val<'a>, right: Val<'a>, node: &Node) -> Answer<'a> {
        let number = |value: Option<i64>| value.map(Val::Int).ok_or_else(|| overflow(node));
        match (operator, left, right) {
            (Operator::Add, Val::Int(left), Val::Int(right)) => number(left.checked_add(right)),
            (Operator::Subtract, Val::Int(left), Val::Int(right)) => number(left.checked_sub(right)),
            (Operator::Multiply, Val::Int(left), Val::Int(right)) => number(left.checked_mul(right)),
            (Operator::Divide, Val::Int(left), Val::Int(right)) => number(left.checked_div(right)),
            (Operator::Modulo, Val::Int(left), Val::Int(right)) => number(left.checked_rem(right)),
            (Operator::Add, Val::Double(left), Val::Double(right)) => Ok(Val::Double(left + right)),
            (Operator::Subtract, Val::Double(left), Val::Double(right)) => Ok(Val::Double(left - right)),
            (Operator::Multiply, Val::Double(left), Val::Double(right)) => Ok(Val::Double(left * right)),
            (Operator::Divide, Val::Double(left), Val::Double(right)) => Ok(Val::Double(left / right)),
            (Operator::Add, Val::Text(left), Val::Text(right)) => {
                let length = left.len() + right.len();
                self.take(length as u64 / 64, node)?;
                if length > MAX_TEXT {
                    return Err(error(node, EvalErrorKind::Budget, "this makes too long a text"));
                }
                Ok(Val::text(left.into_owned() + &right))
            }
            (Operator::Add, Val::List(left), Val::List(right)) => {
                self.take((left.len() + right.len()) as u64, node)?;
                let mut items = Vec::with_capacity(left.len() + right.len());
                for list in [left, right] {
                    for index in 0..list.len() {
                        items.push(known(list.get(index), node, "an element")?);
                    }
                }
                Ok(Val::list(items))
            }
            (_, left, right) => Err(mismatch(&Mismatch::Types(left.type_name(), right.type_name()), operator, node)),
        }
    }

    fn call(&mut self, function: Function, arguments: &'a [Node], node: &Node) -> Answer<'a> {
        // `x.orValue(y)`: y is looked at only where it is needed, so that an error in it does no harm elsewhere.
        if let (Function::OrValue, [of, otherwise]) = (function, arguments) {
            return match self.value(of)? {
                Val::Optional(Some(value)) => Ok(value.as_ref().clone()),
                Val::Optional(None) => self.value(otherwise),
                other => {
                    Err(error(node, EvalErrorKind::Type, format!("`orValue` does not take {}", other.type_name())))
                }
            };
        }
        let mut values = Vec::with_capacity(arguments.len());
        let mut size = 0;
        for argument in arguments {
            let value = self.value(argument)?;
            size += match &value {
                Val::Text(text) => text.len() / 16,
                Val::List(list) => list.len(),
                _ => 0,
            };
            values.push(value);
        }
        // Compiling a pattern costs some 30 µs. Literal ones are compiled on reading and do not come here.
        let extra = match (function, values.get(1)) {
            (Function::Matches, Some(Val::Text(pattern))) if !is_remembered(pattern) => 2000,
            _ => 0,
        };
        self.take(size as u64 + extra, node)?;
        let answer = call(function, &values).map_err(|(kind, message)| error(node, kind, message))?;
        match &answer {
            Val::Text(text) if text.len() > MAX_TEXT => {
                Err(error(node, EvalErrorKind::Budget, "this makes too long a text"))
            }
            _ => Ok(answer),
        }
    }

    fn fold(
        &mut self,
        fold: Fold,
        range: &'a Node,
        filter: Option<&'a Node>,
        body: &'a Node,
        node: &Node,
    ) -> Answer<'a> {
        let range = self.value(range)?;
        let elements = elements(range, node)?;
        let mut pending = None;
        let mut found = 0_u32;
        let mut made = Vec::new();
        for index in 0..elements.len() {
            let element = known(elements.get(index), node, "an element");
            let element = match element {
                Ok(element) => element,
                Err(why) => {
                    pending = Some(why);
                    continue;
                }
            };
            self.locals.push(element);
            let step = self.step(fold, filter, body, &mut made);
            self.locals.pop();
            match (fold, step) {
                (_, Err(why)) if why.kind == EvalErrorKind::Budget => return Err(why),
                (Fold::All, Ok(Some(false))) => return Ok(Val::Bool(false)),
                (Fold::Exists, Ok(Some(true))) => return Ok(Val::Bool(true)),
                (Fold::ExistsOne, Ok(Some(true))) => found += 1,
                (_, Ok(_)) => {}
                (_, Err(why)) => pending = Some(why),
            }
        }
        if let Some(why) = pending {
            return Err(why);
        }
        Ok(match fold {
            Fold::All => Val::Bool(true),
            Fold::Exists => Val::Bool(false),
            Fold::ExistsOne => Val::Bool(found == 1),
            Fold::Map | Fold::Filter => Val::list(made),
        })
    }

    /// One element: whether the condition holds, or `None` where something was made of it.
    fn step(
        &mut self,
        fold: Fold,
        filter: Option<&'a Node>,
        body: &'a Node,
        made: &mut Vec<Val<'a>>,
    ) -> Result<Option<bool>, EvalError> {
        if fold == Fold::Map {
            let wanted = match filter {
                Some(filter) => self.holds(filter)?,
                None => true,
            };
            if wanted {
                let value = self.value(body)?;
                made.push(value);
            }
            return Ok(None);
        }
        let holds = self.holds(body)?;
        if fold == Fold::Filter && holds {
            made.extend(self.locals.last().cloned());
        }
        Ok(Some(holds))
    }
}
