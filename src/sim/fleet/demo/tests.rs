use std::time::Duration;

use super::*;

fn ask(world: &mut World, operation: &str, input: Value) -> Value {
    let now = world.now();
    world.call(now, operation, &input).unwrap_or_else(|error| panic!("{operation}: {error}"))
}

fn service(world: &mut World, path: &str) -> Value {
    let (cluster, name) = path.split_once('/').unwrap();
    let query = json!({ "cluster": cluster, "services": [name], "include": ["TAGS"] });
    ask(world, "DescribeServices", query)["services"][0].take()
}

fn document(world: &mut World, path: &str) -> Value {
    let arn = service(world, path)["taskDefinition"].take();
    ask(world, "DescribeTaskDefinition", json!({ "taskDefinition": arn }))["taskDefinition"].take()
}

fn count(world: &mut World) -> usize {
    let page = |world: &mut World, cluster: &str| {
        let mut input = json!({ "cluster": cluster, "maxResults": 100 });
        let mut count = 0;
        loop {
            let answer = ask(world, "ListServices", input.clone());
            count += answer["serviceArns"].as_array().unwrap().len();
            match answer.get("nextToken") {
                Some(token) => input["nextToken"] = token.clone(),
                None => return count,
            }
        }
    };
    [special::PROD, special::STAGING, special::DEV].into_iter().map(|cluster| page(world, cluster)).sum()
}

#[test]
fn every_demo_fleet_builds_with_as_many_services_as_asked_for() {
    for seed in 0..20 {
        for services in [0, 17, 60] {
            let mut world = demo_fleet(services, seed);
            assert_eq!(count(&mut world), services.max(special::ALL.len()), "{services} services, seed {seed}");
            assert_eq!(world.now(), START);
        }
    }
    assert_eq!(count(&mut demo_fleet(300, 1)), 300);
}

#[test]
fn at_the_start_everything_rests_but_the_search() {
    let mut world = demo_fleet(60, 7);
    for cluster in [special::PROD, special::STAGING, special::DEV] {
        let mut arns =
            ask(&mut world, "ListServices", json!({ "cluster": cluster, "maxResults": 100 }))["serviceArns"].take();
        for arns in arns.as_array_mut().unwrap().chunks(10) {
            let found = ask(&mut world, "DescribeServices", json!({ "cluster": cluster, "services": arns }));
            for service in found["services"].as_array().unwrap() {
                let path = format!("{cluster}/{}", service["serviceName"].as_str().unwrap());
                let deployments = service["deployments"].as_array().unwrap();
                let rests = deployments.iter().all(|one| one["rolloutState"] == "COMPLETED");
                assert_eq!(rests, path != special::SEARCH, "{path}: {deployments:?}");
                if path != special::MESH_GATEWAY && path != special::SEARCH {
                    assert_eq!(service["runningCount"], service["desiredCount"], "{path}");
                }
            }
        }
    }
    world.advance(START + Duration::from_secs(60));
    assert_eq!(service(&mut world, special::SEARCH)["deployments"][0]["rolloutState"], "IN_PROGRESS");
    world.advance(START + Duration::from_secs(900));
    assert_eq!(service(&mut world, special::SEARCH)["deployments"][0]["rolloutState"], "COMPLETED");
}

