//! Characters to tokens.

use super::error::ExpressionError;

/// One token with its offset in characters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) offset: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    Int(i64),
    UInt(u64),
    Double(f64),
    Text(String),
    Name(String),
    /// An operator or bracket.
    Sign(&'static str),
    End,
}

/// Longest first, so that `<=` is not `<` and `=`.
const SIGNS: &[&str] = &[
    "&&", "||", "==", "!=", "<=", ">=", "[?", ".?", "(", ")", "[", "]", "{", "}", ".", ",", ":", "?", "!", "-", "+",
    "*", "/", "%", "<", ">",
];

/// All tokens, the last one `End`.
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, ExpressionError> {
    let chars: Vec<char> = source.chars().collect();
    let mut lexer = Lexer { chars: &chars, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_space();
        let offset = lexer.at;
        let Some(first) = lexer.peek(0) else {
            tokens.push(Token { kind: TokenKind::End, offset });
            return Ok(tokens);
        };
        let kind = if first.is_ascii_digit() || (first == '.' && lexer.peek(1).is_some_and(|c| c.is_ascii_digit())) {
            lexer.number()?
        } else if let Some(raw) = lexer.quote_ahead() {
            TokenKind::Text(lexer.text(raw)?)
        } else if first.is_ascii_alphabetic() || first == '_' {
            TokenKind::Name(lexer.name())
        } else {
            lexer.sign()?
        };
        tokens.push(Token { kind, offset });
    }
}

struct Lexer<'a> {
    chars: &'a [char],
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn skip_space(&mut self) {
        while let Some(c) = self.peek(0) {
            if c == '/' && self.peek(1) == Some('/') {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
            } else if matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}') {
                self.at += 1;
            } else {
                return;
            }
        }
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek(0).is_some_and(&wanted) {
            self.at += 1;
        }
        self.chars.get(start..self.at).map(|taken| taken.iter().collect()).unwrap_or_default()
    }

    fn name(&mut self) -> String {
        self.take_while(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    fn sign(&mut self) -> Result<TokenKind, ExpressionError> {
        for sign in SIGNS {
            if sign.chars().enumerate().all(|(ahead, c)| self.peek(ahead) == Some(c)) {
                // `a ? .5 : 1` has no `.?`, and `x[?a:b]` does not exist: both pairs are optional syntax.
                self.at += sign.len();
                return Ok(TokenKind::Sign(sign));
            }
        }
        let found = self.peek(0).unwrap_or(' ');
        let error = ExpressionError::at(self.at, format!("`{}` means nothing here", found.escape_default()));
        Err(match found {
            '=' => error.help("equality is `==`"),
            '&' => error.help("and is `&&`"),
            '|' => error.help("or is `||`"),
            _ => error,
        })
    }

    fn number(&mut self) -> Result<TokenKind, ExpressionError> {
        let start = self.at;
        let bad = |what: &str| ExpressionError::at(start, format!("this number is {what}"));
        if self.peek(0) == Some('0') && matches!(self.peek(1), Some('x' | 'X')) {
            self.at += 2;
            let digits = self.take_while(|c| c.is_ascii_hexdigit());
            let value = u64::from_str_radix(&digits, 16).map_err(|_| bad("out of range"))?;
            return self.whole(value, start);
        }
        let mut text = self.take_while(|c| c.is_ascii_digit());
        let mut double = false;
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            double = true;
            self.at += 1;
            text.push('.');
            text.push_str(&self.take_while(|c| c.is_ascii_digit()));
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            let signed = matches!(self.peek(1), Some('+' | '-'));
            if self.peek(1 + usize::from(signed)).is_some_and(|c| c.is_ascii_digit()) {
                double = true;
                text.push('e');
                self.at += 1;
                if signed {
                    text.extend(self.peek(0));
                    self.at += 1;
                }
                text.push_str(&self.take_while(|c| c.is_ascii_digit()));
            }
        }
        if double {
            return match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(TokenKind::Double(value)),
                _ => Err(bad("out of range")),
            };
        }
        let value = text.parse::<u64>().map_err(|_| bad("out of range"))?;
        self.whole(value, start)
    }

    fn whole(&mut self, value: u64, start: usize) -> Result<TokenKind, ExpressionError> {
        if matches!(self.peek(0), Some('u' | 'U')) {
            self.at += 1;
            return Ok(TokenKind::UInt(value));
        }
        if self.peek(0).is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(ExpressionError::at(start, "this is neither a number nor a name"));
        }
        i64::try_from(value)
            .map(TokenKind::Int)
            .map_err(|_| ExpressionError::at(start, "this number is out of range").help("add `u` for an unsigned one"))
    }

    /// Whether a string starts here; `Some(true)` for a raw one.
    fn quote_ahead(&self) -> Option<bool> {
        match (self.peek(0), self.peek(1)) {
            (Some('"' | '\''), _) => Some(false),
            (Some('r' | 'R'), Some('"' | '\'')) => Some(true),
            _ => None,
        }
    }

    fn text(&mut self, raw: bool) -> Result<String, ExpressionError> {
        let start = self.at;
        self.at += usize::from(raw);
        let quote = self.peek(0).unwrap_or('"');
        let long = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        let width = if long { 3 } else { 1 };
        self.at += width;
        let mut text = String::new();
        loop {
            let Some(c) = self.peek(0) else {
                return Err(ExpressionError::at(start, "this string has no end"));
            };
            if (0..width).all(|ahead| self.peek(ahead) == Some(quote)) {
                self.at += width;
                return Ok(text);
            }
            if !long && matches!(c, '\n' | '\r') {
                return Err(ExpressionError::at(start, "this string has no end on its line"));
            }
            self.at += 1;
            if c == '\\' && !raw {
                text.push(self.escape()?);
            } else {
                text.push(c);
            }
        }
    }

    fn escape(&mut self) -> Result<char, ExpressionError> {
        let start = self.at.saturating_sub(1);
        let unknown = || {
            ExpressionError::at(start, "no such escape in a string")
                .help(r"a backslash is `\\`, or use r'…' for a raw string")
        };
        let c = self.peek(0).ok_or_else(unknown)?;
        self.at += 1;
        let digits = match c {
            'a' => return Ok('\u{7}'),
            'b' => return Ok('\u{8}'),
            'f' => return Ok('\u{c}'),
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            'v' => return Ok('\u{b}'),
            '\\' | '?' | '"' | '\'' | '`' => return Ok(c),
            'x' | 'X' => 2,
            'u' => 4,
            'U' => 8,
            _ => return Err(unknown()),
        };
        let mut code = 0_u32;
        for _ in 0..digits {
            let digit = self.peek(0).and_then(|c| c.to_digit(16)).ok_or_else(unknown)?;
            code = code.wrapping_mul(16).wrapping_add(digit);
            self.at += 1;
        }
        char::from_u32(code).ok_or_else(unknown)
    }
}
