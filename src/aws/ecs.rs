//! The port `Ecs` on AWS: the SDK's client for credentials, signing, endpoints and retries, and raw JSON through it.
//!
//! Knows the operations by name only; what is in the documents is nobody's business here.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::config::{Builder, StalledStreamProtectionConfig};
use aws_sdk_ecs::operation as typed;
use aws_smithy_runtime_api::client::interceptors::context::Output;
use futures::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::Timeouts;
use super::connection::{one_attempt, write_timeouts};
use super::failure::Failure;
use super::prepared::{Draft, Prepared, Sent};
use super::served_at;
use super::wire::{LeaveThrottlingToTheBudget, RawAnswer, Wire, error_in, is_throttling};
use crate::ports::ServedClock;
use crate::ports::ecs::{Ecs, EcsError, Operation};

/// Amazon ECS of one account and region.
///
/// Guarantees: those of the port. Reads are tried up to three times by the SDK, once more where they were sent as prepared
/// before (`prepared`), but not after throttling, which is answered at once so that a budget can learn from it
/// ([`super::Budgeted`]); writes are sent once.
#[derive(Clone)]
pub struct AwsEcs {
    /// For operations that read.
    reading: Client,
    /// For those that write. A client of their own: settings that differ from call to call are put together anew for each.
    writing: Client,
    /// Reads as the SDK has prepared them, for those that come next.
    pub(super) prepared: Prepared,
    timeouts: Timeouts,
    clock: Option<Arc<ServedClock>>,
}

impl AwsEcs {
    pub(super) fn new(config: &SdkConfig, timeouts: Timeouts) -> Self {
        // What stalls is ended by the timeout of its attempt, which is shorter than what the SDK would watch it for.
        let settings = Builder::from(config)
            .retry_classifier(LeaveThrottlingToTheBudget)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        let writing = settings.clone().retry_config(one_attempt()).timeout_config(write_timeouts(&timeouts));
        let (reading, writing) = (Client::from_conf(settings.build()), Client::from_conf(writing.build()));
        Self { reading, writing, prepared: Prepared::default(), timeouts, clock: None }
    }

    /// Tells this clock what time it is, with every answer.
    #[must_use]
    pub fn setting(self, clock: Arc<ServedClock>) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// Sends `wire`'s bytes as `operation`, and takes down in `draft` what it signs. The SDK's own reading of the answer does
    /// not matter: it may fail on what is new to it.
    async fn send(&self, operation: Operation, wire: &Wire, draft: Option<Draft>) -> Result<(), Failure> {
        let client = if operation.writes() { &self.writing } else { &self.reading };
        macro_rules! send {
            ($builder:ident, $output:ident) => {{
                let unread = wire.clone().unread(|| Output::erase(typed::$builder::$output::builder().build()));
                let call = client.$builder().customize().interceptor(unread);
                let call = match draft {
                    Some(draft) => call.interceptor(draft),
                    None => call,
                };
                call.send().await.map(drop).map_err(|error| Failure::unanswered(&error))
            }};
        }
        match operation {
            Operation::ListClusters => send!(list_clusters, ListClustersOutput),
            Operation::DescribeClusters => send!(describe_clusters, DescribeClustersOutput),
            Operation::DescribeCapacityProviders => send!(describe_capacity_providers, DescribeCapacityProvidersOutput),
            Operation::ListServices => send!(list_services, ListServicesOutput),
            Operation::DescribeServices => send!(describe_services, DescribeServicesOutput),
            Operation::DescribeTaskDefinition => send!(describe_task_definition, DescribeTaskDefinitionOutput),
            Operation::ListTaskDefinitions => send!(list_task_definitions, ListTaskDefinitionsOutput),
            Operation::ListTaskDefinitionFamilies => {
                send!(list_task_definition_families, ListTaskDefinitionFamiliesOutput)
            }
            Operation::ListTasks => send!(list_tasks, ListTasksOutput),
            Operation::DescribeTasks => send!(describe_tasks, DescribeTasksOutput),
            Operation::GetTaskProtection => send!(get_task_protection, GetTaskProtectionOutput),
            Operation::ListServiceDeployments => send!(list_service_deployments, ListServiceDeploymentsOutput),
            Operation::DescribeServiceDeployments => {
                send!(describe_service_deployments, DescribeServiceDeploymentsOutput)
            }
            Operation::DescribeServiceRevisions => send!(describe_service_revisions, DescribeServiceRevisionsOutput),
            Operation::RegisterTaskDefinition => send!(register_task_definition, RegisterTaskDefinitionOutput),
            Operation::DeregisterTaskDefinition => send!(deregister_task_definition, DeregisterTaskDefinitionOutput),
            Operation::UpdateService => send!(update_service, UpdateServiceOutput),
            Operation::StopServiceDeployment => send!(stop_service_deployment, StopServiceDeploymentOutput),
            Operation::UpdateClusterSettings => send!(update_cluster_settings, UpdateClusterSettingsOutput),
            Operation::UpdateCluster => send!(update_cluster, UpdateClusterOutput),
            Operation::TagResource => send!(tag_resource, TagResourceOutput),
            Operation::UntagResource => send!(untag_resource, UntagResourceOutput),
        }
    }
}

