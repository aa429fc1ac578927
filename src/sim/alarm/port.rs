//! The world behind `ports::Alarms`, in process, with trouble on demand.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::super::error::SimError;
use super::super::world::World;
use crate::model::spec::TaggedAlarms;
use crate::model::{Alarm, AlarmState, Timestamp};
use crate::ports::{Alarms, AlarmsError, Clock};

const DESCRIBE_ALARMS: &str = "cloudwatch:DescribeAlarms";
const GET_RESOURCES: &str = "tag:GetResources";

/// The simulated CloudWatch, in process. A call takes no time of its clock.
///
/// Guarantees: those of [`Alarms`].
pub struct SimAlarms {
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
    calls: AtomicUsize,
    trouble: Mutex<Option<AlarmsError>>,
}

impl SimAlarms {
    pub(in crate::sim) fn new(world: Arc<Mutex<World>>, clock: Arc<dyn Clock>) -> Self {
        Self { world, clock, calls: AtomicUsize::new(0), trouble: Mutex::default() }
    }

    /// From now on every call is answered so; `None`: as it should be.
    pub fn set_trouble(&self, trouble: Option<AlarmsError>) {
        *lock(&self.trouble) = trouble;
    }

    /// How many calls were made so far.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Everything that `operation` answers in `member`, page by page.
    fn pages(
        &self,
        (operation, action): (&str, &'static str),
        input: Value,
        members: &[&str],
        (ask, told): (&str, &str),
    ) -> Result<Vec<Value>, AlarmsError> {
        let mut all = Vec::new();
        let Value::Object(mut input) = input else { return Ok(all) };
        loop {
            self.calls.fetch_add(1, Ordering::Relaxed);
            if let Some(trouble) = lock(&self.trouble).clone() {
                return Err(trouble);
            }
            let answer = lock(&self.world).call(self.clock.now(), operation, &Value::Object(input.clone()));
            let answer = answer.map_err(|error| failed(action, error))?;
            for member in members {
                all.extend(answer.get(member).and_then(Value::as_array).cloned().unwrap_or_default());
            }
            match answer.get(told).and_then(Value::as_str).filter(|token| !token.is_empty()) {
                Some(token) => drop(input.insert(ask.to_owned(), json!(token))),
                None => return Ok(all),
            }
        }
    }
}

fn failed(action: &'static str, error: SimError) -> AlarmsError {
    let SimError { code, message, .. } = error;
    match code {
        "ThrottlingException" => AlarmsError::Throttled { action, message },
        _ => AlarmsError::NoAnswer { action, message: format!("{code}: {message}") },
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Alarms for SimAlarms {
    fn tagged<'a>(&'a self, tags: &'a TaggedAlarms) -> BoxFuture<'a, Result<BTreeSet<String>, AlarmsError>> {
        Box::pin(async move {
            let filter = |(key, values): (&String, &crate::model::spec::TagValues)| json!({ "Key": key, "Values": values.values() });
            let filters: Vec<Value> = tags.tags.iter().map(filter).collect();
            let input =
                json!({ "ResourceTypeFilters": ["cloudwatch:alarm"], "TagFilters": filters, "ResourcesPerPage": 100 });
            let found = self.pages(
                ("GetResources", GET_RESOURCES),
                input,
                &["ResourceTagMappingList"],
                ("PaginationToken", "PaginationToken"),
            )?;
            let name = |found: &Value| found.get("ResourceARN")?.as_str()?.splitn(7, ':').nth(6).map(str::to_owned);
            Ok(found.iter().filter_map(name).collect())
        })
    }

    fn states<'a>(&'a self, names: &'a BTreeSet<String>) -> BoxFuture<'a, Result<Vec<Alarm>, AlarmsError>> {
        Box::pin(async move {
            let mut all = Vec::new();
            let names: Vec<&String> = names.iter().collect();
            for batch in names.chunks(100) {
                let types = ["MetricAlarm", "CompositeAlarm"];
                let input = json!({ "AlarmNames": batch, "AlarmTypes": types, "MaxRecords": 100 });
                let members = ["MetricAlarms", "CompositeAlarms"];
                let operation = ("DescribeAlarms", DESCRIBE_ALARMS);
                all.extend(self.pages(operation, input, &members, ("NextToken", "NextToken"))?);
            }
            all.iter().map(read).collect()
        })
    }
}

fn read(alarm: &Value) -> Result<Alarm, AlarmsError> {
    let text = |name: &str| alarm.get(name).and_then(Value::as_str).unwrap_or_default();
    let state = match text("StateValue") {
        "OK" => AlarmState::Ok,
        "ALARM" => AlarmState::Alarm,
        "INSUFFICIENT_DATA" => AlarmState::InsufficientData,
        other => {
            let message = format!("`{other}` is no state of an alarm");
            return Err(AlarmsError::NoAnswer { action: DESCRIBE_ALARMS, message });
        }
    };
    let since = alarm.get("StateTransitionedTimestamp").and_then(Value::as_f64);
    Ok(Alarm { name: text("AlarmName").to_owned(), state, since: since.map(Timestamp::from_epoch_seconds) })
}

impl std::fmt::Debug for SimAlarms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimAlarms").field("calls", &self.calls()).finish_non_exhaustive()
    }
}
