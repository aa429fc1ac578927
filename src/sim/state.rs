//! Everything that is, and what is going to happen by itself, in order. Does not know who asks, nor any clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::alarm::Alarm;
use super::capacity::Provider;
use super::cluster::Cluster;
use super::config::WorldConfig;
use super::error::SimError;
use super::images::Images;
use super::input::Input;
use super::misbehaviour::Misbehaviour;
use super::service::Service;
use super::task_definition::Family;
use crate::model::Timestamp;

/// What happens by itself at its time.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    /// The service scheduler looks at a service.
    Settle { cluster: String, service: String },
    /// A task reaches its next milestone.
    Task { cluster: String, task: String },
    /// A stopped task can no longer be described.
    Forget { cluster: String, task: String },
    /// CloudWatch evaluates a new alarm for the first time.
    Evaluate { alarm: String },
    /// A call arrives: of somebody else, or one that was on its way for long. Nobody reads the answer.
    Call { operation: String, input: Value },
}

/// One account and Region.
///
/// INVARIANT: between calls, every event at or before `now` has happened. Events happen one by one in the order of their
/// times, each at its own time, so the state at a time does not depend on how often somebody looked before.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) config: Arc<WorldConfig>,
    pub(super) now: Timestamp,
    events: BTreeMap<(Timestamp, u64), Event>,
    sequence: u64,
    pub(super) clusters: BTreeMap<String, Cluster>,
    pub(super) families: BTreeMap<String, Family>,
    /// The account's own; AWS's are always there.
    pub(super) capacity_providers: BTreeMap<String, Provider>,
    pub(super) images: Images,
    pub(super) misbehaviours: Vec<Misbehaviour>,
    /// CloudWatch's alarms, by name.
    pub(super) alarms: BTreeMap<String, Alarm>,
}

impl State {
    pub(super) fn new(config: Arc<WorldConfig>, now: Timestamp) -> Self {
        Self {
            config,
            now,
            events: BTreeMap::new(),
            sequence: 0,
            clusters: BTreeMap::new(),
            families: BTreeMap::new(),
            capacity_providers: BTreeMap::new(),
            images: Images::default(),
            misbehaviours: Vec::new(),
            alarms: BTreeMap::new(),
        }
    }

    /// Lets everything happen that happens until `until`, which then is now. Time does not go back.
    pub(super) fn advance(&mut self, until: Timestamp) {
        while let Some(entry) = self.events.first_entry() {
            let (at, _) = *entry.key();
            if at > until {
                break;
            }
            let event = entry.remove();
            self.now = self.now.max(at);
            self.happen(event);
        }
        self.now = self.now.max(until);
    }

    /// When the next thing happens by itself.
    pub(super) fn next_event(&self) -> Option<Timestamp> {
        self.events.keys().next().map(|(at, _)| *at)
    }

    pub(super) fn schedule(&mut self, at: Timestamp, event: Event) {
        self.sequence += 1;
        self.events.insert((at.max(self.now), self.sequence), event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Settle { cluster, service } => self.settle(&cluster, &service),
            Event::Task { cluster, task } => self.step_task(&cluster, &task),
            Event::Forget { cluster, task } => self.forget_task(&cluster, &task),
            Event::Evaluate { alarm } => self.evaluate_alarm(&alarm),
            // Whoever sent it is not there any more to hear the answer.
            Event::Call { operation, input } => drop(self.call(&operation, &input)),
        }
    }

    /// Asks the service scheduler to look at `service` soon, unless it will sooner anyway.
    pub(super) fn settle_soon(&mut self, service: &mut Service) {
        let delay = self.config.pace.scheduler;
        let at = self.now + service.random.between((delay.0, delay.1));
        self.settle_at(service, at);
    }

    pub(super) fn settle_at(&mut self, service: &mut Service, at: Timestamp) {
        if service.settle_at.is_none_or(|planned| planned > at) {
            service.settle_at = Some(at);
            let event = Event::Settle { cluster: service.cluster.clone(), service: service.name.clone() };
            self.schedule(at, event);
        }
    }

