//! The services of the demonstration fleet that something is the matter with, by `CLUSTER/SERVICE`.

/// The production cluster. Container Insights are off in it.
pub const PROD: &str = "prod-a";
/// The staging cluster.
pub const STAGING: &str = "staging-a";
/// The development cluster.
pub const DEV: &str = "dev-a";

/// Shares the host's process namespace and is privileged, and its code needs both: without either its tasks exit before
/// they run. Its circuit breaker is on, with rollback off: whoever fixes it must take it back.
pub const LEDGER: &str = "prod-a/ledger";
/// Belongs to CodeDeploy: UpdateService refuses its task definition.
pub const CHECKOUT: &str = "prod-a/checkout";
/// Somebody else's deployment is in progress at the start, and bakes for five minutes.
pub const SEARCH: &str = "prod-a/search";
/// A DAEMON that reads the host's processes by design: to be waived.
pub const DATADOG: &str = "prod-a/datadog-agent";
/// Runs the same revision as [`PAYMENTS_WORKER`].
pub const PAYMENTS: &str = "prod-a/payments";
/// Runs the same revision as [`PAYMENTS`].
pub const PAYMENTS_WORKER: &str = "prod-a/payments-worker";
/// Has a desired count of 0: nothing proves that a change of it works.
pub const REPORTS: &str = "prod-a/reports";
/// One task, minimum 100 %, maximum 100 %: no deployment of it can ever move.
pub const SESSIONS: &str = "prod-a/sessions";
/// Runs revision 1 of its family; revision 2 is registered and runs nowhere.
pub const CATALOG: &str = "prod-a/catalog";
/// Managed by a CloudFormation stack, as its tags say.
pub const BILLING: &str = "prod-a/billing";
/// On Fargate platform version 1.3.0.
pub const LEGACY_EXPORT: &str = "prod-a/legacy-export";
/// Its tasks get public IP addresses.
pub const STOREFRONT: &str = "prod-a/storefront";
/// Host networking and the host's process namespace, with a pinned port.
pub const NODE_EXPORTER: &str = "prod-a/node-exporter";
/// Passes a secret access key as an environment variable.
pub const MAILER: &str = "prod-a/mailer";
/// A privileged container with the Docker socket.
pub const IMAGE_BUILDER: &str = "dev-a/image-builder";
/// Its deployment controller is EXTERNAL.
pub const MESH_GATEWAY: &str = "staging-a/mesh-gateway";
/// Two sidecars, with unknown nested members and empty strings in its task definition: nothing of it may get lost.
pub const ORDERS: &str = "staging-a/orders";

/// All of them.
pub const ALL: &[&str] = &[
    LEDGER,
    CHECKOUT,
    SEARCH,
    DATADOG,
    PAYMENTS,
    PAYMENTS_WORKER,
    REPORTS,
    SESSIONS,
    CATALOG,
    BILLING,
    LEGACY_EXPORT,
    STOREFRONT,
    NODE_EXPORTER,
    MAILER,
    IMAGE_BUILDER,
    MESH_GATEWAY,
    ORDERS,
];
