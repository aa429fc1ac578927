//! The connection to AWS: region, credentials, timeouts, as the SDK itself resolves them.
//!
//! Reads the environment, profiles, container and instance metadata only through the SDK, so that whatever works for
//! the AWS command line works here: `AWS_PROFILE`, `AWS_REGION`, `AWS_ENDPOINT_URL[_ECS|_DYNAMODB|_STS|_CLOUDWATCH|…]`, roles,
//! single sign-on.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

use super::failure::Failure;
use super::served_at::ServedAt;
use super::{AwsEcs, AwsError, CloudWatchAlarms, DynamoStore, Share};
use crate::model::Timestamp;

/// The session name of roles we assume: what CloudTrail shows beside the role.
const SESSION_NAME: &str = "plimsoll";

/// Attempts of a call that only reads. A third one survives two faults in a row; more would only add load to a service
/// in trouble, and whoever called us comes back anyway.
const READ_ATTEMPTS: u32 = 3;

/// How long calls may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To make a connection, TLS included.
    pub connect: Duration,
    /// One attempt of a call that reads, credentials included.
    pub read_attempt: Duration,
    /// A call that reads, all its attempts and the pauses between them included.
    pub read: Duration,
    /// A call that writes: it has one attempt. A lease holder must not start one with less of the lease left.
    pub write: Duration,
}

impl Default for Timeouts {
    /// ECS answers within a second or two, large pages included; what takes ten seconds has been lost.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            read_attempt: Duration::from_secs(10),
            read: Duration::from_secs(30),
            write: Duration::from_secs(10),
        }
    }
}

/// A role to take on for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// What its trust policy may demand of us.
    pub external_id: Option<String>,
}

/// Who the credentials belong to, as AWS itself says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account's number.
    pub account: String,
    /// The caller's ARN.
    pub arn: String,
}

/// AWS in one region with one set of credentials. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connection {
    // INVARIANT: has a region.
    config: SdkConfig,
    region: String,
    timeouts: Timeouts,
}

impl Connection {
    /// The connection that the environment describes; `region` overrides it.
    ///
    /// Sends nothing to AWS: credentials are looked for with the first call.
    ///
    /// # Errors
    /// [`AwsError::NoRegion`].
    pub async fn from_environment(region: Option<&str>, timeouts: Timeouts) -> Result<Self, AwsError> {
        let mut loader = aws_config::defaults(behavior())
            .retry_config(RetryConfig::standard().with_max_attempts(READ_ATTEMPTS))
            .timeout_config(read_timeouts(&timeouts));
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        let config = loader.load().await;
        // Set to nothing, as scripts do, is not set.
        let named = config.region().map(|region| region.as_ref().to_owned());
        let region = named.filter(|region| !region.is_empty()).ok_or(AwsError::NoRegion)?;
        Ok(Self { config, region, timeouts })
    }

    /// A connection to something that answers like AWS at `endpoint` and takes any credentials: the simulator, or a
    /// server in a test. Reads nothing of the environment but the HTTP client's proxies (`NO_PROXY` counts too).
    #[must_use]
    pub fn to_endpoint(endpoint: &str, region: &str, timeouts: Timeouts) -> Self {
        let credentials = Credentials::new("local", "local", None, None, "plimsoll-local");
        let mut config = SdkConfig::builder();
        // The machine's clock. Clients have it by themselves; taking on a role panics without.
        config.set_time_source(Some(Default::default()));
        let config = config
            .behavior_version(behavior())
            .region(Region::new(region.to_owned()))
            .endpoint_url(endpoint)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(RetryConfig::standard().with_max_attempts(READ_ATTEMPTS))
            .timeout_config(read_timeouts(&timeouts))
            .build();
        Self { config, region: region.to_owned(), timeouts }
    }

    /// The same in another region, and with a role taken on where one is named.
    ///
    /// Sends nothing: the role is assumed with the first call, and anew before its credentials run out.
    pub async fn target(&self, region: &str, role: Option<&Role>) -> Self {
        let region_of_target = Region::new(region.to_owned());
        let mut config = self.config.clone().into_builder().region(region_of_target.clone()).build();
        if let Some(role) = role {
            let mut provider = AssumeRoleProvider::builder(&role.arn)
                .session_name(SESSION_NAME)
                .region(region_of_target)
                .configure(&self.config);
            if let Some(external_id) = &role.external_id {
                provider = provider.external_id(external_id);
            }
            let provider = SharedCredentialsProvider::new(provider.build().await);
            config = config.into_builder().credentials_provider(provider).build();
        }
        Self { config, region: region.to_owned(), timeouts: self.timeouts }
    }

    /// The region's name.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// How long calls may take.
    #[must_use]
    pub const fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// ECS in this region. Each call makes a client with connections of its own: make one and share it.
    #[must_use]
    pub fn ecs(&self) -> AwsEcs {
        AwsEcs::new(&self.config, self.timeouts)
    }

    /// The CloudWatch alarms of this region, within `share` of what AWS lets an account ask. As with [`ecs`](Self::ecs):
    /// make one and share it, within a tokio runtime. Sends nothing.
    #[must_use]
    pub fn alarms(&self, share: Share) -> CloudWatchAlarms {
        CloudWatchAlarms::new(&self.config, share)
    }

    /// The DynamoDB table `table` in this region as a store. Sends nothing.
    #[must_use]
    pub fn store(&self, table: &str) -> DynamoStore {
        DynamoStore::new(&self.config, &self.region, table, self.timeouts)
    }

    /// Asks AWS whose credentials these are (STS GetCallerIdentity, which no policy can deny).
    ///
    /// # Errors
    /// Any [`AwsError`] but `NoRegion`.
    pub async fn identity(&self) -> Result<Identity, AwsError> {
        self.identity_and_time().await.0
    }

    /// The same, and what time AWS answered: to the second, none without an answer. A clock that is minutes off is a
    /// reason for a refusal, whose time is told too.
    pub async fn identity_and_time(&self) -> (Result<Identity, AwsError>, Option<Timestamp>) {
        let served_at = ServedAt::default();
        (self.ask_who(&served_at).await, served_at.time())
    }

    async fn ask_who(&self, served_at: &ServedAt) -> Result<Identity, AwsError> {
        let answer = aws_sdk_sts::Client::new(&self.config)
            .get_caller_identity()
            .customize()
            .interceptor(served_at.clone())
            .send()
            .await
            .map_err(|error| AwsError::from(Failure::of(&error)))?;
        match (answer.account, answer.arn) {
            (Some(account), Some(arn)) => Ok(Identity { account, arn }),
            _ => Err(AwsError::NoAnswer { message: "GetCallerIdentity names no account".to_owned() }),
        }
    }
}

/// What the SDK does by default, as of a date: an update of the SDK must not change it behind our back.
fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

fn read_timeouts(timeouts: &Timeouts) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(timeouts.connect)
        .operation_attempt_timeout(timeouts.read_attempt)
        .operation_timeout(timeouts.read)
        .build()
}

/// The timeouts of a call that writes.
pub(super) fn write_timeouts(timeouts: &Timeouts) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(timeouts.connect)
        .operation_attempt_timeout(timeouts.write)
        .operation_timeout(timeouts.write)
        .build()
}

/// The retries of a call that writes: none.
pub(super) fn one_attempt() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(1)
}
