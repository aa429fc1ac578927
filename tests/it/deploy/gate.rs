//! A server that holds every call against IAM documents, as AWS does, and passes on what they allow: DynamoDB's to one
//! server, all else to another.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::iam::{ACCOUNT, Asked, Document, REGION, allowed};
use crate::fake::{Fake, Reply, Request};

/// A running gate. Dropping it ends it.
pub(crate) struct Gate {
    fake: Fake,
    documents: Arc<Mutex<Vec<Document>>>,
    denied: Arc<Mutex<Vec<Asked>>>,
}

impl Gate {
    /// In front of these two; nobody may anything yet.
    pub(crate) async fn before(dynamodb: SocketAddr, others: SocketAddr) -> Self {
        let documents = Arc::<Mutex<Vec<Document>>>::default();
        let denied = Arc::<Mutex<Vec<Asked>>>::default();
        let (known, told) = (Arc::clone(&documents), Arc::clone(&denied));
        let fake = Fake::start(move |_, request| {
            let documents = known.lock().unwrap();
            for asked in asked(request) {
                if !allowed(&documents, &asked) {
                    let message = format!("User: somebody is not authorized to perform: {}", asked.action);
                    told.lock().unwrap().push(asked);
                    let body = serde_json::json!({ "__type": "AccessDeniedException", "message": message });
                    return Reply::Answer(400, body.to_string());
                }
            }
            Reply::Forward(if is_dynamodb(request) { dynamodb } else { others })
        })
        .await;
        Self { fake, documents, denied }
    }

    pub(crate) fn endpoint(&self) -> String {
        self.fake.endpoint()
    }

    /// From now on exactly these documents of `deploy/iam` are attached.
    pub(crate) fn grants(&self, names: &[&str]) {
        self.grants_in("*", names);
    }

    /// The same, where they are for the clusters of this pattern only.
    pub(crate) fn grants_in(&self, clusters: &str, names: &[&str]) {
        *self.documents.lock().unwrap() = names.iter().map(|name| Document::narrowed(name, clusters)).collect();
        self.denied.lock().unwrap().clear();
    }

    /// What was refused since, each once.
    pub(crate) fn denied(&self) -> Vec<String> {
        let mut names: Vec<String> = self.denied.lock().unwrap().iter().map(|asked| asked.action.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// What was asked of ECS, and of IAM for it, each once; what was refused too.
    pub(crate) fn used(&self) -> Vec<String> {
        let mut names: Vec<String> = self.fake.requests().iter().flat_map(asked).map(|asked| asked.action).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The partitions that were written to, each once; what was refused too.
    pub(crate) fn written(&self) -> Vec<String> {
        let requests = self.fake.requests();
        let writes = requests.iter().filter(|request| matches!(request.operation(), "UpdateItem" | "DeleteItem"));
        let mut keys: Vec<String> = writes.flat_map(asked).flat_map(|asked| asked.leading_keys).collect();
        keys.sort();
        keys.dedup();
        keys
    }
}

fn is_dynamodb(request: &Request) -> bool {
    request.header("x-amz-target").starts_with("DynamoDB_")
}

/// What a call needs, one after the other. STS's GetCallerIdentity needs nothing (IAM User Guide); CloudWatch speaks
/// another protocol, and no strategy here names alarms.
fn asked(request: &Request) -> Vec<Asked> {
    let target = request.header("x-amz-target");
    if target.is_empty() {
        assert!(request.body.contains("Action=GetCallerIdentity"), "{request:?}");
        return Vec::new();
    }
    let body: Value = serde_json::from_str(&request.body).unwrap();
    if is_dynamodb(request) { vec![of_table(request.operation(), &body)] } else { of_ecs(request.operation(), &body) }
}

fn of_table(operation: &str, body: &Value) -> Asked {
    let text = |value: &Value| value["S"].as_str().map(ToOwned::to_owned);
    let mut leading_keys: Vec<String> = text(&body["Key"]["pk"]).into_iter().collect();
    leading_keys.extend(text(&body["ExpressionAttributeValues"][":pk"]));
    for key in body["RequestItems"]["plimsoll"]["Keys"].as_array().into_iter().flatten() {
        leading_keys.extend(text(&key["pk"]));
    }
    let of_items = !operation.starts_with("Describe");
    assert_eq!(!leading_keys.is_empty(), of_items, "{operation} without a partition key: {body}");
    let table = body["TableName"].as_str().unwrap_or("plimsoll");
    Asked {
        action: format!("dynamodb:{operation}"),
        resources: vec![format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}")],
        leading_keys,
        passed_to: None,
    }
}

fn of_ecs(operation: &str, body: &Value) -> Vec<Asked> {
    let arn = |rest: &str| format!("arn:aws:ecs:{REGION}:{ACCOUNT}:{rest}");
    let name = |member: &str| {
        let text = body[member].as_str().unwrap_or_default();
        text.rsplit('/').next().unwrap_or_default().to_owned()
    };
    let ask = |action: &str, resource: String| Asked {
        action: action.to_owned(),
        resources: vec![resource],
        ..Asked::default()
    };
    let action = format!("ecs:{operation}");
    match operation {
        // Those that policies give for all resources: which one is asked about makes no difference.
        _ if ["List", "Describe", "Get"].iter().any(|read| operation.starts_with(read)) => {
            vec![ask(&action, arn("x/y"))]
        }
        "RegisterTaskDefinition" => {
            let family = arn(&format!("task-definition/{}:*", name("family")));
            let mut all = vec![ask(&action, family.clone())];
            if body["tags"].as_array().is_some_and(|tags| !tags.is_empty()) {
                all.push(ask("ecs:TagResource", family));
            }
            all.extend(["taskRoleArn", "executionRoleArn"].iter().filter_map(|member| {
                let passed_to = Some("ecs-tasks.amazonaws.com");
                let role = body[member].as_str()?;
                Some(Asked { passed_to, ..ask("iam:PassRole", role.to_owned()) })
            }));
            all
        }
        "UpdateService" => vec![ask(&action, arn(&format!("service/{}/{}", name("cluster"), name("service"))))],
        "UpdateCluster" | "UpdateClusterSettings" => vec![ask(&action, arn(&format!("cluster/{}", name("cluster"))))],
        "StopServiceDeployment" => vec![ask(&action, body["serviceDeploymentArn"].as_str().unwrap().to_owned())],
        "TagResource" | "UntagResource" => vec![ask(&action, body["resourceArn"].as_str().unwrap().to_owned())],
        "DeregisterTaskDefinition" => vec![ask(&action, arn(&format!("task-definition/{}", name("taskDefinition"))))],
        other => panic!("which resource does {other} name?"),
    }
}
