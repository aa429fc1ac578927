//! ECS as anybody can ask it: an awsJson POST, nothing of ours in between.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

/// An endpoint, and the access key that it is asked with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ecs(pub(crate) SocketAddr, pub(crate) &'static str);

impl Ecs {
    /// The answer to one call, which must succeed.
    #[track_caller]
    pub(crate) fn call(&self, operation: &str, input: Value) -> Value {
        let body = input.to_string();
        let headers = format!(
            "content-type: application/x-amz-json-1.1\r\n\
             x-amz-target: AmazonEC2ContainerServiceV20141113.{operation}\r\n\
             authorization: AWS4-HMAC-SHA256 Credential={}/20261122/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=0\r\n\
             content-length: {}\r\n",
            self.1,
            body.len()
        );
        self.request("POST /", &headers, &body)
    }

    /// What the simulated endpoint was asked so far.
    #[track_caller]
    pub(super) fn counts(&self) -> Value {
        self.request("GET /_plimsoll/calls", "", "")
    }

    #[track_caller]
    fn request(&self, what: &str, headers: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(self.0).unwrap();
        write!(stream, "{what} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{headers}\r\n{body}", self.0).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, answered) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{what} {headers}{body}: {answer}");
        serde_json::from_str(answered).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// All services of a cluster, with their tags, by name.
    #[track_caller]
    pub(super) fn services(&self, cluster: &str) -> Vec<Value> {
        let list = self.call("ListServices", json!({ "cluster": cluster, "maxResults": 100 }));
        let names = &list["serviceArns"];
        let described =
            self.call("DescribeServices", json!({ "cluster": cluster, "services": names, "include": ["TAGS"] }));
        assert_eq!(described["failures"], json!([]));
        let mut services = described["services"].as_array().unwrap().clone();
        services.sort_by_key(|service| service["serviceName"].as_str().unwrap().to_owned());
        services
    }

    /// The revisions that a service's tasks run, one for each task.
    #[track_caller]
    pub(super) fn running(&self, cluster: &str, service: &str) -> Vec<String> {
        let list = self.call("ListTasks", json!({ "cluster": cluster, "serviceName": service }));
        if list["taskArns"] == json!([]) {
            return Vec::new();
        }
        let tasks = self.call("DescribeTasks", json!({ "cluster": cluster, "tasks": list["taskArns"] }));
        let tasks = tasks["tasks"].as_array().unwrap();
        let running = tasks.iter().filter(|task| task["lastStatus"] == "RUNNING");
        running.map(|task| short(task["taskDefinitionArn"].as_str().unwrap())).collect()
    }

    /// Every move a service ever made.
    #[track_caller]
    pub(super) fn service_deployments(&self, cluster: &str, service: &str) -> Vec<Value> {
        let list = self.call("ListServiceDeployments", json!({ "cluster": cluster, "service": service }));
        list["serviceDeployments"].as_array().unwrap().clone()
    }

    /// A task definition and its tags, without what ECS adds.
    #[track_caller]
    pub(super) fn definition(&self, name: &str) -> Value {
        let mut answer = self.call("DescribeTaskDefinition", json!({ "taskDefinition": name, "include": ["TAGS"] }));
        let tags = answer["tags"].take();
        let mut definition = answer["taskDefinition"].take();
        let members = definition.as_object_mut().unwrap();
        for added in [
            "taskDefinitionArn",
            "revision",
            "status",
            "requiresAttributes",
            "compatibilities",
            "registeredAt",
            "registeredBy",
            "deregisteredAt",
        ] {
            members.shift_remove(added);
        }
        members.insert("tags".to_owned(), tags);
        definition
    }

    /// `family:revision` of all that can be used.
    #[track_caller]
    pub(super) fn definitions(&self) -> Vec<String> {
        let list = self.call("ListTaskDefinitions", json!({}));
        let arns = list["taskDefinitionArns"].as_array().unwrap();
        let mut names: Vec<String> = arns.iter().map(|arn| short(arn.as_str().unwrap())).collect();
        // ECS sorts them; not every server does.
        names.sort();
        names
    }
}

/// `family:revision` of a task definition's ARN.
pub(super) fn short(arn: &str) -> String {
    arn.rsplit('/').next().unwrap().to_owned()
}
