//! Settings of services and clusters, where people have a hand in them too.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::BoxFuture;
use plimsoll::controller::{Controller, Parts, Settings};
use plimsoll::ports::ecs::{Ecs, EcsError, Operation};
use plimsoll::rollout::command::Request;
use plimsoll::sim::SimEcs;
use serde_json::{Value, json};

use super::world::{Story, host_pid};

/// ECS that accepts so many settings, does nothing about them, and shows the service as it was.
struct Deaf {
    ecs: Arc<SimEcs>,
    left: AtomicUsize,
}

impl Ecs for Deaf {
    fn call<'a>(&'a self, operation: Operation, input: Value) -> BoxFuture<'a, Result<Value, EcsError>> {
        Box::pin(async move {
            let less = |left: usize| left.checked_sub(1);
            let deaf = operation == Operation::UpdateService
                && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
            if !deaf {
                return self.ecs.call(operation, input).await;
            }
            let described = json!({ "cluster": input["cluster"], "services": [input["service"]] });
            let found = self.ecs.call(Operation::DescribeServices, described).await?;
            Ok(json!({ "service": found["services"][0] }))
        })
    }
}

/// A policy with its Binding, `propose` or `enforce`.
fn policy(resource: &str, require: &str, edits: &str, enforcement: &str) -> String {
    format!(
        r"
apiVersion: plimsoll/v1
kind: Policy
metadata: {{ name: setting }}
spec:
  title: A setting
  severity: high
  resource: {resource}
  checks:
    - name: setting
      require: {require}
      message: not as it should be
      fix: [{{ edits: [{edits}] }}]
---
apiVersion: plimsoll/v1
kind: Binding
metadata: {{ name: setting }}
spec: {{ policies: [setting], enforcement: {enforcement} }}
"
    )
}

fn no_public_ip(enforcement: &str) -> String {
    policy(
        "Service",
        r#""service.?networkConfiguration.?awsvpcConfiguration.?assignPublicIp.orValue('') != 'ENABLED'""#,
        "{ set: /networkConfiguration/awsvpcConfiguration/assignPublicIp, value: DISABLED }",
        enforcement,
    )
}

fn breaker(enforcement: &str) -> String {
    policy(
        "Service",
        r#""service.?deploymentConfiguration.deploymentCircuitBreaker.enable.orValue(false)""#,
        "{ set: /deploymentConfiguration/deploymentCircuitBreaker/enable, value: true }, \
         { set: /deploymentConfiguration/deploymentCircuitBreaker/rollback, value: true }",
        enforcement,
    )
}

fn insights(enforcement: &str) -> String {
    policy(
        "Cluster",
        r#""cluster.settings.exists(s, s.name == 'containerInsights' && s.value != 'disabled')""#,
        "{ set: /settings/0/value, value: enabled }",
        enforcement,
    )
}

fn network(subnet: &str) -> Value {
    json!({ "awsvpcConfiguration": { "subnets": [subnet], "securityGroups": ["sg-a"], "assignPublicIp": "ENABLED" } })
}

fn service(story: &Story) -> Value {
    story.call("DescribeServices", json!({ "cluster": "prod", "services": ["web"] }))["services"][0].clone()
}

/// A service in the awsvpc mode, with that much more.
fn a_service(story: &Story, more: Value) {
    story.cluster("prod");
    let mut document = host_pid("web");
    document["networkMode"] = json!("awsvpc");
    let revision = story.register(document);
    let mut input = json!({ "networkConfiguration": network("subnet-a") });
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    story.service("prod", "web", &revision, input);
}

async fn changed_by(story: &Story, rollout: &str) -> String {
    story.phases(rollout).await.1.first().map(|(_, phase)| phase.clone()).unwrap_or_default()
}

