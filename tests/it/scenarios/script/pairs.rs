//! Every pair of what the controller is at and what people do at that moment: one line for what came of it.
//!
//! `tests/README.md` has the table. Each cell is a script of its own; where it ends, nothing may be left half done.

use super::run;

/// A moment: what has happened before, and how a step is made to happen then.
struct Moment {
    name: &'static str,
    /// How long the last wave bakes.
    last_bake: &'static str,
    /// Steps before it.
    before: &'static str,
    /// What a person's step is prefixed with: right before or after a call of ours, or nothing.
    at: &'static str,
    /// What goes on then.
    then: &'static str,
}

/// What a person does, and what follows ten minutes later.
const ACTIONS: &[(&str, &str, &str)] = &[
    ("deploys with the same violation", "deploy prod/a {\"cpu\": \"256\"}", ""),
    ("deploys without it", "deploy prod/a {\"pidMode\": null}", ""),
    ("scales to zero", "scale prod/a 0", ""),
    ("deletes the service", "delete prod/a", ""),
    ("deregisters what it ran", "deregister a:1", ""),
    ("freezes", "freeze stop", "unfreeze stop\n"),
    ("registers a newer revision", "register a", ""),
    ("waives it", "waive a", ""),
    ("edits the policy", "edit policy", ""),
    ("takes the Binding away", "remove Binding enforce-no-host-pid", ""),
    ("pauses", "pause s-1", "resume s-1\n"),
    ("approves", "approve s-1", ""),
    ("resumes", "resume s-1", ""),
    ("retries", "retry s-1", ""),
    ("aborts", "abort s-1", ""),
    ("undoes", "undo s-1", ""),
    ("undoes one", "undo s-1 prod/a", ""),
    ("holds", "hold prod/a", ""),
    ("deletes the cluster", "delete services prod", "delete cluster prod\n"),
    ("pauses for good", "pause s-1", ""),
    ("asks for the plan", "ask plan", ""),
    ("kills the controller", "die", ""),
];

const STAGE: &str = "service prod/a\nservice prod/b\n";
/// A person keeps the plan before the controller has seen anything.
const BEGINNING: &str = "settle 5m\nplan keep\n";

fn strategy(last_bake: &str) -> String {
    format!(
        "enforce {{ waves: [{{ name: one, size: 1, bake: 5m }}, {{ name: two, size: rest, bake: {last_bake} }}], approval: before, health: {{ steadyFor: 90s }} }}\n"
    )
}

const MOMENTS: &[Moment] = &[
    Moment {
        last_bake: "0s",
        name: "planning",
        before: "",
        at: "during DescribeTaskDefinition 20s ",
        then: "pass\nfor 1m\napprove s-1\n",
    },
    Moment { last_bake: "0s", name: "pending", before: "pass\n", at: "", then: "approve s-1\n" },
    Moment {
        last_bake: "0s",
        name: "registering",
        before: "pass\napprove s-1\n",
        at: "before RegisterTaskDefinition ",
        then: "",
    },
    Moment {
        last_bake: "0s",
        name: "registered",
        before: "pass\napprove s-1\n",
        at: "after RegisterTaskDefinition ",
        then: "",
    },
    Moment { last_bake: "0s", name: "updating", before: "pass\napprove s-1\n", at: "before UpdateService ", then: "" },
    Moment { last_bake: "0s", name: "updated", before: "pass\napprove s-1\n", at: "after UpdateService ", then: "" },
    Moment { last_bake: "0s", name: "stabilizing", before: "pass\napprove s-1\nfor 30s\n", at: "", then: "" },
    Moment {
        last_bake: "0s",
        name: "reading",
        before: "pass\napprove s-1\nfor 45s\n",
        at: "during DescribeTaskDefinition 20s ",
        then: "",
    },
    Moment { last_bake: "0s", name: "verifying", before: "pass\napprove s-1\nfor 2m\n", at: "", then: "" },
    Moment { last_bake: "0s", name: "baking", before: "pass\napprove s-1\nfor 5m\n", at: "", then: "" },
    Moment { last_bake: "10m", name: "last_bake", before: "pass\napprove s-1\nfor 16m every 30s\n", at: "", then: "" },
    Moment {
        last_bake: "0s",
        name: "stopping",
        before: "pass\nbreaks a crashOnStart\napprove s-1\n",
        at: "before StopServiceDeployment ",
        then: "",
    },
    Moment {
        last_bake: "0s",
        name: "stopped",
        before: "pass\nbreaks a crashOnStart\napprove s-1\n",
        at: "after StopServiceDeployment ",
        then: "",
    },
    Moment {
        last_bake: "0s",
        name: "paused",
        before: "pass\nbreaks a crashOnStart\napprove s-1\nfor 5m\n",
        at: "",
        then: "",
    },
    Moment {
        last_bake: "0s",
        name: "undoing",
        before: "pass\napprove s-1\nfor 5m\nundo s-1\n",
        at: "before UpdateService ",
        then: "",
    },
    Moment {
        last_bake: "0s",
        name: "undone",
        before: "pass\napprove s-1\nfor 5m\nundo s-1\n",
        at: "after UpdateService ",
        then: "",
    },
];

async fn row(name: &str) -> String {
    let moment = MOMENTS.iter().find(|moment| moment.name == name).unwrap();
    let mut lines = String::new();
    for (what, step, later) in ACTIONS {
        // Whoever dies is followed by another; with a call to wait for, once that was made.
        let (at_once, crash) = match (*step, moment.at) {
            ("die", "") => ("crash\n", ""),
            ("die", _) => ("", "crash\n"),
            _ => ("", ""),
        };
        let step =
            if *step == "die" && moment.at.is_empty() { String::new() } else { format!("{}{step}\n", moment.at) };
        let script = format!(
            "{STAGE}{}{BEGINNING}{}{step}{at_once}{}for 2m\n{crash}for 6m every 30s\n{later}for 16m every 1m\n",
            strategy(moment.last_bake),
            moment.before,
            moment.then
        );
        lines.push_str(&format!("{what}: {}\n", run::outcome(&script, "prod/a").await));
    }
    lines
}

macro_rules! rows {
    ($($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let row = row(stringify!($name)).await;
                insta::with_settings!(
                    { snapshot_path => "../pairs", prepend_module_to_snapshot => false, omit_expression => true },
                    { insta::assert_snapshot!(stringify!($name), row); }
                );
            }
        )*

        #[test]
        fn every_moment_has_a_row() {
            assert_eq!(MOMENTS.iter().map(|moment| moment.name).collect::<Vec<_>>(), [$(stringify!($name)),*]);
        }
    };
}

rows! {
    planning
    pending
    registering
    registered
    updating
    updated
    stabilizing
    reading
    verifying
    baking
    last_bake
    stopping
    stopped
    paused
    undoing
    undone
}
