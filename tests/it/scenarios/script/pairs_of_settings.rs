//! As `pairs`, of settings: one of a service that deploys, one that does not, and one of a cluster.

use super::run;
use super::setting::{Edition, OWN_ADDRESS, Part, Setting, fleet};

/// A moment: of which setting, what has happened before, and how a step is made to happen then.
struct Moment {
    name: &'static str,
    setting: Setting,
    /// Steps before it.
    before: &'static str,
    /// What a person's step is prefixed with: right before or after a call of ours, or nothing.
    at: &'static str,
}

impl Moment {
    const fn of(name: &'static str, setting: Setting, before: &'static str, at: &'static str) -> Self {
        Self { name, setting, before, at }
    }

    /// What the change is of.
    const fn place(&self) -> &'static str {
        match self.setting {
            Setting::Cluster => "prod",
            Setting::Deploys | Setting::Quiet => "prod/a",
        }
    }
}

/// What a person does to the setting or to anything else, and what follows ten minutes later.
fn actions(setting: Setting) -> Vec<(&'static str, String, &'static str)> {
    let plain = |(what, step, later): (&'static str, &str, &'static str)| (what, step.to_owned(), later);
    let mut actions = vec![
        ("sets it too", setting.somebody(Part::Wanted), ""),
        ("puts it back", setting.somebody(Part::Back), ""),
        ("changes what goes with it", setting.somebody(Part::Other), ""),
        (
            "edits the policy",
            format!("apply\n{}", indented(&setting.policy(Edition::Second))),
            "for 6m every 30s\napprove s-2\n",
        ),
    ];
    // What is done to a service alone is nothing to its cluster.
    if setting == Setting::Cluster {
        actions.push(("waives it", "waive cluster prod".to_owned(), ""));
    } else {
        actions.push(("deploys", format!("deploy prod/a {OWN_ADDRESS}"), ""));
        actions.extend(
            [
                ("scales to zero", "scale prod/a 0", ""),
                ("deletes the service", "delete prod/a", ""),
                ("waives it", "waive a", ""),
                ("undoes one", "undo s-1 prod/a", ""),
                ("holds", "hold prod/a", ""),
            ]
            .map(plain),
        );
    }
    actions.extend(
        [
            ("deletes the cluster", "delete services prod", "delete cluster prod\n"),
            ("freezes", "freeze stop", "unfreeze stop\n"),
            ("takes the Binding away", "remove Binding enforce-setting", ""),
            ("pauses", "pause s-1", "resume s-1\n"),
            ("pauses for good", "pause s-1", ""),
            ("approves", "approve s-1", ""),
            ("resumes", "resume s-1", ""),
            ("retries", "retry s-1", ""),
            ("aborts", "abort s-1", ""),
            ("undoes", "undo s-1", ""),
            ("kills the controller", "die", ""),
        ]
        .map(plain),
    );
    actions
}

const STRATEGY: &str = "apiVersion: plimsoll/v1\nkind: RolloutStrategy\nmetadata: { name: s }\nspec: { waves: [{ name: one, size: 1, bake: 5m }, { name: two, size: rest }], approval: before, health: { steadyFor: 90s } }\n";
const UNDONE: &str = "pass\napprove s-1\nfor 5m\nundo s-1\n";
const BEGUN: &str = "pass\napprove s-1\n";
const SOON_UNDONE: &str = "pass\napprove s-1\nfor 2m\nundo s-1\n";
/// The tasks that the setting's deployment starts do not do well.
const SPOILT: &str = "pass\nspoils a crashOnStart\napprove s-1\n";

