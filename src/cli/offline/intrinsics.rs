//! CloudFormation's intrinsic functions, as far as they can be told without deploying. Knows nothing of ECS.
//!
//! What a stack is given from outside is never told: parameters (a default may be overridden), other resources, pseudo
//! parameters, imports, dynamic references. Source: CloudFormation User Guide, "Intrinsic function reference".

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use serde_json::{Map, Value};

use super::tree::{Content, Tree, step};

/// Functions and values within one another, Conditions that name Conditions included; so that following them fits any
/// stack.
const MAX_DEPTH: usize = 200;
/// Bytes and elements that functions may make of a template: a few nested `Fn::Sub` could make gigabytes. A template has
/// at most 1 MB.
const MAX_MADE: usize = 8 * 1024 * 1024;

/// The functions of one template.
pub(super) struct Functions<'a> {
    mappings: Option<&'a Map<String, Value>>,
    conditions: Option<&'a Map<String, Value>>,
    /// Whether the text at a pointer was written without quotes, in YAML.
    is_plain: &'a dyn Fn(&str) -> bool,
    decided: RefCell<HashMap<&'a str, Option<bool>>>,
    /// The identifiers of the loops around what is read, each with what CloudFormation replaces in the texts and keys
    /// below: `${Id}`, and `&{Id}` without what is not alphanumeric in the value (Template Reference, "Fn::ForEach").
    loops: Vec<[String; 2]>,
    depth: Cell<usize>,
    made: Cell<usize>,
}

impl<'a> Functions<'a> {
    pub(super) fn of(template: &'a Value, is_plain: &'a dyn Fn(&str) -> bool) -> Self {
        let section = |name: &str| template.get(name).and_then(Value::as_object);
        Self {
            mappings: section("Mappings"),
            conditions: section("Conditions"),
            is_plain,
            decided: RefCell::default(),
            loops: Vec::new(),
            depth: Cell::new(0),
            made: Cell::new(0),
        }
    }

    /// From here on in the body of a loop.
    pub(super) fn enter(&mut self, identifier: &str) {
        self.loops.push([format!("${{{identifier}}}"), format!("&{{{identifier}}}")]);
    }

    /// Out of the innermost loop.
    pub(super) fn leave(&mut self) {
        self.loops.pop();
    }

    /// Whether a text is another each time that a loop around it is gone through.
    pub(super) fn varies(&self, text: &str) -> bool {
        self.loops.iter().flatten().any(|replaced| text.contains(replaced.as_str()))
    }

    /// What stands at `at` comes to. `None`: `AWS::NoValue`, as if it were not written.
    pub(super) fn resolve(&self, value: &'a Value, at: &str) -> Option<Tree> {
        self.deeper(|| self.value(value, at)).unwrap_or_else(|| Some(Tree::unresolved("nesting", at)))
    }

    /// Whether the Condition of that name holds; `None` where it depends on what is not known, or there is none.
    pub(super) fn condition(&self, name: &str) -> Option<bool> {
        if self.varies(name) {
            return None;
        }
        self.deeper(|| self.named(name)).flatten()
    }

    fn deeper<T>(&self, go: impl FnOnce() -> T) -> Option<T> {
        let depth = self.depth.get();
        if depth >= MAX_DEPTH {
            return None;
        }
        self.depth.set(depth + 1);
        let done = go();
        self.depth.set(depth);
        Some(done)
    }

    /// Whether so much more may be made.
    fn make(&self, size: usize) -> Option<()> {
        let made = self.made.get().saturating_add(size);
        self.made.set(made);
        (made <= MAX_MADE).then_some(())
    }

