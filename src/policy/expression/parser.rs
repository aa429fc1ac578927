//! Tokens to a syntax tree, by precedence climbing, with every bound that keeps what follows small.

use super::error::ExpressionError;
use super::lexer::{Token, TokenKind, tokens};

/// The longest expression, in bytes. Kubernetes allows more; nobody proofreads more.
pub const MAX_SOURCE: usize = 2048;
/// How deep an expression may nest: brackets, members of members, and chains of arithmetic alike. It bounds the stack
/// of parsing, running and dropping: 40 levels stay far below the 2 MiB of a worker thread even in a debug build
/// (`the_deepest_expression_fits_a_small_stack`).
pub const MAX_DEPTH: usize = 40;
/// How deep `all`, `exists`, `exists_one`, `map` and `filter` may nest: every level multiplies the work.
pub const MAX_COMPREHENSIONS: usize = 2;
/// The longest list or map in an expression; longer ones belong into params.
pub const MAX_LIST: usize = 100;

/// A node of the syntax tree.
#[derive(Debug)]
pub(super) struct Ast {
    pub(super) kind: AstKind,
    /// In characters.
    pub(super) offset: usize,
    depth: usize,
}

#[derive(Debug)]
pub(super) enum AstKind {
    Literal(Literal),
    Name(String),
    Select { of: Box<Ast>, field: String, optional: bool },
    Index { of: Box<Ast>, index: Box<Ast>, optional: bool },
    Call { target: Option<Box<Ast>>, name: String, arguments: Vec<Ast> },
    List(Vec<Ast>),
    Map(Vec<(Ast, Ast)>),
    Not(Box<Ast>),
    Negate(Box<Ast>),
    And(Vec<Ast>),
    Or(Vec<Ast>),
    Binary(Operator, Box<Ast>, Box<Ast>),
    If(Box<Ast>, Box<Ast>, Box<Ast>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Text(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Operator {
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::In => "in",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
        }
    }
}

/// Parses a whole expression.
pub(super) fn parse(source: &str) -> Result<Ast, ExpressionError> {
    if source.len() > MAX_SOURCE {
        let message = format!("the expression has {} bytes; at most {MAX_SOURCE} are allowed", source.len());
        return Err(ExpressionError::at(0, message).help("split it into several checks, or move lists into params"));
    }
    let tokens = tokens(source)?;
    let mut parser = Parser { tokens: &tokens, at: 0, nesting: 0 };
    let tree = parser.expression()?;
    match parser.peek() {
        TokenKind::End => Ok(tree),
        found => Err(parser.unexpected(found, "an operator or the end")),
    }
}

/// CEL's binary operators by how tightly they bind.
const LEVELS: usize = 4;

fn binary(kind: &TokenKind) -> Option<(usize, Operator)> {
    Some(match kind {
        TokenKind::Sign("==") => (1, Operator::Equal),
        TokenKind::Sign("!=") => (1, Operator::NotEqual),
        TokenKind::Sign("<") => (1, Operator::Less),
        TokenKind::Sign("<=") => (1, Operator::LessEqual),
        TokenKind::Sign(">") => (1, Operator::Greater),
        TokenKind::Sign(">=") => (1, Operator::GreaterEqual),
        TokenKind::Name(name) if name == "in" => (1, Operator::In),
        TokenKind::Sign("+") => (2, Operator::Add),
        TokenKind::Sign("-") => (2, Operator::Subtract),
        TokenKind::Sign("*") => (3, Operator::Multiply),
        TokenKind::Sign("/") => (3, Operator::Divide),
        TokenKind::Sign("%") => (3, Operator::Modulo),
        _ => return None,
    })
}

/// CEL's reserved words: never names of variables.
const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    nesting: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &TokenKind {
        self.tokens.get(self.at).map_or(&TokenKind::End, |token| &token.kind)
    }