const MOMENTS: &[Moment] = &[
    Moment::of("deploying_pending", Setting::Deploys, "pass\n", ""),
    Moment::of("deploying_updating", Setting::Deploys, BEGUN, "before UpdateService "),
    Moment::of("deploying_updated", Setting::Deploys, BEGUN, "after UpdateService "),
    Moment::of("deploying_stabilizing", Setting::Deploys, "pass\napprove s-1\nfor 30s\n", ""),
    Moment::of("deploying_verifying", Setting::Deploys, "pass\napprove s-1\nfor 2m\n", ""),
    Moment::of("deploying_baking", Setting::Deploys, "pass\napprove s-1\nfor 5m\n", ""),
    Moment::of("deploying_stopping", Setting::Deploys, SPOILT, "before StopServiceDeployment "),
    Moment::of("deploying_stopped", Setting::Deploys, SPOILT, "after StopServiceDeployment "),
    Moment::of("deploying_paused", Setting::Deploys, "pass\nspoils a crashOnStart\napprove s-1\nfor 5m\n", ""),
    Moment::of("deploying_undoing", Setting::Deploys, UNDONE, "before UpdateService "),
    Moment::of("deploying_undone", Setting::Deploys, UNDONE, "after UpdateService "),
    Moment::of("quiet_pending", Setting::Quiet, "pass\n", ""),
    Moment::of("quiet_updating", Setting::Quiet, BEGUN, "before UpdateService "),
    Moment::of("quiet_updated", Setting::Quiet, BEGUN, "after UpdateService "),
    Moment::of("quiet_baking", Setting::Quiet, "pass\napprove s-1\nfor 2m\n", ""),
    Moment::of("quiet_undoing", Setting::Quiet, SOON_UNDONE, "before UpdateService "),
    Moment::of("quiet_undone", Setting::Quiet, SOON_UNDONE, "after UpdateService "),
    Moment::of("cluster_pending", Setting::Cluster, "pass\n", ""),
    Moment::of("cluster_updating", Setting::Cluster, BEGUN, "before UpdateClusterSettings "),
    Moment::of("cluster_updated", Setting::Cluster, BEGUN, "after UpdateClusterSettings "),
    Moment::of("cluster_undoing", Setting::Cluster, SOON_UNDONE, "before UpdateClusterSettings "),
    Moment::of("cluster_undone", Setting::Cluster, SOON_UNDONE, "after UpdateClusterSettings "),
];

fn indented(yaml: &str) -> String {
    yaml.lines().map(|line| format!("  {line}\n")).collect()
}

async fn row(name: &str) -> String {
    let moment = MOMENTS.iter().find(|moment| moment.name == name).unwrap();
    let yaml = format!("{}---\n{STRATEGY}", moment.setting.yaml("enforcement: enforce, strategy: s"));
    let stage = format!("{}apply\n{}settle 5m\n", fleet(&["prod/a", "prod/b", "west/c"]), indented(&yaml));
    let mut lines = String::new();
    for (what, step, later) in actions(moment.setting) {
        // Whoever dies is followed by another; with a call to wait for, once that was made.
        let (step, at_once, crash) = match (step.as_str(), moment.at) {
            ("die", "") => (String::new(), "crash\n", ""),
            ("die", at) => (format!("{at}die\n"), "", "crash\n"),
            (step, at) => (format!("{at}{}\n", step.trim_end()), "", ""),
        };
        let begins = if moment.before == "pass\n" { "approve s-1\n" } else { "" };
        let script = format!(
            "{stage}{}{step}{at_once}{begins}for 2m\n{crash}for 6m every 30s\n{later}for 16m every 1m\n",
            moment.before
        );
        let (ended, stage) = run::ended(&script, moment.place()).await;
        let shown = moment.setting.shown(&stage.people, moment.place());
        let shown = shown.map_or_else(|| "is gone".to_owned(), |value| format!("is {value}"));
        lines.push_str(&format!("{what}: {ended}; {shown}\n"));
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
    deploying_pending
    deploying_updating
    deploying_updated
    deploying_stabilizing
    deploying_verifying
    deploying_baking
    deploying_stopping
    deploying_stopped
    deploying_paused
    deploying_undoing
    deploying_undone
    quiet_pending
    quiet_updating
    quiet_updated
    quiet_baking
    quiet_undoing
    quiet_undone
    cluster_pending
    cluster_updating
    cluster_updated
    cluster_undoing
    cluster_undone
}
