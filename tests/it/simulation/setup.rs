//! What people have in force: policies, Bindings and strategies, as they are applied and as the laws know them. The laws
//! ask here, and not the records: a controller that reads something else than what is in force has a bug.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use plimsoll::model::Timestamp;
use serde_json::Value;

use super::time::Chance;

/// The policies that are never edited; whom they bind changes.
const POLICIES: &str = r#"
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: no-host-ipc }
spec:
  title: No host IPC namespace
  severity: low
  resource: TaskDefinition
  checks:
    - name: ipc-mode
      require: "taskDefinition.?ipcMode.orValue('') != 'host'"
      message: "the task shares the host's IPC namespace"
      fix: [{ edits: [{ remove: /ipcMode }] }]
---
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: no-public-ip }
spec:
  title: No public IP address
  severity: medium
  resource: Service
  checks:
    - name: public-ip
      require: "service.?networkConfiguration.?awsvpcConfiguration.?assignPublicIp.orValue('') != 'ENABLED'"
      message: its tasks have public addresses
      fix: [{ edits: [{ set: /networkConfiguration/awsvpcConfiguration/assignPublicIp, value: DISABLED }] }]
---
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: insights }
spec:
  title: Container Insights
  severity: low
  resource: Cluster
  checks:
    - name: enabled
      require: "cluster.settings.exists(s, s.name == 'containerInsights' && s.value != 'disabled')"
      message: nobody watches the cluster
      fix: [{ edits: [{ set: /settings/0/value, value: enabled }] }]
"#;

/// What the policies that are edited have made of a resource: always of one that breaks them by the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fixes {
    /// The process namespace is the task's own by name, rather than by nothing being said.
    task_pid: bool,
    /// The circuit breaker is to roll back, too.
    rolls_back: bool,
}

impl Fixes {
    fn yaml(self) -> String {
        let pid = if self.task_pid { "set: /pidMode, value: task" } else { "remove: /pidMode" };
        let breaker = "/deploymentConfiguration/deploymentCircuitBreaker";
        let rollback =
            if self.rolls_back { format!(", {{ set: {breaker}/rollback, value: true }}") } else { String::new() };
        format!(
            r#"---
apiVersion: plimsoll/v1
kind: Policy
metadata: {{ name: no-host-pid }}
spec:
  title: No host process namespace
  severity: high
  resource: TaskDefinition
  checks:
    - name: pid-mode
      require: "taskDefinition.?pidMode.orValue('') != 'host'"
      message: "the task shares the host's process namespace"
      fix: [{{ edits: [{{ {pid} }}] }}]
---
apiVersion: plimsoll/v1
kind: Policy
metadata: {{ name: breaker }}
spec:
  title: A circuit breaker
  severity: low
  resource: Service
  checks:
    - name: enabled
      require: "service.?deploymentConfiguration.deploymentCircuitBreaker.enable.orValue(false)"
      message: nothing stops a bad deployment
      fix: [{{ edits: [{{ set: {breaker}/enable, value: true }}{rollback}] }}]
"#
        )
    }
}

/// The policies that are mostly enforced.
const MOST: [&str; 4] = ["no-host-pid", "no-public-ip", "breaker", "insights"];

pub(crate) const CLUSTERS: [&str; 2] = ["a", "b"];

/// The alarm that strategies listen to.
pub(crate) const BELL: &str = "bell";

/// When changes may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    Always,
    /// In the first ten minutes of every twenty.
    Allowed,
    /// Not in the first five minutes of every thirty.
    Denied,
}

impl Window {
    /// Told from the minute of the hour, and not as the controller does it.
    pub(crate) fn is_open(self, now: Timestamp) -> bool {
        let minute = now.as_millis().div_euclid(60_000);
        match self {
            Self::Always => true,
            Self::Allowed => minute % 20 < 10,
            Self::Denied => minute % 30 >= 5,
        }
    }

