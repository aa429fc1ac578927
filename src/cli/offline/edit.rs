//! Fixes as edits of the text: what a fix does not name keeps its every byte.

use serde_json::Value;

use super::text::JsonText;
use crate::model::{DiffEntry, DiffOp};

/// Makes the changes of `diff`, one after another; `own` gives the pointer into the text of each.
///
/// `None` where one names a node that is not there. The caller compares the outcome with what is wanted.
pub(in crate::cli) fn apply(json: &JsonText, own: impl Fn(&str) -> String, diff: &[DiffEntry]) -> Option<JsonText> {
    let mut json = json.clone();
    for entry in diff {
        let pointer = own(&entry.path);
        let text = match entry.op {
            DiffOp::Replace => replace(&json, &pointer, entry.to.as_ref()?)?,
            DiffOp::Remove => remove(&json, &pointer)?,
            DiffOp::Add => add(&json, &pointer, entry.to.as_ref()?)?,
        };
        json = JsonText::parse(text).ok()?;
    }
    Some(json)
}

fn splice(text: &str, start: usize, end: usize, new: &str) -> Option<String> {
    Some([text.get(..start)?, new, text.get(end..)?].concat())
}

fn replace(json: &JsonText, pointer: &str, value: &Value) -> Option<String> {
    let place = json.place(pointer)?;
    let new = written(value, &indent_of(&json.text, place.start), json.text.contains('\n'))?;
    splice(&json.text, place.value.start, place.value.end, &new)
}

fn remove(json: &JsonText, pointer: &str) -> Option<String> {
    let (around, _) = pointer.rsplit_once('/')?;
    let siblings = siblings(json, around)?;
    let at = siblings.iter().position(|sibling| sibling == pointer)?;
    let this = json.place(pointer)?;
    let before = at.checked_sub(1).and_then(|before| siblings.get(before)).and_then(|sibling| json.place(sibling));
    let after = siblings.get(at + 1).and_then(|sibling| json.place(sibling));
    match (before, after) {
        // With the comma and the blanks up to the next one.
        (_, Some(next)) => splice(&json.text, this.start, next.start, ""),
        (Some(previous), None) => splice(&json.text, previous.value.end, this.value.end, ""),
        (None, None) => {
            let container = json.place(around)?;
            splice(&json.text, container.value.start + 1, container.value.end - 1, "")
        }
    }
}

fn add(json: &JsonText, pointer: &str, value: &Value) -> Option<String> {
    let (around, step) = pointer.rsplit_once('/')?;
    let siblings = siblings(json, around)?;
    let container = json.place(around)?;
    let lines = json.text.contains('\n');
    let is_list = json.value.pointer(around)?.is_array();
    let name = if is_list {
        String::new()
    } else {
        if json.place(pointer).is_some() {
            // RFC 6902 §4.1: adding a member that exists replaces it.
            return replace(json, pointer, value);
        }
        format!("{}: ", Value::String(step.replace("~1", "/").replace("~0", "~")))
    };
    let index = if is_list && step != "-" { step.parse::<usize>().ok()? } else { siblings.len() };
    if let Some(next) = siblings.get(index).and_then(|sibling| json.place(sibling)) {
        let indent = indent_of(&json.text, next.start);
        let gap = gap_before(&json.text, next.start);
        let new =
            format!("{name}{},{}", written(value, &indent, lines)?, if gap.is_empty() { " ".to_owned() } else { gap });
        return splice(&json.text, next.start, next.start, &new);
    }
    if let Some(last) = siblings.last().and_then(|sibling| json.place(sibling)) {
        let indent = indent_of(&json.text, last.start);
        let gap = gap_before(&json.text, last.start);
        let gap = if gap.is_empty() && siblings.len() > 1 { " ".to_owned() } else { gap };
        let new = format!(",{}{name}{}", if gap.is_empty() { " " } else { &gap }, written(value, &indent, lines)?);
        return splice(&json.text, last.value.end, last.value.end, &new);
    }
    let outer = indent_of(&json.text, container.start);
    let inner = format!("{outer}{}", unit(&json.text));
    let new = written(value, &inner, lines)?;
    let (start, end) = (container.value.start + 1, container.value.end - 1);
    if lines {
        splice(&json.text, start, end, &format!("\n{inner}{name}{new}\n{outer}"))
    } else {
        splice(&json.text, start, end, &format!("{name}{new}"))
    }
}

/// The pointers of what an object or list holds, in the order of the text.
fn siblings(json: &JsonText, around: &str) -> Option<Vec<String>> {
    Some(match json.value.pointer(around)? {
        Value::Object(members) => {
            members.keys().map(|name| format!("{around}/{}", name.replace('~', "~0").replace('/', "~1"))).collect()
        }
        Value::Array(list) => (0..list.len()).map(|index| format!("{around}/{index}")).collect(),
        _ => return None,
    })
}