    /// Runs `act` on a service with the rest of the world at hand: the service is taken out meanwhile.
    pub(super) fn with_service<T>(
        &mut self,
        cluster: &str,
        service: &str,
        act: impl FnOnce(&mut Self, &mut Service) -> T,
    ) -> Option<T> {
        let mut taken = self.clusters.get_mut(cluster)?.services.remove(service)?;
        let result = act(self, &mut taken);
        if let Some(home) = self.clusters.get_mut(cluster) {
            home.services.insert(service.to_owned(), taken);
        }
        Some(result)
    }

    /// One call, here and now.
    ///
    /// # Errors
    /// ECS's own refusals.
    pub(super) fn call(&mut self, operation: &str, input: &Value) -> Result<Value, SimError> {
        let input = Input::parse(operation, input, self.config.strict)?;
        match operation {
            "CreateCluster" => self.create_cluster(&input),
            "DeleteCluster" => self.delete_cluster(&input),
            "UpdateCluster" => self.update_cluster(&input),
            "UpdateClusterSettings" => self.update_cluster_settings(&input),
            "CreateCapacityProvider" => self.create_capacity_provider(&input),
            "CreateTaskSet" => self.create_task_set(&input),
            "CreateService" => self.create_service(&input),
            "UpdateService" => self.update_service(&input),
            "DeleteService" => self.delete_service(&input),
            "RegisterTaskDefinition" => self.register_task_definition(&input),
            "DeregisterTaskDefinition" => self.deregister_task_definition(&input),
            "DeleteTaskDefinitions" => self.delete_task_definitions(&input),
            "StopServiceDeployment" => self.stop_service_deployment(&input),
            "ContinueServiceDeployment" => self.continue_service_deployment(&input),
            "TagResource" => self.tag_resource(&input),
            "UntagResource" => self.untag_resource(&input),
            "RunTask" => self.run_task(&input),
            "StopTask" => self.stop_task_call(&input),
            "UpdateTaskProtection" => self.update_task_protection(&input),
            "PutMetricAlarm" => self.put_metric_alarm(&input),
            "PutCompositeAlarm" => self.put_composite_alarm(&input),
            "SetAlarmState" => self.set_alarm_state(&input),
            "DeleteAlarms" => self.delete_alarms(&input),
            _ => self.read(operation, &input),
        }
    }

    /// The calls that change nothing, and draw nothing: asking more often gives no other world.
    fn read(&self, operation: &str, input: &Input<'_>) -> Result<Value, SimError> {
        match operation {
            "ListClusters" => self.list_clusters(input),
            "DescribeClusters" => self.describe_clusters(input),
            "DescribeCapacityProviders" => self.describe_capacity_providers(input),
            "ListServices" => self.list_services(input),
            "DescribeServices" => self.describe_services(input),
            "ListTaskDefinitions" => self.list_task_definitions(input),
            "ListTaskDefinitionFamilies" => self.list_task_definition_families(input),
            "DescribeTaskDefinition" => self.describe_task_definition(input),
            "ListTasks" => self.list_tasks(input),
            "DescribeTasks" => self.describe_tasks(input),
            "GetTaskProtection" => self.get_task_protection(input),
            "ListServiceDeployments" => self.list_service_deployments(input),
            "DescribeServiceDeployments" => self.describe_service_deployments(input),
            "DescribeServiceRevisions" => self.describe_service_revisions(input),
            "ListTagsForResource" => self.list_tags_for_resource(input),
            "DescribeAlarms" => self.describe_alarms(input),
            "GetResources" => self.get_resources(input),
            _ => {
                Err(SimError::new("UnknownOperationException", format!("The simulator has no operation {operation}.")))
            }
        }
    }
}

/// Whether `operation` changes nothing.
pub(super) fn is_read(operation: &str) -> bool {
    ["Describe", "List", "Get"].iter().any(|verb| operation.starts_with(verb))
}

/// A point in time as awsJson 1.1 writes it: seconds since the epoch.
pub(super) fn epoch(at: Timestamp) -> Value {
    Value::from(at.as_epoch_seconds())
}
