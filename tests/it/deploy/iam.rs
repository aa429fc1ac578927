//! IAM's documents as IAM reads them, as far as ours go. What they say that is not understood here is a failure, never a
//! yes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::text;

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "eu-west-1";

/// What the documents leave open, as a whole account would fill it.
const BLANKS: [(&str, &str); 6] = [
    ("partition", "aws"),
    ("account", ACCOUNT),
    ("region", REGION),
    ("table", "plimsoll"),
    ("passable_roles", "*"),
    ("target_role", "plimsoll-target"),
];

/// What somebody asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) action: String,
    pub(crate) resources: Vec<String>,
    /// The partition keys, of DynamoDB's operations.
    pub(crate) leading_keys: Vec<String>,
    pub(crate) passed_to: Option<&'static str>,
}

/// A policy document.
#[derive(Debug, Clone)]
pub(crate) struct Document(Value);

impl Document {
    /// That of `deploy/iam/NAME.json`, filled in.
    #[track_caller]
    pub(crate) fn named(name: &str) -> Self {
        Self::narrowed(name, "*")
    }

    /// The same, of the clusters of this pattern only.
    #[track_caller]
    pub(crate) fn narrowed(name: &str, clusters: &str) -> Self {
        let mut text = text(&format!("iam/{name}.json")).replace("${clusters}", clusters);
        for (blank, value) in BLANKS {
            text = text.replace(&format!("${{{blank}}}"), value);
        }
        assert!(!text.contains("${"), "{name}: {text}");
        Self(serde_json::from_str(&text).unwrap())
    }

    pub(super) fn statements(&self) -> impl Iterator<Item = &Value> {
        assert_eq!(self.0["Version"], "2012-10-17");
        self.0["Statement"].as_array().unwrap().iter()
    }

    /// Every action that it allows. None has wildcards.
    pub(crate) fn actions(&self) -> BTreeSet<String> {
        let allowing = self.statements().filter(|statement| statement["Effect"] == "Allow");
        let actions: BTreeSet<String> = allowing.flat_map(|statement| strings(&statement["Action"])).collect();
        assert!(actions.iter().all(|action| !action.contains(['*', '?'])), "{actions:?}");
        actions
    }

    /// The resources that it names for an action.
    pub(crate) fn resources(&self, action: &str) -> BTreeSet<String> {
        let of_action =
            self.statements().filter(|statement| strings(&statement["Action"]).contains(&action.to_owned()));
        of_action.flat_map(|statement| strings(&statement["Resource"])).collect()
    }

    /// The partition keys that it lets an action begin with.
    pub(crate) fn leading_keys(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for statement in self.statements().filter(|statement| statement["Effect"] == "Allow") {
            for operator in ["ForAllValues:StringLike", "ForAllValues:StringEquals"] {
                found.extend(strings(&statement["Condition"][operator]["dynamodb:LeadingKeys"]));
            }
        }
        found
    }

    /// Whether it allows that, for every resource: `None` where it says nothing. A Deny outweighs every Allow, of other
    /// documents too.
    pub(crate) fn says(&self, asked: &Asked) -> Option<bool> {
        assert!(!asked.resources.is_empty(), "{asked:?}");
        let with = |effect: &str, resource: &String| {
            self.statements().filter(|statement| statement["Effect"] == effect).any(|statement| {
                strings(&statement["Action"]).contains(&asked.action)
                    && strings(&statement["Resource"]).iter().any(|pattern| matches(pattern, resource))
                    && conditions(&statement["Condition"], asked)
            })
        };
        if asked.resources.iter().any(|resource| with("Deny", resource)) {
            return Some(false);
        }
        asked.resources.iter().all(|resource| with("Allow", resource)).then_some(true)
    }
}

/// What everybody's documents say together.
pub(crate) fn allowed(documents: &[Document], asked: &Asked) -> bool {
    let said: Vec<Option<bool>> = documents.iter().map(|document| document.says(asked)).collect();
    said.contains(&Some(true)) && !said.contains(&Some(false))
}

