//! What UpdateService and its kin accept (ecs-facts §3.1).

use serde_json::{Value, json};

use super::stage::Stage;

fn network(public: &str) -> Value {
    json!({ "awsvpcConfiguration": { "subnets": ["subnet-1"], "securityGroups": ["sg-1"], "assignPublicIp": public } })
}

fn fargate() -> Stage {
    let mut stage = Stage::new();
    let arn = stage.register("web", |input| {
        input["networkMode"] = json!("awsvpc");
        input["requiresCompatibilities"] = json!(["FARGATE"]);
        input["cpu"] = json!("256");
        input["memory"] = json!("512");
    });
    stage.ok(
        "CreateService",
        json!({
            "cluster": "prod", "serviceName": "web", "taskDefinition": arn, "desiredCount": 1, "launchType": "FARGATE",
            "platformVersion": "1.3.0", "networkConfiguration": network("ENABLED"),
            "tags": [{ "key": "env", "value": "prod" }],
        }),
    );
    stage.pass(600);
    stage
}

#[test]
fn some_members_start_a_deployment_and_others_do_not() {
    for (member, value, deploys) in [
        ("forceNewDeployment", json!(true), true),
        ("forceNewDeployment", json!(false), false),
        ("networkConfiguration", network("DISABLED"), true),
        ("networkConfiguration", network("ENABLED"), false),
        ("platformVersion", json!("LATEST"), true),
        ("taskDefinition", json!("web:1"), false),
        ("taskDefinition", json!("web"), false),
        ("loadBalancers", json!([{ "targetGroupArn": "t" }]), true),
        ("serviceRegistries", json!([{ "registryArn": "r" }]), true),
        ("desiredCount", json!(2), false),
        ("deploymentConfiguration", json!({ "maximumPercent": 150 }), false),
        ("healthCheckGracePeriodSeconds", json!(30), false),
        ("enableExecuteCommand", json!(true), false),
        ("enableECSManagedTags", json!(true), false),
        ("propagateTags", json!("SERVICE"), false),
        ("availabilityZoneRebalancing", json!("DISABLED"), false),
        ("placementStrategy", json!([]), false),
    ] {
        let mut stage = fargate();
        let before = stage.service()["currentServiceDeployment"].clone();
        let mut input = json!({ "cluster": "prod", "service": "web" });
        input[member] = value;
        let after = stage.ok("UpdateService", input)["service"]["currentServiceDeployment"].clone();
        assert_eq!(after != before, deploys, "{member}");
    }
}

#[test]
fn what_is_not_sent_stays() {
    let mut stage = fargate();
    let before = stage.service();
    stage.ok(
        "UpdateService",
        json!({
            "cluster": "prod", "service": "web", "deploymentConfiguration": { "maximumPercent": 150 },
        }),
    );
    let after = stage.service();
    assert_eq!(after["deploymentConfiguration"]["maximumPercent"], 150);
    assert_eq!(after["deploymentConfiguration"]["minimumHealthyPercent"], 100);
    for member in ["desiredCount", "networkConfiguration", "platformVersion", "taskDefinition", "launchType"] {
        assert_eq!(before[member], after[member], "{member}");
    }
}

#[test]
fn a_service_says_the_platform_version_it_was_given_and_its_deployment_the_one_it_runs() {
    let mut stage = fargate();
    let service = stage.service();
    assert_eq!(
        (&service["platformVersion"], &service["deployments"][0]["platformVersion"]),
        (&json!("1.3.0"), &json!("1.3.0"))
    );
    stage.ok("UpdateService", json!({ "cluster": "prod", "service": "web", "platformVersion": "LATEST" }));
    let service = stage.service();
    assert_eq!(
        (&service["platformVersion"], &service["deployments"][0]["platformVersion"]),
        (&json!("LATEST"), &json!("1.4.0"))
    );
}

