//! YAML text (and JSON, which is YAML) into trees, within a budget. Knows no schema and keeps nothing it was not given:
//! no includes, no merge keys, no tags but YAML's own and, where they are asked for, CloudFormation's.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use serde_json::Value;
use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span};

use super::node::{Content, Key, Node, Style};
use super::scalar;
use super::source::Fault;

/// What is read of tags, and how much of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Whether CloudFormation's short forms are read, as the long forms they stand for.
    pub(super) intrinsics: bool,
    /// Nodes in one file, aliases expanded; more is an alias bomb or a mistake.
    pub(super) nodes: usize,
    /// Aliases in one file; people need a few.
    pub(super) aliases: usize,
}

/// For what people write for us. A large real policy set has a few thousand nodes.
pub(super) const OBJECTS: Limits = Limits { intrinsics: false, nodes: 50_000, aliases: 100 };
/// For what is written for ECS and CloudFormation: a template has at most 1 MB (CloudFormation quotas), which is some
/// hundred thousand nodes.
pub(super) const DOCUMENTS: Limits = Limits { intrinsics: true, nodes: 250_000, aliases: 1_000 };

/// The functions that have a short form (CloudFormation User Guide, "Intrinsic function reference").
const SHORT_FORMS: &[&str] = &[
    "And",
    "Base64",
    "Cidr",
    "Condition",
    "Equals",
    "FindInMap",
    "GetAZs",
    "GetAtt",
    "If",
    "ImportValue",
    "Join",
    "Length",
    "Not",
    "Or",
    "Ref",
    "Select",
    "Split",
    "Sub",
    "ToJsonString",
    "Transform",
];

/// Lists and objects within one another. Task definitions need about 12; recursion over trees stays shallow.
const MAX_DEPTH: usize = 48;
/// Text in one file, aliases expanded, in bytes: so that a few aliases cannot make gigabytes of one long text.
const MAX_TEXT: usize = 16 * 1024 * 1024;

