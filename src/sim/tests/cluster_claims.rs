//! Clusters and their settings.

use serde_json::json;

use super::stage::Stage;

#[test]
fn container_insights_are_off_until_somebody_switches_them_on() {
    let mut stage = Stage::new();
    let query = json!({ "clusters": ["prod"], "include": ["SETTINGS"] });
    let before = stage.ok("DescribeClusters", query.clone());
    assert_eq!(before["clusters"][0]["settings"], json!([{ "name": "containerInsights", "value": "disabled" }]));
    for value in ["enabled", "enhanced"] {
        stage.ok(
            "UpdateClusterSettings",
            json!({ "cluster": "prod", "settings": [{ "name": "containerInsights", "value": value }] }),
        );
        let after = stage.ok("DescribeClusters", query.clone());
        assert_eq!(after["clusters"][0]["settings"], json!([{ "name": "containerInsights", "value": value }]));
    }
    let wrong = json!({ "cluster": "prod", "settings": [{ "name": "containerInsights", "value": "on" }] });
    assert_eq!(stage.refused("UpdateClusterSettings", wrong).0, "InvalidParameterException");
    let plain = stage.ok("DescribeClusters", json!({ "clusters": ["prod"] }));
    assert_eq!(plain["clusters"][0]["settings"], json!([]), "only when asked for");
}

#[test]
fn a_clusters_configuration_is_replaced_as_a_whole_and_shown_when_asked_for() {
    let mut stage = Stage::new();
    let configuration = json!({ "executeCommandConfiguration": { "logging": "OVERRIDE", "kmsKeyId": "k" } });
    stage.ok("UpdateCluster", json!({ "cluster": "prod", "configuration": configuration }));
    let shown = stage.ok("DescribeClusters", json!({ "clusters": ["prod"], "include": ["CONFIGURATIONS"] }));
    assert_eq!(shown["clusters"][0]["configuration"], configuration);
}

#[test]
fn a_cluster_with_services_cannot_be_deleted() {
    let mut stage = Stage::new();
    stage.web(1, |_| {});
    let cluster = &stage.ok("DescribeClusters", json!({ "clusters": ["prod"] }))["clusters"][0];
    assert_eq!((&cluster["runningTasksCount"], &cluster["activeServicesCount"]), (&json!(1), &json!(1)));
    assert_eq!(stage.refused("DeleteCluster", json!({ "cluster": "prod" })).0, "ClusterContainsServicesException");
    stage.ok("DeleteService", json!({ "cluster": "prod", "service": "web", "force": true }));
    assert_eq!(stage.refused("DeleteCluster", json!({ "cluster": "prod" })).0, "ClusterContainsTasksException");
    stage.pass(300);
    stage.ok("DeleteCluster", json!({ "cluster": "prod" }));
    assert_eq!(stage.ok("ListClusters", json!({}))["clusterArns"], json!([]));
}

#[test]
fn capacity_providers_are_awss_own_and_those_of_groups_ten_a_page() {
    let mut stage = Stage::new();
    let names = |answer: &serde_json::Value| -> Vec<String> {
        let providers = answer["capacityProviders"].as_array().unwrap();
        providers.iter().map(|provider| provider["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&stage.ok("DescribeCapacityProviders", json!({}))), ["FARGATE", "FARGATE_SPOT"]);
    for number in 10..20 {
        let group = json!({ "autoScalingGroupArn": "arn:aws:autoscaling:eu-west-1:1:autoScalingGroup:x" });
        let input = json!({ "name": format!("group-{number}"), "autoScalingGroupProvider": group });
        let made = stage.ok("CreateCapacityProvider", input)["capacityProvider"].clone();
        assert_eq!(made["autoScalingGroupProvider"]["managedTerminationProtection"], "DISABLED", "unless asked for");
    }
    let first = stage.ok("DescribeCapacityProviders", json!({}));
    assert_eq!(names(&first).len(), 10);
    let rest = stage.ok("DescribeCapacityProviders", json!({ "nextToken": first["nextToken"] }));
    assert_eq!(names(&rest), ["group-18", "group-19"]);
    let some = stage.ok("DescribeCapacityProviders", json!({ "capacityProviders": ["group-11", "gone"] }));
    assert_eq!((names(&some), &some["failures"][0]["reason"]), (vec!["group-11".to_owned()], &json!("MISSING")));
    for name in ["fargate-ours", "aws", "group-11"] {
        let group = json!({ "autoScalingGroupArn": "x" });
        stage.refused("CreateCapacityProvider", json!({ "name": name, "autoScalingGroupProvider": group }));
    }
}
