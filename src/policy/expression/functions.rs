//! The functions there are, and what they do.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;

use super::error::EvalErrorKind;
use super::value::{Entries, List, Val};

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Global,
    Method,
    /// Both, as CEL has it: `size(x)` and `x.size()`.
    Either,
}

/// What `explain` says of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionDoc {
    /// How it is written.
    pub usage: &'static str,
    /// What it gives.
    pub gives: &'static str,
    /// An expression with it.
    pub example: &'static str,
    /// What that gives, as JSON.
    pub result: &'static str,
}

macro_rules! functions {
    ($($name:ident = $word:literal, $style:ident, $least:literal..=$most:literal, $usage:literal, $gives:literal,
       $example:literal => $result:literal;)*) => {
        /// The functions that take values. `has` and the comprehensions take expressions; see `resolve`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Function { $($name,)* }

        impl Function {
            pub(super) const ALL: &[Self] = &[$(Self::$name,)*];

            pub(super) const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            pub(super) const fn style(self) -> Style {
                match self { $(Self::$name => Style::$style,)* }
            }

            /// How many arguments, the receiver of a method included.
            pub(super) const fn arity(self) -> (usize, usize) {
                match self { $(Self::$name => ($least, $most),)* }
            }

            pub(super) const fn usage(self) -> &'static str {
                match self { $(Self::$name => $usage,)* }
            }
        }

        /// Every function and macro of the language.
        pub const CATALOGUE: &[FunctionDoc] = &[
            FunctionDoc { usage: "has(x.member)", gives: "whether the member is there and not null",
                example: "has({'a': null}.a)", result: "false" },
            FunctionDoc { usage: "x.?member, x[?key]", gives: "an optional: empty where there is no such member, or null",
                example: "{'a': 1}.?b.orValue(2)", result: "2" },
            FunctionDoc { usage: "list.all(x, condition)", gives: "whether it holds for every element (of a map: key)",
                example: "[1, 2].all(n, n > 0)", result: "true" },
            FunctionDoc { usage: "list.exists(x, condition)", gives: "whether it holds for at least one",
                example: "[1, 2].exists(n, n > 1)", result: "true" },
            FunctionDoc { usage: "list.exists_one(x, condition)", gives: "whether it holds for exactly one",
                example: "[1, 2].exists_one(n, n > 0)", result: "false" },
            FunctionDoc { usage: "list.filter(x, condition)", gives: "the elements for which it holds",
                example: "[1, 2].filter(n, n > 1)", result: "[2]" },
            FunctionDoc { usage: "list.map(x, value), list.map(x, condition, value)", gives: "a value for each element",
                example: "[1, 2].map(n, n > 1, n * 10)", result: "[20]" },
            $(FunctionDoc { usage: $usage, gives: $gives, example: $example, result: $result },)*
        ];
    };
}

