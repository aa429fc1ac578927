//! What may be told of a text that somebody else wrote, ECS above all: its words quote what it was given, a command it
//! cannot find or a value it does not take, and that may be a secret.
//!
//! [`mask`](super::mask) says what of a document may not be shown; here the same is kept out of free text. Only what people
//! read and what is recorded goes through here: nothing is decided by a text with holes.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use serde_json::Value;

use super::mask::{MASKED, hidden_texts};

/// The least length, in characters, of a hidden text that is looked for inside other words. Three letters are part of too
/// many of them. A shorter one is masked where it stands alone, as `5` in `exit 5`: a secret may be short, and a hole in a
/// sentence costs less.
const LEAST_INSIDE: usize = 4;

/// The least length, in characters, of a word of a hidden text that is masked by itself: of a command line, say, of which
/// ECS quotes the program. Shorter ones are words of ECS's own as often as not, `exec` or `task`.
const LEAST_PART: usize = 8;

/// What no text may hold that is told: everything that the masks hide of some documents.
///
/// By default nothing is known of them, and then what a text may have from them is left out whole: see [`Self::words`].
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secrets {
    texts: BTreeSet<String>,
    /// Whether these are all that a text may quote.
    complete: bool,
}

/// Never what they are.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({}{})", self.texts.len(), if self.complete { "" } else { " and others" })
    }
}

impl Secrets {
    /// Of these bare documents, which are all that a text can speak of.
    #[must_use]
    pub fn of<'a>(documents: impl IntoIterator<Item = &'a Value>) -> Self {
        let mut texts = BTreeSet::new();
        for text in documents.into_iter().flat_map(hidden_texts) {
            let parts = text.split(|c: char| c.is_whitespace() || c == '=');
            texts.extend(parts.filter(|part| is_at_least(LEAST_PART, part)).map(ToOwned::to_owned));
            // As a program quotes it (Go's `%q`, JSON).
            let quoted = Value::from(text).to_string();
            texts.extend(quoted.get(1..quoted.len().saturating_sub(1)).map(ToOwned::to_owned));
            texts.insert(text.to_owned());
        }
        // Of white space alone nothing is to be told.
        texts.retain(|text| !text.trim().is_empty());
        Self { texts, complete: true }
    }

    /// The same, where a text may also speak of documents that are not known.
    #[must_use]
    pub fn and_others(self) -> Self {
        Self { complete: false, ..self }
    }

    /// A text as it may be told: `***` for each secret in it, also for the beginning of one at which the text was cut off.
    ///
    /// Where not every document is known that the text may quote: of an error that a runtime or a service passed on, such
    /// as `CannotStartContainerError: …`, only its name; of any other text what stands outside of quotes.
    ///
    /// Not found are a secret that is written in yet another way (in base64, in capitals) and a part of one that is no
    /// word of it, such as the password in the middle of a URL.
    #[must_use]
    pub fn words(&self, text: &str) -> String {
        let (long, short): (Vec<&str>, Vec<&str>) =
            self.texts.iter().map(String::as_str).partition(|secret| is_at_least(LEAST_INSIDE, secret));
        let mut holes: Vec<Range<usize>> = long.iter().flat_map(|secret| places(text, secret)).collect();
        holes.extend(long.iter().filter_map(|secret| cut_off(text, secret)));
        let told = without(text, holes);
        // Only now: beside a hole, a short one stands alone.
        let told = without(&told, short.iter().flat_map(|secret| places(&told, secret)).collect());
        if self.complete { told } else { unquoted(&told) }
    }
}

fn is_at_least(least: usize, text: &str) -> bool {
    text.chars().nth(least - 1).is_some()
}

/// Where a secret stands in a text, places that overlap included.
fn places(text: &str, secret: &str) -> Vec<Range<usize>> {
    let step = secret.chars().next().map_or(1, char::len_utf8);
    let inside = is_at_least(LEAST_INSIDE, secret);
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find(secret)) {
        let place = from + at..from + at + secret.len();
        from = place.start + step;
        if inside || stands_alone(text, &place, secret) {
            found.push(place);
        }
    }
    found
}