#[tokio::test]
async fn a_setting_that_somebody_changed_since_the_plan_is_not_overwritten() {
    let mut story = Story::begin();
    a_service(&story, json!({}));
    story.apply(&no_public_ip("propose")).await;
    story.settle(300);
    story.passes_for(60).await;
    story.call(
        "UpdateService",
        json!({ "cluster": "prod", "service": "web", "networkConfiguration": network("subnet-theirs") }),
    );
    story.settle(900);
    story.ask("default-1", Request::Approve { plan: None }).await;
    story.passes_for(20 * 60).await;
    assert_eq!(
        service(&story)["networkConfiguration"]["awsvpcConfiguration"]["subnets"],
        json!(["subnet-theirs"]),
        "their subnet stays"
    );
}

#[tokio::test]
async fn a_quiet_setting_that_somebody_changed_since_is_not_taken_back() {
    let mut story = Story::begin();
    a_service(&story, json!({ "deploymentConfiguration": { "minimumHealthyPercent": 100, "maximumPercent": 200 } }));
    story.apply(&breaker("enforce")).await;
    story.settle(300);
    story.passes_for(20 * 60).await;
    assert_eq!(changed_by(&story, "default-1").await, "Succeeded");
    let breaker = json!({ "enable": true, "rollback": true });
    let theirs = json!({ "minimumHealthyPercent": 50, "maximumPercent": 150, "deploymentCircuitBreaker": breaker });
    story.call(
        "UpdateService",
        json!({ "cluster": "prod", "service": "web", "deploymentConfiguration": theirs.clone() }),
    );
    story.ask("default-1", Request::Undo { service: None }).await;
    story.passes_for(10 * 60).await;
    let shown = service(&story)["deploymentConfiguration"].clone();
    assert_eq!((&shown["minimumHealthyPercent"], &shown["maximumPercent"]), (&json!(50), &json!(150)));
    assert_eq!(shown["deploymentCircuitBreaker"]["enable"], json!(true));
    assert_eq!(changed_by(&story, "default-1").await, "Overtaken");
}

#[tokio::test]
async fn a_quiet_setting_that_nobody_touched_is_taken_back() {
    let mut story = Story::begin();
    let before = json!({ "minimumHealthyPercent": 100, "maximumPercent": 200, "deploymentCircuitBreaker": { "enable": false, "rollback": false } });
    a_service(&story, json!({ "deploymentConfiguration": before }));
    story.apply(&breaker("enforce")).await;
    story.settle(300);
    story.passes_for(20 * 60).await;
    assert_eq!(service(&story)["deploymentConfiguration"]["deploymentCircuitBreaker"]["enable"], json!(true));
    story.ask("default-1", Request::Undo { service: None }).await;
    story.passes_for(10 * 60).await;
    assert_eq!(changed_by(&story, "default-1").await, "RolledBack");
    assert_eq!(service(&story)["deploymentConfiguration"]["deploymentCircuitBreaker"]["enable"], json!(false));
}

#[tokio::test]
async fn a_setting_of_a_cluster_that_somebody_changed_since_the_plan_is_not_overwritten() {
    for (theirs, expected) in [(None, "enabled"), (Some("enhanced"), "enhanced")] {
        let mut story = Story::begin();
        story.call(
            "CreateCluster",
            json!({ "clusterName": "prod", "settings": [{ "name": "containerInsights", "value": "disabled" }] }),
        );
        story.apply(&insights("propose")).await;
        story.settle(300);
        story.passes_for(60).await;
        assert_eq!(story.phases("default-1").await.0, "Proposed");
        if let Some(value) = theirs {
            let settings = json!([{ "name": "containerInsights", "value": value }]);
            story.call("UpdateClusterSettings", json!({ "cluster": "prod", "settings": settings }));
        }
        story.ask("default-1", Request::Approve { plan: None }).await;
        story.passes_for(20 * 60).await;
        let described = story.call("DescribeClusters", json!({ "clusters": ["prod"], "include": ["SETTINGS"] }));
        assert_eq!(described["clusters"][0]["settings"][0]["value"], json!(expected));
    }
}