    fn value(&self, value: &'a Value, at: &str) -> Option<Tree> {
        let content = match value {
            Value::Object(members) => {
                if let Some((name, argument)) = call(members) {
                    return self.function(name, argument, at);
                }
                // A macro, or a loop, beside other members: which there are in the end is not known.
                if let Some(name) = members.keys().find(|name| name.starts_with("Fn::")) {
                    return Some(Tree::unresolved(name, at));
                }
                if members.keys().any(|name| self.varies(name)) {
                    return Some(Tree::unresolved("Fn::ForEach", at));
                }
                let resolve =
                    |(name, member): (&String, &'a Value)| Some((name.clone(), self.resolve(member, &step(at, name))?));
                Content::Map(members.iter().filter_map(resolve).collect())
            }
            Value::Array(items) => {
                let resolve = |(index, item)| self.resolve(item, &format!("{at}/{index}"));
                Content::List(items.iter().enumerate().filter_map(resolve).collect())
            }
            Value::String(text) if self.varies(text) => Content::Unresolved("Fn::ForEach".to_owned()),
            Value::String(text) if text.contains("{{resolve:") => Content::Unresolved("dynamic reference".to_owned()),
            Value::String(text) if reads_otherwise(text) && (self.is_plain)(at) => {
                Content::Unresolved("text without quotes that YAML 1.1 reads as something else".to_owned())
            }
            leaf => Content::Leaf(leaf.clone()),
        };
        Some(Tree { at: at.to_owned(), content })
    }

    fn function(&self, name: &str, argument: &'a Value, at: &str) -> Option<Tree> {
        let inside = step(at, name);
        let known = match name {
            "Ref" if argument.as_str() == Some("AWS::NoValue") => return None,
            "Fn::If" => return self.choose(argument, &inside, at),
            "Fn::Sub" => self.substitute(argument, &inside).map(|text| Content::Leaf(text.into())),
            "Fn::Join" => self.join(argument, &inside).map(|text| Content::Leaf(text.into())),
            "Fn::Select" => self.select(argument, &inside),
            "Fn::Split" => self.split(argument, &inside, at),
            "Fn::FindInMap" => self.find_in_map(argument, &inside, at),
            _ => None,
        };
        Some(match known {
            Some(content) => Tree { at: at.to_owned(), content },
            None => Tree::unresolved(name, at),
        })
    }

    /// The branch that is surely taken; where that is not known, either if both come to the same.
    fn choose(&self, argument: &'a Value, inside: &str, at: &str) -> Option<Tree> {
        let Some([Value::String(condition), then, otherwise]) = argument.as_array().map(Vec::as_slice) else {
            return Some(Tree::unresolved("Fn::If", at));
        };
        let branch = |index: usize, value| self.resolve(value, &format!("{inside}/{index}"));
        match self.condition(condition) {
            Some(true) => branch(1, then),
            Some(false) => branch(2, otherwise),
            None => match (branch(1, then), branch(2, otherwise)) {
                (None, None) => None,
                (Some(then), Some(otherwise)) if then.same(&otherwise) => Some(then),
                _ => Some(Tree::unresolved(format!("Fn::If {condition}"), at)),
            },
        }
    }

    /// The text of an argument that is one.
    fn text(&self, value: &'a Value, at: &str) -> Option<String> {
        text_of(&self.resolve(value, at)?)
    }

    fn substitute(&self, argument: &'a Value, inside: &str) -> Option<String> {
        let (template, variables) = match argument {
            Value::String(template) => (template, None),
            Value::Array(pair) => match pair.as_slice() {
                [Value::String(template), Value::Object(variables)] => (template, Some(variables)),
                _ => return None,
            },
            _ => return None,
        };
        if self.varies(template) {
            return None;
        }
        let mut text = String::new();
        let mut rest = template.as_str();
        while let Some((before, after)) = rest.split_once("${") {
            let (name, next) = after.split_once('}')?;
            let had = text.len();
            text.push_str(before);
            match name.strip_prefix('!') {
                Some(literal) => text.push_str(&format!("${{{literal}}}")),
                None => {
                    let value = variables?.get(name)?;
                    text.push_str(&self.text(value, &step(&format!("{inside}/1"), name))?);
                }
            }
            self.make(text.len() - had)?;
            rest = next;
        }
        text.push_str(rest);
        (!text.contains("{{resolve:")).then_some(text)
    }

    fn join(&self, argument: &'a Value, inside: &str) -> Option<String> {
        let [delimiter, list] = argument.as_array()?.as_slice() else { return None };
        let delimiter = delimiter.as_str().filter(|delimiter| !self.varies(delimiter))?;
        let list = self.resolve(list, &format!("{inside}/1"))?;
        let Content::List(items) = list.content else { return None };
        let parts: Vec<String> = items.iter().map(text_of).collect::<Option<_>>()?;
        self.make(parts.iter().map(|part| part.len() + delimiter.len()).sum())?;
        let text = parts.join(delimiter);
        (!text.contains("{{resolve:")).then_some(text)
    }

    fn select(&self, argument: &'a Value, inside: &str) -> Option<Content> {
        let [index, list] = argument.as_array()?.as_slice() else { return None };
        let index: usize = self.text(index, &format!("{inside}/0"))?.parse().ok()?;
        let Content::List(mut items) = self.resolve(list, &format!("{inside}/1"))?.content else { return None };
        // One that is not known may be none, or several.
        if items.iter().take(index + 1).any(|item| matches!(item.content, Content::Unresolved(_))) {
            return None;
        }
        (index < items.len()).then(|| items.swap_remove(index).content)
    }

    fn split(&self, argument: &'a Value, inside: &str, at: &str) -> Option<Content> {
        let [Value::String(delimiter), source] = argument.as_array()?.as_slice() else { return None };
        let source = self.text(source, &format!("{inside}/1"))?;
        if delimiter.is_empty() || self.varies(delimiter) {
            return None;
        }
        self.make(source.len() * 4)?;
        Some(Content::List(source.split(delimiter.as_str()).map(|part| Tree::leaf(part, at)).collect()))
    }

    fn find_in_map(&self, argument: &'a Value, inside: &str, at: &str) -> Option<Content> {
        let [map, top, second, ..] = argument.as_array()?.as_slice() else { return None };
        let key = |index: usize, value| self.text(value, &format!("{inside}/{index}"));
        let found = self.mappings?.get(&key(0, map)?)?.get(&key(1, top)?)?.get(&key(2, second)?)?;
        // Mappings hold texts and lists of texts, without functions.
        let tree = Tree::within(found, at);
        self.make(match &tree.content {
            Content::List(items) => items.iter().map(|item| item.text().map_or(1, str::len)).sum(),
            _ => tree.text().map_or(1, str::len),
        })?;
        let literal = match &tree.content {
            Content::List(items) => items.iter().all(|item| matches!(item.content, Content::Leaf(_))),
            Content::Leaf(_) => true,
            Content::Map(_) | Content::Unresolved(_) => false,
        };
        let dynamic = |tree: &Tree| tree.text().is_some_and(|text| text.contains("{{resolve:"));
        let any_dynamic = match &tree.content {
            Content::List(items) => items.iter().any(dynamic),
            _ => dynamic(&tree),
        };
        (literal && !any_dynamic).then_some(tree.content)
    }

    fn named(&self, name: &str) -> Option<bool> {
        let (name, value) = self.conditions?.get_key_value(name)?;
        if let Some(known) = self.decided.borrow().get(name.as_str()) {
            return *known;
        }
        // One that names itself is not known while it is being told, and CloudFormation refuses it.
        self.decided.borrow_mut().insert(name, None);
        let holds = self.holds(value);
        self.decided.borrow_mut().insert(name, holds);
        holds
    }

    fn holds(&self, value: &'a Value) -> Option<bool> {
        self.deeper(|| {
            let (name, argument) = value.as_object().and_then(|members| match members.iter().next() {
                Some(only) if members.len() == 1 => Some(only),
                _ => None,
            })?;
            if name == "Condition" {
                return self.condition(argument.as_str()?);
            }
            let operands = argument.as_array()?;
            match (name.as_str(), operands.as_slice()) {
                ("Fn::Equals", [one, other]) => self.equal(one, other),
                ("Fn::Not", [one]) => self.holds(one).map(|holds| !holds),
                ("Fn::And", _) => self.all(operands, false),
                ("Fn::Or", _) => self.all(operands, true),
                _ => None,
            }
        })
        .flatten()
    }

    /// `Fn::And` and `Fn::Or`: one operand that decides makes up for what is not known of the others.
    fn all(&self, operands: &'a [Value], decisive: bool) -> Option<bool> {
        let mut every = Some(!decisive);
        for operand in operands {
            match self.holds(operand) {
                Some(holds) if holds == decisive => return Some(decisive),
                Some(_) => {}
                None => every = None,
            }
        }
        every
    }

    fn equal(&self, one: &'a Value, other: &'a Value) -> Option<bool> {
        Some(self.text(one, "")? == self.text(other, "")?)
    }
}

/// The function that an object is a call of.
fn call(members: &Map<String, Value>) -> Option<(&str, &Value)> {
    match members.iter().next() {
        Some((name, argument)) if members.len() == 1 && (name == "Ref" || name.starts_with("Fn::")) => {
            Some((name, argument))
        }
        _ => None,
    }
}

/// As text, which is what CloudFormation makes of numbers and booleans too.
fn text_of(tree: &Tree) -> Option<String> {
    match &tree.content {
        Content::Leaf(Value::String(text)) => Some(text.clone()),
        Content::Leaf(Value::Number(number)) => Some(number.to_string()),
        Content::Leaf(Value::Bool(flag)) => Some(flag.to_string()),
        Content::Leaf(_) | Content::List(_) | Content::Map(_) | Content::Unresolved(_) => None,
    }
}

/// Whether text without quotes is no text in YAML 1.1, which is what CloudFormation reads (User Guide, "CloudFormation
/// template formats"), but is in YAML 1.2: `yes`, `010`, `0x1f`, `1_000`, `12:30` (yaml.org/type/bool, int).
fn reads_otherwise(text: &str) -> bool {
    if matches!(text.to_ascii_lowercase().as_str(), "y" | "n" | "yes" | "no" | "on" | "off") {
        return true;
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let based = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0b"));
    let mut parts = unsigned.split(':');
    let whole = parts.next().is_some_and(digits);
    let sixtieths =
        parts.all(|part| matches!(part.len(), 1 | 2) && digits(part) && !(part.len() == 2 && *part > *"59"));
    unsigned.starts_with(|c: char| c.is_ascii_digit())
        && (based
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'_'))
            || (whole && sixtieths))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolved(value: Value) -> Option<Value> {
        let template = json!({
            "Parameters": { "P": { "Type": "String", "Default": "x" } },
            "Mappings": { "M": { "prod": { "cpu": 512, "list": ["a", "b"] } } },
            "Conditions": {
                "Yes": { "Fn::Equals": ["a", "a"] }, "No": { "Fn::Not": [{ "Condition": "Yes" }] },
                "Open": { "Fn::Equals": [{ "Ref": "P" }, "x"] },
                "OpenButNo": { "Fn::And": [{ "Condition": "Open" }, { "Condition": "No" }] },
                "Round": { "Fn::Not": [{ "Condition": "Round" }] },
            },
            "Value": value,
        });
        let plain = |_: &str| false;
        let functions = Functions::of(&template, &plain);
        functions.resolve(template.get("Value").unwrap(), "/Value").map(|tree| tree.to_json())
    }

