//! The simulator as AWS's own SDK sees it: the wire format is right if the SDK's parsers understand it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::config::retry::RetryConfig;
use aws_sdk_ecs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_ecs::error::ProvideErrorMetadata;
use aws_sdk_ecs::types::{
    DeploymentRolloutState, DesiredStatus, ServiceDeploymentStatus, ServiceField, StopServiceDeploymentStopType, Tag,
    TaskDefinitionField,
};
use plimsoll::ports::Clock;
use plimsoll::sim::fleet::{START, demo_fleet, special};
use plimsoll::sim::{VirtualClock, http};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

struct Endpoint {
    client: Client,
    sts: aws_sdk_sts::Client,
    clock: Arc<VirtualClock>,
    _stop: oneshot::Sender<()>,
}

async fn endpoint() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let clock = Arc::new(VirtualClock::instant(START));
    let (stop, stopped) = oneshot::channel::<()>();
    let world = Arc::new(Mutex::new(demo_fleet(60, 1)));
    tokio::spawn(http::serve(listener, world, Arc::clone(&clock) as Arc<dyn Clock>, async {
        stopped.await.ok();
    }));
    let credentials = Credentials::new("AKIASIMULATED", "simulated", None, None, "test");
    let config = aws_sdk_ecs::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-west-1"))
        .endpoint_url(&url)
        .credentials_provider(credentials.clone())
        .retry_config(RetryConfig::disabled())
        .build();
    let sts = aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-west-1"))
        .endpoint_url(&url)
        .credentials_provider(credentials)
        .build();
    Endpoint { client: Client::from_conf(config), sts: aws_sdk_sts::Client::from_conf(sts), clock, _stop: stop }
}

#[tokio::test]
async fn the_sdk_reads_the_whole_fleet() {
    let endpoint = endpoint().await;
    let mut seen = BTreeSet::new();
    let clusters = endpoint.client.list_clusters().send().await.unwrap();
    for cluster in clusters.cluster_arns() {
        let mut pages = endpoint.client.list_services().cluster(cluster).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            let query = endpoint.client.describe_services().cluster(cluster).include(ServiceField::Tags);
            let found = query.set_services(page.service_arns).send().await.unwrap();
            assert!(found.failures().is_empty());
            for service in found.services() {
                seen.insert(service.service_arn().unwrap().to_owned());
                assert!(!service.tags().is_empty());
                assert!(service.created_at().unwrap().secs() < START.as_millis() / 1000);
                let Some(arn) = service.task_definition() else { continue };
                // The bucket regains 20 a second; without time passing it would run dry.
                endpoint.clock.advance(Duration::from_millis(50));
                let query = endpoint.client.describe_task_definition().task_definition(arn);
                let found = query.include(TaskDefinitionField::Tags).send().await.unwrap();
                let document = found.task_definition().unwrap();
                assert!(!document.container_definitions().is_empty() && document.registered_at().is_some());
                assert!(!found.tags().is_empty());
            }
        }
    }
    assert_eq!(seen.len(), 60);
}

#[tokio::test]
async fn the_sdk_follows_a_deployment_to_its_end_and_takes_another_one_back() {
    let endpoint = endpoint().await;
    let client = &endpoint.client;
    let (cluster, service) = special::PAYMENTS.split_once('/').unwrap();
    let move_to =
        |revision: String| client.update_service().cluster(cluster).service(service).task_definition(revision);
    let old = client.describe_task_definition().task_definition("payments").send().await.unwrap();
    let old = old.task_definition().unwrap();
    let new = client
        .register_task_definition()
        .family("payments")
        .set_container_definitions(old.container_definitions.clone())
        .memory("1024")
        .tags(Tag::builder().key("team").value("payments").build())
        .send()
        .await
        .unwrap();
    let new = new.task_definition().unwrap().task_definition_arn().unwrap().to_owned();
    let updated = move_to(new.clone()).send().await.unwrap();
    let primary = updated.service().unwrap().deployments().first().unwrap();
    assert_eq!((primary.status(), primary.task_definition()), (Some("PRIMARY"), Some(new.as_str())));
    assert_eq!(primary.rollout_state(), Some(&DeploymentRolloutState::InProgress));
    endpoint.clock.sleep(Duration::from_secs(900)).await;
    let records = client.list_service_deployments().cluster(cluster).service(service).send().await.unwrap();
    let record = records.service_deployments().first().unwrap();
    assert_eq!(record.status(), Some(&ServiceDeploymentStatus::Successful));
    let revisions = client.describe_service_revisions();
    let revisions =
        revisions.service_revision_arns(record.target_service_revision_arn().unwrap()).send().await.unwrap();
    assert_eq!(revisions.service_revisions().first().unwrap().task_definition(), Some(new.as_str()));
    let tasks = client.list_tasks().cluster(cluster).service_name(service).desired_status(DesiredStatus::Running);
    let tasks = client.describe_tasks().cluster(cluster).set_tasks(tasks.send().await.unwrap().task_arns).send();
    for task in tasks.await.unwrap().tasks() {
        assert_eq!((task.task_definition_arn(), task.started_by()), (Some(new.as_str()), primary.id()));
        assert!(task.containers().iter().all(|container| container.image_digest().is_some()));
    }
    let back = move_to(old.task_definition_arn().unwrap().to_owned()).send().await.unwrap();
    let arn = back.service().unwrap().current_service_deployment().unwrap().to_owned();
    let stop = client.stop_service_deployment().service_deployment_arn(&arn);
    stop.stop_type(StopServiceDeploymentStopType::Rollback).send().await.unwrap();
    endpoint.clock.sleep(Duration::from_secs(900)).await;
    let found = client.describe_service_deployments().service_deployment_arns(&arn).send().await.unwrap();
    let found = found.service_deployments().first().unwrap();
    assert_eq!(found.status(), Some(&ServiceDeploymentStatus::RollbackSuccessful));
    assert!(found.rollback().unwrap().started_at().is_some());
}

#[tokio::test]
async fn the_sdk_knows_the_errors_and_who_it_is() {
    let endpoint = endpoint().await;
    let (cluster, service) = special::CHECKOUT.split_once('/').unwrap();
    let update = endpoint.client.update_service().cluster(cluster).service(service).task_definition("checkout");
    let error = update.send().await.unwrap_err().into_service_error();
    assert!(error.is_invalid_parameter_exception(), "{error:?}");
    assert!(error.message().unwrap().contains("CODE_DEPLOY deployment controller"));
    let mut throttled = 0;
    for _ in 0..25 {
        let call = endpoint.client.deregister_task_definition().task_definition("catalog:2").send().await;
        throttled += usize::from(call.is_err_and(|error| error.code() == Some("ThrottlingException")));
    }
    assert_eq!(throttled, 5);
    let identity = endpoint.sts.get_caller_identity().send().await.unwrap();
    assert_eq!(identity.account(), Some("123456789012"));
}