#[test]
fn the_special_services_are_what_their_names_promise() {
    let mut world = demo_fleet(60, 1);
    let world = &mut world;
    for path in [special::LEDGER, special::DATADOG, special::PAYMENTS, special::SESSIONS, special::NODE_EXPORTER] {
        assert_eq!(document(world, path)["pidMode"], "host", "{path}");
    }
    assert_eq!(document(world, special::LEDGER)["containerDefinitions"][0]["privileged"], true);
    assert_eq!(service(world, special::CHECKOUT)["deploymentController"]["type"], "CODE_DEPLOY");
    assert_eq!(service(world, special::MESH_GATEWAY)["deploymentController"]["type"], "EXTERNAL");
    assert_eq!(service(world, special::DATADOG)["runningCount"], 6, "one on each instance");
    let shared = service(world, special::PAYMENTS)["taskDefinition"].take();
    assert_eq!(service(world, special::PAYMENTS_WORKER)["taskDefinition"], shared);
    assert_eq!(service(world, special::REPORTS)["desiredCount"], 0);
    assert!(service(world, special::CATALOG)["taskDefinition"].as_str().unwrap().ends_with("catalog:1"));
    assert_eq!(
        ask(world, "DescribeTaskDefinition", json!({ "taskDefinition": "catalog" }))["taskDefinition"]["revision"],
        2
    );
    let tags = service(world, special::BILLING)["tags"].to_string();
    assert!(tags.contains("aws:cloudformation:stack-name"), "{tags}");
    assert_eq!(service(world, special::LEGACY_EXPORT)["platformVersion"], "1.3.0");
    let network = &service(world, special::STOREFRONT)["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"];
    assert_eq!(network, "ENABLED");
    assert_eq!(document(world, special::NODE_EXPORTER)["networkMode"], "host");
    assert!(document(world, special::MAILER).to_string().contains("AWS_SECRET_ACCESS_KEY"));
    let orders = document(world, special::ORDERS).to_string();
    assert!(orders.contains(r#""startupGuard":{"mode":"eager","after":[""],"limits":{"z":2,"a":1}}"#), "{orders}");
    let settings = ask(world, "DescribeClusters", json!({ "clusters": [special::PROD], "include": ["SETTINGS"] }));
    assert_eq!(settings["clusters"][0]["settings"][0]["value"], "disabled");
}

#[test]
fn the_ledger_does_not_survive_its_fix_and_stays_there() {
    let mut world = demo_fleet(0, 3);
    let mut fixed = document(&mut world, special::LEDGER);
    let members = fixed.as_object_mut().unwrap();
    members.shift_remove("pidMode");
    members.retain(|name, _| {
        !matches!(
            name.as_str(),
            "taskDefinitionArn"
                | "revision"
                | "status"
                | "requiresAttributes"
                | "compatibilities"
                | "registeredAt"
                | "registeredBy"
        )
    });
    ask(&mut world, "RegisterTaskDefinition", fixed);
    let update = json!({ "cluster": special::PROD, "service": "ledger", "taskDefinition": "ledger:2" });
    let arn = ask(&mut world, "UpdateService", update)["service"]["currentServiceDeployment"].take();
    world.advance(START + Duration::from_secs(900));
    let found = ask(&mut world, "DescribeServiceDeployments", json!({ "serviceDeploymentArns": [arn] }));
    assert_eq!(found["serviceDeployments"][0]["status"], "STOPPED");
    let back = json!({ "cluster": special::PROD, "service": "ledger", "taskDefinition": "ledger:1" });
    ask(&mut world, "UpdateService", back);
    world.advance(START + Duration::from_secs(1800));
    let ledger = service(&mut world, special::LEDGER);
    assert_eq!((&ledger["deployments"][0]["rolloutState"], &ledger["runningCount"]), (&json!("COMPLETED"), &json!(2)));
}

#[test]
fn no_cluster_of_a_large_fleet_has_more_services_than_ecs_allows() {
    let scenario = demo(20_050, 1);
    let mut services: BTreeMap<&str, usize> = BTreeMap::new();
    let named = |step: &'_ Step, operation: &str| step.operation == operation;
    for step in scenario.steps.iter().filter(|step| named(step, "CreateService")) {
        *services.entry(step.input["cluster"].as_str().unwrap()).or_default() += 1;
    }
    let clusters = scenario.steps.iter().filter(|step| named(step, "CreateCluster")).count();
    assert_eq!((clusters, services.len(), services.values().sum()), (9, 9, 20_050));
    // ECS service quotas: 5,000 services a cluster.
    assert!(services.values().all(|count| *count <= 5_000), "{services:?}");
    assert_eq!(scenario.instances.len(), 9);
}

#[test]
fn task_definitions_are_as_long_as_asked_for() {
    let scenario = of_size(60, 1, 5_300);
    let names = |step: &&Step| step.operation == "RegisterTaskDefinition" && step.input["family"] == "cart";
    let cart = scenario.steps.iter().find(names).unwrap().input.to_string();
    assert!((5_300..5_600).contains(&cart.len()), "{}", cart.len());
    assert!(scenario.build().is_ok());
}

#[test]
fn a_scenario_survives_its_json() {
    let scenario = demo(20, 5);
    let text = serde_json::to_string(&scenario).unwrap();
    assert_eq!(serde_json::from_str::<Scenario>(&text).unwrap(), scenario);
    let least: Scenario = serde_json::from_str(r#"{"start":"2026-01-01T00:00:00Z"}"#).unwrap();
    assert!(least.build().is_ok());
}
