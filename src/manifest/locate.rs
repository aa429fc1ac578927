//! From a place in an object to a place in a file: for what others find wrong with what was written.

use std::ops::Range;

use super::node::{Place, Places, Style};
use super::source::Fault;
use super::{Diagnostic, Sourced};
use crate::policy::PolicyError;

/// Says in which file and line a problem of an object's spec is, down to the character of an expression. What is not
/// written stands for the nearest thing around it. `None` where no such object is among `objects`: it comes from the store.
#[must_use]
pub fn locate(objects: &[Sourced], problem: &PolicyError) -> Option<Diagnostic> {
    let is_it = |one: &&Sourced| one.object.kind() == problem.kind && one.object.metadata.name == problem.name;
    let sourced = objects.iter().find(is_it)?;
    let pointer = format!("/spec{}", problem.pointer);
    let exact = sourced.places.get(&pointer);
    let nearest = place(&sourced.places, &pointer);
    let value = sourced.text_at(&pointer);
    let at = match (exact, problem.column, value) {
        (Some(place), Some(column), Some(value)) => {
            character(&sourced.source.text, place, &value, column.saturating_sub(1)).unwrap_or_else(|| place.shown())
        }
        _ => nearest.map_or(0..0, Place::shown),
    };
    let fault = Fault::at(at, problem.message.clone()).help(problem.help.clone());
    Some(sourced.source.diagnose(&fault))
}

impl Sourced {
    /// The string that a pointer into the object names.
    fn text_at(&self, pointer: &str) -> Option<String> {
        let object = serde_json::to_value(&self.object).ok()?;
        object.pointer(pointer)?.as_str().map(ToOwned::to_owned)
    }
}

/// The place of what `pointer` names, or of the nearest thing around it.
pub(super) fn place<'a>(places: &'a Places, pointer: &str) -> Option<&'a Place> {
    let mut pointer = pointer;
    loop {
        if let Some(place) = places.get(pointer) {
            return Some(place);
        }
        pointer = pointer.rsplit_once('/')?.0;
    }
}

/// The bytes of the character of `value` that `offset` others precede, in the text it was written as.
///
/// YAML folds lines, strips indentation and drops blanks, but never reorders: so the two are walked side by side, and
/// white space is skipped in both.
fn character(text: &str, place: &Place, value: &str, offset: usize) -> Option<Range<usize>> {
    let written = text.get(place.value.clone())?;
    let body = match place.style? {
        Style::Plain => 0,
        Style::SingleQuoted | Style::DoubleQuoted => 1,
        // The indicator's line may hold a comment.
        Style::Block if written.starts_with(['|', '>']) => written.find('\n')? + 1,
        Style::Block => 0,
    };
    let escapes = place.style == Some(Style::DoubleQuoted);
    let mut rest = written.get(body..)?;
    for (index, wanted) in value.chars().enumerate() {
        let escaped = escapes && rest.starts_with('\\');
        if wanted.is_whitespace() && !escaped {
            let blank = rest.chars().next().filter(|c| c.is_whitespace()).map_or(0, char::len_utf8);
            if index == offset {
                let at = place.value.start + (written.len() - rest.len());
                return Some(at..at + blank);
            }
            rest = rest.get(blank..)?;
            continue;
        }
        rest = rest.trim_start();
        let length = if escapes { escape_length(rest)? } else { plain_length(rest, wanted, place.style)? };
        if index == offset {
            let at = place.value.start + (written.len() - rest.len());
            return Some(at..at + length);
        }
        rest = rest.get(length..)?;
    }
    // Right after the last one: an expression that ends too early.
    let at = place.value.start + (written.len() - rest.len());
    Some(at..at)
}

/// How many bytes the next character takes, in a style without escapes but for `''`.
fn plain_length(rest: &str, wanted: char, style: Option<Style>) -> Option<usize> {
    if style == Some(Style::SingleQuoted) && wanted == '\'' && rest.starts_with("''") {
        return Some(2);
    }
    rest.starts_with(wanted).then(|| wanted.len_utf8())
}

/// How many bytes the next character takes between double quotes (YAML 1.2.2 §5.7).
fn escape_length(rest: &str) -> Option<usize> {
    let mut characters = rest.chars();
    match (characters.next()?, characters.next()) {
        ('\\', Some('x')) => Some(4),
        ('\\', Some('u')) => Some(6),
        ('\\', Some('U')) => Some(10),
        ('\\', Some(other)) => Some(1 + other.len_utf8()),
        (plain, _) => Some(plain.len_utf8()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::spec::Kind;

    /// The text from where the `offset`th character of `title` was written, to the end of that line.
    #[track_caller]
    fn check(title: &str, offset: usize, expected: &str) {
        let text = format!(
            "apiVersion: plimsoll/v1\nkind: Policy\nmetadata: {{name: p}}\nspec:\n  title: {title}\n  severity: low\n  \
             resource: Service\n  checks: [{{name: c, require: \"true\", message: m}}]\n"
        );
        let objects = crate::manifest::parse("p.yaml", &text).unwrap();
        let problem = PolicyError {
            kind: Kind::Policy,
            name: "p".to_owned(),
            pointer: "/title".to_owned(),
            column: Some(offset + 1),
            message: "wrong".to_owned(),
            help: None,
        };
        let found = locate(&objects, &problem).unwrap();
        let line = text.lines().nth(found.line - 1).unwrap();
        assert_eq!(line.chars().skip(found.column - 1).collect::<String>(), expected, "{title}");
    }

    #[test]
    fn a_character_is_found_in_every_style() {
        check("a.b == c", 2, "b == c");
        check("ä.b == c # why", 2, "b == c # why");
        check("'it''s b'", 3, "s b'");
        check("\"a \\u00e4 \\\" b\"", 6, "b\"");
        check("\"a \\n b\"", 4, "b\"");
        check("a.b\n    == c", 4, "== c");
        check("|\n    a ==\n      b\n", 9, "");
        check("|\n    a ==\n      b\n", 7, "b");
        check("|- # why\n    a ==\n      b\n", 7, "b");
        check(">-\n    a ==\n    b &&\n    c\n", 10, "c");
    }

    #[test]
    fn what_is_not_written_is_the_nearest_thing_around_it() {
        let mut places = Places::new();
        places.insert("/spec".to_owned(), Place { key: None, value: 3..4, style: None });
        assert_eq!(place(&places, "/spec/checks/0").map(|place| place.value.clone()), Some(3..4));
        assert_eq!(place(&places, "/other"), None);
    }
}
