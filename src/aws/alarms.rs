//! The port `Alarms` on AWS: CloudWatch's DescribeAlarms, and GetResources of the Resource Groups Tagging API, which is
//! the only call that finds alarms by their tags (DescribeAlarms shows none, and ListTagsForResource is one call for each
//! alarm).
//!
//! Typed, other than ECS: nothing of an alarm is ever written back. Knows nothing of what alarms mean.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{AlarmType, StateValue};
use aws_sdk_resourcegroupstagging::types::TagFilter;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::error::{Denial, kind_of_denial};
use super::failure::Failure;
use super::throttle::{Gate, Share};
use super::wire::is_throttling;
use crate::model::spec::TaggedAlarms;
use crate::model::{Alarm, AlarmState, Timestamp};
use crate::ports::{Alarms, AlarmsError};

/// "Rate of DescribeAlarms requests: 9 per second" (Amazon CloudWatch User Guide, "CloudWatch service quotas").
const DESCRIBE_ALARMS_A_SECOND: u32 = 9;

/// AWS does not publish GetResources's rate. A look at one strategy makes one call for each of its selectors by tags;
/// this is enough for dozens of strategies, and throttling is learnt from.
const GET_RESOURCES_A_SECOND: u32 = 5;

/// `AlarmNames` and `MaxRecords` take at most as many (botocore cloudwatch/2010-08-01, DescribeAlarmsInput).
const NAMES_A_CALL: usize = 100;

/// More pages than that are no fleet's alarms, but an answer that does not end.
const MOST_PAGES: usize = 100;

const DESCRIBE_ALARMS: &str = "cloudwatch:DescribeAlarms";
const GET_RESOURCES: &str = "tag:GetResources";

/// The CloudWatch alarms of one account and region.
///
/// Guarantees: those of the port. Calls are tried up to three times by the SDK; throttling that outlasts that slows down
/// the calls after it.
pub struct CloudWatchAlarms {
    cloudwatch: aws_sdk_cloudwatch::Client,
    tagging: aws_sdk_resourcegroupstagging::Client,
    describing: Gate,
    tagged: Gate,
}

impl CloudWatchAlarms {
    pub(super) fn new(config: &SdkConfig, share: Share) -> Self {
        let now = Instant::now();
        let gate = |rate| Gate::new(share, rate, rate, now);
        Self {
            cloudwatch: aws_sdk_cloudwatch::Client::new(config),
            tagging: aws_sdk_resourcegroupstagging::Client::new(config),
            describing: gate(DESCRIBE_ALARMS_A_SECOND),
            tagged: gate(GET_RESOURCES_A_SECOND),
        }
    }

    async fn describe(&self, names: &[String]) -> Result<Vec<Alarm>, AlarmsError> {
        let mut found = Vec::new();
        let mut token = None;
        for _ in 0..MOST_PAGES {
            self.describing.pass().await;
            let answer = self
                .cloudwatch
                .describe_alarms()
                .set_alarm_names(Some(names.to_vec()))
                // Without types only metric alarms are answered.
                .alarm_types(AlarmType::MetricAlarm)
                .alarm_types(AlarmType::CompositeAlarm)
                .alarm_types(AlarmType::LogAlarm)
                .max_records(100)
                .set_next_token(token)
                .send()
                .await;
            let page = learn(&self.describing, DESCRIBE_ALARMS, answer.map_err(|error| Failure::of(&error)))?;
            macro_rules! read {
                ($alarms:expr) => {
                    for alarm in $alarms {
                        let since = alarm.state_transitioned_timestamp().or(alarm.state_updated_timestamp());
                        found.push(read(alarm.alarm_name(), alarm.state_value(), since)?);
                    }
                };
            }
            read!(page.metric_alarms());
            read!(page.composite_alarms());
            read!(page.log_alarms());
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(found);
            }
        }
        Err(endless(DESCRIBE_ALARMS))
    }

    async fn resources(&self, chosen: &TaggedAlarms) -> Result<BTreeSet<String>, AlarmsError> {
        let filter = |(key, values): (&String, &crate::model::spec::TagValues)| {
            TagFilter::builder().key(key).set_values(Some(values.values().to_vec())).build()
        };
        let filters: Vec<TagFilter> = chosen.tags.iter().map(filter).collect();
        let mut names = BTreeSet::new();
        let mut token = None;
        for _ in 0..MOST_PAGES {
            self.tagged.pass().await;
            let answer = self
                .tagging
                .get_resources()
                .resource_type_filters("cloudwatch:alarm")
                .set_tag_filters(Some(filters.clone()))
                .resources_per_page(100)
                .set_pagination_token(token)
                .send()
                .await;
            let page = learn(&self.tagged, GET_RESOURCES, answer.map_err(|error| Failure::of(&error)))?;
            for resource in page.resource_tag_mapping_list() {
                let arn = resource.resource_arn().unwrap_or_default();
                let name = alarm_name(arn).ok_or_else(|| no_answer(GET_RESOURCES, format!("`{arn}` is no alarm")))?;
                names.insert(name.to_owned());
            }
            // The last page's token is empty, not absent.
            token = page.pagination_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(names);
            }
        }
        Err(endless(GET_RESOURCES))
    }
}

