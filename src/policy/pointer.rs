//! JSON Pointers (RFC 6901) and the nodes they name. Knows nothing of what the nodes mean, but for which members of
//! ECS's JSON are maps.

use serde_json::Value;

use crate::model::document::UNRESOLVED;

/// What is wrong with a pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// It neither is empty nor begins with `/`.
    #[error("`{0}` is no JSON Pointer: it begins with `/`, or is empty")]
    NoSlash(String),
    /// `~` is followed by neither 0 nor 1.
    #[error("`{0}` is no JSON Pointer: `~` is written `~0`, `/` in a name `~1`")]
    Escape(String),
}

/// Its names and indexes, unescaped.
///
/// # Errors
/// Where it is no JSON Pointer.
pub fn tokens(pointer: &str) -> Result<Vec<String>, PointerError> {
    let short = || pointer.chars().take(80).collect();
    if pointer.is_empty() {
        return Ok(Vec::new());
    }
    let rest = pointer.strip_prefix('/').ok_or_else(|| PointerError::NoSlash(short()))?;
    rest.split('/').map(|token| unescape(token).ok_or_else(|| PointerError::Escape(short()))).collect()
}

fn unescape(token: &str) -> Option<String> {
    let mut name = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        name.push(match c {
            '~' => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            c => c,
        });
    }
    Some(name)
}

/// The pointer with these names and indexes.
pub fn pointer<S: AsRef<str>>(tokens: &[S]) -> String {
    let mut pointer = String::new();
    for token in tokens {
        push(&mut pointer, token.as_ref());
    }
    pointer
}

/// Adds one name or index to a pointer.
pub fn push(pointer: &mut String, token: &str) {
    pointer.push('/');
    if !token.contains(['~', '/']) {
        pointer.push_str(token);
        return;
    }
    for c in token.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}

/// The node of these tokens.
#[must_use]
pub fn get<'a, S: AsRef<str>>(document: &'a Value, tokens: &[S]) -> Option<&'a Value> {
    tokens.iter().try_fold(document, |node, token| child(node, token.as_ref()))
}

/// One step down.
#[must_use]
pub fn child<'a>(node: &'a Value, token: &str) -> Option<&'a Value> {
    match node {
        Value::Object(members) => members.get(token),
        Value::Array(items) => items.get(index(token)?),
        _ => None,
    }
}

/// The same for a change.
pub fn child_mut<'a>(node: &'a mut Value, token: &str) -> Option<&'a mut Value> {
    match node {
        Value::Object(members) => members.get_mut(token),
        Value::Array(items) => items.get_mut(index(token)?),
        _ => None,
    }
}

/// A token as an index: digits without a leading zero.
#[must_use]
pub fn index(token: &str) -> Option<usize> {
    let canonical = token == "0" || (!token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()));
    if canonical { token.parse().ok() } else { None }
}

/// One step of the way to an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'a> {
    Member(&'a str),
    Index(usize),
}

/// The pointer of a way.
pub(super) fn pointer_of(trail: &[Step<'_>]) -> String {
    let mut pointer = String::with_capacity(64);
    for step in trail {
        match step {
            Step::Member(name) => push(&mut pointer, name),
            Step::Index(index) => push(&mut pointer, &index.to_string()),
        }
    }
    pointer
}

/// A pointer in which `*` stands for every element of a list or member of a map, ending in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Each {
    tokens: Vec<String>,
}

/// Why the elements cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WrongShape {
    pub(super) path: String,
    pub(super) unresolved: bool,
}

/// Members of ECS's JSON that are maps (botocore ecs/2014-11-13). Everywhere else a `*` stands for the elements of a
/// list, and an object in its place makes no sense: going over its members, of which there may be none, would be a
/// pass on a document that ECS would not understand.
const MAPS: &[&str] = &["dockerLabels", "options", "driverOpts", "labels"];

impl Each {
    /// `None` unless it ends in `*`.
    pub(super) fn of(tokens: Vec<String>) -> Option<Self> {
        (tokens.last().map(String::as_str) == Some("*")).then_some(Self { tokens })
    }

    /// The names, indexes and stars of it.
    pub(super) fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// How many names it binds.
    pub(super) fn stars(&self) -> usize {
        self.tokens.iter().filter(|token| *token == "*").count()
    }

    /// How many steps lead to what the given star binds.
    pub(super) fn steps_to(&self, star: usize) -> usize {
        self.tokens.iter().enumerate().filter(|(_, token)| *token == "*").nth(star).map_or(0, |(at, _)| at + 1)
    }

    /// Visits every element with the way to it and what the stars bind. What is missing or null has no elements.
    ///
    /// # Errors
    /// Where something on the way is neither a list nor an object, or an object where ECS has a list.
    pub(super) fn visit<'a>(
        &'a self,
        document: &'a Value,
        seen: &mut dyn FnMut(&[Step<'a>], &[&'a Value]),
    ) -> Result<(), WrongShape> {
        Walk { trail: Vec::with_capacity(self.tokens.len()), bound: Vec::with_capacity(2), seen }.down(
            document,
            &self.tokens,
            "",
        )
    }
}

struct Walk<'a, 'v> {
    trail: Vec<Step<'a>>,
    bound: Vec<&'a Value>,
    seen: &'v mut dyn FnMut(&[Step<'a>], &[&'a Value]),
}