    #[track_caller]
    fn gives(value: Value, wanted: Value) {
        assert_eq!(resolved(value.clone()), Some(wanted), "{value}");
    }

    #[track_caller]
    fn unknown(value: Value) {
        let found = resolved(value.clone()).unwrap();
        assert!(found.get("plimsoll:unresolved").is_some(), "{value}: {found}");
    }

    #[test]
    fn what_is_made_of_literals_is_sure() {
        gives(json!({ "Fn::Sub": "a-${!b}-c" }), json!("a-${b}-c"));
        gives(
            json!({ "Fn::Sub": ["${x}:${y}", { "x": "a", "y": { "Fn::Join": ["/", ["b", 1, true]] } }] }),
            json!("a:b/1/true"),
        );
        gives(json!({ "Fn::Select": ["1", { "Fn::Split": [",", "a,b"] }] }), json!("b"));
        gives(json!({ "Fn::FindInMap": ["M", "prod", "cpu"] }), json!(512));
        gives(json!({ "Fn::FindInMap": ["M", { "Fn::Sub": "prod" }, "list"] }), json!(["a", "b"]));
        gives(json!({ "Fn::If": ["Yes", 1, { "Ref": "P" }] }), json!(1));
        gives(json!({ "Fn::If": ["OpenButNo", { "Ref": "P" }, [2]] }), json!([2]));
        gives(json!({ "Fn::If": ["Open", { "a": 1 }, { "a": 1 }] }), json!({ "a": 1 }));
        gives(
            json!({ "a": { "Ref": "AWS::NoValue" }, "b": [{ "Fn::If": ["No", 1, { "Ref": "AWS::NoValue" }] }] }),
            json!({ "b": [] }),
        );
        gives(
            json!({ "Condition": "START", "ContainerName": "a" }),
            json!({ "Condition": "START", "ContainerName": "a" }),
        );
    }