impl AwsEcs {
    /// As [`Ecs::call`], and whether anything came back at all: what is no usable answer may still be one.
    pub async fn ask(&self, operation: Operation, input: Value) -> (Result<Value, EcsError>, bool) {
        self.ask_for(operation, input, &|body| object(operation, &body)).await
    }

    async fn ask_for<T>(
        &self,
        operation: Operation,
        input: Value,
        of: &(dyn Fn(Vec<u8>) -> Result<T, EcsError> + Sync),
    ) -> (Result<T, EcsError>, bool) {
        let wire = Wire::new(input.to_string().into_bytes());
        let (answer, sent) = match operation.writes() {
            true => {
                let sent = self.send(operation, &wire, None).await;
                (wire.answer(), sent)
            }
            false => self.look(operation, &wire).await,
        };
        let came_back = answer.is_some();
        let result = match (answer, sent) {
            (Some(answer), _) => {
                let date = answer.date.as_deref().and_then(served_at::read);
                let read = read(operation, answer).and_then(of);
                // What a proxy, or a portal, answers is no time of ECS's.
                let date = date.filter(|_| read.is_ok());
                if let (Some(clock), Some(date)) = (&self.clock, date) {
                    clock.hears(date);
                }
                read
            }
            (None, Ok(())) => Err(no_answer(operation, "the answer could not be kept".to_owned())),
            (None, Err(failure)) => Err(unanswered(operation, &failure, wire.sent())),
        };
        (result, came_back)
    }

    /// Sends a call that reads: as it is prepared, and by the SDK where that gave no answer; all of it within [`Timeouts::read`].
    async fn look(&self, operation: Operation, wire: &Wire) -> (Option<RawAnswer>, Result<(), Failure>) {
        let deadline = Instant::now() + self.timeouts.read;
        let ask = match self.prepared.ask(operation, wire.request(), self.timeouts.read_attempt).await {
            Sent::Answered(answer) => return (Some(answer), Ok(())),
            Sent::Not(ask) => ask,
        };
        let late = || Failure::Lost { message: format!("no answer within {:?}", self.timeouts.read) };
        let send = self.send(operation, wire, Some(ask.draft()));
        let sent = match ask.is_second {
            true => tokio::time::timeout_at(deadline, send).await.unwrap_or_else(|_| Err(late())),
            // The SDK keeps to it by itself.
            false => send.await,
        };
        let answer = wire.answer();
        if answer.as_ref().is_some_and(|answer| (200..300).contains(&answer.status)) {
            self.prepared.keep(operation, ask);
        }
        (answer, sent)
    }
}

