//! The language: what it answers, what it refuses, and that it agrees with CEL's reference in Rust.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn scope() -> Scope {
    Scope::of(["taskDefinition", "service", "params"]).with_params(["names", "map"]).with(["container"])
}

fn document() -> Value {
    json!({
        "pidMode": "host", "cpu": 256, "ratio": 0.5, "nothing": null, "big": 18_446_744_073_709_551_615_u64,
        "containerDefinitions": [
            {"name": "app", "privileged": true, "image": "public.ecr.aws/x/app:1", "user": "0:0",
             "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"name": "side", "image": "busybox", "odd": {"plimsoll:unresolved": "Ref X"}}
        ],
        "labels": {"team": "a", "env": "prod"}, "mixed": ["a", {"plimsoll:unresolved": "If"}, "b"]
    })
}

fn run(source: &str) -> Result<Value, String> {
    let document = document();
    let params = json!({"names": ["A", "C"], "map": {"A": "arn"}});
    let expression = Expression::value(source, &scope()).map_err(|why| format!("refused: {why}"))?;
    let container = &document["containerDefinitions"][0];
    let roots = Roots { fixed: &[Some(&document), None, Some(&params)], bound: &[container] };
    let budget = Budget::of(POLICY_STEPS);
    let value = expression.run(roots, &budget).map_err(|why| format!("{:?}: {why}", why.kind))?;
    value.to_json().ok_or_else(|| "empty".to_owned())
}

#[track_caller]
fn gives(source: &str, wanted: Value) {
    assert_eq!(run(source), Ok(wanted), "{source}");
}

#[track_caller]
fn fails(source: &str, wanted: &str) {
    let why = run(source).expect_err(source);
    assert!(why.contains(wanted), "{source}: {why}");
}

#[test]
fn expressions_give_what_cel_says() {
    gives("taskDefinition.pidMode == 'host'", json!(true));
    gives("taskDefinition.cpu + 1 == 257 && taskDefinition.cpu % 100 == 56", json!(true));
    gives("taskDefinition.?ipcMode.orValue('none')", json!("none"));
    gives("taskDefinition.?a.b.c.orValue(1)", json!(1));
    gives("has(taskDefinition.pidMode) && !has(taskDefinition.ipcMode)", json!(true));
    gives("taskDefinition.containerDefinitions.filter(c, c.?privileged.orValue(false)).map(c, c.name)", json!(["app"]));
    gives("taskDefinition.containerDefinitions.all(c, size(c.?environment.orValue([])) < 3)", json!(true));
    gives(
        "taskDefinition.containerDefinitions.exists(c, c.?environment.orValue([]).exists(e, e.name == 'B'))",
        json!(true),
    );
    gives("container.environment.exists_one(e, e.name in params.names)", json!(true));
    gives("container.environment.map(e, e.name == 'A', e.value)", json!(["1"]));
    gives("taskDefinition.labels.all(k, k in ['team', 'env'])", json!(true));
    gives("taskDefinition.labels['team'] + '-' + string(7)", json!("a-7"));
    gives("taskDefinition.labels[?'x'].orValue('y')", json!("y"));
    gives("container.user.matches(r'^(root|0+)(:|$)')", json!(true));
    gives("container.user.split(':')[0]", json!("0"));
    gives("['a', 'b'].join('/') == 'a/b' ? {'k': [1, 2.5, null]} : {}", json!({"k": [1, 2.5, null]}));
    gives("optional.none().orValue(3) - -3 * 2", json!(9));
    gives("'ABC'.lowerAscii().startsWith('ab') && 'x'.endsWith('x') && 'abc'.contains('b')", json!(true));
    gives("taskDefinition.big > 1 && 1u < 2 && 0.5 == taskDefinition.ratio && 2 == 2.0", json!(true));
    gives("int('42') + int(2.9) == 44 && double(1) == 1.0", json!(true));
    gives("[1, 2] == [1, 2] && {'a': 1} == {'a': 1} && [1] != [2]", json!(true));
    gives("image(container.image).registry", json!("public.ecr.aws"));
    gives(
        "image('localhost:5000/a/b@sha256:00')",
        json!({"name": "localhost:5000/a/b", "registry": "localhost:5000", "repository": "a/b", "tag": "", "digest": "sha256:00"}),
    );
    gives("image('localhost:5000/web:5000').name + image('nginx').name", json!("localhost:5000/webnginx"));
    gives(
        "image('nginx:1.27').repository + image('nginx:1.27').tag + image('a/b').registry",
        json!("nginx1.27docker.io"),
    );
    gives("roleName('arn:aws:iam::123456789012:role/team/app') == roleName('app')", json!(true));
    gives("isFargate({'capacityProviderStrategy': [{'capacityProvider': 'FARGATE_SPOT'}]})", json!(true));
    gives("isFargate({'launchType': 'EC2'})", json!(false));
}

#[test]
fn null_is_absent_but_can_be_looked_at() {
    gives("has(taskDefinition.nothing)", json!(false));
    gives("taskDefinition.?nothing.orValue('x')", json!("x"));
    gives("taskDefinition.nothing == null && taskDefinition.pidMode != null", json!(true));
}

#[test]
fn what_cannot_be_told_is_an_error_and_never_false() {
    fails("taskDefinition.missing == 'x'", "Missing");
    fails("has(taskDefinition.a.b)", "Missing");
    fails("service.x == 1", "NotObserved");
    fails("taskDefinition.cpu == '256'", "Type");
    fails("taskDefinition.cpu in ['256']", "Type");
    fails("!taskDefinition.pidMode", "Type");
    fails("taskDefinition.cpu / 0 == 1", "Type");
    fails("9223372036854775807 + taskDefinition.cpu == 1", "Type");
    fails("taskDefinition.containerDefinitions[1].odd == 'x'", "NotObserved");
    fails("taskDefinition.containerDefinitions.exists(c, has(c.odd))", "NotObserved");
    // An element that is not known may be none, or several.
    fails("size(taskDefinition.mixed) == 3", "NotObserved");
    fails("taskDefinition.mixed[2] == 'b'", "NotObserved");
    fails("taskDefinition.mixed[?3].hasValue()", "NotObserved");
    fails("taskDefinition.mixed == ['a', 'b']", "NotObserved");
    fails("taskDefinition.mixed.all(x, x != 'c')", "NotObserved");
    gives("'b' in taskDefinition.mixed && taskDefinition.mixed[0] == 'a'", json!(true));
    gives("taskDefinition.mixed.exists(x, x == 'b')", json!(true));
    fails("isFargate({'a': 1})", "NotObserved");
    fails("container.name.matches(container.image + '(')", "Type");
}

#[test]
fn an_operand_that_decides_makes_up_for_an_error_beside_it() {
    gives("service.x == 1 || taskDefinition.pidMode == 'host'", json!(true));
    gives("taskDefinition.missing && taskDefinition.pidMode != 'host'", json!(false));
    gives("taskDefinition.containerDefinitions.exists(c, c.privileged)", json!(true));
    fails("service.x == 1 || taskDefinition.pidMode != 'host'", "NotObserved");
}

#[track_caller]
fn refused(source: &str, column: usize, wanted: &str) {
    let why = Expression::condition(source, &scope()).expect_err(source);
    assert!(why.message.contains(wanted), "{source}: {why:?}");
    assert_eq!(why.column, column, "{source}: {why:?}");
}

#[test]
fn expressions_that_make_no_sense_are_refused_with_their_column() {
    refused("taskdefinition.pidMode == 'host'", 1, "no variable `taskdefinition`");
    refused("true && foo(1)", 9, "no function `foo`");
    refused("'a'.startsWith('b', 'c')", 4, "wrong number");
    refused("params.nmaes == []", 7, "no param `nmaes`");
    refused("'host'", 1, "never true or false");
    refused("1 + 1", 3, "never true or false");
    refused("taskDefinition.?a", 15, "an optional");
    refused("taskDefinition.pidMode = 'host'", 24, "means nothing");
    refused("taskDefinition.pidMode == ", 27, "found the end");
    refused("(true", 6, "expected `)`");
    refused("'abc", 1, "no end");
    refused("'a'.matches('(')", 13, "regular expression");
    refused("'a' == 1", 8, "compares");
    refused("[1].all(x, [1].all(y, [1].all(z, true)))", 26, "deep");
    refused("for == 1", 1, "reserved");
    refused("[1].all(1, true)", 4, "name of a variable");
    refused("\u{0}", 1, "means nothing");
    refused("", 1, "found the end");
}

#[test]
fn hostile_sources_end_in_a_short_error() {
    let many = |text: &str, count: usize| text.repeat(count);
    for source in [
        many("1+", 500) + "1",
        many("(", 2000),
        many("[", 900) + &many("]", 900),
        many("!", 2000) + "true",
        many("a?b:", 400) + "c",
        many("-", 2000) + "1",
        many("{1:", 600) + "1" + &many("}", 600),
        format!("container{}", many(".a", 900)),
        format!("container{}", many("[0]", 600)),
        many("1+1==", 300) + "2",
        many("x", 1_000_000),
        many("a&&", 1_000_000),
        format!("[{}]", many("1,", 200)),
        format!("'{}", many("\\", 1001)),
        many("💥", 500),
        many("f(", 600),
        many("@#$", 600),
    ] {
        let why = Expression::value(&source, &scope()).expect_err(&source[..20]);
        assert!(why.message.len() < 200 && why.column <= MAX_SOURCE + 1, "{why:?}");
    }
}

#[test]
fn work_is_bounded_where_it_runs() {
    let numbers: Vec<u32> = (0..5000).collect();
    let params = json!({"names": numbers, "map": "x".repeat(40_000)});
    let document = json!({});
    for source in [
        "params.names.all(x, params.names.all(y, x + y >= 0))",
        "params.map + params.map == ''",
        "params.names.all(x, params.map.contains(params.map))",
        "params.names.map(x, params.map + 'a') == []",
        "params.names.all(x, params.map.matches(params.map))",
    ] {
        let expression = Expression::condition(source, &scope()).expect(source);
        let roots = Roots { fixed: &[Some(&document), None, Some(&params)], bound: &[&document] };
        let why = expression.holds(roots, &Budget::of(POLICY_STEPS)).expect_err(source);
        assert!(matches!(why.kind, EvalErrorKind::Budget | EvalErrorKind::Type), "{source}: {why:?}");
    }
}

/// The worst that the bounds let through, read, run and dropped on half of a worker thread's 2 MiB.
#[test]
fn the_deepest_expression_fits_a_small_stack() {
    let shapes: Vec<String> = vec![
        format!("{}1{}", "(".repeat(MAX_DEPTH - 1), ")".repeat(MAX_DEPTH - 1)),
        format!("{}1{}", "[".repeat(MAX_DEPTH - 1), "]".repeat(MAX_DEPTH - 1)),
        format!("{}1{}", "{'a':".repeat(MAX_DEPTH - 1), "}".repeat(MAX_DEPTH - 1)),
        "true?1".to_owned() + &":false?2".repeat(MAX_DEPTH - 3) + ":3",
        format!("{}true", "!".repeat(MAX_DEPTH - 1)),
        format!("1{}", "+1".repeat(MAX_DEPTH - 1)),
        format!("{}1{}", "string(".repeat(MAX_DEPTH - 1), ")".repeat(MAX_DEPTH - 1)),
    ];
    let child = std::thread::Builder::new().stack_size(1024 * 1024).spawn(move || {
        for source in shapes {
            let expression = Expression::value(&source, &scope()).unwrap_or_else(|why| panic!("{source}: {why:?}"));
            let document = json!({});
            let roots = Roots { fixed: &[Some(&document), None, Some(&document)], bound: &[&document] };
            expression.run(roots, &Budget::of(POLICY_STEPS)).unwrap_or_else(|why| panic!("{source}: {why:?}"));
        }
    });
    child.unwrap().join().unwrap();
}

/// What CEL's reference says, where it says something JSON can hold.
fn reference(source: &str, document: &Value) -> Option<Value> {
    let mut env = cel::Env::stdlib();
    env.add_extension(cel::extensions::strings).ok()?;
    let program = env.compile(source).ok()?;
    let mut context = cel::Context::with_env(std::sync::Arc::new(env));
    context.add_variable("d", document).ok()?;
    program.execute(&context).ok()?.json().ok()
}

fn pick(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(str::to_owned)
}

fn numbers() -> impl Strategy<Value = String> {
    let atoms = pick(&[
        "d.a",
        "d.b",
        "1",
        "2",
        "-3",
        "0",
        "d.list[0]",
        "size(d.list)",
        "d.map.k",
        "d.?c.orValue(4)",
        "d.missing",
        "0.5",
    ]);
    atoms.prop_recursive(3, 8, 2, |inner| {
        (inner.clone(), pick(&["+", "-", "*", "/", "%"]), inner).prop_map(|(l, sign, r)| format!("({l} {sign} {r})"))
    })
}

fn texts() -> impl Strategy<Value = String> {
    let atoms = pick(&["d.text", "'x'", "'ab'", "d.?t.orValue('ab')", "string(d.a)", "d.nope", "''"]);
    atoms.prop_recursive(2, 4, 2, |inner| (inner.clone(), inner).prop_map(|(l, r)| format!("({l} + {r})")))
}

fn lists() -> impl Strategy<Value = String> {
    let atoms = pick(&["d.list", "[1, 2]", "[]", "[d.a, d.b, 7]", "d.?l.orValue([3])"]);
    (atoms, numbers())
        .prop_recursive(2, 6, 2, |inner| {
            (inner, pick(&["map", "filter"]), pick(&["v + 1", "v * 2", "v"]), numbers()).prop_map(
                |((list, number), fold, body, other)| {
                    let list = if fold == "map" {
                        format!("{list}.map(v, {body})")
                    } else {
                        format!("{list}.filter(v, v > {other})")
                    };
                    (list, number)
                },
            )
        })
        .prop_map(|(list, _)| list)
}

fn sources() -> impl Strategy<Value = String> {
    let compare = || pick(&["==", "!=", "<", "<=", ">", ">="]);
    let facts = prop_oneof![
        (numbers(), compare(), numbers()).prop_map(|(l, sign, r)| format!("{l} {sign} {r}")),
        (texts(), compare(), texts()).prop_map(|(l, sign, r)| format!("{l} {sign} {r}")),
        (lists(), pick(&["==", "!="]), lists()).prop_map(|(l, sign, r)| format!("{l} {sign} {r}")),
        (numbers(), lists()).prop_map(|(l, r)| format!("{l} in {r}")),
        (texts(), pick(&["contains", "startsWith", "endsWith", "matches"]), texts())
            .prop_map(|(l, f, r)| format!("{l}.{f}({r})")),
        (lists(), pick(&["all", "exists", "exists_one"]), compare(), numbers())
            .prop_map(|(list, fold, sign, r)| format!("{list}.{fold}(v, v {sign} {r})")),
        pick(&[
            "d.yes",
            "has(d.a)",
            "has(d.map.k)",
            "has(d.missing)",
            "has(d.missing.k)",
            "'k' in d.map",
            "d.?yes.orValue(false)",
            "d.map.all(k, k == 'k')"
        ]),
    ];
    facts.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), pick(&["&&", "||"]), inner.clone()).prop_map(|(l, sign, r)| format!("({l} {sign} {r})")),
            inner.clone().prop_map(|of| format!("!({of})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(c, t, e)| format!("({c} ? {t} : {e})")),
        ]
    })
}

