//! Calls to ECS that change nothing, and what their answers say of the caller's rights. Sends nothing.
//!
//! What reads is asked with the smallest input. What writes is asked of a cluster, service deployment or revision that
//! is not there, or without the members that it cannot do without (`family` and `containerDefinitions` are required:
//! botocore, ecs/2014-11-13, RegisterTaskDefinitionRequest), so that there is nothing to change. A denial is certain then.
//! Another refusal shows that the call was not denied, as far as ECS looks at rights before it looks at the rest.

use serde_json::{Value, json};

use crate::model::TargetId;
use crate::model::operation::Operation;
use crate::ports::EcsError;

/// The name of what is not there. Whoever has a cluster of that name has made it for this.
pub(super) const NOTHING: &str = "plimsoll-doctor-asks-for-nothing";

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was answered, or refused for another reason than rights.
    Permitted {
        /// In a few words.
        how: String,
    },
    /// The caller has no right to it.
    Denied {
        /// AWS's words.
        message: String,
    },
    /// The call did not come as far as ECS.
    Unreachable {
        /// What happened.
        message: String,
    },
    /// It was sent, and nothing came back.
    Silent {
        /// What happened instead.
        message: String,
    },
    /// None of these.
    Untold {
        /// What happened instead.
        message: String,
    },
}

/// Whether it changes nothing in a cluster that is there either: what is named in it is still not there.
pub(super) const fn can_be_asked_in_a_cluster(operation: Operation) -> bool {
    match operation {
        Operation::DescribeClusters
        | Operation::ListServices
        | Operation::ListTasks
        | Operation::DescribeServices
        | Operation::DescribeTasks
        | Operation::GetTaskProtection
        | Operation::ListServiceDeployments
        | Operation::DescribeServiceDeployments
        | Operation::DescribeServiceRevisions
        | Operation::UpdateService
        | Operation::StopServiceDeployment
        | Operation::TagResource
        | Operation::UntagResource => true,
        // Those of no cluster, and those that would set the cluster itself.
        Operation::ListClusters
        | Operation::DescribeCapacityProviders
        | Operation::ListTaskDefinitions
        | Operation::ListTaskDefinitionFamilies
        | Operation::DescribeTaskDefinition
        | Operation::RegisterTaskDefinition
        | Operation::DeregisterTaskDefinition
        | Operation::UpdateClusterSettings
        | Operation::UpdateCluster => false,
    }
}

/// What to send. With `cluster`, of what is not there in that one; only where it
/// [can be asked so](can_be_asked_in_a_cluster).
pub(super) fn input(operation: Operation, target: &TargetId, partition: &str, cluster: Option<&str>) -> Value {
    let TargetId { account, region } = target;
    let arn = |resource: &str| format!("arn:{partition}:ecs:{region}:{account}:{resource}");
    // A name as ECS makes them: 32 hexadecimal digits, 22 characters.
    let (task, long) = ("0".repeat(32), "0".repeat(22));
    let tagged = match cluster {
        Some(cluster) => arn(&format!("service/{cluster}/{NOTHING}")),
        None => arn(&format!("cluster/{NOTHING}")),
    };
    let cluster = cluster.filter(|_| can_be_asked_in_a_cluster(operation)).unwrap_or(NOTHING);
    match operation {
        Operation::ListClusters => json!({ "maxResults": 100 }),
        Operation::DescribeCapacityProviders
        | Operation::ListTaskDefinitions
        | Operation::ListTaskDefinitionFamilies => json!({ "maxResults": 1 }),
        Operation::DescribeClusters => json!({ "clusters": [cluster] }),
        Operation::ListServices | Operation::ListTasks => json!({ "cluster": cluster, "maxResults": 1 }),
        Operation::DescribeServices => json!({ "cluster": cluster, "services": [NOTHING] }),
        Operation::DescribeTaskDefinition | Operation::DeregisterTaskDefinition => {
            json!({ "taskDefinition": format!("{NOTHING}:1") })
        }
        Operation::DescribeTasks | Operation::GetTaskProtection => json!({ "cluster": cluster, "tasks": [task] }),
        Operation::ListServiceDeployments => json!({ "cluster": cluster, "service": NOTHING, "maxResults": 1 }),
        Operation::DescribeServiceDeployments => {
            json!({ "serviceDeploymentArns": [arn(&format!("service-deployment/{cluster}/{NOTHING}/{long}"))] })
        }
        Operation::DescribeServiceRevisions => {
            json!({ "serviceRevisionArns": [arn(&format!("service-revision/{cluster}/{NOTHING}/{}", "0".repeat(19)))] })
        }
        Operation::RegisterTaskDefinition => json!({}),
        Operation::UpdateService => json!({ "cluster": cluster, "service": NOTHING }),
        Operation::StopServiceDeployment => json!({
            "serviceDeploymentArn": arn(&format!("service-deployment/{cluster}/{NOTHING}/{long}")),
            "stopType": "ROLLBACK",
        }),
        Operation::UpdateClusterSettings => {
            json!({ "cluster": NOTHING, "settings": [{ "name": "containerInsights", "value": "enabled" }] })
        }
        Operation::UpdateCluster => json!({ "cluster": NOTHING }),
        Operation::TagResource => json!({ "resourceArn": tagged, "tags": [{ "key": NOTHING, "value": "" }] }),
        Operation::UntagResource => json!({ "resourceArn": tagged, "tagKeys": [NOTHING] }),
    }
}