functions! {
    Size = "size", Either, 1..=1, "size(x)", "the number of characters, elements or members",
        "size(['a', 'b'])" => "2";
    Contains = "contains", Method, 2..=2, "text.contains(part)", "whether the part occurs in it",
        "'web:latest'.contains(':')" => "true";
    StartsWith = "startsWith", Method, 2..=2, "text.startsWith(part)", "whether it begins so",
        "'prod-a'.startsWith('prod-')" => "true";
    EndsWith = "endsWith", Method, 2..=2, "text.endsWith(part)", "whether it ends so",
        "'/var/run/docker.sock'.endsWith('docker.sock')" => "true";
    Matches = "matches", Either, 2..=2, "text.matches(pattern)", "whether the RE2 pattern occurs in it",
        "'0:0'.matches('^0+(:|$)')" => "true";
    LowerAscii = "lowerAscii", Method, 1..=1, "text.lowerAscii()", "the text in lower case",
        "'ALL'.lowerAscii()" => "\"all\"";
    Split = "split", Method, 2..=2, "text.split(separator)", "its parts",
        "'1000:1000'.split(':')" => "[\"1000\",\"1000\"]";
    Join = "join", Method, 1..=2, "list.join(separator)", "the texts as one",
        "['ecs', 'web'].join('/')" => "\"ecs/web\"";
    ToText = "string", Global, 1..=1, "string(x)", "x as text",
        "string(512)" => "\"512\"";
    ToInt = "int", Global, 1..=1, "int(x)", "x as a whole number",
        "int('512')" => "512";
    ToDouble = "double", Global, 1..=1, "double(x)", "x as a number",
        "double('0.5')" => "0.5";
    OptionalOf = "optional.of", Global, 1..=1, "optional.of(x)", "an optional with x in it",
        "optional.of(1).orValue(2)" => "1";
    OptionalNone = "optional.none", Global, 0..=0, "optional.none()", "an empty optional",
        "optional.none().orValue(2)" => "2";
    OrValue = "orValue", Method, 2..=2, "optional.orValue(x)", "what is in it, else x",
        "{'user': 'app'}.?user.orValue('root')" => "\"app\"";
    Or = "or", Method, 2..=2, "optional.or(other)", "this optional if something is in it, else the other",
        "{'b': 1}.?a.or({'b': 1}.?b).orValue(0)" => "1";
    HasValue = "hasValue", Method, 1..=1, "optional.hasValue()", "whether something is in it",
        "{'a': 1}.?b.hasValue()" => "false";
    Value = "value", Method, 1..=1, "optional.value()", "what is in it",
        "{'a': 1}.?a.value()" => "1";
    IsFargate = "isFargate", Global, 1..=1, "isFargate(service)",
        "whether a service's tasks run on Fargate, by launch type or by capacity provider",
        "isFargate({'capacityProviderStrategy': [{'capacityProvider': 'FARGATE_SPOT'}]})" => "true";
    RoleName = "roleName", Global, 1..=1, "roleName(arn)", "the name of a role given by ARN or name",
        "roleName('arn:aws:iam::123456789012:role/apps/web')" => "\"web\"";
    Image = "image", Global, 1..=1, "image(reference)",
        "{name, registry, repository, tag, digest} of an image, `name` being the reference without tag and digest; empty text for \
          what is not there",
        "image('ghcr.io/acme/web:1.2').tag" => "\"1.2\"";
}

/// Why a function gave nothing.
pub(super) type Failure = (EvalErrorKind, String);

fn wrong<T>(function: Function, given: &Val<'_>) -> Result<T, Failure> {
    Err((EvalErrorKind::Type, format!("`{}` does not take {}", function.word(), given.type_name())))
}

fn failed<T>(message: impl Into<String>) -> Result<T, Failure> {
    Err((EvalErrorKind::Type, message.into()))
}

/// Calls a function; `Matches` with a pattern that is not literal comes through here too. The number of arguments was
/// checked on reading.
pub(super) fn call<'a>(function: Function, arguments: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    match (function, arguments) {
        (Function::Size, [Val::Text(text)]) => Ok(length(text.chars().count())),
        (Function::Size, [Val::List(list)]) if !list.is_known() => Err((
            EvalErrorKind::NotObserved,
            "`size` is asked of a list with elements that cannot be known here".to_owned(),
        )),
        (Function::Size, [Val::List(list)]) => Ok(length(list.len())),
        (Function::Size, [Val::Map(entries)]) => Ok(length(entries.len())),
        (Function::Contains, [Val::Text(text), Val::Text(part)]) => Ok(Val::Bool(text.contains(part.as_ref()))),
        (Function::StartsWith, [Val::Text(text), Val::Text(part)]) => Ok(Val::Bool(text.starts_with(part.as_ref()))),
        (Function::EndsWith, [Val::Text(text), Val::Text(part)]) => Ok(Val::Bool(text.ends_with(part.as_ref()))),
        (Function::Matches, [Val::Text(text), Val::Text(pattern)]) => {
            remembered(pattern, |pattern| pattern.is_match(text)).map_or_else(failed, |found| Ok(Val::Bool(found)))
        }
        (Function::LowerAscii, [Val::Text(text)]) => Ok(Val::text(text.to_ascii_lowercase())),
        (Function::Split, [Val::Text(text), Val::Text(separator)]) => {
            Ok(Val::list(text.split(separator.as_ref()).map(Val::text).collect()))
        }
        (Function::Join, [Val::List(list), rest @ ..]) => join(list, rest),
        (Function::ToText, [value]) => to_text(value),
        (Function::ToInt, [value]) => to_int(value),
        (Function::ToDouble, [value]) => to_double(value),
        (Function::OptionalOf, [value]) => Ok(Val::Optional(Some(value.clone().into()))),
        (Function::OptionalNone, []) => Ok(Val::Optional(None)),
        (Function::OrValue, [Val::Optional(Some(value)), _]) => Ok(value.as_ref().clone()),
        (Function::OrValue, [Val::Optional(None), otherwise]) => Ok(otherwise.clone()),
        (Function::Or, [some @ Val::Optional(Some(_)), Val::Optional(_)]) => Ok(some.clone()),
        (Function::Or, [Val::Optional(None), other @ Val::Optional(_)]) => Ok(other.clone()),
        (Function::HasValue, [Val::Optional(value)]) => Ok(Val::Bool(value.is_some())),
        (Function::Value, [Val::Optional(Some(value))]) => Ok(value.as_ref().clone()),
        (Function::Value, [Val::Optional(None)]) => {
            Err((EvalErrorKind::Missing, "there is nothing in this optional".to_owned()))
        }
        (Function::IsFargate, [Val::Map(service)]) => is_fargate(service),
        (Function::RoleName, [Val::Text(role)]) => Ok(role_name(role)),
        (Function::Image, [Val::Text(reference)]) => Ok(image(reference)),
        (_, [receiver, argument]) => {
            let given = if fits_receiver(function, receiver) { argument } else { receiver };
            wrong(function, given)
        }
        (_, arguments) => wrong(function, arguments.first().unwrap_or(&Val::Null)),
    }
}

