//! Clusters: what is in them, their settings and their container instances. Does not know how services behave.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::error::SimError;
use super::input::{Input, Line, page};
use super::names;
use super::random::Random;
use super::service::{self, Service};
use super::state::State;
use super::tags::Tags;
use super::task::{Instance, Task};

#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) settings: Vec<Value>,
    configuration: Option<Value>,
    connect: Option<Value>,
    capacity_providers: Value,
    pub(super) default_strategy: Value,
    pub(super) tags: Tags,
    /// Its container instances, for what does not run on Fargate.
    pub(super) instances: Vec<Instance>,
    pub(super) services: BTreeMap<String, Service>,
    /// Tasks that no service started.
    pub(super) standalone: BTreeMap<String, Task>,
    /// The service of each task that can be described; `None` for a standalone one.
    pub(super) owners: BTreeMap<String, Option<String>>,
    pub(super) random: Random,
}

impl Cluster {
    pub(super) fn task(&self, id: &str) -> Option<&Task> {
        match self.owners.get(id)? {
            None => self.standalone.get(id),
            Some(service) => self.services.get(service)?.tasks.get(id),
        }
    }

    /// The service that a task belongs to; none for a standalone one, or one that is not there.
    pub(super) fn owner(&self, id: &str) -> Option<&str> {
        self.owners.get(id)?.as_deref()
    }

    pub(super) fn task_mut(&mut self, id: &str) -> Option<&mut Task> {
        match self.owners.get(id)? {
            None => self.standalone.get_mut(id),
            Some(service) => self.services.get_mut(service)?.tasks.get_mut(id),
        }
    }

    pub(super) fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.services.values().flat_map(|service| service.tasks.values()).chain(self.standalone.values())
    }

    fn active_services(&self) -> usize {
        self.services.values().filter(|service| service.status == service::Status::Active).count()
    }

    fn describe(&self, input: Option<&Input<'_>>) -> Result<Value, SimError> {
        let includes = |what| input.map_or(Ok(true), |input| input.includes(what));
        let count = |status| self.tasks().filter(|task| task.status.counts_as(status)).count();
        let mut view = Map::new();
        view.insert("clusterArn".into(), json!(self.arn));
        view.insert("clusterName".into(), json!(self.name));
        if let (Some(configuration), true) = (&self.configuration, includes("CONFIGURATIONS")?) {
            view.insert("configuration".into(), configuration.clone());
        }
        view.insert("status".into(), json!("ACTIVE"));
        view.insert("registeredContainerInstancesCount".into(), json!(self.instances.len()));
        view.insert("runningTasksCount".into(), json!(count("RUNNING")));
        view.insert("pendingTasksCount".into(), json!(count("PENDING")));
        view.insert("activeServicesCount".into(), json!(self.active_services()));
        view.insert("statistics".into(), json!([]));
        view.insert("tags".into(), if includes("TAGS")? { self.tags.to_value() } else { json!([]) });
        let settings = if includes("SETTINGS")? { self.settings.clone() } else { Vec::new() };
        view.insert("settings".into(), Value::Array(settings));
        view.insert("capacityProviders".into(), self.capacity_providers.clone());
        view.insert("defaultCapacityProviderStrategy".into(), self.default_strategy.clone());
        if let Some(connect) = &self.connect {
            view.insert("serviceConnectDefaults".into(), connect.clone());
        }
        Ok(Value::Object(view))
    }

    /// Takes over what the three calls about clusters can set.
    fn set(&mut self, input: &Input<'_>) -> Result<(), SimError> {
        for setting in input.list("settings")?.unwrap_or_default() {
            let (name, value) = (setting.get("name"), setting.get("value").and_then(Value::as_str));
            // `ClusterSetting`: the only name, and its three values.
            if name != Some(&json!("containerInsights")) {
                return Err(SimError::invalid("Invalid cluster setting name."));
            }
            if !matches!(value, Some("enabled" | "disabled" | "enhanced")) {
                return Err(SimError::invalid("Invalid value for cluster setting containerInsights."));
            }
            match self.settings.iter_mut().find(|known| known.get("name") == name) {
                Some(known) => known.clone_from(setting),
                None => self.settings.push(setting.clone()),
            }
        }
        if let Some(configuration) = input.get("configuration") {
            self.configuration = Some(configuration.clone());
        }
        if let Some(connect) = input.get("serviceConnectDefaults") {
            self.connect = Some(connect.clone());
        }
        Ok(())
    }
}

fn instances(count: u32) -> Vec<Instance> {
    (0..count).map(|_| Instance::default()).collect()
}

impl State {
    /// # Errors
    /// `ClusterNotFoundException`
    pub(super) fn cluster(&self, reference: Option<&str>) -> Result<&Cluster, SimError> {
        self.clusters.get(names::cluster(reference)).ok_or_else(SimError::cluster_not_found)
    }