    const fn yaml(self) -> &'static str {
        match self {
            Self::Always => "[]",
            Self::Allowed => r#"[{ allow: "*/20 * * * *", for: 10m }]"#,
            Self::Denied => r#"[{ deny: "*/30 * * * *", for: 5m }]"#,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Strategy {
    pub(crate) name: &'static str,
    pub(crate) on_failure: &'static str,
    pub(crate) in_flight: usize,
    pub(crate) per_day: Option<usize>,
    /// How many services it may move without a person's approval.
    pub(crate) affected: Option<usize>,
    /// How many changes may fail.
    pub(crate) failures: usize,
    /// The sizes of its waves.
    waves: &'static str,
    pub(crate) window: Window,
    /// `none`, `before` or `eachWave`.
    pub(crate) approval: &'static str,
    pub(crate) images: &'static str,
    pub(crate) alarm: bool,
}

impl Strategy {
    pub(crate) fn of(name: &'static str, chance: &mut Chance) -> Self {
        Self {
            name,
            on_failure: chance.one(&["pause", "pause", "rollback", "continue"]),
            in_flight: 1 + chance.below(3),
            per_day: chance.happens(150).then(|| 2 + chance.below(4)),
            affected: chance.happens(250).then(|| 1 + chance.below(2)),
            failures: chance.one(&[0, 0, 0, 1]),
            waves: chance.one(&[
                "{ name: canary, size: 1, bake: 30s }, { size: rest }",
                "{ name: canary, size: 1, bake: 30s }, { size: rest }",
                "{ size: 1 }, { size: \"50%\", bake: 20s }, { size: rest }",
                "{ size: rest, bake: 20s }",
            ]),
            window: chance.one(&[Window::Always, Window::Always, Window::Always, Window::Allowed, Window::Denied]),
            approval: chance.one(&["none", "none", "none", "none", "none", "before", "eachWave"]),
            images: chance.one(&["refuse-latest", "pin", "allow"]),
            alarm: chance.happens(300),
        }
    }

    fn yaml(&self) -> String {
        let Self { name, on_failure, in_flight, approval, images, failures, waves, .. } = self;
        let affected = self.affected.map_or_else(|| "\"100%\"".to_owned(), |limit| limit.to_string());
        let per_day = self.per_day.map_or_else(String::new, |limit| format!("  maxChangesPerDay: {limit}\n"));
        let alarms = if self.alarm { BELL } else { "" };
        format!(
            "---\napiVersion: plimsoll/v1\nkind: RolloutStrategy\nmetadata: {{ name: {name} }}\nspec:\n  \
             waves: [{waves}]\n  maxInFlight: {in_flight}\n{per_day}  \
             maxAffected: {affected}\n  maxFailures: {failures}\n  onFailure: {on_failure}\n  approval: {approval}\n  images: {images}\n  \
             contestedAfter: 2\n  windows: {}\n  \
             health: {{ progressTimeout: 5m, steadyFor: 10s, alarms: [{alarms}] }}\n",
            self.window.yaml()
        )
    }
}

/// Whom some policies bind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Binding {
    pub(crate) name: String,
    pub(crate) policies: Vec<&'static str>,
    pub(crate) cluster: &'static str,
    /// The name of a service that is left out.
    pub(crate) but: Option<String>,
    pub(crate) enforcement: &'static str,
    pub(crate) strategy: &'static str,
}

impl Binding {
    fn yaml(&self) -> String {
        let Self { name, cluster, enforcement, strategy, .. } = self;
        let policies = self.policies.join(", ");
        let but = self.but.as_ref().map_or_else(String::new, |name| format!(", exclude: {{ services: [{name}] }}"));
        format!(
            "---\napiVersion: plimsoll/v1\nkind: Binding\nmetadata: {{ name: {name} }}\nspec: {{ policies: [{policies}], \
             scope: {{ include: {{ clusters: [{cluster}] }}{but} }}, enforcement: {enforcement}, strategy: {strategy} }}\n"
        )
    }
}

/// Policies, Bindings and strategies at one time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setup {
    pub(crate) fixes: Fixes,
    /// The policy that nobody has: it was deleted, if it was there.
    pub(crate) without: Option<&'static str>,
    pub(crate) bindings: Vec<Binding>,
    pub(crate) strategies: Vec<Strategy>,
}