const fn fits_receiver(function: Function, receiver: &Val<'_>) -> bool {
    match function {
        Function::OrValue | Function::Or => matches!(receiver, Val::Optional(_)),
        Function::Join => matches!(receiver, Val::List(_)),
        _ => matches!(receiver, Val::Text(_)),
    }
}

fn length<'a>(count: usize) -> Val<'a> {
    Val::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// A pattern with small automata: it comes from whoever writes policies.
pub(super) fn pattern_of(pattern: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(pattern)
        .size_limit(256 * 1024)
        .nest_limit(32)
        .build()
        .map_err(|_| "this pattern is no valid regular expression, or too large".to_owned())
}

/// How many patterns a thread remembers; at most 256 KiB each.
const REMEMBERED: usize = 32;

thread_local! {
    /// Patterns that come from params are the same for every element of every document, and compiling one costs a
    /// hundred times what matching does.
    static PATTERNS: RefCell<HashMap<String, regex::Regex>> = RefCell::default();
}

/// Whether matching with this pattern needs no compiling.
pub(super) fn is_remembered(pattern: &str) -> bool {
    PATTERNS.with_borrow(|patterns| patterns.contains_key(pattern))
}

fn remembered<T>(pattern: &str, ask: impl FnOnce(&regex::Regex) -> T) -> Result<T, String> {
    PATTERNS.with_borrow_mut(|patterns| {
        if let Some(known) = patterns.get(pattern) {
            return Ok(ask(known));
        }
        let new = pattern_of(pattern)?;
        let answer = ask(&new);
        if patterns.len() >= REMEMBERED {
            patterns.clear();
        }
        patterns.insert(pattern.to_owned(), new);
        Ok(answer)
    })
}

fn join<'a>(list: &List<'a>, rest: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    let separator = match rest {
        [] => "",
        [Val::Text(separator)] => separator.as_ref(),
        [other, ..] => return wrong(Function::Join, other),
    };
    let mut joined = String::new();
    for index in 0..list.len() {
        if index > 0 {
            joined.push_str(separator);
        }
        match list.get(index) {
            Some(Val::Text(text)) => joined.push_str(&text),
            Some(other) => return wrong(Function::Join, &other),
            None => return failed("`join` meets a value that cannot be known"),
        }
    }
    Ok(Val::text(joined))
}

fn to_text<'a>(value: &Val<'a>) -> Result<Val<'a>, Failure> {
    match value {
        Val::Text(_) => Ok(value.clone()),
        Val::Bool(value) => Ok(Val::text(value.to_string())),
        Val::Int(value) => Ok(Val::text(value.to_string())),
        Val::UInt(value) => Ok(Val::text(value.to_string())),
        Val::Double(value) => Ok(Val::text(value.to_string())),
        other => wrong(Function::ToText, other),
    }
}