impl Ecs for AwsEcs {
    fn call<'a>(&'a self, operation: Operation, input: Value) -> BoxFuture<'a, Result<Value, EcsError>> {
        Box::pin(async move { self.ask(operation, input).await.0 })
    }

    fn text<'a>(&'a self, operation: Operation, input: Value, _: u32) -> BoxFuture<'a, Result<Vec<u8>, EcsError>> {
        Box::pin(async move { self.ask_for(operation, input, &|body| begun_as_object(operation, body)).await.0 })
    }
}

/// An object, or it is not an answer of awsJson: a portal's page, a truncated body.
fn object(operation: Operation, body: &[u8]) -> Result<Value, EcsError> {
    serde_json::from_slice::<Map<String, Value>>(body)
        .map(Value::Object)
        .map_err(|error| no_answer(operation, format!("an answer that is no JSON object: {error}")))
}

/// The same, of one that is read later, if ever.
fn begun_as_object(operation: Operation, body: Vec<u8>) -> Result<Vec<u8>, EcsError> {
    if body.trim_ascii_start().starts_with(b"{") {
        return Ok(body);
    }
    Err(no_answer(operation, "an answer that is no JSON object".to_owned()))
}

/// What ECS, or something on the way to it, answered.
fn read(operation: Operation, answer: RawAnswer) -> Result<Vec<u8>, EcsError> {
    let status = answer.status;
    if (200..300).contains(&status) {
        return Ok(answer.body);
    }
    let (code, message) = error_in(answer.error_type.as_deref(), &answer.body);
    let message = message.unwrap_or_else(|| format!("HTTP {status}"));
    match code {
        None if status == 500 && may_be_lacking(operation) && is_a_page(&answer.body) => {
            Err(EcsError::Refused { operation, code: "NotImplemented".to_owned(), message })
        }
        _ if !(400..500).contains(&status) => {
            let code = code.unwrap_or_else(|| format!("HTTP {status}"));
            Err(no_answer(operation, format!("{code}: {message}")))
        }
        Some(code) if is_throttling(&code) => Err(EcsError::Throttled { operation, message }),
        None if status == 429 => Err(EcsError::Throttled { operation, message }),
        code => {
            let code = code.unwrap_or_else(|| format!("HTTP {status}"));
            Err(EcsError::Refused { operation, code, message })
        }
    }
}

/// What ECS has had since 2024-10-25 only, and not every server that speaks its protocol has. Whoever lists nothing is asked
/// for nothing that it lists.
///
/// moto (5.2, `BaseResponse.call_action`) answers what it lacks with the page of a fault and HTTP 500. ECS's own faults are JSON
/// and name their type. A proxy that answers with such a page, and does so again when the SDK repeats the call, is taken for it.
const fn may_be_lacking(operation: Operation) -> bool {
    matches!(operation, Operation::ListServiceDeployments)
}