#[tokio::test]
async fn a_quiet_setting_that_ecs_accepts_and_does_not_show_is_looked_for_there_and_back() {
    let mut story = Story::begin();
    let before = json!({ "minimumHealthyPercent": 100, "maximumPercent": 200, "deploymentCircuitBreaker": { "enable": false, "rollback": false } });
    a_service(&story, json!({ "deploymentConfiguration": before }));
    let deaf = Arc::new(Deaf { ecs: story.ecs.clone(), left: AtomicUsize::new(1) });
    let parts = Parts { ecs: deaf.clone(), ..story.controller.parts().clone() };
    story.controller = Controller::new(parts, story.controller.settings().clone());
    story.apply(&breaker("enforce")).await;
    story.settle(300);
    story.pass().await;
    assert_eq!(changed_by(&story, "default-1").await, "Updating", "it was sent: nothing else may be told of it");
    story.passes_for(5 * 60).await;
    assert_eq!(changed_by(&story, "default-1").await, "Succeeded");
    deaf.left.store(1, Ordering::Relaxed);
    story.ask("default-1", Request::Undo { service: None }).await;
    story.pass().await;
    assert_eq!(changed_by(&story, "default-1").await, "RollingBack");
    story.passes_for(5 * 60).await;
    assert_eq!(changed_by(&story, "default-1").await, "RolledBack");
    assert_eq!(service(&story)["deploymentConfiguration"]["deploymentCircuitBreaker"]["enable"], json!(false));
}

#[tokio::test]
async fn a_quiet_setting_that_ecs_never_shows_has_failed() {
    let mut story = Story::begin();
    let before = json!({ "minimumHealthyPercent": 100, "maximumPercent": 200, "deploymentCircuitBreaker": { "enable": false, "rollback": false } });
    a_service(&story, json!({ "deploymentConfiguration": before }));
    let deaf = Arc::new(Deaf { ecs: story.ecs.clone(), left: AtomicUsize::new(usize::MAX) });
    let parts = Parts { ecs: deaf, ..story.controller.parts().clone() };
    story.controller = Controller::new(parts, story.controller.settings().clone());
    story.apply(&breaker("enforce")).await;
    story.settle(300);
    story.passes_for(60 * 60).await;
    assert_eq!(changed_by(&story, "default-1").await, "RolledBack");
    assert_eq!(story.phases("default-1").await.0, "Paused");
}

#[tokio::test]
async fn what_only_the_deployment_shows_is_judged_sent_whole_and_taken_back() {
    let connect = |namespace: &str| {
        let services = json!([{ "portName": "http", "discoveryName": "web" }]);
        json!({ "serviceConnectConfiguration": { "enabled": true, "namespace": namespace, "services": services } })
    };
    let mut story = Story::begin();
    story.cluster("prod");
    for (name, namespace) in [("web", "public"), ("api", "internal")] {
        let revision = story.register(host_pid(name));
        story.service("prod", name, &revision, connect(namespace));
    }
    let settings = story.controller.settings().clone();
    let settings = Settings { allow_edit: vec!["/serviceConnectConfiguration".to_owned()], ..settings };
    story.controller = Controller::new(story.controller.parts().clone(), settings);
    let require = r#""service.?serviceConnectConfiguration.?namespace.orValue('') != 'public'""#;
    let edits = "{ set: /serviceConnectConfiguration/namespace, value: internal }";
    story.apply(&policy("Service", require, edits, "enforce")).await;
    story.settle(300);
    assert!(service(&story).get("serviceConnectConfiguration").is_none(), "as ECS shows a service");
    let shown = |story: &Story| service(story)["deployments"][0]["serviceConnectConfiguration"].clone();
    story.passes_for(20 * 60).await;
    assert_eq!(story.phases("default-1").await.1, [("prod/web".to_owned(), "Succeeded".to_owned())]);
    assert_eq!(shown(&story), connect("internal")["serviceConnectConfiguration"]);
    story.ask("default-1", Request::Undo { service: None }).await;
    story.passes_for(20 * 60).await;
    assert_eq!(changed_by(&story, "default-1").await, "RolledBack");
    assert_eq!(shown(&story), connect("public")["serviceConnectConfiguration"]);
}
