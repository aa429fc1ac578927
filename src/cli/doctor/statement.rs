//! The IAM statement that would permit a call. Asks nobody.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::model::TargetId;
use crate::model::permission::{Access, Need, On, Permission};

/// A statement of an IAM policy, in IAM's own words.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Statement {
    /// `Allow`.
    effect: &'static str,
    /// What it permits.
    pub(super) action: Vec<String>,
    /// On what.
    resource: Vec<String>,
    /// Under which condition: `dynamodb:LeadingKeys` for what is written to the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    condition: Option<Value>,
}

/// Where a permission is missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// `aws`, `aws-cn`, `aws-us-gov`: as in the caller's ARN.
    pub(super) partition: &'a str,
    /// The account and region.
    pub(super) target: &'a TargetId,
    /// The name of the table, for what is about it.
    pub(super) table: &'a str,
}

impl Place<'_> {
    fn arn(&self, service: &str, resource: &str) -> String {
        let Self { partition, target: TargetId { account, region }, .. } = self;
        format!("arn:{partition}:{service}:{region}:{account}:{resource}")
    }

    fn ecs(&self, kinds: &[&str]) -> Vec<String> {
        kinds.iter().map(|kind| self.arn("ecs", &format!("{kind}/*"))).collect()
    }
}

/// The partition of an ARN.
pub(super) fn partition(arn: &str) -> &str {
    arn.split(':').nth(1).filter(|partition| !partition.is_empty()).unwrap_or("aws")
}

/// What permits a permission there, and no more than its action on resources of its type.
pub(super) fn of(permission: &Permission, place: Place<'_>) -> Statement {
    let resource = match permission.on {
        On::Anything => vec!["*".to_owned()],
        On::Cluster => place.ecs(&["cluster"]),
        On::Capacity => place.ecs(&["capacity-provider"]),
        On::Service => place.ecs(&["service"]),
        On::ServiceDeployment => place.ecs(&["service", "service-deployment"]),
        On::ServiceRevision => place.ecs(&["service", "service-revision"]),
        On::Task => place.ecs(&["task"]),
        On::TaskDefinition => place.ecs(&["task-definition"]),
        On::Tagged => place.ecs(&["cluster", "service", "task-definition"]),
        On::Alarm => vec![place.arn("cloudwatch", "alarm:*")],
        On::Table => vec![place.arn("dynamodb", &format!("table/{}", place.table))],
        On::Role => vec![format!("arn:{}:iam::{}:role/*", place.partition, place.target.account)],
    };
    // The controller writes its own records only; what people write has rights of its own.
    let records = permission.need == Need::Record && permission.access == Access::Write;
    // `ForAllValues` is true of no key at all, hence the `Null` beside it: as in deploy/iam/record.json.
    let condition = records.then(|| {
        json!({
            "ForAllValues:StringLike": { "dynamodb:LeadingKeys": ["rt#*"] },
            "Null": { "dynamodb:LeadingKeys": "false" },
        })
    });
    Statement { effect: "Allow", action: vec![permission.name()], resource, condition }
}

/// To take on exactly this role.
pub(super) fn assume(role: &str) -> Statement {
    let (action, resource) = (vec!["sts:AssumeRole".to_owned()], vec![role.to_owned()]);
    Statement { effect: "Allow", action, resource, condition: None }
}

/// As few statements as say the same: those on the same resources are one.
pub(super) fn joined<'a>(statements: impl IntoIterator<Item = &'a Statement>) -> Vec<Statement> {
    let mut joined: Vec<Statement> = Vec::new();
    for statement in statements {
        let same =
            |other: &&mut Statement| other.resource == statement.resource && other.condition == statement.condition;
        match joined.iter_mut().find(same) {
            Some(other) => {
                for action in &statement.action {
                    if !other.action.contains(action) {
                        other.action.push(action.clone());
                    }
                }
            }
            None => joined.push(statement.clone()),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::permission::PERMISSIONS;

    fn target() -> TargetId {
        TargetId { account: "123456789012".to_owned(), region: "eu-west-1".to_owned() }
    }

    fn statement(name: &str, partition: &str) -> Value {
        let permission = PERMISSIONS.iter().find(|permission| permission.name() == name).unwrap();
        serde_json::to_value(of(permission, Place { partition, target: &target(), table: "plimsoll" })).unwrap()
    }

    #[test]
    fn a_statement_permits_its_action_on_resources_of_its_type_and_no_more() {
        for (name, resource) in [
            ("ecs:ListClusters", json!(["*"])),
            ("ecs:UpdateService", json!(["arn:aws:ecs:eu-west-1:123456789012:service/*"])),
            (
                "ecs:StopServiceDeployment",
                json!([
                    "arn:aws:ecs:eu-west-1:123456789012:service/*",
                    "arn:aws:ecs:eu-west-1:123456789012:service-deployment/*"
                ]),
            ),
            ("cloudwatch:DescribeAlarms", json!(["arn:aws:cloudwatch:eu-west-1:123456789012:alarm:*"])),
            ("dynamodb:Query", json!(["arn:aws:dynamodb:eu-west-1:123456789012:table/plimsoll"])),
        ] {
            let expected = json!({ "Effect": "Allow", "Action": [name], "Resource": resource });
            assert_eq!(statement(name, "aws"), expected);
        }
        let write = statement("dynamodb:UpdateItem", "aws-us-gov");
        assert_eq!(write["Resource"][0], "arn:aws-us-gov:dynamodb:eu-west-1:123456789012:table/plimsoll");
        assert_eq!(write["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"], json!(["rt#*"]));
        assert_eq!(partition("arn:aws-cn:sts::1:assumed-role/x/y"), "aws-cn");
        assert_eq!(partition("nobody"), "aws");
    }

    #[test]
    fn what_is_on_the_same_resources_becomes_one_statement_once() {
        let of = |name: &str| {
            let permission = PERMISSIONS.iter().find(|permission| permission.name() == name).unwrap();
            of(permission, Place { partition: "aws", target: &target(), table: "plimsoll" })
        };
        let all = [of("ecs:ListClusters"), of("ecs:UpdateService"), of("ecs:ListServices"), of("ecs:ListClusters")];
        let joined = joined(&all);
        let actions: Vec<&[String]> = joined.iter().map(|statement| statement.action.as_slice()).collect();
        assert_eq!(actions, [&["ecs:ListClusters", "ecs:ListServices"][..], &["ecs:UpdateService"][..]]);
    }
}