/// The documents of a text that could be read, and everything wrong with the others. A document that is empty is left
/// out.
pub(super) fn documents(text: &str, limits: Limits) -> (Vec<Node>, Vec<Fault>) {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.block_nesting_limit = MAX_DEPTH;
    options.flow_nesting_limit = MAX_DEPTH;
    // A directive can only declare another YAML version or tag prefixes, and tags are refused anyway.
    options.disallow_directives = true;
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut composer = Composer::of(limits);
    loop {
        match parser.next_event() {
            None | Some(Ok((Event::StreamEnd, _))) => break,
            Some(Ok((event, span))) => {
                if let Err(fault) = composer.take(&event, &span) {
                    // The budget is the file's: past it, nothing more is read.
                    composer.faults.push(fault);
                    composer.documents.clear();
                    break;
                }
            }
            Some(Err(error)) => {
                composer.faults.push(syntax(&error, text.len()));
                composer.abandon();
                // What stands after the next `---` may be read, and its own mistakes told.
                if !matches!(parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
        }
    }
    (composer.documents, composer.faults)
}

fn bytes(span: &Span) -> Range<usize> {
    let start = span.start.byte_offset().unwrap_or(0);
    start..span.end.byte_offset().unwrap_or(start).max(start)
}

fn syntax(error: &ScanError, end: usize) -> Fault {
    let at = error.marker().byte_offset().unwrap_or(end).min(end);
    let fault = Fault::at(at..at, format!("this is not YAML: {}", error.info())).label("here");
    fault.help("quote text that contains `: `, ` #`, or begins with one of `{ [ * & ! | > % @`".to_owned())
}

/// A list or object whose end has not come yet.
struct Open {
    start: usize,
    anchor: usize,
    /// The function that its tag is short for.
    function: Option<Key>,
    body: Body,
    /// Of the part read so far.
    weight: Weight,
}

enum Body {
    List(Vec<Node>),
    Map {
        members: Vec<(Key, Node)>,
        names: HashSet<String>,
        /// What waits for its value; `Err` is a key that was refused, whose value is read and dropped.
        key: Option<Result<Key, ()>>,
    },
}

/// What a subtree costs.
#[derive(Clone, Copy, Default)]
struct Weight {
    nodes: usize,
    text: usize,
    /// Levels of lists and objects.
    depth: usize,
}

struct Composer {
    limits: Limits,
    documents: Vec<Node>,
    faults: Vec<Fault>,
    open: Vec<Open>,
    /// What aliases may name, by the parser's number for it. `None` while it is still being read.
    anchors: HashMap<usize, Option<(Node, Weight)>>,
    aliases: usize,
    spent: Weight,
}

impl Composer {
    fn of(limits: Limits) -> Self {
        Self {
            limits,
            documents: Vec::new(),
            faults: Vec::new(),
            open: Vec::new(),
            anchors: HashMap::new(),
            aliases: 0,
            spent: Weight::default(),
        }
    }

    /// Takes one event.
    ///
    /// # Errors
    /// When the file's budget is spent. All other faults are kept and reading goes on.
    fn take(&mut self, event: &Event<'_>, span: &Span) -> Result<(), Fault> {
        let at = bytes(span);
        let mut function = None;
        if let Some(tag) = event.tag()
            && !["str", "map", "seq"].iter().any(|name| tag.is_yaml_core_schema_tag(name))
        {
            let tagged = span.tag_span().map_or_else(|| at.clone(), |tag| bytes(&tag));
            let original = tag.original();
            match long_form(&original).filter(|_| self.limits.intrinsics) {
                Some(name) => function = Some(Key { at: tagged, name }),
                None => {
                    let fault = Fault::at(tagged, format!("the tag `{original}` is not supported"));
                    self.faults.push(fault.help("write the value itself".to_owned()));
                }
            }
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let as_text = tag.as_ref().is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                let node = self.scalar(text, *style, as_text || function.is_some(), at);
                let weight = Weight { nodes: 1, text: text.len(), depth: 0 };
                self.spend(weight, &node.at)?;
                self.finish(node, weight, *anchor, function)?;
            }
            Event::SequenceStart(_, anchor, _) => self.enter(Body::List(Vec::new()), *anchor, function, &at)?,
            Event::MappingStart(_, anchor, _) => {
                let body = Body::Map { members: Vec::new(), names: HashSet::new(), key: None };
                self.enter(body, *anchor, function, &at)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(at.end)?,
            Event::Alias(anchor) => self.alias(*anchor, at)?,
            Event::DocumentStart(..) | Event::DocumentEnd => self.abandon(),
            // Comments, and what only other options emit.
            _ => {}
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, as_text: bool, at: Range<usize>) -> Node {
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted => Style::SingleQuoted,
            ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
            ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
        };
        let value = if style == Style::Plain && !as_text {
            scalar::plain(text).unwrap_or_else(|problem| {
                self.faults.push(Fault::at(at.clone(), problem).help("quote it if it is text".to_owned()));
                Value::Null
            })
        } else {
            Value::String(text.to_owned())
        };
        Node { at, content: Content::Scalar(value, style) }
    }

    fn enter(&mut self, body: Body, anchor: usize, function: Option<Key>, at: &Range<usize>) -> Result<(), Fault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        let weight = Weight { nodes: 1, text: 0, depth: 1 };
        self.spend(weight, at)?;
        if anchor != 0 {
            self.anchors.insert(anchor, None);
        }
        self.open.push(Open { start: at.start, anchor, function, body, weight });
        Ok(())
    }

    fn leave(&mut self, end: usize) -> Result<(), Fault> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let content = match open.body {
            Body::List(items) => Content::List(items),
            Body::Map { members, .. } => Content::Map(members),
        };
        let node = Node { at: open.start..end.max(open.start), content };
        self.finish(node, open.weight, open.anchor, open.function)
    }

    /// Places a node that is complete; one with a short form's tag as the argument of the long form.
    fn finish(&mut self, node: Node, weight: Weight, anchor: usize, function: Option<Key>) -> Result<(), Fault> {
        let Some(key) = function else {
            self.place(node, weight, anchor);
            return Ok(());
        };
        let call = Weight { nodes: 1, text: key.name.len(), depth: 1 };
        self.spend(call, &node.at)?;
        let weight = Weight { nodes: weight.nodes + 1, text: weight.text + call.text, depth: weight.depth + 1 };
        let at = key.at.start..node.at.end.max(key.at.start);
        self.place(Node { at, content: Content::Map(vec![(key, node)]) }, weight, anchor);
        Ok(())
    }

    fn alias(&mut self, anchor: usize, at: Range<usize>) -> Result<(), Fault> {
        self.aliases += 1;
        if self.aliases > self.limits.aliases {
            return Err(Fault::at(at, format!("more than {} aliases in one file", self.limits.aliases)));
        }
        let Some((node, weight)) = self.anchors.get(&anchor).cloned().flatten() else {
            self.faults.push(Fault::at(at.clone(), "an alias to what it stands in would never end"));
            let nothing = Node { at, content: Content::Scalar(Value::Null, Style::Plain) };
            self.place(nothing, Weight::default(), 0);
            return Ok(());
        };
        if self.open.len() + weight.depth > MAX_DEPTH {
            return Err(too_deep(&at));
        }
        self.spend(weight, &at)?;
        // Mistakes in it are shown where it is used; those further in, where they are written.
        self.place(Node { at, content: node.content }, weight, 0);
        Ok(())
    }

    fn spend(&mut self, weight: Weight, at: &Range<usize>) -> Result<(), Fault> {
        self.spent.nodes += weight.nodes;
        self.spent.text += weight.text;
        let most = self.limits.nodes;
        if self.spent.nodes > most {
            let fault = Fault::at(at.clone(), format!("more than {most} values in one file, aliases expanded"));
            return Err(fault.help("split the file".to_owned()));
        }
        if self.spent.text > MAX_TEXT {
            let mebibytes = MAX_TEXT / (1024 * 1024);
            return Err(Fault::at(
                at.clone(),
                format!("more than {mebibytes} MiB of text in one file, aliases expanded"),
            ));
        }
        Ok(())
    }

    /// Puts a finished node where it belongs: into what is open, or among the documents.
    fn place(&mut self, node: Node, weight: Weight, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, Some((node.clone(), weight)));
        }
        let Some(parent) = self.open.last_mut() else {
            if !node.is_null() {
                self.documents.push(node);
            }
            return;
        };
        parent.weight.nodes += weight.nodes;
        parent.weight.text += weight.text;
        parent.weight.depth = parent.weight.depth.max(weight.depth + 1);
        match &mut parent.body {
            Body::List(items) => items.push(node),
            Body::Map { members, names, key } => match key.take() {
                None => *key = Some(read_key(node, names).map_err(|fault| self.faults.push(fault))),
                Some(Ok(name)) => members.push((name, node)),
                Some(Err(())) => {}
            },
        }
    }

    /// Forgets what belongs to one document only.
    fn abandon(&mut self) {
        self.open.clear();
        self.anchors.clear();
    }
}