    fn cluster_mut(&mut self, reference: &str) -> Result<&mut Cluster, SimError> {
        self.clusters.get_mut(names::cluster(Some(reference))).ok_or_else(SimError::cluster_not_found)
    }

    pub(super) fn set_instances(&mut self, cluster: &str, count: u32) {
        if let Some(cluster) = self.clusters.get_mut(cluster) {
            // An instance that goes away takes no task with it here: the model has no instance failures.
            cluster.instances.resize_with(usize::try_from(count).unwrap_or(0), Instance::default);
        }
        let names: Vec<String> =
            self.clusters.get(cluster).into_iter().flat_map(|cluster| cluster.services.keys().cloned()).collect();
        for name in names {
            self.with_service(cluster, &name, Self::settle_soon);
        }
    }

    pub(super) fn create_cluster(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let name = input.text("clusterName")?.unwrap_or("default");
        let legal = |character: char| character.is_ascii_alphanumeric() || character == '-' || character == '_';
        if name.is_empty() || name.len() > 255 || !name.chars().all(legal) {
            return Err(SimError::invalid("Invalid cluster name."));
        }
        if !self.clusters.contains_key(name) {
            let mut cluster = Cluster {
                name: name.to_owned(),
                arn: names::arn(&self.config, &format!("cluster/{name}")),
                // The account setting's default: Container Insights are off.
                settings: vec![json!({ "name": "containerInsights", "value": "disabled" })],
                configuration: None,
                connect: None,
                capacity_providers: input.get("capacityProviders").cloned().unwrap_or_else(|| json!([])),
                default_strategy: input.get("defaultCapacityProviderStrategy").cloned().unwrap_or_else(|| json!([])),
                tags: Tags::parse(input.list("tags")?.unwrap_or_default())?,
                instances: instances(self.config.instances),
                services: BTreeMap::new(),
                standalone: BTreeMap::new(),
                owners: BTreeMap::new(),
                random: Random::named(self.config.seed, name),
            };
            cluster.set(input)?;
            self.clusters.insert(name.to_owned(), cluster);
        }
        Ok(json!({ "cluster": self.cluster(Some(name))?.describe(None)? }))
    }

    pub(super) fn delete_cluster(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let name = names::cluster(Some(input.need_text("cluster")?)).to_owned();
        let cluster = self.cluster(Some(&name))?;
        if cluster.active_services() > 0 {
            return Err(SimError::new(
                "ClusterContainsServicesException",
                "The Cluster cannot be deleted while Services are active.",
            ));
        }
        if cluster.tasks().any(|task| !task.status.is_stopped()) {
            return Err(SimError::new(
                "ClusterContainsTasksException",
                "The Cluster cannot be deleted while Tasks are active.",
            ));
        }
        let mut view = cluster.describe(None)?;
        if let Some(status) = view.get_mut("status") {
            *status = json!("INACTIVE");
        }
        self.clusters.remove(&name);
        Ok(json!({ "cluster": view }))
    }

    pub(super) fn update_cluster(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let cluster = self.cluster_mut(input.need_text("cluster")?)?;
        cluster.set(input)?;
        Ok(json!({ "cluster": cluster.describe(None)? }))
    }

    pub(super) fn update_cluster_settings(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let cluster = self.cluster_mut(input.need_text("cluster")?)?;
        if input.list("settings")?.is_none_or(<[Value]>::is_empty) {
            return Err(SimError::invalid("Settings cannot be empty."));
        }
        cluster.set(input)?;
        Ok(json!({ "cluster": cluster.describe(None)? }))
    }

    pub(super) fn list_clusters(&self, input: &Input<'_>) -> Result<Value, SimError> {
        let lines: Vec<Line> =
            self.clusters.values().map(|cluster| (cluster.name.clone(), json!(cluster.arn))).collect();
        page(input, "clusterArns", lines, false, 100, 100)
    }

    pub(super) fn describe_clusters(&self, input: &Input<'_>) -> Result<Value, SimError> {
        let mut references = input.texts("clusters")?;
        if references.is_empty() {
            references.push("default");
        }
        if references.len() > 100 {
            return Err(SimError::invalid("Clusters can have at most 100 items."));
        }
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for reference in references {
            let name = names::cluster(Some(reference));
            match self.clusters.get(name) {
                Some(cluster) => found.push(cluster.describe(Some(input))?),
                None => {
                    let arn = names::arn(&self.config, &format!("cluster/{name}"));
                    failures.push(json!({ "arn": arn, "reason": "MISSING" }));
                }
            }
        }
        Ok(json!({ "clusters": found, "failures": failures }))
    }
}