impl Setup {
    /// One strategy for each cluster; most policies are enforced, the one against the host's IPC is mostly proposed.
    pub(crate) fn of(chance: &mut Chance, services: usize) -> Self {
        let fixes = Fixes { task_pid: chance.happens(300), rolls_back: chance.happens(300) };
        let strategies = vec![Strategy::of("steady", chance), Strategy::of("careful", chance)];
        let without = chance.happens(200).then(|| chance.one(&MOST));
        let mut bindings = Vec::new();
        for (number, cluster) in CLUSTERS.into_iter().enumerate() {
            let strategy = strategies[number].name;
            let but = |chance: &mut Chance| chance.happens(200).then(|| format!("s{}", chance.below(services)));
            bindings.push(Binding {
                name: format!("most-{cluster}"),
                policies: MOST.into_iter().filter(|policy| Some(*policy) != without).collect(),
                cluster,
                but: but(chance),
                enforcement: chance.one(&["enforce", "enforce", "enforce", "enforce", "propose", "audit"]),
                strategy,
            });
            // Now and then it contradicts the other one: what both bind is blocked then.
            let other = if chance.happens(30) { strategies[1 - number].name } else { strategy };
            bindings.push(Binding {
                name: format!("ipc-{cluster}"),
                policies: vec!["no-host-ipc"],
                cluster,
                but: but(chance),
                enforcement: chance.one(&["enforce", "propose", "propose", "audit"]),
                strategy: other,
            });
        }
        Self { fixes, without, bindings, strategies }
    }

    pub(crate) fn yaml(&self) -> String {
        let policies = format!("{POLICIES}{}", self.fixes.yaml());
        let deleted = |yaml: &&str| self.without.is_some_and(|name| yaml.contains(&format!("name: {name} }}")));
        let there: Vec<&str> = policies.split("---\n").filter(|yaml| !deleted(yaml)).collect();
        let mut yaml = there.join("---\n");
        for part in self.strategies.iter().map(Strategy::yaml).chain(self.bindings.iter().map(Binding::yaml)) {
            let _ = write!(yaml, "{part}");
        }
        yaml
    }

    pub(crate) fn strategy(&self, name: &str) -> Option<&Strategy> {
        self.strategies.iter().find(|strategy| strategy.name == name)
    }

    /// Whether anybody wants `policy` held on a service of a cluster, or on the cluster itself, by more than a report.
    pub(crate) fn asks(&self, policy: &str, cluster: &str, service: Option<&str>) -> bool {
        self.bindings.iter().any(|binding| {
            binding.policies.contains(&policy)
                && binding.cluster == cluster
                && matches!(binding.enforcement, "enforce" | "propose")
                && (binding.but.is_none() || binding.but.as_deref() != service)
        })
    }

    /// Why `made`, a document or the members of a setting, is not what one of `policies` has as its fix, if it is not.
    pub(crate) fn has_another_fix<'a>(
        &self,
        made: &Value,
        mut policies: impl Iterator<Item = &'a str>,
    ) -> Option<String> {
        let breaker = "/deploymentConfiguration/deploymentCircuitBreaker/rollback";
        let wrong = |policy: &str| match policy {
            "no-host-pid" => made.is_object() && (made["pidMode"] == "task") != self.fixes.task_pid,
            "breaker" => self.fixes.rolls_back && made.pointer(breaker).is_some_and(|rollback| *rollback != true),
            _ => false,
        };
        let policy = policies.find(|policy| wrong(policy))?;
        Some(format!("`{policy}` has another fix by now: {:?}", self.fixes))
    }

    /// Whether Bindings give a service, or a cluster, two strategies.
    pub(crate) fn contradicts_itself(&self, cluster: &str, service: Option<&str>) -> bool {
        let of_it = self.bindings.iter().filter(|binding| {
            binding.policies.iter().any(|policy| self.asks(policy, cluster, service))
                && binding.cluster == cluster
                && (binding.but.is_none() || binding.but.as_deref() != service)
        });
        of_it.map(|binding| binding.strategy).collect::<BTreeSet<_>>().len() > 1
    }

    /// Whether everybody who wants one of `policies` there leaves it to a person.
    pub(crate) fn only_proposes(&self, policies: &[&str], cluster: &str) -> bool {
        !self.bindings.iter().any(|binding| {
            binding.cluster == cluster
                && binding.enforcement == "enforce"
                && policies.iter().any(|policy| binding.policies.contains(policy))
        })
    }
}