    #[test]
    fn what_the_stack_is_given_from_outside_is_not_known() {
        for value in [
            json!({ "Ref": "P" }),
            json!({ "Ref": "AWS::Region" }),
            json!({ "Fn::GetAtt": ["R", "Arn"] }),
            json!({ "Fn::Sub": "a-${P}" }),
            json!({ "Fn::Sub": "a-${" }),
            json!({ "Fn::Sub": ["${x}", { "x": { "Ref": "P" } }] }),
            json!({ "Fn::Join": ["", ["a", { "Ref": "P" }]] }),
            json!({ "Fn::Join": "a" }),
            json!({ "Fn::Select": [0, [{ "Ref": "P" }, "b"]] }),
            json!({ "Fn::Select": [7, ["a"]] }),
            json!({ "Fn::FindInMap": ["M", { "Ref": "AWS::Region" }, "cpu"] }),
            json!({ "Fn::FindInMap": ["M", "prod", "none"] }),
            json!({ "Fn::If": ["Open", 1, 2] }),
            json!({ "Fn::If": ["Open", 1, { "Ref": "AWS::NoValue" }] }),
            json!({ "Fn::If": ["Open", { "Ref": "P" }, { "Ref": "P" }] }),
            json!({ "Fn::If": ["Round", 1, 2] }),
            json!({ "Fn::If": ["Missing", 1, 2] }),
            json!({ "Fn::ImportValue": "x" }),
            json!({ "Fn::Transform": { "Name": "AWS::Include" } }),
            json!({ "a": 1, "Fn::ForEach::x": [] }),
            json!("{{resolve:ssm:/a/b}}"),
            json!({ "Fn::Join": ["", ["{{resolve", ":ssm:/a}}"]] }),
        ] {
            unknown(value);
        }
        gives(json!({ "Fn::Select": [0, ["a", { "Ref": "P" }]] }), json!("a"));
    }