#[test]
fn a_service_with_code_deploy_refuses_in_ecs_own_words() {
    let mut stage = Stage::new();
    stage.web(1, |input| input["deploymentController"] = json!({ "type": "CODE_DEPLOY" }));
    let service = stage.service();
    assert_eq!(service["deployments"], json!([]));
    assert_eq!(service["taskSets"][0]["stabilityStatus"], "STEADY_STATE");
    for (member, value, message) in [
        (
            "taskDefinition",
            json!("web:1"),
            "Unable to update task definition on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to trigger a new deployment.",
        ),
        (
            "networkConfiguration",
            network("DISABLED"),
            "Unable to update network parameters on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to trigger a new deployment.",
        ),
        (
            "forceNewDeployment",
            json!(true),
            "Cannot force a new deployment on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to trigger a new deployment.",
        ),
    ] {
        let mut input = json!({ "cluster": "prod", "service": "web" });
        input[member] = value;
        assert_eq!(stage.refused("UpdateService", input), ("InvalidParameterException", message.to_owned()));
    }
    stage.ok("UpdateService", json!({ "cluster": "prod", "service": "web", "desiredCount": 2 }));
    stage.pass(300);
    assert_eq!(stage.service()["runningCount"], 2);
}

#[test]
fn a_service_with_an_external_controller_takes_no_task_definition() {
    let mut stage = Stage::new();
    stage.ok(
        "CreateService",
        json!({
            "cluster": "prod", "serviceName": "web", "desiredCount": 1, "deploymentController": { "type": "EXTERNAL" },
        }),
    );
    stage.register("web", |_| {});
    let (code, _) =
        stage.refused("UpdateService", json!({ "cluster": "prod", "service": "web", "taskDefinition": "web" }));
    assert_eq!(code, "InvalidParameterException");
    assert_eq!(stage.service()["taskSets"], json!([]));
}

#[test]
fn a_task_set_names_what_a_service_with_an_external_controller_runs() {
    let mut stage = Stage::new();
    stage.ok(
        "CreateService",
        json!({
            "cluster": "prod", "serviceName": "web", "desiredCount": 1, "deploymentController": { "type": "EXTERNAL" },
        }),
    );
    let revision = stage.register("web", |input| input["networkMode"] = json!("awsvpc"));
    let input = json!({
        "cluster": "prod", "service": "web", "taskDefinition": revision, "networkConfiguration": network("ENABLED"),
    });
    let made = stage.ok("CreateTaskSet", input.clone())["taskSet"].clone();
    assert_eq!(made["taskDefinition"], json!(revision));
    stage.pass(300);
    let service = stage.service();
    assert_eq!((&service["runningCount"], &service["deployments"]), (&json!(1), &json!([])));
    assert!(service.get("taskDefinition").is_none() && service.get("networkConfiguration").is_none());
    let set = &service["taskSets"][0];
    assert_eq!(set["taskSetArn"], made["taskSetArn"]);
    assert_eq!(set["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"], "ENABLED");
    assert_eq!(stage.refused("CreateTaskSet", input).0, "UnsupportedFeatureException");
    let mut stage = Stage::new();
    stage.web(1, |_| {});
    let input = json!({ "cluster": "prod", "service": "web", "taskDefinition": "web" });
    assert_eq!(stage.refused("CreateTaskSet", input).0, "InvalidParameterException");
}

#[test]
fn a_deployment_controller_that_nobody_named_is_absent_and_means_ecs() {
    let mut stage = Stage::new();
    stage.web(1, |_| {});
    assert!(stage.service().get("deploymentController").is_none());
}

#[test]
fn a_service_with_a_capacity_provider_strategy_has_no_launch_type() {
    let mut stage = Stage::new();
    let arn = stage.register("web", |input| {
        input["networkMode"] = json!("awsvpc");
        input["cpu"] = json!("256");
        input["memory"] = json!("512");
    });
    stage.ok(
        "CreateService",
        json!({
            "cluster": "prod", "serviceName": "web", "taskDefinition": arn, "desiredCount": 1,
            "capacityProviderStrategy": [{ "capacityProvider": "FARGATE_SPOT", "weight": 1 }],
            "networkConfiguration": network("DISABLED"),
        }),
    );
    stage.pass(300);
    let service = stage.service();
    assert!(service.get("launchType").is_none());
    assert_eq!(service["deployments"][0]["platformVersion"], "1.4.0");
    assert_eq!(stage.tasks("RUNNING")[0]["launchType"], "FARGATE");
}

#[test]
fn awsvpc_needs_a_network_configuration_and_others_have_none() {
    let mut stage = Stage::new();
    let own = stage.register("own", |input| input["networkMode"] = json!("awsvpc"));
    let bridge = stage.register("bridge", |_| {});
    let mut input = json!({ "cluster": "prod", "serviceName": "web", "taskDefinition": own, "desiredCount": 1 });
    let (_, message) = stage.refused("CreateService", input.clone());
    assert_eq!(message, "Network Configuration must be provided when networkMode 'awsvpc' is specified.");
    input["taskDefinition"] = json!(bridge);
    input["networkConfiguration"] = network("DISABLED");
    let (_, message) = stage.refused("CreateService", input);
    assert!(message.starts_with("Network Configuration is not valid for the given networkMode"));
}

