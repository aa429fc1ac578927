//! Every pair of what the controller is at and what people do at that moment: one line for what came of it.
//!
//! `tests/README.md` has the table. Each cell is a script of its own; where it ends, nothing may be left half done.

use super::run;

/// A moment: what has happened before, and how a step is made to happen then.
struct Moment {
    name: &'static str,
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
    ("kills the controller", "die", ""),
];

const STAGE: &str = "service prod/a\nservice prod/b\n";
const STRATEGY: &str = "enforce { waves: [{ name: one, size: 1, bake: 5m }, { name: two, size: rest }], approval: before, health: { steadyFor: 90s } }\nsettle 5m\npass\n";

const MOMENTS: &[Moment] = &[
    Moment { name: "pending", before: "", at: "", then: "approve s-1\n" },
    Moment { name: "registering", before: "approve s-1\n", at: "before RegisterTaskDefinition ", then: "" },
    Moment { name: "registered", before: "approve s-1\n", at: "after RegisterTaskDefinition ", then: "" },
    Moment { name: "updating", before: "approve s-1\n", at: "before UpdateService ", then: "" },
    Moment { name: "updated", before: "approve s-1\n", at: "after UpdateService ", then: "" },
    Moment { name: "stabilizing", before: "approve s-1\nfor 30s\n", at: "", then: "" },
    Moment { name: "verifying", before: "approve s-1\nfor 2m\n", at: "", then: "" },
    Moment { name: "baking", before: "approve s-1\nfor 5m\n", at: "", then: "" },
    Moment {
        name: "stopping",
        before: "breaks a crashOnStart\napprove s-1\n",
        at: "before StopServiceDeployment ",
        then: "",
    },
    Moment {
        name: "stopped",
        before: "breaks a crashOnStart\napprove s-1\n",
        at: "after StopServiceDeployment ",
        then: "",
    },
    Moment { name: "paused", before: "breaks a crashOnStart\napprove s-1\nfor 5m\n", at: "", then: "" },
    Moment { name: "undoing", before: "approve s-1\nfor 5m\nundo s-1\n", at: "before UpdateService ", then: "" },
    Moment { name: "undone", before: "approve s-1\nfor 5m\nundo s-1\n", at: "after UpdateService ", then: "" },
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
            "{STAGE}{STRATEGY}{}{step}{at_once}{}for 2m\n{crash}for 6m every 30s\n{later}for 16m every 1m\n",
            moment.before, moment.then
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
    pending
    registering
    registered
    updating
    updated
    stabilizing
    verifying
    baking
    stopping
    stopped
    paused
    undoing
    undone
}
