//! The fleet of these tests, and what must be true of it in the end.

use serde_json::{Value, json};

use super::wire::{Ecs, short};

/// Every violating service, with the revision it must end on.
pub(super) const FIXED: [(&str, &str, &str, usize); 4] = [
    ("prod", "web", "web:2", 2),
    ("prod", "web-worker", "web:2", 1),
    ("prod", "api", "api:2", 1),
    ("dev", "jobs", "jobs:2", 1),
];

/// What nobody may touch: compliant, or waived.
pub(super) const LEFT_ALONE: [(&str, &str, &str); 2] = [("dev", "fine", "fine:1"), ("prod", "agent", "agent:1")];

/// A rich and odd task definition: empty strings, order that matters, two containers.
fn definition(family: &str, violations: &Value) -> Value {
    let mut input = json!({
        "family": family,
        "networkMode": "bridge",
        "requiresCompatibilities": ["EC2"],
        "containerDefinitions": [
            {
                "name": "app", "image": format!("registry.example.com/{family}:1.4.2"), "essential": true, "memory": 128,
                "user": "1000", "command": ["serve", ""], "environment": [{ "name": "EMPTY", "value": "" }],
                "dockerLabels": { "z": "1", "a": "" },
                "dependsOn": [{ "containerName": "router", "condition": "START" }]
            },
            { "name": "router", "image": "registry.example.com/router:2", "essential": false, "memoryReservation": 32, "user": "1000" }
        ],
        "placementConstraints": [{ "type": "memberOf", "expression": "attribute:stack == prod" }],
        "tags": [{ "key": "team", "value": "payments" }, { "key": "empty", "value": "" }]
    });
    if violations["host"] == json!(true) {
        input["pidMode"] = json!("host");
    }
    if violations["privileged"] == json!(true) {
        input["containerDefinitions"][0]["privileged"] = json!(true);
    }
    json!({ "operation": "RegisterTaskDefinition", "input": input })
}

fn service(cluster: &str, name: &str, family: &str, tasks: usize) -> Value {
    json!({ "operation": "CreateService", "input": {
        "cluster": cluster, "serviceName": name, "taskDefinition": family, "desiredCount": tasks, "launchType": "EC2",
        "tags": [{ "key": "owner", "value": name }]
    } })
}

/// The calls that make the fleet.
pub(crate) fn steps() -> Vec<Value> {
    let cluster = |name: &str| json!({ "operation": "CreateCluster", "input": { "clusterName": name } });
    vec![
        cluster("prod"),
        cluster("dev"),
        definition("web", &json!({ "host": true })),
        definition("api", &json!({ "privileged": true })),
        definition("jobs", &json!({ "host": true, "privileged": true })),
        definition("fine", &json!({})),
        definition("agent", &json!({ "host": true })),
        service("prod", "web", "web", 2),
        service("prod", "web-worker", "web", 1),
        service("prod", "api", "api", 1),
        service("dev", "jobs", "jobs", 1),
        service("dev", "fine", "fine", 1),
        service("prod", "agent", "agent", 1),
    ]
}

/// The fleet for the simulator. Everything takes a second or two of its time.
pub(super) fn scenario() -> Value {
    json!({
        "start": "2026-11-23T09:00:00Z",
        "config": { "pace": {
            "scheduler": [1, 1], "provisioning": [1, 1], "starting": [1, 2], "steady": [1, 2], "firstHealthCheck": [1, 1],
            "draining": [1, 1], "stopping": [1, 1], "deprovisioning": [1, 1], "unwatchedHealthy": 1, "restart": [1, 4]
        } },
        "steps": steps()
    })
}

#[track_caller]
pub(super) fn is_fixed(ecs: &Ecs) {
    for (cluster, name, revision, tasks) in FIXED {
        assert_eq!(ecs.running(cluster, name), vec![revision.to_owned(); tasks], "{cluster}/{name}");
        let service = find(ecs, cluster, name);
        let deployments = service["deployments"].as_array().unwrap();
        assert_eq!(deployments.len(), 1, "{deployments:#?}");
        assert_eq!(short(deployments[0]["taskDefinition"].as_str().unwrap()), revision);
        assert_eq!(service["desiredCount"], tasks);
        assert_eq!(service["tags"], json!([{ "key": "owner", "value": name }]));
    }
    for (cluster, name, revision) in LEFT_ALONE {
        assert_eq!(ecs.running(cluster, name), [revision], "{cluster}/{name}");
    }
    for family in ["web", "api", "jobs"] {
        let (before, mut after) = (ecs.definition(&format!("{family}:1")), ecs.definition(&format!("{family}:2")));
        // ministack shows an empty one where there is none.
        let shown = after.as_object_mut().unwrap().shift_remove("pidMode");
        assert!(shown.is_none_or(|shown| shown == ""), "{family}");
        assert_eq!(after.to_string(), without_violations(before).to_string(), "{family}");
    }
    assert_eq!(ecs.definitions(), ["agent:1", "api:1", "api:2", "fine:1", "jobs:1", "jobs:2", "web:1", "web:2"]);
}

/// The planned edits, done by hand.
fn without_violations(mut definition: Value) -> Value {
    definition.as_object_mut().unwrap().shift_remove("pidMode");
    let container = &mut definition["containerDefinitions"][0];
    if container["privileged"] == json!(true) {
        container["privileged"] = json!(false);
    }
    definition
}

#[track_caller]
pub(super) fn find(ecs: &Ecs, cluster: &str, name: &str) -> Value {
    ecs.services(cluster).into_iter().find(|service| service["serviceName"] == name).unwrap()
}
