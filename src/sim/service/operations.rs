//! The other calls about services.

use serde_json::{Map, Value, json};

use super::super::cluster::Cluster;
use super::super::error::SimError;
use super::super::input::{Input, Line, page};
use super::super::names;
use super::super::state::State;
use super::state::{Service, Status};

impl State {
    /// The service of `cluster` that a name or an ARN means.
    ///
    /// # Errors
    /// When it names another cluster, or no service.
    pub(in crate::sim) fn service<'a>(&self, cluster: &'a Cluster, reference: &str) -> Result<&'a Service, SimError> {
        let name = names::member_of(&cluster.name, reference, "service")?;
        cluster.services.get(name).ok_or_else(SimError::service_not_found)
    }

    pub(in crate::sim) fn list_services(&self, input: &Input<'_>) -> Result<Value, SimError> {
        let cluster = self.cluster(input.text("cluster")?)?;
        let (launch, strategy) = (input.text("launchType")?, input.text("schedulingStrategy")?);
        let says = |service: &Service, member: &str, wanted: Option<&str>| {
            wanted.is_none_or(|wanted| service.members.get(member).and_then(Value::as_str) == Some(wanted))
        };
        let lines: Vec<Line> = cluster
            .services
            .values()
            .filter(|service| service.status != Status::Inactive)
            .filter(|service| says(service, "launchType", launch) && says(service, "schedulingStrategy", strategy))
            // None of the modelled services is managed by ECS itself.
            .filter(|_| input.get("resourceManagementType").is_none_or(|kind| kind == "CUSTOMER"))
            .map(|service| (service.name.clone(), json!(service.arn)))
            .collect();
        // 10 unless asked, unlike the other listings (`ListServices`).
        page(input, "serviceArns", lines, false, 10, 100)
    }

    pub(in crate::sim) fn describe_services(&self, input: &Input<'_>) -> Result<Value, SimError> {
        let cluster = self.cluster(input.text("cluster")?)?;
        let references = input.some_texts("services", "Services", 10)?;
        let with_tags = input.includes("TAGS")?;
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for reference in references {
            let name = names::member_of(&cluster.name, reference, "service")?;
            match cluster.services.get(name) {
                Some(service) => found.push(self.describe_service(service, with_tags)),
                None => {
                    let arn = names::arn(&self.config, &format!("service/{}/{name}", cluster.name));
                    failures.push(json!({ "arn": arn, "reason": "MISSING" }));
                }
            }
        }
        Ok(json!({ "services": found, "failures": failures }))
    }

    pub(in crate::sim) fn delete_service(&mut self, input: &Input<'_>) -> Result<Value, SimError> {
        let cluster = self.cluster(input.text("cluster")?)?.name.clone();
        let name = names::member_of(&cluster, input.need_text("service")?, "service")?.to_owned();
        let forced = input.flag("force")?.unwrap_or(false);
        self.with_service(&cluster, &name, |state, service| {
            if service.status != Status::Active {
                return Err(SimError::new("ServiceNotActiveException", "Service was not ACTIVE."));
            }
            let scaled = service.members.get("desiredCount") != Some(&json!(0)) && !service.daemon;
            if scaled && !forced {
                return Err(SimError::invalid("The service cannot be stopped while it is scaled above 0."));
            }
            service.status = Status::Draining;
            service.members.insert("desiredCount".into(), json!(0));
            state.settle_soon(service);
            Ok(json!({ "service": state.describe_service(service, true) }))
        })
        .ok_or_else(SimError::service_not_found)?
    }

    /// A service as DescribeServices shows it.
    pub(in crate::sim) fn describe_service(&self, service: &Service, with_tags: bool) -> Value {
        let mut view: Map<String, Value> =
            service.describe(self.instances(&service.cluster), self.config.service_deployments);
        if with_tags {
            view.insert("tags".into(), service.tags.to_value());
        }
        Value::Object(view)
    }
}