fn to_int<'a>(value: &Val<'a>) -> Result<Val<'a>, Failure> {
    let int = match value {
        Val::Int(value) => Some(*value),
        Val::UInt(value) => i64::try_from(*value).ok(),
        #[expect(clippy::cast_possible_truncation, reason = "CEL truncates; the range is checked")]
        Val::Double(value) if value.abs() < 9e18 => Some(*value as i64),
        Val::Double(_) => None,
        Val::Text(text) => text.parse().ok(),
        other => return wrong(Function::ToInt, other),
    };
    int.map(Val::Int).map_or_else(|| failed("`int` is given what is no whole number"), Ok)
}

fn to_double<'a>(value: &Val<'a>) -> Result<Val<'a>, Failure> {
    #[expect(clippy::cast_precision_loss, reason = "that is what the conversion means")]
    let double = match value {
        Val::Int(value) => Some(*value as f64),
        Val::UInt(value) => Some(*value as f64),
        Val::Double(value) => Some(*value),
        Val::Text(text) => text.parse().ok(),
        other => return wrong(Function::ToDouble, other),
    };
    double.map(Val::Double).map_or_else(|| failed("`double` is given what is no number"), Ok)
}

/// A service with a capacity provider strategy has no `launchType` (ecs-facts §1.1 traps), so the providers decide;
/// `platformVersion` is there for Fargate only (botocore ecs/2014-11-13, Service).
fn is_fargate<'a>(service: &Entries<'a>) -> Result<Val<'a>, Failure> {
    let member = |name: &str| match service.get(name) {
        None | Some(Ok(Val::Null)) => Ok(None),
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(_)) => {
            Err((EvalErrorKind::NotObserved, format!("`isFargate` needs `{name}`, which cannot be known here")))
        }
    };
    match member("launchType")? {
        Some(Val::Text(launch_type)) => return Ok(Val::Bool(launch_type == "FARGATE")),
        Some(other) => return wrong(Function::IsFargate, &other),
        None => {}
    }
    match member("capacityProviderStrategy")? {
        Some(Val::List(providers)) if providers.len() > 0 => {
            let mut fargate = false;
            for index in 0..providers.len() {
                let name = match providers.get(index) {
                    Some(Val::Map(provider)) => provider.get("capacityProvider"),
                    _ => None,
                };
                match name {
                    Some(Ok(Val::Text(name))) => fargate |= matches!(name.as_ref(), "FARGATE" | "FARGATE_SPOT"),
                    _ => return failed("`isFargate` cannot read `capacityProviderStrategy`"),
                }
            }
            return Ok(Val::Bool(fargate));
        }
        Some(Val::List(_)) | None => {}
        Some(other) => return wrong(Function::IsFargate, &other),
    }
    match member("platformVersion")? {
        Some(Val::Text(version)) if !version.is_empty() => Ok(Val::Bool(true)),
        _ => Err((
            EvalErrorKind::NotObserved,
            "neither `launchType`, `capacityProviderStrategy` nor `platformVersion` tells where the service runs"
                .to_owned(),
        )),
    }
}

/// `arn:aws:iam::123456789012:role/path/name` and `name` alike give `name`.
fn role_name<'a>(role: &str) -> Val<'a> {
    let path = match role.split_once(":role/") {
        Some((_, path)) => path,
        None => role,
    };
    Val::text(path.rsplit('/').next().unwrap_or(path))
}

/// The parts of an image reference, as Docker reads it: what stands before the first `/` is a registry only if it has
/// a dot or a port, or is `localhost`; without one it is Docker Hub.
fn image<'a>(reference: &str) -> Val<'a> {
    let (named, digest) = reference.split_once('@').unwrap_or((reference, ""));
    let (registry, path) = match named.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
        _ => ("docker.io", named),
    };
    let (repository, tag) = path.rsplit_once(':').unwrap_or((path, ""));
    // The tag stands behind the last `/`; a port before it may look the same.
    let name = if tag.is_empty() {
        named
    } else {
        named.strip_suffix(tag).and_then(|rest| rest.strip_suffix(':')).unwrap_or(named)
    };
    let part = |name: &'static str, value: &str| (Cow::Borrowed(name), Val::text(value));
    Val::Map(Entries::Made(
        vec![
            part("name", name),
            part("registry", registry),
            part("repository", repository),
            part("tag", tag),
            part("digest", digest),
        ]
        .into(),
    ))
}
