//! Every AWS operation that plimsoll calls, with the permission it takes, what for, and which call needs it: the one list
//! that `doctor` and the IAM policies under `deploy/` are made from. Calls nothing.
//!
//! Which resources an action can be narrowed to is what AWS's Service Authorization Reference says of it.

use Access::{Read, Write};
use Need::{Alarms, Enforce, Look, Observe, Record, Settings, Table, Target};
use On::{Anything, Capacity, Cluster, Role, Service, ServiceDeployment, ServiceRevision, Task, TaskDefinition};

use super::operation::Operation;

/// Whether a call changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// It does not.
    Read,
    /// It does.
    Write,
}

/// What a permission is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// To see a target: the controller, `plan`, `describe`. Enough for policies that only audit.
    Observe,
    /// To move what is in a target: the controller, where a Binding proposes or enforces.
    Enforce,
    /// To watch the alarms that a strategy names, and for nothing else.
    Alarms,
    /// To take on the role of a Target in another account.
    Target,
    /// To read and write the record: everybody, each in the partitions that are theirs.
    Record,
    /// To say how the table is set up: `doctor` and `store init`.
    Settings,
    /// To make the table: `store init`, once.
    Table,
    /// To say who one is. No policy can deny it.
    Look,
}

impl Need {
    /// All of them.
    pub const ALL: &[Self] = &[Observe, Enforce, Alarms, Target, Record, Settings, Table, Look];

    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Observe => "observe",
            Enforce => "enforce",
            Alarms => "alarms",
            Target => "target",
            Record => "record",
            Settings => "settings",
            Table => "table",
            Look => "identity",
        }
    }
}

/// The type of resource that a statement can name for an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum On {
    /// None: `*` is all that is possible, or all that is right.
    Anything,
    /// `cluster/…`
    Cluster,
    /// `capacity-provider/…`
    Capacity,
    /// `service/…`
    Service,
    /// `service-deployment/…`, and the service.
    ServiceDeployment,
    /// `service-revision/…`, and the service.
    ServiceRevision,
    /// `task/…`
    Task,
    /// `task-definition/…`
    TaskDefinition,
    /// What has tags that we set: services, clusters, and the task definitions that we register.
    Tagged,
    /// An alarm of CloudWatch.
    Alarm,
    /// The DynamoDB table.
    Table,
    /// A role.
    Role,
}

/// One permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// The service's prefix in IAM.
    pub service: &'static str,
    /// The action, which is the operation's name but for `iam:PassRole`.
    pub action: &'static str,
    /// Whether it changes anything.
    pub access: Access,
    /// What it is needed for.
    pub need: Need,
    /// What a statement can name.
    pub on: On,
    /// Which call needs it, and why: one line.
    pub why: &'static str,
}

impl Permission {
    /// As IAM writes it: `ecs:UpdateService`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.service, self.action)
    }

    /// Whether plimsoll calls an operation of that name itself. `iam:PassRole` is asked for by ECS, of us.
    #[must_use]
    pub fn is_called(&self) -> bool {
        self.service != "iam"
    }

    /// The permission that an ECS operation takes.
    #[must_use]
    pub fn of(operation: Operation) -> Option<&'static Self> {
        PERMISSIONS.iter().find(|permission| permission.service == "ecs" && permission.action == operation.as_str())
    }
}

