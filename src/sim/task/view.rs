//! A task as DescribeTasks shows it.

use serde_json::{Map, Value, json};

use super::super::state::epoch;
use super::state::{LastStatus, Task, Watch};

impl Task {
    fn health(&self) -> &'static str {
        match (self.template.watch, self.unhealthy, self.ready) {
            (Watch::Container, true, _) => "UNHEALTHY",
            (Watch::Container, false, true) => "HEALTHY",
            // Only containers' own checks show here, and only while it runs.
            _ => "UNKNOWN",
        }
    }

    pub(in crate::sim) fn describe(&self, region: &str, with_tags: bool) -> Value {
        let mut view = Map::new();
        let mut put = |name: &str, value: Value| {
            view.insert(name.to_owned(), value);
        };
        let interface = self.template.has_own_interface();
        put("attachments", if interface { self.attachments() } else { json!([]) });
        put("availabilityZone", json!(format!("{region}{}", self.zone())));
        if let Some(provider) = &self.template.capacity_provider {
            put("capacityProviderName", json!(provider));
        }
        put("clusterArn", json!(self.cluster_arn));
        if self.started_at.is_some() {
            put("connectivity", json!("CONNECTED"));
        }
        if let Some(number) = self.instance {
            let arn = self.cluster_arn.replacen(":cluster/", ":container-instance/", 1);
            put("containerInstanceArn", json!(format!("{arn}/{number:032x}")));
        }
        put("containers", self.containers());
        for member in ["cpu", "memory"] {
            if let Some(value) = self.template.document.get(member) {
                put(member, value.clone());
            }
        }
        put("createdAt", epoch(self.created_at));
        put("desiredStatus", json!(if self.wanted { "RUNNING" } else { "STOPPED" }));
        put("enableExecuteCommand", json!(self.execute_command));
        put("group", json!(self.group));
        put("healthStatus", json!(self.health()));
        put("lastStatus", json!(self.status.as_str()));
        put("launchType", json!(self.template.launch.as_str()));
        put("overrides", self.overrides.clone().unwrap_or_else(|| json!({ "containerOverrides": [] })));
        if let Some(version) = &self.template.platform_version {
            put("platformVersion", json!(version));
            put("platformFamily", json!("Linux"));
        }
        if let Some(at) = self.started_at {
            put("startedAt", epoch(at));
        }
        if let Some(starter) = &self.started_by {
            put("startedBy", json!(starter));
        }
        if let Some(stop) = &self.stop {
            put("stopCode", json!(stop.code));
            put("stoppedReason", json!(stop.reason));
        }
        if let Some(at) = self.stopping_at {
            put("stoppingAt", epoch(at));
        }
        if let Some(at) = self.stopped_at {
            put("stoppedAt", epoch(at));
        }
        put("tags", if with_tags { self.tags.to_value() } else { json!([]) });
        put("taskArn", json!(self.arn));
        put("taskDefinitionArn", json!(self.template.task_definition));
        put("version", json!(self.version));
        Value::Object(view)
    }

    /// Derived from the id, so that showing a task draws nothing.
    fn zone(&self) -> char {
        match self.id.bytes().next().unwrap_or(0) % 3 {
            0 => 'a',
            1 => 'b',
            _ => 'c',
        }
    }

    fn attachments(&self) -> Value {
        let status = match self.status {
            LastStatus::Provisioning => "PRECREATED",
            LastStatus::Stopped => "DELETED",
            _ => "ATTACHED",
        };
        json!([{ "id": self.id, "type": "ElasticNetworkInterface", "status": status, "details": [] }])
    }

    fn containers(&self) -> Value {
        let status = match self.status {
            LastStatus::Provisioning | LastStatus::Pending => "PENDING",
            LastStatus::Running | LastStatus::Deactivating | LastStatus::Stopping => "RUNNING",
            LastStatus::Deprovisioning | LastStatus::Stopped => "STOPPED",
        };
        let task_id = &self.id;
        // What has exited had been pulled.
        let pulled = self.started_at.is_some() || self.stop.as_ref().is_some_and(|stop| stop.exit_code.is_some());
        let mut shown = Vec::new();
        for (image, digest) in self.template.images.iter().zip(&self.digests) {
            let checked = self
                .template
                .containers()
                .find(|container| container.get("name").and_then(Value::as_str) == Some(image.container.as_str()))
                .is_some_and(|container| container.get("healthCheck").is_some());
            let mut view = Map::new();
            let arn = self.arn.replacen(":task/", ":container/", 1);
            view.insert("containerArn".into(), json!(format!("{arn}/{}", image.container)));
            view.insert("taskArn".into(), json!(self.arn));
            view.insert("name".into(), json!(image.container));
            view.insert("image".into(), json!(image.image));
            if pulled {
                view.insert("imageDigest".into(), json!(digest));
                view.insert("runtimeId".into(), json!(format!("{task_id}-{}", image.container)));
            }
            view.insert("lastStatus".into(), json!(status));
            if let (Some(code), "STOPPED") = (self.stop.as_ref().and_then(|stop| stop.exit_code), status) {
                view.insert("exitCode".into(), json!(code));
            }
            view.insert("healthStatus".into(), json!(if checked { self.health() } else { "UNKNOWN" }));
            view.insert("networkInterfaces".into(), json!([]));
            shown.push(Value::Object(view));
        }
        Value::Array(shown)
    }
}
