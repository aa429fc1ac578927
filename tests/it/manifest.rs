//! What people read when their manifests are wrong, and what is read when they are right.

use plimsoll::manifest::{self, Diagnostic};
use plimsoll::model::spec::{Kind, Spec};
use plimsoll::policy::PolicySet;
use proptest::prelude::*;

/// The example of the design, whole.
const EXAMPLE: &str = include_str!("../fixtures/manifests/every-kind.yaml");

fn rendered(findings: &[Diagnostic]) -> String {
    findings.iter().map(|finding| finding.render(false) + "\n\n").collect()
}

/// Compares what is rendered for a broken file of `tests/fixtures/manifests` with its snapshot.
#[track_caller]
fn check(name: &str, text: &str) {
    let findings = manifest::parse(&format!("{name}.yaml"), text).unwrap_err();
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(format!("manifest-{name}"), rendered(&findings));
    });
}

#[test]
fn every_kind_is_read() {
    let objects = manifest::parse("every-kind.yaml", EXAMPLE).unwrap_or_else(|wrong| panic!("{}", rendered(&wrong)));
    let mut kinds: Vec<_> = objects.iter().map(|one| one.object.kind()).collect();
    kinds.sort();
    assert_eq!(kinds, Kind::ALL);
    let policy = objects.iter().find(|one| one.object.kind() == Kind::Policy).unwrap();
    assert_eq!(policy.position("/spec/checks/0/require"), (18, 16));
    let Spec::Policy(spec) = &policy.object.spec else { panic!("a policy") };
    assert_eq!(spec.checks[0].names, ["container", "variable"]);
}

#[test]
fn what_is_printed_can_be_applied_again() {
    let objects: Vec<_> = manifest::parse("a", EXAMPLE).unwrap().into_iter().map(|one| one.object).collect();
    let items: Vec<_> = objects
        .iter()
        .map(|object| {
            let mut value = serde_json::to_value(object).unwrap();
            value["status"] = serde_json::json!({ "conditions": [] });
            value
        })
        .collect();
    let list = serde_json::json!({ "apiVersion": "plimsoll/v1", "kind": "List", "items": items });
    for text in [manifest::to_yaml(&list).unwrap(), serde_json::to_string_pretty(&list).unwrap()] {
        let again: Vec<_> = manifest::parse("b", &text).unwrap().into_iter().map(|one| one.object).collect();
        assert_eq!(again, objects);
    }
}

#[test]
fn unknown_and_missing_fields_are_all_told_at_once() {
    check("fields", include_str!("../fixtures/manifests/fields.yaml"));
}

#[test]
fn wrong_values_are_all_told_at_once() {
    check("values", include_str!("../fixtures/manifests/values.yaml"));
}

#[test]
fn broken_yaml_is_told_and_does_not_hide_other_documents() {
    check("syntax", include_str!("../fixtures/manifests/syntax.yaml"));
}

#[test]
fn one_name_in_two_files_is_told_with_both_places() {
    let text = "apiVersion: plimsoll/v1\nkind: Freeze\nmetadata: { name: all }\nspec: { reason: peak }\n";
    let files = [("a.yaml".to_owned(), text.into()), ("b.yaml".to_owned(), text.into())];
    let findings = manifest::parse_files(&files).unwrap_err();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].to_string(), "b.yaml:3:19: Freeze `all` is defined twice");
    assert_eq!(findings[0].help.as_deref(), Some("the other is at a.yaml:3"));
}

#[test]
fn hostile_files_are_refused_with_one_clear_sentence() {
    let cases: [(&str, Vec<u8>); 5] = [
        ("the file is not UTF-8 from here on", b"apiVersion: plimsoll/v1\nkind: \xff\n".to_vec()),
        (
            "the file is not UTF-8 from here on",
            "kind: Policy".encode_utf16().flat_map(u16::to_le_bytes).chain([0xff]).collect(),
        ),
        ("the file is larger than 8 MiB", vec![b'a'; 9 * 1024 * 1024]),
        ("expected an object, found a string", vec![b'a'; 1_000_000]),
        (
            "more than 50000 values in one file, aliases expanded",
            b"[a,".to_vec().into_iter().chain("a,".repeat(60_000).into_bytes()).collect(),
        ),
    ];
    for (message, bytes) in cases {
        let findings = manifest::parse_files(&[("f".to_owned(), bytes)]).unwrap_err();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].message, message);
        assert!(findings[0].render(true).len() < 4096);
    }
}

#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let text = "apiVersion: plimsoll/v1\nkind: \"\\e[31mPolicy\\a\"\n\"\\e[2J\": 1\nmetadata: {name: \"a\u{202e}b\"} # \u{9b}\nspec: {}\n";
    let findings = manifest::parse("f\u{1b}[0m", text).unwrap_err();
    let shown = rendered(&findings) + &findings.iter().map(ToString::to_string).collect::<String>();
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
}