/// What the answer to [`input`] says. `came_back`: something did, be it of no use, such as HTTP 5xx.
pub(super) fn verdict(operation: Operation, answer: Result<Value, EcsError>, came_back: bool) -> Verdict {
    match answer {
        Ok(_) if operation.writes() => Verdict::Untold {
            message: "it was accepted, though it names nothing that there is: this endpoint is not ECS".to_owned(),
        },
        Ok(_) => Verdict::Permitted { how: "answered".to_owned() },
        Err(EcsError::Refused { code, message, .. }) => refused(&code, message),
        Err(EcsError::NotSent { message, .. }) => Verdict::Unreachable { message },
        Err(EcsError::Throttled { message, .. }) => Verdict::Untold { message: format!("throttled: {message}") },
        Err(EcsError::NoAnswer { message, .. }) if came_back => {
            Verdict::Untold { message: format!("no usable answer: {message}") }
        }
        Err(EcsError::NoAnswer { message, .. }) => Verdict::Silent { message },
    }
}

fn refused(code: &str, message: String) -> Verdict {
    match code {
        _ if is_denial(code, &message) => Verdict::Denied { message },
        // AWS's common errors ("Common errors" of each API reference): of the caller, or of an endpoint that lacks the
        // operation. They say nothing of this right.
        "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "OptInRequired"
        | "InvalidAction"
        | "UnknownOperationException"
        | "NotImplemented"
        | "UnsupportedOperation" => Verdict::Untold { message: format!("{code}: {message}") },
        code => Verdict::Permitted { how: format!("not denied: refused as `{code}`, as it must be") },
    }
}

/// Some services say it with a code of their own; AWS's sentence is the same everywhere (IAM User Guide,
/// "Troubleshoot access denied error messages").
pub(super) fn is_denial(code: &str, message: &str) -> bool {
    matches!(code, "AccessDenied" | "AccessDeniedException" | "NotAuthorized" | "UnauthorizedOperation")
        || message.contains("is not authorized to perform")
}

/// Whether AWS says that a policy denies it: nothing that is allowed besides helps then.
pub(super) fn is_explicit(message: &str) -> bool {
    message.contains("explicit deny")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::sim::{World, WorldConfig};

    fn target() -> TargetId {
        TargetId { account: "123456789012".to_owned(), region: "eu-west-1".to_owned() }
    }

    #[test]
    fn nothing_that_is_sent_to_find_out_can_change_anything() {
        for operation in Operation::ALL.iter().filter(|operation| operation.writes()) {
            for cluster in [None, Some("prod")] {
                let input = input(*operation, &target(), "aws", cluster);
                // What is to be changed: a service, a deployment, a revision, a cluster, what has tags.
                let whole = ["service", "serviceDeploymentArn", "taskDefinition", "resourceArn"];
                let changed = whole.iter().map(|member| &input[member]).find(|value| value.is_string());
                let changed = changed.unwrap_or(&input["cluster"]);
                let names_nothing = changed.as_str().is_some_and(|changed| changed.contains(NOTHING));
                // Without a family there is no revision to make.
                let cannot_be_whole = *operation == Operation::RegisterTaskDefinition && input == json!({});
                assert!(names_nothing || cannot_be_whole, "{operation:?}: {input}");
            }
        }
    }

    #[test]
    fn ecs_refuses_every_write_and_its_answer_is_no_denial() {
        let start: Timestamp = "2026-01-05T09:00:00Z".parse().unwrap();
        let mut world = World::new(WorldConfig { throttle_percent: 0, ..WorldConfig::default() }, start);
        world.call(start, "CreateCluster", &json!({ "clusterName": "prod" })).unwrap();
        let cases = Operation::ALL.iter().flat_map(|operation| [(*operation, None), (*operation, Some("prod"))]);
        for (operation, cluster) in cases {
            let answer = world.call(start, operation.as_str(), &input(operation, &target(), "aws", cluster));
            if operation.writes() {
                let error = answer.expect_err(operation.as_str());
                let told = refused(error.code, error.message.clone());
                assert!(matches!(told, Verdict::Permitted { .. }), "{operation:?}: {error:?}");
            }
        }
    }

    #[test]
    fn an_answer_says_what_it_can() {
        let operation = Operation::UpdateService;
        let refused = |code: &str, message: &str| {
            let message = message.to_owned();
            verdict(operation, Err(EcsError::Refused { operation, code: code.to_owned(), message }), true)
        };
        let sentence = "User: arn:aws:iam::1:user/x is not authorized to perform: ecs:UpdateService on resource: y";
        assert!(matches!(refused("AccessDeniedException", sentence), Verdict::Denied { .. }));
        assert!(matches!(refused("ClientException", sentence), Verdict::Denied { .. }));
        assert!(matches!(refused("ClusterNotFoundException", "Cluster not found."), Verdict::Permitted { .. }));
        assert!(matches!(refused("ExpiredTokenException", "expired"), Verdict::Untold { .. }));
        assert!(matches!(refused("UnknownOperationException", ""), Verdict::Untold { .. }));
        assert!(matches!(verdict(operation, Ok(json!({})), true), Verdict::Untold { .. }), "no ECS accepts that");
        assert!(matches!(verdict(Operation::ListClusters, Ok(json!({})), true), Verdict::Permitted { .. }));
        let message = "connection refused".to_owned();
        assert!(matches!(
            verdict(operation, Err(EcsError::NotSent { operation, message }), false),
            Verdict::Unreachable { .. }
        ));
        let no_answer = |came_back| {
            verdict(operation, Err(EcsError::NoAnswer { operation, message: "sorry".to_owned() }), came_back)
        };
        assert!(matches!(no_answer(true), Verdict::Untold { .. }), "HTTP 5xx says nothing of the endpoint");
        assert!(matches!(no_answer(false), Verdict::Silent { .. }));
        assert!(is_explicit("… with an explicit deny in an identity-based policy: arn:aws:iam::1:policy/p"));
        assert!(!is_explicit("… because no identity-based policy allows the ecs:UpdateService action"));
    }
}