impl<'a> Walk<'a, '_> {
    fn down(&mut self, node: &'a Value, tokens: &'a [String], above: &str) -> Result<(), WrongShape> {
        if is_unresolved(node) {
            return Err(WrongShape { path: pointer_of(&self.trail), unresolved: true });
        }
        let Some((token, rest)) = tokens.split_first() else {
            (self.seen)(&self.trail, &self.bound);
            return Ok(());
        };
        match (token.as_str(), node) {
            (_, Value::Null) => Ok(()),
            ("*", Value::Array(items)) if !MAPS.contains(&above) => {
                self.all(items.iter().enumerate().map(|(index, item)| (Step::Index(index), item)), rest)
            }
            ("*", Value::Object(members)) if MAPS.contains(&above) => {
                self.all(members.iter().map(|(name, member)| (Step::Member(name), member)), rest)
            }
            ("*", _) => Err(WrongShape { path: pointer_of(&self.trail), unresolved: false }),
            (name, Value::Object(members)) => match members.get(name) {
                Some(member) => {
                    self.trail.push(Step::Member(name));
                    let done = self.down(member, rest, name);
                    self.trail.pop();
                    done
                }
                None => Ok(()),
            },
            _ => Err(WrongShape { path: pointer_of(&self.trail), unresolved: false }),
        }
    }

    /// One that cannot be known may stand for none or for several, and does not hide what is wrong with the others.
    fn all(
        &mut self,
        elements: impl Iterator<Item = (Step<'a>, &'a Value)>,
        rest: &'a [String],
    ) -> Result<(), WrongShape> {
        let mut unknown = Ok(());
        for (step, value) in elements {
            match self.bind(step, value, rest) {
                Err(wrong) if wrong.unresolved => unknown = unknown.and(Err(wrong)),
                done => done?,
            }
        }
        unknown
    }

    fn bind(&mut self, step: Step<'a>, value: &'a Value, rest: &'a [String]) -> Result<(), WrongShape> {
        self.trail.push(step);
        self.bound.push(value);
        let done = self.down(value, rest, "");
        self.bound.pop();
        self.trail.pop();
        done
    }
}

/// Whether it stands for a value that cannot be known.
pub(super) fn is_unresolved(node: &Value) -> bool {
    node.as_object().is_some_and(|members| members.len() == 1 && members.contains_key(UNRESOLVED))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn pointers_are_read_as_rfc_6901_says() {
        assert_eq!(tokens("").unwrap(), Vec::<String>::new());
        assert_eq!(tokens("/").unwrap(), [""]);
        assert_eq!(tokens("/a~1b/~0/0").unwrap(), ["a/b", "~", "0"]);
        assert!(tokens("a").is_err() && tokens("/a~2").is_err() && tokens("/~").is_err());
        assert_eq!(index("01"), None);
        assert_eq!(index("-"), None);
        assert_eq!(index("10"), Some(10));
    }

    proptest! {
        #[test]
        fn a_pointer_survives_the_round_trip(names in prop::collection::vec("[a~/*\u{0}é ]{0,4}", 0..5)) {
            prop_assert_eq!(tokens(&pointer(&names)).unwrap(), names);
        }
    }

    fn visited(document: &Value, path: &str) -> Result<Vec<(String, usize)>, WrongShape> {
        let each = Each::of(tokens(path).unwrap()).unwrap();
        let mut seen = Vec::new();
        each.visit(document, &mut |trail, bound| seen.push((pointer_of(trail), bound.len())))?;
        Ok(seen)
    }

    #[test]
    fn stars_stand_for_elements_and_for_members_of_maps() {
        let document = json!({"containerDefinitions": [
            {"environment": [{"name": "A"}, {"name": "B"}], "dockerLabels": {"a/b": "x"}},
            {"environment": null},
            {}
        ]});
        let found = visited(&document, "/containerDefinitions/*/environment/*").unwrap();
        assert_eq!(
            found,
            [
                ("/containerDefinitions/0/environment/0".to_owned(), 2),
                ("/containerDefinitions/0/environment/1".to_owned(), 2)
            ]
        );
        let found = visited(&document, "/containerDefinitions/*/dockerLabels/*").unwrap();
        assert_eq!(found, [("/containerDefinitions/0/dockerLabels/a~1b".to_owned(), 2)]);
        assert_eq!(visited(&document, "/missing/*").unwrap(), []);
    }

    #[test]
    fn an_object_where_ecs_has_a_list_is_no_pass() {
        for wrong in [json!({"containerDefinitions": {}}), json!({"containerDefinitions": "x"}), json!([]), json!(1)] {
            assert!(visited(&wrong, "/containerDefinitions/*").is_err(), "{wrong}");
        }
        let hidden = json!({"containerDefinitions": {"plimsoll:unresolved": "If"}});
        assert!(visited(&hidden, "/containerDefinitions/*").unwrap_err().unresolved);
        let among = json!({"containerDefinitions": [{"plimsoll:unresolved": "If"}, {"name": "a"}]});
        let each = Each::of(tokens("/containerDefinitions/*").unwrap()).unwrap();
        let mut seen = 0;
        assert!(each.visit(&among, &mut |_, _| seen += 1).unwrap_err().unresolved);
        assert_eq!(seen, 1, "the others are looked at all the same");
    }
}
