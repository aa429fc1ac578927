//! What the fleet is held to: the project's own policies, bound as a user would, with waits short enough for tests.

use plimsoll::manifest;
use plimsoll::model::spec::Object;

/// How long [`SWIFT`] lets a deployment stand still: what goes well there ends long before, however busy the machine.
pub(crate) const PATIENCE: &str = "progressTimeout: 1h";

/// Everything at once, without bakes.
pub(crate) const SWIFT: &str = r#"
apiVersion: plimsoll/v1
kind: RolloutStrategy
metadata: { name: swift-tests }
spec:
  waves: [{ name: first, size: 1 }, { name: rest, size: rest }]
  maxInFlight: 200
  maxAffected: "100%"
  health: { progressTimeout: 1h, steadyFor: 5s }
  images: allow
---
apiVersion: plimsoll/v1
kind: Binding
metadata: { name: enforce }
spec:
  policies: [security-hub-ecs-3, security-hub-ecs-4, security-hub-ecs-5]
  params: { makeReadonly: true }
  enforcement: enforce
  strategy: swift-tests
---
apiVersion: plimsoll/v1
kind: Binding
metadata: { name: report }
spec: { policies: [security-hub-ecs-17, security-hub-ecs-20], enforcement: audit }
"#;

/// A policy that asks for what some servers drop when they register a task definition.
pub(crate) const WANTS_FAULT_INJECTION: &str = r#"
apiVersion: plimsoll/v1
kind: Policy
metadata: { name: fault-injection }
spec:
  title: Faults can be injected
  severity: low
  resource: TaskDefinition
  checks:
    - name: enabled
      require: "taskDefinition.?enableFaultInjection.orValue(false)"
      message: faults cannot be injected
      fix: [{ edits: [{ set: /enableFaultInjection, value: true }] }]
---
apiVersion: plimsoll/v1
kind: Binding
metadata: { name: enforce-fault-injection }
spec: { policies: [fault-injection], enforcement: enforce }
"#;

/// The objects of `text`, and of the catalogue's policies that these Bindings name.
pub(crate) fn objects(text: &str) -> Vec<Object> {
    let catalogue = ["ecs-3", "ecs-4", "ecs-5", "ecs-17", "ecs-20"]
        .into_iter()
        .filter(|name| text.contains(&format!("security-hub-{name}")))
        .map(|name| {
            let path = format!("{}/policies/security-hub/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{path}: {why}"))
        });
    let texts = catalogue.chain([text.to_owned()]);
    let parse = |text: String| manifest::parse("policies.yaml", &text).unwrap_or_else(|found| panic!("{found:#?}"));
    texts.flat_map(parse).map(|sourced| sourced.object).collect()
}