/// The blanks at the start of the line that `at` is in.
fn indent_of(text: &str, at: usize) -> String {
    let line = text.get(..at).unwrap_or("").rsplit('\n').next().unwrap_or("");
    line.chars().take_while(|c| *c == ' ' || *c == '\t').collect()
}

/// The blanks right before `at`, a line break included.
fn gap_before(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or("");
    before.get(before.trim_end().len()..).unwrap_or("").to_owned()
}

/// What one level is indented by: as the first indented line is, else two blanks.
fn unit(text: &str) -> String {
    let indents = text.lines().map(|line| line.chars().take_while(|c| *c == ' ' || *c == '\t').collect::<String>());
    indents.filter(|indent| !indent.is_empty()).min_by_key(String::len).unwrap_or_else(|| "  ".to_owned())
}

/// A value as text, its further lines indented as the place asks for.
fn written(value: &Value, indent: &str, lines: bool) -> Option<String> {
    if !lines {
        return serde_json::to_string(value).ok();
    }
    let pretty = serde_json::to_string_pretty(value).ok()?;
    Some(pretty.replace('\n', &format!("\n{indent}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::DocumentKind;

    fn entry(op: DiffOp, path: &str, to: Option<Value>) -> DiffEntry {
        DiffEntry {
            document: DocumentKind::TaskDefinition,
            op,
            path: path.to_owned(),
            from: None,
            to,
            policy: String::new(),
        }
    }

    #[track_caller]
    fn check(before: &str, prefix: &str, diff: &[DiffEntry], after: &str) {
        let json = JsonText::parse(before.to_owned()).unwrap();
        assert_eq!(apply(&json, |path| format!("{prefix}{path}"), diff).unwrap().text, after);
    }

    #[test]
    fn what_is_not_named_keeps_its_every_byte() {
        let before = "{ \"taskDefinition\" : {\n\t\"family\":\"web\",\n\n\t\"pidMode\" : \"host\",\n\t\"cpu\":\"256\" },\n \"tags\":[] }";
        let after = "{ \"taskDefinition\" : {\n\t\"family\":\"web\",\n\n\t\"cpu\":\"256\" },\n \"tags\":[] }";
        check(before, "/taskDefinition", &[entry(DiffOp::Remove, "/pidMode", None)], after);
    }

    #[test]
    fn the_first_the_last_and_the_only_member_can_go() {
        check(r#"{"a":1,"b":2}"#, "", &[entry(DiffOp::Remove, "/a", None)], r#"{"b":2}"#);
        check(r#"{"a":1,"b":2}"#, "", &[entry(DiffOp::Remove, "/b", None)], r#"{"a":1}"#);
        check("{\"a\": [ 1 ]}", "", &[entry(DiffOp::Remove, "/a/0", None)], "{\"a\": []}");
    }

    #[test]
    fn what_is_added_is_indented_as_its_neighbours_are() {
        let before = "{\n    \"a\": 1\n}\n";
        let after = "{\n    \"a\": 1,\n    \"b\": {\n      \"c\": [\n        true\n      ]\n    }\n}\n";
        check(before, "", &[entry(DiffOp::Add, "/b", Some(json!({ "c": [true] })))], after);
        check("{\"a\": [1, 2]}", "", &[entry(DiffOp::Add, "/a/0", Some(json!(0)))], "{\"a\": [0, 1, 2]}");
        check("{\"a\": [1, 2]}", "", &[entry(DiffOp::Add, "/a/-", Some(json!(3)))], "{\"a\": [1, 2, 3]}");
        check(
            "{\n  \"a\": []\n}",
            "",
            &[entry(DiffOp::Add, "/a/-", Some(json!("x")))],
            "{\n  \"a\": [\n    \"x\"\n  ]\n}",
        );
        check("{}", "", &[entry(DiffOp::Add, "/a", Some(json!("x")))], "{\"a\": \"x\"}");
    }

    #[test]
    fn a_value_is_replaced_where_it_stands() {
        check(
            r#"{ "user":  "root" , "x": 1 }"#,
            "",
            &[entry(DiffOp::Replace, "/user", Some(json!("1000")))],
            r#"{ "user":  "1000" , "x": 1 }"#,
        );
    }

    #[test]
    fn a_node_that_is_not_there_cannot_go() {
        let json = JsonText::parse("{}".to_owned()).unwrap();
        assert!(apply(&json, ToOwned::to_owned, &[entry(DiffOp::Remove, "/a", None)]).is_none());
    }
}