    fn offset(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |token| token.offset)
    }

    fn eat(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), TokenKind::Sign(found) if *found == sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), ExpressionError> {
        if self.eat(sign) {
            return Ok(());
        }
        Err(self.unexpected(self.peek(), &format!("`{sign}`")))
    }

    fn unexpected(&self, found: &TokenKind, wanted: &str) -> ExpressionError {
        let found = match found {
            TokenKind::End => "the end".to_owned(),
            TokenKind::Sign(sign) => format!("`{sign}`"),
            TokenKind::Name(name) => format!("`{}`", name.chars().take(40).collect::<String>()),
            TokenKind::Text(_) => "a string".to_owned(),
            TokenKind::Int(_) | TokenKind::UInt(_) | TokenKind::Double(_) => "a number".to_owned(),
        };
        ExpressionError::at(self.offset(), format!("expected {wanted}, found {found}"))
    }

    fn node(&self, offset: usize, kind: AstKind) -> Result<Ast, ExpressionError> {
        let depth = 1 + match &kind {
            AstKind::Literal(_) | AstKind::Name(_) => 0,
            AstKind::Select { of, .. } | AstKind::Not(of) | AstKind::Negate(of) => of.depth,
            AstKind::Index { of, index, .. } => of.depth.max(index.depth),
            AstKind::Call { target, arguments, .. } => {
                deepest(arguments.iter()).max(target.as_ref().map_or(0, |target| target.depth))
            }
            AstKind::List(items) | AstKind::And(items) | AstKind::Or(items) => deepest(items.iter()),
            AstKind::Map(entries) => deepest(entries.iter().flat_map(|(key, value)| [key, value])),
            AstKind::Binary(_, left, right) => left.depth.max(right.depth),
            AstKind::If(condition, then, otherwise) => condition.depth.max(then.depth).max(otherwise.depth),
        };
        if depth > MAX_DEPTH {
            return Err(too_deep(offset));
        }
        Ok(Ast { kind, offset, depth })
    }

    fn expression(&mut self) -> Result<Ast, ExpressionError> {
        self.nesting += 1;
        if self.nesting > MAX_DEPTH {
            return Err(too_deep(self.offset()));
        }
        let offset = self.offset();
        let condition = self.either()?;
        let tree = if self.eat("?") {
            let then = self.either()?;
            self.expect(":")?;
            let otherwise = self.expression()?;
            self.node(offset, AstKind::If(Box::new(condition), Box::new(then), Box::new(otherwise)))?
        } else {
            condition
        };
        self.nesting -= 1;
        Ok(tree)
    }

    fn either(&mut self) -> Result<Ast, ExpressionError> {
        let offset = self.offset();
        let first = self.both()?;
        let rest = self.chain("||", Self::both)?;
        if rest.is_empty() { Ok(first) } else { self.node(offset, AstKind::Or(prepended(first, rest))) }
    }

    fn both(&mut self) -> Result<Ast, ExpressionError> {
        let offset = self.offset();
        let first = self.binary(1)?;
        let rest = self.chain("&&", |parser| parser.binary(1))?;
        if rest.is_empty() { Ok(first) } else { self.node(offset, AstKind::And(prepended(first, rest))) }
    }

    fn chain(
        &mut self,
        sign: &str,
        mut operand: impl FnMut(&mut Self) -> Result<Ast, ExpressionError>,
    ) -> Result<Vec<Ast>, ExpressionError> {
        let mut rest = Vec::new();
        while self.eat(sign) {
            rest.push(operand(self)?);
        }
        Ok(rest)
    }

    fn binary(&mut self, level: usize) -> Result<Ast, ExpressionError> {
        if level == LEVELS {
            return self.unary();
        }
        let mut left = self.binary(level + 1)?;
        while let Some((_, operator)) = binary(self.peek()).filter(|(found, _)| *found == level) {
            let offset = self.offset();
            self.at += 1;
            let right = self.binary(level + 1)?;
            left = self.node(offset, AstKind::Binary(operator, Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Ast, ExpressionError> {
        let mut signs = Vec::new();
        loop {
            let offset = self.offset();
            if self.eat("!") {
                signs.push((offset, true));
            } else if self.eat("-") {
                signs.push((offset, false));
            } else {
                break;
            }
        }
        let mut tree = self.member()?;
        for (offset, not) in signs.into_iter().rev() {
            let of = Box::new(tree);
            tree = self.node(offset, if not { AstKind::Not(of) } else { AstKind::Negate(of) })?;
        }
        Ok(tree)
    }

    fn member(&mut self) -> Result<Ast, ExpressionError> {
        let mut tree = self.primary()?;
        loop {
            let offset = self.offset();
            let of = |tree| Box::new(tree);
            let kind = if self.eat(".?") {
                AstKind::Select { of: of(tree), field: self.field()?, optional: true }
            } else if self.eat(".") {
                let field = self.field()?;
                if self.eat("(") {
                    AstKind::Call { target: Some(of(tree)), name: field, arguments: self.list_until(")")? }
                } else {
                    AstKind::Select { of: of(tree), field, optional: false }
                }
            } else if self.eat("[?") {
                let index = Box::new(self.expression()?);
                self.expect("]")?;
                AstKind::Index { of: of(tree), index, optional: true }
            } else if self.eat("[") {
                let index = Box::new(self.expression()?);
                self.expect("]")?;
                AstKind::Index { of: of(tree), index, optional: false }
            } else {
                return Ok(tree);
            };
            tree = self.node(offset, kind)?;
        }
    }

    fn field(&mut self) -> Result<String, ExpressionError> {
        match self.peek().clone() {
            TokenKind::Name(name) => {
                self.at += 1;
                Ok(name)
            }
            found => Err(self.unexpected(&found, "the name of a member")),
        }
    }

    fn primary(&mut self) -> Result<Ast, ExpressionError> {
        let offset = self.offset();
        let token = self.peek().clone();
        if !matches!(token, TokenKind::End) {
            self.at += 1;
        }
        let kind = match token {
            TokenKind::Int(value) => AstKind::Literal(Literal::Int(value)),
            TokenKind::UInt(value) => AstKind::Literal(Literal::UInt(value)),
            TokenKind::Double(value) => AstKind::Literal(Literal::Double(value)),
            TokenKind::Text(text) => AstKind::Literal(Literal::Text(text)),
            TokenKind::Name(name) => match name.as_str() {
                "true" => AstKind::Literal(Literal::Bool(true)),
                "false" => AstKind::Literal(Literal::Bool(false)),
                "null" => AstKind::Literal(Literal::Null),
                word if RESERVED.contains(&word) => {
                    return Err(ExpressionError::at(offset, format!("`{word}` is a reserved word")));
                }
                _ if self.eat("(") => AstKind::Call { target: None, name, arguments: self.list_until(")")? },
                _ => AstKind::Name(name),
            },
            TokenKind::Sign("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                return Ok(inner);
            }
            TokenKind::Sign("[") => AstKind::List(self.list_until("]")?),
            TokenKind::Sign("{") => AstKind::Map(self.entries()?),
            found @ (TokenKind::Sign(_) | TokenKind::End) => {
                self.at -= usize::from(!matches!(found, TokenKind::End));
                return Err(self.unexpected(&found, "a value"));
            }
        };
        self.node(offset, kind)
    }

    /// The rest of a list after its opening bracket; a trailing comma is fine.
    fn list_until(&mut self, close: &str) -> Result<Vec<Ast>, ExpressionError> {
        let mut items = Vec::new();
        while !self.eat(close) {
            if items.len() == MAX_LIST {
                return Err(too_long(self.offset()));
            }
            items.push(self.expression()?);
            if !self.eat(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(items)
    }

    fn entries(&mut self) -> Result<Vec<(Ast, Ast)>, ExpressionError> {
        let mut entries = Vec::new();
        while !self.eat("}") {
            if entries.len() == MAX_LIST {
                return Err(too_long(self.offset()));
            }
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
            if !self.eat(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(entries)
    }
}

fn deepest<'a>(items: impl Iterator<Item = &'a Ast>) -> usize {
    items.map(|item| item.depth).max().unwrap_or(0)
}

fn prepended(first: Ast, mut rest: Vec<Ast>) -> Vec<Ast> {
    rest.insert(0, first);
    rest
}

fn too_deep(offset: usize) -> ExpressionError {
    ExpressionError::at(offset, format!("the expression nests deeper than {MAX_DEPTH} levels"))
        .help("split it into several checks; chains of + nest as brackets do")
}

fn too_long(offset: usize) -> ExpressionError {
    ExpressionError::at(offset, format!("a list in an expression may have at most {MAX_LIST} elements"))
        .help("make it a param of the policy")
}