/// An operation on items of the table.
pub(crate) fn of_record(operation: &str, partitions: &[&str]) -> Asked {
    Asked {
        action: format!("dynamodb:{operation}"),
        resources: vec![format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/plimsoll")],
        leading_keys: partitions.iter().map(|partition| (*partition).to_owned()).collect(),
        passed_to: None,
    }
}

/// IAM writes one string as such, several as an array.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::String(one) => vec![one.clone()],
        several => several.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect(),
    }
}

/// `*` is any text, colons and slashes too; `?` any character (IAM User Guide, "StringLike").
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let pattern = regex::escape(pattern).replace(r"\*", ".*").replace(r"\?", ".");
    regex::Regex::new(&format!("^(?s:{pattern})$")).unwrap().is_match(text)
}

fn conditions(conditions: &Value, asked: &Asked) -> bool {
    let Value::Object(conditions) = conditions else {
        assert!(conditions.is_null());
        return true;
    };
    conditions.iter().all(|(operator, keys)| {
        keys.as_object().unwrap().iter().all(|(key, values)| {
            let values = strings(values);
            match (operator.as_str(), key.as_str()) {
                // True of no key at all, hence the `Null` beside it.
                ("ForAllValues:StringLike", "dynamodb:LeadingKeys") => {
                    asked.leading_keys.iter().all(|key| values.iter().any(|pattern| matches(pattern, key)))
                }
                ("ForAllValues:StringEquals", "dynamodb:LeadingKeys") => {
                    asked.leading_keys.iter().all(|key| values.contains(key))
                }
                ("ForAnyValue:StringLike", "dynamodb:LeadingKeys") => {
                    asked.leading_keys.iter().any(|key| values.iter().any(|pattern| matches(pattern, key)))
                }
                ("Null", "dynamodb:LeadingKeys") => {
                    let absent = asked.leading_keys.is_empty();
                    values == [absent.to_string()]
                }
                ("StringEquals", "iam:PassedToService") => {
                    asked.passed_to.is_some_and(|service| values.iter().any(|value| value == service))
                }
                other => panic!("{other:?} is not understood here"),
            }
        })
    })
}

#[test]
fn a_star_is_any_text_and_a_question_mark_one_character() {
    for (pattern, text, wanted) in [
        ("*", "", true),
        ("rt#*", "rt#1/eu-west-1#events", true),
        ("rt#*", "cfg#policy", false),
        ("cfg#policy", "cfg#policy2", false),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("service/prod-*/*", "service/prod-a/web", true),
        ("service/prod-*/*", "service/dev/prod-a", false),
        ("a.c", "abc", false),
    ] {
        assert_eq!(matches(pattern, text), wanted, "{pattern} {text}");
    }
}

#[test]
fn a_write_without_a_key_is_not_allowed_where_keys_decide() {
    let freeze = Document::named("freeze");
    let says = |partitions: &[&str]| freeze.says(&of_record("UpdateItem", partitions));
    assert_eq!(says(&[]), None);
    assert_eq!(says(&["cfg#freeze"]), Some(true));
    assert_eq!(says(&["cfg#freeze", "cfg#policy"]), None, "all of them must be allowed");
    let mut other = of_record("UpdateItem", &["cfg#freeze"]);
    other.resources = vec![format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/other")];
    assert_eq!(freeze.says(&other), None);
}

#[test]
fn a_deny_outweighs_what_other_documents_allow() {
    let documents = of_record("GetItem", &["rt#123456789012/eu-west-1#documents"]);
    let both = ["look", "record"].map(Document::named);
    assert!(!allowed(&both, &documents));
    assert!(allowed(&both[1..], &documents));
    assert!(allowed(&both, &of_record("GetItem", &["cfg#policy"])));
}