fn is_a_page(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

/// No answer came. It counts as not sent only where that is certain.
fn unanswered(operation: Operation, failure: &Failure, sent: bool) -> EcsError {
    let message = failure.message().to_owned();
    match failure {
        Failure::NoCredentials { .. } | Failure::Unreachable { .. } | Failure::NotSent { .. } => {
            EcsError::NotSent { operation, message }
        }
        Failure::Lost { .. } | Failure::Answered { .. } if !sent => EcsError::NotSent { operation, message },
        Failure::Lost { .. } | Failure::Answered { .. } => no_answer(operation, message),
    }
}

fn no_answer(operation: Operation, message: String) -> EcsError {
    EcsError::NoAnswer { operation, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATION: Operation = Operation::UpdateService;

    fn answer(status: u16, body: &str) -> Result<Value, EcsError> {
        let answer = RawAnswer { status, error_type: None, date: None, body: body.as_bytes().to_vec() };
        read(OPERATION, answer).and_then(|body| object(OPERATION, &body))
    }

    fn refused(code: &str, message: &str) -> Result<Value, EcsError> {
        Err(EcsError::Refused { operation: OPERATION, code: code.to_owned(), message: message.to_owned() })
    }

    #[test]
    fn an_answer_is_what_its_status_and_code_say() {
        assert_eq!(answer(200, r#"{"a":""}"#), Ok(serde_json::json!({ "a": "" })));
        let missing = r#"{"__type":"com.amazonaws.ecs#ServiceNotFoundException","message":"Service not found."}"#;
        assert_eq!(answer(400, missing), refused("ServiceNotFoundException", "Service not found."));
        assert_eq!(answer(403, "<html>"), refused("HTTP 403", "HTTP 403"));
        let throttled = r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#;
        let message = "Rate exceeded".to_owned();
        assert_eq!(answer(400, throttled), Err(EcsError::Throttled { operation: OPERATION, message }));
        let quota = r#"{"__type":"LimitExceededException","message":"too many"}"#;
        assert_eq!(answer(400, quota), refused("LimitExceededException", "too many"));
    }

    #[test]
    fn what_is_no_answer_leaves_the_outcome_unknown() {
        for (status, body) in [
            (200, ""),
            (200, "<html>sign in</html>"),
            (200, "[]"),
            (200, r#"{"service":"#),
            (302, ""),
            (500, r#"{"__type":"ServerException","message":"sorry"}"#),
            (503, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#),
        ] {
            let error = answer(status, body).unwrap_err();
            assert!(matches!(error, EcsError::NoAnswer { .. }), "{status} {body}: {error}");
        }
    }

    #[test]
    fn a_server_that_lacks_the_records_of_deployments_is_told_from_one_with_a_fault() {
        let answer = |operation, status, body: &str| {
            let answer = RawAnswer { status, error_type: None, date: None, body: body.as_bytes().to_vec() };
            read(operation, answer).unwrap_err()
        };
        let page = "<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>";
        let list = Operation::ListServiceDeployments;
        assert!(answer(list, 500, page).lacks_the_operation());
        for (status, body) in [
            (500, r#"{"__type":"ServerException","message":"sorry"}"#),
            (500, r#"{"__type":"ServerExc"#),
            (500, ""),
            (502, page),
            (503, page),
            (400, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#),
        ] {
            assert!(!answer(list, status, body).lacks_the_operation(), "{status} {body}");
        }
        // Where they could be listed, the server has them.
        for other in
            [Operation::DescribeServiceDeployments, Operation::DescribeServiceRevisions, Operation::DescribeServices]
        {
            assert!(!answer(other, 500, page).lacks_the_operation(), "{other:?}");
        }
    }

    #[test]
    fn what_begins_as_an_object_is_handed_on_as_it_is() {
        let text = |body: &str| begun_as_object(OPERATION, body.as_bytes().to_vec());
        assert_eq!(text(" { \"a\" :1}"), Ok(b" { \"a\" :1}".to_vec()));
        for other in ["", "<html>sign in</html>", "[]"] {
            assert!(matches!(text(other), Err(EcsError::NoAnswer { .. })), "{other}");
        }
    }

    #[test]
    fn a_call_counts_as_not_sent_only_where_that_is_certain() {
        let message = String::new;
        let lost = Failure::Lost { message: message() };
        for (failure, sent, not_sent) in [
            (Failure::NoCredentials { configured: true, message: message() }, false, true),
            (Failure::Unreachable { message: message() }, true, true),
            (Failure::NotSent { message: message() }, false, true),
            (lost.clone(), false, true),
            (lost, true, false),
        ] {
            let error = unanswered(OPERATION, &failure, sent);
            assert_eq!(matches!(error, EcsError::NotSent { .. }), not_sent, "{failure:?}, sent: {sent}");
        }
    }
}
