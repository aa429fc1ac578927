//! Bad input: all of it at once, with its place, exit 2, and the store as it was.

use super::{POLICIES, Plimsoll};

const HEAD: &str = "apiVersion: plimsoll/v1\n";

#[track_caller]
fn refused(yaml: &str, told: &[&str]) {
    let plimsoll = Plimsoll::with_store();
    plimsoll.write("good.yaml", POLICIES);
    plimsoll.run(&["apply", "-f", "good.yaml"]).exits(0);
    let before = plimsoll.run(&["get", "policies", "-o", "json"]).stdout;
    plimsoll.write("bad.yaml", yaml);
    let mut run = plimsoll.run(&["apply", "-f", "bad.yaml"]).exits(2).says("nothing was stored");
    for text in told {
        run = run.says(text);
    }
    assert_eq!(run.stdout, "");
    assert_eq!(plimsoll.run(&["get", "policies", "-o", "json"]).stdout, before);
}

#[test]
fn an_unknown_kind_is_refused() {
    refused(
        &format!("{HEAD}kind: Polcy\nmetadata: {{ name: a }}\nspec: {{}}\n"),
        &["bad.yaml:2:7", "did you mean `Policy`?"],
    );
}

#[test]
fn an_unknown_field_is_refused() {
    refused(
        &format!("{HEAD}kind: Freeze\nmetadata: {{ name: a }}\nspec: {{ reason: x, colour: red }}\n"),
        &["unknown field `colour`", "bad.yaml:4:20"],
    );
}

#[test]
fn a_wrong_type_is_refused() {
    refused(
        &format!("{HEAD}kind: Freeze\nmetadata: {{ name: a }}\nspec: {{ reason: [x] }}\n"),
        &["`reason`", "bad.yaml:4:9"],
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let yaml = format!(
        "{HEAD}kind: Freeze\nmetadata: {{ name: A_b }}\nspec: {{ reason: 5 }}\n---\n{HEAD}kind: Wavier\nmetadata: {{ name: b }}\nspec: {{}}\n"
    );
    refused(&yaml, &["bad.yaml:3:19", "bad.yaml:4:17", "bad.yaml:7:7", "3 problems"]);
}

#[test]
fn an_expression_is_refused_at_its_character() {
    let yaml = POLICIES.replace("taskDefinition.?pidMode.orValue('') != 'host'", "taskDefinition.pidMode !=");
    refused(&yaml, &["bad.yaml:11:", "expected a value"]);
}

#[test]
fn a_binding_to_a_strategy_that_is_not_there_is_refused() {
    refused(
        &POLICIES.replace("strategy: gentle", "strategy: harsh"),
        &["there is no RolloutStrategy `harsh`", "bad.yaml"],
    );
}

#[test]
fn a_policy_that_fails_its_own_examples_is_refused() {
    let yaml = POLICIES.replacen(
        "        - edits: [{ remove: /pidMode }]\n",
        "        - edits: [{ remove: /pidMode }]\n  examples: [{ name: wrong, given: { pidMode: host }, expect: pass }]\n",
        1,
    );
    refused(&yaml, &["example `wrong`", "bad.yaml:15:"]);
}

#[test]
fn problems_are_data_too() {
    let plimsoll = Plimsoll::with_store();
    plimsoll.write("bad.yaml", &format!("{HEAD}kind: Freeze\nmetadata: {{ name: a }}\nspec: {{ reason: 5 }}\n"));
    let error = plimsoll.run(&["apply", "-f", "bad.yaml", "-o", "json"]).exits(2).error_json();
    assert_eq!((&error["kind"], &error["apiVersion"]), (&"Error".into(), &"plimsoll/v1".into()));
    let found = &error["diagnostics"][0];
    assert_eq!((&found["file"], &found["line"], &found["column"]), (&"bad.yaml".into(), &4.into(), &17.into()));
}

#[test]
fn what_is_no_file_or_no_usage_is_told() {
    let plimsoll = Plimsoll::with_store();
    plimsoll.run(&["apply", "-f", "missing.yaml"]).exits(2).says("failed to read `missing.yaml`").says("help:");
    plimsoll.write("empty/README.md", "x");
    plimsoll.run(&["apply", "-f", "empty"]).exits(2).says("no .yaml, .yml or .json file");
    plimsoll.run(&["get", "nonsense"]).exits(2).says("`nonsense` is not a kind");
    plimsoll.run(&["explain", "Policy.spec.nonsense"]).exits(2).says("explain Policy.spec`");
    plimsoll.run(&["--store", "s3://bucket", "get", "policies"]).exits(2).says("dynamodb://TABLE or file:PATH");
    plimsoll.run(&["get", "policies", "-o", "sarif"]).exits(2).says("use -o table|wide|json|yaml|name");
    let error = plimsoll.run(&["get", "policies", "-o", "json", "--wrong"]).exits(2).error_json();
    assert_eq!(error["kind"], "Error");
}