/// Whether what stands at a place is a word of its own. A sign, such as `/`, is one only between spaces or quotes.
fn stands_alone(text: &str, place: &Range<usize>, secret: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    let of_letters = secret.contains(char::is_alphanumeric);
    let parts = |edge: Option<char>, beside: Option<char>| match of_letters {
        true => !(edge.is_some_and(is_letter) && beside.is_some_and(is_letter)),
        false => beside.is_none_or(|c| c.is_whitespace() || is_quote(c)),
    };
    let before = text.get(..place.start).and_then(|before| before.chars().next_back());
    let after = text.get(place.end..).and_then(|after| after.chars().next());
    parts(secret.chars().next(), before) && parts(secret.chars().next_back(), after)
}

/// The end of a text, where a secret begins and the text ends: services cut long texts off.
fn cut_off(text: &str, secret: &str) -> Option<Range<usize>> {
    let text = text.trim_end_matches(['.', '…']);
    let ends = secret.char_indices().map(|(at, _)| at).skip(LEAST_INSIDE).take_while(|at| *at <= text.len());
    let longest = ends.filter(|end| secret.get(..*end).is_some_and(|begun| text.ends_with(begun))).last()?;
    Some(text.len() - longest..text.len())
}

/// A text with a mask over each hole; one over those that touch.
fn without(text: &str, mut holes: Vec<Range<usize>>) -> String {
    holes.sort_by_key(|hole| (hole.start, hole.end));
    let (mut told, mut end) = (String::with_capacity(text.len()), None);
    for hole in holes {
        if end.is_none_or(|end| hole.start > end) {
            told.push_str(text.get(end.unwrap_or(0)..hole.start).unwrap_or_default());
            told.push_str(MASKED);
        }
        end = end.max(Some(hole.end));
    }
    told.push_str(text.get(end.unwrap_or(0)..).unwrap_or_default());
    told
}