    #[test]
    fn text_without_quotes_is_read_as_cloudformation_reads_it() {
        for text in ["yes", "Off", "n", "010", "0x1F", "1_000", "0:0", "1000:50", "-12:30:00"] {
            assert!(reads_otherwise(text), "{text}");
        }
        for text in ["", "app", "1000:1000", "12:99", "0xyz", "a:1", "8080:80", "nope", "1.5.2"] {
            assert!(!reads_otherwise(text), "{text}");
        }
    }

    #[test]
    fn functions_that_would_make_gigabytes_end_at_the_budget() {
        let mut value = json!("x".repeat(1000));
        for _ in 0..60 {
            value = json!({ "Fn::Sub": ["${a}${a}${a}${a}", { "a": value }] });
        }
        unknown(value);
        let mut deep = json!("x");
        for _ in 0..110 {
            deep = json!([deep]);
        }
        assert!(resolved(deep).is_some());
    }

    #[test]
    fn conditions_that_name_one_another_in_long_chains_end() {
        let mut conditions = Map::new();
        for index in 0..20_000 {
            let next = json!({ "Condition": format!("C{}", index + 1) });
            conditions.insert(format!("C{index}"), json!({ "Fn::And": [next.clone(), next] }));
        }
        let template = json!({ "Conditions": conditions });
        let plain = |_: &str| false;
        assert_eq!(Functions::of(&template, &plain).condition("C0"), None);
    }
}