/// All of them: none is called that is not here.
pub const PERMISSIONS: &[Permission] = &[
    ecs(Operation::ListClusters, Observe, Anything, "each full pass begins with what clusters there are"),
    ecs(
        Operation::DescribeClusters,
        Observe,
        Cluster,
        "settings, configuration and tags, which policies and scopes read",
    ),
    ecs(
        Operation::DescribeCapacityProviders,
        Observe,
        Capacity,
        "only where a policy reads how a cluster's capacity is managed",
    ),
    ecs(Operation::ListServices, Observe, Anything, "what services a cluster has; can be narrowed by `ecs:cluster`"),
    ecs(Operation::DescribeServices, Observe, Service, "what a service is to run; read again right before it is moved"),
    ecs(Operation::DescribeTaskDefinition, Observe, Anything, "the document that policies judge; each revision once"),
    ecs(
        Operation::ListTaskDefinitions,
        Observe,
        Anything,
        "a family's newest revision before one is registered, and looking for one whose answer was lost",
    ),
    ecs(
        Operation::ListTaskDefinitionFamilies,
        Observe,
        Anything,
        "families that no service runs, looked at now and then",
    ),
    ecs(
        Operation::ListTasks,
        Observe,
        Anything,
        "which tasks run: a service complies when its tasks do; can be narrowed by `ecs:cluster`",
    ),
    ecs(Operation::DescribeTasks, Observe, Task, "which revision and image digests a task runs, and how it stopped"),
    ecs(
        Operation::ListServiceDeployments,
        Observe,
        Service,
        "whose deployment is in progress, and what became of ours",
    ),
    ecs(
        Operation::DescribeServiceDeployments,
        Observe,
        ServiceDeployment,
        "a deployment's status, rollback and alarms",
    ),
    ecs(
        Operation::DescribeServiceRevisions,
        Observe,
        ServiceRevision,
        "the digests that a service's tags were resolved to",
    ),
    ecs(Operation::RegisterTaskDefinition, Enforce, TaskDefinition, "the fixed revision, and what ran before an undo"),
    ecs(
        Operation::DeregisterTaskDefinition,
        Enforce,
        Anything,
        "revisions of our own that were taken back, so that they do not stay the family's latest",
    ),
    ecs(Operation::UpdateService, Enforce, Service, "moves a service to the fixed revision and back, and its settings"),
    ecs(
        Operation::StopServiceDeployment,
        Enforce,
        ServiceDeployment,
        "takes back a deployment of ours that is still in progress",
    ),
    ecs(Operation::UpdateClusterSettings, Enforce, Cluster, "fixes of a cluster's settings: Container Insights"),
    ecs(Operation::UpdateCluster, Enforce, Cluster, "fixes of a cluster's configuration: logging of ECS Exec"),
    ecs(
        Operation::TagResource,
        Enforce,
        On::Tagged,
        "fixes of tags; and RegisterTaskDefinition asks for it where the document has tags, which ours keeps",
    ),
    ecs(Operation::UntagResource, Enforce, On::Tagged, "takes back a tag that a fix has set"),
    Permission {
        service: "iam",
        action: "PassRole",
        access: Write,
        need: Enforce,
        on: Role,
        why: "RegisterTaskDefinition and UpdateService pass on the task and execution roles that the document names",
    },
    aws(
        "cloudwatch",
        "DescribeAlarms",
        Read,
        Alarms,
        On::Alarm,
        "the alarms of a strategy, before a wave and during it",
    ),
    aws("tag", "GetResources", Read, Alarms, Anything, "alarms that a strategy chooses by their tags"),
    aws("sts", "GetCallerIdentity", Read, Look, Anything, "the account that a lease is for; whose Command it is"),
    aws("sts", "AssumeRole", Read, Target, Role, "the role of a Target"),
    aws(
        "dynamodb",
        "BatchGetItem",
        Read,
        Record,
        On::Table,
        "reads by key: heads, objects, answers, documents, the lease",
    ),
    aws("dynamodb", "GetItem", Read, Record, On::Table, "looks whether a write whose answer was lost was made"),
    aws("dynamodb", "Query", Read, Record, On::Table, "lists: rollouts, Commands, events, reports"),
    aws("dynamodb", "UpdateItem", Write, Record, On::Table, "every write of an item, with its condition"),
    aws(
        "dynamodb",
        "DeleteItem",
        Write,
        Record,
        On::Table,
        "what is over: reports and statuses of what is gone, Holds",
    ),
    aws("dynamodb", "DescribeTable", Read, Settings, On::Table, "keys, encryption, deletion protection"),
    aws("dynamodb", "DescribeContinuousBackups", Read, Settings, On::Table, "whether point-in-time recovery is on"),
    aws("dynamodb", "DescribeTimeToLive", Read, Settings, On::Table, "whether items past their retention go"),
    aws("dynamodb", "CreateTable", Write, Table, On::Table, "`store init`"),
    aws("dynamodb", "UpdateTable", Write, Table, On::Table, "`store init`: encryption and deletion protection"),
    aws("dynamodb", "UpdateContinuousBackups", Write, Table, On::Table, "`store init`: point-in-time recovery"),
    aws("dynamodb", "UpdateTimeToLive", Write, Table, On::Table, "`store init`: expiry of items"),
];

const fn ecs(operation: Operation, need: Need, on: On, why: &'static str) -> Permission {
    let access = if operation.writes() { Write } else { Read };
    Permission { service: "ecs", action: operation.as_str(), access, need, on, why }
}

const fn aws(
    service: &'static str,
    action: &'static str,
    access: Access,
    need: Need,
    on: On,
    why: &'static str,
) -> Permission {
    Permission { service, action, access, need, on, why }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_operation_of_ecs_is_listed_once_and_nothing_else_of_ecs() {
        let listed: Vec<&str> =
            PERMISSIONS.iter().filter(|permission| permission.service == "ecs").map(|row| row.action).collect();
        let mut operations: Vec<&str> = Operation::ALL.iter().map(|operation| operation.as_str()).collect();
        let mut sorted = listed.clone();
        sorted.sort_unstable();
        operations.sort_unstable();
        assert_eq!(sorted, operations);
    }

    #[test]
    fn no_permission_is_listed_twice_and_each_says_why() {
        let names: BTreeSet<String> = PERMISSIONS.iter().map(Permission::name).collect();
        assert_eq!(names.len(), PERMISSIONS.len());
        for permission in PERMISSIONS {
            assert!(permission.why.len() > 10 || permission.need == Table, "{permission:?}");
        }
    }

    #[test]
    fn whoever_only_observes_changes_nothing() {
        for permission in PERMISSIONS.iter().filter(|permission| permission.need == Observe) {
            assert_eq!(permission.access, Read, "{permission:?}");
        }
        for permission in PERMISSIONS.iter().filter(|permission| permission.need == Enforce) {
            assert_eq!(permission.access, Write, "{permission:?}");
        }
    }
}