/// `!Sub` is short for `Fn::Sub`; `Ref` and `Condition` have no prefix (the same source).
fn long_form(tag: &str) -> Option<String> {
    let name = tag.strip_prefix('!').filter(|name| SHORT_FORMS.contains(name))?;
    Some(if matches!(name, "Ref" | "Condition") { name.to_owned() } else { format!("Fn::{name}") })
}

fn too_deep(at: &Range<usize>) -> Fault {
    Fault::at(at.clone(), format!("more than {MAX_DEPTH} lists and objects within one another"))
}

/// A member's name: any scalar, by its text, as JSON has only names.
fn read_key(node: Node, names: &mut HashSet<String>) -> Result<Key, Fault> {
    let Node { at, content } = node;
    let name = match content {
        Content::Scalar(Value::String(name), style) if style != Style::Plain || name != "<<" => name,
        Content::Scalar(Value::String(_), _) => {
            let fault = Fault::at(at, "merge keys are not supported");
            return Err(fault.help("write the members out, or alias one whole value".to_owned()));
        }
        Content::Scalar(Value::Null, _) | Content::List(_) | Content::Map(_) => {
            return Err(Fault::at(at, "a member's name must be text").label("not a name"));
        }
        Content::Scalar(value, _) => value.to_string(),
    };
    if !names.insert(name.clone()) {
        let fault = Fault::at(at, format!("`{name}` is written twice")).label("again");
        return Err(fault.help("keep one of the two".to_owned()));
    }
    Ok(Key { at, name })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> (Vec<Value>, Vec<String>) {
        let (documents, faults) = documents(text, OBJECTS);
        (documents.iter().map(Node::to_json).collect(), faults.into_iter().map(|fault| fault.message).collect())
    }

    #[test]
    fn documents_aliases_and_json_are_read() {
        let (documents, faults) =
            read("a: &x [1, two]\nb: *x\n---\n# nothing\n---\n{\"c\": {\"d\": null}, 7: !!str 8}\n");
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(documents, [json!({"a": [1, "two"], "b": [1, "two"]}), json!({"c": {"d": null}, "7": "8"})]);
        let (documents, faults) = read("{\n\t\"a\": [\n\t\t1\n\t]\n}\n");
        assert_eq!((documents, faults), (vec![json!({"a": [1]})], vec![]), "JSON may be indented with tabs");
    }

    #[test]
    fn what_would_be_read_in_silence_otherwise_is_refused() {
        let cases = [
            ("a: 1\na: 2\n", "`a` is written twice"),
            ("a: &x {b: 1}\nc:\n  <<: *x\n", "merge keys are not supported"),
            ("a: !Ref b\n", "the tag `!Ref` is not supported"),
            ("a: !!binary aGk=\n", "the tag `!!binary` is not supported"),
            ("? [a]\n: 1\n", "a member's name must be text"),
            ("a: 18446744073709551616\n", "the integer `18446744073709551616` is too large to be kept exactly"),
            ("a: &x [*x]\n", "an alias to what it stands in would never end"),
        ];
        for (text, message) in cases {
            let (_, faults) = read(text);
            assert_eq!(faults, [message], "{text}");
        }
    }

    #[test]
    fn a_broken_document_does_not_hide_the_next() {
        let (documents, faults) = read("a: [1\n---\nb: 1\nb: 2\n");
        assert_eq!(documents, [json!({"b": 1})]);
        assert_eq!(faults.len(), 2, "{faults:?}");
    }

    #[test]
    fn bombs_end_at_the_budget() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let alias = format!("*a{}", level - 1);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![alias; 10].join(", ")));
        }
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1_000_000), vec!["*a"; 50].join(", "));
        let deep = "[".repeat(100_000);
        let deep_block: String = (0..200).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
        let wide = "- x\n".repeat(60_000);
        for text in [bomb, long, deep, deep_block, wide] {
            let (documents, faults) = read(&text);
            assert_eq!((documents.len(), faults.len()), (0, 1), "{faults:?}");
        }
    }

    #[test]
    fn short_forms_are_read_as_the_long_forms_they_stand_for() {
        let text = "a: !Ref 010\nb: &x !Sub \"${A}-x\"\nc: !If [P, !GetAtt r.Arn, {d: !Condition Q}]\ne: *x\n";
        let (found, faults) = documents(text, DOCUMENTS);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(
            found[0].to_json(),
            json!({
                "a": {"Ref": "010"},
                "b": {"Fn::Sub": "${A}-x"},
                "c": {"Fn::If": ["P", {"Fn::GetAtt": "r.Arn"}, {"d": {"Condition": "Q"}}]},
                "e": {"Fn::Sub": "${A}-x"},
            })
        );
        let (_, faults) = documents("a: !vault x\n", DOCUMENTS);
        assert_eq!(faults[0].message, "the tag `!vault` is not supported");
    }
}