#[test]
fn of_very_many_findings_the_first_are_told_and_the_rest_counted() {
    let unknown: String = (0..1000).map(|index| format!("unknown{index}: 1\n")).collect();
    let findings = manifest::parse("f", &format!("apiVersion: plimsoll/v1\nkind: Freeze\n{unknown}")).unwrap_err();
    assert_eq!(findings.len(), 201);
    assert_eq!(findings[200].message, "and 802 more findings in this file");
}

#[test]
fn very_many_bad_documents_are_told_like_one() {
    let text = "---\nkind: Polcy\nmetadata: {}\n".repeat(9_000);
    let findings = manifest::parse("f", &text).unwrap_err();
    assert_eq!(findings.len(), 201);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Err(findings) = manifest::parse_files(&[("f".to_owned(), bytes)]) {
            prop_assert!(!rendered(&findings).is_empty());
        }
    }

    #[test]
    fn no_damage_to_a_good_file_makes_it_panic(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), "[-?:,\\[\\]{}#&*!|>'\"%@` \n\t<~0a]{0,3}"), 1..6)
    ) {
        let mut text: Vec<char> = EXAMPLE.chars().collect();
        for (index, piece) in damage {
            let at = index.index(text.len());
            text.splice(at..(at + 1).min(text.len()), piece.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(findings) = manifest::parse("f", &text) {
            prop_assert!(!rendered(&findings).is_empty());
        }
    }
}

#[test]
fn what_is_wrong_with_an_expression_is_told_at_its_character() {
    let text = include_str!("../fixtures/manifests/expressions.yaml");
    let objects = manifest::parse("expressions.yaml", text).unwrap_or_else(|wrong| panic!("{}", rendered(&wrong)));
    let all: Vec<_> = objects.iter().map(|one| one.object.clone()).collect();
    let problems = PolicySet::compile(&all).unwrap_err();
    let findings: Vec<_> = problems.iter().map(|problem| manifest::locate(&objects, problem).unwrap()).collect();
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("manifest-expressions", rendered(&findings));
    });
}

/// Each way in which an expression is refused on reading, at its line and at the column within it.
#[test]
fn refused_expressions_are_told_at_their_line_and_column() {
    let deep = format!("{}true{}", "(".repeat(60), ")".repeat(60));
    let chain = format!("{}1 == 1", "1+".repeat(60));
    let long = format!("taskDefinition.?family.orValue('') != '{}'", "x".repeat(2048));
    let checks: String = [
        "taskDefinition.pidMode == ",
        "taskDefiniton.pidMode == 'host'",
        "lower(taskDefinition.pidMode) == 'host'",
        "params.users == {}",
        "size(taskDefinition.containerDefinitions)",
        "taskDefinition.?privileged",
        "taskDefinition.pidMode.startsWith('a', 'b')",
        "taskDefinition.family.matches('(')",
        "[1].all(a, [2].all(b, [3].all(c, a + b == c)))",
        deep.as_str(),
        chain.as_str(),
        long.as_str(),
    ]
    .iter()
    .enumerate()
    .map(|(index, source)| format!("    - {{ name: c{index}, message: m, require: \"{source}\" }}\n"))
    .collect();
    let text = format!(
        "apiVersion: plimsoll/v1\nkind: Policy\nmetadata: {{ name: refused }}\nspec:\n  title: t\n  severity: low\n  resource: TaskDefinition\n  checks:\n{checks}"
    );
    let objects = manifest::parse("refused.yaml", &text).unwrap_or_else(|wrong| panic!("{}", rendered(&wrong)));
    let all: Vec<_> = objects.iter().map(|one| one.object.clone()).collect();
    let problems = PolicySet::compile(&all).unwrap_err();
    let findings: Vec<_> = problems.iter().map(|problem| manifest::locate(&objects, problem).unwrap()).collect();
    assert_eq!(findings.len(), 12);
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("manifest-refused-expressions", rendered(&findings));
    });
}

/// Whoever mends what has the wrong shape is not told of the rest only then.
#[test]
fn what_has_the_wrong_shape_does_not_hide_what_else_is_wrong() {
    let strategy = "apiVersion: plimsoll/v1\nkind: RolloutStrategy\nmetadata: { name: s }\nspec:\n  wavez: []\n  maxInFlight: 0\n  \
                    health: { progressTimeout: soon }\n  windows: [{ allow: '0 9 * * *', for: 0s }]\n";
    let waiver = "---\napiVersion: plimsoll/v1\nkind: Waiver\nmetadata: { name: w }\nspec: { policies: [], owner: '', reason: why, \
                  expiresAt: tomorrow }\n";
    // What a misspelled member is missed as is not told beside it.
    let binding = "---\napiVersion: plimsoll/v1\nkind: Binding\nmetadata: { name: b }\nspec: { policys: [a] }\n";
    let findings = manifest::parse("f", &format!("{strategy}{waiver}{binding}")).unwrap_err();
    let told: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "unknown field `wavez`",
            "nothing could ever start",
            "`soon` is not a length of time such as `90s`, `10m`, `8h` or `14d`",
            "the window is never open",
            "the waiver names no policies",
            "must not be empty",
            "`tomorrow` is not a time such as `2027-03-31T00:00:00Z`",
            "unknown field `policys`",
        ]
    );
}