fn alike(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => ours.as_f64() == theirs.as_f64(),
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| alike(ours, theirs))
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().all(|(key, ours)| theirs.get(key).is_some_and(|theirs| alike(ours, theirs)))
        }
        _ => ours == theirs,
    }
}

#[test]
fn where_both_answer_the_reference_agrees() {
    // Nesting is kept low and the thread's stack high for the reference's parser; see the module.
    let child = std::thread::Builder::new().stack_size(64 * 1024 * 1024).spawn(|| {
        let document = json!({"a": 1, "b": 2, "list": [1, 2], "text": "ab", "yes": true, "map": {"k": 1}});
        let answered = std::cell::Cell::new(0);
        proptest!(ProptestConfig::with_cases(1200), |(source in sources())| {
            let scope = Scope::of(["d"]);
            let Ok(expression) = Expression::value(&source, &scope) else { return Ok(()) };
            let roots = Roots { fixed: &[Some(&document)], bound: &[] };
            let Ok(ours) = expression.run(roots, &Budget::of(POLICY_STEPS)) else { return Ok(()) };
            let Some(ours) = ours.to_json() else { return Ok(()) };
            let Some(theirs) = reference(&source, &document) else { return Ok(()) };
            answered.set(answered.get() + 1);
            prop_assert!(alike(&ours, &theirs), "{source}: ours {ours}, reference {theirs}");
        });
        assert!(answered.get() > 200, "the comparison compared only {}", answered.get());
    });
    child.unwrap().join().unwrap();
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(source in "\\PC{0,200}") {
        let _ = Expression::condition(&source, &scope());
    }

    #[test]
    fn no_tokens_make_it_panic(words in prop::collection::vec(prop::sample::select(vec![
        "(", ")", "[", "]", "{", "}", "?", ":", ".", ".?", "[?", ",", "+", "-", "!", "&&", "||", "==", "in", "1", "0x", "1e9",
        "'a'", "r'\\'", "\"", "taskDefinition", "container", "params", "all", "has", "size", "optional", "of", "matches",
    ]), 0..40)) {
        let source = words.join(" ");
        if let Ok(expression) = Expression::value(&source, &scope()) {
            let document = document();
            let roots = Roots { fixed: &[Some(&document), None, Some(&document)], bound: &[&document] };
            let _ = expression.run(roots, &Budget::of(POLICY_STEPS));
        }
    }
}

#[test]
fn every_function_is_explained_with_an_example_that_gives_what_it_says() {
    for one in CATALOGUE {
        let wanted: Value = serde_json::from_str(one.result).unwrap();
        gives(one.example, wanted);
        assert!(!one.gives.is_empty() && !one.gives.ends_with('.'), "{one:?}");
    }
    // What the resolver takes besides the functions of the table: it names them itself in what it says of others.
    let why = run("nothing(1)").unwrap_err();
    assert!(why.contains("nothing"), "{why}");
    let Err(refused) = Expression::value("nothing(1)", &scope()) else { panic!("it is no function") };
    let help = refused.help.unwrap();
    for word in help.trim_start_matches("there are ").split(", ") {
        let explained =
            |one: &&FunctionDoc| one.usage.starts_with(&format!("{word}(")) || one.usage.contains(&format!(".{word}("));
        let one = CATALOGUE.iter().find(explained).unwrap_or_else(|| panic!("`{word}` is not explained"));
        assert!(one.example.contains(&format!("{word}(")), "{one:?}");
    }
}