/// What of a text is nobody's but its writer's: up to an error's name, and else around what is quoted.
fn unquoted(text: &str) -> String {
    let name_ends = |name: &str| text.find(name).map(|at| at + name.len());
    let passed_on = ["Error:", "Exception:"].into_iter().filter_map(name_ends).min();
    let (own, passed_on) = text.split_at_checked(passed_on.unwrap_or(text.len())).unwrap_or((text, ""));
    // From the first quote to the last: whether one in between ends it or is a part of it, nobody can tell.
    let quotes: Vec<usize> =
        own.char_indices().filter(|(at, c)| is_quote(*c) && !is_apostrophe(own, *at)).map(|(at, _)| at).collect();
    let hole = match (quotes.first(), quotes.last()) {
        (Some(first), Some(last)) if last > first => Some(first + 1..*last),
        (Some(first), _) => Some(first + 1..own.len()),
        (None, _) => None,
    };
    let told = without(own, hole.into_iter().collect());
    if passed_on.trim().is_empty() { told } else { format!("{told} {MASKED}") }
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`')
}

/// Whether a quote is one within a word, as in "ECS's".
fn is_apostrophe(text: &str, at: usize) -> bool {
    let before = text.get(..at).and_then(|before| before.chars().next_back());
    let after = text.get(at + 1..).and_then(|after| after.chars().next());
    before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({ "family": "web", "containerDefinitions": [{
            "name": "app", "image": "app:1", "command": ["/srv/run --token=abcdefgh12", "5"], "entryPoint": ["sh"],
            "environment": [
                { "name": "TOKEN", "value": "s3cret" }, { "name": "PIN", "value": "42" }, { "name": "ROOT", "value": "/" },
                { "name": "LINES", "value": "one\ntwo\"three" }, { "name": "EMPTY", "value": "" }
            ]
        }] })
    }

    #[track_caller]
    fn check(secrets: &Secrets, text: &str, told: &str) {
        assert_eq!(secrets.words(text), told, "{text}");
    }

    #[test]
    fn what_is_hidden_of_a_document_is_masked_in_a_text_and_its_names_are_not() {
        for (text, told) in [
            ("", ""),
            ("Essential container in task exited", "Essential container in task exited"),
            (r#"exec: "s3cret": not found in $PATH of app:1"#, r#"exec: "***": not found in $PATH of app:1"#),
            ("TOKEN=s3cret, again xs3crety", "TOKEN=***, again x***y"),
            ("s3crets3cret", "***"),
            // Short: only where it stands alone. A sign is part of too much.
            ("42 of 142 tasks, pin:42.", "*** of 142 tasks, pin:***."),
            ("sh shows sh_1 (sh)", "*** shows sh_1 (***)"),
            ("task/web at / or \"/\"", "task/web at *** or \"***\""),
            // Whole, and a word of it.
            ("exec /srv/run --token=abcdefgh12", "exec ***"),
            ("exec \"/srv/run\": bad abcdefgh12", "exec \"***\": bad ***"),
            // As it is, and as programs quote it.
            ("one\ntwo\"three", "***"),
            (r#"invalid "one\ntwo\"three""#, r#"invalid "***""#),
            // Cut off.
            ("invalid: s3cre", "invalid: ***"),
            ("invalid: s3cr...", "invalid: ***..."),
            ("invalid: s3c", "invalid: s3c"),
        ] {
            check(&Secrets::of([&document()]), text, told);
        }
        let none = Secrets::of([]);
        check(&none, "\"anything\" Error: goes", "\"anything\" Error: goes");
    }

    #[test]
    fn of_documents_that_are_not_known_nothing_is_told() {
        for (text, told) in [
            (
                "CannotStartContainerError: Error response from daemon: invalid variable: =else",
                "CannotStartContainerError: ***",
            ),
            ("ClientException: ", "ClientException:"),
            ("value 'else' of \"that\" is wrong", "value '***\" is wrong"),
            ("it's wrong, isn't it", "it's wrong, isn't it"),
            ("it's 'somebody's' value", "it's '***' value"),
            ("an open \"quote", "an open \"***"),
            ("Task failed container health checks", "Task failed container health checks"),
            ("known to be s3cret", "known to be ***"),
        ] {
            check(&Secrets::of([&document()]).and_others(), text, told);
        }
        check(&Secrets::default(), "exec \"s3cret\": no", "exec \"***\": no");
        assert_eq!(format!("{:?}", Secrets::of([&document()]).and_others()).matches("s3cret").count(), 0);
    }

    #[test]
    fn secrets_that_overlap_leave_nothing_of_either() {
        let document = json!({ "containerDefinitions": [{ "command": ["abcdef", "defghi", "abab", "abcdefg"] }] });
        let secrets = Secrets::of([&document]);
        check(&secrets, "-abcdefghi-", "-***-");
        check(&secrets, "-ababab-", "-***-");
        check(&secrets, "abcdefg", "***");
    }

    /// Texts of all kinds, as somebody might choose a secret: without stars, which are the mask.
    const SECRET: &str = r#"[a-zA-Z0-9 =:/"'\\é_-]{1,20}"#;

    proptest! {
        #[test]
        fn no_text_holds_a_hidden_value_whatever_stands_around_it(
            hidden in prop::collection::vec(SECRET, 1..5),
            between in prop::collection::vec(r#"[a-z 0-9:"'.]{0,12}"#, 6),
            which in prop::collection::vec(any::<prop::sample::Index>(), 5),
            complete in any::<bool>(),
        ) {
            let document = json!({ "containerDefinitions": [{ "command": hidden, "name": "app" }] });
            let mut text = String::new();
            for (between, which) in between.iter().zip(&which) {
                text.push_str(between);
                text.push_str(which.get(&hidden).as_str());
            }
            let secrets = Secrets::of([&document]);
            let secrets = if complete { secrets } else { secrets.and_others() };
            let told = secrets.words(&text);
            for secret in hidden.iter().filter(|secret| !secret.trim().is_empty()) {
                let left = places(&told, secret);
                prop_assert!(left.is_empty(), "{secret:?} is left of {text:?}: {told:?}");
            }
        }

        #[test]
        fn a_short_one_that_stands_alone_is_not_left(secret in "[a-zA-Z0-9]{1,3}", around in r#"[ "':,=()]"#) {
            let document = json!({ "containerDefinitions": [{ "environment": [{ "name": "A", "value": secret }] }] });
            let told = Secrets::of([&document]).words(&format!("A{around}{secret}{around}!"));
            let alone = format!("{around}{secret}{around}");
            prop_assert!(!told.contains(&alone), "{told}");
        }
    }
}