/// `RegisterTaskDefinitionRequest.pidMode`: `task` on Fargate needs platform version 1.4.0.
#[test]
fn pid_mode_task_needs_the_newer_platform() {
    let mut stage = fargate();
    let new = stage.register("web", |input| {
        input["networkMode"] = json!("awsvpc");
        input["cpu"] = json!("256");
        input["memory"] = json!("512");
        input["pidMode"] = json!("task");
    });
    let mut input = json!({ "cluster": "prod", "service": "web", "taskDefinition": new });
    assert_eq!(stage.refused("UpdateService", input.clone()).0, "PlatformTaskDefinitionIncompatibilityException");
    input["platformVersion"] = json!("9.9.9");
    assert_eq!(stage.refused("UpdateService", input.clone()).0, "PlatformUnknownException");
    input["platformVersion"] = json!("1.4.0");
    stage.ok("UpdateService", input);
}

#[test]
fn a_refused_update_changes_nothing() {
    let mut stage = fargate();
    let before = stage.service().to_string();
    let input = json!({ "cluster": "prod", "service": "web", "desiredCount": 7, "taskDefinition": "nothing:1" });
    stage.refused("UpdateService", input);
    assert_eq!(stage.service().to_string(), before);
}

#[test]
fn a_deleted_service_drains_and_is_inactive_then() {
    let mut stage = Stage::new();
    stage.web(2, |_| {});
    let input = json!({ "cluster": "prod", "service": "web" });
    let (_, message) = stage.refused("DeleteService", input);
    assert!(message.contains("scaled above 0"));
    let answer = stage.ok("DeleteService", json!({ "cluster": "prod", "service": "web", "force": true }));
    assert_eq!(answer["service"]["status"], "DRAINING");
    stage.pass(300);
    assert_eq!(stage.service()["status"], "INACTIVE");
    assert_eq!(stage.ok("ListServices", json!({ "cluster": "prod" }))["serviceArns"], json!([]));
    let (code, _) = stage.refused("UpdateService", json!({ "cluster": "prod", "service": "web", "desiredCount": 1 }));
    assert_eq!(code, "ServiceNotActiveException");
    stage.ok(
        "CreateService",
        json!({ "cluster": "prod", "serviceName": "web", "taskDefinition": "web", "desiredCount": 1 }),
    );
}

#[test]
fn propagated_and_managed_tags_reach_the_tasks() {
    let mut stage = Stage::new();
    stage.web(1, |input| {
        input["tags"] = json!([{ "key": "team", "value": "a" }]);
        input["propagateTags"] = json!("SERVICE");
        input["enableECSManagedTags"] = json!(true);
    });
    let arn = stage.tasks("RUNNING")[0]["taskArn"].clone();
    let tags = stage.ok("ListTagsForResource", json!({ "resourceArn": arn }))["tags"].take();
    assert_eq!(
        tags,
        json!([
            { "key": "team", "value": "a" },
            { "key": "aws:ecs:clusterName", "value": "prod" },
            { "key": "aws:ecs:serviceName", "value": "web" },
        ])
    );
}

#[test]
fn what_only_a_deployment_shows_the_service_does_not() {
    for (member, value) in [
        ("serviceConnectConfiguration", json!({ "enabled": true, "namespace": "internal" })),
        ("volumeConfigurations", json!([{ "name": "data", "managedEBSVolume": { "sizeInGiB": 8, "roleArn": "r" } }])),
        ("vpcLatticeConfigurations", json!([{ "roleArn": "r", "targetGroupArn": "t", "portName": "http" }])),
    ] {
        let mut stage = fargate();
        let mut input = json!({ "cluster": "prod", "service": "web" });
        input[member] = value.clone();
        let answer = stage.ok("UpdateService", input);
        for shown in [&answer["service"], &stage.service()] {
            assert_eq!(shown.get(member), None, "{member}");
            assert_eq!(shown["deployments"][0][member], value);
            assert_eq!(shown["deployments"][1].get(member), None, "the one before had none");
        }
    }
}