impl Alarms for CloudWatchAlarms {
    fn tagged<'a>(&'a self, tags: &'a TaggedAlarms) -> BoxFuture<'a, Result<BTreeSet<String>, AlarmsError>> {
        Box::pin(self.resources(tags))
    }

    fn states<'a>(&'a self, names: &'a BTreeSet<String>) -> BoxFuture<'a, Result<Vec<Alarm>, AlarmsError>> {
        Box::pin(async move {
            let names: Vec<String> = names.iter().cloned().collect();
            let mut found = Vec::new();
            for batch in names.chunks(NAMES_A_CALL) {
                found.extend(self.describe(batch).await?);
            }
            Ok(found)
        })
    }
}

impl std::fmt::Debug for CloudWatchAlarms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CloudWatchAlarms").finish_non_exhaustive()
    }
}

/// What a call came to, for the budget and for the caller.
fn learn<T>(gate: &Gate, action: &'static str, answer: Result<T, Failure>) -> Result<T, AlarmsError> {
    let answer = answer.map_err(|failure| failed(action, failure));
    match &answer {
        Ok(_) | Err(AlarmsError::Denied { .. }) => gate.succeeded(),
        Err(AlarmsError::Throttled { .. }) => gate.throttled(action),
        Err(AlarmsError::NoAnswer { .. }) => {}
    }
    answer
}

fn failed(action: &'static str, failure: Failure) -> AlarmsError {
    match failure {
        Failure::Answered { status, code, message } => {
            let code = code.unwrap_or_else(|| format!("HTTP {status}"));
            if is_throttling(&code) || status == 429 {
                return AlarmsError::Throttled { action, message };
            }
            match kind_of_denial(&code) {
                Some(Denial::NotPermitted) => AlarmsError::Denied { action, message },
                Some(Denial::Expired | Denial::Rejected) | None => no_answer(action, format!("{code}: {message}")),
            }
        }
        Failure::NoCredentials { message, .. }
        | Failure::Unreachable { message }
        | Failure::NotSent { message }
        | Failure::Lost { message } => no_answer(action, message),
    }
}

fn no_answer(action: &'static str, message: String) -> AlarmsError {
    AlarmsError::NoAnswer { action, message }
}

fn endless(action: &'static str) -> AlarmsError {
    no_answer(action, format!("the answer has more than {MOST_PAGES} pages"))
}

fn read(name: Option<&str>, state: Option<&StateValue>, since: Option<&DateTime>) -> Result<Alarm, AlarmsError> {
    let name = name.ok_or_else(|| no_answer(DESCRIBE_ALARMS, "an alarm has no name".to_owned()))?.to_owned();
    let state = match state {
        Some(StateValue::Ok) => AlarmState::Ok,
        Some(StateValue::Alarm) => AlarmState::Alarm,
        Some(StateValue::InsufficientData) => AlarmState::InsufficientData,
        other => {
            let state = other.map_or("none", StateValue::as_str);
            return Err(no_answer(DESCRIBE_ALARMS, format!("alarm `{name}` is in state `{state}`")));
        }
    };
    let since = since.map(|since| Timestamp::from_epoch_seconds(since.as_secs_f64()));
    Ok(Alarm { name, state, since })
}

/// `arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME`. A name may have colons in it.
fn alarm_name(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(7, ':');
    let is_alarm = parts.next() == Some("arn") && parts.nth(1) == Some("cloudwatch") && parts.nth(2) == Some("alarm");
    parts.next().filter(|name| is_alarm && !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarms_name_is_all_that_follows_in_its_arn() {
        let arn = |rest: &str| format!("arn:aws-us-gov:cloudwatch:us-gov-west-1:1:{rest}");
        assert_eq!(alarm_name(&arn("alarm:payments 5xx: high")), Some("payments 5xx: high"));
        for other in ["alarm:", "insight-rule/a", "dashboard:a"] {
            assert_eq!(alarm_name(&arn(other)), None, "{other}");
        }
        assert_eq!(alarm_name("arn:aws:ecs:eu-west-1:1:alarm:a"), None);
    }

    #[test]
    fn a_refusal_is_told_by_what_can_be_done_about_it() {
        let answered = |status, code: &str| {
            let failure = Failure::Answered { status, code: Some(code.to_owned()), message: "so it is".to_owned() };
            failed(DESCRIBE_ALARMS, failure)
        };
        let denied = answered(403, "AccessDenied");
        assert_eq!(
            denied.reason().to_string(),
            "AccessDenied: the alarms could not be read: access denied: grant `cloudwatch:DescribeAlarms` to the \
             controller's role: so it is"
        );
        assert!(matches!(answered(400, "Throttling"), AlarmsError::Throttled { .. }));
        for (status, code) in [(403, "ExpiredToken"), (404, "HTTP 404"), (500, "InternalFailure")] {
            assert!(matches!(answered(status, code), AlarmsError::NoAnswer { .. }), "{code}");
        }
    }

    #[test]
    fn a_state_that_is_not_known_is_none_that_is() {
        let alarm = |state: Option<StateValue>| read(Some("a"), state.as_ref(), None).map(|alarm| alarm.state);
        assert_eq!(alarm(Some(StateValue::Ok)), Ok(AlarmState::Ok));
        assert!(alarm(Some(StateValue::from("MUTED"))).is_err());
        assert!(alarm(None).is_err());
    }
}
